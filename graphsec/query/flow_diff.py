"""The flows of a comparison: gained, lost and changed, at workload level, with the rules that make them so."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.ports import NO_PORTS, PortSet
from graphsec.compile import World
from graphsec.compile.compare import Allowed, Change, compare
from graphsec.compile.endpoints import INGRESS_CONTROLLER
from graphsec.compile.flows import Flows
from graphsec.compile.fold import TooManyPairsError, are_held
from graphsec.compile.hops import Sees
from graphsec.compile.policies import Placed
from graphsec.compile.trace import Point, trace
from graphsec.errors import LimitError
from graphsec.model.policy import DEFAULT, Action, Direction
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer, lower_name, named
from graphsec.query._ends import pod_label, span_label, workload_label
from graphsec.query._flow_evidence import allowing
from graphsec.query._flow_needs import flow_answer
from graphsec.query._pod_changes import pod_changes
from graphsec.query._words import flag
from graphsec.query.can_reach import FlowEvidence, evidence_of
from graphsec.query.exposed import ingress_flows
from graphsec.query.reach import EVIDENCE_PAIRS, OWN_NODE, FlowEnd, end_vertex

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("CHANGE", "SOURCE", "DESTINATION", "BEFORE", "AFTER", "WHERE")
WIDE_COLUMNS = (*COLUMNS, "WORKLOADS", "BECAUSE", "DENIED BY")
GAINED, LOST, CHANGED = "gained", "lost", "changed"
_TENSE = {GAINED: "was ", LOST: "now ", CHANGED: ""}
Proof = Callable[[], tuple[FlowEvidence, ...]]


@dataclass(frozen=True, kw_only=True)
class FlowChange:
    """One pair of ends whose flow differs. ``before`` and ``after`` are certain ports, ``possible_before`` and
    ``possible_after`` further ones that the input leaves open. ``change`` is gained where nothing was even possible before,
    lost where nothing is after, else changed."""

    change: str
    source: FlowEnd
    destination: FlowEnd
    before: PortSet = NO_PORTS
    after: PortSet = NO_PORTS
    possible_before: PortSet = NO_PORTS
    possible_after: PortSet = NO_PORTS
    #: `IPv6 only` and the like, where not both address families change alike (N-20).
    family: str = ""
    #: Ends that only one of the worlds has: `workload prod/web[Deployment] added`.
    workloads: str = ""
    proof: Proof = field(repr=False, compare=False, default=tuple)
    counterproof: Proof = field(repr=False, compare=False, default=tuple)

    #: Further ports that one address family gains while the other has them anyway; and loses.
    family_gained: PortSet = NO_PORTS
    family_lost: PortSet = NO_PORTS

    kind = "flow"

    @property
    def gained(self) -> PortSet:
        return ((self.after | self.possible_after) - (self.before | self.possible_before)) | self.family_gained

    @property
    def lost(self) -> PortSet:
        return ((self.before | self.possible_before) - (self.after | self.possible_after)) | self.family_lost

    @cached_property
    def because(self) -> tuple[FlowEvidence, ...]:
        """The rules that allow what differs, in the world that allows it."""
        return self.proof()

    @cached_property
    def denied_by(self) -> tuple[FlowEvidence, ...]:
        """What denies it in the other world; nothing where an end is not there."""
        return self.counterproof()

    def row(self, *, wide: bool) -> tuple[str, ...]:
        family = f" ({self.family})" if self.family else ""
        cells = (
            self.change,
            str(self.source),
            str(self.destination),
            f"{_ports_text(self.before, self.possible_before)}{family}",
            f"{_ports_text(self.after, self.possible_after)}{family}",
            self._where(),
        )
        if not wide:
            return cells
        because, denied = ("; ".join(map(str, found)) or "-" for found in (self.because, self.denied_by))
        return (*cells, self.workloads or "-", because, denied)

    def _where(self) -> str:
        """The lines to look at: of the rules that allow, then of what denies in the other world."""
        words = _places(self.because)
        denied = _places(self.denied_by)
        if denied:
            words.append(f"{_TENSE[self.change]}denied by {', '.join(denied)}")
        return "; ".join(words) or self.workloads or "; ".join(dict.fromkeys(map(str, self.because))) or "-"

    def to_dict(self) -> dict[str, Any]:
        fields = {
            "kind": self.kind,
            "change": self.change,
            "source": str(self.source),
            "destination": str(self.destination),
            "before": str(self.before),
            "after": str(self.after),
            "possibleBefore": str(self.possible_before) if self.possible_before else None,
            "possibleAfter": str(self.possible_after) if self.possible_after else None,
            "gained": str(self.gained),
            "lost": str(self.lost),
            "family": self.family or None,
            "workloads": self.workloads or None,
            "because": [proof.to_dict() for proof in self.because],
            "deniedBy": [proof.to_dict() for proof in self.denied_by],
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.diagram import Arrow, Line

        tail, head = end_vertex(self.source), end_vertex(self.destination)
        amounts = ((self.gained, "+", Line.SOLID), (self.lost, "-", Line.LOST))
        return [tail, head], [
            Arrow(tail=tail.key, head=head.key, ports=ports, label=sign, style=style)
            for ports, sign, style in amounts
            if ports
        ]

    def refs(self) -> tuple[str, ...]:
        return tuple(lower_name(end.ref) if end.ref else str(end) for end in (self.source, self.destination))


def _ports_text(certain: PortSet, possible: PortSet) -> str:
    return f"possible: {possible}" if possible and not certain else str(certain)


def _places(evidence: Iterable[FlowEvidence]) -> list[str]:
    return list(dict.fromkeys(str(found.source) for found in evidence if found.source is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDiff:
    """``old`` and ``new`` are what the worlds were read from; ``namespace`` keeps changes that touch it."""

    ask: ClassVar[str] = "diff"
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    namespace: str = ""

    @classmethod
    def between(cls, old: World, new: World, namespace: str = "") -> FlowDiff:
        """Named after the inputs of the worlds."""
        paths = (tuple(dict.fromkeys(form.given for form in world.coverage.inputs)) for world in (old, new))
        return cls(old=next(paths), new=next(paths), namespace=namespace)

    def command(self) -> str:
        words = (shlex.quote(",".join(names)) for names in (self.old, self.new))
        return f"diff {' '.join(words)}{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        namespace = {"namespace": self.namespace} if self.namespace else {}
        return {"old": list(self.old), "new": list(self.new), **namespace}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def answer(self, old: World, new: World) -> Answer[FlowChange]:
        """The changes. What each world lacks or leaves open is said of it by name."""
        before = flow_answer(old, self, "reach", tuple)
        after = flow_answer(new, self, "reach", lambda: tuple(self._changes(old, new)))
        return Answer(
            question=self,
            items=after.items,
            complete=before.complete and after.complete,
            coverage=after.coverage,
            diagnostics=tuple(dict.fromkeys((*before.diagnostics, *after.diagnostics))),
            notes=named(before.notes, after.notes),
            warnings=named(before.warnings, after.warnings),
        )

    def _changes(self, old: World, new: World) -> list[FlowChange]:
        namespace = self.namespace
        keep = (lambda ref: ref.namespace == namespace) if namespace else None
        try:
            found = [change for change in compare(old, new, keep) if not _is_inside(change, old.flows, new.flows)]
        except TooManyPairsError as error:
            raise LimitError(
                f"{error.pairs:,} or more pairs of workloads: too many to list", help="name a namespace with `-n`"
            ) from error
        sides = Side(old.flows), Side(new.flows)
        changes = [*(_described(change, *sides) for change in found), *_of_controllers(old, new, *sides)]
        changes += _of_pods(old.flows, new.flows, {(str(change.source), str(change.destination)) for change in changes})
        return sorted((change for change in changes if not namespace or _touches(change, namespace)), key=_order)


def _order(change: FlowChange) -> tuple[Any, ...]:
    return tuple(
        (end.addresses is not None, "" if end.addresses else end.text, end.addresses.spans if end.addresses else ())
        for end in (change.source, change.destination)
    )


def _is_inside(change: Change, old: Flows, new: Flows) -> bool:
    """Whether the addresses of a change are those of pods in both worlds, and so no addresses outside."""
    ends = [end for end in (change.source, change.destination) if isinstance(end, AddressSet)]
    return any(are_held(old, end) and are_held(new, end) for end in ends)


def _of_pods(old: Flows, new: Flows, told: set[tuple[str, str]]) -> Iterator[FlowChange]:
    """Of single pods, where the flows of their workload do not tell it already."""
    for found in pod_changes(old, new):
        own, pod = (FlowEnd(workload_label(ref), ref) for ref in (found.workload, found.pod))
        if isinstance(found.other, AddressSet):
            other = FlowEnd(span_label(found.other), addresses=found.other)
        else:
            other = FlowEnd(workload_label(found.other), found.other)
        if (str(own), str(other)) in told or (str(other), str(own)) in told:
            continue
        ends = (pod, other) if found.outgoing else (other, pod)
        yield FlowChange(
            change=GAINED if not found.before else LOST if not found.after else CHANGED,
            source=ends[0],
            destination=ends[1],
            before=found.before,
            after=found.after,
            proof=partial(tuple, found.proof),
        )


# -- description --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One world, asked for workloads by name."""

    flows: Flows

    def has(self, end: Ref | AddressSet) -> bool:
        return isinstance(end, AddressSet) or end in self.flows.endpoints.pods_of_workload

    def points(self, end: Ref | AddressSet) -> Iterator[Point]:
        """The classes of an end, each with one pod or address that stands for it."""
        universe, endpoints = self.flows.universe, self.flows.endpoints
        if isinstance(end, AddressSet):
            for cell, addresses in enumerate(universe.cell_addresses):
                inside = addresses & end
                if inside:
                    yield Point(number=universe.outside + cell, address=inside.spans[0][0], label=span_label(end))
            return
        seen = set()
        for pod in endpoints.pods_of_workload.get(end, ()):
            for number in universe.classes[pod].tolist():
                if number not in seen:
                    seen.add(number)
                    yield Point(number=number, pod=pod, label=pod_label(endpoints.refs[pod]))

    def pairs(self, change: Change) -> Iterator[tuple[Point, Point]]:
        destinations = list(self.points(change.destination))
        return ((source, destination) for source in self.points(change.source) for destination in destinations)

    def allowing(self, change: Change, ports: PortSet) -> Iterator[FlowEvidence]:
        """The rules of both sides that allow some of the ports."""
        bits = self.flows.universe.traffic.touching(ports)
        left = EVIDENCE_PAIRS
        for source, destination in self.pairs(change):
            if not self.flows.between(source.number, destination.number).possible & bits:
                continue
            yield from allowing(self.flows, Direction.EGRESS, source, destination, bits)
            yield from allowing(self.flows, Direction.INGRESS, destination, source, bits)
            left -= 1
            if not left:
                return
        if left == EVIDENCE_PAIRS:
            yield OWN_NODE

    def denying(self, change: Change, ports: PortSet) -> Iterator[FlowEvidence]:
        """What denies the first of the ports, for one pair of pods to which it is denied."""
        if not ports or not (self.has(change.source) and self.has(change.destination)):
            return
        protocol, port, _ = next(ports.ranges())
        bit = self.flows.universe.traffic.bit(protocol, port)
        for source, destination in self.pairs(change):
            if self.flows.between(source.number, destination.number).certain & bit:
                continue
            for direction, subject, peer in (
                (Direction.EGRESS, source, destination),
                (Direction.INGRESS, destination, source),
            ):
                yield from self._denial(direction, subject, peer, (protocol, port))
            return

    def _denial(
        self, direction: Direction, subject: Point, peer: Point, packet: tuple[str, int]
    ) -> Iterator[FlowEvidence]:
        """Of one side: the policy that isolates where nothing but that is to say, else what a trace finds."""
        flows = self.flows
        if subject.number >= flows.universe.pods:
            return
        bit = flows.universe.traffic.bit(*packet)
        allowed = [flows.one_side(direction, subject.number, peer.number, reading) & bit for reading in flows.readings]
        deciding = flows.selecting(subject.number, direction)
        if all(allowed):
            return
        if deciding and not any(allowed) and all(map(_only_isolates, deciding)):
            first = deciding[0]
            yield FlowEvidence(
                direction=direction.value,
                policy=first.ref,
                action="deny",
                source=first.source,
                reason="isolates, and no rule matches",
            )
            return
        found = trace(flows, direction, subject, peer, *packet)
        if found.verdict != "allow":
            yield evidence_of(found)


