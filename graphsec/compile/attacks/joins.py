"""Clauses with more than one premise: what an attacker needs several things for, which different identities may bring.

attacks.md §2.9 AT. Premises that are powers may come from a wider grant: all names stand for each, all namespaces for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphsec.compile.access import CLUSTER as AT_CLUSTER
from graphsec.compile.attacks.bundles import EVERYTHING
from graphsec.compile.attacks.drawing import ALL_ROLES, ALL_SHOWN, Drawing, holders, identity, parse_role
from graphsec.compile.attacks.gains import changed
from graphsec.compile.attacks.inventory import BOOTSTRAP_TOKEN, TOKEN_SECRET, PodKind
from graphsec.model.attack import CLUSTER, NODES, SOME_NODE, SOME_POD, Fact, FactKind, Power
from graphsec.model.ref import Ref
from graphsec.rules import _powers as p

K = FactKind
#: What a certificate for any name and groups makes of its holder; system:masters is refused.
ANYBODY = Fact(K.COMPOUND, "any subject by certificate")


def _premise(drawing: Drawing, power: Power, scope: str, name: str = "") -> Fact | None:
    """The fact that a power is held for a name in a scope, fed by the wider ones; None if nobody can hold it."""
    known = drawing.held(power)
    wider = [
        pair for pair in ((scope, ""), (AT_CLUSTER, name), (AT_CLUSTER, "")) if pair != (scope, name) and pair in known
    ]
    if not wider and (scope, name) not in known:
        return None
    fact = drawing.power(power, scope, name)
    for wide_scope, wide_name in dict.fromkeys(wider):
        drawing.clause(Fact(K.POWER, wide_name, wide_scope, power.id), fact, "containment")
    return fact


def _join(drawing: Drawing, premises: Iterable[Fact | None], head: Fact, rule: str, *assumes: str) -> None:
    """Nothing where one of the premises cannot be."""
    body = list(premises)
    if None not in body:
        drawing.clause([fact for fact in body if fact is not None], head, rule, assumes)


def draw_joins(drawing: Drawing) -> None:
    """All of them. Of GRANT facts that they make the powers are still to be drawn."""
    for join in (
        _made_pods,
        _debugged,
        _bootstrap,
        _tokens,
        _squats,
        _rewritten,
        _authored,
        _aggregated,
        _certificates,
        _volumes,
        _relaxed,
        _later,
        _stolen,
    ):
        join(drawing)


def _hub(drawing: Drawing, kind: FactKind, scope: str) -> Fact | None:
    """The hub of a namespace if anybody has it or that of all namespaces."""
    if drawing.has_hub(kind, scope):
        return Fact(kind, "", scope)
    return drawing.hub(kind, scope) if drawing.has_hub(kind, AT_CLUSTER) else None


def _tokens(drawing: Drawing) -> None:
    """token-secret-mint: a token Secret that one writes is filled in for the account that it names (S-90)."""
    rule = "token-secret-mint"
    created, read = drawing.held(p.CREATE_SECRETS), drawing.held(p.READ_SECRETS)
    scopes = {scope for scope, _ in created} | {scope for scope, _ in read}
    if (AT_CLUSTER, "") in created:
        scopes.update(drawing.hubs(K.SECRETS))
    for scope, name in sorted(read):
        # Which name is no matter, so that names and namespaces are not multiplied.
        for place in _free(drawing, name, scope) if name else ():
            reading = drawing.power(p.READ_SECRETS, scope, name)
            drawing.clause(reading, drawing.power(p.READ_FREE, place), "containment")
            scopes.add(place)
    for scope in sorted(scopes):
        create = _premise(drawing, p.CREATE_SECRETS, scope)
        accounts = drawing.hub(K.ACCOUNTS, scope)
        _join(drawing, (create, _hub(drawing, K.SECRETS, scope)), accounts, rule)
        _join(drawing, (create, _premise(drawing, p.READ_FREE, scope)), accounts, rule)
    for scope, name in sorted(created):
        # A creating apply has a name, and the answer to its patch holds the Secret.
        for place in _free(drawing, name, scope) if name else ():
            made = _premise(drawing, p.CREATE_SECRETS, place, name)
            _join(drawing, (made,), drawing.hub(K.ACCOUNTS, place), rule)
    if drawing.held(p.CHANGE_SECRETS):
        for ref, loaded in drawing.inventory.secrets.items():
            if loaded.body.type == TOKEN_SECRET:
                namespace = ref.namespace or ""
                change = _premise(drawing, p.CHANGE_SECRETS, namespace, ref.name)
                secret = Fact(K.SECRET, ref.name, namespace)
                _join(drawing, (change, secret), drawing.hub(K.ACCOUNTS, namespace), rule)


def _made_pods(drawing: Drawing) -> None:
    """workload-create-as-sa, workload-create-mounts-data: a pod of one's own takes any account and any Secret."""
    for scope in drawing.hubs(K.NEW_POD):
        pod = Fact(K.NEW_POD, "", scope)
        drawing.clause(pod, drawing.hub(K.ACCOUNTS, scope), "workload-create-as-sa")
        drawing.clause(pod, drawing.hub(K.SECRETS, scope), "workload-create-mounts-data")


