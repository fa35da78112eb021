"""Diagrams: what is folded adds up, equal input gives equal bytes, and no name leaves its label."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

import pytest
from hostile_names import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st

from graphsec.diagram import STYLES, Arrow, Diagram, DrawnKind, Fold, Line, RenderError, Vertex, draw, layout
from graphsec.diagram.dot import ATTRIBUTES
from graphsec.diagram.mermaid import MAX_EDGES, MAX_TEXT
from graphsec.diagram.parts import COLUMNS
from graphsec.diagram.words import shorten
from graphsec.errors import UsageError
from graphsec.model.text import safe

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz' dot is not installed")

Kind = DrawnKind
Parts = tuple[list[Vertex], list[Arrow]]
FOLDS: tuple[Fold, ...] = ("namespace", "class", "workload", "none")


def vertex(kind: DrawnKind, name: str, group: str = "", cls: str = "") -> Vertex:
    key = "/".join(part for part in (kind.value, group, name) if part)
    return Vertex(key=key, label=name, kind=kind, group=group, cls=cls)


def arrow(tail: Vertex, head: Vertex, label: str = "", style: Line = Line.SOLID) -> Arrow:
    return Arrow(tail=tail.key, head=head.key, label=label, style=style)


SECRETS = vertex(Kind.PERMISSION, "get secrets")


def chains(count: int, *, roles: int, namespaces: int = 1) -> Parts:
    """Accounts with a ClusterRoleBinding each to one of ``roles``, all of which may get secrets."""
    vertices = [SECRETS]
    arrows = []
    for number in range(roles):
        role = vertex(Kind.CLUSTER_ROLE, f"role-{number:04}")
        vertices.append(role)
        arrows.append(arrow(role, SECRETS))
    for number in range(count):
        account = vertex(Kind.SERVICE_ACCOUNT, f"sa-{number:04}", f"ns-{number % namespaces}")
        binding = vertex(Kind.CLUSTER_ROLE_BINDING, f"crb-{number:04}")
        vertices += [account, binding]
        arrows += [arrow(account, binding), arrow(binding, vertices[1 + number % roles])]
    return vertices, arrows


def members(diagram: Diagram) -> list[str]:
    """Keys of everything in the picture, in nodes and on arrows."""
    boxed = [member.key for box in diagram.sheet.boxes for member in box.members]
    return sorted(boxed + [binding.key for link in diagram.sheet.links for binding in link.via])


def assert_no_arrow_lost(diagram: Diagram, arrows: Iterable[Arrow]) -> None:
    place = {member.key: number for number, box in enumerate(diagram.sheet.boxes) for member in box.members}
    direct = {(link.tail, link.head) for link in diagram.sheet.links}
    into = {(binding.key, link.head) for link in diagram.sheet.links for binding in link.via}
    out = {(link.tail, binding.key) for link in diagram.sheet.links for binding in link.via}
    for one in arrows:
        if one.tail in place and one.head in place:
            assert (place[one.tail], place[one.head]) in direct
        elif one.tail in place:
            assert (place[one.tail], one.head) in out
        else:
            assert (one.tail, place[one.head]) in into


# The text


def test_a_small_picture_is_exactly_this() -> None:
    ann = vertex(Kind.USER, "ann")
    binding, role = vertex(Kind.ROLE_BINDING, "readers", "prod"), vertex(Kind.ROLE, "reader", "prod")
    picture = draw([role, ann, binding, SECRETS], [
        arrow(ann, binding), arrow(binding, role), arrow(role, SECRETS, style=Line.DASHED)
    ], title="who can get secrets", fold="none", notes=["focus: ann"])  # fmt: skip
    text = picture.dot()
    assert text.startswith("digraph")
    assert [line.strip() for line in text.splitlines() if re.match(r" +(n\d|subgraph|graph|k\d \[)", line)] == [
        (
            'graph [label="who can get secrets\\lfocus: ann\\l", labelloc="t", '
            'labeljust="l", fontname="Arial", fontsize="13", fontcolor="#24292F", rankdir="LR", ranksep="0.7", '
            'nodesep="0.14", bgcolor="white", color="#C9CFD6"];'
        ),
        'n0 [label="ann", shape="ellipse", style="filled", fillcolor="#CDE7F7"];',
        'n3 [label="get secrets", shape="note", style="filled", fillcolor="#F8D2B8"];',
        "subgraph cluster_0 {",
        'graph [label="prod", style="rounded", fontsize="11"];',
        'n1 [label="readers", shape="cds", style="filled", fillcolor="#FBF3B4"];',
        'n2 [label="reader", shape="box", style="filled", fillcolor="#BFE6DA"];',
        "n0 -> n1;",
        "n1 -> n2;",
        'n2 -> n3 [style="dashed"];',
        "subgraph cluster_legend {",
        'graph [label="Legend", style="dashed", fontsize="11"];',
        'k0 [label="User", shape="ellipse", style="filled", fillcolor="#CDE7F7"];',
        'k1 [label="RoleBinding", shape="cds", style="filled", fillcolor="#FBF3B4"];',
        'k2 [label="Role", shape="box", style="filled", fillcolor="#BFE6DA"];',
        'k3 [label="Permission", shape="note", style="filled", fillcolor="#F8D2B8"];',
        'k4 [label="dashed: inert, dangling or conditional\\l", shape="plaintext", fontsize="10"];',
    ]


def test_mermaid_of_a_small_picture() -> None:
    ann, role = vertex(Kind.USER, "ann"), vertex(Kind.CLUSTER_ROLE, "view")
    assert draw([ann, role], [arrow(ann, role, "via x", Line.BOLD)], title="t").mermaid().splitlines() == [
        "flowchart LR",
        '  n0(["ann"]):::user',
        '  n1["view"]:::cluster_role',
        '  n0 ==>|"via x"| n1',
        '  subgraph legend["Legend"]',
        '    k0(["User"]):::user',
        '    k1["ClusterRole"]:::cluster_role',
        ('    about["t<br/>nothing folded, hidden or cut<br/>bold#58; the path asked for"]:::about'),
        "  end",
        "  classDef about fill:none,stroke:none,text-align:left",
        "  classDef user fill:#CDE7F7,stroke:#6E7781,color:#24292F,stroke-width:1px",
        "  classDef cluster_role fill:#BFE6DA,stroke:#6E7781,color:#24292F,stroke-width:3px",
    ]


def test_the_legend_lists_only_what_is_drawn() -> None:
    legend = draw(*chains(3, roles=1), title="t").dot().partition("cluster_legend")[2]
    assert re.findall(r'k\d \[label="(\w+)"', legend) == ["ServiceAccount", "ClusterRole", "Permission"]
    assert "several objects" in legend
    assert "dashed: inert" not in legend


def test_no_distinction_rests_on_colour_alone() -> None:
    assert set(STYLES) == set(DrawnKind) == {kind for column in COLUMNS for kind in column}
    for looks in (
        {(style.shape, style.bold) for style in STYLES.values()},
        {(style.mermaid, style.bold, style.dotted) for style in STYLES.values()},
    ):
        assert len(looks) == len(STYLES)


def test_an_empty_picture_is_drawn() -> None:
    empty = draw([], [], title="nobody")
    assert (empty.nodes, empty.overflow, empty.note) == (0, False, "nothing folded, hidden or cut")
    assert "cluster_legend" not in empty.dot()
    assert draw([], [], title="nobody", notes=["8 built-in left out"]).note == "8 built-in left out"


def test_an_unknown_fold_names_the_folds() -> None:
    with pytest.raises(UsageError, match="unknown fold `x`") as caught:
        draw([], [], title="t", fold="x")  # type: ignore[arg-type]
    assert caught.value.help == "folds: namespace, class, workload, none"


def test_a_binding_says_at_its_arrow_whether_it_holds_in_the_whole_cluster() -> None:
    ann, role = vertex(Kind.USER, "ann"), vertex(Kind.CLUSTER_ROLE, "view")
    local, wide = vertex(Kind.ROLE_BINDING, "b", "ns"), vertex(Kind.CLUSTER_ROLE_BINDING, "c")
    for binding, words in ((local, "b in ns"), (wide, "c")):
        text = draw([ann, role, binding], [arrow(ann, binding), arrow(binding, role)], title="t").dot()
        assert f'n0 -> n1 [label="{words}"]' in text
        assert "a binding without namespace applies to the whole cluster" in text
        assert "bold outline" not in text


def test_a_frame_around_a_single_node_that_asks_for_it() -> None:
    ann = Vertex(key="ann", label="ann", kind=Kind.USER, group="ns", framed=True)
    text = draw([ann, SECRETS], [arrow(ann, SECRETS)], title="t").dot()
    assert 'graph [label="ns"' in text
    assert "frame: the namespace where this holds" in text


@pytest.mark.parametrize("fold", FOLDS)
def test_order_of_input_does_not_matter(fold: Fold) -> None:
    vertices, arrows = chains(40, roles=7, namespaces=3)
    texts = set()
    for seed in range(8):
        mix = random.Random(seed)
        mix.shuffle(vertices)
        mix.shuffle(arrows)
        picture = draw(vertices, arrows, title="t", fold=fold, max_nodes=30)
        texts.add((picture.dot(), picture.mermaid(), picture.note))
    assert len(texts) == 1


# Folding


def test_accounts_of_one_namespace_with_the_same_arrows_become_one_node() -> None:
    picture = draw(*chains(14, roles=1), title="t")
    assert [len(box.members) for box in picture.sheet.boxes] == [14, 1, 1]
    assert 'label="ns-0: 14 ServiceAccounts\\nsa-0000\\nsa-0001\\nsa-0002\\nand 11 more"' in picture.dot()
    assert 'label="14 ClusterRoleBindings"' in picture.dot()
    assert picture.note.splitlines() == [
        "14 objects folded into 1 node; members have the same arrows",
        "bindings drawn as arrows instead of nodes: 14",
    ]


def test_namespaces_stay_apart_until_the_cap_is_hit() -> None:
    parts = chains(12, roles=1, namespaces=3)
    assert draw(*parts, title="t").nodes == 5
    assert draw(*parts, title="t", max_nodes=4).nodes == 3
    assert "12 ServiceAccounts in 3 namespaces" in draw(*parts, title="t", fold="class").dot()


def test_roles_of_their_own_are_folded_only_above_the_cap_and_it_is_said() -> None:
    parts = chains(20, roles=20)
    assert draw(*parts, title="t").nodes == 41
    folded = draw(*parts, title="t", max_nodes=40)
    assert [len(box.members) for box in folded.sheet.boxes] == [20, 20, 1]
    assert "which member has which partner is hidden" in folded.note


def web(subjects: int, *, roles: int, namespaces: int, kind: DrawnKind = Kind.SERVICE_ACCOUNT) -> Parts:
    """Subjects with RoleBindings to irregular choices of ClusterRoles."""
    mix = random.Random(1)
    all_roles = [vertex(Kind.CLUSTER_ROLE, f"role-{number:03}") for number in range(roles)]
    vertices, arrows = [SECRETS, *all_roles], [arrow(role, SECRETS, role.label) for role in all_roles]
    for number in range(subjects):
        group = f"ns-{number % namespaces}"
        subject = vertex(kind, f"s-{number:05}", group if kind is Kind.SERVICE_ACCOUNT else "")
        vertices.append(subject)
        for role in mix.sample(all_roles, k=mix.randint(1, min(4, roles))):
            binding = vertex(Kind.ROLE_BINDING, f"{number}-{role.label}", group)
            vertices.append(binding)
            arrows += [arrow(subject, binding), arrow(binding, role)]
    return vertices, arrows


@pytest.mark.parametrize(
    ("parts", "lost"),
    [
        (chains(60, roles=60), "which member has which partner is hidden"),
        (web(200, roles=12, namespaces=3), "ServiceAccounts of one namespace are one node"),
        (web(2_000, roles=40, namespaces=300), "members lead to the same nodes"),
        (web(300, roles=40, namespaces=3, kind=Kind.USER), "members lead to the same nodes"),
    ],
)
def test_what_has_no_order_folds_as_hard_as_needed_and_it_is_said(parts: Parts, lost: str) -> None:
    picture = draw(*parts, title="t", max_nodes=100)
    assert picture.nodes <= 25
    assert f"detail is lost: {lost}" in picture.note


@pytest.mark.parametrize("fold", ["namespace", "class", "workload"])
def test_every_fold_gets_below_the_cap(fold: Fold) -> None:
    vertices, arrows = web(3_000, roles=60, namespaces=400)
    picture = draw(vertices, arrows, title="t", fold=fold)
    assert not picture.overflow
    assert len(picture.sheet.links) <= 75
    assert set(members(picture)) == {one.key for one in vertices}


def test_the_role_that_most_lead_to_stays_apart() -> None:
    vertices, arrows = web(600, roles=3, namespaces=600, kind=Kind.USER)
    admin = vertex(Kind.CLUSTER_ROLE, "admin")
    root = vertex(Kind.CLUSTER_ROLE_BINDING, "root")
    everyone = [one for one in vertices if one.kind is Kind.USER]
    arrows += [arrow(admin, SECRETS), arrow(root, admin), *(arrow(one, root) for one in everyone)]
    labels = {box.members[0].label for box in draw([*vertices, admin, root], arrows, title="t").sheet.boxes}
    assert "admin" in labels


def test_a_dashed_half_makes_the_folded_binding_dashed() -> None:
    ann, binding, role = vertex(Kind.USER, "ann"), vertex(Kind.ROLE_BINDING, "b", "ns"), vertex(Kind.ROLE, "r", "ns")
    picture = draw(
        [ann, binding, role], [arrow(ann, binding, style=Line.BOLD), arrow(binding, role, style=Line.DASHED)], title="t"
    )
    assert [(link.style, [via.label for via in link.via]) for link in picture.sheet.links] == [(Line.DASHED, ["b"])]
    assert 'label="b in ns"' in picture.dot()


def test_a_binding_of_several_subjects_stays_a_node() -> None:
    ann, bob, binding = vertex(Kind.USER, "ann"), vertex(Kind.GROUP, "bob"), vertex(Kind.CLUSTER_ROLE_BINDING, "b")
    role = vertex(Kind.CLUSTER_ROLE, "r")
    parts = [arrow(ann, binding), arrow(bob, binding), arrow(binding, role)]
    assert draw([ann, bob, binding, role], parts, title="t").nodes == 4


def test_pods_that_reach_each_other_fold_into_their_workload() -> None:
    pods = [vertex(Kind.POD, f"web-{number}", "shop", "Deployment/shop/web") for number in range(5)]
    other = vertex(Kind.POD, "db-0", "shop", "StatefulSet/shop/db")
    flows = [arrow(one, two, "TCP 80") for one in pods for two in pods if one is not two]
    picture = draw([*pods, other], [*flows, *(arrow(pod, other) for pod in pods)], title="t", fold="workload")
    assert sorted(len(box.members) for box in picture.sheet.boxes) == [1, 5]
    assert len(picture.sheet.links) == 2


def test_parallel_arrows_merge_by_style() -> None:
    ann, pod = vertex(Kind.USER, "ann"), vertex(Kind.POD, "p", "ns")
    labels = [arrow(ann, pod, f"label {number}") for number in range(6)]
    picture = draw([ann, pod], [*labels, arrow(ann, pod, "no", Line.DASHED)], title="t", fold="none")
    assert len(picture.sheet.links) == 2
    assert 'label="label 0\\nlabel 1\\nlabel 2\\nand 3 more"' in picture.dot()


@st.composite
def parts(draw_: st.DrawFn) -> Parts:
    names = st.tuples(st.sampled_from(list(DrawnKind)), st.integers(0, 6), st.sampled_from(["", "a", "b"]))
    vertices = [
        vertex(kind, str(number), group, cls=str(number % 2))
        for kind, number, group in draw_(st.lists(names, unique=True, max_size=25))
    ]
    if not vertices:
        return [], []
    one = st.sampled_from(vertices)
    arrows = st.builds(arrow, one, one, st.sampled_from(["", "x"]), st.sampled_from(list(Line)))
    return vertices, draw_(st.lists(arrows, max_size=50))


@settings(max_examples=150, deadline=None)
@given(parts(), st.sampled_from(FOLDS), st.integers(0, 30))
def test_folding_loses_nothing(graph: Parts, fold: Fold, max_nodes: int) -> None:
    vertices, arrows = graph
    picture = draw(vertices, arrows, title="t", fold=fold, max_nodes=max_nodes)
    assert set(members(picture)) == {one.key for one in vertices}
    boxed = [member.key for box in picture.sheet.boxes for member in box.members]
    assert len(boxed) == len(set(boxed))
    assert_no_arrow_lost(picture, arrows)
    assert picture.overflow == (picture.nodes > max_nodes)
    assert len(re.findall(r"^ +n\d+ \[", picture.dot(), re.MULTILINE)) == (1 if picture.overflow else picture.nodes)


# The cap


def test_above_the_cap_there_is_a_table_and_a_line_to_try() -> None:
    picture = draw(*chains(200, roles=3), title="t", fold="none")
    assert picture.overflow
    assert picture.note.splitlines() == [
        "404 nodes and 403 arrows after folding, more than the 150 that a picture may have (--max-nodes)",
        "  200 ServiceAccounts",
        "  200 ClusterRoleBindings",
        "  3 ClusterRoles",
        "  1 Permission",
        "to see it: narrow the question (-n NAMESPACE, TYPE/NAME), another --fold, or --max-nodes N",
    ]
    assert picture.dot().count(" -> ") == 0
    assert "to see it" in picture.dot()
    assert "to see it" in picture.mermaid()


def test_permissions_are_listed_longer_than_names() -> None:
    role = vertex(Kind.CLUSTER_ROLE, "r")
    rules = [vertex(Kind.PERMISSION, f"{number} " + "x" * 60) for number in range(9)]
    text = draw([role, *rules], [arrow(role, rule) for rule in rules], title="t").dot()
    assert all(rule.label in text for rule in rules)
    assert "shortened" not in text


def test_what_is_drawn_twice_counts_once() -> None:
    places = [Vertex(key=f"ann in {ns}", label="ann", kind=Kind.USER, group=ns, framed=True) for ns in ("a", "b", "c")]
    rules = [Vertex(key=f"{place.key}: get pods", label="get pods", kind=Kind.PERMISSION) for place in places]
    arrows = [arrow(place, rule) for place, rule in zip(places, rules, strict=True)]
    text = draw([*places, *rules], arrows, title="t", max_nodes=2).dot()
    assert 'label="1 User in 3 namespaces\\nann in a\\nann in b\\nann in c"' in text
    assert 'label="1 Permission\\nget pods"' in text


def test_a_large_cluster_folds_fast_and_below_the_cap() -> None:
    picture = draw(*chains(5_000, roles=400, namespaces=100), title="t")
    assert picture.nodes <= 150
    assert len(members(picture)) == 10_401


@pytest.mark.parametrize(("arrows", "label", "fits"), [(499, "x", True), (500, "x", False), (499, ":" * 44, False)])
def test_mermaid_stays_within_its_limits(arrows: int, label: str, fits: bool) -> None:
    nodes = [vertex(Kind.NODE, f"{number:03}") for number in range(40)]
    mesh = [arrow(one, two, label) for one in nodes for two in nodes if one.label < two.label]
    text = draw(nodes, mesh[:arrows], title="t", fold="none").mermaid()
    assert len(text) < MAX_TEXT
    assert text.count("-->") == (arrows if fits else 0) < MAX_EDGES
    assert ("to see it" in text) != fits


# Hostile names


def hostile(names: Sequence[str]) -> Diagram:
    """Each name as a label, an arrow's label, a frame, a title and a note."""
    vertices, arrows = [], []
    for number, name in enumerate(names):
        one = Vertex(key=f"{number:04}", label=name, kind=Kind.SERVICE_ACCOUNT)
        two = Vertex(key=f"{number:04}a", label="a", kind=Kind.POD, group=f"{number:04}{name}")
        three = Vertex(key=f"{number:04}b", label="b", kind=Kind.POD, group=f"{number:04}{name}")
        vertices += [one, two, three]
        arrows += [Arrow(tail=one.key, head=two.key, label=name), Arrow(tail=two.key, head=three.key)]
    return draw(vertices, arrows, title=names[0], notes=names, fold="none", max_nodes=len(vertices))


