"""Columns as arrays: strings interned, so that a test of a string runs once for each that differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphsec.query.lang.schema import Column, Type

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Strings:
    """``words[codes[row]]``; code -1 where there is none."""

    codes: Ints
    words: Sequence[str]

    def taken(self, rows: Ints) -> Strings:
        return Strings(self.codes[rows], self.words)


@dataclass(frozen=True, slots=True)
class Numbers:
    values: Ints
    present: Mask

    def taken(self, rows: Ints) -> Numbers:
        return Numbers(self.values[rows], self.present[rows])


@dataclass(frozen=True, slots=True)
class Truths:
    values: Mask

    def taken(self, rows: Ints) -> Truths:
        return Truths(self.values[rows])


@dataclass(frozen=True, slots=True)
class Lists:
    """The items of all rows one after the other; row r has those from ``starts[r]`` up to ``starts[r] + lengths[r]``."""

    starts: Ints
    lengths: Ints
    items: Strings | Numbers

    def taken(self, rows: Ints) -> Lists:
        return Lists(self.starts[rows], self.lengths[rows], self.items)

    def flat(self) -> tuple[Ints, Strings | Numbers]:
        """(row of each item, all items)."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        before = np.cumsum(self.lengths) - self.lengths
        places = np.repeat(self.starts - before, self.lengths) + np.arange(len(rows))
        return rows, self.items.taken(places)


Value = Strings | Numbers | Truths | Lists


def interned(values: Sequence[str | None]) -> Strings:
    codes: dict[str | None, int] = {None: -1}
    words: list[str] = []
    numbers = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        code = codes.get(value)
        if code is None:
            code = codes[value] = len(words)
            words.append(str(value))
        numbers[row] = code
    return Strings(numbers, words)


def _numbers(values: Sequence[int | None]) -> Numbers:
    present = np.array([value is not None for value in values], dtype=bool)
    return Numbers(np.array([value or 0 for value in values], dtype=np.int64), present)


def as_value(kind: Type, values: Sequence[Any]) -> Value:
    """Of Python's values, one for each row; None where there is none."""
    if kind is Type.BOOL:
        return Truths(np.array(values, dtype=bool))
    if kind is Type.INT:
        return _numbers(values)
    if kind is Type.STRING:
        return interned(values)
    lengths = np.array([len(items) for items in values], dtype=np.int64)
    flat = [item for items in values for item in items]
    return Lists(np.cumsum(lengths) - lengths, lengths, _numbers(flat) if kind is Type.INTS else interned(flat))


class Table:
    """Rows whose columns are made when first asked for: ``values`` gives Python's values of a column in row order."""

    def __init__(self, count: int, values: Callable[[Column], Sequence[Any]]) -> None:
        self.count = count
        self._values = values
        self._known: dict[tuple[str, str | None], Value] = {}

    def column(self, column: Column, key: str | None = None) -> Value:
        """``key`` is that of a map."""
        known = self._known.get((column.name, key))
        if known is None:
            values = self._values(column)
            if key is not None:
                values = [found.get(key) for found in values]
            known = as_value(column.type if key is None else Type.STRING, values)
            self._known[column.name, key] = known
        return known
