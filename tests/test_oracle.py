"""The engine agrees with Kubernetes' own code on generated clusters: verdicts, subjects, Covers, aggregation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import reference
from test_reference import ORACLE, SAMPLES, by_cluster, lines, located

import graphsec as gs

Row = dict[str, Any]
pytestmark = pytest.mark.skipif(not ORACLE.is_dir(), reason="the shared oracle is not beside this checkout")

#: One failure teaches as much as a thousand of its kind.
SHOWN = 5


def world(objects: list[Row]) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects})


def words(row: Row) -> dict[str, Any]:
    fields = ("group", "resource", "subresource", "name", "namespace")
    return {field: row.get(field, "") for field in fields} | {"url": row.get("path", "")}


@pytest.mark.parametrize("step", SAMPLES)
def test_verdicts(step: int) -> None:
    """Each verdict, with a witness that the reference accepts where RBAC and not S-47 gave it."""
    wrong = []
    for objects, rows in by_cluster("verdicts", step):
        loaded = world(objects)
        for row in rows:
            decision = gs.can_i(loaded, row["verb"], user=row["user"], groups=row["groups"], **words(row))
            if decision.verdict != ("allow" if row["allowed"] else "no") or not witnessed(decision, objects, row):
                wrong.append((row, decision))
    assert wrong[:SHOWN] == []


def witnessed(decision: gs.Decision, objects: list[Row], row: Row) -> bool:
    if not decision or "system:masters" in row["groups"]:
        return bool(decision.reason)
    valid = witness_keys(objects, row["user"], row["groups"], row)
    return bool(decision.because) and all((proof.binding, proof.rule_index) in valid for proof in decision.because)


def witness_keys(objects: list[Row], user: str, groups: list[str], row: Row) -> set[tuple[gs.Ref, int]]:
    return {(binding_ref(binding), index) for binding, index in reference.witnesses(objects, user, groups, row)}


def binding_ref(binding: Row) -> gs.Ref:
    metadata = binding["metadata"]
    return gs.Ref(binding["kind"], metadata["name"], metadata.get("namespace"))


@pytest.mark.parametrize("step", SAMPLES)
def test_subjects(step: int) -> None:
    """The locator's subjects, each named by bindings that allow the request."""
    wrong = []
    for objects, rows in by_cluster("subjects", step):
        loaded = world(objects)
        for row in rows:
            answer = gs.who_can(loaded, row["verb"], **words(row))
            if subjects_of(answer) != located(row) or not all(proved(access, objects, row) for access in answer):
                wrong.append((row, subjects_of(answer) ^ located(row)))
    assert wrong[:SHOWN] == []


def proved(access: gs.Access, objects: list[Row], row: Row) -> bool:
    """Every binding named as evidence gives the request to this very subject."""
    subject = (access.subject.kind, access.subject.namespace, access.subject.name)
    if subject == reference.MASTERS:
        return bool(access.because)
    valid = witness_keys(objects, *reference.request_as(subject), row)
    return bool(access.because) and all((proof.binding, proof.rule_index) in valid for proof in access.because)


def subjects_of(answer: Iterable[gs.Access]) -> set[reference.Subject]:
    return {(access.subject.kind, access.subject.namespace, access.subject.name) for access in answer}


@pytest.mark.parametrize("step", SAMPLES)
def test_covers(step: int) -> None:
    wrong = []
    for row in lines("covers", step):
        covered = gs.covers(row["owner"], row["servant"])
        if bool(covered) != row["covered"] or list(covered.uncovered) != policy_rules(row["uncovered"]):
            wrong.append(row)
    assert wrong[:SHOWN] == []


def policy_rules(rules: list[Row]) -> list[gs.PolicyRule]:
    return [gs.PolicyRule.from_mapping(rule) for rule in rules]


@pytest.mark.parametrize("step", SAMPLES)
def test_aggregation(step: int) -> None:
    """Lists where every order of syncing gives the same list, sets where it gives the same set."""
    wrong = []
    for row in lines("aggregation", step):
        if not row["unique_set"]:
            continue
        roles = world(row["objects"]).access.roles
        collect = list if row["unique"] else set
        wrong += [
            (row["case"], name)
            for name, rules in row["rules"].items()
            if collect(roles[gs.Ref("ClusterRole", name)].rules) != collect(policy_rules(rules))
        ]
    assert wrong[:SHOWN] == []


def test_aggregation_without_end_is_reported() -> None:
    """S-51: three cyclic cases never come to rest, and the input says so instead of looping."""
    for row in lines("aggregation", 1):
        if not row["converged"]:
            assert "GS-GR-004" in {found.code for found in world(row["objects"]).diagnostics}
