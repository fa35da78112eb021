"""Flows between units that people know: workloads, namespaces, pods. Classes are folded before anything is multiplied out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from graphsec.algebra.blocks import AddressSet
from graphsec.compile.endpoints import VIRTUAL
from graphsec.compile.flows import NOTHING, Amount, Flows
from graphsec.compile.masks import Ids, Rows, contains

FOLDS = ("workload", "namespace", "class", "none")
#: More pairs than a list is good for, and than memory should hold.
MAX_PAIRS = 1_000_000
#: Addresses of a part that are looked at one by one, to tell whether pods hold all of them.
_FEW = 256


class TooManyPairsError(Exception):
    """A map of so many pairs that it must be folded further."""

    def __init__(self, pairs: int) -> None:
        super().__init__(f"{pairs:,} pairs")
        self.pairs = pairs


@dataclass(frozen=True)
class Units:
    """A numbering of what a fold shows: first those of the cluster, then one for each part of the address space."""

    flows: Flows
    fold: str
    #: Unit of each pod.
    of_pod: npt.NDArray[np.int32]
    count: int

    @classmethod
    def of(cls, flows: Flows, fold: str) -> Units:
        if fold not in flows.folds:
            flows.folds[fold] = cls._of(flows, fold)
        units: Units = flows.folds[fold]
        return units

    @classmethod
    def _of(cls, flows: Flows, fold: str) -> Units:
        endpoints = flows.endpoints
        if fold == "workload":
            return cls(flows, fold, np.array(endpoints.workload_of, np.int32), len(endpoints.workloads))
        if fold == "namespace":
            numbers = {name: number for number, name in enumerate(flows.universe.namespaces)}
            found = np.array([numbers[ref.namespace or ""] for ref in endpoints.refs], np.int32)
            return cls(flows, fold, found, len(numbers))
        if fold == "class":
            first = np.array([flows.universe.classes[pod][0] for pod in range(len(endpoints))], np.int32)
            return cls(flows, fold, first, flows.universe.outside)
        return cls(flows, fold, np.arange(len(endpoints), dtype=np.int32), len(endpoints))

    @cached_property
    def pods(self) -> Rows:
        """Indices of the pods of each unit."""
        return Rows.of_pairs(self.of_pod, np.arange(len(self.of_pod)), self.count)

    @cached_property
    def uneven(self) -> frozenset[int]:
        """Units whose pods the permissions treat differently, addresses of several families aside."""
        universe = self.flows.universe
        positions, classes = universe.classes.expand(np.arange(len(self.of_pod)))
        # A pod is the sum of its classes: one, or one for each family.
        looks = np.zeros(len(self.of_pod), np.int64)
        np.add.at(looks, positions, (self.flows.kinds[classes] + 1) * (1 + 1_000_003 * universe.families_of[classes]))
        distinct = np.unique(np.stack([self.of_pod, looks]), axis=1)
        units, counts = np.unique(distinct[0], return_counts=True)
        return frozenset(units[counts > 1].tolist())

    @cached_property
    def rows(self) -> Rows:
        """Units of each class; nodes that no pod of the input stands for have none, virtual pods neither."""
        universe = self.flows.universe
        members = universe.members
        owners = np.repeat(np.arange(universe.outside), np.diff(members.starts))
        real = ~np.isin(members.values, list(self.flows.endpoints.virtual.values()))
        pairs = np.unique(np.stack([owners[real], self.of_pod[members.values[real]]]), axis=1)
        cells = [cell for cell in range(universe.cells.count) if self.shows(cell)]
        outside = np.array([[universe.outside + cell, self.count + cell] for cell in cells], np.int64).reshape(-1, 2).T
        both = np.concatenate([pairs, outside], axis=1)
        return Rows.of_pairs(both[0], both[1].astype(np.int64), universe.size)

    def shows(self, cell: int) -> bool:
        """IPv6 is shown where the input has any."""
        universe = self.flows.universe
        return universe.families or bool(universe.cell_addresses[cell].of_family(4))


Pairs = dict[tuple[int, int], Amount]
Row = tuple[Ids, Ids, int]
#: Units of sources and of destinations, ascending; None for all.
Wanted = tuple[Ids | None, Ids | None]
ANY: Wanted = (None, None)


def fold_all(flows: Flows, units: Units) -> Pairs:
    """Every pair of units that is connected. Raises TooManyPairsError."""
    by_reading = [_folded(_bicliques(flows, number), units) for number in range(len(flows.readings))]
    return _combined(by_reading)


def _bicliques(flows: Flows, reading: int) -> Iterator[Row]:
    found = flows.bicliques(flows.readings[reading])
    return (found[number] for number in range(len(found)))


def fold_some(flows: Flows, units: Units, rows: Iterable[tuple[Ids, Ids, Amount]], wanted: Wanted = ANY) -> Pairs:
    """Pairs of units from given (sources, destinations, traffic), among those ``wanted`` at each end, None for all: a class
    also holds pods that nobody asked about. Raises TooManyPairsError."""
    kept = list(rows)
    certain = _folded(((a, b, amount.certain) for a, b, amount in kept), units, wanted)
    possible = _folded(((a, b, amount.possible) for a, b, amount in kept), units, wanted)
    return {pair: Amount(certain.get(pair, 0), traffic) for pair, traffic in possible.items()}


def _combined(readings: list[dict[tuple[int, int], int]]) -> Pairs:
    """Certain is what every reading has, possible what one has."""
    out: Pairs = {}
    for pair in dict.fromkeys(pair for reading in readings for pair in reading):
        certain, possible = -1, 0
        for reading in readings:
            traffic = reading.get(pair, 0)
            certain &= traffic
            possible |= traffic
        out[pair] = Amount(certain, possible)
    return out


def _folded(rows: Iterable[Row], units: Units, wanted: Wanted = ANY) -> dict[tuple[int, int], int]:
    of_class = units.rows
    width = units.count + units.flows.universe.cells.count
    codes: list[npt.NDArray[np.int64]] = []
    numbers: dict[int, int] = {}
    traffic_of: list[int] = []
    lengths: list[int] = []
    memo: dict[bytes, npt.NDArray[Any]] = {}
    total = 0

    def units_of(classes: Ids) -> npt.NDArray[Any]:
        if len(classes) < 32:
            return np.unique(of_class.expand(classes)[1])
        key = classes.tobytes()
        if key not in memo:
            memo[key] = np.unique(of_class.expand(classes)[1])
        return memo[key]

    for sources, destinations, traffic in rows:
        if not traffic:
            continue
        left, right = (
            found if limit is None else found[contains(limit, found)]
            for found, limit in zip((units_of(sources), units_of(destinations)), wanted, strict=True)
        )
        total += len(left) * len(right)
        if total > MAX_PAIRS * 4:
            raise TooManyPairsError(total)
        codes.append((left[:, None] * width + right[None, :]).ravel())
        traffic_of.append(numbers.setdefault(traffic, len(numbers)))
        lengths.append(len(codes[-1]))
    if not codes:
        return {}
    every = np.unique(np.stack([np.concatenate(codes), np.repeat(np.array(traffic_of, np.int64), lengths)]), axis=1)
    if len(np.unique(every[0])) > MAX_PAIRS:
        raise TooManyPairsError(len(np.unique(every[0])))
    bits = list(numbers)
    out: dict[tuple[int, int], int] = defaultdict(int)
    for code, number in zip(every[0].tolist(), every[1].tolist(), strict=True):
        out[divmod(code, width)] |= bits[number]
    return dict(out)


# -- pairs that policies do not decide ---------------------------------------------------------------------------


def without_self(flows: Flows, units: Units, pairs: Pairs) -> Pairs:
    """A unit and itself: only what two different pods of it may do (N-16d), since one is always connected to itself."""
    out = dict(pairs)
    for unit in [source for source, destination in pairs if source == destination and source < units.count]:
        amount = _among(flows, units.pods[unit].tolist(), out[unit, unit])
        if amount == NOTHING:
            del out[unit, unit]
        else:
            out[unit, unit] = amount
    return out


def _among(flows: Flows, pods: list[int], whole: Amount) -> Amount:
    """The traffic between two different ones of the pods; ``whole`` counts each with itself too."""
    holders: dict[int, set[int]] = defaultdict(set)
    first: dict[int, int] = {}
    for pod in pods:
        for number in flows.universe.classes[pod].tolist():
            kind = int(flows.kinds[number])
            holders[kind].add(pod)
            first.setdefault(kind, number)
    replicas = flows.endpoints.replicas
    several = {kind for kind, found in holders.items() if len(found) > 1 or replicas[next(iter(found))] > 1}

    if len(several) == len(holders):
        return whole

    def differ(one: int, other: int) -> bool:
        return one in several or other in several if one == other else len(holders[one] | holders[other]) > 1

    total = NOTHING
    members = np.array(sorted(first.values()), np.int32)
    for kind, number in first.items():
        for classes, amount in flows.reached_from(number):
            reached = flows.kinds[np.intersect1d(classes, members)].tolist()
            if (total | amount) != total and any(differ(kind, other) for other in reached):
                total |= amount
    return total


def with_own_nodes(
    flows: Flows, units: Units, pairs: Pairs, sources: set[int] | None, targets: set[int] | None
) -> Pairs:
    """Adds what host-network pods reach because they run on the node that hosts the other (N-15).

    ``sources`` and ``targets`` limit to pods, None does not. Possible where the input does not tell the node.
    """
    if not flows.profile.own_node or not flows.universe.host_pods:
        return pairs
    endpoints, everything = flows.endpoints, flows.universe.traffic.all
    hosted: dict[str, set[int]] = defaultdict(set)
    unplaced: set[int] = set()
    ordinary = [pod for pod in range(len(endpoints)) if pod not in flows.universe.host_classes]
    for pod in ordinary:
        if endpoints.refs[pod].kind == VIRTUAL or (targets is not None and pod not in targets):
            continue
        node = endpoints.specs[pod].node_name
        (hosted[node] if node else unplaced).add(int(units.of_pod[pod]))
    anywhere = set().union(*hosted.values(), unplaced)
    out = dict(pairs)
    for pod in flows.universe.host_pods:
        if sources is not None and pod not in sources:
            continue
        node = endpoints.specs[pod].node_name
        unit = int(units.of_pod[pod])
        certain = hosted.get(node, set()) if node else set()
        for target in certain:
            out[unit, target] = Amount(everything, everything)
        for target in (unplaced if node else anywhere) - certain:
            known = out.get((unit, target), NOTHING)
            out[unit, target] = Amount(known.certain, everything)
    return out


def ranges(flows: Flows, units: Units, pairs: Pairs) -> list[tuple[int | AddressSet, int | AddressSet, Amount]]:
    """The pairs with address parts joined again: for each unit, ranges with equal traffic are one."""
    inside: list[tuple[int | AddressSet, int | AddressSet, Amount]] = []
    outside: dict[tuple[int, bool, Amount], list[AddressSet]] = defaultdict(list)
    for (source, destination), amount in pairs.items():
        if source >= units.count:
            outside[destination, True, amount].append(flows.universe.cell_addresses[source - units.count])
        elif destination >= units.count:
            outside[source, False, amount].append(flows.universe.cell_addresses[destination - units.count])
        else:
            inside.append((source, destination, amount))
    for (unit, is_source, amount), parts in outside.items():
        for span in AddressSet.union_of(parts).spans:
            addresses = AddressSet((span,))
            if not are_held(flows, addresses):
                inside.append((addresses, unit, amount) if is_source else (unit, addresses, amount))
    return inside


def are_held(flows: Flows, addresses: AddressSet) -> bool:
    """Whether nothing is outside: pods hold all of the addresses, or nodes where blocks mean no nodes (S-02)."""
    if sum(high - low + 1 for low, high in addresses.spans) > _FEW:
        return False
    endpoints = flows.endpoints
    held = endpoints.pod_addresses
    if not flows.profile.blocks_match_nodes:
        held = held | {a for node in endpoints.nodes.values() for a in (*node.internal, *node.external)}
    return all(address in held for low, high in addresses.spans for address in range(low, high + 1))
