"""`graphsec rbac`: what is wrong with roles and bindings."""

from __future__ import annotations

import typer

from graphsec.cli._lint import FailOn, deliver_lint
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app

rbac = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Roles and bindings: lint.")
app.add_typer(rbac, name="rbac")


@rbac.command("lint")
@with_common
def lint_rbac(common: Common, fail_on: FailOn = "") -> int:
    """What dangles, what nobody uses, what says something else than it means."""
    from graphsec.query.rbac_lint import RbacLint

    return deliver_lint(common, RbacLint(namespace=common.scope), fail_on)
