"""Answers are what the schemas in the package promise."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import msgspec
import pytest
from conftest import ROOT
from test_outputs import LOADED, manifests

import graphsec as gs
from graphsec.model.rbac import Target
from graphsec.query.bindings import Bindings
from graphsec.query.can_i import CanI
from graphsec.query.can_reach import CanReach
from graphsec.query.data_access import DataAccess
from graphsec.query.explain_flow import ExplainFlow
from graphsec.query.exposed import Exposed
from graphsec.query.inspect import Inspect
from graphsec.query.matrix import Matrix
from graphsec.query.overprivileged import Overprivileged
from graphsec.query.policy_lint import PolicyLint
from graphsec.query.rbac_lint import RbacLint
from graphsec.query.reach import Reach
from graphsec.query.synthesize import Synthesize
from graphsec.query.what_can import WhatCan
from graphsec.query.who_can import WhoCan
from graphsec.render import Options, renderers
from graphsec.render._schemas import schema, schema_names

RBAC = "rbac.authorization.k8s.io"


@cache
def validator() -> jsonschema.Draft202012Validator:
    document = json.loads(schema("answer"))
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def errors(envelope: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:300] for error in validator().iter_errors(envelope)]


@cache
def worlds() -> dict[str, gs.World]:
    binding = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"}}
    dangling = {
        **binding,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "ann"}],
    }
    return {
        "hostile": gs.load(*manifests(LOADED)),
        "defaults": gs.load(dangling, with_defaults=True),
        "dangling": gs.load(dangling),
        "broken": gs.load(
            dangling, {"kind": "Role", "apiVersion": f"{RBAC}/v1", "metadata": {"name": "r"}, "rules": "all"}
        ),
        "people": gs.load(
            {**dangling, "subjects": [{"kind": "Group", "name": "devs"}]},
            memberships={"groups": {"devs": ["ann", "bob"]}},
            with_defaults=True,
        ),
    }


QUESTIONS: list[Any] = [
    WhoCan(verbs=("get", "list", "watch"), target=Target(resource="secrets"), any_namespace=True, any_name=True),
    WhoCan(verbs=("get",), target=Target(resource="pods"), any_namespace=True, as_people=True),
    WhoCan(verbs=("get",), target=Target(resource="pods", subresource="exec", namespace="default")),
    WhoCan(verbs=("deletecollection",), target=Target(resource="nodes")),
    WhoCan(verbs=("get",), target=Target(url="/healthz")),
    CanI(verbs=("get",), target=Target(resource="pods"), user="ann"),
    CanI(verbs=("get",), target=Target(resource="pods"), user="ann", groups=("system:masters",)),
    WhatCan(subject=gs.Ref("User", "ann")),
    WhatCan(subject=gs.Ref("Group", "system:masters")),
    Matrix(),
    Overprivileged(),
    RbacLint(),
    DataAccess(),
    DataAccess(include_builtin=True),
    Overprivileged(include_builtin=True, fold=True),
    Bindings(),
    Inspect(),
]


FLOW_QUESTIONS: list[Any] = [
    Reach(),
    Reach(fold="namespace", port=53),
    Reach(fold="none", destination="shop/postgres"),
    ExplainFlow(packet=CanReach(source="shop/frontend", destination="shop/postgres", port=5432)),
    ExplainFlow(packet=CanReach(source="shop/frontend", destination="shop/frontend", port=8080)),
    ExplainFlow(packet=CanReach(source="shop/*", destination="internet", port=443)),
    Exposed(),
    PolicyLint(),
    Synthesize(),
]


@pytest.mark.parametrize("question", FLOW_QUESTIONS, ids=lambda question: question.command())
def test_answers_about_flows_are_valid(question: Any) -> None:
    answer: gs.Answer[Any] = question.answer(shop())
    assert answer.items
    assert errors(answer.envelope()) == []


def test_differences_of_flows_are_valid() -> None:
    lines = (ROOT / "fixtures" / "shop" / "policies.yaml").read_text().replace("promethius", "prometheus")
    policies = [msgspec.yaml.decode(document) for document in lines.split("\n---\n")]
    new = gs.load(ROOT / "fixtures" / "shop", *policies)
    answer = gs.diff(shop(), new)
    assert [change.change for change in answer] == ["gained"]
    assert errors(answer.envelope()) == []


@cache
def shop() -> gs.World:
    return gs.load(ROOT / "fixtures" / "shop")


@pytest.mark.parametrize("name", ["hostile", "defaults", "dangling", "broken", "people"])
def test_answers_are_valid(name: str) -> None:
    for question in QUESTIONS:
        answer: gs.Answer[Any] = question.answer(worlds()[name])
        text = renderers()["json"].render(answer, Options())
        assert errors(json.loads(text)) == [], question


def test_every_question_of_the_schema_has_items_somewhere() -> None:
    clauses = json.loads(schema("answer"))["allOf"]
    kinds = {clause["if"]["properties"]["question"]["properties"]["ask"]["const"] for clause in clauses}
    answered = {question.ask for question in QUESTIONS for world in worlds().values() if question.answer(world)}
    answered |= {question.ask for question in FLOW_QUESTIONS} | {"diff", "check"}
    assert kinds == answered


def _envelope() -> dict[str, Any]:
    answer: gs.Answer[Any] = QUESTIONS[0].answer(worlds()["defaults"])
    return answer.envelope()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "graphsec.answer/v2"},
        {"more": 1},
        {"complete": "yes"},
        {"items": [{}]},
        {"question": {"ask": "who-can"}},
        {"coverage": [{"kind": "Role"}]},
        {"diagnostics": [{"code": "X", "severity": "info", "message": ""}]},
    ],
)
def test_other_envelopes_are_refused(change: dict[str, Any]) -> None:
    assert errors(_envelope()) == []
    assert errors({**_envelope(), **change})


def test_evidence_is_never_empty() -> None:
    envelope = _envelope()
    empty: list[list[dict[str, str]]] = [[], [{}], [{"binding": "ClusterRoleBinding/b"}]]
    for because in empty:
        assert errors({**envelope, "items": [{**envelope["items"][0], "because": because}]})


def test_schemas_are_found_by_name() -> None:
    assert "answer" in schema_names()
    with pytest.raises(gs.UsageError, match="unknown schema `x`"):
        schema("x")
