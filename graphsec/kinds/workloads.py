"""Pods and the controllers that create them."""

from graphsec.kinds._kind import Kind
from graphsec.model import objects

_BETA = ("v1beta1", "v1beta2")

KINDS = (
    Kind(group="", kind="Pod", body=objects.Pod),
    Kind(group="", kind="ReplicationController", body=objects.Controller),
    Kind(group="apps", kind="Deployment", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="ReplicaSet", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="DaemonSet", body=objects.Controller, old_groups=("extensions",), old_versions=_BETA),
    Kind(group="apps", kind="StatefulSet", body=objects.Controller, old_versions=_BETA),
    Kind(group="batch", kind="Job", body=objects.Controller),
    Kind(group="batch", kind="CronJob", body=objects.CronJob, old_versions=("v1beta1", "v2alpha1")),
)
