"""Audit logs drawn from a seed, and the probe that reads them: what was planted must be what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from graphsec.model.audit import AuditLog

Calls = Iterator[Callable[[], Any]]
#: Events of each log; one is 1,250 bytes, as at level Metadata.
AUDIT_LOGS = {"audit-tiny": 200, "audit-small": 8_000, "audit": 80_000}
#: Few watch and renew again and again, and the others touch one of many objects: two of three events repeat an earlier one.
_ACCOUNTS, _NAMESPACES, _NAMES, _REPEATED = 400, 100, 5_000, 0.6
_RESOURCES = (("", "pods"), ("", "secrets"), ("apps", "deployments"), ("coordination.k8s.io", "leases"))


class _Planted(NamedTuple):
    account: int
    verb: str
    group: str
    resource: str
    name: str


def _planted(name: str) -> Iterator[_Planted]:
    rng = Random(1)
    for _ in range(AUDIT_LOGS[name]):
        account = rng.randrange(_ACCOUNTS)
        group, resource = rng.choice(_RESOURCES)
        if rng.random() < _REPEATED:
            yield _Planted(account, rng.choice(("list", "watch")), group, resource, "")
        else:
            named = f"{resource}-{rng.randrange(_NAMES)}"
            yield _Planted(account, rng.choice(("get", "update", "patch")), group, resource, named)


def audit_events(name: str) -> Iterator[dict[str, Any]]:
    """The events of a named log, as an API server writes them."""
    for number, event in enumerate(_planted(name)):
        yield _event(number, event)


def _event(number: int, event: _Planted) -> dict[str, Any]:
    namespace, account = f"team-{event.account % _NAMESPACES}", f"controller-{event.account}"
    base = f"/apis/{event.group}/v1" if event.group else "/api/v1"
    uri = f"{base}/namespaces/{namespace}/{event.resource}"
    watching = f"?allowWatchBookmarks=true&resourceVersion={number * 7919}&timeoutSeconds=512"
    stamp = f"2026-11-{number % 28 + 1:02}T10:{number % 60:02}:11.{number % 1_000_000:06}Z"
    reason = f'RBAC: allowed by RoleBinding "{account}/{namespace}" of Role "{account}" to ServiceAccount "{account}/{namespace}"'
    ref = {"resource": event.resource, "namespace": namespace, "name": event.name, "apiGroup": event.group}
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": f"{number:08x}-1c2d-4b3a-9f8e-7d6c5b4a3f2e",
        "stage": "ResponseComplete",
        "requestURI": uri + (f"/{event.name}" if event.name else watching),
        "verb": event.verb,
        "user": {
            "username": f"system:serviceaccount:{namespace}:{account}",
            "uid": "0c6b4b0a-4a2b-4f4e-9a10-2d2e6f1a3b4c",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            "extra": {
                "authentication.kubernetes.io/credential-id": [f"JTI={number:08x}-1c2d-4b3a-9f8e-7d6c5b4a3f2e"],
                "authentication.kubernetes.io/node-name": [f"node-{event.account % 50}"],
                "authentication.kubernetes.io/pod-name": [f"{account}-7d9f8c6b5-x2x4z"],
                "authentication.kubernetes.io/pod-uid": ["5b1f1c1e-0c0a-4d4e-8d6f-0a9b8c7d6e5f"],
            },
        },
        "sourceIPs": ["192.0.2.17"],
        "userAgent": "controller/v0.0.0 (linux/amd64) kubernetes/$Format",
        "objectRef": {key: value for key, value in ref.items() if value} | {"apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": stamp,
        "stageTimestamp": stamp,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason},
    }


def _read(path: Path) -> AuditLog:
    from graphsec.loading import Limits, read_audit_logs

    return read_audit_logs([str(path)], Limits())


def check(log: AuditLog, name: str) -> None:
    """Fail unless every event was read and the distinct requests are those that were planted."""
    distinct = len(set(_planted(name)))
    if (log.window.events, len(log.recorded), log.unread) != (AUDIT_LOGS[name], distinct, 0):
        raise AssertionError(f"read {log.window}, {len(log.recorded)} distinct; planted {distinct}")


def _timed(path: Path, name: str) -> Calls:
    yield partial(_read, path)
    check(_read(path), name)


def _decode_lines(path: Path, name: str) -> Calls:
    """The yardstick: every event decoded whole, from memory, with the collector off."""
    import gc

    data = path.read_bytes()
    gc.disable()
    return iter([partial(msgspec.json.Decoder().decode_lines, data)])


AUDIT_PROBES: dict[str, Callable[[Path, str], Calls]] = {"audit log": _timed, "decode lines": _decode_lines}
