"""Use the network of the node.

What it is:
With `hostNetwork` a pod has the addresses of its node and listens on the node's own interfaces.

Why it matters:
It reaches services that trust the machine: those that listen on localhost, the kubelet, the metadata service of the
cloud with the node's identity. Network policies do not hold it.

Needs:
`hostNetwork: true` and code in the pod. It is a place in the network and no root: files and processes of the node stay
out of reach. `hostIPC` and a hostPort are not even that.

Fix:
Use a Service or a hostPort. Agents that need the network of the node belong in a namespace of their own.

References:
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
- https://kubernetes.io/docs/concepts/services-networking/network-policies/
- attacks.md §3.6, §8
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-1
  hostNetwork: true
  containers: [{name: web, image: web}]
"""

RULE = Rule(
    id="host-network",
    title="Use the network of the node",
    family="escape",
    severity="medium",
    confidence=Confidence.CERTAIN,
    needs="hostNetwork: true",
    gains="local services of the node, the metadata service, a way past network policies",
    attack=("T1557", "T1552.005"),
    microsoft=("MS-TA9034",),
    examples=(
        Example(
            title="it is no root on the node",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
        Example(
            title="nor is it with hostIPC",
            manifests=_MANIFESTS.replace("hostNetwork: true", "hostNetwork: true\n  hostIPC: true"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
