"""The least NetworkPolicies that keep given flows, proved by compiling them: what they do not keep exactly is named."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.algebra.blocks import ALL_ADDRESSES, AddressSet
from graphsec.algebra.ports import NO_PORTS, PROTOCOLS, PortSet
from graphsec.compile import World
from graphsec.compile.backends import Backends
from graphsec.compile.compare import Allowed, Change, regions
from graphsec.compile.fold import Pairs, TooManyPairsError, Units, fold_all, with_own_nodes, without_self
from graphsec.compile.hops import Sees
from graphsec.errors import LimitError
from graphsec.loading import load_cluster
from graphsec.model.policy import NAME_LABEL
from graphsec.model.ref import Ref
from graphsec.model.text import counted
from graphsec.query._answer import Answer, lower_name
from graphsec.query._ends import span_label, workload_label
from graphsec.query._flow_list import Given, Wanted, read_flows
from graphsec.query._flow_needs import flow_answer
from graphsec.query._synthesis import (
    HostUnits,
    Naming,
    Object,
    Selector,
    Test,
    Writer,
    disjoint,
    policy_ref,
    selected_pods,
    sides,
)
from graphsec.query._words import flag
from graphsec.query.flow_diff import CHANGED, GAINED, LOST, FlowChange, Side
from graphsec.query.reach import FlowEnd

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("POLICY", "WORKLOADS", "INGRESS", "EGRESS")
#: How CoreDNS and kube-dns are labelled by everything that installs them, and where they run.
_DNS_LABEL, _DNS_NAMESPACE = ("k8s-app", "kube-dns"), "kube-system"
DNS_PORTS = PortSet.of("TCP", 53) | PortSet.of("UDP", 53)
#: Differences that are named; the rest is counted.
_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class SynthesizedPolicy:
    """One NetworkPolicy as an object to apply, and the workloads that it selects."""

    ref: Ref
    workloads: tuple[Ref, ...]
    manifest: Object = field(repr=False)

    def row(self, *, wide: bool) -> tuple[str, ...]:
        spec = self.manifest["spec"]
        rules = (counted(len(spec.get(direction, ())), "rule") for direction in ("ingress", "egress"))
        return (str(self.ref), ", ".join(map(workload_label, self.workloads)), *rules)

    def to_dict(self) -> dict[str, Any]:
        return {
            "policy": str(self.ref),
            "workloads": [str(ref) for ref in self.workloads],
            "manifest": self.manifest,
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.ref),)


@dataclass(frozen=True, kw_only=True)
class Synthesis(Answer[SynthesizedPolicy]):
    """The policies, and how what they allow differs from what was wanted: ``before`` is wanted, ``after`` is allowed."""

    differences: tuple[FlowChange, ...] = ()
    #: Wanted flows that no policy can express.
    left_out_flows: tuple[str, ...] = ()
    #: Flows that some pods of a workload have today and all of them would have.
    widened: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        return not (self.differences or self.left_out_flows or self.widened)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesize:
    """``flows`` names the file of wanted flows, "" for today's; ``namespace`` keeps policies of one namespace."""

    ask: ClassVar[str] = "policy-synthesize"
    #: Its items are objects to apply.
    manifests: ClassVar[bool] = True
    flows: str = ""
    namespace: str = ""
    given: Given | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, given: Given | None, namespace: str = "") -> Synthesize:
        path = os.fspath(given) if isinstance(given, str | os.PathLike) else "" if given is None else "-"
        return cls(flows=path, namespace=namespace, given=given)

    def command(self) -> str:
        return f"policy synthesize{flag('--flows', self.flows)}{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        fields = {"flows": self.flows, "namespace": self.namespace}
        return {key: value for key, value in fields.items() if value}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return COLUMNS

    def answer(self, world: World) -> Synthesis:
        plain = flow_answer(world, self, self.ask, tuple)
        try:
            return self._synthesis(world, plain)
        except TooManyPairsError as error:
            raise LimitError(
                f"{error.pairs:,} or more pairs of workloads: too many to write policies for",
                help="give the flows to keep with `--flows`",
            ) from error

    def _synthesis(self, world: World, plain: Answer[Any]) -> Synthesis:
        flows, refs = world.flows, world.flows.endpoints.workloads
        naming = Naming(flows)
        if self.given is None:
            today = _Today(world, naming)
            wanted, egress = today.wanted(), today.extra_egress()
            remarks = list(today.remarks())
        else:
            wanted, egress = read_flows(self.given, world.flows), ()
            remarks = list(_remarks(wanted))
        policies = Writer(world.flows, naming.groups, egress).policies(sides(world.flows, wanted, naming))
        differences = tuple(_differences(_with_policies(world, policies), world, wanted))
        hosts = frozenset(refs[flows.endpoints.workload_of[pod]] for pod in flows.universe.host_pods)
        left_out = tuple(dict.fromkeys(wanted.left_out))
        fields = {name: getattr(plain, name) for name in ("question", "complete", "coverage", "diagnostics")}
        widened = tuple(_uneven(world, wanted))
        return Synthesis(
            widened=widened,
            **fields,
            items=tuple(self._items(world, naming, policies)),
            notes=(*_verdict(differences, left_out), *widened, *remarks, *plain.notes),
            warnings=(*_deviations(differences, left_out, hosts), *_groups(world, naming), *plain.warnings),
            differences=differences,
            left_out_flows=left_out,
        )

    def _items(self, world: World, naming: Naming, policies: Iterable[Object]) -> Iterator[SynthesizedPolicy]:
        refs = world.flows.endpoints.workloads
        for group, policy in zip(naming.groups, policies, strict=True):
            if self.namespace in ("", group.namespace):
                workloads = tuple(refs[number] for number in group.workloads)
                yield SynthesizedPolicy(ref=policy_ref(policy), workloads=workloads, manifest=policy)


