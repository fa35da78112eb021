"""How to write a string so that every YAML loader reads it back."""

from __future__ import annotations

import json
import re
from typing import Final

#: Words that some loader reads as null, a bool or a number, in whatever case it accepts them.
_WORDS: Final = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"])
_SAFE_PLAIN: Final = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./@+:-]*(?<!:)(?: [A-Za-z0-9_./@+-][A-Za-z0-9_./@+:-]*(?<!:))*", re.ASCII
)
#: What JSON leaves bare in a string and YAML forbids, takes for a line break, or cannot carry.
_UNPRINTABLE: Final = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def quote_if_needed(text: str) -> str:
    """``text`` as go-yaml v2, YAML 1.2 loaders and PyYAML all read it back: bare where that is safe, else in double quotes.

    Whatever starts like a number is quoted: the loaders agree on few of those (`0o7`, `1_000`, `12:30`, `2026-01-01`).
    A lone surrogate is no character and becomes U+FFFD.
    """
    if _SAFE_PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _UNPRINTABLE.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return "\\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"
