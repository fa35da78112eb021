"""Selectors, value by value: what a LabelSelector matches, what expressions say, and which pods a policy's terms mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

import graphsec as gs
from graphsec.algebra import expressions
from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.calico_selectors import parse_selector
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
    all_of,
    matches,
    of_selector,
)
from graphsec.algebra.selectors import LabelSelector
from graphsec.compile.classes import Universe
from graphsec.compile.flows import Flows
from graphsec.compile.policies import Placed, Policies, together
from graphsec.compile.profile import PROFILES, UPSTREAM
from graphsec.model.policy import (
    DEFAULT,
    NAME_LABEL,
    Action,
    Addresses,
    Direction,
    Domains,
    Endpoints,
    Nodes,
    Peer,
    Service,
    Tier,
)

#: Of the label `k`: absent, and three values.
VALUES = (None, "", "a", "b")
YES, NO = True, False

Object = dict[str, Any]


# -- LabelSelector (N-07, S-51) ----------------------------------------------------------------------------------------


def expression(operator: str, *values: str, key: str = "k") -> Object:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def one(operator: str, *values: str) -> Object:
    return {"matchExpressions": [expression(operator, *values)]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, (YES, YES, YES, YES)),
        ({"matchLabels": {}, "matchExpressions": []}, (YES, YES, YES, YES)),
        ({"matchLabels": None, "matchExpressions": None}, (YES, YES, YES, YES)),
        ({"matchLabels": {"k": "a"}}, (NO, NO, YES, NO)),
        ({"matchLabels": {"k": ""}}, (NO, YES, NO, NO)),
        ({"matchLabels": {"j": "a"}}, (NO, NO, NO, NO)),
        ({"matchLabels": {"k": "a", "j": "a"}}, (NO, NO, NO, NO)),
        ({"matchLabels": {"k": "a", "always": "here"}}, (NO, NO, YES, NO)),
        (one("In", "a"), (NO, NO, YES, NO)),
        (one("In", "b", "a"), (NO, NO, YES, YES)),
        (one("In", ""), (NO, YES, NO, NO)),
        (one("In"), (NO, NO, NO, NO)),
        # N-07c: an absent key fulfils what is negated.
        (one("NotIn", "a"), (YES, YES, NO, YES)),
        (one("NotIn", "b", "a"), (YES, YES, NO, NO)),
        (one("NotIn"), (YES, YES, YES, YES)),
        (one("Exists"), (NO, YES, YES, YES)),
        (one("DoesNotExist"), (YES, NO, NO, NO)),
        # Refused by the API server: matches nothing, whatever the label is.
        (one("Gt", "0"), (NO, NO, NO, NO)),
        (one("in", "a"), (NO, NO, NO, NO)),
        ({"matchExpressions": [expression("Exists"), expression("NotIn", "a")]}, (NO, YES, NO, YES)),
        ({"matchExpressions": [expression("Exists"), expression("Exists", key="j")]}, (NO, NO, NO, NO)),
        ({"matchLabels": {"k": "a"}, "matchExpressions": [expression("In", "a", "b")]}, (NO, NO, YES, NO)),
        ({"matchLabels": {"k": "a"}, "matchExpressions": [expression("NotIn", "a")]}, (NO, NO, NO, NO)),
        ({"matchLabels": {"always": "here"}, "matchExpressions": [expression("In", "b")]}, (NO, NO, NO, YES)),
    ],
)
@pytest.mark.parametrize("field", Field)
def test_what_a_label_selector_matches(selector: Object, expected: tuple[bool, ...], field: Field) -> None:
    """apimachinery `LabelSelectorAsSelector`: everything in it holds; as an expression it matches the same."""
    read = msgspec.convert(selector, LabelSelector)
    given = [{"always": "here"} | ({} if value is None else {"k": value}) for value in VALUES]
    assert tuple(read.matches(labels) for labels in given) == expected
    assert tuple(matches(of_selector(read, field), {field: labels}) for labels in given) == expected
    other = next(each for each in Field if each is not field)
    elsewhere = read.matches({})
    assert all(matches(of_selector(read, field), {other: labels}) is elsewhere for labels in given)


# -- expressions --------------------------------------------------------------------------------------------------------


def test_a_selector_reads_pods_unless_told_otherwise() -> None:
    read = LabelSelector(match_labels={"b": "2", "a": "1"})
    assert of_selector(read) == AllOf((label("a", "1"), label("b", "2")))
    assert of_selector(None) == of_selector(LabelSelector()) == EVERYTHING


def test_the_order_and_repetition_of_values_mean_nothing() -> None:
    """Equal selectors are one, and so are their classes."""
    values = "gbhadcfe"
    for spelled in (values, values[::-1], values + values):
        read = msgspec.convert({"matchExpressions": [expression("In", *spelled)]}, LabelSelector)
        calico = parse_selector("k in {" + ", ".join(f"'{value}'" for value in spelled) + "}")
        assert of_selector(read) == calico == LabelTest("k", Operator.IN, tuple("abcdefgh"))


def label(key: str, *values: str, field: Field = Field.OWN, operator: Operator | None = None) -> LabelTest:
    return LabelTest(key, operator or (Operator.IN if values else Operator.EXISTS), values, field)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (label("k"), "k"),
        (label("k", "a"), "k=a"),
        (label("k", "a", "b"), "k in (a,b)"),
        (label("k", field=Field.NAMESPACE), "namespace k"),
        (label("k", "a", field=Field.ACCOUNT), "account k=a"),
        (label("k", "a", operator=Operator.CONTAINS), "k contains 'a'"),
        (label("k", "a", operator=Operator.STARTS), "k starts with 'a'"),
        (Not(label("k")), "!k"),
        (Not(label("k", "a")), "k!=a"),
        (Not(label("k", "a", "b")), "k notin (a,b)"),
        (Not(label("k", "a", operator=Operator.ENDS)), "!(k ends with 'a')"),
        (Not(label("k", "a", field=Field.NAMESPACE)), "!(namespace k=a)"),
        (Not(label("k", field=Field.NAMESPACE)), "!(namespace k)"),
        (Not(Not(label("k"))), "!(!k)"),
        (AllOf((label("k"), label("j"))), "k,j"),
        (AnyOf((label("k"), label("j"))), "k or j"),
        (AllOf((label("k"), AnyOf((label("j"), label("i"))))), "k,(j or i)"),
        (AllOf((label("k"), AnyOf((label("j"),)))), "k,j"),
        (AnyOf((label("k"), AllOf((label("j"), label("i"))))), "k or j,i"),
        (AnyOf((AnyOf((label("k"), label("j"))), label("i"))), "(k or j) or i"),
        (EVERYTHING, "everything"),
        (NOTHING, "nothing"),
    ],
)
def test_text_of_an_expression(found: Expression, text: str) -> None:
    assert str(found) == text


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        (Operator.IN, ("ab", "x"), {"ab"}),
        (Operator.IN, (), set()),
        (Operator.EXISTS, (), {"", "a", "ab", "cab"}),
        (Operator.CONTAINS, ("ab", "x"), {"ab", "cab"}),
        (Operator.STARTS, ("ab", "x"), {"ab"}),
        (Operator.ENDS, ("ab", "x"), {"ab", "cab"}),
        (Operator.STARTS, ("",), {"", "a", "ab", "cab"}),
    ],
)
def test_what_a_label_test_holds_of(operator: Operator, values: tuple[str, ...], expected: set[str]) -> None:
    """CA-09; never of a label that is absent (N-07c)."""
    found = LabelTest("k", operator, values)
    assert {value for value in ("", "a", "ab", "cab") if found.holds(value)} == expected
    assert found.holds(None) is False


def test_a_conjunction_has_no_layers() -> None:
    one, other = label("k"), label("j")
    assert all_of(one) == one
    assert all_of(one, AllOf((other,)), EVERYTHING) == AllOf((one, other))
    assert all_of() == EVERYTHING
    assert all_of(AnyOf((one, other))) == AnyOf((one, other))


def test_every_test_of_an_expression_is_found() -> None:
    parts = [label(key) for key in "abcd"]
    nested = AllOf((parts[0], Not(AnyOf((parts[1], AllOf((parts[2], parts[3])))))))
    assert list(expressions.tests(nested)) == parts


# -- which classes a selector means --------------------------------------------------------------------------------------

NAMESPACES: dict[str, dict[str, str] | None] = {
    "east": {"team": "x", "zone": "1"},
    "north": {"team": "y"},
    "south": {},
    #: Named by a pod alone (N-08b).
    "west": None,
}
PODS: dict[str, dict[str, str]] = {
    "web": {"app": "web", "tier": "front"},
    "api": {"app": "api"},
    "old": {"app": "web", "tier": "back", "unread": "1"},
    "bare": {},
}
OWN_EXPRESSIONS = (
    EVERYTHING,
    NOTHING,
    label("app"),
    label("app", "web"),
    label("app", "web", "nobody"),
    label("app", "web", "api"),
    label("app", "api", "web"),
    label("app", "b", "p", operator=Operator.CONTAINS),
    label("app", "nobody"),
    label("tier", "ack", operator=Operator.CONTAINS),
    Not(label("app", "web")),
    Not(label("tier")),
    AllOf((label("app", "web"), label("tier", "front"))),
    AllOf((label("app", "web"), Not(label("tier", "front")))),
    AnyOf((label("app", "api"), label("tier", "back"))),
    AllOf((label("app"), label("team", "x", field=Field.NAMESPACE))),
    AnyOf((label("tier"), label("team", "y", field=Field.NAMESPACE))),
    AllOf((label("app", "web"), label("role", "a", field=Field.ACCOUNT))),
    Not(label("role", field=Field.ACCOUNT)),
    label(NAME_LABEL, "robot", field=Field.ACCOUNT),
)
NAMESPACE_EXPRESSIONS = (
    EVERYTHING,
    NOTHING,
    label("team", field=Field.NAMESPACE),
    label("team", "x", field=Field.NAMESPACE),
    Not(label("team", "x", field=Field.NAMESPACE)),
    label(NAME_LABEL, "west", "north", field=Field.NAMESPACE),
    AllOf((label("team", "x", field=Field.NAMESPACE), label("zone", "1", field=Field.NAMESPACE))),
    AnyOf((label("team", "y", field=Field.NAMESPACE), label("zone", "1", field=Field.NAMESPACE))),
)
#: Service accounts of `east`; those of other namespaces have no object.
ACCOUNTS = {"robot": {"role": "a"}, "plain": {}}


def calico_rule(selector: str, namespaces: str = "all()") -> Object:
    return {"action": "Allow", "source": {"selector": selector, "namespaceSelector": namespaces}}


@cache
def universe(extra: int = 0) -> Universe:
    """All pods in all namespaces, and policies that read every label that the expressions name. ``extra`` namespaces with a
    pod each make those above few."""
    objects: list[Object] = []
    spread: dict[str, dict[str, str] | None] = {f"extra-{number}": {"zone": "9"} for number in range(extra)}
    for namespace, labels in {**NAMESPACES, **spread}.items():
        if labels is not None:
            objects.append(item("v1", "Namespace", namespace, labels=labels))
        for name, own in PODS.items() if namespace in NAMESPACES else [("bare", {})]:
            account = {"web": "robot", "api": "plain"}.get(name, "default")
            spec = {"containers": [{"name": "c"}], "serviceAccountName": account}
            objects.append(item("v1", "Pod", name, namespace, own, spec=spec))
    objects += [item("v1", "ServiceAccount", name, "east", labels) for name, labels in ACCOUNTS.items()]
    rules = [
        calico_rule("has(app) && has(tier)", "has(team) && has(zone)"),
        {"action": "Allow", "source": {"serviceAccounts": {"selector": f"has(role) && has({NAME_LABEL})"}}},
    ]
    spec = {"selector": "all()", "types": ["Ingress"], "ingress": rules}
    objects.append(item("projectcalico.org/v3", "GlobalNetworkPolicy", "reads", spec=spec))
    return flows(objects).universe


def item(api: str, kind: str, name: str, namespace: str = "", labels: Any = None, **fields: Any) -> Object:
    metadata = {"name": name}
    metadata |= ({"namespace": namespace} if namespace else {}) | ({"labels": labels} if labels else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def flows(objects: list[Object], profile: str = "upstream") -> Flows:
    return Flows(
        gs.load({"apiVersion": "v1", "kind": "List", "items": objects}, strict=True).cluster, PROFILES[profile]
    )


def pods_in(found: Universe, classes: Iterable[int]) -> list[str]:
    """Without the virtual pods, which stand for those that the input does not hold."""
    indices = {index for number in classes for index in found.members[number].tolist()}
    refs = (found.endpoints.refs[index] for index in indices - set(found.endpoints.virtual.values()))
    return sorted(f"{ref.namespace}/{ref.name}" for ref in refs)


def labels_of(namespace: str, pod: str) -> dict[Field, Mapping[str, str]]:
    account = {"web": "robot", "api": "plain"}.get(pod, "default")
    role = ACCOUNTS.get(account, {}) if namespace == "east" else {}
    return {
        Field.OWN: PODS[pod],
        Field.NAMESPACE: {**(NAMESPACES[namespace] or {}), NAME_LABEL: namespace},
        Field.ACCOUNT: {**role, NAME_LABEL: account},
    }


@pytest.mark.parametrize("extra", [0, 40])
@pytest.mark.parametrize("own", [None, *NAMESPACES, "nowhere"])
def test_select_is_every_pod_that_matches(own: str | None, extra: int) -> None:
    """N-06, N-07, N-08: labels and namespaces both hold, in the policy's own namespace if it says so; ascending."""
    found = universe(extra)
    for labels, namespaces in product(OWN_EXPRESSIONS, NAMESPACE_EXPRESSIONS):
        ids = found.select(labels, namespaces, own)
        expected = [
            f"{namespace}/{pod}"
            for namespace, pod in product(NAMESPACES, PODS)
            if own in (None, namespace)
            and matches(namespaces, labels_of(namespace, pod))
            and matches(labels, labels_of(namespace, pod))
        ]
        named = [name for name in pods_in(found, ids.tolist()) if not name.startswith("extra-")]
        assert named == sorted(expected), (str(labels), str(namespaces))
        assert ids.dtype == np.int32
        assert np.all(np.diff(ids) > 0)
        assert found.select(labels, namespaces, own) is ids


