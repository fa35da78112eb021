"""Does our decision agree with what the API server decided and recorded: each distinct request of an audit log, replayed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graphsec.compile import CLUSTER, World
from graphsec.model.audit import ALLOW, FORBID, AuditLog, Identity, Occurrence, Recorded, Window
from graphsec.model.rbac import MASTERS, Request, Target, allows, subject_ref
from graphsec.model.ref import Ref, Source
from graphsec.query._answer import Answer, Evidence, lower_name, subject_text
from graphsec.query._grants import NODES, draw_grant
from graphsec.query._needs import require
from graphsec.query._words import flag
from graphsec.query.can_i import CanI, Decision
from graphsec.query.usage import principals_of

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

COLUMNS = ("SUBJECT", "REQUEST", "RECORDED", "OURS", "EVENTS", "FIRST AT")
WIDE_COLUMNS = (*COLUMNS, "WHY", "RECORDED REASON")
#: How the RBAC authorizer words an allow (`plugin/pkg/auth/authorizer/rbac/rbac.go`, `pkg/registry/rbac/validation`).
_WORD = r'"((?:[^"\\]|\\.)*)"'
_REASON = re.compile(
    rf"RBAC: allowed by (?P<kind>ClusterRoleBinding|RoleBinding) (?P<binding>{_WORD}) of "
    rf"(?P<role_kind>\w+) (?P<role>{_WORD}) to (?P<subject_kind>\w+) (?P<subject>{_WORD})"
)
_RBAC = "RBAC:"

# Why an event is not judged.
_UNDECIDED = "no decision recorded"
_MASTERS = "system:masters, allowed before any authorizer (S-47)"
_NODE = "Node authorizer (S-80)"
_OTHER = "another authorizer"
_UNKNOWN = "a role that the input does not hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A request on which we and the API server differ: in the verdict, or in the binding that gave it."""

    subject: Ref
    request: Request
    recorded: str
    reason: str
    #: ``allow`` or ``no``.
    ours: str
    why: str
    events: int
    source: Source
    because: tuple[Evidence, ...] = ()

    def row(self, *, wide: bool) -> tuple[str, ...]:
        cells = (subject_text(self.subject), str(self.request), self.recorded, self.ours, f"{self.events:,}")
        place = (str(self.source),)
        return (*cells, *place, self.why, self.reason) if wide else (*cells, *place)

    def to_dict(self) -> dict[str, Any]:
        return {
            "subject": str(self.subject),
            "request": msgspec.structs.asdict(self.request),
            "recorded": self.recorded,
            "recordedReason": self.reason,
            "ours": self.ours,
            "why": self.why,
            "events": self.events,
            "source": {"file": self.source.file, "line": self.source.line},
            "because": [proof.to_dict() for proof in self.because],
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        if not self.because:
            return [], []
        return draw_grant(self.subject, self.because[0], str(self.request), dashed=True)

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.subject),)


