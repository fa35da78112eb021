"""Endpoints that no policy tells apart, as numbered classes; and the classes that a selector, a block or a peer means.

The universe is: classes of pods, a namespace behind the other; then classes of node addresses (host-network pods send
from those, N-14b); then the parts of the address space that no rule tells apart, for what is outside the cluster.
A class holds pods of one namespace with equal values of every label that some selector reads, equal named ports of the
names that some rule reads, and addresses in the same part of the address space.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from graphsec.algebra.blocks import ALL_V4, V6_BASE, AddressSet, family
from graphsec.algebra.expressions import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Expression,
    Field,
    LabelTest,
    Not,
    Operator,
    matches,
    of_selector,
    tests,
)
from graphsec.algebra.ports import PortSet
from graphsec.algebra.selectors import LabelSelector
from graphsec.compile.endpoints import POD_INDEX, POD_NAME, Endpoints, Node, named_ports
from graphsec.compile.masks import EMPTY, Ids, Masks, Rows, contains
from graphsec.compile.policies import Placed, Policies
from graphsec.compile.profile import Profile
from graphsec.compile.traffic import Traffic
from graphsec.model import policy as model
from graphsec.model.cluster import Cluster
from graphsec.model.policy import NAME_LABEL, NamedPort, Peer, Ports, Term
from graphsec.model.ref import Ref

#: Cell of a pod whose address is not known; of one that no block ever matches.
UNKNOWN, NONE = -1, -2
_BOTH = 0
_ANYWHERE = ((NONE, _BOTH),)


@dataclass(frozen=True, slots=True)
class Extent:
    """Classes that are certainly meant, and those that may be: they differ where an address is not known (N-12d)."""

    must: int
    may: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What policies can see of an endpoint."""

    own: frozenset[str]
    account: frozenset[str]
    names: frozenset[str]
    blocks: tuple[AddressSet, ...]
    ports: frozenset[PortSet]
    node_labels: bool
    #: Names and indices by which policies tell the replicas of a StatefulSet apart; None where none looks at them.
    ordinals: frozenset[str] | None

    @classmethod
    def of(cls, policies: Policies, cluster: Cluster) -> Vocabulary:
        keys: dict[Field, set[str]] = {field: set() for field in Field}
        blocks: dict[AddressSet, None] = {}
        ports: set[PortSet] = set()
        names: set[str] = set()
        node_labels = sets = False
        ordinals: set[str] = set()
        terms: dict[Term, None] = {policy.body.selects: None for policy in policies.placed}
        for _, _, rule in policies.rules():
            ports.add(rule.ports.numbers)
            names.update(port.name for port in (*rule.ports.named, *rule.ports.without))
            for peer in (*(rule.peers or ()), *([rule.own] if rule.own else [])):
                terms.update(dict.fromkeys((*peer.terms, *peer.without)))
        for term in terms:
            match term:
                case model.Endpoints():
                    sets = sets or term.sets
                    for test in (*tests(term.labels), *tests(term.namespaces)):
                        keys[test.field].add(test.key)
                        if test.key in (POD_NAME, POD_INDEX):
                            ordinals.update(test.values)
                case model.Addresses():
                    blocks[term.blocks] = None
                case model.Service():
                    for selector in _service_selectors(cluster):
                        keys[Field.OWN].update(selector)
                case model.Nodes():
                    node_labels = True
                case _:
                    pass
        if sets:
            blocks.update(dict.fromkeys(body.addresses for _, body in policies.address_sets))
        return cls(
            own=frozenset(keys[Field.OWN]),
            account=frozenset(keys[Field.ACCOUNT]),
            names=frozenset(names),
            blocks=tuple(blocks),
            ports=frozenset(ports),
            node_labels=node_labels,
            ordinals=frozenset(ordinals) if keys[Field.OWN] & {POD_NAME, POD_INDEX} else None,
        )


def _service_selectors(cluster: Cluster) -> Iterator[Mapping[str, str]]:
    for loaded in cluster.of("Service"):
        if loaded.body.spec and loaded.body.spec.selector:
            yield loaded.body.spec.selector


