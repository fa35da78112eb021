"""What lint looks for, one function a check: each yields remarks about a view of the flows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from graphsec.algebra.blocks import V6_BASE, AddressSet, parse_address
from graphsec.algebra.expressions import EVERYTHING, AllOf, Expression, Field, matches
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.compile.join import Family
from graphsec.compile.policies import Placed
from graphsec.compile.trace import term_text
from graphsec.model import policy as model
from graphsec.model.policy import BASELINE, Action, Direction, Peer, Ports
from graphsec.model.ref import Ref, Source
from graphsec.query._admitted import NO, Admission
from graphsec.query._ends import pod_label, workload_label
from graphsec.query._lint_view import DNS_PORT, RuleView, View, listed

#: Blocks up to a /12 may be the range of Services (N-13b): wider ones mean networks in which that range lies.
_SERVICE_RANGE = 1 << 20
#: Blocks up to a /8 may mean pods; wider ones mean the world.
_POD_RANGE = 1 << 24
#: Entries that come with something else: every LoadBalancer has node ports.
_BY_THE_WAY = ("NodePort", "hostPort", "hostNetwork")
#: Namespaces of Kubernetes itself, which no tenant isolates.
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing found. ``severity`` "" is that of the check."""

    ref: Ref
    message: str
    source: Source | None = None
    severity: str = ""
    direction: str = ""
    #: Position of the rule in its list, -1 where no single rule is meant.
    rule: int = -1
    #: The peer of the rule, e.g. `from[1]`.
    field: str = ""


def _on_policy(policy: Placed, message: str, severity: str = "", direction: str = "") -> Remark:
    return Remark(ref=policy.ref, message=message, source=policy.source, severity=severity, direction=direction)


def _on_rule(view: RuleView, message: str, severity: str = "", field: str = "") -> Remark:
    return Remark(
        ref=view.policy.ref,
        message=message,
        source=view.source,
        severity=severity,
        direction=view.direction.value,
        rule=view.rule.index,
        field=field,
    )


def _names(refs: Iterable[Ref]) -> str:
    return listed([workload_label(ref) for ref in refs])


def _policy_names(policies: Iterable[Placed]) -> str:
    return listed([str(policy.ref) for policy in policies])


# -- what selects nothing -----------------------------------------------------------------------------------------


def selects_nothing(view: View) -> Iterator[Remark]:
    """An empty mask of subjects, where there are pods that it might select."""
    for policy in _without_subjects(view):
        if not _has_pods(view, policy) or next(_hosts(view, policy), None) is not None:
            continue
        dormant = view.hints.dormant(policy)
        if dormant:
            yield _on_policy(policy, f"selects only what has no running pod: {_names(dormant)}", "info")
        else:
            yield _on_policy(policy, view.hints.of(policy.body.selects, policy).text)


def namespace_without_pods(view: View) -> Iterator[Remark]:
    """A policy of a namespace without a pod."""
    for policy in _without_subjects(view):
        if not _has_pods(view, policy) and not view.hints.dormant(policy):
            hint = view.hints.of(policy.body.selects, policy)
            yield _on_policy(policy, hint.text, "" if hint.elsewhere else "medium")


def _without_subjects(view: View) -> Iterator[Placed]:
    for policy in view.placed:
        speaks = policy.body.ingress is not None or policy.body.egress is not None
        if speaks and view.universe.subjects(policy) == view.masks.empty:
            yield policy


def _has_pods(view: View, policy: Placed) -> bool:
    return not policy.body.selects.own or policy.ref.namespace in view.namespaces


def peer_matches_nothing(view: View) -> Iterator[Remark]:
    """An empty mask of peers; low where what is meant may lie outside the input."""
    for found in view.rules:
        peers = found.rule.peers or ()
        empty = [peer for peer in peers if view.universe.peer(peer, found.policy).may == view.masks.empty]
        whole = len(empty) == len(peers)
        for peer in empty:
            text, elsewhere = _peer_hint(view, peer, found.policy)
            effect = "" if whole else " (other peers of the rule match)"
            yield _on_rule(found, f"{text}{effect}", "low" if elsewhere else "", peer.field)


