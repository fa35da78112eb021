"""Pictures of attacks: facts as nodes, steps as arrows with the rule that makes them, an AND where a step needs several facts.

Steps that only say that one thing is part of another are thin, and what stands between two others for no more than that is
left out: the pods of a namespace between all pods and one of them, the files of a pod between it and its account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from graphsec.compile.attacks.drawing import ALL_ROLES, ALL_SHOWN, EVERYTHING, parse_role
from graphsec.diagram import Arrow, Diagram, DrawnKind, Fold, Line, Vertex, draw
from graphsec.model.attack import SOME_NODE, Fact, FactKind
from graphsec.model.ref import Ref
from graphsec.query._grants import vertex as object_vertex

if TYPE_CHECKING:
    from graphsec.compile import World
    from graphsec.query._answer import Answer
    from graphsec.query._attack_ends import End
    from graphsec.query.graph import Edge
    from graphsec.query.paths import AttackPath, Step

K = FactKind
#: Nodes that a page shows well, and characters of a line in them.
_COMFORT, _WIDTH = 20, 26
Parts = tuple[list[Vertex], list[Arrow]]
#: This many times above the cap, no fold that hides nothing gets below it.
_FAR = 20
#: Rules whose steps are mere structure.
_STRUCTURE = frozenset({"containment", "implicit-group"})
_KINDS = {
    K.USER: DrawnKind.USER,
    K.ACCOUNT: DrawnKind.SERVICE_ACCOUNT,
    K.GROUP: DrawnKind.GROUP,
    K.COMPOUND: DrawnKind.USER,
    K.POD: DrawnKind.POD,
    K.PODS_LIKE: DrawnKind.POD,
    K.NODE: DrawnKind.NODE,
    K.NODE_IDENTITY: DrawnKind.USER,
    K.INTERNET: DrawnKind.INTERNET,
    K.SECRET: DrawnKind.SECRET,
    K.NODE_PODS: DrawnKind.SET,
    K.PODS: DrawnKind.SET,
    K.NODES: DrawnKind.SET,
    K.ACCOUNTS: DrawnKind.SET,
    K.USERS: DrawnKind.SET,
    K.SECRETS: DrawnKind.SET,
    K.NEW_POD: DrawnKind.FOOTHOLD,
    K.NEW_HOST_POD: DrawnKind.FOOTHOLD,
    K.NEW_IMAGES: DrawnKind.FOOTHOLD,
    K.DEBUG: DrawnKind.FOOTHOLD,
    K.CLUSTER: DrawnKind.SINK,
    K.POWER: DrawnKind.PERMISSION,
    K.HELD: DrawnKind.PERMISSION,
}
#: Drawn with their name, and the namespace in front of it.
_NAMED = frozenset({K.USER, K.ACCOUNT, K.GROUP, K.COMPOUND, K.POD, K.PODS_LIKE, K.NODE, K.SECRET})
#: What stands for the same of one namespace, or of all.
_SCOPED = frozenset({
    K.PODS, K.ACCOUNTS, K.SECRETS, K.NEW_POD, K.NEW_HOST_POD, K.NEW_IMAGES, K.DEBUG, K.GRANT, K.POWER, K.HELD,
})  # fmt: skip
#: The node of a pod of which the input does not say where it runs.
_UNNAMED = "of "
_PLACES = {"Namespace": DrawnKind.NAMESPACE, "Pod": DrawnKind.POD, "Node": DrawnKind.NODE}
_SUBJECTS = ("User", "Group", "ServiceAccount")


def draw_path(path: AttackPath) -> Parts:
    """One proof."""
    sketch = Sketch()
    sketch.add_paths([path])
    return sketch.parts()


def draw_steps(steps: Iterable[Step]) -> Parts:
    """Steps that need not be a proof."""
    sketch = Sketch()
    sketch.add_steps(steps)
    return sketch.parts()


def draw_paths(answer: Answer[Any], fold: Fold, max_nodes: int) -> Diagram:
    """The proofs of an answer, whose items are paths or have one, as one picture."""
    paths = [path for item in answer.items if (path := getattr(item, "path", item)) is not None]
    sketch = Sketch()
    sketch.add_paths(paths)
    return _diagram(sketch.parts(), answer, fold, max_nodes)


def draw_edges(answer: Answer[Edge], focus: End | None, fold: Fold, max_nodes: int) -> Diagram:
    """A part of the attack graph, and what it is the part around."""
    sketch = Sketch()
    sketch.add_steps(edge.step for edge in answer.items)
    if focus is not None:
        sketch.add_source(focus.text, focus.facts, marked=True)
        return _diagram(sketch.parts(), answer, fold, max_nodes)
    # No picture of a whole graph that hides who leads where tells anything: the numbers do.
    parts = sketch.parts()
    if len(parts[0]) <= _FAR * max_nodes:
        whole = _diagram(parts, answer, fold, max_nodes, comfort=None)
        if not whole.sheet.lost:
            return whole
    return _diagram(parts, answer, "none", max_nodes, comfort=None)


def draw_focus(world: World, text: str, hops: int, fold: Fold, max_nodes: int) -> Diagram:
    """The attack graph within ``hops`` steps of what ``text`` names; the whole graph where that is "".

    Raises UsageError for what the graph does not hold.
    """
    from graphsec.query.graph import Graph

    return Graph(focus=text, hops=hops).answer(world).diagram(fold, max_nodes)


def _diagram(
    parts: Parts, answer: Answer[Any], fold: Fold, max_nodes: int, *, comfort: int | None = _COMFORT
) -> Diagram:
    vertices, arrows = parts
    return draw(
        vertices,
        arrows,
        title=answer.question.command(),
        fold=fold,
        max_nodes=max_nodes,
        comfort=comfort,
        framed=False,
        down=True,
        notes=answer.picture_notes if vertices else ("nothing to draw", *answer.picture_notes),
    )


# -- vertices ---------------------------------------------------------------------------------------------------


def fact_vertex(fact: Fact) -> Vertex:
    """A fact as pictures show it; the picture itself adds the namespace of what has a name."""
    # Names of users hold anything.
    key = f"{fact.kind.value}/{(fact.namespace, fact.name, fact.power)}"
    if fact.kind is K.GRANT:
        role = parse_role(fact.name)
        kind = DrawnKind.CLUSTER_ROLE if role.kind == "ClusterRole" else DrawnKind.ROLE
        return Vertex(key=key, label=_grant_words(fact, role), kind=kind, width=_WIDTH)
    kind = _KINDS.get(fact.kind, DrawnKind.OTHER)
    if kind is DrawnKind.POD and fact.power:
        kind = DrawnKind.WORKLOAD
    if fact == SOME_NODE:
        return Vertex(key=key, label="some node", kind=DrawnKind.NODE)
    if fact.kind is K.NODE and fact.name.startswith(_UNNAMED):
        return Vertex(key=key, label=f"node {fact.name}", kind=kind, width=_WIDTH)
    if fact.kind is K.NEW_POD and fact.name:
        return Vertex(key=key, label="a new pod in some namespace", kind=kind, width=_WIDTH)
    if fact.kind not in _NAMED:
        return Vertex(key=key, label=str(fact), kind=kind, width=_WIDTH)
    like = " (or its like)" if fact.kind is K.PODS_LIKE else ""
    return Vertex(key=key, label=fact.name + like, kind=kind, group=fact.namespace, width=_WIDTH)


def _grant_words(fact: Fact, role: Ref) -> str:
    place = f"in {fact.namespace}" if fact.namespace else "everywhere"
    if fact.name == str(EVERYTHING):
        return f"everything {place}"
    words = {ALL_SHOWN: f"any {role.kind} of the input", ALL_ROLES: f"any {role.kind}"}
    return f"{words.get(role.name, role.name)} {place}"


def _source_vertex(text: str) -> Vertex:
    """What a question names, as it is drawn where no single fact stands for it."""
    kind, _, rest = text.partition("/")
    if kind in _SUBJECTS or kind in ("Role", "ClusterRole"):
        namespace, slash, name = rest.partition("/") if kind in ("ServiceAccount", "Role") else ("", "", rest)
        ref = Ref(kind, name if slash or not namespace else rest, namespace or None)
        return msgspec.structs.replace(object_vertex(ref), key=f"source/{text}")
    if not rest:
        return Vertex(key=f"source/{text}", label=text, kind=DrawnKind.OTHER)
    if kind in ("Namespace", "Node"):
        return Vertex(key=f"source/{text}", label=rest, kind=_PLACES[kind])
    namespace, _, name = rest.partition("/")
    return Vertex(key=f"source/{text}", label=name, kind=_PLACES.get(kind, DrawnKind.WORKLOAD), group=namespace)


def _is_source(vertex: Vertex, source: Vertex, used: int) -> bool:
    """Whether the vertex of a fact is what a question names."""
    if source.kind is DrawnKind.OTHER:
        return used == 1 or vertex.kind is DrawnKind.INTERNET
    label = vertex.label.removesuffix(" (or its like)")
    return (vertex.kind, vertex.group, label) == (source.kind, source.group, source.label)


# -- drawing ----------------------------------------------------------------------------------------------------


class Sketch:
    """Steps to draw, each once, and what they are about."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, tuple[Fact, ...], Fact], Step] = {}
        #: Facts that are drawn whatever they say.
        self._kept: dict[Fact, None] = {}
        self._marked: set[Fact] = set()
        #: What is asked about and no fact itself, with the facts that it stands for.
        self._sources: dict[Vertex, dict[Fact, None]] = {}

    def add_paths(self, paths: Sequence[AttackPath]) -> None:
        """The source and the target are marked where there is one."""
        ends: dict[str, dict[Fact, None]] = defaultdict(dict)
        targets: dict[Fact, None] = {}
        for path in paths:
            self.add_steps(path.steps)
            premises = {premise for step in path.steps for premise in step.premises}
            used = [fact for fact in path.starts if fact in premises] if path.steps else path.starts[:1]
            ends[path.source].update(dict.fromkeys(used))
            if path.steps:
                targets[path.steps[-1].after] = None
        self._kept.update(targets)
        if len(targets) == 1:
            self._marked |= targets.keys()
        for text, facts in ends.items():
            self.add_source(text, facts, marked=len(ends) == 1)

    def add_steps(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._steps.setdefault((step.rule, step.premises, step.after), step)

    def add_source(self, text: str, facts: Collection[Fact], *, marked: bool) -> None:
        """What a question names: one of the facts, or something that stands for them."""
        self._kept.update(dict.fromkeys(facts))
        source = _source_vertex(text)
        own = next((fact for fact in facts if _is_source(fact_vertex(fact), source, len(facts))), None)
        if own is None:
            tail = msgspec.structs.replace(source, marked=marked)
        else:
            self._marked |= {own} if marked else set()
            tail = self._vertex(own)
        self._sources[tail] = dict.fromkeys(fact for fact in facts if fact != own)

    def _vertex(self, fact: Fact) -> Vertex:
        vertex = fact_vertex(fact)
        return msgspec.structs.replace(vertex, marked=True) if fact in self._marked else vertex

    def parts(self) -> Parts:
        place = self._places()
        vertices: dict[str, Vertex] = {}
        arrows: dict[Arrow, None] = {}

        def put(vertex: Vertex) -> str:
            vertices[vertex.key] = vertex
            return vertex.key

        def put_fact(fact: Fact) -> str:
            return put(self._vertex(place.get(fact, fact)))

        for fact in self._kept:
            put_fact(fact)
        for tail, facts in self._sources.items():
            arrows.update((Arrow(tail=put(tail), head=put_fact(fact), style=Line.PART), None) for fact in facts)
        for step in self._steps.values():
            head = put_fact(step.after)
            tails = list(dict.fromkeys(put_fact(premise) for premise in step.premises))
            if len(step.premises) > 1:
                together = put(_together(step, tails, head))
                arrows.update((Arrow(tail=tail, head=together), None) for tail in tails)
                tails = [together]
            arrows.update((_arrow(step, tail, head), None) for tail in tails if tail != head)
        return list(vertices.values()), list(arrows)

    def _places(self) -> Mapping[Fact, Fact]:
        """The fact in whose place each fact that is left out is drawn."""
        into: dict[Fact, list[Step]] = defaultdict(list)
        for step in self._steps.values():
            into[step.after].append(step)
        place: dict[Fact, Fact] = {}
        for fact, steps in into.items():
            if len(steps) == 1 and fact not in self._kept and _goes_without_saying(steps[0]):
                place[fact] = steps[0].before
        return {fact: _root(place, fact) for fact in place}


def _goes_without_saying(step: Step) -> bool:
    """Whether what a step leads to is drawn as what it starts from."""
    before, after = step.before, step.after
    if step.rule not in _STRUCTURE or len(step.premises) > 1 or step.assumptions:
        return False
    if after.kind is K.POD_FILES:
        return before.kind in (K.POD, K.PODS_LIKE)
    if after.kind is K.USER:
        return before == Fact(K.COMPOUND, after.name)
    return after.kind is before.kind and after.kind in _SCOPED and not after.name


def _root(place: Mapping[Fact, Fact], fact: Fact) -> Fact:
    seen = {fact}
    while (above := place.get(fact)) is not None and above not in seen:
        seen.add(above)
        fact = above
    return fact


def _together(step: Step, tails: Sequence[str], head: str) -> Vertex:
    return Vertex(key=f"AND/{step.rule}/{' + '.join(tails)} → {head}", label="AND", kind=DrawnKind.TOGETHER)


def _arrow(step: Step, tail: str, head: str) -> Arrow:
    if step.rule in _STRUCTURE and not step.assumptions:
        return Arrow(tail=tail, head=head, style=Line.PART)
    bindings = dict.fromkeys(ground.binding for ground in step.because if ground.binding is not None)
    return Arrow(
        tail=tail,
        head=head,
        style=Line.ASSUMED if step.assumptions else Line.SOLID,
        step=(f"[{step.rule}]", *_conditions(step.assumptions)),
        via=tuple(map(object_vertex, bindings)),
    )


def _conditions(assumptions: Sequence[str]) -> Iterator[str]:
    """`if WEBHOOK`, `and PSA`."""
    for number, name in enumerate(assumptions):
        yield f"{'and' if number else 'if'} {name}"