def test_namespaces_have_their_labels_and_their_name() -> None:
    """N-08: the name is a label of each; a namespace without an object has no other, and is reported."""
    found = universe()
    assert found.namespaces == sorted([*NAMESPACES, *found.endpoints.virtual])
    assert found.unlabelled == ["west"]
    for name, labels in NAMESPACES.items():
        assert found.namespace_labels(name) == {**(labels or {}), NAME_LABEL: name}
        assert pods_in(found, found.in_namespace(name).tolist()) == sorted(f"{name}/{pod}" for pod in PODS)
    assert found.namespace_labels("nowhere") == {NAME_LABEL: "nowhere"}
    assert len(found.in_namespace("nowhere")) == 0


# -- what the terms of a peer mean ---------------------------------------------------------------------------------------

EAST: Any = SimpleNamespace(ref=gs.Ref("NetworkPolicy", "p", "east"))
SOUTH: Any = SimpleNamespace(ref=gs.Ref("NetworkPolicy", "p", "south"))
GLOBAL: Any = SimpleNamespace(ref=gs.Ref("GlobalNetworkPolicy", "p"))


def meant(found: Universe, peers: tuple[Peer, ...] | None, policy: Placed) -> list[str]:
    extent = found.peers(peers, policy)
    assert extent.must == extent.may
    return pods_in(found, [number for number in found.masks.ids(extent.must).tolist() if number < found.pods])


