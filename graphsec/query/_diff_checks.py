"""The checks of a comparison: what each looks at, what it stumbles over, and when the input leaves it undecided.

The three that compare judge what is new. The other two judge the new input alone, as AWS IAM Access Analyzer's checks of the same
names judge a policy: who is public stays public, however long it has been so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphsec.compile import CLUSTER, World
from graphsec.errors import UsageError
from graphsec.model.rbac import PolicyRule, breakdown, covers
from graphsec.model.ref import Ref, Source
from graphsec.query._access_diff import AccessChange, groups_above, maximal, merged, permission_text
from graphsec.query._answer import Evidence, subject_text
from graphsec.query._diff_needs import lacking_for_access, lacking_for_flows, lacking_for_paths, only_in
from graphsec.query._finding import Finding, FindingRule, Hop, Proof, fingerprint, first_place
from graphsec.query._grants import held_rules, is_builtin
from graphsec.query._latent_diff import LatentChange
from graphsec.query._reality import inert_rule
from graphsec.query._severities import SEVERITIES
from graphsec.query._words import target_words
from graphsec.query.who_can import WhoCan

if TYPE_CHECKING:
    from graphsec.query._sink_diff import SinkChange
    from graphsec.query.diff import Diff
    from graphsec.query.flow_diff import FlowChange

PASS, FAIL, UNKNOWN = "PASS", "FAIL", "UNKNOWN"
_DOCS = ("https://kubernetes.io/docs/reference/access-authn-authz/rbac/",)
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a check is given: both worlds, the changes, which parts were compared, and why others were not."""

    old: World
    new: World
    items: tuple[Any, ...]
    parts: frozenset[str]
    undecided: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """``finds`` gives the findings, ``lacks`` what the inputs lack for a PASS; ``compares`` tells those about what is new."""

    rule: FindingRule
    finds: Callable[[Diff, Compared], Iterable[Finding]]
    lacks: Callable[[Compared], Iterable[str]]
    compares: bool = True
    #: The part of the comparison that it looks at.
    part: str = "access"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """PASS, FAIL, or UNKNOWN where the input cannot tell. ``reasons`` are what it stumbles over, else what is lacking."""

    check: str
    word: str
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def row(self) -> tuple[str, ...]:
        more = [f"and {len(self.reasons) - _SHOWN} more"] if len(self.reasons) > _SHOWN else []
        return (self.check, self.word, "; ".join([*self.reasons[:_SHOWN], *more]) or "-")

    def to_dict(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "verdict": self.word,
            "reasons": list(self.reasons),
            "findings": [finding.to_dict() for finding in self.findings],
        }


def validate(names: Iterable[str], *, verbs: bool, target: bool) -> None:
    """Raises UsageError for an unknown check, and for access-not-granted without access or access without it."""
    names = tuple(names)
    for name in names:
        if name not in CHECKS:
            import difflib

            near = difflib.get_close_matches(name, CHECKS, n=1)
            hint = f" (did you mean `{near[0]}`?)" if near else ""
            raise UsageError(f"unknown check `{name}`{hint}", help=f"checks: {', '.join(CHECKS)}")
    if "access-not-granted" in names and not (verbs and target):
        raise UsageError("access-not-granted: which access?", help="`--verb get --resource secrets`")
    if (verbs or target) and "access-not-granted" not in names:
        raise UsageError(
            "`--verb` and `--resource` say what access-not-granted is about", help="`--check access-not-granted`"
        )


