"""Who holds what: roles resolved, rules interned, and an index from a request to its holders.

Facts: rbac.md S-01 to S-05, S-40 to S-47. Whether a rule allows a request is decided by ``graphsec.model.rbac`` alone;
here its words are postings. Nothing is multiplied out: a request leads to distinct rules, those to distinct role
contents, those to the bindings of a scope, and only those to subjects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from graphsec.compile.aggregation import Aggregation, aggregate, origin
from graphsec.compile.validation import binding_complaints, role_complaints
from graphsec.model.cluster import Cluster
from graphsec.model.diagnostic import CODES, Diagnostic
from graphsec.model.objects import Loaded, StoredRole, WireBinding, WireSubject
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
from graphsec.model.ref import Ref, Source

CLUSTER = ""
#: A rule with a larger cross product than this is kept aside and matched itself, against hostile input.
_MAX_POSTINGS = 2_000


class Access:
    """The compiled RBAC of a cluster. Immutable after construction; ids are positions in ``bindings`` and ``rules``."""

    def __init__(self, roles: Mapping[Ref, Role], bindings: Sequence[Binding]) -> None:
        self.roles = roles
        self.bindings = tuple(bindings)
        #: Every principal that a binding names, in order of first mention.
        self.subjects: list[Ref] = []
        self.rules: list[PolicyRule] = []
        self._subject_ids: dict[Ref, int] = {}
        self._rule_ids: dict[PolicyRule, int] = {}
        #: Content is the sequence of distinct rules of a role; roles that say the same share one.
        self._contents: list[tuple[int, ...]] = []
        self._content_ids: dict[tuple[int, ...], int] = {}
        self._content_of: dict[Ref, int] = {}
        #: Subject ids by binding.
        self._subjects_of: list[tuple[int, ...]] = []
        #: scope -> content -> bindings; and over all namespaces content -> bindings.
        self._by_scope: dict[str, dict[int, list[int]]] = defaultdict(dict)
        self._namespaced: dict[int, list[int]] = defaultdict(list)
        #: subject -> scope -> bindings.
        self._held: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._index_bindings()
        self._contents_with: list[list[int]] = self._invert_contents()
        self._postings: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._wide: list[int] = []
        self._with_urls: list[int] = []
        self._index_rules()

    # -- compile ------------------------------------------------------------------------------------------------

    def _index_bindings(self) -> None:
        for index, binding in enumerate(self.bindings):
            ids = tuple(self._subject_id(subject) for subject in binding.subjects)
            self._subjects_of.append(ids)
            content = self._content(binding.role)
            if content is None:
                continue
            self._by_scope[binding.scope].setdefault(content, []).append(index)
            if binding.scope != CLUSTER:
                self._namespaced[content].append(index)
            for subject in ids:
                self._held[subject][binding.scope].append(index)

    def _subject_id(self, subject: Ref) -> int:
        found = self._subject_ids.get(subject)
        if found is None:
            found = self._subject_ids[subject] = len(self.subjects)
            self.subjects.append(subject)
        return found

    def _content(self, ref: Ref) -> int | None:
        found = self._content_of.get(ref)
        if found is None and (role := self.roles.get(ref)):
            rules = tuple(dict.fromkeys(self._rule_id(rule) for rule in role.rules))
            found = self._content_ids.setdefault(rules, len(self._contents))
            if found == len(self._contents):
                self._contents.append(rules)
            self._content_of[ref] = found
        return found

    def _rule_id(self, rule: PolicyRule) -> int:
        found = self._rule_ids.setdefault(rule, len(self.rules))
        if found == len(self.rules):
            self.rules.append(rule)
        return found

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
            for group in groups:
                for resource in resources:
                    for verb in verbs:
                        self._postings[group, resource, verb].append(index)

    # -- questions ----------------------------------------------------------------------------------------------

    def matching_rules(self, request: Request, *, any_name: bool = False) -> list[int]:
        """Ids of the distinct rules that allow the request; with ``any_name`` also those limited to names."""
        accepts = acts if any_name else allows
        return [index for index in self._candidates(request) if accepts(self.rules[index], request)]

    def _candidates(self, request: Request) -> Iterable[int]:
        if request.url:
            return self._with_urls
        found: set[int] = set(self._wide)
        for group in word_forms(request.group):
            for resource in resource_forms(request.resource, request.subresource):
                for verb in word_forms(request.verb):
                    found.update(self._postings.get((group, resource, verb), ()))
        return sorted(found)

    def bindings_granting(self, rule: int, namespace: str, *, any_namespace: bool) -> Iterator[int]:
        """Bindings whose role has the rule: at cluster scope, and in ``namespace`` or in any (S-03)."""
        at_cluster = self._by_scope.get(CLUSTER, {})
        in_namespace = self._namespaced if any_namespace else self._by_scope.get(namespace, {}) if namespace else {}
        for content in self._contents_with[rule]:
            yield from at_cluster.get(content, ())
            yield from in_namespace.get(content, ())

    def subjects_of(self, binding: int) -> tuple[int, ...]:
        return self._subjects_of[binding]

    def held(self, subject: Ref, namespace: str) -> Iterator[int]:
        """The bindings of a principal that apply in ``namespace``: ClusterRoleBindings first (S-03)."""
        scopes = self._held.get(self._subject_ids.get(subject, -1), {})
        yield from scopes.get(CLUSTER, ())
        if namespace != CLUSTER:
            yield from scopes.get(namespace, ())

    def all_held(self, subject: Ref) -> list[int]:
        """Every binding of a principal, in any scope."""
        scopes = self._held.get(self._subject_ids.get(subject, -1), {})
        return sorted(index for found in scopes.values() for index in found)

    def first_allowing(self, principals: Iterable[Ref], request: Request) -> tuple[int, int] | None:
        """(binding, rule index in its role) of the first grant that allows the request, None if there is none."""
        principals = tuple(principals)
        for namespaced in (False, True):
            for principal in principals:
                for index in self.held(principal, request.namespace):
                    binding = self.bindings[index]
                    if (binding.scope != CLUSTER) is namespaced:
                        for position, rule in enumerate(self.roles[binding.role].rules):
                            if allows(rule, request):
                                return index, position
        return None

    def dangling(self) -> list[Binding]:
        """Bindings whose role is not there (S-02)."""
        return [binding for binding in self.bindings if binding.role not in self.roles]

    def rules_by_role(self) -> dict[Ref, tuple[int, ...]]:
        """Ids of the distinct rules of every role that a binding refers to."""
        return {ref: self._contents[content] for ref, content in self._content_of.items()}


def grant_access(cluster: Cluster) -> tuple[Access, list[Diagnostic]]:
    """Roles with effective rules, bindings with subjects as they match; and what is odd about them."""
    cluster_roles = {loaded.ref.name: loaded for loaded in cluster.of("ClusterRole")}
    aggregation = aggregate({name: loaded.body for name, loaded in cluster_roles.items()})
    roles = {loaded.ref: _role(loaded, cluster_roles, aggregation) for loaded in cluster.of("ClusterRole", "Role")}
    bindings = [_binding(loaded) for loaded in cluster.of("ClusterRoleBinding", "RoleBinding")]
    access = Access(roles, bindings)
    diagnostics = [
        *_aggregation_diagnostics(aggregation, cluster_roles),
        *_validation_diagnostics(cluster),
        *_binding_diagnostics(cluster, roles, bindings),
    ]
    return access, diagnostics


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
        own[index] if not name or own[index].line != loaded.source.line else _written_at(cluster_roles[name], rules[index])
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


def _binding(loaded: Loaded) -> Binding:
    wire: WireBinding = loaded.body
    scope = loaded.ref.namespace
    # A Role is looked up in the binding's namespace, which a ClusterRoleBinding has none of: it dangles (S-43).
    role = Ref(wire.role_ref.kind, wire.role_ref.name, scope if wire.role_ref.kind == "Role" else None)
    subjects = dict.fromkeys(ref for subject in wire.subjects or () if (ref := _principal(subject, scope)))
    return Binding(ref=loaded.ref, role=role, subjects=tuple(subjects), source=loaded.source)


def _principal(subject: WireSubject, scope: str | None) -> Ref | None:
    """The principal that a subject matches, None if it can match nobody (S-40 to S-42); its apiGroup is not consulted."""
    match subject.kind:
        case "User":
            return subject_ref(subject.name)
        case "Group":
            return Ref("Group", subject.name)
        case "ServiceAccount":
            namespace = subject.namespace or scope
            return subject_ref(username(Ref("ServiceAccount", subject.name, namespace))) if namespace else None
        case _:
            return None


def _diagnostic(code: str, message: str, loaded: Loaded) -> Diagnostic:
    return Diagnostic(
        code=code, message=message, source=loaded.source, object=str(loaded.ref), hint=CODES[code].remedy
    )


def _aggregation_diagnostics(aggregation: Aggregation, roles: Mapping[str, Loaded]) -> Iterator[Diagnostic]:
    for name in aggregation.drifted:
        yield _diagnostic("GS-GR-003", "stored rules differ from what its aggregationRule selects", roles[name])
    for name in aggregation.unsettled:
        yield _diagnostic("GS-GR-004", "aggregation never settles: its selectors form a cycle", roles[name])


def _validation_diagnostics(cluster: Cluster) -> Iterator[Diagnostic]:
    for loaded in cluster.of("ClusterRole", "Role"):
        yield from (_diagnostic("GS-IN-023", complaint, loaded) for complaint in role_complaints(loaded))
    for loaded in cluster.of("ClusterRoleBinding", "RoleBinding"):
        yield from (_diagnostic("GS-IN-023", complaint, loaded) for complaint in binding_complaints(loaded))


def _binding_diagnostics(
    cluster: Cluster, roles: Mapping[Ref, Role], bindings: Sequence[Binding]
) -> Iterator[Diagnostic]:
    for loaded, binding in zip(cluster.of("ClusterRoleBinding", "RoleBinding"), bindings, strict=True):
        if binding.role not in roles:
            yield _diagnostic("GS-GR-001", f"refers to {binding.role}, which is not in the input", loaded)
        for subject in loaded.body.subjects or ():
            if _principal(subject, loaded.ref.namespace) is None:
                yield _diagnostic("GS-GR-002", f"subject {subject.kind} `{subject.name}` matches nobody", loaded)
