"""The rules that allow traffic between two classes, from what is kept with the permissions (decision 0013)."""

from __future__ import annotations

from collections.abc import Iterator

from graphsec.compile.flows import Flows
from graphsec.compile.trace import Point
from graphsec.model.policy import Direction
from graphsec.query.can_reach import FlowEvidence


def allowing(
    flows: Flows, direction: Direction, subject: Point, peer: Point, traffic: int = -1
) -> Iterator[FlowEvidence]:
    """The rules of one side that allow some of the traffic, under the first reading; or why none is needed.

    Nothing for nodes and addresses, which have no side of their own.
    """
    if subject.number >= flows.universe.pods:
        return
    selecting = flows.selecting(subject.number, direction)
    for entry in flows.entries_between(direction, subject.number, peer.number):
        if not entry.traffic & traffic:
            continue
        if not entry.rules:
            yield FlowEvidence(direction=direction.value, policy=None, reason=open_reason(flows, direction, subject))
        positions = flows.rules_of(entry)
        for placed in selecting:
            for position in positions.get(placed.ref, ()):
                rule = (placed.body.rules(direction) or ())[position]
                yield FlowEvidence(
                    direction=direction.value,
                    policy=placed.ref,
                    rule_index=rule.index,
                    action=rule.action.value,
                    source=placed.rule_source(direction, rule),
                )


def open_reason(flows: Flows, direction: Direction, subject: Point) -> str:
    """Why an end is open without a rule that allows it."""
    if flows.selecting(subject.number, direction):
        return f"the policies that select {subject.label} leave this to the default, which allows"
    return f"no {direction} policy selects {subject.label}"
