"""What a change of the input changes in effect: access, paths to sinks, flows, and what only waits to take effect (rbac.md §7.5).

With checks it is a gate: each passes, fails, or cannot be answered from the input, and never passes on a kind that is absent.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from graphsec.compile import World
from graphsec.errors import InputError
from graphsec.model.coverage import RBAC_KINDS
from graphsec.model.rbac import Target
from graphsec.model.text import counted
from graphsec.query import _access_diff, _diff_checks, _latent_diff
from graphsec.query._access_diff import AccessChange, AccessDiff
from graphsec.query._answer import Answer, Section, named, subject_text
from graphsec.query._diff_checks import CHECKS, Compared, Verdict
from graphsec.query._diff_needs import only_in
from graphsec.query._finding import Finding, FindingRule
from graphsec.query._latent_diff import LatentDiff
from graphsec.query._missing import missing_roles
from graphsec.query._needs import require
from graphsec.query._words import flag, target_words, verb_words

#: One head for changes of every kind, as a pull request shows them (interface.md §5).
COLUMNS = ("", "Subject", "May now", "Where", "Because")
WIDE_COLUMNS = ("CHANGE", "KIND", "SUBJECT", "MAY", "WHERE", "BECAUSE", "FILE")
_PARTS = frozenset({"access", "path", "flow"})
_SIGNS = {"gained": "+", "lost": "−", "changed": "±"}
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class DiffAnswer(Answer[Any]):
    """All changes. ``checks`` are the verdicts of those that were asked for, ``undecided`` what cannot be compared because one
    of the inputs lacks it, ``compared`` the parts that were."""

    checks: tuple[Verdict, ...] = ()
    undecided: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()

    def of(self, kind: str) -> tuple[Any, ...]:
        """The changes of one kind: access, path, flow or latent."""
        return tuple(item for item in self.items if item.kind == kind)

    @property
    def passed(self) -> bool:
        """Whether every check that was asked for passed."""
        return all(verdict.word == "PASS" for verdict in self.checks)

    def table(self, *, wide: bool) -> Section:
        items = self.items if wide else _folded(self.items)
        return Section(WIDE_COLUMNS if wide else COLUMNS, items, _wide_row if wide else _told)

    def sections(self, *, wide: bool) -> Sequence[Section]:
        from graphsec.query import _sink_diff, flow_diff

        access: Section
        if wide:
            access = Section(_access_diff.WIDE_COLUMNS, self.of("access"), lambda item: item.row(wide=True))
        else:
            access = Section(_access_diff.COLUMNS, _folded(self.of("access")), _FoldedAccess.row)
        kinds: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
            ("path", _sink_diff.COLUMNS, _sink_diff.WIDE_COLUMNS),
            ("flow", flow_diff.COLUMNS, flow_diff.WIDE_COLUMNS),
        ]
        kinds.append(("latent", _latent_diff.COLUMNS, _latent_diff.COLUMNS))
        others = [
            Section(wide_heads if wide else heads, self.of(kind), lambda item: item.row(wide=wide))
            for kind, heads, wide_heads in kinds
        ]
        return (access, *others, Section(("CHECK", "VERDICT", "WHY"), self.checks, Verdict.row))

    def envelope(self) -> dict[str, Any]:
        checks = {"checks": [verdict.to_dict() for verdict in self.checks]} if self.checks else {}
        return {**super().envelope(), **checks, "compared": list(self.compared), "undecided": list(self.undecided)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """``old`` and ``new`` are what the worlds were read from; ``namespace`` keeps changes that touch it. ``checks`` are of
    ``CHECKS``; ``verbs`` and ``target`` are what access-not-granted is about."""

    ask: ClassVar[str] = "diff"
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    namespace: str = ""
    checks: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    target: Target | None = None
    include_builtin: bool = False

    @classmethod
    def between(cls, old: World, new: World, **given: Any) -> Diff:
        """Named after the inputs of the worlds. Raises UsageError for a check that is not known, or lacks what it is about."""
        paths = (
            tuple(form.path for form in world.coverage.inputs if not form.path.startswith("--")) for world in (old, new)
        )
        question = cls(old=next(paths), new=next(paths), **given)
        _diff_checks.validate(question.checks, verbs=bool(question.verbs), target=question.target is not None)
        return question

    def command(self) -> str:
        words = (shlex.quote(",".join(names)) for names in (self.old, self.new))
        text = f"diff {' '.join(words)}{''.join(flag('--check', check) for check in self.checks)}"
        if self.target is not None:
            text += f" --verb {verb_words(self.verbs)} --resource {target_words(self.target)}"
        return f"{text}{flag('-n', self.namespace)}{' --include-builtin' if self.include_builtin else ''}"

    def to_dict(self) -> dict[str, Any]:
        fields = {
            "old": list(self.old),
            "new": list(self.new),
            "namespace": self.namespace,
            "checks": list(self.checks),
        }
        if self.target is not None:
            asked = {key: getattr(self.target, key) for key in ("group", "resource", "subresource", "name", "url")}
            fields |= {"verbs": list(self.verbs), **asked}
        return {key: value for key, value in fields.items() if value or key in ("old", "new")}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def answer(self, old: World, new: World) -> DiffAnswer:
        """Raises InputError where nothing of the two inputs can be compared, LimitError for what is too large to compare."""
        access = AccessDiff(old, new, self.namespace)
        # A gate compares what its checks look at, and nothing that takes time beside.
        asked = {CHECKS[name].part for name in self.checks} or _PARTS
        makes: dict[str, Callable[[], _Part]] = {
            "access": lambda: _access(access),
            "path": lambda: _paths(access),
            "flow": lambda: _flows(self, old, new),
        }
        parts = [make() for name, make in makes.items() if name in asked]
        errors = [part.error for part in reversed(parts) if part.error is not None]
        if not any(part.done for part in parts):
            raise errors[0]
        if parts[0].name == "access" and parts[0].done:
            parts.append(_latent(self, old, new))
        items = tuple(item for part in parts for item in part.items)
        compared = Compared(
            old=old,
            new=new,
            items=items,
            parts=frozenset(part.name for part in parts if part.done),
            undecided=tuple((part.name, text) for part in parts for text in part.undecided),
        )
        undecided = tuple(text for _, text in compared.undecided)
        warnings = (text for part in parts for text in part.warnings)
        return DiffAnswer(
            question=self,
            items=items,
            complete=all(part.complete for part in parts) and not undecided,
            coverage=new.coverage,
            diagnostics=tuple(dict.fromkeys((*old.diagnostics, *new.diagnostics))),
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            warnings=tuple(dict.fromkeys((*undecided, *warnings))),
            checks=tuple(_diff_checks.judge(self, compared)),
            undecided=undecided,
            compared=tuple(part.name for part in parts if part.done),
        )

    def rules(self) -> tuple[FindingRule, ...]:
        """Of the checks that were asked for; without any, of those that compare."""
        return tuple(
            CHECKS[name].rule for name in CHECKS if name in self.checks or (not self.checks and CHECKS[name].compares)
        )

    def findings(self, answer: DiffAnswer) -> tuple[Finding, ...]:
        """What each check stumbles over, with its line; without any check, every change that a comparing one would fail on."""
        if answer.checks:
            return _diff_checks.ordered(finding for verdict in answer.checks for finding in verdict.findings)
        compared = [name for name in CHECKS if CHECKS[name].compares]
        return _diff_checks.ordered(
            finding for name in compared for finding in _diff_checks.of_changes(name, answer.items)
        )


# -- parts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One part of the comparison. It is not ``done`` where an input does not support it; that leaves it ``undecided`` where the
    other one does, and is none of its business where neither does."""

    name: str
    items: tuple[Any, ...] = ()
    done: bool = True
    complete: bool = True
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    error: InputError | None = None


