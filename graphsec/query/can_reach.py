"""May this end open a connection to that one: one packet, answered with the rules that decide on each side."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.algebra.ports import MAX_PORT, MIN_PORT, PROTOCOLS, is_number
from graphsec.compile import World
from graphsec.compile.flows import Amount, Flows
from graphsec.compile.trace import Point, Trace, Trial, trace
from graphsec.errors import UsageError
from graphsec.model.policy import Direction
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Answer, _place
from graphsec.query._ends import End, parse_end
from graphsec.query._flow_needs import flow_answer
from graphsec.query._words import flag

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("ANSWER", "REASON")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEvidence:
    """A rule that decides: the policy, its list (`ingress`), the 0-based index in it, the peer that fits, the line."""

    direction: str
    policy: Ref | None
    rule_index: int = -1
    action: str = "allow"
    field: str = ""
    source: Source | None = None
    #: Instead of a rule: why none is needed, e.g. that no policy selects the pod.
    reason: str = ""

    def __str__(self) -> str:
        if self.policy is None:
            return f"{self.direction}: {self.reason}"
        rule = f" {self.direction}[{self.rule_index}]" if self.rule_index >= 0 else f" ({self.direction})"
        verb = "" if self.action == "allow" else f" {self.action}"
        return f"{self.policy}{rule}{verb}"

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "direction": self.direction,
            "policy": str(self.policy) if self.policy else None,
            "ruleIndex": self.rule_index if self.rule_index >= 0 else None,
            "action": self.action if self.policy else None,
            "peer": self.field or None,
            "source": _place(self.source),
            "reason": self.reason or None,
        }
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDecision:
    """``bool()`` is True for ``allow`` only. ``verdict``: allow, no, conditional (only part of what an end means) or unknown."""

    verdict: str
    reason: str
    because: tuple[FlowEvidence, ...] = ()
    source: str = ""
    destination: str = ""
    protocol: str = "TCP"
    port: int = 0
    traces: tuple[Trace, ...] = field(default=(), repr=False)
    #: `IPv4 only` where the other family, in which both ends have addresses, is denied (N-20).
    family: str = ""

    def __bool__(self) -> bool:
        return self.verdict == "allow"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        return (self.verdict, self.reason)

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "destination": self.destination,
            "protocol": self.protocol,
            "port": self.port,
            "verdict": self.verdict,
            "reason": self.reason,
            "because": [proof.to_dict() for proof in self.because],
        } | ({"family": self.family} if self.family else {})

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (f"{self.source} => {self.destination}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanReach:
    """``source`` and ``destination`` as ``_ends`` reads them."""

    ask: ClassVar[str] = "can-reach"
    source: str
    destination: str
    protocol: str = "TCP"
    port: int

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol `{self.protocol}`", help=f"protocols: {', '.join(PROTOCOLS)}")
        if not is_number(self.port):
            raise UsageError(f"no port: {self.port}", help=f"ports are {MIN_PORT} to {MAX_PORT}")

    def command(self) -> str:
        protocol = flag("--protocol", "" if self.protocol == "TCP" else self.protocol)
        return f"explain {shlex.quote(self.source)} {shlex.quote(self.destination)} --port {self.port}{protocol}"

    def to_dict(self) -> dict[str, Any]:
        return {"source": self.source, "destination": self.destination, "protocol": self.protocol, "port": self.port}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return COLUMNS

    def answer(self, world: World) -> Answer[FlowDecision]:
        return flow_answer(world, self, "reach", lambda: (self._decide(world.flows),))

    def decide(self, world: World) -> FlowDecision:
        answer = self.answer(world)
        return answer.items[0]

    def _decide(self, flows: Flows) -> FlowDecision:
        source, destination = parse_end(self.source, flows), parse_end(self.destination, flows)
        fields: dict[str, Any] = {
            "source": self.source,
            "destination": self.destination,
            "protocol": self.protocol,
            "port": self.port,
        }
        gone = source.gone or destination.gone
        if gone:
            return FlowDecision(verdict="no", reason=gone, **fields)
        pairs = list(_pairs(source, destination))
        if not pairs:
            return FlowDecision(
                verdict="no", reason="the two ends have no address of one family in common (N-20)", **fields
            )
        verdicts = {pair: self._verdict(flows, *pair) for pair in pairs}
        verdict = _joined_verdicts(_by_pods(verdicts))
        shown = next(pair for pair, (found, _) in verdicts.items() if found == _shown(verdict))
        special = verdicts[shown][1]
        if special:
            evidence = (FlowEvidence(direction="both", policy=None, reason=special),)
            return FlowDecision(verdict=verdict, reason=special, because=evidence, **fields)
        traces = self.traces(flows, *shown)
        if verdict == "no" and any(found.verdict == "unknown" for found in traces):
            # A virtual pod is at no address that the input tells.
            verdict = "no" if any(found.verdict == "deny" for found in traces) else "unknown"
        only = _only_family(flows, verdicts) if verdict == "allow" else ""
        reason = (f"over {only}: " if only else "") + "; ".join(side_text(found) for found in traces)
        if verdict == "conditional":
            allowed = sum(found == "allow" for found, _ in verdicts.values())
            reason = f"allowed for {allowed} of {len(verdicts)} kinds of pairs, e.g. {shown[0].label} to {shown[1].label}: {reason}"
        return FlowDecision(
            verdict=verdict,
            reason=reason,
            because=tuple(evidence_of(found) for found in traces),
            traces=traces,
            family=only,
            **fields,
        )

    def traces(self, flows: Flows, source: Point, destination: Point) -> tuple[Trace, ...]:
        """Both sides of one packet."""
        return (
            trace(flows, Direction.EGRESS, source, destination, self.protocol, self.port),
            trace(flows, Direction.INGRESS, destination, source, self.protocol, self.port),
        )

    def _verdict(self, flows: Flows, source: Point, destination: Point) -> tuple[str, str]:
        """(allow, no or unknown; the reason where no policy is asked)."""
        special = exception(flows, source, destination)
        if special and special[0] == "allow":
            return special
        amount = flows.between(source.number, destination.number)
        bit = flows.universe.traffic.bit(self.protocol, self.port)
        if amount.certain & bit:
            return "allow", ""
        if special:
            return special
        return ("unknown", "") if amount.possible & bit else ("no", "")


def exception(flows: Flows, source: Point, destination: Point) -> tuple[str, str] | None:
    """Pairs for which no policy is asked: a pod and itself (N-16a), a node and the pods it hosts (N-15).

    ``unknown`` where the input does not tell the node: what policies allow is allowed all the same.
    """
    if source.pod >= 0 and source.pod == destination.pod and flows.endpoints.replicas[source.pod] == 1:
        return "allow", "a pod always reaches itself on its own address (N-16a)"
    universe = flows.universe
    if not flows.profile.own_node or not universe.pods <= source.number < universe.outside:
        return None
    if not 0 <= destination.number < universe.pods:
        return None
    hosting = flows.endpoints.specs[destination.pod].node_name
    name = flows.endpoints.specs[source.pod].node_name if source.pod >= 0 else source.label.partition("/")[2]
    if hosting and name:
        return (
            ("allow", f"node {name} hosts {destination.label} and always reaches it (N-15)")
            if hosting == name
            else None
        )
    return (
        "unknown",
        f"whether {source.label} runs on the node of {destination.label}, which always reaches it (N-15), is not in the input",
    )


def _pairs(source: End, destination: End) -> Iterator[tuple[Point, Point]]:
    """Pairs of points that differ in class, or are pods of their own; of one family where families are told apart."""
    families = source.flows.universe.families_of
    outside = source.outside or destination.outside
    one_pod = len(source.pods) == 1 and source.pods == destination.pods and not outside
    seen = set()
    for first, second in product(_distinct(source), _distinct(destination)):
        if families[first.number] and families[second.number] and families[first.number] != families[second.number]:
            continue
        alone = first.pod >= 0 and first.pod == second.pod and source.flows.endpoints.replicas[first.pod] == 1
        if alone and not one_pod:
            continue
        key = (first.number, second.number, _node_of(first, source.flows), _node_of(second, source.flows))
        if key not in seen:
            seen.add(key)
            yield first, second


def _distinct(end: End) -> Iterable[Point]:
    """One point, or two where there are several pods, for each kind of class that permissions tell apart, and node."""
    if len(end.points) <= 2:
        return end.points
    counts: dict[tuple[int, str], int] = {}
    kept = []
    for point in end.points:
        key = (int(end.flows.kinds[point.number]), _node_of(point, end.flows))
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= 2:
            kept.append(point)
    return kept


def _node_of(point: Point, flows: Flows) -> str:
    """The node matters only between a host and its pods."""
    if point.pod < 0 or not flows.universe.hosts:
        return ""
    return flows.endpoints.specs[point.pod].node_name or ""


def _by_pods(verdicts: dict[tuple[Point, Point], tuple[str, str]]) -> list[str]:
    """A pair of pods is connected if it is over either family."""
    best: dict[tuple[Any, Any], str] = {}
    order = {"no": 0, "unknown": 1, "allow": 2}
    for (first, second), (verdict, _) in verdicts.items():
        key = (first.pod if first.pod >= 0 else first.number, second.pod if second.pod >= 0 else second.number)
        if order[verdict] >= order[best.get(key, "no")]:
            best[key] = verdict
    return list(best.values())


def _only_family(flows: Flows, verdicts: dict[tuple[Point, Point], tuple[str, str]]) -> str:
    """`IPv4 only` where the other family, in which both ends have addresses, is denied (N-20)."""
    families = flows.universe.families_of
    allowed, all_families = set(), set()
    for (first, second), (verdict, _) in verdicts.items():
        version = max(int(families[first.number]), int(families[second.number]))
        all_families.add(version)
        if verdict == "allow":
            allowed.add(version)
    return "" if allowed == all_families or len(allowed) != 1 else f"IPv{allowed.pop()} only"


def _joined_verdicts(verdicts: list[str]) -> str:
    found = set(verdicts)
    if len(found) == 1:
        return found.pop()
    return "conditional" if "allow" in found else "unknown"


def _shown(verdict: str) -> str:
    return "allow" if verdict == "conditional" else verdict


def side_text(found: Trace) -> str:
    """One side in a sentence: `ingress of prod/web allowed by NetworkPolicy/prod/web ingress[0]`."""
    head = f"{found.direction} of {found.end.label}"
    deciding = found.deciding
    verb = {"allow": "allowed", "deny": "denied", "unknown": "not certain"}[found.verdict]
    if deciding is not None and found.verdict != "unknown":
        return f"{head} {verb} by {deciding.policy} {found.direction}[{deciding.rule}]"
    if found.reason:
        return f"{head} {verb}: {found.reason}"
    last = found.stages[-1]
    names = ", ".join(str(ref) for ref, _ in last.policies[:3]) + (", …" if len(last.policies) > 3 else "")
    if found.verdict == "unknown" and last.decided >= 0:
        tied = ", ".join(dict.fromkeys(str(trial.policy) for trial in last.trials if trial.hit and trial.reached))
        return f"{head} {verb}: which of equal priority is read first is undefined (A-04): {tied}"
    if found.verdict == "unknown":
        maybe = next((trial for trial in last.trials if "maybe" in (trial.peer, trial.port)), None)
        return f"{head} {verb}: {maybe.miss if maybe else 'the input leaves it open'}"
    return f"{head} {verb}: isolated by {names}, no rule matches"


def evidence_of(found: Trace) -> FlowEvidence:
    deciding: Trial | None = found.deciding
    direction = found.direction.value
    if deciding is not None:
        return FlowEvidence(
            direction=direction,
            policy=deciding.policy,
            rule_index=deciding.rule,
            action=deciding.action.value,
            field=deciding.field,
            source=deciding.source,
        )
    if found.verdict == "deny":
        ref, source = found.stages[-1].policies[0]
        return FlowEvidence(
            direction=direction, policy=ref, action="deny", source=source, reason="isolates, and no rule matches"
        )
    return FlowEvidence(direction=direction, policy=None, reason=found.reason or "the input leaves it open")


__all__ = ["Amount", "CanReach", "FlowDecision", "FlowEvidence", "evidence_of", "exception", "side_text"]
