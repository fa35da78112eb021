"""The compiled attack graph equals a simulated attacker on random small clusters, and both Kubernetes' own verdicts."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from attack_reference import ACCOUNT_PREFIX, BORN, ENFORCE, Simulation, attack, groups_of
from hypothesis import assume, given
from test_agreement import examples, identity

import graphsec as gs
from graphsec.compile.attacks.drawing import DEAR
from graphsec.model.attack import CLUSTER, Fact, FactKind

Row = dict[str, Any]
Start = tuple[str, str, str]
RBAC = "rbac.authorization.k8s.io"
CSR = "certificates.k8s.io"
ROOT = Path(__file__).parent.parent
CASES = ROOT.parent / "shared" / "oracle" / "attacks" / "cases.jsonl.gz"

# -- strategies: what the rules are about, in few names ----------------------------------------------------------

NAMESPACES = ("a", "b")
ACCOUNTS = ("s0", "s1")
USERS = ("alice", "bob", "system:node:w1")
GROUPS = ("devs", "system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated", "system:nodes")
ROLES = ("r0", "r1", "r2")
SIGNERS = ("kubernetes.io/kube-apiserver-client", "kubernetes.io/*", "kubernetes.io/kube-apiserver-client-kubelet")
READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch")
#: (API group, resource, verbs, names)
Target = tuple[str, str, tuple[str, ...], tuple[str, ...]]
PODS = ("p0", "p1")
TOPICS: dict[str, tuple[Target, ...]] = {
    "secrets": (
        ("", "secrets", (*READ, *WRITE, "delete", "deletecollection"), ("k0", "k1")),
        ("", "pods/ephemeralcontainers", ("update", "patch"), PODS),
        ("", "pods", ("create", "patch"), PODS),
    ),
    "pods": (
        ("", "pods", ("get", *WRITE), PODS),
        ("", "pods/exec", ("get", "create"), PODS),
        ("", "pods/attach", ("get", "create"), PODS),
        ("", "pods/ephemeralcontainers", ("update", "patch"), PODS),
        ("", "nodes/proxy", ("get", "create"), ("cp", "w1")),
        ("", "replicationcontrollers", WRITE, ("d0",)),
        ("apps", "deployments", WRITE, ("d0",)),
        ("batch", "jobs", WRITE, ("d0",)),
    ),
    "nodes": (
        ("", "pods", ("create",), PODS),
        ("", "namespaces", WRITE, (*NAMESPACES, "gone")),
        ("", "namespaces/status", ("update", "patch"), NAMESPACES),
        ("", "namespaces/finalize", ("update", "patch"), NAMESPACES),
        ("", "persistentvolumes", ("create", "patch"), ("v",)),
        ("apps", "deployments", WRITE, ("d0",)),
        ("", "nodes/proxy", ("get", "create"), ("w1",)),
    ),
    "accounts": (
        ("", "serviceaccounts", ("create", "patch", "impersonate"), (*ACCOUNTS, "ghost", "default")),
        ("", "serviceaccounts/token", ("create",), (*ACCOUNTS, "ghost", "default")),
        ("", "users", ("impersonate",), USERS),
        ("", "groups", ("impersonate",), GROUPS),
        ("", "namespaces", ("create", "patch"), ("gone",)),
    ),
    "roles": (
        (RBAC, "roles", (*WRITE, "bind", "escalate"), (*ROLES, "missing")),
        (RBAC, "clusterroles", (*WRITE, "bind", "escalate"), (*ROLES, "missing", "cluster-admin", "edit")),
        (RBAC, "rolebindings", WRITE, ("b0", "b1", "new")),
        (RBAC, "clusterrolebindings", WRITE, ("b0", "b1", "new")),
    ),
    "certificates": (
        (CSR, "certificatesigningrequests", (*READ, *WRITE, "delete"), ("c", "d")),
        (CSR, "certificatesigningrequests", ("create", "get"), ("c", "d")),
        (CSR, "certificatesigningrequests/approval", ("get", "update", "patch"), ("c", "d")),
        (CSR, "certificatesigningrequests/nodeclient", ("create",), ("c",)),
        (CSR, "signers", ("approve",), SIGNERS),
    ),
}


@st.composite
def rules(draw: st.DrawFn, topics: list[str]) -> Row:
    targets = TOPICS[draw(st.sampled_from(topics))]
    group, resource, verbs, names = draw(st.sampled_from(targets))
    rule: Row = {
        "apiGroups": [draw(st.sampled_from((group, group, group, "*")))],
        "resources": [resource],
        "verbs": draw(
            st.one_of(
                st.just(list(verbs)), st.lists(st.sampled_from((*verbs, "*")), min_size=1, max_size=3, unique=True)
            )
        ),
    }
    if rule["apiGroups"] == ["*"] and "*" in rule["verbs"]:
        # Would be constrained impersonation as well, which the simulation leaves out.
        rule["verbs"] = list(verbs)
    also = [one[1] for one in targets if one[0] == group]
    if draw(st.booleans()):
        rule["resources"].append(draw(st.sampled_from(also)))
    if draw(st.integers(0, 3)) == 0:
        rule["resourceNames"] = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return rule


SUBJECTS = st.one_of(
    st.builds(
        lambda namespace, name: {"kind": "ServiceAccount", "namespace": namespace, "name": name},
        st.sampled_from(("a", *NAMESPACES)),
        st.sampled_from((*ACCOUNTS, *ACCOUNTS, "default")),
    ),
    st.builds(lambda name: {"kind": "User", "name": name}, st.sampled_from(USERS)),
    st.builds(lambda name: {"kind": "Group", "name": name}, st.sampled_from(GROUPS)),
)


@st.composite
def roles(draw: st.DrawFn, topics: list[str]) -> Row:
    """Whether or not something is bound to it."""
    namespace = draw(st.sampled_from((None, *NAMESPACES)))
    metadata: Row = {"name": draw(st.sampled_from(ROLES))} | ({"namespace": namespace} if namespace else {})
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": metadata,
        "rules": draw(st.lists(rules(topics), min_size=1, max_size=3)),
    }
    if not namespace and draw(st.integers(0, 5)) == 0:
        role |= {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "me"}}]}, "rules": []}
    elif not namespace and draw(st.integers(0, 5)) == 0:
        metadata["labels"] = {"to": "me"}
    return role


@st.composite
def bindings(draw: st.DrawFn) -> Row:
    namespace = draw(st.sampled_from((None, *NAMESPACES)))
    kind = draw(st.sampled_from(("ClusterRole", "Role") if namespace else ("ClusterRole",)))
    names = (*ROLES, "missing") if kind == "Role" else (*ROLES, "missing", "edit", "cluster-admin")
    return binding(
        draw(st.sampled_from(("b0", "b1", "b2"))),
        namespace,
        kind,
        draw(st.sampled_from(names)),
        draw(st.lists(SUBJECTS, min_size=1, max_size=2)),
    )


def binding(name: str, namespace: str | None, kind: str, role: str, subjects: list[Row]) -> Row:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": subjects,
    }


@st.composite
def grants(draw: st.DrawFn, topics: list[str]) -> list[Row]:
    """A role with what binds it; both are of one name, so that there are a few of them at most."""
    name = draw(st.sampled_from(("g0", "g1", "g2", "g3")))
    namespace = draw(st.sampled_from((None, "a", "a", "b")))
    kind = "Role" if namespace and draw(st.booleans()) else "ClusterRole"
    metadata: Row = {"name": name} | ({"namespace": namespace} if kind == "Role" else {})
    role: Row = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata}
    role["rules"] = draw(st.lists(rules(topics), min_size=1, max_size=3))
    subjects = draw(st.lists(SUBJECTS, min_size=1, max_size=2))
    return [role, binding(name, namespace, kind, name, subjects)]


STRICT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@st.composite
def pods(draw: st.DrawFn) -> Row:
    level = draw(st.sampled_from(("baseline", "restricted", "restricted", "privileged")))
    container: Row = {"name": "c", "image": "i"}
    spec: Row = {"nodeName": draw(st.sampled_from(("w1", "cp"))), "containers": [container]}
    spec["serviceAccountName"] = draw(st.sampled_from((*ACCOUNTS, "default")))
    if draw(st.integers(0, 3)) == 0:
        spec["automountServiceAccountToken"] = False
    if draw(st.integers(0, 2)) == 0:
        spec["volumes"] = [{"name": "v", "secret": {"secretName": draw(st.sampled_from(("k0", "k1")))}}]
        container["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    if level == "privileged":
        container["securityContext"] = {"privileged": True}
    if level == "restricted":
        spec["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        container["securityContext"] = STRICT
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": draw(st.sampled_from(("p0", "p1"))), "namespace": draw(st.sampled_from(NAMESPACES))},
        "spec": spec,
        "status": {"phase": draw(st.sampled_from(("Running", "Running", "Running", "Succeeded")))},
    }


@st.composite
def secrets(draw: st.DrawFn) -> Row:
    metadata: Row = {"name": draw(st.sampled_from(("k0", "k1"))), "namespace": draw(st.sampled_from(NAMESPACES))}
    if draw(st.integers(0, 2)):
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}
    metadata["annotations"] = {"kubernetes.io/service-account.name": draw(st.sampled_from(ACCOUNTS))}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/service-account-token"}


WORKLOADS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("v1", "ReplicationController"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
)


def workload(version: str, kind: str, name: str, namespace: str) -> Row:
    """Scaled to nothing or suspended, so that it has no pods."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec: Row = {"selector": labels if version == "v1" else {"matchLabels": labels}, "template": pod}
    if kind == "CronJob":
        spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": pod}}}
    elif kind == "Job":
        spec |= {"suspend": True}
    else:
        spec |= {"replicas": 0}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def deployments() -> st.SearchStrategy[Row]:
    return st.builds(lambda namespace: workload("apps/v1", "Deployment", "d0", namespace), st.sampled_from(NAMESPACES))


