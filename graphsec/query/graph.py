"""The attack graph itself: what gives what, by which rule, whole or around one thing."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graphsec.compile import World
from graphsec.compile.attacks import AttackGraph
from graphsec.compile.attacks.drawing import identity
from graphsec.errors import UsageError
from graphsec.graph.horn import Horn
from graphsec.model.attack import CLUSTER, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.model.text import counted
from graphsec.query._answer import Answer
from graphsec.query._attack_ends import SINKS, End, goal, start
from graphsec.query._needs import require
from graphsec.query._words import flag
from graphsec.query.paths import Search, Step

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Diagram, Fold, Vertex

K = FactKind
HOPS = 2
#: How alike a suggestion must be.
_NEAR = 0.75
_HELP = (
    "a focus is `sa:NS/NAME`, `user:NAME`, `group:NAME`, `Pod/NS/NAME`, `Node/NAME`, `Namespace/NAME`, `Secret/NS/NAME`, "
    f"`ClusterRole/NAME`, `Role/NS/NAME`, internet, {', '.join(SINKS)}"
)
#: What stands for all objects of a namespace.
_OF_NAMESPACE = frozenset({K.PODS, K.SECRETS, K.ACCOUNTS})
#: Facts that are objects with a name of their own.
_OBJECTS = frozenset({K.USER, K.ACCOUNT, K.GROUP, K.POD, K.NODE, K.SECRET})


class Edge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of the graph."""

    step: Step

    @property
    def because(self) -> tuple[Any, ...]:
        return tuple(self.step.because)

    def __str__(self) -> str:
        return str(self.step)

    def row(self, *, wide: bool) -> tuple[str, ...]:
        step = self.step
        cells = (
            " and ".join(map(str, step.premises)),
            str(step.after),
            step.rule,
            ",".join(step.assumptions),
        )
        return (*cells, "; ".join(map(str, step.because))) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        return self.step.to_dict()

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.query._attack_picture import draw_steps

        return draw_steps([self.step])

    def refs(self) -> tuple[str, ...]:
        named = [
            fact
            for fact in (*self.step.premises, self.step.after)
            if fact.kind in _OBJECTS and fact.name and not fact.power
        ]
        texts = [str(fact).partition("/") for fact in named]
        return tuple(f"{kind.lower()}/{rest}" for kind, _, rest in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Without ``focus`` the whole graph; with one, what is within so many steps of it, either way."""

    ask: ClassVar[str] = "graph"
    focus: str = ""
    hops: int = HOPS

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("FROM", "TO", "BY", "ASSUMES")
        return (*base, "BECAUSE") if wide else base

    def command(self) -> str:
        return "graph" + (flag("--focus", self.focus) + f" --hops {self.hops}" if self.focus else "")

    def to_dict(self) -> dict[str, Any]:
        return {"focus": self.focus or None, "hops": self.hops if self.focus else None}

    def answer(self, world: World) -> Answer[Edge]:
        """Raises InputError without any RBAC object, UsageError for a focus that is not known."""
        complete, warnings = require(world, self.ask)
        search = Search(world)
        horn = search.graph.horn
        end = find_focus(self.focus, world, search.graph) if self.focus else None
        clauses: Iterable[int] = range(horn.clause_count)
        if end is not None:
            clauses = around(horn, [horn.ids[fact] for fact in end.facts if fact in horn.ids], self.hops)
        steps = [search.step(clause) for clause in clauses]
        steps.sort(key=lambda step: (step.premises, step.after, step.rule))
        facts = {fact for step in steps for fact in (*step.premises, step.after)}
        notes = [f"{counted(len(facts), 'fact')}, {counted(len(steps), 'step')}"]
        if end is not None:
            notes += [end.note] if end.note else []
            if CLUSTER in facts and CLUSTER not in end.facts and self.hops > 1:
                notes.append("nothing is followed through cluster-admin")
        return Answer(
            question=self,
            items=tuple(Edge(step=step) for step in steps),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(notes),
            warnings=warnings,
            picture=_Picture(end, self.hops),
        )


@dataclass(frozen=True, slots=True)
class _Picture:
    focus: End | None
    hops: int

    def __call__(self, answer: Answer[Edge], fold: Fold, max_nodes: int) -> Diagram:
        from graphsec.query._attack_picture import draw_edges

        diagram = draw_edges(answer, self.focus, fold, max_nodes)
        if self.focus is None:
            part = f"graphsec graph --focus {_busiest(answer.items)} --hops {HOPS}"
            return replace(diagram, advice=f"a part of it (`{part}`), or --max-nodes N")
        if self.hops > 1 and (diagram.overflow or diagram.sheet.lost):
            return replace(diagram, notes=(*diagram.notes, "to see less: --hops 1"))
        return diagram


def _busiest(edges: Sequence[Edge]) -> str:
    """The identity from which most steps lead on."""
    counts: dict[Fact, int] = defaultdict(int)
    for edge in edges:
        if edge.step.before.kind in (K.USER, K.ACCOUNT, K.GROUP):
            counts[edge.step.before] += 1
    found = max(counts, key=lambda fact: (counts[fact], fact), default=None)
    return "X" if found is None else flag("", str(found)).strip()


def around(horn: Horn[Fact], facts: Collection[int], hops: int) -> list[int]:
    """The clauses within so many of the facts: onwards from them, and back to what gives them.

    What leads on from cluster-admin, which is everything, and what leads to it, is left out where it is not asked for.
    """
    into: dict[int, list[int]] = defaultdict(list)
    out: dict[int, list[int]] = defaultdict(list)
    heads = horn.heads.tolist()
    for clause, head in enumerate(heads):
        into[head].append(clause)
        for premise in horn.body(clause):
            out[premise].append(clause)
    found: set[int] = set()
    for near, ends in ((out, lambda clause: (heads[clause],)), (into, horn.body)):
        seen, frontier = set(facts), list(facts)
        for _ in range(hops):
            clauses = [clause for fact in frontier for clause in near[fact]]
            found.update(clauses)
            frontier = list(dict.fromkeys(end for clause in clauses for end in ends(clause) if end not in seen))
            seen.update(frontier)
            frontier = [fact for fact in frontier if horn.facts[fact] != CLUSTER]
    return sorted(found)


def find_focus(text: str, world: World, graph: AttackGraph) -> End:
    """Raises UsageError, with the nearest thing that is known, for what the graph does not hold."""
    kind, slash, rest = text.partition("/")
    kind = kind.lower()
    if text in SINKS or (slash and kind == "secret"):
        return goal(text, world, graph)
    if slash and kind in ("role", "clusterrole"):
        return _role(text, graph)
    if slash and kind == "namespace":
        found = start(text, world, graph)
        hubs = (fact for fact in graph.horn.facts if fact.kind in _OF_NAMESPACE and fact.namespace == rest)
        return End(found.text, tuple(dict.fromkeys((*found.facts, *hubs))))
    found = start(text, world, graph)
    # The groups of a subject say nothing of it.
    own = found.facts[:1] if "/" in found.text else found.facts
    if not any(fact in graph.horn.ids for fact in own):
        raise UsageError(f"nothing of the input names {found.text}", help=_suggestion(found.text, graph))
    return found


def _role(text: str, graph: AttackGraph) -> End:
    """A role is what it grants to whoever binds it, and those who hold it."""
    roles = {str(role): role for role in graph.drawing.access.roles}
    kind, _, rest = text.partition("/")
    name = f"{'Role' if kind.lower() == 'role' else 'ClusterRole'}/{rest}"
    if name not in roles:
        near = difflib.get_close_matches(name, roles, n=1, cutoff=_NEAR)
        raise UsageError(f"no {name} in the input", help=f"did you mean {near[0]}?" if near else _HELP)
    own = [fact for fact in graph.horn.facts if fact.kind in (K.GRANT, K.HELD) and fact.name == name]
    return End(name, (*own, *_holders(roles[name], graph)))


def _holders(role: Ref, graph: AttackGraph) -> list[Fact]:
    subjects = [
        subject for binding in graph.drawing.access.bindings if binding.role == role for subject in binding.subjects
    ]
    return [fact for fact in dict.fromkeys(map(identity, subjects)) if fact in graph.horn.ids]


def _suggestion(text: str, graph: AttackGraph) -> str:
    known = [str(fact) for fact in graph.horn.facts if fact.kind in _OBJECTS]
    near = difflib.get_close_matches(text, known, n=1, cutoff=_NEAR)
    return f"did you mean {near[0]}?" if near else _HELP
