"""Fold a graph until it fits on a page: objects that play the same part become one node that counts its members."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Literal

import msgspec

from graphsec.algebra.ports import NO_PORTS, PortSet
from graphsec.diagram.parts import BINDINGS, Arrow, DrawnKind, Isolation, Line, Share, Vertex
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

    @property
    def isolation(self) -> Isolation | None:
        """That of all members together."""
        if len(self.members) == 1:
            return self.members[0].isolation
        known = {member.isolation for member in self.members if member.isolation is not None}
        if len(known) <= 1:
            return next(iter(known), None)
        return Isolation(ingress=_joint({one.ingress for one in known}), egress=_joint({one.egress for one in known}))

    @property
    def marked(self) -> bool:
        return self.members[0].marked

    @property
    def inner(self) -> PortSet:
        """What each of the members, or some of them, may do in itself."""
        if len(self.members) == 1:
            return self.members[0].inner
        return PortSet.union_of({member.inner for member in self.members})


def _joint(shares: set[Share]) -> Share:
    return shares.pop() if len(shares) == 1 else Share.SOME


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A drawn arrow between two boxes by index: all arrows of one style between their members."""

    tail: int
    head: int
    style: Line
    labels: frozenset[str] = frozenset()
    #: Bindings that this arrow stands for.
    via: frozenset[Vertex] = frozenset()
    ports: PortSet = NO_PORTS
    #: Texts of several lines.
    steps: frozenset[tuple[str, ...]] = frozenset()

    @property
    def looks(self) -> Hashable:
        """What two arrows must share for their ends to be folded; which binding it was is not part of it."""
        through = frozenset([(binding.kind, binding.group) for binding in self.via]) if self.via else None
        return (self.style, self.labels, through, self.ports, self.steps)


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes in canonical order, links in the order of their ends, and what was done to get there."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    #: What the picture no longer tells; "" while all members of a box have the same arrows.
    lost: str = ""
    #: False for a picture whose boxes all name their namespace themselves.
    framed: bool = True


class Strand(msgspec.Struct, frozen=True, gc=False):
    """A link as it is drawn: with the one that leads back, where the two look the same."""

    link: Link
    both: bool = False


def strands(sheet: Sheet) -> list[Strand]:
    """One for each arrow of the picture."""
    back = {(link.head, link.tail, link.looks, link.via) for link in sheet.links if link.tail != link.head}
    drawn = []
    for link in sheet.links:
        both = (link.tail, link.head, link.looks, link.via) in back
        if not both or link.tail < link.head:
            drawn.append(Strand(link, both))
    return drawn


def fold(
    vertices: Iterable[Vertex],
    arrows: Iterable[Arrow],
    *,
    by: Fold,
    max_nodes: int,
    max_arrows: int | None = None,
    comfort: int | None = None,
) -> Sheet:
    """The graph folded ``by``; above ``max_nodes`` folded harder, and only as far as needed.

    What loses detail must pay in clarity: then arrows are at most half as many as ``max_nodes``.
    Above ``comfort`` boxes, those of one kind with the same arrows are one whatever their namespaces, and then also those
    with arrows to the same boxes, which loses detail.
    ``max_arrows`` is for webs, in which anything may lead to anything: more arrows than that fold it harder too.
    Raises UsageError for an unknown fold.
    """
    if by not in _EXACT:
        raise UsageError(f"unknown fold `{by}`", help=f"folds: {', '.join(_EXACT)}")
    sheet = _unfolded(vertices, arrows)
    for exact in _EXACT[by]:
        sheet = exact(sheet)
    lossy = _LOSSY[by]
    if comfort is not None and lossy and len(sheet.boxes) > comfort:
        sheet = _twins_and_bindings(_by_kind)(sheet)
        if len(sheet.boxes) > comfort:
            sheet = _alike(_by_kind)(sheet, len(sheet.boxes))
    if max_arrows is not None and lossy:
        fits = len(sheet.boxes) <= max_nodes and len(strands(sheet)) <= max_arrows
        return sheet if fits else _first_readable(sheet, _WEB_STEPS, max_nodes)
    if not lossy or len(sheet.boxes) <= max_nodes:
        return sheet
    if len(sheet.boxes) > _FAR * max_nodes:
        lossy = _FAR_STEPS
    else:
        sheet = _twins_and_bindings(_by_kind)(sheet)
    return sheet if _readable(sheet, max_nodes) else _first_readable(sheet, lossy, max_nodes)


def _first_readable(sheet: Sheet, steps: Sequence[_Lossy], max_nodes: int) -> Sheet:
    harder = sheet
    for step in steps:
        harder = step(sheet, max_nodes)
        # A step that found nothing to fold gives the sheet itself.
        if harder is not sheet and _readable(harder, max_nodes):
            break
    return harder


