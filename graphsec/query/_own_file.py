"""Files of graphsec's own that are declared as Structs: read whole, or refused at file, line and column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from graphsec.errors import UsageError
from graphsec.loading.own_files import MisreadError, Path, Tree, read_own
from graphsec.model.ref import Source

T = TypeVar("T")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_AT = re.compile(r" - at `\$(.*)`$")
_PART = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of such a file: a key that is not declared is a misspelling."""


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file that could be read. ``name`` is what complaints call it."""

    name: str
    tree: Tree

    @classmethod
    def read(cls, name: str, data: bytes) -> OwnFile:
        """Raises UsageError."""
        try:
            return cls(name, read_own(data))
        except MisreadError as error:
            raise UsageError(f"{name}:{error.line}:{error.column}: {error.message}") from None

    def line(self, *path: str | int) -> int:
        return self._place(path)[0]

    def source(self, *path: str | int) -> Source:
        return Source(self.name, self.line(*path))

    def complaint(self, message: str, *path: str | int, help: str = "") -> UsageError:  # noqa: A002 - as in errors
        line, column = self._place(path)
        return UsageError(f"{self.name}:{line}:{column}: {message}", help=help)

    def _place(self, path: Path) -> tuple[int, int]:
        """Of the path, or of the nearest thing around it that is there."""
        while path and path not in self.tree.places:
            path = path[:-1]
        return self.tree.places.get(path, (1, 1))

    def convert(self, kind: type[T], choices: Mapping[str, tuple[str, ...]] | None = None) -> T:
        """The file as ``kind``. Raises UsageError; ``choices`` are the words that keys take, for its message."""
        try:
            return msgspec.convert(self.tree.value, kind)
        except msgspec.ValidationError as error:
            raise self._explained(str(error), choices or {}) from None

    def _explained(self, error: str, choices: Mapping[str, tuple[str, ...]]) -> UsageError:
        at = _AT.search(error)
        path: Path = tuple(
            word or (int(index) if index.isdigit() else 0) for word, index in _PART.findall(at[1] if at else "")
        )
        message = _AT.sub("", error)
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        if unknown := _UNKNOWN.search(error):
            return self.complaint(f"unknown key `{unknown[1]}`", *path, unknown[1])
        if missing := _MISSING.search(error):
            return self.complaint(f"required key `{missing[1]}` is missing", *path)
        if message.startswith("Invalid") and key in choices:
            message = f"{message.split()[-1]} is none of {', '.join(choices[key])}"
        message = message[:1].lower() + message[1:]
        return self.complaint(f"`{key}`: {message}" if key and f"`{key}`" not in message else message, *path)
