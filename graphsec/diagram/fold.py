"""Fold a graph until it fits on a page: objects that play the same part become one node that counts its members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Literal

import msgspec

from graphsec.diagram.parts import BINDINGS, Arrow, DrawnKind, Line, Vertex
from graphsec.errors import UsageError

Fold = Literal["namespace", "class", "workload", "none"]

#: Few and essential: a picture names each of them.
_NEVER_FOLDED = frozenset({DrawnKind.INTERNET, DrawnKind.SINK})


class Box(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A drawn node: one object, or several folded into one."""

    kind: DrawnKind
    #: Their common namespace; "" at cluster scope or across namespaces.
    group: str
    #: In canonical order.
    members: tuple[Vertex, ...]


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A drawn arrow between two boxes by index: all arrows of one style between their members."""

    tail: int
    head: int
    style: Line
    labels: frozenset[str] = frozenset()
    #: Bindings that this arrow stands for.
    via: frozenset[Vertex] = frozenset()

    @property
    def looks(self) -> Hashable:
        """What two arrows must share for their ends to be folded; which binding it was is not part of it."""
        through = frozenset([(binding.kind, binding.group) for binding in self.via]) if self.via else None
        return (self.style, self.labels, through)


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes in canonical order, links in the order of their ends, and what was done to get there."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    #: What the picture no longer tells; "" while all members of a box have the same arrows.
    lost: str = ""


def fold(vertices: Iterable[Vertex], arrows: Iterable[Arrow], *, by: Fold, max_nodes: int) -> Sheet:
    """The graph folded ``by``; above ``max_nodes`` folded harder, and only as far as needed.

    What loses detail must pay in clarity: then arrows are at most half as many as ``max_nodes``.
    Raises UsageError for an unknown fold.
    """
    if by not in _EXACT:
        raise UsageError(f"unknown fold `{by}`", help=f"folds: {', '.join(_EXACT)}")
    sheet = _unfolded(vertices, arrows)
    for exact in _EXACT[by]:
        sheet = exact(sheet)
    lossy = _LOSSY[by]
    if not lossy or len(sheet.boxes) <= max_nodes:
        return sheet
    if len(sheet.boxes) > _FAR * max_nodes:
        lossy = _FAR_STEPS
    else:
        sheet = _twins_and_bindings(_by_kind)(sheet)
    harder = sheet
    for step in lossy:
        if _readable(harder, max_nodes):
            break
        harder = step(sheet, max_nodes)
    return harder


def _readable(sheet: Sheet, max_nodes: int) -> bool:
    return len(sheet.boxes) <= max_nodes and (not sheet.lost or 2 * len(sheet.links) <= max_nodes)


def _unfolded(vertices: Iterable[Vertex], arrows: Iterable[Arrow]) -> Sheet:
    unique = {vertex.key: vertex for vertex in vertices}
    ordered = sorted(unique.values(), key=_vertex_order)
    index = {vertex.key: number for number, vertex in enumerate(ordered)}
    links = [
        Link(
            tail=index[arrow.tail],
            head=index[arrow.head],
            style=arrow.style,
            labels=frozenset((arrow.label,)) if arrow.label else frozenset(),
        )
        for arrow in arrows
    ]
    boxes = tuple(Box(kind=vertex.kind, group=vertex.group, members=(vertex,)) for vertex in ordered)
    return Sheet(boxes=boxes, links=_merged(links, range(len(boxes))))


_RANK = {kind: rank for rank, kind in enumerate(DrawnKind)}


def _vertex_order(vertex: Vertex) -> tuple[int, str, str]:
    return (_RANK[vertex.kind], vertex.group, vertex.key)


_LINE_RANK = {line: rank for rank, line in enumerate(Line)}


def _merged(links: Sequence[Link], place: Mapping[int, int] | Sequence[int]) -> tuple[Link, ...]:
    """Links between the boxes' new places, parallel ones of one style as one."""
    # An integer per link: a tuple each would leave most of the time to the garbage collector.
    boxes, styles = len(place), len(_LINE_RANK)
    keys = [(place[link.tail] * boxes + place[link.head]) * styles + _LINE_RANK[link.style] for link in links]
    merged = []
    for _, same in groupby(sorted(range(len(links)), key=keys.__getitem__), key=keys.__getitem__):
        first, *parallel = [links[number] for number in same]
        labels, via = first.labels, first.via
        if parallel:
            labels = labels.union(*[link.labels for link in parallel])
            via = via.union(*[link.via for link in parallel])
        merged.append(Link(tail=place[first.tail], head=place[first.head], style=first.style, labels=labels, via=via))
    return tuple(merged)


