"""Tables of truth about network policies, as data: objects, and connections with the verdict that the ids give.

Sources: kubernetes/kubernetes test/e2e/network/netpol/network_policy.go (Apache-2.0), its 48 specs re-typed in file
order; kubernetes-sigs/network-policy-api conformance/base (Apache-2.0), verdicts derived by hand from C-01 to C-12;
ahmetb/kubernetes-network-policy-recipes (Apache-2.0), with the outcomes that its author states; network.md §3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
CONFORMANCE = Path(__file__).parents[1] / "fixtures" / "oracle" / "netpol" / "cnp-conformance"
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Packet:
    """Ends are ``ns/pod`` or addresses."""

    src: str
    dst: str
    protocol: str
    port: int
    allowed: bool
    rule: str


@dataclass(frozen=True)
class Table:
    """``note`` says what no connection can show; such a table may have none."""

    id: str
    objects: list[Object]
    packets: tuple[Packet, ...] = ()
    note: str = ""


def packets(text: str, names: Mapping[str, str] | None = None) -> tuple[Packet, ...]:
    """One line is ``from to protocol port,port yes|no rules``."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        src, dst, protocol, ports, allowed, rule = line.split(maxsplit=5)
        src, dst = (names or {}).get(src, src), (names or {}).get(dst, dst)
        verdict = {"yes": True, "no": False}[allowed]
        found += [Packet(src, dst, protocol, int(port), verdict, rule) for port in ports.split(",")]
    return tuple(found)


# --- Objects


def obj(kind: str, name: str, spec: Object | None = None, /, *, api: str = "v1", **metadata: Any) -> Object:
    made: Object = {"apiVersion": api, "kind": kind, "metadata": {"name": name, **metadata}}
    return made if spec is None else {**made, "spec": spec}


def namespace(name: str, **labels: str) -> Object:
    return obj("Namespace", name, labels=labels)


def node(name: str, *addresses: tuple[str, str], **labels: str) -> Object:
    rows = [{"type": kind, "address": address} for kind, address in addresses]
    return {**obj("Node", name, labels=labels), "status": {"addresses": rows}}


