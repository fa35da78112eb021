"""Policies as they are read: the ordered form of each family, what is refused and where, Calico's selector language."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphsec.algebra.blocks import ALL_V4, AddressSet
from graphsec.algebra.calico_selectors import is_global, parse_selector
from graphsec.algebra.expressions import (
    EVERYTHING,
    NOTHING,
    AllOf,
    AnyOf,
    Expression,
    Field,
    LabelTest,
    Not,
    Operator,
    matches,
)
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.kinds import kinds
from graphsec.loading import load_cluster
from graphsec.model.policy import (
    ADMIN,
    ADMIN_POLICY,
    ANY_PORT,
    BASELINE,
    BASELINE_POLICY,
    DEFAULT,
    NAME_LABEL,
    Action,
    Addresses,
    Direction,
    Domains,
    Endpoints,
    LabelledAddresses,
    NamedPort,
    Nodes,
    Peer,
    Policy,
    Ports,
    Rule,
    Service,
    TierOrder,
)
from graphsec.model.policy_families import UNMODELLED

API = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "AdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
    "BaselineAdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}
CALICO = "projectcalico.org/v3"


def label(key: str, *values: str, field: Field = Field.OWN) -> LabelTest:
    return LabelTest(key, Operator.IN if values else Operator.EXISTS, values, field)


def selector(**labels: str) -> dict[str, Any]:
    return {"matchLabels": labels}


def given(kind: str, spec: Any, name: str = "p", api: str = "") -> dict[str, Any]:
    namespace = {"namespace": "ns"} if kind in {"NetworkPolicy", "NetworkSet"} else {}
    return {"apiVersion": api or API[kind], "kind": kind, "metadata": {"name": name, **namespace}, "spec": spec}


def body(obj: dict[str, Any]) -> Any:
    """What the cluster keeps of the one object."""
    cluster = load_cluster([obj])
    assert not cluster.diagnostics
    [loaded] = [loaded for found in cluster.objects.values() for loaded in found]
    return loaded.body


def read(kind: str, spec: Any, name: str = "p", api: str = "") -> Policy:
    found = body(given(kind, spec, name, api))
    assert isinstance(found, Policy)
    return found


def refusal(obj: dict[str, Any]) -> str:
    cluster = load_cluster([obj])
    [diagnostic] = cluster.diagnostics
    assert not any(cluster.objects.values())
    assert diagnostic.code == "GS-IN-024"
    return diagnostic.message


# -- NetworkPolicy ----------------------------------------------------------------------------------------------------


def ingress(rule: Any) -> Rule:
    """The one ingress rule, as read."""
    [found] = read("NetworkPolicy", {"ingress": [rule]}).ingress or ()
    return found


INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
ANY_RULE = Rule(action=Action.ALLOW, index=0)


@pytest.mark.parametrize(
    ("spec", "isolated", "inert"),
    [
        ({}, (True, False), ()),
        ({"ingress": []}, (True, False), ()),
        ({"egress": []}, (True, False), ()),
        ({"egress": [{}]}, (True, True), ()),
        ({"policyTypes": [], "egress": [{}]}, (True, True), ()),
        ({"policyTypes": None, "egress": None}, (True, False), ()),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, (True, False), (EGRESS,)),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, (False, True), (INGRESS,)),
        ({"policyTypes": ["Egress"]}, (False, True), ()),
        ({"policyTypes": ["Ingress", "Egress"]}, (True, True), ()),
        ({"policyTypes": ["Ingress", "Ingress"]}, (True, False), ()),
    ],
)
def test_policy_types(spec: Any, isolated: tuple[bool, bool], inert: tuple[Direction, ...]) -> None:
    """N-02."""
    found = read("NetworkPolicy", spec)
    assert (found.ingress is not None, found.egress is not None) == isolated
    assert found.inert == inert
    assert found.types_derived == (not spec.get("policyTypes"))


def test_policy_without_spec() -> None:
    """N-03a: the empty selector; N-04a: no rule is no traffic."""
    found = read("NetworkPolicy", None)
    assert found == Policy(
        selects=Endpoints(own=True), order=1_000, prefix="knp.default.", ingress=(), types_derived=True
    )
    assert (found.tier, found.order, found.ties) == (DEFAULT, 1_000, False)


def test_subject_and_written() -> None:
    spec = {"podSelector": selector(app="a"), "ingress": [{}, {}], "egress": [{}], "policyTypes": ["Ingress"]}
    found = read("NetworkPolicy", spec)
    assert found.selects == Endpoints(own=True, labels=label("app", "a"))
    assert found.written == (2, 1)
    assert [rule.index for rule in found.ingress or ()] == [0, 1]


@pytest.mark.parametrize("rule", [{}, None, {"from": [], "ports": []}, {"from": None, "ports": None}])
def test_empty_members(rule: Any) -> None:
    """N-04b, N-05a, N-05b."""
    assert ingress(rule) == ANY_RULE
    assert ingress(rule).ports is ANY_PORT


def test_other_direction_is_no_field() -> None:
    """`to` means nothing in an ingress rule."""
    assert ingress({"to": [{"podSelector": {}}]}) == ANY_RULE


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([{}], Ports(numbers=PortSet.of("TCP"))),
        ([None], Ports(numbers=PortSet.of("TCP"))),
        ([{"protocol": "UDP"}], Ports(numbers=PortSet.of("UDP"))),
        ([{"port": 80}], Ports(numbers=PortSet.of("TCP", 80))),
        ([{"port": 80, "endPort": 80}, {"port": 1, "endPort": 9}], Ports(numbers=PortSet.of("TCP", 80, (1, 9)))),
        ([{"protocol": "SCTP", "port": 65535}], Ports(numbers=PortSet.of("SCTP", 65535))),
        ([{"port": "http"}], Ports(numbers=NO_PORTS, named=(NamedPort(name="http", protocol="TCP"),))),
        (
            [{"port": "dns", "protocol": "UDP"}, {"port": 53}, {"port": "dns", "protocol": "UDP"}],
            Ports(numbers=PortSet.of("TCP", 53), named=(NamedPort(name="dns", protocol="UDP"),)),
        ),
    ],
)
def test_ports(ports: Any, expected: Ports) -> None:
    """N-05c, N-05d, N-09a, N-10, N-11a."""
    assert ingress({"ports": ports}).ports == expected


@pytest.mark.parametrize(
    ("peer", "term"),
    [
        ({"podSelector": {}}, Endpoints(own=True)),
        ({"podSelector": selector(app="a")}, Endpoints(own=True, labels=label("app", "a"))),
        ({"namespaceSelector": {}}, Endpoints()),
        (
            {"namespaceSelector": selector(team="a"), "podSelector": selector(app="a")},
            Endpoints(namespaces=label("team", "a", field=Field.NAMESPACE), labels=label("app", "a")),
        ),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}}, Addresses(blocks=AddressSet.cidr("10.0.0.0/8"))),
        ({"ipBlock": {"cidr": "010.000.0.7/8"}}, Addresses(blocks=AddressSet.cidr("10.0.0.0/8"))),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.0.0.0/32"]}},
            Addresses(
                blocks=AddressSet.cidr("10.0.0.0/8") - AddressSet.cidr("10.1.0.0/16") - AddressSet.cidr("10.0.0.0")
            ),
        ),
        (
            {"ipBlock": {"cidr": "fd00::/8", "except": ["fd00::1/128"]}},
            Addresses(blocks=AddressSet.cidr("fd00::/8") - AddressSet.cidr("fd00::1")),
        ),
    ],
)
def test_peers(peer: Any, term: Any) -> None:
    """N-06, N-12a, N-12b."""
    second = {"podSelector": selector(second="yes")}
    assert ingress({"from": [peer, second]}).peers == (
        Peer(terms=(term,), field="from[0]"),
        Peer(terms=(Endpoints(own=True, labels=label("second", "yes")),), field="from[1]"),
    )
    [rule] = read("NetworkPolicy", {"egress": [{"to": [peer]}]}).egress or ()
    assert rule.peers == (Peer(terms=(term,), field="to[0]"),)


def test_operators() -> None:
    """N-07."""
    operators = [("In", ["b", "a"]), ("NotIn", ["a"]), ("Exists", []), ("DoesNotExist", None)]
    expressions = [{"key": "k", "operator": operator, "values": values} for operator, values in operators]
    rule = ingress({"from": [{"podSelector": {"matchLabels": {"x": ""}, "matchExpressions": expressions}}]})
    expected = (label("x", ""), label("k", "a", "b"), Not(label("k", "a")), label("k"), Not(label("k")))
    assert rule.peers == (Peer(terms=(Endpoints(own=True, labels=AllOf(expected)),), field="from[0]"),)


def _port(**port: Any) -> dict[str, Any]:
    return {"ingress": [{"ports": [port]}]}


def _peer(**peer: Any) -> dict[str, Any]:
    return {"ingress": [{"from": [peer]}]}


def _block(**block: Any) -> dict[str, Any]:
    return _peer(ipBlock=block)


def _subject(**requirement: Any) -> dict[str, Any]:
    return {"podSelector": {"matchExpressions": [requirement]}}


PORT, PEER = "spec.ingress[0].ports[0]", "spec.ingress[0].from[0]"
EXPRESSION = "spec.podSelector.matchExpressions[0]"
PORT_NAME = "is no port name: at most 15 of a-z, 0-9 and -, with a letter"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (_port(protocol="ICMP"), f"{PORT}.protocol: `ICMP` is none of TCP, UDP and SCTP"),
        (_port(protocol="tcp"), f"{PORT}.protocol: `tcp` is none of TCP, UDP and SCTP"),
        (_port(port=0), f"{PORT}.port: `0` is no port from 1 to 65535"),
        (_port(port=65536), f"{PORT}.port: `65536` is no port from 1 to 65535"),
        (_port(port=80, endPort=79), f"{PORT}.endPort: `79` is less than port `80`"),
        (_port(port=80, endPort=65536), f"{PORT}.endPort: `65536` is no port from 1 to 65535"),
        (_port(port="http", endPort=90), f"{PORT}.endPort: needs a port with a number"),
        (_port(endPort=90), f"{PORT}.endPort: needs a port with a number"),
        *(
            (_port(port=name), f"{PORT}.port: `{name}` {PORT_NAME}")
            for name in ("", "80", "Http", "a--b", "-a", "a-", "a" * 16, "a_b")
        ),
        (_peer(), f"{PEER}: none of podSelector, namespaceSelector and ipBlock"),
        ({"ingress": [{"from": [None]}]}, f"{PEER}: none of podSelector, namespaceSelector and ipBlock"),
        (_peer(ipBlock={"cidr": "10.0.0.0/8"}, podSelector={}), f"{PEER}: ipBlock beside a selector"),
        (_peer(ipBlock={"cidr": "10.0.0.0/8"}, namespaceSelector={}), f"{PEER}: ipBlock beside a selector"),
        (_block(), f"{PEER}.ipBlock.cidr: missing"),
        *(
            (_block(cidr=text), f"{PEER}.ipBlock.cidr: `{text}` is no CIDR")
            for text in ("10.0.0.0", "10.0.0/8", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "a/8")
        ),
        (_block(cidr="10.0.0.0/8", **{"except": ["10.1.0.0"]}), f"{PEER}.ipBlock.except[0]: `10.1.0.0` is no CIDR"),
        *(
            (
                _block(cidr="10.0.0.0/8", **{"except": ["10.1.0.0/16", text]}),
                f"{PEER}.ipBlock.except[1]: `{text}` is not inside `10.0.0.0/8`",
            )
            for text in ("11.0.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "fd00::/64")
        ),
        (
            _subject(key="k", operator="in", values=["a"]),
            f"{EXPRESSION}.operator: `in` is none of In, NotIn, Exists and DoesNotExist",
        ),
        (_subject(key="k", operator="In"), f"{EXPRESSION}.values: In needs values"),
        (_subject(key="k", operator="NotIn", values=[]), f"{EXPRESSION}.values: NotIn needs values"),
        (_subject(key="k", operator="Exists", values=["a"]), f"{EXPRESSION}.values: Exists takes no values"),
        (_subject(key="", operator="Exists"), f"{EXPRESSION}.key: `` is no label key"),
        (_subject(key="k", operator="In", values=["a b"]), f"{EXPRESSION}.values: `a b` is no label value"),
        *(
            ({"podSelector": {"matchLabels": {key: "v"}}}, f"spec.podSelector.matchLabels: `{key}` is no label key")
            for key in ("a b", "/a", "A.example/a", "a/b/c", "-a", "a" * 64)
        ),
        *(
            ({"podSelector": selector(k=value)}, f"spec.podSelector.matchLabels[k]: `{value}` is no label value")
            for value in ("a b", "-a", "a" * 64)
        ),
        (_peer(namespaceSelector=selector(k="-")), f"{PEER}.namespaceSelector.matchLabels[k]: `-` is no label value"),
        ({"policyTypes": ["ingress"]}, "spec.policyTypes[0]: `ingress` is neither Ingress nor Egress"),
        ({"policyTypes": ["Ingress"] * 3}, "spec.policyTypes: more than two"),
        # Rules that policyTypes turns off are validated too.
        (
            {"policyTypes": ["Ingress"], "egress": [{"to": [{}]}]},
            "spec.egress[0].to[0]: none of podSelector, namespaceSelector and ipBlock",
        ),
    ],
)
def test_network_policy_refused(spec: Any, message: str) -> None:
    """N-02, N-06f, N-06g, N-07b, N-10, N-11b, N-12a."""
    assert refusal(given("NetworkPolicy", spec)) == message


@pytest.mark.parametrize("name", ["my_policy", "A", "a..b", "-a", "a" * 254])
def test_names(name: str) -> None:
    """R-12."""
    assert refusal(given("NetworkPolicy", {}, name)).startswith(f"metadata.name: `{name}` is no DNS subdomain")


@pytest.mark.parametrize("name", ["a.b-c.1", "0", "a" * 253])
def test_good_names(name: str) -> None:
    assert read("NetworkPolicy", {}, name).ingress == ()


INVALID = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: ns}
spec:
  ingress:
    - from:
        - podSelector: {}
    - {}
  egress:
    - {}
    - to:
        - podSelector: {}
        - podSelector: {}
          ipBlock: {cidr: 10.0.0.0/8}
    - {}
"""


