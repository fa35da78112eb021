"""Typed decoding, kind by kind: listings come sorted, so the kind of the object before is tried first."""

from __future__ import annotations

from typing import Any

import msgspec

from graphsec.kinds import Kind, kinds

#: What msgspec raises for JSON that is not of a type.
REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Decoders:
    """One decoder for each kind and for lists of it."""

    def __init__(self) -> None:
        every = kinds().values()
        self._one = {kind: msgspec.json.Decoder(kind.body) for kind in every}
        self._list = {kind: msgspec.json.Decoder(list[kind.body]) for kind in every}  # type: ignore[name-defined]
        #: The kind that is tried first.
        self.last: Kind | None = None

    def batch(self, text: bytes) -> list[Any] | None:
        """A JSON array of objects, all of the last kind; None if one of them is not."""
        kind = self.last
        # Rules have lines of their own, which are found in the text of one object.
        if kind is None or (kind.rules and b"\n" in text):
            return None
        try:
            found = self._list[kind].decode(text)
        except (msgspec.ValidationError, UnicodeDecodeError):
            return None
        return found if all(_is_of(kind, decoded) for decoded in found) else None

    def as_last(self, body: bytes) -> Any:
        """The object as the last kind; None if it is of another."""
        kind = self.last
        if kind is None:
            return None
        try:
            decoded = self._one[kind].decode(body)
        except REFUSALS:
            return None
        return decoded if _is_of(kind, decoded) else None

    def decode(self, kind: Kind, body: bytes) -> Any:
        """The object as ``kind``, which is the last from here on. Raises one of ``REFUSALS``."""
        self.last = kind
        return self._one[kind].decode(body)


def _is_of(kind: Kind, decoded: Any) -> bool:
    if decoded.kind != kind.kind:
        return False
    group: str = decoded.api_version.rpartition("/")[0]
    return group in kind.groups
