"""`graphsec check`: packs of queries as a gate for pull requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._arguments import is_folder
from graphsec.cli._lint import known_severity
from graphsec.cli._options import Common, with_common
from graphsec.cli._query import NoPlugins, OwnQueries
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.text import counted
from graphsec.query._severities import SEVERITIES, at_least

if TYPE_CHECKING:
    from graphsec.query.check import Check, Checked

_DEFAULT_GATE = "high"


@app.command("check")
@with_common
def check(
    common: Common,
    packs: Annotated[
        list[str],
        typer.Argument(metavar="[PACK]...", help="Packs, or folders (default: reviewer).", show_default=False),
    ] = [],  # noqa: B006 - typer's way to say: none
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on",
            help="Exit 1 on a new finding of this severity or worse (default high; without --max).",
            show_default=False,
        ),
    ] = "",
    most: Annotated[
        list[str],
        typer.Option(
            "--max", help="Exit 1 on more new findings of a severity: CRIT=0,HIGH=5 (repeatable).", show_default=False
        ),
    ] = [],  # noqa: B006
    baseline: Annotated[
        str, typer.Option("--baseline", help="File of findings that are known: not new.", show_default=False)
    ] = "",
    create_baseline: Annotated[
        str, typer.Option("--create-baseline", help="Write the first baseline.", show_default=False)
    ] = "",
    prune_baseline: Annotated[
        bool, typer.Option("--prune-baseline", help="Drop from the baseline what is not found any more.")
    ] = False,
    exceptions: Annotated[
        str, typer.Option("--exceptions", help="File of findings to live with, and why.", show_default=False)
    ] = "",
    persona: Annotated[
        str, typer.Option("--persona", help="Whom findings are for: reviewer, pedantic, auditor.", show_default=False)
    ] = "reviewer",
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of",
            help="Date against which exceptions expire (default SOURCE_DATE_EPOCH, else today).",
            show_default=False,
        ),
    ] = "",
    severity: Annotated[
        str, typer.Option("--severity", help="Show this severity or worse; changes no gate.", show_default=False)
    ] = "",
    form: Annotated[str, typer.Option("--format", help="Report to write to stdout, as -o.", show_default=False)] = "",
    own: OwnQueries = [],  # noqa: B006
    no_plugins: NoPlugins = False,
) -> int:
    """Run packs of queries; exits 1 on new findings at or above --fail-on."""
    from graphsec.query.check import today

    known_severity(fail_on)
    known_severity(severity)
    bounds = _bounds(most)
    if create_baseline and baseline:
        raise UsageError("`--create-baseline` writes the first baseline, `--baseline` reads one: give one of them")
    if create_baseline and Path(create_baseline).exists():
        raise UsageError(
            f"`{create_baseline}` exists: a baseline only shrinks",
            help=f"`--baseline {create_baseline} --prune-baseline`",
        )
    if prune_baseline and not baseline:
        raise UsageError("`--prune-baseline` needs `--baseline FILE`")
    common = replace(common, output=form or common.output)
    question = _question(packs, own, exceptions, baseline, plugins=not no_plugins)
    question = replace(
        question,
        persona=persona,
        namespace=common.scope,
        include_builtin=common.include_builtin,
        as_of=_date(as_of) if as_of else today(),
    )
    answer = question.answer(session.open_world(common))
    if create_baseline:
        answer = _created(answer, create_baseline, common)
    if prune_baseline:
        answer = _pruned(answer, question, common)
    gate = fail_on or ("" if bounds else _DEFAULT_GATE)
    code = session.deliver(answer, common, list(_summary(answer, gate, bounds)), shown=_shown(answer, severity, common))
    if any(query.limit for query in answer.unanswered):
        return 4
    return code or int(_fails(answer.counts(), gate, bounds))


def _question(packs: Sequence[str], own: Sequence[str], exceptions: str, baseline: str, *, plugins: bool) -> Check:
    """What to ask. Everything that is read here is refused before the input is read. Raises UsageError."""
    from graphsec.query._baseline import Baseline, read_baseline
    from graphsec.query._exceptions import Exceptions, read_exceptions
    from graphsec.query._packs import DEFAULT_PACKS, load_library
    from graphsec.query.check import Check

    folders = (*own, *(word for word in packs if is_folder(word)))
    names = tuple(word for word in packs if not is_folder(word)) or (DEFAULT_PACKS if not packs else ())
    library = load_library(folders, plugins=plugins)
    return Check(
        queries=library.chosen(names, folders),
        packs=names,
        folders=folders,
        exceptions=read_exceptions(exceptions, [query.id for query in library.queries]) if exceptions else Exceptions(),
        baseline=read_baseline(baseline) if baseline else Baseline(),
    )


def _bounds(words: Sequence[str]) -> dict[str, int]:
    """`CRIT=0,HIGH=5`: the most new findings of each severity; any beginning of its name will do that only it has."""
    found: dict[str, int] = {}
    for part in ",".join(words).split(",") if words else ():
        name, equals, number = part.strip().partition("=")
        known = [severity for severity in SEVERITIES if name and severity.startswith(name.lower())]
        if len(known) != 1 or not equals or not number.isdecimal():
            raise UsageError(f"no bound: `{part.strip()}`", help="write it as `CRIT=0,HIGH=5`")
        if known[0] in found:
            raise UsageError(f"two bounds for {known[0]} findings")
        found[known[0]] = int(number)
    return found


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"no date: `{text}`", help="--as-of 2027-03-31") from None


def _fails(counts: Mapping[str, int], gate: str, bounds: Mapping[str, int]) -> bool:
    return any(gate and at_least(severity, gate) for severity in counts) or any(
        counts.get(severity, 0) > most for severity, most in bounds.items()
    )


def _created(answer: Checked, path: str, common: Common) -> Checked:
    from graphsec.query._baseline import baseline_of, write_baseline

    baseline = baseline_of((finding for finding in answer if finding.state == "new"), path)
    write_baseline(baseline)
    session.say(f"Wrote {path} ({counted(len(baseline.entries), 'finding')})", common)
    return answer.with_baseline(baseline)


def _pruned(answer: Checked, question: Check, common: Common) -> Checked:
    from graphsec.query._baseline import write_baseline

    old = question.baseline
    new = old.pruned(answer.answered, {finding.fingerprint for finding in answer})
    if len(new.entries) < len(old.entries):
        write_baseline(new)
        session.say(f"Wrote {old.file} ({counted(len(old.entries) - len(new.entries), 'finding')} fewer)", common)
    return answer.with_baseline(new)


def _shown(answer: Checked, severity: str, common: Common) -> Checked:
    """On the terminal: what is new, as far as asked for; `-o wide` has findings of every state."""
    if common.output not in ("table", "wide"):
        return answer
    # What forty queries assume is in the reports; on a terminal it would bury the findings.
    notes = answer.notes if common.verbose else ()
    items = [
        finding
        for finding in answer
        if (common.output == "wide" or finding.state == "new") and at_least(finding.severity, severity or "info")
    ]
    return replace(answer, items=tuple(items), notes=notes)


def _summary(answer: Checked, gate: str, bounds: Mapping[str, int]) -> Iterator[str]:
    """`2 new at or above high; 14 in baseline; 3 excepted (next expiry 2027-03-31); 41 built-in left out.`"""
    new = answer.counts()
    known, excepted = (sum(answer.counts(state).values()) for state in ("unchanged", "suppressed"))
    parts = []
    if gate:
        worst = sum(count for severity, count in new.items() if at_least(severity, gate))
        parts.append(f"{worst:,} new at or above {gate}")
    below = sum(count for severity, count in new.items() if not gate or not at_least(severity, gate))
    if below:
        parts.append(f"{below:,} new {'below' if gate else 'in all'}")
    parts += [f"{new.get(severity, 0):,} {severity} of at most {most:,}" for severity, most in bounds.items()]
    if known:
        parts.append(f"{known:,} in baseline")
    if excepted:
        expiry = f" (next expiry {answer.next_expiry})" if answer.next_expiry else ""
        parts.append(f"{excepted:,} excepted{expiry}")
    if answer.left_out:
        parts.append(f"{answer.left_out:,} built-in left out")
    yield f"{'; '.join(parts)}."
    if answer.gone:
        yield f"{counted(answer.gone, 'finding')} of the baseline {'is' if answer.gone == 1 else 'are'} gone: --prune-baseline"
