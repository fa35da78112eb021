"""reach, can_reach and explain on small worlds: what ends mean, what is told, and what once was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Graphsec
from flow_tables import admin_policy, having, namespace, netpol, node, obj, pod

import graphsec as gs
from graphsec.query.can_reach import CanReach
from graphsec.query.explain_flow import text

Object = dict[str, Any]
SHOP = ROOT / "fixtures" / "shop"
V1 = "10.0.0.1"


def load(*objects: Object, **options: Any) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": list(objects)}, **options)


def lines(world: gs.World, source: str | None = None, destination: str | None = None, **options: Any) -> list[str]:
    return [flow.line() for flow in gs.reach(world, source, destination, **options)]


def workload(kind: str, name: str, replicas: int | None = None, **labels: str) -> Object:
    spec: Object = {"template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    return obj(kind, name, spec, api="apps/v1", namespace="x")


def at(name: str, *addresses: str, on: str = "", **spec: Any) -> Object:
    """A pod labelled with its name, at these addresses."""
    made = pod(f"x/{name}", labels={"app": name}, on=on, **spec)
    made["status"] = {"phase": "Running", "podIPs": [{"ip": address} for address in addresses]}
    return made


DENY = netpol("deny", "x", {}, policyTypes=["Ingress", "Egress"])
ISOLATED = netpol("closed", "x", {}, policyTypes=["Ingress"])


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("shop/frontend", {"shop/frontend[Deployment]"}),
        ("shop/frontend[Deployment]", {"shop/frontend[Deployment]"}),
        ("Deployment/shop/frontend", {"shop/frontend[Deployment]"}),
        ("shop/app=frontend", {"shop/frontend[Deployment]"}),
        ("shop/app=frontend,tier=web", set()),
        ("shop/*", {"shop/frontend[Deployment]", "shop/orders[Deployment]", "shop/postgres[StatefulSet]"}),
    ],
)
def test_ends(end: str, expected: set[str]) -> None:
    found = gs.reach(gs.load(SHOP), end, "kube-system/coredns", port=53)
    assert {str(flow.source) for flow in found if flow.ports} == expected


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("shop", "no end of a connection"),
        ("shop/fronted", r"did you mean `shop/frontend`\?"),
        ("shoop/frontend", r"unknown namespace `shoop` \(did you mean `shop`\?\)"),
        ("Node/n1", "unknown node"),
        ("10.0.0.1/33", "no CIDR"),
        ("fe80::%1", "no end|no CIDR"),
    ],
)
def test_ends_that_mean_nothing(end: str, message: str) -> None:
    with pytest.raises(gs.UsageError, match=message):
        gs.reach(gs.load(SHOP), end)


def test_a_name_of_two_workloads_is_ambiguous() -> None:
    world = load(workload("Deployment", "a", app="a"), workload("StatefulSet", "a", app="b"))
    with pytest.raises(gs.UsageError, match="several workloads"):
        gs.reach(world, "x/a")
    assert gs.can_reach(world, "x/a[Deployment]", "x/a[StatefulSet]", port=1)


@pytest.mark.parametrize("port", [0, 65536, "80", True, None, 80.0])
def test_what_is_no_port(port: Any) -> None:
    with pytest.raises(gs.UsageError, match="no port"):
        gs.can_reach(gs.load(SHOP), "shop/frontend", "shop/orders", port=port)


def test_workloads_without_pods_are_known() -> None:
    """Scaled to nothing, or finished: no, with the reason, and not an unknown name (N-18)."""
    job = {**pod("x/job-1"), "status": {"phase": "Failed"}}
    job["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "job", "controller": True}]
    world = load(
        workload("Deployment", "zero", 0, app="zero"),
        at("a", V1),
        job,
        obj("Job", "job", {}, api="batch/v1", namespace="x"),
    )
    for name, reason in (("zero", "no replicas"), ("job", "finished"), ("job-1", "finished")):
        decision = gs.can_reach(world, "x/a", f"x/{name}", port=80)
        assert decision.verdict == "no"
        assert reason in decision.reason
    assert any("2 workloads without pods" in note for note in gs.reach(world).notes)


def test_a_block_means_the_addresses_in_it_alone() -> None:
    """N-20: not the other family of a pod that it holds."""
    world = load(at("both", V1, "fd00::1"), at("six", "fd00::6"), at("four", "10.0.0.4"))
    for end in (V1, f"{V1}/32"):
        assert gs.can_reach(world, end, "x/six", port=80).verdict == "no"
        assert gs.can_reach(world, end, "x/four", port=80)
    assert lines(world, "10.0.0.0/28", "x/six") == []
    assert lines(world, "fd00::/64", "x/four") == []


def test_a_block_means_the_nodes_in_it() -> None:
    world = load(node("n1", ("InternalIP", "192.168.1.1")), at("a", V1, on="n1"), DENY)
    for end in ("192.168.1.1", "Node/n1", "192.168.1.1/32"):
        assert gs.can_reach(world, end, "x/a", port=80), end
    assert gs.can_reach(world, "192.168.1.0/24", "x/a", port=80).verdict == "conditional"


def test_replicas_of_a_template_are_several_pods() -> None:
    """N-16d."""
    only_b = netpol("a", "x", having(app="a"), ingress=[{"from": [{"podSelector": having(app="b")}]}])
    world = load(workload("Deployment", "a", 2, app="a"), workload("Deployment", "b", 2, app="b"), only_b)
    assert gs.can_reach(world, "x/*", "x/*", port=80).verdict == "conditional"
    assert gs.can_reach(world, "x/a", "x/a", port=80).verdict == "no"


# -- nodes ------------------------------------------------------------------------------------------------------------

NODES = (
    node("n1", ("InternalIP", "172.18.0.1")),
    node("n2", ("InternalIP", "172.18.0.2")),
    at("a", "10.0.0.1", on="n1"),
    at("b", "10.0.0.2", on="n2"),
    netpol("p", "x", {}, ingress=[{"from": [{"ipBlock": {"cidr": "172.18.0.2/32"}}], "ports": [{"port": 80}]}]),
)


def test_a_node_reaches_what_it_hosts_and_what_blocks_admit() -> None:
    """N-15, S-02."""
    world = load(*NODES)
    assert lines(world, "Node/n1") == ["Node/n1 => x/a[Pod] : All Connections"]
    assert lines(world, "Node/n2") == ["Node/n2 => x/a[Pod] : TCP 80", "Node/n2 => x/b[Pod] : All Connections"]
    assert lines(world, "172.18.0.2", "x/a") == ["Node/n2 => x/a[Pod] : TCP 80"]
    assert lines(load(*NODES, cni="cilium"), "Node/n2") == ["Node/n2 => x/b[Pod] : All Connections"]


def test_nodes_whose_labels_are_not_known_may_be_meant() -> None:
    """A-08: the hostNetwork pod's node is not in the input."""
    deny = admin_policy("p", 1, {"namespaces": {}}, egress=[{"action": "Deny", "to": [{"nodes": having(zone="e")}]}])
    host = at("host", "192.168.0.1", hostNetwork=True)
    world = load(namespace("x"), at("a", V1), host, deny)
    assert gs.can_reach(world, "x/a", "x/host", port=80).verdict == "unknown"


