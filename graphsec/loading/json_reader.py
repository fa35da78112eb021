"""JSON documents, one object at a time: lists are never decoded whole, and one bad object costs one problem.

Two ways through a list. Well-formed stretches are cut between two items, about ``_WINDOW`` bytes at a time, and decoded
in one call: if the cut text is a JSON array, its elements are exactly the list's items. Everything else goes value by
value: decoding ``msgspec.Raw`` from its start, msgspec stops behind the first value and names the offset of what
follows. That serves documents back to back (hardening.md I10), truncated files and recovery after garbage.
It reads a buffer; memory-mapped pages behind the cursor are released.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from graphsec.loading.documents import Batch, DecodeBatch, Envelope, Event, Item, Limits, Problem
from graphsec.loading.json_cursor import OFFSET, TRAILING, Buffer, Cursor, Malformed
from graphsec.loading.nesting import deeper_than

#: Where the next element of an array begins, searched from the end of the one before.
_ELEMENT = re.compile(rb"[^ \t\r\n,]")
_LOG_START = re.compile(rb"==== START (logs for container [^\n]*?)[ \t\r]*(?:\n|\Z)")
#: Where the next object of a list may begin after garbage that no indentation explains: no value of a key, and not the
#: first of a nested list.
_NEXT_OBJECT = re.compile(rb'(?<![\[:])(?<![\[:] )\{\s*"(?P<key>apiVersion|kind|metadata)"\s*:')
_FIRST_OBJECT = re.compile(rb'\{\s*"(?P<key>apiVersion|kind|metadata)"\s*:')
#: What shows that an item was closed too early: more of its fields, or one more brace.
_MORE_OF_ITEM = re.compile(rb'\s*,?\s*(?:"[^"\\\n]*+"\s*:|\})')
_CONTROLS = {bytes((code,)) for code in range(0x20)} - {b"\t", b"\n", b"\r"}
_ITEMS_KEY = b'"items"'
#: The kind of what was lost; most objects name it before anything that is nested.
_KIND = re.compile(rb'"kind"\s*:\s*"(\w+)"')
_ENOUGH = 1 << 12
#: So many items may be broken before the rest of a list is given up; ten whole ones make up for one.
_MOST_BROKEN = 1000
#: An object with more keys than this before its `items` is no list.
_MOST_KEYS = 10_000
#: Bytes of list items decoded in one call: fits the cache, and is small beside any memory that matters.
_WINDOW = 1 << 18
#: A list whose items could not be cut this often in a row is read value by value.
_PATIENCE = 3
#: Between two items of a list without line breaks.
_COMPACT_CUTS = (b'},{"apiVersion":', b'}, {"apiVersion":', b'},{"kind":', b'},{"metadata":', b'}, {"metadata":')


class _ListMetadata(msgspec.Struct):
    more: str | None = msgspec.field(name="continue", default=None)


_list_metadata = msgspec.json.Decoder(_ListMetadata)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


def read_json(buffer: Buffer, limits: Limits, decode_batch: DecodeBatch | None = None) -> Iterator[Event | Batch]:
    """The objects of a JSON text: one document, or several back to back with log sections between them (I10)."""
    cursor = Cursor(buffer)
    decode = decode_batch or (lambda text: None)
    try:
        broken = 0.0
        while first := cursor.peek():
            if broken > _MOST_BROKEN:
                yield Problem("GS-IN-001", "too much of it is broken, the rest is not read", cursor.line(cursor.pos))
                return
            event: Event | Batch | None = None
            for event in _part(cursor, first, limits, decode):
                yield event
            whole = not isinstance(event, Problem) or event.code == "GS-IN-003"
            broken = max(broken - 0.1, 0) if whole else broken + 1
    finally:
        cursor.close()


def _part(cursor: Cursor, first: bytes, limits: Limits, decode: DecodeBatch) -> Iterator[Event | Batch]:
    if first == b"=":
        return _skip_log(cursor)
    return _document(cursor, limits, decode) if first == b"{" else _stray(cursor)


def _skip_log(cursor: Cursor) -> Iterator[Event | Batch]:
    """Past a container's log, which is not input: from `==== START logs ...` to the `==== END ...` of the same container."""
    opened = _LOG_START.match(cursor.buffer, cursor.pos)
    end = cursor.log_end(opened[1]) if opened else cursor.buffer.find(b"\n", cursor.pos)
    if opened and end < cursor.pos:
        yield Problem("GS-IN-040", "the input ends inside a container log", cursor.line(cursor.pos))
    cursor.pos = cursor.size if end < cursor.pos else end


