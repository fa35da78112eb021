"""What is open to whom outside a workload's namespace: to the internet by each route, to other namespaces, to pods to come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.algebra.expressions import EVERYTHING, Expression, LabelTest, Operator
from graphsec.algebra.internet import INTERNET, PRIVATE
from graphsec.algebra.ports import NO_PORTS, PortSet
from graphsec.compile import World
from graphsec.compile.endpoints import ANY_POD, VIRTUAL
from graphsec.compile.flows import NOTHING, Amount
from graphsec.compile.hops import Hop, Route, Sees
from graphsec.compile.policies import Placed
from graphsec.compile.trace import term_text
from graphsec.model.policy import NAME_LABEL, Action, Direction, Endpoints, Peer, Rule
from graphsec.model.ref import Ref
from graphsec.model.text import counted
from graphsec.query._admitted import NO, POSSIBLE, YES, Admission, Admitted
from graphsec.query._answer import Answer, lower_name
from graphsec.query._crossing import Crossed, Crossing
from graphsec.query._ends import workload_label
from graphsec.query._flow_needs import flow_answer
from graphsec.query._words import flag
from graphsec.query.can_reach import FlowEvidence

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("WORKLOAD", "FROM", "PORTS", "VERDICT", "VIA")
WIDE_COLUMNS = (*COLUMNS, "REASON")
#: Kinds of exposure, in the order of answers.
INTERNET_ORIGIN, NAMESPACES, NEW_PODS = ORIGINS = ("internet", "namespaces", "new-pods")
#: Routes that a field of a Service opens, which its name alone does not tell.
_SERVICE_ROUTES = ("LoadBalancer", "NodePort", "externalIPs")
_FAMILIES = 2
#: Names that a cell lists of many.
_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """One thing that is open at a workload, or that a route leads to and a policy keeps shut.

    ``origin`` is internet, namespaces or new-pods; ``source`` says who in words. ``verdict``: ``yes``, ``possible`` (only by
    NAT, by the node that is entered, or as the input leaves it open) or ``no`` (X-02). ``ports`` are ports of the pods.
    """

    workload: Ref
    origin: str
    source: str
    ports: PortSet
    verdict: str
    reason: str
    #: What opens the route: LoadBalancer, NodePort, externalIPs, hostPort, hostNetwork, Ingress, HTTPRoute, Route; or "".
    route: str = ""
    #: The objects on the way from outside, the workload last.
    hops: tuple[Hop, ...] = ()
    #: Why only a private network can use the route, "" where nothing says so.
    internal: str = ""
    evidence: Callable[[], tuple[FlowEvidence, ...]] = field(repr=False, compare=False, default=tuple)
    #: Whether all other namespaces of the input are meant; ``to_dict`` does not list them then.
    everywhere: bool = False
    #: Names of the namespaces, for ``origin`` namespaces.
    named: Callable[[], tuple[str, ...]] = field(repr=False, compare=False, default=tuple)

    @cached_property
    def because(self) -> tuple[Hop | FlowEvidence, ...]:
        """The way, then the rules that decide at its end."""
        return (*self.hops, *self.evidence())

    @property
    def namespaces(self) -> tuple[str, ...]:
        return self.named()

    @property
    def key(self) -> tuple[Any, ...]:
        order = (ORIGINS.index(self.origin), self.route, (YES, POSSIBLE, NO).index(self.verdict), self.source)
        return (
            self.workload.namespace or "",
            self.workload.name,
            self.workload.kind,
            *order,
            str(self.ports),
            tuple(map(str, self.hops)),
        )

    @property
    def via(self) -> str:
        """The way without its end; without a way, the rules."""
        way = " → ".join(map(str, self.hops[:-1] or self.hops))
        if self.route in _SERVICE_ROUTES:
            return f"{self.route} {way}"
        return way or "; ".join(dict.fromkeys(map(str, self.because)))

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (workload_label(self.workload), self.source, str(self.ports), self.verdict, self.via)
        return (*cells, self.reason) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "workload": str(self.workload),
            "origin": self.origin,
            "source": self.source,
            "ports": str(self.ports),
            "verdict": self.verdict,
            "reason": self.reason,
            "route": self.route or None,
            "internal": self.internal or None,
            "namespaces": None if self.everywhere else list(self.namespaces) or None,
            "hops": [hop.to_dict() for hop in self.hops],
            "because": [proof.to_dict() for proof in self.evidence()],
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        """The way as a chain; what is shut is not drawn."""
        from graphsec.diagram import Arrow, DrawnKind, Line, Vertex
        from graphsec.query._flow_picture import object_vertex

        if self.verdict == NO:
            return [], []
        start = {
            INTERNET_ORIGIN: DrawnKind.INTERNET if self.source == "internet" else DrawnKind.EXTERNAL,
            NAMESPACES: DrawnKind.NAMESPACE,
            NEW_PODS: DrawnKind.POD,
        }[self.origin]
        chain = [Vertex(key=f"From/{self.source}", label=self.source, kind=start)]
        for ref in dict.fromkeys(hop.ref for hop in self.hops):
            if ref != self.workload and ref.kind != "Pod":
                label = f"{ref.kind} {ref.name}"
                chain.append(Vertex(key=str(ref), label=label, kind=DrawnKind.ENTRY, group=ref.namespace or ""))
        chain.append(object_vertex(self.workload))
        style = Line.SOLID if self.verdict == YES else Line.POSSIBLE
        arrows = [
            Arrow(tail=tail.key, head=head.key, ports=self.ports if head is chain[-1] else NO_PORTS, style=style)
            for tail, head in pairwise(chain)
        ]
        return chain, arrows

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.workload),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """``namespace`` keeps the workloads of one namespace."""

    ask: ClassVar[str] = "exposed"
    namespace: str = ""

    def command(self) -> str:
        return f"exposed{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        return {"namespace": self.namespace} if self.namespace else {}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def answer(self, world: World) -> Answer[Exposure]:
        answer = flow_answer(world, self, "exposed", lambda: self._exposures(world))
        return replace(answer, notes=(*answer.notes, *_notes()), warnings=(*answer.warnings, *self._refusals(world)))

    def _exposures(self, world: World) -> Sequence[Exposure]:
        finder = _Finder(world)
        refs = world.flows.endpoints.workloads
        wanted = [
            number
            for number, ref in enumerate(refs)
            if ref.kind != VIRTUAL and (not self.namespace or ref.namespace == self.namespace)
        ]
        return tuple(sorted((found for number in wanted for found in finder.of(number)), key=lambda item: item.key))

    def _refusals(self, world: World) -> Iterator[str]:
        """Entries that lead nowhere are not items: nothing is open, and nothing but the entry itself keeps it shut."""
        refused = [
            found for found in world.routes.refused if not self.namespace or found.ref.namespace == self.namespace
        ]
        for found in refused[:_SHOWN]:
            yield f"{found.ref} ({found.source}) leads nowhere: {found.reason}"
        if len(refused) > _SHOWN:
            yield f"{counted(len(refused) - _SHOWN, 'further entry')} without a way to a pod"


def _notes() -> Iterator[str]:
    yield "Pods on the host network count as their nodes, not as pods of other namespaces; a node always reaches the pods it hosts (N-14, N-15)"


class _Finder:
    """Makes the items of each workload; what all of them need is found once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._flows = world.flows
        self._universe = world.flows.universe
        self._admission = Admission(world)
        self._crossing = Crossing(world.flows)

    def of(self, workload: int) -> Iterator[Exposure]:
        yield from self._from_outside(workload)
        yield from self._from_namespaces(workload)
        yield from self._from_new_pods(workload)

    def _ref(self, workload: int) -> Ref:
        return self._flows.endpoints.workloads[workload]

    @cached_property
    def _routes(self) -> Mapping[int, list[Route]]:
        found: dict[int, list[Route]] = defaultdict(list)
        for route in self._world.routes.found:
            found[route.workload].append(route)
        return found

    @cached_property
    def _pods(self) -> Mapping[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for pod, workload in enumerate(self._flows.endpoints.workload_of):
            found[workload].append(pod)
        return found

    def _classes(self, workload: int) -> list[int]:
        classes = self._universe.classes
        return list(dict.fromkeys(number for pod in self._pods[workload] for number in classes[pod].tolist()))

    # -- the internet -------------------------------------------------------------------------------------------

    def _from_outside(self, workload: int) -> Iterator[Exposure]:
        for route in self._routes.get(workload, ()):
            for result in self._admission.of_route(route):
                internal = route.internal or result.internal
                yield Exposure(
                    workload=self._ref(workload),
                    origin=INTERNET_ORIGIN,
                    source=self._client(route, result, internal),
                    ports=result.ports,
                    verdict=result.verdict,
                    reason="; ".join(filter(None, (result.reason, internal))),
                    route=route.kind,
                    hops=(*result.before, *route.hops),
                    internal=internal,
                    evidence=partial(self._admission.evidence, result),
                )

    def _client(self, route: Route, result: Admitted, internal: str) -> str:
        """`internet`, `internal network`, or the blocks that are let in."""
        network, whole = ("internal network", PRIVATE) if internal else ("internet", INTERNET)
        admitted = result.clients & self._admission.clients(route)
        full = [version for version in (4, 6) if whole.of_family(version) <= admitted]
        if route.sees is Sees.SENDER or len(full) == _FAMILIES or (full and not self._universe.families):
            return network
        if full:
            return f"{network} (IPv{full[0]})"
        blocks = list(admitted.cidrs())
        more = f" and {len(blocks) - _SHOWN} more blocks" if len(blocks) > _SHOWN else ""
        return ", ".join(blocks[:_SHOWN]) + more if blocks else "nobody"

    # -- other namespaces ---------------------------------------------------------------------------------------

    def _from_namespaces(self, workload: int) -> Iterator[Exposure]:
        ref = self._ref(workload)
        for crossed in self._crossing.into(self._classes(workload), ref.namespace or ""):
            everywhere = crossed.namespaces == self._crossing.others(ref.namespace or "")
            words = self._names(crossed, everywhere=everywhere)
            for verdict, ports, reason in self._verdicts(crossed.amount):
                yield Exposure(
                    workload=ref,
                    origin=NAMESPACES,
                    source=words,
                    ports=ports,
                    verdict=verdict,
                    reason=reason,
                    evidence=partial(self._crossed_evidence, crossed),
                    everywhere=everywhere,
                    named=partial(self._names_of, crossed),
                )

    def _verdicts(self, amount: Amount) -> Iterator[tuple[str, PortSet, str]]:
        ports = self._universe.traffic.ports
        certain = ports(amount.certain)
        if certain:
            yield YES, certain, "policies of both sides allow it"
        possible = ports(amount.possible) - certain
        if possible:
            yield POSSIBLE, possible, "policies allow it if an address or an order that the input leaves open is so"

    def _names(self, crossed: Crossed, *, everywhere: bool) -> str:
        count = crossed.namespaces.bit_count()
        if count > 1 and everywhere:
            return f"all {count} other namespaces"
        names = self._crossing.names(crossed.namespaces)
        shown = ", ".join(name for name, _ in zip(names, range(_SHOWN), strict=False))
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        return f"{'namespace' if count == 1 else 'namespaces'} {shown}{more}"

    def _names_of(self, crossed: Crossed) -> tuple[str, ...]:
        return tuple(self._crossing.names(crossed.namespaces))

    def _evidence(self, pair: tuple[int, int]) -> tuple[FlowEvidence, ...]:
        return self._admission.pair_evidence(*pair) if pair[0] >= 0 else ()

    def _crossed_evidence(self, crossed: Crossed) -> tuple[FlowEvidence, ...]:
        return self._evidence(self._crossing.pair(crossed))

    # -- pods to come -------------------------------------------------------------------------------------------

    def _from_new_pods(self, workload: int) -> Iterator[Exposure]:
        """Any pod of a namespace to come; then those that only pods with certain labels are let in on."""
        ref, classes = self._ref(workload), self._classes(workload)
        amounts = {number: self._of_any_pod(number) for number in classes}
        certain = self._universe.traffic.ports(_union(found.certain for found in amounts.values()))
        possible = self._universe.traffic.ports(_union(found.possible for found in amounts.values()))
        any_pod = int(self._universe.classes[self._flows.endpoints.virtual[ANY_POD]][0])
        reached = next((number for number, found in amounts.items() if found.possible), -1)
        for verdict, ports, reason in (
            (YES, certain, "policies admit it whatever its labels"),
            (POSSIBLE, possible - certain, "policies admit addresses that the pod may get"),
        ):
            if ports:
                yield Exposure(
                    workload=ref,
                    origin=NEW_PODS,
                    source="any pod of a new namespace",
                    ports=ports,
                    verdict=verdict,
                    reason=reason,
                    evidence=partial(self._evidence, (any_pod if verdict == YES else -1, reached)),
                )
        yield from self._labelled(ref, classes, certain)

    def _of_any_pod(self, number: int) -> Amount:
        any_pod = int(self._universe.classes[self._flows.endpoints.virtual[ANY_POD]][0])
        if self._admission.is_unplaced(any_pod):
            return self._admission.between(any_pod, number)
        return self._reached_by_any.get(number, NOTHING)

    @cached_property
    def _reached_by_any(self) -> Mapping[int, Amount]:
        any_pod = int(self._universe.classes[self._flows.endpoints.virtual[ANY_POD]][0])
        return {number: amount for ids, amount in self._flows.reached_from(any_pod) for number in ids.tolist()}

    def _labelled(self, ref: Ref, classes: Sequence[int], anyway: PortSet) -> Iterator[Exposure]:
        """What the peers of each ingress rule would admit, be such a pod there or not."""
        ports: dict[str, PortSet] = defaultdict(lambda: NO_PORTS)
        rules: dict[str, dict[FlowEvidence, None]] = defaultdict(dict)
        ordered = False
        for number in classes:
            for placed, rule in self._admission.rules_at(number):
                ordered = ordered or rule.action is not Action.ALLOW
                for peer in (rule.peers or ()) if rule.action is Action.ALLOW else ():
                    words = new_pods_text(peer, placed)
                    if words:
                        ports[words] |= self._admission.ports_of(rule, number)
                        rules[words][_rule_evidence(placed, rule, peer)] = None
        verdict = POSSIBLE if ordered else YES
        reason = "a rule admits them, as far as no rule before it denies" if ordered else "a rule admits them"
        for words, found in ports.items():
            if found - anyway:
                yield Exposure(
                    workload=ref,
                    origin=NEW_PODS,
                    source=words,
                    ports=found - anyway,
                    verdict=verdict,
                    reason=reason,
                    evidence=partial(tuple, rules[words]),
                )


def _union(values: Iterator[int]) -> int:
    bits = 0
    for value in values:
        bits |= value
    return bits


def _rule_evidence(placed: Placed, rule: Rule, peer: Peer) -> FlowEvidence:
    return FlowEvidence(
        direction=Direction.INGRESS.value,
        policy=placed.ref,
        rule_index=rule.index,
        field=peer.field,
        source=placed.rule_source(Direction.INGRESS, rule),
    )


# -- peers in words ---------------------------------------------------------------------------------------------


def new_pods_text(peer: Peer, placed: Placed) -> str:
    """`new pods with app=x in namespaces with team=y`; "" for a peer that means no pods by their labels."""
    pods = [term for term in peer.terms if isinstance(term, Endpoints) and term.pods]
    if len(pods) != 1:
        return ""
    term = pods[0]
    who = "any new pod" if term.labels == EVERYTHING else f"new pods with {term.labels}"
    where = f"namespace {placed.ref.namespace}" if term.own else _namespaces_text(term.namespaces)
    rest = [term_text(other) for other in peer.terms if other is not term]
    limits = "".join(f", at {text}" for text in rest) + "".join(f", not {term_text(other)}" for other in peer.without)
    return f"{who} in {where}{limits}"


def _namespaces_text(expression: Expression) -> str:
    if expression == EVERYTHING:
        return "any namespace"
    if isinstance(expression, LabelTest) and expression.key == NAME_LABEL and expression.operator is Operator.IN:
        return f"{'namespace' if len(expression.values) == 1 else 'namespaces'} {', '.join(expression.values)}"
    # Whose labels they are has been said.
    return f"namespaces with {str(expression).replace('namespace ', '')}"


# -- controllers that are not in the input ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressFlow:
    """What `{ingress-controller}` opens at a workload: where its Ingresses, Gateways and Routes lead and policies agree."""

    workload: Ref
    ports: PortSet
    #: Further ports that the input leaves open.
    possible: PortSet = NO_PORTS
    evidence: Callable[[], tuple[FlowEvidence, ...]] = field(repr=False, compare=False, default=tuple)


def ingress_flows(world: World) -> tuple[IngressFlow, ...]:
    """One for each workload that such a controller reaches, in order."""
    admission = Admission(world)
    certain: dict[Ref, PortSet] = defaultdict(lambda: NO_PORTS)
    possible: dict[Ref, PortSet] = defaultdict(lambda: NO_PORTS)
    ways: dict[Ref, list[tuple[Route, Admitted]]] = defaultdict(list)
    for route in world.routes.found:
        if route.sees is Sees.SENDER and world.routes.controllers.is_virtual(route.senders):
            ref = world.flows.endpoints.workloads[route.workload]
            for result in admission.of_route(route):
                kept = {YES: certain, POSSIBLE: possible}.get(result.verdict)
                if kept is not None:
                    kept[ref] |= result.ports
                    ways[ref].append((route, result))
    return tuple(
        IngressFlow(
            workload=ref,
            ports=certain[ref],
            possible=possible[ref] - certain[ref],
            evidence=partial(_way_evidence, admission, ways[ref]),
        )
        for ref in sorted({*certain, *possible}, key=lambda ref: (ref.namespace or "", ref.name, ref.kind))
    )


def _way_evidence(admission: Admission, ways: Sequence[tuple[Route, Admitted]]) -> tuple[FlowEvidence, ...]:
    """The objects on the way, then the rules at its end."""
    found: dict[FlowEvidence, None] = {}
    for route, result in ways:
        for hop in route.hops[:-1]:
            found[FlowEvidence(direction="route", policy=None, reason=str(hop), source=hop.source)] = None
        found.update(dict.fromkeys(admission.evidence(result)))
    return tuple(found)


__all__ = ["Exposed", "Exposure", "IngressFlow", "ingress_flows", "new_pods_text"]
