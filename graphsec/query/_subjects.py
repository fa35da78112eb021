"""How subjects are spelled on input (interface.md §3)."""

from __future__ import annotations

import difflib

from graphsec.compile import World
from graphsec.errors import UsageError
from graphsec.model.rbac import subject_ref
from graphsec.model.ref import Ref

#: A node makes requests as a user of this name (S-46).
_NODE = "system:node:"
#: How alike a suggestion must be.
_NEAR = 0.75
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
    if world is not None and found != literal and world.access.id_of(literal) >= 0:
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
    """A sentence if nothing of the input names the subject, with the nearest one that is named; "" otherwise."""
    if world.access.id_of(subject) >= 0 or subject in world.cluster.inventory or _is_listed(subject, world):
        return ""
    names = {str(known): known for known in world.access.subjects}
    near = difflib.get_close_matches(str(subject), names, n=1, cutoff=_NEAR) or [
        text for text, known in names.items() if f"{known.namespace}/{known.name}" == subject.name
    ]
    return f"no binding names {subject}" + (f" (did you mean {near[0]}?)" if near else "")


def _is_listed(subject: Ref, world: World) -> bool:
    if subject.kind == "Group":
        return subject.name in world.memberships.members
    return subject.name in world.memberships.groups or subject.name.startswith("system:")


def namespace_or_suggest(namespace: str, world: World) -> str:
    """The same for a namespace that no object of the input is in or is."""
    if not namespace:
        return ""
    known = {ref.name if ref.kind == "Namespace" else ref.namespace or "" for ref in world.cluster.inventory}
    if namespace in known:
        return ""
    near = difflib.get_close_matches(namespace, known, n=1)
    return f"nothing of the input is in namespace {namespace}" + (f" (did you mean {near[0]}?)" if near else "")
