"""What both sides allow: egress permissions joined with ingress permissions, as bicliques (sources x destinations x traffic).

Never pod x pod: an egress permission meets the few ingress permissions that share a destination with it, found through
the classes themselves; sets with many members are tested as bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from graphsec.compile.entries import Entry
from graphsec.compile.masks import EMPTY, Ids, Masks, Rows

Numbers = npt.NDArray[np.int64]
#: Rows of an intermediate table: what one step may hold in memory at a time.
_CHUNK = 4_000_000


class Family:
    """Sets by number, the large ones apart."""

    def __init__(self, masks: Masks, sets: Sequence[int]) -> None:
        self.masks = masks
        self.sets = np.array(sets, np.int64)
        self.dense = np.array([masks.dense(found) for found in sets], np.bool_)
        self.rows = Rows.of_arrays([EMPTY if masks.dense(found) else masks.ids(found) for found in sets])
        self.counts = np.array([masks.count(found) for found in sets], np.int64)

    def __len__(self) -> int:
        return len(self.sets)

    @cached_property
    def owners(self) -> npt.NDArray[np.int32]:
        """The set of each value of ``rows``."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.rows.starts))

    @cached_property
    def by_member(self) -> Rows:
        """The small sets that hold each class."""
        return Rows.of_pairs(self.rows.values, self.owners, self.masks.size)

    @cached_property
    def large(self) -> list[int]:
        return [int(number) for number in np.flatnonzero(self.dense)]

    @cached_property
    def _keys(self) -> Numbers:
        """(set, member) of all small sets as ascending numbers."""
        keys: Numbers = self.owners.astype(np.int64) * self.masks.size + self.rows.values
        return keys

    @cached_property
    def _packed(self) -> npt.NDArray[np.uint8]:
        return np.stack([self.masks.packed(int(self.sets[number])) for number in self.large])

    @cached_property
    def _large_row(self) -> Numbers:
        rows = np.zeros(len(self), np.int64)
        rows[self.dense] = np.arange(len(self.large))
        return rows

    def holding(self, member: int) -> Ids:
        """The numbers of the sets that hold a class, ascending."""
        small: Ids = self.by_member[member]
        if not self.large:
            return small
        bits = self._packed[:, member >> 3] >> (member & 7) & 1
        large = np.array(self.large, np.int32)[bits == 1]
        return np.sort(np.concatenate([small, large]))

    def union(self, numbers: npt.NDArray[Any]) -> Ids:
        """The members of any of the sets, in no order and perhaps more than once."""
        large = self.dense[numbers]
        found = [self.rows.expand(numbers[~large])[1]]
        if large.any():
            packed = np.bitwise_or.reduce(self._packed[self._large_row[numbers[large]]], axis=0)
            found.append(np.flatnonzero(np.unpackbits(packed, count=self.masks.size, bitorder="little")))
        return np.concatenate(found)

    def contains(self, numbers: npt.NDArray[Any], members: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """For each pair whether the set holds the member."""
        found = np.zeros(len(numbers), np.bool_)
        large = self.dense[numbers]
        if large.any():
            row, member = self._large_row[numbers[large]], members[large]
            found[large] = (self._packed[row, member >> 3] >> (member & 7).astype(np.uint8)) & 1 == 1
        small = ~large
        if small.any() and len(self._keys):
            wanted = numbers[small].astype(np.int64) * self.masks.size + members[small]
            places = np.searchsorted(self._keys, wanted)
            places[places == len(self._keys)] = 0
            found[small] = self._keys[places] == wanted
        return found


@dataclass(frozen=True, slots=True)
class Meeting:
    """Pairs of sets that share members, and the members shared: as rows, or as a mask where both sets are large."""

    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    rows: Rows
    #: -1 where the rows tell.
    masks: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.left)

    def members(self, pool: Masks, number: int) -> Ids:
        mask = int(self.masks[number])
        return self.rows[number] if mask < 0 else pool.ids(mask)

    def kept(self, keep: npt.NDArray[np.bool_]) -> Meeting:
        numbers = np.flatnonzero(keep)
        positions, values = self.rows.expand(numbers)
        starts = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(np.bincount(positions, minlength=len(numbers)), out=starts[1:])
        return Meeting(self.left[keep], self.right[keep], Rows(starts, values), self.masks[keep])


