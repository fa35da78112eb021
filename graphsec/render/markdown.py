"""Answers as Markdown for pull requests: the question, a table, notes. Nothing in it renders but our own markup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphsec.query._answer import Answer
from graphsec.render._findings import lists_findings, report
from graphsec.render._findings_markdown import finding_blocks
from graphsec.render._markdown_text import code, escaped, row
from graphsec.render._renderer import Options, Renderer

#: Longer tables are folded away, so that they do not bury the discussion around them.
_OPEN_ROWS = 25


def _markdown(answer: Answer[Any], _: Options) -> str:
    blocks = [
        [f"### {code(answer.question.command())}"],
        *_items(answer),
        [f"- **Warning:** {escaped(warning)}" for warning in answer.warnings]
        + [f"- {escaped(note)}" for note in answer.notes],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _items(answer: Answer[Any]) -> Iterator[list[str]]:
    if lists_findings(answer):
        yield from finding_blocks(report(answer, "markdown"))
    else:
        yield list(_table(answer)) if answer else ["Nothing found."]


def _table(answer: Answer[Any]) -> Iterator[str]:
    table = answer.table(wide=False)
    folded = len(table.items) > _OPEN_ROWS
    if folded:
        yield from ("<details>", f"<summary>{len(table.items):,} rows</summary>", "")
    yield row(list(map(escaped, table.columns)))
    yield row(["---"] * len(table.columns))
    for cells in table.rows():
        yield row(list(map(escaped, cells)))
    if folded:
        yield from ("", "</details>")


__all__ = ["escaped"]

RENDERER = Renderer(name="markdown", suffix=".md", help="a table for pull requests", render=_markdown)
