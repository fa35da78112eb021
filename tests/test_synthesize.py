"""`policy synthesize`: the least policies that keep given flows, and nothing else, as compiling them proves."""

from __future__ import annotations

import copy
import json
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import yaml
from conftest import Graphsec
from flow_tables import Object, obj
from hypothesis import assume, given
from test_agreement import examples
from test_flow_agreement import BARE_WORLDS, WORLDS, clusters

import graphsec as gs
from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.query._flow_list import Wanted, external, read_flows
from graphsec.query._synthesis import dns_name

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
BOUTIQUE = CORPORA / "apps" / "online-boutique"
REAL = CORPORA / "dumps" / "real-cluster"
#: The texts of a flow's source and destination.
Ends = tuple[str, str]
needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason="the shared corpora are not beside this checkout")


def load(objects: list[Object], cni: str = "upstream") -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects}, cni=cni)


def deployment(name: str, namespace: str = "shop", /, *, replicas: int = 1, **labels: str) -> Object:
    return labelled(name, labels or {"app": name}, namespace, replicas=replicas)


def labelled(name: str, labels: dict[str, str], namespace: str = "shop", *, replicas: int = 1) -> Object:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}
    return obj("Deployment", name, {"replicas": replicas, "template": template}, api="apps/v1", namespace=namespace)


def service(name: str, port: int, target: int | str = 0, /, **spec: Any) -> Object:
    ports = [{"port": port, "targetPort": target or port}]
    return obj("Service", name, {"selector": {"app": name}, "ports": ports, **spec}, namespace="shop")


def flow(source: str, destination: str, ports: Any = "TCP 80") -> dict[str, Any]:
    return {"from": source, "to": destination, "ports": ports}


def replaced(objects: list[Object], synthesis: gs.Synthesis) -> list[Object]:
    """The objects with the synthesised policies in place of the NetworkPolicies."""
    others = [
        found for found in objects if (found["kind"], found["apiVersion"]) != ("NetworkPolicy", "networking.k8s.io/v1")
    ]
    return [*others, *(item.manifest for item in synthesis)]


def lines(world: gs.World) -> list[str]:
    return [found.line() for found in gs.reach(world)]


def specs(synthesis: gs.Synthesis) -> dict[str, Any]:
    return {item.ref.name: item.manifest["spec"] for item in synthesis}


APP = [deployment("web", replicas=2), deployment("api"), deployment("db"), deployment("job", "batch")]
NEEDED = [
    flow("shop/web", "shop/api", "TCP 8080"),
    flow("shop/api", "shop/db", 5432),
    flow("batch/job", "shop/db", 5432),
]


# -- what is written ----------------------------------------------------------------------------------------------