def _readable(sheet: Sheet, max_nodes: int) -> bool:
    return len(sheet.boxes) <= max_nodes and (not sheet.lost or 2 * len(strands(sheet)) <= max_nodes)


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
            ports=arrow.ports,
            via=frozenset(arrow.via),
            steps=frozenset((arrow.step,)) if arrow.step else frozenset(),
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
        labels, via, ports, steps = first.labels, first.via, first.ports, first.steps
        if parallel:
            labels = labels.union(*[link.labels for link in parallel])
            via = via.union(*[link.via for link in parallel])
            steps = steps.union(*[link.steps for link in parallel])
            ports = PortSet.union_of({link.ports for link in (first, *parallel)})
        tail, head = place[first.tail], place[first.head]
        merged.append(Link(tail=tail, head=head, style=first.style, labels=labels, via=via, ports=ports, steps=steps))
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
    colours = _first_colours(sheet, lambda box: (bucket(box), box.isolation, box.inner))
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


_WORST_FIRST = (
    Line.DENIED, Line.LOST, Line.POSSIBLE, Line.ASSUMED, Line.DASHED, Line.BOLD, Line.SOLID, Line.PART
)  # fmt: skip


def _through(binding: Box, into: Link, out: Link) -> Link:
    styles = {into.style, out.style}
    return Link(
        tail=into.tail,
        head=out.head,
        # One dashed half makes the whole chain inert, dangling or conditional.
        style=next(style for style in _WORST_FIRST if style in styles),
        labels=into.labels | out.labels,
        via=into.via | out.via | frozenset(binding.members),
        steps=into.steps | out.steps,
    )


# Lossy steps: each folds the exact picture afresh, and gives up early where it would not get below ``max_nodes``


_Lossy = Callable[[Sheet, int], Sheet]
_See = Callable[[Sequence[int]], list[frozenset[int]]]

#: Colours that still split by then follow a long path, which no fold makes readable.
_ROUNDS = 20

#: Boxes of each kind that stay apart in a fold by what is reached.
_NAMED = (12, 4, 1, 0)

#: Boxes that stay apart in a fold of a web.
_HUBS = (24, 16, 12, 8, 6, 4, 2)


def _alike(bucket: _Bucket) -> _Lossy:
    """A step that folds boxes of one bucket with arrows to the same folded boxes: the coarsest stable partition.

    Ten ServiceAccounts with a ClusterRole each become one node each. Which account has which role is then hidden.
    """

    def step(sheet: Sheet, max_nodes: int) -> Sheet:
        return _refined(
            sheet,
            _first_colours(sheet, lambda box: (bucket(box), box.isolation)),
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


def _by_hubs(bucket: _Bucket) -> _Lossy:
    """A step for webs: boxes of one bucket with the same arrows from and to the busiest boxes, which stay apart.

    With fewer of these more boxes are alike; in the end only whether there is an arrow counts, not what it says.
    """

    def step(sheet: Sheet, max_nodes: int) -> Sheet:
        order = _by_degree(sheet)
        folded = sheet
        for looks in (_looks(sheet.links), _coarse_looks(sheet.links)):
            for count in _HUBS:
                folded = _at_hubs(sheet, bucket, frozenset(order[:count]), looks)
                if folded is not sheet and _readable(folded, max_nodes):
                    return folded
        return folded

    return step


def _by_degree(sheet: Sheet) -> list[int]:
    """Boxes with arrows from and to many objects first."""
    partners: list[set[int]] = [set() for _ in sheet.boxes]
    for link in sheet.links:
        partners[link.tail].add(link.head)
        partners[link.head].add(link.tail)
    degrees = [sum(len(sheet.boxes[other].members) for other in others) for others in partners]
    return sorted(range(len(degrees)), key=lambda number: -degrees[number])


def _at_hubs(sheet: Sheet, bucket: _Bucket, hubs: frozenset[int], looks: Sequence[int]) -> Sheet:
    first = _first_colours(sheet, lambda box: (bucket(box), box.isolation))
    own = [number if number in hubs else -1 for number in range(len(sheet.boxes))]
    seen: list[set[tuple[int, int, bool]]] = [set() for _ in sheet.boxes]
    for link, look in zip(sheet.links, looks, strict=True):
        if link.head in hubs:
            seen[link.tail].add((look, link.head, True))
        if link.tail in hubs:
            seen[link.head].add((look, link.tail, False))
    around = [frozenset(one) for one in seen]
    lost = "members have the same arrows with the busiest nodes; any other arrow is that of some members"
    return _rebuilt(sheet, _classes(zip(first, own, around, strict=True)), lost=lost)


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
        (bucket(box), number if box.kind in _NEVER_FOLDED or box.marked else None)
        for number, box in enumerate(sheet.boxes)
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

#: For webs, whose boxes are namespaces, or workloads of one.
_WEB_STEPS = (
    _alike(_by_namespace),
    _by_hubs(_by_namespace),
    _by_hubs(_by_kind),
    _together(_by_kind, lost="all objects of one kind are one node, which has the arrows of all of them"),
)

#: Tried one by one while the picture is above the cap; the last one leaves little more than a node per kind.
_LOSSY: dict[Fold, tuple[_Lossy, ...]] = {
    "namespace": _BY_NAMESPACE,
    "class": (_alike(_by_class), _reaching(_by_class), *_FAR_STEPS),
    "workload": _BY_NAMESPACE,
    "none": (),
}
