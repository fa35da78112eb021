"""Suggestions keep what was used, give nothing new, and are as narrow as they say; what is not used is told exactly."""

from __future__ import annotations

from typing import Any, cast

import hypothesis.strategies as st
import pytest
import reference
from hypothesis import given
from test_agreement import CLUSTERS, IDENTITIES, RBAC, REQUESTS, Row, examples, identity
from test_oracle import words, world

import graphsec as gs
from graphsec.errors import UsageError
from graphsec.model.audit import AuditLog, Identity, Impersonation, Occurrence, Recorded, Window
from graphsec.model.rbac import PolicyRule, Request, allows, breakdown, username
from graphsec.model.ref import Ref, Source
from graphsec.query._least import PRESETS, Preset, expressible
from graphsec.query.suggest import Suggestion, suggestion
from graphsec.query.usage import Usage, in_scope_of, unused

GROUP = "rbac.authorization.k8s.io"


def log_of(*recorded: Recorded) -> AuditLog:
    found = {one: Occurrence(1, Source("log", line)) for line, one in enumerate(recorded, start=1)}
    return AuditLog(recorded=found, window=Window(first="a", last="b", events=len(found)))


def done(user: str, request: Request, groups: tuple[str, ...] | None = (), **more: Any) -> Recorded:
    return Recorded(identity=Identity(user, groups), request=request, decision="allow", **more)


def applied(objects: list[Row], found: Suggestion) -> list[Row]:
    """The objects as `kubectl apply` and `kubectl delete` leave them."""
    deleted = {(ref.kind, ref.namespace or "", ref.name) for ref in found.deletions}
    after = {identity(obj): obj for obj in objects} | {identity(obj): obj for obj in found.manifests}
    return [obj for key, obj in after.items() if key not in deleted]


# -- properties -----------------------------------------------------------------------------------------------------

Asked = tuple[str, list[str], Row]
STRANGERS = st.lists(st.tuples(IDENTITIES, REQUESTS), max_size=8)
#: Choices among what is granted: see ``granted``.
PICKS = st.lists(st.integers(0, 10_000), max_size=8)


def request_of(row: Row) -> Request:
    return Request(verb=row["verb"], **words(row))


def asked(drawn: list[tuple[tuple[str, list[str] | None], Row]]) -> list[Asked]:
    return [(user, reference.implicit_groups(user) if groups is None else groups, row) for (user, groups), row in drawn]


def granted(loaded: gs.World, picks: list[int]) -> list[Asked]:
    """Requests that some binding allows, made by a user that it names or a member of a group that it names."""
    candidates: list[Asked] = []
    for index, named in enumerate(loaded.access.bindings):
        for subject in named.subjects if named.role in loaded.access.roles else ():
            who = ("member", [subject.name]) if subject.kind == "Group" else (username(subject), [])
            for held in loaded.access.roles[named.role].rules:
                spaces = (named.scope,) if named.scope else ("", "a", "b", "elsewhere")
                candidates += [
                    (*who, row) for atom in breakdown(held) for row in concrete(atom, spaces[index % len(spaces)])
                ]
    return [candidates[pick % len(candidates)] for pick in picks] if candidates else []


def concrete(atom: PolicyRule, namespace: str) -> list[Row]:
    verb = atom.verbs[0].replace("*", "watch")
    if atom.urls:
        return [{"verb": verb, "path": atom.urls[0].replace("*", "x")}]
    resource, _, subresource = atom.resources[0].replace("*/*", "pods/log").partition("/")
    fields = {
        "verb": verb,
        "group": atom.groups[0].replace("*", "other"),
        "resource": resource.replace("*", "widgets"),
        "subresource": subresource.replace("*", "exec") if resource == "*" else subresource,
        "namespace": namespace,
    }
    return [fields | {"name": name} for name in (atom.names or ("", "x", "w-7d9f8"))]


def usage_of(loaded: gs.World, made: list[Asked]) -> Usage:
    return Usage.of(loaded, log_of(*(done(user, request_of(row), tuple(groups)) for user, groups, row in made)))


