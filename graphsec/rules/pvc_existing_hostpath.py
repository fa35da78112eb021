"""Mount a claim whose volume is a path of the node.

What it is:
A claim belongs to a namespace, not to a pod: whoever makes pods there mounts it. Where its volume is a path of a node
(`hostPath`, `local`), the pod has that path.

Why it matters:
Pod Security does not look behind a claim, so even the level restricted admits it. Shared storage (NFS, ReadWriteMany)
shows the data of others in the same way.

Needs:
A way to make pods in a namespace with a claim that is bound to such a volume, or that the volume is reserved for. What
the path gives depends on the path: it is taken for the node. The pod must be placed on the volume's node, which is an
assumption.

Fix:
Use storage of a CSI driver. Keep claims on paths of nodes in namespaces in which nobody else makes pods.

References:
- https://kubernetes.io/docs/concepts/storage/persistent-volumes/
- https://kubernetes.io/docs/concepts/security/pod-security-standards/
- attacks.md §3.7, §4.1
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec: {storageClassName: '', capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {storageClassName: '', volumeName: disk, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, namespace: shop}
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

RULE = Rule(
    id="pvc-existing-hostpath",
    title="Mount a claim whose volume is a path of the node",
    family="nodes",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create or change a workload beside a claim on a hostPath or local volume",
    gains="the path on the node, so the node",
    attack=("T1611", "T1005"),
    microsoft=("MS-TA9013",),
    assumes=("SCHED",),
    examples=(
        Example(
            title="a claim that another pod was meant to use",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("hostPath: {path: /}", "csi: {driver: disk.example.com, volumeHandle: a}"),
        ),
        Example(
            title="a volume that is reserved for the claim",
            manifests=_MANIFESTS.replace("volumeName: disk, ", "").replace(
                "hostPath:", "claimRef: {namespace: shop, name: data}, hostPath:"
            ),
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("claimRef: {namespace: shop", "claimRef: {namespace: mail"),
        ),
        Example(
            title="claims of other namespaces cannot be mounted",
            manifests=_MANIFESTS.replace("{name: data, namespace: shop}", "{name: data, namespace: mail}"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
        Example(
            title="reading the claim mounts nothing",
            manifests=_MANIFESTS.replace(
                "resources: [pods], verbs: [create]", "resources: [persistentvolumeclaims], verbs: [get]"
            ),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
    ),
)
