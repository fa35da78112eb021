"""The sheet on which the attack graph is drawn: facts, clauses with their rule and assumptions, and look-ups of what is where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphsec.compile.access import CLUSTER as AT_CLUSTER
from graphsec.compile.access import AccessIndex
from graphsec.compile.attacks.bundles import EVERYTHING, Names, Powers, request_of
from graphsec.compile.attacks.inventory import Inventory, PodKind
from graphsec.compile.attacks.principals import NODE_PREFIX, NODES_GROUP, Principals
from graphsec.compile.pod_security import admits
from graphsec.graph.horn import Horn, HornBuilder
from graphsec.model.attack import Fact, FactKind, Power
from graphsec.model.rbac import MASTERS_GROUP, Binding
from graphsec.model.ref import Ref, Source
from graphsec.rules import _powers as p

#: What an assumption adds to the length of a proof: any proof with fewer assumptions comes first.
DEAR = 10_000
#: Objects that could refuse a pod; where the input proves that there are none, nothing is assumed about them.
_ADMISSION = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy")
#: Stands for the names of all roles of a kind: those that the input shows, and with those that every cluster has.
ALL_SHOWN, ALL_ROLES = "{all}", "{all, with the shipped ones}"


@dataclass(frozen=True, slots=True)
class Label:
    """What a clause says of itself: the rule, and what it takes for granted."""

    rule: str
    assumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """That ``source`` (None: the internet) may open a connection to a workload which can be taken over that way."""

    source: Ref | None
    target: Ref
    reason: str
    ports: str
    #: Where the mark stands.
    mark: Source


#: Stands for the metadata service of a cloud's machines as the target of a link.
METADATA = Ref("Metadata", "169.254.169.254")


@dataclass(frozen=True)
class AttackGraph:
    """The drawn graph with what explanations need."""

    horn: Horn[Fact]
    labels: tuple[Label, ...]
    drawing: Drawing

    def label(self, clause: int) -> Label:
        return self.labels[int(self.horn.labels[clause])]


class Drawing:
    """``supplied`` are roles and bindings that the input does not show and every cluster has; ``granted`` assumptions are
    taken as facts."""

    def __init__(
        self,
        inventory: Inventory,
        access: AccessIndex,
        principals: Principals,
        minor: int,
        *,
        supplied: frozenset[Ref] = frozenset(),
        granted: frozenset[str] = frozenset(),
        links: frozenset[Link] = frozenset(),
        shipped: frozenset[Ref] = frozenset(),
    ) -> None:
        #: Accounts of the controllers that every cluster runs.
        self.shipped = shipped
        self.links = links
        self.inventory = inventory
        self.access = access
        self.principals = principals
        self.minor = minor
        self.supplied = supplied
        self.powers = Powers(access, p.POWERS, minor, inventory.installed)
        self._granted = granted
        self._built: HornBuilder[Fact] = HornBuilder()
        self._labels: dict[Label, int] = {}
        #: GRANT facts whose powers are still to be drawn.
        self._grants: list[Fact] = []
        self._grants_by_scope: dict[str, list[Fact]] = defaultdict(list)
        self._drawn: set[Any] = set()
        self._numbers: dict[tuple[str, tuple[str, ...]], tuple[int, int]] = {}
        self._hubs: dict[FactKind, dict[str, None]] = defaultdict(dict)
        self._powers: dict[Power, dict[tuple[str, str], None]] = defaultdict(dict)
        #: Identities that are in several groups at once, and in which.
        self.compounds: dict[Fact, tuple[Ref, ...]] = {}
        #: Nodes that some pod opens and that the input does not name.
        self.reached_nodes: set[str] = set()
        self._holders: dict[Power, list[tuple[Ref, str, Names]]] = defaultdict(list)
        self.new_compounds: list[tuple[Fact, tuple[Ref, ...]]] = []
        listed = all(inventory.is_empty(kind) for kind in _ADMISSION)
        #: What the admission of a new or changed object rests on.
        self.webhook: tuple[str, ...] = () if listed else ("WEBHOOK",)

    # -- facts and clauses --------------------------------------------------------------------------------------

    def fact(self, fact: Fact) -> int:
        return self._built.fact(fact)

    def __contains__(self, fact: Fact) -> bool:
        return fact in self._built.ids

    def clause(self, premises: Fact | Sequence[Fact], head: Fact, rule: str, assumes: Iterable[str] = ()) -> None:
        """``premises`` together give ``head``, by ``rule``."""
        number, weight = self._label(rule, tuple(assumes))
        number_of = self._built.fact
        if head.kind is FactKind.GRANT and head not in self._built.ids:
            self._grants.append(head)
            self._grants_by_scope[head.namespace].append(head)
        given = number_of(head)
        if isinstance(premises, Fact):
            body: Any = number_of(premises)
            key: Any = (body, given, number)
        else:
            body = [number_of(premise) for premise in premises]
            key = (*body, given, number)
        if key not in self._drawn:
            self._drawn.add(key)
            self._built.clause(body, given, number, weight)

    def _label(self, rule: str, assumes: tuple[str, ...]) -> tuple[int, int]:
        """(number of the label, weight of its clauses)."""
        found = self._numbers.get((rule, assumes))
        if found is None:
            assumed = tuple(sorted(set(assumes) - self._granted))
            number = self._labels.setdefault(Label(rule, assumed), len(self._labels))
            found = self._numbers[rule, assumes] = number, 1 + DEAR * len(assumed)
        return found

    def hub(self, kind: FactKind, scope: str) -> Fact:
        """The hub of a namespace ("" of all); what it leads to is drawn at the end, once."""
        self._hubs[kind][scope] = None
        return Fact(kind, "", scope)

    def hubs(self, kind: FactKind) -> list[str]:
        """The scopes in which a hub is drawn."""
        return list(self._hubs[kind])

    def has_hub(self, kind: FactKind, scope: str) -> bool:
        return scope in self._hubs[kind]

    def power(self, power: Power, scope: str, name: str = "") -> Fact:
        """That somebody under control holds a power, for the clauses with more than one premise; "" is any name."""
        self._powers[power][scope, name] = None
        return Fact(FactKind.POWER, name, scope, power.id)

    def held(self, power: Power) -> dict[tuple[str, str], None]:
        """(scope, name) of every such fact."""
        return self._powers[power]

    def holders(self, power: Power) -> list[tuple[Ref, str, Names]]:
        """(subject, scope, names) of every identity that bindings give a power which is noted for later."""
        return list(self._holders[power])

    def note_holder(self, power: Power, subject: Ref, scope: str, names: Names) -> None:
        self._holders[power].append((subject, scope, names))

    def requests_own_token(self, account: Ref) -> bool:
        """Whether an account may ask for a token of its own, bound to what it likes (S-91)."""
        request = request_of(p.REQUEST_TOKENS.ways[0].needs[0], account.namespace or "", account.name)
        return self.access.first_allowing((account, *self.principals.above(account)), request) is not None

    @property
    def size(self) -> int:
        """How many clauses there are."""
        return len(self._built.heads)

    def grants_in(self, scope: str) -> list[Fact]:
        """Every GRANT fact of a scope."""
        return list(self._grants_by_scope[scope])

    def take_grants(self) -> list[Fact]:
        """The GRANT facts that are new since the last call."""
        found, self._grants = self._grants, []
        return found

    def grant(self, role: Ref, scope: str) -> Fact:
        return Fact(FactKind.GRANT, str(role), scope)

    def freeze(self) -> AttackGraph:
        return AttackGraph(self._built.freeze(), tuple(self._labels), self)

    @property
    def aggregated(self) -> Iterable[str]:
        """Names of the ClusterRoles whose rules are those of others."""
        return self.access.aggregation.feeders

    def compound(self, fact: Fact, groups: Sequence[Ref]) -> None:
        """Draws an identity that is in several groups at once, the first time that it is met."""
        if fact not in self.compounds:
            self.compounds[fact] = tuple(groups)
            self.new_compounds.append((fact, tuple(groups)))

    @cached_property
    def known_users(self) -> frozenset[Ref]:
        return frozenset(self.users)

    # -- roles --------------------------------------------------------------------------------------------------

    def rests_on(self, *refs: Ref) -> tuple[str, ...]:
        """What the existence of roles and bindings rests on."""
        return ("BOOTSTRAP-RBAC",) if any(ref in self.supplied for ref in refs) else ()

    def roles_behind(self, grant: Fact) -> frozenset[Ref]:
        """The roles that a GRANT stands for."""
        role = parse_role(grant.name)
        if role.name not in (ALL_SHOWN, ALL_ROLES):
            return frozenset({role})
        return frozenset(
            ref
            for ref in self.access.roles
            if ref.kind == role.kind
            and ref.namespace in (None, grant.namespace)
            and (role.name == ALL_ROLES or ref not in self.supplied)
        )

    @cached_property
    def bindings_by_scope(self) -> dict[str, list[Binding]]:
        found: dict[str, list[Binding]] = defaultdict(list)
        for binding in self.access.bindings:
            found[binding.scope].append(binding)
        return found

    @cached_property
    def roles_by_namespace(self) -> dict[str, list[Ref]]:
        found: dict[str, list[Ref]] = defaultdict(list)
        for role in self.access.roles:
            if role.namespace:
                found[role.namespace].append(role)
        return found

    # -- principals ---------------------------------------------------------------------------------------------

    @cached_property
    def groups(self) -> list[Ref]:
        """Every group that a binding names, and system:masters."""
        named = [subject for subject in self.principals.subjects() if subject.kind == "Group"]
        return list(dict.fromkeys((*named, MASTERS_GROUP)))

    @cached_property
    def users(self) -> list[Ref]:
        return [subject for subject in self.principals.subjects() if subject.kind == "User"]

    @cached_property
    def absent(self) -> dict[str, list[Ref]]:
        """Accounts that bindings name and nobody has made, by namespace."""
        found: dict[str, list[Ref]] = defaultdict(list)
        known = self.inventory.accounts.keys() | {kind.account for kind in self.inventory.kinds}
        for subject in self.principals.subjects():
            if subject.kind == "ServiceAccount" and subject not in known and not self._is_default(subject):
                found[subject.namespace or ""].append(subject)
        return found

    def _is_default(self, subject: Ref) -> bool:
        """Each namespace is given an account of this name."""
        return subject.name == "default" and subject.namespace in self._existing_namespaces

    @cached_property
    def _existing_namespaces(self) -> frozenset[str]:
        return frozenset(self.inventory.namespaces)

    @cached_property
    def accounts(self) -> dict[str, dict[Ref, tuple[str, ...]]]:
        """Accounts to be had by namespace, with what their existence rests on."""
        found: dict[str, dict[Ref, tuple[str, ...]]] = defaultdict(dict)
        for ref in (*self.inventory.accounts, *(kind.account for kind in self.inventory.kinds)):
            found[ref.namespace or ""][ref] = ()
        for namespace in self.inventory.namespaces:
            found[namespace].setdefault(Ref("ServiceAccount", "default", namespace), ())
        if not self.inventory.listed("ServiceAccount"):
            for namespace, refs in self.absent.items():
                found[namespace].update(dict.fromkeys(refs, ("ACCOUNT-EXISTS",)))
        elif not self.inventory.is_complete("ServiceAccount"):
            for ref in self.absent.get("kube-system", ()):
                if ref in self.shipped:
                    found["kube-system"][ref] = ("ACCOUNT-EXISTS",)
        return found

    # -- objects ------------------------------------------------------------------------------------------------

    @cached_property
    def kinds_by_namespace(self) -> dict[str, list[PodKind]]:
        found: dict[str, list[PodKind]] = defaultdict(list)
        for kind in self.inventory.kinds:
            found[kind.namespace].append(kind)
        return found

    @cached_property
    def _by_name(self) -> dict[tuple[FactKind, str], list[Ref]]:
        found: dict[tuple[FactKind, str], list[Ref]] = defaultdict(list)
        for ref in self.inventory.secrets:
            found[FactKind.SECRET, ref.name].append(ref)
        for ref in self.inventory.kind_of:
            if ref.kind == "Pod":
                found[FactKind.POD, ref.name].append(ref)
        for accounts in self.accounts.values():
            for ref in accounts:
                found[FactKind.ACCOUNT, ref.name].append(ref)
        return found

    def called(self, kind: FactKind, name: str, scope: str) -> list[Ref]:
        """The objects of a name in a namespace, in all of them at cluster scope."""
        found = self._by_name.get((kind, name), [])
        return found if scope == AT_CLUSTER else [ref for ref in found if ref.namespace == scope]

    def host_fields(self, namespace: str) -> tuple[str, ...] | None:
        """What a pod field that opens the node rests on in a namespace; None where Pod Security refuses it."""
        found = self.inventory.enforcements.get(namespace)
        if found is None or not found.written:
            return ("PSA",)
        return () if admits("privileged", found, self.minor) else None


def identity(subject: Ref) -> Fact:
    """The fact that requests can be made as a subject."""
    return Fact(FactKind(subject.kind), subject.name, subject.namespace or "")


#: Any kubelet as far as NodeRestriction lets it use the grants of `system:nodes`.
KUBELET = Fact(FactKind.COMPOUND, "a kubelet")


def kubelet(user: Ref) -> Fact:
    """The same of one that bindings name as a user."""
    return Fact(FactKind.COMPOUND, f"{user.name} as a kubelet")


def holders(subject: Ref) -> tuple[Fact, ...]:
    """Every fact under which the grants of a subject of a binding are used."""
    if subject == NODES_GROUP:
        return (identity(subject), KUBELET)
    if subject.kind == "User" and subject.name.startswith(NODE_PREFIX):
        return (identity(subject), kubelet(subject))
    return (identity(subject),)


def parse_role(text: str) -> Ref:
    """The role whose ``str`` is the text; names of roles may hold no slash."""
    kind, _, rest = text.partition("/")
    namespace, _, name = rest.rpartition("/")
    return Ref(kind, name, namespace or None)


__all__ = [
    "ALL_ROLES",
    "ALL_SHOWN",
    "EVERYTHING",
    "KUBELET",
    "AttackGraph",
    "Drawing",
    "Label",
    "holders",
    "identity",
    "kubelet",
    "parse_role",
]
