"""Every export is the typed graph: read back it has the same nodes and edges, whatever their names are."""

from __future__ import annotations

import io
import json
import random
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import networkx as nx
import pytest
from conftest import ROOT, Graphsec
from hostile_names import HOSTILE
from test_outputs import LOADED, manifests

import graphsec as gs
from graphsec.compile.attack_graph import add_attacks, attack_words
from graphsec.compile.flow_graph import add_flows
from graphsec.compile.typed_graph import build_graph
from graphsec.errors import InputError, UsageError
from graphsec.graph import Builder
from graphsec.model.ref import Ref
from graphsec.model.vocabulary import EdgeKind, NodeKind
from graphsec.query._export_sheet import Sheet, writable
from graphsec.query._export_writers import _SPECIAL, BASE, _escaped, attack_relation, labels, relation
from graphsec.query.export import EXPORTS, QUERIES, export, starter_queries
from graphsec.rules import rules

REAL = ROOT.parent / "shared" / "corpora" / "dumps" / "real-cluster"
INJECTIONS = (
    '"}) MATCH (n) DETACH DELETE n //',
    "'}) MATCH (n) DETACH DELETE n //",
    "\\'}] AS row MATCH (n) DETACH DELETE n //",
    "\\",
    "\\\\",
    "a\\u0027}] AS row MATCH (n) DETACH DELETE n //",
    "\\\\u0027",
    "\\u000aMATCH (n) DETACH DELETE n",
    "a\u2028MATCH (n) DETACH DELETE n;",
    "a\u2029b\u0085c",
    "`) DETACH DELETE n //",
    "*/ x /*",
    "Admin",
    "admin",
    "ADMIN",
)
NAMES = tuple(dict.fromkeys((*LOADED, *INJECTIONS)))
WORLDS = ("demo", "shop", "hostile")


def load(name: str) -> gs.World:
    return gs.load(*manifests(NAMES)) if name == "hostile" else gs.load(ROOT / "fixtures" / name)


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> gs.World:
    return load(request.param)


class Read(NamedTuple):
    """An export read back: nodes as (id, kind, name, namespace), edges as (tail, head, kind, scope)."""

    nodes: list[tuple[str, ...]]
    edges: list[tuple[str, ...]]


# -- reading back ------------------------------------------------------------------------------------------------


def read_cytoscape(text: str) -> Read:
    elements = json.loads(text)["elements"]
    nodes, edges = ([each["data"] for each in elements[part]] for part in ("nodes", "edges"))
    assert len({each["id"] for each in (*nodes, *edges)}) == len(nodes) + len(edges)
    return Read(
        [_node(each["id"], each) for each in nodes], [_edge(each["source"], each["target"], each) for each in edges]
    )


def read_node_link(text: str) -> Read:
    return _of_networkx(nx.node_link_graph(json.loads(text), edges="edges"))


def read_graphml(text: str) -> Read:
    ET.fromstring(text)  # noqa: S314 - our own output is what is tested
    return _of_networkx(nx.read_graphml(io.BytesIO(text.encode()), force_multigraph=True))


def _of_networkx(graph: Any) -> Read:
    return Read(
        [_node(name, attributes) for name, attributes in graph.nodes(data=True)],
        [_edge(tail, head, attributes) for tail, head, attributes in graph.edges(data=True)],
    )


def read_opengraph(text: str) -> Read:
    graph = json.loads(text)["graph"]
    return Read(
        [_node(each["id"], each["properties"]) for each in graph["nodes"]],
        [_edge(each["start"]["value"], each["end"]["value"], each["properties"]) for each in graph["edges"]],
    )


def read_cypher(text: str) -> Read:
    nodes: list[tuple[str, ...]] = []
    edges: list[tuple[str, ...]] = []
    for rows, _ in statements(text):
        for row in rows:
            if "tail" in row:
                edges.append(_edge(row["tail"], row["head"], row["attributes"]))
            else:
                nodes.append(_node(row["id"], row))
    return Read(nodes, edges)


def _node(name: str, attributes: dict[str, Any]) -> tuple[str, ...]:
    return (name, attributes["kind"], attributes.get("name", ""), attributes.get("namespace", ""))


def _edge(tail: str, head: str, attributes: dict[str, Any]) -> tuple[str, ...]:
    return (tail, head, attributes["kind"], attributes.get("scope", ""))


READERS = {
    "cypher": read_cypher,
    "cytoscape": read_cytoscape,
    "graphml": read_graphml,
    "networkx-json": read_node_link,
    "opengraph": read_opengraph,
}


def written(world: gs.World, name: str) -> str:
    return "".join(export(world, name))


