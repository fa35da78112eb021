"""The ends of connections as people write them: pods, workloads, namespaces, labels, addresses, the internet."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphsec.algebra.blocks import AddressSet, family
from graphsec.algebra.internet import INTERNET
from graphsec.compile.flows import Flows
from graphsec.compile.trace import Point
from graphsec.errors import UsageError
from graphsec.model.ref import Ref

_WORKLOAD = re.compile(r"(?P<namespace>[^/]+)/(?P<name>[^/\[\]]+)\[(?P<kind>[A-Za-z.0-9]+)\]$")
FORMS = "NS/NAME, NS/NAME[Kind], Kind/NS/NAME, NS/*, NS/KEY=VALUE, Node/NAME, an address or CIDR, internet"


@dataclass(frozen=True)
class End:
    """What one end of a question means: pods, the addresses of a node, addresses outside; or several of them."""

    text: str
    flows: Flows
    #: Indices of pods.
    pods: tuple[int, ...] = ()
    node: str = ""
    outside: AddressSet = AddressSet()
    #: Nodes whose addresses lie in the block that is meant.
    nodes: tuple[str, ...] = ()
    #: The addresses at which pods and nodes are meant; None for any.
    at: AddressSet | None = None
    #: Why there is nothing.
    gone: str = ""

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Every class that the end has, each with one pod or address that stands for it."""
        return tuple(self._points())

    def _points(self) -> Iterator[Point]:
        universe, endpoints = self.flows.universe, self.flows.endpoints
        for pod in self.pods:
            for number in universe.classes[pod].tolist():
                if self._at_addresses(number, endpoints.addresses[pod] if self.at else ()):
                    yield Point(number=number, pod=pod, label=pod_label(endpoints.refs[pod]))
        for name in (self.node, *self.nodes) if self.node else self.nodes:
            node = endpoints.nodes[name]
            for number in universe.node_classes.get(name, ()):
                if self._at_addresses(number, (*node.internal, *node.external)):
                    yield Point(number=number, label=f"Node/{name}")
        # Where there is no IPv6 in the input, a range of both families means IPv4.
        outside = self.outside if universe.families else self.outside.of_family(4) or self.outside
        for cell, addresses in enumerate(universe.cell_addresses):
            # What pods and nodes hold is those.
            inside = (addresses & outside) - self._held
            if inside:
                first = inside.spans[0][0]
                yield Point(number=universe.outside + cell, address=first, label=self.text)

    @cached_property
    def _held(self) -> AddressSet:
        if self.at is None:
            return AddressSet()
        endpoints = self.flows.endpoints
        nodes = (endpoints.nodes[name] for name in self.nodes)
        found = [
            *(a for pod in self.pods for a in endpoints.addresses[pod]),
            *(a for n in nodes for a in (*n.internal, *n.external)),
        ]
        return AddressSet.of(found) & self.at

    def _at_addresses(self, number: int, held: tuple[int, ...]) -> bool:
        """Whether a class is that of an address which is meant, of those that a pod or node holds."""
        if self.at is None:
            return True
        universe = self.flows.universe
        version = int(universe.families_of[number])
        return any(
            address in self.at and version in (0, family(address)) and universe.may_hold(number, address)
            for address in held
        )

    def __bool__(self) -> bool:
        return bool(self.pods or self.node or self.nodes or self.outside)


def pod_label(ref: Ref) -> str:
    """`ns/name`, as ends are written."""
    return f"{ref.namespace}/{ref.name}"


def workload_label(ref: Ref) -> str:
    """The connlist form: `ns/name[Kind]`."""
    return f"{ref.namespace}/{ref.name}[{ref.kind}]"


def parse_end(text: str, flows: Flows) -> End:
    """Raises UsageError for what is in no form or not in the input."""
    if text.lower() == "internet":
        return End(text="internet", flows=flows, outside=INTERNET)
    if text in flows.endpoints.virtual:
        return End(text=text, flows=flows, pods=(flows.endpoints.virtual[text],))
    block = _block(text)
    if block is not None:
        return _addresses(text, block, flows)
    kind, _, rest = text.partition("/")
    if rest.count("/") == 1 and kind[:1].isupper():
        text = f"{rest}[{kind}]"
    head, slash, name = text.partition("/")
    if slash and _block(head) is not None:
        raise UsageError(f"no CIDR: `{text}`")
    if not slash or not head or not name:
        raise UsageError(f"`{text}` is no end of a connection", help=f"ends: {FORMS}")
    if head.lower() == "node":
        if name not in flows.endpoints.nodes:
            raise UsageError(f"unknown node `{name}`{_near(name, flows.endpoints.nodes)}")
        return End(text=f"Node/{name}", flows=flows, node=name)
    return _in_namespace(text, head, name, flows)


