"""The arrow `ATTACK` of path patterns: what follows for whoever has its tail alone.

A clause of the attack graph may need several things at once, so that a walk along its arcs is no proof. The arrow is therefore the
closure of the clauses (`horn.py`), from each tail by itself; a step that takes a member out of a set counts none, as in `paths`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from graphsec.compile.attacks.drawing import DEAR
from graphsec.errors import LimitError, UsageError
from graphsec.graph.horn import FAR
from graphsec.model.attack import FactKind
from graphsec.model.ref import Ref
from graphsec.query._attack_ends import SINKS, End, goal, start
from graphsec.query._match_graph import INTERNET, Arcs, Ints, Mask, MatchGraph, unique_pairs
from graphsec.query.paths import STRUCTURE, AttackPath, Search

_FREE = frozenset({STRUCTURE, "implicit-group"})
#: Pairs of tail and head that are held at once.
_MOST_PAIRS = 50_000_000
_PLACES = frozenset({"Node", "User", "Group", "ServiceAccount"})


class Attacks:
    """One world's proofs for all arrows of a pattern. ``certain``: without any assumption."""

    def __init__(self, graph: MatchGraph, search: Search, *, certain: bool) -> None:
        self._graph = graph
        self._search = search
        self._below = DEAR if certain else FAR

    @cached_property
    def _free(self) -> Mask:
        attack = self._search.graph
        free = np.array([label.rule in _FREE for label in attack.labels], dtype=bool)
        return free[attack.horn.labels] if len(free) else np.zeros(attack.horn.clause_count, dtype=bool)

    def _numbers(self, end: End) -> tuple[int, ...]:
        return tuple(number for fact in end.facts if (number := self._search.number(fact)) >= 0)

    def _start(self, ref: Ref) -> End | None:
        if ref is INTERNET:
            return start("internet", self._search.world, self._search.graph)
        if ref.kind not in _PLACES and not self._graph.runs(ref):
            return None
        try:
            return start(str(ref), self._search.world, self._search.graph)
        except UsageError:
            return None

    def _goal(self, ref: Ref) -> End | None:
        if ref.kind == "Sink":
            return self._sink(ref)
        if ref.kind not in _PLACES and ref.kind != "Secret" and not self._graph.runs(ref):
            return None
        try:
            return goal(str(ref), self._search.world, self._search.graph)
        except UsageError:
            # Nothing gives it.
            return None

    def _sink(self, ref: Ref) -> End | None:
        if ref.name in SINKS:
            return End(ref.name, (SINKS[ref.name],))
        facts = self._search.graph.horn.facts
        found = tuple(fact for fact in facts if fact.kind is FactKind.CLOUD and str(fact) == ref.name)
        return End(ref.name, found) if found else None

    def pairs(self, tails: Ints, heads: Ints, rounds: int) -> tuple[Ints, Ints]:
        """(tail, head) of each pair within so many steps, sorted. Raises LimitError for more than can be held."""
        starts = [(node, found) for node in tails.tolist() if (found := self._ends(node, is_start=True))]
        goals = [(node, found) for node in heads.tolist() if (found := self._ends(node, is_start=False))]
        nothing = np.zeros(0, dtype=np.int64)
        if not starts or not goals:
            return nothing, nothing
        if len(starts) * len(goals) > _MOST_PAIRS:
            raise LimitError(
                f"{len(starts):,} tails and {len(goals):,} heads of `ATTACK`: more than {_MOST_PAIRS:,} pairs",
                help="narrow them by labels or `where`",
            )
        facts = sorted({fact for _, found in goals for fact in found})
        place = {fact: index for index, fact in enumerate(facts)}
        reached = self._search.graph.horn.within(
            [found for _, found in starts], facts, rounds, free=self._free, weight_below=self._below
        )
        columns = np.array([place[fact] for _, found in goals for fact in found])
        owners = np.repeat(np.arange(len(goals)), [len(found) for _, found in goals])
        rows, hits = np.nonzero(reached[:, columns])
        first = np.array([node for node, _ in starts])[rows]
        second = np.array([node for node, _ in goals])[owners[hits]]
        # Whoever has something need not take it.
        return unique_pairs(first[first != second], second[first != second], len(self._graph))

    def _ends(self, node: int, *, is_start: bool) -> tuple[int, ...]:
        ref = self._graph.refs[node]
        end = self._start(ref) if is_start else self._goal(ref)
        return self._numbers(end) if end else ()

    def proof(self, tail: int, head: int) -> AttackPath:
        """Of a pair: one with the fewest steps on its longest branch."""
        ends = self._start(self._graph.refs[tail]), self._goal(self._graph.refs[head])
        assert ends[0] is not None
        assert ends[1] is not None
        proof = self._search.graph.horn.shallow_proof(
            self._numbers(ends[0]), self._numbers(ends[1]), free=self._free, weight_below=self._below
        )
        assert proof is not None, "a pair has one"
        return self._search.path(ends[0], ends[1], proof)


class AttackArrow:
    """The pairs of one arrow of a pattern."""

    def __init__(self, attacks: Attacks, rounds: int, *, backward: bool) -> None:
        self._attacks = attacks
        self._rounds = rounds
        self._backward = backward
        self._left = self._right = np.zeros(0, dtype=np.int64)

    def forward(self, mask: Mask, allowed: Mask) -> Mask:
        """What of ``allowed`` is reached; the pairs are kept for everything after it."""
        left, right = np.flatnonzero(mask), np.flatnonzero(allowed)
        if self._backward:
            self._right, self._left = self._attacks.pairs(right, left, self._rounds)
        else:
            self._left, self._right = self._attacks.pairs(left, right, self._rounds)
        return self._marked(self._right, len(mask))

    def narrowed(self, mask: Mask, allowed: Mask) -> Mask:
        """As ``forward``, for a part of what it was asked for."""
        return self._marked(self._right[mask[self._left] & allowed[self._right]], len(mask))

    def backward(self, mask: Mask, allowed: Mask) -> Mask:
        return self._marked(self._left[mask[self._right] & allowed[self._left]], len(mask))

    @staticmethod
    def _marked(nodes: Ints, size: int) -> Mask:
        found = np.zeros(size, dtype=bool)
        found[nodes] = True
        return found

    def expand(self, rows: Ints, nodes: Ints, allowed: Mask) -> tuple[Ints, Ints]:
        """As a walk does."""
        places, heads = Arcs(self._left, self._right, len(allowed)).expand(nodes)
        kept = allowed[heads]
        return unique_pairs(rows[places[kept]], heads[kept], len(allowed))

    def ways(self, node: int, ends: Mask) -> Iterator[Sequence[int]]:
        """Each is the node and an end."""
        for end in np.sort(self._right[(self._left == node) & ends[self._right]]).tolist():
            yield node, end

    def proof(self, left: int, right: int) -> AttackPath:
        return self._attacks.proof(right, left) if self._backward else self._attacks.proof(left, right)


__all__ = ["AttackArrow", "Attacks"]
