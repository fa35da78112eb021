"""Who gained and lost which access between two worlds: scoped atoms by Covers, after aggregation and roleRef resolution (rbac.md §7.5).

What a subject's groups hold already is not new to it, and what they gain is told of the group, not of its members. Everything is
made the same way in both directions, so that what one comparison gains the opposite one loses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from graphsec.compile import CLUSTER, World
from graphsec.errors import LimitError
from graphsec.model.rbac import (
    ALL,
    MASTERS_GROUP,
    Binding,
    PolicyRule,
    Request,
    allows,
    breakdown,
    covers,
    url_prefix,
)
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.model.text import counted
from graphsec.query._answer import Deferred, Evidence, lower_name, subject_text
from graphsec.query._grants import EVERYTHING, MASTERS_EVIDENCE, draw_grant, evidence, rule_text
from graphsec.query._reality import inert_rule
from graphsec.query._words import resource_words

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

GAINED, LOST = "gained", "lost"
#: A rule with more atoms is no role that somebody wrote; to take it apart would take minutes.
_MAX_ATOMS = 200_000
_AUTHENTICATED = Ref("Group", "system:authenticated")
_ACCOUNTS = Ref("Group", "system:serviceaccounts")
_TOP = (_AUTHENTICATED, Ref("Group", "system:unauthenticated"))
_SHOWN = 3
_NOTHING: frozenset[int] = frozenset()
#: Words that a witness puts in place of a wildcard, where one of them tells the worlds apart.
_VERBS = (
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "bind",
    "escalate",
    "impersonate",
)
_RESOURCES = (
    ("", "secrets"),
    ("", "pods"),
    ("", "configmaps"),
    ("apps", "deployments"),
    ("rbac.authorization.k8s.io", "roles"),
)


@dataclass(frozen=True, kw_only=True)
class AccessChange:
    """What one subject gained or lost in one scope ("cluster" or a namespace). ``rules`` are the atoms that differ, put together
    again without any that is not among them: nothing of them is held in the other world, in this scope or by a group."""

    change: str
    subject: Ref
    scope: str
    rules: tuple[PolicyRule, ...]
    #: Namespaces in which the subject has some of it in the other world: gained is new elsewhere, lost is kept there.
    elsewhere: tuple[str, ...] = ()
    #: Why none of it serves a real request.
    inert: str = ""
    #: Every grant of it, in the world that has it; made when first looked at, as what follows.
    because: Sequence[Evidence] = field(repr=False, compare=False, default=())
    causes: Sequence[tuple[str, Source | None]] = field(repr=False, compare=False, default=())
    witnesses: Sequence[Request] = field(repr=False, compare=False, default=())

    kind = "access"

    @property
    def atoms(self) -> tuple[PolicyRule, ...]:
        return tuple(atom for rule in self.rules for atom in breakdown(rule))

    @property
    def source(self) -> Source | None:
        """The line that makes the difference: of the binding, or of the rule in a role that was there before."""
        return next((source for _, source in self.causes if source is not None), None)

    @property
    def witness(self) -> Request:
        """A request that is allowed in one world and not in the other."""
        return self.witnesses[0]

    @property
    def cause(self) -> str:
        return "; ".join(dict.fromkeys(text for text, _ in self.causes))

    @property
    def what(self) -> str:
        """`get,list secrets; create pods in 2 namespaces before`, short enough for a table."""
        words = list(map(permission_text, self.rules))
        more = [f"{counted(len(words) - _SHOWN, 'more rule')}"] if len(words) > _SHOWN else []
        return "; ".join([*words[:_SHOWN], *more])

    @property
    def remark(self) -> str:
        if self.inert:
            return f"inert: {self.inert}"
        if not self.elsewhere:
            return ""
        where = ", ".join(self.elsewhere[:_SHOWN]) + (", …" if len(self.elsewhere) > _SHOWN else "")
        return f"new elsewhere, had it in {where}" if self.change == GAINED else f"kept in {where}"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        places = " ".join(dict.fromkeys(str(source) for _, source in self.causes if source is not None)) or "-"
        return access_row(self, subject_text(self.subject), places, wide=wide)

    def to_dict(self) -> dict[str, Any]:
        source = self.source
        fields: dict[str, Any] = {
            "kind": self.kind,
            "change": self.change,
            "subject": str(self.subject),
            "scope": self.scope,
            "rules": [rule.to_mapping() for rule in self.rules],
            "elsewhere": list(self.elsewhere) or None,
            "inert": self.inert or None,
            "cause": self.cause,
            "source": {"file": source.file, "line": source.line} if source else None,
            "witness": str(self.witness),
            "because": [proof.to_dict() for proof in self.because],
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from dataclasses import replace as replaced

        from graphsec.diagram import Line

        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        for proof in self.because:
            nodes, edges = draw_grant(self.subject, proof, permission_text(proof.rule or self.rules[0]), dashed=False)
            vertices += nodes
            arrows += edges if self.change == GAINED else [replaced(edge, style=Line.LOST) for edge in edges]
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.subject),)


COLUMNS = ("CHANGE", "SUBJECT", "MAY", "SCOPE", "BECAUSE", "WHERE")
WIDE_COLUMNS = (*COLUMNS, "FOR EXAMPLE", "RULE AT")


def access_row(change: AccessChange, subjects: str, places: str, *, wide: bool) -> tuple[str, ...]:
    what = f"{change.what} ({change.remark})" if change.remark else change.what
    cells = (change.change, subjects, what, change.scope, change.cause, places)
    rules = " ".join(dict.fromkeys(str(proof.rule_source) for proof in change.because if proof.rule_source)) or "-"
    return (*cells, str(change.witness), rules) if wide else cells


def permission_text(rule: PolicyRule) -> str:
    """`get,list secrets`, `update deployments.apps (names: web)`, `get /healthz`."""
    if rule.urls:
        return f"{','.join(rule.verbs)} {','.join(rule.urls)}"
    what = ",".join(resource_words(resource, group) for group in rule.groups for resource in rule.resources)
    names = f" (names: {','.join(rule.names)})" if rule.names else ""
    return f"{','.join(rule.verbs)} {what}{names}"


# -- what each world grants --------------------------------------------------------------------------------------


class _Contents:
    """Role contents of both worlds under one numbering: roles with the same rules, in whatever order, are one."""

    def __init__(self) -> None:
        self._ids: dict[frozenset[PolicyRule], int] = {}
        self.rules: list[frozenset[PolicyRule]] = []
        self._owners: dict[frozenset[int], tuple[PolicyRule, ...]] = {}
        self._uncovered: dict[tuple[int, frozenset[int]], tuple[PolicyRule, ...]] = {}

    def id_of(self, rules: Iterable[PolicyRule]) -> int:
        key = frozenset(rules)
        found = self._ids.setdefault(key, len(self.rules))
        if found == len(self.rules):
            self.rules.append(key)
        return found

    def uncovered(self, content: int, owners: frozenset[int]) -> tuple[PolicyRule, ...]:
        """The atoms of a content that no single rule of the owners covers (S-63)."""
        key = content, owners
        found = self._uncovered.get(key)
        if found is None:
            found = self._uncovered[key] = tuple(self._atoms(self.rules[content], self._rules_of(owners)))
        return found

    def _rules_of(self, owners: frozenset[int]) -> tuple[PolicyRule, ...]:
        found = self._owners.get(owners)
        if found is None:
            found = self._owners[owners] = tuple(
                dict.fromkeys(rule for owner in sorted(owners) for rule in self.rules[owner])
            )
        return found

    @staticmethod
    def _atoms(servants: frozenset[PolicyRule], owners: tuple[PolicyRule, ...]) -> Iterator[PolicyRule]:
        held = set(owners)
        for rule in servants:
            if rule in held:
                continue
            size = max(len(rule.groups) * len(rule.resources) * max(len(rule.names), 1), len(rule.urls)) * len(
                rule.verbs
            )
            if size > _MAX_ATOMS:
                raise LimitError(
                    f"a rule with {size:,} combinations of verbs, groups, resources and names is too large to compare: {rule_text(rule)[:120]}…",
                    help=f"up to {_MAX_ATOMS:,} are compared",
                )
            yield from covers(owners, (rule,)).uncovered


class Holdings:
    """Who holds which contents where, in one world."""

    def __init__(self, world: World, contents: _Contents) -> None:
        self.world = world
        access = world.access
        of_role = {
            role: contents.id_of(access.rules[rule] for rule in rules) for role, rules in access.rules_by_role().items()
        }
        self._own: dict[Ref, dict[str, set[int]]] = {}
        subjects, subjects_of = access.subjects, access.subjects_of
        for index, binding in enumerate(access.bindings):
            content = of_role.get(binding.role)
            if content is None:
                continue
            scope = binding.scope
            for subject in subjects_of[index]:
                if subject >= 0:
                    self._own.setdefault(subjects[subject], {}).setdefault(scope, set()).add(content)
        # Whatever bindings say of them (S-47).
        self._own[MASTERS_GROUP] = {CLUSTER: {contents.id_of(EVERYTHING)}}

    @property
    def subjects(self) -> Iterable[Ref]:
        return self._own

    def own(self, subject: Ref) -> dict[str, set[int]]:
        return self._own.get(subject, {})

    def at(self, subjects: Iterable[Ref], *scopes: str) -> set[int]:
        """The contents that any of the subjects holds in any of the scopes."""
        found: set[int] = set()
        for subject in subjects:
            own = self._own.get(subject)
            if own:
                for scope in scopes:
                    found |= own.get(scope, _NOTHING)
        return found

    @cached_property
    def by_ref(self) -> dict[Ref, Binding]:
        return {binding.ref: binding for binding in self.world.access.bindings}


def groups_above(world: World, subject: Ref) -> tuple[Ref, ...]:
    """Every group that whoever is ``subject`` is in as well (S-46), by itself or by the membership file."""
    if subject.kind != "Group":
        return world.principals_of(subject)[1:]
    if subject in _TOP:
        return ()
    return (_ACCOUNTS, _AUTHENTICATED) if subject.name.startswith(f"{_ACCOUNTS.name}:") else (_AUTHENTICATED,)


# -- comparison ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AccessDiff:
    """Both worlds' access, compared. ``namespace`` keeps what holds there: changes in it, at cluster scope, and of its accounts."""

    old: World
    new: World
    namespace: str = ""

    @cached_property
    def _contents(self) -> _Contents:
        return _Contents()

    @cached_property
    def before(self) -> Holdings:
        return Holdings(self.old, self._contents)

    @cached_property
    def after(self) -> Holdings:
        return Holdings(self.new, self._contents)

    @cached_property
    def changes(self) -> tuple[AccessChange, ...]:
        """In canonical order of subject, scope, gained before lost. Raises LimitError for a rule too large to take apart."""
        before, after = self.before, self.after
        listed = {user for world in (self.old, self.new) for user in world.memberships.groups}
        moved = {
            self.new.principals(user, ())[0] for user in listed if self.old.groups_of(user) != self.new.groups_of(user)
        }
        found: list[AccessChange] = []
        for subject in {*before.subjects, *after.subjects, *moved}:
            if before.own(subject) == after.own(subject) and subject not in moved:
                continue
            for change, has, lacks in ((GAINED, after, before), (LOST, before, after)):
                found += self._of_subject(subject, change, has, lacks)
        return tuple(
            sorted(
                found,
                key=lambda item: (
                    ref_order(item.subject),
                    item.scope != "cluster",
                    item.scope,
                    item.change,
                    item.inert,
                ),
            )
        )

    def _of_subject(self, subject: Ref, change: str, has: Holdings, lacks: Holdings) -> Iterator[AccessChange]:
        groups, others = groups_above(has.world, subject), groups_above(lacks.world, subject)
        # The grants of a group that one is in in this world only differ like one's own.
        joined = [group for group in groups if group not in others]
        told_by = [group for group in groups if group in others]
        mine = [subject, *joined]
        for scope in sorted({scope for principal in mine for scope in has.own(principal)}):
            if not self._is_asked(subject, scope):
                continue
            differing = has.at(mine, scope) - lacks.at([subject], scope)
            if not differing:
                continue
            scopes = (CLUSTER,) if scope == CLUSTER else (CLUSTER, scope)
            held = lacks.at([subject, *others], *scopes) | has.at(told_by, *scopes)
            if scope != CLUSTER:
                held |= has.at(mine, CLUSTER)
            owners = frozenset(held)
            atoms = {atom for content in differing for atom in self._contents.uncovered(content, owners)}
            if scope != CLUSTER:
                # URLs are asked at cluster scope only (S-43): no request is allowed by these.
                atoms = {atom for atom in atoms if not atom.urls}
            if atoms:
                yield from self._described(subject, change, scope, atoms, has, lacks)

    def _is_asked(self, subject: Ref, scope: str) -> bool:
        return not self.namespace or scope in (CLUSTER, self.namespace) or subject.namespace == self.namespace

    def _described(
        self, subject: Ref, change: str, scope: str, atoms: Iterable[PolicyRule], has: Holdings, lacks: Holdings
    ) -> Iterator[AccessChange]:
        live: list[PolicyRule] = []
        inert: dict[str, list[PolicyRule]] = defaultdict(list)
        for atom in maximal(atoms):
            reason = self._inert(has.world, atom, scope)
            if reason:
                inert[reason].append(atom)
            else:
                live.append(atom)
        # One item for all that serves nothing: roles such as `edit` grant dozens of verbs that no subresource has.
        first = min(inert, default="")
        reason_of_all = f"{first}, and {counted(len(inert) - 1, 'further reason')}" if len(inert) > 1 else first
        idle = sorted((atom for found in inert.values() for atom in found), key=_atom_order)
        for reason, part in (("", live), (reason_of_all, idle)):
            if part:
                asked = _Asked(change, subject, scope, tuple(part), has, lacks)
                yield AccessChange(
                    change=change,
                    subject=subject,
                    scope=scope or "cluster",
                    rules=merged(part),
                    inert=reason,
                    elsewhere=tuple(self._elsewhere(subject, part, lacks)) if scope == CLUSTER else (),
                    because=Deferred(-1, asked.because),
                    causes=Deferred(-1, asked.causes),
                    witnesses=Deferred(-1, asked.witnesses),
                )

    @cached_property
    def _inert_known(self) -> dict[Any, str]:
        return {}

    def _inert(self, world: World, atom: PolicyRule, scope: str) -> str:
        # Only a named Namespace tells one namespace from another (S-35).
        key = (world is self.new, atom, scope if atom.names else bool(scope))
        found = self._inert_known.get(key)
        if found is None:
            found = self._inert_known[key] = inert_rule(world, atom, scope)
        return found

    def _elsewhere(self, subject: Ref, atoms: Sequence[PolicyRule], lacks: Holdings) -> Iterator[str]:
        """Namespaces in which the other world has some of what is held at cluster scope here."""
        for scope, contents in sorted(lacks.own(subject).items()):
            owners = self._contents._rules_of(frozenset(contents)) if scope != CLUSTER else ()  # noqa: SLF001 - a part of it
            if owners and len(covers(owners, atoms).uncovered) < len(atoms):
                yield scope


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is said of a change when somebody looks at it."""

    change: str
    subject: Ref
    scope: str
    atoms: tuple[PolicyRule, ...]
    has: Holdings
    lacks: Holdings

    def because(self) -> tuple[Evidence, ...]:
        return tuple(self._grants())

    def _grants(self) -> Iterator[Evidence]:
        world, access = self.has.world, self.has.world.access
        others = groups_above(self.lacks.world, self.subject)
        for principal in (self.subject, *(group for group in groups_above(world, self.subject) if group not in others)):
            if principal == MASTERS_GROUP:
                yield MASTERS_EVIDENCE
            for index in access.held(principal, self.scope):
                binding = access.bindings[index]
                if binding.scope != self.scope:
                    continue
                for position, rule in enumerate(access.roles[binding.role].rules):
                    if len(covers((rule,), self.atoms).uncovered) < len(self.atoms):
                        yield evidence(access, index, position, principal)

    def causes(self) -> tuple[tuple[str, Source | None], ...]:
        found: dict[str, Source | None] = {}
        for proof in self._grants():
            text, source = cause_of(proof, self.subject, self.lacks, gone=self.change == LOST)
            found.setdefault(text, source)
        return tuple(found.items())

    def witnesses(self) -> tuple[Request, ...]:
        denied_to = (self.subject, *groups_above(self.lacks.world, self.subject))
        access = self.lacks.world.access
        owners = [
            rule
            for principal in denied_to
            for index in access.held(principal, self.scope)
            for rule in access.roles[access.bindings[index].role].rules
        ]
        return tuple(witness(atom, owners, self.scope) for atom in self.atoms)


def cause_of(proof: Evidence, subject: Ref, lacks: Holdings, *, gone: bool) -> tuple[str, Source | None]:
    """Of a grant that one world has and the other lacks: what is there in one alone, and its line in that one."""
    if proof.binding is None or proof.role is None:
        return proof.semantics, None
    if proof.subject not in (None, subject) and proof.subject not in groups_above(lacks.world, subject):
        return f"{'no longer' if gone else 'now'} a member of {proof.subject}", proof.source
    other = lacks.by_ref.get(proof.binding)
    if other is None:
        return (f"{proof.binding} removed" if gone else f"new {proof.binding}"), proof.source
    if other.role != proof.role:
        return f"{proof.binding} {'no longer refers' if gone else 'now refers'} to {proof.role}", proof.source
    if proof.subject is not None and proof.subject not in other.subjects:
        return f"{'removed from' if gone else 'added to'} {proof.binding}", proof.source
    role = lacks.world.access.roles.get(proof.role)
    if role is None:
        removed = f"{proof.role} removed" if gone else f"new {proof.role}, which {proof.binding} waited for"
        return removed, proof.rule_source
    if proof.aggregated_from and proof.rule not in role.rules:
        verb = "no longer has" if gone else "now has"
        return f"{proof.role} {verb} a rule of ClusterRole/{proof.aggregated_from}", proof.rule_source
    return f"{proof.role} changed", proof.rule_source


def maximal(atoms: Iterable[PolicyRule]) -> list[PolicyRule]:
    """The atoms without those that another one covers, sorted."""
    ordered = sorted(atoms, key=_atom_order)
    # Only a wildcard covers other words, and only all names cover a name.
    wide = [(place, atom) for place, atom in enumerate(ordered) if _is_wide(atom)]
    unnamed = {atom for atom in ordered if not atom.names}
    return [
        atom
        for place, atom in enumerate(ordered)
        if not (atom.names and replace(atom, names=()) in unnamed)
        and not any(
            at != place and covers((other,), (atom,)) and (at < place or not covers((atom,), (other,)))
            for at, other in wide
        )
    ]


def _is_wide(atom: PolicyRule) -> bool:
    words = (*atom.verbs, *atom.groups, *atom.resources)
    return (
        ALL in words
        or any(word.startswith("*/") for word in atom.resources)
        or any(url.endswith(ALL) for url in atom.urls)
    )


def _atom_order(atom: PolicyRule) -> tuple[Any, ...]:
    return (atom.urls, atom.groups, atom.resources, atom.names, _verb_order(atom.verbs[0]))


def _verb_order(verb: str) -> tuple[int, str]:
    return (_VERBS.index(verb) if verb in _VERBS else len(_VERBS), verb)


def merged(atoms: Sequence[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Rules that grant just these atoms: those alike in all but one list become one, list by list."""
    rules: Sequence[PolicyRule] = atoms
    for part in ("verbs", "resources", "groups", "names", "urls"):
        together: dict[PolicyRule, dict[str, None]] = {}
        for rule in rules:
            words = getattr(rule, part)
            # No list of names is all names, which no list of some joins.
            key = rule if part == "names" and not words else replace(rule, **{part: ()})
            together.setdefault(key, {}).update(dict.fromkeys(words))
        rules = [rule if not words else replace(rule, **{part: tuple(words)}) for rule, words in together.items()]
    return tuple(rules)


