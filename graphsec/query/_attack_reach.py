"""Which of many starts reach a goal: exact, without a search of its own for most of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from graphsec.compile.attacks import AttackGraph
from graphsec.graph.horn import FAR, Proof
from graphsec.query._attack_ends import End


def reaching(
    graph: AttackGraph, starts: Iterable[End], goal: End, banned: Collection[int] = frozenset()
) -> list[tuple[End, Proof]]:
    """The starts with a proof of the goal, each with a cheapest one. Starts without any chain to it, by the bound of
    ``costs_to``, are never searched."""
    horn = graph.horn
    goals = [horn.ids[fact] for fact in goal.facts if fact in horn.ids]
    if not goals:
        return []
    near = np.minimum.reduce([horn.costs_to(number, relaxed=True) for number in goals])
    found = []
    for start in starts:
        numbers = [horn.ids[fact] for fact in start.facts if fact in horn.ids]
        if any(near[number] < FAR for number in numbers):
            proofs = [proof for number in goals if (proof := horn.prove(numbers, number, banned=banned))]
            if proofs:
                found.append((start, min(proofs, key=lambda proof: proof.cost)))
    return found
