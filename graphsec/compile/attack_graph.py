"""The attack graph in the typed graph: one node for each fact, one edge for each clause that gives it.

A fact about an object of the cluster is that object's node. A clause with several premises leads through a node of its own,
a ``Join``: whoever walks edges must have all that lead into it, and a walk through one of them is no proof (`paths` proves).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphsec.graph import Builder, Edge
from graphsec.model.attack import ALL_SECRETS, CLUSTER, SOME_NODE, SOME_POD, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.model.vocabulary import EdgeKind, NodeKind

if TYPE_CHECKING:
    from graphsec.compile.attacks import AttackGraph
    from graphsec.compile.attacks.drawing import Label

_Build = Builder[NodeKind, EdgeKind]
K = FactKind

#: What must not fall, under the names that `paths` knows as targets.
SINKS: Mapping[Fact, str] = {CLUSTER: "cluster-admin", SOME_NODE: "node", ALL_SECRETS: "secrets:all"}
#: Facts about one object, unless they have no name.
_OBJECTS: Mapping[FactKind, NodeKind] = {
    K.USER: NodeKind.USER,
    K.GROUP: NodeKind.GROUP,
    K.ACCOUNT: NodeKind.SERVICE_ACCOUNT,
    K.POD: NodeKind.POD,
    K.NODE: NodeKind.NODE,
    K.SECRET: NodeKind.SECRET,
}
#: All others stand for several things at once, or for a place: hubs.
_OTHERS: Mapping[FactKind, NodeKind] = {
    K.POWER: NodeKind.POWER,
    K.GRANT: NodeKind.POWER,
    K.HELD: NodeKind.POWER,
    K.CLOUD: NodeKind.SINK,
}


def add_attacks(builder: _Build, attacks: AttackGraph) -> None:
    """Every fact and every clause; premises that repeat, and clauses that differ in nothing that is shown, once."""
    horn = attacks.horn
    nodes = [_add(builder, fact) for fact in horn.facts]
    for clause, head in enumerate(horn.heads.tolist()):
        label = attacks.label(clause)
        premises = [nodes[fact] for fact in horn.body(clause)]
        if len(premises) > 1:
            premises = [_join(builder, premises, nodes[head], label.rule)]
        builder.edge(premises[0], nodes[head], EdgeKind.ATTACK, scope_of(label))


def _add(builder: _Build, fact: Fact) -> Ref:
    kind, ref = _placed(fact)
    builder.node(ref, kind)
    return ref


def _placed(fact: Fact) -> tuple[NodeKind, Ref]:
    """The node that stands for a fact."""
    if fact in SINKS:
        return NodeKind.SINK, Ref(NodeKind.SINK, SINKS[fact])
    kind = _OBJECTS.get(fact.kind) if fact.name else None
    if kind is NodeKind.POD and fact.power:
        # A template that no pod of the input comes from.
        return NodeKind.WORKLOAD, Ref(fact.power, fact.name, fact.namespace)
    if kind is not None:
        return kind, Ref(kind, fact.name, fact.namespace or None)
    kind = _OTHERS.get(fact.kind, NodeKind.HUB)
    return kind, Ref(kind, _words(fact), fact.namespace or None)


def _words(fact: Fact) -> str:
    """As `paths` names it, told apart where a sentence does not need to."""
    if fact == SOME_POD:
        return "a new pod in some namespace"
    if fact.kind is K.POD_FILES and fact.power:
        return f"files of {fact.power}/{fact.namespace}/{fact.name}"
    return str(fact)


def _join(builder: _Build, premises: list[Ref], head: Ref, rule: str) -> Ref:
    """The node of a clause, named by what it says: numbers would depend on the order of the input."""
    together = " and ".join(sorted(map(str, premises)))
    join = Ref(NodeKind.JOIN, f"{rule}: {together} → {head}")
    builder.node(join, NodeKind.JOIN)
    for premise in premises:
        builder.edge(premise, join, EdgeKind.ATTACK, rule)
    return join


def scope_of(label: Label) -> str:
    """`pod-exec`, `pod-attach [RUNTIME]`: the scope of an attack edge."""
    return f"{label.rule} [{', '.join(label.assumes)}]" if label.assumes else label.rule


def attack_words(edge: Edge[EdgeKind]) -> dict[str, str]:
    """``rule`` and ``assumptions`` of an attack edge, nothing for others; neither holds a space or bracket itself."""
    if edge.kind is not EdgeKind.ATTACK:
        return {}
    rule, _, rest = edge.scope.partition(" [")
    return {"rule": rule, "assumptions": rest.removesuffix("]")}
