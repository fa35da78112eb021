"""The policies of a cluster in the order in which they are read: tiers resolved, ties found, foreign kinds left out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from graphsec.compile.profile import Profile
from graphsec.model.cluster import Cluster
from graphsec.model.objects import Loaded
from graphsec.model.policy import Action, Direction, LabelledAddresses, Policy, Rule, Tier, TierOrder
from graphsec.model.ref import Ref, Source

#: A Tier object may be missing from the input: read as the last one, as a tier without order is (CA-01).
_UNPLACED = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One policy object, where it stands and in which tier it is read."""

    ref: Ref
    source: Source
    lines: tuple[int, ...]
    body: Policy
    tier: Tier

    @property
    def key(self) -> tuple[float, str, str]:
        return self.body.order, self.body.prefix + self.ref.name, self.ref.namespace or ""

    def rule_source(self, direction: Direction, rule: Rule) -> Source:
        """The line of a rule, that of the policy where none is known."""
        position = rule.index + (self.body.written[0] if direction is Direction.EGRESS else 0)
        known = position < len(self.lines)
        return Source(self.source.file, self.lines[position], self.source.origin) if known else self.source


@dataclass(frozen=True, kw_only=True)
class Policies:
    """Every policy that the profile's implementation reads, in order of tier and order; ``foreign`` are those it does not."""

    placed: tuple[Placed, ...]
    foreign: tuple[Ref, ...] = ()
    #: Names of tiers that policies name and no object defines.
    unknown_tiers: tuple[tuple[Placed, str], ...] = ()
    address_sets: tuple[tuple[Ref, LabelledAddresses], ...] = ()

    def tiers(self, direction: Direction) -> Iterator[tuple[Tier, list[int]]]:
        """The numbers of the policies of each tier that say something about the direction, in order."""
        by_tier: dict[Tier, list[int]] = defaultdict(list)
        for number, policy in enumerate(self.placed):
            if policy.body.rules(direction) is not None:
                by_tier[policy.tier].append(number)
        yield from sorted(by_tier.items())

    @cached_property
    def in_namespace(self) -> dict[str, list[Placed]]:
        """The policies that stand in each namespace."""
        found: dict[str, list[Placed]] = defaultdict(list)
        for policy in self.placed:
            if policy.ref.namespace:
                found[policy.ref.namespace].append(policy)
        return dict(found)

    @cached_property
    def ties(self) -> tuple[tuple[int, ...], ...]:
        """Policies of one tier with one order, where the API leaves open which is read first (A-04)."""
        groups: dict[tuple[Tier, float], list[int]] = defaultdict(list)
        for number, policy in enumerate(self.placed):
            if policy.body.ties:
                groups[policy.tier, policy.body.order].append(number)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    def rules(self) -> Iterator[tuple[Placed, Direction, Rule]]:
        for policy in self.placed:
            for direction in Direction:
                for rule in policy.body.rules(direction) or ():
                    yield policy, direction, rule


def together(policies: Iterable[Placed]) -> Iterator[tuple[Placed, ...]]:
    """Ordered policies of one tier, those of equal priority together where the API leaves their order open (A-04)."""
    for _, group in groupby(policies, key=lambda placed: (placed.body.order, None if placed.body.ties else placed.ref)):
        yield tuple(group)


def gather_policies(cluster: Cluster, profile: Profile) -> Policies:
    """The policies of every family that the input holds."""
    tiers = {loaded.ref.name: loaded.body for loaded in _bodies(cluster, TierOrder)}
    read, foreign = [], []
    unknown: list[tuple[Placed, str]] = []
    for loaded in _bodies(cluster, Policy):
        if loaded.ref.kind in profile.foreign:
            foreign.append(loaded.ref)
            continue
        body: Policy = loaded.body
        tier = body.tier if isinstance(body.tier, Tier) else _resolve(body.tier, tiers)
        placed = Placed(ref=loaded.ref, source=loaded.source, lines=loaded.lines, body=body, tier=tier)
        if tier.order == _UNPLACED and body.tier not in tiers:
            # Calico reads no policy of a tier that does not exist (C-09).
            unknown.append((placed, tier.name))
            continue
        read.append(placed)
    return Policies(
        placed=tuple(sorted(read, key=lambda policy: (policy.tier, policy.key, policy.ref))),
        foreign=tuple(foreign),
        unknown_tiers=tuple(unknown),
        address_sets=tuple((loaded.ref, loaded.body) for loaded in _bodies(cluster, LabelledAddresses)),
    )


def _bodies(cluster: Cluster, body: type) -> Iterator[Loaded]:
    return (loaded for kind in _kinds_of(cluster, body) for loaded in cluster.of(kind))


def _kinds_of(cluster: Cluster, body: type) -> Iterable[str]:
    return [kind for kind, found in cluster.objects.items() if found and isinstance(found[0].body, body)]


def _resolve(name: str, tiers: dict[str, TierOrder]) -> Tier:
    found = tiers.get(name)
    return Tier(found.order, name, found.default) if found else Tier(_UNPLACED, name, Action.DENY)
