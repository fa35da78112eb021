"""The saved queries as an answer: what there is, and how much each finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.query._answer import Answer, Evidence
from graphsec.query._saved import SEVERITIES, SavedQuery, run

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueItem:
    """One saved query; ``found`` is None where it was not run."""

    query: SavedQuery
    found: int | None = None

    def row(self, *, wide: bool) -> tuple[str, ...]:
        query = self.query
        count = () if self.found is None else (f"{self.found:,}",)
        cells = (query.id, query.severity, *count, query.title)
        return (*cells, ",".join(query.tags), str(query.source)) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        query = self.query
        fields: dict[str, Any] = {
            "id": query.id,
            "title": query.title,
            "severity": query.severity,
            "description": query.description,
            "remediation": query.remediation,
            "references": list(query.references),
            "tags": list(query.tags),
        }
        return fields if self.found is None else fields | {"found": self.found}

    @property
    def because(self) -> tuple[Evidence, ...]:
        return ()

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (self.query.id,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """``answer(world)`` runs every query, ``listing()`` only names them."""

    ask: ClassVar[str] = "queries"
    queries: tuple[SavedQuery, ...]
    counted: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("ID", "SEVERITY", "FOUND", "TITLE") if self.counted else ("ID", "SEVERITY", "TITLE")
        return (*base, "TAGS", "FILE") if wide else base

    def command(self) -> str:
        return "query run" if self.counted else "query list"

    def to_dict(self) -> dict[str, Any]:
        return {"queries": [query.id for query in self.queries]}

    def listing(self) -> Answer[CatalogueItem]:
        return Answer(question=self, items=tuple(CatalogueItem(query=query) for query in self.queries))

    def answer(self, world: World) -> Answer[CatalogueItem]:
        """Worst severity first. Raises InputError without any RBAC object."""
        answers = [(query, run(query, world)) for query in self.queries]
        items = [CatalogueItem(query=query, found=len(answer)) for query, answer in answers]
        return Answer(
            question=self,
            items=tuple(sorted(items, key=_worst_first)),
            complete=all(answer.complete for _, answer in answers),
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            warnings=tuple(dict.fromkeys(warning for _, answer in answers for warning in answer.warnings)),
        )


def _worst_first(item: CatalogueItem) -> tuple[int, str]:
    severities: Sequence[str] = SEVERITIES
    return (-severities.index(item.query.severity), item.query.id)