def _debugged(drawing: Drawing) -> None:
    """ephemeral-container: Secrets in its environment, where some pod can take one."""
    scopes = drawing.hubs(K.DEBUG)
    for namespace, kinds in drawing.kinds_by_namespace.items():
        if AT_CLUSTER not in scopes and namespace not in scopes:
            continue
        for kind in kinds:
            for head, rests in changed(drawing, kind, None, K.DEBUG):
                if head.kind is K.SECRETS:
                    drawing.clause(drawing.hub(K.DEBUG, namespace), head, "ephemeral-container", rests)


def _free(drawing: Drawing, name: str, scope: str) -> list[str]:
    """Where a Secret of that name can be made: the scope as a whole, or the namespaces of it that have none."""
    taken = {ref.namespace for ref in drawing.called(K.SECRET, name, scope)}
    if not taken:
        return [scope]
    return [place for place in drawing.inventory.namespaces if place not in taken] if scope == AT_CLUSTER else []


def _bootstrap(drawing: Drawing) -> None:
    """bootstrap-token: whoever writes or reads such a Secret joins as a node that is not there yet."""
    group = identity(Ref("Group", "system:bootstrappers"))
    create = _premise(drawing, p.CREATE_SECRETS, "kube-system")
    _join(drawing, (create,), group, "bootstrap-token", "BOOTSTRAP-AUTH")
    for scope, name in list(drawing.held(p.CREATE_SECRETS)):
        if scope in (AT_CLUSTER, "kube-system") and name.startswith("bootstrap-token-"):
            fact = drawing.power(p.CREATE_SECRETS, scope, name)
            drawing.clause(fact, group, "bootstrap-token", ("BOOTSTRAP-AUTH",))
    for ref, loaded in drawing.inventory.secrets.items():
        if loaded.body.type == BOOTSTRAP_TOKEN and ref.namespace == "kube-system":
            secret = Fact(K.SECRET, ref.name, "kube-system")
            drawing.clause(secret, group, "bootstrap-token", ("BOOTSTRAP-AUTH",))


def _squats(drawing: Drawing) -> None:
    """sa-squat, namespace-squat: an account that a binding waits for, made by the attacker."""
    here = frozenset(drawing.inventory.namespaces)
    for namespace, accounts in drawing.absent.items():
        absent = namespace not in here
        for account in accounts:
            scope = AT_CLUSTER if absent else namespace
            make = _premise(drawing, p.CREATE_ACCOUNTS, scope, account.name) or _premise(
                drawing, p.CREATE_ACCOUNTS, scope
            )
            first = [_premise(drawing, p.CREATE_NAMESPACES, AT_CLUSTER, namespace)] if absent else []
            rule = "namespace-squat" if absent else "sa-squat"
            head = identity(account)
            _join(drawing, (*first, make, _hub(drawing, K.ACCOUNTS, scope)), head, rule)
            token = _premise(drawing, p.REQUEST_TOKENS, scope, account.name)
            _join(drawing, (*first, make, token), head, rule)


def _held(drawing: Drawing, role: Ref, scope: str) -> Fact:
    """That an identity under control is bound to the role, or may bind it."""
    fact = Fact(K.HELD, str(role), scope)
    if fact not in drawing:
        for binding in drawing.bindings_by_scope.get(scope, ()):
            if binding.role == role:
                rests = drawing.rests_on(binding.ref)
                for subject in binding.subjects:
                    for holder in holders(subject):
                        drawing.clause(holder, fact, "rbac-grant", rests)
    grant = Fact(K.GRANT, str(role), scope)
    if grant in drawing:
        drawing.clause(grant, fact, "rbac-grant")
    return fact


def _scopes_of(drawing: Drawing, role: Ref) -> Iterator[str]:
    """The scopes in which a role is bound or may be."""
    if role.namespace:
        yield role.namespace
        return
    for scope, bindings in drawing.bindings_by_scope.items():
        if any(binding.role == role for binding in bindings) or Fact(K.GRANT, str(role), scope) in drawing:
            yield scope
    for scope in (AT_CLUSTER, *drawing.inventory.namespaces):
        if scope not in drawing.bindings_by_scope and Fact(K.GRANT, str(role), scope) in drawing:
            yield scope


def _everything(drawing: Drawing, scope: str) -> Fact:
    return CLUSTER if scope == AT_CLUSTER else drawing.grant(EVERYTHING, scope)


