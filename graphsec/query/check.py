"""The gate: every query of some packs run once, and what they found as findings that are new, known, or excepted.

One set of findings decides: what is shown, gated on and written to files are the same (interface.md §1).
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, ClassVar, cast

import msgspec

from graphsec.compile import World
from graphsec.errors import InputError, LimitError, UsageError
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Answer
from graphsec.query._baseline import Baseline
from graphsec.query._exceptions import Exception_, Exceptions
from graphsec.query._finding import (
    COLUMNS,
    SCHEMA,
    SUPPRESSED,
    WIDE_COLUMNS,
    Finding,
    FindingRule,
    State,
    Told,
    deferred,
    fingerprint,
)
from graphsec.query._found import Found, found, namespace_in
from graphsec.query._saved import SavedQuery, run
from graphsec.query._severities import SEVERITIES
from graphsec.query._words import flag

_CONFIDENCES = ("low", "medium", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Who reads the findings: from which severity and confidence on, and whether what every cluster has counts."""

    severity: str
    confidence: str
    builtin: bool = False

    def wants(self, severity: str, confidence: str) -> bool:
        return SEVERITIES.index(severity) >= SEVERITIES.index(self.severity) and (
            _CONFIDENCES.index(confidence) >= _CONFIDENCES.index(self.confidence)
        )


