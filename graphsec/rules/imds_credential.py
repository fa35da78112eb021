"""Ask the metadata service for the node's identity in the cloud.

What it is:
Machines of a cloud get their identity from a service at 169.254.169.254. A pod that reaches it is given the identity of
its node.

Why it matters:
The identity of a node pulls images, attaches disks, changes networks, and in some clouds fetches the kubelet's
credential.

Needs:
Egress to 169.254.169.254 (in AKS also 168.63.129.16), and a service that answers pods: a limit of one hop, or the
cloud's own protection, keeps pods away that are not in the network of the node. `hostNetwork` passes both that and
every network policy. What the identity may do, the cloud decides.

Fix:
Limit the service to one hop, or switch it off for pods. Deny egress to the address, and give accounts identities of
their own.

References:
- https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html
- https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
- attacks.md §3.9
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Node
metadata: {name: worker-1}
spec: {providerID: 'aws:///eu-central-1a/i-1'}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {nodeName: worker-1, containers: [{name: web, image: web}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: egress, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]
"""

RULE = Rule(
    id="imds-credential",
    title="Ask the metadata service for the node's identity in the cloud",
    family="cloud",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="a pod that reaches 169.254.169.254",
    gains="the identity of the node in its cloud",
    attack=("T1552.005",),
    microsoft=("MS-TA9028", "MS-TA9033"),
    assumes=("CLOUD-TRUST", "NP-ENFORCED"),
    examples=(
        Example(
            title="a pod that may send anywhere",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="CloudIdentity/node:worker-1",
            verdict="conditional",
            edit=("cidr: 0.0.0.0/0", "cidr: 10.0.0.0/8"),
        ),
        Example(
            title="a policy keeps the pod from the metadata service",
            manifests=_MANIFESTS.replace("0.0.0.0/0", "0.0.0.0/0, except: [169.254.169.254/32]"),
            start="Pod/shop/web",
            goal="CloudIdentity/node:worker-1",
            verdict="none",
        ),
        Example(
            title="the identity in the cloud is no root on the node",
            manifests=_MANIFESTS.replace("spec: {nodeName", "spec: {hostNetwork: true, nodeName"),
            start="Pod/shop/web",
            goal="node",
            verdict="none",
        ),
    ),
)
