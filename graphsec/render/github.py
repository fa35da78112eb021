"""New findings as workflow commands of GitHub Actions: annotations at file and line of the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from graphsec.model.text import counted, safe
from graphsec.query._answer import Answer
from graphsec.query._finding import NEW, Finding
from graphsec.render._findings import GATED, place, report, sentence
from graphsec.render._renderer import Options, Renderer

#: GitHub shows this many of each level per step and drops the rest in silence.
MAX_PER_LEVEL = 10
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "notice", "info": "notice"}
_IN_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = _IN_DATA | {ord(":"): "%3A", ord(","): "%2C"}


def _github(answer: Answer[Any], _: Options) -> str:
    return "".join(f"{line}\n" for line in _commands(answer))


def _commands(answer: Answer[Any]) -> Iterator[str]:
    found = report(answer, "github")
    new = found.in_state(NEW)
    totals = Counter(_LEVELS[finding.severity] for finding in new)
    titles = {rule.id: rule.title for rule in found.rules}
    room = dict.fromkeys(totals, MAX_PER_LEVEL)
    if totals["notice"] >= MAX_PER_LEVEL and max(totals.values()) > MAX_PER_LEVEL:
        # What is left out is said in a notice, which counts too.
        room["notice"] -= 1
    over = sum(max(0, totals[level] - room[level]) for level in room)
    for finding in new:
        level = _LEVELS[finding.severity]
        if room[level]:
            room[level] -= 1
            yield _command(level, finding, f"{finding.id} {titles[finding.id]}")
    if over:
        text = f"{counted(over, 'more new finding')}: GitHub shows {MAX_PER_LEVEL} annotations of a level per step"
        yield f"::notice title=graphsec::{text}"


def _command(level: str, finding: Finding, title: str) -> str:
    where = place(finding.source, finding.subject)
    properties = {"file": where.path, "line": str(where.line)} if where.real else {}
    properties["title"] = title
    written = ",".join(f"{key}={safe(value).translate(_IN_PROPERTY)}" for key, value in properties.items())
    return f"::{level} {written}::{safe(sentence(finding)).translate(_IN_DATA)}"


RENDERER = Renderer(
    name="github", suffix=".txt", help="new findings as annotations of GitHub Actions", render=_github, only=GATED
)
