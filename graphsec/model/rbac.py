"""The one RBAC matcher: what a policy rule allows and covers; nothing else in the package spells a wildcard.

Facts: rbac.md S-05 to S-22 (`pkg/apis/rbac/v1/evaluation_helpers.go`) and S-63 (`policy_comparator.go`). Which rules
apply to whom is not decided here but in ``graphsec.compile.access``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from graphsec.errors import UsageError
from graphsec.model.ref import Ref, Source

ALL = "*"
#: Sent by S-47 before any authorizer runs; its members are allowed everything.
MASTERS = "system:masters"
MASTERS_GROUP = Ref("Group", MASTERS)
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
RBAC_GROUP = "rbac.authorization.k8s.io"


class _Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """What an authorizer sees besides the verb, taken literally; ``url`` makes it a non-resource request.

    ``namespace=""`` asks at cluster scope (S-03), ``name=""`` without a name (S-18).
    """

    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    url: str = ""


class Target(_Attributes, frozen=True, kw_only=True):
    """What a question is about. Raises UsageError unless that is one of a resource and a URL."""

    def __post_init__(self) -> None:
        if bool(self.resource) is bool(self.url):
            raise UsageError("a question is about either a resource or a URL")

    def request(self, verb: str) -> Request:
        """The request of one verb on this; a URL has no namespace."""
        namespace = "" if self.url else self.namespace
        return Request(verb=verb, **{**msgspec.structs.asdict(self), "namespace": namespace})


class Request(_Attributes, frozen=True, kw_only=True):
    """The attributes of one request."""

    verb: str

    def __str__(self) -> str:
        if self.url:
            return f"{self.verb} {self.url}"
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        text = f"{self.verb} {resource}" + (f"/{self.subresource}" if self.subresource else "")
        text += f" {self.name!r}" if self.name else ""
        return f"{text} in {self.namespace}" if self.namespace else text


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True, gc=False):
    """One rule of a role. Lists form a cross product, separate rules never combine; ``names`` empty means all names."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, rule: Mapping[str, Any]) -> PolicyRule:
        """From a rule as a Role spells it (``apiGroups``, ``resourceNames``, ``nonResourceURLs``); null is empty.

        Raises msgspec.ValidationError where a field is not a list of strings.
        """
        return msgspec.convert(rule, _WireRule).policy_rule()

    def to_mapping(self) -> dict[str, list[str]]:
        """As a Role spells it, without empty fields."""
        fields = {
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.urls,
            "verbs": self.verbs,
        }
        return {key: list(values) for key, values in fields.items() if values}


class _WireRule(msgspec.Struct, rename="camel"):
    """A rule as Go encodes it: any list may be null."""

    verbs: tuple[str, ...] | None = None
    api_groups: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    resource_names: tuple[str, ...] | None = None
    non_resource_urls: tuple[str, ...] | None = msgspec.field(name="nonResourceURLs", default=None)

    def policy_rule(self) -> PolicyRule:
        return PolicyRule(
            verbs=self.verbs or (),
            groups=self.api_groups or (),
            resources=self.resources or (),
            names=self.resource_names or (),
            urls=self.non_resource_urls or (),
        )


#: The keys of a rule as a Role spells it.
RULE_KEYS = frozenset(field.encode_name for field in msgspec.structs.fields(_WireRule))
_rule_decoder = msgspec.json.Decoder(_WireRule)


def decode_rule(body: Any) -> PolicyRule:
    """A rule from JSON bytes or a mapping. Raises msgspec.ValidationError."""
    return _rule_decoder.decode(body).policy_rule() if isinstance(body, bytes) else PolicyRule.from_mapping(body)


# -- which words of a rule match a word of a request -------------------------------------------------------------


def word_forms(word: str) -> tuple[str, ...]:
    """Verbs (S-10) and apiGroups (S-11): the word itself or ``*``."""
    return (word,) if word == ALL else (word, ALL)


def resource_forms(resource: str, subresource: str = "") -> tuple[str, ...]:
    """Resources (S-12 to S-16): ``*``, the combined string, and for a subresource ``*/sub``; never ``res/*``."""
    if not subresource:
        return word_forms(resource)
    return tuple(dict.fromkeys((f"{resource}/{subresource}", f"*/{subresource}", ALL)))


def url_prefix(pattern: str) -> str | None:
    """The prefix that a rule's URL stands for, None if it is exact (S-20): all trailing stars are stripped."""
    return pattern.rstrip(ALL) if pattern.endswith(ALL) else None


def url_matches(pattern: str, url: str) -> bool:
    """S-20; also how one pattern covers another (S-63), since a covered pattern is compared as a plain string."""
    prefix = url_prefix(pattern)
    return pattern == url or (prefix is not None and url.startswith(prefix))


def names_match(names: tuple[str, ...], name: str) -> bool:
    """S-17, S-18: no list is all names; otherwise exact membership, also for the empty name."""
    return not names or name in names


