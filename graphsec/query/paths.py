"""How one thing becomes another: the shortest proofs from subjects, pods, nodes or outside to what must not fall.

A path is *proved* where it follows from the input alone, *conditional* where it rests on named assumptions (attacks.md §6).
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graphsec.compile import World
from graphsec.compile.attacks import AttackGraph, Link
from graphsec.compile.attacks.drawing import DEAR
from graphsec.errors import UsageError
from graphsec.graph.horn import Proof
from graphsec.model.attack import ASSUMPTIONS, Fact, FactKind
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Answer, Deferred
from graphsec.query._attack_ends import SINKS, End, goal, start
from graphsec.query._attack_evidence import Ground, Grounds
from graphsec.query._attack_reach import reaching
from graphsec.query._attack_starts import all_starts, pods
from graphsec.query._needs import require
from graphsec.query._words import flag

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Diagram, Fold, Vertex

K = FactKind
PROVED, CONDITIONAL = "proved", "conditional"
#: Rules whose steps only narrow a set to one of its members; they are told with the step before.
STRUCTURE = "containment"


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One clause: ``rule`` gives ``after`` to whoever has ``before`` (all of ``premises``)."""

    rule: str
    premises: tuple[Fact, ...]
    after: Fact
    #: Made when first looked at: a listing of many paths shows none.
    because: Sequence[Ground] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def before(self) -> Fact:
        return self.premises[0]

    def __str__(self) -> str:
        together = " and ".join(map(str, self.premises))
        return f"{together} → {self.after} [{self.rule}]"

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "before": [str(fact) for fact in self.premises],
            "after": str(self.after),
            "because": [ground.to_dict() for ground in self.because],
            "assumptions": list(self.assumptions),
        }


