"""The slow, obvious evaluator of network policies that the engine must agree with: nested loops over plain objects.

It follows network.md clause by clause and imports nothing of graphsec, so that the two can only be wrong together where
the reference itself is misread. All families meet in Calico's order of tiers (CA-01, C-11), which is that of A-01, A-02
and C-01 where no Calico object is given. It validates nothing, answers for small clusters and knows two values: a pod
without address matches no block, where N-12d says unknown. A Calico rule about the source port matches nothing, as
questions have none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Object = dict[str, Any]
Labels = dict[str, str]
Address = IPv4Address | IPv6Address

INGRESS, EGRESS = "Ingress", "Egress"
PEERS = {INGRESS: "from", EGRESS: "to"}
NAME_LABEL = "kubernetes.io/metadata.name"
CALICO_GROUPS = ("projectcalico.org", "crd.projectcalico.org")
CALICO_NAME, CALICO_NAMESPACE = "projectcalico.org/name", "projectcalico.org/namespace"
#: C-11, CA-05: order and default action of the tiers that need no Tier object.
ADMIN, DEFAULT, BASELINE = "kube-admin", "default", "kube-baseline"
TIERS = {ADMIN: (1_000.0, "Pass"), DEFAULT: (1_000_000.0, "Deny"), BASELINE: (10_000_000.0, "Pass")}
KUBERNETES_ORDER = 1_000.0
LAST = float("inf")
PROTOCOL_NUMBERS = {"6": "TCP", "17": "UDP", "132": "SCTP"}


@dataclass(frozen=True)
class Verdict:
    """A direction without a policy side is true."""

    egress: bool
    ingress: bool
    allowed: bool


@dataclass(frozen=True)
class End:
    """One end of a connection. ``pod`` is set for pods that policies see, so never with hostNetwork (N-14)."""

    addresses: tuple[Address, ...]
    pod: Object | None = None
    node: str = ""

    @property
    def address(self) -> Address | None:
        return self.addresses[0] if self.addresses else None


@dataclass(frozen=True)
class Packet:
    """One question about one direction."""

    objects: list[Object]
    src: End
    dst: End
    protocol: str
    port: int
    direction: str
    blocks_match_pods: bool

    @property
    def subject(self) -> End:
        return self.dst if self.direction == INGRESS else self.src

    @property
    def peer(self) -> End:
        return self.src if self.direction == INGRESS else self.dst


@dataclass(frozen=True)
class Policy:
    """A policy that applies to the subject in the direction asked, with the actions of its matching rules in order."""

    tier: str
    order: float
    name: str
    actions: tuple[str, ...]


def can_connect(
    objects: list[Object],
    src: str,
    dst: str,
    protocol: str,
    port: int,
    src_ip: str = "",
    dst_ip: str = "",
    *,
    blocks_match_pods: bool = True,
) -> Verdict:
    """``src`` and ``dst`` are ``ns/pod`` or addresses; ``src_ip`` and ``dst_ip`` choose among those of a pod (N-20)."""
    source, destination = end_of(objects, src, src_ip), end_of(objects, dst, dst_ip)
    if source is None or destination is None:
        return Verdict(egress=False, ingress=False, allowed=False)
    if is_self(source, destination) or is_own_node(source, destination):
        return Verdict(egress=True, ingress=True, allowed=True)
    source, destination = of_one_family(source, destination), of_one_family(destination, source)
    egress, ingress = (
        allows(Packet(objects, source, destination, protocol, port, direction, blocks_match_pods))
        for direction in (EGRESS, INGRESS)
    )
    return Verdict(egress, ingress, egress and ingress)


# --- The ends of a connection


def end_of(objects: list[Object], name: str, address: str) -> End | None:
    """None for a finished pod: no endpoint (N-18a)."""
    if "/" not in name:
        return end_at(objects, ip_address(name))
    [pod] = (pod for pod in of_kind(objects, "", "Pod") if f"{namespace_of(pod)}/{name_of(pod)}" == name)
    addresses = (ip_address(address),) if address else pod_addresses(objects, pod)
    return None if is_finished(pod) else pod_end(pod, addresses)


def end_at(objects: list[Object], address: Address) -> End:
    for pod in of_kind(objects, "", "Pod"):
        if not is_finished(pod) and not is_host_network(pod) and address in pod_addresses(objects, pod):
            return pod_end(pod, (address,))
    nodes = (name_of(node) for node in of_kind(objects, "", "Node") if address in node_addresses(node))
    return End((address,), node=next(nodes, ""))


def pod_end(pod: Object, addresses: tuple[Address, ...]) -> End:
    """N-14b: a hostNetwork pod is its node, whatever its labels."""
    if is_host_network(pod):
        return End(addresses, node=(pod.get("spec") or {}).get("nodeName", ""))
    return End(addresses, pod)


def of_one_family(end: End, other: End) -> End:
    """N-20: IPv4 where both families are shared; an end that shares none keeps what it has."""
    shared = {address.version for address in end.addresses} & {address.version for address in other.addresses}
    kept = tuple(address for address in end.addresses if not shared or address.version == min(shared))
    return End(kept, end.pod, end.node)


def is_self(source: End, destination: End) -> bool:
    """N-16a."""
    return source.pod is not None and source.pod is destination.pod


def is_own_node(source: End, destination: End) -> bool:
    """N-15, also for the hostNetwork pods of the node (N-15c)."""
    if destination.pod is None or source.pod is not None:
        return False
    hosted_by = (destination.pod.get("spec") or {}).get("nodeName")
    return bool(hosted_by and hosted_by == source.node) or bool(
        {*source.addresses} & {*host_addresses(destination.pod)}
    )


def is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def is_host_network(pod: Object) -> bool:
    return bool((pod.get("spec") or {}).get("hostNetwork"))


def pod_addresses(objects: list[Object], pod: Object) -> tuple[Address, ...]:
    status = pod.get("status") or {}
    texts = [row["ip"] for row in items(status, "podIPs")] or [ip for ip in [status.get("podIP")] if ip]
    found = tuple(map(ip_address, texts))
    if found or not is_host_network(pod):
        return found
    nodes = (node for node in of_kind(objects, "", "Node") if name_of(node) == (pod.get("spec") or {}).get("nodeName"))
    return host_addresses(pod) or tuple(address for node in nodes for address in node_addresses(node))


def host_addresses(pod: Object) -> tuple[Address, ...]:
    status = pod.get("status") or {}
    texts = [row["ip"] for row in items(status, "hostIPs")] or [ip for ip in [status.get("hostIP")] if ip]
    return tuple(map(ip_address, texts))


def node_addresses(node: Object) -> list[Address]:
    """R-20: host names are among them, and are no addresses."""
    rows = items((node.get("status") or {}), "addresses")
    return [ip_address(row["address"]) for row in rows if row["type"] in {"InternalIP", "ExternalIP"}]


# --- The order of policies


def allows(packet: Packet) -> bool:
    """CA-01 to CA-04 and C-01: the first decision in the order of tiers; what nothing decides is allowed."""
    if packet.subject.pod is None:
        return True
    applying = list(policies(packet))
    for tier, default in tiers(packet.objects):
        here = [policy for policy in applying if policy.tier == tier]
        action = decision(here) or (default if here else "Pass")
        if action != "Pass":
            return action == "Allow"
    return True


def decision(applying: list[Policy]) -> str | None:
    """The first match of one tier (A-01, CA-02); Log decides nothing."""
    ordered = sorted(applying, key=lambda policy: (policy.order, policy.name))
    return next((action for policy in ordered for action in policy.actions if action != "Log"), None)


def tiers(objects: list[Object]) -> list[tuple[str, str]]:
    """(name, default action) by order, then name (CA-01)."""
    found = dict(TIERS)
    for tier in calico(objects, "Tier"):
        spec = tier.get("spec") or {}
        found[name_of(tier)] = (order_of(spec), spec.get("defaultAction") or "Deny")
    ordered = sorted(found, key=lambda name: (found[name][0], name))
    return [(name, found[name][1]) for name in ordered]


def order_of(spec: Object) -> float:
    order = spec.get("order")
    return LAST if order is None else float(order)


def policies(packet: Packet) -> Iterator[Policy]:
    yield from kubernetes_policies(packet)
    yield from admin_policies(packet)
    yield from calico_policies(packet)


# --- NetworkPolicy v1


def kubernetes_policies(packet: Packet) -> Iterator[Policy]:
    """N-01: a policy that selects the pod isolates it, by tier `default`; its rules only allow."""
    for policy in of_kind(packet.objects, "networking.k8s.io", "NetworkPolicy"):
        spec = policy.get("spec") or {}
        if selects_subject(policy, spec, packet) and packet.direction in policy_types(spec):
            rules = items(spec, packet.direction.lower())
            matching = tuple("Allow" for rule in rules if rule_matches(rule, namespace_of(policy), packet))
            yield Policy(DEFAULT, KUBERNETES_ORDER, f"knp.default.{name_of(policy)}", matching)


def selects_subject(policy: Object, spec: Object, packet: Packet) -> bool:
    """N-03."""
    pod = packet.subject.pod
    return (
        pod is not None and namespace_of(pod) == namespace_of(policy) and selects(spec.get("podSelector"), labels(pod))
    )


def policy_types(spec: Object) -> list[str]:
    """N-02."""
    return items(spec, "policyTypes") or ([INGRESS, EGRESS] if items(spec, "egress") else [INGRESS])


def rule_matches(rule: Object, namespace: str, packet: Packet) -> bool:
    """N-05: no peers is any peer, no ports is any port."""
    peers, ports = items(rule, PEERS[packet.direction]), items(rule, "ports")
    return (not peers or any(peer_matches(peer, namespace, packet) for peer in peers)) and (
        not ports or any(port_matches(port, packet) for port in ports)
    )


def peer_matches(peer: Object, namespace: str, packet: Packet) -> bool:
    """N-06, N-12."""
    if peer.get("ipBlock") is not None:
        return block_matches(peer["ipBlock"], packet)
    pod = packet.peer.pod
    if pod is None:
        return False
    if peer.get("namespaceSelector") is None:
        near = namespace_of(pod) == namespace
    else:
        near = selects(peer["namespaceSelector"], namespace_labels(packet.objects, namespace_of(pod)))
    return near and selects(peer.get("podSelector"), labels(pod))


def block_matches(block: Object, packet: Packet) -> bool:
    """N-12, S-01."""
    if packet.peer.pod is not None and not packet.blocks_match_pods:
        return False
    address = packet.peer.address
    return within(block["cidr"], address) and not any(within(cidr, address) for cidr in items(block, "except"))


def port_matches(entry: Object, packet: Packet) -> bool:
    """N-05c, N-05d, N-09, N-10, N-11a."""
    port = entry.get("port")
    if (entry.get("protocol") or "TCP") != packet.protocol:
        return False
    if isinstance(port, str):
        return is_named(port, packet)
    return port is None or port <= packet.port <= (entry.get("endPort") or port)


def is_named(name: str, packet: Packet) -> bool:
    """N-09: the destination declares that name for this very number and protocol."""
    pod = packet.dst.pod
    return pod is not None and (name, packet.protocol, packet.port) in declared_ports(pod)


def declared_ports(pod: Object) -> Iterator[tuple[str | None, str, int]]:
    """(name, protocol, number) of every container, sidecar init containers among them (N-09d, N-09e)."""
    spec = pod.get("spec") or {}
    sidecars = (init for init in items(spec, "initContainers") if init.get("restartPolicy") == "Always")
    for container in (*items(spec, "containers"), *sidecars):
        for port in items(container, "ports"):
            yield port.get("name"), port.get("protocol") or "TCP", port["containerPort"]


# --- AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy

#: The peer fields that a kind has in a direction; what is none of them is unknown (A-07, A-08, A-09).
PEER_FIELDS = {
    ("AdminNetworkPolicy", INGRESS): {"namespaces", "pods"},
    ("AdminNetworkPolicy", EGRESS): {"namespaces", "pods", "nodes", "networks", "domainNames"},
    ("BaselineAdminNetworkPolicy", INGRESS): {"namespaces", "pods"},
    ("BaselineAdminNetworkPolicy", EGRESS): {"namespaces", "pods", "nodes", "networks"},
    ("ClusterNetworkPolicy", INGRESS): {"namespaces", "pods"},
    ("ClusterNetworkPolicy", EGRESS): {"namespaces", "pods", "nodes", "networks", "domainNames"},
}


def admin_policies(packet: Packet) -> Iterator[Policy]:
    """A-01, A-02, C-01."""
    for kind in ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"):
        for policy in of_kind(packet.objects, "policy.networking.k8s.io", kind):
            spec, tier = policy["spec"], admin_tier(policy)
            if tier and admin_selects(spec.get("subject") or {}, packet.subject, packet.objects):
                rules = items(spec, packet.direction.lower())
                actions = (admin_action(rule, kind, packet) for rule in rules)
                order = float(spec.get("priority") or 0)
                yield Policy(tier, order, name_of(policy), tuple(action for action in actions if action))


def admin_tier(policy: Object) -> str | None:
    """C-09: a tier that is not known has no place in the order."""
    named = {"AdminNetworkPolicy": "Admin", "BaselineAdminNetworkPolicy": "Baseline"}
    tier = named.get(policy["kind"]) or policy["spec"].get("tier")
    return {"Admin": ADMIN, "Baseline": BASELINE}.get(str(tier))


def admin_action(rule: Object, kind: str, packet: Packet) -> str | None:
    """The action of a rule that matches; A-09 and C-09 fail closed: Deny of everything, or an Allow of less."""
    action = {"Accept": "Allow"}.get(rule["action"], rule["action"])
    peers = items(rule, PEERS[packet.direction])
    ports = items(rule, "ports") + items(rule, "protocols")
    known = [peer for peer in peers if is_known_peer(peer, PEER_FIELDS[kind, packet.direction])]
    readable = [port for port in ports if port_ranges(port)]
    if action != "Allow" and (len(known) < len(peers) or len(readable) < len(ports)):
        return "Deny"
    matches = any(admin_peer_matches(peer, packet) for peer in known) and (
        not ports or any(admin_port_matches(port, packet) for port in readable)
    )
    return action if matches else None


def is_known_peer(peer: Object, fields: set[str]) -> bool:
    """A-10: a selector in the form that sameLabels had is no selector any more."""
    pods = peer.get("pods") or {}
    selectors = [peer.get("namespaces"), peer.get("nodes"), *pods.values()]
    return (
        any(peer.get(field) is not None for field in fields)
        and {*pods} <= {"namespaceSelector", "podSelector"}
        and all({*(selector or {})} <= {"matchLabels", "matchExpressions"} for selector in selectors)
    )


def admin_peer_matches(peer: Object, packet: Packet) -> bool:
    """A-07, A-08; domain names are no addresses before somebody asks for them (M-03)."""
    return (
        admin_selects(peer, packet.peer, packet.objects)
        or any(within(cidr, packet.peer.address) for cidr in items(peer, "networks"))
        or is_selected_node(peer.get("nodes"), packet)
    )


def admin_selects(choice: Object, end: End, objects: list[Object]) -> bool:
    """A-05: ``namespaces``, or ``pods``; never a hostNetwork pod (N-14d)."""
    if end.pod is None:
        return False
    of_namespace = namespace_labels(objects, namespace_of(end.pod))
    pods = choice.get("pods")
    if pods is not None:
        near = selects(pods.get("namespaceSelector"), of_namespace)
        return near and selects(pods.get("podSelector"), labels(end.pod))
    return choice.get("namespaces") is not None and selects(choice["namespaces"], of_namespace)


def is_selected_node(selector: Object | None, packet: Packet) -> bool:
    """R-20: the addresses of the node, not the pods that run on it."""
    end = packet.peer
    return selector is not None and any(
        end.pod is None and (name_of(node) == end.node or end.address in node_addresses(node))
        for node in of_kind(packet.objects, "", "Node")
        if selects(selector, labels(node))
    )


def port_ranges(entry: Object) -> list[tuple[str, Any, Any]]:
    """(protocol, first, last) of one entry of ``ports`` or ``protocols``, (name, None, None) of a named port."""
    name = entry.get("namedPort") or entry.get("destinationNamedPort")
    if name:
        return [(name, None, None)]
    number, ports = entry.get("portNumber"), entry.get("portRange")
    found = [(number.get("protocol") or "TCP", number["port"], number["port"])] if number else []
    found += [(ports.get("protocol") or "TCP", ports["start"], ports["end"])] if ports else []
    for protocol in ("tcp", "udp", "sctp"):
        port = (entry.get(protocol) or {}).get("destinationPort") or {}
        if port.get("range"):
            found.append((protocol.upper(), port["range"]["start"], port["range"]["end"]))
        elif port.get("number"):
            found.append((protocol.upper(), port["number"], port["number"]))
    return found


def admin_port_matches(entry: Object, packet: Packet) -> bool:
    """A-06, C-04: a named port brings its own protocol."""
    return any(
        is_named(protocol, packet) if first is None else protocol == packet.protocol and first <= packet.port <= last
        for protocol, first, last in port_ranges(entry)
    )


# --- Calico


def calico_policies(packet: Packet) -> Iterator[Policy]:
    """CA-05 to CA-07; a policy of a tier that does not exist is skipped."""
    known = {name for name, _ in tiers(packet.objects)}
    for kind in ("NetworkPolicy", "GlobalNetworkPolicy"):
        for policy in calico(packet.objects, kind):
            spec = policy.get("spec") or {}
            namespace = namespace_of(policy) if kind == "NetworkPolicy" else ""
            tier = spec.get("tier") or DEFAULT
            if tier in known and calico_applies(spec, namespace, packet):
                rules = items(spec, packet.direction.lower())
                actions = tuple(rule["action"] for rule in rules if calico_rule_matches(rule, namespace, packet))
                yield Policy(tier, order_of(spec), name_of(policy), actions)


def calico_applies(spec: Object, namespace: str, packet: Packet) -> bool:
    pod = packet.subject.pod
    if pod is None or packet.direction not in calico_types(spec) or spec.get("doNotTrack") or spec.get("preDNAT"):
        return False
    return (not namespace or namespace_of(pod) == namespace) and calico_selected(
        endpoint_labels(packet.objects, pod),
        selector=spec.get("selector") or "",
        namespaces=spec.get("namespaceSelector") or "",
        accounts=spec.get("serviceAccountSelector") or "",
    )


def calico_types(spec: Object) -> list[str]:
    """CA-06."""
    inferred = [INGRESS] if items(spec, "ingress") or not items(spec, "egress") else []
    return items(spec, "types") or inferred + ([EGRESS] if items(spec, "egress") else [])


def calico_rule_matches(rule: Object, namespace: str, packet: Packet) -> bool:
    """CA-11."""
    version, address = rule.get("ipVersion"), packet.peer.address
    return (
        (rule.get("protocol") is None or protocol_name(rule["protocol"]) == packet.protocol)
        and (rule.get("notProtocol") is None or protocol_name(rule["notProtocol"]) != packet.protocol)
        and (version is None or address is None or address.version == version)
        and entity_matches(rule.get("source") or {}, packet.src, namespace, packet)
        and entity_matches(rule.get("destination") or {}, packet.dst, namespace, packet)
    )


def protocol_name(protocol: str | int) -> str:
    return PROTOCOL_NUMBERS.get(str(protocol), str(protocol).upper())


def entity_matches(entity: Object, end: End, namespace: str, packet: Packet) -> bool:
    """CA-08, CA-10, CA-11."""
    if entity.get("services"):
        raise ValueError("the reference does not read `services`")
    nets, not_nets = items(entity, "nets"), items(entity, "notNets")
    return (
        (not nets or any(within(net, end.address) for net in nets))
        and not any(within(net, end.address) for net in not_nets)
        and entity_selects(entity, end, namespace, packet)
        and entity_ports_match(entity, end, packet)
    )


def entity_selects(entity: Object, end: End, namespace: str, packet: Packet) -> bool:
    """Selectors choose addresses: those of endpoints and those in network sets (CA-12), which a pod may hold as well."""
    known = [*labels_at(end, packet.objects)]
    excluded = entity.get("notSelector") or ""
    if excluded and any(calico_selected(found, selector=excluded) for found in known):
        return False
    accounts = entity.get("serviceAccounts") or {}
    # A namespaced policy stays in its namespace as soon as it selects at all, by notSelector too.
    namespaces = entity.get("namespaceSelector") or ""
    if not (entity.get("selector") or namespaces or accounts or (namespace and excluded)):
        return True
    return any(
        (bool(namespaces) or not namespace or found.get(CALICO_NAMESPACE) == namespace)
        and (not items(accounts, "names") or found.get("projectcalico.org/serviceaccount") in accounts["names"])
        and calico_selected(
            found,
            selector=entity.get("selector") or "",
            namespaces=namespaces,
            accounts=accounts.get("selector") or "",
        )
        for found in known
    )


def entity_ports_match(entity: Object, end: End, packet: Packet) -> bool:
    ports, not_ports = items(entity, "ports"), items(entity, "notPorts")
    if end is not packet.dst:
        return not ports and not not_ports
    return (not ports or any(calico_port_matches(port, packet) for port in ports)) and not any(
        calico_port_matches(port, packet) for port in not_ports
    )


def calico_port_matches(port: str | int, packet: Packet) -> bool:
    """A number, a range or a name."""
    bounds = re.fullmatch(r"(\d+)(?::(\d+))?", str(port))
    if not bounds:
        return is_named(str(port), packet)
    return int(bounds[1]) <= packet.port <= int(bounds[2] or bounds[1])


def labels_at(end: End, objects: list[Object]) -> Iterator[Labels]:
    """The labels of whatever stands for the end: an endpoint and the network sets that hold its address (CA-12)."""
    if end.pod is not None:
        yield endpoint_labels(objects, end.pod)
    for kind in ("NetworkSet", "GlobalNetworkSet"):
        for found in calico(objects, kind):
            if any(within(net, end.address) for net in items(found.get("spec") or {}, "nets")):
                inherited = inherited_labels(objects, namespace_of(found)) if kind == "NetworkSet" else {}
                yield {**inherited, **labels(found)}


def endpoint_labels(objects: list[Object], pod: Object) -> Labels:
    namespace = namespace_of(pod)
    account = (pod.get("spec") or {}).get("serviceAccountName") or "default"
    of_account = {CALICO_NAME: account}
    for found in of_kind(objects, "", "ServiceAccount"):
        if (namespace_of(found), name_of(found)) == (namespace, account):
            of_account |= labels(found)
    return {
        **labels(pod),
        **inherited_labels(objects, namespace),
        **{f"pcsa.{key}": value for key, value in of_account.items()},
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": account,
    }


def inherited_labels(objects: list[Object], namespace: str) -> Labels:
    """CA-12, and the label by which a selector names the namespace."""
    found = {CALICO_NAME: namespace, **namespace_labels(objects, namespace)}
    return {CALICO_NAMESPACE: namespace, **{f"pcns.{key}": value for key, value in found.items()}}


def calico_selected(found: Labels, *, selector: str = "", namespaces: str = "", accounts: str = "") -> bool:
    """All three given expressions hold; those about namespaces and accounts are about inherited labels (CA-12)."""
    return (
        (not selector or Expression(selector, found).value())
        and (not namespaces or Expression(namespaces, found, "pcns.").value())
        and (not accounts or Expression(accounts, found, "pcsa.").value())
    )


class Expression:
    """CA-09, evaluated while it is read: ``or`` of ``and`` of operands, each of which may be negated."""

    TOKEN = re.compile(r"""'[^']*'|"[^"]*"|\|\||&&|==|!=|[!(){},]|[\w./-]+""")

    def __init__(self, text: str, found: Labels, prefix: str = "") -> None:
        self.tokens = deque(self.TOKEN.findall(text))
        self.labels = found
        self.prefix = prefix

    def value(self) -> bool:
        result = self.disjunction()
        if self.tokens:
            raise ValueError(f"unread rest of a selector: {' '.join(self.tokens)}")
        return result

    def disjunction(self) -> bool:
        values = [self.conjunction()]
        while self.took("||"):
            values.append(self.conjunction())
        return any(values)

    def conjunction(self) -> bool:
        values = [self.operand()]
        while self.took("&&"):
            values.append(self.operand())
        return all(values)

    def operand(self) -> bool:
        if self.took("!"):
            return not self.operand()
        if self.took("("):
            result = self.disjunction()
            self.take(")")
            return result
        word = self.tokens.popleft()
        if self.took("("):
            return self.call(word)
        return self.comparison(self.labels.get(self.prefix + word))

    def call(self, function: str) -> bool:
        """CA-08: as namespaceSelector, `all()` is whatever has a namespace, `global()` whatever has none."""
        if function == "has":
            key = self.tokens.popleft()
            self.take(")")
            return self.prefix + key in self.labels
        self.take(")")
        namespaced = CALICO_NAMESPACE in self.labels
        return {"all": namespaced or self.prefix != "pcns.", "global": not namespaced}[function]

    def comparison(self, label: str | None) -> bool:
        operator = self.tokens.popleft()
        if operator == "not":
            self.take("in")
            return label not in self.choices()
        if operator == "in":
            return label in self.choices()
        if operator in {"starts", "ends"}:
            self.take("with")
        text = self.text()
        if operator == "!=":
            return label != text
        tests = {"==": str.__eq__, "contains": str.__contains__, "starts": str.startswith, "ends": str.endswith}
        return label is not None and bool(tests[operator](label, text))

    def choices(self) -> list[str]:
        self.take("{")
        found: list[str] = []
        while not self.took("}"):
            found.append(self.text())
            self.took(",")
        return found

    def text(self) -> str:
        quoted: str = self.tokens.popleft()
        return quoted[1:-1]

    def took(self, token: str) -> bool:
        """Whether the next token was this one, which is then behind us."""
        if self.tokens and self.tokens[0] == token:
            self.tokens.popleft()
            return True
        return False

    def take(self, token: str) -> None:
        if not self.took(token):
            raise ValueError(f"a selector needs `{token}` before: {' '.join(self.tokens)}")


