"""One kind of object that graphsec reads: a value, found by the package walk of ``graphsec.kinds``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    old_groups: tuple[str, ...] = ()
    #: Versions of ``group`` that servers no longer serve.
    old_versions: tuple[str, ...] = ()
    #: Set where the decoded body is not kept as it is: makes the function for one load, which may share equal parts.
    #: That function raises msgspec.ValidationError.
    reader: Callable[[], Read] | None = None
    #: True where the rules inside have lines of their own.
    has_rules: bool = False
