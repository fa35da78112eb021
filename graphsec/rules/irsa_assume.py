"""A ServiceAccount that stands for an AWS role.

What it is:
On EKS an account with the annotation `eks.amazonaws.com/role-arn` may take that IAM role: its pods get a token for audience
`sts.amazonaws.com`, which AWS exchanges.

Why it matters:
What holds the account in the cluster holds the role in the cloud: buckets, databases, sometimes the cluster's own management.

Needs:
The account: a pod that runs as it, a node that runs such a pod, or a token requested for it. The annotation states only the
wish; that the role's trust policy names the account is an assumption. A trust policy with a wildcard admits accounts that
anybody may create.

Fix:
Give each workload a role of its own. Let the trust policy name the namespace and the account exactly.

References:
- https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
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
  annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/web"}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers: [{name: web, image: web}]
"""
_INJECTED = """
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
  annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111122223333:role/web"}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  containers:
  - {name: web, image: web, volumeMounts: [{name: aws, mountPath: /var/run/secrets/eks.amazonaws.com/serviceaccount}]}
  volumes:
  - {name: aws, projected: {sources: [{serviceAccountToken: {path: token, audience: sts.amazonaws.com}}]}}
"""

RULE = Rule(
    id="irsa-assume",
    title="A ServiceAccount that stands for an AWS role",
    family="cloud",
    severity="medium",
    confidence=Confidence.CONDITIONAL,
    needs="a ServiceAccount with the annotation eks.amazonaws.com/role-arn",
    gains="the AWS role",
    attack=("T1078.004", "T1528"),
    microsoft=("MS-TA9020",),
    assumes=("CLOUD-TRUST",),
    examples=(
        Example(
            title="a pod takes the role of its account",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="CloudIdentity/arn:aws:iam::111122223333:role/web",
            verdict="conditional",
            edit=("eks.amazonaws.com/role-arn", "eks.amazonaws.com/sts-regional-endpoints"),
        ),
        Example(
            title="a pod without a token for the API server has that for AWS",
            manifests=_INJECTED,
            start="Pod/shop/web",
            goal="CloudIdentity/arn:aws:iam::111122223333:role/web",
            verdict="conditional",
            edit=("audience: sts.amazonaws.com", "audience: vault"),
        ),
        Example(
            title="the role is that of the account, not of every pod of the namespace",
            manifests=_MANIFESTS.replace("  serviceAccountName: web\n", ""),
            start="Pod/shop/web",
            goal="CloudIdentity/arn:aws:iam::111122223333:role/web",
            verdict="none",
        ),
    ),
)
