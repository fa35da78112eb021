"""Pictures of attacks: every step is drawn with its rule, what it assumes is told, and nothing drawn is untrue."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from typing import Any, get_args

import pytest
from hostile_names import HOSTILE

import graphsec as gs
from graphsec.api import paths
from graphsec.diagram import STYLES, Diagram, DrawnKind, Fold, Line
from graphsec.diagram.mermaid import MAX_EDGES, MAX_TEXT
from graphsec.errors import UsageError
from graphsec.model.attack import ASSUMPTIONS, Fact, FactKind
from graphsec.query._attack_picture import draw_focus, draw_path, draw_paths, fact_vertex
from graphsec.query.graph import Graph

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz' dot is not installed")

Object = dict[str, Any]
FOLDS: tuple[Fold, ...] = get_args(Fold)
ADMIN_RULE = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
RBAC = "rbac.authorization.k8s.io"


def thing(kind: str, name: str, space: str = "", api: str = "v1", **body: Any) -> Object:
    metadata = {"name": name, "namespace": space} if space else {"name": name}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def rule(resources: str, verbs: str, group: str = "") -> Object:
    return {"apiGroups": [group], "resources": resources.split(","), "verbs": verbs.split(",")}


def account(space: str, name: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": space}


def user(name: str) -> Object:
    return {"kind": "User", "name": name, "apiGroup": RBAC}


def granted(name: str, subjects: Iterable[Object], *rules: Object) -> list[Object]:
    """A ClusterRole and its ClusterRoleBinding."""
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    return [
        thing("ClusterRole", name, api=f"{RBAC}/v1", rules=list(rules)),
        thing("ClusterRoleBinding", f"{name}-binding", api=f"{RBAC}/v1", roleRef=ref, subjects=list(subjects)),
    ]


def pod(space: str, name: str, owner: str) -> Object:
    spec = {"serviceAccountName": owner, "containers": [{"name": "c", "image": "i"}]}
    return thing("Pod", name, space, spec=spec, status={"phase": "Running"})


def base() -> list[Object]:
    """An account that is cluster-admin."""
    return [
        thing("Namespace", "ops"), thing("Namespace", "ci"), thing("ServiceAccount", "root", "ops"),
        *granted("all", [account("ops", "root")], ADMIN_RULE),
    ]  # fmt: skip


def minting() -> list[Object]:
    """Three premises of one step: a certificate in any name that is requested, approved and read."""
    group = "certificates.k8s.io"
    requests = rule("certificatesigningrequests", "create,get", group)
    approval = rule("certificatesigningrequests/approval", "update", group)
    return [
        *base(),
        thing("ServiceAccount", "builder", "ci"),
        *granted("certs", [account("ci", "builder")], requests, approval, rule("signers", "approve", group)),
    ]


def making() -> list[Object]:
    """A new pod with any account, unless an admission webhook refuses it."""
    return [*base(), *granted("pods", [user("ann")], rule("pods", "create"))]


def entering() -> list[Object]:
    """The pod of the account."""
    return [*base(), pod("ops", "web", "root"), *granted("shells", [user("ann")], rule("pods/exec", "create"))]


def picture(objects: Iterable[Object], source: str = "all", fold: Fold = "namespace", **options: Any) -> Diagram:
    return paths(gs.load(*objects), source).diagram(fold, **options)


def body(text: str) -> list[str]:
    """The lines of boxes and arrows that are seen."""
    return [
        line.strip()
        for line in text.partition("subgraph cluster_legend")[0].splitlines()
        if re.match(r" +n\d", line) and "invis" not in line
    ]


def legend(text: str) -> str:
    return text.partition("subgraph cluster_legend")[2]


def labels(diagram: Diagram) -> set[str]:
    return {member.label for box in diagram.sheet.boxes for member in box.members}


def ends(diagram: Diagram, line: Line) -> set[tuple[str, str]]:
    names = [box.members[0].label for box in diagram.sheet.boxes]
    return {(names[link.tail], names[link.head]) for link in diagram.sheet.links if link.style is line}


# -- the text ---------------------------------------------------------------------------------------------------


def test_a_proof_with_three_premises_is_exactly_this() -> None:
    assert body(picture(minting(), "sa:ci/builder").dot()) == [
        'n0 [label="any subject by certificate", shape="ellipse", style="filled", fillcolor="#CDE7F7"];',
        (
            'n1 [label="ci/builder", shape="box", style="filled,rounded", fillcolor="#CDE7F7", penwidth="3.5", '
            'color="#24292F"];'
        ),
        'n2 [label="ops/root", shape="box", style="filled,rounded", fillcolor="#CDE7F7"];',
        (
            'n3 [label="every ServiceAccount of\\nevery namespace", shape="box", style="filled,diagonals", '
            'fillcolor="#F3D9E8"];'
        ),
        'n4 [label="AND", shape="circle", style="filled", fillcolor="#FFFFFF", margin="0"];',
        (
            'n5 [label="3 Permissions\\napprove client certificates\\nread issued certificates\\nrequest client certificates", '
            'shape="note", style="filled", fillcolor="#F8D2B8", peripheries="2"];'
        ),
        (
            'n6 [label="cluster-admin", shape="hexagon", style="filled", fillcolor="#F8D2B8", penwidth="3.5", '
            'color="#24292F"];'
        ),
        'n0 -> n3 [label="   [csr-client-cert]   \\l"];',
        'n1 -> n5 [label="   [rbac-grant]   \\l   certs-binding   \\l"];',
        'n2 -> n6 [label="   [cluster-admin-equivalent]   \\l   all-binding   \\l"];',
        'n3 -> n2 [penwidth="0.6", arrowhead="odot"];',
        'n4 -> n0 [label="   [csr-client-cert]   \\l"];',
        "n5 -> n4;",
    ]


def test_a_conditional_proof_is_exactly_this() -> None:
    assert body(picture(making(), "user:ann").dot()) == [
        'n0 [label="ann", shape="ellipse", style="filled", fillcolor="#CDE7F7", penwidth="3.5", color="#24292F"];',
        'n1 [label="ops/root", shape="box", style="filled,rounded", fillcolor="#CDE7F7"];',
        (
            'n2 [label="every ServiceAccount of\\nevery namespace", shape="box", style="filled,diagonals", '
            'fillcolor="#F3D9E8"];'
        ),
        'n3 [label="a new pod in any namespace", shape="underline", style="filled", fillcolor="#F3D9E8"];',
        (
            'n4 [label="cluster-admin", shape="hexagon", style="filled", fillcolor="#F8D2B8", penwidth="3.5", '
            'color="#24292F"];'
        ),
        (
            'n0 -> n3 [style="dashed", label="   [workload-create-as-sa]   \\l   if WEBHOOK   \\l   pods-binding   \\l"];'
        ),
        'n1 -> n4 [label="   [cluster-admin-equivalent]   \\l   all-binding   \\l"];',
        'n2 -> n1 [penwidth="0.6", arrowhead="odot"];',
        'n3 -> n2 [label="   [workload-create-as-sa]   \\l"];',
    ]


# -- one proof --------------------------------------------------------------------------------------------------


def test_and_takes_every_premise_of_its_step() -> None:
    (path,) = paths(gs.load(*minting()), "sa:ci/builder")
    vertices, arrows = draw_path(path)
    (together,) = [vertex for vertex in vertices if vertex.kind is DrawnKind.TOGETHER]
    (joint,) = [step for step in path.steps if len(step.premises) > 1]
    assert {arrow.tail for arrow in arrows if arrow.head == together.key} == {
        fact_vertex(premise).key for premise in joint.premises
    }
    (onwards,) = [arrow for arrow in arrows if arrow.tail == together.key]
    assert (onwards.head, onwards.step) == (fact_vertex(joint.after).key, (f"[{joint.rule}]",))


@pytest.mark.parametrize("objects", [minting(), making(), entering()], ids=["minting", "making", "entering"])
def test_every_rule_and_every_assumption_is_at_an_arrow(objects: list[Object]) -> None:
    for path in paths(gs.load(*objects), "all"):
        _, arrows = draw_path(path)
        said = [line for arrow in arrows for line in arrow.step]
        for step in path.steps:
            if step.rule not in ("containment", "implicit-group"):
                assert f"[{step.rule}]" in said
            assert all(f"if {name}" in said or f"and {name}" in said for name in step.assumptions)
        bindings = {str(ground.binding) for ground in path.because if ground.binding}
        assert {binding.key for arrow in arrows for binding in arrow.via} == bindings


def test_only_what_rests_on_an_assumption_is_dashed() -> None:
    for objects in (minting(), making(), entering()):
        for path in paths(gs.load(*objects), "all"):
            _, arrows = draw_path(path)
            for arrow in arrows:
                assert (arrow.style is Line.ASSUMED) == any(line.startswith("if ") for line in arrow.step)


def test_assumptions_are_explained_on_the_picture() -> None:
    note = picture(making()).note
    assert f"WEBHOOK: {ASSUMPTIONS['WEBHOOK']}" in note


def test_what_only_narrows_is_left_out() -> None:
    """Not the pods of the namespace between all pods and one of them, nor the files of a pod."""
    diagram = picture(entering(), "user:ann")
    assert labels(diagram) == {"ann", "every pod of every namespace", "web", "root", "cluster-admin"}
    assert ends(diagram, Line.PART) == {("every pod of every namespace", "web")}


def test_what_stands_for_several_facts_is_drawn_itself() -> None:
    diagram = picture(entering(), "Namespace/ops")
    (space,) = [box for box in diagram.sheet.boxes if box.kind is DrawnKind.NAMESPACE]
    assert space.marked
    assert ("ops", "web") in ends(diagram, Line.PART)


def test_source_and_target_are_marked() -> None:
    diagram = picture(minting(), "sa:ci/builder")
    assert {box.members[0].label for box in diagram.sheet.boxes if box.marked} == {"builder", "cluster-admin"}
    assert "very thick outline: what was asked for" in legend(diagram.dot())
    assert {box.members[0].label for box in picture(minting()).sheet.boxes if box.marked} == {"cluster-admin"}


def test_no_path_is_a_picture_too() -> None:
    diagram = picture([*base(), *granted("none", [user("bob")], rule("pods", "list"))], "user:bob")
    assert "nothing to draw" in diagram.note
    assert diagram.dot().startswith("digraph")


@pytest.mark.parametrize("kind", FactKind)
def test_every_kind_of_fact_has_a_vertex_of_its_own(kind: FactKind) -> None:
    name = "ClusterRole/view" if kind in (FactKind.GRANT, FactKind.HELD) else "x"
    vertices = {fact_vertex(Fact(kind, name, "ns", power)).key for power in ("", "read secrets")}
    assert len(vertices) == 2
    assert fact_vertex(Fact(kind, name)).label


# -- many -------------------------------------------------------------------------------------------------------


def crowd(spaces: int, each: int) -> list[Object]:
    """Many accounts in several namespaces that read and create Secrets, by one binding each."""
    objects = base()
    for number in range(spaces * each):
        space, name = f"n{number % spaces:02}", f"a{number:03}"
        objects += [
            thing("ServiceAccount", name, space),
            *granted(f"r{number:03}", [account(space, name)], rule("secrets", "get,create")),
        ]
    return objects


def test_equal_starts_are_one_box_with_their_number() -> None:
    diagram = picture(crowd(30, 2))
    text = diagram.dot()
    assert diagram.nodes <= 8
    assert "60 ServiceAccounts in 30 namespaces" in text
    assert "60 ClusterRoleBindings" in text
    assert "60 objects folded into 1 node; members have the same arrows" in diagram.note


def test_equal_starts_of_few_namespaces_stay_apart_by_namespace() -> None:
    text = picture(crowd(3, 4)).dot()
    assert all(f"n{number:02}: 4 ServiceAccounts" in text for number in range(3))


def test_nothing_is_folded_without_being_asked_to() -> None:
    assert all(len(box.members) == 1 for box in picture(crowd(30, 2), fold="none", max_nodes=500).sheet.boxes)


@pytest.mark.parametrize("fold", FOLDS)
def test_folds_keep_every_object(fold: Fold) -> None:
    diagram = picture(crowd(5, 5), fold=fold)
    members = [member.label for box in diagram.sheet.boxes for member in box.members]
    assert len(members) == 25 + 3


def test_above_the_cap_there_are_numbers_instead() -> None:
    diagram = picture(crowd(5, 5), fold="none", max_nodes=20)
    assert diagram.overflow
    for text in (diagram.dot(), diagram.mermaid().replace("#58;", ":")):
        assert "28 nodes and" in text
        assert "26 ServiceAccounts" in text
        assert "--max-nodes N" in text


def test_a_fold_that_hides_something_says_so() -> None:
    """Pairs of an account and a user whom it impersonates."""
    objects = base()
    for number in range(12):
        objects += granted(f"admin{number}", [user(f"u{number}")], ADMIN_RULE)
        one = {**rule("users", "impersonate"), "resourceNames": [f"u{number}"]}
        objects += granted(f"as{number}", [account("ops", f"a{number}")], one)
    diagram = picture(objects)
    assert diagram.nodes < 8
    assert "which member has which partner is hidden" in diagram.note


def test_mermaid_stays_below_its_limits() -> None:
    for diagram in (picture(crowd(30, 2)), picture(crowd(60, 10), fold="none", max_nodes=5_000)):
        text = diagram.mermaid()
        assert len(text) < MAX_TEXT
        assert sum("-->" in line or "-.->" in line for line in text.splitlines()) < MAX_EDGES
        assert text.startswith("flowchart ")


# -- legend -----------------------------------------------------------------------------------------------------

_WORDS: dict[str, Callable[[Diagram], bool]] = {
    "dashed: only under the assumption": lambda diagram: any(
        link.style is Line.ASSUMED for link in diagram.sheet.links
    ),
    "thin, circle at its end": lambda diagram: any(link.style is Line.PART for link in diagram.sheet.links),
    "AND: takes all": lambda diagram: any(box.kind is DrawnKind.TOGETHER for box in diagram.sheet.boxes),
    "several objects": lambda diagram: any(len(box.members) > 1 for box in diagram.sheet.boxes),
    "[text] at an arrow": lambda diagram: any(link.steps for link in diagram.sheet.links),
    "the binding that grants it": lambda diagram: any(link.via for link in diagram.sheet.links),
    "very thick outline": lambda diagram: any(box.marked for box in diagram.sheet.boxes),
}


@pytest.mark.parametrize(
    "objects", [minting(), making(), entering(), crowd(30, 2)], ids=["mint", "make", "enter", "crowd"]
)
def test_the_legend_lists_exactly_what_is_drawn(objects: list[Object]) -> None:
    world = gs.load(*objects)
    for diagram in (paths(world, "all").diagram(), draw_focus(world, "sa:ops/root", 1, "namespace", 150)):
        text = legend(diagram.dot())
        kinds = {box.kind for box in diagram.sheet.boxes}
        listed = set(re.findall(r'k\d+ \[label="([^"]*)", shape', text))
        assert {STYLES[kind].legend for kind in kinds} == {name for name in listed if "\\l" not in name}
        for words, is_drawn in _WORDS.items():
            assert (words in text) == is_drawn(diagram), words


def test_no_distinction_rests_on_colour() -> None:
    drawn = {STYLES[kind].shape for kind in (DrawnKind.SET, DrawnKind.FOOTHOLD, DrawnKind.TOGETHER)}
    assert len(drawn) == 3
    assert not drawn & {style.shape for kind, style in STYLES.items() if style.shape in drawn and kind.value == "Role"}


# -- names ------------------------------------------------------------------------------------------------------


def hostile_world() -> list[Object]:
    objects = base()
    for number, name in enumerate(HOSTILE):
        if name:
            objects += granted(f"r{number}", [user(name)], rule("pods", "create"))
    return objects


STRING = r'"(?:[^"\\]|\\.)*"'
DOT_LINE = re.compile(
    rf"(?:digraph graphsec \{{|\}}|subgraph cluster_\w+ \{{|(?:graph|node|edge|[nk]\d+(?: -> [nk]\d+)?)"
    rf"(?: \[\w+={STRING}(?:, \w+={STRING})*\])?;)"
)

MERMAID_LINE = re.compile(
    r"""flowchart\ TB
    |\ +(?:n|k)\d+[\[({>/\\]+"[^"\n]*"[\])}/\\]+:::\w+
    |\ +about\["[^"\n]*"\]:::about
    |\ +n\d+\ (?:<?-->|<?-\.->|o?--o)(?:\|"[^"\n]*"\|)?\ n\d+
    |\ +subgraph\ \w+\["[^"\n]*"\]
    |\ +end
    |\ +classDef\ \w+\ [a-z0-9:#,\ A-F-]+
    """,
    re.VERBOSE,
)


@pytest.mark.parametrize("fold", ["namespace", "class"])
def test_no_name_leaves_its_label(fold: Fold) -> None:
    answer = paths(gs.load(*hostile_world()), "all")
    assert len(answer) > len(HOSTILE) // 2
    diagram = answer.diagram(fold, 2_000)
    for line in diagram.dot().splitlines():
        assert DOT_LINE.fullmatch(line.strip()), line
    for line in diagram.mermaid().splitlines():
        assert MERMAID_LINE.fullmatch(line), line


@needs_dot
@pytest.mark.parametrize("name", [name for name in HOSTILE if name][::7])
def test_hostile_names_are_drawn(name: str) -> None:
    objects = [*base(), *granted("r", [user(name)], rule("pods", "create"))]
    svg = draw_paths(paths(gs.load(*objects), "all"), "none", 100).svg()
    assert "</svg>" in svg
    assert "<script" not in svg
    assert "href" not in svg


@needs_dot
@pytest.mark.parametrize(
    "objects", [minting(), making(), entering(), crowd(30, 2)], ids=["mint", "make", "enter", "crowd"]
)
def test_dot_reads_it(objects: list[Object]) -> None:
    world = gs.load(*objects)
    for diagram in (paths(world, "all").diagram(), draw_focus(world, "cluster-admin", 2, "none", 150)):
        read = subprocess.run(
            ["dot", "-Tjson"], input=diagram.dot(), capture_output=True, text=True, check=True, timeout=20
        )
        assert read.stderr == ""
        boxes = [node for node in json.loads(read.stdout)["objects"] if re.fullmatch(r"n\d+", node["name"])]
        assert len(boxes) == diagram.nodes or diagram.overflow


@needs_dot
def test_the_goal_is_at_the_far_side() -> None:
    read = subprocess.run(
        ["dot", "-Tplain"], input=picture(minting()).dot(), capture_output=True, text=True, check=True, timeout=20
    )
    heights = {name: float(y) for name, y in re.findall(r"^node (n\d+) \S+ (\S+)", read.stdout, re.MULTILINE)}
    assert min(heights, key=lambda name: heights[name]) == f"n{len(heights) - 1}"


def test_equal_input_gives_equal_bytes() -> None:
    objects = crowd(6, 4)
    one, other = gs.load(*objects), gs.load(*reversed(objects))
    assert paths(one, "all").diagram().dot() == paths(other, "all").diagram().dot()
    assert paths(one, "all").diagram().mermaid() == paths(other, "all").diagram().mermaid()
    for focus in ("cluster-admin", "ClusterRole/r001", ""):
        assert draw_focus(one, focus, 2, "class", 150).dot() == draw_focus(other, focus, 2, "class", 150).dot()


# -- the graph --------------------------------------------------------------------------------------------------


def test_a_focus_is_marked_among_what_is_around_it() -> None:
    diagram = draw_focus(gs.load(*minting()), "sa:ci/builder", 1, "none", 150)
    (focus,) = [box for box in diagram.sheet.boxes if box.marked]
    assert focus.members[0].label == "builder"
    number = diagram.sheet.boxes.index(focus)
    assert all(
        number in (link.tail, link.head)
        or DrawnKind.TOGETHER in (diagram.sheet.boxes[link.tail].kind, diagram.sheet.boxes[link.head].kind)
        for link in diagram.sheet.links
    )


def test_hops_are_steps_either_way() -> None:
    world = gs.load(*entering())
    edges = [
        {(str(edge.step.before), str(edge.step.after)) for edge in Graph(focus="user:ann", hops=hops).answer(world)}
        for hops in range(4)
    ]
    assert edges[0] == set()
    assert ("User/ann", "every pod of every namespace") in edges[1]
    assert ("every pod of every namespace", "every pod of ops") in edges[2] - edges[1]
    assert ("every pod of ops", "Pod/ops/web") in edges[3] - edges[2]
    back = Graph(focus="Pod/ops/web", hops=3).answer(world)
    assert ("User/ann", "every pod of every namespace") in {(str(e.step.before), str(e.step.after)) for e in back}


def test_a_step_of_several_premises_names_all_of_them() -> None:
    answer = Graph(focus="sa:ci/builder", hops=2).answer(gs.load(*minting()))
    rows = {edge.row(wide=False) for edge in answer}
    assert (
        "request client certificates and read issued certificates and approve client certificates",
        "Identity/any subject by certificate",
        "csr-client-cert",
        "",
    ) in rows
    assert all(
        len(edge.row(wide=wide)) == len(answer.question.columns(wide=wide)) for edge in answer for wide in (False, True)
    )


def test_nothing_is_followed_through_cluster_admin() -> None:
    world = gs.load(*minting(), *granted("more", [user("zoe")], ADMIN_RULE))
    near = Graph(focus="sa:ops/root", hops=2).answer(world)
    assert not any("zoe" in str(edge) for edge in near)
    assert "nothing is followed through cluster-admin" in near.notes
    assert any("zoe" in str(edge) for edge in Graph(focus="cluster-admin", hops=1).answer(world))


@pytest.mark.parametrize(
    ("focus", "hint"),
    [
        ("sa:ci/bilder", "did you mean ServiceAccount/ci/builder?"),
        ("ClusterRole/cert", "did you mean ClusterRole/certs?"),
        ("Pod/ops/none", ""),
        ("Secret/elsewhere/x", ""),
        ("Node/none", ""),
        ("Namespace/none", ""),
        ("user:zzzzzz", "a focus is"),
    ],
)
def test_an_unknown_focus_is_refused_with_a_hint(focus: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Graph(focus=focus).answer(gs.load(*minting(), pod("ops", "web", "root")))
    assert hint in caught.value.help
    assert caught.value.help


@pytest.mark.parametrize(
    "focus",
    [
        "cluster-admin",
        "node",
        "secrets:all",
        "internet",
        "Namespace/ops",
        "ClusterRole/certs",
        "Pod/ops/web",
        "user:ann",
    ],
)
def test_every_focus_is_drawn_marked(focus: str) -> None:
    world = gs.load(*minting(), *entering()[-3:])
    diagram = draw_focus(world, focus, 2, "namespace", 150)
    assert sum(box.marked for box in diagram.sheet.boxes) == 1


def test_a_role_leads_to_those_who_hold_it() -> None:
    diagram = draw_focus(gs.load(*minting()), "ClusterRole/certs", 1, "none", 150)
    assert ("certs", "builder") in ends(diagram, Line.PART)


def test_the_whole_graph_above_the_cap_is_numbers_and_advice() -> None:
    world = gs.load(*crowd(30, 2))
    diagram = draw_focus(world, "", 2, "namespace", 20)
    assert diagram.overflow
    assert "ServiceAccounts" in diagram.note
    assert re.search(r"graphsec graph --focus \S+ --hops 2", diagram.note)
    command = re.findall(r"--focus (\S+) --hops", diagram.note)
    assert Graph(focus=command[0]).answer(world)


def test_the_question_says_how_to_ask_it() -> None:
    assert Graph().command() == "graph"
    assert Graph(focus="user:a b", hops=3).command() == "graph --focus 'user:a b' --hops 3"
    assert Graph().to_dict() == {"focus": None, "hops": None}
    answer = Graph(focus="user:ann", hops=1).answer(gs.load(*entering()))
    assert json.loads(answer.to_json())["question"]["hops"] == 1
    assert {name for edge in answer for name in edge.refs()} >= {"user/ann"}
    assert all(edge.drawing()[0] for edge in answer)
