"""Attack paths on what is known: attacks carried out against a real API server, and clusters built to be attacked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import graphsec as gs
from graphsec.model.attack import CLUSTER, SOME_NODE, Fact, FactKind

SHARED = Path(__file__).parent.parent.parent / "shared"
CASES = SHARED / "oracle/attacks/cases.jsonl.gz"
VULNERABLE = SHARED / "corpora/vulnerable"
needs_oracle = pytest.mark.skipif(not CASES.exists(), reason="../shared/oracle is not here")
needs_corpora = pytest.mark.skipif(not VULNERABLE.exists(), reason="../shared/corpora is not here")
#: Outside the rules: writes and reads without a sink, tokens for another audience, a certificate that is refused.
OUTSIDE = {
    "csr-sign-00", "csr-sign-02", "kubelet-client-csr-08", "node-identity-08", "node-identity-10", "node-identity-12",
    "node-identity-14", "node-identity-18", "node-identity-20", "validating-webhook-read-00", "validating-webhook-read-02",
    *(f"mutating-webhook-control-0{number}" for number in (0, 2, 4, 6)),
    *(f"admission-dehardening-0{number}" for number in (0, 2, 4, 6)),
}  # fmt: skip
#: Refused in the experiment, and conditional here: on a later writer, a gate that is off, the CA's key, or on what the
#: experiment's cluster had not: a node of the control plane to be scheduled on, a volume or a token Secret unseen.
CONDITIONAL_THOUGH_REFUSED = {
    "cluster-admin-equivalent-02", "sa-squat-02", "csr-sign-04", "workload-create-as-sa-14", "pod-exec-02", "pod-attach-02",
    "token-secret-mint-02", "token-secret-mint-14",
    "mutating-webhook-control-08",
}  # fmt: skip


@cache
def cases() -> list[dict[str, Any]]:
    with gzip.open(CASES) as lines:
        return [json.loads(line) for line in lines]


def _goal(gain: dict[str, Any]) -> Fact | None:
    if "clusterAdmin" in gain:
        return CLUSTER
    if "secret" in gain:
        namespace, name = gain["secret"].split("/")
        return Fact(FactKind.SECRET, name, namespace)
    if "node" in gain:
        return SOME_NODE
    identity = gain.get("identity", {"audience": "none"})
    if identity.get("audience"):
        return None
    if identity["name"].startswith("system:node:"):
        return Fact(FactKind.NODE_IDENTITY, identity["name"].removeprefix("system:node:"))
    return Fact(FactKind(identity["kind"]), identity["name"], identity.get("namespace", ""))


def _verdict(case: dict[str, Any], version: str) -> str | None:
    """None for a gain that is no fact of the graph."""
    goal = _goal(case["gain"])
    if goal is None:
        return None
    world = gs.load(
        {"kind": "List", "apiVersion": "v1", "items": case["objects"]}, k8s_version=version, with_defaults=True
    )
    horn = world.attacks.graph().horn
    attacker = case["attacker"]
    node = attacker["kind"] == "Node"
    kind = FactKind.NODE_IDENTITY if node else FactKind.ACCOUNT
    start = Fact(kind, attacker["name"], attacker.get("namespace", ""))
    proof = horn.prove([horn.ids[start]], horn.ids[goal]) if start in horn.ids and goal in horn.ids else None
    return "none" if proof is None else "proved" if proof.cost < 10_000 else "conditional"


@needs_oracle
@pytest.mark.parametrize("rule", sorted({case["rule"] for case in cases()}) if CASES.exists() else [])
def test_what_a_real_server_did(rule: str) -> None:
    """What succeeded is proved or conditional, what was refused is not proved."""
    for case in (case for case in cases() if case["rule"] == rule):
        for version in (case["version"], *case.get("also", ())):
            verdict = _verdict(case, version)
            assert (verdict is None) == (case["case"] in OUTSIDE), case["case"]
            if verdict is None:
                continue
            if case["succeeds"]:
                assert verdict in ("proved", "conditional"), (case["case"], version, case["title"])
            else:
                allowed = ("none", "conditional") if case["case"] in CONDITIONAL_THOUGH_REFUSED else ("none",)
                assert verdict in allowed, (case["case"], version, case["title"])


# -- the KubeHound cluster, one manifest per attack (attacks.md §8) ------------------------------------------------

ATTACKS = VULNERABLE / "kubehound-cluster/attacks"


def kubehound(*names: str, defaults: bool = True) -> gs.World:
    return gs.load(*(str(ATTACKS / f"{name}.yaml") for name in names), with_defaults=defaults, k8s_version="1.34")


def verdicts(world: gs.World, source: str, target: str) -> list[str]:
    return [path.verdict for path in gs.paths(world, source, target)]


def accounts(world: gs.World, prefix: str) -> Iterator[str]:
    yield from (
        str(ref) for ref in world.cluster.inventory if ref.kind == "ServiceAccount" and ref.name.startswith(prefix)
    )


@needs_corpora
class TestKubeHound:
    def test_trap_1_it_is_one_cluster(self) -> None:
        """Together, whatever creates, enters or re-images pods in default reaches cluster-admin."""
        world = gs.load(str(ATTACKS), with_defaults=True, k8s_version="1.34")
        for name in ("pod-create-sa", "pod-exec-sa", "pod-patch-sa"):
            assert verdicts(world, f"sa:default/{name}", "cluster-admin"), name

    def test_trap_2_no_bootstrap_objects(self) -> None:
        """Without them no cluster-admin exists to bind: conditional on BOOTSTRAP-RBAC."""
        bare, full = (kubehound("ROLE_BIND_CRB_CR", "ROLE_BIND_ALL", defaults=defaults) for defaults in (False, True))
        source = "sa:default/rolebind-sa-crb-cr-crb-cr"
        [path] = gs.paths(bare, source)
        assert path.verdict == "conditional"
        assert "BOOTSTRAP-RBAC" in path.assumptions
        assert verdicts(full, source, "cluster-admin") == ["proved"]

    def test_trap_3_namespaced_impersonation_is_dead(self) -> None:
        world = kubehound("IDENTITY_IMPERSONATE")
        [account] = accounts(world, "impersonate")
        assert "impersonate" not in {rule for item in gs.blast(world, account) for rule in item.path.rules}

    @pytest.mark.parametrize("name", ["rolebind-sa-rb-cr-rb-cr", "rolebind-sa-rb-r-rb-crb"])
    def test_trap_4_any_clusterrole_inside_default(self, name: str) -> None:
        """Namespace admin and its accounts; neither nothing nor, by itself, cluster-admin."""
        world = kubehound("ROLE_BIND_RB_CR-SA", "ROLE_BIND_RB_R-SA")
        found = list(accounts(world, name))
        if not found:
            pytest.skip(f"{name} is called otherwise in this copy")
        fallen = {str(item.fact) for item in gs.blast(world, found[0]) if item.verdict == "proved"}
        assert any("in default" in fact for fact in fallen)

    def test_trap_8_clusterrolebindings_by_rolebinding_are_dead(self) -> None:
        world = kubehound("ROLE_BIND_CRB_CR", "ROLE_BIND_RB_CR-SA", "ROLE_BIND_RB_R-SA")
        for account in accounts(world, "rolebind"):
            if account.endswith("fail"):
                assert "proved" not in verdicts(world, account, "cluster-admin")

    def test_trap_10_no_token_secret_exists(self) -> None:
        """Zero accounts, at most on the assumption that one is unseen."""
        for name, prefix in (("TOKEN_LIST", "tokenlist"), ("TOKEN_BRUTEFORCE", "tokenget")):
            world = kubehound(name)
            for account in accounts(world, prefix):
                for item in gs.blast(world, account):
                    if item.kind == "ServiceAccounts":
                        assert item.verdict == "conditional"
                        assert "TOKEN-SECRET" in item.assumptions

    def test_trap_11_create_pods(self) -> None:
        """Every account of default; nodes conditional on Pod Security and scheduling."""
        world = kubehound("POD_CREATE", "POD_EXEC")
        fallen = {str(item.fact): item for item in gs.blast(world, "sa:default/pod-create-sa")}
        for account in accounts(world, "pod-exec"):
            [path] = gs.paths(world, "sa:default/pod-create-sa", account)
            assert path.rules == ("workload-create-as-sa",)
        nodes = fallen["a node of choice"]
        assert nodes.verdict == "conditional"
        assert {"PSA", "SCHED"} <= set(nodes.assumptions)

    def test_trap_12_exec_and_patch_reach_pods_of_default_only(self) -> None:
        world = gs.load(str(ATTACKS), with_defaults=True, k8s_version="1.34")
        for rule, name in (("pod-exec", "pod-exec-sa"), ("pod-image-replace", "pod-patch-sa")):
            first = [path.steps[0] for path in gs.paths(world, f"sa:default/{name}", k=3)]
            assert all(step.after.namespace == "default" for step in first if step.rule == rule)

    @pytest.mark.parametrize(
        ("name", "pod", "rule"),
        [
            ("CE_PRIV_MOUNT", "priv-pod", "escape-privileged"),
            ("CE_MODULE_LOAD", "modload-pod", "escape-kernel-module"),
            ("CE_NSENTER", "nsenter-pod", "escape-nsenter"),
            ("CE_SYS_PTRACE", "sys-ptrace-pod", "escape-nsenter"),
            ("EXPLOIT_HOST_WRITE", "host-write-exploit-pod", "hostpath-write"),
        ],
    )
    def test_escapes(self, name: str, pod: str, rule: str) -> None:
        paths = gs.paths(kubehound(name), f"Pod/default/{pod}", "node", k=4)
        assert rule in {step.rule for path in paths for step in path.steps}

    def test_trap_13_a_network_position_is_no_root(self) -> None:
        assert not gs.paths(kubehound("CE_NET_MITM"), "Pod/default/netadmin-pod", "node")

    def test_trap_16_nodes_log_in_a_role_is_dead_and_pods_log_keeps_the_edge(self) -> None:
        [*paths] = gs.paths(kubehound("CE_VAR_LOG_SYMLINK"), "Pod/default/varlog-pod", "node", k=3)
        assert "proved" not in {path.verdict for path in paths}

    def test_trap_20_structure_is_no_escalation(self) -> None:
        world = kubehound("CONTROL_POD")
        fallen = [str(item.fact) for item in gs.blast(world, "Pod/default/control-pod")]
        assert fallen == ["ServiceAccount/default/default", *(found for found in fallen if found.startswith("Group/"))]


# -- Kubernetes Goat, Bad Pods -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def goat() -> gs.World:
    return gs.load(str(VULNERABLE / "kubernetes-goat"), with_defaults=True, k8s_version="1.34")


@needs_corpora
class TestGoat:
    def test_superadmin(self, goat: gs.World) -> None:
        assert [path.source for path in gs.paths(goat, "all")] == ["ServiceAccount/kube-system/superadmin"]

    @pytest.mark.parametrize(
        ("workload", "rule"),
        [
            ("system-monitor-deployment", "escape-privileged"),
            ("health-check-deployment", "runtime-socket"),
        ],
    )
    def test_workloads_that_open_their_node(self, goat: gs.World, workload: str, rule: str) -> None:
        paths = gs.paths(goat, f"Deployment/default/{workload}", "node", k=4)
        assert rule in {step.rule for path in paths for step in path.steps}

    def test_hunger_check_reads_secrets_of_its_namespace(self, goat: gs.World) -> None:
        fallen = {str(item.fact) for item in gs.blast(goat, "Deployment/big-monolith/hunger-check-deployment")}
        assert "every Secret of big-monolith" in fallen


@needs_corpora
@pytest.mark.parametrize(
    ("folder", "falls"),
    [
        ("everything-allowed", True), ("priv", True), ("priv-and-hostpid", True), ("hostpath", True),
        ("hostnetwork", False), ("hostipc", False), ("nothing-allowed", False),
    ],
)  # fmt: skip
def test_bad_pods(folder: str, falls: bool) -> None:
    path = VULNERABLE / "badpods" / folder / "pod"
    if not path.exists():
        pytest.skip(f"{folder} is not in this copy")
    world = gs.load(str(path), with_defaults=True, k8s_version="1.34")
    proved = [found for found in gs.paths(world, "pods", "node") if found.verdict == "proved"]
    assert bool(proved) is falls


# -- what every cluster has ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("minor", ["1.26", "1.30", "1.34", "1.36"])
def test_the_default_roles_alone_give_no_finding(minor: str) -> None:
    """Noise is a defect: starts that hold nothing but what Kubernetes ships are left out, and no other reaches anything."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}
    world = gs.load(namespace, with_defaults=True, k8s_version=minor if minor != "1.26" else "1.30")
    answer = gs.paths(world, "all", "")
    assert not answer
    assert answer.left_out
    for start in ("anonymous", "user:somebody", "group:system:authenticated", "sa:kube-system/default"):
        assert not gs.paths(world, start)


