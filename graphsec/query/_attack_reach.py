"""Which of many starts reach a goal: exact, without a search of its own for most of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from graphsec.compile.attacks import AttackGraph
from graphsec.compile.attacks.drawing import DEAR
from graphsec.graph.horn import FAR, Horn, Proof
from graphsec.model.attack import Fact
from graphsec.query._attack_ends import End


@dataclass(frozen=True, slots=True)
class Reached:
    """A start that reaches a goal; ``proved`` without any assumption. The proof is made when asked for."""

    start: End
    proved: bool
    _horn: Horn[Fact]
    _numbers: tuple[int, ...]
    _goals: tuple[int, ...]
    #: Of a start whose proof may be a chain: the fact where it begins, and the goal where it ends.
    _chain: tuple[int, int] | None
    _banned: Collection[int] = frozenset()

    @property
    def proof(self) -> Proof:
        if self._chain is not None:
            return Proof(int(self._horn.costs_to(self._chain[1])[self._chain[0]]), self._horn.chain(*self._chain))
        proofs = [self._horn.prove(self._numbers, goal, banned=self._banned) for goal in self._goals]
        return min((proof for proof in proofs if proof is not None), key=lambda proof: proof.cost)


def reaching(
    graph: AttackGraph, starts: Iterable[End], goal: End, banned: Collection[int] = frozenset()
) -> list[Reached]:
    """The starts with a proof of the goal, each with one that rests on the fewest assumptions; whether a shorter one needs
    several things at once is left to a question about that start alone.

    A start without any chain to the goal by the lower bound of ``costs_to`` is never searched, and one whose chain rests on
    no more than that bound needs no search either. All others are followed together.
    """
    horn = graph.horn
    goals = tuple(horn.ids[fact] for fact in goal.facts if fact in horn.ids)
    if not goals:
        return []
    chained = [horn.costs_to(number) for number in goals]
    bound = np.minimum.reduce([horn.costs_to(number, relaxed=True) for number in goals]).tolist()
    least = np.minimum.reduce(chained).tolist()
    found: dict[int, Reached] = {}
    open_: list[tuple[int, End, tuple[int, ...]]] = []
    for place, start in enumerate(starts):
        numbers = tuple(horn.ids[fact] for fact in start.facts if fact in horn.ids)
        nearest = min((bound[number] for number in numbers), default=FAR)
        if nearest >= FAR:
            continue
        first = min(numbers, key=least.__getitem__)
        if not banned and least[first] // DEAR <= nearest // DEAR:
            target = next(goal for goal, costs in zip(goals, chained, strict=True) if costs[first] == least[first])
            found[place] = Reached(start, least[first] < DEAR, horn, numbers, goals, (first, target))
        else:
            open_.append((place, start, numbers))
    if banned:
        found.update(_searched(horn, open_, goals, banned))
    else:
        found.update(_followed(horn, open_, goals))
    return [found[place] for place in sorted(found)]


Open = list[tuple[int, End, tuple[int, ...]]]


def _followed(horn: Horn[Fact], open_: Open, goals: tuple[int, ...]) -> Iterator[tuple[int, Reached]]:
    sets = [numbers for _, _, numbers in open_]
    at_all = [horn.reaching(sets, goal) for goal in goals]
    proved = [horn.reaching(sets, goal, weight_below=DEAR) for goal in goals]
    for index, (place, start, numbers) in enumerate(open_):
        if any(reached[index] for reached in at_all):
            yield place, Reached(start, any(one[index] for one in proved), horn, numbers, goals, None)


def _searched(
    horn: Horn[Fact], open_: Open, goals: tuple[int, ...], banned: Collection[int]
) -> Iterator[tuple[int, Reached]]:
    for place, start, numbers in open_:
        proofs = [proof for goal in goals if (proof := horn.prove(numbers, goal, banned=banned)) is not None]
        if proofs:
            cheapest = min(proof.cost for proof in proofs)
            yield place, Reached(start, cheapest < DEAR, horn, numbers, goals, None, banned)
