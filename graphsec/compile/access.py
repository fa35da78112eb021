"""Who holds what: roles resolved, rules interned, and an index from a request to its holders.

Facts: rbac.md S-01 to S-05, S-40 to S-47. Whether a rule allows a request is decided by ``graphsec.model.rbac`` alone;
here its words are postings. Nothing is multiplied out: a request leads to distinct rules, those to distinct role
contents, those to the bindings of a scope, and only those to subjects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from graphsec.collector import collector_paused
from graphsec.compile.aggregation import Aggregation, aggregate, origin
from graphsec.model.cluster import Cluster
from graphsec.model.objects import Loaded, RoleRef, StoredRole, WireBinding, WireSubject
from graphsec.model.rbac import (
    Binding,
    PolicyRule,
    Request,
    Role,
    acts,
    allows,
    resource_forms,
    subject_ref,
    username,
    word_forms,
)
from graphsec.model.ref import Ref, Source, ref_order

CLUSTER = ""
#: A rule with a larger cross product than this is kept aside and matched itself, against hostile input.
_MAX_POSTINGS = 2_000
#: Results that an AccessIndex remembers, e.g. the cluster-wide holders of a request asked of many namespaces.
_REMEMBERED = 64

T = TypeVar("T")


class AccessIndex:
    """The compiled RBAC of a cluster. Immutable; ids are positions in ``subjects``, ``rules`` and ``bindings``."""

    def __init__(self, roles: Mapping[Ref, Role], aggregation: Aggregation, reader: _BindingReader) -> None:
        self.roles = roles
        self.aggregation = aggregation
        self.bindings: Sequence[Binding] = reader.bindings
        #: Every principal that a binding names, in order of first mention.
        self.subjects: Sequence[Ref] = reader.subjects
        #: Subject ids by binding.
        self.subjects_of: Sequence[tuple[int, ...]] = reader.subjects_of
        self._rule_ids: dict[PolicyRule, int] = {}
        #: Content is the sequence of distinct rules of a role; roles that say the same share one.
        self._contents: list[tuple[int, ...]] = []
        self._content_of: dict[Ref, int] = {}
        #: content -> bindings, at cluster scope and over all namespaces.
        self._at_cluster: dict[int, list[int]] = defaultdict(list)
        self._namespaced: dict[int, list[int]] = defaultdict(list)
        self._index_bindings(reader.referring())
        self.rules: Sequence[PolicyRule] = tuple(self._rule_ids)
        self._contents_with = self._invert_contents()
        self._postings: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._named_postings: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._wide: list[int] = []
        self._with_urls: list[int] = []
        self._index_rules()
        self._once: dict[Hashable, Any] = {}

    # -- compile ------------------------------------------------------------------------------------------------

    def _index_bindings(self, referring: Iterable[tuple[Ref, bool, list[int]]]) -> None:
        contents: dict[tuple[PolicyRule, ...], int] = {}
        for ref, namespaced, bindings in referring:
            role = self.roles.get(ref)
            if role is None:
                continue
            content = contents.get(role.rules)
            if content is None:
                content = contents[role.rules] = len(self._contents)
                self._contents.append(tuple(dict.fromkeys(map(self._rule_id, role.rules))))
            self._content_of[ref] = content
            (self._namespaced if namespaced else self._at_cluster)[content] += bindings

    def _rule_id(self, rule: PolicyRule) -> int:
        return self._rule_ids.setdefault(rule, len(self._rule_ids))

    def _invert_contents(self) -> list[list[int]]:
        contents_with: list[list[int]] = [[] for _ in self.rules]
        for content, rules in enumerate(self._contents):
            for rule in rules:
                contents_with[rule].append(content)
        return contents_with

    def _index_rules(self) -> None:
        for index, rule in enumerate(self.rules):
            if rule.urls:
                self._with_urls.append(index)
            groups, resources, verbs = set(rule.groups), set(rule.resources), set(rule.verbs)
            if len(groups) * len(resources) * len(verbs) > _MAX_POSTINGS:
                self._wide.append(index)
                continue
            postings = self._named_postings if rule.names else self._postings
            for group in groups:
                for resource in resources:
                    for verb in verbs:
                        postings[group, resource, verb].append(index)

    @cached_property
    def _by_scope(self) -> dict[str, dict[int, list[int]]]:
        """namespace -> content -> bindings."""
        scopes: dict[str, dict[int, list[int]]] = defaultdict(dict)
        for content, bindings in self._namespaced.items():
            for binding in bindings:
                scopes[self.bindings[binding].scope].setdefault(content, []).append(binding)
        return scopes

    @cached_property
    def _held(self) -> dict[Ref, dict[str, list[int]]]:
        """subject -> scope -> bindings whose role is there."""
        held: dict[Ref, dict[str, list[int]]] = {subject: {} for subject in self.subjects}
        for index, binding in enumerate(self.bindings):
            if binding.role in self._content_of:
                for subject in self.subjects_of[index]:
                    held[self.subjects[subject]].setdefault(binding.scope, []).append(index)
        return held

    @cached_property
    def ranks(self) -> list[int]:
        """The place of each subject in canonical order (kind, namespace, name)."""
        order = sorted(range(len(self.subjects)), key=lambda subject: ref_order(self.subjects[subject]))
        ranks = [0] * len(order)
        for rank, subject in enumerate(order):
            ranks[subject] = rank
        return ranks

    # -- questions ----------------------------------------------------------------------------------------------

    def matching_rules(self, request: Request, *, any_name: bool = False) -> list[int]:
        """Ids of the distinct rules that allow the request; with ``any_name`` also those limited to names."""
        rules = self.rules
        if request.url:
            return [index for index in self._with_urls if acts(rules[index], request)]
        accepts = acts if any_name else allows
        found = {index for index in self._wide if accepts(rules[index], request)}
        keys = [
            (group, resource, verb)
            for group in word_forms(request.group)
            for resource in resource_forms(request.resource, request.subresource)
            for verb in word_forms(request.verb)
        ]
        for key in keys:
            found.update(self._postings.get(key, ()))
            named = self._named_postings.get(key, ())
            found.update(named if any_name else [index for index in named if request.name in rules[index].names])
        return sorted(found)

    def contents_with(self, rule: int) -> list[int]:
        """The role contents that hold a rule."""
        return self._contents_with[rule]

    def bindings_at_cluster(self) -> Mapping[int, Sequence[int]]:
        """ClusterRoleBindings by the content of their role."""
        return self._at_cluster

    def bindings_in(self, namespace: str | None) -> Mapping[int, Sequence[int]]:
        """RoleBindings by the content of their role, in one namespace or (None) in any; none at cluster scope (S-03)."""
        return self._namespaced if namespace is None else self._by_scope.get(namespace, {})

    def id_of(self, subject: Ref) -> int:
        """The position of a subject in ``subjects``, -1 if no binding names it."""
        return self._subject_ids.get(subject, -1)

    @cached_property
    def _subject_ids(self) -> dict[Ref, int]:
        return {subject: index for index, subject in enumerate(self.subjects)}

    def held(self, subject: Ref, namespace: str) -> Iterator[int]:
        """The bindings of a principal that apply in ``namespace``: ClusterRoleBindings first (S-03)."""
        scopes = self._held.get(subject, {})
        yield from scopes.get(CLUSTER, ())
        if namespace != CLUSTER:
            yield from scopes.get(namespace, ())

    def all_held(self, subject: Ref) -> list[int]:
        """Every binding of a principal, in any scope."""
        return sorted(index for found in self._held.get(subject, {}).values() for index in found)

    def first_allowing(
        self, principals: Iterable[Ref], request: Request, *, without: Container[Ref] = ()
    ) -> tuple[int, int] | None:
        """(binding, rule index in its role) of the first grant that allows the request, None if there is none; as if the
        bindings and roles of ``without`` were not."""
        principals = tuple(principals)
        for namespaced in (False, True):
            for principal in principals:
                for index in self.held(principal, request.namespace):
                    binding = self.bindings[index]
                    if binding.ref in without or binding.role in without:
                        continue
                    if (binding.scope != CLUSTER) is namespaced:
                        for position, rule in enumerate(self.roles[binding.role].rules):
                            if allows(rule, request):
                                return index, position
        return None

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """A value that follows from this access and the key alone, made once; bounded, the oldest is forgotten."""
        found: T | None = self._once.get(key)
        if found is None:
            if len(self._once) >= _REMEMBERED:
                self._once.pop(next(iter(self._once), None), None)
            found = self._once[key] = make()
        return found

    def dangling(self) -> list[Binding]:
        """Bindings whose role is not there (S-02)."""
        return [binding for binding in self.bindings if binding.role not in self.roles]

    def rules_by_role(self) -> dict[Ref, tuple[int, ...]]:
        """Ids of the distinct rules of every role that a binding refers to."""
        return {ref: self._contents[content] for ref, content in self._content_of.items()}


def grant_access(cluster: Cluster) -> AccessIndex:
    """Roles with effective rules, bindings with subjects as they match."""
    cluster_roles = {loaded.ref.name: loaded for loaded in cluster.of("ClusterRole")}
    aggregation = aggregate({name: loaded.body for name, loaded in cluster_roles.items()})
    with collector_paused():
        roles = {loaded.ref: _role(loaded, cluster_roles, aggregation) for loaded in cluster.of("ClusterRole", "Role")}
        reader = _BindingReader()
        for loaded in cluster.of("ClusterRoleBinding", "RoleBinding"):
            reader.add(loaded)
        return AccessIndex(roles, aggregation, reader)


def _role(loaded: Loaded, cluster_roles: Mapping[str, Loaded], aggregation: Aggregation) -> Role:
    stored: StoredRole = loaded.body
    if loaded.ref.kind == "Role" or stored.selectors is None:
        return Role(
            ref=loaded.ref, rules=stored.rules, source=loaded.source, rule_sources=_rule_sources(loaded, stored.rules)
        )
    rules = aggregation.rules[loaded.ref.name]
    origins = tuple(origin(aggregation, loaded.ref.name, rule) for rule in rules)
    own = _rule_sources(loaded, rules) if rules == stored.rules else (loaded.source,) * len(rules)
    sources = tuple(
        own[index]
        if not name or own[index].line != loaded.source.line
        else _written_at(cluster_roles[name], rules[index])
        for index, name in enumerate(origins)
    )
    return Role(ref=loaded.ref, rules=rules, source=loaded.source, rule_sources=sources, rule_origins=origins)


def _rule_sources(loaded: Loaded, rules: Sequence[PolicyRule]) -> tuple[Source, ...]:
    source = loaded.source
    if not loaded.lines or loaded.lines[-1] == source.line:
        return (source,) * len(rules)
    return tuple(Source(source.file, line, source.origin) for line in loaded.lines)


def _written_at(loaded: Loaded, rule: PolicyRule) -> Source:
    rules = loaded.body.rules
    # A role in a cycle of aggregation holds rules that it does not write itself.
    return _rule_sources(loaded, rules)[rules.index(rule)] if rule in rules else loaded.source


class _BindingReader:
    """Turns binding objects into bindings; a subject or roleRef that many bindings name is looked at once."""

    def __init__(self) -> None:
        self.bindings: list[Binding] = []
        self.subjects: list[Ref] = []
        self.subjects_of: list[tuple[int, ...]] = []
        self._ids: dict[Ref, int] = {}
        #: Spelling of a subject -> its id, -1 if it matches nobody.
        self._known: dict[object, int] = {}
        #: Spelling of a roleRef in a scope -> the role and who refers to it.
        self._role_refs: dict[object, tuple[Ref, list[int]]] = {}

    def add(self, loaded: Loaded) -> None:
        wire: WireBinding = loaded.body
        scope = loaded.ref.namespace
        ids: list[int] = []
        for subject in wire.subjects or ():
            # Only an account that names no namespace means another one in each scope (S-41).
            key = subject if subject.namespace or subject.kind != "ServiceAccount" else (subject, scope)
            known = self._known.get(key)
            ids.append(self._subject(subject, scope, key) if known is None else known)
        ref = wire.role_ref
        place = (ref, scope) if scope is None or ref.kind == "Role" else ref
        role, referring = self._role_refs.get(place) or self._role_ref(ref, scope, place)
        referring.append(len(self.bindings))
        subjects: tuple[Ref, ...]
        if len(ids) == 1 and ids[0] >= 0:
            subjects = (self.subjects[ids[0]],)
        else:
            ids = [found for found in dict.fromkeys(ids) if found >= 0]
            subjects = tuple([self.subjects[found] for found in ids])
        self.subjects_of.append(tuple(ids))
        self.bindings.append(Binding(loaded.ref, role, subjects, loaded.source))

    def _subject(self, subject: WireSubject, scope: str | None, key: object) -> int:
        ref = principal(subject, scope)
        known = -1
        if ref is not None:
            known = self._ids.setdefault(ref, len(self.subjects))
            if known == len(self.subjects):
                self.subjects.append(ref)
        self._known[key] = known
        return known

    def _role_ref(self, role: RoleRef, scope: str | None, place: object) -> tuple[Ref, list[int]]:
        # A Role is looked up in the binding's namespace, which a ClusterRoleBinding has none of: it dangles (S-43).
        found = self._role_refs[place] = Ref(role.kind, role.name, scope if role.kind == "Role" else None), []
        return found

    def referring(self) -> Iterator[tuple[Ref, bool, list[int]]]:
        """Bindings by (role, whether they are RoleBindings)."""
        for role, bindings in self._role_refs.values():
            yield role, self.bindings[bindings[0]].scope != CLUSTER, bindings


def principal(subject: WireSubject, scope: str | None) -> Ref | None:
    """The principal that a subject matches, None if it can match nobody (S-40 to S-42); its apiGroup is not consulted."""
    match subject.kind:
        case "User":
            return subject_ref(subject.name)
        case "Group":
            return Ref("Group", subject.name)
        case "ServiceAccount":
            namespace = subject.namespace or scope
            if not namespace:
                return None
            account = Ref("ServiceAccount", subject.name, namespace)
            # Only the user name counts: a colon or an empty name may make it one that is no ServiceAccount's (S-40).
            plain = subject.name and ":" not in namespace and ":" not in subject.name
            return account if plain else subject_ref(username(account))
        case _:
            return None
