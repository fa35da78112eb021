"""Where paths meet: the bindings and things without which the most starts no longer reach a target.

A cut of a start lies on its cheapest proof, so the proofs of all starts name every candidate and bound what each can cut.
Candidates are tried in that order, each by closing the graph again without it, until no other could cut more.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.model.attack import Fact, FactKind
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Answer
from graphsec.query._attack_ends import End, goal
from graphsec.query._attack_reach import reaching
from graphsec.query._attack_starts import all_starts
from graphsec.query._needs import require
from graphsec.query._words import flag
from graphsec.query.paths import AttackPath, Search, check_assumptions

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

K = FactKind
BINDING, THING = "binding", "thing"
#: Only these are things that somebody could take away or guard.
_THINGS = frozenset(
    {
        K.ACCOUNT,
        K.USER,
        K.GROUP,
        K.COMPOUND,
        K.POD,
        K.PODS_LIKE,
        K.NODE,
        K.SECRET,
        K.NEW_POD,
        K.PODS,
        K.SECRETS,
        K.ACCOUNTS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChokePoint:
    """Without ``name``, ``cuts`` of ``total`` starts no longer reach the target."""

    kind: str
    name: str
    cuts: int
    total: int
    source: Source | None
    #: Starts that it cuts, canonical.
    starts: tuple[str, ...]
    #: A path through it.
    path: AttackPath

    @property
    def share(self) -> float:
        return self.cuts / self.total

    @property
    def is_dominator(self) -> bool:
        """Whether every path of every start needs it."""
        return self.cuts == self.total

    @property
    def because(self) -> tuple[Any, ...]:
        return self.path.because

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (self.name, self.kind, f"{self.cuts} of {self.total}", f"{self.share:.0%}", str(self.source or "-"))
        return (*cells, ", ".join(self.starts[:10])) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "cuts": self.cuts,
            "total": self.total,
            "dominator": self.is_dominator,
            "starts": list(self.starts),
            "source": {"file": self.source.file, "line": self.source.line} if self.source else None,
            "path": self.path.to_dict(),
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return self.path.drawing()

    def refs(self) -> tuple[str, ...]:
        kind, _, rest = self.name.partition("/")
        return (f"{kind.lower()}/{rest}" if rest else self.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choke:
    """``top`` bounds how many choke points are named of each kind."""

    ask: ClassVar[str] = "choke"
    target: str = "cluster-admin"
    top: int = 10
    assume: tuple[str, ...] = ()
    include_builtin: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("CHOKE POINT", "KIND", "CUTS", "SHARE", "WHERE")
        return (*base, "STARTS") if wide else base

    def command(self) -> str:
        assumed = "".join(flag("--assume", name) for name in self.assume)
        return f"choke {shlex.quote(self.target)}{flag('--top', str(self.top)) if self.top != 10 else ''}{assumed}"

    def to_dict(self) -> dict[str, Any]:
        return {"target": self.target, "top": self.top, "assume": list(self.assume)}

    def answer(self, world: World) -> Answer[ChokePoint]:
        """Raises InputError without any RBAC object, UsageError for a target that is not known."""
        complete, warnings = require(world, self.ask)
        check_assumptions(self.assume)
        search = Search(world, frozenset(self.assume))
        end = goal(self.target, world, search.graph)
        starts, left_out = all_starts(world, search.graph, include_builtin=self.include_builtin)
        found = reaching(search.graph, starts, end)
        paths = {one.start.text: (one.start, search.path(one.start, end, one.proof)) for one in found}
        items = [*_Chokes(search, end, paths, self.top).bindings(), *_Chokes(search, end, paths, self.top).things()]
        items.sort(key=lambda item: (-item.cuts, item.kind, item.name))
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=(f"{len(paths):,} starts reach {end}; each cut was confirmed by closing the graph without it",),
            warnings=warnings,
            left_out=left_out,
        )


class _Chokes:
    def __init__(self, search: Search, end: End, paths: dict[str, tuple[End, AttackPath]], top: int) -> None:
        self._search = search
        self._end = end
        self._paths = paths
        self._top = top

    def bindings(self) -> Iterator[ChokePoint]:
        uses: dict[Ref, list[str]] = defaultdict(list)
        for text, (_, path) in self._paths.items():
            for binding in dict.fromkeys(ground.binding for ground in path.because if ground.binding):
                uses[binding].append(text)
        inventory = self._search.world.cluster.inventory
        known = {binding: users for binding, users in uses.items() if binding in inventory}
        yield from self._best(BINDING, known, self._without_binding, inventory.get)

    def things(self) -> Iterator[ChokePoint]:
        uses: dict[Fact, list[str]] = defaultdict(list)
        for text, (given, path) in self._paths.items():
            for fact in dict.fromkeys(step.after for step in path.steps):
                if fact.kind in _THINGS and fact not in self._end.facts and fact not in given.facts:
                    uses[fact].append(text)
        yield from self._best(THING, uses, self._without_fact, lambda fact: None)

    def _best(self, kind: str, uses: Any, still: Any, source: Any) -> Iterator[ChokePoint]:
        """The ``top`` candidates by what they really cut; a candidate cuts at most the starts whose proof uses it."""
        found: list[tuple[int, Any, frozenset[str]]] = []
        for candidate, users in sorted(uses.items(), key=lambda pair: (-len(pair[1]), str(pair[0]))):
            enough = sorted((cuts for cuts, *_ in found), reverse=True)[: self._top]
            if len(enough) == self._top and len(users) <= enough[-1]:
                break
            cut = frozenset(users) - still(candidate, users)
            if cut:
                found.append((len(cut), candidate, cut))
        found.sort(key=lambda item: (-item[0], str(item[1])))
        for cuts, candidate, cut in found[: self._top]:
            yield ChokePoint(
                kind=kind,
                name=str(candidate),
                cuts=cuts,
                total=len(self._paths),
                source=source(candidate),
                starts=tuple(sorted(cut)),
                path=self._paths[min(cut)][1],
            )

    def _without_binding(self, binding: Ref, users: list[str]) -> frozenset[str]:
        """The users of a binding that reach the goal without it, too."""
        world = self._search.world.without({binding})
        search = Search(world, self._search.granted)
        starts = [self._paths[text][0] for text in users]
        return frozenset(one.start.text for one in reaching(search.graph, starts, self._end))

    def _without_fact(self, fact: Fact, users: list[str]) -> frozenset[str]:
        horn = self._search.graph.horn
        number = horn.ids[fact]
        banned = frozenset(int(clause) for clause in (horn.heads == number).nonzero()[0])
        starts = [self._paths[text][0] for text in users]
        return frozenset(one.start.text for one in reaching(self._search.graph, starts, self._end, banned))
