"""Write the role that a binding waits for.

What it is:
A binding may name a role that does not exist. It grants nothing until somebody writes a role of that kind and name; then its
subjects have what stands there.

Why it matters:
The binding is passed over as broken. Whoever may write any role fills it with all rights, without a right over bindings.

Needs:
An identity under control among the subjects of the binding; and `create` on `roles` or `clusterroles` with `escalate`. A POST
has no name: a grant limited to names needs `update` or `patch` as well, for a PUT or an apply.

Fix:
Delete bindings whose role is gone. `graphsec bindings` marks them as missing. Remove `escalate`.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-creation-or-update
- rbac.md S-02, S-34, S-61, H1; attacks.md §3.4
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
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [create, escalate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: retired, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: retired}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="dangling-role-ref",
    title="Write the role that a binding waits for",
    family="rbac",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="create roles and escalate, and an identity bound to a role that does not exist",
    gains="everything in the scope of the binding",
    attack=("T1098.006",),
    examples=(
        Example(
            title="the missing role is written with all rights",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("[create, escalate]", "[create]"),
        ),
        Example(
            title="with names, by a PUT that creates",
            manifests=_MANIFESTS.replace("escalate]", "escalate, update], resourceNames: [retired]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("escalate, update]", "escalate]"),
        ),
        Example(
            title="create and escalate alone, with no binding that waits, give nothing",
            manifests=_MANIFESTS.replace("kind: Role, name: retired}", "kind: Role, name: helper}"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
