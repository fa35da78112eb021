"""Cluster to attack graph: facts and clauses, one clause for each step of attacks.md §3.

Whoever holds a power in a scope leads to a hub of that scope, the hub to its objects: clauses grow with grants plus objects,
never with their product. Grants limited to names lead to the objects themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from graphsec.compile.access import CLUSTER as AT_CLUSTER
from graphsec.compile.attacks.bundles import EVERYTHING
from graphsec.compile.attacks.constrained import draw_constrained
from graphsec.compile.attacks.drawing import KUBELET, AttackGraph, Drawing, identity, kubelet
from graphsec.compile.attacks.gains import Gains, Holder, beyond, draw_gains
from graphsec.compile.attacks.hubs import (
    draw_changes,
    draw_clouds,
    draw_hubs,
    draw_links,
    draw_nodes,
    draw_pods,
    draw_secrets,
    draw_users,
)
from graphsec.compile.attacks.joins import draw_joins
from graphsec.compile.attacks.principals import (
    ANONYMOUS,
    AUTHENTICATED,
    NODE_PREFIX,
    NODES_GROUP,
    UNAUTHENTICATED,
    Roles,
    roles_at,
)
from graphsec.model.attack import ALL_SECRETS, CLUSTER, NODES, Fact, FactKind, Power
from graphsec.model.rbac import MASTERS_GROUP
from graphsec.model.ref import Ref
from graphsec.rules import _powers as p

K = FactKind
_NO_GAINS: Gains = {}


def draw(drawing: Drawing) -> AttackGraph:
    """The whole graph on an empty sheet."""
    for fact in (CLUSTER, NODES, ALL_SECRETS):
        drawing.fact(fact)
    _draw_admin(drawing)
    for subject in _identities(drawing):
        _draw_identity(drawing, subject)
    for user in drawing.principals.listed_users:
        _draw_member(drawing, user)
    _draw_kubelets(drawing)
    draw_changes(drawing)
    _draw_grants(drawing)
    # Grants that clauses of several premises make bring powers that feed such clauses again.
    size = -1
    while size != drawing.size:
        size = drawing.size
        draw_joins(drawing)
        draw_changes(drawing)
        _draw_grants(drawing)
    draw_constrained(drawing)
    _draw_grants(drawing)
    draw_hubs(drawing)
    draw_users(drawing)
    draw_secrets(drawing)
    draw_pods(drawing)
    draw_nodes(drawing)
    draw_clouds(drawing)
    draw_links(drawing)
    return drawing.freeze()


def _draw_admin(drawing: Drawing) -> None:
    """Who may do everything has everything; nothing else need be drawn for it."""
    rule = "cluster-admin-equivalent"
    for kind in (K.PODS, K.SECRETS, K.ACCOUNTS, K.USERS):
        drawing.clause(CLUSTER, drawing.hub(kind, AT_CLUSTER), rule)
    drawing.clause(CLUSTER, NODES, rule, ("SCHED",))
    for group in drawing.groups:
        drawing.clause(CLUSTER, identity(group), rule)
    for accounts in drawing.absent.values():
        for account in accounts:
            drawing.clause(CLUSTER, identity(account), rule)
    drawing.clause(identity(MASTERS_GROUP), CLUSTER, rule)


def _identities(drawing: Drawing) -> list[Ref]:
    """Every subject of a binding, every account, and the groups above them, each once."""
    principals, inventory = drawing.principals, drawing.inventory
    found: dict[Ref, None] = dict.fromkeys(principals.subjects())
    for accounts in drawing.accounts.values():
        found.update(dict.fromkeys(accounts))
    found.update(dict.fromkeys(kind.account for kind in inventory.kinds))
    found.update(dict.fromkeys((ANONYMOUS, UNAUTHENTICATED, AUTHENTICATED, NODES_GROUP)))
    for subject in list(found):
        found.update(dict.fromkeys(principals.above(subject)))
    return list(found)


def _draw_identity(drawing: Drawing, subject: Ref) -> None:
    fact = identity(subject)
    for parent in drawing.principals.parents(subject):
        drawing.clause(fact, identity(parent), "implicit-group")
    if subject == ANONYMOUS:
        drawing.clause(fact, identity(UNAUTHENTICATED), "implicit-group")
    above = tuple(drawing.principals.above(subject))
    if subject == MASTERS_GROUP:
        # Allowed everything before any authorizer runs; bindings add nothing to that (S-47).
        return
    if drawing.principals.own(subject).scopes:
        _draw_held(drawing, fact, (subject, *above), above)


def _draw_member(drawing: Drawing, user: str) -> None:
    """Somebody whom the membership file puts into groups is one identity with the grants of all of them."""
    subject = Ref("User", user)
    groups = drawing.principals.groups_of_user(user)
    fact = Fact(K.COMPOUND, user)
    for part in (subject, *groups):
        drawing.clause(fact, identity(part), "implicit-group")
    _draw_held(drawing, fact, (subject, *groups, AUTHENTICATED), (AUTHENTICATED,))


def _draw_kubelets(drawing: Drawing) -> None:
    """A kubelet is its user in `system:nodes`; what it may do of that, NodeRestriction limits."""
    parents = (NODES_GROUP, AUTHENTICATED)
    drawing.compounds[KUBELET] = (NODES_GROUP,)
    drawing.clause(KUBELET, identity(AUTHENTICATED), "implicit-group")
    _draw_held(drawing, KUBELET, parents, (AUTHENTICATED,), p.REFUSED_TO_KUBELETS)
    for user in drawing.users:
        if user.name.startswith(NODE_PREFIX) and drawing.principals.own(user).scopes:
            drawing.compounds[kubelet(user)] = (user, NODES_GROUP)
            _draw_held(drawing, kubelet(user), (user, *parents), parents, p.REFUSED_TO_KUBELETS)


def _draw_compound(drawing: Drawing, fact: Fact, groups: Iterable[Ref]) -> None:
    """An identity in several groups at once: their grants, and what only their union gives."""
    parts = list(groups)
    for group in parts:
        drawing.clause(fact, identity(group), "implicit-group")
    drawing.clause(fact, identity(AUTHENTICATED), "implicit-group")
    if len(parts) > 1:
        _draw_held(drawing, fact, (*parts, AUTHENTICATED), ())


def _draw_held(
    drawing: Drawing,
    fact: Fact,
    subjects: tuple[Ref, ...],
    above: tuple[Ref, ...],
    refused: Collection[Power] = (),
) -> None:
    """The powers of an identity that is all of ``subjects``, without those that ``above`` have by themselves and those that
    admission has ``refused`` it."""
    roles, inherited = drawing.principals.united(subjects), drawing.principals.united(above)
    wide = _draw_scope(drawing, fact, AT_CLUSTER, roles, inherited, _NO_GAINS, refused)
    if p.EVERYTHING in wide:
        return
    for scope in roles.scopes:
        if scope != AT_CLUSTER:
            _draw_scope(drawing, fact, scope, roles, inherited, wide, refused)


def _draw_scope(
    drawing: Drawing,
    fact: Fact,
    scope: str,
    roles: Roles,
    inherited: Roles,
    wide: Gains,
    refused: Collection[Power],
) -> Gains:
    """Draws what roles give in a scope beyond what is inherited and what holds in all namespaces; the sum of all."""
    layers = (False, True) if drawing.supplied else (False,)
    above = _NO_GAINS
    for supplied in layers:
        above = _merged(above, _powers(drawing, inherited, scope, supplied=supplied))
    found, elsewhere = _merged(wide, above), [wide, above]
    for supplied in layers:
        powers = _powers(drawing, roles, scope, supplied=supplied)
        if refused:
            powers = {power: reach for power, reach in powers.items() if power not in refused}
        fresh = {power: rest for power, reach in powers.items() if (rest := beyond(reach, found.get(power)))}
        rests = ("BOOTSTRAP-RBAC",) if supplied else ()
        draw_gains(Holder(drawing, fact, scope, powers, rests), fresh, elsewhere)
        found = _merged(found, fresh)
        elsewhere.append(powers)
    return found


def _powers(drawing: Drawing, roles: Roles, scope: str, *, supplied: bool) -> Gains:
    return drawing.powers.of(*roles_at(roles, scope, supplied=supplied))


def _draw_grants(drawing: Drawing) -> None:
    """Roles that any identity under control may be given, and identities in several groups at once."""
    while True:
        while drawing.new_compounds:
            _draw_compound(drawing, *drawing.new_compounds.pop())
        grants = drawing.take_grants()
        if not grants and not drawing.new_compounds:
            return
        for grant in grants:
            if grant.name == str(EVERYTHING):
                _draw_namespace_admin(drawing, grant)
                continue
            roles, here = drawing.roles_behind(grant), grant.namespace != AT_CLUSTER
            powers = drawing.powers.of(frozenset(), roles) if here else drawing.powers.of(roles)
            if powers:
                draw_gains(Holder(drawing, grant, grant.namespace, powers), powers)


def _draw_namespace_admin(drawing: Drawing, grant: Fact) -> None:
    """Everything in one namespace, its own Namespace object included (S-35)."""
    scope = grant.namespace
    for kind in (K.PODS, K.SECRETS, K.ACCOUNTS):
        drawing.clause(grant, drawing.hub(kind, scope), "rbac-grant")
    drawing.clause(grant, drawing.hub(K.NEW_POD, scope), "workload-create-as-sa", drawing.webhook)
    for power in (p.RELAX_NAMESPACE, p.CREATE_ACCOUNTS, p.EVICT_PODS, p.READ_LOGS):
        drawing.clause(grant, drawing.power(power, scope), "rbac-grant")


def _merged(one: Gains, other: Gains) -> Gains:
    if not other:
        return one
    if not one:
        return other
    found = dict(one)
    for power, reach in other.items():
        found[power] = (*found[power], *reach) if power in found else reach
    return found
