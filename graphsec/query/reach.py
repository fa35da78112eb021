"""What can reach what: allowed flows from, to or between ends, or the whole map, rolled up to what people know."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.ports import ALL_PORTS, MAX_PORT, MIN_PORT, NO_PORTS, PROTOCOLS, PortSet, is_number
from graphsec.compile import World
from graphsec.compile.endpoints import INGRESS_CONTROLLER, VIRTUAL
from graphsec.compile.flows import NOTHING, Amount, Flows
from graphsec.compile.fold import (
    FOLDS,
    Pairs,
    TooManyPairsError,
    Units,
    fold_all,
    fold_some,
    ranges,
    with_own_nodes,
    without_self,
)
from graphsec.compile.masks import Ids
from graphsec.compile.trace import Point
from graphsec.errors import LimitError, UsageError
from graphsec.model.policy import Direction
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer, lower_name
from graphsec.query._ends import End, parse_end, pod_label, span_label, workload_label
from graphsec.query._flow_evidence import allowing
from graphsec.query._flow_needs import flow_answer
from graphsec.query._words import flag
from graphsec.query.can_reach import FlowEvidence
from graphsec.query.exposed import ingress_flows

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Diagram, Fold, Vertex

COLUMNS = ("SOURCE", "DESTINATION", "PORTS")
WIDE_COLUMNS = (*COLUMNS, "POSSIBLE", "BECAUSE")
OWN_NODE = FlowEvidence(direction="both", policy=None, reason="a node always reaches the pods it hosts (N-15)")
_BETWEEN_NODES = FlowEvidence(direction="both", policy=None, reason="no policy governs the traffic of nodes (N-14)")
#: Pairs of classes whose rules are named as evidence of one flow, or of one change of flows.
EVIDENCE_PAIRS = 16


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """One end of a flow; ``str()`` is the connlist form. ``ref`` is None for addresses and classes."""

    text: str
    ref: Ref | None = None
    addresses: AddressSet | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Traffic that is allowed from source to destination. ``ports`` is certain; ``possible`` are further ports that the
    input leaves open (an address that is not known, equal priorities)."""

    source: FlowEnd
    destination: FlowEnd
    ports: PortSet
    possible: PortSet = NO_PORTS
    #: Traffic that differs between the address families: `IPv4 only` and the like.
    family: str = ""
    #: True where only some pods of an end have all of this: ``fold="none"`` tells which (R-05).
    partial: bool = False
    evidence: Callable[[], tuple[FlowEvidence, ...]] = field(repr=False, compare=False, default=tuple)

    @cached_property
    def because(self) -> tuple[FlowEvidence, ...]:
        """The rules of both sides that allow it."""
        return self.evidence()

    @property
    def remarks(self) -> str:
        return ", ".join(filter(None, (self.family, "some pods" if self.partial else "")))

    def line(self) -> str:
        """As netpol-analyzer prints it: `src[Kind] => dst[Kind] : TCP 80,443`."""
        return f"{self.source} => {self.destination} : {self.ports}"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        ports = str(self.ports) if self.ports else f"possible: {self.possible}"
        remarks = f" ({self.remarks})" if self.remarks else ""
        cells = (str(self.source), str(self.destination), f"{ports}{remarks}")
        if not wide:
            return cells
        return (*cells, str(self.possible) if self.possible else "-", "; ".join(map(str, self.because)))

    def to_dict(self) -> dict[str, Any]:
        fields = {
            "source": str(self.source),
            "destination": str(self.destination),
            "ports": str(self.ports),
            "possible": str(self.possible) if self.possible else None,
            "family": self.family or None,
            "partial": self.partial,
            "because": [proof.to_dict() for proof in self.because],
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.diagram import Arrow, Line

        tail, head = end_vertex(self.source), end_vertex(self.destination)
        amounts = ((self.ports, Line.SOLID), (self.possible, Line.POSSIBLE))
        return [tail, head], [
            Arrow(tail=tail.key, head=head.key, ports=ports, label=self.remarks, style=style)
            for ports, style in amounts
            if ports
        ]

    def refs(self) -> tuple[str, ...]:
        return tuple(lower_name(end.ref) if end.ref else str(end) for end in (self.source, self.destination))


def end_vertex(end: FlowEnd) -> Vertex:
    from graphsec.query._flow_picture import addresses_vertex, entry_vertex, object_vertex

    if end.addresses is not None:
        return addresses_vertex(end.addresses)
    if end.ref is not None:
        return object_vertex(end.ref)
    return entry_vertex(end.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """``source`` and ``destination`` as ``_ends`` reads them, "" for any; ``namespace`` keeps flows that touch it."""

    ask: ClassVar[str] = "reach"
    source: str = ""
    destination: str = ""
    protocol: str = ""
    port: int = 0
    fold: str = "workload"
    namespace: str = ""

    def __post_init__(self) -> None:
        if self.protocol not in ("", *PROTOCOLS):
            raise UsageError(f"unknown protocol `{self.protocol}`", help=f"protocols: {', '.join(PROTOCOLS)}")
        if self.port != 0 and not is_number(self.port):
            raise UsageError(f"no port: {self.port}", help=f"ports are {MIN_PORT} to {MAX_PORT}")
        if self.fold not in FOLDS:
            raise UsageError(f"unknown fold `{self.fold}`", help=f"folds: {', '.join(FOLDS)}")

    def command(self) -> str:
        ends = filter(None, (self.source or ("*" if self.destination else ""), self.destination))
        port = f" --port {self.port}" if self.port else ""
        fold = flag("--fold", "" if self.fold == "workload" else self.fold)
        return f"{' '.join(('reach', *map(shlex.quote, ends)))}{port}{flag('--protocol', self.protocol)}{fold}{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "source": self.source,
            "destination": self.destination,
            "protocol": self.protocol,
            "port": self.port,
            "fold": self.fold,
            "namespace": self.namespace,
        }
        return {key: value for key, value in fields.items() if value}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def answer(self, world: World) -> Answer[Flow]:
        rolled = (
            "A namespace stands for any of its pods: a flow holds for some pair of them"
            if self.fold == "namespace"
            else ""
        )
        answer = flow_answer(world, self, "reach", lambda: self._flows(world), notes=(rolled,) if rolled else ())
        return replace(answer, picture=partial(self._picture, world.flows))

    def _picture(self, flows: Flows, answer: Answer[Flow], fold: Fold, max_nodes: int) -> Diagram:
        from graphsec.query._flow_picture import FlowPicture

        named = [parse_end(text, flows) for text in (self.source, self.destination) if text]
        endpoints = flows.endpoints
        pods = [pod for end in named for pod in end.pods] if named else range(len(endpoints))
        workloads = {endpoints.workloads[endpoints.workload_of[pod]]: None for pod in pods}
        real = [ref for ref in workloads if ref.kind != VIRTUAL and self.namespace in ("", ref.namespace)]
        namespaces = {Ref("Namespace", ref.namespace or ""): None for ref in real}
        scope = {"workload": real, "namespace": list(namespaces)}.get(self.fold, [])
        return FlowPicture(flows, pinned=tuple(workloads) if named else (), scope=tuple(scope))(answer, fold, max_nodes)

    # -- asking -------------------------------------------------------------------------------------------------

    @property
    def _asked(self) -> PortSet:
        protocols = (self.protocol,) if self.protocol else PROTOCOLS
        ports = (self.port,) if self.port else ()
        return PortSet.union_of(PortSet.of(protocol, *ports) for protocol in protocols)

    def _flows(self, world: World) -> Sequence[Flow]:
        flows = world.flows
        source = parse_end(self.source, flows) if self.source else None
        destination = parse_end(self.destination, flows) if self.destination else None
        units = Units.of(flows, self.fold)
        nodes = [end for end in (source, destination) if end is not None and end.node]
        try:
            pairs = {} if nodes else self._pairs(flows, units, source, destination)
        except TooManyPairsError as error:
            raise LimitError(
                f"{error.pairs:,} or more pairs with --fold {self.fold}: too many to list",
                help="`--fold namespace`, or name a source or destination",
            ) from error
        found = [
            *self._shown(world, units, pairs, source, destination),
            *(self._at_node(flows, units, source, destination) if nodes else ()),
            *self._from_controllers(world, source, destination),
        ]
        if self.namespace:
            found = [flow for flow in found if _touches(flow, self.namespace)]
        return tuple(sorted(found, key=lambda flow: (_order(flow.source), _order(flow.destination))))

    def _pairs(self, flows: Flows, units: Units, source: End | None, destination: End | None) -> Pairs:
        if source is None and destination is None:
            pairs = fold_all(flows, units)
        else:
            wanted = _units(units, source), _units(units, destination)
            pairs = fold_some(flows, units, _rows(flows, source, destination), wanted)
        pods = [None if end is None else set(end.pods) for end in (source, destination)]
        pairs = without_self(flows, units, pairs)
        return with_own_nodes(flows, units, pairs, pods[0], pods[1])

    def _shown(
        self, world: World, units: Units, pairs: Pairs, source: End | None, destination: End | None
    ) -> Iterator[Flow]:
        flows = world.flows
        traffic, asked = flows.universe.traffic, self._asked
        everything = asked == ALL_PORTS
        for left, right, amount in ranges(flows, units, pairs):
            ports, possible = traffic.ports(amount.certain), traffic.ports(amount.possible)
            if not everything:
                ports, possible = ports & asked, possible & asked
            if not possible:
                continue
            for start in _limited(left, source):
                for end in _limited(right, destination):
                    yield Flow(
                        source=_named(units, start),
                        destination=_named(units, end),
                        ports=ports,
                        possible=possible - ports,
                        family=_family(flows, amount) if flows.universe.families else "",
                        partial=_is_partial(flows, units, left, right, amount),
                        evidence=partial(_evidence, flows, units, start, end),
                    )

    def _at_node(self, flows: Flows, units: Units, source: End | None, destination: End | None) -> Iterator[Flow]:
        """Flows of which one end is a node itself, and not a pod on its network; those with addresses outside are not the
        cluster's."""
        outgoing = source is not None and bool(source.node)
        node, other = (source, destination) if outgoing else (destination, source)
        assert node is not None, "one of the ends is a node"
        name = FlowEnd(f"Node/{node.node}", Ref("Node", node.node))
        for unit, amount in _node_amounts(flows, units, node, other, outgoing=outgoing).items():
            ports = flows.universe.traffic.ports(amount.certain) & self._asked
            possible = flows.universe.traffic.ports(amount.possible) & self._asked
            if possible:
                ends = (name, _named(units, unit)) if outgoing else (_named(units, unit), name)
                evidence = partial(_node_evidence, flows, units, node, unit, outgoing=outgoing)
                yield Flow(
                    source=ends[0], destination=ends[1], ports=ports, possible=possible - ports, evidence=evidence
                )

    def _from_controllers(self, world: World, source: End | None, destination: End | None) -> Iterator[Flow]:
        """What an Ingress or Route opens from a controller that is not in the input (X-05), by workload."""
        if self.fold != "workload" or (source is not None and source.text != INGRESS_CONTROLLER):
            return
        endpoints = world.flows.endpoints
        wanted = (
            None
            if destination is None
            else {endpoints.workloads[endpoints.workload_of[pod]] for pod in destination.pods}
        )
        for found in ingress_flows(world):
            ports, possible = found.ports & self._asked, found.possible & self._asked
            if (ports or possible) and (wanted is None or found.workload in wanted):
                yield Flow(
                    source=FlowEnd(INGRESS_CONTROLLER),
                    destination=FlowEnd(workload_label(found.workload), found.workload),
                    ports=ports,
                    possible=possible,
                    evidence=found.evidence,
                )


def _rows(flows: Flows, source: End | None, destination: End | None) -> Iterator[tuple[Ids, Ids, Amount]]:
    """(sources, destinations, traffic) of what the named ends may do, class by class."""
    if source is not None:
        wanted = None if destination is None else _numbers(destination)
        for number in _numbers(source).tolist():
            for classes, amount in flows.reached_from(number):
                kept = classes if wanted is None else np.intersect1d(classes, wanted)
                if len(kept):
                    yield _one(number), kept, amount
    elif destination is not None:
        for number in _numbers(destination).tolist():
            for classes, amount in flows.reaching(number):
                yield classes, _one(number), amount


def _node_amounts(flows: Flows, units: Units, node: End, other: End | None, *, outgoing: bool) -> dict[int, Amount]:
    """What a node reaches or what reaches it, by unit; all of what it hosts (N-15)."""
    found: dict[int, Amount] = defaultdict(lambda: NOTHING)
    wanted = None if other is None else {int(units.of_pod[pod]) for pod in other.pods}
    for point in node.points:
        for classes, amount in flows.reached_from(point.number) if outgoing else flows.reaching(point.number):
            kept = classes if other is None else np.intersect1d(classes, _numbers(other))
            for unit in np.unique(units.rows.expand(kept)[1]).tolist():
                if unit < units.count and (wanted is None or unit in wanted):
                    found[unit] |= amount
    if outgoing and flows.profile.own_node:
        everything = flows.universe.traffic.all
        for pod, spec in enumerate(flows.endpoints.specs):
            hosted = spec.node_name == node.node and pod not in flows.universe.host_classes
            if hosted and (other is None or pod in other.pods):
                found[int(units.of_pod[pod])] = Amount(everything, everything)
    return found


def _node_evidence(flows: Flows, units: Units, node: End, unit: int, *, outgoing: bool) -> tuple[FlowEvidence, ...]:
    found: dict[FlowEvidence, None] = {}
    for point in _classes(flows, units, unit):
        for peer in node.points:
            direction = Direction.INGRESS if outgoing else Direction.EGRESS
            found.update(dict.fromkeys(allowing(flows, direction, point, peer)))
    return tuple(found) or (_BETWEEN_NODES if int(units.pods[unit][0]) in flows.universe.host_classes else OWN_NODE,)


def _units(units: Units, end: End | None) -> Ids | None:
    """What an end means: the units of its pods, all parts of the address space (the rows hold only those asked for)."""
    if end is None:
        return None
    outside = units.count + np.arange(units.flows.universe.cells.count, dtype=np.int32)
    return np.unique(np.concatenate([units.of_pod[np.array(end.pods, np.int64)], outside])).astype(np.int32)


def _numbers(end: End) -> Ids:
    return np.unique(np.array([point.number for point in end.points], np.int32))


def _one(number: int) -> Ids:
    return np.array([number], np.int32)


def _limited(unit: int | AddressSet, end: End | None) -> Iterable[int | AddressSet]:
    """The unit as far as the end that was named means it."""
    if not isinstance(unit, AddressSet) or end is None:
        return (unit,)
    return [AddressSet((span,)) for span in (unit & end.outside).spans]


def _named(units: Units, unit: int | AddressSet) -> FlowEnd:
    if isinstance(unit, AddressSet):
        return FlowEnd(span_label(unit), addresses=unit)
    endpoints, universe = units.flows.endpoints, units.flows.universe
    if units.fold == "workload":
        ref = endpoints.workloads[unit]
        return FlowEnd(workload_label(ref), ref)
    if units.fold == "namespace":
        name = universe.namespaces[unit]
        return FlowEnd(f"{name}/*", Ref("Namespace", name))
    if units.fold == "class":
        members = universe.members[unit]
        first = endpoints.refs[int(members[0])]
        count = sum(endpoints.replicas[pod] for pod in members.tolist())
        return FlowEnd(f"{pod_label(first)}[class of {count:,}]", first)
    ref = endpoints.refs[unit]
    return FlowEnd(workload_label(ref), ref)


def _order(end: FlowEnd) -> tuple[bool, str, tuple[tuple[int, int], ...]]:
    return end.addresses is not None, "" if end.addresses else end.text, end.addresses.spans if end.addresses else ()


def _touches(flow: Flow, namespace: str) -> bool:
    ends = (flow.source.ref, flow.destination.ref)
    return any(
        ref is not None and namespace in (ref.namespace, ref.name if ref.kind == "Namespace" else None) for ref in ends
    )


def _is_partial(flows: Flows, units: Units, left: int | AddressSet, right: int | AddressSet, whole: Amount) -> bool:
    """Whether some pair of pods has less than the flow says; namespaces are read as: some of their pods."""
    if units.fold != "workload" or not {left, right} & units.uneven:
        return False
    pairs = ((a, b) for a in _classes(flows, units, left) for b in _classes(flows, units, right))
    return any(
        flows.between(a.number, b.number) != whole
        for a, b in islice(pairs, EVIDENCE_PAIRS**2)
        if a.pod != b.pod or a.pod < 0
    )


def _family(flows: Flows, amount: Amount) -> str:
    traffic = flows.universe.traffic
    v4, v6 = (traffic.ports_of(amount.possible, family) for family in (4, 6))
    if v4 == v6:
        return ""
    return "IPv4 only" if not v6 else "IPv6 only" if not v4 else f"IPv6: {v6}"


def _evidence(flows: Flows, units: Units, left: int | AddressSet, right: int | AddressSet) -> tuple[FlowEvidence, ...]:
    """The rules of both sides, over the pairs of classes that the units consist of."""
    found: dict[FlowEvidence, None] = {}
    pairs = 0
    for source in _classes(flows, units, left):
        for destination in _classes(flows, units, right):
            if not flows.between(source.number, destination.number).possible:
                continue
            pairs += 1
            if pairs > EVIDENCE_PAIRS:
                return tuple(found)
            for direction, subject, peer in (
                (Direction.EGRESS, source, destination),
                (Direction.INGRESS, destination, source),
            ):
                found.update(dict.fromkeys(allowing(flows, direction, subject, peer)))
    return tuple(found) or (_BETWEEN_NODES if pairs else OWN_NODE,)


def _classes(flows: Flows, units: Units, unit: int | AddressSet) -> Iterator[Point]:
    """A class of each kind that the permissions tell apart."""
    universe = flows.universe
    if isinstance(unit, AddressSet):
        for cell, addresses in enumerate(universe.cell_addresses):
            if addresses & unit:
                yield Point(number=universe.outside + cell, label=span_label(unit))
        return
    seen = set()
    for pod in units.pods[unit].tolist():
        for number in universe.classes[pod].tolist():
            kind = int(flows.kinds[number])
            if kind not in seen:
                seen.add(kind)
                yield Point(number=number, pod=pod, label=pod_label(flows.endpoints.refs[pod]))


__all__ = ["EVIDENCE_PAIRS", "INGRESS_CONTROLLER", "OWN_NODE", "Flow", "FlowEnd", "Reach"]
