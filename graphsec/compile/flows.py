"""Which connections the objects allow: every policy of every family, solved once; asked by class, by pair, or as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import and_, or_
from typing import Any

import numpy as np
import numpy.typing as npt

from graphsec.compile.classes import Universe, Vocabulary
from graphsec.compile.endpoints import place_endpoints
from graphsec.compile.entries import Entry, Reading, Solver
from graphsec.compile.join import Bicliques, Family, Side, join
from graphsec.compile.masks import Ids
from graphsec.compile.policies import Placed, Policies, gather_policies
from graphsec.compile.profile import Profile
from graphsec.model import policy as model
from graphsec.model.cluster import Cluster
from graphsec.model.policy import Direction
from graphsec.model.ref import Ref

_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Amount:
    """Traffic that is allowed under every reading of the input, and under some."""

    certain: int
    possible: int

    def __or__(self, other: Amount) -> Amount:
        return Amount(self.certain | other.certain, self.possible | other.possible)


NOTHING = Amount(0, 0)


class Flows:
    """The compiled flows of a cluster. Immutable; sides and bicliques are computed when first asked for."""

    def __init__(self, cluster: Cluster, profile: Profile) -> None:
        self.profile = profile
        self.policies: Policies = gather_policies(cluster, profile)
        self._vocabulary = Vocabulary.of(self.policies, cluster)
        self.endpoints = place_endpoints(cluster, profile, self._vocabulary.ordinals)
        self.universe = Universe(cluster, self.endpoints, self.policies, profile, self._vocabulary)

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """How the input may be read; one where it leaves nothing open."""
        is_open = self.is_open or bool(self.policies.ties)
        return (Reading(), Reading(generous=True)) if is_open else (Reading(),)

    @property
    def is_open(self) -> bool:
        """Whether some peer's meaning is not certain: a pod without address against a block, a domain name."""
        domains = any(
            isinstance(term, model.Domains)
            for _, _, rule in self.policies.rules()
            for peer in rule.peers or ()
            for term in peer.terms
        )
        nodes = self._vocabulary.node_labels and None in self.universe.host_labels
        return domains or nodes or (bool(self._vocabulary.blocks) and self.universe.has_unplaced)

    @cached_property
    def _sides(self) -> dict[tuple[Direction, Reading], Side]:
        return {}

    def side(self, direction: Direction, reading: Reading) -> Side:
        key = (direction, reading)
        if key not in self._sides:
            entries = Solver(self.universe, self.policies, direction, reading).entries()
            self._sides[key] = Side(self.universe.masks, entries)
        return self._sides[key]

    @cached_property
    def _bicliques(self) -> dict[Reading, Bicliques]:
        return {}

    def bicliques(self, reading: Reading | None = None) -> Bicliques:
        """Everything that is allowed, under the first reading if none is given."""
        reading = reading or self.readings[0]
        if reading not in self._bicliques:
            egress, ingress = (self.side(direction, reading) for direction in (Direction.EGRESS, Direction.INGRESS))
            self._bicliques[reading] = join(self.universe.masks, egress, ingress)
        return self._bicliques[reading]

    def selecting(self, number: int, direction: Direction | None = None) -> list[Placed]:
        """The policies that select a class, and say something about the direction if one is given, in order."""
        if number >= self.universe.pods:
            return []
        found = [self.policies.placed[position] for position in self._subjects.holding(number).tolist()]
        return [placed for placed in found if direction is None or placed.body.rules(direction) is not None]

    @cached_property
    def _subjects(self) -> Family:
        return Family(self.universe.masks, [self.universe.subjects(placed) for placed in self.policies.placed])

    def isolated(self, direction: Direction) -> int:
        """Mask of the classes for which some policy denies a direction by default (N-01, CA-03)."""
        return self._isolated[direction]

    @cached_property
    def _isolated(self) -> dict[Direction, int]:
        universe = self.universe
        return {
            direction: universe.masks.union(
                universe.subjects(self.policies.placed[number])
                for tier, numbers in self.policies.tiers(direction)
                if tier.default is model.Action.DENY
                for number in numbers
            )
            for direction in Direction
        }

    @cached_property
    def kinds(self) -> npt.NDArray[np.int64]:
        """A number for each class, equal for classes that are in the same sets of all permissions: hashed, as many are.

        128 bits: two of a million different classes are taken for one with a probability below 1e-26.
        """
        random = np.random.default_rng(0)
        hashes = np.zeros((2, self.universe.size), np.uint64)
        for reading in self.readings:
            for direction in Direction:
                side = self.side(direction, reading)
                for family in (side.subjects, side.peers):
                    words = random.integers(0, 1 << 64, (2, len(family)), np.uint64)
                    for row, word in zip(hashes, words, strict=True):
                        np.bitwise_xor.at(row, family.rows.values, word[family.owners])
                    for number in family.large:
                        hashes[:, family.masks.ids(int(family.sets[number]))] ^= words[:, number, None]
        found: npt.NDArray[np.int64] = np.unique(hashes, axis=1, return_inverse=True)[1].reshape(-1)
        return found

    @cached_property
    def folds(self) -> dict[str, Any]:
        """Numberings of units by fold, kept for the next question."""
        return {}

    # -- one pair -----------------------------------------------------------------------------------------------

    def one_side(self, direction: Direction, subject: int, peer: int, reading: Reading) -> int:
        """The traffic that one side allows between two classes."""
        side = self.side(direction, reading)
        numbers = side.subjects.holding(subject)
        held = side.peers.contains(numbers, np.full(len(numbers), peer, np.int32))
        return reduce(or_, (side.entries[number].traffic for number in numbers[held].tolist()), 0)

    def between(self, source: int, destination: int) -> Amount:
        """The traffic that both sides allow between two classes."""
        amounts = [
            self.one_side(Direction.EGRESS, source, destination, reading)
            & self.one_side(Direction.INGRESS, destination, source, reading)
            for reading in self.readings
        ]
        return Amount(reduce(and_, amounts), reduce(or_, amounts))

    def entries_between(self, direction: Direction, subject: int, peer: int) -> list[Entry]:
        """The permissions of one side that concern two classes, under the first reading."""
        side = self.side(direction, self.readings[0])
        numbers = side.subjects.holding(subject)
        held = side.peers.contains(numbers, np.full(len(numbers), peer, np.int32))
        return [side.entries[number] for number in numbers[held].tolist()]

    def rules_of(self, entry: Entry) -> dict[Ref, list[int]]:
        """Positions of the rules behind a permission, by policy; many policies share one permission."""
        known = self._rules.get(id(entry))
        if known is None:
            known = self._rules[id(entry)] = defaultdict(list)
            for number, position in entry.rules:
                known[self.policies.placed[number].ref].append(position)
        return known

    @cached_property
    def _rules(self) -> dict[int, dict[Ref, list[int]]]:
        return {}

    # -- one end ------------------------------------------------------------------------------------------------

    def reached_from(self, source: int) -> list[tuple[Ids, Amount]]:
        """(classes, traffic): what a class reaches, classes with equal traffic together."""
        return self._opposite(Direction.EGRESS, source)

    def reaching(self, destination: int) -> list[tuple[Ids, Amount]]:
        """(classes, traffic): what reaches a class."""
        return self._opposite(Direction.INGRESS, destination)

    def _opposite(self, direction: Direction, subject: int) -> list[tuple[Ids, Amount]]:
        other = Direction.INGRESS if direction is Direction.EGRESS else Direction.EGRESS
        words = []
        for reading in self.readings:
            own, far = self.side(direction, reading), self.side(other, reading)
            allowed = self._spread(own, own.peers, own.subjects.holding(subject))
            words.append(allowed & self._spread(far, far.subjects, far.peers.holding(subject)))
        certain, possible = reduce(and_, words), reduce(or_, words)
        return self._grouped(certain, possible)

    def _spread(self, side: Side, sets: Family, numbers: Ids) -> npt.NDArray[np.uint64]:
        """For every class the traffic of those entries whose set holds it: words x classes."""
        out = np.zeros((self._words, self.universe.size), np.uint64)
        by_traffic: dict[int, list[int]] = defaultdict(list)
        for number in numbers.tolist():
            by_traffic[side.entries[number].traffic].append(number)
        for traffic, alike in by_traffic.items():
            ids = sets.union(np.array(alike, np.int32))
            for word, bits in enumerate(self._in_words(traffic)):
                if bits:
                    out[word, ids] |= np.uint64(bits)
        return out

    @property
    def _words(self) -> int:
        return (len(self.universe.traffic) + 63) // 64

    def _in_words(self, traffic: int) -> list[int]:
        return [traffic >> 64 * word & _WORD for word in range(self._words)]

    def _grouped(self, certain: npt.NDArray[np.uint64], possible: npt.NDArray[np.uint64]) -> list[tuple[Ids, Amount]]:
        classes = np.flatnonzero(possible.any(axis=0))
        if not len(classes):
            return []
        both = np.concatenate([certain[:, classes], possible[:, classes]])
        # Columns by content: few distinct ones, so each is found by its rows one after the other.
        numbers = np.zeros(len(classes), np.int64)
        for row in both:
            numbers = np.unique(numbers * len(classes) + np.unique(row, return_inverse=True)[1], return_inverse=True)[1]
        firsts = np.unique(numbers, return_index=True)[1]
        return [
            (classes[numbers == number].astype(np.int32), _amount(both[:, first], self._words))
            for number, first in enumerate(firsts.tolist())
        ]


def _amount(words: npt.NDArray[np.uint64], count: int) -> Amount:
    values = [int(word) for word in words.tolist()]
    return Amount(_from_words(values[:count]), _from_words(values[count:]))


def _from_words(words: Sequence[int]) -> int:
    return sum(word << 64 * index for index, word in enumerate(words))


def compile_flows(cluster: Cluster, profile: Profile) -> Flows:
    """Cluster to flows."""
    return Flows(cluster, profile)


__all__ = ["Amount", "Flows", "compile_flows"]