def _rebuilt(sheet: Sheet, classes: Collection[Sequence[int]], *, lost: str = "") -> Sheet:
    """``sheet`` with each class of boxes, in the order of their first ones, as one box; boxes of no class go."""
    if len(classes) == len(sheet.boxes):
        return sheet
    place = {old: new for new, cls in enumerate(classes) for old in cls}
    links = [link for link in sheet.links if link.tail in place and link.head in place]
    return Sheet(boxes=tuple([_united(sheet, cls) for cls in classes]), links=_merged(links, place), lost=lost)


def _united(sheet: Sheet, cls: Sequence[int]) -> Box:
    if len(cls) == 1:
        return sheet.boxes[cls[0]]
    boxes = [sheet.boxes[number] for number in cls]
    groups = {box.group for box in boxes}
    members = tuple(sorted((member for box in boxes for member in box.members), key=_vertex_order))
    return Box(kind=boxes[0].kind, group=groups.pop() if len(groups) == 1 else "", members=members)


# Exact steps: members of a box have the same arrows


_Bucket = Callable[[Box], Hashable]
_Exact = Callable[[Sheet], Sheet]


def _by_namespace(box: Box) -> Hashable:
    return (box.kind, box.group)


def _by_kind(box: Box) -> Hashable:
    """What applies to the whole cluster stays apart from what applies to namespaces."""
    return (box.kind, bool(box.members[0].group))


def _by_class(box: Box) -> Hashable:
    return (box.kind, box.members[0].cls)


def _by_workload(box: Box) -> Hashable:
    first = box.members[0]
    return (box.kind, box.group, first.cls or first.key)


def _accounts_by_namespace(box: Box) -> Hashable:
    return (box.kind, box.group) if box.kind is DrawnKind.SERVICE_ACCOUNT and box.group else box


def _namespaced_by_namespace(box: Box) -> Hashable:
    return (box.kind, box.group) if box.group else box


def _twins(bucket: _Bucket) -> _Exact:
    """A step that folds boxes of one bucket with the same arrows, until there are hardly any."""
    return lambda sheet: _fixpoint(sheet, lambda one: _twins_once(one, bucket))


def _twins_and_bindings(bucket: _Bucket) -> _Exact:
    """Twins and plain bindings in turn: either can make the other possible."""
    return lambda sheet: _fixpoint(sheet, lambda one: _bindings_as_arrows(_twins_once(one, bucket), most=1))


def _fixpoint(sheet: Sheet, once: _Exact) -> Sheet:
    while True:
        smaller = once(sheet)
        # Rounds that fold less than a box in a hundred are not worth their time.
        if len(smaller.boxes) >= 0.99 * len(sheet.boxes):
            return smaller
        sheet = smaller


def _twins_once(sheet: Sheet, bucket: _Bucket) -> Sheet:
    """Also twins that point at each other: each counts as its own neighbour, as its twin sees it."""
    sheet = _same_arrows(sheet, bucket)
    buckets = _numbered(bucket(box) for box in sheet.boxes)
    if all(buckets[link.tail] != buckets[link.head] for link in sheet.links):
        return sheet
    return _same_arrows(sheet, bucket, mutual=buckets)


def _same_arrows(sheet: Sheet, bucket: _Bucket, *, mutual: Sequence[int] | None = None) -> Sheet:
    colours = _first_colours(sheet, bucket)
    around = _around(sheet.links, _looks(sheet.links), range(len(colours)), mutual=mutual)
    return _rebuilt(sheet, _classes(zip(colours, around, strict=True)))


