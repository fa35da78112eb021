"""Probes of attack paths: the graph, all subjects to all sinks, one path with its evidence; answers are checked against single searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import graphsec as gs
    from graphsec.query._attack_ends import End
    from graphsec.query._attack_reach import Reached

Calls = Iterator[Callable[[], Any]]
_PATHS, _CHECKED = 50, 40


def _load(path: Path) -> gs.World:
    import graphsec as gs

    return gs.load(str(path), k8s_version="1.36")


def _graph(path: Path) -> Calls:
    """Cluster to attack graph, the flows of the network left out."""
    world = _load(path)
    return iter([world.attacks.graph])


def _sinks(path: Path) -> Calls:
    """Every subject to cluster-admin, a node and all Secrets, proved or conditional."""
    world = _load(path)
    starts = _starts(world)
    yield partial(_to_all, world, starts)
    check(world, starts)


def _starts(world: gs.World) -> list[End]:
    from graphsec.query._attack_starts import all_starts

    return all_starts(world, world.attacks.graph())[0]


def _to_all(world: gs.World, starts: list[End]) -> list[list[Reached]]:
    from graphsec.query._attack_ends import SINKS, goal
    from graphsec.query._attack_reach import reaching

    graph = world.attacks.graph()
    return [reaching(graph, starts, goal(name, world, graph)) for name in SINKS]


def check(world: gs.World, starts: list[End]) -> None:
    """What all at once says of some starts is what a search for each alone says."""
    from graphsec.compile.attacks.drawing import DEAR
    from graphsec.model.attack import CLUSTER

    horn = world.attacks.graph().horn
    together = {found.start.text: found.proved for found in _to_all(world, starts)[0]}
    if not together:
        raise AssertionError("no start reaches cluster-admin: the cluster is no test")
    for start in Random(1).sample(starts, min(_CHECKED, len(starts))):
        proof = horn.prove([horn.ids[fact] for fact in start.facts if fact in horn.ids], horn.ids[CLUSTER])
        alone = None if proof is None else proof.cost < DEAR
        if together.get(start.text) != alone:
            raise AssertionError(f"{start.text}: {together.get(start.text)} together, {alone} alone")


def _path(path: Path) -> Calls:
    """One subject to cluster-admin with every step's evidence, in a world that has answered before."""
    import graphsec as gs

    world = _load(path)
    sources = [found.start.text for found in _to_all(world, _starts(world))[0]]
    gs.paths(world, sources[0]).to_dicts()
    step = max(1, len(sources) // _PATHS)
    yield from (partial(_told, world, source) for source in islice(sources, 1, None, step))


def _told(world: gs.World, source: str) -> int:
    import graphsec as gs

    return len(gs.paths(world, source).to_dicts())


def size_of(path: Path) -> tuple[int, int]:
    """(clauses, grants plus objects): the bound that clauses are to keep."""
    world = _load(path)
    graph = world.attacks.graph()
    grants = sum(len(binding.subjects) for binding in world.access.bindings)
    return graph.horn.clause_count, grants + len(world.cluster.inventory)


ATTACK_PROBES: dict[str, Callable[[Path], Calls]] = {
    "attack graph": _graph,
    "all subjects to all sinks": _sinks,
    "path with evidence": _path,
}


def main() -> None:
    import sys

    clauses, bound = size_of(Path(sys.argv[1]))
    print(f"{clauses:,} clauses; {bound:,} grants and objects")


if __name__ == "__main__":
    main()