# -- answers on one small cluster ----------------------------------------------------------------------------------

WORLD = """
apiVersion: v1
kind: Namespace
metadata: {name: ops, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Namespace
metadata: {name: dev, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: ops}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ci, namespace: dev}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: idle, namespace: dev}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: ops}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: ops}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tokens, namespace: ops}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token, pods/log], verbs: [create, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ci-tokens, namespace: ops}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tokens}
subjects: [{kind: ServiceAccount, name: ci, namespace: dev}]
"""


def world(text: str = WORLD, **options: Any) -> gs.World:
    return gs.load(*yaml.safe_load_all(text), with_defaults=True, k8s_version="1.36", **options)


def test_a_path_tells_who_what_and_where() -> None:
    [path] = gs.paths(world(), "sa:dev/ci")
    assert path.verdict == "proved"
    assert path.rules == ("token-request", "cluster-admin-equivalent")
    step = path.steps[0]
    assert (str(step.before), str(step.after)) == ("ServiceAccount/dev/ci", "every ServiceAccount of ops")
    [ground] = step.because
    assert (str(ground.binding), str(ground.role), ground.rule_index) == (
        "RoleBinding/ops/ci-tokens",
        "Role/ops/tokens",
        0,
    )
    assert ground.source is not None
    assert gs.replay(world(), path)