def _only_isolates(policy: Placed) -> bool:
    """What denies is that it selects, as with NetworkPolicy (N-01)."""
    rules = (*(policy.body.ingress or ()), *(policy.body.egress or ()))
    return policy.tier == DEFAULT and all(rule.action is Action.ALLOW for rule in rules)


def _described(change: Change, old: Side, new: Side) -> FlowChange:
    before, after = change.before, change.after
    kind = GAINED if not before.possible else LOST if not after.possible else CHANGED
    return FlowChange(
        change=kind,
        source=_end(change.source),
        destination=_end(change.destination),
        before=before.ports,
        after=after.ports,
        possible_before=before.possible - before.ports,
        possible_after=after.possible - after.ports,
        family=_family(before, after),
        family_gained=_more_possible(after, before),
        family_lost=_more_possible(before, after),
        workloads=_workloads(change, old, new),
        proof=partial(_because, change, old, new),
        counterproof=partial(_denied, change, old, new),
    )


def _touches(change: FlowChange, namespace: str) -> bool:
    return any(end.ref is not None and end.ref.namespace == namespace for end in (change.source, change.destination))


def _of_controllers(old: World, new: World, before: Side, after: Side) -> Iterator[FlowChange]:
    """What Ingresses and the like open from a controller that is not in the input (X-05)."""
    found: dict[Ref, list[tuple[PortSet, PortSet]]] = {}
    for number, world in enumerate((old, new)):
        for flow in ingress_flows(world):
            known = found.setdefault(flow.workload, [(NO_PORTS, NO_PORTS)] * 2)
            known[number] = (flow.ports, flow.possible)
    for workload, ((ports, possible), (new_ports, new_possible)) in found.items():
        if (ports, possible) == (new_ports, new_possible):
            continue
        had, has = ports | possible, new_ports | new_possible
        info = Change(source=workload, destination=workload, before=Allowed(ports), after=Allowed(new_ports))
        yield FlowChange(
            change=GAINED if not had else CHANGED if has else LOST,
            source=FlowEnd(INGRESS_CONTROLLER),
            destination=_end(workload),
            before=ports,
            after=new_ports,
            possible_before=possible,
            possible_after=new_possible,
            workloads=_workloads(info, before, after),
            proof=partial(_entries, workload, [world for world, any_ports in ((old, had), (new, has)) if any_ports]),
        )


