"""The table of ``replay``: for each rule and the kinds of facts that it joins, what the step must show (attacks.md §3).

A check yields what is wrong. What the step rests on it adds to ``needs``; that is compared with what the step says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphsec.model.attack import CLUSTER, NODES, Fact, FactKind
from graphsec.model.rbac import MASTERS, Request
from graphsec.model.ref import Ref
from graphsec.query import _replay_requests as q
from graphsec.query._replay_escapes import ESCAPES, opens, opens_node, resolve
from graphsec.query._replay_requests import ANYTHING, ANYWHERE, EVERY, FREE, Demand, Identities, Requests, Way
from graphsec.query._replay_view import BOOTSTRAP_TYPE, TOKEN_TYPE, UNKNOWN_NODE, Place, View, alike, has_foreign_token, parse_ref, secrets_of

if TYPE_CHECKING:
    from graphsec.query.paths import Step

K = FactKind
Faults = Iterator[str]
SOMEWHERE, SOME_NODE, FEED = "somewhere", Fact(K.NODE), "feed aggregated clusterroles"
_NODE_USER = "system:node:"
#: Constrained impersonation is on from this minor (S-72).
_CONSTRAINED = 36
_DEPUTIES = frozenset({"kustomize-controller", "helm-controller", "argocd-application-controller"})


@dataclass
class Case:
    """One step, with what those before it have shown."""

    view: View
    step: Step
    known: Identities
    #: A pod that a start names, where its fact is that of all its like.
    narrowed: Mapping[Fact, Ref]
    needs: set[str] = field(default_factory=set)

    @property
    def after(self) -> Fact:
        return self.step.after

    @property
    def one(self) -> Fact:
        return self.step.premises[0]

    def premise(self, *kinds: FactKind) -> Fact:
        return next(fact for fact in self.step.premises if fact.kind in kinds)

    def power(self, *words: str) -> Fact | None:
        return next((fact for fact in self.step.premises if fact.kind is K.POWER and fact.power in words), None)

    def demand(self, *demands: Demand) -> Faults:
        """RQ: the principal of the step makes all of the requests."""
        requests = Requests(self.known, self.one, self.step.because, self.view.minor)
        yield from requests.faults
        for demand in demands:
            assumes = requests.show(demand)
            if assumes is None:
                first = " and ".join(f"{need.verb} {need.resource}" for need in demand.ways[0].needs)
                yield f"nothing shows that {self.one} may {first} or the like in {demand.namespace or 'the cluster'}"
            else:
                self.needs.update(assumes)
        if requests.rests_on_shipped:
            self.needs.add("BOOTSTRAP-RBAC")

    def rest(self, needs: tuple[str, ...] | None, fault: str) -> Faults:
        """``needs`` None: it is not so."""
        if needs is None:
            yield fault
        else:
            self.needs.update(needs)

    def place(self, fact: Fact) -> Place | None:
        return self.view.place(Ref(fact.power or "Pod", fact.name, fact.namespace))


Check = Callable[[Case], Faults]


def unless(holds: object, fault: str) -> Faults:
    if not holds:
        yield fault


def same_scope(case: Case) -> Faults:
    yield from unless(case.one.namespace == case.after.namespace, "the namespaces differ")


# -- Checks from parts ---------------------------------------------------------------------------------------------


def asks(ways: tuple[Way, ...], *needs: str, free: bool = False, admitted: bool = False, cluster: bool = False) -> Check:
    """The principal makes one request about the fact gained, or about whatever name is ``free``."""

    def check(case: Case) -> Faults:
        case.needs.update(needs, case.view.admission if admitted else ())
        namespace = "" if cluster else case.after.namespace
        yield from case.demand(Demand(ways, namespace, FREE if free else case.after.name))

    return check


def both(*checks: Check) -> Check:
    def check(case: Case) -> Faults:
        for each in checks:
            yield from each(case)

    return check


def rests(*needs: str) -> Check:
    def check(case: Case) -> Faults:
        case.needs.update(needs)
        yield from ()

    return check


def admitted(case: Case) -> Faults:
    case.needs.update(case.view.admission)
    yield from ()


def named(kind: FactKind, *names: str) -> Check:
    def check(case: Case) -> Faults:
        yield from unless(any(fact.kind is kind and fact.name in names for fact in case.step.premises), "another premise")

    return check


def to_pod(case: Case) -> Faults:
    yield from unless(case.place(case.after), f"no {case.after} in which code runs")


def to_account(case: Case) -> Faults:
    needs = case.view.account(case.after.name, case.after.namespace)
    yield from case.rest(needs, f"no {case.after}")


def to_secret(case: Case) -> Faults:
    yield from unless(case.view.has_secret(case.after.name, case.after.namespace), f"no {case.after}")


def to_node(case: Case) -> Faults:
    yield from unless(case.view.has_node(case.after.name), f"no {case.after}")


def absent_account(case: Case) -> Faults:
    needs = case.view.account(case.after.name, case.after.namespace)
    yield from unless(needs is None or needs == ("ACCOUNT-EXISTS",), f"{case.after} is there already")


# -- Structure: one table of its own -------------------------------------------------------------------------------


def within(case: Case) -> Faults:
    """A hub covers those of a namespace, and the objects of its kind there."""
    premise, after = case.one, case.after
    yield from unless(premise.namespace in ("", after.namespace), f"{premise} does not cover {after.namespace}")


def each_of(*checks: Check) -> Check:
    """From the hub of one namespace to an object in it."""
    return both(same_scope, *checks)


def pod_files(case: Case) -> Faults:
    """The pod itself or one that differs in nothing but name and node."""
    place, other = case.place(case.one), case.place(case.after)
    yield from unless(place and other and (place == other or alike(place, other)), f"{case.after} are not those of {case.one}")


def files_hold_secret(case: Case) -> Faults:
    place = case.place(case.one)
    used = place and case.one.namespace == case.after.namespace and case.after.name in secrets_of(place.spec)
    yield from unless(used, f"{case.one} hold no {case.after}")


def node_holds_files(case: Case) -> Faults:
    place = case.place(case.after)
    yield from unless(place and any(place == other or alike(place, other) for other in case.view.on_node(case.one.name)),
                      f"{case.after} are not on {case.one.name}")


def node_holds_pod(case: Case) -> Faults:
    place = case.place(case.after)
    yield from unless(place and case.view.is_on(place, case.one.name), f"{case.after} is not on {case.one.name}")


def nodes_hold_files(case: Case) -> Faults:
    """Where a pod runs is not known: its node may be the one."""
    place = case.place(case.after)
    case.needs.add("SCHED")
    yield from unless(place and not place.node, f"the node of {case.after} is known")


def node_to_nodes(case: Case) -> Faults:
    case.needs.add("SCHED")
    yield from unless(case.one.name.startswith(UNKNOWN_NODE), f"{case.one} is a certain node")


def some_node(case: Case) -> Faults:
    yield from unless(case.after in (SOME_NODE, case.one) or case.one == NODES, "another node")
    if case.one == NODES and case.after != SOME_NODE:
        yield from to_node(case)


def same_name(case: Case) -> Faults:
    yield from unless(case.one.name == case.after.name, "another node")


def new_pod(case: Case) -> Faults:
    if case.after.name == SOMEWHERE:
        return
    yield from within(case)
    yield from unless(case.one.name == case.after.name == "", "another pod")


def wider_power(case: Case) -> Faults:
    """All names stand for each, all namespaces for each; roles that are written may carry a label that feeds others."""
    wide, narrow = case.one, case.after
    if narrow.power == FEED:
        yield from _feeds(case)
        return
    covers = wide.power == narrow.power and wide.namespace in ("", narrow.namespace) and wide.name in ("", narrow.name)
    yield from unless(covers, f"{wide} is not {narrow}")


def _feeds(case: Case) -> Faults:
    power = case.one
    new = power.power == "write new clusterroles" and (not power.name or not case.view.role(Ref("ClusterRole", power.name)))
    yield from unless(new or power.power == "rewrite clusterroles", f"{power} feeds no role")


CONTAINMENT: dict[str, Check] = {
    "NewPod > NewPod": new_pod,
    "Pods > Pods": within,
    "Secrets > Secrets": within,
    "ServiceAccounts > ServiceAccounts": within,
    "NewImages > NewImages": within,
    "NewHostPod > NewHostPod": within,
    "Debug > Debug": within,
    "Pods > Pod": each_of(to_pod),
    "Pods > PodsLike": each_of(to_pod),
    "ServiceAccounts > ServiceAccount": each_of(to_account),
    "Secrets > Secret": each_of(to_secret),
    "Users > User": rests(),
    "Pod > PodFiles": pod_files,
    "PodsLike > PodFiles": pod_files,
    "PodFiles > Secret": files_hold_secret,
    "NodePods > PodFiles": node_holds_files,
    "NodePods > Pod": node_holds_pod,
    "Nodes > PodFiles": nodes_hold_files,
    "Nodes > Node": some_node,
    "Node > Node": some_node,
    "Node > Nodes": node_to_nodes,
    "Node > NodePods": same_name,
    "Power > Power": wider_power,
}


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
        any(case.known.includes(case.one, subject) for subject in binding.subjects), f"{binding.ref} does not name {case.one}"
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
    yield from unless(role.kind == "ClusterRole" or (scope and role.namespace == scope), f"{role} cannot be bound there")
    if role.name == "{all, with the shipped ones}" or case.view.is_supplied(role):
        case.needs.add("BOOTSTRAP-RBAC")


def updates_binding(case: Case) -> Faults:
    """The roleRef of an existing binding stands, its subjects do not (S-44)."""
    scope, role = case.after.namespace, parse_ref(case.after.name)
    resource = "rolebindings" if scope else "clusterrolebindings"
    shown = [ground.request.name for ground in case.step.because if ground.request and ground.request.resource == resource]
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
    yield from unless(power_ and power_.name in ("", name) and power_.namespace in ("", scope), f"nothing writes {role}")
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
    user = Demand(q.ACT_AS_USERS, "", f"{_NODE_USER}{case.after.name}")
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
        if not _lends(place, after) or not place.node:
            continue
        for mode, names in (("arbitrary-node", (place.node, f"{_NODE_USER}{place.node}")), ("associated-node", ("*",))):
            identity = any(
                case.known.may(case.one, Request(verb=f"impersonate:{mode}", group=q.AUTHN, resource="nodes", name=name))
                for name in names
            )
            action = Request(
                verb=f"impersonate-on:{mode}:{verb}",
                resource=resource,
                subresource=sub,
                name=after.name,
                namespace=after.namespace,
            )
            if identity and case.known.may(case.one, action) and (mode == "arbitrary-node" or _is_tied(case, place.node)):
                return True
    return False


def _lends(place: Place, fact: Fact) -> bool:
    """What a node holds through a pod (S-80); mirror pods have no account."""
    if fact.kind is K.SECRET:
        return fact.name in secrets_of(place.spec)
    return place.spec.account == fact.name and not place.mirror


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
        yield from unless(agree and len(case.step.premises) == len(words), f"{', '.join(words)}: not all, or of one object")
        if certifies:
            case.known.certified.add(case.after)
        else:
            yield from to_node(case)

    return check


def by_certificate(case: Case) -> Faults:
    yield from unless(case.one in case.known.certified, f"{case.one} has no certificate for any name")


# -- Secrets and accounts ------------------------------------------------------------------------------------------


def power_to_read(ways: tuple[Way, ...]) -> Check:
    """A name that no Secret has yet."""

    def check(case: Case) -> Faults:
        after = case.after
        yield from unless(after.power == "read secrets" and after.name, "another power")
        yield from case.demand(Demand(ways, after.namespace, after.name))

    return check


def mints(case: Case) -> Faults:
    """S-90: a token Secret that one creates is filled in for the account that it names."""
    scope = case.after.namespace
    created, changed = case.power("create secrets"), case.power("change secrets")
    read = case.power("read secrets")
    if created is not None and len(case.step.premises) == 1:
        # A creating apply, whose answer holds the Secret: the name must be free.
        fits = created.namespace == scope and created.name and not _taken(case, created.name, scope)
        yield from unless(fits, "no new Secret is written under a name")
    elif created is not None and read is not None:
        fits = created[1:3] == ("", scope) and read.namespace == scope and not _taken(case, read.name, scope)
        yield from unless(fits, "no new Secret is written and read")
    elif created is not None:
        hub = case.premise(K.SECRETS)
        yield from unless(created[1:3] == ("", scope) and hub.namespace in ("", scope), "not in one namespace")
    else:
        secret = case.premise(K.SECRET)
        loaded = case.view.object(Ref("Secret", secret.name, secret.namespace))
        yield from unless(loaded is not None and loaded.body.type == TOKEN_TYPE, f"{secret} is no token Secret")
        yield from unless(changed and changed[1:3] == secret[1:3] and secret.namespace == scope, f"nothing changes {secret}")


def _taken(case: Case, name: str, namespace: str) -> bool:
    spaces = [namespace] if namespace else case.view.namespaces
    return any(case.view.exists(Ref("Secret", name, space)) for space in spaces)


def minted_bootstrap(case: Case) -> Faults:
    case.needs.add("BOOTSTRAP-AUTH")
    created = case.power("create secrets")
    named_ = created is not None and (not created.name or created.name.startswith("bootstrap-token-"))
    yield from unless(named_ and created and created.namespace in ("", "kube-system"), "no such Secret in kube-system")
    yield from unless(case.after.name == "system:bootstrappers", "another group")


def read_bootstrap(case: Case) -> Faults:
    case.needs.add("BOOTSTRAP-AUTH")
    loaded = case.view.object(Ref("Secret", case.one.name, case.one.namespace))
    token = loaded is not None and loaded.body.type == BOOTSTRAP_TYPE and case.one.namespace == "kube-system"
    yield from unless(token and case.after.name == "system:bootstrappers", f"{case.one} is no bootstrap token")


def holds_token_of(case: Case) -> Faults:
    owner = case.view.token_owner(case.one.name, case.one.namespace)
    yield from unless(owner == case.after.name and case.one.namespace == case.after.namespace, f"{case.one} is of {owner or 'nobody'}")
    yield from to_account(case)


def maybe_token_secret(case: Case) -> Faults:
    """Where the input does not list Secrets, one may hold a token."""
    yield from same_scope(case)
    yield from unless(not case.view.shows_all("Secret"), "the Secrets are known")
    case.needs.add("TOKEN-SECRET")


def pod_token(case: Case) -> Faults:
    """S-92, and that the account is that of the pod."""
    place = case.place(case.one)
    if place is None or (place.spec.account, place.ref.namespace) != (case.after.name, case.after.namespace):
        yield f"{case.one} are not of {case.after}"
    else:
        yield from unless(case.view.holds_token(place), f"{case.one} hold no token")


def squats(case: Case) -> Faults:
    """An account that is not there is made, in a namespace that is there or is made as well, and its token had."""
    after = case.after
    here = after.namespace in case.view.namespaces
    scope = after.namespace if here else ""
    make, token = case.power("create serviceaccounts"), case.power("request tokens")
    hub = next((fact for fact in case.step.premises if fact.kind is K.ACCOUNTS), None)
    yield from unless(make and make.name in ("", after.name) and make.namespace in ("", scope), f"nothing makes {after}")
    by_request = token is not None and token.name in ("", after.name) and token.namespace in ("", scope)
    by_hub = hub is not None and hub.namespace in ("", scope)
    yield from unless(by_request or by_hub, f"nothing gives the token of {after}")
    yield from unless(here is (case.step.rule == "sa-squat"), f"namespace {after.namespace}: {'there' if here else 'not there'}")
    if not here:
        space = case.power("create namespaces")
        yield from unless(space and space.name in ("", after.namespace), f"nothing makes namespace {after.namespace}")
    yield from absent_account(case)


# -- Workloads, pods, nodes ----------------------------------------------------------------------------------------


def changes_controller(case: Case) -> Faults:
    """A controller that is there, or may be."""
    namespace = case.after.namespace
    case.needs.update(case.view.admission)
    kinds = {resource: (kind, group) for kind, group, resource in q.CONTROLLERS}
    asked = next((ground.request for ground in case.step.because if ground.request), None)
    kind, group = kinds.get(asked.resource, ("", "")) if asked else ("", "")
    if asked is None or not kind:
        yield "no controller is shown to be changed"
        return
    there = [loaded.ref.name for loaded in case.view.cluster.of(kind) if loaded.ref.namespace == namespace]
    if asked.name and asked.name not in there and not case.view.shows_all(kind):
        case.needs.add("WORKLOAD-EXISTS")
    elif not there:
        yield from unless(not case.view.shows_all(kind), f"no {kind} in {namespace}")
        case.needs.add("WORKLOAD-EXISTS")
    else:
        yield from unless(not asked.name or asked.name in there, f"no {kind} {asked.name} in {namespace}")
    yield from case.demand(Demand(q.change(asked.resource, group), namespace, asked.name))


def changes_any_controller(case: Case) -> Faults:
    case.needs.update(case.view.admission)
    resources = {f"change {resource}": kind for kind, _, resource in q.CONTROLLERS}
    kind = resources.get(case.one.power, "")
    there = any(loaded.ref.namespace == case.after.namespace for loaded in case.view.cluster.of(kind))
    yield from unless(kind and case.one.namespace == "" and not case.one.name, "another power")
    yield from unless(there, f"no {kind} in {case.after.namespace}")


def judged(case: Case) -> Faults:
    """Pod Security judges the whole pod again (attacks.md §4.1); a mirror pod takes no ephemeral container."""
    place = case.place(case.after)
    if place is None or not place.live:
        yield f"no {case.after} in which code runs"
        return
    yield from unless(case.step.rule != "ephemeral-container" or not place.mirror, f"{case.after} is a mirror pod")
    yield from case.rest(case.view.judged_again(place), f"Pod Security refuses {case.after} as it stands")


def debugs_node(case: Case) -> Faults:
    """A privileged ephemeral container in a pod on the node."""
    if case.one.kind is K.DEBUG:
        spaces = {case.one.namespace}
        names: set[str] | None = None
    else:
        case.needs.update(case.view.admission)
        requests = [ground.request for ground in case.step.because if ground.request]
        spaces, names = {found.namespace for found in requests}, {found.name for found in requests}
    places = [
        place
        for space in spaces
        for place in case.view.in_namespace(space)
        if place.live and not place.mirror and _is_at(place, case.after) and (names is None or place.ref.name in names)
    ]
    if not places:
        yield f"no pod that takes a container is on {case.after}"
        return
    found = places[0]
    if names is not None:
        yield from case.demand(Demand(q.DEBUG, found.ref.namespace or "", found.ref.name))
    yield from case.rest(case.view.host_fields(found.ref.namespace or ""), "Pod Security refuses a privileged container")


def _is_at(place: Place, node: Fact) -> bool:
    return not place.node if node == NODES else place.node == node.name


def host_pod(case: Case) -> Faults:
    yield from same_scope(case)
    needs = case.view.host_fields(case.after.namespace)
    yield from case.rest(needs, f"Pod Security of {case.after.namespace} refuses host access")


def relaxed(case: Case) -> Faults:
    namespace = case.after.namespace
    relax, pod = case.power("relabel namespaces"), case.premise(K.NEW_POD)
    yield from unless(relax and relax.namespace in ("", namespace) and not relax.name, f"nothing relabels {namespace}")
    yield from unless(pod.namespace in ("", namespace) and not pod.name, f"no pod in {namespace}")
    yield from unless(namespace in case.view.namespaces, f"no namespace {namespace}")


def claims_host_volume(case: Case) -> Faults:
    case.needs.add("SCHED")
    paths = case.view.claimed_paths(case.one.namespace)
    yield from unless(any(map(opens_node, paths)), f"no claim of {case.one.namespace} opens a node")


def claims_free_volume(case: Case) -> Faults:
    case.needs.add("SCHED")
    yield from unless(any(map(opens_node, case.view.free_paths())), "no volume that opens a node is free")


def with_power(*words: str, needs: tuple[str, ...] = (), count: int = 2) -> Check:
    def check(case: Case) -> Faults:
        case.needs.update(needs)
        fits = len(case.step.premises) == count and all(case.power(word) for word in words)
        yield from unless(fits, f"needs {', '.join(words)}")

    return check


def steals(case: Case) -> Faults:
    """Pods are removed, or their node is, and come back on the one node that is open, which the attacker has."""
    evict, nodes = case.power("remove pods"), case.power("remove nodes")
    cordon = case.power("change nodes")
    case.needs.add("SCHED")
    open_ = Fact(K.NODE, cordon.name if cordon else "")
    yield from unless(cordon and open_ in case.step.premises, "the node that stays open is not under control")
    after = case.after
    wanted = ("", after.namespace) if after.kind is K.PODS else (after.name, after.namespace)
    removed = evict is not None and evict.name in ("", wanted[0]) and evict.namespace in ("", wanted[1])
    yield from unless(removed or (nodes is not None and not nodes.name), "nothing removes the pods")
    if after.kind is K.POD:
        yield from to_pod(case)


def kubelet_lends(case: Case) -> Faults:
    """S-80: tokens of the accounts and Secrets of the pods on the node; what has finished keeps its edge."""
    node, after = case.one.name, case.after
    running = any(_lends(place, after) for place in case.view.on_node(node) if place.ref.namespace == after.namespace)
    finished = after.kind is K.SECRET and any(
        after.name in secrets_of(loaded.body.spec) and loaded.ref.namespace == after.namespace
        for loaded in case.view.finished
        if loaded.body.spec.node_name == node
    )
    yield from unless(running or finished, f"no pod on {node} has {after}")


def kubelet_user(case: Case) -> Faults:
    yield from unless(case.after.name == f"{_NODE_USER}{case.one.name}", "another node")


def kubelet_group(case: Case) -> Faults:
    yield from unless(case.after.name == "system:nodes", "another group")


def on_control_plane(case: Case) -> Faults:
    case.needs.add("NODE-FILES")
    yield from unless(case.view.is_control_plane(case.one.name), f"{case.one} is not of the control plane")


def maybe_control_plane(case: Case) -> Faults:
    """Where the input shows no node, one of the control plane may be among them."""
    case.needs.update(("NODE-FILES", "CONTROL-PLANE"))
    yield from unless(not case.view.cluster.objects.get("Node"), "the nodes are known")


def escapes(case: Case) -> Faults:
    """The field that the step names, judged again on the pod that is there."""
    shown = [ground for ground in case.step.because if ground.object and ground.field not in ("", "spec.nodeName")]
    if not shown or shown[0].object is None:
        yield "no field of a pod is shown"
        return
    pod = case.view.place(shown[0].object)
    if pod is None:
        yield f"no {shown[0].object} in which code runs"
        return
    yield from unless(_runs_at(case, pod), f"{pod.ref} is not {case.step.premises[0]} on {case.after.name}")
    found = resolve(pod.spec, shown[0].field, case.view.claims(pod.ref.namespace or ""), case.view.minor)
    if found is None:
        yield f"{pod.ref} has no {shown[0].field}"
        return
    needs = opens(case.step.rule, case.after.kind, found)
    yield from case.rest(needs, f"{pod.ref} {shown[0].field} does not give {case.after} by {case.step.rule}")
    if case.after.kind is K.CLUSTER and not case.view.is_control_plane(pod.node):
        yield from unless(not case.view.cluster.objects.get("Node"), f"{pod.node} is not of the control plane")
        case.needs.add("CONTROL-PLANE")


def _runs_at(case: Case, pod: Place) -> bool:
    """Whether the pod is what the step starts from, and on the node that it gives."""
    source = case.premise(K.POD, K.PODS_LIKE, K.NODE_PODS)
    if source.kind is K.NODE_PODS:
        here = case.view.is_on(pod, source.name)
    else:
        place = case.place(source)
        same = place is not None and pod.ref == place.ref
        here = same or (source.kind is K.PODS_LIKE and place is not None and alike(place, pod))
        here = here and case.narrowed.get(source, pod.ref) == pod.ref
    return here and (case.after.kind is K.CLUSTER or case.view.is_on(pod, case.after.name))


def logs(case: Case) -> Faults:
    """Together with the logs of whatever pod, of that namespace or of all, or those of the nodes."""
    place = case.premise(K.POD, K.PODS_LIKE)
    pods, nodes = case.power("read pods' logs"), case.power("read nodes' logs")
    fits = (pods is not None and pods.namespace in ("", place.namespace)) or (nodes is not None and not nodes.namespace)
    yield from unless(fits, "nothing reads logs")
    yield from escapes(case)


def annotated(attribute: str) -> Check:
    """A token of the account that is meant for the provider: asked for, or in a pod."""

    def check(case: Case) -> Faults:
        case.needs.add("CLOUD-TRUST")
        before = case.one
        place = case.place(before) if before.kind is K.POD_FILES else None
        if before.kind is K.POD_FILES and (place is None or not _is_for_provider(case, place, attribute)):
            yield f"{before} hold no token for the provider"
        yield from unless(before.kind is not K.POWER or before.power == "request tokens", "another power")
        namespace = before.namespace
        names = {place.spec.account} if place else {before.name} if before.kind in (K.POWER, K.ACCOUNT) else None
        accounts = (
            loaded.body.metadata.annotations
            for loaded in case.view.cluster.of("ServiceAccount")
            if loaded.ref.namespace == namespace and (names is None or loaded.ref.name in names)
        )
        given = (getattr(annotations, attribute) for annotations in accounts if annotations)
        yield from unless(case.after.name and case.after.name in given, f"no annotation with {case.after.name}")

    return check


def _is_for_provider(case: Case, place: Place, attribute: str) -> bool:
    """Google asks for none; Azure's webhook looks for a label; of a pod that no node runs no volume is shown yet."""
    if attribute == "google_account" or has_foreign_token(place.spec):
        return True
    if attribute == "azure_client":
        return case.view.labels(place).get("azure.workload.identity/use") == "true"
    return not (place.live and place.node)


