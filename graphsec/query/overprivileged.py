"""Who has more than it needs, in seven senses that are never blended into a score (rbac.md §7.3)."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from graphsec.compile import CLUSTER, World
from graphsec.compile.addons import Addons
from graphsec.compile.attacks.principals import ALL_ACCOUNTS, ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED
from graphsec.model.rbac import MASTERS_GROUP, Binding, allows
from graphsec.model.ref import Ref, ref_order
from graphsec.model.text import counted
from graphsec.query._answer import Answer
from graphsec.query._attack_starts import is_builtin
from graphsec.query._excess import SENSES, Excess, Folded, worst_first
from graphsec.query._excess_grants import Grants, evidence_of
from graphsec.query._excess_reach import CONDITIONAL, PROVED, Gained, Reaches, Sink, lowered, raised
from graphsec.query._finding import Finding, FindingRule
from graphsec.query._holdings import Holdings
from graphsec.query._needs import require
from graphsec.query._severities import SEVERITIES, Severity
from graphsec.query.usage import Usage, unused

COLUMNS = ("SEVERITY", "SENSE", "SUBJECT", "SCOPE", "EXCESS")
WIDE_COLUMNS = (*COLUMNS, "VERDICT", "EXPOSURE", "WHERE", "UNLESS")
#: Where a grant that holds everywhere is used in no more namespaces, RoleBindings would do.
_FEW_NAMESPACES = 5
#: Of what is gained: as many as are named.
_NAMED = 5
_EXPOSED = {
    ANONYMOUS: "anybody without a credential",
    UNAUTHENTICATED: "anybody without a credential",
    AUTHENTICATED: "everybody with a credential",
    ALL_ACCOUNTS: "every ServiceAccount",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overprivileged:
    """Every subject that a binding names, or ``subject`` alone; ``fold`` makes one item of each add-on."""

    ask: ClassVar[str] = "overprivileged"
    subject: Ref | None = None
    include_builtin: bool = False
    fold: bool = False
    #: What an audit log shows to be used; without one O3 and O5 are not answered.
    usage: Usage | None = None

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def command(self) -> str:
        return "overprivileged" + (f" {shlex.quote(str(self.subject))}" if self.subject else "")

    def to_dict(self) -> dict[str, Any]:
        window = self.usage.window.to_dict() if self.usage else None
        return {"subject": str(self.subject or ""), "includeBuiltin": self.include_builtin, "window": window}

    def rules(self) -> Sequence[FindingRule]:
        return [sense.rule for sense in SENSES.values()]

    def findings(self, answer: Answer[Any]) -> Sequence[Finding]:
        flat = [one for item in answer for one in (item.members if isinstance(item, Folded) else (item,))]
        return [item.finding() for item in sorted(flat, key=worst_first)]

    def answer(self, world: World) -> Answer[Any]:
        """Worst first. Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        survey = _Survey(world, self)
        found = sorted(survey.items(), key=worst_first)
        items: list[Any] = _folded(found) if self.fold else list(found)
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(survey.notes(found)),
            warnings=warnings,
            left_out=survey.left_out,
        )


def _folded(items: Sequence[Excess]) -> list[Any]:
    """Add-ons last, in order of their names."""
    addons: dict[str, list[Excess]] = {}
    for item in items:
        if item.addon:
            addons.setdefault(item.addon, []).append(item)
    rest: list[Any] = [item for item in items if not item.addon]
    return rest + [Folded(addon=name, members=tuple(addons[name])) for name in sorted(addons)]


def _as_sure(other: Sink | Gained | None, verdict: str) -> bool:
    return other is not None and (other.verdict == PROVED or verdict == CONDITIONAL)


