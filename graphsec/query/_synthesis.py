"""NetworkPolicies from wanted flows: which labels name each workload, which rules allow its flows, as objects to apply."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

from graphsec.algebra.blocks import ALL_V4, ALL_V6, AddressSet
from graphsec.algebra.ports import ALL_PORTS, MAX_PORT, MIN_PORT, NO_PORTS, PortSet
from graphsec.compile.endpoints import POD_INDEX, POD_NAME, VIRTUAL
from graphsec.compile.flows import Flows
from graphsec.model.policy import NAME_LABEL, Direction
from graphsec.model.ref import Ref
from graphsec.query._flow_list import Unit, Wanted

#: Labels that controllers write anew for every pod or revision.
_VOLATILE = frozenset(
    {
        "pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid",
        "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index", POD_NAME, POD_INDEX,
    }
)  # fmt: skip
#: Labels by which people name workloads, the best first.
_NAMING = ("app.kubernetes.io/name", "app", "k8s-app", "app.kubernetes.io/component", "name", "component", "run")
_WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?{_WORD}")
_VALUE = re.compile(rf"({_WORD})?")
_UNSAFE = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME = 200

Labels = Mapping[str, str]
Object = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """One condition on a label: one of the values; for none that the label is absent."""

    key: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Labels) -> bool:
        return labels.get(self.key) in self.values if self.values else self.key not in labels


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """A LabelSelector: all conditions hold."""

    tests: tuple[Test, ...] = ()

    def holds(self, labels: Labels) -> bool:
        return all(test.holds(labels) for test in self.tests)

    def to_dict(self) -> Object:
        single = {test.key: test.values[0] for test in self.tests if len(test.values) == 1}
        others = [
            {"key": test.key, "operator": "In", "values": list(test.values)}
            if test.values
            else {"key": test.key, "operator": "DoesNotExist"}
            for test in self.tests
            if len(test.values) != 1
        ]
        return {
            **({"matchLabels": single} if single else {}),
            **({"matchExpressions": others} if others else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Workloads of one namespace that one selector names; more than one where no labels tell them apart."""

    namespace: str
    workloads: tuple[int, ...]
    selector: Selector


# -- which labels name a workload ---------------------------------------------------------------------------------


