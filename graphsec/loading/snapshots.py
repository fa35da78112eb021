"""A loaded cluster as one file that opens at once: an index in front, and of each kind two sections read when asked for.

    magic, format and size of the header, SHA-256 of these and the header, header, sections (docs/snapshots.md)

Opening checks the header against the whole length of the file; a section is checked against the header's SHA-256 of it
before its first byte means anything. The checks are against damage: whoever can write the file can say what he likes.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from graphsec.collector import collector_paused
from graphsec.errors import InputError, LimitError, UsageError
from graphsec.kinds import kinds
from graphsec.loading.columns import MisfitError, decode, encode, fingerprint
from graphsec.loading.forms import MAGIC
from graphsec.loading.json_cursor import Buffer
from graphsec.model.cluster import Cluster, Shelves
from graphsec.model.coverage import Coverage, InputForm, KindCoverage
from graphsec.model.diagnostic import CODES, Diagnostic
from graphsec.model.discovery import Resource
from graphsec.model.objects import Loaded
from graphsec.model.ref import Ref, Source
from graphsec.version import __version__

#: Of what stands in a file and what it means, beyond the fields of classes, which ``fingerprint`` tells.
FORMAT = 1
_PREFIX = struct.Struct(">8sII32s")
_HELP = "make it again: `graphsec snapshot -f INPUT --out gsx=FILE`"

_PLACES = (Ref, Source)
_ENTRIES = (KindCoverage,)
_INPUTS = (InputForm,)
_DIAGNOSTICS = (Diagnostic,)
_RESOURCES = (Resource,)


class _Section(msgspec.Struct, array_like=True, frozen=True):
    """``name`` is a kind and `places` or `bodies`, or what the whole cluster has once; ``types`` is of what it holds."""

    name: str
    rows: int
    size: int
    digest: bytes
    types: str


class _Header(msgspec.Struct, array_like=True, frozen=True):
    version: str
    sections: list[_Section]


_header_decoder = msgspec.msgpack.Decoder(_Header)


def _bodies(kind: str) -> tuple[Any, ...]:
    """The types of the two columns of a kind: what its objects say, and the lines of their rules."""
    return (_kept()[kind], tuple[int, ...])


def _kept() -> dict[str, type[Any]]:
    return {kind.name: kind.kept for kind in kinds().values()}


# -- writing ----------------------------------------------------------------------------------------------------------


def write_snapshot(cluster: Cluster, path: str) -> None:
    """Write a cluster to ``path``, readable for its owner alone, at once or not at all. Raises UsageError if it cannot be."""
    with collector_paused():
        sections = [(name, hints, columns, encode(hints, columns)) for name, hints, columns in _contents(cluster)]
    header = msgspec.msgpack.encode(
        _Header(
            __version__,
            [
                _Section(name, len(columns[0]), len(data), hashlib.sha256(data).digest(), fingerprint(hints))
                for name, hints, columns, data in sections
            ],
        )
    )
    prefix = _PREFIX.pack(MAGIC, FORMAT, len(header), _header_digest(FORMAT, header))
    try:
        _replace(Path(path), [prefix, header, *(data for *_, data in sections)])
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _contents(cluster: Cluster) -> Iterator[tuple[str, tuple[Any, ...], Sequence[Sequence[Any]]]]:
    """(name, types, columns) of each section."""
    yield "coverage", _ENTRIES, [list(cluster.coverage)]
    yield "inputs", _INPUTS, [[replace(given, snapshot="") for given in cluster.coverage.inputs]]
    yield "diagnostics", _DIAGNOSTICS, [cluster.diagnostics]
    yield "resources", _RESOURCES, [cluster.custom_resources]
    yield "others", _PLACES, [list(cluster.others), list(cluster.others.values())]
    for kind, found in cluster.objects.items():
        yield f"{kind} places", _PLACES, [[loaded.ref for loaded in found], [loaded.source for loaded in found]]
        yield f"{kind} bodies", _bodies(kind), [[loaded.body for loaded in found], [loaded.lines for loaded in found]]


def _header_digest(form: int, header: bytes | memoryview) -> bytes:
    return hashlib.sha256(_PREFIX.pack(MAGIC, form, len(header), b"") + header).digest()


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    """A file with mode 0600 from its first moment, beside the old one until it is whole."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


# -- reading ----------------------------------------------------------------------------------------------------------


def read_snapshot(data: Buffer, given: str) -> Cluster:
    """The cluster in the bytes of the file that the user called ``given``; what is damaged is told where it is read.

    Raises InputError for what is no snapshot, damaged, cut off, or of another version, LimitError for claims beyond its size.
    """
    return _Snapshot(bytes(data), given).cluster()


@dataclass(frozen=True, slots=True)
class _Part:
    section: _Section
    data: memoryview


