"""Sets of (protocol, port): union, intersection and difference, and the text form that connection lists use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from graphsec.algebra import spans as _spans
from graphsec.algebra.spans import Spans

#: In the order of their text form.
PROTOCOLS = ("SCTP", "TCP", "UDP")
MIN_PORT, MAX_PORT = 1, 65535
#: Ports of one protocol lie on the number line behind those of the one before; 0 keeps them from touching.
_STRIDE = MAX_PORT + 1
_BASE = {protocol: index * _STRIDE for index, protocol in enumerate(PROTOCOLS)}
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?$")


def is_number(port: object) -> bool:
    """Whether a value is a port, 1 to 65535."""
    return isinstance(port, int) and not isinstance(port, bool) and MIN_PORT <= port <= MAX_PORT


class PortSet(msgspec.Struct, frozen=True, gc=False):
    """An immutable set of (protocol, port), ports 1 to 65535 of TCP, UDP and SCTP.

    ``str()`` is ``TCP 80,443-445,UDP 53``, ``All Connections`` for everything or ``No Connections`` for nothing.
    """

    spans: Spans = ()

    @classmethod
    def of(cls, protocol: str, *ports: int | tuple[int, int]) -> PortSet:
        """Ports and closed ranges of one protocol; all of it if none is given. Raises ValueError."""
        if protocol not in _BASE:
            raise ValueError(f"unknown protocol `{protocol}`")
        ranges = [port if isinstance(port, tuple) else (port, port) for port in ports] or [(MIN_PORT, MAX_PORT)]
        for low, high in ranges:
            if not MIN_PORT <= low <= high <= MAX_PORT:
                raise ValueError(f"no port range: {low}-{high}")
        base = _BASE[protocol]
        return cls(_spans.normal((base + low, base + high) for low, high in ranges))

    @classmethod
    def parse(cls, text: str) -> PortSet:
        """The inverse of ``str()``. Raises ValueError."""
        if text == "All Connections":
            return ALL_PORTS
        if text in ("No Connections", ""):
            return NO_PORTS
        out, protocol = NO_PORTS, ""
        for part in text.split(","):
            word, space, ports = part.strip().partition(" ")
            if word in _BASE:
                protocol, part_ports = word, ports if space else f"{MIN_PORT}-{MAX_PORT}"
            else:
                part_ports = word
            match = _RANGE.match(part_ports.strip())
            if match is None or not protocol:
                raise ValueError(f"no ports: `{text}`")
            out |= cls.of(protocol, (int(match[1]), int(match[2] or match[1])))
        return out

    @classmethod
    def union_of(cls, sets: Iterable[PortSet]) -> PortSet:
        return cls(_spans.normal(span for ports in sets for span in ports.spans))

    def __or__(self, other: PortSet) -> PortSet:
        return PortSet(_spans.union(self.spans, other.spans))

    def __and__(self, other: PortSet) -> PortSet:
        return PortSet(_spans.intersection(self.spans, other.spans))

    def __sub__(self, other: PortSet) -> PortSet:
        return PortSet(_spans.difference(self.spans, other.spans))

    def __invert__(self) -> PortSet:
        return ALL_PORTS - self

    def __le__(self, other: PortSet) -> bool:
        return not self - other

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __contains__(self, item: tuple[str, int]) -> bool:
        protocol, port = item
        inside = protocol in _BASE and MIN_PORT <= port <= MAX_PORT
        return inside and _spans.contains(self.spans, _BASE[protocol] + port)

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.spans)

    def ranges(self) -> Iterator[tuple[str, int, int]]:
        """(protocol, low, high) in order."""
        for low, high in self.spans:
            index = low // _STRIDE
            base = index * _STRIDE
            yield PROTOCOLS[index], low - base, high - base

    def of_protocol(self, protocol: str) -> tuple[tuple[int, int], ...]:
        return tuple((low, high) for found, low, high in self.ranges() if found == protocol)

    def __str__(self) -> str:
        if self == ALL_PORTS:
            return "All Connections"
        words = []
        for protocol in PROTOCOLS:
            found = self.of_protocol(protocol)
            if found:
                ports = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)
                words.append(f"{protocol} {ports}")
        return ",".join(words) or "No Connections"


NO_PORTS = PortSet()
ALL_PORTS = PortSet.union_of(PortSet.of(protocol) for protocol in PROTOCOLS)