def test_peers_are_a_union_of_terms_that_all_hold() -> None:
    """N-05, N-06: items are ORed, the terms of one ANDed; `without` is taken away."""
    found = universe()
    web = Endpoints(labels=label("app", "web"))
    east = Endpoints(namespaces=label("team", "x", field=Field.NAMESPACE))
    front = Endpoints(labels=label("tier", "front"))
    assert meant(found, None, EAST) == meant(found, (Peer(),), EAST) == pods_in(found, range(found.pods))
    assert meant(found, (), EAST) == []
    assert meant(found, (Peer(terms=(web, east)),), EAST) == ["east/old", "east/web"]
    assert meant(found, (Peer(terms=(web, east), without=(front,)),), EAST) == ["east/old"]
    assert meant(found, (Peer(terms=(web, east), without=(Endpoints(),)),), EAST) == []
    assert meant(found, (Peer(terms=(front, east)), Peer(terms=(east,), without=(web,))), EAST) == [
        "east/api",
        "east/bare",
        "east/web",
    ]


def test_own_is_the_namespace_of_the_policy() -> None:
    """N-06c; the same peers of another policy mean other pods, wherever in a peer the term stands."""
    found = universe()
    own = Endpoints(own=True, labels=label("app", "api"))
    everywhere = Endpoints(labels=label("app", "api"))
    for peers, expected in (
        ((Peer(terms=(own,)),), {"east": ["east/api"], "south": ["south/api"]}),
        (
            (Peer(terms=(everywhere,), without=(own,)),),
            {
                "east": ["north/api", "south/api", "west/api"],
                "south": ["east/api", "north/api", "west/api"],
            },
        ),
        (
            (Peer(terms=(Endpoints(labels=NOTHING),)), Peer(terms=(own,))),
            {"east": ["east/api"], "south": ["south/api"]},
        ),
    ):
        assert meant(found, peers, EAST) == expected["east"]
        assert meant(found, peers, SOUTH) == expected["south"]
    assert meant(found, (Peer(terms=(everywhere,)),), GLOBAL) == ["east/api", "north/api", "south/api", "west/api"]


