"""What an audit log records: distinct requests with the identity that made them and the decision on them, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from graphsec.model.diagnostic import Diagnostic
from graphsec.model.rbac import Request
from graphsec.model.ref import Source


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A user name and exactly the groups of a request; ``groups`` None where the log does not record them (GKE)."""

    user: str
    groups: tuple[str, ...] | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One distinct request in a log: whatever differs between two of these may be decided differently."""

    #: Who was authorized for ``request``: the impersonated identity where there is one.
    identity: Identity
    request: Request
    #: ``allow``, ``forbid`` or "" where the log does not say.
    decision: str = ""
    #: As the authorizer gave it, e.g. `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "b" to User "c"`.
    reason: str = ""
    #: What else must have been allowed for this to succeed, to the same identity: `create` of an object that an update or
    #: apply created (S-34).
    also: tuple[Request, ...] = ()
    #: Who made the request as ``identity``, and the requests on `impersonate` that this took (S-70, S-72).
    impersonator: Identity | None = None
    impersonation: tuple[Request, ...] = ()


class Occurrence(msgspec.Struct, gc=False):
    """How often a request was recorded, and where first."""

    count: int
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time that a log covers: its first and last timestamp as recorded (RFC 3339, "" if it has none)."""

    first: str
    last: str
    events: int

    def __str__(self) -> str:
        return f"{self.events:,} events from {self.first or '?'} to {self.last or '?'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLog:
    """Events of one or several logs, aggregated. ``diagnostics`` name the first events of each file that were not read,
    ``unread`` counts all of them."""

    recorded: Mapping[Recorded, Occurrence]
    window: Window
    unread: int = 0
    diagnostics: tuple[Diagnostic, ...] = field(default=())
