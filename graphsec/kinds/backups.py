"""Copies of data: snapshots of volumes, and the objects by which Velero backs up and restores."""

from graphsec.kinds._kind import Kind
from graphsec.model import objects

_SNAPSHOT, _VELERO = "snapshot.storage.k8s.io", "velero.io"

KINDS = (
    Kind(group=_SNAPSHOT, kind="VolumeSnapshot", body=objects.Plain, namespaced=True),
    Kind(group=_SNAPSHOT, kind="VolumeSnapshotContent", body=objects.Plain, namespaced=False),
    Kind(group=_VELERO, kind="Schedule", body=objects.Schedule, namespaced=True, qualified=True),
    Kind(group=_VELERO, kind="Backup", body=objects.Plain, namespaced=True, qualified=True),
    Kind(group=_VELERO, kind="Restore", body=objects.Plain, namespaced=True, qualified=True),
)
