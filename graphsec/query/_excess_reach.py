"""How far subjects get by attacks: what O1 and O2 say, and the worst sink that the severity of every sense rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import get_args

from graphsec.compile import CLUSTER as AT_CLUSTER
from graphsec.compile import World
from graphsec.compile.attacks.drawing import DEAR, EVERYTHING, parse_role
from graphsec.model.attack import ALL_SECRETS, CLUSTER, SOME_NODE, Fact, FactKind
from graphsec.model.rbac import Request
from graphsec.model.ref import Ref
from graphsec.query._answer import Deferred
from graphsec.query._attack_ends import End, start
from graphsec.query._attack_reach import Reached, reaching
from graphsec.query._holdings import Holdings
from graphsec.query._severities import SEVERITIES, Severity
from graphsec.query.paths import CONDITIONAL, PROVED, AttackPath, Search

K = FactKind
#: Sinks with the severity of reaching them for certain, worst first.
SINKS: tuple[tuple[End, Severity], ...] = (
    (End("cluster-admin", (CLUSTER,)), "critical"),
    (End("a node", (SOME_NODE,)), "high"),
    (End("every Secret of the cluster", (ALL_SECRETS,)), "high"),
    (End("every Secret of kube-system", (Fact(K.SECRETS, "", "kube-system"),)), "high"),
)
#: What counts as gained, worst first.
_GAINS = (
    K.NODES, K.NODE, K.NODE_IDENTITY, K.CLOUD, K.SECRETS, K.GRANT, K.COMPOUND, K.GROUP, K.USER, K.ACCOUNT, K.SECRET,
)  # fmt: skip
_ORDER = {kind: place for place, kind in enumerate(_GAINS)}
_READS = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Sink:
    """The worst that a subject reaches."""

    text: str
    severity: Severity
    verdict: str
    reached: Reached
    end: End


@dataclass(frozen=True, slots=True)
class Gained:
    """What follows beyond what was granted. ``nearest`` is the fact that the shown path leads to."""

    verdict: str
    facts: tuple[Fact, ...]
    size: int


def lowered(severity: Severity) -> Severity:
    return _moved(severity, -1)


def raised(severity: Severity) -> Severity:
    return _moved(severity, 1)


def _moved(severity: Severity, by: int) -> Severity:
    """Never below low: reaching something is no mere information."""
    place = SEVERITIES.index(severity) + by
    levels: tuple[Severity, ...] = get_args(Severity)
    return levels[min(max(place, 1), len(levels) - 1)]


def _sink(end: End, severity: Severity, reached: Reached) -> Sink:
    """Reaching it under conditions is worth a step less."""
    worth = severity if reached.proved else lowered(severity)
    return Sink(end.text, worth, PROVED if reached.proved else CONDITIONAL, reached, end)


class Reaches:
    """The closures of many subjects in one attack graph: each sink once for all of them."""

    def __init__(self, world: World, holdings: Holdings, subjects: Sequence[Ref]) -> None:
        self._world = world
        self._holdings = holdings
        self._search = Search(world)
        self._starts = {subject: start(str(subject), world, self._search.graph) for subject in subjects}
        self._readers_of: dict[str, frozenset[int]] = {}
        self._gained: dict[Ref, Gained | None] = {}

    @cached_property
    def _reached(self) -> list[dict[Ref, Reached]]:
        """For each of ``SINKS`` who gets there."""
        subject_of = {given: subject for subject, given in self._starts.items()}
        graph = self._search.graph
        return [
            {subject_of[reached.start]: reached for reached in reaching(graph, self._starts.values(), end)}
            for end, _ in SINKS
        ]

    def sink(self, subject: Ref) -> Sink | None:
        """The worst that the subject reaches, None for none of ``SINKS``."""
        found = [
            _sink(end, severity, reached[subject])
            for (end, severity), reached in zip(SINKS, self._reached, strict=True)
            if subject in reached
        ]
        return max(found, key=lambda sink: SEVERITIES.index(sink.severity), default=None)

    def admin(self, subject: Ref) -> Sink | None:
        """How the subject reaches full authority (O1), None if it does not."""
        reached = self._reached[0].get(subject)
        return None if reached is None else _sink(*SINKS[0], reached)

    def path(self, sink: Sink) -> Sequence[AttackPath]:
        """The proof of a sink, made when first looked at."""
        return Deferred(1, lambda: (self._search.path(sink.reached.start, sink.end, sink.reached.proof),))

    def path_to(self, subject: Ref, fact: Fact) -> Sequence[AttackPath]:
        return Deferred(1, partial(self._path_to, subject, fact))

    def _path_to(self, subject: Ref, fact: Fact) -> tuple[AttackPath, ...]:
        found = self._search.paths(self._starts[subject], End(str(fact), (fact,)))
        return tuple(found)

    def holds_everything(self, subject: Ref) -> bool:
        """Whether full authority was granted as such, so that nothing can be gained (rbac.md S-62)."""
        return self._holdings.covers(self._holdings.effective(subject), EVERYTHING, AT_CLUSTER)

    def gained(self, subject: Ref) -> Gained | None:
        """What the closure of a subject adds to its effective permissions (O2), None for nothing.

        Follows what is certain first. A closure is followed as far as it goes, but never through full authority, from which
        everything follows.
        """
        if subject not in self._gained:
            self._gained[subject] = self._gain(subject)
        return self._gained[subject]

    def _gain(self, subject: Ref) -> Gained | None:
        horn = self._search.graph.horn
        numbers = [number for fact in self._starts[subject].facts if (number := self._search.number(fact)) >= 0]
        admin = self.admin(subject)
        if admin is not None and admin.verdict == PROVED:
            return None if self.holds_everything(subject) else Gained(PROVED, (CLUSTER,), 0)
        for verdict, below in ((PROVED, DEAR), (CONDITIONAL, 0)):
            if verdict == CONDITIONAL and admin is not None:
                return Gained(CONDITIONAL, (CLUSTER,), 0)
            reached = horn.closure(numbers, weight_below=below) if below else horn.closure(numbers)
            new = [horn.facts[number] for number in reached if horn.facts[number].kind in _ORDER]
            new = self._new(subject, new)
            if new:
                new.sort(key=lambda fact: (_ORDER[fact.kind], fact))
                return Gained(verdict, tuple(new), len(new))
        return None

    # -- what is new --------------------------------------------------------------------------------------------

    def _new(self, subject: Ref, facts: Iterable[Fact]) -> list[Fact]:
        found = dict.fromkeys(fact for fact in facts if self._is_new(subject, fact))
        whole = {fact.namespace for fact in found if fact.kind is K.SECRETS}
        # Of a whole namespace or cluster the single ones are no news.
        return [fact for fact in found if not self._is_within(fact, found, whole)]

    def _is_within(self, fact: Fact, found: Mapping[Fact, None], whole: set[str]) -> bool:
        if fact.kind is K.SECRET:
            return "" in whole or fact.namespace in whole
        if fact.kind is K.SECRETS and fact.namespace:
            return "" in whole
        return fact.kind is K.NODE and (not fact.name or Fact(K.NODES) in found)

    def _is_new(self, subject: Ref, fact: Fact) -> bool:
        if fact in self._starts[subject].facts:
            return False
        if fact.kind in (K.SECRETS, K.SECRET):
            return not self._reads(subject, fact)
        if fact.kind in (K.NODES, K.NODE, K.NODE_IDENTITY, K.CLOUD):
            return True
        held = self._holdings.effective(subject)
        return any(not self._holdings.covers(held, role, scope) for scope, role in self._roles_of(fact))

    def _roles_of(self, fact: Fact) -> Iterator[tuple[str, Ref]]:
        """(scope, role) of everything that an identity holds by itself; its groups are facts of their own."""
        if fact.kind is K.GRANT:
            yield fact.namespace, parse_role(fact.name)
            return
        if fact.kind is K.COMPOUND:
            principals: tuple[Ref, ...] = self._search.graph.drawing.compounds.get(fact, ())
        else:
            principals = (Ref(fact.kind.value, fact.name, fact.namespace or None),)
        for principal in principals:
            yield from self._holdings.roles(principal)

    def _reads(self, subject: Ref, fact: Fact) -> bool:
        """Whether reading these Secrets was granted as such."""
        held = self._holdings.effective(subject)
        contents = held.get(AT_CLUSTER, frozenset()) | held.get(fact.namespace, frozenset())
        return not contents.isdisjoint(self._readers(fact.name))

    def _readers(self, name: str) -> frozenset[int]:
        """The contents that allow reading Secrets, all of them or those of a name."""
        found = self._readers_of.get(name)
        if found is None:
            access = self._world.access
            requests = [Request(verb=verb, resource="secrets", name=name) for verb in _READS]
            rules = {rule for request in requests for rule in access.matching_rules(request)}
            found = self._readers_of[name] = self._holdings.with_rules(rules)
        return found


__all__ = ["CONDITIONAL", "PROVED", "Gained", "Reaches", "Sink", "lowered", "raised"]