class TestPolicies:
    def test_one_for_each_workload(self) -> None:
        found = gs.synthesize(load(APP), NEEDED)
        assert found.exact
        assert [str(item.ref) for item in found] == [
            "NetworkPolicy/batch/job",
            "NetworkPolicy/shop/api",
            "NetworkPolicy/shop/db",
            "NetworkPolicy/shop/web",
        ]
        assert specs(found)["db"] == {
            "podSelector": {"matchLabels": {"app": "db"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [
                        {
                            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "batch"}},
                            "podSelector": {"matchLabels": {"app": "job"}},
                        },
                        {"podSelector": {"matchLabels": {"app": "api"}}},
                    ],
                    "ports": [{"protocol": "TCP", "port": 5432}],
                }
            ],
        }
        assert "ingress" not in specs(found)["web"]

    def test_exactly_those_flows_remain(self) -> None:
        world = load(replaced(APP, gs.synthesize(load(APP), NEEDED)))
        assert lines(world) == [
            "batch/job[Deployment] => shop/db[Deployment] : TCP 5432",
            "shop/api[Deployment] => shop/db[Deployment] : TCP 5432",
            "shop/web[Deployment] => shop/api[Deployment] : TCP 8080",
        ]

    def test_peers_with_equal_ports_share_a_rule(self) -> None:
        found = gs.synthesize(load(APP), [flow("shop/*", "shop/db", 5432)])
        [rule] = specs(found)["db"]["ingress"]
        assert rule["from"] == [
            {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "web"]}]}}
        ]

    def test_no_rule_for_ports_that_others_have_between_them(self) -> None:
        found = gs.synthesize(
            load(APP),
            [
                flow("shop/web", "shop/db", "TCP 1"),
                flow("shop/api", "shop/db", "TCP 2"),
                flow("batch/job", "shop/db", "TCP 1-2"),
            ],
        )
        assert found.exact
        assert len(specs(found)["db"]["ingress"]) == 2

    def test_a_workload_with_itself(self) -> None:
        """N-16d: two replicas are two pods; a single pod has no flow with itself to keep."""
        found = gs.synthesize(load(APP), [flow("shop/web", "shop/web"), flow("shop/api", "shop/api")])
        assert found.exact
        assert specs(found)["web"].keys() == {"podSelector", "policyTypes", "ingress", "egress"}
        assert specs(found)["api"].keys() == {"podSelector", "policyTypes"}

    @pytest.mark.parametrize(
        ("ports", "written"),
        [
            ("All Connections", None),
            ("TCP 1-65535", [{"protocol": "TCP"}]),
            ("TCP 80,443-445,UDP 53", [
                {"protocol": "TCP", "port": 80},
                {"protocol": "TCP", "port": 443, "endPort": 445},
                {"protocol": "UDP", "port": 53},
            ]),
        ],
    )  # fmt: skip
    def test_ports(self, ports: str, written: Any) -> None:
        found = gs.synthesize(load(APP), [flow("shop/web", "shop/db", ports)])
        assert found.exact
        assert specs(found)["db"]["ingress"][0].get("ports") == written

    @pytest.mark.parametrize(
        ("addresses", "blocks"),
        [
            ("0.0.0.0-255.255.255.255[External]", [{"cidr": "0.0.0.0/0"}]),
            ("10.0.0.0/8", [{"cidr": "10.0.0.0/8"}]),
            ("192.0.2.7", [{"cidr": "192.0.2.7/32"}]),
            ("10.0.0.0-10.0.0.2", [{"cidr": "10.0.0.0/31"}, {"cidr": "10.0.0.2/32"}]),
            ("0.0.0.0-9.255.255.255,11.0.0.0-255.255.255.255", [{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}]),
            ("2001:db8::/32", [{"cidr": "2001:db8::/32"}]),
        ],
    )
    def test_addresses(self, addresses: str, blocks: Any) -> None:
        found = gs.synthesize(load(APP), [flow(addresses, "shop/web")])
        assert found.exact
        assert [peer["ipBlock"] for peer in specs(found)["web"]["ingress"][0]["from"]] == blocks


