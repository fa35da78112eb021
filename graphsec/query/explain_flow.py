"""Why a connection is allowed or denied: the rules that decide on each side, and how near every other rule came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.compile.trace import Match, Stage, Trace, Trial
from graphsec.query._answer import Answer
from graphsec.query._flow_needs import flow_answer
from graphsec.query.can_reach import CanReach, FlowDecision, FlowEvidence, side_text

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Diagram, Fold, Vertex

COLUMNS = ("SIDE", "TIER", "POLICY", "RULE", "RESULT", "WHERE")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One rule held against the packet, or a policy without rules that isolates."""

    side: str
    tier: str
    policy: str
    rule: str
    #: allows, denies, passes on; isolates; or what missed.
    result: str
    place: str
    decides: bool
    trial: Trial | None
    evidence: FlowEvidence
    #: Of the connection; of this side, "" where no side is asked.
    verdict: str = ""
    side_verdict: str = ""
    family: str = ""

    def row(self, *, wide: bool) -> tuple[str, ...]:
        mark = "→ " if self.decides else ""
        return (self.side, self.tier, self.policy, self.rule, f"{mark}{self.result}", self.place)

    def to_dict(self) -> dict[str, Any]:
        trial = self.trial
        fields: dict[str, Any] = {
            **self.evidence.to_dict(),
            "verdict": self.verdict,
            "sideVerdict": self.side_verdict or None,
            "family": self.family or None,
            "tier": self.tier,
            "decides": self.decides,
            "result": self.result,
            "peerMatches": trial.peer.value if trial else None,
            "portMatches": trial.port.value if trial else None,
            "reached": trial.reached if trial else None,
            "miss": trial.miss or None if trial else None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    @property
    def because(self) -> tuple[FlowEvidence, ...]:
        return (self.evidence,)

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        """The picture is that of the packet, not of single rules."""
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (self.policy,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainFlow:
    """The question behind ``explain FROM TO --port P``."""

    ask: ClassVar[str] = "explain"
    packet: CanReach

    def command(self) -> str:
        return self.packet.command()

    def to_dict(self) -> dict[str, Any]:
        return self.packet.to_dict()

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return COLUMNS

    def decide(self, world: World) -> FlowDecision:
        return self.packet.decide(world)

    def answer(self, world: World) -> Answer[Explanation]:
        decision = self.decide(world)
        answer = flow_answer(world, self, "reach", lambda: tuple(_judged(decision)))
        return replace(answer, picture=partial(packet_picture, world, decision))


def packet_picture(world: World, decision: FlowDecision, answer: Answer[Any], fold: Fold, max_nodes: int) -> Diagram:
    """Both ends and what decides between them."""
    from graphsec.query._flow_picture import PacketPicture

    return PacketPicture(world.flows, decision)(answer, fold, max_nodes)


def _judged(decision: FlowDecision) -> Iterator[Explanation]:
    sides = {found.direction.value: found.verdict for found in decision.traces}
    for item in _items(decision):
        yield replace(item, verdict=decision.verdict, side_verdict=sides.get(item.side, ""), family=decision.family)


def _items(decision: FlowDecision) -> Iterator[Explanation]:
    if not decision.traces:
        evidence = FlowEvidence(direction="both", policy=None, reason=decision.reason)
        yield Explanation(
            side="both", tier="-", policy="-", rule="-", result=f"{decision.verdict}: {decision.reason}", place="-",
            decides=True, trial=None, evidence=evidence,
        )  # fmt: skip
    for found in decision.traces:
        if not found.stages:
            evidence = FlowEvidence(direction=found.direction.value, policy=None, reason=found.reason)
            yield Explanation(
                side=found.direction.value, tier="-", policy="-", rule="-", result=f"allows: {found.reason}", place="-",
                decides=True, trial=None, evidence=evidence,
            )  # fmt: skip
        for stage in found.stages:
            yield from _of_stage(found, stage)


def _of_stage(found: Trace, stage: Stage) -> Iterator[Explanation]:
    direction = found.direction.value
    for position, trial in enumerate(stage.trials):
        decides = position == stage.decided
        evidence = FlowEvidence(
            direction=direction, policy=trial.policy, rule_index=trial.rule, action=trial.action.value,
            field=trial.field, source=trial.source,
        )  # fmt: skip
        yield Explanation(
            side=direction, tier=stage.tier, policy=str(trial.policy), rule=f"{direction}[{trial.rule}]",
            result=_result(trial), place=str(trial.source), decides=decides, trial=trial, evidence=evidence,
        )  # fmt: skip
    judged = {trial.policy for trial in stage.trials}
    for ref, source in stage.policies:
        if ref not in judged:
            evidence = FlowEvidence(
                direction=direction, policy=ref, action=stage.outcome, source=source, reason="has no rule"
            )
            yield Explanation(
                side=direction, tier=stage.tier, policy=str(ref), rule="-", result="selects the pod, has no rule",
                place=str(source), decides=False, trial=None, evidence=evidence,
            )  # fmt: skip
    if stage is found.stages[-1]:
        for stranger in found.strangers:
            result = f"would allow it, but selects no pod: podSelector: {stranger.miss}"
            evidence = FlowEvidence(
                direction=direction,
                policy=stranger.policy,
                rule_index=stranger.rule,
                source=stranger.source,
                reason=result,
            )
            yield Explanation(
                side=direction, tier=stage.tier, policy=str(stranger.policy), rule=f"{direction}[{stranger.rule}]",
                result=result, place=str(stranger.source), decides=False, trial=None, evidence=evidence,
            )  # fmt: skip
    if stage.decided < 0:
        names = ", ".join(str(ref) for ref, _ in stage.policies[:3])
        result = {
            "deny": f"denies: isolated by {names}, no rule matches",
            "pass": "no rule matches: on to the next tier",
            "unknown": "not certain: a rule may match",
            "allow": "allows",
        }[stage.outcome]
        ref, source = stage.policies[0]
        evidence = FlowEvidence(direction=direction, policy=ref, action=stage.outcome, source=source, reason=result)
        yield Explanation(
            side=direction, tier=stage.tier, policy="-", rule="-", result=result, place="-",
            decides=stage.outcome != "pass", trial=None, evidence=evidence,
        )  # fmt: skip


def _result(trial: Trial) -> str:
    verb = {"allow": "allows", "deny": "denies", "pass": "passes on"}[trial.action.value]
    if trial.hit:
        return verb if trial.reached else f"would match ({verb}), a rule before it decides"
    if Match.NO in (trial.peer, trial.port):
        if trial.peer is Match.NO and trial.port is Match.NO:
            return f"peer and port missed: {trial.miss}"
        return f"{'peer' if trial.peer is Match.NO else 'port'} missed: {trial.miss}"
    return f"may match ({verb}): {trial.miss}"


#: Rules told of one side in sentences; the wide table has all.
_SHOWN = 6
_STRANGERS = 3


def text(decision: FlowDecision) -> list[str]:
    """The verdict in sentences; for each side what decides, then the other rules of the deciding tier, the nearest first."""
    head = {"allow": "allowed", "no": "denied", "unknown": "unknown", "conditional": "allowed in part"}[
        decision.verdict
    ]
    family = f", over {decision.family}" if decision.family else ""
    lines = [f"{decision.source} → {decision.destination} {decision.protocol} {decision.port}: {head}{family}"]
    told_below = decision.traces and any(found.verdict == "unknown" for found in decision.traces)
    if not decision.traces or decision.verdict == "conditional" or (decision.verdict == "unknown" and not told_below):
        lines.append(f"  {decision.reason}")
    for found in decision.traces:
        lines += [f"  {side_text(found)}{_place_of(found)}", *_tiers(found), *_misses(found)]
    return lines


def _place_of(found: Trace) -> str:
    deciding = found.deciding
    if deciding is not None:
        peer = f", {deciding.field} fits" if deciding.field else ""
        return f" ({deciding.source}{peer})"
    return f" ({found.stages[-1].policies[0][1]})" if found.stages and found.verdict == "deny" else ""


def _tiers(found: Trace) -> Iterator[str]:
    """The tiers that were passed on the way, where there are several."""
    for stage in found.stages[:-1]:
        passing = stage.trials[stage.decided] if stage.decided >= 0 else None
        by = f"{passing.policy} rule {passing.rule} ({passing.source})" if passing else "no rule matches"
        yield f"    tier {stage.tier}: passed on, {by}"


def _misses(found: Trace) -> Iterator[str]:
    if not found.stages or found.verdict == "allow":
        return
    missed = sorted((trial for trial in found.stages[-1].trials if not trial.hit), key=_distance)
    for trial in missed[:_SHOWN]:
        near = "nearest miss" if trial is missed[0] else "missed"
        name = f"{trial.policy} {found.direction}[{trial.rule}] ({trial.source})"
        yield f"    {near}: {name}: {trial.miss}"
    for stranger in found.strangers[:_STRANGERS]:
        yield (
            f"    would allow it, but selects no pod: {stranger.policy} {found.direction}[{stranger.rule}] "
            f"({stranger.source}): podSelector: {stranger.miss}"
        )
    if len(missed) > _SHOWN:
        yield f"    and {len(missed) - _SHOWN} more rules (-o wide)"


def _distance(trial: Trial) -> tuple[int, int]:
    """How much of a rule would have to change: its peer, its port, and how many labels of the peer."""
    return (trial.peer is not Match.YES) + (trial.port is not Match.YES), trial.miss.count("wanted")


__all__ = ["ExplainFlow", "Explanation", "text"]
