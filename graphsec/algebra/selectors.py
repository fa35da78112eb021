"""Label selectors (apimachinery `labels.Selector`): matchLabels and the four operators of matchExpressions."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Requirement(msgspec.Struct, frozen=True):
    """One entry of ``matchExpressions``; an unknown operator matches nothing, as the API server refuses it."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in (self.values or ())
            case "NotIn":
                return value is None or value not in (self.values or ())
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return False


class LabelSelector(msgspec.Struct, frozen=True, rename="camel"):
    """A label selector; the empty one matches everything (S-51)."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Requirement, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in (self.match_labels or {}).items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions or ()
        )
