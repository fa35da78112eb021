"""Audit events as an API server writes them, for the tests of everything that reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
STAMP = "2026-11-01T10:00:0{}.000000Z"
ALICE = "alice"


def event(
    verb: str,
    resource: str = "",
    *,
    user: str = ALICE,
    groups: Iterable[str] = ("devs", "system:authenticated"),
    group: str = "",
    namespace: str = "",
    name: str = "",
    subresource: str = "",
    uri: str = "",
    code: int = 200,
    decision: str = "allow",
    reason: str = "",
    stage: str = "ResponseComplete",
    second: int = 0,
    **more: Any,
) -> Row:
    """One event; ``name`` is that of objectRef, which a create takes from the body and the URI never has."""
    parts = [f"/apis/{group}/v1" if group else "/api/v1"]
    parts += [f"namespaces/{namespace}"] if namespace else []
    parts += [resource, name if verb != "create" or subresource else "", subresource]
    notes = {"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason} if decision else {}
    found: Row = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "c0ffee00-0000-4000-8000-000000000000",
        "stage": stage,
        "requestURI": uri or "/".join(part for part in parts if part),
        "verb": verb,
        "user": {"username": user, "groups": list(groups), "extra": {"a": ["b"]}},
        "sourceIPs": ["192.0.2.1"],
        "responseStatus": {"metadata": {}, "code": code},
        "requestReceivedTimestamp": STAMP.format(0),
        "stageTimestamp": STAMP.format(second),
        "annotations": notes,
    }
    if resource:
        fields = {
            "resource": resource,
            "namespace": namespace,
            "name": name,
            "apiGroup": group,
            "apiVersion": "v1",
            "subresource": subresource,
        }
        found["objectRef"] = {key: value for key, value in fields.items() if value}
    return found | more


def ndjson(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


def write(path: Path, rows: Iterable[Row]) -> str:
    path.write_bytes(ndjson(rows))
    return str(path)