@pytest.mark.parametrize(("form", "line"), [("yaml", 11), ("json", 21)])
def test_line_of_the_rule(tmp_path: Path, form: str, line: int) -> None:
    """The position counts ingress before egress."""
    text = INVALID if form == "yaml" else json.dumps(yaml.safe_load(INVALID), indent=1)
    path = tmp_path / f"policy.{form}"
    path.write_text(text)
    [diagnostic] = load_cluster([str(path)]).diagnostics
    assert diagnostic.message == "spec.egress[1].to[1]: ipBlock beside a selector"
    assert str(diagnostic.source) == f"{path}:{line}"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ingress": [{}, {"from": [{"podSelector": 5}]}]}, "spec.ingress[1].from[0].podSelector: expected object"),
        ({"egress": [{"ports": [{"port": [1]}]}]}, "spec.egress[0].ports[0].port: expected"),
        ({"egress": [7]}, "spec.egress[0]: expected object"),
        ({"egress": 7}, "spec.egress: expected array"),
    ],
)
def test_wrong_types(spec: Any, message: str) -> None:
    [diagnostic] = load_cluster([given("NetworkPolicy", spec)]).diagnostics
    assert (diagnostic.code, diagnostic.message[: len(message)]) == ("GS-IN-020", message)


def test_equal_rules_are_one() -> None:
    rule = {"from": [{"podSelector": selector(app="a")}], "ports": [{"port": 80}]}
    items = [given("NetworkPolicy", {"ingress": [rule, {}, rule]}, name) for name in ("a", "b")]
    first, second = load_cluster([{"apiVersion": "v1", "kind": "List", "items": items}]).of("NetworkPolicy")
    assert first.body.ingress[0] is second.body.ingress[0]
    assert first.body.ingress[0].peers is first.body.ingress[2].peers
    assert first.body.selects is second.body.selects


