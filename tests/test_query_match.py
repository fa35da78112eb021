"""Path patterns: the findings are those of a walk tried node by node, of `reach` and of `paths`; mistakes are told by place."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from condition_reference import holds
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from test_query_language import MATCH, RBAC, literal, load_one, refusal

import graphsec as gs
from graphsec.query import _saved
from graphsec.query._asks import MatchParameters
from graphsec.query._match_graph import KINDS, LABELS, MatchGraph
from graphsec.query.lang import compile_condition, compile_pattern
from graphsec.query.paths import Paths
from graphsec.query.reach import Reach

WORLDS = ROOT / "fixtures" / "worlds"


def found(folder: Path, text: str, world: gs.World) -> dict[str, str]:
    """Keys of findings, and their verdicts."""
    return {item.key: item.verdict for item in _saved.run(load_one(folder, text), world)}


def asking(pattern: str, where: str = "", group_by: str = "", more: str = "") -> str:
    head = MATCH[: MATCH.index("match: ")]
    keys = {"match": pattern, "where": where, "group_by": group_by}
    return head + "".join(f"{key}: {literal(value)}\n" for key, value in keys.items() if value) + more


@cache
def demo() -> gs.World:
    return gs.load(str(ROOT / "fixtures" / "demo"), with_defaults=True)


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "where", "message"),
    [
        ("(w:Pdo)-[:RUNS_AS]->(s)", "", "8:12: `match`: `Pdo` is no label (did you mean `Pod`?)"),
        ("(w:Pod)-[:RUN_AS]->(s)", "", "8:19: `match`: `RUN_AS` is no kind of edge (did you mean `RUNS_AS`?)"),
        ("(w:Pod)-[:RUNS_AS*]->(s)", "", "8:17: `match`: a repetition has an upper bound"),
        ("(w:Pod)-[:RUNS_AS*1..9]->(s)", "", "8:17: `match`: a repetition is from 1 up to at most 8"),
        ("(w:Pod)-[:RUNS_AS*0..2]->(s)", "", "8:17: `match`: a repetition is from 1 up to at most 8"),
        ("(w:Pod)-[:ATTACK|RUNS_AS]->(s)", "", "8:16: `match`: `ATTACK` stands alone in its arrow"),
        ("(w:Pod)-[:ATTACK*2..3]->(s)", "", "8:16: `match`: `ATTACK` counts from 1"),
        ("(w:Pod)-[:RUNS_AS]->(w)", "", "8:29: `match`: `w` stands twice"),
        ("(w:Pod)-[:RUNS_AS]-(s)", "", "8:27: `match`: `-[:KIND]->` expected, not `-`"),
        ("(w:Pod)", "", "8:16: `match`: a pattern has an arrow"),
        ("(:Pod)-[:RUNS_AS]->()", "", "8:9: `match`: no node has a variable"),
        ("(w:Pod {name: 'x'})-[:RUNS_AS]->()", "", "8:16: `match`: conditions on nodes stand in `where`"),
        ("(w:Pod)-[r:RUNS_AS]->(s)", "", "8:18: `match`: arrows have no variables"),
        ("(w:Pod)-[:RUNS_AS]->(path)", "", "8:30: `match`: `path` is taken"),
        ("(w:Hub)-[:RUNS_AS]->(s)", "", "8:12: `match`: `Hub` is no label"),
        ("(w)-[:RUNS_AS]->(s)" + "<-[:RUNS_AS]-()" * 8, "", "8:133: `match`: more than 8 arrows"),
        ("(w:Pod)-[:RUNS_AS]->(s)", "t.name == 'x'", "9:9: `where`: `t.name` is no column of match"),
        ("(w:Pod)-[:RUNS_AS]->(s)", "w.name == 1", "9:16: `where`: `==` compares a string with an int"),
    ],
)
def test_a_pattern_is_refused_at_its_place(tmp_path: Path, pattern: str, where: str, message: str) -> None:
    assert refusal(tmp_path, asking(pattern, where)).startswith(f"q.yaml:{message}")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("return: [w, t]\n", "9:13: `return`: `t` is no variable of the pattern (there are w, s, path)"),
        ("group_by: w.labels\n", "9:11: `group_by`: findings are grouped by a string, not by a map"),
        ("group_by: w.nam\n", "9:11: `group_by`: `w.nam` is no column of match (did you mean `w.name`?)"),
        ("limit: 0\n", "9:1: `limit` is from 1"),
        ("verdicts: [likely]\n", "9:12: `verdicts`: 'likely' is none of proved, conditional"),
        ("message: '{x}'\n", "9:12: `message`: `x` is no column of match"),
    ],
)
def test_keys_of_a_pattern_are_checked(tmp_path: Path, more: str, message: str) -> None:
    assert refusal(tmp_path, asking("(w:Pod)-[:RUNS_AS]->(s)", more=more)).startswith(f"q.yaml:{message}")


# -- attacks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["exposed-to-admin", "accounts-to-admin", "namespace-falls", "tenants-leave"])
def test_attack_to_a_sink_is_what_paths_proves(tmp_path: Path, world: str) -> None:
    """The worlds' proofs are short, so that the bound of the arrow leaves nothing out."""
    loaded = gs.load(str(WORLDS / world / "bad.yaml"), with_defaults=True)
    for sink in ("cluster-admin", "node", "secrets:all"):
        paths = Paths(source="all", target=sink, include_builtin=True).answer(loaded)
        expected = {path.source: path.verdict for path in paths}
        text = asking("(s:Subject)-[:ATTACK*1..8]->(t:Sink)", f"t.name == '{sink}'", "s.ref")
        matched = found(tmp_path, text, loaded)
        assert matched.items() >= expected.items()
        # Groups and accounts that no binding names are no subjects of `paths all`.
        for source in matched.keys() - expected.keys():
            assert Paths(source=source, target=sink).answer(loaded)


