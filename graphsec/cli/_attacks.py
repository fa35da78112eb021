"""The commands about attack paths: how could, why not, what falls, where to cut, what to change; and the catalogue of rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.text import counted, safe

_START = "sa:NS/NAME, user:NAME, group:NAME, Pod/NS/NAME, Node/NAME, Namespace/NAME, internet, anonymous"
_From = Annotated[str, typer.Argument(metavar="FROM", help=f"{_START} or all.", show_default=False)]
_To = Annotated[
    str,
    typer.Argument(
        metavar="[TO]",
        help="cluster-admin, node, secrets:all, Secret/NS/NAME, ServiceAccount/NS/NAME, Node/NAME, Pod/NS/NAME.",
        show_default=False,
    ),
]
_Assume = Annotated[
    list[str], typer.Option("--assume", help="Take an assumption as a fact (repeatable).", show_default=False)
]
_Top = Annotated[int, typer.Option("--top", help="At most this many.")]


@app.command("paths")
@with_common
def paths(
    common: Common,
    source: _From,
    target: _To = "",
    k: Annotated[int, typer.Option("-k", help="Different paths per start.")] = 1,
    assume: _Assume = [],  # noqa: B006
    without: Annotated[
        list[str],
        typer.Option(
            "--without", help="Leave out a binding, a rule, or a step `A -> B` (repeatable).", show_default=False
        ),
    ] = [],  # noqa: B006
    sink: Annotated[
        list[str],
        typer.Option("--sink", help="A further target where TO is not given (repeatable).", show_default=False),
    ] = [],  # noqa: B006
    expect_none: Annotated[bool, typer.Option("--expect-none", help="Exit 1 if there is a path.")] = False,
) -> int:
    """How could FROM become TO: the shortest proofs, step by step, each with the binding and rule or field behind it."""
    from graphsec.query.paths import Paths

    if k < 1:
        raise UsageError("-k takes a number from 1 on")
    world = session.open_world(common)
    question = Paths(
        source=source,
        target=target,
        k=k,
        assume=tuple(assume),
        without=tuple(without),
        sinks=tuple(sink),
        include_builtin=common.include_builtin,
    )
    answer = question.answer(world)
    summary = [_paths_line(answer), *_cuts(world, question, answer)]
    if common.output == "table" and source not in ("all", "pods"):
        code = session.deliver_text(answer, common, [line for path in answer for line in path.explanation()], summary)
    else:
        code = session.deliver(answer, common, summary)
    return code or int(expect_none and bool(answer))


def _paths_line(answer: Any) -> str:
    proved = sum(path.verdict == "proved" for path in answer)
    counts: dict[str, int] = {}
    for path in answer:
        counts[path.target] = counts.get(path.target, 0) + 1
    starts = "; ".join(f"{count:,} to {target}" for target, count in counts.items())
    hidden = f" ({answer.left_out:,} built-in starts left out, --include-builtin)" if answer.left_out else ""
    return f"{counted(len(answer), 'path')}, {proved:,} proved{f': {starts}' if starts else ''}{hidden}"


def _cuts(world: Any, question: Any, answer: Any) -> list[str]:
    """For one start and target: the bindings without which no path remains."""
    from graphsec.query.paths import single_cuts

    if question.source in ("all", "pods") or not question.target or not answer:
        return []
    found = single_cuts(world, question, answer.items[0])
    return [f"Cut: without {binding} no path remains." for binding in found]


@app.command("why-not")
@with_common
def why_not(common: Common, source: _From, target: _To = "cluster-admin", top: _Top = 10) -> int:
    """Why there is no path: what is missing, the nearest first."""
    from graphsec.query.why_not import WhyNot

    answer = WhyNot(source=source, target=target, top=top).answer(session.open_world(common))
    return session.deliver(answer, common)


@app.command("blast")
@with_common
def blast(
    common: Common,
    source: Annotated[str, typer.Argument(metavar="FROM", help=f"{_START}.", show_default=False)],
    assume: _Assume = [],  # noqa: B006
) -> int:
    """What falls with a subject, pod or node: identities, Secrets, nodes, and the cluster."""
    from graphsec.query.blast import Blast

    answer = Blast(source=source, assume=tuple(assume)).answer(session.open_world(common))
    return session.deliver(answer, common, [counted(len(answer), "thing")])


@app.command("choke")
@with_common
def choke(common: Common, target: _To = "cluster-admin", top: _Top = 10, assume: _Assume = []) -> int:  # noqa: B006
    """Where paths meet: the bindings and things without which the most starts no longer reach TO."""
    from graphsec.query.choke import Choke

    question = Choke(target=target, top=top, assume=tuple(assume), include_builtin=common.include_builtin)
    return session.deliver(question.answer(session.open_world(common)), common)


@app.command("fix")
@with_common
def fix(
    common: Common,
    source: _From = "all",
    target: _To = "cluster-admin",
    assume: _Assume = [],  # noqa: B006
    unlock: Annotated[bool, typer.Option("--unlock-builtin", help="Built-in bindings may be changed, too.")] = False,
) -> int:
    """The cheapest changes that cut every path, proven by asking again; `-o yaml` prints them as patches."""
    from graphsec.query.fix import MinimalFix

    question = MinimalFix(source=source, target=target, assume=tuple(assume), unlock=unlock)
    answer = question.answer(session.open_world(common))
    return session.deliver(answer, common, [counted(len(answer), "change")])


@app.command("entry-points")
@with_common
def entry_points(common: Common) -> int:
    """What the outside opens, what of it is marked exploitable (`--entries`), and what falls with it."""
    from graphsec.query.entry_points import EntryPoints

    answer = EntryPoints().answer(session.open_world(common))
    return session.deliver(answer, common, [counted(len(answer), "workload")])


catalogue = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The rules of attack paths: list, explain.")
app.add_typer(catalogue, name="rules")


@catalogue.command("list")
@with_common
def list_rules(common: Common) -> int:
    """Every rule: what it needs, what it gains."""
    from graphsec.query.rule_list import RuleList

    common = replace(common, quiet=True)
    return session.deliver_plain(RuleList().listing(), common)


@catalogue.command("explain")
def explain_rule(rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule.", show_default=False)]) -> int:
    """What a rule is, why it matters, what it needs and how to fix it."""
    from graphsec.query.rule_list import explained

    print("\n".join(map(safe, explained(rule).splitlines())))
    return 0