class Naming:
    """Groups of the workloads whose pods policies select: host-network pods are none (N-14)."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        endpoints = flows.endpoints
        hosts = set(flows.universe.host_pods)
        self._labels: dict[int, list[Labels]] = defaultdict(list)
        self._in_namespace: dict[str, list[int]] = defaultdict(list)
        for pod, workload in enumerate(endpoints.workload_of):
            ref = endpoints.refs[pod]
            if ref.kind == VIRTUAL or pod in hosts:
                continue
            if workload not in self._labels:
                self._in_namespace[ref.namespace or ""].append(workload)
            if endpoints.labels[pod] not in self._labels[workload]:
                self._labels[workload].append(endpoints.labels[pod])

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """In order of namespace and name."""
        refs = self._flows.endpoints.workloads
        found = [group for name, workloads in self._in_namespace.items() for group in self._grouped(name, workloads)]
        return tuple(sorted(found, key=lambda group: (group.namespace, refs[group.workloads[0]])))

    @cached_property
    def group_of(self) -> Mapping[int, int]:
        """Number of the group of each workload."""
        return {workload: number for number, group in enumerate(self.groups) for workload in group.workloads}

    def _grouped(self, namespace: str, workloads: Sequence[int]) -> Iterator[Group]:
        refs = self._flows.endpoints.workloads
        index = _Index({workload: self._labels[workload] for workload in workloads})
        member_of = {workload: frozenset({workload}) for workload in workloads}
        waiting = list(member_of.values())
        found: dict[frozenset[int], Selector] = {}
        while waiting:
            members = waiting.pop()
            if member_of[min(members)] != members:
                continue
            found[members], caught = index.selector(members)
            if caught:
                joined = members.union(*(member_of[other] for other in caught))
                member_of.update(dict.fromkeys(joined, joined))
                waiting.append(joined)
        for members in set(member_of.values()):
            ordered = tuple(sorted(members, key=refs.__getitem__))
            yield Group(namespace=namespace, workloads=ordered, selector=found[members])


class _Index:
    """The labels of the workloads of one namespace."""

    def __init__(self, labels: Mapping[int, list[Labels]]) -> None:
        self._labels = labels
        self._holders: dict[tuple[str, str], set[int]] = defaultdict(set)
        for workload, pods in labels.items():
            for pod in pods:
                for pair in pod.items():
                    self._holders[pair].add(workload)

    def selector(self, members: frozenset[int]) -> tuple[Selector, frozenset[int]]:
        """(the shortest selector that finds the members and as few others as can be, those others)."""
        own = [pod for member in members for pod in self._labels[member]]
        naming = sorted(_common(own), key=_rank)
        if len(members) == len(self._labels):
            return Selector(tuple(naming[:1])), frozenset()
        for test in naming:
            if not self._found_by(test) - members:
                return Selector((test,)), frozenset()
        others = {workload: pods for workload, pods in self._labels.items() if workload not in members}
        tests = [*naming, *sorted(_absent(own, others.values()))]
        caught = frozenset(
            workload for workload, pods in others.items() if any(Selector(tuple(tests)).holds(pod) for pod in pods)
        )
        rest = [pod for workload, pods in others.items() if workload not in caught for pod in pods]
        return Selector(tuple(_shortest(tests, naming, rest))), caught

    def _found_by(self, test: Test) -> set[int]:
        return set().union(*(self._holders[test.key, value] for value in test.values))


def _common(pods: Sequence[Labels]) -> Iterator[Test]:
    """Conditions that all pods fulfil by a label that each of them has."""
    for key in set(pods[0]).intersection(*pods[1:]) if pods else ():
        values = tuple(sorted({pod[key] for pod in pods}))
        if _is_usable(key) and all(map(_VALUE.fullmatch, values)):
            yield Test(key, values)


def _absent(pods: Sequence[Labels], others: Iterable[list[Labels]]) -> Iterator[Test]:
    """Conditions that all pods fulfil by a label that none of them has, and some other pod does."""
    theirs = {key for found in others for pod in found for key in pod}
    for key in theirs.difference(*pods):
        if _is_usable(key):
            yield Test(key)


def _is_usable(key: str) -> bool:
    return key not in _VOLATILE and _KEY.fullmatch(key) is not None


def _rank(test: Test) -> tuple[int, int, str]:
    return len(test.values), _NAMING.index(test.key) if test.key in _NAMING else len(_NAMING), test.key


def _shortest(tests: Sequence[Test], naming: Sequence[Test], others: Sequence[Labels]) -> Iterator[Test]:
    """Tests that keep all others out, each of those that keep most out first; at least one by a label that is there."""
    chosen: list[Test] = []
    left = list(others)
    while left:
        test = min(tests, key=lambda test: sum(test.holds(pod) for pod in left))
        still = [pod for pod in left if test.holds(pod)]
        if len(still) == len(left):
            break
        chosen.append(test)
        left = still
    if naming and not any(test.values for test in chosen):
        chosen.insert(0, naming[0])
    return (test for test in tests if test in chosen)


# -- which rules allow the flows ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peers:
    """Ends of a rule: groups by number, and addresses."""

    groups: frozenset[int] = frozenset()
    addresses: AddressSet = AddressSet()

    def __or__(self, other: Peers) -> Peers:
        return Peers(self.groups | other.groups, self.addresses | other.addresses)


@dataclass
class Sides:
    """What each group may exchange, by direction."""

    by_group: dict[tuple[int, Direction], dict[int, PortSet]] = field(default_factory=lambda: defaultdict(dict))
    by_address: dict[tuple[int, Direction], list[tuple[AddressSet, PortSet]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def rules(self, group: int, direction: Direction) -> list[tuple[PortSet, Peers]]:
        """As few rules as equal ports allow, those of the widest ports last."""
        by_ports: dict[PortSet, Peers] = defaultdict(Peers)
        for other, ports in self.by_group[group, direction].items():
            by_ports[ports] |= Peers(frozenset({other}))
        for addresses, ports in disjoint(self.by_address[group, direction]):
            by_ports[ports] |= Peers(addresses=addresses)
        return sorted(_fewer(by_ports).items(), key=lambda rule: (len(rule[0]), rule[0].spans))


def disjoint(parts: Iterable[tuple[AddressSet, PortSet]]) -> Iterator[tuple[AddressSet, PortSet]]:
    """Each address once, with the union of its ports."""
    cut: list[tuple[AddressSet, PortSet]] = []
    for ports, addresses in _joined(parts).items():
        rest, following = addresses, []
        for known, found in cut:
            both = known & rest
            following += [(both, found | ports), (known - both, found)]
            rest -= both
        cut = [(part, found) for part, found in (*following, (rest, ports)) if part]
    return ((addresses, ports) for ports, addresses in _joined(cut).items())


def _joined(parts: Iterable[tuple[AddressSet, PortSet]]) -> dict[PortSet, AddressSet]:
    found: dict[PortSet, list[AddressSet]] = defaultdict(list)
    for addresses, ports in parts:
        found[ports].append(addresses)
    return {ports: AddressSet.union_of(every) for ports, every in found.items()}


def _fewer(by_ports: Mapping[PortSet, Peers]) -> dict[PortSet, Peers]:
    """Without rules whose ports other rules have between them: their peers join those."""
    kept = dict(by_ports)
    for ports in sorted(by_ports, key=lambda ports: (-len(ports), ports.spans)):
        parts = [other for other in kept if other != ports and other <= ports]
        if PortSet.union_of(parts) == ports:
            peers = kept.pop(ports)
            for part in parts:
                kept[part] |= peers
    return kept


def sides(flows: Flows, wanted: Wanted, naming: Naming) -> Sides:
    """The wanted flows by group and direction, without those with a node whose address is not known."""
    found = Sides()
    units = HostUnits(flows, naming)
    for (source, destination), ports in wanted.pairs.items():
        for direction, subject, peer in (
            (Direction.EGRESS, source, destination),
            (Direction.INGRESS, destination, source),
        ):
            group = None if isinstance(subject, AddressSet) else naming.group_of.get(subject)
            if group is None:
                # Addresses and host-network pods have no side of their own (N-14).
                continue
            end = units.end(peer)
            if isinstance(end, AddressSet):
                found.by_address[group, direction].append((end, ports))
            elif end is not None:
                known = found.by_group[group, direction]
                known[end] = known.get(end, NO_PORTS) | ports
    return found


@dataclass(frozen=True)
class HostUnits:
    """Ends as rules can name them."""

    flows: Flows
    naming: Naming

    def end(self, unit: Unit) -> int | AddressSet | None:
        """A group, or addresses: host-network pods are known by those of their node only (N-14b). None where unknown."""
        if isinstance(unit, AddressSet):
            return unit
        return self.naming.group_of.get(unit, self.addresses.get(unit))

    @cached_property
    def addresses(self) -> Mapping[int, AddressSet]:
        """Of the nodes that each host-network workload runs on; without workloads of which some node is not known."""
        endpoints = self.flows.endpoints
        found: dict[int, list[int]] = defaultdict(list)
        unknown = set()
        for pod in self.flows.universe.host_pods:
            node = endpoints.nodes.get(endpoints.specs[pod].node_name or "")
            addresses = endpoints.addresses[pod] or (node.internal if node else ())
            if not addresses:
                unknown.add(endpoints.workload_of[pod])
            found[endpoints.workload_of[pod]].extend(addresses)
        return {workload: AddressSet.of(places) for workload, places in found.items() if workload not in unknown}


# -- objects ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writer:
    """Groups and rules as NetworkPolicy objects."""

    flows: Flows
    groups: Sequence[Group]
    #: Rules that every policy gets beside its own.
    egress: tuple[Object, ...] = ()

    def policies(self, found: Sides) -> list[Object]:
        names = self._names()
        return [self._policy(number, name, found) for number, name in enumerate(names)]

    def _policy(self, number: int, name: str, found: Sides) -> Object:
        group = self.groups[number]
        ingress = [self._rule(rule, "from", group) for rule in found.rules(number, Direction.INGRESS)]
        egress = [self._rule(rule, "to", group) for rule in found.rules(number, Direction.EGRESS)]
        spec: Object = {
            "podSelector": group.selector.to_dict(),
            "policyTypes": ["Ingress", "Egress"],
            **({"ingress": ingress} if ingress else {}),
            **({"egress": [*egress, *self.egress]} if egress or self.egress else {}),
        }
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": group.namespace},
            "spec": spec,
        }

    def _rule(self, rule: tuple[PortSet, Peers], word: str, group: Group) -> Object:
        ports, peers = rule
        written = [*self._selected(peers, group.namespace), *map(_block, _blocks(peers.addresses))]
        return {word: written, **({} if ports == ALL_PORTS else {"ports": list(port_entries(ports))})}

    def _selected(self, peers: Peers, own: str) -> Iterator[Object]:
        """Peers by labels; those of one namespace that one label names are one."""
        by_namespace: dict[str, list[Selector]] = defaultdict(list)
        for number in peers.groups:
            by_namespace[self.groups[number].namespace].append(self.groups[number].selector)
        for namespace in sorted(by_namespace):
            for selector in _merged(by_namespace[namespace]):
                yield selected_pods(selector, "" if namespace == own else namespace)

    def _names(self) -> list[str]:
        """Of the first workload, with its kind where two would be alike."""
        refs = [self.flows.endpoints.workloads[group.workloads[0]] for group in self.groups]
        plain = [dns_name(ref.name) for ref in refs]
        spaces = [group.namespace for group in self.groups]
        taken = Counter(zip(spaces, plain, strict=True))
        return [
            name if taken[space, name] == 1 else dns_name(f"{ref.name}-{ref.kind}", unique=str(ref))
            for space, name, ref in zip(spaces, plain, refs, strict=True)
        ]


def dns_name(text: str, unique: str = "") -> str:
    """A DNS label made of the text; with a hash where it had to be changed or might be taken."""
    name = _UNSAFE.sub("-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    if name == text and not unique:
        return name
    return f"{name or 'workload'}-{blake2b((unique or text).encode(errors='replace'), digest_size=4).hexdigest()}"


def selected_pods(selector: Selector, namespace: str) -> Object:
    """A peer; the policy's own namespace for ""."""
    there = {"namespaceSelector": {"matchLabels": {NAME_LABEL: namespace}}} if namespace else {}
    return {**there, "podSelector": selector.to_dict()}


