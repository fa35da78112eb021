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
#: A word of running text: apostrophes, dashes and what ends a sentence have no meaning to Markdown there.
_WORD = re.compile(
    r"(?:[(\"']*[A-Za-z0-9\u00a1-\u1fff\u2010-\u2015](?:[A-Za-z0-9'’/%,;.()\u00a1-\u1fff-](?!www))*[\"').,:;?!]*)?"
)
_SPANS = re.compile(r"`([^`]+)`")
_PUNCTUATION = re.compile(r"[^A-Za-z0-9 /,\u0080-\U0010ffff-]")


def escaped(text: str) -> str:
    """``text`` on one line, as it is where that is harmless. Code also keeps `@name` from calling somebody."""
    return text if _PLAIN.fullmatch(text) else _code(text)


def prose(text: str) -> str:
    """Sentences on one line, `code` in them kept; a word in which markup could hide becomes code."""
    parts = _SPANS.split(" ".join(text.split()))
    return "".join(
        _code(part)
        if number % 2
        else " ".join(word if _WORD.fullmatch(word) else _code(word) for word in part.split(" "))
        for number, part in enumerate(parts)
    )


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
    head = answer.question.columns(wide=False)
    folded = len(answer) > _OPEN_ROWS
    if folded:
        yield from ("<details>", f"<summary>{len(answer):,} rows</summary>", "")
    yield _row(list(map(escaped, head)))
    yield _row(["---"] * len(head))
    for item in answer:
        yield _row(list(map(escaped, item.row(wide=False))))
    if folded:
        yield from ("", "</details>")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


RENDERER = Renderer(name="markdown", suffix=".md", help="a table for pull requests", render=_markdown)
