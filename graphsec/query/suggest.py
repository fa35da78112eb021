"""The least roles and bindings that keep what was used, written as objects and proved by compiling them (rbac.md §7.4)."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphsec.compile import CLUSTER, World
from graphsec.compile.access import principal
from graphsec.errors import UsageError
from graphsec.model.audit import Window
from graphsec.model.objects import Loaded, Metadata, RoleRef, StoredRole, WireBinding, WireSubject
from graphsec.model.rbac import RBAC_GROUP, Binding, PolicyRule, Request, covers
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.model.text import counted, safe
from graphsec.model.yaml_text import document
from graphsec.query._answer import Deferred, subject_text
from graphsec.query._least import PRESETS, Preset, allowed_by, expressible, least_rules
from graphsec.query._needs import require
from graphsec.query.usage import Usage, in_scope_of, silent

Manifest = dict[str, Any]
#: A ClusterRoleBinding that was used in no more namespaces than this becomes RoleBindings there.
_FEW_NAMESPACES = 5
_SUFFIX = "used"
_NOWHERE = Source("suggestion", 0)
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """One atom that ``subject`` had in ``scope`` ("" is the cluster) and no longer has there."""

    subject: Ref
    scope: str
    atom: PolicyRule


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Objects to apply, then objects to delete. ``checked`` is always True: one that fails its check is never returned."""

    window: Window
    #: Objects to apply, in canonical order; each a mapping as Kubernetes spells it.
    manifests: tuple[Manifest, ...]
    #: Objects to delete.
    deletions: tuple[Ref, ...]
    #: Unified diff of the YAML of the objects before and after, "" where nothing is to be narrowed.
    diff: str
    #: Found when first looked at: of a whole cluster they may be millions.
    removed: Sequence[Removed]
    #: What was left as it is, and why.
    notes: tuple[str, ...] = ()
    checked: bool = True
    #: The cluster after the change.
    world: World = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.manifests or self.deletions)

    def to_dict(self) -> dict[str, Any]:
        return {
            "window": self.window.to_dict(),
            "manifests": list(self.manifests),
            "deletions": [str(ref) for ref in self.deletions],
            "diff": self.diff,
            "removed": [
                {"subject": str(gone.subject), "scope": gone.scope or "cluster", "rule": gone.atom.to_mapping()}
                for gone in self.removed
            ],
            "checked": self.checked,
            "notes": list(self.notes),
        }


def suggestion(world: World, usage: Usage, subject: Ref | None = None, preset: Preset = "exact") -> Suggestion:
    """Narrow what is bound to ``subject`` (None: to anybody) to what was used in the window.

    Machine-checked: every request of the log that was allowed still is, and every rule of the new world is covered by the
    old one, for everybody. ``exact`` keeps what was used, ``stable`` also what goes with it (watch: get and list, update:
    patch). Raises UsageError for an unknown preset, InputError without any RBAC object.
    """
    if preset not in PRESETS:
        raise UsageError(f"unknown preset `{preset}`", help=f"presets: {', '.join(PRESETS)}")
    require(world, "what-can")
    plan = _Plan(world, usage, subject, preset)
    return plan.suggestion()


@dataclass(frozen=True, slots=True)
class _Use:
    """A binding that is narrowed: for whom, and what each of them needs of it, by namespace ("" is cluster scope)."""

    binding: Binding
    #: Whose part is narrowed; the other subjects keep theirs.
    narrowed: tuple[Ref, ...]
    others: tuple[Ref, ...]
    needs: Mapping[Ref, tuple[Request, ...]]

    @property
    def users(self) -> tuple[Ref, ...]:
        return tuple(subject for subject in self.narrowed if self.needs[subject])

    @property
    def requests(self) -> list[Request]:
        return list(dict.fromkeys(request for found in self.needs.values() for request in found))

    @property
    def few_namespaces(self) -> tuple[str, ...]:
        """Where a ClusterRoleBinding was used, if RoleBindings there would do; () if not."""
        found = {CLUSTER if request.url else request.namespace for request in self.requests}
        few = self.binding.scope == CLUSTER and CLUSTER not in found and len(found) <= _FEW_NAMESPACES
        return tuple(sorted(found)) if few else ()


