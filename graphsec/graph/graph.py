"""Nodes with a kind and a label, typed edges with a scope, as flat arrays in both directions.

The Builder is the one mutable object; ``freeze`` sorts nodes by (kind, label), so that ids depend on the content alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NewType, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NodeId = NewType("NodeId", int)
N = TypeVar("N")
E = TypeVar("E")


class Edge(NamedTuple, Generic[E]):
    """An edge between node ids; ``scope`` is "" where it holds everywhere."""

    tail: NodeId
    head: NodeId
    kind: E
    scope: str


class Graph(Generic[N, E]):
    """Immutable. Node ids are 0..len-1 in canonical order; edges are sorted by (tail, head, kind, scope)."""

    def __init__(self, labels: list[Any], kinds: list[N], edges: list[tuple[int, int, E, str]]) -> None:
        self._labels = labels
        self._kinds = kinds
        self._ids = {label: NodeId(index) for index, label in enumerate(labels)}
        self._edge_kinds = list(dict.fromkeys(kind for _, _, kind, _ in edges))
        kind_ids = {kind: index for index, kind in enumerate(self._edge_kinds)}
        self._scopes = list(dict.fromkeys(scope for *_, scope in edges))
        scope_ids = {scope: index for index, scope in enumerate(self._scopes)}
        self._tails = array("i", (tail for tail, *_ in edges))
        self._heads = array("i", (head for _, head, *_ in edges))
        self._kind_of = array("b", (kind_ids[kind] for _, _, kind, _ in edges))
        self._scope_of = array("i", (scope_ids[scope] for *_, scope in edges))
        self._out = _offsets(self._tails, len(labels))
        self._by_head = array("i", sorted(range(len(edges)), key=self._heads.__getitem__))
        self._in = _offsets(self._heads, len(labels))

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def edge_count(self) -> int:
        return len(self._tails)

    def __repr__(self) -> str:
        return f"Graph({len(self):,} nodes, {self.edge_count:,} edges)"

    def __contains__(self, label: object) -> bool:
        return label in self._ids

    def id_of(self, label: Any) -> NodeId:
        """Raises KeyError for a label that is not in the graph."""
        return self._ids[label]

    def label(self, node: NodeId) -> Any:
        return self._labels[node]

    def kind(self, node: NodeId) -> N:
        return self._kinds[node]

    def nodes(self, kind: N | None = None) -> Iterator[NodeId]:
        """All nodes, or those of a kind, in canonical order."""
        return (NodeId(index) for index, found in enumerate(self._kinds) if kind is None or found == kind)

    def edges(self, kind: E | None = None) -> Iterator[Edge[E]]:
        return (edge for edge in map(self._edge, range(self.edge_count)) if kind is None or edge.kind == kind)

    def successors(self, node: NodeId) -> Iterator[Edge[E]]:
        """Edges that leave the node."""
        return map(self._edge, range(self._out[node], self._out[node + 1]))

    def predecessors(self, node: NodeId) -> Iterator[Edge[E]]:
        """Edges that enter the node."""
        return map(self._edge, self._by_head[self._in[node] : self._in[node + 1]])

    def arcs(self, kind: E) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """(tails, heads) of the edges of a kind."""
        # Questions that walk edges one by one need no numpy.
        import numpy as np

        chosen = np.frombuffer(self._kind_of, dtype=np.int8)
        wanted = chosen == (self._edge_kinds.index(kind) if kind in self._edge_kinds else -1)
        tails, heads = (np.frombuffer(ends, dtype=np.int32)[wanted] for ends in (self._tails, self._heads))
        return tails, heads

    def _edge(self, index: int) -> Edge[E]:
        return Edge(
            NodeId(self._tails[index]),
            NodeId(self._heads[index]),
            self._edge_kinds[self._kind_of[index]],
            self._scopes[self._scope_of[index]],
        )


def _offsets(ends: array[int], nodes: int) -> array[int]:
    """Where each node's run begins in an edge list sorted by ``ends``; one more entry than nodes."""
    counts = [0] * (nodes + 1)
    for end in ends:
        counts[end + 1] += 1
    return array("i", accumulate(counts))


class Builder(Generic[N, E]):
    """Collects nodes and edges in any order; an edge added twice is one edge."""

    def __init__(self) -> None:
        self._kinds: dict[Any, N] = {}
        self._edges: dict[tuple[Any, Any, E, str], None] = {}

    def node(self, label: Any, kind: N) -> Any:
        """Add a node once; a later kind for the same label is ignored."""
        self._kinds.setdefault(label, kind)
        return label

    def edge(self, tail: Any, head: Any, kind: E, scope: str = "") -> None:
        """Both ends must have been added before ``freeze``."""
        self._edges[tail, head, kind, scope] = None

    def freeze(self, order: Callable[[Any], Any] = str) -> Graph[N, E]:
        """The graph with nodes sorted by kind, then ``order`` of the label."""
        ordered = sorted(self._kinds.items(), key=lambda item: (str(item[1]), order(item[0])))
        ids = {label: index for index, (label, _) in enumerate(ordered)}
        edges = sorted(
            ((ids[tail], ids[head], kind, scope) for tail, head, kind, scope in self._edges),
            key=lambda edge: (edge[0], edge[1], str(edge[2]), edge[3]),
        )
        return Graph([label for label, _ in ordered], [kind for _, kind in ordered], edges)