def _entries(workload: Ref, worlds: Iterable[World]) -> tuple[FlowEvidence, ...]:
    """The objects that lead the controller's traffic to a workload."""
    found = {}
    for world in worlds:
        for route in world.routes.found:
            entry = route.hops[0]
            if route.sees is Sees.SENDER and world.flows.endpoints.workloads[route.workload] == workload:
                found[entry.ref, entry.source] = FlowEvidence(
                    direction="ingress", policy=entry.ref, action="leads here", source=entry.source
                )
    return tuple(found.values())


def _end(end: Ref | AddressSet) -> FlowEnd:
    if isinstance(end, AddressSet):
        return FlowEnd(span_label(end), addresses=end)
    return FlowEnd(workload_label(end), end)


def _more_possible(one: Allowed, other: Allowed) -> PortSet:
    """Ports that a family has in one world and not in the other."""
    return (one.possible_v4 - other.possible_v4) | (one.possible_v6 - other.possible_v6)


def _family(before: Allowed, after: Allowed) -> str:
    v4 = (before.v4, before.possible_v4) != (after.v4, after.possible_v4)
    v6 = (before.v6, before.possible_v6) != (after.v6, after.possible_v6)
    if v4 and v6:
        alike = (before.v4, after.v4) == (before.v6, after.v6)
        return "" if alike else f"IPv4: {before.v4} → {after.v4}, IPv6: {before.v6} → {after.v6}"
    # Where neither world has IPv6, or the end is an address, the family says nothing.
    known = before.possible_v6 or after.possible_v6
    return "IPv6 only" if v6 and (before.possible_v4 or after.possible_v4) else "IPv4 only" if v4 and known else ""