def test_every_format_is_read_back() -> None:
    assert READERS.keys() == EXPORTS.keys()


@pytest.mark.parametrize("name", EXPORTS)
def test_same_nodes_and_edges_as_the_graph(world: gs.World, name: str) -> None:
    """Ids may carry a number that tells equal ones apart; without it they are the canonical texts."""
    found, graph = READERS[name](written(world, name)), world.graph
    refs: list[Ref] = [graph.label(node) for node in graph.nodes()]
    ids = [writable(str(ref)) for ref in refs]
    kinds = [graph.kind(node).value for node in graph.nodes()]
    assert Counter((plain(node[0]), *node[1:]) for node in found.nodes) == Counter(
        (plain(text), kind, writable(ref.name), writable(ref.namespace or ""))
        for text, kind, ref in zip(ids, kinds, refs, strict=True)
    )
    assert len({node[0] for node in found.nodes}) == len(graph)
    assert {end for edge in found.edges for end in edge[:2]} <= {node[0] for node in found.nodes}
    assert Counter((plain(tail), plain(head), *rest) for tail, head, *rest in found.edges) == Counter(
        (plain(ids[edge.tail]), plain(ids[edge.head]), edge.kind.value, writable(edge.scope)) for edge in graph.edges()
    )


def plain(text: str) -> str:
    return re.sub(r"~\d+$", "", text)


@pytest.mark.parametrize("name", EXPORTS)
def test_text_is_inert(world: gs.World, name: str) -> None:
    text = written(world, name)
    assert text.endswith("\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert name == "cypher" or text.isascii()


@pytest.mark.parametrize("name", EXPORTS)
def test_bytes_do_not_depend_on_the_order_of_the_input(name: str) -> None:
    texts = set()
    for seed in range(4):
        objects = manifests(NAMES[::6])
        random.Random(seed).shuffle(objects)
        texts.add(written(gs.load(*objects), name))
    assert len(texts) == 1


@pytest.mark.parametrize("name", EXPORTS)
def test_bytes_do_not_depend_on_the_order_of_files(name: str) -> None:
    folder = ROOT / "fixtures" / "demo"
    parts = sorted(str(path) for path in folder.iterdir())
    assert written(gs.load(*parts), name) == written(gs.load(*reversed(parts)), name)


@pytest.mark.parametrize("name", EXPORTS)
def test_same_bytes_twice(world: gs.World, name: str) -> None:
    assert written(world, name) == written(world, name)


def test_node_link_is_to_networkx() -> None:
    world = load("demo")
    graph: Any = world.to_networkx()
    read: Any = nx.node_link_graph(json.loads(written(world, "networkx-json")), edges="edges")
    assert dict(read.nodes(data=True)) == dict(graph.nodes(data=True))
    assert sorted(read.edges(keys=True), key=str) == sorted(graph.edges(keys=True), key=str)
    assert all(read.edges[edge] == graph.edges[edge] for edge in graph.edges(keys=True))
    nx.write_graphml(graph, io.BytesIO())


def test_ids_that_readers_take_for_the_same_are_told_apart() -> None:
    world = load("hostile")
    ids = [node["id"] for node in json.loads(written(world, "opengraph"))["graph"]["nodes"]]
    assert len({each.upper() for each in ids}) == len(ids)
    assert {"ClusterRole/ADMIN", "ClusterRole/Admin~2", "ClusterRole/admin~3"} <= {*ids}
    assert {"ClusterRole/ADMIN", "ClusterRole/Admin", "ClusterRole/admin"} <= {node.id for node in Sheet(world).nodes()}


@pytest.mark.parametrize("name", HOSTILE)
def test_writable_text_is_utf_8_and_xml(name: str) -> None:
    shown = writable(name)
    shown.encode()
    assert writable(shown) == shown
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", shown)


# -- OpenGraph ---------------------------------------------------------------------------------------------------

_VALUE = {
    "oneOf": [
        {"type": ["string", "number", "boolean"]},
        *({"type": "array", "items": {"type": kind}, "minItems": 1} for kind in ("string", "number", "boolean")),
    ]
}
_PROPERTIES = {
    "type": "object",
    "propertyNames": {"pattern": "^[a-z]+$", "not": {"const": "objectid"}},
    "additionalProperties": _VALUE,
}
_END = {
    "type": "object",
    "required": ["value", "match_by"],
    "additionalProperties": False,
    "properties": {"value": {"type": "string", "minLength": 1}, "match_by": {"const": "id"}},
}
#: interface.md §8 and the kinds that BloodHound accepts.
OPENGRAPH = {
    "type": "object",
    "required": ["graph"],
    "additionalProperties": False,
    "properties": {
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"source_kind": {"const": "K8sBase"}},
        },
        "graph": {
            "type": "object",
            "required": ["nodes", "edges"],
            "additionalProperties": False,
            "properties": {
                "nodes": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["id", "kinds", "properties"],
                        "additionalProperties": False,
                        "properties": {
                            "id": {"type": "string", "minLength": 1},
                            "kinds": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 3,
                                "uniqueItems": True,
                                "items": {"enum": [BASE, *(f"K8s{kind.value}" for kind in NodeKind)]},
                            },
                            "properties": _PROPERTIES,
                        },
                    },
                },
                "edges": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["kind", "start", "end"],
                        "additionalProperties": False,
                        "properties": {
                            "kind": {"type": "string", "pattern": "^K8s[A-Za-z0-9_]+$"},
                            "start": _END,
                            "end": _END,
                            "properties": _PROPERTIES,
                        },
                    },
                },
            },
        },
    },
}


