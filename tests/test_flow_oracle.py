"""The compiled flows agree with Kubernetes' own code on every packet and with every table of truth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
from flow_tables import TABLES, Table
from test_flow_reference import SAMPLES, Asked, needs_oracle, oracle, part

import graphsec as gs
from graphsec.model.policy import Direction

#: Calico's switch: everything that the tables hold is read under the default profile, too.
_SIDES = {Direction.EGRESS: "egress", Direction.INGRESS: "ingress"}


def load(objects: list[dict[str, Any]]) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects})


def wrong(asked: Iterator[Asked]) -> list[tuple[Asked, str]]:
    """Packets with another verdict than the oracle's; asked by address, which chooses the family (N-20)."""
    last: tuple[str, gs.World] | None = None
    found = []
    for row in asked:
        if last is None or last[0] != row.world:
            last = (row.world, load(row.objects))
        src, dst, protocol, port, src_ip, dst_ip = row.question
        decision = gs.can_reach(last[1], src_ip or src, dst_ip or dst, protocol=protocol, port=port)
        sides = {trace.direction: trace.verdict == "allow" for trace in decision.traces}
        expected = (row.verdict.allowed, row.verdict.egress, row.verdict.ingress)
        if (bool(decision), sides[Direction.EGRESS], sides[Direction.INGRESS]) != expected:
            found.append((row, decision.reason))
    return found


@needs_oracle
@pytest.mark.parametrize("step", SAMPLES)
def test_oracle(step: int) -> None:
    """The verdict comes from the compiled permissions, each side from the trace that explains it."""
    assert wrong(oracle(step)) == []


def test_part_of_the_oracle() -> None:
    assert wrong(part()) == []


@lru_cache(maxsize=1)
def _world(number: int) -> gs.World:
    return load(TABLES[number].objects)


@pytest.mark.parametrize("number", [pytest.param(number, id=table.id) for number, table in enumerate(TABLES)])
def test_tables(number: int) -> None:
    table: Table = TABLES[number]
    if not table.packets:
        assert table.note
        return
    found = (
        (row, gs.can_reach(_world(number), row.src, row.dst, protocol=row.protocol, port=row.port))
        for row in table.packets
    )
    assert [(row, decision.reason) for row, decision in found if bool(decision) != row.allowed] == []
