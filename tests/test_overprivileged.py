"""Over-permission in its senses: for each a world where it holds and the smallest edit after which it does not; and laws."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import graphsec as gs
from graphsec.compile import CLUSTER
from graphsec.model.rbac import MASTERS_GROUP, PolicyRule, breakdown, covers
from graphsec.query._finding import Finding
from graphsec.query.overprivileged import Overprivileged
from graphsec.query.what_can import WhatCan

RBAC = "rbac.authorization.k8s.io"
DEFAULTS = ROOT / "graphsec" / "data" / "defaults"
ACCOUNTS = """\
{apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: shop}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: boss, namespace: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
"""


def role(name: str, *rules: str, namespace: str = "shop") -> str:
    kind, place = ("Role", f", namespace: {namespace}") if namespace else ("ClusterRole", "")
    lines = "".join(f"  - {rule}\n" for rule in rules)
    return f"apiVersion: {RBAC}/v1\nkind: {kind}\nmetadata: {{name: {name}{place}}}\nrules:\n{lines}---\n"


def bound(name: str, subject: str, *, namespace: str = "shop", to: str = "") -> str:
    """To the role of the same name, or to ClusterRole ``to``."""
    place = f", namespace: {namespace}" if namespace else ""
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    ref = f"{{apiGroup: {RBAC}, kind: {'ClusterRole' if to or not namespace else 'Role'}, name: {to or name}}}"
    who, _, where = subject.partition(":")[2].partition("/")
    words = f"kind: ServiceAccount, namespace: {who}, name: {where}"
    if not subject.startswith("sa:"):
        words = f"apiGroup: {RBAC}, kind: {subject.partition(':')[0].title()}, name: '{subject.partition(':')[2]}'"
    head = f"apiVersion: {RBAC}/v1\nkind: {kind}\nmetadata: {{name: {name}{place}}}\n"
    return f"{head}roleRef: {ref}\nsubjects: [{{{words}}}]\n---\n"


SECRETS = '{apiGroups: [""], resources: [secrets], verbs: [list]}'
PODS = '{apiGroups: [""], resources: [pods], verbs: [get, list]}'
TOKENS = '{apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}'
BOSS = bound("boss", "sa:shop/boss", namespace="", to="cluster-admin")

#: (sense, world, what it says of web, old text, new text): with the edit nothing of the sense is left about web.
CASES = [
    ("O1", BOSS + role("t", TOKENS) + bound("t", "sa:shop/web"), "critical", "serviceaccounts/token", "pods/log"),
    ("O1", bound("t", "sa:shop/web", namespace="", to="cluster-admin"), "critical", "cluster-admin", "view"),
    (
        "O2",
        role("s", SECRETS) + bound("s", "sa:shop/boss") + role("t", TOKENS) + bound("t", "sa:shop/web"),
        "medium",
        "serviceaccounts/token",
        "pods/log",
    ),
    # What follows is granted already: nothing is gained.
    (
        "O2",
        role("s", PODS) + bound("s", "sa:shop/boss") + role("t", TOKENS) + bound("t", "sa:shop/web"),
        "medium",
        TOKENS,
        f"{TOKENS}\n  - {PODS}",
    ),
    ("O4", role("w", PODS.replace("get, list", "'*'")) + bound("w", "sa:shop/web"), "high", "'*'", "get"),
    ("O4", role("w", PODS.replace("pods", "'*'")) + bound("w", "sa:shop/web"), "low", "'*'", "pods"),
    ("O4", role("w", PODS.replace('""', "'*'")) + bound("w", "sa:shop/web"), "low", "'*'", '""'),
    (
        "O6",
        role("p", PODS) + bound("p", "sa:shop/web") + role("q", PODS.replace(", list", "")) + bound("q", "sa:shop/web"),
        "info",
        "[pods], verbs: [get]}",
        "[pods], verbs: [watch]}",
    ),
    # Covered through an implicit group (S-46).
    (
        "O6",
        role("p", PODS) + bound("p", "sa:shop/web") + bound("q", "group:system:serviceaccounts:shop", to="view"),
        "info",
        "system:serviceaccounts:shop",
        "system:serviceaccounts:ops",
    ),
    # Two bindings of one role in one namespace: one of them may go.
    (
        "O6",
        role("p", PODS) + bound("p", "sa:shop/web") + bound("q", "sa:shop/web", to="view"),
        "info",
        "resources: [pods]",
        "resources: [secrets]",
    ),
    ("O7", role("p", PODS) + bound("q", "sa:shop/web"), "medium", "name: q}\nsubjects", "name: p}\nsubjects"),
    (
        "O7",
        role("p", PODS) + bound("p", "sa:shop/web"),
        "low",
        "name: web, namespace: shop}}",
        "name: wob, namespace: shop}}",
    ),
    ("O7", role("p", PODS.replace("pods", "pods/*")) + bound("p", "sa:shop/web"), "low", "pods/*", "pods/log"),
    ("O7", role("p", PODS.replace('""', "core")) + bound("p", "sa:shop/web"), "low", "core", '""'),
    ("O7", role("p", PODS.replace("get, list", "Get")) + bound("p", "sa:shop/web"), "low", "Get", "get"),
    ("O7", role("p", PODS.replace("pods", "nodes")) + bound("p", "sa:shop/web"), "low", "nodes", "pods"),
    (
        "O7",
        role("p", "{apiGroups: [''], resources: [pods], resourceNames: [a], verbs: [create]}")
        + bound("p", "sa:shop/web"),
        "low",
        ", resourceNames: [a]",
        "",
    ),
]
IDS = [f"{case[0]}-{number}" for number, case in enumerate(CASES)]


def ask(text: str, **more: Any) -> gs.Answer[Any]:
    objects = [body for body in yaml.safe_load_all(ACCOUNTS + text) if body]
    return gs.overprivileged(gs.load(*objects, with_defaults=True), **more)


def of_web(answer: Iterable[Any], sense: str) -> list[Any]:
    return [item for item in answer if item.sense == sense and str(item.subject) == "ServiceAccount/shop/web"]


@pytest.mark.parametrize(("sense", "text", "severity", "old", "new"), CASES, ids=IDS)
def test_a_sense_holds_until_the_smallest_edit(sense: str, text: str, severity: str, old: str, new: str) -> None:
    whole = ACCOUNTS + text
    flipped = sense == "O7" and new.startswith("name: wob")
    before, after = (whole.replace(old, new), whole) if flipped else (whole, whole.replace(old, new))
    assert before != after
    found, rest = (
        of_web(gs.overprivileged(gs.load(*[b for b in yaml.safe_load_all(one) if b], with_defaults=True)), sense)
        for one in (before, after)
    )
    assert [item.severity for item in found] == [severity]
    assert found[0].because
    assert rest == []


def test_nothing_of_a_fresh_cluster_is_too_much() -> None:
    """Default roles alone give no row, in any minor: told by content."""
    for path in sorted(DEFAULTS.glob("*.json")):
        answer = gs.overprivileged(gs.load(path))
        assert (path.name, list(answer)) == (path.name, [])
        assert answer.left_out > 40


def test_a_shipped_name_with_other_content_is_no_default() -> None:
    extra = bound("system:basic-user", "group:system:unauthenticated", namespace="", to="cluster-admin")
    [row] = [item for item in ask(extra) if item.sense == "O1"]
    assert (str(row.subject), row.severity, row.exposure) == (
        "Group/system:unauthenticated",
        "critical",
        "anybody without a credential",
    )


def test_what_comes_through_a_group_is_said_once() -> None:
    text = bound("all", "group:system:serviceaccounts", namespace="", to="cluster-admin")
    text += role("p", PODS) + bound("p", "sa:shop/web")
    answer = ask(text)
    assert {str(item.subject) for item in answer if item.sense == "O1"} == {"Group/system:serviceaccounts"}
    assert any(note.startswith("O1 of 1 subject is that of a group") for note in answer.notes)
    [asked] = [item for item in ask(text, subject="sa:shop/web") if item.sense == "O1"]
    assert str(asked.subject) == "ServiceAccount/shop/web"


def test_a_missing_account_has_nothing_yet() -> None:
    text = bound("b", "sa:shop/gone", namespace="", to="cluster-admin")
    rows = {item.sense: item for item in ask(text)}
    assert (rows["O1"].verdict, rows["O1"].severity) == ("conditional", "high")
    assert "once the account is created" in rows["O1"].message
    assert rows["O7"].because[0].binding == gs.Ref("ClusterRoleBinding", "b")


def test_exposure_raises_the_severity() -> None:
    text = role("s", SECRETS) + bound("s", "sa:shop/boss") + role("t", TOKENS) + bound("t", "sa:shop/{}")
    [web], [default] = (
        [item for item in ask(text.replace("{}", name)) if item.sense == "O2" and item.subject.name == name]
        for name in ("web", "default")
    )
    assert (web.severity, default.severity) == ("medium", "high")
    assert default.exposure == "every pod of shop that names no account"


def test_a_finding_keeps_its_fingerprint_when_files_move() -> None:
    def findings(*texts: str) -> list[Finding]:
        question = Overprivileged()
        objects = [body for text in texts for body in yaml.safe_load_all(text) if body]
        return list(question.findings(question.answer(gs.load(*objects, with_defaults=True))))

    one, other = ACCOUNTS + BOSS, role("w", PODS.replace("pods", "'*'")) + bound("w", "sa:shop/web")
    prints = [[finding.fingerprint for finding in findings(*texts)] for texts in ((one, other), (other, one))]
    assert prints[0] == prints[1]
    assert len(set(prints[0])) == len(prints[0]) > 2
    assert {finding.id for finding in findings(one, other)} <= {rule.id for rule in Overprivileged().rules()}


# -- laws on random clusters -------------------------------------------------------------------------------------

_words = st.sampled_from
_rule = st.builds(
    lambda verbs, resources, names: {
        "apiGroups": [""],
        "resources": resources,
        "verbs": verbs,
        **({"resourceNames": names} if names else {}),
    },
    st.lists(_words(["get", "list", "create", "*", "Get"]), min_size=1, max_size=2, unique=True),
    st.lists(
        _words(["pods", "secrets", "nodes", "pods/*", "*", "serviceaccounts/token"]),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    st.lists(_words(["a", "b"]), max_size=1),
)
_subject = _words(
    [
        {"kind": "ServiceAccount", "name": "web", "namespace": "shop"},
        {"kind": "ServiceAccount", "name": "gone", "namespace": "shop"},
        {"kind": "User", "name": "ann", "apiGroup": RBAC},
        {"kind": "Group", "name": "system:authenticated", "apiGroup": RBAC},
    ]
)


@st.composite
def clusters(draw: st.DrawFn) -> list[dict[str, Any]]:
    objects = [body for body in yaml.safe_load_all(ACCOUNTS) if body]
    for number in range(draw(st.integers(1, 3))):
        name = {"metadata": {"name": f"r{number}"}}
        objects.append(
            {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", **name, "rules": draw(st.lists(_rule, max_size=2))}
        )
    for number in range(draw(st.integers(1, 6))):
        namespace = draw(_words(["", "shop", "ops"]))
        objects.append(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
                "metadata": {"name": f"b{number}", **({"namespace": namespace} if namespace else {})},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"r{draw(st.integers(0, 3))}"},
                "subjects": draw(st.lists(_subject, min_size=1, max_size=2)),
            }
        )
    return objects


def held(world: gs.World, subject: gs.Ref) -> dict[str, list[PolicyRule]]:
    """Rules by scope, what holds everywhere counted in each namespace as well."""
    found: dict[str, list[PolicyRule]] = {CLUSTER: [], "shop": [], "ops": []}
    for grant in WhatCan(subject=subject).answer(world):
        scope = CLUSTER if grant.scope == "cluster" else grant.scope
        for place in found if scope == CLUSTER else (scope,):
            found[place].append(grant.rule)
    return found


def without(world: gs.World, grants: Iterable[tuple[gs.Ref | None, gs.Ref]]) -> gs.World:
    """As if these subjects were not in those bindings."""
    dropped = set(grants)
    objects = []
    for kind in world.cluster.objects:
        for loaded in world.cluster.of(kind):
            body: Any = {"apiVersion": "v1", "kind": kind, "metadata": {"name": loaded.ref.name}}
            if loaded.ref.namespace:
                body["metadata"]["namespace"] = loaded.ref.namespace
            if kind.endswith("Role"):
                rules = [rule.to_mapping() for rule in loaded.body.rules]
                body |= {"apiVersion": f"{RBAC}/v1", "rules": rules}
            if kind.endswith("RoleBinding"):
                [binding] = [one for one in world.access.bindings if one.ref == loaded.ref]
                left = [subject for subject in binding.subjects if (loaded.ref, subject) not in dropped]
                body |= {
                    "apiVersion": f"{RBAC}/v1",
                    "roleRef": {"apiGroup": RBAC, "kind": binding.role.kind, "name": binding.role.name},
                    "subjects": [
                        {"kind": s.kind, "name": s.name, **({"namespace": s.namespace} if s.namespace else {})}
                        for s in left
                    ],
                }
            objects.append(body)
    return gs.load(*objects)


@settings(max_examples=80, deadline=None)
@given(clusters())
def test_all_redundant_grants_may_go_together(objects: list[dict[str, Any]]) -> None:
    """What is left covers every atom that was held, and nothing that is left is covered by the rest (reference: Covers)."""
    world = gs.load(*objects)
    rows = [item for item in gs.overprivileged(world) if item.sense == "O6"]
    subjects = [subject for subject in world.access.subjects if subject != MASTERS_GROUP]
    for subject in subjects:
        less = without(world, [(row.grant, row.subject) for row in rows if row.subject == subject])
        old, new = held(world, subject), held(less, subject)
        for scope, rules in old.items():
            atoms = [atom for rule in rules for atom in breakdown(rule)]
            assert covers(new[scope], atoms), (subject, scope)
        mine = [one for one in less.access.bindings if subject in one.subjects and less.access.roles.get(one.role)]
        for binding in mine:
            granted = less.access.roles[binding.role].rules
            rest = held(without(less, [(binding.ref, subject)]), subject)
            assert not granted or not covers(rest[binding.scope], granted), (subject, binding.ref)


@settings(max_examples=60, deadline=None)
@given(clusters())
def test_grants_that_serve_nothing_change_no_answer(objects: list[dict[str, Any]]) -> None:
    world = gs.load(*objects)
    rows = [item for item in gs.overprivileged(world) if item.sense == "O7" and "of" not in item.message.split(": ")[1]]
    less = without(world, [(row.grant, row.subject) for row in rows])
    for subject, groups in (("system:serviceaccount:shop:web", None), ("ann", None)):
        for verb in ("get", "list", "create"):
            for resource, subresource in (("pods", ""), ("secrets", ""), ("nodes", ""), ("serviceaccounts", "token")):
                for namespace in ("", "shop", "ops"):
                    for name in ("", "a"):
                        words = [
                            gs.can_i(
                                one,
                                verb,
                                resource,
                                subresource=subresource,
                                namespace=namespace,
                                name=name,
                                user=subject,
                                groups=groups,
                            ).word
                            for one in (world, less)
                        ]
                        # What can-i calls conditional or unknown serves no real request either.
                        assert (words[0] == "yes") == (words[1] == "yes"), (subject, verb, resource, namespace, name)


@settings(max_examples=40, deadline=None)
@given(clusters())
def test_admin_equivalent_is_who_has_a_path(objects: list[dict[str, Any]]) -> None:
    world = gs.load(*objects, with_defaults=True)
    paths = {path.source for path in gs.paths(world, "all") if path.source != "Group/system:masters"}
    bound_ones = {str(subject) for subject in world.access.subjects}
    single = {
        str(subject)
        for subject in world.access.subjects
        if any(item.sense == "O1" for item in gs.overprivileged(world, subject))
    }
    kept = {source for source in single if source in paths}
    assert kept == paths & bound_ones
    assert {str(item.subject) for item in gs.overprivileged(world) if item.sense == "O1"} <= paths


# -- with an audit log -------------------------------------------------------------------------------------------


def event(namespace: str, verb: str = "list", resource: str = "pods") -> str:
    user = {"username": "system:serviceaccount:shop:web"}
    groups = ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]
    return json.dumps(
        {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "stage": "ResponseComplete",
            "verb": verb,
            "user": {**user, "groups": groups},
            "requestURI": f"/api/v1/namespaces/{namespace}/{resource}" if namespace else f"/api/v1/{resource}",
            "objectRef": {"resource": resource, "namespace": namespace, "apiVersion": "v1"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"authorization.k8s.io/decision": "allow"},
        }
    )


@pytest.mark.parametrize(
    ("events", "senses"),
    [
        ([event("shop")], {"O3", "O5"}),
        ([event("shop"), event("shop", "get")], {"O5"}),
        ([event(""), event("shop", "get")], set()),
    ],
)
def test_unused_and_scope_excess_stand_on_a_log(tmp_path: Path, events: list[str], senses: set[str]) -> None:
    log = tmp_path / "audit.log"
    log.write_text("\n".join(events) + "\n")
    text = role("p", PODS, namespace="") + bound("p", "sa:shop/web", namespace="")
    found = {item.sense: item for item in ask(text, audit_log=log)}
    assert set(found) == senses
    assert all("2026-01-01" in item.stands_on and item.because for item in found.values())
    assert {item.sense for item in ask(text)} == set()
