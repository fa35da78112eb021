"""Changes of objects that may cut an attack path: what each costs, what it does, and how it is written as a patch.

A patch is a strategic merge patch of one object (`kubectl patch --patch-file`, kustomize): rules and subjects are replaced as
a whole there, so what a patch holds is what remains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec.structs import asdict
from msgspec.structs import replace as with_fields

from graphsec.compile import World
from graphsec.compile.access import principal
from graphsec.compile.pod_security import LABEL
from graphsec.loading import load_cluster
from graphsec.model.attack import FactKind
from graphsec.model.cluster import Cluster
from graphsec.model.objects import Loaded, StoredRole
from graphsec.model.rbac import ALL, RBAC_GROUP, PolicyRule, Request
from graphsec.model.ref import Ref
from graphsec.query._answer import subject_text
from graphsec.query._attack_evidence import Ground
from graphsec.query.paths import AttackPath, Step

K = FactKind
#: Narrowing is cheaper than taking away (attacks.md §6); whoever else holds the role adds to the cost of changing it.
_LABEL, _POLICY, _AUTOMOUNT, _VERB, _NAMES, _SUBJECT = 10, 12, 20, 25, 15, 30
_PER_HOLDER = 2
#: Names that a rule is narrowed to, at most.
_MAX_NAMES = 20


@dataclass(frozen=True, slots=True)
class Change:
    """``detail`` tells changes of one object apart; ``words`` say what is done."""

    action: str
    ref: Ref
    detail: tuple[Any, ...]
    words: str
    cost: int


def changes(world: World, path: AttackPath, *, unlock: bool = False) -> Iterator[Change]:
    """Every change that takes away something that the path rests on; built-in bindings are locked unless ``unlock``."""
    for step in path.steps:
        for ground in step.because:
            if ground.request is not None and ground.binding is not None:
                if unlock or not _is_locked(world, ground.binding):
                    yield from _of_grant(world, step, ground, ground.request, unlock=unlock)
            else:
                yield from _of_object(world, step, ground)
        if step.after.kind is K.HELD:
            for ground in step.because:
                if (
                    ground.binding
                    and ground.grant
                    and ground.grant.subject
                    and (unlock or not _is_locked(world, ground.binding))
                ):
                    yield _unbind(ground.binding, ground.grant.subject)


def _is_locked(world: World, binding: Ref) -> bool:
    return binding not in world.cluster.inventory or world.provenance.is_builtin(binding)


def _unbind(binding: Ref, subject: Ref) -> Change:
    return Change("unbind", binding, (subject,), f"remove {subject_text(subject)} from {binding}", _SUBJECT)


def _of_grant(world: World, step: Step, ground: Ground, request: Request, *, unlock: bool) -> Iterator[Change]:
    grant = ground.grant
    if grant is None or grant.binding is None or grant.role is None or grant.rule is None or grant.subject is None:
        return
    yield _unbind(grant.binding, grant.subject)
    role = world.access.roles.get(grant.role)
    stored = next((loaded for loaded in world.cluster.of(grant.role.kind) if loaded.ref == grant.role), None)
    if (
        role is None
        or stored is None
        or stored.body.selectors is not None
        or grant.role in world.provenance.shipped_roles
    ):
        return
    others = sum(len(binding.subjects) for binding in world.access.bindings if binding.role == grant.role) - 1
    written = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    if (
        request.verb != ALL
        and request.verb in grant.rule.verbs
        and written in grant.rule.resources
        and request.group in grant.rule.groups
    ):
        words = f"drop {request.verb} on {written} from {grant.role}, rule {grant.rule_index + 1}"
        detail = (grant.rule, request.verb, request.group, written)
        yield Change("drop-verb", grant.role, detail, words, _VERB + _PER_HOLDER * others)
        names = _safe_names(world, step, request)
        if names and not grant.rule.names:
            words = (
                f"limit {request.verb} on {written} in {grant.role}, rule {grant.rule_index + 1}, to {', '.join(names)}"
            )
            yield Change("add-names", grant.role, (*detail, names), words, _NAMES + _PER_HOLDER * others)


#: Requests that a name can limit, and the objects that they are about.
_NAMED = {
    ("get", "secrets", ""): "Secret",
    ("create", "pods", "exec"): "Pod",
    ("create", "pods", "attach"): "Pod",
    ("create", "serviceaccounts", "token"): "ServiceAccount",
    ("impersonate", "serviceaccounts", ""): "ServiceAccount",
}


def _safe_names(world: World, step: Step, request: Request) -> tuple[str, ...]:
    """Objects of the namespace from which nothing leads on by the graph; none where they are many or the scope is wide."""
    kind = _NAMED.get((request.verb, request.resource, request.subresource))
    if kind is None or not request.namespace or request.name:
        return ()
    found = tuple(loaded.ref.name for loaded in world.cluster.of(kind) if loaded.ref.namespace == request.namespace)
    graph = world.attacks.graph()
    bad = {
        fact.name
        for number, fact in enumerate(graph.horn.facts)
        if fact.kind.value in (kind, "PodsLike") and fact.namespace == request.namespace and _leads(graph, number)
    }
    safe = tuple(name for name in found if name not in bad)
    return safe if 0 < len(safe) <= _MAX_NAMES and len(safe) < len(found) else ()


def _leads(graph: Any, number: int) -> bool:
    from graphsec.graph.horn import FAR
    from graphsec.model.attack import CLUSTER

    return bool(graph.horn.costs_to(graph.horn.ids[CLUSTER], relaxed=True)[number] < FAR)


def _of_object(world: World, step: Step, ground: Ground) -> Iterator[Change]:
    if step.rule == "pod-assumes-sa" and ground.object is not None:
        yield from _no_token(world, step, ground)
    if step.after.kind is K.PORT and ground.object is not None:
        yield from _close_port(world, ground.object)
    namespace = ground.object if step.after.kind is K.NEW_HOST_POD else None
    if namespace is not None and namespace.kind == "Namespace" and namespace in world.cluster.inventory:
        words = f"enforce Pod Security level baseline in {namespace}"
        yield Change("enforce", namespace, ("baseline",), words, _LABEL)


def _close_port(world: World, workload: Ref) -> Iterator[Change]:
    """A policy that lets nothing in to the pods of a workload: what they serve is to be allowed again, port by port."""
    placed = world.attacks.inventory.placed
    numbers = placed.pods_of_workload.get(workload, [])
    common = [set(placed.labels[number].items()) for number in numbers]
    labels = tuple(sorted(set.intersection(*common))) if common else ()
    if labels:
        ref = Ref("NetworkPolicy", f"deny-ingress-{workload.name}", workload.namespace)
        words = f"add {ref}: nothing may connect to {workload}"
        yield Change("add-policy", ref, (labels,), words, _POLICY)


def _policy(change: Change) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": change.ref.name, "namespace": change.ref.namespace},
        "spec": {"podSelector": {"matchLabels": dict(change.detail[0])}, "policyTypes": ["Ingress"]},
    }


def _no_token(world: World, step: Step, ground: Ground) -> Iterator[Change]:
    account = Ref("ServiceAccount", step.after.name, step.after.namespace)
    if ground.field == "spec.serviceAccountName" and account in world.cluster.inventory:
        yield Change("no-automount", account, (), f"turn off automountServiceAccountToken in {account}", _AUTOMOUNT)


# -- doing them ----------------------------------------------------------------------------------------------------


def apply(cluster: Cluster, chosen: Iterable[Change]) -> Cluster:
    """The cluster after the changes."""
    by_ref: dict[Ref, list[Change]] = {}
    for change in chosen:
        by_ref.setdefault(change.ref, []).append(change)
    objects = dict(cluster.objects)
    added = [change for found in by_ref.values() for change in found if change.action == "add-policy"]
    for change in added:
        made = load_cluster([_policy(change)]).of("NetworkPolicy")
        objects["NetworkPolicy"] = (*objects.get("NetworkPolicy", ()), *made)
    for kind in {ref.kind for ref in by_ref} - {change.ref.kind for change in added}:
        objects[kind] = tuple(
            changed
            for loaded in cluster.objects.get(kind, ())
            if (changed := _changed(loaded, by_ref.get(loaded.ref, ()))) is not None
        )
    return replace(cluster, objects=objects)


def _changed(loaded: Loaded, chosen: Iterable[Change]) -> Loaded | None:
    body = loaded.body
    lines = loaded.lines
    for change in chosen:
        body, lines = _DO[change.action](loaded.ref, body, change.detail), ()
        if body is None:
            return None
    return loaded if body is loaded.body else with_fields(loaded, body=body, lines=lines)


def _do_unbind(ref: Ref, body: Any, detail: tuple[Any, ...]) -> Any:
    (subject,) = detail
    left = tuple(found for found in body.subjects or () if principal(found, ref.namespace) != subject)
    return with_fields(body, subjects=left) if left else None


def _do_rule(ref: Ref, body: StoredRole, detail: tuple[Any, ...]) -> StoredRole:
    """The rule without one verb on one resource, or limited to names there; the rest of it stays as it was."""
    rule, verb, group, resource, *names = detail
    rules = [
        piece
        for found in body.rules
        for piece in (_split(found, verb, group, resource, *names) if found == rule else [found])
    ]
    return with_fields(body, rules=tuple(rules))


def _split(rule: PolicyRule, verb: str, group: str, resource: str, names: tuple[str, ...] = ()) -> list[PolicyRule]:
    def only(**fields: tuple[str, ...]) -> PolicyRule:
        return PolicyRule(**{**asdict(rule), **fields})

    other_groups = tuple(found for found in rule.groups if found != group)
    other_resources = tuple(found for found in rule.resources if found != resource)
    other_verbs = tuple(found for found in rule.verbs if found != verb)
    pieces = [
        only(groups=other_groups),
        only(groups=(group,), resources=other_resources),
        only(groups=(group,), resources=(resource,), verbs=other_verbs),
    ]
    if names:
        pieces.append(only(groups=(group,), resources=(resource,), verbs=(verb,), names=names))
    return [piece for piece in pieces if piece.groups and piece.resources and piece.verbs]


def _do_no_automount(ref: Ref, body: Any, detail: tuple[Any, ...]) -> Any:
    return with_fields(body, automount_service_account_token=False)


def _do_enforce(ref: Ref, body: Any, detail: tuple[Any, ...]) -> Any:
    labels = {**(body.metadata.labels or {}), LABEL: detail[0]}
    return with_fields(body, metadata=with_fields(body.metadata, labels=labels))


_DO: Mapping[str, Callable[[Ref, Any, tuple[Any, ...]], Any]] = {
    "unbind": _do_unbind,
    "drop-verb": _do_rule,
    "add-names": _do_rule,
    "no-automount": _do_no_automount,
    "enforce": _do_enforce,
}


# -- writing them --------------------------------------------------------------------------------------------------


def patch(after: Cluster, ref: Ref, chosen: Iterable[Change]) -> dict[str, Any]:
    """The strategic merge patch of one object; of one that is added, the object."""
    added = next((change for change in chosen if change.action == "add-policy"), None)
    if added is not None:
        return _policy(added)
    changed = next((loaded for loaded in after.of(ref.kind) if loaded.ref == ref), None)
    group = f"{RBAC_GROUP}/v1" if ref.kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding") else "v1"
    metadata = {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}
    head: dict[str, Any] = {"apiVersion": group, "kind": ref.kind, "metadata": metadata}
    if changed is None:
        return {**head, "$patch": "delete"}
    return {**head, **_WRITE[ref.kind](changed, metadata)}


def _write_role(loaded: Loaded, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"rules": [rule.to_mapping() for rule in loaded.body.rules]}


def _write_binding(loaded: Loaded, metadata: dict[str, Any]) -> dict[str, Any]:
    subjects = []
    for found in loaded.body.subjects or ():
        fields = {"kind": found.kind, "name": found.name, "namespace": found.namespace}
        if found.kind in ("User", "Group"):
            fields["apiGroup"] = RBAC_GROUP
        subjects.append({key: value for key, value in fields.items() if value})
    return {"subjects": subjects}


def _write_namespace(loaded: Loaded, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {**metadata, "labels": {LABEL: (loaded.body.metadata.labels or {})[LABEL]}}}


_WRITE: Mapping[str, Callable[[Loaded, dict[str, Any]], dict[str, Any]]] = {
    "Role": _write_role,
    "ClusterRole": _write_role,
    "RoleBinding": _write_binding,
    "ClusterRoleBinding": _write_binding,
    "Namespace": _write_namespace,
    "ServiceAccount": lambda loaded, metadata: {"automountServiceAccountToken": False},
}