def _stray(cursor: Cursor) -> Iterator[Event | Batch]:
    """Something at top level that is no object: a scalar or array is left out, garbage ends at the next object line."""
    start = cursor.pos
    try:
        cursor.pos = cursor.value_end(start)
    except Malformed as error:
        yield _problem(cursor, error)
        cursor.pos = _next_line_starting(cursor, b"{", error.offset)
    else:
        yield Problem("GS-IN-003", "a JSON value that is no object", cursor.line(start))


def _next_line_starting(cursor: Cursor, text: bytes, after: int) -> int:
    found = cursor.buffer.find(b"\n" + text, after)
    return cursor.size if found < 0 else found + 1


@dataclass(slots=True)
class _List:
    """What is known of a list besides its items; ``found`` once it has shown that it is one."""

    found: bool = False
    kind: str = ""
    api_version: str = ""
    paged: bool = False


def _document(cursor: Cursor, limits: Limits, decode: DecodeBatch) -> Iterator[Event | Batch]:
    """One top-level object: a list gives its items and an envelope, anything else one item."""
    start = cursor.pos
    line = cursor.line(start)
    known = _List()
    try:
        end = _plain_end(cursor)
        if end is None:
            yield from _fields(cursor, limits, decode, known)
    except Malformed as error:
        problem = _problem(cursor, error, lost=start)
        # Of a list, what is lost may be of any kind in it.
        yield problem._replace(kind=known.kind) if known.found else problem
        cursor.pos = cursor.size if error.truncated else _next_line_starting(cursor, b"{", error.offset)
        if not known.found:
            return
    if known.found and _may_be_list(known.kind):
        yield Envelope(known.kind, known.api_version, line, known.paged)
        return
    end, cursor.pos = end or cursor.pos, start
    yield _item(cursor, end, line, limits, listed=False)


def _plain_end(cursor: Cursor) -> int | None:
    """The end of the object at the cursor if it is surely no list, else None. Raises Malformed where it has no end."""
    start = cursor.pos
    if cursor.buffer.find(_ITEMS_KEY, start, start + _ENOUGH) >= 0:
        return None
    end = cursor.value_end(start)
    return end if cursor.buffer.find(_ITEMS_KEY, start, end) < 0 else None


def _fields(cursor: Cursor, limits: Limits, decode: DecodeBatch, known: _List) -> Iterator[Event | Batch]:
    """Walks through the object at the cursor: the items go out, and what tells what they are goes into ``known``."""
    start = cursor.pos
    for number, key in enumerate(_keys(cursor)):
        value = cursor.pos
        first = cursor.peek()
        if key == "items" and first in (b"[", b"n") and _may_be_list(known.kind):
            if known.found:
                yield Problem("GS-IN-021", "key `items` stands twice in one list: both were read", cursor.line(value))
            known.found = True
            if first == b"[":
                yield from _items(cursor, limits, known.kind, decode)
                continue
        if number > _MOST_KEYS and not known.found:
            cursor.pos = cursor.value_end(start)
            return
        cursor.pos = cursor.value_end(value)
        _note(cursor, key, first, value, known)


def _note(cursor: Cursor, key: str, first: bytes, value: int, known: _List) -> None:
    if key == "kind" and first == b'"':
        known.kind = cursor.string(value, cursor.pos)
    elif key == "apiVersion" and first == b'"':
        known.api_version = cursor.string(value, cursor.pos)
    elif key == "metadata" and cursor.pos - value < _ENOUGH:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            known.paged = bool(_list_metadata.decode(bytes(cursor.view[value : cursor.pos])).more)


def _may_be_list(kind: str) -> bool:
    return not kind or kind.endswith("List")


def _keys(cursor: Cursor) -> Iterator[str]:
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
        key = cursor.string(start, cursor.pos)
        if cursor.peek() != b":":
            raise _syntax(cursor, "expected ':'")
        cursor.pos += 1
        cursor.peek()
        yield key
    cursor.pos += 1


