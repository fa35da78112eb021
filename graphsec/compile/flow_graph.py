"""Allowed flows in the typed graph: groups of pods that no policy tells apart, and one node for each set of connections.

A biclique is never multiplied out: sources lead into its node and its node leads to the destinations, so arcs are the sum of
the groups and not their product.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphsec.compile.endpoints import VIRTUAL
from graphsec.compile.flows import Flows
from graphsec.graph import Builder
from graphsec.model.ref import Ref
from graphsec.model.vocabulary import EdgeKind, NodeKind

_Build = Builder[NodeKind, EdgeKind]


def add_flows(builder: _Build, flows: Flows) -> None:
    """What is certain: the first reading (``Flows.readings``)."""
    groups = dict(_groups(builder, flows))
    found = flows.bicliques()
    for number in range(len(found)):
        sources, destinations, traffic = found[number]
        left = [groups[group] for group in sources.tolist() if group in groups]
        right = [groups[group] for group in destinations.tolist() if group in groups]
        if not left or not right:
            continue
        ports = str(flows.universe.traffic.ports(traffic))
        node = Ref(NodeKind.CONNECTIONS, f"{number} {ports}")
        builder.node(node, NodeKind.CONNECTIONS)
        for group in left:
            builder.edge(group, node, EdgeKind.MAY_CONNECT, ports)
        for group in right:
            builder.edge(node, group, EdgeKind.MAY_CONNECT, ports)


def _groups(builder: _Build, flows: Flows) -> Iterator[tuple[int, Ref]]:
    """A node for each class, with its members."""
    universe, endpoints = flows.universe, flows.endpoints
    for number in range(universe.outside):
        members = [pod for pod in universe.members[number].tolist() if endpoints.refs[pod].kind != VIRTUAL]
        if not members:
            continue
        group = Ref(NodeKind.PEER_GROUP, str(number), endpoints.refs[members[0]].namespace)
        builder.node(group, NodeKind.PEER_GROUP)
        for pod in members:
            ref = endpoints.refs[pod]
            builder.node(ref, NodeKind.POD if ref.kind == "Pod" else NodeKind.WORKLOAD)
            builder.edge(ref, group, EdgeKind.IN_GROUP)
        yield number, group
    for cell, addresses in enumerate(universe.cell_addresses):
        if universe.families or addresses.of_family(4):
            outside = Ref(NodeKind.ADDRESSES, str(addresses))
            builder.node(outside, NodeKind.ADDRESSES)
            yield universe.outside + cell, outside
