"""The admin API (policy.networking.k8s.io): AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1 by the A-ids of
network.md, ClusterNetworkPolicy v1alpha2 by the C-ids.

What the API server refuses is what the validation in their CustomResourceDefinitions refuses. What it accepts and no
implementation can read fails closed (A-09, C-09): an Allow rule matches less, any other one denies everything.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.expressions import Expression, Field
from graphsec.algebra.ports import NO_PORTS, PROTOCOLS, PortSet
from graphsec.algebra.selectors import LabelSelector
from graphsec.kinds._kind import InvalidError, Kind
from graphsec.kinds._policies import (
    RULES,
    Reading,
    RuleReader,
    any_of,
    check_name,
    named,
    placed,
    port_range,
    refuse,
    selected,
)
from graphsec.model import objects
from graphsec.model.policy import (
    ADMIN,
    ADMIN_POLICY,
    ANY_PORT,
    BASELINE,
    BASELINE_POLICY,
    Action,
    Addresses,
    Direction,
    Domains,
    Endpoints,
    NamedPort,
    Nodes,
    Peer,
    Policy,
    Ports,
    Rule,
    Term,
    Tier,
)

T = TypeVar("T")

GROUP = "policy.networking.k8s.io"
#: Networks and domain names of one peer.
_MOST_LISTED = 25
_LABEL = r"[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(\*\.)?({_LABEL}\.)+{_LABEL}\.?")


# -- as it is written -------------------------------------------------------------------------------------------------


class WireSelector(LabelSelector, frozen=True, rename="camel"):
    """A LabelSelector, and what stood in its place before v0.1.7 (A-10): read as a selector that is `{}`."""

    namespace_selector: Any = None
    same_labels: Any = None
    not_same_labels: Any = None


class WirePods(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    namespace_selector: WireSelector | None = None
    pod_selector: LabelSelector | None = None
    #: Before v0.1.7.
    namespaces: Any = None


class WireSubject(msgspec.Struct, frozen=True, gc=False):
    namespaces: LabelSelector | None = None
    pods: WirePods | None = None


class WirePeer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    namespaces: WireSelector | None = None
    pods: WirePods | None = None
    nodes: LabelSelector | None = None
    networks: tuple[str, ...] | None = None
    domain_names: tuple[str, ...] | None = None


class WirePortNumber(msgspec.Struct, frozen=True, gc=False):
    protocol: str | None = None
    port: int | None = None


class WirePortRange(msgspec.Struct, frozen=True, gc=False):
    protocol: str | None = None
    start: int | None = None
    end: int | None = None


class WirePort(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    port_number: WirePortNumber | None = None
    port_range: WirePortRange | None = None
    named_port: str | None = None


class WireDestinationPort(msgspec.Struct, frozen=True, gc=False):
    number: int | None = None
    range: WirePortRange | None = None


class WireTransport(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    destination_port: WireDestinationPort | None = None


class WireProtocol(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    tcp: WireTransport | None = None
    udp: WireTransport | None = None
    sctp: WireTransport | None = None
    destination_named_port: str | None = None


class WireRule(msgspec.Struct, frozen=True, gc=False):
    action: str | None = None
    name: str | None = None
    sources: tuple[WirePeer | None, ...] | None = msgspec.field(name="from", default=None)
    destinations: tuple[WirePeer | None, ...] | None = msgspec.field(name="to", default=None)
    ports: tuple[WirePort | None, ...] | None = None
    #: In place of ``ports`` in ClusterNetworkPolicy.
    protocols: tuple[WireProtocol | None, ...] | None = None


class WireSpec(msgspec.Struct, frozen=True, gc=False):
    tier: str | None = None
    priority: int | None = None
    subject: WireSubject | None = None
    ingress: tuple[msgspec.Raw, ...] | None = None
    egress: tuple[msgspec.Raw, ...] | None = None


class WirePolicy(objects.Plain, frozen=True, gc=False):
    spec: WireSpec | None = None


# -- the three kinds --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What tells the kinds apart."""

    #: By ``spec.tier``; one without a name where there is no such field.
    tiers: Mapping[str | None, Tier]
    actions: Mapping[str, Action]
    #: Fields of a peer of an egress rule; any other is unknown.
    destinations: tuple[str, ...]
    #: Rules of a list, and peers and ports of a rule.
    most: int
    #: The field that holds ports, and how to read its entries.
    ports: str
    entries: Callable[[WireRule], list[Callable[[], Ports]] | None]
    priority: bool = True
    #: The only name that an object may have.
    name: str = ""
    #: Whether the API server checks the syntax of `networks`.
    checks_networks: bool = False


