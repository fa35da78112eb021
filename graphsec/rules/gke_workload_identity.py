"""A ServiceAccount that stands for a Google service account.

What it is:
On GKE an account with the annotation `iam.gke.io/gcp-service-account` may act as that Google service account: the metadata
server of the node hands its pods the token.

Why it matters:
What holds the account in the cluster holds its rights in Google Cloud. The pool is that of the project: accounts of the same
namespace and name in other clusters of the project are the same identity.

Needs:
The account: a pod that runs as it, a node that runs such a pod, or a token requested for it. The annotation states only the
wish; that the Google side trusts the account is an assumption. Rights given to the account directly, without the annotation,
show in no object.

Fix:
Give each workload a Google service account of its own. Use clusters of different trust in different projects.

References:
- https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity
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
  annotations: {iam.gke.io/gcp-service-account: web@shop-1234.iam.gserviceaccount.com}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers: [{name: web, image: web}]
"""
_ANNOTATION = "{iam.gke.io/gcp-service-account: web@shop-1234.iam.gserviceaccount.com}"

RULE = Rule(
    id="gke-workload-identity",
    title="A ServiceAccount that stands for a Google service account",
    family="cloud",
    severity="medium",
    confidence=Confidence.CONDITIONAL,
    needs="a ServiceAccount with the annotation iam.gke.io/gcp-service-account",
    gains="the Google service account",
    attack=("T1078.004", "T1528"),
    microsoft=("MS-TA9020",),
    assumes=("CLOUD-TRUST",),
    examples=(
        Example(
            title="a pod acts as the Google service account of its account",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="CloudIdentity/web@shop-1234.iam.gserviceaccount.com",
            verdict="conditional",
            edit=("iam.gke.io/gcp-service-account", "iam.gke.io/return-principal-id-as-email"),
        ),
        Example(
            title="the annotation counts on the account, not on the pod",
            manifests=_MANIFESTS.replace(f"  annotations: {_ANNOTATION}\n", "").replace(
                "kind: Pod\nmetadata: {", f"kind: Pod\nmetadata: {{annotations: {_ANNOTATION}, "
            ),
            start="Pod/shop/web",
            goal="CloudIdentity/web@shop-1234.iam.gserviceaccount.com",
            verdict="none",
        ),
        Example(
            title="a pod of another account",
            manifests=_MANIFESTS.replace("serviceAccountName: web", "serviceAccountName: default"),
            start="Pod/shop/web",
            goal="CloudIdentity/web@shop-1234.iam.gserviceaccount.com",
            verdict="none",
        ),
    ),
)
