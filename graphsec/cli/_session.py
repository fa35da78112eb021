"""One run of a question: load, ask, print to stdout what was asked for and to stderr what there is to say."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from graphsec.api import load
from graphsec.cli._config import current
from graphsec.cli._options import Common
from graphsec.compile import World
from graphsec.compile.endpoints import TEMPLATES
from graphsec.errors import InputError, ReaderGoneError, UsageError
from graphsec.model.coverage import RBAC_KINDS, State
from graphsec.model.diagnostic import Diagnostic, Severity
from graphsec.model.policy_families import POLICY_KINDS
from graphsec.model.text import counted, safe
from graphsec.query._answer import Answer
from graphsec.query._grants import is_builtin
from graphsec.query._needs import COLLECT, is_about_flows
from graphsec.render import Options, Renderer, renderers

A = TypeVar("A", bound=Answer[Any])
_TERMINAL_ROWS = 50
#: Work that takes longer than this says so on a terminal.
_PATIENCE = 1.0
#: The one `--out` of `snapshot`.
GSX = "gsx"


def open_world(common: Common) -> World:
    """The world of ``-f``, of the input that is configured, or of piped stdin. Raises InputError with the command to collect one."""
    check_formats(common)
    inputs = list(common.filename) or _fallback_inputs()
    with progress(f"reading {', '.join(inputs)}", common):
        return load(
            *inputs,
            namespace=common.default_namespace or common.namespace or "default",
            memberships=common.memberships or None,
            entries=common.entries or None,
            k8s_version=common.k8s_version or None,
            with_defaults=common.with_defaults,
            cni=common.cni,
            strict=common.strict,
            exclude=common.exclude,
            limits=common.limits,
        )


def _fallback_inputs() -> list[str]:
    if named := current().value("input"):
        return list(named)
    if sys.stdin is not None and not sys.stdin.isatty():
        return ["-"]
    raise InputError("no input: give `-f FILE|DIR|-`", help=f"collect one with\n    {COLLECT}")


@contextmanager
def progress(text: str, common: Common) -> Iterator[None]:
    """Say on a terminal what takes longer than a second; never in CI, never with -q."""
    if common.quiet or not sys.stderr.isatty() or os.environ.get("CI"):
        yield
        return
    shown = threading.Event()

    def show() -> None:
        shown.set()
        print(f"{safe(text)} ...", end="", file=sys.stderr, flush=True)

    timer = threading.Timer(_PATIENCE, show)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if shown.is_set():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def say(text: str, common: Common) -> None:
    if not common.quiet:
        print("\n".join(map(safe, text.splitlines())), file=sys.stderr)


def warn(text: str, common: Common) -> None:
    say(f"Warning: {text}", common)


def without_builtin(world: World, answer: Answer[Any], common: Common) -> Answer[Any]:
    """The answer without items whose every binding is shipped with Kubernetes."""
    if common.include_builtin:
        return answer
    kept = tuple(item for item in answer.items if not _is_builtin(world, item))
    return replace(answer, items=kept, left_out=len(answer.items) - len(kept))


def _is_builtin(world: World, item: Any) -> bool:
    """Members of system:masters whom a membership file names are nobody's default."""
    people = bool(getattr(item, "members", ()) or getattr(item, "through", ""))
    return is_builtin(world, item.because, people=people)


def warned(answer: A, *warnings: str) -> A:
    """The answer with those further warnings that say something."""
    return replace(answer, warnings=(*answer.warnings, *filter(None, warnings)))


def deliver(
    answer: Answer[Any], common: Common, summary: Sequence[str] = (), *, shown: Answer[Any] | None = None
) -> int:
    """Write the answer and its reports; exit code 0, 3 with ``--fail-on-incomplete`` or 4 where a limit stopped work.

    ``shown`` is what a terminal shows of it: reports and the exit code are of all.
    """
    seen = answer if shown is None else shown
    say(f"# {answer.question.command()}", common)
    options = view_options(common)
    _write_stdout(seen, common, options)
    write_reports(answer, common, options)
    _aftermath(seen, common, summary)
    return outcome(answer, common)


