"""Findings as JUnit XML: one test case per rule, failed where it found something new, skipped where it was not answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from graphsec.model.text import counted, safe
from graphsec.query._answer import Answer
from graphsec.query._finding import NEW, Finding, FindingRule
from graphsec.render._findings import GATED, Report, evidence, report, sentence
from graphsec.render._renderer import Options, Renderer


def _junit(answer: Answer[Any], _: Options) -> str:
    found = report(answer, "junit")
    failed = sum(any(finding.state == NEW for finding in findings) for findings in found.by_rule.values())
    counts = f'tests="{len(found.rules)}" failures="{failed}" errors="0"'
    name = quoteattr(safe(f"graphsec {answer.question.command()}"))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites {counts}>",
        f'<testsuite name={name} {counts} skipped="{len(found.unanswered)}">',
        *(line for rule in found.rules for line in _case(found, rule)),
        *_said(answer),
        "</testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _case(found: Report, rule: FindingRule) -> Iterator[str]:
    findings = found.by_rule[rule.id]
    new = [finding for finding in findings if finding.state == NEW]
    known = [finding for finding in findings if finding.state != NEW]
    yield f'<testcase classname="graphsec.{_attribute(rule.severity)}" name="{_attribute(f"{rule.id} {rule.title}")}">'
    if rule.id in found.unanswered:
        yield f'<skipped message="{_attribute(found.unanswered[rule.id])}"/>'
    if new:
        message = f"{counted(len(new), 'new finding')}: {rule.title}"
        yield f'<failure type="{_attribute(rule.severity)}" message="{_attribute(message)}">'
        yield _text([line for finding in new for line in _lines(finding)] + _fix(rule))
        yield "</failure>"
    if known:
        yield f"<system-out>{_text([line for finding in known for line in _lines(finding)])}</system-out>"
    yield "</testcase>"


def _lines(finding: Finding) -> Iterator[str]:
    place = f"{finding.source}: " if finding.source else ""
    known = f" [{finding.state}]" if finding.state != NEW else ""
    yield f"{place}{finding.severity}: {sentence(finding)}{known}"
    if finding.exemption is not None:
        yield f"    excepted: {finding.exemption.reason}"
    yield from (f"    {text}{f' ({source})' if source else ''}" for text, source in evidence(finding))


def _fix(rule: FindingRule) -> list[str]:
    return [f"Fix: {' '.join(rule.remediation.split())}"] if rule.remediation else []


def _said(answer: Answer[Any]) -> Iterator[str]:
    """What the input could not tell, so that a green suite does not sound more certain than it is."""
    told = [f"Warning: {warning}" for warning in answer.warnings]
    if told or not answer.complete:
        yield f"<system-err>{_text([*told, *([] if answer.complete else ['The input is incomplete.'])])}</system-err>"


def _text(lines: list[str]) -> str:
    return escape("\n".join(map(safe, lines)))


def _attribute(text: str) -> str:
    return escape(safe(text), {'"': "&quot;"})


RENDERER = Renderer(
    name="junit", suffix=".xml", help="findings for CI, one test case a query (JUnit)", render=_junit, only=GATED
)
