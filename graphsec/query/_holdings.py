"""What subjects hold by themselves and through their groups, with roles that say the same counted as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from graphsec.compile import CLUSTER, World
from graphsec.compile.attacks.bundles import EVERYTHING as ANY_ROLE
from graphsec.compile.attacks.principals import Principals
from graphsec.model.rbac import PolicyRule, breakdown, covers, username
from graphsec.model.ref import Ref
from graphsec.query._grants import EVERYTHING
from graphsec.query._reality import atom_request

#: Role contents by scope; those of scope "" hold in every namespace.
Contents = Mapping[str, frozenset[int]]


#: A rule of more atoms is compared as a whole, against hostile input.
_MOST_ATOMS = 2_000


class Holdings:
    """Contents are numbers of distinct sequences of rules. Every comparison of two sets of contents is made once."""

    def __init__(self, world: World) -> None:
        access = world.access
        self._world = world
        self._access = access
        self._principals = Principals(access, world.memberships, frozenset())
        #: The rules of each content that a binding refers to.
        self._numbered: dict[tuple[int, ...], int] = {}
        numbers = self._numbered
        self._content_of = {
            role: numbers.setdefault(rules, len(numbers)) for role, rules in access.rules_by_role().items()
        }
        self._rules = [tuple(access.rules[rule] for rule in content) for content in numbers]
        self._own: dict[Ref, Contents] = {}
        self._effective: dict[Ref, Contents] = {}
        self._covered: dict[tuple[int, frozenset[int]], bool] = {}
        #: Rules by their number, and those of each content as bits: none for a rule that is too wide to be taken apart.
        self._numbers = {rule: number for number, rule in enumerate(access.rules) if _atoms(rule) <= _MOST_ATOMS}
        self._bits = {content: sum(1 << rule for rule in dict.fromkeys(rules)) for rules, content in numbers.items()}
        self._masks: dict[int, tuple[int, ...]] = {}

    def groups(self, subject: Ref) -> tuple[Ref, ...]:
        """Every group that a subject is in: implicit ones (S-46), those of the membership file, and those above them."""
        found: dict[Ref, None] = {}
        if subject.kind != "Group":
            listed = self._world.memberships.groups.get(username(subject), ())
            found.update(dict.fromkeys(Ref("Group", name) for name in listed))
        for group in (subject, *found):
            found.update(dict.fromkeys(self._principals.above(group)))
        return tuple(found)

    def content(self, role: Ref) -> int:
        """Of a role; of one that no binding refers to it is read when first asked for."""
        found = self._content_of.get(role)
        if found is None:
            written = self._world.attacks.access.roles.get(role)
            rules = EVERYTHING if role == ANY_ROLE else written.rules if written else ()
            found = self._content_of[role] = len(self._rules)
            self._rules.append(rules)
        return found

    def rules(self, content: int) -> tuple[PolicyRule, ...]:
        return self._rules[content]

    def grants(self, subject: Ref) -> list[int]:
        """The bindings that name the subject itself, and whose role is there."""
        return self._access.all_held(subject)

    def own(self, subject: Ref) -> Contents:
        found = self._own.get(subject)
        if found is None:
            by_scope: dict[str, set[int]] = {}
            for index in self.grants(subject):
                binding = self._access.bindings[index]
                by_scope.setdefault(binding.scope, set()).add(self._content_of[binding.role])
            found = self._own[subject] = {scope: frozenset(contents) for scope, contents in by_scope.items()}
        return found

    def effective(self, subject: Ref) -> Contents:
        """With the grants of its groups."""
        found = self._effective.get(subject)
        if found is None:
            found = self._effective[subject] = united(map(self.own, (subject, *self.groups(subject))))
        return found

    def roles(self, subject: Ref) -> Iterator[tuple[str, Ref]]:
        """(scope, role) of each of its grants, the same one maybe more than once."""
        for index in self.grants(subject):
            binding = self._access.bindings[index]
            yield binding.scope, binding.role

    def covers(self, contents: Contents, role: Ref, scope: str) -> bool:
        """Whether what is held covers a role in a scope (S-63); `ClusterRole/*` stands for every rule there could be."""
        held = contents.get(CLUSTER, frozenset())
        if scope != CLUSTER:
            held |= contents.get(scope, frozenset())
        return self.covered(self.content(role), held)

    def with_rules(self, rules: Iterable[int]) -> frozenset[int]:
        """The contents that hold one of these rules."""
        wanted = frozenset(rules)
        return frozenset(content for found, content in self._numbered.items() if not wanted.isdisjoint(found))

    def covered(self, content: int, others: frozenset[int]) -> bool:
        """Whether contents that hold in the same scope cover this one."""
        if content in others or not self._rules[content]:
            return True
        if not others:
            return False
        key = (content, others)
        found = self._covered.get(key)
        if found is None:
            found = self._covered[key] = self._is_covered(content, others)
        return found

    def _is_covered(self, content: int, others: frozenset[int]) -> bool:
        numbers = [self._numbers.get(rule, -1) for rule in self._rules[content]]
        if -1 in numbers or any(other not in self._bits for other in others):
            owners = [rule for other in sorted(others) for rule in self._rules[other]]
            return bool(covers(owners, self._rules[content]))
        held = 0
        for other in others:
            held |= self._bits[other]
        return all(mask & held for number in numbers for mask in self._covering(number))

    def _covering(self, number: int) -> tuple[int, ...]:
        """For each atom of a rule the rules that cover it, a bit for each: an atom is covered as a request of its words is
        allowed, but for a name that only a rule naming "" lists (S-18, S-63)."""
        found = self._masks.get(number)
        if found is None:
            rules = self._access.rules
            masks = set()
            for atom in breakdown(rules[number]):
                request = atom_request(atom)
                matching = self._access.matching_rules(request)
                masks.add(sum(1 << rule for rule in matching if not rules[rule].names or request.name or request.url))
            found = self._masks[number] = tuple(masks)
        return found


def _atoms(rule: PolicyRule) -> int:
    return len(rule.groups) * len(rule.resources) * len(rule.verbs) * max(len(rule.names), 1) + len(rule.urls)


def united(parts: Iterable[Contents]) -> Contents:
    """The contents of several holders taken together."""
    filled = [part for part in parts if part]
    if len(filled) == 1:
        return filled[0]
    found: dict[str, frozenset[int]] = {}
    for part in filled:
        for scope, contents in part.items():
            found[scope] = found[scope] | contents if scope in found else contents
    return found