def plain(kind: str, name: str, namespace: str | None = None, **more: Any) -> Row:
    metadata: Row = {"name": name} | ({"namespace": namespace} if namespace else {})
    labels = more.pop("labels", None)
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata | ({"labels": labels} if labels else {}), **more}


@st.composite
def clusters(draw: st.DrawFn) -> list[Row]:
    """No assumption matters in them: namespaces are labelled, nodes and accounts are listed, one node is the master's."""
    levels = st.sampled_from(("privileged", "baseline", "baseline", "restricted"))
    found = [plain("Namespace", name, labels={ENFORCE: "privileged"}) for name in BORN]
    found += [plain("Namespace", name, labels={ENFORCE: draw(levels)}) for name in NAMESPACES]
    found += [plain("Node", "w1"), plain("Node", "cp", labels={"node-role.kubernetes.io/control-plane": ""})]
    for namespace in NAMESPACES:
        for name in ("default", *ACCOUNTS):
            automount = draw(st.sampled_from(({}, {}, {}, {"automountServiceAccountToken": False})))
            found.append(plain("ServiceAccount", name, namespace, **automount))
    # Kinds of which the input shows none are taken to have some.
    found += [workload(*kind, "c0", "default") for kind in WORKLOADS] + [
        plain("Secret", "c0", "default", type="Opaque")
    ]
    topics = draw(st.lists(st.sampled_from(sorted(TOPICS)), min_size=1, max_size=2, unique=True))
    found += [obj for grant in draw(st.lists(grants(topics), min_size=2, max_size=4)) for obj in grant]
    drawn = st.one_of(roles(topics), bindings(), pods(), pods(), secrets(), secrets(), deployments())
    found += draw(st.lists(drawn, max_size=7))
    return list({identity(obj): obj for obj in found}.values())