def test_extensions_group() -> None:
    cluster = load_cluster([given("NetworkPolicy", {}, api="extensions/v1beta1")])
    [loaded] = cluster.of("NetworkPolicy")
    assert loaded.body.ingress == ()
    assert [found.code for found in cluster.diagnostics] == ["GS-IN-011"]


# -- the admin API ----------------------------------------------------------------------------------------------------

ALL_NAMESPACES: dict[str, Any] = {"namespaces": {}}
SUBJECT = ALL_NAMESPACES


def admin(kind: str = "AdminNetworkPolicy", **spec: Any) -> dict[str, Any]:
    tier = {"tier": "Admin"} if kind == "ClusterNetworkPolicy" else {}
    name = "default" if kind == "BaselineAdminNetworkPolicy" else "p"
    return given(kind, {**tier, "priority": 7, "subject": SUBJECT, **spec}, name)


def rule(direction: str = "ingress", kind: str = "AdminNetworkPolicy", action: str = "Deny", **fields: Any) -> Any:
    """An object with one rule."""
    peers = {"from" if direction == "ingress" else "to": fields.pop("peers", [ALL_NAMESPACES])}
    return admin(kind, **{direction: [{"action": action, **peers, **fields}]})


def first(obj: dict[str, Any]) -> Rule:
    found: Policy = body(obj)
    [only] = (*(found.ingress or ()), *(found.egress or ()))
    return only


@pytest.mark.parametrize(
    ("obj", "tier", "order"),
    [
        (admin(), ADMIN_POLICY, 7),
        (admin("BaselineAdminNetworkPolicy"), BASELINE_POLICY, 0),
        (admin("ClusterNetworkPolicy"), ADMIN, 7),
        (admin("ClusterNetworkPolicy", tier="Baseline", priority=1000), BASELINE, 1000),
    ],
)
def test_tiers_and_priorities(obj: Any, tier: Any, order: int) -> None:
    """A-01 to A-04, C-01, C-03."""
    found = body(obj)
    assert found == Policy(selects=Endpoints(), tier=tier, order=order, ties=True)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ({"namespaces": selector(team="a")}, Endpoints(namespaces=label("team", "a", field=Field.NAMESPACE))),
        (
            {"pods": {"namespaceSelector": selector(team="a"), "podSelector": selector(app="b")}},
            Endpoints(namespaces=label("team", "a", field=Field.NAMESPACE), labels=label("app", "b")),
        ),
        ({"pods": {"podSelector": selector(app="b")}}, Endpoints(labels=label("app", "b"))),
    ],
)
def test_subjects(subject: Any, expected: Endpoints) -> None:
    """A-05."""
    assert body(admin(subject=subject)).selects == expected


@pytest.mark.parametrize(
    ("kind", "action", "expected"),
    [
        ("AdminNetworkPolicy", "Allow", Action.ALLOW),
        ("AdminNetworkPolicy", "Pass", Action.PASS),
        ("BaselineAdminNetworkPolicy", "Deny", Action.DENY),
        ("ClusterNetworkPolicy", "Accept", Action.ALLOW),
        ("ClusterNetworkPolicy", "Pass", Action.PASS),
    ],
)
def test_actions(kind: str, action: str, expected: Action) -> None:
    """A-01, A-02, C-02."""
    found = first(rule(kind=kind, action=action, name="r"))
    assert found == Rule(action=expected, index=0, name="r", peers=(Peer(terms=(Endpoints(),), field="from[0]"),))


@pytest.mark.parametrize(
    ("peer", "term"),
    [
        ({"namespaces": selector(a="b")}, Endpoints(namespaces=label("a", "b", field=Field.NAMESPACE))),
        ({"pods": {"namespaceSelector": {}, "podSelector": selector(a="b")}}, Endpoints(labels=label("a", "b"))),
        ({"nodes": selector(a="b")}, Nodes(labels=label("a", "b"))),
        ({"networks": ["0.0.0.0/0"]}, Addresses(blocks=ALL_V4)),
        (
            {"networks": ["10.0.0.0/8", "fd00::/8"]},
            Addresses(blocks=AddressSet.cidr("10.0.0.0/8") | AddressSet.cidr("fd00::/8")),
        ),
        ({"domainNames": ["*.x.io", "y.io."]}, Domains(names=("*.x.io", "y.io."))),
    ],
)
@pytest.mark.parametrize(("kind", "action"), [("AdminNetworkPolicy", "Allow"), ("ClusterNetworkPolicy", "Accept")])
def test_egress_peers(kind: str, action: str, peer: Any, term: Any) -> None:
    """A-07, A-08, C-08."""
    assert first(rule("egress", kind, action, peers=[peer])).peers == (Peer(terms=(term,), field="to[0]"),)


