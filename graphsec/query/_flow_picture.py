"""Pictures of flows: workloads in the frames of their namespaces, above the cap the namespaces alone; and of one packet.

Isolation (N-01) is drawn as the outline of a box; what takes part in no flow is drawn where it fits, and told in any case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from graphsec.algebra.blocks import ALL_V4, ALL_V6, AddressSet
from graphsec.algebra.internet import INTERNET
from graphsec.algebra.ports import ALL_PORTS, PortSet
from graphsec.compile.endpoints import VIRTUAL
from graphsec.compile.flows import Flows
from graphsec.diagram import Arrow, Diagram, DrawnKind, Fold, Isolation, Line, Share, Vertex, draw
from graphsec.model.policy import Direction
from graphsec.model.ref import Ref
from graphsec.model.text import counted

if TYPE_CHECKING:
    from graphsec.compile.trace import Point, Trace
    from graphsec.query._answer import Answer
    from graphsec.query.can_reach import FlowDecision
    from graphsec.query.reach import Flow, FlowEnd

#: Blocks that the name of an address range lists.
_BLOCKS = 3
#: Ends asked for by name that stay apart where all others are drawn as their namespaces.
_PINNED = 12
_SOME = "some pods"
_OPEN = Isolation(ingress=Share.NONE, egress=Share.NONE)
_KINDS = {
    "Namespace": DrawnKind.NAMESPACE, "Pod": DrawnKind.POD, "Node": DrawnKind.NODE, VIRTUAL: DrawnKind.ENTRY,
}  # fmt: skip


# -- vertices ---------------------------------------------------------------------------------------------------


def object_vertex(ref: Ref) -> Vertex:
    """A workload, pod, node or namespace as it is drawn where nothing but its name is known."""
    kind = _KINDS.get(ref.kind, DrawnKind.WORKLOAD)
    if kind in (DrawnKind.NAMESPACE, DrawnKind.NODE, DrawnKind.ENTRY):
        return Vertex(key=str(ref), label=ref.name, kind=kind)
    return Vertex(key=str(ref), label=ref.name, kind=kind, group=ref.namespace or "", cls=str(ref))


def entry_vertex(text: str) -> Vertex:
    """What stands for a controller that is not in the input."""
    return Vertex(key=f"{DrawnKind.ENTRY.value}/{text}", label=text, kind=DrawnKind.ENTRY)


def addresses_vertex(addresses: AddressSet) -> Vertex:
    """Addresses outside the cluster; all public ones of a family are the internet."""
    everything = any(INTERNET & whole <= addresses for whole in (ALL_V4, ALL_V6))
    kind = DrawnKind.INTERNET if everything else DrawnKind.EXTERNAL
    return Vertex(key=f"{kind.value}/{addresses}", label=addresses_text(addresses), kind=kind)


def addresses_text(addresses: AddressSet) -> str:
    """`any IPv4 address`, `10.0.0.0/8`, or all of a family but some blocks: as policies write it."""
    words = []
    for family, whole in (("IPv4", ALL_V4), ("IPv6", ALL_V6)):
        part = addresses & whole
        if part == whole:
            words.append(f"any {family} address")
        elif part:
            words.append(_part_text(part, whole, family))
    return ", ".join(words)


def _part_text(part: AddressSet, whole: AddressSet, family: str) -> str:
    if part == INTERNET & whole:
        return f"any public {family} address"
    blocks, missing = list(part.cidrs()), list((whole - part).cidrs())
    if len(missing) < len(blocks) and len(missing) <= _BLOCKS:
        return f"any {family} address but {', '.join(missing)}"
    if len(blocks) <= _BLOCKS:
        return ", ".join(blocks)
    ranges = str(part).split(",")
    if len(ranges) <= _BLOCKS:
        return ", ".join(ranges)
    return f"{', '.join(ranges[: _BLOCKS - 1])} and {len(ranges) - _BLOCKS + 1:,} more"


class Canvas:
    """Vertices of the endpoints of a cluster, with what policies say of them."""

    def __init__(self, flows: Flows) -> None:
        self._endpoints = flows.endpoints
        self._flows = flows

    def of(self, end: FlowEnd) -> Vertex:
        if end.addresses is not None:
            return addresses_vertex(end.addresses)
        if end.ref is None:
            return entry_vertex(end.text)
        vertex = self.of_ref(end.ref)
        if end.text.endswith("]") and "[class of " in end.text:
            # A class has no name of its own, only a pod that stands for it.
            return msgspec.structs.replace(vertex, key=end.text, cls=end.text, label=end.text.partition("/")[2])
        return vertex

    def of_ref(self, ref: Ref) -> Vertex:
        if ref not in self._vertices:
            vertex = object_vertex(ref)
            pods = self._pods.get(ref)
            if pods is not None and ref.kind != VIRTUAL:
                workloads = self._workloads.get(ref.name, 0) if ref.kind == "Namespace" else 0
                vertex = msgspec.structs.replace(vertex, isolation=self._isolation(pods), workloads=workloads)
            self._vertices[ref] = vertex
        return self._vertices[ref]

    def of_point(self, point: Point) -> Vertex:
        """A pod is drawn as its workload."""
        if point.pod >= 0:
            return self.of_ref(self._endpoints.workloads[self._endpoints.workload_of[point.pod]])
        if point.address is not None:
            return Vertex(key=f"{DrawnKind.EXTERNAL.value}/{point.label}", label=point.label, kind=DrawnKind.EXTERNAL)
        return object_vertex(Ref("Node", point.label.partition("/")[2] or point.label))

    @cached_property
    def _vertices(self) -> dict[Ref, Vertex]:
        return {}

    @cached_property
    def _pods(self) -> Mapping[Ref, list[int]]:
        """Pods of each namespace, workload and pod."""
        found: dict[Ref, list[int]] = defaultdict(list)
        endpoints = self._endpoints
        for pod, ref in enumerate(endpoints.refs):
            workload = endpoints.workloads[endpoints.workload_of[pod]]
            for unit in {ref, workload, Ref("Namespace", ref.namespace or "")}:
                found[unit].append(pod)
        return dict(found)

    @cached_property
    def _workloads(self) -> Mapping[str, int]:
        counts: dict[str, int] = defaultdict(int)
        for ref in self._endpoints.workloads:
            counts[ref.namespace or ""] += 1
        return counts

    def _isolation(self, pods: Sequence[int]) -> Isolation:
        shares = {direction: _share(self._isolated[direction][pods]) for direction in Direction}
        return Isolation(ingress=shares[Direction.INGRESS], egress=shares[Direction.EGRESS])

    @cached_property
    def _isolated(self) -> Mapping[Direction, npt.NDArray[np.bool_]]:
        """For each pod whether it is isolated; policies do not tell the addresses of one pod apart."""
        universe = self._flows.universe
        firsts = universe.classes.values[universe.classes.starts[:-1]].astype(np.int32)
        return {direction: universe.masks.contains(self._flows.isolated(direction), firsts) for direction in Direction}


def _share(flags: npt.NDArray[np.bool_]) -> Share:
    if flags.all():
        return Share.ALL
    return Share.SOME if flags.any() else Share.NONE


# -- flows ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FlowPicture:
    """Draws an answer of `reach`. ``pinned`` are the ends named in the question, ``scope`` all that it is about."""

    flows: Flows
    pinned: tuple[Ref, ...] = ()
    #: Workloads or namespaces; those without any flow are told.
    scope: tuple[Ref, ...] = ()

    def __call__(self, answer: Answer[Flow], fold: Fold, max_nodes: int) -> Diagram:
        canvas = Canvas(self.flows)
        sketch = _Sketch(canvas, self.scope)
        sketch.add_all(answer.items)
        candidates = [sketch]
        if sketch.kind is not DrawnKind.NAMESPACE and fold != "none" and len(sketch.namespaces) > 1:
            pinned = self.pinned if len(self.pinned) <= _PINNED else ()
            candidates = [sketch] if len(sketch.vertices) <= max_nodes else []
            candidates.append(sketch.by_namespace(pinned))
        for candidate in candidates:
            for shown in (candidate, candidate.without_defaults()):
                diagram = shown.diagram(answer, fold, max_nodes)
                if not (diagram.overflow or diagram.sheet.lost):
                    return diagram
        # The last one, which shows least, is folded as hard as needed.
        return diagram


@dataclass
class _Amounts:
    """The traffic of one arrow."""

    certain: set[PortSet] = field(default_factory=set)
    possible: set[PortSet] = field(default_factory=set)
    remarks: set[str] = field(default_factory=set)

    def add(self, other: _Amounts) -> None:
        self.certain |= other.certain
        self.possible |= other.possible
        self.remarks |= other.remarks - {_SOME}


class _Sketch:
    """Vertices and the traffic between them."""

    def __init__(self, canvas: Canvas, scope: Iterable[Ref] = ()) -> None:
        self.canvas = canvas
        self.vertices: dict[str, Vertex] = {}
        self.pairs: dict[tuple[str, str], _Amounts] = defaultdict(_Amounts)
        self.notes: list[str] = []
        self._scope = tuple(canvas.of_ref(ref) for ref in scope)

    @property
    def namespaces(self) -> set[str]:
        return {vertex.group for vertex in self.vertices.values() if vertex.group}

    @property
    def kind(self) -> DrawnKind | None:
        """What the scope consists of."""
        return self._scope[0].kind if self._scope else None

    def add_all(self, items: Iterable[Flow]) -> None:
        """Every flow; ranges of addresses that one end exchanges the same traffic with are one vertex."""
        ranges: dict[tuple[str, bool, PortSet, PortSet, frozenset[str]], list[AddressSet]] = defaultdict(list)
        # Of namespaces it goes without saying.
        rolled_up = self.kind is DrawnKind.NAMESPACE
        for item in items:
            source, destination = item.source, item.destination
            remarks = frozenset(filter(None, (item.family, _SOME if item.partial and not rolled_up else "")))
            if source.addresses is not None or destination.addresses is not None:
                inward = source.addresses is not None
                inside = self._put(self.canvas.of(destination if inward else source))
                outside = source.addresses if inward else destination.addresses
                ranges[inside, inward, item.ports, item.possible, remarks].append(outside or AddressSet())
                continue
            pair = self._put(self.canvas.of(source)), self._put(self.canvas.of(destination))
            self._connect(pair, item.ports, item.possible, remarks)
        for (inside, inward, ports, possible, remarks), parts in ranges.items():
            far = self._put(addresses_vertex(AddressSet.union_of(parts)))
            self._connect((far, inside) if inward else (inside, far), ports, possible, remarks)
        self._add_scope()

    def _add_scope(self) -> None:
        idle = [vertex for vertex in self._scope if vertex.key not in self.vertices]
        if idle:
            noun = "namespace" if idle[0].kind is DrawnKind.NAMESPACE else "workload"
            verb = "takes" if len(idle) == 1 else "take"
            self.notes.append(f"{counted(len(idle), noun)} {verb} part in none of these flows")
        self.vertices.update((vertex.key, vertex) for vertex in idle)

    def _put(self, vertex: Vertex) -> str:
        self.vertices[vertex.key] = vertex
        return vertex.key

    def _connect(self, pair: tuple[str, str], ports: PortSet, possible: PortSet, remarks: frozenset[str]) -> None:
        amounts = self.pairs[pair]
        if ports:
            amounts.certain.add(ports)
        if possible:
            amounts.possible.add(possible)
        amounts.remarks |= remarks

    # -- namespaces ---------------------------------------------------------------------------------------------

    def by_namespace(self, pinned: Collection[Ref]) -> _Sketch:
        """The same with the namespaces in the place of their workloads, other than the pinned ones."""
        kept = {str(ref) for ref in pinned}
        coarse = _Sketch(self.canvas)
        place: dict[str, str] = {}
        for key, vertex in self.vertices.items():
            stays = key in kept or not vertex.group
            place[key] = coarse._put(vertex if stays else self.canvas.of_ref(Ref("Namespace", vertex.group)))
        for (tail, head), amounts in self.pairs.items():
            coarse.pairs[place[tail], place[head]].add(amounts)
        workloads = sum(bool(vertex.group) for vertex in self.vertices.values())
        drawn = sum(vertex.kind is DrawnKind.NAMESPACE for vertex in coarse.vertices.values())
        coarse.notes = [
            f"too many for one picture: {counted(workloads, 'workload')} drawn as their {counted(drawn, 'namespace')}",
            "an arrow between namespaces stands for any of their workloads",
            *self.notes,
        ]
        return coarse

    def without_defaults(self) -> _Sketch:
        """The same without the arrows that the outlines of boxes imply: all ports between ends that nothing isolates."""
        slim = _Sketch(self.canvas)
        slim.vertices = self.vertices
        implied = {pair for pair, amounts in self.pairs.items() if self._is_default(pair, amounts)}
        slim.pairs.update((pair, amounts) for pair, amounts in self.pairs.items() if pair not in implied)
        words = f"{counted(len(implied), 'arrow')} for all ports between ends that both allow it by default"
        slim.notes = [*([f"not drawn: {words}"] if implied else []), *self.notes]
        return slim

    def _is_default(self, pair: tuple[str, str], amounts: _Amounts) -> bool:
        tail, head = (self.vertices[key].isolation or _OPEN for key in pair)
        inside = pair[0] == pair[1] and self.vertices[pair[0]].kind is DrawnKind.NAMESPACE
        return (
            not inside
            and ALL_PORTS in amounts.certain
            and not amounts.remarks
            and tail.egress is Share.NONE
            and head.ingress is Share.NONE
        )

    # -- drawing ------------------------------------------------------------------------------------------------

    def diagram(self, answer: Answer[Any], fold: Fold, max_nodes: int) -> Diagram:
        vertices, arrows = self._inner(), self._arrows()
        return draw(
            vertices,
            arrows,
            title=answer.question.command(),
            fold=fold,
            max_nodes=max_nodes,
            max_arrows=max_nodes // 2,
            notes=(*self.notes, *answer.picture_notes),
        )

    def _inner(self) -> list[Vertex]:
        """What a namespace may do in itself is text of its box: nearly every namespace would have that loop."""
        return [
            msgspec.structs.replace(vertex, inner=PortSet.union_of(self.pairs[key, key].certain))
            if vertex.kind is DrawnKind.NAMESPACE and (key, key) in self.pairs
            else vertex
            for key, vertex in self.vertices.items()
        ]

    def _arrows(self) -> list[Arrow]:
        return [arrow for pair, amounts in self.pairs.items() for arrow in self._of_pair(pair, amounts)]

    def _of_pair(self, pair: tuple[str, str], amounts: _Amounts) -> Iterator[Arrow]:
        tail, head = pair
        certain = PortSet.union_of(amounts.certain)
        possible = PortSet.union_of(amounts.possible) - certain
        label = ", ".join(sorted(amounts.remarks))
        within = tail == head and self.vertices[tail].kind is DrawnKind.NAMESPACE
        if certain and not within:
            yield Arrow(tail=tail, head=head, ports=certain, label=label)
        if possible:
            yield Arrow(tail=tail, head=head, ports=possible, label=label, style=Line.POSSIBLE)


# -- one packet -------------------------------------------------------------------------------------------------

_STYLES = {
    "allow": Line.SOLID,
    "deny": Line.DENIED,
    "no": Line.DENIED,
    "unknown": Line.POSSIBLE,
    "conditional": Line.POSSIBLE,
}
_VERBS = {"allow": "allowed", "no": "denied", "unknown": "not certain", "conditional": "allowed in part"}


@dataclass(frozen=True)
class PacketPicture:
    """Draws one decision: source, the policies that decide on its side, those on the other side, destination."""

    flows: Flows
    decision: FlowDecision

    def __call__(self, answer: Answer[Any], fold: Fold, max_nodes: int) -> Diagram:
        decision = self.decision
        vertices, arrows = self._parts(decision)
        packet = f"{decision.protocol} {decision.port}"
        return draw(
            vertices,
            arrows,
            title=f"{decision.source} → {decision.destination} {packet}: {_VERBS[decision.verdict]}",
            # Policies of one side that do the same are one node.
            fold="class",
            max_nodes=max_nodes,
            notes=(*_sentences(decision), *answer.picture_notes),
        )

    def _parts(self, decision: FlowDecision) -> tuple[list[Vertex], list[Arrow]]:
        canvas = Canvas(self.flows)
        ports = PortSet.of(decision.protocol, decision.port)
        if not decision.traces:
            ends = [
                Vertex(key=f"end/{number}", label=text, kind=DrawnKind.OTHER)
                for number, text in enumerate((decision.source, decision.destination))
            ]
            style = _STYLES[decision.verdict]
            return ends, [Arrow(tail=ends[0].key, head=ends[1].key, ports=ports, style=style)]
        egress, ingress = decision.traces
        start, end = (_unframed(canvas.of_point(found.end)) for found in (egress, ingress))
        if start.key == end.key:
            # Two pods of one workload.
            end = msgspec.structs.replace(end, key=f"{end.key} (other)", label=f"{end.label} (another pod)")
        vertices, arrows = [start], list[Arrow]()
        layer, style, said = [start], Line.SOLID, [f"{decision.protocol} {decision.port}"]
        for found in (egress, ingress):
            gates = list(_gates(found))
            if gates:
                arrows += _between(layer, gates, said, style)
                vertices += gates
                layer, style, said = gates, _STYLES[found.verdict], []
            said.append(_verdict_words(found))
        arrows += _between(layer, [end], said, style)
        return [*vertices, end], arrows


def _unframed(vertex: Vertex) -> Vertex:
    """Frames would pull the two ends together."""
    label = f"{vertex.group}/{vertex.label}" if vertex.group else vertex.label
    return msgspec.structs.replace(vertex, label=label, group="")


def _between(tails: Iterable[Vertex], heads: Sequence[Vertex], said: Iterable[str], style: Line) -> list[Arrow]:
    """One arrow for each line of text; parallel ones are drawn as one."""
    return [
        Arrow(tail=tail.key, head=head.key, label=words, style=style)
        for tail in tails
        for head in heads
        for words in said
    ]


def _gates(found: Trace) -> Iterator[Vertex]:
    """The policies that decide: that of the deciding rule, or all that isolate."""
    if not found.stages:
        return
    deciding = found.deciding
    refs = [deciding.policy] if deciding is not None else [ref for ref, _ in found.stages[-1].policies]
    for ref in refs:
        # The same policy may decide on both sides.
        yield Vertex(
            key=f"{found.direction}/{ref}", label=f"{ref.kind} {ref.name}", kind=DrawnKind.POLICY, cls=found.direction
        )


def _verdict_words(found: Trace) -> str:
    verb = {"allow": "allowed", "deny": "denied", "unknown": "not certain"}[found.verdict]
    deciding = found.deciding
    if deciding is not None:
        return f"{found.direction}[{deciding.rule}]: {verb}"
    if found.stages:
        return f"{found.direction}: no rule matches, {verb}"
    return f"{found.direction}: {verb}, no policy"


def _sentences(decision: FlowDecision) -> list[str]:
    return decision.reason.split("; ")


__all__ = [
    "Canvas", "FlowPicture", "PacketPicture", "addresses_text", "addresses_vertex", "entry_vertex", "object_vertex",
]  # fmt: skip