def test_a_step_that_needs_two_things_does_not_follow_from_one(tmp_path: Path) -> None:
    """Who updates roles beyond their own rights needs `escalate` as well."""
    held = {"updater": ["update"], "escalator": ["escalate"], "both": ["update", "escalate"]}
    items = [item for name, verbs in held.items() for item in role_editor(name, verbs)]
    world = gs.load({"apiVersion": "v1", "kind": "List", "items": items}, with_defaults=True)
    text = asking("(s:ServiceAccount)-[:ATTACK*1..8]->(t:Sink)", "t.name == 'cluster-admin' && s.namespace == 'ci'")
    assert set(found(tmp_path, text, world)) == {"ServiceAccount/ci/both"}


def role_editor(name: str, verbs: list[str]) -> list[dict[str, Any]]:
    rule = {"apiGroups": [RBAC], "resources": ["clusterroles"], "verbs": verbs}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}
    bound = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "namespace": "ci", "name": name}],
    }
    return [role, bound]


def test_the_bound_of_an_attack_counts_steps(tmp_path: Path) -> None:
    [path] = Paths(source="ServiceAccount/platform/backup-controller").answer(demo())
    where = "t.name == 'cluster-admin' && s.name == 'backup-controller'"
    for most in range(1, 5):
        text = asking(f"(s:ServiceAccount)-[:ATTACK*1..{most}]->(t:Sink)", where)
        assert bool(found(tmp_path, text, demo())) is (most >= path.hops)
    turned = asking("(t:Sink)<-[:ATTACK*1..3]-(s:ServiceAccount)", where, "s")
    [item] = _saved.run(load_one(tmp_path, turned), demo())
    assert item.because
    assert str(item.first).startswith("cluster-admin → [")


# -- flows -------------------------------------------------------------------------------------------------------


def test_may_connect_is_what_reach_finds(tmp_path: Path) -> None:
    world = gs.load(str(WORLDS / "databases-reached" / "bad.yaml"), with_defaults=True)
    flows = [flow for flow in Reach().answer(world) if flow.ports and flow.source.ref and flow.destination.ref]
    pairs = {(str(flow.source.ref), str(flow.destination.ref)) for flow in flows}
    assert pairs
    for end in sorted({destination for _, destination in pairs}):
        text = asking("(b:Pod)<-[:MAY_CONNECT]-(a:Pod)", f"b.workload == '{end}' && a.ref != b.ref", "a.workload")
        assert set(found(tmp_path, text, world)) == {source for source, to in pairs if to == end}


def test_the_internet_connects_by_its_routes(tmp_path: Path) -> None:
    pattern = "(i:Internet)-[:MAY_CONNECT]->(w:Pod)-[:RUNS_AS]->(s)-[:ATTACK*1..6]->(t:Sink)"
    text = asking(pattern, "t.name == 'cluster-admin'", "w.workload")
    world = gs.load(str(WORLDS / "exposed-to-admin" / "bad.yaml"), with_defaults=True)
    assert found(tmp_path, text, world) == {"Deployment/shop/web": "proved"}
    [item] = _saved.run(load_one(tmp_path, text), world)
    assert str(item.steps[0]) == "internet → Deployment/shop/web [may-connect]"
    # The Service that opens the way.
    assert item.steps[0].source.line == 21


# -- walks -------------------------------------------------------------------------------------------------------