def pod(
    end: str,
    ip: str = "",
    labels: Mapping[str, str] | None = None,
    ports: Iterable[str] = (),
    on: str = "",
    **spec: Any,
) -> Object:
    """``ports`` are ``name=number/PROTOCOL``; each gets a container of its own."""
    near, name = end.split("/")
    containers = [{"name": f"c{index}", "ports": [declared(port)]} for index, port in enumerate(ports)]
    spec = {"containers": containers or [{"name": "c0"}], **({"nodeName": on} if on else {}), **spec}
    made = obj("Pod", name, spec, namespace=near, labels=dict(labels or {}))
    return {**made, "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}} if ip else made


def declared(port: str) -> Object:
    name, _, rest = port.partition("=")
    number, _, protocol = rest.partition("/")
    return {"name": name, "containerPort": int(number), **({"protocol": protocol} if protocol else {})}


def netpol(name: str, near: str, subject: Object | None, **spec: Any) -> Object:
    return obj("NetworkPolicy", name, {"podSelector": subject, **spec}, api="networking.k8s.io/v1", namespace=near)


def cluster_policy(name: str, tier: str, priority: int, subject: Object, **rules: Any) -> Object:
    spec = {"tier": tier, "priority": priority, "subject": subject, **rules}
    return obj("ClusterNetworkPolicy", name, spec, api="policy.networking.k8s.io/v1alpha2")


def admin_policy(name: str, priority: int, subject: Object, **rules: Any) -> Object:
    spec = {"priority": priority, "subject": subject, **rules}
    return obj("AdminNetworkPolicy", name, spec, api="policy.networking.k8s.io/v1alpha1")


def calico(kind: str, name: str, spec: Object, /, **metadata: Any) -> Object:
    return obj(kind, name, spec, api="projectcalico.org/v3", **metadata)


def having(**labels: str) -> Object:
    return {"matchLabels": labels}


def named(name: str) -> Object:
    """The namespace of this name (N-08a)."""
    return {"matchLabels": {NAME: name}}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": [*values]} if values else {})}]}


# --- The 48 upstream specs (network.md §6.4)


@dataclass(frozen=True)
class Case:
    """One probe of an upstream spec; ``E-15.2`` is the second probe of spec 15.

    ``exceptions`` are (from, to, allowed) in the order of the source, where a later one overrides; ``*`` stands for any.
    Loopback is not asked, as upstream ignores it.
    """

    id: str
    world: tuple[str, ...]
    objects: list[Object]
    probe: tuple[str, int]
    exceptions: list[tuple[str, str, bool]]
    rules: tuple[str, ...]
    default: bool = True
    serves: tuple[str, ...] = ("TCP/80",)
    pod_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    namespace_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def table(self) -> Table:
        ends = [(src, dst) for src in self.world for dst in self.world if src != dst]
        asked = (Packet(src, dst, *self.probe, self.expected(src, dst), " ".join(self.rules)) for src, dst in ends)
        namespaces = [namespace(name, **self.namespace_labels.get(name, {})) for name in "xyz"]
        return Table(self.id, [*namespaces, *map(self.pod, self.world), *self.objects], tuple(asked))

    def expected(self, src: str, dst: str) -> bool:
        verdict = self.default
        for from_, to, allowed in self.exceptions:
            if is_end(from_, src) and is_end(to, dst):
                verdict = allowed
        return verdict

    def pod(self, end: str) -> Object:
        ports = (serve.split("/") for serve in self.serves)
        shown = [f"serve-{number}-{protocol.lower()}={number}/{protocol}" for protocol, number in ports]
        labels = {"pod": end.split("/")[1], **self.pod_labels.get(end, {})}
        return pod(end, address_of(end), labels, shown)


def is_end(pattern: str, end: str) -> bool:
    return pattern in {"*", end, f"{end.split('/', maxsplit=1)[0]}/*"}


def address_of(end: str) -> str:
    near, name = end.split("/")
    return f"10.0.{'xyz'.index(near)}.{'abc'.index(name) + 1}"


def ingress(name: str, subject: Object, *rules: Object, near: str = "x") -> Object:
    return netpol(name, near, subject, policyTypes=["Ingress"], ingress=[*rules])


def egress(name: str, subject: Object, *rules: Object, near: str = "x") -> Object:
    return netpol(name, near, subject, policyTypes=["Egress"], egress=[*rules])


def both(name: str, subject: Object, in_rules: list[Object], out_rules: list[Object]) -> Object:
    return netpol(name, "x", subject, policyTypes=["Ingress", "Egress"], ingress=in_rules, egress=out_rules)


def from_(*peers: Object, **rest: Any) -> Object:
    return {"from": [*peers], **rest}


def to(*peers: Object, **rest: Any) -> Object:
    return {"to": [*peers], **rest}


def pods(selector: Object) -> Object:
    return {"podSelector": selector}


def spaces(selector: Object, pods: Object | None = None) -> Object:
    return {"namespaceSelector": selector} | ({} if pods is None else {"podSelector": pods})


def block(cidr: str, *excepted: str) -> Object:
    return {"ipBlock": {"cidr": cidr, **({"except": [*excepted]} if excepted else {})}}


A, B = having(pod="a"), having(pod="b")
NOT_X, NOT_Y = expression(NAME, "NotIn", "x"), expression(NAME, "NotIn", "y")
DENY_IN = ingress("deny-ingress", {})
ONE, TWO = ("TCP", 80), ("TCP", 81)
PORTS = ("TCP/80", "TCP/81")
XY, XXY = ("x/a", "y/a"), ("x/a", "x/b", "y/a")
XXYZ, XXYYZ = (*XXY, "z/a"), ("x/a", "x/b", "y/a", "y/b", "z/a")
FROM_Y_81 = ingress("y-81", A, from_(spaces(named("y")), ports=[{"port": 81, "protocol": "TCP"}]))
FROM_Y_80 = ingress("y-80", A, from_(spaces(named("y")), ports=[{"port": 80, "protocol": "TCP"}]))
FROM_Y_A = ingress("y-a", A, from_(spaces(named("y"), A)))
NAMED_81 = ingress("serve-81", {}, {"ports": [{"port": "serve-81-tcp"}]})
NAMED_80_Y = ingress("y-serve-80", A, from_(spaces(named("y")), ports=[{"port": "serve-80-tcp", "protocol": "TCP"}]))
NAMED_80_OUT = egress("serve-80", {}, {"ports": [{"port": "serve-80-tcp"}]})
LABELLED = ingress("ns2", A, from_(spaces(having(ns2="updated"))))
RELABELLED = ingress("pod2", A, from_(pods(having(pod="b", pod2="updated"))))
ISOLATED = ingress("isolated", having(target="isolated"))
BOTH_WAYS = both("both", A, [from_(pods(B))], [{"ports": [{"port": 80}]}])
ONLY_TCP = ingress("tcp", A, {"ports": [{"protocol": "TCP"}]})
IN_80, IN_ALL = ingress("in-80", {}, {"ports": [{"port": 80}]}), ingress("in-all", {}, {})
OUT_80, OUT_ALL = egress("out-80", {}, {"ports": [{"port": 80}]}), egress("out-all", {}, {})
DENY_ALL = both("deny-all", {}, [], [])
TO_Y_A = egress("to-y-a", A, to(spaces(named("y"), A)))
FROM_X_A = [ingress(f"x-a-{name}", having(pod=name), from_(spaces(named("x"), A)), near="y") for name in "ab"]
AROUND_B = egress("cidr", A, to(block("0.0.0.0/4", "10.0.0.2/32")))
JUST_B = egress("cidr", A, to(block("10.0.0.2/32")))
FREE_A = egress("free-a", A, {})
SCTP_81 = ingress("sctp-81", A, {"ports": [{"port": 81, "protocol": "SCTP"}]})
SCTP_80 = ingress("sctp-80", A, {"ports": [{"port": 80, "protocol": "SCTP"}]})
UDP_81 = ingress("udp-81", A, {"ports": [{"port": 81, "protocol": "UDP"}]})


def of_y_on_81(protocol: str) -> Object:
    return ingress("y-81", A, from_(spaces(named("y")), ports=[{"port": 81, "protocol": protocol}]))


INTO_X, OUT_OF_X = ("*", "x/*", False), ("x/*", "*", False)
INTO_A, OUT_OF_A = ("*", "x/a", False), ("x/a", "*", False)
B_TO_A, Y_TO_A = ("x/b", "x/a", True), ("y/a", "x/a", True)
X_TO_A, Z_TO_A = ("x/*", "x/a", False), ("z/*", "x/a", False)

CASES = [
    Case("E-01", ("x/a", "x/b", "y/a", "y/b"), [DENY_IN], ONE, [INTO_X], ("N-04a",)),
    Case("E-02", XXY, [DENY_ALL], ONE, [INTO_X, OUT_OF_X], ("N-04a",)),
    Case(
        "E-03",
        ("x/a", "x/b", "x/c", "y/a"),
        [ingress("b", A, from_(pods(B)))],
        ONE,
        [INTO_A, B_TO_A],
        ("N-06c",),
    ),
    Case(
        "E-04",
        XXY,
        [ingress("deny-all", {}), ingress("all-to-a", A, from_(spaces({}, {})))],
        ONE,
        [("*", "x/a", True), ("*", "x/b", False)],
        ("N-01d", "N-06d"),
    ),
    Case("E-05", XXYZ, [ingress("all", A, from_(spaces({"matchLabels": {}})))], ONE, [], ("N-06d",)),
    Case("E-06", XXYZ, [ingress("y", A, from_(spaces(named("y"))))], ONE, [X_TO_A, Z_TO_A], ("N-06", "N-08a")),
    Case(
        "E-07",
        XXY,
        [ingress("b", A, from_(pods(expression("pod", "In", "b"))))],
        ONE,
        [INTO_A, B_TO_A],
        ("N-07a",),
    ),
    Case(
        "E-08",
        XXYZ,
        [ingress("y", A, from_(spaces(expression(NAME, "In", "y"))))],
        ONE,
        [X_TO_A, Z_TO_A],
        ("N-07a", "N-08a"),
    ),
    Case(
        "E-09",
        ("x/a", "x/b", "x/c", "y/a"),
        [ingress("either", A, from_(spaces(NOT_X), pods(B)))],
        ONE,
        [("x/a", "x/a", False), ("x/c", "x/a", False)],
        ("N-06b",),
    ),
    Case(
        "E-10",
        ("x/a", "x/b", "y/a", "y/b", "z/b"),
        [ingress("and", A, from_(spaces(NOT_X, B)))],
        ONE,
        [INTO_A, ("y/b", "x/a", True), ("z/b", "x/a", True)],
        ("N-06a",),
    ),
    Case(
        "E-11",
        ("x/a", "x/b", "y/a", "y/b", "y/c"),
        [ingress("b-c", A, from_(spaces(NOT_X, expression("pod", "In", "b", "c"))))],
        ONE,
        [X_TO_A, ("y/a", "x/a", False)],
        ("N-06a", "N-07a"),
    ),
    Case(
        "E-12",
        ("x/a", "x/b", "x/c"),
        [ingress("b-c", A, from_(pods(B), pods(having(pod="c"))))],
        ONE,
        [INTO_A, B_TO_A, ("x/c", "x/a", True)],
        ("N-06b",),
    ),
    Case("E-13", XXYYZ, [FROM_Y_A], ONE, [INTO_A, Y_TO_A], ("N-06a",)),
    Case(
        "E-14",
        XXYYZ,
        [FROM_Y_81],
        TWO,
        [X_TO_A, ("y/*", "x/a", True), Z_TO_A],
        ("N-05",),
        serves=("TCP/81",),
    ),
    Case("E-15.1", XXYYZ, [FROM_Y_81], TWO, [X_TO_A, ("y/*", "x/a", True), Z_TO_A], ("N-05",), serves=PORTS),
    Case("E-15.2", XXYYZ, [FROM_Y_81], ONE, [INTO_A], ("N-05",), serves=PORTS),
    Case(
        "E-15.3",
        XXYYZ,
        [FROM_Y_81, FROM_Y_80],
        ONE,
        [X_TO_A, ("y/*", "x/a", True), Z_TO_A],
        ("N-01a", "N-01d"),
        serves=PORTS,
    ),
    Case("E-16.1", XXY, [IN_ALL], ONE, [], ("N-04b",), serves=PORTS),
    Case("E-16.2", XXY, [IN_ALL], TWO, [], ("N-04b",), serves=PORTS),
    Case("E-17.1", XXY, [NAMED_81], TWO, [], ("N-09a",), serves=PORTS),
    Case("E-17.2", XXY, [NAMED_81], ONE, [INTO_X], ("N-09a",), serves=PORTS),
    Case("E-18.1", XXYZ, [NAMED_80_Y], ONE, [X_TO_A, Z_TO_A], ("N-09a",), serves=PORTS),
    Case("E-18.2", XXYZ, [NAMED_80_Y], TWO, [INTO_A], ("N-09a",), serves=PORTS),
    Case("E-19.1", XY, [NAMED_80_OUT], ONE, [], ("N-09f",), serves=PORTS),
    Case("E-19.2", XY, [NAMED_80_OUT], TWO, [OUT_OF_X], ("N-09f",), serves=PORTS),
    Case("E-20.1", XY, [IN_ALL], TWO, [], ("N-04b",), serves=("TCP/81",)),
    Case("E-20.2", XY, [ingress("in-all", {})], TWO, [INTO_X], ("N-04a",), serves=("TCP/81",)),
    Case("E-21.1", XY, [LABELLED], ONE, [INTO_A], ("N-06",)),
    Case(
        "E-21.2",
        XY,
        [LABELLED],
        ONE,
        [INTO_A, ("y/*", "*", True)],
        ("N-06",),
        namespace_labels={"y": {"ns2": "updated"}},
    ),
    Case("E-22.1", ("x/a", "x/b"), [RELABELLED], ONE, [INTO_A], ("N-07a",)),
    Case(
        "E-22.2",
        ("x/a", "x/b"),
        [RELABELLED],
        ONE,
        [INTO_A, B_TO_A],
        ("N-07a",),
        pod_labels={"x/b": {"pod2": "updated"}},
    ),
    Case(
        "E-23",
        XXYZ,
        [ingress("own", {}, from_(pods({"matchLabels": {}})))],
        ONE,
        [("y/*", "x/*", False), ("z/*", "x/*", False)],
        ("N-06e",),
    ),
    Case("E-24.1", XY, [ISOLATED], ONE, [], ("N-01d",)),
    Case("E-24.2", XY, [ISOLATED], ONE, [INTO_A], ("N-04a",), pod_labels={"x/a": {"target": "isolated"}}),
    Case("E-25", XXY, [egress("deny-a", A)], ONE, [OUT_OF_A], ("N-04a",)),
    Case("E-26", XXY, [egress("deny-x", {})], ONE, [OUT_OF_X], ("N-04a",)),
    Case("E-27.1", ("x/a", "x/b", "x/c", "y/a"), [BOTH_WAYS], ONE, [INTO_A, B_TO_A], ("N-01c",), serves=PORTS),
    Case(
        "E-27.2",
        ("x/a", "x/b", "x/c", "y/a"),
        [BOTH_WAYS],
        TWO,
        [INTO_A, OUT_OF_A, B_TO_A],
        ("N-01c", "N-05"),
        serves=PORTS,
    ),
    Case(
        "E-28",
        ("x/a", "y/a", "y/b"),
        [TO_Y_A, *FROM_X_A],
        ONE,
        [OUT_OF_A, ("*", "y/a", False), ("x/a", "y/a", True), ("*", "y/b", False)],
        ("N-01b",),
    ),
    Case("E-29", ("x/a", "y/a", "y/b"), [TO_Y_A], ONE, [OUT_OF_A, ("x/a", "y/a", True)], ("N-06a",)),
    Case("E-30.1", XY, [ONLY_TCP], ONE, [], ("N-05c", "N-05d"), serves=("TCP/80", "UDP/80")),
    Case("E-30.2", XY, [ONLY_TCP], ("UDP", 80), [INTO_A], ("N-05c", "N-05d"), serves=("TCP/80", "UDP/80")),
    Case("E-31.1", XY, [IN_80], TWO, [INTO_X], ("N-05",), serves=("TCP/81",)),
    Case("E-31.2", XY, [IN_80, IN_ALL], TWO, [], ("N-01a",), serves=("TCP/81",)),
    Case("E-32.1", XY, [OUT_80], TWO, [OUT_OF_X], ("N-05",), serves=("TCP/81",)),
    Case("E-32.2", XY, [OUT_80, OUT_ALL], TWO, [], ("N-01a",), serves=("TCP/81",)),
    Case("E-33.1", XY, [DENY_ALL], ONE, [OUT_OF_X, INTO_X], ("N-04a",)),
    Case("E-33.2", XY, [], ONE, [], ("N-01d",)),
    Case(
        "E-34",
        ("x/a", "y/a", "y/b"),
        [egress("cidr", A, to(block(f"{address_of('y/b')}/32")))],
        ONE,
        [OUT_OF_A, ("x/a", "y/b", True)],
        ("N-12c",),
    ),
    Case("E-35", ("x/a", "x/b", "x/c"), [AROUND_B], ONE, [("x/a", "x/b", False)], ("N-12a", "N-12c")),
    Case("E-36.1", ("x/a", "x/b", "x/c"), [AROUND_B], ONE, [("x/a", "x/b", False)], ("N-12a", "N-12c")),
    # Upstream updates the policy here, so that the block with the exception is gone; both together are table N-12b.
    Case("E-36.2", ("x/a", "x/b", "x/c"), [JUST_B], ONE, [OUT_OF_A, ("x/a", "x/b", True)], ("N-12c",)),
    Case("E-37.1", XXY, [FREE_A], ONE, [], ("N-04b",)),
    Case("E-37.2", XXY, [FREE_A, ingress("deny-a", A)], ONE, [INTO_A], ("N-01c",)),
    Case("E-38", XY, [DENY_IN, SCTP_81], TWO, [INTO_X], ("N-11c",), serves=("TCP/81",)),
    Case("E-39", XY, [SCTP_80], TWO, [INTO_A], ("N-11c",), serves=("TCP/81",)),
    Case("E-40", XY, [UDP_81], TWO, [INTO_A], ("N-05",), serves=("TCP/81",)),
    Case("E-41", XXYZ, [ingress("y", A, from_(spaces(named("y"))))], ONE, [X_TO_A, Z_TO_A], ("N-08a",)),
    Case("E-42", XXYZ, [egress("not-y", A, to(spaces(NOT_Y)))], ONE, [("x/a", "y/*", False)], ("N-08a", "N-07c")),
    *(
        case
        for number, protocol in ((43, "UDP"), (46, "SCTP"))
        for case in (
            Case(
                f"E-{number}",
                ("x/a", "x/b", "y/a", "y/b"),
                [DENY_IN],
                (protocol, 80),
                [INTO_X],
                ("N-04a",),
                serves=(f"{protocol}/80",),
            ),
            Case(
                f"E-{number + 1}",
                XXYZ,
                [of_y_on_81(protocol)],
                (protocol, 81),
                [X_TO_A, Z_TO_A],
                ("N-05", "N-11b"),
                serves=(f"{protocol}/81",),
            ),
            Case(
                f"E-{number + 2}",
                XXY,
                [FROM_Y_A],
                (protocol, 80),
                [INTO_A, Y_TO_A],
                ("N-06a",),
                serves=(f"{protocol}/80",),
            ),
        )
    ),
]

# --- ClusterNetworkPolicy conformance (verdicts by hand, C-ids)

#: What the StatefulSets of the conformance world create, by a letter of the house; F is hostNetwork.
HOUSES = {
    "G": ("gryffindor", "harry-potter"),
    "S": ("slytherin", "draco-malfoy"),
    "H": ("hufflepuff", "cedric-diggory"),
    "R": ("ravenclaw", "luna-lovegood"),
    "F": ("forbidden-forrest", "centaur"),
}
WIZARDS = {
    f"{letter}{index}": f"network-policy-conformance-{house}/{name}-{index}"
    for letter, (house, name) in HOUSES.items()
    for index in (0, 1)
}
NODE_IPS = ("192.168.10.1", "192.168.10.2")


def conformance_world() -> list[Object]:
    """The namespaces, two Linux nodes, and the pods in place of their StatefulSets."""
    with (CONFORMANCE / "manifests.yaml").open() as file:
        loaded = list(yaml.safe_load_all(file))
    nodes = [node(f"node-{i}", ("InternalIP", ip), **{"kubernetes.io/os": "linux"}) for i, ip in enumerate(NODE_IPS)]
    sets = [found for found in loaded if found["kind"] == "StatefulSet"]
    replicas = [replica(found, house, index) for house, found in enumerate(sets) for index in (0, 1)]
    return [found for found in loaded if found["kind"] == "Namespace"] + nodes + replicas


def replica(stateful_set: Object, house: int, index: int) -> Object:
    metadata, template = stateful_set["metadata"], stateful_set["spec"]["template"]
    spec = {**template["spec"], "nodeName": f"node-{index}"}
    ip = NODE_IPS[index] if spec.get("hostNetwork") else f"10.0.{house}.{index + 1}"
    name = f"{metadata['name']}-{index}"
    made = obj("Pod", name, spec, namespace=metadata["namespace"], labels=template["metadata"]["labels"])
    return {**made, "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}


def conformance(manifest: str, text: str, *, variant: str = "", change: Mapping[str, Any] | None = None) -> Table:
    """``change`` maps ``name/path`` in a policy of the manifest to the value that the upstream test writes there."""
    with (CONFORMANCE / f"{manifest}.yaml").open() as file:
        policies = list(yaml.safe_load_all(file))
    for path, value in (change or {}).items():
        name, *keys, last = path.split("/")
        [target] = (policy for policy in policies if policy["metadata"]["name"] == name)
        for key in keys:
            target = target[int(key) if key.isdigit() else key]
        target[last] = deepcopy(value)
    ident = f"{manifest}{'+' if variant else ''}{variant}"
    return Table(ident, conformance_world() + policies, packets(text, WIZARDS))


def without(table: Table, kind: str, ident: str, text: str) -> Table:
    return Table(ident, [found for found in table.objects if found["kind"] != kind], packets(text, WIZARDS))


EGRESS_TCP = """
    G0 R0 TCP 80 yes      C-02 the first match accepts
    G1 R1 TCP 8080 yes    C-02
    G0 S0 TCP 80 no       C-02 C-04
    G1 S1 TCP 8080 yes    C-01 no rule matches, nothing isolates
    G0 S0 UDP 80 yes      C-04 the rule is about TCP
    G0 H0 TCP 8080 yes    C-02
    G1 H1 TCP 80 no       C-02 the second rule about H
    G0 H0 UDP 53 no       C-04 no protocols is all of them
    H0 G0 TCP 80 yes      A-03 no ingress rules
    R0 S0 TCP 80 yes      A-05 not a subject
    G0 G1 TCP 80 yes      C-01
"""
EGRESS_UDP = """
    H0 R0 UDP 5353 yes    C-02 the first match accepts
    H1 R1 UDP 53 yes      C-02
    H0 S0 UDP 5353 no     C-02 C-04
    H1 S1 UDP 53 yes      C-01
    H0 S0 TCP 5353 yes    C-04 the rule is about UDP
    H0 G0 UDP 53 yes      C-02
    H1 G1 UDP 5353 no     C-02
    H0 G1 TCP 80 no       C-04 no protocols is all of them
    G0 H0 UDP 53 yes      A-03
"""
EGRESS_SCTP = """
    R0 G0 SCTP 9003 yes   C-02 the first match accepts
    R1 G1 SCTP 9005 yes   C-02
    R0 S0 SCTP 9003 no    C-02 C-04
    R1 S1 SCTP 9005 yes   C-01
    R0 H0 SCTP 9003 yes   C-02
    R1 H1 SCTP 9005 no    C-02
    S0 R0 SCTP 9003 yes   A-03
"""
INGRESS_TCP = """
    R0 G0 TCP 80 yes            C-02 the first match accepts
    R1 G1 TCP 8080 yes          C-02
    S0 G0 TCP 80 no             C-02 C-04
    S1 G1 TCP 8080 yes          C-01
    H0 G0 TCP 80 yes            C-02
    H1 G1 TCP 8080 no           C-02
    G0 H0 TCP 8080 yes          A-03
    198.51.100.7 G0 TCP 80 yes  A-07 no ingress peer is external
    F0 G1 TCP 80 yes            C-10 N-14d
"""
INGRESS_UDP = """
    R0 H0 UDP 5353 yes    C-02 the first match accepts
    R1 H1 UDP 53 yes      C-02
    S0 H0 UDP 5353 no     C-02 C-04
    S1 H1 UDP 53 yes      C-01
    G0 H0 UDP 53 yes      C-02
    G1 H1 UDP 5353 no     C-02
    H0 G0 UDP 5353 yes    A-03
"""
INGRESS_SCTP = """
    G0 R0 SCTP 9003 yes   C-02 the first match accepts
    G1 R1 SCTP 9005 yes   C-02
    S0 R0 SCTP 9003 no    C-02 C-04
    S1 R1 SCTP 9005 yes   C-01
    H0 R0 SCTP 9003 yes   C-02
    H1 R1 SCTP 9005 no    C-02
    R0 H0 SCTP 9005 yes   A-03
"""
COMBINED = """
    G0 R0 TCP 80,8080 yes     C-02
    G0 R0 UDP 53,5353 yes     C-02
    G0 R0 SCTP 9003,9005 yes  C-02
    R1 G1 TCP 80,8080 yes     C-02
    R1 G1 UDP 53,5353 yes     C-02
    R1 G1 SCTP 9003,9005 yes  C-02
    G0 S0 TCP 80 no           C-04 one of three protocols
    G0 S0 UDP 53 no           C-04
    G0 S0 SCTP 9003 no        C-04
    G1 S1 TCP 8080 yes        C-01
    G1 S1 UDP 5353 yes        C-01
    G1 S1 SCTP 9005 yes       C-01
    S0 G0 TCP 80 no           C-04
    S0 G0 UDP 53 no           C-04
    S0 G0 SCTP 9003 no        C-04
    S1 G1 TCP 8080 yes        C-01
    S1 G1 UDP 5353 yes        C-01
    S1 G1 SCTP 9005 yes       C-01
    G0 H0 TCP 8080 yes        C-02
    G0 H0 UDP 5353 yes        C-02
    G0 H0 SCTP 9003 yes       C-02
    G1 H1 TCP 80 no           C-02
    G1 H1 UDP 53 no           C-02
    G1 H1 SCTP 9005 no        C-02
    H0 G0 TCP 80 yes          C-02
    H0 G0 UDP 5353 yes        C-02
    H0 G0 SCTP 9003 yes       C-02
    H1 G1 TCP 8080 no         C-02
    H1 G1 UDP 53 no           C-02
    H1 G1 SCTP 9005 no        C-02
"""
INLINE_CIDR = """
    G0 S0 TCP 80 yes             C-02 before the networks
    G1 S1 UDP 53 yes             C-02
    G0 R0 TCP 80 no              C-05 networks match pod addresses
    G1 H1 UDP 5353 no            C-05
    G0 G1 TCP 80 no              C-05 those of the own namespace too
    G0 G0 TCP 80 yes             C-10 N-16c
    G0 198.51.100.7 TCP 443 no   C-05
    G0 192.168.10.2 TCP 22 no    C-05 and node addresses
    R0 G0 TCP 80 yes             A-03
"""
POD_NETWORKS = [
    {"name": "pod-ips", "action": "Accept", "to": [{"networks": ["10.0.3.1/32", "10.0.2.1/32"]}]},
    {"name": "slytherin", "action": "Accept", "to": [{"namespaces": having(**{"conformance-house": "slytherin"})}]},
    {"name": "internet", "action": "Deny", "to": [{"networks": ["0.0.0.0/0", "::/0"]}]},
]
POD_IPS = """
    G0 R0 TCP 80 yes     C-05 its address is accepted
    G0 R1 TCP 80 no      C-05
    G1 H0 UDP 53 yes     C-05
    G1 H1 UDP 53 no      C-05
    G0 S0 TCP 80 yes     C-02
"""
#: 34345 to 34349 are the ports of the hostNetwork pods, see the README of the fixtures.
ADMIN_NODES = """
    G0 F0 TCP 34345 yes           A-08 C-02
    G0 F1 TCP 34345 yes           A-08
    G0 F0 TCP 34346 no            C-02 the last rule denies nodes
    G0 F0 UDP 34347 yes           C-02 Pass, and nothing below
    G0 F1 UDP 34349 no            C-02
    G0 192.168.10.1 TCP 34345 yes A-08 the node by its address
    G0 192.168.10.1 TCP 22 no     A-08
    G0 S0 TCP 80 no               C-02
    G0 R0 TCP 80 no               C-05 networks match pod addresses
    G0 198.51.100.7 TCP 443 no    C-05
    S0 F0 TCP 34346 yes           A-05 not a subject
    F1 G0 TCP 80 yes              A-03
"""
BASELINE_NODES = """
    G0 F0 TCP 34345,34346 yes     C-04 both ends of the range
    G0 F0 TCP 34347 no            C-04
    G0 F1 UDP 34347 no            C-04 the range is about TCP
    G0 192.168.10.2 TCP 34346 yes A-08
    G0 R0 TCP 80 no               C-05
    G0 198.51.100.7 TCP 443 no    C-05
    S0 F0 UDP 34347 yes           A-05
"""
OLD_PRIORITY = """
    G0 S0 TCP 80 no      A-01 50 before 60
    G1 S1 UDP 53 no      A-01
    S0 G0 SCTP 9003 no   A-01
    G0 R0 TCP 80 yes     C-01
"""
NEW_PRIORITY = """
    G0 S0 TCP 80 yes     A-01 C-02 40 passes to the Baseline tier, which accepts
    G1 S1 UDP 53 yes     C-02
    S0 G0 SCTP 9003 yes  C-02
"""
ADMIN_DENIES = """
    G0 S0 TCP 80 no      C-01 Admin before NetworkPolicy
    S0 G0 UDP 53 no      C-01
    G0 R0 TCP 80 no      C-01 N-01d left to the NetworkPolicy, which isolates
    R0 G0 TCP 80 no      C-01 N-01d
    G0 G1 TCP 80 no      C-01 N-01d
"""
ADMIN_PASSES = """
    G0 S0 TCP 80 yes     C-02 C-07 the NetworkPolicy allows, Baseline is not asked
    S0 G0 UDP 53 yes     C-02 C-07
    G0 R0 TCP 80 no      N-01d
"""
BASELINE_DENIES = """
    G0 S0 TCP 80 no      C-02 C-01 Pass, no NetworkPolicy, Baseline denies
    S0 G0 UDP 53 no      C-02 C-01
    G0 R0 TCP 80 yes     C-01
"""
PASS = {
    "pass-example/spec/ingress/0/action": "Pass",
    "pass-example/spec/egress/0/action": "Pass",
}
PASSING = conformance("api_integration/standard-anp-np-banp", ADMIN_PASSES, variant="pass", change=PASS)

CONFORMANCE_TABLES = [
    conformance("admin_tier/standard-egress-tcp-rules", EGRESS_TCP),
    conformance("admin_tier/standard-egress-udp-rules", EGRESS_UDP),
    conformance("admin_tier/standard-egress-sctp-rules", EGRESS_SCTP),
    conformance("admin_tier/standard-ingress-tcp-rules", INGRESS_TCP),
    conformance("admin_tier/standard-ingress-udp-rules", INGRESS_UDP),
    conformance("admin_tier/standard-ingress-sctp-rules", INGRESS_SCTP),
    conformance("admin_tier/standard-gress-rules-combined", COMBINED),
    conformance("admin_tier/standard-egress-inline-cidr-rules", INLINE_CIDR),
    conformance(
        "admin_tier/standard-egress-inline-cidr-rules",
        POD_IPS,
        variant="pod-ips",
        change={"inline-cidr-as-peers-example/spec/egress": POD_NETWORKS},
    ),
    conformance("admin_tier/experimental-egress-selector-rules", ADMIN_NODES),
    conformance("admin_tier/standard-priority-field", OLD_PRIORITY),
    conformance(
        "admin_tier/standard-priority-field",
        NEW_PRIORITY,
        variant="40",
        change={"old-priority-60-new-priority-40-example/spec/priority": 40},
    ),
    conformance("baseline_tier/standard-egress-tcp-rules", EGRESS_TCP),
    conformance("baseline_tier/standard-egress-udp-rules", EGRESS_UDP),
    conformance("baseline_tier/standard-egress-sctp-rules", EGRESS_SCTP),
    conformance("baseline_tier/standard-ingress-tcp-rules", INGRESS_TCP),
    conformance("baseline_tier/standard-ingress-udp-rules", INGRESS_UDP),
    conformance("baseline_tier/standard-ingress-sctp-rules", INGRESS_SCTP),
    conformance("baseline_tier/standard-gress-rules-combined", COMBINED),
    conformance("baseline_tier/standard-egress-inline-cidr-rules", INLINE_CIDR),
    conformance(
        "baseline_tier/standard-egress-inline-cidr-rules",
        POD_IPS,
        variant="pod-ips",
        change={"default/spec/egress": POD_NETWORKS},
    ),
    conformance("baseline_tier/experimental-egress-selector-rules", BASELINE_NODES),
    conformance("api_integration/standard-anp-np-banp", ADMIN_DENIES),
    PASSING,
    without(PASSING, "NetworkPolicy", "api_integration/standard-anp-np-banp+pass-without-np", BASELINE_DENIES),
]

# --- netpol-recipes: the policy of each recipe, and the outcome that its author states

WEB, FOO, DNS = having(app="web"), having(app="foo"), having(**{"k8s-app": "kube-dns"})
WEB_POD = pod("default/web", "10.1.0.1", {"app": "web"}, ["http=80"])
TEST_POD = pod("default/test", "10.1.0.2", {"run": "test"})
FOO_POD = pod("default/test", "10.1.0.2", {"app": "foo"})
DNS_POD = pod("kube-system/dns", "10.1.9.1", {"k8s-app": "kube-dns"})
DNS_RULE = to(
    spaces(named("kube-system"), DNS),
    ports=[{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
)


def recipe(number: str, text: str, *objects: Object, note: str = "") -> Table:
    return Table(f"recipe-{number}", [*objects], packets(text), note)


def api_recipe(number: str, port: str | int) -> Table:
    """5001 and 8001 of the Service are 5000 and 8000 of the pod, which alone policies see (N-13c)."""
    text = """
        default/test default/apiserver TCP 8000 no        N-05
        default/test default/apiserver TCP 5000 no        N-06c
        default/monitor default/apiserver TCP 8000 no     N-05
        default/monitor default/apiserver TCP 5000 yes    N-06c N-09a
    """
    rule = from_(pods(having(role="monitoring")), ports=[{"port": port}])
    return recipe(
        number,
        text,
        pod("default/apiserver", "10.1.0.1", {"app": "apiserver"}, ["api-port=5000/TCP", "other=8000"]),
        TEST_POD,
        pod("default/monitor", "10.1.0.3", {"role": "monitoring"}),
        netpol("api-allow-5000", "default", having(app="apiserver"), ingress=[rule]),
    )


RECIPES = [
    recipe("01-before", "default/test default/web TCP 80 yes N-01d", WEB_POD, TEST_POD),
    recipe(
        "01",
        "default/test default/web TCP 80 no N-04a",
        WEB_POD,
        TEST_POD,
        netpol("web-deny-all", "default", WEB, ingress=[]),
    ),
    recipe(
        "02",
        """
        default/test default/apiserver TCP 80 no       N-06c
        default/frontend default/apiserver TCP 80 yes  N-06c
        """,
        pod("default/apiserver", "10.1.0.1", {"app": "bookstore", "role": "api"}),
        TEST_POD,
        pod("default/frontend", "10.1.0.3", {"app": "bookstore", "role": "frontend"}),
        netpol(
            "api-allow",
            "default",
            having(app="bookstore", role="api"),
            ingress=[from_(pods(having(app="bookstore")))],
        ),
    ),
    recipe(
        "02a",
        "default/test default/web TCP 80 yes N-04b",
        WEB_POD,
        TEST_POD,
        netpol("web-allow-all", "default", WEB, ingress=[{}]),
    ),
    recipe(
        "03",
        "default/test default/web TCP 80 no N-04a",
        WEB_POD,
        TEST_POD,
        netpol("default-deny-all", "default", {}, ingress=[]),
        note="the author states no outcome; this is N-04a",
    ),
    recipe(
        "04",
        """
        foo/test default/web TCP 80 no       N-06e
        default/test default/web TCP 80 yes  N-06e
        """,
        namespace("foo"),
        WEB_POD,
        TEST_POD,
        pod("foo/test", "10.1.1.1"),
        netpol("deny-from-other-namespaces", "default", {"matchLabels": None}, ingress=[from_(pods({}))]),
    ),
    recipe(
        "05",
        "secondary/test default/web TCP 80 yes N-06d",
        namespace("secondary"),
        WEB_POD,
        pod("secondary/test", "10.1.1.1"),
        netpol("web-allow-all-namespaces", "default", WEB, ingress=[from_(spaces({}))]),
    ),
    recipe(
        "06",
        """
        dev/test default/web TCP 80 no    N-06
        prod/test default/web TCP 80 yes  N-06
        """,
        namespace("dev", purpose="testing"),
        namespace("prod", purpose="production"),
        WEB_POD,
        pod("dev/test", "10.1.1.1"),
        pod("prod/test", "10.1.2.1"),
        netpol("web-allow-prod", "default", WEB, ingress=[from_(spaces(having(purpose="production")))]),
    ),
    recipe(
        "07",
        """
        default/test default/web TCP 80 no        N-06a
        default/monitoring default/web TCP 80 no  N-06a
        other/test default/web TCP 80 no          N-06a
        other/monitoring default/web TCP 80 yes   N-06a
        """,
        namespace("other", team="operations"),
        WEB_POD,
        TEST_POD,
        pod("default/monitoring", "10.1.0.3", {"type": "monitoring"}),
        pod("other/test", "10.1.1.1"),
        pod("other/monitoring", "10.1.1.2", {"type": "monitoring"}),
        netpol(
            "web-allow-all-ns-monitoring",
            "default",
            WEB,
            ingress=[from_(spaces(having(team="operations"), having(type="monitoring")))],
        ),
    ),
    recipe(
        "08",
        "198.51.100.7 default/web TCP 80,443 yes N-04b",
        WEB_POD,
        netpol("web-allow-external", "default", WEB, ingress=[{}]),
        note="the author states no outcome; the title does",
    ),
    recipe(
        "08-port",
        """
        198.51.100.7 default/web TCP 80 yes  N-05a
        198.51.100.7 default/web TCP 443 no  N-05
        """,
        WEB_POD,
        netpol("web-allow-external", "default", WEB, ingress=[{"ports": [{"port": 80}]}]),
        note="the author states no outcome; the title does",
    ),
    api_recipe("09", 5000),
    api_recipe("09-named", "api-port"),
    recipe(
        "10",
        """
        default/inventory default/db TCP 6379 yes  N-06b
        default/other default/db TCP 6379 no       N-06b
        """,
        pod("default/db", "10.1.0.1", {"app": "bookstore", "role": "db"}),
        pod("default/inventory", "10.1.0.2", {"app": "inventory", "role": "web"}),
        pod("default/other", "10.1.0.3", {"app": "other"}),
        netpol(
            "redis-allow-services",
            "default",
            having(app="bookstore", role="db"),
            ingress=[
                from_(
                    pods(having(app="bookstore", role="search")),
                    pods(having(app="bookstore", role="api")),
                    pods(having(app="inventory", role="web")),
                )
            ],
        ),
    ),
    recipe(
        "11",
        """
        default/test default/web TCP 80 no         N-04a
        default/test 198.51.100.7 TCP 80 no        N-04a
        default/test kube-system/dns UDP 53 no     N-04a
        """,
        WEB_POD,
        FOO_POD,
        DNS_POD,
        netpol("foo-deny-egress", "default", FOO, policyTypes=["Egress"], egress=[]),
        note="`bad address` is the answer to a name that no server is asked for",
    ),
    recipe(
        "11-dns",
        """
        default/test default/web TCP 80 no         N-06a
        default/test 198.51.100.7 TCP 80 no        N-06a
        default/test kube-system/dns UDP 53 yes    N-06a N-08a
        """,
        WEB_POD,
        FOO_POD,
        DNS_POD,
        netpol("foo-deny-egress", "default", FOO, policyTypes=["Egress"], egress=[DNS_RULE]),
    ),
    recipe(
        "12",
        """
        default/test default/web TCP 80 no     N-04a
        default/test 198.51.100.7 TCP 80 no    N-04a
        """,
        WEB_POD,
        FOO_POD,
        netpol("default-deny-all-egress", "default", {}, policyTypes=["Egress"], egress=[]),
        note="the author states no outcome; this is N-04a",
    ),
    recipe(
        "14",
        """
        default/test default/web TCP 80 no         N-06a
        default/test 198.51.100.7 TCP 80 no        N-06a
        default/test kube-system/dns TCP 53 yes    N-06a
        """,
        WEB_POD,
        FOO_POD,
        DNS_POD,
        netpol("foo-deny-external-egress", "default", FOO, policyTypes=["Egress"], egress=[DNS_RULE]),
        note="deviation: the author states that web answers, as it did under the earlier policy of 14-earlier",
    ),
    recipe(
        "14-earlier",
        """
        default/test default/web TCP 80 yes    N-06d
        default/test 198.51.100.7 TCP 80 no    N-06d
        default/test 198.51.100.7 UDP 53 yes   N-05a
        """,
        WEB_POD,
        FOO_POD,
        netpol(
            "foo-deny-external-egress",
            "default",
            FOO,
            policyTypes=["Egress"],
            egress=[{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}, to(spaces({}))],
        ),
    ),
]

# --- Regression cases (network.md §3), and ids that no table above decides

P = [f"10.2.0.{number}" for number in range(10)]
APP_A, APP_B = having(app="a"), having(app="b")
NODES = [
    node("n1", ("InternalIP", "192.168.0.1"), ("ExternalIP", "203.0.113.1"), ("Hostname", "n1"), zone="one"),
    node("n2", ("InternalIP", "192.168.0.2"), zone="two"),
]


def of(name: str, number: int, *ports: str, **spec: Any) -> Object:
    return pod(f"x/{name}", P[number], {"app": name}, ports, **spec)


def owned(replica: Object) -> Object:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "1", "controller": True}
    return {**replica, "metadata": {**replica["metadata"], "ownerReferences": [owner]}}


def among(selector: Object) -> Object:
    """A peer of the admin kinds: such pods of every namespace."""
    return {"pods": {"namespaceSelector": {}, "podSelector": selector}}


def deny_in(subject: Object) -> Object:
    return netpol("deny", "x", subject, ingress=[])


def table(ident: str, text: str, *objects: Object, note: str = "") -> Table:
    return Table(ident, [*objects], packets(text), note)


REGRESSIONS = [
    table(
        "R-01",
        """
        x/a x/b TCP 80 yes   N-12c
        x/a x/c TCP 80 no    N-12c
        """,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        egress("one", APP_A, to(block(f"{P[2]}/32"))),
    ),
    table(
        "R-02",
        """
        x/a x/h TCP 80 yes           N-14a not isolated
        x/h x/b TCP 80 no            N-14a no peer of a podSelector
        x/h x/c TCP 80 yes           N-14b its node is
        192.168.0.1 x/c TCP 80 yes   N-14b
        192.168.0.2 x/c TCP 80 no    N-12
        x/a 192.168.0.1 TCP 80 yes   N-01d
        """,
        *NODES,
        of("a", 1, on="n2"),
        of("b", 2, on="n2"),
        of("c", 3, on="n3"),
        pod("x/h", "192.168.0.1", {"app": "h"}, on="n1", hostNetwork=True),
        deny_in({}),
        ingress("h", APP_B, from_(pods(having(app="h")))),
        ingress("node", having(app="c"), from_(block("192.168.0.1/32"))),
    ),
    table(
        "R-03",
        """
        x/a x/job TCP 80 no   N-18a
        x/job x/a TCP 80 no   N-18a
        """,
        of("a", 1),
        {**of("job", 2), "status": {"phase": "Succeeded", "podIP": P[2]}},
    ),
    table(
        "R-04",
        """
        x/a x/b TCP 8080 yes         N-09f
        x/a x/c TCP 9090 yes         N-09c
        x/a x/c TCP 8080 no          N-09c
        x/a x/d TCP 8080 no          N-09b
        x/a x/e TCP 8080 no          N-09a the name is of UDP
        x/a 198.51.100.7 TCP 8080 no N-09f nothing external
        """,
        of("a", 1),
        of("b", 2, "http=8080"),
        of("c", 3, "http=9090"),
        of("d", 4, "web=8080"),
        of("e", 5, "http=8080/UDP"),
        egress("named", APP_A, {"ports": [{"port": "http"}]}),
    ),
    table(
        "R-04b",
        """
        x/a x/b TCP 8080 yes         N-09a N-12c
        x/a x/c TCP 8080 no          N-12c outside the block
        x/a x/d TCP 8080 no          N-09b
        x/a 10.2.0.2 TCP 8080 yes    N-09a N-12c the same pod by its address
        x/a 10.2.0.6 TCP 8080 no     N-09f
        """,
        of("a", 1),
        of("b", 2, "http=8080"),
        of("c", 8, "http=8080"),
        of("d", 4, "web=8080"),
        egress("named", APP_A, to(block("10.2.0.0/29"), ports=[{"port": "http"}])),
    ),
    table(
        "R-05",
        """
        x/b x/db-0 TCP 80 no    N-06
        x/b x/db-1 TCP 80 yes   N-01d
        x/db-1 x/db-0 TCP 80 no N-16d
        """,
        of("b", 1),
        *(
            pod(f"x/db-{index}", P[2 + index], {"app": "db", "statefulset.kubernetes.io/pod-name": f"db-{index}"})
            for index in (0, 1)
        ),
        deny_in(having(**{"statefulset.kubernetes.io/pod-name": "db-0"})),
    ),
    table(
        "R-06",
        """
        x/b x/a TCP 8080,9090 yes  N-09d
        x/b x/a UDP 5000 no        N-09a
        x/b x/a TCP 5000 no        N-09a
        """,
        of("a", 1, "http=8080", "http=9090", "http=5000/UDP"),
        of("b", 2),
        ingress("named", APP_A, {"ports": [{"port": "http"}]}),
    ),
    table(
        "R-07",
        """
        x/b x/a TCP 80,81 yes  N-05c
        x/b x/a UDP 80 no      N-05c
        x/b x/a SCTP 80 no     N-05c
        """,
        of("a", 1),
        of("b", 2),
        ingress("tcp", APP_A, {"ports": [{"protocol": "TCP"}]}),
    ),
    table(
        "R-08",
        """
        192.168.0.1 x/a TCP 80 yes   N-15a
        203.0.113.1 x/a TCP 80 yes   N-15a its other address
        x/h x/a TCP 80 yes           N-15c
        192.168.0.2 x/a TCP 80 no    N-04a
        x/h2 x/a TCP 80 no           N-04a
        """,
        *NODES,
        of("a", 1, on="n1"),
        pod("x/h", "192.168.0.1", {"app": "h"}, on="n1", hostNetwork=True),
        pod("x/h2", "192.168.0.2", {"app": "h"}, on="n2", hostNetwork=True),
        deny_in({}),
    ),
    Table("R-09", [], note="about Ingress: a rule without `http`, X-05; no connection between pods"),
    Table("R-10", [], note="about Ingress: a port declared for UDP, X-05 and X-06; no connection between pods"),
    table(
        "R-11",
        """
        x/a x/b TCP 80 no           A-08 networks match pod addresses
        x/a x/c TCP 80 yes          A-08
        x/a 192.168.0.1 TCP 80 no   A-08 nodes
        x/a 192.168.0.2 TCP 80 yes  A-08
        x/s x/t TCP 80 no           A-08 N-20 IPv6
        x/s x/u TCP 80 yes          A-08 N-20
        """,
        *NODES,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        *(pod(f"x/{name}", f"fd00:2::{number}") for number, name in enumerate("stu", 1)),
        admin_policy(
            "out",
            1,
            {"namespaces": {}},
            egress=[
                {"action": "Deny", "to": [{"networks": [f"{P[2]}/32", "fd00:2::2/128"]}]},
                {"action": "Deny", "to": [{"nodes": having(zone="one")}]},
            ],
        ),
    ),
    Table(
        "R-12", [], note="about a diagnostic: the API server rejects the name `my_policy`; it is in no verdict (S-13)"
    ),
    table(
        "R-13",
        """
        x/a-0 x/a-1 TCP 80 yes  N-16d
        x/a-1 x/a-0 TCP 80 yes  N-16d
        """,
        *(owned(pod(f"x/a-{index}", P[1 + index], {"app": "a"})) for index in (0, 1)),
    ),
    table(
        "R-14",
        """
        x/b x/a TCP 80 no    C-07 no ingress side of a NetworkPolicy
        x/a x/b TCP 80 no    N-04a
        x/b x/c TCP 80 yes   C-01 not a subject
        """,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        egress("out", APP_A),
        cluster_policy(
            "baseline",
            "Baseline",
            1,
            {"pods": {"podSelector": APP_A}},
            ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}],
        ),
    ),
    table("R-15", "x/b x/a TCP 80 no N-04a", of("a", 1), of("b", 2), deny_in({})),
    table(
        "R-16",
        """
        x/c x/a TCP 8080 yes  N-09c
        x/c x/a TCP 9090 no   N-09c
        x/c x/b TCP 9090 yes  N-09c
        x/c x/b TCP 8080 no   N-09c
        """,
        of("a", 1, "http=8080"),
        of("b", 2, "http=9090"),
        of("c", 3),
        ingress("named", {}, {"ports": [{"port": "http"}]}),
    ),
    table(
        "R-17",
        """
        x/b x/a TCP 80 no    A-01 one of the two decides
        x/c x/a TCP 80 yes   A-01
        """,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        admin_policy("first", 5, {"namespaces": {}}, ingress=[{"action": "Deny", "from": [among(APP_B)]}]),
        admin_policy("second", 5, {"namespaces": {}}, ingress=[{"action": "Allow", "from": [among(having(app="c"))]}]),
        note="A-04: equal priorities whose order no packet here shows",
    ),
    table(
        "R-18",
        """
        x/b x/a TCP 80 yes       N-07c the key is absent
        x/guest x/a TCP 80 no    N-07c
        """,
        of("a", 1),
        of("b", 2),
        pod("x/guest", P[3], {"role": "guest"}),
        ingress("guests", APP_A, from_(pods(expression("role", "NotIn", "guest")))),
    ),
    table(
        "R-19",
        """
        x/b x/a TCP 8080 no   A-06
        x/b x/a UDP 53 yes    A-06 another protocol and number
        x/b x/a UDP 8080 yes  A-06 another protocol
        """,
        of("a", 1, "http=8080/TCP"),
        of("b", 2),
        admin_policy(
            "http",
            1,
            {"namespaces": {}},
            ingress=[{"action": "Deny", "from": [{"namespaces": {}}], "ports": [{"namedPort": "http"}]}],
        ),
    ),
    table(
        "R-20",
        """
        x/a 192.168.0.1 TCP 80 no   A-08 InternalIP
        x/a 203.0.113.1 TCP 80 no   A-08 ExternalIP
        x/a 192.168.0.2 TCP 80 yes  A-08
        x/a x/b TCP 80 yes          A-08 a pod on the node is not the node
        """,
        *NODES,
        of("a", 1, on="n2"),
        of("b", 2, on="n1"),
        admin_policy(
            "nodes", 1, {"namespaces": {}}, egress=[{"action": "Deny", "to": [{"nodes": having(zone="one")}]}]
        ),
    ),
    table(
        "R-21",
        """
        x/b x/a TCP 80 no          A-09 Deny of an unknown peer is deny-all
        198.51.100.7 x/a UDP 53 no A-09
        x/a x/b TCP 80 no          A-09 Pass of one too
        x/b x/c TCP 80 no          A-09 Allow of one allows nothing
        x/c x/b TCP 80 yes         A-03
        """,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        admin_policy(
            "unknown",
            1,
            {"pods": {"namespaceSelector": {}, "podSelector": APP_A}},
            ingress=[{"action": "Deny", "from": [{}]}],
            egress=[{"action": "Pass", "to": [{"fromTheFuture": {}}]}],
        ),
        admin_policy(
            "unknown-allow",
            2,
            {"pods": {"namespaceSelector": {}, "podSelector": having(app="c")}},
            ingress=[{"action": "Allow", "from": [{}]}, {"action": "Deny", "from": [{"namespaces": {}}]}],
        ),
    ),
    table(
        "R-22",
        """
        x/a x/a TCP 80 yes    N-16a
        10.2.0.1 x/a UDP 53 yes N-16a
        x/b x/a TCP 80 no     N-04a
        """,
        of("a", 1),
        of("b", 2),
        deny_in({}),
    ),
    table(
        "R-23",
        """
        x/b x/a TCP 15090 yes  N-09e
        x/b x/a TCP 15091 no   N-09e an init container that ends
        """,
        of(
            "a",
            1,
            initContainers=[
                {"name": "proxy", "restartPolicy": "Always", "ports": [declared("metrics=15090")]},
                {"name": "setup", "ports": [declared("metrics=15091")]},
            ],
        ),
        of("b", 2),
        ingress("metrics", APP_A, {"ports": [{"port": "metrics"}]}),
    ),
    table(
        "R-24",
        """
        x/a fd00:10:0::3 TCP 80 yes               N-20
        fd00:10::1 fd00:10:0:0:0::3 TCP 80 yes    N-20
        x/a x/b TCP 80 yes                        N-20
        x/a x/c TCP 80 no                         N-20
        """,
        pod("x/a", "fd00:10::1", {"app": "a"}),
        pod("x/b", "fd00:10::3", {"app": "b"}),
        pod("x/c", "fd00:10::4", {"app": "c"}),
        egress("one", APP_A, to(block("fd00:10:0::3/128"))),
    ),
    table(
        "R-25",
        """
        x/b x/a TCP 80 no     N-18b
        x/a x/b TCP 80 yes    N-18b
        x/c x/a TCP 80 no     N-18b not even an address
        """,
        of("a", 1),
        of("b", 2),
        pod("x/c", labels={"app": "c"}),
        deny_in(APP_A),
    ),
    table(
        "R-26",
        """
        x/c x/a TCP 8080 yes  N-09d by the name http
        x/c x/b TCP 8080 yes  N-09d by the name web
        x/c x/a TCP 80 no     N-09d
        """,
        of("a", 1, "http=8080", "web=8080"),
        of("b", 2, "http=8080", "web=8080"),
        of("c", 3),
        ingress("http", APP_A, {"ports": [{"port": "http"}]}),
        ingress("web", APP_B, {"ports": [{"port": "web"}]}),
    ),
    table(
        "N-02",
        """
        x/b x/a TCP 80 no     N-02a no types: Ingress
        x/a x/b TCP 80 yes    N-02a and no Egress without a rule for it
        x/c x/b TCP 80 no     N-02a with a rule for it, and deny-all for ingress
        x/a x/c TCP 80 no     N-02a
        x/b x/d TCP 80 yes    N-02b the ingress rule is inert
        x/d x/b TCP 80 no     N-02b
        x/e x/a TCP 80 no     N-01b
        x/e x/b TCP 80 yes    N-02c the egress rule is inert
        """,
        *(of(name, number) for number, name in enumerate("abcde", 1)),
        netpol("absent", "x", APP_A),
        netpol("egress", "x", having(app="c"), egress=[to(pods(having(app="nobody")))]),
        netpol("inert-in", "x", having(app="d"), policyTypes=["Egress"], ingress=[from_(pods(having(app="nobody")))]),
        netpol("inert-out", "x", having(app="e"), policyTypes=["Ingress"], egress=[to(pods(having(app="nobody")))]),
    ),
    table(
        "N-08",
        """
        y/a x/a TCP 80 yes    N-08b no Namespace object, but its name
        z/a x/a TCP 80 no     N-08b
        """,
        of("a", 1),
        pod("y/a", P[2]),
        pod("z/a", P[3]),
        ingress("y", APP_A, from_(spaces(named("y")))),
    ),
    table(
        "N-09g",
        """
        x/b x/a TCP 8080 yes           N-09g
        198.51.100.7 x/a TCP 8080 no   N-12
        x/b x/a TCP 80 no              N-09g
        """,
        of("a", 1, "http=8080"),
        of("b", 2),
        ingress("block", APP_A, from_(block("10.2.0.0/24"), ports=[{"port": "http"}])),
    ),
    table(
        "N-10",
        """
        x/b x/a TCP 1000,1005,1010 yes  N-10
        x/b x/a TCP 999,1011 no         N-10
        x/b x/a UDP 1005 no             N-11a
        """,
        of("a", 1),
        of("b", 2),
        ingress("range", APP_A, {"ports": [{"port": 1000, "endPort": 1010}]}),
    ),
    table(
        "N-12b",
        """
        x/a x/b TCP 80 yes    N-12b excepted here, allowed there
        x/a x/c TCP 80 yes    N-12a
        x/a 10.2.0.7 TCP 80 no N-12b excepted, and nowhere allowed
        """,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        egress("around", APP_A, to(block("10.2.0.0/24", f"{P[2]}/32", "10.2.0.7/32"))),
        egress("just", APP_A, to(block(f"{P[2]}/32"))),
    ),
    table(
        "C-09",
        """
        x/b x/a TCP 80 no     C-09 Deny with a protocol that nobody knows
        x/b x/c TCP 80 no     C-09 Accept with one
        x/a x/b TCP 80 yes    C-09 a tier that nobody knows
        """,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        cluster_policy(
            "deny",
            "Admin",
            1,
            {"pods": {"podSelector": APP_A}},
            ingress=[{"action": "Deny", "from": [among(having(app="nobody"))], "protocols": [{"quic": {}}]}],
        ),
        cluster_policy(
            "accept",
            "Admin",
            2,
            {"pods": {"podSelector": having(app="c")}},
            ingress=[
                {"action": "Accept", "from": [{"namespaces": {}}], "protocols": [{"quic": {}}]},
                {"action": "Deny", "from": [{"namespaces": {}}]},
            ],
        ),
        cluster_policy(
            "tier", "Twilight", 1, {"namespaces": {}}, egress=[{"action": "Deny", "to": [{"namespaces": {}}]}]
        ),
    ),
    table(
        "C-03",
        """
        x/b x/a TCP 80 yes    C-03 Pass leaves the Baseline tier
        x/c x/a TCP 80 no     C-03
        x/c x/a UDP 53 yes    C-03 priority
        """,
        of("a", 1),
        of("b", 2),
        of("c", 3),
        cluster_policy("b", "Baseline", 2, {"namespaces": {}}, ingress=[{"action": "Pass", "from": [among(APP_B)]}]),
        cluster_policy(
            "dns",
            "Baseline",
            1,
            {"namespaces": {}},
            ingress=[
                {
                    "action": "Accept",
                    "from": [{"namespaces": {}}],
                    "protocols": [{"udp": {"destinationPort": {"number": 53}}}],
                }
            ],
        ),
        cluster_policy(
            "rest", "Baseline", 3, {"namespaces": {}}, ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}]
        ),
    ),
]

