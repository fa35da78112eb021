"""Write a folded graph as a Mermaid flowchart, within the limits of the renderers on GitHub and GitLab."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from graphsec.diagram.fold import Box, Link, Sheet
from graphsec.diagram.parts import STYLES, DrawnKind, Line
from graphsec.diagram.words import box_lines, drawn_kinds, frames, legend_lines, link_lines, shorten

#: Above either, Mermaid draws an error instead of the picture.
MAX_EDGES, MAX_TEXT = 500, 50_000

_ARROWS = {Line.SOLID: "-->", Line.DASHED: "-.->", Line.BOLD: "==>"}


def write_mermaid(sheet: Sheet, *, title: str, notes: Sequence[str]) -> str:
    lines = ["flowchart LR", *_boxes(sheet), *_arrows(sheet.links), *_legend(sheet, [title, *notes])]
    return "\n".join(lines) + "\n"


def write_mermaid_text(lines: Sequence[str], *, title: str) -> str:
    return f"flowchart LR\n  n0[{_text([title, *lines])}]\n"


def _boxes(sheet: Sheet) -> Iterator[str]:
    framed = frames(sheet)
    for number, box in enumerate(sheet.boxes):
        if box.group not in framed:
            yield f"  {_box(f'n{number}', box.kind, box_lines(box, clustered=False), several=_several(box))}"
    for count, group in enumerate(framed):
        yield f"  subgraph g{count}[{_text([shorten(group)])}]"
        for number, box in enumerate(sheet.boxes):
            if box.group == group:
                yield f"    {_box(f'n{number}', box.kind, box_lines(box, clustered=True), several=_several(box))}"
        yield "  end"


def _several(box: Box) -> bool:
    return len(box.members) > 1


def _box(identifier: str, kind: DrawnKind, lines: Iterable[str], *, several: bool = False) -> str:
    opening, closing = STYLES[kind].mermaid
    return f"{identifier}{opening}{_text(lines)}{closing}:::{kind.name.lower()}{'_several' if several else ''}"


def _arrows(links: Iterable[Link]) -> Iterator[str]:
    for link in links:
        words = link_lines(link)
        yield f"  n{link.tail} {_ARROWS[link.style]}{f'|{_text(words)}|' if words else ''} n{link.head}"


def _legend(sheet: Sheet, heading: Sequence[str]) -> Iterator[str]:
    yield '  subgraph legend["Legend"]'
    kinds = drawn_kinds(sheet)
    for number, kind in enumerate(kinds):
        yield f"    {_box(f'k{number}', kind, [STYLES[kind].legend])}"
    yield f"    about[{_text([*heading, *legend_lines(sheet, several='dashed')])}]:::about"
    yield "  end"
    yield "  classDef about fill:none,stroke:none,text-align:left"
    folded = {box.kind for box in sheet.boxes if _several(box)}
    for kind in kinds:
        yield from _class(kind, folded=kind in folded)


def _class(kind: DrawnKind, *, folded: bool) -> Iterator[str]:
    style = STYLES[kind]
    looks = f"fill:{style.fill},stroke:#6E7781,color:#24292F,stroke-width:{'3px' if style.bold else '1px'}"
    name = kind.name.lower()
    yield f"  classDef {name} {looks}"
    if folded:
        yield f"  classDef {name}_several {looks},stroke-dasharray:6 2"


def _text(lines: Iterable[str]) -> str:
    return '"' + "<br/>".join(_SPECIAL.sub(_entity, line) for line in lines) + '"'


#: Mermaid reads labels as Markdown and HTML, so punctuation that means something in either becomes an entity; a hyphen
#: only where it would open a list. The colon too: Mermaid drops the `;` of entities in lines such as `style x:#…;`.
_SPECIAL = re.compile(r"-(?=\s)|[^A-Za-z0-9 ,/…\u0080-\U0010ffff-]")


def _entity(match: re.Match[str]) -> str:
    return f"#{ord(match.group())};"
