"""What identities, writes of RBAC objects, impersonation and certificates must show in ``replay`` (attacks.md §3.1, §3.4)."""

from __future__ import annotations

from graphsec.model.attack import CLUSTER, NODES, Fact, FactKind
from graphsec.model.rbac import MASTERS, Request
from graphsec.model.ref import Ref
from graphsec.query import _replay_requests as q
from graphsec.query._replay_case import (
    FEED,
    NODE_USER,
    Case,
    Check,
    Faults,
    K,
    lends,
    to_node,
    unless,
)
from graphsec.query._replay_requests import ANYTHING, ANYWHERE, EVERY, FREE, Demand
from graphsec.query._replay_view import (
    parse_ref,
)

#: Constrained impersonation is on from this minor (S-72).
_CONSTRAINED = 36


# -- Identities ----------------------------------------------------------------------------------------------------


def membership(case: Case) -> Faults:
    group = Ref(case.after.kind.value, case.after.name, case.after.namespace or None)
    yield from unless(case.known.includes(case.one, group), f"{case.one} is not in {case.after}")


def everything(case: Case) -> Faults:
    """`*` on `*.*` in the scope of what is gained; system:masters needs no grant (S-47)."""
    if case.one == Fact(K.GROUP, MASTERS):
        return
    if case.one == Fact(K.GRANT, ANYTHING):
        return
    yield from case.demand(Demand(q.EVERYTHING, case.after.namespace))


def whole_namespace(case: Case) -> Faults:
    """A role that grants anything in a scope."""
    named_ = case.one.name == ANYTHING and case.one.namespace in ("", case.after.namespace)
    yield from unless(named_, f"{case.one} does not grant everything there")


def grant_of_everything(case: Case) -> Faults:
    yield from unless(case.after.name == ANYTHING, "a grant of something else")
    yield from everything(case)


def power(case: Case) -> Faults:
    """A power of the table, about the name of the fact; of a grant of everything nothing else is asked."""
    after = case.after
    found = q.POWERS.get(after.power)
    if found is None:
        yield f"unknown power `{after.power}`"
    elif case.one.kind is K.GRANT and case.one.name == ANYTHING:
        yield from whole_namespace(case)
        yield from unless(not found.cluster, f"{after.power} is no matter of a namespace")
    elif after.power == "change nodes" and after.name:
        yield from _closes_all_but(case, after.name)
    elif found.cluster and after.namespace:
        yield f"{after.power} is no matter of a namespace"
    else:
        yield from case.demand(Demand(found.ways, after.namespace, _object_of(case, after, any_name=found.any_name)))
        if after.power.startswith("rewrite") and after.name:
            yield from _there(case, parse_ref(after.name))


def _closes_all_but(case: Case, node: str) -> Faults:
    for other in sorted(case.view.node_names - {node}):
        requests = (
            Request(verb=verb, resource="nodes", subresource=sub, name=other)
            for verb in ("patch", "update")
            for sub in ("", "status")
        )
        yield from unless(any(case.known.may(case.one, request) for request in requests), f"nothing closes {other}")


def _object_of(case: Case, after: Fact, *, any_name: bool) -> str:
    if any_name:
        return FREE
    if after.power == "relabel namespaces":
        return after.namespace
    return parse_ref(after.name).name if after.power.startswith("rewrite") and after.name else after.name


def _there(case: Case, role: Ref) -> Faults:
    yield from unless(case.view.role(role), f"no {role}")
    if case.view.is_supplied(role):
        case.needs.add("BOOTSTRAP-RBAC")


def bound(case: Case) -> Faults:
    """HELD: a binding in that very scope names the subject, or the role is one that the attacker binds."""
    role, scope = parse_ref(case.after.name), case.after.namespace
    if case.one.kind is K.GRANT:
        yield from unless(case.one[1:3] == case.after[1:3], f"{case.one} is another grant")
        return
    grant = next((ground.grant for ground in case.step.because if ground.grant), None)
    binding = case.view.bindings.get(grant.binding) if grant and grant.binding else None
    if binding is None or (binding.role, binding.scope) != (role, scope):
        yield f"no binding to {role} is shown"
        return
    yield from unless(
        any(case.known.includes(case.one, subject) for subject in binding.subjects),
        f"{binding.ref} does not name {case.one}",
    )
    if case.view.is_supplied(binding.ref):
        case.needs.add("BOOTSTRAP-RBAC")


def from_cluster(case: Case) -> Faults:
    """Whoever may do everything impersonates and creates whom it likes."""
    if case.after == NODES:
        case.needs.add("SCHED")
    yield from ()