# --- Calico


def rule(action: str, **rest: Any) -> Object:
    return {"action": action, **rest}


def source(**entity: Any) -> Object:
    return {"source": entity}


def destination(**entity: Any) -> Object:
    return {"destination": entity}


def global_policy(name: str, selector: str, **spec: Any) -> Object:
    return calico("GlobalNetworkPolicy", name, {"selector": selector, **spec})


def local_policy(name: str, selector: str, *, near: str = "x", **spec: Any) -> Object:
    return calico("NetworkPolicy", name, {"selector": selector, **spec}, namespace=near)


ABC = (of("a", 1, "http=8080"), of("b", 2), of("c", 3))
ALLOW_ALL_IN = global_policy("allow", "all()", order=1, ingress=[rule("Allow")])

CALICO_TABLES = [
    table(
        "CA-01",
        """
        x/b x/a TCP 80 no    CA-01 the tier of order 100 comes first
        x/c x/a TCP 80 yes   CA-02 Pass, and the default tier allows
        """,
        *ABC,
        calico("Tier", "early", {"order": 100}),
        calico("Tier", "late", {"order": 200}),
        global_policy(
            "early.b", "all()", tier="early", ingress=[rule("Deny", **source(selector="app == 'b'")), rule("Pass")]
        ),
        global_policy(
            "late.b", "all()", tier="late", ingress=[rule("Allow", **source(selector="app == 'b'")), rule("Pass")]
        ),
        ALLOW_ALL_IN,
    ),
    table(
        "CA-01-order",
        """
        x/b x/a TCP 80 no    CA-01 5 before 10
        x/c x/a TCP 80 yes   CA-01 none is last
        """,
        *ABC,
        global_policy("z-first", "all()", order=5, ingress=[rule("Deny", **source(selector="app == 'b'"))]),
        global_policy("m-second", "all()", order=10, ingress=[rule("Allow")]),
        global_policy("a-last", "all()", ingress=[rule("Deny")]),
    ),
    table(
        "CA-02-log",
        """
        x/b x/a TCP 80 no     CA-02 Log goes on
        x/c x/a TCP 80 yes    CA-02
        """,
        *ABC,
        global_policy(
            "log", "app == 'a'", ingress=[rule("Log"), rule("Deny", **source(selector="app == 'b'")), rule("Allow")]
        ),
    ),
    table(
        "CA-03",
        """
        x/b x/a TCP 80 no     CA-03 nothing decides: Deny
        x/a x/b TCP 80 yes    CA-03 not for egress
        x/b x/c TCP 80 yes    CA-03 no policy applies, CA-04
        """,
        *ABC,
        global_policy("nobody", "app == 'a'", ingress=[rule("Allow", **source(selector="app == 'nobody'"))]),
    ),
    table(
        "CA-03-pass",
        """
        x/b x/a TCP 80 yes    CA-03 defaultAction Pass, CA-04
        x/c x/a TCP 80 no     CA-02
        """,
        *ABC,
        calico("Tier", "open", {"order": 10, "defaultAction": "Pass"}),
        global_policy("open.c", "app == 'a'", tier="open", ingress=[rule("Deny", **source(selector="app == 'c'"))]),
    ),
    table(
        "CA-05",
        """
        x/b x/a TCP 80 yes    CA-05 the NetworkPolicy
        x/c x/a TCP 80 yes    CA-05 a later policy of the tier
        x/d x/a TCP 80 no     CA-05 an earlier one
        x/e x/a TCP 80 no     CA-03
        """,
        *(of(name, number) for number, name in enumerate("abcde", 1)),
        ingress("b-d", APP_A, from_(pods(APP_B), pods(having(app="d")))),
        global_policy("early", "app == 'a'", order=999, ingress=[rule("Deny", **source(selector="app == 'd'"))]),
        global_policy("late", "app == 'a'", order=1001, ingress=[rule("Allow", **source(selector="app == 'c'"))]),
    ),
    table(
        "CA-06",
        """
        x/a x/b TCP 80 no     CA-06 only egress rules: Egress
        x/b x/a TCP 80 yes    CA-06 and no Ingress, unlike N-02a
        x/a x/c TCP 80 no     CA-06 no rules: Ingress
        x/c x/b TCP 80 yes    CA-06
        """,
        *ABC,
        local_policy("out", "app == 'a'", egress=[rule("Deny")]),
        local_policy("none", "app == 'c'"),
    ),
    table(
        "CA-07",
        """
        y/b x/a TCP 80 no     CA-07 namespaceSelector of the subject
        x/a y/b TCP 80 yes    CA-07 not of this one
        y/b x/c TCP 80 no     CA-07 serviceAccountSelector
        y/b x/d TCP 80 yes    CA-07 of host endpoints only
        """,
        namespace("x", env="prod"),
        namespace("y"),
        of("a", 1),
        of("c", 3, serviceAccountName="runner"),
        of("d", 4),
        pod("y/b", P[2], {"app": "b"}),
        {**obj("ServiceAccount", "runner", namespace="x", labels={"role": "run"})},
        global_policy("prod", "app == 'a'", namespaceSelector="env == 'prod'", ingress=[rule("Deny")]),
        global_policy("run", "", serviceAccountSelector="role == 'run'", ingress=[rule("Deny")]),
        global_policy("raw", "app == 'd'", doNotTrack=True, applyOnForward=True, ingress=[rule("Deny")]),
    ),
    table(
        "CA-08",
        """
        x/b x/a TCP 80 yes    CA-08 the own namespace
        y/b x/a TCP 80 no     CA-08
        y/b x/c TCP 80 yes    CA-08 namespaceSelector
        x/b x/c TCP 80 no     CA-08
        y/b x/d TCP 80 yes    CA-08 global: all namespaces
        x/b x/d TCP 80 yes    CA-08
        y/b x/e TCP 80 no     CA-08 `global()` is no pod
        192.0.2.9 x/e TCP 80 yes CA-08 but a GlobalNetworkSet
        y/b x/f TCP 80 yes    CA-08 `all()` is whatever has a namespace
        192.0.2.9 x/f TCP 80 no CA-08
        """,
        namespace("y", env="test"),
        *(of(name, number) for number, name in enumerate("abcdef", 1)),
        pod("y/b", P[7], {"app": "b"}),
        calico("GlobalNetworkSet", "partners", {"nets": ["192.0.2.0/24"]}, labels={"app": "b"}),
        local_policy("own", "app == 'a'", ingress=[rule("Allow", **source(selector="app == 'b'"))]),
        local_policy(
            "test",
            "app == 'c'",
            ingress=[rule("Allow", **source(selector="app == 'b'", namespaceSelector="env == 'test'"))],
        ),
        global_policy("any", "app == 'd'", ingress=[rule("Allow", **source(selector="app == 'b'"))]),
        global_policy(
            "sets", "app == 'e'", ingress=[rule("Allow", **source(selector="app == 'b'", namespaceSelector="global()"))]
        ),
        global_policy(
            "spaces", "app == 'f'", ingress=[rule("Allow", **source(selector="app == 'b'", namespaceSelector="all()"))]
        ),
    ),
    table(
        "CA-10",
        """
        x/b x/a TCP 80 no            CA-10 notSelector
        x/c x/a TCP 80 yes           CA-10
        198.51.100.7 x/a TCP 80 yes  CA-10 what Calico does not know as well
        x/a x/c TCP 80 yes           CA-10 `!` selects endpoints
        x/b x/c TCP 80 no            CA-10
        198.51.100.7 x/c TCP 80 no   CA-10
        """,
        *ABC,
        global_policy("not", "app == 'a'", ingress=[rule("Allow", **source(notSelector="app == 'b'"))]),
        global_policy("bang", "app == 'c'", ingress=[rule("Allow", **source(selector="!app == 'b'"))]),
    ),
    table(
        "CA-10-own",
        """
        x/b x/a TCP 80 no            CA-10
        x/c x/a TCP 80 yes           CA-10
        y/d x/a TCP 80 no            CA-08 a namespaced policy stays in its namespace
        198.51.100.7 x/a TCP 80 no   CA-08
        """,
        *ABC,
        pod("y/d", P[4]),
        local_policy("not", "app == 'a'", ingress=[rule("Allow", **source(notSelector="app == 'b'"))]),
    ),
    table(
        "CA-11",
        """
        x/b x/a TCP 80,443,8005,8080 yes  CA-11 a number, a range and a name
        x/b x/a TCP 81,8011 no            CA-11
        x/b x/a UDP 80 no                 CA-11 protocol
        x/a x/b UDP 53 yes                CA-11 notProtocol
        x/a x/b TCP 53 no                 CA-11
        x/a x/c SCTP 9 no                 CA-11 notPorts
        x/a x/c SCTP 10 yes               CA-11
        """,
        *ABC,
        global_policy(
            "ports",
            "app == 'a'",
            ingress=[rule("Allow", protocol="TCP", **destination(ports=[80, 443, "8000:8010", "http"]))],
            egress=[
                rule("Allow", protocol=132, **destination(selector="app == 'c'", notPorts=[9])),
                rule("Deny", protocol="SCTP"),
                rule("Allow", notProtocol="TCP"),
            ],
        ),
    ),
    table(
        "CA-11-nets",
        """
        198.51.100.7 x/a TCP 80 yes   CA-11 nets
        198.51.100.8 x/a TCP 80 no    CA-11 notNets
        203.0.113.9 x/a TCP 80 no     CA-11
        10.2.0.2 x/a TCP 80 yes       CA-11 a pod by its address
        x/a 10.2.0.3 TCP 80 no        CA-11 ipVersion
        """,
        *ABC,
        global_policy(
            "nets",
            "app == 'a'",
            ingress=[rule("Allow", **source(nets=["198.51.100.0/24", f"{P[2]}/32"], notNets=["198.51.100.8/32"]))],
            egress=[rule("Allow", ipVersion=6)],
        ),
    ),
    table(
        "CA-11-accounts",
        """
        x/b x/a TCP 80 yes    CA-11 by name
        x/c x/a TCP 80 no     CA-11
        x/b x/c TCP 80 no     CA-11
        x/d x/c TCP 80 yes    CA-12 by label
        """,
        of("a", 1),
        of("b", 2, serviceAccountName="client"),
        of("c", 3),
        of("d", 4, serviceAccountName="auditor"),
        {**obj("ServiceAccount", "client", namespace="x")},
        {**obj("ServiceAccount", "auditor", namespace="x", labels={"audits": "yes"})},
        local_policy("names", "app == 'a'", ingress=[rule("Allow", **source(serviceAccounts={"names": ["client"]}))]),
        local_policy(
            "labels", "app == 'c'", ingress=[rule("Allow", **source(serviceAccounts={"selector": "has(audits)"}))]
        ),
    ),
    table(
        "CA-12",
        """
        x/a 192.0.2.1 TCP 80 yes     CA-12 a NetworkSet of the namespace
        x/a 192.0.2.65 TCP 80 no     CA-12 one of another
        x/b 192.0.2.65 TCP 80 yes    CA-12 by an inherited label
        x/b 192.0.2.1 TCP 80 no      CA-12
        x/c 192.0.2.129 TCP 80 yes   CA-12 a GlobalNetworkSet
        x/c 192.0.2.1 TCP 80 no      CA-12
        """,
        namespace("y", env="test"),
        *ABC,
        calico("NetworkSet", "near", {"nets": ["192.0.2.0/26"]}, namespace="x", labels={"role": "db"}),
        calico("NetworkSet", "far", {"nets": ["192.0.2.64/26"]}, namespace="y", labels={"role": "db"}),
        calico("GlobalNetworkSet", "wide", {"nets": ["192.0.2.128/26"]}, labels={"role": "dns"}),
        local_policy("near", "app == 'a'", egress=[rule("Allow", **destination(selector="role == 'db'"))]),
        global_policy("far", "app == 'b'", egress=[rule("Allow", **destination(selector="pcns.env == 'test'"))]),
        global_policy("wide", "app == 'c'", egress=[rule("Allow", **destination(selector="role == 'dns'"))]),
    ),
    table(
        "CA-13",
        "x/b x/a TCP 80 yes CA-13",
        *ABC,
        calico("StagedGlobalNetworkPolicy", "later", {"selector": "all()", "types": ["Ingress"], "ingress": []}),
    ),
    table(
        "C-11",
        """
        x/b x/a TCP 80 no     C-11 kube-admin before default
        x/c x/a TCP 80 yes    C-11
        x/a x/c TCP 80 no     C-11 default before kube-baseline, CA-03
        x/b x/c UDP 53 no     C-11 kube-baseline
        """,
        *ABC,
        cluster_policy("admin", "Admin", 1, {"namespaces": {}}, ingress=[{"action": "Deny", "from": [among(APP_B)]}]),
        cluster_policy(
            "baseline",
            "Baseline",
            1,
            {"namespaces": {}},
            ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}],
            egress=[{"action": "Accept", "to": [{"namespaces": {}}]}],
        ),
        global_policy("a", "app == 'a'", ingress=[rule("Allow")], egress=[rule("Deny")]),
    ),
]

