"""The graph as path patterns see it: nodes with labels and attributes, and arrows that are followed for whole sets of nodes.

Hubs, powers, joins, peer groups and connections of the typed graph are no nodes here: `ATTACK` and `MAY_CONNECT` lead over them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from graphsec.compile import World
from graphsec.compile.endpoints import VIRTUAL
from graphsec.errors import LimitError
from graphsec.model.ref import Ref, Source
from graphsec.model.vocabulary import EdgeKind, NodeKind
from graphsec.query.lang import Column, Type

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

INTERNET = Ref("Internet", "internet")
_PLUMBING = frozenset({NodeKind.HUB, NodeKind.POWER, NodeKind.JOIN, NodeKind.PEER_GROUP, NodeKind.CONNECTIONS})
#: Labels that are not just one kind of the typed graph.
UNIONS = {
    "Internet": "the outside: it opens what `exposed` lists",
    "Pod": "what runs: pods, and templates whose pods the input does not hold",
    "Workload": "controllers, and pods without one",
    "Subject": "User, Group or ServiceAccount",
}
LABELS = (*UNIONS, *(kind.value for kind in NodeKind if kind not in _PLUMBING and kind.value not in UNIONS))
#: Kinds of edges, as patterns write them.
KINDS = {kind.name: kind for kind in EdgeKind if kind is not EdgeKind.IN_GROUP}
ATTACK = EdgeKind.ATTACK.name
MAY_CONNECT = EdgeKind.MAY_CONNECT.name
_SUBJECTS = frozenset({NodeKind.USER, NodeKind.GROUP, NodeKind.SERVICE_ACCOUNT})
#: Columns of each variable of a pattern: (name, type, meaning, whether some nodes have none).
ATTRIBUTES = (
    ("kind", Type.STRING, "kind of the object", False),
    ("name", Type.STRING, "its name; of sinks cluster-admin, node, secrets:all", False),
    ("namespace", Type.STRING, "its namespace; absent for what is in none", True),
    ("ref", Type.STRING, "canonical: `Deployment/shop/web`", False),
    ("workload", Type.STRING, "of pods and controllers: the outermost controller, a pod itself without one", True),
    ("labels", Type.MAP, "labels; of templates those of their pods", False),
    ("builtin", Type.BOOL, "bindings that Kubernetes ships, and subjects that hold nothing else", False),
)
#: Arcs that one step of a join may look at.
_MOST_ARCS = 20_000_000
#: Pairs are marked rather than sorted where there is no more room between them than this.
_DENSE = 64


def attribute_columns(variable: str) -> Iterator[Column]:
    for name, kind, meaning, optional in ATTRIBUTES:
        yield Column(f"{variable}.{name}", kind, meaning, optional)


class Arcs:
    """Edges of one stage, in one direction."""

    def __init__(self, tails: npt.NDArray[Any], heads: npt.NDArray[Any], size: int) -> None:
        self._tails = tails.astype(np.int64)
        self._heads = heads.astype(np.int64)
        self._size = size

    @cached_property
    def turned(self) -> Arcs:
        return Arcs(self._heads, self._tails, self._size)

    def image(self, mask: Mask) -> Mask:
        found = np.zeros(self._size, dtype=bool)
        found[self._heads[mask[self._tails]]] = True
        return found

    @cached_property
    def _sorted(self) -> tuple[Ints, Ints]:
        """(heads by tail, where the run of each tail begins)."""
        order = np.lexsort((self._heads, self._tails))
        return self._heads[order], np.searchsorted(self._tails[order], np.arange(self._size + 1))

    def expand(self, nodes: Ints) -> tuple[Ints, Ints]:
        """(place in ``nodes``, head) of each arc that leaves one of them. Raises LimitError for too many."""
        heads, begins = self._sorted
        lengths = begins[nodes + 1] - begins[nodes]
        total = int(lengths.sum())
        if total > _MOST_ARCS:
            raise LimitError(
                f"more than {_MOST_ARCS:,} arrows of a pattern to join", help="narrow it by labels or `where`"
            )
        rows = np.repeat(np.arange(len(nodes)), lengths)
        places = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows, heads[np.repeat(begins[nodes], lengths) + places]


class Step:
    """What one step of an arrow may be: one of several ways, each of one stage or more."""

    def __init__(self, ways: Sequence[tuple[Arcs, ...]], size: int) -> None:
        self._ways = ways
        self._size = size

    @cached_property
    def turned(self) -> Step:
        return Step([tuple(stage.turned for stage in reversed(way)) for way in self._ways], self._size)

    def image(self, mask: Mask) -> Mask:
        found = np.zeros(len(mask), dtype=bool)
        for way in self._ways:
            reached = mask
            for stage in way:
                reached = stage.image(reached)
            found |= reached
        return found

    def expand(self, rows: Ints, nodes: Ints) -> tuple[Ints, Ints]:
        """Pairs of a row and a node where it is to pairs of a row and a node that it gets to, each once, sorted."""
        found = [self._along(way, rows, nodes) for way in self._ways]
        return unique_pairs(
            np.concatenate([part for part, _ in found]), np.concatenate([part for _, part in found]), self._size
        )

    def _along(self, way: tuple[Arcs, ...], rows: Ints, at: Ints) -> tuple[Ints, Ints]:
        for stage in way:
            places, heads = stage.expand(at)
            rows, at = unique_pairs(rows[places], heads, self._size)
        return rows, at


def unique_pairs(rows: Ints, nodes: Ints, size: int) -> tuple[Ints, Ints]:
    """Each pair once, sorted; ``size`` is more than any node."""
    both = rows * size + nodes
    space = (int(rows.max()) + 1) * size if len(rows) else 0
    if space <= _DENSE * len(both):
        # Marking is linear; `np.unique` hashes millions of pairs, which takes longer than to sort them.
        marked = np.zeros(space, dtype=bool)
        marked[both] = True
        both = np.flatnonzero(marked)
    else:
        both = np.sort(both)
        both = both[np.concatenate(([True], both[1:] != both[:-1]))]
    return both // size, both % size


class MatchGraph:
    """Nodes are numbers: those of the typed graph, and the internet behind them. ``certain`` leaves out what is only possible."""

    def __init__(self, world: World, *, certain: bool) -> None:
        self.world = world
        self._certain = certain
        self._graph = world.graph
        self.refs: list[Ref] = [*(self._graph.label(node) for node in self._graph.nodes()), INTERNET]
        self._kinds = np.array([*(self._graph.kind(node).value for node in self._graph.nodes()), INTERNET.kind])

    def __len__(self) -> int:
        return len(self.refs)

    def source(self, ref: Ref) -> Source | None:
        return self.world.cluster.inventory.get(ref)

    # -- labels -------------------------------------------------------------------------------------------------

    def labelled(self, labels: Collection[str]) -> Mask:
        """Nodes with one of the labels, all that are nodes of patterns for none."""
        mask = np.zeros(len(self), dtype=bool)
        for label in labels:
            mask |= self._with_label(label)
        return mask if labels else ~np.isin(self._kinds, [kind.value for kind in _PLUMBING])

    def _with_label(self, label: str) -> Mask:
        mask: Mask = self._kinds == label
        if label == "Subject":
            return np.isin(self._kinds, [kind.value for kind in _SUBJECTS])
        if label in ("Pod", "Workload"):
            wanted = self._running if label == "Pod" else [ref for ref, top in self._controller.items() if ref == top]
            mask = mask & (label == "Workload")
            mask[[self.number(ref) for ref in wanted if ref in self._graph]] = True
        return mask

    @cached_property
    def _running(self) -> Mapping[Ref, int]:
        """What runs, by its place among the endpoints."""
        refs = self.world.flows.endpoints.refs
        return {ref: place for place, ref in enumerate(refs) if ref.kind != VIRTUAL}

    @cached_property
    def _controller(self) -> Mapping[Ref, Ref]:
        """Of everything that runs its outermost controller, or itself."""
        endpoints = self.world.flows.endpoints
        return {ref: endpoints.workloads[endpoints.workload_of[place]] for ref, place in self._running.items()}

    # -- attributes ---------------------------------------------------------------------------------------------

    def values(self, attribute: str, nodes: Iterable[int]) -> list[Any]:
        read: Callable[[Ref], Any] = {
            "kind": lambda ref: ref.kind,
            "name": lambda ref: ref.name,
            "namespace": lambda ref: ref.namespace,
            "ref": self.text,
            "workload": self._workload,
            "labels": self._labels,
            "builtin": self._is_builtin,
        }[attribute]
        return [read(self.refs[node]) for node in nodes]

    @staticmethod
    def text(ref: Ref) -> str:
        """Canonical, as `paths` has it: sinks and the internet are words."""
        return ref.name if ref is INTERNET or ref.kind == NodeKind.SINK else str(ref)

    def _workload(self, ref: Ref) -> str | None:
        found = self._controller.get(ref) or self._owned.get(ref)
        return None if found is None else str(found)

    @cached_property
    def _owned(self) -> Mapping[Ref, Ref]:
        """Of every controller its outermost one; chains of owners are short, and end where they would begin anew."""
        owners = dict(zip(*(ends.tolist() for ends in self._graph.arcs(EdgeKind.OWNED_BY)), strict=True))
        found: dict[Ref, Ref] = {}
        controllers = np.flatnonzero(self._kinds == NodeKind.WORKLOAD.value).tolist()
        for number in dict.fromkeys((*controllers, *owners)):
            at, seen = number, {number}
            while (owner := owners.get(at, at)) not in seen:
                at = owner
                seen.add(at)
            found[self.refs[number]] = self.refs[at]
        return found

    def _labels(self, ref: Ref) -> Mapping[str, str]:
        place = self._running.get(ref)
        return self.world.flows.endpoints.labels[place] if place is not None else self._written.get(ref, {})

    @cached_property
    def _written(self) -> Mapping[Ref, Mapping[str, str]]:
        return {
            loaded.ref: found
            for objects in self.world.cluster.objects.values()
            for loaded in objects
            if (found := getattr(getattr(loaded.body, "metadata", None), "labels", None))
        }

    def _is_builtin(self, ref: Ref) -> bool:
        from graphsec.query._attack_starts import is_builtin

        if ref.kind in ("RoleBinding", "ClusterRoleBinding"):
            return self.world.provenance.is_builtin(ref)
        return ref.kind in _SUBJECTS and is_builtin(self.world, ref)

    # -- steps --------------------------------------------------------------------------------------------------

    def step(self, kinds: Iterable[str], *, backward: bool, outside: bool) -> Step:
        """``outside`` where the internet may be what connects."""
        ways: list[tuple[Arcs, ...]] = []
        for kind in kinds:
            ways += self._connections(outside=outside) if kind == MAY_CONNECT else [(self._arcs(KINDS[kind]),)]
        step = Step(ways, len(self))
        return step.turned if backward else step

    def _arcs(self, kind: EdgeKind) -> Arcs:
        return Arcs(*self._graph.arcs(kind), len(self))

    def _connections(self, *, outside: bool) -> Iterator[tuple[Arcs, ...]]:
        """From what runs, and from addresses, over groups and connections; from the internet by its routes."""
        addresses = np.flatnonzero(self._kinds == NodeKind.ADDRESSES.value)
        tails, heads = self._graph.arcs(EdgeKind.IN_GROUP)
        # Addresses are a group of their own.
        own = Arcs(np.concatenate((tails, addresses)), np.concatenate((heads, addresses)), len(self))
        between = self._arcs(EdgeKind.MAY_CONNECT)
        yield own, between, between, own.turned
        if outside:
            opened = sorted({number for number, _ in self._opened})
            yield (Arcs(np.full(len(opened), len(self) - 1), np.array(opened, dtype=np.int64), len(self)),)

    @cached_property
    def _opened(self) -> list[tuple[int, Source | None]]:
        """What the internet opens, and the first place on the way to it."""
        from graphsec.query._admitted import POSSIBLE, YES
        from graphsec.query.exposed import INTERNET_ORIGIN, Exposed

        verdicts = (YES,) if self._certain else (YES, POSSIBLE)
        pods = defaultdict(list)
        for ref, controller in self._controller.items():
            pods[controller].append(ref)
        found = []
        for item in Exposed().answer(self.world):
            if item.origin == INTERNET_ORIGIN and item.verdict in verdicts and not item.internal:
                place = next((hop.source for hop in item.hops if hop.source is not None), None)
                found += [(self.number(ref), place) for ref in pods[item.workload] if ref in self._graph]
        return found

    def number(self, ref: Ref) -> int:
        return len(self) - 1 if ref is INTERNET else int(self._graph.id_of(ref))

    def named(self, text: str) -> int:
        """The node that ``text`` is the text of."""
        return self._numbers[text]

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {self.text(ref): number for number, ref in enumerate(self.refs)}

    def opened_at(self, node: int) -> Source | None:
        """Where a way from the internet to the node stands."""
        return next((place for number, place in self._opened if number == node and place is not None), None)

    def runs(self, ref: Ref) -> bool:
        """Whether code runs in it: a pod, or a controller."""
        return ref in self._running or ref in self._owned


class Walk:
    """An arrow of a pattern that is followed from step to step."""

    def __init__(self, step: Step, least: int, most: int) -> None:
        self._step = step
        self._least = least
        self._most = most

    def forward(self, mask: Mask, allowed: Mask) -> Mask:
        """What of ``allowed`` is reached."""
        return self._reached(self._step, mask) & allowed

    narrowed = forward

    def backward(self, mask: Mask, allowed: Mask) -> Mask:
        return self._reached(self._step.turned, mask) & allowed

    def _reached(self, step: Step, mask: Mask) -> Mask:
        found = np.zeros(len(mask), dtype=bool)
        for turn, layer in enumerate(self._layers(step, mask)):
            if turn >= self._least:
                found |= layer
        return found

    def _layers(self, step: Step, mask: Mask) -> Iterator[Mask]:
        """Entry n is what is reached in exactly n steps."""
        yield mask
        for _ in range(self._most):
            mask = step.image(mask)
            yield mask

    def expand(self, rows: Ints, nodes: Ints, allowed: Mask) -> tuple[Ints, Ints]:
        """As a step does, to nodes that are ``allowed``."""
        found: list[tuple[Ints, Ints]] = []
        for turn in range(1, self._most + 1):
            rows, nodes = self._step.expand(rows, nodes)
            if turn >= self._least:
                found.append((rows[allowed[nodes]], nodes[allowed[nodes]]))
        return unique_pairs(
            np.concatenate([part for part, _ in found]), np.concatenate([part for _, part in found]), len(allowed)
        )

    def ways(self, node: int, ends: Mask) -> Iterator[Sequence[int]]:
        """The nodes of each walk to one of the ends, shorter ones first."""
        towards = list(self._layers(self._step.turned, ends))
        for length in range(self._least, self._most + 1):
            if towards[length][node]:
                yield from self._walks((node,), length, towards)

    def _walks(self, walk: tuple[int, ...], left: int, towards: list[Mask]) -> Iterator[Sequence[int]]:
        if not left:
            yield walk
            return
        _, heads = self._step.expand(np.zeros(1, dtype=np.int64), np.array(walk[-1:]))
        for head in heads[towards[left - 1][heads]].tolist():
            yield from self._walks((*walk, head), left - 1, towards)


__all__ = ["ATTACK", "ATTRIBUTES", "KINDS", "LABELS", "MAY_CONNECT", "UNIONS", "MatchGraph", "Step", "Walk"]
