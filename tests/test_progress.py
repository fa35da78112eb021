"""Progress is for a person who waits at a terminal, and for nobody else."""

from __future__ import annotations

import io
import sys
import time
from typing import Any

import pytest

from graphsec.cli import _session


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Quiet:
    quiet = False


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(_session, "_PATIENCE", 0.01)
    return stream


def shown(stream: io.StringIO, common: Any, seconds: float, monkeypatch: pytest.MonkeyPatch) -> str:
    # Not in the fixture: pytest puts its own stderr in place when the test begins.
    monkeypatch.setattr(sys, "stderr", stream)
    with _session.progress("reading a\x1b[2Jfile", common):
        time.sleep(seconds)
    return stream.getvalue()


def test_long_work_says_so_and_cleans_up(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(terminal, Quiet(), 0.2, monkeypatch) == "reading a\\x1b[2Jfile ...\r\x1b[K"


def test_short_work_says_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session, "_PATIENCE", 60)
    assert shown(terminal, Quiet(), 0, monkeypatch) == ""


def test_never_in_ci_nor_when_quiet_nor_in_a_pipe(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = Quiet()
    quiet.quiet = True
    assert shown(terminal, quiet, 0.05, monkeypatch) == ""
    monkeypatch.setenv("CI", "true")
    assert shown(terminal, Quiet(), 0.05, monkeypatch) == ""
    monkeypatch.delenv("CI")
    assert shown(io.StringIO(), Quiet(), 0.05, monkeypatch) == ""
