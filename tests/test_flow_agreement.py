"""Properties on random clusters: the compiled flows equal the reference, and their views equal one another."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import permutations, product
from pathlib import Path
from typing import Any

import flow_reference as reference
import hypothesis.strategies as st
import pytest
import yaml
from flow_reference import EGRESS, INGRESS, NAME_LABEL, Address, Packet
from flow_tables import Object, admin_policy, calico, namespace, netpol, node, obj, pod
from hypothesis import assume, given
from test_agreement import examples

import graphsec as gs
from graphsec.algebra.blocks import parse_address
from graphsec.compile import join as joining
from graphsec.compile import masks as masking
from graphsec.compile.entries import Reading
from graphsec.compile.flows import NOTHING, Amount, Flows, compile_flows
from graphsec.compile.profile import Profile
from graphsec.compile.trace import Point, trace
from graphsec.model.policy import Direction
from graphsec.query._ends import parse_end

# -- strategies: few words, so that pods and policies meet often ---------------------------------------------------------

NAMESPACES = ("ns-a", "ns-b", "ns-c", "ns-d", "ns-e")
POD_LABELS = {"app": ("web", "db", "api"), "tier": ("fe", "be")}
SPACE_LABELS = {"team": ("red", "blue"), "env": ("prod",), NAME_LABEL: NAMESPACES[:3]}
NODES = {
    "n1": (("192.168.0.1", "fd01::1", "198.51.100.1"), {"zone": "east"}),
    "n2": (("192.168.0.2", "fd01::2", "198.51.100.2"), {"zone": "west"}),
}
OUTSIDE = ("203.0.113.5", "8.8.8.8", "10.0.0.200", "2001:db8::5")
V4_BLOCKS = (
    "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/29", "10.0.0.4/30", "10.0.0.2/31", "10.0.0.3/32", "192.168.0.0/24",
    "192.168.0.1/32", "203.0.113.0/24", "128.0.0.0/1",
)  # fmt: skip
V6_BLOCKS = ("::/0", "fd00::/64", "fd00::4/126", "fd00::2/127", "fd01::1/128", "2001:db8::/32")
PORT_NAMES = ("http", "dns", "web")
PORT_NUMBERS = (53, 80, 8080)
#: Everything that a rule can tell apart has one here.
PROBES = (
    ("TCP", 80), ("TCP", 8080), ("TCP", 53), ("TCP", 8500), ("TCP", 1), ("UDP", 53), ("UDP", 80), ("SCTP", 80),
)  # fmt: skip


@dataclass(frozen=True)
class Words:
    """What the objects of one cluster are made of."""

    spaces: tuple[str, ...]
    blocks: tuple[str, ...]


def some(strategy: st.SearchStrategy[Any], most: int = 2, least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, min_size=least, max_size=most)


def several(strategy: st.SearchStrategy[Any], least: int, most: int) -> st.SearchStrategy[list[Any]]:
    """As many as that, every number as often; lists of Hypothesis are mostly short."""
    return st.sampled_from(range(least, most + 1)).flatmap(
        lambda count: st.lists(strategy, min_size=count, max_size=count)
    )


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


def labels_from(words: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in words.items()})


def requirements(words: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[Object]:
    def of(key: str) -> st.SearchStrategy[Object]:
        values = some(st.sampled_from(words[key]), 2, 1)
        return st.one_of(
            st.builds(
                lambda operator, found: {"key": key, "operator": operator, "values": found},
                st.sampled_from(("In", "NotIn")),
                values,
            ),
            st.sampled_from(("Exists", "DoesNotExist")).map(lambda operator: {"key": key, "operator": operator}),
        )

    return st.sampled_from(sorted(words)).flatmap(of)


def selectors(words: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[Object]:
    return st.one_of(
        st.just({}),
        labels_from(words).map(lambda labels: {"matchLabels": labels}),
        some(requirements(words), 2, 1).map(lambda found: {"matchExpressions": found}),
    )


PODS, SPACES = selectors(POD_LABELS), selectors(SPACE_LABELS)


def blocks(texts: Iterable[str]) -> st.SearchStrategy[Object]:
    def of(text: str) -> st.SearchStrategy[Object]:
        inside = [other for other in texts if other != text and is_inside(other, text)]
        return (
            some(st.sampled_from(inside), 2).map(lambda found: block_of(text, found))
            if inside
            else st.just({"cidr": text})
        )

    return st.sampled_from(list(texts)).flatmap(of)


def block_of(text: str, excepted: list[str]) -> Object:
    return {"cidr": text, "except": excepted} if excepted else {"cidr": text}


def is_inside(one: str, other: str) -> bool:
    inner, outer = ip_network(one), ip_network(other)
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer)


# -- pods ----------------------------------------------------------------------------------------------------------------

PROTOCOLS = st.sampled_from(("TCP", "TCP", "UDP", "SCTP"))
CONTAINER_PORTS = st.fixed_dictionaries(
    {"containerPort": st.sampled_from(PORT_NUMBERS)},
    optional={"name": st.sampled_from(PORT_NAMES), "protocol": PROTOCOLS},
)
#: At most one port each, so that names repeat over containers only, as the API server demands.
CONTAINERS = some(CONTAINER_PORTS, 1).map(lambda ports: {"name": "c", "ports": ports})
POD_SPECS = st.fixed_dictionaries(
    {"containers": some(CONTAINERS, 3, 1)},
    optional={
        "initContainers": some(
            st.builds(
                lambda found, policy: {**found, **policy},
                CONTAINERS,
                st.sampled_from(({}, {"restartPolicy": "Always"})),
            ),
            2,
        ),
        "serviceAccountName": st.sampled_from(("default", "robot")),
    },
)


@st.composite
def pods(draw: st.DrawFn, number: int, spaces: tuple[str, ...], *, dual: bool, unplaced: bool) -> Object:
    """The kinds of pod that flows tell apart; an ordinary one most of the time."""
    kind = draw(st.sampled_from(("pod",) * 8 + ("host", "finished") + ("bare", "template") * 3 * unplaced))
    made = obj("Pod", f"p{number}", draw(POD_SPECS), namespace=draw(st.sampled_from(spaces)))
    made["metadata"]["labels"] = draw(labels_from(POD_LABELS))
    made["spec"]["nodeName"] = draw(st.sampled_from(sorted(NODES)))
    if kind == "template":
        return as_template(made)
    if kind != "bare":
        addresses = [f"10.0.0.{number}"]
        if dual:
            addresses = draw(st.sampled_from((addresses, [f"fd00::{number}"], [*addresses, f"fd00::{number}"])))
        if kind == "host":
            made["spec"]["hostNetwork"] = True
            addresses = list(NODES[made["spec"]["nodeName"]][0][: 1 + dual])
        phase = "Succeeded" if kind == "finished" else "Running"
        rows = [{"ip": address} for address in addresses]
        made["status"] = {"phase": phase, "podIP": addresses[0], "podIPs": rows}
    return made


def as_template(pod: Object) -> Object:
    """A Deployment that would create the pod."""
    metadata = {"labels": pod["metadata"]["labels"]}
    spec = {"replicas": 1, "template": {"metadata": metadata, "spec": {**pod["spec"], "nodeName": ""}}}
    return obj("Deployment", pod["metadata"]["name"], spec, api="apps/v1", namespace=pod["metadata"]["namespace"])


def as_pod(template: Object) -> Object:
    """What stands for the Deployment in the reference, which knows pods alone."""
    inner = template["spec"]["template"]
    metadata = {**template["metadata"], **inner["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": inner["spec"]}


@st.composite
def clusters(
    draw: st.DrawFn, policies: str, *, dual: bool = False, unplaced: bool = False, most: int = 7
) -> list[Object]:
    """Namespaces, some of which are only named; nodes; pods; policies of the families given."""
    words = Words(NAMESPACES[: draw(st.sampled_from((2, 3, 5)))], V4_BLOCKS + V6_BLOCKS * dual)
    known = draw(st.sets(st.sampled_from(words.spaces), min_size=1))
    spaces = [
        namespace(name, **draw(labels_from({"team": ("red", "blue"), "env": ("prod",)}))) for name in sorted(known)
    ]
    nodes = [
        node(
            name,
            ("InternalIP", addresses[0]),
            *([("InternalIP", addresses[1])] if dual else []),
            ("ExternalIP", addresses[2]),
            ("Hostname", name),
            **labels,
        )
        for name, (addresses, labels) in NODES.items()
    ]
    count = draw(st.sampled_from(range(3, most + 1)))
    made = [draw(pods(number, words.spaces, dual=dual, unplaced=unplaced)) for number in range(1, count + 1)]
    return [*spaces, *nodes, *made, *draw(FAMILIES[policies](words))]


# -- NetworkPolicy -------------------------------------------------------------------------------------------------------


def peers(texts: tuple[str, ...]) -> st.SearchStrategy[Object]:
    return st.one_of(
        PODS.map(lambda pods: {"podSelector": pods}),
        SPACES.map(lambda spaces: {"namespaceSelector": spaces}),
        st.builds(lambda pods, spaces: {"podSelector": pods, "namespaceSelector": spaces}, PODS, SPACES),
        blocks(texts).map(lambda block: {"ipBlock": block}),
    )


PORTS = st.one_of(
    st.fixed_dictionaries({}, optional={"protocol": PROTOCOLS}),
    st.fixed_dictionaries({"port": st.sampled_from(PORT_NUMBERS)}, optional={"protocol": PROTOCOLS}),
    st.fixed_dictionaries({"port": st.sampled_from(PORT_NAMES)}, optional={"protocol": PROTOCOLS}),
    st.fixed_dictionaries({"port": st.sampled_from((53, 8000)), "endPort": st.sampled_from((8000, 9000))}),
)


def rules(texts: tuple[str, ...], word: str) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional={word: some(peers(texts)), "ports": some(PORTS)})


@st.composite
def network_policies(draw: st.DrawFn, words: Words, least: int = 3, most: int = 6) -> list[Object]:
    spec = st.fixed_dictionaries(
        {
            "podSelector": st.one_of(st.just({}), PODS),
            "ingress": several(rules(words.blocks, "from"), 0, 2),
            "egress": several(rules(words.blocks, "to"), 0, 2),
        },
        optional={"policyTypes": st.sampled_from(([INGRESS], [EGRESS], [INGRESS, EGRESS], [INGRESS, EGRESS], None))},
    )
    places = st.sampled_from(words.spaces)
    return [
        obj("NetworkPolicy", f"np{number}", spec, api="networking.k8s.io/v1", namespace=draw(places))
        for number, spec in enumerate(draw(several(spec, least, most)))
    ]


# -- AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy ---------------------------------------------------

ENDPOINTS = st.one_of(
    SPACES.map(lambda spaces: {"namespaces": spaces}),
    st.builds(lambda spaces, pods: {"pods": {"namespaceSelector": spaces, "podSelector": pods}}, SPACES, PODS),
)
SUBJECTS: st.SearchStrategy[Object] = st.one_of(st.just({"namespaces": {}}), ENDPOINTS)
#: What no version that is read knows: fails closed (A-09, C-09).
UNKNOWN_PEER: st.SearchStrategy[Object] = st.just({"future": {}})
ADMIN_PORTS = st.one_of(
    st.builds(
        lambda protocol, port: {"portNumber": {"protocol": protocol, "port": port}},
        PROTOCOLS,
        st.sampled_from(PORT_NUMBERS),
    ),
    PROTOCOLS.map(lambda protocol: {"portRange": {"protocol": protocol, "start": 60, "end": 9000}}),
)
CLUSTER_PORTS = st.one_of(
    st.builds(
        lambda protocol, port: {protocol.lower(): {"destinationPort": {"number": port}}},
        PROTOCOLS,
        st.sampled_from(PORT_NUMBERS),
    ),
    PROTOCOLS.map(lambda protocol: {protocol.lower(): {"destinationPort": {"range": {"start": 60, "end": 9000}}}}),
)


@st.composite
def admin_rules(
    draw: st.DrawFn, texts: tuple[str, ...], word: str, *, cluster: bool, actions: tuple[str, ...]
) -> Object:
    """Named ports stand beside peers that are pods alone (C-05)."""
    names = draw(st.booleans())
    far = (
        []
        if word == "from" or names
        else [
            some(st.sampled_from(texts), 2, 1).map(lambda found: {"networks": found}),
            selectors({"zone": ("east", "west")}).map(lambda found: {"nodes": found}),
        ]
    )
    rule = {
        "action": draw(st.sampled_from(actions)),
        word: draw(some(st.one_of(ENDPOINTS, ENDPOINTS, UNKNOWN_PEER, *far), 2, 1)),
    }
    field, ports, named = (
        ("protocols", CLUSTER_PORTS, "destinationNamedPort") if cluster else ("ports", ADMIN_PORTS, "namedPort")
    )
    if names:
        ports = st.one_of(ports, st.sampled_from(PORT_NAMES).map(lambda name: {named: name}))
    chosen = draw(some(ports, 2))
    return {**rule, **({field: chosen} if chosen else {})}


@st.composite
def admin_specs(draw: st.DrawFn, texts: tuple[str, ...], *, cluster: bool, actions: tuple[str, ...]) -> Object:
    spec: Object = {"subject": draw(SUBJECTS)}
    for field, word in (("ingress", "from"), ("egress", "to")):
        found = draw(several(admin_rules(texts, word, cluster=cluster, actions=actions), 0, 3))
        if found:
            spec[field] = found
    return spec


@st.composite
def admin_policies(draw: st.DrawFn, words: Words) -> list[Object]:
    api, texts = "policy.networking.k8s.io/v1alpha1", words.blocks
    made = draw(network_policies(words, 1, 3))
    for number in range(draw(st.sampled_from((2, 3, 4)))):
        spec = draw(admin_specs(texts, cluster=False, actions=("Allow", "Deny", "Pass")))
        # Names run against the priorities, so that only these decide.
        made.append(obj("AdminNetworkPolicy", f"anp{9 - number}", {"priority": number, **spec}, api=api))
    if draw(st.booleans()):
        spec = draw(admin_specs(texts, cluster=False, actions=("Allow", "Deny")))
        made.append(obj("BaselineAdminNetworkPolicy", "default", spec, api=api))
    return made


@st.composite
def cluster_policies(draw: st.DrawFn, words: Words) -> list[Object]:
    made = draw(network_policies(words, 1, 3))
    for number in range(draw(st.sampled_from((2, 4, 6)))):
        spec = draw(admin_specs(words.blocks, cluster=True, actions=("Accept", "Deny", "Pass")))
        placed = {"tier": draw(st.sampled_from(("Admin", "Baseline"))), "priority": number, **spec}
        made.append(obj("ClusterNetworkPolicy", f"cnp{9 - number}", placed, api="policy.networking.k8s.io/v1alpha2"))
    return made


# -- Calico --------------------------------------------------------------------------------------------------------------

SELECTOR_TEXTS = st.sampled_from((
    "all()", "app == 'web'", "app != 'web'", "has(tier)", "!has(tier)", "app in {'web', 'db'}", "app not in {'web', 'api'}",
    "app == 'db' && tier == 'be'", "app == 'db' || tier == 'fe'", "!(app == 'api' || has(tier))", "app contains 'b'",
    "app starts with 'a'", "projectcalico.org/namespace == 'ns-a'", "pcns.team == 'red'", "set == 'one'", "has(set)",
    "projectcalico.org/orchestrator == 'k8s'", "pcsa.projectcalico.org/name == 'robot'",
))  # fmt: skip
SPACE_TEXTS = st.sampled_from((
    "all()", "team == 'red'", "has(env)", "!has(env)", "projectcalico.org/name in {'ns-a', 'ns-b'}", "team != 'red'",
))  # fmt: skip
ACCOUNT_TEXTS = st.sampled_from(("all()", "projectcalico.org/name == 'robot'", "!has(role)", "role == 'bot'"))
CALICO_PORTS = some(st.one_of(st.sampled_from(PORT_NUMBERS), st.sampled_from(("60:9000", *PORT_NAMES))), 2, 1)


@st.composite
def entities(draw: st.DrawFn, texts: tuple[str, ...], *, ports: bool) -> Object:
    """One end of a rule; nets of one family."""
    nets = some(st.sampled_from(texts), 2, 1)
    fields = {
        "selector": SELECTOR_TEXTS,
        "notSelector": SELECTOR_TEXTS,
        "namespaceSelector": st.one_of(SPACE_TEXTS, st.just("global()")),
        "nets": nets,
        "notNets": nets,
        "serviceAccounts": st.one_of(st.just({"names": ["robot"]}), ACCOUNT_TEXTS.map(lambda text: {"selector": text})),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(fields)), max_size=2))
    entity = {name: draw(fields[name]) for name in sorted(chosen)}
    if ports:
        kept = draw(st.sampled_from(((), ("ports",), ("ports",), ("notPorts",), ("ports", "notPorts"))))
        # Calico subtracts numbers from numbers, names from names (CA-11); both together are `limits`.
        entity |= {
            field: draw(some(st.sampled_from(PORT_NUMBERS), 2, 1) if len(kept) > 1 else CALICO_PORTS) for field in kept
        }
    return entity


@st.composite
def calico_rules(draw: st.DrawFn, texts: tuple[str, ...]) -> Object:
    version = draw(st.sampled_from((None, None, 4, 6))) if len(texts) > len(V4_BLOCKS) else None
    family = draw(st.sampled_from((4, 6))) if version is None and len(texts) > len(V4_BLOCKS) else version or 4
    texts = tuple(text for text in texts if ip_network(text).version == family)
    protocol = draw(st.sampled_from((None, "TCP", "UDP", 6, 132)))
    rule: Object = {
        "action": draw(st.sampled_from(("Allow", "Allow", "Deny", "Pass", "Log"))),
        "source": draw(entities(texts, ports=False)),
        "destination": draw(entities(texts, ports=protocol is not None)),
    }
    if protocol is not None:
        rule["protocol"] = protocol
    elif draw(st.booleans()):
        rule["notProtocol"] = draw(PROTOCOLS)
    return {**rule, **({} if version is None else {"ipVersion": version})}


@st.composite
def calico_policies(draw: st.DrawFn, words: Words) -> list[Object]:
    """Two tiers beside the default one, before and behind it."""
    texts = words.blocks
    made = draw(network_policies(words, 1, 3))
    made += [
        calico("Tier", "front", {"order": draw(st.sampled_from((5, 2_000))), "defaultAction": draw(st.sampled_from(("Deny", "Pass")))}),
        calico("Tier", "back", {"defaultAction": draw(st.sampled_from(("Deny", "Pass")))}),
        calico("GlobalNetworkSet", "gset", {"nets": draw(some(st.sampled_from(texts)))}, labels={"set": "one"}),
        calico("NetworkSet", "set", {"nets": draw(some(st.sampled_from(texts)))}, labels={"set": "two", "app": "web"}, namespace="ns-a"),
        obj("ServiceAccount", "robot", namespace="ns-b", labels={"role": "bot"}),
    ]  # fmt: skip
    rows = several(calico_rules(texts), 0, 3)
    for number in range(draw(st.sampled_from((2, 3, 5)))):
        spec = {
            # No two alike, and none that is Kubernetes' own 1000.
            "order": draw(st.sampled_from((number, 1_001 + number, None))),
            "tier": draw(st.sampled_from(("front", "default", "default", "back"))),
            "selector": draw(st.one_of(st.just(""), SELECTOR_TEXTS)),
            "ingress": draw(rows),
            "egress": draw(rows),
        }
        spec |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "types": st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"])),
                    "serviceAccountSelector": ACCOUNT_TEXTS,
                },
            )
        )
        name = f"{spec['tier']}.c{number}"
        if draw(st.booleans()):
            made.append(calico("NetworkPolicy", name, spec, namespace=draw(st.sampled_from(words.spaces))))
        else:
            near = draw(maybe(SPACE_TEXTS))
            made.append(calico("GlobalNetworkPolicy", name, {**spec, **({"namespaceSelector": near} if near else {})}))
    return made


def no_policies(words: Words) -> st.SearchStrategy[list[Object]]:
    return st.just([])


FAMILIES: dict[str, Callable[[Words], st.SearchStrategy[list[Object]]]] = {
    "network": network_policies,
    "admin": admin_policies,
    "cluster": cluster_policies,
    "calico": calico_policies,
    "none": no_policies,
}
ANY = st.sampled_from(("network", "admin", "cluster", "calico"))
#: One family of policies, one address family or two.
WORLDS = st.tuples(ANY, st.booleans()).flatmap(lambda kind: clusters(kind[0], dual=kind[1]))
BARE_WORLDS = st.tuples(ANY, st.booleans()).flatmap(lambda kind: clusters(kind[0], dual=kind[1], unplaced=True, most=5))

TWICE = st.booleans()
#: From where sets are kept as bits (one in so many), and rows of a table that one step takes.
CONSTANTS = st.tuples(st.sampled_from((1, 3, 1_000_000)), st.sampled_from((1, 10, 4_000_000)))


@contextmanager
def configured(dense: int, chunk: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masking, "_DENSE", dense)
        patch.setattr(joining, "_CHUNK", chunk)
        yield


# -- asking both ---------------------------------------------------------------------------------------------------------


def load(objects: list[Object]) -> gs.World:
    """Strict: a policy that would be refused is a mistake of this file."""
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects}, strict=True)


@dataclass(frozen=True)
class Place:
    """One end at one address; None where it has none. ``name`` is what both sides call it."""

    name: str
    address: Address | None

    @property
    def version(self) -> int:
        return self.address.version if self.address else 0


def places(objects: list[Object]) -> list[Place]:
    """Every pod at every address, both nodes and some addresses outside."""
    dual = any(":" in text for text in texts_in(objects))
    found: list[Place] = []
    for given_pod in reference.of_kind(objects, "", "Pod"):
        if not reference.is_finished(given_pod):
            addresses = reference.pod_addresses(objects, given_pod)
            found += [Place(name_of(given_pod), address) for address in addresses or (None,)]
    nodes = [
        str(address) for found in reference.of_kind(objects, "", "Node") for address in reference.node_addresses(found)
    ]
    return found + [Place(text, ip_address(text)) for text in (*nodes, *OUTSIDE) if dual or ":" not in text]


def name_of(found: Object) -> str:
    return f"{reference.namespace_of(found)}/{reference.name_of(found)}"


def texts_in(found: Any) -> Iterator[str]:
    """Every string of an object, however deep."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        yield from texts_in(list(found.values()))
    elif isinstance(found, list):
        for part in found:
            yield from texts_in(part)


