"""What traffic starts and ends at: running pods, pods that workloads would create, and nodes; rolled up to workloads.

A workload with pods in the input is read from its pods, any other from its template; never from both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphsec.algebra.blocks import V6_BASE, parse_address
from graphsec.algebra.ports import MAX_PORT, MIN_PORT, PROTOCOLS
from graphsec.compile.profile import Profile
from graphsec.compile.typed_graph import WORKLOADS
from graphsec.model.cluster import Cluster
from graphsec.model.objects import ContainerPort, Loaded, OwnerReference, PodSpec
from graphsec.model.ref import Ref, Source

#: Kinds whose objects hold a pod template.
TEMPLATES = (*WORKLOADS, "VirtualMachine")
_NO_LABELS: dict[str, str] = {}
#: What a StatefulSet gives each of its pods.
POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
#: Stands for pods that the input does not hold; in namespaces that bear no label but their name, which no object can have.
VIRTUAL = "Virtual"
#: What an Ingress or Route sends from where its controller is not in the input (X-05); any pod of any new namespace.
INGRESS_CONTROLLER, ANY_POD = "{ingress-controller}", "{any-pod}"
#: Replicas of a StatefulSet that are told apart without being named.
_ONE_BY_ONE = 100
#: A DaemonSet has a pod on every node, so it has replicas.
_MANY = 2


@dataclass
class Endpoints:
    """Columns over the pods, in canonical order of their refs; ``hosts`` are nodes and host-network pods' nodes."""

    refs: list[Ref] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    labels: list[dict[str, str]] = field(default_factory=list)
    specs: list[PodSpec] = field(default_factory=list)
    #: Addresses as written; () where none is known.
    written: list[tuple[str, ...]] = field(default_factory=list)
    #: Index into ``workloads``.
    workload_of: list[int] = field(default_factory=list)
    #: How many equal pods the entry stands for.
    replicas: list[int] = field(default_factory=list)
    #: True for pods of the input, False for those of a template.
    live: list[bool] = field(default_factory=list)
    workloads: list[Ref] = field(default_factory=list)
    workload_sources: list[Source] = field(default_factory=list)
    #: Pods that hold no address any more (N-18a).
    finished: list[Ref] = field(default_factory=list)
    #: Workloads without pods, and why they have none.
    idle: dict[Ref, str] = field(default_factory=dict)
    #: Indices of the virtual pods, which come last, by name.
    virtual: dict[str, int] = field(default_factory=dict)
    #: Addresses and labels of each node by name.
    nodes: dict[str, Node] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.refs)

    @cached_property
    def addresses(self) -> list[tuple[int, ...]]:
        """Places of each pod on the line of addresses; only policies with blocks need them."""
        return [
            tuple(address for text in texts for address in _parsed(text)) if texts else () for texts in self.written
        ]

    @cached_property
    def pod_addresses(self) -> frozenset[int]:
        return frozenset(address for addresses in self.addresses for address in addresses)

    @cached_property
    def with_odd_ports(self) -> list[Ref]:
        """Pods that declare a port which the API server refuses."""
        odd = {id(spec.containers): any(not is_port(port) for port in spec.ports()) for spec in self.specs}
        return [ref for ref, spec in zip(self.refs, self.specs, strict=True) if odd[id(spec.containers)]]

    @cached_property
    def by_namespace(self) -> dict[str, list[int]]:
        """Indices of the pods of each namespace."""
        found: dict[str, list[int]] = {}
        for index, ref in enumerate(self.refs):
            found.setdefault(ref.namespace or "", []).append(index)
        return found

    @cached_property
    def pods_of_workload(self) -> dict[Ref, list[int]]:
        found: dict[Ref, list[int]] = {ref: [] for ref in self.workloads}
        for index, number in enumerate(self.workload_of):
            found[self.workloads[number]].append(index)
        return found

    @property
    def has_v6(self) -> bool:
        nodes = (address for node in self.nodes.values() for address in (*node.internal, *node.external))
        return any(":" in text for texts in self.written for text in texts) or any(
            address >= V6_BASE for address in nodes
        )

    def add_virtual(self, name: str) -> None:
        """A pod without labels or address in a namespace of its own."""
        ref = Ref(VIRTUAL, name, name)
        self.virtual[name] = len(self.refs)
        self.workload_of.append(len(self.workloads))
        self.workloads.append(ref)
        self.workload_sources.append(Source("", 0))
        self.refs.append(ref)
        self.sources.append(Source("", 0))
        self.labels.append(_NO_LABELS)
        self.specs.append(PodSpec())
        self.written.append(())
        self.replicas.append(1)
        self.live.append(False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node: InternalIP first, and what its labels are."""

    ref: Ref
    source: Source | None
    labels: Mapping[str, str]
    internal: tuple[int, ...] = ()
    external: tuple[int, ...] = ()


def place_endpoints(cluster: Cluster, profile: Profile, ordinals: frozenset[str] | None) -> Endpoints:
    """Every endpoint of the cluster; ``ordinals`` are the pod names and indices by which policies tell the replicas of a
    StatefulSet apart, None where they do not look at them."""
    found = Endpoints()
    _Owners(cluster, found, profile).place(ordinals)
    for name in (INGRESS_CONTROLLER, ANY_POD):
        found.add_virtual(name)
    for loaded in cluster.of("Node"):
        found.nodes[loaded.ref.name] = _node(loaded)
    return found


def _node(loaded: Loaded) -> Node:
    status = loaded.body.status
    given = [
        (found.type, address)
        for found in (status.addresses or () if status else ())
        for address in _parsed(found.address)
    ]
    return Node(
        ref=loaded.ref,
        source=loaded.source,
        labels=loaded.body.metadata.labels or _NO_LABELS,
        internal=tuple(address for kind, address in given if kind == "InternalIP"),
        external=tuple(address for kind, address in given if kind == "ExternalIP"),
    )


def _parsed(text: str) -> tuple[int, ...]:
    """Hostnames stand among the addresses of nodes."""
    try:
        return (parse_address(text),)
    except ValueError:
        return ()


class _Owners:
    """Fills the columns; knows which controller each pod belongs to in the end."""

    def __init__(self, cluster: Cluster, found: Endpoints, profile: Profile) -> None:
        self._cluster = cluster
        self._found = found
        self._profile = profile
        self._numbers: dict[Ref, int] = {}
        self._templates = {loaded.ref: loaded for loaded in cluster.of(*TEMPLATES)}
        self._by_owners: dict[tuple[str | None, int, str | None], Ref | None] = {}

    def place(self, ordinals: frozenset[str] | None) -> None:
        covered = set()
        for loaded in self._cluster.of("Pod"):
            owner = self._owner_of_pod(loaded)
            covered.add(owner)
            status = loaded.body.status
            if status is not None and status.finished and not self._profile.finished_pods:
                self._found.finished.append(loaded.ref)
                continue
            addresses = status.addresses if status else ()
            self._add(loaded, owner, loaded.body.metadata.labels, loaded.body.spec, addresses, live=True)
        for loaded in self._templates.values():
            if loaded.ref not in covered and self._above(loaded) is None:
                self._place_template(loaded, ordinals)
        gone = covered - self._numbers.keys()
        self._found.idle.update(dict.fromkeys(gone, "all its pods have finished and hold no address (N-18a)"))

    def _add(
        self,
        loaded: Loaded,
        owner: Ref,
        labels: dict[str, str] | None,
        spec: PodSpec,
        addresses: tuple[str, ...] = (),
        *,
        replicas: int = 1,
        live: bool = False,
        ref: Ref | None = None,
    ) -> None:
        found = self._found
        number = self._numbers.get(owner)
        if number is None:
            number = self._numbers[owner] = len(found.workloads)
            found.workloads.append(owner)
            template = self._templates.get(owner)
            found.workload_sources.append(template.source if template else loaded.source)
        found.refs.append(ref or loaded.ref)
        found.sources.append(loaded.source)
        found.labels.append(labels or _NO_LABELS)
        found.specs.append(spec)
        found.written.append(addresses)
        found.workload_of.append(number)
        found.replicas.append(replicas)
        found.live.append(live)

    # -- templates ----------------------------------------------------------------------------------------------

    def _place_template(self, loaded: Loaded, ordinals: frozenset[str] | None) -> None:
        template = loaded.body.template
        if template is None or _has_no_pods(loaded):
            self._found.idle[loaded.ref] = "it has no pod: no template, no replicas, or it has run"
            return
        labels = dict(template.metadata.labels or {}) if template.metadata else {}
        replicas = _replicas(loaded)
        if loaded.ref.kind == "Job":
            labels |= {"job-name": loaded.ref.name, "batch.kubernetes.io/job-name": loaded.ref.name}
        if loaded.ref.kind == "StatefulSet" and ordinals is not None and replicas > 0:
            for labels_of_pod, count in _ordinal_labels(loaded, replicas, ordinals):
                pod = Ref("Pod", labels_of_pod[POD_NAME], loaded.ref.namespace)
                self._add(loaded, loaded.ref, labels | labels_of_pod, template.spec, ref=pod, replicas=count)
        else:
            self._add(loaded, loaded.ref, labels, template.spec, replicas=replicas)

    # -- owners -------------------------------------------------------------------------------------------------

    def _owner_of_pod(self, loaded: Loaded) -> Ref:
        """The workload of a pod, or the pod itself."""
        metadata = loaded.body.metadata
        owners = metadata.owner_references
        if not owners:
            return loaded.ref
        template_hash = (metadata.labels or _NO_LABELS).get("pod-template-hash")
        # The tuple is shared by the pods of one owner and lives as long as they do.
        key = (loaded.ref.namespace, id(owners), template_hash)
        if key not in self._by_owners:
            self._by_owners[key] = self._top(owners, loaded.ref.namespace, template_hash)
        return self._by_owners[key] or loaded.ref

    def _top(self, owners: tuple[OwnerReference, ...], namespace: str | None, template_hash: str | None) -> Ref | None:
        """The workload at the end of the chain; None for a pod that a node owns (a mirror pod) or that nobody controls.

        A workload that a custom resource controls stays itself; a pod that one controls belongs to the resource.
        """
        owner = next((owner for owner in owners if owner.controller), None)
        if owner is None or owner.kind == "Node" or not owner.name:
            return None
        ref = Ref(owner.kind or "Pod", owner.name, namespace)
        loaded = self._templates.get(ref)
        if loaded is not None:
            return self._above(loaded) or ref
        return self._inferred(ref, template_hash) or ref

    def _above(self, loaded: Loaded) -> Ref | None:
        """The workload of the input that creates this one, at the end of the chain; None too where they own each other."""
        seen = {loaded.ref}
        while above := self._creator(loaded):
            if above.ref in seen:
                return None
            seen.add(above.ref)
            loaded = above
        return loaded.ref if len(seen) > 1 else None

    def _creator(self, loaded: Loaded) -> Loaded | None:
        owners = (owner for owner in loaded.body.metadata.owner_references or () if owner.controller)
        found = (self._templates.get(Ref(owner.kind, owner.name, loaded.ref.namespace)) for owner in owners)
        return next((above for above in found if above is not None), None)

    def _inferred(self, ref: Ref, template_hash: str | None) -> Ref | None:
        """The owner of a ReplicaSet, Job or machine that is not in the input, by the names that controllers give."""
        above = None
        if ref.kind == "ReplicaSet" and template_hash and ref.name.endswith(f"-{template_hash}"):
            above = Ref("Deployment", ref.name.removesuffix(f"-{template_hash}"), ref.namespace)
        elif ref.kind == "Job":
            name, _, stamp = ref.name.rpartition("-")
            above = Ref("CronJob", name, ref.namespace) if stamp.isdigit() else None
        elif ref.kind == "VirtualMachineInstance":
            above = Ref("VirtualMachine", ref.name, ref.namespace)
        return above if above in self._templates else None


def _has_no_pods(loaded: Loaded) -> bool:
    """Scaled to nothing, or a Job that has run."""
    spec: Any = loaded.body.spec
    if loaded.ref.kind == "Job":
        status = loaded.body.status
        return status is not None and status.completion_time is not None
    return getattr(spec, "replicas", None) == 0


def _replicas(loaded: Loaded) -> int:
    if loaded.ref.kind == "DaemonSet":
        return _MANY
    replicas: int | None = getattr(loaded.body.spec, "replicas", None)
    return 1 if replicas is None else replicas


def _ordinal_labels(loaded: Loaded, replicas: int, named: frozenset[str]) -> Iterator[tuple[dict[str, str], int]]:
    """(labels, number of pods): few replicas one by one; of many, those that policies name, and one for all others."""
    ordinals = loaded.body.spec.ordinals
    start = ordinals.start if ordinals else 0

    def labels(index: int) -> dict[str, str]:
        return {POD_NAME: f"{loaded.ref.name}-{index}", POD_INDEX: str(index)}

    every = range(start, start + replicas)
    alone = list(every[:_ONE_BY_ONE])
    if replicas > _ONE_BY_ONE:
        given = (text.removeprefix(f"{loaded.ref.name}-") for text in named)
        alone = sorted({int(text) for text in given if text.isascii() and text.isdigit()}.intersection(every))
        if len(alone) < replicas:
            yield labels(next(index for index in every if index not in alone)), replicas - len(alone)
    yield from ((labels(index), 1) for index in alone)


def named_ports(ports: list[ContainerPort]) -> frozenset[tuple[str, str, int]]:
    """(name, protocol, number) of every named port: names are unique per container only (N-09d)."""
    return frozenset(
        (port.name, port.protocol or "TCP", port.container_port) for port in ports if port.name and is_port(port)
    )


def is_port(port: ContainerPort) -> bool:
    """Whether the API server would take it; others are left out of every answer, with a warning."""
    return (port.protocol or "TCP") in PROTOCOLS and MIN_PORT <= port.container_port <= MAX_PORT
