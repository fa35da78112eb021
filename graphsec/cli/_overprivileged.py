"""`graphsec overprivileged`: who has more than it needs, and with an audit log what would be enough."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.loading import read_audit_logs
from graphsec.model.text import counted, safe
from graphsec.model.yaml_text import document
from graphsec.query._subjects import known_or_suggest, parse_subject

if TYPE_CHECKING:
    from graphsec.query._least import Preset
    from graphsec.query.suggest import Suggestion

_SUGGESTED = ("yaml", "diff", "json")


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
    audit_log: Annotated[
        list[str],
        typer.Option("--audit-log", help="Audit log, as for verify: what is used (repeatable).", show_default=False),
    ] = [],  # noqa: B006
    suggest: Annotated[
        bool,
        typer.Option("--suggest", help="Print the roles and bindings that keep what is used: -o yaml, diff or json."),
    ] = False,
    preset: Annotated[
        str, typer.Option("--preset", help="exact, or stable: with what goes with the used verbs.")
    ] = "exact",
) -> int:
    """Who has more than it needs: admin-equivalent, escalating, unused, unbounded, too wide, redundant, inert."""
    from graphsec.query.overprivileged import Overprivileged
    from graphsec.query.suggest import suggestion
    from graphsec.query.usage import Usage

    if suggest and not audit_log:
        raise UsageError("`--suggest` needs to know what is used", help="give `--audit-log FILE`")
    if "-" in audit_log and "-" in common.filename:
        raise UsageError("`-` is either the cluster or the audit log")
    written = common.output if suggest else ""
    if written and written not in ("table", *_SUGGESTED):
        raise UsageError(f"no format of suggestions: `{written}`", help=f"formats: {', '.join(_SUGGESTED)}")
    world = session.open_world(replace(common, output="table") if suggest else common)
    usage = None
    if audit_log:
        with session.progress(f"reading {', '.join(audit_log)}", common):
            log = read_audit_logs(audit_log, common.limits)
        usage = Usage.of(world, log)
        session.print_diagnostics(log.diagnostics, common)
    asked = parse_subject(subject, world) if subject else None
    if suggest and usage is not None:
        return _print(suggestion(world, usage, asked, cast("Preset", preset)), written, common)
    question = Overprivileged(
        subject=asked,
        include_builtin=common.include_builtin or asked is not None,
        fold=common.fold != "none" and asked is None,
        usage=usage,
    )
    answer = question.answer(world)
    if asked is not None:
        answer = session.warned(answer, known_or_suggest(asked, world))
    hidden = f" ({answer.left_out:,} built-in left out, --include-builtin)" if answer.left_out else ""
    return session.deliver(answer, common, [f"{counted(len(answer), 'row')}{hidden}"])


def _print(found: Suggestion, form: str, common: Common) -> int:
    if form == "json":
        print(json.dumps(found.to_dict(), indent=2, sort_keys=True))
    elif form == "diff":
        print(found.diff, end="")
    else:
        print("---\n".join(map(document, found.manifests)), end="")
        for ref in found.deletions:
            place = f" -n {ref.namespace}" if ref.namespace else ""
            print(safe(f"# then: kubectl delete {ref.kind.lower()} {ref.name}{place}"))
    session.say(
        f"{counted(len(found.manifests), 'object')} to apply, {len(found.deletions):,} to delete; {found.window}",
        common,
    )
    for note in found.notes:
        session.say(note, common)
    return 0
