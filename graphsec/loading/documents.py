"""What every reader of bytes hands on: items with their line, list envelopes, and problems. No parser here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds against hostile input (hardening.md §5); each has a flag that its message names."""

    depth: int = 100
    nodes: int = 20_000_000
    object_bytes: int = 64 << 20
    file_bytes: int = 8 << 30
    inflated_bytes: int = 8 << 30


class Item(NamedTuple):
    """One object of a document or list. ``body`` is JSON bytes, or a mapping with string keys (YAML, Python)."""

    body: Any
    line: int
    #: True for an item of a List: its kind may stand in the envelope that follows.
    listed: bool = False
    #: Helm's `# Source:` comment above the document.
    origin: str = ""
    #: For a listed item the kind of the list where that stands before the items, e.g. `RoleList`.
    list_kind: str = ""


class Envelope(NamedTuple):
    """The end of a list: the items before it, back to the previous envelope or unlisted item, were in it."""

    kind: str
    api_version: str
    line: int
    #: True for one page of a listing that goes on elsewhere (``metadata.continue``).
    paged: bool = False


class Problem(NamedTuple):
    """A numbered problem (``diagnostic.CODES``) at a line; reading goes on after it."""

    code: str
    message: str
    line: int
    #: The kind of what was lost, where its text still tells.
    kind: str = ""


class Batch(NamedTuple):
    """A run of list items that were decoded together, and the line of each."""

    objects: list[Any]
    lines: list[int]


Event = Item | Envelope | Problem

#: Decodes a JSON array of list items at once, or gives None to have them one by one.
#: Raises msgspec.DecodeError (not its subclass ValidationError) where the text is no JSON array.
DecodeBatch = Callable[[bytes], list[Any] | None]


class Lines(list[Any]):
    """A sequence built from YAML that remembers the 1-based line of each item."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []
