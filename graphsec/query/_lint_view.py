"""Policies as lint looks at them: each rule with the classes that it concerns, and what the solver made of it.

Nothing is matched here: sets of pods are masks of the universe, effects are entries of the solver and their join.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt

from graphsec.algebra.expressions import EVERYTHING, Field, matches
from graphsec.algebra.ports import PortSet
from graphsec.compile import World
from graphsec.compile.backends import Backend, Backends, Targets
from graphsec.compile.classes import Extent
from graphsec.compile.endpoints import VIRTUAL
from graphsec.compile.entries import Reading, RuleKey, Solver
from graphsec.compile.join import Bicliques, Family
from graphsec.compile.masks import Ids, Rows
from graphsec.compile.policies import Placed, Policies
from graphsec.model.objects import Loaded
from graphsec.model.policy import ANY_PORT, Action, Direction, Policy, Rule, Tier
from graphsec.model.ref import Ref, Source
from graphsec.model.text import counted
from graphsec.query._ends import workload_label
from graphsec.query._lint_hints import Hints

#: Names of workloads that a message lists.
_SHOWN = 3
#: Labels by which the pods of the cluster's DNS are known: the addon's, NodeLocal DNSCache's, the chart's, OpenShift's.
_DNS_LABELS = (
    ("k8s-app", "kube-dns"),
    ("k8s-app", "coredns"),
    ("k8s-app", "node-local-dns"),
    ("app.kubernetes.io/name", "coredns"),
    ("dns.operator.openshift.io/daemonset-dns", "default"),
)
_DNS_PORT_NAMES = ("dns", "dns-tcp")
DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Variant:
    """Traffic of a rule, and the classes between which it means that: named ports are those of the destination (N-09a)."""

    traffic: int
    subjects: int
    peers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """One rule with the classes it concerns, as far as it may concern them where addresses are unknown."""

    key: RuleKey
    policy: Placed
    direction: Direction
    rule: Rule
    subjects: int
    peers: Extent
    #: Without those that mean no class or no traffic.
    variants: tuple[Variant, ...]

    @property
    def source(self) -> Source:
        return self.policy.rule_source(self.direction, self.rule)

    @property
    def name(self) -> str:
        """`ingress[0]`."""
        return f"{self.direction}[{self.rule.index}]"


@dataclass(frozen=True, slots=True)
class Translated:
    """A Service, the pods behind one port of it, and the ports of theirs that it leads to."""

    service: Ref
    pods: npt.NDArray[np.int64]
    reached: PortSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Workloads of a namespace that policies isolate for a direction."""

    default_deny: bool
    workloads: int
    #: How many of the isolated ones a rule opens to everything again.
    opened: int
    #: Those with a pod that no policy isolates.
    open: tuple[Ref, ...]

    @property
    def isolated(self) -> int:
        return self.workloads - len(self.open)

    @property
    def text(self) -> str:
        again = f", {self.opened:,} of them opened to everything by a rule" if self.opened else ""
        deny = ", default deny" if self.default_deny else ""
        return f"{self.isolated:,} of {counted(self.workloads, 'workload')} isolated{again}{deny}"