# -- what is said beside the policies -----------------------------------------------------------------------------


def _verdict(differences: tuple[FlowChange, ...], left_out: tuple[str, ...]) -> Iterator[str]:
    if not differences and not left_out:
        yield "Verified: in place of the NetworkPolicies of the input they allow exactly the wanted flows"


def _uneven(world: World, wanted: Wanted) -> Iterator[str]:
    """Where policies tell pods of a workload apart today, its flows become those of all its pods."""
    refs = world.flows.endpoints.workloads
    told = Units.of(world.flows, "workload").uneven
    found = sorted(
        workload_label(refs[unit])
        for unit in {unit for pair in wanted.pairs for unit in pair if not isinstance(unit, AddressSet)} & told
    )
    if found:
        names = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        yield f"Flows of some pods only become flows of all pods of {counted(len(found), 'workload')}: {names}"


def _deviations(differences: tuple[FlowChange, ...], left_out: tuple[str, ...], hosts: frozenset[Ref]) -> Iterator[str]:
    found = [
        *(f"not kept: {text}" for text in left_out),
        *(_deviation(change, hosts) for change in differences),
    ]
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"{len(found) - _SHOWN:,} more flows differ from what was wanted"


def _deviation(change: FlowChange, hosts: frozenset[Ref]) -> str:
    ends = f"{change.source} => {change.destination}"
    lacking = change.before - change.after
    found = {
        "allowed though not wanted": change.after - change.before,
        "possible though not wanted": change.possible_after - change.before,
        "wanted and only possible": lacking & change.possible_after,
        "wanted and not allowed": lacking - change.possible_after,
    }
    reason = ""
    if not hosts.isdisjoint((change.source.ref, change.destination.ref)):
        reason = " (host network: policies know it by its node's address only, N-14b)"
    return f"{ends} differs: {'; '.join(f'{what}: {ports}' for what, ports in found.items() if ports)}{reason}"


def _groups(world: World, naming: Naming) -> Iterator[str]:
    refs = world.flows.endpoints.workloads
    for group in naming.groups:
        if len(group.workloads) > 1:
            names = ", ".join(workload_label(refs[number]) for number in group.workloads)
            yield f"no labels tell these apart, so they share a policy: {names}"


def _remarks(wanted: Wanted) -> Iterator[str]:
    if not any(ports & DNS_PORTS for ports in wanted.pairs.values()):
        yield "No flow to port 53 is wanted: pods will not resolve names"


# -- today's flows ------------------------------------------------------------------------------------------------


