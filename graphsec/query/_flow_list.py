"""Flows that somebody wants, as a file or as values, resolved to the workloads of a world.

A file holds connection lists as ``reach -o connlist`` prints them, one `FROM => TO : PORTS` a line with `#` comments; or
YAML, a list of `{from, to, ports}` (also under a key `flows`). Ends are those of ``reach``; addresses and ranges always mean
what is outside the cluster. Ports are `TCP 80,443`, a number (TCP), or a list of these; without them all are meant.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from graphsec.algebra.blocks import AddressSet, family, parse_address
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.compile.endpoints import VIRTUAL
from graphsec.compile.flows import Flows
from graphsec.errors import InputError, UsageError
from graphsec.loading import Limits
from graphsec.loading.documents import Item, Problem
from graphsec.loading.text import decode_text
from graphsec.loading.yaml_reader import read_yaml
from graphsec.query._ends import INTERNET, parse_end
from graphsec.query.reach import Flow, FlowEnd

SHAPE = "lines `FROM => TO : TCP 80,443`, or YAML `- {from: NS/NAME, to: NS/NAME, ports: TCP 80}`"
_LINE = re.compile(r"(?P<source>\S+) => (?P<destination>\S+) : (?P<ports>.*)$")
_KEYS = frozenset({"from", "to", "ports"})
_EXTERNAL = "[External]"
#: A workload by its number, or addresses outside.
Unit = int | AddressSet


@dataclass(frozen=True)
class Wanted:
    """Ports by pair of units; addresses of different pairs may overlap, and then both are meant."""

    pairs: dict[tuple[Unit, Unit], PortSet] = field(default_factory=dict)
    #: Flows that no policy of this input can express, in words.
    left_out: list[str] = field(default_factory=list)

    def add(self, source: Unit, destination: Unit, ports: PortSet) -> None:
        if ports:
            self.pairs[source, destination] = self.pairs.get((source, destination), NO_PORTS) | ports


@dataclass(frozen=True, slots=True)
class _Line:
    """One flow as written, and where."""

    place: str
    sources: tuple[str | FlowEnd, ...]
    destinations: tuple[str | FlowEnd, ...]
    ports: PortSet


Given = str | os.PathLike[str] | Iterable[Flow | Mapping[str, Any]]


def read_flows(given: Given, flows: Flows) -> Wanted:
    """From a path, or from flows and mappings `{from, to, ports}`. Raises InputError for a file that cannot be read,
    UsageError with the place of what has no meaning."""
    lines = _file_lines(os.fspath(given)) if isinstance(given, str | os.PathLike) else _values(given)
    wanted = Wanted()
    resolve = _Resolver(flows)
    for line in lines:
        resolve.add(line, wanted)
    return wanted


# -- reading ------------------------------------------------------------------------------------------------------


def _file_lines(path: str) -> Iterator[_Line]:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"flows `{path}` cannot be read: {error.strerror}") from error
    text, _ = decode_text(data)
    if text is None:
        raise InputError(f"flows `{path}` is not UTF-8")
    if any(_LINE.match(line) for line in text.splitlines()):
        return _connections(text, path)
    return _documents(text, path)


def _connections(text: str, path: str) -> Iterator[_Line]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = f"{path}:{number}"
        match = _LINE.match(line.strip())
        if match is None:
            raise UsageError(f"{place}: no flow: `{line.strip()}`", help=f"expected {SHAPE}")
        yield _Line(place, (match["source"],), (match["destination"],), _ports(match["ports"], place))


def _documents(text: str, path: str) -> Iterator[_Line]:
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith(("#", "---"))), "")
    # The reader takes mappings only; a list may stand under a key without being indented.
    bare = first.startswith("-")
    if bare:
        text = f"flows:\n{text.removeprefix('---')}"
    for event in read_yaml(text, Limits()):
        if isinstance(event, Problem):
            raise UsageError(f"{path}:{event.line - bare}: {event.message}", help=f"expected {SHAPE}")
        if isinstance(event, Item):
            listed = event.body.get("flows")
            if not isinstance(listed, list):
                raise UsageError(f"{path}:{event.line}: no list of flows", help=f"expected {SHAPE}")
            yield from (_mapping(found, f"{path}: flow {number}") for number, found in enumerate(listed, start=1))


def _values(given: Iterable[Flow | Mapping[str, Any]]) -> Iterator[_Line]:
    for number, found in enumerate(given, start=1):
        if isinstance(found, Flow):
            yield _Line(f"flow {number}", (found.source,), (found.destination,), found.ports)
        else:
            yield _mapping(found, f"flow {number}")


def _mapping(found: Any, place: str) -> _Line:
    if not isinstance(found, Mapping) or not {"from", "to"} <= found.keys() or not found.keys() <= _KEYS:
        raise UsageError(f"{place}: a flow has `from`, `to` and `ports`", help=f"expected {SHAPE}")
    return _Line(place, _ends(found["from"], place), _ends(found["to"], place), _any_ports(found.get("ports"), place))


def _ends(value: Any, place: str) -> tuple[str, ...]:
    found = value if isinstance(value, list | tuple) else [value]
    if not found or not all(isinstance(end, str) and end for end in found):
        raise UsageError(f"{place}: an end is a text, or a list of texts", help=f"expected {SHAPE}")
    return tuple(found)


def _any_ports(value: Any, place: str) -> PortSet:
    if value is None:
        return ALL_PORTS
    if isinstance(value, PortSet):
        return value
    found = value if isinstance(value, list | tuple) else [value]
    return PortSet.union_of(_ports(str(each), place) for each in found)


def _ports(text: str, place: str) -> PortSet:
    try:
        return PortSet.parse(f"TCP {text}" if text[:1].isdigit() else text)
    except ValueError as error:
        raise UsageError(f"{place}: {error}", help="ports: `TCP 80,443-445,UDP 53`, or a number") from error


# -- resolving ----------------------------------------------------------------------------------------------------


def several_pods(flows: Flows) -> frozenset[int]:
    """Workloads with two pods or more, for which a flow with itself means something (N-16d)."""
    counts: Counter[int] = Counter()
    for workload, replicas in zip(flows.endpoints.workload_of, flows.endpoints.replicas, strict=True):
        counts[workload] += replicas
    return frozenset(workload for workload, count in counts.items() if count > 1)


class _Resolver:
    """What ends mean in one world; workloads are meant whole."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self._known: dict[str, tuple[Unit, ...]] = {}
        self._numbers = {ref: number for number, ref in enumerate(flows.endpoints.workloads)}
        self._sizes = Counter(flows.endpoints.workload_of)

    @cached_property
    def _several(self) -> frozenset[Unit]:
        return several_pods(self._flows)

    def add(self, line: _Line, wanted: Wanted) -> None:
        sources = [unit for end in line.sources for unit in self._units(end, line.place)]
        destinations = [unit for end in line.destinations for unit in self._units(end, line.place)]
        for source in sources:
            for destination in destinations:
                if isinstance(source, AddressSet) and isinstance(destination, AddressSet):
                    raise UsageError(f"{line.place}: neither end is in the cluster")
                if self._is_virtual(source) or self._is_virtual(destination):
                    ends = " => ".join(str(end) for end in (*line.sources, *line.destinations))
                    wanted.left_out.append(f"{ends} : {line.ports} has an end that is not in the input")
                elif source != destination or source in self._several:
                    wanted.add(source, destination, line.ports)

    def _is_virtual(self, unit: Unit) -> bool:
        return not isinstance(unit, AddressSet) and self._flows.endpoints.workloads[unit].kind == VIRTUAL

    def _units(self, end: str | FlowEnd, place: str) -> tuple[Unit, ...]:
        if isinstance(end, FlowEnd):
            if end.addresses is not None:
                return (end.addresses,)
            number = self._numbers.get(end.ref) if end.ref else None
            if number is not None:
                return (number,)
            end = end.text
        if end not in self._known:
            self._known[end] = self._parsed(end, place)
        return self._known[end]

    def _parsed(self, text: str, place: str) -> tuple[Unit, ...]:
        addresses = external(text)
        if addresses is not None:
            return (addresses,)
        try:
            found = parse_end(text, self._flows)
        except UsageError as error:
            raise UsageError(f"{place}: {error.message}", help=error.help) from error
        if found.gone or not found.pods:
            raise UsageError(f"{place}: `{text}`: {found.gone or 'no policy can name it'}")
        return tuple(self._whole(found.pods, text, place))

    def _whole(self, pods: tuple[int, ...], text: str, place: str) -> Iterator[int]:
        counts = Counter(self._flows.endpoints.workload_of[pod] for pod in pods)
        for workload, count in counts.items():
            if count < self._sizes[workload]:
                ref = self._flows.endpoints.workloads[workload]
                raise UsageError(
                    f"{place}: `{text}` means some pods of {ref} only", help="policies are made for whole workloads"
                )
            yield workload


def external(text: str) -> AddressSet | None:
    """Addresses outside: `internet`, an address, a CIDR, or ranges as connection lists write them; None for other ends."""
    if text.lower() == "internet":
        return INTERNET
    parts = [_range(part) for part in text.removesuffix(_EXTERNAL).split(",")]
    return AddressSet.union_of(part for part in parts if part is not None) if None not in parts else None


def _range(text: str) -> AddressSet | None:
    try:
        low, dash, high = text.partition("-")
        if not dash:
            return AddressSet.cidr(text)
        first, last = parse_address(low), parse_address(high)
    except ValueError:
        return None
    return AddressSet(((first, last),)) if first <= last and family(first) == family(last) else None


__all__ = ["SHAPE", "Given", "Unit", "Wanted", "external", "read_flows", "several_pods"]
