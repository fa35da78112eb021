"""The words in a picture, as lines of visible text that the writers only have to quote."""

from __future__ import annotations

import enum
import textwrap
from collections import Counter
from collections.abc import Sequence

from graphsec.algebra.ports import ALL_PORTS, MAX_PORT, MIN_PORT, PROTOCOLS, PortSet
from graphsec.diagram.fold import Box, Link, Sheet, strands
from graphsec.diagram.parts import DrawnKind, Isolation, Line, Share, Vertex
from graphsec.model.text import counted, safe

#: Characters of a name that a picture shows, and names that a folded node lists.
_NAME, _LISTED = 44, 3

#: The same of permissions, each of which tells more than a name does.
_PERMISSION, _PERMISSIONS = 80, 8

#: Bindings that an arrow with a step names.
_NAMED = 2

#: Ports and port ranges of one protocol that a picture lists.
_PORTS = 3


def shorten(name: str, width: int = _NAME) -> str:
    """``name`` in at most ``width`` visible characters: names differ at both ends, so the middle goes."""
    visible = safe(name)
    if len(visible) <= width:
        return visible
    tail = (width - 1) // 2
    return f"{visible[: width - 1 - tail]}…{visible[-tail:]}"


def box_lines(box: Box, *, clustered: bool) -> list[str]:
    """``clustered``: the box stands in a frame that names its namespace."""
    return [*_name_lines(box, clustered=clustered), *_flow_lines(box)]


def _name_lines(box: Box, *, clustered: bool) -> list[str]:
    group = "" if clustered else shorten(box.group)
    width, listed = _room(box)
    if len(box.members) == 1:
        name = shorten(box.members[0].label, width)
        label = f"{group}/{name}" if group else name
        room = box.members[0].width
        if group and room and len(label) > room:
            return [f"{group}/", *_broken(name, room)]
        return _broken(label, room)
    count = box.kind.count(_distinct(box))
    if box.kind is DrawnKind.TOGETHER:
        return [count]
    groups = {member.group for member in box.members}
    if len(groups) > 1:
        count += f" in {len(groups):,} namespaces"
        names = [_full_name(member) for member in box.members]
    else:
        names = [member.label for member in box.members]
    return [f"{group}: {count}" if group else count, *_few(list(dict.fromkeys(names)), listed, width)]


def _broken(label: str, width: int) -> list[str]:
    if not width or len(label) <= width:
        return [label]
    return textwrap.wrap(label, width, break_long_words=False, break_on_hyphens=False) or [label]


def _flow_lines(box: Box) -> list[str]:
    """What pictures of flows say of a box besides its name."""
    lines = []
    workloads = sum(member.workloads for member in box.members)
    if workloads:
        lines.append(counted(workloads, "workload"))
    if box.inner:
        words = port_lines(box.inner)
        lines += [f"inside: {words[0]}", *words[1:]]
    partly = _partly(box.isolation)
    if partly:
        lines.append(f"some isolated for {partly}")
    return lines


def _partly(isolation: Isolation | None) -> str:
    if isolation is None:
        return ""
    found = {"ingress": isolation.ingress, "egress": isolation.egress}
    return ", ".join(direction for direction, share in found.items() if share is Share.SOME)


def port_lines(ports: PortSet) -> list[str]:
    """A line for each protocol, `TCP 80,443,8000-8099,+3 more`; the exceptions where nearly everything is meant."""
    if ports == ALL_PORTS:
        return ["all ports"]
    missing = ALL_PORTS - ports
    if len(missing.spans) <= _PORTS and len(missing) < MAX_PORT:
        return [f"all ports but {', '.join(_by_protocol(missing))}"]
    return _by_protocol(ports)


def _by_protocol(ports: PortSet) -> list[str]:
    lines = []
    for protocol in PROTOCOLS:
        found = ports.of_protocol(protocol)
        if found == ((MIN_PORT, MAX_PORT),):
            lines.append(f"all {protocol}")
        elif found:
            words = [str(low) if low == high else f"{low}-{high}" for low, high in found]
            if len(words) > _PORTS + 1:
                words[_PORTS:] = [f"+{len(words) - _PORTS:,} more"]
            lines.append(f"{protocol} {','.join(words)}")
    return lines


def _distinct(box: Box) -> int:
    """Objects in a box: a picture may draw a permission once per holder, and a subject once per namespace."""
    if box.kind is DrawnKind.PERMISSION or box.members[0].framed:
        return len({member.label for member in box.members})
    return len(box.members)


def _room(box: Box) -> tuple[int, int]:
    if box.kind in (DrawnKind.SET, DrawnKind.FOOTHOLD):
        return _PERMISSION, _LISTED
    return (_PERMISSION, _PERMISSIONS) if box.kind is DrawnKind.PERMISSION else (_NAME, _LISTED)


def _full_name(member: Vertex) -> str:
    if not member.group:
        return member.label
    return f"{member.label} in {member.group}" if member.framed else f"{member.group}/{member.label}"


