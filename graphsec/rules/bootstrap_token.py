"""A bootstrap token makes its holder a joining node.

What it is:
A Secret of type `bootstrap.kubernetes.io/token` in kube-system is a bearer token. The API server takes it for user
`system:bootstrap:ID` in group `system:bootstrappers`. Who may create Secrets there can write a new one.

Why it matters:
The group exists to request certificates of nodes. With the grants that kubeadm gives it, a token becomes the credential of
any node.

Needs:
The content of such a Secret in kube-system, or `create` on `secrets` there. That the API server has bootstrap tokens enabled
is an assumption, as no object shows it; so is that the token has not expired and allows authentication.

Fix:
Let tokens expire within hours and delete them after use. Give nobody rights over the Secrets of kube-system.

References:
- https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
- rbac.md S-46; attacks.md §3.3
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: kube-system}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="bootstrap-token",
    title="A bootstrap token makes its holder a joining node",
    family="credentials",
    severity="medium",
    confidence=Confidence.CONDITIONAL,
    needs="read or create a Secret of type bootstrap.kubernetes.io/token in kube-system",
    gains="group system:bootstrappers",
    attack=("T1552.007", "T1078"),
    microsoft=("MS-TA9025",),
    assumes=("BOOTSTRAP-AUTH",),
    examples=(
        Example(
            title="a token that lies in kube-system is read",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="Group/system:bootstrappers",
            verdict="conditional",
            edit=("type: bootstrap.kubernetes.io/token", "type: Opaque"),
        ),
        Example(
            title="who may create Secrets in kube-system writes a token",
            manifests=_MANIFESTS.replace("verbs: [get]", "verbs: [create]"),
            start="sa:shop/helper",
            goal="Group/system:bootstrappers",
            verdict="conditional",
            edit=("verbs: [create]", "verbs: [update]"),
        ),
        Example(
            title="such a Secret is a token in kube-system alone",
            manifests=_MANIFESTS.replace("namespace: kube-system", "namespace: shop"),
            start="sa:shop/helper",
            goal="Group/system:bootstrappers",
            verdict="none",
        ),
    ),
)
