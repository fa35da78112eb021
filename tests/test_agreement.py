"""Properties on random clusters: the engine equals the reference, and its answers equal one another."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import reference
from hypothesis import HealthCheck, assume, given, settings

import graphsec as gs
from graphsec.model.rbac import Request, allows, subject_ref

Row = dict[str, Any]
RBAC = "rbac.authorization.k8s.io/v1"
NAMESPACES = ("a", "b")
ROLE_NAMES = ("reader", "writer", "base", "middle", "top")

# -- strategies: few words, so that rules, requests and subjects meet often --------------------------------------


def few(*words: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=2)


VERBS = few("get", "list", "create", "*", "GET")
RESOURCE_RULES = st.fixed_dictionaries(
    {
        "apiGroups": few("", "apps", "*"),
        "resources": few("pods", "secrets", "pods/log", "pods/*", "*/log", "*", "*/*"),
        "verbs": VERBS,
    },
    optional={"resourceNames": st.one_of(st.none(), st.just([]), few("x", "y", "", "*"))},
)
URL_RULES = st.fixed_dictionaries(
    {"nonResourceURLs": few("*", "/", "/foo", "/foo*", "/foo/*", "/foo/**", "/f*o"), "verbs": VERBS},
    optional={"apiGroups": st.none()},
)
RULES = st.one_of(RESOURCE_RULES, URL_RULES)
RULE_LISTS = st.one_of(st.none(), st.lists(RULES, max_size=3))

USERS = ("alice", "*", "system:anonymous", "system:serviceaccount:a:s", "system:authenticated")
GROUPS = ("devs", "system:authenticated", "system:serviceaccounts:a", "system:masters")
SUBJECTS = st.one_of(
    st.fixed_dictionaries({"kind": st.just("User"), "name": st.sampled_from(USERS)}),
    st.fixed_dictionaries(
        {"kind": st.just("Group"), "name": st.sampled_from(GROUPS)}, optional={"namespace": st.just("a")}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("ServiceAccount"), "name": st.sampled_from(("s", "default"))},
        optional={"namespace": st.sampled_from(NAMESPACES)},
    ),
    st.fixed_dictionaries({"kind": st.just("Robot"), "name": st.just("alice")}),
)


def labels(name: str) -> st.SearchStrategy[dict[str, str]]:
    """Labels point from `top` to `middle` to the others, so that every order of syncing ends the same."""
    allowed = {"top": (), "middle": ("to-top",)}.get(name, ("to-top", "to-middle"))
    return (
        st.lists(st.sampled_from(allowed), max_size=2).map(lambda keys: dict.fromkeys(keys, "true"))
        if allowed
        else st.just({})
    )


def aggregation(name: str) -> st.SearchStrategy[Row]:
    selectors = [
        {"matchLabels": {f"to-{name}": "true"}},
        {"matchExpressions": [{"key": f"to-{name}", "operator": "In", "values": ["true", "other"]}]},
        {"matchExpressions": [{"key": f"to-{name}", "operator": "Exists"}]},
        {"matchLabels": {"absent": "true"}},
    ]
    # `{}` selects every other role, also `middle`; only the last of the chain may say it.
    everything: list[Row] = [{}] if name == "top" else []
    return st.fixed_dictionaries(
        {"clusterRoleSelectors": st.lists(st.sampled_from(selectors + everything), min_size=1, max_size=2)}
    )


@st.composite
def cluster_roles(draw: st.DrawFn) -> Row:
    name = draw(st.sampled_from(ROLE_NAMES))
    role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name, "labels": draw(labels(name))}}
    if name in ("middle", "top"):
        role["aggregationRule"] = draw(aggregation(name))
    return role | {"rules": draw(RULE_LISTS)}


@st.composite
def roles(draw: st.DrawFn) -> Row:
    metadata = {"name": draw(st.sampled_from(ROLE_NAMES)), "namespace": draw(st.sampled_from(NAMESPACES))}
    return {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": draw(RULE_LISTS)}


@st.composite
def bindings(draw: st.DrawFn) -> Row:
    namespace = draw(st.sampled_from((None, *NAMESPACES)))
    name = draw(st.sampled_from(("b0", "b1", "b2", "b3")))
    kind = draw(st.sampled_from(("ClusterRole", "Role") if namespace else ("ClusterRole",)))
    role = draw(st.sampled_from((*ROLE_NAMES, "missing")))
    return {
        "apiVersion": RBAC,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, "namespace": namespace} if namespace else {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": draw(st.one_of(st.none(), st.lists(SUBJECTS, max_size=3))),
    }


def identity(obj: Row) -> tuple[str, str, str]:
    return (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


#: At least one object, for an input without RBAC is refused instead of answered (hardening.md §2).
CLUSTERS = st.lists(
    st.one_of(cluster_roles(), roles(), bindings(), bindings()), min_size=1, max_size=12, unique_by=identity
)
RESOURCE_REQUESTS = st.fixed_dictionaries(
    {
        "verb": st.sampled_from(("get", "list", "create", "invented", "*")),
        "group": st.sampled_from(("", "apps", "other", "*")),
        "resource": st.sampled_from(("pods", "secrets", "widgets", "*")),
        "subresource": st.sampled_from(("", "", "log", "exec", "*")),
        "name": st.sampled_from(("", "", "x", "z", "*")),
        "namespace": st.sampled_from(("", "a", "b", "elsewhere")),
    }
)
URL_REQUESTS = st.fixed_dictionaries(
    {
        "verb": st.sampled_from(("get", "post", "list")),
        "path": st.sampled_from(("/", "/foo", "/foo/", "/foo/x", "/fxo")),
    }
)
REQUESTS = st.one_of(RESOURCE_REQUESTS, RESOURCE_REQUESTS, URL_REQUESTS)
IDENTITIES = st.tuples(
    st.sampled_from((*USERS, "system:serviceaccount:b:s", "system:serviceaccount:a:default", "nobody", "")),
    st.one_of(st.none(), st.lists(st.sampled_from((*GROUPS, "system:serviceaccounts")), max_size=2)),
)


def examples(few: int, drawn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same property twice: short by default, ten times as long under `slow`. The same every time, so that what fails is
    the change; with GRAPHSEC_HUNT set, the long one searches at random for what nobody has met."""
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much]

    def decorate(test: Any) -> Any:
        @pytest.mark.parametrize(
            "count", [pytest.param(few, id="few"), pytest.param(few * 10, id="many", marks=pytest.mark.slow)]
        )
        def run(count: int) -> None:
            limits = settings(
                max_examples=count,
                derandomize=count == few or not os.environ.get("GRAPHSEC_HUNT"),
                deadline=None,
                database=None,
                suppress_health_check=quiet,
            )
            # Drawn anew each time: settings mark the function that they are put on.
            limits(drawn(test))()

        return run

    return decorate


