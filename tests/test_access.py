"""The index of who holds what, and aggregation: each table against the objects that it was made of."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import reference
from test_matcher import MIXED, RULES, Row, asked, requests

import graphsec as gs
from graphsec.algebra.selectors import LabelSelector
from graphsec.compile import access as compiling
from graphsec.compile.access import AccessIndex
from graphsec.compile.aggregation import Aggregation, aggregate, origin
from graphsec.model.objects import StoredRole
from graphsec.model.rbac import Request, acts, allows
from graphsec.model.ref import ref_order

RBAC = "rbac.authorization.k8s.io/v1"


def role(name: str, *rules: Row, namespace: str = "", **fields: Any) -> Row:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **fields.pop("metadata", {})}
    kind = "Role" if namespace else "ClusterRole"
    return {"apiVersion": RBAC, "kind": kind, "metadata": metadata, "rules": list(rules), **fields}


def binding(name: str, role_name: str, *subjects: Row, namespace: str = "", kind: str = "ClusterRole") -> Row:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": RBAC,
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role_name},
        "subjects": list(subjects),
    }


def user(name: str) -> Row:
    return {"kind": "User", "name": name}


def account(name: str, namespace: str = "") -> Row:
    return {"kind": "ServiceAccount", "name": name, **({"namespace": namespace} if namespace else {})}


def index(objects: list[Row]) -> AccessIndex:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects}).access


def reads(*resources: str, verbs: tuple[str, ...] = ("get",)) -> Row:
    return {"verbs": list(verbs), "apiGroups": [""], "resources": list(resources)}


# -- rules -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1, 4, 2_000])
def test_postings_find_what_the_matcher_allows(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the words of a rule are multiplied out or it is matched itself, and for any name as for the one asked."""
    monkeypatch.setattr(compiling, "_MAX_POSTINGS", most)
    rules = [*RULES[::3], *MIXED]
    found = index([role("all", *rules), binding("all", "all", user("u"))])
    assert set(found.rules) == {gs.PolicyRule.from_mapping(rule) for rule in rules}
    for row in requests():
        request = asked(row)
        matching = found.matching_rules(request)
        assert matching == [number for number, rule in enumerate(found.rules) if allows(rule, request)]
        assert found.matching_rules(request, any_name=True) == [
            number for number, rule in enumerate(found.rules) if acts(rule, request)
        ]


