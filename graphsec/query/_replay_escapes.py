"""Which fields of a pod open what (attacks.md §3.6), told again for ``replay``: one pointer into a pod, one rule, one gain."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from graphsec.model.attack import FactKind
from graphsec.model.objects import Container, HostPath, PodSpec, SecurityContext, Volume, VolumeMount

K = FactKind
Needs = tuple[str, ...]
_PART = re.compile(r"([A-Za-z]+)(?:\[(\d+)\])?")
_SOCKETS = ("docker.sock", "cri-dockerd.sock", "dockershim.sock", "containerd/containerd.sock", "crio/crio.sock")
_MORE_SOCKETS = ("k3s/containerd/containerd.sock", "podman/podman.sock", "k0s/containerd.sock")
SOCKETS = (
    *(f"/run/{name}" for name in (*_SOCKETS, *_MORE_SOCKETS)),
    "/var/snap/microk8s/common/run/containerd.sock",
)
PODS_DIRECTORY = "/var/lib/kubelet/pods"
#: Files whose reader is the kubelet, or the machine in its cloud.
NODE_KEYS = (
    "/var/lib/kubelet/pki",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/kubelet/bootstrap-kubeconfig",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/azure.json",
    "/etc/kubernetes/cloud-config",
    "/etc/kubernetes/cloud.conf",
    "/etc/srv/kubernetes",
    "/var/lib/rancher/k3s/agent",
    "/var/lib/rancher/rke2/agent",
    "/root/.aws",
    "/root/.azure",
    "/root/.config/gcloud",
)
#: Files whose reader is the control plane or an administrator.
CONTROL_PLANE_KEYS = (
    "/etc/kubernetes/pki",
    "/etc/kubernetes/ssl",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/var/lib/etcd",
    "/etc/rancher",
    "/var/lib/rancher/k3s/server",
    "/var/lib/rancher/rke2/server",
    "/var/lib/k0s/pki",
    "/var/lib/minikube/certs",
    "/root/.kube",
)
#: Writing there changes nothing that the node acts on, or is for another rule to judge.
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/proc", "/var/log")
_MORE_HARMLESS = ("/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo")
_ROOT_CAPABILITIES = ("SYS_RAWIO", "BPF", "SYS_BOOT")
#: Writing there runs code as root; of the second, if they are mounted themselves or with what holds them.
_RUN_BY_NODE = (
    "/etc/cron.d",
    "/etc/systemd",
    "/etc/kubernetes/manifests",
    "/opt/cni/bin",
    "/usr/bin",
    "/bin",
    "/lib/modules",
    "/usr/lib/modules",
    "/root/.ssh",
)
_HELD_BY_NODE = ("/var/lib/kubelet", "/root", "/dev")
#: The driver for gitRepo volumes is off from this minor on.
_NO_GIT_REPO = 33


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a pod, and the container that it is of (None for one of the pod)."""

    spec: PodSpec
    pointer: str
    value: Any
    container: Container | None
    #: Paths on the node that claims of the pod's namespace are bound to.
    claims: Mapping[str, str]
    minor: int

    @property
    def context(self) -> SecurityContext:
        return (self.container.security_context if self.container else None) or SecurityContext()

    def ends(self, *tails: str) -> bool:
        return re.sub(r"\[\d+\]", "", self.pointer).endswith(tails)


def resolve(spec: PodSpec, pointer: str, claims: Mapping[str, str], minor: int) -> Field | None:
    """The field that a pointer such as `spec.containers[0].securityContext.privileged` names, None without one."""
    value: Any = spec
    container = None
    for part in pointer.split(".")[1:]:
        match = _PART.fullmatch(part)
        if match is None or not isinstance(value, Struct):
            return None
        names = dict(zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True))
        value = getattr(value, names.get(match[1], ""), None)
        if match[2] is not None:
            place = int(match[2])
            value = value[place] if isinstance(value, tuple) and place < len(value) else None
        if value is None:
            return None
        container = value if isinstance(value, Container) else container
    return Field(spec, pointer, value, container, claims, minor)


def opens(rule: str, kind: FactKind, field: Field) -> Needs | None:
    """What it rests on that the field gives a fact of ``kind`` by ``rule``; None if it does not."""
    judge = _RULES.get((rule, kind))
    needs = judge(field) if judge else None
    if needs is None or (rule in _KERNEL and field.spec.host_users is False):
        return None
    if field.spec.os is not None and field.spec.os.name == "windows" and rule not in _ON_WINDOWS:
        return None
    doubts = _doubts(field) if not _is_by_position(rule, field) else ()
    return (*needs, *doubts, *(("HEURISTIC",) if _is_guess(rule, field) else ()))


def _is_guess(rule: str, field: Field) -> bool:
    """A rare field, a path that only the node knows, or one where writing need not run code (attacks.md §3.6, H)."""
    if rule == "escape-rare-field":
        return True
    if not isinstance(field.value, VolumeMount):
        return False
    path = _host_path(field)
    listed = _exposing(*_RUN_BY_NODE)(path, field.value) or _holding(*_HELD_BY_NODE)(path, field.value)
    return "*" in path or (rule == "hostpath-write" and not listed)


