"""What an attacker can lay hands on: namespaces, accounts, Secrets, pods of one kind, nodes, volumes; from the cluster alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from msgspec.structs import replace

from graphsec.compile.endpoints import place_endpoints
from graphsec.compile.escapes import Effect, Escape, escapes
from graphsec.compile.pod_security import enforcement
from graphsec.compile.profile import UPSTREAM
from graphsec.compile.typed_graph import used_objects
from graphsec.model.cluster import Cluster
from graphsec.model.coverage import State
from graphsec.model.objects import MIRROR, Container, HostPath, Loaded, Pod, PodSpec, Volume, VolumeMount
from graphsec.model.ref import Ref, Source, ref_order

TOKEN_SECRET = "kubernetes.io/service-account-token"
BOOTSTRAP_TOKEN = "bootstrap.kubernetes.io/token"
#: A token Secret with this label is refused by the authenticator (S-90).
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
_CONTROL_PLANE = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/controlplane",
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/etcd",
)
#: The audiences with which the API server itself takes a token; "" and None are its own.
_API_AUDIENCES = ("", "api", "https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local")


@dataclass
class PodKind:
    """Pods that differ in nothing an attacker could use but their name and node."""

    namespace: str
    spec: PodSpec
    #: One of them: the first in canonical order, or the workload that would create them.
    ref: Ref
    source: Source
    #: Nodes that hold one, "" where the input does not say.
    nodes: dict[str, Ref] = field(default_factory=dict)
    members: list[Ref] = field(default_factory=list)
    #: Node of each member that has one.
    placed: dict[Ref, str] = field(default_factory=dict)
    #: False for what a template would create.
    live: bool = True
    mirror: bool = False
    escapes: tuple[Escape, ...] = ()
    #: Where the token of the account is mounted from, "" without one.
    token: str = ""
    #: Audiences other than the API server for which a container holds a token of the account.
    audiences: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    #: (kind, name) of what it mounts or reads into its environment.
    uses: tuple[tuple[str, str], ...] = ()

    @property
    def least_escapes(self) -> tuple[Escape, ...]:
        """One escape of each effect and set of assumptions that no other with the effect makes do with less."""
        found: list[Escape] = []
        for escape in sorted(self.escapes, key=lambda escape: (escape.heuristic, len(escape.assumptions))):
            if not any(
                one.effect is escape.effect and set(one.assumptions) <= set(escape.assumptions) for one in found
            ):
                found.append(escape)
        return tuple(found)

    def node_of(self, pod: Ref) -> str:
        """ "" where the input does not say."""
        return self.placed.get(pod, "")

    @property
    def account(self) -> Ref:
        return Ref("ServiceAccount", self.spec.account, self.namespace)


class Inventory:
    """Built once; every list is in canonical order."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.enforcements = {
            loaded.ref.name: enforcement(loaded.body.metadata.labels) for loaded in cluster.of("Namespace")
        }
        self.accounts = {loaded.ref: loaded for loaded in cluster.of("ServiceAccount")}
        self.kinds: list[PodKind] = []
        #: Kind of each single pod.
        self.kind_of: dict[Ref, PodKind] = {}
        #: Pods that run no more, whose objects still lend their node what they mount.
        self.finished: list[Loaded] = []
        self._read_pods()
        self.namespaces = self._find_namespaces()
        self.nodes = {loaded.ref.name: loaded for loaded in cluster.of("Node")}
        self.secrets = {loaded.ref: loaded for loaded in cluster.of("Secret")}

    # -- pods ---------------------------------------------------------------------------------------------------

    def _read_pods(self) -> None:
        bodies = {loaded.ref: loaded for loaded in self._cluster.of("Pod")}
        found: dict[Any, PodKind] = {}
        placed = self.placed = place_endpoints(self._cluster, UPSTREAM, None)
        for ref, spec, source, live, replicas, labels in zip(
            placed.refs, placed.specs, placed.sources, placed.live, placed.replicas, placed.labels, strict=True
        ):
            if ref.kind == "Virtual" or not replicas:
                continue
            mirror = live and bool(bytes(bodies[ref].body.metadata.annotations)) and _is_mirror(bodies[ref])
            key = (ref.namespace, _likeness(spec), mirror, live or ref)
            kind = found.get(key)
            if kind is None:
                kind = found[key] = self._kind(ref, spec, source, live=live, mirror=mirror)
                kind.labels = labels
            kind.members.append(ref)
            kind.nodes.setdefault(spec.node_name or "", ref)
            if spec.node_name:
                kind.placed[ref] = spec.node_name
            self.kind_of[ref] = kind
        self.kinds = list(found.values())
        self.finished = [bodies[ref] for ref in placed.finished]

    def _kind(self, ref: Ref, spec: PodSpec, source: Source, *, live: bool, mirror: bool) -> PodKind:
        return PodKind(
            namespace=ref.namespace or "",
            spec=spec,
            ref=ref,
            source=source,
            live=live,
            mirror=mirror,
            escapes=escapes(self._with_volumes(spec, ref.namespace or "")),
            token="" if mirror else self.token_source(spec, ref.namespace or ""),
            audiences=_audiences(spec),
            uses=tuple(sorted(set(used_objects(spec)))),
        )

    def token_source(self, spec: PodSpec, namespace: str) -> str:
        """The field by which a container of the pod holds a token of its account for the API server (S-92), "" if none does."""
        for index, volume in enumerate(spec.volumes or ()):
            for place, projection in enumerate((volume.projected.sources or ()) if volume.projected else ()):
                token = projection.service_account_token
                if token is not None and (token.audience or "") in _API_AUDIENCES and _is_mounted(spec, volume.name):
                    return f"spec.volumes[{index}].projected.sources[{place}].serviceAccountToken"
        if not _takes_automount(spec):
            return ""
        if spec.automount_service_account_token is not None:
            return "spec.automountServiceAccountToken" if spec.automount_service_account_token else ""
        account = self.accounts.get(Ref("ServiceAccount", spec.account, namespace))
        mounts = account.body.automount_service_account_token if account else None
        return "" if mounts is False else "spec.serviceAccountName"

    def _with_volumes(self, spec: PodSpec, namespace: str) -> PodSpec:
        """The spec with the paths on the node that its claims are bound to in place of the claims."""
        claims = self._host_paths
        if not claims or not spec.volumes:
            return spec
        volumes = tuple(
            replace(volume, host_path=HostPath(path=claims[key]), persistent_volume_claim=None)
            if volume.persistent_volume_claim
            and (key := (namespace, volume.persistent_volume_claim.claim_name or "")) in claims
            else volume
            for volume in spec.volumes
        )
        return replace(spec, volumes=volumes)

    @cached_property
    def _host_paths(self) -> dict[tuple[str, str], str]:
        """(namespace, claim) -> the path on a node that it is bound to."""
        paths = {
            loaded.ref.name: loaded.body.spec.path
            for loaded in self._cluster.of("PersistentVolume")
            if loaded.body.spec and loaded.body.spec.path
        }
        bound = {
            (claim.ref.namespace or "", claim.ref.name): paths[claim.body.spec.volume_name]
            for claim in self._cluster.of("PersistentVolumeClaim")
            if claim.body.spec and claim.body.spec.volume_name in paths
        }
        for loaded in self._cluster.of("PersistentVolume"):
            if loaded.ref.name in paths and (reserved := loaded.body.spec.claim_ref) is not None:
                bound.setdefault((reserved.namespace, reserved.name), paths[loaded.ref.name])
        return bound

    # -- namespaces, accounts -----------------------------------------------------------------------------------

    def _find_namespaces(self) -> tuple[str, ...]:
        """Those that exist: whatever lives in one proves it. A binding's subject proves nothing."""
        named = {ref.namespace for ref in self._cluster.inventory if ref.namespace}
        return tuple(sorted(named | set(self.enforcements)))

    def listed(self, kind: str) -> bool:
        """Whether the input shows every object of a kind, so that one that is not there does not exist."""
        return self._cluster.coverage[kind].state in (State.COMPLETE, State.EMPTY, State.ASSUMED)

    def is_complete(self, kind: str) -> bool:
        """Whether the input proves that it shows every object of a kind."""
        return self._cluster.coverage[kind].state in (State.COMPLETE, State.EMPTY)

    def is_empty(self, kind: str) -> bool:
        """Whether the input proves that there is no object of a kind."""
        return self.is_complete(kind) and not self._cluster.coverage[kind].objects

    def names(self, kind: str, namespace: str) -> frozenset[str]:
        """Names that are taken in a namespace."""
        return self._names.get((kind, namespace), frozenset())

    @cached_property
    def _names(self) -> dict[tuple[str, str], frozenset[str]]:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for kind in _POD_MAKERS:
            for loaded in self._cluster.of(kind):
                found[kind, loaded.ref.namespace or ""].add(loaded.ref.name)
        return {key: frozenset(names) for key, names in found.items()}

    @cached_property
    def node_names(self) -> frozenset[str]:
        """Those with an object, and those that pods are placed on."""
        return frozenset(self.nodes) | {node for kind in self.kinds for node in kind.nodes if node}

    @cached_property
    def machines(self) -> dict[str, str]:
        """Nodes that are machines of a cloud, by the id that it gave them."""
        ids = {name: loaded.body.spec.provider_id for name, loaded in self.nodes.items() if loaded.body.spec}
        return {name: found for name, found in ids.items() if found.startswith(_METADATA_CLOUDS)}

    @cached_property
    def control_plane(self) -> dict[str, str]:
        """Nodes with the label or taint of a control plane, and where it stands; a provider that manages it shows none."""
        return {name: mark for name, loaded in self.nodes.items() if (mark := _control_plane_mark(loaded))}

    def workloads(self, kind: str, namespace: str) -> list[Ref]:
        """Controllers of a kind in a namespace, "" for all."""
        return self._workloads.get((kind, namespace), [])

    @cached_property
    def _workloads(self) -> dict[tuple[str, str], list[Ref]]:
        found: dict[tuple[str, str], list[Ref]] = defaultdict(list)
        for kind in _CHANGEABLE:
            for loaded in self._cluster.of(kind):
                found[kind, loaded.ref.namespace or ""].append(loaded.ref)
                found[kind, ""].append(loaded.ref)
        return found

    def secrets_in(self, namespace: str) -> list[Ref]:
        return self._secrets_by_namespace.get(namespace, [])

    @cached_property
    def _secrets_by_namespace(self) -> dict[str, list[Ref]]:
        """Those of the input; where it does not list Secrets, also those that pods use."""
        found: dict[str, dict[Ref, None]] = defaultdict(dict)
        for ref in self.secrets:
            found[ref.namespace or ""][ref] = None
        for kind in self.kinds if not self.listed("Secret") else ():
            for used, name in kind.uses:
                if used == "Secret":
                    found[kind.namespace][Ref("Secret", name, kind.namespace)] = None
        return {namespace: sorted(refs, key=ref_order) for namespace, refs in found.items()}

    def finished_on(self, node: str) -> list[tuple[Ref, tuple[tuple[str, str], ...]]]:
        """Pods that have run on a node, and what they used: the Node authorizer lets it read that on."""
        return self._finished.get(node, [])

    def account_of(self, finished: Ref) -> Ref:
        return self._finished_accounts[finished]

    @cached_property
    def _finished_accounts(self) -> dict[Ref, Ref]:
        return {
            loaded.ref: Ref("ServiceAccount", loaded.body.spec.account, loaded.ref.namespace)
            for loaded in self.finished
        }

    @cached_property
    def _finished(self) -> dict[str, list[tuple[Ref, tuple[tuple[str, str], ...]]]]:
        found: dict[str, list[tuple[Ref, tuple[tuple[str, str], ...]]]] = defaultdict(list)
        for loaded in self.finished:
            found[loaded.body.spec.node_name or ""].append(
                (loaded.ref, tuple(sorted(set(used_objects(loaded.body.spec)))))
            )
        return found

    @property
    def has_aws_auth(self) -> bool:
        """Whether the cluster maps cloud roles by a ConfigMap (EKS)."""
        return Ref("ConfigMap", "aws-auth", "kube-system") in self._cluster.inventory

    @cached_property
    def installed(self) -> frozenset[tuple[str, str]]:
        """(group, resource) of every custom resource that the input defines."""
        return frozenset((found.group, found.name) for found in self._cluster.custom_resources)

    @cached_property
    def deputies(self) -> list[Ref]:
        """Accounts of controllers that apply what others write (attacks.md §5), where they run."""
        return [ref for ref in self.accounts if ref.name in _DEPUTIES]

    @cached_property
    def free_volume(self) -> Loaded | None:
        """A volume that is a dangerous path on a node and that any claim may name."""
        for loaded in self._cluster.of("PersistentVolume"):
            spec = loaded.body.spec
            if (
                spec is not None
                and spec.path
                and _is_dangerous(spec.path)
                and spec.claim_ref is None
                and loaded.ref.name not in self._claimed
            ):
                return loaded
        return None

    @cached_property
    def _claimed(self) -> frozenset[str]:
        claims = self._cluster.of("PersistentVolumeClaim")
        return frozenset(
            claim.body.spec.volume_name for claim in claims if claim.body.spec and claim.body.spec.volume_name
        )

    @cached_property
    def host_claims(self) -> dict[str, Loaded]:
        """A claim of each namespace whose volume is a path that opens its node."""
        found: dict[str, Loaded] = {}
        for claim in self._cluster.of("PersistentVolumeClaim"):
            path = self._host_paths.get((claim.ref.namespace or "", claim.ref.name))
            if path and _is_dangerous(path):
                found.setdefault(claim.ref.namespace or "", claim)
        for volume in self._cluster.of("PersistentVolume"):
            spec = volume.body.spec
            if spec and spec.path and spec.claim_ref is not None and _is_dangerous(spec.path):
                found.setdefault(spec.claim_ref.namespace, volume)
        return found


