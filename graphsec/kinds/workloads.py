"""Pods and the controllers that create them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import force_setattr

from graphsec.kinds._kind import Kind
from graphsec.model import objects

_BETA = ("v1beta1", "v1beta2")

_SPEC_PARTS = ("containers", "init_containers", "volumes", "node_name", "service_account_name", "service_account")


class _PodReader:
    """Lets the pods of one template share what is equal in them: 150,000 pods have some thousand templates."""

    def __init__(self) -> None:
        self._pool: dict[Any, Any] = {}

    def __call__(self, pod: objects.Pod) -> objects.Pod:
        pool, spec, metadata = self._pool, pod.spec, pod.metadata
        # The objects are fresh from the decoder and nobody else's yet: their frozen fields may still be set.
        for name in _SPEC_PARTS:
            value = getattr(spec, name)
            if value is not None:
                force_setattr(spec, name, pool.setdefault(value, value))
        if metadata.labels is not None:
            force_setattr(metadata, "labels", pool.setdefault(tuple(metadata.labels.items()), metadata.labels))
        owners = metadata.owner_references
        if owners is not None:
            force_setattr(metadata, "owner_references", pool.setdefault(owners, owners))
        return pod


KINDS = (
    Kind(group="", kind="Pod", body=objects.Pod, reader=_PodReader),
    Kind(group="", kind="ReplicationController", body=objects.Controller),
    Kind(group="apps", kind="Deployment", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="ReplicaSet", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="DaemonSet", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="StatefulSet", body=objects.Controller, old_versions=_BETA),
    Kind(group="batch", kind="Job", body=objects.Controller),
    Kind(group="batch", kind="CronJob", body=objects.CronJob, old_versions=("v1beta1", "v2alpha1")),
)
