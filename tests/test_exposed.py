"""Exposure, by the X-ids of network.md §2.7: each way from outside down to pod port and policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Graphsec

import graphsec as gs
from graphsec.query._ends import workload_label
from graphsec.query.exposed import Exposed, IngressFlow, ingress_flows

_CORPORA = ROOT.parent / "shared" / "corpora"

#: `shop/web` listens on http = 8080 and a metrics port; nothing else is in the namespace.
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}]
"""
DENY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
NODE = """\
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: ExternalIP, address: 198.51.100.1}]}
"""


def allow(*sources: str, ports: str = "") -> str:
    """A policy of `shop` that lets every pod be reached from these peers, in flow style."""
    rule = f"{{from: [{', '.join(sources)}]{', ports: [' + ports + ']' if ports else ''}}}"
    return (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: allow, namespace: shop}\n"
        f"spec: {{podSelector: {{}}, policyTypes: [Ingress], ingress: [{rule}]}}\n"
    )


def block(cidr: str) -> str:
    return f"{{ipBlock: {{cidr: {cidr}}}}}"


def service(extra: str, ports: str = "{port: 80, targetPort: http}", kind: str = "LoadBalancer") -> str:
    return (
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
        f"spec: {{type: {kind}, selector: {{app: web}}, ports: [{ports}]{', ' + extra if extra else ''}}}\n"
    )


def load(*texts: str, cni: str = "upstream") -> gs.World:
    items: list[dict[str, Any]] = [body for text in texts for body in yaml.safe_load_all(text) if body]
    return gs.load({"apiVersion": "v1", "kind": "List", "items": items}, cni=cni)


def from_outside(world: gs.World) -> list[tuple[str, str, str, str, str]]:
    """(workload, route, source, ports, verdict)."""
    return [
        (item.workload.name, item.route, item.source, str(item.ports), item.verdict)
        for item in gs.exposed(world)
        if item.origin == "internet"
    ]


def one(world: gs.World, route: str) -> gs.Exposure:
    [found] = [item for item in gs.exposed(world) if item.route == route]
    return found


# -- Services ---------------------------------------------------------------------------------------------------


def test_load_balancer_to_named_port() -> None:
    """X-01: each hop is kept, with its line; X-06: the target is the pod's own number."""
    found = one(load(WEB, service("allocateLoadBalancerNodePorts: false")), "LoadBalancer")
    assert [str(hop) for hop in found.hops] == ["Service/shop/web (80 → http)", "Deployment/shop/web (TCP 8080)"]
    assert (found.source, str(found.ports), found.verdict) == ("internet", "TCP 8080", "yes")
    assert [str(proof) for proof in found.because[2:]] == ["ingress: no ingress policy selects it"]


