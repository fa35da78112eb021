"""The least roles and bindings that keep what was used, written as objects and proved by compiling them (rbac.md §7.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from graphsec.compile import World
from graphsec.model.audit import Window
from graphsec.model.rbac import PolicyRule
from graphsec.model.ref import Ref
from graphsec.query.usage import Usage

Preset = Literal["exact", "stable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """One atom that ``subject`` had in ``scope`` ("" is the cluster) and no longer has."""

    subject: Ref
    scope: str
    atom: PolicyRule


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Objects to apply and to delete. ``checked`` is always True: one that failed its check is never returned."""

    window: Window
    #: Objects to apply, in canonical order; each a mapping as Kubernetes spells it.
    manifests: tuple[dict[str, Any], ...]
    #: Objects to delete, bindings first.
    deletions: tuple[Ref, ...]
    #: Unified diff of the YAML of the objects before and after, "" where nothing is to be narrowed.
    diff: str
    removed: tuple[Removed, ...]
    #: What was left as it is, and why.
    notes: tuple[str, ...] = ()
    checked: bool = True
    #: The cluster after the change.
    world: World = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.manifests or self.deletions)


def suggestion(world: World, usage: Usage, subject: Ref | None = None, preset: Preset = "exact") -> Suggestion:
    """Narrow what is bound to ``subject`` (None: to anybody) to what was used in the window.

    Machine-checked: every request of the log that was allowed still is, and every rule of the new world is covered by the
    old one, for everybody. Raises UsageError for an unknown preset, InputError without any RBAC object.
    """
    raise NotImplementedError
