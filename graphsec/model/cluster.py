"""The loaded cluster: plain immutable data in canonical order, before any meaning is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from graphsec.model.coverage import Coverage
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.discovery import Resource
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref, Source


class Shelf(Protocol):
    """The objects of one kind, wherever they are."""

    def places(self) -> Iterable[tuple[Ref, Source]]:
        """Who they are and where they stand, without what they say."""
        ...

    def objects(self) -> tuple[Loaded, ...]: ...


@dataclass(frozen=True, slots=True)
class Made:
    """A shelf of objects at hand."""

    found: tuple[Loaded, ...]

    def places(self) -> Iterable[tuple[Ref, Source]]:
        return ((loaded.ref, loaded.source) for loaded in self.found)

    def objects(self) -> tuple[Loaded, ...]:
        return self.found


class Shelves(Mapping[str, tuple[Loaded, ...]]):
    """Objects by kind, each kind taken from its shelf when it is first asked for."""

    def __init__(self, shelves: Mapping[str, Shelf]) -> None:
        self.shelves = dict(sorted(shelves.items()))
        self._taken: dict[str, tuple[Loaded, ...]] = {}

    @classmethod
    def of(cls, objects: Mapping[str, tuple[Loaded, ...]]) -> Shelves:
        return objects if isinstance(objects, Shelves) else cls({kind: Made(found) for kind, found in objects.items()})

    def __getitem__(self, kind: str) -> tuple[Loaded, ...]:
        found = self._taken.get(kind)
        if found is None:
            found = self._taken[kind] = self.shelves[kind].objects()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.shelves)

    def __len__(self) -> int:
        return len(self.shelves)

    def places(self) -> Iterator[tuple[Ref, Source]]:
        for shelf in self.shelves.values():
            yield from shelf.places()


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Objects by kind, each kind sorted by (namespace, name); ``others`` are of unknown kinds or were rejected."""

    objects: Mapping[str, tuple[Loaded, ...]]
    others: Mapping[Ref, Source] = field(default_factory=dict)
    custom_resources: tuple[Resource, ...] = ()
    coverage: Coverage = field(default_factory=lambda: Coverage(()))
    diagnostics: tuple[Diagnostic, ...] = ()

    @cached_property
    def inventory(self) -> Mapping[Ref, Source]:
        """Every object that the input named, decoded or not, and where it stands."""
        return {**self.others, **dict(Shelves.of(self.objects).places())}

    def of(self, *kinds: str) -> Iterator[Loaded]:
        """The objects of the kinds, one kind after the other."""
        for kind in kinds:
            yield from self.objects.get(kind, ())
