"""What CI systems are handed is run as they would run it: the steps of the Action, the script of the template, the hook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from conftest import ROOT

RBAC = "rbac.authorization.k8s.io"

ROLE = f"""\
apiVersion: {RBAC}/v1
kind: Role
metadata: {{name: reader, namespace: prod}}
rules:
  - {{apiGroups: [""], resources: [RESOURCE], verbs: [get, list]}}
---
apiVersion: {RBAC}/v1
kind: RoleBinding
metadata: {{name: reader, namespace: prod}}
roleRef: {{apiGroup: {RBAC}, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: web, namespace: prod}}]
---
apiVersion: {RBAC}/v1
kind: ClusterRoleBinding
metadata: {{name: probe}}
roleRef: {{apiGroup: {RBAC}, kind: ClusterRole, name: probe}}
subjects: [{{kind: User, name: "SUBJECT", apiGroup: {RBAC}}}]
---
apiVersion: {RBAC}/v1
kind: ClusterRole
metadata: {{name: probe}}
rules: [{{nonResourceURLs: [/healthz], verbs: [get]}}]
"""


class Repo(NamedTuple):
    """A checkout with manifests, and the environment of a runner in it."""

    path: Path
    env: dict[str, str]

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.path, env={**self.env, **env}, capture_output=True, text=True, timeout=300, check=False
        )

    def manifests(self, resource: str, subject: str = "ann") -> None:
        (self.path / "k8s" / "rbac.yaml").write_text(ROLE.replace("RESOURCE", resource).replace("SUBJECT", subject))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    path, tools = tmp_path / "repo", tmp_path / "bin"
    for folder in (path / "k8s", tools, tmp_path / "temp"):
        folder.mkdir(parents=True)
    # What the install step puts on PATH.
    tool = tools / "graphsec"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m graphsec "$@"\n')
    tool.chmod(0o755)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("GRAPHSEC_", "GITHUB_"))}
    env |= {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_PATH": str(tmp_path / "path"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    return Repo(path, env)


# -- the GitHub Action ---------------------------------------------------------------------------------------------


def action() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return document


def act(repo: Repo, step: str, **inputs: str) -> subprocess.CompletedProcess[str]:
    """One `run` step with its `env`, as the runner starts it."""
    document = action()
    given = {name: str(each.get("default", "")) for name, each in document["inputs"].items()}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    assert set(given) == set(document["inputs"])
    values = {f"inputs.{name}": value for name, value in given.items()}
    values |= {"github.action_path": str(ROOT), "steps.python.outputs.python-path": sys.executable}
    (found,) = (each for each in document["runs"]["steps"] if each.get("name") == step)
    env = {
        key: re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], str(value))
        for key, value in found["env"].items()
    }
    assert "${{" not in found["run"], "an input inside a script would be run"
    return repo.run("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"], **env)


def outputs(repo: Repo) -> dict[str, str]:
    lines = Path(repo.env["GITHUB_OUTPUT"]).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_action_fails_at_the_line_of_a_new_grant(repo: Repo) -> None:
    repo.manifests("secrets")
    done = act(repo, "Check", paths="k8s", fail_on="high")
    assert done.returncode == 1, done.stderr
    assert outputs(repo) == {"exit-code": "1", "sarif-file": "graphsec.sarif"}
    log = json.loads((repo.path / "graphsec.sarif").read_text(encoding="utf-8"))
    places = {
        (result["ruleId"], place["artifactLocation"]["uri"], place["region"]["startLine"])
        for result in log["runs"][0]["results"]
        for place in [result["locations"][0]["physicalLocation"]]
    }
    assert ("GS-Q-001", "k8s/rbac.yaml", 7) in places
    assert (
        "::error file=k8s/rbac.yaml,line=7,title=GS-Q-001 Who can read secrets::ServiceAccount/prod/web" in done.stdout
    )
    summary = Path(repo.env["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    assert "| high | GS-Q-001 Who can read secrets | ServiceAccount/prod/web |" in summary


def test_action_passes_what_is_harmless_or_known(repo: Repo) -> None:
    repo.manifests("configmaps")
    done = act(repo, "Check", paths="k8s", sarif_file="out.sarif")
    assert (done.returncode, outputs(repo)["sarif-file"]) == (0, "out.sarif"), done.stderr
    repo.manifests("secrets")
    made = repo.run("graphsec", "check", "-f", "k8s", "--create-baseline", "base.json")
    assert made.returncode == 0, made.stderr
    assert act(repo, "Check", paths="k8s", baseline="base.json").returncode == 0


def test_action_passes_words_on_as_they_are(repo: Repo) -> None:
    """A path with spaces is one path, a path with a command in it runs none, and flags come a line each."""
    repo.manifests("secrets")
    folder = "k8s $(touch acted) ; touch acted"
    (repo.path / "k8s").rename(repo.path / folder)
    done = act(repo, "Check", paths=f"{folder}\n", packs="reviewer", args="--exit-zero\n--persona\npedantic\n")
    assert done.returncode == 0, done.stderr
    assert "check reviewer --persona pedantic" in done.stderr
    assert not (repo.path / "acted").exists()


def test_action_says_so_when_it_could_not_ask(repo: Repo) -> None:
    (repo.path / "graphsec.sarif").write_text("of an earlier run")
    done = act(repo, "Check", paths="nowhere")
    assert done.returncode == 3
    assert outputs(repo) == {"exit-code": "3", "sarif-file": ""}
    assert act(repo, "Check", paths="k8s", fail_on="worst").returncode == 2


def test_no_name_is_a_command_to_the_runner(repo: Repo) -> None:
    """A runner obeys lines that begin with `::`, except between a token and the same token."""
    repo.manifests("secrets", subject="::error::acted")
    done = act(repo, "Check", paths="k8s", packs="reviewer", args="--persona\npedantic")
    lines = done.stdout.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    obeyed = lines[lines.index(f"::{token}::") + 1 :]
    assert obeyed
    assert all(re.match(r"::(error|warning|notice) (file|title)=", line) for line in obeyed)


@pytest.mark.slow
def test_action_installs_itself(repo: Repo) -> None:
    done = act(repo, "Install graphsec")
    if done.returncode and re.search("No matching distribution|connection|resolution", done.stderr):
        pytest.skip("no package index is reached from here")
    assert done.returncode == 0, done.stderr
    tools = Path(repo.env["GITHUB_PATH"]).read_text(encoding="utf-8").strip()
    repo.manifests("secrets")
    env = {"PYTHONPATH": "", "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    done = repo.run("graphsec", "check", "-f", "k8s", "--out", "html=report.html", **env)
    assert done.returncode == 1, done.stderr
    assert (repo.path / "report.html").stat().st_size > 10_000


def test_other_actions_are_pinned() -> None:
    used = [step["uses"] for step in action()["runs"]["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) for name in used)


# -- the GitLab template -------------------------------------------------------------------------------------------


def test_gitlab_job_gates_and_leaves_its_reports(repo: Repo) -> None:
    job = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text(encoding="utf-8"))["graphsec"]
    assert [line for line in job["before_script"] if "pip" not in line] == []
    script = "set -eo pipefail\n" + "\n".join(job["script"])
    for resource, code in (("configmaps", 0), ("secrets", 1)):
        repo.manifests(resource)
        done = repo.run("bash", "-c", script, **job["variables"])
        assert done.returncode == code, done.stderr
    reports = job["artifacts"]["reports"]
    issues = json.loads((repo.path / reports["codequality"]).read_text(encoding="utf-8"))
    where = {"path": "k8s/rbac.yaml", "lines": {"begin": 7}}
    assert any(issue["check_name"] == "GS-Q-001" and issue["location"] == where for issue in issues)
    assert "<testsuites" in (repo.path / reports["junit"]).read_text(encoding="utf-8")
    assert all((repo.path / name).is_file() for name in job["artifacts"]["paths"])
    # The variables that the comment of the template names are those that graphsec reads.
    done = repo.run("bash", "-c", script, **{**job["variables"], "GRAPHSEC_FAIL_ON": "critical"})
    assert done.returncode == 0, done.stderr


# -- the pre-commit hook -------------------------------------------------------------------------------------------


def test_hook_runs_on_the_tree(repo: Repo) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["language"] == "python"
    # pre-commit starts the entry of an installed package with its arguments, and here without names of files.
    assert hook["pass_filenames"] is False
    command = [*hook["entry"].split(), *hook["args"]]
    repo.manifests("configmaps")
    assert repo.run(*command).returncode == 0
    repo.manifests("secrets")
    done = repo.run(*command)
    assert done.returncode == 1
    assert "k8s/rbac.yaml:7" in done.stdout
