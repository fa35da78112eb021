"""How deep JSON nests, told without recursion and without building anything."""

from __future__ import annotations

import re

_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
#: Texts below this are worth counting brackets in before anything is copied.
_FEW = 1 << 16


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
