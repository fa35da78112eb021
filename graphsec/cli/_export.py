"""`graphsec export`: the whole graph for other tools, and the queries to begin with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import ReaderGoneError, UsageError
from graphsec.query.export import EXPORTS, QUERIES, Export, export, export_format, starter_queries

_FORMATS = ", ".join((*EXPORTS, QUERIES))
#: A format and the file that it goes to, None for stdout.
_Target = tuple[str, Path | None]


@app.command("export")
@with_common
def export_graph(
    common: Common,
    format: Annotated[  # noqa: A002 - the word users see
        str, typer.Argument(metavar="[FORMAT]", help=f"{_FORMATS}.", show_default=False)
    ] = "",
) -> int:
    """Write the whole graph with its attack edges: to stdout, or to files with `--out FORMAT=FILE`."""
    targets = _targets(format, common)
    for name, path in targets:
        if name == QUERIES:
            _write(path, _queries(), common)
    graphs = [(name, path) for name, path in targets if name != QUERIES]
    return _export_graphs(graphs, common) if graphs else 0


def _export_graphs(targets: Sequence[_Target], common: Common) -> int:
    world = session.open_world(replace(common, out=[]))
    answers = [Export(format=name).answer(world) for name, _ in targets]
    for answer, (name, path) in zip(answers, targets, strict=True):
        session.say(f"# {answer.question.command()}", common)
        _write(path, export(world, name), common)
    for warning in answers[0].warnings:
        session.warn(warning, common)
    session.print_diagnostics(answers[0].diagnostics, common)
    return session.outcome(answers[0], common)


def _targets(format: str, common: Common) -> list[_Target]:  # noqa: A002
    """The formats to write and where. Raises UsageError before any work is done."""
    if common.output != "table":
        raise UsageError("export takes its format as a word, no `-o`", help=f"graphsec export {common.output}")
    files = [_target(text) for text in common.out]
    printed: list[_Target] = [(format, None)] if format and format not in dict(files) else []
    targets = [*files, *printed]
    if not targets:
        raise UsageError("export in which format?", help=f"formats: {_FORMATS}")
    for name, _ in targets:
        if name != QUERIES:
            export_format(name)
    return targets


def _target(text: str) -> _Target:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"no report: `{text}`", help="write it as `--out FORMAT=FILE`")
    if not Path(path).parent.is_dir():
        raise UsageError(f"cannot write {path}: no such folder")
    return name, Path(path)


def _queries() -> Iterator[str]:
    yield "\n".join(f"// -- {name}\n{text}" for name, text in starter_queries().items())


def _write(path: Path | None, pieces: Iterator[str], common: Common) -> None:
    if path is None:
        _print(pieces)
        return
    try:
        with path.open("wb") as file:
            file.writelines(piece.encode("utf-8") for piece in pieces)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    session.say(f"Wrote {path}", common)


def _print(pieces: Iterator[str]) -> None:
    sys.stdout.flush()
    try:
        sys.stdout.buffer.writelines(piece.encode("utf-8") for piece in pieces)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Not left to typer, which would take a reader that has seen enough for a failure.
        raise ReaderGoneError from None