@pytest.mark.parametrize(
    ("kind", "field", "entries", "expected"),
    [
        ("AdminNetworkPolicy", "ports", None, ANY_PORT),
        ("AdminNetworkPolicy", "ports", [{"portNumber": {"port": 80}}], Ports(numbers=PortSet.of("TCP", 80))),
        (
            "AdminNetworkPolicy",
            "ports",
            [{"portNumber": {"protocol": "UDP", "port": 53}}, {"portRange": {"start": 1, "end": 9}}],
            Ports(numbers=PortSet.of("UDP", 53) | PortSet.of("TCP", (1, 9))),
        ),
        (
            "BaselineAdminNetworkPolicy",
            "ports",
            [{"namedPort": "http"}],
            Ports(numbers=NO_PORTS, named=(NamedPort(name="http"),)),
        ),
        (
            "ClusterNetworkPolicy",
            "protocols",
            [
                {"tcp": {"destinationPort": {"number": 80}}},
                {"udp": {"destinationPort": {"range": {"start": 1, "end": 2}}}},
                {"sctp": {"destinationPort": {"number": 9}}},
                {"destinationNamedPort": "http"},
            ],
            Ports(
                numbers=PortSet.of("TCP", 80) | PortSet.of("UDP", (1, 2)) | PortSet.of("SCTP", 9),
                named=(NamedPort(name="http"),),
            ),
        ),
    ],
)
def test_admin_ports(kind: str, field: str, entries: Any, expected: Ports) -> None:
    """A-06, C-04."""
    assert first(rule(kind=kind, **{field: entries})).ports == expected


UNREADABLE = [
    ("ingress", "AdminNetworkPolicy", {}, ": no field that is known"),
    ("ingress", "ClusterNetworkPolicy", {"services": {}}, ": no field that is known"),
    ("ingress", "AdminNetworkPolicy", {"networks": ["10.0.0.0/8"]}, ": no field that is known"),
    ("egress", "BaselineAdminNetworkPolicy", {"domainNames": ["x.io"]}, ": no field that is known"),
    (
        "ingress",
        "AdminNetworkPolicy",
        {"namespaces": {"sameLabels": ["a"]}},
        ".namespaces.sameLabels: a form before v0.1.7",
    ),
    (
        "ingress",
        "AdminNetworkPolicy",
        {"namespaces": {"notSameLabels": ["a"]}},
        ".namespaces.notSameLabels: a form before v0.1.7",
    ),
    (
        "egress",
        "AdminNetworkPolicy",
        {"namespaces": {"namespaceSelector": {}}},
        ".namespaces.namespaceSelector: a form before v0.1.7",
    ),
    (
        "egress",
        "AdminNetworkPolicy",
        {"pods": {"namespaces": {"sameLabels": []}, "podSelector": {}}},
        ".pods.namespaces: a form before v0.1.7",
    ),
    ("egress", "AdminNetworkPolicy", {"networks": ["300.0.0.0/8"]}, ".networks[0]: `300.0.0.0/8` is no CIDR"),
    (
        "egress",
        "ClusterNetworkPolicy",
        {"namespaces": {"matchExpressions": [{"key": "k", "operator": "Is"}]}},
        ".namespaces.matchExpressions[0].operator: `Is` is none of In, NotIn, Exists and DoesNotExist",
    ),
]


@pytest.mark.parametrize(("direction", "kind", "peer", "reason"), UNREADABLE)
def test_unreadable_peer_fails_closed(direction: str, kind: str, peer: Any, reason: str) -> None:
    """A-09, A-10, C-09, R-21."""
    allow = "Accept" if kind == "ClusterNetworkPolicy" else "Allow"
    word = "from[1]" if direction == "ingress" else "to[1]"
    peers = [ALL_NAMESPACES, peer]
    found = body(rule(direction, kind, allow, peers=peers, name="r"))
    [only] = found.rules(Direction(direction))
    assert [term for end in only.peers for term in end.terms] == [Endpoints()]
    assert found.limits == (f"spec.{direction}[0]: {word}{reason}: matches nothing (fails closed)",)
    for action in ("Deny", "Pass") if kind != "BaselineAdminNetworkPolicy" else ("Deny",):
        found = body(rule(direction, kind, action, peers=peers, name="r"))
        assert found.rules(Direction(direction)) == (Rule(action=Action.DENY, index=0, name="r"),)
        assert found.limits == (f"spec.{direction}[0]: {word}{reason}: the rule denies everything (fails closed)",)


@pytest.mark.parametrize(
    ("kind", "field", "entry"),
    [
        ("AdminNetworkPolicy", "ports", {}),
        ("AdminNetworkPolicy", "ports", {"portNumber": {"protocol": "ICMP", "port": 1}}),
        ("ClusterNetworkPolicy", "protocols", {"icmp": {}}),
    ],
)
def test_unreadable_port_fails_closed(kind: str, field: str, entry: Any) -> None:
    """A-09: an entry of ports is closed like a peer."""
    allow = "Accept" if kind == "ClusterNetworkPolicy" else "Allow"
    entries: dict[str, Any] = {field: [entry]}
    assert first(rule(kind=kind, action=allow, **entries)).ports == Ports(numbers=NO_PORTS)
    assert first(rule(kind=kind, action="Pass", **entries)) == Rule(action=Action.DENY, index=0)