def _of_triples(left: npt.NDArray[Any], right: npt.NDArray[Any], members: npt.NDArray[Any]) -> Meeting:
    """From (left, right, shared member) rows in any order."""
    order = np.lexsort((members, right, left))
    left, right, members = left[order], right[order], members[order]
    first = np.flatnonzero(np.r_[True, (left[1:] != left[:-1]) | (right[1:] != right[:-1])]) if len(left) else EMPTY
    starts = np.append(first, len(left)).astype(np.int64)
    return Meeting(
        left[first].astype(np.int32), right[first].astype(np.int32), Rows(starts, members), np.full(len(first), -1)
    )


def _joined(parts: list[Meeting]) -> Meeting:
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.diff(part.rows.starts) for part in parts]) if parts else EMPTY
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])

    def column(name: str, kind: type) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0, kind)

    values = np.concatenate([part.rows.values for part in parts]) if parts else EMPTY
    return Meeting(column("left", np.int32), column("right", np.int32), Rows(starts, values), column("masks", np.int64))


def meet(left: Family, right: Family) -> Iterator[Meeting]:
    """Every pair of sets that share a member, in parts of bounded size."""
    small = np.flatnonzero(~left.dense)
    degrees = np.diff(right.by_member.starts)
    weights = np.zeros(len(left), np.int64)
    np.add.at(weights, left.owners, degrees[left.rows.values])
    for numbers in _chunks(small, weights):
        positions, members = left.rows.expand(numbers)
        which, rights = right.by_member.expand(members)
        if len(which):
            yield _of_triples(numbers[positions[which]], rights, members[which])
    for number in left.large:
        inside = left.masks.contains(int(left.sets[number]), right.rows.values)
        owners = right.owners[inside]
        if len(owners):
            yield _of_triples(np.full(len(owners), number), owners, right.rows.values[inside])
    for number in right.large:
        inside = left.masks.contains(int(right.sets[number]), left.rows.values)
        owners = left.owners[inside]
        if len(owners):
            yield _of_triples(owners, np.full(len(owners), number), left.rows.values[inside])
    yield from _meet_large(left, right)


def _chunks(numbers: npt.NDArray[Any], weights: Numbers) -> Iterator[npt.NDArray[Any]]:
    if not len(numbers):
        return
    bucket = np.cumsum(weights[numbers]) // _CHUNK
    yield from np.split(numbers, np.flatnonzero(np.diff(bucket)) + 1)


def _meet_large(left: Family, right: Family) -> Iterator[Meeting]:
    pairs = [
        (one, other, shared)
        for one in left.large
        for other in right.large
        if (shared := left.masks.intersection(int(left.sets[one]), int(right.sets[other]))) != left.masks.empty
    ]
    if pairs:
        columns = np.array(pairs, np.int64).T
        empty = Rows(np.zeros(len(pairs) + 1, np.int64), EMPTY)
        yield Meeting(columns[0].astype(np.int32), columns[1].astype(np.int32), empty, columns[2])


def restrict(left: Family, right: Family, pairs: Meeting) -> Meeting:
    """For given pairs what the left and the right set share, () where they do not."""
    ones, others = pairs.left, pairs.right
    shared_masks = np.full(len(ones), -1)
    both = left.dense[ones] & right.dense[others]
    for number in np.flatnonzero(both).tolist():
        shared_masks[number] = left.masks.intersection(int(left.sets[ones[number]]), int(right.sets[others[number]]))
    from_left = ~both & ~left.dense[ones] & ((left.counts[ones] <= right.counts[others]) | right.dense[others])
    parts = []
    for family, numbers, other_family, other_numbers, chosen in (
        (left, ones, right, others, from_left),
        (right, others, left, ones, ~both & ~from_left),
    ):
        for wanted in _chunks(np.flatnonzero(chosen), family.counts[numbers]):
            positions, members = family.rows.expand(numbers[wanted])
            inside = other_family.contains(other_numbers[wanted][positions], members)
            parts.append((wanted[positions[inside]], members[inside]))
    which = np.concatenate([part[0] for part in parts]) if parts else EMPTY
    members = np.concatenate([part[1] for part in parts]) if parts else EMPTY
    return Meeting(ones, others, Rows.of_pairs(which, members, len(ones)), shared_masks)