def test_domains_may_be_any_end_outside() -> None:
    """M-03."""
    found = universe()
    extent = found.peers((Peer(terms=(Domains(names=("x.io",)),)),), EAST)
    assert (extent.must, extent.may) == (found.masks.empty, found.all_outside)
    taken = found.peers((Peer(without=(Domains(names=("x.io",)),)),), EAST)
    assert (taken.must, taken.may) == (
        found.masks.difference(found.masks.whole, found.all_outside),
        found.masks.whole,
    )


# -- services, sets of addresses, hosts -----------------------------------------------------------------------------------


def pod(name: str, namespace: str, labels: Mapping[str, str] | None = None, address: str = "", **spec: Any) -> Object:
    status = {"phase": "Running", **({"podIP": address, "podIPs": [{"ip": address}]} if address else {})}
    containers = {"containers": [{"name": "c"}]}
    return item("v1", "Pod", name, namespace, dict(labels or {}), spec={**containers, **spec}, status=status)


def service(name: str, namespace: str, selector: Mapping[str, str] | None) -> Object:
    return item("v1", "Service", name, namespace, spec={"selector": selector, "ports": [{"port": 80}]})


SERVED = [
    pod("web", "east", {"app": "web", "v": "1"}),
    pod("old", "east", {"app": "web", "v": "0"}),
    pod("web", "south", {"app": "web", "v": "1"}),
    service("web", "east", {"app": "web", "v": "1"}),
    service("web", "south", {"app": "web"}),
    pod("other", "west", {"app": "other"}),
    # In front of the others of its name, and of other pods.
    service("web", "a-first", {"app": "other"}),
    service("web", "west", {"app": "other"}),
    service("outside", "east", None),
    service("none", "east", {}),
    {**service("bare", "east", {}), "spec": None},
]


@cache
def served() -> Universe:
    """A policy names a service, so what services select is read."""
    rule = {"action": "Allow", "destination": {"services": {"name": "web", "namespace": "east"}}}
    spec = {"selector": "all()", "types": ["Egress"], "egress": [rule]}
    return flows([*SERVED, item("projectcalico.org/v3", "GlobalNetworkPolicy", "p", spec=spec)]).universe


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (Service(name="web", namespace="east"), ["east/web"]),
        (Service(name="web"), ["east/web"]),
        (Service(name="web", namespace="south"), ["south/web"]),
        (Service(name="web", namespace="west"), ["west/other"]),
        (Service(name="outside"), []),
        (Service(name="none"), []),
        (Service(name="bare"), []),
        (Service(name="missing"), []),
        (Service(name="web", namespace="nowhere"), []),
    ],
)
def test_a_service_is_the_pods_that_it_selects(term: Service, expected: list[str]) -> None:
    """A service without a selector has no pods by labels; the namespace is the policy's where none is said."""
    assert meant(served(), (Peer(terms=(term,)),), EAST) == expected


def test_a_service_of_no_namespace_is_the_policys() -> None:
    found = served()
    peers = (Peer(terms=(Service(name="web"),)),)
    assert meant(found, peers, SOUTH) == ["south/web"]
    assert meant(found, peers, EAST) == ["east/web"]


def network_set(name: str, namespace: str, block: str, **labels: str) -> Object:
    kind = "NetworkSet" if namespace else "GlobalNetworkSet"
    return item("projectcalico.org/v3", kind, name, namespace, labels, spec={"nets": [block]})


