"""Where attacks may begin: the subjects of a cluster, without those that every cluster has."""

from __future__ import annotations

from graphsec.compile import World
from graphsec.compile.attacks import AttackGraph
from graphsec.compile.attacks.gains import pod_fact
from graphsec.model.ref import Ref, ref_order
from graphsec.query._attack_ends import End, start


def all_starts(world: World, graph: AttackGraph, *, include_builtin: bool = False) -> tuple[list[End], int]:
    """(starts in canonical order, how many built-in ones are left out)."""
    subjects = dict.fromkeys(sorted({*world.access.subjects, *_accounts(graph)}, key=ref_order))
    kept = [subject for subject in subjects if include_builtin or not is_builtin(world, subject)]
    return [start(str(subject), world, graph) for subject in kept], len(subjects) - len(kept)


def pods(graph: AttackGraph) -> list[End]:
    """One start for each kind of pod: those that differ in nothing but name and node are one."""
    found = {}
    for kind in graph.drawing.inventory.kinds:
        text = f"{kind.ref.kind}/{kind.namespace}/{kind.ref.name}"
        found[text] = End(text, (pod_fact(kind),))
    return [found[text] for text in sorted(found)]


def _accounts(graph: AttackGraph) -> list[Ref]:
    inventory = graph.drawing.inventory
    return [*inventory.accounts, *(kind.account for kind in inventory.kinds)]


def is_builtin(world: World, subject: Ref) -> bool:
    """Whether a subject holds something, and nothing but what Kubernetes ships; told by content, never by name."""
    held = world.attacks.bindings_of(subject)
    return bool(held) and all(world.provenance.is_builtin(binding) for binding in held)
