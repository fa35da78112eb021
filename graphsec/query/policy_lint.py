"""What is probably wrong with network policies: each finding with the rule, its file and line, and what is likely meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.query import _lint_checks as checks
from graphsec.query._answer import Answer, _place, lower_name
from graphsec.query._flow_needs import flow_answer
from graphsec.query._lint_checks import Remark
from graphsec.query._lint_view import View
from graphsec.query._severities import SEVERITIES
from graphsec.query._words import flag

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("SEVERITY", "ID", "OBJECT", "RULE", "FINDING")
WIDE_COLUMNS = (*COLUMNS, "WHERE", "REMEDY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that lint looks for. ``severity`` is that of its plain case."""

    id: str
    title: str
    severity: str
    remedy: str
    find: Callable[[View], Iterator[Remark]]


CHECKS = (
    Check(
        id="NP-L01",
        title="Policy selects no pod",
        severity="medium",
        remedy="Correct the selector, or delete the policy.",
        find=checks.selects_nothing,
    ),
    Check(
        id="NP-L02",
        title="Policy of a namespace without pods",
        severity="low",
        remedy="Correct the namespace, or delete the policy.",
        find=checks.namespace_without_pods,
    ),
    Check(
        id="NP-L03",
        title="Peer matches nothing",
        severity="medium",
        remedy="Correct the selector of the peer.",
        find=checks.peer_matches_nothing,
    ),
    Check(
        id="NP-L04",
        title="Rule that the other side denies",
        severity="medium",
        remedy="Allow it on the other side too, or delete the rule: both sides must allow a connection (N-01b).",
        find=checks.never_joins,
    ),
    Check(
        id="NP-L05",
        title="Redundant rule",
        severity="low",
        remedy="Delete it: policies only add up, and the other rule allows the same and more (N-01a).",
        find=checks.redundant,
    ),
    Check(
        id="NP-L06",
        title="Shadowed rule",
        severity="medium",
        remedy="Move it before the rule that decides, or delete it.",
        find=checks.shadowed,
    ),
    Check(
        id="NP-L07",
        title="Equal priorities that matter",
        severity="high",
        remedy="Give each policy a priority of its own (A-04).",
        find=checks.equal_priorities,
    ),
    Check(
        id="NP-L08",
        title="Port name that no pod has",
        severity="medium",
        remedy="Name a port of the destination's containers, with its protocol (N-09).",
        find=checks.named_port_nowhere,
    ),
    Check(
        id="NP-L09",
        title="Port name that some pods lack",
        severity="low",
        remedy="Name the port in every container, or use its number (N-09b).",
        find=checks.named_port_partly,
    ),
    Check(
        id="NP-L10",
        title="Port of a Service instead of its pods",
        severity="medium",
        remedy="Use the targetPort: rules apply to ports of pods (N-13c).",
        find=checks.service_port,
    ),
    Check(
        id="NP-L11",
        title="DNS over TCP alone",
        severity="medium",
        remedy="Add a port entry with `protocol: UDP` and port 53 (N-11a).",
        find=checks.dns_over_tcp_alone,
    ),
    Check(
        id="NP-L12",
        title="Every port of a protocol",
        severity="low",
        remedy="Name the ports, or leave `ports` out for all ports of all protocols (N-05).",
        find=checks.whole_protocol,
    ),
    Check(
        id="NP-L13",
        title="ClusterIP in an ipBlock",
        severity="medium",
        remedy="Select the pods of the Service: whether a block sees a ClusterIP differs between CNIs (N-13).",
        find=checks.cluster_ip_in_block,
    ),
    Check(
        id="NP-L14",
        title="Pod addresses in an ipBlock",
        severity="low",
        remedy="Select the pods by labels: they change addresses, and CNIs differ in matching them by block (N-12c).",
        find=checks.pod_address_in_block,
    ),
    Check(
        id="NP-L15",
        title="Egress without DNS",
        severity="medium",
        remedy="Allow UDP 53 and TCP 53 to the pods of the cluster's DNS.",
        find=checks.no_dns,
    ),
    Check(
        id="NP-L16",
        title="Rules that policyTypes turns off",
        severity="medium",
        remedy="Add the direction to policyTypes, or delete the rules (N-02).",
        find=checks.inert_rules,
    ),
    Check(
        id="NP-L17",
        title="Isolated for ingress by accident",
        severity="medium",
        remedy="Write `policyTypes: [Egress]` if that is meant (N-02a).",
        find=checks.derived_ingress,
    ),
    Check(
        id="NP-L18",
        title="Policy on host-network pods",
        severity="medium",
        remedy="Policies do not apply to host-network pods (N-14): leave the host network, or filter on the node.",
        find=checks.host_pods_selected,
    ),
    Check(
        id="NP-L19",
        title="Entry that policies shut",
        severity="medium",
        remedy="Allow the ports from where the traffic comes, or delete the entry.",
        find=checks.blocked_route,
    ),
    Check(
        id="NP-L20",
        title="Workload that no policy isolates",
        severity="medium",
        remedy="Select it by a policy, or add a default deny to the namespace.",
        find=checks.uncovered_workload,
    ),
    Check(
        id="NP-L21",
        title="Namespace without default deny",
        severity="medium",
        remedy="Add a policy with an empty podSelector, this policyType and no rules.",
        find=checks.no_default_deny,
    ),
    Check(
        id="NP-L22",
        title="Coverage of the namespace",
        severity="info",
        remedy="",
        find=checks.coverage_of_namespace,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFinding:
    """One finding. ``ref`` is the policy, workload or namespace; ``rule`` the 0-based position in the list of the
    direction, -1 where no single rule is meant; ``source`` the line of the rule, or of the object."""

    id: str
    title: str
    severity: str
    ref: Ref
    message: str
    remedy: str
    direction: str = ""
    rule: int = -1
    #: The peer of the rule, e.g. `from[1]`.
    field: str = ""
    source: Source | None = None

    @property
    def place(self) -> str:
        """`ingress[0].from[1]`."""
        if self.rule < 0:
            return self.direction
        return ".".join(filter(None, (f"{self.direction}[{self.rule}]", self.field)))

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (self.severity, self.id, str(self.ref), self.place or "-", f"{self.title}: {self.message}")
        return (*cells, str(self.source or "-"), self.remedy) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "severity": self.severity,
            "object": str(self.ref),
            "direction": self.direction or None,
            "rule": self.rule if self.rule >= 0 else None,
            "peer": self.field or None,
            "message": self.message,
            "source": _place(self.source),
            "remedy": self.remedy or None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        return [], []

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.ref),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLint:
    """``namespace`` keeps findings on the namespace and on what is in it."""

    ask: ClassVar[str] = "policy-lint"
    namespace: str = ""

    def command(self) -> str:
        return f"policy lint{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        return {"namespace": self.namespace} if self.namespace else {}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def answer(self, world: World) -> Answer[PolicyFinding]:
        """Worst first. Raises InputError where the input supports no answer about flows."""
        return flow_answer(world, self, "policy-lint", lambda: self._findings(world))

    def _findings(self, world: World) -> tuple[PolicyFinding, ...]:
        view = View(world)
        found = [_finding(check, remark) for check in CHECKS for remark in check.find(view)]
        if self.namespace:
            found = [finding for finding in found if self._concerns(finding.ref)]
        return tuple(sorted(found, key=_worst_first))

    def _concerns(self, ref: Ref) -> bool:
        return self.namespace == (ref.name if ref.kind == "Namespace" else ref.namespace)


def _finding(check: Check, remark: Remark) -> PolicyFinding:
    return PolicyFinding(
        id=check.id,
        title=check.title,
        severity=remark.severity or check.severity,
        ref=remark.ref,
        message=remark.message,
        remedy=check.remedy,
        direction=remark.direction,
        rule=remark.rule,
        field=remark.field,
        source=remark.source,
    )


def _worst_first(finding: PolicyFinding) -> tuple[Any, ...]:
    place = (finding.direction, finding.rule, finding.field, finding.message)
    return (-SEVERITIES.index(finding.severity), finding.id, ref_order(finding.ref), place)


__all__ = ["CHECKS", "SEVERITIES", "Check", "PolicyFinding", "PolicyLint"]
