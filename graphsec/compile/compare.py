"""How the flows of two worlds differ between workloads, without multiplying out what both have in common (network.md §5.5).

Workloads with which every permission deals alike, in either world, are one group; pairs of groups are compared, and only those that
differ become pairs of workloads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from graphsec.algebra.blocks import ALL_ADDRESSES, ALL_V6, AddressSet
from graphsec.algebra.expressions import NOTHING as NO_LABELS
from graphsec.algebra.ports import NO_PORTS, PortSet
from graphsec.compile.endpoints import VIRTUAL
from graphsec.compile.flows import NOTHING, Amount, Flows
from graphsec.compile.fold import Pairs, TooManyPairsError, Units, fold_all, with_own_nodes, without_self
from graphsec.compile.masks import Rows
from graphsec.compile.world import World
from graphsec.model.objects import Loaded
from graphsec.model.policy import Action, Addresses, Endpoints, Peer, Policy, Rule
from graphsec.model.ref import Ref, Source

#: More changes than a list is good for.
MAX_CHANGES = 1_000_000
#: On a node that hosts no host-network pod; on none that the input names.
_ELSEWHERE, _UNPLACED = "elsewhere", "unplaced"


class Allowed(NamedTuple):
    """The traffic of one pair by address family, certain and possible (N-20, N-12d); IPv6 is empty where neither world has any."""

    v4: PortSet = NO_PORTS
    v6: PortSet = NO_PORTS
    possible_v4: PortSet = NO_PORTS
    possible_v6: PortSet = NO_PORTS

    @property
    def ports(self) -> PortSet:
        return self.v4 | self.v6

    @property
    def possible(self) -> PortSet:
        """Certain or possible."""
        return self.possible_v4 | self.possible_v6


NOT_ALLOWED = Allowed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One pair of ends, at least one of them a workload, and what it may exchange in each world."""

    source: Ref | AddressSet
    destination: Ref | AddressSet
    before: Allowed
    after: Allowed


Keep = Callable[[Ref], bool]
_Inside = dict[tuple[int, int], Allowed]


def compare(old: World, new: World, keep: Keep | None = None) -> list[Change]:
    """Every change that touches a workload which ``keep`` wants. Raises TooManyPairsError."""
    return list(_limited(_Comparison(*alike(old, new)).changes(keep or (lambda _: True))))


def _limited(changes: Iterable[Change]) -> Iterator[Change]:
    for number, change in enumerate(changes, start=1):
        if number > MAX_CHANGES:
            raise TooManyPairsError(number)
        yield change


# -- address families ---------------------------------------------------------------------------------------------


def alike(old: World, new: World) -> tuple[World, World]:
    """The worlds such that both tell the address families apart, or none does."""
    if old.flows.universe.families == new.flows.universe.families:
        return old, new
    return _with_families(old), _with_families(new)


def _with_families(world: World) -> World:
    """The same flows, asked for each family: a policy that names IPv6 and selects nothing makes them be told apart."""
    if world.flows.universe.families:
        return world
    rule = Rule(action=Action.ALLOW, index=0, peers=(Peer(terms=(Addresses(blocks=ALL_V6),)),))
    body = Policy(selects=Endpoints(own=True, labels=NO_LABELS), egress=(rule,))
    inert = Loaded(Ref("NetworkPolicy", "", ""), Source("", 0), body)
    objects = dict(world.cluster.objects)
    objects["NetworkPolicy"] = (*objects.get("NetworkPolicy", ()), inert)
    return replace(world, cluster=replace(world.cluster, objects=objects))


