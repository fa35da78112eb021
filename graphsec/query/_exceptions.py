"""Exceptions: findings that somebody has decided to live with, why, and until when (interface.md §7)."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from graphsec.errors import UsageError
from graphsec.model.ref import Source
from graphsec.query._finding import Exemption
from graphsec.query._own_file import OwnFile, Strict

#: What a glob may be about.
FIELDS = ("subject", "resource", "namespace", "edge")


class _Written(Strict, frozen=True, kw_only=True):
    """One entry of the file."""

    id: str
    subject: str = ""
    resource: str = ""
    namespace: str = ""
    edge: str = ""
    reason: str
    owner: str = ""
    #: The last day on which it holds.
    expires: date | None = None
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Exception_:  # noqa: N801 - the domain's word, which Python has taken
    """One exception. ``globs`` are pairs of a field and a pattern; each must match, a field without one matches anything."""

    id: str
    globs: tuple[tuple[str, str], ...]
    exemption: Exemption

    def covers(self, values: Callable[[str], Sequence[str]]) -> bool:
        """Whether it is about a finding with these values. Of several values of a field the glob must match each: who holds
        the same by another binding is not excepted with the first."""
        for field, glob in self.globs:
            found = values(field)
            if not found or not all(fnmatchcase(value, glob) for value in found):
                return False
        return True

    def expired(self, as_of: date) -> bool:
        return bool(self.exemption.expires) and self.exemption.expires < as_of.isoformat()

    def __str__(self) -> str:
        return f"{self.exemption.source}: exception of {self.id}"


@dataclass(frozen=True, slots=True)
class Exceptions:
    """The entries of a file in its order; of several that cover a finding the first counts."""

    entries: tuple[Exception_, ...] = ()
    #: As it was named on the command line.
    file: str = ""

    def by_id(self, as_of: date) -> Mapping[str, Sequence[Exception_]]:
        """Those that still hold, by the id of their query."""
        found: dict[str, list[Exception_]] = defaultdict(list)
        for entry in self.entries:
            if not entry.expired(as_of):
                found[entry.id].append(entry)
        return found


def read_exceptions(path: str, known: Iterable[str]) -> Exceptions:
    """The exceptions of a file; ``known`` are the ids that there are.

    Raises UsageError at file, line and column: unknown keys and ids, no reason, neither or both of `expires` and `permanent`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read exceptions {path}: {error.strerror}") from error
    file = OwnFile.read(path, data)
    if file.tree.value is None:
        return Exceptions((), path)
    ids = tuple(known)
    written = file.convert(tuple[_Written, ...])
    return Exceptions(tuple(_checked(file, number, entry, ids) for number, entry in enumerate(written)), path)


def _checked(file: OwnFile, number: int, entry: _Written, known: Sequence[str]) -> Exception_:
    if entry.id not in known:
        near = difflib.get_close_matches(entry.id, known, n=1)
        raise file.complaint(
            f"`id`: no query `{entry.id}`{f' (did you mean `{near[0]}`?)' if near else ''}", number, "id"
        )
    if not entry.reason.strip():
        raise file.complaint("`reason` is empty", number, "reason")
    if entry.permanent == (entry.expires is not None):
        message = "`expires` and `permanent: true` exclude each other" if entry.permanent else "`expires` is missing"
        raise file.complaint(
            message, number, *(("permanent",) if entry.permanent else ()), help="a date, or `permanent: true`"
        )
    for field in FIELDS:
        if field in file.tree.value[number] and not getattr(entry, field):
            raise file.complaint(f"`{field}` is empty: it would match nothing", number, field)
    return Exception_(
        entry.id,
        tuple((field, getattr(entry, field)) for field in FIELDS if getattr(entry, field)),
        Exemption(
            reason=entry.reason.strip(),
            owner=entry.owner,
            expires=entry.expires.isoformat() if entry.expires else "",
            source=Source(file.name, file.line(number)),
        ),
    )
