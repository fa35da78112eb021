"""What holds for the package as a whole: its layers, its dependencies, its builds."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_LOCKS = ("requirements.lock", "requirements-dev.lock")


def test_layers() -> None:
    command = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_few_direct_dependencies() -> None:
    assert len(_PROJECT["project"]["dependencies"]) <= 6


def test_few_ignored_types() -> None:
    sources = [
        path.read_text(encoding="utf-8") for folder in ("graphsec", "tests", "benchmarks") for path in _python(folder)
    ]
    marks = [mark for text in sources for mark in re.findall(r"#\s*type:\s*ignore\S*", text)]
    assert len(marks) < 10
    assert all("[" in mark for mark in marks)


def _python(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("lock", _LOCKS)
def test_locks_pin_every_dependency_by_hash(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    groups = _PROJECT["dependency-groups"]
    wanted = [*_PROJECT["project"]["dependencies"], *groups["build"], *(groups["dev"] if "dev" in lock else [])]
    assert {re.split(r"[<>=]", name)[0] for name in wanted} <= pinned.keys()
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)
    assert "://" not in text


def test_both_locks_agree() -> None:
    runtime, dev = (
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE)) for lock in _LOCKS
    )
    assert runtime <= dev


@pytest.mark.slow
def test_builds_are_reproducible(tmp_path: Path) -> None:
    hashes = [_build(tmp_path / name) for name in ("first", "second")]
    assert hashes[0] == hashes[1]
    assert {name.rpartition(".")[2] for name in hashes[0]} == {"gz", "whl"}


def _build(folder: Path) -> dict[str, str]:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, capture_output=True, check=True
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
