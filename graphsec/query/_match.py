"""Path patterns asked of a world (tier 3 of saved queries): the exact set of findings first, their ways when looked at.

Nodes that no match goes through are taken away by two sweeps over whole sets, forward and back; what is left of a line is what
matches, unless a condition is about several nodes at once: then the nodes that it is about are joined.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphsec.compile import World
from graphsec.errors import LimitError
from graphsec.model.attack import ASSUMPTIONS
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Answer, _place
from graphsec.query._grants import vertex
from graphsec.query._match_attack import AttackArrow, Attacks
from graphsec.query._match_graph import ATTACK, KINDS, MAY_CONNECT, Ints, Mask, MatchGraph, Walk, unique_pairs
from graphsec.query._needs import require
from graphsec.query.lang import ArrowPattern, Column, Condition, Given, Table
from graphsec.query.paths import CONDITIONAL, PROVED, AttackPath, Search

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

#: Rows of a join of the nodes that one condition is about.
MOST_ROWS = 2_000_000
#: Kinds of edges that stand in RBAC objects.
_ACCESS = frozenset({"HOLDS", "REFERS_TO", "PERMITS", "MEMBER_OF"})
_Arrow = Walk | AttackArrow


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One edge of a way, and where an end of it is written."""

    tail: str
    kind: str
    head: str
    source: Source | None = None

    def __str__(self) -> str:
        return f"{self.tail} → {self.head} [{self.kind}]"

    def to_dict(self) -> dict[str, Any]:
        fields = {"kind": self.kind, "tail": self.tail, "head": self.head, "source": _place(self.source)}
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Way:
    """One match: the node of each place of the pattern, and what leads from each to the next."""

    nodes: tuple[Ref, ...]
    legs: tuple[tuple[Link, ...] | AttackPath, ...]

    @property
    def links(self) -> Iterator[Any]:
        """Everything that can be told, in order: edges, and steps of attacks."""
        for leg in self.legs:
            yield from leg.steps if isinstance(leg, AttackPath) else leg

    @property
    def because(self) -> Iterator[Any]:
        for leg in self.legs:
            yield from leg.because if isinstance(leg, AttackPath) else leg

    def __str__(self) -> str:
        words = [MatchGraph.text(self.nodes[0])]
        for leg, node in zip(self.legs, self.nodes[1:], strict=True):
            if isinstance(leg, AttackPath):
                words.append(f"[{' → '.join(leg.rules)}] {MatchGraph.text(node)}")
            else:
                words += [link.head if link.tail == words[-1].rpartition(" ")[2] else link.tail for link in leg]
        return " → ".join(words)

    def to_dicts(self) -> list[dict[str, Any]]:
        return [link.to_dict() for link in self.links]


