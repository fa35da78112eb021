"""`diff` on flows: what a change gains and loses, told with its rules; what only looks like a change is none."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import npguard
import pytest
from conftest import Graphsec
from flow_tables import Object, obj
from hypothesis import assume, given
from test_agreement import examples
from test_flow_agreement import ANY, BARE_WORLDS, WORLDS, clusters

import graphsec as gs
from graphsec.algebra.blocks import address_text, parse_address
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.compile import compare
from graphsec.compile.fold import MAX_PAIRS
from graphsec.query._ends import pod_label
from graphsec.query.can_reach import evidence_of
from graphsec.query.flow_diff import FlowDiff

#: Two Deployments without policies, and the policy that lets `web` ask `db`.
PLAIN = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}}}
"""
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: 5432}]
    - from: [{ipBlock: {cidr: 10.0.0.0/8}}]
      ports: [{port: 9187}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`old` without the policy and `new` with it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, texts in {"old": {"app": PLAIN}, "new": {"app": PLAIN, "policy": POLICY}}.items():
        (tmp_path / name).mkdir()
        for file, text in texts.items():
            (tmp_path / name / f"{file}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def load(objects: list[Object], cni: str = "upstream") -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects}, cni=cni)


def deployment(name: str, namespace: str = "shop", replicas: int = 1, **labels: str) -> Object:
    template = {"metadata": {"labels": labels or {"app": name}}, "spec": {"containers": [{"name": "c"}]}}
    return obj("Deployment", name, {"replicas": replicas, "template": template}, api="apps/v1", namespace=namespace)


def policy(name: str, spec: Object, namespace: str = "shop") -> Object:
    return obj("NetworkPolicy", name, spec, api="networking.k8s.io/v1", namespace=namespace)


def lines(changes: Any) -> list[str]:
    return [" ".join(change.row(wide=False)[:5]) for change in changes]


def told(old: list[Object], new: list[Object]) -> list[str]:
    return lines(gs.diff(load(old), load(new)))


# -- what changes -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
class TestOnePolicy:
    def test_lost_and_changed(self) -> None:
        assert lines(gs.diff(gs.load("old"), gs.load("new"))) == [
            "changed shop/web[Deployment] shop/db[Deployment] All Connections TCP 5432",
            "lost 0.0.0.0-9.255.255.255[External] shop/db[Deployment] All Connections No Connections",
            "changed 10.0.0.0-10.255.255.255[External] shop/db[Deployment] All Connections TCP 9187",
            "lost 11.0.0.0-255.255.255.255[External] shop/db[Deployment] All Connections No Connections",
        ]

    def test_back_again(self) -> None:
        """The same pairs, with the sides exchanged."""
        there, back = gs.diff(gs.load("old"), gs.load("new")), gs.diff(gs.load("new"), gs.load("old"))
        opposite = {"gained": "lost", "lost": "gained", "changed": "changed"}
        assert [(opposite[change.change], change.after, change.before) for change in there] == [
            (change.change, change.before, change.after) for change in back
        ]
        assert [change.gained for change in back] == [change.lost for change in there]

    def test_evidence(self) -> None:
        """The rules of the world that allows it, and what denies it in the other."""
        [change, *_] = gs.diff(gs.load("new"), gs.load("old"))
        # Whether `web` stands in the block of the other rule is not known (N-12d).
        known = PortSet.of("TCP", 5432, 9187)
        assert (change.change, change.gained, change.lost) == ("changed", ALL_PORTS - known, NO_PORTS)
        assert [str(found) for found in change.because] == [
            "egress: no egress policy selects shop/web",
            "ingress: no ingress policy selects shop/db",
        ]
        assert [(found.policy, str(found.source)) for found in change.denied_by] == [
            (gs.Ref("NetworkPolicy", "db", "shop"), "new/policy.yaml:1")
        ]

    def test_evidence_of_a_rule(self, folder: Path) -> None:
        other = POLICY.replace("port: 5432", "port: 5433")
        (folder / "old" / "policy.yaml").write_text(other, encoding="utf-8")
        [change] = gs.diff(gs.load("old"), gs.load("new"))
        assert [str(found.source) for found in change.because if found.source] == [
            "old/policy.yaml:7",
            "new/policy.yaml:7",
        ]
        assert change.row(wide=False)[5].startswith("old/policy.yaml:7; new/policy.yaml:7; denied by ")
        assert [found.policy for found in change.denied_by] == [gs.Ref("NetworkPolicy", "db", "shop")] * 2

    def test_only_rules_of_the_ports_that_differ(self, folder: Path) -> None:
        more = POLICY + "    - from: [{podSelector: {}}]\n      ports: [{port: 5433}]\n"
        (folder / "old" / "policy.yaml").write_text(POLICY, encoding="utf-8")
        (folder / "new" / "policy.yaml").write_text(more, encoding="utf-8")
        [change] = gs.diff(gs.load("old"), gs.load("new"))
        assert (str(change.before), str(change.after), str(change.gained)) == ("TCP 5432", "TCP 5432-5433", "TCP 5433")
        assert [str(found.source) for found in change.because if found.source] == ["new/policy.yaml:11"]

    def test_to_dict(self) -> None:
        change = gs.diff(gs.load("old"), gs.load("new")).to_dicts()[1]
        assert change["because"]
        assert change["deniedBy"][0]["source"] == {"file": "new/policy.yaml", "line": 1}
        del change["because"], change["deniedBy"]
        assert change == {
            "kind": "flow",
            "change": "lost",
            "source": "0.0.0.0-9.255.255.255[External]",
            "destination": "shop/db[Deployment]",
            "before": "All Connections",
            "after": "No Connections",
            "gained": "No Connections",
            "lost": "All Connections",
        }


WEB, DB = deployment("web"), deployment("db")
DENY = policy("deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def test_workloads_that_come_and_go() -> None:
    """As netpol-analyzer's `workloads-diff-info`."""
    found = list(gs.diff(load([WEB, DB]), load([WEB, deployment("cache"), deployment("queue")])))
    words = {(str(change.source), str(change.destination)): change.workloads for change in found}
    assert words["shop/web[Deployment]", "shop/cache[Deployment]"] == "workload shop/cache[Deployment] added"
    assert words["shop/web[Deployment]", "shop/db[Deployment]"] == "workload shop/db[Deployment] removed"
    assert (
        words["shop/cache[Deployment]", "shop/queue[Deployment]"]
        == "workload shop/cache[Deployment] and shop/queue[Deployment] added"
    )
    assert {change.change for change in found} == {"gained", "lost"}
    assert not any(change.denied_by for change in found)


def test_a_second_replica_reaches_the_first() -> None:
    """N-16d."""
    assert told([deployment("web")], [deployment("web", replicas=2)]) == [
        "gained shop/web[Deployment] shop/web[Deployment] No Connections All Connections"
    ]


def test_alone_in_its_group() -> None:
    """Several workloads without labels of their own, of which one is scaled: the others do not change."""
    many = [deployment(name, app="same") for name in "abc"]
    scaled = [*many[:2], deployment("c", replicas=3, app="same")]
    assert told(many, scaled) == ["gained shop/c[Deployment] shop/c[Deployment] No Connections All Connections"]


def ingress_from(*blocks: str) -> Object:
    peers = [{"ipBlock": {"cidr": block}} for block in blocks]
    return policy("db", {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": peers}]})


def test_ranges_are_cut_at_the_bounds_of_both_sides_and_joined_again() -> None:
    old = [DB, ingress_from("10.0.0.0/9", "10.128.0.0/9", "192.0.2.0/24")]
    new = [DB, ingress_from("10.0.0.0/8", "192.0.2.0/25")]
    assert told(old, new) == [
        "lost 192.0.2.128-192.0.2.255[External] shop/db[Deployment] All Connections No Connections"
    ]


def test_only_one_family_changes() -> None:
    """N-20: the old world has no IPv6 at all, so its flows are not known by family before they are compared."""
    pod = obj("Pod", "a", {"containers": [{"name": "c"}]}, api="v1", namespace="shop")
    pod["metadata"]["labels"] = {"app": "db"}
    old, new = [pod, WEB, ingress_from("0.0.0.0/0")], [pod, WEB, ingress_from("0.0.0.0/0", "::/0")]
    found = list(gs.diff(load(old), load(new)))
    assert [str(change.source) for change in found if change.source.addresses] == [
        "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff[External]"
    ]
    assert all(change.change == "gained" for change in found if change.source.addresses)
    assert list(gs.diff(load(new), load(new))) == []


def test_a_block_of_the_other_family_elsewhere_changes_nothing_else() -> None:
    """Pods at IPv4 addresses are not compared as if they had lost IPv6."""
    pods = []
    for number, name in enumerate("ab", start=1):
        pod = obj("Pod", name, {"containers": [{"name": "c"}]}, api="v1", namespace="shop")
        pod["status"] = {"podIP": f"10.0.0.{number}", "podIPs": [{"ip": f"10.0.0.{number}"}]}
        pods.append(pod)
    elsewhere = policy(
        "far", {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "2001:db8::/32"}}]}]}, "far"
    )
    assert told(pods, [*pods, elsewhere]) == []
    assert told([*pods, elsewhere], pods) == []


