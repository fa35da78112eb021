"""Text to tokens, for conditions and patterns alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

#: From an offset of a text to where that stands: `queries/a.yaml:11:8`.
Place = Callable[[int], str]

#: Characters of a condition or pattern.
MAX_LENGTH = 4_000
#: Integers of CEL have 64 bits.
_INT_LIMIT = 2**63

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<int>\d+)
    | (?P<raw>[rR](?:"[^"\n]*"|'[^'\n]*'))
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<op>&&|\|\||==|!=|<=|>=|<-|->|\.\.|[<>!().,\[\]:|*{}?+\-/%])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?"}
_LAST_CHARACTER = 0x10FFFF


class MisreadError(Exception):
    """What is wrong with a text, and at which offset. Whoever knows the file makes a UsageError of it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class Token(NamedTuple):
    """``kind`` is name, int, string, op or end; ``value`` is what a literal means."""

    kind: str
    text: str
    offset: int
    value: str | int = ""

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else f"`{self.text}`"


def tokens(text: str) -> list[Token]:
    """All tokens and an end. Raises MisreadError."""
    if len(text) > MAX_LENGTH:
        raise MisreadError(f"longer than {MAX_LENGTH:,} characters", MAX_LENGTH)
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            unclosed = text[at] in "\"'"
            raise MisreadError("a string without its end" if unclosed else f"unexpected {text[at]!r}", at)
        if match.lastgroup != "space":
            found.append(_token(str(match.lastgroup), match.group(), at))
        at = match.end()
    found.append(Token("end", "", len(text.rstrip())))
    return found


def _token(kind: str, text: str, offset: int) -> Token:
    if kind == "int":
        # Not more digits are converted than a number of 64 bits has.
        if len(text.lstrip("0")) > len(str(_INT_LIMIT)) or int(text) >= _INT_LIMIT:
            raise MisreadError("a number of more than 64 bits", offset)
        return Token("int", text, offset, int(text))
    if kind == "raw":
        return Token("string", text, offset, text[2:-1])
    if kind == "string":
        return Token("string", text, offset, _unescaped(text, offset))
    return Token(kind, text, offset)


def _unescaped(text: str, offset: int) -> str:
    def plain(match: re.Match[str]) -> str:
        digits = match[1] or match[2] or match[3]
        at = offset + 1 + match.start()
        if digits:
            code = int(digits, 16)
            if code > _LAST_CHARACTER or 0xD800 <= code <= 0xDFFF:
                raise MisreadError(f"`{match.group()}` is no character", at)
            return chr(code)
        if match[4] not in _PLAIN_ESCAPES:
            raise MisreadError(f"unknown escape `{match.group()}` (a raw string takes it as it is: r'...')", at)
        return _PLAIN_ESCAPES[match[4]]

    return _ESCAPE.sub(plain, text[1:-1])