def test_the_corpus_is_large_enough() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 200


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\nb\x9b", "a\\x0ab\\x9b"),
        ("caf\u00e9 \U0001f600", "caf\u00e9 \U0001f600"),
    ],
)
def test_safe_shows_what_is_unseen(text: str, seen: str) -> None:
    assert safe(text) == seen


@pytest.mark.parametrize("name", HOSTILE)
def test_safe_text_is_utf_8_and_stays_as_it_is(name: str) -> None:
    shown = safe(name)
    assert safe(shown) == shown
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", shown)
    shown.encode()


def test_names_are_shortened_in_the_middle() -> None:
    assert shorten("a" * 44) == "a" * 44
    assert shorten("head-" + "x" * 300 + "-tail") == "head-" + "x" * 17 + "…" + "x" * 16 + "-tail"
    assert len(shorten("x" * 45)) == 44


@needs_dot
def test_graphviz_reads_every_hostile_name_back() -> None:
    """One run per format; ``-Tjson`` proves the structure, the SVG's text what a reader sees."""
    text = hostile(HOSTILE).dot()
    parsed = json.loads(
        subprocess.run(["dot", "-Tdot_json"], input=text.encode(), capture_output=True, check=True, timeout=60).stdout
    )
    nodes = [one for one in parsed["objects"] if re.fullmatch(r"n\d+", one["name"])]
    assert len(nodes) == 3 * len(HOSTILE)
    assert len([one for one in parsed["objects"] if re.fullmatch(r"cluster_\d+", one["name"])]) == len(HOSTILE)
    by_id = {int(one["name"][1:]): plain(one["label"]) for one in nodes}
    assert [by_id[number] for number in range(len(HOSTILE))] == [shorten(name) for name in HOSTILE]
    allowed = ATTRIBUTES | {"_gvid", "name", "nodes", "edges", "subgraphs", "tail", "head"}
    for one in (*parsed["objects"], *parsed["edges"]):
        assert one.keys() <= allowed