# -- RBAC writes, impersonation, certificates ----------------------------------------------------------------------


def binds(case: Case) -> Faults:
    """Any binding in the scope, and `bind` on the role there (S-60)."""
    scope, role = case.after.namespace, parse_ref(case.after.name)
    create = q.CREATE_BINDINGS if scope else q.CREATE_CLUSTER_BINDINGS
    yield from case.demand(Demand(create, scope, FREE), _bind(role, scope))
    yield from _bindable(case, role, scope)


def _bind(role: Ref, scope: str) -> Demand:
    resource = "clusterroles" if role.kind == "ClusterRole" else "roles"
    name = EVERY if role.name.startswith("{") else role.name
    return Demand(q.to("bind", resource=resource, group=q.RBAC), scope, name)


def _bindable(case: Case, role: Ref, scope: str) -> Faults:
    """A Role can be bound in its own namespace only (S-43)."""
    yield from unless(
        role.kind == "ClusterRole" or (scope and role.namespace == scope), f"{role} cannot be bound there"
    )
    if role.name == "{all, with the shipped ones}" or case.view.is_supplied(role):
        case.needs.add("BOOTSTRAP-RBAC")


def updates_binding(case: Case) -> Faults:
    """The roleRef of an existing binding stands, its subjects do not (S-44)."""
    scope, role = case.after.namespace, parse_ref(case.after.name)
    resource = "rolebindings" if scope else "clusterrolebindings"
    shown = [
        ground.request.name for ground in case.step.because if ground.request and ground.request.resource == resource
    ]
    binding = case.view.bindings.get(_binding(scope, shown[0])) if shown else None
    if binding is None or binding.role != role:
        yield f"no binding to {role} is shown to be changed"
        return
    yield from case.demand(Demand(q.change(resource, q.RBAC), scope, binding.ref.name), _bind(role, scope))
    if case.view.is_supplied(role, binding.ref):
        case.needs.add("BOOTSTRAP-RBAC")


def _binding(scope: str, name: str) -> Ref:
    return Ref("RoleBinding", name, scope) if scope else Ref("ClusterRoleBinding", name)


def rewrites_all(case: Case) -> Faults:
    """Also the ClusterRole that grants this, which is bound at cluster scope."""
    yield from case.demand(Demand(q.REWRITE_CLUSTERROLES, ""))


def _gains_scope(case: Case, scope: str) -> Faults:
    whole = CLUSTER if scope == "" else Fact(K.GRANT, ANYTHING, scope)
    yield from unless(case.after == whole, f"it gives {whole}")


def rewrites_held(case: Case) -> Faults:
    held = case.premise(K.HELD)
    role = parse_ref(held.name)
    words = "rewrite clusterroles" if role.kind == "ClusterRole" else "rewrite roles"
    power_ = case.power(words)
    matches = power_ and power_.name in ("", held.name) and power_.namespace in ("", role.namespace or "")
    yield from unless(matches, f"nothing rewrites {role}")
    yield from unless(case.view.role(role), f"no {role}")
    yield from _gains_scope(case, held.namespace)


def writes_missing(case: Case) -> Faults:
    """A role that is not there, under a name that a binding or the attacker's own waits for."""
    held = case.premise(K.HELD, K.GRANT)
    role = parse_ref(held.name)
    name = "" if role.name.startswith("{") else role.name
    words = "write new clusterroles" if role.kind == "ClusterRole" else "write new roles"
    power_ = case.power(words)
    scope = "" if role.kind == "ClusterRole" else held.namespace
    yield from unless(
        power_ and power_.name in ("", name) and power_.namespace in ("", scope), f"nothing writes {role}"
    )
    yield from unless(not name or case.view.role(role) is None, f"{role} is there")
    yield from unless(role.kind != "Role" or role.namespace == held.namespace != "", f"{role} cannot be bound there")
    yield from _gains_scope(case, held.namespace)


def feeds_held(case: Case) -> Faults:
    """S-53: rules under the label of an aggregated role reach whoever is bound to it."""
    held = case.premise(K.HELD)
    role = parse_ref(held.name)
    yield from unless(case.power(FEED), "nothing feeds a role")
    yield from unless(case.view.is_aggregated(role), f"{role} is not aggregated")
    if case.view.is_supplied(role):
        case.needs.add("BOOTSTRAP-RBAC")
    yield from _gains_scope(case, held.namespace)


def becomes_user(case: Case) -> Faults:
    yield from case.demand(Demand(q.ACT_AS_USERS, "", case.after.name))