def machine(case: Case) -> Faults:
    """The identity of the machine, from its own network (attacks.md §3.9)."""
    place = case.place(case.one)
    case.needs.add("CLOUD-TRUST")
    node = case.after.name.removeprefix("node:")
    if place is None or not any(
        case.view.is_on(other, node)
        for other in (case.view.on_node(node) if case.one.kind is K.PODS_LIKE else [place])
        if other == place or alike(place, other)
    ):
        yield f"{case.one} is not on {node}"
    elif not place.spec.host_network:
        case.needs.add("NP-ENFORCED")
        yield from unless(case.view.reaches_metadata(place), f"{case.one} does not reach the metadata service")


def to_port(case: Case) -> Faults:
    """What policies allow, asked of the questions about flows."""
    case.needs.add("NP-ENFORCED")
    target = _workload(case.after)
    source = None if case.one.kind is K.INTERNET else case.place(case.one)
    yield from unless(case.one.kind is K.INTERNET or source, f"no {case.one} in which code runs")
    yield from unless(case.view.reaches(source, target), f"no flow from {case.one} to a marked port of {target}")


def by_port(case: Case) -> Faults:
    case.needs.add("LISTEN")
    target, place = _workload(case.one), case.place(case.after)
    yield from unless(place and case.view.is_of(place, target), f"{case.after} is not of {target}")
    yield from unless(case.view.marks(target), f"{target} is not marked")