#: CA-09: (selector, labels, whether it selects).
SELECTORS: list[tuple[str, dict[str, str], bool]] = [
    ("", {}, True),
    ("all()", {}, True),
    ("global()", {}, True),
    ("global()", {"projectcalico.org/namespace": "x"}, False),
    ("a == 'b'", {"a": "b"}, True),
    ('a=="b"', {"a": "b"}, True),
    ("a == 'b'", {}, False),
    ("a != 'b'", {}, True),
    ("a != 'b'", {"a": "b"}, False),
    ("has(a)", {"a": ""}, True),
    ("!has(a)", {"a": ""}, False),
    ("! has( a )", {}, True),
    ("!!has(a)", {"a": "b"}, True),
    ("a in {'b', 'c'}", {"a": "c"}, True),
    ("a in {'b', 'c'}", {}, False),
    ("a in {}", {"a": "b"}, False),
    ("a not in {'b'}", {}, True),
    ("a not in { 'b' }", {"a": "b"}, False),
    ("a contains 'ell'", {"a": "hello"}, True),
    ("a starts with 'he'", {"a": "hello"}, True),
    ("a starts with 'lo'", {"a": "hello"}, False),
    ("a ends with 'lo'", {"a": "hello"}, True),
    ("a ends with 'lo'", {}, False),
    ("a == 'b' || c == 'd' && e == 'f'", {"a": "b"}, True),
    ("(a == 'b' || c == 'd') && e == 'f'", {"a": "b"}, False),
    ("!a == 'b' && c == 'd'", {"c": "d"}, True),
    ("!(a == 'b' || c == 'd')", {"c": "d"}, False),
    ("a == 'it is \\'", {"a": "it is \\"}, True),
    ("a == 'b || c'", {"a": "b || c"}, True),
    ('example.com/a_b-c == "d\'e"', {"example.com/a_b-c": "d'e"}, True),
]

TABLES = [*(case.table() for case in CASES), *CONFORMANCE_TABLES, *RECIPES, *REGRESSIONS, *CALICO_TABLES]
