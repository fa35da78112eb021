"""Counts for dashboards in Prometheus' text format: findings by severity and state, and coverage; no names of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.render._findings import GATED, STATES, report
from graphsec.render._renderer import Options, Renderer

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _prometheus(answer: Answer[Any], _: Options) -> str:
    return "".join(f"{line}\n" for line in _lines(answer))


def _lines(answer: Answer[Any]) -> Iterator[str]:
    found = report(answer, "prometheus")
    yield from _head("graphsec_findings", "Findings by severity and state.")
    for state in STATES:
        for severity, count in found.by_severity(state).items():
            yield _sample("graphsec_findings", count, {"severity": severity, "state": state})
    yield from _head("graphsec_queries", "Queries by whether the input answered them.")
    unanswered = len(found.unanswered)
    yield _sample("graphsec_queries", len(found.rules) - unanswered, {"answered": "yes"})
    yield _sample("graphsec_queries", unanswered, {"answered": "no"})
    yield from _head("graphsec_complete", "1 where every kind that was needed is fully loaded, else 0.")
    yield _sample("graphsec_complete", int(answer.complete), {})
    yield from _head("graphsec_objects", "Objects loaded, by kind and by what is known of their listing.")
    for entry in answer.coverage:
        yield _sample("graphsec_objects", entry.objects, {"kind": entry.kind, "coverage": entry.state.value})


def _head(name: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"


def _sample(name: str, value: int, labels: Mapping[str, str]) -> str:
    written = ",".join(f'{key}="{safe(text).translate(_ESCAPES)}"' for key, text in labels.items())
    return f"{name}{f'{{{written}}}' if written else ''} {value}"


RENDERER = Renderer(
    name="prometheus",
    suffix=".prom",
    help="counts of findings and coverage for dashboards",
    render=_prometheus,
    only=GATED,
)
