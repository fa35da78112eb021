"""What changes without anybody's access changing yet, or why it does: bindings that waited, and roles that aggregates take in.

rbac.md §7.5 calls it the latent part of a comparison: a dangling roleRef, a label that an aggregate selects, a subject that is not
there. A kind that one of the inputs does not list says nothing about what is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphsec.compile import CLUSTER, World
from graphsec.model.coverage import State
from graphsec.model.objects import Loaded
from graphsec.model.rbac import Binding, PolicyRule, covers
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.query._access_diff import GAINED, LOST, merged, permission_text
from graphsec.query._answer import Evidence, lower_name, subject_text
from graphsec.query._grants import vertex

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("CHANGE", "EVENT", "OBJECT", "WHAT", "WHERE")
#: event -> what it says.
EVENTS = {
    "role-live": "the missing role of a binding is there now",
    "role-missing": "a binding refers to a role that is not there",
    "aggregate-joins": "an aggregated ClusterRole takes in rules",
    "aggregate-leaves": "an aggregated ClusterRole gives up rules",
    "account-live": "a ServiceAccount that bindings waited for is there now",
    "account-missing": "bindings name a ServiceAccount that is not there",
    "namespace-live": "the namespace of a ServiceAccount that bindings wait for is there now",
}
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class LatentChange:
    """``event`` is one of ``EVENTS``, ``object`` the role, account or namespace that it is about. ``change`` is "gained" for what
    makes more possible, else "lost"."""

    change: str
    event: str
    object: Ref
    text: str
    subjects: tuple[Ref, ...] = ()
    #: Whether it lets somebody do more for all that the input says, though no row about access tells it.
    opens: bool = False
    source: Source | None = None
    because: tuple[Evidence, ...] = field(repr=False, default=())

    kind = "latent"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        return (self.change, self.event, str(self.object), self.text, str(self.source or "-"))

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "kind": self.kind,
            "change": self.change,
            "event": self.event,
            "object": str(self.object),
            "text": self.text,
            "subjects": [str(subject) for subject in self.subjects],
            "source": {"file": self.source.file, "line": self.source.line} if self.source else None,
            "because": [proof.to_dict() for proof in self.because],
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.diagram import Arrow, Line

        head = vertex(self.object)
        tails = [vertex(subject) for subject in self.subjects]
        style = Line.LOST if self.change == LOST else Line.DASHED
        return [*tails, head], [Arrow(tail=tail.key, head=head.key, label=self.event, style=style) for tail in tails]

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.object),)


@dataclass(frozen=True)
class LatentDiff:
    """``namespace`` keeps what is about that namespace or the cluster."""

    old: World
    new: World
    namespace: str = ""

    @cached_property
    def changes(self) -> tuple[LatentChange, ...]:
        found = [*self._roles(), *self._aggregates(), *self._accounts(), *self._namespaces()]
        kept = [change for change in found if not self.namespace or change.object.namespace in (None, self.namespace)]
        return tuple(sorted(kept, key=lambda item: (list(EVENTS).index(item.event), ref_order(item.object), item.text)))

    # -- roles that bindings wait for -------------------------------------------------------------------------------

    def _roles(self) -> Iterator[LatentChange]:
        before, after = (_waiting_by_role(world) for world in (self.old, self.new))
        for (scope, role), bindings in before.items():
            subjects = _subjects(bindings)
            if role in self.new.access.roles:
                found = [
                    binding
                    for binding in self.new.access.bindings
                    if binding.role == role and binding.scope == scope and set(binding.subjects) & set(subjects)
                ]
                if found:
                    target = self.new.access.roles[role]
                    yield LatentChange(
                        change=GAINED,
                        event="role-live",
                        object=role,
                        text=f"{_names(subjects)} held it before it was there, by {found[0].ref}",
                        subjects=subjects,
                        source=target.source,
                        because=_grants(found),
                    )
        for change, waiting, others, world in ((GAINED, after, before, self.new), (LOST, before, after, self.old)):
            for (scope, role), bindings in waiting.items():
                known = set(_subjects(others.get((scope, role), ())))
                differing = [binding for binding in bindings if set(binding.subjects) - known]
                # Once the role is there, that is what is told.
                told = change == LOST and role in self.new.access.roles
                if differing and not told and self._lists(role.kind, world):
                    subjects = tuple(subject for subject in _subjects(differing) if subject not in known)
                    yield self._missing(change, role, differing, subjects, world)

    def _missing(
        self, change: str, role: Ref, bindings: list[Binding], subjects: tuple[Ref, ...], world: World
    ) -> LatentChange:
        unknown = world.coverage[role.kind].state not in (State.COMPLETE, State.EMPTY)
        hint = "; Kubernetes ships it (--with-defaults)" if role in world.provenance.shipped_roles else ""
        return LatentChange(
            change=change,
            event="role-missing",
            object=role,
            text=f"{_names(subjects)} would hold it, by {bindings[0].ref}; it is not in the input{hint}",
            subjects=subjects,
            opens=change == GAINED and unknown,
            source=bindings[0].source,
            because=_grants(bindings),
        )

    def _lists(self, kind: str, world: World) -> bool:
        """False where the other input holds a kind and this one does not, by no proof."""
        other = self.new if world is self.old else self.old
        return bool(self.new.coverage[kind].objects or not other.coverage[kind].objects)

    # -- aggregates -------------------------------------------------------------------------------------------------

    def _aggregates(self) -> Iterator[LatentChange]:
        before, after = _Aggregates(self.old), _Aggregates(self.new)
        for change, has, lacks in ((GAINED, after, before), (LOST, before, after)):
            if lacks.world.coverage["ClusterRole"].objects:
                for name in has.feeders.keys() & lacks.feeders.keys():
                    yield from _of_aggregate(change, name, has, lacks)

    @cached_property
    def _named(self) -> tuple[_Named, _Named]:
        return _Named(self.old), _Named(self.new)

    # -- accounts and namespaces that bindings wait for -------------------------------------------------------------

    def _accounts(self) -> Iterator[LatentChange]:
        if not all(world.coverage["ServiceAccount"].objects for world in (self.old, self.new)):
            return
        before, after = self._named
        for account in before.waiting & after.there:
            if account in after.bindings:
                found = after.bindings[account]
                yield LatentChange(
                    change=GAINED,
                    event="account-live",
                    object=account,
                    text=f"it holds {_roles_text(found)}",
                    subjects=(account,),
                    opens=True,
                    source=after.place(account),
                    because=_grants(found),
                )
        differing = [(GAINED, after, account) for account in after.waiting - before.waiting]
        differing += [(LOST, before, account) for account in before.waiting - after.waiting - after.there]
        for change, named, account in differing:
            found = named.bindings[account]
            yield LatentChange(
                change=change,
                event="account-missing",
                object=account,
                text=f"whoever creates it holds {_roles_text(found)}",
                subjects=(account,),
                source=found[0].source,
                because=_grants(found),
            )

    def _namespaces(self) -> Iterator[LatentChange]:
        spaces = [
            {loaded.ref.name: loaded for loaded in world.cluster.of("Namespace")} for world in (self.old, self.new)
        ]
        if not all(spaces):
            return
        before, after = self._named
        waiting: dict[str, list[Ref]] = defaultdict(list)
        for account in before.waiting & after.waiting:
            waiting[account.namespace or ""].append(account)
        for name in sorted(waiting.keys() & (spaces[1].keys() - spaces[0].keys())):
            accounts = sorted(waiting[name], key=ref_order)
            found = [binding for account in accounts for binding in after.bindings[account]]
            loaded: Loaded = spaces[1][name]
            yield LatentChange(
                change=GAINED,
                event="namespace-live",
                object=Ref("Namespace", name),
                text=f"{_names(tuple(accounts))} can be created now",
                subjects=tuple(accounts),
                source=loaded.source,
                because=_grants(found),
            )


def _of_aggregate(change: str, name: str, has: _Aggregates, lacks: _Aggregates) -> Iterator[LatentChange]:
    others = lacks.feeders[name]
    told = has.is_bound(name)
    owners = lacks.rules(name) + tuple(rule for other in others for rule in lacks.rules(other))
    for feeder in has.feeders[name]:
        # What a role that was selected before has gained is told by those who hold the aggregate, if anybody does.
        if feeder in others and told:
            continue
        role = has.world.access.roles[Ref("ClusterRole", feeder)]
        atoms = covers(owners, role.rules).uncovered
        if not atoms:
            continue
        joins = feeder not in others
        outside = "" if has.is_shown(name) else " (not in the input, every cluster has it)"
        verb = "selects" if change == GAINED else "no longer selects"
        how = f"ClusterRole/{name}{outside} {verb if joins else 'holds its rules'}{' it' if joins else ''}"
        differing = [
            place for place, rule in enumerate(role.rules) if len(covers((rule,), atoms).uncovered) < len(atoms)
        ]
        yield LatentChange(
            change=change,
            event="aggregate-joins" if change == GAINED else "aggregate-leaves",
            object=role.ref,
            text=f"{how}: {'; '.join(map(permission_text, merged(atoms)[:_SHOWN]))}",
            opens=change == GAINED and not told,
            source=role.source if joins else role.rule_sources[differing[0]],
            because=tuple(
                Evidence(
                    role=role.ref,
                    rule_index=place,
                    rule=role.rules[place],
                    source=role.source,
                    rule_source=role.rule_sources[place],
                    semantics=f"S-50: ClusterRole/{name} selects its labels",
                )
                for place in differing
            ),
        )


class _Named:
    """The ServiceAccounts that live bindings name, and which of them are there."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.bindings: dict[Ref, list[Binding]] = defaultdict(list)
        for binding in world.access.bindings:
            role = world.access.roles.get(binding.role)
            if role is not None and role.rules:
                for subject in binding.subjects:
                    if subject.kind == "ServiceAccount":
                        self.bindings[subject].append(binding)
        self._accounts = {loaded.ref: loaded for loaded in world.cluster.of("ServiceAccount")}
        spaces = {loaded.ref.name: loaded for loaded in world.cluster.of("Namespace")}
        #: Every namespace is given its `default` account.
        self._given = {Ref("ServiceAccount", "default", name): loaded for name, loaded in spaces.items()}
        self.there = {*self._accounts, *self._given}
        self.waiting = self.bindings.keys() - self.there

    def place(self, account: Ref) -> Source | None:
        found = self._accounts.get(account) or self._given.get(account)
        return found.source if found else None


