"""Read credentials from a path of the node.

What it is:
A mount of a host path shows files of the node, and some of them are credentials: of the kubelet, of the control plane,
of administrators, of the machine in its cloud.

Why it matters:
Read-only mounts pass for harmless. What they give depends on the path: `/etc/kubernetes` is the cluster on a node of
the control plane and the kubelet's credential on others; most paths are nothing.

Needs:
A mount of a directory that holds such files or lies in it (`/`, `/etc`, `/etc/kubernetes/pki`, `/var/lib/kubelet/pki`,
`/var/lib/etcd`, `/root`, the directories of k3s and RKE2, cloud configurations). That the usual files are there is an
assumption. A certificate without its key is public.

Fix:
Mount the one file that is needed. Keep pods with host paths off the control plane.

References:
- https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
- https://kubernetes.io/docs/setup/best-practices/certificates/
- attacks.md §3.6
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
  volumes: [{name: host, hostPath: {path: /etc/kubernetes}}]
---
apiVersion: v1
kind: Node
metadata: {name: worker-1, labels: {node-role.kubernetes.io/control-plane: ''}}
"""

RULE = Rule(
    id="hostpath-read",
    title="Read credentials from a path of the node",
    family="escape",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="a mount of a path that holds credentials",
    gains="the credentials that lie there",
    attack=("T1552.001", "T1552.004"),
    assumes=("NODE-FILES", "RUNTIME", "NODE-OS", "CONTROL-PLANE"),
    core=True,
    examples=(
        Example(
            title="keys and kubeconfigs on a node of the control plane",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="cluster-admin",
            verdict="conditional",
            edit=("/etc/kubernetes", "/etc/ssl"),
        ),
        Example(
            title="a worker has none of those",
            manifests=_MANIFESTS.replace(", labels: {node-role.kubernetes.io/control-plane: ''}", ""),
            start="Pod/shop/web",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="a certificate without its key",
            manifests=_MANIFESTS.replace("/etc/kubernetes", "/etc/kubernetes/pki/ca.crt"),
            start="Pod/shop/web",
            goal="cluster-admin",
            verdict="none",
        ),
        Example(
            title="reading is no root on the node",
            manifests=_MANIFESTS.replace("/etc/kubernetes", "/var/lib/kubelet").replace(
                "control-plane: ''", "worker: ''"
            ),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
