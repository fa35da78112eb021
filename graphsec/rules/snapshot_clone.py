"""Copy the data of a claim through a snapshot.

What it is:
A VolumeSnapshot is a copy of the data of a claim, and a new claim may be filled from it. A pod that mounts the new
claim reads the data.

Why it matters:
The data is read without touching the pod that uses it, also where its claim can be mounted once only.

Needs:
`create` on `volumesnapshots` in the namespace of the claim, `create` on `persistentvolumeclaims` and a way to make pods
there; they may belong to different identities under control. Another namespace is reached by a VolumeSnapshotContent or
a ReferenceGrant only. That the driver copies for the writer is an assumption.

Fix:
Grant snapshots to the backup only. Encrypt data with keys that the application holds.

References:
- https://kubernetes.io/docs/concepts/storage/volume-snapshots/
- attacks.md §3.7
"""

from __future__ import annotations

from graphsec.model.attack import Confidence, Example, Rule

_MANIFESTS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: volumesnapshots.snapshot.storage.k8s.io}
spec:
  group: snapshot.storage.k8s.io
  scope: Namespaced
  names: {kind: VolumeSnapshot, plural: volumesnapshots}
  versions: [{name: v1}]
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
- {apiGroups: [snapshot.storage.k8s.io], resources: [volumesnapshots], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: helper, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helper}
subjects: [{kind: ServiceAccount, name: helper, namespace: shop}]
"""

RULE = Rule(
    id="snapshot-clone",
    title="Copy the data of a claim through a snapshot",
    family="nodes",
    severity="medium",
    confidence=Confidence.CONDITIONAL,
    needs="create volumesnapshots, and claim and mount the copy",
    gains="the data of a claim",
    attack=("T1005", "T1578.001"),
    assumes=("DEPUTY-CONFIG",),
    examples=(
        Example(
            title="data is no root on the node",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
        Example(
            title="nor are Secrets in a snapshot of the claim",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="secrets:all",
            verdict="none",
        ),
    ),
)
