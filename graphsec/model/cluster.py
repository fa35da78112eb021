"""The loaded cluster: plain immutable data in canonical order, before any meaning is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from graphsec.model.coverage import Coverage
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.discovery import Resource
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref, Source


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
        return {**self.others, **{loaded.ref: loaded.source for found in self.objects.values() for loaded in found}}

    def of(self, *kinds: str) -> Iterator[Loaded]:
        """The objects of the kinds, one kind after the other."""
        for kind in kinds:
            yield from self.objects.get(kind, ())