def _peer_hint(view: View, peer: Peer, policy: Placed) -> tuple[str, bool]:
    for term in peer.terms:
        if view.universe.extent(term, policy).may != view.masks.empty:
            continue
        match term:
            case model.Endpoints():
                hint = view.hints.of(term, policy)
                return hint.text, hint.elsewhere
            case model.Nodes():
                return f"no node of the input is among {term_text(term)}", not view.endpoints.nodes
            case _:
                return f"nothing in the input is {term_text(term)}", True
    return "no pod or address fulfils all of its terms", False


# -- rules without effect -----------------------------------------------------------------------------------------


def never_joins(view: View) -> Iterator[Remark]:
    """An entry that meets none of the other side: what the rule allows between pods is denied there."""
    for found in view.rules:
        solved = found.rule.action is Action.ALLOW and found.variants and _is_reached(view, found)
        if not solved or found.key in view.joined[found.direction]:
            continue
        # Ends that are no pods have no policy side; rules for them lack only an address of that family.
        if all(view.within(part.peers, view.universe.all_pods) for part in found.variants):
            yield _on_rule(found, _other_side(view, found))


def _is_reached(view: View, found: RuleView) -> bool:
    reached = view.reached[found.direction]
    return reached is None or found.key in reached


def _other_side(view: View, found: RuleView) -> str:
    other = Direction.EGRESS if found.direction is Direction.INGRESS else Direction.INGRESS
    ends = found.variants[0].peers
    policies = view.isolating(other, int(view.masks.ids(ends)[0]))
    verb = "send" if other is Direction.EGRESS else "receive"
    reason = (
        f"isolated for {other} by {_policy_names(policies)}, where no rule allows it"
        if policies
        else f"policies deny it for {other}"
    )
    return f"{view.names(ends)} may not {verb} this: {reason}"


def redundant(view: View) -> Iterator[Remark]:
    """A rule inside another of the same subjects. Only where the other holds it whatever pods come and go, or is equal."""
    for direction in Direction:
        rules = [
            found for found in view.rules if found.variants and found.direction is direction and _unordered(view, found)
        ]
        family = Family(view.masks, [found.subjects for found in rules]) if rules else None
        for number, found in enumerate(rules):
            first = int(view.masks.ids(found.subjects)[0])
            for other in family.holding(first).tolist() if family else ():
                if other != number and _is_redundant(view, found, rules[other], earlier=other < number):
                    yield _on_rule(found, f"{_place(rules[other])} allows all of it")
                    break


def _unordered(view: View, found: RuleView) -> bool:
    return view.unordered(found.policy.tier, found.direction)


def _place(found: RuleView) -> str:
    return f"{found.policy.ref} {found.name} ({found.source})"


def _is_redundant(view: View, found: RuleView, other: RuleView, *, earlier: bool) -> bool:
    if found.policy.tier != other.policy.tier or not _covers(view, other, found) or not _always(other, found):
        return False
    # Of two equal rules the later one is told.
    return earlier or not (_covers(view, found, other) and _always(found, other))


def _covers(view: View, wide: RuleView, narrow: RuleView) -> bool:
    """Every part of one rule lies in a part of the other: masks and traffic are contained."""
    return all(
        any(
            not part.traffic & ~whole.traffic
            and view.within(part.peers, whole.peers)
            and view.within(part.subjects, whole.subjects)
            for whole in wide.variants
        )
        for part in narrow.variants
    )