def test_possible_is_no_certain_change() -> None:
    """N-12d: whether the block holds the pod is not known."""
    db = policy(
        "db",
        {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    )
    [change] = [found for found in gs.diff(load([WEB, DB]), load([WEB, DB, db])) if found.source.ref]
    assert (change.change, str(change.before), str(change.after)) == ("changed", "All Connections", "No Connections")
    assert (change.possible_before, change.possible_after) == (NO_PORTS, ALL_PORTS)
    assert change.lost == NO_PORTS
    assert change.row(wide=False)[4] == "possible: All Connections"


def test_hosts_reach_the_pods_of_their_node() -> None:
    """N-15: a policy does not take that away, a move to another node does."""

    def pod(name: str, node: str, **spec: Any) -> Object:
        return obj("Pod", name, {"containers": [{"name": "c"}], "nodeName": node, **spec}, api="v1", namespace="shop")

    nodes = [obj("Node", name, api="v1") for name in ("n1", "n2")]
    agent = pod("agent", "n1", hostNetwork=True)
    old = [*nodes, agent, pod("a", "n1"), DENY]
    assert told(old, [*nodes, agent, pod("a", "n2"), DENY]) == [
        "lost shop/agent[Pod] shop/a[Pod] All Connections No Connections"
    ]
    [change] = gs.diff(load(old), load([*nodes, agent, pod("a", "n2"), DENY]))
    assert [found.reason for found in change.because] == ["a node always reaches the pods it hosts (N-15)"]


def test_from_a_controller_that_is_not_in_the_input() -> None:
    service = obj(
        "Service",
        "web",
        {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        api="v1",
        namespace="shop",
    )
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = obj("Ingress", "web", {"defaultBackend": backend}, api="networking.k8s.io/v1", namespace="shop")
    [change] = gs.diff(load([WEB, service]), load([WEB, service, ingress]))
    assert lines([change]) == ["gained {ingress-controller} shop/web[Deployment] No Connections TCP 8080"]
    assert [found.policy for found in change.because] == [gs.Ref("Ingress", "web", "shop")]
    assert "lost {ingress-controller} shop/web[Deployment] TCP 8080 No Connections" in told(
        [WEB, service, ingress], [WEB, service, ingress, DENY]
    )


# -- what is no change --------------------------------------------------------------------------------------------

SPLIT = [
    policy("one", {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 80}]}]}),
    policy("two", {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 81}]}]}),
]  # fmt: skip
WHOLE = policy(
    "whole",
    {
        "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}]},
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
                "ports": [{"port": 80, "endPort": 81, "protocol": "TCP"}],
            }
        ],
        "policyTypes": ["Ingress"],
    },
)


