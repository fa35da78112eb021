"""Every way from outside to pods that the objects open (network.md §2.7), before any policy is asked.

What leads to node addresses stands here: LoadBalancer, NodePort, externalIPs, hostPort, hostNetwork. Controllers' entries
are those of ``ingresses`` and ``gateways``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphsec.algebra.blocks import AddressSet, parse_address
from graphsec.algebra.internet import INTERNET
from graphsec.algebra.ports import ALL_PORTS, MAX_PORT, MIN_PORT, NO_PORTS, PROTOCOLS, PortSet
from graphsec.compile.backends import Backend, Backends
from graphsec.compile.controllers import Controllers
from graphsec.compile.endpoints import Endpoints
from graphsec.compile.flows import Flows
from graphsec.compile.gateways import Gateways
from graphsec.compile.hops import Hop, Refusal, Route, Sees, hop, routes_to
from graphsec.compile.ingresses import ingress_routes, openshift_routes
from graphsec.model.cluster import Cluster
from graphsec.model.objects import ContainerPort, Loaded, PodSpec
from graphsec.model.traffic import Service, ServiceSpec

_LOOPBACK = AddressSet.union_of((AddressSet.cidr("127.0.0.0/8"), AddressSet.cidr("::1/128")))


@dataclass(frozen=True, kw_only=True)
class Routes:
    """The ways found, and the entries that lead nowhere."""

    found: tuple[Route, ...]
    refused: tuple[Refusal, ...]
    controllers: Controllers

    def to_pods(self, pods: Iterable[int]) -> tuple[Route, ...]:
        """Ways of traffic from outside to any of the pods, without those of another controller."""
        wanted = set(pods)
        return tuple(
            route
            for route in self.found
            if route.sees is not Sees.SENDER and not wanted.isdisjoint(pod for pod, _ in route.targets)
        )


def find_routes(cluster: Cluster, flows: Flows) -> Routes:
    """Every way, those of one kind in order of the objects that open them."""
    endpoints = flows.endpoints
    backends = Backends(cluster, endpoints)
    controllers = Controllers(cluster, endpoints)
    gateways = Gateways(cluster, endpoints, flows.universe, backends, controllers)
    given = [
        *_Nodes(endpoints, backends).routes(),
        *ingress_routes(cluster, endpoints, backends, controllers),
        *gateways.routes(),
        *openshift_routes(cluster, endpoints, backends, controllers),
    ]
    return Routes(
        found=tuple(found for found in given if isinstance(found, Route)),
        refused=tuple(found for found in given if isinstance(found, Refusal)),
        controllers=controllers,
    )


class _Nodes:
    """Ways through the addresses of nodes and load balancers."""

    def __init__(self, endpoints: Endpoints, backends: Backends) -> None:
        self._endpoints = endpoints
        self._backends = backends

    def routes(self) -> Iterator[Route]:
        for loaded in self._backends:
            yield from self._of_service(loaded)
        yield from self._of_pods()

    @cached_property
    def _private(self) -> str:
        """Why node addresses are for a private network only; "" where the input does not say so."""
        nodes = self._endpoints.nodes.values()
        addresses = [address for node in nodes for address in (*node.internal, *node.external)]
        public = not addresses or any(address in INTERNET for address in addresses)
        return "" if public else "no node has a public address"

    # -- Services -----------------------------------------------------------------------------------------------

    def _of_service(self, loaded: Loaded) -> Iterator[Route]:
        body: Service = loaded.body
        spec = body.spec
        if spec is None or spec.type == "ExternalName" or not spec.ports:
            return
        backend = Backend(loaded, spec.ports)
        if spec.type == "LoadBalancer":
            yield from self._balancer(backend, body, spec)
        if spec.type == "NodePort" or (spec.type == "LoadBalancer" and _has_node_ports(spec)):
            numbers = ", ".join(str(port.node_port or "assigned by the cluster") for port in spec.ports)
            yield from self._through(backend, "NodePort", f"node port {numbers}", spec, self._private)
        if spec.external_ips:
            private = "" if _is_public(spec.external_ips) else "no external IP is public"
            yield from self._through(backend, "externalIPs", ", ".join(spec.external_ips), spec, private)

    def _balancer(self, backend: Backend, body: Service, spec: ServiceSpec) -> Iterator[Route]:
        """X-03: what makes a load balancer less than public."""
        given = body.balancer_addresses() or ((spec.load_balancer_ip,) if spec.load_balancer_ip else ())
        words = [f"at {', '.join(given)}"] if given else []
        if spec.load_balancer_class:
            words.append(f"class {spec.load_balancer_class}")
        ranges = _ranges(spec.load_balancer_source_ranges or ())
        if ranges is not None:
            words.append(f"from {', '.join(spec.load_balancer_source_ranges or ())}")
        yield from self._through(backend, "LoadBalancer", "; ".join(words), spec, _internal(body, given), ranges=ranges)

    def _through(
        self,
        backend: Backend,
        kind: str,
        words: str,
        spec: ServiceSpec,
        internal: str,
        *,
        ranges: AddressSet | None = None,
    ) -> Iterator[Route]:
        local = spec.external_traffic_policy == "Local"
        detail = "; ".join(filter(None, (backend.text, words, "externalTrafficPolicy: Local" if local else "")))
        yield from routes_to(
            self._endpoints,
            self._backends.behind(backend),
            (hop(backend.service, detail),),
            kind,
            Sees.CLIENT if local else Sees.NODE,
            internal=internal,
            ranges=ranges,
        )

    # -- pods on node addresses ---------------------------------------------------------------------------------

    def _of_pods(self) -> Iterator[Route]:
        """X-04; pods of one workload that say the same are one way."""
        found: dict[tuple[int, str, str], dict[int, PortSet]] = defaultdict(dict)
        for pod, spec in enumerate(self._endpoints.specs):
            kind, ports, words = _of_host(spec) if spec.host_network else _host_ports(spec)
            if ports:
                found[self._endpoints.workload_of[pod], kind, words][pod] = ports
        for (workload, kind, words), targets in found.items():
            entry = Hop(self._endpoints.workloads[workload], self._endpoints.workload_sources[workload], words)
            yield Route(
                kind=kind,
                hops=(entry,),
                sees=Sees.CLIENT,
                workload=workload,
                targets=tuple(targets.items()),
                internal=self._private,
            )


def _of_host(spec: PodSpec) -> tuple[str, PortSet, str]:
    """Whatever such a pod listens on is open on its node; the declared ports are only what it says."""
    declared = PortSet.union_of(_declared(port) for port in spec.ports())
    return "hostNetwork", ALL_PORTS, f"hostNetwork, declares {declared or 'no port'}"


def _host_ports(spec: PodSpec) -> tuple[str, PortSet, str]:
    given = [port for port in spec.ports() if port.host_port and not _on_loopback(port)]
    words = ", ".join(
        f"{port.host_ip + ':' if port.host_ip else ''}{port.host_port} → {port.container_port}" for port in given
    )
    return "hostPort", PortSet.union_of(map(_declared, given)), f"hostPort {words}"


def _has_node_ports(spec: ServiceSpec) -> bool:
    """A load balancer has them unless told not to; those that are written stay."""
    return spec.allocate_load_balancer_node_ports is not False or any(port.node_port for port in spec.ports or ())


def _internal(body: Service, given: Sequence[str]) -> str:
    annotation = body.metadata.annotations.internal if body.metadata.annotations else ""
    if annotation:
        return f"annotation {annotation}"
    addresses = [address for text in given for address in _parsed(text)]
    private = len(addresses) == len(given) and not any(address in INTERNET for address in addresses)
    return f"its address {', '.join(given)} is private" if given and private else ""


def _is_public(texts: Iterable[str]) -> bool:
    return any(address in INTERNET for text in texts for address in _parsed(text))


def _parsed(text: str) -> tuple[int, ...]:
    try:
        return (parse_address(text),)
    except ValueError:
        return ()


def _ranges(texts: Sequence[str]) -> AddressSet | None:
    """None where every client may come; blocks that cannot be read admit nobody."""
    found = []
    for text in texts:
        try:
            found.append(AddressSet.cidr(text.strip()))
        except ValueError:
            continue
    return AddressSet.union_of(found) if texts else None


def _declared(port: ContainerPort) -> PortSet:
    protocol, number = port.protocol or "TCP", port.container_port
    return PortSet.of(protocol, number) if protocol in PROTOCOLS and MIN_PORT <= number <= MAX_PORT else NO_PORTS


def _on_loopback(port: ContainerPort) -> bool:
    return any(address in _LOOPBACK for address in _parsed(port.host_ip or ""))


__all__ = ["Hop", "Refusal", "Route", "Routes", "Sees", "find_routes"]