def judge(question: Diff, compared: Compared) -> Iterator[Verdict]:
    """The verdicts, in the order in which the checks were asked for."""
    for name in dict.fromkeys(question.checks):
        check = CHECKS[name]
        findings = ordered(check.finds(question, compared))
        lacking = tuple(dict.fromkeys(check.lacks(compared)))
        if findings:
            yield Verdict(check=name, word=FAIL, reasons=tuple(found.message for found in findings), findings=findings)
        else:
            yield Verdict(check=name, word=UNKNOWN if lacking else PASS, reasons=lacking)


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first, then by id and subject; one of those that say the same."""
    unique = {found.fingerprint: found for found in findings}
    return tuple(
        sorted(
            unique.values(),
            key=lambda found: (-SEVERITIES.index(found.severity), found.id, found.subject, found.scope, found.message),
        )
    )


def of_changes(name: str, items: Iterable[Any]) -> Iterator[Finding]:
    """The findings of a check that compares."""
    describe = _OF_CHANGES[name]
    for item in items:
        yield from describe(CHECKS[name].rule, item)


# -- what is new ----------------------------------------------------------------------------------------------------


def _new_access(rule: FindingRule, item: Any) -> Iterator[Finding]:
    if isinstance(item, AccessChange) and item.change == "gained" and not item.inert:
        atoms = sorted(map(permission_text, item.atoms))
        where = "everywhere" if item.scope == "cluster" else f"in {item.scope}"
        yield _finding(
            rule,
            subject=str(item.subject),
            scope=item.scope,
            message=f"{subject_text(item.subject)} may now {item.what} {where}: {item.cause}",
            key=(str(item.subject), item.scope, *atoms),
            source=item.source,
            because=item.because,
        )
    elif isinstance(item, LatentChange) and item.opens:
        yield _finding(
            rule,
            subject=str(item.object),
            scope=item.object.namespace or "cluster",
            message=f"{item.object}: {item.text}",
            key=(item.event, str(item.object), *map(str, item.subjects)),
            source=item.source,
            because=item.because,
        )


def _new_path(rule: FindingRule, item: SinkChange) -> Iterator[Finding]:
    if item.kind == "path" and item.change != "lost":
        step = item.step
        yield _finding(
            rule,
            subject=item.subjects[0],
            scope="cluster",
            message=f"{item.who} can reach {item.what} through {item.through}: {item.cause}",
            key=(item.sink, *map(str, step.premises), str(step.after), step.rule),
            source=item.source,
            because=item.because,
            steps=tuple(
                Hop(text=f"{found.before} → {found.after} [{found.rule}]", source=first_place(found.because))
                for found in item.path.steps
            ),
        )


def _new_flow(rule: FindingRule, item: FlowChange) -> Iterator[Finding]:
    if item.kind == "flow" and item.gained:
        because = item.because
        yield _finding(
            rule,
            subject=str(item.source.ref) if item.source.ref else f"External/{item.source}",
            message=f"{item.source} may now reach {item.destination}: {item.gained}",
            key=(str(item.source), str(item.destination), str(item.gained)),
            source=first_place(because) or first_place(item.denied_by),
            because=because,
        )


def _finding(
    rule: FindingRule,
    *,
    subject: str,
    message: str,
    key: tuple[str, ...],
    scope: str = "",
    source: Source | None = None,
    because: Iterable[Proof] = (),
    steps: tuple[Hop, ...] = (),
) -> Finding:
    return Finding(
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        confidence=rule.confidence,
        subject=subject,
        scope=scope,
        message=message,
        fingerprint=fingerprint(rule.id, *key),
        source=source,
        because=tuple(because),
        steps=steps,
    )


_OF_CHANGES: dict[str, Callable[[FindingRule, Any], Iterator[Finding]]] = {
    "no-new-access": _new_access,
    "no-new-paths": _new_path,
    "no-new-flows": _new_flow,
}


def _changes_of(name: str) -> Callable[[Diff, Compared], Iterator[Finding]]:
    return lambda question, compared: of_changes(name, compared.items)


# -- the new input alone --------------------------------------------------------------------------------------------


def _granted(question: Diff, compared: Compared) -> Iterator[Finding]:
    """Everybody who may do it in the new input; holders whom every cluster has are left out unless asked for."""
    target = question.target
    if target is None or not _has_rbac(compared.new):
        return
    asked = WhoCan(
        verbs=question.verbs,
        target=target,
        any_namespace=not (target.namespace or target.url),
        any_name=not target.name,
    )
    before = {(item.subject, item.scope) for item in asked.answer(compared.old)} if _has_rbac(compared.old) else set()
    for item in asked.answer(compared.new):
        if item.inert or (not question.include_builtin and is_builtin(compared.new, item.because)):
            continue
        since = ", as before" if (item.subject, item.scope) in before else ""
        proof = item.because[0]
        yield _finding(
            CHECKS["access-not-granted"].rule,
            subject=str(item.subject),
            scope=item.scope,
            message=f"{subject_text(item.subject)} may {','.join(item.verbs)} {target_words(target)} in {item.scope}: {proof}{since}",
            key=(str(item.subject), item.scope, *question.verbs, target_words(target)),
            source=proof.source,
            because=item.because,
        )


#: Groups and users that stand for everybody, by the lint rule about them.
_PUBLIC = {
    Ref("User", "system:anonymous"): "X1",
    Ref("Group", "system:unauthenticated"): "X1",
    Ref("Group", "system:authenticated"): "X2",
    Ref("Group", "system:serviceaccounts"): "X3",
}
_WHO = {
    "X1": "anybody, without credentials",
    "X2": "everybody who is authenticated",
    "X3": "every ServiceAccount",
}


def _public(question: Diff, compared: Compared) -> Iterator[Finding]:
    """X1 to X3 of rbac.md §4.2: what everybody holds beyond what Kubernetes ships for them, told by content."""
    world = compared.new
    for subject in sorted(set(world.access.subjects)):
        kind = _PUBLIC.get(subject)
        if kind is None and subject.kind == "Group" and subject.name.startswith("system:serviceaccounts:"):
            kind = "X3"
        if kind is None:
            continue
        usual = _usual(world, subject)
        held: dict[str, dict[PolicyRule, list[Evidence]]] = {}
        for (scope, rule), proofs in held_rules(world, (subject,)).items():
            own = [proof for proof in proofs if not is_builtin(world, (proof,))]
            # URLs are asked at cluster scope only (S-43).
            atoms = [atom for atom in breakdown(rule) if not (scope != CLUSTER and atom.urls)] if own else []
            for atom in covers(usual, atoms).uncovered:
                if not inert_rule(world, atom, scope):
                    held.setdefault(scope, {}).setdefault(atom, []).extend(own)
        for scope, proofs_of in sorted(held.items()):
            kept = maximal(proofs_of)
            proofs = list(dict.fromkeys(proof for atom in kept for proof in proofs_of[atom]))
            words = "; ".join(map(permission_text, merged(kept)[:_SHOWN]))
            where = f"in {scope}" if scope else "everywhere"
            yield _finding(
                CHECKS["no-public-access"].rule,
                subject=str(subject),
                scope=scope or "cluster",
                message=f"{kind}: {_WHO[kind]} ({subject_text(subject)}) may {words} {where}: {proofs[0]}",
                key=(str(subject), scope, *sorted(map(permission_text, kept))),
                source=proofs[0].source,
                because=proofs,
            )


def _usual(world: World, subject: Ref) -> tuple[PolicyRule, ...]:
    """What the shipped bindings of every minor give a subject and the groups that it is in."""
    who = {subject, *groups_above(world, subject)}
    rules: dict[PolicyRule, None] = {}
    for cluster in world.baseline():
        roles = {loaded.ref: loaded.body.rules for loaded in cluster.of("ClusterRole")}
        for loaded in cluster.of("ClusterRoleBinding"):
            named = {Ref(found.kind, found.name) for found in loaded.body.subjects or ()}
            if named & who:
                rules.update(dict.fromkeys(roles.get(Ref("ClusterRole", loaded.body.role_ref.name), ())))
    return tuple(rules)


def _has_rbac(world: World) -> bool:
    return any(world.cluster.objects.get(kind) for kind in ("ClusterRoleBinding", "RoleBinding"))


# -- what is lacking ------------------------------------------------------------------------------------------------


def _lacks(
    part: str, of_world: Callable[[World, str], Iterable[str]], kinds: tuple[str, ...] = ()
) -> Callable[[Compared], Iterator[str]]:
    def lacks(compared: Compared) -> Iterator[str]:
        yield from (text for name, text in compared.undecided if name == part)
        if part not in compared.parts:
            yield f"the inputs hold nothing to compare {part} by"
            return
        for world, name in ((compared.old, "the old input"), (compared.new, "the new input")):
            yield from of_world(world, name)
        for here, there, name in ((compared.old, compared.new, "new"), (compared.new, compared.old, "old")):
            yield from (f"no {kind} in the {name} input" for kind in only_in(here, there, kinds))

    return lacks


def _lacks_in_new(compared: Compared) -> Iterator[str]:
    yield from lacking_for_access(compared.new, "the new input")
    yield from (
        f"no {kind} in the new input"
        for kind in only_in(compared.old, compared.new, ("ClusterRoleBinding", "RoleBinding"))
    )


_BINDINGS = ("ClusterRoleBinding", "RoleBinding")

CHECKS: dict[str, Check] = {
    "no-new-access": Check(
        rule=FindingRule(
            id="GS-D-001",
            title="New access",
            severity="high",
            description="A subject may do something that neither it nor a group of its own could do before, or a role that is "
            "outside the input gains rules, or an account that bindings waited for is created.",
            remediation="Grant it in one namespace, to one account, with the verbs and names that are needed; or accept the change.",
            references=_DOCS,
            tags=("diff", "rbac"),
        ),
        finds=_changes_of("no-new-access"),
        lacks=_lacks("access", lacking_for_access, _BINDINGS),
    ),
    "no-new-paths": Check(
        rule=FindingRule(
            id="GS-D-002",
            title="New path to a sink",
            severity="critical",
            description="A subject can come to be cluster-admin, to take over a node or to read every Secret, and could not before.",
            remediation="Take away the step that is new; `graphsec fix` proposes the smallest change.",
            tags=("diff", "escalation"),
        ),
        finds=_changes_of("no-new-paths"),
        lacks=_lacks("path", lacking_for_paths, (*_BINDINGS, "Node")),
        part="path",
    ),
    "no-new-flows": Check(
        rule=FindingRule(
            id="GS-D-003",
            title="New flow",
            severity="medium",
            description="A workload or an address may open connections that policies denied before.",
            remediation="Narrow the policy or the label that opens it; or accept the change.",
            tags=("diff", "network"),
        ),
        finds=_changes_of("no-new-flows"),
        lacks=_lacks("flow", lacking_for_flows, ("NetworkPolicy",)),
        part="flow",
    ),
    "access-not-granted": Check(
        rule=FindingRule(
            id="GS-D-004",
            title="Access that must not be granted",
            severity="high",
            description="Somebody may do in the new input what nobody may; those whom every cluster has are not counted.",
            remediation="Take the verb, the resource or the subject out of the grant.",
            references=_DOCS,
            tags=("rbac",),
        ),
        finds=_granted,
        lacks=_lacks_in_new,
        compares=False,
    ),
    "no-public-access": Check(
        rule=FindingRule(
            id="GS-D-005",
            title="Public access",
            severity="critical",
            description="Everybody (anonymous, every authenticated user, or every ServiceAccount) holds more in the new input than "
            "Kubernetes gives them.",
            remediation="Bind a user, an account or a group of your own instead.",
            references=_DOCS,
            tags=("rbac", "X1", "X2", "X3"),
        ),
        finds=_public,
        lacks=_lacks_in_new,
        compares=False,
    ),
}

__all__ = [
    "CHECKS",
    "FAIL",
    "PASS",
    "UNKNOWN",
    "Check",
    "Compared",
    "Verdict",
    "judge",
    "of_changes",
    "ordered",
    "validate",
]
