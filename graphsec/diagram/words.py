"""The words in a picture, as lines of visible text that the writers only have to quote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from graphsec.diagram.fold import Box, Link, Sheet
from graphsec.diagram.parts import DrawnKind, Line, Vertex
from graphsec.model.text import safe

#: Characters of a name that a picture shows, and names that a folded node lists.
_NAME, _LISTED = 44, 3

#: The same of permissions, each of which tells more than a name does.
_PERMISSION, _PERMISSIONS = 80, 8


def shorten(name: str, width: int = _NAME) -> str:
    """``name`` in at most ``width`` visible characters: names differ at both ends, so the middle goes."""
    visible = safe(name)
    if len(visible) <= width:
        return visible
    tail = (width - 1) // 2
    return f"{visible[: width - 1 - tail]}…{visible[-tail:]}"


def box_lines(box: Box, *, clustered: bool) -> list[str]:
    """``clustered``: the box stands in a frame that names its namespace."""
    group = "" if clustered else shorten(box.group)
    width, listed = _room(box)
    if len(box.members) == 1:
        name = shorten(box.members[0].label, width)
        return [f"{group}/{name}" if group else name]
    count = box.kind.count(_distinct(box))
    groups = {member.group for member in box.members}
    if len(groups) > 1:
        count += f" in {len(groups):,} namespaces"
        names = [_full_name(member) for member in box.members]
    else:
        names = [member.label for member in box.members]
    return [f"{group}: {count}" if group else count, *_few(list(dict.fromkeys(names)), listed, width)]


def _distinct(box: Box) -> int:
    """Objects in a box: a picture may draw a permission once per holder, and a subject once per namespace."""
    if box.kind is DrawnKind.PERMISSION or box.members[0].framed:
        return len({member.label for member in box.members})
    return len(box.members)


def _room(box: Box) -> tuple[int, int]:
    return (_PERMISSION, _PERMISSIONS) if box.kind is DrawnKind.PERMISSION else (_NAME, _LISTED)


def _full_name(member: Vertex) -> str:
    if not member.group:
        return member.label
    return f"{member.label} in {member.group}" if member.framed else f"{member.group}/{member.label}"


def link_lines(link: Link) -> list[str]:
    """Bindings that the arrow stands for, then its own labels."""
    lines = []
    if len(link.via) == 1:
        (binding,) = link.via
        scope = f" in {shorten(binding.group)}" if binding.group else ""
        lines = [shorten(binding.label) + scope]
    elif link.via:
        kinds = Counter(binding.kind for binding in link.via)
        lines = [kind.count(kinds[kind]) for kind in DrawnKind if kind in kinds]
        groups = sorted({binding.group for binding in link.via if binding.group})
        if groups:
            lines[0] += f" in {shorten(groups[0])}" if len(groups) == 1 else f" in {len(groups):,} namespaces"
    return lines + _few(sorted(link.labels))


def _few(names: Sequence[str], listed: int = _LISTED, width: int = _NAME) -> list[str]:
    if len(names) <= listed + 1:
        return [shorten(name, width) for name in names]
    return [*(shorten(name, width) for name in names[:listed]), f"and {len(names) - listed:,} more"]


def drawn_kinds(sheet: Sheet) -> list[DrawnKind]:
    kinds = {box.kind for box in sheet.boxes}
    return [kind for kind in DrawnKind if kind in kinds]


def legend_lines(sheet: Sheet, *, several: str) -> list[str]:
    """The legend of what is not a shape, and only of what is drawn; ``several`` is the outline of a folded node."""
    styles = {link.style for link in sheet.links}
    lines = [style.value for style in Line if style in styles and style.value]
    if any(len(box.members) > 1 for box in sheet.boxes):
        lines.append(f"{several} outline: several objects")
    if any(box.members[0].framed for box in sheet.boxes):
        lines.append("frame: the namespace where this holds, without one the whole cluster")
    if any(link.via for link in sheet.links):
        other = ", or what it says" if any(link.labels for link in sheet.links) else ""
        lines.append(f"text at an arrow: the binding it stands for{other};")
        lines.append("a binding without namespace applies to the whole cluster")
    return lines


def frames(sheet: Sheet) -> list[str]:
    """Namespaces worth a frame: mostly those with several boxes, as a single box names its namespace itself."""
    counts = Counter(box.group for box in sheet.boxes if box.group)
    asked = {box.group for box in sheet.boxes if box.group and box.members[0].framed}
    return sorted(asked | {group for group, count in counts.items() if count > 1})


def what_was_done(sheet: Sheet) -> list[str]:
    """Every fold, hiding or cut in plain sentences."""
    folded = [box for box in sheet.boxes if len(box.members) > 1]
    bindings = {binding for link in sheet.links for binding in link.via}
    cut = any(len(safe(member.label)) > _room(box)[0] for box in sheet.boxes for member in box.members[: _room(box)[1]])
    lines = []
    if folded:
        members = sum(len(box.members) for box in folded)
        nodes = f"{len(folded):,} {'node' if len(folded) == 1 else 'nodes'}"
        detail = f"detail is lost: {sheet.lost}" if sheet.lost else "members have the same arrows"
        lines.append(f"{members:,} objects folded into {nodes}; {detail}")
    if bindings:
        lines.append(f"bindings drawn as arrows instead of nodes: {len(bindings):,}")
    if cut:
        lines.append("long names shortened in the middle")
    return lines


def too_large(sheet: Sheet, *, limit: str) -> list[str]:
    """Instead of a picture above a limit: what there is, and how to get a picture."""
    kinds = Counter(dict.fromkeys(DrawnKind, 0))
    for box in sheet.boxes:
        kinds[box.kind] += len(box.members)
    return [
        f"{len(sheet.boxes):,} nodes and {len(sheet.links):,} arrows after folding, more than {limit}",
        *(f"  {kind.count(count)}" for kind, count in kinds.items() if count),
        "to see it: narrow the question (-n NAMESPACE, TYPE/NAME), another --fold, or --max-nodes N",
    ]