def becomes_account(case: Case) -> Faults:
    """An account need not exist to be impersonated (S-70)."""
    yield from case.demand(Demand(q.ACT_AS_ACCOUNTS, case.after.namespace, case.after.name))


def becomes_node(case: Case) -> Faults:
    user = Demand(q.ACT_AS_USERS, "", f"{NODE_USER}{case.after.name}")
    yield from case.demand(user, Demand(q.ACT_AS_GROUPS, "", "system:nodes"))
    yield from to_node(case)


def becomes_member(case: Case) -> Faults:
    """Groups need a user or an account in the request; which groups, each use of the identity shows."""
    user = (*q.ACT_AS_USERS, *q.ACT_AS_ACCOUNTS)
    yield from case.demand(Demand(user, ANYWHERE, FREE), Demand(q.ACT_AS_GROUPS, "", FREE))
    case.known.impersonators[case.after] = case.one


def acts_as(case: Case) -> Faults:
    """S-72: what the identity may do, each use of it shows from both halves."""
    case.needs.add("FEATURE-GATES")
    target = parse_ref(case.after.name.partition(" for the actions that ")[0])
    if target.kind not in ("User", "ServiceAccount"):
        yield f"{case.after} acts as nobody"
        return
    user = target.kind == "User"
    yield from unless(case.view.minor >= _CONSTRAINED, "constrained impersonation is off")
    mode, resource = ("user-info", "users") if user else ("serviceaccount", "serviceaccounts")
    yield from _may_impersonate(case, mode, resource, target.name, target.namespace or "")
    as_fact = Fact(FactKind(target.kind), target.name, target.namespace or "")
    case.known.limited[case.after] = (case.one, as_fact, mode)


def _may_impersonate(case: Case, mode: str, resource: str, name: str, namespace: str) -> Faults:
    request = Request(verb=f"impersonate:{mode}", group=q.AUTHN, resource=resource, name=name, namespace=namespace)
    yield from unless(case.known.may(case.one, request), f"{case.one} may not {request}")


def acts_as_node(verbs: tuple[str, ...], resource: str, sub: str = "") -> Check:
    """S-72: as a node, whose Secrets and tokens the Node authorizer gives out."""

    def check(case: Case) -> Faults:
        case.needs.add("FEATURE-GATES")
        yield from unless(case.view.minor >= _CONSTRAINED, "constrained impersonation is off")
        yield from unless(any(_as_node(case, verb, resource, sub) for verb in verbs), "no node may be had for that")

    return check


def _as_node(case: Case, verb: str, resource: str, sub: str) -> bool:
    after = case.after
    for place in case.view.in_namespace(after.namespace):
        if not lends(place, after) or not place.node:
            continue
        for mode, names in (("arbitrary-node", (place.node, f"{NODE_USER}{place.node}")), ("associated-node", ("*",))):
            identity = any(
                case.known.may(
                    case.one, Request(verb=f"impersonate:{mode}", group=q.AUTHN, resource="nodes", name=name)
                )
                for name in names
            )
            action = Request(
                verb=f"impersonate-on:{mode}:{verb}",
                resource=resource,
                subresource=sub,
                name=after.name,
                namespace=after.namespace,
            )
            if (
                identity
                and case.known.may(case.one, action)
                and (mode == "arbitrary-node" or _is_tied(case, place.node))
            ):
                return True
    return False


def _is_tied(case: Case, node: str) -> bool:
    """A token bound to a node: one of a pod there, or asked for by the account itself (S-91)."""
    own = case.one
    if own.kind is not K.ACCOUNT:
        return False
    there = (
        place.ref.namespace == own.namespace and place.spec.account == own.name and case.view.holds_token(place)
        for place in case.view.on_node(node)
    )
    request = Request(
        verb="create", resource="serviceaccounts", subresource="token", name=own.name, namespace=own.namespace
    )
    return any(there) or case.known.may(own, request)


def certificate(*words: str, certifies: bool, needs: tuple[str, ...] = ()) -> Check:
    """The requests are about one object, so their names agree; no certificate is for system:masters (S-82)."""

    def check(case: Case) -> Faults:
        case.needs.update(needs)
        powers = [case.power(word) for word in words]
        agree = None not in powers and len({fact.name for fact in powers if fact}) == 1
        yield from unless(
            agree and len(case.step.premises) == len(words), f"{', '.join(words)}: not all, or of one object"
        )
        if certifies:
            case.known.certified.add(case.after)
        else:
            yield from to_node(case)

    return check


def by_certificate(case: Case) -> Faults:
    yield from unless(case.one in case.known.certified, f"{case.one} has no certificate for any name")
