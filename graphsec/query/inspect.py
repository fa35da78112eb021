"""What was loaded, what it lacks, and which questions it can answer (hardening.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.model.coverage import RBAC_KINDS, Coverage, InputForm, KindCoverage, State
from graphsec.model.discovery import builtin_kind_groups
from graphsec.query._answer import Answer
from graphsec.query._needs import NEEDS, RESOURCES, collect, questions

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

#: Kinds listed even if the input holds none, since an answer depends on them.
_ALWAYS = (
    *RBAC_KINDS,
    "ServiceAccount",
    "Namespace",
    "Pod",
    "Node",
    "NetworkPolicy",
    "Secret",
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
        shown = {entry.kind for entry in coverage if entry.objects or entry.state is not State.ABSENT}
        kinds = sorted({*shown, *_ALWAYS}, key=_needed_first)
        items = [InspectItem(entry=coverage[kind], needed_for=_needed_for(kind)) for kind in kinds]
        return Answer(
            question=self,
            items=tuple(items),
            complete=not coverage.lacking(RBAC_KINDS),
            coverage=coverage,
            diagnostics=world.diagnostics,
            notes=tuple(_notes(coverage)),
        )


def _needed_first(kind: str) -> tuple[int, str]:
    """What questions need, then what is always shown, then the other built-in kinds, unknown ones last."""
    if kind in _ALWAYS:
        return _ALWAYS.index(kind) - len(_ALWAYS), kind
    return int(kind not in builtin_kind_groups()), kind


def _needed_for(kind: str) -> tuple[str, ...]:
    return tuple(ask for ask, needs in NEEDS.items() if kind in (*needs.required, *needs.warned))


def _notes(coverage: Coverage) -> list[str]:
    return [
        *(_described(given) for given in coverage.inputs),
        *_answerable(coverage),
        *_completion(coverage),
    ]


def _described(given: InputForm) -> str:
    stored = f", read from the snapshot {given.snapshot}" if given.snapshot else ""
    return f"input: {given.path} is a {given.title}{stored}"


def _answerable(coverage: Coverage) -> list[str]:
    """`in part: who-can, can-i (Role absent)`: questions in the same position share a line."""
    asks: dict[tuple[str, str], list[str]] = {}
    for ask, can, why in questions(coverage):
        asks.setdefault((can, why), []).append(ask)
    words = {"yes": "can be answered", "in part": "in part", "no": "cannot be answered"}
    return [f"{words[can]}: {', '.join(found)}{f' ({why})' if why else ''}" for (can, why), found in asks.items()]


def _completion(coverage: Coverage) -> list[str]:
    missing = [kind for kind in coverage.lacking(_ALWAYS) if kind in RESOURCES]
    return [f"to complete it: {collect(missing, 'rest.json')}, then add `-f rest.json`"] if missing else []