def relabelled(objects: list[Object], old: str, new: str) -> list[Object]:
    """With another key of a label, in labels and selectors alike."""
    made: list[Object] = json.loads(re.sub(rf'"{old}"(?=: "|, "operator")', f'"{new}"', json.dumps(objects)))
    return made


class TestRefactoring:
    def test_split_and_renamed(self) -> None:
        assert told([WEB, DB, WHOLE], [WEB, DB, *SPLIT]) == []

    def test_reordered(self) -> None:
        assert told([WEB, DB, *SPLIT], [*reversed(SPLIT), DB, WEB]) == []

    def test_labels_renamed(self) -> None:
        renamed = relabelled([WEB, DB, *SPLIT], "app", "name")
        assert "app" not in json.dumps(renamed).replace("apps/v1", "")
        assert told([WEB, DB, *SPLIT], renamed) == []

    def test_a_policy_that_repeats_another(self) -> None:
        assert told([WEB, DB, WHOLE], [WEB, DB, WHOLE, *SPLIT]) == []


@examples(30, given(BARE_WORLDS))
def test_self_diff_is_empty(objects: list[Object]) -> None:
    assert list(gs.diff(load(objects), load(copy.deepcopy(objects)))) == []


# -- against two maps ---------------------------------------------------------------------------------------------