def deliver_text(answer: Answer[Any], common: Common, lines: Sequence[str], summary: Sequence[str] = ()) -> int:
    """An answer whose form on a terminal is sentences."""
    say(f"# {answer.question.command()}", common)
    for line in lines:
        print(safe(line))
    write_reports(answer, common, view_options(common))
    _aftermath(answer, common, summary)
    return outcome(answer, common)


def deliver_plain(answer: Answer[Any], common: Common) -> int:
    """Write an answer and its reports without a word beside it."""
    options = view_options(common)
    _write_stdout(answer, common, options)
    write_reports(answer, common, options)
    return 0


def outcome(answer: Answer[Any], common: Common) -> int:
    """Exit code of an answer as far as its input decides it."""
    if any(diagnostic.is_limit for diagnostic in answer.diagnostics):
        return 4
    return 3 if common.fail_on_incomplete and not answer.complete else 0


def view_options(common: Common) -> Options:
    return Options(
        headers=not common.no_headers,
        limit=_limit(common),
        fold=common.fold or "namespace",
        max_nodes=common.max_nodes,
        raw_csv=common.raw_csv,
    )


def _limit(common: Common) -> int:
    if common.limit >= 0:
        return common.limit
    return _TERMINAL_ROWS if sys.stdout.isatty() else 0


def _report(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"no report: `{text}`", help="write it as `--out FORMAT=FILE`")
    _renderer(name)
    if not Path(path).parent.is_dir():
        raise UsageError(f"cannot write {path}: no such folder")
    return name, Path(path)


def _renderer(name: str) -> Renderer:
    found = renderers().get(name)
    if found is None and name == GSX:
        raise UsageError(
            "`gsx` is what `snapshot` writes, no format of an answer", help="graphsec snapshot -f INPUT --out gsx=FILE"
        )
    if found is None:
        import difflib

        near = difflib.get_close_matches(name, renderers(), n=1)
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        raise UsageError(f"unknown format `{name}`{hint}", help=f"formats: {', '.join(sorted(renderers()))}")
    return found


def check_formats(common: Common) -> None:
    """Raises UsageError before any work is done."""
    _renderer(common.output)
    for text in common.out:
        _report(text)
    if common.fold not in ("", "namespace", "class", "workload", "none"):
        raise UsageError(f"unknown fold `{common.fold}`", help="folds: namespace, class, workload, none")


def _rendered(answer: Answer[Any], name: str, options: Options) -> tuple[str, str | bytes, str]:
    """(format, output, remark); without Graphviz a picture becomes its DOT text."""
    from graphsec.diagram import RenderError

    try:
        return name, _renderer(name).render(answer, options), ""
    except RenderError as error:
        text = _renderer("dot").render(answer, options)
        return "dot", text, f"{error.message}; the DOT text was written, render it with `dot -T{name} FILE`"


