"""Write a folded graph as Graphviz DOT. Ids are synthetic, and names stand in quoted labels only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from graphsec.diagram.fold import Box, Sheet, Strand, strands
from graphsec.diagram.parts import COLUMNS, STYLES, Line, Style
from graphsec.diagram.words import (
    Outline,
    box_lines,
    drawn_kinds,
    frames,
    legend_lines,
    link_lines,
    outline,
    shorten,
)
from graphsec.diagram.wrap import side_by_side

#: Nothing else is ever written: no URL, href, image, shapefile, ports or tooltips.
ATTRIBUTES = frozenset({
    "arrowhead", "arrowsize", "bgcolor", "color", "dir", "fillcolor", "fontcolor", "fontname", "fontsize", "height", "label", "labeljust",
    "labelloc", "margin", "nodesep", "penwidth", "peripheries", "rankdir", "ranksep", "shape", "style",
})  # fmt: skip

_INK, _GREY, _PALE = "#24292F", "#6E7781", "#C9CFD6"

#: Boxes of a picture that leads down beside which there is room for the legend; below it otherwise.
_NARROW = 12

_ACROSS = {"rankdir": "LR", "ranksep": "0.7", "nodesep": "0.14"}
#: Texts at arrows stand side by side then.
_DOWN = {"rankdir": "TB", "ranksep": "0.3", "nodesep": "0.25"}

#: Dashes and widths, never colour alone.
_ARROWS = {
    Line.SOLID: {},
    Line.DASHED: {"style": "dashed"},
    Line.BOLD: {"penwidth": "2.4", "color": _INK},
    Line.POSSIBLE: {"style": "dashed"},
    Line.LOST: {"style": "dashed"},
    Line.DENIED: {"style": "dotted", "penwidth": "1.8", "arrowhead": "tee", "color": _INK},
    Line.ASSUMED: {"style": "dashed"},
    Line.PART: {"penwidth": "0.6", "arrowhead": "odot"},
}

_OUTLINES = {
    Outline.BOTH: {"penwidth": "2.2", "color": _INK},
    Outline.INGRESS: {"penwidth": "2.2", "color": _INK, "style": "filled,dashed"},
    Outline.EGRESS: {"penwidth": "2.2", "color": _INK, "style": "filled,dotted"},
    Outline.OPEN: {},
}


def write_dot(sheet: Sheet, *, title: str, notes: Sequence[str], down: bool = False) -> str:
    """The whole picture: title and notes on top, a frame per namespace of several boxes, arrows, legend."""
    head = _head([title, *notes], down=down)
    lines = [*head, *_boxes(sheet), *_arrows(strands(sheet), down=down), *_wrapped(sheet, down=down)]
    lines += [*_legend(sheet, down=down), "}"]
    return "\n".join(lines) + "\n"


def write_dot_text(lines: Sequence[str], *, title: str) -> str:
    """A picture of nothing but text, for what is too large to draw."""
    text = _attributes(label=_left(lines), shape="note", margin="0.25,0.2")
    return "\n".join([*_head([title]), f"  n0 {text};", "}"]) + "\n"


def _head(lines: Sequence[str], *, down: bool = False) -> list[str]:
    graph = _attributes(
        label=_left(lines), labelloc="t", labeljust="l", fontname="Arial", fontsize="13", fontcolor=_INK,
        **(_DOWN if down else _ACROSS), bgcolor="white", color=_PALE,
    )  # fmt: skip
    node = _attributes(fontname="Arial", fontsize="11", fontcolor=_INK, color=_GREY, height="0.3", margin="0.12,0.05")
    ink = _INK if down else _GREY
    edge = _attributes(fontname="Arial", fontsize="9", fontcolor=ink, color=_GREY, arrowsize="0.7")
    return ["digraph graphsec {", f"  graph {graph};", f"  node {node};", f"  edge {edge};"]


def _boxes(sheet: Sheet) -> Iterator[str]:
    framed = frames(sheet)
    for number, box in enumerate(sheet.boxes):
        if box.group not in framed:
            yield f"  n{number} {_box(box, clustered=False)};"
    for count, group in enumerate(framed):
        yield f"  subgraph cluster_{count} {{"
        yield f"    graph {_attributes(label=_centred([shorten(group)]), style='rounded', fontsize='11')};"
        for number, box in enumerate(sheet.boxes):
            if box.group == group:
                yield f"    n{number} {_box(box, clustered=True)};"
        yield "  }"


def _box(box: Box, *, clustered: bool) -> str:
    looks = _looks(STYLES[box.kind]) | _OUTLINES[outline(box.isolation)]
    if len(box.members) > 1:
        looks["peripheries"] = "2"
    if box.marked:
        looks |= {"penwidth": "3.5", "color": _INK}
    return _attributes(label=_centred(box_lines(box, clustered=clustered)), **looks)


def _looks(style: Style) -> dict[str, str]:
    boxed = style.shape in ("rounded", "diagonals")
    looks = {
        "shape": "box" if boxed else style.shape,
        "style": f"filled,{style.shape}" if boxed else "filled",
        "fillcolor": style.fill,
    }
    if style.shape == "circle":
        looks["margin"] = "0"
    return looks | ({"penwidth": "2.2"} if style.bold else {})


def _arrows(drawn: Iterable[Strand], *, down: bool) -> Iterator[str]:
    for strand in drawn:
        link, words = strand.link, link_lines(strand.link)
        looks = _ARROWS[link.style] | ({"label": _beside(words) if down else _centred(words)} if words else {})
        looks |= {"dir": "both"} if strand.both else {}
        yield f"  n{link.tail} -> n{link.head}" + (f" {_attributes(**looks)};" if looks else ";")


def _wrapped(sheet: Sheet, *, down: bool) -> Iterator[str]:
    """Unseen arrows put parts that nothing connects side by side."""
    if down:
        return iter(())
    return (f"  n{left} -> n{right} {_attributes(style='invis')};" for left, right in side_by_side(sheet))


def _legend(sheet: Sheet, *, down: bool) -> Iterator[str]:
    kinds = drawn_kinds(sheet)
    if not kinds:
        return
    cells = [_attributes(label=_centred([STYLES[kind].legend]), **_looks(STYLES[kind])) for kind in kinds]
    columns = [[number for number, kind in enumerate(kinds) if kind in column] for column in COLUMNS]
    columns = [column for column in columns if column]
    words = legend_lines(sheet, several="double")
    if words:
        if down:
            columns.append([])
        columns[-1].append(len(cells))
        cells.append(_attributes(label=_left(words), shape="plaintext", fontsize="10"))
    yield "  subgraph cluster_legend {"
    yield f"    graph {_attributes(label='Legend', style='dashed', fontsize='11')};"
    yield from (f"    k{number} {cell};" for number, cell in enumerate(cells))
    # Unseen arrows pull the entries into the columns of the picture.
    below = _last(sheet) if down and len(sheet.boxes) > _NARROW else -1
    for left, right in pairwise(columns) if below < 0 else ():
        yield from (f"    k{left[0]} -> k{number} {_attributes(style='invis')};" for number in right)
    yield "  }"
    if below >= 0:
        yield from (f"  n{below} -> k{number} {_attributes(style='invis')};" for number in range(len(cells)))


def _last(sheet: Sheet) -> int:
    """The box that all arrows lead to in the end: the only one that no arrow leaves, or one that is asked for; else -1."""
    left = {link.tail for link in sheet.links if link.tail != link.head}
    ends = [number for number in range(len(sheet.boxes)) if number not in left]
    asked = [number for number in ends if sheet.boxes[number].marked]
    return (asked or ends)[0] if asked or len(ends) == 1 else -1


def _attributes(**values: str) -> str:
    if not values.keys() <= ATTRIBUTES:
        raise ValueError(f"not an allowed attribute: {sorted(values.keys() - ATTRIBUTES)}")
    return "[" + ", ".join(f'{name}="{value}"' for name, value in values.items()) + "]"


def _centred(lines: Iterable[str]) -> str:
    return "\\n".join(_escaped(line) for line in lines)


def _left(lines: Iterable[str]) -> str:
    return "".join(_escaped(line) + "\\l" for line in lines)


def _beside(lines: Iterable[str]) -> str:
    """The text of an arrow that leads down: clear of it."""
    return _left(f"   {line}   " for line in lines)


#: Graphviz also resolves HTML entities, in plain labels too.
_ENTITY = re.compile(r"&(?=#?\w+;)")


def _escaped(visible: str) -> str:
    """Doubled backslashes keep a name clear of the sequences that Graphviz expands: ``\\N``, ``\\G``, ``\\l``."""
    return _ENTITY.sub("&amp;", visible.replace("\\", "\\\\").replace('"', '\\"'))