NODES = st.sampled_from(["", ":Pod", ":Workload", ":ServiceAccount", ":Subject", ":Secret", ":Role|ClusterRole"])
EDGES = st.sampled_from(
    ["RUNS_AS", "MOUNTS", "HOLDS", "REFERS_TO", "MEMBER_OF", "OWNED_BY", "HOLDS|REFERS_TO", "RUNS_AS|MEMBER_OF"]
)
BOUNDS = st.sampled_from(["", "*1..2", "*2..3", "*2"])
ARROWS = st.builds(
    lambda edge, bounds, back: f"<-[:{edge}{bounds}]-" if back else f"-[:{edge}{bounds}]->",
    EDGES,
    BOUNDS,
    st.booleans(),
)
WHERES = st.sampled_from(
    [
        "",
        "a.namespace == b.namespace",
        "a.kind != b.kind && b.name.contains('r')",
        "!has(b.namespace) && c.name != 'x'",
        "a.workload != b.ref || c.kind == 'Group'",
        "a.name != c.name && (b.kind == 'User' || a.kind == b.kind)",
    ]
)


@settings(max_examples=80, deadline=None)
@given(NODES, NODES, NODES, ARROWS, ARROWS, WHERES, st.sampled_from("abc"))
def test_patterns_match_as_walks_in_the_graph(
    first: str, second: str, third: str, one: str, two: str, where: str, key: str
) -> None:
    pattern = f"(a{first}){one}(b{second}){two}(c{third})"
    parameters = MatchParameters(match=pattern, group_by=key)
    condition = compile_condition(where, parameters.schema(), {}) if where else None
    answer = parameters.question(condition).answer(demo())
    assert {item.key for item in answer} == walked(pattern, where, key)
    for item in answer.items[:3]:
        for way in item.ways[:5]:
            assert item.key == MatchGraph.text(way.nodes["abc".index(key)])


def walked(pattern: str, where: str, key: str) -> set[str]:
    """Every walk tried."""
    parsed = compile_pattern(pattern, LABELS, KINDS)
    graph, arcs = MatchGraph(demo(), certain=True), arcs_of_demo()
    labelled = [
        {str(graph.refs[number]) for number in np.flatnonzero(graph.labelled(node.labels))} for node in parsed.nodes
    ]
    walks = {(start,) for start in labelled[0]}
    for edge, allowed in zip(parsed.edges, labelled[1:], strict=True):
        longer: set[Any] = set()
        for walk in walks:
            layer = {walk[-1]}
            for turn in range(1, edge.most + 1):
                layer = {
                    head for at in layer for kind in edge.kinds for head in arcs[KINDS[kind].value, edge.backward][at]
                }
                if turn >= edge.least:
                    longer.update((*walk, head) for head in layer & allowed)
        walks = longer
    return {walk["abc".index(key)] for walk in walks if not where or holds(where, row(graph, walk), {})}


def row(graph: MatchGraph, walk: tuple[str, ...]) -> dict[str, Any]:
    return {
        f"{name}.{attribute}": graph.values(attribute, [graph.named(node)])[0]
        for name, node in zip("abc", walk, strict=True)
        for attribute in ("kind", "name", "namespace", "ref", "workload")
    }


@cache
def arcs_of_demo() -> Any:
    arcs: Any = defaultdict(lambda: defaultdict(set))
    for tail, head, attributes in demo().to_networkx().edges(data=True):
        arcs[attributes["kind"], False][tail].add(head)
        arcs[attributes["kind"], True][head].add(tail)
    return arcs


def test_a_join_of_too_many_rows_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphsec.query._match.MOST_ROWS", 3)
    text = asking("(a:Subject)-[:MEMBER_OF]->(g:Group)", "a.name != g.name")
    with pytest.raises(gs.LimitError, match="rows to join") as caught:
        found(tmp_path, text, demo())
    assert caught.value.exit_code == 4


def test_ways_are_kept_up_to_the_limit(tmp_path: Path) -> None:
    text = asking("(a:Subject)-[:MEMBER_OF]->(g:Group)", "g.name == 'system:authenticated'", "g", "limit: 3\n")
    [item] = _saved.run(load_one(tmp_path, text), demo())
    assert len(item.ways) == len({str(way) for way in item.ways}) == 3
    assert item.to_dict()["morePaths"] is True
    assert item.row(wide=True)[0] == "Group/system:authenticated"
    assert item.drawing()[1]


def test_a_workload_is_one_finding_whatever_its_replicas(tmp_path: Path) -> None:
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"web-{number}",
                "namespace": "shop",
                "labels": {"app": "web"},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "1", "controller": True}
                ],
            },
            "spec": {"serviceAccountName": "web", "containers": [{"name": "main", "image": "web"}]},
        }
        for number in range(3)
    ]
    world = gs.load({"apiVersion": "v1", "kind": "List", "items": pods})
    pattern, where = "(w:Pod)-[:RUNS_AS]->(s)", "has(w.labels.app) && w.labels['app'] == 'web'"
    assert set(found(tmp_path, asking(pattern, where, "w.workload"), world)) == {"StatefulSet/shop/web"}
    assert len(found(tmp_path, asking(pattern, where, "w"), world)) == 3
    [item] = _saved.run(load_one(tmp_path, asking(pattern, where, "w.workload")), world)
    assert len(item.ways) == 3
