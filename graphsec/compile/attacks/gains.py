"""What the powers of one identity in one scope give: one table for single powers, one for those needed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from graphsec.compile.access import CLUSTER as AT_CLUSTER
from graphsec.compile.attacks.bundles import EVERYTHING, NOBODY, Names, Reach
from graphsec.compile.attacks.drawing import ALL_ROLES, ALL_SHOWN, Drawing, identity
from graphsec.compile.attacks.inventory import PodKind
from graphsec.compile.attacks.principals import NODE_PREFIX, NODES_GROUP
from graphsec.compile.pod_security import Level, violations
from graphsec.model import objects
from graphsec.model.attack import CLUSTER, NODES, Fact, FactKind, Power
from graphsec.model.ref import Ref
from graphsec.rules import _powers as p

K = FactKind
Gains = dict[Power, Reach]
Assumed = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """An identity with its powers in a scope, while its clauses are drawn; ``assumes`` is what its powers rest on."""

    drawing: Drawing
    fact: Fact
    scope: str
    powers: Gains
    assumes: Assumed = ()

    def gives(self, head: Fact, rule: str, assumes: Assumed = ()) -> None:
        self.drawing.clause(self.fact, head, rule, self.assumes + assumes)

    def names(self, power: Power) -> Names:
        """The names that a power reaches without further assumption; none without the power."""
        reach = self.powers.get(power)
        return reach[0][0] if reach and not reach[0][1] else NOBODY

    def holds(self, power: Power) -> bool:
        return self.names(power) is None or bool(self.names(power))


def draw_gains(holder: Holder, fresh: Gains, elsewhere: Sequence[Gains] = ({},)) -> None:
    """The clauses of the powers in ``fresh``, and of powers together that nothing of ``elsewhere`` has together: each of
    those is drawn by itself. Whoever may do everything in a scope needs no others."""
    if p.EVERYTHING in fresh and holder.fact.name != str(EVERYTHING):
        whole = CLUSTER if holder.scope == AT_CLUSTER else holder.drawing.grant(EVERYTHING, holder.scope)
        holder.gives(whole, "cluster-admin-equivalent" if whole is CLUSTER else "rbac-grant")
        return
    for power, reach in fresh.items():
        draw = _SINGLE.get(power)
        if draw is not None:
            for names, assumes in reach:
                draw(holder, power, names, assumes)
    for triggers, draw_all in _TOGETHER:
        held = {power: reach for power, reach in holder.powers.items() if power in triggers}
        if all(any(beyond(reach, known.get(power)) for power, reach in held.items()) for known in elsewhere):
            draw_all(holder)


def beyond(reach: Reach, known: Reach | None) -> Reach:
    """What of a reach no known one holds with as few assumptions."""
    if known is None:
        return reach
    found = []
    for names, needed in reach:
        rest = names
        for others, other_needed in known:
            if not set(other_needed) <= set(needed):
                continue
            if others is None:
                rest = frozenset()
            elif rest is not None:
                rest = rest - others
        if rest is None or rest:
            found.append((rest, needed))
    return tuple(found)


Gain = Callable[[Holder, Power, Names, Assumed], None]


def _created(kind: str) -> Gain:
    """A pod of one's own; a name that is limited must be free, for an apply of another one only changes what is there."""

    def draw(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
        drawing, rule = holder.drawing, "workload-create-as-sa"
        scopes: Iterable[str] = (holder.scope,)
        if names is not None:
            places = drawing.inventory.namespaces if holder.scope == AT_CLUSTER else scopes
            taken = [place for place in places if names <= drawing.inventory.names(kind, place)]
            scopes = [place for place in places if place not in taken] if taken else scopes
        for scope in scopes:
            holder.gives(drawing.hub(K.NEW_POD, scope), rule, assumes + drawing.webhook)

    return draw


def _objects(hub: FactKind, single: FactKind, rule: str, always: Assumed = ()) -> Gain:
    """All objects of a scope by their hub; named ones each by itself, where there is one of that name."""

    def draw(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
        if names is None:
            holder.gives(holder.drawing.hub(hub, holder.scope), rule, assumes + always)
        for name in sorted(names or ()):
            for ref in holder.drawing.called(single, name, holder.scope):
                rests = holder.drawing.accounts[ref.namespace or ""].get(ref, ()) if single is K.ACCOUNT else ()
                holder.gives(Fact(single, name, ref.namespace or ""), rule, assumes + always + rests)

    return draw


def _kept(*, some: bool = False) -> Gain:
    """The power itself, for clauses with more than one premise; with ``some`` any one name is as good as all."""

    def draw(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
        for name in [""] if names is None or some else sorted(names):
            holder.gives(holder.drawing.power(power, holder.scope, name), "rbac-grant", assumes)

    return draw


def _judged(rule: str, hub: FactKind) -> Gain:
    """Changes of a pod that make Pod Security judge it again, as a whole."""

    def draw(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
        drawing = holder.drawing
        needed = assumes + drawing.webhook
        if names is None:
            holder.gives(drawing.hub(hub, holder.scope), rule, needed)
        for name in sorted(names or ()):
            # For whoever relaxes the namespace first.
            holder.gives(drawing.power(power, holder.scope, name), "rbac-grant", assumes)
            for ref in drawing.called(K.POD, name, holder.scope):
                for head, rests in changed(drawing, drawing.inventory.kind_of[ref], ref, hub):
                    holder.gives(head, rule, needed + rests)

    return draw


def changed(
    drawing: Drawing, kind: PodKind, pod: Ref | None, hub: FactKind, *, relaxed: bool = False
) -> Iterator[tuple[Fact, Assumed]]:
    """What changing the image of a pod, or a container added to it, gives: (fact, what it rests on).

    ``pod`` None stands for any one of its kind; ``relaxed``: no Pod Security label is in the way. A mirror pod takes no
    ephemeral container (rbac.md S-39).
    """
    if not kind.live or (hub is K.DEBUG and kind.mirror):
        return
    rests = () if relaxed else rejudged(drawing, kind)
    if rests is not None:
        yield (pod_fact(kind, pod), rests)
    if rests is not None and hub is K.DEBUG:
        # Its environment may come from any Secret of the namespace, which the node then fetches.
        yield (drawing.hub(K.SECRETS, kind.namespace), rests)
    host = () if relaxed else drawing.host_fields(kind.namespace)
    if hub is K.DEBUG and host is not None:
        for node in kind.nodes if pod is None else (kind.node_of(pod),):
            yield (Fact(K.NODE, node) if node else NODES, host)


def pod_fact(kind: PodKind, pod: Ref | None = None) -> Fact:
    """Code in a certain pod, or in one of a kind with several."""
    if pod is None and len(kind.members) > 1:
        return Fact(K.PODS_LIKE, kind.ref.name, kind.namespace)
    found = pod or kind.ref
    return Fact(K.POD, found.name, kind.namespace, "" if found.kind == "Pod" else found.kind)


def rejudged(drawing: Drawing, kind: PodKind) -> Assumed | None:
    """What a pod's passing Pod Security again rests on; None where its namespace refuses it as it stands."""
    found = drawing.inventory.enforcements.get(kind.namespace)
    pod = objects.Pod(metadata=objects.PodMetadata(), spec=kind.spec)
    if found is None or not found.written:
        return ("PSA",) if violations(pod, Level.BASELINE, drawing.minor) else ()
    minor = drawing.minor if found.minor is None else min(found.minor, drawing.minor)
    return None if found.level is not Level.PRIVILEGED and violations(pod, found.level, minor) else ()


def _workload(kind: str) -> Gain:
    """A template that is changed makes pods with any account and volume; the controller must be there."""

    def draw(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
        drawing = holder.drawing
        needed = assumes + drawing.webhook
        if names is None and holder.scope == AT_CLUSTER:
            holder.gives(drawing.power(power, AT_CLUSTER), "rbac-grant", assumes)
            return
        there = [ref for ref in drawing.inventory.workloads(kind, holder.scope) if names is None or ref.name in names]
        for namespace in dict.fromkeys(ref.namespace or "" for ref in there):
            holder.gives(drawing.hub(K.NEW_POD, namespace), "workload-update", needed)
        if not there and holder.scope != AT_CLUSTER and not drawing.inventory.listed(kind):
            holder.gives(drawing.hub(K.NEW_POD, holder.scope), "workload-update", (*needed, "WORKLOAD-EXISTS"))

    return draw


def _proxy(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    drawing = holder.drawing
    if names is None:
        holder.gives(drawing.hub(K.PODS, AT_CLUSTER), "nodes-proxy-exec", assumes)
    known = drawing.inventory.node_names
    for name in sorted((names or NOBODY) & known):
        holder.gives(drawing.hub(K.NODE_PODS, name)._replace(name=name, namespace=""), "nodes-proxy-exec", assumes)


def _read_secrets(rule: str) -> Gain:
    existing = _objects(K.SECRETS, K.SECRET, rule)

    def draw(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
        existing(holder, power, names, assumes)
        for name in sorted(names or ()):
            # A Secret that is not there yet may be made under that name.
            holder.gives(holder.drawing.power(p.READ_SECRETS, holder.scope, name), rule, assumes)

    return draw


def _request_tokens(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    _objects(K.ACCOUNTS, K.ACCOUNT, "token-request")(holder, power, names, assumes)
    for name in sorted(names or ()):
        holder.gives(holder.drawing.power(power, holder.scope, name), "rbac-grant", assumes)


def _impersonate_accounts(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    """An account need not exist to be impersonated."""
    drawing = holder.drawing
    _objects(K.ACCOUNTS, K.ACCOUNT, "impersonate")(holder, power, names, assumes)
    absent = drawing.absent
    for namespace in absent if holder.scope == AT_CLUSTER else {holder.scope} & absent.keys():
        for account in absent[namespace]:
            if names is None or account.name in names:
                holder.gives(identity(account), "impersonate", assumes)


def _impersonate_users(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    drawing = holder.drawing
    if names is None:
        holder.gives(drawing.hub(K.USERS, AT_CLUSTER), "impersonate", assumes)
    for name in sorted(names or ()):
        user = Ref("User", name)
        if user in drawing.known_users:
            holder.gives(identity(user), "impersonate", assumes)


def _relax(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    """The namespace of a request on a Namespace is its own (S-35), so a grant in another one serves nothing."""
    drawing = holder.drawing
    if names is None:
        holder.gives(drawing.power(power, holder.scope), "rbac-grant", assumes)
    for name in sorted(names or ()):
        if holder.scope in (AT_CLUSTER, name):
            holder.gives(drawing.power(power, name), "rbac-grant", assumes)


def _noted(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    """For ``constrained``, which needs to know who holds both halves."""
    fact = holder.fact
    if fact.kind in (K.USER, K.ACCOUNT, K.GROUP):
        holder.drawing.note_holder(power, Ref(fact.kind.value, fact.name, fact.namespace or None), holder.scope, names)


def _aws_auth(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    if holder.scope in (AT_CLUSTER, "kube-system") and holder.drawing.inventory.has_aws_auth:
        holder.gives(CLUSTER, "aws-auth-edit", (*assumes, "CLOUD-TRUST"))


def _deputies(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    drawing = holder.drawing
    for account in drawing.inventory.deputies:
        holder.gives(identity(account), "confused-deputy", (*assumes, "DEPUTY-CONFIG"))


def _deputy_pods(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    pod = holder.drawing.hub(K.NEW_POD, holder.scope)
    holder.gives(pod, "confused-deputy", (*assumes, *holder.drawing.webhook, "DEPUTY-CONFIG"))


def _restore(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    """A restore creates whatever the backup holds, RBAC objects too, as the controller."""
    holder.gives(CLUSTER, "confused-deputy", (*assumes, "DEPUTY-CONFIG"))


def _cordon(holder: Holder, power: Power, names: Names, assumes: Assumed) -> None:
    """Closing nodes by name is enough where at most one is left open: that one, if the attacker has it."""
    drawing = holder.drawing
    if names is None:
        holder.gives(drawing.power(power, holder.scope), "rbac-grant", assumes)
        return
    open_ = drawing.inventory.node_names - names
    for node in open_ if len(open_) == 1 else ():
        holder.gives(drawing.power(power, holder.scope, node), "rbac-grant", assumes)


_SINGLE: dict[Power, Gain] = {
    **{power: _created(kind) for kind, power in p.CREATE.items()},
    p.EXEC: _objects(K.PODS, K.POD, "pod-exec"),
    p.ATTACH: _objects(K.PODS, K.POD, "pod-attach", ("RUNTIME",)),
    p.CHANGE_PODS: _judged("pod-image-replace", K.NEW_IMAGES),
    p.CHANGE_EPHEMERAL: _judged("ephemeral-container", K.DEBUG),
    **{power: _workload(kind) for kind, power in p.CHANGE.items()},
    p.PROXY_NODES: _proxy,
    p.READ_SECRETS: _read_secrets("secret-read"),
    p.WRITE_OUT_SECRETS: _read_secrets("secret-read-by-write"),
    p.REQUEST_TOKENS: _request_tokens,
    p.IMPERSONATE_ACCOUNTS: _impersonate_accounts,
    p.IMPERSONATE_USERS: _impersonate_users,
    p.RELAX_NAMESPACE: _relax,
    p.CREATE_SECRETS: _kept(),
    p.CHANGE_SECRETS: _kept(),
    p.CREATE_ACCOUNTS: _kept(),
    p.CREATE_NAMESPACES: _kept(),
    p.CREATE_VOLUMES: _kept(some=True),
    p.REQUEST_CLIENTS: _kept(),
    p.REQUEST_KUBELETS: _kept(),
    p.READ_REQUESTS: _kept(),
    p.APPROVE_CLIENTS: _kept(),
    p.SIGN_CLIENTS: _kept(),
    p.APPROVE_KUBELETS: _kept(),
    p.NODE_CLIENT: _kept(),
    p.WRITE_MUTATING: _kept(some=True),
    p.WRITE_MUTATING_POLICIES: _kept(some=True),
    p.CREATE_POD_TEMPLATES: _deputy_pods,
    p.DEPLOY: _deputies,
    p.RESTORE_BACKUPS: _restore,
    p.AWS_AUTH: _aws_auth,
    p.ACT_AS_USERS: _noted,
    p.ACT_AS_ACCOUNTS: _noted,
    p.ACT_AS_NODES: _noted,
    p.ACT_AS_OWN_NODE: _noted,
    p.READ_LOGS: _kept(),
    p.READ_NODE_LOGS: _kept(),
    p.EVICT_PODS: _kept(),
    p.REMOVE_NODES: _kept(),
    p.CORDON_NODES: _cordon,
}


# -- powers that one identity needs together (attacks.md §2.9 RQ) --------------------------------------------------


def _bind(holder: Holder) -> None:
    if holder.scope == AT_CLUSTER:
        if holder.holds(p.CREATE_CLUSTERROLEBINDINGS):
            _bindable(holder, AT_CLUSTER)
        if holder.holds(p.CREATE_ROLEBINDINGS) and holder.names(p.BIND_CLUSTERROLES) != NOBODY:
            for namespace in holder.drawing.inventory.namespaces:
                _bindable(holder, namespace)
        elif holder.holds(p.CREATE_ROLEBINDINGS) and holder.holds(p.BIND_ROLES):
            for namespace in holder.drawing.roles_by_namespace:
                _bindable(holder, namespace)
    elif holder.holds(p.CREATE_ROLEBINDINGS):
        _bindable(holder, holder.scope)


def _bindable(holder: Holder, scope: str) -> None:
    drawing = holder.drawing
    kinds = (("ClusterRole", p.BIND_CLUSTERROLES, None), ("Role", p.BIND_ROLES, scope))
    for kind, power, namespace in kinds[: 1 if scope == AT_CLUSTER else 2]:
        names = holder.names(power)
        for name in sorted(names or ()):
            role = Ref(kind, name, namespace)
            holder.gives(drawing.grant(role, scope), "role-bind", drawing.rests_on(role))
        if names is None:
            holder.gives(drawing.grant(Ref(kind, ALL_SHOWN, namespace), scope), "role-bind")
            if drawing.supplied:
                holder.gives(drawing.grant(Ref(kind, ALL_ROLES, namespace), scope), "role-bind", ("BOOTSTRAP-RBAC",))


def _change_bindings(holder: Holder) -> None:
    """The roleRef stands, so ``bind`` must hold for it; whoever may also create has that by ``_bind``."""
    drawing = holder.drawing
    scopes = drawing.bindings_by_scope if holder.scope == AT_CLUSTER else (holder.scope,)
    for scope in scopes:
        wide = scope == AT_CLUSTER
        if holder.holds(p.CREATE_CLUSTERROLEBINDINGS if wide else p.CREATE_ROLEBINDINGS):
            continue
        names = holder.names(p.CHANGE_CLUSTERROLEBINDINGS if wide else p.CHANGE_ROLEBINDINGS)
        for binding in drawing.bindings_by_scope.get(scope, ()) if names is None or names else ():
            power = p.BIND_CLUSTERROLES if binding.role.kind == "ClusterRole" else p.BIND_ROLES
            if _has(names, binding.ref.name) and _has(holder.names(power), binding.role.name):
                rests = drawing.rests_on(binding.role, binding.ref)
                holder.gives(drawing.grant(binding.role, scope), "binding-update", rests)


def _has(names: Names, name: str) -> bool:
    return names is None or name in names


def _rewrite(holder: Holder) -> None:
    """What matters is whether somebody under control is bound to the role."""
    drawing = holder.drawing
    names = holder.names(p.REWRITE_CLUSTERROLES)
    if names is None:
        # That is held by a ClusterRole bound at cluster scope, which can be rewritten as well.
        holder.gives(CLUSTER, "role-escalate")
    for name in sorted(names or ()):
        role = Ref("ClusterRole", name)
        if role in drawing.access.roles:
            rests = drawing.rests_on(role)
            holder.gives(drawing.power(p.REWRITE_CLUSTERROLES, AT_CLUSTER, str(role)), "rbac-grant", rests)
    names = holder.names(p.REWRITE_ROLES)
    if names is None:
        holder.gives(drawing.power(p.REWRITE_ROLES, holder.scope), "rbac-grant")
    for name in sorted(names or ()):
        for namespace in drawing.roles_by_namespace if holder.scope == AT_CLUSTER else (holder.scope,):
            role = Ref("Role", name, namespace)
            if role in drawing.access.roles:
                holder.gives(drawing.power(p.REWRITE_ROLES, namespace, str(role)), "rbac-grant")


def _mint(holder: Holder) -> None:
    """Both halves in one hand: a token Secret that one writes and reads (attacks.md §2.9)."""
    reads = holder.names(p.READ_SECRETS) is None or holder.names(p.WRITE_OUT_SECRETS) is None
    if holder.names(p.CREATE_SECRETS) is None and reads:
        holder.gives(holder.drawing.hub(K.ACCOUNTS, holder.scope), "token-secret-mint")


def _author(holder: Holder) -> None:
    for power in (p.AUTHOR_CLUSTERROLES, p.AUTHOR_ROLES):
        names = holder.names(power)
        for name in [""] if names is None else sorted(names):
            holder.gives(holder.drawing.power(power, holder.scope, name), "rbac-grant")


def _impersonate_groups(holder: Holder) -> None:
    """Groups need a user or an account in the request; all that may be had together make one identity."""
    drawing = holder.drawing
    names = holder.names(p.IMPERSONATE_GROUPS)
    if names == NOBODY or not (holder.holds(p.IMPERSONATE_USERS) or holder.holds(p.IMPERSONATE_ACCOUNTS)):
        return
    groups = [group for group in drawing.groups if _has(names, group.name)]
    if groups:
        words = "any groups" if names is None else ", ".join(group.name for group in groups)
        fact = Fact(K.COMPOUND, f"somebody in {words}")
        holder.gives(fact, "impersonate")
        drawing.compound(fact, groups)
    users = holder.names(p.IMPERSONATE_USERS)
    if _has(names, NODES_GROUP.name):
        for node in sorted(drawing.inventory.node_names):
            if _has(users, f"{NODE_PREFIX}{node}"):
                holder.gives(Fact(K.NODE_IDENTITY, node), "impersonate")


_BINDING = frozenset({p.CREATE_ROLEBINDINGS, p.CREATE_CLUSTERROLEBINDINGS, p.BIND_ROLES, p.BIND_CLUSTERROLES})
_TOGETHER: tuple[tuple[frozenset[Power], Callable[[Holder], None]], ...] = (
    (_BINDING, _bind),
    (_BINDING | {p.CHANGE_ROLEBINDINGS, p.CHANGE_CLUSTERROLEBINDINGS}, _change_bindings),
    (frozenset({p.REWRITE_CLUSTERROLES, p.REWRITE_ROLES}), _rewrite),
    (frozenset({p.CREATE_SECRETS, p.READ_SECRETS, p.WRITE_OUT_SECRETS}), _mint),
    (frozenset({p.AUTHOR_CLUSTERROLES, p.AUTHOR_ROLES}), _author),
    (frozenset({p.IMPERSONATE_GROUPS, p.IMPERSONATE_USERS, p.IMPERSONATE_ACCOUNTS}), _impersonate_groups),
)