def test_an_account_without_grants_has_no_path_and_why_not_says_what_is_missing() -> None:
    from graphsec.query.why_not import WhyNot

    assert not gs.paths(world(), "sa:dev/idle")
    answer = WhyNot(source="sa:dev/idle").answer(world())
    assert "ServiceAccount/ops/deployer" in {str(item.fact) for item in answer}


def test_assumptions_are_named_and_may_be_granted() -> None:
    text = WORLD.replace("serviceaccounts/token, pods/log", "pods").replace("[create, get]", "[create]")
    [path] = gs.paths(world(text), "sa:dev/ci")
    assert (path.verdict, path.assumptions) == ("conditional", ("WEBHOOK",))
    [path] = gs.paths(world(text), "sa:dev/ci", assume=["WEBHOOK"])
    assert path.verdict == "proved"


@pytest.mark.parametrize("left_out", ["RoleBinding/ops/ci-tokens", "token-request", "ClusterRoleBinding/deployer"])
def test_without(left_out: str) -> None:
    assert not gs.paths(world(), "sa:dev/ci", without=[left_out])


def test_without_a_step() -> None:
    assert not gs.paths(world(), "sa:dev/ci", without=["ServiceAccount/dev/ci -> every ServiceAccount of ops"])
    with pytest.raises(gs.UsageError, match="no step"):
        gs.paths(world(), "sa:dev/ci", without=["a -> b"])


