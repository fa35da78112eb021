"""Pictures of a part of the graph that a reader takes in at a glance: folded, capped, with a legend, byte for byte equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from graphsec.diagram.dot import write_dot, write_dot_text
from graphsec.diagram.fold import Fold, Sheet
from graphsec.diagram.fold import fold as _fold
from graphsec.diagram.layout import RenderError, run_dot, run_dot_svg
from graphsec.diagram.mermaid import MAX_EDGES, MAX_TEXT, write_mermaid, write_mermaid_text
from graphsec.diagram.parts import STYLES, Arrow, DrawnKind, Isolation, Line, Share, Style, Vertex
from graphsec.diagram.words import shorten, too_large, what_was_done

__all__ = [
    "STYLES", "Arrow", "Diagram", "DrawnKind", "Fold", "Isolation", "Line", "RenderError", "Share", "Style", "Vertex", "draw",
]  # fmt: skip

#: More nodes than this on one page are not read any more.
MAX_NODES = 150

#: Titles and notes are sentences of one line.
_LINE = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """A folded picture in every format; above the cap each format shows :attr:`note` instead."""

    title: str
    sheet: Sheet
    max_nodes: int
    notes: tuple[str, ...] = ()
    #: Laid out from top to bottom: long chains with much text at their arrows.
    down: bool = False
    #: How to see a part of what is too large, "" for what helps with most questions.
    advice: str = ""

    @property
    def nodes(self) -> int:
        """Number of nodes after folding."""
        return len(self.sheet.boxes)

    @property
    def overflow(self) -> bool:
        """True if no fold brought the picture below the cap."""
        return self.nodes > self.max_nodes

    @property
    def note(self) -> str:
        """What was folded, hidden or cut; on overflow what there is, and how to look at a part of it."""
        return "\n".join(self._notes)

    def dot(self) -> str:
        if self.overflow:
            return write_dot_text(self._notes, title=self._title)
        return write_dot(self.sheet, title=self._title, notes=self._notes, down=self.down)

    def svg(self) -> str:
        return run_dot_svg(self.dot())

    def png(self) -> bytes:
        return run_dot(self.dot(), "png")

    def mermaid(self) -> str:
        if self.overflow:
            return write_mermaid_text(self._notes, title=self._title)
        text = write_mermaid(self.sheet, title=self._title, notes=self._notes, down=self.down)
        if len(self.sheet.links) < MAX_EDGES and len(text) < MAX_TEXT:
            return text
        limit = f"the {MAX_EDGES} arrows and {MAX_TEXT:,} characters that Mermaid draws"
        return write_mermaid_text(too_large(self.sheet, limit=limit, advice=self.advice), title=self._title)

    def _repr_svg_(self) -> str | None:
        """For notebooks, which fall back to the plain text without ``dot``."""
        try:
            return self.svg()
        except RenderError as error:
            if error.missing:
                return None
            raise

    @property
    def _title(self) -> str:
        return shorten(self.title, _LINE)

    @property
    def _notes(self) -> list[str]:
        if self.overflow:
            limit = f"the {self.max_nodes:,} that a picture may have (--max-nodes)"
            own = too_large(self.sheet, limit=limit, advice=self.advice)
        else:
            own = what_was_done(self.sheet)
        # Only the caller's notes know what never came here.
        if not own and not self.notes:
            own = ["nothing folded, hidden or cut"]
        return [*own, *(shorten(note, _LINE) for note in self.notes)]


def draw(
    vertices: Iterable[Vertex],
    arrows: Iterable[Arrow],
    *,
    title: str,
    fold: Fold = "namespace",
    max_nodes: int = MAX_NODES,
    max_arrows: int | None = None,
    comfort: int | None = None,
    notes: Sequence[str] = (),
    framed: bool = True,
    down: bool = False,
) -> Diagram:
    """Fold ``vertices`` and ``arrows`` (ends are keys of vertices) and lay them out from left to right, or ``down``.

    ``max_arrows`` folds harder above so many arrows, unless nothing is to be folded; above ``comfort``
    nodes, equal ones are folded across namespaces. Without ``framed`` each node names its namespace itself. ``notes`` are sentences of the caller on what the picture leaves out. Raises UsageError for an unknown fold.
    """
    sheet = _fold(vertices, arrows, by=fold, max_nodes=max_nodes, max_arrows=max_arrows, comfort=comfort)
    if not framed:
        sheet = msgspec.structs.replace(sheet, framed=False)
    return Diagram(title=title, sheet=sheet, max_nodes=max_nodes, notes=tuple(notes), down=down)