def test_where_the_node_is_not_known_only_what_policies_allow_is_certain() -> None:
    """N-15c."""
    admitted = netpol(
        "p",
        "x",
        having(app="a"),
        ingress=[{"from": [{"ipBlock": {"cidr": "192.168.0.1/32"}}], "ports": [{"port": 80}]}],
    )
    world = load(at("a", V1), at("host", "192.168.0.1", hostNetwork=True), admitted)
    assert gs.can_reach(world, "x/host", "x/a", port=80)
    assert gs.can_reach(world, "x/host", "x/a", port=81).verdict == "unknown"


# -- the map ----------------------------------------------------------------------------------------------------------


def test_addresses_of_pods_are_those_pods() -> None:
    """R-01: no line for the address beside that for the pod."""
    to_b = netpol(
        "p", "x", having(app="a"), policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.2/32"}}]}]
    )
    world = load(at("a", V1), at("b", "10.0.0.2"), to_b)
    assert lines(world, "x/a") == ["x/a[Pod] => x/b[Pod] : All Connections"]


def test_only_pods_that_were_asked_for_are_told() -> None:
    """Pods of one class are alike to policies, and not the same."""
    world = load(at("a", V1), pod("x/twin", labels={"app": "a"}), at("b", "10.0.0.2"))
    assert {line.split()[0] for line in lines(world, "x/a", "x/b")} == {"x/a[Pod]"}
    assert {line.split()[2] for line in lines(world, "x/b", "x/a")} == {"x/a[Pod]"}


