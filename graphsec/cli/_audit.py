"""`graphsec verify`: does the model agree with what the API server decided."""

from __future__ import annotations

from typing import Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.loading import read_audit_logs


@app.command("verify")
@with_common
def verify(
    common: Common,
    audit_log: Annotated[
        list[str],
        typer.Option(
            "--audit-log",
            help="Audit log: Kubernetes events or an export of EKS, GKE or AKS, also .gz; file, folder or - (repeatable).",
            show_default=False,
        ),
    ],
) -> int:
    """Replay an audit log: exits 1 where our decision, or the binding behind it, differs from the recorded one."""
    from graphsec.query.verify import Verify

    session.check_formats(common)
    if "-" in audit_log and "-" in common.filename:
        raise UsageError("`-` is either the cluster or the audit log")
    world = session.open_world(common)
    with session.progress(f"reading {', '.join(audit_log)}", common):
        log = read_audit_logs(audit_log, common.limits)
    answer = Verify(paths=tuple(audit_log), log=log).answer(world)
    code = session.deliver(answer, common)
    return code or int(bool(answer))