CNP = "ClusterNetworkPolicy"
RULE = "spec.ingress[0]"
TO = "spec.egress[0].to[0]"


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (admin(priority=None), "spec.priority: missing"),
        (admin(priority=1001), "spec.priority: `1001` is not from 0 to 1000"),
        (admin(CNP, priority=-1), "spec.priority: `-1` is not from 0 to 1000"),
        (admin(CNP, tier="Middle"), "spec.tier: `Middle` is neither Admin nor Baseline"),
        (admin(CNP, tier=None), "spec.tier: `` is neither Admin nor Baseline"),
        (admin(subject={}), "spec.subject: needs exactly one of namespaces and pods"),
        (admin(subject={"namespaces": {}, "pods": {}}), "spec.subject: needs exactly one of namespaces and pods"),
        (admin(subject=None), "spec.subject: needs exactly one of namespaces and pods"),
        (
            given("BaselineAdminNetworkPolicy", {"subject": SUBJECT}, "other"),
            "metadata.name: `other` is not `default`, the only one that is read",
        ),
        (rule(action="Accept"), f"{RULE}.action: `Accept` is none of Allow, Deny, Pass"),
        (rule(kind=CNP, action="Allow"), f"{RULE}.action: `Allow` is none of Accept, Deny, Pass"),
        (rule(kind="BaselineAdminNetworkPolicy", action="Pass"), f"{RULE}.action: `Pass` is none of Allow, Deny"),
        (rule(name="n" * 101), f"{RULE}.name: longer than 100 characters"),
        (rule(peers=[]), f"{RULE}.from: needs a peer"),
        (rule("egress", peers=None), "spec.egress[0].to: needs a peer"),
        (rule(peers=[{"namespaces": {}, "pods": {}}]), f"{RULE}.from[0]: both namespaces and pods"),
        (rule("egress", peers=[{"nodes": {}, "networks": ["10.0.0.0/8"]}]), f"{TO}: both nodes and networks"),
        (rule("egress", peers=[{"networks": []}]), f"{TO}.networks: empty list"),
        (rule("egress", peers=[{"networks": ["10"]}]), f"{TO}.networks[0]: `10` is no CIDR"),
        (
            rule("egress", peers=[{"networks": ["::ffff:10.0.0.1/128"]}]),
            f"{TO}.networks[0]: `::ffff:10.0.0.1/128` is IPv4 within IPv6",
        ),
        (rule("egress", CNP, peers=[{"networks": ["010.0.0.0/8"]}]), f"{TO}.networks[0]: `010.0.0.0/8` is no CIDR"),
        (
            rule("egress", CNP, peers=[{"networks": [f"10.0.0.{number}/32" for number in range(26)]}]),
            f"{TO}.networks: 26 items, at most 25",
        ),
        (rule("egress", CNP, peers=[{"domainNames": ["x.io"]}]), f"{TO}.domainNames: only in a rule that allows"),
        (
            rule("egress", CNP, "Accept", peers=[{"domainNames": ["a.*.io"]}]),
            f"{TO}.domainNames[0]: `a.*.io` is no domain name",
        ),
        (rule(ports=[]), f"{RULE}.ports: empty list"),
        (
            rule(ports=[{"portNumber": {"port": 1}, "namedPort": "a"}]),
            f"{RULE}.ports[0]: both portNumber and namedPort",
        ),
        (rule(ports=[{"portNumber": {}}]), f"{RULE}.ports[0].portNumber.port: missing"),
        (rule(ports=[{"portNumber": {"port": 0}}]), f"{RULE}.ports[0].portNumber.port: `0` is no port from 1 to 65535"),
        (
            rule(ports=[{"portRange": {"start": 2, "end": 2}}]),
            f"{RULE}.ports[0].portRange: start `2` is not less than end `2`",
        ),
        (rule(ports=[{"portRange": {"start": 2}}]), f"{RULE}.ports[0].portRange: needs start and end"),
        (
            rule("egress", peers=[{"nodes": {}}], ports=[{"namedPort": "a"}]),
            f"{TO}: a named port beside networks, nodes or domainNames",
        ),
        (rule(kind=CNP, protocols=[{"tcp": {}}]), f"{RULE}.protocols[0].tcp: needs destinationPort"),
        (
            rule(kind=CNP, protocols=[{"tcp": {"destinationPort": {}}}]),
            f"{RULE}.protocols[0].tcp.destinationPort: needs exactly one of number and range",
        ),
        (
            rule(kind=CNP, protocols=[{"udp": {"destinationPort": {"range": {"start": 9, "end": 1}}}}]),
            f"{RULE}.protocols[0].udp.destinationPort.range: start `9` is not less than end `1`",
        ),
        (
            rule("egress", CNP, peers=[{"networks": ["10.0.0.0/8"]}], protocols=[{"destinationNamedPort": "a"}]),
            f"{TO}: a named port beside networks, nodes or domainNames",
        ),
        (rule(kind=CNP, peers=[ALL_NAMESPACES] * 26), f"{RULE}.from: 26 items, at most 25"),
        (rule(peers=[ALL_NAMESPACES] * 101), f"{RULE}.from: 101 items, at most 100"),
        (
            admin(CNP, egress=[{"action": "Deny", "to": [ALL_NAMESPACES]}] * 26),
            "spec.egress: 26 items, at most 25",
        ),
    ],
)
def test_admin_policies_refused(obj: Any, message: str) -> None:
    """A-01, A-05, A-08, C-01 to C-05."""
    assert refusal(obj) == message


def test_admin_limits_of_v1alpha1_are_wider() -> None:
    assert len(first(rule(peers=[ALL_NAMESPACES] * 100)).peers or ()) == 100


# -- Calico -----------------------------------------------------------------------------------------------------------

STANDS_ALONE = "column 1: expected a label; `global()` stands alone, in a namespaceSelector of a rule"
OWN: dict[str, str] = {"a": "bcb", "x/y.z-1_": "v", "in": "not"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        (" \t", True),
        ("all()", True),
        ("all( )", True),
        ("!all()", False),
        ("a == 'bcb'", True),
        ('a=="bcb"', True),
        ("a == 'b'", False),
        ("missing == 'b'", False),
        ("a != 'bcb'", False),
        ("missing != 'b'", True),
        ("!missing == 'b'", True),
        ("!!a == 'bcb'", True),
        ("a in {'x', \"bcb\"}", True),
        ("a in{'x',}", False),
        ("a in {}", False),
        ("a not in {}", True),
        ("a not in {'bcb'}", False),
        ("a notin {'x'}", True),
        ("missing not in {'b'}", True),
        ("has(a)", True),
        ("has( a )", True),
        ("has(missing)", False),
        ("!has(missing)", True),
        ("has(x/y.z-1_)", True),
        ("a contains 'c'", True),
        ("a contains ''", True),
        ("missing contains ''", False),
        ("a starts with 'b'", True),
        ("a startswith 'c'", False),
        ("a ends \t with 'cb'", True),
        ("a == 'bcb' && missing == 'x' || has(a)", True),
        ("a == 'bcb' && (missing == 'x' || has(a))", True),
        ("has(missing) || has(a) && has(missing)", False),
        ("!(has(a) || has(missing))", False),
        ("in in {'not'}", True),
        ("a == 'b\\'", False),
    ],
)
def test_selector_language(text: str, holds: bool) -> None:
    """CA-09."""
    assert matches(parse_selector(text), {Field.OWN: OWN}) == holds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a in {'y', 'x', 'y'}", label("a", "x", "y")),
        ("a != 'x'", Not(label("a", "x"))),
        ("has(a) && has(b) && all()", AllOf((label("a"), label("b")))),
        ("has(a) || has(b)", AnyOf((label("a"), label("b")))),
        ("!!has(a)", label("a")),
        ("a ends with 'x'", LabelTest("a", Operator.ENDS, ("x",))),
        ("", EVERYTHING),
    ],
)
def test_selector_expressions(text: str, expected: Expression) -> None:
    assert parse_selector(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "column 2: expected an operator behind the label"),
        ("a = 'b'", "column 3: expected an operator behind the label"),
        ("a == b", "column 6: expected a string in quotes"),
        ("a == 'b", "column 6: expected the end of the string"),
        ("~a", "column 1: expected a label, a function or an operator"),
        ("a == 'b' && ", "column 13: expected a label, `has()`, `all()` or `(`"),
        ("a == 'b' c == 'd'", "column 10: expected `&&`, `||` or the end"),
        ("(a == 'b'", "column 10: expected `)`"),
        ("a == 'b')", "column 9: expected `&&`, `||` or the end"),
        ("a in 'b'", "column 6: expected `{`"),
        ("a in {'b' 'c'}", "column 11: expected a string or `}`"),
        ("has()", "column 5: expected a label in `has()`"),
        ("has(a", "column 6: expected `)` of `has()`"),
        ("has (a)", "column 5: expected an operator behind the label"),
        ("all(x)", "column 5: expected `)` of `all()`"),
        ("global()", STANDS_ALONE),
        ("a & b", "column 3: expected an operator behind the label"),
        ("$", "column 1: expected a label, a function or an operator"),
        ("has(a)\n", "column 7: expected a label, a function or an operator"),
        ("(" * 200, "column 101: expected at most 100 nested parentheses"),
    ],
)
def test_selector_errors(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_selector(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("global()", True), (" global( ) ", True), ("!global()", False), ("global() && has(a)", False), ("", False)],
)
def test_global(text: str, expected: bool) -> None:
    assert is_global(text) == expected


