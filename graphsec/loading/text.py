"""From bytes to text and to the parser that fits: byte order marks, UTF-16, JSON or YAML."""

from __future__ import annotations

import codecs
import re

from graphsec.loading.documents import Problem
from graphsec.loading.json_cursor import Buffer

#: JSON objects begin with a quoted key; kyaml and flow YAML do not quote theirs.
_JSON_START = re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{"\]])')
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def is_json(name: str, data: Buffer) -> bool:
    """Whether to read as JSON: by the first bytes, else by the name; never with a byte order mark in front."""
    head = bytes(data[:64])
    if head.startswith(tuple(mark for mark, _ in _MARKS)):
        return False
    return bool(_JSON_START.match(head)) or (name.lower().endswith(".json") and not head.lstrip().startswith(b"-"))


def decode_text(data: Buffer) -> tuple[str | None, list[Problem]]:
    """The text and what there is to say about its encoding; None if it cannot be read (GS-IN-030)."""
    raw = bytes(data)
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            problems = (
                []
                if encoding == "utf-8-sig"
                else [Problem("GS-IN-030", f"{encoding} by its byte order mark; transcoded", 1)]
            )
            try:
                return raw.decode(encoding), problems
            except UnicodeDecodeError:
                return None, [Problem("GS-IN-030", f"not valid {encoding}", 1)]
    try:
        return raw.decode(), []
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return None, [Problem("GS-IN-030", "not UTF-8, and no byte order mark tells what it is", line)]
