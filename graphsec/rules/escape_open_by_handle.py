"""Open files of the node by their number.

What it is:
DAC_READ_SEARCH passes every check on reading, and lets a process open a file by its number in a file system instead of
its path. Where a file of the container lies on the disk of the node, so do all others of that disk.

Why it matters:
Without a mount it reads the kubelet's credential and the tokens of all pods on the node.

Needs:
The capability DAC_READ_SEARCH. It is assumed that the process is root, that seccomp lets the call pass, and that the
usual files are on that disk. Not in a user namespace. DAC_OVERRIDE, which containers have by default, is not enough.

Fix:
Do not add the capability. Backup tools that need it belong on nodes of their own.

References:
- https://man7.org/linux/man-pages/man2/open_by_handle_at.2.html
- https://man7.org/linux/man-pages/man7/capabilities.7.html
- attacks.md §3.6
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Node
metadata: {name: worker-1}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: worker-1
  containers:
  - name: web
    image: web
    securityContext: {capabilities: {add: [DAC_READ_SEARCH]}}
---
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: mail}
spec: {nodeName: worker-1, serviceAccountName: api, containers: [{name: api, image: api}]}
"""

RULE = Rule(
    id="escape-open-by-handle",
    title="Open files of the node by their number",
    family="escape",
    severity="high",
    confidence=Confidence.CONDITIONAL,
    needs="capability DAC_READ_SEARCH",
    gains="reading files of the node: the kubelet's credential, the files of its pods",
    attack=("T1611", "T1005"),
    assumes=("RUNTIME", "NODE-FILES"),
    examples=(
        Example(
            title="the token of another pod on the node",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="ServiceAccount/mail/api",
            verdict="conditional",
            edit=("DAC_READ_SEARCH", "DAC_OVERRIDE"),
        ),
        Example(
            title="that pod runs on another node",
            manifests=_MANIFESTS.replace("spec: {nodeName: worker-1", "spec: {nodeName: worker-2"),
            start="Pod/shop/web",
            goal="ServiceAccount/mail/api",
            verdict="none",
        ),
        Example(
            title="reading is no root on the node",
            manifests=_MANIFESTS,
            start="Pod/shop/web",
            goal="Node/worker-1",
            verdict="none",
        ),
    ),
)
