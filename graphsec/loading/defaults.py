"""The RBAC objects that every cluster is born with, one data file per minor version (docs/decisions/0004)."""

from __future__ import annotations

from functools import cache
from importlib import resources

from graphsec.errors import UsageError
from graphsec.loading.assemble import Assembler, LoadOptions
from graphsec.loading.forms import FORMS
from graphsec.loading.sources import Blob
from graphsec.model.cluster import Cluster
from graphsec.model.discovery import MINORS

#: Of old dumps: the last minor before the first of ``MINORS`` whose objects the package knows.
_OLD_MINOR = 26


@cache
def default_objects(minor: int) -> Cluster:
    """The shipped objects of a minor version. Raises UsageError for one that the package has no file of."""
    if minor not in (_OLD_MINOR, *MINORS):
        raise UsageError(f"no default objects of Kubernetes 1.{minor}", help=f"known: 1.{MINORS[0]} to 1.{MINORS[-1]}")
    name = f"data/defaults/1.{minor}.json"
    assembler = Assembler(LoadOptions())
    assembler.add_blob(Blob(f"<defaults 1.{minor}>", resources.files("graphsec").joinpath(name).read_bytes(), FORMS[-1]))
    return assembler.cluster()


def all_default_objects() -> tuple[Cluster, ...]:
    """Those of every minor that the package knows, for telling built-in bindings by content."""
    return tuple(default_objects(minor) for minor in (_OLD_MINOR, *MINORS))
