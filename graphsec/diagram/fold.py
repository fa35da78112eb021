"""Fold a graph until it fits on a page: objects that play the same part become one node that counts its members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from graphsec.diagram.parts import BINDINGS, Arrow, DrawnKind, Line, Vertex

Fold = Literal["namespace", "class", "workload", "none"]

#: Few and essential: a picture names each of them.
_NEVER_FOLDED = frozenset({DrawnKind.INTERNET, DrawnKind.SINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A drawn node: one object, or several folded into one."""

    kind: DrawnKind
    #: Their common namespace; "" at cluster scope or across namespaces.
    group: str
    #: In canonical order.
    members: tuple[Vertex, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A drawn arrow between two boxes by index: all arrows of one style between their members."""

    tail: int
    head: int
    style: Line
    labels: frozenset[str]
    #: Bindings that this arrow stands for.
    via: frozenset[Vertex] = frozenset()

    @property
    def looks(self) -> Hashable:
        """What two arrows must share for their ends to be folded; which binding it was is not part of it."""
        through = frozenset((binding.kind, binding.group) for binding in self.via) if self.via else None
        return (self.style.value, self.labels, through)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Boxes in canonical order, links in the order of their ends, and what was done to get there."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    #: True once members of a box share only the kind of their neighbours.
    alike: bool = False


def fold(vertices: Iterable[Vertex], arrows: Iterable[Arrow], *, by: Fold, max_nodes: int) -> Sheet:
    """The graph folded ``by``; above ``max_nodes`` folded harder, step by step, as far as the steps go."""
    sheet = _unfolded(vertices, arrows)
    steps = _STEPS[by]
    for step in steps:
        sheet = step(sheet, max_nodes)
    for step in _HARDER if steps else ():
        if len(sheet.boxes) <= max_nodes:
            break
        sheet = step(sheet, max_nodes)
    return sheet


def _unfolded(vertices: Iterable[Vertex], arrows: Iterable[Arrow]) -> Sheet:
    unique = {vertex.key: vertex for vertex in vertices}
    ordered = sorted(unique.values(), key=_vertex_order)
    index = {vertex.key: number for number, vertex in enumerate(ordered)}
    links = [
        Link(
            tail=index[arrow.tail],
            head=index[arrow.head],
            style=arrow.style,
            labels=frozenset({arrow.label} if arrow.label else ()),
        )
        for arrow in arrows
    ]
    boxes = tuple(Box(kind=vertex.kind, group=vertex.group, members=(vertex,)) for vertex in ordered)
    return Sheet(boxes=boxes, links=_merged(links))


_RANK = {kind: rank for rank, kind in enumerate(DrawnKind)}


def _vertex_order(vertex: Vertex) -> tuple[int, str, str]:
    return (_RANK[vertex.kind], vertex.group, vertex.key)


def _merged(links: Iterable[Link]) -> tuple[Link, ...]:
    """Parallel links of one style as one."""
    parallel: dict[tuple[int, int, str], list[Link]] = defaultdict(list)
    for link in links:
        parallel[link.tail, link.head, link.style.name].append(link)
    return tuple(
        Link(
            tail=tail,
            head=head,
            style=same[0].style,
            labels=frozenset().union(*(link.labels for link in same)),
            via=frozenset().union(*(link.via for link in same)),
        )
        for (tail, head, _), same in sorted(parallel.items())
    )


def _rebuilt(sheet: Sheet, classes: Collection[Sequence[int]], *, alike: bool = False) -> Sheet:
    """``sheet`` with each class of boxes as one box; boxes of no class go."""
    if len(classes) == len(sheet.boxes):
        return sheet
    folded = []
    for cls in classes:
        boxes = [sheet.boxes[number] for number in cls]
        groups = {box.group for box in boxes}
        members = tuple(sorted((member for box in boxes for member in box.members), key=_vertex_order))
        box = Box(kind=boxes[0].kind, group=groups.pop() if len(groups) == 1 else "", members=members)
        folded.append((box, cls))
    folded.sort(key=lambda entry: _vertex_order(entry[0].members[0]))
    place = {old: new for new, (_, cls) in enumerate(folded) for old in cls}
    links = [
        Link(tail=place[link.tail], head=place[link.head], style=link.style, labels=link.labels, via=link.via)
        for link in sheet.links
        if link.tail in place and link.head in place
    ]
    return Sheet(boxes=tuple(box for box, _ in folded), links=_merged(links), alike=sheet.alike or alike)


# Steps


_Bucket = Callable[[Box], Hashable]
#: From a sheet and the number of nodes to get down to.
_Step = Callable[[Sheet, int], Sheet]


def _by_namespace(box: Box) -> Hashable:
    return (box.kind, box.group)


def _by_kind(box: Box) -> Hashable:
    return box.kind


def _by_class(box: Box) -> Hashable:
    return (box.kind, box.members[0].cls)


def _by_workload(box: Box) -> Hashable:
    first = box.members[0]
    return (box.kind, box.group, first.cls or first.key)


def _twins(bucket: _Bucket) -> _Step:
    """A step that folds boxes of one bucket with the same arrows, until there are none."""

    def once(sheet: Sheet) -> Sheet:
        return _same_arrows(_same_arrows(sheet, bucket, mutual=False), bucket, mutual=True)

    return lambda sheet, _: _fixpoint(sheet, once)


def _twins_and_bindings(bucket: _Bucket) -> _Step:
    """Twins and plain bindings in turn: either can make the other possible."""
    twins = _twins(bucket)

    def once(sheet: Sheet) -> Sheet:
        return _without_plain_bindings(twins(sheet, 0))

    return lambda sheet, _: _fixpoint(sheet, once)


def _fixpoint(sheet: Sheet, once: Callable[[Sheet], Sheet]) -> Sheet:
    while True:
        smaller = once(sheet)
        if len(smaller.boxes) == len(sheet.boxes):
            return smaller
        sheet = smaller


def _same_arrows(sheet: Sheet, bucket: _Bucket, *, mutual: bool) -> Sheet:
    """``mutual`` twins also point at each other: each counts as its own neighbour, as its twin sees it."""
    buckets = _numbered(bucket(box) for box in sheet.boxes)
    around = _around(sheet.links, range(len(buckets)), mutual=buckets if mutual else None)
    classes: dict[Hashable, list[int]] = defaultdict(list)
    for number, box in enumerate(sheet.boxes):
        alone = number if box.kind in _NEVER_FOLDED else None
        classes[buckets[number], around[number], alone].append(number)
    return _rebuilt(sheet, classes.values())


def _without_plain_bindings(sheet: Sheet) -> Sheet:
    """Bindings between one subject and one role become labels of an arrow; the picture loses a column of boxes."""
    into: dict[int, list[Link]] = defaultdict(list)
    out: dict[int, list[Link]] = defaultdict(list)
    for link in sheet.links:
        out[link.tail].append(link)
        into[link.head].append(link)
    bindings = {number for number, box in enumerate(sheet.boxes) if box.kind in BINDINGS}
    plain = {
        number
        for number in bindings
        if len(into[number]) == len(out[number]) == 1 and not {into[number][0].tail, out[number][0].head} & bindings
    }
    through = [_through(sheet.boxes[number], into[number][0], out[number][0]) for number in sorted(plain)]
    kept = [[number] for number in range(len(sheet.boxes)) if number not in plain]
    return _rebuilt(Sheet(boxes=sheet.boxes, links=(*sheet.links, *through), alike=sheet.alike), kept)


def _through(binding: Box, into: Link, out: Link) -> Link:
    styles = {into.style, out.style}
    return Link(
        tail=into.tail,
        head=out.head,
        # One dashed half makes the whole chain inert, dangling or conditional.
        style=next(style for style in (Line.DASHED, Line.BOLD, Line.SOLID) if style in styles),
        labels=into.labels | out.labels,
        via=into.via | out.via | frozenset(binding.members),
    )


#: Colours that still split by then follow a long path, which no fold makes readable.
_ROUNDS = 20


def _alike(bucket: _Bucket) -> _Step:
    """A step that folds boxes of one bucket with arrows to the same folded boxes: the coarsest stable partition.

    Ten ServiceAccounts with a ClusterRole each become one node each. Which account has which role is then hidden.
    """

    def step(sheet: Sheet, max_nodes: int) -> Sheet:
        colours = _numbered(
            (bucket(box), number if box.kind in _NEVER_FOLDED else None) for number, box in enumerate(sheet.boxes)
        )
        for _ in range(_ROUNDS):
            # Colours only ever split: what is too fine now will not fit either.
            if max(colours, default=0) >= max_nodes:
                return sheet
            finer = _numbered(zip(colours, _around(sheet.links, colours), strict=True))
            if finer == colours:
                break
            colours = finer
        else:
            return sheet
        classes: dict[int, list[int]] = defaultdict(list)
        for number, colour in enumerate(colours):
            classes[colour].append(number)
        return _rebuilt(sheet, classes.values(), alike=len(classes) < len(sheet.boxes))

    return step


def _around(
    links: Sequence[Link], colours: Sequence[int], *, mutual: Sequence[int] | None = None
) -> list[frozenset[int]]:
    """What each box sees: looks and direction of its arrows, and the colours at their other ends.

    With buckets as ``mutual`` an arrow within a bucket is also seen as one to the box itself.
    """
    seen: list[set[int]] = [set() for _ in colours]
    # An integer per sight: a tuple each would leave most of the time to the garbage collector.
    unit = 2 * len(colours)
    for link, looks in zip(links, _numbered(link.looks for link in links), strict=True):
        tail, head = colours[link.tail], colours[link.head]
        seen[link.tail].add(looks * unit + 2 * head)
        seen[link.head].add(looks * unit + 2 * tail + 1)
        if mutual and mutual[link.tail] == mutual[link.head]:
            seen[link.tail].add(looks * unit + 2 * tail)
            seen[link.head].add(looks * unit + 2 * head + 1)
    return [frozenset(one) for one in seen]


def _numbered(keys: Iterable[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


#: The steps that each fold always takes. They lose nothing: members of a box have the same arrows.
_STEPS: dict[Fold, tuple[_Step, ...]] = {
    "namespace": (_twins_and_bindings(_by_namespace),),
    "class": (_twins_and_bindings(_by_class),),
    "workload": (_twins(_by_workload),),
    "none": (),
}

#: Taken one by one while the picture is above the cap.
_HARDER = (_twins_and_bindings(_by_kind), _alike(_by_namespace), _alike(_by_kind))
