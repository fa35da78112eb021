"""Why one side allows or denies a packet: every tier, policy and rule that concerns the end, and how near each rule came.

Recomputed for the pair from the policies that select the end; the compiled permissions are not consulted, so that the two
can be held against each other.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

import numpy as np

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.expressions import AllOf, AnyOf, Expression, Field, LabelTest, Not, matches
from graphsec.compile.classes import Extent
from graphsec.compile.endpoints import named_ports
from graphsec.compile.flows import Flows
from graphsec.compile.policies import Placed, together
from graphsec.model import policy as model
from graphsec.model.policy import Action, Direction, Peer, Rule, Term, Tier
from graphsec.model.ref import Ref, Source


class Match(enum.StrEnum):
    YES = "yes"
    NO = "no"
    #: The input does not tell: an unknown address, a domain name.
    MAYBE = "maybe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One end of a packet: its class, and what it is called and looks like."""

    number: int
    #: Index of the pod; -1 for a node or an address.
    pod: int = -1
    address: int | None = None
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One rule held against the packet."""

    policy: Ref
    rule: int
    action: Action
    peer: Match
    port: Match
    source: Source
    #: What did not fit, in words; "" where all did.
    miss: str = ""
    #: The peer that fits, e.g. `from[0]`.
    field: str = ""
    #: False for a rule behind the one that decided.
    reached: bool = True

    @property
    def hit(self) -> bool:
        return self.peer is Match.YES and self.port is Match.YES


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One tier: the policies of it that select the end, and what came of them."""

    tier: str
    #: allow, deny, pass, unknown, or "" where no policy of the tier selects the end.
    outcome: str
    policies: tuple[tuple[Ref, Source], ...]
    trials: tuple[Trial, ...]
    #: Position in ``trials`` of the rule that decided; -1 where none did.
    decided: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A policy that would allow the packet if it selected the end: the rule, and what of the end does not fit."""

    policy: Ref
    source: Source
    rule: int
    miss: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One side of a connection. ``verdict`` is allow, deny or unknown."""

    direction: Direction
    end: Point
    verdict: str
    stages: tuple[Stage, ...]
    #: Why there is nothing to ask: no policy selects the end, or it has no policy side.
    reason: str = ""
    #: Of a side that is denied: policies of its namespace that would allow the packet, and select no pod at all.
    strangers: tuple[Stranger, ...] = ()

    @property
    def deciding(self) -> Trial | None:
        """The rule that settled the matter, if a rule did."""
        for stage in reversed(self.stages):
            if stage.outcome in ("allow", "deny") and stage.decided >= 0:
                return stage.trials[stage.decided]
        return None


def trace(flows: Flows, direction: Direction, end: Point, other: Point, protocol: str, port: int) -> Trace:
    """The side of ``end`` of a packet between the two; the destination is ``other`` for egress, ``end`` for ingress."""
    return _Tracer(flows, direction, end, other, protocol, port).run()


