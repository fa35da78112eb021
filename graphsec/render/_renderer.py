"""One output format: a value, found by the package walk of ``graphsec.render``; it knows answers and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphsec.query._answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """View options: they shape terminal output only (interface.md §1)."""

    headers: bool = True
    #: 0 is unlimited; formats for machines ignore it.
    limit: int = 0
    fold: str = "namespace"
    max_nodes: int = 150
    #: CSV only: do not guard cells against formulas.
    raw_csv: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """``render`` gives the whole output, text or (png) bytes, ending in a line break."""

    name: str
    #: File suffix for ``--out name=FILE``, and what the format is for, one line of help.
    suffix: str
    help: str
    render: Callable[[Answer[Any], Options], str | bytes]
    #: The only questions whose answers have this form; it raises UsageError for others. () is all.
    only: tuple[str, ...] = ()
