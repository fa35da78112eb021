"""`graphsec snapshot`: read the input once, so that later commands open it at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from graphsec.api import snapshot
from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.query.inspect import Inspect

_HELP = "graphsec snapshot -f INPUT --out gsx=FILE"


@app.command("snapshot")
@with_common
def write_snapshot(common: Common) -> int:
    """Write the loaded input to `--out gsx=FILE`, which every command takes as `-f` and opens at once."""
    path = _target(common.out)
    world = session.open_world(replace(common, out=[]))
    answer = Inspect().answer(world)
    if common.fail_on_incomplete and not answer.complete:
        return session.outcome(answer, common)
    session.say(f"# snapshot --out gsx={path}", common)
    with session.progress(f"writing {path}", common):
        snapshot(world, path)
    session.say(f"Wrote {path}", common)
    session.say(session.coverage_line(answer), common)
    session.print_diagnostics(answer.diagnostics, common)
    return session.outcome(answer, common)


def _target(out: list[str]) -> str:
    if len(out) != 1:
        raise UsageError("a snapshot is written to one file", help=_HELP)
    name, _, path = out[0].partition("=")
    if name != session.GSX or not path:
        raise UsageError(f"no snapshot: `{out[0]}`", help=_HELP)
    if not Path(path).parent.is_dir() or Path(path).is_dir():
        raise UsageError(f"cannot write {path}: no such folder, or one itself", help=_HELP)
    return path