# -- groups of workloads ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Signatures:
    """What flows can tell of each workload of one world."""

    flows: Flows
    workloads: Units

    @classmethod
    def of(cls, flows: Flows) -> _Signatures:
        return cls(flows, Units.of(flows, "workload"))

    @cached_property
    def by_ref(self) -> dict[Ref, Hashable]:
        """Workloads with equal signatures have equal flows with every third."""
        return {
            ref: (classes, self._nodes.get(number, frozenset()))
            for number, (ref, classes) in enumerate(zip(self.flows.endpoints.workloads, self._classes(), strict=True))
            if ref.kind != VIRTUAL
        }

    def _classes(self) -> Iterator[bytes]:
        """The kinds of class of each workload's pods."""
        pods = np.arange(len(self.workloads.of_pod))
        positions, classes = self.flows.universe.classes.expand(pods)
        pairs = np.unique(np.stack([self.workloads.of_pod[positions], self.flows.kinds[classes]]), axis=1)
        rows = Rows.of_pairs(pairs[0], pairs[1], self.workloads.count)
        return (rows[number].tobytes() for number in range(len(rows)))

    @cached_property
    def _nodes(self) -> Mapping[int, frozenset[tuple[bool, str]]]:
        """Where the pods run, as far as it decides who is on the node of a host-network pod (N-15)."""
        universe, endpoints = self.flows.universe, self.flows.endpoints
        hosts = set(universe.host_pods)
        if not hosts or not self.flows.profile.own_node:
            return {}
        names = {endpoints.specs[pod].node_name for pod in hosts}
        found: dict[int, set[tuple[bool, str]]] = defaultdict(set)
        for pod, workload in enumerate(self.workloads.of_pod.tolist()):
            node = endpoints.specs[pod].node_name
            place = _UNPLACED if not node else node if node in names else _ELSEWHERE
            found[workload].add((pod in hosts, place))
        return {workload: frozenset(places) for workload, places in found.items()}

    def units(self, group_of: Mapping[Ref, int], count: int) -> Units:
        """The same pods, numbered by the group of their workload; virtual ones in a group of their own."""
        numbers = np.array([group_of.get(ref, count) for ref in self.flows.endpoints.workloads], np.int32)
        of_pod: npt.NDArray[Any] = numbers[self.workloads.of_pod]
        return Units(self.flows, "workload", of_pod, count + 1)


@dataclass
class _Folded:
    """The flows of one world between groups, and of single workloads with themselves."""

    flows: Flows
    units: Units
    workloads: Units
    _numbers: dict[Amount, Allowed] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> Pairs:
        own = self._own_nodes
        found = fold_all(self.flows, self.units)
        return {**found, **{pair: found.get(pair, NOTHING) | amount for pair, amount in own.items()}}

    @cached_property
    def _own_nodes(self) -> Pairs:
        return with_own_nodes(self.flows, self.units, {}, None, None)

    def inside(self) -> _Inside:
        """Between groups."""
        return {pair: self.allowed(amount) for pair, amount in self.pairs.items() if max(pair) < self.units.count}

    def outside(self) -> dict[tuple[int, bool], list[tuple[AddressSet, Allowed]]]:
        """With addresses outside, by (group, whether it is the destination)."""
        found: dict[tuple[int, bool], list[tuple[AddressSet, Allowed]]] = defaultdict(list)
        count, cells = self.units.count, self.flows.universe.cell_addresses
        for (source, destination), amount in self.pairs.items():
            if source >= count:
                found[destination, True].append((cells[source - count], self.allowed(amount)))
            elif destination >= count:
                found[source, False].append((cells[destination - count], self.allowed(amount)))
        return found

    def with_itself(self, refs: Mapping[Ref, int]) -> Mapping[Ref, Allowed]:
        """What two pods of each of the workloads may do (N-16d), which is less than two workloads of its group may."""
        numbers = {ref: number for number, ref in enumerate(self.flows.endpoints.workloads)}
        wanted = {ref: group for ref, group in refs.items() if ref in numbers and (group, group) in self.pairs}
        asked = {(numbers[ref], numbers[ref]): self.pairs[group, group] for ref, group in wanted.items()}
        found = without_self(self.flows, self.workloads, asked)
        own = self._own_nodes
        return {
            ref: self.allowed(found.get((numbers[ref], numbers[ref]), NOTHING) | own.get((group, group), NOTHING))
            for ref, group in wanted.items()
        }

    def allowed(self, amount: Amount) -> Allowed:
        known = self._numbers.get(amount)
        if known is None:
            traffic = self.flows.universe.traffic
            known = self._numbers[amount] = Allowed(
                *(traffic.ports_of(bits, family) for bits in (amount.certain, amount.possible) for family in (4, 6))
            )
        return known


