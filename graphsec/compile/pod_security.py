"""Pod Security Standards: which fields of a pod a level forbids, and what the labels of a namespace enforce.

Rules: attacks.md §4.1 and `k8s.io/pod-security-admission/policy/check_*.go`, one row of ``_CHECKS`` for each file, with
the policy versions from which its variants hold. Two changes were made in place upstream and hold in every version:
`image` volumes under Restricted (1.33) and the AppArmor field (1.30). A check of Restricted may take the place of one of
Baseline, so that a Windows pod may pass Restricted with what Baseline refuses; validation refuses such pods anyway.

Not modelled: seccomp annotations, which only policies before 1.19 read; the exemptions and defaults of the server.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

from msgspec.structs import fields, replace

from graphsec.model import objects
from graphsec.model.objects import Container, Pod, PodSpec, SecurityContext

LABEL = "pod-security.kubernetes.io/enforce"
VERSION_LABEL = "pod-security.kubernetes.io/enforce-version"


class Level(enum.StrEnum):
    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Violation:
    """``check`` is the upstream id; ``value`` what is written in the field, "" where it is absent and must not be."""

    check: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Enforcement:
    level: Level
    #: None is the latest that the server knows.
    minor: int | None
    #: False where the namespace has no label for the level, and the default of the server holds.
    written: bool
    #: False where a label is not one that the API server would take.
    valid: bool


# -- Parts of a pod ------------------------------------------------------------------------------------------------

_Found = Iterator[tuple[str, str]]
_Finder = Callable[[Pod], _Found]


def each_container(spec: PodSpec) -> Iterator[tuple[str, str, Container]]:
    """Kind, pointer and container, in the order in which upstream visits them (`visitor.go`)."""
    rows = (
        ("initContainers", spec.init_containers),
        ("containers", spec.containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    )
    for kind, containers in rows:
        for index, container in enumerate(containers or ()):
            yield kind, f"spec.{kind}[{index}]", container


def _own_contexts(pod: Pod) -> Iterator[tuple[str, SecurityContext]]:
    """Of containers; an absent one is the empty one."""
    for _, at, container in each_container(pod.spec):
        yield f"{at}.securityContext", container.security_context or _EMPTY


def _contexts(pod: Pod) -> Iterator[tuple[str, SecurityContext]]:
    """Of the pod, then of its containers."""
    yield "spec.securityContext", pod.spec.security_context or _EMPTY
    yield from _own_contexts(pod)


_EMPTY = SecurityContext()


# -- Baseline ------------------------------------------------------------------------------------------------------


def _privileged(pod: Pod) -> _Found:
    for at, context in _own_contexts(pod):
        if context.privileged:
            yield f"{at}.privileged", "true"


def _host_namespaces(pod: Pod) -> _Found:
    spec = pod.spec
    named = {"hostNetwork": spec.host_network, "hostPID": spec.host_pid, "hostIPC": spec.host_ipc}
    for name, value in named.items():
        if value:
            yield f"spec.{name}", "true"


def _host_path_volumes(pod: Pod) -> _Found:
    for index, volume in enumerate(pod.spec.volumes or ()):
        if volume.host_path is not None:
            yield f"spec.volumes[{index}].hostPath", volume.host_path.path


def _host_ports(pod: Pod) -> _Found:
    for _, at, container in each_container(pod.spec):
        for index, port in enumerate(container.ports or ()):
            if port.host_port:
                yield f"{at}.ports[{index}].hostPort", str(port.host_port)


def _host_process(pod: Pod) -> _Found:
    for at, context in _contexts(pod):
        if context.windows_options is not None and context.windows_options.host_process:
            yield f"{at}.windowsOptions.hostProcess", "true"


def _proc_mount(pod: Pod) -> _Found:
    for at, context in _own_contexts(pod):
        if context.proc_mount not in (None, "Default"):
            yield f"{at}.procMount", context.proc_mount or ""


def _added(pod: Pod, allowed: Collection[str]) -> _Found:
    """Names are compared as they are written: the standard knows no `CAP_` prefix and no other case."""
    for at, context in _own_contexts(pod):
        names = (context.capabilities.add or ()) if context.capabilities else ()
        for index, name in enumerate(names):
            if name not in allowed:
                yield f"{at}.capabilities.add[{index}]", name


def _profiles(pod: Pod, attribute: str, name: str) -> _Found:
    """Profiles that are given and confine nothing; one without type counts, as its zero value is none of the two."""
    for at, context in _contexts(pod):
        profile = getattr(context, attribute)
        if profile is not None and profile.type not in _CONFINED:
            yield f"{at}.{name}.type", profile.type or ""


def _seccomp(pod: Pod) -> _Found:
    return _profiles(pod, "seccomp_profile", "seccompProfile")


def _app_armor(pod: Pod) -> _Found:
    yield from _profiles(pod, "app_armor_profile", "appArmorProfile")
    for key, value in pod.annotations.items():
        if key.startswith(objects.APP_ARMOR) and not _is_confined(value):
            yield f"metadata.annotations[{key}]", value


def _is_confined(annotation: str) -> bool:
    return annotation in ("", "runtime/default") or annotation.startswith("localhost/")


def _se_linux(pod: Pod, types: Collection[str]) -> _Found:
    for at, context in _contexts(pod):
        options = context.se_linux_options or _NO_OPTIONS
        if options.type and options.type not in types:
            yield f"{at}.seLinuxOptions.type", options.type
        for name, value in (("user", options.user), ("role", options.role)):
            if value:
                yield f"{at}.seLinuxOptions.{name}", value


def _sysctls(pod: Pod, allowed: Collection[str]) -> _Found:
    context = pod.spec.security_context or _EMPTY
    for index, sysctl in enumerate(context.sysctls or ()):
        if sysctl.name not in allowed:
            yield f"spec.securityContext.sysctls[{index}].name", sysctl.name


def _hosts(pod: Pod) -> _Found:
    for _, at, container in each_container(pod.spec):
        for place, handler in _handlers(container):
            for name, action in (("httpGet", handler.http_get), ("tcpSocket", handler.tcp_socket)):
                if action is not None and action.host:
                    yield f"{at}.{place}.{name}.host", action.host


def _handlers(container: Container) -> Iterator[tuple[str, objects.Handler]]:
    lifecycle = container.lifecycle or objects.Lifecycle()
    named = {
        "livenessProbe": container.liveness_probe,
        "readinessProbe": container.readiness_probe,
        "startupProbe": container.startup_probe,
        "lifecycle.postStart": lifecycle.post_start,
        "lifecycle.preStop": lifecycle.pre_stop,
    }
    for place, handler in named.items():
        if handler is not None:
            yield place, handler


_CONFINED = ("RuntimeDefault", "Localhost")
_NO_OPTIONS = objects.SELinuxOptions()
#: The default capabilities of Docker without NET_RAW.
_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SE_LINUX = ("container_t", "container_init_t", "container_kvm_t")
#: What is safe from a version on.
_SYSCTLS = (
    (
        0,
        (
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
        ),
    ),
    (27, ("net.ipv4.ip_local_reserved_ports",)),
    (
        29,
        (
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
        ),
    ),
    (32, ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem")),
    (37, ("net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat")),
)


def _safe_sysctls(since: int) -> frozenset[str]:
    return frozenset(name for minor, names in _SYSCTLS if minor <= since for name in names)


# -- Restricted ----------------------------------------------------------------------------------------------------


def _volumes(pod: Pod) -> _Found:
    """A volume without source is an emptyDir by default, so what is forbidden is listed, not what is allowed."""
    for index, volume in enumerate(pod.spec.volumes or ()):
        for attribute, name in _FORBIDDEN_VOLUMES.items():
            if getattr(volume, attribute) is not None:
                value = volume.host_path.path if volume.host_path and name == "hostPath" else volume.name
                yield f"spec.volumes[{index}].{name}", value


#: Fields of a volume that Restricted allows (`check_restrictedVolumes.go`), and its name.
_ALLOWED_VOLUMES = frozenset(
    [
        "name",
        "config_map",
        "csi",
        "downward_api",
        "empty_dir",
        "ephemeral",
        "image",
        "persistent_volume_claim",
        "projected",
        "secret",
    ]
)
_FORBIDDEN_VOLUMES = {
    field.name: field.encode_name for field in fields(objects.Volume) if field.name not in _ALLOWED_VOLUMES
}


def _escalation(pod: Pod) -> _Found:
    for at, context in _own_contexts(pod):
        allowed = context.allow_privilege_escalation
        if allowed is not False:
            yield f"{at}.allowPrivilegeEscalation", "true" if allowed else ""


def _run_as_non_root(pod: Pod) -> _Found:
    """A false of the pod counts even where every container overrides it."""
    (at, shared), *own = _contexts(pod)
    if shared.run_as_non_root is False:
        yield f"{at}.runAsNonRoot", "false"
    for place, context in own:
        value = context.run_as_non_root
        if value is False or (value is None and not shared.run_as_non_root):
            yield f"{place}.runAsNonRoot", "" if value is None else "false"


def _run_as_user(pod: Pod) -> _Found:
    for at, context in _contexts(pod):
        if context.run_as_user == 0:
            yield f"{at}.runAsUser", "0"


def _seccomp_given(pod: Pod) -> _Found:
    yield from _seccomp(pod)
    (_, shared), *own = _contexts(pod)
    if shared.seccomp_profile is not None and shared.seccomp_profile.type in _CONFINED:
        return
    for at, context in own:
        if context.seccomp_profile is None:
            yield f"{at}.seccompProfile.type", ""


def _dropped(pod: Pod) -> _Found:
    yield from _added(pod, ("NET_BIND_SERVICE",))
    for at, context in _own_contexts(pod):
        names = (context.capabilities.drop or ()) if context.capabilities else ()
        if "ALL" not in names:
            yield f"{at}.capabilities.drop", ",".join(names)


# -- The checks ----------------------------------------------------------------------------------------------------


def _not_on_windows(find: _Finder) -> _Finder:
    def found(pod: Pod) -> _Found:
        return iter(()) if pod.spec.os is not None and pod.spec.os.name == "windows" else find(pod)

    return found


def _not_in_user_namespaces(find: _Finder) -> _Finder:
    def found(pod: Pod) -> _Found:
        return iter(()) if pod.spec.host_users is False else find(pod)

    return found


@dataclass(frozen=True, slots=True)
class _Check:
    """``versions``: the minor from which each variant holds, in rising order; ``replaces``: a check of Baseline."""

    id: str
    level: Level
    versions: tuple[tuple[int, _Finder], ...]
    replaces: str = ""

    def at(self, minor: int) -> _Finder | None:
        return next((find for since, find in reversed(self.versions) if since <= minor), None)


_CHECKS = (
    _Check("hostNamespaces", Level.BASELINE, ((0, _host_namespaces),)),
    _Check("privileged", Level.BASELINE, ((0, _privileged),)),
    _Check("capabilities_baseline", Level.BASELINE, ((0, partial(_added, allowed=_CAPABILITIES)),)),
    _Check("hostPathVolumes", Level.BASELINE, ((0, _host_path_volumes),)),
    _Check("hostPorts", Level.BASELINE, ((0, _host_ports),)),
    _Check("appArmorProfile", Level.BASELINE, ((0, _app_armor),)),
    _Check(
        "seLinuxOptions",
        Level.BASELINE,
        ((0, partial(_se_linux, types=_SE_LINUX)), (31, partial(_se_linux, types=(*_SE_LINUX, "container_engine_t")))),
    ),
    _Check("procMount", Level.BASELINE, ((0, _proc_mount), (35, _not_in_user_namespaces(_proc_mount)))),
    _Check("seccompProfile_baseline", Level.BASELINE, ((19, _seccomp),)),
    _Check(
        "sysctls",
        Level.BASELINE,
        tuple((since, partial(_sysctls, allowed=_safe_sysctls(since))) for since, _ in _SYSCTLS),
    ),
    _Check("windowsHostProcess", Level.BASELINE, ((0, _host_process),)),
    _Check("hostProbesAndHostLifecycle", Level.BASELINE, ((34, _hosts),)),
    _Check("restrictedVolumes", Level.RESTRICTED, ((0, _volumes),), "hostPathVolumes"),
    _Check("allowPrivilegeEscalation", Level.RESTRICTED, ((8, _escalation), (25, _not_on_windows(_escalation)))),
    _Check("runAsNonRoot", Level.RESTRICTED, ((0, _run_as_non_root), (35, _not_in_user_namespaces(_run_as_non_root)))),
    _Check("runAsUser", Level.RESTRICTED, ((23, _run_as_user), (35, _not_in_user_namespaces(_run_as_user)))),
    _Check(
        "seccompProfile_restricted",
        Level.RESTRICTED,
        ((19, _seccomp_given), (25, _not_on_windows(_seccomp_given))),
        "seccompProfile_baseline",
    ),
    _Check(
        "capabilities_restricted",
        Level.RESTRICTED,
        ((22, _dropped), (25, _not_on_windows(_dropped))),
        "capabilities_baseline",
    ),
    _Check("procMount_restricted", Level.RESTRICTED, ((35, _proc_mount),), "procMount"),
)


@cache
def _in_force(level: Level, minor: int) -> tuple[tuple[str, _Finder], ...]:
    levels = {
        Level.PRIVILEGED: (),
        Level.BASELINE: (Level.BASELINE,),
        Level.RESTRICTED: (Level.BASELINE, Level.RESTRICTED),
    }[level]
    active = [(check, find) for check in _CHECKS if check.level in levels and (find := check.at(minor)) is not None]
    replaced = {check.replaces for check, _ in active}
    return tuple((check.id, find) for check, find in active if check.id not in replaced)


def violations(pod: Pod, level: Level, minor: int) -> tuple[Violation, ...]:
    """All that the policy of Kubernetes 1.``minor`` forbids in the whole pod, init and ephemeral containers included."""
    return tuple(
        Violation(check, field, value) for check, find in _in_force(level, minor) for field, value in find(pod)
    )


# -- What a namespace enforces -------------------------------------------------------------------------------------

#: As `api/helpers.go` has it; a number that long is refused there as well.
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,17})")


def enforcement(labels: Mapping[str, str] | None) -> Enforcement:
    """Of the labels of a namespace that exists: a level that is none counts as restricted, a version as latest."""
    given = labels or {}
    written = LABEL in given
    level = given.get(LABEL, Level.PRIVILEGED)
    version = given.get(VERSION_LABEL, "latest")
    match = _VERSION.fullmatch(version)
    known = level in list(Level)
    return Enforcement(
        level=Level(level) if known else Level.RESTRICTED,
        minor=int(match[1]) if match else None,
        written=written,
        valid=known and (match is not None or version == "latest"),
    )


# -- Whether one field is admitted ---------------------------------------------------------------------------------

_GOOD = SecurityContext(allow_privilege_escalation=False, capabilities=objects.Capabilities(drop=("ALL",)))
_GOOD_POD = SecurityContext(run_as_non_root=True, seccomp_profile=objects.TypedProfile("RuntimeDefault"))
_CONTAINER = Container(name="main", image="image", security_context=_GOOD)
#: Validation refuses `privileged` beside a forbidden escalation.
_PRIVILEGED = replace(_GOOD, privileged=True, allow_privilege_escalation=None)


def minimal_pod(context: SecurityContext = _GOOD, **spec: object) -> Pod:
    """A pod that Restricted admits, changed in the context of its one container and in fields of its spec."""
    base = PodSpec(security_context=_GOOD_POD, containers=(replace(_CONTAINER, security_context=context),))
    return Pod(metadata=objects.PodMetadata(name="minimal"), spec=replace(base, **spec))


def _with_host_path() -> Pod:
    container = replace(_CONTAINER, volume_mounts=(objects.VolumeMount(name="host", mount_path="/host"),))
    volume = objects.Volume(name="host", host_path=objects.HostPath("/"))
    return minimal_pod(containers=(container,), volumes=(volume,))


def _with_capability() -> Pod:
    added = objects.Capabilities(add=("SYS_ADMIN",), drop=("ALL",))
    return minimal_pod(replace(_GOOD, capabilities=added, allow_privilege_escalation=None))


def _with_host_port() -> Pod:
    return minimal_pod(containers=(replace(_CONTAINER, ports=(objects.ContainerPort(8080, host_port=8080),)),))


def _with_privileged_init() -> Pod:
    return minimal_pod(init_containers=(Container(name="init", image="image", security_context=_PRIVILEGED),))


_UNCONFINED = objects.TypedProfile("Unconfined")
#: What an attack needs of a pod, and a pod that has nothing else which a level could refuse. An unmasked /proc is meant
#: without the user namespace with which Baseline admits it from 1.35 on: there it opens nothing.
FIELDS: Mapping[str, Pod] = {
    "none": minimal_pod(),
    "privileged": minimal_pod(_PRIVILEGED),
    "hostPID": minimal_pod(host_pid=True),
    "hostIPC": minimal_pod(host_ipc=True),
    "hostNetwork": minimal_pod(host_network=True),
    "hostPath": _with_host_path(),
    "capabilities": _with_capability(),
    "hostPorts": _with_host_port(),
    "procMount": minimal_pod(replace(_GOOD, proc_mount="Unmasked")),
    "seccompUnconfined": minimal_pod(replace(_GOOD, seccomp_profile=_UNCONFINED)),
    "appArmorUnconfined": minimal_pod(replace(_GOOD, app_armor_profile=_UNCONFINED)),
    "seLinuxOptions": minimal_pod(replace(_GOOD, se_linux_options=objects.SELinuxOptions(type="spc_t"))),
    "initContainers": _with_privileged_init(),
}


@cache
def _is_admitted(field: str, level: Level, minor: int) -> bool:
    return not violations(FIELDS[field], level, minor)


def admits(field: str, enforcement: Enforcement, minor: int) -> bool:
    """Whether a pod with this field of ``FIELDS`` and nothing else amiss is let in by a server of 1.``minor``.

    A server judges a version that is newer than itself by the newest that it has (`registry.go`).
    """
    pinned = minor if enforcement.minor is None else min(enforcement.minor, minor)
    return _is_admitted(field, enforcement.level, pinned)


__all__ = [
    "FIELDS",
    "LABEL",
    "VERSION_LABEL",
    "Enforcement",
    "Level",
    "Violation",
    "admits",
    "each_container",
    "enforcement",
    "minimal_pod",
    "violations",
]