def _block(text: str) -> AddressSet | None:
    try:
        return AddressSet.cidr(text)
    except ValueError:
        return None


def _addresses(text: str, block: AddressSet, flows: Flows) -> End:
    """A single address that a pod or node holds is that pod or node; a block also means the pods inside it."""
    single = "/" not in text and len(block.spans) == 1
    endpoints = flows.endpoints
    pods = tuple(index for index, held in enumerate(endpoints.addresses) if any(found in block for found in held))
    if not single:
        inside = tuple(
            name for name, node in endpoints.nodes.items() if any(a in block for a in (*node.internal, *node.external))
        )
        return End(text=text, flows=flows, pods=pods, nodes=inside, outside=block, at=block)
    address = block.spans[0][0]
    node = next((name for name, held in endpoints.nodes.items() if address in (*held.internal, *held.external)), "")
    ordinary = tuple(pod for pod in pods if pod not in flows.universe.host_classes)
    if ordinary:
        return End(text=text, flows=flows, pods=ordinary[:1], at=block)
    if node:
        return End(text=text, flows=flows, node=node, at=block)
    return End(text=text, flows=flows, pods=pods[:1], outside=AddressSet() if pods else block, at=block)


def _in_namespace(text: str, namespace: str, name: str, flows: Flows) -> End:
    endpoints = flows.endpoints
    inside = endpoints.by_namespace.get(namespace, [])
    if not inside and namespace not in flows.universe.namespaces:
        raise UsageError(
            f"unknown namespace `{namespace}`{_near(namespace, flows.universe.namespaces)}", help=f"ends: {FORMS}"
        )
    if name == "*":
        return End(text=text, flows=flows, pods=tuple(inside), gone="" if inside else "there is no pod")
    if "=" in name:
        wanted_labels = [pair.partition("=")[::2] for pair in name.split(",")]
        found = tuple(
            index for index in inside if all(endpoints.labels[index].get(key) == value for key, value in wanted_labels)
        )
        return End(text=text, flows=flows, pods=found, gone="" if found else "no pod has this label")
    workload = _WORKLOAD.match(text)
    if workload:
        wanted = Ref(workload["kind"], workload["name"], namespace)
        pods = tuple(index for index in inside if endpoints.refs[index] == wanted)
        if pods:
            return End(text=text, flows=flows, pods=pods)
        return _of_workload(text, [wanted] if wanted in endpoints.pods_of_workload else [], flows)
    pods = tuple(
        index for index in inside if endpoints.refs[index].name == name and endpoints.refs[index].kind == "Pod"
    )
    if pods:
        return End(text=text, flows=flows, pods=pods)
    of_pods = {endpoints.workloads[endpoints.workload_of[index]]: None for index in inside}
    named = [ref for ref in of_pods if ref.name == name]
    if len(named) > 1:
        choices = ", ".join(map(workload_label, named))
        raise UsageError(f"`{text}` names several workloads", help=f"one of {choices}")
    return _of_workload(text, named, flows)


def _of_workload(text: str, refs: Sequence[Ref], flows: Flows) -> End:
    endpoints = flows.endpoints
    if not refs:
        idle = next((ref for ref in endpoints.idle if text in (pod_label(ref), workload_label(ref))), None)
        if idle is not None:
            return End(text=text, flows=flows, gone=f"{workload_label(idle)}: {endpoints.idle[idle]}")
        done = next((ref for ref in endpoints.finished if pod_label(ref) == text or workload_label(ref) == text), None)
        if done is not None:
            return End(text=text, flows=flows, gone=f"{pod_label(done)} has finished and holds no address (N-18a)")
        known = [label for ref in endpoints.workloads for label in (pod_label(ref), workload_label(ref))]
        raise UsageError(f"no pod or workload `{text}` in the input{_near(text, known)}", help=f"ends: {FORMS}")
    return End(text=text, flows=flows, pods=tuple(endpoints.pods_of_workload[refs[0]]))


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def span_label(addresses: AddressSet) -> str:
    """The connlist form of addresses outside the cluster: `10.0.0.0-10.255.255.255[External]`."""
    return f"{addresses}[External]"


__all__ = ["INTERNET", "End", "parse_end", "pod_label", "span_label", "workload_label"]