def test_hops_have_places(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(f"{WEB}---\n{service('')}", encoding="utf-8")
    found = one(gs.load(path), "LoadBalancer")
    assert [hop.source.line for hop in found.hops if hop.source] == [13, 1]
    assert found.to_dict()["hops"][0]["source"] == {"file": str(path), "line": 13}


@pytest.mark.parametrize(
    ("target", "ports"),
    [
        ("targetPort: 1234", "TCP 1234"),  # a number need not be declared
        ("targetPort: nobody", None),  # a name must be
        ("protocol: UDP, targetPort: http", None),  # name and protocol must be
        ("protocol: UDP", "UDP 80"),
        ("targetPort: metrics", "TCP 9090"),
    ],
)
def test_target_ports(target: str, ports: str | None) -> None:
    world = load(WEB, service("", ports=f"{{port: 80, {target}}}", kind="NodePort"))
    assert [row[3] for row in from_outside(world)] == ([] if ports is None else [ports])


def test_node_ports_of_a_load_balancer() -> None:
    """X-03: it opens node ports too, unless told not to."""
    assert [row[1] for row in from_outside(load(WEB, service("")))] == ["LoadBalancer", "NodePort"]
    off = service("allocateLoadBalancerNodePorts: false")
    assert [row[1] for row in from_outside(load(WEB, off))] == ["LoadBalancer"]
    kept = service("allocateLoadBalancerNodePorts: false", ports="{port: 80, targetPort: http, nodePort: 30080}")
    assert [row[1] for row in from_outside(load(WEB, kept))] == ["LoadBalancer", "NodePort"]


def test_what_opens_nothing() -> None:
    other = service("", kind="NodePort").replace("app: web}", "app: other}")
    for text in (service("", kind="ClusterIP"), other, "kind: Service\napiVersion: v1\nmetadata: {name: x}\n"):
        assert from_outside(load(WEB, text)) == []


def test_external_ips() -> None:
    public = load(WEB, service("externalIPs: [198.51.100.7]", kind="ClusterIP"))
    assert from_outside(public) == [("web", "externalIPs", "internet", "TCP 8080", "yes")]
    private = load(WEB, service("externalIPs: [10.0.0.7]", kind="ClusterIP"))
    assert from_outside(private) == [("web", "externalIPs", "internal network", "TCP 8080", "yes")]


@pytest.mark.parametrize(
    "extra",
    [
        ("networking.gke.io/load-balancer-type: Internal", ""),
        ("service.beta.kubernetes.io/aws-load-balancer-scheme: internal", ""),
        ('service.beta.kubernetes.io/azure-load-balancer-internal: "true"', ""),
        ("unrelated: Internal", "status: {loadBalancer: {ingress: [{ip: 10.1.2.3}]}}"),
    ],
)
def test_internal_load_balancers(extra: tuple[str, str]) -> None:
    """X-03: annotations and the address that was given make the class of the exposure."""
    annotation, status = extra
    text = service("allocateLoadBalancerNodePorts: false").replace(
        "namespace: shop}", f"namespace: shop, annotations: {{{annotation}}}}}"
    )
    found = one(load(WEB, text + status), "LoadBalancer")
    assert (found.source, found.verdict) == ("internal network", "yes")
    assert found.internal


def test_load_balancer_source_ranges() -> None:
    """X-03: the ranges intersect with what policies admit."""
    text = service(
        "allocateLoadBalancerNodePorts: false, externalTrafficPolicy: Local, loadBalancerSourceRanges: [203.0.113.0/24]"
    )
    assert one(load(WEB, text), "LoadBalancer").source == "203.0.113.0/24"
    half = one(load(WEB, text, allow(block("203.0.113.0/25"))), "LoadBalancer")
    assert (half.source, half.verdict) == ("203.0.113.0/25", "yes")
    none = one(load(WEB, text, allow(block("198.51.100.0/24"))), "LoadBalancer")
    assert (none.source, none.verdict) == ("203.0.113.0/24", "no")


def test_load_balancer_class_is_named() -> None:
    found = one(load(WEB, service("loadBalancerClass: example.com/inside")), "LoadBalancer")
    assert "class example.com/inside" in str(found.hops[0])


def test_node_ports_on_private_nodes() -> None:
    private = NODE.replace("198.51.100.1", "10.9.9.9")
    world = load(WEB, service("", kind="NodePort"), private)
    found = one(world, "NodePort")
    assert (found.source, found.internal) == ("internal network", "no node has a public address")
    assert one(load(WEB, service("", kind="NodePort"), NODE), "NodePort").source == "internet"


# -- what policies see (X-02) -----------------------------------------------------------------------------------

LOCAL = "externalTrafficPolicy: Local, allocateLoadBalancerNodePorts: false"
CLUSTER = "allocateLoadBalancerNodePorts: false"
ANYBODY, CLIENTS, NODES = block("0.0.0.0/0"), block("203.0.113.0/24"), block("10.0.0.0/8")


@pytest.mark.parametrize(
    ("extra", "policy", "verdict", "source"),
    [
        (CLUSTER, "", "yes", "internet"),
        (LOCAL, "", "yes", "internet"),
        # Both the client and the node are in the block.
        (CLUSTER, allow(ANYBODY), "yes", "internet"),
        (LOCAL, allow(ANYBODY), "yes", "internet"),
        # The client is admitted, its node after NAT is not.
        (CLUSTER, allow(CLIENTS), "possible", "internet"),
        (LOCAL, allow(CLIENTS), "yes", "203.0.113.0/24"),
        # Admitted only by NAT.
        (CLUSTER, allow(NODES), "possible", "internet"),
        (LOCAL, allow(NODES), "no", "internet"),
        # Admitted only where the node that is entered hosts the pod (N-15).
        (CLUSTER, DENY, "possible", "internet"),
        (LOCAL, DENY, "no", "internet"),
        (LOCAL, allow("{namespaceSelector: {}}"), "no", "internet"),
        (LOCAL, allow(ANYBODY, ports="{port: 9090}"), "no", "internet"),
    ],
)
@pytest.mark.parametrize("node", ["", NODE], ids=["unknown-node", "known-node"])
def test_source_nat(extra: str, policy: str, verdict: str, source: str, node: str) -> None:
    found = one(load(WEB, service(extra), policy, node), "LoadBalancer")
    # A known node's two addresses, one of them public, must both be admitted for certainty.
    assert (found.verdict, found.source, str(found.ports)) == (verdict, source, "TCP 8080")


def test_reasons() -> None:
    by_node = one(load(WEB, service(CLUSTER), DENY), "LoadBalancer")
    assert "N-15" in by_node.reason
    denied = one(load(WEB, service(LOCAL), DENY), "LoadBalancer")
    assert "NetworkPolicy/shop/deny" in denied.reason
    assert [proof.to_dict().get("policy") for proof in denied.because[2:]] == ["NetworkPolicy/shop/deny"]


def test_each_port_has_its_verdict() -> None:
    ports = "{name: a, port: 80, targetPort: http}, {name: b, port: 90, targetPort: metrics}"
    world = load(WEB, service(LOCAL, ports=ports), allow(ANYBODY, ports="{port: 8080}"))
    assert [(row[3], row[4]) for row in from_outside(world)] == [("TCP 8080", "yes"), ("TCP 9090", "no")]


# -- pods on node addresses (X-04) ------------------------------------------------------------------------------


def test_host_network() -> None:
    """Policies never isolate it."""
    world = load(WEB.replace("    spec:\n", "    spec:\n      hostNetwork: true\n", 1), DENY)
    [row] = from_outside(world)
    assert row == ("web", "hostNetwork", "internet", "All Connections", "yes")
    assert "declares TCP 8080,9090" in str(one(world, "hostNetwork").hops[0])


def test_host_port() -> None:
    text = WEB.replace("containerPort: 8080", "containerPort: 8080, hostPort: 80")
    assert from_outside(load(text)) == [("web", "hostPort", "internet", "TCP 8080", "yes")]
    assert from_outside(load(text, DENY)) == [("web", "hostPort", "internet", "TCP 8080", "no")]
    loopback = text.replace("hostPort: 80", 'hostPort: 80, hostIP: "127.0.0.1"')
    assert from_outside(load(loopback)) == []


# -- Services without selector, and with none (N-19) ------------------------------------------------------------

SELECTORLESS = """\
apiVersion: v1
kind: Service
metadata: {name: manual, namespace: shop}
spec: {type: NodePort, ports: [{name: web, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
spec: {containers: [{name: c}]}
status: {podIP: 10.2.0.5}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: manual-1, namespace: shop, labels: {kubernetes.io/service-name: manual}}
addressType: IPv4
ports: [{name: web, port: 8081}]
endpoints:
- {addresses: [10.2.0.5]}
- {addresses: [192.168.9.9]}
"""


def test_endpoint_slices() -> None:
    assert from_outside(load(SELECTORLESS)) == [("p", "NodePort", "internet", "TCP 8081", "yes")]
    by_name = SELECTORLESS.replace(
        "{addresses: [10.2.0.5]}", "{addresses: [10.9.9.9], targetRef: {kind: Pod, name: p, namespace: shop}}"
    )
    assert from_outside(load(by_name)) == from_outside(load(SELECTORLESS))
    unready = SELECTORLESS.replace("{addresses: [10.2.0.5]}", "{addresses: [10.2.0.5], conditions: {ready: false}}")
    assert from_outside(load(unready)) == []


def test_external_names() -> None:
    """An ExternalName leads out of the cluster, or to another Service."""
    alias = """\
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: front}
spec: {type: ExternalName, externalName: NAME, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: front}
spec: {defaultBackend: {service: {name: alias, port: {number: 80}}}}
"""
    inside = load(WEB, service("", kind="ClusterIP"), alias.replace("NAME", "web.shop.svc.cluster.local"))
    assert from_outside(inside) == [("web", "Ingress", "internet", "TCP 8080", "yes")]
    assert from_outside(load(WEB, alias.replace("NAME", "example.com"))) == []


# -- Ingress (X-05) ---------------------------------------------------------------------------------------------


def ingress(spec: str, *, version: str = "networking.k8s.io/v1", more: str = "") -> str:
    return f"apiVersion: {version}\nkind: Ingress\nmetadata: {{name: edge, namespace: shop{more}}}\nspec: {spec}\n"


def backend(port: str = "number: 80") -> str:
    return f"{{service: {{name: web, port: {{{port}}}}}}}"


CLUSTER_IP = service("", ports="{name: plain, port: 80, targetPort: http}", kind="ClusterIP")


@pytest.mark.parametrize(
    "spec",
    [
        f"{{rules: [{{host: a.example, http: {{paths: [{{path: /, backend: {backend()}}}]}}}}]}}",
        f"{{defaultBackend: {backend('name: plain')}}}",
        # a rule without `http` leaves its host to the default backend.
        f"{{rules: [{{host: a.example}}], defaultBackend: {backend()}}}",
    ],
)
def test_ingress(spec: str) -> None:
    world = load(WEB, CLUSTER_IP, ingress(spec))
    found = one(world, "Ingress")
    assert [hop.ref.kind for hop in found.hops] == ["Ingress", "Service", "Deployment"]
    assert (found.source, str(found.ports), found.verdict) == ("internet", "TCP 8080", "yes")
    assert ingress_flows(world) == (IngressFlow(workload=found.workload, ports=found.ports),)


@pytest.mark.parametrize("version", ["extensions/v1beta1", "networking.k8s.io/v1beta1"])
@pytest.mark.parametrize("port", ["80", "plain", '"80"'])
def test_old_ingress(version: str, port: str) -> None:
    spec = f"{{rules: [{{http: {{paths: [{{backend: {{serviceName: web, servicePort: {port}}}}}]}}}}]}}"
    assert one(load(WEB, CLUSTER_IP, ingress(spec, version=version)), "Ingress").verdict == "yes"


def test_rule_without_http_and_no_default() -> None:
    """R-09: nothing is routed, nothing fails."""
    assert from_outside(load(WEB, CLUSTER_IP, ingress("{rules: [{host: a.example}, {}]}"))) == []


def test_udp_port() -> None:
    """R-10: a container port for UDP is not exposed; TCP on its number is an undeclared one, which X-06 lets pass."""
    udp = WEB.replace("containerPort: 8080", "containerPort: 8080, protocol: UDP")
    number = service("", ports="{port: 80, targetPort: 8080}", kind="ClusterIP")
    spec = f"{{defaultBackend: {backend()}}}"
    assert from_outside(load(udp, number, ingress(spec))) == [("web", "Ingress", "internet", "TCP 8080", "yes")]
    # By name there is no TCP port of the pod, and a port of the Service for UDP is none of an Ingress.
    assert from_outside(load(udp, CLUSTER_IP, ingress(spec))) == []
    both = service("", ports="{port: 80, protocol: UDP, targetPort: 8080}", kind="ClusterIP")
    world = load(udp, both, ingress(spec))
    assert from_outside(world) == []
    assert any("has no TCP port 80" in warning for warning in gs.exposed(world).warnings)


def test_ingress_without_its_service() -> None:
    world = load(WEB, ingress(f"{{defaultBackend: {backend()}}}"))
    assert from_outside(world) == []
    assert any("Service/shop/web is not in the input" in warning for warning in gs.exposed(world).warnings)


CONTROLLER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: ingress-nginx}
spec:
  template:
    metadata: {labels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}
    spec: {containers: [{name: c, ports: [{containerPort: 443}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: controller, namespace: ingress-nginx}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: false
  selector: {app.kubernetes.io/component: controller}
  ports: [{port: 443}]
"""
EDGE = ingress(f"{{ingressClassName: nginx, defaultBackend: {backend()}}}")


def test_controller_in_the_input() -> None:
    """X-05: its pods are the source, and the way to them goes before."""
    world = load(WEB, CLUSTER_IP, EDGE, CONTROLLER)
    found = one(world, "Ingress")
    assert [str(hop.ref) for hop in found.hops[:3]] == [
        "Service/ingress-nginx/controller",
        "Deployment/ingress-nginx/controller",
        "Ingress/shop/edge",
    ]
    assert found.verdict == "yes"
    assert ingress_flows(world) == ()


def test_policies_judge_the_controller() -> None:
    admitted = allow("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}")
    assert one(load(WEB, CLUSTER_IP, EDGE, CONTROLLER, admitted), "Ingress").verdict == "yes"
    denied = one(load(WEB, CLUSTER_IP, EDGE, CONTROLLER, DENY), "Ingress")
    assert (denied.verdict, "NetworkPolicy/shop/deny" in denied.reason) == ("no", True)
    # Without its pods in the input nobody knows where it runs.
    assert one(load(WEB, CLUSTER_IP, EDGE, admitted), "Ingress").verdict == "possible"
    assert one(load(WEB, CLUSTER_IP, EDGE, DENY), "Ingress").verdict == "no"


def test_controller_that_is_not_reached() -> None:
    """The way is no more certain than the way to its controller."""
    closed = DENY.replace("namespace: shop", "namespace: ingress-nginx")
    local = CONTROLLER.replace("type: LoadBalancer", "type: LoadBalancer\n  externalTrafficPolicy: Local")
    assert one(load(WEB, CLUSTER_IP, EDGE, local, closed), "Ingress").verdict == "no"
    assert one(load(WEB, CLUSTER_IP, EDGE, CONTROLLER, closed), "Ingress").verdict == "possible"
    without = CONTROLLER.partition("---")[0]
    found = one(load(WEB, CLUSTER_IP, EDGE, without), "Ingress")
    assert (found.verdict, "no entry to the controller" in found.reason) == ("possible", True)


def test_classes_choose_the_controller() -> None:
    other = EDGE.replace("ingressClassName: nginx", "ingressClassName: traefik")
    assert one(load(WEB, CLUSTER_IP, other, CONTROLLER), "Ingress").hops[0].ref.kind == "Ingress"
    named = """\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: own, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: k8s.io/ingress-nginx}
"""
    for text in (
        EDGE.replace("ingressClassName: nginx", "ingressClassName: own"),
        EDGE.replace("ingressClassName: nginx, ", ""),
    ):
        assert one(load(WEB, CLUSTER_IP, text, CONTROLLER, named), "Ingress").hops[0].ref.kind == "Service"
    annotated = ingress(f"{{defaultBackend: {backend()}}}", more=", annotations: {kubernetes.io/ingress.class: nginx}")
    assert one(load(WEB, CLUSTER_IP, annotated, CONTROLLER), "Ingress").hops[0].ref.kind == "Service"


def test_internal_ingress() -> None:
    inside = ingress(
        f"{{ingressClassName: alb, defaultBackend: {backend()}}}",
        more=", annotations: {alb.ingress.kubernetes.io/scheme: SCHEME}",
    )
    sources = {
        scheme: one(load(WEB, CLUSTER_IP, inside.replace("SCHEME", scheme)), "Ingress").source
        for scheme in ("internal", "internet-facing")
    }
    assert sources == {"internal": "internal network", "internet-facing": "internet"}


# -- Gateway API (X-07) -----------------------------------------------------------------------------------------


def gateway(listener: str, namespace: str = "edge") -> str:
    return (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
        f"metadata: {{name: gw, namespace: {namespace}}}\n"
        f"spec: {{gatewayClassName: some, listeners: [{{name: l, port: 80, {listener}}}]}}\n"
    )


def route(
    kind: str = "HTTPRoute", *, parent: str = "", hosts: str = "", namespace: str = "shop", backend_ref: str = ""
) -> str:
    version = "v1" if kind in ("HTTPRoute", "GRPCRoute") else "v1alpha2"
    names = f"hostnames: [{hosts}], " if hosts else ""
    return (
        f"apiVersion: gateway.networking.k8s.io/{version}\nkind: {kind}\n"
        f"metadata: {{name: r, namespace: {namespace}}}\n"
        f"spec: {{parentRefs: [{{name: gw, namespace: edge{parent}}}], {names}"
        f"rules: [{{backendRefs: [{{name: web, port: 80{backend_ref}}}]}}]}}\n"
    )


ALL = "allowedRoutes: {namespaces: {from: All}}"
TEAM = "allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}"
SHOP = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n"


@pytest.mark.parametrize(
    ("listener", "made", "accepted"),
    [
        (f"protocol: HTTP, {ALL}", route(), True),
        (f"protocol: HTTPS, {ALL}", route("GRPCRoute"), True),
        (f"protocol: TLS, {ALL}", route("TLSRoute"), True),
        (f"protocol: TCP, {ALL}", route("TCPRoute"), True),
        (f"protocol: TCP, {ALL}", route(), False),
        (f"protocol: HTTP, {ALL}", route("UDPRoute"), False),
        ("protocol: HTTP", route(), False),  # Same by default
        (f"protocol: HTTP, {TEAM}", route(), True),
        (f"protocol: HTTP, {TEAM.replace('team: shop', 'team: other')}", route(), False),
        ("protocol: HTTP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}", route(), False),
        ("protocol: HTTP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}", route(), True),
        (f"protocol: HTTP, hostname: a.example, {ALL}", route(hosts="a.example"), True),
        (f"protocol: HTTP, hostname: a.example, {ALL}", route(hosts="b.example"), False),
        (f"protocol: HTTP, hostname: '*.example', {ALL}", route(hosts="a.b.example"), True),
        (f"protocol: HTTP, hostname: '*.example', {ALL}", route(hosts="example"), False),
        (f"protocol: HTTP, hostname: a.example, {ALL}", route(hosts="'*.example'"), True),
        (f"protocol: HTTP, hostname: '*.b.example', {ALL}", route(hosts="'*.example'"), True),
        (f"protocol: HTTP, hostname: '*.c.example', {ALL}", route(hosts="'*.b.example'"), False),
        (f"protocol: HTTP, hostname: a.example, {ALL}", route(), True),
        (f"protocol: HTTP, {ALL}", route(parent=", sectionName: l"), True),
        (f"protocol: HTTP, {ALL}", route(parent=", sectionName: m"), False),
        (f"protocol: HTTP, {ALL}", route(parent=", port: 81"), False),
        (f"protocol: HTTP, {ALL}", route(parent=", kind: Service, group: ''"), False),
        (f"protocol: HTTP, {ALL}", route(backend_ref=", weight: 0"), False),
    ],
)
def test_listeners(listener: str, made: str, accepted: bool) -> None:
    world = load(WEB, SHOP, CLUSTER_IP, gateway(listener), made)
    found = from_outside(world)
    assert [(row[2], row[3], row[4]) for row in found] == ([("internet", "TCP 8080", "yes")] if accepted else [])
    if accepted:
        [item] = [item for item in gs.exposed(world) if item.route]
        assert [hop.ref.kind for hop in item.hops] == ["Gateway", item.route, "Service", "Deployment"]


def test_same_namespace_is_the_default() -> None:
    world = load(
        WEB, CLUSTER_IP, gateway("protocol: HTTP", "shop"), route().replace("namespace: edge", "namespace: shop")
    )
    assert from_outside(world) == [("web", "HTTPRoute", "internet", "TCP 8080", "yes")]


def test_udp_route() -> None:
    udp = WEB.replace("containerPort: 8080", "containerPort: 8080, protocol: UDP")
    text = service("", ports="{port: 80, protocol: UDP, targetPort: http}", kind="ClusterIP")
    world = load(udp, text, gateway(f"protocol: UDP, {ALL}"), route("UDPRoute"))
    assert from_outside(world) == [("web", "UDPRoute", "internet", "UDP 8080", "yes")]


GRANT = """\
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: shop}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: front}]
  to: [{group: "", kind: Service}]