_SOURCES = ("namespaces", "pods")


class _UnreadableError(Exception):
    """The API server accepts it and it has no meaning; the text is `path: reason`."""


class _Reader:
    def __init__(self, family: _Family) -> None:
        self._family = family
        self._rules = RuleReader(WireRule, partial(_read_rule, family))

    def __call__(self, wire: WirePolicy) -> Policy:
        family, spec = self._family, wire.spec or WireSpec()
        check_name(wire.metadata)
        if family.name and wire.metadata.name != family.name:
            refuse("metadata.name", f"`{wire.metadata.name}` is not `{family.name}`, the only one that is read")
        tier = family.tiers.get(spec.tier if None not in family.tiers else None)
        if tier is None:
            refuse("spec.tier", f"`{spec.tier or ''}` is neither Admin nor Baseline")
        for direction, written in (("ingress", spec.ingress), ("egress", spec.egress)):
            _check_count(f"spec.{direction}", written, family.most)
        rules = self._rules.lists(spec.ingress, spec.egress)
        return Policy(
            selects=_subject(spec.subject or WireSubject()),
            tier=tier,
            order=_priority(spec) if family.priority else 0,
            ties=True,
            # without rules a direction is left alone.
            ingress=rules.rules(Direction.INGRESS) or None,
            egress=rules.rules(Direction.EGRESS) or None,
            written=rules.counts,
            limits=rules.limits,
        )


def _priority(spec: WireSpec) -> int:
    if spec.priority is None:
        refuse("spec.priority", "missing")
    if not 0 <= spec.priority <= 1000:
        refuse("spec.priority", f"`{spec.priority}` is not from 0 to 1000")
    return spec.priority


def _subject(wire: WireSubject) -> Endpoints:
    """A-05."""
    if (wire.namespaces is None) == (wire.pods is None):
        refuse("spec.subject", "needs exactly one of namespaces and pods")
    if wire.pods is not None:
        return _pods("spec.subject.pods", wire.pods, selected)
    return Endpoints(namespaces=selected("spec.subject.namespaces", wire.namespaces, Field.NAMESPACE))


def _pods(path: str, wire: WirePods, read: Callable[[str, LabelSelector | None, Field], Expression]) -> Endpoints:
    return Endpoints(
        namespaces=read(f"{path}.namespaceSelector", wire.namespace_selector, Field.NAMESPACE),
        labels=read(f"{path}.podSelector", wire.pod_selector, Field.OWN),
    )


def _check_count(path: str, items: Sequence[object] | None, most: int) -> None:
    if items is not None and len(items) > most:
        refuse(path, f"{len(items)} items, at most {most}")


# -- rules ------------------------------------------------------------------------------------------------------------


def _read_rule(family: _Family, wire: WireRule, direction: Direction) -> Reading:
    action = family.actions.get(wire.action or "")
    if action is None:
        refuse("action", f"`{wire.action or ''}` is none of {', '.join(family.actions)}")
    if len(wire.name or "") > 100:
        refuse("name", "longer than 100 characters")
    peers, wrong_peers = _readable(_peers(family, wire, direction, action))
    ports, wrong_ports = _ports(family, wire)
    if direction is Direction.EGRESS and ports.named:
        _check_named(peers)
    rule = Rule(action=action, index=0, peers=peers, ports=ports, name=wire.name or "")
    wrong = (*wrong_peers, *wrong_ports)
    if not wrong:
        return Reading(rule=rule)
    if action is Action.ALLOW:
        return Reading(rule=rule, limits=(f"{'; '.join(wrong)}: matches nothing (fails closed)",))
    denial = Rule(action=Action.DENY, index=0, name=wire.name or "")
    return Reading(rule=denial, limits=(f"{'; '.join(wrong)}: the rule denies everything (fails closed)",))


def _readable(reads: Iterable[Callable[[], T]]) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """What can be read, and what is wrong with the rest."""
    found, wrong = [], []
    for read in reads:
        try:
            found.append(read())
        except _UnreadableError as error:
            wrong.append(str(error))
    return tuple(found), tuple(wrong)


