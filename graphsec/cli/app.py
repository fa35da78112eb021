"""The commands: each reads its words, asks one question and delivers the answer. No logic and no formatting here."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli._words import Asked, parse_target, parse_verbs
from graphsec.compile import World
from graphsec.errors import UsageError
from graphsec.model.diagnostic import CODES, Severity
from graphsec.model.rbac import username
from graphsec.model.text import counted, safe
from graphsec.query._subjects import known_or_suggest, namespace_or_suggest, parse_subject
from graphsec.query.bindings import Bindings
from graphsec.query.can_i import CanI
from graphsec.query.inspect import Inspect
from graphsec.query.matrix import SENSITIVE, VERBS, Column, Matrix
from graphsec.query.what_can import WhatCan
from graphsec.query.who_can import WhoCan

# Questions about flows are imported by their commands: they bring numpy, which nothing else needs at start-up.

_WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.INFO)

app = typer.Typer(
    name="graphsec",
    help="Who can read secrets, what may this account do: Kubernetes RBAC answered offline, with evidence.\n\n"
    "Sentences work too: `graphsec who can read secrets in prod -f cluster.json`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Verb = Annotated[str, typer.Argument(help="Verb, list (get,list) or group: read, write, admin.", show_default=False)]
_Type = Annotated[
    str,
    typer.Argument(
        metavar="TYPE[/NAME]|URL", help="Resource type, its name or subresource, or a URL.", show_default=False
    ),
]
_Subresource = Annotated[str, typer.Option("--subresource", help="Subresource, e.g. exec.", show_default=False)]
_Source = Annotated[
    str,
    typer.Argument(
        metavar="[FROM]",
        help="NS/NAME, NS/NAME[Kind], NS/*, NS/KEY=VALUE, address, CIDR, internet or *.",
        show_default=False,
    ),
]
_Destination = Annotated[str, typer.Argument(metavar="[TO]", help="As FROM.", show_default=False)]
_Port = Annotated[int, typer.Option("--port", help="Port of the destination pod.", show_default=False)]
_Protocol = Annotated[str, typer.Option("--protocol", help="TCP, UDP or SCTP.", show_default=False)]
_Name = Annotated[str, typer.Option("--name", help="Name of the object, also TYPE/NAME.", show_default=False)]


@app.command("who-can")
@with_common
def who_can(
    common: Common,
    verb: _Verb,
    target: _Type,
    subresource: _Subresource = "",
    name: _Name = "",
    scope: Annotated[str, typer.Option("--scope", help="cluster: only cluster-wide grants.", show_default=False)] = "",
    as_people: Annotated[bool, typer.Option("--as-people", help="Name the members of groups.")] = False,
    via: Annotated[
        str, typer.Option("--via", help="direct, or escalation: who could come to do it.", show_default=False)
    ] = "direct",
    expect_none: Annotated[bool, typer.Option("--expect-none", help="Exit 1 if somebody can.")] = False,
) -> int:
    """Who may do this: every holder with its binding, role, file and line."""
    if via not in ("direct", "escalation"):
        raise UsageError(f"unknown `--via {via}`", help="direct or escalation")
    if scope not in ("", "cluster", "any"):
        raise UsageError(f"unknown scope `{scope}`", help="scopes: cluster, any; a namespace with -n")
    world = session.open_world(common)
    namespace = common.scope if scope != "cluster" else ""
    asked = parse_target(target, world, subresource=subresource, name=name, namespace=namespace)
    if not namespace and scope != "cluster" and not common.all_namespaces:
        asked = asked.in_own_namespace()
    question = WhoCan(
        verbs=parse_verbs(verb, world),
        target=asked.target,
        any_namespace=scope != "cluster" and not (asked.target.namespace or asked.target.url),
        any_name=not asked.target.name,
        as_people=as_people,
    )
    if via == "escalation":
        return _via_escalation(world, question, common, expect_none=expect_none)
    answer = session.without_builtin(world, question.answer(world), common)
    answer = session.warned(answer, asked.warning, namespace_or_suggest(asked.target.namespace, world))
    code = session.deliver(answer, common, [_subjects_line(answer)])
    return code or int(expect_none and bool(answer))


def _via_escalation(world: World, question: WhoCan, common: Common, *, expect_none: bool) -> int:
    from graphsec.query.via_escalation import ViaEscalation

    answer = ViaEscalation(direct=question, include_builtin=common.include_builtin).answer(world)
    code = session.deliver(answer, common, [f"{counted(len(answer), 'subject')} could come to do it"])
    return code or int(expect_none and bool(answer))


def _subjects_line(answer: Any) -> str:
    subjects = len({item.subject for item in answer})
    hidden = f" ({answer.left_out:,} built-in left out, --include-builtin)" if answer.left_out else ""
    return f"{counted(subjects, 'subject')}{hidden}"


@app.command("can-i")
@with_common
def can_i(
    common: Common,
    verb: Annotated[str, typer.Argument(help="Verb.", show_default=False)] = "",
    target: Annotated[
        str, typer.Argument(metavar="TYPE[/NAME]|URL", help="Resource type, or a URL.", show_default=False)
    ] = "",
    subject: Annotated[
        str, typer.Option("--as", help="User name, sa:NS/NAME or another spelling.", show_default=False)
    ] = "",
    groups: Annotated[
        list[str], typer.Option("--as-group", help="Group of the user (repeatable).", show_default=False)
    ] = [],  # noqa: B006
    subresource: _Subresource = "",
    name: _Name = "",
    list_all: Annotated[bool, typer.Option("--list", help="List all that the subject may do.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say which binding and rule decide.")] = False,
) -> int:
    """May this subject do this? Prints yes, no, conditional or unknown; exits 0 for yes, 1 otherwise."""
    if not subject:
        raise UsageError(
            "can-i needs a subject: there is no current user offline", help="`--as USER` or `--as sa:NS/NAME`"
        )
    world = session.open_world(common)
    if list_all:
        return _list_grants(world, subject, common)
    if not verb or not target:
        raise UsageError("can-i takes a verb and a type", help="graphsec can-i VERB TYPE[/NAME] --as SUBJECT")
    asked = parse_target(target, world, subresource=subresource, name=name, namespace=common.scope)
    principal = parse_subject(subject, world)
    if principal.kind == "Group":
        raise UsageError("a group makes no requests", help=f"`--as USER --as-group {principal.name}`")
    question = CanI(
        verbs=parse_verbs(verb, world),
        target=asked.target if common.scope else asked.in_own_namespace().target,
        user=username(principal),
        groups=_impersonated(tuple(groups)) if groups else None,
    )
    doubts = (
        asked.warning,
        known_or_suggest(principal, world),
        namespace_or_suggest(asked.target.namespace, world),
    )
    answer = session.warned(question.answer(world), *doubts)
    decision = answer.items[0]
    if common.output == "table":
        if not common.quiet:
            print(decision.word)
            for line in decision.explanation() if explain else ():
                print(f"  {safe(line)}")
        for warning in answer.warnings:
            session.warn(warning, common)
        if decision.word != "yes" or explain:
            session.say(decision.reason, common)
            session.say(session.coverage_line(answer), common)
        session.write_reports(answer, common, session.view_options(common))
        session.print_diagnostics(answer.diagnostics, common)
        code = session.outcome(answer, common)
    else:
        code = session.deliver(answer, common)
    return code or int(decision.word != "yes")


def _impersonated(groups: tuple[str, ...]) -> tuple[str, ...]:
    """The groups of an impersonated request: those given, and system:authenticated unless anonymous (S-70)."""
    return groups if "system:unauthenticated" in groups else (*groups, "system:authenticated")


@app.command("what-can")
@with_common
def what_can(
    common: Common,
    subject: Annotated[
        str, typer.Argument(help="sa:NS/NAME, user:NAME, group:NAME or a user name.", show_default=False)
    ],
) -> int:
    """Everything a subject may do; `-o yaml` gives an equivalent minimal role."""
    return _list_grants(session.open_world(common), subject, common)


def _list_grants(world: World, subject: str, common: Common) -> int:
    principal = parse_subject(subject, world)
    answer = session.warned(
        WhatCan(subject=principal, namespace=common.scope).answer(world),
        known_or_suggest(principal, world),
        namespace_or_suggest(common.scope, world),
    )
    return session.deliver(answer, common, [counted(len(answer), "rule")])


@app.command("matrix")
@with_common
def matrix(
    common: Common,
    types: Annotated[
        list[str],
        typer.Argument(metavar="[TYPE]...", help="Resource types (default: the sensitive ones).", show_default=False),
    ] = [],  # noqa: B006
) -> int:
    """Subjects by resources: which verbs each class of subjects holds."""
    world = session.open_world(common)
    columns = tuple(_column(parse_target(word, world)) for word in types) or SENSITIVE
    question = Matrix(resources=columns, namespace=common.scope, builtin=common.include_builtin)
    answer = question.answer(world)
    return session.deliver(
        answer, common, [f"{counted(len(answer), 'row')}, each for all subjects with the same roles there"]
    )


def _column(asked: Asked) -> Column:
    target = asked.target
    if target.url:
        raise UsageError("matrix takes resource types, no URLs", help="graphsec who-can get URL")
    subresources = asked.known.subresources if asked.known else {}
    verbs = subresources.get(target.subresource, ()) if target.subresource else VERBS
    return Column(resource=target.resource, group=target.group, subresource=target.subresource, verbs=verbs or VERBS)


@app.command("bindings")
@with_common
def bindings(
    common: Common,
    subject: Annotated[
        str, typer.Option("--subject", help="Bindings of this subject and its groups.", show_default=False)
    ] = "",
    role: Annotated[
        str,
        typer.Option("--role", help="Bindings to this role: NAME, ClusterRole/NAME, Role/NS/NAME.", show_default=False),
    ] = "",
) -> int:
    """Look up bindings by subject, role and namespace."""
    world = session.open_world(common)
    principal = parse_subject(subject, world) if subject else None
    question = Bindings(subject=principal, role=role, namespace=common.scope)
    answer = session.without_builtin(world, question.answer(world), common)
    unknown_role = f"no role `{role}` in the input" if role and not answer and not answer.left_out else ""
    doubts = (
        known_or_suggest(principal, world) if principal else "",
        unknown_role,
        namespace_or_suggest(common.scope, world),
    )
    return session.deliver(session.warned(answer, *doubts), common, [counted(len(answer), "binding")])


@app.command("inspect")
@with_common
def inspect(
    common: Common,
    diagnostics: Annotated[bool, typer.Option("--diagnostics", help="Print each diagnostic instead.")] = False,
) -> int:
    """What was loaded, what it lacks, and which questions it can answer."""
    world = session.open_world(common)
    if diagnostics and common.output == "table":
        for diagnostic in sorted(world.diagnostics, key=lambda found: _WORST_FIRST.index(found.severity)):
            print(safe(f"{diagnostic}{f' [{diagnostic.object}]' if diagnostic.object else ''}"))
        return 4 if any(diagnostic.is_limit for diagnostic in world.diagnostics) else 0
    return session.deliver(Inspect().answer(world), common)


@app.command("reach")
@with_common
def reach(
    common: Common,
    source: _Source = "",
    destination: _Destination = "",
    port: _Port = 0,
    protocol: _Protocol = "",
    explain: Annotated[bool, typer.Option("--explain", help="Name the rules that allow each flow.")] = False,
    expect_none: Annotated[bool, typer.Option("--expect-none", help="Exit 1 if there is a flow.")] = False,
) -> int:
    """What can reach what: allowed flows between pods, workloads, namespaces and addresses (`*` is any end)."""
    from graphsec.query.reach import Reach

    world = session.open_world(common)
    question = Reach(
        source=_end(source),
        destination=_end(destination),
        port=port,
        protocol=protocol.upper(),
        fold=common.fold or "workload",
        namespace=common.scope,
    )
    answer = session.warned(question.answer(world), namespace_or_suggest(common.scope, world))
    shown = replace(common, output="wide") if explain and common.output == "table" else common
    code = session.deliver(answer, shown, [_flows_line(answer)])
    return code or int(expect_none and bool(answer))


def _end(word: str) -> str:
    return "" if word == "*" else word


def _flows_line(answer: Any) -> str:
    open_ends = sum(not flow.ports for flow in answer)
    possible = f", {open_ends:,} of them only possible" if open_ends else ""
    return f"{counted(len(answer), 'flow')}{possible}"


@app.command("exposed")
@with_common
def exposed(common: Common) -> int:
    """What the internet, other namespaces and pods to come can open, by which way; `-n` keeps one namespace's workloads."""
    from graphsec.query.exposed import Exposed

    world = session.open_world(common)
    answer = session.warned(Exposed(namespace=common.scope).answer(world), namespace_or_suggest(common.scope, world))
    return session.deliver(answer, common, [_exposures_line(answer)])


