"""Why there is no path: what is missing, the nearest first.

Each item is a fact from which the target follows in few steps and that the start does not have, with what would give it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.compile.attacks.drawing import DEAR
from graphsec.graph.horn import FAR
from graphsec.model.attack import ASSUMPTIONS, Fact, FactKind
from graphsec.query._answer import Answer
from graphsec.query._attack_ends import goal, start
from graphsec.query._needs import require
from graphsec.query._words import flag
from graphsec.query.paths import Paths, Search

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

K = FactKind
#: What a missing fact of a kind would take: a request that could be granted.
_WOULD = {
    K.NEW_POD: "create pods, or change a workload",
    K.PODS: "create pods/exec",
    K.POD: "create pods/exec on it, or a foothold in it",
    K.PODS_LIKE: "create pods/exec on one of them",
    K.ACCOUNTS: "create serviceaccounts/token, or create pods",
    K.ACCOUNT: "create serviceaccounts/token or impersonate on it",
    K.SECRETS: "get, list or watch secrets",
    K.SECRET: "get secrets on it",
    K.USER: "impersonate it",
    K.GROUP: "impersonate it beside a user",
    K.GRANT: "bind on the role, and create of the binding",
    K.NODE: "an escape from a pod on it",
    K.NODES: "a pod with host access",
    K.NEW_HOST_POD: "a Pod Security level that admits host access",
    K.POWER: "this power",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """``fact`` would lead to the target in ``hops``; ``beside`` are premises that the start has already."""

    fact: Fact
    would: str
    hops: int
    beside: tuple[Fact, ...]
    rule: str
    assumes: tuple[str, ...]

    @property
    def because(self) -> tuple[Any, ...]:
        return ()

    def row(self, *, wide: bool) -> tuple[str, ...]:
        beside = " and ".join(map(str, self.beside))
        has = f"has {beside}" if beside else ""
        return (str(self.fact), self.would, str(self.hops), self.rule, has, ",".join(self.assumes))

    def to_dict(self) -> dict[str, Any]:
        return {
            "missing": str(self.fact),
            "would": self.would,
            "hops": self.hops,
            "rule": self.rule,
            "has": [str(fact) for fact in self.beside],
            "assumptions": {name: ASSUMPTIONS[name] for name in self.assumes},
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (str(self.fact),)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyNot:
    ask: ClassVar[str] = "why-not"
    source: str
    target: str = "cluster-admin"
    top: int = 10

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return ("MISSING", "WOULD TAKE", "HOPS LEFT", "BY", "BESIDE", "ASSUMES")

    def command(self) -> str:
        return f"why-not {shlex.quote(self.source)} {shlex.quote(self.target)}{flag('--top', str(self.top)) if self.top != 10 else ''}"

    def to_dict(self) -> dict[str, Any]:
        return {"source": self.source, "target": self.target, "top": self.top}

    def answer(self, world: World) -> Answer[Missing]:
        """No items where there is a path: its note says so."""
        complete, warnings = require(world, self.ask)
        search = Search(world)
        given, end = start(self.source, world, search.graph), goal(self.target, world, search.graph)
        paths = search.paths(given, end)
        if paths:
            items: list[Missing] = []
            note = f"there is a path: {paths[0]}; `{Paths(source=self.source, target=self.target).command()}` shows it"
        else:
            items = sorted(_missing(search, given.facts, end.facts), key=_nearest)[: self.top]
            note = (
                f"{given} does not reach {end}; what is nearest is told first"
                if complete
                else (f"{given} does not reach {end} by what the input holds, and that is not all")
            )
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=(note, *(found.note for found in (end,) if found.note)),
            warnings=warnings,
        )


def _nearest(item: Missing) -> tuple[bool, int, int, Fact]:
    """A half of something first, then few steps, then few assumptions."""
    return (not item.beside, len(item.assumes), item.hops, item.fact)


def _missing(search: Search, starts: tuple[Fact, ...], goals: tuple[Fact, ...]) -> Iterator[Missing]:
    horn = search.graph.horn
    has = horn.closure([number for fact in starts if (number := search.number(fact)) >= 0])
    best: dict[int, Missing] = {}
    for target in goals:
        left = horn.costs_to(search.number(target), relaxed=True) if search.number(target) >= 0 else None
        for clause in range(horn.clause_count) if left is not None else ():
            head = int(horn.heads[clause])
            if left is None or left[head] >= FAR or head in has:
                continue
            body = horn.body(clause)
            lacking = [fact for fact in body if fact not in has]
            if len(lacking) != 1 or horn.facts[lacking[0]].kind not in _WOULD:
                continue
            label = search.graph.label(clause)
            cost = int(left[head]) + int(horn.weights[clause])
            item = Missing(
                fact=horn.facts[lacking[0]],
                would=_WOULD[horn.facts[lacking[0]].kind],
                hops=cost % DEAR,
                beside=tuple(horn.facts[fact] for fact in body if fact in has),
                rule=label.rule,
                assumes=label.assumes,
            )
            known = best.get(lacking[0])
            if known is None or _nearest(item) < _nearest(known):
                best[lacking[0]] = item
    yield from best.values()
