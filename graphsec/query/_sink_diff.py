"""Which subjects newly reach a sink, or no longer do, and by which step: the escalation part of a comparison (rbac.md §7.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from graphsec.compile import World
from graphsec.model.ref import Ref, Source
from graphsec.model.text import counted
from graphsec.query._access_diff import AccessDiff, Holdings, cause_of
from graphsec.query._answer import Deferred
from graphsec.query._attack_ends import SINKS, goal
from graphsec.query._attack_reach import Reached, reaching
from graphsec.query._attack_starts import all_starts, is_builtin
from graphsec.query._finding import first_place
from graphsec.query.paths import STRUCTURE, AttackPath, Search, Step

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

GAINED, LOST, CHANGED = "gained", "lost", "changed"
COLUMNS = ("CHANGE", "SUBJECT", "REACHES", "THROUGH", "HOPS", "BECAUSE", "WHERE")
WIDE_COLUMNS = (*COLUMNS, "VERDICT", "BY")
#: The sink that implies the others.
_HIGHEST = "cluster-admin"


@dataclass(frozen=True, kw_only=True)
class SinkChange:
    """Subjects that reach ``sink`` in one world and not in the other, all by the same step. ``change`` is "changed" where a path
    that rested on assumptions is proved now. ``before`` and ``after`` count all subjects that reach the sink but the built-in."""

    change: str
    sink: str
    #: Canonical refs, the one with the shortest path first.
    subjects: tuple[str, ...]
    before: int
    after: int
    #: Of the first subject, in the world that has it.
    path: AttackPath = field(repr=False)
    #: Where in the path the step stands that only one world has.
    at: int
    #: What that step rests on in this world alone: text and line, made when first looked at.
    causes: Sequence[tuple[str, Source | None]] = field(repr=False, compare=False, default=())

    kind = "path"

    @property
    def step(self) -> Step:
        return self.path.steps[self.at]

    @property
    def through(self) -> str:
        """Who takes the step that only one world has."""
        return str(self.step.before)

    @property
    def because(self) -> tuple[Any, ...]:
        """What makes that step, then the rest of the path."""
        return (*self.step.because, *self.path.because)

    @property
    def source(self) -> Source | None:
        return next((place for _, place in self.causes if place is not None), None) or first_place(self.because)

    @property
    def cause(self) -> str:
        return "; ".join(dict.fromkeys(text for text, _ in self.causes)) or self.step.rule

    @property
    def who(self) -> str:
        """`ServiceAccount/ci/deployer`, or `205 subjects`."""
        return self.subjects[0] if len(self.subjects) == 1 else counted(len(self.subjects), "subject")

    @property
    def what(self) -> str:
        """`cluster-admin (212, was 7)`."""
        proved = ", proved now" if self.change == CHANGED else ""
        return f"{self.sink} ({self.after:,}, was {self.before:,}{proved})"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (
            self.change,
            self.who,
            self.what,
            self.through,
            str(self.path.hops),
            self.cause,
            str(self.source or "-"),
        )
        return (*cells, self.path.verdict, " → ".join(self.path.rules)) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        source = self.source
        fields: dict[str, Any] = {
            "kind": self.kind,
            "change": self.change,
            "sink": self.sink,
            "subjects": list(self.subjects),
            "before": self.before,
            "after": self.after,
            "through": self.through,
            "cause": self.cause,
            "step": self.at,
            "source": {"file": source.file, "line": source.line} if source else None,
            "path": self.path.to_dict(),
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from dataclasses import replace

        from graphsec.diagram import Line

        vertices, arrows = self.path.drawing()
        return vertices, [replace(arrow, style=Line.LOST) for arrow in arrows] if self.change == LOST else arrows

    def refs(self) -> tuple[str, ...]:
        return tuple(f"{kind.lower()}/{rest}" for kind, _, rest in (text.partition("/") for text in self.subjects))


class _Side:
    """One world's subjects at the sinks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.search = Search(world)
        self._starts, _ = all_starts(world, self.search.graph, include_builtin=True)
        self._new_here: dict[int, bool] = {}

    def reached(self, sink: str) -> dict[str, Reached]:
        end = goal(sink, self.world, self.search.graph)
        return {found.start.text: found for found in reaching(self.search.graph, self._starts, end)}

    def path(self, found: Reached, sink: str) -> AttackPath:
        return self.search.path(found.start, goal(sink, self.world, self.search.graph), found.proof)

    @cached_property
    def _subjects(self) -> dict[str, Ref]:
        graph = self.search.graph
        accounts = graph.drawing.inventory.accounts
        return {str(ref): ref for ref in (*self.world.access.subjects, *accounts)}

    def is_builtin(self, subject: str) -> bool:
        ref = self._subjects.get(subject)
        return ref is not None and is_builtin(self.world, ref)

    def differing_step(self, found: Reached, other: _Side) -> tuple[int, int]:
        """(clause, place) of the last step of the proof that the other world does not have; (-1, 0) if it has all."""
        clauses = found.proof.clauses
        for place in range(len(clauses) - 1, -1, -1):
            clause = clauses[place]
            if self.search.graph.label(clause).rule != STRUCTURE and self._is_new(clause, other):
                return clause, place
        return -1, 0

    def _is_new(self, clause: int, other: _Side) -> bool:
        known = self._new_here.get(clause)
        if known is None:
            known = self._new_here[clause] = not other.search.has_clause_of(self.search, clause)
        return known


