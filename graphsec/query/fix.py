"""The cheapest changes that cut every path from some starts to a target, proven by closing the changed graph again.

Implicit hitting set (attacks.md §6): each proof that is left asks for one of the changes that would break it; the cheapest
set that gives every proof one is applied, and the changed cluster is compiled and searched again, until no proof remains.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Answer, lower_name
from graphsec.query._attack_ends import goal, start
from graphsec.query._attack_reach import reaching
from graphsec.query._attack_starts import all_starts, pods
from graphsec.query._fixes import Change, apply, changes, patch
from graphsec.query._needs import require
from graphsec.query._words import flag
from graphsec.query.paths import AttackPath, Search, check_assumptions

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

#: Partial solutions that the exact search looks at before it settles for the greedy one.
_MAX_TRIED = 50_000
#: Rounds of closing again; each adds at least one proof that no earlier change broke.
_MAX_ROUNDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FixItem:
    """What to change in one object; ``manifest`` is the patch."""

    ref: Ref
    changes: tuple[str, ...]
    cost: int
    source: Source | None
    #: Subjects that lose something although no path of theirs is cut.
    touches: tuple[str, ...]
    manifest: dict[str, Any] = field(repr=False)

    @property
    def because(self) -> tuple[Any, ...]:
        return ()

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = ("; ".join(self.changes), f"{self.cost / 10:g}", str(self.source or "-"))
        return (*cells, ", ".join(self.touches) or "-") if wide else cells

    def to_dict(self) -> dict[str, Any]:
        return {
            "object": str(self.ref),
            "changes": list(self.changes),
            "cost": self.cost / 10,
            "source": {"file": self.source.file, "line": self.source.line} if self.source else None,
            "touches": list(self.touches),
            "patch": self.manifest,
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.ref),)


@dataclass(frozen=True, kw_only=True)
class Fix(Answer[FixItem]):
    """``world`` is the cluster after the changes; ``remaining`` are paths that no change of these kinds cuts."""

    world: World | None = field(default=None, repr=False, compare=False)
    cuts: int = 0
    total: int = 0
    remaining: tuple[AttackPath, ...] = ()
    #: Whether no cheaper set of changes would do.
    minimal: bool = True

    @property
    def cost(self) -> float:
        return sum(item.cost for item in self.items) / 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimalFix:
    ask: ClassVar[str] = "fix"
    #: Its items are objects to apply.
    manifests: ClassVar[bool] = True
    source: str = "all"
    target: str = "cluster-admin"
    assume: tuple[str, ...] = ()
    #: Whether bindings that every cluster has may be changed, too.
    unlock: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("CHANGE", "COST", "WHERE")
        return (*base, "TOUCHES ALSO") if wide else base

    def command(self) -> str:
        words = f"fix {shlex.quote(self.source)} {shlex.quote(self.target)}"
        return (
            words
            + "".join(flag("--assume", name) for name in self.assume)
            + (" --unlock-builtin" if self.unlock else "")
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "target": self.target,
            "assume": list(self.assume),
            "unlock": self.unlock,
        }

    def answer(self, world: World) -> Fix:
        """Raises InputError without any RBAC object, UsageError for an end that is not known."""
        complete, warnings = require(world, self.ask)
        check_assumptions(self.assume)
        solved = _Solver(self, world).solve()
        items = _items(world, solved.changed, solved.chosen)
        cuts = f"cuts {solved.total - len(solved.stuck):,} of {solved.total:,} starts"
        notes = [f"{cuts}; closed again {solved.rounds} times: {len(solved.stuck):,} still reach {self.target}"]
        if solved.stuck:
            path = solved.stuck[0]
            notes.append(f"no change of these kinds cuts {path}: {' → '.join(path.rules)}")
        if not solved.minimal:
            notes.append("the set is the greedy one: a cheaper one may exist")
        return Fix(
            question=self,
            items=items,
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(notes),
            warnings=warnings,
            world=solved.changed,
            cuts=solved.total - len(solved.stuck),
            total=solved.total,
            remaining=tuple(solved.stuck),
            minimal=solved.minimal,
            picture=partial(_picture, world),
        )


def _picture(world: World, answer: Answer[Any], fold: Any, max_nodes: int) -> Any:
    """The paths that the changes cut."""
    from graphsec.query.paths import Paths

    question = answer.question
    assert isinstance(question, MinimalFix)
    paths = Paths(source=question.source, target=question.target, assume=question.assume).answer(world)
    return paths.diagram(fold, max_nodes)


class _Solver:
    def __init__(self, question: MinimalFix, world: World) -> None:
        self._question = question
        self._world = world
        self.changed = world
        self.chosen: tuple[Change, ...] = ()
        self.stuck: list[AttackPath] = []
        self.total = 0
        self.rounds = 0
        self.minimal = True

    def solve(self) -> _Solver:
        wanted: dict[frozenset[Change], None] = {}
        stuck: dict[str, AttackPath] = {}
        for self.rounds in range(1, _MAX_ROUNDS + 1):
            paths = self._paths(stuck)
            if self.rounds == 1:
                self.total = len(paths)
            fresh = False
            for path in paths:
                options = frozenset(changes(self._world, path, unlock=self._question.unlock)) - frozenset(self.chosen)
                if options:
                    wanted[options] = None
                    fresh = True
                else:
                    stuck[path.source] = path
            if not fresh:
                break
            self.chosen, self.minimal = cheapest(list(wanted))
            self.changed = self._world.of(apply(self._world.cluster, self.chosen))
        self.stuck = list(stuck.values())
        return self

    def _paths(self, stuck: Iterable[str]) -> list[AttackPath]:
        """A proof for every start that still reaches the target."""
        question = self._question
        search = Search(self.changed, frozenset(question.assume))
        end = goal(question.target, self.changed, search.graph)
        if question.source == "all":
            starts, _ = all_starts(self._world, search.graph)
        elif question.source == "pods":
            starts = pods(search.graph)
        else:
            starts = [start(question.source, self._world, search.graph)]
        left = [given for given in starts if given.text not in set(stuck)]
        return [search.path(one.start, end, one.proof) for one in reaching(search.graph, left, end)]


def cheapest(wanted: Sequence[frozenset[Change]]) -> tuple[tuple[Change, ...], bool]:
    """The cheapest set of changes with one of each option set, and whether it is proven to be that."""
    order = sorted(wanted, key=lambda options: (len(options), sorted(_key(change) for change in options)))
    best = _greedy(order)
    state = _Exact(order, best)
    state.search((), 0)
    return tuple(sorted(state.best, key=_key)), state.tried < _MAX_TRIED


def _key(change: Change) -> tuple[int, str, str]:
    return (change.cost, str(change.ref), change.words)


def _greedy(wanted: Iterable[frozenset[Change]]) -> tuple[Change, ...]:
    left = list(wanted)
    chosen: list[Change] = []
    while left:
        candidates = {change for options in left for change in options}
        pick = min(
            candidates, key=lambda change: (change.cost / sum(change in options for options in left), _key(change))
        )
        chosen.append(pick)
        left = [options for options in left if pick not in options]
    return tuple(chosen)


class _Exact:
    """Branch and bound over the options of the first set that is not hit yet."""

    def __init__(self, wanted: Sequence[frozenset[Change]], best: tuple[Change, ...]) -> None:
        self._wanted = wanted
        self.best = best
        self._cost = sum(change.cost for change in best)
        self.tried = 0

    def search(self, chosen: tuple[Change, ...], cost: int) -> None:
        self.tried += 1
        if self.tried >= _MAX_TRIED:
            return
        left = [options for options in self._wanted if options.isdisjoint(chosen)]
        if not left:
            self.best, self._cost = chosen, cost
            return
        if cost + self._bound(left) >= self._cost:
            return
        for change in sorted(left[0], key=_key):
            if cost + change.cost < self._cost:
                self.search((*chosen, change), cost + change.cost)

    def _bound(self, left: Sequence[frozenset[Change]]) -> int:
        """Option sets that share nothing need a change each."""
        total, seen = 0, frozenset[Change]()
        for options in left:
            if seen.isdisjoint(options):
                total += min(change.cost for change in options)
                seen |= options
        return total


def _items(before: World, after: World, chosen: Iterable[Change]) -> tuple[FixItem, ...]:
    by_ref: dict[Ref, list[Change]] = {}
    for change in chosen:
        by_ref.setdefault(change.ref, []).append(change)
    return tuple(
        FixItem(
            ref=ref,
            changes=tuple(change.words for change in found),
            cost=sum(change.cost for change in found),
            source=before.cluster.inventory.get(ref),
            touches=_others(before, ref),
            manifest=patch(after.cluster, ref, found),
        )
        for ref, found in sorted(by_ref.items())
    )


def _others(world: World, ref: Ref) -> tuple[str, ...]:
    """Everybody who holds a role that is changed."""
    if ref.kind not in ("Role", "ClusterRole"):
        return ()
    return tuple(
        dict.fromkeys(
            str(subject) for binding in world.access.bindings if binding.role == ref for subject in binding.subjects
        )
    )