class _Snapshot:
    def __init__(self, data: bytes, given: str) -> None:
        self._given = given
        self._parts = self._opened(memoryview(data))

    def cluster(self) -> Cluster:
        kinds_here = [name.removesuffix(" places") for name in self._parts if name.endswith(" places")]
        [entries], [inputs], [diagnostics], [resources], others = (
            self.columns(name, hints)
            for name, hints in (
                ("coverage", _ENTRIES),
                ("inputs", _INPUTS),
                ("diagnostics", _DIAGNOSTICS),
                ("resources", _RESOURCES),
                ("others", _PLACES),
            )
        )
        if not {diagnostic.code for diagnostic in diagnostics} <= CODES.keys():
            self._refuse("a diagnostic that nobody knows")
        return Cluster(
            objects=Shelves({kind: _Shelf(self, kind) for kind in kinds_here}),
            others=dict(zip(*others, strict=True)),
            custom_resources=tuple(resources),
            coverage=Coverage(entries, tuple(replace(found, snapshot=self._given) for found in inputs)),
            diagnostics=tuple(diagnostics),
        )

    def columns(self, name: str, hints: tuple[Any, ...]) -> list[list[Any]]:
        """The content of a section."""
        part = self._parts.get(name)
        if part is None:
            self._refuse(f"it has no section `{name}`")
        section = part.section
        if hashlib.sha256(part.data).digest() != section.digest:
            self._refuse(f"the section `{name}` does not have its checksum")
        if section.types != fingerprint(hints):
            self._refuse_version(f"`{name}` was written by another build of graphsec {__version__}")
        try:
            with collector_paused():
                columns = decode(hints, part.data)
        except MisfitError:
            self._refuse(f"the section `{name}` does not hold what it should")
        except LimitError as error:
            raise LimitError(f"{self._given}: the section `{name}` claims {error.message}", help=_HELP) from None
        if any(len(column) != section.rows for column in columns):
            self._refuse(f"the section `{name}` does not have its number of rows")
        return columns

    # -- the header ---------------------------------------------------------------------------------------------

    def _opened(self, data: memoryview) -> dict[str, _Part]:
        """The sections by name, none of them looked at."""
        if bytes(data[: len(MAGIC)]) != MAGIC:
            raise InputError(f"{self._given}: no graphsec snapshot: it does not begin as one does", help=_HELP)
        if len(data) < _PREFIX.size:
            self._refuse("it ends inside its header")
        _, form, size, digest = _PREFIX.unpack_from(data)
        header, rest = data[_PREFIX.size : _PREFIX.size + size], data[_PREFIX.size + size :]
        if len(header) < size:
            self._refuse("it ends inside its header")
        if _header_digest(form, header) != digest:
            self._refuse("its header does not have its checksum")
        if form != FORMAT:
            age = "a newer" if form > FORMAT else "an older"
            self._refuse_version(f"made by {age} graphsec, in format {form}; this one reads format {FORMAT}")
        try:
            read = _header_decoder.decode(header)
        except msgspec.DecodeError:
            self._refuse("its header does not hold what it should")
        if read.version != __version__:
            age = "a newer" if _order(read.version) > _order(__version__) else "an older"
            self._refuse_version(f"made by {age} graphsec ({read.version}); this is {__version__}")
        return self._placed(read.sections, rest)

    def _placed(self, sections: list[_Section], rest: memoryview) -> dict[str, _Part]:
        told = sum(section.size for section in sections)
        if any(min(section.size, section.rows) < 0 for section in sections) or told != len(rest):
            end = "is cut off" if told > len(rest) else "goes on behind its end"
            self._refuse(f"it {end}: {told:,} bytes of sections are told, there are {len(rest):,}")
        parts: dict[str, _Part] = {}
        start = 0
        for section in sections:
            parts[section.name] = _Part(section, rest[start : start + section.size])
            start += section.size
        kept = _kept()
        unknown = [name for name in parts if " " in name and name.rpartition(" ")[0] not in kept]
        if unknown or len(parts) < len(sections):
            self._refuse("its header does not hold what it should")
        return parts

    def _refuse(self, reason: str) -> NoReturn:
        raise InputError(f"{self._given}: damaged snapshot: {reason}", help=_HELP)

    def _refuse_version(self, reason: str) -> NoReturn:
        raise InputError(f"{self._given}: snapshot {reason}", help=_HELP)


class _Shelf:
    """One kind of a snapshot."""

    def __init__(self, snapshot: _Snapshot, kind: str) -> None:
        self._snapshot, self._kind = snapshot, kind

    def places(self) -> Iterable[tuple[Ref, Source]]:
        return zip(*self._places, strict=True)

    def objects(self) -> tuple[Loaded, ...]:
        bodies = self._snapshot.columns(f"{self._kind} bodies", _bodies(self._kind))
        with collector_paused():
            if len(bodies[0]) != len(self._places[0]):
                self._snapshot._refuse(f"`{self._kind}` has objects without a place")  # noqa: SLF001 - one module
            return tuple(map(Loaded, *self._places, *bodies))

    @cached_property
    def _places(self) -> list[list[Any]]:
        return self._snapshot.columns(f"{self._kind} places", _PLACES)


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d{1,9}", version)]
