"""Which powers the rules of several roles give together: decided once for each distinct set of roles.

Every ability that a power names has a bit; the one matcher says which distinct rules grant it (``AccessIndex.matching_rules``),
so this module spells no wildcard. A principal's rules in a scope are those of its roles there and at cluster scope, united: a
power that needs two requests may draw them from two bindings (attacks.md §2.9 RQ).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from graphsec.compile.access import AccessIndex
from graphsec.model.attack import Ability, Power, Scope, Way
from graphsec.model.rbac import PolicyRule, Request, acts
from graphsec.model.ref import Ref
from graphsec.rules import _powers as p

#: The objects that a power reaches: None is all of them, also those to come.
Names = frozenset[str] | None
_GUARDS = ("bind", "escalate", "approve", "sign")
NOBODY: frozenset[str] = frozenset()
#: Stands for a role that grants everything: what whoever may write any rule writes.
EVERYTHING = Ref("ClusterRole", "*")


@dataclass(frozen=True, slots=True)
class Content:
    """What the rules of one role grant: a bit per ability for all names, and the names of those limited to some."""

    everywhere: int
    named: Mapping[int, frozenset[str]]
    #: The abilities that are granted for some name at least.
    present: int

    @classmethod
    def of(cls, everywhere: int, named: Mapping[int, frozenset[str]]) -> Content:
        present = everywhere
        for bit in named:
            present |= 1 << bit
        return cls(everywhere, named, present)

    def reach(self, bit: int) -> Names:
        """The names for which an ability is granted."""
        return None if self.everywhere >> bit & 1 else self.named.get(bit, NOBODY)


def request_of(ability: Ability, namespace: str, name: str) -> Request:
    """The request that an ability stands for, about the object ``name`` where it is about one."""
    return Request(
        verb=ability.verb,
        group=ability.group,
        resource=ability.resource,
        subresource=ability.subresource,
        namespace=namespace,
        name=name if ability.name is None else ability.name,
    )


class Powers:
    """The powers of sets of roles, of one minor version; over custom resources only where they are ``installed``."""

    def __init__(
        self, access: AccessIndex, powers: Sequence[Power], minor: int, installed: Container[tuple[str, str]] = ()
    ) -> None:
        self._access = access
        self._bits: dict[Ability, int] = {}
        #: With each power the ways in which it may be had, each with the bits that it needs.
        self._ways: list[tuple[Power, list[tuple[int, Way, list[tuple[int, str | None]]]]]] = []
        for power in powers:
            ways = [way for way in power.ways if way.since <= minor < way.until]
            if power in p.CUSTOM:
                ways = [way for way in ways if all((need.group, need.resource) in installed for need in way.needs)]
            needs = [(way, [self._bit(need) for need in way.needs]) for way in ways]
            self._ways.append((power, [(_mask(bits), way, bits) for way, bits in needs]))
        self._contents = self._read()
        self._acting: dict[tuple[Ref, str], Content] = {}
        self._known: dict[tuple[frozenset[Ref], frozenset[Ref]], dict[Power, Reach]] = {}

    def _bit(self, ability: Ability) -> tuple[int, str | None]:
        plain = Ability(ability.verb, ability.resource, ability.group, ability.subresource)
        return self._bits.setdefault(plain, len(self._bits)), ability.name

    def _read(self) -> dict[Ref, Content]:
        everywhere = [0] * len(self._access.rules)
        named: list[dict[int, frozenset[str]]] = [{} for _ in self._access.rules]
        for ability, bit in self._bits.items():
            for rule in self._access.matching_rules(request_of(ability, "", ""), any_name=True):
                names = self._access.rules[rule].names
                if names:
                    named[rule][bit] = frozenset(names)
                else:
                    everywhere[rule] |= 1 << bit
        rules = [Content.of(*pair) for pair in zip(everywhere, named, strict=True)]
        contents: dict[tuple[int, ...], Content] = {}
        found: dict[Ref, Content] = {EVERYTHING: Content.of((1 << len(self._bits)) - 1, {})}
        for role, numbers in self._access.rules_by_role().items():
            known = contents.get(numbers)
            if known is None:
                known = contents[numbers] = joined(rules[number] for number in numbers)
            found[role] = known
        return found

    def content(self, role: Ref) -> Content:
        """That of a role; of one that no binding refers to it is read when first asked for."""
        found = self._contents.get(role)
        if found is None:
            written = self._access.roles.get(role)
            found = self._contents[role] = joined(map(self._of_rule, written.rules if written else ()))
        return found

    def _of_rule(self, rule: PolicyRule) -> Content:
        bits = [bit for ability, bit in self._bits.items() if acts(rule, request_of(ability, "", ""))]
        if rule.names:
            return Content.of(0, dict.fromkeys(bits, frozenset(rule.names)))
        return Content.of(sum(1 << bit for bit in bits), {})

    def acting(self, role: Ref, mode: str) -> Content:
        """What a role lets its holder do *as somebody else* (S-72): the abilities behind `impersonate-on:<mode>:<verb>`."""
        key = (role, mode)
        found = self._acting.get(key)
        if found is None:
            written = self._access.roles.get(role)
            rules = written.rules if written else ()
            found = self._acting[key] = joined(self._acting_of(rule, mode) for rule in rules)
        return found

    def _acting_of(self, rule: PolicyRule, mode: str) -> Content:
        bits = [
            bit
            for ability, bit in self._bits.items()
            if acts(rule, replace(request_of(ability, "", ""), verb=f"impersonate-on:{mode}:{ability.verb}"))
        ]
        if rule.names:
            return Content.of(0, dict.fromkeys(bits, frozenset(rule.names)))
        return Content.of(sum(1 << bit for bit in bits), {})

    @cached_property
    def guards(self) -> int:
        """The abilities that no request asks for by itself: checks inside of others."""
        return sum(1 << bit for ability, bit in self._bits.items() if ability.verb in _GUARDS)

    def of_contents(self, content: Content, *, at_cluster: bool) -> dict[Power, Reach]:
        """The powers of a content that is no role's, at cluster scope or in a namespace."""
        if not content.everywhere and not content.named:
            return {}
        return dict(self._granted(content if at_cluster else EMPTY, content))

    def of(self, at_cluster: frozenset[Ref], here: frozenset[Ref] = frozenset()) -> dict[Power, Reach]:
        """The powers of these roles in a namespace where ``here`` apply besides; without, those at cluster scope."""
        key = (at_cluster, here)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._of(at_cluster, here)
        return found

    def _of(self, at_cluster: frozenset[Ref], here: frozenset[Ref]) -> dict[Power, Reach]:
        wide = joined(self.content(role) for role in at_cluster)
        both = joined([wide, *(self.content(role) for role in here)]) if here else wide
        if not both.everywhere and not both.named:
            return {}
        return dict(self._granted(wide, both))

    def _granted(self, wide: Content, both: Content) -> Iterator[tuple[Power, Reach]]:
        for power, ways in self._ways:
            content = wide if power.scope is Scope.CLUSTER else both
            present = content.present
            held = [(way, bits) for mask, way, bits in ways if present & mask == mask]
            reach = _reach(content, held) if held else ()
            if reach:
                yield power, reach