@dataclass(frozen=True)
class SinkDiff:
    """Raises InputError as ``paths``. ``namespace`` keeps subjects of one namespace, and those that are in none."""

    access: AccessDiff
    namespace: str = ""

    @cached_property
    def changes(self) -> tuple[SinkChange, ...]:
        """By sink, gained first, then by size."""
        if _alike(self.access.old, self.access.new):
            return ()
        holdings = {GAINED: self.access.before, CHANGED: self.access.before, LOST: self.access.after}
        before, after = _Side(self.access.old), _Side(self.access.new)
        found: list[SinkChange] = []
        told: dict[str, dict[str, bool]] = {GAINED: {}, CHANGED: {}, LOST: {}}
        for sink in SINKS:
            was, now = before.reached(sink), after.reached(sink)
            counts = (self._count(was, before), self._count(now, after))
            gained = [now[text] for text in now.keys() - was.keys()]
            proved = [now[text] for text in now.keys() & was.keys() if now[text].proved and not was[text].proved]
            lost = [was[text] for text in was.keys() - now.keys()]
            for change, part, has, lacks in (
                (GAINED, gained, after, before),
                (CHANGED, proved, after, before),
                (LOST, lost, before, after),
            ):
                # Whoever is cluster-admin has every node and Secret as well.
                known = told[change]
                kept = [
                    one for one in part if one.start.text not in known or (one.proved and not known[one.start.text])
                ]
                if sink == _HIGHEST:
                    known.update((one.start.text, one.proved) for one in part)
                found += self._folded(change, sink, kept, has, lacks, counts, holdings[change])
        return tuple(found)

    @staticmethod
    def _count(reached: Iterable[str], side: _Side) -> int:
        return sum(not side.is_builtin(text) for text in reached)

    def _folded(
        self,
        change: str,
        sink: str,
        part: list[Reached],
        has: _Side,
        lacks: _Side,
        counts: tuple[int, int],
        holdings: Holdings,
    ) -> Iterator[SinkChange]:
        """One change for each step that makes a difference; the built-in are nobody's gain."""
        by_step: dict[int, list[tuple[int, str, Reached]]] = {}
        for found in part:
            if self._is_asked(found.start.text) and not has.is_builtin(found.start.text):
                clause, _ = has.differing_step(found, lacks)
                by_step.setdefault(clause, []).append((len(found.proof.clauses), found.start.text, found))
        changes = []
        for members in by_step.values():
            members.sort(key=lambda member: member[:2])
            first = members[0][2]
            _, at = has.differing_step(first, lacks)
            path = has.path(first, sink)
            changes.append(
                SinkChange(
                    change=change,
                    sink=sink,
                    subjects=tuple(text for _, text, _ in members),
                    before=counts[0],
                    after=counts[1],
                    path=path,
                    at=at,
                    causes=Deferred(-1, partial(_causes, path.steps[at], holdings, gone=change == LOST)),
                )
            )
        yield from sorted(changes, key=lambda item: (-len(item.subjects), item.subjects))

    def _is_asked(self, text: str) -> bool:
        _, _, rest = text.partition("/")
        namespace, slash, _ = rest.partition("/")
        return not self.namespace or not text.startswith("ServiceAccount/") or not slash or namespace == self.namespace


def _causes(step: Step, lacks: Holdings, *, gone: bool) -> tuple[tuple[str, Source | None], ...]:
    """For each grant of a step what only one world has of it; what objects say, as it is."""
    found: dict[str, Source | None] = {}
    for ground in step.because:
        if ground.grant is not None and ground.grant.binding is not None and ground.grant.rule is not None:
            subject = ground.grant.subject or Ref("", "")
            text, place = cause_of(ground.grant, subject, lacks, gone=gone)
            found.setdefault(f"{text}: {ground.request}" if ground.request else text, place)
        else:
            found.setdefault(str(ground), ground.source)
    return tuple(found.items())


def _alike(old: World, new: World) -> bool:
    """Whether both worlds say the same, wherever it stands."""
    before, after = ({kind: found for kind, found in world.cluster.objects.items() if found} for world in (old, new))
    return (
        (old.entries, old.minor, old.memberships) == (new.entries, new.minor, new.memberships)
        and before.keys() == after.keys()
        and all(
            [(loaded.ref, loaded.body) for loaded in found] == [(loaded.ref, loaded.body) for loaded in after[kind]]
            for kind, found in before.items()
        )
    )
