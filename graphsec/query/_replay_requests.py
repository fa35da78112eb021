"""Requests that steps rest on, told again for ``replay``: which ones, with which names, by whom, and what grants each.

S-30 to S-35 say which requests carry a name, attacks.md §2.9 which ones a single principal needs together. Whether a rule
allows a request is for the one matcher to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from graphsec.model.attack import Fact, FactKind
from graphsec.model.rbac import MASTERS, PolicyRule, Request, allows, implicit_groups, username
from graphsec.model.ref import Ref
from graphsec.query._replay_view import View, parse_ref

if TYPE_CHECKING:
    from graphsec.query._attack_evidence import Ground

K = FactKind
RBAC, CSR, AUTHN = "rbac.authorization.k8s.io", "certificates.k8s.io", "authentication.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
#: Names of a request: that of the object in question, one that is free to choose. "" is a request without a name.
OBJECT, FREE = "\0object", "\0free"
#: Of a question: every object of the kind.
EVERY = ""
#: Whatever namespace.
ANYWHERE = "\0anywhere"
AUTHENTICATED, NODES = Ref("Group", "system:authenticated"), Ref("Group", "system:nodes")
#: The name of a GRANT of any rules.
ANYTHING = "ClusterRole/*"
_ALL, _ALL_WITH_SHIPPED = "{all}", "{all, with the shipped ones}"


class Need(NamedTuple):
    """One request."""

    verb: str
    resource: str
    group: str = ""
    sub: str = ""
    name: str = OBJECT


class Way(NamedTuple):
    """Requests that one principal must be allowed together, in these minors, under these assumptions."""

    needs: tuple[Need, ...]
    assumes: tuple[str, ...] = ()
    since: int = 0
    until: int = 1_000


@dataclass(frozen=True, slots=True)
class Demand:
    """One of ``ways``, asked about ``name`` in ``namespace``."""

    ways: tuple[Way, ...]
    namespace: str
    name: str = EVERY


# -- What each ability takes ---------------------------------------------------------------------------------------


def to(*verbs: str, resource: str, group: str = "", sub: str = "", name: str = OBJECT) -> tuple[Way, ...]:
    """Any of the verbs."""
    return tuple(Way((Need(verb, resource, group, sub, name),)) for verb in verbs)


def change(resource: str, group: str = "", sub: str = "") -> tuple[Way, ...]:
    return to("update", "patch", resource=resource, group=group, sub=sub)


def create(resource: str, group: str = "", *, put: bool = False, then: Sequence[Need] = ()) -> tuple[Way, ...]:
    """POST without a name; a creating apply with one, and PUT where the type is created by it (S-31, S-34)."""
    named = Need("create", resource, group)
    rows = [(Need("create", resource, group, name=""),), (named, Need("patch", resource, group))]
    rows += [(named, Need("update", resource, group))] if put else []
    return tuple(Way((*row, *then)) for row in rows)


def stream(sub: str) -> tuple[Way, ...]:
    """S-37: POST; WebSocket by get, with create as well from 1.35 on unless the gate is off."""
    get = Need("get", "pods", sub=sub)
    return (*to("create", resource="pods", sub=sub), Way((get,), until=35), Way((get,), ("GATE-OFF",), since=35))


def disclose(resource: str, group: str = "") -> tuple[Way, ...]:
    """Writes whose answer holds the object (attacks.md §2.7); a collection is deleted without a name (S-33)."""
    collection = to("deletecollection", resource=resource, group=group, name="")
    return (*to("patch", "delete", resource=resource, group=group), *collection)


def guarded(guard: str, resource: str, *verbs: str, name: str = OBJECT) -> tuple[Way, ...]:
    """S-61: the guard is asked with the name of the write."""
    return tuple(Way((Need(guard, resource, RBAC, name=name), Need(verb, resource, RBAC, name=name))) for verb in verbs)


def author(resource: str) -> tuple[Way, ...]:
    """A new role with any rules: by POST, or by PUT or apply under its name."""
    create_, guard = Need("create", resource, RBAC), Need("escalate", resource, RBAC)
    named = (Way((create_, guard, Need(verb, resource, RBAC))) for verb in ("patch", "update"))
    return (*guarded("escalate", resource, "create", name=""), *named)


def sign(verb: str, sub: str, signer: str = "kube-apiserver-client") -> tuple[Way, ...]:
    """S-82: the signer by its name or by its domain."""
    return tuple(
        Way((Need(write, "certificatesigningrequests", CSR, sub), Need(verb, "signers", CSR, name=name)))
        for write in ("update", "patch")
        for name in (f"kubernetes.io/{signer}", "kubernetes.io/*")
    )


#: (kind, group, resource) of controllers whose pod template may be changed: not of a Job, whose template is immutable.
CONTROLLERS = (
    ("Deployment", "apps", "deployments"),
    ("DaemonSet", "apps", "daemonsets"),
    ("StatefulSet", "apps", "statefulsets"),
    ("ReplicaSet", "apps", "replicasets"),
    ("ReplicationController", "", "replicationcontrollers"),
    ("CronJob", "batch", "cronjobs"),
)
#: Everything that becomes a pod (attacks.md §3.0).
PODLIKE = (("Pod", "", "pods"), ("Job", "batch", "jobs"), *CONTROLLERS)
EVERYTHING = to("*", resource="*", group="*", name=OBJECT)
CREATE_PODS = tuple(way for _, group, resource in PODLIKE for way in create(resource, group))
READ_SECRETS = to("get", "list", "watch", resource="secrets")
WRITE_OUT_SECRETS = disclose("secrets")
EXEC, ATTACH = stream("exec"), stream("attach")
CHANGE_PODS, DEBUG = change("pods"), change("pods", sub="ephemeralcontainers")
PROXY = to("get", "create", resource="nodes", sub="proxy")
REQUEST_TOKENS = to("create", resource="serviceaccounts", sub="token")
ACT_AS_USERS = to("impersonate", resource="users")
ACT_AS_GROUPS = to("impersonate", resource="groups")
ACT_AS_ACCOUNTS = to("impersonate", resource="serviceaccounts")
CREATE_BINDINGS = create("rolebindings", RBAC, put=True)
CREATE_CLUSTER_BINDINGS = create("clusterrolebindings", RBAC, put=True)
REWRITE_CLUSTERROLES = guarded("escalate", "clusterroles", "update", "patch")
#: Asked on the namespace itself, which is the namespace of the request, too (S-35).
RELAX = (
    *change("namespaces"),
    *change("namespaces", sub="status"),
    *to("update", resource="namespaces", sub="finalize"),
)
_WRITE_WEBHOOKS = (
    *create("mutatingwebhookconfigurations", _ADMISSION),
    *change("mutatingwebhookconfigurations", _ADMISSION),
)
_MUTATING_POLICIES = tuple(
    Way((Need("create", "mutatingadmissionpolicies", _ADMISSION, name=""), second), since=36)
    for second in (Need("create", "mutatingadmissionpolicybindings", _ADMISSION, name=""),)
)
_REQUESTS = "certificatesigningrequests"
_READ_REQUESTS = (
    *to("get", "list", "watch", "update", resource=_REQUESTS, group=CSR),
    *disclose(_REQUESTS, CSR),
    *change(_REQUESTS, CSR, "approval"),
    *change(_REQUESTS, CSR, "status"),
)


@dataclass(frozen=True, slots=True)
class Power:
    """``cluster``: its requests have no namespace. ``any_name``: one name to choose serves as well as every name."""

    ways: tuple[Way, ...]
    cluster: bool = False
    any_name: bool = False


#: By the words of a POWER fact.
POWERS: Mapping[str, Power] = {
    "create secrets": Power(create("secrets")),
    "change secrets": Power(change("secrets")),
    "read secrets": Power((*READ_SECRETS, *WRITE_OUT_SECRETS)),
    "request tokens": Power(REQUEST_TOKENS),
    "create serviceaccounts": Power(create("serviceaccounts")),
    "create namespaces": Power(create("namespaces"), cluster=True),
    "create persistentvolumes": Power(create("persistentvolumes"), cluster=True, any_name=True),
    "request client certificates": Power(create(_REQUESTS, CSR), cluster=True),
    "request kubelet certificates": Power(create(_REQUESTS, CSR), cluster=True),
    "read issued certificates": Power(_READ_REQUESTS, cluster=True),
    "approve client certificates": Power(sign("approve", "approval"), cluster=True),
    "approve kubelet certificates": Power(sign("approve", "approval", "kube-apiserver-client-kubelet"), cluster=True),
    "sign client certificates": Power(sign("sign", "status"), cluster=True),
    "have kubelet certificates approved": Power(
        create(_REQUESTS, CSR, then=(Need("create", _REQUESTS, CSR, "nodeclient", ""),)), cluster=True
    ),
    "write mutating webhooks": Power(_WRITE_WEBHOOKS, cluster=True, any_name=True),
    "write mutating admission policies": Power(_MUTATING_POLICIES, cluster=True, any_name=True),
    "relabel namespaces": Power(RELAX),
    "change pods": Power(CHANGE_PODS),
    "add ephemeral containers": Power(DEBUG),
    "rewrite clusterroles": Power(REWRITE_CLUSTERROLES, cluster=True),
    "rewrite roles": Power(guarded("escalate", "roles", "update", "patch")),
    "write new clusterroles": Power(author("clusterroles"), cluster=True),
    "write new roles": Power(author("roles")),
    "remove nodes": Power(to("delete", resource="nodes"), cluster=True),
    "remove pods": Power((*to("delete", resource="pods"), *to("create", resource="pods", sub="eviction"))),
    "change nodes": Power((*change("nodes"), *change("nodes", sub="status")), cluster=True),
    "read pods' logs": Power(to("get", resource="pods", sub="log")),
    "read nodes' logs": Power(to("get", resource="nodes", sub="log"), cluster=True),
    **{f"change {resource}": Power(change(resource, group)) for _, group, resource in CONTROLLERS},
}


# -- Who asks ------------------------------------------------------------------------------------------------------


@dataclass
class Identities:
    """What earlier steps have shown of identities that no binding names.

    A compound is known by who impersonates it, or as one that a certificate may be for; ``limited`` ones act as another
    (target, mode) within what the impersonator may do so.
    """

    view: View
    impersonators: dict[Fact, Fact] = field(default_factory=dict)
    certified: set[Fact] = field(default_factory=set)
    #: Those that are a kubelet, by the user that bindings may name, None for any.
    kubelets: dict[Fact, Ref | None] = field(default_factory=dict)
    limited: dict[Fact, tuple[Fact, Fact, str]] = field(default_factory=dict)
    #: Whether ``may`` has found something only by objects that the input does not show.
    leans_on_shipped: bool = False

    def includes(self, fact: Fact, subject: Ref) -> bool:
        """Whether a binding of ``subject`` counts for an identity (S-40, S-46)."""
        if fact.kind is K.COMPOUND:
            return subject == AUTHENTICATED or self._is_part(fact, subject)
        own = Ref(fact.kind.value, fact.name, fact.namespace or None)
        return subject == own or subject in _above(own) or subject in self._listed(own)

    def _listed(self, user: Ref) -> Iterator[Ref]:
        """Groups that the operator's file puts a user into."""
        if user.kind == "User":
            yield from (Ref("Group", group) for group in self.view.world.memberships.groups.get(user.name, ()))

    def _is_part(self, fact: Fact, subject: Ref) -> bool:
        if fact in self.certified:
            return subject != Ref("Group", MASTERS)
        if fact in self.kubelets:
            return subject in (NODES, self.kubelets[fact])
        if fact in self.impersonators:
            asked = Request(verb="impersonate", resource="groups", name=subject.name)
            return subject.kind == "Group" and self.may(self.impersonators[fact], asked)
        user = Ref("User", fact.name)
        return fact.name in self.view.world.memberships.groups and (subject == user or subject in self._listed(user))

    def is_kubelet(self, fact: Fact, user: Ref) -> bool:
        """Whether the fact is a user as a kubelet, or any kubelet; from then on it is known as that."""
        known = {"a kubelet": None, f"{user.name} as a kubelet": user}
        found = fact.kind is K.COMPOUND and fact.name in known and user.name.startswith("system:node:")
        if found:
            self.kubelets[fact] = known[fact.name]
        return found

    def may(self, fact: Fact, request: Request) -> bool:
        """Whether some binding allows a request to an identity; for what no evidence of a step shows."""
        if fact in self.limited:
            if request.verb.startswith("impersonate"):
                return False  # A request is made as one other.
            return self._may_as_another(*self.limited[fact], request)
        found = False
        for role, shipped in self._held(fact, request.namespace):
            if any(allows(rule, request) for rule in self._rules(role)):
                if not shipped:
                    return True
                found = True
        self.leans_on_shipped |= found
        return found

    def _held(self, fact: Fact, namespace: str) -> Iterator[tuple[Ref, bool]]:
        """Roles of an identity that apply in a namespace, and whether only the shipped objects give them."""
        if fact.kind is K.GRANT:
            if self.holds_scope(fact, namespace):
                yield from ((role, False) for role in self.roles_of(fact))
            return
        for subject, bindings in self.view.by_subject.items():
            if self.includes(fact, subject):
                for binding in bindings:
                    if binding.scope in ("", namespace):
                        yield binding.role, self.view.is_supplied(binding.ref, binding.role)

    def _may_as_another(self, holder: Fact, target: Fact, mode: str, request: Request) -> bool:
        """S-72; what the server asks inside of another request is asked of the target alone."""
        fields = {name: getattr(request, name) for name in ("group", "resource", "subresource", "name", "namespace")}
        acting = Request(verb=f"impersonate-on:{mode}:{request.verb}", **fields)
        guard = request.verb in ("bind", "escalate", "approve", "sign")
        return (guard or self.may(holder, acting)) and self.may(target, request)

    def _rules(self, role: Ref) -> Iterable[PolicyRule]:
        found = self.view.role(role)
        return found.rules if found else ()

    def roles_of(self, grant: Fact) -> Iterator[Ref]:
        """The roles that a GRANT stands for."""
        role = parse_ref(grant.name)
        if role.name not in (_ALL, _ALL_WITH_SHIPPED):
            yield role
            return
        for found in self.view.roles():
            shown = role.name == _ALL_WITH_SHIPPED or not self.view.is_supplied(found)
            if shown and found.kind == role.kind and found.namespace in (None, grant.namespace):
                yield found

    def holds_scope(self, grant: Fact, namespace: str) -> bool:
        """A role bound in a namespace allows nothing outside it (S-43)."""
        return grant.namespace in ("", namespace)