def _bindings_as_arrows(sheet: Sheet, *, most: int) -> Sheet:
    """Bindings of up to ``most`` subjects become labels of arrows; the picture loses a column of boxes."""
    bindings = {number for number, box in enumerate(sheet.boxes) if box.kind in BINDINGS}
    into: dict[int, list[Link]] = defaultdict(list)
    out: dict[int, list[Link]] = defaultdict(list)
    for link in sheet.links:
        if link.tail in bindings:
            out[link.tail].append(link)
        if link.head in bindings:
            into[link.head].append(link)
    plain = [
        number
        for number in sorted(bindings)
        if 1 <= len(into[number]) <= most and len(out[number]) == 1
        if out[number][0].head not in bindings and bindings.isdisjoint(link.tail for link in into[number])
    ]
    through = [_through(sheet.boxes[number], link, out[number][0]) for number in plain for link in into[number]]
    gone = set(plain)
    kept = [[number] for number in range(len(sheet.boxes)) if number not in gone]
    return _rebuilt(Sheet(boxes=sheet.boxes, links=(*sheet.links, *through)), kept)


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


# Lossy steps: each folds the exact picture afresh, and gives up early where it would not get below ``max_nodes``


_Lossy = Callable[[Sheet, int], Sheet]
_See = Callable[[Sequence[int]], list[frozenset[int]]]

#: Colours that still split by then follow a long path, which no fold makes readable.
_ROUNDS = 20

#: Boxes of each kind that stay apart in a fold by what is reached.
_NAMED = (12, 4, 1, 0)


def _alike(bucket: _Bucket) -> _Lossy:
    """A step that folds boxes of one bucket with arrows to the same folded boxes: the coarsest stable partition.

    Ten ServiceAccounts with a ClusterRole each become one node each. Which account has which role is then hidden.
    """

    def step(sheet: Sheet, max_nodes: int) -> Sheet:
        return _refined(
            sheet,
            _first_colours(sheet, bucket),
            partial(_around, sheet.links, _looks(sheet.links)),
            max_nodes,
            lost="which member has which partner is hidden",
        )

    return step


def _together(bucket: _Bucket, *, lost: str) -> _Lossy:
    """A step that makes all boxes of one bucket one, whatever their arrows."""

    def step(sheet: Sheet, _: int) -> Sheet:
        folded = _rebuilt(sheet, _classes(_first_colours(sheet, bucket)))
        return msgspec.structs.replace(_twins_and_bindings(_by_kind)(folded), lost=lost)

    return step


def _reaching(bucket: _Bucket) -> _Lossy:
    """A step that folds by what is reached: boxes of one bucket whose arrows lead to the same folded boxes.

    Of each kind the cluster-scoped boxes that most objects lead to stay apart, as many as the picture bears: they tell
    the others apart.
    """

    def step(sheet: Sheet, max_nodes: int) -> Sheet:
        arrows = _bindings_as_arrows(sheet, most=len(sheet.boxes))
        colours = _first_colours(arrows, bucket)
        ahead = partial(_ahead, arrows.links, _coarse_looks(arrows.links))
        folded = sheet
        for named in _NAMED:
            busiest = _busiest(arrows, named)
            first = _numbered((colour, number if number in busiest else None) for number, colour in enumerate(colours))
            folded = _refined(
                arrows,
                first,
                ahead,
                max_nodes,
                lost="members lead to the same nodes, but not each to all members of these",
            )
            if _readable(folded, max_nodes):
                break
        return folded

    return step


def _busiest(sheet: Sheet, count: int) -> frozenset[int]:
    arriving = [0] * len(sheet.boxes)
    for link in sheet.links:
        arriving[link.head] += len(sheet.boxes[link.tail].members)
    by_kind: dict[DrawnKind, list[int]] = defaultdict(list)
    for number, box in enumerate(sheet.boxes):
        if arriving[number] and not box.members[0].group:
            by_kind[box.kind].append(number)
    return frozenset(
        number
        for numbers in by_kind.values()
        for number in sorted(numbers, key=lambda number: -arriving[number])[:count]
    )