"""


@pytest.mark.parametrize(
    ("grant", "granted"),
    [
        ("", False),
        (GRANT, True),
        (GRANT.replace("kind: Service", "kind: Service, name: web"), True),
        (GRANT.replace("kind: Service", "kind: Service, name: api"), False),
        (GRANT.replace("kind: HTTPRoute", "kind: GRPCRoute"), False),
        (GRANT.replace("namespace: front", "namespace: other"), False),
        (GRANT.replace("namespace: shop", "namespace: front"), False),
    ],
)
def test_reference_grants(grant: str, granted: bool) -> None:
    made = route(namespace="front", backend_ref=", namespace: shop")
    world = load(WEB, CLUSTER_IP, gateway(f"protocol: HTTP, {ALL}"), made, grant)
    assert bool(from_outside(world)) is granted
    refused = any("no ReferenceGrant" in warning for warning in gs.exposed(world).warnings)
    assert refused is not granted


def test_gateway_that_is_not_in_the_input() -> None:
    found = one(load(WEB, CLUSTER_IP, route()), "HTTPRoute")
    assert (found.verdict, found.reason) == ("possible", "Gateway/edge/gw is not in the input")


def test_pods_of_a_gateway() -> None:
    """Its implementation labels the pods that it starts with the name of the Gateway."""
    pods = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: gw-proxy, namespace: edge}
spec:
  template:
    metadata: {labels: {gateway.networking.k8s.io/gateway-name: gw}}
    spec: {hostNetwork: true, containers: [{name: c}]}
"""
    found = one(load(WEB, CLUSTER_IP, gateway(f"protocol: HTTP, {ALL}"), route(), pods), "HTTPRoute")
    assert str(found.hops[0].ref) == "Deployment/edge/gw-proxy"
    assert found.verdict == "yes"