def _syntax(cursor: Cursor, message: str) -> Malformed:
    truncated = cursor.pos >= cursor.size
    return Malformed("Input data was truncated" if truncated else message, cursor.pos, truncated=truncated)


def _items(cursor: Cursor, limits: Limits, list_kind: str, decode: DecodeBatch) -> Iterator[Event | Batch]:
    """The items of the array at the cursor; after garbage it goes on with the next object of the list."""
    cursor.pos += 1
    indent = _indent(cursor)
    opening = _opening(cursor)
    failures = 0 if limits.object_bytes >= _WINDOW else _PATIENCE
    broken, separated = 0.0, True
    while (char := cursor.peek()) != b"]":
        if not char:
            raise _syntax(cursor, "")
        if char == b",":
            separated = True
            cursor.pos += 1
            continue
        if broken > _MOST_BROKEN:
            raise Malformed("too many broken items, the rest of the list is not read", cursor.pos, truncated=False)
        if not separated and char == b"{":
            yield Problem("GS-IN-001", "a comma is missing between two items of the list", cursor.line(cursor.pos))
        separated = False
        if failures < _PATIENCE and char == b"{":
            cut = _cut(cursor, indent, limits, decode)
            failures = 0 if cut else failures + 1
            if cut:
                yield from _cut_events(cursor, *cut, indent, list_kind)
                continue
        event = _next_item(cursor, char, indent, opening, limits, list_kind)
        whole = isinstance(event, Item)
        broken = max(broken - 0.1, 0) if whole else broken + 1
        separated = not whole
        yield event
    cursor.pos += 1


def _opening(cursor: Cursor) -> bytes:
    """The first key of the first item. One encoder wrote the list, so the others begin with it too."""
    first = _FIRST_OBJECT.match(cursor.buffer, cursor.pos)
    return first["key"] if first else b"apiVersion"


