"""Which of many starts reach a goal: exact, without a search of its own for most of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphsec.compile.attacks import AttackGraph
from graphsec.graph.horn import FAR, Horn, Proof
from graphsec.model.attack import Fact
from graphsec.query._attack_ends import End


@dataclass(frozen=True, slots=True)
class Reached:
    """A start that reaches a goal, at the cost of its cheapest proof, which is made when asked for."""

    start: End
    cost: int
    _horn: Horn[Fact]
    _numbers: tuple[int, ...]
    _goal: int
    #: Of a start whose cheapest proof is a chain: the fact where it begins.
    _first: int
    _proof: Proof | None = None

    @property
    def proof(self) -> Proof:
        return self._proof or Proof(self.cost, self._horn.chain(self._first, self._goal))


def reaching(
    graph: AttackGraph, starts: Iterable[End], goal: End, banned: Collection[int] = frozenset()
) -> list[Reached]:
    """The starts with a proof of the goal. One without any chain to it by the lower bound of ``costs_to`` is never searched,
    and one whose chain is as cheap as that bound needs no search either."""
    horn = graph.horn
    goals = [horn.ids[fact] for fact in goal.facts if fact in horn.ids]
    if not goals:
        return []
    near = [horn.costs_to(number, relaxed=True) for number in goals]
    chained = [horn.costs_to(number) for number in goals]
    bound, least = np.minimum.reduce(near).tolist(), np.minimum.reduce(chained).tolist()
    found = []
    for start in starts:
        numbers = tuple(horn.ids[fact] for fact in start.facts if fact in horn.ids)
        nearest = min((bound[number] for number in numbers), default=FAR)
        if nearest >= FAR:
            continue
        first = min(numbers, key=least.__getitem__)
        if not banned and least[first] <= nearest:
            target = next(goal for goal, costs in zip(goals, chained, strict=True) if costs[first] == least[first])
            found.append(Reached(start, least[first], horn, numbers, target, first))
        else:
            found += _searched(horn, start, numbers, goals, banned)
    return found


def _searched(horn: Horn[Fact], start: End, numbers: tuple[int, ...], goals: list[int], banned: Any) -> list[Reached]:
    proofs = [(proof, goal) for goal in goals if (proof := horn.prove(numbers, goal, banned=banned)) is not None]
    if not proofs:
        return []
    proof, goal = min(proofs, key=lambda pair: pair[0].cost)
    return [Reached(start, proof.cost, horn, numbers, goal, -1, proof)]
