"""`graphsec overprivileged`: who has more than it needs."""

from __future__ import annotations

from typing import Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.model.text import counted
from graphsec.query._subjects import known_or_suggest, parse_subject


@app.command("overprivileged")
@with_common
def overprivileged(
    common: Common,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="[SUBJECT]", help="sa:NS/NAME, user:NAME or group:NAME; all without.", show_default=False
        ),
    ] = "",
) -> int:
    """Who has more than it needs: admin-equivalent, escalating, unbounded, redundant, inert; each with its evidence."""
    from graphsec.query.overprivileged import Overprivileged

    world = session.open_world(common)
    asked = parse_subject(subject, world) if subject else None
    question = Overprivileged(
        subject=asked,
        include_builtin=common.include_builtin or asked is not None,
        fold=common.fold != "none" and asked is None,
    )
    answer = question.answer(world)
    if asked is not None:
        answer = session.warned(answer, known_or_suggest(asked, world))
    hidden = f" ({answer.left_out:,} built-in left out, --include-builtin)" if answer.left_out else ""
    return session.deliver(answer, common, [f"{counted(len(answer), 'row')}{hidden}"])
