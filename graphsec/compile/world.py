"""The compiled world: what every question is asked of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphsec.collector import collector_paused
from graphsec.compile.access import AccessIndex, grant_access
from graphsec.compile.diagnostics import rbac_diagnostics
from graphsec.compile.profile import UPSTREAM, Profile
from graphsec.compile.provenance import Provenance
from graphsec.graph import Builder, Graph
from graphsec.model.cluster import Cluster
from graphsec.model.coverage import RBAC_KINDS, Coverage
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.discovery import DEFAULT_MINOR, Discovery
from graphsec.model.entries import Entry
from graphsec.model.memberships import Memberships
from graphsec.model.rbac import implicit_groups, subject_ref, username
from graphsec.model.ref import Ref
from graphsec.model.vocabulary import EdgeKind, NodeKind

if TYPE_CHECKING:
    import networkx as nx

    from graphsec.compile.attacks import Attacks
    from graphsec.compile.flows import Flows
    from graphsec.compile.routes import Routes

Baseline = Callable[[], Sequence[Cluster]]


@dataclass(frozen=True, kw_only=True)
class World:
    """A cluster with its meaning. Immutable; parts that not every question needs are computed when first asked for."""

    cluster: Cluster
    access: AccessIndex
    memberships: Memberships = field(default_factory=Memberships)
    #: Minor version whose behaviour is assumed, and whether the user said so.
    minor: int = DEFAULT_MINOR
    minor_stated: bool = False
    #: Profile of network.md §4 for the questions on flows.
    cni: Profile = UPSTREAM
    #: Gives the default objects of the shipped minors, for telling built-in bindings by content.
    baseline: Baseline = tuple
    #: Gives the objects that a cluster of this minor is born with; None where nobody knows them.
    defaults: Callable[[], Cluster] | None = None

    #: Workloads that can be taken over by their ports.
    entries: tuple[Entry, ...] = ()

    @cached_property
    def attacks(self) -> Attacks:
        """What can take over what."""
        from graphsec.compile.attacks import Attacks

        return Attacks(self)

    def without(self, refs: Collection[Ref]) -> World:
        """The same world as if some objects had not been in the input."""
        cluster = self.cluster
        objects = {
            kind: tuple(loaded for loaded in found if loaded.ref not in refs) for kind, found in cluster.objects.items()
        }
        return self.of(replace(cluster, objects=objects))

    def of(self, cluster: Cluster) -> World:
        """Another cluster under the same assumptions."""
        return replace(self, cluster=cluster, access=grant_access(cluster))

    @cached_property
    def flows(self) -> Flows:
        """Which connections the objects allow."""
        # numpy costs a tenth of a second that questions about access need not spend.
        from graphsec.compile.flows import compile_flows

        with collector_paused():
            return compile_flows(self.cluster, self.cni)

    @cached_property
    def routes(self) -> Routes:
        """The ways from outside to pods that Services, Ingresses and the like open."""
        from graphsec.compile.routes import find_routes

        return find_routes(self.cluster, self.flows)

    @cached_property
    def remembered(self) -> dict[Hashable, Any]:
        """What has been answered about this world, by the question."""
        return {}

    @property
    def coverage(self) -> Coverage:
        return self.cluster.coverage

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What the loader reported, then what only meaning reveals (dangling roleRefs, drift)."""
        return (*self.cluster.diagnostics, *rbac_diagnostics(self.cluster, self.access))

    @cached_property
    def discovery(self) -> Discovery:
        return Discovery(self.minor, self.cluster.custom_resources)

    @cached_property
    def provenance(self) -> Provenance:
        return Provenance(self.access, [grant_access(cluster) for cluster in self.baseline()])

    @cached_property
    def graph(self) -> Graph[NodeKind, EdgeKind]:
        """The typed graph. who-can and can-i read ``access``, which holds the same facts indexed by request."""
        from graphsec.compile.attack_graph import add_attacks
        from graphsec.compile.flow_graph import add_flows
        from graphsec.compile.typed_graph import build_graph

        def add_derived(builder: Builder[NodeKind, EdgeKind]) -> None:
            add_flows(builder, self.flows)
            # Without any RBAC object nothing is known of who may do what, `paths` refuses as well.
            if any(self.cluster.objects.get(kind) for kind in RBAC_KINDS):
                add_attacks(builder, self.attacks.graph())

        with collector_paused():
            return build_graph(self.cluster, self.access, self.memberships, add_derived)

    def to_networkx(self) -> nx.MultiDiGraph[str]:
        """The graph as a MultiDiGraph: nodes are ``str(Ref)`` with ``kind``, ``name``, ``namespace``, ``file``, ``line``;
        edges have ``kind`` and ``scope`` ("" at cluster scope), attack edges also ``rule`` and ``assumptions``; their key is
        ``kind:scope``."""
        from graphsec.compile.typed_graph import to_networkx

        return to_networkx(self.graph, self.cluster.inventory)

    def groups_of(self, user: str) -> tuple[str, ...]:
        """Implicit groups of a user name (S-46) and those that the membership file names."""
        return tuple(dict.fromkeys((*implicit_groups(user), *self.memberships.groups.get(user, ()))))

    def principals(self, user: str, groups: Sequence[str]) -> tuple[Ref, ...]:
        """The user and the groups as bindings may name them."""
        return (subject_ref(user), *(Ref("Group", group) for group in groups))

    def principals_of(self, subject: Ref) -> tuple[Ref, ...]:
        """A subject and every group that it is known to be in; a group stands for itself."""
        if subject.kind == "Group":
            return (subject,)
        user = username(subject)
        return self.principals(user, self.groups_of(user))

    def __repr__(self) -> str:
        counts = f"{len(self.access.subjects):,} subjects, {len(self.access.bindings):,} bindings, {len(self.access.roles):,} roles"
        pods = len(self.cluster.objects.get("Pod", ()))
        return f"World({counts}, {pods:,} pods, assumed minor 1.{self.minor})"


def compile_world(
    cluster: Cluster,
    *,
    memberships: Memberships | None = None,
    minor: int | None = None,
    cni: Profile = UPSTREAM,
    baseline: Baseline = tuple,
    defaults: Callable[[], Cluster] | None = None,
    entries: tuple[Entry, ...] = (),
) -> World:
    """Cluster to World."""
    return World(
        cluster=cluster,
        access=grant_access(cluster),
        memberships=memberships or Memberships(),
        minor=DEFAULT_MINOR if minor is None else minor,
        minor_stated=minor is not None,
        cni=cni,
        baseline=baseline,
        defaults=defaults,
        entries=entries,
    )