class _Tracer:
    def __init__(self, flows: Flows, direction: Direction, end: Point, other: Point, protocol: str, port: int) -> None:
        self._flows = flows
        self._universe = flows.universe
        self._direction = direction
        self._end, self._other = end, other
        self._protocol, self._port = protocol, port
        self._destination = other if direction is Direction.EGRESS else end

    def run(self) -> Trace:
        if self._end.number >= self._universe.pods:
            what = "a node" if self._end.number < self._universe.outside else "an address outside the cluster"
            return Trace(
                direction=self._direction,
                end=self._end,
                verdict="allow",
                stages=(),
                reason=f"{what} has no policy side",
            )
        stages: list[Stage] = []
        ends: set[str] = set()
        selecting = self._flows.selecting(self._end.number, self._direction)
        for tier, policies in groupby(selecting, key=attrgetter("tier")):
            stage, outcomes = self._stage(tier, list(policies))
            stages.append(stage)
            ends |= outcomes - {"pass"}
            if "pass" not in outcomes:
                return self._ended(stages, ends)
        return self._ended(stages, ends | {"allow"}, self._open_end(stages))

    def _open_end(self, stages: list[Stage]) -> str:
        """Why traffic that no tier decides is allowed."""
        if not stages:
            return f"no policy selects it for {self._direction}: not isolated"
        if any(stage.outcome == "unknown" for stage in stages):
            return "what may match allows it or passes it on, and no tier behind denies it"
        return "every tier that selects it passes this on"

    def _ended(self, stages: list[Stage], ends: set[str], reason: str = "") -> Trace:
        """``ends`` are the verdicts that the input leaves possible; a side that is not certain is told up to the doubt."""
        certain = len(ends) == 1
        denied = ends == {"deny"}
        if not certain:
            doubt = next(number for number, stage in enumerate(stages) if stage.outcome == "unknown")
            stages, reason = stages[: doubt + 1], ""
        return Trace(
            direction=self._direction,
            end=self._end,
            verdict=next(iter(ends)) if certain else "unknown",
            stages=tuple(stages),
            reason=reason,
            strangers=tuple(self._strangers()) if denied and stages[-1].decided < 0 else (),
        )

    def _strangers(self) -> Iterator[Stranger]:
        """Often the line that one would edit: a label in a podSelector that no pod has. Policies that select pods are meant
        for those."""
        if self._end.pod < 0:
            return
        endpoints = self._flows.endpoints
        namespace = endpoints.refs[self._end.pod].namespace or ""
        labels: Mapping[Field, Mapping[str, str]] = {
            Field.NAMESPACE: self._universe.namespace_labels(namespace),
            Field.OWN: endpoints.labels[self._end.pod],
        }
        for policy in self._flows.policies.in_namespace.get(namespace, ()):
            if self._universe.subjects(policy) != self._universe.masks.empty:
                continue
            trials = self._trials(policy, open_=True) if policy.body.rules(self._direction) else ()
            hit = next((trial for trial in trials if trial.hit and trial.action is Action.ALLOW), None)
            miss = ", ".join(_failing(policy.body.selects.labels, labels))
            if hit is not None and miss:
                yield Stranger(policy=policy.ref, source=policy.source, rule=hit.rule, miss=miss)

    def _holds(self, mask: int, point: Point) -> bool:
        return bool(self._universe.masks.contains(mask, np.array([point.number], np.int32))[0])

    def _stage(self, tier: Tier, policies: list[Placed]) -> tuple[Stage, set[str]]:
        """The tier, and every outcome that the input leaves possible."""
        trials: list[Trial] = []
        decided, outcome = -1, tier.default.value
        unsure: set[str] = set()
        for tied in together(policies):
            hits: list[int] = []
            for policy in tied:
                hit = False
                for trial in self._trials(policy, open_=decided < 0):
                    trials.append(trial if not hit else replace(trial, reached=False))
                    if decided >= 0 or hit:
                        continue
                    if trial.hit:
                        hit = True
                        hits.append(len(trials) - 1)
                    elif Match.NO not in (trial.peer, trial.port):
                        unsure.add(trial.action.value)
            if hits:
                decided = hits[0]
                outcome = trials[decided].action.value
                # Which of equal priority is read first is undefined.
                unsure.update(trials[number].action.value for number in hits)
        outcomes = {outcome, *unsure}
        stage = Stage(
            tier=tier.name,
            outcome=outcome if len(outcomes) == 1 else "unknown",
            policies=tuple((policy.ref, policy.source) for policy in policies),
            trials=tuple(trials),
            decided=decided,
        )
        return stage, outcomes

    def _trials(self, policy: Placed, *, open_: bool) -> Iterator[Trial]:
        """The rules that apply to the end, each held against the packet."""
        for rule in policy.body.rules(self._direction) or ():
            own = self._own(policy, rule)
            if own is not Match.NO:
                trial = self._trial(policy, rule, reached=open_)
                yield self._doubted(trial) if own is Match.MAYBE else trial

    def _own(self, policy: Placed, rule: Rule) -> Match:
        """Whether the rule applies to the end at all."""
        return Match.YES if rule.own is None else self._match(self._universe.peer(rule.own, policy), self._end)

    def _doubted(self, trial: Trial) -> Trial:
        """A rule of which the input does not tell whether it applies to the end."""
        if trial.peer is Match.NO:
            return trial
        miss = f"whether it applies to {self._end.label}, which has no address in the input, cannot be decided (N-12d)"
        return replace(trial, peer=Match.MAYBE, miss="; ".join(filter(None, (miss, trial.miss))))

    def _match(self, extent: Extent, point: Point) -> Match:
        if self._holds(extent.must, point):
            return Match.YES
        return Match.MAYBE if self._holds(extent.may, point) else Match.NO

    # -- one rule -----------------------------------------------------------------------------------------------

    def _trial(self, policy: Placed, rule: Rule, *, reached: bool) -> Trial:
        peer, found, misses = self._peer(policy, rule)
        port, port_miss = self._port_match(rule)
        miss = "; ".join(filter(None, (*(misses if peer is not Match.YES else ()), port_miss)))
        return Trial(
            policy=policy.ref,
            rule=rule.index,
            action=rule.action,
            peer=peer,
            port=port,
            source=policy.rule_source(self._direction, rule),
            miss=miss,
            field=found,
            reached=reached,
        )

    def _peer(self, policy: Placed, rule: Rule) -> tuple[Match, str, list[str]]:
        if rule.peers is None:
            return Match.YES, "", []
        best, misses, where = Match.NO, [], ""
        for peer in rule.peers:
            match = self._match(self._universe.peer(peer, policy), self._other)
            if match is Match.YES:
                return Match.YES, peer.field, []
            if match is Match.MAYBE:
                best, where = Match.MAYBE, peer.field
            misses.append(f"{peer.field or 'peer'}: {self._miss(peer, policy)}")
        if not rule.peers:
            misses.append("no peer of this rule can be read, so it matches none")
        return best, where, misses

    def _port_match(self, rule: Rule) -> tuple[Match, str]:
        ports = rule.ports
        asked = (self._protocol, self._port)
        names = self._names()
        if any(self._is(named, name) for named in ports.without for name in names):
            return Match.NO, f"port {_port(asked)} is excepted by name"
        if asked in ports.numbers:
            return Match.YES, ""
        if any(self._is(named, name) for named in ports.named for name in names):
            return Match.YES, ""
        missing = []
        for named in ports.named:
            numbers = [
                number for name, protocol, number in names if name == named.name and named.protocol in ("", protocol)
            ]
            kind = f" ({named.protocol})" if named.protocol else ""
            if numbers:
                missing.append(
                    f"`{named.name}`{kind} is {', '.join(map(str, sorted(numbers)))} at {self._destination.label}"
                )
            else:
                missing.append(f"{self._destination.label} has no container port named `{named.name}`{kind}")
        if ports.numbers:
            missing.insert(0, f"ports are {ports.numbers}")
        return Match.NO, f"port {_port(asked)} does not match: {'; '.join(missing) or 'the rule has no ports'}"

    def _names(self) -> frozenset[tuple[str, str, int]]:
        index = self._destination.pod
        return named_ports(self._flows.endpoints.specs[index].ports()) if index >= 0 else frozenset()

    def _is(self, named: model.NamedPort, name: tuple[str, str, int]) -> bool:
        text, protocol, number = name
        return (text, protocol, number) == (named.name, self._protocol, self._port) and named.protocol in ("", protocol)

    # -- misses in words ----------------------------------------------------------------------------------------

    def _miss(self, peer: Peer, policy: Placed) -> str:
        """Of the first term that does not fit."""
        for term in peer.terms:
            if self._match(self._universe.extent(term, policy), self._other) is not Match.YES:
                return self._term_miss(term, policy)
        for term in peer.without:
            if self._match(self._universe.extent(term, policy), self._other) is not Match.NO:
                return f"excepts {term_text(term)}"
        return "does not fit"

    def _term_miss(self, term: Term, policy: Placed) -> str:
        other = self._other
        match term:
            case model.Endpoints() if other.pod < 0:
                return f"{term_text(term)} means pods, {other.label} is none"
            case model.Endpoints():
                return self._labels_miss(term, policy)
            case model.Addresses():
                return self._block_miss(term.blocks)
            case model.Domains():
                return f"whether {other.label} is behind {', '.join(term.names)} is not in the input"
            case _:
                return f"{other.label} is not among {term_text(term)}"

    def _labels_miss(self, term: model.Endpoints, policy: Placed) -> str:
        endpoints, other = self._flows.endpoints, self._other
        namespace = endpoints.refs[other.pod].namespace or ""
        if other.number >= self._universe.pods:
            return f"{other.label} is on the host network, which selectors never find"
        if term.own and namespace != policy.ref.namespace:
            return f"means pods of namespace {policy.ref.namespace}, {other.label} is in {namespace}"
        labels: Mapping[Field, Mapping[str, str]] = {
            Field.NAMESPACE: self._universe.namespace_labels(namespace),
            Field.OWN: endpoints.labels[other.pod],
        }
        failed = [*_failing(term.namespaces, labels), *_failing(term.labels, labels)]
        return ", ".join(failed) or f"means {term_text(term)}"

    def _block_miss(self, block: AddressSet) -> str:
        other = self._other
        if other.pod >= 0 and not self._flows.profile.blocks_match_pods:
            return f"blocks match no pods under the profile {self._flows.profile.name} (S-01)"
        if other.pod >= 0 and not self._flows.endpoints.addresses[other.pod]:
            return f"{other.label} has no address in the input, so {_block(block)} cannot be decided (N-12d)"
        return f"{other.label} is not in {_block(block)}"


