"""Where a picture of many parts without arrows between them would be one long column: which parts stand side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphsec.diagram.fold import Sheet
from graphsec.diagram.words import box_lines, frames

#: Rough sizes in inches: a line of text, what surrounds it, a frame, and a column with its arrows.
_LINE, _AROUND, _FRAME, _COLUMN = 0.18, 0.3, 0.5, 2.6


@dataclass(frozen=True, slots=True)
class _Part:
    """Boxes that arrows or a frame hold together."""

    first: int
    last: int
    columns: int
    height: float


def side_by_side(sheet: Sheet) -> list[tuple[int, int]]:
    """(box, box) pairs: the second box, and with it its part, belongs to the right of the first."""
    parts = list(_parts(sheet))
    width = _COLUMN * max((part.columns for part in parts), default=0)
    height = sum(part.height for part in parts)
    if len(parts) < 2 or height <= width:
        return []
    abreast = min(len(parts), math.ceil(math.sqrt(height / width)))
    return [
        (left.last, right.first)
        for row in range(0, len(parts), abreast)
        for left, right in pairwise(parts[row : row + abreast])
    ]


def _parts(sheet: Sheet) -> Iterator[_Part]:
    ahead: dict[int, list[int]] = defaultdict(list)
    for link in sheet.links:
        if link.tail != link.head:
            ahead[link.tail].append(link.head)
    framed = set(frames(sheet))
    for boxes in _components(sheet, framed):
        level = _levels(boxes, ahead)
        heights: dict[int, float] = defaultdict(float)
        for number in boxes:
            box = sheet.boxes[number]
            heights[level[number]] += _AROUND + _LINE * len(box_lines(box, clustered=box.group in framed))
        frame = _FRAME if sheet.boxes[boxes[0]].group in framed else 0.0
        last = max(boxes, key=lambda number: (level[number], -number))
        yield _Part(boxes[0], last, 1 + max(level.values()), max(heights.values()) + frame)


def _components(sheet: Sheet, framed: set[str]) -> list[list[int]]:
    parent = list(range(len(sheet.boxes)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    leaders: dict[str, int] = {}
    pairs = [(link.tail, link.head) for link in sheet.links]
    pairs += [
        (leaders.setdefault(box.group, number), number) for number, box in enumerate(sheet.boxes) if box.group in framed
    ]
    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    found: dict[int, list[int]] = defaultdict(list)
    for number in range(len(sheet.boxes)):
        found[root(number)].append(number)
    return list(found.values())


def _levels(boxes: Sequence[int], ahead: dict[int, list[int]]) -> dict[int, int]:
    """The column of each box, counted from boxes that no arrow leads to; about as Graphviz ranks them."""
    entered = {head for number in boxes for head in ahead[number]}
    level: dict[int, int] = {}
    for start in [*(number for number in boxes if number not in entered), *boxes]:
        if start in level:
            continue
        level[start] = 0
        queue = [start]
        for number in queue:
            for head in ahead[number]:
                if head not in level:
                    level[head] = level[number] + 1
                    queue.append(head)
    return level