def _always(wide: RuleView, narrow: RuleView) -> bool:
    """Whether the containment lies in the selectors themselves and not in today's pods."""
    one, other = wide.policy.body.selects, narrow.policy.body.selects
    if not _implied(one, other, wide.policy, narrow.policy) or wide.rule.own != narrow.rule.own:
        return False
    if not set(narrow.rule.ports.named) <= set(wide.rule.ports.named) and wide.rule.ports.numbers != ALL_PORTS:
        return False
    if wide.rule.peers is None:
        return True
    return all(
        any(_peer_implied(peer, inner, wide.policy, narrow.policy) for peer in wide.rule.peers)
        for inner in narrow.rule.peers or (Peer(),)
    )


def _peer_implied(wide: Peer, narrow: Peer, wide_policy: Placed, narrow_policy: Placed) -> bool:
    return wide.without == narrow.without and all(
        any(_implied(term, inner, wide_policy, narrow_policy) for inner in narrow.terms) for term in wide.terms
    )


def _implied(wide: model.Term, narrow: model.Term, wide_policy: Placed, narrow_policy: Placed) -> bool:
    """Whether all that the narrow term means is meant by the wide one."""
    match wide, narrow:
        case model.Endpoints(), model.Endpoints():
            same_place = not wide.own or (narrow.own and wide_policy.ref.namespace == narrow_policy.ref.namespace)
            return (
                same_place
                and (wide.pods, wide.sets, wide.global_sets) == (narrow.pods, narrow.sets, narrow.global_sets)
                and _parts(wide.namespaces) <= _parts(narrow.namespaces)
                and _parts(wide.labels) <= _parts(narrow.labels)
            )
        case model.Addresses(), model.Addresses():
            return narrow.blocks <= wide.blocks
        case _:
            return wide == narrow


def _parts(expression: Expression) -> frozenset[Expression]:
    return frozenset(expression.terms if isinstance(expression, AllOf) else (expression,))


def shadowed(view: View) -> Iterator[Remark]:
    """A rule of ordered tiers to which no traffic comes, because rules before it have decided everything."""
    for found in view.rules:
        if found.variants and not _is_reached(view, found):
            decider = view.decider(found)
            word = "an earlier tier isolates every pod that it selects"
            if decider is not None:
                word = _before(view, found, decider)
            baseline = found.policy.tier.order >= BASELINE.order
            same = decider is not None and decider.rule.action is found.rule.action
            yield _on_rule(found, word, "info" if baseline else "low" if same else "")


def _before(view: View, found: RuleView, decider: RuleView) -> str:
    verb = {"allow": "allows", "deny": "denies", "pass": "passes on"}[decider.rule.action.value]
    if _covers(view, decider, found):
        return f"{_place(decider)} {verb} all of it before"
    return f"{_place(decider)} and other rules decide all of it before"


def equal_priorities(view: View) -> Iterator[Remark]:
    """Policies of one priority whose order changes what is allowed (A-04)."""
    if not view.flows.policies.ties:
        return
    for direction in Direction:
        if not _order_matters(view, direction):
            continue
        for group in view.flows.policies.ties:
            members = set(group)
            rules = [found for found in view.rules if found.key[0] in members and found.direction is direction]
            pair = next(
                (
                    (one, other)
                    for at, one in enumerate(rules)
                    for other in rules[at + 1 :]
                    if one.key[0] != other.key[0] and _conflict(view, one, other)
                ),
                None,
            )
            if pair:
                one, other = pair
                yield _on_rule(
                    one,
                    f"{one.rule.action} here, {other.rule.action} in {_place(other)}, for common traffic at equal priority "
                    f"{one.policy.body.order:g}: which of them counts is undefined",
                )


def _order_matters(view: View, direction: Direction) -> bool:
    """Whether what is certain differs from what is possible, as far as nothing but the order is left open."""
    flows = view.flows
    if flows.is_open:
        return True
    certain, possible = (
        {(entry.subjects, entry.peers, entry.traffic) for entry in flows.side(direction, reading).entries}
        for reading in flows.readings
    )
    return certain != possible


def _conflict(view: View, one: RuleView, other: RuleView) -> bool:
    return one.rule.action is not other.rule.action and any(
        part.traffic & that.traffic and view.meets(part.subjects, that.subjects) and view.meets(part.peers, that.peers)
        for part in one.variants
        for that in other.variants
    )