def link_lines(link: Link) -> list[str]:
    """The steps, the bindings that the arrow stands for, then its own labels."""
    lines = []
    if len(link.via) == 1 or (link.steps and len(link.via) <= _NAMED):
        for binding in sorted(link.via, key=lambda binding: (binding.kind.value, binding.group, binding.label)):
            scope = f" in {shorten(binding.group)}" if binding.group else ""
            lines.append(shorten(binding.label) + scope)
    elif link.via:
        kinds = Counter(binding.kind for binding in link.via)
        lines = [kind.count(kinds[kind]) for kind in DrawnKind if kind in kinds]
        groups = sorted({binding.group for binding in link.via if binding.group})
        if groups:
            lines[0] += f" in {shorten(groups[0])}" if len(groups) == 1 else f" in {len(groups):,} namespaces"
    return [*_steps(link), *lines, *(port_lines(link.ports) if link.ports else ()), *_few(sorted(link.labels))]


def _steps(link: Link) -> list[str]:
    steps = sorted(link.steps)
    shown = len(steps) if len(steps) <= _LISTED + 1 else _LISTED
    lines = [shorten(line) for step in steps[:shown] for line in step]
    return lines if shown == len(steps) else [*lines, f"and {len(steps) - shown:,} more"]


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
    if any(strand.both for strand in strands(sheet)):
        lines.append("two heads: the same in both directions")
    if any(len(box.members) > 1 for box in sheet.boxes):
        lines.append(f"{several} outline: several objects")
    if any(box.kind is DrawnKind.TOGETHER for box in sheet.boxes):
        lines.append("AND: takes all that leads to it")
        if any(box.kind is DrawnKind.TOGETHER and len(box.members) > 1 for box in sheet.boxes):
            lines.append("several ANDs: each takes its own part of what leads to them")
    if any(box.marked for box in sheet.boxes):
        lines.append("very thick outline: what was asked for")
    if any(box.members[0].framed for box in sheet.boxes):
        lines.append("frame: the namespace where this holds, without one the whole cluster")
    steps = any(link.steps for link in sheet.links)
    if steps:
        lines.append("[text] at an arrow: the rule by which one gives the other")
    if any(link.via for link in sheet.links):
        other = ", or what it says" if any(link.labels for link in sheet.links) else ""
        lines.append(
            "other text at an arrow: the binding that grants it;"
            if steps
            else f"text at an arrow: the binding it stands for{other};"
        )
        lines.append("a binding without namespace applies to the whole cluster")
    return lines + _isolation_legend(sheet)


def _isolation_legend(sheet: Sheet) -> list[str]:
    outlines = {outline(box.isolation) for box in sheet.boxes if box.isolation is not None}
    return [found.value for found in Outline if found in outlines]


class Outline(enum.Enum):
    """How the isolation of a box is drawn; the value is its text in the legend."""

    __hash__ = object.__hash__  # as in parts

    BOTH = "thick outline: denied by default both ways"
    INGRESS = "thick dashed outline: ingress denied by default"
    EGRESS = "thick dotted outline: egress denied by default"
    OPEN = "thin outline: allowed by default"


def outline(isolation: Isolation | None) -> Outline:
    if isolation is None:
        return Outline.OPEN
    ingress, egress = isolation.ingress is Share.ALL, isolation.egress is Share.ALL
    if ingress:
        return Outline.BOTH if egress else Outline.INGRESS
    return Outline.EGRESS if egress else Outline.OPEN


def frames(sheet: Sheet) -> list[str]:
    """Namespaces worth a frame: mostly those with several boxes, as a single box names its namespace itself."""
    if not sheet.framed:
        return []
    counts = Counter(box.group for box in sheet.boxes if box.group)
    asked = {box.group for box in sheet.boxes if box.group and box.members[0].framed}
    return sorted(asked | {group for group, count in counts.items() if count > 1})


def what_was_done(sheet: Sheet) -> list[str]:
    """Every fold, hiding or cut in plain sentences."""
    folded = [box for box in sheet.boxes if len(box.members) > 1]
    bindings = {binding for link in sheet.links if not link.steps for binding in link.via}
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


#: How to get a picture of a part of what is too large.
_ADVICE = "narrow the question (-n NAMESPACE, TYPE/NAME), another --fold, or --max-nodes N"


def too_large(sheet: Sheet, *, limit: str, advice: str = "") -> list[str]:
    """Instead of a picture above a limit: what there is, and how to get a picture."""
    kinds = Counter(dict.fromkeys(DrawnKind, 0))
    for box in sheet.boxes:
        kinds[box.kind] += len(box.members)
    return [
        f"{len(sheet.boxes):,} nodes and {len(sheet.links):,} arrows after folding, more than {limit}",
        *(f"  {kind.count(count)}" for kind, count in kinds.items() if count),
        f"to see it: {advice or _ADVICE}",
    ]