Ports = tuple[PortSet, PortSet]
Ends = tuple[str, str]


def map_of(world: gs.World) -> dict[Ends, Ports]:
    """(certain, possible) ports of each pair that ``reach`` lists; of addresses outside for some that are in them."""
    return {ends: (flow.ports, flow.ports | flow.possible) for flow in gs.reach(world) for ends in named(flow)}


def named(flow: Any) -> Iterator[Ends]:
    sources, destinations = (
        [text for text in SAMPLES if parse_address(text) in end.addresses] if end.addresses else [str(end)]
        for end in (flow.source, flow.destination)
    )
    return product(sources, destinations)


#: IPv4 only: a map of a world without IPv6 does not list it.
SAMPLES = ("203.0.113.5", "8.8.8.8", "10.0.0.200", "10.0.0.1", "10.0.0.2", "10.0.0.3", "192.168.0.9", "200.0.0.1")


def changes_of(answer: Any) -> dict[Ends, tuple[Ports, Ports]]:
    """Those of both families together."""
    found = {
        ends: (
            (change.before, change.before | change.possible_before),
            (change.after, change.after | change.possible_after),
        )
        for change in answer
        for ends in named(change)
    }
    return {ends: sides for ends, sides in found.items() if sides[0] != sides[1]}


@examples(50, given(st.one_of(WORLDS, BARE_WORLDS), st.data()))
def test_the_difference_of_two_maps(objects: list[Object], data: st.DataObject) -> None:
    """Some objects taken out of a world: for each pair of ends the diff says what the two maps say."""
    kept = [found for found in objects if found["kind"] in ("Node", "Namespace") or data.draw(st.booleans())]
    assume(any(found["kind"] in ("Pod", "Deployment") for found in kept))
    old, new = load(objects), load(kept)
    before, after = map_of(old), map_of(new)
    nothing = (NO_PORTS, NO_PORTS)
    sides = {ends: (before.get(ends, nothing), after.get(ends, nothing)) for ends in before | after}
    # Addresses that pods hold are those pods, in one world or the other.
    held = {address_text(found) for world in (old, new) for found in world.flows.endpoints.pod_addresses}
    assert {ends: pair for ends, pair in changes_of(gs.diff(old, new)).items() if held.isdisjoint(ends)} == {
        ends: pair for ends, pair in sides.items() if pair[0] != pair[1] and held.isdisjoint(ends)
    }


