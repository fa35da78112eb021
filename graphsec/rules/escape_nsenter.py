"""Enter the namespaces of the node's first process.

What it is:
With `hostPID` a container sees process 1 of its node. With SYS_ADMIN it may join that process's namespaces, its file
system first, and then runs outside the container.

Why it matters:
Two fields that each look like monitoring give a shell on the node.

Needs:
`hostPID: true` and `privileged` or the capability SYS_ADMIN. SYS_PTRACE is not needed besides. With the capability
alone, that the runtime's profiles do not stand in the way is an assumption. Not in a user namespace.

Fix:
Drop one of the two: agents that look at processes need `hostPID` and SYS_PTRACE at most.

References:
- https://man7.org/linux/man-pages/man2/setns.2.html
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
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
  hostPID: true
  containers:
  - name: web
    image: web
    securityContext: {capabilities: {add: [SYS_ADMIN]}}
"""

RULE = Rule(
    id="escape-nsenter",
    title="Enter the namespaces of the node's first process",
    family="escape",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="hostPID, and SYS_ADMIN or privileged",
    gains="root on the node",
    attack=("T1611",),
    microsoft=("MS-TA9018",),
    assumes=("RUNTIME",),
    core=True,
    examples=(
        Example(
            title="SYS_ADMIN joins the namespaces of process 1",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("SYS_ADMIN", "SYS_CHROOT"),
        ),
        Example(
            title="ALL holds it",
            manifests=_MANIFESTS.replace(
                "add: [SYS_ADMIN]", "add: [ALL], drop: [SYS_MODULE, SYS_PTRACE, SYS_RAWIO, BPF, SYS_BOOT]"
            ),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("add: [ALL]", "add: [CHOWN]"),
        ),
        Example(
            title="hostPID alone shows processes and no more",
            manifests=_MANIFESTS.replace("SYS_ADMIN", "NET_BIND_SERVICE"),
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