def _workload(port: Fact) -> Ref:
    kind, _, name = port.name.partition("/")
    return Ref(kind, name, port.namespace)


def deputy(*resources: tuple[str, str], change: bool = False) -> Check:
    """attacks.md §5: a custom resource that is installed, written for a controller that acts on it."""

    def check(case: Case) -> Faults:
        case.needs.add("DEPUTY-CONFIG")
        installed = {(found.group, found.name) for found in case.view.cluster.custom_resources}
        ways: tuple[Way, ...] = ()
        for group, resource in resources:
            if (group, resource) in installed:
                ways += (*q.create(resource, group), *(q.change(resource, group) if change else ()))
        namespace = case.after.namespace if case.after.kind is K.NEW_POD else ANYWHERE
        yield from case.demand(Demand(ways, namespace, FREE)) if ways else unless(ways, "no such resource is installed")
        if case.after.kind is K.ACCOUNT:
            yield from unless(case.after.name in _DEPUTIES, f"{case.after} is no deputy")
            yield from to_account(case)

    return check


def aws_auth(case: Case) -> Faults:
    case.needs.add("CLOUD-TRUST")
    yield from case.demand(Demand(q.change("configmaps"), "kube-system", "aws-auth"))
    yield from unless(case.view.exists(Ref("ConfigMap", "aws-auth", "kube-system")), "no aws-auth")