class View:
    """The flows of a world, indexed for the checks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flows = world.flows
        self.universe = world.flows.universe
        self.masks = world.flows.universe.masks
        self.endpoints = world.flows.endpoints
        self.placed = world.flows.policies.placed
        self._within: dict[tuple[int, int], bool] = {}
        self._names: dict[int, str] = {}
        self._isolating: dict[tuple[Direction, int], list[Placed]] = {}

    # -- rules --------------------------------------------------------------------------------------------------

    @cached_property
    def rules(self) -> tuple[RuleView, ...]:
        return tuple(self._rules())

    def _rules(self) -> Iterator[RuleView]:
        for number, policy in enumerate(self.placed):
            subjects = self.universe.subjects(policy)
            for direction in Direction:
                for position, rule in enumerate(policy.body.rules(direction) or ()):
                    yield self._rule((number, position), policy, direction, rule, subjects)

    def _rule(self, key: RuleKey, policy: Placed, direction: Direction, rule: Rule, subjects: int) -> RuleView:
        if rule.own is not None:
            subjects = self.masks.intersection(subjects, self.universe.peer(rule.own, policy).may)
        peers = self.universe.peers(rule.peers, policy)
        variants = []
        for traffic, destinations in self.universe.port_bits(rule.ports):
            those, ends = subjects, peers.may
            if destinations is not None and direction is Direction.EGRESS:
                ends = self.masks.intersection(ends, destinations)
            elif destinations is not None:
                those = self.masks.intersection(those, destinations)
            if traffic and self.masks.empty not in (those, ends):
                variants.append(Variant(traffic, those, ends))
        return RuleView(
            key=key,
            policy=policy,
            direction=direction,
            rule=rule,
            subjects=subjects,
            peers=peers,
            variants=tuple(variants),
        )

    def destinations(self, view: RuleView) -> int:
        """Pods at which the ports of a rule are: its peers for egress, its subjects for ingress."""
        ends = view.peers.may if view.direction is Direction.EGRESS else view.subjects
        return self.masks.intersection(ends, self.real_pods)

    # -- sets of pods -------------------------------------------------------------------------------------------

    @cached_property
    def virtual(self) -> int:
        """Classes that stand for pods outside the input."""
        numbers = {int(self.universe.classes[index][0]) for index in self.endpoints.virtual.values()}
        return self.masks.add(np.array(sorted(numbers), np.int32))

    @cached_property
    def real_pods(self) -> int:
        return self.masks.difference(self.universe.all_pods, self.virtual)

    def within(self, one: int, other: int) -> bool:
        """Whether every class of one set is in the other."""
        masks = self.masks
        if other in (one, masks.whole) or one == masks.empty:
            return True
        if masks.count(one) > masks.count(other):
            return False
        known = self._within.get((one, other))
        if known is None:
            if masks.dense(one):
                known = not masks.bits(one) & ~masks.bits(other)
            else:
                known = bool(masks.contains(other, masks.ids(one)).all())
            self._within[one, other] = known
        return known

    def meets(self, one: int, other: int) -> bool:
        """Whether two sets share a class."""
        if self.masks.count(one) > self.masks.count(other):
            one, other = other, one
        return one != self.masks.empty and bool(self.masks.contains(other, self.masks.ids(one)).any())

    def pods(self, mask: int) -> npt.NDArray[np.int64]:
        """Indices of the pods of a set, ascending."""
        ids = self.masks.ids(self.masks.intersection(mask, self.real_pods))
        return np.unique(self.universe.members.expand(ids)[1]).astype(np.int64)

    def names(self, mask: int) -> str:
        """The workloads that have a pod in the set: `ns/a[Deployment], ns/b[Deployment] and 9 more`."""
        known = self._names.get(mask)
        if known is None:
            numbers = np.unique(self._workload_of[self.pods(mask)]).tolist()
            shown = [workload_label(self.endpoints.workloads[number]) for number in numbers[:_SHOWN]]
            known = self._names[mask] = listed(shown, of=len(numbers))
        return known

    @cached_property
    def _workload_of(self) -> npt.NDArray[np.int32]:
        return np.array(self.endpoints.workload_of, np.int32)

    @cached_property
    def pods_of_workload(self) -> Rows:
        return Rows.of_pairs(self._workload_of, np.arange(len(self._workload_of)), len(self.endpoints.workloads))

    def pods_in(self, mask: int) -> npt.NDArray[np.bool_]:
        """For every pod whether a class of it is in the set."""
        flags = np.zeros(len(self.endpoints), np.bool_)
        flags[self.pods(mask)] = True
        return flags

    # -- isolation ----------------------------------------------------------------------------------------------

    def isolates(self, policy: Placed, direction: Direction) -> bool:
        """Whether a policy closes what it does not open: by its tier's default, or by a rule that denies all pods."""
        rules = policy.body.rules(direction)
        if rules is None:
            return False
        return policy.tier.default is Action.DENY or any(
            rule.action is Action.DENY
            and rule.ports == ANY_PORT
            and self.within(self.universe.all_pods, self.universe.peers(rule.peers, policy).must)
            for rule in rules
        )

    @cached_property
    def isolated(self) -> dict[Direction, int]:
        """Pods that some policy isolates."""
        return {
            direction: self.masks.union(
                self.universe.subjects(policy) for policy in self.placed if self.isolates(policy, direction)
            )
            for direction in Direction
        }

    @cached_property
    def opened(self) -> dict[Direction, int]:
        """Isolated pods that a rule opens again, to every end on every port."""
        return {
            direction: self.masks.union(
                part.subjects
                for found in self.rules
                if found.direction is direction and found.rule.action is Action.ALLOW
                for part in found.variants
                if part.peers == self.masks.whole and part.traffic == self.universe.traffic.all
            )
            for direction in Direction
        }

    @cached_property
    def _selecting(self) -> dict[Direction, tuple[Family, list[int]]]:
        found = {}
        for direction in Direction:
            numbers = [number for number, policy in enumerate(self.placed) if self.isolates(policy, direction)]
            subjects = [self.universe.subjects(self.placed[number]) for number in numbers]
            found[direction] = (Family(self.masks, subjects), numbers)
        return found

    def isolating(self, direction: Direction, number: int) -> list[Placed]:
        """The policies that isolate a class."""
        known = self._isolating.get((direction, number))
        if known is None:
            family, numbers = self._selecting[direction]
            found = family.holding(number).tolist() if numbers else ()
            known = self._isolating[direction, number] = [self.placed[numbers[place]] for place in found]
        return known

    def is_default(self, policy: Placed, direction: Direction) -> bool:
        """Whether a policy isolates whatever pod comes into its namespaces."""
        return self.isolates(policy, direction) and policy.body.selects.labels == EVERYTHING

    # -- what the solver made of the rules ----------------------------------------------------------------------

    def unordered(self, tier: Tier, direction: Direction) -> bool:
        """Whether a tier is one of permissions alone, in which order plays no part."""
        return tier in self._unordered[direction]

    @cached_property
    def _unordered(self) -> dict[Direction, frozenset[Tier]]:
        return {
            direction: frozenset(
                tier
                for tier, numbers in self.flows.policies.tiers(direction)
                if tier.default is Action.DENY
                and all(
                    rule.action is Action.ALLOW
                    for number in numbers
                    for rule in self.placed[number].body.rules(direction) or ()
                )
            )
            for direction in Direction
        }

    @cached_property
    def reached(self) -> dict[Direction, frozenset[RuleKey] | None]:
        """Rules that some traffic comes to before another rule has decided it; None where no tier has an order."""
        return {direction: self._reached(direction) for direction in Direction}

    def _reached(self, direction: Direction) -> frozenset[RuleKey] | None:
        tiers = [tier for tier, _ in self.flows.policies.tiers(direction)]
        ordered = [tier for tier in tiers if not self.unordered(tier, direction)]
        if not ordered:
            return None
        found: set[RuleKey] = set()
        for reading in self.flows.readings:
            found.update(key for entry in self.flows.side(direction, reading).entries for key in entry.rules)
            for tier in ordered:
                found |= self._reached_in(tier, direction, reading)
        return frozenset(found)

    def _reached_in(self, tier: Tier, direction: Direction, reading: Reading) -> set[RuleKey]:
        """Solves the tiers up to this one with every action of it an allow: what a rule takes does not depend on its action."""
        probe = replace(tier, default=Action.PASS)
        policies = tuple(self._probed(policy, tier, probe, direction) for policy in self.placed)
        solver = Solver(self.universe, Policies(placed=policies), direction, reading)
        return {key for entry in solver.entries() for key in entry.rules if self.placed[key[0]].tier == tier}

    def _probed(self, policy: Placed, tier: Tier, probe: Tier, direction: Direction) -> Placed:
        if policy.tier < tier:
            return policy
        body = policy.body
        rules = body.rules(direction)
        if policy.tier != tier or rules is None:
            return replace(policy, body=replace(body, ingress=None, egress=None))
        allows = tuple(replace(rule, action=Action.ALLOW) for rule in rules)
        return replace(policy, body=_with_rules(body, direction, allows), tier=probe)

    def decider(self, found: RuleView) -> RuleView | None:
        """The rule before this one that takes what this one first means; None where an earlier tier just isolates."""
        part = found.variants[0]
        subject, peer = (int(self.masks.ids(mask)[0]) for mask in (part.subjects, part.peers))
        rules, family = self._in_order[found.direction]
        applying = [rules[number] for number in family.holding(subject).tolist()]
        for tier, group in groupby(applying, key=lambda rule: rule.policy.tier):
            first = next(
                (rule for rule in group if self._takes(rule, subject, peer, part.traffic & -part.traffic)), None
            )
            if first is not None and (tier == found.policy.tier or first.rule.action is not Action.PASS):
                return None if first is found else first
        return None

    def _takes(self, rule: RuleView, subject: int, peer: int, traffic: int) -> bool:
        return any(
            part.traffic & traffic and self._holds(part.subjects, subject) and self._holds(part.peers, peer)
            for part in rule.variants
        )

    def _holds(self, mask: int, number: int) -> bool:
        return bool(self.masks.contains(mask, np.array([number], np.int32))[0])

    @cached_property
    def _in_order(self) -> dict[Direction, tuple[list[RuleView], Family]]:
        """The rules of each direction as they are read."""
        by_key = {(found.direction, *found.key): found for found in self.rules}
        found = {}
        for direction in Direction:
            rules = [
                by_key[direction, number, position]
                for _, numbers in self.flows.policies.tiers(direction)
                for number in numbers
                for position in range(len(self.placed[number].body.rules(direction) or ()))
            ]
            found[direction] = (rules, Family(self.masks, [rule.subjects for rule in rules]))
        return found

    @cached_property
    def joined(self) -> dict[Direction, frozenset[RuleKey]]:
        """Rules that allow something which the other side allows as well, under some reading."""
        return {
            direction: frozenset(
                key
                for reading in self.flows.readings
                for key in _effective(self, direction, reading, self.flows.bicliques(reading))
            )
            for direction in Direction
        }

    # -- what several checks look up ----------------------------------------------------------------------------

    @cached_property
    def hints(self) -> Hints:
        return Hints(self.world.cluster, self.flows)

    @cached_property
    def backends(self) -> Backends:
        return Backends(self.world.cluster, self.endpoints)

    @cached_property
    def namespaces(self) -> dict[str, list[int]]:
        """The workloads of every namespace that has pods."""
        found: dict[str, list[int]] = defaultdict(list)
        for number, ref in enumerate(self.endpoints.workloads):
            if ref.kind != VIRTUAL:
                found[ref.namespace or ""].append(number)
        return dict(sorted(found.items()))

    @cached_property
    def number_of_workload(self) -> dict[Ref, int]:
        return {ref: number for number, ref in enumerate(self.endpoints.workloads)}

    @cached_property
    def namespace_sources(self) -> dict[str, Source]:
        return {loaded.ref.name: loaded.source for loaded in self.world.cluster.of("Namespace")}

    @cached_property
    def host_pods(self) -> dict[str | None, list[int]]:
        found: dict[str | None, list[int]] = defaultdict(list)
        for pod in self.universe.host_pods:
            found[self.endpoints.refs[pod].namespace].append(pod)
        return found

    @cached_property
    def pod_addresses(self) -> tuple[list[int], list[int]]:
        """Addresses that pods have of their own, ascending, and the pod at each."""
        hosts = set(self.universe.host_pods)
        pairs = sorted(
            (address, pod) for pod, held in enumerate(self.endpoints.addresses) if pod not in hosts for address in held
        )
        return [address for address, _ in pairs], [pod for _, pod in pairs]

    @cached_property
    def translated(self) -> dict[tuple[str, int], list[Translated]]:
        """Ports of Services that no pod behind them is reached at, by protocol and number."""
        found: dict[tuple[str, int], list[Translated]] = defaultdict(list)
        for service, protocol, port, targets in self._service_ports:
            reached = PortSet.union_of(targets.values())
            if (protocol, port) not in reached:
                found[protocol, port].append(Translated(service.ref, np.array(sorted(targets)), reached))
        return found

    @cached_property
    def serving(self) -> dict[tuple[str, int], npt.NDArray[np.bool_]]:
        """For the ports of ``translated`` the pods that a Service does reach there, or whose containers declare them."""
        found = {key: np.zeros(len(self.endpoints), np.bool_) for key in self.translated}
        for _, _, _, targets in self._service_ports:
            for pod, ports in targets.items():
                for protocol, low, high in ports.ranges():
                    if low == high and (protocol, low) in found:
                        found[protocol, low][pod] = True
        for pod, spec in enumerate(self.endpoints.specs):
            for declared in spec.ports():
                key = (declared.protocol or "TCP", declared.container_port)
                if key in found:
                    found[key][pod] = True
        return found

    @cached_property
    def _service_ports(self) -> list[tuple[Loaded, str, int, Targets]]:
        """(Service, protocol, port, the pods' ports) of every port of a Service with a selector that leads somewhere."""
        found = []
        for service in self.backends:
            spec = service.body.spec
            for port in (spec.ports or ()) if spec and spec.selector else ():
                targets = self.backends.behind(Backend(service, (port,)))
                if targets:
                    found.append((service, port.protocol or "TCP", port.port, targets))
        return found

    # -- DNS ----------------------------------------------------------------------------------------------------

    @cached_property
    def name_servers(self) -> tuple[int | None, dict[str, set[int]]]:
        """The classes of the cluster's DNS pods and their ports by protocol.

        None where the input has none, or has one on the host network, whose address may be any.
        """
        ports: dict[str, set[int]] = {"UDP": {DNS_PORT}, "TCP": {DNS_PORT}}
        pods = [
            pod
            for pod, labels in enumerate(self.endpoints.labels)
            if any(labels.get(key) == value for key, value in _DNS_LABELS)
        ]
        for pod in pods:
            for port in self.endpoints.specs[pod].ports():
                if port.name in _DNS_PORT_NAMES:
                    ports.setdefault(port.protocol or "TCP", set()).add(port.container_port)
        if not pods or set(pods) & set(self.universe.host_pods):
            return None, ports
        classes = np.unique(self.universe.classes.expand(np.array(pods))[1]).astype(np.int32)
        return self.masks.add(classes), ports

    # -- coverage -----------------------------------------------------------------------------------------------

    @cached_property
    def coverage(self) -> dict[str, dict[Direction, Coverage]]:
        """By namespace; workloads on the host network, which nothing isolates, apart. Namespaces without others are left out."""
        hosts = np.zeros(len(self.endpoints), np.bool_)
        hosts[self.universe.host_pods] = True
        ordinary = {
            name: [number for number in workloads if not hosts[self.pods_of_workload[number]].all()]
            for name, workloads in self.namespaces.items()
        }
        by_direction = {
            direction: {
                name: self._covered(workloads, hosts, direction, default_deny=name in denied)
                for name, workloads in ordinary.items()
                if workloads
            }
            for direction in Direction
            for denied in (self._default_denied(direction),)
        }
        return {
            name: {direction: by_direction[direction][name] for direction in Direction}
            for name in by_direction[Direction.INGRESS]
        }

    def _covered(
        self, workloads: Sequence[int], hosts: npt.NDArray[np.bool_], direction: Direction, *, default_deny: bool
    ) -> Coverage:
        isolated, opened = self._flags[direction]
        open_ = [number for number in workloads if not (isolated | hosts)[self.pods_of_workload[number]].all()]
        again = sum(bool(opened[self.pods_of_workload[number]].any()) for number in workloads)
        return Coverage(
            default_deny=default_deny,
            workloads=len(workloads),
            opened=again,
            open=tuple(self.endpoints.workloads[number] for number in open_),
        )

    @cached_property
    def _flags(self) -> dict[Direction, tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
        """For every pod whether it is isolated, and whether a rule opens it again."""
        return {
            direction: (self.pods_in(self.isolated[direction]), self.pods_in(self.opened[direction]))
            for direction in Direction
        }

    def _default_denied(self, direction: Direction) -> set[str]:
        """Namespaces in which a new pod is isolated, and no rule for all pods opens everything again."""
        denied: set[str] = set()
        opened: set[str] = set()
        for policy in self.placed:
            if self.is_default(policy, direction):
                names = self._namespaces_of(policy)
                denied |= names
                if self._opens_all(policy, direction):
                    opened |= names
        return denied - opened

    def _opens_all(self, policy: Placed, direction: Direction) -> bool:
        return any(
            rule.action is Action.ALLOW
            and rule.ports == ANY_PORT
            and self.universe.peers(rule.peers, policy).must == self.masks.whole
            for rule in policy.body.rules(direction) or ()
        )

    def _namespaces_of(self, policy: Placed) -> set[str]:
        selects = policy.body.selects
        candidates = [policy.ref.namespace or ""] if selects.own else self.namespaces
        return {
            name
            for name in candidates
            if matches(selects.namespaces, {Field.NAMESPACE: self.universe.namespace_labels(name)})
        }


def _with_rules(body: Policy, direction: Direction, rules: tuple[Rule, ...]) -> Policy:
    if direction is Direction.INGRESS:
        return replace(body, ingress=rules, egress=None)
    return replace(body, egress=rules, ingress=None)


def _effective(view: View, direction: Direction, reading: Reading, found: Bicliques) -> Iterator[RuleKey]:
    entries = view.flows.side(direction, reading).entries
    numbers, meeting = (
        (found.egress, found.sources) if direction is Direction.EGRESS else (found.ingress, found.destinations)
    )
    by_entry = Rows.of_pairs(numbers, np.arange(len(numbers)), len(entries))
    for number in np.unique(numbers).tolist():
        entry = entries[number]
        if len(entry.rules) <= 1:
            yield from entry.rules
            continue
        wanted = view.masks.count(entry.subjects)
        members = (meeting.members(view.masks, at) for at in by_entry[number].tolist())
        served = _gathered(members, view.masks.size, wanted)
        for key in entry.rules:
            subjects = view.masks.ids(view.universe.subjects(view.placed[key[0]]))
            if served[subjects].any():
                yield key


def _gathered(parts: Iterable[Ids], size: int, wanted: int) -> npt.NDArray[np.bool_]:
    """Flags of all members; stops when as many as ``wanted`` are found."""
    flags = np.zeros(size, np.bool_)
    seen = 0
    for part in parts:
        flags[part] = True
        # Counting costs more than marking, so it is done once for every set's worth of members.
        seen += len(part)
        if seen >= wanted:
            if int(flags.sum()) >= wanted:
                break
            seen = 0
    return flags


def listed(words: Sequence[object], of: int = 0) -> str:
    """`a, b, c and 9 more`; ``of`` says how many there are where only some are given."""
    texts = [str(word) for word in words[:_SHOWN]]
    more = (of or len(words)) - _SHOWN
    return f"{', '.join(texts)} and {more:,} more" if more > 0 else ", ".join(texts)


__all__ = ["DNS_PORT", "Coverage", "RuleView", "Translated", "Variant", "View", "listed"]
