"""Whoever may do everything is cluster-admin, whatever the role is called.

What it is:
All verbs on all resources of all groups, through a ClusterRoleBinding. Group `system:masters` is allowed everything before
RBAC is asked at all.

Why it matters:
It is the end of the road: every Secret, every identity, every node. No binding takes anything away from `system:masters`;
a stolen certificate of that group works until it expires.

Needs:
`*` on `*` in group `*` at cluster scope, or membership in `system:masters`. The name of the role plays no part. All verbs on
the core group alone, or on non-resource URLs, is not it; what can be reached from there is found by other rules.

Fix:
Bind a role that lists what is needed. Keep the certificates of `system:masters` offline, for emergencies.

References:
- https://kubernetes.io/docs/concepts/security/rbac-good-practices/
- rbac.md S-47, E1, R-32; attacks.md §3.1
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
metadata: {name: viewer}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: viewer}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_ALL = '{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}'

RULE = Rule(
    id="cluster-admin-equivalent",
    title="Whoever may do everything is cluster-admin, whatever the role is called",
    family="identity",
    severity="critical",
    confidence=Confidence.CERTAIN,
    needs="all verbs on all resources of all groups at cluster scope, or group system:masters",
    gains="the cluster",
    attack=("T1078",),
    microsoft=("MS-TA9019",),
    assumes=("BOOTSTRAP-RBAC", "SCHED"),
    core=True,
    examples=(
        Example(
            title="a role with a harmless name that grants everything",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=('resources: ["*"]', "resources: [configmaps]"),
        ),
        Example(
            title="members of system:masters need no binding",
            manifests=_MANIFESTS.replace(
                _ALL,
                '{apiGroups: [""], resources: [users, groups], verbs: [impersonate], resourceNames: [ann, "system:masters"]}',
            ),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("system:masters", "masters"),
        ),
        Example(
            title="all verbs on URLs are not all verbs on objects",
            manifests=_MANIFESTS.replace(_ALL, '{nonResourceURLs: ["*"], verbs: ["*"]}'),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="a name is not a right",
            manifests=_MANIFESTS.replace("viewer", "superadmin").replace(
                _ALL, '{apiGroups: [""], resources: [configmaps], verbs: ["*"]}'
            ),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