@pytest.mark.parametrize(
    ("term", "policy", "expected"),
    [
        (Endpoints(labels=label("set")), EAST, []),
        (Endpoints(labels=label("set"), sets=True), EAST, ["10.1.0.0/16", "10.2.0.0/16"]),
        (Endpoints(labels=label("set", "one"), sets=True), EAST, ["10.1.0.0/16"]),
        (Endpoints(labels=label("set"), sets=True, own=True), EAST, ["10.1.0.0/16"]),
        (Endpoints(labels=label("set"), sets=True, own=True), SOUTH, ["10.2.0.0/16"]),
        (
            Endpoints(labels=label("set"), sets=True, namespaces=label("team", "x", field=Field.NAMESPACE)),
            GLOBAL,
            ["10.1.0.0/16"],
        ),
        (
            Endpoints(labels=label("set"), sets=True, namespaces=label(NAME_LABEL, "south", field=Field.NAMESPACE)),
            GLOBAL,
            ["10.2.0.0/16"],
        ),
        (Endpoints(labels=label("set"), sets=True, global_sets=True), EAST, ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]),
        (Endpoints(labels=label("set"), pods=False, sets=True, global_sets=True, namespaces=NOTHING), EAST, ["10.3.0.0/16"]),
        (Endpoints(labels=label("set", "nothing"), sets=True, global_sets=True), EAST, []),
    ],
)  # fmt: skip
def test_address_sets_are_found_by_labels(term: Endpoints, policy: Placed, expected: list[str]) -> None:
    """CA-12: those of the namespaces, and those without a namespace where the term takes them."""
    found = with_sets()
    extent = found.extent(term, policy)
    outside = [number for number in found.masks.ids(extent.must).tolist() if number >= found.outside]
    addresses = AddressSet.union_of(found.cell_addresses[number - found.outside] for number in outside)
    assert addresses == AddressSet.union_of(AddressSet.cidr(block) for block in expected)
    pods = [number for number in found.masks.ids(extent.must).tolist() if number < found.pods]
    assert pods_in(found, pods) == []


@cache
def with_sets() -> Universe:
    spec = {"selector": "all()", "types": ["Ingress"], "ingress": [calico_rule("has(set)")]}
    return flows(
        [
            item("v1", "Namespace", "east", labels={"team": "x"}),
            # By an address that no set holds, so that none may be it.
            pod("bare", "east", address="192.0.2.1"),
            network_set("one", "east", "10.1.0.0/16", set="one"),
            network_set("two", "south", "10.2.0.0/16", set="two"),
            network_set("all", "", "10.3.0.0/16", set="three"),
            item("projectcalico.org/v3", "GlobalNetworkPolicy", "reads", spec=spec),
        ]
    ).universe