def test_mirrored_requests() -> None:
    text = route().replace(
        "rules: [{", "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web, port: 90}}}], "
    )
    ports = "{name: a, port: 80, targetPort: http}, {name: b, port: 90, targetPort: metrics}"
    world = load(WEB, service("", ports=ports, kind="ClusterIP"), gateway(f"protocol: HTTP, {ALL}"), text)
    assert [row[3] for row in from_outside(world)] == ["TCP 8080,9090"]


# -- OpenShift (X-08) -------------------------------------------------------------------------------------------


def openshift(port: str = "", more: str = "") -> str:
    target = f", port: {{targetPort: {port}}}" if port else ""
    return (
        "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: r, namespace: shop}\n"
        f"spec: {{host: a.example, to: {{kind: Service, name: web, weight: 100}}{target}{more}}}\n"
    )


TWO_PORTS = service(
    "",
    ports="{name: plain, port: 80, targetPort: http}, {name: numbers, port: 90, targetPort: 9090}",
    kind="ClusterIP",
)


@pytest.mark.parametrize(
    ("port", "ports"),
    [
        ("", "TCP 8080,9090"),
        ("plain", "TCP 8080"),
        ("http", "TCP 8080"),
        ("8080", "TCP 8080"),
        ("9090", "TCP 9090"),
        ("80", None),
        ("nobody", None),
    ],
)
def test_openshift_routes(port: str, ports: str | None) -> None:
    found = from_outside(load(WEB, TWO_PORTS, openshift(port)))
    assert found == ([("web", "Route", "internet", ports, "yes")] if ports else [])