def _write_stdout(answer: Answer[Any], common: Common, options: Options) -> None:
    if common.output == "png" and sys.stdout.isatty():
        raise UsageError("a PNG is no text for a terminal", help="write it with `--out png=FILE`")
    _, output, remark = _rendered(answer, common.output, options)
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(output if isinstance(output, bytes) else output.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Not left to typer, which would take a reader that has seen enough for a failure.
        raise ReaderGoneError from None
    if remark:
        warn(remark, common)


def write_reports(answer: Answer[Any], common: Common, options: Options) -> None:
    """Every ``--out``; view options leave reports whole."""
    for name, path in map(_report, common.out):
        _write_report(answer, name, path, common, replace(options, limit=0))


def _write_report(answer: Answer[Any], name: str, path: Path, common: Common, options: Options) -> None:
    written, output, remark = _rendered(answer, name, options)
    if written != name:
        path = path.with_name(path.name + ".dot")
    try:
        path.write_bytes(output if isinstance(output, bytes) else output.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if remark:
        warn(remark, common)
    say(f"Wrote {path}", common)


def _aftermath(answer: Answer[Any], common: Common, summary: Sequence[str]) -> None:
    limit = _limit(common)
    hidden = 0
    if limit and common.output in ("table", "wide"):
        hidden = sum(max(0, len(section.items) - limit) for section in answer.sections(wide=False))
    if hidden:
        say(f"{counted(hidden, 'more row')} (--limit 0)", common)
    for line in (*summary, *answer.notes):
        say(line, common)
    for warning in answer.warnings:
        warn(warning, common)
    # Which namespace was taken is settled when an object is read, for a snapshot when that was made.
    taken = Counter(found.object.split("/")[1] for found in answer.diagnostics if found.code == "GS-IN-012")
    for namespace, unplaced in sorted(taken.items()):
        say(f"{counted(unplaced, 'object')} without a namespace, `{namespace}` was taken (--default-namespace)", common)
    say(coverage_line(answer), common)
    print_diagnostics(answer.diagnostics, common)


def coverage_line(answer: Answer[Any]) -> str:
    """`Coverage: RBAC 4 of 4 kinds loaded, assumed full (no typed lists).`"""
    asked = getattr(answer.question, "query", answer.question)
    # A comparison is about what it compared.
    about_flows = is_about_flows(asked.ask.replace("_", "-"))
    parts = getattr(answer, "compared", ("flow",) if about_flows else ("access",))
    lines = [_access_coverage(answer)] if "access" in parts else []
    return " ".join([*lines, *([_flow_coverage(answer)] if "flow" in parts else [])])


def _access_coverage(answer: Answer[Any]) -> str:
    entries = [answer.coverage[kind] for kind in RBAC_KINDS]
    loaded = sum(entry.state is not State.ABSENT for entry in entries)
    states = {entry.state for entry in entries}
    lacking = [f"{entry.kind} {entry.state}" for entry in entries if entry.state in (State.ABSENT, State.PARTIAL)]
    if lacking:
        word = ", ".join(lacking)
    elif State.ASSUMED in states:
        word = "assumed full (the input does not prove it)"
    else:
        word = "complete"
    return f"Coverage: RBAC {loaded} of {len(entries)} kinds loaded, {word}."


def _flow_coverage(answer: Answer[Any]) -> str:
    """`Coverage: 12 Pods complete, 3 NetworkPolicies assumed full, Namespace absent.`"""
    entries = [answer.coverage[kind] for kind in ("Pod", *TEMPLATES, "Namespace", "NetworkPolicy", *POLICY_KINDS)]
    always = ("Namespace", "NetworkPolicy")
    words = {State.ASSUMED: "assumed full"}
    shown = [
        f"{counted(entry.objects, entry.kind)} {words.get(entry.state, entry.state.value)}"
        if entry.objects
        else f"{entry.kind} {entry.state}"
        for entry in entries
        if entry.objects or entry.kind in always
    ]
    return f"Coverage: {', '.join(shown)}."


def print_diagnostics(diagnostics: Sequence[Diagnostic], common: Common) -> None:
    """Each with -v; without, their number and those of a limit, which decide the exit code."""
    for diagnostic in diagnostics:
        if common.verbose or diagnostic.is_limit:
            say(f"{diagnostic}{f' [{diagnostic.object}]' if diagnostic.object else ''}", common)
    if common.verbose:
        return
    errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
    warnings = sum(diagnostic.severity is Severity.WARNING for diagnostic in diagnostics)
    if errors or warnings:
        say(
            f"Diagnostics: {counted(errors, 'error')}, {counted(warnings, 'warning')} (graphsec inspect --diagnostics)",
            common,
        )
