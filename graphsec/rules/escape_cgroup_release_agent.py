"""Let the kernel run a program on the node when a control group empties.

What it is:
A control group of version 1 may name a program that the kernel starts as root, outside of all containers, when the last
process of the group ends. With SYS_ADMIN a container mounts such a hierarchy and writes the name.

Why it matters:
SYS_ADMIN alone is then root on the node.

Needs:
The capability SYS_ADMIN, a node with control groups of version 1, and neither AppArmor nor seccomp in the way. The
input shows none of these but a profile that is asked for: with AppArmor's RuntimeDefault nothing follows, nor in a user
namespace. Privileged containers have shorter ways.

Fix:
Do not add SYS_ADMIN. Run nodes with control groups of version 2, which have no such program.

References:
- https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html
- https://man7.org/linux/man-pages/man7/capabilities.7.html
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
    securityContext: {capabilities: {add: [SYS_ADMIN]}}
"""

RULE = Rule(
    id="escape-cgroup-release-agent",
    title="Let the kernel run a program on the node when a control group empties",
    family="escape",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="SYS_ADMIN, cgroup v1, no AppArmor or seccomp profile",
    gains="root on the node",
    attack=("T1611",),
    assumes=("NODE-OS", "RUNTIME"),
    examples=(
        Example(
            title="the capability, on a node that permits it",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("SYS_ADMIN", "SYS_NICE"),
        ),
        Example(
            title="AppArmor's profile of the runtime forbids the mount",
            manifests=_MANIFESTS.replace("capabilities:", "appArmorProfile: {type: RuntimeDefault}, capabilities:"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
        Example(
            title="a user namespace takes it away",
            manifests=_MANIFESTS.replace("  containers:", "  hostUsers: false\n  containers:"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
