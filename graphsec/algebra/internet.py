"""Which addresses are public."""

from graphsec.algebra.blocks import ALL_ADDRESSES, AddressSet

#: Blocks that are no part of the internet (IANA special-purpose registries): private, shared, loopback, link-local,
#: benchmarking, multicast, reserved. Documentation blocks stay in: where they are written, they stand for public ones.
_NOT_PUBLIC = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3", "::/8", "100::/64", "fc00::/7", "fe80::/10", "ff00::/8",
)  # fmt: skip
INTERNET = ALL_ADDRESSES - AddressSet.union_of(map(AddressSet.cidr, _NOT_PUBLIC))
PRIVATE = ALL_ADDRESSES - INTERNET
