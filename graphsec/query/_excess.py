"""One way in which a subject has more than it needs, and what a gate makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Evidence, lower_name, subject_text
from graphsec.query._finding import Finding, FindingRule, Hop, Proof, fingerprint, first_place
from graphsec.query._grants import draw_grant
from graphsec.query._severities import SEVERITIES, Severity
from graphsec.query.paths import AttackPath

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

#: The scope of what holds everywhere; of several scopes the first.
CLUSTER = "cluster"
_PAGE = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"
_TOKENS = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sense:
    """One of the seven meanings of over-permissioned (rbac.md §7.3). ``unless`` is its main false positive."""

    id: str
    rule: FindingRule
    unless: str


def _sense(number: int, title: str, severity: Severity, what: str, fix: str, unless: str, *tags: str) -> Sense:
    rule = FindingRule(
        id=f"GS-O-{number}",
        title=title,
        severity=severity,
        description=what,
        remediation=fix,
        references=(_PAGE, _TOKENS),
        tags=("least-privilege", *tags),
    )
    return Sense(id=f"O{number}", rule=rule, unless=unless)


SENSES = {
    sense.id: sense
    for sense in (
        _sense(
            1,
            "Admin-equivalent",
            "critical",
            "The subject holds or can come to hold every permission of the cluster.",
            "Cut the path: `graphsec fix SUBJECT` names the cheapest change.",
            "a controller that is trusted with the cluster",
            "CIS-5.1.1",
            "T1078",
        ),
        _sense(
            2,
            "Escalating",
            "medium",
            "The subject can come to hold permissions that nobody granted to it.",
            "Take away the first step: `graphsec blast SUBJECT` shows each with its binding and rule.",
            "a step that rests on conditions which do not hold here",
            "CIS-5.1.8",
            "T1078",
        ),
        _sense(
            3,
            "Unused",
            "low",
            "Permissions that the subject held during the whole audit log, and did not use once.",
            "`--suggest` writes the narrowed roles and bindings.",
            "rare jobs, failover and break-glass accounts",
        ),
        _sense(
            4,
            "Unbounded",
            "low",
            "A wildcard grants verbs, resources or API groups that do not exist yet, too.",
            "List the verbs, resources and API groups that are needed.",
            "an operator's own API group",
            "CIS-5.1.3",
        ),
        _sense(
            5,
            "Scope excess",
            "low",
            "A grant in every namespace to a subject that works in few.",
            "Bind the role in those namespaces by RoleBindings.",
            "a controller that watches every namespace",
        ),
        _sense(
            6,
            "Redundant",
            "info",
            "Everything that the binding grants to the subject, its other grants give as well.",
            "Take the subject out of the binding, or delete it.",
            "an overlap that is meant: the other grant is about to go",
        ),
        _sense(
            7,
            "Inert",
            "low",
            "A grant that serves no request: its role or subject is missing, or it says what nobody can ask for.",
            "Correct it or delete it: it comes alive with the role, account or API that it names.",
            "an API, role or account that the input does not show",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """One subject in one sense, of O6 and O7 one of its grants. ``verdict`` is proved, or conditional where it rests on what the
    input does not show."""

    subject: Ref
    sense: str
    severity: Severity
    verdict: str
    #: "cluster" or namespaces, in order.
    scopes: tuple[str, ...]
    message: str
    #: Of O3 and O5: what the verdict stands on.
    stands_on: str = ""
    #: The worst that the subject reaches, "" for nothing.
    sink: str = ""
    #: Who can be the subject more easily than others: anybody, every account, code in an exposed pod.
    exposure: str = ""
    #: What comes beside what was granted (O2): how many things, and the worst of them.
    size: int = 0
    gains: tuple[str, ...] = ()
    proofs: tuple[Evidence, ...] = ()
    #: The path that O1 and O2 rest on; made when first looked at.
    paths: Sequence[AttackPath] = ()
    #: The binding that O6 and O7 are about.
    grant: Ref | None = None
    #: The add-on that ships these grants, "" for none.
    addon: str = ""

    @property
    def because(self) -> tuple[Any, ...]:
        """Grants for O4 to O7, and the grants and objects of the path for O1 and O2."""
        return (*self.proofs, *(ground for path in self.paths for ground in path.because))

    @property
    def scope(self) -> str:
        """ "cluster" where it is among them."""
        if len(self.scopes) < 2 or CLUSTER in self.scopes:
            return self.scopes[0] if self.scopes else ""
        return f"{len(self.scopes):,} namespaces"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        what = f"{self.message} [{self.addon}]" if self.addon else self.message
        cells = (self.severity, self.sense, subject_text(self.subject), self.scope, what)
        if not wide:
            return cells
        places = dict.fromkeys(str(place) for proof in self.because if (place := _rule_place(proof)))
        return (*cells, self.verdict, self.exposure or "-", " ".join(places) or "-", f"unless {self._unless()}")

    def _unless(self) -> str:
        return SENSES[self.sense].unless

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "subject": str(self.subject),
            "sense": self.sense,
            "title": SENSES[self.sense].rule.title,
            "severity": self.severity,
            "verdict": self.verdict,
            "scopes": list(self.scopes),
            "message": self.message,
            "falsePositiveIf": self._unless(),
            "standsOn": self.stands_on,
            "sink": self.sink,
            "exposure": self.exposure,
            "size": self.size,
            "gains": list(self.gains),
            "grant": str(self.grant) if self.grant else "",
            "addon": self.addon,
            "because": [proof.to_dict() for proof in self.proofs],
            "path": self.paths[0].to_dict() if self.paths else None,
        }
        return {key: value for key, value in fields.items() if value or key in ("scopes", "because")}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        for path in self.paths:
            nodes, edges = path.drawing()
            vertices += nodes
            arrows += edges
        for proof in self.proofs:
            nodes, edges = draw_grant(self.subject, proof, self.message, dashed=self.sense == "O7")
            vertices += nodes
            arrows += edges
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.subject),)

    def finding(self) -> Finding:
        rule = SENSES[self.sense].rule
        because: tuple[Proof, ...] = self.because
        return Finding(
            id=rule.id,
            title=rule.title,
            severity=self.severity,
            confidence="high" if self.verdict == "proved" else "medium",
            subject=str(self.subject),
            scope=self.scopes[0] if len(self.scopes) == 1 else "",
            message=f"{subject_text(self.subject)}: {self.message}",
            fingerprint=fingerprint(rule.id, str(self.subject), *([str(self.grant)] if self.grant else [])),
            source=first_place(because),
            because=because,
            steps=tuple(
                Hop(text=str(step), source=first_place(step.because)) for path in self.paths for step in path.steps
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """Everything about the subjects of one add-on, as one row; nothing of it is lost."""

    addon: str
    members: tuple[Excess, ...]

    @property
    def because(self) -> tuple[Any, ...]:
        return tuple(proof for member in self.members for proof in member.because)

    def row(self, *, wide: bool) -> tuple[str, ...]:
        worst = min(self.members, key=worst_first)
        senses = ",".join(sorted({member.sense for member in self.members}))
        subjects = dict.fromkeys(subject_text(member.subject) for member in self.members)
        shown = ", ".join(list(subjects)[:3]) + (f" (+{len(subjects) - 3})" if len(subjects) > 3 else "")
        cells = (worst.severity, senses, shown, "", f"add-on {self.addon}: {len(self.members)} rows (--fold none)")
        return (*cells, "-", "-", "-", "-") if wide else cells

    def to_dict(self) -> dict[str, Any]:
        return {"addon": self.addon, "items": [member.to_dict() for member in self.members]}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        for member in self.members:
            nodes, edges = member.drawing()
            vertices += nodes
            arrows += edges
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for member in self.members for name in member.refs()))


def worst_first(item: Excess) -> tuple[Any, ...]:
    subject = (item.subject.kind, item.subject.namespace or "", item.subject.name)
    return (-SEVERITIES.index(item.severity), item.sense, item.verdict != "proved", subject, str(item.grant or ""))


def _rule_place(proof: Any) -> Source | None:
    place: Source | None = getattr(proof, "rule_source", None) or proof.source
    return place
