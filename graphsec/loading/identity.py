"""Who an object is, read from any JSON however wrong its types are, and what to say about one that its kind refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from graphsec.kinds import kinds
from graphsec.model.discovery import builtin_kind_groups

_NOTHING = msgspec.Raw(b"null")


class _WireHead(msgspec.Struct, gc=False, rename="camel"):
    api_version: msgspec.Raw = _NOTHING
    kind: msgspec.Raw = _NOTHING
    metadata: msgspec.Raw = _NOTHING


class _WireMetadata(msgspec.Struct, gc=False, rename="camel"):
    name: msgspec.Raw = _NOTHING
    generate_name: msgspec.Raw = _NOTHING
    namespace: msgspec.Raw = _NOTHING


_head = msgspec.json.Decoder(_WireHead)
_metadata = msgspec.json.Decoder(_WireMetadata)
_string = msgspec.json.Decoder(str | None)
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$?\.?(?P<path>.*)`)?$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Fields are "" where they are missing; ``wrong`` names the first that is there and no string."""

    kind: str
    api_version: str
    name: str
    namespace: str
    wrong: str = ""

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]


def read_head(body: bytes) -> Head:
    """The identity in an object's JSON. Raises msgspec.MsgspecError or RecursionError where that is no JSON object."""
    wire = _head.decode(body)
    try:
        metadata = _metadata.decode(wire.metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        metadata = _WireMetadata()
    kind, api_version = _text(wire.kind), _text(wire.api_version)
    return Head(
        kind=kind or "",
        api_version=api_version or "",
        name=_text(metadata.name) or _text(metadata.generate_name) or "",
        namespace=_text(metadata.namespace) or "",
        wrong="kind" if kind is None else "apiVersion" if api_version is None else "",
    )


def _text(raw: msgspec.Raw) -> str | None:
    """The string, "" for null, None for anything else."""
    try:
        return _string.decode(raw) or ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def kind_name(group: str, kind: str) -> str:
    """The kind as refs spell it: with its group where the bare kind is not the built-in one."""
    decoded = kinds().get((group, kind))
    if decoded:
        return decoded.name
    home = builtin_kind_groups().get(kind)
    if home == group or (not group and home is None):
        return kind
    return f"{kind}.{group or 'core'}"


#: msgspec's names of types, as JSON and Kubernetes call them.
_JSON_WORDS = {"str": "string", "bool": "boolean", "int": "integer", "float": "number"}
_WORD = re.compile(r"\b\w+\b")


def explain(error: Exception) -> tuple[str, str]:
    """(code, message) for an object that did not decode: `rules[0].verbs: expected array, got str`. Never a value."""
    if isinstance(error, UnicodeDecodeError):
        return "GS-IN-030", "a string in it is not UTF-8"
    match = _PLACE.match(str(error).replace("`, ", ", "))
    if match is None or not match["path"]:
        return "GS-IN-020", str(error)
    what = _WORD.sub(lambda word: _JSON_WORDS.get(word.group(), word.group()), match["what"].replace("`", ""))
    hint = "; YAML reads y, n, yes, no, on and off as booleans: quote it" if what.endswith("got boolean") else ""
    return "GS-IN-020", f"{match['path']}: {what[:1].lower()}{what[1:]}{hint}"