@pytest.mark.parametrize(
    ("most", "aside"), [(0, {1, 2, 4, 6}), (1, {2, 4, 6}), (2, {4, 6}), (4, {6}), (5, {6}), (6, set())]
)
def test_a_rule_with_too_many_words_is_kept_aside(most: int, aside: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Against hostile input: what the index may multiply out is bounded; a word said twice counts once."""
    monkeypatch.setattr(compiling, "_MAX_POSTINGS", most)
    words = {
        1: ([""], ["pods", "pods"], ["get"]),
        2: ([""], ["pods"], ["get", "list"]),
        4: (["", "apps"], ["pods", "jobs"], ["get"]),
        6: ([""], ["pods", "jobs", "nodes"], ["get", "list"]),
    }
    rules = [
        {"apiGroups": groups, "resources": resources, "verbs": verbs} for groups, resources, verbs in words.values()
    ]
    found = index([role("all", *rules), binding("all", "all", user("u"))])
    assert {[*words][number] for number in found._wide} == aside
    assert sum(map(len, found._postings.values())) == sum({*words} - aside)


def test_roles_that_say_the_same_share_their_content() -> None:
    """A rule that a role says twice is held once; roles that nobody binds are in no content."""
    pods, nodes = reads("pods"), reads("nodes")
    objects = [
        role("one", pods, nodes),
        role("other", pods, nodes),
        role("twice", pods, pods),
        role("local", nodes, namespace="a"),
        role("unbound", pods),
        binding("b1", "one", user("u")),
        binding("b2", "other", user("v")),
        binding("b3", "twice", user("u"), namespace="a"),
        binding("b4", "local", user("u"), namespace="a", kind="Role"),
        binding("b5", "one", user("w"), namespace="b"),
        binding("b6", "one", user("w"), namespace="a"),
    ]
    found = index(objects)
    names = [ref.ref.name for ref in found.bindings]
    number = {rule.resources[0]: position for position, rule in enumerate(found.rules)}
    held = {
        ref.name: [found.rules[rule].resources[0] for rule in rules] for ref, rules in found.rules_by_role().items()
    }
    assert held == {"one": ["pods", "nodes"], "other": ["pods", "nodes"], "twice": ["pods"], "local": ["nodes"]}
    with_nodes = found.contents_with(number["nodes"])
    assert sorted(names[at] for content in with_nodes for at in found.bindings_at_cluster().get(content, ())) == [
        "b1",
        "b2",
    ]
    assert {
        namespace: sorted(names[at] for content in with_nodes for at in found.bindings_in(namespace).get(content, ()))
        for namespace in ("a", "b", "", "nowhere", None)
    } == {"a": ["b4", "b6"], "b": ["b5"], "": [], "nowhere": [], None: ["b4", "b5", "b6"]}
    assert len(set(found.contents_with(number["pods"]))) == 2


# -- subjects and bindings ---------------------------------------------------------------------------------------------

HELD = [
    role("pods", reads("pods"), reads("pods", "nodes")),
    role("nodes", reads("nodes")),
    role("pods", reads("pods"), namespace="a"),
    binding("z-cluster", "nodes", user("u"), {"kind": "Group", "name": "g"}),
    binding("a-local", "pods", user("u"), user("u"), account("s"), namespace="a"),
    binding("b-local", "pods", account("s"), account("s", "a"), namespace="b"),
    binding("c-local", "pods", account("s"), user("u"), namespace="a", kind="Role"),
    binding("d-local", "pods", account("s"), namespace="b", kind="Role"),
    binding("nobody", "pods", account("s"), {"kind": "Robot", "name": "r"}),
    binding("empty", "pods"),
    binding("gone", "missing", user("u"), namespace="a"),
    binding("no-role", "pods", user("u"), kind="Role"),
]
U, G = gs.Ref("User", "u"), gs.Ref("Group", "g")
S_A, S_B = gs.Ref("ServiceAccount", "s", "a"), gs.Ref("ServiceAccount", "s", "b")


def named(found: AccessIndex, numbers: Any) -> list[str]:
    return [found.bindings[number].ref.name for number in numbers]


def test_subjects_of_bindings() -> None:
    """S-40 to S-43: each once; an account without a namespace is the binding's in each, a Role of a cluster binding is none."""
    found = index(HELD)
    assert {each.ref.name: each.subjects for each in found.bindings} == {
        "z-cluster": (U, G),
        "a-local": (U, S_A),
        "b-local": (S_B, S_A),
        "c-local": (S_A, U),
        "d-local": (S_B,),
        "nobody": (),
        "empty": (),
        "gone": (U,),
        "no-role": (U,),
    }
    assert [tuple(found.subjects[number] for number in numbers if number >= 0) for numbers in found.subjects_of] == [
        each.subjects for each in found.bindings
    ]
    assert sorted(found.subjects, key=ref_order) == [G, S_A, S_B, U]
    assert [found.id_of(subject) for subject in found.subjects] == [0, 1, 2, 3]
    assert found.id_of(gs.Ref("User", "stranger")) == -1
    assert {each.ref.name: each.role for each in found.bindings if each.role.kind == "Role"} == {
        "c-local": gs.Ref("Role", "pods", "a"),
        "d-local": gs.Ref("Role", "pods", "b"),
        "no-role": gs.Ref("Role", "pods"),
    }
    assert {each.ref.name for each in found.dangling()} == {"gone", "d-local", "no-role"}
    assert sorted(found.subjects, key=lambda subject: found.ranks[found.id_of(subject)]) == [G, S_A, S_B, U]


def test_a_subject_spelled_alike_is_one_for_each_scope() -> None:
    """S-41: what many bindings name is looked at once, and an account without a namespace once in each."""
    objects = [role("r", reads("pods"))]
    objects += [binding(f"b{at}", "r", account("s"), user("u"), namespace=scope) for at, scope in enumerate("abab")]
    found = index(objects)
    assert {each.ref.name: each.subjects for each in found.bindings} == {
        "b0": (S_A, U),
        "b1": (S_B, U),
        "b2": (S_A, U),
        "b3": (S_B, U),
    }
    assert sorted(found.subjects, key=ref_order) == [S_A, S_B, U]


def test_accounts_of_one_scope_are_told_apart() -> None:
    objects = [role("r", reads("pods")), binding("b", "r", account("s"), account("t"), namespace="a")]
    assert index(objects).bindings[0].subjects == (S_A, gs.Ref("ServiceAccount", "t", "a"))


def test_bindings_of_a_subject() -> None:
    """S-03: at cluster scope everywhere, and those of the namespace; only where their role is there (S-02)."""
    found = index(HELD)
    assert named(found, found.held(U, "a")) == ["z-cluster", "a-local", "c-local"]
    assert named(found, found.held(U, "b")) == ["z-cluster"]
    assert named(found, found.held(U, "")) == ["z-cluster"]
    assert named(found, found.held(S_A, "b")) == ["b-local"]
    assert named(found, found.held(gs.Ref("User", "stranger"), "a")) == []
    for subject in (U, S_A, S_B, gs.Ref("User", "stranger")):
        every = found.all_held(subject)
        assert every == sorted(every)
        assert set(every) == {at for namespace in ("", "a", "b") for at in found.held(subject, namespace)}


def test_all_bindings_are_ascending() -> None:
    """Of several scopes too."""
    objects = [role("r", reads("pods"))]
    objects += [binding(f"b{at}", "r", user("u"), namespace=namespace) for at, namespace in enumerate("baab")]
    found = index([*objects, binding("c", "r", user("u"))])
    assert found.all_held(U) == sorted(found.all_held(U))
    assert len(found.all_held(U)) == 5


def test_a_role_of_the_name_of_an_aggregated_one_is_its_own() -> None:
    aggregated = role("r", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "r"}}]})
    objects = [
        aggregated,
        role("base", reads("pods"), metadata={"labels": {"to": "r"}}),
        {**aggregated, **role("r", reads("jobs"), namespace="a")},
    ]
    roles = index(objects).roles
    assert [rule.resources for rule in roles[gs.Ref("ClusterRole", "r")].rules] == [("pods",)]
    assert [rule.resources for rule in roles[gs.Ref("Role", "r", "a")].rules] == [("jobs",)]
    assert roles[gs.Ref("Role", "r", "a")].rule_origins == ()


