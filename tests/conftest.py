"""What every test gets: no network, the command line in-process, and one small world to ask about."""

from __future__ import annotations

import io
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

import pytest

from graphsec.cli import main

ROOT = Path(__file__).parent.parent

#: Two kinds of binding, a role limited to names, spellings of subresources, a URL, and a binding to nothing.
WORLD = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: secret-reader, namespace: prod}
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get, list, create], resourceNames: [payments-db]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: payments-read, namespace: prod}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: secret-reader}
subjects: [{kind: ServiceAccount, name: payments-api, namespace: prod}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: operator}
rules:
  - {apiGroups: [""], resources: [secrets, pods, nodes, namespaces], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [pods/exec], verbs: [get]}
  - {apiGroups: [""], resources: ["pods/*"], verbs: [delete]}
  - {apiGroups: [apps], resources: [deployments], verbs: ["*"]}
  - {apiGroups: ["*"], resources: ["*/scale"], verbs: [update]}
  - {apiGroups: [stable.example.com], resources: [crontabs], verbs: [sync]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: operators, namespace: prod}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: operator}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: probe}
rules:
  - {nonResourceURLs: [/healthz, /metrics/*], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: probe}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: probe}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: monitoring}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dangling, namespace: dev}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: missing}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dora}]
"""


class NoNetwork(socket.socket):
    """Takes the place of ``socket.socket``: whoever opens one fails the test (H8)."""

    def __init__(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("graphsec opened a network socket")


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", NoNetwork)
        yield


class Run(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Graphsec(Protocol):
    """``graphsec("who can read secrets in prod")``: one command, as typed, in this process."""

    def __call__(self, command: str, *, stdin: bytes | None = None) -> Run: ...


@pytest.fixture
def graphsec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Graphsec:
    monkeypatch.delenv("GRAPHSEC_INPUT", raising=False)

    def run(command: str, *, stdin: bytes | None = None) -> Run:
        monkeypatch.setattr(sys, "stdin", _Terminal() if stdin is None else io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        return Run(main(shlex.split(command)), *capsys.readouterr())

    return run


class _Terminal(io.StringIO):
    """A standard input on which nothing was piped."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``world.yaml`` in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "world.yaml"
    path.write_text(WORLD, encoding="utf-8")
    return path
