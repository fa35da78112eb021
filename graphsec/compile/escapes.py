"""What the fields of a pod open on its node, for the code in each of its containers.

Rules: attacks.md §3.6, as far as a pod alone decides them (`runtime-cve` needs the Node), and `shared-process-namespace`
of §3.5. The results depend on the spec and on nothing else. A claim on a volume that lies on a node, and AppArmor profiles
given as annotations, are not in the spec and are not judged here.

Where a container is privileged, its capabilities are not listed beside that unless §3.6 says so: they add nothing.
With `hostUsers: false` capabilities, privileges and user 0 hold in a user namespace only, so what needs them is left out;
mounts are mapped to the user namespace and keep working, given a kernel that can (A:NODE-OS).
"""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

from graphsec.compile.pod_security import each_container
from graphsec.model.objects import Capabilities, Container, PodSpec, SecurityContext, Volume, VolumeMount

RUNTIME, NODE_OS, NODE_FILES, SCHED = "RUNTIME", "NODE-OS", "NODE-FILES", "SCHED"


class Effect(enum.StrEnum):
    NODE_ROOT = "node-root"
    #: The credential of the kubelet or of the machine in its cloud can be read.
    NODE_CREDENTIALS = "node-credentials"
    #: PKI, etcd, kubeconfigs of administrators and controllers: there on nodes of the control plane.
    CONTROL_PLANE_FILES = "control-plane-files"
    #: Tokens and Secrets of the pods on that node.
    POD_CREDENTIALS = "pod-credentials"
    HOST_FILES = "host-files"
    HOST_NETWORK = "host-network"
    #: Reads as root for who may also get `pods/log` of a pod that logs there, or `nodes/log`.
    NEEDS_LOGS = "needs-logs"
    SHARED_PROCESSES = "shared-processes"
    #: Reachable from outside, or less confined: no control by itself.
    EXPOSURE = "exposure"


@dataclass(frozen=True, slots=True)
class Escape:
    """``field`` points to what would have to change; ``path`` is on the host, where a hostPath volume is the matter."""

    rule: str
    container: str
    kind: str
    field: str
    value: str
    effect: Effect
    assumptions: tuple[str, ...]
    heuristic: bool
    path: str = ""
    #: The first minor in which it no longer works.
    until: int = 1_000


# -- A container in its pod ----------------------------------------------------------------------------------------

_EMPTY = SecurityContext()
_NO_CAPABILITIES = Capabilities()
_WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class _Capability:
    """An entry of `capabilities.add`; ``name`` is upper case without prefix, and ``ALL`` holds what is not dropped."""

    name: str
    field: str
    written: str
    dropped: frozenset[str]

    def holds(self, wanted: str) -> bool:
        return self.name == wanted or (self.name == "ALL" and wanted not in self.dropped)

    @property
    def contested(self) -> bool:
        """Also dropped by name: containerd then drops it, Docker adds it."""
        return self.name in self.dropped and self.name != "ALL"


@dataclass(frozen=True, slots=True)
class _Mount:
    """A hostPath volume where a container has it; a `*` in ``path`` stands for what only a node knows."""

    field: str
    path: str
    writable: bool

    @property
    def guessed(self) -> bool:
        return "*" in self.path

    def covers(self, place: str) -> bool:
        """Whether the place is in the mount."""
        return _is_ancestor(self.path, place)

    def exposes(self, place: str) -> bool:
        """Whether the place, or something in it, is in the mount."""
        return _is_ancestor(self.path, place) or _is_ancestor(place, self.path)