class TestSelectors:
    def selectors(self, *workloads: Object) -> dict[str, Any]:
        found = gs.synthesize(load(list(workloads)), [])
        assert not [text for text in found.warnings if "no labels tell" in text]
        return {name: spec["podSelector"] for name, spec in specs(found).items()}

    def test_the_best_known_label(self) -> None:
        labels = {"zone": "z1", "app.kubernetes.io/name": "web", "pod-template-hash": "1"}
        other = {"zone": "z2", "app.kubernetes.io/name": "api", "pod-template-hash": "2"}
        assert self.selectors(labelled("a", labels), labelled("b", other)) == {
            "a": {"matchLabels": {"app.kubernetes.io/name": "web"}},
            "b": {"matchLabels": {"app.kubernetes.io/name": "api"}},
        }

    def test_two_labels_where_one_is_not_enough(self) -> None:
        found = self.selectors(
            deployment("a", app="x", tier="fe"),
            deployment("b", app="x", tier="be"),
            deployment("c", app="y", tier="fe"),
        )
        assert found["a"] == {"matchLabels": {"app": "x", "tier": "fe"}}

    def test_a_label_that_is_not_there(self) -> None:
        found = self.selectors(deployment("a", app="x"), deployment("b", app="x", track="canary"))
        assert found == {
            "a": {
                "matchLabels": {"app": "x"},
                "matchExpressions": [{"key": "track", "operator": "DoesNotExist"}],
            },
            "b": {"matchLabels": {"track": "canary"}},
        }

    def test_no_labels_at_all(self) -> None:
        bare = obj("Deployment", "a", {"template": {"spec": {"containers": []}}}, api="apps/v1", namespace="shop")
        assert self.selectors(bare) == {"a": {}}
        found = self.selectors(bare, deployment("b"))
        assert found["a"] == {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}

    def test_labels_of_a_revision_are_no_names(self) -> None:
        one, other = labelled("a", {"pod-template-hash": "1"}), labelled("b", {"pod-template-hash": "2"})
        found = gs.synthesize(load([one, other]), [])
        assert [item.workloads for item in found] == [
            (gs.Ref("Deployment", "a", "shop"), gs.Ref("Deployment", "b", "shop"))
        ]

    def test_workloads_that_no_labels_tell_apart(self) -> None:
        """They share a policy; that is exact only where their flows are equal."""
        same = [deployment("a", app="x"), deployment("b", app="x"), deployment("c")]
        alike = gs.synthesize(load(same), [flow("shop/c", "shop/a"), flow("shop/c", "shop/b")])
        assert alike.exact
        assert (
            "no labels tell these apart, so they share a policy: shop/a[Deployment], shop/b[Deployment]"
            in alike.warnings
        )
        unlike = gs.synthesize(load(same), [flow("shop/c", "shop/a")])
        assert [str(change.destination) for change in unlike.differences] == ["shop/b[Deployment]"]
        assert "shop/c[Deployment] => shop/b[Deployment] differs: allowed though not wanted: TCP 80" in unlike.warnings

    def test_one_sided_likeness(self) -> None:
        """The labels of `a` vary, so a selector of `a` finds `b`; one of `b` would not find `a`."""
        pods = []
        for number, labels in enumerate(({"app": "x"}, {"app": "x", "k": "1"})):
            pod = obj("Pod", f"a{number}", {"containers": []}, namespace="shop", labels=labels)
            pod["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "a", "controller": True}]
            pods.append(pod)
        other = obj("Pod", "b", {"containers": []}, namespace="shop", labels={"app": "x", "k": "2"})
        found = gs.synthesize(load([*pods, other]), [])
        assert [len(item.workloads) for item in found] == [2]


class TestNames:
    def test_kinds_apart(self) -> None:
        twins = [deployment("web"), {**deployment("web", app="other"), "kind": "StatefulSet"}]
        names = [item.ref.name for item in gs.synthesize(load(twins), [])]
        assert len(set(names)) == 2
        assert all(name.startswith("web-") for name in names)

    @pytest.mark.parametrize("name", ["web", "web-1"])
    def test_kept(self, name: str) -> None:
        assert dns_name(name) == name

    @pytest.mark.parametrize("name", ["web.v1", "Web_1", "x" * 250, "-", "ü"])
    def test_made_safe(self, name: str) -> None:
        made = dns_name(name)
        assert made == dns_name(name) != dns_name(name + "-")
        assert len(made) < 230
        assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert made[0] != "-" != made[-1]


# -- what cannot be exact -----------------------------------------------------------------------------------------


class TestInexact:
    def test_blocks_hold_pods(self) -> None:
        """S-01: a block for the internet also lets in pods that may send there; not so under Cilium."""
        wanted = [flow("shop/api", "internet"), flow("internet", "shop/web")]
        world = load(APP)
        found = gs.synthesize(world, wanted)
        assert [(str(change.source), str(change.destination)) for change in found.differences] == [
            ("shop/api[Deployment]", "shop/web[Deployment]")
        ]
        assert gs.synthesize(load(APP, cni="cilium"), wanted).exact

    def test_evidence_names_the_policies(self) -> None:
        found = gs.synthesize(load(APP), [flow("shop/api", "0.0.0.0/0"), flow("0.0.0.0/0", "shop/web")])
        [change] = found.differences
        assert {proof.policy for proof in change.because} == {
            gs.Ref("NetworkPolicy", "api", "shop"),
            gs.Ref("NetworkPolicy", "web", "shop"),
        }

    def test_host_network(self) -> None:
        """N-14b: known by the address of the node, so without it not at all."""
        agent = obj("Pod", "agent", {"containers": [], "hostNetwork": True, "nodeName": "n1"}, namespace="shop")
        wanted = [flow("shop/agent", "shop/db"), flow("shop/web", "shop/agent")]
        lost = gs.synthesize(load([*APP, agent]), wanted).differences
        assert {(str(change.source), str(change.destination)) for change in lost if change.change == "lost"} == {
            ("shop/agent[Pod]", "shop/db[Deployment]"),
            ("shop/web[Deployment]", "shop/agent[Pod]"),
        }
        node = {**obj("Node", "n1"), "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}]}}
        found = gs.synthesize(load([*APP, agent, node]), wanted)
        assert [peer for rule in specs(found)["db"]["ingress"] for peer in rule["from"]] == [
            {"ipBlock": {"cidr": "192.168.0.1/32"}}
        ]
        # Nobody limits what the node exchanges with the outside.
        assert {str(change.source) for change in found.differences if change.after != change.before} == {
            "0.0.0.0-192.168.0.0[External]",
            "192.168.0.2-255.255.255.255[External]",
            "shop/agent[Pod]",
        }

    def test_other_families_stay(self) -> None:
        """A ClusterNetworkPolicy that accepts is read before every NetworkPolicy (C-01)."""
        rule = {"action": "Accept", "name": "all", "from": [{"namespaces": {}}]}
        accept = obj(
            "ClusterNetworkPolicy",
            "accept",
            {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "ingress": [rule]},
            api="policy.networking.k8s.io/v1alpha2",
        )
        found = gs.synthesize(load([*APP, accept]), [flow("shop/api", "0.0.0.0/0")])
        assert not found.exact
        assert {str(change.source) for change in found.differences} == {"shop/api[Deployment]"}

    def test_a_controller_that_is_not_in_the_input(self) -> None:
        found = gs.synthesize(load(APP), [flow("{ingress-controller}", "shop/web")])
        assert not found.exact
        assert found.left_out_flows == (
            "{ingress-controller} => shop/web : TCP 80 has an end that is not in the input",
        )

    def test_pods_of_one_workload_that_policies_told_apart(self) -> None:
        owner: Object = {"ownerReferences": [{"kind": "Job", "name": "a", "controller": True}]}
        pods = [
            obj("Pod", f"a{n}", {"containers": []}, namespace="shop", labels={"app": "a", "n": str(n)}, **owner)
            for n in (0, 1)
        ]
        deny = {"podSelector": {"matchLabels": {"n": "0"}}}
        policy = obj("NetworkPolicy", "deny", deny, api="networking.k8s.io/v1", namespace="shop")
        world = load([*pods, *APP, policy])
        found = gs.synthesize(world, gs.reach(world, "shop/web", "shop/a[Job]"))
        assert not found.exact
        assert found.widened == ("Flows of some pods only become flows of all pods of 1 workload: shop/a[Job]",)
        assert "Flows of some pods only become flows of all pods of 1 workload: shop/a[Job]" in found.notes


# -- today's flows ------------------------------------------------------------------------------------------------

DNS = [
    labelled("coredns", {"k8s-app": "kube-dns"}, "kube-system"),
    obj("Service", "kube-dns", {"selector": {"k8s-app": "kube-dns"}, "ports": [{"port": 53, "protocol": "UDP"}]}, namespace="kube-system"),
]  # fmt: skip


class TestToday:
    def test_ports_that_services_lead_to(self) -> None:
        objects = [*APP, *DNS, service("db", 5432, 15432)]
        found = gs.synthesize(load(objects))
        assert found.exact
        kept = lines(load(replaced(objects, found)))
        assert {line.partition(" => ")[2] for line in kept} == {
            "shop/db[Deployment] : TCP 15432",
            "kube-system/coredns[Deployment] : TCP 53,UDP 53",
        }
        assert len(kept) == 4 + 4

    def test_from_where_it_can_be_reached_today(self) -> None:
        spec = {
            "podSelector": {"matchLabels": {"app": "db"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "api"}}}]}],
        }
        today = obj("NetworkPolicy", "db", spec, api="networking.k8s.io/v1", namespace="shop")
        objects = [*APP, *DNS, service("db", 5432), today]
        kept = lines(load(replaced(objects, gs.synthesize(load(objects)))))
        assert [line for line in kept if "shop/db" in line] == [
            "shop/api[Deployment] => shop/db[Deployment] : TCP 5432",
            *(line for line in kept if line.startswith("shop/db")),
        ]

    def test_dns_that_the_input_lacks(self) -> None:
        found = gs.synthesize(load(APP))
        assert specs(found)["db"]["egress"] == [
            {
                "to": [
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                    }
                ],
                "ports": [{"protocol": "TCP", "port": 53}, {"protocol": "UDP", "port": 53}],
            }
        ]
        assert any(note.startswith("No DNS pods in the input") for note in found.notes)
        # The pods that come later may be asked.
        later = load([*replaced(APP, found), labelled("coredns", {"k8s-app": "kube-dns"}, "kube-system")])
        assert gs.can_reach(later, "shop/db", "kube-system/coredns", protocol="UDP", port=53)

    def test_from_outside_through_a_load_balancer(self) -> None:
        only: Object = {"allocateLoadBalancerNodePorts": False, "externalTrafficPolicy": "Local"}
        ranges = ["192.0.2.0/24"]
        balanced = service("web", 80, 8080, type="LoadBalancer", loadBalancerSourceRanges=ranges, **only)
        objects = [*APP, *DNS, balanced, service("api", 80)]
        found = gs.synthesize(load(objects))
        assert found.exact
        outside = [line for line in lines(load(replaced(objects, found))) if "External" in line]
        assert outside == ["192.0.2.0-192.0.2.255[External] => shop/web[Deployment] : TCP 8080"]

    def test_from_nodes_after_source_nat(self) -> None:
        """X-02: policies may see the node instead of the client, so that its ranges do not limit the pods' senders."""
        balanced = service("web", 80, 8080, type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"])
        found = gs.synthesize(load([*APP, *DNS, balanced]))
        [rule] = [rule for rule in specs(found)["web"]["ingress"] if {"ipBlock": {"cidr": "0.0.0.0/0"}} in rule["from"]]
        assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]

    def test_an_ingress_whose_controller_is_not_in_the_input(self) -> None:
        backend = {"service": {"name": "web", "port": {"number": 80}}}
        ingress = obj("Ingress", "web", {"defaultBackend": backend}, api="networking.k8s.io/v1", namespace="shop")
        found = gs.synthesize(load([*APP, *DNS, service("web", 80), ingress]))
        assert not found.exact
        assert found.left_out_flows == (
            "Ingress/shop/web leads to shop/web[Deployment] : TCP 80, and its controller is not in the input",
        )