@examples(40, given(ANY.flatmap(clusters)))
def test_what_denies_is_what_a_trace_finds(objects: list[Object]) -> None:
    """All policies gone, flows between pods are gained; what denied them is what explains each of them in the old world."""
    open_world = [found for found in objects if found["kind"] in ("Namespace", "Node", "Pod")]
    assume(any(found["kind"] == "Pod" for found in objects))
    old = load(objects)
    for change in gs.diff(old, load(open_world)):
        if change.source.ref and change.destination.ref and change.source != change.destination:
            protocol, port, _ = next(change.gained.ranges())
            ends = (pod_label(ref) for ref in (change.source.ref, change.destination.ref))
            decision = gs.can_reach(old, *ends, protocol=protocol, port=port)
            sides = [evidence_of(found) for found in decision.traces if found.verdict != "allow"]
            assert list(change.denied_by) == sides


# -- size ---------------------------------------------------------------------------------------------------------

#: More pairs than a map of workloads may have.
_MANY = int((MAX_PAIRS * 4) ** 0.5) + 100


@pytest.fixture(scope="module")
def open_cluster() -> list[Object]:
    return [deployment(f"d{number}", f"ns{number % 10}") for number in range(_MANY)]


class TestMany:
    def test_what_both_have_in_common_is_not_multiplied_out(self, open_cluster: list[Object]) -> None:
        with pytest.raises(gs.LimitError):
            gs.reach(load(open_cluster))
        assert list(gs.diff(load(open_cluster), load(open_cluster))) == []

    def test_one_change_among_them(self, open_cluster: list[Object]) -> None:
        isolated = policy("deny", {"podSelector": {"matchLabels": {"app": "d7"}}}, "ns7")
        found = gs.diff(load(open_cluster), load([*open_cluster, isolated]))
        # Every other workload, and the addresses outside.
        assert len(found) == _MANY
        assert {str(change.destination) for change in found} == {"ns7/d7[Deployment]"}

    def test_too_many_changes(self, open_cluster: list[Object], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compare, "MAX_CHANGES", 100)
        few = open_cluster[:30]
        denied = [policy("deny", {"podSelector": {}}, f"ns{number}") for number in range(10)]
        with pytest.raises(gs.LimitError, match="too many to list"):
            gs.diff(load(few), load([*few, *denied]))


# -- netpol-analyzer's pairs --------------------------------------------------------------------------------------

_EXPECTED = re.compile(
    r"diff-type: (\w+), source: (\S+), destination: (\S+), ref1: (.+?), ref2: (.+?)(?:, workloads-diff-info: (.+))?$"
)
_KINDS = {"gained": "added", "lost": "removed", "changed": "changed"}
_PAIRS = sorted(npguard.CORPUS.glob("test_outputs/diff/diff_between_semanticDiff*.txt"))


def inputs_of(path: Path) -> tuple[Path, Path]:
    new, _, old = path.stem.removeprefix("diff_between_").partition("_and_")
    return npguard.CORPUS / "tests" / old, npguard.CORPUS / "tests" / new


@pytest.mark.skipif(not _PAIRS, reason="the shared corpora are not beside this checkout")
@pytest.mark.parametrize("path", _PAIRS, ids=lambda path: path.stem.removeprefix("diff_between_"))
def test_semantic_diffs_of_netpol_analyzer(path: Path) -> None:
    """Equal line by line, ranges and all, where an input is read as that tool reads it (network.md §6.3)."""
    old, new = (npguard.compat(given) for given in inputs_of(path))
    found = {
        (
            _KINDS[change.change],
            str(change.source),
            str(change.destination),
            str(change.before),
            str(change.after),
            words(change.workloads),
        )
        for change in FlowDiff.between(old, new).answer(old, new)
        if change.source != change.destination
    }
    matches = map(_EXPECTED.match, path.read_text(encoding="utf-8").splitlines()[1:])
    assert found == {(*match.groups()[:5], words(match[6] or "")) for match in matches if match}