def point_of(flows: Flows, place: Place) -> Point:
    """The one class of an end at its address (N-20)."""
    universe = flows.universe
    address = None if place.address is None else parse_address(str(place.address))
    found = {
        point.number: point
        for point in parse_end(place.name, flows).points
        if universe.families_of[point.number] in (0, place.version)
        and (address is None or point.number >= universe.outside or universe.may_hold(point.number, address))
    }
    [point] = found.values()
    return point


def sides(
    objects: list[Object], source: Place, destination: Place, probe: tuple[str, int], *, pods: bool = True
) -> tuple[bool, bool]:
    """(egress, ingress) as the reference has it, without the exceptions of N-15 and N-16."""
    ends = [
        reference.end_of(objects, place.name, str(place.address) if place.address and "/" in place.name else "")
        for place in (source, destination)
    ]
    assert ends[0]
    assert ends[1]
    egress, ingress = (
        reference.allows(Packet(objects, ends[0], ends[1], *probe, direction, pods)) for direction in (EGRESS, INGRESS)
    )
    return egress, ingress


def pairs(objects: list[Object]) -> Iterator[tuple[Place, Place]]:
    """Of one address family, one of them a pod or node."""
    found = places(objects)
    for source, destination in product(found, found):
        outside = source.name in OUTSIDE and destination.name in OUTSIDE
        if not outside and (source.version == destination.version or 0 in (source.version, destination.version)):
            yield source, destination