@pytest.mark.parametrize(
    ("principals", "resource", "namespace", "without", "expected"),
    [
        # A ClusterRoleBinding comes first, also where another principal or a namespace has one too.
        ((U,), "nodes", "a", (), ("z-cluster", 0)),
        ((S_A, U), "nodes", "a", (), ("z-cluster", 0)),
        ((S_A, G), "nodes", "a", (), ("z-cluster", 0)),
        ((U,), "nodes", "", (), ("z-cluster", 0)),
        ((U,), "pods", "a", (), ("a-local", 0)),
        ((U,), "pods", "b", (), None),
        ((U,), "pods", "", (), None),
        ((S_A,), "nodes", "b", (), ("b-local", 1)),
        ((S_A, S_B), "secrets", "b", (), None),
        ((), "pods", "a", (), None),
        ((U,), "nodes", "a", ("ClusterRoleBinding/z-cluster",), ("a-local", 1)),
        ((U,), "nodes", "a", ("ClusterRole/nodes",), ("a-local", 1)),
        ((U,), "pods", "a", ("RoleBinding/a/a-local",), ("c-local", 0)),
        ((U,), "pods", "a", ("ClusterRole/pods",), ("c-local", 0)),
        ((U,), "pods", "a", ("ClusterRole/pods", "Role/a/pods"), None),
    ],
)
def test_the_first_grant_that_allows(
    principals: tuple[gs.Ref, ...], resource: str, namespace: str, without: tuple[str, ...], expected: Any
) -> None:
    """S-01, S-03: the authorizer's order, with the position of the rule in its role."""
    found = index(HELD)
    refs = {str(ref): ref for each in found.bindings for ref in (each.ref, each.role)}
    request = Request(verb="get", resource=resource, namespace=namespace)
    grant = found.first_allowing(principals, request, without=[refs[text] for text in without])
    assert (grant and (found.bindings[grant[0]].ref.name, grant[1])) == expected