def test_alternate_backends() -> None:
    other = WEB.replace("web", "spare")
    text = service("", kind="ClusterIP").replace("web", "spare")
    spare = ", alternateBackends: [{kind: Service, name: spare, weight: WEIGHT}]"
    world = load(WEB, CLUSTER_IP, other, text, openshift(more=spare.replace("WEIGHT", "10")))
    assert {row[0] for row in from_outside(world)} == {"web", "spare"}
    world = load(WEB, CLUSTER_IP, other, text, openshift(more=spare.replace("WEIGHT", "0")))
    assert {row[0] for row in from_outside(world)} == {"web"}


@pytest.mark.parametrize(
    "label", ["network.openshift.io/policy-group: ingress", 'policy-group.network.openshift.io/ingress: ""']
)
def test_router_namespace(label: str) -> None:
    """X-08: what admits the routers' namespace may admit a router that is not in the input."""
    admitted = allow(f"{{namespaceSelector: {{matchLabels: {{{label}}}}}}}")
    assert one(load(WEB, CLUSTER_IP, openshift(), admitted), "Route").verdict == "possible"
    assert one(load(WEB, CLUSTER_IP, openshift(), DENY), "Route").verdict == "no"


# -- other namespaces, pods to come -----------------------------------------------------------------------------

PODS = """\
apiVersion: v1
kind: Namespace
metadata: {name: blue, labels: {team: blue}}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: blue, labels: {app: b}}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: r, namespace: red}
spec: {containers: [{name: c}]}
"""


