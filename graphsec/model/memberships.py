"""Who is in which group: no Kubernetes object says so (S-48), an operator's file may."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Memberships:
    """Members by group and groups by user name, both sorted; empty if no file was given."""

    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]]) -> Memberships:
        """From (user name, group) pairs."""
        members: dict[str, set[str]] = defaultdict(set)
        groups: dict[str, set[str]] = defaultdict(set)
        for user, group in pairs:
            members[group].add(user)
            groups[user].add(group)
        return cls(
            members={key: tuple(sorted(values)) for key, values in sorted(members.items())},
            groups={key: tuple(sorted(values)) for key, values in sorted(groups.items())},
        )

    def __bool__(self) -> bool:
        return bool(self.groups)
