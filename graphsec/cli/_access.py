"""`graphsec access`: who can get at Secrets, volumes and backups."""

from __future__ import annotations

from typing import Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.model.text import counted
from graphsec.query._subjects import namespace_or_suggest


@app.command("access")
@with_common
def access(
    common: Common,
    target: Annotated[
        str,
        typer.Argument(
            metavar="[KIND/NS/NAME]",
            help="One secret, pvc, volumesnapshot, backup or restore; all without.",
            show_default=False,
        ),
    ] = "",
) -> int:
    """Who can read, mount, change or restore Secrets, volumes and backups: directly, by pods, by snapshots and restores."""
    from graphsec.query.data_access import DataAccess, parse_object

    asked = parse_object(target) if target else None
    world = session.open_world(common)
    question = DataAccess(target=asked, namespace=common.scope, include_builtin=common.include_builtin)
    answer = session.warned(question.answer(world), namespace_or_suggest(common.scope, world))
    subjects = len({item.subject for item in answer})
    hidden = f" ({counted(answer.left_out, 'built-in grant')} left out, --include-builtin)" if answer.left_out else ""
    return session.deliver(answer, common, [f"{counted(subjects, 'subject')}{hidden}"])