def _rewritten(drawing: Drawing) -> None:
    """role-escalate: a role that may be rewritten and that somebody under control is bound to."""
    for _, name in sorted(drawing.held(p.REWRITE_CLUSTERROLES)):
        role = Ref("ClusterRole", name.removeprefix("ClusterRole/"))
        for scope in list(_scopes_of(drawing, role)):
            power = drawing.power(p.REWRITE_CLUSTERROLES, AT_CLUSTER, name)
            _join(drawing, (power, _held(drawing, role, scope)), _everything(drawing, scope), "role-escalate")
    if not drawing.held(p.REWRITE_ROLES):
        return
    for namespace, roles in drawing.roles_by_namespace.items():
        for role in roles:
            power_or_none = _premise(drawing, p.REWRITE_ROLES, namespace, str(role))
            if power_or_none is not None:
                premises = (power_or_none, _held(drawing, role, namespace))
                _join(drawing, premises, _everything(drawing, namespace), "role-escalate")


def _authored(drawing: Drawing) -> None:
    """dangling-role-ref, role-bind: a role that is not there, written by the attacker, for a binding that waits for it."""
    for scope, bindings in drawing.bindings_by_scope.items():
        for role in dict.fromkeys(binding.role for binding in bindings):
            if role not in drawing.access.roles:
                author = _author(drawing, role, scope)
                if author is not None:
                    premises = (author, _held(drawing, role, scope))
                    _join(drawing, premises, _everything(drawing, scope), "dangling-role-ref")
    for scope in (AT_CLUSTER, *drawing.inventory.namespaces):
        for grant in list(drawing.grants_in(scope)):
            role = parse_role(grant.name)
            if role.name in (ALL_SHOWN, ALL_ROLES):
                role = Ref(role.kind, "", role.namespace)
            if role not in drawing.access.roles and role != EVERYTHING:
                _join(drawing, (_author(drawing, role, scope), grant), _everything(drawing, scope), "role-bind")


def _author(drawing: Drawing, role: Ref, scope: str) -> Fact | None:
    """Writing a role of that name with any rules; the empty name is any."""
    if role.kind == "ClusterRole":
        return _premise(drawing, p.AUTHOR_CLUSTERROLES, AT_CLUSTER, role.name)
    return _premise(drawing, p.AUTHOR_ROLES, scope, role.name) if role.kind == "Role" and scope else None


def _aggregated(drawing: Drawing) -> None:
    """aggregation-label: rules under a label that an aggregated role selects reach everybody who is bound to it."""
    author = Fact(K.POWER, "", "", "feed aggregated clusterroles")
    for scope, name in drawing.held(p.AUTHOR_CLUSTERROLES):
        if not name or Ref("ClusterRole", name) not in drawing.access.roles:
            drawing.clause(drawing.power(p.AUTHOR_CLUSTERROLES, scope, name), author, "containment")
    for scope, name in drawing.held(p.REWRITE_CLUSTERROLES):
        drawing.clause(drawing.power(p.REWRITE_CLUSTERROLES, scope, name), author, "containment")
    if author not in drawing:
        return
    aggregated = {Ref("ClusterRole", name) for name in drawing.aggregated}
    for scope, bindings in drawing.bindings_by_scope.items():
        for role in dict.fromkeys(binding.role for binding in bindings if binding.role in aggregated):
            rests = drawing.rests_on(role)
            premises = (author, _held(drawing, role, scope))
            _join(drawing, premises, _everything(drawing, scope), "aggregation-label", *rests)


def _certificates(drawing: Drawing) -> None:
    """csr-client-cert, csr-sign, kubelet-client-csr: the three requests are about one object, so their names must agree."""
    powers = (
        p.REQUEST_CLIENTS,
        p.REQUEST_KUBELETS,
        p.READ_REQUESTS,
        p.APPROVE_CLIENTS,
        p.SIGN_CLIENTS,
        p.NODE_CLIENT,
        p.APPROVE_KUBELETS,
    )
    names = sorted({name for power in powers for _, name in drawing.held(power)} | {""})
    for name in names:
        request, as_kubelet, read, approve, sign, client, kubelet = (
            _premise(drawing, power, AT_CLUSTER, name) for power in powers
        )
        _join(drawing, (request, read, approve), ANYBODY, "csr-client-cert")
        _join(drawing, (request, read, sign), ANYBODY, "csr-sign", "CA-KEY")
        for node in sorted(drawing.inventory.node_names):
            head = Fact(K.NODE_IDENTITY, node)
            _join(drawing, (client, read), head, "kubelet-client-csr", "BOOTSTRAP-AUTH")
            _join(drawing, (as_kubelet, read, kubelet), head, "kubelet-client-csr")
    if ANYBODY not in drawing:
        return
    groups = [group for group in drawing.groups if group.name != "system:masters"]
    drawing.compound(ANYBODY, groups)
    drawing.clause(ANYBODY, drawing.hub(K.USERS, AT_CLUSTER), "csr-client-cert")
    drawing.clause(ANYBODY, drawing.hub(K.ACCOUNTS, AT_CLUSTER), "csr-client-cert")
    for accounts in drawing.absent.values():
        for account in accounts:
            drawing.clause(ANYBODY, identity(account), "csr-client-cert")
    for node in sorted(drawing.inventory.node_names):
        drawing.clause(ANYBODY, Fact(K.NODE_IDENTITY, node), "csr-client-cert")


