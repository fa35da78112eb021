"""A gate by severity, and what the commands that lint share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common
from graphsec.errors import UsageError
from graphsec.model.text import counted
from graphsec.query._severities import SEVERITIES, at_least
from graphsec.query._subjects import namespace_or_suggest

FailOn = Annotated[
    str,
    typer.Option("--fail-on", help=f"Exit 1 on this severity or worse: {', '.join(SEVERITIES)}.", show_default=False),
]


def known_severity(word: str) -> None:
    """Raises UsageError for what is none; "" is no bound."""
    if word not in ("", *SEVERITIES):
        raise UsageError(f"unknown severity `{word}`", help=f"severities: {', '.join(SEVERITIES)}")


def deliver_lint(common: Common, question: Any, fail_on: str) -> int:
    """Asks, and exits 1 on a finding of ``fail_on`` ("" for none) or worse."""
    known_severity(fail_on)
    world = session.open_world(common)
    answer = session.warned(question.answer(world), namespace_or_suggest(common.scope, world))
    counts = [(severity, sum(found.severity == severity for found in answer)) for severity in reversed(SEVERITIES)]
    parts = ", ".join(f"{count:,} {severity}" for severity, count in counts if count)
    code = session.deliver(answer, common, [f"{counted(len(answer), 'finding')}{f': {parts}' if parts else ''}"])
    return code or int(bool(fail_on) and any(at_least(found.severity, fail_on) for found in answer))
