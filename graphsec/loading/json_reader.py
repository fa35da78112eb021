"""JSON documents, one object at a time: lists are never decoded whole, and one bad object costs one problem.

Two ways through a list. Well-formed stretches are cut between two items, about ``_WINDOW`` bytes at a time, and decoded
in one call: if the cut text is a JSON array, its elements are exactly the list's items. Everything else goes value by
value: decoding ``msgspec.Raw`` from its start, msgspec stops behind the first value and names the offset of what
follows. That serves documents back to back (hardening.md I10), truncated files and recovery after garbage.
It reads a buffer; memory-mapped pages behind the cursor are released.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from graphsec.loading.documents import Batch, DecodeBatch, Envelope, Event, Item, Limits, Problem

Buffer = bytes | mmap.mmap

_raw = msgspec.json.Decoder(msgspec.Raw)
_text = msgspec.json.Decoder(str)
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_OFFSET = re.compile(r"\(byte (\d+)\)")
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
#: Where the next element of an array begins, searched from the end of the one before.
_ELEMENT = re.compile(rb"[^ \t\r\n,]")
_LOG_END = re.compile(rb"^==== END [^\n]*====[ \t\r]*$", re.MULTILINE)
#: Where the next object of a list may begin after garbage that no indentation explains.
_NEXT_OBJECT = re.compile(rb'\{\s*"(?:apiVersion|kind|metadata)"\s*:')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
#: How much of a mapped file may stay resident behind the cursor.
_RELEASE = 8 << 20
#: Bytes of list items decoded in one call: fits the cache, and is small beside any memory that matters.
_WINDOW = 1 << 18
#: Texts below this are worth counting brackets in before anything is copied.
_FEW = 1 << 16
#: A list whose items could not be cut this often in a row is read value by value.
_PATIENCE = 3
#: Between two items of a list without line breaks.
_COMPACT_CUTS = (b'},{"apiVersion":', b'}, {"apiVersion":', b'},{"kind":', b'},{"metadata":', b'}, {"metadata":')

_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


class _Malformed(Exception):  # noqa: N818 - control flow inside this module
    """A value that is not JSON; ``offset`` is absolute, ``truncated`` if the input ended first."""

    def __init__(self, message: str, offset: int, *, truncated: bool, deep: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.truncated = truncated
        self.deep = deep


class _Cursor:
    """A position in a buffer that counts lines as it moves and lets go of mapped pages behind it."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.view = memoryview(buffer)
        self.size = len(buffer)
        self.pos = 0
        self._line = 1
        self._counted = 0
        self._released = 0

    def close(self) -> None:
        self.view.release()

    def peek(self) -> bytes:
        """The next byte that is not white space, b"" at the end; moves to it."""
        found = _NOT_SPACE.search(self.buffer, self.pos)
        self.pos = found.start() if found else self.size
        return found.group() if found else b""

    def line(self, at: int) -> int:
        """The 1-based line of an offset; an offset before an earlier one gives that one's line."""
        if at > self._counted:
            self._line += bytes(self.view[self._counted : at]).count(b"\n")
            self._counted = at
        return self._line

    def value_end(self, start: int) -> int:
        """The offset of what follows the value that begins at ``start``. Raises _Malformed."""
        try:
            _raw.decode(self.view[start:])
        except msgspec.DecodeError as error:
            trailing = _TRAILING.search(str(error))
            if trailing:
                return start + int(trailing.group(1)) - 1  # msgspec has read the trailing character
            offset = _OFFSET.search(str(error))
            raise _Malformed(
                str(error),
                start + int(offset.group(1)) if offset else self.size,
                truncated=offset is None,
            ) from None
        except RecursionError:
            raise _Malformed("nesting beyond any limit", start, truncated=False, deep=True) from None
        return self.size

    def take(self, end: int) -> bytes:
        """The bytes from here to ``end``; moves there."""
        body = bytes(self.view[self.pos : end])
        self.skip(end, body.count(b"\n") if self._counted == self.pos else None)
        return body

    def skip(self, end: int, lines: int | None = None) -> None:
        """Move to ``end``, over ``lines`` line breaks if that is known, and let go of the pages behind."""
        if lines is not None:
            self._line += lines
            self._counted = end
        self.pos = end
        if isinstance(self.buffer, mmap.mmap) and end - self._released > _RELEASE:
            page = end - end % mmap.PAGESIZE
            self.line(page)
            self.buffer.madvise(mmap.MADV_DONTNEED, 0, page)
            self._released = page