class AddressCells:
    """The address space cut at every bound of the blocks; parts that are in the same blocks are one cell."""

    def __init__(self, blocks: Sequence[AddressSet]) -> None:
        bounds = {0, V6_BASE}
        for block in blocks:
            for low, high in block.spans:
                bounds.update((low, high + 1))
        # What lies between the families and behind the last is no address.
        self._bounds = sorted(bound for bound in bounds if bound not in (1 << 32, V6_BASE + (1 << 128)))
        self._cells = self._refine(blocks)
        self.count = int(self._cells.max()) + 1
        self._blocks = {block: np.unique(self._cells[self._inside(block)]).astype(np.int32) for block in blocks}

    def _inside(self, block: AddressSet) -> npt.NDArray[np.int64]:
        ranges = [
            np.arange(bisect_right(self._bounds, low) - 1, bisect_right(self._bounds, high))
            for low, high in block.spans
        ]
        return np.concatenate(ranges) if ranges else np.empty(0, np.int64)

    def _refine(self, blocks: Sequence[AddressSet]) -> npt.NDArray[np.int64]:
        """A number for each interval: equal where the same blocks hold it, and of one family."""
        cells = np.array([int(bound >= V6_BASE) for bound in self._bounds], np.int64)
        following = 2
        for block in blocks:
            inside = self._inside(block)
            if len(inside) == 1:
                cells[inside] = following
                following += 1
            elif len(inside):
                found, new = np.unique(cells[inside], return_inverse=True)
                cells[inside] = following + new
                following += len(found)
        return np.unique(cells, return_inverse=True)[1]

    def cell(self, address: int) -> int:
        return int(self._cells[bisect_right(self._bounds, address) - 1])

    def cells_of(self, block: AddressSet) -> Ids:
        """Of one of the blocks given, ascending."""
        return self._blocks[block]

    def addresses(self) -> list[AddressSet]:
        """The addresses of each cell."""
        spans: list[list[tuple[int, int]]] = [[] for _ in range(self.count)]
        ends = [*(bound - 1 for bound in self._bounds[1:]), V6_BASE + (1 << 128) - 1]
        for low, high, cell in zip(self._bounds, ends, self._cells.tolist(), strict=True):
            spans[cell].append((low, (1 << 32) - 1 if low < V6_BASE <= high + 1 else high))
        return [AddressSet(tuple(found)) for found in spans]


