"""Boolean expressions over labels: what every selector language (LabelSelector, Calico's) becomes.

An expression reads labels of several objects at once, told apart by ``field``: a pod's own, those of its namespace, of
its account. All values are hashable, so equal selectors are one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphsec.algebra.selectors import LabelSelector, Requirement


class Field(enum.StrEnum):
    """Whose labels a test reads."""

    OWN = "own"
    NAMESPACE = "namespace"
    ACCOUNT = "account"


class Operator(enum.StrEnum):
    IN = "in"
    EXISTS = "exists"
    CONTAINS = "contains"
    STARTS = "starts with"
    ENDS = "ends with"


@dataclass(frozen=True, slots=True)
class LabelTest:
    """One label against one or more texts. False where the label is absent: negation is ``Not`` of a test (N-07c)."""

    key: str
    operator: Operator = Operator.EXISTS
    values: tuple[str, ...] = ()
    field: Field = Field.OWN

    def holds(self, value: str | None) -> bool:
        """Of the value of the label, None where it is absent."""
        if value is None:
            return False
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.EXISTS:
                return True
            case Operator.CONTAINS:
                return any(text in value for text in self.values)
            case Operator.STARTS:
                return value.startswith(self.values)
            case Operator.ENDS:
                return value.endswith(self.values)

    def __str__(self) -> str:
        key = self.key if self.field is Field.OWN else f"{self.field} {self.key}"
        match self.operator:
            case Operator.EXISTS:
                return key
            case Operator.IN if len(self.values) == 1:
                return f"{key}={self.values[0]}"
            case Operator.IN:
                return f"{key} in ({','.join(self.values)})"
            case _:
                return f"{key} {self.operator} '{self.values[0]}'"


@dataclass(frozen=True, slots=True)
class Not:
    term: Expression

    def __str__(self) -> str:
        term = self.term
        if isinstance(term, LabelTest) and term.field is Field.OWN:
            if term.operator is Operator.EXISTS:
                return f"!{term.key}"
            if term.operator is Operator.IN:
                single = len(term.values) == 1
                return f"{term.key}!={term.values[0]}" if single else f"{term.key} notin ({','.join(term.values)})"
        return f"!({term})"


@dataclass(frozen=True, slots=True)
class AllOf:
    terms: tuple[Expression, ...] = ()

    def __str__(self) -> str:
        return ",".join(map(_bracketed, self.terms)) or "everything"


@dataclass(frozen=True, slots=True)
class AnyOf:
    terms: tuple[Expression, ...] = ()

    def __str__(self) -> str:
        return " or ".join(map(_bracketed, self.terms)) or "nothing"


Expression = LabelTest | Not | AllOf | AnyOf

EVERYTHING: Expression = AllOf()
NOTHING: Expression = AnyOf()


def _bracketed(term: Expression) -> str:
    return f"({term})" if isinstance(term, AnyOf) and len(term.terms) > 1 else str(term)


def all_of(*terms: Expression) -> Expression:
    """The conjunction, without layers that say nothing."""
    flat = tuple(part for term in terms for part in (term.terms if isinstance(term, AllOf) else (term,)))
    return flat[0] if len(flat) == 1 else AllOf(flat)


def tests(expression: Expression) -> Iterator[LabelTest]:
    """Every test in the expression."""
    match expression:
        case LabelTest():
            yield expression
        case Not(term):
            yield from tests(term)
        case AllOf(terms) | AnyOf(terms):
            for term in terms:
                yield from tests(term)


def matches(expression: Expression, labels: Mapping[Field, Mapping[str, str]]) -> bool:
    """Whether the labels, by field, fulfil the expression; a field that is not given has no labels."""
    match expression:
        case LabelTest():
            return expression.holds(labels.get(expression.field, {}).get(expression.key))
        case Not(term):
            return not matches(term, labels)
        case AllOf(terms):
            return all(matches(term, labels) for term in terms)
        case AnyOf(terms):
            return any(matches(term, labels) for term in terms)


def of_selector(selector: LabelSelector | None, field: Field = Field.OWN) -> Expression:
    """A LabelSelector as an expression (N-07); None and the empty one are everything."""
    if selector is None:
        return EVERYTHING
    pairs = [
        LabelTest(key, Operator.IN, (value,), field) for key, value in sorted((selector.match_labels or {}).items())
    ]
    return all_of(*pairs, *(_of_requirement(found, field) for found in selector.match_expressions or ()))


def _of_requirement(requirement: Requirement, field: Field) -> Expression:
    """An unknown operator matches nothing, as in ``Requirement.matches``; validation refuses it before."""
    values = tuple(sorted(set(requirement.values or ())))
    match requirement.operator:
        case "In":
            return LabelTest(requirement.key, Operator.IN, values, field)
        case "NotIn":
            return Not(LabelTest(requirement.key, Operator.IN, values, field))
        case "Exists":
            return LabelTest(requirement.key, field=field)
        case "DoesNotExist":
            return Not(LabelTest(requirement.key, field=field))
        case _:
            return NOTHING