def _above(subject: Ref) -> tuple[Ref, ...]:
    """S-46; a group stands for somebody in it."""
    if subject.kind == "Group":
        parts = subject.name.split(":")
        accounts = ("system:serviceaccounts",) if parts[:2] == ["system", "serviceaccounts"] else ()
        outside = subject.name == "system:unauthenticated"
        return tuple(Ref("Group", name) for name in (*accounts, *(() if outside else (AUTHENTICATED.name,))))
    if subject.name.startswith("system:node:"):
        # In `system:nodes` only by a kubelet's certificate.
        return (AUTHENTICATED,)
    return tuple(Ref("Group", group) for group in implicit_groups(username(subject)))


# -- What a step shows ---------------------------------------------------------------------------------------------


class Requests:
    """The requests that the grounds of one step show, each granted to the step's principal."""

    def __init__(self, known: Identities, holder: Fact, grounds: Sequence[Ground], minor: int) -> None:
        self._known = known
        self._holder = holder
        self._minor = minor
        self._shown: list[tuple[Request, PolicyRule | None]] = []
        self.rests_on_shipped = False
        #: What is wrong with the evidence.
        self.faults: list[str] = []
        for ground in grounds:
            if ground.request is not None:
                self._read(ground, ground.request)

    def _read(self, ground: Ground, request: Request) -> None:
        fault, rule = self._granted(ground, request)
        if fault:
            self.faults.append(f"{request}: {fault}")
        else:
            self._shown.append((request, rule))

    def _granted(self, ground: Ground, request: Request) -> tuple[str, PolicyRule | None]:
        """(what is wrong, the rule that allows it)."""
        holder, grant = self._holder, ground.grant
        if holder.kind is K.GRANT and not self._known.holds_scope(holder, request.namespace):
            return f"{holder} allows nothing there", None
        if grant is None:
            return ("" if holder.kind is K.GRANT and holder.name == ANYTHING else "nothing is said to grant it"), None
        if grant.role is None or (holder.kind is K.GRANT) is not (grant.binding is None):
            return "the grant names no binding or no role", None
        if holder.kind is K.GRANT:
            if grant.role not in set(self._known.roles_of(holder)):
                return f"{holder} is not {grant.role}", None
        else:
            fault = self._binds(grant.binding, grant.role, grant.subject, request.namespace)
            if fault:
                return fault, None
        role = self._known.view.role(grant.role)
        if holder in self._known.kubelets and _is_restricted(request):
            return "NodeRestriction keeps it from a kubelet", None
        if role is None or not 0 <= grant.rule_index < len(role.rules):
            return f"{grant.role} has no rule {grant.rule_index + 1}", None
        rule = role.rules[grant.rule_index]
        if not allows(rule, request):
            return f"rule {grant.rule_index + 1} of {grant.role} does not allow it", None
        # A grant that was itself reached rests on the shipped role where it was bound.
        self.rests_on_shipped |= grant.binding is not None and self._known.view.is_supplied(grant.binding, grant.role)
        return ("" if grant.rule in (None, rule) else f"{grant.role} says something else"), rule

    def _binds(self, ref: Ref | None, role: Ref, subject: Ref | None, namespace: str) -> str:
        binding = self._known.view.bindings.get(ref) if ref else None
        if binding is None:
            return f"no {ref}"
        if binding.role != role:
            return f"{ref} is not to {role}"
        if binding.scope not in ("", namespace):
            return f"{ref} grants nothing in {namespace or 'the cluster scope'}"
        if subject not in binding.subjects or not self._known.includes(self._holder, subject):
            return f"{ref} does not name {self._holder}"
        return ""

    def show(self, demand: Demand) -> tuple[str, ...] | None:
        """The assumptions of the first way of which every request is shown, None without one."""
        for way in demand.ways:
            if way.since <= self._minor < way.until:
                for name in self._names(demand):
                    if all(self._has(need, demand.namespace, name) for need in way.needs):
                        return way.assumes
        return None

    def _names(self, demand: Demand) -> Iterable[str]:
        if demand.name != FREE:
            return (demand.name,)
        if self._holder in self._known.limited:
            return (EVERY, *dict.fromkeys(name for rule in self._all_rules() for name in rule.names))
        return dict.fromkeys(request.name for request, _ in self._shown)

    def _all_rules(self) -> Iterator[PolicyRule]:
        for role in self._known.view.roles():
            found = self._known.view.role(role)
            yield from found.rules if found else ()

    def _has(self, need: Need, namespace: str, name: str) -> bool:
        asked = name if need.name == OBJECT else need.name
        if self._holder in self._known.limited:
            return self._known.may(self._holder, _request(need, namespace, asked))
        every = need.name == OBJECT and name == EVERY
        return any(
            _is(request, need, namespace, asked) and not (every and rule is not None and rule.names)
            for request, rule in self._shown
        )


