"""How subjects are spelled on input (interface.md §3)."""

from __future__ import annotations

import difflib

from graphsec.compile import World
from graphsec.errors import UsageError
from graphsec.model.rbac import subject_ref
from graphsec.model.ref import Ref

#: A node makes requests as a user of this name (S-46).
_NODE = "system:node:"
_KINDS = {"user": "User", "group": "Group", "serviceaccount": "ServiceAccount", "sa": "ServiceAccount"}


def parse_subject(text: str, world: World | None = None) -> Ref:
    """``sa:NS/NAME``, ``user:NAME``, ``group:NAME``, ``ServiceAccount/NS/NAME``, ``User/NAME``, else a user name.

    With a world, raises UsageError where a user that a binding names is spelled like another form (S-40 apart).
    """
    if not text:
        raise UsageError("no subject given", help="`sa:NAMESPACE/NAME`, `user:NAME`, `group:NAME` or a user name")
    found = _prefixed(text) or _slashed(text)
    literal = subject_ref(text)
    if found is None:
        return literal
    if world is not None and found != literal and literal in world.access.subjects:
        raise UsageError(f"`{text}` is a user name and a spelling of {found}", help=f"write `user:{text}` or `{found}`")
    return found


def _prefixed(text: str) -> Ref | None:
    prefix, colon, rest = text.partition(":")
    kind = _KINDS.get(prefix) if colon else None
    if kind is None or not rest:
        return None
    if kind != "ServiceAccount":
        return subject_ref(rest) if kind == "User" else Ref(kind, rest)
    namespace, slash, name = rest.partition("/")
    if not slash or not namespace or not name:
        raise UsageError(f"no ServiceAccount: `{text}`", help="write it as `sa:NAMESPACE/NAME`")
    return Ref(kind, name, namespace)


def _slashed(text: str) -> Ref | None:
    kind, slash, rest = text.partition("/")
    if kind.lower() == "node" and rest and "/" not in rest:
        return subject_ref(f"{_NODE}{rest}")
    found = _KINDS.get(kind.lower()) if slash else None
    if found is None:
        return None
    if found == "ServiceAccount":
        namespace, slash, name = rest.partition("/")
        return Ref(found, name, namespace) if slash and name else None
    return subject_ref(rest) if found == "User" else Ref(found, rest)


def known_or_suggest(subject: Ref, world: World) -> str:
    """A sentence if neither a binding nor an object names the subject, with the nearest one that is; "" otherwise."""
    if subject in world.access.subjects or subject in world.cluster.inventory:
        return ""
    names = [str(known) for known in world.access.subjects]
    near = difflib.get_close_matches(str(subject), names, n=1)
    return f"no binding names {subject}" + (f" (did you mean {near[0]}?)" if near else "")
