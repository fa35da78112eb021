"""Write a folded graph as a Mermaid flowchart, within the limits of the renderers on GitHub and GitLab."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from graphsec.diagram.fold import Box, Sheet, Strand, strands
from graphsec.diagram.parts import STYLES, DrawnKind, Line
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

#: Above either, Mermaid draws an error instead of the picture.
MAX_EDGES, MAX_TEXT = 500, 50_000

_ARROWS = {
    Line.SOLID: "-->",
    Line.DASHED: "-.->",
    Line.BOLD: "==>",
    Line.POSSIBLE: "-.->",
    Line.LOST: "-.->",
    Line.DENIED: "-.-x",
    Line.ASSUMED: "-.->",
    Line.PART: "--o",
}

#: Name of the class and its looks, behind those of the kind.
_OUTLINES = {
    Outline.BOTH: ("isolated", "stroke-width:3px"),
    Outline.INGRESS: ("isolated_ingress", "stroke-width:3px,stroke-dasharray:8 4"),
    Outline.EGRESS: ("isolated_egress", "stroke-width:3px,stroke-dasharray:2 3"),
}


#: Class of what the picture is about.
_MARKED = "marked"


def write_mermaid(sheet: Sheet, *, title: str, notes: Sequence[str], down: bool = False) -> str:
    lines = [
        f"flowchart {'TB' if down else 'LR'}",
        *_boxes(sheet),
        *_arrows(strands(sheet)),
        *_legend(sheet, [title, *notes]),
    ]
    return "\n".join(lines) + "\n"


def write_mermaid_text(lines: Sequence[str], *, title: str) -> str:
    return f"flowchart LR\n  n0[{_text([title, *lines])}]\n"


def _boxes(sheet: Sheet) -> Iterator[str]:
    framed = frames(sheet)
    for number, box in enumerate(sheet.boxes):
        if box.group not in framed:
            yield f"  {_drawn(number, box, clustered=False)}"
    for count, group in enumerate(framed):
        yield f"  subgraph g{count}[{_text([shorten(group)])}]"
        for number, box in enumerate(sheet.boxes):
            if box.group == group:
                yield f"    {_drawn(number, box, clustered=True)}"
        yield "  end"


def _drawn(number: int, box: Box, *, clustered: bool) -> str:
    return _box(f"n{number}", box.kind, box_lines(box, clustered=clustered), variant=_variant(box))


def _variant(box: Box) -> str:
    """Which class besides that of its kind: a box has one outline, and the text of several objects counts them."""
    if box.marked:
        return _MARKED
    drawn = outline(box.isolation)
    if drawn in _OUTLINES:
        return _OUTLINES[drawn][0]
    return "several" if len(box.members) > 1 else ""


def _box(identifier: str, kind: DrawnKind, lines: Iterable[str], *, variant: str = "") -> str:
    opening, closing = STYLES[kind].mermaid
    return f"{identifier}{opening}{_text(lines)}{closing}:::{kind.name.lower()}{variant and f'_{variant}'}"


def _arrows(drawn: Iterable[Strand]) -> Iterator[str]:
    for strand in drawn:
        link, words = strand.link, link_lines(strand.link)
        back = ("o" if link.style is Line.PART else "<") if strand.both else ""
        arrow = f"{back}{_ARROWS[link.style]}{f'|{_text(words)}|' if words else ''}"
        yield f"  n{link.tail} {arrow} n{link.head}"


def _legend(sheet: Sheet, heading: Sequence[str]) -> Iterator[str]:
    yield '  subgraph legend["Legend"]'
    kinds = drawn_kinds(sheet)
    for number, kind in enumerate(kinds):
        yield f"    {_box(f'k{number}', kind, [STYLES[kind].legend])}"
    yield f"    about[{_text([*heading, *legend_lines(sheet, several='dashed')])}]:::about"
    yield "  end"
    yield "  classDef about fill:none,stroke:none,text-align:left"
    drawn = {(box.kind, _variant(box)) for box in sheet.boxes}
    for kind in kinds:
        yield from _class(kind, {variant for other, variant in drawn if other is kind})


def _class(kind: DrawnKind, variants: set[str]) -> Iterator[str]:
    style = STYLES[kind]
    ink = f"fill:{style.fill},stroke:#6E7781,color:#24292F"
    looks = f"{ink},stroke-width:{'3px' if style.bold else '1px'}"
    name = kind.name.lower()
    yield f"  classDef {name} {looks}{',stroke-dasharray:1 3' if style.dotted else ''}"
    if "several" in variants:
        yield f"  classDef {name}_several {looks},stroke-dasharray:6 2"
    if _MARKED in variants:
        yield f"  classDef {name}_{_MARKED} {ink},stroke-width:5px"
    for variant, line in _OUTLINES.values():
        if variant in variants:
            yield f"  classDef {name}_{variant} {ink},{line}"


def _text(lines: Iterable[str]) -> str:
    return '"' + "<br/>".join(_SPECIAL.sub(_entity, line) for line in lines) + '"'


#: Mermaid reads labels as Markdown and HTML, so punctuation that means something in either becomes an entity; a hyphen
#: only where it would open a list. The colon too: Mermaid drops the `;` of entities in lines such as `style x:#…;`.
_SPECIAL = re.compile(r"-(?=\s)|[^A-Za-z0-9 ,/…\u0080-\U0010ffff-]")


def _entity(match: re.Match[str]) -> str:
    return f"#{ord(match.group())};"