def _cut(
    cursor: Cursor, indent: bytes, limits: Limits, decode: DecodeBatch
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
            closed = TRAILING.search(str(error))
            if closed is None:
                return None
            # The list ends inside the window, and the cut was made in what follows it.
            end = cursor.pos + text.rindex(b"]", 0, int(closed.group(1)) - 1) - 1
            continue
        return None if deeper_than(text, limits.depth + 1) else (end, text, elements, typed is not None)
    return None


def _last_cut(cursor: Cursor, indent: bytes) -> int:
    """The offset behind the last item that ends in the window, -1 if no place between two items is found."""
    limit = min(cursor.pos + _WINDOW, cursor.size)
    for cut in (b"}," + indent + b"{",) if indent else _COMPACT_CUTS:
        found = cursor.buffer.rfind(cut, cursor.pos, limit)
        if found >= 0:
            return found + 1
    return -1


def _cut_events(
    cursor: Cursor, end: int, text: bytes, elements: list[Any], typed: bool, indent: bytes, list_kind: str
) -> Iterator[Event | Batch]:
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
    # The regular expression is faster here than bytes.find, which the white space of the indentation slows down.
    starts = [1, *(cut.end() - 1 for cut in re.finditer(re.escape(b"}," + indent + b"{"), text))]
    if len(starts) != count:
        starts = _starts(text)
    rows, row, counted = [], 0, 0
    for start in starts:
        row += text.count(b"\n", counted, start)
        rows.append(row)
        counted = start
    return rows, row + text.count(b"\n", counted)


def _starts(text: bytes) -> list[int]:
    """Where the elements of an array begin, by walking from one to the next."""
    starts, offset = [], 1
    for element in _raw_list.decode(text):
        found = _ELEMENT.search(text, offset)
        starts.append(found.start() if found else offset)
        offset = starts[-1] + len(bytes(element))
    return starts


def _next_item(
    cursor: Cursor, char: bytes, indent: bytes, opening: bytes, limits: Limits, list_kind: str
) -> Item | Problem:
    """The one value at the cursor. Raises Malformed where it is broken and nothing follows."""
    start = cursor.pos
    try:
        end = _item_end(cursor, char)
    except Malformed as error:
        cursor.searched(start, min(error.offset, cursor.size))
        problem = _problem(cursor, error, at=start, lost=start, goes_on=True)
        if _resume(cursor, start + 1, indent, opening):
            return problem
        raise
    line = cursor.line(start)
    if char == b"{":
        return _item(cursor, end, line, limits, listed=True, list_kind=list_kind)
    cursor.pos = end
    return Problem("GS-IN-020", "an item of the list is no object", line)


def _item_end(cursor: Cursor, char: bytes) -> int:
    end = cursor.value_end(cursor.pos)
    if char == b"{" and _MORE_OF_ITEM.match(cursor.buffer, end):
        raise Malformed("an item of the list is closed before its end", end, truncated=False)
    return end


def _indent(cursor: Cursor) -> bytes:
    """The line break and white space before the first item, by which pretty-printed items are told apart."""
    start = cursor.pos
    cursor.peek()
    gap = bytes(cursor.view[start : cursor.pos])
    return gap[gap.rfind(b"\n") :] if b"\n" in gap else b""


def _resume(cursor: Cursor, after: int, indent: bytes, opening: bytes) -> bool:
    """Move to the next object of the list behind garbage; False if there is none."""
    if not cursor.may_search():
        return False
    if indent:
        found = cursor.buffer.find(indent + b"{", after)
        position = found + len(indent) if found >= 0 else -1
    else:
        position = _next_whole_object(cursor, after, opening)
    if position < 0:
        return False
    cursor.pos = position
    return True


def _next_whole_object(cursor: Cursor, after: int, opening: bytes) -> int:
    needed = {"metadata"} if opening == b"metadata" else {"kind", "metadata"}
    for candidate in _NEXT_OBJECT.finditer(cursor.buffer, after):
        if not cursor.may_search():
            break
        if candidate["key"] == opening and needed <= _keys_of(cursor, candidate.start()):
            return candidate.start()
    return -1


def _keys_of(cursor: Cursor, start: int) -> set[str]:
    """The keys of the object at ``start``, none where it is malformed."""
    end = start
    try:
        end = cursor.value_end(start)
        return set(msgspec.json.decode(cursor.view[start:end], type=dict[str, msgspec.Raw]))
    except Malformed as error:
        end = min(error.offset, cursor.size)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    finally:
        cursor.searched(start, end)
    return set()


def _item(cursor: Cursor, end: int, line: int, limits: Limits, *, listed: bool, list_kind: str = "") -> Item | Problem:
    start, size = cursor.pos, end - cursor.pos
    if size > limits.object_bytes:
        cursor.skip(end)
        message = f"object of {size:,} bytes, more than --max-object-bytes {limits.object_bytes:,}"
        return Problem("GS-LIM-003", message, line, _lost_kind(cursor, start))
    body = cursor.take(end)
    if deeper_than(body, limits.depth):
        return Problem("GS-LIM-001", f"nested deeper than --max-depth {limits.depth}", line, _lost_kind(cursor, start))
    return Item(body, line, listed=listed, list_kind=list_kind)


def _lost_kind(cursor: Cursor, start: int) -> str:
    found = _KIND.search(cursor.buffer, start, start + _ENOUGH)
    return found[1].decode() if found else ""


def _problem(
    cursor: Cursor, error: Malformed, *, at: int | None = None, lost: int | None = None, goes_on: bool = False
) -> Problem:
    """What to tell of a malformed value, at offset ``at`` or where it fails; what was lost begins at ``lost``."""
    offset = min(error.offset, cursor.size)
    line = cursor.line(offset if at is None else at)
    kind = "" if lost is None else _lost_kind(cursor, lost)
    if error.deep:
        return Problem("GS-LIM-001", "nested deeper than --max-depth", line, kind)
    if error.truncated:
        message = (
            "an item of the list has no end" if goes_on else "the JSON ends before its end; what came before was kept"
        )
        return Problem("GS-IN-001" if goes_on else "GS-IN-040", message, line, kind)
    if cursor.buffer[offset : offset + 1] in _CONTROLS:
        return Problem("GS-IN-031", f"character U+{cursor.buffer[offset]:04X} is not allowed in JSON", line, kind)
    return Problem("GS-IN-001", OFFSET.sub("", error.message).strip(), line, kind)