class _Site:
    """A container, with what its pod gives it."""

    def __init__(self, spec: PodSpec, kind: str, at: str, container: Container) -> None:
        self.spec = spec
        self.kind = kind
        self.at = at
        self.container = container
        self.own = container.security_context or _EMPTY
        self.shared = spec.security_context or _EMPTY

    def escape(
        self,
        rule: str,
        field: str,
        value: str,
        effect: Effect,
        *assumptions: str,
        heuristic: bool = False,
        path: str = "",
    ) -> Escape:
        return Escape(rule, self.container.name, self.kind, field, value, effect, assumptions, heuristic, path)

    @property
    def privileged(self) -> bool:
        return bool(self.own.privileged)

    @property
    def privileged_field(self) -> str:
        return f"{self.at}.securityContext.privileged"

    @property
    def user(self) -> int | None:
        return self.shared.run_as_user if self.own.run_as_user is None else self.own.run_as_user

    @property
    def never_root(self) -> bool:
        """Known not to start as user 0; where nothing is written, the image decides (A:RUNTIME)."""
        if self.user is not None:
            return self.user != 0
        own = self.own.run_as_non_root
        return bool(self.shared.run_as_non_root if own is None else own)

    @property
    def app_armor(self) -> str:
        """Type of the profile that is asked for; the default of the runtime where none is."""
        profile = self.own.app_armor_profile or self.shared.app_armor_profile
        return (profile.type or "") if profile else ""

    @cached_property
    def capabilities(self) -> tuple[_Capability, ...]:
        """Empty where they are sure to be lost: a user other than 0 has none before a set-user-id program, here forbidden."""
        if self.never_root and self.own.allow_privilege_escalation is False:
            return ()
        given = self.own.capabilities or _NO_CAPABILITIES
        dropped = frozenset(map(_capability, given.drop or ()))
        at = f"{self.at}.securityContext.capabilities.add"
        return tuple(
            _Capability(_capability(name), f"{at}[{index}]", name, dropped)
            for index, name in enumerate(given.add or ())
        )

    def adding(self, *wanted: str) -> _Capability | None:
        """The first entry that gives one of the capabilities."""
        return next((found for found in self.capabilities for name in wanted if found.holds(name)), None)

    @cached_property
    def mounts(self) -> tuple[_Mount, ...]:
        """Of hostPath volumes."""
        found = []
        for index, mount, volume in self.mounted():
            # An empty path is refused by validation.
            if volume.host_path is not None and volume.host_path.path:
                path = _path(volume.host_path.path, mount)
                found.append(_Mount(f"{self.at}.volumeMounts[{index}]", path, not mount.read_only))
        return tuple(found)

    def mounted(self) -> Iterator[tuple[int, VolumeMount, Volume]]:
        volumes = {volume.name: volume for volume in self.spec.volumes or ()}
        for index, mount in enumerate(self.container.volume_mounts or ()):
            if mount.name in volumes:
                yield index, mount, volumes[mount.name]


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


#: `$(NAME)` in a subPathExpr.
_VARIABLE = re.compile(r"\$\([^)]*\)")


def _path(host_path: str, mount: VolumeMount) -> str:
    within = mount.sub_path or _VARIABLE.sub("*", mount.sub_path_expr or "")
    return _normal(posixpath.join(_normal(host_path), within.lstrip("/")) if within else host_path)


#: A drive, or a pipe or share.
_OF_WINDOWS = re.compile(r"[A-Za-z]:|\\\\")


def _normal(path: str) -> str:
    """`/var/run` is a link to `/run` on every distribution in use, and is followed by the runtime when it mounts.

    A path that is not absolute starts at `/` nevertheless (`MakeAbsolutePath` of the kubelet).
    """
    if _OF_WINDOWS.match(path):
        return path
    plain = posixpath.normpath("/" + path.lstrip("/"))
    return plain.removeprefix("/var") if plain == "/var/run" or plain.startswith("/var/run/") else plain


def _is_ancestor(path: str, place: str) -> bool:
    """Or the same; a name with `*` stands for any."""
    upper = [part for part in path.split("/") if part]
    lower = [part for part in place.split("/") if part]
    return len(upper) <= len(lower) and all(map(_may_equal, upper, lower))


