"""The saved queries as an answer: what there is, and how much each finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.errors import InputError
from graphsec.query._answer import Answer, Evidence
from graphsec.query._saved import SavedQuery, run
from graphsec.query._severities import SEVERITIES

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueItem:
    """One saved query; ``found`` is None where it was not run, or where the input does not answer it."""

    query: SavedQuery
    found: int | None = None
    #: Why the input does not answer it.
    refusal: str = ""

    def row(self, *, wide: bool) -> tuple[str, ...]:
        query = self.query
        count = () if self.found is None else (f"{self.found:,}",)
        count = ("-",) if self.refusal else count
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
        return fields if self.found is None and not self.refusal else fields | {"found": self.found}

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
        """Worst severity first; queries that the input does not answer are named in warnings.

        Raises InputError where it answers none of them.
        """
        results = [(query, _outcome(query, world)) for query in self.queries]
        answers = [result for _, result in results if isinstance(result, Answer)]
        refusals = [(query, result) for query, result in results if isinstance(result, InputError)]
        if refusals and not answers:
            raise refusals[0][1]
        items = [
            CatalogueItem(query=query, found=len(result))
            if isinstance(result, Answer)
            else CatalogueItem(query=query, refusal=result.message)
            for query, result in results
        ]
        return Answer(
            question=self,
            items=tuple(sorted(items, key=_worst_first)),
            complete=not refusals and all(answer.complete for answer in answers),
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            warnings=(
                *dict.fromkeys(warning for answer in answers for warning in answer.warnings),
                *_refused(refusals),
            ),
        )


def _outcome(query: SavedQuery, world: World) -> Answer[Any] | InputError:
    try:
        return run(query, world)
    except InputError as error:
        return error


def _refused(refusals: Sequence[tuple[SavedQuery, InputError]]) -> Iterator[str]:
    """A line for each reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for query, error in refusals:
        by_reason[error.message.splitlines()[0]].append(query.id)
    for reason, ids in by_reason.items():
        yield f"not answered: {', '.join(ids)}: {reason}"


def _worst_first(item: CatalogueItem) -> tuple[int, str]:
    severities: Sequence[str] = SEVERITIES
    return (-severities.index(item.query.severity), item.query.id)
