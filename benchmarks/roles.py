"""The roles of a generated cluster, each with the one fact that its answers are checked by: does it read secrets."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from benchmarks.manifests import RBAC, Object, metadata

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]


class Role(NamedTuple):
    """A role as the generator hands it out. ``reads`` is stated by hand: no matcher is asked, so it can judge one."""

    name: str
    reads: bool
    rules: list[Object]


def role_object(role: Role, namespace: str = "") -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": metadata(role.name, namespace),
        "rules": role.rules,
    }


def rule(groups: str, resources: str, verbs: str | list[str], **more: list[str]) -> Object:
    """A rule from words; the core group is spelled ``core``."""
    return {
        "apiGroups": [group.replace("core", "") for group in groups.split()],
        "resources": resources.split(),
        "verbs": verbs.split() if isinstance(verbs, str) else verbs,
        **more,
    }


def _reader(name: str, rules: list[Object]) -> Role:
    return Role(name=name, reads=True, rules=rules)


def _other(name: str, rules: list[Object]) -> Role:
    return Role(name=name, reads=False, rules=rules)


_WORKLOADS = "daemonsets deployments replicasets statefulsets"
_VIEW_RULES = [
    rule("core", "configmaps endpoints persistentvolumeclaims pods pods/log pods/status services", _READ),
    rule("core", "events limitranges namespaces resourcequotas resourcequotas/status", _READ),
    rule("apps", f"{_WORKLOADS} deployments/scale deployments/status", _READ),
    rule("batch", "cronjobs jobs jobs/status", _READ),
    rule("networking.k8s.io", "ingresses networkpolicies", _READ),
]
_EDIT_RULES = [
    rule("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", _READ),
    rule("core", "serviceaccounts", "impersonate"),
    rule("core", "configmaps persistentvolumeclaims pods secrets serviceaccounts services", _WRITE),
    rule("apps", f"{_WORKLOADS} deployments/rollback deployments/scale", _WRITE),
    rule("batch", "cronjobs jobs", _WRITE),
    *_VIEW_RULES,
]
_ADMIN_RULES = [
    rule("authorization.k8s.io", "localsubjectaccessreviews", "create"),
    rule(RBAC, "rolebindings roles", [*_READ, *_WRITE]),
    *_EDIT_RULES,
]

CLUSTER_ADMIN = _reader("cluster-admin", [rule("*", "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]}])
AGGREGATED = [_reader("admin", _ADMIN_RULES), _reader("edit", _EDIT_RULES), _other("view", _VIEW_RULES)]
#: What `admin`, `edit` and `view` are selected from; the stored rules above are their union.
AGGREGATES = [
    _other("system:aggregate-to-admin", _ADMIN_RULES[:2]),
    _reader("system:aggregate-to-edit", _EDIT_RULES[:5]),
    _other("system:aggregate-to-view", _VIEW_RULES),
]

#: Roles as teams write them, once per namespace and mostly word for word the same.
LOCAL_ROLES = [
    _other(
        "leader-election",
        [
            rule("coordination.k8s.io", "leases", "get list watch create update patch"),
            rule("core", "configmaps", "get list watch create update patch"),
            rule("core", "events", "create patch"),
        ],
    ),
    _reader("secret-reader", [rule("core", "secrets", "get list watch")]),
    _other(
        "deployer",
        [
            rule("apps", f"{_WORKLOADS} deployments/scale", [*_READ, *_WRITE]),
            rule("core", "configmaps pods services", [*_READ, *_WRITE]),
            rule("networking.k8s.io", "ingresses", [*_READ, *_WRITE]),
        ],
    ),
    _other("log-reader", [rule("core", "pods pods/log", "get list"), rule("core", "events", "list watch")]),
    _other("one-secret", [rule("core", "secrets", "get", resourceNames=["database-credentials"])]),
    _reader("namespace-owner", [rule("*", "*", "*")]),
    _other("debugger", [rule("core", "pods/exec pods/portforward", "create"), rule("core", "pods", "get list")]),
    _reader(
        "config-sync",
        [rule("core", "configmaps secrets", "get create update"), rule("core", "serviceaccounts/token", "create")],
    ),
]

_PRODUCTS = ("backup", "cert", "dns", "gateway", "kafka", "logging", "mesh", "metrics", "policy", "postgres", "vault")
_NODE_RULE = rule("core", "namespaces nodes nodes/metrics nodes/proxy pods", _READ)


def operator_role(number: int) -> Role:
    """A ClusterRole as an operator's chart installs it, in one of six shapes; most differ by their API group."""
    product = f"{_PRODUCTS[number % len(_PRODUCTS)]}-{number // len(_PRODUCTS)}"
    group = f"{product}.example.com"
    own = [
        rule(group, "clusters databases policies", [*_READ, *_WRITE]),
        rule(group, "clusters/finalizers clusters/status databases/status policies/status", "get patch update"),
        rule("coordination.k8s.io", "leases", "create get update"),
    ]
    match number % 6:
        case 0:
            return _reader(f"{product}-operator", [*own, rule("core", "configmaps pods secrets services", "*")])
        case 1:
            return _other(f"{product}-metrics", [{"nonResourceURLs": ["/metrics", "/healthz/*"], "verbs": ["get"]}])
        case 2:
            return _other(f"{product}-controller", [*own, rule("apps", _WORKLOADS, [*_READ, *_WRITE])])
        case 3:
            named = rule("core", "secrets", "get patch", resourceNames=[f"{product}-ca", f"{product}-webhook"])
            return _other(f"{product}-webhook", [*own, named])
        case 4:
            return _other(f"{product}-viewer", [rule(group, "*", _READ)])
        case _ if number % 4 == 1:
            return _reader(f"{product}-agent", [_NODE_RULE, rule("*", "*", _READ)])
        case _:
            return _other(f"{product}-agent", [_NODE_RULE, rule(group, "*", _READ)])


def dangling(rng: Random) -> Role | None:
    """A role that somebody removed: one binding in a hundred still refers to one."""
    return _other("removed-role", []) if rng.random() < 0.01 else None
