"""What falls with one subject, pod or node: access, escalation and nodes together, hubs for what is taken as a whole."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.graph.horn import FAR, Derivation
from graphsec.model.attack import CLUSTER, Fact, FactKind
from graphsec.query._answer import Answer
from graphsec.query._attack_ends import End, start
from graphsec.query._needs import require
from graphsec.query._words import flag
from graphsec.query.paths import CONDITIONAL, PROVED, AttackPath, Search, check_assumptions, is_proved

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

K = FactKind
#: What an answer lists, worst first; the rest are steps on the way.
_LISTED = (
    K.CLUSTER,
    K.NODES,
    K.NODE,
    K.SECRETS,
    K.ACCOUNTS,
    K.PODS,
    K.NEW_POD,
    K.GRANT,
    K.USER,
    K.ACCOUNT,
    K.GROUP,
    K.COMPOUND,
    K.NODE_IDENTITY,
    K.CLOUD,
    K.POD,
    K.PODS_LIKE,
    K.SECRET,
)
#: What goes without saying where the whole cluster has fallen before.
_IMPLIED = frozenset({K.GRANT, K.GROUP, K.USER, K.COMPOUND, K.NODE_IDENTITY})
#: A member is not listed beside its hub.
_HUB_OF = {K.SECRET: K.SECRETS, K.ACCOUNT: K.ACCOUNTS, K.POD: K.PODS, K.PODS_LIKE: K.PODS, K.NODE: K.NODES}
_HUBS = frozenset({*_HUB_OF.values(), K.NEW_POD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """One thing that falls, with a cheapest proof of it."""

    fact: Fact
    verdict: str
    hops: int
    path: AttackPath

    @property
    def kind(self) -> str:
        return self.fact.kind.value

    @property
    def because(self) -> tuple[Any, ...]:
        return self.path.because

    @property
    def assumptions(self) -> tuple[str, ...]:
        return self.path.assumptions

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (str(self.fact), self.verdict, str(self.hops), " → ".join(self.path.rules))
        return (*cells, ",".join(self.assumptions)) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        return {"fact": str(self.fact), "kind": self.kind, "verdict": self.verdict, "path": self.path.to_dict()}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return self.path.drawing()

    def refs(self) -> tuple[str, ...]:
        return (str(self.fact),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blast:
    """``source`` as for ``paths``, but "all"."""

    ask: ClassVar[str] = "blast"
    source: str
    assume: tuple[str, ...] = ()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("FALLS", "VERDICT", "HOPS", "BY")
        return (*base, "ASSUMES") if wide else base

    def command(self) -> str:
        return f"blast {shlex.quote(self.source)}" + "".join(flag("--assume", name) for name in self.assume)

    def to_dict(self) -> dict[str, Any]:
        return {"source": self.source, "assume": list(self.assume)}

    def answer(self, world: World) -> Answer[Fallen]:
        """Raises InputError without any RBAC object, UsageError for a start that is not known."""
        complete, warnings = require(world, self.ask)
        check_assumptions(self.assume)
        search = Search(world, frozenset(self.assume), clouds=True)
        given = start(self.source, world, search.graph)
        starts = [number for fact in given.facts if (number := search.number(fact)) >= 0]
        derived = search.graph.horn.derivation(starts)
        fallen = [*_fallen(search, given, derived, set(starts))]
        return Answer(
            question=self,
            items=tuple(fallen),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=(_summary(fallen), *search.notes([item.path for item in fallen], given)),
            warnings=warnings,
            picture=partial(_picture, given),
        )


def _picture(given: End, answer: Answer[Any], fold: Any, max_nodes: int) -> Any:
    from graphsec.query._attack_picture import draw_paths

    return draw_paths(answer, fold, max_nodes)


def _fallen(search: Search, given: End, derived: Derivation[Fact], starts: set[int]) -> Iterator[Fallen]:
    facts = search.graph.horn.facts
    reached = [(number, facts[number]) for number in derived.costs if number not in starts]
    hubs = {fact: is_proved(derived.costs[number]) for number, fact in reached if fact.kind in _HUBS}
    whole = derived.costs.get(search.number(CLUSTER), FAR)
    shown = [
        (number, fact)
        for number, fact in reached
        if fact.kind in _LISTED
        and not _covered(fact, hubs, proved=is_proved(derived.costs[number]))
        and not (fact.kind is K.NEW_POD and fact.name)
        and not (fact.kind in _IMPLIED and derived.costs[number] > whole)
    ]
    order = {kind: place for place, kind in enumerate(_LISTED)}
    shown.sort(
        key=lambda pair: (order[pair[1].kind], not is_proved(derived.costs[pair[0]]), derived.costs[pair[0]], pair[1])
    )
    for number, fact in shown:
        proof = derived.proof(number)
        if proof is not None and (fact.name or fact.kind is not K.NODE):
            path = search.path(given, End(str(fact), (fact,)), proof)
            verdict = PROVED if is_proved(proof.cost) else CONDITIONAL
            yield Fallen(fact=fact, verdict=verdict, hops=path.hops, path=path)


def _covered(fact: Fact, hubs: dict[Fact, bool], *, proved: bool) -> bool:
    """Whether a hub that falls as surely stands for it."""
    if fact.kind in _HUBS:
        above = [Fact(fact.kind)] if fact.namespace else []
    else:
        hub = _HUB_OF.get(fact.kind)
        above = [Fact(hub), Fact(hub, "", fact.namespace)] if hub else []
    return any(one in hubs and (hubs[one] or not proved) for one in above)


def _summary(fallen: list[Fallen]) -> str:
    counts = Counter(item.kind for item in fallen)
    words = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    proved = sum(item.verdict == PROVED for item in fallen)
    return f"{words or 'nothing'}; {proved:,} proved, {len(fallen) - proved:,} conditional"
