"""The reference evaluator agrees with Kubernetes' own code, so that it may judge the engine."""

from __future__ import annotations

import gzip
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import reference

ORACLE = Path(__file__).parents[2] / "shared" / "oracle" / "rbac"
pytestmark = pytest.mark.skipif(not ORACLE.is_dir(), reason="the shared oracle is not beside this checkout")

#: Every k-th line in the default run, every line under `slow`. 7 shares no factor with the generator's batches.
SAMPLES = [pytest.param(7, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)]


def lines(name: str, step: int) -> list[dict[str, Any]]:
    with gzip.open(ORACLE / f"{name}.jsonl.gz", "rt") as file:
        return [json.loads(line) for number, line in enumerate(file) if number % step == 0]


def by_cluster(name: str, step: int) -> list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    clusters = {line["cluster"]: line["objects"] for line in lines("clusters", 1)}
    rows = groupby(lines(name, step), key=lambda row: row["cluster"])
    return [(clusters[cluster], list(asked)) for cluster, asked in rows]


@pytest.mark.parametrize("step", SAMPLES)
def test_verdicts(step: int) -> None:
    wrong = [
        row
        for objects, rows in by_cluster("verdicts", step)
        for row in rows
        if reference.can(objects, row["user"], row["groups"], row) != row["allowed"]
    ]
    assert wrong == []


@pytest.mark.parametrize("step", SAMPLES)
def test_reasons(step: int) -> None:
    """Kubernetes names the first witness in its own order; it must be among ours."""
    wrong = [
        row
        for objects, rows in by_cluster("verdicts", step)
        for row in rows
        if row.get("reason")
        and not any(
            witness_sentence(binding) in row["reason"]
            for binding, _ in reference.witnesses(objects, row["user"], row["groups"], row)
        )
    ]
    assert wrong == []


def witness_sentence(binding: dict[str, Any]) -> str:
    name, namespace = binding["metadata"]["name"], binding["metadata"].get("namespace")
    shown = f"{name}/{namespace}" if namespace else name
    return f'{binding["kind"]} "{shown}" of {binding["roleRef"]["kind"]} "{binding["roleRef"]["name"]}"'


@pytest.mark.parametrize("step", SAMPLES)
def test_subjects(step: int) -> None:
    wrong = [
        row
        for objects, rows in by_cluster("subjects", step)
        for row in rows
        if reference.who_can(objects, row) != located(row)
    ]
    assert wrong == []


def located(row: dict[str, Any]) -> set[reference.Subject]:
    """The locator's subjects; one without namespace stands in the request's, for only a RoleBinding may leave it out."""
    binding = {"metadata": {"namespace": row.get("namespace")}}
    named = (reference.named_subject(subject, binding) for subject in row["subjects"])
    return {subject for subject in named if subject}


@pytest.mark.parametrize("step", SAMPLES)
def test_who_can_is_everyone_who_can(step: int) -> None:
    wrong = [
        (row, subject)
        for objects, rows in by_cluster("subjects", step * 3)
        for row in rows
        for subject in named_subjects(objects)
        if reference.can(objects, *reference.request_as(subject), row) != (subject in reference.who_can(objects, row))
    ]
    assert wrong == []


def named_subjects(objects: list[dict[str, Any]]) -> set[reference.Subject]:
    return {
        named
        for obj in objects
        for subject in reference.items(obj, "subjects")
        if (named := reference.named_subject(subject, obj))
    }


@pytest.mark.parametrize("step", SAMPLES)
def test_covers(step: int) -> None:
    wrong = [
        row
        for row in lines("covers", step)
        if reference.covers(row["owner"], row["servant"]) != (row["covered"], row["uncovered"])
    ]
    assert wrong == []


@pytest.mark.parametrize("step", SAMPLES)
def test_aggregation(step: int) -> None:
    wrong = [row["case"] for row in lines("aggregation", step) if not aggregation_agrees(row)]
    assert wrong == []


def aggregation_agrees(row: dict[str, Any]) -> bool:
    """Lists where every order of syncing gives the same list, sets where it gives the same set."""
    if not row["unique_set"]:
        return True
    collect = list if row["unique"] else set
    ours = reference.aggregate(row["objects"])
    return {name: collect(map(reference.rule_key, rules)) for name, rules in ours.items()} == {
        name: collect(map(reference.rule_key, rules)) for name, rules in row["rules"].items()
    }