def test_blocks_hold_what_is_certainly_at_an_address() -> None:
    """N-12d: a pod without an address may be at any, except where the block is every address."""
    inner = {"ipBlock": {"cidr": "10.0.0.0/8"}}
    spec = {"podSelector": {}, "ingress": [{"from": [inner, {"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}
    found = flows(
        [
            pod("in", "east", address="10.1.2.3"),
            pod("out", "east", address="192.0.2.1"),
            pod("lost", "east"),
            item("networking.k8s.io/v1", "NetworkPolicy", "p", "east", spec=spec),
        ]
    ).universe

    def pods(mask: int) -> list[str]:
        return pods_in(found, [number for number in found.masks.ids(mask).tolist() if number < found.pods])

    block = found.extent(Addresses(blocks=AddressSet.cidr("10.0.0.0/8")), EAST)
    assert pods(block.must) == ["east/in"]
    assert pods(block.may) == ["east/in", "east/lost"]
    peers = found.peers((Peer(terms=(Addresses(blocks=AddressSet.cidr("10.0.0.0/8")),)),), EAST)
    assert (peers.must, peers.may) == (block.must, block.may)
    everywhere = found.extent(Addresses(blocks=AddressSet.cidr("0.0.0.0/0")), EAST)
    assert pods(everywhere.must) == pods(everywhere.may) == ["east/in", "east/lost", "east/out"]


@pytest.mark.parametrize(
    ("term", "hosts"),
    [
        (Endpoints(namespaces=label("policy-group.network.openshift.io/host-network", field=Field.NAMESPACE)), YES),
        (Endpoints(namespaces=Not(label("team", field=Field.NAMESPACE))), YES),
        (Endpoints(), NO),
        (Endpoints(namespaces=label("team", field=Field.NAMESPACE)), NO),
        (Endpoints(namespaces=Not(label("team", field=Field.NAMESPACE)), labels=label("app")), NO),
        (Endpoints(namespaces=Not(label("team", field=Field.NAMESPACE)), own=True), NO),
        (Endpoints(namespaces=Not(label("team", field=Field.NAMESPACE)), pods=False), NO),
    ],
)
def test_the_namespace_of_the_host_network(term: Endpoints, hosts: bool) -> None:
    """N-14c: as OpenShift reads a namespaceSelector, and nobody else."""
    peer = {"namespaceSelector": {"matchExpressions": [expression("DoesNotExist", key="team")]}}
    objects = [
        pod("web", "east", {"app": "web"}),
        item("v1", "Node", "n", status={"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]}),
        item("networking.k8s.io/v1", "NetworkPolicy", "p", "east", spec={"podSelector": {}, "ingress": [{"from": [peer]}]}),
    ]  # fmt: skip
    for profile, expected in (("ovn", hosts), ("upstream", NO)):
        found = flows(objects, profile).universe
        mask = found.extent(term, EAST).must
        assert (found.masks.intersection(mask, found.all_hosts) == found.all_hosts) is expected
        assert found.hosts == 1


# -- which policies are read, and in which order ---------------------------------------------------------------------------


def network_policy(name: str, namespace: str = "east", **spec: Any) -> Object:
    return item("networking.k8s.io/v1", "NetworkPolicy", name, namespace, spec={"podSelector": {}, **spec})


def admin_policy(name: str, priority: int) -> Object:
    spec = {
        "priority": priority,
        "subject": {"namespaces": {}},
        "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}],
    }
    return item("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", name, spec=spec)


def global_policy(name: str, tier: str = "", order: float | None = None, *types: str) -> Object:
    spec: Object = {"selector": "all()", "types": list(types or ("Ingress",))}
    spec |= ({"tier": tier} if tier else {}) | ({"order": order} if order is not None else {})
    return item("projectcalico.org/v3", "GlobalNetworkPolicy", name, spec=spec)


def tier(name: str, order: float | None, action: str = "Deny") -> Object:
    spec = {"defaultAction": action} | ({"order": order} if order is not None else {})
    return item("projectcalico.org/v3", "Tier", name, spec=spec)


def names(found: Iterable[Placed]) -> list[str]:
    return [policy.ref.name for policy in found]


def test_policies_stand_in_order_of_tier_and_order() -> None:
    """CA-01, CA-05, C-11: by tier, then by order, then by name; NetworkPolicy among Calico's at 1000."""
    found = flows(
        [
            network_policy("np-b"),
            network_policy("np-a", "west"),
            network_policy("np-a", "north"),
            admin_policy("late", 9),
            admin_policy("early", 1),
            global_policy("after", "", 2000),
            global_policy("before", "", 10),
            global_policy("last"),
            tier("first", 5),
            global_policy("high", "first", 3),
        ]
    ).policies
    assert [f"{policy.ref.namespace or ''}/{policy.ref.name}" for policy in found.placed] == [
        "/high",
        "/early",
        "/late",
        "/before",
        "north/np-a",
        "west/np-a",
        "east/np-b",
        "/after",
        "/last",
    ]
    assert found.placed[0].tier == Tier(5, "first", Action.DENY)
    assert found.placed[-1].tier == DEFAULT
    by_tier = {tier.name: numbers for tier, numbers in found.tiers(Direction.INGRESS)}
    assert by_tier == {"first": [0], "adminnetworkpolicy": [1, 2], "default": [3, 4, 5, 6, 7, 8]}
    assert list(by_tier) == ["first", "adminnetworkpolicy", "default"]
    assert list(found.tiers(Direction.EGRESS)) == []
    assert {name: names(policies) for name, policies in found.in_namespace.items()} == {
        "east": ["np-b"],
        "north": ["np-a"],
        "west": ["np-a"],
    }


def test_a_tier_that_nobody_defines_is_named() -> None:
    """C-09: its policies are not read. One without an order is the last."""
    found = flows(
        [
            tier("open", None, "Pass"),
            global_policy("in-open", "open", 1),
            global_policy("lost", "missing", 1),
            global_policy("plain", "default", 1),
        ]
    ).policies
    assert names(found.placed) == ["plain", "in-open"]
    assert found.placed[1].tier == Tier(float("inf"), "open", Action.PASS)
    assert [(placed.ref.name, name) for placed, name in found.unknown_tiers] == [("lost", "missing")]


def test_foreign_kinds_are_left_out_and_named() -> None:
    """S-08 of network.md: kinds that an implementation does not read."""
    objects = [network_policy("np"), admin_policy("anp", 1), global_policy("gnp")]
    for profile, read, foreign in (
        ("upstream", ["anp", "np", "gnp"], []),
        ("calico", ["np", "gnp"], ["anp"]),
        ("antrea", ["anp", "np"], ["gnp"]),
    ):
        found = flows(objects, profile).policies
        assert names(found.placed) == read
        assert [ref.name for ref in found.foreign] == foreign
    assert UPSTREAM.foreign == ()


def test_equal_priorities_are_ties() -> None:
    """A-04: of one tier and one priority; NetworkPolicies, all of one order, are none."""
    found = flows(
        [
            admin_policy("a", 1),
            admin_policy("b", 2),
            admin_policy("c", 2),
            network_policy("d"),
            network_policy("e"),
        ]
    ).policies
    assert found.ties == ((1, 2),)
    assert [names(group) for group in together(found.placed)] == [["a"], ["b", "c"], ["d"], ["e"]]
    assert [names(group) for group in together(found.placed[1:3])] == [["b", "c"]]


def test_rules_are_named_with_their_lines(tmp_path: Any) -> None:
    """Of a policy in order of ingress and egress; a rule's line is its own."""
    path = tmp_path / "p.yaml"
    path.write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: a}\nspec:\n"
        "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n  ingress:\n  - {}\n  - ports: [{port: 1}]\n  egress:\n  - {}\n",
        encoding="utf-8",
    )
    policies = gather(path)
    found = [(direction, rule.index, placed.rule_source(direction, rule).line) for placed, direction, rule in policies.rules()]  # fmt: skip
    assert found == [(Direction.INGRESS, 0, 8), (Direction.INGRESS, 1, 9), (Direction.EGRESS, 0, 11)]
    path.write_text(path.read_text().replace("[Ingress, Egress]", "[Egress]"), encoding="utf-8")
    policies = gather(path)
    found = [(direction, rule.index, placed.rule_source(direction, rule).line) for placed, direction, rule in policies.rules()]  # fmt: skip
    assert found == [(Direction.EGRESS, 0, 11)]


def gather(path: Any) -> Policies:
    return Flows(gs.load(path).cluster, UPSTREAM).policies


def test_a_rule_of_an_input_without_lines_stands_at_its_policy() -> None:
    found = flows([network_policy("p", ingress=[{}, {}])]).policies
    assert [placed.rule_source(direction, rule) for placed, direction, rule in found.rules()] == [
        found.placed[0].source
    ] * 2


def test_policies_of_equal_order_and_name_stand_by_namespace() -> None:
    """CA-05; one without a namespace first."""
    objects = [
        item("projectcalico.org/v3", "NetworkPolicy", "a", namespace, spec={"order": 1, "selector": "all()"})
        for namespace in ("south", "east")
    ]
    found = flows([*objects, global_policy("a", "", 1)]).policies
    assert [policy.ref.namespace for policy in found.placed] == [None, "east", "south"]


def test_policies_that_are_equal_but_for_their_kind_stand_by_it() -> None:
    """Whatever the order of the input: Calico's own policy may bear the name under which it reads a NetworkPolicy."""
    calico = item(
        "projectcalico.org/v3", "NetworkPolicy", "knp.default.x", "east", spec={"order": 1000, "selector": "all()"}
    )
    objects = [calico, network_policy("x")]
    orders = [[str(policy.ref) for policy in flows(given).policies.placed] for given in (objects, objects[::-1])]
    assert orders[0] == orders[1]


# -- what of an endpoint policies read --------------------------------------------------------------------------------------


def calico_policy(*rules: Object, **spec: Any) -> Object:
    direction = {"types": ["Ingress", "Egress"], "ingress": list(rules), "egress": list(rules)}
    return item("projectcalico.org/v3", "GlobalNetworkPolicy", "p", spec={**direction, **spec})


def test_what_policies_read_of_an_endpoint() -> None:
    """Every label, port name and block that any part of a policy says, and nothing else: classes are told apart by these."""
    peers = [
        {"namespaceSelector": {"matchLabels": {"peer-ns": "a"}}, "podSelector": {"matchLabels": {"peer": "a"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8"}},
    ]
    named = {"protocol": "TCP", "port": "web"}
    allowed = {
        "action": "Allow",
        "protocol": "TCP",
        "source": {"selector": "has(src)", "notSelector": "has(notsrc)"},
        "destination": {"selector": "has(dst)", "notSelector": "has(notdst)", "ports": [8080], "notPorts": ["admin"]},
    }
    found = flows(
        [
            pod("web", "east", {"app": "web", "unread": "1"}),
            service("served", "east", {"behind": "a"}),
            network_policy("np", podSelector={"matchLabels": {"subject": "a"}}, ingress=[{"from": peers, "ports": [named]}]),
            calico_policy(allowed, selector="has(global)", namespaceSelector="has(team)", serviceAccountSelector="has(role)"),
        ]
    )._vocabulary  # fmt: skip
    # What an ingress rule says of its destination narrows the policy's own pods.
    narrowed = {"action": "Allow", "destination": {"selector": "has(narrow)"}}
    rule = calico_policy(selector="all()", types=["Ingress"], ingress=[narrowed], egress=[])
    assert flows([rule])._vocabulary.own == {"narrow"}
    assert found.own == {"subject", "peer", "src", "notsrc", "dst", "notdst", "global"}
    assert found.account == {"role"}
    assert found.names == {"web", "admin"}
    assert found.blocks == (AddressSet.cidr("10.0.0.0/8"),)
    assert not found.node_labels
    assert found.ordinals is None
    assert {str(ports) for ports in found.ports} >= {"TCP 8080"}


def test_labels_of_services_and_blocks_of_sets_are_read_where_a_policy_may_mean_them() -> None:
    """A rule with `services` reads what services select; a selector of an entity may be an address set's (CA-12)."""
    objects = [service("served", "east", {"behind": "a"}), network_set("one", "east", "10.1.0.0/16", set="one")]
    plain = flows([*objects, network_policy("np", ingress=[{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}])])
    assert plain._vocabulary.own == {"a"}
    assert plain._vocabulary.blocks == ()
    by_service = {"action": "Allow", "destination": {"services": {"name": "served", "namespace": "east"}}}
    assert flows(
        [*objects, calico_policy(by_service, selector="all()", types=["Egress"], ingress=[])]
    )._vocabulary.own == {"behind"}
    by_set = {"action": "Allow", "source": {"selector": "has(set)"}}
    for others in (
        [],
        [network_policy("after")],
        [network_policy("after", ingress=[{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}])],
    ):
        found = flows([*objects, calico_policy(by_set, selector="all()", order=1), *others])
        assert found._vocabulary.blocks == (AddressSet.cidr("10.1.0.0/16"),)


@pytest.mark.parametrize(
    ("selector", "ordinals"),
    [
        ({"app": "db"}, None),
        ({"statefulset.kubernetes.io/pod-name": "db-1", "app": "db"}, {"db-1"}),
        ({"apps.kubernetes.io/pod-index": "2"}, {"2"}),
    ],
)
def test_replicas_that_policies_tell_apart(selector: dict[str, str], ordinals: set[str] | None) -> None:
    """R-05: by the labels that a StatefulSet gives each pod."""
    found = flows([network_policy("np", podSelector={"matchLabels": selector})])
    assert found._vocabulary.ordinals == ordinals


def node(name: str, address: str, **labels: str) -> Object:
    return item("v1", "Node", name, labels=labels, status={"addresses": [{"type": "InternalIP", "address": address}]})


def test_nodes_by_their_labels() -> None:
    """A-08, R-20: certainly those with the labels; those whose object is not in the input may have them."""
    to = {"action": "Allow", "to": [{"nodes": {"matchLabels": {"role": "a"}}}]}
    spec = {"priority": 1, "subject": {"namespaces": {}}, "egress": [to]}
    policy = item("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "p", spec=spec)
    host = pod("host", "east", address="192.0.2.3", hostNetwork=True, nodeName="unseen")
    loaded = flows(
        [node("a", "192.0.2.1", role="a"), node("b", "192.0.2.2", role="b"), host, pod("web", "east"), policy]
    )
    found = loaded.universe
    assert loaded._vocabulary.node_labels
    extent = found.extent(Nodes(labels=label("role", "a")), GLOBAL)
    [own], [unseen] = found.node_classes["a"], found.host_classes[found.host_pods[0]]
    assert found.masks.ids(extent.must).tolist() == [own]
    assert found.masks.ids(extent.may).tolist() == sorted([own, unseen])
    # A peer that may mean more than it certainly does, beside one that is exact.
    exact = Peer(terms=(Endpoints(labels=NOTHING),))
    peers = found.peers((exact, Peer(terms=(Nodes(labels=label("role", "a")),))), GLOBAL)
    assert (peers.must, peers.may) == (extent.must, extent.may)


def test_a_block_of_sets_may_hold_what_has_no_address() -> None:
    """CA-12, N-12d: pods that are meant by their labels, and those that may be at an address of the set."""
    spec = {"selector": "all()", "types": ["Ingress"], "ingress": [calico_rule("has(set)")]}
    found = flows(
        [
            pod("lost", "east"),
            pod("labelled", "east", {"set": "x"}, address="192.0.2.1"),
            network_set("one", "east", "10.1.0.0/16", set="one"),
            item("projectcalico.org/v3", "GlobalNetworkPolicy", "reads", spec=spec),
        ]
    ).universe
    extent = found.extent(Endpoints(labels=label("set"), sets=True), EAST)
    for mask, pods in ((extent.must, ["east/labelled"]), (extent.may, ["east/labelled", "east/lost"])):
        numbers = found.masks.ids(mask).tolist()
        assert pods_in(found, [number for number in numbers if number < found.pods]) == pods
        assert any(number >= found.outside for number in numbers)
    without_pods = found.extent(Endpoints(labels=label("set"), sets=True, pods=False), EAST)
    assert [n for n in found.masks.ids(without_pods.must).tolist() if n < found.pods] == []


def test_namespaces_of_finished_pods_and_without_pods_are_known() -> None:
    """N-18a: a question may name them."""
    done = pod("done", "over")
    done["status"] = {"phase": "Succeeded"}
    found = flows([done, pod("web", "here"), item("v1", "Namespace", "bare", labels={"team": "z"})]).universe
    assert [name for name in found.namespaces if "{" not in name] == ["bare", "here", "over"]
    assert found.unlabelled == ["here"]
    many = [pod("web", name) for name in ("z", "b", "m", "c", "y", "a")]
    assert flows(many).universe.unlabelled == ["a", "b", "c", "m", "y", "z"]
    assert found.namespace_labels("bare") == {"team": "z", NAME_LABEL: "bare"}


def test_a_pod_without_an_address_may_be_of_either_family() -> None:
    """N-12d, N-20: where there is IPv6, every IPv4 address is not every address."""
    peers = [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "2001:db8::/32"}}]
    found = flows([pod("lost", "east"), network_policy("np", ingress=[{"from": peers}])]).universe
    extent = found.extent(Addresses(blocks=AddressSet.cidr("0.0.0.0/0")), EAST)
    must, may = (
        pods_in(found, [number for number in found.masks.ids(mask).tolist() if number < found.pods])
        for mask in (extent.must, extent.may)
    )
    assert (must, may) == ([], ["east/lost"])


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("k", "v", YES),
        ("k", "", YES),
        ("k", "v" * 63, YES),
        ("k", "v" * 64, NO),
        ("k" * 63, "v", YES),
        ("k" * 64, "v", NO),
        ("x.io/k", "v", YES),
        ("x.io/" + "k" * 63, "v", YES),
        ("X.io/k", "v", NO),
        ("/k", "v", NO),
        ("x.io/", "v", NO),
        ("a/b/k", "v", NO),
        ("", "v", NO),
        ("-k", "v", NO),
        ("k", "v-", NO),
        ("k", "a/b", NO),
    ],
)
def test_what_the_api_server_takes_for_a_label(key: str, value: str, accepted: bool) -> None:
    """N-07b: in matchLabels and in expressions."""
    for selector in ({"matchLabels": {key: value}}, {"matchExpressions": [expression("In", value, key=key)]}):
        loaded = gs.load({"apiVersion": "v1", "kind": "List", "items": [network_policy("np", podSelector=selector)]})
        assert ("GS-IN-024" not in {found.code for found in loaded.diagnostics}) is accepted
