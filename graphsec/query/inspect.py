"""What was loaded, what it lacks, and which questions it can answer (hardening.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.model.coverage import RBAC_KINDS, KindCoverage, State
from graphsec.model.diagnostic import Severity
from graphsec.query._answer import Answer
from graphsec.query._needs import COLLECT, NEEDS, questions

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

#: Kinds listed even if the input holds none, since an answer depends on them.
_ALWAYS = (
    *RBAC_KINDS,
    "ServiceAccount",
    "Namespace",
    "Pod",
    "Node",
    "Secret",
    "NetworkPolicy",
    "CustomResourceDefinition",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectItem:
    """Coverage of one kind and the questions that need it."""

    entry: KindCoverage
    needed_for: tuple[str, ...]

    def row(self, *, wide: bool) -> tuple[str, ...]:
        entry = self.entry
        cells = (entry.kind, f"{entry.objects:,}", entry.state.value, " ".join(self.needed_for))
        reason = "; ".join(entry.reasons)
        return (*cells, f"{entry.rejected:,}", reason, ", ".join(entry.sources[:3])) if wide else (*cells, reason)

    def to_dict(self) -> dict[str, Any]:
        return {**self.entry.to_dict(), "neededFor": list(self.needed_for)}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (self.entry.kind.lower(),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """The coverage table; never refused."""

    ask: ClassVar[str] = "inspect"

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("KIND", "OBJECTS", "STATE", "NEEDED FOR")
        return (*base, "REJECTED", "REASON", "SOURCES") if wide else (*base, "REASON")

    def command(self) -> str:
        return "inspect"

    def to_dict(self) -> dict[str, Any]:
        return {}

    def answer(self, world: World) -> Answer[InspectItem]:
        coverage = world.coverage
        kinds = sorted({*(entry.kind for entry in coverage), *_ALWAYS}, key=lambda kind: (kind not in _ALWAYS, kind))
        items = [InspectItem(entry=coverage[kind], needed_for=_needed_for(kind)) for kind in kinds]
        return Answer(
            question=self,
            items=tuple(items),
            complete=not coverage.lacking(RBAC_KINDS),
            coverage=coverage,
            diagnostics=world.diagnostics,
            notes=tuple(_notes(world)),
        )


def _needed_for(kind: str) -> tuple[str, ...]:
    return tuple(ask for ask, needs in NEEDS.items() if kind in (*needs.required, *needs.warned))


def _notes(world: World) -> list[str]:
    notes = [f"input: {form.partition(' ')[2]}" for form in world.coverage.forms]
    for ask, can, why in questions(world.coverage):
        notes.append(f"{ask}: {can}{f' ({why})' if why else ''}")
    lacking = [kind for kind in _ALWAYS if world.coverage[kind].state in (State.ABSENT, State.PARTIAL)]
    if lacking:
        notes.append(f"a complete input: {COLLECT}")
    counts = dict.fromkeys(Severity, 0)
    for diagnostic in world.diagnostics:
        counts[diagnostic.severity] += 1
    notes.append(
        f"diagnostics: {counts[Severity.ERROR]} errors, {counts[Severity.WARNING]} warnings, {counts[Severity.INFO]} notes (--diagnostics)"
    )
    return notes