def calico(kind: str = "NetworkPolicy", name: str = "p", api: str = CALICO, **spec: Any) -> dict[str, Any]:
    return given(kind, spec, name, api)


def calico_rule(kind: str = "NetworkPolicy", direction: str = "ingress", action: str = "Allow", **fields: Any) -> Any:
    rules: dict[str, Any] = {direction: [{"action": action, **fields}]}
    return calico(kind, **rules)


GLOBAL = "GlobalNetworkPolicy"
NAMESPACE, ACCOUNT = Field.NAMESPACE, Field.ACCOUNT


@pytest.mark.parametrize("api", [CALICO, "crd.projectcalico.org/v1"])
def test_calico_groups(api: str) -> None:
    cluster = load_cluster([calico(api=api)])
    assert [str(loaded.ref) for loaded in cluster.of("NetworkPolicy.projectcalico.org")] == [
        "NetworkPolicy.projectcalico.org/ns/p"
    ]
    assert not cluster.diagnostics


@pytest.mark.parametrize(
    ("spec", "isolated"),
    [
        ({}, (True, False)),
        ({"ingress": [{"action": "Allow"}]}, (True, False)),
        ({"egress": [{"action": "Allow"}]}, (False, True)),
        ({"ingress": [{"action": "Allow"}], "egress": [{"action": "Deny"}]}, (True, True)),
        ({"types": [], "egress": [{"action": "Log"}]}, (False, True)),
        ({"types": ["Egress", "Ingress"]}, (True, True)),
        ({"types": ["Ingress"], "egress": [{"action": "Allow"}]}, (True, False)),
    ],
)
def test_calico_types(spec: Any, isolated: tuple[bool, bool]) -> None:
    """CA-06."""
    found = body(calico(**spec))
    assert (found.ingress is not None, found.egress is not None) == isolated


@pytest.mark.parametrize(
    ("spec", "tier", "order"),
    [
        ({}, DEFAULT, math.inf),
        ({"tier": ""}, DEFAULT, math.inf),
        ({"tier": "default", "order": 5}, DEFAULT, 5),
        ({"tier": "platform", "order": -1.5}, "platform", -1.5),
    ],
)
def test_calico_order(spec: Any, tier: Any, order: float) -> None:
    """CA-01."""
    found = body(calico(**spec))
    assert (found.tier, found.order, found.ties) == (tier, order, False)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (calico(), Endpoints(own=True)),
        (calico(selector="a == 'b'"), Endpoints(own=True, labels=label("a", "b"))),
        (
            calico(selector="has(a)", serviceAccountSelector="team == 'x'"),
            Endpoints(own=True, labels=AllOf((label("a"), label("team", "x", field=ACCOUNT)))),
        ),
        (calico(GLOBAL), Endpoints()),
        (
            calico(GLOBAL, namespaceSelector="projectcalico.org/name == 'x'", selector="all()"),
            Endpoints(namespaces=label(NAME_LABEL, "x", field=NAMESPACE)),
        ),
        (
            calico(GLOBAL, serviceAccountSelector="projectcalico.org/name == 'x'"),
            Endpoints(labels=label(NAME_LABEL, "x", field=ACCOUNT)),
        ),
        (calico(selector="pcns.team == 'x'"), Endpoints(own=True, labels=label("team", "x", field=NAMESPACE))),
        (
            calico(GLOBAL, selector="pcns.projectcalico.org/name == 'x'"),
            Endpoints(labels=label(NAME_LABEL, "x", field=NAMESPACE)),
        ),
        (calico(GLOBAL, selector="has(pcsa.team)"), Endpoints(labels=label("team", field=ACCOUNT))),
        (
            calico(GLOBAL, selector="projectcalico.org/namespace != 'x'"),
            Endpoints(labels=Not(label(NAME_LABEL, "x", field=NAMESPACE))),
        ),
        (
            calico(GLOBAL, selector="projectcalico.org/serviceaccount == 'x'"),
            Endpoints(labels=label(NAME_LABEL, "x", field=ACCOUNT)),
        ),
        (
            calico(GLOBAL, selector="projectcalico.org/orchestrator == 'k8s'"),
            Endpoints(labels=label(NAME_LABEL, field=ACCOUNT)),
        ),
        (calico(GLOBAL, selector="projectcalico.org/orchestrator == 'cni'"), Endpoints(labels=NOTHING)),
    ],
)
def test_calico_subjects(obj: Any, expected: Endpoints) -> None:
    """CA-07, CA-12."""
    assert body(obj).selects == expected


NETS = {"nets": ["10.0.0.0/8", "11.0.0.1"], "notNets": ["10.1.0.0/16"]}
NETS_TERM = Addresses(blocks=AddressSet.cidr("10.0.0.0/8") | AddressSet.cidr("11.0.0.1"))
NOT_NETS_TERM = Addresses(blocks=AddressSet.cidr("10.1.0.0/16"))