def read_json(buffer: Buffer, limits: Limits, decode_batch: DecodeBatch | None = None) -> Iterator[Event]:
    """The objects of a JSON text: one document, or several back to back with log sections between them (I10)."""
    cursor = _Cursor(buffer)
    decode = decode_batch or (lambda text: None)
    try:
        while first := cursor.peek():
            if first == b"=":
                _skip_log(cursor)
            elif first == b"{":
                yield from _document(cursor, limits, decode)
            else:
                yield from _stray(cursor)
    finally:
        cursor.close()


def _skip_log(cursor: _Cursor) -> None:
    """Past `==== START logs ...` to the end of its `==== END ...` line; container logs are not input."""
    end = _LOG_END.search(cursor.buffer, cursor.pos)
    cursor.pos = end.end() if end else cursor.size


def _stray(cursor: _Cursor) -> Iterator[Event]:
    """Something at top level that is no object: a scalar or array is left out, garbage ends at the next object line."""
    start = cursor.pos
    try:
        cursor.pos = cursor.value_end(start)
    except _Malformed as error:
        yield _problem(cursor, error)
        cursor.pos = _next_line_starting(cursor, b"{", error.offset)
    else:
        yield Problem("GS-IN-003", "a JSON value that is no object", cursor.line(start))


def _next_line_starting(cursor: _Cursor, text: bytes, after: int) -> int:
    found = cursor.buffer.find(b"\n" + text, after)
    return cursor.size if found < 0 else found + 1


def _document(cursor: _Cursor, limits: Limits, decode: DecodeBatch) -> Iterator[Event]:
    """One top-level object: a list gives its items and an envelope, anything else one item."""
    start = cursor.pos
    line = cursor.line(start)
    fields = {"kind": "", "apiVersion": ""}
    listed = False
    try:
        for key in _keys(cursor):
            if key == "items" and cursor.peek() == b"[" and _may_be_list(fields["kind"]):
                listed = True
                yield from _items(cursor, limits, fields["kind"], decode)
                continue
            if key == "items" and cursor.buffer[cursor.pos : cursor.pos + 4] == b"null":
                listed = True
            value_start = cursor.pos
            cursor.pos = cursor.value_end(value_start)
            if key in fields and cursor.buffer[value_start : value_start + 1] == b'"':
                fields[key] = _text.decode(bytes(cursor.view[value_start : cursor.pos]).strip())
    except _Malformed as error:
        yield _problem(cursor, error)
        cursor.pos = cursor.size if error.truncated else _next_line_starting(cursor, b"{", error.offset)
        if not listed:
            return
    if listed:
        yield Envelope(fields["kind"], fields["apiVersion"], line)
        return
    end, cursor.pos = cursor.pos, start
    yield _item(cursor, end, line, limits, listed=False)


def _may_be_list(kind: str) -> bool:
    return not kind or kind.endswith("List")


def _keys(cursor: _Cursor) -> Iterator[str]:
    """The keys of the object at the cursor, which stands at each key's value while it is handed out."""
    cursor.pos += 1
    while (char := cursor.peek()) != b"}":
        if char == b",":
            cursor.pos += 1
            continue
        if char != b'"':
            raise _syntax(cursor, "object keys must be strings")
        start = cursor.pos
        cursor.pos = cursor.value_end(start)
        key = _text.decode(bytes(cursor.view[start : cursor.pos]).strip())
        if cursor.peek() != b":":
            raise _syntax(cursor, "expected ':'")
        cursor.pos += 1
        cursor.peek()
        yield key
    cursor.pos += 1