class _Plan:
    """Decides object by object, then compiles and checks the outcome."""

    def __init__(self, world: World, usage: Usage, subject: Ref | None, preset: Preset) -> None:
        self._world = world
        self._access = world.access
        self._usage = usage
        self._preset = preset
        self._loaded = {
            loaded.ref: loaded
            for loaded in world.cluster.of("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
        }
        #: An aggregated role whose selectors match a role without labels takes up every new ClusterRole (S-51).
        self._hungry = [
            loaded.ref
            for loaded in world.cluster.of("ClusterRole")
            if any(selector.matches({}) for selector in loaded.body.selectors or ())
        ]
        self._fed = {feeder for feeders in world.access.aggregation.feeders.values() for feeder in feeders}
        self._holders: dict[Ref, list[Ref]] = defaultdict(list)
        for binding in world.access.bindings:
            self._holders[binding.role].append(binding.ref)
        self._after: dict[Ref, Loaded | None] = {}
        self._notes: list[str] = []
        self._needed = self._beyond_builtin()
        self._uses = [use for use in map(self._use, self._chosen(subject), _repeat(subject)) if use]
        self._narrow()

    # -- what is looked at --------------------------------------------------------------------------------------

    def _beyond_builtin(self) -> dict[Ref, dict[Request, int]]:
        """What each principal did that not every holder of its groups may do anyway, such as discovery."""
        builtin = self._world.provenance.is_builtin
        others = frozenset(binding.ref for binding in self._access.bindings if not builtin(binding.ref))
        needed: dict[Ref, dict[Request, int]] = defaultdict(dict)
        for principals, requests in self._usage.made.items():
            for request, count in requests.items():
                if not self._access.first_allowing(principals, request, without=others):
                    for who in principals:
                        needed[who][request] = needed[who].get(request, 0) + count
        return needed

    def _chosen(self, subject: Ref | None) -> list[int]:
        """The bindings whose grants are narrowed: no built-in one, and none whose use the log does not tell."""
        access = self._access
        held = range(len(access.bindings)) if subject is None else access.all_held(subject)
        chosen, builtin, untold = [], 0, []
        for index in held:
            binding = access.bindings[index]
            who = binding.subjects if subject is None else (subject,)
            if binding.role not in access.roles or not who:
                continue
            if self._world.provenance.is_builtin(binding.ref):
                builtin += 1
            elif not all(map(self._usage.knows, who)):
                untold.append(binding.ref)
            else:
                chosen.append(index)
        if builtin:
            self._notes.append(f"{counted(builtin, 'built-in binding')} left alone: Kubernetes restores them")
        if untold:
            self._notes.append(
                f"the log records no groups, so that the use of groups is not known: {_some(untold)} left alone"
            )
        return chosen

    def _use(self, index: int, subject: Ref | None) -> _Use | None:
        binding = self._access.bindings[index]
        narrowed = binding.subjects if subject is None else (subject,)
        rules = self._access.roles[binding.role].rules
        needs = {
            who: tuple(allowed_by(rules, in_scope_of(self._needed.get(who, {}), binding.scope))) for who in narrowed
        }
        if any(not expressible(request) for found in needs.values() for request in found):
            # A rule for these would be a wildcard; whoever sends them gets no real object.
            needs = {who: tuple(filter(expressible, found)) for who, found in needs.items()}
            self._notes.append(f"{binding.ref}: requests whose own words are `*` are not kept")
        others = tuple(who for who in binding.subjects if who not in narrowed)
        return _Use(binding, narrowed, others, needs)

    # -- what becomes of it -------------------------------------------------------------------------------------

    def _narrow(self) -> None:
        by_role: dict[Ref, list[_Use]] = defaultdict(list)
        for use in self._uses:
            by_role[use.binding.role].append(use)
        for role in sorted(by_role, key=ref_order):
            uses = by_role[role]
            staying = [use for use in uses if not use.few_namespaces]
            why_not = self._why_not_edited(role, uses)
            if not why_not:
                self._edit_role(role, staying)
            elif self._would_narrow(role, staying):
                self._notes.append(f"{role} is left as it is, {why_not}: what is narrowed gets roles of its own")
            for use in uses:
                self._rebind(use, edited=not why_not)
        idle = silent(self._usage, sorted({who for use in self._uses for who in use.narrowed}, key=ref_order))
        if idle:
            self._notes.append(f"no event in the window, so unused or only idle: {_some(map(subject_text, idle))}")

    def _why_not_edited(self, role: Ref, uses: Sequence[_Use]) -> str:
        """Why a role cannot change where it stands, "" if it can: everybody who has it is narrowed with it."""
        stored: StoredRole = self._loaded[role].body
        if role in self._world.provenance.shipped_roles:
            return "which Kubernetes ships"
        if stored.selectors is not None:
            return "whose rules a controller aggregates"
        if role.kind == "ClusterRole" and role.name in self._fed:
            return "which feeds an aggregated role"
        narrowed = {use.binding.ref for use in uses if not use.others}
        if not narrowed.issuperset(self._holders[role]):
            return "which others hold, too"
        return ""

    def _would_narrow(self, role: Ref, uses: Iterable[_Use]) -> bool:
        return any(
            use.users and not covers(self._rules(use, use.requests), self._access.roles[role].rules) for use in uses
        )

    def _rules(self, use: _Use, requests: Iterable[Request]) -> tuple[PolicyRule, ...]:
        return least_rules(requests, self._access.roles[use.binding.role].rules, self._preset)

    def _edit_role(self, role: Ref, uses: Sequence[_Use]) -> None:
        """The role shrinks to what its holders used together."""
        old = self._access.roles[role].rules
        rules = least_rules(dict.fromkeys(request for use in uses for request in use.requests), old, self._preset)
        if not rules:
            self._notes.append(f"{role} is bound nowhere after this: delete it if nothing else needs it")
        elif not covers(rules, old):
            body: StoredRole = self._loaded[role].body
            self._put(role, _with_rules(body, rules))

    def _rebind(self, use: _Use, *, edited: bool) -> None:
        binding = use.binding
        if not use.users:
            self._keep_subjects(use, ())
        elif places := use.few_namespaces:
            self._keep_subjects(use, ())
            for namespace in places:
                self._split(use, namespace)
        elif self._hungry and binding.scope == CLUSTER and not edited:
            self._keep_subjects(use, use.users)
            self._notes.append(f"{binding.ref} is left to its role: {self._hungry[0]} aggregates every new ClusterRole")
        elif edited or covers(self._rules(use, use.requests), self._access.roles[binding.role].rules):
            self._keep_subjects(use, use.users)
        else:
            self._keep_subjects(use, ())
            self._split(use, binding.scope)

    def _keep_subjects(self, use: _Use, kept: tuple[Ref, ...]) -> None:
        """The binding without those narrowed subjects that are not ``kept``; deleted where nobody is left."""
        scope = use.binding.ref.namespace
        gone = set(use.narrowed) - set(kept)
        if not gone:
            return
        wire: WireBinding = self._loaded[use.binding.ref].body
        subjects = tuple(given for given in wire.subjects or () if principal(given, scope) not in gone)
        if any(principal(given, scope) for given in subjects):
            self._put(use.binding.ref, _with_subjects(wire, subjects))
        else:
            self._after[use.binding.ref] = None

    def _split(self, use: _Use, scope: str) -> None:
        """A role and a binding of their own in one namespace, or at cluster scope; a roleRef never changes (S-44)."""
        needs = {
            who: [request for request in found if scope in (CLUSTER, request.namespace)]
            for who, found in use.needs.items()
        }
        rules = self._rules(use, dict.fromkeys(request for found in needs.values() for request in found))
        role_kind, binding_kind = ("Role", "RoleBinding") if scope else ("ClusterRole", "ClusterRoleBinding")
        name = self._free_name(use.binding.ref.name, (role_kind, binding_kind), scope or None)
        role, binding = Ref(role_kind, name, scope or None), Ref(binding_kind, name, scope or None)
        self._put(role, StoredRole(rules=rules, labels={}, selectors=None, live=False))
        wire = WireBinding(
            metadata=Metadata(name=name, namespace=scope or None),
            role_ref=RoleRef(kind=role_kind, name=name, api_group=RBAC_GROUP),
            subjects=tuple(_wire_subject(who) for who in use.narrowed if needs[who]),
        )
        self._put(binding, wire)

    def _free_name(self, name: str, kinds: Sequence[str], namespace: str | None) -> str:
        inventory, number = self._world.cluster.inventory, 1
        while True:
            tried = f"{name}-{_SUFFIX}" + (f"-{number}" if number > 1 else "")
            refs = [Ref(kind, tried, namespace) for kind in kinds]
            if not any(ref in inventory or ref in self._after for ref in refs):
                return tried
            number += 1

    def _put(self, ref: Ref, body: StoredRole | WireBinding) -> None:
        known = self._loaded.get(ref)
        self._after[ref] = Loaded(ref, known.source if known else _NOWHERE, body)

    # -- the outcome --------------------------------------------------------------------------------------------

    def suggestion(self) -> Suggestion:
        after = self._compiled()
        touched = self._touched(after)
        _check(self._world, after, self._usage, touched, set(self._after))
        changed = sorted(self._after, key=ref_order)
        return Suggestion(
            window=self._usage.window,
            manifests=tuple(_manifest(loaded) for ref in changed if (loaded := self._after[ref]) is not None),
            deletions=tuple(ref for ref in changed if self._after[ref] is None),
            diff="".join(self._diff(ref) for ref in changed),
            removed=Deferred(-1, lambda: tuple(_removed(self._world, after, touched))),
            notes=tuple(dict.fromkeys(self._notes)),
            world=after,
        )

    def _compiled(self) -> World:
        if not self._after:
            return self._world
        cluster = self._world.cluster
        objects = dict(cluster.objects)
        for kind in {ref.kind for ref in self._after}:
            by_ref: dict[Ref, Loaded | None] = {loaded.ref: loaded for loaded in objects.get(kind, ())}
            by_ref.update({ref: loaded for ref, loaded in self._after.items() if ref.kind == kind})
            found = [loaded for loaded in by_ref.values() if loaded is not None]
            objects[kind] = tuple(sorted(found, key=lambda loaded: ref_order(loaded.ref)))
        return self._world.of(replace(cluster, objects=objects))

    def _touched(self, after: World) -> list[Ref]:
        """Every subject of a binding that changes, or whose role does."""
        refs = set(self._after)
        found = {
            subject
            for access in (self._access, after.access)
            for binding in access.bindings
            if binding.ref in refs or binding.role in refs
            for subject in binding.subjects
        }
        return sorted(found, key=ref_order)

    def _diff(self, ref: Ref) -> str:
        before, after = self._loaded.get(ref), self._after[ref]
        old = document(_manifest(before)).splitlines(keepends=True) if before else []
        new = document(_manifest(after)).splitlines(keepends=True) if after else []
        place = f" ({before.source})" if before else ""
        return "".join(
            difflib.unified_diff(
                old,
                new,
                fromfile=safe(f"{ref}{place}") if before else "/dev/null",
                tofile=safe(str(ref)) if after else "/dev/null",
            )
        )


def _repeat(subject: Ref | None) -> Iterator[Ref | None]:
    while True:
        yield subject


def _some(found: Iterable[object]) -> str:
    shown = [str(one) for one in found]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")


# -- objects --------------------------------------------------------------------------------------------------------


def _with_rules(body: StoredRole, rules: tuple[PolicyRule, ...]) -> StoredRole:
    return StoredRole(rules=rules, labels=body.labels, selectors=body.selectors, live=body.live)


def _with_subjects(wire: WireBinding, subjects: tuple[WireSubject, ...]) -> WireBinding:
    return WireBinding(
        api_version=wire.api_version,
        kind=wire.kind,
        metadata=wire.metadata,
        role_ref=wire.role_ref,
        subjects=subjects,
    )


def _wire_subject(subject: Ref) -> WireSubject:
    if subject.kind == "ServiceAccount":
        return WireSubject(kind=subject.kind, name=subject.name, namespace=subject.namespace)
    return WireSubject(kind=subject.kind, name=subject.name, api_group=RBAC_GROUP)


def _manifest(loaded: Loaded) -> Manifest:
    """The object as Kubernetes spells it, of what graphsec keeps of it."""
    ref, body = loaded.ref, loaded.body
    labels = body.labels if isinstance(body, StoredRole) else body.metadata.labels
    metadata = {"name": ref.name, "namespace": ref.namespace, "labels": labels or None}
    manifest: Manifest = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": ref.kind,
        "metadata": {key: value for key, value in metadata.items() if value is not None},
    }
    if isinstance(body, StoredRole):
        return manifest | {"rules": [rule.to_mapping() for rule in body.rules]}
    role: RoleRef = body.role_ref
    subjects = [
        {
            key: value
            for key, value in (
                ("kind", subject.kind),
                ("name", subject.name),
                ("namespace", subject.namespace),
                ("apiGroup", subject.api_group),
            )
            if value
        }
        for subject in body.subjects or ()
    ]
    return manifest | {
        "roleRef": {"apiGroup": role.api_group or RBAC_GROUP, "kind": role.kind, "name": role.name},
        "subjects": subjects,
    }