# -- ports --------------------------------------------------------------------------------------------------------


def named_port_nowhere(view: View) -> Iterator[Remark]:
    """A port name that no destination of the rule has (N-09b)."""
    for found, name, holders in _named(view):
        destinations = view.destinations(found)
        if destinations != view.masks.empty and not view.meets(destinations, holders):
            pods = view.pods(destinations).tolist()
            hint = view.hints.port(name.name, name.protocol, pods)
            kind = f" ({name.protocol})" if name.protocol else ""
            yield _on_rule(found, f"no container of {view.names(destinations)} has a port `{name.name}`{kind}{hint}")


def named_port_partly(view: View) -> Iterator[Remark]:
    """A port name that some of the destinations lack which the rule names by labels."""
    for found, name, holders in _named(view):
        destinations = view.destinations(found)
        lacking = view.masks.difference(destinations, holders)
        if lacking != view.masks.empty and view.meets(destinations, holders) and _by_labels(found):
            yield _on_rule(found, f"{view.names(lacking)} among its destinations have no port `{name.name}`")


def _named(view: View) -> Iterator[tuple[RuleView, model.NamedPort, int]]:
    """(rule, name, classes of the pods that have such a port)."""
    for found in view.rules:
        for name in found.rule.ports.named:
            bits = view.universe.port_bits(Ports(numbers=NO_PORTS, named=(name,)))
            yield found, name, view.masks.union(mask for _, mask in bits if mask is not None)


def _by_labels(found: RuleView) -> bool:
    """Whether the destinations are pods that a label was asked of; a rule for whole namespaces means those that have the port."""
    if found.direction is Direction.INGRESS:
        return found.policy.body.selects.labels != EVERYTHING
    terms = [term for peer in found.rule.peers or () for term in peer.terms]
    return bool(terms) and all(isinstance(term, model.Endpoints) and term.labels != EVERYTHING for term in terms)


def service_port(view: View) -> Iterator[Remark]:
    """A port of a Service where its targetPort is meant: rules apply to ports of pods (N-13c)."""
    for found in view.rules:
        for protocol, low, high in found.rule.ports.numbers.ranges():
            if low == high and (protocol, low) in view.translated and not found.rule.ports.named:
                yield from _service_port(view, found, protocol, low)


def _service_port(view: View, found: RuleView, protocol: str, number: int) -> Iterator[Remark]:
    destinations = view.destinations(found)
    inside = view.pods_in(destinations)
    if (inside & view.serving[protocol, number]).any():
        return
    for service in view.translated[protocol, number]:
        if inside[service.pods].any() and not found.rule.ports.numbers & service.reached:
            yield _on_rule(
                found,
                f"{number} is a port of {service.service}, which leads to {service.reached} of its pods; "
                f"{view.names(destinations)} declares no {protocol} {number}",
            )
            return


def dns_over_tcp_alone(view: View) -> Iterator[Remark]:
    """Port 53 without `protocol: UDP` (N-11a), where nothing else lets the subjects ask over UDP."""
    for found in _tcp_dns_rules(view):
        yield _on_rule(
            found, "TCP 53 alone: a port without `protocol` is TCP, and names are asked for over UDP 53 first"
        )


def _tcp_dns_rules(view: View) -> Iterator[RuleView]:
    lacking = view.masks.difference(view.isolated[Direction.EGRESS], _askers(view, "UDP"))
    for found in view.rules:
        if found.direction is Direction.INGRESS or found.rule.action is not Action.ALLOW:
            continue
        ports = found.rule.ports.numbers
        alone = (DNS_PORT, DNS_PORT) in ports.of_protocol("TCP") and ("UDP", DNS_PORT) not in ports
        if alone and view.meets(found.subjects, lacking):
            yield found


