"""Real inputs that nobody on this project wrote: they load, and answers on them agree with the reference."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import reference

import graphsec as gs

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
DUMP = CORPORA / "dumps" / "real-cluster" / "cluster.json"
pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="the shared corpora are not beside this checkout")

REQUESTS = [
    ("get", "", "secrets", ""),
    ("list", "", "secrets", ""),
    ("create", "", "pods", "exec"),
    ("get", "", "nodes", "proxy"),
    ("update", "apps", "deployments", "scale"),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("impersonate", "", "users", ""),
    ("delete", "longhorn.io", "volumes", ""),
]
NAMESPACES = ["", "kube-system", "default", "cattle-system", "nowhere"]


@cache
def dumped() -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(DUMP.read_bytes())["items"]
    return [item for item in items if item["apiVersion"].startswith("rbac.authorization.k8s.io/")]


@cache
def world() -> gs.World:
    return gs.load(str(DUMP))


@pytest.mark.parametrize(("request_words", "namespace"), list(product(REQUESTS, NAMESPACES)))
def test_who_can_on_the_real_cluster(request_words: tuple[str, str, str, str], namespace: str) -> None:
    verb, group, resource, subresource = request_words
    attrs = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace}
    answer = gs.who_can(world(), verb, resource, group=group, subresource=subresource, namespace=namespace)
    found = {(item.subject.kind, item.subject.namespace, item.subject.name) for item in answer}
    assert found == reference.who_can(dumped(), attrs)
    assert all(item.because for item in answer)


@pytest.mark.parametrize("role", ["admin", "edit", "view"])
def test_aggregation_reproduces_what_the_controller_stored(role: str) -> None:
    """As manifests, without uid, the same roles are computed; as a dump they show no drift."""
    stored = next(item for item in dumped() if item["kind"] == "ClusterRole" and item["metadata"]["name"] == role)
    manifests = [{**item, "metadata": {**item["metadata"], "uid": None}} for item in dumped()]
    computed = gs.load({"kind": "List", "apiVersion": "v1", "items": manifests}).access.roles[
        gs.Ref("ClusterRole", role)
    ]
    expected = [gs.PolicyRule.from_mapping(rule) for rule in stored["rules"]]
    assert len(expected) > 10
    assert set(computed.rules) == set(expected)
    assert not [found for found in world().diagnostics if found.code == "GS-GR-003"]


def folders() -> list[str]:
    if not CORPORA.is_dir():
        return []
    groups = ("installs", "vulnerable", "apps", "dumps")
    return sorted(str(folder.relative_to(CORPORA)) for group in groups for folder in (CORPORA / group).iterdir())


@pytest.mark.parametrize("folder", folders())
def test_real_inputs_load(folder: str) -> None:
    """Every object of a known kind is there or has its diagnostic, and what RBAC there is can be asked."""
    loaded = gs.load(str(CORPORA / folder))
    rejected = sum(entry.rejected for entry in loaded.coverage)
    assert rejected == sum(found.code == "GS-IN-020" and bool(found.object) for found in loaded.diagnostics)
    assert len(loaded.cluster.inventory) > 0
    if loaded.access.bindings:
        readers = gs.who_can(loaded, ("get", "list", "watch"), "secrets", any_namespace=True, any_name=True)
        assert all(item.because for item in readers)


def test_argo_cd_secret_readers() -> None:
    """The install names no namespaces for its objects; its ClusterRoleBindings name argocd."""
    loaded = gs.load(str(CORPORA / "installs" / "argo-cd" / "install.yaml"), namespace="argocd")
    readers = gs.who_can(loaded, "get", "secrets", any_namespace=True)
    at_cluster = {str(item.subject) for item in readers if item.scope == "cluster"}
    assert at_cluster == {
        "Group/system:masters",
        "ServiceAccount/argocd/argocd-application-controller",
        "ServiceAccount/argocd/argocd-applicationset-controller",
        "ServiceAccount/argocd/argocd-server",
    }
    assert {item.scope for item in readers} == {"cluster", "argocd"}


def test_default_roles() -> None:
    loaded = gs.load(str(CORPORA / "bootstrap-rbac"))
    readers = gs.who_can(loaded, "list", "secrets")
    assert {str(item.subject) for item in readers} == {
        "Group/system:masters",
        "ServiceAccount/kube-system/generic-garbage-collector",
        "ServiceAccount/kube-system/namespace-controller",
        "ServiceAccount/kube-system/resourcequota-controller",
        "User/system:kube-controller-manager",
    }