def test_k_different_paths() -> None:
    text = WORLD.replace("serviceaccounts/token, pods/log", "serviceaccounts/token, secrets, serviceaccounts").replace(
        "[create, get]", "[create, get, impersonate]"
    )
    paths = list(gs.paths(world(text), "sa:dev/ci", k=3))
    assert len({path.rules for path in paths}) == 3
    assert [path.hops for path in paths] == sorted(path.hops for path in paths)


def test_choke_points_are_exact() -> None:
    text = WORLD + WORLD[WORLD.rindex("---") :].replace("ci-tokens", "idle-tokens").replace("name: ci,", "name: idle,")
    found = {item.name: item for item in gs.choke_points(world(text))}
    whole = found["ClusterRoleBinding/deployer"]
    assert (whole.cuts, whole.total, whole.is_dominator) == (3, 3, True)
    assert found["RoleBinding/ops/ci-tokens"].cuts == 1
    assert found["ServiceAccount/ops/deployer"].cuts == 2


def test_the_fix_is_applied_and_asked_again() -> None:
    """The patch, merged into the manifests by hand, removes the path; nothing else was needed."""
    fix = gs.minimal_fix(world(), "sa:dev/ci")
    assert (fix.cuts, fix.total, fix.minimal, fix.remaining) == (1, 1, True, ())
    [item] = fix
    patched = [
        {**found, **{key: value for key, value in item.manifest.items() if key not in ("metadata", "$patch")}}
        for found in yaml.safe_load_all(WORLD)
        if (found["kind"], found["metadata"]["name"]) != (item.ref.kind, item.ref.name) or "$patch" not in item.manifest
        for found in [found]
        if (found["kind"], found["metadata"]["name"]) == (item.ref.kind, item.ref.name) or found.update() is None
    ]
    objects = [
        new if (old["kind"], old["metadata"]) == (item.ref.kind, {"name": item.ref.name, "namespace": "ops"}) else old
        for old, new in zip(yaml.safe_load_all(WORLD), patched, strict=False)
    ]
    again = gs.load(*objects, with_defaults=True, k8s_version="1.36")
    assert not gs.paths(again, "sa:dev/ci")
    assert gs.paths(again, "sa:ops/deployer")