def _is_restricted(request: Request) -> bool:
    """What the admission plugin NodeRestriction allows a kubelet for its own pods and node alone
    (`plugin/pkg/admission/noderestriction/admission.go`), so that a grant to all of them adds nothing."""
    if request.group:
        return request.subresource == "nodeclient"
    changes = request.verb in ("create", "update", "patch", "delete", "deletecollection")
    own = {"pods": ("", "ephemeralcontainers", "eviction", "status"), "nodes": ("", "status")}
    token = (request.resource, request.subresource) == ("serviceaccounts", "token")
    return changes and (token or request.subresource in own.get(request.resource, ()))


def _request(need: Need, namespace: str, name: str) -> Request:
    where = "" if namespace == ANYWHERE else namespace
    return Request(
        verb=need.verb, group=need.group, resource=need.resource, subresource=need.sub, name=name, namespace=where
    )


def _is(request: Request, need: Need, namespace: str, name: str) -> bool:
    """Whether a request is the one needed; what is allowed at cluster scope is allowed in every namespace (S-03)."""
    where = namespace if namespace == ANYWHERE or not request.namespace else request.namespace
    return (
        (request.verb, request.group, request.resource) == (need.verb, need.group, need.resource)
        and (request.subresource, request.name) == (need.sub, name)
        and where == namespace
    )
