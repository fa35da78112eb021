"""Reads the small YAML files of graphsec itself (packs, exceptions) with the place of every key and item.

Stricter than input: a key that stands twice, an alias, a tag or a second document is an error, never a surprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from graphsec.loading.text import decode_text
from graphsec.loading.yaml_scalars import json_key, json_value, resolve_plain

_DEEPEST = 20
_LARGEST = 16 << 20

#: Keys and indices from the root; where a key or list item begins, as 1-based (line, column).
Path = tuple[str | int, ...]
Places = Mapping[Path, tuple[int, int]]


class Tree(NamedTuple):
    """What a file says, as JSON has it; ``value`` is None for an empty one."""

    value: Any
    places: Places


class MisreadError(Exception):
    """Why a file cannot be read, and where."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def read_own(data: bytes) -> Tree:
    """Raises MisreadError."""
    text, problems = decode_text(data)
    if problems or text is None or len(data) > _LARGEST:
        raise MisreadError(problems[0].message if problems else "too large", 1, 1)
    builder = _Builder()
    try:
        parser = CParser(text)
        while not isinstance(event := parser.get_event(), StreamEndEvent):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise MisreadError(
            f"syntax error: {error.problem or error.context}",
            mark.line + 1 if mark else 1,
            mark.column + 1 if mark else 1,
        ) from None
    return Tree(builder.root, builder.places)


class _Open(NamedTuple):
    """A container that is not closed yet."""

    value: list[Any] | dict[str, Any]
    path: Path


class _Builder:
    def __init__(self) -> None:
        self.root: Any = None
        self.places: dict[Path, tuple[int, int]] = {}
        self._stack: list[_Open] = []
        self._key: list[str | None] = []
        self._documents = 0

    def take(self, event: Any) -> None:
        match event:
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _misread("a second document in the file", event)
            case AliasEvent():
                raise _misread("no aliases here", event)
            case ScalarEvent():
                self._scalar(event)
            case MappingStartEvent():
                self._enter(event, {})
            case SequenceStartEvent():
                self._enter(event, [])
            case MappingEndEvent() | SequenceEndEvent():
                self._stack.pop()
                self._key.pop()
            case _:
                pass

    def _scalar(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!":
            raise _misread("no tags here", event)
        plain = event.implicit[0]
        if self._stack and isinstance(self._stack[-1].value, dict) and self._key[-1] is None:
            self._name(json_key(resolve_plain(event.value)) if plain else event.value, event)
            return
        self._place(json_value(resolve_plain(event.value)) if plain else event.value, event)

    def _name(self, key: str, event: Any) -> None:
        top = self._stack[-1]
        if key in top.value:
            line, _ = self.places[*top.path, key]
            raise _misread(f"key `{key}` stands twice, first at line {line}", event)
        self._key[-1] = key
        self.places[*top.path, key] = _mark(event)

    def _enter(self, event: Any, value: list[Any] | dict[str, Any]) -> None:
        if event.tag is not None:
            raise _misread("no tags here", event)
        if len(self._stack) >= _DEEPEST:
            raise _misread(f"nested deeper than {_DEEPEST}", event)
        path = self._place(value, event)
        self._stack.append(_Open(value, path))
        self._key.append(None)

    def _place(self, value: Any, event: Any) -> Path:
        """Put a value where it belongs; its path."""
        if not self._stack:
            self.root = value
            self.places[()] = _mark(event)
            return ()
        top = self._stack[-1]
        if isinstance(top.value, list):
            path = (*top.path, len(top.value))
            self.places[path] = _mark(event)
            top.value.append(value)
            return path
        key = self._key[-1]
        if key is None:
            raise _misread("a key is a word here", event)
        self._key[-1] = None
        top.value[key] = value
        return (*top.path, key)


def _mark(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _misread(message: str, event: Any) -> MisreadError:
    return MisreadError(message, *_mark(event))
