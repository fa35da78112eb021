"""How requests are written on the command line: ``TYPE[.GROUP][/NAME]``, ``--subresource``, URLs."""

from __future__ import annotations

import shlex


def request_words(resource: str, group: str = "", subresource: str = "", name: str = "", url: str = "") -> str:
    """The canonical spelling that the command line reads back."""
    if url:
        return shlex.quote(url)
    words = f"{resource}.{group}" if group else resource
    words = shlex.quote(f"{words}/{name}" if name else words)
    return f"{words} --subresource {shlex.quote(subresource)}" if subresource else words