def _may_equal(one: str, other: str) -> bool:
    return one == other or "*" in one or "*" in other


# -- Places on a node ----------------------------------------------------------------------------------------------

_RUN_AS_ROOT = "/proc/sys/kernel/core_pattern"
_LOGS = ("/var/log", "/var/log/pods")
_PODS = "/var/lib/kubelet/pods"
#: Of Docker and cri-dockerd, containerd, CRI-O, k3s and RKE2, Podman, MicroK8s, k0s. A mount of `/var` has only the link
#: to `/run`, which leads back into the container.
_SOCKETS = (
    "/run/docker.sock",
    "/run/cri-dockerd.sock",
    "/run/dockershim.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/k0s/containerd.sock",
)
#: What can be read where, beside the pods' directory: the list of §3.6, down to the files meant.
_READS: tuple[tuple[Effect, tuple[str, ...]], ...] = (
    (
        Effect.NODE_CREDENTIALS,
        (
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
        ),
    ),
    (
        Effect.CONTROL_PLANE_FILES,
        (
            "/etc/kubernetes/pki",
            "/etc/kubernetes/ssl",
            "/etc/kubernetes/admin.conf",
            "/etc/kubernetes/super-admin.conf",
            "/etc/kubernetes/controller-manager.conf",
            "/etc/kubernetes/scheduler.conf",
            "/var/lib/etcd",
            "/etc/rancher/k3s",
            "/etc/rancher/rke2",
            "/var/lib/rancher/k3s/server",
            "/var/lib/rancher/rke2/server",
            "/var/lib/k0s/pki",
            "/var/lib/minikube/certs",
            "/root/.kube",
        ),
    ),
    (
        Effect.HOST_FILES,
        ("/etc/shadow", "/etc/ssh", "/root/.ssh", "/home/*/.ssh", "/proc/1", "/run/secrets"),
    ),
)
#: Public halves: a mount of such a file alone reads no secret.
_PUBLIC = (".crt", ".pub")
#: Writing here runs code on the node as root, in each file below as well.
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
#: The same, as far as these or what holds them are mounted; of what is below, it depends.
_HELD_BY_NODE = ("/var/lib/kubelet", "/root", "/dev")
#: Written through them, nothing changes that the node acts on.
_HARMLESS = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
)
#: Rules of their own say what writing here takes.
_JUDGED_ELSEWHERE = ("/proc", "/var/log")

_Escapes = Iterator[Escape]


# -- Privileges and capabilities -----------------------------------------------------------------------------------


def _privileged(site: _Site) -> _Escapes:
    if site.privileged:
        yield site.escape("escape-privileged", site.privileged_field, "true", Effect.NODE_ROOT)


def _kernel_module(site: _Site) -> _Escapes:
    added = site.adding("SYS_MODULE")
    if site.privileged:
        yield site.escape("escape-kernel-module", site.privileged_field, "true", Effect.NODE_ROOT)
    elif added is not None:
        yield _by_capability(site, "escape-kernel-module", added, Effect.NODE_ROOT)


def _by_capability(
    site: _Site, rule: str, added: _Capability, effect: Effect, *assumptions: str, heuristic: bool = False
) -> Escape:
    more = (RUNTIME,) if added.contested else ()
    return site.escape(rule, added.field, added.written, effect, *assumptions, *more, heuristic=heuristic)


def _nsenter(site: _Site) -> _Escapes:
    """SYS_ADMIN is enough: it may join the namespaces of process 1."""
    if site.spec.host_pid and (site.privileged or site.adding("SYS_ADMIN")):
        assumed = () if site.privileged else (RUNTIME,)
        yield site.escape("escape-nsenter", "spec.hostPID", "true", Effect.NODE_ROOT, *assumed)