def disagreements(objects: list[Object], flows: Flows, *, pods: bool = True) -> list[Any]:
    """Every side of every pair for which the compiled permissions differ from the reference."""
    [reading] = flows.readings
    found = []
    for source, destination in pairs(objects):
        one, other = point_of(flows, source), point_of(flows, destination)
        outward = flows.one_side(Direction.EGRESS, one.number, other.number, reading)
        inward = flows.one_side(Direction.INGRESS, other.number, one.number, reading)
        version = source.version or destination.version
        for probe in PROBES:
            bit = flows.universe.traffic.bit(*probe, version if flows.universe.families else 0)
            mine = bool(outward & bit), bool(inward & bit)
            theirs = sides(objects, source, destination, probe, pods=pods)
            if mine != theirs:
                found.append((source, destination, probe, mine, theirs))
    return found


# -- the engine and the reference ----------------------------------------------------------------------------------------


@examples(8, given(TWICE.flatmap(lambda dual: clusters("network", dual=dual))))
def test_network_policies_are_the_reference(objects: list[Object]) -> None:
    """N-01 to N-14, N-20: each side of every pair."""
    assert disagreements(objects, load(objects).flows) == []


@examples(8, given(TWICE.flatmap(lambda dual: clusters("admin", dual=dual))))
def test_admin_policies_are_the_reference(objects: list[Object]) -> None:
    """A-01 to A-10."""
    assert disagreements(objects, load(objects).flows) == []


