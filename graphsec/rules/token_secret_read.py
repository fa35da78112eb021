"""A Secret that holds a token is its ServiceAccount.

What it is:
A Secret of type `kubernetes.io/service-account-token` holds a token of the account that its annotation
`kubernetes.io/service-account.name` names. The token does not expire.

Why it matters:
Whoever reads the Secret is the account, from anywhere, until the Secret is deleted.

Needs:
Such a Secret that exists and is read in any way, and an account of that name in its namespace. Since Kubernetes 1.24 none is
made by itself, so that reading Secrets gives no account where the input shows no such Secret. A Secret with the label
`kubernetes.io/legacy-token-invalid-since` is refused by the API server.

Fix:
Delete the Secret, and use tokens that are requested or mounted and expire.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
- rbac.md S-90; attacks.md §3.3, §8 (trap 10)
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: shop}
---
apiVersion: v1
kind: Secret
metadata:
  name: deployer-token
  namespace: shop
  annotations: {kubernetes.io/service-account.name: deployer}
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="token-secret-read",
    title="A Secret that holds a token is its ServiceAccount",
    family="credentials",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="the content of a Secret of type kubernetes.io/service-account-token",
    gains="the ServiceAccount that its annotation names",
    attack=("T1528", "T1552.007"),
    microsoft=("MS-TA9016", "MS-TA9025"),
    assumes=("ACCOUNT-EXISTS", "TOKEN-SECRET"),
    core=True,
    examples=(
        Example(
            title="who lists Secrets has the accounts whose tokens lie there",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("type: kubernetes.io/service-account-token", "type: Opaque"),
        ),
        Example(
            title="a token that the server has marked as disused is refused",
            manifests=_MANIFESTS.replace(
                "  annotations:", "  labels: {kubernetes.io/legacy-token-invalid-since: '2026-01-01'}\n  annotations:"
            ),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
        Example(
            title="the token is that of the account named, not of all accounts",
            manifests=_MANIFESTS.replace("service-account.name: deployer", "service-account.name: helper"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
    ),
)