def _ptrace(site: _Site) -> _Escapes:
    """The default profile of a runtime lets a process be traced from its own profile only."""
    added = site.adding("SYS_PTRACE")
    confined = site.app_armor == "RuntimeDefault"
    if site.spec.host_pid and added is not None and not (site.privileged or confined):
        yield _by_capability(site, "escape-ptrace", added, Effect.NODE_ROOT, RUNTIME)


def _core_pattern(site: _Site) -> _Escapes:
    """As user 0, who owns the file; no capability is needed."""
    if site.never_root:
        return
    if site.privileged:
        yield site.escape("escape-core-pattern", site.privileged_field, "true", Effect.NODE_ROOT, RUNTIME)
    for mount in site.mounts:
        if mount.writable and mount.covers(_RUN_AS_ROOT):
            yield _by_mount(site, "escape-core-pattern", mount, Effect.NODE_ROOT, RUNTIME)


def _release_agent(site: _Site) -> _Escapes:
    added = site.adding("SYS_ADMIN")
    confined = site.app_armor == "RuntimeDefault"
    if added is not None and not (site.privileged or confined):
        yield _by_capability(site, "escape-cgroup-release-agent", added, Effect.NODE_ROOT, NODE_OS, RUNTIME)


def _open_by_handle(site: _Site) -> _Escapes:
    """Any file of the file system of the node that some file of the container lies on, and so what reading `/` gives."""
    added = site.adding("DAC_READ_SEARCH")
    if added is not None and not site.privileged:
        for effect in (*(effect for effect, _ in _READS), Effect.POD_CREDENTIALS):
            yield _by_capability(site, "escape-open-by-handle", added, effect, RUNTIME, NODE_FILES)


# -- Mounts of the host --------------------------------------------------------------------------------------------


def _by_mount(
    site: _Site, rule: str, mount: _Mount, effect: Effect, *assumptions: str, heuristic: bool = False
) -> Escape:
    guessed = heuristic or mount.guessed
    return site.escape(rule, mount.field, mount.path, effect, *assumptions, heuristic=guessed, path=mount.path)


def _var_log(site: _Site) -> _Escapes:
    """The kubelet follows links where it serves logs from, `/var/log` and below it `pods`."""
    for mount in site.mounts:
        if mount.writable and any(mount.covers(place) for place in _LOGS):
            yield _by_mount(site, "escape-var-log", mount, Effect.NEEDS_LOGS, NODE_OS)


def _runtime_socket(site: _Site) -> _Escapes:
    """Connecting writes no file, so that `readOnly` does not help."""
    for mount in site.mounts:
        if any(mount.covers(socket) for socket in _SOCKETS):
            yield _by_mount(site, "runtime-socket", mount, Effect.NODE_ROOT)


def _host_path_read(site: _Site) -> _Escapes:
    for mount in site.mounts:
        for effect, places in _READS:
            if not mount.path.endswith(_PUBLIC) and any(mount.exposes(place) for place in places):
                yield _by_mount(site, "hostpath-read", mount, effect, NODE_FILES)


def _kubelet_pods(site: _Site) -> _Escapes:
    for mount in site.mounts:
        if mount.exposes(_PODS):
            yield _by_mount(site, "hostpath-kubelet-pods", mount, Effect.POD_CREDENTIALS, SCHED)


def _host_path_write(site: _Site) -> _Escapes:
    for mount in site.mounts:
        if not mount.writable or _is_harmless(mount.path):
            continue
        listed = any(map(mount.exposes, _RUN_BY_NODE)) or any(map(mount.covers, _HELD_BY_NODE))
        yield _by_mount(site, "hostpath-write", mount, Effect.NODE_ROOT, heuristic=not listed)


def _is_harmless(path: str) -> bool:
    """Of files; a socket holds none, whatever is behind it."""
    return path.endswith(".sock") or any(_is_ancestor(place, path) for place in (*_HARMLESS, *_JUDGED_ELSEWHERE))


# -- Namespaces of the host and of the pod -------------------------------------------------------------------------