def _exposures_line(answer: Any) -> str:
    open_ = [item for item in answer if item.verdict != "no"]
    workloads = len({item.workload for item in open_ if item.origin == "internet"})
    words = [
        counted(len(open_), "exposure"),
        f"{counted(workloads, 'workload')} open to the internet or the network of the nodes",
        f"{sum(item.verdict == 'possible' for item in open_):,} only possible",
        f"{len(answer) - len(open_):,} blocked by policies",
    ]
    return ", ".join(words)


@app.command("explain")
@with_common
def explain(
    common: Common,
    subject: Annotated[
        str,
        typer.Argument(metavar="CODE|FROM", help="Diagnostic code, or the source of a connection.", show_default=False),
    ],
    destination: _Destination = "",
    port: _Port = 0,
    protocol: _Protocol = "TCP",
) -> int:
    """What a diagnostic means; or, with two ends, why a connection is allowed or denied, rule by rule."""
    if destination:
        if not port:
            raise UsageError("which port?", help=f"graphsec explain {subject} {destination} --port PORT")
        return _explain_flow(common, subject, destination, protocol, port)
    return _explain_code(subject, common.output)


def _explain_flow(common: Common, source: str, destination: str, protocol: str, port: int) -> int:
    from graphsec.query.can_reach import CanReach
    from graphsec.query.explain_flow import ExplainFlow, text

    question = ExplainFlow(
        packet=CanReach(source=source, destination=destination, protocol=protocol.upper(), port=port)
    )
    world = session.open_world(common)
    answer = question.answer(world)
    if common.output != "table":
        return session.deliver(answer, common)
    return session.deliver_text(answer, common, text(question.decide(world)))


