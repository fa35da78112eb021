"""netpol-analyzer's corpus: its expected outputs read into values, and graphsec's answers about its inputs in the same form.

Answers are compared as dicts from (source, destination) and never as text; ranges of addresses are merged (network.md
§6.2). ``compat`` reads an input as that tool does (§6.3); it exists in tests only.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from itertools import product
from operator import or_
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

import graphsec as gs
from graphsec.algebra.blocks import AddressSet, parse_address
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.compile import compile_world
from graphsec.compile.profile import Profile
from graphsec.compile.trace import Stage, Trace
from graphsec.loading import load_cluster
from graphsec.model.policy import DEFAULT, Direction
from graphsec.query._ends import workload_label
from graphsec.query.flow_diff import FlowDiff
from graphsec.query.reach import FlowEnd

ROOT = Path(__file__).parent.parent
#: The whole corpus where it lies beside this checkout, and the part of it that is always here.
CORPUS = ROOT.parent / "shared" / "corpora" / "netpol" / "npguard"
PART = ROOT / "fixtures" / "oracle" / "npguard"

#: network.md §6.3: D-01 and D-08, D-02 (both halves), D-03.
COMPAT = Profile(name="npa", blocks_match_pods=False, host_pods_ordinary=True, own_node=False, finished_pods=True)
CONTROLLER = "{ingress-controller}"
ENTIRE_CLUSTER = "entire-cluster"

Value = TypeVar("Value", bound=Hashable)
End = str | AddressSet
Row = tuple[End, End, PortSet]
#: (source, destination) to what is allowed.
Lines = dict[tuple[str, str], PortSet]

_LINE = re.compile(r"(\S+) => (\S+)(?: : (.*))?$")
_HEADING = re.compile(r"Permitted connections on (TCP|UDP|SCTP) (\d+):$")
_ADDRESSES = re.compile(r"([0-9.]+)-([0-9.]+)(?:\[External\])?$")
_NETWORK_MARK = re.compile(r"\[c?udn\]")


# -- files --------------------------------------------------------------------------------------------------------

_OUTPUT = re.compile(
    r"(?P<stem>.+?)_(?P<what>explain_exposure|connlist|exposure|explain)_output\.(?P<form>txt|json|csv)$"
)
_PACKET = re.compile(r"(tcp|udp|sctp)-(\d+)$")


@dataclass(frozen=True, slots=True)
class Options:
    """How an output was asked for: what its file's name says behind the name of the input."""

    #: Words of workloads' names: `name`, or `namespace` and `name`, which only the input tells apart.
    focus: tuple[str, ...] = ()
    direction: str = ""
    peers: tuple[str, ...] = ()
    packet: tuple[str, int] | None = None
    #: `explain` of what is allowed or denied only.
    only: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One expected output of one input."""

    path: Path
    input: Path
    options: Options

    @property
    def name(self) -> str:
        return self.path.name


def outputs(root: Path, what: str, form: str) -> list[Output]:
    """The expected outputs of one kind and form, by name; none where the corpus is not there."""
    if not root.is_dir():
        return []
    inputs = sorted((path.name for path in (root / "tests").iterdir()), key=len, reverse=True)
    found = []
    for path in sorted((root / "test_outputs" / "connlist").iterdir()):
        match = _OUTPUT.match(path.name)
        if match is None or (match["what"], match["form"]) != (what, form):
            continue
        stem = match["stem"]
        # The longest name of a directory that begins the stem is the input (§6.1).
        name = next(name for name in inputs if stem == name or stem.startswith(f"{name}_"))
        options = _options(stem.removeprefix(name).removeprefix("_"))
        found.append(Output(path=path, input=root / "tests" / name, options=options))
    return found


def _options(rest: str) -> Options:
    words = rest.split("_") if rest else []
    packets = [match for word in words if (match := _PACKET.match(word))]
    packet = (packets[0][1].upper(), int(packets[0][2])) if packets else None
    words = [word for word in words if not _PACKET.match(word)]
    only = words.pop() if words and words[-1] in ("allow", "deny") else ""
    if words[:2] != ["focus", "workload"]:
        return Options(packet=packet, only=only)
    words, peers = words[2:], []
    if "with" in words:
        position = words.index("with")
        words, peers = words[:position], words[position + 1 :]
    direction = words.pop() if words[-1] in ("ingress", "egress") else ""
    return Options(focus=tuple(words), direction=direction, peers=tuple(peers), packet=packet, only=only)


# -- values -------------------------------------------------------------------------------------------------------


def lines_of_rows(rows: Iterable[Row]) -> Lines:
    """Lines of one pair are united, and ranges of addresses with equal ports joined (§6.2, 4 and 5)."""
    united: dict[tuple[End, End], PortSet] = defaultdict(PortSet)
    for source, destination, ports in rows:
        united[source, destination] |= ports
    return joined((*pair, ports) for pair, ports in united.items() if ports)


def joined(rows: Iterable[tuple[End, End, Value]]) -> dict[tuple[str, str], Value]:
    """Ranges of addresses with equal values as one; what is between two addresses is dropped (D-05)."""
    out: dict[tuple[str, str], Value] = {}
    outside: dict[tuple[str, bool, Value], list[AddressSet]] = defaultdict(list)
    for source, destination, value in rows:
        if not isinstance(source, AddressSet) and not isinstance(destination, AddressSet):
            out[source, destination] = value
        elif not isinstance(destination, AddressSet):
            assert isinstance(source, AddressSet)
            outside[destination, True, value].append(source)
        elif not isinstance(source, AddressSet):
            outside[source, False, value].append(destination)
    for (name, is_source, value), parts in outside.items():
        addresses = str(AddressSet.union_of(parts))
        out[(addresses, name) if is_source else (name, addresses)] = value
    return out


def _end(text: str) -> End:
    match = _ADDRESSES.match(text)
    return AddressSet(((parse_address(match[1]), parse_address(match[2])),)) if match else _NETWORK_MARK.sub("", text)


def _own(end: FlowEnd) -> End:
    """IPv4 only (D-08)."""
    return end.text if end.addresses is None else end.addresses.of_family(4)


# -- expected outputs ---------------------------------------------------------------------------------------------


def read_text(text: str) -> Lines:
    """A connection list; headings, blank lines and what follows the lists are skipped (§6.2, 1)."""
    return lines_of_rows(_text_rows(text))


def _text_rows(text: str) -> Iterator[Row]:
    packet = ALL_PORTS
    for line in text.splitlines():
        heading, match = _HEADING.match(line), _LINE.match(line)
        if heading:
            packet = PortSet.of(heading[1], int(heading[2]))
        elif match:
            yield _end(match[1]), _end(match[2]), packet if match[3] is None else PortSet.parse(match[3])


def read_items(items: Iterable[Mapping[str, str]], packet: PortSet = ALL_PORTS) -> Lines:
    """The list of a JSON output; without ``conn`` where one packet was asked for."""
    return lines_of_rows(
        (_end(item["src"]), _end(item["dst"]), PortSet.parse(item["conn"]) if "conn" in item else packet)
        for item in items
    )


def networks(text: str) -> dict[str, set[str]]:
    """The networks of each workload, where the output says them (`Workload-to-Networks Mapping`)."""
    found: dict[str, set[str]] = {}
    _, _, trailer = text.partition("Workload-to-Networks Mapping:\n")
    for line in trailer.splitlines():
        if line.startswith("\t"):
            found[list(found)[-1]].add(line.partition(":")[2].strip())
        else:
            found[line.rstrip(": ")] = set()
    return found


# -- inputs -------------------------------------------------------------------------------------------------------

#: Objects that the API server refuses and graphsec leaves out, and that tool reads: names of policies with `_` (D-09,
#: R-12), owners without kind, a Pod of the group `apps`.
REFUSED = ("example_pods_w_same_owner_and_labels_gap", "udn_with_ingress_controller_two_pods")


@cache
def world(folder: Path) -> gs.World:
    """The input as it is, under the default profile."""
    return gs.load(str(folder))


@cache
def compat(folder: Path) -> gs.World:
    """The input as netpol-analyzer reads it."""
    return compile_world(load_cluster(_inputs(folder)), cni=COMPAT)


def _inputs(folder: Path) -> list[Any]:
    return list(_repaired(folder)) if folder.name.startswith(REFUSED) else [str(folder)]


def kinds(folder: Path) -> list[str]:
    """The kinds of all objects in the files of a folder, lists opened."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if path.is_file())
    return re.findall(r"^(?:- |  )?kind: (\w+)$", text, re.MULTILINE)


