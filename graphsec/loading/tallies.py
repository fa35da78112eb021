"""What each file proves and loses of each kind, added up to the coverage of the whole input (hardening.md §2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphsec.loading.documents import Problem
from graphsec.loading.forms import PYTHON, Form
from graphsec.model.coverage import Coverage, InputForm, KindCoverage, State
from graphsec.model.ref import Source

#: Nothing was lost where one of these is told.
_LOSSLESS = frozenset({"GS-IN-003", "GS-IN-021"})
_PAGED = "the listing goes on (metadata.continue)"


@dataclass(slots=True)
class _Count:
    """How often something went wrong, and where first: by place, so that the order of input does not matter."""

    number: int
    first: tuple[str, int]

    def reason(self, code: str) -> str:
        place = f"{self.first[0]}:{self.first[1]}"
        return f"{code} at {place}" if self.number == 1 else f"{self.number:,} times {code}, first at {place}"


@dataclass(slots=True)
class _Tally:
    """One kind."""

    rejected: int = 0
    listed: bool = False
    #: The first page of a listing that goes on elsewhere.
    paged: str = ""
    lost: dict[str, _Count] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)

    def add_loss(self, code: str, place: tuple[str, int]) -> None:
        known = self.lost.setdefault(code, _Count(0, place))
        known.number += 1
        known.first = min(known.first, place)

    def reasons(self) -> tuple[str, ...]:
        reasons = [count.reason(code) for code, count in sorted(self.lost.items())]
        if self.paged and not self.listed:
            reasons.append(f"{_PAGED} in {self.paged}")
        return tuple(reasons)


class Tallies:
    """Told of inputs, files and what is found in them; in a file, a loss of unknown kind concerns every kind in it."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Tally] = defaultdict(_Tally)
        self._inputs: dict[InputForm, None] = {}
        self._input_kinds: set[str] = set()
        self._input_losses: list[tuple[str, tuple[str, int]]] = []
        self._name, self._form = "", PYTHON
        #: Kinds met in the file at hand.
        self._file_kinds: set[str] = set()
        self._file_losses: list[tuple[str, tuple[str, int]]] = []

    # -- input by input, file by file -------------------------------------------------------------------------------

    def end_input(self) -> None:
        """A file that was not read at all may have held any kind of its input."""
        for code, place in self._input_losses:
            for kind in self._input_kinds:
                self._kinds[kind].add_loss(code, place)
        self._input_kinds, self._input_losses = set(), []

    def begin_file(self, given: str, name: str, form: Form) -> None:
        """A file of the input that the user called ``given``."""
        self._name, self._form = name, form
        self._inputs.setdefault(InputForm(path=given, title=form.title, never=form.never))

    def end_file(self) -> None:
        for code, place in self._file_losses:
            for kind in self._file_kinds:
                self._kinds[kind].add_loss(code, place)
        self._input_kinds |= self._file_kinds
        self._file_kinds, self._file_losses = set(), []

    # -- what is found ----------------------------------------------------------------------------------------------

    def seen(self, kind: str) -> None:
        self._file_kinds.add(kind)
        self._kinds[kind].sources.add(self._name)

    def listed(self, kind: str, *, namespaced: bool, paged: bool) -> None:
        """A list of one kind ended."""
        self.seen(kind)
        tally = self._kinds[kind]
        if paged:
            tally.paged = min(tally.paged or self._name, self._name)
        # Whoever chose the namespaces may have left some out.
        elif not (namespaced and self._form.chosen_namespaces):
            tally.listed = True

    def rejected(self, kind: str, code: str, source: Source) -> None:
        self.seen(kind)
        tally = self._kinds[kind]
        tally.rejected += 1
        tally.add_loss(code, (source.file, source.line))

    def lost(self, problem: Problem) -> None:
        """Something in the file at hand was not read."""
        if problem.code in _LOSSLESS:
            return
        place = (self._name, problem.line)
        kind = problem.kind.removesuffix("List")
        if kind:
            self.seen(kind)
            self._kinds[kind].add_loss(problem.code, place)
        else:
            self._file_losses.append((problem.code, place))

    def lost_file(self, problem: Problem, kind: str) -> None:
        """The file at hand was not read; ``kind`` is what its name says that it holds, if that."""
        if kind:
            self.lost(problem._replace(kind=kind))
        else:
            self._input_losses.append((problem.code, (self._name, problem.line)))

    # -- result -----------------------------------------------------------------------------------------------------

    def coverage(self, counts: Mapping[str, int]) -> Coverage:
        never = {kind for given in self._inputs for kind in given.never}
        inputs = tuple(self._inputs)
        return Coverage((self._entry(kind, counts.get(kind, 0)) for kind in {*counts, *self._kinds, *never}), inputs)

    def _entry(self, kind: str, objects: int) -> KindCoverage:
        tally = self._kinds[kind]
        reasons = tally.reasons()
        state = _state(objects, lost=bool(reasons), listed=tally.listed)
        return KindCoverage(
            kind=kind,
            objects=objects,
            rejected=tally.rejected,
            state=state,
            reasons=_never(kind, self._inputs) if state is State.ABSENT else reasons,
            sources=tuple(sorted(tally.sources)),
        )


def _state(objects: int, *, lost: bool, listed: bool) -> State:
    if lost:
        return State.PARTIAL
    if listed:
        return State.COMPLETE if objects else State.EMPTY
    return State.ASSUMED if objects else State.ABSENT


def _never(kind: str, inputs: Iterable[InputForm]) -> tuple[str, ...]:
    titles = sorted({given.title for given in inputs if kind in given.never})
    return tuple(f"never part of a {title}" for title in titles)


def joined(one: Coverage, other: Coverage, twice: Mapping[str, int]) -> Coverage:
    """The coverage of two inputs together; ``twice`` counts the objects of each kind that both have."""
    inputs = tuple(dict.fromkeys((*one.inputs, *other.inputs)))
    kinds = dict.fromkeys(entry.kind for entry in (*one, *other))
    return Coverage((_joined(one[kind], other[kind], twice.get(kind, 0), inputs) for kind in kinds), inputs)


def _joined(one: KindCoverage, other: KindCoverage, twice: int, inputs: Iterable[InputForm]) -> KindCoverage:
    objects = one.objects + other.objects - twice
    listed = any(entry.state in (State.COMPLETE, State.EMPTY) for entry in (one, other))
    lost = [reason for entry in (one, other) if entry.state is State.PARTIAL for reason in entry.reasons]
    # Who lists the kind in full makes up for the page of another.
    lost = list(dict.fromkeys(reason for reason in lost if not (listed and reason.startswith(_PAGED))))
    state = _state(objects, lost=bool(lost), listed=listed)
    assumed = [reason for entry in (one, other) if entry.state is State.ASSUMED for reason in entry.reasons]
    reasons = {
        State.PARTIAL: tuple(lost),
        State.ASSUMED: tuple(dict.fromkeys(assumed)),
        State.ABSENT: _never(one.kind, inputs),
    }
    return KindCoverage(
        kind=one.kind,
        objects=objects,
        rejected=one.rejected + other.rejected,
        state=state,
        reasons=reasons.get(state, ()),
        sources=tuple(sorted({*one.sources, *other.sources})),
    )
