"""NetworkPolicy (networking.k8s.io/v1), by the N-ids of network.md.

What the API server refuses is what its `pkg/apis/networking/validation` refuses on creation.
"""

from __future__ import annotations

import msgspec

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.expressions import EVERYTHING, Field
from graphsec.algebra.ports import PROTOCOLS, PortSet
from graphsec.algebra.selectors import LabelSelector
from graphsec.kinds._kind import Kind
from graphsec.kinds._policies import (
    RULES,
    Reading,
    RuleReader,
    any_of,
    check_name,
    check_port_name,
    cidr,
    named,
    placed,
    port_range,
    refuse,
    selected,
)
from graphsec.model import objects
from graphsec.model.policy import Action, Addresses, Direction, Endpoints, NamedPort, Peer, Policy, Ports, Rule

_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}


class WirePort(msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class WireBlock(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    cidr: str | None = None
    exceptions: tuple[str, ...] | None = msgspec.field(name="except", default=None)


class WirePeer(msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: WireBlock | None = None


class WireRule(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    sources: tuple[WirePeer | None, ...] | None = msgspec.field(name="from", default=None)
    destinations: tuple[WirePeer | None, ...] | None = msgspec.field(name="to", default=None)
    ports: tuple[WirePort | None, ...] | None = None


class WireSpec(msgspec.Struct, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    pod_selector: LabelSelector | None = None
    policy_types: tuple[str, ...] | None = None
    ingress: tuple[msgspec.Raw, ...] | None = None
    egress: tuple[msgspec.Raw, ...] | None = None


#: Where NetworkPolicies stand among Calico's policies of the same tier (CA-05).
_ORDER = 1_000


class WirePolicy(objects.Plain, frozen=True, gc=False):
    spec: WireSpec | None = None


class _Reader:
    def __init__(self) -> None:
        self._rules = RuleReader(WireRule, _read_rule)
        self._subjects: dict[Endpoints, Endpoints] = {}

    def __call__(self, wire: WirePolicy) -> Policy:
        check_name(wire.metadata)
        spec = wire.spec or WireSpec()
        # N-03: an absent podSelector selects like the empty one.
        subject = Endpoints(own=True, labels=selected("spec.podSelector", spec.pod_selector))
        rules = self._rules.lists(spec.ingress, spec.egress)
        types = _types(spec)
        isolated = {direction: rules.rules(direction) for direction in types}
        return Policy(
            order=_ORDER,
            prefix="knp.default.",
            selects=self._subjects.setdefault(subject, subject),
            ingress=isolated.get(Direction.INGRESS),
            egress=isolated.get(Direction.EGRESS),
            written=rules.counts,
            inert=tuple(found for found in Direction if found not in types and rules.rules(found)),
            types_derived=not spec.policy_types,
        )


def _types(spec: WireSpec) -> frozenset[Direction]:
    """N-02."""
    written = spec.policy_types or ()
    if len(written) > len(_TYPES):
        refuse("spec.policyTypes", "more than two")
    for index, name in enumerate(written):
        if name not in _TYPES:
            refuse(f"spec.policyTypes[{index}]", f"`{name}` is neither Ingress nor Egress")
    if written:
        return frozenset(_TYPES[name] for name in written)
    return frozenset(Direction) if spec.egress else frozenset({Direction.INGRESS})


def _read_rule(wire: WireRule, direction: Direction) -> Reading:
    ingress = direction is Direction.INGRESS
    word, written = ("from", wire.sources) if ingress else ("to", wire.destinations)
    ports = any_of(_ports(path, port) for path, port in placed("ports", wire.ports, WirePort()))
    # N-05a: an empty list is any peer.
    peers = tuple(_peer(path, peer) for path, peer in placed(word, written, WirePeer())) or None
    return Reading(rule=Rule(action=Action.ALLOW, index=0, peers=peers, ports=ports))


def _peer(path: str, wire: WirePeer) -> Peer:
    """N-06."""
    pods, namespaces, block = wire.pod_selector, wire.namespace_selector, wire.ip_block
    if block is not None:
        if pods is not None or namespaces is not None:
            refuse(path, "ipBlock beside a selector")
        return Peer(terms=(Addresses(blocks=_block(f"{path}.ipBlock", block)),), field=path)
    if pods is None and namespaces is None:
        refuse(path, "none of podSelector, namespaceSelector and ipBlock")
    term = Endpoints(
        own=namespaces is None,
        namespaces=selected(f"{path}.namespaceSelector", namespaces, Field.NAMESPACE),
        labels=selected(f"{path}.podSelector", pods) if pods is not None else EVERYTHING,
    )
    return Peer(terms=(term,), field=path)


def _block(path: str, wire: WireBlock) -> AddressSet:
    """N-12a: each exception is a proper part of the block."""
    if not wire.cidr:
        refuse(f"{path}.cidr", "missing")
    whole = cidr(f"{path}.cidr", wire.cidr)
    exceptions = []
    for index, text in enumerate(wire.exceptions or ()):
        exception = cidr(f"{path}.except[{index}]", text)
        if not exception <= whole or exception == whole:
            refuse(f"{path}.except[{index}]", f"`{text}` is not inside `{wire.cidr}`")
        exceptions.append(exception)
    return whole - AddressSet.union_of(exceptions)


def _ports(path: str, wire: WirePort) -> Ports:
    """N-05c, N-09, N-10, N-11."""
    protocol = "TCP" if wire.protocol is None else wire.protocol
    if protocol not in PROTOCOLS:
        refuse(f"{path}.protocol", f"`{protocol}` is none of TCP, UDP and SCTP")
    if isinstance(wire.port, int):
        return Ports(numbers=_numbers(path, protocol, wire.port, wire.end_port))
    if wire.end_port is not None:
        refuse(f"{path}.endPort", "needs a port with a number")
    if wire.port is None:
        return Ports(numbers=PortSet.of(protocol))
    check_port_name(f"{path}.port", wire.port)
    return named(NamedPort(name=wire.port, protocol=protocol))


def _numbers(path: str, protocol: str, port: int, end: int | None) -> PortSet:
    low = port_range(f"{path}.port", protocol, port, port)
    if end is None:
        return low
    if end < port:
        refuse(f"{path}.endPort", f"`{end}` is less than port `{port}`")
    return port_range(f"{path}.endPort", protocol, port, end)


KINDS = Kind(
    group="networking.k8s.io",
    kind="NetworkPolicy",
    body=WirePolicy,
    old_groups=("extensions",),
    reader=_Reader,
    read_as=Policy,
    rules=RULES,
)
