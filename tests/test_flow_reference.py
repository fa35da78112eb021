"""The reference evaluator of policies agrees with Kubernetes' own code and with every table, so that it may judge."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flow_reference import Verdict, calico_selected, can_connect
from flow_tables import CASES, REGRESSIONS, SELECTORS, TABLES, Case, Table, deny_in, of, pod

ROOT = Path(__file__).parents[1]
ORACLE = ROOT.parent / "shared" / "oracle" / "netpol"
PART = ROOT / "fixtures" / "oracle" / "netpol" / "worlds.jsonl"
needs_oracle = pytest.mark.skipif(not ORACLE.is_dir(), reason="the shared oracle is not beside this checkout")

#: Every k-th packet in the default run, every packet under `slow`.
SAMPLES = [pytest.param(20, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)]


class Asked(NamedTuple):
    """One packet of the oracle with its objects. ``question`` is what comes after the objects in ``can_connect``."""

    world: str
    objects: list[dict[str, Any]]
    question: tuple[str, str, str, int, str, str]
    verdict: Verdict


def oracle(step: int) -> Iterator[Asked]:
    worlds = {row["world"]: row["objects"] for row in lines("worlds")}
    for number, row in enumerate(lines("verdicts")):
        if number % step == 0:
            question = (row["src"], row["dst"], row["protocol"], row["port"], row["src_ip"], row["dst_ip"])
            verdict = Verdict(row["egress"], row["ingress"], row["allowed"])
            yield Asked(row["world"], worlds[row["world"]], question, verdict)


def lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(ORACLE / f"{name}.jsonl.gz", "rt") as file:
        yield from map(json.loads, file)


def part() -> Iterator[Asked]:
    """The packets of ``fixtures/oracle/netpol``, whose README names their fields."""
    for world in map(json.loads, PART.read_text().splitlines()):
        for src, dst, src_ip, dst_ip, protocol, port, egress, ingress in world["packets"]:
            verdict = Verdict(egress, ingress, egress and ingress)
            yield Asked(world["world"], world["objects"], (src, dst, protocol, port, src_ip, dst_ip), verdict)


def wrong(asked: Iterator[Asked]) -> list[tuple[Asked, Verdict]]:
    found = ((row, can_connect(row.objects, *row.question)) for row in asked)
    return [(row, verdict) for row, verdict in found if verdict != row.verdict]


@needs_oracle
@pytest.mark.parametrize("step", SAMPLES)
def test_oracle(step: int) -> None:
    assert wrong(oracle(step)) == []


def test_part_of_the_oracle() -> None:
    assert len({row.world for row in part()}) == 16
    assert wrong(part()) == []


@needs_oracle
def test_the_part_is_unchanged() -> None:
    known = {(row.world, row.question): row.verdict for row in oracle(1)}
    assert [row for row in part() if known[row.world, row.question] != row.verdict] == []


@pytest.mark.parametrize("table", [pytest.param(table, id=table.id) for table in TABLES])
def test_tables(table: Table) -> None:
    found = ((row, can_connect(table.objects, row.src, row.dst, row.protocol, row.port)) for row in table.packets)
    assert [(row, verdict) for row, verdict in found if verdict.allowed != row.allowed] == []


def test_every_upstream_spec_and_every_regression_has_a_table() -> None:
    """A table without a connection says why."""
    assert {case.id.split(".")[0] for case in CASES} == {f"E-{number:02}" for number in range(1, 49)}
    assert {f"R-{number:02}" for number in range(1, 27)} <= {table.id for table in REGRESSIONS}
    assert len({table.id for table in TABLES}) == len(TABLES)
    assert all(table.packets or table.note for table in TABLES)


def test_a_later_exception_overrides_an_earlier_one() -> None:
    case = Case("E", ("x/a", "x/b", "y/a"), [], ("TCP", 80), [("*", "x/*", False), ("x/b", "x/a", True)], ())
    asked = {(row.src, row.dst): row.allowed for row in case.table().packets}
    assert asked["x/b", "x/a"]
    assert not asked["y/a", "x/b"]
    assert asked["x/a", "y/a"]
    assert ("x/a", "x/a") not in asked


@pytest.mark.parametrize(("selector", "labels", "selected"), SELECTORS)
def test_calico_selectors(selector: str, labels: dict[str, str], selected: bool) -> None:
    """CA-09."""
    assert calico_selected(labels, selector=selector) == selected


def test_a_direction_without_policy_side_is_true() -> None:
    objects = [of("a", 1), deny_in({})]
    assert can_connect(objects, "198.51.100.7", "x/a", "TCP", 80) == Verdict(egress=True, ingress=False, allowed=False)
    assert can_connect(objects, "x/a", "198.51.100.7", "TCP", 80) == Verdict(egress=True, ingress=True, allowed=True)
    assert can_connect(objects, "198.51.100.7", "198.51.100.8", "TCP", 80).allowed


def test_a_pod_reaches_itself() -> None:
    """N-16a, by its name and by its address; the e2e tables leave loopback out."""
    objects = [of("a", 1), deny_in({})]
    assert can_connect(objects, "x/a", "x/a", "TCP", 80).allowed
    assert can_connect(objects, "x/a", "10.2.0.1", "TCP", 80).allowed


def test_a_finished_pod_leaves_its_address_to_others() -> None:
    """N-18a."""
    job = {**of("job", 2), "status": {"phase": "Failed", "podIP": "10.2.0.2"}}
    assert can_connect([of("a", 1), job], "x/a", "x/job", "TCP", 80) == Verdict(
        egress=False, ingress=False, allowed=False
    )
    assert can_connect([of("a", 1), job], "x/a", "10.2.0.2", "TCP", 80).allowed


def test_the_addresses_asked_choose_the_family() -> None:
    """N-20."""
    a, b = (pod(f"x/{name}", labels={"app": name}) for name in "ab")
    a["status"] = {"podIPs": [{"ip": "10.2.0.1"}, {"ip": "fd00:2::1"}]}
    b["status"] = {"podIPs": [{"ip": "10.2.0.2"}, {"ip": "fd00:2::2"}]}
    policy = deny_in({"matchLabels": {"app": "b"}})
    policy["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
    objects = [a, b, policy]
    assert can_connect(objects, "x/a", "x/b", "TCP", 80, "10.2.0.1", "10.2.0.2").allowed
    assert not can_connect(objects, "x/a", "x/b", "TCP", 80, "fd00:2::1", "fd00:2::2").allowed
    assert not can_connect(objects, "x/a", "fd00:2:0::2", "TCP", 80).allowed
    assert can_connect(objects, "x/a", "x/b", "TCP", 80).allowed


def test_blocks_that_do_not_match_pods() -> None:
    """S-01 as some networks have it: addresses outside are matched as ever."""
    [table] = (table for table in REGRESSIONS if table.id == "N-12b")
    assert not can_connect(table.objects, "x/a", "x/b", "TCP", 80, blocks_match_pods=False).allowed
    assert can_connect(table.objects, "x/a", "10.2.0.9", "TCP", 80, blocks_match_pods=False).allowed
