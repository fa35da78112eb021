"""Questions about flows to time on a network, and the comparison of their answers with what the network was made to have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.networks import Network, Planted

if TYPE_CHECKING:
    import graphsec as gs

Calls = Iterator[Callable[[], object]]
_CLASSES, _PODS = 200, 20


# -- probes: each loads, returns the calls to time, and checks the world that they were made to ------------------


def _all_pairs(path: Path, network: Network) -> Calls:
    """From a loaded world to every allowed flow: classes, both sides, their join."""
    world = _load(path)
    yield partial(_compiled, world)
    check_ends(world, network.planted())


def _who_reaches_cold(path: Path, network: Network) -> Calls:
    """The first question to a loaded world: classes and both sides, and no join."""
    world = _load(path)
    yield lambda: world.flows.reaching(world.flows.universe.pods // 2)
    check_ends(world, network.planted())


def _who_reaches(path: Path, network: Network) -> Calls:
    """To a world that has answered before, each time about another class."""
    world = _load(path)
    check_ends(world, network.planted())
    flows = world.flows
    step = max(1, flows.universe.pods // _CLASSES)
    for number in range(0, flows.universe.pods, step):
        yield partial(flows.reaching, number)


def _who_reaches_pod(path: Path, network: Network) -> Calls:
    """The same as a user asks it, by the name of a pod and with every row of the answer read."""
    import graphsec as gs

    world = _load(path)
    check_ends(world, network.planted())
    pods = [loaded.ref for loaded in world.cluster.of("Pod")]
    for ref in pods[:: max(1, len(pods) // _PODS)]:
        yield partial(_rows, partial(gs.reach, world, None, f"{ref.namespace}/{ref.name}"))


def _map(path: Path, network: Network) -> Calls:
    """The whole map as people read it, from flows that are compiled."""
    import graphsec as gs

    world, planted = _load(path), network.planted()
    world.flows.bicliques()
    yield partial(_rows, partial(gs.reach, world, fold=planted.fold))
    check(world, planted)


def _answer(path: Path, network: Network) -> Calls:
    """From the path to the whole map, in a process that has started."""
    import graphsec as gs

    yield lambda: _rows(partial(gs.reach, gs.load(str(path)), fold=network.planted().fold))


FLOW_PROBES: Mapping[str, Callable[[Path, Network], Calls]] = {
    "flows": _all_pairs,
    "who reaches, cold": _who_reaches_cold,
    "who reaches": _who_reaches,
    "who reaches, pod": _who_reaches_pod,
    "map": _map,
    "load and map": _answer,
}


def _load(path: Path) -> gs.World:
    import graphsec as gs

    return gs.load(str(path))


def _compiled(world: gs.World) -> object:
    # In a call of its own, since `world.flows` is part of the work.
    return world.flows.bicliques()


def _rows(ask: Callable[[], gs.Answer[gs.Flow]]) -> int:
    return sum(bool(flow.source) for flow in ask())


# -- answers -------------------------------------------------------------------------------------------------------


def check(world: gs.World, planted: Planted) -> None:
    """Fail unless the world has exactly the flows that its network was made to have."""
    import graphsec as gs

    check_ends(world, planted)
    found = len(gs.reach(world, fold=planted.fold))
    if planted.flows not in (None, found):
        raise AssertionError(f"{found:,} flows, not {planted.flows:,}")


def check_ends(world: gs.World, planted: Planted) -> None:
    """Fail unless one pod is reached from where it should be, and single connections are as planted."""
    import graphsec as gs

    rows = gs.reach(world, None, planted.target, fold=planted.sources_fold)
    found = {str(flow.source): str(flow.ports) for flow in rows}
    if found != planted.sources:
        differing = sorted(set(found.items()) ^ set(planted.sources.items()))
        raise AssertionError(f"sources of {planted.target}, found or planted alone: {differing[:5]}")
    for packets, verdict in ((planted.allowed, "allow"), (planted.denied, "no")):
        for packet in packets:
            decision = gs.can_reach(world, packet.source, packet.destination, port=packet.port)
            if decision.verdict != verdict:
                raise AssertionError(f"{packet}: {decision.verdict}, not {verdict} ({decision.reason})")
