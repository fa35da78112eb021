"""Text of the input made safe to show: nothing invisible, nothing that moves a cursor or reorders a line."""

from __future__ import annotations

import re

# Ranges are spelled out rather than taken from Unicode categories, which differ between Python versions.
_UNSEEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: line breaks, ESC and the 8-bit control sequences
    "\u00ad\u061c\u180e\u200b-\u200f\u2060-\u2064\ufeff"  # no width, or a direction mark
    "\u2028\u2029\u202a-\u202e\u2066-\u206f"  # line separators, bidirectional embedding, override and isolate
    "\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"  # lone surrogates and what XML 1.0 cannot hold
    "\U000e0000-\U000e007f"  # tag characters
    "]"
)


def safe(text: str) -> str:
    r"""``text`` with each unseen character as a visible escape: ``\x1b``, ``\u202e``, ``\U000e0041``."""
    return _UNSEEN.sub(_escape, text)


def counted(number: int, noun: str) -> str:
    """`1 rule`, `2,000 rules`, `3 policies`, `2 Ingresses`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {_plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
