"""Create the ServiceAccount that a binding waits for.

What it is:
A binding names a ServiceAccount by name alone, and the account need not exist. Whoever creates one of that name and gets a
token for it has what the binding grants.

Why it matters:
Bindings outlive the workloads that they were made for. What looks like waste is a right that waits for an owner.

Needs:
A binding whose subject is an account that does not exist, in a namespace that does; `create` on `serviceaccounts` there; and a
way to a token of it: `serviceaccounts/token`, a new pod, a token Secret. Different identities may bring them. The creator
needs no right over the binding.

Fix:
Delete the subject from the binding, or create the account again and let nobody use it.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects
- rbac.md S-40, H2; attacks.md §3.3
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [serviceaccounts, serviceaccounts/token], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: retired}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: retired, namespace: shop}]
"""

RULE = Rule(
    id="sa-squat",
    title="Create the ServiceAccount that a binding waits for",
    family="credentials",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create serviceaccounts where a binding names one that does not exist, and a way to its token",
    gains="that ServiceAccount and what the binding grants",
    attack=("T1136.001", "T1078"),
    microsoft=("MS-TA9016",),
    examples=(
        Example(
            title="a binding of cluster-admin outlived its account",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="proved",
            edit=("name: cluster-admin}", "name: view}"),
        ),
        Example(
            title="an account without a token is of no use",
            manifests=_MANIFESTS.replace("[serviceaccounts, serviceaccounts/token]", "[serviceaccounts]"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="the account must be made in the namespace that the binding names",
            manifests=_MANIFESTS.replace("name: retired, namespace: shop}", "name: retired, namespace: bank}"),
            start="sa:shop/helper",
            goal="cluster-admin",
            verdict="none",
        ),
    ),
)
