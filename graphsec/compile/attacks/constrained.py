"""Constrained impersonation (rbac.md S-72): one verb on one target as somebody else, without their other powers.

What comes of it is an identity that may do what both halves allow: the impersonator's `impersonate-on:<mode>:<verb>` rules and
the target's own. Guards inside the server (bind, escalate, approve, sign) are asked of the target alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphsec.compile.access import CLUSTER as AT_CLUSTER
from graphsec.compile.attacks.bundles import NOBODY, Content, Names, joined
from graphsec.compile.attacks.drawing import Drawing, identity
from graphsec.compile.attacks.gains import Gains, Holder, draw_gains
from graphsec.compile.attacks.principals import AUTHENTICATED, NODE_PREFIX, Roles, roles_at
from graphsec.model.attack import Fact, FactKind, Power
from graphsec.model.ref import Ref
from graphsec.rules import _powers as p

K = FactKind
RULE = "impersonate-constrained"
_GATES = ("FEATURE-GATES",)


def draw_constrained(drawing: Drawing) -> None:
    """All modes; below 1.36 the gate is off, and a cluster without such rules has nothing to draw."""
    if drawing.minor < p.CONSTRAINED_SINCE:
        return
    for mode, power in (("user-info", p.ACT_AS_USERS), ("serviceaccount", p.ACT_AS_ACCOUNTS)):
        for holder, scope, names in drawing.holders(power):
            for target in _targets(drawing, power, scope, names):
                _draw_target(drawing, mode, holder, target)
    for mode, power in (("arbitrary-node", p.ACT_AS_NODES), ("associated-node", p.ACT_AS_OWN_NODE)):
        for holder, _, names in drawing.holders(power):
            for node in _nodes(drawing, mode, holder, names):
                _draw_node(drawing, mode, holder, node)


def _targets(drawing: Drawing, power: Power, scope: str, names: Names) -> Iterator[Ref]:
    if power is p.ACT_AS_USERS:
        yield from (user for user in drawing.users if names is None or user.name in names)
        return
    for namespace, accounts in drawing.accounts.items():
        for account in accounts if scope in (AT_CLUSTER, namespace) else ():
            if names is None or account.name in names:
                yield account


def _draw_target(drawing: Drawing, mode: str, holder: Ref, target: Ref) -> None:
    """The powers that the impersonator's actions and the target's grants have in common, scope by scope."""
    mine = drawing.principals.united((holder, *drawing.principals.above(holder)))
    above = (AUTHENTICATED,) if target.kind == "User" else tuple(drawing.principals.above(target))
    theirs = drawing.principals.united((target, *above))
    fact = Fact(K.COMPOUND, f"{target} for the actions that {holder} may take as such")
    for supplied in (False, True) if drawing.supplied else (False,):
        rests = ("BOOTSTRAP-RBAC",) if supplied else ()
        for scope in {AT_CLUSTER, *mine.scopes, *theirs.scopes}:
            acting = _content(drawing, mine, scope, mode, supplied=supplied)
            held = _content(drawing, theirs, scope, "", supplied=supplied)
            common = _common(acting, held, drawing.powers.guards)
            found = drawing.powers.of_contents(common, at_cluster=scope == AT_CLUSTER)
            # A request is made as one other, so nobody is impersonated on top of that.
            powers = {power: reach for power, reach in found.items() if power not in _IMPERSONATING}
            if powers:
                drawing.clause(identity(holder), fact, RULE, _GATES)
                draw_gains(Holder(drawing, fact, scope, powers, rests), powers)


_IMPERSONATING = frozenset(
    {
        p.IMPERSONATE_USERS, p.IMPERSONATE_GROUPS, p.IMPERSONATE_ACCOUNTS,
        p.ACT_AS_USERS, p.ACT_AS_ACCOUNTS, p.ACT_AS_NODES, p.ACT_AS_OWN_NODE,
    }
)  # fmt: skip


def _content(drawing: Drawing, roles: Roles, scope: str, mode: str, *, supplied: bool = True) -> Content:
    wide, here = roles_at(roles, scope, supplied=supplied)
    return joined(drawing.powers.acting(role, mode) if mode else drawing.powers.content(role) for role in wide | here)


def _common(acting: Content, held: Content, guards: int) -> Content:
    """What both grant; of guards only the target's grants count."""
    named: dict[int, frozenset[str]] = {}
    for bit in {*acting.named, *held.named}:
        names = _both(acting.reach(bit) if not guards >> bit & 1 else None, held.reach(bit))
        if names:
            named[bit] = names
    return Content.of((acting.everywhere | guards) & held.everywhere, named)


def _both(one: Names, other: Names) -> frozenset[str]:
    if one is None:
        return other or NOBODY
    return one if other is None else one & other


def _nodes(drawing: Drawing, mode: str, holder: Ref, names: Names) -> Iterator[str]:
    known = sorted(drawing.inventory.node_names)
    if mode == "arbitrary-node":
        yield from (node for node in known if names is None or node in names or f"{NODE_PREFIX}{node}" in names)
        return
    if holder.kind != "ServiceAccount" or (names is not None and "*" not in names):
        return
    # A token bound to a node is one of a pod there, or one that the account may request for itself.
    own = drawing.requests_own_token(holder)
    for node in known:
        there = any(node in kind.nodes and kind.token for kind in drawing.inventory.kinds if kind.account == holder)
        if own or there:
            yield node


def _draw_node(drawing: Drawing, mode: str, holder: Ref, node: str) -> None:
    """What the Node authorizer lets a node do, as far as the impersonator may act: Secrets of its pods, tokens of their accounts."""
    mine = drawing.principals.united((holder, *drawing.principals.above(holder)))
    for kind in drawing.inventory.kinds:
        if node not in kind.nodes:
            continue
        acting = drawing.powers.of_contents(_content(drawing, mine, kind.namespace, mode), at_cluster=False)
        reads, tokens = _names(acting, p.READ_SECRETS), _names(acting, p.REQUEST_TOKENS)
        for used, name in kind.uses:
            if used == "Secret" and (reads is None or name in reads):
                drawing.clause(identity(holder), Fact(K.SECRET, name, kind.namespace), RULE, _GATES)
        if not kind.mirror and (tokens is None or kind.account.name in tokens):
            drawing.clause(identity(holder), identity(kind.account), RULE, _GATES)


def _names(powers: Gains, power: Power) -> Names:
    reach = powers.get(power)
    return reach[0][0] if reach else NOBODY