@dataclass(frozen=True, kw_only=True)
class Verification(Answer[Difference]):
    """Differences, and how many events agree, differ or are not judged, and why not."""

    window: Window = Window(first="", last="", events=0)
    agreed: int = 0
    differing: int = 0
    #: reason -> events.
    not_judged: dict[str, int] = field(default_factory=dict)

    def envelope(self) -> dict[str, Any]:
        return super().envelope() | {
            "window": self.window.to_dict(),
            "agreed": self.agreed,
            "differing": self.differing,
            "notJudged": dict(sorted(self.not_judged.items())),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """``paths`` are the names of the logs, for the record; ``log`` what was read from them."""

    ask: ClassVar[str] = "verify"
    paths: tuple[str, ...] = ()
    log: AuditLog = field(repr=False)

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def command(self) -> str:
        return "verify" + "".join(flag("--audit-log", path) for path in self.paths)

    def to_dict(self) -> dict[str, Any]:
        return {"auditLogs": list(self.paths)}

    def answer(self, world: World) -> Verification:
        """Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        log = self.log
        differences: list[Difference] = []
        agreed = 0
        passed: Counter[str] = Counter()
        for recorded, occurrence in log.recorded.items():
            judged = _judge(world, recorded, occurrence)
            if judged is None:
                agreed += occurrence.count
            elif isinstance(judged, str):
                passed[judged] += occurrence.count
            else:
                differences.append(judged)
        differing = sum(difference.events for difference in differences)
        return Verification(
            question=self,
            items=tuple(sorted(differences, key=_order)),
            complete=complete,
            coverage=world.coverage,
            diagnostics=(*world.diagnostics, *log.diagnostics),
            notes=tuple(_notes(log, agreed, differing, passed)),
            warnings=warnings,
            window=log.window,
            agreed=agreed,
            differing=differing,
            not_judged=dict(passed),
        )


def _order(difference: Difference) -> tuple[Any, ...]:
    request = msgspec.structs.astuple(difference.request)
    return (str(difference.subject), request, difference.recorded, difference.reason, str(difference.source))


def _notes(log: AuditLog, agreed: int, differing: int, passed: Counter[str]) -> Sequence[str]:
    notes = [f"window: {log.window}", f"agreed {agreed:,}, differing {differing:,}, not judged {passed.total():,}"]
    notes += [f"not judged, {reason}: {count:,}" for reason, count in sorted(passed.items())]
    if log.unread:
        notes.append(f"not read as events: {log.unread:,} (graphsec explain GS-AU-001)")
    if differing:
        notes.append("where objects changed in the window, the log is of both states and the input of one")
    return notes


# -- one request ----------------------------------------------------------------------------------------------------


def _judge(world: World, recorded: Recorded, occurrence: Occurrence) -> Difference | str | None:
    """None where we agree, a difference, or why this is not judged."""
    if recorded.decision not in (ALLOW, FORBID):
        return _UNDECIDED
    named = _REASON.search(recorded.reason) if recorded.decision == ALLOW else None
    principals = principals_of(world, recorded.identity)
    if recorded.decision == ALLOW and named is None:
        return _not_rbac(recorded, principals)
    ours = _ask(world, recorded.identity, recorded.request)
    why = ""
    if named is not None:
        if _role_is_missing(world, named):
            return _UNKNOWN
        why = _evidence_fault(world, named, principals, recorded.request) or ("" if ours else ours.reason)
    elif ours:
        if recorded.reason and not recorded.reason.startswith(_RBAC):
            return f"{_OTHER}: forbidden"
        why = ours.reason
    if not why:
        return None
    return Difference(
        subject=subject_ref(recorded.identity.user),
        request=recorded.request,
        recorded=recorded.decision,
        reason=recorded.reason,
        ours=ours.verdict,
        why=why,
        events=occurrence.count,
        source=occurrence.source,
        because=ours.because,
    )


def _not_rbac(recorded: Recorded, principals: tuple[Ref, ...]) -> str:
    """Who allowed this, as far as an empty or foreign reason tells."""
    if recorded.reason:
        return f"{_OTHER}: allowed"
    if Ref("Group", MASTERS) in principals:
        return _MASTERS
    if NODES in principals and recorded.identity.user.startswith("system:node:"):
        return _NODE
    return "allowed, no reason recorded"


def _ask(world: World, identity: Identity, request: Request) -> Decision:
    """The decision of can-i."""
    target = Target(
        group=request.group,
        resource=request.resource,
        subresource=request.subresource,
        name=request.name,
        namespace=request.namespace,
        url=request.url,
    )
    return CanI(verbs=(request.verb,), target=target, user=identity.user, groups=identity.groups).decide(world)


def _name(quoted: str) -> str:
    """A name as Go quotes it."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]


def _binding_of(named: re.Match[str]) -> Ref:
    name = _name(named["binding"])
    if named["kind"] == "ClusterRoleBinding":
        return Ref("ClusterRoleBinding", name)
    name, _, namespace = name.rpartition("/")
    return Ref("RoleBinding", name, namespace)


def _role_is_missing(world: World, named: re.Match[str]) -> bool:
    """Whether the input holds the binding of a recorded reason and not its role."""
    index = _bindings(world).get(_binding_of(named))
    return index is not None and world.access.bindings[index].role not in world.access.roles


def _bindings(world: World) -> dict[Ref, int]:
    found: dict[Ref, int] = world.access.once(
        "bindings by ref", lambda: {binding.ref: index for index, binding in enumerate(world.access.bindings)}
    )
    return found


def _evidence_fault(world: World, named: re.Match[str], principals: tuple[Ref, ...], request: Request) -> str:
    """Why the binding and role of a recorded reason do not give this in our world, "" if they do."""
    ref = _binding_of(named)
    index = _bindings(world).get(ref)
    if index is None:
        return f"{ref} is not in the input"
    binding = world.access.bindings[index]
    if (binding.role.kind, binding.role.name) != (named["role_kind"], _name(named["role"])):
        return f"{ref} refers to {binding.role} in the input"
    if not any(principal in binding.subjects for principal in principals):
        return f"{ref} does not bind this subject in the input"
    if binding.scope not in (CLUSTER, request.namespace):
        return f"{ref} does not apply to this request"
    if not any(allows(rule, request) for rule in world.access.roles[binding.role].rules):
        return f"{binding.role} does not allow this in the input"
    return ""
