"""Baselines: the findings that were there when gating began. A baseline only shrinks; new findings never enter it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from graphsec.errors import UsageError
from graphsec.query._finding import Finding

SCHEMA = "graphsec.baseline/v1"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, order=True):
    """Beside the fingerprint, which alone counts, words for whoever reads the file."""

    id: str
    subject: str
    message: str
    fingerprint: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    schema: str
    findings: tuple[_Entry, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    entries: tuple[_Entry, ...] = ()
    #: As it was named on the command line.
    file: str = ""

    @property
    def fingerprints(self) -> frozenset[str]:
        return frozenset(entry.fingerprint for entry in self.entries)

    def gone(self, answered: Collection[str], found: Collection[str]) -> int:
        """How many entries of queries that were answered are not found any more."""
        return len(self.entries) - len(self._left(answered, found))

    def pruned(self, answered: Collection[str], found: Collection[str]) -> Baseline:
        """Without what is gone. What was not asked, or not answered, stays."""
        return Baseline(self._left(answered, found), self.file)

    def _left(self, answered: Collection[str], found: Collection[str]) -> tuple[_Entry, ...]:
        return tuple(entry for entry in self.entries if entry.id not in answered or entry.fingerprint in found)


def baseline_of(findings: Iterable[Finding], file: str) -> Baseline:
    entries = (
        _Entry(id=found.id, subject=found.subject, message=found.message, fingerprint=found.fingerprint)
        for found in findings
    )
    return Baseline(tuple(sorted(entries)), file)


def read_baseline(path: str) -> Baseline:
    """Raises UsageError for a file that is missing, damaged, or of another version."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read baseline {path}: {error.strerror}", help=f"`--create-baseline {path}` writes the first one"
        ) from error
    try:
        schema = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("schema", msgspec.Raw(b'""'))
        named = msgspec.json.decode(schema, type=str)
        if named != SCHEMA:
            raise UsageError(f"{path}: no baseline of this version: its schema is `{named}`, not `{SCHEMA}`")
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: damaged baseline: {error}") from error
    return Baseline(file.findings, path)


def write_baseline(baseline: Baseline) -> None:
    """Whole or not at all: an interrupted run leaves the old file. Raises UsageError where it cannot be written."""
    file = _File(schema=SCHEMA, findings=tuple(sorted(baseline.entries)))
    text = msgspec.json.format(msgspec.json.encode(file, order="sorted"), indent=2) + b"\n"
    target = Path(baseline.file)
    try:
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as written:
            written.write(text)
        Path(part).chmod(0o644)
        Path(part).replace(target)
    except OSError as error:
        raise UsageError(f"cannot write baseline {baseline.file}: {error.strerror}") from error