STARTS: st.SearchStrategy[Start] = st.one_of(
    st.tuples(st.just("ServiceAccount"), st.just("a"), st.sampled_from(ACCOUNTS)),
    st.tuples(st.just("User"), st.just(""), st.just("alice")),
)

# -- both sides --------------------------------------------------------------------------------------------------

#: What the engine takes on trust and the simulation has, too.
TAKEN = ("GATE-OFF",)


@cache
def defaults(version: str) -> list[Row]:
    path = ROOT / "graphsec" / "data" / "defaults" / f"{version}.json"
    found: list[Row] = json.loads(path.read_text(encoding="utf-8"))["items"]
    return found


def complete(objects: list[Row], version: str = "1.36") -> list[Row]:
    """With the RBAC objects that every cluster is born with."""
    known = {identity(obj) for obj in objects}
    return [*objects, *(obj for obj in defaults(version) if identity(obj) not in known)]


@cache
def controllers(version: str = "1.36") -> list[Row]:
    """The accounts of controllers that every cluster runs, as the bindings that every cluster is born with name them."""
    names = {
        (subject["namespace"], subject["name"])
        for obj in defaults(version)
        for subject in obj.get("subjects", ())
        if subject["kind"] == "ServiceAccount"
    }
    return [plain("ServiceAccount", name, namespace) for namespace, name in sorted(names)]