def test_a_flow_of_some_pods_is_marked() -> None:
    """R-05."""
    first = netpol("p", "x", having(**{"statefulset.kubernetes.io/pod-name": "db-0"}), policyTypes=["Ingress"])
    world = load(workload("StatefulSet", "db", 3, app="db"), at("a", V1), first)
    [flow] = gs.reach(world, "x/a", "x/db[StatefulSet]")
    assert flow.partial
    assert gs.can_reach(world, "x/a", "x/db[StatefulSet]", port=80).verdict == "conditional"
    assert [str(found.destination) for found in gs.reach(world, "x/a", "x/db[StatefulSet]", fold="none")] == [
        "x/db-1[Pod]", "x/db-2[Pod]",
    ]  # fmt: skip


def test_many_replicas_are_told_apart_by_what_policies_name() -> None:
    first = netpol("p", "x", having(**{"apps.kubernetes.io/pod-index": "7"}), policyTypes=["Ingress"])
    world = load(workload("StatefulSet", "db", 2_000_000_000, app="db"), at("a", V1), first)
    assert len([ref for ref in world.flows.endpoints.refs if ref.name.startswith("db-")]) == 2
    assert gs.can_reach(world, "x/a", "x/db-7", port=80).verdict == "no"
    assert gs.can_reach(world, "x/a", "x/db[StatefulSet]", port=80).verdict == "conditional"


def test_a_map_too_large_to_list_is_refused_with_a_way_out() -> None:
    world = load(*(at(f"p{number}", f"10.{number >> 8}.{number & 255}.1") for number in range(2_100)))
    with pytest.raises(gs.LimitError, match="too many to list") as caught:
        gs.reach(world, fold="none")
    assert "--fold namespace" in caught.value.help
    assert len(gs.reach(world, fold="namespace")) == 3


def test_many_port_ranges() -> None:
    """More kinds of traffic than a machine word has bits."""
    ports = [{"port": number, "endPort": number + 1} for number in range(1, 1_000, 4)]
    world = load(at("a", V1), at("b", "10.0.0.2"), netpol("p", "x", having(app="b"), ingress=[{"ports": ports}]))
    [flow] = gs.reach(world, "x/a", "x/b")
    assert len(flow.ports) == 500
    assert [bool(gs.can_reach(world, "x/a", "x/b", port=port)) for port in (1, 2, 3, 997, 998, 999)] == [
        True,
        True,
        False,
    ] * 2


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "port", [{"containerPort": 70000}, {"containerPort": -5}, {"containerPort": 80, "protocol": "tcp"}]
)
def test_ports_that_the_api_server_refuses_are_left_out(port: Object) -> None:
    odd = obj("Pod", "odd", {"containers": [{"name": "c", "ports": [{"name": "http", **port}]}]}, namespace="x")
    named = netpol("p", "x", {}, ingress=[{"ports": [{"port": "http"}]}])
    world = load(odd, pod("x/good", "10.0.0.2", ports=["http=8080/TCP"]), named)
    answer = gs.reach(world, "x/odd", "x/good")
    assert [str(flow.ports) for flow in answer] == ["TCP 8080"]
    assert any("1 pod with ports that the API server refuses" in warning for warning in answer.warnings)