@examples(150, given(CLUSTERS, PICKS, STRANGERS, st.sampled_from(PRESETS), st.integers(0, 10)))
def test_what_was_used_is_kept_and_nothing_is_added(
    objects: list[Row], picks: list[int], strangers: Any, preset: Preset, which: int
) -> None:
    """U ⊆ new ⊆ G, judged by the reference on the manifests that were printed."""
    before = world(objects)
    made = [*granted(before, picks), *asked(strangers[::2])]
    usage = usage_of(before, made)
    subject = ([None, *before.access.subjects])[which % (len(before.access.subjects) + 1)]
    found = suggestion(before, usage, subject, preset)
    old, new = reference.with_aggregation(objects), reference.with_aggregation(applied(objects, found))
    for user, groups, row in made:
        if expressible(request_of(row)) and reference.can(old, user, groups, row):
            assert reference.can(new, user, groups, row)
    for user, groups, row in [*made, *granted(before, list(range(0, 400, 7))), *asked(strangers)]:
        assert reference.can(old, user, groups, row) or not reference.can(new, user, groups, row)
    changed = [obj for obj in found.manifests if obj not in objects]
    assert all(has_no_wildcard(rule) for obj in changed for rule in obj.get("rules", ()))
    assert bool(found) is bool(found.diff)
    assert found.checked


def has_no_wildcard(rule: Row) -> bool:
    listed = [*rule["verbs"], *rule.get("apiGroups", ()), *rule.get("resources", ())]
    return "*" not in listed and not any(url.endswith("*") for url in rule.get("nonResourceURLs", ()))


@examples(75, given(CLUSTERS, PICKS, st.sampled_from(PRESETS)))
def test_what_was_narrowed_has_nothing_left_to_narrow(objects: list[Row], picks: list[int], preset: Preset) -> None:
    before = world(objects)
    made = granted(before, picks)
    found = suggestion(before, usage_of(before, made), preset=preset)
    if found:
        assert suggestion(found.world, usage_of(found.world, made), preset=preset).diff == ""


@examples(75, given(CLUSTERS, PICKS))
def test_unused_atoms_are_those_that_no_request_needed(objects: list[Row], picks: list[int]) -> None:
    loaded = world(objects)
    usage = usage_of(loaded, granted(loaded, picks))
    for subject in loaded.access.subjects:
        if subject == Ref("Group", "system:masters"):
            assert unused(loaded, usage, subject) == ()
            continue
        told = {(one.grant.binding, one.grant.rule_index): one for one in unused(loaded, usage, subject)}
        for index in loaded.access.all_held(subject):
            named = loaded.access.bindings[index]
            requests = in_scope_of(usage.of_subject(subject), named.scope)
            for position, held in enumerate(loaded.access.roles[named.role].rules):
                expected = [
                    atom
                    for atom in dict.fromkeys(breakdown(held))
                    if not any(allows(held, request) and allows(atom, request) for request in requests)
                ]
                one = told.get((named.ref, position))
                assert list(one.atoms if one else ()) == expected
                if one:
                    assert (one.events == 0) is not any(allows(held, request) for request in requests)


# -- worlds ---------------------------------------------------------------------------------------------------------


def role(name: str, *rules: Row, namespace: str = "", **more: Any) -> Row:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {}) | more.pop("metadata", {})
    return {
        "apiVersion": RBAC,
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": metadata,
        "rules": list(rules),
    } | more


def binding(name: str, role_name: str, *subjects: Row, namespace: str = "", kind: str = "ClusterRole") -> Row:
    return {
        "apiVersion": RBAC,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role_name},
        "subjects": list(subjects),
    }


def rule(resources: str, verbs: str, group: str = "", names: str = "") -> Row:
    found: Row = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return found | ({"resourceNames": names.split()} if names else {})


def user(name: str) -> Row:
    return {"kind": "User", "name": name}


EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
PODS = rule("pods", "get list watch create update patch delete")


def pods(verb: str, name: str = "", namespace: str = "a") -> Request:
    return Request(verb=verb, resource="pods", name=name, namespace=namespace)


def suggested(
    objects: list[Row], *recorded: Recorded, subject: Ref | None = None, preset: Any = "exact", **options: Any
) -> Suggestion:
    loaded = gs.load({"apiVersion": "v1", "kind": "List", "items": objects}, **options)
    return suggestion(loaded, Usage.of(loaded, log_of(*recorded)), subject, preset)


def rules_of(found: Suggestion, name: str) -> list[Row]:
    [manifest] = [obj for obj in found.manifests if obj["metadata"]["name"] == name and "rules" in obj]
    rules: list[Row] = manifest["rules"]
    return rules


def names(found: Suggestion) -> list[str]:
    return [f"{obj['kind']}/{obj['metadata']['name']}" for obj in found.manifests]


