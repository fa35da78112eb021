"""The matcher and Covers, word by word: every short rule against every short request and rule, and what identities mean."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import reference

import graphsec as gs
from graphsec.compile.access import principal
from graphsec.model.objects import WireSubject
from graphsec.model.rbac import (
    ALL,
    Request,
    Target,
    acts,
    allows,
    breakdown,
    covers,
    decode_rule,
    implicit_groups,
    resource_forms,
    subject_ref,
    url_prefix,
    username,
    word_forms,
)

Row = dict[str, Any]

VERBS = ("get", "GET", ALL)
GROUPS = ("", "apps", ALL)
#: `*/` and `a/b/c` are no resource's, but rules may say them; they are compared like the others (S-12 to S-16).
RESOURCES = ("pods", "pods/", "pods/log", "pods/log/x", "pods/*", "*/log", "*/log/x", "*/*", "*/", ALL)
NAMES = ((), ("x",), ("",), (ALL,), ("x", "y"))
PATTERNS = ("/", "/foo", "/foo/", "/foo*", "/foo/*", "/foo/**", "/f*o", "/foo/x", "**", ALL)
PATHS = ("/", "/foo", "/foo/", "/foobar", "/foo/x", "/fxo", "/foo*", "*")


def resource_rules() -> Iterator[Row]:
    for verb, group, resource, names in product(VERBS, GROUPS, RESOURCES, NAMES):
        yield {"verbs": [verb], "apiGroups": [group], "resources": [resource], "resourceNames": list(names)}


def url_rules() -> Iterator[Row]:
    for verb, pattern in product(VERBS, PATTERNS):
        yield {"verbs": [verb], "nonResourceURLs": [pattern]}
    # S-45 refuses these; they are read literally, and names limit no URL.
    yield {"verbs": ["get"], "nonResourceURLs": ["/foo"], "resourceNames": ["x"]}
    yield {
        "verbs": ["get"],
        "apiGroups": [""],
        "resources": ["pods"],
        "nonResourceURLs": ["/foo"],
        "resourceNames": ["x"],
    }


RULES = [*resource_rules(), *url_rules()]
#: Where a list has several words, one that matches is enough.
MIXED = [
    {"verbs": ["list", "get"], "apiGroups": ["batch", ""], "resources": ["jobs", "pods"], "resourceNames": ["y", "x"]},
    {"verbs": ["get", "list"], "apiGroups": ["", "batch"], "resources": ["pods", "jobs"]},
    {"verbs": ["post", "get"], "nonResourceURLs": ["/bar", "/foo"]},
    {"verbs": [], "apiGroups": [""], "resources": ["pods"]},
    {"verbs": ["get"], "apiGroups": [], "resources": ["pods"]},
    {"verbs": ["get"], "apiGroups": [""], "resources": []},
    {},
]


def requests() -> Iterator[Row]:
    named = product(
        ("get", "list", ALL), GROUPS, (("pods", ""), ("pods", "log"), ("pods", "log/x"), ("secrets", "log"))
    )
    for verb, group, (resource, subresource) in named:
        for name in ("", "x", ALL):
            yield {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name}
    for verb, group, resource in product(("get",), GROUPS, (ALL, "*/")):
        for subresource in ("", ALL, "log"):
            yield {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": ""}
    for verb, path in product(("get", "post", ALL), PATHS):
        yield {"verb": verb, "path": path}


def asked(row: Row) -> Request:
    return Request(**{("url" if key == "path" else key): word for key, word in row.items()})


def read(rules: list[Row]) -> list[gs.PolicyRule]:
    return [gs.PolicyRule.from_mapping(rule) for rule in rules]


def test_allows_is_the_reference() -> None:
    """S-05 to S-20, for every rule of one word each and every request."""
    rules = [*RULES, *MIXED]
    wanted = [(row, asked(row)) for row in requests()]
    wrong = [
        (rule, row)
        for rule, parsed in zip(rules, read(rules), strict=True)
        for row, request in wanted
        if allows(parsed, request) is not reference.allows(rule, row)
    ]
    assert wrong == []


def test_acts_is_allows_without_names() -> None:
    """What a rule limited to names does, for the question about any name."""
    limited = [*resource_rules(), *MIXED]
    wanted = [asked(row) for row in requests()]
    wrong = [
        (rule, request)
        for rule in limited
        for request in wanted
        if acts(gs.PolicyRule.from_mapping(rule), request)
        is not allows(gs.PolicyRule.from_mapping({**rule, "resourceNames": None}), request)
    ]
    assert wrong == []


@pytest.mark.parametrize("rules", [list(resource_rules())[::2], list(resource_rules())[1::2], list(url_rules()), MIXED])
def test_covers_is_the_reference(rules: list[Row]) -> None:
    """S-63: each rule as owner of each, and what stays uncovered in Kubernetes' order."""
    owners = list(zip(rules, read(rules), strict=True))
    wrong = [
        (owner, servant)
        for servant, parsed in owners[:: max(1, len(owners) // 60)]
        for owner, candidate in owners
        if list(covers([candidate], [parsed]).uncovered) != read(reference.covers([owner], [servant])[1])
    ]
    assert wrong == []


@pytest.mark.parametrize("servant", [RULES[0], RULES[7], MIXED[0], MIXED[1], MIXED[2], RULES[-1], RULES[-2]])
def test_several_owners_do_not_combine(servant: Row) -> None:
    """S-63: one owner rule must cover an atom alone; different atoms may have different owners."""
    for owners in product([*MIXED, RULES[-1], RULES[0]], repeat=2):
        covered = covers(read(list(owners)), read([servant]))
        verdict, uncovered = reference.covers(list(owners), [servant])
        assert (bool(covered), list(covered.uncovered)) == (verdict, read(uncovered))


def test_atoms_are_in_the_order_of_kubernetes() -> None:
    """`BreakdownRule`: group, resource, verb, name; then URL, verb."""
    rule = {
        "verbs": ["get", "put"],
        "apiGroups": ["", "apps"],
        "resources": ["pods", "jobs"],
        "resourceNames": ["x", ""],
        "nonResourceURLs": ["/a", "/b"],
    }
    atoms = list(breakdown(gs.PolicyRule.from_mapping(rule)))
    assert len(atoms) == 2 * 2 * 2 * 2 + 2 * 2
    assert atoms == read(list(reference.breakdown(rule)))
    assert (atoms[0], atoms[1]) == tuple(
        gs.PolicyRule(verbs=("get",), groups=("",), resources=("pods",), names=(name,)) for name in ("x", "")
    )


@pytest.mark.parametrize(
    ("resource", "subresource", "expected"),
    [
        ("pods", "", ("pods", "*")),
        ("*", "", ("*",)),
        ("pods", "log", ("pods/log", "*/log", "*")),
        ("*", "log", ("*/log", "*")),
    ],
)
def test_forms_of_a_word_are_listed_once(resource: str, subresource: str, expected: tuple[str, ...]) -> None:
    """S-10 to S-14; the index looks each up."""
    assert resource_forms(resource, subresource) == expected
    if not subresource:
        assert word_forms(resource) == expected


@pytest.mark.parametrize(
    ("pattern", "prefix"), [("/a*", "/a"), ("/a/**", "/a/"), ("*", ""), ("/a", None), ("/a*b", None), ("*/a*", "*/a")]
)
def test_prefix_of_a_url(pattern: str, prefix: str | None) -> None:
    """S-20."""
    assert url_prefix(pattern) == prefix


# -- rules and requests as they are written ----------------------------------------------------------------------------

WRITTEN = {
    "apiGroups": [""],
    "resources": ["pods"],
    "resourceNames": ["x"],
    "nonResourceURLs": ["/a"],
    "verbs": ["get"],
}


def test_a_rule_is_read_as_it_is_written() -> None:
    rule = gs.PolicyRule(verbs=("get",), groups=("",), resources=("pods",), names=("x",), urls=("/a",))
    assert gs.PolicyRule.from_mapping(WRITTEN) == decode_rule(WRITTEN) == rule
    assert rule.to_mapping() == WRITTEN
    text = b'{"apiGroups":[""],"resources":["pods"],"resourceNames":["x"],"nonResourceURLs":["/a"],"verbs":["get"]}'
    assert decode_rule(text) == rule


@pytest.mark.parametrize("field", WRITTEN)
def test_a_list_that_is_null_is_empty(field: str) -> None:
    """Go encodes an empty list as null."""
    without = {key: value for key, value in WRITTEN.items() if key != field}
    rule = gs.PolicyRule.from_mapping({**WRITTEN, field: None})
    assert rule == gs.PolicyRule.from_mapping(without) == gs.PolicyRule.from_mapping({**WRITTEN, field: []})
    assert rule.to_mapping() == without
    assert isinstance(rule.verbs, tuple)


@pytest.mark.parametrize("target", [{}, {"resource": "pods", "url": "/a"}])
def test_a_target_is_a_resource_or_a_url(target: dict[str, str]) -> None:
    with pytest.raises(gs.UsageError, match="either a resource or a URL"):
        Target(**target)


def test_the_request_of_a_target() -> None:
    """A URL is asked for at cluster scope (S-03)."""
    words = {"group": "apps", "resource": "jobs", "subresource": "status", "name": "x", "namespace": "a"}
    assert Target(**words).request("get") == Request(verb="get", **words)
    assert Target(url="/a", namespace="a").request("get") == Request(verb="get", url="/a")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"verb": "get", "url": "/a"}, "get /a"),
        ({"verb": "get", "resource": "pods"}, "get pods"),
        ({"verb": "get", "resource": "jobs", "group": "batch"}, "get jobs.batch"),
        ({"verb": "get", "resource": "pods", "subresource": "log"}, "get pods/log"),
        ({"verb": "get", "resource": "pods", "name": "x"}, "get pods 'x'"),
        ({"verb": "get", "resource": "pods", "namespace": "a"}, "get pods in a"),
        (
            {"verb": "get", "group": "g", "resource": "r", "subresource": "s", "name": "n", "namespace": "a"},
            "get r.g/s 'n' in a",
        ),
    ],
)
def test_text_of_a_request(row: dict[str, str], text: str) -> None:
    assert str(Request(**row)) == text


