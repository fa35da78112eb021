"""Aggregated ClusterRoles: what the controller stores (rbac.md S-50 to S-52), computed to a fixed point.

Source: `pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphsec.model.objects import StoredRole
from graphsec.model.rbac import PolicyRule

Rules = tuple[PolicyRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """``rules`` are the effective ones of every ClusterRole, ``feeders`` the roles that each aggregated one selects.

    ``drifted`` are stored roles whose rules differ from what was computed, ``unsettled`` those that never converge.
    """

    rules: Mapping[str, Rules]
    feeders: Mapping[str, tuple[str, ...]]
    drifted: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()


def aggregate(roles: Mapping[str, StoredRole]) -> Aggregation:
    """Effective rules of all ClusterRoles. Stored rules count where all that they depend on was read from a server."""
    names = sorted(roles)
    feeders = {name: _selected(name, roles, names) for name in names if roles[name].selectors is not None}
    stored = {name for name in feeders if _is_stored(name, roles, feeders)}
    rules, unsettled = _fixed_point(
        {name: roles[name].rules for name in names},
        {name: found for name, found in feeders.items() if name not in stored},
    )
    return Aggregation(
        rules=rules,
        feeders=feeders,
        drifted=tuple(name for name in sorted(stored) if _drifts(rules[name], _union(rules, feeders[name]))),
        unsettled=unsettled,
    )


def _drifts(stored: Rules, selected: Rules) -> bool:
    """An empty selection leaves hand-written rules (S-50)."""
    return bool(selected) and set(stored) != set(selected)


def _selected(name: str, roles: Mapping[str, StoredRole], names: list[str]) -> tuple[str, ...]:
    """The roles that ``name`` aggregates, in the controller's order: selector by selector, matches by name, never itself."""
    return tuple(
        other
        for selector in roles[name].selectors or ()
        for other in names
        if other != name and selector.matches(roles[other].labels)
    )


def _fixed_point(
    rules: dict[str, Rules], feeders: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Rules], tuple[str, ...]]:
    """Sync each role in name order until nothing changes. Cycles may never settle: bounded by the number of roles."""
    changed: list[str] = []
    for _ in range(len(feeders) + 2):
        changed = [name for name in feeders if _sync(name, rules, feeders[name])]
        if not changed:
            break
    return rules, tuple(changed)


def _sync(name: str, rules: dict[str, Rules], feeders: tuple[str, ...]) -> bool:
    union = _union(rules, feeders)
    # An empty union is applied without `rules`, so hand-written ones stay (S-50).
    if not union or union == rules[name]:
        return False
    rules[name] = union
    return True


def _union(rules: Mapping[str, Rules], feeders: tuple[str, ...]) -> Rules:
    return tuple(dict.fromkeys(rule for feeder in feeders for rule in rules[feeder]))


def _is_stored(name: str, roles: Mapping[str, StoredRole], feeders: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether this role and every role that reaches it was read from a server: then its controller has run."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if not roles[current].live:
            return False
        if current not in seen:
            seen.add(current)
            waiting += feeders.get(current, ())
    return True


def origin(aggregation: Aggregation, name: str, rule: PolicyRule) -> str:
    """The role in which an aggregated rule is written, "" if that is ``name`` itself. Follows nested aggregation."""
    seen = {name}
    current = name
    while True:
        feeder = next(
            (
                feeder
                for feeder in aggregation.feeders.get(current, ())
                if feeder not in seen and rule in aggregation.rules[feeder]
            ),
            "",
        )
        if not feeder:
            return "" if current == name else current
        seen.add(feeder)
        current = feeder
