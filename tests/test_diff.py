"""`diff`: access, paths and what waits, told of whom it is; refactorings are no difference; checks never pass on what is not there."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import reference
from conftest import ROOT, Graphsec
from hypothesis import assume, given
from test_agreement import CLUSTERS, RBAC, examples, identity

import graphsec as gs
from graphsec.model.rbac import Request, covers, username
from graphsec.query.diff import Diff

Object = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"


def load(objects: list[Object]) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects})


def role(name: str, *rules: Object, namespace: str = "", **labels: str) -> Object:
    kind = "Role" if namespace else "ClusterRole"
    metadata: Object = {"name": name, "labels": {key.replace("_", "-"): value for key, value in labels.items()}}
    return {"apiVersion": RBAC, "kind": kind, "metadata": metadata | place(namespace), "rules": list(rules)}


def binding(name: str, role_name: str, *subjects: str, namespace: str = "", kind: str = "ClusterRole") -> Object:
    return {
        "apiVersion": RBAC,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name} | place(namespace),
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role_name},
        "subjects": list(map(subject, subjects)),
    }


def place(namespace: str) -> Object:
    return {"namespace": namespace} if namespace else {}


def subject(text: str) -> Object:
    kind, _, name = text.partition(":")
    if kind == "sa":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": kind.capitalize(), "name": name, "apiGroup": GROUP}


def rule(verbs: str, resources: str, names: str = "", groups: str = "") -> Object:
    names_of = {"resourceNames": names.split()} if names else {}
    return {"apiGroups": groups.split() or [""], "resources": resources.split(), "verbs": verbs.split()} | names_of


def obj(kind: str, name: str, namespace: str = "", **fields: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name} | place(namespace)} | fields


#: One of each kind, so that none is absent; bound to nobody, granting nothing.
EVERY_KIND = [
    role("empty"),
    role("empty", namespace="z"),
    binding("empty", "empty"),
    binding("empty", "empty", namespace="z"),
]
READERS = [
    *EVERY_KIND,
    role("reader", rule("get list", "secrets")),
    binding("readers", "reader", "user:ann", namespace="a"),
]


def told(old: list[Object], new: list[Object]) -> list[tuple[str, ...]]:
    """(change, subject, rules, scope) of each change of access."""
    return [
        (item.change, str(item.subject), item.what, item.scope)
        for item in gs.diff(load(old), load(new))
        if item.kind == "access"
    ]


# -- access, world by world ---------------------------------------------------------------------------------------


class TestAccess:
    def test_gained_with_its_line(self, tmp_path: Path) -> None:
        worlds = []
        for name, objects in (("old", EVERY_KIND), ("new", READERS)):
            file = tmp_path / f"{name}.yaml"
            file.write_text("\n---\n".join(json.dumps(found) for found in objects))
            worlds.append(gs.load(file))
        [item, *_] = gs.diff(*worlds)
        assert (item.kind, item.change, str(item.subject), item.scope) == ("access", "gained", "User/ann", "a")
        assert [found.to_mapping() for found in item.rules] == [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
        ]
        assert item.cause == "new RoleBinding/a/readers"
        assert str(item.source) == f"{tmp_path}/new.yaml:11"
        [proof] = item.because
        assert (str(proof.binding), str(proof.role), proof.rule_index) == (
            "RoleBinding/a/readers",
            "ClusterRole/reader",
            0,
        )
        assert str(item.witness) == "get secrets in a"

    @pytest.mark.parametrize(
        ("change", "cause"),
        [
            (
                lambda objects: objects.append(binding("more", "writer", "user:ann", namespace="a")),
                "new RoleBinding/a/more",
            ),
            (
                lambda objects: objects[-1]["roleRef"].update(name="writer"),
                "RoleBinding/a/readers now refers to ClusterRole/writer",
            ),
            (lambda objects: objects[-2]["rules"].append(rule("delete", "secrets")), "ClusterRole/reader changed"),
            (lambda objects: objects[-1]["subjects"].append(subject("user:bob")), "added to RoleBinding/a/readers"),
        ],
    )
    def test_causes(self, change: Callable[[list[Object]], None], cause: str) -> None:
        old = [*EVERY_KIND, role("writer", rule("get list delete", "secrets")), *READERS[-2:]]
        new = copy.deepcopy(old)
        change(new)
        assert [item.cause for item in gs.diff(load(old), load(new)) if item.kind == "access"] == [cause]
        back = [item.change for item in gs.diff(load(new), load(old)) if item.kind == "access"]
        assert back == ["lost"]

    def test_what_the_group_of_an_account_has_is_not_new(self) -> None:
        group = binding("all", "reader", "group:system:serviceaccounts:a")
        own = binding("own", "reader", "sa:a/x", namespace="b")
        assert told([*READERS, group], [*READERS, group, own]) == []
        other = binding("own", "reader", "sa:b/x", namespace="b")
        assert told([*READERS, group], [*READERS, group, other]) == [
            ("gained", "ServiceAccount/b/x", "get,list secrets", "b")
        ]

    def test_what_a_group_gains_is_one_row(self) -> None:
        accounts = [binding(f"b{number}", "reader", f"sa:a/s{number}", namespace="c") for number in range(3)]
        group = binding("all", "reader", "group:system:serviceaccounts:a", namespace="c")
        assert told(READERS, [*READERS, group, *accounts]) == [
            ("gained", "Group/system:serviceaccounts:a", "get,list secrets", "c")
        ]
        # They have it still, of their own.
        assert told([*READERS, group, *accounts], [*READERS, *accounts]) == [
            ("lost", "Group/system:serviceaccounts:a", "get,list secrets", "c")
        ]

    def test_masters_gain_nothing(self) -> None:
        assert told(READERS, [*READERS, binding("m", "reader", "group:system:masters")]) == []

    def test_new_elsewhere(self) -> None:
        [item] = [
            item
            for item in gs.diff(load(READERS), load([*READERS, binding("w", "reader", "user:ann")]))
            if item.kind == "access"
        ]
        assert (item.scope, item.elsewhere) == ("cluster", ("a",))
        assert item.remark == "new elsewhere, had it in a"

    def test_narrowed_to_a_namespace(self) -> None:
        wide = binding("w", "reader", "user:ann")
        assert told([*READERS, wide], READERS) == [("lost", "User/ann", "get,list secrets", "cluster")]

    def test_only_what_differs(self) -> None:
        old = [
            *EVERY_KIND,
            role("r", rule("get", "secrets", names="x"), rule("*", "pods")),
            binding("b", "r", "user:u"),
        ]
        new = [
            *EVERY_KIND,
            role("r", rule("get", "secrets", names="x y"), rule("get *", "pods pods/log")),
            binding("b", "r", "user:u"),
        ]
        assert told(old, new) == [("gained", "User/u", "* pods/log; get secrets (names: y)", "cluster")]

    def test_urls_in_a_namespace_are_nobody_s(self) -> None:
        urls = role("urls", {"nonResourceURLs": ["/metrics"], "verbs": ["get"]})
        old = [*EVERY_KIND, urls]
        assert told(old, [*old, binding("b", "urls", "user:u", namespace="a")]) == []
        assert told(old, [*old, binding("b", "urls", "user:u")]) == [("gained", "User/u", "get /metrics", "cluster")]

    def test_inert(self) -> None:
        old = [*EVERY_KIND, role("nodes", rule("get", "nodes"))]
        new = [*old, binding("b", "nodes", "user:u", namespace="a")]
        answer = gs.diff(load(old), load(new), checks=["no-new-access"])
        assert "cluster-scoped" in answer.items[0].inert
        assert answer.passed

    def test_memberships(self) -> None:
        objects = {
            "apiVersion": "v1",
            "kind": "List",
            "items": [*READERS, binding("g", "reader", "group:ops", namespace="c")],
        }
        old = gs.load(objects, memberships={"groups": {"ops": ["ann"]}})
        new = gs.load(objects, memberships={"groups": {"ops": ["ann", "bea"]}})
        [item] = [item for item in gs.diff(old, new) if item.kind == "access"]
        assert (str(item.subject), item.scope, item.cause) == ("User/bea", "c", "now a member of Group/ops")

    def test_namespace(self) -> None:
        new = [*READERS, binding("b", "reader", "user:bob", namespace="b"), binding("c", "reader", "user:eve")]
        answer = gs.diff(load(READERS), load(new), namespace="a")
        assert [str(item.subject) for item in answer if item.kind == "access"] == ["User/eve"]

    def test_folded_rows(self) -> None:
        new = copy.deepcopy(READERS)
        new[-1]["subjects"] += [subject(f"user:u{number}") for number in range(5)]
        answer = gs.diff(load(READERS), load(new))
        [row] = answer.sections(wide=False)[0].rows()
        assert row[:4] == ("gained", "5 subjects (user:u0, …)", "get,list secrets", "a")
        assert len(answer.sections(wide=True)[0].rows()) == 5

    def test_a_rule_too_large_to_take_apart(self) -> None:
        words = " ".join(f"w{number}" for number in range(500))
        huge = [*EVERY_KIND, role("huge", rule(words, words)), binding("b", "huge", "user:u")]
        with pytest.raises(gs.LimitError, match="250,000 combinations"):
            gs.diff(load(EVERY_KIND), load(huge))


# -- laws ---------------------------------------------------------------------------------------------------------

WORLDS = CLUSTERS.map(lambda objects: [*EVERY_KIND, *objects])


def summary(objects: list[Object], others: list[Object]) -> set[tuple[Any, ...]]:
    return {
        (item.change, item.subject, item.scope, item.rules, item.elsewhere, item.inert)
        for item in gs.diff(load(objects), load(others), checks=["no-new-access"])
        if item.kind == "access"
    }


@examples(40, given(WORLDS))
def test_nothing_differs_from_itself(objects: list[Object]) -> None:
    world = load(objects)
    answer = gs.diff(world, load(copy.deepcopy(objects)), checks=["no-new-access", "no-new-paths"])
    assert (list(answer), answer.undecided) == ([], ())
    assert "FAIL" not in {found.word for found in answer.checks}


@examples(40, given(WORLDS, WORLDS))
def test_there_and_back(old: list[Object], new: list[Object]) -> None:
    opposite = {"gained": "lost", "lost": "gained"}
    there = {(opposite[change], *rest) for change, *rest in summary(old, new)}
    assert there == summary(new, old)


@examples(40, given(WORLDS, st.data()))
def test_fewer_objects_are_only_lost(objects: list[Object], data: st.DataObject) -> None:
    # A role that begins to be selected takes the place of rules that were written by hand (S-50).
    assume(not any(found.get("aggregationRule") for found in objects))
    kept = [found for found in objects[len(EVERY_KIND) :] if data.draw(st.booleans())]
    assert {change for change, *_ in summary([*EVERY_KIND, *kept], objects)} <= {"gained"}


@examples(40, given(WORLDS, WORLDS))
def test_witnesses(old: list[Object], new: list[Object]) -> None:
    """What each change says is so by the reference: its request is allowed in one world and denied in the other."""
    answer = gs.diff(load(old), load(new), checks=["no-new-access"])
    sides = {"gained": (new, old), "lost": (old, new)}
    for item in answer.of("access"):
        has, lacks = map(reference.with_aggregation, sides[item.change])
        assert item.witnesses
        assert item.because
        for request in item.witnesses:
            assert is_allowed(has, item.subject, request), (item, request)
            assert not is_allowed(lacks, item.subject, request), (item, request)


@examples(40, given(WORLDS, WORLDS))
def test_nothing_is_left_out(old: list[Object], new: list[Object]) -> None:
    """Every atom that a subject of the new world holds is held in the old one, or told as gained, of it or of a group."""
    before, after = load(old), load(new)
    gained = [item for item in gs.diff(before, after, checks=["no-new-access"]).of("access") if item.change == "gained"]
    for who in after.access.subjects:
        names = [
            who,
            *(gs.Ref("Group", group) for group in reference.implicit_groups(username(who)) if who.kind != "Group"),
        ]
        for grant in gs.what_can(after, who):
            scope = "" if grant.scope == "cluster" else grant.scope
            known = [found.rule for found in gs.what_can(before, who) if found.scope in ("cluster", grant.scope)]
            known += [
                rule
                for item in gained
                if item.subject in names and item.scope in ("cluster", grant.scope)
                for rule in item.rules
            ]
            missing = [atom for atom in covers(known, [grant.rule]).uncovered if not (atom.urls and scope)]
            # A group is also in system:authenticated; system:masters needs no grant.
            if who.kind == "Group":
                above = ["system:authenticated", "system:serviceaccounts"]
                more = [
                    r
                    for g in above
                    for f in gs.what_can(before, gs.Ref("Group", g))
                    if f.scope in ("cluster", grant.scope)
                    for r in [f.rule]
                ]
                more += [
                    r
                    for item in gained
                    if item.subject.name in above and item.scope in ("cluster", grant.scope)
                    for r in item.rules
                ]
                missing = list(covers(more, missing).uncovered)
            assert not missing, (who, grant.scope, missing)


def is_allowed(objects: list[Object], who: gs.Ref, request: Request) -> bool:
    attrs: Object = {"verb": request.verb}
    if request.url:
        attrs |= {"path": request.url}
    else:
        attrs |= {key: getattr(request, key) for key in ("group", "resource", "subresource", "name", "namespace")}
    if who.kind == "Group":
        return reference.can(objects, "", [who.name], attrs)
    user = username(who)
    return reference.can(objects, user, reference.implicit_groups(user), attrs)


# -- refactorings -------------------------------------------------------------------------------------------------


@st.composite
def refactored(draw: st.DrawFn) -> tuple[list[Object], list[Object]]:
    """Objects, and others that grant the same: rules split, merged and repeated, roles and bindings renamed, keys reordered."""
    objects = draw(WORLDS)
    assume(not any(found.get("aggregationRule") for found in objects))
    dice = random.Random(draw(st.integers(0, 2**32)))
    renamed = {identity(found): f"n{dice.randrange(10**9)}" for found in objects}
    others = []
    for found in copy.deepcopy(objects):
        namespace = found["metadata"].get("namespace", "")
        name = renamed[identity(found)]
        if found["kind"] in ("Role", "ClusterRole"):
            found["rules"] = _reworded(found.get("rules") or [], dice)
        else:
            # A role that is not there keeps its name: whoever makes one of another name gives nobody anything.
            ref = found["roleRef"]
            ref["name"] = renamed.get(
                (ref["kind"], namespace if ref["kind"] == "Role" else "", ref["name"]), ref["name"]
            )
            found["subjects"] = dice.sample(found["subjects"] or [], len(found["subjects"] or []))
        found["metadata"] = {"name": name, **place(namespace)}
        others.append(dict(dice.sample(list(found.items()), len(found))))
    dice.shuffle(others)
    return objects, others


def _reworded(rules: list[Object], dice: random.Random) -> list[Object]:
    found: list[Object] = []
    for one in rules:
        parts = [one]
        for key in ("verbs", "resources", "apiGroups", "nonResourceURLs"):
            if dice.random() < 0.5:
                parts = (
                    [{**part, key: [word]} for part in parts for word in part.get(key) or []] if one.get(key) else parts
                )
        found += parts
    found += dice.sample(found, min(len(found), 1))
    dice.shuffle(found)
    return [{key: dice.sample(words, len(words)) if words else words for key, words in one.items()} for one in found]


@examples(40, given(refactored()))
def test_refactorings_are_no_difference(pair: tuple[list[Object], list[Object]]) -> None:
    old, new = pair
    assert list(gs.diff(load(old), load(new), checks=["no-new-access"])) == []


@examples(3, given(refactored()))
def test_refactorings_open_no_path(pair: tuple[list[Object], list[Object]]) -> None:
    old, new = pair
    assert list(gs.diff(load(old), load(new))) == []


def test_an_enumerated_group_is_the_whole_of_it() -> None:
    old = [*EVERY_KIND, role("r", rule("get list watch", "pods secrets")), binding("b", "r", "group:g")]
    parts = [role(f"r{n}", rule(verb, "secrets pods")) for n, verb in enumerate(("get", "list", "watch"))]
    new = [*EVERY_KIND, *parts, *(binding(f"b{n}", f"r{n}", "group:g") for n in range(3))]
    assert list(gs.diff(load(old), load(new))) == []


# -- paths --------------------------------------------------------------------------------------------------------

ADMIN = [
    *EVERY_KIND,
    role("cluster-admin", rule("*", "*", groups="*"), {"nonResourceURLs": ["*"], "verbs": ["*"]}),
    binding("admin", "cluster-admin", "sa:kube-system/root"),
    obj("ServiceAccount", "root", "kube-system"),
    obj("ServiceAccount", "deployer", "ci"),
    role("tokens", rule("create", "serviceaccounts/token")),
    role("enter", rule("create", "serviceaccounts/token", names="deployer")),
    *(binding(f"e{n}", "enter", f"user:u{n}", namespace="ci") for n in range(4)),
]
OPENED = [*ADMIN, binding("addons", "tokens", "sa:ci/deployer", namespace="kube-system")]


class TestPaths:
    def test_all_that_reach_it_now_by_one_step(self) -> None:
        answer = gs.diff(load(ADMIN), load(OPENED))
        [item] = answer.of("path")
        assert (item.change, item.sink, item.before, item.after) == ("gained", "cluster-admin", 1, 6)
        assert item.subjects == ("ServiceAccount/ci/deployer", *(f"User/u{n}" for n in range(4)))
        assert item.through == "ServiceAccount/ci/deployer"
        assert item.cause.startswith("new RoleBinding/kube-system/addons")
        # Their own access has not changed.
        assert [str(found.subject) for found in answer.of("access")] == ["ServiceAccount/ci/deployer"]
        assert gs.replay(load(OPENED), item.path)

    def test_and_back(self) -> None:
        [item] = gs.diff(load(OPENED), load(ADMIN)).of("path")
        assert (item.change, item.before, item.after) == ("lost", 6, 1)
        assert item.cause.startswith("RoleBinding/kube-system/addons removed")

    def test_the_minimal_edit(self) -> None:
        named = role("tokens", rule("create", "serviceaccounts/token", names="other"))
        changed = [named if found["metadata"]["name"] == "tokens" else found for found in OPENED]
        assert gs.diff(load(ADMIN), load(changed)).of("path") == ()

    def test_findings_tell_the_steps(self) -> None:
        question = Diff.between(load(ADMIN), load(OPENED), checks=("no-new-paths",))
        answer = question.answer(load(ADMIN), load(OPENED))
        [finding] = question.findings(answer)
        assert (finding.id, finding.severity, finding.subject) == ("GS-D-002", "critical", "ServiceAccount/ci/deployer")
        assert len(finding.steps) >= 2
        assert finding.source


# -- what waits ---------------------------------------------------------------------------------------------------

WAITING = [*EVERY_KIND, obj("ServiceAccount", "z", "z"), role("reader", rule("get", "secrets"))]
_AGGREGATE = role("sum", total="x") | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "sum"}}]}}


class TestLatent:
    @staticmethod
    def events(old: list[Object], new: list[Object]) -> list[tuple[str, str, str]]:
        return [(item.change, item.event, str(item.object)) for item in gs.diff(load(old), load(new)).of("latent")]

    def test_a_dangling_role_ref_becomes_live(self) -> None:
        old = [*WAITING, binding("b", "later", "user:u", namespace="a")]
        new = [*old, role("later", rule("get", "pods"))]
        assert self.events(old, new) == [("gained", "role-live", "ClusterRole/later")]
        [item] = gs.diff(load(old), load(new)).of("access")
        assert item.cause == "new ClusterRole/later, which RoleBinding/a/b waited for"
        assert self.events(new, old) == [("gained", "role-missing", "ClusterRole/later")]

    def test_a_new_dangling_one(self) -> None:
        new = [*WAITING, binding("b", "later", "user:u", namespace="a")]
        assert self.events(WAITING, new) == [("gained", "role-missing", "ClusterRole/later")]
        assert self.events(new, WAITING) == [("lost", "role-missing", "ClusterRole/later")]
        renamed = [*WAITING, binding("c", "later", "user:u", namespace="a")]
        assert self.events(new, renamed) == []

    @pytest.mark.parametrize("bound", [True, False])
    def test_a_label_joins_an_aggregate(self, bound: bool) -> None:
        holders = [binding("s", "sum", "group:g")] if bound else []
        old = [*WAITING, _AGGREGATE, *holders, role("part", rule("get", "secrets"))]
        new = [*WAITING, _AGGREGATE, *holders, role("part", rule("get", "secrets"), to="sum")]
        assert self.events(old, new) == [("gained", "aggregate-joins", "ClusterRole/part")]
        assert self.events(new, old) == [("lost", "aggregate-leaves", "ClusterRole/part")]
        assert len(gs.diff(load(old), load(new)).of("access")) == bound
        assert not gs.diff(load(old), load(new), checks=["no-new-access"]).passed

    def test_an_aggregate_that_every_cluster_has(self) -> None:
        labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
        part = role("part", rule("get", "secrets"))
        joined = {**part, "metadata": {"name": "part", "labels": labels}}
        [item] = gs.diff(load([*WAITING, part]), load([*WAITING, joined])).of("latent")
        assert item.text.startswith("ClusterRole/view (not in the input, every cluster has it) selects it: get secrets")
        # What it holds anyway is no news.
        harmless = {**joined, "rules": [rule("get", "pods")]}
        assert self.events(WAITING, [*WAITING, harmless]) == []

    def test_a_part_that_is_renamed(self) -> None:
        parts = [role(name, rule("get", "secrets"), to="sum") for name in ("one", "two")]
        assert self.events([*WAITING, _AGGREGATE, parts[0]], [*WAITING, _AGGREGATE, parts[1]]) == []

    def test_an_account_that_bindings_wait_for(self) -> None:
        old = [*WAITING, binding("b", "reader", "sa:a/late", namespace="a")]
        account = obj("ServiceAccount", "late", "a")
        assert self.events(old, [*old, account]) == [("gained", "account-live", "ServiceAccount/a/late")]
        assert self.events([*old, account], old) == [("gained", "account-missing", "ServiceAccount/a/late")]
        # Made together with its grant it waited for nothing.
        assert self.events(WAITING, [*old, account]) == []

    def test_a_namespace_that_bindings_wait_for(self) -> None:
        old = [*WAITING, obj("Namespace", "z"), binding("b", "reader", "sa:a/late", "sa:a/default", namespace="a")]
        assert self.events(old, [*old, obj("Namespace", "a")]) == [
            ("gained", "account-live", "ServiceAccount/a/default"),
            ("gained", "namespace-live", "Namespace/a"),
        ]


# -- checks -------------------------------------------------------------------------------------------------------

DENY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "a"},
    "spec": {"podSelector": {"matchLabels": {"app": "db"}}},
}


def verdict(old: list[Object], new: list[Object], check: str, **given_: Any) -> Any:
    [found] = gs.diff(load(old), load(new), checks=[check], **given_).checks
    return found


def pod(name: str, **labels: str) -> Object:
    found = obj("Pod", name, "a", spec={"containers": [{"name": "c"}]})
    return {**found, "metadata": {**found["metadata"], "labels": labels}}


class TestChecks:
    @pytest.mark.parametrize(
        ("check", "old", "bad", "good"),
        [
            ("no-new-access", READERS, [*READERS, binding("w", "reader", "user:ann")], READERS[::-1]),
            (
                "no-new-access",
                [*READERS, binding("w", "reader", "user:ann")],
                [*READERS, binding("w", "reader", "user:bob")],
                READERS,
            ),
            (
                "no-new-paths",
                [*ADMIN, pod("p"), obj("Node", "n")],
                [*OPENED, pod("p"), obj("Node", "n")],
                [*ADMIN, pod("p"), obj("Node", "n"), binding("x", "tokens", "sa:ci/deployer", namespace="ci")],
            ),
            (
                "no-new-flows",
                [pod("web", app="web"), pod("db", app="db"), DENY],
                [pod("web", app="web"), pod("db", app="other"), DENY],
                [DENY, pod("db", app="db", more="x"), pod("web", app="web")],
            ),
            ("no-public-access", READERS, [*READERS, binding("p", "reader", "group:system:authenticated")], READERS),
            (
                "no-public-access",
                READERS,
                [*READERS, binding("p", "reader", "user:system:anonymous", namespace="a")],
                READERS,
            ),
            (
                "no-public-access",
                READERS,
                [*READERS, binding("p", "reader", "group:system:serviceaccounts:a")],
                READERS,
            ),
        ],
    )
    def test_fails_and_passes(self, check: str, old: list[Object], bad: list[Object], good: list[Object]) -> None:
        failed = verdict(old, bad, check)
        assert failed.word == "FAIL"
        assert failed.findings
        assert all(finding.source for finding in failed.findings)
        assert verdict(old, good, check).word == "PASS"

    def test_access_not_granted(self) -> None:
        """The new input alone: what was there before fails as well."""
        asked: Object = {"verb": "get", "resource": "secrets"}
        assert verdict(READERS, READERS, "access-not-granted", **asked).word == "FAIL"
        assert "as before" in verdict(READERS, READERS, "access-not-granted", **asked).reasons[0]
        assert verdict(READERS, READERS, "access-not-granted", **asked, namespace="a").word == "FAIL"
        assert verdict(READERS, READERS, "access-not-granted", **asked, namespace="b").word == "PASS"
        assert verdict(READERS, READERS, "access-not-granted", verb="delete", resource="secrets").word == "PASS"

    def test_public_by_content(self) -> None:
        """What Kubernetes gives everybody is nobody's fault, whatever the binding is called."""
        basic = role("mine", rule("create", "selfsubjectaccessreviews", groups="authorization.k8s.io"))
        shipped = [*READERS, basic, binding("mine", "mine", "group:system:authenticated")]
        assert verdict(READERS, shipped, "no-public-access").word == "PASS"

    @pytest.mark.parametrize("kind", ["ClusterRoleBinding", "RoleBinding", "ClusterRole"])
    @pytest.mark.parametrize("side", ["old", "new", "both"])
    def test_never_passes_on_a_kind_that_is_absent(self, kind: str, side: str) -> None:
        without = [found for found in READERS if found["kind"] != kind]
        old = READERS if side == "new" else without
        new = READERS if side == "old" else without
        found = verdict(old, new, "no-new-access")
        assert found.word == "UNKNOWN" or (side == "old" and found.word == "FAIL")
        assert found.reasons

    def test_what_vanishes_with_its_kind_is_not_lost(self) -> None:
        without = [found for found in READERS if found["kind"] != "RoleBinding"]
        answer = gs.diff(load(READERS), load(without))
        assert answer.of("access") == ()
        assert answer.undecided == (
            "no RoleBinding in the new input, 2 in the old: nothing that they granted is called lost",
        )
        assert not answer.complete

    def test_no_access_at_all_in_one_input(self) -> None:
        world = load([*READERS, pod("web")])
        answer = gs.diff(world, load([pod("web")]), checks=["no-new-access", "no-new-flows"])
        assert answer.checks[0].word == "UNKNOWN"
        assert answer.compared == ("flow",)

    def test_no_policy_is_not_no_change(self) -> None:
        assert verdict([pod("web")], [pod("web")], "no-new-flows").word == "UNKNOWN"

    def test_findings_are_stable(self) -> None:
        """A fingerprint outlives renaming and moving of what grants."""
        prints = set()
        for name in ("one", "two"):
            new = [*READERS, binding(name, "reader", "user:eve", namespace="b")]
            [finding] = verdict(READERS, new, "no-new-access").findings
            prints.add(finding.fingerprint)
        assert len(prints) == 1

    @pytest.mark.parametrize(
        "given_",
        [
            {"checks": ["no-news"]},
            {"checks": ["access-not-granted"]},
            {"checks": ["no-new-access"], "verb": "get", "resource": "secrets"},
        ],
    )
    def test_usage(self, given_: Object) -> None:
        with pytest.raises(gs.UsageError):
            gs.diff(load(READERS), load(READERS), **given_)

    def test_without_checks_every_comparing_one_is_found(self) -> None:
        old, new = load(ADMIN), load(OPENED)
        question = Diff.between(old, new)
        findings = question.findings(question.answer(old, new))
        assert {finding.id for finding in findings} == {"GS-D-001", "GS-D-002"}
        assert [found.id for found in question.rules()] == ["GS-D-001", "GS-D-002", "GS-D-003"]


