"""One writer for each export format: lines of pure ASCII, the same for the same world.

Names of the input stand in quoted places only (attribute values, JSON strings, Cypher string literals), everything else is
from closed sets; no text of the input ever stands in a comment, a label or an element name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from typing import Any
from xml.sax.saxutils import escape

from graphsec.compile import World
from graphsec.model.text import safe
from graphsec.model.vocabulary import EdgeKind, NodeKind
from graphsec.query._export_sheet import EdgeRow, NodeRow, Sheet, graph_attributes

#: Label of every node in OpenGraph and Cypher, beside that of its kind.
BASE = "K8sBase"
ATTACK = "K8sAttack"
#: Rows of one UNWIND.
_BATCH = 500
_WORD = re.compile(r"[^A-Za-z0-9]+")


# -- GraphML -----------------------------------------------------------------------------------------------------

#: (id, for, name, type) of everything that GraphML declares before it is used.
_KEYS = (
    ("g0", "graph", "generator", "string"),
    ("g1", "graph", "complete", "boolean"),
    ("g2", "graph", "warnings", "string"),
    ("n0", "node", "kind", "string"),
    ("n1", "node", "name", "string"),
    ("n2", "node", "namespace", "string"),
    ("n3", "node", "file", "string"),
    ("n4", "node", "line", "int"),
    ("e0", "edge", "kind", "string"),
    ("e1", "edge", "scope", "string"),
    ("e2", "edge", "rule", "string"),
    ("e3", "edge", "assumptions", "string"),
)
_KEY_OF = {(target, name): key for key, target, name, _ in _KEYS}
_SPACES = {"\t": "&#9;", "\n": "&#10;", "\r": "&#13;", "\x7f": "&#127;", '"': "&quot;"}


def write_graphml(world: World) -> Iterator[str]:
    sheet = Sheet(world)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for key, target, name, kind in _KEYS:
        yield f'<key id="{key}" for="{target}" attr.name="{name}" attr.type="{kind}"/>\n'
    yield '<graph edgedefault="directed">\n'
    whole = graph_attributes(sheet)
    yield f"{_data('graph', whole | {'warnings': '; '.join(whole['warnings'])})}\n"
    for node in sheet.nodes():
        yield f'<node id="{_xml(node.id)}">{_data("node", node.attributes)}</node>\n'
    for number, edge in enumerate(sheet.edges()):
        ends = f'source="{_xml(edge.tail)}" target="{_xml(edge.head)}"'
        yield f'<edge id="e{number}" {ends}>{_data("edge", edge.attributes)}</edge>\n'
    yield "</graph>\n</graphml>\n"


def _data(target: str, attributes: Mapping[str, Any]) -> str:
    return "".join(
        f'<data key="{_KEY_OF[target, name]}">{_xml(_word(value))}</data>' for name, value in attributes.items()
    )


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _xml(text: str) -> str:
    return escape(text, _SPACES).encode("ascii", "xmlcharrefreplace").decode("ascii")


# -- JSON --------------------------------------------------------------------------------------------------------


def write_cytoscape(world: World) -> Iterator[str]:
    """Ids of edges hold no slash, so they are never those of nodes, with which they share one space."""
    sheet = Sheet(world)
    yield f'{{"data": {_json(graph_attributes(sheet))},\n"elements": {{"nodes": [\n'
    yield from _listed({"data": {"id": node.id, **node.attributes}} for node in sheet.nodes())
    yield '],\n"edges": [\n'
    yield from _listed(
        {"data": {"id": f"e{number}", "source": edge.tail, "target": edge.head, **edge.attributes}}
        for number, edge in enumerate(sheet.edges())
    )
    yield "]}}\n"


def write_node_link(world: World) -> Iterator[str]:
    """What ``networkx.node_link_graph(json.load(file), edges="edges")`` reads: the graph of ``World.to_networkx``."""
    sheet = Sheet(world)
    yield f'{{"directed": true, "multigraph": true, "graph": {_json(graph_attributes(sheet))},\n"nodes": [\n'
    yield from _listed({"id": node.id, **node.attributes} for node in sheet.nodes())
    yield '],\n"edges": [\n'
    yield from _listed(
        {"source": edge.tail, "target": edge.head, "key": edge.key, **edge.attributes} for edge in sheet.edges()
    )
    yield "]}\n"


def write_opengraph(world: World) -> Iterator[str]:
    """BloodHound compares ids in upper case, and keeps the last of several edges of a kind between the same nodes: that
    should be the one that assumes least."""
    sheet = Sheet(world, fold=str.upper)
    yield f'{{"metadata": {{"source_kind": "{BASE}"}},\n"graph": {{"nodes": [\n'
    yield from _listed(
        {"id": node.id, "kinds": list(labels(node)), "properties": node.attributes} for node in sheet.nodes()
    )
    yield '],\n"edges": [\n'
    yield from _listed(_opengraph_edge(edge) for edge in sorted(sheet.edges(), key=_assumed, reverse=True))
    yield "]}}\n"


def _assumed(edge: EdgeRow) -> int:
    return len(edge.attributes.get("assumptions", "").split())


def _opengraph_edge(edge: EdgeRow) -> dict[str, Any]:
    return {
        "kind": relation(edge),
        "start": {"value": edge.tail, "match_by": "id"},
        "end": {"value": edge.head, "match_by": "id"},
        "properties": edge.attributes,
    }


def _listed(items: Iterable[Any]) -> Iterator[str]:
    """The elements of a JSON array, one a line."""
    comma = ""
    for item in items:
        yield f"{comma}{_json(item)}"
        comma = ",\n"
    yield "\n"


def _json(value: Any) -> str:
    return json.dumps(value)


# -- labels of OpenGraph and Cypher ------------------------------------------------------------------------------

_LABELS = {kind: f"K8s{kind.value}" for kind in NodeKind}
_RELATIONS = {kind: "K8s" + "".join(word.capitalize() for word in kind.value.split("-")) for kind in EdgeKind}


def labels(node: NodeRow) -> tuple[str, str]:
    return _LABELS[node.kind], BASE


def relation(edge: EdgeRow) -> str:
    return attack_relation(edge.attributes["rule"]) if edge.kind is EdgeKind.ATTACK else _RELATIONS[edge.kind]


def attack_relation(rule: str) -> str:
    """`K8sAttack_pod_exec`: letters, digits and underscores, as BloodHound demands."""
    return f"{ATTACK}_{_WORD.sub('_', rule)}"


# -- Cypher ------------------------------------------------------------------------------------------------------

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL = re.compile(r"[^ !-&(-\[\]-~]")

_HEAD = f"""\
// The typed graph of graphsec: cypher-shell -f FILE. It adds to what is there, and may be run again.
CREATE CONSTRAINT graphsec_id IF NOT EXISTS FOR (n:`{BASE}`) REQUIRE n.id IS UNIQUE;
"""
_INCOMPLETE = "// The input was incomplete: `graphsec inspect` says what it lacks.\n"


def write_cypher(world: World) -> Iterator[str]:
    """Statements for Neo4j 5, whose planner takes milliseconds for each row; nodes by their kind, then edges by theirs."""
    sheet = Sheet(world)
    yield _HEAD
    if sheet.doubts:
        yield _INCOMPLETE
    for label, nodes in groupby(sheet.nodes(), lambda node: labels(node)[0]):
        listed = ({"id": node.id, **node.attributes} for node in nodes)
        yield from _batches(listed, f"MERGE (n:`{BASE}` {{id: row.id}}) SET n:`{label}`, n += row;\n")
    # Sorting is stable: canonical order within a kind.
    for kind, edges in groupby(sorted(sheet.edges(), key=relation), relation):
        ends = ({"tail": edge.tail, "head": edge.head, "attributes": edge.attributes} for edge in edges)
        yield from _batches(
            ends,
            f"MATCH (a:`{BASE}` {{id: row.tail}}), (b:`{BASE}` {{id: row.head}})\n"
            f"MERGE (a)-[r:`{kind}` {{scope: row.attributes.scope}}]->(b) SET r += row.attributes;\n",
        )


def _batches(rows: Iterable[Mapping[str, Any]], statement: str) -> Iterator[str]:
    waiting = iter(rows)
    while batch := list(islice(waiting, _BATCH)):
        listed = ",\n".join(map(_literal, batch))
        yield f"UNWIND [\n{listed}\n] AS row\n{statement}"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_literal(inner)}' for name, inner in value.items())}}}"
    return str(value) if isinstance(value, int) else f"'{_SPECIAL.sub(_escaped, value)}'"


def _escaped(match: re.Match[str]) -> str:
    """Unseen characters in UTF-16, as Cypher has it; ``Sheet`` leaves none that it could not hold."""
    char = match.group()
    if char in _ESCAPES:
        return _ESCAPES[char]
    if safe(char) == char:
        return char
    return re.sub("....", r"\\u\g<0>", char.encode("utf-16-be").hex())
