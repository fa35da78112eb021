"""Lines of the rules inside an object: what reports of roles and policies point at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from graphsec.loading.documents import Lines


def rule_lines(paths: Sequence[str], decoded: Any, body: Any, first: int) -> tuple[int, ...]:
    """The line of each item of the lists at ``paths``, list after list; () where no line can be told.

    ``body`` is the mapping that a reader of YAML built, or the JSON from line ``first`` on from which ``decoded`` came,
    whose lists hold ``msgspec.Raw``.
    """
    if isinstance(body, bytes):
        return tuple(_in_text(paths, decoded, body, first)) if b"\n" in body else ()
    return tuple(line for path in paths for line in _in_mapping(path, body))


def _in_mapping(path: str, body: Any) -> Sequence[int]:
    for key in path.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body.lines if isinstance(body, Lines) else ()


def _in_text(paths: Sequence[str], decoded: Any, body: bytes, first: int) -> Iterator[int]:
    for path in paths:
        items = decoded
        for key in path.split("."):
            items = getattr(items, key, None)
        if not items:
            continue
        offset = _list_start(path.rpartition(".")[2].encode(), bytes(items[0]), body)
        for raw in items:
            # Between two items of a list stands no other text, so the next occurrence is the item.
            text = bytes(raw)
            offset = body.index(text, offset)
            yield first + body.count(b"\n", 0, offset)
            offset += len(text)


def _list_start(key: bytes, first_item: bytes, body: bytes) -> int:
    """Behind `"key": [`, which no text within a string can spell."""
    found = re.search(rb'"%s"\s*:\s*\[\s*(?=%s)' % (key, re.escape(first_item)), body)
    return found.end() if found else 0