def _merged(selectors: Iterable[Selector]) -> list[Selector]:
    by_key: dict[str, set[str]] = defaultdict(set)
    others = []
    for selector in selectors:
        if len(selector.tests) == 1 and selector.tests[0].values:
            by_key[selector.tests[0].key].update(selector.tests[0].values)
        else:
            others.append(selector)
    single = [Selector((Test(key, tuple(sorted(values))),)) for key, values in by_key.items()]
    return sorted([*single, *others])


def _blocks(addresses: AddressSet) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(CIDR, exceptions): whatever writes each family in fewer words."""
    for whole in (ALL_V4, ALL_V6):
        inside = addresses & whole
        parts = list(inside.cidrs())
        missing = list((whole - inside).cidrs())
        if inside and len(missing) + 1 < len(parts):
            yield next(whole.cidrs()), tuple(missing)
        else:
            yield from ((part, ()) for part in parts)


def _block(block: tuple[str, tuple[str, ...]]) -> Object:
    cidr, exceptions = block
    return {"ipBlock": {"cidr": cidr, **({"except": list(exceptions)} if exceptions else {})}}


def port_entries(ports: PortSet) -> Iterator[Object]:
    """A whole protocol, a port or a range each."""
    for protocol, low, high in ports.ranges():
        if (low, high) == (MIN_PORT, MAX_PORT):
            yield {"protocol": protocol}
        else:
            yield {"protocol": protocol, "port": low, **({"endPort": high} if high > low else {})}


def policy_ref(policy: Object) -> Ref:
    return Ref("NetworkPolicy", policy["metadata"]["name"], policy["metadata"]["namespace"])


__all__ = [
    "Group",
    "HostUnits",
    "Naming",
    "Object",
    "Selector",
    "Sides",
    "Test",
    "Writer",
    "disjoint",
    "policy_ref",
    "port_entries",
    "selected_pods",
    "sides",
]