@dataclass(frozen=True, kw_only=True)
class Match:
    """One finding: all matches with the same key. ``key`` is a canonical ref, or the value of the column grouped by."""

    key: str
    verdict: str
    #: Variables with their places in the pattern, and those of them that are shown.
    variables: Mapping[str, int]
    shown: Mapping[str, int]
    limit: int
    graph: MatchGraph = field(repr=False, compare=False)
    find: Callable[[], Iterator[Way]] = field(repr=False, compare=False)

    @cached_property
    def _kept(self) -> tuple[tuple[Way, ...], bool]:
        """(the ways that are kept, whether there are more)."""
        ways = tuple(islice(self.find(), self.limit + 1))
        return ways[: self.limit], len(ways) > self.limit

    @property
    def ways(self) -> tuple[Way, ...]:
        return self._kept[0]

    @cached_property
    def first(self) -> Way:
        """Each finding has one; that of the row."""
        return next(self.find())

    @property
    def because(self) -> tuple[Any, ...]:
        return tuple(self.first.because)

    @property
    def steps(self) -> tuple[Any, ...]:
        """Of the first way: edges, and steps of attacks; ``str`` of each is what a reader sees."""
        return tuple(self.first.links)

    @property
    def assumptions(self) -> tuple[str, ...]:
        legs = (leg for leg in self.first.legs if isinstance(leg, AttackPath))
        return tuple(dict.fromkeys(name for leg in legs for name in leg.assumptions))

    def value(self, column: Column) -> object:
        """Of a column of a variable, in the first way."""
        variable, _, attribute = column.name.partition(".")
        if not attribute:
            return {"verdict": self.verdict, "finding": self.key, "path": str(self.first)}[variable]
        number = self.graph.number(self.first.nodes[self.variables[variable]])
        return self.graph.values(attribute, [number])[0]

    def row(self, *, wide: bool) -> tuple[str, ...]:
        nodes = (MatchGraph.text(self.first.nodes[place]) for place in self.shown.values())
        cells = (self.key, *nodes, self.verdict, str(self.first))
        if not wide:
            return cells
        places = dict.fromkeys(str(proof.source) for proof in self.because if proof.source)
        return (*cells, ",".join(self.assumptions), " ".join(places))

    def to_dict(self) -> dict[str, Any]:
        return {
            "finding": self.key,
            "verdict": self.verdict,
            "nodes": {name: MatchGraph.text(self.first.nodes[place]) for name, place in self.shown.items()},
            "assumptions": {name: ASSUMPTIONS[name] for name in self.assumptions},
            "paths": [way.to_dicts() for way in self.ways],
            "morePaths": self._kept[1],
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.diagram import Arrow

        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        for leg in self.first.legs:
            if isinstance(leg, AttackPath):
                nodes, edges = leg.drawing()
                vertices += nodes
                arrows += edges
                continue
            for link in leg:
                ends = [vertex(self.graph.refs[self.graph.named(text)]) for text in (link.tail, link.head)]
                vertices += ends
                arrows.append(Arrow(tail=ends[0].key, head=ends[1].key, label=link.kind))
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        kind, _, rest = self.key.partition("/")
        return (f"{kind.lower()}/{rest}" if rest else self.key,)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchQuestion:
    """``group_by`` is a variable or a column of one; ``shown`` are variables."""

    ask: ClassVar[str] = "match"
    pattern: ArrowPattern
    group_by: str
    shown: tuple[str, ...]
    limit: int
    verdicts: tuple[str, ...]
    condition: Condition | None = None
    given: Given = field(default_factory=dict)

    def command(self) -> str:
        return "query run"

    def to_dict(self) -> dict[str, Any]:
        return {"match": self.pattern.text}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("FINDING", *(name.upper() for name in self.shown), "VERDICT", "PATH")
        return (*base, "ASSUMES", "WHERE") if wide else base

    def answer(self, world: World) -> Answer[Match]:
        """Findings in order of their keys. Raises InputError where the input supports no answer, LimitError for a join of too
        many rows."""
        needed = [require(world, ask) for ask in self._needs()]
        proved = self._keys(world, certain=True)
        all_keys = self._keys(world, certain=False) if self._may_be_conditional() else proved
        shown = {name: self.pattern.variables[name] for name in self.shown}
        items = [
            Match(
                key=key,
                verdict=verdict,
                variables=self.pattern.variables,
                shown=shown,
                limit=self.limit,
                graph=found.graph,
                find=find,
            )
            for key in sorted({*proved.found, *all_keys.found})
            for verdict, found in (((PROVED, proved) if key in proved.found else (CONDITIONAL, all_keys)),)
            if verdict in self.verdicts
            for find in (partial(found.ways, key),)
        ]
        return Answer(
            question=self,
            items=tuple(items),
            complete=all(complete for complete, _ in needed),
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(self._notes()),
            warnings=tuple(dict.fromkeys(warning for _, warnings in needed for warning in warnings)),
        )

    @property
    def _kinds(self) -> set[str]:
        return {kind for edge in self.pattern.edges for kind in edge.kinds}

    def _needs(self) -> Iterator[str]:
        kinds = self._kinds
        if ATTACK in kinds:
            yield "paths"
        if kinds & _ACCESS:
            yield "who-can"
        if MAY_CONNECT in kinds:
            yield "exposed" if any(self._from_outside()) else "reach"

    def _from_outside(self) -> list[bool]:
        """For each arrow whether it connects what may be the internet."""
        tails = [
            self.pattern.nodes[place + 1 if edge.backward else place] for place, edge in enumerate(self.pattern.edges)
        ]
        return [
            MAY_CONNECT in edge.kinds and (not tail.labels or "Internet" in tail.labels)
            for edge, tail in zip(self.pattern.edges, tails, strict=True)
        ]

    def _may_be_conditional(self) -> bool:
        return CONDITIONAL in self.verdicts and (ATTACK in self._kinds or any(self._from_outside()))

    def _keys(self, world: World, *, certain: bool) -> _Matches:
        return _Matches(self, MatchGraph(world, certain=certain), certain=certain)

    def arrows(self, graph: MatchGraph, *, certain: bool) -> list[_Arrow]:
        arrows: list[_Arrow] = []
        attacks: Attacks | None = None
        for edge, outside in zip(self.pattern.edges, self._from_outside(), strict=True):
            if edge.kinds == (ATTACK,):
                if attacks is None:
                    attacks = Attacks(graph, Search(graph.world, clouds=True), certain=certain)
                arrows.append(AttackArrow(attacks, edge.most, backward=edge.backward))
            else:
                step = graph.step(edge.kinds, backward=edge.backward, outside=outside)
                arrows.append(Walk(step, edge.least, edge.most))
        return arrows

    def _notes(self) -> Iterator[str]:
        if ATTACK in self._kinds:
            yield "ATTACK: what follows for whoever has its tail alone; authorizers Node and RBAC are assumed, and no other"


class _Matches:
    """The matches in one reading of the world."""

    def __init__(self, question: MatchQuestion, graph: MatchGraph, *, certain: bool) -> None:
        self.graph = graph
        self._question = question
        self._pattern = question.pattern
        self._arrows = question.arrows(graph, certain=certain)
        self._joint: list[Condition] = []
        masks = self._masks()
        forward = [masks[0]]
        for arrow, allowed in zip(self._arrows, masks[1:], strict=True):
            forward.append(arrow.forward(forward[-1], allowed))
        self._sets = self._back(forward)
        variable, _, self._attribute = question.group_by.partition(".")
        self._grouped = self._pattern.variables[variable]
        self._classes = self._told_apart()
        #: Of each place whose nodes are told apart, in order.
        self._places = sorted(self._classes)
        #: Choices of a class for each of them, by the key of their finding.
        self.found: Mapping[str, list[tuple[int, ...]]] = self._by_key()

    def _masks(self) -> list[Mask]:
        """Of each place its label and the conditions that are about it alone."""
        masks = [self.graph.labelled(node.labels) for node in self._pattern.nodes]
        condition = self._question.condition
        for part in condition.parts if condition else ():
            variables = _variables(part)
            if len(variables) > 1:
                self._joint.append(part)
            elif variables:
                place = self._pattern.variables[variables[0]]
                nodes = np.flatnonzero(masks[place])
                masks[place][nodes] = part.mask(self._table({variables[0]: nodes}), self._question.given)
            elif not part.mask(Table(1, lambda column: []), self._question.given)[0]:
                masks[0][:] = False
        return masks

    def _table(self, nodes: Mapping[str, Ints]) -> Table:
        """One row for each node of every variable."""

        def values(column: Column) -> Sequence[Any]:
            variable, _, attribute = column.name.partition(".")
            wanted, which = np.unique(nodes[variable], return_inverse=True)
            known = self.graph.values(attribute, wanted.tolist())
            return [known[place] for place in which.reshape(-1).tolist()]

        return Table(len(next(iter(nodes.values()))), values)

    def _back(self, forward: list[Mask]) -> list[Mask]:
        """Of what was reached going forward, what leads to the end."""
        sets = [forward[-1]]
        for arrow, allowed in zip(reversed(self._arrows), reversed(forward[:-1]), strict=True):
            sets.append(arrow.backward(sets[-1], allowed))
        return sets[::-1]

    # -- findings -----------------------------------------------------------------------------------------------

    def _told_apart(self) -> dict[int, _Classes]:
        """By place: nodes are told apart by the key of findings, and by what conditions on several variables look at."""
        columns = sorted({column for part in self._joint for column in part.columns})
        found: dict[int, _Classes] = {}
        for place in {self._grouped, *(self._pattern.variables[column.partition(".")[0]] for column in columns)}:
            nodes = np.flatnonzero(self._sets[place])
            name = self._pattern.nodes[place].variable
            attributes = [column.partition(".")[2] for column in columns if column.partition(".")[0] == name]
            # Of a map the keys that are asked for are not known here: all of it counts.
            values = [list(map(_hashable, self.graph.values(attribute, nodes.tolist()))) for attribute in attributes]
            keys = self._keys(nodes.tolist()) if place == self._grouped else [""] * len(nodes)
            found[place] = _Classes(nodes, list(zip(keys, *values, strict=True)), len(self.graph))
        return found

    def _by_key(self) -> Mapping[str, list[tuple[int, ...]]]:
        rows = self._joined()
        column = self._classes[self._grouped].first[rows[:, self._places.index(self._grouped)]]
        found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        for key, row in zip(self._keys(column.tolist()), rows.tolist(), strict=True):
            found[key].append(tuple(row))
        return found

    def _keys(self, nodes: list[int]) -> list[str]:
        texts = self.graph.values("ref", nodes)
        if not self._attribute:
            return texts
        return [
            text if value is None else value
            for value, text in zip(self.graph.values(self._attribute, nodes), texts, strict=True)
        ]

    def _joined(self) -> Ints:
        """A row for each choice of classes at ``_places`` that some match makes."""
        first, last = self._places[0], self._places[-1]
        at = np.flatnonzero(self._sets[first])
        rows = np.arange(len(self._classes[first].first)).reshape(-1, 1)
        # The row that each node of the front continues.
        row = self._classes[first].of[at]
        waiting = list(self._joint)
        for place in range(first, last):
            row, at = self._arrows[place].expand(row, at, self._sets[place + 1])
            if len(row) > MOST_ROWS:
                raise LimitError(
                    f"more than {MOST_ROWS:,} rows to join for `where`", help="conditions on one variable cost no join"
                )
            if place + 1 in self._classes:
                classes = self._classes[place + 1]
                chosen, row = _numbered(row * len(classes.first) + classes.of[at])
                rows = np.column_stack((rows[chosen // len(classes.first)], chosen % len(classes.first)))
                kept, waiting = self._tested(rows, waiting)
                number = np.cumsum(kept) - 1
                rows, at, row = rows[kept], at[kept[row]], number[row[kept[row]]]
        return rows

    def _tested(self, rows: Ints, waiting: list[Condition]) -> tuple[Mask, list[Condition]]:
        """(rows that hold to every condition whose classes they have, the conditions left)."""
        nodes = {
            self._pattern.nodes[place].variable: self._classes[place].first[rows[:, index]]
            for index, place in enumerate(self._places[: rows.shape[1]])
        }
        ready = [part for part in waiting if set(_variables(part)) <= set(nodes)]
        kept = np.ones(len(rows), dtype=bool)
        for part in ready:
            kept &= part.mask(self._table(nodes), self._question.given)
        return kept, [part for part in waiting if part not in ready]

    # -- ways ---------------------------------------------------------------------------------------------------

    def ways(self, key: str) -> Iterator[Way]:
        """Each match of a finding: classes at some places, any nodes of them."""
        for row in self.found[key]:
            sets = [mask.copy() for mask in self._sets]
            for place, number in zip(self._places, row, strict=True):
                sets[place] &= self._classes[place].of == number
            for place, arrow in enumerate(self._arrows):
                sets[place + 1] = arrow.narrowed(sets[place], sets[place + 1])
            sets = self._back(sets)
            for first in np.flatnonzero(sets[0]).tolist():
                yield from self._from((first,), (), sets)

    def _from(self, nodes: tuple[int, ...], legs: tuple[Any, ...], sets: list[Mask]) -> Iterator[Way]:
        place = len(legs)
        if place == len(self._arrows):
            yield Way(tuple(self.graph.refs[node] for node in nodes), tuple(leg() for leg in legs))
            return
        for walk in self._arrows[place].ways(nodes[-1], sets[place + 1]):
            leg = partial(self._leg, place, walk)
            yield from self._from((*nodes, walk[-1]), (*legs, leg), sets)

    def _leg(self, place: int, walk: Sequence[int]) -> tuple[Link, ...] | AttackPath:
        arrow = self._arrows[place]
        if isinstance(arrow, AttackArrow):
            return arrow.proof(walk[0], walk[-1])
        edge = self._pattern.edges[place]
        kind = "|".join(KINDS[name].value for name in edge.kinds)
        return tuple(
            self._link(kind, *((head, tail) if edge.backward else (tail, head))) for tail, head in pairwise(walk)
        )

    def _link(self, kind: str, tail: int, head: int) -> Link:
        refs = self.graph.refs[tail], self.graph.refs[head]
        if tail == len(self.graph) - 1:
            source = self.graph.opened_at(head)
        else:
            source = self.graph.source(refs[0]) or self.graph.source(refs[1])
        return Link(tail=MatchGraph.text(refs[0]), kind=kind, head=MatchGraph.text(refs[1]), source=source)


def _variables(part: Condition) -> list[str]:
    return sorted({column.partition(".")[0] for column in part.columns})


def _numbered(values: Ints) -> tuple[Ints, Ints]:
    """(the values once, sorted, the place of each among them)."""
    _, known = unique_pairs(np.zeros_like(values), values, int(values.max(initial=0)) + 1)
    return known, np.searchsorted(known, values)


def _hashable(value: object) -> object:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


class _Classes:
    """Nodes that have the same values: ``of[node]`` is the class, -1 for other nodes; ``first[class]`` one of its nodes."""

    def __init__(self, nodes: Ints, values: Sequence[object], size: int) -> None:
        numbers: dict[object, int] = {}
        first: list[int] = []
        self.of = np.full(size, -1, dtype=np.int64)
        for node, value in zip(nodes.tolist(), values, strict=True):
            number = numbers.setdefault(value, len(first))
            if number == len(first):
                first.append(node)
            self.of[node] = number
        self.first = np.array(first, dtype=np.int64)


__all__ = ["MOST_ROWS", "Match", "MatchQuestion"]
