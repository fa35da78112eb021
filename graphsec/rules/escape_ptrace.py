"""Trace a process of the node.

What it is:
With `hostPID` a container sees the processes of its node, and SYS_PTRACE lets it read and change the memory of others:
code is put into a process that runs as root outside.

Why it matters:
It is the pair of fields that debuggers and profilers ask for.

Needs:
`hostPID: true` and the capability SYS_PTRACE. Whether it works depends on the node: AppArmor's default profile allows
tracing inside the profile only, Yama may forbid it, and SYS_ADMIN is needed in practice. Nothing follows where the
profile RuntimeDefault is asked for, at the pod or the container, nor in a user namespace.

Fix:
Use `shareProcessNamespace` or an ephemeral container to debug a pod. Ask for the AppArmor profile RuntimeDefault.

References:
- https://man7.org/linux/man-pages/man2/ptrace.2.html
- https://kubernetes.io/docs/tutorials/security/apparmor/
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
  hostPID: true
  containers:
  - name: web
    image: web
    securityContext: {capabilities: {add: [SYS_PTRACE]}}
"""

RULE = Rule(
    id="escape-ptrace",
    title="Trace a process of the node",
    family="escape",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="hostPID and SYS_PTRACE, no AppArmor profile of the runtime",
    gains="a process of the node that runs as root",
    attack=("T1611", "T1055.008"),
    assumes=("RUNTIME",),
    examples=(
        Example(
            title="code is put into a process of the node",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("hostPID: true", "hostPID: false"),
        ),
        Example(
            title="within the pod the capability reaches the pod only",
            manifests=_MANIFESTS.replace("hostPID", "shareProcessNamespace"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
        Example(
            title="a profile that is asked for at the pod counts",
            manifests=_MANIFESTS.replace(
                "  containers:", "  securityContext: {appArmorProfile: {type: RuntimeDefault}}\n  containers:"
            ),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