def plain(label: str) -> str:
    """What Graphviz shows for the label of one line in its parsed form."""
    return re.sub(r"\\(.)", r"\1", label).replace("&amp;", "&")


@needs_dot
def test_the_svg_shows_every_hostile_name_as_text() -> None:
    for start in range(0, len(HOSTILE), 50):
        names = HOSTILE[start : start + 50]
        root = ET.fromstring(hostile(names).svg())  # noqa: S314 - our own output is what is tested
        texts = {re.sub(r"\s+", " ", text.text or "").strip() for text in root.iter("{http://www.w3.org/2000/svg}text")}
        for name in names:
            assert re.sub("[ \u00a0]+", " ", shorten(name)).strip() in texts | {""}
        for element in root.iter():
            assert element.tag.rpartition("}")[2] in {
                "svg",
                "g",
                "title",
                "polygon",
                "path",
                "text",
                "ellipse",
                "polyline",
            }
            assert not any(name.rpartition("}")[2].startswith(("href", "on")) for name in element.attrib)


MERMAID_LINE = re.compile(
    r"""flowchart\ LR
    |\ +(?:n|k)\d+[\[({>/\\]+"[^"\n]*"[\])}/\\]+:::\w+
    |\ +about\["[^"\n]*"\]:::about
    |\ +n\d+\ <?(?:-->|-\.->|==>|-\.-x)(?:\|"[^"\n]*"\|)?\ n\d+
    |\ +subgraph\ \w+\["[^"\n]*"\]
    |\ +end
    |\ +classDef\ \w+\ [\w:,# -]+""",
    re.VERBOSE,
)


