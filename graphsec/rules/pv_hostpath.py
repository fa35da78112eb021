"""Create a volume that is a path of the node, and mount it.

What it is:
A PersistentVolume may be a path of a node (`hostPath`, `local`). A pod mounts it through a claim, and Pod Security sees
the claim only.

Why it matters:
It opens nodes from a namespace that enforces the level restricted. The node affinity of the volume picks the node.

Needs:
`create` on `persistentvolumes` by a ClusterRoleBinding, and a way to make pods in any namespace; the two may belong to
different identities under control. No right over claims is needed: a generic ephemeral volume or the claim template of
a StatefulSet makes one, or one waits unbound.

Fix:
Leave the creation of volumes to the provisioner and the administrators. Forbid `hostPath` and `local` in volumes by an
admission policy.

References:
- https://kubernetes.io/docs/concepts/storage/persistent-volumes/
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
- attacks.md §2.9, §3.7
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: helper}
rules:
- {apiGroups: [""], resources: [persistentvolumes], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: helper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: helper, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""
_BOUND_IN_SHOP = _MANIFESTS.replace(
    "ClusterRoleBinding\nmetadata: {name: helper}", "RoleBinding\nmetadata: {name: volumes, namespace: shop}"
)

RULE = Rule(
    id="pv-hostpath",
    title="Create a volume that is a path of the node, and mount it",
    family="nodes",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create persistentvolumes at cluster scope, and create or change a workload",
    gains="root on nodes of choice",
    attack=("T1611",),
    microsoft=("MS-TA9013",),
    assumes=("SCHED",),
    core=True,
    examples=(
        Example(
            title="a volume, and a pod that the level restricted admits",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("persistentvolumes", "persistentvolumeclaims"),
        ),
        Example(
            title="a StatefulSet makes the claim",
            manifests=_MANIFESTS.replace('[""], resources: [pods]', '["apps"], resources: [statefulsets]'),
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("[statefulsets]", "[controllerrevisions]"),
        ),
        Example(
            title="a RoleBinding grants nothing on volumes",
            manifests=_BOUND_IN_SHOP,
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
        Example(
            title="a volume that no pod mounts",
            manifests=_MANIFESTS.replace("resources: [pods]", "resources: [podtemplates]"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
    ),
)
