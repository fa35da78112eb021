"""Attach to a process that runs in a container.

What it is:
`kubectl attach` joins the streams of the main process of a container. The request is `create` on `pods/attach` (POST),
or `get` where a WebSocket is opened; from Kubernetes 1.35 on a WebSocket needs `create` as well.

Why it matters:
A process that reads commands from its input, a shell above all, does what it is told. Most containers read none: this
is an assumption about the image.

Needs:
`create` on `pods/attach` in the pod's namespace; names may limit it. `get` alone works below 1.35. The container must
keep its input open and act on it.

Fix:
Do not set `stdin` in pods that need none. Grant attach as sparingly as exec.

References:
- https://kubernetes.io/docs/reference/kubectl/generated/kubectl_attach/
- rbac.md S-37; attacks.md §3.5
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers: [{name: web, image: web, stdin: true}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods/attach], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="pod-attach",
    title="Attach to a process that runs in a container",
    family="execution",
    severity="medium",
    confidence=Confidence.CERTAIN,
    needs="create pods/attach (below 1.35 get is enough)",
    gains="the process, and with it the pod",
    attack=("T1609",),
    microsoft=("MS-TA9006",),
    assumes=("RUNTIME", "GATE-OFF"),
    examples=(
        Example(
            title="the container takes commands",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="conditional",
            edit=("pods/attach", "pods/log"),
        ),
        Example(
            title="get alone is enough before 1.35",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [get]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="conditional",
            edit=("verbs: [get]", "verbs: [list]"),
            k8s_version="1.34",
        ),
        Example(
            title="the input of the container may be closed: the API server lets it pass",
            manifests=_MANIFESTS.replace(", stdin: true", ""),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="conditional",
            edit=("pods/attach", "pods/portforward"),
        ),
        Example(
            title="another pod by name",
            manifests=_MANIFESTS.replace("verbs: [create]", "verbs: [create], resourceNames: [mail]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="none",
        ),
    ),
)
