"""Audit logs to distinct requests: Kubernetes events as lines, lists or cloud exports, streamed and counted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from graphsec.collector import collector_paused
from graphsec.errors import InputError
from graphsec.loading.audit_bytes import Element, Lines, pieces
from graphsec.loading.audit_events import (
    REFUSALS,
    Key,
    NoEventError,
    Wire,
    decoder,
    events,
    key_of,
    recorded,
    timestamp_of,
)
from graphsec.loading.documents import Limits, Problem
from graphsec.loading.identity import explain
from graphsec.model.audit import AuditLog, Occurrence, Recorded, Window
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.rbac import Request
from graphsec.model.ref import Source
from graphsec.model.text import counted

#: Unread events of one file that are named; the others are counted.
_NAMED = 5
#: What an export of CloudWatch Logs to S3 writes before each message.
_STAMPED = re.compile(rb"^\d{4}-\d\d-\d\dT\S+ ", re.MULTILINE)
#: So many times of events are held at most.
_STAMPS = 10_000
_HELP = "an audit log holds `audit.k8s.io` Events, one a line or in a list, or an export of EKS, GKE or AKS"


def read_audit_logs(paths: Iterable[str], limits: Limits) -> AuditLog:
    """The events of files, folders or ``-``, together; each file may be packed with gzip.

    A stage that ends a request is an event (ResponseComplete, Panic). An earlier one counts only where no request like it
    ends in the logs. Raises InputError for a path that does not exist or holds no audit event.
    """
    reader = _Reader(limits)
    for path in paths:
        before = reader.events
        with collector_paused():
            for file in _files(path):
                reader.read(file)
        if reader.events == before:
            first = f": {reader.diagnostics[-1]}" if reader.diagnostics else ""
            raise InputError(f"no audit event in `{path}`{first}", help=_HELP)
    return reader.log()


def _files(path: str) -> list[str]:
    """The files of a folder in path order, which is that of time for rotated logs; links out of it are not followed."""
    if path == "-":
        return [path]
    given = Path(path)
    if not given.exists():
        raise InputError(f"no such file or folder: `{path}`", help="`--audit-log` takes a file, a folder or `-`")
    if not given.is_dir():
        return [path]
    return sorted(
        str(Path(folder, name)) for folder, _, names in os.walk(given) for name in names if Path(folder, name).is_file()
    )


class _Tally(msgspec.Struct, gc=False):
    """How many events have a key, and what they record."""

    recorded: Recorded
    source: Source
    count: int = 0


class _Reader:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tallies: dict[Key, _Tally] = {}
        self._first = self._last = ""
        #: Times of events that the window does not take in yet.
        self._stamps: list[str] = []
        self.events = 0
        self.unread = 0
        self.diagnostics: list[Diagnostic] = []
        self._file = ""
        self._unread_here = 0

    def read(self, path: str) -> None:
        self._file = "<stdin>" if path == "-" else path
        self._unread_here = 0
        for piece in pieces(path, self._limits):
            if isinstance(piece, Problem):
                self._problem(piece)
            elif isinstance(piece, Lines):
                self._lines(piece)
            else:
                self._one(piece)
        self._span()
        more = self._unread_here - _NAMED
        if more > 0:
            words = (
                f"{counted(more, 'more part')} of {self._file} {'is' if more == 1 else 'are'} not read as audit events"
            )
            self.diagnostics.append(Diagnostic(code="GS-AU-001", message=words))

    def _lines(self, lines: Lines) -> None:
        """Decoded in one call where every line is JSON of the right types, else one by one."""
        data = lines.data
        if data[:1].isdigit():
            data = _STAMPED.sub(b"", data)
        try:
            found = decoder.decode_lines(data)
        except REFUSALS:
            found = []
        if len(found) != lines.number:
            for line, text in enumerate(data.split(b"\n")[:-1], start=lines.line):
                if text.strip():
                    self._one(Element(text, line))
            return
        add = self._add
        for line, wire in enumerate(found, start=lines.line):
            if wire.kind == "Event":
                add(wire, line)
            else:
                self._wrapped(wire, line)
        self._span()

    def _one(self, element: Element) -> None:
        try:
            wire = decoder.decode(element.body)
        except REFUSALS as error:
            self._problem(Problem("GS-AU-001", explain(error)[1], element.line))
        else:
            self._wrapped(wire, element.line)

    def _wrapped(self, wire: Wire, line: int) -> None:
        for event in events(wire):
            if isinstance(event, Wire):
                self._add(event, line)
            else:
                self._problem(Problem("GS-AU-001", str(event), line))

    def _add(self, wire: Wire, line: int) -> None:
        try:
            key = key_of(wire)
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = _Tally(recorded(key), Source(self._file, line))
        except NoEventError as error:
            self._problem(Problem("GS-AU-001", str(error), line))
            return
        tally.count += 1
        self._stamps.append(wire.stage_timestamp or timestamp_of(wire))
        if len(self._stamps) > _STAMPS:
            self._span()

    def _span(self) -> None:
        """Widen the window to the events since the last call."""
        stamps = self._stamps
        self.events += len(stamps)
        found = list(filter(None, (self._first, *stamps)))
        if found:
            self._first, self._last = min(found), max(self._last, *found)
        stamps.clear()

    def _problem(self, problem: Problem) -> None:
        self.unread += 1
        self._unread_here += 1
        if self._unread_here <= _NAMED or problem.code != "GS-AU-001":
            source = Source(self._file, problem.line)
            self.diagnostics.append(Diagnostic(code=problem.code, message=problem.message, source=source))

    def log(self) -> AuditLog:
        found: dict[Recorded, Occurrence] = {}
        for tally in _ended(list(self._tallies.values())):
            known = found.get(tally.recorded)
            count, source = (known.count, known.source) if known else (0, tally.source)
            found[tally.recorded] = Occurrence(count + tally.count, source)
        return AuditLog(
            recorded=found,
            window=Window(
                first=self._first, last=self._last, events=sum(occurrence.count for occurrence in found.values())
            ),
            unread=self.unread,
            diagnostics=tuple(self.diagnostics),
        )


def _ended(tallies: list[_Tally]) -> Iterator[_Tally]:
    """Without the stages of requests that end in the logs; of the others, the stage that tells a decision if there is one."""
    if all(tally.recorded.finished for tally in tallies):
        yield from tallies
        return
    ends = {_same(tally.recorded) for tally in tallies if tally.recorded.finished}
    decided = {_same(tally.recorded) for tally in tallies if tally.recorded.decision}
    for tally in tallies:
        request = _same(tally.recorded)
        if tally.recorded.finished or (request not in ends and (tally.recorded.decision or request not in decided)):
            yield tally


def _same(recorded: Recorded) -> tuple[str, Request]:
    """What the stages of one request share: the first of them does not know of impersonation yet."""
    return recorded.maker.user, recorded.request
