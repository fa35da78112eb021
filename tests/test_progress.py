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
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(_session, "_PATIENCE", 0.01)
    return stream


def work(common: Any, seconds: float) -> None:
    with _session.progress("reading a\x1b[2Jfile", common):
        time.sleep(seconds)


def test_long_work_says_so_and_cleans_up(terminal: Terminal) -> None:
    work(Quiet(), 0.2)
    assert terminal.getvalue() == "reading a\\x1b[2Jfile ...\r\x1b[K"


def test_short_work_says_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session, "_PATIENCE", 60)
    work(Quiet(), 0)
    assert terminal.getvalue() == ""


def test_never_in_ci_nor_when_quiet_nor_in_a_pipe(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = Quiet()
    quiet.quiet = True
    work(quiet, 0.05)
    monkeypatch.setenv("CI", "true")
    work(Quiet(), 0.05)
    monkeypatch.delenv("CI")
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    work(Quiet(), 0.05)
    assert terminal.getvalue() == pipe.getvalue() == ""
