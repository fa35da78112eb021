"""A binding gives its subjects the rules of a role.

What it is:
A RoleBinding or ClusterRoleBinding names subjects and one role. Each subject holds the role's rules: everywhere through a
ClusterRoleBinding, in one namespace through a RoleBinding. No other step can happen without one of these.

Why it matters:
This is where every right in the cluster comes from. `*` on `*.*` in a namespace is all of it: its Secrets, its pods, and so
its ServiceAccounts.

Needs:
A binding that names the subject, and a role that exists under the kind, the name and (for a Role) the namespace of the
roleRef. A subject may be of another namespace than the RoleBinding, and its place in the list does not matter. A User named
`system:serviceaccount:NS:NAME` is that ServiceAccount.

Fix:
Remove the subject from the binding, or narrow the role: name verbs and resources, and objects where they are few.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/
- rbac.md S-02, S-03, S-40 to S-43; attacks.md §2.1 to §2.4, §3.1
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: tools}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: owner, namespace: shop}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: owner, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: owner}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: owners}
- {kind: ServiceAccount, name: helper, namespace: tools}
"""

RULE = Rule(
    id="rbac-grant",
    title="A binding gives its subjects the rules of a role",
    family="identity",
    severity="info",
    confidence=Confidence.CERTAIN,
    needs="a binding that names the subject, and the role that its roleRef names",
    gains="the rules of the role, in the namespace of a RoleBinding or everywhere",
    attack=("T1078",),
    assumes=("BOOTSTRAP-RBAC",),
    core=True,
    examples=(
        Example(
            title="an account of another namespace, second in the list, owns the namespace",
            manifests=_MANIFESTS,
            start="sa:tools/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("kind: Role, name: owner", "kind: ClusterRole, name: owner"),
        ),
        Example(
            title="a user with the name of an account is that account",
            manifests=_MANIFESTS.replace(
                "{kind: ServiceAccount, name: helper, namespace: tools}",
                "{apiGroup: rbac.authorization.k8s.io, kind: User, name: 'system:serviceaccount:tools:helper'}",
            ),
            start="sa:tools/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("tools:helper", "tools:other"),
        ),
        Example(
            title="a role of the same name in another namespace is another role",
            manifests=_MANIFESTS.replace(
                "{name: owner, namespace: shop}\nrules", "{name: owner, namespace: tools}\nrules"
            ),
            start="sa:tools/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
        Example(
            title="an account without namespace is that of the binding's namespace",
            manifests=_MANIFESTS.replace(
                "{kind: ServiceAccount, name: helper, namespace: tools}", "{kind: ServiceAccount, name: helper}"
            ),
            start="sa:tools/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
