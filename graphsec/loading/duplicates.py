"""Duplicate keys in JSON, which only the standard decoder can tell (hardening.md §4.4); for ``--strict`` alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from graphsec.loading.documents import Batch, Event, Item, Problem
from graphsec.model.text import safe

_SHOWN = 40


def noting_duplicates(events: Iterable[Event | Batch]) -> Iterator[Event | Batch]:
    """The events, each object after a problem for every key that stands twice in one of its mappings."""
    for event in events:
        if isinstance(event, Item) and isinstance(event.body, bytes):
            yield from _duplicates(event)
        yield event


def _duplicates(item: Item) -> Iterator[Problem]:
    twice: dict[str, None] = {}

    def note(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                twice.setdefault(key)
            seen.add(key)

    try:
        # Numbers stay text: Python refuses long ones.
        json.loads(item.body, object_pairs_hook=note, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return  # whoever decodes the object tells what is wrong with it
    for key in twice:
        message = f"key `{safe(key[:_SHOWN])}` stands twice in one mapping of this object: the last one counts"
        yield Problem("GS-IN-021", message, item.line)
