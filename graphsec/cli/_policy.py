"""`graphsec policy`: what is wrong with network policies, and which ones would do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.text import counted
from graphsec.query._answer import Answer
from graphsec.query._severities import SEVERITIES
from graphsec.query._subjects import namespace_or_suggest

if TYPE_CHECKING:
    from graphsec.query.policy_lint import PolicyFinding
    from graphsec.query.synthesize import Synthesis

policies = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Network policies: lint, synthesize.")
app.add_typer(policies, name="policy")


@policies.command("lint")
@with_common
def lint_policies(
    common: Common,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on", help=f"Exit 1 on this severity or worse: {', '.join(SEVERITIES)}.", show_default=False
        ),
    ] = "",
) -> int:
    """What is probably wrong with the policies, and what no policy covers."""
    from graphsec.query.policy_lint import PolicyLint

    if fail_on not in ("", *SEVERITIES):
        raise UsageError(f"unknown severity `{fail_on}`", help=f"severities: {', '.join(SEVERITIES)}")
    world = session.open_world(common)
    answer = session.warned(PolicyLint(namespace=common.scope).answer(world), namespace_or_suggest(common.scope, world))
    code = session.deliver(answer, common, [_findings_line(answer)])
    return code or int(bool(fail_on) and any(_at_least(finding, fail_on) for finding in answer))


def _at_least(finding: PolicyFinding, severity: str) -> bool:
    return SEVERITIES.index(finding.severity) >= SEVERITIES.index(severity)


def _findings_line(answer: Answer[PolicyFinding]) -> str:
    counts = [(severity, sum(finding.severity == severity for finding in answer)) for severity in reversed(SEVERITIES)]
    parts = ", ".join(f"{count:,} {severity}" for severity, count in counts if count)
    return f"{counted(len(answer), 'finding')}{f': {parts}' if parts else ''}"


@policies.command("synthesize")
@with_common
def synthesize_policies(
    common: Common,
    flows: Annotated[
        str,
        typer.Option(
            "--flows",
            help="File of the flows to keep: lines of `reach -o connlist`, or YAML with from, to and ports "
            "(default: today's flows to ports that Services lead to, and DNS).",
            show_default=False,
        ),
    ] = "",
) -> int:
    """Write the least NetworkPolicies that keep given flows, as YAML; exits 1 where they cannot keep exactly those."""
    from graphsec.query.synthesize import Synthesize

    world = session.open_world(common)
    answer = Synthesize.of(flows or None, common.scope).answer(world)
    warned = session.warned(answer, namespace_or_suggest(common.scope, world))
    shown = replace(common, output="yaml") if common.output == "table" else common
    code = session.deliver(warned, shown, [_policies_line(answer)])
    return code or int(not answer.exact)


def _policies_line(answer: Synthesis) -> str:
    deviations = len(answer.differences) + len(answer.left_out_flows)
    return f"{counted(len(answer), 'policy')}, {counted(deviations, 'difference')} from what was wanted"
