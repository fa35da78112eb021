"""Bindings to roles that the input does not hold: where it should, what they grant is unknown and not nothing."""

from __future__ import annotations

from collections.abc import Collection

from graphsec.compile import CLUSTER, World
from graphsec.model.coverage import State
from graphsec.model.rbac import Binding
from graphsec.model.ref import Ref

_SHOWN = 3


def missing_roles(world: World, namespace: str | None, principals: Collection[Ref] = ()) -> tuple[str, ...]:
    """A warning about bindings whose role may well exist, none without such bindings.

    In one namespace ("" is cluster scope) or (None) anywhere; of everybody, or of ``principals``.
    """
    found = _unresolved(world, namespace)
    if principals:
        found = [binding for binding in found if any(principal in binding.subjects for principal in principals)]
    return (_sentence(world, found),) if found else ()


def _unresolved(world: World, namespace: str | None) -> list[Binding]:
    """In a listing of a whole cluster a missing role is missing (S-02); in manifests it is a role of somebody else."""
    found: list[Binding] = world.access.once("unresolved", lambda: _all_unresolved(world))
    return found if namespace is None else [binding for binding in found if binding.scope in (CLUSTER, namespace)]


def _all_unresolved(world: World) -> list[Binding]:
    listed = any(loaded.body.live for loaded in world.cluster.of("ClusterRole", "Role"))
    return [
        binding
        for binding in world.access.dangling()
        if _may_exist(world.coverage[binding.role.kind].state, listed=listed)
    ]


def _may_exist(state: State, *, listed: bool) -> bool:
    if state in (State.COMPLETE, State.EMPTY):
        return False
    return state in (State.ABSENT, State.PARTIAL) or not listed


def _sentence(world: World, found: list[Binding]) -> str:
    shown = ", ".join(f"{binding.ref} → {binding.role}" for binding in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    hint = (
        "; --with-defaults adds the shipped ones" if any(_is_shipped(world, binding.role) for binding in found) else ""
    )
    return f"what these grant is unknown, their roles are not in the input: {shown}{more}{hint}"


def _is_shipped(world: World, role: Ref) -> bool:
    return role in world.provenance.shipped_roles