def _doubts(field: Field) -> Iterator[str]:
    """A user that is not root, a sandbox, a user namespace."""
    if _never_root(field) or field.spec.runtime_class_name:
        yield "RUNTIME"
    if field.spec.host_users is False:
        yield "NODE-OS"


def _never_root(field: Field) -> bool:
    containers = [field.container] if field.container else _reaching(field.spec)
    return bool(containers) and all(_starts_below_root(field.spec, container) for container in containers)


def _starts_below_root(spec: PodSpec, container: Container) -> bool:
    own, shared = container.security_context or SecurityContext(), spec.security_context or SecurityContext()
    user = shared.run_as_user if own.run_as_user is None else own.run_as_user
    if user is not None:
        return user != 0
    return bool(shared.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root)


def _reaching(spec: PodSpec) -> list[Container]:
    """The containers that make use of hostPID."""
    return [each for each in spec.all_containers if _is_privileged(each) or _adds(spec, each, "SYS_ADMIN") is not None]


def _is_privileged(container: Container) -> bool:
    return bool(container.security_context and container.security_context.privileged)


def _plain(capability: str) -> str:
    return capability.upper().removeprefix("CAP_")


def _adds(spec: PodSpec, container: Container | None, wanted: str, entry: str = "") -> Needs | None:
    """Whether a container is given a capability, by ``entry`` where that is named; both added and dropped is contested."""
    context = (container.security_context if container else None) or SecurityContext()
    if context.capabilities is None or container is None:
        return None
    if _starts_below_root(spec, container) and context.allow_privilege_escalation is False:
        return None
    dropped = {_plain(name) for name in context.capabilities.drop or ()}
    added = {_plain(name) for name in ([entry] if entry else context.capabilities.add or ())}
    if wanted in added:
        return ("RUNTIME",) if wanted in dropped else ()
    return () if "ALL" in added and wanted not in dropped else None


Judge = Callable[[Field], Needs | None]


def _privileged(*needs: str) -> Judge:
    def judge(field: Field) -> Needs | None:
        return needs if field.ends("securityContext.privileged") and field.value is True else None

    return judge


def _capability(wanted: str, *needs: str, confined: bool = False) -> Judge:
    """``confined``: a profile of AppArmor that is asked for prevents it."""

    def judge(field: Field) -> Needs | None:
        if not field.ends("securityContext.capabilities.add") or field.context.privileged:
            return None
        more = _adds(field.spec, field.container, wanted, str(field.value))
        if more is None or (confined and _app_armor(field) == "RuntimeDefault"):
            return None
        return (*needs, *more)

    return judge


def _app_armor(field: Field) -> str | None:
    shared = field.spec.security_context or SecurityContext()
    profile = field.context.app_armor_profile or shared.app_armor_profile
    return profile.type if profile else None


def _ptrace(field: Field) -> Needs | None:
    return _capability("SYS_PTRACE", "RUNTIME", confined=True)(field) if field.spec.host_pid else None


def _host_pid(field: Field) -> Needs | None:
    if field.pointer != "spec.hostPID" or field.value is not True:
        return None
    containers = _reaching(field.spec)
    if any(map(_is_privileged, containers)):
        return ()
    return ("RUNTIME",) if containers else None


def _any(*judges: Judge) -> Judge:
    def judge(field: Field) -> Needs | None:
        return next((needs for each in judges if (needs := each(field)) is not None), None)

    return judge


# -- Mounts --------------------------------------------------------------------------------------------------------


def _mount(accepts: Callable[[str, VolumeMount], bool], *needs: str) -> Judge:
    """A mount of a hostPath volume in a container, whose path on the node is accepted."""

    def judge(field: Field) -> Needs | None:
        if not isinstance(field.value, VolumeMount):
            return None
        path = _host_path(field)
        return needs if path and accepts(path, field.value) else None

    return judge


def _host_path(field: Field) -> str:
    volume = next((found for found in field.spec.volumes or () if found.name == field.value.name), None)
    claim = volume.persistent_volume_claim if volume else None
    claimed = field.claims.get(claim.claim_name or "", "") if claim else ""
    written = volume.host_path.path if volume and volume.host_path else claimed
    if not written:
        return ""
    within = field.value.sub_path or re.sub(r"\$\([^)]*\)", "*", field.value.sub_path_expr or "")
    if re.match(r"[A-Za-z]:|\\\\", written):
        return written
    path = posixpath.normpath(posixpath.join("/", written.lstrip("/"), within.lstrip("/")))
    # `/var/run` is a link to `/run`.
    return path.removeprefix("/var") if (path + "/").startswith("/var/run/") else path


def _holds(path: str, place: str) -> bool:
    """Whether the place is the path or below it; a part with `*` may be any."""
    upper, lower = path.strip("/").split("/"), place.strip("/").split("/")
    if path.strip("/") == "":
        return True
    pairs = zip(upper, lower, strict=False)
    return len(upper) <= len(lower) and all(one == other or "*" in one or "*" in other for one, other in pairs)


def _exposing(*places: str) -> Callable[[str, VolumeMount], bool]:
    def accepts(path: str, mount: VolumeMount) -> bool:
        return any(_holds(path, place) or _holds(place, path) for place in places)

    return accepts


