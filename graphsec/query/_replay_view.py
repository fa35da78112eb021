"""What the objects of a cluster say, read afresh for ``replay``: RBAC, pods and where they run, tokens, Secrets, namespaces.

Shares nothing with the attack graph or its inventory: a mistake there must not be repeated here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import msgspec

from graphsec.algebra.ports import PortSet
from graphsec.compile import AccessIndex, World
from graphsec.compile.access import grant_access
from graphsec.compile.pod_security import Enforcement, Level, admits, enforcement, violations
from graphsec.model.coverage import RBAC_KINDS, State
from graphsec.model.entries import Entry
from graphsec.model.objects import MIRROR, Container, Loaded, Pod, PodMetadata, PodSpec
from graphsec.model.rbac import Binding, Role
from graphsec.model.ref import Ref

#: What may refuse a pod and is not evaluated (attacks.md §3.0 WEBHOOK).
_ADMISSION = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy")
_CONTROL_PLANE = frozenset(
    f"node-role.kubernetes.io/{role}" for role in ("control-plane", "controlplane", "master", "etcd")
)
#: Where the token of an account is mounted without being asked for (S-92).
_DEFAULT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
_API_SERVER = "https://kubernetes.default.svc"
TOKEN_TYPE, BOOTSTRAP_TYPE = "kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"
_DISUSED = "kubernetes.io/legacy-token-invalid-since"
UNKNOWN_NODE = "of "
_METADATA = "169.254.169.254"
#: Pod, ReplicaSet, Deployment, and what made that.
_MAX_OWNERS = 5


class Place(NamedTuple):
    """Where code runs: a pod of the input, or one that a template makes."""

    ref: Ref
    spec: PodSpec
    live: bool = True
    mirror: bool = False

    @property
    def node(self) -> str:
        return self.spec.node_name or ""


class View:
    """One world's objects, looked up by what they are."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.minor = world.minor
        self.cluster = world.cluster

    # -- RBAC ---------------------------------------------------------------------------------------------------

    @cached_property
    def bindings(self) -> dict[Ref, Binding]:
        return {binding.ref: binding for binding in self.access(supplied=True).bindings}

    @cached_property
    def by_subject(self) -> dict[Ref, list[Binding]]:
        found: dict[Ref, list[Binding]] = defaultdict(list)
        for binding in self.bindings.values():
            for subject in binding.subjects:
                found[subject].append(binding)
        return found

    def role(self, ref: Ref) -> Role | None:
        return self.access(supplied=True).roles.get(ref)

    def roles(self) -> Iterator[Ref]:
        yield from self.access(supplied=True).roles

    def is_supplied(self, *refs: Ref) -> bool:
        """Whether one of the objects is not in the input but in every cluster (A:BOOTSTRAP-RBAC)."""
        return not self._supplied.isdisjoint(refs)

    def access(self, *, supplied: bool) -> AccessIndex:
        return self._complete if supplied else self.world.access

    @cached_property
    def _complete(self) -> AccessIndex:
        if not self._supplied or self.world.defaults is None:
            return self.world.access
        defaults = self.world.defaults()
        objects = dict(self.cluster.objects)
        for kind in RBAC_KINDS:
            added = [loaded for loaded in defaults.of(kind) if loaded.ref in self._supplied]
            objects[kind] = (*objects.get(kind, ()), *added)
        return grant_access(replace(self.cluster, objects=objects))

    @cached_property
    def _supplied(self) -> frozenset[Ref]:
        """Nothing where the input shows `cluster-admin`: then it shows what is there."""
        if self.world.defaults is None or Ref("ClusterRole", "cluster-admin") in self.world.access.roles:
            return frozenset()
        shipped = (loaded.ref for loaded in self.world.defaults().of(*RBAC_KINDS))
        return frozenset(ref for ref in shipped if ref not in self.cluster.inventory)

    def is_aggregated(self, role: Ref) -> bool:
        """Whether the rules of a ClusterRole are those of others."""
        if role.kind != "ClusterRole" or self.role(role) is None:
            return False
        own = (loaded for loaded in self.cluster.of("ClusterRole") if loaded.ref == role)
        shipped = (
            self.world.defaults().of("ClusterRole") if self.is_supplied(role) and self.world.defaults else iter(())
        )
        found = next((loaded for loaded in (*own, *shipped) if loaded.ref == role), None)
        return found is not None and found.body.selectors is not None

    # -- Objects ------------------------------------------------------------------------------------------------

    def shows_all(self, kind: str) -> bool:
        """Whether an object of this kind that the input lacks does not exist."""
        return self.cluster.coverage[kind].state in (State.COMPLETE, State.EMPTY, State.ASSUMED)

    def exists(self, ref: Ref) -> bool:
        return ref in self.cluster.inventory

    def object(self, ref: Ref) -> Loaded | None:
        return self._by_kind(ref.kind).get(ref)

    def _by_kind(self, kind: str) -> dict[Ref, Loaded]:
        found = self._objects.get(kind)
        if found is None:
            found = self._objects[kind] = {loaded.ref: loaded for loaded in self.cluster.of(kind)}
        return found

    @cached_property
    def _objects(self) -> dict[str, dict[Ref, Loaded]]:
        return {}

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """What lives in one proves it; what a binding names proves nothing."""
        inventory = self.cluster.inventory
        return frozenset(ref.name if ref.kind == "Namespace" else ref.namespace or "" for ref in inventory) - {""}

    @property
    def admission(self) -> tuple[str, ...]:
        """What the admission of a pod rests on: that nothing refuses it which is not seen or not understood."""
        proven = (State.COMPLETE, State.EMPTY)
        open_ = all(
            self.cluster.coverage[kind].state in proven and not self.cluster.objects.get(kind) for kind in _ADMISSION
        )
        return () if open_ else ("WEBHOOK",)

    def enforcement(self, namespace: str) -> Enforcement | None:
        """None for a namespace without label or object: the default of the server holds."""
        loaded = self.object(Ref("Namespace", namespace))
        found = enforcement(loaded.body.metadata.labels) if loaded else None
        return found if found and found.written else None

    def host_fields(self, namespace: str) -> tuple[str, ...] | None:
        """What a privileged pod rests on in a namespace, None where it is refused (attacks.md §4.1)."""
        found = self.enforcement(namespace)
        if found is None:
            return ("PSA",)
        return () if admits("privileged", found, self.minor) else None

    def judged_again(self, place: Place) -> tuple[str, ...] | None:
        """The same for a pod as it stands."""
        found = self.enforcement(place.ref.namespace or "")
        pod = Pod(metadata=PodMetadata(), spec=place.spec)
        if found is None:
            return ("PSA",) if violations(pod, Level.BASELINE, self.minor) else ()
        minor = self.minor if found.minor is None else min(found.minor, self.minor)
        return None if found.level is not Level.PRIVILEGED and violations(pod, found.level, minor) else ()

    # -- Accounts and Secrets -----------------------------------------------------------------------------------

    def account(self, name: str, namespace: str) -> tuple[str, ...] | None:
        """What the existence of an account rests on, None where it does not exist."""
        if self.exists(Ref("ServiceAccount", name, namespace)) or self._runs_as(name, namespace):
            return ()
        if name == "default" and namespace in self.namespaces:
            return ()
        proven = self.cluster.coverage["ServiceAccount"].state in (State.COMPLETE, State.EMPTY)
        own = not proven and namespace == "kube-system" and self._is_of_controller(name)
        return None if self.shows_all("ServiceAccount") and not own else ("ACCOUNT-EXISTS",)

    def _is_of_controller(self, name: str) -> bool:
        """Whether one of the controllers that every cluster runs has an account of this name."""
        defaults = self.world.defaults() if self.world.defaults else None
        bindings = defaults.of("ClusterRoleBinding", "RoleBinding") if defaults else ()
        return any(
            (subject.kind, subject.namespace, subject.name) == ("ServiceAccount", "kube-system", name)
            for loaded in bindings
            for subject in loaded.body.subjects or ()
        )

    def _runs_as(self, name: str, namespace: str) -> bool:
        """A pod is admitted with an account that is there only (S-92)."""
        return any(place.spec.account == name for place in self.in_namespace(namespace))

    def has_secret(self, name: str, namespace: str) -> bool:
        """In the input, or, where that does not list Secrets, in use by a pod."""
        if self.exists(Ref("Secret", name, namespace)):
            return True
        places = self.in_namespace(namespace) if not self.shows_all("Secret") else []
        return any(name in secrets_of(place.spec) for place in places)

    def token_owner(self, name: str, namespace: str) -> str:
        """The account whose token a Secret holds (S-90), "" where it holds none that is taken."""
        loaded = self.object(Ref("Secret", name, namespace))
        if loaded is None or loaded.body.type != TOKEN_TYPE or _DISUSED in (loaded.body.metadata.labels or {}):
            return ""
        annotations = loaded.body.metadata.annotations
        return (annotations.service_account_name or "") if annotations else ""

    @cached_property
    def _claims(self) -> dict[str, dict[str, str]]:
        """namespace -> claim -> the path on a node that it is bound to."""
        volumes = {loaded.ref.name: loaded.body.spec for loaded in self.cluster.of("PersistentVolume")}
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for loaded in self.cluster.of("PersistentVolumeClaim"):
            spec = volumes.get(loaded.body.spec.volume_name or "") if loaded.body.spec else None
            if spec is not None and spec.path:
                found[loaded.ref.namespace or ""][loaded.ref.name] = spec.path
        return found

    def claims(self, namespace: str) -> dict[str, str]:
        """Claims of a namespace whose volume is a path on a node."""
        return self._claims.get(namespace, {})

    def claimed_paths(self, namespace: str) -> Iterator[str]:
        """Also of volumes that are reserved for a claim to be made."""
        yield from self.claims(namespace).values()
        for loaded in self.cluster.of("PersistentVolume"):
            spec = loaded.body.spec
            if spec and spec.path and spec.claim_ref and spec.claim_ref.namespace == namespace:
                yield spec.path

    def free_paths(self) -> Iterator[str]:
        """Paths of volumes that any claim may name."""
        claims = self.cluster.of("PersistentVolumeClaim")
        taken = {loaded.body.spec.volume_name for loaded in claims if loaded.body.spec}
        for loaded in self.cluster.of("PersistentVolume"):
            spec = loaded.body.spec
            if spec and spec.path and not spec.claim_ref and loaded.ref.name not in taken:
                yield spec.path

    # -- Pods and nodes -----------------------------------------------------------------------------------------

    @cached_property
    def _places(self) -> dict[Ref, Place]:
        found = {loaded.ref: _of_pod(loaded) for loaded in self.cluster.of("Pod") if not _has_finished(loaded)}
        for kind, objects in self.cluster.objects.items():
            for loaded in objects if kind != "Pod" else ():
                template = getattr(loaded.body, "template", None)
                if template is not None and getattr(loaded.body.spec, "replicas", None) != 0:
                    found[loaded.ref] = Place(loaded.ref, template.spec, live=False)
        return found

    def place(self, ref: Ref) -> Place | None:
        return self._places.get(ref)

    @cached_property
    def _by_namespace(self) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = defaultdict(list)
        for place in self._places.values():
            found[place.ref.namespace or ""].append(place)
        return found

    def in_namespace(self, namespace: str) -> list[Place]:
        return self._by_namespace.get(namespace, [])

    @cached_property
    def _by_node(self) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = defaultdict(list)
        for place in self._places.values():
            found[place.node].append(place)
        return found

    def on_node(self, node: str) -> list[Place]:
        """Pods on a node; of one that the input does not name, those of the pod that it is named after."""
        if not node.startswith(UNKNOWN_NODE):
            return self._by_node.get(node, []) if node else []
        unplaced = self.place(parse_ref(node.removeprefix(UNKNOWN_NODE)))
        return [unplaced] if unplaced is not None and not unplaced.node else []

    def is_on(self, place: Place, node: str) -> bool:
        """Whether a pod, or for a node that is not named one like it, runs there."""
        if not node.startswith(UNKNOWN_NODE):
            return bool(node) and place.node == node
        return not place.node and any(alike(place, other) for other in self.on_node(node))

    @cached_property
    def node_names(self) -> frozenset[str]:
        return frozenset(loaded.ref.name for loaded in self.cluster.of("Node")) | frozenset(filter(None, self._by_node))

    def has_node(self, node: str) -> bool:
        return node in self.node_names

    @cached_property
    def finished(self) -> list[Loaded]:
        """Pods that have run: the Node authorizer keeps their edges (S-80)."""
        return [loaded for loaded in self.cluster.of("Pod") if _has_finished(loaded)]

    def is_control_plane(self, node: str) -> bool:
        loaded = self.object(Ref("Node", node))
        if loaded is None:
            return False
        taints = (loaded.body.spec.taints or ()) if loaded.body.spec else ()
        marks = {*(loaded.body.metadata.labels or {}), *(taint.key for taint in taints)}
        return not _CONTROL_PLANE.isdisjoint(marks)

    def labels(self, place: Place) -> dict[str, str]:
        """Those of a pod, or of the template that makes it."""
        loaded = self.object(place.ref)
        template = getattr(loaded.body, "template", None) if loaded else None
        metadata = template.metadata if template else loaded.body.metadata if loaded else None
        return (metadata.labels or {}) if metadata else {}

    def holds_token(self, place: Place) -> bool:
        """S-92: a token of the pod's account for the API server is in one of its containers."""
        spec = place.spec
        if place.mirror:
            return False
        if any(_asks_for_token(spec, volume.name) for volume in spec.volumes or ()):
            return True
        asked = spec.automount_service_account_token
        if asked is None:
            account = self.object(Ref("ServiceAccount", spec.account, place.ref.namespace))
            asked = account.body.automount_service_account_token if account else None
        main = (*(spec.containers or ()), *(spec.init_containers or ()))
        return asked is not False and any(not _mounts_at(container, _DEFAULT_TOKEN) for container in main)

    # -- The network --------------------------------------------------------------------------------------------

    def is_of(self, place: Place, workload: Ref) -> bool:
        """Whether a workload makes the pod; owners that the input lacks are told by the names that controllers give."""
        ref: Ref | None = place.ref
        for _ in range(_MAX_OWNERS):
            if ref is None or ref == workload:
                break
            loaded = self.object(ref)
            if loaded is None:
                return ref.namespace == workload.namespace and ref.name.startswith(f"{workload.name}-")
            owners = loaded.body.metadata.owner_references or ()
            ref = next((Ref(owner.kind, owner.name, ref.namespace) for owner in owners if owner.controller), None)
        return ref == workload

    def _entries(self, workload: Ref) -> list[Entry]:
        places = [place for place in self.in_namespace(workload.namespace or "") if self.is_of(place, workload)]
        images = tuple(each.image or "" for place in places for each in place.spec.all_containers)
        refs = (workload, *(place.ref for place in places))
        return [entry for entry in self.world.entries if any(entry.matches(ref, images) for ref in refs)]

    def marks(self, workload: Ref) -> bool:
        """Whether somebody says that a workload can be taken over by its ports."""
        return bool(self._entries(workload))

    def reaches(self, source: Place | None, workload: Ref) -> bool:
        """Whether a pod, or the internet, may open a connection to a marked port."""
        flows = self._flows_to(workload)
        ports = [number for entry in self._entries(workload) for number in (entry.ports or (0,))]
        return any(
            (origin is None) is (source is None)
            and (source is None or (origin is not None and self.is_of(source, origin)))
            and any(open_ & (PortSet.of("TCP", port) if port else PortSet.of("TCP")) for port in ports)
            for origin, open_ in flows
        )

    def _flows_to(self, workload: Ref) -> list[tuple[Ref | None, PortSet]]:
        """(origin, ports): None is the internet."""
        found = self._flows.get(workload)
        if found is None:
            from graphsec.query.exposed import Exposed
            from graphsec.query.reach import Reach

            word = f"{workload.namespace}/{workload.name}[{workload.kind}]"
            found = [
                (flow.source.ref, flow.ports) for flow in Reach(destination=word).answer(self.world) if flow.source.ref
            ]
            found += [
                (None, exposure.ports)
                for exposure in Exposed().answer(self.world)
                if exposure.workload == workload and exposure.origin == "internet" and exposure.verdict != "no"
            ]
            self._flows[workload] = found
        return found

    @cached_property
    def _flows(self) -> dict[Ref, list[tuple[Ref | None, PortSet]]]:
        return {}

    def reaches_metadata(self, place: Place) -> bool:
        """Whether policies leave the way to the cloud's metadata service open."""
        from graphsec.query.can_reach import CanReach

        ref = place.ref
        question = CanReach(source=f"{ref.namespace}/{ref.name}[{ref.kind}]", destination=_METADATA, port=80)
        return all(found.verdict != "no" for found in question.answer(self.world))


