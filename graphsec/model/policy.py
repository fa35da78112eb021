"""The ordered form that every policy family compiles to; the engine knows no family by name.

Per direction, traffic of an endpoint passes the tiers in order. In a tier the policies that select the endpoint are read
in order and their rules from top to bottom; the first rule that matches decides. A tier that selects the endpoint and
decides nothing ends with its ``default``; traffic that leaves the last tier is allowed. NetworkPolicy is the tier
``default`` with allow rules only and the default Deny (N-01); Baseline tiers lie behind it and so apply only where no
NetworkPolicy isolates (C-07).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.expressions import EVERYTHING, Expression
from graphsec.algebra.ports import ALL_PORTS, PortSet

#: Label that every namespace carries (N-08a); accounts get it here too, so that selectors can name them.
NAME_LABEL = "kubernetes.io/metadata.name"


class Direction(enum.StrEnum):
    INGRESS = "ingress"
    EGRESS = "egress"


class Action(enum.StrEnum):
    ALLOW = "allow"
    DENY = "deny"
    #: On to the next tier (C-02).
    PASS = "pass"


@dataclass(frozen=True, slots=True, order=True)
class Tier:
    """Ascending by order, then name. ``default``: what happens to traffic of an endpoint that the tier selects and no
    rule of it decides: DENY, or PASS to the next tier (CA-03)."""

    order: float
    name: str
    default: Action


#: Orders as Calico maps the admin API (C-11); the tier between them is that of NetworkPolicy.
ADMIN_POLICY = Tier(1_000, "adminnetworkpolicy", Action.PASS)
ADMIN = Tier(1_000, "kube-admin", Action.PASS)
DEFAULT = Tier(1_000_000, "default", Action.DENY)
BASELINE_POLICY = Tier(10_000_000, "baselineadminnetworkpolicy", Action.PASS)
BASELINE = Tier(10_000_000, "kube-baseline", Action.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Pods by the labels of their namespace and their own; both must hold.

    ``own`` limits to the namespace of the policy. ``sets`` also takes the addresses of labelled address sets
    (Calico's NetworkSets, CA-12): those in the namespaces, and with ``global_sets`` those without a namespace.
    ``pods=False`` takes address sets alone (CA-08 `global()`).
    """

    own: bool = False
    namespaces: Expression = EVERYTHING
    labels: Expression = EVERYTHING
    pods: bool = True
    sets: bool = False
    global_sets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """ipBlock, `networks`, `nets`: external addresses, and pods and nodes as the profile says (S-01, S-02)."""

    blocks: AddressSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Addresses of the nodes with these labels (A-08, R-20)."""

    labels: Expression = EVERYTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """External addresses behind these names, which no input tells (M-03): any external address may be one."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The pods behind a Service, by its selector; in the policy's own namespace if ``namespace`` is ""."""

    name: str
    namespace: str = ""


Term = Endpoints | Addresses | Nodes | Domains | Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An end that fulfils every one of ``terms`` and none of ``without``. No terms at all: any end whatsoever."""

    terms: tuple[Term, ...] = ()
    without: tuple[Term, ...] = ()
    #: Where it is written, e.g. `from[1]`.
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPort:
    """A name of a container port of the destination (N-09); ``protocol`` "" takes that of the container port (A-06)."""

    name: str
    protocol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Numbers and names, any of which may match, and none of ``without`` (Calico's notPorts)."""

    numbers: PortSet = ALL_PORTS
    named: tuple[NamedPort, ...] = ()
    without: tuple[NamedPort, ...] = ()


ANY_PORT = Ports()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``peers`` None: any end, pod or not (N-05a); an empty tuple matches none. ``own`` narrows the policy's subjects
    to which the rule applies. ``index`` is the position in the list as it is written."""

    action: Action
    index: int
    peers: tuple[Peer, ...] | None = None
    ports: Ports = ANY_PORT
    own: Peer | None = None
    #: The rule's own name, where its family gives one.
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a policy object says. A direction that is None is left alone (N-01c, A-03)."""

    selects: Endpoints
    #: A tier, or the name of one that a Tier object of the input defines (CA-01).
    tier: Tier | str = DEFAULT
    #: Ascending within the tier, ties by name; ``ties`` says that the API leaves equal ones undefined (A-04).
    order: float = math.inf
    #: In front of the name where policies of equal order are sorted by it.
    prefix: str = ""
    ties: bool = False
    ingress: tuple[Rule, ...] | None = None
    egress: tuple[Rule, ...] | None = None
    #: How many rules of each list are written; the lines of the object are those of ingress, then of egress.
    written: tuple[int, int] = (0, 0)
    #: Written rules of a direction that policyTypes turns off (N-02b, N-02c), e.g. `egress`.
    inert: tuple[Direction, ...] = ()
    #: True where policyTypes is absent and was derived (N-02a).
    types_derived: bool = False
    #: What the policy says that is not modelled, in sentences.
    limits: tuple[str, ...] = ()

    def rules(self, direction: Direction) -> tuple[Rule, ...] | None:
        return self.ingress if direction is Direction.INGRESS else self.egress


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAddresses:
    """A NetworkSet or GlobalNetworkSet: addresses that selectors find by labels (CA-12)."""

    labels: tuple[tuple[str, str], ...]
    addresses: AddressSet


@dataclass(frozen=True, slots=True, kw_only=True)
class TierOrder:
    """A Tier object."""

    order: float
    default: Action