def test_a_role_shrinks_where_it_stands_to_what_all_its_holders_used() -> None:
    objects = [
        role("worker", PODS, metadata={"labels": {"team": "x"}}),
        binding("one", "worker", user("ann"), namespace="a"),
        binding("two", "worker", user("bob"), namespace="b"),
    ]
    found = suggested(objects, done("ann", pods("list")), done("bob", pods("create", namespace="b")))
    assert names(found) == ["ClusterRole/worker"]
    assert found.manifests[0]["metadata"] == {"name": "worker", "labels": {"team": "x"}}
    assert rules_of(found, "worker") == [rule("pods", "create list")]
    assert found.deletions == ()
    assert "-      - delete" in found.diff.splitlines()
    gone = {(str(one.subject), one.scope, one.atom.verbs[0]) for one in found.removed}
    assert gone == {(f"User/{who}", where, verb) for who, where in (("ann", "a"), ("bob", "b")) for verb in ("get", "watch", "update", "patch", "delete")}  # fmt: skip


def test_one_of_several_holders_gets_a_role_of_its_own() -> None:
    objects = [role("worker", PODS), binding("team", "worker", user("ann"), user("bob"), namespace="a")]
    found = suggested(objects, done("ann", pods("list")), subject=Ref("User", "ann"))
    assert names(found) == ["Role/team-used", "RoleBinding/team", "RoleBinding/team-used"]
    old, new = found.manifests[1:]
    assert [subject["name"] for subject in old["subjects"]] == ["bob"]
    assert (new["roleRef"]["kind"], [subject["name"] for subject in new["subjects"]]) == ("Role", ["ann"])
    assert rules_of(found, "team-used") == [rule("pods", "list")]
    assert {str(one.subject) for one in found.removed} == {"User/ann"}


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    objects = [
        role("worker", PODS),
        role("team-used", PODS, namespace="a"),
        binding("team", "worker", user("ann"), user("bob"), namespace="a"),
    ]
    found = suggested(objects, done("ann", pods("list")), subject=Ref("User", "ann"))
    assert "Role/team-used-2" in names(found)


def test_a_cluster_binding_used_in_few_namespaces_becomes_role_bindings() -> None:
    objects = [role("boss", EVERYTHING), binding("ops", "boss", user("ann"), user("idle"))]
    used = [done("ann", pods("list", namespace=namespace)) for namespace in "ab"]
    found = suggested(objects, *used)
    assert found.deletions == (Ref("ClusterRoleBinding", "ops"),)
    assert [(obj["kind"], obj["metadata"]["namespace"]) for obj in found.manifests] == [
        ("Role", "a"), ("Role", "b"), ("RoleBinding", "a"), ("RoleBinding", "b"),
    ]  # fmt: skip
    assert all([subject["name"] for subject in obj["subjects"]] == ["ann"] for obj in found.manifests[2:])
    assert any("user:idle" in note for note in found.notes)
    at_cluster = suggested(objects, *used, done("ann", Request(verb="list", resource="nodes")))
    assert rules_of(at_cluster, "boss") == [rule("nodes pods", "list")]
    many = [done("ann", pods("list", namespace=namespace)) for namespace in "abcdef"]
    assert names(suggested(objects, *many)) == ["ClusterRole/boss", "ClusterRoleBinding/ops"]


def test_shipped_aggregated_and_feeding_roles_stay() -> None:
    feeder = role("feeder", PODS, metadata={"labels": {"to": "sum"}})
    summed = role("sum", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "sum"}}]})
    for name in ("edit", "sum", "feeder"):
        objects = [feeder, summed, binding("team", name, user("ann"), namespace="a")]
        found = suggested(objects, done("ann", pods("list")), with_defaults=True)
        assert names(found) == ["Role/team-used", "RoleBinding/team-used"]
        assert found.deletions == (Ref("RoleBinding", "team", "a"),)
        assert any(f"ClusterRole/{name} is left as it is" in note for note in found.notes)


def test_what_the_cluster_gives_everybody_is_not_repeated() -> None:
    """Discovery is nobody's need, and built-in bindings are nobody's to narrow."""
    objects = [
        role("boss", EVERYTHING, {"nonResourceURLs": ["*"], "verbs": ["*"]}),
        binding("ops", "boss", user("ann")),
    ]
    groups = ("system:authenticated",)
    used = [done("ann", Request(verb="get", url="/api"), groups), done("ann", pods("list"), groups)]
    found = suggested(objects, *used, with_defaults=True)
    assert rules_of(found, "ops-used") == [rule("pods", "list")]
    assert any("built-in bindings left alone" in note for note in found.notes)
    assert not any(obj["metadata"]["name"].startswith("system:") for obj in found.manifests)