class _Labels:
    """Distinct sets of labels, and which of them have a value."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[tuple[str, str], ...], int] = {}
        self._values: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._tests: dict[LabelTest, Ids] = {}

    def number(self, labels: tuple[tuple[str, str], ...]) -> int:
        known = self.numbers.get(labels)
        if known is None:
            known = self.numbers[labels] = len(self.numbers)
            for key, value in labels:
                self._values[key][value].append(known)
        return known

    def holding(self, test: LabelTest) -> Ids:
        """The sets that fulfil the test, ascending."""
        known = self._tests.get(test)
        if known is None:
            values = self._values.get(test.key, {})
            if test.operator is Operator.IN:
                found = [values[value] for value in test.values if value in values]
            else:
                found = [numbers for value, numbers in values.items() if test.holds(value)]
            known = np.array(sorted(number for numbers in found for number in numbers), np.int32)
            self._tests[test] = known
        return known


class Universe:
    """All classes, and the sets of them that the terms of policies mean."""

    def __init__(
        self, cluster: Cluster, endpoints: Endpoints, policies: Policies, profile: Profile, vocabulary: Vocabulary
    ) -> None:
        self.endpoints = endpoints
        self.profile = profile
        self._cluster = cluster
        self._policies = policies
        self._vocabulary = vocabulary
        self.cells = AddressCells(vocabulary.blocks)
        self.namespaces, self._namespace_labels, self.unlabelled = _namespaces(cluster, endpoints)
        self._namespace_numbers = {name: number for number, name in enumerate(self.namespaces)}
        #: True where the input has IPv6 anywhere, so that the families must be told apart (N-20).
        self.families = endpoints.has_v6 or any(block.of_family(6) for block in vocabulary.blocks)
        self._labels, self._account_labels = _Labels(), _Labels()
        self._ports: dict[frozenset[tuple[str, str, int]], int] = {}
        self._number_pods()
        self._number_hosts()
        self._finish()
        self.traffic = Traffic((*vocabulary.ports, *self._named_numbers()), families=self.families)

    # -- numbering ----------------------------------------------------------------------------------------------

    def _number_pods(self) -> None:
        """Classes in order of namespace, then of the first pod; a pod with two families is in one class for each."""
        given, profile = self.endpoints, self.profile
        self.host_pods = [
            index for index, spec in enumerate(given.specs) if spec.host_network and not profile.host_pods_ordinary
        ]
        in_host = set(self.host_pods)
        project, ports_of, account_of = self._projections()
        placed = bool(self._vocabulary.blocks) or self.families
        numbers: dict[tuple[Any, ...], int] = {}
        pairs: list[tuple[int, int]] = []
        setdefault, namespaces = numbers.setdefault, self._namespace_numbers
        for index, labels in enumerate(given.labels):
            if index in in_host:
                continue
            ref = given.refs[index]
            spec = given.specs[index]
            base = (namespaces[ref.namespace or ""], project(labels), ports_of(spec), account_of(ref, spec))
            for cell, version in self._places(given.addresses[index]) if placed else _ANYWHERE:
                key = (*base, cell, version)
                pairs.append((setdefault(key, len(numbers)), index))
        self._take_classes(list(numbers), pairs)

    def _places(self, addresses: tuple[int, ...]) -> Iterable[tuple[int, int]]:
        """(cell, family) of each address that a pod is reached at."""
        matched = self.profile.blocks_match_pods
        if not addresses:
            return ((UNKNOWN, _BOTH),) if matched else _ANYWHERE
        return dict.fromkeys(
            (self.cells.cell(address) if matched else NONE, family(address) if self.families else _BOTH)
            for address in addresses
        )

    def _projections(self) -> tuple[Callable[..., int], Callable[..., int], Callable[..., int]]:
        """Functions that number what policies see of labels, ports and account; memoised by identity, as pods share parts."""
        keys, names, account_keys = self._vocabulary.own, self._vocabulary.names, self._vocabulary.account
        by_labels: dict[int, int] = {}
        by_spec: dict[tuple[int, int], int] = {}
        accounts = {loaded.ref: loaded.body.metadata.labels or {} for loaded in self._cluster.of("ServiceAccount")}
        by_account: dict[tuple[str | None, str], int] = {}

        def project(labels: dict[str, str]) -> int:
            known = by_labels.get(id(labels))
            if known is None:
                seen = tuple(sorted((key, labels[key]) for key in keys & labels.keys()))
                known = by_labels[id(labels)] = self._labels.number(seen)
            return known

        def ports_of(spec: Any) -> int:
            if not names:
                return 0
            key = (id(spec.containers), id(spec.init_containers))
            known = by_spec.get(key)
            if known is None:
                seen = frozenset(port for port in named_ports(spec.ports()) if port[0] in names)
                known = by_spec[key] = self._ports.setdefault(seen, len(self._ports))
            return known

        def account_of(ref: Ref, spec: Any) -> int:
            if not account_keys:
                return 0
            key = (ref.namespace, spec.account)
            known = by_account.get(key)
            if known is None:
                labels = {
                    **accounts.get(Ref("ServiceAccount", spec.account, ref.namespace), {}),
                    NAME_LABEL: spec.account,
                }
                seen = tuple(sorted((key, labels[key]) for key in account_keys & labels.keys()))
                known = by_account[key] = self._account_labels.number(seen)
            return known

        return project, ports_of, account_of

    def _take_classes(self, keys: list[tuple[Any, ...]], pairs: list[tuple[int, int]]) -> None:
        self._ports.setdefault(frozenset(), len(self._ports))
        self._labels.number(())
        columns = np.array(keys, np.int32).reshape(len(keys), 6)
        order = np.argsort(columns[:, 0], kind="stable")
        renumbered = np.empty(len(order), np.int32)
        renumbered[order] = np.arange(len(order), dtype=np.int32)
        columns = columns[order]
        #: Of each class of pods.
        self.namespace, self.label_set, self.port_map, self.account, self.cell, self.family = columns.T.copy()
        given = np.array(pairs, np.int32).reshape(len(pairs), 2)
        self._pod_pairs = (renumbered[given[:, 0]], given[:, 1])
        self.pods = len(keys)
        self._starts = np.searchsorted(self.namespace, np.arange(len(self.namespaces) + 1))

    def _number_hosts(self) -> None:
        """A class for each part of the address space and set of labels that nodes have; host-network pods are in those."""
        given = self.endpoints
        numbers: dict[tuple[Any, ...], int] = {}
        #: None where the node, or its object, is not in the input.
        self.host_labels: list[Mapping[str, str] | None] = []
        #: Classes of each node by name; of each host-network pod by index.
        self.node_classes: dict[str, list[int]] = {}
        self.host_classes: dict[int, list[int]] = {}
        node_sets: dict[tuple[tuple[str, str], ...] | None, int] = {}

        def classes(addresses: Sequence[int], labels: Mapping[str, str] | None) -> list[int]:
            known = labels if self._vocabulary.node_labels else {}
            seen = None if known is None else tuple(sorted(known.items()))
            node_set = node_sets.setdefault(seen, len(node_sets))
            found = []
            for cell, version in self._host_places(addresses):
                key = (node_set, cell, version)
                if key not in numbers:
                    numbers[key] = len(numbers)
                    self.host_labels.append(known)
                found.append(self.pods + numbers[key])
            return found

        for name, node in given.nodes.items():
            self.node_classes[name] = classes((*node.internal, *node.external), node.labels)
        for index in self.host_pods:
            host = given.nodes.get(given.specs[index].node_name or "")
            addresses = given.addresses[index] or (host.internal if host else ())
            self.host_classes[index] = classes(addresses, host.labels if host else None)
        self.hosts = len(numbers)
        self._host_cells = np.array([key[1] for key in numbers], np.int32)
        self._host_families = np.array([key[2] for key in numbers], np.int32)

    def _host_places(self, addresses: Sequence[int]) -> Iterable[tuple[int, int]]:
        if not addresses:
            return ((UNKNOWN, _BOTH),)
        return dict.fromkeys((self.cells.cell(a), family(a) if self.families else _BOTH) for a in addresses)

    def _finish(self) -> None:
        """External classes are the cells; then everything that is derived from the columns."""
        self.outside = self.pods + self.hosts
        self.cell_addresses = self.cells.addresses()
        self.size = self.outside + self.cells.count
        outside_families = np.array(
            [family(found.spans[0][0]) if self.families else _BOTH for found in self.cell_addresses], np.int32
        )
        #: Family of every class: 4, 6, or 0 where it is open or where the input has one only.
        self.families_of = np.concatenate([self.family, self._host_families, outside_families])
        self.masks = Masks(self.size)
        self.all_pods = self.masks.add(np.arange(self.pods, dtype=np.int32))
        self.all_hosts = self.masks.add(np.arange(self.pods, self.outside, dtype=np.int32))
        self.all_outside = self.masks.add(np.arange(self.outside, self.size, dtype=np.int32))
        matched = self.profile.blocks_match_nodes
        host_cells = self._host_cells if matched else np.full(self.hosts, NONE, np.int32)
        cells = np.concatenate([self.cell, host_cells, np.arange(self.cells.count, dtype=np.int32)])
        known = np.flatnonzero(cells >= 0).astype(np.int32)
        self._in_cell = Rows.of_pairs(cells[known], known, self.cells.count)
        self._unplaced = np.flatnonzero(cells == UNKNOWN).astype(np.int32)
        self._extents: dict[tuple[Term, int], Extent] = {}
        self._selected: dict[tuple[Any, ...], Ids] = {}
        self._peers: dict[tuple[int, int], Extent] = {}
        self._port_bits: dict[Ports, list[tuple[int, int | None]]] = {}
        self._keep: list[object] = []

    def may_hold(self, number: int, address: int) -> bool:
        """Whether a pod or node of this class may be at the address: it is in the same part of the address space."""
        cells = self.cell if number < self.pods else self._host_cells
        cell = int(cells[number if number < self.pods else number - self.pods])
        return cell < 0 or cell == self.cells.cell(address)

    @property
    def has_unplaced(self) -> bool:
        """Whether a pod or host has no known address; virtual pods, which never have one, apart."""
        virtual = {int(self.classes[index][0]) for index in self.endpoints.virtual.values()}
        return bool(set(self._unplaced.tolist()) - virtual)

    # -- members ------------------------------------------------------------------------------------------------

    @cached_property
    def members(self) -> Rows:
        """Indices of endpoints by class of pods or hosts."""
        classes, indices = self._pod_pairs
        hosts = [(number, index) for index, found in self.host_classes.items() for number in found]
        extra = np.array(hosts, np.int32).reshape(len(hosts), 2)
        return Rows.of_pairs(
            np.concatenate([classes, extra[:, 0]]), np.concatenate([indices, extra[:, 1]]), self.outside
        )

    @cached_property
    def classes(self) -> Rows:
        """Classes by index of the endpoint."""
        classes, indices = self._pod_pairs
        hosts = [(index, number) for index, found in self.host_classes.items() for number in found]
        extra = np.array(hosts, np.int32).reshape(len(hosts), 2)
        return Rows.of_pairs(
            np.concatenate([indices, extra[:, 0]]), np.concatenate([classes, extra[:, 1]]), len(self.endpoints)
        )

    # -- what terms mean ----------------------------------------------------------------------------------------

    def subjects(self, policy: Placed) -> int:
        """The classes of pods that a policy selects."""
        return self.extent(policy.body.selects, policy).must

    def peers(self, peers: tuple[Peer, ...] | None, policy: Placed) -> Extent:
        """Everything that one of the peers means; None is everything (N-05a)."""
        if peers is None:
            return Extent(self.masks.whole, self.masks.whole)
        scope = (
            self._scope(policy)
            if any(_is_local(term) for peer in peers for term in (*peer.terms, *peer.without))
            else -1
        )
        key = (id(peers), scope)
        known = self._peers.get(key)
        if known is None:
            extents = [self.peer(peer, policy) for peer in peers]
            must = self.masks.union(extent.must for extent in extents)
            exact = all(extent.must == extent.may for extent in extents)
            known = Extent(must, must if exact else self.masks.union(extent.may for extent in extents))
            self._peers[key] = known
            self._keep.append(peers)
        return known

    def peer(self, peer: Peer, policy: Placed) -> Extent:
        masks = self.masks
        must = may = masks.whole
        for term in peer.terms:
            extent = self.extent(term, policy)
            must, may = masks.intersection(must, extent.must), masks.intersection(may, extent.may)
        for term in peer.without:
            extent = self.extent(term, policy)
            must, may = masks.difference(must, extent.may), masks.difference(may, extent.must)
        return Extent(must, may)

    def extent(self, term: Term, policy: Placed) -> Extent:
        key = (term, self._scope(policy) if _is_local(term) else -1)
        known = self._extents.get(key)
        if known is None:
            known = self._extents[key] = self._extent(term, policy)
        return known

    def _scope(self, policy: Placed) -> int:
        return self._namespace_numbers.get(policy.ref.namespace or "", len(self.namespaces))

    def _extent(self, term: Term, policy: Placed) -> Extent:
        match term:
            case model.Endpoints():
                return self._endpoints_extent(term, policy)
            case model.Addresses():
                return self._block_extent(term.blocks)
            case model.Nodes():
                numbered = list(enumerate(self.host_labels, start=self.pods))
                found = [
                    n for n, labels in numbered if labels is not None and matches(term.labels, {Field.OWN: labels})
                ]
                unknown = [number for number, labels in numbered if labels is None]
                must = self.masks.add(np.array(found, np.int32))
                return Extent(must, self.masks.union((must, self.masks.add(np.array(unknown, np.int32)))))
            case model.Domains():
                return Extent(self.masks.empty, self.all_outside)
            case model.Service():
                return self._service_extent(term, policy)

    def _exactly(self, ids: Ids) -> Extent:
        mask = self.masks.add(ids)
        return Extent(mask, mask)

    def _block_extent(self, block: AddressSet) -> Extent:
        cells = self.cells.cells_of(block)
        must = self.masks.add(np.sort(self._in_cell.expand(cells)[1]))
        may = self.masks.union((must, self.masks.add(self._unplaced)))
        # Where there is no IPv6, every pod is at some IPv4 address.
        everywhere = not self.families and block.of_family(4) == ALL_V4
        return Extent(may if everywhere else must, may)

    def _endpoints_extent(self, term: model.Endpoints, policy: Placed) -> Extent:
        own = policy.ref.namespace if term.own else None
        mask = self.masks.add(self.select(term.labels, term.namespaces, own)) if term.pods else self.masks.empty
        found = [mask]
        if self.profile.host_namespace and term.pods and not term.own and self._means_hosts(term):
            found.append(self.all_hosts)
        must = self.masks.union(found)
        if not term.sets:
            return Extent(must, must)
        blocks = [
            self._block_extent(body.addresses)
            for ref, body in self._policies.address_sets
            if self._is_set(term, own, ref, body)
        ]
        return Extent(
            self.masks.union((must, *(extent.must for extent in blocks))),
            self.masks.union((must, *(extent.may for extent in blocks))),
        )

    def _means_hosts(self, term: model.Endpoints) -> bool:
        labels = {Field.NAMESPACE: dict(self.profile.host_namespace)}
        return term.namespaces != EVERYTHING and matches(term.namespaces, labels) and matches(term.labels, {})

    def _is_set(self, term: model.Endpoints, own: str | None, ref: Any, body: model.LabelledAddresses) -> bool:
        if ref.namespace is None:
            return term.global_sets and matches(term.labels, {Field.OWN: dict(body.labels)})
        if own is not None and ref.namespace != own:
            return False
        number = self._namespace_numbers.get(ref.namespace)
        labels = self._namespace_labels[number] if number is not None else {NAME_LABEL: ref.namespace}
        given = {Field.NAMESPACE: labels, Field.OWN: dict(body.labels)}
        return matches(term.namespaces, given) and matches(term.labels, given)

    def _service_extent(self, term: model.Service, policy: Placed) -> Extent:
        namespace = term.namespace or policy.ref.namespace
        for loaded in self._cluster.of("Service"):
            if loaded.ref.name == term.name and loaded.ref.namespace == namespace:
                selector = loaded.body.spec.selector if loaded.body.spec else None
                if selector:
                    labels = of_selector(LabelSelector(match_labels=selector))
                    return self._exactly(self.select(labels, EVERYTHING, namespace))
        return self._exactly(EMPTY)

    # -- selectors ----------------------------------------------------------------------------------------------

    def select(self, labels: Expression, namespaces: Expression, own: str | None = None) -> Ids:
        """The classes of pods with such labels in such namespaces, or in the namespace ``own``; ascending."""
        key = (labels, namespaces, own)
        known = self._selected.get(key)
        if known is None:
            known = self._selected[key] = self._select(labels, namespaces, own)
        return known

    def _select(self, labels: Expression, namespaces: Expression, own: str | None) -> Ids:
        if own is not None:
            number = self._namespace_numbers.get(own)
            if number is None:
                return EMPTY
            candidates = self._range(number)
            if namespaces != EVERYTHING and not matches(namespaces, {Field.NAMESPACE: self._namespace_labels[number]}):
                return EMPTY
        elif namespaces == EVERYTHING:
            candidates = self._with_labels(labels)
        else:
            flags = self._namespace_flags(namespaces)
            candidates = self._whole_namespaces(flags)
        if labels == EVERYTHING or not len(candidates):
            return candidates
        return candidates[self._holds(labels, candidates)]

    def _range(self, number: int) -> Ids:
        return np.arange(self._starts[number], self._starts[number + 1], dtype=np.int32)

    def _whole_namespaces(self, flags: npt.NDArray[np.bool_]) -> Ids:
        numbers = np.flatnonzero(flags)
        if len(numbers) * 8 < len(flags):
            return np.concatenate([EMPTY, *(self._range(number) for number in numbers.tolist())])
        return np.flatnonzero(flags[self.namespace]).astype(np.int32)

    def _with_labels(self, labels: Expression) -> Ids:
        """Candidates in all namespaces: those with the rarest label that the expression demands."""
        demanded = labels.terms if isinstance(labels, AllOf) else (labels,)
        own = [
            self._labels.holding(term) for term in demanded if isinstance(term, LabelTest) and term.field is Field.OWN
        ]
        if not own:
            return np.arange(self.pods, dtype=np.int32)
        return np.sort(self._by_label_set.expand(min(own, key=len))[1])

    @cached_property
    def _by_label_set(self) -> Rows:
        return Rows.of_pairs(self.label_set, np.arange(self.pods, dtype=np.int32), len(self._labels.numbers))

    def _namespace_flags(self, namespaces: Expression) -> npt.NDArray[np.bool_]:
        known = self._flags.get(namespaces)
        if known is None:
            known = np.fromiter(
                (matches(namespaces, {Field.NAMESPACE: labels}) for labels in self._namespace_labels),
                np.bool_,
                len(self.namespaces),
            )
            self._flags[namespaces] = known
        return known

    @cached_property
    def _flags(self) -> dict[Expression, npt.NDArray[np.bool_]]:
        return {}

    def _holds(self, expression: Expression, candidates: Ids) -> npt.NDArray[np.bool_]:
        match expression:
            case LabelTest(field=Field.NAMESPACE):
                return self._namespace_flags(expression)[self.namespace[candidates]]
            case LabelTest(field=Field.ACCOUNT):
                return contains(self._account_labels.holding(expression), self.account[candidates])
            case LabelTest():
                return contains(self._labels.holding(expression), self.label_set[candidates])
            case Not(term):
                return ~self._holds(term, candidates)
            case AllOf(terms):
                flags = np.ones(len(candidates), np.bool_)
                for term in terms:
                    flags &= self._holds(term, candidates)
                return flags
            case AnyOf(terms):
                flags = np.zeros(len(candidates), np.bool_)
                for term in terms:
                    flags |= self._holds(term, candidates)
                return flags

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        number = self._namespace_numbers.get(name)
        return {NAME_LABEL: name} if number is None else self._namespace_labels[number]

    def in_namespace(self, name: str) -> Ids:
        number = self._namespace_numbers.get(name)
        return EMPTY if number is None else self._range(number)

    # -- named ports --------------------------------------------------------------------------------------------

    def _named_numbers(self) -> Iterator[PortSet]:
        for ports in self._ports:
            for _, protocol, number in ports:
                yield PortSet.of(protocol, number)

    def port_bits(self, ports: Ports) -> list[tuple[int, int | None]]:
        """(traffic, classes of pods that have it) of a rule's ports, where names mean what each destination says (N-09).

        None as classes: every destination whatsoever.
        """
        known = self._port_bits.get(ports)
        if known is None:
            known = self._port_bits[ports] = list(self._bits_by_map(ports))
        return known

    def _bits_by_map(self, ports: Ports) -> Iterator[tuple[int, int | None]]:
        numbers = self.traffic.bits(ports.numbers)
        if not ports.named and not ports.without:
            yield numbers, None
            return
        by_map = [
            (numbers | self._named_bits(ports.named, known)) & ~self._named_bits(ports.without, known)
            for known in self._ports
        ]
        for bits in dict.fromkeys(by_map):
            maps = np.array([bits == other for other in by_map])
            extra = bits & ~numbers if not ports.without else bits
            if extra:
                yield extra, self.masks.add(np.flatnonzero(maps[self.port_map]).astype(np.int32))
        if ports.without:
            # Ends that are no pods have no names.
            yield numbers, self.masks.difference(self.masks.whole, self.all_pods)
        elif numbers:
            yield numbers, None

    def _named_bits(self, named: Iterable[NamedPort], known: frozenset[tuple[str, str, int]]) -> int:
        bits = 0
        for wanted in named:
            for name, protocol, number in known:
                if name == wanted.name and wanted.protocol in ("", protocol):
                    bits |= self.traffic.bit(protocol, number)
        return bits


def _is_local(term: Term) -> bool:
    return (isinstance(term, model.Endpoints) and term.own) or (isinstance(term, model.Service) and not term.namespace)


def _namespaces(cluster: Cluster, endpoints: Endpoints) -> tuple[list[str], list[dict[str, str]], list[str]]:
    """Names and labels of every namespace, and those that only objects in them name (N-08)."""
    known = {loaded.ref.name: loaded.body.metadata.labels or {} for loaded in cluster.of("Namespace")}
    named = {ref.namespace or "" for ref in endpoints.refs}
    # A question may name a pod that has finished, and so its namespace (N-18a).
    names = sorted({*named, *known, *(ref.namespace or "" for ref in endpoints.finished)})
    unlabelled = sorted(named - known.keys() - endpoints.virtual.keys())
    return names, [{**known.get(name, {}), NAME_LABEL: name} for name in names], unlabelled


__all__ = ["NONE", "UNKNOWN", "Extent", "Node", "Universe", "Vocabulary"]
