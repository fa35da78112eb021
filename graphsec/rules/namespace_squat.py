"""Create the namespace and the ServiceAccount that a binding waits for.

What it is:
A binding may name a ServiceAccount of a namespace that is gone. Whoever creates the namespace, the account in it and a token
has what the binding grants.

Why it matters:
Deleting a namespace deletes its RoleBindings, but not the ClusterRoleBindings and the RoleBindings elsewhere that name its
accounts.

Needs:
`create` on `namespaces`, and, through a ClusterRoleBinding, `create` on `serviceaccounts` and a way to a token: nobody has
rights in a namespace for having created it. A creating apply serves where the grant names the objects.

Fix:
When a namespace is deleted, delete the bindings elsewhere that name its accounts.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects
- rbac.md S-34, S-40; attacks.md §3.3
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
- {apiGroups: [""], resources: [namespaces], verbs: [create]}
- {apiGroups: [""], resources: [serviceaccounts], verbs: [create]}
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create], resourceNames: [retired]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: retired}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: retired, namespace: project}]
"""
_ACCOUNTS = """
- {apiGroups: [""], resources: [serviceaccounts], verbs: [create]}
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create], resourceNames: [retired]}"""

RULE = Rule(
    id="namespace-squat",
    title="Create the namespace and the ServiceAccount that a binding waits for",
    family="credentials",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create namespaces, and at cluster scope create serviceaccounts and a way to their tokens",
    gains="a ServiceAccount that a binding names in a namespace that does not exist",
    attack=("T1136.001", "T1078"),
    microsoft=("MS-TA9016",),
    examples=(
        Example(
            title="a binding of cluster-admin outlived its namespace",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("[retired]", "[other]"),
        ),
        Example(
            title="who creates a namespace has no rights in it",
            manifests=_MANIFESTS.replace(_ACCOUNTS, ""),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