def _workloads(change: Change, old: Side, new: Side) -> str:
    """As netpol-analyzer's `workloads-diff-info` says it: ends that only one of the worlds has."""
    ends = list(dict.fromkeys(end for end in (change.source, change.destination) if isinstance(end, Ref)))
    found = []
    for word, here, there in (("added", new, old), ("removed", old, new)):
        names = [workload_label(end) for end in ends if here.has(end) and not there.has(end)]
        if names:
            found.append(f"workload {' and '.join(names)} {word}")
    return ", ".join(found)


def _because(change: Change, old: Side, new: Side) -> tuple[FlowEvidence, ...]:
    found: list[FlowEvidence] = []
    for here, mine, theirs in ((old, change.before, change.after), (new, change.after, change.before)):
        ports = _more(mine, theirs)
        if ports:
            found.extend(here.allowing(change, ports))
    return tuple(dict.fromkeys(found))


def _denied(change: Change, old: Side, new: Side) -> tuple[FlowEvidence, ...]:
    found: list[FlowEvidence] = []
    for there, mine, theirs in ((new, change.before, change.after), (old, change.after, change.before)):
        found.extend(there.denying(change, _more(mine, theirs)))
    return tuple(dict.fromkeys(found))


def _more(mine: Allowed, theirs: Allowed) -> PortSet:
    """Ports of either family that one world allows, or allows for certain, and the other does not."""
    return PortSet.union_of(one - other for one, other in zip(mine, theirs, strict=True))


__all__ = ["CHANGED", "GAINED", "LOST", "FlowChange", "FlowDiff", "Side"]
