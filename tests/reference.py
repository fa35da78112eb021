"""The slow, obvious RBAC evaluator that the engine must agree with: nested loops over plain objects.

It follows rbac.md S-01 to S-51 and S-63 clause by clause and imports nothing of graphsec, so that the two can only be
wrong together where the reference itself is misread. It validates nothing and answers for small clusters only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Object = dict[str, Any]
Rule = dict[str, list[str]]
#: (kind, namespace or None, name)
Subject = tuple[str, str | None, str]

MASTERS: Subject = ("Group", None, "system:masters")
SERVICE_ACCOUNT = "system:serviceaccount:"
#: The controller gives up on no cycle; the oracle stopped counting here.
MAX_ROUNDS = 50
RULE_FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


def implicit_groups(user: str) -> list[str]:
    """S-46."""
    if user == "system:anonymous":
        return ["system:unauthenticated"]
    groups = ["system:authenticated"]
    kind, namespace, _ = subject_of_user(user)
    if kind == "ServiceAccount":
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    if user.startswith("system:node:"):
        groups.append("system:nodes")
    if user.startswith("system:bootstrap:"):
        groups.append("system:bootstrappers")
    return groups


def can(objects: list[Object], user: str, groups: Iterable[str], attrs: Object) -> bool:
    """S-01 to S-03 behind S-47; ``attrs`` is ``verb`` with ``path``, or with ``group resource subresource namespace name``."""
    groups = list(groups)
    return "system:masters" in groups or any(True for _ in witnesses(objects, user, groups, attrs))


def who_can(objects: list[Object], attrs: Object) -> set[Subject]:
    """Subjects as bindings name them, each asked alone, and ``system:masters``."""
    found = {MASTERS}
    for binding in bindings_in_force(objects, attrs.get("namespace", "")):
        if any(allows(rule, attrs) for rule in role_rules(objects, binding)):
            found.update(named for subject in items(binding, "subjects") if (named := named_subject(subject, binding)))
    return found


def witnesses(objects: list[Object], user: str, groups: list[str], attrs: Object) -> Iterator[tuple[Object, int]]:
    """Every (binding, rule index) that allows the request."""
    for binding in bindings_in_force(objects, attrs.get("namespace", "")):
        if any(applies_to(subject, binding, user, groups) for subject in items(binding, "subjects")):
            for index, rule in enumerate(role_rules(objects, binding)):
                if allows(rule, attrs):
                    yield binding, index


def bindings_in_force(objects: list[Object], namespace: str) -> Iterator[Object]:
    """S-03: ClusterRoleBindings always, RoleBindings only of the request's own namespace."""
    for obj in objects:
        if is_rbac(obj, "ClusterRoleBinding"):
            yield obj
    for obj in objects:
        if is_rbac(obj, "RoleBinding") and namespace and obj["metadata"]["namespace"] == namespace:
            yield obj


def role_rules(objects: list[Object], binding: Object) -> list[Rule]:
    """S-43; a missing role or an unknown kind grants nothing and breaks nothing (S-02)."""
    ref, namespace = binding["roleRef"], binding["metadata"].get("namespace")
    for obj in objects:
        if obj["metadata"]["name"] != ref["name"] or not is_rbac(obj, ref["kind"]):
            continue
        if ref["kind"] == "ClusterRole":
            return items(obj, "rules")
        if ref["kind"] == "Role" and namespace and obj["metadata"]["namespace"] == namespace:
            return items(obj, "rules")
    return []


def applies_to(subject: Object, binding: Object, user: str, groups: list[str]) -> bool:
    """S-40 to S-42."""
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "User":
        return name == user
    if kind == "Group":
        return name in groups
    namespace = subject.get("namespace") or binding["metadata"].get("namespace")
    return kind == "ServiceAccount" and bool(namespace) and user == f"{SERVICE_ACCOUNT}{namespace}:{name}"


def named_subject(subject: Object, binding: Object) -> Subject | None:
    """Whom a subject means, None if it can match nobody; namespaces of users and groups mean nothing."""
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return subject_of_user(name)
    if kind == "Group":
        return ("Group", None, name)
    namespace = subject.get("namespace") or binding["metadata"].get("namespace")
    return ("ServiceAccount", namespace, name) if kind == "ServiceAccount" and namespace else None


def subject_of_user(user: str) -> Subject:
    """S-40: a user called ``system:serviceaccount:NS:NAME`` is that ServiceAccount."""
    parts = user.removeprefix(SERVICE_ACCOUNT).split(":")
    if user.startswith(SERVICE_ACCOUNT) and len(parts) == 2 and all(parts):
        return ("ServiceAccount", parts[0], parts[1])
    return ("User", None, user)


def request_as(subject: Subject) -> tuple[str, list[str]]:
    """User and groups of a request by nobody but this subject: the reading under which who-can equals can."""
    kind, namespace, name = subject
    if kind == "Group":
        return "", [name]
    return (f"{SERVICE_ACCOUNT}{namespace}:{name}" if kind == "ServiceAccount" else name), []