# -- asking the engine -------------------------------------------------------------------------------------------


def world(objects: list[Row]) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects})


def words(request: Row) -> dict[str, Any]:
    return {("url" if key == "path" else key): word for key, word in request.items() if key != "verb"}


def can(loaded: gs.World, user: str, groups: list[str] | None, request: Row) -> bool:
    return bool(gs.can_i(loaded, request["verb"], user=user, groups=groups, **words(request)))


def who_can(loaded: gs.World, request: Row, **options: Any) -> set[reference.Subject]:
    return {triple(access.subject) for access in gs.who_can(loaded, request["verb"], **words(request), **options)}


def triple(ref: gs.Ref) -> reference.Subject:
    return (ref.kind, ref.namespace, ref.name)


def subjects_named(objects: list[Row]) -> set[reference.Subject]:
    named = (reference.named_subject(subject, obj) for obj in objects for subject in reference.items(obj, "subjects"))
    return {subject for subject in named if subject} | {reference.MASTERS}


# -- properties --------------------------------------------------------------------------------------------------


@examples(300, given(CLUSTERS, st.lists(st.tuples(IDENTITIES, REQUESTS), min_size=1, max_size=8)))
def test_can_i_is_the_reference(objects: list[Row], asked: list[tuple[tuple[str, list[str] | None], Row]]) -> None:
    loaded, settled = world(objects), reference.with_aggregation(objects)
    for (user, groups), request in asked:
        taken = reference.implicit_groups(user) if groups is None else groups
        assert can(loaded, user, groups, request) == reference.can(settled, user, taken, request)


@examples(200, given(CLUSTERS, REQUESTS))
def test_who_can_is_everyone_who_can(objects: list[Row], request: Row) -> None:
    loaded = world(objects)
    alone = {who for who in subjects_named(objects) if can(loaded, *reference.request_as(who), request)}
    assert who_can(loaded, request) == alone == reference.who_can(reference.with_aggregation(objects), request)


