"""Who gets at Secrets, volumes and backups: each way with the grant that opens it, and the edit that shuts it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from test_overprivileged import bound, role

import graphsec as gs
from graphsec.query.data_access import WAYS, DataAccess

OBJECTS = """\
{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shop}, type: Opaque}
---
{apiVersion: v1, kind: Secret, metadata: {name: spare, namespace: shop}, type: Opaque}
---
{apiVersion: v1, kind: Secret, metadata: {name: other, namespace: ops}, type: Opaque}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: shop}}
---
{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshot, metadata: {name: daily, namespace: shop}}
---
{apiVersion: velero.io/v1, kind: Backup, metadata: {name: night, namespace: velero}}
---
{apiVersion: velero.io/v1, kind: Restore, metadata: {name: test, namespace: velero}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers: [{name: web, image: web, env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: a}}}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: restores.velero.io}
spec: {group: velero.io, scope: Namespaced, names: {kind: Restore, plural: restores}, versions: [{name: v1}]}
---
"""
SECRET, CLAIM, SNAPSHOT = "Secret/shop/db", "PersistentVolumeClaim/shop/data", "VolumeSnapshot/shop/daily"
BACKUP, RESTORE = "Backup.velero.io/velero/night", "Restore.velero.io/velero/test"


def rule(verbs: str, resources: str, group: str = '""', names: str = "") -> str:
    limited = f", resourceNames: [{names}]" if names else ""
    return f"{{apiGroups: [{group}], resources: [{resources}]{limited}, verbs: [{verbs}]}}"


def ask(text: str, target: str | None = None) -> gs.Answer[Any]:
    world = gs.load(*[body for body in yaml.safe_load_all(OBJECTS + text) if body])
    return gs.access(world, target)


def granted(*rules: str, namespace: str = "shop") -> str:
    return role("r", *rules, namespace=namespace) + bound("r", "user:ann", namespace=namespace)


#: (rules in a namespace, what ann can then do with which objects there); the first rule alone gives less.
CASES: list[tuple[tuple[str, ...], str, set[tuple[str, str]]]] = [
    ((rule("list", "secrets"),), "shop", {("read", SECRET), ("read", "Secret/shop/spare")}),
    ((rule("get", "secrets", names="db"),), "shop", {("read", SECRET)}),
    ((rule("patch", "secrets", names="db"),), "shop", {("read", SECRET), ("change", SECRET)}),
    ((rule("update", "secrets", names="db"),), "shop", {("change", SECRET)}),
    (
        (rule("create", "cronjobs", "batch"),),
        "shop",
        {("mount", SECRET), ("mount", "Secret/shop/spare"), ("mount", CLAIM)},
    ),
    ((rule("create", "pods/exec"),), "shop", {("mount", SECRET), ("mount", CLAIM)}),
    ((rule("create", "pods/exec", names="api"),), "shop", set()),
    ((rule("patch", "pods", names="web"),), "shop", {("mount", SECRET), ("mount", CLAIM)}),
    ((rule("delete", "persistentvolumeclaims"),), "shop", {("change", CLAIM)}),
    ((rule("create", "persistentvolumeclaims"),), "shop", {("restore", SNAPSHOT)}),
    (
        (rule("create", "persistentvolumeclaims"), rule("create", "volumesnapshots", "snapshot.storage.k8s.io")),
        "shop",
        {("restore", SNAPSHOT), ("restore", CLAIM)},
    ),
    ((rule("delete", "volumesnapshots", "snapshot.storage.k8s.io"),), "shop", {("change", SNAPSHOT)}),
    ((rule("create", "downloadrequests", "velero.io"),), "velero", {("read", BACKUP)}),
    ((rule("create", "restores", "velero.io"),), "velero", {("restore", BACKUP)}),
    ((rule("create", "deletebackuprequests", "velero.io"),), "velero", {("change", BACKUP)}),
    ((rule("create", "backups", "velero.io"),), "velero", set()),
    ((rule("create", "backups, backupstoragelocations", "velero.io"),), "velero", {("read", BACKUP)}),
    ((rule("delete", "restores", "velero.io"),), "velero", {("change", RESTORE)}),
    ((rule("get", "pods, configmaps"),), "shop", set()),
    ((rule("create", "volumesnapshots", "snapshot.storage.k8s.io"),), "shop", set()),
]


@pytest.mark.parametrize(("rules", "namespace", "expected"), CASES, ids=[", ".join(case[0]) for case in CASES])
def test_each_way(rules: tuple[str, ...], namespace: str, expected: set[tuple[str, str]]) -> None:
    answer = ask(granted(*rules, namespace=namespace))
    assert {(item.action, str(ref)) for item in answer for ref in item.objects} == expected
    assert all(item.because and item.because[0].source for item in answer)
    # Without the binding nobody can do anything.
    assert list(ask(role("r", *rules, namespace=namespace))) == []


def test_one_row_for_what_holds_everywhere() -> None:
    text = role("r", rule("list", "secrets"), namespace="") + bound("r", "user:ann", namespace="")
    text += role("s", rule("list", "secrets")) + bound("s", "user:ann")
    [row] = [item for item in ask(text) if item.kind == "Secret"]
    assert (row.scope, [str(ref) for ref in row.objects]) == (
        "cluster",
        ["Secret/ops/other", "Secret/shop/db", "Secret/shop/spare"],
    )


def test_one_object() -> None:
    answer = ask(granted(rule("get", "secrets", names="db"), rule("create", "pods")), "secret/shop/db")
    assert [(item.action, item.ways[0]) for item in answer] == [
        ("read", "get, list or watch"),
        ("mount", "a new pod or workload that mounts it"),
    ]
    assert list(ask(granted(rule("get", "secrets", names="db")), "secret/shop/spare")) == []
    with pytest.raises(gs.UsageError, match="no object"):
        ask("", "configmap/shop/db")


def test_secrets_that_the_input_does_not_show() -> None:
    objects = [body for body in yaml.safe_load_all(granted(rule("list", "secrets"))) if body]
    answer = DataAccess().answer(gs.load(*objects))
    assert [(item.action, item.objects) for item in answer] == [("read", ())]
    assert any("whatever Secrets there are" in note for note in answer.notes)


def test_every_way_is_tried() -> None:
    """A cluster-wide holder of everything does each action in all its ways."""
    everything = role("r", "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}", namespace="")
    answer = ask(everything + bound("r", "user:ann", namespace=""))
    tried = {(item.kind, item.action, words) for item in answer for words in item.ways}
    assert tried == {(way.kind, way.action, way.words) for way in WAYS}