def _repaired(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.iterdir()):
        for item in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if not item:
                continue
            metadata = item["metadata"]
            metadata["name"] = metadata["name"].replace("_", "-")
            for owner in metadata.get("ownerReferences", ()):
                owner.setdefault("kind", "Pod")
            yield {**item, "apiVersion": "v1"} if item["kind"] == "Pod" else item


# -- connection lists ---------------------------------------------------------------------------------------------


def connections(found: gs.World, options: Options = Options()) -> Lines:
    """What graphsec answers, as that tool would list it: no workload with itself (D-05)."""
    flows = [flow for flow in gs.reach(found) if str(flow.source) != CONTROLLER]
    rows = [(_own(flow.source), _own(flow.destination), flow.ports) for flow in flows]
    rows += [(CONTROLLER, name, ports) for name, ports in _from_controller(found).items()]
    names = {name for row in rows for name in row[:2] if isinstance(name, str)}
    focus, peers = _resolved(options.focus, names), _resolved(options.peers, names)
    asked = PortSet.of(*options.packet) if options.packet else ALL_PORTS
    return lines_of_rows(
        (source, destination, ports & asked)
        for source, destination, ports in rows
        if source != destination and _is_asked(source, destination, options.direction, focus, peers)
    )


def _from_controller(found: gs.World) -> dict[str, PortSet]:
    """What Ingresses and Routes open; of pods that tool asks that a container declares the port, of whatever protocol (D-07)."""
    given = [flow for flow in gs.reach(found) if str(flow.source) == CONTROLLER]
    flows = {flow.destination.ref: flow.ports for flow in given if flow.destination.ref is not None and flow.ports}
    if found.cni is COMPAT:
        machines = {ref for ref in flows if ref.kind == "VirtualMachine"}
        flows = {ref: ports if ref in machines else ports & _declared(found, ref) for ref, ports in flows.items()}
    return {workload_label(ref): ports for ref, ports in flows.items()}


