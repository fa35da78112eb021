"""The flags that are known without loading typer are exactly those of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from graphsec.cli import _all
from graphsec.cli._arguments import COMMANDS, SWITCHES, VALUED, canonical, split
from graphsec.cli.app import app
from graphsec.errors import UsageError


def commands(group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield name, command
        if hasattr(command, "commands"):
            yield from commands(command)


def flags() -> Iterator[tuple[str, bool]]:
    """(spelling, whether it is a switch) of every flag of every command."""
    # Imported for their commands.
    assert _all.__name__
    for _, command in commands(typer.main.get_command(app)):
        for parameter in command.params:
            if parameter.param_type_name == "option":
                yield from ((name, parameter.is_flag) for name in parameter.opts)


def test_every_flag_is_known_without_typer() -> None:
    found = set(flags()) | {("-h", True), ("--help", True)}
    assert {name for name, switch in found if switch} == set(SWITCHES)
    assert {name for name, switch in found if not switch} == set(VALUED)


def test_every_command_is_known_without_typer() -> None:
    assert {name for name, _ in typer.main.get_command(app).commands.items()} == set(COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("-f x who-can get pods", "who-can -f x get pods"),
        ("-n who-can who-can get pods", "who-can -n who-can get pods"),
        ("who can get pods -f x in prod", "who-can get pods -n prod -f x"),
        ("who can get pods --with-defaults in all namespaces -q", "who-can get pods -A --with-defaults -q"),
        ("can olga get pods in prod", "can-i get pods --as olga -n prod"),
        ("what can sa:a/b do", "what-can sa:a/b"),
        ("query", "query --help"),
        ("who can reach prod/db on 5432 -f x", "reach * prod/db --port 5432 -f x"),
        ("who can reach prod/db", "reach * prod/db"),
        ("", "--help"),
    ],
)
def test_canonical_order(given: str, expected: str) -> None:
    assert canonical(given.split()) == expected.split()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("-V", "no command given with `-V`"),
        ("auth can-i get pods", "did you mean `can-i`"),
        ("who can get pods at home", "unexpected `at home`"),
        ("who may get pods", "no sentence of the grammar"),
        ("how can a become", "no sentence of the grammar"),
        ("who can reach", "who can reach what"),
    ],
)
def test_refused_with_a_suggestion(given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        canonical(given.split())


def test_flags_keep_their_values() -> None:
    assert split(["-f", "-", "a", "--fold=none", "-q", "b", "-nprod"]) == (
        ["a", "b"],
        ["-f", "-", "--fold=none", "-q", "-nprod"],
    )