class _Survey:
    """One pass over the subjects of a world."""

    def __init__(self, world: World, question: Overprivileged) -> None:
        self._world = world
        self._one = question.subject
        self._addons = Addons(world.access)
        self._holdings = Holdings(world)
        self._grants = Grants(world, self._holdings)
        subjects = sorted(world.access.subjects, key=ref_order) if self._one is None else [self._one]
        self._include_builtin = question.include_builtin
        kept = [subject for subject in subjects if question.include_builtin or not is_builtin(world, subject)]
        #: Members of system:masters have everything by definition, no binding changes it (S-47).
        self._subjects = [subject for subject in kept if subject != MASTERS_GROUP]
        self.left_out = len(subjects) - len(kept)
        groups = dict.fromkeys(group for subject in self._subjects for group in self._holdings.groups(subject))
        self._reaches = Reaches(world, self._holdings, list(dict.fromkeys((*self._subjects, *groups))))
        self._usage = question.usage
        #: Of bindings to roles that the input does not show as well: every cluster may have them.
        self._scopes: dict[Ref, set[str]] = {}
        for binding in world.access.bindings:
            for named in binding.subjects:
                self._scopes.setdefault(named, set()).add(binding.scope)
        self._by_group: Counter[str] = Counter()

    def items(self) -> Iterator[Excess]:
        for subject in self._subjects:
            yield from self._admin(subject)
            yield from self._escalating(subject)
            if self._usage is not None:
                yield from self._unused(subject, self._usage)
                yield from self._too_wide(subject, self._usage)
            yield from self._unbounded(subject)
            yield from self._redundant(subject)
            yield from self._inert(subject)

    def notes(self, found: Sequence[Excess]) -> Iterator[str]:
        senses = Counter(item.sense for item in found)
        if found:
            counts = (f"{name} {SENSES[name].rule.title.lower()}: {count:,}" for name, count in sorted(senses.items()))
            yield ", ".join(counts)
        if self._usage is None:
            yield "O3 (unused) and O5 (scope excess) are not answered without an audit log (--audit-log)"
        else:
            yield f"O3 and O5 stand on {self._usage.window}"
        for sense, count in sorted(self._by_group.items()):
            yield f"{sense} of {counted(count, 'subject')} is that of a group which has its own row (ask for the subject by name)"
        addons = Counter(item.addon for item in found if item.addon)
        if addons:
            yield "add-ons told by the rules that they ship: " + ", ".join(
                f"{a} ({n})" for a, n in sorted(addons.items())
            )

    # -- the senses ---------------------------------------------------------------------------------------------

    def _admin(self, subject: Ref) -> Iterator[Excess]:
        sink = self._reaches.admin(subject)
        if sink is None:
            return
        groups = self._holdings.groups(subject) if self._one is None else ()
        if any(_as_sure(self._reaches.admin(group), sink.verdict) for group in groups):
            self._by_group["O1"] += 1
            return
        direct = self._reaches.holds_everything(subject)
        words = "holds every permission" if direct else "can come to hold every permission"
        yield self._item(subject, "O1", sink.severity, words, verdict=sink.verdict, paths=self._reaches.path(sink))

    def _escalating(self, subject: Ref) -> Iterator[Excess]:
        gained = self._reaches.gained(subject)
        if gained is None:
            return
        if self._one is None and self._gained_by_groups(subject, gained):
            self._by_group["O2"] += 1
            return
        sink = self._reaches.sink(subject)
        worst: Severity = "medium" if gained.verdict == PROVED else "low"
        if sink is not None and SEVERITIES.index(sink.severity) > SEVERITIES.index(worst):
            worst = sink.severity
        named = tuple(map(str, gained.facts[:_NAMED]))
        if gained.size:
            more = f" and {gained.size - len(named):,} more" if gained.size > len(named) else ""
            words = f"can become or take {', '.join(named)}{more}"
        else:
            words = "can become cluster-admin"
        yield self._item(
            subject,
            "O2",
            worst,
            words,
            verdict=gained.verdict,
            paths=self._reaches.path_to(subject, gained.facts[0]),
            size=gained.size,
            gains=named,
        )

    def _gained_by_groups(self, subject: Ref, gained: Gained) -> bool:
        """Whether its groups gain all of it without the subject."""
        found = [self._reaches.gained(group) for group in self._holdings.groups(subject)]
        by_groups = {fact for one in found if one and _as_sure(one, gained.verdict) for fact in one.facts}
        return by_groups.issuperset(gained.facts)

    def _unused(self, subject: Ref, usage: Usage) -> Iterator[Excess]:
        shipped = self._world.provenance.is_builtin
        rows = [
            row for row in unused(self._world, usage, subject) if row.grant.binding and not shipped(row.grant.binding)
        ]
        if not rows:
            return
        atoms = sum(len(row.atoms) for row in rows)
        wholly = sum(not row.events for row in rows)
        seen = bool(usage.of_subject(subject))
        words = f"{counted(atoms, 'permission')} not used, {wholly:,} of {counted(len(rows), 'rule')} in no part"
        yield self._item(
            subject,
            "O3",
            "low",
            words if seen else f"{words}: the subject made no request at all",
            verdict=PROVED if seen else CONDITIONAL,
            proofs=tuple(row.grant for row in rows),
            size=atoms,
            stands_on=str(usage.window),
        )

    def _too_wide(self, subject: Ref, usage: Usage) -> Iterator[Excess]:
        """A grant in every namespace of which only requests in few namespaces made use."""
        used = usage.of_subject(subject)
        for index in self._holdings.grants(subject):
            binding = self._world.access.bindings[index]
            if binding.scope != CLUSTER:
                continue
            rules = self._world.access.roles[binding.role].rules
            served = {
                "" if request.url else request.namespace
                for request in used
                if any(allows(rule, request) for rule in rules)
            }
            if served and "" not in served and len(served) <= _FEW_NAMESPACES:
                places = ", ".join(sorted(served))
                words = f"{binding.ref} → {binding.role} is used in {places} alone"
                for item in self._grant(subject, "O5", "low", words, binding, (evidence_of(binding),)):
                    yield replace(item, stands_on=str(usage.window))

    def _unbounded(self, subject: Ref) -> Iterator[Excess]:
        groups = self._holdings.groups(subject) if self._one is not None else ()
        found = self._grants.unbounded(subject, groups)
        if found is None:
            return
        sink = self._reaches.sink(subject)
        worst: Severity = sink.severity if sink is not None and not found.own_group else "low"
        own = " (of its own API groups)" if found.own_group else ""
        yield self._item(
            subject,
            "O4",
            worst,
            f"wildcard in {found.words}{own}",
            scopes=found.scopes,
            proofs=found.proofs,
        )

    def _redundant(self, subject: Ref) -> Iterator[Excess]:
        access = self._world.access
        for found in self._grants.redundant(subject):
            binding = access.bindings[found.binding]
            others = [evidence_of(access.bindings[other]) for other in found.others]
            words = ", ".join(str(other.binding) for other in others[:3]) + (", ..." if len(others) > 3 else "")
            yield from self._grant(
                subject,
                "O6",
                "info",
                f"{binding.ref} → {binding.role} is covered by {words}",
                binding,
                (evidence_of(binding), *others),
            )

    def _inert(self, subject: Ref) -> Iterator[Excess]:
        for found in self._grants.inert(subject):
            severity: Severity = "medium" if found.missing_role else "info" if found.partly else "low"
            words = f"{found.binding.ref}: {found.reason}"
            verdict = PROVED if found.sure else CONDITIONAL
            yield from self._grant(subject, "O7", severity, words, found.binding, found.proofs, verdict=verdict)

    # -- items --------------------------------------------------------------------------------------------------

    def _grant(
        self,
        subject: Ref,
        sense: str,
        severity: Severity,
        words: str,
        binding: Binding,
        proofs: tuple[Any, ...],
        *,
        verdict: str = PROVED,
    ) -> Iterator[Excess]:
        """An item about one binding, unless every cluster has that."""
        if not self._include_builtin and self._world.provenance.is_builtin(binding.ref):
            self.left_out += 1
            return
        yield Excess(
            subject=subject,
            sense=sense,
            severity=severity,
            verdict=verdict,
            scopes=(binding.scope or "cluster",),
            message=words,
            proofs=proofs,
            grant=binding.ref,
            addon=self._addon(subject),
        )

    def _item(self, subject: Ref, sense: str, severity: Severity, words: str, **more: Any) -> Excess:
        """An item about everything that a subject holds; of an account that is missing it holds once that is created."""
        sink = self._reaches.sink(subject)
        if self._grants.missing_account(subject):
            severity, words = lowered(severity), f"{words} (once the account is created)"
            more["verdict"] = CONDITIONAL
        else:
            severity = raised(severity) if self._exposure(subject) else severity
        scopes = self._scopes.get(subject, set())
        fields: dict[str, Any] = {
            "verdict": PROVED,
            "scopes": ("cluster",) if CLUSTER in scopes else tuple(dict.fromkeys(sorted(scopes))),
            "sink": f"{sink.text} ({sink.verdict})" if sink else "",
            "exposure": self._exposure(subject),
            "addon": self._addon(subject),
        }
        return Excess(subject=subject, sense=sense, severity=severity, message=words, **(fields | more))

    def _addon(self, subject: Ref) -> str:
        """The add-on that ships every grant of the subject that is not Kubernetes' own."""
        held = [self._world.access.bindings[index] for index in self._holdings.grants(subject)]
        return self._addons.of(subject, [one for one in held if not self._world.provenance.is_builtin(one.ref)])

    def _exposure(self, subject: Ref) -> str:
        if subject in _EXPOSED:
            return _EXPOSED[subject]
        if subject.kind == "Group" and subject.name.startswith(f"{ALL_ACCOUNTS.name}:"):
            return f"every ServiceAccount of {subject.name.removeprefix(f'{ALL_ACCOUNTS.name}:')}"
        if subject.kind == "ServiceAccount" and subject.name == "default":
            return f"every pod of {subject.namespace} that names no account"
        return ""


__all__ = ["COLUMNS", "Excess", "Folded", "Overprivileged"]