def test_what_is_made_once_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_REMEMBERED", 2)
    found = index(HELD)
    made: list[str] = []

    def ask(key: str) -> str:
        def make() -> str:
            made.append(key)
            return f"value of {key}"

        return found.once(key, make)

    assert [ask(key) for key in "aabab"] == [f"value of {key}" for key in "aabab"]
    assert made == ["a", "b"]
    # The oldest is forgotten, the others are not.
    assert [ask(key) for key in "cba"] == [f"value of {key}" for key in "cba"]
    assert made == ["a", "b", "c", "a"]
    assert len(found._once) == 2


# -- where a rule is written --------------------------------------------------------------------------------------------


def test_lines_of_rules(tmp_path: Path) -> None:
    """Of a role its own; of an aggregated one those of the roles that they come from, however deep."""
    path = tmp_path / "roles.yaml"
    path.write_text(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: base, labels: {to: middle}}\nrules:\n"
        "- {apiGroups: [''], resources: [pods], verbs: [get]}\n- {apiGroups: [''], resources: [nodes], verbs: [get]}\n---\n"
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: middle, labels: {to: top}}\n"
        "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: middle}}]}\n---\n"
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: top}\n"
        "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: top}}]}\n---\n"
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: kept}\n"
        "aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: nothing}}]}\nrules:\n"
        "- {apiGroups: [''], resources: [secrets], verbs: [get]}\n---\n"
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: base, namespace: a}\nrules:\n"
        "- {apiGroups: [''], resources: [jobs], verbs: [get]}\n",
        encoding="utf-8",
    )
    roles = gs.load(path).access.roles
    read = {
        str(ref): [(rule.resources[0], source.line) for rule, source in zip(each.rules, each.rule_sources, strict=True)]
        for ref, each in roles.items()
    }
    base = [("pods", 5), ("nodes", 6)]
    assert read == {
        "ClusterRole/base": base,
        "ClusterRole/middle": base,
        "ClusterRole/top": base,
        "ClusterRole/kept": [("secrets", 23)],
        "Role/a/base": [("jobs", 29)],
    }
    assert {str(ref): each.rule_origins for ref, each in roles.items()} == {
        "ClusterRole/base": (),
        "ClusterRole/middle": ("base", "base"),
        "ClusterRole/top": ("base", "base"),
        "ClusterRole/kept": ("",),
        "Role/a/base": (),
    }


