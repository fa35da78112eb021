"""`graphsec diff`: what a change of the input changes in effect, and the checks that gate it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli._words import parse_target, parse_verbs
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.text import counted
from graphsec.query._subjects import namespace_or_suggest

if TYPE_CHECKING:
    from graphsec.query.diff import DiffAnswer

_CHECKS = "no-new-access, no-new-paths, no-new-flows, access-not-granted, no-public-access"


@app.command("diff")
@with_common
def diff(
    common: Common,
    old: Annotated[str, typer.Argument(help="File, folder or archive before the change.", show_default=False)],
    new: Annotated[str, typer.Argument(help="The same after it.", show_default=False)],
    check: Annotated[
        list[str],
        typer.Option("--check", help=f"Exit 1 only if this fails (repeatable): {_CHECKS}.", show_default=False),
    ] = [],  # noqa: B006
    verb: Annotated[
        str, typer.Option("--verb", help="access-not-granted: verb, list or group.", show_default=False)
    ] = "",
    resource: Annotated[
        str, typer.Option("--resource", help="access-not-granted: TYPE[/NAME] or URL.", show_default=False)
    ] = "",
) -> int:
    """Who gains and loses access, paths and flows by a change, with the lines that make it so; exits 1 on any, like diff."""
    from graphsec.query._diff_checks import validate
    from graphsec.query.diff import Diff

    if common.filename:
        raise UsageError("diff takes two inputs, no `-f`", help="graphsec diff OLD NEW")
    # Before anything is read: a check that is spelled wrong is no result.
    validate(check, verbs=bool(verb), target=bool(resource))
    before, after = (session.open_world(replace(common, filename=[path])) for path in (old, new))
    asked = parse_target(resource, after, namespace=common.scope) if resource else None
    question = Diff.between(
        before,
        after,
        namespace=common.scope,
        checks=tuple(check),
        verbs=parse_verbs(verb, after) if verb else (),
        target=asked.target if asked else None,
        include_builtin=common.include_builtin,
    )
    # As the command line names them, not after what a snapshot was made of.
    answer = replace(question, old=(old,), new=(new,)).answer(before, after)
    doubts = [namespace_or_suggest(common.scope, world) for world in (before, after)]
    answer = session.warned(answer, doubts[1] if all(doubts) else "", asked.warning if asked else "")
    code = session.deliver(answer, common, [_changes_line(answer)])
    return code or _verdict(answer)


def _verdict(answer: DiffAnswer) -> int:
    """3 where the input cannot tell, which no failure elsewhere makes an answer; else 1 for a failed check or, without any, for
    a difference."""
    if answer.checks:
        words = {verdict.word for verdict in answer.checks}
        return 3 if "UNKNOWN" in words else int("FAIL" in words)
    return 3 if answer.undecided else int(bool(answer))


def _changes_line(answer: DiffAnswer) -> str:
    kinds = {kind: sum(item.change == kind for item in answer) for kind in ("gained", "lost", "changed")}
    parts = f" ({', '.join(f'{len(answer.of(name)):,} {name}' for name in (*answer.compared,))})" if answer else ""
    return f"{counted(len(answer), 'change')}: {', '.join(f'{count:,} {kind}' for kind, count in kinds.items())}{parts}"