def rows(world: gs.World, origin: str, workload: str = "web") -> list[tuple[str, str, str]]:
    return [
        (item.source, str(item.ports), item.verdict)
        for item in gs.exposed(world)
        if item.origin == origin and item.workload.name == workload
    ]


def test_other_namespaces() -> None:
    assert rows(load(WEB), "namespaces") == []
    assert rows(load(WEB, PODS), "namespaces") == [("all 2 other namespaces", "All Connections", "yes")]
    assert rows(load(WEB, PODS, DENY), "namespaces") == []
    some = allow("{namespaceSelector: {matchLabels: {team: blue}}}", ports="{port: http}")
    world = load(WEB, PODS, some)
    assert rows(world, "namespaces") == [("namespace blue", "TCP 8080", "yes")]
    [item] = [item for item in gs.exposed(world) if item.origin == "namespaces" and item.workload.name == "web"]
    assert item.namespaces == ("blue",)
    assert [str(proof) for proof in item.because] == [
        "egress: no egress policy selects it",
        "NetworkPolicy/shop/allow ingress[0]",
    ]


def test_namespaces_with_different_ports() -> None:
    blue = allow("{namespaceSelector: {matchLabels: {team: blue}}}", ports="{port: 8080}")
    everyone = allow("{namespaceSelector: {}}", ports="{port: 9090}").replace("name: allow", "name: metrics")
    assert rows(load(WEB, PODS, blue, everyone), "namespaces") == [
        ("namespace blue", "TCP 8080,9090", "yes"),
        ("namespace red", "TCP 9090", "yes"),
    ]


