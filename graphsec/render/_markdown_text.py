"""Text of the input inside Markdown: shown as it is, never read as markup (by any dialect)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from graphsec.model.text import safe

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
    return text if _PLAIN.fullmatch(text) else code(text)


def prose(text: str) -> str:
    """Sentences on one line, `code` in them kept; a word in which markup could hide becomes code."""
    parts = _SPANS.split(" ".join(text.split()))
    return "".join(
        code(part)
        if number % 2
        else " ".join(word if _WORD.fullmatch(word) else code(word) for word in part.split(" "))
        for number, part in enumerate(parts)
    )


def code(text: str) -> str:
    text = safe(text)
    if _CODE_SPAN.fullmatch(text):
        return f"`{text}`"
    return f"<code>{_PUNCTUATION.sub(lambda match: f'&#{ord(match.group())};', text)}</code>"


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Sequence[str]) -> Iterator[str]:
    yield row(list(map(escaped, head)))
    yield row(["---"] * len(head))
    yield from rows


def folded(summary: str, lines: Sequence[str]) -> list[str]:
    """Lines that a reader opens; ``summary`` is markup."""
    return ["<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"]
