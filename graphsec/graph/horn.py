"""An AND/OR graph: facts, and clauses that derive one fact from all of their premises; knows nothing of Kubernetes.

A clause has a weight of at least 1: how much longer a proof becomes by it. Closures are monotone least fixpoints without any limit of
depth. A cheapest proof is found by Knuth's generalisation of Dijkstra's algorithm: minimum over clauses, sum over premises
(parts that two premises share count twice, which only matters for which of two proofs is called the shorter).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Hashable)
Ints = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]
Longs = npt.NDArray[np.int64]

#: A cost that no proof has.
FAR = 2**30
#: Sets of starts that are followed in one pass.
_AT_ONCE = 256


class HornBuilder(Generic[F]):
    """Collects clauses; facts are numbered in order of first mention."""

    def __init__(self) -> None:
        self.ids: dict[F, int] = {}
        self.heads: list[int] = []
        #: The only premise, or -1 - index into ``bodies``.
        self.tails: list[int] = []
        self.bodies: list[tuple[int, ...]] = []
        self.labels: list[int] = []
        self.weights: list[int] = []

    def fact(self, key: F) -> int:
        found = self.ids.get(key)
        if found is None:
            found = self.ids[key] = len(self.ids)
        return found

    def clause(self, premises: int | Collection[int], head: int, label: int, weight: int) -> None:
        """``label`` is the caller's; of premises that repeat, one counts."""
        if isinstance(premises, int):
            tail = premises
        else:
            body = tuple(sorted(set(premises)))
            tail = body[0] if len(body) == 1 else -1 - len(self.bodies)
            if tail < 0:
                self.bodies.append(body)
        if tail == head:
            return
        self.heads.append(head)
        self.tails.append(tail)
        self.labels.append(label)
        self.weights.append(weight)

    def freeze(self) -> Horn[F]:
        return Horn(self)


class Proof:
    """A derivation: for each fact that it needs the clause that gives it, premises before conclusions."""

    def __init__(self, cost: int, clauses: list[int]) -> None:
        self.cost = cost
        self.clauses = clauses


