"""Why a clause of the attack graph holds: the bindings and rules that grant each request, the field of an object that opens it.

Made for the few steps that are shown, after the search: nothing here decides what follows from what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from graphsec.compile.access import CLUSTER as AT_CLUSTER
from graphsec.compile.attacks import AttackGraph
from graphsec.compile.attacks.bundles import EVERYTHING, request_of
from graphsec.compile.attacks.drawing import parse_role
from graphsec.compile.attacks.inventory import PodKind
from graphsec.compile.attacks.principals import AUTHENTICATED
from graphsec.model.attack import Fact, FactKind, Power, Way
from graphsec.model.rbac import MASTERS, Request, allows
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Evidence
from graphsec.query._grants import evidence
from graphsec.rules import _powers as p

K = FactKind
#: Any name that a grant allows will do.
ANY = "\0any"


class Ground(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A leaf of a proof: a request that a rule allows, or what an object says.

    For a request ``binding``, ``role``, ``rule_index`` and both sources are those of the grant; ``binding`` is None where the
    role is one that the attacker binds. For an object ``field`` points into it, "" for its existence.
    """

    request: Request | None = None
    grant: Evidence | None = None
    object: Ref | None = None
    field: str = ""
    value: str = ""
    place: Source | None = None
    semantics: str = ""

    @property
    def binding(self) -> Ref | None:
        return self.grant.binding if self.grant else None

    @property
    def role(self) -> Ref | None:
        return self.grant.role if self.grant else None

    @property
    def rule_index(self) -> int:
        return self.grant.rule_index if self.grant else -1

    @property
    def source(self) -> Source | None:
        return (self.grant.source or self.grant.rule_source) if self.grant else self.place

    def __str__(self) -> str:
        if self.grant is not None:
            via = f"{self.grant.binding} → {self.grant.role}" if self.grant.binding else f"{self.grant.role}"
            return f"{self.request}: {via}" if self.request else via
        if self.object is not None:
            what = f" {self.field}" if self.field else ""
            value = f" = {self.value}" if self.value else ""
            return f"{self.object}{what}{value}"
        return self.semantics

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "request": str(self.request) if self.request else None,
            **(self.grant.to_dict() if self.grant else {}),
            "object": str(self.object) if self.object else None,
            "field": self.field or None,
            "value": self.value or None,
            "semantics": self.semantics or (self.grant.semantics if self.grant else "") or None,
        }
        if self.place is not None:
            fields["source"] = {"file": self.place.file, "line": self.place.line}
        return {key: value for key, value in fields.items() if value is not None}


#: A power, the scope of its requests, and the name of the object that they are about.
Ask = tuple[Power, str, str]


