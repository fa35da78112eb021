"""Kinds of traffic that no rule tells apart: per family and protocol, the port ranges between all bounds that occur.

A set of them is an ``int`` with one bit each: intersections of port sets are single operations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

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
            known = sum(1 << index for index, atom in enumerate(self._atoms) if atom <= ports)
            if self.families:
                known |= known << self._width
            self._bits[ports] = known
        return known

    def bit(self, protocol: str, port: int, family: int = 0) -> int:
        """The atom of one port, for family 4, 6 or (0) both."""
        index = bisect_right(self._starts, (protocol, port)) - 1
        both = 1 << index | (1 << index + self._width if self.families else 0)
        return both & self.family(family)

    def family(self, family: int) -> int:
        return {4: self.v4, 6: self.v6}.get(family, self.all)

    def touching(self, ports: PortSet) -> int:
        """Every atom that has a port of the set, which need not be made of whole atoms."""
        both = sum(1 << index for index, atom in enumerate(self._atoms) if atom & ports)
        return both | (both << self._width if self.families else 0)

    def ports(self, bits: int) -> PortSet:
        """Of a set of atoms, families joined."""
        one = (bits | bits >> self._width if self.families else bits) & self._one
        known = self._ports.get(one)
        if known is None:
            known = PortSet.union_of(atom for index, atom in enumerate(self._atoms) if one >> index & 1)
            self._ports[one] = known
        return known

    def ports_of(self, bits: int, family: int) -> PortSet:
        """Of one family."""
        return self.ports(bits & self.family(family))