def proxied_node(case: Case) -> Faults:
    yield from case.demand(Demand(q.PROXY, "", case.after.name))
    yield from to_node(case)


# -- The table: kinds of premises and what they give; `id` is a User, ServiceAccount, Group, Identity or Grant ------

_DEPLOYERS = (
    ("kustomize.toolkit.fluxcd.io", "kustomizations"),
    ("helm.toolkit.fluxcd.io", "helmreleases"),
    ("argoproj.io", "applications"),
)
_POD_MAKERS = (
    *(("argoproj.io", name) for name in ("workflows", "cronworkflows", "rollouts")),
    *(("tekton.dev", name) for name in ("taskruns", "pipelineruns")),
    *(("kubevirt.io", name) for name in ("virtualmachines", "virtualmachineinstances")),
    ("jobset.x-k8s.io", "jobsets"),
    ("serving.knative.dev", "services"),
    ("sparkoperator.k8s.io", "sparkapplications"),
    ("monitoring.coreos.com", "prometheuses"),
    ("opentelemetry.io", "opentelemetrycollectors"),
    ("actions.github.com", "autoscalingrunnersets"),
)
_READS = {
    "id > Secrets": asks(q.READ_SECRETS),
    "id > Secret": both(asks(q.READ_SECRETS), to_secret),
    "id > Power": power_to_read(q.READ_SECRETS),
}
_WRITES_OUT = {
    "id > Secrets": asks(q.WRITE_OUT_SECRETS),
    "id > Secret": both(asks(q.WRITE_OUT_SECRETS), to_secret),
    "id > Power": power_to_read(q.WRITE_OUT_SECRETS),
}