_POD_MAKERS = ("Pod", "Job", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "CronJob")
_CHANGEABLE = frozenset({"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "CronJob"})


#: Clouds whose machines get their identity from a metadata service.
_METADATA_CLOUDS = ("aws:", "gce:", "azure:", "openstack:", "digitalocean:", "oci:", "alicloud:", "ibm:")


@cache
def _is_dangerous(path: str) -> bool:
    """Whether a writable mount of a host's path opens the node, by the rules for hostPath volumes."""
    mount = VolumeMount(name="v", mount_path="/v")
    spec = PodSpec(
        containers=(Container(volume_mounts=(mount,)),), volumes=(Volume(name="v", host_path=HostPath(path)),)
    )
    return any(found.effect is Effect.NODE_ROOT and not found.heuristic for found in escapes(spec))


#: Flux and Argo CD: each applies any object that its custom resources point to.
_DEPUTIES = frozenset({"kustomize-controller", "helm-controller", "argocd-application-controller"})


def _control_plane_mark(node: Loaded) -> str:
    """The pointer of the label or taint that says so, "" without."""
    labels = node.body.metadata.labels or {}
    label = next((key for key in _CONTROL_PLANE if key in labels), "")
    if label:
        return f"metadata.labels[{label}]"
    taints = node.body.spec.taints or () if node.body.spec else ()
    place = next((index for index, taint in enumerate(taints) if taint.key in _CONTROL_PLANE), -1)
    return f"spec.taints[{place}]" if place >= 0 else ""


def _is_mirror(loaded: Loaded) -> bool:
    pod: Pod = loaded.body
    return MIRROR in pod.annotations


def _likeness(spec: PodSpec) -> tuple[Any, ...]:
    """Equal for pods of one template: their parts are shared by the reader, so identity is enough and equality exact."""
    return (
        id(spec.containers),
        id(spec.init_containers),
        id(spec.ephemeral_containers),
        id(spec.volumes),
        id(spec.security_context),
        spec.account,
        spec.automount_service_account_token,
        spec.host_network,
        spec.host_pid,
        spec.host_ipc,
        spec.host_users,
        spec.share_process_namespace,
        spec.runtime_class_name,
    )


_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def _takes_automount(spec: PodSpec) -> bool:
    """Some container that is not ephemeral has no mount of its own at the token's path."""
    return any(
        not any(mount.mount_path.rstrip("/") == _TOKEN_PATH for mount in container.volume_mounts or ())
        for container in (*(spec.containers or ()), *(spec.init_containers or ()))
    )


def _audiences(spec: PodSpec) -> frozenset[str]:
    tokens = (
        projection.service_account_token
        for volume in spec.volumes or ()
        for projection in ((volume.projected.sources or ()) if volume.projected else ())
        if projection.service_account_token is not None and _is_mounted(spec, volume.name)
    )
    return frozenset(token.audience for token in tokens if token.audience) - frozenset(_API_AUDIENCES)


def _is_mounted(spec: PodSpec, volume: str) -> bool:
    return any(mount.name == volume for container in spec.all_containers for mount in container.volume_mounts or ())
