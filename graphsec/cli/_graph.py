"""`graphsec graph`: the attack graph, or the part of it around one thing."""

from __future__ import annotations

from typing import Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError


@app.command("graph")
@with_common
def graph(
    common: Common,
    focus: Annotated[
        str,
        typer.Option(
            "--focus",
            help="What to look at: a subject, Pod/NS/NAME, Node/NAME, Namespace/NAME, Secret/NS/NAME, a role, "
            "cluster-admin, node, secrets:all or internet (default: all).",
            show_default=False,
        ),
    ] = "",
    hops: Annotated[int, typer.Option("--hops", help="Steps around the focus.")] = 2,
) -> int:
    """The attack graph, or the part of it around one thing: what gives what, by which rule. Draw it with `-o svg`."""
    from graphsec.query.graph import Graph

    if hops < 0:
        raise UsageError(f"no number of steps: {hops}", help="--hops 2")
    world = session.open_world(common)
    return session.deliver(Graph(focus=focus, hops=hops).answer(world), common)
