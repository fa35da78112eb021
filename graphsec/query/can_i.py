"""May this subject do this: one request, answered as a SubjectAccessReview would, and what a real request makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graphsec.compile import CLUSTER, World
from graphsec.model.rbac import MASTERS, Request, Target, subject_ref
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer, Evidence, lower_name, subject_text
from graphsec.query._grants import MASTERS_EVIDENCE, NODES, draw_grant, evidence, rule_text
from graphsec.query._missing import missing_roles
from graphsec.query._needs import require
from graphsec.query._reality import inert_because, unmet_condition
from graphsec.query._words import flag, target_words, verb_words

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


COLUMNS = ("ANSWER", "REASON")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``bool()`` is True for ``allow`` only. ``verdict`` is the authorizer's; ``word`` is what follows from it in reality."""

    verdict: str
    reason: str
    because: tuple[Evidence, ...] = ()
    #: False where no real request has these attributes (S-15, S-36).
    effective: bool = True
    #: A further request that must be allowed and is not.
    unmet: str = ""
    #: Why a "no" may be wrong: roles that the input does not hold, or another authorizer.
    undetermined: str = ""
    complete: bool = True
    subject: Ref = Ref("User", "")
    request: Request = Request(verb="")
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.verdict == "allow"

    @property
    def word(self) -> str:
        """yes, no, conditional or unknown, as `can-i` prints it."""
        if self.verdict == "allow":
            return "yes" if self.effective and not self.unmet else "conditional"
        return "unknown" if self.undetermined else "no"

    def row(self, *, wide: bool) -> tuple[str, ...]:
        return (self.word, self.reason)

    def to_dict(self) -> dict[str, Any]:
        return {
            "subject": str(self.subject),
            "verdict": self.verdict,
            "word": self.word,
            "effective": self.effective,
            "reason": self.reason,
            "because": [proof.to_dict() for proof in self.because],
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        if not self.because:
            return [], []
        proof = self.because[0]
        return draw_grant(self.subject, proof, str(self.request), dashed=self.word != "yes")

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.subject),)

    def explanation(self) -> list[str]:
        """Evidence in sentences, for ``--explain``."""
        lines = []
        for proof in self.because:
            if proof.binding is None or proof.role is None or proof.rule is None:
                lines.append(proof.semantics)
                continue
            origin = f" (from {proof.aggregated_from})" if proof.aggregated_from else ""
            who = subject_text(proof.subject or self.subject)
            lines.append(f"{_spaced(proof.binding)} ({proof.source}) binds {who} to {_spaced(proof.role)}")
            lines.append(
                f"{_spaced(proof.role)}, rule {proof.rule_index + 1}{origin} ({proof.rule_source}): {rule_text(proof.rule)}"
            )
        return lines


def _spaced(ref: Ref) -> str:
    return f"{ref.kind} {ref.namespace}/{ref.name}" if ref.namespace else f"{ref.kind} {ref.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanI:
    """May ``user`` in ``groups`` do any of ``verbs``? ``groups`` None adds the implicit and listed ones, else they are
    exact (S-95)."""

    ask: ClassVar[str] = "can-i"
    verbs: tuple[str, ...]
    target: Target
    user: str
    groups: tuple[str, ...] | None = None

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return COLUMNS

    def command(self) -> str:
        groups = "".join(flag("--as-group", group) for group in self.groups or ())
        words = f"{verb_words(self.verbs)} {target_words(self.target)}{flag('-n', self.target.namespace)}"
        return f"can-i {words}{flag('--as', self.user)}{groups}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "verbs": list(self.verbs),
            "user": self.user,
            "groups": list(self.groups) if self.groups is not None else None,
            **msgspec.structs.asdict(self.target),
        }

    def answer(self, world: World) -> Answer[Decision]:
        decision = self.decide(world)
        return Answer(
            question=self,
            items=(decision,),
            complete=decision.complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            warnings=decision.warnings,
        )

    def decide(self, world: World) -> Decision:
        """The decision on the first verb that is allowed, else on the first. Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        groups = world.groups_of(self.user) if self.groups is None else self.groups
        decide = partial(Decision, complete=complete, warnings=warnings, subject=subject_ref(self.user))
        requests = [self.target.request(verb) for verb in self.verbs]
        if MASTERS in groups:
            masters = partial(decide, verdict="allow", reason="member of system:masters", because=(MASTERS_EVIDENCE,))
            return masters(request=requests[0])
        principals = world.principals(self.user, groups)
        decisions = (_decide(world, principals, request, decide) for request in requests)
        first = next(decisions)
        return first or next((decision for decision in decisions if decision), first)


def _decide(world: World, principals: tuple[Ref, ...], request: Request, decide: Callable[..., Decision]) -> Decision:
    found = world.access.first_allowing(principals, request)
    if found is None:
        waiting = _undetermined(world, principals, request)
        reason = waiting or f"no binding grants {request}"
        return decide(verdict="no", reason=reason, undetermined=waiting, request=request)
    binding = world.access.bindings[found[0]]
    subject = next(principal for principal in principals if principal in binding.subjects)
    inert = _inert(world, principals, request, binding.scope)
    unmet = unmet_condition(world, principals, request)
    reason = f"granted by {binding.ref} to {subject_text(subject)}"
    if inert or unmet:
        reason = f"the authorizer says yes ({reason}), but {inert or unmet}"
    proof = evidence(world.access, found[0], found[1], subject)
    return decide(verdict="allow", reason=reason, because=(proof,), effective=not inert, unmet=unmet, request=request)


def _inert(world: World, principals: tuple[Ref, ...], request: Request, scope: str) -> str:
    """Why an allowed request serves nothing. What is also allowed at cluster scope is real there (S-36)."""
    reason = inert_because(world, request, scope)
    if not reason or scope == CLUSTER:
        return reason
    at_cluster = msgspec.structs.replace(request, namespace="")
    if world.access.first_allowing(principals, at_cluster) and not inert_because(world, at_cluster, CLUSTER):
        return ""
    return reason


def _undetermined(world: World, principals: tuple[Ref, ...], request: Request) -> str:
    if missing := missing_roles(world, request.namespace, principals):
        return missing[0]
    if NODES in principals:
        return f"no binding grants {request}; what nodes may do with the objects of their pods decides the Node authorizer (S-80)"
    return ""