def test_any_new_pod() -> None:
    assert rows(load(WEB), "new-pods") == [("any pod of a new namespace", "All Connections", "yes")]
    assert rows(load(WEB, DENY), "new-pods") == []
    everywhere = allow("{namespaceSelector: {}}", ports="{port: 8080}")
    assert rows(load(WEB, everywhere), "new-pods") == [("any pod of a new namespace", "TCP 8080", "yes")]
    # Its address is not known.
    some = allow(block("10.0.0.0/8"))
    assert rows(load(WEB, some), "new-pods") == [("any pod of a new namespace", "All Connections", "possible")]


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        ("{podSelector: {matchLabels: {app: x}}}", "new pods with app=x in namespace shop"),
        ("{podSelector: {}}", "any new pod in namespace shop"),
        (
            "{podSelector: {matchLabels: {app: x}}, namespaceSelector: {matchLabels: {team: y}}}",
            "new pods with app=x in namespaces with team=y",
        ),
        ("{namespaceSelector: {matchLabels: {team: y}}}", "any new pod in namespaces with team=y"),
        ("{namespaceSelector: {}, podSelector: {matchLabels: {app: x}}}", "new pods with app=x in any namespace"),
        (
            "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dns}}}",
            "any new pod in namespace dns",
        ),
    ],
)
def test_new_pods_with_labels(peer: str, words: str) -> None:
    """What a rule's peers would admit, whether or not such a pod is there."""
    world = load(WEB, allow(peer, ports="{port: http}"))
    assert rows(world, "new-pods") == [(words, "TCP 8080", "yes")]
    [item] = [item for item in gs.exposed(world) if item.origin == "new-pods"]
    assert [str(proof) for proof in item.because] == ["NetworkPolicy/shop/allow ingress[0]"]


def test_what_anybody_may_is_not_repeated() -> None:
    both = allow("{podSelector: {matchLabels: {app: x}}}", "{namespaceSelector: {}}")
    assert rows(load(WEB, both), "new-pods") == [("any pod of a new namespace", "All Connections", "yes")]


def test_rules_behind_deny() -> None:
    """A rule of an admin policy admits, as far as none before it denies; one of Baseline is behind NetworkPolicy."""
    policy = """\
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: admin}
spec:
  tier: TIER
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - {action: Deny, from: [{namespaces: {matchLabels: {team: bad}}}]}
  - {action: Accept, from: [{namespaces: {matchLabels: {team: good}}}]}
"""
    admin = load(WEB, DENY, policy.replace("TIER", "Admin"))
    assert rows(admin, "new-pods") == [("any new pod in namespaces with team=good", "All Connections", "possible")]
    baseline = load(WEB, DENY, policy.replace("TIER", "Baseline"))
    assert rows(baseline, "new-pods") == []


# -- the answer -------------------------------------------------------------------------------------------------