def whole_protocol(view: View) -> Iterator[Remark]:
    """`ports: [{}]` is every TCP port and nothing else (N-05c)."""
    for found in view.rules:
        if found.rule.ports.numbers == PortSet.of("TCP") and not found.rule.ports.named and _is_network_policy(found):
            yield _on_rule(found, "a port entry without a number is every TCP port, and nothing of UDP and SCTP")


def _is_network_policy(found: RuleView) -> bool:
    return found.policy.ref.kind == "NetworkPolicy"


# -- blocks -------------------------------------------------------------------------------------------------------


def cluster_ip_in_block(view: View) -> Iterator[Remark]:
    """A block that holds addresses of Services (N-13b)."""
    services = _cluster_ips(view)
    for found, peer, block in _blocks(view):
        if _size(block) > _SERVICE_RANGE:
            continue
        held = [ref for address, ref in services if address in block]
        if held:
            yield _on_rule(found, f"{_shown(block)} holds the ClusterIP of {listed(held)}", field=peer.field)


def pod_address_in_block(view: View) -> Iterator[Remark]:
    """A block that holds addresses of pods, which CNIs match or not (S-01)."""
    for found, peer, block in _blocks(view):
        pods = _held_pods(view, block)
        if not pods:
            continue
        narrow = _size(block) <= _POD_RANGE
        names = listed([pod_label(view.endpoints.refs[pod]) for pod in pods])
        if view.flows.profile.blocks_match_pods:
            text = f"{_shown(block)} holds {names}; Cilium matches no pods by ipBlock"
        elif narrow:
            text = (
                f"{_shown(block)} holds {names}, and the profile {view.flows.profile.name} matches no pods by ipBlock"
            )
        else:
            continue
        yield _on_rule(found, text, "" if narrow else "info", peer.field)


def _blocks(view: View) -> Iterator[tuple[RuleView, Peer, AddressSet]]:
    for found in view.rules:
        for peer in found.rule.peers or ():
            for term in peer.terms:
                if isinstance(term, model.Addresses):
                    yield found, peer, term.blocks


def _cluster_ips(view: View) -> list[tuple[int, Ref]]:
    found = []
    for service in view.backends:
        spec = service.body.spec
        texts = (spec.cluster_ips or (spec.cluster_ip,)) if spec else ()
        found += [(address, service.ref) for text in texts if text for address in _address(text)]
    return sorted(found)


def _address(text: str) -> tuple[int, ...]:
    """`None` stands for a headless Service."""
    try:
        return (parse_address(text),)
    except ValueError:
        return ()


def _held_pods(view: View, block: AddressSet) -> list[int]:
    """Pods with an address of their own in the block."""
    addresses, pods = view.pod_addresses
    found: set[int] = set()
    for low, high in block.spans:
        start, end = (int(np.searchsorted(addresses, bound)) for bound in (low, high + 1))
        found.update(pods[start:end])
    return sorted(found)


def _size(block: AddressSet) -> int:
    """Addresses of IPv4, and /64 networks of IPv6 as if each were one."""
    return sum((high - low + 1) if low < V6_BASE else (high - low >> 64) + 1 for low, high in block.spans)


def _shown(block: AddressSet) -> str:
    """A block with exceptions would fall into many."""
    cidrs = list(block.cidrs())
    return cidrs[0] if len(cidrs) == 1 else "the block"


# -- isolation ----------------------------------------------------------------------------------------------------


def no_dns(view: View) -> Iterator[Remark]:
    """Isolated for egress, and no rule lets the pods ask for names. Informative where they may send nothing at all."""
    masks = view.masks
    isolated = masks.intersection(view.isolated[Direction.EGRESS], view.real_pods)
    udp, tcp = (masks.difference(isolated, _askers(view, protocol)) for protocol in ("UDP", "TCP"))
    both = masks.intersection(udp, tcp)
    told = masks.union(found.subjects for found in _tcp_dns_rules(view))
    sending = masks.union(
        part.subjects
        for found in view.rules
        if found.direction is Direction.EGRESS and found.rule.action is not Action.DENY
        for part in found.variants
    )
    groups = (
        (masks.intersection(both, sending), "neither UDP 53 nor TCP 53", ""),
        (masks.difference(both, sending), "nothing", "info"),
        (masks.difference(masks.difference(udp, both), told), "no UDP 53", ""),
        (masks.difference(tcp, both), "no TCP 53, to which long answers fall back", "low"),
    )
    for mask, allowed, severity in groups:
        yield from _without_dns(view, mask, allowed, severity)


