"""Defaults of flags: where they are looked for, what wins, and what is refused at file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer
from conftest import Graphsec

from graphsec.cli import _check, _config, _query
from graphsec.cli.app import app


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GRAPHSEC_")]:
        monkeypatch.delenv(name)


def origins(graphsec: Graphsec, arguments: str = "") -> dict[str, tuple[str, str]]:
    """key -> (value, origin) of `config show --origin`."""
    run = graphsec(f"config show --origin {arguments}")
    assert run.code == 0, run.err
    rows = [line.partition("  # ") for line in run.out.splitlines()]
    return {left.partition(" = ")[0]: (left.partition(" = ")[2], origin) for left, _, origin in rows}


def test_every_key_is_a_flag_of_some_command() -> None:
    assert _query.queries is not None
    assert _check.check is not None

    def parameters(command: object) -> set[str]:
        inner = getattr(command, "commands", {}).values()
        own = {parameter.name for parameter in getattr(command, "params", ())}
        return own.union(*(parameters(found) for found in inner))

    known = parameters(typer.main.get_command(app))
    assert {key.parameter for key in _config.KEYS.values()} - {""} <= known


def test_the_nearest_file_counts_and_its_paths_are_its_own(world: Path, graphsec: Graphsec) -> None:
    (world.parent / "graphsec.toml").write_text('input = "world.yaml"\nfail-on = "low"\n')
    inner = world.parent / "a" / "b"
    inner.mkdir(parents=True)
    os.chdir(inner)
    assert graphsec("who-can get secrets").code == 0
    assert origins(graphsec)["input"] == ('["../../world.yaml"]', "../../graphsec.toml:1")
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert origins(graphsec)["fail-on"] == ('"low"', "../../graphsec.toml:2")
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n\n[tool.graphsec]\nfail-on = "high"\n')
    shown = origins(graphsec)
    assert shown["fail-on"] == ('"high"', "pyproject.toml:5")
    assert shown["input"] == ("[]", "default")


def test_flags_win_over_variables_and_variables_over_the_file(
    world: Path, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.parent / "graphsec.toml").write_text('input = "world.yaml"\noutput = "json"\n')
    assert graphsec("who-can get secrets").out.startswith("{")
    monkeypatch.setenv("GRAPHSEC_OUTPUT", "name")
    assert graphsec("who-can get secrets").out.startswith("group/system:masters") is False
    assert origins(graphsec)["output"] == ('"name"', "$GRAPHSEC_OUTPUT")
    assert "user/olga" in graphsec("who-can get secrets").out
    assert graphsec("who-can get secrets -o csv").out.startswith("SUBJECT,")
    monkeypatch.setenv("GRAPHSEC_INPUT", "none.yaml")
    assert graphsec("who-can get secrets").code == 3
    assert graphsec("who-can get secrets -f world.yaml").code == 0


def test_a_file_can_be_named(world: Path, graphsec: Graphsec) -> None:
    (world.parent / "other.toml").write_text('input = "world.yaml"\nnamespace = "prod"\n')
    assert graphsec("who-can get secrets").code == 3
    assert "-n prod" in graphsec("who-can get secrets --config other.toml").err
    assert "-n prod" in graphsec("who-can get secrets --config=other.toml").err
    assert graphsec("who-can get secrets --config none.toml").code == 2
    assert origins(graphsec, "--config other.toml")["namespace"] == ('"prod"', "other.toml:2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# ours\nfail-onn = 'low'\n", "graphsec.toml:2: unknown key `fail-onn` (did you mean `fail-on`?)"),
        ("fail_on = 'low'\n", "graphsec.toml:1: unknown key `fail_on` (did you mean `fail-on`?)"),
        ("[check]\npacks = []\n", "graphsec.toml:1: unknown key `check`"),
        ("strict = 'yes'\n", "graphsec.toml:1: `strict` takes true or false"),
        ("limit = true\n", "graphsec.toml:1: `limit` takes a number"),
        ("packs = [1]\n", "graphsec.toml:1: `packs` takes a list of texts"),
        ("cni = 5\n", "graphsec.toml:1: `cni` takes a text"),
        ("packs = [\n", "graphsec.toml:"),
        ("strict = true\nstrict = false\n", "graphsec.toml:2:"),
    ],
)
@pytest.mark.parametrize("command", ["check", "who-can get secrets", "config show", "query lint GS-Q-001"])
def test_what_is_wrong_is_refused_at_its_line(
    world: Path, graphsec: Graphsec, text: str, message: str, command: str
) -> None:
    (world.parent / "graphsec.toml").write_text(text)
    run = graphsec(command)
    assert (run.code, run.out) == (2, "")
    assert f"error: {message}" in run.err


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GRAPHSEC_FAILON", "low", "unknown variable `GRAPHSEC_FAILON` (did you mean `fail-on`?)"),
        ("GRAPHSEC_STRICT", "maybe", "$GRAPHSEC_STRICT: `maybe` is neither true nor false"),
        ("GRAPHSEC_LIMIT", "many", "$GRAPHSEC_LIMIT: `many` is no number"),
    ],
)
@pytest.mark.usefixtures("world")
def test_variables_are_checked_too(
    graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    run = graphsec("who-can get secrets -f world.yaml")
    assert run.code == 2
    assert f"error: {message}" in run.err


def test_another_tools_broken_file_is_no_concern_of_ours(world: Path, graphsec: Graphsec) -> None:
    (world.parent / "pyproject.toml").write_text("[project\n")
    assert graphsec("who-can get secrets -f world.yaml").code == 0
    (world.parent / "pyproject.toml").write_text("[tool.graphsec]\nlimit = \n")
    assert graphsec("who-can get secrets -f world.yaml").code == 2


def test_packs_and_gate_of_check(world: Path, graphsec: Graphsec) -> None:
    queries = world.parent / "rules"
    queries.mkdir()
    (queries / "q.yaml").write_text(
        "apiVersion: graphsec/v1\nid: ORG-001\ntitle: Readers\nseverity: low\ndescription: D.\nremediation: R.\n"
        "ask: who_can\nverbs: [get]\nresource: secrets\n"
    )
    config = world.parent / "graphsec.toml"
    config.write_text('input = "world.yaml"\nqueries = ["rules"]\npacks = ["./rules"]\nfail-on = "low"\n')
    run = graphsec("check -o json")
    assert run.code == 1
    assert '"ORG-001"' in run.out
    assert '"GS-Q-001"' not in run.out
    assert graphsec("check --fail-on medium").code == 0
    assert '"GS-Q-001"' in graphsec("check reviewer -o json").out