# -- identities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("alice", gs.Ref("User", "alice")),
        ("", gs.Ref("User", "")),
        ("system:serviceaccount:a:s", gs.Ref("ServiceAccount", "s", "a")),
        *(
            (name, gs.Ref("User", name))
            for name in (
                "system:serviceaccount:",
                "system:serviceaccount:a",
                "system:serviceaccount:a:",
                "system:serviceaccount::s",
                "system:serviceaccount:a:s:t",
                "system:serviceaccounts:a:s",
                "x:system:serviceaccount:a:s",
                "System:serviceaccount:a:s",
            )
        ),
    ],
)
def test_who_a_user_name_is(name: str, subject: gs.Ref) -> None:
    """S-40; ServiceAccount names hold no colon."""
    assert subject_ref(name) == subject
    assert username(subject) == name


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("alice", {"system:authenticated"}),
        ("", {"system:authenticated"}),
        ("system:anonymous", {"system:unauthenticated"}),
        ("system:anonymous:x", {"system:authenticated"}),
        (
            "system:serviceaccount:a:s",
            {"system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"},
        ),
        ("system:serviceaccount:a", {"system:authenticated"}),
        ("system:node:n", {"system:nodes", "system:authenticated"}),
        ("system:nodes:n", {"system:authenticated"}),
        ("n:system:node:", {"system:authenticated"}),
        ("system:bootstrap:t", {"system:bootstrappers", "system:authenticated"}),
        ("system:bootstrappers:t", {"system:authenticated"}),
        ("t:system:bootstrap:", {"system:authenticated"}),
    ],
)
def test_implicit_groups(user: str, groups: set[str]) -> None:
    """S-46: each group once."""
    assert sorted(implicit_groups(user)) == sorted(groups)


