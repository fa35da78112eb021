"""Ordered policies become permissions: (subjects, peers, traffic) per direction, whose union is what one side allows.

Tiers are solved by the first match, once for all classes to which the same policies apply. A tier of allow rules alone,
which NetworkPolicy is, needs no order: each of its rules is a permission as it stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphsec.compile.classes import Extent, Universe
from graphsec.compile.masks import Ids
from graphsec.compile.policies import Placed, Policies, together
from graphsec.model.policy import Action, Direction, Rule, Tier

#: Traffic and peers (a bit for each class) that no rule has decided yet. Pieces of one state never overlap in both.
Piece = tuple[int, int]
#: Number of a policy, and the position of one of its rules.
RuleKey = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read what the input leaves open, such as unknown addresses (N-12d) and the order of equal priorities (A-04):
    against what is asked for, or ``generous``."""

    generous: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """Subjects may exchange this traffic with the peers, as far as this side is concerned; masks of classes."""

    subjects: int
    peers: int
    traffic: int
    #: The rules that allow it; () where no policy says anything.
    rules: tuple[RuleKey, ...]


@dataclass(slots=True)
class _Ledger:
    """Permissions with equal peers and traffic are one."""

    subjects: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    rules: dict[tuple[int, int], dict[RuleKey, None]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, subjects: int, peers: int, traffic: int, rule: RuleKey | None) -> None:
        key = (peers, traffic)
        self.subjects[key].append(subjects)
        if rule is not None:
            self.rules[key][rule] = None


@dataclass(frozen=True, slots=True)
class _State:
    """Subjects whose traffic has come through the tiers so far to the same extent."""

    subjects: int
    pieces: tuple[Piece, ...]


@dataclass(slots=True)
class _Outcome:
    """What became of pieces: some are settled, ``open`` are for the policies behind, and of the ``doubtful`` a Pass may
    have matched, so that what is allowed or passed on there is certain only if the next tier allows it."""

    open: list[Piece]
    doubtful: list[Piece] = field(default_factory=list)
    allowed: list[tuple[RuleKey, Piece]] = field(default_factory=list)
    passed: list[Piece] = field(default_factory=list)
    denied: list[Piece] = field(default_factory=list)

    def take(self, action: Action, rule: RuleKey, traffic: int, gain: int, lose: int) -> None:
        """One rule: it matches for the peers ``gain``, and keeps ``lose`` from the rules behind it."""
        hits, rest = _split(self.open, traffic, gain, lose)
        if action is Action.PASS:
            self.doubtful = self.doubtful + _split(self.open, traffic, lose & ~gain, 0)[0]
        if action is Action.DENY:
            self.denied += _split(self.open, traffic, gain | lose, 0)[0]
        self.open = rest
        taken, self.doubtful = _split(self.doubtful, traffic, gain, lose if action is Action.DENY else gain)
        if action is not Action.DENY:
            self.passed += taken
        if action is Action.PASS:
            self.passed += hits
        elif action is Action.ALLOW:
            self.allowed += [(rule, piece) for piece in _merged(hits)]