# -- lists of flows -----------------------------------------------------------------------------------------------

_TEXTS = {
    "connlist": "# what the shop needs\n\nshop/web[Deployment] => shop/db[Deployment] : TCP 5432\n192.0.2.0-192.0.2.255[External] => shop/web[Deployment] : All Connections\n",
    "list": "- from: shop/web\n  to: [shop/db]\n  ports: 5432\n- {from: 192.0.2.0/24, to: 'shop/app=web'}\n",
    "document": "---\n# needs\n- {from: shop/web, to: shop/db, ports: [5432]}\n- {from: 192.0.2.0/24, to: shop/web}\n",
    "mapping": "flows:\n- {from: shop/web, to: shop/db, ports: TCP 5432}\n- {from: 192.0.2.0/24, to: shop/web}\n",
}  # fmt: skip


class TestLists:
    @pytest.mark.parametrize("form", _TEXTS)
    def test_forms(self, tmp_path: Path, form: str) -> None:
        (tmp_path / "flows").write_text(_TEXTS[form], encoding="utf-8")
        world = load(APP)
        numbers = {ref.name: number for number, ref in enumerate(world.flows.endpoints.workloads)}
        assert read_flows(tmp_path / "flows", world.flows) == Wanted(
            {
                (numbers["web"], numbers["db"]): PortSet.of("TCP", 5432),
                (AddressSet.cidr("192.0.2.0/24"), numbers["web"]): ALL_PORTS,
            }
        )

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("shop/web => shop/db : TCP 80\nshop/web -> shop/db", "flows:2: no flow: `shop/web -> shop/db`"),
            ("shop/web => shop/db : TCP eighty", "flows:1: no ports: `TCP eighty`"),
            ("shop/wbe => shop/db : TCP 80", "did you mean `shop/web`?"),
            ("10.0.0.0/8 => 192.0.2.1 : TCP 80", "flows:1: neither end is in the cluster"),
            ("- {from: shop/web, to: shop/db, port: 80}", "flows: flow 1: a flow has `from`, `to` and `ports`"),
            ("- {from: 1, to: shop/db}", "flows: flow 1: an end is a text, or a list of texts"),
            ("- {from: shop/web, to: [}", "flows:1: "),
            ("shop: web", "flows:1: no list of flows"),
            ("- {from: shop/web, to: shop/app=none}", "no pod has this label"),
        ],
    )
    def test_without_meaning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
        monkeypatch.chdir(tmp_path)
        Path("flows").write_text(text, encoding="utf-8")
        with pytest.raises(gs.UsageError) as raised:
            gs.synthesize(load(APP), "flows")
        assert said in str(raised.value)

    def test_some_pods_of_a_workload(self) -> None:
        owner: Object = {"ownerReferences": [{"kind": "Job", "name": "a", "controller": True}]}
        pods = [obj("Pod", f"a{n}", {"containers": []}, namespace="shop", **owner) for n in (0, 1)]
        with pytest.raises(gs.UsageError, match="means some pods of Job/shop/a only"):
            gs.synthesize(load([*pods, *APP]), [flow("shop/a0", "shop/web")])

    def test_no_file(self) -> None:
        with pytest.raises(gs.InputError, match="cannot be read"):
            gs.synthesize(load(APP), "nowhere.txt")

    @pytest.mark.parametrize("text", ["shop/web", "10.0.0.0/33", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", "a,b"])
    def test_no_addresses(self, text: str) -> None:
        assert external(text) is None


# -- the identity -------------------------------------------------------------------------------------------------


def certain(world: gs.World, but: AbstractSet[Ends] = frozenset()) -> dict[Ends, PortSet]:
    """What the world certainly allows, without some pairs."""
    found = {(str(each.source), str(each.destination)): each.ports for each in gs.reach(world) if each.ports}
    return {ends: ports for ends, ports in found.items() if ends not in but}


def hosts_of(objects: list[Object]) -> list[Object]:
    return [found for found in objects if (found.get("spec") or {}).get("hostNetwork")]


def decided_by_none(objects: list[Object]) -> set[Ends]:
    """A host-network pod and the pods of its node (N-15)."""
    pods = [found for found in objects if found["kind"] == "Pod"]
    return {
        (label(host), label(pod))
        for host in hosts_of(objects)
        for pod in pods
        if pod["spec"]["nodeName"] == host["spec"]["nodeName"]
    }


def label(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}[Pod]"


def as_told(objects: list[Object]) -> list[Object]:
    """Without host-network pods, and with a label of its own for each of the others."""
    kept = [found for found in copy.deepcopy(objects) if found not in hosts_of(objects)]
    for found in kept:
        inner = found["spec"]["template"] if found["kind"] == "Deployment" else found
        if found["kind"] in ("Pod", "Deployment"):
            inner["metadata"]["labels"]["self"] = found["metadata"]["name"]
    return kept


NETWORK = st.tuples(st.booleans(), st.booleans()).flatmap(
    lambda kind: clusters("network", dual=kind[0], unplaced=kind[1])
)


@examples(40, given(NETWORK, st.data()))
def test_synthesize_then_recompile_is_the_identity(objects: list[Object], data: st.DataObject) -> None:
    """Any part of what a world allows, between pods and from outside."""
    objects = as_told(objects)
    assume(any(found["kind"] in ("Pod", "Deployment") for found in objects))
    world = load(objects)
    wanted = [found for found in gs.reach(world) if found.destination.ref and data.draw(st.booleans())]
    found = gs.synthesize(world, wanted)
    assert (found.exact, list(found.differences)) == (True, [])
    again = load(replaced(objects, found))
    assert certain(again) == {(str(each.source), str(each.destination)): each.ports for each in wanted if each.ports}


@examples(25, given(st.one_of(WORLDS, BARE_WORLDS), st.data()))
def test_what_is_named_is_what_differs(objects: list[Object], data: st.DataObject) -> None:
    """Any part of any world, where policies of other families and the network of nodes leave more than is wanted."""
    assume(any(found["kind"] in ("Pod", "Deployment") for found in objects))
    world, apart = load(objects), decided_by_none(objects)
    wanted = [found for found in gs.reach(world) if data.draw(st.booleans())]
    found = gs.synthesize(world, wanted)
    have = certain(load(replaced(objects, found)), apart)
    want = {(str(each.source), str(each.destination)): each.ports for each in wanted if each.ports}
    inside = {ends for ends in {*have, *want} if not any("[External]" in end for end in ends)} - apart
    named = {(str(change.source), str(change.destination)): change for change in found.differences}
    assert {ends for ends in inside if have.get(ends) != want.get(ends)} <= named.keys()
    for ends, change in named.items():
        if ends in inside:
            assert (change.before, change.after) == (want.get(ends, NO_PORTS), have.get(ends, NO_PORTS))
        assert change.before != change.after or change.possible_after


# -- real inputs --------------------------------------------------------------------------------------------------


@needs_corpora
class TestReal:
    def test_online_boutique_without_policies(self) -> None:
        """Whole, from what its Services lead to; and only what its own policies allow, which are taken for the list."""
        manifests = str(BOUTIQUE / "kubernetes-manifests")
        world = gs.load(manifests)
        found = gs.synthesize(world)
        assert found.exact
        assert len(found) == len([ref for ref in world.flows.endpoints.workloads if ref.kind == "Deployment"]) == 12
        again = gs.load(manifests, *(item.manifest for item in found))
        assert lines_of(again, "0.0.0.0-255.255.255.255[External]") == [
            "0.0.0.0-255.255.255.255[External] => default/frontend[Deployment] : TCP 8080"
        ]
        assert len(list(gs.reach(again))) == 11 * 11 + 1

    def test_online_boutique_as_its_policies_have_it(self) -> None:
        component = BOUTIQUE / "kustomize" / "components" / "network-policies"
        policies = sorted(map(str, component.glob("network-policy-*.yaml")))
        world = gs.load(str(BOUTIQUE / "kubernetes-manifests"), *policies)
        wanted = [found for found in gs.reach(world) if found.destination.ref]
        found = gs.synthesize(world, wanted)
        assert found.exact
        again = gs.load(str(BOUTIQUE / "kubernetes-manifests"), *(item.manifest for item in found))
        assert lines(again) == [each.line() for each in wanted]

    def test_real_cluster(self) -> None:
        world = gs.load(str(REAL))
        for wanted in (gs.reach(world), None):
            found = gs.synthesize(world, wanted)
            assert found.differences == ()
            # An Ingress's controller is not in it.
            assert len(found.left_out_flows) == 1


def lines_of(world: gs.World, source: str) -> list[str]:
    return [line for line in lines(world) if line.startswith(f"{source} => ")]


# -- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": APP}), encoding="utf-8")
    (tmp_path / "exact.txt").write_text("shop/web => shop/db : TCP 5432\n", encoding="utf-8")
    both = "shop/web => 0.0.0.0/0 : TCP 80\n0.0.0.0/0 => shop/db : TCP 80\n"
    (tmp_path / "inexact.txt").write_text(both, encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestCommand:
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("policy synthesize -f app.json", 0),
            ("policy synthesize -f app.json --flows exact.txt", 0),
            ("policy synthesize -f app.json --flows inexact.txt", 1),
            ("policy synthesize -f app.json --flows inexact.txt --exit-zero", 0),
            ("policy synthesize -f app.json --flows app.json", 2),
            ("policy synthesize -f app.json --flows none.txt", 3),
        ],
    )
    def test_exit_code(self, graphsec: Graphsec, command: str, code: int) -> None:
        assert graphsec(command).code == code

    def test_yaml_that_can_be_applied(self, graphsec: Graphsec) -> None:
        """Read back beside the application it gives the flows of the list."""
        run = graphsec("policy synthesize -f app.json --flows exact.txt")
        documents = list(yaml.safe_load_all(run.out))
        assert {found["kind"] for found in documents} == {"NetworkPolicy"}
        Path("policies.yaml").write_text(run.out, encoding="utf-8")
        assert graphsec("reach -f app.json -f policies.yaml -o connlist").out == (
            "shop/web[Deployment] => shop/db[Deployment] : TCP 5432\n"
        )
        assert "4 policies, 0 differences" in run.err
        assert "Verified" in run.err

    def test_the_difference_is_named(self, graphsec: Graphsec) -> None:
        err = graphsec("policy synthesize -f app.json --flows inexact.txt").err
        assert "shop/web[Deployment] => shop/db[Deployment] differs: allowed though not wanted: TCP 80" in err
        assert "Verified" not in err

    def test_one_namespace(self, graphsec: Graphsec) -> None:
        run = graphsec("policy synthesize -f app.json --flows exact.txt -n batch")
        assert [found["metadata"]["name"] for found in yaml.safe_load_all(run.out)] == ["job"]

    def test_json(self, graphsec: Graphsec) -> None:
        envelope = json.loads(graphsec("policy synthesize -f app.json --flows exact.txt -o json").out)
        assert envelope["question"]["command"] == "policy synthesize --flows exact.txt"
        assert envelope["items"][0]["policy"] == "NetworkPolicy/batch/job"
        assert envelope["items"][0]["manifest"]["kind"] == "NetworkPolicy"

    def test_table(self, graphsec: Graphsec) -> None:
        out = graphsec("policy synthesize -f app.json --flows exact.txt -o wide").out
        assert out.splitlines()[0].split() == ["POLICY", "WORKLOADS", "INGRESS", "EGRESS"]
        assert "1 rule" in out

    def test_a_connection_list_goes_round(self, graphsec: Graphsec) -> None:
        Path("flows.txt").write_text(graphsec("reach -f app.json -o connlist").out, encoding="utf-8")
        assert graphsec("policy synthesize -f app.json --flows flows.txt").code == 0