@examples(8, given(TWICE.flatmap(lambda dual: clusters("cluster", dual=dual))))
def test_cluster_policies_are_the_reference(objects: list[Object]) -> None:
    """C-01 to C-10."""
    assert disagreements(objects, load(objects).flows) == []


@examples(8, given(TWICE.flatmap(lambda dual: clusters("calico", dual=dual))))
def test_calico_policies_are_the_reference(objects: list[Object]) -> None:
    """CA-01 to CA-12, NetworkPolicy of Kubernetes among them (CA-05)."""
    assert disagreements(objects, load(objects).flows) == []


@examples(6, given(TWICE.flatmap(lambda dual: clusters("network", dual=dual))))
def test_blocks_that_match_no_pods(objects: list[Object]) -> None:
    """S-01."""
    flows = compile_flows(load(objects).cluster, Profile(name="of this test", blocks_match_pods=False))
    assert disagreements(objects, flows, pods=False) == []


@examples(8, given(WORLDS, CONSTANTS))
def test_small_and_large_sets_give_the_same(objects: list[Object], constants: tuple[int, int]) -> None:
    """Whether sets are kept as bits and how tables are cut is nobody's business."""
    with configured(*constants):
        assert disagreements(objects, load(objects).flows) == []


@examples(10, given(WORLDS, st.randoms(use_true_random=False)))
def test_can_reach_and_its_traces_are_the_reference(objects: list[Object], random: Any) -> None:
    """The verdict, N-15 and N-16 among it, and each side as the trace explains it."""
    world = load(objects)
    # Asked by name, a host-network pod is meant at every address.
    known = [place for place in places(objects) if place.name.count("/") == 0 or not is_host(objects, place)]
    for source, destination in random.sample(sorted(product(known, known), key=str), min(60, len(known) ** 2)):
        outside = source.name in OUTSIDE and destination.name in OUTSIDE
        if outside or source.version != destination.version:
            continue
        protocol, port = random.choice(PROBES)
        decision = gs.can_reach(world, str(source.address), str(destination.address), protocol=protocol, port=port)
        chosen = [str(place.address) if "/" in place.name else "" for place in (source, destination)]
        verdict = reference.can_connect(objects, source.name, destination.name, protocol, port, *chosen)
        assert decision.verdict == ("allow" if verdict.allowed else "no"), (source, destination, protocol, port)
        if decision.traces:
            sides_of = {found.direction: found.verdict == "allow" for found in decision.traces}
            assert (sides_of[Direction.EGRESS], sides_of[Direction.INGRESS]) == (verdict.egress, verdict.ingress)


