"""Ingresses (X-05) and OpenShift's Routes (X-08): host names to Services, carried out by a controller's pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from graphsec.algebra.ports import PortSet
from graphsec.compile.backends import Backend, Backends
from graphsec.compile.controllers import Controllers
from graphsec.compile.endpoints import Endpoints
from graphsec.compile.hops import Hop, Refusal, Route, Sees, hop, routes_to, service_hop
from graphsec.model.cluster import Cluster
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref
from graphsec.model.traffic import Ingress
from graphsec.model.traffic import Route as OpenShiftRoute

#: Classes of cloud providers whose load balancer is internal, and that of AWS, which is so unless it says otherwise.
_INTERNAL_CLASSES, _ALB = ("gce-internal",), "alb"


@dataclass(slots=True)
class _Meant:
    """What an entry means of one Service."""

    hosts: dict[str, None] = field(default_factory=dict)
    ports: dict[int | str | None, None] = field(default_factory=dict)


def ingress_routes(
    cluster: Cluster, endpoints: Endpoints, backends: Backends, controllers: Controllers
) -> Iterator[Route | Refusal]:
    """Of every Ingress, a way for each Service that a rule or the default backend names."""
    for loaded in cluster.of("Ingress"):
        body: Ingress = loaded.body
        wanted = _class(body)
        senders = controllers.of_ingress(wanted)
        for name, meant in _by_service(body).items():
            found = _backend(loaded, backends, name, meant)
            if isinstance(found, Refusal):
                yield found
                continue
            hops = (hop(loaded, ", ".join(meant.hosts)), service_hop(found))
            yield from _sent(endpoints, backends, found, hops, "Ingress", senders, _internal(body, wanted))


def _sent(
    endpoints: Endpoints,
    backends: Backends,
    backend: Backend,
    hops: tuple[Hop, ...],
    kind: str,
    senders: tuple[int, ...],
    internal: str = "",
) -> Iterator[Route]:
    targets = backends.behind(backend)
    yield from routes_to(endpoints, targets, hops, kind, Sees.SENDER, senders=senders, internal=internal)


def _class(ingress: Ingress) -> str | None:
    annotated = ingress.metadata.annotations.ingress_class if ingress.metadata.annotations else None
    return (ingress.spec.ingress_class_name if ingress.spec else None) or annotated


def _internal(ingress: Ingress, wanted: str | None) -> str:
    scheme = ingress.metadata.annotations.alb_scheme if ingress.metadata.annotations else None
    if scheme == "internal":
        return "alb.ingress.kubernetes.io/scheme: internal"
    if wanted == _ALB and scheme is None:
        return "class alb is internal unless alb.ingress.kubernetes.io/scheme says otherwise"
    return f"class {wanted}" if wanted in _INTERNAL_CLASSES else ""


def _by_service(ingress: Ingress) -> Mapping[str, _Meant]:
    found: dict[str, _Meant] = {}
    for host, backend in ingress.places():
        if backend.name:
            meant = found.setdefault(backend.name, _Meant())
            meant.hosts[host or "default backend"] = None
            meant.ports[backend.port] = None
    return found


def _backend(loaded: Loaded, backends: Backends, name: str, meant: _Meant) -> Backend | Refusal:
    """HTTP goes over TCP: a port of the Service for UDP alone is none of an Ingress (R-10)."""
    namespace = loaded.ref.namespace
    service = backends.service(namespace, name)
    if service is None:
        return Refusal(loaded.ref, loaded.source, f"{Ref('Service', name, namespace)} is not in the input")
    chosen = [backends.choose(namespace, name, port) for port in meant.ports if port is not None]
    ports = {port: None for backend in chosen if backend for port in backend.ports}
    if not ports:
        asked = ", ".join(str(port) for port in meant.ports if port is not None) or "none given"
        return Refusal(loaded.ref, loaded.source, f"{service.ref} has no TCP port {asked}")
    return Backend(service, tuple(ports))


# -- OpenShift --------------------------------------------------------------------------------------------------


def openshift_routes(
    cluster: Cluster, endpoints: Endpoints, backends: Backends, controllers: Controllers
) -> Iterator[Route | Refusal]:
    """Of every Route, a way for each Service; without a port it means all of them."""
    for loaded in cluster.of("Route"):
        body: OpenShiftRoute = loaded.body
        wanted = body.spec.port.target_port if body.spec and body.spec.port else None
        for name in body.services():
            found = _route_backend(loaded, backends, name, wanted)
            if isinstance(found, Refusal):
                yield found
                continue
            host = (body.spec.host if body.spec else None) or ""
            hops = (hop(loaded, host), service_hop(found))
            for route in _sent(endpoints, backends, found, hops, "Route", controllers.of_router()):
                narrowed = _only(route, wanted) if isinstance(wanted, int) else route
                if narrowed.targets:
                    yield narrowed


def _route_backend(loaded: Loaded, backends: Backends, name: str, wanted: int | str | None) -> Backend | Refusal:
    """A name is that of a port of the Service or of its target; a number is a target's, which pods may resolve to."""
    everything = backends.choose(loaded.ref.namespace, name, None)
    if everything is None:
        missing = Ref("Service", name, loaded.ref.namespace)
        return Refusal(loaded.ref, loaded.source, f"{missing} is not in the input")
    ports = tuple(
        port
        for port in everything.ports
        if wanted in (None, port.name, port.target) or (isinstance(wanted, int) and isinstance(port.target, str))
    )
    if not ports:
        what = "TCP port" if wanted is None else f"TCP port with target {wanted}"
        return Refusal(loaded.ref, loaded.source, f"{everything.service.ref} has no {what}")
    return Backend(everything.service, ports)


def _only(route: Route, number: int) -> Route:
    """Of the pods' ports the one with a number, which a named target may or may not resolve to."""
    wanted = PortSet.of("TCP", number)
    targets = tuple((pod, ports & wanted) for pod, ports in route.targets if ports & wanted)
    return replace(route, targets=targets)


__all__ = ["ingress_routes", "openshift_routes"]
