"""Interned sets of class numbers: sorted arrays where few are in, packed bits where many are."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
#: A set with more than one in so many members is kept as bits, which are smaller then.
_DENSE = 32
EMPTY: Ids = np.empty(0, np.int32)


class Masks:
    """A pool of subsets of ``range(size)``; equal sets have one number. 0 is the empty set, 1 the whole one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: list[Any] = []
        self._counts: list[int] = []
        self._by_content: dict[bytes, int] = {}
        self._by_bits: dict[int, int] = {}
        self._bits: dict[int, int] = {}
        self.empty = self.add(EMPTY)
        self.whole = self.add(np.arange(size, dtype=np.int32)) if size else self.empty

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, ids: Ids) -> int:
        """The number of a sorted array without repetition."""
        key = blake2b(ids.tobytes(), digest_size=16).digest()
        known = self._by_content.get(key)
        if known is None:
            known = self._by_content[key] = len(self._kept)
            self._kept.append(self._packed(ids) if self._is_dense(len(ids)) else ids)
            self._counts.append(len(ids))
        return known

    def add_bits(self, bits: int) -> int:
        known = self._by_bits.get(bits)
        if known is None:
            known = self._by_bits[bits] = self.add(self._ids_of_bits(bits))
        return known

    def union(self, masks: Iterable[int]) -> int:
        wanted = [mask for mask in dict.fromkeys(masks) if mask != self.empty]
        if len(wanted) <= 1:
            return wanted[0] if wanted else self.empty
        if self.whole in wanted:
            return self.whole
        if any(self.dense(mask) for mask in wanted):
            bits = 0
            for mask in wanted:
                bits |= self.bits(mask)
            return self.add_bits(bits)
        return self.add(np.unique(np.concatenate([self.ids(mask) for mask in wanted])))

    def intersection(self, one: int, other: int) -> int:
        if other in (one, self.whole):
            return one
        if one == self.whole:
            return other
        if self._counts[one] > self._counts[other]:
            one, other = other, one
        if self.dense(one):
            return self.add_bits(self.bits(one) & self.bits(other))
        ids = self.ids(one)
        inside = ids[self.contains(other, ids)]
        return one if len(inside) == len(ids) else self.add(inside)

    def difference(self, one: int, other: int) -> int:
        if self.empty in (one, other):
            return one
        if self.dense(one):
            return self.add_bits(self.bits(one) & ~self.bits(other))
        ids = self.ids(one)
        return self.add(ids[~self.contains(other, ids)])

    def count(self, mask: int) -> int:
        return self._counts[mask]

    def dense(self, mask: int) -> bool:
        return self._is_dense(self._counts[mask])

    def ids(self, mask: int) -> Ids:
        kept = self._kept[mask]
        return _unpacked(kept, self.size) if self.dense(mask) else kept

    def packed(self, mask: int) -> npt.NDArray[np.uint8]:
        """Bits of a dense set, eight to a byte, the lowest first."""
        kept: npt.NDArray[np.uint8] = self._kept[mask]
        return kept

    def contains(self, mask: int, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which of ``ids`` are in the set."""
        if self.dense(mask):
            found: npt.NDArray[np.bool_] = (self.packed(mask)[ids >> 3] >> (ids & 7).astype(np.uint8)) & 1 == 1
            return found
        return contains(self._kept[mask], ids)

    def bits(self, mask: int) -> int:
        """The set as an int with a bit for each member."""
        known = self._bits.get(mask)
        if known is None:
            kept = self._kept[mask] if self.dense(mask) else self._packed(self._kept[mask])
            known = int.from_bytes(kept.tobytes(), "little")
            if self.dense(mask):
                self._bits[mask] = known
        return known

    def _is_dense(self, count: int) -> bool:
        return count * _DENSE > self.size

    def _packed(self, ids: Ids) -> npt.NDArray[np.uint8]:
        flags = np.zeros(self.size, np.bool_)
        flags[ids] = True
        return np.packbits(flags, bitorder="little")

    def _ids_of_bits(self, bits: int) -> Ids:
        packed = np.frombuffer(bits.to_bytes((self.size + 7) // 8, "little"), np.uint8)
        return _unpacked(packed, self.size)


def _unpacked(packed: npt.NDArray[np.uint8], size: int) -> Ids:
    return np.flatnonzero(np.unpackbits(packed, count=size, bitorder="little")).astype(np.int32)


def contains(members: Ids, ids: Ids) -> npt.NDArray[np.bool_]:
    """Which of ``ids`` are in the sorted array ``members``."""
    if not len(members):
        return np.zeros(len(ids), np.bool_)
    places = np.searchsorted(members, ids)
    places[places == len(members)] = 0
    found: npt.NDArray[np.bool_] = members[places] == ids
    return found


class Rows:
    """Arrays of numbers by row, one behind the other (CSR)."""

    __slots__ = ("starts", "values")

    def __init__(self, starts: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
        self.starts = starts
        self.values = values

    @classmethod
    def of_pairs(cls, rows: npt.NDArray[Any], values: npt.NDArray[Any], count: int) -> Rows:
        """From (row, value) pairs; the values of a row keep their order."""
        order = np.argsort(rows, kind="stable")
        starts = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=count), out=starts[1:])
        return cls(starts, values[order])

    @classmethod
    def of_arrays(cls, arrays: list[Any]) -> Rows:
        starts = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([len(array) for array in arrays], out=starts[1:])
        return cls(starts, np.concatenate(arrays) if arrays else EMPTY)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self.values[self.starts[row] : self.starts[row + 1]]
        return found

    def lengths(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = self.starts[rows + 1] - self.starts[rows]
        return found

    def expand(self, rows: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """For each of ``rows`` all its values: (position in ``rows``, value) pairs."""
        lengths = self.lengths(rows)
        positions = np.repeat(np.arange(len(rows)), lengths)
        # Within a row the index runs on from its start.
        offsets = np.arange(len(positions)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return positions, self.values[np.repeat(self.starts[rows], lengths) + offsets]
