"""Who holds which roles where: each identity with those of its groups, ready for ``Powers``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from graphsec.compile.access import CLUSTER, AccessIndex
from graphsec.model.memberships import Memberships
from graphsec.model.rbac import Binding
from graphsec.model.ref import Ref

AUTHENTICATED = Ref("Group", "system:authenticated")
UNAUTHENTICATED = Ref("Group", "system:unauthenticated")
ALL_ACCOUNTS = Ref("Group", "system:serviceaccounts")
NODES_GROUP = Ref("Group", "system:nodes")
ANONYMOUS = Ref("User", "system:anonymous")
NODE_PREFIX = "system:node:"
_NOTHING: Mapping[str, frozenset[Ref]] = {}


@dataclass(frozen=True, slots=True)
class Roles:
    """Roles by scope, and the same without those that only the objects every cluster is born with would add."""

    shown: Mapping[str, frozenset[Ref]] = field(default_factory=dict)
    with_supplied: Mapping[str, frozenset[Ref]] = field(default_factory=dict)

    def at(self, scope: str, *, supplied: bool) -> frozenset[Ref]:
        return (self.with_supplied if supplied else self.shown).get(scope, frozenset())

    @property
    def scopes(self) -> Iterable[str]:
        return self.with_supplied


class Principals:
    """``supplied`` are refs of roles and bindings that the input does not show and every cluster has."""

    def __init__(self, access: AccessIndex, memberships: Memberships, supplied: frozenset[Ref]) -> None:
        self._access = access
        self._memberships = memberships
        self._supplied = supplied
        self._own: dict[Ref, Roles] = {}
        by_subject: dict[Ref, list[Binding]] = defaultdict(list)
        for binding in access.bindings:
            for subject in binding.subjects:
                by_subject[subject].append(binding)
        for subject, bindings in by_subject.items():
            self._own[subject] = self._roles(bindings)

    def _roles(self, bindings: list[Binding]) -> Roles:
        shown: dict[str, set[Ref]] = defaultdict(set)
        supplied: dict[str, set[Ref]] = defaultdict(set)
        for binding in bindings:
            if binding.role in self._access.roles:
                supplied[binding.scope].add(binding.role)
                if binding.ref not in self._supplied and binding.role not in self._supplied:
                    shown[binding.scope].add(binding.role)
        everything = {scope: frozenset(roles) for scope, roles in supplied.items()}
        if not self._supplied:
            return Roles(everything, everything)
        return Roles({scope: frozenset(roles) for scope, roles in shown.items()}, everything)

    def own(self, subject: Ref) -> Roles:
        return self._own.get(subject, _NO_ROLES)

    def parents(self, subject: Ref) -> tuple[Ref, ...]:
        """The groups that a subject is in by itself, nearest first; each stands for those above it."""
        if subject.kind == "ServiceAccount":
            return (Ref("Group", f"{ALL_ACCOUNTS.name}:{subject.namespace}"),)
        if subject.kind == "User":
            return () if subject == ANONYMOUS else (AUTHENTICATED,)
        if subject.name.startswith(f"{ALL_ACCOUNTS.name}:"):
            return (ALL_ACCOUNTS,)
        return () if subject in (AUTHENTICATED, UNAUTHENTICATED) else (AUTHENTICATED,)

    def above(self, subject: Ref) -> Iterator[Ref]:
        """Every group that a subject is in by itself."""
        for parent in self.parents(subject):
            yield parent
            yield from self.above(parent)

    def united(self, subjects: Iterable[Ref]) -> Roles:
        """The roles of several principals, as one identity that is all of them would hold them."""
        owned = [self.own(subject) for subject in subjects]
        owned = [roles for roles in owned if roles is not _NO_ROLES]
        if len(owned) == 1:
            return owned[0]
        return Roles(_joined(roles.shown for roles in owned), _joined(roles.with_supplied for roles in owned))

    def subjects(self) -> Iterator[Ref]:
        yield from self._access.subjects

    def groups_of_user(self, user: str) -> tuple[Ref, ...]:
        """Those that the membership file names."""
        return tuple(Ref("Group", group) for group in self._memberships.groups.get(user, ()))

    @property
    def listed_users(self) -> Iterable[str]:
        return self._memberships.groups


def _joined(parts: Iterable[Mapping[str, frozenset[Ref]]]) -> Mapping[str, frozenset[Ref]]:
    found: dict[str, set[Ref]] = defaultdict(set)
    for part in parts:
        for scope, roles in part.items():
            found[scope] |= roles
    return {scope: frozenset(roles) for scope, roles in found.items()}


_NO_ROLES = Roles()


def roles_at(roles: Roles, scope: str, *, supplied: bool) -> tuple[frozenset[Ref], frozenset[Ref]]:
    """(at cluster scope, in the namespace), as ``Powers.of`` takes them."""
    wide = roles.at(CLUSTER, supplied=supplied)
    return (wide, frozenset()) if scope == CLUSTER else (wide, roles.at(scope, supplied=supplied))