class Grounds:
    """The leaves of the clauses of one graph."""

    def __init__(self, graph: AttackGraph, sources: Callable[[Ref], Source | None]) -> None:
        self._graph = graph
        self._drawing = graph.drawing
        self._source = sources

    def of(self, clause: int) -> tuple[Ground, ...]:
        horn = self._graph.horn
        premises = [horn.facts[fact] for fact in horn.body(clause)]
        head = horn.facts[int(horn.heads[clause])]
        rule = self._graph.label(clause).rule
        if len(premises) == 1 and premises[0].kind.is_identity:
            return tuple(self._identity(premises[0], rule, head))
        return tuple(self._objects(premises, rule, head))

    # -- requests -----------------------------------------------------------------------------------------------

    def _identity(self, fact: Fact, rule: str, head: Fact) -> Iterator[Ground]:
        if rule == "implicit-group":
            yield Ground(semantics=f"S-46: {fact} is in {head}")
        elif head.kind is K.HELD:
            yield from self._bound(fact, head)
        elif fact.kind is K.GROUP and fact.name == MASTERS:
            yield Ground(semantics="S-47: system:masters is allowed everything before any authorizer runs")
        elif head.kind is K.CLOUD:
            yield self._field(Ref("ServiceAccount", fact.name, fact.namespace), "metadata.annotations", head.name)
        elif rule == "cluster-admin-equivalent" and fact.kind is K.GRANT and fact.name == str(EVERYTHING):
            yield Ground(semantics="a role that the attacker writes grants everything")
        else:
            found = next(filter(None, (self._granted(fact, asks) for asks in _asks(rule, head, self._drawing))), None)
            yield from found or (Ground(semantics=f"{fact} grants it"),)

    def _granted(self, fact: Fact, asks: Iterable[Ask]) -> list[Ground]:
        """The grounds of all asks, none if one of them is not granted."""
        found: list[Ground] = []
        for power, scope, name in asks:
            grounds = self._power(fact, power, scope, name)
            if not grounds:
                return []
            found += grounds
        return found

    def _power(self, fact: Fact, power: Power, scope: str, name: str) -> list[Ground]:
        for way in power.ways:
            if way.since <= self._drawing.minor < way.until:
                for candidate in self._candidates(fact, power, way, scope) if name == ANY else (name,):
                    requests = [request_of(need, scope, candidate) for need in way.needs]
                    grounds = [self._allowed(fact, request) for request in requests]
                    if all(grounds):
                        return [ground for ground in grounds if ground]
        return []

    def _candidates(self, fact: Fact, power: Power, way: Way, scope: str) -> list[str]:
        """Names to show a power by: of what is created those first that are free everywhere in the scope."""
        found = list(dict.fromkeys(self._names(fact, way, scope)))
        inventory = self._drawing.inventory
        for kind in (kind for kind, create in p.CREATE.items() if create is power):
            taken = {
                name for place in ([scope] if scope else inventory.namespaces) for name in inventory.names(kind, place)
            }
            found.sort(key=taken.__contains__)
        return found

    def _names(self, fact: Fact, way: Way, scope: str) -> Iterator[str]:
        """ "" first, then every name that a rule of the holder is limited to."""
        yield ""
        for role in self._roles(fact, scope):
            for rule in self._drawing.access.roles[role].rules:
                yield from rule.names

    def _roles(self, fact: Fact, scope: str) -> Iterator[Ref]:
        access = self._drawing.access
        if fact.kind is K.GRANT:
            yield from (role for role in self._drawing.roles_behind(fact) if role in access.roles)
            return
        for principal in self.principals(fact):
            for index in access.held(principal, scope):
                yield access.bindings[index].role

    def principals(self, fact: Fact) -> tuple[Ref, ...]:
        """The subjects that an identity is, as bindings name them."""
        if fact.kind is K.COMPOUND:
            groups = self._drawing.compounds.get(fact)
            if groups is None:
                user = Ref("User", fact.name)
                return (user, *self._drawing.principals.groups_of_user(fact.name), AUTHENTICATED)
            return (*groups, AUTHENTICATED)
        subject = Ref(fact.kind.value, fact.name, fact.namespace or None)
        return (subject, *self._drawing.principals.above(subject))

    def _allowed(self, fact: Fact, request: Request) -> Ground | None:
        if fact.kind is K.GRANT:
            return self._allowed_by_role(fact, request)
        access = self._drawing.access
        principals = self.principals(fact)
        shown = (
            access.first_allowing(principals, request, without=self._drawing.supplied)
            if self._drawing.supplied
            else None
        )
        found = shown or access.first_allowing(principals, request)
        if found is None:
            return None
        binding = access.bindings[found[0]]
        subject = next(principal for principal in principals if principal in binding.subjects)
        return Ground(request=request, grant=evidence(access, found[0], found[1], subject))

    def _allowed_by_role(self, fact: Fact, request: Request) -> Ground | None:
        roles = self._drawing.access.roles
        for ref in sorted(self._drawing.roles_behind(fact)):
            role = roles.get(ref)
            for index, rule in enumerate(role.rules if role else ()):
                if role and allows(rule, request):
                    proof = Evidence(role=ref, rule_index=index, rule=rule, rule_source=role.rule_sources[index])
                    return Ground(request=request, grant=proof)
        if fact.name == str(EVERYTHING):
            return Ground(request=request, semantics="a role that the attacker writes grants everything")
        return None

    def _bound(self, fact: Fact, head: Fact) -> Iterator[Ground]:
        role = parse_role(head.name)
        if fact.kind is K.GRANT:
            yield Ground(semantics=f"the attacker binds {role}")
            return
        subjects = self.principals(fact)
        for binding in self._drawing.bindings_by_scope.get(head.namespace, ()):
            subject = next((found for found in subjects if found in binding.subjects), None)
            if binding.role == role and subject is not None:
                proof = Evidence(binding=binding.ref, role=role, source=binding.source, subject=subject)
                yield Ground(grant=proof)
                return

    # -- objects ------------------------------------------------------------------------------------------------

    def _objects(self, premises: list[Fact], rule: str, head: Fact) -> Iterator[Ground]:
        find = _GROUNDS.get(rule)
        if find is not None:
            yield from find(self, premises, head)
        elif rule == "containment":
            yield from self._contained(premises[0], head)
        else:
            place = next((fact for fact in premises if fact.kind in (K.POD, K.PODS_LIKE, K.NODE_PODS)), None)
            yield from self._escape(place, rule, head) if place else ()

    def _field(self, ref: Ref, field: str, value: str = "") -> Ground:
        return Ground(object=ref, field=field, value=value, place=self._source(ref))

    def _exists(self, ref: Ref) -> Ground:
        return self._field(ref, "")

    def _contained(self, premise: Fact, head: Fact) -> Iterator[Ground]:
        if premise.kind is K.POD_FILES and head.kind is K.SECRET:
            kind = self._kind(premise)
            yield self._field(kind.ref, "spec", f"uses Secret {head.name}") if kind else Ground()
        elif premise.kind is K.NODE_PODS and head.kind is K.POD_FILES:
            kind = self._kind(head)
            if kind is not None:
                yield self._field(kind.nodes.get(premise.name, kind.ref), "spec.nodeName", premise.name)
        elif head.kind in (K.ACCOUNT, K.SECRET, K.POD, K.PODS_LIKE, K.NODE) and premise.kind is not head.kind:
            kind = self._kind(head)
            ref = kind.ref if kind else Ref(head.kind.value, head.name, head.namespace or None)
            if head.name:
                yield self._exists(ref)

    def _kind(self, fact: Fact) -> PodKind | None:
        if fact.kind not in (K.POD, K.PODS_LIKE, K.POD_FILES):
            return None
        return self._drawing.inventory.kind_of.get(Ref(fact.power or "Pod", fact.name, fact.namespace))

    def _escape(self, place: Fact, rule: str, head: Fact) -> Iterator[Ground]:
        kinds = [self._kind(place)] if place.kind is not K.NODE_PODS else self._on_node(place.name)
        for kind in kinds:
            for found in kind.escapes if kind else ():
                if kind and found.rule == rule:
                    node = head.name or ""
                    pod = place.power == "" and place.kind is K.POD
                    ref = Ref("Pod", place.name, place.namespace) if pod else kind.nodes.get(node, kind.ref)
                    yield self._field(ref, found.field, found.value)
                    if node in kind.nodes:
                        yield self._field(ref, "spec.nodeName", node)
                    return

    def _on_node(self, node: str) -> list[PodKind | None]:
        return [kind for kind in self._drawing.inventory.kinds if node in kind.nodes]

    def token(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        kind = self._kind(premises[0])
        if kind is not None:
            yield self._field(kind.ref, kind.token, head.name)

    def node_identity(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        node = premises[0].name
        for kind in self._drawing.inventory.kinds if premises[0].kind is K.NODE_IDENTITY else ():
            if node in kind.nodes and kind.namespace == head.namespace:
                if head.kind is K.ACCOUNT and kind.account.name == head.name and not kind.mirror:
                    yield self._field(kind.nodes[node], "spec.serviceAccountName", head.name)
                    return
                if head.kind is K.SECRET and ("Secret", head.name) in kind.uses:
                    yield self._field(kind.nodes[node], "spec", f"uses Secret {head.name}")
                    return
        for pod, uses in self._drawing.inventory.finished_on(node):
            if head.kind is K.SECRET and ("Secret", head.name) in uses and pod.namespace == head.namespace:
                yield self._field(pod, "spec", f"uses Secret {head.name}")
                return
            account = self._drawing.inventory.account_of(pod)
            if head.kind is K.ACCOUNT and (account.name, account.namespace) == (head.name, head.namespace):
                yield self._field(pod, "spec.serviceAccountName", head.name)
                return
        yield Ground(semantics="S-80: the Node authorizer")

    def control_plane(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        mark = self._drawing.inventory.control_plane.get(premises[0].name)
        if mark:
            yield self._field(Ref("Node", premises[0].name), mark)

    def token_secret(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        ref = Ref("Secret", premises[0].name, premises[0].namespace)
        yield self._field(ref, "metadata.annotations[kubernetes.io/service-account.name]", head.name)

    def waiting(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        """The bindings that name an account which is not there."""
        account = Ref("ServiceAccount", head.name, head.namespace)
        for binding in self._drawing.access.bindings:
            if account in binding.subjects:
                yield Ground(
                    grant=Evidence(binding=binding.ref, role=binding.role, source=binding.source, subject=account)
                )

    def host_claim(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        loaded = self._drawing.inventory.host_claims.get(premises[0].namespace)
        if loaded is not None:
            yield self._field(loaded.ref, "spec", "a path on a node")

    def link(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        """What marks the workload, and over which ports it is reached."""
        port = head if head.kind is K.PORT else premises[0]
        for link in self._drawing.links:
            if (f"{link.target.kind}/{link.target.name}", link.target.namespace) == (port.name, port.namespace):
                yield Ground(object=link.target, field="ports", value=f"{link.ports}: {link.reason}", place=link.mark)
                return

    def level(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        """What Pod Security enforces where a pod with host access is made."""
        namespace = premises[0].namespace
        found = self._drawing.inventory.enforcements.get(namespace)
        if head.kind is K.NEW_HOST_POD and found is not None:
            field = "metadata.labels[pod-security.kubernetes.io/enforce]"
            yield self._field(Ref("Namespace", namespace), field, found.level if found.written else "not set")

    def missing_role(self, premises: list[Fact], head: Fact) -> Iterator[Ground]:
        held = next((fact for fact in premises if fact.kind is K.HELD), None)
        if held is not None:
            yield Ground(semantics=f"S-43: {held.name} is not there, and its name is free")


Find = Callable[[Grounds, list[Fact], Fact], Iterator[Ground]]
_GROUNDS: dict[str, Find] = {
    "pod-assumes-sa": Grounds.token,
    "node-identity": Grounds.node_identity,
    "control-plane-node": Grounds.control_plane,
    "token-secret-read": Grounds.token_secret,
    "sa-squat": Grounds.waiting,
    "namespace-squat": Grounds.waiting,
    "network-reach": Grounds.link,
    "pvc-existing-hostpath": Grounds.host_claim,
    "workload-create-to-node": Grounds.level,
    "dangling-role-ref": Grounds.missing_role,
}


# -- what each rule asks of one identity -------------------------------------------------------------------------


def _asks(rule: str, head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    """The choices of requests by which a rule gives a fact to an identity."""
    if head.kind is K.POWER:
        power = next((power for power in p.POWERS if power.id == head.power), None)
        if power is not None:
            yield from _of_power(p.WRITE_OUT_SECRETS if rule == "secret-read-by-write" else power, head, drawing)
        return
    make = _ASKS.get(rule)
    if make is not None:
        yield from make(head, drawing)


def _of_power(power: Power, head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    name = parse_role(head.name).name if power in _ROLE_POWERS and head.name else head.name
    if power is p.RELAX_NAMESPACE:
        name = head.namespace
    yield ((power, head.namespace, name),)
    yield ((power, head.namespace, ANY),)
    yield ((power, AT_CLUSTER, name),)


_ROLE_POWERS = (p.REWRITE_CLUSTERROLES, p.REWRITE_ROLES)


def _by(*powers: Power, free: bool = False) -> Callable[[Fact, Any], Iterator[tuple[Ask, ...]]]:
    """One of the powers on the object of the head, or with ``free`` on whatever name."""

    def make(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
        for power in powers:
            yield ((power, head.namespace, ANY if free else head.name),)

    return make


def _change_workload(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    for kind, power in p.CHANGE.items():
        for ref in drawing.inventory.workloads(kind, head.namespace):
            yield ((power, head.namespace, ref.name),)
    for kind, power in p.CHANGE.items():
        if not drawing.inventory.listed(kind):
            yield ((power, head.namespace, ANY),)


def _debug(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    if head.kind is K.NODE:
        for kind in drawing.inventory.kinds:
            for pod, node in kind.placed.items():
                if node == head.name:
                    yield ((p.CHANGE_EPHEMERAL, kind.namespace, pod.name),)
    elif head.kind is K.SECRETS:
        yield ((p.CHANGE_EPHEMERAL, head.namespace, ""),)
        for kind in drawing.kinds_by_namespace.get(head.namespace, ()):
            for pod in kind.members if kind.live and not kind.mirror else ():
                yield ((p.CHANGE_EPHEMERAL, head.namespace, pod.name),)
    else:
        yield ((p.CHANGE_EPHEMERAL, head.namespace, head.name),)


def _bind(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    role, scope = parse_role(head.name), head.namespace
    create = p.CREATE_CLUSTERROLEBINDINGS if scope == AT_CLUSTER else p.CREATE_ROLEBINDINGS
    bind = p.BIND_CLUSTERROLES if role.kind == "ClusterRole" else p.BIND_ROLES
    name = "" if role.name.startswith("{") else role.name
    yield ((create, scope, ANY), (bind, scope, name))


def _update(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    role, scope = parse_role(head.name), head.namespace
    change = p.CHANGE_CLUSTERROLEBINDINGS if scope == AT_CLUSTER else p.CHANGE_ROLEBINDINGS
    bind = p.BIND_CLUSTERROLES if role.kind == "ClusterRole" else p.BIND_ROLES
    for binding in drawing.bindings_by_scope.get(scope, ()):
        if binding.role == role:
            yield ((change, scope, binding.ref.name), (bind, scope, role.name))


def _mint(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    for read in (p.READ_SECRETS, p.WRITE_OUT_SECRETS):
        yield ((p.CREATE_SECRETS, head.namespace, ""), (read, head.namespace, ""))


def _deputy(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    for power in (p.CREATE_POD_TEMPLATES, p.DEPLOY, p.RESTORE_BACKUPS):
        for scope in (head.namespace,) if head.kind is K.NEW_POD else (AT_CLUSTER, *drawing.inventory.namespaces):
            yield ((power, scope, ANY),)


def _rewrite(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    yield ((p.REWRITE_CLUSTERROLES, AT_CLUSTER, ""),)


def _impersonate(head: Fact, drawing: Any) -> Iterator[tuple[Ask, ...]]:
    if head.kind is K.ACCOUNT or head.kind is K.ACCOUNTS:
        yield ((p.IMPERSONATE_ACCOUNTS, head.namespace, head.name),)
    elif head.kind in (K.USER, K.USERS):
        yield ((p.IMPERSONATE_USERS, AT_CLUSTER, head.name),)
    elif head.kind is K.NODE_IDENTITY:
        yield (
            (p.IMPERSONATE_USERS, AT_CLUSTER, f"system:node:{head.name}"),
            (p.IMPERSONATE_GROUPS, AT_CLUSTER, "system:nodes"),
        )
    else:
        for base, scope in ((p.IMPERSONATE_USERS, AT_CLUSTER), *_account_scopes(drawing)):
            yield ((base, scope, ANY), (p.IMPERSONATE_GROUPS, AT_CLUSTER, ANY))


def _account_scopes(drawing: Any) -> Iterator[tuple[Power, str]]:
    for scope in (AT_CLUSTER, *drawing.inventory.namespaces):
        yield p.IMPERSONATE_ACCOUNTS, scope


_ASKS: dict[str, Callable[[Fact, Any], Iterator[tuple[Ask, ...]]]] = {
    "cluster-admin-equivalent": _by(p.EVERYTHING),
    "rbac-grant": _by(p.EVERYTHING),
    "workload-create-as-sa": _by(*p.CREATE.values(), free=True),
    "token-secret-mint": _mint,
    "confused-deputy": _deputy,
    "aws-auth-edit": lambda head, drawing: iter((((p.AWS_AUTH, "kube-system", "aws-auth"),),)),
    "workload-update": _change_workload,
    "pod-exec": _by(p.EXEC),
    "pod-attach": _by(p.ATTACH),
    "pod-image-replace": _by(p.CHANGE_PODS),
    "ephemeral-container": _debug,
    "nodes-proxy-exec": _by(p.PROXY_NODES),
    "secret-read": _by(p.READ_SECRETS),
    "secret-read-by-write": _by(p.WRITE_OUT_SECRETS),
    "token-request": _by(p.REQUEST_TOKENS),
    "role-bind": _bind,
    "binding-update": _update,
    "role-escalate": _rewrite,
    "impersonate": _impersonate,
}