def _host_network(site: _Site) -> _Escapes:
    """A position in the network, no root (§8 trap 13)."""
    if site.spec.host_network:
        yield site.escape("host-network", "spec.hostNetwork", "true", Effect.HOST_NETWORK)


def _shared_processes(site: _Site) -> _Escapes:
    """Whether two containers have the same user is for their images to say."""
    rule, effect = "shared-process-namespace", Effect.SHARED_PROCESSES
    if site.spec.host_pid:
        yield site.escape(rule, "spec.hostPID", "true", effect, RUNTIME, heuristic=True)
    elif site.spec.share_process_namespace and len(site.spec.all_containers) > 1:
        yield site.escape(rule, "spec.shareProcessNamespace", "true", effect, RUNTIME)


# -- Rare fields ---------------------------------------------------------------------------------------------------

_RARE = "escape-rare-field"
#: The strongest first: an entry `ALL` is reported once.
_RARE_CAPABILITIES = (
    ("SYS_RAWIO", Effect.NODE_ROOT),
    ("BPF", Effect.NODE_ROOT),
    ("SYS_BOOT", Effect.NODE_ROOT),
    ("PERFMON", Effect.HOST_FILES),
    ("MKNOD", Effect.HOST_FILES),
    ("NET_ADMIN", Effect.EXPOSURE),
    ("DAC_OVERRIDE", Effect.EXPOSURE),
    ("SYS_TIME", Effect.EXPOSURE),
)


def _rare_capability(site: _Site) -> _Escapes:
    """Those added, not those that every container has by default."""
    for added in () if site.privileged else site.capabilities:
        effect = next((effect for name, effect in _RARE_CAPABILITIES if added.holds(name)), None)
        if effect is not None:
            yield _by_capability(site, _RARE, added, effect, heuristic=True)


def _rare_proc(site: _Site) -> _Escapes:
    """With /proc unmasked, `core_pattern` is writable."""
    if site.own.proc_mount == "Unmasked" and not site.privileged:
        field = f"{site.at}.securityContext.procMount"
        yield site.escape(_RARE, field, "Unmasked", Effect.NODE_ROOT, RUNTIME, heuristic=True)


def _rare_propagation(site: _Site) -> _Escapes:
    """What is mounted there appears on the node, and so do set-user-id programs in it."""
    for index, mount, _ in site.mounted():
        if mount.mount_propagation == "Bidirectional":
            field = f"{site.at}.volumeMounts[{index}].mountPropagation"
            yield site.escape(_RARE, field, "Bidirectional", Effect.NODE_ROOT, heuristic=True)


def _rare_confinement(site: _Site) -> _Escapes:
    for at, context in _given(site, "se_linux_options"):
        if context.se_linux_options is not None and context.se_linux_options.type == "spc_t":
            yield site.escape(_RARE, f"{at}.seLinuxOptions.type", "spc_t", Effect.EXPOSURE, heuristic=True)
    for at, context in _given(site, "app_armor_profile"):
        if context.app_armor_profile is not None and context.app_armor_profile.type == "Unconfined":
            yield site.escape(_RARE, f"{at}.appArmorProfile.type", "Unconfined", Effect.EXPOSURE, heuristic=True)


def _rare_host_process(site: _Site) -> _Escapes:
    for at, context in _given(site, "windows_options"):
        if context.windows_options is not None and context.windows_options.host_process:
            field = f"{at}.windowsOptions.hostProcess"
            yield site.escape(_RARE, field, "true", Effect.NODE_ROOT, heuristic=True)


def _given(site: _Site, attribute: str) -> Iterator[tuple[str, SecurityContext]]:
    """The context that decides: the container's own, else the pod's."""
    if getattr(site.own, attribute) is not None:
        yield f"{site.at}.securityContext", site.own
    else:
        yield "spec.securityContext", site.shared


