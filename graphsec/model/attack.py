"""The words of the attack graph: facts that an attacker may establish, powers that requests need, rules that join them.

Sources: attacks.md §2 and §3. A power is stated in atomic requests; whether policy rules grant it is decided elsewhere by
the one matcher, so that no rule can spell a wildcard.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class FactKind(enum.StrEnum):
    """What a fact says of its object; the value is how answers name it."""

    # Identities: requests can be made as these.
    USER = "User"
    ACCOUNT = "ServiceAccount"
    #: The grants of a group, through some identity in it.
    GROUP = "Group"
    #: A user or account together with groups that it need not be in: impersonated, or named by a certificate.
    COMPOUND = "Identity"
    #: The rules of a role in a scope, for any identity under control. ``name`` is the role, ``namespace`` the scope.
    GRANT = "Grant"
    # Places where code runs.
    POD = "Pod"
    #: One of several pods that differ in nothing but their name, address and node.
    PODS_LIKE = "PodsLike"
    NODE = "Node"
    #: The credential of a kubelet: user `system:node:NAME` in group `system:nodes`.
    NODE_IDENTITY = "NodeIdentity"
    #: Code runs in any pod on the node, by its kubelet.
    NODE_PODS = "NodePods"
    INTERNET = "Internet"
    #: A connection to a workload that can be taken over by it.
    PORT = "Port"
    # Things that can be read.
    SECRET = "Secret"
    #: What such a pod mounts: the token of its account, Secrets.
    POD_FILES = "PodFiles"
    CLOUD = "CloudIdentity"
    # Hubs: every object of a kind in a namespace, in all namespaces where that is "".
    PODS = "Pods"
    NODES = "Nodes"
    ACCOUNTS = "ServiceAccounts"
    #: Every user that a binding names.
    USERS = "Users"
    SECRETS = "Secrets"
    #: A pod of the attacker's making, with any account and any volume that Restricted allows.
    NEW_POD = "NewPod"
    #: The same with a field that opens the node.
    NEW_HOST_POD = "NewHostPod"
    #: All pods of a namespace under a changed image.
    NEW_IMAGES = "NewImages"
    #: An ephemeral container of the attacker's making in any pod of a namespace.
    DEBUG = "Debug"
    CLUSTER = "Cluster"
    # What is held, for clauses with more than one premise.
    POWER = "Power"
    #: Some identity under control is bound to the role in the scope.
    HELD = "Held"

    @property
    def is_identity(self) -> bool:
        return self in _IDENTITIES


_IDENTITIES = frozenset({FactKind.USER, FactKind.ACCOUNT, FactKind.GROUP, FactKind.COMPOUND, FactKind.GRANT})


class Fact(NamedTuple):
    """``namespace`` is "" for what is in none and for what holds in all; ``power`` tells powers apart."""

    kind: FactKind
    name: str = ""
    namespace: str = ""
    power: str = ""

    def __str__(self) -> str:
        return _WORDS.get(self.kind, _plain)(self)


def _plain(fact: Fact) -> str:
    return "/".join(part for part in (fact.kind.value, fact.namespace, fact.name) if part)


def _where(fact: Fact) -> str:
    return f"of {fact.namespace}" if fact.namespace else "of every namespace"


_WORDS: Mapping[FactKind, Callable[[Fact], str]] = {
    FactKind.COMPOUND: lambda fact: f"Identity/{fact.name}",
    FactKind.GRANT: lambda fact: f"{fact.name} in {fact.namespace}" if fact.namespace else f"{fact.name} everywhere",
    FactKind.PODS_LIKE: lambda fact: f"Pod/{fact.namespace}/{fact.name} (or its like)",
    FactKind.POD_FILES: lambda fact: f"files of Pod/{fact.namespace}/{fact.name}",
    FactKind.PODS: lambda fact: f"every pod {_where(fact)}",
    FactKind.NODES: lambda fact: "a node of choice",
    FactKind.ACCOUNTS: lambda fact: f"every ServiceAccount {_where(fact)}",
    FactKind.USERS: lambda fact: "every User",
    FactKind.SECRETS: lambda fact: f"every Secret {_where(fact)}",
    FactKind.NEW_POD: lambda fact: (
        f"a new pod in {'some namespace' if fact.name else fact.namespace or 'any namespace'}"
    ),
    FactKind.NEW_HOST_POD: lambda fact: f"a new pod with host access in {fact.namespace or 'any namespace'}",
    FactKind.NODE_IDENTITY: lambda fact: f"kubelet credential of Node/{fact.name}",
    FactKind.NODE_PODS: lambda fact: f"every pod on Node/{fact.name}",
    FactKind.DEBUG: lambda fact: f"ephemeral containers in the pods {_where(fact)}",
    FactKind.NEW_IMAGES: lambda fact: f"new images for the pods {_where(fact)}",
    FactKind.CLUSTER: lambda fact: "cluster-admin",
    FactKind.INTERNET: lambda fact: "internet",
    FactKind.PORT: lambda fact: f"a connection to {fact.name} in {fact.namespace}",
    FactKind.POWER: lambda fact: (
        fact.power + (f" {fact.name!r}" if fact.name else "") + (f" in {fact.namespace}" if fact.namespace else "")
    ),
    FactKind.HELD: lambda fact: f"bound to {fact.name}" + (f" in {fact.namespace}" if fact.namespace else ""),
}

CLUSTER = Fact(FactKind.CLUSTER)
NODES = Fact(FactKind.NODES)
ALL_SECRETS = Fact(FactKind.SECRETS)
INTERNET = Fact(FactKind.INTERNET)
#: A new pod in whatever namespace; a node of whatever name.
SOME_POD, SOME_NODE = Fact(FactKind.NEW_POD, "somewhere"), Fact(FactKind.NODE)

#: What the input cannot prove, and what it is taken to be (attacks.md §3.0).
ASSUMPTIONS: Mapping[str, str] = {
    "PSA": "namespaces without a Pod Security label are privileged: no cluster default forbids the field",
    "WEBHOOK": "no admission webhook or policy refuses the object: those of the input are not evaluated, others not seen",
    "SCHED": "the scheduler can place the pod beside the target",
    "RUNTIME": "the container runs as root with the runtime's default capabilities, seccomp and AppArmor profiles",
    "NODE-OS": "kernel, cgroup version or runtime of the node permit it",
    "NODE-FILES": "the usual files are on the node's disk",
    "TOKEN-SECRET": "a token Secret exists that the input does not show",
    "CA-KEY": "the signing key is in reach",
    "BOOTSTRAP-RBAC": "the RBAC objects that every cluster is born with are there as shipped",
    "BOOTSTRAP-AUTH": "kubelets join by bootstrap tokens and certificate requests",
    "CLOUD-TRUST": "the cloud provider trusts the account as its annotation says",
    "DEPUTY-CONFIG": "the controller is configured to act for the writer",
    "LISTEN": "the marked workload listens on that port",
    "NP-ENFORCED": "the network plugin enforces what the policies allow, and nothing else refuses it",
    "FEATURE-GATES": "feature gates are at the defaults of the version",
    "GATE-OFF": "the feature gate that asks for create is off",
    "CONTROL-PLANE": "a node of the control plane is among the nodes, and not run by a provider",
    "ACCOUNT-EXISTS": "a ServiceAccount exists that only a binding names",
    "WORKLOAD-EXISTS": "an object to change exists that the input does not show",
    "HEURISTIC": "the step is a rule of thumb: what the mount or field gives depends on the node",
    "WRITER": "somebody with the right writes such an object later",
}


@dataclass(frozen=True, slots=True)
class Ability:
    """One atomic request: what ``kubectl auth can-i`` takes."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    #: None: the name of the object that the power is about; "": a request without a name; else that very name.
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """Requests that one principal must all be allowed (attacks.md §2.9 RQ), from minor ``since`` to below ``until``."""

    needs: tuple[Ability, ...]
    since: int = 0
    until: int = 1_000
    #: Names of ``ASSUMPTIONS`` under which this way works.
    assumes: tuple[str, ...] = ()


