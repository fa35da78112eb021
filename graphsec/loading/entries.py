"""Reads which workloads are exploitable: the operator's ``entries:`` file, or a report of Trivy (image or cluster, JSON)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphsec.errors import InputError
from graphsec.loading.documents import Item, Limits, Problem
from graphsec.loading.text import decode_text, is_json
from graphsec.model.entries import Entry
from graphsec.model.ref import Source

_SHAPE = "`entries: [{workload: ns/name[Kind], ports: [8080], reason: ...}]` or `{image: registry/app:*, reason: ...}`"
_KEYS = {"workload", "image", "ports", "reason"}
_WORKLOAD = re.compile(r"(?P<namespace>[^/\[\]]+)/(?P<name>[^/\[\]]+)(\[(?P<kind>\w+)\])?$")
#: Of a scanner's findings those that are worth an attacker's while.
_SEVERE = ("CRITICAL", "HIGH")


def load_entries(given: str | Mapping[str, Any]) -> tuple[Entry, ...]:
    """From a path or an already parsed mapping. Raises InputError with the place of what cannot be read."""
    if isinstance(given, Mapping):
        return tuple(_entries(given, "<entries>", {}))
    try:
        data = Path(given).read_bytes()
    except OSError as error:
        raise InputError(f"entries `{given}` cannot be read: {error.strerror}") from error
    text, _ = decode_text(data)
    if text is None:
        raise InputError(f"entries `{given}` is not UTF-8")
    return tuple(_read(text, given))


def _read(text: str, name: str) -> Iterator[Entry]:
    import msgspec

    if is_json(name, text.encode()[:64]):
        try:
            document = msgspec.json.decode(text.encode(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise InputError(f"entries `{name}`: {error}") from error
        yield from _entries(document, name, {})
        return
    from graphsec.loading.yaml_reader import read_yaml

    for event in read_yaml(text, Limits()):
        if isinstance(event, Problem):
            raise InputError(f"entries {name}:{event.line}: {event.message}", help=f"expected {_SHAPE}")
        if isinstance(event, Item):
            lines = dict(enumerate(getattr(event.body.get("entries"), "lines", ())))
            yield from _entries(event.body, name, lines)


def _entries(document: Mapping[str, Any], name: str, lines: Mapping[int, int]) -> Iterator[Entry]:
    if "Results" in document or "Resources" in document or "ArtifactName" in document:
        yield from _trivy(document, name)
        return
    if not isinstance(document.get("entries"), list) or set(document) - {"entries"}:
        raise InputError(f"entries `{name}` holds no list `entries`", help=f"expected {_SHAPE}")
    for index, written in enumerate(document["entries"]):
        yield _entry(written, Source(name, lines.get(index, 1)))


def _entry(written: Any, source: Source) -> Entry:
    if not isinstance(written, Mapping) or set(written) - _KEYS or not ("workload" in written) ^ ("image" in written):
        raise InputError(f"entries {source}: no entry", help=f"expected {_SHAPE}")
    ports = written.get("ports") or []
    if not isinstance(ports, list) or not all(isinstance(port, int) and 0 < port < 65_536 for port in ports):
        raise InputError(f"entries {source}: ports are a list of numbers", help=f"expected {_SHAPE}")
    reason = str(written.get("reason") or "marked by the operator")
    if "image" in written:
        return Entry(reason=reason, source=source, image=str(written["image"]), ports=tuple(ports))
    match = _WORKLOAD.match(str(written["workload"]))
    if match is None:
        raise InputError(f"entries {source}: no workload: `{written['workload']}`", help=f"expected {_SHAPE}")
    place = {key: value or "" for key, value in match.groupdict().items()}
    return Entry(reason=reason, source=source, ports=tuple(ports), **place)


def _trivy(document: Mapping[str, Any], name: str) -> Iterator[Entry]:
    """An image by its name, a resource of a cluster report by its own; only with a severe vulnerability."""
    source = Source(name, 1)
    for found in document.get("Resources") or ():
        worst = _worst(found.get("Results"))
        if worst:
            place = {
                "namespace": found.get("Namespace", ""),
                "name": found.get("Name", ""),
                "kind": found.get("Kind", ""),
            }
            yield Entry(reason=worst, source=source, **place)
    worst = _worst(document.get("Results"))
    if worst and document.get("ArtifactName"):
        yield Entry(reason=worst, source=source, image=str(document["ArtifactName"]))


def _worst(results: Any) -> str:
    """`CVE-2024-1234 (CRITICAL)` of the worst, "" without a severe one."""
    found = [
        (
            _SEVERE.index(vulnerability.get("Severity")),
            str(vulnerability.get("VulnerabilityID")),
            vulnerability["Severity"],
        )
        for result in results or ()
        for vulnerability in result.get("Vulnerabilities") or ()
        if vulnerability.get("Severity") in _SEVERE
    ]
    return f"{min(found)[1]} ({min(found)[2]})" if found else ""
