"""Add an ephemeral container to a pod.

What it is:
`kubectl debug` adds a container to a pod that runs. The writer chooses its image, command and security context; it may
mount the volumes of the pod, the one with the token included, and join the processes of a container.

Why it matters:
It is an exec with an image of choice, and where Pod Security admits a privileged container also the node of the pod.

Needs:
`update` or `patch` on `pods/ephemeralcontainers`; names may limit it. Pod Security judges the whole pod again. `create`
and `get` on the subresource add nothing. A mirror pod, made of a file on the node, takes none.

Fix:
Grant it to people for a short time. Enforce the level baseline, so that the container cannot open the node.

References:
- https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
- rbac.md S-39, S-93; attacks.md §3.2, §4.1
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  nodeName: worker-1
  containers: [{name: web, image: web}]
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
- {apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_NAMESPACE = """---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: privileged}}
"""

RULE = Rule(
    id="ephemeral-container",
    title="Add an ephemeral container to a pod",
    family="workloads",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="update or patch pods/ephemeralcontainers",
    gains="the pod; its node too where Pod Security admits a privileged container",
    attack=("T1609", "T1611"),
    microsoft=("MS-TA9011",),
    assumes=("PSA", "WEBHOOK"),
    core=True,
    examples=(
        Example(
            title="the container mounts the token of the pod",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="conditional",
            edit=("verbs: [patch]", "verbs: [create, get]"),
        ),
        Example(
            title="a privileged container opens the node of the pod",
            manifests=_MANIFESTS + _NAMESPACE,
            start="sa:shop/helper",
            goal="Node/worker-1",
            verdict="conditional",
            edit=("enforce: privileged", "enforce: baseline"),
        ),
        Example(
            title="a pod made of a file on the node takes none",
            manifests=_MANIFESTS.replace("shop}\nspec:", "shop, annotations: {kubernetes.io/config.mirror: x}}\nspec:"),
            start="sa:shop/helper",
            goal="Pod/shop/web",
            verdict="none",
        ),
        Example(
            title="the subresource is named with its resource",
            manifests=_MANIFESTS.replace("pods/ephemeralcontainers", "ephemeralcontainers"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="none",
        ),
    ),
)
