"""The attack graph: what each identity, pod and node can take over, as facts and clauses."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from graphsec.collector import collector_paused
from graphsec.compile.access import AccessIndex, grant_access, principal
from graphsec.compile.attacks.draw import draw
from graphsec.compile.attacks.drawing import AttackGraph, Drawing, Link
from graphsec.compile.attacks.inventory import Inventory
from graphsec.compile.attacks.principals import Principals
from graphsec.model.cluster import Cluster
from graphsec.model.coverage import RBAC_KINDS
from graphsec.model.ref import Ref, ref_order

if TYPE_CHECKING:
    from graphsec.compile.world import World

__all__ = ["AttackGraph", "Attacks", "Link"]

_ADMIN = Ref("ClusterRole", "cluster-admin")


class Attacks:
    """Attack graphs of one world: one for each set of assumptions that a question takes as facts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._graphs: dict[tuple[frozenset[str], frozenset[Link]], AttackGraph] = {}

    @cached_property
    def inventory(self) -> Inventory:
        return Inventory(self._world.cluster)

    @cached_property
    def supplied(self) -> frozenset[Ref]:
        """RBAC objects that every cluster is born with and this input does not show."""
        return frozenset() if self._complete is None else self._complete[1]

    @cached_property
    def access(self) -> AccessIndex:
        return self._world.access if self._complete is None else self._complete[0]

    @cached_property
    def _complete(self) -> tuple[AccessIndex, frozenset[Ref]] | None:
        world = self._world
        if _ADMIN in world.access.roles or world.defaults is None:
            return None
        defaults = world.defaults()
        cluster = _with_rbac(world.cluster, defaults)
        supplied = frozenset(
            loaded.ref
            for kind in RBAC_KINDS
            for loaded in defaults.objects.get(kind, ())
            if loaded.ref not in world.cluster.inventory
        )
        return grant_access(cluster), supplied

    @cached_property
    def _shipped_accounts(self) -> frozenset[Ref]:
        defaults = self._world.defaults() if self._world.defaults else None
        bindings = defaults.of("ClusterRoleBinding", "RoleBinding") if defaults else ()
        found = [
            principal(subject, loaded.ref.namespace) for loaded in bindings for subject in loaded.body.subjects or ()
        ]
        return frozenset(ref for ref in found if ref and ref.kind == "ServiceAccount")

    def bindings_of(self, subject: Ref) -> list[Ref]:
        """The bindings of the input that name a subject."""
        access = self._world.access
        return [access.bindings[index].ref for index in access.all_held(subject)]

    def graph(self, granted: frozenset[str] = frozenset(), links: frozenset[Link] = frozenset()) -> AttackGraph:
        """The graph in which ``granted`` assumptions are facts and ``links`` lead to marked workloads."""
        found = self._graphs.get((granted, links))
        if found is None:
            with collector_paused():
                principals = Principals(self.access, self._world.memberships, self.supplied)
                drawing = Drawing(
                    self.inventory,
                    self.access,
                    principals,
                    self._world.minor,
                    supplied=self.supplied,
                    granted=granted,
                    links=links,
                    shipped=self._shipped_accounts,
                )
                found = self._graphs[granted, links] = draw(drawing)
        return found


def _with_rbac(cluster: Cluster, defaults: Cluster) -> Cluster:
    """A cluster and the RBAC objects of another one that it does not hold itself."""
    objects = dict(cluster.objects)
    for kind in RBAC_KINDS:
        by_ref = {loaded.ref: loaded for loaded in (*defaults.objects.get(kind, ()), *objects.get(kind, ()))}
        objects[kind] = tuple(sorted(by_ref.values(), key=lambda loaded: ref_order(loaded.ref)))
    return replace(cluster, objects=objects)