def _refined(sheet: Sheet, colours: list[int], see: _See, max_nodes: int, *, lost: str) -> Sheet:
    """One box per colour, once boxes of one colour see the same; ``sheet`` itself where that are too many."""
    for _ in range(_ROUNDS):
        # Colours only ever split: what is too fine now will not fit either.
        if max(colours, default=0) >= max_nodes:
            return sheet
        finer = _numbered(zip(colours, see(colours), strict=True))
        if finer == colours:
            return _rebuilt(sheet, _classes(colours), lost=lost)
        colours = finer
    return sheet


# Colours: small numbers that are equal for boxes that look equal so far


def _first_colours(sheet: Sheet, bucket: _Bucket) -> list[int]:
    return _numbered(
        (bucket(box), number if box.kind in _NEVER_FOLDED else None) for number, box in enumerate(sheet.boxes)
    )


def _classes(colours: Iterable[Hashable]) -> Collection[list[int]]:
    classes: dict[Hashable, list[int]] = defaultdict(list)
    for number, colour in enumerate(colours):
        classes[colour].append(number)
    return classes.values()


def _around(
    links: Sequence[Link], looks: Sequence[int], colours: Sequence[int], *, mutual: Sequence[int] | None = None
) -> list[frozenset[int]]:
    """What each box sees: looks and direction of its arrows, and the colours at their other ends.

    With buckets as ``mutual`` an arrow within a bucket is also seen as one to the box itself.
    """
    seen: list[set[int]] = [set() for _ in colours]
    # An integer per sight, for the same reason as in _merged.
    unit = 2 * len(colours)
    for link, look in zip(links, looks, strict=True):
        tail, head = colours[link.tail], colours[link.head]
        seen[link.tail].add(look * unit + 2 * head)
        seen[link.head].add(look * unit + 2 * tail + 1)
        if mutual and mutual[link.tail] == mutual[link.head]:
            seen[link.tail].add(look * unit + 2 * tail)
            seen[link.head].add(look * unit + 2 * head + 1)
    return [frozenset(one) for one in seen]


def _ahead(links: Sequence[Link], looks: Sequence[int], colours: Sequence[int]) -> list[frozenset[int]]:
    """What each box leads to."""
    seen: list[set[int]] = [set() for _ in colours]
    for link, look in zip(links, looks, strict=True):
        seen[link.tail].add(look * len(colours) + colours[link.head])
    return [frozenset(one) for one in seen]


def _looks(links: Iterable[Link]) -> list[int]:
    return _numbered([link.looks for link in links])


def _coarse_looks(links: Iterable[Link]) -> list[int]:
    """Bindings of the cluster or of namespaces, whichever these are."""
    return _numbered((link.style, frozenset([binding.kind for binding in link.via])) for link in links)


def _numbered(keys: Iterable[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


#: What each fold always does.
_EXACT: dict[Fold, tuple[_Exact, ...]] = {
    "namespace": (_twins_and_bindings(_by_namespace),),
    "class": (_twins_and_bindings(_by_class),),
    "workload": (_twins(_by_workload),),
    "none": (),
}

#: This many times above the cap, only the steps that always end below it are worth their time.
_FAR = 20
_FAR_STEPS = (
    _reaching(_by_kind),
    _together(_by_kind, lost="all objects of one kind are one node, which has the arrows of all of them"),
)
_BY_NAMESPACE = (
    _alike(_by_namespace),
    _alike(_by_kind),
    _together(
        _accounts_by_namespace,
        lost="ServiceAccounts of one namespace are one node, which has the arrows of all of them",
    ),
    _together(
        _namespaced_by_namespace,
        lost="objects of one kind and namespace are one node, which has the arrows of all of them",
    ),
    *_FAR_STEPS,
)

#: Tried one by one while the picture is above the cap; the last one leaves little more than a node per kind.
_LOSSY: dict[Fold, tuple[_Lossy, ...]] = {
    "namespace": _BY_NAMESPACE,
    "class": (_alike(_by_class), _reaching(_by_class), *_FAR_STEPS),
    "workload": _BY_NAMESPACE,
    "none": (),
}
