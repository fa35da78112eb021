"""Messages with placeholders: names of columns in braces, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from graphsec.query.lang.lexer import MisreadError
from graphsec.query.lang.schema import Column, Schema, Type

MAX_MESSAGE = 500
_BRACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)\}|[{}]")
#: What stands for a value that is absent, and for an empty list.
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Template:
    """Text and columns in turn."""

    parts: tuple[str | Column, ...]

    def filled(self, value: Callable[[Column], object]) -> str:
        """With ``value`` of each column, None where it is absent."""
        return "".join(part if isinstance(part, str) else _shown(value(part)) for part in self.parts)


def compile_template(text: str, schema: Schema) -> Template:
    """Raises MisreadError for braces that hold no column."""
    if len(text) > MAX_MESSAGE:
        raise MisreadError(f"a message of more than {MAX_MESSAGE} characters", MAX_MESSAGE)
    parts: list[str | Column] = []
    at = 0
    for match in _BRACE.finditer(text):
        parts += [text[at : match.start()]] if match.start() > at else []
        name = match[1]
        if name is None:
            raise MisreadError("braces hold the name of a column and nothing else: `{scope}`", match.start())
        column = schema.columns.get(schema.shorthand.get(name, name))
        if column is None or column.type is Type.MAP:
            raise MisreadError(schema.unknown(name), match.start() + 1)
        parts.append(column)
        at = match.end()
    return Template((*parts, *([text[at:]] if at < len(text) else [])))


def _shown(value: object) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or _NOTHING
    return str(value)
