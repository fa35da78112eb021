"""`graphsec rbac`: what is wrong with roles and bindings."""

from __future__ import annotations

from typing import Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.text import counted
from graphsec.query._severities import SEVERITIES
from graphsec.query._subjects import namespace_or_suggest

rbac = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Roles and bindings: lint.")
app.add_typer(rbac, name="rbac")


@rbac.command("lint")
@with_common
def lint_rbac(
    common: Common,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on", help=f"Exit 1 on this severity or worse: {', '.join(SEVERITIES)}.", show_default=False
        ),
    ] = "",
) -> int:
    """What dangles, what nobody uses, what says something else than it means."""
    from graphsec.query.rbac_lint import RbacLint

    if fail_on not in ("", *SEVERITIES):
        raise UsageError(f"unknown severity `{fail_on}`", help=f"severities: {', '.join(SEVERITIES)}")
    world = session.open_world(common)
    answer = session.warned(RbacLint(namespace=common.scope).answer(world), namespace_or_suggest(common.scope, world))
    counts = [(severity, sum(found.severity == severity for found in answer)) for severity in reversed(SEVERITIES)]
    parts = ", ".join(f"{count:,} {severity}" for severity, count in counts if count)
    code = session.deliver(answer, common, [f"{counted(len(answer), 'finding')}{f': {parts}' if parts else ''}"])
    least = SEVERITIES.index(fail_on) if fail_on else len(SEVERITIES)
    return code or int(any(SEVERITIES.index(found.severity) >= least for found in answer))
