"""Laws of the small algebras under the flows, against plain sets: ports, addresses, label expressions, masks, rows, the join."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from test_agreement import examples

from graphsec.algebra import expressions, spans
from graphsec.algebra.blocks import (
    ALL_ADDRESSES,
    ALL_V4,
    ALL_V6,
    V6_BASE,
    AddressSet,
    address_text,
    family,
    parse_address,
)
from graphsec.algebra.expressions import AllOf, AnyOf, Expression, Field, LabelTest, Not, Operator, matches, of_selector
from graphsec.algebra.ports import ALL_PORTS, MAX_PORT, NO_PORTS, PROTOCOLS, PortSet
from graphsec.algebra.selectors import LabelSelector, Requirement
from graphsec.compile import join as joining
from graphsec.compile import masks as masking
from graphsec.compile.entries import Entry
from graphsec.compile.masks import Masks, Rows
from graphsec.compile.traffic import Traffic

Spans = tuple[tuple[int, int], ...]

# -- strategies ------------------------------------------------------------------------------------------------------

SMALL = range(24)
SMALL_SETS = st.frozensets(st.sampled_from(SMALL))
RANGES = st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23)), max_size=8)
#: Near both ends of the protocol, and anywhere in between.
PORTS = st.one_of(st.integers(1, 6), st.integers(MAX_PORT - 5, MAX_PORT), st.integers(1, MAX_PORT))
PORT_RANGES = st.tuples(PORTS, PORTS).map(lambda pair: (min(pair), max(pair)))
PIECES = st.lists(st.tuples(st.sampled_from(PROTOCOLS), PORT_RANGES), max_size=6)
PORT_SETS = PIECES.map(lambda pieces: PortSet.union_of(PortSet.of(protocol, ports) for protocol, ports in pieces))
#: Near the ends of both families, where they would touch if they lay behind one another.
ENDS = st.sampled_from((0, 8, ALL_V4.spans[0][1], V6_BASE, V6_BASE + (1 << 64), ALL_V6.spans[0][1]))


def addresses_near(end: int, offset: int) -> int:
    low, high = (0, ALL_V4.spans[0][1]) if end < V6_BASE else ALL_V6.spans[0]
    return min(max(end + offset, low), high)


ADDRESSES = st.builds(addresses_near, ENDS, st.integers(-9, 9))


def address_range(one: int, other: int) -> AddressSet:
    """Of one family: that of the first."""
    if family(one) != family(other):
        other = one
    return AddressSet(((min(one, other), max(one, other)),))


ADDRESS_SETS = st.lists(st.builds(address_range, ADDRESSES, ADDRESSES), max_size=6).map(AddressSet.union_of)


def is_normal(found: Spans) -> bool:
    return all(low <= high for low, high in found) and all(one[1] + 1 < other[0] for one, other in pairwise(found))


# -- ranges against sets ---------------------------------------------------------------------------------------------


def spans_of(numbers: Iterable[int]) -> Spans:
    return spans.normal((number, number) for number in numbers)


def numbers_of(found: Spans) -> frozenset[int]:
    return frozenset(number for low, high in found for number in range(low, high + 1))


@examples(80, given(RANGES))
def test_the_normal_form_keeps_the_members_and_is_unique(ranges: list[tuple[int, int]]) -> None:
    members = {number for low, high in ranges for number in range(low, high + 1)}
    assert numbers_of(spans.normal(ranges)) == members
    assert is_normal(spans.normal(ranges))
    assert spans.normal(ranges) == spans_of(members) == spans.normal(reversed(ranges))


@examples(80, given(SMALL_SETS, SMALL_SETS))
def test_ranges_do_what_sets_do(one: frozenset[int], other: frozenset[int]) -> None:
    left, right = spans_of(one), spans_of(other)
    assert spans.union(left, right) == spans_of(one | other)
    assert spans.intersection(left, right) == spans_of(one & other)
    assert spans.difference(left, right) == spans_of(one - other)
    assert [spans.contains(left, number) for number in SMALL] == [number in one for number in SMALL]


@examples(20, given(st.integers(0, 1 << 32), st.sampled_from((3, 300, 20_000))))
def test_many_ranges_do_what_sets_do(seed: int, spread: int) -> None:
    source = random.Random(seed)
    one, other = ({source.randrange(spread) for _ in range(source.randrange(2_000))} for _ in range(2))
    left, right = spans_of(one), spans_of(other)
    assert spans.union(left, right) == spans_of(one | other)
    assert spans.intersection(left, right) == spans_of(one & other)
    assert spans.difference(left, right) == spans_of(one - other)


# -- the laws of a Boolean algebra, for both kinds of set --------------------------------------------------------------

PORT_TRIPLES = st.tuples(PORT_SETS, PORT_SETS, PORT_SETS, st.just(NO_PORTS), st.just(ALL_PORTS))
ADDRESS_TRIPLES = st.tuples(ADDRESS_SETS, ADDRESS_SETS, ADDRESS_SETS, st.just(AddressSet()), st.just(ALL_ADDRESSES))
TRIPLES = st.one_of(PORT_TRIPLES, ADDRESS_TRIPLES)


@examples(120, given(TRIPLES))
def test_union_and_intersection_are_a_lattice(sets: tuple[Any, ...]) -> None:
    one, other, third, nothing, everything = sets
    assert one | other == other | one
    assert one & other == other & one
    assert (one | other) | third == one | (other | third)
    assert (one & other) & third == one & (other & third)
    assert one & (other | third) == (one & other) | (one & third)
    assert one | (other & third) == (one | other) & (one | third)
    assert one | (one & other) == one == one & (one | other)
    assert one | nothing == one == one & everything
    assert one & nothing == nothing
    assert one | everything == everything


@examples(120, given(TRIPLES))
def test_complement_and_difference(sets: tuple[Any, ...]) -> None:
    one, other, _, nothing, everything = sets
    assert ~(one | other) == ~one & ~other
    assert ~(one & other) == ~one | ~other
    assert ~~one == one
    assert one | ~one == everything
    assert one & ~one == nothing
    assert one - other == one & ~other
    assert (one - other) | (one & other) == one
    assert (one - other) & other == nothing


@examples(120, given(TRIPLES))
def test_order_is_inclusion(sets: tuple[Any, ...]) -> None:
    one, other, third, nothing, everything = sets
    assert (one <= other) == (one | other == other) == (one & other == one)
    assert nothing <= one <= everything
    assert one & other <= one <= one | other
    assert not (one <= other <= third) or one <= third
    assert (one <= other <= one) == (one == other)
    assert bool(one) == (one != nothing)


@examples(120, given(TRIPLES))
def test_equal_sets_are_equal_values(sets: tuple[Any, ...]) -> None:
    one, other, *_ = sets
    made = (one - other) | (one & other)
    assert is_normal(made.spans)
    assert (made, hash(made)) == (one, hash(one))
    assert type(one).union_of([one, other, made]) == one | other


# -- ports -------------------------------------------------------------------------------------------------------------


def port_model(pieces: list[tuple[str, tuple[int, int]]]) -> dict[str, frozenset[int]]:
    return {
        protocol: frozenset(port for found, (low, high) in pieces if found == protocol for port in range(low, high + 1))
        for protocol in PROTOCOLS
    }


def as_model(ports: PortSet) -> dict[str, frozenset[int]]:
    return {protocol: numbers_of(ports.of_protocol(protocol)) for protocol in PROTOCOLS}


@examples(30, given(PIECES, PIECES))
def test_port_sets_are_sets_of_each_protocol(
    one: list[tuple[str, tuple[int, int]]], other: list[tuple[str, tuple[int, int]]]
) -> None:
    """Operations never carry a port into the protocol beside it, even at 1 and 65535."""
    left, right = (
        PortSet.union_of(PortSet.of(protocol, ports) for protocol, ports in pieces) for pieces in (one, other)
    )
    mine, yours = port_model(one), port_model(other)
    assert as_model(left | right) == {protocol: mine[protocol] | yours[protocol] for protocol in PROTOCOLS}
    assert as_model(left & right) == {protocol: mine[protocol] & yours[protocol] for protocol in PROTOCOLS}
    assert as_model(left - right) == {protocol: mine[protocol] - yours[protocol] for protocol in PROTOCOLS}
    assert len(left) == sum(map(len, mine.values()))


@examples(80, given(PORT_SETS, st.sampled_from(PROTOCOLS), PORTS))
def test_members_of_port_sets(ports: PortSet, protocol: str, port: int) -> None:
    assert ((protocol, port) in ports) == (port in numbers_of(ports.of_protocol(protocol)))
    assert ((protocol, port) in ports) == bool(PortSet.of(protocol, port) & ports)
    assert ("ICMP", port) not in ports


@examples(120, given(PORT_SETS))
def test_port_sets_are_read_as_they_are_written(ports: PortSet) -> None:
    assert PortSet.parse(str(ports)) == ports
    assert PortSet.union_of(PortSet.of(protocol, (low, high)) for protocol, low, high in ports.ranges()) == ports


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        (NO_PORTS, "No Connections"),
        (ALL_PORTS, "All Connections"),
        (PortSet.of("TCP"), "TCP 1-65535"),
        (PortSet.of("TCP", 80, (443, 445)) | PortSet.of("UDP", 53), "TCP 80,443-445,UDP 53"),
        (PortSet.of("UDP", 1) | PortSet.of("TCP", 65535), "TCP 65535,UDP 1"),
        (ALL_PORTS - PortSet.of("TCP", 80), "SCTP 1-65535,TCP 1-79,81-65535,UDP 1-65535"),
    ],
)
def test_text_of_ports(ports: PortSet, text: str) -> None:
    assert (str(ports), PortSet.parse(text)) == (text, ports)


@pytest.mark.parametrize("text", ["80", "TCP 0", "TCP 65536", "TCP 90-80", "TCP 80,,", "ICMP 1", "TCP 80-", "tcp 80"])
def test_what_is_no_text_of_ports(text: str) -> None:
    with pytest.raises(ValueError):
        PortSet.parse(text)


@examples(80, given(st.lists(PORT_SETS, max_size=5), st.booleans()))
def test_traffic_is_a_set_of_atoms_with_the_same_laws(given_sets: list[PortSet], families: bool) -> None:
    """Sets whose bounds were given are whole atoms: their bits meet exactly where the sets meet."""
    traffic = Traffic(given_sets, families=families)
    assert traffic.bits(NO_PORTS) == 0
    assert traffic.bits(ALL_PORTS) == traffic.all
    for one in given_sets:
        assert traffic.ports(traffic.bits(one)) == one
        assert traffic.touching(one) == traffic.bits(one)
        assert traffic.ports_of(traffic.bits(one) & traffic.v4, 4) == one
        for other in given_sets:
            assert traffic.ports(traffic.bits(one) & traffic.bits(other)) == one & other
            assert traffic.ports(traffic.bits(one) | traffic.bits(other)) == one | other


@examples(80, given(st.lists(PORT_SETS, max_size=5), st.sampled_from(PROTOCOLS), PORTS, st.booleans()))
def test_each_port_is_in_one_atom(given_sets: list[PortSet], protocol: str, port: int, families: bool) -> None:
    traffic = Traffic(given_sets, families=families)
    bit = traffic.bit(protocol, port)
    assert bit.bit_count() == (2 if families else 1)
    assert bit == traffic.bit(protocol, port, 4) | traffic.bit(protocol, port, 6)
    assert (protocol, port) in traffic.ports(bit)
    assert [bool(traffic.bits(ports) & bit) for ports in given_sets] == [(protocol, port) in x for x in given_sets]


# -- addresses ---------------------------------------------------------------------------------------------------------

V4_TEXTS = st.integers(0, (1 << 32) - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
V6_TEXTS = st.integers(0, (1 << 128) - 1).map(lambda number: str(ipaddress.IPv6Address(number)))


@examples(80, given(st.one_of(V4_TEXTS, V6_TEXTS)))
def test_addresses_are_read_as_they_are_written(text: str) -> None:
    assume(not text.startswith("::ffff:"))
    assert address_text(parse_address(text)) == text
    assert family(parse_address(text)) == ipaddress.ip_address(text).version
    assert str(AddressSet.cidr(text)) == text


@examples(80, given(V4_TEXTS, st.lists(st.integers(0, 3), min_size=4, max_size=4), st.integers(0, 32)))
def test_leading_zeros_are_decimal(text: str, zeros: list[int], length: int) -> None:
    """R-24: one address in any spelling."""
    sloppy = ".".join("0" * count + octet for count, octet in zip(zeros, text.split("."), strict=True))
    assert parse_address(sloppy) == parse_address(text)
    assert AddressSet.cidr(f"{sloppy}/{length}") == AddressSet.cidr(f"{text}/{length}")


@examples(80, given(V6_TEXTS, st.integers(0, 128)))
def test_every_spelling_of_an_ipv6_address_is_the_same(text: str, length: int) -> None:
    """R-24."""
    spelled = ipaddress.IPv6Address(text).exploded
    assert parse_address(spelled) == parse_address(text) == parse_address(spelled.upper())
    assert AddressSet.cidr(f"{spelled}/{length}") == AddressSet.cidr(f"{text}/{length}")


@examples(80, given(V4_TEXTS, st.integers(0, 32)))
def test_a_mapped_address_is_ipv4(text: str, length: int) -> None:
    assert parse_address(f"::ffff:{text}") == parse_address(text)
    assert AddressSet.cidr(f"::ffff:{text}/{length + 96}") == AddressSet.cidr(f"{text}/{length}")


@examples(120, given(st.one_of(st.tuples(V4_TEXTS, st.integers(0, 32)), st.tuples(V6_TEXTS, st.integers(0, 128)))))
def test_a_block_is_the_network_that_the_standard_library_reads(block: tuple[str, int]) -> None:
    text = f"{block[0]}/{block[1]}"
    network = ipaddress.ip_network(text, strict=False)
    assume(network.version == 4 or not network.overlaps(ipaddress.IPv6Network("::ffff:0:0/96")))
    found = AddressSet.cidr(text)
    assert list(found.ranges()) == [(str(network[0]), str(network[-1]))]
    assert list(found.cidrs()) == [str(network)]
    assert found.of_family(network.version) == found
    assert not found.of_family(10 - network.version)


@examples(80, given(ADDRESS_SETS))
def test_blocks_cover_a_set_exactly(addresses: AddressSet) -> None:
    blocks = [AddressSet.cidr(text) for text in addresses.cidrs()]
    assert AddressSet.union_of(blocks) == addresses
    assert all(not one & other for one, other in pairwise(blocks))
    networks = [ipaddress.ip_network(text) for text in addresses.cidrs()]
    v4 = [net for net in networks if isinstance(net, ipaddress.IPv4Network)]
    v6 = [net for net in networks if isinstance(net, ipaddress.IPv6Network)]
    assert networks == [*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6)]


@examples(80, given(ADDRESS_SETS, ADDRESSES))
def test_members_of_address_sets(addresses: AddressSet, address: int) -> None:
    assert (address in addresses) == bool(AddressSet.of([address]) & addresses)
    assert (address in addresses) == (address not in ~addresses)


@examples(80, given(ADDRESS_SETS))
def test_the_families_never_merge(addresses: AddressSet) -> None:
    """N-20: no range runs from one into the other, and both parts together are the whole."""
    assert all(family(low) == family(high) for low, high in addresses.spans)
    assert addresses.of_family(4) | addresses.of_family(6) == addresses
    assert not addresses.of_family(4) & addresses.of_family(6)


def test_all_addresses_are_two_ranges() -> None:
    assert len(ALL_ADDRESSES.spans) == 2
    assert list(ALL_ADDRESSES.cidrs()) == ["0.0.0.0/0", "::/0"]
    assert (AddressSet.cidr("0.0.0.0/0"), AddressSet.cidr("::/0")) == (ALL_V4, ALL_V6)


@pytest.mark.parametrize(
    "text",
    ["", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129", "10.0.0", "10.0.0.256", "a::b::c"],
)
def test_what_is_no_block(text: str) -> None:
    with pytest.raises(ValueError):
        AddressSet.cidr(text)


# -- label expressions -------------------------------------------------------------------------------------------------

KEYS, VALUES = ("app", "tier", "kubernetes.io/metadata.name"), ("", "a", "b", "ab")
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
SOME_VALUES = st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple)
REQUIREMENTS = st.one_of(
    st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from(("In", "NotIn")), SOME_VALUES),
    st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from(("Exists", "DoesNotExist"))),
    st.builds(Requirement, st.sampled_from(KEYS), st.just("Gt"), SOME_VALUES),
)
SELECTORS = st.builds(
    LabelSelector, st.one_of(st.none(), LABELS), st.one_of(st.none(), st.lists(REQUIREMENTS, max_size=3).map(tuple))
)
FIELDS = st.sampled_from(tuple(Field))
TESTS = st.builds(
    LabelTest,
    st.sampled_from(KEYS),
    st.sampled_from(tuple(Operator)),
    SOME_VALUES,
    FIELDS,
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
LABELS_BY_FIELD = st.dictionaries(FIELDS, LABELS)


@examples(120, given(st.one_of(st.none(), SELECTORS), LABELS, FIELDS))
def test_an_expression_matches_what_its_selector_matches(
    selector: LabelSelector | None, labels: dict[str, str], field: Field
) -> None:
    """N-07; the empty selector and none at all match everything."""
    expected = selector is None or selector.matches(labels)
    assert matches(of_selector(selector, field), {field: labels}) == expected


@examples(80, given(SELECTORS, LABELS, FIELDS))
def test_an_expression_reads_its_own_field_alone(selector: LabelSelector, labels: dict[str, str], field: Field) -> None:
    others = {other: labels for other in Field if other is not field}
    assert matches(of_selector(selector, field), others) == selector.matches({})


@examples(120, given(EXPRESSIONS, EXPRESSIONS, LABELS_BY_FIELD))
def test_expressions_are_boolean(one: Expression, other: Expression, labels: dict[Field, dict[str, str]]) -> None:
    def holds(expression: Expression) -> bool:
        return matches(expression, labels)

    assert holds(Not(one)) != holds(one)
    assert holds(AllOf((one, other))) == (holds(one) and holds(other)) == holds(Not(AnyOf((Not(one), Not(other)))))
    assert holds(AnyOf((one, other))) == (holds(one) or holds(other))
    assert holds(AllOf())
    assert not holds(AnyOf())


@examples(80, given(EXPRESSIONS, LABELS_BY_FIELD))
def test_only_the_keys_of_its_tests_matter(expression: Expression, labels: dict[Field, dict[str, str]]) -> None:
    """Classes of pods keep the labels of these keys and forget the others."""
    read = {(test.field, test.key) for test in expressions.tests(expression)}
    kept = {
        field: {key: value for key, value in found.items() if (field, key) in read} for field, found in labels.items()
    }
    assert matches(expression, kept) == matches(expression, labels)


# -- masks -------------------------------------------------------------------------------------------------------------

SIZES = (0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 200)
DENSITIES = (0.0, 0.02, 0.3, 0.97, 1.0)


def random_set(source: random.Random, size: int) -> frozenset[int]:
    density = source.choice(DENSITIES)
    return frozenset(number for number in range(size) if source.random() < density)


def ids(numbers: Iterable[int]) -> masking.Ids:
    return np.array(sorted(numbers), np.int32)


def members(pool: Masks, mask: int) -> frozenset[int]:
    return frozenset(pool.ids(mask).tolist())


@pytest.fixture(params=[1, 4, 32, 1_000_000], ids="dense above 1/{}".format)
def dense(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """From where sets are kept as bits: only the whole one, a quarter, as it is, and all but the empty one."""
    monkeypatch.setattr(masking, "_DENSE", request.param)
    return int(request.param)


@pytest.mark.usefixtures("dense")
@pytest.mark.parametrize("size", SIZES)
def test_masks_do_what_sets_do(size: int) -> None:
    source, pool = random.Random(size), Masks(size)
    for _ in range(60):
        one, other, third = (random_set(source, size) for _ in range(3))
        left, right, last = (pool.add(ids(found)) for found in (one, other, third))
        assert members(pool, left) == one
        assert pool.count(left) == len(one)
        assert pool.bits(left) == sum(1 << number for number in one)
        assert members(pool, pool.union((left, right, last))) == one | other | third
        assert members(pool, pool.intersection(left, right)) == one & other
        assert members(pool, pool.difference(left, right)) == one - other
        asked = ids(random_set(source, size))
        assert pool.contains(left, asked).tolist() == [number in one for number in asked.tolist()]


@pytest.mark.usefixtures("dense")
@pytest.mark.parametrize("size", SIZES)
def test_equal_masks_have_one_number(size: int) -> None:
    """Whatever they were made by."""
    source, pool = random.Random(size), Masks(size)
    for _ in range(60):
        one, other = random_set(source, size), random_set(source, size)
        left, right = pool.add(ids(one)), pool.add(ids(other))
        both, either = pool.intersection(left, right), pool.union((left, right))
        assert pool.add(ids(one & other)) == both == pool.intersection(right, left)
        assert pool.add(ids(one | other)) == either == pool.union((right, left, right, pool.empty))
        assert pool.add_bits(sum(1 << number for number in one)) == left
        assert pool.union((pool.difference(left, right), both)) == left
        assert pool.difference(left, pool.difference(left, right)) == both
        assert pool.difference(left, left) == pool.empty == pool.intersection(left, pool.empty)
        assert pool.union((left, pool.whole)) == pool.whole
        assert pool.intersection(left, pool.whole) == left == pool.union((left,))


@pytest.mark.parametrize("size", SIZES)
def test_the_empty_mask_and_the_whole_one(size: int) -> None:
    pool = Masks(size)
    assert members(pool, pool.empty) == frozenset()
    assert members(pool, pool.whole) == frozenset(range(size))
    assert (pool.whole == pool.empty) == (size == 0)
    assert pool.union(()) == pool.empty


@examples(100, given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), max_size=20), st.data()))
def test_rows_are_lists(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    lists = [[value for row, value in pairs if row == number] for number in range(6)]
    columns = np.array(pairs, np.int32).reshape(len(pairs), 2)
    chosen = data.draw(st.lists(st.integers(0, 5), max_size=8))
    expanded = [(place, value) for place, row in enumerate(chosen) for value in lists[row]]
    for rows in (
        Rows.of_pairs(columns[:, 0], columns[:, 1], 6),
        Rows.of_arrays([np.array(x, np.int32) for x in lists]),
    ):
        assert [rows[number].tolist() for number in range(len(rows))] == lists
        assert rows.lengths(np.array(chosen, np.int64)).tolist() == [len(lists[row]) for row in chosen]
        places, values = rows.expand(np.array(chosen, np.int64))
        assert list(zip(places.tolist(), values.tolist(), strict=True)) == expanded


# -- the join ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 7, 4_000_000], ids="chunks of {}".format)
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(joining, "_CHUNK", request.param)
    return int(request.param)


def families(source: random.Random, size: int) -> tuple[Masks, list[frozenset[int]], list[frozenset[int]]]:
    pool = Masks(size)
    left, right = ([random_set(source, size) for _ in range(source.randrange(7))] for _ in range(2))
    return pool, left, right


def family_of(pool: Masks, sets: Sequence[frozenset[int]]) -> joining.Family:
    return joining.Family(pool, [pool.add(ids(found)) for found in sets])


Met = dict[tuple[int, int], frozenset[int]]


def met(pool: Masks, meetings: Iterable[joining.Meeting]) -> Met:
    """What pairs share. A pair is found once, or it would be joined twice."""
    found: Met = {}
    for meeting in meetings:
        for number in range(len(meeting)):
            pair = int(meeting.left[number]), int(meeting.right[number])
            assert pair not in found
            shared = meeting.members(pool, number).tolist()
            assert shared == sorted(set(shared))
            found[pair] = frozenset(shared)
    return found


@pytest.mark.usefixtures("dense", "chunk")
@pytest.mark.parametrize("size", [1, 8, 9, 65])
def test_meet_is_every_pair_that_shares_a_member(size: int) -> None:
    source = random.Random(size)
    for _ in range(25):
        pool, left, right = families(source, size)
        expected = {(i, j): one & other for i, one in enumerate(left) for j, other in enumerate(right) if one & other}
        assert met(pool, joining.meet(family_of(pool, left), family_of(pool, right))) == expected


@pytest.mark.usefixtures("dense", "chunk")
@pytest.mark.parametrize("size", [1, 8, 9, 65])
def test_restrict_keeps_the_pairs_given(size: int) -> None:
    source = random.Random(size)
    for _ in range(25):
        pool, left, right = families(source, size)
        pairs = [(i, j) for i in range(len(left)) for j in range(len(right)) if source.random() < 0.6]
        columns = np.array(pairs, np.int32).reshape(len(pairs), 2)
        asked = joining.Meeting(
            columns[:, 0],
            columns[:, 1],
            Rows(np.zeros(len(pairs) + 1, np.int64), masking.EMPTY),
            np.full(len(pairs), -1),
        )
        found = joining.restrict(family_of(pool, left), family_of(pool, right), asked)
        assert met(pool, [found]) == {(i, j): left[i] & right[j] for i, j in pairs}


@pytest.mark.usefixtures("dense", "chunk")
@pytest.mark.parametrize("size", [1, 8, 9, 65])
def test_a_family_knows_its_members(size: int) -> None:
    source = random.Random(size)
    for _ in range(25):
        pool, left, _ = families(source, size)
        family_ = family_of(pool, left)
        for member in range(size):
            holding = [number for number, found in enumerate(left) if member in found]
            assert family_.holding(member).tolist() == holding
            numbers = np.arange(len(left))
            inside = family_.contains(numbers, np.full(len(left), member, np.int32))
            assert inside.tolist() == [member in found for found in left]


Block = tuple[frozenset[int], frozenset[int], int]


def block(source: random.Random, size: int) -> Block:
    return random_set(source, size), random_set(source, size), source.randrange(8)


def side(pool: Masks, blocks: Sequence[Block]) -> joining.Side:
    entries = [Entry(pool.add(ids(subjects)), pool.add(ids(peers)), traffic, ()) for subjects, peers, traffic in blocks]
    return joining.Side(pool, entries)


def allowed(bicliques: Iterable[tuple[Iterable[int], Iterable[int], int]]) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for sources, destinations, traffic in bicliques:
        for source in sources:
            for destination in destinations:
                found[source, destination] = found.get((source, destination), 0) | traffic
    return {pair: traffic for pair, traffic in found.items() if traffic}


@pytest.mark.usefixtures("dense", "chunk")
@pytest.mark.parametrize("size", [1, 8, 9, 65])
def test_join_is_what_both_sides_allow(size: int) -> None:
    source = random.Random(size)
    for _ in range(25):
        pool = Masks(size)
        egress, ingress = ([block(source, size) for _ in range(source.randrange(6))] for _ in range(2))
        found = joining.join(pool, side(pool, egress), side(pool, ingress))
        outward, inward = allowed(egress), allowed((peers, subjects, traffic) for subjects, peers, traffic in ingress)
        both = {pair: traffic & inward.get(pair, 0) for pair, traffic in outward.items()}
        assert allowed(
            (sources.tolist(), destinations.tolist(), traffic)
            for sources, destinations, traffic in (found[number] for number in range(len(found)))
        ) == {pair: traffic for pair, traffic in both.items() if traffic}
        for number in range(len(found)):
            one, other = egress[found.egress[number]], ingress[found.ingress[number]]
            sources, destinations, traffic = found[number]
            assert frozenset(sources.tolist()) == one[0] & other[1] != frozenset()
            assert frozenset(destinations.tolist()) == one[1] & other[0] != frozenset()
            assert traffic == one[2] & other[2] != 0
