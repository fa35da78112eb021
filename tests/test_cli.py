"""The command line from the outside: grammar, suggestions, streams, reports, plugin names, start-up and failures."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WORLD, Graphsec

import graphsec.cli
from graphsec.query._needs import COLLECT


def echoed(err: str) -> str:
    """The canonical command, which is the first line on stderr."""
    return err.partition("\n")[0].removeprefix("# ")


def subjects(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[1:]]


class TestGrammar:
    @pytest.mark.parametrize(
        ("typed", "canonical"),
        [
            ("who can read secrets in prod", "who-can get,list,watch secrets -n prod"),
            (
                "who can write secrets in namespace prod",
                "who-can create,update,patch,delete,deletecollection secrets -n prod",
            ),
            ("who can get pods in any namespace", "who-can get pods -A"),
            ("who can admin deploy", "who-can '*' deployments.apps -A"),
            ("-n prod who can get pods", "who-can get pods -n prod"),
            ("what can olga do", "what-can User/olga"),
            ("what can sa:prod/payments-api do", "what-can ServiceAccount/prod/payments-api"),
            ("what-can system:serviceaccount:prod:payments-api", "what-can ServiceAccount/prod/payments-api"),
            ("what-can group:monitoring", "what-can Group/monitoring"),
            ("who-can get po", "who-can get pods -A"),
            ("who-can get pod", "who-can get pods -A"),
            ("who-can get deploy -n prod", "who-can get deployments.apps -n prod"),
            ("who-can get deployments.apps", "who-can get deployments.apps -A"),
            ("who-can get deployments.v1.apps", "who-can get deployments.apps -A"),
            ("who-can get netpol", "who-can get networkpolicies.networking.k8s.io -A"),
            ("who-can get secrets/payments-db -n prod", "who-can get secrets/payments-db -n prod"),
            ("who-can get secrets --name payments-db -n prod", "who-can get secrets/payments-db -n prod"),
            ("who-can get pods/exec -n prod", "who-can get pods --subresource exec -n prod"),
            ("who-can get pods --subresource exec -n prod", "who-can get pods --subresource exec -n prod"),
            ("who-can get pods/web/exec -n prod", "who-can get pods/web --subresource exec -n prod"),
            ("who-can update '*/scale'", "who-can update '*' --subresource scale -A"),
            ("who-can delete 'pods/*'", "who-can delete pods --subresource '*' -A"),
            ("who-can get /healthz", "who-can get /healthz"),
            ("who-can sync crontabs", "who-can sync crontabs.stable.example.com -A"),
        ],
    )
    def test_canonical_command_is_echoed(self, graphsec: Graphsec, world: Path, typed: str, canonical: str) -> None:
        run = graphsec(f"{typed} -f {world}")
        assert run.code == 0
        assert shlex.split(echoed(run.err)) == shlex.split(canonical)

    @pytest.mark.usefixtures("world")
    @pytest.mark.parametrize(
        "command", ["who can read secrets in prod", "who-can update '*/scale'", "what can olga do"]
    )
    def test_canonical_command_asks_the_same(self, graphsec: Graphsec, command: str) -> None:
        first = graphsec(f"{command} -f world.yaml")
        again = graphsec(f"{echoed(first.err)} -f world.yaml")
        assert first == again

    @pytest.mark.usefixtures("world")
    def test_verb_groups_match_any_member(self, graphsec: Graphsec) -> None:
        assert subjects(graphsec("who-can read secrets -n prod -f world.yaml").out) == [
            "prod/payments-api",
            "user:olga",
        ]
        assert subjects(graphsec("who-can write secrets -n prod -f world.yaml").out) == ["prod/payments-api"]
        assert subjects(graphsec("who-can list,watch pods -f world.yaml").out) == ["user:olga"]

    @pytest.mark.usefixtures("world")
    @pytest.mark.parametrize(
        ("question", "word"),
        [
            ("can olga get pods in prod", "yes"),
            ("can olga get pods in dev", "no"),
            ("can olga get po/web in prod", "yes"),
            # A request on a pod with this name, and one on the subresource of every pod.
            ("can-i get pods --name exec --as olga -n prod", "yes"),
            ("can-i get pods/exec --as olga -n prod --k8s-version 1.34", "yes"),
            ("can-i get pods/exec --as olga -n prod --k8s-version 1.36", "conditional"),
            ("can-i delete pods/exec --as olga -n prod", "no"),
            ("can-i update deploy/scale --as olga -n prod", "yes"),
            ("can-i update sts/scale --as olga -n prod", "yes"),
            ("can-i patch deploy/scale --as olga -n prod", "no"),
            ("can-i get nodes --as olga -n prod", "conditional"),
            ("can-i get nodes --as olga", "no"),
            ("can-i get namespaces/prod --as olga", "yes"),
            ("can-i get namespaces/dev --as olga", "no"),
            ("can-i list namespaces --as olga", "no"),
            ("can-i get secrets/payments-db --as sa:prod/payments-api -n prod", "yes"),
            ("can-i get secrets/other --as sa:prod/payments-api -n prod", "no"),
            ("can-i get secrets --as sa:prod/payments-api -n prod", "no"),
            ("can-i list secrets --as sa:prod/payments-api -n prod", "no"),
            ("can-i create secrets --as sa:prod/payments-api -n prod", "no"),
            ("can-i get /healthz --as mona", "no"),
            ("can-i get /healthz --as mona --as-group monitoring", "yes"),
            ("can-i get /metrics/cadvisor --as mona --as-group monitoring", "yes"),
            ("can-i get /metrics --as mona --as-group monitoring", "no"),
            ("can-i delete nodes --as root --as-group system:masters", "yes"),
        ],
    )
    def test_can_i(self, graphsec: Graphsec, question: str, word: str) -> None:
        run = graphsec(f"{question} -f world.yaml")
        assert run.out == f"{word}\n"
        assert run.code == int(word != "yes")

    @pytest.mark.usefixtures("world")
    def test_who_can_agrees_with_can_i_on_names(self, graphsec: Graphsec) -> None:
        limited = graphsec("who-can list secrets -n prod -f world.yaml")
        assert "(name: payments-db)" in limited.out
        named = graphsec("who-can get secrets/other -n prod -f world.yaml")
        assert subjects(named.out) == ["user:olga"]

    @pytest.mark.usefixtures("world")
    def test_can_i_list_is_what_can(self, graphsec: Graphsec) -> None:
        assert graphsec("can-i --list --as olga -f world.yaml").out == graphsec("what-can olga -f world.yaml").out

    @pytest.mark.usefixtures("world")
    def test_can_i_explains(self, graphsec: Graphsec) -> None:
        run = graphsec("can-i get secrets/payments-db --as sa:prod/payments-api -n prod --explain -f world.yaml")
        assert run.out.splitlines() == [
            "yes",
            "  RoleBinding prod/payments-read (world.yaml:7) binds prod/payments-api to Role prod/secret-reader",
            '  Role prod/secret-reader, rule 1 (world.yaml:5): [""] [secrets] [get list create] (names: payments-db)',
        ]


class TestSuggestions:
    @pytest.mark.parametrize(
        ("command", "hint"),
        [
            ("who-cann get pods", "did you mean `who-can`?"),
            ("who-can gett pods", "did you mean `get`?"),
            ("who-can raed secrets", "did you mean `read`?"),
            ("who-can get podz", "did you mean `pods`?"),
            ("who-can get deploymnets", "did you mean `deployments`?"),
            ("who-can get pods -o jsn", "did you mean `json`?"),
            ("who-can get pods --out jsn=a", "did you mean `json`?"),
            ("who-can get pods --namespaze prod", "--namespace"),
            ("explain GS-IN-0011", "did you mean GS-IN-0"),
            ("who-can get pods -o dot --fold none,class", "folds: namespace, class, workload, none"),
            ("completion tcsh", "bash, fish, zsh"),
            ("schema answers", "schemas: answer"),
            ("who can read secrets on prod", "unexpected `on prod`"),
        ],
    )
    def test_typos(
        self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, world: Path, command: str, hint: str
    ) -> None:
        monkeypatch.setenv("GRAPHSEC_INPUT", str(world))
        run = graphsec(command)
        assert run.code == 2
        assert hint in run.err

    @pytest.mark.usefixtures("world")
    def test_unknown_subject(self, graphsec: Graphsec) -> None:
        run = graphsec("what-can user:olgaa -f world.yaml")
        assert run.code == 0
        assert "did you mean User/olga?" in run.err


class TestInput:
    def test_stdin(self, graphsec: Graphsec) -> None:
        run = graphsec("who-can get secrets -f - -o json", stdin=WORLD.encode())
        proofs = [proof for item in json.loads(run.out)["items"] for proof in item["because"]]
        assert {proof["source"]["file"] for proof in proofs} == {"<stdin>"}

    def test_piped_stdin_needs_no_flag(self, graphsec: Graphsec) -> None:
        assert graphsec("can olga get pods in prod", stdin=WORLD.encode()).out == "yes\n"

    def test_environment(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, world: Path) -> None:
        roles, bindings = world.parent / "roles.yaml", world.parent / "bindings.yaml"
        documents = WORLD.split("---\n")
        roles.write_text("---\n".join(text for text in documents if "Binding" not in text), encoding="utf-8")
        bindings.write_text("---\n".join(text for text in documents if "Binding" in text), encoding="utf-8")
        monkeypatch.setenv("GRAPHSEC_INPUT", f"{roles}{os.pathsep}{bindings}")
        run = graphsec("who-can get pods")
        assert (run.code, subjects(run.out)) == (0, ["user:olga"])

    def test_flag_goes_before_environment(
        self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch, world: Path
    ) -> None:
        monkeypatch.setenv("GRAPHSEC_INPUT", "none.yaml")
        assert graphsec(f"who-can get pods -f {world}").code == 0
        assert graphsec("who-can get pods").code == 3

    def test_nothing_given_names_the_command_that_collects(self, graphsec: Graphsec) -> None:
        run = graphsec("who-can get pods")
        assert (run.code, run.out) == (3, "")
        assert COLLECT in run.err

    def test_collect_prints_that_command(self, graphsec: Graphsec) -> None:
        assert COLLECT in graphsec("collect").out

    def test_cluster_info_dump_cannot_tell(self, graphsec: Graphsec, tmp_path: Path) -> None:
        (tmp_path / "dump/default").mkdir(parents=True)
        pods = {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [{"metadata": {"name": "web"}}]}
        for name, value in {"nodes": {"items": []}, "default/events": {"items": []}, "default/pods": pods}.items():
            (tmp_path / f"dump/{name}.json").write_text(json.dumps(value), encoding="utf-8")
        run = graphsec(f"who-can get secrets -f {tmp_path / 'dump'}")
        assert (run.code, run.out) == (3, "")
        assert "cluster-info dump" in run.err
        assert "usable: 1 Pod\n" in run.err
        assert (
            "kubectl get clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,namespaces,networkpolicies "
            "-A -o json > rbac.json"
        ) in run.err

    @pytest.mark.usefixtures("world")
    def test_namespace_is_also_that_of_objects_without_one(self, graphsec: Graphsec) -> None:
        text = WORLD.replace(", namespace: prod}", "}").encode()
        assert graphsec("can-i get pods --as olga -n prod -f -", stdin=text).out == "yes\n"
        assert graphsec("can-i get pods --as olga -n prod -f - --default-namespace dev", stdin=text).out == "no\n"

    @pytest.mark.usefixtures("world")
    def test_with_defaults(self, graphsec: Graphsec) -> None:
        own = graphsec("who-can get pods -f world.yaml --include-builtin")
        every = graphsec("who-can get pods -f world.yaml --include-builtin --with-defaults")
        assert len(every.out.splitlines()) > len(own.out.splitlines())
        assert (
            graphsec("who-can get pods -f world.yaml --with-defaults").out
            == graphsec("who-can get pods -f world.yaml").out
        )


class TestStreams:
    @pytest.mark.usefixtures("world")
    @pytest.mark.parametrize(
        "output", ["table", "wide", "json", "ndjson", "yaml", "csv", "markdown", "name", "dot", "mermaid"]
    )
    def test_stdout_holds_the_answer_alone(self, graphsec: Graphsec, output: str) -> None:
        command = f"who-can get secrets -n prod -f world.yaml -o {output}"
        loud, quiet = graphsec(command), graphsec(f"{command} -q")
        assert loud.out == quiet.out
        assert quiet.err == ""
        assert echoed(loud.err) == "who-can get secrets -n prod"
        assert "Coverage: RBAC 4 of 4 kinds" in loud.err

    @pytest.mark.usefixtures("world")
    def test_formats_show_one_set(self, graphsec: Graphsec) -> None:
        command = "who-can get secrets -n prod -f world.yaml"
        names = graphsec(f"{command} -o name").out.split()
        items = json.loads(graphsec(f"{command} -o json").out)["items"]
        lines = graphsec(f"{command} -o ndjson").out.splitlines()
        assert names == ["serviceaccount/prod/payments-api", "user/olga"]
        assert [item["subject"].lower() for item in items] == names
        assert [json.loads(line) for line in lines] == items
        assert len(graphsec(f"{command} -o csv").out.splitlines()) == len(names) + 1

    @pytest.mark.usefixtures("world")
    def test_quiet_can_i_leaves_the_exit_code(self, graphsec: Graphsec) -> None:
        assert graphsec("can-i get pods --as olga -n prod -q -f world.yaml") == (0, "", "")
        assert graphsec("can-i get pods --as olga -n dev -q -f world.yaml") == (1, "", "")

    @pytest.mark.usefixtures("world")
    def test_view_options(self, graphsec: Graphsec) -> None:
        command = "who-can read secrets -n prod -f world.yaml"
        head, *rows = graphsec(command).out.splitlines()
        assert head.split() == ["SUBJECT", "KIND", "SCOPE", "VIA"]
        limited = graphsec(f"{command} --limit 1")
        assert len(limited.out.splitlines()) == 2
        assert "1 more row " in limited.err
        assert len(graphsec(f"{command} --no-headers").out.splitlines()) == len(rows)

    @pytest.mark.usefixtures("world")
    def test_verbose_prints_each_diagnostic(self, graphsec: Graphsec) -> None:
        assert "GS-GR-001" not in graphsec("who-can get pods -f world.yaml").err
        assert "GS-GR-001 warning: world.yaml:42: " in graphsec("who-can get pods -f world.yaml -v").err

    @pytest.mark.usefixtures("world")
    def test_builtin_subjects_are_left_out_with_a_count(self, graphsec: Graphsec) -> None:
        run = graphsec("who-can get pods -f world.yaml")
        assert "system:masters" not in run.out
        assert "1 subject (1 built-in left out" in run.err
        assert "group:system:masters" in graphsec("who-can get pods -f world.yaml --include-builtin").out


class TestReports:
    @pytest.mark.usefixtures("world")
    def test_several_reports_in_one_run(self, graphsec: Graphsec) -> None:
        run = graphsec("who-can read secrets -f world.yaml --out json=a.json --out csv=a.csv --limit 1")
        plain = graphsec("who-can read secrets -f world.yaml -o json")
        assert len(run.out.splitlines()) == 2
        assert Path("a.json").read_text(encoding="utf-8") == plain.out
        assert len(Path("a.csv").read_text(encoding="utf-8").splitlines()) == 3
        assert "Wrote a.json\nWrote a.csv\n" in run.err

    @pytest.mark.usefixtures("world")
    def test_can_i_writes_reports_too(self, graphsec: Graphsec) -> None:
        run = graphsec("can olga get nodes in prod -f world.yaml --out json=a.json")
        assert (run.code, run.out) == (1, "conditional\n")
        assert json.loads(Path("a.json").read_text(encoding="utf-8"))["items"]

    @pytest.mark.usefixtures("world")
    def test_without_graphviz_the_dot_text_is_written(
        self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(Path.cwd()))
        dot = graphsec("who-can get secrets -f world.yaml -o dot").out
        run = graphsec("who-can get secrets -f world.yaml -o svg --out svg=a.svg --out png=a.png")
        assert (run.code, run.out) == (0, dot)
        assert dot.startswith("digraph")
        assert "dot -Tsvg FILE" in run.err
        assert Path("a.svg.dot").read_text(encoding="utf-8") == dot
        assert Path("a.png.dot").read_text(encoding="utf-8") == dot
        assert not Path("a.svg").exists()

    @pytest.mark.usefixtures("world")
    def test_unwritable_report_is_told_before_the_answer(self, graphsec: Graphsec) -> None:
        run = graphsec("who-can get secrets -f world.yaml --out json=no/folder/a.json")
        assert (run.code, run.out) == (2, "")


class TestPlugin:
    def test_usage_reads_as_kubectl(self, graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["kubectl-graphsec"])
        assert "Usage: kubectl graphsec who-can " in graphsec("who-can -h").out
        assert "kubectl graphsec who-can --help" in graphsec("who-can get").err

    def test_flags_that_krew_asks_for(self, graphsec: Graphsec) -> None:
        text = graphsec("who-can --help").out
        assert all(flag in text for flag in ("-h, --help", "-n, --namespace", "-A, --all-namespaces"))

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ([""], {"who-can", "can-i", "who", "inspect"}),
            (["who"], {"who", "who-can"}),
            (["who", ""], {"can"}),
            (["who", "can", "re"], {"read"}),
            (["who-can", "get", "sec"], {"secrets"}),
            (["can", "olga", "get", "deployments"], {"deployments.apps"}),
            (["who-can", "get", "pods", "-o", "js"], {"json"}),
            (["who-can", "get", "pods", "--name"], {"--namespace"}),
            (["completion", ""], {"bash", "fish", "zsh"}),
        ],
    )
    def test_completion(self, capsys: pytest.CaptureFixture[str], words: list[str], found: set[str]) -> None:
        assert graphsec.cli.complete(words) == 0
        *candidates, directive = capsys.readouterr().out.splitlines()
        assert directive == ":4"
        assert found <= set(candidates)
        assert all(word.startswith(words[-1]) for word in candidates)

    def test_completion_through_the_main_program(self, graphsec: Graphsec) -> None:
        assert graphsec("__complete who-can get secr").out == "secrets\n:4\n"

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_scripts_ask_the_main_program(self, graphsec: Graphsec, shell: str) -> None:
        assert "graphsec __complete" in graphsec(f"completion {shell}").out


def python(code: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


_LOADED = """
import sys
from graphsec.cli import complete, main
code = (complete if sys.argv[1] == "complete" else main)(sys.argv[2:])
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


