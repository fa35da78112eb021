"""Core objects: namespaces, nodes, accounts, secrets, volumes."""

from graphsec.kinds._kind import Kind
from graphsec.model import objects

KINDS = (
    Kind(group="", kind="Namespace", body=objects.Plain),
    Kind(group="", kind="Node", body=objects.Node),
    Kind(group="", kind="ServiceAccount", body=objects.ServiceAccount),
    Kind(group="", kind="Secret", body=objects.Secret),
    Kind(group="", kind="ConfigMap", body=objects.Plain),
    Kind(group="", kind="PersistentVolume", body=objects.PersistentVolume),
    Kind(group="", kind="PersistentVolumeClaim", body=objects.Claim),
)
