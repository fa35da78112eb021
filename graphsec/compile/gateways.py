"""The Gateway API (X-07): listeners that accept a route, the host names they share, grants for backends elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphsec.algebra.expressions import Field, matches, of_selector
from graphsec.compile.backends import Backend, Backends
from graphsec.compile.classes import Universe
from graphsec.compile.controllers import Controllers
from graphsec.compile.endpoints import INGRESS_CONTROLLER, Endpoints
from graphsec.compile.hops import Hop, Refusal, Route, Sees, hop, routes_to, service_hop
from graphsec.model.cluster import Cluster
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref
from graphsec.model.traffic import (
    AllowedRoutes,
    BackendRef,
    GatewayRoute,
    GrantTo,
    Listener,
    ParentRef,
    ReferenceGrant,
    RouteNamespaces,
)

GROUP = "gateway.networking.k8s.io"
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
#: Which routes a listener of each protocol can carry out.
_CARRIED = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute", "TCPRoute"),
    "TCP": ("TCPRoute",),
    "UDP": ("UDPRoute",),
}
#: Routes that host names tell apart.
_NAMED = ("HTTPRoute", "GRPCRoute", "TLSRoute")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attached:
    """A Gateway that accepts a route, or may: ``condition`` says what the input does not tell."""

    hop: Hop
    senders: tuple[int, ...]
    condition: str = ""


class Gateways:
    """Follows routes of the Gateway API from their Gateways to Services."""

    def __init__(
        self,
        cluster: Cluster,
        endpoints: Endpoints,
        universe: Universe,
        backends: Backends,
        controllers: Controllers,
    ) -> None:
        self._cluster = cluster
        self._endpoints = endpoints
        self._universe = universe
        self._backends = backends
        self._controllers = controllers
        self._gateways = {(loaded.ref.namespace, loaded.ref.name): loaded for loaded in cluster.of("Gateway")}
        self._grants = [(loaded.ref.namespace, loaded.body) for loaded in cluster.of("ReferenceGrant")]

    def routes(self) -> Iterator[Route | Refusal]:
        for loaded in self._cluster.of(*ROUTES):
            yield from self._of_route(loaded)

    def _of_route(self, loaded: Loaded) -> Iterator[Route | Refusal]:
        body: GatewayRoute = loaded.body
        if body.spec is None:
            return
        attached = []
        for parent in body.spec.parent_refs or ():
            if parent.kind not in (None, "Gateway") or parent.group not in (None, GROUP):
                continue  # A Service as parent is about traffic inside the cluster.
            found = self._attach(loaded, parent)
            if isinstance(found, _Attached):
                attached.append(found)
            else:
                yield Refusal(loaded.ref, loaded.source, found)
        if not attached:
            return
        for backend in self._route_backends(loaded):
            if isinstance(backend, Refusal):
                yield backend
                continue
            targets = self._backends.behind(backend)
            for gateway in attached:
                hops = (gateway.hop, hop(loaded, ", ".join(body.spec.hostnames or ())), service_hop(backend))
                yield from routes_to(
                    self._endpoints,
                    targets,
                    hops,
                    loaded.ref.kind,
                    Sees.SENDER,
                    senders=gateway.senders,
                    conditions=(gateway.condition,) if gateway.condition else (),
                )

    # -- Gateways -----------------------------------------------------------------------------------------------

    def _attach(self, route: Loaded, parent: ParentRef) -> _Attached | str:
        """The Gateway with the listeners that accept the route, or why none does."""
        ref = Ref("Gateway", parent.name, parent.namespace or route.ref.namespace)
        gateway = self._gateways.get((ref.namespace, ref.name))
        if gateway is None:
            virtual = (self._endpoints.virtual[INGRESS_CONTROLLER],)
            return _Attached(hop=Hop(ref), senders=virtual, condition=f"{ref} is not in the input")
        listeners = (gateway.body.spec.listeners or ()) if gateway.body.spec else ()
        asked = [found for found in listeners if _is_asked(found, parent)]
        accepting = [(found, self._refused(gateway, found, route)) for found in asked]
        kept = [listener for listener, reason in accepting if not reason]
        if not kept:
            reasons = dict.fromkeys(reason for _, reason in accepting)
            return f"no listener of {ref} accepts it: {'; '.join(reasons) or 'there is none of that name or port'}"
        text = ", ".join(f"{found.name} {found.protocol} {found.port}" for found in kept)
        return _Attached(hop=hop(gateway, text), senders=self._controllers.of_gateway(gateway))

    def _refused(self, gateway: Loaded, listener: Listener, route: Loaded) -> str:
        """Why a listener does not accept a route, "" if it does."""
        allowed = listener.allowed_routes or AllowedRoutes()
        kind = route.ref.kind
        if kind not in _CARRIED.get(listener.protocol, ()):
            return f"{listener.name} is for {listener.protocol}"
        if allowed.kinds and not any(found.kind == kind and found.group in (None, GROUP) for found in allowed.kinds):
            return f"{listener.name} does not allow {kind}"
        if not self._is_allowed(allowed.namespaces or RouteNamespaces(), gateway, route):
            return f"{listener.name} allows no routes of namespace {route.ref.namespace}"
        names = route.body.spec.hostnames or () if kind in _NAMED else ()
        if listener.hostname and names and not any(_meets(listener.hostname, name) for name in names):
            return f"{listener.name} is for {listener.hostname}"
        return ""

    def _is_allowed(self, given: RouteNamespaces, gateway: Loaded, route: Loaded) -> bool:
        """By default routes of the Gateway's own namespace."""
        namespace = route.ref.namespace or ""
        match given.source or "Same":
            case "Same":
                return route.ref.namespace == gateway.ref.namespace
            case "All":
                return True
            case "Selector":
                labels = self._universe.namespace_labels(namespace)
                wanted = of_selector(given.selector, Field.NAMESPACE)
                return given.selector is not None and matches(wanted, {Field.NAMESPACE: labels})
            case _:
                return False

    # -- backends -----------------------------------------------------------------------------------------------

    def _route_backends(self, route: Loaded) -> Iterator[Backend | Refusal]:
        asked: dict[tuple[str | None, str], dict[int, None]] = {}
        for rule in route.body.spec.rules or ():
            for backend in rule.backends():
                if backend.kind in (None, "Service") and backend.group in (None, "") and backend.port is not None:
                    key = (backend.namespace or route.ref.namespace, backend.name)
                    asked.setdefault(key, {})[backend.port] = None
                elif backend.kind in (None, "Service") and backend.group in (None, ""):
                    yield Refusal(route.ref, route.source, f"its backend Service {backend.name} has no port")
                else:
                    yield Refusal(route.ref, route.source, f"its backend {_named(backend)} is no Service")
        protocol = "UDP" if route.ref.kind == "UDPRoute" else "TCP"
        for (namespace, name), numbers in asked.items():
            yield self._backend(route, Ref("Service", name, namespace), list(numbers), protocol)

    def _backend(self, route: Loaded, ref: Ref, numbers: Sequence[int], protocol: str) -> Backend | Refusal:
        if ref.namespace != route.ref.namespace and not self._is_granted(route, ref):
            return Refusal(route.ref, route.source, f"no ReferenceGrant lets it name {ref}")
        service = self._backends.service(ref.namespace, ref.name)
        if service is None:
            return Refusal(route.ref, route.source, f"{ref} is not in the input")
        chosen = [self._backends.choose(ref.namespace, ref.name, number, (protocol,)) for number in numbers]
        ports = {port: None for backend in chosen if backend for port in backend.ports}
        if not ports:
            return Refusal(route.ref, route.source, f"{ref} has no {protocol} port {', '.join(map(str, numbers))}")
        return Backend(service, tuple(ports))

    def _is_granted(self, route: Loaded, ref: Ref) -> bool:
        return any(namespace == ref.namespace and _grants(grant, route, ref.name) for namespace, grant in self._grants)


def _grants(grant: ReferenceGrant, route: Loaded, name: str) -> bool:
    if grant.spec is None:
        return False
    source = (GROUP, route.ref.kind, route.ref.namespace)
    named = any((found.group, found.kind, found.namespace) == source for found in grant.spec.sources or ())
    return named and any(_is_service(found, name) for found in grant.spec.targets or ())


def _is_service(target: GrantTo, name: str) -> bool:
    return target.group == "" and target.kind == "Service" and target.name in (None, "", name)


def _named(backend: BackendRef) -> str:
    return f"{backend.kind}/{backend.name}"


def _is_asked(listener: Listener, parent: ParentRef) -> bool:
    named = parent.section_name in (None, "", listener.name)
    return named and parent.port in (None, listener.port)


def _meets(one: str, other: str) -> bool:
    """Whether some host name is of both, either of which may begin with `*.` for one or more labels."""
    one, other = one.lower(), other.lower()
    if one.startswith("*.") and other.startswith("*."):
        return one[1:].endswith(other[1:]) or other[1:].endswith(one[1:])
    if one.startswith("*."):
        return other.endswith(one[1:])
    return one.endswith(other[1:]) if other.startswith("*.") else one == other


__all__ = ["GROUP", "ROUTES", "Gateways"]
