"""What an audit log records: distinct requests with the identity that made them and the decision on them, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from graphsec.model.diagnostic import Diagnostic
from graphsec.model.rbac import Request
from graphsec.model.ref import Source

#: ``created``: a patch or update made the object (201), which takes ``create`` as well (S-34); ``refused``: 401 or 403.
Outcome = Literal["", "created", "refused"]
ALLOW, FORBID = "allow", "forbid"


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A user name and exactly the groups of a request; ``groups`` None where the log does not record them (GKE)."""

    user: str
    groups: tuple[str, ...] | None = None


class Impersonation(msgspec.Struct, frozen=True, gc=False):
    """Who made a request as somebody else, and the requests on that identity which this took (S-70, S-72)."""

    by: Identity
    requests: tuple[Request, ...] = ()


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One distinct request in a log: two events are one of these where nothing that a decision rests on differs."""

    #: Who was authorized for ``request``: the impersonated identity where there is one.
    identity: Identity
    request: Request
    #: ``allow``, ``forbid`` or "" where the log does not say.
    decision: str = ""
    #: As the authorizer gave it, e.g. `RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "b" to User "c"`.
    reason: str = ""
    outcome: Outcome = ""
    #: A server-side apply, told by its `force` parameter: where the object is missing it takes ``create`` as well (S-34).
    applies: bool = False
    impersonation: Impersonation | None = None
    #: False where the log holds no end of any such request, e.g. a watch that goes on.
    finished: bool = True

    @property
    def maker(self) -> Identity:
        """Who sent the request."""
        return self.impersonation.by if self.impersonation else self.identity


class Occurrence(msgspec.Struct, frozen=True, gc=False):
    """How often a request was recorded, and where first."""

    count: int
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time that logs cover: their first and last timestamp as recorded (RFC 3339, "" if there is none)."""

    first: str
    last: str
    events: int

    def __str__(self) -> str:
        return f"{self.events:,} events from {self.first or '?'} to {self.last or '?'}"

    def to_dict(self) -> dict[str, str | int]:
        return {"first": self.first, "last": self.last, "events": self.events}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLog:
    """Events of one or several logs, aggregated. ``unread`` counts what was no readable event; ``diagnostics`` name the
    first of each file."""

    recorded: Mapping[Recorded, Occurrence]
    window: Window
    unread: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()
