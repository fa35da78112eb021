"""Bytes to a Cluster: the only part of the package that opens files or knows a parser."""

from graphsec.loading.assemble import Input, LoadOptions, load_cluster
from graphsec.loading.audit import read_audit_logs
from graphsec.loading.defaults import all_default_objects, default_objects, with_defaults
from graphsec.loading.documents import Limits
from graphsec.loading.entries import load_entries
from graphsec.loading.memberships import load_memberships
from graphsec.loading.snapshots import write_snapshot

__all__ = [
    "Input",
    "Limits",
    "LoadOptions",
    "all_default_objects",
    "default_objects",
    "load_cluster",
    "load_entries",
    "load_memberships",
    "read_audit_logs",
    "with_defaults",
    "write_snapshot",
]
