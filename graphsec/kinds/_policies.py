"""What the policy kinds share: rules decoded one by one, and the API server's checks of names, selectors and blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NoReturn, TypeVar

import msgspec

from graphsec.algebra.blocks import AddressSet
from graphsec.algebra.expressions import Expression, Field, of_selector
from graphsec.algebra.ports import ALL_PORTS, NO_PORTS, PortSet
from graphsec.algebra.selectors import LabelSelector, Requirement
from graphsec.kinds._kind import InvalidError
from graphsec.model import objects
from graphsec.model.policy import ANY_PORT, Direction, NamedPort, Ports, Rule

W = TypeVar("W")

#: For ``Kind.rules``: each rule of these lists has its own line.
RULES = ("spec.ingress", "spec.egress")

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PORT_NAME = re.compile(r"(?!-)(?!.*--)(?=.*[a-z])[-a-z0-9]{1,15}(?<!-)")


def refuse(path: str, reason: str) -> NoReturn:
    """What the API server's validation says of the field at ``path``."""
    raise InvalidError(f"{path}: {reason}")


# -- rules, one by one ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one written rule comes to: no rule where it is left out. ``limits`` are sentences about it."""

    rule: Rule | None
    limits: tuple[str, ...] = ()

    def at(self, direction: Direction, index: int) -> Reading:
        return Reading(
            rule=self.rule and replace(self.rule, index=index),
            limits=tuple(f"spec.{direction}[{index}]: {limit}" for limit in self.limits),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Both lists of rules as they are written."""

    ingress: tuple[Reading, ...]
    egress: tuple[Reading, ...]

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.ingress), len(self.egress)

    @property
    def limits(self) -> tuple[str, ...]:
        return tuple(limit for reading in (*self.ingress, *self.egress) for limit in reading.limits)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        readings = self.ingress if direction is Direction.INGRESS else self.egress
        return tuple(reading.rule for reading in readings if reading.rule)


class RuleReader(Generic[W]):
    """Decodes each distinct spelling of a rule once: policies repeat over namespaces."""

    def __init__(self, wire: type[W], read: Callable[[W, Direction], Reading]) -> None:
        self._decoder: msgspec.json.Decoder[W | None] = msgspec.json.Decoder(wire | None)
        #: Go decodes null as the empty struct.
        self._empty = wire()
        self._read = read
        self._spelled: dict[tuple[Direction, bytes], Reading] = {}
        self._placed: dict[tuple[Direction, int, bytes], Reading] = {}

    def lists(self, ingress: Sequence[msgspec.Raw] | None, egress: Sequence[msgspec.Raw] | None) -> Written:
        """Raises InvalidError with the position of the wrong rule, ingress first."""
        before = len(ingress or ())
        return Written(
            ingress=tuple(self._list(Direction.INGRESS, ingress or (), 0)),
            egress=tuple(self._list(Direction.EGRESS, egress or (), before)),
        )

    def _list(self, direction: Direction, raws: Sequence[msgspec.Raw], before: int) -> Iterable[Reading]:
        for index, raw in enumerate(raws):
            text = bytes(raw)
            place = (direction, index, text)
            found = self._placed.get(place)
            if found is None:
                found = self._placed[place] = self._spelling(direction, index, text, before).at(direction, index)
            yield found

    def _spelling(self, direction: Direction, index: int, text: bytes, before: int) -> Reading:
        known = self._spelled.get((direction, text))
        if known is not None:
            return known
        try:
            reading = self._read(self._decode(direction, index, text), direction)
        except InvalidError as error:
            raise InvalidError(f"spec.{direction}[{index}].{error.message}", before + index) from None
        self._spelled[direction, text] = reading
        return reading

    def _decode(self, direction: Direction, index: int, text: bytes) -> W:
        try:
            return self._decoder.decode(text) or self._empty
        except msgspec.ValidationError as error:
            path, message = f"`$.spec.{direction}[{index}]", str(error)
            # A rule that is itself of a wrong type has no path of its own.
            placed = message.replace("`$", path) if "`$" in message else f"{message} - at {path}`"
            raise msgspec.ValidationError(placed) from None


def placed(path: str, items: Iterable[W | None] | None, empty: W) -> Iterable[tuple[str, W]]:
    """Items of a list with their places, e.g. `from[1]`; null is the empty item."""
    return ((f"{path}[{index}]", empty if item is None else item) for index, item in enumerate(items or ()))


# -- ports ------------------------------------------------------------------------------------------------------------


def any_of(entries: Iterable[Ports]) -> Ports:
    """The union of the entries of a list of ports; no entries are all ports (N-05b)."""
    entries = tuple(entries)
    if not entries:
        return ANY_PORT
    return Ports(
        numbers=PortSet.union_of(entry.numbers for entry in entries),
        named=tuple(dict.fromkeys(name for entry in entries for name in entry.named)),
    )


def port_range(path: str, protocol: str, low: int, high: int) -> PortSet:
    """Ports of a protocol between two fields that may say 1 to 65535."""
    if not 1 <= low <= high <= 65535:
        refuse(path, f"`{high if 1 <= low <= 65535 else low}` is no port from 1 to 65535")
    return PortSet.of(protocol, (low, high))


def named(*ports: NamedPort) -> Ports:
    return Ports(numbers=NO_PORTS, named=ports)


def numbered(numbers: PortSet) -> Ports:
    return ANY_PORT if numbers == ALL_PORTS else Ports(numbers=numbers)


def check_port_name(path: str, name: str) -> None:
    """IANA_SVC_NAME: at most 15 of a-z, 0-9 and single inner dashes, with a letter."""
    if not _PORT_NAME.fullmatch(name):
        refuse(path, f"`{name}` is no port name: at most 15 of a-z, 0-9 and -, with a letter")


# -- names, selectors, blocks -----------------------------------------------------------------------------------------


def check_name(metadata: objects.Metadata) -> None:
    """A policy's name is a DNS subdomain (R-12)."""
    name = metadata.name or metadata.generate_name.rstrip("-")
    if name and not is_subdomain(name):
        refuse("metadata.name", f"`{name}` is no DNS subdomain: a-z, 0-9, - and . only")


def is_subdomain(name: str) -> bool:
    return len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


def is_dns_label(name: str) -> bool:
    return len(name) <= 63 and _DNS_LABEL.fullmatch(name) is not None


def selected(path: str, selector: LabelSelector | None, field: Field = Field.OWN) -> Expression:
    """A LabelSelector that the API server accepts, as an expression (N-07)."""
    if selector is not None:
        for key, value in (selector.match_labels or {}).items():
            _check_key(f"{path}.matchLabels", key)
            _check_value(f"{path}.matchLabels[{key}]", value)
        for index, requirement in enumerate(selector.match_expressions or ()):
            _check_requirement(f"{path}.matchExpressions[{index}]", requirement)
    return of_selector(selector, field)


def _check_requirement(path: str, requirement: Requirement) -> None:
    """N-07b."""
    match requirement.operator:
        case "In" | "NotIn":
            if not requirement.values:
                refuse(f"{path}.values", f"{requirement.operator} needs values")
        case "Exists" | "DoesNotExist":
            if requirement.values:
                refuse(f"{path}.values", f"{requirement.operator} takes no values")
        case operator:
            refuse(f"{path}.operator", f"`{operator}` is none of In, NotIn, Exists and DoesNotExist")
    _check_key(f"{path}.key", requirement.key)
    for value in requirement.values or ():
        _check_value(f"{path}.values", value)


def _check_key(path: str, key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if len(name) > 63 or not _NAME.fullmatch(name) or (slash and not is_subdomain(prefix)):
        refuse(path, f"`{key}` is no label key")


def _check_value(path: str, value: str) -> None:
    if value and (len(value) > 63 or not _NAME.fullmatch(value)):
        refuse(path, f"`{value}` is no label value")


def cidr(path: str, text: str) -> AddressSet:
    """A block with its length; host bits are dropped."""
    try:
        if "/" in text:
            return AddressSet.cidr(text)
    except ValueError:
        pass
    refuse(path, f"`{text}` is no CIDR")
