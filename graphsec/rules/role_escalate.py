"""Rewrite a role that one is bound to.

What it is:
Whoever writes a role must hold all the rules in it. `escalate` on the role waives that, so that any rule can be written into
it. Everybody who is bound to the role has it at once.

Why it matters:
A role bound at cluster scope becomes cluster-admin, one bound in a namespace becomes its admin. No binding is touched.

Needs:
One identity with `escalate` and with `update` or `patch` on the role, for its name; and any identity under control that is
bound to the role, or may bind it: it need not be the same. Either verb alone does nothing. Who has both for all ClusterRoles
holds them through one, bound at cluster scope.

Fix:
Remove `escalate`. Roles are written by whoever holds their rules.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-creation-or-update
- rbac.md S-61; attacks.md §2.6, §3.4 (truth table)
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
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate, patch], resourceNames: [web]}
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create], resourceNames: [web]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web, namespace: shop}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]
"""

RULE = Rule(
    id="role-escalate",
    title="Rewrite a role that one is bound to",
    family="rbac",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="escalate and update or patch on a role, and an identity bound to it",
    gains="everything in the scope where the role is bound",
    attack=("T1098.006",),
    assumes=("BOOTSTRAP-RBAC",),
    core=True,
    examples=(
        Example(
            title="the role of another account, whose token can be requested",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("verbs: [create], resourceNames: [web]", "verbs: [create], resourceNames: [helper]"),
        ),
        Example(
            title="one's own role",
            manifests=_MANIFESTS.replace("patch], resourceNames: [web]", "patch], resourceNames: [helper]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("[escalate, patch]", "[escalate, get]"),
        ),
        Example(
            title="who may change a role but not escalate writes only rights already held",
            manifests=_MANIFESTS.replace("[escalate, patch]", "[update, patch]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
