"""What every export writes: the nodes and edges of the typed graph with texts that every format can hold.

Characters that XML 1.0 cannot hold, lone surrogates among them, become visible escapes in all formats alike. Ids that this or
a format's own folding makes equal get a number, so that no two nodes fall into one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

from graphsec.compile import World
from graphsec.compile.attack_graph import attack_words
from graphsec.errors import InputError
from graphsec.model.ref import Ref
from graphsec.model.text import safe
from graphsec.model.vocabulary import EdgeKind, NodeKind
from graphsec.query._needs import require

#: What XML 1.0 has no way to write, not even as a character reference.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
#: (question whose needs decide, what of the graph is in doubt without).
_DOUBTS = (("paths", "attack edges"), ("reach", "allowed flows"))


class NodeRow(NamedTuple):
    """``attributes`` are kind, name, namespace and, where it stands in a file, file and line."""

    id: str
    kind: NodeKind
    attributes: dict[str, str | int]


class EdgeRow(NamedTuple):
    """``attributes`` are kind and scope, of an attack edge also rule and assumptions (one text, comma and space between)."""

    tail: str
    head: str
    kind: EdgeKind
    attributes: dict[str, str]

    @property
    def key(self) -> str:
        """Tells apart the edges from one node to another."""
        return f"{self.kind.value}:{self.attributes['scope']}"


class Sheet:
    """The graph of a world, for one writer; ``fold`` is what its readers do to ids before they compare them."""

    def __init__(self, world: World, fold: Callable[[str], str] = str) -> None:
        self._world = world
        self._graph = world.graph
        self._ids = list(_distinct([writable(str(self._graph.label(node))) for node in self._graph.nodes()], fold))

    def nodes(self) -> Iterator[NodeRow]:
        """In canonical order, by kind first."""
        for node in self._graph.nodes():
            ref: Ref = self._graph.label(node)
            kind = self._graph.kind(node)
            yield NodeRow(self._ids[node], kind, self._attributes(ref, kind))

    def _attributes(self, ref: Ref, kind: NodeKind) -> dict[str, str | int]:
        found: dict[str, str | int] = {
            "kind": kind.value,
            "name": writable(ref.name),
            "namespace": writable(ref.namespace or ""),
        }
        source = self._world.cluster.inventory.get(ref)
        return found | {"file": writable(source.file), "line": source.line} if source else found

    def edges(self) -> Iterator[EdgeRow]:
        """In canonical order: by tail, head, kind and scope."""
        for edge in self._graph.edges():
            attributes = {"kind": edge.kind.value, "scope": writable(edge.scope), **attack_words(edge)}
            yield EdgeRow(self._ids[edge.tail], self._ids[edge.head], edge.kind, attributes)

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """What the input leaves out that the graph would need, in words."""
        return tuple(map(writable, doubts(self._world)))


def doubts(world: World) -> Iterator[str]:
    """Why parts of the graph of this input are to be taken with care; none where it holds what `paths` and `reach` need."""
    for ask, part in _DOUBTS:
        try:
            _, warnings = require(world, ask)
        except InputError as error:
            warnings = (error.message.splitlines()[0],)
        yield from (f"{part}: {warning}" for warning in warnings)


def writable(text: str) -> str:
    """``text`` as every format can hold it."""
    return _UNWRITABLE.sub(lambda match: safe(match.group()), text)


def _distinct(texts: list[str], fold: Callable[[str], str]) -> Iterator[str]:
    """The texts, each that folds to the same as one before it with ``~2``, ``~3`` behind it."""
    taken: set[str] = set()
    for text in texts:
        found, number = text, 1
        while fold(found) in taken:
            number += 1
            found = f"{text}~{number}"
        taken.add(fold(found))
        yield found


def graph_attributes(sheet: Sheet) -> dict[str, Any]:
    """What formats with a place for it say of the whole graph."""
    return {"generator": "graphsec", "complete": not sheet.doubts, "warnings": list(sheet.doubts)}
