"""Audit logs as bytes: runs of whole lines, or the elements of the lists in a JSON document; packed or not, one pass."""

from __future__ import annotations

import gzip
import io
import mmap
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from graphsec.loading.archives import BudgetError, Inflating
from graphsec.loading.audit_events import LIST_KEYS
from graphsec.loading.documents import Limits, Problem
from graphsec.loading.json_cursor import Buffer, Cursor, Malformed

_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20
#: How far into an object its list of events is looked for.
_HEAD = 1 << 12
_LIST = re.compile(rb'"(?:%s)"\s*:\s*\[' % "|".join(LIST_KEYS).encode())
#: Where the next element may begin behind one that is broken.
_ELEMENT = re.compile(rb"[,\[\n]\s*(\{)")
_BETWEEN = re.compile(rb"[^ \t\r\n,]")
#: So many broken elements, and the rest of a document is given up.
_MOST_BROKEN = 1000


class Lines(NamedTuple):
    """``number`` whole lines, the first of which is line ``line``."""

    data: bytes
    line: int
    number: int


class Element(NamedTuple):
    """One value of a document."""

    body: bytes
    line: int


Piece = Lines | Element | Problem


def pieces(path: str, limits: Limits) -> Iterator[Piece]:
    """Everything in a file, ``-`` for standard input, in order. What stops the reading is the last piece, a Problem."""
    try:
        with _opened(path) as file:
            stream = _Stream(file, limits)
            head = stream.read(_BLOCK)
            if not _is_document(head):
                yield from _lines(stream, head, limits)
                return
            with stream.whole(head, file) as buffer:
                yield from _elements(buffer)
    except BudgetError:
        message = f"inflates beyond --max-inflated-bytes {limits.inflated_bytes:,} or 200:1; what came before was kept"
        yield Problem("GS-LIM-006", message, 1)
    except _TooLargeError:
        message = f"more than {limits.file_bytes:,} bytes, the limit of --max-file-bytes; what came before was kept"
        yield Problem("GS-LIM-005", message, 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield Problem("GS-IN-040", "the packed file is cut off or damaged; what came before was kept", 1)
    except OSError as error:
        yield Problem("GS-IN-041", f"cannot be read: {error.strerror}", 1)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    with Path(path).open("rb") as file:
        yield file


class _TooLargeError(Exception):
    """More bytes than a file may have."""


class _Packed:
    """A file or pipe that counts what was read of it, and gives its first bytes again."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.first = file.read(len(_GZIP))
        self._again = self.first
        self._file = file
        self._limit = limit
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        data, self._again = self._again, b""
        data += self._file.read(size - len(data) if size >= 0 else -1)
        self._read += len(data)
        if self._read > self._limit:
            raise _TooLargeError
        return data

    def tell(self) -> int:
        return self._read


class _Stream:
    """The unpacked bytes of a file, up to its limits."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        packed: Any = _Packed(file, limits.file_bytes)
        self.zipped = packed.first == _GZIP
        self._limits = limits
        self._source: Any = packed
        if self.zipped:
            unpacked: Any = gzip.GzipFile(fileobj=packed)
            self._source = Inflating(packed, unpacked, limits.inflated_bytes)

    def read(self, size: int) -> bytes:
        data: bytes = self._source.read(size)
        return data

    @contextmanager
    def whole(self, head: bytes, file: BinaryIO) -> Iterator[Buffer]:
        """All of it as one buffer: mapped where it is a plain file, which never is in memory as a whole then."""
        if not self.zipped:
            try:
                size = Path(file.name).stat().st_size if isinstance(file.name, str) else -1
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
                pass
            else:
                if size > self._limits.file_bytes:
                    mapped.close()
                    raise _TooLargeError
                try:
                    yield mapped
                finally:
                    mapped.close()
                return
        blocks = [head]
        while block := self.read(_BLOCK):
            blocks.append(block)
        yield b"".join(blocks)


# -- lines ----------------------------------------------------------------------------------------------------------


def _is_document(head: bytes) -> bool:
    """Whether this begins JSON that goes over several lines, or one line that is too long to be an event's."""
    first = head.lstrip()
    if first.startswith(b"["):
        return True
    if not first.startswith(b"{"):
        return False
    line, newline, _ = first.partition(b"\n")
    return line.strip() == b"{" or (not newline and len(head) >= _BLOCK)


def _lines(stream: _Stream, head: bytes, limits: Limits) -> Iterator[Piece]:
    line = 1
    rest: list[bytes] = []
    held = 0
    block = head
    while block:
        cut = block.rfind(b"\n") + 1
        if cut:
            data = b"".join((*rest, block[:cut]))
            count = data.count(b"\n")
            yield Lines(data, line, count)
            line += count
            rest, held = [block[cut:]], len(block) - cut
        else:
            rest.append(block)
            held += len(block)
        if held > limits.object_bytes:
            yield Problem(
                "GS-LIM-003",
                f"a line of more than {limits.object_bytes:,} bytes, the limit of --max-object-bytes; the rest is not read",
                line,
            )
            return
        block = stream.read(_BLOCK)
    last = b"".join(rest)
    if last.strip():
        yield Lines(last + b"\n", line, 1)


# -- documents ------------------------------------------------------------------------------------------------------


def _elements(buffer: Buffer) -> Iterator[Piece]:
    """The elements of the lists in one document or several back to back; an object without a list is one element."""
    cursor = Cursor(buffer)
    broken = 0
    try:
        while first := cursor.peek():
            for piece in _document(cursor, first):
                yield piece
                broken += isinstance(piece, Problem)
                if broken > _MOST_BROKEN:
                    yield Problem(
                        "GS-AU-001", "too much of it is broken, the rest is not read", cursor.line(cursor.pos)
                    )
                    return
    finally:
        cursor.close()


def _document(cursor: Cursor, first: bytes) -> Iterator[Piece]:
    start = cursor.pos
    try:
        if first == b"[":
            cursor.pos += 1
            yield from _array(cursor)
        elif first == b"{" and _LIST.search(cursor.view[start : start + _HEAD]):
            yield from _fields(cursor)
        else:
            end = cursor.value_end(start)
            line = cursor.line(start)
            yield Element(cursor.take(end), line)
    except Malformed as error:
        yield _broken(cursor, error, start)
        found = cursor.buffer.find(b"\n{", max(error.offset - 1, start + 1))
        cursor.pos = cursor.size if error.truncated or found < 0 else found + 1


def _fields(cursor: Cursor) -> Iterator[Piece]:
    """The keys of an object: the elements of those that list events. Without such a key the object is one element."""
    start, line = cursor.pos, cursor.line(cursor.pos)
    cursor.pos += 1
    listed = False
    while (mark := _next(cursor)) not in (b"}", b""):
        if mark != b'"':
            raise Malformed("a key is expected", cursor.pos, truncated=False)
        end = cursor.value_end(cursor.pos)
        key = cursor.string(cursor.pos, end)
        cursor.pos = end
        if cursor.peek() != b":":
            raise Malformed("`:` is expected", cursor.pos, truncated=not cursor.peek())
        cursor.pos += 1
        if cursor.peek() == b"[" and key in LIST_KEYS:
            cursor.pos += 1
            listed = True
            yield from _array(cursor)
        else:
            cursor.skip(cursor.value_end(cursor.pos))
    if not mark:
        raise Malformed("the input ends inside an object", cursor.size, truncated=True)
    cursor.pos += 1
    if not listed:
        yield Element(bytes(cursor.view[start : cursor.pos]), line)


def _array(cursor: Cursor) -> Iterator[Piece]:
    while (mark := _next(cursor)) != b"]":
        if not mark:
            raise Malformed("the input ends inside a list", cursor.size, truncated=True)
        start = cursor.pos
        line = cursor.line(start)
        try:
            end = cursor.value_end(start)
        except Malformed as error:
            if error.truncated:
                raise
            yield _broken(cursor, error, start)
            found = _ELEMENT.search(cursor.buffer, max(error.offset, start + 1))
            cursor.pos = found.start(1) if found else cursor.size
            continue
        yield Element(cursor.take(end), line)
    cursor.pos += 1


def _next(cursor: Cursor) -> bytes:
    """The next byte that is neither white space nor a comma; moves to it."""
    found = _BETWEEN.search(cursor.buffer, cursor.pos)
    cursor.pos = found.start() if found else cursor.size
    return found.group() if found else b""


def _broken(cursor: Cursor, error: Malformed, start: int) -> Problem:
    if error.truncated:
        return Problem("GS-IN-040", "the file ends inside a value; what came before was kept", cursor.line(start))
    return Problem("GS-AU-001", f"no JSON: {error.message}", cursor.line(start))