class TestStartUp:
    """What is not imported costs nothing (P9)."""

    @pytest.mark.parametrize(
        ("command", "never"),
        [
            ("main --version", {"typer", "click", "rich", "msgspec", "yaml", "numpy", "networkx"}),
            ("complete who", {"typer", "click", "rich", "yaml", "numpy", "networkx"}),
            ("complete who-can get sec", {"typer", "click", "rich", "yaml", "numpy", "networkx"}),
            ("main who-can get pods -q -f world.yaml", {"networkx", "numpy", "graphviz", "rich", "pandas"}),
            ("main --help", {"networkx", "numpy", "graphviz"}),
        ],
    )
    def test_imports(self, world: Path, command: str, never: set[str]) -> None:
        run = python(_LOADED, *command.replace("world.yaml", str(world)).split())
        assert run.returncode == 0
        assert never.isdisjoint(run.stderr.splitlines()[-1].split())

    def test_importing_the_package_loads_nothing(self) -> None:
        run = python(
            "import sys; before = set(sys.modules); import graphsec; print(*sorted(set(sys.modules) - before))"
        )
        assert {name for name in run.stdout.split() if name.startswith("graphsec")} == {"graphsec", "graphsec.version"}

    def test_output_does_not_depend_on_the_hash_seed(self, world: Path) -> None:
        command = ["main", "who-can", "read", "secrets", "-o", "json", "-q", "-f", str(world)]
        outputs = {python(_LOADED, *command, PYTHONHASHSEED=seed).stdout for seed in "012"}
        assert len(outputs) == 1


