"""What a condition may be about: columns with a type, declared by whoever asks."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class Type(enum.StrEnum):
    """Values print as documentation and messages name them."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    STRINGS = "list of strings"
    INTS = "list of ints"
    #: String to string; each of its members is a string that may be absent.
    MAP = "map"

    @property
    def a(self) -> str:
        """With its article, for messages."""
        return f"{'an' if self is Type.INT else 'a'} {self}"

    @property
    def item(self) -> Type:
        """Of a list."""
        return Type.INT if self is Type.INTS else Type.STRING

    @property
    def is_list(self) -> bool:
        return self in (Type.STRINGS, Type.INTS)


@dataclass(frozen=True, slots=True)
class Column:
    """``optional`` where some rows have no value; lists and maps have one always, an empty one at worst."""

    name: str
    type: Type
    help: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """``title`` completes "no column of". ``shorthand`` are further names that a template takes for columns."""

    title: str
    columns: Mapping[str, Column]
    shorthand: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(title: str, columns: Iterable[Column], shorthand: Mapping[str, str] | None = None) -> Schema:
        return Schema(title, {column.name: column for column in columns}, shorthand or {})

    def unknown(self, name: str) -> str:
        """The complaint about a name that is none."""
        members = [known for known in self.columns if known.startswith(f"{name}.")]
        if members:
            return f"`{name}` has members: {', '.join(f'`{member}`' for member in members)}"
        return f"`{name}` is no column of {self.title}{suggestion(name, self.columns)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean `x`?)`, or which there are where there are few, or nothing."""
    names = list(known)
    near = difflib.get_close_matches(name[:200], names, n=1, cutoff=0.5)
    if near:
        return f" (did you mean `{near[0]}`?)"
    return f" (there are {', '.join(names)})" if 0 < len(names) <= 30 else ""