class _Today:
    """What can reach the pod ports that Services of the input lead to, from where it can today, and DNS."""

    def __init__(self, world: World, naming: Naming) -> None:
        self._world = world
        self._flows = world.flows
        self._naming = naming
        self._limited = naming.group_of
        endpoints = world.flows.endpoints
        self._dns = frozenset(
            endpoints.workload_of[pod]
            for pod, labels in enumerate(endpoints.labels)
            if labels.get(_DNS_LABEL[0]) == _DNS_LABEL[1]
        )

    def wanted(self) -> Wanted:
        flows, found = self._flows, Wanted()
        units = Units.of(flows, "workload")
        offered, open_outside = self._offered(), self._open_outside()
        for (source, destination), amount in without_self(flows, units, fold_all(flows, units)).items():
            ports = flows.universe.traffic.ports(amount.certain)
            if source >= units.count:
                addresses = flows.universe.cell_addresses[source - units.count]
                self._from_outside(found, addresses, destination, ports, open_outside)
            elif destination >= units.count:
                if source not in self._limited:
                    found.add(source, flows.universe.cell_addresses[destination - units.count], ports)
            elif source in self._limited or destination in self._limited:
                found.add(source, destination, ports & offered[destination])
            else:
                # No policy limits what passes between nodes (N-14): it stays as it is.
                found.add(source, destination, ports)
        for sentence in self._from_controllers():
            found.left_out.append(sentence)
        return found

    def _from_outside(
        self,
        found: Wanted,
        addresses: AddressSet,
        destination: int,
        ports: PortSet,
        open_outside: Mapping[int, list[tuple[AddressSet, PortSet]]],
    ) -> None:
        if destination not in self._limited:
            found.add(addresses, destination, ports)
            return
        for ranges, offered in open_outside[destination]:
            inside = addresses & ranges
            if inside:
                found.add(inside, destination, ports & offered)

    def _offered(self) -> Mapping[int, PortSet]:
        """The ports of each workload that Services lead to; of DNS pods theirs, too."""
        endpoints = self._flows.endpoints
        backends = Backends(self._world.cluster, endpoints)
        found: dict[int, PortSet] = defaultdict(lambda: NO_PORTS, dict.fromkeys(self._dns, DNS_PORTS))
        for service in backends:
            backend = backends.choose(service.ref.namespace, service.ref.name, None, PROTOCOLS)
            for pod, ports in (backends.behind(backend) if backend else {}).items():
                found[endpoints.workload_of[pod]] |= ports
        return self._by_node(found)

    def _by_node(self, offered: dict[int, PortSet]) -> dict[int, PortSet]:
        """Host-network workloads of one node share its address, so what is open at one is open at all (N-14b)."""
        addresses = HostUnits(self._flows, self._naming).addresses
        by_address: dict[int, PortSet] = defaultdict(lambda: NO_PORTS)
        for workload, held in addresses.items():
            for address in _each(held):
                by_address[address] |= offered[workload]
        for workload, held in addresses.items():
            offered[workload] |= PortSet.union_of(by_address[address] for address in _each(held))
        return offered

    def _open_outside(self) -> Mapping[int, list[tuple[AddressSet, PortSet]]]:
        """(clients, ports) of each workload that load balancers, nodes and external addresses lead to."""
        found: dict[int, list[tuple[AddressSet, PortSet]]] = defaultdict(list)
        for route in self._world.routes.found:
            if route.sees is not Sees.SENDER:
                # After source NAT a policy sees a node instead of the client.
                ranges = route.ranges if route.sees is Sees.CLIENT else None
                found[route.workload].append((ALL_ADDRESSES if ranges is None else ranges, route.ports))
        return found

    def _from_controllers(self) -> Iterator[str]:
        """A controller that is not in the input cannot be named by a policy."""
        routes = self._world.routes
        for route in routes.found:
            if route.sees is Sees.SENDER and routes.controllers.is_virtual(route.senders):
                name = workload_label(self._flows.endpoints.workloads[route.workload])
                yield f"{route.hops[0].ref} leads to {name} : {route.ports}, and its controller is not in the input"

    def extra_egress(self) -> tuple[Object, ...]:
        """To DNS pods that the input lacks."""
        if self._dns:
            return ()
        key, value = _DNS_LABEL
        peer = selected_pods(Selector((Test(key, (value,)),)), _DNS_NAMESPACE)
        return ({"to": [peer], "ports": [{"protocol": protocol, "port": 53} for protocol in ("TCP", "UDP")]},)

    def remarks(self) -> Iterator[str]:
        yield (
            "Kept: today's flows to pod ports that Services lead to, and DNS; not kept: egress to addresses outside the "
            "cluster (give flows with --flows to keep others)"
        )
        if not self._dns:
            label = "=".join(_DNS_LABEL)
            yield f"No DNS pods in the input: every workload may ask pods {label} in {NAME_LABEL}={_DNS_NAMESPACE}"


def _each(addresses: AddressSet) -> Iterator[int]:
    return (address for low, high in addresses.spans for address in range(low, high + 1))


# -- verification -------------------------------------------------------------------------------------------------


def _with_policies(world: World, policies: list[Object]) -> World:
    """The world with these in place of its NetworkPolicies."""
    loaded = load_cluster([{"apiVersion": "v1", "kind": "List", "items": policies}])
    objects = {**world.cluster.objects, "NetworkPolicy": tuple(loaded.of("NetworkPolicy"))}
    return replace(world, cluster=replace(world.cluster, objects=objects))


def _differences(found: World, world: World, wanted: Wanted) -> list[FlowChange]:
    """Between what is wanted of ``world`` and what ``found`` allows, in order."""
    comparison = _Verification(found)
    refs = world.flows.endpoints.workloads
    changes = [*comparison.inside(refs, wanted), *comparison.outside(refs, wanted)]
    side = Side(found.flows)
    return sorted(
        (_named(change, side) for change in changes), key=lambda change: (str(change.source), str(change.destination))
    )


