"""Calico's policies, tiers and network sets (projectcalico.org/v3), by the CA-ids of network.md.

What is refused is what Calico's own validation refuses. Objects of `crd.projectcalico.org` are what Calico stores.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from graphsec.algebra.blocks import ALL_V4, ALL_V6, AddressSet, family
from graphsec.algebra.calico_selectors import is_global, parse_selector
from graphsec.algebra.expressions import (
    EVERYTHING,
    NOTHING,
    Expression,
    Field,
    LabelTest,
    Operator,
    all_of,
    matches,
)
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PROTOCOLS, PortSet
from graphsec.kinds._kind import Kind, Read
from graphsec.kinds._policies import RULES, Reading, RuleReader, Written, check_name, is_dns_label, refuse
from graphsec.model import objects
from graphsec.model.policy import (
    DEFAULT,
    NAME_LABEL,
    Action,
    Addresses,
    Direction,
    Endpoints,
    LabelledAddresses,
    NamedPort,
    Peer,
    Policy,
    Ports,
    Rule,
    Service,
    Term,
    TierOrder,
)

GROUP = "projectcalico.org"
#: Names of what Calico makes of the policies of Kubernetes, which are read themselves.
_COPIES = re.compile(
    r"(knp\.default|kanp\.adminnetworkpolicy|kbanp\.baselineadminnetworkpolicy|kcnp\.kube-(admin|baseline))\."
)
_ACTIONS = {"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_NUMBERS = {6: "TCP", 17: "UDP", 132: "SCTP"}
_NAMES = {name.upper(): name for name in (*PROTOCOLS, "ICMP", "ICMPv6", "UDPLite")}
_FAMILIES = {4: ALL_V4, 6: ALL_V6}
_PORT = re.compile(r"(\d{1,9})(?::(\d{1,9}))?")
_PORT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


# -- as it is written -------------------------------------------------------------------------------------------------


class WireAccounts(msgspec.Struct, frozen=True, gc=False):
    names: tuple[str, ...] | None = None
    selector: str | None = None


class WireService(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    namespace: str | None = None


class WireEntity(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    nets: tuple[str, ...] | None = None
    not_nets: tuple[str, ...] | None = None
    selector: str | None = None
    not_selector: str | None = None
    namespace_selector: str | None = None
    ports: tuple[int | str, ...] | None = None
    not_ports: tuple[int | str, ...] | None = None
    service_accounts: WireAccounts | None = None
    services: WireService | None = None


class WireHttp(msgspec.Struct, frozen=True, gc=False):
    """Only its presence matters: HTTP is not modelled (M-05)."""


class WireRule(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    action: str | None = None
    ip_version: int | None = msgspec.field(name="ipVersion", default=None)
    protocol: int | str | None = None
    not_protocol: int | str | None = None
    source: WireEntity | None = None
    destination: WireEntity | None = None
    http: WireHttp | None = None


class WireSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    tier: str | None = None
    order: float | None = None
    selector: str | None = None
    namespace_selector: str | None = None
    service_account_selector: str | None = None
    types: tuple[str, ...] | None = None
    ingress: tuple[msgspec.Raw, ...] | None = None
    egress: tuple[msgspec.Raw, ...] | None = None
    apply_on_forward: bool | None = None
    do_not_track: bool | None = None
    pre_dnat: bool | None = msgspec.field(name="preDNAT", default=None)


class WirePolicy(objects.Plain, frozen=True, gc=False):
    spec: WireSpec | None = None


class WireTierSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    order: float | None = None
    default_action: str | None = None


class WireTier(objects.Plain, frozen=True, gc=False):
    spec: WireTierSpec | None = None


class WireNets(msgspec.Struct, frozen=True, gc=False):
    nets: tuple[str, ...] | None = None


class WireNetworkSet(objects.Plain, frozen=True, gc=False):
    spec: WireNets | None = None


# -- selectors --------------------------------------------------------------------------------------------------------

#: Every pod has an account, and no address set has: this is what `projectcalico.org/orchestrator` tells apart.
_IS_POD = LabelTest(NAME_LABEL, field=Field.ACCOUNT)


def _endpoint_label(test: LabelTest) -> Expression:
    """A label of an endpoint: its own, one that it inherits (CA-12), or one that Calico gives to every endpoint."""
    match test.key:
        case "projectcalico.org/orchestrator":
            return _IS_POD if test.holds("k8s") else NOTHING
        case "projectcalico.org/namespace":
            return _moved(test, Field.NAMESPACE, NAME_LABEL)
        case "projectcalico.org/serviceaccount":
            return _moved(test, Field.ACCOUNT, NAME_LABEL)
    for prefix, field in (("pcns.", Field.NAMESPACE), ("pcsa.", Field.ACCOUNT)):
        if test.key.startswith(prefix):
            return _inherited(field, _moved(test, field, test.key.removeprefix(prefix)))
    return test


def _inherited(field: Field, test: LabelTest) -> LabelTest:
    """A label of a namespace or an account; both have their name as one."""
    return _moved(test, field, NAME_LABEL if test.key == "projectcalico.org/name" else test.key)


def _moved(test: LabelTest, field: Field, key: str) -> LabelTest:
    return LabelTest(key, test.operator, test.values, field)


def _parsed(
    path: str,
    text: str | None,
    label: Callable[[LabelTest], Expression],
    everything: Expression = EVERYTHING,
) -> Expression:
    try:
        return parse_selector(text or "", label, everything)
    except ValueError as error:
        refuse(path, f"no selector: {error}")


def _endpoints(path: str, text: str | None) -> Expression:
    return _parsed(path, text, _endpoint_label)


def _accounts(path: str, text: str | None) -> Expression:
    return _parsed(path, text, partial(_inherited, Field.ACCOUNT))


def _namespaces(path: str, text: str | None, everything: Expression = EVERYTHING) -> Expression:
    return _parsed(path, text, partial(_inherited, Field.NAMESPACE), everything)


# -- policies ---------------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, *, namespaced: bool) -> None:
        self._namespaced = namespaced
        self._rules = RuleReader(WireRule, partial(_read_rule, namespaced))

    def __call__(self, wire: WirePolicy) -> Policy:
        check_name(wire.metadata)
        spec = wire.spec or WireSpec()
        rules = self._rules.lists(spec.ingress, spec.egress)
        _check_flags(spec)
        types = _types(spec)
        skipped = _skipped(wire.metadata.name, spec)
        isolated = {} if skipped else {found: rules.rules(found) for found in types}
        return Policy(
            selects=self._subject(spec),
            tier=DEFAULT if spec.tier in {None, "", DEFAULT.name} else spec.tier or "",
            order=math.inf if spec.order is None else spec.order,
            ingress=isolated.get(Direction.INGRESS),
            egress=isolated.get(Direction.EGRESS),
            written=rules.counts,
            inert=() if skipped else _inert(rules, types),
            types_derived=not spec.types,
            limits=(skipped,) if skipped else rules.limits,
        )

    def _subject(self, spec: WireSpec) -> Endpoints:
        """CA-07."""
        own = _endpoints("spec.selector", spec.selector)
        accounts = _accounts("spec.serviceAccountSelector", spec.service_account_selector)
        if self._namespaced:
            return Endpoints(own=True, labels=all_of(own, accounts))
        namespaces = _namespaces("spec.namespaceSelector", spec.namespace_selector)
        return Endpoints(namespaces=namespaces, labels=all_of(own, accounts))


def _skipped(name: str, spec: WireSpec) -> str:
    """Why the policy applies to no pod.

    A policy with applyOnForward alone does: it applies to forwarded traffic of host endpoints as well (CA-07).
    """
    if _COPIES.match(name):
        return "is Calico's copy of a policy of Kubernetes, which is read itself"
    if spec.do_not_track or spec.pre_dnat:
        return "applies to host endpoints only, which are not modelled"
    return ""


def _check_flags(spec: WireSpec) -> None:
    if spec.do_not_track and spec.pre_dnat:
        refuse("spec.preDNAT", "beside doNotTrack")
    if (spec.do_not_track or spec.pre_dnat) and not spec.apply_on_forward:
        refuse("spec.applyOnForward", "must be true with doNotTrack or preDNAT")
    if spec.pre_dnat and (spec.egress or "Egress" in (spec.types or ())):
        refuse("spec.preDNAT", "with egress")


def _types(spec: WireSpec) -> frozenset[Direction]:
    """CA-06."""
    for index, name in enumerate(spec.types or ()):
        if name not in _TYPES:
            refuse(f"spec.types[{index}]", f"`{name}` is neither Ingress nor Egress")
    types = frozenset(_TYPES[name] for name in spec.types or ())
    if len(types) < len(spec.types or ()):
        refuse("spec.types", "one of them twice")
    if types:
        return types
    if not spec.egress:
        return frozenset({Direction.INGRESS})
    return frozenset(Direction) if spec.ingress else frozenset({Direction.EGRESS})


def _inert(rules: Written, types: frozenset[Direction]) -> tuple[Direction, ...]:
    return tuple(found for found in Direction if found not in types and rules.rules(found))


# -- rules ------------------------------------------------------------------------------------------------------------


def _read_rule(namespaced: bool, wire: WireRule, direction: Direction) -> Reading:
    if wire.action not in {*_ACTIONS, "Log"}:
        refuse("action", f"`{wire.action or ''}` is none of Allow, Deny, Pass and Log")
    source, destination = wire.source or WireEntity(), wire.destination or WireEntity()
    ingress = direction is Direction.INGRESS
    peer, own = (source, destination) if ingress else (destination, source)
    names = ("source", "destination") if ingress else ("destination", "source")
    protocol, excluded = _protocol("protocol", wire.protocol), _protocol("notProtocol", wire.not_protocol)
    _check_ports(source, destination, protocol)
    _check_families(wire, source, destination)
    _check_services(names, peer, own, namespaced=namespaced)
    ends = [_end(name, entity, namespaced=namespaced) for name, entity in zip(names, (peer, own), strict=True)]
    ports = _ports(destination, protocol, excluded)
    if wire.action == "Log":
        # It decides nothing (CA-02).
        return Reading(rule=None)
    action = _ACTIONS[wire.action or ""]
    if protocol and protocol not in PROTOCOLS:
        return Reading(rule=None, limits=(f"is for protocol {protocol}, which is not modelled",))
    limits = tuple(_limits(wire, source, destination))
    if (source.ports or source.not_ports) and action is not Action.ALLOW:
        return Reading(rule=None, limits=limits)
    other = _of_family(ends[0], wire.ip_version, names[0])
    peers = None if other is None else (other,)
    return Reading(rule=Rule(action=action, index=0, peers=peers, ports=ports, own=ends[1]), limits=limits)


def _limits(wire: WireRule, source: WireEntity, destination: WireEntity) -> Iterable[str]:
    if source.ports or source.not_ports:
        # A client binds the port that it likes.
        allows = wire.action == "Allow"
        yield "source.ports: ports of clients are not modelled; the rule " + (
            "is read as if they were not written" if allows else "is left out, as a client may choose another one"
        )
    if wire.http is not None:
        yield "http: what is shown as allowed is narrowed by HTTP methods and paths (L7)"
    if _named(destination.ports) and destination.not_ports:
        yield "destination.notPorts: numbers do not narrow ports that are given by name"
    if destination.services is not None:
        yield "destination.services: its ports are not modelled; the rule is read for every port of these pods"


def _protocol(path: str, written: int | str | None) -> str:
    """Its name as Calico spells it, `""` where none is written; names are read in any case, as Felix does."""
    if written is None:
        return ""
    text = str(written)
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 255:
        return _NUMBERS.get(int(text), text)
    name = _NAMES.get(text.upper())
    if name is None:
        refuse(path, f"`{text}` is no protocol")
    return name


def _check_ports(source: WireEntity, destination: WireEntity, protocol: str) -> None:
    for name, entity in (("source", source), ("destination", destination)):
        for field, ports in (("ports", entity.ports), ("notPorts", entity.not_ports)):
            if ports and protocol not in PROTOCOLS:
                refuse(f"{name}.{field}", "need protocol TCP, UDP or SCTP")


def _check_families(wire: WireRule, source: WireEntity, destination: WireEntity) -> None:
    if wire.ip_version not in {None, *_FAMILIES}:
        refuse("ipVersion", f"`{wire.ip_version}` is neither 4 nor 6")
    seen = wire.ip_version
    for name, entity in (("source", source), ("destination", destination)):
        for field, nets in (("nets", entity.nets), ("notNets", entity.not_nets)):
            for index, net in enumerate(nets or ()):
                path = f"{name}.{field}[{index}]"
                found = family(_net(path, net).spans[0][0])
                if seen not in {None, found}:
                    refuse(path, f"`{net}` is IPv{found} in a rule for IPv{seen}")
                seen = found


def _check_services(names: Sequence[str], peer: WireEntity, own: WireEntity, *, namespaced: bool) -> None:
    if own.services is not None:
        refuse(f"{names[1]}.services", "only of the other end")
    wire, path = peer.services, f"{names[0]}.services"
    if wire is None:
        return
    if not wire.name:
        refuse(f"{path}.name", "missing")
    if not namespaced and not wire.namespace:
        refuse(f"{path}.namespace", "missing in a global policy")
    selects = peer.selector or peer.not_selector or peer.namespace_selector or peer.service_accounts
    if selects or peer.nets or peer.not_nets:
        refuse(path, "beside selectors or nets")
    if names[0] == "destination" and (peer.ports or peer.not_ports):
        refuse(path, "beside ports")


def _end(path: str, wire: WireEntity, *, namespaced: bool) -> Peer | None:
    """CA-08, CA-10: one end of a rule, None where nothing is said of it."""
    terms: list[Term] = []
    if _selects(wire, namespaced=namespaced):
        terms.append(_selection(path, wire, namespaced=namespaced))
    if wire.nets:
        terms.append(Addresses(blocks=_nets(f"{path}.nets", wire.nets)))
    if wire.services is not None:
        terms.append(Service(name=wire.services.name or "", namespace=wire.services.namespace or ""))
    without: list[Term] = []
    if wire.not_selector:
        excluded = _endpoints(f"{path}.notSelector", wire.not_selector)
        without.append(Endpoints(labels=excluded, sets=True, global_sets=True))
    if wire.not_nets:
        without.append(Addresses(blocks=_nets(f"{path}.notNets", wire.not_nets)))
    return Peer(terms=tuple(terms), without=tuple(without), field=path) if terms or without else None


def _selects(wire: WireEntity, *, namespaced: bool) -> bool:
    """Whether the end is limited to endpoints: in a namespaced policy notSelector does that too."""
    accounts = wire.service_accounts
    selects_accounts = accounts is not None and bool(accounts.names or accounts.selector)
    selects = wire.selector or wire.namespace_selector or selects_accounts
    return bool(selects) or (namespaced and bool(wire.not_selector))


def _selection(path: str, wire: WireEntity, *, namespaced: bool) -> Endpoints:
    """CA-08, CA-12."""
    accounts = wire.service_accounts or WireAccounts()
    names = tuple(sorted(set(accounts.names or ())))
    labels = all_of(
        LabelTest(NAME_LABEL, Operator.IN, names, Field.ACCOUNT) if names else EVERYTHING,
        _accounts(f"{path}.serviceAccounts.selector", accounts.selector),
        _endpoints(f"{path}.selector", wire.selector),
    )
    written = wire.namespace_selector
    if not written:
        return Endpoints(own=namespaced, labels=labels, sets=True, global_sets=not namespaced)
    if is_global(written):
        return Endpoints(namespaces=NOTHING, labels=labels, pods=False, sets=True, global_sets=True)
    place = f"{path}.namespaceSelector"
    # `all()` is whatever has a namespace; a negation also holds for a set that has none.
    without_namespace = _namespaces(place, written, LabelTest(NAME_LABEL, field=Field.NAMESPACE))
    return Endpoints(
        namespaces=_namespaces(place, written),
        labels=labels,
        sets=True,
        global_sets=matches(without_namespace, {}),
    )


def _of_family(peer: Peer | None, version: int | None, path: str) -> Peer | None:
    """With ipVersion the other end has an address of that family."""
    if version is None:
        return peer
    peer = peer or Peer(field=path)
    return Peer(terms=(*peer.terms, Addresses(blocks=_FAMILIES[version])), without=peer.without, field=peer.field)


def _nets(path: str, written: Sequence[str]) -> AddressSet:
    return AddressSet.union_of(_net(f"{path}[{index}]", net) for index, net in enumerate(written))


def _net(path: str, text: str) -> AddressSet:
    """A block or one address."""
    try:
        return AddressSet.cidr(text)
    except ValueError:
        refuse(path, f"`{text}` is no CIDR")


# -- ports ------------------------------------------------------------------------------------------------------------


def _ports(wire: WireEntity, protocol: str, excluded: str) -> Ports:
    """CA-11. Ports of a protocol that has none are never asked for."""
    numbers = PortSet.of(protocol) if protocol in PROTOCOLS else ALL_PORTS
    if excluded in PROTOCOLS:
        numbers -= PortSet.of(excluded)
    names: tuple[NamedPort, ...] = ()
    if wire.ports:
        chosen, names = _listed("destination.ports", wire.ports, protocol)
        numbers &= chosen
    barred, without = _listed("destination.notPorts", wire.not_ports or (), protocol)
    return Ports(numbers=numbers - barred, named=names, without=without)


def _listed(path: str, written: Sequence[int | str], protocol: str) -> tuple[PortSet, tuple[NamedPort, ...]]:
    numbers, names = [], []
    for index, port in enumerate(written):
        text, place = str(port), f"{path}[{index}]"
        match = _PORT.fullmatch(text)
        if match:
            numbers.append(_span(place, text, protocol, int(match[1]), int(match[2] or match[1])))
        elif _PORT_NAME.fullmatch(text):
            names.append(NamedPort(name=text, protocol=protocol))
        else:
            refuse(place, f"`{text}` is no port")
    return PortSet.union_of(numbers), tuple(dict.fromkeys(names))


def _named(written: Sequence[int | str] | None) -> bool:
    return any(_PORT.fullmatch(str(port)) is None for port in written or ())


def _span(path: str, text: str, protocol: str, low: int, high: int) -> PortSet:
    """Calico's ports begin at 0, which no connection has."""
    if not low <= high <= 65535:
        refuse(path, f"`{text}` is no port range from 0 to 65535")
    return PortSet.of(protocol, (max(low, 1), high)) if high else NO_PORTS


