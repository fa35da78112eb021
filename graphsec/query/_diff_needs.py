"""What two inputs must hold to be compared: a kind that one of them lacks is no difference, and one that both lack is no proof.

hardening.md §2: never a clean answer about a kind that was not loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphsec.algebra.expressions import EVERYTHING
from graphsec.compile import World
from graphsec.compile.endpoints import TEMPLATES
from graphsec.model.coverage import RBAC_KINDS, State
from graphsec.model.policy import Endpoints, Policy
from graphsec.model.policy_families import POLICY_KINDS

BINDINGS = ("ClusterRoleBinding", "RoleBinding")
ROLES = ("ClusterRole", "Role")
WORKLOADS = ("Pod", *TEMPLATES)
#: Why a kind of which there are only the objects that every cluster is born with is in the coverage.
_SHIPPED = "--with-defaults"


def holds(world: World, kind: str) -> bool:
    """Whether the input itself holds an object of a kind."""
    entry = world.coverage[kind]
    return bool(entry.objects) and _SHIPPED not in entry.reasons


def is_absent(world: World, kind: str) -> bool:
    """Whether the input itself holds nothing of a kind, without proof that there is nothing."""
    entry = world.coverage[kind]
    return entry.state is State.ABSENT or _SHIPPED in entry.reasons


def only_in(here: World, there: World, kinds: Iterable[str]) -> list[str]:
    """Kinds that one input holds and of which the other has nothing, for all that it proves."""
    return [kind for kind in kinds if holds(here, kind) and is_absent(there, kind)]


def lacking_for_access(world: World, name: str) -> Iterator[str]:
    """What hides grants: kinds of bindings that are not there; kinds of roles only where a binding refers to what is missing."""
    missing = {binding.role.kind for binding in world.access.dangling()}
    for kind in RBAC_KINDS:
        state = world.coverage[kind].state
        if state is State.PARTIAL:
            yield f"{kind} only in part in {name}"
        elif state is State.ABSENT and (kind in BINDINGS or kind in missing):
            yield f"no {kind} in {name}"


def lacking_for_paths(world: World, name: str) -> Iterator[str]:
    """Beside access: what runs. Manifests hold no nodes, so nodes are only missed where there are live pods."""
    yield from lacking_for_access(world, name)
    coverage = world.coverage
    yield from (
        f"{kind} only in part in {name}" for kind in (*WORKLOADS, "Node") if coverage[kind].state is State.PARTIAL
    )
    if not any(coverage[kind].objects or coverage[kind].state is State.EMPTY for kind in WORKLOADS):
        yield f"no pod or workload in {name}"
    elif coverage["Pod"].objects and coverage["Node"].state is State.ABSENT:
        yield f"no Node in {name}"


def lacking_for_flows(world: World, name: str) -> Iterator[str]:
    """Policies, and namespaces where a policy asks for the labels of those that the input does not show."""
    coverage = world.coverage
    kinds = (*WORKLOADS, "Node", "Namespace", *POLICY_KINDS)
    yield from (
        f"{kind} only in part in {name}" for kind in dict.fromkeys(kinds) if coverage[kind].state is State.PARTIAL
    )
    if coverage["NetworkPolicy"].state is State.ABSENT:
        yield f"no NetworkPolicy in {name}"
    flows = world.flows
    if flows.universe.unlabelled and any(_asks_for_namespaces(placed.body) for placed in flows.policies.placed):
        yield f"no Namespace {flows.universe.unlabelled[0]} in {name}, whose labels a policy asks for"


def _asks_for_namespaces(policy: Policy) -> bool:
    rules = (*(policy.ingress or ()), *(policy.egress or ()))
    terms = [term for rule in rules for peer in rule.peers or () for term in (*peer.terms, *peer.without)]
    return any(
        isinstance(term, Endpoints) and not term.own and term.namespaces != EVERYTHING
        for term in (policy.selects, *terms)
    )