def _without_dns(view: View, mask: int, allowed: str, severity: str) -> Iterator[Remark]:
    """A remark for each namespace, on the policy that isolates most of its pods."""
    ids = view.masks.ids(mask)
    namespaces = view.universe.namespace[ids]
    for namespace in np.unique(namespaces).tolist():
        inside = view.masks.add(ids[namespaces == namespace])
        yield _on_policy(
            _isolating_most(view, inside, Direction.EGRESS),
            f"{view.names(inside)} may not resolve names: isolated for egress, and rules allow {allowed}",
            severity,
            Direction.EGRESS.value,
        )


def _isolating_most(view: View, mask: int, direction: Direction) -> Placed:
    counts: dict[Ref, int] = defaultdict(int)
    policies: dict[Ref, Placed] = {}
    for number in view.masks.ids(mask).tolist():
        for policy in view.isolating(direction, number):
            counts[policy.ref] += 1
            policies[policy.ref] = policy
    return policies[min(counts, key=lambda ref: (-counts[ref], ref))]


def _askers(view: View, protocol: str) -> int:
    """Pods with a rule that opens DNS over the protocol: to the DNS pods of the input, or to anything where it has none."""
    servers, ports = view.name_servers
    wanted = 0
    for port in ports[protocol]:
        wanted |= view.universe.traffic.bit(protocol, port)
    found = [
        entry.subjects
        for entry in view.flows.side(Direction.EGRESS, view.flows.readings[-1]).entries
        if entry.traffic & wanted and (servers is None or view.meets(entry.peers, servers))
    ]
    if servers is None:
        # A peer that means a namespace outside the input has no entry.
        found += [
            rule.subjects
            for rule in view.rules
            if rule.direction is Direction.EGRESS
            and rule.rule.action is Action.ALLOW
            and any((protocol, port) in rule.rule.ports.numbers for port in ports[protocol])
        ]
    return view.masks.union(found)


def inert_rules(view: View) -> Iterator[Remark]:
    """Rules of a direction that policyTypes leaves out (N-02b, N-02c)."""
    for policy in view.placed:
        for direction in policy.body.inert:
            named = [found for found in Direction if policy.body.rules(found) is not None]
            yield Remark(
                ref=policy.ref,
                message=f"has {direction} rules, and policyTypes names {_typed(named)} alone: they have no effect",
                source=policy.rule_source(direction, model.Rule(action=Action.ALLOW, index=0)),
                direction=direction.value,
                rule=0,
            )


def _typed(directions: Iterable[Direction]) -> str:
    return " and ".join(direction.capitalize() for direction in directions)


def derived_ingress(view: View) -> Iterator[Remark]:
    """Egress rules without policyTypes isolate for ingress too (N-02a), here pods that nothing else isolates."""
    for policy in view.placed:
        body = policy.body
        if not body.types_derived or not body.egress or body.ingress != ():
            continue
        subjects = view.universe.subjects(policy)
        alone = [
            number
            for number in view.masks.ids(subjects).tolist()
            if len(view.isolating(Direction.INGRESS, number)) == 1
        ]
        if alone:
            names = view.names(view.masks.add(np.array(alone, np.int32)))
            yield _on_policy(
                policy,
                f"without policyTypes it isolates {names} for ingress as well, and no rule lets anything in",
                direction=Direction.INGRESS.value,
            )