class Horn(Generic[F]):
    """Immutable. Facts and clauses are numbers; ``facts`` gives the keys back."""

    def __init__(self, built: HornBuilder[F]) -> None:
        self.ids = built.ids
        self.facts: list[F] = list(built.ids)
        self.heads = np.array(built.heads, dtype=np.int32)
        self._tails = np.array(built.tails, dtype=np.int32)
        self._bodies = built.bodies
        self.labels = np.array(built.labels, dtype=np.int32)
        self.weights = np.array(built.weights, dtype=np.int32)
        self._plain = np.flatnonzero(self._tails >= 0)
        self._joint = np.flatnonzero(self._tails < 0)
        self._lists: Any = None
        self._towards: dict[tuple[int, bool], Ints] = {}
        #: Arcs sorted by head, for walking against them.
        self._against: dict[bool, tuple[Ints, Ints, Any]] = {}
        self._next: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self.facts)

    @property
    def clause_count(self) -> int:
        return len(self.heads)

    def body(self, clause: int) -> tuple[int, ...]:
        """The premises of a clause."""
        tail = int(self._tails[clause])
        return (tail,) if tail >= 0 else self._bodies[-1 - tail]

    def from_premise(self, fact: int) -> Iterator[int]:
        """The clauses that a fact is a premise of."""
        return self._by_premise().clauses(fact)

    # -- all facts towards one goal -----------------------------------------------------------------------------

    def costs_to(self, goal: int, *, relaxed: bool = False) -> Ints:
        """For every fact, the cost of the cheapest chain of clauses with one premise from it to ``goal``; FAR without.

        ``relaxed`` lets every single premise of a clause stand for all of them: a lower bound of the cost of any proof
        that needs the fact, FAR exactly where no proof of ``goal`` can.
        """
        key = (goal, relaxed)
        if key not in self._towards:
            if relaxed not in self._against:
                self._against[relaxed] = _by_head(len(self), *self._arcs(relaxed=relaxed))
            self._towards[key] = _cheapest(len(self), goal, *self._against[relaxed])
        return self._towards[key]

    def _arcs(self, *, relaxed: bool) -> tuple[Ints, Ints, Ints]:
        plain = self._plain
        tails, heads, weights = self._tails[plain], self.heads[plain], self.weights[plain]
        if not relaxed or not len(self._joint):
            return tails, heads, weights
        bodies = [self._bodies[-1 - int(self._tails[clause])] for clause in self._joint]
        times = np.array([len(body) for body in bodies])
        joint = np.repeat(self._joint, times)
        more = np.array([premise for body in bodies for premise in body], dtype=np.int32)
        return (
            np.concatenate((tails, more)),
            np.concatenate((heads, self.heads[joint])),
            np.concatenate((weights, self.weights[joint])),
        )

    # -- one set of starts --------------------------------------------------------------------------------------

    def prove(self, starts: Iterable[int], goal: int, *, banned: Collection[int] = ()) -> Proof | None:
        """The cheapest proof of ``goal`` from ``starts``, None if there is none; without the ``banned`` clauses."""
        starts = tuple(starts)
        if goal in starts:
            return Proof(0, [])
        near = self.costs_to(goal, relaxed=True)
        useful = [start for start in starts if near[start] < FAR]
        if not useful:
            return None
        chained = self.costs_to(goal)
        first = min(useful, key=lambda start: (int(chained[start]), start))
        if not banned and chained[first] < FAR and chained[first] <= min(int(near[start]) for start in useful):
            return Proof(int(chained[first]), self.chain(first, goal))
        costs, by = self._close(useful, goal, near, banned)
        return Proof(costs[goal], _unwound(self, by, goal)) if goal in costs else None

    def chain(self, start: int, goal: int) -> list[int]:
        """The clauses of the cheapest chain of ``costs_to``, which there must be; of equal ones the first clause counts."""
        if goal not in self._next:
            self._next[goal] = self._next_clauses(goal)
        onward, heads = self._next[goal], self._by_premise().heads
        chain: list[int] = []
        at = start
        while at != goal:
            chain.append(onward[at])
            at = heads[onward[at]]
        return chain

    def _next_clauses(self, goal: int) -> list[int]:
        """For every fact the first clause of its cheapest chain to ``goal``, -1 without one."""
        costs, plain = self.costs_to(goal).astype(np.int64), self._plain
        tails, heads = self._tails[plain], self.heads[plain]
        best = (costs[heads] < FAR) & (costs[heads] + self.weights[plain] == costs[tails])
        found, first = np.unique(tails[best], return_index=True)
        onward = np.full(len(self), -1, dtype=np.int64)
        onward[found] = plain[best][first]
        numbers: list[int] = onward.tolist()
        return numbers

    def closure(self, starts: Iterable[int], *, weight_below: int = FAR) -> dict[int, int]:
        """Every fact that follows from ``starts``, with the cost of its cheapest proof.

        Clauses of ``weight_below`` and more do not count.
        """
        costs, _ = self._close(tuple(starts), -1, None, (), weight_below)
        return costs

    def reaching(self, starts: Sequence[Sequence[int]], goal: int, *, weight_below: int = FAR) -> list[bool]:
        """For each set of starts whether ``goal`` follows by clauses of less weight, all sets at once: a bit for each, a round
        for each step. What a chain leads on from has won, so only facts without one are followed.
        """
        if not starts:
            return []
        light = self.weights < weight_below
        won = self.costs_to(goal) < weight_below
        useful = self.costs_to(goal, relaxed=True) < FAR
        plain = self._plain[light[self._plain] & useful[self.heads[self._plain]]]
        plain = plain[~won[self._tails[plain]]]
        joint = self._joint[light[self._joint] & useful[self.heads[self._joint]]]
        bodies = [self.body(clause) for clause in joint.tolist()]
        members = np.array([fact for body in bodies for fact in body], dtype=np.int64)
        sizes = np.array([len(body) for body in bodies], dtype=np.int64)
        heads = np.where(won[self.heads], goal, self.heads)
        found: list[bool] = []
        for first in range(0, len(starts), _AT_ONCE):
            batch = starts[first : first + _AT_ONCE]
            words = self._seeded(batch)
            # What a chain leads on from has won at once.
            words[goal] |= np.bitwise_or.reduce(words[won], axis=0)
            near = self._near(batch, plain, heads, members, sizes, heads[joint])
            whole = _all_of(near, members, sizes)
            ours = plain[near[self._tails[plain]]]
            together = members[np.repeat(whole, sizes)], sizes[whole], heads[joint[whole]]
            _follow(words, self._tails[ours], heads[ours], *together)
            found += [
                bool(words[goal, place // 64] >> np.uint64(place % 64) & np.uint64(1)) for place in range(len(batch))
            ]
        return found

    def _near(
        self, batch: Sequence[Sequence[int]], plain: Longs, heads: Ints, members: Longs, sizes: Longs, ends: Ints
    ) -> npt.NDArray[np.bool_]:
        """The facts that the batch could have together: no other has a bit to pass on, and most graphs are wide."""
        near = np.zeros(len(self), dtype=np.bool_)
        near[[fact for facts in batch for fact in facts]] = True
        tails, heads = self._tails[plain], heads[plain]
        while True:
            new = np.concatenate((heads[near[tails]], ends[_all_of(near, members, sizes)]))
            if near[new].all():
                return near
            near[new] = True

    def within(
        self,
        starts: Sequence[Sequence[int]],
        goals: Sequence[int],
        rounds: int,
        *,
        free: npt.NDArray[np.bool_],
        weight_below: int = FAR,
    ) -> npt.NDArray[np.bool_]:
        """For each set of starts (rows) which goals (columns) follow from it, by a proof with at most ``rounds`` clauses on
        its longest branch; those that are ``free`` do not count, those of ``weight_below`` and more are none.
        """
        usable = (self.weights < weight_below) & self._leading_to(goals)[self.heads]
        steps = [self._round(np.flatnonzero(usable & chosen)) for chosen in (free, ~free)]
        found = np.zeros((len(starts), len(goals)), dtype=bool)
        for first in range(0, len(starts), _AT_ONCE):
            batch = starts[first : first + _AT_ONCE]
            words = self._seeded(batch)
            for turn in range(rounds + 1):
                # A round sees only what was there before it.
                if turn and not steps[1].taken(words.copy(), words):
                    break
                while steps[0].taken(words, words):
                    pass
            found[first : first + len(batch)] = _bits(words[list(goals)], len(batch))
        return found

    def shallow_proof(
        self, starts: Iterable[int], goals: Collection[int], *, free: npt.NDArray[np.bool_], weight_below: int = FAR
    ) -> Proof | None:
        """A proof of one of the goals with the fewest clauses on its longest branch, None without any; as ``within``."""
        lists = self._by_premise()
        by: dict[int, int] = {}
        waiting: dict[int, int] = {}
        now: deque[tuple[int, int]] = deque((start, -1) for start in sorted(set(starts)))
        later: deque[tuple[int, int]] = deque()
        depth = 0
        while now or later:
            if not now:
                now, later = later, deque()
                depth += 1
            fact, given = now.popleft()
            if fact in by:
                continue
            by[fact] = given
            if fact in goals:
                return Proof(depth, _unwound(self, by, fact))
            for clause in lists.clauses(fact):
                waiting[clause] = waiting.get(clause, 0) + 1
                if waiting[clause] == lists.missing[clause] and lists.weights[clause] < weight_below:
                    (now if free[clause] else later).append((lists.heads[clause], clause))
        return None

    def _leading_to(self, goals: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Facts without which some proof of a goal could do no better: all others are of no use."""
        tails, heads, _ = self._arcs(relaxed=True)
        useful = np.zeros(len(self), dtype=bool)
        useful[list(goals)] = True
        count = -1
        while count != (count := int(useful.sum())):
            useful[tails[useful[heads]]] = True
        return useful

    def _round(self, clauses: npt.NDArray[np.int64]) -> _Round:
        plain = clauses[self._tails[clauses] >= 0]
        joint = clauses[self._tails[clauses] < 0]
        bodies = [self.body(clause) for clause in joint.tolist()]
        return _Round(self._tails[plain], bodies, self.heads[np.concatenate((plain, joint))])

    def _seeded(self, batch: Sequence[Sequence[int]]) -> Words:
        """A row of bits for each fact: which sets of the batch hold it from the start."""
        words = np.zeros((len(self), -(-len(batch) // 64)), dtype=np.uint64)
        for place, facts in enumerate(batch):
            for fact in facts:
                words[fact, place // 64] |= np.uint64(1 << (place % 64))
        return words

    def derivation(self, starts: Iterable[int]) -> Derivation[F]:
        """The closure with a cheapest proof of each fact."""
        costs, by = self._close(tuple(starts), -1, None, ())
        return Derivation(self, costs, by)

    def _close(
        self,
        starts: Collection[int],
        goal: int,
        near: Ints | None,
        banned: Collection[int],
        weight_below: int = FAR,
    ) -> tuple[dict[int, int], dict[int, int]]:
        """(cost, clause) of each fact, up to ``goal``; facts that ``near`` calls useless are left out."""
        lists = self._by_premise()
        heads, weights, missing = lists.heads, lists.weights, lists.missing
        costs: dict[int, int] = {}
        by: dict[int, int] = {}
        waiting: dict[int, tuple[int, int]] = {}
        queue: list[tuple[int, int, int]] = [(0, start, -1) for start in sorted(set(starts))]
        while queue:
            cost, fact, given = heappop(queue)
            if fact in costs:
                continue
            costs[fact] = cost
            by[fact] = given
            if fact == goal:
                break
            for clause in lists.clauses(fact):
                head = heads[clause]
                if head in costs or weights[clause] >= weight_below or (near is not None and near[head] >= FAR):
                    continue
                total = cost
                if missing[clause] > 1:
                    count, summed = waiting.get(clause, (0, 0))
                    waiting[clause] = (count + 1, summed + cost)
                    if count + 1 < missing[clause]:
                        continue
                    total = summed + cost
                if clause not in banned:
                    heappush(queue, (total + weights[clause], head, clause))
        return costs, by

    def _by_premise(self) -> _Lists:
        if self._lists is None:
            self._lists = _Lists(self, self._plain, self._joint)
        found: _Lists = self._lists
        return found


class _Round:
    """Some clauses used once, all together: first those with one premise, ``tails``, then those with ``bodies``."""

    def __init__(self, tails: Ints, bodies: Sequence[tuple[int, ...]], heads: Ints) -> None:
        self._tails = tails
        self._members = np.array([fact for body in bodies for fact in body], dtype=np.int64)
        self._begins = np.cumsum([0, *(len(body) for body in bodies[:-1])]) if bodies else None
        self._order = np.argsort(heads, kind="stable")
        self._targets, self._runs = np.unique(heads[self._order], return_index=True)

    def taken(self, words: Words, into: Words) -> bool:
        """Add what follows from ``words``; whether that is anything new."""
        if not len(self._targets):
            return False
        values = words[self._tails]
        if self._begins is not None:
            values = np.concatenate((values, np.bitwise_and.reduceat(words[self._members], self._begins)))
        before = into[self._targets]
        reached = before | np.bitwise_or.reduceat(values[self._order], self._runs)
        into[self._targets] = reached
        return not np.array_equal(reached, before)


def _bits(words: Words, count: int) -> npt.NDArray[np.bool_]:
    """Rows of words as columns: entry (place, row) is bit ``place`` of the row."""
    octets = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :count].T.astype(bool)


class Derivation(Generic[F]):
    """What follows from some starts, and why."""

    def __init__(self, horn: Horn[F], costs: dict[int, int], by: dict[int, int]) -> None:
        self._horn = horn
        self.costs = costs
        self._by = by

    def proof(self, fact: int) -> Proof | None:
        return Proof(self.costs[fact], _unwound(self._horn, self._by, fact)) if fact in self.costs else None


def _unwound(horn: Horn[Any], by: dict[int, int], goal: int) -> list[int]:
    """The clauses behind ``goal``, premises first, each once."""
    order: list[int] = []
    seen: set[int] = set()
    stack: list[tuple[int, bool]] = [(goal, False)]
    while stack:
        fact, done = stack.pop()
        clause = by[fact]
        if done:
            order.append(clause)
        elif fact not in seen:
            seen.add(fact)
            if clause >= 0:
                stack.append((fact, True))
                stack.extend((premise, False) for premise in reversed(horn.body(clause)))
    return order


class _Lists:
    """Plain lists for walking from premise to clause; numpy's single numbers cost ten times as much."""

    def __init__(self, horn: Horn[Any], plain: Any, joint: Any) -> None:
        self.heads: list[int] = horn.heads.tolist()
        self.weights: list[int] = horn.weights.tolist()
        bodies = [horn.body(int(clause)) for clause in joint]
        clauses = np.concatenate((plain, np.repeat(joint, [len(body) for body in bodies]))).astype(np.int64)
        joint_premises = np.array([premise for body in bodies for premise in body], dtype=np.int64)
        premises = np.concatenate((horn._tails[plain], joint_premises))  # noqa: SLF001 - a part of it
        order = np.argsort(premises, kind="stable")
        self._clauses: list[int] = clauses[order].tolist()
        self._starts: list[int] = np.searchsorted(premises[order], np.arange(len(horn) + 1)).tolist()
        #: How many premises each clause has.
        self.missing: list[int] = [1] * horn.clause_count
        for clause, body in zip(joint.tolist(), bodies, strict=True):
            self.missing[clause] = len(body)

    def clauses(self, fact: int) -> Iterator[int]:
        """Those that ``fact`` is a premise of, in the order in which they were added."""
        return iter(self._clauses[self._starts[fact] : self._starts[fact + 1]])


def _all_of(near: npt.NDArray[np.bool_], members: Longs, sizes: Longs) -> npt.NDArray[np.bool_]:
    """Of bodies of ``sizes``, whether all members are."""
    if not len(sizes):
        return np.zeros(0, dtype=np.bool_)
    whole: npt.NDArray[np.bool_] = np.logical_and.reduceat(near[members], np.cumsum(sizes) - sizes)
    return whole


def _follow(words: npt.NDArray[np.uint64], tails: Ints, heads: Ints, members: Longs, sizes: Longs, ends: Ints) -> None:
    """Pass on what each fact has, of several premises what all of them have, until nothing is new."""
    every = np.concatenate((heads, ends))
    order = np.argsort(every, kind="stable")
    targets, runs = np.unique(every[order], return_index=True)
    begins = np.cumsum(sizes) - sizes
    while len(targets):
        values = words[tails]
        if len(sizes):
            values = np.concatenate((values, np.bitwise_and.reduceat(words[members], begins)))
        reached = words[targets] | np.bitwise_or.reduceat(values[order], runs)
        if np.array_equal(reached, words[targets]):
            return
        words[targets] = reached


def _by_head(size: int, tails: Ints, heads: Ints, weights: Ints) -> tuple[Ints, Ints, Any]:
    """(tails, weights, where the arcs into each fact begin)."""
    order = np.argsort(heads, kind="stable")
    return tails[order], weights[order], np.searchsorted(heads[order], np.arange(size + 1))


def _cheapest(size: int, goal: int, tails: Ints, weights: Ints, starts: Any) -> Ints:
    """Dial's algorithm against the arcs, a whole bucket of equal cost at a time."""
    costs = np.full(size, FAR, dtype=np.int32)
    costs[goal] = 0
    buckets: dict[int, list[Any]] = {0: [np.array([goal])]}
    while buckets:
        cost = min(buckets)
        facts = np.unique(np.concatenate(buckets.pop(cost)))
        facts = facts[costs[facts] == cost]
        arcs = _runs(starts[facts], starts[facts + 1])
        if not len(arcs):
            continue
        reached, new = tails[arcs], cost + weights[arcs]
        better = new < costs[reached]
        reached, new = reached[better], new[better]
        np.minimum.at(costs, reached, new)
        for value in np.unique(new).tolist():
            buckets.setdefault(value, []).append(reached[new == value])
    return costs


def _runs(begins: Any, ends: Any) -> Any:
    """The numbers of all half-open ranges, one after the other."""
    lengths = ends - begins
    total = int(lengths.sum())
    offsets = np.repeat(begins - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
    return np.arange(total) + offsets
