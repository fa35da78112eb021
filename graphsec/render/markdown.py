"""Answers as Markdown for pull requests: the question, a table, notes. Nothing in it renders but our own markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer

#: Longer tables are folded away, so that they do not bury the discussion around them.
_OPEN_ROWS = 25

#: Text in which no Markdown dialect sees markup; punctuation only where it ends a word.
_PLAIN = re.compile(r"-|(?:[A-Za-z0-9](?:[A-Za-z0-9 /,()-]|[:;.](?= |$))*)?")
#: In a code span nothing has a meaning but the backtick, and in a table the pipe; the rest keeps raw HTML out of the text.
_CODE_SPAN = re.compile(r"[^ `|\\<>&\[\]][^`|\\<>&\[\]]*")
_PUNCTUATION = re.compile(r"[^A-Za-z0-9 /,\u0080-\U0010ffff-]")


def escaped(text: str) -> str:
    """``text`` on one line, as it is where that is harmless. Code also keeps `@name` from calling somebody."""
    return text if _PLAIN.fullmatch(text) else _code(text)


def _code(text: str) -> str:
    text = safe(text)
    if _CODE_SPAN.fullmatch(text):
        return f"`{text}`"
    return f"<code>{_PUNCTUATION.sub(lambda match: f'&#{ord(match.group())};', text)}</code>"


def _markdown(answer: Answer[Any], _: Options) -> str:
    blocks = [
        [f"### {_code(answer.question.command())}"],
        list(_table(answer)) if answer else ["Nothing found."],
        [f"- **Warning:** {escaped(warning)}" for warning in answer.warnings]
        + [f"- {escaped(note)}" for note in answer.notes],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _table(answer: Answer[Any]) -> Iterator[str]:
    table = answer.table(wide=False)
    folded = len(table.items) > _OPEN_ROWS
    if folded:
        yield from ("<details>", f"<summary>{len(table.items):,} rows</summary>", "")
    yield _row(list(map(escaped, table.columns)))
    yield _row(["---"] * len(table.columns))
    for row in table.rows():
        yield _row(list(map(escaped, row)))
    if folded:
        yield from ("", "</details>")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


RENDERER = Renderer(name="markdown", suffix=".md", help="a table for pull requests", render=_markdown)
