"""The catalogue of attack rules as an answer, and the page of each."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.errors import UsageError
from graphsec.model.attack import ASSUMPTIONS, Rule
from graphsec.query._answer import Answer
from graphsec.rules import page, rules

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


@dataclass(frozen=True, slots=True)
class RuleItem:
    rule: Rule

    @property
    def because(self) -> tuple[Any, ...]:
        return ()

    def row(self, *, wide: bool) -> tuple[str, ...]:
        rule = self.rule
        cells = (rule.id, rule.family, rule.severity, rule.confidence.value, rule.title)
        return (*cells, rule.needs, rule.gains, ",".join((*rule.attack, *rule.microsoft))) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        rule = self.rule
        return {
            "id": rule.id,
            "title": rule.title,
            "family": rule.family,
            "severity": rule.severity,
            "confidence": rule.confidence.value,
            "needs": rule.needs,
            "gains": rule.gains,
            "attack": list(rule.attack),
            "microsoft": list(rule.microsoft),
            "assumes": list(rule.assumes),
            "core": rule.core,
            "page": page(rule),
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (self.rule.id,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleList:
    ask: ClassVar[str] = "rules"

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("ID", "FAMILY", "SEVERITY", "CONFIDENCE", "TITLE")
        return (*base, "NEEDS", "GAINS", "TAGS") if wide else base

    def command(self) -> str:
        return "rules list"

    def to_dict(self) -> dict[str, Any]:
        return {}

    def listing(self) -> Answer[RuleItem]:
        return Answer(question=self, items=tuple(RuleItem(rule) for rule in rules().values()))


def explained(rule_id: str) -> str:
    """The page of a rule for a terminal. Raises UsageError with a suggestion."""
    rule = rules().get(rule_id)
    if rule is None:
        near = difflib.get_close_matches(rule_id, rules(), n=1)
        raise UsageError(
            f"unknown rule `{rule_id}`", help=f"did you mean `{near[0]}`?" if near else "graphsec rules list"
        )
    tags = ", ".join((*rule.attack, *rule.microsoft))
    assumed = "".join(f"\n  {name}: {ASSUMPTIONS[name]}" for name in rule.assumes)
    head = f"{rule.id} ({rule.family}, {rule.severity}, {rule.confidence.value}{f', {tags}' if tags else ''})"
    needs = f"Needs: {rule.needs}\nGains: {rule.gains}"
    return f"{head}\n\n{page(rule)}\n\n{needs}" + (f"\nMay rest on:{assumed}" if assumed else "")
