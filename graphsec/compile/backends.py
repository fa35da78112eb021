"""What stands behind a Service: its pods, and the port of each pod that a port of the Service means (X-06)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from graphsec.algebra.blocks import parse_address
from graphsec.algebra.ports import MAX_PORT, MIN_PORT, NO_PORTS, PROTOCOLS, PortSet
from graphsec.compile.endpoints import VIRTUAL, Endpoints
from graphsec.model.cluster import Cluster
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref
from graphsec.model.traffic import SERVICE_NAME, Endpoint, EndpointSlice, Service, ServicePort

#: An ExternalName that is a Service of the cluster.
_CLUSTER_NAME = re.compile(r"(?P<name>[^.]+)\.(?P<namespace>[^.]+)\.svc(\..*)?$")
#: Pods and what is open at each, by index of the pod.
Targets = dict[int, PortSet]


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service that an entry sends to, and the ports of it that are meant."""

    service: Loaded
    ports: tuple[ServicePort, ...]

    @property
    def text(self) -> str:
        """`80 → 8080, 443 → https`."""
        return ", ".join(_port_text(port) for port in self.ports)


def _port_text(port: ServicePort) -> str:
    protocol = f"/{port.protocol}" if port.protocol not in (None, "TCP") else ""
    return f"{port.port}{protocol} → {port.target}"


class Backends:
    """Finds Services and their pods."""

    def __init__(self, cluster: Cluster, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._cluster = cluster
        self._services = {(loaded.ref.namespace, loaded.ref.name): loaded for loaded in cluster.of("Service")}
        self._selected: dict[tuple[str | None, tuple[tuple[str, str], ...]], list[int]] = {}

    def __iter__(self) -> Iterator[Loaded]:
        return iter(self._services.values())

    def service(self, namespace: str | None, name: str) -> Loaded | None:
        return self._services.get((namespace, name))

    def choose(
        self, namespace: str | None, name: str, wanted: int | str | None, protocols: tuple[str, ...] = ("TCP",)
    ) -> Backend | None:
        """A port of a Service by its number or name, every port for None; of one of the protocols (R-10)."""
        found = self.service(namespace, name)
        if found is None:
            return None
        ports = tuple(port for port in _ports(found) if _is(port, wanted) and (port.protocol or "TCP") in protocols)
        return Backend(found, ports)

    def behind(self, backend: Backend) -> Targets:
        """The pods, and the ports of each that the backend's ports mean; pods without such a port are left out."""
        spec = backend.service.body.spec
        if spec is None:
            return {}
        if spec.type == "ExternalName":
            return self._behind_name(backend)
        if not spec.selector:
            return self._in_slices(backend)
        pods = self.selected(backend.service.ref.namespace, spec.selector)
        return _open({pod: self._resolved(pod, backend.ports) for pod in pods})

    def selected(self, namespace: str | None, selector: Mapping[str, str]) -> list[int]:
        """Pods that a Service's selector finds; policies play no part in it (N-19)."""
        key = (namespace, tuple(sorted(selector.items())))
        known = self._selected.get(key)
        if known is None:
            labels = self._endpoints.labels
            known = [pod for pod in self._in_namespace.get(namespace, ()) if selector.items() <= labels[pod].items()]
            self._selected[key] = known
        return known

    def _behind_name(self, backend: Backend) -> Targets:
        """An ExternalName leads to another Service of the cluster, or out of it."""
        match = _CLUSTER_NAME.match(backend.service.body.spec.external_name or "")
        other = self.service(match["namespace"], match["name"]) if match else None
        if other is None or (other.body.spec and other.body.spec.type == "ExternalName"):
            return {}
        numbers = {port.port for port in backend.ports}
        return self.behind(Backend(other, tuple(port for port in _ports(other) if port.port in numbers)))

    @cached_property
    def _in_namespace(self) -> Mapping[str | None, list[int]]:
        found: dict[str | None, list[int]] = defaultdict(list)
        for pod, ref in enumerate(self._endpoints.refs):
            if ref.kind != VIRTUAL:
                found[ref.namespace].append(pod)
        return found

    def _resolved(self, pod: int, ports: Iterable[ServicePort]) -> PortSet:
        """Only a named target needs a declared container port (X-06); the first of the name and protocol counts."""
        return PortSet.union_of(
            _one(port.protocol, target if isinstance(target, int) else self._named(pod, target, port.protocol or "TCP"))
            for port in ports
            for target in (port.target,)
        )

    def _named(self, pod: int, name: str, protocol: str) -> int:
        declared = self._endpoints.specs[pod].ports()
        found = (port.container_port for port in declared if port.name == name and (port.protocol or "TCP") == protocol)
        return next(found, 0)

    # -- Services without selector ------------------------------------------------------------------------------

    def _in_slices(self, backend: Backend) -> Targets:
        """Pods that EndpointSlices name, by reference or address; other addresses are outside the cluster (N-19)."""
        found: dict[int, PortSet] = {}
        ref = backend.service.ref
        for slice_ in self._slices.get((ref.namespace, ref.name), ()):
            open_ = PortSet.union_of(
                _one(port.protocol, port.port or 0)
                for port in slice_.ports or ()
                for wanted in backend.ports
                if (port.name or "", port.protocol or "TCP") == (wanted.name or "", wanted.protocol or "TCP")
            )
            for endpoint in slice_.endpoints or ():
                for pod in self._pods_of(endpoint, ref.namespace) if endpoint.ready else ():
                    found[pod] = found.get(pod, NO_PORTS) | open_
        return _open(found)

    @cached_property
    def _slices(self) -> Mapping[tuple[str | None, str], list[EndpointSlice]]:
        found: dict[tuple[str | None, str], list[EndpointSlice]] = defaultdict(list)
        for loaded in self._cluster.of("EndpointSlice"):
            service = (loaded.body.metadata.labels or {}).get(SERVICE_NAME)
            if service:
                found[loaded.ref.namespace, service].append(loaded.body)
        return found

    def _pods_of(self, endpoint: Endpoint, namespace: str | None) -> Iterator[int]:
        target = endpoint.target_ref
        if target is not None and target.kind == "Pod":
            known = self._by_ref.get(Ref("Pod", target.name or "", target.namespace or namespace))
            if known is not None:
                yield known
                return
        for text in endpoint.addresses or ():
            try:
                known = self._by_address.get(parse_address(text))
            except ValueError:
                continue
            if known is not None:
                yield known

    @cached_property
    def _by_ref(self) -> Mapping[Ref, int]:
        return {ref: pod for pod, ref in enumerate(self._endpoints.refs)}

    @cached_property
    def _by_address(self) -> Mapping[int, int]:
        """Pods with an address of their own: that of a host-network pod is its node's."""
        given = self._endpoints
        return {
            address: pod
            for pod, held in enumerate(given.addresses)
            for address in held
            if not given.specs[pod].host_network
        }


def _ports(service: Loaded) -> tuple[ServicePort, ...]:
    body: Service = service.body
    return (body.spec.ports or ()) if body.spec else ()


def _is(port: ServicePort, wanted: int | str | None) -> bool:
    """Controllers read a number that is written as a string as the number."""
    return wanted is None or wanted in (port.port, port.name, str(port.port))


def _one(protocol: str | None, number: int) -> PortSet:
    known = (protocol or "TCP") in PROTOCOLS and MIN_PORT <= number <= MAX_PORT
    return PortSet.of(protocol or "TCP", number) if known else NO_PORTS


def _open(targets: Mapping[int, PortSet]) -> Targets:
    return {pod: ports for pod, ports in targets.items() if ports}


__all__ = ["Backend", "Backends", "Targets"]
