"""What the formats of findings share: the findings of an answer beside their rules, and files as code hosts name them."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from graphsec.errors import UsageError
from graphsec.model.ref import Source
from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.query._finding import Finding, FindingRule, State
from graphsec.query._severities import SEVERITIES

#: The questions that have findings, for the list of formats; whether an answer has some, its question says.
GATED = ("check", "diff", "overprivileged")
STATES: tuple[State, ...] = ("new", "unchanged", "suppressed")
#: Worst first.
FALLING: tuple[str, ...] = SEVERITIES[::-1]
_RANK = {severity: rank for rank, severity in enumerate(FALLING)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of an answer, worst first and of one severity new ones first, and all rules that were looked for."""

    answer: Answer[Any]
    rules: tuple[FindingRule, ...]
    findings: tuple[Finding, ...]
    #: Why the input does not answer a rule, by its id.
    unanswered: Mapping[str, str]
    #: By the id of each rule, in their order, also of rules that found nothing.
    by_rule: Mapping[str, Sequence[Finding]]

    def in_state(self, state: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.state == state]

    def by_severity(self, state: str) -> dict[str, int]:
        """Of every severity, worst first, how many findings are in this state."""
        counts = Counter[str](finding.severity for finding in self.findings if finding.state == state)
        return {severity: counts[severity] for severity in FALLING}


def report(answer: Answer[Any], name: str) -> Report:
    """Raises UsageError where the question has no findings, with the name of the format."""
    question: Any = answer.question
    if not has_findings(answer):
        raise UsageError(
            f"{name} is a format of findings, and {question.ask} has none",
            help=f"`graphsec check -o {name}`; formats of every answer: table, json, csv, markdown",
        )
    rules: Sequence[FindingRule] = question.rules()
    findings = sorted(question.findings(answer), key=lambda found: (_RANK[found.severity], STATES.index(found.state)))
    by_rule: dict[str, list[Finding]] = {rule.id: [] for rule in rules}
    for finding in findings:
        by_rule[finding.id].append(finding)
    return Report(
        answer=answer,
        rules=tuple(rules),
        findings=tuple(findings),
        unanswered={query.id: query.reason for query in getattr(answer, "unanswered", ())},
        by_rule=by_rule,
    )


def has_findings(answer: Answer[Any]) -> bool:
    """Whether the question is ``Gated``."""
    return hasattr(answer.question, "findings") and hasattr(answer.question, "rules")


def lists_findings(answer: Answer[Any]) -> bool:
    """Whether the items are the findings, as those of `check` are; of others they are worked out of them."""
    question: Any = answer.question
    return has_findings(answer) and question.findings(answer) is answer.items


@dataclass(frozen=True, slots=True)
class Place:
    """A file as a code host names it: relative to the folder that graphsec runs in, with `/`."""

    path: str
    line: int
    #: False where what was found stands in no file, and ``path`` only names it.
    real: bool = True

    @property
    def uri(self) -> str:
        """The path as a relative reference (RFC 3986)."""
        return quote(self.path, safe="/", errors="surrogateescape")

    @property
    def is_inside(self) -> bool:
        """Whether the path leads below the folder that graphsec runs in, and so into what a code host shows."""
        return self.real and not self.path.startswith(("../", "/")) and self.path != ".."


def place(source: Source | None, subject: str) -> Place:
    """Where ``source`` is; without a file (standard input, objects from Python, a live cluster) `cluster/NAMESPACE/KIND/NAME.yaml`."""
    if source is None or source.file == "-" or source.file.startswith("<"):
        kind, _, rest = safe(subject).partition("/")
        names = [part for part in rest.split("/") if part not in ("", ".", "..")]
        folder = [*names[:-1], kind] if kind else names[:-1]
        return Place("/".join(["cluster", *folder, f"{names[-1] if names else 'object'}.yaml"]), 1, real=False)
    path = Path(source.file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return Place(posixpath.normpath(path.as_posix()), max(source.line, 1))


def sentence(finding: Finding) -> str:
    """The message with its subject, for where no column has that."""
    kind, _, name = finding.subject.partition("/")
    named = (finding.subject, name, f"{kind.lower()}:{name}")
    return finding.message if finding.message.startswith(named) else f"{finding.subject} {finding.message}"


def evidence(finding: Finding) -> Iterator[tuple[str, Source | None]]:
    """Each piece of evidence as a reader sees it, and its place; none twice."""
    yield from dict.fromkeys((str(proof), proof.source) for proof in finding.because)


def worst(severities: Sequence[str]) -> str:
    return min(severities, key=_RANK.__getitem__)
