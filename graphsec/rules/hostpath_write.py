"""Write to a path of the node.

What it is:
A writable host path changes files that the node acts on: timers and services, pod manifests of the kubelet, network
plugins, programs, devices.

Why it matters:
Such a file is a command that root runs on the node.

Needs:
A mount that is not read-only. For paths from which the node runs code (`/`, `/etc` and its `cron.d`, `systemd`,
`kubernetes/manifests`, `/opt/cni/bin`, `/usr/bin`, `/lib/modules`, `/var/lib/kubelet`, `/root`, `/dev`) it is certain,
for other paths a guess, unless they are known to be harmless. A volume that no container mounts does nothing.

Fix:
Mount with `readOnly: true`, or use an emptyDir or a claim.

References:
- https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
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
    volumeMounts: [{name: host, mountPath: /host, readOnly: false}]
  volumes: [{name: host, hostPath: {path: /opt/cni/bin}}]
"""

RULE = Rule(
    id="hostpath-write",
    title="Write to a path of the node",
    family="escape",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="a writable mount of a path of the node that is not known to be harmless",
    gains="root on the node",
    attack=("T1611",),
    microsoft=("MS-TA9013",),
    assumes=("RUNTIME", "NODE-OS"),
    core=True,
    examples=(
        Example(
            title="programs that the runtime starts as root",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="proved",
            edit=("readOnly: false", "readOnly: true"),
        ),
        Example(
            title="a path of which the node may or may not take notice",
            manifests=_MANIFESTS.replace("/opt/cni/bin", "/srv/data"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("/srv/data", "/etc/localtime"),
        ),
        Example(
            title="a volume that nobody mounts",
            manifests=_MANIFESTS.replace("{name: host, mountPath", "{name: other, mountPath"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
        Example(
            title="what is mounted is a harmless part of the volume",
            manifests=_MANIFESTS.replace("/opt/cni/bin", "/dev").replace("mountPath:", "subPath: urandom, mountPath:"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
