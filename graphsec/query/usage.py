"""Which requests of an audit log each principal made, and what of its grants they do not use (rbac.md §7.3 O3, §7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphsec.compile import World
from graphsec.model.audit import AuditLog, Window
from graphsec.model.rbac import PolicyRule, Request
from graphsec.model.ref import Ref
from graphsec.query._answer import Evidence


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What was done, by principal: users, accounts and, with the requests of all their members, groups.

    Only requests that were allowed count. Every answer that rests on this states ``window``.
    """

    window: Window
    #: principal -> request -> number of events.
    used: Mapping[Ref, Mapping[Request, int]]

    @classmethod
    def of(cls, world: World, log: AuditLog) -> Usage:
        """From a log; ``world`` gives groups that the log does not record, and the version that decides what requests need."""
        raise NotImplementedError

    def of_subject(self, subject: Ref) -> Mapping[Request, int]:
        """The requests of a principal with their number of events; empty if the log has none."""
        return self.used.get(subject, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """One grant that is not, or not wholly, used: ``scope`` is "" at cluster scope, else a namespace."""

    grant: Evidence
    scope: str
    #: The atoms of the rule that no request used; a wildcard is used if any request needed it.
    atoms: tuple[PolicyRule, ...]
    #: Events that needed the rule; 0: all of it is unused.
    events: int


def unused(world: World, usage: Usage, subject: Ref) -> tuple[Unused, ...]:
    """The grants whose binding names ``subject`` (O3), by binding and rule, with what no request of the window used.

    Grants through groups that the subject is in are those of the groups: ask for them.
    """
    raise NotImplementedError