PERSONAS = {
    "reviewer": Persona(severity="low", confidence="medium"),
    "pedantic": Persona(severity="info", confidence="low"),
    "auditor": Persona(severity="info", confidence="low", builtin=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A query that was not run, and why."""

    id: str
    reason: str
    limit: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Checked(Answer[Finding]):
    """``items`` are all findings, whatever their state."""

    unanswered: tuple[Unanswered, ...] = ()
    #: Entries of the baseline that are not found any more.
    gone: int = 0
    #: The first day on which an exception that was used expires, "" if none does.
    next_expiry: str = ""
    #: Ids of the queries that were answered.
    answered: frozenset[str] = field(default=frozenset(), repr=False)

    def counts(self, state: State = "new") -> Mapping[str, int]:
        """Findings of a state by severity."""
        return Counter(finding.severity for finding in self.items if finding.state == state)

    def with_baseline(self, baseline: Baseline) -> Checked:
        """The same findings beside another baseline."""
        known = baseline.fingerprints
        items = tuple(_against(known, finding) for finding in self.items)
        seen = {finding.fingerprint for finding in items}
        return replace(self, items=items, gone=baseline.gone(self.answered, seen))

    def envelope(self) -> dict[str, Any]:
        """The JSON answer (``graphsec schema findings``)."""
        return super().envelope() | {
            "schema": SCHEMA,
            "rules": [rule.to_dict() for rule in cast("Check", self.question).rules()],
            "unanswered": [{"id": query.id, "reason": query.reason} for query in self.unanswered],
            "gone": self.gone,
        }


def _against(known: frozenset[str], finding: Finding) -> Finding:
    if finding.state == SUPPRESSED:
        return finding
    state: State = "unchanged" if finding.fingerprint in known else "new"
    return finding if finding.state == state else finding.in_state(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Runs ``queries``; ``packs`` and ``folders`` are where they come from, for the canonical command."""

    ask: ClassVar[str] = "check"
    queries: tuple[SavedQuery, ...]
    packs: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    persona: str = "reviewer"
    #: Only findings whose subject or scope is in this namespace.
    namespace: str = ""
    include_builtin: bool = False
    exceptions: Exceptions = Exceptions()
    baseline: Baseline = Baseline()
    as_of: date = date.max

    def __post_init__(self) -> None:
        if self.persona not in PERSONAS:
            raise UsageError(f"unknown persona `{self.persona}`", help=f"personas: {', '.join(PERSONAS)}")

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def command(self) -> str:
        words = " ".join(("check", *self.packs)) + "".join(flag("--queries", folder) for folder in self.folders)
        words += flag("-n", self.namespace) + (" --include-builtin" if self.include_builtin else "")
        words += flag("--persona", "" if self.persona == "reviewer" else self.persona)
        return words + flag("--exceptions", self.exceptions.file) + flag("--baseline", self.baseline.file)

    def to_dict(self) -> dict[str, Any]:
        return {"packs": list(self.packs), "queries": [query.id for query in self.wanted()], "persona": self.persona}

    def wanted(self) -> tuple[SavedQuery, ...]:
        """The queries that the persona wants, in order of their ids."""
        persona = PERSONAS[self.persona]
        return tuple(
            sorted(
                (query for query in self.queries if persona.wants(query.severity, query.confidence)),
                key=lambda query: query.id,
            )
        )

    def rules(self) -> tuple[FindingRule, ...]:
        return tuple(
            FindingRule(
                id=query.id,
                title=query.title,
                severity=query.severity,
                description=query.description,
                remediation=query.remediation,
                confidence=query.confidence,
                references=query.references,
                tags=query.tags,
            )
            for query in self.wanted()
        )

    def findings(self, answer: Answer[Any]) -> Sequence[Finding]:
        return answer.items

    def answer(self, world: World) -> Checked:
        """Worst first, then by id and subject. Raises InputError where the input answers none of the queries."""
        judge = _Judge(self)
        results = [(query, self._asked(query, world)) for query in self.wanted()]
        answers = [(query, result) for query, result in results if isinstance(result, Answer)]
        refused = [(query, result) for query, result in results if isinstance(result, InputError)]
        if refused and not answers:
            raise refused[0][1]
        items = [finding for query, answer in answers for finding in self._findings(world, query, answer, judge)]
        items.sort(key=_worst_first)
        answered = frozenset(query.id for query, _ in answers)
        unanswered = tuple(
            Unanswered(id=query.id, reason=error.message.splitlines()[0], limit=isinstance(error, LimitError))
            for query, error in refused
        )
        return Checked(
            question=self,
            items=tuple(items),
            complete=not refused and all(answer.complete for _, answer in answers),
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(dict.fromkeys(note for _, answer in answers for note in answer.notes)),
            warnings=(
                *dict.fromkeys(warning for _, answer in answers for warning in answer.warnings),
                *_refusals(unanswered),
                *judge.remarks(answered),
            ),
            left_out=sum(answer.left_out for _, answer in answers),
            unanswered=unanswered,
            answered=answered,
            gone=self.baseline.gone(answered, {finding.fingerprint for finding in items}) if self.baseline.file else 0,
            next_expiry=judge.next_expiry(),
        )

    def _asked(self, query: SavedQuery, world: World) -> Answer[Any] | InputError:
        if (self.include_builtin or PERSONAS[self.persona].builtin) and hasattr(query.parameters, "builtin"):
            query = msgspec.structs.replace(query, parameters=msgspec.structs.replace(query.parameters, builtin=True))
        try:
            return run(query, world, counted=True)
        except InputError as error:
            return error

    def _findings(self, world: World, query: SavedQuery, answer: Answer[Any], judge: _Judge) -> Iterator[Finding]:
        grouped: dict[tuple[str, ...], list[Found]] = {}
        nearest = getattr(query.parameters, "nearest", False)
        for item in answer:
            one = found(item, query.finding(item), world)
            if query.message:
                one = one._replace(text=query.told(world, item))
            grouped.setdefault((one.subject,) if nearest else one.key, []).append(one)
        for key, group in grouped.items():
            confidence = _confidence(query, group)
            if self._about(group[0]) and PERSONAS[self.persona].wants(query.severity, confidence):
                yield judge.finding(world, query, key, group, confidence)

    def _about(self, one: Found) -> bool:
        return not self.namespace or self.namespace in (one.namespace, namespace_in(one.subject))


def _confidence(query: SavedQuery, group: Sequence[Found]) -> str:
    """What rests on an assumption is at most of medium confidence."""
    if all(one.conditional for one in group) and query.confidence == "high":
        return "medium"
    return query.confidence


def today() -> date:
    """Against which exceptions expire: the day of `SOURCE_DATE_EPOCH` where that is set. Raises UsageError if it is no number."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return datetime.now(tz=UTC).date()
    try:
        return datetime.fromtimestamp(int(epoch), tz=UTC).date()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH is no time: `{epoch}`") from None


class _Judge:
    """Tells findings that are new from known and excepted ones, and remembers which exceptions were of use."""

    def __init__(self, question: Check) -> None:
        self._known = question.baseline.fingerprints
        self._exceptions = question.exceptions.entries
        self._as_of = question.as_of
        self._holding = question.exceptions.by_id(question.as_of)
        self._used: set[int] = set()

    def finding(
        self, world: World, query: SavedQuery, key: tuple[str, ...], group: Sequence[Found], confidence: str
    ) -> Finding:
        first = group[0]
        print_ = fingerprint(query.id, *key)
        exception = self._exception(query, group)
        state: State = "suppressed" if exception else "unchanged" if print_ in self._known else "new"
        more = f" (and {len(group) - 1} more)" if len(group) > 1 else ""
        return deferred(
            partial(_told, world, group),
            id=query.id,
            title=query.title,
            severity=query.severity,
            confidence=confidence,
            subject=first.subject,
            scope=first.scope,
            message=f"{first.text}{more}",
            fingerprint=print_,
            state=state,
            exemption=exception.exemption if exception else None,
        )

    def _exception(self, query: SavedQuery, group: Sequence[Found]) -> Exception_ | None:
        """Of several items of one finding each must be covered."""
        for exception in self._holding.get(query.id, ()):
            if all(exception.covers(one.values) for one in group):
                self._used.add(id(exception))
                return exception
        return None

    def remarks(self, answered: frozenset[str]) -> Iterator[str]:
        """Exceptions that have run out, and those of answered queries that cover nothing."""
        for exception in self._exceptions:
            if exception.expired(self._as_of):
                yield f"{exception} expired on {exception.exemption.expires}: what it covered counts again"
            elif exception.id in answered and id(exception) not in self._used:
                yield f"{exception} covers no finding"

    def next_expiry(self) -> str:
        used = (one.exemption.expires for one in self._exceptions if id(one) in self._used)
        return min(filter(None, used), default="")


def _told(world: World, group: Sequence[Found]) -> Told:
    """What items of one finding rest on together. Where nothing of it stands in a file, the place is the subject's own."""
    told = [one.tell() for one in group]
    because = told[0].because
    if len(told) > 1:
        because = list({str(proof): proof for one in told for proof in one.because}.values())
    return told[0]._replace(source=told[0].source or _place(world, group[0].subject), because=because)


def _place(world: World, subject: str) -> Source | None:
    kind, *rest = subject.split("/")
    ref = Ref(kind, rest[-1], rest[0] if len(rest) == 2 else None) if rest else None
    return world.cluster.inventory.get(ref) if ref else None


def _worst_first(finding: Finding) -> tuple[Any, ...]:
    return (-SEVERITIES.index(finding.severity), finding.id, finding.subject, finding.scope, finding.fingerprint)


def _refusals(unanswered: Iterable[Unanswered]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for query in unanswered:
        by_reason[query.reason].append(query.id)
    for reason, ids in by_reason.items():
        yield f"not answered: {', '.join(ids)}: {reason}"


__all__ = ["PERSONAS", "Check", "Checked", "Finding", "Unanswered"]