def test_opengraph_keeps_its_contract(world: gs.World) -> None:
    jsonschema.validate(json.loads(written(world, "opengraph")), OPENGRAPH)


def test_of_equal_opengraph_edges_the_last_assumes_least() -> None:
    last: dict[tuple[str, ...], str] = {}
    least: dict[tuple[str, ...], int] = {}
    for edge in json.loads(written(load("demo"), "opengraph"))["graph"]["edges"]:
        key = (edge["start"]["value"], edge["end"]["value"], edge["kind"])
        last[key] = edge["properties"].get("assumptions", "")
        least[key] = min(least.get(key, 99), len(last[key].split()))
    assert {key: len(words.split()) for key, words in last.items()} == least


# -- Cypher ------------------------------------------------------------------------------------------------------

#: Everything that a statement of an export may be made of; a string literal holds no line break and no bare quote.
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*\n)
    |(?P<string>'(?:[^'\\\n\r]|\\['\\nrt]|\\u[0-9a-f]{4})*')
    |(?P<label>`[A-Za-z0-9_]+`)
    |(?P<number>\d+)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>->|\+=|[\[\]{}(),:;.\-=])
    |(?P<space>[ \n]+)""",
    re.VERBOSE,
)
_WORDS = {
    *("CREATE", "CONSTRAINT", "graphsec_id", "IF", "NOT", "EXISTS", "FOR", "REQUIRE", "IS", "UNIQUE", "UNWIND", "AS", "MERGE", "SET", "MATCH"),
    *("row", "attributes", "n", "a", "b", "r", "id", "kind", "name", "namespace", "file", "line", "tail", "head", "scope", "rule", "assumptions"),
}  # fmt: skip


def tokens(text: str) -> list[tuple[str, str]]:
    """The tokens of a script; nothing may be left over."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, text[at : at + 80]
        at = match.end()
        if match.lastgroup not in ("space", "comment"):
            found.append((str(match.lastgroup), match.group()))
    return found


def decoded(literal: str) -> str:
    """What Neo4j makes of a string literal: escapes in pairs, `\\uXXXX` in UTF-16."""
    known = {"n": "\n", "r": "\r", "t": "\t", "'": "'", "\\": "\\"}

    text = re.sub(
        r"\\(?:u([0-9a-f]{4})|(.))",
        lambda found: chr(int(found[1], 16)) if found[1] else known[found[2]],
        literal[1:-1],
    )
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def statements(text: str) -> Iterator[tuple[list[dict[str, Any]], list[str]]]:
    """(rows, the other tokens) of every statement."""
    statement: list[tuple[str, str]] = []
    for token in tokens(text):
        statement.append(token)
        if token == ("sign", ";"):
            yield _rows(statement)
            statement = []
    assert not statement


def _rows(statement: list[tuple[str, str]]) -> tuple[list[dict[str, Any]], list[str]]:
    if statement[0] != ("word", "UNWIND"):
        return [], [text for _, text in statement]
    end = statement.index(("sign", "]"))
    inside = iter(statement[2:end])
    rows = [_map(inside) for token in inside if token == ("sign", "{")]
    return rows, [text for _, text in statement[end + 1 :]]