@dataclass(frozen=True)
class Bicliques:
    """Every source may send the traffic to every destination. Numbers of entries tell which permissions met."""

    masks: Masks
    egress: npt.NDArray[np.int32]
    ingress: npt.NDArray[np.int32]
    traffic: tuple[int, ...]
    #: Index into ``traffic`` of each biclique.
    traffic_of: npt.NDArray[np.int64]
    sources: Meeting
    destinations: Meeting

    def __len__(self) -> int:
        return len(self.egress)

    def __getitem__(self, number: int) -> tuple[Ids, Ids, int]:
        """(source classes, destination classes, traffic)."""
        return (
            self.sources.members(self.masks, number),
            self.destinations.members(self.masks, number),
            self.traffic[self.traffic_of[number]],
        )


class _Common:
    """Traffic that two permissions share, by their numbers; interned."""

    def __init__(self, egress: Sequence[Entry], ingress: Sequence[Entry]) -> None:
        self._left, self._left_of = _interned([entry.traffic for entry in egress])
        self._right, self._right_of = _interned([entry.traffic for entry in ingress])
        self.numbers: dict[int, int] = {}
        self._known: dict[int, int] = {}

    def of(self, ones: npt.NDArray[Any], others: npt.NDArray[Any]) -> Numbers:
        """A number for the traffic that each pair shares, -1 where it shares none."""
        codes = self._left_of[ones] * len(self._right) + self._right_of[others]
        distinct, back = np.unique(codes, return_inverse=True)
        found = np.array([self._number(code) for code in distinct.tolist()], np.int64)
        return found[back] if len(found) else found

    def _number(self, code: int) -> int:
        known = self._known.get(code)
        if known is None:
            shared = self._left[code // len(self._right)] & self._right[code % len(self._right)]
            known = self._known[code] = self.numbers.setdefault(shared, len(self.numbers)) if shared else -1
        return known


def _interned(traffic: list[int]) -> tuple[list[int], Numbers]:
    numbers = {found: number for number, found in enumerate(dict.fromkeys(traffic))}
    return list(numbers), np.array([numbers[found] for found in traffic], np.int64)


class Side:
    """The permissions of one direction, indexed both by subject and by peer."""

    def __init__(self, masks: Masks, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.subjects = Family(masks, [entry.subjects for entry in entries])
        self.peers = Family(masks, [entry.peers for entry in entries])


def join(masks: Masks, egress: Side, ingress: Side) -> Bicliques:
    """All that both sides allow."""
    common = _Common(egress.entries, ingress.entries)
    at_destinations, at_sources, traffic = [], [], []
    for found in meet(egress.peers, ingress.subjects):
        shared = common.of(found.left, found.right)
        candidates = found.kept(shared >= 0)
        sources = restrict(egress.subjects, ingress.peers, candidates)
        some = (np.diff(sources.rows.starts) > 0) | (sources.masks > masks.empty)
        at_destinations.append(candidates.kept(some))
        at_sources.append(sources.kept(some))
        traffic.append(shared[shared >= 0][some])
    destinations, sources = _joined(at_destinations), _joined(at_sources)
    return Bicliques(
        masks=masks,
        egress=destinations.left,
        ingress=destinations.right,
        traffic=tuple(common.numbers),
        traffic_of=np.concatenate(traffic) if traffic else np.empty(0, np.int64),
        sources=sources,
        destinations=destinations,
    )
