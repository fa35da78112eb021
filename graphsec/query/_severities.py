"""How bad a finding is, of saved queries and of lint alike."""

from __future__ import annotations

from typing import Literal, get_args

Severity = Literal["info", "low", "medium", "high", "critical"]
#: In rising order.
SEVERITIES: tuple[str, ...] = get_args(Severity)


def at_least(severity: str, bound: str) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(bound)
