"""Which requests of an audit log each principal made, and what of its grants they do not use (rbac.md §7.3 O3, §7.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from graphsec.compile import CLUSTER, World
from graphsec.model.audit import FORBID, AuditLog, Identity, Recorded, Window
from graphsec.model.rbac import (
    MASTERS,
    PolicyRule,
    Request,
    allows,
    breakdown,
    implicit_groups,
    resource_forms,
    url_matches,
    word_forms,
)
from graphsec.model.ref import Ref
from graphsec.query._answer import Evidence
from graphsec.query._grants import evidence
from graphsec.query._reality import needs_create

Requests = Mapping[Request, int]
_NOTHING: Requests = {}


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What was done in ``window``, which every answer that rests on this states. Requests that were refused do not count."""

    window: Window
    #: A user or account with its groups, as it made requests -> request -> number of events.
    made: Mapping[tuple[Ref, ...], Requests]
    #: False where a log does not record groups: then the use of a group is known of those of ``known_groups`` alone.
    groups_recorded: bool = True
    known_groups: frozenset[str] = frozenset()

    @classmethod
    def of(cls, world: World, log: AuditLog) -> Usage:
        """From a log. ``world`` gives the groups that the log does not record, and decides what a request takes besides."""
        made: dict[tuple[Ref, ...], dict[Request, int]] = {}
        implicit: set[str] = set()
        for recorded, occurrence in log.recorded.items():
            for identity, requests in _parts(recorded):
                if identity.groups is None:
                    implicit.update(implicit_groups(identity.user))
                principals = principals_of(world, identity)
                counts = made.setdefault(principals, {})
                for request in (*requests, *_further(world, principals, recorded, requests)):
                    counts[request] = counts.get(request, 0) + occurrence.count
        return cls(
            window=log.window,
            made=made,
            groups_recorded=all(recorded.maker.groups is not None for recorded in log.recorded),
            known_groups=frozenset(implicit | set(world.memberships.members)),
        )

    @cached_property
    def _used(self) -> dict[Ref, dict[Request, int]]:
        used: dict[Ref, dict[Request, int]] = {}
        for principals, requests in self.made.items():
            for principal in dict.fromkeys(principals):
                counts = used.setdefault(principal, {})
                for request, count in requests.items():
                    counts[request] = counts.get(request, 0) + count
        return used

    def of_subject(self, subject: Ref) -> Requests:
        """The requests of a principal with their number of events, of a group those of all its members; empty without any."""
        return self._used.get(subject, _NOTHING)

    def knows(self, subject: Ref) -> bool:
        """Whether the log tells what this principal did: not of a group where groups are not recorded."""
        return subject.kind != "Group" or self.groups_recorded or subject.name in self.known_groups


def principals_of(world: World, identity: Identity) -> tuple[Ref, ...]:
    """The principals of a recorded identity; groups that the log does not record are those that ``world`` knows."""
    groups = world.groups_of(identity.user) if identity.groups is None else identity.groups
    return world.principals(identity.user, groups)


def _parts(recorded: Recorded) -> Iterator[tuple[Identity, tuple[Request, ...]]]:
    """Who needed which permissions: an impersonator those on the identity, the identity that of the request."""
    if recorded.impersonation is not None:
        yield recorded.impersonation.by, recorded.impersonation.requests
    if recorded.decision != FORBID and not (recorded.outcome == "refused" and not recorded.decision):
        yield recorded.identity, (recorded.request,)


def _further(
    world: World, principals: tuple[Ref, ...], recorded: Recorded, requests: tuple[Request, ...]
) -> tuple[Request, ...]:
    """What the request takes besides, as far as it is granted: create of what an update or apply may make (S-34), create
    behind a WebSocket (S-37), list beside watch (rbac.md §7.4)."""
    request = recorded.request
    if requests != (request,):
        return ()
    verbs = []
    if recorded.outcome == "created" or recorded.applies:
        verbs.append("create")
    if needs_create(world, request):
        verbs.append("create")
    if request.verb == "watch" and not request.url:
        verbs.append("list")
    asked = (replace(request, verb=verb) for verb in verbs)
    return tuple(further for further in asked if world.access.first_allowing(principals, further))


# -- what is not used -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """One grant that is not, or not wholly, used: ``scope`` is "" at cluster scope, else a namespace."""

    grant: Evidence
    scope: str
    #: The atoms of the rule that no request used; a wildcard is used if any request needed it.
    atoms: tuple[PolicyRule, ...]
    #: Events that the rule allowed; 0: nothing of it is used.
    events: int


def unused(world: World, usage: Usage, subject: Ref) -> tuple[Unused, ...]:
    """The grants whose binding names ``subject`` (O3), by binding and rule, with what no request of the window used.

    Grants through groups that the subject is in are those of the groups: ask for them. Empty for ``system:masters``, which
    needs no grant (S-47), and for a group whose use the log cannot tell (``usage.knows``).
    """
    if (subject.kind == "Group" and subject.name == MASTERS) or not usage.knows(subject):
        return ()
    found: list[Unused] = []
    access, used = world.access, usage.of_subject(subject)
    for index in access.all_held(subject):
        binding = access.bindings[index]
        in_scope = in_scope_of(used, binding.scope)
        for position, rule in enumerate(access.roles[binding.role].rules):
            allowed = {request: count for request, count in in_scope.items() if allows(rule, request)}
            atoms = tuple(_without_use(rule, allowed))
            if atoms:
                grant = evidence(access, index, position, subject)
                found.append(Unused(grant=grant, scope=binding.scope, atoms=atoms, events=sum(allowed.values())))
    return tuple(found)


def in_scope_of(used: Requests, scope: str) -> Requests:
    """The requests that a binding in ``scope`` can allow: in a namespace those of that namespace, never URLs (S-03)."""
    if scope == CLUSTER:
        return used
    return {request: count for request, count in used.items() if request.namespace == scope and not request.url}


def _without_use(rule: PolicyRule, allowed: Iterable[Request]) -> Iterator[PolicyRule]:
    """The atoms of a rule that none of the requests, all of which the rule allows, needed."""
    needed = {key for request in allowed for key in _keys(rule, request)}
    for atom in dict.fromkeys(breakdown(rule)):
        key = (
            (atom.urls[0], atom.verbs[0], "", "")
            if atom.urls
            else (atom.groups[0], atom.resources[0], atom.verbs[0], atom.names[0] if atom.names else None)
        )
        if key not in needed:
            yield atom


def _keys(rule: PolicyRule, request: Request) -> Iterator[tuple[str, str, str, str | None]]:
    """The atoms of ``rule`` that a request may have needed, as keys."""
    for verb in word_forms(request.verb):
        if request.url:
            yield from ((pattern, verb, "", "") for pattern in rule.urls if url_matches(pattern, request.url))
            continue
        for group in word_forms(request.group):
            for resource in resource_forms(request.resource, request.subresource):
                yield group, resource, verb, request.name if rule.names else None


def silent(usage: Usage, subjects: Iterable[Ref]) -> list[Ref]:
    """Those of whom the window has no event at all: whether they are unused or only idle, it cannot tell."""
    return [subject for subject in subjects if usage.knows(subject) and not usage.of_subject(subject)]
