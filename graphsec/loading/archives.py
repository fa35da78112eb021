"""Members of tar archives as bytes in memory: nothing is extracted, and inflating stops at a budget."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import IO, Any, BinaryIO

from graphsec.loading.documents import Limits, Problem

ARCHIVES = (".tar", ".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"
#: Inflated over packed bytes, looked at once this much has been inflated (hardening.md §5).
_RATIO, _RATIO_FROM = 200, 64 << 20
#: What is read at once: where the input ends inside a member, less than this is lost.
_PIECE = tarfile.RECORDSIZE
#: A tar ends in two empty blocks; ``tarfile`` itself does not mind where they are missing.
_END = bytes(2 * tarfile.BLOCKSIZE)
_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, RecursionError)


class BudgetError(Exception):
    """The archive inflates beyond its budget."""


class Inflating:
    """A file for ``tarfile`` to read from, which counts what comes out against what went in."""

    def __init__(self, packed: BinaryIO, unpacked: IO[bytes], budget: int) -> None:
        self._packed, self._unpacked, self._budget = packed, unpacked, budget
        self._inflated = 0
        self._tail = b""

    def read(self, size: int) -> bytes:
        data = self._unpacked.read(size)
        self._inflated += len(data)
        if self._inflated > self._budget:
            raise BudgetError
        if self._inflated > _RATIO_FROM and self._inflated > _RATIO * self._packed.tell():
            raise BudgetError
        self._tail = (self._tail + data)[-len(_END) :]
        return data

    def has_end(self) -> bool:
        """Whether the archive, read to its end, is whole."""
        while self.read(_PIECE):
            pass
        return self._tail == _END


def members(path: str, limits: Limits) -> tuple[list[tuple[str, bytes]], Problem | None]:
    """(name, data) of the regular members in archive order, and why it is not all of them; the last may be cut off.

    Links and devices hold no bytes of their own and are passed over; names are only ever shown.
    """
    found: list[tuple[str, bytes]] = []
    try:
        with Path(path).open("rb") as packed:
            zipped = packed.read(len(_GZIP)) == _GZIP
            packed.seek(0)
            unpacked: Any = gzip.GzipFile(fileobj=packed) if zipped else packed
            stream = Inflating(packed, unpacked, limits.inflated_bytes)
            _collect(stream, found, limits)
            return found, None if stream.has_end() else _damaged()
    except BudgetError:
        message = (
            f"inflates beyond --max-inflated-bytes {limits.inflated_bytes:,} or {_RATIO}:1; what came before was kept"
        )
        return found, Problem("GS-LIM-006", message, 1)
    except OSError as error:
        if not isinstance(error, gzip.BadGzipFile) and error.strerror:
            return found, Problem("GS-IN-041", f"cannot be read: {error.strerror}", 1)
        return found, _damaged()
    except _DAMAGE:
        return found, _damaged()


def _damaged() -> Problem:
    return Problem("GS-IN-040", "the archive is cut off or damaged; what came before was kept", 1)


def _collect(stream: Inflating, found: list[tuple[str, bytes]], limits: Limits) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            if not member.isreg():
                continue
            if member.size > limits.inflated_bytes:
                raise BudgetError
            file = archive.extractfile(member)
            pieces: list[bytes] = []
            try:
                while file and (piece := file.read(_PIECE)):
                    pieces.append(piece)
            finally:
                found.append((member.name, b"".join(pieces)))
