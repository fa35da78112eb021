"""Where the network lets an attacker in: flows to workloads that are marked exploitable (attacks.md §6 'Network join').

A flow alone takes over nothing: only what an entries file or a scanner marks is taken, and only over its ports.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphsec.algebra.ports import PortSet
from graphsec.compile import World
from graphsec.compile.attacks.drawing import METADATA, Link
from graphsec.errors import GraphsecError
from graphsec.model.entries import Entry
from graphsec.model.ref import Ref, Source
from graphsec.query.exposed import Exposed
from graphsec.query.reach import Reach


def links(world: World, *, metadata: bool = False) -> frozenset[Link]:
    """What may open a connection to each marked workload, and with ``metadata`` to the metadata service of the machines.
    None where the input holds no network to ask."""
    found = set(_links(world)) if world.entries else set()
    if metadata and world.attacks.inventory.machines:
        found.update(_to_metadata(world))
    return frozenset(found)


def _to_metadata(world: World) -> Iterator[Link]:
    try:
        flows = list(Reach(destination=METADATA.name, port=80, protocol="TCP").answer(world))
    except GraphsecError:
        return
    for flow in flows:
        if flow.source.ref is not None and flow.ports:
            source = flow.source.ref
            yield Link(source=source, target=METADATA, reason="metadata service", ports="TCP 80", mark=Source("", 0))


def _links(world: World) -> Iterator[Link]:
    targets = dict(marked(world))
    if not targets:
        return
    try:
        exposures = list(Exposed().answer(world))
    except GraphsecError:
        # Without pods, or where NetworkPolicies were never collected, nothing can be said of flows.
        return
    for target, entry in targets.items():
        wanted = _ports(entry)
        for found in exposures:
            if (
                found.workload == target
                and found.origin == "internet"
                and found.verdict != "no"
                and found.ports & wanted
            ):
                yield Link(
                    source=None, target=target, reason=entry.reason, ports=str(found.ports & wanted), mark=entry.source
                )
        for flow in Reach(destination=_word(target)).answer(world):
            if flow.source.ref is not None and flow.ports & wanted:
                ports = str(flow.ports & wanted)
                yield Link(source=flow.source.ref, target=target, reason=entry.reason, ports=ports, mark=entry.source)


def marked(world: World) -> Iterator[tuple[Ref, Entry]]:
    """Workloads, and pods of their own, that an entry means."""
    placed = world.attacks.inventory.placed
    for index, ref in enumerate(placed.refs):
        workload = placed.workloads[placed.workload_of[index]]
        images = tuple(container.image or "" for container in placed.specs[index].all_containers)
        for entry in world.entries:
            if entry.matches(workload, images) or entry.matches(ref, images):
                yield workload, entry


def _word(workload: Ref) -> str:
    return f"{workload.namespace}/{workload.name}[{workload.kind}]"


def _ports(entry: Entry) -> PortSet:
    if not entry.ports:
        return PortSet.of("TCP")
    found = PortSet.of("TCP", entry.ports[0])
    for port in entry.ports[1:]:
        found |= PortSet.of("TCP", port)
    return found