def test_mermaid_lines_are_well_formed_for_every_hostile_name() -> None:
    for start in range(0, len(HOSTILE), 20):
        text = hostile(HOSTILE[start : start + 20]).mermaid()
        for line in text.splitlines():
            assert MERMAID_LINE.fullmatch(line), line
            for label in re.findall(r'"([^"]*)"', line):
                assert not re.search(r"[`|$%*_~{}\[\]\\':@]|#(?!\d+;)|&|<(?!br/>)", label), line


def test_mermaid_labels_read_back() -> None:
    for name in HOSTILE:
        text = draw([vertex(Kind.POD, name)], [], title="t").mermaid()
        label = re.findall(r'n0\[\\"(.*)"\\\]', text)[0]
        assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label) == shorten(name)


# Rendering


@needs_dot
def test_the_svg_names_its_engine_and_version() -> None:
    picture = draw(*chains(3, roles=1), title="t")
    assert re.search(r"<!-- graphsec diagram; layout engine dot, Graphviz \d+\.\d+", picture.svg())
    assert picture._repr_svg_() == picture.svg()
    assert picture.png().startswith(b"\x89PNG")


def test_without_dot_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    picture = draw([SECRETS], [], title="t")
    with pytest.raises(RenderError, match="not found") as caught:
        picture.svg()
    assert caught.value.missing
    assert picture._repr_svg_() is None


@needs_dot
def test_a_slow_layout_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SECONDS", 0.0001)
    with pytest.raises(RenderError, match="took more than") as caught:
        draw([SECRETS], [], title="t").png()
    assert not caught.value.missing


@needs_dot
def test_a_failing_layout_is_an_error() -> None:
    with pytest.raises(RenderError, match="ended with status"):
        layout.run_dot("digraph {", "svg")
