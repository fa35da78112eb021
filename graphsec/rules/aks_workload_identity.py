"""A ServiceAccount that stands for an Azure identity.

What it is:
On AKS an account with the annotation `azure.workload.identity/client-id` may act as that managed identity or application. A
webhook gives a token for audience `api://AzureADTokenExchange` to its pods that bear the label
`azure.workload.identity/use: "true"`.

Why it matters:
What holds the account in the cluster holds its rights in Azure.

Needs:
The account by a pod with the label, or in a way that lets one ask for a token of any audience: a new pod, a token request,
the node of such a pod. The annotation states only the wish; that the identity trusts the account (a federated credential) is
an assumption.

Fix:
Give each workload an identity of its own. Name the namespace and the account exactly in the federated credential.

References:
- https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
- attacks.md §3.9
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
  annotations: {azure.workload.identity/client-id: 00000000-1111-2222-3333-444444444444}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {azure.workload.identity/use: "true"}
spec:
  serviceAccountName: web
  containers: [{name: web, image: web}]
"""

RULE = Rule(
    id="aks-workload-identity",
    title="A ServiceAccount that stands for an Azure identity",
    family="cloud",
    severity="medium",
    confidence=Confidence.CONDITIONAL,
    needs="a ServiceAccount with the annotation azure.workload.identity/client-id, and a pod with the label that uses it",
    gains="the Azure identity",
    attack=("T1078.004", "T1528"),
    microsoft=("MS-TA9020", "MS-TA9026"),
    assumes=("CLOUD-TRUST",),
    examples=(
        Example(
            title="a pod acts as the Azure identity of its account",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="CloudIdentity/00000000-1111-2222-3333-444444444444",
            verdict="conditional",
            edit=("azure.workload.identity/client-id", "azure.workload.identity/tenant-id"),
        ),
        Example(
            title="a pod of another account",
            manifests=_MANIFESTS.replace("serviceAccountName: web", "serviceAccountName: default"),
            start="Pod/shop/web",
            goal="CloudIdentity/00000000-1111-2222-3333-444444444444",
            verdict="none",
        ),
        Example(
            title="a pod without the label is given no token for Azure",
            manifests=_MANIFESTS.replace('azure.workload.identity/use: "true"', "app: web"),
            start="Pod/shop/web",
            goal="CloudIdentity/00000000-1111-2222-3333-444444444444",
            verdict="none",
        ),
    ),
)
