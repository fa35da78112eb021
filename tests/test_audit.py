"""Audit logs in every form give the same requests, and what cannot be read is named and counted."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from audit_events import ALICE, STAMP, Row, event, ndjson, write
from conftest import Graphsec
from hypothesis import given

from graphsec.errors import InputError
from graphsec.loading import Limits, audit_bytes, read_audit_logs
from graphsec.model.audit import AuditLog, Identity, Recorded
from graphsec.model.rbac import Request

ROWS = [
    event("get", "pods", namespace="prod", name="a"),
    event("list", "secrets", namespace="prod", second=3),
    event("get", "pods", namespace="prod", name="a", second=7),
    event("get", uri="/healthz?verbose=1"),
]


def read(path: Path, limits: Limits | None = None) -> AuditLog:
    return read_audit_logs([str(path)], limits or Limits())


def requests(log: AuditLog) -> dict[str, int]:
    return {str(recorded.request): occurrence.count for recorded, occurrence in log.recorded.items()}


def only(log: AuditLog) -> Recorded:
    [recorded] = log.recorded
    return recorded


def cloudwatch(row: Row) -> Row:
    return {"timestamp": 1793527200000, "message": json.dumps(row), "ingestionTime": 1793527200001, "eventId": "1"}


def azure(row: Row) -> Row:
    return {
        "time": STAMP.format(1),
        "category": "kube-audit",
        "properties": {"log": json.dumps(row), "stream": "stdout"},
    }


def gke(row: Row) -> Row:
    ref = row["objectRef"]
    path = [f"namespaces/{ref['namespace']}" if "namespace" in ref else "", ref["resource"], ref.get("name", "")]
    resource = "/".join((ref.get("apiGroup", "core"), "v1", *filter(None, path)))
    return {
        "insertId": "1",
        "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "k8s.io",
            "methodName": f"io.k8s.core.v1.{ref['resource']}.{row['verb']}",
            "resourceName": resource,
            "authenticationInfo": {"principalEmail": row["user"]["username"]},
            "authorizationInfo": [{"granted": True, "permission": "io.k8s", "resource": resource}],
        },
        "labels": row["annotations"],
        "timestamp": row["stageTimestamp"],
    }


def pretty(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def listed(rows: list[Row]) -> Row:
    return {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": rows}


FORMS: dict[str, Callable[[list[Row]], bytes]] = {
    "lines": ndjson,
    "lines with blank ones": lambda rows: ndjson(rows).replace(b"\n", b"\n\r\n"),
    "lines without a last break": lambda rows: ndjson(rows).rstrip(),
    "EventList": lambda rows: compact(listed(rows)),
    "EventList, indented": lambda rows: pretty(listed(rows)),
    "array": compact,
    "array, indented": pretty,
    "events one by one, indented": lambda rows: b"\n".join(map(pretty, rows)),
    "EKS, messages": lambda rows: ndjson({"message": json.dumps(row)} for row in rows),
    "EKS, filter-log-events": lambda rows: pretty({"events": [cloudwatch(row) for row in rows], "nextToken": "x"}),
    "EKS, two pages": lambda rows: pretty({"events": [cloudwatch(row) for row in rows]}) + pretty({"events": []}),
    "EKS, export to S3": lambda rows: b"".join(b"2026-11-01T10:00:00.000Z " + ndjson([row]) for row in rows),
    "EKS, subscription": lambda rows: ndjson(
        [{"messageType": "DATA_MESSAGE", "logEvents": [cloudwatch(row) for row in rows]}]
    ),
    "EKS, Logs Insights": lambda rows: pretty([{"@timestamp": "t", "@message": row} for row in rows]),
    "AKS, event hub": lambda rows: compact({"records": [azure(row) for row in rows]}),
    "AKS, storage": lambda rows: ndjson(map(azure, rows)),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_requests(tmp_path: Path, form: str, packed: bool) -> None:
    path = tmp_path / "log"
    data = FORMS[form](ROWS)
    path.write_bytes(gzip.compress(data) if packed else data)
    log = read(path)
    assert requests(log) == {"get pods 'a' in prod": 2, "list secrets in prod": 1, "get /healthz": 1}
    assert {recorded.identity for recorded in log.recorded} == {Identity(ALICE, ("devs", "system:authenticated"))}
    assert (log.window.first, log.window.last, log.window.events) == (STAMP.format(0), STAMP.format(7), 4)
    assert (log.unread, log.diagnostics) == (0, ())


@pytest.mark.parametrize("write_form", [ndjson, compact, pretty], ids=["lines", "array", "indented"])
def test_gke_entries_name_the_request_and_no_groups(tmp_path: Path, write_form: Callable[[Any], bytes]) -> None:
    rows = [
        *map(gke, ROWS[:3]),
        gke(event("create", "roles", group="rbac.authorization.k8s.io", namespace="prod", name="from-the-body")),
    ]
    path = tmp_path / "log"
    path.write_bytes(write_form(rows))
    log = read(path)
    created = "create roles.rbac.authorization.k8s.io in prod"
    assert requests(log) == {"get pods 'a' in prod": 2, "list secrets in prod": 1, created: 1}
    assert {recorded.identity for recorded in log.recorded} == {Identity(ALICE, None)}
    assert log.window.last == STAMP.format(7)


def test_gke_tells_subresources_and_refusals(tmp_path: Path) -> None:
    entry = gke(event("create", "pods", namespace="prod", decision=""))
    entry["protoPayload"] |= {
        "methodName": "io.k8s.core.v1.pods.exec.create",
        "resourceName": "core/v1/namespaces/prod/pods/web/exec",
        # `granted` is left out where it is false.
        "authorizationInfo": [{"permission": "io.k8s.core.v1.pods.exec.create"}],
    }
    path = tmp_path / "log"
    path.write_bytes(ndjson([entry]))
    recorded = only(read(path))
    assert recorded.request == Request(verb="create", resource="pods", subresource="exec", name="web", namespace="prod")
    assert recorded.decision == "forbid"


# -- from an event to a request -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "request_"),
    [
        # S-31: the authorizer saw no name, objectRef has that of the body.
        (event("create", "pods", namespace="a", name="p"), Request(verb="create", resource="pods", namespace="a")),
        (
            event("create", "pods", namespace="a", name="p", subresource="eviction"),
            Request(verb="create", resource="pods", subresource="eviction", name="p", namespace="a"),
        ),
        # S-32: as the server took it from the field selector.
        (
            event("watch", "pods", namespace="a", name="p", uri="/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dp"),
            Request(verb="watch", resource="pods", name="p", namespace="a"),
        ),
        # S-35
        (
            event("get", "namespaces", namespace="a", name="a", uri="/api/v1/namespaces/a"),
            Request(verb="get", resource="namespaces", name="a", namespace="a"),
        ),
        # S-21; the server decodes a path before it compares.
        (event("get", uri="/a%20b/?x=1"), Request(verb="get", url="/a b/")),
        (event("post", uri="//x"), Request(verb="post", url="//x")),
    ],
)  # fmt: skip
def test_events_record_what_the_authorizer_saw(tmp_path: Path, row: Row, request_: Request) -> None:
    assert only(read_audit_logs([write(tmp_path / "log", [row])], Limits())).request == request_


def test_what_was_created_by_an_update_and_what_is_applied(tmp_path: Path) -> None:
    """S-34."""
    rows = [
        event("patch", "pods", namespace="a", name="new", code=201),
        event("patch", "pods", namespace="a", name="b", uri="/api/v1/namespaces/a/pods/b?fieldManager=x&force=false"),
        event("patch", "pods", namespace="a", name="c", uri="/api/v1/namespaces/a/pods/c?fieldManager=force"),
    ]
    log = read_audit_logs([write(tmp_path / "log", rows)], Limits())
    assert [(found.request.name, found.outcome, found.applies) for found in log.recorded] == [
        ("new", "created", False),
        ("b", "", True),
        ("c", "", False),
    ]


def test_an_impersonator_needs_the_identity_and_the_identity_the_request(tmp_path: Path) -> None:
    """S-70: one request for each header; groups that are implied were not asked for."""
    impersonated: Row = {
        "username": "system:serviceaccount:a:s",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated", "ops"],
        "uid": "u1",
        "extra": {"scopes": ["view"]},
    }
    row = event("get", "pods", namespace="a", impersonatedUser=impersonated)
    recorded = only(read_audit_logs([write(tmp_path / "log", [row])], Limits()))
    assert recorded.identity == Identity(impersonated["username"], tuple(impersonated["groups"]))
    assert recorded.maker == Identity(ALICE, ("devs", "system:authenticated"))
    assert recorded.impersonation is not None
    assert recorded.impersonation.requests == (
        Request(verb="impersonate", resource="serviceaccounts", name="s", namespace="a"),
        Request(verb="impersonate", resource="groups", name="ops"),
        Request(verb="impersonate", group="authentication.k8s.io", resource="uids", name="u1"),
        Request(
            verb="impersonate",
            group="authentication.k8s.io",
            resource="userextras",
            subresource="scopes",
            name="view",
        ),
    )


def test_constrained_impersonation_needs_a_mode_and_an_action(tmp_path: Path) -> None:
    """S-72."""
    row = event(
        "list",
        "pods",
        namespace="a",
        impersonatedUser={"username": "bob", "groups": ["system:authenticated"]},
        authenticationMetadata={"impersonationConstraint": "impersonate:user-info"},
    )
    recorded = only(read_audit_logs([write(tmp_path / "log", [row])], Limits()))
    assert recorded.impersonation is not None
    assert recorded.impersonation.requests == (
        Request(verb="impersonate:user-info", group="authentication.k8s.io", resource="users", name="bob"),
        Request(verb="impersonate-on:user-info:list", resource="pods", namespace="a"),
    )


# -- stages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
def test_the_stages_of_one_request_are_one_event(tmp_path: Path, backwards: bool) -> None:
    """Exports do not keep the order of events."""
    stages = [
        event("get", "pods", namespace="a", name="p", stage="RequestReceived", decision=""),
        event("get", "pods", namespace="a", name="p"),
        event("watch", "pods", namespace="a", stage="RequestReceived", decision=""),
        event("watch", "pods", namespace="a", stage="ResponseStarted"),
        event("list", "pods", namespace="a", stage="RequestReceived", decision=""),
        event("delete", "pods", namespace="a", name="p", stage="Panic", code=500),
    ]
    log = read_audit_logs([write(tmp_path / "log", stages[::-1] if backwards else stages)], Limits())
    found = {str(recorded.request): (recorded.decision, recorded.finished) for recorded in log.recorded}
    assert found == {
        "get pods 'p' in a": ("allow", True),
        "watch pods in a": ("allow", False),
        "list pods in a": ("", False),
        "delete pods 'p' in a": ("allow", True),
    }
    assert log.window.events == 4


def test_impersonation_is_not_known_yet_when_a_request_arrives(tmp_path: Path) -> None:
    rows = [
        event("get", "pods", namespace="a", stage="RequestReceived", decision=""),
        event("get", "pods", namespace="a", impersonatedUser={"username": "bob"}),
    ]
    assert only(read_audit_logs([write(tmp_path / "log", rows)], Limits())).identity.user == "bob"


# -- what cannot be read --------------------------------------------------------------------------------------------


BROKEN = {
    "{": "",
    "not json": "",
    '{"kind":"Event","apiVersion":"v1"}': "an Event of `v1`, no audit event",
    '{"kind":"Pod","apiVersion":"v1"}': "a Pod, no audit event",
    '{"kind":"Event","apiVersion":"audit.k8s.io/v1","user":{"username":7}}': "user.username: expected string, got integer",
    '{"kind":"Event","apiVersion":"audit.k8s.io/v1","user":{"username":"a"}}': "an event without objectRef and requestURI",
    '{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestURI":"/x"}': "an event without a user",
    '{"message":"I0705 16:59:29 trace.go:205"}': "inside an export: ",
    '{"category":"guard","properties":{"pod":"x"}}': "a record of category `guard`, no audit event",
    '{"protoPayload":{"serviceName":"container.googleapis.com"}}': "an entry of container.googleapis.com",
    "[]": "",
    "7": "",
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_damaged_line_costs_itself_and_is_named(tmp_path: Path, broken: str, at: int) -> None:
    lines = ndjson(ROWS).decode().splitlines()
    path = tmp_path / "log"
    path.write_text("\n".join([*lines[:at], broken, *lines[at:]]) + "\n", encoding="utf-8")
    log = read(path)
    if at == 0 and broken == "[]":
        # This begins a document, of a list without events and four events.
        assert (log.window.events, log.unread) == (4, 0)
        return
    assert (log.window.events, log.unread) == (4, 1)
    [diagnostic] = log.diagnostics
    assert str(diagnostic.source) == f"{path}:{at + 1}"
    assert BROKEN[broken] in diagnostic.message


@given(st.integers(0, 3), st.integers(0, 2000), st.sampled_from(sorted(FORMS)))
def test_cut_off_input_loses_only_what_is_cut(
    tmp_path_factory: pytest.TempPathFactory, kept: int, cut: int, form: str
) -> None:
    path = tmp_path_factory.mktemp("cut") / "log"
    data = FORMS[form](ROWS)
    path.write_bytes(data[: max(len(data) * kept // 3 - cut, 1)])
    try:
        log = read(path)
    except InputError:
        return
    assert 0 < log.window.events <= 4
    assert set(requests(log)) <= {"get pods 'a' in prod", "list secrets in prod", "get /healthz"}


def test_many_damaged_lines_are_counted_and_a_few_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(ndjson(ROWS) + b"x\n" * 100)
    log = read(path)
    assert log.unread == 100
    assert [str(found.source) for found in log.diagnostics[:5]] == [f"{path}:{line}" for line in range(5, 10)]
    assert log.diagnostics[-1].message == f"95 more parts of {path} are not read as audit events"


def test_a_damaged_element_of_a_list_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(pretty(listed(ROWS)).replace(b'"verb": "list"', b'"verb": list', 1))
    log = read(path)
    assert "list secrets in prod" not in requests(log)
    assert log.unread >= 1
    assert requests(log)["get /healthz"] == 1


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"x\n", b"[]", b"{}", b'{"events":[]}', pretty({"kind": "PodList", "items": []})]
)
def test_a_file_without_any_event_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    with pytest.raises(InputError, match="no audit event in"):
        read_audit_logs([write(tmp_path / "whole", ROWS), str(path)], Limits())


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read(tmp_path / "none")


def test_a_folder_is_read_in_path_order(tmp_path: Path) -> None:
    write(tmp_path / "audit.log", ROWS[:1])
    (tmp_path / "audit-2026.log.gz").write_bytes(gzip.compress(ndjson(ROWS[:2])))
    log = read(tmp_path)
    assert requests(log) == {"get pods 'a' in prod": 2, "list secrets in prod": 1}
    assert {occurrence.source.file for occurrence in log.recorded.values()} == {str(tmp_path / "audit-2026.log.gz")}


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (ndjson(ROWS), gzip.compress(pretty(ROWS))):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert read_audit_logs(["-"], Limits()).window.events == 4


@pytest.mark.parametrize("block", [7, 100, 1 << 20])
@pytest.mark.parametrize("form", ["lines", "EventList", "EKS, export to S3", "lines without a last break"])
def test_where_blocks_end_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, form: str
) -> None:
    monkeypatch.setattr(audit_bytes, "_BLOCK", block)
    path = tmp_path / "log"
    path.write_bytes(FORMS[form](ROWS))
    log = read(path)
    assert (log.window.events, log.unread) == (4, 0)


class TestLimits:
    def test_an_oversized_line_ends_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit_bytes, "_BLOCK", 1000)
        path = tmp_path / "log"
        path.write_bytes(ndjson(ROWS) + b"x" * 5000 + b"\n" + ndjson(ROWS))
        log = read(path, Limits(object_bytes=2000))
        assert [found.code for found in log.diagnostics] == ["GS-LIM-003"]
        assert log.window.events == 4

    def test_an_oversized_file_is_read_up_to_the_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit_bytes, "_BLOCK", 1000)
        path = tmp_path / "log"
        path.write_bytes(ndjson(ROWS * 10))
        log = read(path, Limits(file_bytes=5000))
        assert [found.code for found in log.diagnostics] == ["GS-LIM-005"]
        assert 0 < log.window.events < 40

    def test_inflating_stops_at_its_budget(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit_bytes, "_BLOCK", 1000)
        path = tmp_path / "log.gz"
        path.write_bytes(gzip.compress(ndjson(ROWS * 10)))
        log = read(path, Limits(inflated_bytes=5000))
        assert [found.code for found in log.diagnostics] == ["GS-LIM-006"]
        assert 0 < log.window.events < 40

    def test_a_cut_off_gzip_keeps_what_came_before(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audit_bytes, "_BLOCK", 1000)
        path = tmp_path / "log.gz"
        rows = [event("get", "pods", namespace="a", name=f"p{number * 7919 % 997}") for number in range(500)]
        path.write_bytes(gzip.compress(ndjson(rows))[:-200])
        log = read(path)
        assert "GS-IN-040" in [found.code for found in log.diagnostics]
        assert 0 < log.window.events < 500


def test_values_of_a_log_are_shown_safely(graphsec: Graphsec, world: Path, tmp_path: Path) -> None:
    log = write(tmp_path / "log", [event("get", "pods\x1b[2J", user="\u202eolga", decision="forbid")])
    run = graphsec(f"verify --audit-log {log} -f {world}")
    assert "\x1b" not in run.out + run.err
    assert "\u202e" not in run.out + run.err
