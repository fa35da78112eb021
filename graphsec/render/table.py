"""Answers in kubectl's columns: upper-case heads and padding, no boxes; nothing is wrapped or cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer

_GAP = "   "


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], *, headers: bool = True) -> str:
    """One line per row. Empty cells read `<none>` as in kubectl, so that each line has the same number of columns."""
    lines = [head, *rows] if headers else list(rows)
    if not lines:
        return ""
    # Work by column, and one template for all rows, keep 100,000 of them within half a second.
    cells = [_cells(column) for column in zip(*lines, strict=True)]
    widths = [max(map(len, column)) for column in cells[:-1]]
    template = _GAP.join([*(f"%-{width}s" for width in widths), "%s"])
    return "".join([(template % row).rstrip(" ") + "\n" for row in zip(*cells, strict=True)])


def _cells(column: Sequence[str]) -> Sequence[str]:
    # Every unseen character is also unprintable to Python, whose test is far quicker than a search.
    if all(column) and "".join(column).isprintable():
        return column
    return [safe(text) or "<none>" for text in column]


def _table(answer: Answer[Any], options: Options, *, wide: bool) -> str:
    return "\n".join(
        columns(section.columns, section.rows(options.limit), headers=options.headers)
        for section in answer.sections(wide=wide)
        if section.items
    )


RENDERER = (
    Renderer(
        name="table",
        suffix=".txt",
        help="columns for the terminal",
        render=lambda answer, options: _table(answer, options, wide=False),
    ),
    Renderer(
        name="wide",
        suffix=".txt",
        help="more columns for the terminal",
        render=lambda answer, options: _table(answer, options, wide=True),
    ),
)