def _syntax(cursor: _Cursor, message: str) -> _Malformed:
    truncated = cursor.pos >= cursor.size
    return _Malformed("Input data was truncated" if truncated else message, cursor.pos, truncated=truncated)


def _items(cursor: _Cursor, limits: Limits, list_kind: str, decode: DecodeBatch) -> Iterator[Event]:
    """The items of the array at the cursor; after garbage it goes on with the next object of the list."""
    cursor.pos += 1
    indent = _indent(cursor)
    failures = 0 if limits.object_bytes >= _WINDOW else _PATIENCE
    while (char := cursor.peek()) != b"]":
        if not char:
            raise _syntax(cursor, "")
        if char == b",":
            cursor.pos += 1
            continue
        if failures < _PATIENCE and char == b"{":
            cut = _cut(cursor, indent, limits, decode)
            failures = 0 if cut else failures + 1
            if cut:
                yield from _cut_events(cursor, *cut, indent, list_kind)
                continue
        yield from _next_item(cursor, char, indent, limits, list_kind)
    cursor.pos += 1


def _cut(
    cursor: _Cursor, indent: bytes, limits: Limits, decode: DecodeBatch
) -> tuple[int, bytes, list[Any], bool] | None:
    """(end, text, elements, whether they are typed) of as many items as a window holds, None if they cannot be cut."""
    end = _last_cut(cursor, indent)
    for _ in range(2):
        if end <= cursor.pos:
            return None
        text = b"".join((b"[", cursor.view[cursor.pos : end], b"]"))
        try:
            typed = decode(text)
            elements = _raw_list.decode(text) if typed is None else typed
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            closed = _TRAILING.search(str(error))
            if closed is None:
                return None
            # The list ends inside the window, and the cut was made in what follows it.
            end = cursor.pos + text.rindex(b"]", 0, int(closed.group(1)) - 1) - 1
            continue
        return None if deeper_than(text, limits.depth + 1) else (end, text, elements, typed is not None)
    return None


def _last_cut(cursor: _Cursor, indent: bytes) -> int:
    """The offset behind the last item that ends in the window, -1 if no place between two items is found."""
    limit = min(cursor.pos + _WINDOW, cursor.size)
    for cut in (b"}," + indent + b"{",) if indent else _COMPACT_CUTS:
        found = cursor.buffer.rfind(cut, cursor.pos, limit)
        if found >= 0:
            return found + 1
    return -1


def _cut_events(
    cursor: _Cursor, end: int, text: bytes, elements: list[Any], typed: bool, indent: bytes, list_kind: str
) -> Iterator[Event]:
    first = cursor.line(cursor.pos)
    starts, breaks = _rows(text, len(elements), indent)
    lines = [first + row for row in starts]
    cursor.skip(end, breaks)
    if typed:
        yield Batch(elements, lines)
        return
    for body, line in zip(map(bytes, elements), lines, strict=True):
        if body.startswith(b"{"):
            yield Item(body, line, listed=True, list_kind=list_kind)
        else:
            yield Problem("GS-IN-020", "an item of the list is no object", line)


def _rows(text: bytes, count: int, indent: bytes) -> tuple[list[int], int]:
    """On which line of an array each of its ``count`` elements begins, from 0, and how many line breaks it has."""
    if b"\n" not in text:
        return [0] * count, 0
    rows = text.split(b"\n")
    starts = _indices(rows, indent[1:] + b"{")
    return (starts if len(starts) == count else _rows_by_length(text)), len(rows) - 1


def _indices(rows: list[bytes], opening: bytes) -> list[int]:
    """0 and the index of every row that is exactly the line on which a pretty-printed item opens."""
    found = [0]
    try:
        while True:
            found.append(rows.index(opening, found[-1] + 1))
    except ValueError:
        return found


def _rows_by_length(text: bytes) -> list[int]:
    """The same where line breaks do not tell: by walking from element to element."""
    rows, row, counted, offset = [], 0, 0, 1
    for element in _raw_list.decode(text):
        found = _ELEMENT.search(text, offset)
        start = found.start() if found else offset
        row += text.count(b"\n", counted, start)
        rows.append(row)
        counted, offset = start, start + len(bytes(element))
    return rows


