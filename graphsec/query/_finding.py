"""What a gate counts: findings of rules, with a fingerprint that outlives edits of the files they stand in.

Every question whose answer can fail a build gives its items as findings; formats for code hosts and CI know nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from graphsec.model.ref import Source
from graphsec.query._answer import Answer, _place
from graphsec.query._severities import Severity

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

State = Literal["new", "unchanged", "suppressed"]
#: Only new findings fail a build; those of a baseline are unchanged, excepted ones suppressed.
SCHEMA = "graphsec.findings/v1"
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

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "severity": self.severity,
            "confidence": self.confidence,
            "description": self.description,
            "remediation": self.remediation,
            "references": list(self.references),
            "tags": list(self.tags),
        }


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


COLUMNS = ("SEVERITY", "ID", "SUBJECT", "FINDING", "WHERE")
WIDE_COLUMNS = ("SEVERITY", "CONFIDENCE", "STATE", "ID", "SUBJECT", "SCOPE", "FINDING", "WHERE", "FINGERPRINT")


@dataclass(frozen=True, kw_only=True)
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
    because: Sequence[Proof] = ()
    steps: Sequence[Hop] = ()
    state: State = "new"
    exemption: Exemption | None = None

    def row(self, *, wide: bool) -> tuple[str, ...]:
        where = str(self.source or "-")
        if not wide:
            return (self.severity.upper(), f"{self.id} {self.title}", self.subject, self.message, where)
        state = f"{self.state}: {self.exemption.reason}" if self.exemption else self.state
        cells = (self.severity.upper(), self.confidence, state, f"{self.id} {self.title}", self.subject)
        return (*cells, self.scope or "-", self.message, where, self.fingerprint)

    def in_state(self, state: State) -> Finding:
        """The same finding beside another baseline."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, state=state)
        return other

    def refs(self) -> tuple[str, ...]:
        kind, _, rest = self.subject.partition("/")
        return (f"{kind.lower()}/{rest}" if rest else self.subject,)

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

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


class Told(NamedTuple):
    """What a finding rests on."""

    source: Source | None
    because: Sequence[Proof]
    steps: Sequence[Hop] = ()
    drawing: Callable[[], tuple[list[Vertex], list[Arrow]]] | None = None


class _Deferred(Finding):
    """A finding whose evidence is made when first looked at: a gate counts thousands and shows some."""

    _tell: Callable[[], Told]

    @cached_property
    def _told(self) -> Told:
        return self._tell()

    @cached_property
    def source(self) -> Source | None:
        return self._told.source

    @cached_property
    def because(self) -> Sequence[Proof]:
        return self._told.because

    @cached_property
    def steps(self) -> Sequence[Hop]:
        return self._told.steps

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        draw = self._told.drawing
        return draw() if draw else ([], [])


def deferred(tell: Callable[[], Told], **fields: Any) -> Finding:
    """A finding with all ``fields`` of ``Finding`` but ``source``, ``because`` and ``steps``, which ``tell`` gives."""
    found = object.__new__(_Deferred)
    # A cached property is found in the instance first, where the constructor would put what is not known yet.
    found.__dict__.update(fields, _tell=tell)
    return found


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
