"""Load a module into the kernel of the node.

What it is:
The capability SYS_MODULE lets a process load kernel modules. All containers of a node share its kernel, so the code of
a module runs beneath all of them.

Why it matters:
It is more than root: no profile or namespace binds the kernel.

Needs:
SYS_MODULE among the added capabilities, in any spelling (`CAP_SYS_MODULE`, lower case), or ALL without dropping it, or
`privileged`. Not in a user namespace. Nothing follows for a user other than root with `allowPrivilegeEscalation:
false`, who has no capabilities. Where it is added and dropped by name, runtimes differ: an assumption.

Fix:
Load modules when the node boots. Drop ALL capabilities and add back the few that are used.

References:
- https://man7.org/linux/man-pages/man7/capabilities.7.html
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
    securityContext: {capabilities: {add: [SYS_MODULE]}}
"""

RULE = Rule(
    id="escape-kernel-module",
    title="Load a module into the kernel of the node",
    family="escape",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="capability SYS_MODULE, ALL or privileged, no user namespace",
    gains="the kernel of the node",
    attack=("T1611", "T1547.006"),
    microsoft=("MS-TA9018",),
    assumes=("RUNTIME",),
    core=True,
    examples=(
        Example(
            title="the capability is enough",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="proved",
            edit=("SYS_MODULE", "SYS_CHROOT"),
        ),
        Example(
            title="prefix and case do not matter",
            manifests=_MANIFESTS.replace("SYS_MODULE", "cap_sys_module"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="proved",
            edit=("cap_sys_module", "cap_chown"),
        ),
        Example(
            title="a user namespace takes it away",
            manifests=_MANIFESTS.replace("  containers:", "  hostUsers: false\n  containers:"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
        Example(
            title="a user other than root has no capabilities",
            manifests=_MANIFESTS.replace(
                "capabilities:", "runAsUser: 1000, allowPrivilegeEscalation: false, capabilities:"
            ),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