# --- Objects, selectors, addresses


def of_kind(objects: list[Object], group: str, kind: str) -> Iterator[Object]:
    """The group is asked as well: three groups have a NetworkPolicy."""
    for obj in objects:
        if obj["kind"] == kind and obj["apiVersion"].rpartition("/")[0] == group:
            yield obj


def calico(objects: list[Object], kind: str) -> Iterator[Object]:
    for group in CALICO_GROUPS:
        yield from of_kind(objects, group, kind)


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """N-03b."""
    return obj["metadata"].get("namespace") or "default"


def labels(obj: Object) -> Labels:
    return obj["metadata"].get("labels") or {}


def namespace_labels(objects: list[Object], namespace: str) -> Labels:
    """N-08: the name is always there, even where the Namespace is not."""
    found = (labels(obj) for obj in of_kind(objects, "", "Namespace") if name_of(obj) == namespace)
    return {**next(found, {}), NAME_LABEL: namespace}


def selects(selector: Object | None, found: Labels) -> bool:
    """N-07; an absent selector here is one that selects everything."""
    pairs = ((selector or {}).get("matchLabels") or {}).items()
    return all(found.get(key) == value for key, value in pairs) and all(
        requirement_holds(requirement, found) for requirement in items(selector or {}, "matchExpressions")
    )


def requirement_holds(requirement: Object, found: Labels) -> bool:
    """N-07c."""
    key, operator = requirement["key"], requirement["operator"]
    if operator in {"Exists", "DoesNotExist"}:
        return bool((key in found) == (operator == "Exists"))
    return bool((found.get(key) in requirement["values"]) == (operator == "In"))


def within(cidr: str, address: Address | None) -> bool:
    """R-24: compared as addresses, so that no spelling matters."""
    return address is not None and address in network(cidr)


@cache
def network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr, strict=False)


def items(obj: Object, field: str) -> list[Any]:
    """A list field; absent, null and empty are the same."""
    return obj.get(field) or []