@pytest.mark.parametrize(
    ("subject", "scope", "expected"),
    [
        (WireSubject(kind="User", name="*"), None, gs.Ref("User", "*")),
        (WireSubject(kind="User", name="alice", namespace="a"), "b", gs.Ref("User", "alice")),
        (WireSubject(kind="User", name="system:serviceaccount:a:s"), None, gs.Ref("ServiceAccount", "s", "a")),
        (WireSubject(kind="Group", name="devs", namespace="a"), "b", gs.Ref("Group", "devs")),
        (WireSubject(kind="ServiceAccount", name="s"), "b", gs.Ref("ServiceAccount", "s", "b")),
        (WireSubject(kind="ServiceAccount", name="s", namespace="a"), "b", gs.Ref("ServiceAccount", "s", "a")),
        (WireSubject(kind="ServiceAccount", name="s", namespace="a"), None, gs.Ref("ServiceAccount", "s", "a")),
        (WireSubject(kind="ServiceAccount", name="s"), None, None),
        # By the user name that is asked for: `a:b` makes it one with three parts.
        (WireSubject(kind="ServiceAccount", name="s:t"), "a", gs.Ref("User", "system:serviceaccount:a:s:t")),
        (WireSubject(kind="ServiceAccount", name="", namespace="a"), None, gs.Ref("User", "system:serviceaccount:a:")),
        (WireSubject(kind="ServiceAccount", name="s", namespace="a:b"), None, gs.Ref("User", "system:serviceaccount:a:b:s")),
        (WireSubject(kind="Robot", name="alice"), "a", None),
        (WireSubject(kind="user", name="alice"), "a", None),
    ],
)  # fmt: skip
def test_who_a_subject_is(subject: WireSubject, scope: str | None, expected: gs.Ref | None) -> None:
    """S-40 to S-42: exact kinds, the binding's namespace for an account without one, and no namespace for the others."""
    assert principal(subject, scope) == expected