def _declared(found: gs.World, workload: gs.Ref) -> PortSet:
    endpoints = found.flows.endpoints
    return PortSet.union_of(
        PortSet.of("TCP", port.container_port)
        for number, spec in zip(endpoints.workload_of, endpoints.specs, strict=True)
        if endpoints.workloads[number] == workload
        for port in spec.ports()
        if port.container_port
    )


def _resolved(words: tuple[str, ...], names: Iterable[str]) -> set[str]:
    """The workloads that the words mean: a namespace and a name where there is such a workload, else a name."""
    by_name: dict[str, set[str]] = defaultdict(set)
    for name in names:
        path = name.partition("[")[0]
        for spelling in {path, path.rpartition("/")[2]}:
            by_name[spelling].add(name)
    found: set[str] = set()
    position = 0
    while position < len(words):
        both = "/".join(words[position : position + 2])
        known = both if both in by_name else words[position]
        found |= by_name[known]
        position += known.count("/") + 1
    return found


def _is_asked(source: End, destination: End, direction: str, focus: set[str], peers: set[str]) -> bool:
    if not focus:
        return True
    ends = {"egress": [(source, destination)], "ingress": [(destination, source)]}.get(
        direction, [(source, destination), (destination, source)]
    )
    return any(end in focus and (not peers or peer in peers) for end, peer in ends)


def with_addresses(lines: Lines) -> Lines:
    """The lines of which one end is outside the cluster."""
    return {pair: ports for pair, ports in lines.items() if any(end[0] != "{" and "[" not in end for end in pair)}


def within_networks(lines: Lines, of: Mapping[str, set[str]]) -> Lines:
    """Without the lines between workloads that share no network: graphsec's answer is the cluster network (M-08)."""
    return {
        (source, destination): ports
        for (source, destination), ports in lines.items()
        if source not in of or destination not in of or of[source] & of[destination]
    }


# -- differences --------------------------------------------------------------------------------------------------

#: (before, after, which workloads are new or gone)
Difference = tuple[PortSet, PortSet, frozenset[tuple[str, str]]]
Differences = dict[tuple[str, str], Difference]

_DIFF = re.compile(r"diff_between_(?P<new>.+)_and_(?P<old>.+)\.(?P<form>csv|txt)$")
_DIFF_LINE = re.compile(
    r"diff-type: (?P<type>\w+), source: (?P<source>\S+), destination: (?P<destination>\S+), ref1: (?P<ref1>.*?), "
    r"ref2: (?P<ref2>.*?)(?:, workloads-diff-info: (?P<info>.*))?$"
)


@dataclass(frozen=True, slots=True)
class DiffOutput:
    path: Path
    old: Path
    new: Path

    @property
    def name(self) -> str:
        return self.path.name


