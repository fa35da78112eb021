"""The one typed graph: principals, bindings, roles, permissions, workloads and what they use.

Arcs are facts of the input; holders times targets is never multiplied out. Labels are ``Ref``; a permission's label is
``Ref("Permission", <rule as text>)``, shared by all roles that hold the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from graphsec.compile.access import AccessIndex
from graphsec.graph import Builder, Graph
from graphsec.model.cluster import Cluster
from graphsec.model.memberships import Memberships
from graphsec.model.objects import Container, Loaded, Pod, PodSpec, Volume
from graphsec.model.rbac import PolicyRule, implicit_groups, username
from graphsec.model.ref import Ref
from graphsec.model.vocabulary import EdgeKind, NodeKind

if TYPE_CHECKING:
    import networkx as nx

WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController")
_KINDS = {kind.value: kind for kind in NodeKind} | dict.fromkeys(WORKLOADS, NodeKind.WORKLOAD)
_Build = Builder[NodeKind, EdgeKind]


def build_graph(
    cluster: Cluster, access: AccessIndex, memberships: Memberships, add_derived: Callable[[_Build], None]
) -> Graph[NodeKind, EdgeKind]:
    """Inventory as nodes; access, then workloads, then traffic, then allowed flows and attacks as edges."""
    builder: _Build = Builder()
    for ref in cluster.inventory:
        builder.node(ref, _KINDS.get(ref.kind, NodeKind.OTHER))
    _add_access(builder, access)
    _add_memberships(builder, memberships)
    _add_workloads(builder, cluster)
    _add_storage_and_traffic(builder, cluster)
    add_derived(builder)
    return builder.freeze()


def _node(builder: _Build, ref: Ref) -> Ref:
    """A node for a ref that the input may only mention (a missing role, Secret or account)."""
    builder.node(ref, _KINDS.get(ref.kind, NodeKind.OTHER))
    return ref


def _add_access(builder: _Build, access: AccessIndex) -> None:
    for binding in access.bindings:
        node = _node(builder, binding.ref)
        builder.edge(node, _node(builder, binding.role), EdgeKind.REFERS_TO, binding.scope)
        for subject in binding.subjects:
            builder.edge(_node(builder, subject), node, EdgeKind.HOLDS, binding.scope)
    for role in access.roles.values():
        for rule in role.rules:
            builder.edge(_node(builder, role.ref), _node(builder, permission(rule)), EdgeKind.PERMITS)
    for subject in access.subjects:
        if subject.kind != "Group":
            _join(builder, subject, implicit_groups(username(subject)))


def permission(rule: PolicyRule) -> Ref:
    """The node of a rule: `get,list [""] secrets (names: a)` or `get /healthz`."""
    if rule.urls:
        return Ref(NodeKind.PERMISSION, f"{','.join(rule.verbs)} {','.join(rule.urls)}")
    names = f" (names: {','.join(rule.names)})" if rule.names else ""
    groups = ",".join(group or '""' for group in rule.groups)
    return Ref(NodeKind.PERMISSION, f"{','.join(rule.verbs)} [{groups}] {','.join(rule.resources)}{names}")


def _join(builder: _Build, subject: Ref, groups: tuple[str, ...]) -> None:
    for group in groups:
        builder.edge(_node(builder, subject), _node(builder, Ref("Group", group)), EdgeKind.MEMBER_OF)


def _add_memberships(builder: _Build, memberships: Memberships) -> None:
    for user, groups in memberships.groups.items():
        _join(builder, Ref("User", user), groups)


def _add_workloads(builder: _Build, cluster: Cluster) -> None:
    for loaded in cluster.of("ServiceAccount"):
        _join(builder, loaded.ref, implicit_groups(username(loaded.ref)))
    for loaded in cluster.of("Pod", *WORKLOADS):
        spec = loaded.body.spec if isinstance(loaded.body, Pod) else loaded.body.pod_spec
        for owner in loaded.body.metadata.owner_references or ():
            if owner.controller and owner.kind in WORKLOADS:
                owner_ref = Ref(owner.kind, owner.name, loaded.ref.namespace)
                builder.edge(loaded.ref, _node(builder, owner_ref), EdgeKind.OWNED_BY)
        if spec is not None:
            _add_pod_spec(builder, loaded, spec)


def _add_pod_spec(builder: _Build, loaded: Loaded, spec: PodSpec) -> None:
    account = Ref("ServiceAccount", spec.account, loaded.ref.namespace)
    builder.edge(loaded.ref, _node(builder, account), EdgeKind.RUNS_AS)
    if spec.node_name and loaded.ref.kind == "Pod":
        builder.edge(_node(builder, Ref("Node", spec.node_name)), loaded.ref, EdgeKind.HOSTS)
    for kind, name in sorted(set(used_objects(spec))):
        builder.edge(loaded.ref, _node(builder, Ref(kind, name, loaded.ref.namespace)), EdgeKind.MOUNTS)


def used_objects(spec: PodSpec) -> Iterator[tuple[str, str]]:
    """(kind, name) of every Secret, ConfigMap and claim that the pod mounts or reads into its environment."""
    for volume in spec.volumes or ():
        yield from _volume_objects(volume)
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        yield from _container_objects(container)


def _volume_objects(volume: Volume) -> Iterator[tuple[str, str]]:
    sources: list[tuple[str, str | None]] = [
        ("Secret", volume.secret.secret_name if volume.secret else None),
        ("ConfigMap", volume.config_map.name if volume.config_map else None),
        (
            "PersistentVolumeClaim",
            volume.persistent_volume_claim.claim_name if volume.persistent_volume_claim else None,
        ),
    ]
    for projection in (volume.projected.sources or ()) if volume.projected else ():
        sources.append(("Secret", projection.secret.name if projection.secret else None))
        sources.append(("ConfigMap", projection.config_map.name if projection.config_map else None))
    yield from ((kind, name) for kind, name in sources if name)


def _container_objects(container: Container) -> Iterator[tuple[str, str]]:
    references = [
        *(
            (variable.value_from.secret_key_ref, variable.value_from.config_map_key_ref)
            for variable in container.env or ()
            if variable.value_from
        ),
        *((source.secret_ref, source.config_map_ref) for source in container.env_from or ()),
    ]
    for secret, config_map in references:
        if secret and secret.name:
            yield "Secret", secret.name
        if config_map and config_map.name:
            yield "ConfigMap", config_map.name


def _add_storage_and_traffic(builder: _Build, cluster: Cluster) -> None:
    for loaded in cluster.of("PersistentVolumeClaim"):
        if loaded.body.spec and loaded.body.spec.volume_name:
            volume = _node(builder, Ref("PersistentVolume", loaded.body.spec.volume_name))
            builder.edge(loaded.ref, volume, EdgeKind.BOUND_TO)
    for loaded in cluster.of("Ingress"):
        for service in loaded.body.backends():
            target = _node(builder, Ref("Service", service, loaded.ref.namespace))
            builder.edge(loaded.ref, target, EdgeKind.ROUTES_TO)


def to_networkx(graph: Graph[NodeKind, EdgeKind], sources: Any = None) -> nx.MultiDiGraph[str]:
    """See ``World.to_networkx``."""
    import networkx as nx

    from graphsec.compile.attack_graph import attack_words

    out: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for node in graph.nodes():
        ref: Ref = graph.label(node)
        attributes: dict[str, Any] = {
            "kind": graph.kind(node).value,
            "name": ref.name,
            "namespace": ref.namespace or "",
        }
        if sources and (source := sources.get(ref)):
            attributes |= {"file": source.file, "line": source.line}
        out.add_node(str(ref), **attributes)
    for edge in graph.edges():
        tail, head = str(graph.label(edge.tail)), str(graph.label(edge.head))
        key = f"{edge.kind.value}:{edge.scope}"
        out.add_edge(tail, head, key=key, kind=edge.kind.value, scope=edge.scope, **attack_words(edge))
    return out