def _part(name: str, old: World, new: World, ask: str, make: Callable[[], _Part]) -> _Part:
    """The part where both inputs support its question."""
    errors: dict[str, InputError] = {}
    needs: list[tuple[bool, tuple[str, ...]]] = []
    for word, world in (("old", old), ("new", new)):
        try:
            needs.append(require(world, ask))
        except InputError as error:
            errors[word] = error
    if errors:
        lone = "" if len(errors) == 2 else next(iter(errors))
        why = (
            f"{name} not compared: the {lone} input does not support it"
            if lone
            else f"{name} not compared: neither input supports it"
        )
        return _Part(
            name=name,
            done=False,
            complete=not lone,
            notes=() if lone else (why,),
            undecided=(why,) if lone else (),
            error=next(iter(errors.values())),
        )
    (whole_before, before), (whole_after, after) = needs
    part = make()
    return replace(
        part,
        complete=part.complete and whole_before and whole_after,
        warnings=(*named(before, after), *part.warnings),
    )


def _access(access: AccessDiff) -> _Part:
    old, new = access.old, access.new

    def make() -> _Part:
        found = access.changes
        gone = only_in(old, new, RBAC_KINDS)
        kept = tuple(change for change in found if not _rests_on(change, gone)) if gone else found
        undecided = [
            f"no {kind} in the new input, {old.coverage[kind].objects:,} in the old: nothing that they granted is called lost"
            for kind in gone
        ]
        come = only_in(new, old, RBAC_KINDS)
        warnings = [f"no {kind} in the old input: whatever the new ones grant is called gained" for kind in come]
        scope = access.namespace or None
        return _Part(
            name="access",
            items=kept,
            complete=not gone and not come,
            undecided=tuple(undecided),
            warnings=(*warnings, *named(missing_roles(old, scope), missing_roles(new, scope))),
        )

    return _part("access", old, new, "who-can", make)