def diffs(root: Path) -> list[DiffOutput]:
    """The csv of every pair of inputs, the txt where there is none (§6.1)."""
    if not root.is_dir():
        return []
    by_pair: dict[tuple[str, str], Path] = {}
    for path in sorted((root / "test_outputs" / "diff").iterdir()):
        match = _DIFF.match(path.name)
        if match and (path.suffix == ".csv" or not path.with_suffix(".csv").exists()):
            by_pair[match["new"], match["old"]] = path
    tests = root / "tests"
    return [DiffOutput(path=path, old=tests / old, new=tests / new) for (new, old), path in by_pair.items()]


def read_diff(path: Path) -> Differences:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        found = [(row["source"], row["destination"], row["ref1"], row["ref2"], row["workloads-diff-info"])
                 for row in csv.DictReader(text.splitlines())]  # fmt: skip
    else:
        found = [
            (match["source"], match["destination"], match["ref1"], match["ref2"], match["info"] or "")
            for match in map(_DIFF_LINE.match, text.splitlines())
            if match
        ]
    return joined(
        (_end(source), _end(destination), (PortSet.parse(before), PortSet.parse(after), _news(info)))
        for source, destination, before, after, info in found
    )


def _news(info: str) -> frozenset[tuple[str, str]]:
    """`workload A and B added` as {(A, added), (B, added)}."""
    found = set()
    for part in filter(None, info.split(", ")):
        words = part.removeprefix("workload ").removeprefix("workloads ").split()
        found |= {(word, words[-1]) for word in words[:-1] if word != "and"}
    return frozenset(found)


def differences(old: gs.World, new: gs.World) -> Differences:
    """What graphsec answers, as that tool would list it."""
    rows: list[tuple[End, End, Difference]] = []
    for change in FlowDiff.between(old, new).answer(old, new):
        source, destination = _own(change.source), _own(change.destination)
        if source and destination and source != destination and change.before != change.after:
            rows.append((source, destination, (change.before, change.after, _news(change.workloads))))
    before, after = _from_controller(old), _from_controller(new)
    known = _workloads(old), _workloads(new)
    for name in before | after:
        change_of_one = before.get(name, NO_PORTS), after.get(name, NO_PORTS)
        if change_of_one[0] != change_of_one[1]:
            news = {(name, word) for word, there in (("removed", known[1]), ("added", known[0])) if name not in there}
            rows.append((CONTROLLER, name, (*change_of_one, frozenset(news))))
    return joined(rows)


def _workloads(found: gs.World) -> set[str]:
    return set(map(workload_label, found.flows.endpoints.workloads))


# -- exposure -----------------------------------------------------------------------------------------------------

_PEER = re.compile(r"(?P<namespace>\[[^]]*(?:\[[^]]*\][^]]*)*\]|[^/\[]+)/(?P<pods>\[.*\])$")
_EQUALS = re.compile(r"([\w./-]+)=([\w.-]*)")
_EXPRESSION = re.compile(r"\{Key:(?P<key>[^,]+),Operator:(?P<operator>\w+),Values:\[(?P<values>[^]]*)\],\}")
#: A value that no selector names.
_FOREIGN = "npguard"
#: Numbers of the port names of pods that are not there; that tool prints the names.
_NAMES = {"http": 61_001, "local-dns": 61_002}
_SIDES = (
    (Direction.INGRESS, "ingress_exposure", "dst", "src"),
    (Direction.EGRESS, "egress_exposure", "src", "dst"),
)


@dataclass(frozen=True, slots=True)
class Representative:
    """A pod that is not in the input: its labels, and the labels of its namespace, which is new if it has none to name."""

    labels: tuple[tuple[str, str], ...]
    namespace: str = ""
    namespace_labels: tuple[tuple[str, str], ...] = ()

    def objects(self, name: str) -> Iterator[dict[str, Any]]:
        if not self.namespace:
            metadata = {"name": name, "labels": dict(self.namespace_labels)}
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        ports = [{"name": port, "containerPort": number} for port, number in _NAMES.items()]
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace or name, "labels": dict(self.labels)},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": ports}]},
        }


def representatives(peers: Iterable[str]) -> dict[str, list[Representative]]:
    """For each peer pods that its words mean.

    The whole cluster is what a pod in a new namespace may do whatever its labels: with none, and with all that the other
    peers ask about, at a value of which no selector knows.
    """
    named = {peer: [_representative(peer)] for peer in peers if peer != ENTIRE_CLUSTER}
    keys = sorted({match["key"] for peer in named for match in _EXPRESSION.finditer(peer)})
    foreign = tuple((key, _FOREIGN) for key in keys)
    whole = [Representative(()), Representative(foreign, namespace_labels=foreign)]
    return {**named, ENTIRE_CLUSTER: whole}


