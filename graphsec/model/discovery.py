"""Which API resources exist: name, kind, scope and short names, built in per minor version or added by the input's CRDs.

A dump does not hold discovery; this table of ours stands in for it (rbac.md §7.1). It decides scope (S-36) and how
words on the command line become resources; authorization itself never consults it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources

import msgspec

DEFAULT_MINOR = 36
MINORS = tuple(range(30, 38))
#: Groups in the order in which kubectl resolves a bare word that several serve.
_PREFERRED = ("", "apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io", "policy", "storage.k8s.io")


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One API resource; ``kind`` is "" for virtual ones that only RBAC knows (users, signers)."""

    group: str
    name: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    #: Subresource to its verbs; verbs unknown for custom resources.
    subresources: dict[str, tuple[str, ...]] = {}
    singular: str = ""
    custom: bool = False

    @property
    def full_name(self) -> str:
        """As kubectl spells it: ``deployments.apps``."""
        return f"{self.name}.{self.group}" if self.group else self.name


class Discovery:
    """The resources of one minor version and of the input's custom resource definitions. Immutable."""

    def __init__(self, minor: int, custom: Iterable[Resource] = ()) -> None:
        self.minor = minor
        self._all: dict[tuple[str, str], Resource] = {}
        for since, until, resource in _table():
            key = (resource.group, resource.name)
            served = since <= minor <= until
            # A resource of another minor still tells the scope of what an old dump names.
            if served or key not in self._all:
                self._all[key] = resource
        for resource in custom:
            self._all.setdefault((resource.group, resource.name), resource)
        self._kinds = {(r.group, r.kind): r for r in self._all.values() if r.kind}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._all.values())

    def get(self, group: str, name: str) -> Resource | None:
        return self._all.get((group, name))

    def of_kind(self, group: str, kind: str) -> Resource | None:
        return self._kinds.get((group, kind))

    def namespaced(self, group: str, name: str) -> bool | None:
        """Whether the resource is namespaced; None if the input and the table do not know it."""
        resource = self._all.get((group, name))
        return resource.namespaced if resource else None

    def find(self, word: str) -> list[Resource]:
        """The resources that kubectl would take ``word`` for: name, singular or short name, ``name.group``; best first."""
        lowered = word.lower()
        bare, dot, group = lowered.partition(".")
        found = [
            resource
            for resource in self._all.values()
            if (_is_called(resource, lowered) or (dot and _is_called(resource, bare) and _in_group(resource, group)))
            and resource.kind != "PodMetrics"
        ]
        return sorted(found, key=_preference)

    def words(self) -> list[str]:
        """Every word that ``find`` knows, for suggestions and completion."""
        return sorted({word for r in self._all.values() for word in (r.name, r.full_name, *r.short_names)})


def _is_called(resource: Resource, word: str) -> bool:
    return word in (resource.name, resource.singular or resource.kind.lower(), *resource.short_names) and bool(word)


def _in_group(resource: Resource, group: str) -> bool:
    """``deploy.apps`` and ``deploy.v1.apps`` both name the group."""
    return resource.group == group or resource.group == group.partition(".")[2]


def _preference(resource: Resource) -> tuple[bool, int, str, str]:
    rank = _PREFERRED.index(resource.group) if resource.group in _PREFERRED else len(_PREFERRED)
    return (not resource.kind, rank, resource.group, resource.name)


@cache
def _table() -> tuple[tuple[int, int, Resource], ...]:
    """(first minor, last minor, resource) of every row of ``data/resources.tsv``."""
    text = resources.files("graphsec").joinpath("data/resources.tsv").read_text(encoding="utf-8")
    return tuple(_row(line.split("\t")) for line in text.splitlines()[1:] if line)


def _row(cells: list[str]) -> tuple[int, int, Resource]:
    group, name, kind, scope, short, verbs, subresources, since, until = cells + [""] * (9 - len(cells))
    resource = Resource(
        group=group,
        name=name,
        kind=kind,
        namespaced=scope == "namespaced",
        short_names=tuple(short.split(",")) if short else (),
        verbs=tuple(verbs.split(",")),
        subresources={
            key: tuple(words.split(","))
            for key, _, words in (part.partition("=") for part in subresources.split(";"))
            if key
        },
    )
    return _minor(since, 0), _minor(until, 999), resource


def _minor(text: str, default: int) -> int:
    return int(text.partition(".")[2]) if text else default


@cache
def builtin_kind_groups() -> dict[str, str]:
    """Each built-in kind to the group whose objects bear the bare kind in refs."""
    groups: dict[str, str] = {}
    for resource in sorted((row[2] for row in _table()), key=_preference):
        if resource.kind:
            groups.setdefault(resource.kind, resource.group)
    return groups