# -- tiers and sets ---------------------------------------------------------------------------------------------------


def _tier(wire: WireTier) -> TierOrder:
    """CA-01, CA-03."""
    name, spec = wire.metadata.name, wire.spec or WireTierSpec()
    if not is_dns_label(name):
        refuse("metadata.name", f"`{name}` is no DNS label: a-z, 0-9 and - only")
    written = spec.default_action or "Deny"
    if written not in {"Deny", "Pass"}:
        refuse("spec.defaultAction", f"`{written}` is neither Deny nor Pass")
    if name == DEFAULT.name and (spec.order not in {None, DEFAULT.order} or written != "Deny"):
        refuse("spec", f"the tier `{name}` has order {DEFAULT.order:.0f} and defaultAction Deny")
    return TierOrder(order=math.inf if spec.order is None else spec.order, default=_ACTIONS[written])


def _network_set(wire: WireNetworkSet) -> LabelledAddresses:
    """CA-12."""
    check_name(wire.metadata)
    labels = wire.metadata.labels or {}
    if "projectcalico.org/namespace" in labels:
        refuse("metadata.labels", "projectcalico.org/namespace is no label of a set")
    nets = (wire.spec.nets if wire.spec else None) or ()
    return LabelledAddresses(labels=tuple(sorted(labels.items())), addresses=_nets("spec.nets", nets))


# -- kinds ------------------------------------------------------------------------------------------------------------

B = TypeVar("B")


def _kind(
    kind: str,
    body: type[B],
    reader: Callable[[], Read],
    read_as: type[Any],
    *,
    namespaced: bool,
    rules: tuple[str, ...] = (),
) -> Kind:
    return Kind(
        group=GROUP,
        kind=kind,
        body=body,
        also_groups=("crd.projectcalico.org",),
        reader=reader,
        read_as=read_as,
        rules=rules,
        namespaced=namespaced,
        qualified=True,
    )


KINDS = (
    _kind("NetworkPolicy", WirePolicy, partial(_Reader, namespaced=True), Policy, namespaced=True, rules=RULES),
    _kind("GlobalNetworkPolicy", WirePolicy, partial(_Reader, namespaced=False), Policy, namespaced=False, rules=RULES),
    _kind("Tier", WireTier, lambda: _tier, TierOrder, namespaced=False),
    _kind("NetworkSet", WireNetworkSet, lambda: _network_set, LabelledAddresses, namespaced=True),
    _kind("GlobalNetworkSet", WireNetworkSet, lambda: _network_set, LabelledAddresses, namespaced=False),
)
