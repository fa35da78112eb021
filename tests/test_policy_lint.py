"""`policy lint`: each check finds what it is for in a small world, and finds it no more after the edit that it asks for."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import graphsec as gs
from graphsec.cli import main
from graphsec.query.policy_lint import CHECKS, SEVERITIES, PolicyFinding

ROOT = Path(__file__).parent.parent
APPS = ROOT.parent / "shared" / "corpora" / "apps"


def workload(name: str, namespace: str = "shop", ports: str = "", spec: str = "", labels: str = "") -> str:
    """A Deployment of one replica, labelled `app: NAME`; ``labels`` are further ones."""
    return f"""\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{labels}}}}}
    spec: {{{spec}containers: [{{name: main, image: {name}, ports: [{ports}]}}]}}
"""


def pod(name: str, address: str, namespace: str = "shop") -> str:
    return f"""\
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec: {{containers: [{{name: main, image: {name}}}]}}
status: {{phase: Running, podIP: {address}}}
"""


def policy(name: str, spec: str, namespace: str = "shop") -> str:
    return f"""\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}}}
"""


def admin(name: str, priority: int, rules: str) -> str:
    return f"""\
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {{name: {name}}}
spec: {{priority: {priority}, subject: {{namespaces: {{}}}}, {rules}}}
"""


def service(spec: str) -> str:
    return f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec: {{{spec}}}\n"


NAMESPACES = "".join(f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n" for name in ("shop", "ops"))
WEB, API = workload("web", ports="{containerPort: 8080, name: http}"), workload("api")
TWO = NAMESPACES + WEB + API
FROM_API = "ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]"
WEB_ONLY = "podSelector: {matchLabels: {app: web}}"
DNS = workload("coredns", "kube-system", "{containerPort: 53, protocol: UDP, name: dns}", labels=", k8s-app: kube-dns")
IN_SHOP = "kubernetes.io/metadata.name: shop"
TO_API = "to: [{podSelector: {matchLabels: {app: api}}}]"


@dataclass(frozen=True, kw_only=True)
class Case:
    """``says`` is all of the message, or a part of it that no other finding has; ``edit`` makes the finding vanish."""

    id: str
    world: str
    ref: str
    place: str
    says: str
    edit: tuple[str, str]
    severity: str = "medium"


CASES = {
    "a wrong value": Case(
        id="NP-L01",
        world=TWO + policy("p", "podSelector: {matchLabels: {app: wep}}"),
        ref="NetworkPolicy/shop/p",
        place="",
        says="no pod in namespace shop has app=wep (did you mean `app=web`?)",
        edit=("app: wep", "app: web"),
    ),
    "a wrong key": Case(
        id="NP-L01",
        world=TWO + policy("p", "podSelector: {matchLabels: {name: web}}"),
        ref="NetworkPolicy/shop/p",
        place="",
        says="no pod in namespace shop has name=web (did you mean `app=web`?)",
        edit=("{name: web}", "{app: web}"),
    ),
    "labels of different pods": Case(
        id="NP-L01",
        world=TWO
        + workload("db", labels=", tier: back")
        + policy("p", "podSelector: {matchLabels: {app: web, tier: back}}"),
        ref="NetworkPolicy/shop/p",
        place="",
        says="no pod in namespace shop has all of app=web,tier=back; shop/db comes closest and fails app=web",
        edit=("app: web, tier", "app: db, tier"),
    ),
    "a policy in the wrong namespace": Case(
        id="NP-L01",
        world=TWO + workload("tool", "ops") + policy("p", WEB_ONLY, "ops"),
        ref="NetworkPolicy/ops/p",
        place="",
        says="no pod in namespace ops has app=web; the values of app are tool; such pods are in shop, "
        "a podSelector alone means the policy's own namespace (N-06c)",
        edit=("name: p, namespace: ops", "name: p, namespace: shop"),
    ),
    "only what is scaled to nothing": Case(
        id="NP-L01",
        world=TWO.replace(
            "kind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n",
            "kind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  replicas: 0\n",
        )
        + policy("p", WEB_ONLY),
        ref="NetworkPolicy/shop/p",
        place="",
        says="selects only what has no running pod: shop/web[Deployment]",
        edit=("replicas: 0", "replicas: 1"),
        severity="info",
    ),
    "a namespace that is misspelt": Case(
        id="NP-L02",
        world=TWO + policy("p", "podSelector: {}", "shops"),
        ref="NetworkPolicy/shops/p",
        place="",
        says="no pod of the input is in namespace shops (did you mean `shop`?)",
        edit=("namespace: shops", "namespace: shop"),
    ),
    "a namespace without pods": Case(
        id="NP-L02",
        world=TWO + policy("p", "podSelector: {}", "ops"),
        ref="NetworkPolicy/ops/p",
        place="",
        says="no pod of the input is in namespace ops",
        edit=("name: p, namespace: ops", "name: p, namespace: shop"),
        severity="low",
    ),
    "a peer with a wrong value": Case(
        id="NP-L03",
        world=TWO + policy("p", f"{WEB_ONLY}, {FROM_API.replace('api', 'apis')}"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0].from[0]",
        says="no pod in namespace shop has app=apis (did you mean `app=api`?)",
        edit=("app: apis", "app: api"),
    ),
    "a peer in a namespace that is not there": Case(
        id="NP-L03",
        world=TWO
        + policy(
            "p",
            "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: "
            "{kubernetes.io/metadata.name: billing}}}]}]",
        ),
        ref="NetworkPolicy/shop/p",
        place="ingress[0].from[0]",
        says="no namespace in the input has kubernetes.io/metadata.name=billing",
        edit=("metadata.name: billing", "metadata.name: shop"),
        severity="low",
    ),
    "a peer in a namespace that is misspelt": Case(
        id="NP-L03",
        world=TWO
        + policy(
            "p",
            "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: "
            "{kubernetes.io/metadata.name: shpo}}}]}]",
        ),
        ref="NetworkPolicy/shop/p",
        place="ingress[0].from[0]",
        says="no namespace in the input has kubernetes.io/metadata.name=shpo (did you mean `kubernetes.io/metadata.name=shop`?)",
        edit=("metadata.name: shpo", "metadata.name: shop"),
    ),
    "one of two peers": Case(
        id="NP-L03",
        world=TWO
        + policy(
            "p",
            "podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}, "
            "{podSelector: {matchLabels: {app: job}}}]}]",
        ),
        ref="NetworkPolicy/shop/p",
        place="ingress[0].from[1]",
        says="no pod in namespace shop has app=job; the values of app are api, web (other peers of the rule match)",
        edit=("app: job", "app: web"),
    ),
    "a peer on the host network": Case(
        id="NP-L03",
        world=NAMESPACES + WEB + workload("api", spec="hostNetwork: true, ") + policy("p", f"{WEB_ONLY}, {FROM_API}"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0].from[0]",
        says="those in namespace shop with app=api are on the host network, where selectors find no pod (N-14)",
        edit=("hostNetwork: true, ", ""),
    ),
    "the other side is closed": Case(
        id="NP-L04",
        world=TWO
        + policy("in", f"{WEB_ONLY}, {FROM_API}")
        + policy("out", "podSelector: {matchLabels: {app: api}}, policyTypes: [Egress]"),
        ref="NetworkPolicy/shop/in",
        place="ingress[0]",
        says="shop/api[Deployment] may not send this: isolated for egress by NetworkPolicy/shop/out, where no rule allows it",
        edit=(
            "policyTypes: [Egress]",
            "policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]",
        ),
    ),
    "the other side denies it by a tier": Case(
        id="NP-L04",
        world=TWO
        + policy("in", f"{WEB_ONLY}, {FROM_API}")
        + admin("out", 1, "egress: [{name: none, action: Deny, to: [{namespaces: {}}]}]"),
        ref="NetworkPolicy/shop/in",
        place="ingress[0]",
        says="shop/api[Deployment] may not send this: isolated for egress by AdminNetworkPolicy/out, where no rule allows it",
        edit=("action: Deny", "action: Allow"),
    ),
    "a rule in a rule of another policy": Case(
        id="NP-L05",
        world=TWO
        + policy("narrow", f"{WEB_ONLY}, ingress: [{{from: [{{podSelector: {{}}}}], ports: [{{port: 8080}}]}}]")
        + policy("wide", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"),
        ref="NetworkPolicy/shop/narrow",
        place="ingress[0]",
        says="NetworkPolicy/shop/wide ingress[0] (WORLD:36) allows all of it",
        edit=("name: wide, namespace: shop", "name: wide, namespace: ops"),
        severity="low",
    ),
    "the same rule twice": Case(
        id="NP-L05",
        world=TWO + policy("p", f"{WEB_ONLY}, ingress: [{{ports: [{{port: 80}}]}}, {{ports: [{{port: 80}}]}}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress[1]",
        says="NetworkPolicy/shop/p ingress[0] (WORLD:31) allows all of it",
        edit=("{port: 80}]}]", "{port: 81}]}]"),
        severity="low",
    ),
    "behind a rule of the same policy": Case(
        id="NP-L06",
        world=TWO
        + admin(
            "a",
            1,
            "ingress: [{name: d, action: Deny, from: [{namespaces: {}}]}, {name: a, action: Allow, from: [{pods: "
            "{namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}]}]",
        ),
        ref="AdminNetworkPolicy/a",
        place="ingress[1]",
        says="AdminNetworkPolicy/a ingress[0] (WORLD:31) denies all of it before",
        edit=("action: Deny, from: [{namespaces: {}}]", "action: Deny, from: [{namespaces: {matchLabels: {x: y}}}]"),
    ),
    "a NetworkPolicy behind an admin tier": Case(
        id="NP-L06",
        world=TWO
        + admin("a", 1, "ingress: [{name: d, action: Deny, from: [{namespaces: {}}]}]")
        + policy("p", f"{WEB_ONLY}, {FROM_API}"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0]",
        says="AdminNetworkPolicy/a ingress[0] (WORLD:31) denies all of it before",
        edit=("action: Deny", "action: Pass"),
    ),
    "two rules together": Case(
        id="NP-L06",
        world=TWO
        + admin(
            "a",
            1,
            "egress: [{name: one, action: Allow, to: [{namespaces: {}}], ports: [{portRange: {start: 1, end: 99}}]}, "
            "{name: two, action: Deny, to: [{namespaces: {}}], ports: [{portRange: {start: 100, end: 65535}}]}, "
            "{name: three, action: Deny, to: [{namespaces: {}}], ports: [{portRange: {start: 90, end: 110}}]}]",
        ),
        ref="AdminNetworkPolicy/a",
        place="egress[2]",
        says="AdminNetworkPolicy/a egress[0] (WORLD:31) and other rules decide all of it before",
        edit=("start: 100", "start: 101"),
    ),
    "a baseline that nothing comes to": Case(
        id="NP-L06",
        world=TWO
        + admin("default", 1, "ingress: [{name: d, action: Deny, from: [{namespaces: {}}]}]")
        .replace("kind: Admin", "kind: BaselineAdmin")
        .replace("priority: 1, subject: {namespaces: {}}", f"subject: {{namespaces: {{matchLabels: {{{IN_SHOP}}}}}}}")
        + policy("p", "podSelector: {}, policyTypes: [Ingress]"),
        ref="BaselineAdminNetworkPolicy/default",
        place="ingress[0]",
        says="an earlier tier isolates every pod that it selects",
        edit=("podSelector: {}", WEB_ONLY),
        severity="info",
    ),
    "equal priorities": Case(
        id="NP-L07",
        world=TWO
        + admin("a", 5, "ingress: [{name: d, action: Deny, from: [{namespaces: {}}]}]")
        + admin("b", 5, "ingress: [{name: a, action: Allow, from: [{namespaces: {}}]}]"),
        ref="AdminNetworkPolicy/a",
        place="ingress[0]",
        says="deny here, allow in AdminNetworkPolicy/b ingress[0] (WORLD:36), for common traffic at equal priority 5: "
        "which of them counts is undefined",
        edit=(
            "priority: 5, subject: {namespaces: {}}, ingress: [{name: a",
            "priority: 6, subject: {namespaces: {}}, ingress: [{name: a",
        ),
        severity="high",
    ),
    "a port name that is misspelt": Case(
        id="NP-L08",
        world=TWO + policy("p", f"{WEB_ONLY}, ingress: [{{ports: [{{port: htttp}}]}}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0]",
        says="no container of shop/web[Deployment] has a port `htttp` (TCP) (did you mean `http`?)",
        edit=("port: htttp", "port: http"),
    ),
    "a port name of another protocol": Case(
        id="NP-L08",
        world=TWO
        + policy(
            "p",
            "podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], "
            "ports: [{port: http, protocol: UDP}]}]",
        ),
        ref="NetworkPolicy/shop/p",
        place="egress[0]",
        says="no container of shop/web[Deployment] has a port `http` (UDP): `http` is a TCP port there",
        edit=("port: http, protocol: UDP", "port: http"),
    ),
    "a port name that one of two has": Case(
        id="NP-L09",
        world=NAMESPACES
        + workload("web", ports="{containerPort: 8080, name: http}", labels=", tier: front")
        + workload("shop", ports="{containerPort: 80}", labels=", tier: front")
        + policy("p", "podSelector: {matchLabels: {tier: front}}, ingress: [{ports: [{port: http}]}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0]",
        says="shop/shop[Deployment] among its destinations have no port `http`",
        edit=("{containerPort: 80}", "{containerPort: 80, name: http}"),
        severity="low",
    ),
    "the port of the Service": Case(
        id="NP-L10",
        world=TWO
        + service("selector: {app: web}, ports: [{port: 80, targetPort: 8080}]")
        + policy("p", f"{WEB_ONLY}, ingress: [{{ports: [{{port: 80}}]}}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0]",
        says="80 is a port of Service/shop/web, which leads to TCP 8080 of its pods; shop/web[Deployment] declares no TCP 80",
        edit=("[{port: 80}]", "[{port: 8080}]"),
    ),
    "the port of the Service, by name, for egress": Case(
        id="NP-L10",
        world=TWO
        + service("selector: {app: web}, ports: [{port: 80, targetPort: http}]")
        + policy(
            "p", "podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: 80}]}]"
        ),
        ref="NetworkPolicy/shop/p",
        place="egress[0]",
        says="80 is a port of Service/shop/web, which leads to TCP 8080 of its pods; "
        "shop/api[Deployment], shop/web[Deployment] declares no TCP 80",
        edit=("[{port: 80}]", "[{port: http}]"),
    ),
    "DNS without a protocol": Case(
        id="NP-L11",
        world=TWO + DNS + policy("p", "podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53}]}]"),
        ref="NetworkPolicy/shop/p",
        place="egress[0]",
        says="TCP 53 alone: a port without `protocol` is TCP, and names are asked for over UDP 53 first",
        edit=("[{port: 53}]", "[{port: 53}, {port: 53, protocol: UDP}]"),
    ),
    "an empty port entry": Case(
        id="NP-L12",
        world=TWO + policy("p", "podSelector: {}, ingress: [{ports: [{}]}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0]",
        says="a port entry without a number is every TCP port, and nothing of UDP and SCTP",
        edit=("{ports: [{}]}", "{ports: [{port: 8080}]}"),
        severity="low",
    ),
    "a ClusterIP": Case(
        id="NP-L13",
        world=TWO
        + service("selector: {app: web}, clusterIP: 10.96.0.10, ports: [{port: 80}]")
        + policy("p", "podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.96.0.10/32}}]}]"),
        ref="NetworkPolicy/shop/p",
        place="egress[0].to[0]",
        says="10.96.0.10/32 holds the ClusterIP of Service/shop/web",
        edit=("cidr: 10.96.0.10/32", "cidr: 10.0.0.0/8"),
    ),
    "the address of a pod": Case(
        id="NP-L14",
        world=NAMESPACES
        + pod("web", "10.2.0.1")
        + pod("api", "10.2.0.2")
        + policy("p", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.2.0.2/32}}]}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0].from[0]",
        says="10.2.0.2/32 holds shop/api; Cilium matches no pods by ipBlock",
        edit=("cidr: 10.2.0.2/32", "cidr: 10.3.0.0/16"),
        severity="low",
    ),
    "the world, and so every pod": Case(
        id="NP-L14",
        world=NAMESPACES
        + pod("web", "10.2.0.1")
        + policy("p", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0].from[0]",
        says="0.0.0.0/0 holds shop/web; Cilium matches no pods by ipBlock",
        edit=("cidr: 0.0.0.0/0", "cidr: 0.0.0.0/0, except: [10.0.0.0/8]"),
        severity="info",
    ),
    "no DNS at all": Case(
        id="NP-L15",
        world=TWO + DNS + policy("p", f"{WEB_ONLY}, policyTypes: [Egress], egress: [{{{TO_API}}}]"),
        ref="NetworkPolicy/shop/p",
        place="egress",
        says="shop/web[Deployment] may not resolve names: isolated for egress, and rules allow neither UDP 53 nor TCP 53",
        edit=(f"[{{{TO_API}}}]", f"[{{{TO_API}}}, {{ports: [{{port: 53, protocol: UDP}}, {{port: 53}}]}}]"),
    ),
    "DNS of a namespace that has none": Case(
        id="NP-L15",
        world=TWO
        + DNS
        + policy(
            "p",
            f"{WEB_ONLY}, policyTypes: [Egress], egress: [{{to: [{{namespaceSelector: {{matchLabels: "
            "{kubernetes.io/metadata.name: shop}}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]",
        ),
        ref="NetworkPolicy/shop/p",
        place="egress",
        says="neither UDP 53 nor TCP 53",
        edit=("metadata.name: shop", "metadata.name: kube-system"),
    ),
    "DNS over UDP alone": Case(
        id="NP-L15",
        world=TWO
        + DNS
        + policy("p", "podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]"),
        ref="NetworkPolicy/shop/p",
        place="egress",
        says="isolated for egress, and rules allow no TCP 53, to which long answers fall back",
        edit=("[{port: 53, protocol: UDP}]", "[{port: 53, protocol: UDP}, {port: 53}]"),
        severity="low",
    ),
    "nothing may leave": Case(
        id="NP-L15",
        world=TWO + DNS + policy("p", f"{WEB_ONLY}, policyTypes: [Egress]"),
        ref="NetworkPolicy/shop/p",
        place="egress",
        says="shop/web[Deployment] may not resolve names: isolated for egress, and rules allow nothing",
        edit=("policyTypes: [Egress]", "policyTypes: [Ingress]"),
        severity="info",
    ),
    "egress rules without effect": Case(
        id="NP-L16",
        world=TWO + policy("p", f"podSelector: {{}}, policyTypes: [Ingress], egress: [{{{TO_API}}}]"),
        ref="NetworkPolicy/shop/p",
        place="egress[0]",
        says="has egress rules, and policyTypes names Ingress alone: they have no effect",
        edit=("policyTypes: [Ingress]", "policyTypes: [Ingress, Egress]"),
    ),
    "ingress rules without effect": Case(
        id="NP-L16",
        world=TWO + policy("p", f"podSelector: {{}}, policyTypes: [Egress], {FROM_API}"),
        ref="NetworkPolicy/shop/p",
        place="ingress[0]",
        says="has ingress rules, and policyTypes names Egress alone: they have no effect",
        edit=("policyTypes: [Egress]", "policyTypes: [Ingress]"),
    ),
    "isolated for ingress by the way": Case(
        id="NP-L17",
        world=TWO + policy("p", f"{WEB_ONLY}, egress: [{{{TO_API}}}]"),
        ref="NetworkPolicy/shop/p",
        place="ingress",
        says="without policyTypes it isolates shop/web[Deployment] for ingress as well, and no rule lets anything in",
        edit=(f"{WEB_ONLY}, egress", f"{WEB_ONLY}, policyTypes: [Egress], egress"),
    ),
    "a policy on the host network": Case(
        id="NP-L18",
        world=NAMESPACES + API + workload("web", spec="hostNetwork: true, ") + policy("p", WEB_ONLY),
        ref="Deployment/shop/web",
        place="",
        says="is on the host network, so NetworkPolicy/shop/p does not apply to it",
        edit=("hostNetwork: true, ", ""),
    ),
    "a default deny over the host network": Case(
        id="NP-L18",
        world=NAMESPACES + API + workload("web", spec="hostNetwork: true, ") + policy("p", "podSelector: {}"),
        ref="Deployment/shop/web",
        place="",
        says="is on the host network, so NetworkPolicy/shop/p does not apply to it",
        edit=("hostNetwork: true, ", ""),
        severity="info",
    ),
    "a load balancer that leads to nothing": Case(
        id="NP-L19",
        world=TWO
        + service(
            "type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: 8080}], "
            "allocateLoadBalancerNodePorts: false"
        )
        + policy("p", f"{WEB_ONLY}, {FROM_API}"),
        ref="Service/shop/web",
        place="ingress",
        says="leads to TCP 8080 of shop/web[Deployment], where nothing is let in: ",
        edit=(FROM_API, "ingress: [{}]"),
    ),
    "a workload that was forgotten": Case(
        id="NP-L20",
        world=TWO + policy("p", f"{WEB_ONLY}"),
        ref="Deployment/shop/api",
        place="",
        says="no policy isolates it for ingress, while other workloads of the namespace are isolated",
        edit=(WEB_ONLY, "podSelector: {}"),
    ),
    "a namespace with nothing": Case(
        id="NP-L21",
        world=TWO + policy("p", f"{WEB_ONLY}, policyTypes: [Ingress, Egress]"),
        ref="Namespace/shop",
        place="",
        says="ingress and egress of a new pod are open",
        edit=(WEB_ONLY, "podSelector: {}"),
    ),
    "a default that opens everything again": Case(
        id="NP-L21",
        world=TWO + policy("p", "podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]"),
        ref="Namespace/shop",
        place="",
        says="ingress of a new pod is open",
        edit=(", ingress: [{}]", ""),
    ),
    "a default deny of one direction": Case(
        id="NP-L21",
        world=TWO + policy("p", "podSelector: {}, policyTypes: [Ingress]"),
        ref="Namespace/shop",
        place="",
        says="egress of a new pod is open",
        edit=("[Ingress]", "[Ingress, Egress]"),
        severity="low",
    ),
}


def lint(folder: Path, text: str, *, cni: str = "upstream") -> list[PolicyFinding]:
    path = folder / "world.yaml"
    path.write_text(text)
    return list(gs.policy_lint(gs.load(path, cni=cni)))


def of(findings: list[PolicyFinding], check: str) -> list[PolicyFinding]:
    return [finding for finding in findings if finding.id == check]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_check_finds_it_until_it_is_edited(tmp_path: Path, case: Case) -> None:
    found = of(lint(tmp_path, case.world), case.id)
    assert [(str(finding.ref), finding.place, finding.severity) for finding in found] == [
        (case.ref, case.place, case.severity)
    ]
    assert case.says.replace("WORLD", f"{tmp_path}/world.yaml") in found[0].message
    assert case.world.count(case.edit[0]) == 1
    assert of(lint(tmp_path, case.world.replace(*case.edit)), case.id) == []


def test_every_check_has_a_case() -> None:
    coverage = "NP-L22"
    assert {case.id for case in CASES.values()} | {coverage} == {check.id for check in CHECKS}
    assert [check.id for check in CHECKS] == [f"NP-L{number:02}" for number in range(1, len(CHECKS) + 1)]


def test_coverage_counts_what_is_isolated_and_what_is_open_again(tmp_path: Path) -> None:
    world = TWO + policy("in", "podSelector: {}") + policy("web", f"{WEB_ONLY}, ingress: [{{}}]")
    [found] = of(lint(tmp_path, world), "NP-L22")
    assert (str(found.ref), found.severity) == ("Namespace/shop", "info")
    assert found.message == (
        "ingress: 2 of 2 workloads isolated, 1 of them opened to everything by a rule, default deny; "
        "egress: 0 of 2 workloads isolated"
    )


def test_a_rule_has_its_line_and_its_place_in_the_list(tmp_path: Path) -> None:
    rules = "\n  ingress:\n    - from: [{podSelector: {}}]\n    - from: [{podSelector: {matchLabels: {app: apis}}}]\n"
    world = TWO + policy("p", "XX").replace("spec: {XX}", f"spec:\n  podSelector: {{}}{rules}")
    [found] = of(lint(tmp_path, world), "NP-L03")
    lines = world.splitlines()
    assert found.source is not None
    assert "apis" in lines[found.source.line - 1]
    assert (found.direction, found.rule, found.field) == ("ingress", 1, "from[0]")
    assert found.to_dict()["source"] == {"file": f"{tmp_path}/world.yaml", "line": found.source.line}


def test_a_rule_that_lies_inside_another_by_todays_pods_alone_is_left_alone(tmp_path: Path) -> None:
    """`app: web` is every pod of the namespace today; the rule counts as soon as there is another."""
    world = NAMESPACES + WEB + policy("one", f"{WEB_ONLY}, {FROM_API.replace('api', 'web')}")
    world += policy(
        "two", "podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}]}]"
    )
    assert of(lint(tmp_path, world), "NP-L05") == []


def test_without_dns_pods_any_rule_for_port_53_counts(tmp_path: Path) -> None:
    """The namespace of DNS is rarely in a folder of manifests."""
    rule = (
        "to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], "
        "ports: [{port: 53, protocol: UDP}, {port: 53}]"
    )
    world = TWO + policy("p", f"podSelector: {{}}, policyTypes: [Egress], egress: [{{{rule}}}]")
    assert of(lint(tmp_path, world), "NP-L15") == []


def test_dns_pods_of_openshift_listen_on_a_port_of_their_own(tmp_path: Path) -> None:
    dns = workload(
        "dns",
        "openshift-dns",
        "{containerPort: 5353, protocol: UDP, name: dns}, {containerPort: 5353, name: dns-tcp}",
        labels=", dns.operator.openshift.io/daemonset-dns: default",
    )
    rule = "ports: [{port: 5353, protocol: UDP}, {port: 5353}]"
    world = TWO + dns + policy("p", f"podSelector: {{}}, policyTypes: [Egress], egress: [{{{rule}}}]")
    assert of(lint(tmp_path, world), "NP-L15") == []
    assert of(lint(tmp_path, world.replace(rule, "ports: [{port: 5354}]")), "NP-L15")


def test_blocks_of_pods_under_a_profile_that_matches_none(tmp_path: Path) -> None:
    """S-01: a block for one pod is a mistake there; the whole world is no block for pods."""
    world = CASES["the address of a pod"].world
    [found] = of(lint(tmp_path, world, cni="cilium"), "NP-L14")
    assert found.message == "10.2.0.2/32 holds shop/api, and the profile cilium matches no pods by ipBlock"
    assert of(lint(tmp_path, CASES["the world, and so every pod"].world, cni="cilium"), "NP-L14") == []


def test_an_admin_policy_that_denies_a_little_isolates_nothing(tmp_path: Path) -> None:
    world = TWO + admin("a", 1, "egress: [{name: d, action: Deny, to: [{networks: [169.254.169.254/32]}]}]")
    [coverage] = of(lint(tmp_path, world), "NP-L22")
    assert coverage.message == "ingress: 0 of 2 workloads isolated; egress: 0 of 2 workloads isolated"
    denied = world.replace("{networks: [169.254.169.254/32]}", "{namespaces: {}}")
    [coverage] = of(lint(tmp_path, denied), "NP-L22")
    assert coverage.message == "ingress: 0 of 2 workloads isolated; egress: 2 of 2 workloads isolated, default deny"


def test_findings_are_sorted_and_kept_by_namespace(tmp_path: Path) -> None:
    world = TWO + workload("tool", "ops") + policy("p", "podSelector: {matchLabels: {app: wep}}")
    path = tmp_path / "world.yaml"
    path.write_text(world)
    findings = gs.policy_lint(gs.load(path)).items
    order = [SEVERITIES.index(finding.severity) for finding in findings]
    assert order == sorted(order, reverse=True)
    kept = gs.policy_lint(gs.load(path), namespace="ops")
    assert {str(finding.ref) for finding in kept} == {"Namespace/ops"}
    assert kept.question.command() == "policy lint -n ops"


# -- what is said to have no effect has none ----------------------------------------------------------------------

_APPS = ("a", "b", "c")
_SPACES = ("x", "y")


def random_world(seed: int) -> list[dict[str, Any]]:
    """Six pods, NetworkPolicies with policyTypes spelt out, and AdminNetworkPolicies of different priorities."""
    chance = random.Random(seed)

    def labels(*values: str) -> dict[str, Any]:
        return {"matchLabels": {"app": chance.choice(values)}} if chance.random() < 0.7 else {}

    def peer() -> dict[str, Any]:
        found: dict[str, Any] = {"podSelector": labels(*_APPS)}
        if chance.random() < 0.5:
            found["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": chance.choice(_SPACES)}}
        return found

    def ports() -> list[dict[str, Any]]:
        return [{"port": chance.choice((80, 81, 82)), "endPort": chance.choice((82, 90))}]

    def rule(word: str) -> dict[str, Any]:
        return {word: [peer()]} | ({"ports": ports()} if chance.random() < 0.6 else {})

    def admin_rule(word: str) -> dict[str, Any]:
        space = (
            {"matchLabels": {"kubernetes.io/metadata.name": chance.choice(_SPACES)}} if chance.random() < 0.5 else {}
        )
        pods: dict[str, Any] = {"pods": {"namespaceSelector": space, "podSelector": labels(*_APPS)}}
        found: dict[str, Any] = {"name": "r", "action": chance.choice(("Allow", "Deny", "Pass")), word: [pods]}
        if chance.random() < 0.5:
            found["ports"] = [{"portRange": {"protocol": "TCP", "start": chance.choice((80, 81)), "end": 82}}]
        return found

    policies = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"p{number}", "namespace": chance.choice(_SPACES)},
            "spec": {
                "podSelector": labels(*_APPS),
                "policyTypes": ["Ingress", "Egress"][: chance.choice((1, 2))],
                "ingress": [rule("from") for _ in range(chance.randrange(3))],
                "egress": [rule("to") for _ in range(chance.randrange(3))],
            },
        }
        for number in range(4)
    ]
    admins = [
        {
            "apiVersion": "policy.networking.k8s.io/v1alpha1",
            "kind": "AdminNetworkPolicy",
            "metadata": {"name": f"a{number}"},
            "spec": {
                "priority": number,
                "subject": {"namespaces": {}},
                "ingress": [admin_rule("from") for _ in range(chance.randrange(4))],
                "egress": [admin_rule("to") for _ in range(chance.randrange(4))],
            },
        }
        for number in range(chance.randrange(3))
    ]
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": app, "namespace": space, "labels": {"app": app}},
            "spec": {"containers": [{"name": "main", "image": "i"}]},
        }
        for space in _SPACES
        for app in _APPS
    ]
    return [*pods, *policies, *admins]


def flows(objects: list[dict[str, Any]]) -> list[str]:
    return [flow.line() for flow in gs.reach(world_of(objects), fold="none")]


def world_of(objects: list[dict[str, Any]]) -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects})


def without(objects: list[dict[str, Any]], finding: PolicyFinding) -> list[dict[str, Any]]:
    """The objects without the rule of a finding."""
    changed = copy.deepcopy(objects)
    [target] = [
        found for found in changed if (found["kind"], found["metadata"]["name"]) == (finding.ref.kind, finding.ref.name)
    ]
    del target["spec"][finding.direction][finding.rule]
    return changed


@pytest.mark.parametrize("seed", range(40))
def test_a_rule_without_effect_can_be_deleted(seed: int) -> None:
    """Of rules that match nothing, that the other side denies, that are redundant, shadowed or turned off."""
    objects = random_world(seed)
    before = flows(objects)
    for finding in gs.policy_lint(world_of(objects)):
        if finding.id in ("NP-L03", "NP-L04", "NP-L05", "NP-L06") and "other peers" not in finding.message:
            assert flows(without(objects, finding)) == before, finding


def test_random_worlds_have_all_of_these_findings() -> None:
    found = {finding.id for seed in range(40) for finding in gs.policy_lint(world_of(random_world(seed)))}
    assert {"NP-L04", "NP-L05", "NP-L06", "NP-L16"} <= found


# -- the command line ---------------------------------------------------------------------------------------------


def test_fail_on_a_severity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "world.yaml"
    path.write_text(CASES["a wrong value"].world)
    assert main(["policy", "lint", "-f", str(path)]) == 0
    assert main(["policy", "lint", "-f", str(path), "--fail-on", "medium"]) == 1
    assert main(["policy", "lint", "-f", str(path), "--fail-on", "medium", "--exit-zero"]) == 0
    assert main(["policy", "lint", "-f", str(path), "--fail-on", "high"]) == 0
    assert main(["policy", "lint", "-f", str(path), "--fail-on", "worst"]) == 2
    assert "unknown severity `worst`" in capsys.readouterr().err


def test_json_has_what_a_machine_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "world.yaml"
    path.write_text(CASES["a wrong value"].world)
    assert main(["policy", "lint", "-f", str(path), "-o", "json", "-q"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["question"]["command"] == "policy lint"
    assert answer["items"][0] == {
        "id": "NP-L01",
        "title": "Policy selects no pod",
        "severity": "medium",
        "object": "NetworkPolicy/shop/p",
        "message": "no pod in namespace shop has app=wep (did you mean `app=web`?)",
        "source": {"file": str(path), "line": 28},
        "remedy": "Correct the selector, or delete the policy.",
    }


# -- real applications --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not APPS.is_dir(), reason="no ../shared")
def test_the_typos_of_sock_shop() -> None:
    """Its policies name the Service `cart`, its pods are labelled `carts`."""
    found = gs.policy_lint(gs.load(APPS / "sock-shop"), namespace="sock-shop")
    told = [(finding.id, finding.ref.name, finding.place) for finding in found if finding.severity == "medium"]
    assert told == [
        ("NP-L01", "cart-access", ""),
        ("NP-L03", "carts-db-access", "ingress[0].from[0]"),
        ("NP-L03", "cortex-access", "ingress[0].from[0]"),
    ]
    assert "did you mean `name=carts`?" in found.items[0].message


@pytest.mark.skipif(not APPS.is_dir(), reason="no ../shared")
def test_nothing_is_wrong_with_online_boutique() -> None:
    found = gs.policy_lint(gs.load(APPS / "online-boutique"))
    assert [(finding.id, finding.severity) for finding in found if finding.severity != "info"] == []
