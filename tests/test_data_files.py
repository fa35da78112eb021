"""The facts about Kubernetes minors are complete, consistent and those of Kubernetes' own fixtures."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

DATA = Path(__file__).parents[1] / "graphsec" / "data"
BOOTSTRAP = Path(__file__).parents[2] / "shared" / "corpora" / "bootstrap-rbac"

COLUMNS = ["group", "resource", "kind", "scope", "short", "verbs", "subresources", "since", "until"]
MINORS = range(30, 38)
VERSIONS = [f"1.{minor}" for minor in MINORS]
#: ClusterRoles of controllers; each has one ClusterRoleBinding.
CONTROLLERS = {
    "1.26": 31,
    "1.30": 33,
    "1.31": 33,
    "1.32": 33,
    "1.33": 35,
    "1.34": 37,
    "1.35": 37,
    "1.36": 38,
    "1.37": 41,
}

AGGREGATED = ["admin", "edit", "view"]
CONTROLLER_PREFIX = "system:controller:"

Row = dict[str, str]
Manifest = dict[str, Any]


def resources() -> list[Row]:
    header, *lines = (DATA / "resources.tsv").read_text(encoding="utf-8").splitlines()
    assert header.split("\t") == COLUMNS
    return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]


def minors_of(row: Row) -> range:
    first, last = (int(bound.removeprefix("1.")) if bound else None for bound in (row["since"], row["until"]))
    return range(first or MINORS.start, (last or MINORS.stop - 1) + 1)


def served(version: str) -> dict[tuple[str, str], Row]:
    minor = int(version.removeprefix("1."))
    return {(row["group"], row["resource"]): row for row in resources() if minor in minors_of(row)}


def subresources_of(row: Row) -> dict[str, list[str]]:
    entries = (entry.split("=") for entry in row["subresources"].split(";") if entry)
    return {name: verbs.split(",") for name, verbs in entries}


def defaults(version: str) -> list[Manifest]:
    stored: Manifest = json.loads((DATA / "defaults" / f"{version}.json").read_text(encoding="utf-8"))
    assert (stored["apiVersion"], stored["kind"]) == ("v1", "List")
    items: list[Manifest] = stored["items"]
    return items


def key(item: Manifest) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def cluster_roles(items: list[Manifest]) -> dict[str, Manifest]:
    return {item["metadata"]["name"]: item for item in items if item["kind"] == "ClusterRole"}


def aggregated_rules(role: Manifest, roles: dict[str, Manifest]) -> list[Manifest]:
    found: list[Manifest] = []
    for selector in role["aggregationRule"]["clusterRoleSelectors"]:
        for name in sorted(roles):
            labels = roles[name]["metadata"].get("labels", {})
            if roles[name] is role or not selector["matchLabels"].items() <= labels.items():
                continue
            for rule in roles[name]["rules"]:
                if rule not in found:
                    found.append(rule)
    return found


def upstream(name: str) -> dict[tuple[str, str, str], Manifest]:
    if not BOOTSTRAP.is_dir():
        pytest.skip(f"{BOOTSTRAP.name} of the shared corpora is absent")
    with (BOOTSTRAP / name).open(encoding="utf-8") as stream:
        return {key(item): item for item in yaml.safe_load(stream)["items"]}


def test_resources_have_one_row_per_minor() -> None:
    seen = Counter((row["group"], row["resource"], minor) for row in resources() for minor in minors_of(row))
    assert [entry for entry, count in seen.items() if count > 1] == []


def test_resources_are_sorted() -> None:
    keys = [(row["group"], row["resource"], minors_of(row).start) for row in resources()]
    assert keys == sorted(keys)


@pytest.mark.parametrize("row", resources(), ids=lambda row: f"{row['resource']}.{row['group']}@{row['since']}")
def test_resource_is_well_formed(row: Row) -> None:
    assert row["scope"] in {"cluster", "namespaced"}
    assert row["verbs"] or row["subresources"]
    for verbs in [row["verbs"].split(","), *subresources_of(row).values()]:
        assert verbs == sorted(set(verbs))
    assert list(subresources_of(row)) == sorted(subresources_of(row))
    removed_before_the_first_minor = not row["since"] and row["until"] in {"1.15", "1.18", "1.19", "1.21", "1.24"}
    assert minors_of(row) or removed_before_the_first_minor


@pytest.mark.parametrize("version", VERSIONS)
def test_resources_and_kinds_name_each_other(version: str) -> None:
    kinds = Counter((row["group"], row["kind"]) for row in served(version).values() if row["kind"])
    assert set(kinds.values()) == {1}


@pytest.mark.parametrize("version", VERSIONS)
def test_short_names_are_ambiguous_for_events_only(version: str) -> None:
    short = Counter(name for row in served(version).values() for name in row["short"].split(",") if name)
    assert [name for name, count in short.items() if count > 1] == ["ev"]


@pytest.mark.parametrize(
    ("group", "resource", "scope", "short"),
    [
        ("", "pods", "namespaced", "po"),
        ("", "nodes", "cluster", "no"),
        ("", "namespaces", "cluster", "ns"),
        ("apps", "deployments", "namespaced", "deploy"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "cluster", "crd,crds"),
        ("metrics.k8s.io", "nodes", "cluster", ""),
        ("networking.k8s.io", "networkpolicies", "namespaced", "netpol"),
        ("rbac.authorization.k8s.io", "clusterroles", "cluster", ""),
        ("", "users", "cluster", ""),
    ],
)
def test_known_resources(group: str, resource: str, scope: str, short: str) -> None:
    for version in VERSIONS:
        row = served(version)[group, resource]
        assert (row["scope"], row["short"]) == (scope, short)


@pytest.mark.parametrize(
    ("resource", "subresource", "verbs", "first"),
    [
        ("pods", "exec", ["create", "get"], 30),
        ("pods", "eviction", ["create"], 30),
        ("pods", "resize", ["get", "patch", "update"], 33),
        ("serviceaccounts", "token", ["create"], 30),
        ("nodes", "log", ["get"], 30),
        ("nodes", "healthz", ["get"], 33),
    ],
)
def test_known_core_subresources(resource: str, subresource: str, verbs: list[str], first: int) -> None:
    for minor in MINORS:
        listed = subresources_of(served(f"1.{minor}")["", resource])
        assert listed.get(subresource) == (verbs if minor >= first else None)


def test_no_removed_resource_is_served() -> None:
    for version in VERSIONS:
        assert ("policy", "podsecuritypolicies") not in served(version)
        assert not any(group == "extensions" for group, _ in served(version))


@pytest.mark.parametrize("version", CONTROLLERS)
def test_defaults_hold_the_documented_numbers_of_objects(version: str) -> None:
    # The ClusterRole and binding for cluster trust bundles came in 1.37.
    added = 1 if version == "1.37" else 0
    assert Counter(_counted(defaults(version))) == {
        "ClusterRole": 31 + added,
        "controller ClusterRole": CONTROLLERS[version],
        "ClusterRoleBinding": 12 + added,
        "controller ClusterRoleBinding": CONTROLLERS[version],
        "Role": 7,
        "RoleBinding": 7,
    }


def _counted(items: list[Manifest]) -> Iterator[str]:
    for item in items:
        controller = item["kind"].startswith("Cluster") and item["metadata"]["name"].startswith(CONTROLLER_PREFIX)
        yield f"controller {item['kind']}" if controller else item["kind"]


@pytest.mark.parametrize("version", CONTROLLERS)
def test_defaults_are_marked_and_sorted(version: str) -> None:
    items = defaults(version)
    assert [key(item) for item in items] == sorted({key(item) for item in items}, key=_kind_order)
    for item in items:
        assert item["apiVersion"] == "rbac.authorization.k8s.io/v1"
        assert item["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
        assert item["metadata"]["annotations"] == {"rbac.authorization.kubernetes.io/autoupdate": "true"}


def _kind_order(name: tuple[str, str, str]) -> tuple[int, str, str]:
    return ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"].index(name[0]), *name[1:]


@pytest.mark.parametrize("version", CONTROLLERS)
def test_default_role_references_resolve(version: str) -> None:
    items = defaults(version)
    known = {key(item) for item in items}
    for binding in (item for item in items if "roleRef" in item):
        ref = binding["roleRef"]
        namespace = binding["metadata"].get("namespace", "") if ref["kind"] == "Role" else ""
        assert (ref["kind"], namespace, ref["name"]) in known


@pytest.mark.parametrize("version", CONTROLLERS)
def test_each_controller_is_bound_to_its_service_account(version: str) -> None:
    items = defaults(version)
    controllers = {name for name in cluster_roles(items) if name.startswith(CONTROLLER_PREFIX)}
    bound = {
        item["roleRef"]["name"]: item["subjects"]
        for item in items
        if item["kind"] == "ClusterRoleBinding" and item["metadata"]["name"].startswith(CONTROLLER_PREFIX)
    }
    assert bound == {
        name: [{"kind": "ServiceAccount", "name": name.removeprefix(CONTROLLER_PREFIX), "namespace": "kube-system"}]
        for name in controllers
    }


@pytest.mark.parametrize("version", CONTROLLERS)
@pytest.mark.parametrize("name", AGGREGATED)
def test_aggregated_roles_are_stored_as_the_controller_leaves_them(version: str, name: str) -> None:
    roles = cluster_roles(defaults(version))
    assert [role for role, item in roles.items() if "aggregationRule" in item] == AGGREGATED
    assert roles[name]["rules"]
    assert roles[name]["rules"] == aggregated_rules(roles[name], roles)


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(CONTROLLERS)))
def test_later_minors_only_add_objects(earlier: str, later: str) -> None:
    assert {key(item) for item in defaults(earlier)} <= {key(item) for item in defaults(later)}


@pytest.mark.parametrize(
    "name",
    [
        "cluster-roles",
        "cluster-role-bindings",
        "controller-role-bindings",
        "namespace-roles",
        "namespace-role-bindings",
    ],
)
def test_defaults_of_1_26_are_those_of_the_corpora(name: str) -> None:
    stored = {key(item): item for item in defaults("1.26")}
    for identity, item in upstream(f"{name}.yaml").items():
        item["metadata"].pop("creationTimestamp", None)
        expected = stored[identity]
        assert expected == item | _spelled_out(item, expected)


def _spelled_out(item: Manifest, expected: Manifest) -> Manifest:
    """What the data file states and the fixtures leave out: aggregated rules, an empty list of subjects."""
    if "aggregationRule" in item:
        return {"rules": expected["rules"]}
    if "roleRef" in item:
        return {"subjects": item.get("subjects") or []}
    return {}
