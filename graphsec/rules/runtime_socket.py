"""Ask the container runtime of the node for a container.

What it is:
Through its socket a container runtime starts containers with any right, and asks nobody who is calling. A mount of the
socket or of a directory that holds it is enough.

Why it matters:
It is root on the node. `readOnly` does not help: to connect is not to write a file.

Needs:
A host path that holds the socket of Docker, containerd, CRI-O, k3s, MicroK8s, k0s or Podman, mounted in a container
under control. `/var/run` is a link to `/run`, so both spellings count.

Fix:
Build images without the runtime of the node. Read metrics through the kubelet instead of the socket.

References:
- https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
- https://kubernetes.io/docs/setup/production-environment/container-runtimes/
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
  volumes: [{name: host, hostPath: {path: /var/run/docker.sock}}]
"""

RULE = Rule(
    id="runtime-socket",
    title="Ask the container runtime of the node for a container",
    family="escape",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="a mount of the socket of a container runtime, or of a directory that holds it",
    gains="root on the node",
    attack=("T1611", "T1610"),
    microsoft=("MS-TA9013",),
    assumes=("RUNTIME", "NODE-OS"),
    core=True,
    examples=(
        Example(
            title="a socket that is mounted read-only",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="proved",
            edit=("docker.sock", "docker.pid"),
        ),
        Example(
            title="a directory that holds one",
            manifests=_MANIFESTS.replace("/var/run/docker.sock", "/run/containerd"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="proved",
            edit=("/run/containerd", "/run/systemd"),
        ),
        Example(
            title="other directories of /run hold no such socket",
            manifests=_MANIFESTS.replace("/var/run/docker.sock", "/run/udev"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