def parse_ref(text: str) -> Ref:
    """`Kind/name` or `Kind/namespace/name`."""
    kind, _, rest = text.partition("/")
    namespace, _, name = rest.rpartition("/")
    return Ref(kind, name, namespace or None)


def _of_pod(loaded: Loaded) -> Place:
    return Place(loaded.ref, loaded.body.spec, live=True, mirror=MIRROR in loaded.body.annotations)


def _has_finished(loaded: Loaded) -> bool:
    status = loaded.body.status
    return status is not None and status.phase in ("Succeeded", "Failed")


def _mounts_at(container: Container, path: str) -> bool:
    return any(mount.mount_path.rstrip("/") == path for mount in container.volume_mounts or ())


def _asks_for_token(spec: PodSpec, volume_name: str) -> bool:
    volume = next(volume for volume in spec.volumes or () if volume.name == volume_name)
    sources = (volume.projected.sources or ()) if volume.projected else ()
    tokens = (source.service_account_token for source in sources)
    mounted = any(mount.name == volume_name for each in spec.all_containers for mount in each.volume_mounts or ())
    return mounted and any(token is not None and _is_for_api(token.audience or "") for token in tokens)


def has_foreign_token(spec: PodSpec) -> bool:
    """Whether a container holds a token that is meant for somebody else than the API server."""
    mounted = {mount.name for container in spec.all_containers for mount in container.volume_mounts or ()}
    return any(
        source.service_account_token is not None and not _is_for_api(source.service_account_token.audience or "")
        for volume in spec.volumes or ()
        if volume.name in mounted and volume.projected
        for source in volume.projected.sources or ()
    )


def _is_for_api(audience: str) -> bool:
    return audience in ("", "api") or audience.startswith(_API_SERVER)


def secrets_of(spec: PodSpec) -> set[str]:
    """Names of the Secrets that a pod mounts or reads into its environment."""
    named = [volume.secret.secret_name for volume in spec.volumes or () if volume.secret]
    for volume in spec.volumes or ():
        sources = (volume.projected.sources or ()) if volume.projected else ()
        named += [source.secret.name for source in sources if source.secret]
    for container in spec.all_containers:
        references = [variable.value_from.secret_key_ref for variable in container.env or () if variable.value_from]
        references += [source.secret_ref for source in container.env_from or ()]
        named += [reference.name for reference in references if reference]
    return {name for name in named if name}


def alike(one: Place, other: Place) -> bool:
    """Whether two pods differ in nothing but name and node."""
    if (one.ref.namespace, one.live, one.mirror) != (other.ref.namespace, other.live, other.mirror):
        return False
    return msgspec.structs.replace(one.spec, node_name=None) == msgspec.structs.replace(other.spec, node_name=None)
