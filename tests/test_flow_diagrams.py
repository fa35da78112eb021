"""Pictures of flows: isolation is an outline, what is too much is folded and told, and nothing drawn is untrue."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hostile_names import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from test_diagram import MERMAID_LINE, assert_no_arrow_lost, members

import graphsec as gs
from graphsec.algebra.blocks import ALL_ADDRESSES, ALL_V4, ALL_V6, AddressSet
from graphsec.algebra.internet import INTERNET
from graphsec.algebra.ports import ALL_PORTS, PortSet
from graphsec.diagram import Arrow, Diagram, DrawnKind, Fold, Isolation, Line, Share, Vertex, draw
from graphsec.diagram.words import port_lines
from graphsec.diagram.wrap import side_by_side
from graphsec.model.policy import Direction
from graphsec.query._flow_picture import addresses_text, addresses_vertex
from graphsec.query.can_reach import CanReach
from graphsec.query.explain_flow import ExplainFlow
from graphsec.query.reach import Reach

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz' dot is not installed")

Object = dict[str, Any]
BOTH = ("Ingress", "Egress")


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def workload(space: str, name: str, kind: str = "Deployment", replicas: int = 1) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": space}, "spec": spec}


def policy(space: str, name: str, app: str = "", types: Iterable[str] = ("Ingress",), **rules: Any) -> Object:
    selector = {"matchLabels": {"app": app}} if app else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": {"podSelector": selector, "policyTypes": list(types), **rules},
    }


def app(name: str) -> Object:
    return {"podSelector": {"matchLabels": {"app": name}}}


def space(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def tcp(*ports: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def shop() -> list[Object]:
    """front → api → db; `db` may still leave, `batch` may not, `idle` may nothing, `open` has no policy."""
    return [
        namespace("shop"),
        *(workload("shop", name) for name in ("front", "api", "db", "batch", "idle", "open")),
        policy("shop", "front", "front", BOTH, egress=[{"to": [app("api")], "ports": tcp(80, 443)}]),
        policy("shop", "api", "api", BOTH, ingress=[{"from": [app("front")], "ports": tcp(80)}],
               egress=[{"to": [app("db")]}]),
        policy("shop", "db", "db", ingress=[{"from": [app("api")], "ports": tcp(5432)}]),
        policy("shop", "batch", "batch", ("Egress",)),
        policy("shop", "idle", "idle", BOTH),
    ]  # fmt: skip


def reach(objects: Iterable[Object], source: str = "", destination: str = "", **options: Any) -> gs.Answer[Any]:
    return Reach(source=source, destination=destination, **options).answer(gs.load(*objects))


def node_lines(text: str) -> dict[str, str]:
    """Lines of the boxes by the first line of their labels."""
    return {found[1]: found[0] for found in re.finditer(r'^ +n\d+ \[label="([^"\\]*).*', text, re.MULTILINE)}


def drawn(text: str) -> set[tuple[str, str, str]]:
    """(tail, head, looks) of every arrow that is seen, ends by the first line of their labels."""
    names = dict(re.findall(r'^ +(n\d+) \[label="([^"\\]*)', text, re.MULTILINE))
    arrows = re.findall(r" (n\d+) -> (n\d+)(?: \[(.*)\])?;", text)
    return {(names[tail], names[head], looks) for tail, head, looks in arrows if "invis" not in looks}


# Isolation


def test_the_outline_says_what_is_denied_by_default() -> None:
    text = reach(shop()).diagram().dot()
    thick = 'penwidth="2.2", color="#24292F"'
    lines = node_lines(text)
    assert thick in lines["front"]
    assert "dashed" not in lines["front"]
    assert f'{thick}, style="filled,dashed"' in lines["db"] or 'style="filled,dashed"' in lines["db"]
    assert 'style="filled,dotted"' in lines["batch"]
    assert "penwidth" not in lines["open"]
    legend = text.partition("cluster_legend")[2]
    for words in (
        "thick outline: denied by default both ways",
        "thick dashed outline: ingress denied by default",
        "thick dotted outline: egress denied by default",
        "thin outline: allowed by default",
    ):
        assert words in legend


def test_the_legend_of_outlines_lists_only_what_is_drawn() -> None:
    objects = [namespace("a"), workload("a", "x"), workload("a", "y"), policy("a", "deny", "", BOTH)]
    text = reach(objects).diagram().dot()
    assert "denied by default both ways" in text
    assert "allowed by default" not in text
    assert "ingress denied" not in text


def test_a_workload_some_of_whose_pods_are_isolated_says_so() -> None:
    selector = {"matchLabels": {"statefulset.kubernetes.io/pod-name": "db-0"}}
    one = policy("a", "first")
    one["spec"]["podSelector"] = selector
    text = reach([namespace("a"), workload("a", "db", "StatefulSet", 2), one]).diagram().dot()
    assert "some isolated for ingress" in text
    assert "penwidth" not in node_lines(text)["a/db"]


def admin_policy(action: str) -> Object:
    rule = {"name": "all", "action": action, "from": [{"namespaces": {}}]}
    spec = {"priority": 5, "subject": {"namespaces": {}}, "ingress": [rule]}
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": action.lower()},
        "spec": spec,
    }


def test_only_policies_whose_tier_denies_by_default_isolate() -> None:
    flows = gs.load(namespace("a"), workload("a", "x"), admin_policy("Deny")).flows
    assert [flows.universe.masks.count(flows.isolated(direction)) for direction in Direction] == [0, 0]
    objects = [namespace("a"), workload("a", "x"), workload("a", "y"), admin_policy("Deny"), policy("a", "x", "x")]
    flows = gs.load(*objects).flows
    [number] = flows.universe.masks.ids(flows.isolated(Direction.INGRESS)).tolist()
    [pod] = flows.universe.members[number].tolist()
    assert flows.endpoints.refs[pod].name == "x"
    assert flows.universe.masks.count(flows.isolated(Direction.EGRESS)) == 0


# Flows


def test_every_flow_of_a_small_world_is_an_arrow() -> None:
    text = reach(shop()).diagram().dot()
    arrows = drawn(text)
    assert ("front", "api", 'label="TCP 80"') in arrows
    assert ("api", "db", 'label="TCP 5432"') in arrows
    assert ("open", "batch", 'label="all ports"') in arrows
    assert not any("idle" in arrow[:2] for arrow in arrows)
    assert ("any IPv4 address", "batch", 'label="all ports"') in arrows


def test_what_is_equal_both_ways_is_one_arrow_with_two_heads() -> None:
    picture = reach(shop()).diagram()
    text = picture.dot()
    assert ("any IPv4 address", "open", 'label="all ports", dir="both"') in drawn(text)
    assert ("open", "any IPv4 address") not in {arrow[:2] for arrow in drawn(text)}
    assert "two heads: the same in both directions" in text
    assert '<-->|"all ports"|' in picture.mermaid()


def test_workloads_without_a_flow_are_told_and_drawn() -> None:
    picture = reach(shop()).diagram()
    assert "1 workload takes part in none of these flows" in picture.note
    assert "idle" in picture.dot()
    limited = reach(shop(), "shop/front").diagram()
    assert "takes part in none" not in limited.note
    nothing = reach(shop(), "shop/front", "shop/db").diagram()
    assert "2 workloads take part in none of these flows" in nothing.note
    assert {"front", "db"} <= node_lines(nothing.dot()).keys()


def test_what_is_only_possible_is_dashed_and_said() -> None:
    objects = [
        namespace("a"), workload("a", "x"), workload("a", "y"),
        policy("a", "x", "x", ("Egress",), egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
    ]  # fmt: skip
    text = reach(objects, "a/x").diagram().dot()
    assert ("x", "y", 'style="dashed", label="all ports"') in drawn(text)
    assert ("x", "10.0.0.0/8", 'label="all ports"') in drawn(text)
    assert "dashed: possible, the input leaves it open" in text
    assert "inert, dangling" not in text


def cidr(*texts: str) -> AddressSet:
    return AddressSet.union_of(map(AddressSet.cidr, texts))


@pytest.mark.parametrize(
    ("addresses", "text", "kind"),
    [
        (ALL_V4, "any IPv4 address", DrawnKind.INTERNET),
        (ALL_V6, "any IPv6 address", DrawnKind.INTERNET),
        (ALL_ADDRESSES, "any IPv4 address, any IPv6 address", DrawnKind.INTERNET),
        (INTERNET & ALL_V4, "any public IPv4 address", DrawnKind.INTERNET),
        (ALL_V4 - cidr("10.0.0.0/8"), "any IPv4 address but 10.0.0.0/8", DrawnKind.INTERNET),
        (cidr("10.0.0.0/8"), "10.0.0.0/8", DrawnKind.EXTERNAL),
        (cidr("10.1.2.3"), "10.1.2.3/32", DrawnKind.EXTERNAL),
        (cidr("10.0.0.0/8", "fd00::/8"), "10.0.0.0/8, fd00::/8", DrawnKind.EXTERNAL),
        (
            cidr("10.0.0.0/24", "10.0.2.0/24", "10.0.4.0/24", "10.0.6.0/24"),
            "10.0.0.0-10.0.0.255, 10.0.2.0-10.0.2.255 and 2 more",
            DrawnKind.EXTERNAL,
        ),
    ],
)
def test_addresses_in_words(addresses: AddressSet, text: str, kind: DrawnKind) -> None:
    assert addresses_text(addresses) == text
    assert addresses_vertex(addresses).kind is kind


@pytest.mark.parametrize(
    ("ports", "lines"),
    [
        (ALL_PORTS, ["all ports"]),
        (ALL_PORTS - PortSet.of("TCP", 22), ["all ports but TCP 22"]),
        (PortSet.of("TCP"), ["all TCP"]),
        (PortSet.of("TCP", 80, 443), ["TCP 80,443"]),
        (PortSet.of("TCP", 1, 3, 5, 7), ["TCP 1,3,5,7"]),
        (PortSet.of("TCP", 1, 3, (5, 6), 8, 10, 12), ["TCP 1,3,5-6,+3 more"]),
        (PortSet.of("TCP", 53) | PortSet.of("UDP", 53), ["TCP 53", "UDP 53"]),
        (ALL_PORTS - PortSet.of("TCP", 22) - PortSet.of("UDP", 53), ["all ports but TCP 22, UDP 53"]),
    ],
)
def test_ports_in_words(ports: PortSet, lines: list[str]) -> None:
    assert port_lines(ports) == lines


def test_ranges_of_one_end_with_the_same_traffic_are_one_box() -> None:
    block = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
    objects = [
        namespace("a"), workload("a", "x"),
        policy("a", "x", "x", BOTH, egress=[{"to": [block], "ports": tcp(443)}]),
    ]  # fmt: skip
    assert ("a/x", "any IPv4 address but 10.0.0.0/8", 'label="TCP 443"') in drawn(reach(objects).diagram().dot())


# Above the cap


def teams(count: int, size: int, *, closed: bool = True) -> list[Object]:
    """Equal namespaces whose workloads take TCP 80 from each other, all scraped on TCP 9090, all asking the DNS."""
    objects = [namespace("monitoring"), workload("monitoring", "prometheus"), namespace("dns"), workload("dns", "dns")]
    objects += [policy("monitoring", "deny", "", ("Ingress",)),
                policy("dns", "dns", ingress=[{"from": [{"namespaceSelector": {}}], "ports": tcp(53)}])]  # fmt: skip
    for number in range(count):
        name = f"team-{number:03}"
        objects += [namespace(name), *(workload(name, f"w{place}") for place in range(size))]
        if closed:
            objects.append(policy(name, "own", "", BOTH,
                ingress=[{"from": [{"podSelector": {}}], "ports": tcp(80)},
                         {"from": [space("monitoring")], "ports": tcp(9090)}],
                egress=[{"to": [{"podSelector": {}}]}, {"to": [space("dns")]}]))  # fmt: skip
    return objects


def test_above_the_cap_namespaces_are_drawn_and_equal_ones_folded() -> None:
    picture = reach(teams(12, 20)).diagram()
    assert picture.note.splitlines()[:3] == [
        "12 objects folded into 1 node; members have the same arrows",
        "too many for one picture: 242 workloads drawn as their 14 namespaces",
        "an arrow between namespaces stands for any of their workloads",
    ]
    text = picture.dot()
    line = node_lines(text)["12 Namespaces"]
    assert "240 workloads\\ninside: TCP 80" in line
    assert 'peripheries="2"' in line
    assert ("monitoring", "12 Namespaces", 'label="TCP 9090"') in drawn(text)
    assert ("12 Namespaces", "dns", 'label="TCP 53"') in drawn(text)
    assert not any(tail == head for tail, head, _ in drawn(text))


def test_the_fold_by_namespace_gives_the_same_picture() -> None:
    objects = teams(12, 20)
    by_workload, by_namespace = reach(objects).diagram(), reach(objects, fold="namespace").diagram()
    assert drawn(by_workload.dot()) == drawn(by_namespace.dot())
    assert node_lines(by_workload.dot()) == node_lines(by_namespace.dot())


def test_below_the_cap_workloads_stand_in_the_frames_of_their_namespaces() -> None:
    text = reach(teams(3, 4)).diagram(max_nodes=30).dot()
    assert "12 Namespaces" not in text
    assert "4 Workloads" in text


def test_ends_named_in_the_question_stay_apart() -> None:
    picture = reach(teams(40, 10), "monitoring/prometheus").diagram(max_nodes=20)
    assert ("monitoring/prometheus", "40 Namespaces", 'label="TCP 9090"') in drawn(picture.dot())


def half_open() -> list[Object]:
    """Many workloads without policies, and as many that take one port from one of these each."""
    objects = [namespace("open"), namespace("shut")]
    for number in range(12):
        objects += [workload("open", f"o{number}"), workload("shut", f"s{number}")]
        peer = {"namespaceSelector": {}, **app(f"o{number}")}
        objects.append(
            policy("shut", f"s{number}", f"s{number}", ingress=[{"from": [peer], "ports": tcp(1000 + number)}])
        )
    return objects


def test_arrows_that_the_outlines_imply_go_first_and_it_is_told() -> None:
    answer = reach(half_open())
    picture = answer.diagram(max_nodes=40)
    [note] = [line for line in picture.note.splitlines() if "not drawn" in line]
    hidden = re.fullmatch(r"not drawn: ([\d,]+) arrows for all ports between ends that both allow it by default", note)
    assert hidden is not None
    kept = {(tail, head) for tail, head, _ in drawn(picture.dot())}
    assert kept == {(f"o{number}", f"s{number}") for number in range(12)}
    assert int(hidden[1].replace(",", "")) + 12 == len({(flow.source, flow.destination) for flow in answer})
    assert "not drawn" not in answer.diagram(max_nodes=2_000).note


def irregular(seed: int, spaces: int, size: int) -> list[Object]:
    """Namespaces that take random ports from random others; some without policies."""
    mix = random.Random(seed)
    names = [f"ns-{number:03}" for number in range(spaces)]
    objects = []
    for name in names:
        objects += [namespace(name), *(workload(name, f"w{place}") for place in range(mix.randint(1, size)))]
        if mix.random() < 0.15:
            continue
        rules = [
            {"from": [space(other)], "ports": tcp(mix.choice((80, 443, 8080, 9090)))}
            for other in mix.sample(names, k=min(4, spaces))
        ]
        objects.append(policy(name, "some", "", mix.choice([("Ingress",), BOTH]), ingress=rules))
    return objects


@pytest.mark.parametrize("fold", ["workload", "namespace", "class"])
def test_every_fold_of_a_web_gets_readable(fold: Fold) -> None:
    picture = reach(irregular(1, 40, 12), fold=fold).diagram("namespace" if fold == "workload" else fold)
    assert not picture.overflow
    assert len(drawn(picture.dot())) <= 75


def test_without_folding_there_is_a_table_above_the_cap() -> None:
    picture = reach(teams(12, 20), fold="none").diagram("none")
    assert picture.overflow
    assert "to see it" in picture.dot()


def test_equal_input_draws_equal_pictures() -> None:
    objects = irregular(2, 12, 4)
    texts = set()
    for seed in range(4):
        random.Random(seed).shuffle(objects)
        picture = reach(objects).diagram()
        texts.add((picture.dot(), picture.mermaid()))
    assert len(texts) == 1


@st.composite
def webs(draw_: st.DrawFn) -> tuple[list[Vertex], list[Arrow]]:
    shares = st.sampled_from(list(Share))
    vertices = [
        Vertex(
            key=f"{number}",
            label=f"{number}",
            kind=draw_(st.sampled_from((DrawnKind.NAMESPACE, DrawnKind.WORKLOAD, DrawnKind.EXTERNAL))),
            group=draw_(st.sampled_from(("", "a", "b"))),
            isolation=draw_(st.none() | st.builds(Isolation, ingress=shares, egress=shares)),
            inner=draw_(st.sampled_from((PortSet(), ALL_PORTS))),
        )
        for number in range(draw_(st.integers(1, 20)))
    ]
    keys = st.sampled_from([vertex.key for vertex in vertices])
    ports = st.sampled_from([PortSet.of("TCP", port) for port in (1, 3, 5)])
    arrows = st.builds(Arrow, tail=keys, head=keys, ports=ports, style=st.sampled_from((Line.SOLID, Line.POSSIBLE)))
    return vertices, draw_(st.lists(arrows, max_size=60))


@settings(max_examples=100, deadline=None)
@given(webs(), st.sampled_from(("namespace", "class", "workload", "none")), st.integers(1, 30), st.integers(0, 30))
def test_folding_a_web_loses_no_flow(
    web: tuple[list[Vertex], list[Arrow]], fold: Fold, max_nodes: int, max_arrows: int
) -> None:
    vertices, arrows = web
    picture = draw(vertices, arrows, title="t", fold=fold, max_nodes=max_nodes, max_arrows=max_arrows)
    assert members(picture) == sorted(vertex.key for vertex in vertices)
    assert_no_arrow_lost(picture, arrows)
    place = {member.key: number for number, box in enumerate(picture.sheet.boxes) for member in box.members}
    ports = {(link.tail, link.head, link.style): link.ports for link in picture.sheet.links}
    for arrow in arrows:
        assert arrow.ports <= ports[place[arrow.tail], place[arrow.head], arrow.style]
    for box in picture.sheet.boxes:
        if not picture.sheet.lost:
            assert len({(member.isolation, member.inner) for member in box.members}) == 1


# Layout


def chains(count: int, length: int = 3) -> Diagram:
    vertices, arrows = [], []
    for number in range(count):
        chain = [
            Vertex(key=f"{number:03}/{place}", label=f"w{place}", kind=DrawnKind.WORKLOAD, group=f"ns-{number:03}")
            for place in range(length)
        ]
        vertices += chain
        arrows += [Arrow(tail=tail.key, head=head.key, label=f"{number}") for tail, head in pairwise(chain)]
    return draw(vertices, arrows, title="t", fold="none", max_nodes=1_000)


def test_parts_that_nothing_connects_stand_side_by_side() -> None:
    pairs = side_by_side(chains(30).sheet)
    assert pairs
    group = [box.group for box in chains(30).sheet.boxes]
    assert all(group[left] != group[right] for left, right in pairs)
    assert side_by_side(chains(1).sheet) == side_by_side(chains(2).sheet) == []


def aspect(text: str) -> float:
    done = subprocess.run(["dot", "-Tplain"], input=text.encode(), capture_output=True, check=True, timeout=60)
    _, _, width, height = done.stdout.decode().splitlines()[0].split()
    return max(float(width) / float(height), float(height) / float(width))


@needs_dot
def test_no_picture_is_a_strip() -> None:
    for picture in (chains(48), chains(120, 1), reach(teams(12, 20)).diagram(), reach(irregular(3, 60, 20)).diagram()):
        assert aspect(picture.dot()) <= 3.5


# One packet


def explain(objects: Iterable[Object], source: str, destination: str, port: int) -> Diagram:
    packet = CanReach(source=source, destination=destination, port=port)
    return ExplainFlow(packet=packet).answer(gs.load(*objects)).diagram()


DENIED = 'style="dotted", penwidth="1.8", arrowhead="tee", color="#24292F"'


def test_an_allowed_packet_shows_the_policies_of_both_sides() -> None:
    picture = explain(shop(), "shop/front", "shop/api", 80)
    text = picture.dot()
    assert "shop/front → shop/api TCP 80: allowed" in text
    assert {(tail, head) for tail, head, _ in drawn(text)} == {
        ("shop/front", "NetworkPolicy front"),
        ("NetworkPolicy front", "NetworkPolicy api"),
        ("NetworkPolicy api", "shop/api"),
    }
    assert 'label="egress[0]: allowed"' in text
    assert 'label="ingress[0]: allowed"' in text
    assert "tee" not in text


def test_a_denied_packet_is_blocked_where_it_is_denied() -> None:
    picture = explain(shop(), "shop/front", "shop/api", 443)
    text = picture.dot()
    assert "TCP 443: denied" in text
    arrows = drawn(text)
    assert ("NetworkPolicy front", "NetworkPolicy api", 'label="egress[0]: allowed"') in arrows
    assert (
        "NetworkPolicy api",
        "shop/api",
        f'{DENIED}, label="ingress: no rule matches, denied"',
    ) in arrows
    assert "dotted, blocked at its end: denied" in text
    assert "-.-x" in picture.mermaid()


def test_all_policies_that_isolate_are_named() -> None:
    text = explain([*shop(), policy("shop", "more", "api")], "shop/front", "shop/api", 443).dot()
    assert "2 Policies\\nNetworkPolicy api\\nNetworkPolicy more" in text


def test_a_side_without_policies_is_said_on_the_arrow() -> None:
    text = explain(shop(), "shop/open", "shop/batch", 80).dot()
    assert 'label="TCP 80\\negress: allowed, no policy\\ningress: allowed, no policy"' in text


def test_a_packet_that_no_policy_is_asked_about() -> None:
    text = explain([namespace("a"), workload("a", "x")], "a/x", "a/x", 80).dot()
    assert "a/x → a/x TCP 80: allowed" in text
    assert "1 ->" in text or "-> n1" in text


# Hostile names


def hostile_world() -> list[Object]:
    objects: list[Object] = []
    for number, name in enumerate(HOSTILE):
        space_name = f"{number:04}{name}"
        objects += [namespace(space_name), workload(space_name, name), policy(space_name, "deny", "", BOTH)]
    return objects


@needs_dot
def test_no_name_leaves_its_label() -> None:
    picture = reach(hostile_world()).diagram(max_nodes=10_000)
    done = subprocess.run(
        ["dot", "-Tdot_json"], input=picture.dot().encode(), capture_output=True, check=True, timeout=60
    )
    parsed = json.loads(done.stdout)
    boxes = [one for one in parsed["objects"] if re.fullmatch(r"n\d+", one["name"])]
    # Lone surrogates are no JSON, and nothing is called "".
    readable = [name for name in HOSTILE if name and not re.search("[\ud800-\udfff]", name)]
    assert len(boxes) == picture.nodes == len(readable) >= 300


def test_mermaid_of_flows_is_well_formed() -> None:
    objects = [*shop(), *hostile_world()[:60]]
    for picture in (
        reach(objects).diagram(),
        reach(objects, fold="namespace").diagram(),
        explain(objects, "shop/front", "shop/api", 443),
        explain(objects, "shop/open", "shop/batch", 80),
    ):
        for line in picture.mermaid().splitlines():
            assert MERMAID_LINE.fullmatch(line), line
