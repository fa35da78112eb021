"""What is probably wrong with roles and bindings: each finding with the object, its file and line, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.query import _rbac_checks as checks
from graphsec.query._answer import Answer, Evidence, _place, lower_name
from graphsec.query._needs import require
from graphsec.query._rbac_checks import Remark, View
from graphsec.query._severities import SEVERITIES, Severity

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("SEVERITY", "CHECK", "OBJECT", "FINDING")
WIDE_COLUMNS = (*COLUMNS, "WHERE", "REMEDY")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that lint looks for. ``severity`` is that of its plain case, ``condition`` its row in rbac.md §4."""

    id: str
    condition: str
    severity: Severity
    remedy: str
    find: Callable[[View], Iterator[Remark]]


CHECKS = (
    Check("dangling-role", "H1", "medium", "Create the role, or delete the binding.", checks.dangling_role),
    Check("missing-account", "H2", "low", "Create the account, or delete the binding.", checks.missing_account),
    Check("no-subjects", "H3", "info", "Delete the binding.", checks.no_subjects),
    Check("unbound-role", "H4", "info", "Delete the role, or bind it.", checks.unbound_role),
    Check("redundant-rule", "H5", "info", "Delete the rule.", checks.redundant_rule),
    Check("inert-rule", "H7", "medium", "Write what is meant, or delete the rule.", checks.inert_rule),
    Check("unmatched-subject", "H7", "medium", "Name who is meant, with the namespace.", checks.unmatched_subject),
    Check("many-subjects", "H8", "info", "Bind a group, or one role for the task.", checks.many_subjects),
    Check(
        "bootstrap-modified", "H12", "medium", "Put it back, and grant by a role of its own.", checks.bootstrap_modified
    ),
    Check("aggregation-drift", "H13", "medium", "Write rules in roles with the label.", checks.aggregation_drift),
    Check("masters-bound", "X4", "low", "Delete the binding; give people another group.", checks.masters_bound),
    Check("default-account-bound", "X5", "medium", "Give the workload its own account.", checks.default_account_bound),
    Check("idle-token", "X6", "info", "Set `automountServiceAccountToken: false`.", checks.idle_token),
    Check("powerful-daemonset", "X7", "medium", "Narrow the account of the DaemonSet.", checks.powerful_on_every_node),
    Check("user-bound", "X8", "info", "Bind a group of the identity provider.", checks.user_bound),
    Check("foreign-account", "X9", "low", "Use an account of the namespace.", checks.foreign_account),
    Check("dashboard-bound", "X10", "medium", "Let people log in with their own token.", checks.dashboard_bound),
)
_BY_ID = {check.id: check for check in CHECKS}


@dataclass(frozen=True, slots=True, kw_only=True)
class RbacFinding:
    """One finding. ``ref`` is the role, binding, subject or workload; ``source`` the line of the rule or of the object."""

    check: str
    severity: str
    ref: Ref
    message: str
    remedy: str
    source: Source | None = None
    because: tuple[Evidence, ...] = ()

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (self.severity, self.check, str(self.ref), self.message)
        return (*cells, str(self.source or "-"), self.remedy) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "check": self.check,
            "severity": self.severity,
            "object": str(self.ref),
            "message": self.message,
            "source": _place(self.source),
            "remedy": self.remedy,
            "because": [proof.to_dict() for proof in self.because] or None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.ref),)


@dataclass(frozen=True, slots=True, kw_only=True)
class RbacLint:
    """``checks`` are ids of checks, () is all of them; ``namespace`` keeps what is in it."""

    ask: ClassVar[str] = "rbac-lint"
    checks: tuple[str, ...] = ()
    namespace: str = ""

    def command(self) -> str:
        return f"rbac lint{f' -n {self.namespace}' if self.namespace else ''}"

    def to_dict(self) -> dict[str, Any]:
        return {"checks": list(self.checks), "namespace": self.namespace}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def answer(self, world: World) -> Answer[RbacFinding]:
        """Worst first. Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        view = View(world)
        wanted: Sequence[Check] = [_BY_ID[name] for name in self.checks] or CHECKS
        found = [_finding(check, remark) for check in wanted for remark in check.find(view)]
        if self.namespace:
            found = [one for one in found if self.namespace in (one.ref.namespace, _own_name(one.ref))]
        return Answer(
            question=self,
            items=tuple(sorted(found, key=_worst_first)),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=_notes(world),
            warnings=warnings,
        )


def _own_name(ref: Ref) -> str:
    return ref.name if ref.kind == "Namespace" else ""


def _notes(world: World) -> tuple[str, ...]:
    if world.attacks.inventory.accounts:
        return ()
    return ("no ServiceAccount in the input: which bindings name a missing one is not known",)


def _finding(check: Check, remark: Remark) -> RbacFinding:
    return RbacFinding(
        check=check.id,
        severity=remark.severity or check.severity,
        ref=remark.ref,
        message=remark.message,
        remedy=check.remedy,
        source=remark.source,
        because=remark.proofs,
    )


def _worst_first(finding: RbacFinding) -> tuple[Any, ...]:
    return (-SEVERITIES.index(finding.severity), finding.check, ref_order(finding.ref), finding.message)


__all__ = ["CHECKS", "Check", "RbacFinding", "RbacLint"]