class Scope(enum.StrEnum):
    #: The requests carry a namespace: RoleBindings count.
    NAMESPACED = "namespaced"
    #: They carry none: only ClusterRoleBindings count.
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, eq=False)
class Power:
    """Something that requests can do; any one of ``ways`` suffices. ``id`` reads after "can". Equal to itself alone."""

    id: str
    ways: tuple[Way, ...]
    scope: Scope = Scope.NAMESPACED


class Confidence(enum.StrEnum):
    CERTAIN = "certain"
    CONDITIONAL = "conditional"
    HEURISTIC = "heuristic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A small cluster and what follows from it. Where ``verdict`` is proved or conditional, a proof uses the rule, and
    ``edit`` is a minimal change of the text after which none does."""

    title: str
    #: YAML documents, beside the objects that every cluster is born with.
    manifests: str
    #: As `paths` takes them.
    start: str
    goal: str
    #: proved, conditional or none.
    verdict: str
    #: (old, new): the old text stands once in the manifests.
    edit: tuple[str, str] | None = None
    k8s_version: str = "1.36"
    #: An entries file: what is marked as exploitable over the network.
    entries: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the catalogue (attacks.md §3). The module's docstring is its page: what it is, why it matters, needs, fix,
    references."""

    id: str
    title: str
    #: Heading under which it is listed: identity, workloads, credentials, rbac, execution, escape, nodes, admission, cloud,
    #: traffic.
    family: str
    #: info, low, medium, high or critical: of what it gains by itself.
    severity: str
    confidence: Confidence
    #: In words, for `rules list`.
    needs: str
    gains: str
    #: MITRE ATT&CK technique ids, and those of Microsoft's threat matrix for Kubernetes.
    attack: tuple[str, ...] = ()
    microsoft: tuple[str, ...] = ()
    since: int = 0
    until: int = 1_000
    assumes: tuple[str, ...] = ()
    core: bool = False
    examples: tuple[Example, ...] = ()
