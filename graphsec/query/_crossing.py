"""From which other namespaces the pods of a workload are reached, by namespace and traffic; never by pairs of pods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graphsec.compile.entries import Reading
from graphsec.compile.flows import Amount, Flows
from graphsec.compile.masks import Ids

#: Namespaces as bits, and the traffic that each of them may send.
Part = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """Namespaces (as bits) whose pods send the same to a workload."""

    namespaces: int
    amount: Amount
    #: Classes of the workload.
    classes: tuple[int, ...]


class Crossing:
    """Read off the bicliques, once for all classes."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._universe = flows.universe

    def into(self, classes: Iterable[int], namespace: str) -> list[Crossed]:
        """What other namespaces open at the classes of a workload; parts of equal traffic together."""
        others = self.others(namespace)
        numbers = tuple(dict.fromkeys(classes))
        parts: list[tuple[int, int, int]] = [(others, -1, 0)]
        for reading in self._flows.readings:
            given = [part for number in numbers for part in self._by_class(reading).get(number, {}).items()]
            flat = [(bits, traffic) for traffic, bits in given]
            parts = list(_refined(parts, list(_disjoint(flat, others))))
        found: dict[Amount, int] = defaultdict(int)
        for bits, certain, possible in parts:
            if possible:
                found[Amount(max(certain, 0), possible)] |= bits
        return [Crossed(namespaces=bits, amount=amount, classes=numbers) for amount, bits in found.items()]

    def others(self, namespace: str) -> int:
        """All namespaces with pods but one."""
        return self.everything & ~self._bit(namespace)

    def names(self, bits: int) -> Iterator[str]:
        """The namespaces behind the bits, in order."""
        while bits:
            low = bits & -bits
            yield self._universe.namespaces[low.bit_length() - 1]
            bits ^= low

    @cached_property
    def everything(self) -> int:
        """Namespaces of the input that have pods; those of virtual pods are none."""
        virtual = {ref.namespace for ref in self._flows.endpoints.workloads if ref.kind == "Virtual"}
        bits = 0
        for number in np.unique(self._universe.namespace).tolist():
            if self._universe.namespaces[number] not in virtual:
                bits |= 1 << number
        return bits

    def _bit(self, namespace: str) -> int:
        numbers = self._numbers
        return 1 << numbers[namespace] if namespace in numbers else 0

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self._universe.namespaces)}

    @cached_property
    def _known(self) -> dict[Reading, dict[int, dict[int, int]]]:
        return {}

    def _by_class(self, reading: Reading) -> dict[int, dict[int, int]]:
        """For each destination class: traffic → bits of the namespaces that send it."""
        known = self._known.get(reading)
        if known is None:
            known = self._known[reading] = defaultdict(dict)
            bicliques = self._flows.bicliques(reading)
            bits_of: dict[bytes, int] = {}
            for number in range(len(bicliques)):
                sources, destinations, traffic = bicliques[number]
                key = sources.tobytes()
                bits = bits_of.get(key)
                if bits is None:
                    bits = bits_of[key] = self._bits(sources)
                if bits:
                    for destination in destinations.tolist():
                        held = known[destination]
                        held[traffic] = held.get(traffic, 0) | bits
        return known

    def _bits(self, sources: Ids) -> int:
        """Of the namespaces of pods; what is on the host network sends as its node, not as a pod of a namespace."""
        flags = np.zeros(len(self._universe.namespaces) + 1, np.bool_)
        flags[self._universe.namespace[sources[sources < self._universe.pods]]] = True
        packed = np.packbits(flags, bitorder="little")
        return int.from_bytes(packed.tobytes(), "little") & self.everything

    def pair(self, crossed: Crossed) -> tuple[int, int]:
        """Two classes between which some of it flows, for evidence."""
        for name in self.names(crossed.namespaces):
            for source in self._universe.in_namespace(name).tolist():
                for destination in crossed.classes:
                    if self._flows.between(source, destination).possible:
                        return source, destination
        return -1, -1


def _disjoint(given: Iterable[Part], within: int) -> Iterator[Part]:
    """Parts that share no namespace, each with all the traffic of its namespaces."""
    parts: list[Part] = []
    for bits, traffic in given:
        left = bits & within
        split: list[Part] = []
        for known, old in parts:
            common = known & left
            if common:
                split.append((common, old | traffic))
            if known & ~common:
                split.append((known & ~common, old))
            left &= ~common
        parts = [*split, *([(left, traffic)] if left else [])]
    yield from parts


def _refined(parts: Iterable[tuple[int, int, int]], others: list[Part]) -> Iterator[tuple[int, int, int]]:
    """(namespaces, traffic under every reading so far, traffic under some): -1 is all of it, before the first reading."""
    for bits, certain, possible in parts:
        left = bits
        for other, traffic in others:
            if common := left & other:
                yield common, certain & traffic, possible | traffic
                left &= ~common
        if left:
            yield left, 0, possible


__all__ = ["Crossed", "Crossing"]
