"""What a gate counts: findings of rules, with a fingerprint that outlives edits of the files they stand in.

Every question whose answer can fail a build gives its items as findings; formats for code hosts and CI know nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from graphsec.model.ref import Source
from graphsec.query._answer import Answer
from graphsec.query._severities import Severity

State = Literal["new", "unchanged", "suppressed"]
#: Only new findings fail a build; those of a baseline are unchanged, excepted ones suppressed.
NEW, UNCHANGED, SUPPRESSED = "new", "unchanged", "suppressed"


class Proof(Protocol):
    """One piece of evidence, of whatever question: ``str`` is what a reader sees."""

    @property
    def source(self) -> Source | None: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRule:
    """What was looked for: a saved query, or a check of a comparison. ``references`` are https addresses."""

    id: str
    title: str
    severity: Severity
    description: str
    remediation: str
    confidence: str = "high"
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of a path that a finding tells: what happens, and where it is written (None: in no file)."""

    text: str
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """The exception that covers a finding. ``expires`` is a date as ISO 8601 has it, "" for a permanent one."""

    reason: str
    owner: str = ""
    expires: str = ""
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule found. ``subject`` is a canonical ref (`ServiceAccount/ci/deployer`); ``scope`` is "cluster", a
    namespace, or "" where that says nothing; ``source`` the first place to look at."""

    id: str
    title: str
    severity: Severity
    confidence: str
    subject: str
    message: str
    fingerprint: str
    scope: str = ""
    source: Source | None = None
    because: tuple[Proof, ...] = ()
    steps: tuple[Hop, ...] = ()
    state: State = "new"
    exemption: Exemption | None = None

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "severity": self.severity,
            "confidence": self.confidence,
            "subject": self.subject,
            "scope": self.scope or None,
            "message": self.message,
            "fingerprint": self.fingerprint,
            "state": self.state,
            "source": _place(self.source),
            "because": [proof.to_dict() for proof in self.because],
            "steps": [{"text": hop.text} | ({"source": _place(hop.source)} if hop.source else {}) for hop in self.steps]
            or None,
            "exception": None
            if self.exemption is None
            else {
                "reason": self.exemption.reason,
                "owner": self.exemption.owner or None,
                "expires": self.exemption.expires or None,
            },
        }
        return {key: value for key, value in fields.items() if value is not None}


class Gated(Protocol):
    """A question whose answer holds findings."""

    def rules(self) -> Sequence[FindingRule]:
        """Everything that was looked for, also what found nothing, in order of id."""

    def findings(self, answer: Answer[Any]) -> Sequence[Finding]:
        """Worst first, then by id and subject."""


def fingerprint(rule: str, *key: str, cluster: str = "") -> str:
    """32 hexadecimal digits of a rule, the cluster and the canonical refs of what tells findings of the rule apart.

    Never of file, line, message or order (interface.md §7), so that a moved object is the same finding.
    """
    parts = (rule, cluster, *key)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def first_place(because: Iterable[Proof]) -> Source | None:
    """Where a reader looks first: the first piece of evidence that stands in a file."""
    return next((proof.source for proof in because if proof.source is not None), None)


def _place(source: Source | None) -> dict[str, Any] | None:
    return None if source is None else {"file": source.file, "line": source.line}