def witness(atom: PolicyRule, owners: Sequence[PolicyRule], scope: str) -> Request:
    """A request that the atom allows and no owner does: with words of real requests in place of wildcards, where those tell."""
    asked = (replace(candidate, namespace=scope) for candidate in _candidates(atom))
    return next(request for request in asked if not any(allows(owner, request) for owner in owners))


def _candidates(atom: PolicyRule) -> Iterator[Request]:
    verb = atom.verbs[0]
    verbs = (*_VERBS, verb) if verb == ALL else (verb,)
    if atom.urls:
        prefix = url_prefix(atom.urls[0])
        urls = (
            (atom.urls[0],)
            if prefix is None
            else tuple(dict.fromkeys((prefix or "/", f"{prefix}graphsec", atom.urls[0])))
        )
        yield from (Request(verb=verb, url=url) for verb, url in product(verbs, urls) if url)
        return
    names = atom.names or ("",)
    for verb, (group, resource) in product(verbs, _real_resources(atom)):
        bare, _, subresource = resource.partition("/")
        for name in names:
            yield Request(verb=verb, group=group, resource=bare, subresource=subresource, name=name)
    # Of rules that allow nameless requests alone (S-18) a name tells.
    bare, _, subresource = atom.resources[0].partition("/")
    if not atom.names:
        fresh = "any-other"
        while True:
            yield Request(verb=atom.verbs[0], group=atom.groups[0], resource=bare, subresource=subresource, name=fresh)
            fresh += "-"


def _real_resources(atom: PolicyRule) -> Iterator[tuple[str, str]]:
    group, resource = atom.groups[0], atom.resources[0]
    if resource == ALL:
        yield from ((found, name) for found, name in _RESOURCES if group in (ALL, found))
    elif resource.startswith("*/"):
        yield from ((found, f"{name}{resource[1:]}") for found, name in _RESOURCES if group in (ALL, found))
    elif group == ALL:
        yield ("", resource)
    yield (group, resource)


__all__ = ["AccessChange", "AccessDiff", "groups_above", "merged", "permission_text", "witness"]