def _cloud(attribute: str) -> Mapping[str, Check]:
    return dict.fromkeys((f"{kind} > CloudIdentity" for kind in ("ServiceAccounts", "Power", "PodFiles", "id")), annotated(attribute))


_SQUAT = {
    "Power+ServiceAccounts > ServiceAccount": squats,
    "Power+Power > ServiceAccount": squats,
    "Power+Power+ServiceAccounts > ServiceAccount": squats,
    "Power+Power+Power > ServiceAccount": squats,
}
_ESCAPE = {
    f"{place} > {gain}": escapes
    for place in ("Pod", "PodsLike", "NodePods")
    for gain in ("Node", "NodeIdentity", "NodePods", "Cluster")
}
_LOGS = {f"{place}+Power > {gain}": logs for place in ("Pod", "PodsLike") for gain in ("NodeIdentity", "NodePods")}

RULES: dict[str, Mapping[str, Check]] = {
    "containment": CONTAINMENT,
    "implicit-group": {"id > Group": membership, "id > User": membership},
    "cluster-admin-equivalent": {
        "id > Cluster": everything,
        **{
            f"Cluster > {kind}": from_cluster
            for kind in ("Pods", "Secrets", "ServiceAccounts", "Users", "Nodes", "User", "Group", "ServiceAccount")
        },
    },
    "rbac-grant": {
        "id > Grant": grant_of_everything,
        "id > Power": power,
        "id > Held": bound,
        **{f"id > {kind}": whole_namespace for kind in ("Pods", "Secrets", "ServiceAccounts")},
    },
    "workload-create-as-sa": {
        "id > NewPod": asks(q.CREATE_PODS, free=True, admitted=True),
        "NewPod > ServiceAccounts": same_scope,
    },
    "workload-create-mounts-data": {"NewPod > Secrets": same_scope},
    "workload-create-to-node": {
        "NewPod > NewHostPod": host_pod,
        "NewHostPod > Nodes": rests("SCHED"),
    },
    "workload-update": {"id > NewPod": changes_controller, "Power > NewPod": changes_any_controller},
    "pod-exec": {"id > Pods": asks(q.EXEC), "id > Pod": both(asks(q.EXEC), to_pod)},
    "pod-attach": {"id > Pods": asks(q.ATTACH, "RUNTIME"), "id > Pod": both(asks(q.ATTACH, "RUNTIME"), to_pod)},
    "pod-image-replace": {
        "id > NewImages": asks(q.CHANGE_PODS, admitted=True),
        "id > Pod": both(asks(q.CHANGE_PODS, admitted=True), judged),
        "NewImages > Pod": each_of(judged),
        "NewImages > PodsLike": each_of(judged),
    },
    "ephemeral-container": {
        "id > Debug": asks(q.DEBUG, admitted=True),
        "id > Pod": both(asks(q.DEBUG, admitted=True), judged),
        "id > Node": debugs_node,
        "id > Nodes": debugs_node,
        "Debug > Pod": each_of(judged),
        "Debug > PodsLike": each_of(judged),
        "Debug > Node": debugs_node,
        "Debug > Nodes": debugs_node,
    },
    "nodes-proxy-exec": {"id > Pods": asks(q.PROXY, cluster=True), "id > NodePods": proxied_node},
    "secret-read": _READS,
    "secret-read-by-write": _WRITES_OUT,
    "token-secret-read": {"Secret > ServiceAccount": holds_token_of, "Secrets > ServiceAccounts": maybe_token_secret},
    "token-secret-mint": {
        "Power+Secrets > ServiceAccounts": mints,
        "Power+Power > ServiceAccounts": mints,
        "Power > ServiceAccounts": mints,
        "Power+Secret > ServiceAccounts": mints,
    },
    "bootstrap-token": {"Power > Group": minted_bootstrap, "Secret > Group": read_bootstrap},
    "token-request": {
        "id > ServiceAccounts": asks(q.REQUEST_TOKENS),
        "id > ServiceAccount": both(asks(q.REQUEST_TOKENS), to_account),
    },
    "sa-squat": _SQUAT,
    "namespace-squat": _SQUAT,
    "pod-assumes-sa": {"PodFiles > ServiceAccount": pod_token},
    "role-bind": {"id > Grant": binds, "Grant+Power > Cluster": writes_missing, "Grant+Power > Grant": writes_missing},
    "binding-update": {"id > Grant": updates_binding},
    "role-escalate": {
        "id > Cluster": rewrites_all,
        "Held+Power > Cluster": rewrites_held,
        "Held+Power > Grant": rewrites_held,
    },
    "dangling-role-ref": {"Held+Power > Cluster": writes_missing, "Held+Power > Grant": writes_missing},
    "aggregation-label": {"Held+Power > Cluster": feeds_held, "Held+Power > Grant": feeds_held},
    "impersonate": {
        "id > ServiceAccounts": becomes_account,
        "id > ServiceAccount": becomes_account,
        "id > Users": becomes_user,
        "id > User": becomes_user,
        "id > NodeIdentity": becomes_node,
        "id > Identity": becomes_member,
    },
    "impersonate-constrained": {
        "id > Identity": acts_as,
        "id > Secret": acts_as_node(("get", "list", "watch"), "secrets"),
        "id > ServiceAccount": acts_as_node(("create",), "serviceaccounts", "token"),
    },
    "csr-client-cert": {
        "Power+Power+Power > Identity": certificate(
            "request certificates", "read issued certificates", "approve client certificates", certifies=True
        ),
        **{
            f"id > {kind}": by_certificate
            for kind in ("Users", "User", "ServiceAccounts", "ServiceAccount", "NodeIdentity")
        },
    },
    "csr-sign": {
        "Power+Power+Power > Identity": certificate(
            "request certificates",
            "read issued certificates",
            "sign client certificates",
            certifies=True,
            needs=("CA-KEY",),
        )
    },
    "kubelet-client-csr": {
        "Power+Power > NodeIdentity": certificate(
            "have kubelet certificates approved",
            "read issued certificates",
            certifies=False,
            needs=("BOOTSTRAP-AUTH",),
        )
    },
    "node-identity": {
        "Node > NodeIdentity": same_name,
        "NodeIdentity > User": kubelet_user,
        "NodeIdentity > Group": kubelet_group,
        "NodeIdentity > ServiceAccount": kubelet_lends,
        "NodeIdentity > Secret": kubelet_lends,
    },
    "control-plane-node": {"Node > Cluster": on_control_plane, "Nodes > Cluster": maybe_control_plane},
    "pv-hostpath": {"NewPod+Power > Nodes": with_power("create persistentvolumes", needs=("SCHED",))},
    "pv-claim-available": {"NewPod > Nodes": claims_free_volume},
    "pvc-existing-hostpath": {"NewPod > Nodes": claims_host_volume},
    "psa-label-relax": {"NewPod+Power > NewHostPod": relaxed},
    "mutating-webhook-control": {"Power > NewPod": with_power("write mutating webhooks", needs=("WRITER",), count=1)},
    "mutating-admission-policy": {
        "Power > NewPod": with_power("write mutating admission policies", needs=("WRITER",), count=1)
    },
    "steal-pods": {"Node+Power+Power > Pods": steals, "Node+Power+Power > Pod": steals},
    "irsa-assume": _cloud("aws_role"),
    "gke-workload-identity": _cloud("google_account"),
    "aks-workload-identity": _cloud("azure_client"),
    "imds-credential": {"Pod > CloudIdentity": machine, "PodsLike > CloudIdentity": machine},
    "network-reach": {
        **dict.fromkeys(("Internet > Port", "Pod > Port", "PodsLike > Port"), to_port),
        **dict.fromkeys(("Port > Pod", "Port > PodsLike"), by_port),
    },
    "aws-auth-edit": {"id > Cluster": aws_auth},
    "confused-deputy": {
        "id > NewPod": both(deputy(*_POD_MAKERS), admitted),
        "id > ServiceAccount": deputy(*_DEPLOYERS, change=True),
        "id > Cluster": deputy(("velero.io", "restores")),
    },
    **{rule: _LOGS if rule == "escape-var-log" else _ESCAPE for rule in ESCAPES},
}


def shape(step: Step) -> str:
    """`Held+Power > Cluster`."""
    kinds = [fact.kind for fact in step.premises]
    before = ["id"] if len(kinds) == 1 and kinds[0].is_identity else sorted(kind.value for kind in kinds)
    return f"{'+'.join(before)} > {step.after.kind.value}"
