"""Pod Security Standards: upstream's own fixtures, every version step, the labels of namespaces, and laws of the levels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import graphsec as gs
from graphsec.compile.pod_security import (
    FIELDS,
    Enforcement,
    Level,
    Violation,
    admits,
    each_container,
    enforcement,
    minimal_pod,
    violations,
)
from graphsec.model import objects

FIXTURES = Path(__file__).parents[2] / "shared" / "corpora" / "pod-security"
FIXTURE_MINOR = 35
FILES = sorted(FIXTURES.glob("*/v1.35/*/*.yaml"))
PRIVILEGED, BASELINE, RESTRICTED = Level


def pod(spec: str, annotations: dict[str, str] | None = None) -> objects.Pod:
    metadata: dict[str, Any] = {"name": "pod", "annotations": annotations or {}}
    return msgspec.json.decode(
        json.dumps({"kind": "Pod", "metadata": metadata, "spec": yaml.safe_load(spec)}), type=objects.Pod
    )


def checks(found: objects.Pod, level: Level, minor: int) -> set[str]:
    return {violation.check for violation in violations(found, level, minor)}


# -- Upstream's fixtures -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the shared corpora are not beside this checkout")
def test_all_fixtures_are_there() -> None:
    assert len(FILES) == 148


@pytest.mark.parametrize("file", FILES, ids=lambda file: "/".join(file.parts[-4:]))
def test_fixture(file: Path) -> None:
    level, _, verdict, _ = file.parts[-4:]
    (loaded,) = gs.load(str(file)).cluster.of("Pod")
    found = violations(loaded.body, Level(level), FIXTURE_MINOR)
    assert bool(found) == (verdict == "fail"), found


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.parts[-2] == "fail" and not file.stem.startswith("base")],
    ids=lambda file: "/".join(file.parts[-4:]),
)
def test_fixture_fails_by_the_check_that_it_is_named_for(file: Path) -> None:
    """Restricted replaces some checks of Baseline, whose fixtures then fail by the replacement.

    More may be found: validation lets some fields stand only beside others that are forbidden, too.
    """
    (loaded,) = gs.load(str(file)).cluster.of("Pod")
    named = file.stem.rstrip("0123456789")
    replaced = {
        "hostpathvolumes": "restrictedvolumes",
        "procmount": "procmount_restricted",
        "capabilities_baseline": "capabilities_restricted",
        "seccompprofile_baseline": "seccompprofile_restricted",
    }
    expected = {named, replaced.get(named, named)}
    found = {check.lower() for check in checks(loaded.body, Level(file.parts[-4]), FIXTURE_MINOR)}
    assert found & expected


# -- Version steps -------------------------------------------------------------------------------------------------

GOOD = "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
GOOD_POD = "runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}"


class Step(NamedTuple):
    """``spec`` violates the check at 1.``bad`` and not at 1.``good``; ``edit`` does not violate it at 1.``bad`` either."""

    check: str
    level: Level
    bad: int
    good: int
    spec: str
    edit: str


def sysctl(name: str) -> str:
    return f"securityContext: {{sysctls: [{{name: {name}}}]}}"


SAFE = sysctl("kernel.shm_rmid_forced")
PROBES = "containers: [{name: a, %s: {%s: {port: 80, host: %s}}}]"
HOOKS = "containers: [{name: a, lifecycle: {%s: {%s: {port: 80, host: %s}}}}]"
WINDOWS_MAIN = "os: {name: %s}\ncontainers: [{name: a}]"

STEPS = (
    Step(
        "allowPrivilegeEscalation",
        RESTRICTED,
        8,
        7,
        "containers: [{name: a}]",
        "containers: [{name: a, securityContext: {allowPrivilegeEscalation: false}}]",
    ),
    Step(
        "seccompProfile_restricted",
        RESTRICTED,
        19,
        18,
        "containers: [{name: a}]",
        "{securityContext: {seccompProfile: {type: Localhost}}, containers: [{name: a}]}",
    ),
    Step(
        "seccompProfile_baseline",
        BASELINE,
        19,
        18,
        "containers: [{name: a, securityContext: {seccompProfile: {type: Unconfined}}}]",
        "containers: [{name: a, securityContext: {seccompProfile: {type: RuntimeDefault}}}]",
    ),
    Step(
        "capabilities_restricted",
        RESTRICTED,
        22,
        21,
        "containers: [{name: a, securityContext: {capabilities: {drop: [NET_RAW]}}}]",
        "containers: [{name: a, securityContext: {capabilities: {drop: [ALL]}}}]",
    ),
    Step("runAsUser", RESTRICTED, 23, 22, "securityContext: {runAsUser: 0}", "securityContext: {runAsUser: 1}"),
    *(
        Step(check, RESTRICTED, 24, 25, WINDOWS_MAIN % "windows", edit)
        for check, edit in (
            ("allowPrivilegeEscalation", f"os: {{name: windows}}\ncontainers: [{{name: a, {GOOD}}}]"),
            ("capabilities_restricted", f"os: {{name: windows}}\ncontainers: [{{name: a, {GOOD}}}]"),
            ("seccompProfile_restricted", f"os: {{name: windows}}\nsecurityContext: {{{GOOD_POD}}}"),
        )
    ),
    Step("sysctls", BASELINE, 26, 27, sysctl("net.ipv4.ip_local_reserved_ports"), SAFE),
    Step("sysctls", BASELINE, 28, 29, sysctl("net.ipv4.tcp_keepalive_time"), SAFE),
    Step("sysctls", BASELINE, 28, 29, sysctl("net.ipv4.tcp_fin_timeout"), SAFE),
    Step("sysctls", BASELINE, 28, 29, sysctl("net.ipv4.tcp_keepalive_intvl"), SAFE),
    Step("sysctls", BASELINE, 28, 29, sysctl("net.ipv4.tcp_keepalive_probes"), SAFE),
    Step("sysctls", BASELINE, 31, 32, sysctl("net.ipv4.tcp_rmem"), SAFE),
    Step("sysctls", BASELINE, 31, 32, sysctl("net.ipv4.tcp_wmem"), SAFE),
    Step("sysctls", BASELINE, 36, 37, sysctl("net.ipv4.tcp_slow_start_after_idle"), SAFE),
    Step("sysctls", BASELINE, 36, 37, sysctl("net.ipv4.tcp_notsent_lowat"), SAFE),
    Step(
        "seLinuxOptions",
        BASELINE,
        30,
        31,
        "securityContext: {seLinuxOptions: {type: container_engine_t}}",
        "securityContext: {seLinuxOptions: {type: container_t}}",
    ),
    *(
        Step(
            "hostProbesAndHostLifecycle",
            BASELINE,
            34,
            33,
            shape % (place, action, "10.0.0.1"),
            shape % (place, action, '""'),
        )
        for shape, places in (
            (PROBES, ("livenessProbe", "readinessProbe", "startupProbe")),
            (HOOKS, ("postStart", "preStop")),
        )
        for place in places
        for action in ("httpGet", "tcpSocket")
    ),
    Step(
        "procMount",
        BASELINE,
        34,
        35,
        "hostUsers: false\ncontainers: [{name: a, securityContext: {procMount: Unmasked}}]",
        "hostUsers: false\ncontainers: [{name: a, securityContext: {procMount: Default}}]",
    ),
    Step(
        "runAsNonRoot",
        RESTRICTED,
        34,
        35,
        "hostUsers: false\ncontainers: [{name: a}]",
        "hostUsers: false\ncontainers: [{name: a, securityContext: {runAsNonRoot: true}}]",
    ),
    Step(
        "runAsUser",
        RESTRICTED,
        34,
        35,
        "hostUsers: false\nsecurityContext: {runAsUser: 0}",
        "hostUsers: false\nsecurityContext: {runAsUser: 1}",
    ),
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.check}-{step.bad}")
def test_version_step(step: Step) -> None:
    assert step.check in checks(pod(step.spec), step.level, step.bad)
    assert step.check not in checks(pod(step.spec), step.level, step.good)
    assert step.check not in checks(pod(step.edit), step.level, step.bad)


def test_user_namespaces_relax_nothing_without_the_field_being_false() -> None:
    spec = "containers: [{name: a, securityContext: {procMount: Unmasked, runAsUser: 0}}]"
    for users in ("", "hostUsers: true\n"):
        assert {"procMount_restricted", "runAsNonRoot", "runAsUser"} <= checks(pod(users + spec), RESTRICTED, 35)
    assert checks(pod("hostUsers: false\n" + spec), RESTRICTED, 35) >= {"procMount_restricted"}


def test_windows_pods_are_still_told_to_have_no_host_process() -> None:
    spec = pod("os: {name: windows}\nsecurityContext: {windowsOptions: {hostProcess: true}, runAsNonRoot: true}")
    assert checks(spec, RESTRICTED, 35) == {"windowsHostProcess"}


# -- Every kind of container, and where a violation is said to be ---------------------------------------------------


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
def test_violation_points_to_the_field(kind: str) -> None:
    spec = pod(f"{kind}: [{{name: a}}, {{name: b, securityContext: {{privileged: true}}}}]")
    assert violations(spec, BASELINE, 35) == (
        Violation("privileged", f"spec.{kind}[1].securityContext.privileged", "true"),
    )


def test_containers_are_visited_as_upstream_does() -> None:
    spec = pod("containers: [{name: c}]\ninitContainers: [{name: i}]\nephemeralContainers: [{name: e}]").spec
    assert [container.name for _, _, container in each_container(spec)] == ["i", "c", "e"]


@pytest.mark.parametrize(
    ("spec", "annotations", "fails"),
    [
        ("securityContext: {appArmorProfile: {type: Unconfined}}", {}, True),
        ("securityContext: {appArmorProfile: {type: Localhost}}", {}, False),
        ("{}", {objects.APP_ARMOR + "a": "unconfined"}, True),
        ("{}", {objects.APP_ARMOR + "a": "localhost/own"}, False),
        ("{}", {objects.APP_ARMOR + "a": "runtime/default"}, False),
        ("{}", {objects.APP_ARMOR + "a": ""}, False),
        ("{}", {objects.MIRROR: "unconfined"}, False),
    ],
)
def test_app_armor_by_field_and_by_annotation(spec: str, annotations: dict[str, str], fails: bool) -> None:
    found = checks(pod(spec, annotations), BASELINE, 24)
    assert found == ({"appArmorProfile"} if fails else set())


def test_capability_names_are_compared_as_written() -> None:
    spec = "containers: [{name: a, securityContext: {capabilities: {add: [%s], drop: [%s]}}}]"
    assert checks(pod(spec % ("CAP_CHOWN", "")), BASELINE, 35) == {"capabilities_baseline"}
    assert checks(pod(spec % ("CHOWN", "")), BASELINE, 35) == set()
    assert "capabilities_restricted" in checks(pod(spec % ("NET_BIND_SERVICE", "all")), RESTRICTED, 35)


@pytest.mark.parametrize(
    ("source", "fails"),
    [
        ("hostPath: {path: /}", True),
        ("nfs: {server: a, path: /}", True),
        ("gitRepo: {repository: a}", True),
        ("awsElasticBlockStore: {volumeID: a}", True),
        ("scaleIO: {system: a}", True),
        ("emptyDir: {}", False),
        ("csi: {driver: a}", False),
        ("ephemeral: {}", False),
        ("image: {reference: a}", False),
        ("persistentVolumeClaim: {claimName: a}", False),
        ("projected: {sources: []}", False),
        ("secret: {secretName: a}", False),
    ],
)
def test_volume_types_of_restricted(source: str, fails: bool) -> None:
    spec = pod(f"volumes: [{{name: v, {source}}}]\nsecurityContext: {{{GOOD_POD}}}")
    assert checks(spec, RESTRICTED, 35) == ({"restrictedVolumes"} if fails else set())


# -- Labels --------------------------------------------------------------------------------------------------------

ENFORCE, VERSION = "pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/enforce-version"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, Enforcement(PRIVILEGED, None, written=False, valid=True)),
        ({"app": "a"}, Enforcement(PRIVILEGED, None, written=False, valid=True)),
        ({ENFORCE: "baseline"}, Enforcement(BASELINE, None, written=True, valid=True)),
        ({ENFORCE: "baseline", VERSION: "latest"}, Enforcement(BASELINE, None, written=True, valid=True)),
        ({ENFORCE: "restricted", VERSION: "v1.29"}, Enforcement(RESTRICTED, 29, written=True, valid=True)),
        ({ENFORCE: "privileged", VERSION: "v1.0"}, Enforcement(PRIVILEGED, 0, written=True, valid=True)),
        ({ENFORCE: "Baseline"}, Enforcement(RESTRICTED, None, written=True, valid=False)),
        ({ENFORCE: ""}, Enforcement(RESTRICTED, None, written=True, valid=False)),
        ({VERSION: "v1.29"}, Enforcement(PRIVILEGED, 29, written=False, valid=True)),
        *(
            ({ENFORCE: "baseline", VERSION: version}, Enforcement(BASELINE, None, written=True, valid=False))
            for version in ("", "1.29", "v1.029", "v1.29.1", "v1.29\n", "v2.0", "v1.-1", "Latest", "v1." + "9" * 5000)
        ),
    ],
    ids=str,
)
def test_labels(labels: dict[str, str] | None, expected: Enforcement) -> None:
    assert enforcement(labels) == expected


# -- One field at a time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FIELDS)
def test_dangerous_fields_are_admitted_by_privileged_only(field: str) -> None:
    harmless = field == "none"
    for minor in range(24, 38):
        for level in Level:
            verdict = admits(field, Enforcement(level, None, written=True, valid=True), minor)
            assert verdict == (harmless or level is PRIVILEGED), (level, minor)


@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"none"}))
def test_each_field_is_refused_for_itself(field: str) -> None:
    """Restricted finds nothing else in the pod than what is meant."""
    names = {"capabilities": "add", "hostPath": "volumes", "hostPorts": "hostPort", "initContainers": "initContainers"}
    word = names.get(field, field.removesuffix("Unconfined"))
    unforbidden = {"spec.containers[0].securityContext.allowPrivilegeEscalation"}
    found = {violation.field for violation in violations(FIELDS[field], RESTRICTED, 37)} - unforbidden
    assert found
    assert all(word in place for place in found)


def test_pinned_version_is_used_and_never_newer_than_the_server() -> None:
    unmasked = minimal_pod(host_users=False)
    assert not violations(unmasked, RESTRICTED, 35)
    old = Enforcement(BASELINE, 18, written=True, valid=True)
    assert admits("seccompUnconfined", old, 37)
    new = Enforcement(BASELINE, 37, written=True, valid=True)
    assert admits("seccompUnconfined", new, 18)
    assert not admits("seccompUnconfined", Enforcement(BASELINE, None, written=True, valid=True), 37)


# -- Laws ----------------------------------------------------------------------------------------------------------

PROFILES = st.one_of(
    st.none(), st.builds(objects.TypedProfile, st.sampled_from([None, "RuntimeDefault", "Localhost", "Unconfined"]))
)
NAMES = st.one_of(st.none(), st.lists(st.sampled_from(["ALL", "CHOWN", "NET_BIND_SERVICE", "SYS_ADMIN"])).map(tuple))
FLAGS = st.sampled_from([None, True, False])
CONTEXTS = st.one_of(
    st.none(),
    st.builds(
        objects.SecurityContext,
        privileged=FLAGS,
        allow_privilege_escalation=FLAGS,
        capabilities=st.one_of(st.none(), st.builds(objects.Capabilities, NAMES, NAMES)),
        proc_mount=st.sampled_from([None, "Default", "Unmasked"]),
        run_as_user=st.sampled_from([None, 0, 1]),
        run_as_non_root=FLAGS,
        se_linux_options=st.one_of(
            st.none(), st.builds(objects.SELinuxOptions, st.sampled_from([None, "", "container_engine_t", "spc_t"]))
        ),
        seccomp_profile=PROFILES,
        app_armor_profile=PROFILES,
        windows_options=st.one_of(st.none(), st.builds(objects.WindowsOptions, FLAGS)),
        sysctls=st.sampled_from([None, (objects.Sysctl("net.ipv4.tcp_rmem"),), (objects.Sysctl("kernel.msgmax"),)]),
    ),
)
CONTAINERS = st.one_of(
    st.none(),
    st.lists(
        st.builds(
            objects.Container,
            security_context=CONTEXTS,
            ports=st.sampled_from([None, (objects.ContainerPort(80),), (objects.ContainerPort(80, host_port=80),)]),
            liveness_probe=st.sampled_from([None, objects.Handler(http_get=objects.HostAction("h"))]),
        ),
        max_size=2,
    ).map(tuple),
)
VOLUMES = st.sampled_from(
    [
        None,
        (objects.Volume("v", host_path=objects.HostPath("/")),),
        (objects.Volume("v", nfs=objects.Present()), objects.Volume("w", secret=objects.SecretVolume("s"))),
    ]
)
PODS = st.builds(
    objects.Pod,
    metadata=st.just(objects.PodMetadata()),
    spec=st.builds(
        objects.PodSpec,
        host_network=FLAGS,
        host_pid=FLAGS,
        host_ipc=FLAGS,
        host_users=FLAGS,
        # Windows pods with what is Linux's only are refused by validation, and judged without by Restricted from 1.25 on.
        os=st.sampled_from([None, objects.OperatingSystem("linux")]),
        security_context=CONTEXTS,
        containers=CONTAINERS,
        init_containers=CONTAINERS,
        ephemeral_containers=CONTAINERS,
        volumes=VOLUMES,
    ),
)
MINORS = st.integers(0, 40)


@given(PODS, MINORS)
def test_restricted_forbids_all_that_baseline_forbids(drawn: objects.Pod, minor: int) -> None:
    """By field: a check of Restricted may stand in for one of Baseline."""
    baseline = {(found.field, found.value) for found in violations(drawn, BASELINE, minor)}
    restricted = {(found.field, found.value) for found in violations(drawn, RESTRICTED, minor)}
    assert baseline <= restricted
    assert not violations(drawn, PRIVILEGED, minor)


@given(st.sampled_from(sorted(FIELDS)), st.one_of(st.none(), MINORS), MINORS)
def test_what_restricted_admits_baseline_admits(field: str, pinned: int | None, minor: int) -> None:
    verdicts = [admits(field, Enforcement(level, pinned, written=True, valid=True), minor) for level in Level]
    assert verdicts == sorted(verdicts, reverse=True)
    assert verdicts[0]


@given(PODS, MINORS)
def test_a_violation_is_named_once(drawn: objects.Pod, minor: int) -> None:
    for level in Level:
        found = violations(drawn, level, minor)
        assert len(set(found)) == len(found)
