"""Who may perform one request, or any of several verbs on it: everyone for whom can-i says yes (rbac.md §7.1)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graphsec.compile import CLUSTER, Access, World
from graphsec.errors import UsageError
from graphsec.model.rbac import Request, subject_ref
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer, Evidence, lower_name, subject_text
from graphsec.query._grants import MASTERS_EVIDENCE, MASTERS_GROUP, draw_grant, evidence
from graphsec.query._needs import require
from graphsec.query._reality import inert_because, needs_create, scope_unknown, unmet_condition
from graphsec.query._words import request_words

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessItem:
    """One holder in one scope. ``names`` are resourceNames, () is all; ``inert`` says why it serves no real request."""

    subject: Ref
    #: "cluster" or a namespace.
    scope: str
    verbs: tuple[str, ...]
    names: tuple[str, ...]
    because: tuple[Evidence, ...]
    #: What was asked for, without the verb.
    target: str
    inert: str = ""
    #: A further request that must be allowed and is not, e.g. create pods/exec from 1.35 on.
    unmet: str = ""
    #: For a group: its members where a membership file lists them.
    members: tuple[str, ...] = ()
    #: For a person named through a group by ``as_people``.
    through: str = ""

    @property
    def effective(self) -> bool:
        """False where no real request has these attributes (S-15, S-36)."""
        return not self.inert

    def row(self, *, wide: bool) -> tuple[str, ...]:
        via = "; ".join(str(proof) for proof in self.because[:1]) + self._remark()
        cells = (subject_text(self.subject), self.subject.kind, self.scope)
        if not wide:
            return (*cells, via)
        first = self.because[0]
        places = (str(first.source or ""), str(first.rule_source or ""))
        return (*cells, ",".join(self.verbs), ",".join(self.names) or "*", via, *places)

    def _remark(self) -> str:
        remarks = [
            f"name: {', '.join(self.names)}" if self.names else "",
            f"+{len(self.because) - 1} more" if len(self.because) > 1 else "",
            f"through {self.through}" if self.through else "",
            f"members: {', '.join(self.members)}" if self.members else "",
            f"inert: {self.inert}" if self.inert else "",
            self.unmet,
        ]
        return "".join(f" ({remark})" for remark in remarks if remark)

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "subject": str(self.subject),
            "scope": self.scope,
            "verbs": list(self.verbs),
            "names": list(self.names),
            "effective": self.effective,
            "because": [proof.to_dict() for proof in self.because],
        }
        extra = {"inert": self.inert, "unmet": self.unmet, "through": self.through, "members": list(self.members)}
        return fields | {key: value for key, value in extra.items() if value}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        permission = f"{','.join(self.verbs)} {self.target}"
        if self.names:
            permission += f" named {', '.join(self.names)}"
        for proof in self.because:
            nodes, edges = draw_grant(self.subject, proof, permission, dashed=bool(self.inert or self.unmet))
            vertices += nodes
            arrows += edges
        return vertices, arrows

    def name(self) -> str:
        return lower_name(self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoCan:
    """Who may do any of ``verbs``. Words are literal; ``namespace`` "" asks at cluster scope.

    ``any_namespace`` also counts RoleBindings in every namespace (R-33), ``any_name`` holders limited to names (R-06).
    """

    ask: ClassVar[str] = "who-can"
    verbs: tuple[str, ...]
    resource: str = ""
    group: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    url: str = ""
    any_namespace: bool = False
    any_name: bool = False
    #: Name the members of groups that a membership file lists.
    as_people: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("SUBJECT", "KIND", "SCOPE")
        return (*base, "VERBS", "NAMES", "VIA", "BINDING AT", "RULE AT") if wide else (*base, "VIA")

    def target(self) -> str:
        return request_words(self.resource, self.group, self.subresource, self.name, self.url)

    def command(self) -> str:
        scope = f" -n {self.namespace}" if self.namespace else " -A" if self.any_namespace else " --scope cluster"
        people = " --as-people" if self.as_people else ""
        return f"who-can {','.join(self.verbs)} {self.target()}{'' if self.url else scope}{people}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "verbs": list(self.verbs),
            "group": self.group,
            "resource": self.resource,
            "subresource": self.subresource,
            "name": self.name,
            "namespace": self.namespace,
            "url": self.url,
            "anyNamespace": self.any_namespace,
            "anyName": self.any_name,
        }

    def answer(self, world: World) -> Answer[AccessItem]:
        """Raises InputError without any RBAC object, UsageError without a verb or with both a resource and a URL."""
        if not self.verbs or bool(self.resource) is bool(self.url):
            raise UsageError("who-can takes verbs and either a resource or a URL")
        complete, warnings = require(world, self.ask)
        rows = _Rows(world, self)
        items = rows.items()
        if self.as_people:
            items = sorted(_with_people(world, items), key=_order)
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(self._notes(world)),
            warnings=warnings,
        )

    def _notes(self, world: World) -> list[str]:
        asked = (
            f"in namespace {self.namespace}"
            if self.namespace
            else "in any namespace or cluster-wide" if self.any_namespace else "at cluster scope"
        )
        notes = [] if self.url else [f"asked {asked}"]
        request = self.request(self.verbs[0])
        if scope_unknown(world, request):
            notes.append(f"`{request.resource}` is not in the discovery table: its scope is unknown, both are evaluated")
        if any(needs_create(world, self.request(verb)) for verb in self.verbs) and not world.minor_stated:
            notes.append(f"Kubernetes 1.{world.minor} is assumed (--k8s-version)")
        return notes

    def request(self, verb: str) -> Request:
        return Request(
            verb=verb,
            group=self.group,
            resource=self.resource,
            subresource=self.subresource,
            name=self.name,
            namespace=self.namespace,
            url=self.url,
        )


class _Rows:
    """Collects (verb, binding, rule) by subject and scope, then names them."""

    def __init__(self, world: World, question: WhoCan) -> None:
        self.world = world
        self.question = question
        self.access: Access = world.access
        #: (subject id, scope) -> (verb, binding, rule) of every grant.
        self._found: dict[tuple[int, str], list[tuple[str, int, int]]] = defaultdict(list)
        self._collect()

    def _collect(self) -> None:
        access, question = self.access, self.question
        for verb in question.verbs:
            for rule in access.matching_rules(question.request(verb), any_name=question.any_name):
                for binding in access.bindings_granting(
                    rule, question.namespace, any_namespace=question.any_namespace and not question.url
                ):
                    scope = access.bindings[binding].scope
                    for subject in access.subjects_of(binding):
                        self._found[subject, scope].append((verb, binding, rule))

    def items(self) -> list[AccessItem]:
        items = [item for (subject, scope), found in self._found.items() for item in self._split(subject, scope, found)]
        items = [item for item in items if item.subject != MASTERS_GROUP]
        masters = AccessItem(
            subject=MASTERS_GROUP,
            scope="cluster",
            verbs=self.question.verbs,
            names=(),
            because=(MASTERS_EVIDENCE, *self._masters_grants()),
            target=self.question.target(),
        )
        return [masters, *sorted(items, key=_order)]

    def _masters_grants(self) -> list[Evidence]:
        """Bindings that name system:masters add nothing to S-47, and are shown beside it."""
        return [
            evidence(self.access, binding, self.access.rules[rule], MASTERS_GROUP)
            for (subject, _), found in self._found.items()
            if self.access.subjects[subject] == MASTERS_GROUP
            for binding, rule in dict.fromkeys((binding, rule) for _, binding, rule in found)
        ]

    def _split(self, subject: int, scope: str, found: list[tuple[str, int, int]]) -> list[AccessItem]:
        """A row for what holds for all names, and one for verbs that hold for some names only."""
        unlimited = [grant for grant in found if not self._names(grant)]
        verbs = {verb for verb, _, _ in unlimited}
        limited = [grant for grant in found if self._names(grant) and grant[0] not in verbs]
        return [self._item(subject, scope, grants) for grants in (unlimited, limited) if grants]

    def _names(self, grant: tuple[str, int, int]) -> tuple[str, ...]:
        return () if self.question.url else self.access.rules[grant[2]].names

    def _item(self, subject: int, scope: str, grants: list[tuple[str, int, int]]) -> AccessItem:
        ref = self.access.subjects[subject]
        granted = {verb for verb, _, _ in grants}
        names = sorted({name for grant in grants for name in self._names(grant)})
        pairs = dict.fromkeys((binding, rule) for _, binding, rule in grants)
        return AccessItem(
            subject=ref,
            scope=scope or "cluster",
            verbs=tuple(verb for verb in self.question.verbs if verb in granted),
            names=tuple(names),
            because=tuple(evidence(self.access, binding, self.access.rules[rule]) for binding, rule in pairs),
            target=self.question.target(),
            inert=self._inert(scope, granted, names),
            unmet=self._unmet(ref, scope, granted),
            members=self.world.memberships.members.get(ref.name, ()) if ref.kind == "Group" else (),
        )

    def _inert(self, scope: str, granted: set[str], names: list[str]) -> str:
        """A reason that holds for every verb granted."""
        reasons = []
        for verb in sorted(granted):
            request = self.question.request(verb)
            if verb == "deletecollection" and names:
                reasons.append("deletecollection never has a name (S-33)")
            else:
                reasons.append(inert_because(self.world, request, scope))
        return reasons[0] if all(reasons) else ""

    def _unmet(self, subject: Ref, scope: str, granted: set[str]) -> str:
        if granted != {"get"} or not needs_create(self.world, self.question.request("get")):
            return ""
        placed = msgspec.structs.replace(self.question.request("get"), namespace=scope)
        return unmet_condition(self.world, self.world.principals_of(subject), placed)


def _with_people(world: World, items: list[AccessItem]) -> list[AccessItem]:
    """Beside each group, the members that the membership file names."""
    people = [
        replace(item, subject=subject_ref(member), members=(), through=str(item.subject))
        for item in items
        for member in item.members
    ]
    return [*items, *people]


def _order(item: AccessItem) -> tuple[Any, ...]:
    """system:masters first, cluster-wide before namespaces, then by subject; unlimited before limited."""
    subject = item.subject
    return (
        subject != MASTERS_GROUP,
        item.scope != "cluster" or bool(item.because and item.because[0].binding and item.because[0].binding.namespace),
        item.scope,
        subject.kind,
        subject.namespace or "",
        subject.name,
        item.names,
        item.through,
    )


__all__ = ["CLUSTER", "AccessItem", "WhoCan"]