class AttackPath(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A proof, its steps in an order in which each finds its premises. ``hops`` leave out mere structure."""

    source: str
    target: str
    steps: tuple[Step, ...]
    #: What the source stands for, without which the first steps have no premise.
    starts: tuple[Fact, ...] = ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for step in self.steps for name in step.assumptions))

    @property
    def verdict(self) -> str:
        return CONDITIONAL if self.assumptions else PROVED

    @property
    def hops(self) -> int:
        return sum(step.rule not in (STRUCTURE, "implicit-group") for step in self.steps)

    @property
    def because(self) -> tuple[Ground, ...]:
        return tuple(ground for step in self.steps for ground in step.because)

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of the rules, in order, without mere structure."""
        return tuple(dict.fromkeys(step.rule for step in self.steps if step.rule != STRUCTURE))

    def __str__(self) -> str:
        return f"{self.source} → {self.target} ({self.verdict}, {self.hops} hops)"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (self.source, self.target, self.verdict, str(self.hops), " → ".join(self.rules))
        if not wide:
            return cells
        places = dict.fromkeys(str(ground.source) for ground in self.because if ground.source)
        return (*cells, ",".join(self.assumptions), " ".join(places))

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "target": self.target,
            "verdict": self.verdict,
            "hops": self.hops,
            "assumptions": {name: ASSUMPTIONS[name] for name in self.assumptions},
            "steps": [step.to_dict() for step in self.steps],
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.query._attack_picture import draw_path

        return draw_path(self)

    def refs(self) -> tuple[str, ...]:
        kind, _, rest = self.source.partition("/")
        return (f"{kind.lower()}/{rest}" if rest else self.source,)

    def explanation(self) -> list[str]:
        """Step by step with what grants it, for reading aloud."""
        return list(_told(self))


def _told(path: AttackPath) -> Iterator[str]:
    yield str(path)
    number = 0
    for step in path.steps:
        if step.rule in (STRUCTURE, "implicit-group") and not step.because:
            continue
        number += 1
        assumed = f"   if {', '.join(step.assumptions)}" if step.assumptions else ""
        yield f"  {number}  {' and '.join(map(str, step.premises))} → {step.after}   [{step.rule}]{assumed}"
        for ground in step.because:
            place = f" ({ground.source})" if ground.source else ""
            rule = f", rule {ground.rule_index + 1}" if ground.rule_index >= 0 else ""
            at = f"{rule} ({ground.grant.rule_source})" if rule and ground.grant else ""
            yield f"       {ground}{place}{at}"
    for name in path.assumptions:
        yield f"  assumed {name}: {ASSUMPTIONS[name]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """``source`` "all" is every subject of a binding and every ServiceAccount that the operator has made, "pods" every kind
    of pod; ``target`` "" is each of the default sinks."""

    ask: ClassVar[str] = "paths"
    source: str
    target: str = "cluster-admin"
    k: int = 1
    assume: tuple[str, ...] = ()
    #: Bindings, rule ids, or steps written `A -> B`, as if they were not.
    without: tuple[str, ...] = ()
    #: Further targets beside the default ones, where ``target`` is "".
    sinks: tuple[str, ...] = ()
    include_builtin: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("FROM", "TO", "VERDICT", "HOPS", "BY")
        return (*base, "ASSUMES", "WHERE") if wide else base

    def command(self) -> str:
        words = f"paths {shlex.quote(self.source)}{f' {shlex.quote(self.target)}' if self.target else ''}"
        words += "".join(flag("--sink", name) for name in self.sinks)
        words += flag("-k", str(self.k)) if self.k > 1 else ""
        words += "".join(flag("--assume", name) for name in self.assume)
        return words + "".join(flag("--without", name) for name in self.without)

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "target": self.target,
            "k": self.k,
            "assume": list(self.assume),
            "without": list(self.without),
        }

    def answer(self, world: World) -> Answer[AttackPath]:
        """Raises InputError without any RBAC object, UsageError for an end or assumption that is not known."""
        complete, warnings = require(world, self.ask)
        check_assumptions(self.assume)
        world = without(world, [name for name in self.without if "/" in name and "->" not in name])
        search = Search(world, frozenset(self.assume), clouds=self.target.startswith("CloudIdentity/"))
        banned = search.banned([name for name in self.without if "/" not in name or "->" in name])
        targets = (self.target,) if self.target else (*SINKS, *self.sinks)
        ends = [goal(target, world, search.graph) for target in targets]
        items: list[AttackPath] = []
        left_out = 0
        if self.source == "all":
            starts, left_out = all_starts(world, search.graph, include_builtin=self.include_builtin)
        else:
            starts = pods(search.graph) if self.source == "pods" else [start(self.source, world, search.graph)]
        for end in ends:
            # Of many starts a proof with the fewest assumptions is enough; of one it is the shortest.
            if len(starts) > 1 and self.k == 1 and not banned:
                found = [search.path(one.start, end, one.proof) for one in reaching(search.graph, starts, end)]
            else:
                found = [path for given in starts for path in search.paths(given, end, k=self.k, banned=banned)]
            if len(starts) > 1:
                found.sort(key=lambda path: (path.verdict != PROVED, path.hops, path.source))
            items += found
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(dict.fromkeys(note for end in ends for note in search.notes(items, end))),
            warnings=warnings,
            left_out=left_out,
            picture=_picture,
        )


def _picture(answer: Answer[Any], fold: Fold, max_nodes: int) -> Diagram:
    from graphsec.query._attack_picture import draw_paths

    return draw_paths(answer, fold, max_nodes)


def check_assumptions(names: Iterable[str]) -> None:
    for name in names:
        if name not in ASSUMPTIONS:
            raise UsageError(f"unknown assumption `{name}`", help=f"assumptions: {', '.join(ASSUMPTIONS)}")


def without(world: World, refs: Collection[str]) -> World:
    """The world as if these objects were not. Raises UsageError for one that it does not hold."""
    if not refs:
        return world
    known = {str(ref): ref for ref in world.cluster.inventory}
    for text in refs:
        if text not in known:
            raise UsageError(
                f"no {text} in the input", help="`--without RoleBinding/NS/NAME` or `ClusterRoleBinding/NAME`"
            )
    return world.without({known[text] for text in refs})


def single_cuts(world: World, question: Paths, path: AttackPath) -> list[Ref]:
    """The bindings of a path without which no other path is left, each tried by closing the graph without it."""
    found = []
    for binding in dict.fromkeys(ground.binding for ground in path.because if ground.binding):
        if binding in world.cluster.inventory:
            search = Search(world.without({binding}), frozenset(question.assume))
            given = start(question.source, world, search.graph)
            if not search.paths(given, goal(question.target, world, search.graph)):
                found.append(binding)
    return found


class Search:
    """Proofs in one graph."""

    def __init__(self, world: World, granted: frozenset[str] = frozenset(), *, clouds: bool = False) -> None:
        self.world = world
        self.granted = granted
        self.graph: AttackGraph = world.attacks.graph(granted, _links(world, clouds=clouds))
        #: Tells apart proofs of equal cost, in the order in which they are found.
        self._turn = count()
        self._grounds = Grounds(self.graph, self._source_of)

    def _source_of(self, ref: Ref) -> Source | None:
        return self.world.cluster.inventory.get(ref)

    def number(self, fact: Fact) -> int:
        """-1 for a fact that no clause is about."""
        return self.graph.horn.ids.get(fact, -1)

    def banned(self, words: Iterable[str]) -> frozenset[int]:
        """The clauses of rules and steps that a question leaves out. Raises UsageError for what is neither."""
        from graphsec.rules import rules

        found: set[int] = set()
        horn = self.graph.horn
        for word in words:
            if "->" in word:
                tail, _, head = (part.strip() for part in word.partition("->"))
                hits = [
                    clause
                    for clause in range(horn.clause_count)
                    if str(horn.facts[int(horn.heads[clause])]) == head
                    and tail in [str(horn.facts[fact]) for fact in horn.body(clause)]
                ]
                if not hits:
                    raise UsageError(f"no step `{word}`", help="write it as `paths` shows it: `A -> B`")
                found.update(hits)
            elif word in rules():
                numbers = {number for number, label in enumerate(self.graph.labels) if label.rule == word}
                found.update(clause for clause, label in enumerate(horn.labels.tolist()) if label in numbers)
            else:
                raise UsageError(f"`{word}` is no binding, rule or step", help="graphsec rules list")
        return frozenset(found)

    def paths(self, given: End, end: End, *, k: int = 1, banned: frozenset[int] = frozenset()) -> list[AttackPath]:
        """Up to ``k`` different proofs, the cheapest first (Lawler: each next one lacks a step of one before)."""
        starts = [number for fact in given.facts if (number := self.number(fact)) >= 0]
        goals = [number for fact in end.facts if (number := self.number(fact)) >= 0]
        queue: list[tuple[int, int, int, frozenset[int], Proof]] = []
        for target in goals:
            self._push(queue, starts, target, banned)
        found: list[AttackPath] = []
        seen: set[frozenset[int]] = set()
        while queue and len(found) < k:
            _, _, target, left_out, proof = heappop(queue)
            if frozenset(proof.clauses) not in seen:
                seen.add(frozenset(proof.clauses))
                found.append(self.path(given, end, proof))
            if k > 1:
                for clause in proof.clauses:
                    if self.graph.label(clause).rule != STRUCTURE:
                        self._push(queue, starts, target, left_out | {clause})
        return found

    def _push(self, queue: list[Any], starts: list[int], target: int, banned: frozenset[int]) -> None:
        proof = self.graph.horn.prove(starts, target, banned=banned)
        if proof is not None:
            heappush(queue, (proof.cost, next(self._turn), target, banned, proof))

    def path(self, given: End, end: End, proof: Proof) -> AttackPath:
        return AttackPath(
            source=given.text,
            target=end.text,
            starts=given.facts,
            steps=tuple(self.step(clause) for clause in proof.clauses),
        )

    def step(self, clause: int) -> Step:
        horn = self.graph.horn
        label = self.graph.label(clause)
        return Step(
            rule=label.rule,
            premises=tuple(horn.facts[fact] for fact in horn.body(clause)),
            after=horn.facts[int(horn.heads[clause])],
            because=Deferred(-1, partial(self._grounds.of, clause)),
            assumptions=label.assumes,
        )

    def has_clause_of(self, other: Search, clause: int) -> bool:
        """Whether a clause of another graph is in this one, on no further assumption."""
        theirs, ours = other.graph.horn, self.graph.horn
        label = other.graph.label(clause)
        premises = tuple(self.number(theirs.facts[fact]) for fact in theirs.body(clause))
        head = self.number(theirs.facts[int(theirs.heads[clause])])
        if head < 0 or min(premises) < 0:
            return False
        return any(
            int(ours.heads[own]) == head
            and set(ours.body(own)) == set(premises)
            and self.graph.label(own).rule == label.rule
            and set(self.graph.label(own).assumes) <= set(label.assumes)
            for own in ours.from_premise(premises[0])
        )

    def notes(self, items: Collection[AttackPath], end: End) -> Iterator[str]:
        if end.note:
            yield end.note
        assumed = dict.fromkeys(name for path in items for name in path.assumptions)
        for name in assumed:
            yield f"{name}: {ASSUMPTIONS[name]}"
        yield "authorizers Node and RBAC are assumed, and no other"


def _links(world: World, *, clouds: bool) -> frozenset[Link]:
    """Nothing is asked of the network, which costs a compilation of its own, where nothing depends on it."""
    if not world.entries and not (clouds and world.attacks.inventory.machines):
        return frozenset()
    from graphsec.query._attack_network import links

    return links(world, metadata=clouds)


def is_proved(cost: int) -> bool:
    return cost < DEAR