def _check_named(peers: tuple[Peer, ...]) -> None:
    """C-05: only pods have port names."""
    for peer in peers:
        if not all(isinstance(term, Endpoints) for term in peer.terms):
            refuse(peer.field, "a named port beside networks, nodes or domainNames")


def _only(path: str, wire: object, fields: Iterable[str]) -> str:
    """The one field of these that is set."""
    known = [name for name in fields if getattr(wire, name) is not None]
    if len(known) > 1:
        refuse(path, f"both {_spelled(known[0])} and {_spelled(known[1])}")
    if not known:
        raise _UnreadableError(f"{path}: no field that is known")
    return known[0]


def _spelled(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


# -- peers ------------------------------------------------------------------------------------------------------------


def _peers(family: _Family, wire: WireRule, direction: Direction, action: Action) -> Iterable[Callable[[], Peer]]:
    ingress = direction is Direction.INGRESS
    word, written = ("from", wire.sources) if ingress else ("to", wire.destinations)
    if not written:
        refuse(word, "needs a peer")
    _check_count(word, written, family.most)
    fields = _SOURCES if ingress else family.destinations
    return [partial(_peer, family, fields, action, path, peer) for path, peer in placed(word, written, WirePeer())]


def _peer(family: _Family, fields: tuple[str, ...], action: Action, path: str, wire: WirePeer) -> Peer:
    name = _only(path, wire, fields)
    inner = f"{path}.{_spelled(name)}"
    if name == "domain_names" and action is not Action.ALLOW:
        refuse(inner, "only in a rule that allows")
    return Peer(terms=(_term(family, inner, wire, name),), field=path)


def _term(family: _Family, path: str, wire: WirePeer, name: str) -> Term:
    """A-07, A-08."""
    match name:
        case "pods":
            assert wire.pods is not None
            if wire.pods.namespaces is not None:
                raise _UnreadableError(f"{path}.namespaces: a form before v0.1.7")
            return _pods(path, wire.pods, _selector)
        case "nodes":
            return Nodes(labels=_selector(path, wire.nodes))
        case "networks":
            return Addresses(blocks=_networks(family, path, wire.networks or ()))
        case "domain_names":
            return _domains(path, wire.domain_names or ())
        case _:
            return Endpoints(namespaces=_selector(path, wire.namespaces, Field.NAMESPACE))


def _selector(path: str, selector: LabelSelector | None, field: Field = Field.OWN) -> Expression:
    """A selector that the API server does not check."""
    old = ("same_labels", "not_same_labels", "namespace_selector")
    for name in old if isinstance(selector, WireSelector) else ():
        if getattr(selector, name) is not None:
            raise _UnreadableError(f"{path}.{_spelled(name)}: a form before v0.1.7")
    try:
        return selected(path, selector, field)
    except InvalidError as error:
        raise _UnreadableError(error.message) from None


def _networks(family: _Family, path: str, written: tuple[str, ...]) -> AddressSet:
    _check_listed(path, written)
    return AddressSet.union_of(_network(family, f"{path}[{index}]", text) for index, text in enumerate(written))


def _network(family: _Family, path: str, text: str) -> AddressSet:
    """As Go's own parsers: no leading zeros, no IPv4 address within an IPv6 one."""
    try:
        if ":" in text and "." in text:
            refuse(path, f"`{text}` is IPv4 within IPv6")
        if text.rpartition("/")[2].isdecimal() and "/" in text:
            ipaddress.ip_network(text, strict=False)
            return AddressSet.cidr(text)
    except ValueError:
        pass
    if family.checks_networks or not (":" in text or "." in text):
        refuse(path, f"`{text}` is no CIDR")
    raise _UnreadableError(f"{path}: `{text}` is no CIDR")


def _domains(path: str, names: tuple[str, ...]) -> Domains:
    """C-08."""
    _check_listed(path, names)
    for index, name in enumerate(names):
        if not _DOMAIN.fullmatch(name):
            refuse(f"{path}[{index}]", f"`{name}` is no domain name")
    return Domains(names=names)


def _check_listed(path: str, items: tuple[str, ...]) -> None:
    if not items:
        refuse(path, "empty list")
    _check_count(path, items, _MOST_LISTED)


# -- ports ------------------------------------------------------------------------------------------------------------


def _ports(family: _Family, wire: WireRule) -> tuple[Ports, tuple[str, ...]]:
    """A-06: no list is all ports."""
    entries = family.entries(wire)
    if entries is None:
        return ANY_PORT, ()
    if not entries:
        refuse(family.ports, "empty list")
    _check_count(family.ports, entries, family.most)
    found, wrong = _readable(entries)
    return any_of(found) if found else Ports(numbers=NO_PORTS), wrong


def _listed_ports(wire: WireRule) -> list[Callable[[], Ports]] | None:
    if wire.ports is None:
        return None
    return [partial(_port, path, port) for path, port in placed("ports", wire.ports, WirePort())]


def _port(path: str, wire: WirePort) -> Ports:
    """A-06."""
    match _only(path, wire, ("port_number", "port_range", "named_port")):
        case "named_port":
            return named(NamedPort(name=wire.named_port or ""))
        case "port_range":
            assert wire.port_range is not None
            ports = wire.port_range
            return Ports(numbers=_range(f"{path}.portRange", _protocol(path, ports.protocol), ports))
        case _:
            assert wire.port_number is not None
            number, protocol = wire.port_number.port, _protocol(path, wire.port_number.protocol)
            return Ports(numbers=_number(f"{path}.portNumber.port", protocol, number))


def _protocol(path: str, written: str | None) -> str:
    protocol = written or "TCP"
    if protocol not in PROTOCOLS:
        raise _UnreadableError(f"{path}: `{protocol}` is none of TCP, UDP and SCTP")
    return protocol


def _number(path: str, protocol: str, number: int | None) -> PortSet:
    if number is None:
        refuse(path, "missing")
    return port_range(path, protocol, number, number)


def _range(path: str, protocol: str, wire: WirePortRange) -> PortSet:
    start, end = wire.start, wire.end
    if start is None or end is None:
        refuse(path, "needs start and end")
    if start >= end:
        refuse(path, f"start `{start}` is not less than end `{end}`")
    return port_range(path, protocol, start, end)


def _listed_protocols(wire: WireRule) -> list[Callable[[], Ports]] | None:
    if wire.protocols is None:
        return None
    return [partial(_transport, path, entry) for path, entry in placed("protocols", wire.protocols, WireProtocol())]


def _transport(path: str, wire: WireProtocol) -> Ports:
    """C-04."""
    name = _only(path, wire, ("tcp", "udp", "sctp", "destination_named_port"))
    if name == "destination_named_port":
        return named(NamedPort(name=wire.destination_named_port or ""))
    transport: WireTransport = getattr(wire, name)
    inner, port = f"{path}.{name}.destinationPort", transport.destination_port
    if port is None:
        refuse(f"{path}.{name}", "needs destinationPort")
    if (port.number is None) == (port.range is None):
        refuse(inner, "needs exactly one of number and range")
    if port.range is not None:
        return Ports(numbers=_range(f"{inner}.range", name.upper(), port.range))
    return Ports(numbers=_number(f"{inner}.number", name.upper(), port.number))


# -- kinds ------------------------------------------------------------------------------------------------------------

_ADMIN_POLICY = _Family(
    tiers={None: ADMIN_POLICY},
    actions={"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
    destinations=(*_SOURCES, "nodes", "networks", "domain_names"),
    most=100,
    ports="ports",
    entries=_listed_ports,
)
_BASELINE_POLICY = _Family(
    tiers={None: BASELINE_POLICY},
    actions={"Allow": Action.ALLOW, "Deny": Action.DENY},
    destinations=(*_SOURCES, "nodes", "networks"),
    most=100,
    ports="ports",
    entries=_listed_ports,
    priority=False,
    name="default",
)
_CLUSTER_POLICY = _Family(
    tiers={"Admin": ADMIN, "Baseline": BASELINE},
    actions={"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
    destinations=_ADMIN_POLICY.destinations,
    most=25,
    ports="protocols",
    entries=_listed_protocols,
    checks_networks=True,
)


def _kind(kind: str, family: _Family) -> Kind:
    return Kind(
        group=GROUP,
        kind=kind,
        body=WirePolicy,
        reader=partial(_Reader, family),
        read_as=Policy,
        rules=RULES,
        namespaced=False,
    )


KINDS = (
    _kind("AdminNetworkPolicy", _ADMIN_POLICY),
    _kind("BaselineAdminNetworkPolicy", _BASELINE_POLICY),
    _kind("ClusterNetworkPolicy", _CLUSTER_POLICY),
)
