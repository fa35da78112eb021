"""The saved queries: those that come with the package keep their promises, and bad files are refused by file and line."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

import graphsec as gs
from graphsec.query import _saved
from graphsec.query._catalogue import Catalogue

ROOT = Path(__file__).parent.parent
QUERIES = _saved.load_queries([_saved.builtin_directory()])
DEMO = ROOT / "fixtures" / "demo"
#: Those that an input of RBAC alone does not answer.
NEED_PODS = {query.id for query in QUERIES if query.ask in ("reach", "exposed", "policy_lint", "objects", "match")} | {
    query.id for query in QUERIES if getattr(query.parameters, "source", "") == "exposed"
}

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
    ids = [query.id for query in QUERIES]
    assert ids == sorted(set(ids))
    assert QUERIES[0].source.file == "queries/reviewer/secrets-read.yaml"


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
    """All that is there is shipped with Kubernetes: told by content, whatever its name. It has no pods to ask about."""
    fresh = gs.load(str(ROOT / "graphsec" / "data" / "defaults" / "1.36.json"))
    access = [query for query in QUERIES if query.ask in ("who_can", "what_can", "can_i", "rbac_lint")]
    assert {query.id: [str(item.subject) for item in _saved.run(query, fresh)] for query in access} == {
        query.id: [] for query in access
    }
    paths = [query for query in QUERIES if query.ask == "paths" and query.id not in NEED_PODS]
    assert [query.id for query in paths if _saved.run(query, fresh)] == []
    for query in set(QUERIES) - {*access, *paths}:
        with pytest.raises(gs.InputError, match="needs a "):
            _saved.run(query, fresh)


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["apiVersion", "id", "title", "severity", "description", "remediation", "ask"])
def test_a_required_key_is_missed(tmp_path: Path, line: str) -> None:
    text = "\n".join(row for row in GOOD_LINES if not row.startswith(f"{line}:"))
    assert refusal(tmp_path, text) == f"query.yaml:1:1: required key `{line}` is missing"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            edited("severity: high", "severity: urgent"),
            "4:1: `severity`: 'urgent' is none of info, low, medium, high, critical",
        ),
        (edited("apiVersion: graphsec/v1", "apiVersion: v2"), "1:1: `apiVersion`: 'v2' is none of graphsec/v1"),
        (edited("id: ORG-SEC-001", "id: secrets"), "2:1: `id`: ids look like `ORG-SEC-001`"),
        (edited("ask: who_can", "ask: who_could"), "9:1: `ask`: 'who_could' is none of who_can, what_can, can_i"),
        (edited("title: Who", "titel: Who"), "3:1: unknown key `titel`"),
        (edited("resource: secrets", "resorce: secrets"), "11:1: unknown key `resorce`"),
        (GOOD + "namespaces: [prod]\n", "15:1: unknown key `namespaces`"),
        (GOOD + "source: {file: x, line: 1}\n", "15:1: unknown key `source`"),
        (GOOD + "scope: prod\n", "15:1: `scope`: 'prod' is none of any, cluster"),
        (GOOD + "namespace: 5\n", "15:1: `namespace`: expected `str`, got `int`"),
        (GOOD + "title: Again\n", "15: key `title` stands twice in one mapping, first at line 3: the last one counts"),
        (edited("good, find: []", "good, fnd: []"), "14:19: `expect`: unknown key `fnd`"),
        (edited("verbs: [read]\n", ""), "1:1: `verbs` is missing or empty"),
        (edited("resource: secrets", "any_of: [{verbs: [get], resource: pods}]"), "1:1: `any_of` holds verbs"),
        (GOOD + "url: /metrics\n", "1:1: one of `resource` and `url` is needed"),
        (GOOD + "scope: cluster\nnamespace: prod\n", "16:1: `namespace` and `scope: cluster` exclude each other"),
        (GOOD + "---\n" + GOOD, "16: a file holds one query, not 2"),
        ("# nothing\n", "1: a file holds one query, not 0"),
        (edited("verbs: [read]", " verbs: [read]"), "syntax error"),
        (GOOD + "where: subject.knd == 'User'\n", "15:8: `where`: `subject.knd` is no column of who_can (did you mean"),
        (GOOD + "message: '{who}'\n", "15:12: `message`: `who` is no column of who_can"),
        (GOOD + "params: {a: {type: lst, default: x}}\n", "15:14: `params`: 'lst' is none of list, string, int, bool"),
        (GOOD + "match: (s)-[:ATTACK*1..6]->(t)\n", "15:1: unknown key `match`"),
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
        "T/c.yaml:4:1: `severity`: 'urgent' is none of info, low, medium, high, critical",
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
        (edited("resource: secrets", "resource: deployments.app"), "resource: `deployments.app` is not one of"),
        (edited("resource: secrets", "resource: pods\nsubresource: exce"), "subresource: pods has no `exce`"),
        (edited("verbs: [read]", "verbs: [GET]"), "verbs: `GET` matches no request"),
    ],
)
def test_lint(tmp_path: Path, text: str, remark: str) -> None:
    assert _saved.lint(load_one(tmp_path, GOOD)) == []
    remarks = _saved.lint(load_one(tmp_path, text))
    assert len(remarks) == 1
    assert remarks[0].startswith(f"{tmp_path}/query.yaml:1: {remark}")


def test_a_custom_resource_named_with_its_group_is_no_remark(tmp_path: Path) -> None:
    assert _saved.lint(load_one(tmp_path, edited("resource: secrets", "resource: backups.velero.io"))) == []


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


# -- questions about flows ---------------------------------------------------------------------------------------

ASKED = "ask: who_can\nverbs: [read]\nresource: secrets"


def workload(name: str, namespace: str, *, port: int = 0, claim: bool = False, host: bool = False) -> dict[str, Any]:
    """A Deployment of one replica, labelled `app: NAME`."""
    labels = {"app": name}
    container: dict[str, Any] = {"name": "main", "image": name}
    if port:
        container["ports"] = [{"containerPort": port}]
    spec: dict[str, Any] = {"containers": [container], "hostNetwork": host}
    if claim:
        spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def service(name: str, namespace: str, port: int, target: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "type": "LoadBalancer", "ports": [{"port": port, "targetPort": target}]},
    }


def isolation(namespace: str, app: str, spec: dict[str, Any]) -> dict[str, Any]:
    selects = {"podSelector": {"matchLabels": {"app": app}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{app}-policy", "namespace": namespace},
        "spec": {**selects, **spec},
    }


#: `web` and `db` in shop, `tool` in ops; db takes in nobody but web, on the ports of PostgreSQL and of its metrics.
SHOP = (
    workload("web", "shop", port=8080),
    workload("db", "shop", port=5432, claim=True),
    workload("tool", "ops"),
    workload("agent", "ops", host=True),
    service("web", "shop", 80, 8080),
    isolation(
        "shop",
        "db",
        {
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
                    "ports": [{"port": 5432}, {"port": 9187}],
                }
            ]
        },
    ),
)


def found_in(folder: Path, asked: str, *objects: dict[str, Any]) -> list[str]:
    """Findings of a query on objects, each with what it says of ports, verdict or id."""
    query = load_one(folder, edited(ASKED, asked))
    answer = _saved.run(query, gs.load({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
    assert all(
        len(item.row(wide=wide)) == len(answer.question.columns(wide=wide)) for item in answer for wide in (False, True)
    )
    return [query.finding(item) for item in answer]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("to: shop/db", ["Deployment/shop/web"]),
        ("to: shop/db\nport: 9187\nprotocol: TCP", ["Deployment/shop/web"]),
        ("to: shop/db\nport: 9188", []),
        ("to: shop/db\nexcept_ports: TCP 5432,9187", []),
        ("from: shop/web\nto: shop/db\nfind: destination", ["Deployment/shop/db"]),
        ("to_ports: [5432, 3306]", ["Deployment/shop/web"]),
        ("to_ports: [9187]", []),
        ("to_ports: [8080]\npod_network: true", ["Deployment/ops/tool", "Deployment/shop/db"]),
        ("to_claims: true", ["Deployment/shop/web"]),
        ("to_claims: true\nto_ports: [8080]", []),
        ("from: ops/*\nto: shop/*\nfold: namespace\nbetween_namespaces: true", ["Namespace/ops"]),
        ("to: shop/*\nfold: namespace\nbetween_namespaces: true\nexcept_from: [ops]\npod_network: true", []),
        (
            "to: 169.254.169.254\nport: 80\npod_network: true",
            ["Deployment/ops/tool", "Deployment/shop/db", "Deployment/shop/web"],
        ),
    ],
)
def test_reach_by_its_ends_and_ports(tmp_path: Path, asked: str, found: list[str]) -> None:
    assert found_in(tmp_path, f"ask: reach\n{asked}", *SHOP) == found


def test_a_service_leads_to_a_port_that_no_container_declares(tmp_path: Path) -> None:
    objects = [workload("web", "shop"), workload("db", "shop"), service("db", "shop", 80, 3306)]
    assert found_in(tmp_path, "ask: reach\nto_ports: [3306]\npod_network: true", *objects) == ["Deployment/shop/web"]
    assert found_in(tmp_path, "ask: reach\nto_ports: [80]\npod_network: true", *objects) == []


def test_only_ports_that_the_destination_serves_are_shown(tmp_path: Path) -> None:
    query = load_one(tmp_path, edited(ASKED, "ask: reach\nto_ports: [5432, 9187]"))
    [flow] = _saved.run(query, gs.load({"apiVersion": "v1", "kind": "List", "items": list(SHOP)}))
    assert str(flow.ports) == "TCP 5432"


def test_an_end_that_is_not_in_the_input(tmp_path: Path) -> None:
    query = load_one(tmp_path, edited(ASKED, "ask: reach\nto: kube-system/*"))
    answer = _saved.run(query, gs.load({"apiVersion": "v1", "kind": "List", "items": list(SHOP)}))
    assert not answer
    assert not answer.complete
    assert "unknown namespace `kube-system`" in answer.warnings


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("origins: [internet]", {"Deployment/shop/web", "Deployment/ops/agent"}),
        ("origins: [internet]\nexcept_routes: [hostNetwork]", {"Deployment/shop/web"}),
        ("origins: [internet]\nexcept_routes: [LoadBalancer, NodePort]", {"Deployment/ops/agent"}),
        ("origins: [internet]\nexcept_routes: [hostNetwork]\nexcept_namespaces: [shop]", set()),
        ("origins: [namespaces]", {"Deployment/shop/web", "Deployment/ops/tool", "Deployment/ops/agent"}),
        ("origins: [new-pods]\nexcept_namespaces: [ops]", {"Deployment/shop/db", "Deployment/shop/web"}),
    ],
)
def test_exposed_by_its_origins(tmp_path: Path, asked: str, found: set[str]) -> None:
    assert set(found_in(tmp_path, f"ask: exposed\n{asked}", *SHOP)) == found


def test_policy_lint_by_its_findings(tmp_path: Path) -> None:
    assert found_in(tmp_path, "ask: policy_lint\nfindings: [NP-L20, NP-L01]", *SHOP) == ["Deployment/shop/web"]
    assert found_in(tmp_path, "ask: policy_lint\nfindings: [NP-L20]\nat_least: high", *SHOP) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("ask: reach\nport: 70000", "no port: 70000"),
        ("ask: reach\nprotocol: ICMP", "unknown protocol `ICMP`"),
        ("ask: reach\nfold: pod", "'pod' is none of workload, namespace"),
        ("ask: reach\nfind: both", "'both' is none of source, destination"),
        ("ask: reach\nexcept_ports: '53'", "no ports: `53`"),
        ("ask: reach\nto: a/b\nto_claims: true", "`to` excludes `to_ports` and `to_claims`"),
        ("ask: exposed\norigins: []", "`origins` is empty"),
        ("ask: exposed", "required key `origins` is missing"),
        ("ask: policy_lint\nfindings: [NP-L99]", "`NP-L99` is no finding of lint"),
        ("ask: policy_lint\nfindings: []", "`findings` is empty"),
    ],
)
def test_a_bad_question_about_flows_is_refused(tmp_path: Path, asked: str, message: str) -> None:
    assert message in refusal(tmp_path, edited(ASKED, asked))


# -- questions about attack paths --------------------------------------------------------------------------------


def rbac(name: str, namespace: str, account: str, *resources: str, verb: str, role: str = "") -> list[dict[str, Any]]:
    """A Role bound to ServiceAccount `NAMESPACE/NAME`, or ClusterRole ``role`` bound everywhere; namespace "" likewise."""
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    kind = "Role" if namespace else "ClusterRole"
    rule = {"apiGroups": [""], "resources": list(resources), "verbs": [verb]}
    home, _, account_name = account.partition("/")
    bound = {
        **api,
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role or name},
        "subjects": [{"kind": "ServiceAccount", "name": account_name, "namespace": home}],
    }
    return [bound] if role else [{**api, "kind": kind, "metadata": metadata, "rules": [rule]}, bound]


def pod(name: str, namespace: str, account: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": name}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"serviceAccountName": account, "containers": containers, **spec},
    }


ADMIN = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "cluster-admin"},
    "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
}
#: `boss` of ops is cluster-admin; `default` of ops takes its token; `spy` of shop reads ops, which it is granted; `agent`
#: reaches the kubelets by a grant on nodes; `web` reads the Secrets of shop.
OFFICE = (
    ADMIN,
    *rbac("boss", "", "ops/boss", verb="", role="cluster-admin"),
    *rbac("tokens", "ops", "ops/default", "serviceaccounts/token", verb="create"),
    *rbac("spy", "ops", "shop/spy", "secrets", verb="list"),
    *rbac("agent", "", "shop/agent", "nodes/proxy", verb="create"),
    *rbac("watcher", "", "shop/watcher", "secrets", verb="list"),
    *rbac("web", "shop", "shop/web", "secrets", verb="list"),
    *(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": n, "namespace": "ops"}}
        for n in ("boss", "idle")
    ),
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "ops"}},
    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}},
    pod("web", "shop", "web", nodeName="node-1"),
    pod("idle", "ops", "idle", nodeName="node-1"),
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", {"ServiceAccount/ops/boss", "ServiceAccount/ops/default"}),
        ("verdicts: [proved]\nnames: [default]", {"ServiceAccount/ops/default"}),
        ("names: [default, boss]\nverdicts: [conditional]", set()),
        ("source: sa:ops/default", {"ServiceAccount/ops/default"}),
        ("source: sa:ops/default\ntarget: [ServiceAccount/ops/boss]", {"ServiceAccount/ops/default"}),
        ("source: pods\nfalls: namespace", {"Pod/shop/web"}),
        ("names: [spy, web]\nfalls: namespace", {"ServiceAccount/shop/web"}),
        ("crossing: true\nverdicts: [proved]", {"ServiceAccount/ops/default", "ServiceAccount/shop/agent"}),
        ("crossing: true\nnames: [spy, watcher, web]", set()),
        ("crossing: true\nverdicts: [conditional]", set()),
    ],
)
def test_paths_by_their_ends(tmp_path: Path, asked: str, found: set[str]) -> None:
    assert set(found_in(tmp_path, f"ask: paths\n{asked}", *OFFICE)) == found


def test_exposed_workloads_by_the_route_to_them(tmp_path: Path) -> None:
    objects = [
        ADMIN,
        *rbac("boss", "", "shop/default", verb="", role="cluster-admin"),
        workload("web", "shop", port=8080),
        service("web", "shop", 80, 8080),
    ]
    asked = "ask: paths\nsource: exposed"
    assert found_in(tmp_path, asked, *objects) == ["Deployment/shop/web"]
    assert found_in(tmp_path, f"{asked}\nexcept_routes: [LoadBalancer, NodePort]", *objects) == []
    assert found_in(tmp_path, f"{asked}\nverdicts: [conditional]", *objects) == []


def test_an_end_of_a_path_that_is_not_in_this_input(tmp_path: Path) -> None:
    for asked in ("source: Pod/shop/none", "target: Node/none"):
        query = load_one(tmp_path, edited(ASKED, f"ask: paths\n{asked}"))
        answer = _saved.run(query, gs.load({"apiVersion": "v1", "kind": "List", "items": list(OFFICE)}))
        assert not answer
        assert not answer.complete
        assert any("/none in the input" in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("sorce: pods", "10:1: unknown key `sorce`"),
        ("verdicts: [likely]", "10:12: `verdicts`: 'likely' is none of proved, conditional"),
        ("verdicts: []", "`verdicts` is empty"),
        ("target: root", "`root` is none of cluster-admin, node, secrets:all"),
        ("falls: cluster", "10:1: `falls`: 'cluster' is none of namespace"),
        ("falls: namespace\nsource: internet", "`falls` goes with `source: pods` or `all`"),
        ("crossing: true\ntarget: node", "`target`, `crossing` and `falls` exclude each other"),
        ("crossing: true\nsource: pods", "`crossing` goes with `source: all`"),
        ("source: exposed\ntarget: Secret/a/b", "`Secret/a/b` is none of cluster-admin, node, secrets:all"),
        ("except_routes: [hostNetwork]", "`except_routes` goes with `source: exposed`"),
    ],
)
def test_a_bad_question_about_paths_is_refused(tmp_path: Path, asked: str, message: str) -> None:
    assert message in refusal(tmp_path, edited(ASKED, f"ask: paths\n{asked}"))


def test_a_catalogue_answers_what_the_input_supports() -> None:
    """RBAC alone answers nothing about flows; both halves are asked, and what is not answered is said."""
    catalogue = Catalogue(queries=tuple(QUERIES), counted=True)
    answer = catalogue.answer(gs.load(objects("alice")))
    refused = {item.query.id for item in answer if item.found is None}
    assert refused == NEED_PODS
    assert not answer.complete
    assert any(warning.startswith("not answered: GS-Q-") for warning in answer.warnings)
    assert {item.row(wide=False)[2] for item in answer if item.query.id in refused} == {"-"}
    flows = [query for query in QUERIES if query.id in refused]
    with pytest.raises(gs.InputError, match="needs a pod or workload"):
        Catalogue(queries=tuple(flows), counted=True).answer(gs.load(objects("alice")))


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