def _waiting_by_role(world: World) -> dict[tuple[str, Ref], list[Binding]]:
    found: dict[tuple[str, Ref], list[Binding]] = defaultdict(list)
    for binding in world.access.dangling():
        if binding.subjects:
            found[binding.scope, binding.role].append(binding)
    return found


def _subjects(bindings: Any) -> tuple[Ref, ...]:
    return tuple(sorted({subject for binding in bindings for subject in binding.subjects}, key=ref_order))


def _grants(bindings: list[Binding]) -> tuple[Evidence, ...]:
    return tuple(Evidence(binding=binding.ref, role=binding.role, source=binding.source) for binding in bindings)


def _names(subjects: tuple[Ref, ...]) -> str:
    more = f" and {len(subjects) - _SHOWN} more" if len(subjects) > _SHOWN else ""
    return ", ".join(map(subject_text, subjects[:_SHOWN])) + more


def _roles_text(bindings: list[Binding]) -> str:
    words = [
        f"{binding.role} {f'in {binding.scope}' if binding.scope != CLUSTER else 'everywhere'}" for binding in bindings
    ]
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


class _Aggregates:
    """What aggregated ClusterRoles select: of the input, and of those that every cluster has where the input does not show them."""

    def __init__(self, world: World) -> None:
        self.world = world
        shown = {loaded.ref.name: loaded.body for loaded in world.cluster.of("ClusterRole")}
        shipped = world.defaults().of("ClusterRole") if world.defaults else ()
        self._shipped = {loaded.ref.name: loaded.body for loaded in shipped if loaded.ref.name not in shown}
        self.feeders = dict(world.access.aggregation.feeders)
        for name, role in self._shipped.items():
            if role.selectors is not None:
                self.feeders[name] = tuple(
                    other
                    for other in sorted(shown)
                    if any(selector.matches(shown[other].labels) for selector in role.selectors)
                )

    def rules(self, name: str) -> tuple[PolicyRule, ...]:
        role = self.world.access.roles.get(Ref("ClusterRole", name))
        shipped = self._shipped.get(name)
        return role.rules if role is not None else shipped.rules if shipped is not None else ()

    def is_shown(self, name: str) -> bool:
        return name not in self._shipped

    @cached_property
    def _bound(self) -> set[str]:
        roles = self.world.access.roles
        return {
            binding.role.name
            for binding in self.world.access.bindings
            if binding.subjects and binding.role.kind == "ClusterRole" and binding.role in roles
        }

    def is_bound(self, name: str) -> bool:
        """Whether somebody of the input holds an aggregate, or another one that takes it in."""
        above, waiting = {name}, [name]
        while waiting:
            current = waiting.pop()
            for other, selected in self.feeders.items():
                if current in selected and other not in above:
                    above.add(other)
                    waiting.append(other)
        return bool(above & self._bound)


def _rule_of(rules: tuple[PolicyRule, ...], atom: PolicyRule) -> PolicyRule:
    return next(rule for rule in rules if covers((rule,), (atom,)))


__all__ = ["EVENTS", "LatentChange", "LatentDiff"]