_HEAD = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
_PODS, _NODES = (f"{{apiGroups: [''], resources: [{word}], verbs: [get]}}" for word in ("pods", "nodes"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Written by hand and replaced by what is selected: the lines of that.
        (
            (f"{_HEAD}metadata: {{name: r}}\naggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{to: r}}}}]}}\nrules:\n"
            f"- {_NODES}\n---\n{_HEAD}metadata: {{name: base, labels: {{to: r}}}}\nrules:\n- {_PODS}\n"),
            [("pods", 12)],
        ),
        # Written by hand as it is selected: its own.
        (
            (f"{_HEAD}metadata: {{name: r}}\naggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{to: r}}}}]}}\nrules:\n"
            f"- {_PODS}\n---\n{_HEAD}metadata: {{name: base, labels: {{to: r}}}}\nrules:\n- {_PODS}\n"),
            [("pods", 6)],
        ),
        # The first rule on the line of the object.
        (
            f"{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: r}}, rules: [{_PODS},\n {_NODES}]}}\n",
            [("pods", 1), ("nodes", 2)],
        ),
        # In a cycle, from a role that holds the rule and does not write it: the line of that role.
        (
            (f"{_HEAD}metadata: {{name: r, labels: {{of: r}}}}\naggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{of: s}}}}, "
            f"{{matchLabels: {{of: base}}}}]}}\n---\n{_HEAD}metadata: {{name: s, labels: {{of: s}}}}\n"
            f"aggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{of: r}}}}]}}\n---\n"
            f"{_HEAD}metadata: {{name: base, labels: {{of: base}}}}\nrules:\n- {_PODS}\n"),
            [("pods", 6)],
        ),
    ],
)  # fmt: skip
def test_lines_of_unusual_rules(text: str, expected: list[tuple[str, int]], tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    found = gs.load(path).access.roles[gs.Ref("ClusterRole", "r")]
    read = [(rule.resources[0], source.line) for rule, source in zip(found.rules, found.rule_sources, strict=True)]
    assert read == expected


# -- aggregation -------------------------------------------------------------------------------------------------------


def stored(*resources: str, to: str = "", selects: tuple[str, ...] | None = None, live: bool = False) -> StoredRole:
    """A role with a rule for each resource and the label `to`; ``selects`` are values of that label."""
    return StoredRole(
        rules=tuple(gs.PolicyRule.from_mapping(reads(resource)) for resource in resources),
        labels={"to": to} if to else {},
        selectors=None if selects is None else tuple(LabelSelector(match_labels={"to": value}) for value in selects),
        live=live,
    )


def resources(found: Aggregation) -> dict[str, list[str]]:
    return {name: [rule.resources[0] for rule in rules] for name, rules in found.rules.items()}


def test_an_aggregated_role_is_the_union_of_what_it_selects() -> None:
    """S-50, S-51: selector by selector, by name, each rule once; never itself; the rules written by hand are replaced."""
    found = aggregate(
        {
            "z": stored("pods", "nodes", to="top"),
            "a": stored("nodes", to="top"),
            "m": stored("jobs", to="other"),
            "top": stored("written", to="top", selects=("other", "top")),
            "empty": stored("written", selects=("nothing",)),
            "none": stored("written", selects=()),
            "plain": stored("secrets"),
        }
    )
    assert resources(found) == {
        "a": ["nodes"],
        "m": ["jobs"],
        "z": ["pods", "nodes"],
        "top": ["jobs", "nodes", "pods"],
        "empty": ["written"],
        "none": ["written"],
        "plain": ["secrets"],
    }
    assert found.feeders == {"top": ("m", "a", "z"), "empty": (), "none": ()}
    assert (found.drifted, found.unsettled) == ((), ())
    assert [origin(found, "top", rule) for rule in found.rules["top"]] == ["m", "a", "z"]
    assert origin(found, "plain", found.rules["plain"][0]) == ""


def test_levels_of_aggregation_settle_in_any_order_of_names() -> None:
    found = aggregate(
        {
            "a-top": stored(selects=("middle",)),
            "b-middle": stored(to="middle", selects=("base",)),
            "c-base": stored("pods", to="base"),
            "d-middle": stored(to="middle", selects=("second",)),
            "e-second": stored(to="second", selects=("base",)),
        }
    )
    assert all(names == ["pods"] for names in resources(found).values())
    assert origin(found, "a-top", found.rules["a-top"][0]) == "c-base"
    assert found.unsettled == ()


def test_roles_that_select_each_other_settle() -> None:
    """S-51: two that feed one another take what is neither's; those that never settle are in the oracle (test_oracle)."""
    found = aggregate(
        {
            "a": stored("pods", to="a", selects=("b", "base")),
            "b": stored("nodes", to="b", selects=("a",)),
            "base": stored("jobs", to="base"),
        }
    )
    assert {name: set(names) for name, names in resources(found).items()} == {
        "a": {"nodes", "jobs"},
        "b": {"nodes", "jobs"},
        "base": {"jobs"},
    }
    assert origin(found, "b", found.rules["base"][0]) == "base"
    # Which of a cycle wrote it is no longer known: the search ends where it would turn back.
    assert origin(found, "b", gs.PolicyRule.from_mapping(reads("nodes"))) == "a"


def test_roles_whose_order_alternates_are_named() -> None:
    """S-51: the controller would rewrite them for ever; the set is the same in each round."""
    found = aggregate(
        {
            "a": stored(to="p", selects=("q",)),
            "b": stored("nodes", to="q", selects=("r", "p")),
            "c": stored("jobs", to="r", selects=("p",)),
        }
    )
    assert found.unsettled == ("a", "b", "c")
    assert [{*names} for names in resources(found).values()] == [{"nodes", "jobs"}] * 3


def test_the_search_for_an_origin_ends_in_a_cycle() -> None:
    found = aggregate(
        {
            "top": stored(selects=("a",)),
            "a": stored("pods", to="a", selects=("b",)),
            "b": stored("nodes", to="b", selects=("a",)),
        }
    )
    assert origin(found, "top", gs.PolicyRule.from_mapping(reads("nodes"))) == "b"


def test_rules_of_a_server_count_as_they_are() -> None:
    """S-52: if all that the role depends on was read there too; then a difference is named."""
    base, other = stored("pods", to="top", live=True), stored("nodes", to="top", live=True)
    live = aggregate({"base": base, "top": stored("pods", "jobs", selects=("top",), live=True)})
    assert resources(live)["top"] == ["pods", "jobs"]
    assert live.drifted == ("top",)
    same = aggregate({"base": base, "other": other, "top": stored("nodes", "pods", selects=("top",), live=True)})
    assert resources(same)["top"] == ["nodes", "pods"]
    assert same.drifted == ()
    kept = aggregate({"base": base, "top": stored("jobs", selects=("nothing",), live=True)})
    assert (resources(kept)["top"], kept.drifted) == (["jobs"], ())
    for mixed in (
        {"base": stored("pods", to="top"), "top": stored("jobs", selects=("top",), live=True)},
        {"base": base, "top": stored("jobs", selects=("top",))},
        {
            "base": stored("pods", to="middle"),
            "middle": stored("jobs", to="top", selects=("middle",), live=True),
            "top": stored("jobs", selects=("top",), live=True),
        },
    ):
        found = aggregate(mixed)
        assert resources(found)["top"] == ["pods"]
        assert found.drifted == ()
    round_trip = aggregate(
        {
            "a": stored("pods", to="a", selects=("b",), live=True),
            "b": stored("nodes", to="b", selects=("a",), live=True),
        }
    )
    assert resources(round_trip) == {"a": ["pods"], "b": ["nodes"]}
    assert round_trip.drifted == ("a", "b")
    drifting = {name: stored("jobs", selects=("top",), live=True) for name in "gbhadcfe"}
    assert aggregate({"base": base, **drifting}).drifted == tuple("abcdefgh")


def test_random_levels_are_the_reference() -> None:
    """Ten roles that select those of a later level, in random names, so that every order of syncing ends the same."""
    source = random.Random(20)
    for _ in range(40):
        names = source.sample("abcdefghij", 10)
        objects = []
        for level, name in enumerate(names):
            words = source.sample(("pods", "nodes", "jobs", "secrets"), source.randrange(3))
            made = role(name, *map(reads, words), metadata={"labels": {"of": str(level)}})
            if level < 6 and source.random() < 0.6:
                values = source.sample([str(each) for each in range(level + 1, 10)], 2)
                selectors: list[Row] = [{"matchExpressions": [{"key": "of", "operator": "In", "values": values}]}]
                selectors.append({"matchLabels": {"of": str(source.randrange(level + 1, 10))}})
                made["aggregationRule"] = {"clusterRoleSelectors": source.sample(selectors, source.randrange(1, 3))}
            objects.append(made)
        roles = index(objects).roles
        for name, rules in reference.aggregate(objects).items():
            assert list(roles[gs.Ref("ClusterRole", name)].rules) == [
                gs.PolicyRule.from_mapping(each) for each in rules
            ]