def _secret_in(*places: str) -> Callable[[str, VolumeMount], bool]:
    def accepts(path: str, mount: VolumeMount) -> bool:
        return not path.endswith((".crt", ".pub")) and _exposing(*places)(path, mount)

    return accepts


def _holding(*places: str, writable: bool = False) -> Callable[[str, VolumeMount], bool]:
    def accepts(path: str, mount: VolumeMount) -> bool:
        return not (writable and mount.read_only) and any(_holds(path, place) for place in places)

    return accepts


def _harmful(path: str, mount: VolumeMount) -> bool:
    harmless = any(_holds(place, path) for place in (*_HARMLESS, *_MORE_HARMLESS))
    return not mount.read_only and not path.endswith(".sock") and not harmless


def opens_node(path: str) -> bool:
    """Whether a writable mount of a path on the node is sure to open it."""
    mount = VolumeMount(name="v", mount_path="/v")
    volume = Volume(name="v", host_path=HostPath(path))
    spec = PodSpec(containers=(Container(volume_mounts=(mount,)),), volumes=(volume,))
    field = resolve(spec, "spec.containers[0].volumeMounts[0]", {}, 0)
    by_mount = ("hostpath-write", "runtime-socket", "escape-core-pattern")
    found = (opens(rule, K.NODE, field) for rule in by_mount) if field else ()
    return any(needs is not None and "HEURISTIC" not in needs for needs in found)


# -- Rare fields ---------------------------------------------------------------------------------------------------


def _rare(field: Field) -> Needs | None:
    if field.ends("procMount") and field.value == "Unmasked" and not field.context.privileged:
        return ("RUNTIME",) if field.spec.host_users is not False else None
    if field.ends("mountPropagation") and field.value == "Bidirectional":
        return () if field.spec.host_users is not False else None
    if field.ends("windowsOptions.hostProcess") and field.value is True:
        return ()
    if isinstance(field.value, VolumeMount):
        volumes = [volume for volume in field.spec.volumes or () if volume.name == field.value.name]
        git = any(volume.git_repo is not None for volume in volumes) and field.minor < _NO_GIT_REPO
        return ("NODE-OS",) if git else None
    if field.spec.host_users is False:
        return None
    return _any(*(_capability(name) for name in _ROOT_CAPABILITIES))(field)


def _core_pattern(field: Field) -> Needs | None:
    container = field.container
    if container is None or _starts_below_root(field.spec, container):
        return None
    writable = _mount(_holding("/proc/sys/kernel/core_pattern", writable=True), "RUNTIME")
    return _any(_privileged("RUNTIME"), writable)(field)


#: By rule and what it gives.
_RULES: dict[tuple[str, FactKind], Judge] = {
    ("escape-privileged", K.NODE): _privileged(),
    ("escape-kernel-module", K.NODE): _any(_privileged(), _capability("SYS_MODULE")),
    ("escape-nsenter", K.NODE): _host_pid,
    ("escape-ptrace", K.NODE): _ptrace,
    ("escape-core-pattern", K.NODE): _core_pattern,
    ("escape-cgroup-release-agent", K.NODE): _capability("SYS_ADMIN", "NODE-OS", "RUNTIME", confined=True),
    ("runtime-socket", K.NODE): _mount(_holding(*SOCKETS)),
    ("hostpath-write", K.NODE): _mount(_harmful),
    ("escape-rare-field", K.NODE): _rare,
    ("hostpath-read", K.NODE_IDENTITY): _mount(_secret_in(*NODE_KEYS), "NODE-FILES"),
    ("hostpath-read", K.CLUSTER): _mount(_secret_in(*CONTROL_PLANE_KEYS), "NODE-FILES"),
    ("hostpath-kubelet-pods", K.NODE_PODS): _mount(_exposing(PODS_DIRECTORY), "SCHED"),
    **{
        ("escape-open-by-handle", kind): _capability("DAC_READ_SEARCH", "RUNTIME", "NODE-FILES")
        for kind in (K.NODE_IDENTITY, K.NODE_PODS, K.CLUSTER)
    },
    **{
        ("escape-var-log", kind): _mount(_holding("/var/log", "/var/log/pods", writable=True), "NODE-OS")
        for kind in (K.NODE_IDENTITY, K.NODE_PODS)
    },
}
#: Rules that need power over the kernel's first user namespace.
_KERNEL = frozenset(
    f"escape-{name}"
    for name in (
        "privileged",
        "kernel-module",
        "nsenter",
        "ptrace",
        "core-pattern",
        "cgroup-release-agent",
        "open-by-handle",
    )
)
_ON_WINDOWS = frozenset({"hostpath-write", "escape-rare-field"})
ESCAPES = frozenset(rule for rule, _ in _RULES)


def _is_by_position(rule: str, field: Field) -> bool:
    """Whether no process of the container has to do anything on its node: of the rare fields two."""
    volume_of_git = isinstance(field.value, VolumeMount) and rule == "escape-rare-field"
    return volume_of_git or field.ends("windowsOptions.hostProcess")
