"""`verify`: our decisions on recorded requests, held against what the API server recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audit_events import ALICE, Row, event, write
from conftest import Graphsec
from test_oracle import world
from test_reference import ORACLE, SAMPLES, by_cluster

import graphsec as gs
from graphsec.loading import Limits, read_audit_logs
from graphsec.query.verify import Verification, Verify

RBAC = "rbac.authorization.k8s.io/v1"
OBJECTS: list[Row] = [
    {
        "apiVersion": RBAC,
        "kind": "ClusterRole",
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    },
    {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": "devs", "namespace": "prod"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "Group", "name": "devs"}],
    },
    {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": "lost", "namespace": "prod"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "missing"},
        "subjects": [{"kind": "User", "name": "dora"}],
    },
]
ALLOWED = 'RBAC: allowed by RoleBinding "devs/prod" of ClusterRole "reader" to Group "devs"'


def verified(path: Path, *rows: Row, objects: list[Row] | None = None) -> Verification:
    log = read_audit_logs([write(path / "log", rows)], Limits())
    return Verify(log=log).answer(world(OBJECTS if objects is None else objects))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (event("get", "pods", namespace="prod", name="a", reason=ALLOWED), ""),
        (event("delete", "pods", namespace="prod", name="a", decision="forbid", code=403), ""),
        (event("get", "pods", namespace="dev", reason=ALLOWED), "RoleBinding/prod/devs does not apply to this request"),
        (event("delete", "pods", namespace="prod", reason=ALLOWED), "ClusterRole/reader does not allow this in the input"),
        (event("get", "pods", namespace="prod", groups=(), reason=ALLOWED), "RoleBinding/prod/devs does not bind this subject in the input"),
        (event("get", "pods", namespace="prod", reason=ALLOWED.replace("devs/prod", "ops/prod")), "RoleBinding/prod/ops is not in the input"),
        (event("get", "pods", namespace="prod", reason=ALLOWED.replace('"reader"', '"admin"')), "RoleBinding/prod/devs refers to ClusterRole/reader in the input"),
        (event("get", "pods", namespace="prod", decision="forbid", code=403), "granted by RoleBinding/prod/devs to group:devs"),
    ],
)  # fmt: skip
def test_a_verdict_and_its_evidence_must_be_those_of_the_server(tmp_path: Path, row: Row, why: str) -> None:
    answer = verified(tmp_path, row)
    assert [difference.why for difference in answer] == ([why] if why else [])
    assert (answer.agreed, answer.differing, answer.not_judged) == (int(not why), int(bool(why)), {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (event("get", "secrets", groups=("system:masters",)), "system:masters, allowed before any authorizer (S-47)"),
        (event("get", "secrets", user="system:node:n", groups=("system:nodes",)), "Node authorizer (S-80)"),
        (event("get", "secrets", reason="access granted by IAM permissions."), "another authorizer: allowed"),
        (event("get", "pods", namespace="prod", decision="forbid", reason="webhook says no"), "another authorizer: forbidden"),
        (event("get", "pods", namespace="prod", decision=""), "no decision recorded"),
        (event("get", uri="/healthz"), "allowed, no reason recorded"),
        (event("get", "pods", namespace="prod", user="dora", reason='RBAC: allowed by RoleBinding "lost/prod" of Role "missing" to User "dora"'), "a role that the input does not hold"),
    ],
)  # fmt: skip
def test_what_rbac_did_not_decide_is_no_difference(tmp_path: Path, row: Row, reason: str) -> None:
    answer = verified(tmp_path, row)
    assert (answer.agreed, answer.differing, answer.not_judged) == (0, 0, {reason: 1})


def test_the_impersonated_identity_was_authorized(tmp_path: Path) -> None:
    row = event(
        "get", "pods", namespace="prod", groups=(), reason=ALLOWED,
        impersonatedUser={"username": "bob", "groups": ["devs"]},
    )  # fmt: skip
    assert verified(tmp_path, row).agreed == 1


def test_groups_that_a_log_does_not_record_are_those_of_the_input(tmp_path: Path) -> None:
    entry = {
        "protoPayload": {
            "serviceName": "k8s.io",
            "methodName": "io.k8s.core.v1.pods.get",
            "resourceName": "core/v1/namespaces/prod/pods/a",
            "authenticationInfo": {"principalEmail": ALICE},
        },
        "labels": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ALLOWED},
    }
    log = read_audit_logs([write(tmp_path / "log", [entry])], Limits())
    listed = {"apiVersion": "v1", "kind": "List", "items": OBJECTS}
    assert Verify(log=log).answer(gs.load(listed)).differing == 1
    assert Verify(log=log).answer(gs.load(listed, memberships={"groups": {"devs": [ALICE]}})).agreed == 1


def test_exit_codes_and_counts(graphsec: Graphsec, tmp_path: Path) -> None:
    cluster = tmp_path / "cluster.json"
    cluster.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}), encoding="utf-8")
    good = [event("get", "pods", namespace="prod", name="a", reason=ALLOWED)] * 3
    bad = event("get", "pods", namespace="prod", decision="forbid", code=403)
    agreeing, differing = write(tmp_path / "good", good), write(tmp_path / "bad", [*good, bad])
    run = graphsec(f"verify --audit-log {agreeing} -f {cluster}")
    assert run.code == 0
    assert "agreed 3, differing 0, not judged 0" in run.err
    assert "window: 3 events from 2026-11-01T10:00:00.000000Z to" in run.err
    run = graphsec(f"verify --audit-log {differing} --audit-log {agreeing} -f {cluster} -o json")
    assert run.code == 1
    answer = json.loads(run.out)
    assert (answer["agreed"], answer["differing"], answer["window"]["events"]) == (6, 1, 7)
    [item] = answer["items"]
    assert (item["recorded"], item["ours"], item["source"]) == ("forbid", "allow", {"file": differing, "line": 4})
    assert graphsec(f"verify --audit-log {cluster} -f {cluster}").code == 3
    assert graphsec(f"verify --audit-log {tmp_path}/none -f {cluster}").code == 3
    assert graphsec("verify --audit-log - -f -").code == 2
    assert graphsec(f"verify -f {cluster}").code == 2


def recorded(row: Row) -> Row:
    """The event that the API server would write for a verdict of its authorizer."""
    ref = {"resource": row.get("resource", ""), "apiGroup": row.get("group", "")}
    ref |= {key: row[key] for key in ("subresource", "namespace", "name") if row.get(key)}
    prefix = f"/apis/{ref['apiGroup']}/v1" if ref["apiGroup"] else "/api/v1"
    parts = [prefix, f"namespaces/{row['namespace']}" if row.get("namespace") else ""]
    parts += [ref["resource"], row.get("name", ""), row.get("subresource", "")]
    found: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "stage": "ResponseComplete",
        "requestURI": row.get("path") or "/".join(part for part in parts if part),
        "verb": row["verb"],
        "user": {"username": row["user"], "groups": row["groups"]},
        "annotations": {
            "authorization.k8s.io/decision": "allow" if row["allowed"] else "forbid",
            "authorization.k8s.io/reason": row.get("reason", ""),
        },
    }
    return found if row.get("path") else found | {"objectRef": ref}


@pytest.mark.skipif(not ORACLE.is_dir(), reason="the shared oracle is not beside this checkout")
@pytest.mark.parametrize("step", SAMPLES)
def test_every_verdict_of_kubernetes_is_verified(tmp_path: Path, step: int) -> None:
    """Each verdict in reach: all but those of system:masters, of nobody, and of names that no URL has."""
    agreed = passed = 0
    for objects, rows in by_cluster("verdicts", step):
        asked = [row for row in rows if _has_a_url(row)]
        if not asked:
            continue
        answer = verified(tmp_path, *map(recorded, asked), objects=objects)
        assert list(answer)[:3] == []
        assert set(answer.not_judged) <= {"system:masters, allowed before any authorizer (S-47)"}
        assert answer.agreed + sum(answer.not_judged.values()) == len(asked)
        agreed += answer.agreed
        passed += sum(answer.not_judged.values())
    assert agreed > 10 * passed


def _has_a_url(row: Row) -> bool:
    """A create takes its name from the URL alone (S-31), where none has a slash."""
    return bool(row["user"]) and not (
        row["verb"] == "create" and not row.get("subresource") and "/" in row.get("name", "")
    )