def is_host(objects: list[Object], place: Place) -> bool:
    ends = reference.end_of(objects, place.name, str(place.address))
    return ends is not None and ends.pod is None


@examples(5, given(WORLDS))
def test_a_finished_pod_is_no_end(objects: list[Object]) -> None:
    """N-18a."""
    finished = [name_of(found) for found in reference.of_kind(objects, "", "Pod") if reference.is_finished(found)]
    assume(finished)
    world = load(objects)
    for name in finished:
        assert gs.can_reach(world, name, "8.8.8.8", port=80).verdict == "no"
        assert gs.can_reach(world, "8.8.8.8", name, port=80).verdict == "no"


# -- worlds that these properties once found, in their shortest form ---------------------------------------------------

PAIR = [pod("ns-a/web", "10.0.0.1", {"app": "web"}), pod("ns-a/db", "10.0.0.2", {"app": "db"})]
BARE_PAIR = [pod("ns-a/web"), pod("ns-a/db")]


def asked(objects: list[Object], port: int = 80) -> tuple[str, ...]:
    """The verdict from `web` to `db`, and what the trace of either side says."""
    decision = gs.can_reach(load(objects), "ns-a/web", "ns-a/db", port=port)
    return (decision.verdict, *(found.verdict for found in decision.traces))