class Solver:
    """Solves one direction of one reading."""

    def __init__(self, universe: Universe, policies: Policies, direction: Direction, reading: Reading) -> None:
        self._universe = universe
        self._masks = universe.masks
        self._placed = policies.placed
        self._direction = direction
        self._reading = reading
        self._tiers = list(policies.tiers(direction))
        self._ledger = _Ledger()
        self._intersections: dict[tuple[int, int], int] = {}
        self._full: tuple[Piece, ...] = ((universe.traffic.all, self._masks.bits(self._masks.whole)),)

    def entries(self) -> list[Entry]:
        states = [_State(self._universe.all_pods, self._full)]
        for tier, numbers in self._tiers:
            selected = {number: self._universe.subjects(self._placed[number]) for number in numbers}
            if tier.default is Action.DENY and all(self._allows_only(number) for number in numbers):
                states = self._unordered(states, selected)
            else:
                states = self._ordered(states, tier, selected)
        for state in states:
            for traffic, peers in state.pieces:
                self._ledger.add(state.subjects, self._masks.add_bits(peers), traffic, None)
        self._add_outside()
        return list(self._by_family())

    def _rules(self, number: int) -> tuple[Rule, ...]:
        return self._placed[number].body.rules(self._direction) or ()

    def _allows_only(self, number: int) -> bool:
        return all(rule.action is Action.ALLOW for rule in self._rules(number))

    # -- allow rules alone --------------------------------------------------------------------------------------

    def _unordered(self, states: list[_State], selected: dict[int, int]) -> list[_State]:
        if len(states) == 1:
            every = states[0].subjects == self._universe.all_pods
            for number, subjects in selected.items():
                those = subjects if every else self._masks.intersection(subjects, states[0].subjects)
                self._allow_rules(number, those, states[0])
        else:
            state_of = np.full(self._universe.pods, -1, np.int32)
            for position, state in enumerate(states):
                state_of[self._masks.ids(state.subjects)] = position
            for number, subjects in selected.items():
                for position, those in self._parts(subjects, state_of):
                    self._allow_rules(number, those, states[position])
        applied = self._masks.union(selected.values())
        remaining = [_State(self._masks.difference(state.subjects, applied), state.pieces) for state in states]
        return [state for state in remaining if state.subjects != self._masks.empty]

    def _parts(self, subjects: int, state_of: Ids) -> Iterator[tuple[int, int]]:
        """(state, subjects in it)."""
        ids = self._masks.ids(subjects)
        positions = state_of[ids]
        for position in np.unique(positions).tolist():
            if position >= 0:
                yield position, self._masks.add(ids[positions == position])

    def _allow_rules(self, number: int, subjects: int, state: _State) -> None:
        if subjects == self._masks.empty:
            return
        policy = self._placed[number]
        for position, rule in enumerate(self._rules(number)):
            peers = self._gain(self._universe.peers(rule.peers, policy))
            for traffic, those, ends in self._variants(rule, policy, subjects, peers):
                if state.pieces is self._full:
                    self._allow(those, ends, traffic, (number, position))
                    continue
                for open_traffic, open_peers in state.pieces:
                    if traffic & open_traffic:
                        both = self._intersection(ends, open_peers)
                        self._allow(those, both, traffic & open_traffic, (number, position))

    def _intersection(self, ends: int, open_peers: int) -> int:
        key = (ends, open_peers)
        known = self._intersections.get(key)
        if known is None:
            known = self._intersections[key] = self._masks.intersection(ends, self._masks.add_bits(open_peers))
        return known

    def _allow(self, subjects: int, peers: int, traffic: int, rule: RuleKey) -> None:
        if traffic and self._masks.empty not in (subjects, peers):
            self._ledger.add(subjects, peers, traffic, rule)

    def _variants(self, rule: Rule, policy: Placed, subjects: int, peers: int) -> Iterator[tuple[int, int, int]]:
        """(traffic, subjects, peers): named ports are those of the destination, whichever side that is (N-09a)."""
        if rule.own is not None:
            subjects = self._masks.intersection(subjects, self._gain(self._universe.peer(rule.own, policy)))
        for traffic, destinations in self._universe.port_bits(rule.ports):
            if destinations is None:
                yield traffic, subjects, peers
            elif self._direction is Direction.EGRESS:
                yield traffic, subjects, self._masks.intersection(peers, destinations)
            else:
                yield traffic, self._masks.intersection(subjects, destinations), peers

    def _gain(self, extent: Extent) -> int:
        """Ends for which a rule is taken to match, where matching is what adds."""
        return extent.may if self._reading.generous else extent.must

    def _lose(self, extent: Extent, action: Action) -> int:
        """Ends that a rule is taken to keep from the rules behind it.

        An Allow that may not match takes nothing from them: where one of them allows too, the end is allowed either way.
        """
        return extent.must if self._reading.generous or action is Action.ALLOW else extent.may

    # -- first match --------------------------------------------------------------------------------------------

    def _ordered(self, states: list[_State], tier: Tier, selected: dict[int, int]) -> list[_State]:
        following: dict[tuple[Piece, ...], list[int]] = defaultdict(list)
        for state in states:
            for subjects, marks in self._groups(state, selected):
                applying = [number for number, mask in selected.items() if mask in marks]
                pieces = self._first_match(subjects, marks, applying, state.pieces, tier)
                if pieces:
                    following[pieces].append(subjects)
        return [
            _State(self._masks.union(subjects), self._full if pieces == self._full else pieces)
            for pieces, subjects in following.items()
        ]

    def _groups(self, state: _State, selected: dict[int, int]) -> Iterator[tuple[int, frozenset[int]]]:
        """The subjects by everything of the tier that tells them apart: (subjects, the masks that hold them)."""
        ids = self._masks.ids(state.subjects)
        numbers = np.zeros(len(ids), np.int64)
        marks: list[frozenset[int]] = [frozenset()]
        for mask in dict.fromkeys(self._telling(selected)):
            inside = self._masks.contains(mask, ids)
            found, new = np.unique(numbers[inside], return_inverse=True)
            if len(found):
                numbers[inside] = len(marks) + new
                marks.extend(marks[number] | {mask} for number in found.tolist())
        for number in np.unique(numbers).tolist():
            yield self._masks.add(ids[numbers == number]), marks[number]

    def _telling(self, selected: dict[int, int]) -> Iterator[int]:
        yield from selected.values()
        for number in selected:
            policy = self._placed[number]
            for rule in self._rules(number):
                if rule.own is not None:
                    own = self._universe.peer(rule.own, policy)
                    yield from (own.must, own.may)
                if self._direction is Direction.INGRESS:
                    yield from (mask for _, mask in self._universe.port_bits(rule.ports) if mask is not None)

    def _first_match(
        self, subjects: int, marks: frozenset[int], applying: Sequence[int], pieces: Iterable[Piece], tier: Tier
    ) -> tuple[Piece, ...]:
        """Allows what the rules allow; gives what goes on to the next tier."""
        passed: list[Piece] = []
        left = _Outcome(open=list(pieces))
        numbers = {id(self._placed[number]): number for number in applying}
        for tied in together(self._placed[number] for number in applying):
            outcomes = [self._policy(numbers[id(policy)], marks, left.open, left.doubtful) for policy in tied]
            left = outcomes[0] if len(outcomes) == 1 else self._in_any_order(outcomes)
            for rule, (traffic, peers) in left.allowed:
                self._allow(subjects, self._masks.add_bits(peers), traffic, rule)
            passed += left.passed
        if not applying or tier.default is Action.PASS:
            passed += left.open + left.doubtful
        return _merged(passed)

    def _policy(self, number: int, marks: frozenset[int], open_pieces: list[Piece], doubtful: list[Piece]) -> _Outcome:
        """What the rules of one policy make of the pieces."""
        policy = self._placed[number]
        out = _Outcome(open=open_pieces, doubtful=doubtful)
        for position, rule in enumerate(self._rules(number)):
            gain, lose = self._matching(rule, policy, marks)
            if not gain | lose:
                continue
            for traffic, destinations in self._universe.port_bits(rule.ports):
                at_peers = destinations is not None and self._direction is Direction.EGRESS
                if destinations is not None and not at_peers and destinations not in marks:
                    continue
                only = self._masks.bits(destinations) if destinations is not None and at_peers else -1
                out.take(rule.action, (number, position), traffic, gain & only, lose & only)
        return out

    def _in_any_order(self, outcomes: list[_Outcome]) -> _Outcome:
        """Of policies of which nobody knows which is read first (A-04): what is so in every order, or in some."""
        allowed = [pair for outcome in outcomes for pair in outcome.allowed]
        passed = [piece for outcome in outcomes for piece in outcome.passed]
        denied = [piece for outcome in outcomes for piece in outcome.denied]
        doubtful = [piece for outcome in outcomes for piece in outcome.doubtful]
        open_pieces = outcomes[0].open
        for outcome in outcomes[1:]:
            open_pieces = _common(open_pieces, outcome.open)
        if not self._reading.generous:
            # What one allows and another passes on is certain if the next tier allows it.
            passed = _without(passed, denied)
            contested = [*denied, *passed, *doubtful]
            allowed = [(rule, kept) for rule, piece in allowed for kept in _without([piece], contested)]
            settled = [*denied, *passed, *(piece for _, piece in allowed)]
            doubtful = _without(doubtful, settled)
        return _Outcome(open=open_pieces, doubtful=doubtful, allowed=allowed, passed=passed, denied=denied)

    def _matching(self, rule: Rule, policy: Placed, marks: frozenset[int]) -> tuple[int, int]:
        """The peers that a rule gains, and those that it takes from the rules behind it, for the subjects with the marks."""
        extent = self._universe.peers(rule.peers, policy)
        gain, lose = self._gain(extent), self._lose(extent, rule.action)
        if rule.own is not None:
            own = self._universe.peer(rule.own, policy)
            gain = gain if self._gain(own) in marks else self._masks.empty
            lose = lose if self._lose(own, rule.action) in marks else self._masks.empty
        return self._masks.bits(gain), self._masks.bits(lose)

    # -- ends without policies ----------------------------------------------------------------------------------

    def _add_outside(self) -> None:
        """Nodes and addresses have no side of their own; traffic between two addresses is not the cluster's."""
        universe, masks = self._universe, self._masks
        every = universe.traffic.all
        if universe.hosts:
            self._ledger.add(universe.all_hosts, masks.whole, every, None)
        inside = masks.union((universe.all_pods, universe.all_hosts))
        self._ledger.add(universe.all_outside, inside, every, None)

    def _by_family(self) -> Iterator[Entry]:
        """The permissions, each with the traffic of the families that its subjects have addresses of."""
        for (peers, traffic), parts in self._ledger.subjects.items():
            subjects = self._masks.union(parts)
            rules = tuple(self._ledger.rules.get((peers, traffic), ()))
            if not self._universe.families:
                yield Entry(subjects, peers, traffic, rules)
                continue
            ids = self._masks.ids(subjects)
            families = self._universe.families_of[ids]
            for family in np.unique(families).tolist():
                kept: Ids = ids[families == family]
                narrowed = traffic & self._universe.traffic.family(family)
                if narrowed:
                    yield Entry(self._masks.add(kept), peers, narrowed, rules)


