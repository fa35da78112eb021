"""Kinds of traffic that no rule tells apart: per family and protocol, the port ranges between all bounds that occur.

A set of them is an ``int`` with one bit each: intersections of port sets are single operations.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_

from graphsec.algebra.ports import ALL_PORTS, MAX_PORT, MIN_PORT, PROTOCOLS, PortSet


class Traffic:
    """Atoms of the port sets given. With ``families`` each atom exists once for IPv4 and once for IPv6."""

    def __init__(self, sets: Iterable[PortSet], *, families: bool) -> None:
        starts: dict[str, set[int]] = {protocol: {MIN_PORT} for protocol in PROTOCOLS}
        for protocol, low, high in {found for ports in sets for found in ports.ranges()}:
            starts[protocol].add(low)
            if high < MAX_PORT:
                starts[protocol].add(high + 1)
        self._starts: list[tuple[str, int]] = [
            (protocol, low) for protocol in PROTOCOLS for low in sorted(starts[protocol])
        ]
        self._atoms = [
            PortSet.of(protocol, (low, self._end(index))) for index, (protocol, low) in enumerate(self._starts)
        ]
        self.families = families
        self._width = len(self._atoms)
        self._one = (1 << self._width) - 1
        #: Every atom of IPv4, of IPv6; the same bits where families are not told apart.
        self.v4 = self._one
        self.v6 = self._one << self._width if families else self._one
        self.all = self.v4 | self.v6
        self._bits: dict[PortSet, int] = {ALL_PORTS: self.all}
        self._ports: dict[int, PortSet] = {0: PortSet(), self._one: ALL_PORTS}

    def __len__(self) -> int:
        return self._width * (2 if self.families else 1)

    def _end(self, index: int) -> int:
        protocol = self._starts[index][0]
        following = self._starts[index + 1] if index + 1 < len(self._starts) else ("", 0)
        return following[1] - 1 if following[0] == protocol else MAX_PORT

    def bits(self, ports: PortSet) -> int:
        """Of a set whose bounds were given; both families."""
        known = self._bits.get(ports)
        if known is None:
            known = self._bits[ports] = self._doubled(
                self._run(bisect_left(self._starts, (protocol, low)), protocol, high)
                for protocol, low, high in ports.ranges()
            )
        return known

    def _run(self, first: int, protocol: str, high: int) -> int:
        """The atoms from the first to the one that holds the port ``high``."""
        return (1 << bisect_right(self._starts, (protocol, high))) - (1 << first)

    def _doubled(self, runs: Iterable[int]) -> int:
        both = reduce(or_, runs, 0)
        return both | (both << self._width if self.families else 0)

    def bit(self, protocol: str, port: int, family: int = 0) -> int:
        """The atom of one port, for family 4, 6 or (0) both."""
        index = bisect_right(self._starts, (protocol, port)) - 1
        both = 1 << index | (1 << index + self._width if self.families else 0)
        return both & self.family(family)

    def family(self, family: int) -> int:
        return {4: self.v4, 6: self.v6}.get(family, self.all)

    def touching(self, ports: PortSet) -> int:
        """Every atom that has a port of the set, which need not be made of whole atoms."""
        return self._doubled(
            self._run(bisect_right(self._starts, (protocol, low)) - 1, protocol, high)
            for protocol, low, high in ports.ranges()
        )

    def ports(self, bits: int) -> PortSet:
        """Of a set of atoms, families joined."""
        one = (bits | bits >> self._width if self.families else bits) & self._one
        known = self._ports.get(one)
        if known is None:
            known = self._ports[one] = PortSet.union_of(self._atoms[index] for index in _set_bits(one))
        return known

    def ports_of(self, bits: int, family: int) -> PortSet:
        """Of one family."""
        return self.ports(bits & self.family(family))


def _set_bits(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
