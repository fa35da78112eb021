"""Write a token Secret and read the token from it.

What it is:
A Secret of type `kubernetes.io/service-account-token` that somebody creates is filled by the cluster with a token of the
account that its annotation names. Reading it gives that account. Of an existing one the annotation can be changed.

Why it matters:
Rights over Secrets alone give every ServiceAccount of the namespace, with tokens that never expire.

Needs:
`create` on `secrets` and any way to read the new Secret, which may be two identities under control; or `create` and `patch`
of one name by one identity, as a creating apply answers with the object. On an existing token Secret `patch` or `update`, and
a way to read it. Creating alone shows nothing.

Fix:
Do not grant `create` and reading of Secrets together. Forbid the type by an admission policy.

References:
- https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets
- rbac.md S-90; attacks.md §3.3
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
- {apiGroups: [""], resources: [secrets], verbs: [create, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_EXISTING = """---
apiVersion: v1
kind: Secret
metadata: {name: robot, namespace: shop, annotations: {kubernetes.io/service-account.name: helper}}
type: kubernetes.io/service-account-token
"""

RULE = Rule(
    id="token-secret-mint",
    title="Write a token Secret and read the token from it",
    family="credentials",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create secrets and read them, or patch (update and read) an existing token Secret",
    gains="every ServiceAccount of the namespace",
    attack=("T1528", "T1098"),
    microsoft=("MS-TA9016",),
    core=True,
    examples=(
        Example(
            title="create and get Secrets give every account of the namespace",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("[create, get]", "[create]"),
        ),
        Example(
            title="a creating apply of one name answers with the token",
            manifests=_MANIFESTS.replace("verbs: [create, get]", "verbs: [create, patch], resourceNames: [mine]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("[create, patch]", "[patch]"),
        ),
        Example(
            title="an existing token Secret is turned to another account",
            manifests=_MANIFESTS.replace("[create, get]", "[patch]") + _EXISTING,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="proved",
            edit=("type: kubernetes.io/service-account-token", "type: Opaque"),
        ),
        Example(
            title="create and update show no token",
            manifests=_MANIFESTS.replace("[create, get]", "[create, update]") + _EXISTING,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
    ),
)
