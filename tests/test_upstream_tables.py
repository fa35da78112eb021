"""The engine gives the answers of Kubernetes' own test tables, re-typed under ``fixtures/oracle``, row by row."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import reference
import yaml

import graphsec as gs
from graphsec.model.rbac import Request, allows
from graphsec.model.request import request_info

Row = dict[str, Any]
FIXTURES = Path(__file__).parents[1] / "fixtures" / "oracle"
RBAC = "rbac.authorization.k8s.io/v1"


@cache
def table(name: str) -> Any:
    return yaml.safe_load((FIXTURES / f"{name}.yaml").read_text())


def world(objects: Iterable[Row]) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def request(row: Row) -> Request:
    return Request(verb=row["verb"], **words(row))


def words(row: Row) -> dict[str, Any]:
    """The attributes of a request as keywords; what a row leaves out is empty."""
    fields = ("group", "resource", "subresource", "name", "namespace")
    return {field: row.get(field, "") for field in fields} | {"url": row.get("path", "")}


def allow_and_deny(name: str) -> list[Any]:
    return [
        pytest.param(case, row, expected == "allow", id=f"{case['name']}-{expected}-{shown(row)}")
        for case in table(name)
        for expected in ("allow", "deny")
        for row in case[expected]
    ]


def shown(row: Row) -> str:
    who = [row.get("user", ""), *row.get("groups", ())]
    return " ".join(word for word in (*who, row["verb"], *words(row).values()) if word)


def named(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in table(name)]


@pytest.mark.parametrize(("case", "row", "allowed"), allow_and_deny("authorizer"))
def test_authorizer(case: Row, row: Row, allowed: bool) -> None:
    decision = gs.can_i(world(case["objects"]), row["verb"], user=row["user"], groups=row["groups"], **words(row))
    assert bool(decision) is allowed
    assert bool(decision.because) is allowed


@pytest.mark.parametrize(("case", "row", "allowed"), allow_and_deny("rule-matches"))
def test_rule_matches(case: Row, row: Row, allowed: bool) -> None:
    assert allows(gs.PolicyRule.from_mapping(case["rule"]), request(row)) is allowed


@pytest.mark.parametrize(
    ("objects", "row"),
    [
        pytest.param(case["objects"], row, id=f"{case['name']}-{shown(row)}")
        for case in table("subject-locator")
        for row in case["who_can"]
    ],
)
def test_subject_locator(objects: list[Row], row: Row) -> None:
    answer = gs.who_can(world(objects), row["verb"], **words(row))
    assert sorted(str(access.subject) for access in answer) == sorted(row["subjects"])


@pytest.mark.parametrize(
    ("objects", "row"),
    [
        pytest.param(case["objects"], row, id=f"{case['name']}-{row['user']}-{row['namespace']}")
        for case in table("rule-resolver")
        for row in case["rules_for"]
    ],
)
def test_rule_resolver(objects: list[Row], row: Row) -> None:
    """Every atom of the cluster's rules is allowed where a rule in force covers it, and nowhere else."""
    loaded = world(objects)
    for atom in (atom for obj in objects for rule in obj.get("rules", ()) for atom in reference.breakdown(rule)):
        asked = gs.can_i(
            loaded,
            atom["verbs"][0],
            atom["resources"][0],
            group=atom["apiGroups"][0],
            namespace=row["namespace"],
            user=row["user"],
            groups=row["groups"],
        )
        assert bool(asked) is any(reference.rule_covers(rule, atom) for rule in row["rules"])


@pytest.mark.parametrize("case", named("applies-to"))
def test_applies_to(case: Row) -> None:
    scope = {"namespace": case["namespace"]} if case["namespace"] else {}
    rule = {"apiGroups": ["example.com"], "resources": ["probes"], "verbs": ["get"]}
    loaded = world(
        [
            {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "probe"}, "rules": [rule]},
            {
                "apiVersion": RBAC,
                "kind": "RoleBinding" if scope else "ClusterRoleBinding",
                "metadata": {"name": "probe", **scope},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "probe"},
                "subjects": case["subjects"],
            },
        ]
    )
    asked = gs.can_i(loaded, "get", "probes", group="example.com", user=case["user"], groups=case["groups"], **scope)
    assert bool(asked) is case["applies"]


@pytest.mark.parametrize("case", named("covers"))
def test_covers(case: Row) -> None:
    covered = gs.covers(case["owner"], case["servant"])
    assert bool(covered) is (not case["uncovered"])
    assert list(covered.uncovered) == [gs.PolicyRule.from_mapping(rule) for rule in case["uncovered"]]


@pytest.mark.parametrize(
    "pair", [pytest.param(pair, id=f"{pair['owner']} {pair['requested']!r}") for pair in table("url-covers")]
)
def test_url_covers(pair: Row) -> None:
    owner, requested = ({"verbs": ["get"], "nonResourceURLs": [pair[side]]} for side in ("owner", "requested"))
    assert bool(gs.covers([owner], [requested])) is pair["covered"]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{row['method']} {row['url']}")
        for section in ("resource_requests", "source_requests")
        for row in table("request-info")[section]
    ],
)
def test_request_info(row: Row) -> None:
    asked = request_info(row["method"], row["url"])
    fields = ("verb", "group", "resource", "subresource", "namespace", "name")
    assert {field: getattr(asked, field) for field in fields} == {field: row.get(field, "") for field in fields}
    assert asked.url == ""


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row["case"].replace(" ", "-")) for row in table("request-info")["selectors"]]
)
def test_request_info_selectors(row: Row) -> None:
    asked = request_info(row["method"], row["url"])
    assert (asked.verb, asked.name) == (row["verb"], row["name"])


@pytest.mark.parametrize("path", table("request-info")["resource_paths"])
def test_request_info_resource_paths(path: str) -> None:
    assert request_info("GET", path).resource


@pytest.mark.parametrize("path", table("request-info")["non_resource_paths"])
def test_request_info_non_resource_paths(path: str) -> None:
    asked = request_info("GET", path)
    assert (asked.verb, asked.url, asked.resource) == ("get", path, "")


@pytest.mark.parametrize("path", table("request-info")["errors"])
def test_request_info_errors(path: str) -> None:
    with pytest.raises(ValueError, match="unable to determine"):
        request_info("GET", path)


@pytest.mark.parametrize("case", named("validation"))
def test_validation(case: Row) -> None:
    """S-45: what validation refuses is reported, and a valid object is not."""
    reported = [found for found in world([case["object"]]).diagnostics if found.code in ("GS-IN-020", "GS-IN-023")]
    assert bool(reported) is bool(case["field"])
