"""Claim a volume that waits for anybody.

What it is:
A PersistentVolume that is not reserved binds to the first claim that fits, in any namespace; a claim may name it. What
is on it belongs to the pod that mounts the claim.

Why it matters:
Volumes prepared by hand are often left for whoever comes first. Where such a volume is a path of a node (`hostPath`,
`local`), it is the node.

Needs:
An available volume without `claimRef`, and a way to make pods in any namespace. A generic ephemeral volume makes the
claim, so no right over claims is needed. Class, mode, access modes and size are the attacker's to choose. Volumes on a
path of a node are followed; the data on others is not.

Fix:
Reserve a volume by its `claimRef`. Delete volumes that nobody uses.

References:
- https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume
- attacks.md §3.7
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
    id="pv-claim-available",
    title="Claim a volume that waits for anybody",
    family="nodes",
    severity="high",
    confidence=Confidence.CERTAIN,
    needs="create or change a workload, and a hostPath or local volume that is not reserved",
    gains="what is on the volume, so the node",
    attack=("T1611", "T1005"),
    microsoft=("MS-TA9013",),
    assumes=("SCHED",),
    examples=(
        Example(
            title="a path of the node that is free for anybody",
            manifests=_MANIFESTS,
            start="sa:shop/helper",
            goal="node",
            verdict="conditional",
            edit=("hostPath:", "claimRef: {namespace: mail, name: data}, hostPath:"),
        ),
        Example(
            title="bound to a claim of another namespace",
            manifests=_MANIFESTS.replace("hostPath:", "claimRef: {namespace: mail, name: data}, hostPath:"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
        Example(
            title="claiming without a pod that mounts it",
            manifests=_MANIFESTS.replace("resources: [pods]", "resources: [persistentvolumeclaims]"),
            start="sa:shop/helper",
            goal="node",
            verdict="none",
        ),
    ),
)