def allows(rule: Rule, attrs: Object) -> bool:
    """S-05 to S-20."""
    if not has(rule, "verbs", attrs["verb"]):
        return False
    if "path" in attrs:
        return any(url_matches(pattern, attrs["path"]) for pattern in items(rule, "nonResourceURLs"))
    names = items(rule, "resourceNames")
    return (
        has(rule, "apiGroups", attrs["group"])
        and resource_matches(rule, attrs["resource"], attrs.get("subresource", ""))
        and (not names or attrs.get("name", "") in names)
    )


def resource_matches(rule: Rule, resource: str, subresource: str) -> bool:
    """S-12 to S-16: a subresource is asked for as one combined string, or as any resource's."""
    if not subresource:
        return has(rule, "resources", resource)
    return has(rule, "resources", f"{resource}/{subresource}") or f"*/{subresource}" in items(rule, "resources")


def url_matches(pattern: str, path: str) -> bool:
    """S-20."""
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def covers(owner: list[Rule], servant: list[Rule]) -> tuple[bool, list[Rule]]:
    """S-63: each atom of the servant needs one owner rule of its own; the uncovered ones in Kubernetes' order."""
    uncovered = [
        atom for rule in servant for atom in breakdown(rule) if not any(rule_covers(mine, atom) for mine in owner)
    ]
    return not uncovered, uncovered


def breakdown(rule: Rule) -> Iterator[Rule]:
    for group in items(rule, "apiGroups"):
        for resource in items(rule, "resources"):
            for verb in items(rule, "verbs"):
                atom = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                names = items(rule, "resourceNames")
                yield from ({**atom, "resourceNames": [name]} for name in names) if names else [atom]
    for url in items(rule, "nonResourceURLs"):
        for verb in items(rule, "verbs"):
            yield {"verbs": [verb], "nonResourceURLs": [url]}


def resource_covers(owner: Rule, word: str) -> bool:
    """The whole word, or as a subresource of any resource; a word that ends in a slash is one like others."""
    _, slash, subresource = word.partition("/")
    return has(owner, "resources", word) or (bool(slash) and f"*/{subresource}" in items(owner, "resources"))


def rule_covers(owner: Rule, atom: Rule) -> bool:
    """A wildcard in the atom is a plain word here: only the owner's wildcard covers it."""
    names = items(owner, "resourceNames")
    return (
        all(has(owner, "verbs", verb) for verb in items(atom, "verbs"))
        and all(has(owner, "apiGroups", group) for group in items(atom, "apiGroups"))
        and all(resource_covers(owner, word) for word in items(atom, "resources"))
        and all(
            any(url_matches(p, url) for p in items(owner, "nonResourceURLs")) for url in items(atom, "nonResourceURLs")
        )
        and (not names or (bool(items(atom, "resourceNames")) and atom["resourceNames"][0] in names))
    )


def aggregate(objects: list[Object]) -> dict[str, list[Rule]]:
    """S-50, S-51: the rules of every aggregated ClusterRole once the controller has nothing left to write."""
    roles = {obj["metadata"]["name"]: obj for obj in objects if is_rbac(obj, "ClusterRole")}
    rules = {name: items(roles[name], "rules") for name in sorted(roles)}
    aggregated = [name for name in rules if roles[name].get("aggregationRule")]
    for _ in range(MAX_ROUNDS):
        before = dict(rules)
        for name in aggregated:
            # Nothing selected is nothing written: the forced apply leaves hand-written rules alone.
            rules[name] = selected_rules(name, roles, rules) or rules[name]
        if rules == before:
            break
    return {name: rules[name] for name in aggregated}


def selected_rules(name: str, roles: dict[str, Object], rules: dict[str, list[Rule]]) -> list[Rule]:
    selected: dict[tuple[tuple[str, ...], ...], Rule] = {}
    for selector in items(roles[name]["aggregationRule"], "clusterRoleSelectors"):
        for other in sorted(roles):
            if other != name and selects(selector, roles[other]["metadata"].get("labels") or {}):
                for rule in rules[other]:
                    selected.setdefault(rule_key(rule), rule)
    return list(selected.values())


def selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        expression_holds(expression, labels) for expression in items(selector, "matchExpressions")
    )


def expression_holds(expression: Object, labels: dict[str, str]) -> bool:
    present = expression["key"] in labels
    listed = present and labels[expression["key"]] in items(expression, "values")
    return {"Exists": present, "DoesNotExist": not present, "In": listed, "NotIn": not listed}[expression["operator"]]


def with_aggregation(objects: list[Object]) -> list[Object]:
    """The objects as the controller leaves them."""
    rules = aggregate(objects)
    return [
        {**obj, "rules": rules[obj["metadata"]["name"]]}
        if is_rbac(obj, "ClusterRole") and obj["metadata"]["name"] in rules
        else obj
        for obj in objects
    ]


def rule_key(rule: Rule) -> tuple[tuple[str, ...], ...]:
    """Equality of rules as Kubernetes sees it: an absent, null and empty list are the same."""
    return tuple(tuple(items(rule, field)) for field in RULE_FIELDS)


def has(rule: Rule, field: str, word: str) -> bool:
    """S-10, S-11."""
    return word in items(rule, field) or "*" in items(rule, field)


def items(mapping: Object, field: str) -> list[Any]:
    return mapping.get(field) or []


def is_rbac(obj: Object, kind: str) -> bool:
    return bool(obj["kind"] == kind and obj["apiVersion"].startswith("rbac.authorization.k8s.io/"))