# -- the command line ---------------------------------------------------------------------------------------------

DEMO = ROOT / "fixtures" / "demo"
GATE = "--check no-new-access --check no-new-flows"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, objects in {"old": READERS, "new": [*READERS, binding("w", "reader", "user:ann")]}.items():
        (tmp_path / f"{name}.yaml").write_text("---\n" + "\n---\n".join(json.dumps(found) for found in objects))
    (tmp_path / "without.yaml").write_text(
        "---\n" + "\n---\n".join(json.dumps(found) for found in READERS if found["kind"] != "RoleBinding")
    )
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestCommand:
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("diff old.yaml new.yaml", 1),
            ("diff old.yaml new.yaml --exit-zero", 0),
            ("diff old.yaml old.yaml", 0),
            ("diff old.yaml new.yaml --check no-new-access", 1),
            ("diff new.yaml old.yaml --check no-new-access", 0),
            ("diff old.yaml new.yaml --check no-public-access", 0),
            ("diff old.yaml new.yaml --check access-not-granted --verb get --resource secrets", 1),
            ("diff old.yaml new.yaml --check access-not-granted --verb read --resource pods", 0),
            ("diff old.yaml without.yaml", 3),
            ("diff old.yaml without.yaml --check no-new-access", 3),
            ("diff old.yaml new.yaml --check no-new-access --check no-new-paths", 1),
            ("diff old.yaml new.yaml --check no-new-flows", 3),
            ("diff old.yaml new.yaml --check no-news", 2),
            ("diff old.yaml new.yaml --check access-not-granted", 2),
            ("diff old.yaml new.yaml --verb get --resource secrets", 2),
        ],
    )
    def test_exit_code(self, graphsec: Graphsec, command: str, code: int) -> None:
        assert graphsec(command).code == code

    def test_table(self, graphsec: Graphsec) -> None:
        run = graphsec("diff old.yaml new.yaml --check no-new-access")
        assert run.out.splitlines()[0].split() == ["CHANGE", "SUBJECT", "MAY", "SCOPE", "BECAUSE", "WHERE"]
        assert "new.yaml:14" in run.out
        assert "no-new-access   FAIL" in run.out
        assert "1 change: 1 gained" in run.err

    def test_markdown_for_a_pull_request(self, graphsec: Graphsec) -> None:
        lines = graphsec("diff old.yaml new.yaml -o markdown").out.splitlines()
        assert lines[2] == "|  | Subject | May now | Where | Because |"
        assert "all namespaces" in lines[4]
        assert "new ClusterRoleBinding/w (new.yaml:14)" in lines[4]

    def test_json(self, graphsec: Graphsec) -> None:
        envelope = json.loads(graphsec("diff old.yaml new.yaml -o json --check no-new-access").out)
        assert [(item["kind"], item["change"]) for item in envelope["items"]] == [("access", "gained")]
        assert envelope["checks"][0]["verdict"] == "FAIL"
        assert envelope["compared"] == ["access", "latent"]

    @pytest.mark.parametrize("form", ["wide", "csv", "dot", "mermaid", "name", "ndjson", "yaml"])
    def test_every_form(self, graphsec: Graphsec, form: str) -> None:
        run = graphsec(f"diff old.yaml new.yaml -o {form}")
        assert (run.code, "ann" in run.out) == (1, True)

    def test_defaults_of_a_version(self, graphsec: Graphsec) -> None:
        run = graphsec("diff old.yaml new.yaml --with-defaults --k8s-version 1.34 --check no-public-access")
        assert run.code == 0