def _representative(text: str) -> Representative:
    """Of `NS/[all pods]`, `[namespace with {..}]/[pod with {..}]` and the like."""
    match = _PEER.match(text)
    assert match, text
    namespace, labels = match["namespace"], _labels(match["pods"])
    if namespace.startswith("["):
        return Representative(labels, namespace_labels=_labels(namespace))
    return Representative(labels, namespace=namespace)


def _labels(selector: str) -> tuple[tuple[str, str], ...]:
    """Labels that fulfil a selector: a value for In, for NotIn one that it does not name, any for Exists."""
    found = dict(_EQUALS.findall(selector))
    for match in _EXPRESSION.finditer(selector):
        if match["operator"] != "DoesNotExist":
            found[match["key"]] = match["values"].split()[0] if match["operator"] == "In" else _FOREIGN
    return tuple(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Exposure:
    """(direction of the workload's side, workload, peer) to ports."""

    lines: Lines
    inside: dict[tuple[Direction, str, str], PortSet]
    outside: Lines


def read_exposure(output: Output) -> Exposure:
    data = json.loads(output.path.read_text(encoding="utf-8"))
    suffix = "conn_focus_results" if output.options.packet else "results"
    packet = PortSet.of(*output.options.packet) if output.options.packet else ALL_PORTS
    inside: dict[tuple[Direction, str, str], PortSet] = {}
    outside = []
    for direction, key, own, other in _SIDES:
        for item in data[f"exposure_{suffix}"][key] or ():
            if _ADDRESSES.match(item[other]):
                outside.append(item)
            else:
                inside[direction, item[own], item[other]] = _with_names(item["conn"]) if "conn" in item else packet
    return Exposure(read_items(data[f"connlist_{suffix}"], packet), inside, read_items(outside, packet))


def _with_names(text: str) -> PortSet:
    for name, number in _NAMES.items():
        text = text.replace(name, str(number))
    return PortSet.parse(text)


def exposure(output: Output, peers: Iterable[str]) -> dict[tuple[Direction, str, str], PortSet]:
    """What the side of each workload of the input allows with each peer, which is added to the input as a pod."""
    pods = {
        (peer, f"npguard-{number}-{position}"): found
        for number, (peer, pods) in enumerate(representatives(peers).items())
        for position, found in enumerate(pods)
    }
    added = [item for (_, name), found in pods.items() for item in found.objects(name)]
    flows = compile_world(load_cluster([*_inputs(output.input), *added]), cni=COMPAT).flows
    endpoints, universe = flows.endpoints, flows.universe
    numbers = {ref.name: number for number, ref in enumerate(endpoints.refs)}
    asked = PortSet.of(*output.options.packet) if output.options.packet else ALL_PORTS
    own = {name for _, name in pods} | endpoints.virtual.keys()
    workloads = [(workload_label(ref), number) for number, ref in enumerate(endpoints.workloads) if ref.name not in own]
    focus = _resolved(output.options.focus, [label for label, _ in workloads]) or {label for label, _ in workloads}
    out: dict[tuple[Direction, str, str], PortSet] = {}
    for (label, workload), direction, (peer, name) in product(workloads, Direction, pods):
        if label not in focus or output.options.direction not in ("", direction.value):
            continue
        classes = [
            number
            for pod in np.flatnonzero(np.array(endpoints.workload_of) == workload).tolist()
            for number in universe.classes[pod].tolist()
        ]
        traffic = reduce(or_, (flows.one_side(direction, one, other, flows.readings[0])
                               for one in classes for other in universe.classes[numbers[name]].tolist()))  # fmt: skip
        key = (direction, label, peer)
        out[key] = out.get(key, ALL_PORTS) & universe.traffic.ports(traffic) & asked
    return out


# -- explanations -------------------------------------------------------------------------------------------------

_PAIR = re.compile(r"Connections between (.+) => (.+):$")
_BLOCK = re.compile(r"\t(Allowed|Denied) (.+?) due to ")
#: Without a word where user-defined networks keep the ends apart.
_SIDE = re.compile(r"\t\t(Egress|Ingress) (?:\((Allowed|Denied)\))?")
#: UserDefinedNetworks stand in the place of policies where they keep ends apart.
_POLICY = re.compile(r"(\w*(?:NetworkPolicy|UserDefinedNetwork)) '([^']+)'")
_ANNOUNCED = re.compile(r"# All Connections due to the system default \(Allow all\) +#$")


@dataclass(frozen=True, slots=True)
class Side:
    """Whether one side allows, and the policies that are named for it: those that decide, and those that pass on."""

    allowed: bool = True
    policies: frozenset[str] = frozenset()


@dataclass(slots=True)
class Fact:
    """What an explanation says of some ports of one pair."""

    source: str
    destination: str
    allowed: bool
    ports: PortSet
    egress: Side = Side()
    ingress: Side = Side()


def read_explanations(text: str) -> list[Fact]:
    """The facts of an `explain` output, wording aside, about ends that are there (not `entire-cluster` and the like)."""
    return [
        fact for fact in _facts(_NETWORK_MARK.sub("", text)) if all(map(_is_there, (fact.source, fact.destination)))
    ]


def _is_there(end: str) -> bool:
    return end != ENTIRE_CLUSTER and "[all " not in end and " with " not in end


def _facts(text: str) -> list[Fact]:
    facts: list[Fact] = []
    pair, side, default = ("", ""), "", False
    for line in text.splitlines():
        if match := _PAIR.match(line):
            pair, default = (match[1], match[2]), False
        elif match := _BLOCK.match(line):
            facts.append(Fact(*pair, allowed=match[1] == "Allowed", ports=_explained_ports(match[2])))
        elif match := _SIDE.match(line):
            side = match[1].lower()
            setattr(facts[-1], side, Side(match[2] != "Denied"))
        elif match := _POLICY.search(line):
            known: Side = getattr(facts[-1], side)
            setattr(facts[-1], side, Side(known.allowed, known.policies | {f"{match[1]}/{match[2]}"}))
        elif line.startswith("#"):
            default = default or bool(_ANNOUNCED.match(line))
        elif default and (match := _LINE.match(line)):
            facts.append(Fact(match[1], match[2], allowed=True, ports=ALL_PORTS))
    return facts


def _explained_ports(text: str) -> PortSet:
    """`TCP, UDP:[1-51,53-65535], SCTP`."""
    if text == "All Connections":
        return ALL_PORTS
    return PortSet.union_of(
        PortSet.parse(f"{protocol} {ports}" if ports else protocol)
        for protocol, ports in re.findall(r"(TCP|UDP|SCTP)(?::\[([^]]*)\])?", text)
    )


def explained(found: gs.World, fact: Fact) -> Iterator[Fact]:
    """graphsec's explanation of packets of the fact: the first and the last port of each of its ranges."""
    ends = [_first_address(fact.source), _first_address(fact.destination)]
    packets = {(protocol, port) for protocol, *ports in fact.ports.ranges() for port in ports}
    for protocol, port in sorted(packets):
        decision = gs.can_reach(found, *ends, protocol=protocol, port=port)
        sides = {trace.direction: _side(trace) for trace in decision.traces}
        yield Fact(
            fact.source, fact.destination, allowed=bool(decision), ports=fact.ports,
            egress=sides[Direction.EGRESS], ingress=sides[Direction.INGRESS],
        )  # fmt: skip


def _first_address(end: str) -> str:
    match = _ADDRESSES.match(end)
    return match[1] if match else end


def _side(trace: Trace) -> Side:
    return Side(trace.verdict == "allow", frozenset(name for stage in trace.stages for name in _deciding(stage)))


def _deciding(stage: Stage) -> Iterator[str]:
    """Of the NetworkPolicies all that allow, or all that select the pod where none does; of a tier the rule that decides."""
    if stage.tier != DEFAULT.name:
        found = [stage.trials[stage.decided].policy] if stage.decided >= 0 else []
    elif stage.decided >= 0:
        found = [trial.policy for trial in stage.trials if trial.hit]
    else:
        found = [policy for policy, _ in stage.policies]
    return (str(ref) for ref in found)


# -- deviations ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deviation:
    """An output that graphsec does not reproduce. ``reading``: `npa` where that holds even when the input is read as that
    tool reads it, `upstream` where only the default profile differs."""

    output: str
    reading: str
    ids: str
    reason: str


def deviations() -> dict[str, Deviation]:
    path = ROOT / "fixtures" / "oracle" / "npguard-deviations.tsv"
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t")
    return {row["output"]: Deviation(**row) for row in rows}
