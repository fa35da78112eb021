"""`graphsec policy`: what is wrong with network policies, and which ones would do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._lint import FailOn, deliver_lint
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.model.text import counted
from graphsec.query._subjects import namespace_or_suggest

if TYPE_CHECKING:
    from graphsec.query.synthesize import Synthesis

policies = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Network policies: lint, synthesize.")
app.add_typer(policies, name="policy")


@policies.command("lint")
@with_common
def lint_policies(common: Common, fail_on: FailOn = "") -> int:
    """What is probably wrong with the policies, and what no policy covers."""
    from graphsec.query.policy_lint import PolicyLint

    return deliver_lint(common, PolicyLint(namespace=common.scope), fail_on)


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