class TestPullRequests:
    """What a reviewer tries: red, red, green, each with the line; and the same gate with a kind missing."""

    @pytest.fixture(autouse=True)
    def _inputs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        shutil.copytree(DEMO, tmp_path / "old")
        shutil.copytree(DEMO, tmp_path / "new")

    def test_access_by_an_aggregated_role(self, graphsec: Graphsec, tmp_path: Path) -> None:
        file = tmp_path / "new" / "platform" / "sre.yaml"
        part = role("sre-secrets", rule("get", "secrets"))
        part["metadata"]["labels"] = {"demo.example.com/aggregate-to-sre": "true"}
        count = len(file.read_text().splitlines())
        file.write_text(f"{file.read_text()}---\n{json.dumps(part)}\n")
        run = graphsec(f"diff old new {GATE}")
        assert run.code == 1
        assert "ClusterRole/sre now has a rule of ClusterRole/sre-secrets" in run.out
        assert f"new/platform/sre.yaml:{count + 2}" in run.out

    def test_a_flow_by_a_label(self, graphsec: Graphsec, tmp_path: Path) -> None:
        file = tmp_path / "new" / "prod" / "payments.yaml"
        before, policy, after = file.read_text().partition("kind: NetworkPolicy")
        assert policy
        file.write_text(before.replace("app: payments-api", "app: renamed") + policy + after)
        run = graphsec(f"diff old new {GATE}")
        assert run.code == 1
        assert "prod/payments" in run.out
        assert "payments.yaml:" in run.out

    def test_a_refactoring(self, graphsec: Graphsec, tmp_path: Path) -> None:
        file = tmp_path / "new" / "platform" / "sre.yaml"
        text = file.read_text().replace("name: sre-debug", "name: sre-inspect")
        text = text.replace(
            "resources: [nodes], verbs: [get, list, patch]", "resources: [nodes], verbs: [patch, list, get]"
        )
        assert text != file.read_text()
        file.unlink()
        (tmp_path / "new" / "roles.yaml").write_text(text)
        run = graphsec(f"diff old new {GATE}")
        assert (run.code, "FAIL" in run.out) == (0, False)

    def test_one_kind_missing(self, graphsec: Graphsec, tmp_path: Path) -> None:
        for file in (tmp_path / "new").rglob("*.yaml"):
            documents = file.read_text().split("\n---\n")
            file.write_text("\n---\n".join(text for text in documents if "kind: NetworkPolicy" not in text))
        run = graphsec(f"diff old new {GATE}")
        assert run.code in (1, 3)
        assert "no-new-flows    PASS" not in run.out