def _rare_device(site: _Site) -> _Escapes:
    for index, device in enumerate(site.container.volume_devices or ()):
        yield site.escape(
            _RARE, f"{site.at}.volumeDevices[{index}]", device.name, Effect.HOST_FILES, NODE_OS, heuristic=True
        )


def _rare_git_repo(site: _Site) -> _Escapes:
    """CVE-2024-10220: the hooks of the repository run on the node; the driver is off from 1.33 on."""
    for index, _, volume in site.mounted():
        if volume.git_repo is not None:
            field = f"{site.at}.volumeMounts[{index}]"
            found = site.escape(_RARE, field, volume.name, Effect.NODE_ROOT, NODE_OS, heuristic=True)
            yield replace(found, until=33)


def _rare_host_port(site: _Site) -> _Escapes:
    for index, port in enumerate(site.container.ports or ()):
        if port.host_port:
            field = f"{site.at}.ports[{index}].hostPort"
            yield site.escape(_RARE, field, str(port.host_port), Effect.EXPOSURE, heuristic=True)


# -- All rules -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """``ends_in_user_namespace``: needs power over the kernel's first user namespace; ``by_position``: no process of the
    container has to do anything on its node, so that neither its user nor a sandbox matters."""

    find: Callable[[_Site], _Escapes]
    ends_in_user_namespace: bool = False
    by_position: bool = False


_kernel = partial(_Rule, ends_in_user_namespace=True)
_LINUX = (
    _kernel(_privileged),
    _kernel(_kernel_module),
    _kernel(_nsenter),
    _kernel(_ptrace),
    _kernel(_core_pattern),
    _Rule(_var_log),
    _kernel(_release_agent),
    _kernel(_open_by_handle),
    _Rule(_runtime_socket),
    _Rule(_host_path_read),
    _Rule(_host_path_write),
    _Rule(_kubelet_pods),
    _Rule(_host_network, by_position=True),
    _kernel(_rare_capability),
    _kernel(_rare_proc),
    _kernel(_rare_propagation),
    _Rule(_rare_confinement, by_position=True),
    _Rule(_rare_device),
    _Rule(_rare_git_repo, by_position=True),
    _Rule(_rare_host_port, by_position=True),
    _Rule(_shared_processes, by_position=True),
)
#: Windows knows none of the kernel's other notions, and other paths.
_ON_WINDOWS = (
    _Rule(_host_path_write),
    _Rule(_rare_host_process, by_position=True),
    _Rule(_rare_host_port, by_position=True),
)


def escapes(pod_spec: PodSpec) -> tuple[Escape, ...]:
    """Of each container, in the order of §3.6."""
    rules = _rules(pod_spec)
    sites = [_Site(pod_spec, kind, at, container) for kind, at, container in each_container(pod_spec)]
    return tuple(_weighed(site, rule, found) for site in sites for rule in rules for found in rule.find(site))


def _rules(spec: PodSpec) -> tuple[_Rule, ...]:
    if spec.os is not None and spec.os.name == _WINDOWS:
        return _ON_WINDOWS
    # A pod need not say which system it is for: only validation ties hostProcess to Windows nodes.
    rules = (*_LINUX, _Rule(_rare_host_process, by_position=True))
    return tuple(rule for rule in rules if spec.host_users is not False or not rule.ends_in_user_namespace)


def _weighed(site: _Site, rule: _Rule, found: Escape) -> Escape:
    """With what the pod's user, user namespace and runtime class leave open."""
    if rule.by_position:
        return found
    doubts = {
        # No longer root by itself, and a set-user-id program of the image may make it so again.
        RUNTIME: site.never_root or bool(site.spec.runtime_class_name),
        NODE_OS: site.spec.host_users is False,
    }
    more = tuple(name for name, open_ in doubts.items() if open_ and name not in found.assumptions)
    return replace(found, assumptions=(*found.assumptions, *more)) if more else found


__all__ = ["Effect", "Escape", "escapes"]