@pytest.mark.parametrize(
    ("kind", "entity", "terms", "without"),
    [
        ("NetworkPolicy", {"selector": "has(a)"}, (Endpoints(own=True, labels=label("a"), sets=True),), ()),
        (GLOBAL, {"selector": "has(a)"}, (Endpoints(labels=label("a"), sets=True, global_sets=True),), ()),
        (
            "NetworkPolicy",
            {"namespaceSelector": "team == 'x'", "selector": "has(a)"},
            (Endpoints(namespaces=label("team", "x", field=NAMESPACE), labels=label("a"), sets=True),),
            (),
        ),
        ("NetworkPolicy", {"namespaceSelector": "all()"}, (Endpoints(sets=True),), ()),
        # A negation holds for what has no namespace.
        (
            GLOBAL,
            {"namespaceSelector": "team != 'x'"},
            (Endpoints(namespaces=Not(label("team", "x", field=NAMESPACE)), sets=True, global_sets=True),),
            (),
        ),
        (
            GLOBAL,
            {"namespaceSelector": "global()", "selector": "has(a)"},
            (Endpoints(namespaces=NOTHING, labels=label("a"), pods=False, sets=True, global_sets=True),),
            (),
        ),
        (
            "NetworkPolicy",
            {"serviceAccounts": {"names": ["y", "x"], "selector": "has(b)"}},
            (
                Endpoints(
                    own=True,
                    labels=AllOf((label(NAME_LABEL, "x", "y", field=ACCOUNT), label("b", field=ACCOUNT))),
                    sets=True,
                ),
            ),
            (),
        ),
        (
            "NetworkPolicy",
            {"notSelector": "has(a)"},
            (Endpoints(own=True, sets=True),),
            (Endpoints(labels=label("a"), sets=True, global_sets=True),),
        ),
        (GLOBAL, {"notSelector": "has(a)"}, (), (Endpoints(labels=label("a"), sets=True, global_sets=True),)),
        (GLOBAL, NETS, (NETS_TERM,), (NOT_NETS_TERM,)),
        ("NetworkPolicy", {"services": {"name": "s"}}, (Service(name="s"),), ()),
        (GLOBAL, {"services": {"name": "s", "namespace": "n"}}, (Service(name="s", namespace="n"),), ()),
    ],
)
def test_entities(kind: str, entity: Any, terms: Any, without: Any) -> None:
    """CA-08, CA-10 to CA-12."""
    peer = Peer(terms=terms, without=without, field="source")
    assert first(calico_rule(kind, source=entity)).peers == (peer,)


@pytest.mark.parametrize("entity", [None, {}, {"selector": "", "nets": [], "serviceAccounts": {}}])
def test_entity_that_says_nothing(entity: Any) -> None:
    found = first(calico_rule(source=entity, destination=entity))
    assert found == Rule(action=Action.ALLOW, index=0)


def test_own_end() -> None:
    """The policy's end of a rule narrows its subjects; the ports are those of the destination in either direction."""
    own = Peer(terms=(Endpoints(own=True, labels=label("a"), sets=True),), field="destination")
    ends: dict[str, Any] = {"destination": {"selector": "has(a)", "ports": [80]}, "protocol": "TCP"}
    assert first(calico_rule(**ends)) == Rule(
        action=Action.ALLOW, index=0, own=own, ports=Ports(numbers=PortSet.of("TCP", 80))
    )
    found = first(
        calico_rule(direction="egress", source={"selector": "has(a)"}, destination={"notPorts": [80]}, protocol=6)
    )
    assert found.own == Peer(terms=own.terms, field="source")
    assert (found.peers, found.ports) == (None, Ports(numbers=PortSet.of("TCP") - PortSet.of("TCP", 80)))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"protocol": "UDP"}, Ports(numbers=PortSet.of("UDP"))),
        ({"protocol": "udp"}, Ports(numbers=PortSet.of("UDP"))),
        ({"protocol": 132}, Ports(numbers=PortSet.of("SCTP"))),
        ({"protocol": "17"}, Ports(numbers=PortSet.of("UDP"))),
        ({"notProtocol": "TCP"}, Ports(numbers=ALL_PORTS - PortSet.of("TCP"))),
        ({"notProtocol": "ICMP"}, ANY_PORT),
        (
            {"protocol": "TCP", "destination": {"ports": [80, "90:100", "443", "http"], "notPorts": ["95:96", "web"]}},
            Ports(
                numbers=PortSet.of("TCP", 80, (90, 94), (97, 100), 443),
                named=(NamedPort(name="http", protocol="TCP"),),
                without=(NamedPort(name="web", protocol="TCP"),),
            ),
        ),
        (
            {"protocol": "TCP", "destination": {"ports": ["http"]}},
            Ports(numbers=NO_PORTS, named=(NamedPort(name="http", protocol="TCP"),)),
        ),
        ({"protocol": "TCP", "destination": {"ports": [0]}}, Ports(numbers=NO_PORTS)),
        ({"protocol": "TCP", "destination": {"ports": ["0:9"]}}, Ports(numbers=PortSet.of("TCP", (1, 9)))),
    ],
)
def test_calico_ports(fields: Any, expected: Ports) -> None:
    """CA-11."""
    assert first(calico_rule(**fields)).ports == expected


def test_actions_and_positions() -> None:
    """CA-02: Log decides nothing, and its place still counts."""
    actions = [{"action": action} for action in ("Log", "Pass", "Deny", "Allow")]
    found = body(calico(ingress=actions))
    assert [(rule.action, rule.index) for rule in found.ingress] == [
        (Action.PASS, 1),
        (Action.DENY, 2),
        (Action.ALLOW, 3),
    ]
    assert (found.written, found.limits) == ((4, 0), ())


def test_ip_version() -> None:
    assert first(calico_rule(ipVersion=4)).peers == (Peer(terms=(Addresses(blocks=ALL_V4),), field="source"),)
    found = first(calico_rule(ipVersion=4, source={"selector": "has(a)"}))
    assert found.peers == (
        Peer(terms=(Endpoints(own=True, labels=label("a"), sets=True), Addresses(blocks=ALL_V4)), field="source"),
    )


@pytest.mark.parametrize(
    ("obj", "rules", "limit"),
    [
        (calico_rule(protocol="ICMP"), 0, "is for protocol ICMP, which is not modelled"),
        (calico_rule(protocol=47), 0, "is for protocol 47, which is not modelled"),
        (
            calico_rule(protocol="TCP", source={"ports": [1]}),
            1,
            "source.ports: ports of clients are not modelled; the rule is read as if they were not written",
        ),
        (
            calico_rule(action="Deny", protocol="TCP", source={"notPorts": [1]}),
            0,
            "source.ports: ports of clients are not modelled; the rule is left out, as a client may choose another one",
        ),
        (
            calico_rule(http={"methods": ["GET"]}),
            1,
            "http: what is shown as allowed is narrowed by HTTP methods and paths (L7)",
        ),
        (
            calico_rule(protocol="TCP", destination={"ports": ["http"], "notPorts": [80]}),
            1,
            "destination.notPorts: numbers do not narrow ports that are given by name",
        ),
    ],
)
def test_calico_limits(obj: Any, rules: int, limit: str) -> None:
    found = body(obj)
    assert (len(found.ingress), found.limits) == (rules, (f"spec.ingress[0]: {limit}",))


def test_ports_of_a_service() -> None:
    found = body(calico_rule(direction="egress", destination={"services": {"name": "s"}}))
    assert found.limits == (
        "spec.egress[0]: destination.services: its ports are not modelled; the rule is read for every port of these pods",
    )


