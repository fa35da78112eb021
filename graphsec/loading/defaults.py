"""The RBAC objects that every cluster is born with, one data file per minor version (docs/decisions/0004)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import resources

from graphsec.errors import UsageError
from graphsec.loading.assemble import Assembler, LoadOptions
from graphsec.loading.forms import FORMS
from graphsec.loading.merging import Both
from graphsec.loading.sources import Blob
from graphsec.model.cluster import Cluster, Made, Shelves
from graphsec.model.coverage import RBAC_KINDS, Coverage, InputForm, KindCoverage, State
from graphsec.model.discovery import MINORS

#: Of old dumps: the last minor before the first of ``MINORS`` whose objects the package knows.
_OLD_MINOR = 26
_FLAG = "--with-defaults"


@cache
def default_objects(minor: int) -> Cluster:
    """The shipped objects of a minor version. Raises UsageError for one that the package has no file of."""
    if minor not in (_OLD_MINOR, *MINORS):
        raise UsageError(f"no default objects of Kubernetes 1.{minor}", help=f"known: 1.{MINORS[0]} to 1.{MINORS[-1]}")
    data = resources.files("graphsec").joinpath(f"data/defaults/1.{minor}.json").read_bytes()
    assembler = Assembler(LoadOptions())
    assembler.add_blob(Blob(f"<defaults 1.{minor}>", data, FORMS[-1]), _FLAG)
    return assembler.cluster()


def all_default_objects() -> tuple[Cluster, ...]:
    """Those of every minor that the package knows, for telling built-in bindings by content."""
    return tuple(default_objects(minor) for minor in (_OLD_MINOR, *MINORS))


def with_defaults(cluster: Cluster, defaults: Cluster) -> Cluster:
    """``cluster`` with the objects of ``defaults`` that it does not hold itself."""
    own, shipped = Shelves.of(cluster.objects).shelves, Shelves.of(defaults.objects).shelves
    both = {kind: Both(shipped[kind], own.get(kind, Made(()))) for kind in shipped}
    objects = Shelves({**own, **both})
    if not any(cluster.coverage[kind].objects for kind in RBAC_KINDS):
        # Defaults complete what was collected; they do not stand for a cluster that nobody looked at.
        return replace(cluster, objects=objects)
    kinds = {*objects, *(entry.kind for entry in cluster.coverage)}
    entries = [_entry(cluster.coverage[kind], len(objects[kind]) if kind in both else 0) for kind in kinds]
    inputs = (*cluster.coverage.inputs, InputForm(path=_FLAG, title="set of default objects"))
    return replace(cluster, objects=objects, coverage=Coverage(entries, inputs))


def _entry(entry: KindCoverage, objects: int) -> KindCoverage:
    """Defaults stand in for a kind that is absent, never for what is known to be lost."""
    if entry.objects or not objects:
        return entry
    if entry.state is State.PARTIAL:
        return replace(entry, objects=objects)
    return replace(entry, objects=objects, state=State.ASSUMED, reasons=(_FLAG,))
