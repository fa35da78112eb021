"""Changes that the flows between workloads do not show: some pods of a workload gain or lose what others of it have (R-05)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphsec.algebra.blocks import ALL_ADDRESSES, AddressSet
from graphsec.algebra.ports import NO_PORTS, PortSet
from graphsec.compile.flows import Flows
from graphsec.compile.fold import Units
from graphsec.compile.masks import Rows
from graphsec.compile.trace import Point
from graphsec.model.policy import Direction
from graphsec.model.ref import Ref
from graphsec.query._flow_evidence import allowing
from graphsec.query.can_reach import FlowEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class PodChange:
    """What one pod may exchange with a workload or with addresses, in each world; ``outgoing`` if it opens the connection."""

    workload: Ref
    pod: Ref
    other: Ref | AddressSet
    outgoing: bool
    before: PortSet
    after: PortSet
    proof: tuple[FlowEvidence, ...]


def pod_changes(old: Flows, new: Flows) -> Iterator[PodChange]:
    """Of every pod that both worlds have and whose workload is told apart by policies in one of them."""
    before, after = _View(old), _View(new)
    for workload, pod in sorted(before.uneven | after.uneven):
        here, there = before.place(workload, pod), after.place(workload, pod)
        if here is None or there is None:
            continue
        for outgoing in (True, False):
            one, other = before.of(here, outgoing=outgoing), after.of(there, outgoing=outgoing)
            for end, was, now in _differences(one, other):
                proof = after.proof(there, end, outgoing=outgoing) or before.proof(here, end, outgoing=outgoing)
                yield PodChange(
                    workload=workload, pod=pod, other=end, outgoing=outgoing, before=was, after=now, proof=proof
                )


Seen = tuple[dict[Ref, PortSet], dict[PortSet, AddressSet]]


def _differences(old: Seen, new: Seen) -> Iterator[tuple[Ref | AddressSet, PortSet, PortSet]]:
    for ref in sorted(old[0].keys() | new[0].keys()):
        was, now = old[0].get(ref, NO_PORTS), new[0].get(ref, NO_PORTS)
        if was != now:
            yield ref, was, now
    for was, here in _with_rest(old[1]):
        for now, there in _with_rest(new[1]):
            if was != now:
                yield from ((AddressSet((span,)), was, now) for span in (here & there).spans)


def _with_rest(outside: dict[PortSet, AddressSet]) -> Iterator[tuple[PortSet, AddressSet]]:
    yield from outside.items()
    yield NO_PORTS, ALL_ADDRESSES - AddressSet.union_of(outside.values())


class _View:
    """One world, as single pods see it."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._units = Units.of(flows, "workload")
        self.pods = {ref: pod for pod, ref in enumerate(flows.endpoints.refs) if ref.kind == "Pod"}

    @cached_property
    def uneven(self) -> frozenset[tuple[Ref, Ref]]:
        """(workload, pod) of workloads whose pods policies tell apart."""
        endpoints, members = self._flows.endpoints, self._units.pods
        return frozenset(
            (endpoints.workloads[unit], endpoints.refs[pod])
            for unit in self._units.uneven
            for pod in members[unit].tolist()
        )

    def place(self, workload: Ref, pod: Ref) -> int | None:
        """Index of the pod, or of the template that stands for it where no policy tells the replicas apart."""
        if pod in self.pods:
            return self.pods[pod]
        only = self._flows.endpoints.pods_of_workload.get(workload, [])
        return only[0] if len(only) == 1 and self._flows.endpoints.refs[only[0]] == workload else None

    def _workload(self, pod: int) -> Ref:
        endpoints = self._flows.endpoints
        return endpoints.workloads[endpoints.workload_of[pod]]

    def of(self, pod: int, *, outgoing: bool) -> Seen:
        """Certain ports by workload, its own left out, and addresses by ports."""
        flows, units = self._flows, self._units
        traffic, rows = flows.universe.traffic, units.rows
        inside: dict[Ref, PortSet] = defaultdict(lambda: NO_PORTS)
        outside: dict[PortSet, AddressSet] = defaultdict(AddressSet)
        for number in flows.universe.classes[pod].tolist():
            for classes, amount in flows.reached_from(number) if outgoing else flows.reaching(number):
                ports = traffic.ports(amount.certain)
                if not ports:
                    continue
                for unit in _units_of(rows, classes):
                    if unit >= units.count:
                        outside[ports] |= flows.universe.cell_addresses[unit - units.count]
                    elif flows.endpoints.workloads[unit] != self._workload(pod):
                        inside[flows.endpoints.workloads[unit]] |= ports
        return dict(inside), dict(outside)

    def proof(self, pod: int, end: Ref | AddressSet, *, outgoing: bool) -> tuple[FlowEvidence, ...]:
        """The rules of both sides, where this world allows something."""
        flows = self._flows
        ref = flows.endpoints.refs[pod]
        own = Point(number=int(flows.universe.classes[pod][0]), label=f"{ref.namespace}/{ref.name}")
        found: dict[FlowEvidence, None] = {}
        for peer in self._points(end):
            source, destination = (own, peer) if outgoing else (peer, own)
            if flows.between(source.number, destination.number).certain:
                found.update(dict.fromkeys(allowing(flows, Direction.EGRESS, source, destination)))
                found.update(dict.fromkeys(allowing(flows, Direction.INGRESS, destination, source)))
        return tuple(found)

    def _points(self, end: Ref | AddressSet) -> Iterator[Point]:
        universe = self._flows.universe
        if isinstance(end, AddressSet):
            for cell, addresses in enumerate(universe.cell_addresses):
                if addresses & end:
                    yield Point(number=universe.outside + cell, label=str(end))
            return
        for pod in self._flows.endpoints.pods_of_workload.get(end, ())[:1]:
            yield Point(number=int(universe.classes[pod][0]), label=f"{end.namespace}/{end.name}")


def _units_of(rows: Rows, classes: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> list[int]:
    found: list[int] = np.unique(rows.expand(classes)[1]).tolist()
    return found
