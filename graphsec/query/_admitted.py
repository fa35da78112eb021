"""What policies let in at the pods behind a route from outside (X-02): certainly, possibly, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import and_

import numpy as np

from graphsec.algebra.blocks import ALL_ADDRESSES, ALL_V4, AddressSet
from graphsec.algebra.expressions import EVERYTHING, Field, matches
from graphsec.algebra.internet import INTERNET, PRIVATE
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.compile import World
from graphsec.compile.controllers import ROUTER_NAMESPACE
from graphsec.compile.endpoints import ANY_POD
from graphsec.compile.flows import Amount
from graphsec.compile.hops import Hop, Route, Sees
from graphsec.compile.masks import Ids
from graphsec.compile.policies import Placed
from graphsec.compile.trace import Point, trace
from graphsec.model.policy import Action, Direction, Endpoints, Rule, Tier
from graphsec.query._ends import pod_label
from graphsec.query._flow_evidence import allowing
from graphsec.query.can_reach import FlowEvidence, evidence_of, exception, side_text

YES, POSSIBLE, NO = "yes", "possible", "no"

_WHY_YES = {
    Sees.CLIENT: "policies see the client and admit it",
    Sees.NODE: "policies admit the client as well as the node that traffic enters by",
    Sees.SENDER: "policies admit the controller",
}


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """One verdict on a route: the ports, the clients it holds for, and a pair of classes that stands for it."""

    verdict: str
    ports: PortSet
    reason: str
    clients: AddressSet = ALL_ADDRESSES
    #: The class of a pod, that pod, and the class that sends; -1 where nobody in particular does.
    pair: tuple[int, int, int] = (-1, -1, -1)
    #: Ways to the controller that go before those of the route.
    before: tuple[Hop, ...] = ()
    internal: str = ""


@dataclass(slots=True)
class _Sum:
    """Verdicts of the pods of one route, joined: a port is open if it is so at some pod."""

    ports: dict[str, PortSet] = field(default_factory=lambda: dict.fromkeys((YES, POSSIBLE, NO), NO_PORTS))
    clients: dict[str, AddressSet] = field(default_factory=lambda: dict.fromkeys((YES, POSSIBLE, NO), AddressSet()))
    pairs: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, verdict: str, ports: PortSet, clients: AddressSet, pair: tuple[int, int, int], reason: str) -> None:
        if ports:
            self.ports[verdict] |= ports
            self.clients[verdict] |= clients
            self.pairs.setdefault(verdict, pair)
            self.reasons.setdefault(verdict, reason)

    def results(self) -> Iterator[Admitted]:
        left = ALL_PORTS
        for verdict in (YES, POSSIBLE, NO):
            ports = self.ports[verdict] & left
            left -= ports
            if ports:
                yield Admitted(
                    verdict=verdict,
                    ports=ports,
                    reason=self.reasons[verdict],
                    clients=self.clients[verdict],
                    pair=self.pairs[verdict],
                )


class Admission:
    """Asks the flows of a world what the pods of routes accept; remembers what it has found by class."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._flows = world.flows
        self._universe = world.flows.universe
        self._reaching: dict[int, list[tuple[Ids, Amount]]] = {}
        self._outside: dict[int, list[tuple[AddressSet, int, PortSet, PortSet]]] = {}
        self._nodes: dict[int, tuple[PortSet, PortSet]] = {}
        self._denied: dict[tuple[tuple[int, int, int], str, int], tuple[tuple[str, FlowEvidence], ...]] = {}
        self._ways: dict[tuple[int, ...], tuple[Admitted, tuple[Hop, ...]] | None] = {}

    # -- routes -------------------------------------------------------------------------------------------------

    def of_route(self, route: Route) -> tuple[Admitted, ...]:
        """Ports that are open, then those that may be, then those that no policy lets through."""
        found = _Sum()
        for number, pod, ports in self._classes(route.targets):
            match route.sees:
                case Sees.CLIENT:
                    self._from_clients(found, route, number, pod, ports)
                case Sees.NODE:
                    self._from_nodes(found, route, number, pod, ports)
                case Sees.SENDER:
                    self._from_senders(found, route, number, pod, ports)
        results = tuple(self._finished(route, result) for result in found.results())
        return results if route.sees is not Sees.SENDER else tuple(self._behind(route, found) for found in results)

    def _classes(self, targets: Iterable[tuple[int, PortSet]]) -> Iterator[tuple[int, int, PortSet]]:
        """Each class with its ports once."""
        seen = set()
        for pod, ports in targets:
            for number in self._universe.classes[pod].tolist():
                if (number, ports) not in seen:
                    seen.add((number, ports))
                    yield number, pod, ports

    def _finished(self, route: Route, result: Admitted) -> Admitted:
        """A condition of the way leaves no certainty; why nothing is let in is read off the policies."""
        if result.verdict == NO:
            return replace(result, reason=self._denial(result))
        if result.verdict == YES and route.conditions:
            return replace(result, verdict=POSSIBLE, reason="; ".join(route.conditions))
        return result

    def clients(self, route: Route) -> AddressSet:
        """Who may use the way at all; IPv4 alone where the input has no IPv6."""
        anybody = PRIVATE if route.internal else INTERNET
        clients = anybody if route.ranges is None else route.ranges
        return clients if self._universe.families else clients.of_family(4)

    # -- clients and nodes --------------------------------------------------------------------------------------

    def _from_clients(self, found: _Sum, route: Route, number: int, pod: int, ports: PortSet) -> None:
        clients = self.clients(route)
        certain, possible = self._open_to(number, clients, ports)
        self._add(found, Sees.CLIENT, (number, pod), certain, possible, ports, clients)

    def _from_nodes(self, found: _Sum, route: Route, number: int, pod: int, ports: PortSet) -> None:
        """X-02: what both the client's address and the node's are let in on is certain; NAT or the node that happens to
        be entered by (N-15) make the rest possible."""
        clients = self.clients(route)
        certain, possible = self._open_to(number, clients, ports)
        of_node, maybe_of_node = self._from_any_node(number)
        yes = _narrowed(certain, of_node & ports)
        found.add(YES, yes[0], yes[1], (number, pod, yes[2]), self._why(Sees.NODE, number))
        rest = ports - yes[0]
        words = (
            "whether policies see the client or, after NAT, a node is not defined, and they do not admit both (X-02)"
        )
        by_client = _narrowed(possible, rest)
        by_node = rest & maybe_of_node
        found.add(POSSIBLE, by_client[0] | by_node, clients, (number, pod, by_client[2]), words)
        left = rest - by_client[0] - by_node
        if self._flows.profile.own_node:
            words = "policies admit neither clients nor nodes, but the node that hosts the pod always reaches it: open where traffic enters there (X-02, N-15)"
            found.add(POSSIBLE, left, clients, (number, pod, -1), words)
        else:
            found.add(NO, left, clients, (number, pod, self._some_client(clients)), "")

    def _add(
        self,
        found: _Sum,
        sees: Sees,
        at: tuple[int, int],
        certain: tuple[PortSet, AddressSet, int],
        possible: tuple[PortSet, AddressSet, int],
        ports: PortSet,
        clients: AddressSet,
    ) -> None:
        found.add(YES, certain[0], certain[1], (*at, certain[2]), self._why(sees, at[0]))
        words = "policies admit clients whose addresses or order the input leaves open"
        found.add(POSSIBLE, possible[0] - certain[0], possible[1], (*at, possible[2]), words)
        found.add(NO, ports - possible[0], clients, (*at, self._some_client(clients)), "")

    def _why(self, sees: Sees, number: int) -> str:
        if number >= self._universe.pods:
            return "policies never isolate what is on the host network (N-14)"
        return _WHY_YES[sees] if self.selecting(number) else "no policy selects it for ingress"

    def _open_to(
        self, number: int, clients: AddressSet, ports: PortSet
    ) -> tuple[tuple[PortSet, AddressSet, int], tuple[PortSet, AddressSet, int]]:
        """(ports, the clients they are open to, the class of one of them): certainly, and possibly."""
        out = [(NO_PORTS, AddressSet(), -1), (NO_PORTS, AddressSet(), -1)]
        for addresses, cell, certain, possible in self._from_outside(number):
            inside = addresses & clients
            if not inside:
                continue
            for index, given in enumerate((certain & ports, possible & ports)):
                if given:
                    known = out[index]
                    out[index] = (known[0] | given, known[1] | inside, cell if known[2] < 0 else known[2])
        return out[0], out[1]

    def _from_outside(self, number: int) -> list[tuple[AddressSet, int, PortSet, PortSet]]:
        """(addresses, one of their classes, certain, possible) that a class of pods lets in from outside the cluster."""
        known = self._outside.get(number)
        if known is None:
            universe = self._universe
            known = []
            for ids, amount in self._to(number):
                cells = ids[ids >= universe.outside]
                if len(cells):
                    addresses = (universe.cell_addresses[cell - universe.outside] for cell in cells.tolist())
                    ports = universe.traffic.ports(amount.certain), universe.traffic.ports(amount.possible)
                    known.append((AddressSet.union_of(addresses), int(cells[0]), *ports))
            self._outside[number] = known
        return known

    def _to(self, number: int) -> list[tuple[Ids, Amount]]:
        known = self._reaching.get(number)
        if known is None:
            known = self._reaching[number] = self._flows.reaching(number)
        return known

    def _some_client(self, clients: AddressSet) -> int:
        universe = self._universe
        cells = (cell for cell, addresses in enumerate(universe.cell_addresses) if addresses & clients)
        return universe.outside + next(cells, 0)

    def _from_any_node(self, number: int) -> tuple[PortSet, PortSet]:
        """(what every node is let in on, what some node is)."""
        known = self._nodes.get(number)
        if known is None:
            classes = {found for held in self._universe.node_classes.values() for found in held}
            known = self._nodes[number] = (
                self._from_known_nodes(number, classes) if classes else self._from_unknown_node(number)
            )
        return known

    def _from_known_nodes(self, number: int, classes: set[int]) -> tuple[PortSet, PortSet]:
        amounts = [self._flows.between(node, number) for node in sorted(classes)]
        ports = self._universe.traffic.ports
        return ports(reduce(and_, (amount.certain for amount in amounts))), PortSet.union_of(
            ports(amount.possible) for amount in amounts
        )

    def _from_unknown_node(self, number: int) -> tuple[PortSet, PortSet]:
        """A node whose address may be any: certain is only what every address is let in on."""
        groups = self._from_outside(number)
        possible = PortSet.union_of(possible for *_, possible in groups)
        everywhere = AddressSet.union_of(addresses for addresses, *_ in groups) >= ALL_V4
        inside = [certain for addresses, _, certain, _ in groups if addresses & ALL_V4]
        certain = reduce(and_, inside) if everywhere else NO_PORTS
        if not self._flows.profile.blocks_match_nodes:
            any_pod = int(self._universe.classes[self._flows.endpoints.virtual[ANY_POD]][0])
            certain &= self._universe.traffic.ports(self._flows.between(any_pod, number).certain)
        return certain, possible

    # -- controllers --------------------------------------------------------------------------------------------

    def _from_senders(self, found: _Sum, route: Route, number: int, pod: int, ports: PortSet) -> None:
        clients = self.clients(route)
        certain, possible, pair = NO_PORTS, NO_PORTS, (number, pod, -1)
        for sender, sending_pod in self._sending(route.senders):
            amount = self._controller_amount(sender, sending_pod, number, pod)
            certain |= self._universe.traffic.ports(amount.certain)
            possible |= self._universe.traffic.ports(amount.possible)
            pair = (number, pod, sender)
        yes, maybe = certain & ports, possible & ports
        found.add(YES, yes, clients, pair, self._why(Sees.SENDER, number))
        found.add(
            POSSIBLE,
            maybe - yes,
            clients,
            pair,
            "whether policies admit the controller depends on what the input does not tell",
        )
        left = ports - yes - maybe
        if self._world.routes.controllers.is_virtual(route.senders):
            named = self._for_absent(number, route) & left
            words = "the controller is not in the input; policies admit pods of namespaces that are not in it either"
            found.add(POSSIBLE, named, clients, pair, words)
            left -= named
        found.add(NO, left, clients, pair, "")

    def _sending(self, senders: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        seen = set()
        for sender in senders:
            for number in self._universe.classes[sender].tolist():
                if number not in seen:
                    seen.add(number)
                    yield number, sender

    def _controller_amount(self, sender: int, sending_pod: int, number: int, pod: int) -> Amount:
        """A controller on the host network is its node, which reaches the pods it hosts (N-15)."""
        label = pod_label(self._flows.endpoints.refs[sending_pod])
        source = Point(number=sender, pod=sending_pod, label=label)
        special = exception(
            self._flows, source, Point(number=number, pod=pod, label=pod_label(self._flows.endpoints.refs[pod]))
        )
        amount = self.between(sender, number)
        if special is None:
            return amount
        every = self._universe.traffic.all
        return amount | Amount(every if special[0] == "allow" else 0, every)

    def between(self, source: int, destination: int) -> Amount:
        """As the flows say, where a virtual pod may be at any address."""
        amount = self._flows.between(source, destination)
        if not self.is_unplaced(source):
            return amount
        possible = amount.possible
        for reading in self._flows.readings:
            generous = replace(reading, generous=True)
            possible |= self._flows.one_side(Direction.EGRESS, source, destination, generous) & self._flows.one_side(
                Direction.INGRESS, destination, source, generous
            )
        return Amount(amount.certain, possible)

    def is_unplaced(self, number: int) -> bool:
        """Whether a class holds a virtual pod, and there are blocks that its unknown address may be in."""
        endpoints = self._flows.endpoints
        virtual = {int(self._universe.classes[pod][0]) for pod in endpoints.virtual.values()}
        return self._universe.cells.count > 2 and number in virtual

    def _for_absent(self, number: int, route: Route) -> PortSet:
        """Ports that some rule opens to pods of namespaces that the input does not hold, where a controller may run."""
        found = NO_PORTS
        for placed, rule in self.rules_at(number):
            for peer in rule.peers or () if rule.action is Action.ALLOW else ():
                terms = [term for term in peer.terms if isinstance(term, Endpoints)]
                if len(terms) == 1 and len(peer.terms) == 1 and self._is_elsewhere(terms[0], placed, route):
                    found |= self.ports_of(rule, number)
        return found

    def _is_elsewhere(self, term: Endpoints, placed: Placed, route: Route) -> bool:
        if term.own or term.namespaces == EVERYTHING or not term.pods:
            return False
        router = {Field.NAMESPACE: ROUTER_NAMESPACE, Field.OWN: {}}
        if route.kind == "Route" and matches(term.namespaces, router) and matches(term.labels, router):
            return True
        return not len(self._universe.select(EVERYTHING, term.namespaces, None))

    def _behind(self, route: Route, result: Admitted) -> Admitted:
        """No more certain than the way to the controller itself."""
        if result.verdict == NO or self._world.routes.controllers.is_virtual(route.senders):
            return result
        way = self._way_to(route.senders)
        if way is None:
            words = "no entry to the controller's pods is in the input"
            return replace(result, verdict=POSSIBLE, reason=f"{result.reason}; {words}")
        entry, hops = way
        worse = max(result.verdict, entry.verdict, key=(YES, POSSIBLE, NO).index)
        reason = result.reason if worse == result.verdict else f"the way to the controller: {entry.reason}"
        return replace(result, verdict=worse, reason=reason, before=hops, internal=entry.internal)

    def _way_to(self, senders: tuple[int, ...]) -> tuple[Admitted, tuple[Hop, ...]] | None:
        """The best of the entries to the controller's pods, and its hops."""
        if senders not in self._ways:
            found = [
                (replace(result, internal=route.internal), route.hops)
                for route in self._world.routes.to_pods(senders)
                for result in self.of_route(route)
            ]
            order = (YES, POSSIBLE, NO).index
            found.sort(key=lambda pair: (order(pair[0].verdict), bool(pair[0].internal)))
            self._ways[senders] = found[0] if found else None
        return self._ways[senders]

    # -- rules and evidence -------------------------------------------------------------------------------------

    def rules_at(self, number: int) -> Iterator[tuple[Placed, Rule]]:
        """The ingress rules that may decide at a class, in the order in which policies are read; none behind a tier that
        leaves nothing over."""
        last: Tier | None = None
        passes = False
        for placed in self.selecting(number):
            if last is not None and last != placed.tier:
                if last.default is Action.DENY and not passes:
                    return
                passes = False
            last = placed.tier
            for rule in placed.body.ingress or ():
                passes = passes or rule.action is Action.PASS
                yield placed, rule

    def selecting(self, number: int) -> list[Placed]:
        """The policies with an ingress side that select a class of pods."""
        return self._flows.selecting(number, Direction.INGRESS)

    def ports_of(self, rule: Rule, number: int) -> PortSet:
        """The ports of a rule at a class of pods, which says what names mean (N-09)."""
        masks, wanted = self._universe.masks, np.array([number], np.int32)
        bits = 0
        for traffic, destinations in self._universe.port_bits(rule.ports):
            if destinations is None or masks.contains(destinations, wanted)[0]:
                bits |= traffic
        return self._universe.traffic.ports(bits)

    def evidence(self, result: Admitted) -> tuple[FlowEvidence, ...]:
        """The rules of both sides that decide for the pair which stands for a result."""
        number, _, peer = result.pair
        if peer < 0:
            return (FlowEvidence(direction="ingress", policy=None, reason=result.reason),)
        if result.verdict == NO:
            return tuple(proof for _, proof in self._denials(result))
        return self.pair_evidence(peer, number)

    def pair_evidence(self, source: int, destination: int) -> tuple[FlowEvidence, ...]:
        """The rules of both sides that allow something between two classes; of a virtual pod the other side alone."""
        wanted = self.between(source, destination).possible
        virtual = {int(self._universe.classes[pod][0]) for pod in self._flows.endpoints.virtual.values()}
        sides = [(Direction.INGRESS, destination, source)]
        if source not in virtual:
            sides.insert(0, (Direction.EGRESS, source, destination))
        found: dict[FlowEvidence, None] = {}
        for direction, subject, peer in sides:
            if subject < self._universe.pods:
                found.update(
                    dict.fromkeys(allowing(self._flows, direction, self._point(subject), self._point(peer), wanted))
                )
        return tuple(found)

    def _point(self, number: int) -> Point:
        """A class, which the words of the item around it name."""
        return Point(number=number, label="it")

    def _denial(self, result: Admitted) -> str:
        return "; ".join(text for text, _ in self._denials(result)) or "no policy admits it"

    def _denials(self, result: Admitted) -> tuple[tuple[str, FlowEvidence], ...]:
        """For each side that denies, why: in words, and as evidence."""
        protocol, port, _ = next(result.ports.ranges())
        key = (result.pair, protocol, port)
        if key not in self._denied:
            self._denied[key] = tuple(self._find_denials(result.pair, protocol, port))
        return self._denied[key]

    def _find_denials(self, pair: tuple[int, int, int], protocol: str, port: int) -> Iterator[tuple[str, FlowEvidence]]:
        number, pod, peer = pair
        end = Point(number=number, pod=pod, label=pod_label(self._flows.endpoints.refs[pod]))
        other = Point(number=peer, pod=self._member(peer), label=self._label(peer))
        bit = self._universe.traffic.bit(protocol, port)
        for direction, subject, far in ((Direction.EGRESS, other, end), (Direction.INGRESS, end, other)):
            reading = self._flows.readings[0]
            if self._flows.one_side(direction, subject.number, far.number, reading) & bit:
                continue
            if direction is Direction.INGRESS and self._allows_only(number):
                yield self._isolated(end)
                continue
            found = trace(self._flows, direction, subject, far, protocol, port)
            if found.verdict != "allow":
                yield side_text(found), evidence_of(found)

    def _allows_only(self, number: int) -> bool:
        selecting = self.selecting(number)
        return bool(selecting) and all(
            placed.tier.default is Action.DENY
            and all(rule.action is Action.ALLOW for rule in placed.body.ingress or ())
            for placed in selecting
        )

    def _isolated(self, end: Point) -> tuple[str, FlowEvidence]:
        """Allow rules alone need no trace: none of them matches."""
        selecting = self.selecting(end.number)
        names = ", ".join(str(placed.ref) for placed in selecting[:3]) + (", …" if len(selecting) > 3 else "")
        proof = FlowEvidence(
            direction=Direction.INGRESS.value,
            policy=selecting[0].ref,
            action="deny",
            source=selecting[0].source,
            reason="isolates, and no rule matches",
        )
        return f"ingress of {end.label} denied: isolated by {names}, no rule matches", proof

    def _member(self, number: int) -> int:
        members = self._universe.members[number].tolist() if number < self._universe.outside else []
        return members[0] if members else -1

    def _label(self, number: int) -> str:
        member = self._member(number)
        return pod_label(self._flows.endpoints.refs[member]) if member >= 0 else "the client"


def _narrowed(found: tuple[PortSet, AddressSet, int], ports: PortSet) -> tuple[PortSet, AddressSet, int]:
    return found[0] & ports, found[1], found[2]


__all__ = ["NO", "POSSIBLE", "YES", "Admission", "Admitted"]