def _volumes(drawing: Drawing) -> None:
    """pv-hostpath: a volume that is a path on the node, and a pod whose generic ephemeral volume claims it."""
    if drawing.inventory.free_volume is not None:
        drawing.clause(SOME_POD, NODES, "pv-claim-available", ("SCHED",))
    for scope, name in list(drawing.held(p.CREATE_VOLUMES)):
        drawing.clause([drawing.power(p.CREATE_VOLUMES, scope, name), SOME_POD], NODES, "pv-hostpath", ("SCHED",))


def _relaxed(drawing: Drawing) -> None:
    """psa-label-relax: the label that forbids something is removed, then a pod is made or changed."""
    if not drawing.held(p.RELAX_NAMESPACE):
        return
    for namespace in drawing.inventory.namespaces:
        relax = _premise(drawing, p.RELAX_NAMESPACE, namespace)
        if relax is None or drawing.host_fields(namespace) == ():
            continue
        pod = _hub(drawing, K.NEW_POD, namespace)
        _join(drawing, (relax, pod), drawing.hub(K.NEW_HOST_POD, namespace), "psa-label-relax")
        for hub in (K.NEW_IMAGES, K.DEBUG):
            change = _hub(drawing, hub, namespace)
            for kind in drawing.kinds_by_namespace.get(namespace, ()) if change is not None else ():
                for head in _only_relaxed(drawing, kind, None, hub):
                    _join(drawing, (relax, change), head, "psa-label-relax")
    for power, hub in ((p.CHANGE_PODS, K.NEW_IMAGES), (p.CHANGE_EPHEMERAL, K.DEBUG)):
        for scope, name in list(drawing.held(power)):
            for ref in drawing.called(K.POD, name, scope):
                relax = _premise(drawing, p.RELAX_NAMESPACE, ref.namespace or "")
                for head in _only_relaxed(drawing, drawing.inventory.kind_of[ref], ref, hub) if relax else ():
                    premises = (relax, drawing.power(power, scope, name))
                    _join(drawing, premises, head, "psa-label-relax", *drawing.webhook)


def _only_relaxed(drawing: Drawing, kind: PodKind, pod: Ref | None, hub: FactKind) -> list[Fact]:
    """What a change of a pod gives only where its namespace is relaxed."""
    anyway = {head for head, rests in changed(drawing, kind, pod, hub) if not rests}
    return [head for head, _ in changed(drawing, kind, pod, hub, relaxed=True) if head not in anyway]


def _later(drawing: Drawing) -> None:
    """mutating-webhook-control: pods that controllers and others write later carry what the attacker wants."""
    for power, rule in (
        (p.WRITE_MUTATING, "mutating-webhook-control"),
        (p.WRITE_MUTATING_POLICIES, "mutating-admission-policy"),
    ):
        for scope, name in list(drawing.held(power)):
            if scope == AT_CLUSTER:
                drawing.clause(drawing.power(power, scope, name), drawing.hub(K.NEW_POD, AT_CLUSTER), rule, ("WRITER",))


def _stolen(drawing: Drawing) -> None:
    """steal-pods: pods that are removed come back on the one node that takes them, which the attacker has."""
    for _, node in list(drawing.held(p.CORDON_NODES)):
        cordon = drawing.power(p.CORDON_NODES, AT_CLUSTER, node)
        have = Fact(K.NODE, node) if node else SOME_NODE
        for scope, name in list(drawing.held(p.EVICT_PODS)):
            evict = drawing.power(p.EVICT_PODS, scope, name)
            heads = (
                [Fact(K.POD, name, ref.namespace or "") for ref in drawing.called(K.POD, name, scope)] if name else None
            )
            for head in [drawing.hub(K.PODS, scope)] if heads is None else heads:
                _join(drawing, (evict, cordon, have), head, "steal-pods", "SCHED")
        for scope, name in list(drawing.held(p.REMOVE_NODES)):
            premises = (drawing.power(p.REMOVE_NODES, scope, name), cordon, have)
            head = Fact(K.NODE_PODS, name) if name else drawing.hub(K.PODS, AT_CLUSTER)
            _join(drawing, premises, head, "steal-pods", "SCHED")
