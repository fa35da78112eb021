"""Grants that are too wide (O4), that others cover (O6), or that serve nothing (O7): decided on rules alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from graphsec.compile import CLUSTER, World
from graphsec.model.rbac import ALL, Binding, PolicyRule, Request, breakdown, covers
from graphsec.model.ref import Ref
from graphsec.query._answer import Evidence
from graphsec.query._grants import evidence, rule_text
from graphsec.query._holdings import Holdings
from graphsec.query._reality import inert_rule

#: URLs that stand for all there will be.
_ALL_URLS = ("*", "/*")
#: The account that every namespace has, without anybody making it.
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Unbounded:
    """The wildcards of one subject. ``own_group`` where each is within API groups of custom resources."""

    scopes: tuple[str, ...]
    proofs: tuple[Evidence, ...]
    words: str
    own_group: bool


@dataclass(frozen=True, slots=True)
class Redundant:
    binding: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inert:
    """A grant, or some of its rules, that serves no request. ``sure`` is False where the input may not show all."""

    binding: Binding
    proofs: tuple[Evidence, ...]
    reason: str
    #: The role is missing.
    missing_role: bool = False
    #: Other rules of the grant serve requests.
    partly: bool = False
    sure: bool = True


class Grants:
    """The grants of a world under three questions."""

    def __init__(self, world: World, holdings: Holdings) -> None:
        self._world = world
        self._access = world.access
        self._holdings = holdings
        self._inert: dict[tuple[PolicyRule, str], str] = {}
        self._unbounded: dict[Ref, tuple[int, ...]] = {}

    # -- O4 -----------------------------------------------------------------------------------------------------

    def unbounded(self, subject: Ref, groups: Iterable[Ref] = ()) -> Unbounded | None:
        """The wildcards that a subject holds, with those of ``groups``, and that serve a request where they hold."""
        found: list[tuple[str, Evidence]] = []
        for holder in (subject, *groups):
            through = holder != subject
            for index in self._holdings.grants(holder):
                binding = self._access.bindings[index]
                for position in self._wild(binding.role):
                    rule = self._access.roles[binding.role].rules[position]
                    if not self.inert_because(rule, binding.scope):
                        found.append(
                            (binding.scope, evidence(self._access, index, position, holder if through else None))
                        )
        if not found:
            return None
        found.sort(key=lambda pair: (pair[0], -_width(pair[1].rule)))
        rules = list(dict.fromkeys(proof.rule for _, proof in found if proof.rule))
        more = f" (+{len(rules) - 1} more)" if len(rules) > 1 else ""
        return Unbounded(
            scopes=tuple(dict.fromkeys(scope or "cluster" for scope, _ in found)),
            proofs=tuple(proof for _, proof in found),
            words=rule_text(rules[0]) + more,
            own_group=all(map(self._is_of_own_group, rules)),
        )

    def _wild(self, role: Ref) -> tuple[int, ...]:
        found = self._unbounded.get(role)
        if found is None:
            rules = self._access.roles[role].rules
            found = tuple(position for position, rule in enumerate(rules) if is_unbounded(rule))
            self._unbounded[role] = found
        return found

    def _is_of_own_group(self, rule: PolicyRule) -> bool:
        return bool(rule.groups) and self._builtin_groups.isdisjoint(rule.groups)

    @cached_property
    def _builtin_groups(self) -> frozenset[str]:
        return frozenset(resource.group for resource in self._world.discovery if not resource.custom) | {ALL}

    # -- O6 -----------------------------------------------------------------------------------------------------

    def redundant(self, subject: Ref) -> Iterator[Redundant]:
        """Grants of the subject that its others cover, such that all of them may go together.

        The narrower goes first: a RoleBinding before a ClusterRoleBinding, of equals the later name.
        """
        holdings, bindings = self._holdings, self._access.bindings
        own = [index for index in holdings.grants(subject) if bindings[index].subjects]
        groups = [index for group in holdings.groups(subject) for index in holdings.grants(group)]
        if len(own) + len(groups) < 2:
            return
        order = sorted(own, key=lambda index: (bindings[index].scope, bindings[index].ref.name), reverse=True)
        # One binding may name the subject and a group of it: that is two grants.
        held: dict[str, dict[tuple[int, bool], int]] = {}
        for is_group, grants in ((False, own), (True, groups)):
            for index in grants:
                content = holdings.content(bindings[index].role)
                held.setdefault(bindings[index].scope, {})[index, is_group] = content
        for index in order:
            here = held[bindings[index].scope]
            content = here.pop((index, False))
            others = here | held.get(CLUSTER, {})
            if holdings.rules(content) and holdings.covered(content, frozenset(others.values())):
                yield Redundant(index, self._covering(content, sorted(other for other, _ in others)))
            else:
                here[index, False] = content

    def _covering(self, content: int, others: Iterable[int]) -> tuple[int, ...]:
        """One of the others where one is enough, else for each atom the first."""
        roles, bindings = self._access.roles, self._access.bindings
        rules = self._holdings.rules(content)
        for other in others:
            if self._holdings.covered(content, frozenset([self._holdings.content(bindings[other].role)])):
                return (other,)
        atoms = [atom for rule in rules for atom in breakdown(rule)]
        first = (next(o for o in others if covers(roles[bindings[o].role].rules, [atom])) for atom in atoms)
        return tuple(dict.fromkeys(first))

    # -- O7 -----------------------------------------------------------------------------------------------------

    def inert(self, subject: Ref) -> Iterator[Inert]:
        """Grants of the subject that change no answer to can-i."""
        if subject.name == ALL and subject.kind in ("User", "Group"):
            reason = f"`*` is no wildcard in a subject: it means the {subject.kind.lower()} of that name (S-40)"
        else:
            reason = self.missing_account(subject)
        for index in self._holdings.grants(subject):
            binding = self._access.bindings[index]
            if reason:
                sure = subject.kind != "ServiceAccount" or self._shows("ServiceAccount")
                yield Inert(binding, (evidence_of(binding),), reason, sure=sure)
                continue
            yield from self._inert_rules(index, binding, subject)
        for binding in self._dangling.get(subject, ()):
            missing = f"{binding.role} is missing: live once somebody creates it (S-02)"
            sure = self._shows(binding.role.kind)
            yield Inert(binding, (evidence_of(binding),), missing, missing_role=True, sure=sure)

    def _inert_rules(self, index: int, binding: Binding, subject: Ref) -> Iterator[Inert]:
        rules = self._access.roles[binding.role].rules
        if not rules:
            if binding.role not in self._aggregated:
                yield Inert(binding, (evidence_of(binding),), f"{binding.role} has no rules")
            return
        reasons = [
            self.inert_because(rule, binding.scope) or self._unmet(subject, rule, binding.scope) for rule in rules
        ]
        found = [position for position, reason in enumerate(reasons) if reason]
        if found:
            which = "" if len(found) == len(rules) else f"{len(found)} of {len(rules)} rules: "
            proofs = tuple(evidence(self._access, index, position) for position in found)
            words = f"{which}{rule_text(rules[found[0]])}: {reasons[found[0]]}"
            yield Inert(binding, proofs, words, partly=bool(which))

    def inert_because(self, rule: PolicyRule, scope: str) -> str:
        """Why no atom of a rule serves a real request where it holds, "" if one does."""
        key = (rule, scope if "namespaces" in rule.resources else scope and "*")
        found = self._inert.get(key)
        if found is None:
            found = self._inert[key] = inert_rule(self._world, rule, scope)
        return found

    def _unmet(self, subject: Ref, rule: PolicyRule, scope: str) -> str:
        """Why a rule that lets nothing but create named objects creates none: no create has a name (S-31, S-34)."""
        if not rule.names or rule.verbs != ("create",) or any("/" in resource for resource in rule.resources):
            return ""
        principals = (subject, *self._holdings.groups(subject))
        allowing = self._world.access.first_allowing
        for atom in breakdown(rule):
            request = Request(
                verb="create", group=atom.groups[0], resource=atom.resources[0], name=atom.names[0], namespace=scope
            )
            others = (replace(request, name=""), replace(request, verb="patch"), replace(request, verb="update"))
            if atom.names[0] == "" or any(allowing(principals, other) for other in others):
                return ""
        return "a create has no name (S-31), and nothing else is granted that would create by name (S-34)"

    def missing_account(self, subject: Ref) -> str:
        """Why nobody is this ServiceAccount, "" where somebody is or the input does not show accounts (H2)."""
        inventory = self._world.attacks.inventory
        if subject.kind != "ServiceAccount" or subject in inventory.accounts or not inventory.accounts:
            return ""
        known = subject.namespace in inventory.namespaces
        if subject.name == _DEFAULT and (known or not inventory.listed("Namespace")):
            return ""
        if subject in self._running:
            return ""
        return f"{subject} is missing: live once somebody creates it"

    @cached_property
    def _running(self) -> frozenset[Ref]:
        """Accounts that pods of the input name: such a pod was admitted with its account there (S-92)."""
        return frozenset(kind.account for kind in self._world.attacks.inventory.kinds)

    def _shows(self, kind: str) -> bool:
        """Whether the input proves that it holds every object of a kind."""
        return self._world.attacks.inventory.is_complete(kind)

    @cached_property
    def _dangling(self) -> dict[Ref, list[Binding]]:
        found: dict[Ref, list[Binding]] = {}
        for binding in self._access.dangling():
            # A role that every cluster has is there although an input of manifests does not show it.
            if binding.role not in self._world.attacks.supplied:
                for subject in binding.subjects:
                    found.setdefault(subject, []).append(binding)
        return found

    @cached_property
    def _aggregated(self) -> frozenset[Ref]:
        """Roles that get their rules from others, which the input may not show."""
        loaded = self._world.cluster.of("ClusterRole")
        return frozenset(found.ref for found in loaded if found.body.selectors is not None)


def _width(rule: PolicyRule | None) -> int:
    """In how many dimensions a rule has no bounds."""
    return sum(ALL in words for words in (rule.verbs, rule.groups, rule.resources)) if rule else 0


def is_unbounded(rule: PolicyRule) -> bool:
    """Whether a rule grants what nobody has heard of yet: a wildcard among its verbs, API groups, resources or URLs."""
    wild = any(resource == ALL or resource.startswith(f"{ALL}/") for resource in rule.resources)
    return wild or ALL in rule.verbs or ALL in rule.groups or any(url in _ALL_URLS for url in rule.urls)


def evidence_of(binding: Binding) -> Evidence:
    """Of a binding as a whole."""
    return Evidence(binding=binding.ref, role=binding.role, source=binding.source)
