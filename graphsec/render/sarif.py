"""Findings as SARIF 2.1.0, within the limits of the largest consumer: code hosts show each at its file and line."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from graphsec.model.coverage import State
from graphsec.model.diagnostic import CODES, Severity
from graphsec.model.ref import Source
from graphsec.model.text import counted, safe
from graphsec.query._answer import Answer
from graphsec.query._finding import SUPPRESSED, UNCHANGED, Finding, FindingRule
from graphsec.render._findings import GATED, Report, evidence, place, report, sentence, worst
from graphsec.render._markdown_text import prose
from graphsec.render._renderer import Options, Renderer
from graphsec.version import __version__

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"

# What GitHub's code scanning takes (interface.md §8): above them it refuses the file.
MAX_RESULTS = 25_000
MAX_RULES = 25_000
MAX_LOCATIONS = 1_000
MAX_FLOW_LOCATIONS = 10_000
MAX_TAGS = 20
MAX_GZIPPED = 10_000_000
#: GitHub's own for descriptions; `help` holds the whole text.
_DESCRIPTION = 1024
#: Diagnostics of a broken dump would fill the file that findings belong in.
MAX_DIAGNOSTICS = 1_000

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
#: In the middle of the bands that GitHub makes of CVSS scores; info has none.
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
_DIAGNOSTIC_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
#: `[text](1)` is a link and `{0}` a placeholder in a message (SARIF 3.11.5, 3.11.6).
_SPECIAL = {ord(char): f"\\{char}" for char in "\\[]"} | {ord(char): char * 2 for char in "{}"}
_PAGE = re.compile(r"https://[A-Za-z0-9.-]+(/[\w.~%!$&'()*+,;=:@/?#-]*)?", re.ASCII)


def _sarif(answer: Answer[Any], _: Options) -> str:
    found = report(answer, "sarif")
    kept = min(len(found.findings), MAX_RESULTS)
    while True:
        text = msgspec.json.format(msgspec.json.encode(_Log(found, kept).to_dict(), order="sorted"), indent=2)
        # Nothing grows when it is compressed, beyond a few bytes.
        size = len(text) if len(text) < MAX_GZIPPED else len(gzip.compress(text, mtime=0))
        if size < MAX_GZIPPED or not kept:
            return text.decode() + "\n"
        kept = kept * MAX_GZIPPED // size * 9 // 10


class _Notice(NamedTuple):
    """One notification; ``kind`` is the id of its descriptor: a code of diagnostics or one of ``_KINDS``."""

    kind: str
    level: str
    text: str
    source: Source | None = None
    rule: str = ""


#: What a notification that is no diagnostic means: title, meaning, remedy.
_KINDS = {
    "GRAPHSEC-CUT": (
        "left out of this file",
        "Code hosts refuse a file beyond their limits, so that something was left out of this one.",
        "`-o json` has everything, and the gate counts everything.",
    ),
    "GRAPHSEC-UNANSWERED": (
        "query that was not answered",
        "The input lacks what this query is about. It found nothing because it was not run.",
        "Add the kinds that the message names to the input.",
    ),
    "GRAPHSEC-INCOMPLETE": (
        "incomplete input",
        "The input does not hold all that was asked about: what is not found here may be there all the same.",
        "`graphsec inspect` says what is missing and how to collect it.",
    ),
    "GRAPHSEC-COVERAGE": (
        "kind that is only partly loaded",
        "Objects of this kind were rejected or are known to be missing.",
        "`graphsec inspect` says what is missing and how to collect it.",
    ),
    "GRAPHSEC-WARNING": ("warning", "What could make the answer wrong or incomplete.", "As the message says."),
    "GRAPHSEC-NOTE": ("note", "What was asked, left out or assumed.", "Nothing."),
}


@dataclass
class _Log:
    """One file with the first ``kept`` findings; what limits cut off is counted on the way."""

    found: Report
    kept: int
    cut: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        used = {finding.id for finding in self.found.findings}
        # A rule that found nothing goes first, should there be too many.
        listed = sorted(sorted(self.found.rules, key=lambda rule: rule.id not in used)[:MAX_RULES], key=_id)
        self._count(f"rules left out ({MAX_RULES:,} per run)", len(self.found.rules) - len(listed))
        numbers = {rule.id: number for number, rule in enumerate(listed)}
        kept = self.found.findings[: self.kept]
        self._count("findings of the least severity left out", len(self.found.findings) - len(kept))
        with_states = _States(
            baseline=any(finding.state == UNCHANGED for finding in kept),
            suppressions=any(finding.state == SUPPRESSED for finding in kept),
        )
        results = [self._result(finding, numbers, with_states) for finding in kept]
        rules = [self._rule(rule) for rule in listed]
        notices = [*self._notices()]
        kinds = sorted({notice.kind for notice in notices})
        driver = {
            "name": "graphsec",
            "semanticVersion": __version__,
            "rules": rules,
            "notifications": list(map(_kind, kinds)),
        }
        answer = self.found.answer
        invocation = {
            "executionSuccessful": not any(diagnostic.is_limit for diagnostic in answer.diagnostics),
            "commandLine": safe(f"graphsec {answer.question.command()}"),
            "toolExecutionNotifications": [_notification(notice, kinds, numbers) for notice in notices],
        }
        run = {
            "tool": {"driver": driver},
            "automationDetails": {"id": f"graphsec/{answer.question.ask}/"},
            "invocations": [invocation],
            "originalUriBaseIds": {_ROOT: {"description": _message("The folder that graphsec was run in.")}},
            "results": results,
        }
        return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}

    def _count(self, what: str, number: int) -> None:
        if number:
            self.cut[what] = self.cut.get(what, 0) + number

    def _rule(self, rule: FindingRule) -> dict[str, Any]:
        self._count(f"tags left out ({MAX_TAGS} per rule)", max(0, len(rule.tags) + 1 - MAX_TAGS))
        # Code hosts know the severity of a rule only: the worst of what it found.
        severity = worst([rule.severity, *(finding.severity for finding in self.found.by_rule[rule.id])])
        pages = [page for page in rule.references if _PAGE.fullmatch(page)]
        properties: dict[str, Any] = {
            "tags": [safe(tag) for tag in ("security", *rule.tags)][:MAX_TAGS],
            "precision": rule.confidence,
        }
        if severity in _SCORES:
            properties["security-severity"] = _SCORES[severity]
        fields: dict[str, Any] = {
            "id": safe(rule.id),
            "shortDescription": _message(_short(rule.title)),
            "fullDescription": _message(_short(rule.description)),
            "help": _message("\n\n".join(_help(rule))) | {"markdown": "\n\n".join(_help_markdown(rule, pages))},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            "properties": properties,
        }
        return fields | ({"helpUri": pages[0]} if pages else {})

    def _result(self, finding: Finding, numbers: dict[str, int], states: _States) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "ruleId": safe(finding.id),
            "level": _LEVELS[finding.severity],
            "message": _message(sentence(finding)),
            "locations": [_location(finding.source, finding.subject, named=True)],
            # The first is ours; the second is the one that GitHub compares, so that a moved line is the same alert.
            "partialFingerprints": {
                "graphsec/v1": finding.fingerprint,
                "primaryLocationLineHash": f"{finding.fingerprint}:1",
            },
            "properties": {
                "severity": finding.severity,
                "confidence": finding.confidence,
                "subject": safe(finding.subject),
                **({"scope": safe(finding.scope)} if finding.scope else {}),
            },
        }
        if finding.id in numbers:
            fields["ruleIndex"] = numbers[finding.id]
        related = [
            {"id": number, **_location(source, finding.subject, text)}
            for number, (text, source) in enumerate(evidence(finding), start=1)
            if source is not None
        ]
        self._count(
            f"related locations left out ({MAX_LOCATIONS:,} per finding)", max(0, len(related) + 1 - MAX_LOCATIONS)
        )
        if related:
            fields["relatedLocations"] = related[: MAX_LOCATIONS - 1]
        if finding.steps:
            fields["codeFlows"] = [{"threadFlows": [{"locations": self._flow(finding)}]}]
        if states.suppressions:
            fields["suppressions"] = [*_suppressions(finding)]
        if states.baseline:
            # An exception names what is known, so that it is not new either.
            fields["baselineState"] = "new" if finding.state == "new" else "unchanged"
        return fields

    def _flow(self, finding: Finding) -> list[dict[str, Any]]:
        self._count(
            f"steps of paths left out ({MAX_FLOW_LOCATIONS:,} per finding)",
            max(0, len(finding.steps) - MAX_FLOW_LOCATIONS),
        )
        return [
            {"location": _location(hop.source, finding.subject, hop.text), "importance": "essential"}
            for hop in finding.steps[:MAX_FLOW_LOCATIONS]
        ]

    def _notices(self) -> Iterator[_Notice]:
        answer = self.found.answer
        for what, number in self.cut.items():
            text = f"{number:,} {what}: the limit of code hosts; `-o json` has everything"
            yield _Notice("GRAPHSEC-CUT", "warning", text)
        for rule, reason in sorted(self.found.unanswered.items()):
            yield _Notice("GRAPHSEC-UNANSWERED", "warning", f"{rule}: {reason}", rule=rule)
        if not answer.complete:
            yield _Notice("GRAPHSEC-INCOMPLETE", "warning", _KINDS["GRAPHSEC-INCOMPLETE"][1])
        for entry in answer.coverage:
            if entry.state is State.PARTIAL:
                text = (
                    f"{entry.kind}: {entry.objects:,} loaded, {entry.rejected:,} rejected: {'; '.join(entry.reasons)}"
                )
                yield _Notice("GRAPHSEC-COVERAGE", "warning", text)
        for warning in answer.warnings:
            yield _Notice("GRAPHSEC-WARNING", "warning", warning)
        for note in answer.notes:
            yield _Notice("GRAPHSEC-NOTE", "note", note)
        for diagnostic in answer.diagnostics[:MAX_DIAGNOSTICS]:
            level = _DIAGNOSTIC_LEVELS[diagnostic.severity]
            yield _Notice(diagnostic.code, level, diagnostic.message, diagnostic.source)
        more = len(answer.diagnostics) - MAX_DIAGNOSTICS
        if more > 0:
            text = f"{counted(more, 'more diagnostic')}: `graphsec inspect --diagnostics` lists them"
            yield _Notice("GRAPHSEC-CUT", "warning", text)


class _States(NamedTuple):
    """What the results of a run have either all or none of (SARIF 3.27.23, 3.27.24)."""

    baseline: bool
    suppressions: bool


def _id(rule: FindingRule) -> str:
    return rule.id


def _message(text: str) -> dict[str, str]:
    return {"text": "\n".join(safe(line).translate(_SPECIAL) for line in text.split("\n"))}


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _DESCRIPTION else f"{text[: _DESCRIPTION - 1]}…"


def _help(rule: FindingRule) -> Iterator[str]:
    yield " ".join(rule.description.split())
    if rule.remediation:
        yield f"Fix: {' '.join(rule.remediation.split())}"
    yield from rule.references


def _help_markdown(rule: FindingRule, pages: Iterable[str]) -> Iterator[str]:
    yield prose(rule.description)
    if rule.remediation:
        yield f"**Fix:** {prose(rule.remediation)}"
    yield from (f"<{page}>" for page in pages)


def _location(source: Source | None, subject: str, text: str = "", *, named: bool = False) -> dict[str, Any]:
    where = place(source, subject)
    artifact = {"uri": where.uri} | ({"uriBaseId": _ROOT} if where.is_inside else {})
    fields: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": artifact, "region": {"startLine": where.line}},
    }
    if named or not where.real:
        name = safe(subject)
        fields["logicalLocations"] = [{"fullyQualifiedName": name, "name": name.rpartition("/")[2], "kind": "resource"}]
    return fields | ({"message": _message(text)} if text else {})


def _suppressions(finding: Finding) -> Iterator[dict[str, Any]]:
    if finding.state != SUPPRESSED:
        return
    fields: dict[str, Any] = {"kind": "external", "status": "accepted"}
    exemption = finding.exemption
    if exemption is not None:
        fields["justification"] = safe(exemption.reason)
        told = {"owner": safe(exemption.owner), "expires": safe(exemption.expires)}
        fields["properties"] = {key: value for key, value in told.items() if value}
        if exemption.source is not None:
            fields["location"] = _location(exemption.source, finding.subject)
    yield fields


def _kind(kind: str) -> dict[str, Any]:
    code = CODES.get(kind)
    title, meaning, remedy = (code.title, code.meaning, code.remedy) if code else _KINDS[kind]
    return {
        "id": kind,
        "shortDescription": _message(title),
        "fullDescription": _message(meaning),
        "help": _message(f"{meaning}\n\n{remedy}"),
    }


def _notification(notice: _Notice, kinds: list[str], numbers: dict[str, int]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "descriptor": {"id": notice.kind, "index": kinds.index(notice.kind)},
        "level": notice.level,
        "message": _message(notice.text),
    }
    if notice.source is not None:
        fields["locations"] = [_location(notice.source, "")]
    if notice.rule in numbers:
        fields["associatedRule"] = {"id": safe(notice.rule), "index": numbers[notice.rule]}
    return fields


RENDERER = Renderer(
    name="sarif", suffix=".sarif", help="findings for code hosts, SARIF 2.1.0", render=_sarif, only=GATED
)