def goals(objects: list[Row]) -> list[Fact]:
    found = [CLUSTER]
    for obj in objects:
        namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        if obj["kind"] == "ServiceAccount":
            found.append(Fact(FactKind.ACCOUNT, name, namespace))
        if obj["kind"] == "Secret":
            found.append(Fact(FactKind.SECRET, name, namespace))
        if obj["kind"] == "Node":
            found += [Fact(FactKind.NODE, name), Fact(FactKind.NODE_IDENTITY, name)]
    return found


def simulated(simulation: Simulation, goal: Fact) -> bool:
    if goal == CLUSTER:
        return simulation.cluster
    if goal.kind == FactKind.ACCOUNT:
        return simulation.controls_account(goal.namespace, goal.name)
    if goal.kind == FactKind.SECRET:
        return simulation.reads(goal.namespace, goal.name)
    if goal.kind == FactKind.NODE:
        return simulation.controls_node(goal.name)
    return simulation.controls_credential(goal.name)


def load(objects: list[Row], version: str = "1.36") -> gs.World:
    return gs.load({"apiVersion": "v1", "kind": "List", "items": objects}, k8s_version=version, with_defaults=True)


def fact_of(start: Start) -> Fact:
    kind, namespace, name = start
    return Fact(FactKind(kind), name, namespace)


def user_of(start: Start) -> str:
    kind, namespace, name = start
    return f"{ACCOUNT_PREFIX}{namespace}:{name}" if kind == "ServiceAccount" else name


def compiled(world: gs.World, start: Start, wanted: list[Fact]) -> dict[Fact, str]:
    """proved, conditional or none."""
    graph = world.attacks.graph()
    ids = graph.horn.ids
    # Who is named nowhere is a member of groups, and no fact of its own.
    facts = [fact_of(start), *(Fact(FactKind.GROUP, group) for group in groups_of(user_of(start)))]
    starts = [ids[fact] for fact in facts if fact in ids]
    found = {}
    for goal in wanted:
        proof = graph.horn.prove(starts, ids[goal]) if goal in ids else None
        found[goal] = "none" if proof is None else "proved" if proof.cost < DEAR else "conditional"
    return found


def disagreements(objects: list[Row], start: Start) -> list[str]:
    simulation = attack([*complete(objects), *controllers()], start, assume=TAKEN)
    verdicts = compiled(load(objects), start, goals(objects))
    return [
        f"{goal}: simulated {simulated(simulation, goal)}, compiled {verdict}"
        for goal, verdict in verdicts.items()
        if simulated(simulation, goal) != (verdict != "none")
    ]


# -- Kubernetes' own verdicts ------------------------------------------------------------------------------------

#: Ends of which the simulation knows nothing, and the rule that it leaves out.
BEYOND = ("write", "read", "certificate")
SKIPPED = "impersonate-constrained"


