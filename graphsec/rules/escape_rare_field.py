"""Leave a container through a field that few know.

What it is:
Beside the well-known fields there are others that let a container out or loosen it. Each does something else, so each
is reported with its own effect.

Why it matters:
Tools that check one flag miss them, and some are root on the node: `procMount: Unmasked`, mounts with `Bidirectional`
propagation, host processes on Windows, SYS_RAWIO, BPF, SYS_BOOT, and gitRepo volumes on old kubelets. Others read files
of the node (MKNOD, PERFMON, raw devices) or only weaken (NET_ADMIN, SYS_TIME, DAC_OVERRIDE, `spc_t`, AppArmor
unconfined, hostPort).

Needs:
The field, in any container of a pod under control. Whether it is enough depends on the node: a guess. Only those that
may end in root are a step to the node. Capabilities count only if they are added, and not in a user namespace. The
driver of gitRepo volumes is off from 1.33 on.

Fix:
Enforce the level baseline, which forbids most of them; raw devices, gitRepo volumes and DAC_OVERRIDE pass it.

References:
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
- https://github.com/kubernetes/kubernetes/issues/128885
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
    securityContext: {procMount: Unmasked}
"""
_GIT = _MANIFESTS.replace(
    "    securityContext: {procMount: Unmasked}\n", "    volumeMounts: [{name: git, mountPath: /git}]\n"
)
_GIT += "  volumes: [{name: git, gitRepo: {repository: https://git.example.com/x}}]\n"

RULE = Rule(
    id="escape-rare-field",
    title="Leave a container through a field that few know",
    family="escape",
    severity="medium",
    confidence=Confidence.HEURISTIC,
    needs="a field or capability of the list",
    gains="by field: the node, its files, or less confinement",
    attack=("T1611",),
    assumes=("RUNTIME", "NODE-OS"),
    examples=(
        Example(
            title="an unmasked /proc can be written to",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("Unmasked", "Default"),
        ),
        Example(
            title="the hooks of a repository run on an old node",
            manifests=_GIT,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("gitRepo: {repository: https://git.example.com/x}", "emptyDir: {}"),
            k8s_version="1.31",
        ),
        Example(
            title="the driver is off from 1.33 on",
            manifests=_GIT,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
        Example(
            title="NET_ADMIN weakens the network, it is no root",
            manifests=_MANIFESTS.replace("procMount: Unmasked", "capabilities: {add: [NET_ADMIN]}"),
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