def _map(inside: Iterator[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, text in inside:
        if text == "}":
            break
        if text == ",":
            continue
        assert kind == "word"
        assert next(inside) == ("sign", ":")
        value_kind, value = next(inside)
        found[text] = _map(inside) if value_kind == "sign" else int(value) if value_kind == "number" else decoded(value)
    return found


def test_cypher_is_only_what_it_may_be(world: gs.World) -> None:
    kinds = {label for node in Sheet(world).nodes() for label in labels(node)}
    relations = {relation(edge) for edge in Sheet(world).edges()}
    for kind, text in tokens(written(world, "cypher")):
        if kind == "word":
            assert text in _WORDS
        elif kind == "label":
            assert text[1:-1] in kinds | relations


def test_cypher_statements_are_a_closed_set(world: gs.World) -> None:
    shapes = {re.sub(r"`K8s\w+`", "``", " ".join(rest)) for rows, rest in statements(written(world, "cypher")) if rows}
    assert shapes == {
        "AS row MERGE ( n : `` { id : row . id } ) SET n : `` , n += row ;",
        "AS row MATCH ( a : `` { id : row . tail } ) , ( b : `` { id : row . head } ) MERGE ( a ) - [ r : `` { scope : row . attributes . scope } ] -> ( b ) SET r += row . attributes ;",
    }


@pytest.mark.parametrize("name", [*HOSTILE, *INJECTIONS])
def test_cypher_literals_say_what_they_are_given(name: str) -> None:
    text = writable(name)
    literal = f"'{_SPECIAL.sub(_escaped, text)}'"
    assert tokens(literal) == [("string", literal)]
    assert decoded(literal) == text


def test_comments_hold_no_text_of_the_input(tmp_path: Path) -> None:
    """Neo4j reads `\\u000a` in a comment as a line break."""
    path = tmp_path / "a\\u000aMATCH (n) DETACH DELETE n.yaml"
    path.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n[\n", encoding="utf-8")
    text = written(gs.load(path), "cypher")
    assert "// The input was incomplete" in text
    assert all("DETACH" not in line for line in text.splitlines() if line.startswith("//"))


# -- the starter set ---------------------------------------------------------------------------------------------


def test_starter_queries_use_the_words_of_the_exports() -> None:
    known = {BASE, *(f"K8s{kind.value}" for kind in NodeKind), *map(attack_relation, rules())}
    known |= {relation(edge) for edge in Sheet(load("demo")).edges()} | {
        "K8s" + "".join(map(str.capitalize, kind.value.split("-"))) for kind in EdgeKind
    }
    queries = starter_queries()
    assert len(queries) >= 10
    for name, text in queries.items():
        comments = [line for line in text.splitlines() if line.startswith("//")]
        assert len(comments) >= 2, name
        body = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
        body = re.sub(r"'[^'\n]*'", "''", body)
        assert set(re.findall(r"\bK8s\w+", body)) <= known, name
        assert body.endswith(";")
        assert body.count(";") == 1
        assert not re.search(r"\b(CREATE|MERGE|SET|DELETE|REMOVE|CALL|LOAD)\b", body)
        assert " LIMIT " in body
        assert all(body.count(one) == body.count(two) for one, two in ("()", "[]", "{}"))


@pytest.mark.parametrize("name", ["demo", "shop"])
def test_every_attack_edge_is_in_the_starter_set(name: str) -> None:
    known = set(map(attack_relation, rules()))
    found = {relation(edge) for edge in Sheet(load(name)).edges() if edge.kind is EdgeKind.ATTACK}
    assert found <= known


def test_starter_queries_are_printed(graphsec: Graphsec) -> None:
    run = graphsec(f"export {QUERIES}")
    assert (run.code, run.err) == (0, "")
    for name, text in starter_queries().items():
        assert f"// -- {name}\n{text}" in run.out


# -- attacks in the graph ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["demo", "hostile", "real"])
def test_facts_and_clauses_are_the_nodes_and_edges(name: str) -> None:
    """Each fact has a node of its own, each clause its edges; nothing of what was there before is lost."""
    if name == "real" and not REAL.exists():
        pytest.skip("no corpora")
    world = gs.load(REAL) if name == "real" else load(name)
    attacks, graph = world.attacks.graph(), world.graph
    builder: Builder[NodeKind, EdgeKind] = Builder()
    add_attacks(builder, attacks)
    alone, horn = builder.freeze(), attacks.horn
    joint = {
        (horn.body(clause), int(horn.heads[clause]), attacks.label(clause).rule)
        for clause in range(horn.clause_count)
        if len(horn.body(clause)) > 1
    }
    assert len(list(alone.nodes(NodeKind.JOIN))) == len(joint)
    assert len(alone) == len(horn) + len(joint)
    assert alone.edge_count == horn.clause_count + sum(len(body) for body, _, _ in joint)
    before = build_graph(world.cluster, world.access, world.memberships, lambda built: add_flows(built, world.flows))
    for part in (before, alone):
        assert {*map(part.label, part.nodes())} <= {*map(graph.label, graph.nodes())}
    assert graph.edge_count == before.edge_count + alone.edge_count


def test_without_rbac_there_are_no_attacks() -> None:
    graph = load("shop").graph
    assert not list(graph.edges(EdgeKind.ATTACK))
    assert not [node for kind in (NodeKind.HUB, NodeKind.SINK, NodeKind.JOIN) for node in graph.nodes(kind)]


def test_a_join_has_all_its_premises() -> None:
    graph = load("demo").graph
    joins = list(graph.nodes(NodeKind.JOIN))
    assert joins
    for join in joins:
        rules_in = {edge.scope for edge in graph.predecessors(join)}
        out = list(graph.successors(join))
        assert len(list(graph.predecessors(join))) > 1
        assert rules_in == {attack_words(edge)["rule"] for edge in out}
        assert len({edge.head for edge in out}) == 1


def test_attack_edges_name_rule_and_assumptions() -> None:
    graph = load("demo").to_networkx()
    edges = graph.get_edge_data("ServiceAccount/ci/deployer", "Hub/ci/every pod of ci")
    key = "attack:pod-attach [BOOTSTRAP-RBAC, RUNTIME]"
    assert edges[key] == {
        "kind": "attack",
        "scope": "pod-attach [BOOTSTRAP-RBAC, RUNTIME]",
        "rule": "pod-attach",
        "assumptions": "BOOTSTRAP-RBAC, RUNTIME",
    }
    assert nx.has_path(graph, "ServiceAccount/ci/deployer", "ServiceAccount/prod/payments-api")


# -- the command -------------------------------------------------------------------------------------------------


def test_command_prints_the_export(graphsec: Graphsec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    run = graphsec("export graphml -f fixtures/demo")
    assert run.code == 0
    assert run.out == written(gs.load("fixtures/demo"), "graphml")
    assert run.err.startswith("# export graphml\n")


def test_command_writes_files(graphsec: Graphsec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    one, two = tmp_path / "a.json", tmp_path / "b.cypher"
    run = graphsec(f"export --out opengraph={one} --out {QUERIES}={two} -f fixtures/shop")
    assert (run.code, run.out) == (0, "")
    assert f"Wrote {one}" in run.err
    assert one.read_text() == written(gs.load("fixtures/shop"), "opengraph")
    assert "accounts-to-cluster-admin" in two.read_text()
    both = graphsec(f"export cytoscape --out opengraph={one} -f fixtures/shop")
    assert both.out == written(gs.load("fixtures/shop"), "cytoscape")


def test_what_the_graph_lacks_is_said(graphsec: Graphsec) -> None:
    run = graphsec(f"export opengraph -f {ROOT / 'fixtures/shop'}")
    assert "Warning: attack edges: paths needs RBAC" in run.err
    assert graphsec(f"export opengraph --fail-on-incomplete -f {ROOT / 'fixtures/shop'}").code == 3


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("export graphm", "unknown export format `graphm` (did you mean `graphml`?)"),
        ("export cypher-query", "did you mean `cypher-queries`?"),
        ("export --out grapml=x", "did you mean `graphml`?"),
        ("export --out graphml", "write it as `--out FORMAT=FILE`"),
        ("export --out graphml=/no/such/folder/x", "no such folder"),
        ("export", "export in which format?"),
        ("export -o json", "no `-o`"),
    ],
)
def test_usage_errors_are_2(graphsec: Graphsec, command: str, message: str) -> None:
    run = graphsec(f"{command} -f {ROOT / 'fixtures/demo'}")
    assert (run.code, run.out) == (2, "")
    assert message in run.err


@pytest.mark.parametrize("name", EXPORTS)
def test_empty_input_is_refused(graphsec: Graphsec, name: str) -> None:
    run = graphsec(f"export {name} -f -", stdin=b"")
    assert (run.code, run.out) == (3, "")
    assert "export needs an object" in run.err


def test_errors_of_the_library() -> None:
    empty = gs.load({"apiVersion": "v1", "kind": "List", "items": []})
    with pytest.raises(InputError):
        export(empty, "graphml")
    with pytest.raises(UsageError, match="did you mean `opengraph`"):
        export(load("demo"), "OpenGraph")


@pytest.mark.skipif(not REAL.exists(), reason="no corpora")
@pytest.mark.parametrize("name", EXPORTS)
def test_a_real_cluster(name: str) -> None:
    world = gs.load(REAL)
    found = READERS[name](written(world, name))
    assert (len(found.nodes), len(found.edges)) == (len(world.graph), world.graph.edge_count)
    assert _unique(node[0] for node in found.nodes)


def _unique(texts: Iterable[str]) -> bool:
    found = list(texts)
    return len(found) == len(set(found))