def _split(pieces: list[Piece], traffic: int, gain: int, lose: int) -> tuple[list[Piece], list[Piece]]:
    """(what a rule matches, what it leaves open)."""
    hits, rest = [], []
    for open_traffic, peers in pieces:
        common = open_traffic & traffic
        if not common or not peers & (gain | lose):
            rest.append((open_traffic, peers))
            continue
        if peers & gain:
            hits.append((common, peers & gain))
        if open_traffic & ~common:
            rest.append((open_traffic & ~common, peers))
        if peers & ~lose:
            rest.append((common, peers & ~lose))
    return hits, rest


def _without(pieces: list[Piece], taken: Iterable[Piece]) -> list[Piece]:
    for traffic, peers in taken:
        pieces = _split(pieces, traffic, 0, peers)[1]
    return pieces


def _common(pieces: list[Piece], others: list[Piece]) -> list[Piece]:
    return [
        (traffic & other_traffic, peers & other_peers)
        for traffic, peers in pieces
        for other_traffic, other_peers in others
        if traffic & other_traffic and peers & other_peers
    ]


def _merged(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """The same in fewer pieces, in an order that depends on their content alone."""
    by_traffic: dict[int, int] = defaultdict(int)
    for traffic, peers in pieces:
        by_traffic[traffic] |= peers
    by_peers: dict[int, int] = defaultdict(int)
    for traffic, peers in by_traffic.items():
        by_peers[peers] |= traffic
    return tuple(sorted((traffic, peers) for peers, traffic in by_peers.items()))