def _port(asked: tuple[str, int]) -> str:
    return f"{asked[0]} {asked[1]}"


def _block(block: AddressSet) -> str:
    """As a policy would write it: the blocks, or one block without its exceptions where that is shorter."""
    found = list(block.cidrs())
    if len(found) > 2:
        hull = AddressSet(((block.spans[0][0], block.spans[-1][1]),))
        whole, missing = list(hull.cidrs()), list((hull - block).cidrs())
        if len(whole) == 1 and 0 < len(missing) < len(found):
            return f"{whole[0]} except {', '.join(missing[:4])}{', …' if len(missing) > 4 else ''}"
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more blocks" if len(found) > 4 else "")


def term_text(term: Term) -> str:
    """What a term means, in words."""
    match term:
        case model.Endpoints():
            where = (
                "its namespace"
                if term.own
                else f"namespaces with {term.namespaces}"
                if term.namespaces != AllOf()
                else "all namespaces"
            )
            labels = "pods" if term.labels == AllOf() else f"pods with {term.labels}"
            return f"{labels} in {where}"
        case model.Addresses():
            return _block(term.blocks)
        case model.Nodes():
            return f"nodes with {term.labels}" if term.labels != AllOf() else "nodes"
        case model.Domains():
            return ", ".join(term.names)
        case model.Service():
            return f"the pods of Service {term.namespace or '(own namespace)'}/{term.name}"


def _failing(expression: Expression, labels: Mapping[Field, Mapping[str, str]]) -> Iterator[str]:
    """The tests that the labels do not fulfil: `label app is api, not web`."""
    if matches(expression, labels):
        return
    match expression:
        case LabelTest():
            value = labels.get(expression.field, {}).get(expression.key)
            whose = "namespace label" if expression.field is Field.NAMESPACE else "label"
            found = "absent" if value is None else f"`{value}`"
            yield f"{whose} {expression.key} is {found}, wanted {expression}"
        case AllOf(terms):
            for term in terms:
                yield from _failing(term, labels)
        case AnyOf() | Not():
            yield f"labels do not fulfil {expression}"


__all__ = ["Match", "Point", "Stage", "Trace", "Trial", "term_text", "trace"]