def acts(rule: PolicyRule, request: Request) -> bool:
    """Whether verb, group and resource (or URL) match, whatever the name."""
    if not _any_in(word_forms(request.verb), rule.verbs):
        return False
    if request.url:
        return any(url_matches(pattern, request.url) for pattern in rule.urls)
    return _any_in(word_forms(request.group), rule.groups) and _any_in(
        resource_forms(request.resource, request.subresource), rule.resources
    )


def allows(rule: PolicyRule, request: Request) -> bool:
    """Whether the rule allows the request (`RuleAllows`)."""
    return acts(rule, request) and (bool(request.url) or names_match(rule.names, request.name))


def _any_in(forms: tuple[str, ...], literals: tuple[str, ...]) -> bool:
    return any(form in literals for form in forms)


# -- covers ------------------------------------------------------------------------------------------------------


class Covered(msgspec.Struct, frozen=True):
    """Whether an owner's rules cover a servant's; ``uncovered`` are the atoms that they do not, in breakdown order."""

    uncovered: tuple[PolicyRule, ...] = ()

    def __bool__(self) -> bool:
        return not self.uncovered


def breakdown(rule: PolicyRule) -> Iterator[PolicyRule]:
    """The atoms of a rule, in Kubernetes' order: group, resource, verb, name; then URL, verb (`BreakdownRule`)."""
    for group in rule.groups:
        for resource in rule.resources:
            for verb in rule.verbs:
                for names in tuple((name,) for name in rule.names) or ((),):
                    yield PolicyRule(verbs=(verb,), groups=(group,), resources=(resource,), names=names)
    for url in rule.urls:
        for verb in rule.verbs:
            yield PolicyRule(verbs=(verb,), urls=(url,))


def covers(owner: Iterable[PolicyRule], servant: Iterable[PolicyRule]) -> Covered:
    """S-63: every atom of the servant must be covered by one single owner rule on all dimensions."""
    owners = tuple(owner)
    return Covered(
        tuple(
            atom
            for rule in servant
            for atom in breakdown(rule)
            if not any(_covers_atom(candidate, atom) for candidate in owners)
        )
    )


def _covers_atom(rule: PolicyRule, atom: PolicyRule) -> bool:
    """A wildcard in the atom is a plain word that only the owner's wildcard covers."""
    return (
        _any_in(word_forms(atom.verbs[0]), rule.verbs)
        and all(_any_in(word_forms(group), rule.groups) for group in atom.groups)
        and all(_any_in(_covering_resources(resource), rule.resources) for resource in atom.resources)
        and all(any(url_matches(pattern, url) for pattern in rule.urls) for url in atom.urls)
        and (not rule.names or (bool(atom.names) and atom.names[0] in rule.names))
    )


def _covering_resources(resource: str) -> tuple[str, ...]:
    _, slash, subresource = resource.partition("/")
    return (resource, ALL, f"*/{subresource}") if slash else (resource, ALL)


# -- roles, bindings, principals ---------------------------------------------------------------------------------


class Role(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A Role or ClusterRole with its *effective* rules. ``rule_sources`` runs beside ``rules``."""

    ref: Ref
    rules: tuple[PolicyRule, ...]
    source: Source
    rule_sources: tuple[Source, ...]
    #: For an aggregated ClusterRole the role each rule came from, "" where it is its own.
    rule_origins: tuple[str, ...] = ()


class Binding(msgspec.Struct, frozen=True, gc=False):
    """A RoleBinding or ClusterRoleBinding; ``role`` may dangle, ``subjects`` as they match (S-40 to S-42)."""

    ref: Ref
    role: Ref
    subjects: tuple[Ref, ...]
    source: Source

    @property
    def scope(self) -> str:
        """ "" at cluster scope, else the namespace."""
        return self.ref.namespace or ""


def subject_ref(username: str) -> Ref:
    """The principal behind a user name: ``system:serviceaccount:NS:NAME`` is that ServiceAccount (S-40)."""
    if username.startswith(SERVICE_ACCOUNT_PREFIX):
        namespace, _, name = username[len(SERVICE_ACCOUNT_PREFIX) :].partition(":")
        if namespace and name and ":" not in name:
            return Ref("ServiceAccount", name, namespace)
    return Ref("User", username)


def username(subject: Ref) -> str:
    """The user name under which a User or ServiceAccount makes requests."""
    if subject.kind == "ServiceAccount":
        return f"{SERVICE_ACCOUNT_PREFIX}{subject.namespace}:{subject.name}"
    return subject.name


def implicit_groups(user: str) -> tuple[str, ...]:
    """The groups that the built-in authenticators add to a user name (S-46)."""
    if user == "system:anonymous":
        return ("system:unauthenticated",)
    account = subject_ref(user)
    if account.kind == "ServiceAccount":
        return ("system:serviceaccounts", f"system:serviceaccounts:{account.namespace}", "system:authenticated")
    if user.startswith("system:node:"):
        return ("system:nodes", "system:authenticated")
    if user.startswith("system:bootstrap:"):
        return ("system:bootstrappers", "system:authenticated")
    return ("system:authenticated",)