# -- the proof ------------------------------------------------------------------------------------------------------


def _held(world: World, subject: Ref) -> dict[str, list[PolicyRule]]:
    """The rules that bindings of a subject give it, by scope."""
    found: dict[str, list[PolicyRule]] = defaultdict(list)
    for index in world.access.all_held(subject):
        binding = world.access.bindings[index]
        found[binding.scope] += world.access.roles[binding.role].rules
    return found


def _check(before: World, after: World, usage: Usage, touched: Sequence[Ref], changed: set[Ref]) -> None:
    """U ⊆ new ⊆ G, and nothing else has changed. Raises RuntimeError: a suggestion that fails is a defect of this module."""
    affected = set(touched)
    for principals, requests in usage.made.items():
        if affected.isdisjoint(principals):
            continue
        for request in filter(expressible, requests):
            if before.access.first_allowing(principals, request) and not after.access.first_allowing(
                principals, request
            ):
                raise RuntimeError("a suggestion takes away what was used")
    for subject in touched:
        old = _held(before, subject)
        for scope, rules in _held(after, subject).items():
            everywhere = old.get(CLUSTER, []) if scope != CLUSTER else []
            if not covers((*old.get(scope, ()), *everywhere), rules):
                raise RuntimeError("a suggestion gives what was not there")
    for binding in after.access.bindings:
        if binding.ref not in changed and binding.role not in changed:
            role, known = after.access.roles.get(binding.role), before.access.roles.get(binding.role)
            if (role and role.rules) != (known and known.rules):
                raise RuntimeError("a suggestion changes a role that it does not name")


def _removed(before: World, after: World, touched: Iterable[Ref]) -> Iterator[Removed]:
    """What each subject no longer has, scope by scope."""
    gone: dict[tuple[tuple[PolicyRule, ...], tuple[PolicyRule, ...]], tuple[PolicyRule, ...]] = {}
    for subject in touched:
        left = _held(after, subject)
        everywhere = left.get(CLUSTER, [])
        for scope, rules in sorted(_held(before, subject).items()):
            kept = everywhere if scope == CLUSTER else [*left.get(scope, ()), *everywhere]
            key = tuple(kept), tuple(rules)
            if key not in gone:
                gone[key] = tuple(dict.fromkeys(covers(*key).uncovered))
            yield from (Removed(subject=subject, scope=scope, atom=atom) for atom in gone[key])