def test_one_namespace() -> None:
    world = load(WEB, PODS)
    everything = gs.exposed(world)
    part = Exposed(namespace="shop").answer(world)
    assert part.to_dicts() == [item for item in everything.to_dicts() if item["workload"] == "Deployment/shop/web"]
    assert Exposed(namespace="shop").command() == "exposed -n shop"


def test_open_items_agree_with_can_reach() -> None:
    """What is said to be open to all namespaces is what each of their pods may do."""
    some = allow("{namespaceSelector: {matchLabels: {team: blue}}}", ports="{port: http}")
    world = load(WEB, PODS, some)
    for pod, expected in (("blue/b", True), ("red/r", False)):
        assert bool(gs.can_reach(world, pod, "shop/web[Deployment]", port=8080)) is expected


def test_pictures_and_tables() -> None:
    answer = gs.exposed(load(WEB, CLUSTER_IP, EDGE, PODS))
    assert "Ingress edge" in answer.diagram(fold="none").dot()
    for item in answer:
        assert len(item.row(wide=False)) == len(answer.question.columns(wide=False))
        assert len(item.row(wide=True)) == len(answer.question.columns(wide=True))


def test_command(graphsec: Graphsec, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(f"{WEB}---\n{service(LOCAL)}---\n{DENY}", encoding="utf-8")
    run = graphsec(f"exposed -f {path} -n shop")
    assert run.code == 0
    assert "shop/web[Deployment]" in run.out
    assert "LoadBalancer Service/shop/web" in run.out
    assert (
        "0 exposures, 0 workloads open to the internet or the network of the nodes, 0 only possible, 1 blocked"
        in run.err
    )
    assert graphsec(f"exposed -f {path} -n nowhere").out == ""


# -- real input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "online-boutique/release/kubernetes-manifests.yaml",
            [("frontend", "LoadBalancer", "TCP 8080"), ("frontend", "NodePort", "TCP 8080")],
        ),
        ("sock-shop/complete-demo.yaml", [("front-end", "NodePort", "TCP 8079")]),
        (
            "bank-of-anthos/kubernetes-manifests",
            [("frontend", "LoadBalancer", "TCP 8080"), ("frontend", "NodePort", "TCP 8080")],
        ),
    ],
)
def test_applications(path: str, expected: list[tuple[str, str, str]]) -> None:
    given = _CORPORA / "apps" / path
    if not given.exists():
        pytest.skip("the corpora are not here")
    found = from_outside(gs.load(given))
    assert [(workload, route, ports) for workload, route, _, ports, _ in found] == expected
    assert {(source, verdict) for _, _, source, _, verdict in found} == {("internet", "yes")}


def test_online_boutique_with_policies() -> None:
    base = _CORPORA / "apps" / "online-boutique"
    if not base.exists():
        pytest.skip("the corpora are not here")
    policies = base / "kustomize" / "components" / "network-policies"
    world = gs.load(base / "release" / "kubernetes-manifests.yaml", policies)
    assert {row[0] for row in from_outside(world)} == {"frontend"}
    assert rows(world, "new-pods", "redis-cart") == [
        ("new pods with app=cartservice in namespace default", "TCP 6379", "yes")
    ]


#: netpol-analyzer's cases with an Ingress or a Route, and the output that has the lines of the controller. One more,
#: udn_with_ingress_controller_two_pods, has its pod under apps/v1, which no API server knows.
_CASES = {
    "acs-security-demos": "acs-security-demos_connlist_output.txt",
    "acs-security-demos-with-netpol-list": "acs-security-demos-with-netpol-list_connlist_output.txt",
    "k8s_ingress_test_new": "k8s_ingress_test_new_exposure_output.txt",
    "multiple_ingress_objects_with_different_ports": "multiple_ingress_objects_with_different_ports_connlist_output.txt",
    "udn_with_vm_and_ingress_controller": "udn_with_vm_and_ingress_controller_connlist_output.txt",
}


@pytest.mark.parametrize("case", _CASES)
def test_npguard(case: str) -> None:
    """The same flows from `{ingress-controller}`; no case declares a port for UDP or leaves one undeclared (D-07)."""
    folder = _CORPORA / "netpol" / "npguard"
    if not folder.exists():
        pytest.skip("the corpora are not here")
    lines = (folder / "test_outputs" / "connlist" / _CASES[case]).read_text(encoding="utf-8").splitlines()
    expected = {line.replace("[udn]", "") for line in lines if line.startswith("{ingress-controller} =>")}
    found = {
        f"{{ingress-controller}} => {workload_label(flow.workload)} : {flow.ports}"
        for flow in ingress_flows(gs.load(folder / "tests" / case))
    }
    # The Ingress names port 8080 of a Service that has port 5000 alone: a port of the pod, where X-05 wants the Service's.
    wrong = {"{ingress-controller} => default/unicorn[Deployment] : TCP 8080"}
    assert found == (expected - wrong if case == "k8s_ingress_test_new" else expected)
    assert found