def test_builtin_bindings_are_locked() -> None:
    alone = gs.load(next(yaml.safe_load_all(WORLD)), with_defaults=True, k8s_version="1.36")
    controller = "sa:kube-system/clusterrole-aggregation-controller"
    fix = gs.minimal_fix(alone, controller)
    assert (fix.total, len(fix.remaining), len(fix.items)) == (1, 1, 0)
    unlocked = gs.minimal_fix(alone, controller, unlock=True)
    assert (unlocked.cuts, len(unlocked.remaining)) == (1, 0)


def test_network_takes_over_only_what_is_marked() -> None:
    text = (
        WORLD
        + """---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: dev, labels: {app: web}}
spec: {serviceAccountName: ci, containers: [{name: web, image: web, ports: [{containerPort: 80, hostPort: 80}]}]}
"""
    )
    entries = {"entries": [{"workload": "dev/web", "ports": [80], "reason": "CVE-2024-0001"}]}
    assert not gs.paths(world(text), "internet")
    [path] = gs.paths(world(text, entries=entries), "internet")
    assert path.verdict == "conditional"
    assert "network-reach" in path.rules
    assert gs.replay(world(text, entries=entries), path)
    for severity, found in (("CRITICAL", True), ("LOW", False)):
        results = [{"Vulnerabilities": [{"VulnerabilityID": "CVE-2024-0001", "Severity": severity}]}]
        report = {"Resources": [{"Namespace": "dev", "Kind": "Pod", "Name": "web", "Results": results}]}
        assert bool(gs.paths(world(text, entries=report), "internet")) is found


@pytest.mark.parametrize(
    "bad", [{"entry": []}, {"entries": [{"workload": "x"}]}, {"entries": [{"image": "a", "ports": ["x"]}]}]
)
def test_bad_entries(bad: dict[str, Any]) -> None:
    with pytest.raises(gs.InputError, match="entries"):
        world(entries=bad)


def test_without_rbac_a_path_is_refused_and_not_denied() -> None:
    with pytest.raises(gs.InputError, match="needs RBAC"):
        gs.paths(gs.load({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}), "all")


def test_what_the_input_lacks_is_said() -> None:
    answer = gs.paths(world(), "sa:dev/ci")
    assert not answer.complete
    assert any("no Pod" in warning for warning in answer.warnings)
