"""What saved queries choose among the ends of flows: workloads by their ports and volumes, sources by where they run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.compile import World
from graphsec.compile.backends import Backend, Backends
from graphsec.compile.endpoints import VIRTUAL
from graphsec.errors import LimitError
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer
from graphsec.query._ends import workload_label
from graphsec.query.reach import Flow, Reach

#: More flows than a list of findings is good for.
_MOST_FLOWS = 200_000


def destinations(world: World, ports: Sequence[int], *, claims: bool) -> dict[Ref, PortSet]:
    """Workloads that serve one of the TCP ports, and, for ``claims``, mount a PersistentVolumeClaim; with those ports."""
    endpoints = world.flows.endpoints
    serving = _serving(world, PortSet.of("TCP", *ports)) if ports else dict.fromkeys(range(len(endpoints)), ALL_PORTS)
    found: dict[Ref, PortSet] = {}
    for pod, served in serving.items():
        if claims and not any(volume.persistent_volume_claim for volume in endpoints.specs[pod].volumes or ()):
            continue
        ref = endpoints.workloads[endpoints.workload_of[pod]]
        found[ref] = found.get(ref, NO_PORTS) | served
    return found


def _serving(world: World, wanted: PortSet) -> dict[int, PortSet]:
    """Of each pod the ports that its containers declare, or to which a Service leads (X-06)."""
    found: dict[int, PortSet] = defaultdict(lambda: NO_PORTS)
    for pod, spec in enumerate(world.flows.endpoints.specs):
        for port in spec.ports():
            if port.protocol in (None, "TCP") and ("TCP", port.container_port) in wanted:
                found[pod] |= PortSet.of("TCP", port.container_port)
    for pod, reached in _behind_services(world):
        if reached & wanted:
            found[pod] |= reached & wanted
    return found


def _behind_services(world: World) -> Iterator[tuple[int, PortSet]]:
    backends = Backends(world.cluster, world.flows.endpoints)
    for service in backends:
        spec = service.body.spec
        if spec and spec.ports:
            yield from backends.behind(Backend(service, spec.ports)).items()


def to_each(world: World, question: Reach, workloads: Iterable[Ref]) -> list[Answer[Flow]]:
    """The question for each destination. Raises LimitError for more flows than findings are good for."""
    answers, total = [], 0
    for label in sorted(map(workload_label, workloads)):
        answers.append(replace(question, destination=label).answer(world))
        total += len(answers[-1])
        if total > _MOST_FLOWS:
            raise LimitError(
                f"more than {_MOST_FLOWS:,} flows: too many to list as findings", help="graphsec reach --fold namespace"
            )
    return answers


def narrowed(flow: Flow, wanted: PortSet) -> Flow | None:
    """The flow as far as it is on the ports, None if it is on none of them."""
    ports, possible = flow.ports & wanted, flow.possible & wanted
    if (ports, possible) == (flow.ports, flow.possible):
        return flow
    return replace(flow, ports=ports, possible=possible) if (ports or possible) != NO_PORTS else None


def namespace_of(ref: Ref | None) -> str | None:
    """None for what is in no namespace."""
    return None if ref is None else ref.name if ref.kind == "Namespace" else ref.namespace


def on_pod_network(world: World) -> frozenset[Ref]:
    """Workloads with a pod that policies apply to, and namespaces: not nodes, addresses and host-network pods (N-14)."""
    endpoints, hosts = world.flows.endpoints, set(world.flows.universe.host_pods)
    pods = (pod for pod in range(len(endpoints)) if pod not in hosts and endpoints.refs[pod].kind != VIRTUAL)
    found = {endpoints.workloads[endpoints.workload_of[pod]] for pod in pods}
    return frozenset(found | {Ref("Namespace", ref.namespace or "") for ref in found})


__all__ = ["destinations", "namespace_of", "narrowed", "on_pod_network", "to_each"]
