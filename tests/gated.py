"""A question with findings, of every saved query at once, for the tests of formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import graphsec as gs
from graphsec.query import _saved
from graphsec.query._finding import Exemption, Finding, FindingRule, Hop, fingerprint, first_place

QUERIES = tuple(_saved.load_queries([_saved.builtin_directory()]))


@dataclass(frozen=True)
class Row:
    finding: Finding
    item: Any = None

    def row(self, *, wide: bool) -> tuple[str, ...]:
        return (self.finding.severity, self.finding.id, self.finding.subject, self.finding.message)

    def to_dict(self) -> dict[str, Any]:
        return self.finding.to_dict()

    def drawing(self) -> tuple[list[Any], list[Any]]:
        return self.item.drawing() if self.item else ([], [])

    def refs(self) -> tuple[str, ...]:
        return (self.finding.subject.lower(),)


@dataclass(frozen=True)
class Gate:
    """``states`` of findings by fingerprint, ``more`` further findings."""

    ask: ClassVar[str] = "check"
    queries: tuple[_saved.SavedQuery, ...] = QUERIES
    states: Mapping[str, str] = field(default_factory=dict)
    more: tuple[Finding, ...] = ()
    refusals: dict[str, str] = field(default_factory=dict)

    def command(self) -> str:
        return "check"

    def to_dict(self) -> dict[str, Any]:
        return {}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return ("SEVERITY", "ID", "SUBJECT", "FINDING")

    def rules(self) -> Sequence[FindingRule]:
        return [
            FindingRule(
                id=query.id,
                title=query.title,
                severity=query.severity,
                description=query.description,
                remediation=query.remediation,
                references=query.references,
                tags=query.tags,
            )
            for query in self.queries
        ]

    def unanswered(self, _: gs.Answer[Any]) -> Mapping[str, str]:
        return self.refusals

    def findings(self, answer: gs.Answer[Any]) -> Sequence[Finding]:
        return [item.finding for item in answer]

    def answer(self, world: gs.World) -> gs.Answer[Any]:
        found = {finding.fingerprint: Row(finding) for finding in self.more}
        complete, warnings = True, dict[str, None]()
        for query in self.queries:
            try:
                answer = _saved.run(query, world)
            except gs.InputError as error:
                self.refusals[query.id] = error.message
                continue
            complete &= answer.complete
            warnings |= dict.fromkeys(answer.warnings)
            for item in answer:
                finding = self._finding(query, item)
                found[finding.fingerprint] = Row(finding, item)
        return gs.Answer(
            question=self,
            items=tuple(found.values()),
            complete=complete and not self.refusals,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            warnings=tuple(warnings),
        )

    def _finding(self, query: _saved.SavedQuery, item: Any) -> Finding:
        subject, scope = query.parameters.finding(item), getattr(item, "scope", "")
        because = tuple(getattr(item, "because", ()))
        name = fingerprint(query.id, subject, scope)
        state = self.states.get(name, "new")
        steps = [
            Hop(text=f"{step.after} [{step.rule}]", source=first_place(step.because))
            for step in getattr(item, "steps", ())
        ]
        return Finding(
            id=query.id,
            title=query.title,
            severity=query.severity,
            confidence=query.confidence,
            subject=subject,
            message=f"{subject}: {query.title[:1].lower()}{query.title[1:]}",
            fingerprint=name,
            scope=scope,
            source=first_place(because),
            because=because,
            steps=tuple(steps),
            state=state,  # type: ignore[arg-type]
            exemption=Exemption(reason="reviewed | <b>", owner="platform", expires="2027-03-31")
            if state == "suppressed"
            else None,
        )


def gate(world: gs.World, **more: Any) -> gs.Answer[Any]:
    """Of three findings one is unchanged and one suppressed."""
    first = Gate(**more).answer(world)
    states = ("new", "unchanged", "suppressed")
    assigned = {item.finding.fingerprint: states[number % 3] for number, item in enumerate(first)}
    return Gate(states=assigned, **more).answer(world)
