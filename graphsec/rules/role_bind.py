"""Bind a role to oneself.

What it is:
Whoever creates a binding must hold all the rules of its role, or `bind` on that role. `bind` waives that:
the new binding may grant more than its author has, to the author.

Why it matters:
A ClusterRoleBinding to any ClusterRole is cluster-admin. A RoleBinding to any ClusterRole is admin of its namespace, and so
all its ServiceAccounts.

Needs:
One identity with `create` on `rolebindings` in the namespace, or on `clusterrolebindings` at cluster scope, and with `bind`
on the `clusterroles` or `roles`, in the same scope; names of roles limit it. `bind` on bindings is nothing. `bind` on `roles`
serves no ClusterRoleBinding. A role that is not there can be bound too, and written by whoever may `escalate`. Without `bind`
one hands out only what one has.

Fix:
Remove `bind`, or limit it to names of harmless roles. An admission policy can limit roleRefs and subjects.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-binding-creation-or-update
- rbac.md S-60, S-64; attacks.md §2.6, §3.4
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
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [create]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind], resourceNames: [edit]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_WIDE = (
    _MANIFESTS.replace("rolebindings]", "clusterrolebindings]")
    .replace(
        "kind: RoleBinding\nmetadata: {name: helper, namespace: shop}",
        "kind: ClusterRoleBinding\nmetadata: {name: helper}",
    )
    .replace(", resourceNames: [edit]", "")
)

RULE = Rule(
    id="role-bind",
    title="Bind a role to oneself",
    family="rbac",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="create rolebindings or clusterrolebindings, and bind on the role",
    gains="the rules of the role in the scope of the binding",
    attack=("T1098.006",),
    microsoft=("MS-TA9019",),
    assumes=("BOOTSTRAP-RBAC",),
    core=True,
    examples=(
        Example(
            title="edit in a namespace reads its Secrets; bind on a ClusterRole counts in a RoleBinding",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("resourceNames: [edit]", "resourceNames: [view]"),
        ),
        Example(
            title="any ClusterRole in a ClusterRoleBinding",
            manifests=_WIDE,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("resources: [clusterroles]", "resources: [roles]"),
        ),
        Example(
            title="bind is asked on roles, never on bindings",
            manifests=_WIDE.replace("resources: [clusterroles]", "resources: [clusterrolebindings]"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="a RoleBinding gives no right over ClusterRoleBindings",
            manifests=_MANIFESTS.replace("rolebindings]", "clusterrolebindings]"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
