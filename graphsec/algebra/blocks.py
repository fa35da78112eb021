"""Sets of IP addresses of both families: CIDR blocks with exceptions, ranges, and their arithmetic."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

import msgspec

from graphsec.algebra import spans as _spans
from graphsec.algebra.spans import Spans

_V4_MAX = (1 << 32) - 1
#: IPv6 lies behind IPv4 on one number line, with a gap so that the two never touch.
V6_BASE = 1 << 33
_V6_MAX = V6_BASE + (1 << 128) - 1
#: Digits of an octet, leading zeros included.
_OCTET = 16


def parse_address(text: str) -> int:
    """The place of an address on the number line. Raises ValueError.

    As Kubernetes does (`ParseIPSloppy`), leading zeros of an IPv4 octet are decimal and `::ffff:1.2.3.4` is IPv4.
    """
    if ":" not in text:
        return _parse_v4(text)
    if "%" in text:
        raise ValueError(f"an IP address with a zone: `{text}`")
    address = ipaddress.IPv6Address(text)
    mapped = address.ipv4_mapped
    return int(mapped) if mapped is not None else V6_BASE + int(address)


def _parse_v4(text: str) -> int:
    value, octets = 0, text.split(".")
    for octet in octets:
        if not (octet.isascii() and octet.isdigit()) or len(octet) > _OCTET or int(octet) > 255:
            raise ValueError(f"no IP address: `{text}`")
        value = value << 8 | int(octet)
    if len(octets) != 4:
        raise ValueError(f"no IP address: `{text}`")
    return value


def family(value: int) -> int:
    """4 or 6."""
    return 6 if value >= V6_BASE else 4


def address_text(value: int) -> str:
    return str(ipaddress.IPv6Address(value - V6_BASE) if value >= V6_BASE else ipaddress.IPv4Address(value))


class AddressSet(msgspec.Struct, frozen=True, gc=False):
    """An immutable set of IP addresses. ``str()`` lists ranges: ``10.0.0.0-10.255.255.255``."""

    spans: Spans = ()

    @classmethod
    def cidr(cls, text: str) -> AddressSet:
        """A block such as ``10.0.0.0/8`` (host bits are dropped), or one address. Raises ValueError."""
        address, slash, length = text.partition("/")
        start = parse_address(address)
        if not slash:
            return cls(((start, start),))
        # A mapped address is shorter by the 96 bits in front of it.
        width = 128 if ":" in address else 32
        if not length.isascii() or not length.isdigit() or int(length) > width:
            raise ValueError(f"no CIDR: `{text}`")
        bits = width - int(length)
        if width == 128 and start < V6_BASE:
            bits = min(bits, 32)
        base = V6_BASE if start >= V6_BASE else 0
        low = base + ((start - base) >> bits << bits)
        return cls(((low, low + (1 << bits) - 1),))

    @classmethod
    def of(cls, addresses: Iterable[int]) -> AddressSet:
        return cls(_spans.normal((address, address) for address in addresses))

    @classmethod
    def union_of(cls, sets: Iterable[AddressSet]) -> AddressSet:
        return cls(_spans.normal(span for addresses in sets for span in addresses.spans))

    def __or__(self, other: AddressSet) -> AddressSet:
        return AddressSet(_spans.union(self.spans, other.spans))

    def __and__(self, other: AddressSet) -> AddressSet:
        return AddressSet(_spans.intersection(self.spans, other.spans))

    def __sub__(self, other: AddressSet) -> AddressSet:
        return AddressSet(_spans.difference(self.spans, other.spans))

    def __invert__(self) -> AddressSet:
        return ALL_ADDRESSES - self

    def __le__(self, other: AddressSet) -> bool:
        return not self - other

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __contains__(self, address: int) -> bool:
        return _spans.contains(self.spans, address)

    def of_family(self, wanted: int) -> AddressSet:
        return self & (ALL_V4 if wanted == 4 else ALL_V6)

    def ranges(self) -> Iterator[tuple[str, str]]:
        for low, high in self.spans:
            yield address_text(low), address_text(high)

    def cidrs(self) -> Iterator[str]:
        """The fewest blocks that make up the set, in order."""
        for first, last in self.ranges():
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            yield from map(str, ipaddress.summarize_address_range(low, high))

    def __str__(self) -> str:
        return ",".join(low if low == high else f"{low}-{high}" for low, high in self.ranges())


ALL_V4 = AddressSet(((0, _V4_MAX),))
ALL_V6 = AddressSet(((V6_BASE, _V6_MAX),))
ALL_ADDRESSES = ALL_V4 | ALL_V6
