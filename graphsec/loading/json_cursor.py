"""A position in a buffer of JSON: where values end, on which line they stand, and how much effort is left.

Decoding ``msgspec.Raw`` from the start of a value, msgspec stops behind it and names the offset of what follows.
"""

from __future__ import annotations

import mmap
import re

import msgspec

Buffer = bytes | mmap.mmap

_raw = msgspec.json.Decoder(msgspec.Raw)
_text = msgspec.json.Decoder(str)
#: What msgspec says of the bytes behind a value, and of the place of a mistake.
TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
OFFSET = re.compile(r"\(byte (\d+)\)")
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
_LOG_END = re.compile(rb"^==== END (logs for container [^\n]*?)[ \t\r]*$", re.MULTILINE)
#: How much of a mapped file may stay resident behind the cursor.
_RELEASE = 8 << 20
#: How often over the bytes of an input, and beyond that how many bytes, may be looked at in search of whole objects.
_SEARCHES, _SEARCHED_AT_LEAST = 16, 64 << 20


class Malformed(Exception):  # noqa: N818 - control flow of the reader
    """A value that is not JSON; ``offset`` is absolute, ``truncated`` if the input ended first."""

    def __init__(self, message: str, offset: int, *, truncated: bool, deep: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.truncated = truncated
        self.deep = deep


class Cursor:
    """A position in a buffer that counts lines as it moves and lets go of mapped pages behind it."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.view = memoryview(buffer)
        self.size = len(buffer)
        self.pos = 0
        self._line = 1
        self._counted = 0
        self._released = 0
        self._log_ends: dict[bytes, int] | None = None
        self._searched = 0

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

    def may_search(self) -> bool:
        """Whether there is effort left for finding whole objects behind garbage: nested garbage would cost squares."""
        return self._searched < _SEARCHES * self.size + _SEARCHED_AT_LEAST

    def searched(self, start: int, end: int) -> None:
        self._searched += end - start

    def string(self, start: int, end: int) -> str:
        """The JSON string that begins at ``start``. Raises Malformed where it is not UTF-8."""
        try:
            return _text.decode(bytes(self.view[start:end]).strip())
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Malformed("a string that is not UTF-8", start, truncated=False) from None

    def log_end(self, container: bytes) -> int:
        """The offset behind the log of a container, -1 without. Its last END line counts: a log may hold a forged one
        with objects behind it."""
        if self._log_ends is None:
            self._log_ends = {match[1]: match.end() for match in _LOG_END.finditer(self.buffer)}
        return self._log_ends.get(container, -1)

    def value_end(self, start: int) -> int:
        """The offset of what follows the value that begins at ``start``. Raises Malformed."""
        try:
            _raw.decode(self.view[start:])
        except msgspec.DecodeError as error:
            trailing = TRAILING.search(str(error))
            if trailing:
                return start + int(trailing.group(1)) - 1  # msgspec has read the trailing character
            offset = OFFSET.search(str(error))
            raise Malformed(
                str(error),
                start + int(offset.group(1)) if offset else self.size,
                truncated=offset is None,
            ) from None
        except RecursionError:
            raise Malformed("nesting beyond any limit", start, truncated=False, deep=True) from None
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
