"""Parameters of saved queries: declared with a type and a default, given on the command line as `name=value`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from graphsec.errors import UsageError
from graphsec.query._asks import Strict
from graphsec.query.lang import MisreadError, Type
from graphsec.query.lang.parser import MAX_ITEMS
from graphsec.query.lang.schema import suggestion

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPES = {"list": Type.STRINGS, "string": Type.STRING, "int": Type.INT, "bool": Type.BOOL}
_PYTHON: dict[str, type] = {"list": tuple, "string": str, "int": int, "bool": bool}
_TRUTH = {"true": True, "false": False}
_LIMIT = 2**63


class Parameter(Strict, frozen=True, kw_only=True):
    """``type: list`` is one of strings."""

    name: str
    type: Literal["list", "string", "int", "bool"]
    default: tuple[str, ...] | str | int | bool
    help: str = ""

    @property
    def as_type(self) -> Type:
        return _TYPES[self.type]

    def check(self) -> None:
        """Raises MisreadError."""
        if not _NAME.fullmatch(self.name):
            raise MisreadError(f"`{self.name}` is no name: letters, digits and underscores", 0)
        if type(self.default) is not _PYTHON[self.type]:
            raise MisreadError(f"the default of `{self.name}` is no {self.type}", 0)
        self._check_size(self.default)

    def _check_size(self, value: Any) -> None:
        if isinstance(value, tuple) and len(value) > MAX_ITEMS:
            raise MisreadError(f"`{self.name}` has more than {MAX_ITEMS:,} items", 0)
        if self.type == "int" and not -_LIMIT <= value < _LIMIT:
            raise MisreadError(f"`{self.name}` is a number of more than 64 bits", 0)

    def parsed(self, text: str) -> Any:
        """Of what the command line gives. Raises ValueError or MisreadError."""
        value: Any = text
        if self.type == "list":
            value = tuple(filter(None, (item.strip() for item in text.split(","))))
        elif self.type == "int":
            value = int(text)
        elif self.type == "bool":
            if text not in _TRUTH:
                raise ValueError(text)
            value = _TRUTH[text]
        self._check_size(value)
        return value


def parse_given(query: str, declared: Sequence[Parameter], words: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """(name, value) of each `name=value`. Raises UsageError."""
    known = {parameter.name: parameter for parameter in declared}
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"`--param {word}`: no value", help="`--param name=value`, lists with commas")
        if name not in known:
            raise UsageError(f"{query} has no parameter `{name}`{suggestion(name, known)}")
        if name in found:
            raise UsageError(f"parameter `{name}` is given twice", help="a list has commas: `--param name=a,b`")
        try:
            found[name] = known[name].parsed(text)
        except (ValueError, MisreadError):
            raise UsageError(
                f"parameter `{name}` of {query} takes {_TYPES[known[name].type].a}, not `{text[:100]}`"
            ) from None
    return tuple(found.items())


__all__ = ["Parameter", "parse_given"]
