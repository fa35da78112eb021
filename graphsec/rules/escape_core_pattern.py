"""Let the kernel run a program on the node when a process crashes.

What it is:
`/proc/sys/kernel/core_pattern` may name a program, and the kernel starts that as root, outside of all containers, when
a process crashes. Whoever can write the file chooses it.

Why it matters:
A mount of `/proc` for monitoring, without `readOnly`, is root on the node. No capability is needed.

Needs:
User 0, and a writable host path that holds the file (`/`, `/proc`, `/proc/sys`, `/proc/sys/kernel`), or `privileged`.
That the image runs as root is assumed where nothing is written. The mount of one container says nothing of another one.
Not in a user namespace.

Fix:
Mount `/proc` with `readOnly: true`, or not at all. Run as another user.

References:
- https://man7.org/linux/man-pages/man5/core.5.html
- https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
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
  volumes: [{name: host, hostPath: {path: /proc}}]
"""

RULE = Rule(
    id="escape-core-pattern",
    title="Let the kernel run a program on the node when a process crashes",
    family="escape",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="user 0, and a writable mount of /proc/sys/kernel or privileged",
    gains="root on the node",
    attack=("T1611",),
    assumes=("RUNTIME",),
    examples=(
        Example(
            title="a writable mount of /proc",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("readOnly: false", "readOnly: true"),
        ),
        Example(
            title="another user cannot write the file",
            manifests=_MANIFESTS.replace("  containers:", "  securityContext: {runAsUser: 1000}\n  containers:"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
        Example(
            title="a part of /proc without the file",
            manifests=_MANIFESTS.replace("/proc}", "/proc/sys/net}"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
