"""Used requests as the fewest rules that allow them and stay within the rules they were allowed by (rbac.md §7.4)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from graphsec.model.rbac import ALL, PolicyRule, Request, allows, covers

Preset = Literal["exact", "stable"]
PRESETS: tuple[Preset, ...] = ("exact", "stable")
#: Verbs that are limited to names: those on one object that is there, and those whose name is the whole of what is granted.
_NAMED_VERBS = frozenset(
    ("get", "update", "patch", "delete", "use", "bind", "escalate", "impersonate", "approve", "sign", "attest")
)
_MOST_NAMES = 5
#: The end of a name that the API server or a controller makes up (`k8s.io/apimachinery/pkg/util/rand`), or of a UUID.
_GENERATED = re.compile(r"[.-](?:[bcdfghjklmnpqrstvwxz2456789]{5,10}|[0-9a-f]{12})$")
#: What goes with a verb in the preset `stable`: who watches also lists and gets, who updates also patches.
_TOGETHER = {"watch": ("get", "list"), "update": ("patch",)}


class _Spot(NamedTuple):
    """What is done to what; ``url`` stands in ``resource`` of a URL, whose ``group`` is None."""

    group: str | None
    resource: str
    verb: str


Names = tuple[str, ...]


def expressible(request: Request) -> bool:
    """False for a request without a verb, and one whose own words are wildcards: a rule that allows it would allow more."""
    if not request.verb:
        return False
    if request.url:
        return request.verb != ALL and not request.url.endswith(ALL)
    return ALL not in (request.verb, request.group, request.resource)


def least_rules(requests: Iterable[Request], within: Sequence[PolicyRule], preset: Preset) -> tuple[PolicyRule, ...]:
    """Rules without wildcards that allow each of ``requests``, all of which ``within`` allows, and that ``within`` covers."""
    names: dict[_Spot, set[str]] = defaultdict(set)
    for request in requests:
        if expressible(request):
            names[_spot(request)].add(request.name)
    limits = {spot: _limit(spot, found, within) for spot, found in names.items()}
    if preset == "stable":
        limits = _with_companions(limits, within)
    return _compact(limits)


def _spot(request: Request) -> _Spot:
    if request.url:
        return _Spot(None, request.url, request.verb)
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    return _Spot(request.group, resource, request.verb)


def _rule(spot: _Spot, names: Names) -> PolicyRule:
    if spot.group is None:
        return PolicyRule(verbs=(spot.verb,), urls=(spot.resource,))
    return PolicyRule(verbs=(spot.verb,), groups=(spot.group,), resources=(spot.resource,), names=names)


def _limit(spot: _Spot, names: set[str], within: Sequence[PolicyRule]) -> Names:
    """The names to limit a rule to, () for none."""
    if spot.group is None:
        return ()
    found = tuple(sorted(names))
    verb = spot.verb.partition(":")[0]
    stable = "" not in names and len(names) <= _MOST_NAMES and not any(map(_GENERATED.search, names))
    if (verb in _NAMED_VERBS and stable) or not covers(within, (_rule(spot, ()),)):
        return found
    return ()


def _with_companions(limits: dict[_Spot, Names], within: Sequence[PolicyRule]) -> dict[_Spot, Names]:
    found = dict(limits)
    for spot, names in limits.items():
        for verb in _TOGETHER.get(spot.verb, ()) if spot.group is not None else ():
            companion = spot._replace(verb=verb)
            kept = [name for name in names if covers(within, (_rule(companion, (name,)),))]
            if companion in found or (names and not kept):
                continue
            if names or covers(within, (_rule(companion, ()),)):
                found[companion] = tuple(kept)
    return found


def _compact(limits: dict[_Spot, Names]) -> tuple[PolicyRule, ...]:
    """One rule for each group, set of verbs and names: the cross product of such a rule is exactly what went in."""
    verbs: dict[tuple[str | None, str, Names], set[str]] = defaultdict(set)
    for spot, names in limits.items():
        verbs[spot.group, spot.resource, names].add(spot.verb)
    resources: dict[tuple[str | None, tuple[str, ...], Names], set[str]] = defaultdict(set)
    for (group, resource, names), found in verbs.items():
        resources[group, tuple(sorted(found)), names].add(resource)
    rules = [
        PolicyRule(verbs=sorted_verbs, urls=tuple(sorted(found)))
        if group is None
        else PolicyRule(verbs=sorted_verbs, groups=(group,), resources=tuple(sorted(found)), names=names)
        for (group, sorted_verbs, names), found in resources.items()
    ]
    return tuple(sorted(rules, key=lambda rule: (rule.urls, rule.groups, rule.resources, rule.names, rule.verbs)))


def allowed_by(rules: Sequence[PolicyRule], requests: Iterable[Request]) -> list[Request]:
    """Those requests that some rule allows."""
    return [request for request in requests if any(allows(rule, request) for rule in rules)]
