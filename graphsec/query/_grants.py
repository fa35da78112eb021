"""Evidence and pictures shared by the questions about access."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from graphsec.compile import CLUSTER, AccessIndex, World
from graphsec.model.rbac import MASTERS_GROUP, PolicyRule
from graphsec.model.ref import Ref
from graphsec.query._answer import Evidence

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

#: Requests of these pass the Node authorizer too, which no RBAC object shows (S-80).
NODES = Ref("Group", "system:nodes")
EVERYTHING = (
    PolicyRule(verbs=("*",), groups=("*",), resources=("*",)),
    PolicyRule(verbs=("*",), urls=("*",)),
)
MASTERS_EVIDENCE = Evidence(semantics="S-47: system:masters is allowed everything before any authorizer runs")


def evidence(access: AccessIndex, binding_index: int, rule: PolicyRule | int, subject: Ref | None = None) -> Evidence:
    """Evidence for a grant through a binding; ``rule`` is a rule of its role or the position of one."""
    binding = access.bindings[binding_index]
    role = access.roles[binding.role]
    position = rule if isinstance(rule, int) else role.rules.index(rule)
    return Evidence(
        binding=binding.ref,
        role=role.ref,
        rule_index=position,
        rule=role.rules[position],
        source=binding.source,
        rule_source=role.rule_sources[position],
        aggregated_from=role.rule_origins[position] if role.rule_origins else "",
        subject=subject,
    )


def held_rules(
    world: World, principals: Iterable[Ref], namespace: str = ""
) -> dict[tuple[str, PolicyRule], list[Evidence]]:
    """What principals may do together: (scope, rule) -> every grant of it; scope "" is the whole cluster.

    With ``namespace`` only what holds there. Membership of system:masters gives everything (S-47).
    """
    principals, access = tuple(principals), world.access
    found: dict[tuple[str, PolicyRule], list[Evidence]] = defaultdict(list)
    if MASTERS_GROUP in principals:
        for rule in EVERYTHING:
            found[CLUSTER, rule].append(MASTERS_EVIDENCE)
    for principal in principals:
        for index in access.held(principal, namespace) if namespace else access.all_held(principal):
            binding = access.bindings[index]
            for position, rule in enumerate(access.roles[binding.role].rules):
                found[binding.scope, rule].append(evidence(access, index, position, principal))
    return found


def is_builtin(world: World, proofs: Iterable[Evidence], *, people: bool = False) -> bool:
    """Whether nothing but what every cluster has gives this: shipped bindings, or system:masters without ``people``."""
    return all(not people if proof.binding is None else world.provenance.is_builtin(proof.binding) for proof in proofs)


def rule_text(rule: PolicyRule) -> str:
    """`[""] [secrets] [get list] (names: a)` or `[/healthz] [get]`."""
    names = f" (names: {' '.join(rule.names)})" if rule.names else ""
    if rule.urls and not rule.resources:
        return f"[{' '.join(rule.urls)}] [{' '.join(rule.verbs)}]"
    groups = " ".join(group or '""' for group in rule.groups)
    return f"[{groups}] [{' '.join(rule.resources)}] [{' '.join(rule.verbs)}]{names}"


def vertex(ref: Ref) -> Vertex:
    """A principal, binding or role as pictures show it; the picture itself adds the namespace."""
    from graphsec.diagram import DrawnKind, Vertex

    kind = DrawnKind(ref.kind) if ref.kind in DrawnKind._value2member_map_ else DrawnKind.OTHER
    return Vertex(key=str(ref), label=ref.name, kind=kind, group=ref.namespace or "")


def draw_grant(subject: Ref, proof: Evidence, permission: str, *, dashed: bool) -> tuple[list[Vertex], list[Arrow]]:
    """Subject, its group where the binding names that, binding, role and permission as a chain."""
    from graphsec.diagram import Arrow, DrawnKind, Line, Vertex

    line = Line.DASHED if dashed else Line.SOLID
    goal = Vertex(key=f"Permission/{permission}", label=permission, kind=DrawnKind.PERMISSION)
    start = vertex(subject)
    if proof.binding is None or proof.role is None:
        return [start, goal], [Arrow(tail=start.key, head=goal.key, label="needs no binding (S-47)", style=line)]
    holder = vertex(proof.subject or subject)
    chain = [holder, vertex(proof.binding), vertex(proof.role), goal]
    arrows = [Arrow(tail=tail.key, head=head.key, style=line) for tail, head in pairwise(chain)]
    if holder != start:
        arrows.append(Arrow(tail=start.key, head=holder.key, label="member of"))
    return [start, *chain], arrows