@examples(200, given(CLUSTERS, RESOURCE_REQUESTS))
def test_who_can_in_any_namespace_states_every_scope(objects: list[Row], request: Row) -> None:
    """R-03, R-04, R-33: each holder once per scope in which a binding gives it the ability."""
    settled, anywhere = reference.with_aggregation(objects), {**request, "namespace": ""}
    held = {
        (subject, obj["metadata"].get("namespace", "cluster"))
        for obj in settled
        if "roleRef" in obj and any(reference.allows(rule, request) for rule in reference.role_rules(settled, obj))
        for subject in subjects_named([obj]) - {reference.MASTERS}
    }
    answer = gs.who_can(world(objects), request["verb"], **words(anywhere), any_namespace=True)
    assert {(triple(access.subject), access.scope) for access in answer} == held | {(reference.MASTERS, "cluster")}


@examples(200, given(CLUSTERS, RESOURCE_REQUESTS))
def test_who_can_for_any_name_ignores_names(objects: list[Row], request: Row) -> None:
    unnamed = {**request, "name": ""}
    unrestricted = [
        {**obj, "rules": [{**rule, "resourceNames": []} for rule in reference.items(obj, "rules")]}
        if "rules" in obj
        else obj
        for obj in reference.with_aggregation(objects)
    ]
    assert who_can(world(objects), unnamed, any_name=True) == reference.who_can(unrestricted, unnamed)


@examples(200, given(CLUSTERS, st.sampled_from(USERS), REQUESTS))
def test_what_can_lists_exactly_what_can_i_allows(objects: list[Row], user: str, request: Row) -> None:
    loaded = world(objects)
    scopes = {"cluster", request.get("namespace", "")}
    wire = Request(verb=request["verb"], **words(request))
    # Not by user name: an operator's spelling such as `system:authenticated` may mean the group (interface.md §3).
    grants = gs.what_can(loaded, subject_ref(user))
    assert any(grant.scope in scopes and allows(grant.rule, wire) for grant in grants) == can(
        loaded, user, None, request
    )


@examples(200, given(CLUSTERS, st.sampled_from(GROUPS), REQUESTS))
def test_what_a_group_can_is_what_it_gives_its_members(objects: list[Row], group: str, request: Row) -> None:
    loaded = world(objects)
    scopes = {"cluster", request.get("namespace", "")}
    wire = Request(verb=request["verb"], **words(request))
    grants = gs.what_can(loaded, gs.Ref("Group", group))
    assert any(grant.scope in scopes and allows(grant.rule, wire) for grant in grants) == can(
        loaded, "", [group], request
    )


@examples(100, given(CLUSTERS, st.randoms(use_true_random=False), REQUESTS))
def test_order_of_objects_means_nothing(objects: list[Row], random: Any, request: Row) -> None:
    shuffled = random.sample(objects, len(objects))
    one, other = (gs.who_can(world(each), request["verb"], **words(request)) for each in (objects, shuffled))
    assert one.to_json() == other.to_json()


@examples(200, given(CLUSTERS, bindings(), st.lists(st.tuples(IDENTITIES, REQUESTS), min_size=1, max_size=8)))
def test_a_binding_takes_nothing_away(
    objects: list[Row], binding: Row, asked: list[tuple[tuple[str, list[str] | None], Row]]
) -> None:
    assume(identity(binding) not in map(identity, objects))
    before, after = world(objects), world([*objects, binding])
    for (user, groups), request in asked:
        assert can(after, user, groups, request) or not can(before, user, groups, request)
        assert who_can(before, request) <= who_can(after, request)


@examples(300, given(st.lists(RULES, max_size=3), st.lists(RULES, max_size=3)))
def test_covers_is_the_reference(owner: list[Row], servant: list[Row]) -> None:
    covered = gs.covers(owner, servant)
    verdict, uncovered = reference.covers(owner, servant)
    assert bool(covered) == verdict
    assert list(covered.uncovered) == [gs.PolicyRule.from_mapping(rule) for rule in uncovered]


@examples(200, given(st.lists(RULES, max_size=4)))
def test_rules_cover_themselves_and_every_subset(rules: list[Row]) -> None:
    assert gs.covers(rules, rules)
    assert gs.covers(rules, rules[1:])


@examples(300, given(st.lists(RULES, min_size=1, max_size=3), st.lists(RULES, min_size=1, max_size=2), REQUESTS))
def test_the_coverer_allows_what_the_covered_allows(owner: list[Row], servant: list[Row], request: Row) -> None:
    assume(gs.covers(owner, servant))
    if any(reference.allows(rule, request) for rule in servant):
        assert any(reference.allows(rule, request) for rule in owner)
