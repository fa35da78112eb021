"""Objects that a program hands over as mappings: encoded to JSON one by one, so that a bad one costs itself alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from graphsec.loading.documents import Envelope, Event, Item, Limits, Problem
from graphsec.loading.nesting import deeper_than


def read_mapping(mapping: Mapping[str, Any], limits: Limits) -> Iterator[Event]:
    """The items of a list, or the mapping itself."""
    kind, items = mapping.get("kind") or "", mapping.get("items", ())
    if not isinstance(kind, str) or not _is_list(kind, items):
        yield _item(mapping, limits, Item(b"", 1))
        return
    for item in items or ():
        yield _item(item, limits, Item(b"", 1, listed=True, list_kind=kind))
    version, metadata = mapping.get("apiVersion"), mapping.get("metadata")
    paged = isinstance(metadata, Mapping) and bool(metadata.get("continue"))
    yield Envelope(kind, version if isinstance(version, str) else "", 1, paged)


def _is_list(kind: str, items: object) -> bool:
    if kind and not kind.endswith("List"):
        return False
    return (isinstance(items, (list, tuple)) and (bool(kind) or items != ())) or items is None


def _item(mapping: Any, limits: Limits, item: Item) -> Item | Problem:
    if not isinstance(mapping, Mapping):
        return Problem("GS-IN-020", "an item of the list is no mapping", 1)
    kind = mapping.get("kind")
    told = kind if isinstance(kind, str) else ""
    try:
        body = msgspec.json.encode(dict(mapping), enc_hook=_plain)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return Problem("GS-IN-020", "a mapping with something in it that is no JSON", 1, told)
    except RecursionError:
        return Problem("GS-LIM-001", "a mapping nested deeper than --max-depth", 1, told)
    if deeper_than(body, limits.depth):
        return Problem("GS-LIM-001", f"a mapping nested deeper than --max-depth {limits.depth}", 1, told)
    return item._replace(body=body)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
