"""How requests are written on the command line: ``TYPE[.GROUP][/NAME]``, ``--subresource``, URLs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from graphsec.model.rbac import ALL, Target

VERB_GROUPS = {
    "read": ("get", "list", "watch"),
    "write": ("create", "update", "patch", "delete", "deletecollection"),
    "admin": (ALL,),
}


def resource_words(resource: str, group: str) -> str:
    """``deployments.apps``; ``*`` alone stands for every resource of every group."""
    return f"{resource}.{group}" if group and (resource, group) != (ALL, ALL) else resource


def target_words(target: Target) -> str:
    """The canonical spelling that the command line reads back, without the namespace."""
    if target.url:
        return shlex.quote(target.url)
    words = resource_words(target.resource, target.group)
    words = shlex.quote(f"{words}/{target.name}" if target.name else words)
    return f"{words} --subresource {shlex.quote(target.subresource)}" if target.subresource else words


def verb_words(verbs: Iterable[str]) -> str:
    return shlex.quote(",".join(verbs))


def flag(name: str, value: str) -> str:
    """`` -n prod`` with a blank in front, "" without a value."""
    return f" {name} {shlex.quote(value)}" if value else ""
