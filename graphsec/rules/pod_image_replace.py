"""Replace the image of a pod that runs.

What it is:
Of a pod that exists little can be changed, but the images of its containers can. The kubelet then starts the new image
with the old account, volumes and security context.

Why it matters:
`patch pods` runs code of choice in every pod of the namespace: as its account and, where the pod is privileged, on its
node. It brings no other account and no new volume.

Needs:
`update` or `patch` on `pods`; names may limit it. A change of the image makes Pod Security judge the whole pod again: a
privileged pod that was there before its namespace became restricted cannot be changed. Without a label, that such a pod
passes is assumed.

Fix:
Grant `update` and `patch` on pods to controllers only. People change the workload, not its pods.

References:
- https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement
- attacks.md §3.2, §4.1
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  serviceAccountName: web
  containers: [{name: web, image: web}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_RESTRICTED = """---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
"""

RULE = Rule(
    id="pod-image-replace",
    title="Replace the image of a pod that runs",
    family="workloads",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="update or patch pods",
    gains="the pod: its ServiceAccount, what it mounts, its access to the node",
    attack=("T1610",),
    microsoft=("MS-TA9012",),
    assumes=("PSA", "WEBHOOK"),
    core=True,
    examples=(
        Example(
            title="the new image runs as the account of the pod",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="conditional",
            edit=("resources: [pods]", "resources: [pods/status]"),
        ),
        Example(
            title="limited to the name of the pod",
            manifests=_MANIFESTS.replace("verbs: [patch]", "verbs: [update], resourceNames: [web]"),
            start="sa:shop/helper",
            goal="ServiceAccount/shop/web",
            verdict="conditional",
            edit=("resourceNames: [web]", "resourceNames: [mail]"),
        ),
        Example(
            title="the account of a pod cannot be changed",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="ServiceAccount/shop/deployer",
            verdict="none",
        ),
        Example(
            title="a privileged pod in a namespace that became restricted is judged again",
            manifests=_MANIFESTS.replace("image: web", "image: web, securityContext: {privileged: true}") + _RESTRICTED,
            start="sa:shop/helper",
            goal="Pod/shop/web",
            verdict="none",
        ),
    ),
)