class _Verification:
    """What the recompiled world allows between workloads, held against what is wanted; neither world's numbers matter."""

    def __init__(self, found: World) -> None:
        flows = self._flows = found.flows
        self._units = Units.of(flows, "workload")
        self._pairs = without_self(flows, self._units, fold_all(flows, self._units))
        self._refs = flows.endpoints.workloads

    def inside(self, refs: list[Ref], wanted: Wanted) -> Iterator[Change]:
        asked = {
            (refs[source], refs[destination]): ports
            for (source, destination), ports in wanted.pairs.items()
            if not isinstance(source, AddressSet) and not isinstance(destination, AddressSet)
        }
        # What a node may do to the pods it hosts no policy decides (N-15): it is neither missing nor too much.
        own = self._allowed(with_own_nodes(self._flows, self._units, {}, None, None))
        allowed = self._allowed(self._pairs)
        for pair in asked | allowed:
            want, have = asked.get(pair, NO_PORTS), allowed.get(pair, Allowed())
            anyway = own.get(pair, Allowed()).ports & want
            if want - anyway != have.ports - anyway or have.possible - anyway != have.ports - anyway:
                yield Change(source=pair[0], destination=pair[1], before=_certain(want), after=have)

    def _allowed(self, pairs: Pairs) -> dict[tuple[Ref, Ref], Allowed]:
        traffic, count = self._flows.universe.traffic, self._units.count
        return {
            (self._refs[source], self._refs[destination]): Allowed(
                v4=traffic.ports(amount.certain), possible_v4=traffic.ports(amount.possible)
            )
            for (source, destination), amount in pairs.items()
            if max(source, destination) < count
        }

    def outside(self, refs: list[Ref], wanted: Wanted) -> Iterator[Change]:
        asked: dict[tuple[Ref, bool], list[tuple[AddressSet, Allowed]]] = defaultdict(list)
        for (source, destination), ports in wanted.pairs.items():
            for unit, other, incoming in ((source, destination, False), (destination, source, True)):
                if not isinstance(unit, AddressSet) and isinstance(other, AddressSet):
                    asked[refs[unit], incoming].append((other, _certain(ports)))
        allowed = self._with_addresses()
        for key in asked | allowed:
            for addresses, want, have in regions(_cut(asked.get(key, ())), allowed.get(key, ())):
                for span in (addresses - self._inside).spans:
                    first, last = AddressSet((span,)), key[0]
                    if key[1]:
                        yield Change(source=first, destination=last, before=want, after=have)
                    else:
                        yield Change(source=last, destination=first, before=want, after=have)

    @cached_property
    def _inside(self) -> AddressSet:
        """Addresses of pods and nodes of the input: not outside, whichever block holds them."""
        endpoints = self._flows.endpoints
        nodes = (address for node in endpoints.nodes.values() for address in (*node.internal, *node.external))
        return AddressSet.of((*nodes, *(address for held in endpoints.addresses for address in held)))

    def _with_addresses(self) -> dict[tuple[Ref, bool], list[tuple[AddressSet, Allowed]]]:
        found: dict[tuple[Ref, bool], list[tuple[AddressSet, Allowed]]] = defaultdict(list)
        universe, count = self._flows.universe, self._units.count
        for (source, destination), amount in self._pairs.items():
            if max(source, destination) >= count:
                unit, cell, incoming = (destination, source, True) if source >= count else (source, destination, False)
                allowed = Allowed(
                    v4=universe.traffic.ports(amount.certain), possible_v4=universe.traffic.ports(amount.possible)
                )
                found[self._refs[unit], incoming].append((universe.cell_addresses[cell - count], allowed))
        return found


def _certain(ports: PortSet) -> Allowed:
    return Allowed(v4=ports, possible_v4=ports)


def _cut(parts: Iterable[tuple[AddressSet, Allowed]]) -> list[tuple[AddressSet, Allowed]]:
    """Each address once."""
    return [(addresses, _certain(ports)) for addresses, ports in disjoint((part, found.ports) for part, found in parts)]


def _named(change: Change, side: Side) -> FlowChange:
    want, have = change.before.ports, change.after
    kind = GAINED if not want else LOST if not have.possible else CHANGED
    return FlowChange(
        change=kind,
        source=_end(change.source),
        destination=_end(change.destination),
        before=want,
        after=have.ports,
        possible_after=have.possible - have.ports,
        proof=partial(_proof, change, side, have.possible - want),
    )


def _proof(change: Change, side: Side, ports: PortSet) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(side.allowing(change, ports))) if ports else ()


def _end(end: Ref | AddressSet) -> FlowEnd:
    return FlowEnd(span_label(end), addresses=end) if isinstance(end, AddressSet) else FlowEnd(workload_label(end), end)


__all__ = ["DNS_PORTS", "Synthesis", "Synthesize", "SynthesizedPolicy"]
