"""Request a token of a ServiceAccount.

What it is:
`create` on `serviceaccounts/token` (as `kubectl create token` does) returns a fresh token of the account, for any audience.

Why it matters:
The caller is the account from then on, without touching a pod. A token outlives the removal of the grant that gave it.

Needs:
`create` on `serviceaccounts/token` in the account's namespace. The request has the account's name, so `resourceNames` limit
it. `create` on `serviceaccounts` is another right.

Fix:
Limit the grant to the names that are needed. Prefer tokens that the kubelet mounts.

References:
- https://kubernetes.io/docs/concepts/security/rbac-good-practices/#token-request
- rbac.md S-31, S-91; attacks.md §3.3
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="token-request",
    title="Request a token of a ServiceAccount",
    family="credentials",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create serviceaccounts/token",
    gains="the ServiceAccount",
    attack=("T1528",),
    microsoft=("MS-TA9016",),
    assumes=("ACCOUNT-EXISTS", "BOOTSTRAP-RBAC"),
    core=True,
    examples=(
        Example(
            title="who may request tokens is every account of the namespace",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("serviceaccounts/token", "serviceaccounts"),
        ),
        Example(
            title="a subresource has the name of its parent, so a named rule allows it",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [create], resourceNames: [deployer]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("resourceNames: [deployer]", "resourceNames: [helper]"),
        ),
        Example(
            title="a token of one account is not one of another",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [create], resourceNames: [mailer]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
    ),
)
