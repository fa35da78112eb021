"""The loaded cluster: plain immutable data in canonical order, before any meaning is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from graphsec.model.coverage import Coverage
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.discovery import Resource
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Objects by kind, each kind sorted by (namespace, name); ``inventory`` also holds unknown and rejected ones."""

    objects: Mapping[str, tuple[Loaded, ...]]
    inventory: Mapping[Ref, Source]
    custom_resources: tuple[Resource, ...] = ()
    coverage: Coverage = field(default_factory=lambda: Coverage(()))
    diagnostics: tuple[Diagnostic, ...] = ()

    def of(self, *kinds: str) -> Iterator[Loaded]:
        """The objects of the kinds, one kind after the other."""
        for kind in kinds:
            yield from self.objects.get(kind, ())