def test_a_misspelt_field_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\nspec:\n"
        "  podSelector: {}\n  ingress:\n  - form: [{podSelector: {}}]\n---\n"
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x}\nspec: {containers: []}\n"
    )
    world = gs.load(path)
    assert [(found.code, found.source.line) for found in world.diagnostics if found.source] == [("GS-IN-020", 1)]
    assert "form" in world.diagnostics[0].message
    answer = gs.reach(world)
    assert not answer.complete
    assert any("NetworkPolicy only in part" in warning for warning in answer.warnings)


# -- explain ----------------------------------------------------------------------------------------------------------


def explained(world: gs.World, source: str, destination: str, port: int) -> str:
    return "\n".join(text(CanReach(source=source, destination=destination, port=port).decide(world)))


def test_the_nearest_miss_is_the_line_to_edit() -> None:
    told = explained(gs.load(SHOP), "monitoring/prometheus", "shop/orders", 9100)
    assert told.splitlines()[0].endswith("TCP 9100: denied")
    nearest = next(line for line in told.splitlines() if "nearest miss" in line)
    assert "NetworkPolicy/shop/orders ingress[1]" in nearest
    assert "policies.yaml:42" in nearest
    assert "label app is `prometheus`, wanted app=promethius" in nearest


def test_a_policy_that_selects_no_pod_and_would_allow_it() -> None:
    typo = netpol("db", "x", having(app="databse"), ingress=[{"from": [{"podSelector": having(app="a")}]}])
    other = netpol("c", "x", having(app="c"), ingress=[{}])
    told = explained(
        load(at("a", V1), at("database", "10.0.0.2"), at("c", "10.0.0.3"), ISOLATED, typo, other),
        "x/a",
        "x/database",
        80,
    )
    assert "would allow it, but selects no pod: NetworkPolicy/x/db" in told
    assert "label app is `database`, wanted app=databse" in told
    assert "NetworkPolicy/x/c " not in told


def test_families_are_named() -> None:
    """N-20."""
    v4 = netpol("p", "x", having(app="b"), ingress=[{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}])
    world = load(at("a", V1, "fd00::1"), at("b", "10.0.0.2", "fd00::2"), v4)
    decision = gs.can_reach(world, "x/a", "x/b", port=80)
    assert (decision.verdict, decision.family) == ("allow", "IPv4 only")
    assert explained(world, "x/a", "x/b", 80).splitlines()[0].endswith("allowed, over IPv4 only")
    assert [flow.family for flow in gs.reach(world, "x/a", "x/b")] == ["IPv4 only"]


def test_blocks_are_told_as_policies_write_them() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    world = load(at("a", V1), netpol("p", "x", {}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}]}]))
    assert "10.1.2.3 is not in 10.0.0.0/8 except 10.1.0.0/16" in explained(world, "x/a", "10.1.2.3", 80)


def test_equal_priorities_that_disagree_are_unknown() -> None:
    """A-04, with three policies of which the first and the last agree."""
    policies = [
        admin_policy(f"p{number}", 5, {"namespaces": {}}, ingress=[{"action": action, "from": [{"namespaces": {}}]}])
        for number, action in enumerate(("Allow", "Deny", "Allow"))
    ]
    world = load(namespace("x"), at("a", V1), at("b", "10.0.0.2"), *policies)
    decision = gs.can_reach(world, "x/a", "x/b", port=80)
    assert decision.verdict == "unknown"
    assert "A-04" in decision.reason
    [flow] = gs.reach(world, "x/a", "x/b")
    assert (str(flow.ports), str(flow.possible)) == ("No Connections", "All Connections")


def test_json_names_verdict_sides_and_misses(graphsec: Graphsec) -> None:
    run = graphsec(f"explain monitoring/prometheus shop/orders --port 9100 -o json -f {SHOP}")
    assert run.code == 0
    for word in (
        '"verdict": "no"',
        '"sideVerdict": "deny"',
        '"peerMatches": "no"',
        '"portMatches": "yes"',
        '"decides": true',
    ):
        assert word in run.out


def test_a_refused_question_tells_what_could_not_be_read(graphsec: Graphsec, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("kind: Pod\nmetadata: {name: [}\n")
    run = graphsec(f"reach -f {path}")
    assert run.code == 3
    assert "GS-IN-001" in run.err
    assert "broken.yaml:2" in run.err
