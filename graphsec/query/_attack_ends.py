"""What the ends of an attack path mean: a spelling to the facts that it stands for (interface.md §3 and §6)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graphsec.compile import World
from graphsec.compile.attacks import AttackGraph
from graphsec.compile.attacks.drawing import KUBELET, holders, identity, kubelet
from graphsec.compile.attacks.gains import pod_fact
from graphsec.compile.attacks.principals import ANONYMOUS, AUTHENTICATED, NODE_PREFIX
from graphsec.errors import UsageError
from graphsec.model.attack import ALL_SECRETS, CLUSTER, INTERNET, SOME_NODE, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.query._subjects import parse_subject

K = FactKind
#: The sinks that have a name.
SINKS = {"cluster-admin": CLUSTER, "node": SOME_NODE, "secrets:all": ALL_SECRETS}
_HELP = (
    "`sa:NS/NAME`, `user:NAME`, `group:NAME`, `Pod/NS/NAME`, `Node/NAME`, `Namespace/NAME`, internet, anonymous or all"
)
_GOALS = "cluster-admin, node, secrets:all, `Secret/NS/NAME`, `ServiceAccount/NS/NAME`, `Node/NAME`, `Pod/NS/NAME`"
_NEAR = 0.6


@dataclass(frozen=True, slots=True)
class End:
    """``text`` is canonical; ``facts`` are established together (a start) or any one of them (a goal)."""

    text: str
    facts: tuple[Fact, ...]
    note: str = ""

    def __str__(self) -> str:
        return self.text


def start(text: str, world: World, graph: AttackGraph) -> End:
    """Raises UsageError for a pod, node or namespace that the input does not hold."""
    if text == "internet":
        return End(text, (INTERNET, identity(ANONYMOUS)))
    if text == "anonymous":
        return End(text, (identity(ANONYMOUS),))
    kind, _, rest = text.partition("/")
    find = _PLACES.get(kind.lower()) if rest else None
    if find is not None:
        return find(rest, graph)
    subject = parse_subject(text, world)
    return End(str(subject), _as_subject(subject, world, graph))


def _as_subject(subject: Ref, world: World, graph: AttackGraph) -> tuple[Fact, ...]:
    fact = identity(subject)
    if subject.kind == "User":
        if subject.name.startswith(NODE_PREFIX):
            credential = Fact(K.NODE_IDENTITY, subject.name.removeprefix(NODE_PREFIX))
            known = [found for found in (credential, kubelet(subject)) if found in graph.horn.ids]
            return (*known, KUBELET)
        listed = Fact(K.COMPOUND, subject.name)
        return (listed, fact) if listed in graph.horn.ids else (fact, *_above(graph, fact, subject))
    return (fact, *_above(graph, fact, subject))


def _above(graph: AttackGraph, fact: Fact, subject: Ref) -> tuple[Fact, ...]:
    """Groups of a subject that the graph does not know; it knows those of all others."""
    if fact in graph.horn.ids:
        return ()
    groups = tuple(graph.drawing.principals.above(subject))
    return tuple(identity(group) for group in groups or (AUTHENTICATED,))


def _pod(rest: str, graph: AttackGraph) -> End:
    namespace, _, name = rest.partition("/")
    return _workload("Pod", namespace, name, graph)


def _workload(kind: str, namespace: str, name: str, graph: AttackGraph) -> End:
    inventory = graph.drawing.inventory
    ref = Ref(kind, name, namespace)
    if ref in inventory.kind_of:
        found = inventory.kind_of[ref]
        single = pod_fact(found, ref)
        if single in graph.horn.ids:
            return End(str(ref), (single,))
        return End(str(ref), (pod_fact(found),))
    members = inventory.placed.pods_of_workload.get(ref, [])
    if members:
        kinds = dict.fromkeys(pod_fact(inventory.kind_of[inventory.placed.refs[index]]) for index in members)
        return End(str(ref), tuple(kinds))
    if any(loaded.ref == ref for loaded in inventory.finished):
        raise UsageError(f"{ref} has finished: no code runs in it any more")
    raise UsageError(f"no {ref} in the input", help=_near(str(ref), map(str, inventory.kind_of)))


def _node(rest: str, graph: AttackGraph) -> End:
    names = graph.drawing.inventory.node_names
    if rest not in names:
        raise UsageError(f"no Node/{rest} in the input", help=_near(rest, names))
    return End(f"Node/{rest}", (Fact(K.NODE, rest),))


def _namespace(rest: str, graph: AttackGraph) -> End:
    """Whoever has taken over a namespace runs code in all its pods."""
    inventory = graph.drawing.inventory
    if rest not in inventory.namespaces:
        raise UsageError(f"nothing of the input is in namespace {rest}", help=_near(rest, inventory.namespaces))
    pods = tuple(dict.fromkeys(pod_fact(kind) for kind in graph.drawing.kinds_by_namespace.get(rest, ())))
    return End(f"Namespace/{rest}", pods)


def _of_kind(kind: str) -> Callable[[str, AttackGraph], End]:
    def find(rest: str, graph: AttackGraph) -> End:
        namespace, _, name = rest.partition("/")
        return _workload(kind, namespace, name, graph)

    return find


_PLACES: dict[str, Callable[[str, AttackGraph], End]] = {
    "pod": _pod,
    "node": _node,
    "namespace": _namespace,
    **{
        kind.lower(): _of_kind(kind)
        for kind in ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob", "ReplicationController")
    },
}


def goal(text: str, world: World, graph: AttackGraph) -> End:
    """Raises UsageError for an object that the input neither holds nor mentions."""
    if text in SINKS:
        return End(text, (SINKS[text],))
    kind, slash, rest = text.partition("/")
    if slash and kind.lower() == "secret":
        return _secret(rest, graph)
    if slash and kind.lower() in _PLACES and kind.lower() != "namespace":
        return _with_node(_PLACES[kind.lower()](rest, graph), rest, graph)
    if slash and kind.lower() == "cloudidentity":
        return _known((Fact(K.CLOUD, rest),), text, graph)
    if slash or ":" in text:
        subject = parse_subject(text, world)
        return _known(_falls_as(subject), str(subject), graph)
    raise UsageError(f"unknown target `{text}`", help=f"targets: {_GOALS}")


def _with_node(end: End, rest: str, graph: AttackGraph) -> End:
    """A pod falls with the others of its node, too, where the graph does not tell it from its like."""
    namespace, _, name = rest.partition("/")
    kind = graph.drawing.inventory.kind_of.get(Ref("Pod", name, namespace))
    node = kind.node_of(Ref("Pod", name, namespace)) if kind and end.facts[0].kind is K.PODS_LIKE else ""
    return End(end.text, (*end.facts, Fact(K.NODE_PODS, node))) if node else end


def _falls_as(subject: Ref) -> tuple[Fact, ...]:
    """Whatever it takes to make requests as a subject; the credential of a kubelet is its user in `system:nodes`."""
    if subject.kind == "User" and subject.name.startswith(NODE_PREFIX):
        return (Fact(K.NODE_IDENTITY, subject.name.removeprefix(NODE_PREFIX)), *holders(subject))
    return holders(subject)


def _known(facts: Iterable[Fact], text: str, graph: AttackGraph) -> End:
    known = tuple(fact for fact in facts if fact in graph.horn.ids)
    if not known:
        raise UsageError(f"nothing of the input names {text}", help=f"targets: {_GOALS}")
    return End(text, known)


def _secret(rest: str, graph: AttackGraph) -> End:
    namespace, _, name = rest.partition("/")
    fact = Fact(K.SECRET, name, namespace)
    inventory = graph.drawing.inventory
    text = f"Secret/{namespace}/{name}"
    if fact in graph.horn.ids or Ref("Secret", name, namespace) in inventory.secrets:
        return End(text, (fact,))
    if inventory.listed("Secret") or namespace not in inventory.namespaces:
        raise UsageError(f"no {text} in the input", help=_near(text, map(str, inventory.secrets)))
    note = f"{text} is not in the input: answered for whoever reads every Secret of {namespace}"
    return End(text, (Fact(K.SECRETS, "", namespace),), note)


def _near(text: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(text, list(known), n=1, cutoff=_NEAR)
    return f"did you mean {found[0]}?" if found else f"a start is {_HELP}"
