"""Objects with a property that a review looks for: workloads, namespaces, nodes, claims and volumes, by declared conditions.

What pods may not have is what the Pod Security Standards say, check by check; the rest are plain fields.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from graphsec.compile import World
from graphsec.compile.pod_security import LABEL, Level, Violation, each_container, violations
from graphsec.errors import InputError
from graphsec.model.coverage import State
from graphsec.model.discovery import MINORS
from graphsec.model.objects import Pod, PodMetadata, PodSpec
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.query._answer import Answer, _place, lower_name
from graphsec.query._needs import RESOURCES, collect

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("OBJECT", "CONDITION", "FIELD", "VALUE", "WHERE")
#: Kubernetes maintains its three newest minors; what this version knows stands for time, so that answers do not age.
_MAINTAINED = 3
_WORKLOADS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "ReplicationController")


class Hit(NamedTuple):
    """``field`` points into the object (or the template of its pods); ``value`` is "" where it is absent."""

    ref: Ref
    source: Source
    field: str
    value: str


Found = Iterator[Hit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """``kinds``: one of them must be in the input; ``also``: without one of each nothing can be said either."""

    id: str
    title: str
    kinds: tuple[str, ...]
    find: Callable[[World], Found]
    also: tuple[str, ...] = ()


# -- workloads -----------------------------------------------------------------------------------------------------


class _Likeness(NamedTuple):
    """Workloads whose pods have one spec, and what is wrong with it."""

    spec: PodSpec
    workloads: tuple[tuple[Ref, Source], ...]
    violations: tuple[Violation, ...]


def _likenesses(world: World) -> tuple[_Likeness, ...]:
    """One for each distinct kind of pod: 150,000 pods have some thousand."""
    found: tuple[_Likeness, ...] | None = world.remembered.get(_likenesses)
    if found is None:
        found = world.remembered[_likenesses] = tuple(_read_likenesses(world))
    return found


def _read_likenesses(world: World) -> Iterator[_Likeness]:
    inventory = world.attacks.inventory
    placed = inventory.placed
    workload_of = dict(zip(placed.refs, placed.workload_of, strict=True))
    for kind in inventory.kinds:
        numbers = sorted({workload_of[ref] for ref in kind.members})
        workloads = tuple((placed.workloads[number], placed.workload_sources[number]) for number in numbers)
        pod = Pod(metadata=PodMetadata(name=kind.ref.name, namespace=kind.namespace), spec=kind.spec)
        both = [
            violation
            for level in (Level.BASELINE, Level.RESTRICTED)
            for violation in violations(pod, level, world.minor)
        ]
        yield _Likeness(kind.spec, workloads, tuple(dict.fromkeys(both)))


def _violating(check: str, *fields: str) -> Callable[[World], Found]:
    """Workloads that a check of the Pod Security Standards refuses, with ``fields`` only for one of those."""

    def find(world: World) -> Found:
        for likeness in _likenesses(world):
            for violation in likeness.violations:
                if violation.check == check and (not fields or violation.field.endswith(fields)):
                    for ref, source in likeness.workloads:
                        yield Hit(ref, source, violation.field, violation.value)

    return find


def _with_spec(look: Callable[[PodSpec], Iterator[tuple[str, str]]]) -> Callable[[World], Found]:
    def find(world: World) -> Found:
        for likeness in _likenesses(world):
            for field, value in look(likeness.spec):
                for ref, source in likeness.workloads:
                    yield Hit(ref, source, field, value)

    return find


def _net_raw(spec: PodSpec) -> Iterator[tuple[str, str]]:
    """Runtimes give it to every container that does not drop it."""
    if spec.os is not None and spec.os.name == "windows":
        return
    for _, at, container in each_container(spec):
        capabilities = container.security_context.capabilities if container.security_context else None
        added = (capabilities.add or ()) if capabilities else ()
        dropped = (capabilities.drop or ()) if capabilities else ()
        if "NET_RAW" in added or "ALL" in added or not {"ALL", "NET_RAW"} & set(dropped):
            yield f"{at}.securityContext.capabilities.drop", ",".join(dropped)


def _moving_tag(spec: PodSpec) -> Iterator[tuple[str, str]]:
    for _, at, container in each_container(spec):
        tag, digest = _tag(container.image or "")
        if container.image and not digest and tag in ("", "latest"):
            yield f"{at}.image", container.image


def _no_digest(spec: PodSpec) -> Iterator[tuple[str, str]]:
    for _, at, container in each_container(spec):
        if container.image and not _tag(container.image)[1]:
            yield f"{at}.image", container.image


def _tag(image: str) -> tuple[str, str]:
    """(tag, digest) of `registry:5000/name:tag@sha256:...`, "" for what it lacks."""
    name, _, digest = image.partition("@")
    return name.rpartition("/")[2].partition(":")[2], digest


def _default_account(spec: PodSpec) -> Iterator[tuple[str, str]]:
    if spec.account == "default":
        yield "spec.serviceAccountName", spec.service_account_name or ""


# -- namespaces, nodes, volumes ------------------------------------------------------------------------------------


def _without_pod_security(world: World) -> Found:
    enforcements = world.attacks.inventory.enforcements
    for loaded in world.cluster.of("Namespace"):
        enforced = enforcements[loaded.ref.name]
        if not enforced.written or enforced.level is Level.PRIVILEGED:
            yield Hit(
                loaded.ref, loaded.source, f"metadata.labels[{LABEL}]", enforced.level if enforced.written else ""
            )


def _old_kubelet(world: World) -> Found:
    for loaded in world.cluster.of("Node"):
        minor = loaded.body.minor.partition(".")[2]
        if minor.isdecimal() and int(minor) <= MINORS[-1] - _MAINTAINED:
            yield Hit(loaded.ref, loaded.source, "status.nodeInfo.kubeletVersion", loaded.body.minor)


def _on_a_node(world: World) -> Found:
    for loaded in world.cluster.of("PersistentVolume"):
        spec = loaded.body.spec
        if spec and spec.host_path:
            yield Hit(loaded.ref, loaded.source, "spec.hostPath.path", spec.host_path.path or "")


def _shared_claim(world: World) -> Found:
    """Claims that pods of several ServiceAccounts mount: what one writes the other reads."""
    accounts: dict[Ref, set[str]] = defaultdict(set)
    for likeness in _likenesses(world):
        for volume in likeness.spec.volumes or ():
            if volume.persistent_volume_claim and volume.persistent_volume_claim.claim_name:
                for ref, _ in likeness.workloads:
                    claim = Ref("PersistentVolumeClaim", volume.persistent_volume_claim.claim_name, ref.namespace)
                    accounts[claim].add(likeness.spec.account)
    for loaded in world.cluster.of("PersistentVolumeClaim"):
        if len(accounts.get(loaded.ref, ())) > 1:
            yield Hit(loaded.ref, loaded.source, "mounted by pods of", ", ".join(sorted(accounts[loaded.ref])))


def _not_backed_up(world: World) -> Found:
    """Claims of namespaces that no schedule of Velero includes. A schedule may still leave out single claims."""
    schedules = [loaded.body for loaded in world.cluster.of("Schedule.velero.io")]
    for loaded in world.cluster.of("PersistentVolumeClaim"):
        if not any(schedule.includes(loaded.ref.namespace or "") for schedule in schedules):
            yield Hit(loaded.ref, loaded.source, "metadata.namespace", loaded.ref.namespace or "")


def _pod(
    name: str, title: str, check: str = "", *fields: str, find: Callable[[World], Found] | None = None
) -> Condition:
    return Condition(id=name, title=title, kinds=_WORKLOADS, find=find or _violating(check or name, *fields))


CONDITIONS = {
    condition.id: condition
    for condition in (
        _pod("privileged", "a privileged container"),
        _pod("hostPID", "the process ids of its node", "hostNamespaces", "hostPID"),
        _pod("hostIPC", "the IPC namespace of its node", "hostNamespaces", "hostIPC"),
        _pod("hostNetwork", "the network of its node", "hostNamespaces", "hostNetwork"),
        _pod("hostPath", "a path of its node", "hostPathVolumes"),
        _pod("hostPorts", "a port of its node"),
        _pod("windowsHostProcess", "a HostProcess container"),
        _pod("allowPrivilegeEscalation", "a container that may gain privileges"),
        _pod("runAsRoot", "a container that may run as root", "runAsNonRoot"),
        _pod("addedCapabilities", "capabilities beyond the baseline", "capabilities_baseline"),
        _pod("keptCapabilities", "a container that does not drop all capabilities", "capabilities_restricted", "drop"),
        _pod("netRaw", "a container with NET_RAW", find=_with_spec(_net_raw)),
        _pod("noSeccomp", "no seccomp profile", "seccompProfile_restricted"),
        _pod("imageLatest", "an image by a tag that moves", find=_with_spec(_moving_tag)),
        _pod("imageByTag", "an image without a digest", find=_with_spec(_no_digest)),
        _pod("defaultAccount", "the default ServiceAccount", find=_with_spec(_default_account)),
        Condition(
            id="noPodSecurity",
            title="no Pod Security Standard enforced",
            kinds=("Namespace",),
            find=_without_pod_security,
        ),
        Condition(id="oldKubelet", title="a kubelet without maintenance", kinds=("Node",), find=_old_kubelet),
        Condition(id="hostPathVolume", title="a path of a node", kinds=("PersistentVolume",), find=_on_a_node),
        Condition(
            id="sharedClaim",
            title="mounts of several ServiceAccounts",
            kinds=("PersistentVolumeClaim",),
            find=_shared_claim,
        ),
        Condition(
            id="notBackedUp",
            title="no schedule of backups",
            kinds=("PersistentVolumeClaim",),
            find=_not_backed_up,
            also=("Schedule.velero.io",),
        ),
    )
}


# -- the question --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFinding:
    """An object with a condition. Several hits of one object and condition are several of these."""

    ref: Ref
    condition: str
    title: str
    field: str
    value: str
    source: Source

    @property
    def because(self) -> tuple[ObjectFinding, ...]:
        return (self,)

    def __str__(self) -> str:
        return f"{self.ref} {self.field}{f' = {self.value}' if self.value else ' is absent'}"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        return (str(self.ref), self.condition, self.field, self.value or "-", str(self.source))

    def to_dict(self) -> dict[str, Any]:
        return {
            "object": str(self.ref),
            "condition": self.condition,
            "field": self.field,
            "value": self.value or None,
            "source": _place(self.source),
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.ref),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    ask: ClassVar[str] = "objects"
    conditions: tuple[str, ...]

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return COLUMNS

    def command(self) -> str:
        return f"objects {','.join(self.conditions)}"

    def to_dict(self) -> dict[str, Any]:
        return {"conditions": list(self.conditions)}

    def answer(self, world: World) -> Answer[ObjectFinding]:
        """In order of the objects. Raises InputError where the input holds no object that one of them is about."""
        coverage = world.coverage
        conditions = [CONDITIONS[name] for name in self.conditions]
        for condition in conditions:
            _require(world, condition)
        kinds = dict.fromkeys(kind for condition in conditions for kind in (*condition.kinds, *condition.also))
        partial = [kind for kind in kinds if coverage[kind].state is State.PARTIAL]
        items = [
            ObjectFinding(
                ref=hit.ref,
                condition=condition.id,
                title=condition.title,
                field=hit.field,
                value=hit.value,
                source=hit.source,
            )
            for condition in conditions
            for hit in condition.find(world)
        ]
        items.sort(key=lambda item: (ref_order(item.ref), item.condition, item.field))
        return Answer(
            question=self,
            items=tuple(dict.fromkeys(items)),
            complete=not partial,
            coverage=coverage,
            diagnostics=world.diagnostics,
            warnings=tuple(f"{kind} only in part" for kind in partial),
        )


def _require(world: World, condition: Condition) -> None:
    for kinds in (condition.kinds, *((kind,) for kind in condition.also)):
        if not any(world.cluster.objects.get(kind) for kind in kinds):
            what = "pod or workload" if kinds == _WORKLOADS else kinds[0]
            known = [kind for kind in kinds if kind in RESOURCES]
            raise InputError(
                f"objects needs a {what}; this input has none",
                help=f"complete it with\n    {collect(known, 'objects.json')}" if known else "",
            )