def test_names_are_kept_where_they_are_few_and_stay() -> None:
    objects = [role("worker", PODS, namespace="a"), binding("b", "worker", user("ann"), namespace="a", kind="Role")]
    few = [done("ann", pods(verb, name)) for verb in ("get", "patch") for name in ("db", "web-0")]
    assert rules_of(suggested(objects, *few), "worker") == [rule("pods", "get patch", names="db web-0")]
    many = [done("ann", pods("get", f"pod-{number}")) for number in range(6)]
    assert rules_of(suggested(objects, *many), "worker") == [rule("pods", "get")]
    generated = done("ann", pods("delete", "web-7d9f8c6b5-x2x4z"))
    assert rules_of(suggested(objects, generated), "worker") == [rule("pods", "delete")]
    # A create of that name was allowed by name (S-34), an unlimited one was not.
    named = [role("worker", rule("pods", "patch create", names="a b c"), namespace="a"), objects[1]]
    created = done("ann", pods("patch", "a"), outcome="created")
    assert rules_of(suggested(named, created), "worker") == [rule("pods", "create patch", names="a")]


def test_presets_add_what_goes_together_within_what_is_held() -> None:
    held = [role("worker", rule("pods", "get list watch update"), namespace="a")]
    held.append(binding("b", "worker", user("ann"), namespace="a", kind="Role"))
    used = [done("ann", pods("watch")), done("ann", pods("update", "db"))]
    assert rules_of(suggested(held, *used), "worker") == [
        rule("pods", "list watch"),
        rule("pods", "update", names="db"),
    ]
    stable = suggested(held, *used, preset="stable")
    # patch is not held, so it is not given.
    assert rules_of(stable, "worker") == [rule("pods", "get list watch"), rule("pods", "update", names="db")]
    with pytest.raises(UsageError, match="unknown preset"):
        suggested(held, preset=cast("Any", "loose"))


def test_what_nobody_used_is_removed_and_what_was_refused_is_not_use() -> None:
    objects = [role("worker", PODS), binding("b", "worker", user("ann"), namespace="a")]
    refused = Recorded(identity=Identity("ann", ()), request=pods("list"), decision="forbid")
    found = suggested(objects, refused)
    assert (found.manifests, found.deletions) == ((), (Ref("RoleBinding", "b", "a"),))
    assert any("no event in the window" in note for note in found.notes)


def test_groups_that_a_log_does_not_tell_are_left_alone() -> None:
    """GKE records no groups: an unknown use is not no use."""
    objects = [role("worker", PODS), binding("b", "worker", {"kind": "Group", "name": "devs"}, namespace="a")]
    seen = done("ann", pods("list"), groups=None)
    assert not suggested(objects, seen)
    found = suggested(objects, seen, memberships={"groups": {"devs": ["ann"]}})
    assert rules_of(found, "worker") == [rule("pods", "list")]


def test_an_impersonator_keeps_whom_it_was() -> None:
    objects = [
        role("imp", rule("users groups", "impersonate")),
        binding("imp", "imp", user("ann")),
        role("worker", PODS),
        binding("b", "worker", user("bob"), namespace="a"),
    ]
    needed = Request(verb="impersonate", resource="users", name="bob")
    seen = done("bob", pods("list"), impersonation=Impersonation(Identity("ann", ()), (needed,)))
    found = suggested(objects, seen)
    assert rules_of(found, "imp") == [rule("users", "impersonate", names="bob")]
    assert rules_of(found, "worker") == [rule("pods", "list")]


def test_exec_over_websocket_needs_create_where_the_version_asks() -> None:
    """S-37."""
    objects = [role("exec", rule("pods/exec", "get create")), binding("b", "exec", user("ann"), namespace="a")]
    seen = done("ann", Request(verb="get", resource="pods", subresource="exec", name="p", namespace="a"))
    assert rules_of(suggested(objects, seen, k8s_version="1.34"), "exec") == [
        rule("pods/exec", "get", names="p"),
    ]
    newer = rules_of(suggested(objects, seen, k8s_version="1.35"), "exec")
    assert sorted(verb for found in newer for verb in found["verbs"]) == ["create", "get"]


def test_no_cluster_role_is_written_that_an_aggregated_role_takes_up() -> None:
    """S-51: the selector `{}` matches roles that are not there yet."""
    objects = [
        role("everything", aggregationRule={"clusterRoleSelectors": [{}]}),
        role("worker", PODS),
        binding("b", "worker", user("ann"), user("idle")),
    ]
    seen = done("ann", Request(verb="list", resource="pods"))
    found = suggested(objects, seen)
    assert names(found) == ["ClusterRoleBinding/b"]
    assert any("aggregates every new ClusterRole" in note for note in found.notes)
    assert names(suggested(objects, done("ann", pods("list")))) == ["Role/b-used", "RoleBinding/b-used"]