@pytest.mark.parametrize(("order", "verdict"), [(999, "no"), (1_001, "allow"), (None, "allow")])
def test_network_policies_stand_among_calicos(order: int | None, verdict: str) -> None:
    """CA-05: at order 1000 of the tier `default`."""
    denial = {"order": order, "types": [INGRESS], "ingress": [{"action": "Deny"}]}
    objects = [*PAIR, netpol("open", "ns-a", {}, ingress=[{}]), calico("GlobalNetworkPolicy", "default.closed", denial)]
    assert asked(objects)[0] == verdict


def test_a_denial_that_may_not_apply_leaves_the_rules_behind_it_open() -> None:
    """N-12d: neither end has an address, and each decides one rule."""
    egress = [
        {"action": "Deny", "source": {"nets": ["10.0.0.0/8"]}},
        {"action": "Allow", "destination": {"nets": ["203.0.113.0/24"]}},
    ]
    objects = [*BARE_PAIR, calico("GlobalNetworkPolicy", "default.doubt", {"types": [EGRESS], "egress": egress})]
    assert asked(objects) == ("unknown", "unknown", "allow")


@pytest.mark.parametrize(
    ("actions", "verdicts"),
    [
        (("Allow", "Allow"), ("allow", "allow", "allow")),
        (("Allow", "Pass"), ("allow", "allow", "allow")),
        (("Pass", "Allow"), ("allow", "allow", "allow")),
        (("Pass",), ("allow", "allow", "allow")),
        (("Deny", "Deny"), ("no", "deny", "allow")),
        (("Pass", "Deny"), ("unknown", "unknown", "allow")),
        (("Allow", "Deny"), ("unknown", "unknown", "allow")),
        (("Deny",), ("unknown", "unknown", "allow")),
    ],
)
def test_a_doubt_that_changes_nothing_is_none(actions: tuple[str, ...], verdicts: tuple[str, ...]) -> None:
    """The first rule may match, the second does: the answer is certain where both come to the same."""
    peers_of: tuple[Object, ...] = ({"networks": ["10.0.0.0/8"]}, {"namespaces": {}})
    egress = [{"action": action, "to": [peer]} for action, peer in zip(actions, peers_of, strict=False)]
    assert asked([*BARE_PAIR, admin_policy("doubt", 1, {"namespaces": {}}, egress=egress)]) == verdicts


def test_a_finished_pod_alone_in_its_namespace_is_known() -> None:
    """N-18a: nothing else of the input names the namespace."""
    done = pod("ns-b/job", "10.0.0.9")
    done["status"]["phase"] = "Succeeded"
    decision = gs.can_reach(load([*PAIR, netpol("open", "ns-a", {}), done]), "ns-b/job", "ns-a/db", port=80)
    assert (decision.verdict, "finished" in decision.reason) == ("no", True)


# -- what the input leaves open ------------------------------------------------------------------------------------------


def candidates(objects: list[Object]) -> list[Address]:
    """One address for each part of the address space that the blocks of the input tell apart."""
    networks = sorted({text for text in texts_in(objects) if "/" in text and is_network(text)})
    found: dict[tuple[int, tuple[bool, ...]], Address] = {}
    for network in map(ip_network, networks):
        bounds = (int(network[0]) - 1, int(network[0]), int(network[-1]), int(network[-1]) + 1)
        for bound in bounds:
            if 0 <= bound < 1 << network.max_prefixlen:
                address = ip_address(bound) if network.version == 4 else IPv6Address(bound)
                found.setdefault((address.version, tuple(address in ip_network(text) for text in networks)), address)
    for text in OUTSIDE:
        address = ip_address(text)
        found.setdefault((address.version, tuple(address in ip_network(net) for net in networks)), address)
    return list(found.values())


def is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def verdicts(
    objects: list[Object], source: Place, destination: Place, probe: tuple[str, int], version: int
) -> set[tuple[bool, bool]]:
    """What the reference says of each side, for every address that the two may have."""
    found = set()
    at = [address for address in candidates(objects) if address.version == version]
    for one in [source.address] if source.address else at:
        for other in [destination.address] if destination.address else at:
            found.add(sides(objects, Place(source.name, one), Place(destination.name, other), probe))
    return found


def open_pairs(objects: list[Object]) -> Iterator[tuple[Place, Place, int]]:
    """Pairs of which one has no address, with each family that they may speak; pods and themselves apart."""
    dual = any(":" in text for text in texts_in(objects))
    for source, destination in pairs(objects):
        if 0 in (source.version, destination.version) and source != destination:
            for version in (4, 6) if dual else (4,):
                if {source.version, destination.version} <= {0, version}:
                    yield source, destination, version


def with_pods(objects: list[Object]) -> list[Object]:
    return [as_pod(found) if found["kind"] == "Deployment" else found for found in objects]


@examples(8, given(BARE_WORLDS, st.sampled_from(PROBES)))
def test_certain_answers_hold_for_every_address(objects: list[Object], probe: tuple[str, int]) -> None:
    """N-12d: neither `allow` nor `no` where an address of the pod would change it; the same for what traces say."""
    flows, given_pods = load(objects).flows, with_pods(objects)
    for source, destination, version in open_pairs(given_pods):
        one, other = point_of(flows, source), point_of(flows, destination)
        amount = flows.between(one.number, other.number)
        bit = flows.universe.traffic.bit(*probe, version)
        expected = verdicts(given_pods, source, destination, probe, version)
        allowed = {egress and ingress for egress, ingress in expected}
        assert allowed == {True} or not amount.certain & bit, (source, destination)
        assert allowed == {False} or amount.possible & bit, (source, destination)
        outward = trace(flows, Direction.EGRESS, one, other, *probe).verdict
        inward = trace(flows, Direction.INGRESS, other, one, *probe).verdict
        assert {egress for egress, _ in expected} == {outward == "allow"} or outward == "unknown", (source, destination)
        assert {ingress for _, ingress in expected} == {inward == "allow"} or inward == "unknown", (source, destination)