@pytest.mark.parametrize(
    ("obj", "limit"),
    [
        (calico(name="knp.default.p"), "is Calico's copy of a policy of Kubernetes, which is read itself"),
        (calico(GLOBAL, "kcnp.kube-admin.p"), "is Calico's copy of a policy of Kubernetes, which is read itself"),
        (
            calico(GLOBAL, doNotTrack=True, applyOnForward=True),
            "applies to host endpoints only, which are not modelled",
        ),
        (calico(GLOBAL, preDNAT=True, applyOnForward=True), "applies to host endpoints only, which are not modelled"),
    ],
)
def test_policies_of_no_pod(obj: Any, limit: str) -> None:
    """CA-05, CA-07."""
    found = body(obj)
    assert (found.ingress, found.egress, found.limits) == (None, None, (limit,))


def test_apply_on_forward_still_applies_to_pods() -> None:
    assert body(calico(GLOBAL, applyOnForward=True)).ingress == ()


SOURCE = "spec.ingress[0].source"


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (calico(name="P"), "metadata.name: `P` is no DNS subdomain: a-z, 0-9, - and . only"),
        (calico(selector="a ="), "spec.selector: no selector: column 3: expected an operator behind the label"),
        (
            calico(GLOBAL, namespaceSelector="global()"),
            f"spec.namespaceSelector: no selector: {STANDS_ALONE}",
        ),
        (calico(types=["ingress"]), "spec.types[0]: `ingress` is neither Ingress nor Egress"),
        (calico(types=["Ingress", "Ingress"]), "spec.types: one of them twice"),
        (calico(GLOBAL, preDNAT=True), "spec.applyOnForward: must be true with doNotTrack or preDNAT"),
        (calico(GLOBAL, preDNAT=True, doNotTrack=True), "spec.preDNAT: beside doNotTrack"),
        (calico(GLOBAL, preDNAT=True, applyOnForward=True, types=["Egress"]), "spec.preDNAT: with egress"),
        (calico_rule(action="allow"), f"{RULE}.action: `allow` is none of Allow, Deny, Pass and Log"),
        (calico_rule(protocol="HTTP"), f"{RULE}.protocol: `HTTP` is no protocol"),
        (calico_rule(notProtocol=256), f"{RULE}.notProtocol: `256` is no protocol"),
        (calico_rule(destination={"ports": [80]}), f"{RULE}.destination.ports: need protocol TCP, UDP or SCTP"),
        (
            calico_rule(protocol="ICMP", source={"notPorts": [80]}),
            f"{SOURCE}.notPorts: need protocol TCP, UDP or SCTP",
        ),
        (
            calico_rule(protocol="TCP", destination={"ports": ["90:80"]}),
            f"{RULE}.destination.ports[0]: `90:80` is no port range from 0 to 65535",
        ),
        (
            calico_rule(protocol="TCP", destination={"ports": [65536]}),
            f"{RULE}.destination.ports[0]: `65536` is no port range from 0 to 65535",
        ),
        (
            calico_rule(protocol="TCP", destination={"ports": ["a b"]}),
            f"{RULE}.destination.ports[0]: `a b` is no port",
        ),
        (calico_rule(source={"nets": ["10.0.0"]}), f"{SOURCE}.nets[0]: `10.0.0` is no CIDR"),
        (
            calico_rule(source={"nets": ["10.0.0.0/8"]}, destination={"notNets": ["fd00::/8"]}),
            f"{RULE}.destination.notNets[0]: `fd00::/8` is IPv6 in a rule for IPv4",
        ),
        (
            calico_rule(ipVersion=6, source={"nets": ["10.0.0.0/8"]}),
            f"{SOURCE}.nets[0]: `10.0.0.0/8` is IPv4 in a rule for IPv6",
        ),
        (calico_rule(ipVersion=5), f"{RULE}.ipVersion: `5` is neither 4 nor 6"),
        (
            calico_rule(source={"selector": "has("}),
            f"{SOURCE}.selector: no selector: column 5: expected a label in `has()`",
        ),
        (calico_rule(source={"services": {}}), f"{SOURCE}.services.name: missing"),
        (
            calico_rule(GLOBAL, source={"services": {"name": "s"}}),
            f"{SOURCE}.services.namespace: missing in a global policy",
        ),
        (
            calico_rule(source={"services": {"name": "s"}, "nets": ["10.0.0.0/8"]}),
            f"{SOURCE}.services: beside selectors or nets",
        ),
        (
            calico_rule(destination={"services": {"name": "s"}}),
            f"{RULE}.destination.services: only of the other end",
        ),
        (
            calico_rule(direction="egress", protocol="TCP", destination={"services": {"name": "s"}, "ports": [80]}),
            "spec.egress[0].destination.services: beside ports",
        ),
        (calico("Tier", "a.b"), "metadata.name: `a.b` is no DNS label: a-z, 0-9 and - only"),
        (calico("Tier", defaultAction="Allow"), "spec.defaultAction: `Allow` is neither Deny nor Pass"),
        (
            calico("Tier", "default", order=5),
            "spec: the tier `default` has order 1000000 and defaultAction Deny",
        ),
        (calico("NetworkSet", nets=["x"]), "spec.nets[0]: `x` is no CIDR"),
    ],
)
def test_calico_refused(obj: Any, message: str) -> None:
    """CA-01, CA-06 to CA-09, CA-11."""
    assert refusal(obj) == message


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, TierOrder(order=math.inf, default=Action.DENY)),
        ({"order": 10, "defaultAction": "Pass"}, TierOrder(order=10, default=Action.PASS)),
    ],
)
def test_tier_objects(spec: Any, expected: TierOrder) -> None:
    """CA-01, CA-03."""
    assert body(calico("Tier", "platform", **spec)) == expected


@pytest.mark.parametrize("kind", ["NetworkSet", "GlobalNetworkSet"])
def test_network_sets(kind: str) -> None:
    """CA-12."""
    obj = calico(kind, nets=NETS["nets"])
    obj["metadata"]["labels"] = {"b": "2", "a": "1"}
    assert body(obj) == LabelledAddresses(labels=(("a", "1"), ("b", "2")), addresses=NETS_TERM.blocks)
    assert not body(calico(kind)).addresses


# -- recognised only --------------------------------------------------------------------------------------------------


def test_unmodelled_kinds_are_recognised() -> None:
    """CA-13, M-08 to M-10: each has its sentence, and Antrea's and Calico's stay apart from those of Kubernetes."""
    names = {kind.name for kind in kinds().values()}
    assert UNMODELLED.keys() <= names
    found = {kind for kind in kinds().values() if kind.name in UNMODELLED}
    assert {kind.group for kind in found} == {
        "k8s.cni.cncf.io",
        "k8s.ovn.org",
        "cilium.io",
        "crd.antrea.io",
        "security.istio.io",
        "networking.istio.io",
        "projectcalico.org",
    }
    for kind in found:
        obj = {
            "apiVersion": f"{kind.group}/v1",
            "kind": kind.kind,
            "metadata": {"name": "p", **({"namespace": "ns"} if kind.namespaced else {})},
            "spec": {"anything": [1]},
        }
        cluster = load_cluster([obj])
        assert not cluster.diagnostics
        assert [loaded.ref.namespace for loaded in cluster.of(kind.name)] == ["ns" if kind.namespaced else None]
