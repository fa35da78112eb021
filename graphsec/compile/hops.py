"""Ways from outside to pods as values: what is passed on the way, what policies see of the client, which ports are meant."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.ports import PortSet
from graphsec.compile.backends import Backend, Targets
from graphsec.compile.endpoints import Endpoints
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref, Source


@dataclass(frozen=True, slots=True)
class Hop:
    """One object on the way, where it stands, and what of it is meant: a host, `80 → 8080`."""

    ref: Ref
    source: Source | None = None
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.ref} ({self.detail})" if self.detail else str(self.ref)

    def to_dict(self) -> dict[str, Any]:
        place = {"file": self.source.file, "line": self.source.line} if self.source else None
        fields = {"object": str(self.ref), "detail": self.detail or None, "source": place}
        return {key: value for key, value in fields.items() if value is not None}


class Sees(enum.Enum):
    """Whom the policies of the pod take for the sender."""

    #: The client's own address.
    CLIENT = "client"
    #: The client or, after source NAT, the node by which the traffic comes in (X-02, N-13a).
    NODE = "node"
    #: The pods of a controller, which opens connections of its own (X-05).
    SENDER = "sender"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to the pods of one workload. ``kind`` names the object or field that opens it: LoadBalancer, hostPort, Ingress."""

    kind: str
    hops: tuple[Hop, ...]
    sees: Sees
    #: Index of the workload, and (pod, its ports).
    workload: int
    targets: tuple[tuple[int, PortSet], ...]
    #: Pods that send, for ``Sees.SENDER``.
    senders: tuple[int, ...] = ()
    #: Why only a private network can use it, "" where nothing says so.
    internal: str = ""
    #: The only client addresses that it accepts (X-03).
    ranges: AddressSet | None = None
    #: What the input does not tell and the way depends on.
    conditions: tuple[str, ...] = ()

    @property
    def ports(self) -> PortSet:
        return PortSet.union_of(ports for _, ports in self.targets)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that leads nowhere, and why."""

    ref: Ref
    source: Source
    reason: str


def hop(loaded: Loaded, detail: str = "") -> Hop:
    return Hop(loaded.ref, loaded.source, detail)


def service_hop(backend: Backend) -> Hop:
    return hop(backend.service, backend.text)


def by_workload(endpoints: Endpoints, targets: Targets) -> Iterator[tuple[int, tuple[tuple[int, PortSet], ...]]]:
    """The pods of each workload apart."""
    found: dict[int, list[tuple[int, PortSet]]] = defaultdict(list)
    for pod, ports in sorted(targets.items()):
        found[endpoints.workload_of[pod]].append((pod, ports))
    for workload, pods in found.items():
        yield workload, tuple(pods)


def workload_hop(endpoints: Endpoints, workload: int, ports: PortSet) -> Hop:
    return Hop(endpoints.workloads[workload], endpoints.workload_sources[workload], str(ports))


def routes_to(
    endpoints: Endpoints, targets: Targets, hops: Iterable[Hop], kind: str, sees: Sees, **fields: Any
) -> Iterator[Route]:
    """A route for each workload among the targets."""
    before = tuple(hops)
    for workload, pods in by_workload(endpoints, targets):
        last = workload_hop(endpoints, workload, PortSet.union_of(ports for _, ports in pods))
        yield Route(kind=kind, hops=(*before, last), sees=sees, workload=workload, targets=pods, **fields)


__all__ = ["Hop", "Refusal", "Route", "Sees", "by_workload", "hop", "routes_to", "service_hop", "workload_hop"]
