"""One kind of object that graphsec reads: a value, found by the package walk of ``graphsec.kinds``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class InvalidError(Exception):
    """An object that decodes and that the API server's validation refuses (GS-IN-024).

    ``rule`` is the position, among all items of the kind's ``rules`` lists in their order, of the one that is wrong.
    """

    def __init__(self, message: str, rule: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.rule = rule


#: From the decoded body to what the cluster keeps.
Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """``group`` is today's API group; ``old_groups`` served the kind once and are read by field shape (GS-IN-011).

    ``body`` is the msgspec Struct that declares the fields to decode. Name of the resource and scope come from the
    discovery table (``graphsec.model.discovery``).
    """

    group: str
    kind: str
    body: type[Any]
    #: Other groups that serve the same objects today.
    also_groups: tuple[str, ...] = ()
    old_groups: tuple[str, ...] = ()
    #: Versions of ``group`` that servers no longer serve.
    old_versions: tuple[str, ...] = ()
    #: Set where the decoded body is not kept as it is: makes the function for one load, which may share equal parts.
    #: That function raises msgspec.ValidationError for wrong types, InvalidError for what the API server's validation refuses.
    reader: Callable[[], Read] | None = None
    #: What the reader gives, where that is of another type than ``body``.
    read_as: type[Any] | None = None
    #: Paths of the lists whose items have lines of their own, e.g. `spec.ingress`; their fields decode to ``msgspec.Raw``.
    rules: tuple[str, ...] = ()
    #: Whether objects live in namespaces, for kinds outside the discovery table.
    namespaced: bool | None = None
    #: True where refs need the group to tell the kind from a built-in one.
    qualified: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        return (self.group, *self.also_groups, *self.old_groups)

    @property
    def kept(self) -> type[Any]:
        """The type of what the cluster keeps."""
        return self.read_as or self.body

    @property
    def name(self) -> str:
        """As refs spell it."""
        return f"{self.kind}.{self.group}" if self.qualified else self.kind
