"""Add oneself to a binding that is there.

What it is:
The roleRef of a binding cannot be changed, its subjects can. The guard is that of creating: whoever updates a binding must
hold all the rules of its role, or `bind` on that role.

Why it matters:
The binding looks as before but for one subject, and the role is one that the cluster uses anyway.

Needs:
One identity with `update` or `patch` on the binding and `bind` on the role of its roleRef, both in the binding's scope; names
of bindings and of roles limit it. Without `bind` the server refuses, unless the editor holds the rules already.

Fix:
Remove `bind`, or limit it to names of harmless roles.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-binding-creation-or-update
- rbac.md S-44, S-60; attacks.md §2.6, §3.4
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterrolebindings], verbs: [patch], resourceNames: [on-call]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: on-call}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: on-call}]
"""

RULE = Rule(
    id="binding-update",
    title="Add oneself to a binding that is there",
    family="rbac",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="update or patch a binding, and bind on its role",
    gains="the rules of the role in the scope of the binding",
    attack=("T1098.006",),
    microsoft=("MS-TA9019",),
    assumes=("BOOTSTRAP-RBAC",),
    core=True,
    examples=(
        Example(
            title="a subject is added to the binding of cluster-admin",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("verbs: [bind]", "verbs: [get]"),
        ),
        Example(
            title="names of bindings limit it",
            manifests=_MANIFESTS.replace("resourceNames: [on-call]", "resourceNames: [off-call]"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="bind on another role does not pass the guard",
            manifests=_MANIFESTS.replace("verbs: [bind]", "verbs: [bind], resourceNames: [view]"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
