"""The table of exit codes, one test per code and command (D5).

A command has a row in one of the tables: ``_ASKED`` of what an RBAC input answers, ``_FLOWS`` of what pods answer,
``_COMPARED`` of what takes two inputs, ``_PLAIN`` of what takes none. Each row is tested for every code that it can end with; the words that
end a command with 1 stand beside it in ``_FOUND``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import ROOT, WORLD, Graphsec

from graphsec.cli import _all, _session
from graphsec.cli.app import app

#: Broken in one of two documents, and too deep in one of two.
_BAD = WORLD + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: [}\n"
_DEEP = WORLD + f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {'[' * 150}{']' * 150}\n"
_WITHOUT_RBAC = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\n"
_ROLES_ONLY = WORLD.partition("---\n")[0]

#: Of these, everything that they need is RBAC objects.
_ACCESS = {
    "who-can": "who-can get secrets",
    "can-i": "can-i get pods --as olga -n prod",
    "what-can": "what-can user:olga",
    "matrix": "matrix secrets",
    "bindings": "bindings --role operator",
    "rbac lint": "rbac lint",
    "query run": "query run GS-Q-001",
    "verify": "verify --audit-log audit.json",
}
_ATTACKS = {
    "paths": "paths user:olga",
    "why-not": "why-not user:olga cluster-admin",
    "blast": "blast user:olga",
    "choke": "choke cluster-admin",
    "fix": "fix user:olga secrets:all",
    "graph": "graph",
    "overprivileged": "overprivileged",
    "access": "access",
}
#: These tell what is there, so they answer whatever there is.
_WHATEVER = {
    "inspect": "inspect",
    "export": "export graphml",
    "check": "check --exit-zero",
    "snapshot": "snapshot --out gsx=world.gsx",
}
_ASKED = {**_ACCESS, **_ATTACKS, **_WHATEVER}
_NEEDS_RBAC = {**_ACCESS, **_ATTACKS}
_FLOWS = {
    "reach": "reach shop/frontend",
    "explain": "explain shop/frontend shop/postgres --port 5432",
    "exposed": "exposed",
    "entry-points": "entry-points",
    "policy lint": "policy lint",
    "policy synthesize": "policy synthesize",
}
_COMPARED = ("diff",)
_PLAIN = (
    "explain GS-IN-001",
    "schema answer",
    "collect",
    "completion bash",
    "doctor",
    "version",
    "rules list",
    "rules explain pod-exec",
    "config show",
    "query list",
    "query show GS-Q-001",
    "query copy GS-Q-001",
    "query lint",
    "query test GS-Q-001",
    "--version",
    "--help",
    "",
)
_SHOP = ROOT / "fixtures" / "shop"
#: Everything that reads an input, with one that it answers.
_LOADED = {
    **{name: f"{row} -f world.yaml" for name, row in _ASKED.items()},
    **{name: f"{row} -f {_SHOP}" for name, row in _FLOWS.items()},
    "diff": f"diff {_SHOP} {_SHOP}",
}


def _commands() -> set[str]:
    """Every command that the tables have, groups with what they group."""
    words = [" ".join(row.split()[: 2 if row.startswith(("config", "query", "rules")) else 1]) for row in _PLAIN]
    return {*_ASKED, *_FLOWS, *_COMPARED, *(word for word in words if word and not word.startswith("-"))}


def _leaves(group: Any, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def test_every_command_has_a_row() -> None:
    assert _all.__name__
    assert set(_leaves(typer.main.get_command(app))) == _commands()


@pytest.fixture
def inputs(world: Path) -> Path:
    folder = world.parent
    for name, text in {"bad": _BAD, "deep": _DEEP, "pods": _WITHOUT_RBAC, "roles": _ROLES_ONLY, "empty": ""}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "stage": "ResponseComplete",
        "verb": "delete",
        "requestURI": "/api/v1/namespaces/prod/secrets/db",
        "user": {"username": "olga", "groups": ["system:authenticated"]},
        "objectRef": {"resource": "secrets", "namespace": "prod", "name": "db", "apiVersion": "v1"},
        "annotations": {"authorization.k8s.io/decision": "forbid"},
        "stageTimestamp": "2026-11-01T00:00:00Z",
    }
    (folder / "audit.json").write_text(json.dumps(event), encoding="utf-8")
    (folder / "cut.json").write_text('{"apiVersion": "v1", "kind": "List", "items": [', encoding="utf-8")
    return folder


@pytest.mark.usefixtures("inputs")
class TestAnswered:
    @pytest.mark.parametrize("command", _ASKED)
    def test_0_answered(self, graphsec: Graphsec, command: str) -> None:
        assert graphsec(f"{_ASKED[command]} -f world.yaml").code == 0

    @pytest.mark.parametrize("command", _PLAIN)
    def test_0_without_input(self, graphsec: Graphsec, command: str) -> None:
        run = graphsec(command)
        # The packs are told beside the list.
        assert (run.code, run.err if command != "query list" else "") == (0, "")
        # Nothing to remark on is nothing to say.
        assert run.out or command == "query lint"

    @pytest.mark.parametrize("command", [*_ASKED, *(word for word in map(str.split, _PLAIN) if len(word) > 1)])
    def test_0_help(self, graphsec: Graphsec, command: str | list[str]) -> None:
        name = command if isinstance(command, str) else command[0]
        run = graphsec(f"{name} --help")
        assert run.code == 0
        assert f"graphsec {name}" in run.out

    def test_0_nothing_found(self, graphsec: Graphsec) -> None:
        assert graphsec("who-can delete nodes -f world.yaml").code == 0
        assert graphsec("who-can delete nodes --expect-none -f world.yaml").code == 0

    def test_0_where_bad_input_is_kept_out(self, graphsec: Graphsec) -> None:
        assert graphsec("who-can get secrets -f bad.yaml").code == 0


@pytest.mark.usefixtures("inputs")
class TestNoOrFound:
    @pytest.mark.parametrize(
        ("question", "word"),
        [
            ("can-i delete secrets --as olga -n prod", "no"),
            ("can-i get nodes --as olga -n prod", "conditional"),
            ("can dora get pods in prod", "no"),
        ],
    )
    def test_1_can_i(self, graphsec: Graphsec, question: str, word: str) -> None:
        run = graphsec(f"{question} -f world.yaml")
        assert (run.code, run.out) == (1, f"{word}\n")

    @pytest.mark.parametrize("output", ["json", "name", "csv"])
    def test_1_can_i_in_any_format(self, graphsec: Graphsec, output: str) -> None:
        assert graphsec(f"can-i delete secrets --as olga -n prod -f world.yaml -o {output}").code == 1

    def test_1_who_can_expect_none(self, graphsec: Graphsec) -> None:
        assert graphsec("who-can get secrets --expect-none -f world.yaml").code == 1

    @pytest.mark.parametrize("view", ["--limit 0", "--limit 1", "--no-headers", "-q", "-o json", "-o name"])
    def test_view_options_do_not_change_the_gate(self, graphsec: Graphsec, view: str) -> None:
        assert graphsec(f"who-can get secrets --expect-none -f world.yaml {view}").code == 1
        assert graphsec(f"who-can delete nodes --expect-none -f world.yaml {view}").code == 0

    def test_exit_zero_turns_1_into_0(self, graphsec: Graphsec) -> None:
        assert graphsec("who-can get secrets --expect-none --exit-zero -f world.yaml").code == 0
        assert graphsec("can-i delete secrets --as olga --exit-zero -f world.yaml").code == 0

    @pytest.mark.parametrize(
        ("command", "code"),
        [("who-can gett pods -f world.yaml", 2), ("who-can get pods -f none.yaml", 3), ("inspect -f deep.yaml", 4)],
    )
    def test_exit_zero_turns_nothing_else(self, graphsec: Graphsec, command: str, code: int) -> None:
        assert graphsec(f"{command} --exit-zero").code == code


@pytest.mark.usefixtures("inputs")
class TestUsage:
    @pytest.mark.parametrize(
        "command",
        [
            "who-cann get pods",
            "who-can",
            "who-can get",
            "who-can gett pods",
            "who-can get podz",
            "who-can get pods --namespaze prod",
            "who-can get pods -o jsn",
            "who-can get pods -o dot --fold cluster",
            "who-can get pods --out json",
            "who-can get pods --out jsn=a.json",
            "who-can get pods --out json=no/such/folder/a.json",
            "who-can get pods --scope world",
            "who-can get pods --limit many",
            "who-can get pods --k8s-version 1.x",
            "can-i get pods",
            "can-i --as olga",
            "can-i get pods --as group:ops",
            "can-i get pods --as sa:prod",
            "what-can",
            "what-can sa:prod",
            "matrix podz",
            "matrix /healthz",
            "bindings --subject sa:prod",
            "inspect --diagnostix",
            "explain GS-IN-999",
            "schema none",
            "completion tcsh",
            "who",
            "who can read secrets on prod",
            "who can reach",
            "how can olga become",
            "paths olga nobody",
            "paths Pod/prod/none",
            "paths olga -k 0",
            "paths olga --assume LUCK",
            "paths olga --without RoleBinding/prod/none",
            "blast Node/none",
            "choke nothing",
            "rules explain pod-exce",
            "export graphmll",
        ],
    )
    def test_2(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        monkeypatch.setenv("GRAPHSEC_INPUT", "world.yaml")
        run = graphsec(command)
        assert run.code == 2
        assert run.out == ""
        assert "error: " in run.err


# `version` answers before anything is read.
@pytest.mark.parametrize("command", sorted(_commands() - {"version"}))
def test_2_for_a_flag_that_is_none(graphsec: Graphsec, command: str) -> None:
    run = graphsec(f"{command} --nonsense")
    assert (run.code, run.out) == (2, "")
    assert "--nonsense" in run.err


@pytest.mark.usefixtures("inputs")
class TestInput:
    @pytest.mark.parametrize("command", _ASKED)
    @pytest.mark.parametrize("given", ["", "-f none.yaml"])
    def test_3_no_input(self, graphsec: Graphsec, command: str, given: str) -> None:
        run = graphsec(f"{_ASKED[command]} {given}")
        assert (run.code, run.out) == (3, "")

    @pytest.mark.parametrize("command", _NEEDS_RBAC)
    @pytest.mark.parametrize("given", ["pods.yaml", "empty.yaml", "cut.json"])
    def test_3_no_rbac(self, graphsec: Graphsec, command: str, given: str) -> None:
        run = graphsec(f"{_ASKED[command]} -f {given}")
        assert (run.code, run.out) == (3, "")
        assert "kubectl get clusterroles" in run.err

    @pytest.mark.parametrize("command", _WHATEVER)
    def test_0_without_rbac(self, graphsec: Graphsec, command: str) -> None:
        assert graphsec(f"{_ASKED[command]} -f pods.yaml").code == 0

    @pytest.mark.parametrize("command", _ASKED)
    def test_3_strict(self, graphsec: Graphsec, command: str) -> None:
        assert graphsec(f"{_ASKED[command]} -f bad.yaml --strict").code == 3
        assert graphsec(f"{_ASKED[command]} -f world.yaml --strict").code == 0

    @pytest.mark.parametrize("command", _NEEDS_RBAC)
    def test_3_fail_on_incomplete(self, graphsec: Graphsec, command: str) -> None:
        """What an attack needs besides RBAC is not in the input."""
        assert graphsec(f"{_ASKED[command]} -f roles.yaml --fail-on-incomplete").code == 3
        whole = graphsec(f"{_ASKED[command]} -f world.yaml --fail-on-incomplete")
        assert whole.code == (0 if command in _ACCESS else 3)


@pytest.mark.usefixtures("inputs")
class TestLimits:
    @pytest.mark.parametrize("command", _ASKED)
    def test_4(self, graphsec: Graphsec, command: str) -> None:
        run = graphsec(f"{_ASKED[command]} -f deep.yaml")
        assert run.code == 4
        assert "--max-depth" in run.err

    def test_4_inspect_diagnostics(self, graphsec: Graphsec) -> None:
        assert graphsec("inspect --diagnostics -f deep.yaml").code == 4

    @pytest.mark.parametrize("command", _ASKED)
    def test_raised_limit(self, graphsec: Graphsec, command: str) -> None:
        assert graphsec(f"{_ASKED[command]} -f deep.yaml --max-depth 1000").code == 0

    def test_usage_comes_before_limits_and_limits_before_input(self, graphsec: Graphsec) -> None:
        assert graphsec("who-can gett pods -f deep.yaml").code == 2
        assert graphsec("who-can get pods -f deep.yaml --fail-on-incomplete").code == 4
        assert graphsec("who-can get pods -f deep.yaml --expect-none").code == 4


@pytest.mark.usefixtures("inputs")
class TestFailures:
    @pytest.mark.parametrize("command", [*_LOADED.values()], ids=[*_LOADED])
    def test_5_internal_error(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        monkeypatch.setattr(_session, "load", _raiser(RuntimeError("secret")))
        monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
        run = graphsec(f"{command} --exit-zero")
        assert (run.code, run.out) == (5, "")
        assert "secret" not in run.err

    @pytest.mark.parametrize("command", [*_LOADED.values()], ids=[*_LOADED])
    def test_130_interrupted(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        monkeypatch.setattr(_session, "load", _raiser(KeyboardInterrupt()))
        run = graphsec(command)
        assert run == (130, "", "")


def _raiser(error: BaseException) -> object:
    def load(*_: object, **__: object) -> None:
        raise error

    return load


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
@pytest.mark.parametrize("command", sorted({*_ACCESS} - {"query run", "verify"}))
def test_pictures_of_every_question(graphsec: Graphsec, world: Path, command: str) -> None:
    run = graphsec(f"{_ASKED[command]} -f {world} --out svg=a.svg --out png=a.png")
    assert run.code == 0
    assert (world.parent / "a.svg").read_bytes().lstrip().startswith(b"<?xml")
    assert (world.parent / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("inputs")
class TestFlows:
    @pytest.mark.parametrize("command", _FLOWS)
    def test_0_answered(self, graphsec: Graphsec, command: str) -> None:
        run = graphsec(f"{_FLOWS[command]} -f {_SHOP}")
        assert run.code == 0
        assert run.out

    @pytest.mark.parametrize("command", [*_FLOWS, *_COMPARED])
    def test_0_help(self, graphsec: Graphsec, command: str) -> None:
        run = graphsec(f"{command} --help")
        assert run.code == 0
        assert f"graphsec {command}" in run.out

    def test_0_or_1_by_expectation(self, graphsec: Graphsec) -> None:
        """--expect-none and --fail-on are gates; --exit-zero opens them."""
        opened = f"reach shop/orders shop/postgres --expect-none -f {_SHOP}"
        assert graphsec(opened).code == 1
        assert graphsec(f"{opened} --exit-zero").code == 0
        assert graphsec(f"reach shop/frontend shop/postgres --expect-none -f {_SHOP}").code == 0
        assert graphsec(f"policy lint --fail-on medium -f {_SHOP}").code == 1
        assert graphsec(f"policy lint --fail-on critical -f {_SHOP}").code == 0

    def test_1_for_changes_alone(self, graphsec: Graphsec, tmp_path: Path) -> None:
        changed = tmp_path / "changed"
        shutil.copytree(_SHOP, changed)
        assert graphsec(f"diff {_SHOP} {changed}").code == 0
        policies = changed / "policies.yaml"
        policies.write_text(policies.read_text().replace("promethius", "prometheus"))
        assert graphsec(f"diff {_SHOP} {changed}").code == 1
        assert graphsec(f"diff {_SHOP} {changed} --exit-zero").code == 0

    @pytest.mark.parametrize(
        "command",
        [
            "reach shop/fronted",
            "reach shop",
            "reach shop/frontend --port 70000",
            "reach shop/frontend --protocol ICMP",
            "reach shop/frontend --cni flannel",
            "explain shop/frontend shop/postgres",
            "explain shop/frontend nowhere/postgres --port 1",
            "policy lint --fail-on severe",
            "policy synthesize --flows none.txt",
            "policy lynt",
            "exposed -o connlist",
            "diff one.yaml",
        ],
    )
    def test_2(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        monkeypatch.setenv("GRAPHSEC_INPUT", str(_SHOP))
        run = graphsec(command)
        assert run.code in (2, 3) if "none.txt" in command else run.code == 2
        assert run.out == ""
        assert "error: " in run.err

    @pytest.mark.parametrize("command", _FLOWS)
    @pytest.mark.parametrize("given", ["roles.yaml", "empty.yaml", "cut.json"])
    def test_3_no_pods(self, graphsec: Graphsec, command: str, given: str) -> None:
        run = graphsec(f"{_FLOWS[command]} -f {given}")
        assert (run.code, run.out) == (3, "")
        assert "kubectl get" in run.err

    @pytest.mark.parametrize("command", _FLOWS)
    @pytest.mark.parametrize("given", ["", "-f none.yaml"])
    def test_3_no_input(self, graphsec: Graphsec, command: str, given: str) -> None:
        run = graphsec(f"{_FLOWS[command]} {given}")
        assert (run.code, run.out) == (3, "")

    @pytest.mark.parametrize("command", _FLOWS)
    def test_3_strict(self, graphsec: Graphsec, command: str) -> None:
        assert graphsec(f"{_FLOWS[command]} -f {_SHOP} -f bad.yaml --strict").code == 3

    @pytest.mark.parametrize("command", _FLOWS)
    def test_3_fail_on_incomplete(self, graphsec: Graphsec, command: str) -> None:
        assert graphsec(f"{_FLOWS[command]} -f {_SHOP}/shop.yaml --fail-on-incomplete").code == 3

    @pytest.mark.parametrize("command", _FLOWS)
    def test_4(self, graphsec: Graphsec, command: str) -> None:
        run = graphsec(f"{_FLOWS[command]} -f {_SHOP} -f deep.yaml")
        assert run.code == 4
        assert "--max-depth" in run.err

    @pytest.mark.parametrize(
        ("old", "new", "code"),
        [
            ("none.yaml", _SHOP, 3),
            (_SHOP, "none.yaml", 3),
            ("empty.yaml", "empty.yaml", 3),
            (_SHOP, "cut.json", 3),
            ("deep", _SHOP, 4),
            (_SHOP, "deep", 4),
        ],
    )
    def test_3_and_4_of_a_comparison(self, graphsec: Graphsec, old: object, new: object, code: int) -> None:
        """Of either input."""
        shutil.copytree(_SHOP, "deep")
        shutil.copy("deep.yaml", "deep")
        run = graphsec(f"diff {old} {new}")
        assert (run.code, run.out) == (code, "")

    def test_3_policies_that_were_never_collected(self, graphsec: Graphsec, tmp_path: Path) -> None:
        """Not collected is not the same as none (hardening.md §2)."""
        dump = tmp_path / "dump"
        (dump / "shop").mkdir(parents=True)
        pod = '{"metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": []}}'
        (dump / "nodes.json").write_text('{"kind": "NodeList", "apiVersion": "v1", "items": []}')
        (dump / "shop" / "events.json").write_text('{"kind": "EventList", "apiVersion": "v1", "items": []}')
        (dump / "shop" / "pods.json").write_text(f'{{"kind": "PodList", "apiVersion": "v1", "items": [{pod}]}}')
        run = graphsec(f"reach -f {dump}")
        assert (run.code, run.out) == (3, "")
        assert "NetworkPolicy, which this form of input never holds" in run.err

    def test_3_incomplete_if_asked(self, graphsec: Graphsec) -> None:
        alone = f"-f {_SHOP}/shop.yaml"
        assert graphsec(f"reach {alone}").code == 0
        assert graphsec(f"reach --fail-on-incomplete {alone}").code == 3
