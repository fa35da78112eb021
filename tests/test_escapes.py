"""What pods open on their nodes: a table of fields, each with the edit that closes it, and clusters made to be attacked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import graphsec as gs
from graphsec.compile.escapes import Effect, Escape, _is_ancestor, _normal, escapes
from graphsec.model import objects

VULNERABLE = Path(__file__).parents[2] / "shared" / "corpora" / "vulnerable"
ATTACKS = VULNERABLE / "kubehound-cluster" / "attacks"
beside = pytest.mark.skipif(not VULNERABLE.is_dir(), reason="the shared corpora are not beside this checkout")

Found = set[tuple[str, Effect]]
ROOT, NODE, PLANE, PODS = (
    Effect.NODE_ROOT,
    Effect.NODE_CREDENTIALS,
    Effect.CONTROL_PLANE_FILES,
    Effect.POD_CREDENTIALS,
)
FILES, NETWORK, LOGS, EXPOSED = Effect.HOST_FILES, Effect.HOST_NETWORK, Effect.NEEDS_LOGS, Effect.EXPOSURE
SHARED = ("shared-process-namespace", Effect.SHARED_PROCESSES)
RARE = "escape-rare-field"
NOTHING: Found = set()
#: What a privileged container always gives.
PRIVILEGED: Found = {("escape-privileged", ROOT), ("escape-kernel-module", ROOT), ("escape-core-pattern", ROOT)}
READ_ALL: Found = {("hostpath-read", effect) for effect in (NODE, PLANE, FILES)} | {("hostpath-kubelet-pods", PODS)}


def spec(text: str) -> objects.PodSpec:
    return msgspec.json.decode(json.dumps(yaml.safe_load(text)), type=objects.PodSpec)


def found(text: str) -> Found:
    return {(escape.rule, escape.effect) for escape in escapes(spec(text))}


def one(text: str, rule: str) -> Escape:
    """The only escape by the rule."""
    (escape,) = [escape for escape in escapes(spec(text)) if escape.rule == rule]
    return escape


# -- The table -----------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """``edit`` is the same pod with a small edit, after which ``left`` is what it still opens."""

    title: str
    spec: str
    opens: Found
    edit: str
    left: Found = NOTHING


def context(text: str, *, pod: str = "") -> str:
    return f"{pod}\ncontainers: [{{name: a, securityContext: {{{text}}}}}]"


def adding(*names: str, pod: str = "", more: str = "") -> str:
    return context(f"capabilities: {{add: [{', '.join(names)}]{more}}}", pod=pod)


def mount(path: str, more: str = "", *, pod: str = "", own: str = "") -> str:
    volume = f"volumes: [{{name: h, hostPath: {{path: '{path}'}}}}]"
    return f"{pod}\n{volume}\ncontainers: [{{name: a, {own} volumeMounts: [{{name: h, mountPath: /h{more}}}]}}]"


RO = ", readOnly: true"
HOST_PID = "hostPID: true"
NSENTER, PTRACE = ("escape-nsenter", ROOT), ("escape-ptrace", ROOT)
AGENT, MODULE, CORE = (
    ("escape-cgroup-release-agent", ROOT),
    ("escape-kernel-module", ROOT),
    ("escape-core-pattern", ROOT),
)
WRITE, READ, SOCKET = ("hostpath-write", ROOT), "hostpath-read", ("runtime-socket", ROOT)
NOT_ROOT = "runAsUser: 1000"

TABLE = (
    Row("privileged", context("privileged: true"), PRIVILEGED, context("privileged: false")),
    Row("module", adding("SYS_MODULE"), {MODULE}, adding("CHOWN")),
    Row("module with prefix, in lower case", adding("cap_sys_module"), {MODULE}, adding("cap_sys_modules")),
    Row("module kept by drop ALL", adding("SYS_MODULE", more=", drop: [ALL]"), {MODULE}, adding("CHOWN")),
    Row(
        "all",
        adding("ALL"),
        {MODULE, AGENT, (RARE, ROOT), *(("escape-open-by-handle", effect) for effect in (NODE, PLANE, PODS, FILES))},
        adding("ALL", more=", drop: [SYS_MODULE, CAP_SYS_ADMIN, DAC_READ_SEARCH, SYS_RAWIO, BPF, SYS_BOOT]"),
        {(RARE, FILES)},
    ),
    Row("nsenter", adding("SYS_ADMIN", pod=HOST_PID), {NSENTER, AGENT, SHARED}, adding("SYS_ADMIN"), {AGENT}),
    Row(
        "nsenter, privileged",
        context("privileged: true", pod=HOST_PID),
        {*PRIVILEGED, NSENTER, SHARED},
        context("privileged: true"),
        PRIVILEGED,
    ),
    Row("ptrace", adding("SYS_PTRACE", pod=HOST_PID), {PTRACE, SHARED}, adding("SYS_PTRACE")),
    Row(
        "ptrace, profile of the pod",
        adding("SYS_PTRACE", pod="hostPID: true\nsecurityContext: {appArmorProfile: {type: Localhost}}"),
        {PTRACE, SHARED},
        adding("SYS_PTRACE", pod="hostPID: true\nsecurityContext: {appArmorProfile: {type: RuntimeDefault}}"),
        {SHARED},
    ),
    Row(
        "core pattern",
        mount("/proc/sys/kernel", own="securityContext: {runAsUser: 0},"),
        {CORE},
        mount("/proc/sys/kernel", own=f"securityContext: {{{NOT_ROOT}}},"),
    ),
    Row("core pattern without user", mount("/proc/sys"), {CORE}, mount("/proc/sys", RO)),
    Row("core pattern, all of proc", mount("/proc"), {CORE, (READ, FILES)}, mount("/proc", RO), {(READ, FILES)}),
    Row(
        "core pattern, user of the pod",
        mount("/proc/sys", pod="securityContext: {runAsNonRoot: false}"),
        {CORE},
        mount("/proc/sys", pod="securityContext: {runAsNonRoot: true}"),
    ),
    Row("core pattern beside", mount("/proc/sys/kernel/core_pattern"), {CORE}, mount("/proc/sys/net")),
    Row("logs", mount("/var/log"), {("escape-var-log", LOGS)}, mount("/var/log", RO)),
    Row("logs of pods", mount("/var/log/pods/"), {("escape-var-log", LOGS)}, mount("/var/log/own")),
    Row(
        "release agent",
        adding("SYS_ADMIN"),
        {AGENT},
        context("appArmorProfile: {type: RuntimeDefault}, capabilities: {add: [SYS_ADMIN]}"),
    ),
    Row(
        "open by handle",
        adding("DAC_READ_SEARCH"),
        {("escape-open-by-handle", effect) for effect in (NODE, PLANE, PODS, FILES)},
        adding("FOWNER"),
    ),
    *(
        Row(f"socket {path}", mount(path, RO), {SOCKET}, mount("/run/other/own.sock", RO))
        for path in (
            "/var/run/docker.sock",
            "/run/docker.sock",
            "/run/containerd",
            "/run/containerd/containerd.sock",
            "//run/./crio/crio.sock",
            "/var/run/../run/crio/",
            "/run/k3s/containerd/containerd.sock",
            "/run/podman/podman.sock",
        )
    ),
    Row("socket by parent", mount("/var/run", RO), {SOCKET, (READ, FILES)}, mount("/run/systemd", RO)),
    Row("socket, writable", mount("/var/run/docker.sock"), {SOCKET}, mount("/var/run/own.sock")),
    Row(
        "socket by subPath", mount("/run", RO + ", subPath: docker.sock"), {SOCKET}, mount("/run", RO + ", subPath: x")
    ),
    Row("read /", mount("/", RO), {*READ_ALL, SOCKET}, mount("/srv/data", RO)),
    Row("read /etc", mount("/etc", RO), {(READ, NODE), (READ, PLANE), (READ, FILES)}, mount("/etc/ssl/certs", RO)),
    Row("read kubernetes", mount("/etc/kubernetes", RO), {(READ, NODE), (READ, PLANE)}, mount("/etc/cni/net.d", RO)),
    Row("read PKI", mount("/etc/kubernetes/pki/", RO), {(READ, PLANE)}, mount("/etc/kubernetes/pkix", RO)),
    Row(
        "read a key", mount("/etc/kubernetes/pki/ca.key", RO), {(READ, PLANE)}, mount("/etc/kubernetes/pki/ca.crt", RO)
    ),
    Row(
        "read kubelet",
        mount("/var/lib/kubelet", RO),
        {(READ, NODE), ("hostpath-kubelet-pods", PODS)},
        mount("/var/lib/kubelet/plugins", RO),
    ),
    Row("read kubelet PKI", mount("/var/lib/kubelet/pki", RO), {(READ, NODE)}, mount("/var/lib/kubelet/pkix", RO)),
    Row("read etcd", mount("/var/lib/etcd", RO), {(READ, PLANE)}, mount("/var/lib/etcd-backup", RO)),
    Row("read root", mount("/root", RO), {(READ, NODE), (READ, PLANE), (READ, FILES)}, mount("/root/data", RO)),
    Row("read a home", mount("/home/ann", RO), {(READ, FILES)}, mount("/home/ann/data", RO)),
    Row("read keys in a home", mount("/home/ann/.ssh", RO), {(READ, FILES)}, mount("/home/ann/.ssh2", RO)),
    Row("read k3s", mount("/var/lib/rancher/k3s", RO), {(READ, NODE), (READ, PLANE)}, mount("/var/lib/rancher/x", RO)),
    Row(
        "read by subPath",
        mount("/etc", RO + ", subPath: kubernetes/pki"),
        {(READ, PLANE)},
        mount("/etc", RO + ", subPath: hosts"),
    ),
    Row(
        "pods of the kubelet",
        mount("/var/lib/kubelet/pods", RO),
        {("hostpath-kubelet-pods", PODS)},
        mount("/var/lib/kubelet/podsx", RO),
    ),
    Row(
        "unmounted",
        mount("/", RO),
        {*READ_ALL, SOCKET},
        "volumes: [{name: h, hostPath: {path: /}}]\ncontainers: [{name: a}]",
    ),
    Row("write /", mount("/"), {*READ_ALL, SOCKET, WRITE, CORE, ("escape-var-log", LOGS)}, mount("/srv", RO)),
    *(
        Row(f"write {path}", mount(path), {WRITE}, mount(path, RO))
        for path in ("/etc/cron.d", "/etc/systemd/system", "/etc/kubernetes/manifests", "/opt/cni/bin", "/usr/bin")
    ),
    *(Row(f"write {path}", mount(path), {WRITE}, mount(path, RO)) for path in ("/dev", "/lib/modules", "/usr", "/opt")),
    Row("write anything", mount("/srv/data"), {WRITE}, mount("/srv/data", RO)),
    Row("write nothing that matters", mount("/srv"), {WRITE}, mount("/etc/localtime")),
    Row(
        "host network",
        "hostNetwork: true\ncontainers: [{name: a}]",
        {("host-network", NETWORK)},
        "containers: [{name: a}]",
    ),
    Row("host processes", "hostPID: true\ncontainers: [{name: a}]", {SHARED}, "hostIPC: true\ncontainers: [{name: a}]"),
    Row(
        "shared processes",
        "shareProcessNamespace: true\ncontainers: [{name: a}, {name: b}]",
        {SHARED},
        "shareProcessNamespace: true\ncontainers: [{name: a}]",
    ),
    Row("unmasked /proc", context("procMount: Unmasked"), {(RARE, ROOT)}, context("procMount: Default")),
    Row(
        "SELinux",
        "securityContext: {seLinuxOptions: {type: spc_t}}\ncontainers: [{name: a}]",
        {(RARE, EXPOSED)},
        context("seLinuxOptions: {type: container_t}", pod="securityContext: {seLinuxOptions: {type: spc_t}}"),
    ),
    Row(
        "AppArmor",
        context("appArmorProfile: {type: Unconfined}"),
        {(RARE, EXPOSED)},
        context("appArmorProfile: {type: RuntimeDefault}"),
    ),
    Row(
        "host process",
        "os: {name: windows}\nsecurityContext: {windowsOptions: {hostProcess: true}}\ncontainers: [{name: a}]",
        {(RARE, ROOT)},
        "os: {name: windows}\nsecurityContext: {windowsOptions: {hostProcess: false}}\ncontainers: [{name: a}]",
    ),
    Row(
        "block device",
        "containers: [{name: a, volumeDevices: [{name: d, devicePath: /dev/x}]}]",
        {(RARE, FILES)},
        "containers: [{name: a, volumeDevices: []}]",
    ),
    *(
        Row(f"capability {name}", adding(name), {(RARE, effect)}, adding("CHOWN"))
        for name, effect in (
            ("SYS_RAWIO", ROOT),
            ("BPF", ROOT),
            ("SYS_BOOT", ROOT),
            ("PERFMON", FILES),
            ("MKNOD", FILES),
            ("NET_ADMIN", EXPOSED),
            ("DAC_OVERRIDE", EXPOSED),
            ("SYS_TIME", EXPOSED),
        )
    ),
    Row(
        "propagation",
        "volumes: [{name: v, emptyDir: {}}]\n"
        "containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}]}]",
        {(RARE, ROOT)},
        "volumes: [{name: v, emptyDir: {}}]\n"
        "containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, mountPropagation: HostToContainer}]}]",
    ),
    Row(
        "git",
        "volumes: [{name: v, gitRepo: {repository: r}}]\ncontainers: [{name: a, volumeMounts: [{name: v, mountPath: /v}]}]",
        {(RARE, ROOT)},
        "volumes: [{name: v, gitRepo: {repository: r}}]\ncontainers: [{name: a}]",
    ),
    Row(
        "host port",
        "containers: [{name: a, ports: [{containerPort: 80, hostPort: 80}]}]",
        {(RARE, EXPOSED)},
        "containers: [{name: a, ports: [{containerPort: 80, hostPort: 0}]}]",
    ),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_table(row: Row) -> None:
    assert found(row.spec) == row.opens
    assert found(row.edit) == row.left


# -- Which container, which field ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
def test_every_kind_of_container(kind: str) -> None:
    text = f"{kind}: [{{name: other}}, {{name: a, securityContext: {{privileged: true}}}}]"
    assert one(text, "escape-privileged") == Escape(
        "escape-privileged",
        "a",
        kind,
        f"spec.{kind}[1].securityContext.privileged",
        "true",
        Effect.NODE_ROOT,
        (),
        heuristic=False,
    )


def test_capabilities_and_mounts_of_a_sibling_are_not_ones_own() -> None:
    text = (
        "volumes: [{name: h, hostPath: {path: /proc}}]\n"
        "containers:\n"
        "  - {name: a, volumeMounts: [{name: h, mountPath: /h}]}\n"
        "  - {name: b, securityContext: {capabilities: {add: [chown, CAP_SYS_MODULE]}}}\n"
    )
    assert one(text, "escape-core-pattern").container == "a"
    module = one(text, "escape-kernel-module")
    assert (module.container, module.value) == ("b", "CAP_SYS_MODULE")
    assert module.field == "spec.containers[1].securityContext.capabilities.add[1]"


def test_host_path_is_the_one_that_is_mounted() -> None:
    escape = one(mount("/var//lib/", ", subPath: kubelet/pods"), "hostpath-kubelet-pods")
    assert (escape.path, escape.field) == ("/var/lib/kubelet/pods", "spec.containers[0].volumeMounts[0]")
    assert escape.assumptions == ("SCHED",)


@pytest.mark.parametrize(
    ("path", "listed"),
    [("/etc/cron.d/x", True), ("/", True), ("/root", True), ("/root/data", False), ("/var/lib/kubelet/plugins", False)],
)
def test_writes_outside_the_list_are_heuristic(path: str, listed: bool) -> None:
    assert one(mount(path), "hostpath-write").heuristic is not listed


def test_sub_path_of_a_variable_may_be_anything() -> None:
    escape = one(mount("/var/lib", ", readOnly: true, subPathExpr: $(NAME)/pods"), "hostpath-kubelet-pods")
    assert escape.heuristic
    assert escape.path == "/var/lib/*/pods"
    assert found(mount("/srv", ", readOnly: true, subPathExpr: $(NAME)/pods")) == NOTHING


# -- What attenuates -----------------------------------------------------------------------------------------------

USERNS = "hostUsers: false"


@pytest.mark.parametrize(
    "text",
    [
        context("privileged: true", pod=USERNS),
        adding("ALL", pod=USERNS),
        adding("SYS_ADMIN", "SYS_MODULE", pod=USERNS),
        context("procMount: Unmasked", pod=USERNS),
        mount("/proc/sys", pod=USERNS),
    ],
)
def test_privileges_end_in_a_user_namespace(text: str) -> None:
    assert found(text) == NOTHING
    assert found(text.replace("false", "true", 1)) != NOTHING


def test_mounts_are_mapped_to_the_user_namespace() -> None:
    assert one(mount("/etc/cron.d", pod=USERNS), "hostpath-write").assumptions == ("NODE-OS",)
    assert one(mount("/run/crio", RO, pod=USERNS), "runtime-socket").assumptions == ("NODE-OS",)


def test_runtime_class_may_be_a_sandbox() -> None:
    text = context("privileged: true", pod="runtimeClassName: gvisor\nhostNetwork: true")
    assert one(text, "escape-privileged").assumptions == ("RUNTIME",)
    assert one(text, "escape-core-pattern").assumptions == ("RUNTIME",)
    assert one(text, "host-network").assumptions == ()
    plain = context("privileged: true", pod='runtimeClassName: ""')
    assert one(plain, "escape-privileged").assumptions == ()


def test_user_that_is_not_root_needs_a_set_user_id_program() -> None:
    text = context(f"capabilities: {{add: [SYS_MODULE]}}, {NOT_ROOT}")
    assert one(text, "escape-kernel-module").assumptions == ("RUNTIME",)
    assert found(text.replace("runAsUser", "allowPrivilegeEscalation: false, runAsUser")) == NOTHING
    root = text.replace("1000", "0").replace("runAsUser", "allowPrivilegeEscalation: false, runAsUser")
    assert one(root, "escape-kernel-module").assumptions == ()


def test_user_of_the_container_overrides_that_of_the_pod() -> None:
    text = context("capabilities: {add: [SYS_MODULE]}, runAsUser: 0", pod="securityContext: {runAsUser: 1000}")
    assert one(text, "escape-kernel-module").assumptions == ()


def test_runtimes_differ_on_what_is_both_added_and_dropped() -> None:
    escape = one(adding("SYS_MODULE", more=", drop: [CAP_SYS_MODULE]"), "escape-kernel-module")
    assert escape.assumptions == ("RUNTIME",)


def test_windows_knows_no_capabilities_and_no_linux_paths() -> None:
    text = mount("C:\\Windows", pod="os: {name: windows}\nhostNetwork: true")
    escape = one(text, "hostpath-write")
    assert (escape.path, escape.heuristic) == ("C:\\Windows", True)
    assert found(text) == {WRITE}


# -- Clusters made to be attacked ----------------------------------------------------------------------------------

#: The weakness that each folder documents, and whether the node falls by it.
BAD_PODS: dict[str, tuple[Found, bool]] = {
    "everything-allowed": (
        {*PRIVILEGED, *READ_ALL, NSENTER, WRITE, SOCKET, SHARED, ("host-network", NETWORK), ("escape-var-log", LOGS)},
        True,
    ),
    "priv-and-hostpid": ({*PRIVILEGED, NSENTER, SHARED}, True),
    "priv": (PRIVILEGED, True),
    "hostpath": ({*READ_ALL, WRITE, SOCKET, CORE, ("escape-var-log", LOGS)}, True),
    "hostpid": ({SHARED}, False),
    "hostnetwork": ({("host-network", NETWORK)}, False),
    "hostipc": (NOTHING, False),
    "nothing-allowed": (NOTHING, False),
}
#: A file that says more than its folder: it was copied from another and has hostPID and hostNetwork.
ODD = {"hostipc-revshell-deamonset": {SHARED, ("host-network", NETWORK)}}
BAD_FILES = sorted((VULNERABLE / "badpods").glob("*/*/*.yaml"))


def of_file(file: Path) -> list[Escape]:
    """Of its pods and templates, of which there must be one."""
    cluster = gs.load(str(file)).cluster
    kinds = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController")
    specs = [loaded.body.spec for loaded in cluster.of("Pod")]
    specs += [loaded.body.pod_spec for kind in kinds for loaded in cluster.of(kind)]
    assert specs
    return [escape for found_spec in specs for escape in escapes(found_spec)]


def opened(file: Path) -> Found:
    return {(escape.rule, escape.effect) for escape in of_file(file)}


@beside
def test_every_folder_of_bad_pods_is_known() -> None:
    assert {file.parts[-3] for file in BAD_FILES} == set(BAD_PODS)


@pytest.mark.parametrize("file", BAD_FILES, ids=lambda file: file.stem)
def test_bad_pods(file: Path) -> None:
    expected, falls = BAD_PODS[file.parts[-3]]
    assert opened(file) == ODD.get(file.stem, expected)
    assert (Effect.NODE_ROOT in {effect for _, effect in opened(file)}) == falls


#: attacks.md §8; what is not named there is not an attack of a container on its node.
KUBEHOUND: dict[str, Found] = {
    "CE_MODULE_LOAD": {MODULE},
    # Trap 13: a position in the network, no root.
    "CE_NET_MITM": {("host-network", NETWORK), (RARE, EXPOSED)},
    "CE_NSENTER": {*PRIVILEGED, NSENTER, SHARED},
    "CE_PRIV_MOUNT": PRIVILEGED,
    # Trap 14: nsenter, too.
    "CE_SYS_PTRACE": {PTRACE, NSENTER, AGENT, (RARE, EXPOSED), SHARED},
    "CE_UMH_CORE_PATTERN": {CORE},
    # Trap 16: it takes logs besides.
    "CE_VAR_LOG_SYMLINK": {("escape-var-log", LOGS)},
    # Trap 15: privileged with hostPID, and a hostPort.
    "ENDPOINT_EXPLOIT": {*PRIVILEGED, NSENTER, SHARED, (RARE, EXPOSED)},
    # Trap 17.
    "EXPLOIT_HOST_READ_TRAVERSE": {(READ, FILES), ("hostpath-kubelet-pods", PODS)},
    "EXPLOIT_HOST_WRITE": {*READ_ALL, WRITE, SOCKET, CORE, ("escape-var-log", LOGS)},
    "SHARE_PS_NAMESPACE": {SHARED},
    # Trap 20.
    "CONTROL_POD": NOTHING,
}


@beside
@pytest.mark.parametrize("name", KUBEHOUND)
def test_kubehound_cluster(name: str) -> None:
    assert opened(ATTACKS / f"{name}.yaml") == KUBEHOUND[name]


@beside
def test_kubehound_traps() -> None:
    host_port = [escape for escape in of_file(ATTACKS / "ENDPOINT_EXPLOIT.yaml") if escape.rule == RARE]
    assert [(escape.field, escape.value) for escape in host_port] == [("spec.containers[0].ports[1].hostPort", "1112")]
    shared = of_file(ATTACKS / "SHARE_PS_NAMESPACE.yaml")
    assert {escape.assumptions for escape in shared} == {("RUNTIME",)}
    read = of_file(ATTACKS / "EXPLOIT_HOST_READ_TRAVERSE.yaml")
    assert {escape.path: escape.assumptions for escape in read} == {
        "/root/.ssh": ("NODE-FILES",),
        "/var/lib/kubelet/pods": ("SCHED",),
    }


# -- Laws ----------------------------------------------------------------------------------------------------------

PATHS = st.lists(st.sampled_from(["var", "run", "lib", "..", ".", "", "kubelet"]), max_size=5).map("/".join)


@given(PATHS, PATHS, PATHS)
def test_ancestry_is_an_order(a: str, b: str, c: str) -> None:
    one_, two, three = map(_normal, (a, b, c))
    assert _normal(one_) == one_
    assert _is_ancestor("/", one_)
    assert _is_ancestor(one_, one_)
    assert not (_is_ancestor(one_, two) and _is_ancestor(two, one_)) or one_ == two
    assert not (_is_ancestor(one_, two) and _is_ancestor(two, three)) or _is_ancestor(one_, three)


@given(PATHS, PATHS)
def test_a_mount_higher_up_opens_no_less(path: str, below: str) -> None:
    """What is certain of a directory is certain of one that holds it; a read-only mount opens no more than a writable one."""
    upper, lower = _normal(path), _normal(f"{path}/{below}")
    if not _is_ancestor(upper, lower):
        return
    certain = {
        (escape.rule, escape.effect)
        for escape in escapes(spec(mount(lower)))
        if not escape.heuristic and escape.rule != "hostpath-read"
    }
    assert certain <= found(mount(upper))
    assert found(mount(lower, RO)) <= found(mount(lower))


@given(st.booleans(), st.booleans())
def test_equal_specs_have_equal_escapes(privileged: bool, host_pid: bool) -> None:
    text = context(f"privileged: {str(privileged).lower()}", pod=f"hostPID: {str(host_pid).lower()}")
    assert escapes(spec(text)) == escapes(spec(text))