class _Comparison:
    """Two worlds over one numbering of groups."""

    def __init__(self, old: World, new: World) -> None:
        signatures = [_Signatures.of(world.flows) for world in (old, new)]
        before, after = (found.by_ref for found in signatures)
        numbers: dict[tuple[Hashable, Hashable], int] = {}
        self._group_of = {
            ref: numbers.setdefault((before.get(ref), after.get(ref)), len(numbers)) for ref in (before | after)
        }
        self._members: list[list[Ref]] = [[] for _ in numbers]
        for ref, group in self._group_of.items():
            self._members[group].append(ref)
        self._old, self._new = (
            _Folded(found.flows, found.units(self._group_of, len(numbers)), found.workloads) for found in signatures
        )

    def changes(self, keep: Keep) -> Iterator[Change]:
        yield from self._inside(keep)
        yield from self._alone(keep)
        yield from self._outside(keep)

    def _inside(self, keep: Keep) -> Iterator[Change]:
        before, after = self._old.inside(), self._new.inside()
        for pair in before | after:
            one, other = before.get(pair, NOT_ALLOWED), after.get(pair, NOT_ALLOWED)
            if one == other:
                continue
            for source in self._members[pair[0]]:
                kept = keep(source)
                for destination in self._members[pair[1]]:
                    if source != destination and (kept or keep(destination)):
                        yield Change(source=source, destination=destination, before=one, after=other)

    def _alone(self, keep: Keep) -> Iterator[Change]:
        wanted = {ref: group for ref, group in self._group_of.items() if keep(ref)}
        before, after = self._old.with_itself(wanted), self._new.with_itself(wanted)
        for ref in wanted:
            one, other = before.get(ref, NOT_ALLOWED), after.get(ref, NOT_ALLOWED)
            if one != other:
                yield Change(source=ref, destination=ref, before=one, after=other)

    def _outside(self, keep: Keep) -> Iterator[Change]:
        before, after = self._old.outside(), self._new.outside()
        for key in before | after:
            group, incoming = key
            kept = [ref for ref in self._members[group] if keep(ref)]
            for addresses, one, other in regions(before.get(key, ()), after.get(key, ())) if kept else ():
                for ref in kept:
                    source, destination = (addresses, ref) if incoming else (ref, addresses)
                    yield Change(source=source, destination=destination, before=one, after=other)


Parts = Iterable[tuple[AddressSet, Allowed]]


def regions(before: Parts, after: Parts) -> Iterator[tuple[AddressSet, Allowed, Allowed]]:
    """(contiguous range, before, after) where they differ: both sides cut at all bounds, neighbours alike joined again."""
    for one, old in _with_rest(before).items():
        for other, new in _with_rest(after).items():
            if one != other:
                for span in (old & new).spans:
                    yield AddressSet((span,)), one, other


def _with_rest(parts: Parts) -> dict[Allowed, AddressSet]:
    """The addresses by what is allowed, those that no part names among them."""
    by_allowed: dict[Allowed, list[AddressSet]] = defaultdict(list)
    for addresses, allowed in parts:
        by_allowed[allowed].append(addresses)
    joined = {allowed: AddressSet.union_of(found) for allowed, found in by_allowed.items()}
    rest = ALL_ADDRESSES - AddressSet.union_of(joined.values())
    return {**joined, NOT_ALLOWED: joined.get(NOT_ALLOWED, AddressSet()) | rest}


__all__ = ["MAX_CHANGES", "NOT_ALLOWED", "Allowed", "Change", "alike", "compare", "regions"]