def _rests_on(change: AccessChange, gone: Sequence[str]) -> bool:
    """Whether a loss is that of objects whose kind the other input does not hold at all."""
    return change.change == "lost" and all(
        any(ref is not None and ref.kind in gone for ref in (proof.binding, proof.role)) for proof in change.because
    )


def _paths(access: AccessDiff) -> _Part:
    old, new = access.old, access.new

    def make() -> _Part:
        from graphsec.query._sink_diff import SinkDiff

        found = SinkDiff(access, access.namespace).changes
        gone = only_in(old, new, RBAC_KINDS)
        if gone:
            # Who reached a sink by what is not there is not known to have lost it.
            found = tuple(change for change in found if change.change != "lost")
        return _Part(name="path", items=found, complete=not gone)

    return _part("path", old, new, "who-can", make)


def _latent(question: Diff, old: World, new: World) -> _Part:
    return _Part(name="latent", items=LatentDiff(old, new, question.namespace).changes)


def _flows(question: Diff, old: World, new: World) -> _Part:
    def make() -> _Part:
        from graphsec.query.flow_diff import FlowDiff

        answer = FlowDiff.between(old, new, question.namespace).answer(old, new)
        return _Part(
            name="flow",
            items=tuple(answer.items),
            complete=answer.complete,
            notes=answer.notes,
            warnings=answer.warnings,
        )

    part = _part("flow", old, new, "reach", make)
    # The answer about flows says itself what it lacks.
    return replace(part, warnings=tuple(dict.fromkeys(part.warnings)))


# -- rows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _FoldedAccess:
    """Changes of access that say the same of several subjects or scopes, for the same reason."""

    changes: tuple[AccessChange, ...]

    kind = "access"

    @property
    def subjects(self) -> str:
        return _several([subject_text(change.subject) for change in self.changes], "subject")

    @property
    def scope(self) -> str:
        return _several([change.scope for change in self.changes], "scope")

    @property
    def places(self) -> str:
        found = dict.fromkeys(
            str(source) for change in self.changes for _, source in change.causes if source is not None
        )
        return " ".join([*list(found)[:_SHOWN], *(["…"] if len(found) > _SHOWN else [])]) or "-"

    @property
    def cause(self) -> str:
        return _several([change.cause for change in self.changes], "reason")

    def row(self) -> tuple[str, ...]:
        first = self.changes[0]
        what = f"{first.what} ({first.remark})" if first.remark else first.what
        return (first.change, self.subjects, what, self.scope, self.cause, self.places)


def _several(words: Iterable[str], noun: str) -> str:
    """`a, b`, or `205 subjects (a, …)`."""
    found = list(dict.fromkeys(words))
    if len(found) <= _SHOWN:
        return ", ".join(found)
    return f"{counted(len(found), noun)} ({found[0]}, …)"


def _folded(items: Iterable[Any]) -> tuple[Any, ...]:
    """Access that is the same for several, on one line; everything else as it is."""
    found: dict[Any, list[Any]] = {}
    for place, item in enumerate(items):
        found.setdefault(_fold_key(item) if item.kind == "access" else place, []).append(item)
    return tuple(_FoldedAccess(tuple(group)) if group[0].kind == "access" else group[0] for group in found.values())


def _fold_key(change: AccessChange) -> Any:
    """Alike in all but the subject or the scope, by the same binding or the same change of a role."""
    return (change.change, change.rules, change.remark, change.cause)


def _told(item: Any) -> tuple[str, ...]:
    change, _, subject, may, where, because, place = _wide_row(item)
    at = f" ({place})" if place != "-" else ""
    return (_SIGNS[change], subject, may, where, f"{because}{at}" if because != place else because)


def _wide_row(item: Any) -> tuple[str, ...]:
    if item.kind == "access":
        folded = item if isinstance(item, _FoldedAccess) else _FoldedAccess((item,))
        change, subject, what, scope, cause, places = folded.row()
        return (change, "access", subject, what, "all namespaces" if scope == "cluster" else scope, cause, places)
    if item.kind == "path":
        because = f"through {item.through}: {item.cause}"
        return (item.change, "path", item.who, f"reach {item.what}", "cluster", because, str(item.source or "-"))
    if item.kind == "flow":
        was = f" (was {item.before})" if item.before and item.change == "changed" else ""
        ports = item.before if item.change == "lost" else item.after
        may = f"reach {item.destination} on {ports}{was}"
        return (item.change, "flow", str(item.source), may, "network", item.row(wide=False)[5], "-")
    subjects = _several(map(subject_text, item.subjects), "subject") or str(item.object)
    return (
        item.change,
        "latent",
        subjects,
        item.event,
        item.object.namespace or "cluster",
        item.text,
        str(item.source or "-"),
    )


__all__ = ["COLUMNS", "WIDE_COLUMNS", "Diff", "DiffAnswer"]