@examples(12, given(st.one_of(WORLDS, BARE_WORLDS), st.sampled_from(PROBES)))
def test_a_trace_says_what_the_permissions_say(objects: list[Object], probe: tuple[str, int]) -> None:
    """Each side of every pair is allowed in every reading, in none, or unknown: to explain is not to judge anew."""
    flows = load(objects).flows
    for source, destination in pairs(with_pods(objects)):
        one, other = point_of(flows, source), point_of(flows, destination)
        bit = flows.universe.traffic.bit(*probe, source.version or destination.version or 4)
        for direction, end, far in ((Direction.EGRESS, one, other), (Direction.INGRESS, other, one)):
            allowed = {
                bool(flows.one_side(direction, end.number, far.number, reading) & bit) for reading in flows.readings
            }
            expected = "unknown" if len(allowed) == 2 else "allow" if True in allowed else "deny"
            assert trace(flows, direction, end, far, *probe).verdict == expected, (source, destination, direction)


#: Two blocks that share nothing and leave most out: every address is inside none or one.
APART = st.builds(
    lambda objects, policies: [*objects, *policies],
    clusters("none", unplaced=True, most=5),
    network_policies(Words(NAMESPACES[:3], ("203.0.113.0/24", "10.0.0.0/30"))),
)


@examples(8, given(APART, st.sampled_from(PROBES)))
def test_unknown_is_what_the_address_decides(objects: list[Object], probe: tuple[str, int]) -> None:
    """N-12d: where blocks do not add up to everything, an answer is unknown only if addresses differ in it."""
    flows, given_pods = load(objects).flows, with_pods(objects)
    bit = flows.universe.traffic.bit(*probe)
    for source, destination, version in open_pairs(given_pods):
        amount = flows.between(point_of(flows, source).number, point_of(flows, destination).number)
        expected = {all(found) for found in verdicts(given_pods, source, destination, probe, version)}
        assert {bool(amount.certain & bit), bool(amount.possible & bit)} == expected, (source, destination)


@st.composite
def tied(draw: st.DrawFn, most: int = 3) -> list[list[Object]]:
    """The same cluster several times: policies of one priority, named in every order."""
    objects = draw(clusters("none"))
    count = draw(st.integers(2, most))
    specs = [draw(admin_specs(V4_BLOCKS, cluster=True, actions=("Accept", "Deny", "Pass"))) for _ in range(count)]
    rest = draw(network_policies(Words(NAMESPACES[:3], V4_BLOCKS), 1, 2))

    def named(names: tuple[str, ...]) -> list[Object]:
        api = "policy.networking.k8s.io/v1alpha2"
        return [
            obj("ClusterNetworkPolicy", name, {"tier": "Admin", "priority": 7, **spec}, api=api)
            for name, spec in zip(names, specs, strict=True)
        ]

    return [[*objects, *rest, *named(names)] for names in permutations(("one", "two", "three")[:count])]


@examples(10, given(tied(), st.sampled_from(PROBES)))
def test_equal_priorities_are_read_in_every_order(orders: list[list[Object]], probe: tuple[str, int]) -> None:
    """A-04: on each side, what is certain holds in every order, and what is possible in some."""
    flows = load(orders[0]).flows
    bit = flows.universe.traffic.bit(*probe)
    for source, destination in pairs(orders[0]):
        ends = point_of(flows, source).number, point_of(flows, destination).number
        verdicts_of = [sides(objects, source, destination, probe) for objects in orders]
        for at, direction in enumerate((Direction.EGRESS, Direction.INGRESS)):
            subject, peer = ends if direction is Direction.EGRESS else ends[::-1]
            found = [bool(flows.one_side(direction, subject, peer, reading) & bit) for reading in flows.readings]
            held = [verdict[at] for verdict in verdicts_of]
            assert (found[0], found[-1]) == (all(held), any(held)), (source, destination, direction)


# -- the views of one world ----------------------------------------------------------------------------------------------

Traffic = dict[tuple[int, int], int]
ALL_WORLDS = st.one_of(WORLDS, BARE_WORLDS, tied().map(lambda orders: orders[0]))


def expanded(flows: Flows, reading: Reading) -> Traffic:
    """The bicliques, pair by pair."""
    found: Traffic = {}
    bicliques = flows.bicliques(reading)
    for number in range(len(bicliques)):
        sources, destinations, traffic = bicliques[number]
        for pair in product(sources.tolist(), destinations.tolist()):
            found[pair] = found.get(pair, 0) | traffic
    return found


def both_sides(flows: Flows, reading: Reading) -> Traffic:
    classes = range(flows.universe.size)
    found = {
        (source, destination): flows.one_side(Direction.EGRESS, source, destination, reading)
        & flows.one_side(Direction.INGRESS, destination, source, reading)
        for source, destination in product(classes, classes)
    }
    return {pair: traffic for pair, traffic in found.items() if traffic}


@examples(15, given(ALL_WORLDS, CONSTANTS))
def test_bicliques_are_what_both_sides_allow(objects: list[Object], constants: tuple[int, int]) -> None:
    """In every reading."""
    with configured(*constants):
        flows = load(objects).flows
        for reading in flows.readings:
            assert expanded(flows, reading) == both_sides(flows, reading)


@examples(15, given(ALL_WORLDS, CONSTANTS))
def test_what_a_class_reaches_is_what_reaches_the_others(objects: list[Object], constants: tuple[int, int]) -> None:
    with configured(*constants):
        flows = load(objects).flows
        classes = range(flows.universe.size)
        pairwise = {pair: flows.between(*pair) for pair in product(classes, classes)}
        expected = {pair: amount for pair, amount in pairwise.items() if amount != NOTHING}
        forward = {(one, other): amount for one in classes for other, amount in listed(flows.reached_from(one))}
        backward = {(other, one): amount for one in classes for other, amount in listed(flows.reaching(one))}
        assert forward == expected == backward


