"""The documentation says what is so: its commands and flags exist, and its console blocks print what they show."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from conftest import ROOT, Graphsec

from graphsec.cli import _check, _query
from graphsec.cli._arguments import COMMANDS, canonical
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.diagnostic import CODES
from graphsec.render import renderers

_PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if path.name != "CHANGELOG.md")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FLAG = re.compile(r"(?<![\w-])(-[a-zA-Z]|--[a-z][a-z0-9-]+)(?![\w-])")


class Usage(NamedTuple):
    """One ``graphsec …`` command of a page. ``output`` is None where the page shows none."""

    page: str
    line: int
    command: str
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def _spans(page: Path) -> Iterator[Usage]:
    """Commands in running text and in code blocks."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        for line in fence[2].replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|[|;&]\s*)(?:\$ )?(graphsec\s.*)", line)
            if found and fence[1] in ("console", "sh", "bash", "shell", ""):
                yield Usage(_name(page), _line(text, fence.start()), found[1])
    blank = _FENCE.sub(lambda match: re.sub(r"[^\n]", "", match[0]), text)
    for span in _SPAN.finditer(blank):
        if span[1].startswith("graphsec "):
            yield Usage(_name(page), _line(text, text.find(span[0])), span[1])


def _sessions(page: Path) -> Iterator[Usage]:
    """Commands of ``console`` blocks that are followed by output."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        if fence[1] != "console":
            continue
        for session in re.finditer(r"^\$ (.*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", fence[2], re.MULTILINE):
            if session[1].startswith("graphsec ") and session[2].strip():
                line = _line(text, fence.start(2) + session.start())
                yield Usage(_name(page), line, session[1].replace("\\\n", ""), session[2])


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _flags() -> set[str]:
    """Every flag of every command."""
    assert _check.__name__ < _query.__name__  # their commands are part of the app once they are imported
    root = typer.main.get_command(app)
    commands = [root]
    for command in commands:
        commands.extend(getattr(command, "commands", {}).values())
    spelled = {name for command in commands for parameter in command.params for name in parameter.opts}
    return {name for name in spelled if name.startswith("-")} | {"-h", "--help", "--version"}


USAGES = [usage for page in _PAGES for usage in _spans(page)]
SESSIONS = [usage for page in _PAGES for usage in _sessions(page)]


@pytest.mark.parametrize("usage", USAGES, ids=str)
def test_commands_and_flags_exist(usage: Usage) -> None:
    words = shlex.split(re.sub(r"\s+[|>#].*", "", usage.command), comments=True)[1:]
    literal = [word for word in words if word not in ("…", "...")]
    assert set(_FLAG.findall(" ".join(word for word in literal if word.startswith("-")))) <= _flags()
    if literal[:1] in (["--version"], ["__complete"], []):
        return
    try:
        command = canonical(literal)[0]
    except UsageError as error:
        # A page may name a command or a sentence without what it takes, such as `graphsec COMMAND`.
        assert literal[0].isupper() or "no sentence" in error.message, error.message  # noqa: PT017
        return
    assert command in (*COMMANDS, "--help")


def terminal(command: str) -> str:
    """What a terminal shows of a `graphsec` command run in the checkout: standard output and error together."""
    # Unbuffered, so that both streams come in the order in which a terminal shows them.
    program = f"{shlex.quote(sys.executable)} -u -m {command}"
    run = subprocess.run(
        ["sh", "-c", program],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return run.stdout


@pytest.mark.parametrize("usage", SESSIONS, ids=str)
def test_sessions_print_what_they_show(usage: Usage) -> None:
    """Standard output and error together, as a terminal shows them; a line ``...`` stands for any lines."""
    assert usage.output is not None
    if "svg" in usage.command and shutil.which("dot") is None:
        pytest.skip("needs Graphviz")
    printed = terminal(usage.command)
    shown = "\n".join(line.rstrip() for line in usage.output.strip("\n").splitlines())
    pattern = "\n".join(r"(?:.*\n)*?.*" if line in ("...", "…") else re.escape(line) for line in shown.split("\n"))
    assert re.fullmatch(pattern, printed.strip("\n")), f"{usage}: {usage.command}\n{printed}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(graphsec: Graphsec, command: str) -> None:
    assert graphsec(f"{command} --help").code == 0
    assert re.search(rf"^\s+{command} ", graphsec("--help").out, re.MULTILINE)


@pytest.mark.parametrize("code", CODES)
def test_every_diagnostic_is_explained(graphsec: Graphsec, code: str) -> None:
    run = graphsec(f"explain {code.lower()}")
    assert run.code == 0
    found = CODES[code]
    assert run.out.startswith(f"{code} {found.title}")
    assert found.meaning in run.out
    assert found.remedy in run.out


def test_every_raised_diagnostic_has_an_explanation() -> None:
    modules = [path for path in (ROOT / "graphsec").rglob("*.py") if path.name != "diagnostic.py"]
    sources = [path.read_text(encoding="utf-8") for path in modules]
    raised = {code for text in sources for code in re.findall(r"GS-[A-Z]{2,3}-\d{3}", text)}
    assert raised == CODES.keys()


@pytest.mark.parametrize("code", CODES)
def test_remedies_name_flags_that_exist(code: str) -> None:
    ours = set(_FLAG.findall(re.sub(r"`helm [^`]*`|-Encoding|--validate=strict", "", CODES[code].remedy)))
    assert ours <= _flags()


def test_every_format_and_command_is_completed(graphsec: Graphsec) -> None:
    assert {*graphsec("__complete who-can get pods -o ''").out.split()} - {":4"} == renderers().keys()
    assert {*COMMANDS} <= {*graphsec("__complete ''").out.split()}
