"""The syntax tree of a condition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, integer or truth value."""

    value: str | int | bool
    offset: int


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Literal, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name: a column, a parameter or a variable; ``key`` is that of a map: `w.labels["app"]`."""

    parts: tuple[str, ...]
    offset: int
    key: str | None = None

    @property
    def text(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    operand: Node
    offset: int


@dataclass(frozen=True, slots=True)
class Logic:
    """`&&` or `||` of two or more: chains are flat, so that a tree is no deeper than its parentheses."""

    op: str
    parts: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Comparison:
    op: str
    left: Node
    right: Node
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a method where ``receiver`` is not None."""

    function: str
    receiver: Node | None
    arguments: tuple[Node, ...]
    offset: int


Node = Literal | ListOf | Name | Not | Logic | Comparison | Call