def words(text: str) -> frozenset[str]:
    """Of two workloads either may stand first."""
    return frozenset(text.split())


# -- the command line ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
class TestCommand:
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("diff old new", 1),
            ("diff old old", 0),
            ("diff old new --exit-zero", 0),
            ("diff old new -n shop", 1),
            ("diff old new -n elsewhere", 0),
            ("diff old new -o json -q", 1),
            ("diff old", 2),
            ("diff old new -f old", 2),
            ("diff old missing", 3),
        ],
    )
    def test_exit_code(self, graphsec: Graphsec, command: str, code: int) -> None:
        assert graphsec(command).code == code

    def test_table(self, graphsec: Graphsec) -> None:
        run = graphsec("diff old new")
        assert run.out.splitlines()[0].split() == ["CHANGE", "SOURCE", "DESTINATION", "BEFORE", "AFTER", "WHERE"]
        assert "now denied by new/policy.yaml:1" in run.out
        assert "4 changes: 0 gained, 2 lost, 2 changed" in run.err

    def test_markdown_for_a_pull_request(self, graphsec: Graphsec) -> None:
        out = graphsec("diff old new -o markdown").out
        assert out.startswith("### `diff old new`\n")
        assert out.count("\n| ") == 6

    def test_options_of_the_world_apply_to_both(self, graphsec: Graphsec) -> None:
        assert "CNI profile: calico" in graphsec("diff old new --cni calico").err

    def test_json(self, graphsec: Graphsec) -> None:
        envelope = json.loads(graphsec("diff old new -o json").out)
        assert envelope["question"] == {"ask": "diff", "command": "diff old new", "old": ["old"], "new": ["new"]}
        assert [item["change"] for item in envelope["items"]] == ["changed", "lost", "changed", "lost"]

    def test_standard_input(self, graphsec: Graphsec) -> None:
        assert graphsec("diff - old", stdin=PLAIN.encode()).code == 0


def test_needs_pods_on_both_sides() -> None:
    with pytest.raises(gs.InputError):
        gs.diff(load([WEB]), load([policy("deny", {"podSelector": {}})]))


def test_what_holds_of_one_world_is_said_of_it() -> None:
    answer = gs.diff(load([WEB, DENY]), load([WEB, deployment("web", "other"), DENY]))
    assert any(text.startswith("new: 2 namespaces") for text in answer.warnings)
    assert not answer.complete


class TestSinglePods:
    """R-05: what some pods of a workload gain is a change, though the workload could do it before."""

    DB = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: x}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: x, labels: {app: web}}
spec: {containers: [{name: web}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: x}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: x}
spec:
  podSelector: {matchLabels: {SELECTED}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
"""

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            ("POD: db-0", "app: db", [("gained", "x/db-1[Pod]")]),
            ("app: db", "POD: db-0", [("lost", "x/db-1[Pod]")]),
            ("POD: db-0", "POD: db-1", [("lost", "x/db-0[Pod]"), ("gained", "x/db-1[Pod]")]),
            ("POD: db-0", "POD: db-0", []),
        ],
    )
    def test_opened(self, tmp_path: Path, before: str, after: str, expected: list[tuple[str, str]]) -> None:
        worlds = []
        for name, selected in (("before", before), ("after", after)):
            path = tmp_path / f"{name}.yaml"
            label = selected.replace("POD", "statefulset.kubernetes.io/pod-name")
            path.write_text(self.DB.replace("SELECTED", label))
            worlds.append(gs.load(path))
        found = gs.diff(*worlds)
        assert [(change.change, str(change.destination)) for change in found] == expected
        assert {str(change.source) for change in found} <= {"x/web[Pod]"}
        assert all(change.because for change in found)