@cache
def cases() -> list[Row]:
    with gzip.open(CASES, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return [
        case
        for case in found
        if case["rule"] != SKIPPED
        and not any(word in case["gain"] for word in BEYOND)
        and "audience" not in str(case["gain"])
    ]


def gained(simulation: Simulation, gain: Row) -> bool:
    if "clusterAdmin" in gain:
        return simulation.cluster
    if "secret" in gain:
        namespace, _, name = gain["secret"].partition("/")
        return simulation.reads(namespace, name)
    if "node" in gain:
        return simulation.cluster or bool(simulation.nodes)
    wanted = gain["identity"]
    if wanted["kind"] == "ServiceAccount":
        return simulation.controls_account(wanted["namespace"], wanted["name"])
    if wanted["kind"] == "Group":
        return simulation.controls_group(wanted["name"])
    return simulation.controls_credential(wanted["name"].removeprefix("system:node:"))


@pytest.mark.skipif(not CASES.exists(), reason="the oracle lies beside the repository")
def test_the_simulation_is_right_about_every_attack_that_was_carried_out() -> None:
    wrong = []
    for case in cases():
        attacker = case["attacker"]
        kind = "NodeIdentity" if attacker["kind"] == "Node" else attacker["kind"]
        start = (kind, attacker.get("namespace", ""), attacker["name"])
        for version in (case["version"], *case.get("also", ())):
            simulation = attack(complete(case["objects"], version), start, minor=int(version.removeprefix("1.")))
            if gained(simulation, case["gain"]) != case["succeeds"]:
                wrong.append((case["case"], version, case["title"]))
    assert wrong == []


# -- properties --------------------------------------------------------------------------------------------------


@examples(150, given(clusters(), STARTS))
def test_the_graph_is_the_simulation(objects: list[Row], start: Start) -> None:
    assert disagreements(objects, start) == []


def reached(objects: list[Row], start: Start, wanted: list[Fact]) -> set[Fact]:
    return {goal for goal, verdict in compiled(load(objects), start, wanted).items() if verdict != "none"}


@st.composite
def additions(draw: st.DrawFn) -> Row:
    topics = sorted(TOPICS)
    return draw(st.one_of(bindings(), roles(topics), pods(), grants(topics).map(lambda grant: grant[1])))


@examples(40, given(clusters(), additions(), STARTS))
def test_an_object_takes_nothing_away(objects: list[Row], more: Row, start: Start) -> None:
    assume(identity(more) not in map(identity, objects))
    wanted = goals(objects)
    assert reached(objects, start, wanted) <= reached([*objects, more], start, wanted)


@examples(40, given(clusters(), st.sampled_from(sorted(TOPICS)).flatmap(lambda topic: rules([topic])), STARTS))
def test_a_rule_takes_nothing_away(objects: list[Row], rule: Row, start: Start) -> None:
    more = [
        {**obj, "rules": [*obj["rules"], rule]} if "rules" in obj and "aggregationRule" not in obj else obj
        for obj in objects
    ]
    wanted = goals(objects)
    assert reached(objects, start, wanted) <= reached(more, start, wanted)


@examples(40, given(clusters()))
def test_nobody_reaches_what_everybody_does_not(objects: list[Row]) -> None:
    """A user whom nothing names is in `system:authenticated`, and has what anybody has."""
    wanted = goals(objects)
    nobody = reached(objects, ("User", "", "nobody"), wanted)
    assert nobody <= reached(objects, ("User", "", "alice"), wanted)
    if not any(subject["name"] == "system:authenticated" for obj in objects for subject in obj.get("subjects", ())):
        assert nobody == set()


def named(start: Start) -> str:
    """As a question spells it."""
    return "/".join(part for part in start if part)


@examples(40, given(clusters(), STARTS))
def test_every_proof_replays_and_a_fix_leaves_none(objects: list[Row], start: Start) -> None:
    """What is shown is evidence; and what the fix does not name as remaining is cut."""
    world = load(objects)
    for target in ("cluster-admin", "node", "secrets:all"):
        for path in gs.paths(world, named(start), target, k=2):
            faults = gs.replay(world, path).faults
            assert not faults, (str(path), [str(fault) for fault in faults])
    fix = gs.minimal_fix(world, named(start))
    assert fix.world is not None
    left = list(gs.paths(fix.world, named(start)))
    assert bool(left) == bool(fix.remaining)
    assert fix.cuts == fix.total - len(fix.remaining)
