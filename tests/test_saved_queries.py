"""The saved queries: those that come with the package keep their promises, and bad files are refused by file and line."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

import graphsec as gs
from graphsec.query import _saved

ROOT = Path(__file__).parent.parent
QUERIES = _saved.load_queries([_saved.builtin_directory()])
DEMO = ROOT / "fixtures" / "demo"

GOOD = """\
apiVersion: graphsec/v1
id: ORG-SEC-001
title: Who can read secrets of prod
severity: high
description: Secrets of prod are worth something.
remediation: Name them.
references: [https://example.com/secrets]
tags: [CIS-5.1.2, T1552.007, exposure]
ask: who_can
verbs: [read]
resource: secrets
expect:
  - {world: bad, find: [User/alice]}
  - {world: good, find: []}
"""
GOOD_LINES = GOOD.splitlines()


def edited(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def load_one(folder: Path, text: str) -> _saved.SavedQuery:
    (folder / "query.yaml").write_text(text)
    return _saved.load_queries([folder])[0]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(gs.UsageError) as caught:
        load_one(folder, text)
    assert caught.value.exit_code == 2
    return caught.value.message.replace(f"{folder}/", "")


def objects(*subjects: str, verb: str = "get", binding: str = "reader") -> dict[str, Any]:
    """A Role in prod that reads secrets, bound to users."""
    rbac = "rbac.authorization.k8s.io"
    metadata = {"name": binding, "namespace": "prod"}
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": [verb]}
    role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
    users = [{"apiGroup": rbac, "kind": "User", "name": name} for name in subjects]
    ref = {"apiGroup": rbac, "kind": "Role", "name": binding}
    bound = {**role, "kind": "RoleBinding", "roleRef": ref, "subjects": users}
    return {"apiVersion": "v1", "kind": "List", "items": [role, bound]}


# -- the queries that come with the package ----------------------------------------------------------------------


def test_ids_count_up_in_the_order_of_loading() -> None:
    assert [query.id for query in QUERIES] == [f"GS-Q-{number:03}" for number in range(1, len(QUERIES) + 1)]
    assert QUERIES[0].source.file == "queries/secrets-read.yaml"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_a_builtin_query_lints_clean_and_finds_what_it_expects(query: _saved.SavedQuery) -> None:
    assert _saved.lint(query) == []
    assert _saved.test(query, ROOT / "queries") == []


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_a_small_edit_makes_the_finding_vanish(query: _saved.SavedQuery) -> None:
    """Bad and good differ in one place, so that the query is known to look at just that."""
    stem = Path(query.source.file).stem
    assert [expectation.world for expectation in query.expect] == [f"worlds/{stem}/bad", f"worlds/{stem}/good"]
    bad, good = (
        (ROOT / "fixtures" / "worlds" / stem / f"{side}.yaml").read_text().splitlines() for side in ("bad", "good")
    )
    changes = [line for line in difflib.ndiff(bad, good) if line[0] in "+-"]
    assert 0 < len(changes) <= 2


def test_nothing_of_a_fresh_cluster_is_found() -> None:
    """All that is there is shipped with Kubernetes: told by content, whatever its name."""
    fresh = gs.load(str(ROOT / "graphsec" / "data" / "defaults" / "1.36.json"))
    assert {query.id: [str(item.subject) for item in _saved.run(query, fresh)] for query in QUERIES} == {
        query.id: [] for query in QUERIES
    }


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["apiVersion", "id", "title", "severity", "description", "remediation", "ask"])
def test_a_required_key_is_missed(tmp_path: Path, line: str) -> None:
    text = "\n".join(row for row in GOOD_LINES if not row.startswith(f"{line}:"))
    assert refusal(tmp_path, text) == f"query.yaml:1: required key `{line}` is missing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            edited("severity: high", "severity: urgent"),
            "4: `severity`: 'urgent' is none of info, low, medium, high, critical",
        ),
        (edited("apiVersion: graphsec/v1", "apiVersion: v2"), "1: `apiVersion`: 'v2' is none of graphsec/v1"),
        (edited("id: ORG-SEC-001", "id: secrets"), "2: `id`: ids look like `ORG-SEC-001`"),
        (edited("ask: who_can", "ask: who_could"), "9: `ask`: 'who_could' is none of who_can, what_can, can_i"),
        (edited("title: Who", "titel: Who"), "3: unknown key `titel`"),
        (edited("resource: secrets", "resorce: secrets"), "11: unknown key `resorce`"),
        (GOOD + "namespaces: [prod]\n", "15: unknown key `namespaces`"),
        (GOOD + "source: {file: x, line: 1}\n", "15: unknown key `source`"),
        (GOOD + "scope: prod\n", "15: `scope`: 'prod' is none of any, cluster"),
        (GOOD + "namespace: 5\n", "15: `namespace`: expected `str`, got `int`"),
        (GOOD + "title: Again\n", "15: key `title` stands twice in one mapping, first at line 3: the last one counts"),
        (edited("good, find: []", "good, fnd: []"), "14: `expect`: unknown key `fnd`"),
        (edited("verbs: [read]\n", ""), "1: `verbs` is missing or empty"),
        (edited("resource: secrets", "any_of: [{verbs: [get], resource: pods}]"), "1: `any_of` holds verbs"),
        (GOOD + "url: /metrics\n", "1: one of `resource` and `url` is needed"),
        (GOOD + "scope: cluster\nnamespace: prod\n", "1: `namespace` and `scope: cluster` exclude each other"),
        (GOOD + "---\n" + GOOD, "16: a file holds one query, not 2"),
        ("# nothing\n", "1: a file holds one query, not 0"),
        (edited("verbs: [read]", " verbs: [read]"), "syntax error"),
        (
            GOOD + 'where: subject.kind == "ServiceAccount"\n',
            "15: `where`: a condition in CEL (tier 2) is not supported yet",
        ),
        (edited("ask: who_can", "ask: match"), "9: a path pattern (tier 3) is not supported yet"),
        (GOOD + "match: (s)-[:ATTACK*1..6]->(t)\n", "15: `match`: a path pattern (tier 3) is not supported yet"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)
    assert refusal(tmp_path, text).startswith("query.yaml:")


def test_a_misindented_entry_is_an_error_not_a_rule_less(tmp_path: Path) -> None:
    """R-09."""
    text = edited("  - {world: good", " - {world: good")
    assert refusal(tmp_path, text).startswith("query.yaml:14: syntax error")


def test_files_load_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.yaml").write_text(GOOD)
    (tmp_path / "c.yaml").write_text(edited("severity: high", "severity: urgent"))
    with pytest.raises(gs.UsageError) as caught:
        _saved.load_queries([tmp_path, _saved.builtin_directory()])
    lines = caught.value.message.replace(str(tmp_path), "T").splitlines()
    assert lines == [
        "T/c.yaml:4: `severity`: 'urgent' is none of info, low, medium, high, critical",
        "  T/sub/b.yaml:1: `id`: `ORG-SEC-001` is the id of T/a.yaml:1 already",
    ]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(gs.UsageError, match="no folder of queries"):
        _saved.load_queries([tmp_path / "none"])


# -- running, linting, testing -----------------------------------------------------------------------------------


def test_run_is_who_can_without_what_is_left_out(tmp_path: Path) -> None:
    query = load_one(tmp_path, GOOD)
    world = gs.load(objects("alice"), with_defaults=True)
    answer = _saved.run(query, world)
    assert [(str(item.subject), item.scope, item.verbs) for item in answer] == [("User/alice", "prod", ("get",))]
    assert answer.question.command() == "query run ORG-SEC-001"
    assert answer.envelope()["question"]["title"] == query.title
    with_builtin = _saved.run(load_one(tmp_path, GOOD + "builtin: true\n"), world)
    subjects = [str(item.subject) for item in with_builtin]
    assert subjects[0] == "Group/system:masters"
    assert "ServiceAccount/kube-system/generic-garbage-collector" in subjects
    assert {"User/alice"} < set(subjects)


def test_several_requests_are_one_finding_per_subject_and_scope(tmp_path: Path) -> None:
    text = edited(
        "verbs: [read]\nresource: secrets",
        "any_of:\n  - {verbs: [get], resource: secrets}\n  - {verbs: [list], resource: secret}",
    )
    world = gs.load(objects("alice", verb="get"), objects("alice", "bob", verb="list", binding="lister"))
    items = _saved.run(load_one(tmp_path, text), world).items
    assert [(str(item.subject), item.verbs, len(item.because)) for item in items] == [
        ("User/alice", ("get", "list"), 2),
        ("User/bob", ("list",), 1),
    ]


def test_scope_and_names(tmp_path: Path) -> None:
    world = gs.load(objects("alice"))

    def found(extra: str) -> list[str]:
        return [str(item.subject) for item in _saved.run(load_one(tmp_path, GOOD + extra), world)]

    assert found("") == ["User/alice"]
    assert found("scope: cluster\n") == []
    assert found("namespace: prod\n") == ["User/alice"]
    assert found("namespace: ci\n") == []


def test_other_questions(tmp_path: Path) -> None:
    world = gs.load(objects("alice"))
    what_can = edited("ask: who_can\nverbs: [read]\nresource: secrets", "ask: what_can\nsubjects: [user:alice, bob]")
    can_i = edited("ask: who_can\n", "ask: can_i\nsubject: alice\nnamespace: prod\n")
    for text, rows in ((what_can, 1), (can_i, 1), (can_i.replace("prod\n", "ci\n"), 0)):
        answer = _saved.run(load_one(tmp_path, text), world)
        assert [str(item.subject) for item in answer] == ["User/alice"] * rows
        assert all(len(item.row(wide=True)) == len(answer.question.columns(wide=True)) for item in answer)
    assert load_one(tmp_path, can_i).ask == "can_i"


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (edited("title: Who", "title: who"), "title: "),
        (edited("worth something.", "worth something"), "description: whole sentences"),
        (edited("references: [https://example.com/secrets]\n", ""), "references: name a page"),
        (edited("https://example.com/secrets", "http://example.com"), "references: no https address"),
        (edited("exposure", "Exposure Of Things"), "tags: `Exposure Of Things`"),
        (edited("find: [User/alice]", "find: []"), "expect: a world where something is found"),
        (edited("resource: secrets", "resource: secretz"), "resource: `secretz` is not one of Kubernetes"),
        (edited("resource: secrets", "resource: pods\nsubresource: exce"), "subresource: pods has no `exce`"),
        (edited("verbs: [read]", "verbs: [GET]"), "verbs: `GET` matches no request"),
    ],
)
def test_lint(tmp_path: Path, text: str, remark: str) -> None:
    assert _saved.lint(load_one(tmp_path, GOOD)) == []
    remarks = _saved.lint(load_one(tmp_path, text))
    assert len(remarks) == 1
    assert remarks[0].startswith(f"{tmp_path}/query.yaml:1: {remark}")


def test_a_failed_expectation_says_what_differs(tmp_path: Path) -> None:
    import msgspec

    (tmp_path / "bad.yaml").write_bytes(msgspec.json.encode(objects("bob")))
    queries = tmp_path / "queries"
    queries.mkdir()
    failures = _saved.test(load_one(queries, GOOD), tmp_path)
    assert failures == [
        f"{queries}/query.yaml:1: bad: does not find User/alice; also finds User/bob",
        f"{queries}/query.yaml:1: good: no such folder or YAML file",
    ]


# -- the demonstration cluster -----------------------------------------------------------------------------------


def test_the_demonstration_tells_its_story() -> None:
    world = gs.load(DEMO, with_defaults=True)
    answer = gs.who_can(world, ("get", "list", "watch"), "secrets", namespace="prod", any_name=True)
    ours = [
        item for item in answer if item.because[0].binding and not world.provenance.is_builtin(item.because[0].binding)
    ]
    assert [(str(item.subject), item.scope, item.names) for item in ours] == [
        ("Group/platform-admins", "cluster", ()),
        ("ServiceAccount/platform/helm-operator", "cluster", ()),
        ("User/auditor@example.com", "cluster", ()),
        ("User/break-glass@example.com", "cluster", ()),
        ("ServiceAccount/ci/deployer", "prod", ()),
        ("ServiceAccount/prod/payments-api", "prod", ("payments-db",)),
        ("ServiceAccount/prod/tls-renewer", "prod", ("web-tls",)),
    ]
    assert [diagnostic.code for diagnostic in world.diagnostics] == ["GS-GR-001"]
    assert not gs.can_i(world, "get", "secrets", namespace="prod", user="dana", groups=["developers"])


@pytest.mark.parametrize("folder", ["demo", "worlds"])
def test_fixtures_load(folder: str) -> None:
    for path in sorted((ROOT / "fixtures" / folder).rglob("*.yaml")):
        if path.name != "answers.yaml":
            assert gs.load(path).cluster.inventory
