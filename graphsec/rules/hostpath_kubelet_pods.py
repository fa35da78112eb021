"""Read the volumes of all pods on the node.

What it is:
The kubelet keeps the volumes of pods below `/var/lib/kubelet/pods`: tokens of their accounts, Secrets, whatever is
projected. A mount of that directory, or of one above it, shows them.

Why it matters:
It is every account and every mounted Secret of the node's pods, without an API request. `readOnly` does not help.

Needs:
A mount that covers the directory or lies in it. It reaches the pods on that node and no others; which pods of interest
are placed there is an assumption.

Fix:
Mount only what is needed, for instance `/var/lib/kubelet/plugins`. Keep pods of high value on nodes without such
mounts.

References:
- https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
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
  containers:
  - name: web
    image: web
    volumeMounts: [{name: host, mountPath: /host, readOnly: true}]
  volumes: [{name: host, hostPath: {path: /var/lib/kubelet/pods}}]
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: mail}
spec:
  nodeName: worker-1
  serviceAccountName: api
  containers: [{name: api, image: api, volumeMounts: [{name: keys, mountPath: /keys}]}]
  volumes: [{name: keys, secret: {secretName: keys}}]
"""

RULE = Rule(
    id="hostpath-kubelet-pods",
    title="Read the volumes of all pods on the node",
    family="escape",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="a mount that covers /var/lib/kubelet/pods, read-only too",
    gains="tokens and Secrets of the pods on that node",
    attack=("T1528", "T1552.001"),
    microsoft=("MS-TA9016",),
    assumes=("SCHED", "RUNTIME", "NODE-OS"),
    core=True,
    examples=(
        Example(
            title="the token of a pod on the same node",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="ServiceAccount/mail/api",
            verdict="conditional",
            edit=("/var/lib/kubelet/pods", "/var/lib/kubelet/plugins"),
        ),
        Example(
            title="a Secret that the pod mounts",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Secret/mail/keys",
            verdict="conditional",
            edit=("/var/lib/kubelet/pods", "/var/lib/kubelet/plugins"),
        ),
        Example(
            title="pods of other nodes are not there",
            manifests=_MANIFESTS.replace(
                "nodeName: worker-1\n  serviceAccountName", "nodeName: worker-2\n  serviceAccountName"
            ),
            start="Pod/shop/web",
            goal="ServiceAccount/mail/api",
            verdict="none",
        ),
        Example(
            title="a Secret that no pod of the node mounts",
            manifests=_MANIFESTS.replace("secretName: keys", "secretName: other"),
            start="Pod/shop/web",
            goal="Secret/mail/keys",
            verdict="none",
        ),
    ),
)
