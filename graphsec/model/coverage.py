"""What of each kind was loaded and what can be concluded from that (hardening.md §2)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

RBAC_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


class State(enum.StrEnum):
    #: The source proves a full listing.
    COMPLETE = "complete"
    #: A full listing that holds no object.
    EMPTY = "empty"
    #: Objects are there, and no proof that the listing was full.
    ASSUMED = "assumed"
    #: Proof of loss.
    PARTIAL = "partial"
    #: No object, and no proof that it was asked for.
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCoverage:
    """One kind: ``objects`` loaded, ``rejected`` dropped by a diagnostic, and why the state is what it is."""

    kind: str
    objects: int = 0
    rejected: int = 0
    state: State = State.ABSENT
    reasons: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "objects": self.objects,
            "rejected": self.rejected,
            "state": self.state.value,
            "reasons": list(self.reasons),
            "sources": list(self.sources),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class InputForm:
    """What one input turned out to be: ``path`` as the user gave it, and the kinds that such a form never holds."""

    path: str
    title: str
    never: tuple[str, ...] = ()
    #: The snapshot that it was read from in its place, as the user gave it.
    snapshot: str = ""

    @property
    def given(self) -> str:
        """What the command line names."""
        return self.snapshot or self.path


class Coverage:
    """Coverage by kind; a kind that no entry names is absent. Iterates in kind order."""

    def __init__(self, entries: Iterable[KindCoverage], inputs: tuple[InputForm, ...] = ()) -> None:
        self._entries = {entry.kind: entry for entry in sorted(entries, key=lambda entry: entry.kind)}
        #: What was read, in input order.
        self.inputs = inputs

    def __iter__(self) -> Iterator[KindCoverage]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, kind: str) -> KindCoverage:
        return self._entries.get(kind) or KindCoverage(kind=kind)

    def __repr__(self) -> str:
        return f"Coverage({', '.join(f'{entry.kind}: {entry.state}' for entry in self)})"

    def lacking(self, kinds: Iterable[str]) -> list[str]:
        """Those of ``kinds`` that are absent or partial."""
        return [kind for kind in kinds if self[kind].state in (State.ABSENT, State.PARTIAL)]

    def to_dicts(self) -> list[dict[str, object]]:
        return [entry.to_dict() for entry in self]
