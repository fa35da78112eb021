"""Findings as GitLab's Code Quality report; GitLab itself compares two of them to tell what a merge request adds."""

from __future__ import annotations

from typing import Any

import msgspec

from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.query._finding import SUPPRESSED, Finding
from graphsec.render._findings import GATED, place, report, sentence
from graphsec.render._renderer import Options, Renderer

_SEVERITIES = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor", "info": "info"}


def _gitlab(answer: Answer[Any], _: Options) -> str:
    """Without suppressed findings, for which the format has no word."""
    issues = [_issue(finding) for finding in report(answer, "gitlab").findings if finding.state != SUPPRESSED]
    return msgspec.json.format(msgspec.json.encode(issues, order="sorted"), indent=2).decode() + "\n"


def _issue(finding: Finding) -> dict[str, Any]:
    where = place(finding.source, finding.subject)
    return {
        "type": "issue",
        "check_name": safe(finding.id),
        "description": safe(sentence(finding)),
        "categories": ["Security"],
        "fingerprint": finding.fingerprint,
        "severity": _SEVERITIES[finding.severity],
        "location": {"path": safe(where.path), "lines": {"begin": where.line}},
    }


RENDERER = Renderer(
    name="gitlab", suffix=".json", help="findings as GitLab Code Quality report", render=_gitlab, only=GATED
)