def _explain_code(code: str, output: str) -> int:
    found = CODES.get(code.upper())
    if found is None:
        import difflib

        near = difflib.get_close_matches(code.upper(), CODES, n=1)
        raise UsageError(f"unknown code `{code}`", help=f"did you mean {near[0]}?" if near else ", ".join(CODES))
    if output == "json":
        import msgspec

        fields = {"code": found.code, "severity": found.severity.value, "title": found.title, "meaning": found.meaning}
        print(msgspec.json.format(msgspec.json.encode(fields | {"remedy": found.remedy}, order="sorted")).decode())
        return 0
    strict = (
        "fails under --strict (exit 3)" if found.fails_strict else "exit 4" if found.limit else "kept under --strict"
    )
    print(f"{found.code} {found.title} ({found.severity}, {strict})\n\n{found.meaning}\n\nRemedy: {found.remedy}")
    return 0


@app.command("schema")
def schema(name: Annotated[str, typer.Argument(help="answer or query", show_default=False)] = "answer") -> int:
    """Print the JSON Schema of answers, or of query files."""
    from graphsec.render._schemas import schema as read_schema

    print(read_schema(name), end="")
    return 0


@app.command("collect")
def collect() -> int:
    """Print the kubectl commands that collect a complete input (read-only)."""
    from graphsec.query._needs import COLLECT, COLLECT_SECRETS

    print(f"{COLLECT}\n{COLLECT_SECRETS}")
    return 0


@app.command("completion")
def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish.", show_default=False)]) -> int:
    """Print a completion script for a shell."""
    from graphsec.cli._completion import script

    print(script(shell), end="")
    return 0


@app.command("doctor")
def doctor() -> int:
    """Versions of what graphsec runs on, and whether Graphviz is there."""
    import platform
    import shutil
    from importlib.metadata import version

    from graphsec import __version__

    print(f"graphsec   {__version__}\npython     {platform.python_version()}")
    for package in ("msgspec", "numpy", "PyYAML", "networkx", "typer", "graphviz"):
        print(f"{package:<10} {version(package)}")
    print(f"dot        {shutil.which('dot') or 'not found: pictures are written as DOT text'}")
    return 0


@app.command("version")
def show_version() -> int:
    """Print the version."""
    from graphsec import __version__

    print(f"graphsec {__version__}")
    return 0