def _next_item(cursor: _Cursor, char: bytes, indent: bytes, limits: Limits, list_kind: str) -> Iterator[Event]:
    """The one value at the cursor. Raises _Malformed where the input ends in it and nothing follows."""
    start = cursor.pos
    try:
        end = cursor.value_end(start)
    except _Malformed as error:
        if error.truncated and not _resume(cursor, start + 1, indent):
            raise
        yield _problem(cursor, error, start)
        if not _resume(cursor, start + 1 if error.truncated else max(error.offset, start + 1), indent):
            raise _Malformed("Input data was truncated", cursor.size, truncated=True) from None
        return
    line = cursor.line(start)
    if char == b"{":
        yield _item(cursor, end, line, limits, listed=True, list_kind=list_kind)
    else:
        cursor.pos = end
        yield Problem("GS-IN-020", "an item of the list is no object", line)


def _indent(cursor: _Cursor) -> bytes:
    """The line break and white space before the first item, by which pretty-printed items are told apart."""
    start = cursor.pos
    cursor.peek()
    gap = bytes(cursor.view[start : cursor.pos])
    return gap[gap.rfind(b"\n") :] if b"\n" in gap else b""


def _resume(cursor: _Cursor, after: int, indent: bytes) -> bool:
    """Move to the next object of the list behind garbage; False if there is none."""
    if indent:
        found = cursor.buffer.find(indent + b"{", after)
        position = found + len(indent) if found >= 0 else -1
    else:
        position = _next_whole_object(cursor, after)
    if position < 0:
        return False
    cursor.pos = position
    return True


def _next_whole_object(cursor: _Cursor, after: int) -> int:
    for candidate in _NEXT_OBJECT.finditer(cursor.buffer, after):
        try:
            end = cursor.value_end(candidate.start())
            head = msgspec.json.decode(cursor.view[candidate.start() : end], type=dict[str, msgspec.Raw])
        except (_Malformed, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if "kind" in head and "metadata" in head:
            return candidate.start()
    return -1


def _item(cursor: _Cursor, end: int, line: int, limits: Limits, *, listed: bool, list_kind: str = "") -> Item | Problem:
    size = end - cursor.pos
    body = cursor.take(end)
    if size > limits.object_bytes:
        return Problem(
            "GS-LIM-003", f"object of {size:,} bytes, more than --max-object-bytes {limits.object_bytes:,}", line
        )
    if deeper_than(body, limits.depth):
        return Problem("GS-LIM-001", f"nested deeper than --max-depth {limits.depth}", line)
    return Item(body, line, listed=listed, list_kind=list_kind)


def deeper_than(body: bytes, limit: int) -> bool:
    """Whether JSON nests deeper than ``limit``: each pass of removing empty brackets takes one level away."""
    if len(body) < _FEW and body.count(b"{") + body.count(b"[") <= limit:
        return False
    brackets = body.translate(None, _NOT_BRACKETS)
    if _outlasts(brackets, limit):
        # Brackets inside strings do not count; looked at only where they could matter.
        return _outlasts(_STRING.sub(b"", body).translate(None, _NOT_BRACKETS), limit)
    return False


def _outlasts(brackets: bytes, passes: int) -> bool:
    for _ in range(passes):
        shorter = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not shorter or len(shorter) == len(brackets):
            return bool(shorter)
        brackets = shorter
    return bool(brackets)


def _problem(cursor: _Cursor, error: _Malformed, start: int | None = None) -> Problem:
    line = cursor.line(min(error.offset, cursor.size) if start is None else start)
    if error.deep:
        return Problem("GS-LIM-001", "nested deeper than --max-depth", line)
    if error.truncated:
        return Problem("GS-IN-040", "the JSON ends before its end; what came before was kept", line)
    return Problem("GS-IN-001", _OFFSET.sub("", error.message).strip(), line)
