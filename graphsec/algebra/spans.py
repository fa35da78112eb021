"""Sets of integers as sorted, disjoint closed ranges that do not touch: the arithmetic under ports and addresses."""

from __future__ import annotations

from collections.abc import Iterable

#: ``((low, high), ...)``, ascending; ``low <= high`` and each low is above the previous high + 1.
Spans = tuple[tuple[int, int], ...]


def normal(ranges: Iterable[tuple[int, int]]) -> Spans:
    """Any closed ranges as ``Spans``; empty ones (low above high) vanish."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if low > high:
            continue
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


def union(one: Spans, other: Spans) -> Spans:
    return normal((*one, *other)) if one and other else one or other


def intersection(one: Spans, other: Spans) -> Spans:
    out: list[tuple[int, int]] = []
    i = j = 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low <= high:
            out.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def difference(one: Spans, other: Spans) -> Spans:
    out: list[tuple[int, int]] = []
    j = 0
    for low, high in one:
        while j < len(other) and other[j][1] < low:
            j += 1
        start, k = low, j
        while k < len(other) and other[k][0] <= high:
            if other[k][0] > start:
                out.append((start, other[k][0] - 1))
            start = other[k][1] + 1
            k += 1
        if start <= high:
            out.append((start, high))
    return tuple(out)


def contains(spans: Spans, value: int) -> bool:
    return any(low <= value <= high for low, high in spans)
