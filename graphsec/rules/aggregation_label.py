"""Put rules under the label that an aggregated role selects.

What it is:
The rules of an aggregated ClusterRole, such as `admin`, `edit` and `view`, are those of all ClusterRoles with certain labels.
Whoever writes a ClusterRole with such a label writes into the aggregated one.

Why it matters:
Everybody who is bound to the aggregated role has the rules, an identity of the attacker among them. Neither the role nor
its bindings are touched.

Needs:
`create` on `clusterroles` at cluster scope and `escalate` for what is written; or both verbs of `role-escalate` on any
ClusterRole. And an identity under control that is bound to an aggregated role: everything follows where it is bound. Without
`escalate` one hands out only what one has.

Fix:
Remove `escalate`. Watch ClusterRoles with labels `rbac.authorization.k8s.io/aggregate-to-*`.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
- rbac.md S-50, S-53, S-61; attacks.md §2.5, §3.4
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
metadata: {name: author}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [create, escalate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: author}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: author}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_SPARE = """---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: spare}
rules: []
"""

RULE = Rule(
    id="aggregation-label",
    title="Put rules under the label that an aggregated role selects",
    family="rbac",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="create clusterroles and escalate, and an identity bound to an aggregated ClusterRole",
    gains="everything in the scope where the aggregated role is bound",
    attack=("T1098.006",),
    assumes=("BOOTSTRAP-RBAC",),
    examples=(
        Example(
            title="a new ClusterRole feeds view, which the author is bound to",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("[create, escalate]", "[create]"),
        ),
        Example(
            title="a ClusterRole that nobody is bound to gets the label",
            manifests=_MANIFESTS.replace("[create, escalate]", "[patch, escalate], resourceNames: [spare]") + _SPARE,
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="proved",
            edit=("[patch, escalate]", "[patch]"),
        ),
        Example(
            title="a role that aggregates nothing takes no rules from a label",
            manifests=_MANIFESTS.replace("name: view}", "name: system:discovery}"),
            start="sa:shop/helper",
            goal="Secret/shop/db",
            verdict="none",
        ),
    ),
)
