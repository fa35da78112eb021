"""Pods and the controllers that create them."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from graphsec.kinds._kind import Kind
from graphsec.model import objects

_BETA = ("v1beta1", "v1beta2")

#: What the pods of one template have in common.
_SHARED = (
    "containers",
    "init_containers",
    "ephemeral_containers",
    "volumes",
    "security_context",
    "service_account_name",
    "service_account",
)
_shared = attrgetter(*_SHARED)
_RELEVANT = (objects.MIRROR, objects.APP_ARMOR)


class _PodReader:
    """Lets the pods of one template share what is equal in them: 150,000 pods have some thousand templates."""

    def __init__(self) -> None:
        self._specs: dict[Any, Any] = {}
        self._labels: dict[Any, dict[str, str]] = {}
        self._owners: dict[Any, Any] = {}
        self._words: dict[Any, Any] = {}
        self._annotations: dict[Any, Any] = {}

    def __call__(self, pod: objects.Pod) -> objects.Pod:
        # The object is fresh from the decoder and nobody else's yet: its frozen fields may still be set.
        spec, metadata = pod.spec, pod.metadata
        _name_token_volume(spec)
        own = _shared(spec)
        shared = self._specs.setdefault(own, own)
        if shared is not own:
            for name, value in zip(_SHARED, shared, strict=True):
                force_setattr(spec, name, value)
        force_setattr(spec, "node_name", self._words.setdefault(spec.node_name, spec.node_name))
        labels, owners = metadata.labels, metadata.owner_references
        if labels is not None:
            force_setattr(metadata, "labels", self._labels.setdefault(tuple(labels.items()), labels))
        force_setattr(metadata, "owner_references", self._owners.setdefault(owners, owners))
        found = _annotations(metadata.annotations)
        force_setattr(metadata, "annotations", self._annotations.setdefault(found, msgspec.Raw(found)))
        status = pod.status
        if status is not None:
            force_setattr(status, "phase", self._words.setdefault(status.phase, status.phase))
            if status.pod_ips is not None and len(status.pod_ips) == 1 and status.pod_ips[0].ip == status.pod_ip:
                force_setattr(status, "pod_ips", None)
        return pod


_TOKEN_VOLUME = "kube-api-access-"


def _name_token_volume(spec: objects.PodSpec) -> None:
    """The volume that the API server adds is named at random; without that, pods of one template are equal."""
    for volume in spec.volumes or ():
        name = volume.name
        if name.startswith(_TOKEN_VOLUME):
            force_setattr(volume, "name", _TOKEN_VOLUME)
            for container in spec.all_containers:
                for mount in container.volume_mounts or ():
                    if mount.name == name:
                        force_setattr(mount, "name", _TOKEN_VOLUME)


def _annotations(written: msgspec.Raw) -> bytes:
    """Those with a meaning; most pods have none, and theirs are never decoded."""
    text = bytes(written)
    if not any(key.encode() in text for key in _RELEVANT):
        return b""
    found = msgspec.json.decode(text, type=dict[str, str])
    kept = {key: value for key, value in sorted(found.items()) if key.startswith(_RELEVANT)}
    return msgspec.json.encode(kept)


KINDS = (
    Kind(group="", kind="Pod", body=objects.Pod, reader=_PodReader),
    Kind(group="", kind="ReplicationController", body=objects.Controller),
    Kind(group="apps", kind="Deployment", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="ReplicaSet", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="DaemonSet", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="StatefulSet", body=objects.Controller, old_versions=_BETA),
    Kind(group="batch", kind="Job", body=objects.Controller),
    # Its pods are virt-launcher's, which carry the labels of the template.
    Kind(group="kubevirt.io", kind="VirtualMachine", body=objects.Controller, namespaced=True),
    Kind(group="batch", kind="CronJob", body=objects.CronJob, old_versions=("v1beta1", "v2alpha1")),
)