#: Names by the assumptions that they need; the first entry needs the fewest.
Reach = tuple[tuple[Names, tuple[str, ...]], ...]
EMPTY = Content.of(0, {})


def _mask(bits: Iterable[tuple[int, str | None]]) -> int:
    found = 0
    for bit, _ in bits:
        found |= 1 << bit
    return found


def joined(contents: Iterable[Content]) -> Content:
    everywhere = 0
    named: dict[int, frozenset[str]] = {}
    for content in contents:
        everywhere |= content.everywhere
        for bit, names in content.named.items():
            named[bit] = named[bit] | names if bit in named else names
    return Content.of(everywhere, named)


def _reach(content: Content, ways: Iterable[tuple[Way, list[tuple[int, str | None]]]]) -> Reach:
    by_assumption: dict[tuple[str, ...], Names] = {}
    for way, needs in ways:
        names = _names(content, needs)
        if names is None or names:
            known = by_assumption.get(way.assumes, NOBODY)
            by_assumption[way.assumes] = None if names is None or known is None else known | names
    found: list[tuple[Names, tuple[str, ...]]] = []
    for key in sorted(by_assumption, key=len):
        names = by_assumption[key]
        # Names that are to be had on fewer assumptions are not had on more.
        for less, fewer in found:
            if set(fewer) <= set(key):
                names = NOBODY if less is None else names if names is None else names - less
        if names is None or names:
            found.append((names, key))
    return tuple(found)


def _names(content: Content, needs: Iterable[tuple[int, str | None]]) -> Names:
    """The names for which every need is granted."""
    found: Names = None
    for bit, name in needs:
        if content.everywhere >> bit & 1:
            continue
        granted = content.named.get(bit, NOBODY)
        if name is not None:
            if name not in granted:
                return NOBODY
            continue
        found = granted if found is None else found & granted
        if not found:
            return NOBODY
    return found if found is None else found - {""}
