"""Every world of `fixtures/worlds` answers every question as its `answers.yaml` says, and all answers agree.

A question is written as on the command line without `graphsec`. `system:masters` is in every who-can and left unwritten.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import reference
import yaml

import graphsec as gs
from graphsec.model.rbac import username
from graphsec.query import _saved
from graphsec.query._subjects import parse_subject
from graphsec.query._words import VERB_GROUPS

FIXTURES = Path(__file__).parent.parent / "fixtures"
ANSWERS = sorted((FIXTURES / "worlds").glob("*/answers.yaml"))
CLUSTERS = sorted(path for path in (FIXTURES / "worlds").glob("*/*.yaml") if path.name != "answers.yaml")
MASTERS = gs.Ref("Group", "system:masters")
QUERIES = {query.id: query for query in _saved.load_queries([_saved.builtin_directory()])}
SECTIONS = {"about", "shows", "who_can", "can_i", "without_groups", "what_can", "queries", "covers", "diagnostics"}

Row = dict[str, Any]


# -- reading -----------------------------------------------------------------------------------------------------


def topic(path: Path) -> str:
    return path.parent.name if path.stem in ("answers", "cluster") else f"{path.parent.name}-{path.stem}"


def sections(name: str) -> list[Any]:
    return [
        pytest.param(path.parent / "cluster.yaml", question, expected, id=f"{topic(path)}: {question}")
        for path in ANSWERS
        for question, expected in (answers(path).get(name) or {}).items()
    ]


@cache
def answers(path: Path) -> Row:
    loaded: Row = yaml.safe_load(path.read_text())
    return loaded


@cache
def world(path: Path) -> gs.World:
    return gs.load(path)


def objects(path: Path) -> list[Row]:
    """The RBAC objects for the reference: Lists unwrapped, aggregated, without those that the loader refuses."""
    refused = {diagnostic.object for diagnostic in world(path).diagnostics if diagnostic.code == "GS-IN-020"}
    found: list[Row] = []
    for document in documents(path):
        for body in document.get("items", [document]):
            meta = body["metadata"]
            parts = (body["kind"], meta.get("namespace"), meta["name"])
            if "/".join(filter(None, parts)) not in refused:
                found.append(body)
    return reference.with_aggregation(found)


def documents(path: Path) -> Iterator[Row]:
    for text in re.split(r"^---$", path.read_text(), flags=re.MULTILINE):
        try:
            yield yaml.safe_load(text)
        except yaml.YAMLError:
            assert any(found.code == "GS-IN-001" for found in world(path).diagnostics)


def words(line: str, loaded: gs.World) -> tuple[tuple[str, ...], Row]:
    """(verbs, keywords of `who_can`) of `get,list TYPE.GROUP/NAME --subresource S -n NS`."""
    verbs, target, *options = shlex.split(line)
    asked: Row = {"url": target} if target.startswith("/") else named(target)
    flags = iter(options)
    for flag in flags:
        key = {"-n": "namespace", "--subresource": "subresource", "-A": "any_namespace"}[flag]
        asked[key] = True if flag == "-A" else next(flags)
    return VERB_GROUPS.get(verbs, tuple(verbs.split(","))), asked


def named(target: str) -> Row:
    """Types are literal here: `secrets`, `deployments.apps`, `*.*`."""
    word, _, name = target.partition("/")
    resource, _, group = word.partition(".")
    # A signer's name has a slash and a group has none, so that the first slash ends the type.
    return {"resource": resource, "group": group, "name": name}


# -- writing -----------------------------------------------------------------------------------------------------


def holder(item: gs.Access) -> str:
    marks = [
        f"(names {' '.join(item.names)})" if item.names else "",
        "(inert)" if item.inert else "",
        "(unmet)" if item.unmet else "",
        f"x{len(item.because)}" if len(item.because) > 1 else "",
    ]
    return " ".join(filter(None, [f"{item.subject}@{item.scope}", *marks]))


def grant(item: gs.Grant) -> str:
    rule = item.rule
    resources = [f"{name}.{group}" if group else name for group in rule.groups for name in rule.resources]
    names = f" (names {' '.join(rule.names)})" if rule.names else ""
    witnesses = f" x{len(item.because)}" if len(item.because) > 1 else ""
    return f"{','.join(rule.verbs)} {','.join(rule.urls or resources)}{names}{witnesses}"


# -- every question ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "question", "expected"), sections("who_can"))
def test_who_can(path: Path, question: str, expected: list[str]) -> None:
    verbs, asked = words(question, world(path))
    items = list(gs.who_can(world(path), verbs, any_name=not asked.get("name"), **asked))
    assert items[0].subject == MASTERS
    assert sorted(map(holder, items[1:])) == sorted(expected)


@pytest.mark.parametrize(("path", "question", "expected"), sections("can_i"))
def test_can_i(path: Path, question: str, expected: str) -> None:
    subject, groups, request = whose(question, path)
    assert decide(path, subject, groups, request) == expected


@pytest.mark.parametrize(("path", "question", "expected"), sections("without_groups"))
def test_can_i_without_groups(path: Path, question: str, expected: str) -> None:
    subject, _, request = whose(question, path)
    assert decide(path, subject, [], request) == expected


def whose(question: str, path: Path) -> tuple[gs.Ref, list[str] | None, str]:
    subject, _, request = question.partition(" ")
    ref = parse_subject(subject, world(path))
    return ref, [ref.name] if ref.kind == "Group" else None, request


def decide(path: Path, subject: gs.Ref, groups: list[str] | None, request: str) -> str:
    verbs, asked = words(request, world(path))
    user = "" if subject.kind == "Group" else username(subject)
    return gs.can_i(world(path), verbs, user=user, groups=groups, **asked).word


@pytest.mark.parametrize(("path", "question", "expected"), sections("what_can"))
def test_what_can(path: Path, question: str, expected: dict[str, list[str]]) -> None:
    found: dict[str, list[str]] = {}
    for item in gs.what_can(world(path), question):
        found.setdefault(item.scope, []).append(grant(item))
    assert {scope: sorted(rules) for scope, rules in found.items()} == {
        scope: sorted(rules) for scope, rules in expected.items()
    }


@pytest.mark.parametrize(("path", "question", "expected"), sections("queries"))
def test_saved_query(path: Path, question: str, expected: list[str]) -> None:
    found = {str(item.subject) for item in _saved.run(QUERIES[question], world(path))}
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(("path", "question", "expected"), sections("covers"))
def test_covers(path: Path, question: str, expected: bool) -> None:
    owners, _, servant = question.partition(" > ")
    roles = world(path).access.roles
    mine = [rule for name in owners.split(" + ") for rule in roles[gs.Ref("ClusterRole", name)].rules]
    asked = roles[gs.Ref("ClusterRole", servant)].rules
    assert bool(gs.covers(mine, asked)) is expected
    assert reference.covers(*([rule.to_mapping() for rule in rules] for rules in (mine, asked)))[0] is expected


@pytest.mark.parametrize("path", ANSWERS, ids=topic)
def test_the_answers_are_whole(path: Path) -> None:
    """Nothing is declared that no test reads, and no diagnostic comes unannounced."""
    declared = answers(path)
    assert set(declared) <= SECTIONS
    assert {"about", "shows", "who_can", "can_i"} <= set(declared)
    found = sorted(diagnostic.code for diagnostic in world(path.parent / "cluster.yaml").diagnostics)
    assert found == declared.get("diagnostics", [])


def test_every_regression_case_has_a_world() -> None:
    shown = {claim for path in ANSWERS for claim in answers(path)["shows"]}
    assert {f"R-{number:02}" for number in range(1, 34)} <= shown


# -- answers agree, with one another and with the reference ------------------------------------------------------


@pytest.mark.parametrize("path", CLUSTERS, ids=topic)
def test_who_can_is_everyone_who_can(path: Path) -> None:
    plain = objects(path)
    subjects = {parts for obj in plain for parts in map(named_by(obj), reference.items(obj, "subjects")) if parts}
    for request in requests(plain):
        listed = set(map(triple, ask(path, request)))
        assert listed == reference.who_can(plain, request), request
        for subject in (*subjects, reference.MASTERS):
            user, groups = reference.request_as(subject)
            decision = gs.can_i(world(path), request["verb"], user=user, groups=groups, **keywords(request))
            assert bool(decision) is (subject in listed), (subject, request)


@pytest.mark.parametrize("path", CLUSTERS, ids=topic)
def test_a_witness_alone_reproduces_its_grant(path: Path) -> None:
    plain = objects(path)
    for request in requests(plain):
        for item in gs.who_can(world(path), request["verb"], **keywords(request)):
            for proof in item.because:
                if proof.binding and proof.role and proof.rule:
                    user, groups = reference.request_as(triple(proof.subject or item.subject))
                    alone = witness(plain, proof.binding, proof.role, proof.rule)
                    assert reference.can(alone, user, groups, request), (proof, request)


def named_by(binding: Row) -> Callable[[Row], reference.Subject | None]:
    return lambda subject: reference.named_subject(subject, binding)


def triple(ref: gs.Ref) -> reference.Subject:
    return (ref.kind, ref.namespace, ref.name)


def ask(path: Path, request: Row) -> Iterator[gs.Ref]:
    return (item.subject for item in gs.who_can(world(path), request["verb"], **keywords(request)))


def keywords(request: Row) -> dict[str, Any]:
    return {("url" if key == "path" else key): word for key, word in request.items() if key != "verb"}


def witness(plain: list[Row], binding: gs.Ref, role: gs.Ref, rule: gs.PolicyRule) -> list[Row]:
    """The binding and its role with the one rule, as objects."""
    stored = {ref_of(obj): obj for obj in plain}
    return [stored[binding], {**stored[role], "rules": [rule.to_mapping()]}]


def ref_of(obj: Row) -> gs.Ref:
    meta = obj["metadata"]
    return gs.Ref(obj["kind"], meta["name"], meta.get("namespace"))


def requests(plain: list[Row]) -> Iterator[Row]:
    """What the rules speak of, with concrete words for wildcards, in every namespace there is and in one that is not."""
    namespaces = ["", "elsewhere", *sorted({ns for obj in plain if (ns := obj["metadata"].get("namespace"))})]
    for rule in [rule for obj in plain for rule in reference.items(obj, "rules")]:
        for verb in concrete(reference.items(rule, "verbs"), "frobnicate")[:2]:
            for path in concrete(reference.items(rule, "nonResourceURLs"), "/x"):
                yield {"verb": verb, "path": path}
            for group in concrete(reference.items(rule, "apiGroups"), "x.example.com")[:2]:
                for word in concrete(reference.items(rule, "resources"), "gadgets")[:2]:
                    resource, _, subresource = word.partition("/")
                    base = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
                    for name in ("", *reference.items(rule, "resourceNames")):
                        yield from ({**base, "name": name, "namespace": namespace} for namespace in namespaces)


def concrete(listed: Iterable[str], stand_in: str) -> list[str]:
    return [stand_in if word == "*" else word.replace("*", "gadgets") for word in listed]