def listed(groups: Iterable[tuple[Any, Amount]]) -> Iterator[tuple[int, Amount]]:
    """Each class once."""
    seen = set()
    for classes, amount in groups:
        for number in classes.tolist():
            assert number not in seen
            seen.add(number)
            yield number, amount


@examples(10, given(ALL_WORLDS))
def test_certain_is_part_of_possible(objects: list[Object]) -> None:
    flows = load(objects).flows
    classes = range(flows.universe.size)
    amounts = [flows.between(*pair) for pair in product(classes, classes)]
    assert all(amount.certain & ~amount.possible == 0 for amount in amounts)
    assert len(flows.readings) > 1 or all(amount.certain == amount.possible for amount in amounts)


# -- one world and another -----------------------------------------------------------------------------------------------


def answers(objects: list[Object], world: gs.World) -> dict[tuple[str, str], Amount]:
    """The traffic of every pair, by the probes that it holds."""
    flows = world.flows
    numbers = {place: point_of(flows, place).number for place in places(with_pods(objects))}
    found = {}
    for source, destination in pairs(with_pods(objects)):
        amount = flows.between(numbers[source], numbers[destination])
        version = (source.version or destination.version) if flows.universe.families else 0
        found[f"{source}", f"{destination}"] = Amount(
            *(probed(flows, part, version) for part in (amount.certain, amount.possible))
        )
    return found


def probed(flows: Flows, traffic: int, version: int) -> int:
    """One bit for each probe: atoms differ between worlds."""
    return sum(
        1 << index for index, probe in enumerate(PROBES) if traffic & flows.universe.traffic.bit(*probe, version)
    )


@examples(10, given(ALL_WORLDS, st.randoms(use_true_random=False)))
def test_order_of_objects_means_nothing(objects: list[Object], random: Any) -> None:
    shuffled = random.sample(objects, len(objects))
    assert answers(objects, load(shuffled)) == answers(objects, load(objects))


@examples(10, given(ALL_WORLDS))
def test_the_name_of_a_namespace_is_a_name(objects: list[Object]) -> None:
    """Also in selectors, which find it by label (N-08a); the new name comes last instead of first."""

    def renamed(text: str) -> str:
        return text.replace("ns-a", "zz-renamed")

    other = json.loads(renamed(json.dumps(objects)))
    before = answers(objects, load(objects))
    assert {(renamed(one), renamed(two)): amount for (one, two), amount in before.items()} == answers(
        other, load(other)
    )


@examples(10, given(TWICE.flatmap(lambda dual: clusters("network", dual=dual, unplaced=True))))
def test_one_policy_for_each_rule_is_the_same(objects: list[Object]) -> None:
    """N-01a."""
    divided = [part for found in objects for part in parts_of(found)]
    assert answers(objects, load(divided)) == answers(objects, load(objects))


def parts_of(found: Object) -> Iterator[Object]:
    if found["kind"] != "NetworkPolicy":
        yield found
        return
    spec = found["spec"]
    types = reference.policy_types(spec)
    fields = [(kind, rule) for kind in types for rule in spec.get(kind.lower()) or ()]
    # One without rules isolates as before.
    for index, (kind, rule) in enumerate([*fields, ("", {})]):
        name = f"{found['metadata']['name']}-{index}"
        rules_of = {kind.lower(): [rule]} if kind else {}
        made = {"podSelector": spec["podSelector"], "policyTypes": types, **rules_of}
        yield {**found, "metadata": {**found["metadata"], "name": name}, "spec": made}


@examples(10, given(TWICE.flatmap(lambda dual: clusters("network", dual=dual, unplaced=True)), st.data()))
def test_one_more_rule_takes_nothing_away(objects: list[Object], data: st.DataObject) -> None:
    """N-01a: of a policy that isolated its pods before."""
    place = data.draw(st.sampled_from([i for i, found in enumerate(objects) if found["kind"] == "NetworkPolicy"]))
    spec = objects[place]["spec"]
    types = reference.policy_types(spec)
    kind = data.draw(st.sampled_from(types))
    rule = data.draw(rules(V4_BLOCKS, reference.PEERS[kind]))
    more = {**spec, "policyTypes": types, kind.lower(): [rule, *(spec.get(kind.lower()) or ())]}
    wider = [*objects[:place], {**objects[place], "spec": more}, *objects[place + 1 :]]
    before, after = answers(objects, load(objects)), answers(objects, load(wider))
    for pair, amount in before.items():
        assert amount.certain & ~after[pair].certain == 0, pair
        assert amount.possible & ~after[pair].possible == 0, pair


@examples(10, given(TWICE.flatmap(lambda dual: clusters("network", dual=dual)), st.data()))
def test_one_more_policy_adds_nothing_to_its_pods(objects: list[Object], data: st.DataObject) -> None:
    """N-01d: a default deny only takes away, and only from the pods that it selects."""
    kind = data.draw(st.sampled_from((INGRESS, EGRESS)))
    near = data.draw(st.sampled_from(NAMESPACES[:2]))
    denial = {"podSelector": {}, "policyTypes": [kind]}
    wider = [*objects, obj("NetworkPolicy", "denial", denial, api="networking.k8s.io/v1", namespace=near)]
    before, after = answers(objects, load(objects)), answers(objects, load(wider))
    for (source, destination), amount in before.items():
        assert after[source, destination].certain & ~amount.certain == 0
        selected = destination if kind == INGRESS else source
        assert f"'{near}/" in selected or after[source, destination] == amount


@examples(6, given(ALL_WORLDS))
def test_every_form_of_the_input_gives_the_same(objects: list[Object]) -> None:
    """A mapping, a List, one document for each object, and JSON."""
    expected = answers(objects, load(objects))
    wrapped = {"apiVersion": "v1", "kind": "List", "items": objects}
    texts = {
        "list.yaml": yaml.safe_dump(wrapped),
        "documents.yaml": yaml.safe_dump_all(objects),
        "list.json": json.dumps(wrapped),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            path = Path(folder) / name
            path.write_text(text)
            assert answers(objects, gs.load(path, strict=True)) == expected, name
