"""Reads the operator's file of groups and people: CSV with `user,group`, or YAML/JSON with `groups:` and `users:`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphsec.errors import InputError
from graphsec.loading.documents import Item, Limits, Problem
from graphsec.loading.text import decode_text, is_json
from graphsec.model.memberships import Memberships

_SHAPE = "`groups: {devs: [alice]}`, `users: {alice: [devs]}`, or CSV lines `alice,devs`"


def load_memberships(given: str | Mapping[str, Any]) -> Memberships:
    """From a path or an already parsed mapping. Raises InputError with the place of what cannot be read."""
    if isinstance(given, Mapping):
        return Memberships.from_pairs(_pairs(given, "memberships"))
    try:
        data = Path(given).read_bytes()
    except OSError as error:
        raise InputError(f"memberships `{given}` cannot be read: {error.strerror}") from error
    text, _ = decode_text(data)
    if text is None:
        raise InputError(f"memberships `{given}` is not UTF-8")
    if given.lower().endswith(".csv"):
        return Memberships.from_pairs(_csv_pairs(text, given))
    return Memberships.from_pairs(_pairs(_document(text, given), given))


def _document(text: str, name: str) -> Mapping[str, Any]:
    import msgspec

    if is_json(name, text.encode()[:64]):
        try:
            return msgspec.json.decode(text.encode(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise InputError(f"memberships `{name}`: {error}") from error
    from graphsec.loading.yaml_reader import read_yaml

    for event in read_yaml(text, Limits()):
        if isinstance(event, Item):
            return dict(event.body)
        if isinstance(event, Problem):
            raise InputError(f"memberships {name}:{event.line}: {event.message}", help=f"expected {_SHAPE}")
    raise InputError(f"memberships `{name}` is empty", help=f"expected {_SHAPE}")


def _pairs(document: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    unknown = sorted(set(document) - {"users", "groups"})
    if unknown:
        raise InputError(f"memberships `{name}`: unknown key `{unknown[0]}`", help=f"expected {_SHAPE}")
    for group, users in (document.get("groups") or {}).items():
        yield from ((user, group) for user in _names(users, name))
    for user, groups in (document.get("users") or {}).items():
        yield from ((user, group) for group in _names(groups, name))


def _names(value: object, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise InputError(f"memberships `{name}`: a list of names is expected", help=f"expected {_SHAPE}")
    return value


#: What the first line may call its columns, as (user, group).
_HEADS = {"user,group": (0, 1), "member,group": (0, 1), "group,user": (1, 0), "group,member": (1, 0)}


def _csv_pairs(text: str, name: str) -> Iterator[tuple[str, str]]:
    """`user,group` lines; a first line that names the columns decides their order."""
    user, group = 0, 1
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        cells = [cell.strip() for cell in row]
        head = _HEADS.get(",".join(cells[:2]).lower()) if number == 1 else None
        if head:
            user, group = head
        elif any(cells) and not cells[0].startswith("#"):
            if len(cells) < 2 or not cells[0] or not cells[1]:
                raise InputError(f"memberships {name}:{number}: `user,group` is expected")
            yield cells[user], cells[group]
