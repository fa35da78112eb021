"""How requests are written on the command line: ``TYPE[.GROUP][/NAME]``, ``--subresource``, URLs."""

from __future__ import annotations

import shlex

from graphsec.model.rbac import ALL

VERB_GROUPS = {
    "read": ("get", "list", "watch"),
    "write": ("create", "update", "patch", "delete", "deletecollection"),
    "admin": (ALL,),
}


def request_words(resource: str, group: str = "", subresource: str = "", name: str = "", url: str = "") -> str:
    """The canonical spelling that the command line reads back."""
    if url:
        return shlex.quote(url)
    words = f"{resource}.{group}" if group else resource
    words = shlex.quote(f"{words}/{name}" if name else words)
    return f"{words} --subresource {shlex.quote(subresource)}" if subresource else words