def host_pods_selected(view: View) -> Iterator[Remark]:
    """Host-network pods that policies select without effect (N-14)."""
    found: dict[Ref, dict[Ref, Placed]] = defaultdict(dict)
    sources: dict[Ref, Source] = {}
    for policy in view.placed:
        for pod in _hosts(view, policy):
            workload = view.endpoints.workload_of[pod]
            ref = view.endpoints.workloads[workload]
            sources[ref] = view.endpoints.workload_sources[workload]
            found[ref][policy.ref] = policy
    for ref, policies in found.items():
        named = [policy for policy in policies.values() if policy.body.selects.labels != EVERYTHING]
        shown = named or list(policies.values())
        yield Remark(
            ref=ref,
            message=f"is on the host network, so {_policy_names(shown)} {'do' if len(shown) > 1 else 'does'} not apply to it",
            source=sources[ref],
            severity="" if named else "info",
        )


def _hosts(view: View, policy: Placed) -> Iterator[int]:
    """Host-network pods with the labels that a policy selects; the universe has them as hosts, which no selector finds."""
    selects = policy.body.selects
    candidates = view.host_pods.get(policy.ref.namespace, ()) if selects.own else view.universe.host_pods
    for pod in candidates:
        labels = {
            Field.NAMESPACE: view.universe.namespace_labels(view.endpoints.refs[pod].namespace or ""),
            Field.OWN: view.endpoints.labels[pod],
        }
        if matches(selects.namespaces, labels) and matches(selects.labels, labels):
            yield pod


def blocked_route(view: View) -> Iterator[Remark]:
    """An entry from outside that policies shut at its end."""
    admission = Admission(view.world)
    told: set[tuple[Ref, Ref, str]] = set()
    for route in view.world.routes.found:
        results = admission.of_route(route)
        if not results or any(result.verdict != NO for result in results):
            continue
        ref, entry = view.endpoints.workloads[route.workload], route.hops[0]
        reason = results[0].reason
        if (ref, entry.ref, reason) not in told:
            told.add((ref, entry.ref, reason))
            yield Remark(
                ref=entry.ref,
                message=f"leads to {route.ports} of {workload_label(ref)}, where nothing is let in: {reason}",
                source=entry.source,
                severity="low" if route.kind in _BY_THE_WAY else "",
                direction=Direction.INGRESS.value,
            )


# -- coverage -----------------------------------------------------------------------------------------------------


def uncovered_workload(view: View) -> Iterator[Remark]:
    """Workloads that no policy isolates, where policies isolate others of the namespace."""
    for name, directions in view.coverage.items():
        lacking: dict[Ref, list[Direction]] = defaultdict(list)
        for direction, coverage in directions.items():
            for ref in coverage.open if coverage.isolated else ():
                lacking[ref].append(direction)
        for ref, missing in lacking.items():
            number = view.number_of_workload[ref]
            yield Remark(
                ref=ref,
                message=f"no policy isolates it for {' and '.join(missing)}, while other workloads of the namespace are isolated",
                source=view.endpoints.workload_sources[number],
                severity="info" if name in _SYSTEM else "" if Direction.INGRESS in missing else "low",
            )


def no_default_deny(view: View) -> Iterator[Remark]:
    """Namespaces in which a new pod is open until a policy selects it."""
    for name, directions in view.coverage.items():
        missing = [direction for direction, coverage in directions.items() if not coverage.default_deny]
        if missing:
            severity = "low" if missing == [Direction.EGRESS] else ""
            yield Remark(
                ref=Ref("Namespace", name),
                message=f"{' and '.join(missing)} of a new pod {'are' if len(missing) > 1 else 'is'} open",
                source=view.namespace_sources.get(name),
                severity="info" if name in _SYSTEM else severity,
            )


def coverage_of_namespace(view: View) -> Iterator[Remark]:
    """How far each namespace is isolated."""
    for name, directions in view.coverage.items():
        parts = [f"{direction}: {coverage.text}" for direction, coverage in directions.items()]
        yield Remark(ref=Ref("Namespace", name), message="; ".join(parts), source=view.namespace_sources.get(name))
