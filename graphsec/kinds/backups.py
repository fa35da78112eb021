"""What backs up claims."""

from graphsec.kinds._kind import Kind
from graphsec.model import objects

KINDS = (Kind(group="velero.io", kind="Schedule", body=objects.Schedule, namespaced=True, qualified=True),)