class TestFailures:
    def test_crash_report_holds_no_data(self, world: Path) -> None:
        code = """
import sys
import graphsec.cli._session as session
from graphsec.cli import main

def load(*inputs, **options):
    secret_value = open(inputs[0]).read()
    raise RuntimeError(secret_value)

session.load = load
sys.exit(main(["who-can", "get", "pods", "-f", sys.argv[1]]))
"""
        run = python(code, str(world), TMPDIR=str(world.parent))
        assert (run.returncode, run.stdout) == (5, "")
        [report] = world.parent.glob("graphsec-crash-*.txt")
        assert str(report) in run.stderr
        text = report.read_text(encoding="utf-8")
        assert "RuntimeError" in text
        assert "_session.py" in text
        for leak in ("payments", "olga", "secret-reader"):
            assert leak not in text + run.stderr.replace(str(report), "")
        assert report.stat().st_mode & 0o077 == 0

    def test_closed_pipe_is_silent(self, world: Path) -> None:
        # More than a pipe holds, so that graphsec is still writing when its reader goes away.
        subjects = ", ".join(f"{{kind: User, name: u{number}}}" for number in range(5000))
        world.write_text(WORLD.replace("{apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}", subjects))
        command = [sys.executable, "-m", "graphsec", "who-can", "get", "pods", "-q", "-f", str(world)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith(b"SUBJECT")
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 0

    def test_the_suite_has_no_network(self) -> None:
        with pytest.raises(AssertionError, match="network socket"):
            socket.socket()

    @pytest.mark.usefixtures("world")
    def test_names_cannot_steer_the_terminal(self, graphsec: Graphsec) -> None:
        hostile = WORLD.replace("name: olga", 'name: "\\e[2Jolga\\u202e"').encode()
        run = graphsec("who-can get pods -f -", stdin=hostile)
        assert run.code == 0
        assert "user:\\x1b[2Jolga\\u202e" in run.out
        assert "\x1b" not in run.out + run.err


def test_module_runs_as_program(world: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "graphsec", "can", "olga", "get", "pods", "in", "prod", "-f", str(world)],
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (
        0,
        b"yes\n",
        b"Diagnostics: 0 errors, 1 warning (graphsec inspect --diagnostics)\n",
    )


def test_png_is_kept_from_terminals(graphsec: Graphsec, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run = graphsec(f"who-can get pods -f {world} -o png")
    assert (run.code, run.out) == (2, "")
