"""Who may perform one request, or any of several verbs on it: everyone for whom can-i says yes (rbac.md §7.1)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from graphsec.compile import CLUSTER, AccessIndex, World
from graphsec.model.rbac import MASTERS, MASTERS_GROUP, Request, Target, subject_ref
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer, Deferred, Evidence, lower_name, subject_text
from graphsec.query._grants import MASTERS_EVIDENCE, draw_grant, evidence
from graphsec.query._missing import missing_roles
from graphsec.query._needs import require
from graphsec.query._reality import assumed_version, inert_because, needs_create, scope_unknown, unmet_condition
from graphsec.query._words import flag, target_words, verb_words

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


#: What the Node authorizer gives nodes, by the pods that run on them.
_READ_BY_NODES = {("", "secrets"), ("", "configmaps"), ("", "persistentvolumeclaims"), ("", "persistentvolumes")}
COLUMNS = ("SUBJECT", "KIND", "SCOPE", "VIA")
WIDE_COLUMNS = ("SUBJECT", "KIND", "SCOPE", "VERBS", "NAMES", "VIA", "REMARKS", "BINDING AT", "RULE AT")


class Access(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    #: Where only some verbs serve no real request: those.
    inert_verbs: tuple[str, ...] = ()
    #: For a group: its members where a membership file lists them.
    members: tuple[str, ...] = ()
    #: For a person named through a group by ``as_people``.
    through: str = ""

    @property
    def effective(self) -> bool:
        """False where no real request has these attributes (S-15, S-36)."""
        return not self.inert

    def row(self, *, wide: bool) -> tuple[str, ...]:
        first = self.because[0]
        cells = (subject_text(self.subject), self.subject.kind, self.scope)
        remarks = self._remarks()
        if not wide:
            return (*cells, "".join([str(first), *(f" ({remark})" for remark in remarks)]))
        places = (str(first.source or ""), str(first.rule_source or ""))
        return (*cells, ",".join(self.verbs), ",".join(self.names) or "*", str(first), "; ".join(remarks), *places)

    def _remarks(self) -> list[str]:
        remarks = [
            f"name: {', '.join(self.names)}" if self.names else "",
            f"+{len(self.because) - 1} more" if len(self.because) > 1 else "",
            f"through {self.through}" if self.through else "",
            f"members: {', '.join(self.members)}" if self.members else "",
            f"inert: {self.inert}" if self.inert else "",
            f"inert for {', '.join(self.inert_verbs)}" if self.inert_verbs else "",
            self.unmet,
        ]
        return [remark for remark in remarks if remark]

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "subject": str(self.subject),
            "scope": self.scope,
            "verbs": list(self.verbs),
            "names": list(self.names),
            "effective": self.effective,
            "because": [proof.to_dict() for proof in self.because],
        }
        extra = {
            "inert": self.inert,
            "inertVerbs": list(self.inert_verbs),
            "unmet": self.unmet,
            "through": self.through,
            "members": list(self.members),
        }
        return fields | {key: value for key, value in extra.items() if value}

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        permission = f"{','.join(self.verbs)} {self.target}"
        if self.names:
            permission += f" named {', '.join(self.names)}"
        group = Ref("Group", self.through.removeprefix("Group/")) if self.through else None
        for proof in self.because:
            named = msgspec.structs.replace(proof, subject=group) if group else proof
            nodes, edges = draw_grant(self.subject, named, permission, dashed=bool(self.inert or self.unmet))
            vertices += nodes
            arrows += edges
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.subject),)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoCan:
    """Who may do any of ``verbs`` on ``target``.

    ``any_namespace`` also counts RoleBindings in every namespace (R-33), ``any_name`` holders limited to names (R-06).
    """

    ask: ClassVar[str] = "who-can"
    verbs: tuple[str, ...]
    target: Target
    any_namespace: bool = False
    any_name: bool = False
    #: Name the members of groups that a membership file lists.
    as_people: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return WIDE_COLUMNS if wide else COLUMNS

    def command(self) -> str:
        scope = flag("-n", self.target.namespace) or (" -A" if self.any_namespace else " --scope cluster")
        people = " --as-people" if self.as_people else ""
        return f"who-can {verb_words(self.verbs)} {target_words(self.target)}{'' if self.target.url else scope}{people}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "verbs": list(self.verbs),
            **msgspec.structs.asdict(self.target),
            "anyNamespace": self.any_namespace,
            "anyName": self.any_name,
            "asPeople": self.as_people,
        }

    def answer(self, world: World) -> Answer[Access]:
        """Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        namespace = "" if self.target.url else self.target.namespace
        rows = _Rows(world, self)
        items: Sequence[Access] = Deferred(len(rows), rows.items)
        if self.as_people:
            items = _with_people(items)
        return Answer(
            question=self,
            items=items,
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(self._notes(world)),
            warnings=(*warnings, *missing_roles(world, None if self.any_namespace else namespace)),
        )

    def _notes(self, world: World) -> list[str]:
        target = self.target
        notes = [] if target.url else [f"asked {self._scope()}"]
        if scope_unknown(world, target.request("")):
            notes.append(f"`{target.resource}` is not in the discovery table: its scope is unknown, both are evaluated")
        if any(needs_create(world, target.request(verb)) for verb in self.verbs) and not world.minor_stated:
            notes.append(assumed_version(world))
        if not world.memberships:
            notes.append("who is in which group is not in the input (--memberships)")
        if (target.group, target.resource) in _READ_BY_NODES:
            notes.append(f"nodes read the {target.resource} of their pods through the Node authorizer (S-80)")
        return notes

    def _scope(self) -> str:
        if self.target.namespace:
            return f"in namespace {self.target.namespace}"
        return "in any namespace or cluster-wide" if self.any_namespace else "at cluster scope"


#: Verbs held for all names and for some, as bits in the question's order, and the rules behind them by verb bit.
_Held = tuple[int, int, list[tuple[int, int]]]
#: subject -> (binding, content) of every grant in one scope.
_Grants = dict[int, list[tuple[int, int]]]


class _Request(NamedTuple):
    """A question without its namespace: what reviewers ask of many namespaces in turn."""

    requests: tuple[Request, ...]
    any_name: bool


class _Holding:
    """Which role contents grant a request, and to whom at cluster scope. Read-only, so that questions share it."""

    def __init__(self, access: AccessIndex, asked: _Request) -> None:
        self.contents: dict[int, _Held] = {}
        for position, request in enumerate(asked.requests):
            bit = 1 << position
            for rule in access.matching_rules(request, any_name=asked.any_name):
                limited = bool(access.rules[rule].names) and not request.url
                for content in access.contents_with(rule):
                    everywhere, somewhere, rules = self.contents.get(content, (0, 0, []))
                    rules.append((bit, rule))
                    self.contents[content] = (
                        (everywhere, somewhere | bit, rules) if limited else (everywhere | bit, somewhere, rules)
                    )
        self.any_limited = any(somewhere for _, somewhere, _ in self.contents.values())
        self.at_cluster = self.grants(access, access.bindings_at_cluster()).get(CLUSTER, {})

    def grants(self, access: AccessIndex, bindings_to: Mapping[int, Sequence[int]]) -> dict[str, _Grants]:
        """scope -> subject -> grants, from bindings by the content of their role."""
        found: dict[str, _Grants] = defaultdict(lambda: defaultdict(list))
        bindings, subjects_of = access.bindings, access.subjects_of
        for content in self.contents.keys() & bindings_to.keys():
            for binding in bindings_to[content]:
                grant = (binding, content)
                held = found[bindings[binding].ref.namespace or CLUSTER]
                for subject in subjects_of[binding]:
                    held[subject].append(grant)
        return found


class _Rows:
    """The holders of a question, counted at once and described when first looked at.

    From matching rules to role contents to bindings to (subject, scope): verbs are bits until a row is written.
    """

    def __init__(self, world: World, question: WhoCan) -> None:
        self.world = world
        self.question = question
        self.access: AccessIndex = world.access
        everywhere = msgspec.structs.replace(question.target, namespace="")
        asked = _Request(tuple(everywhere.request(verb) for verb in question.verbs), question.any_name)
        holding = world.access.once(asked, lambda: _Holding(world.access, asked))
        self._held = holding.contents
        self._any_limited = holding.any_limited
        self._target = target_words(question.target)
        self._masters = world.access.id_of(MASTERS_GROUP)
        self._found: dict[str, _Grants] = {}
        if not question.target.url:
            namespace = None if question.any_namespace else question.target.namespace
            self._found = holding.grants(world.access, world.access.bindings_in(namespace))
        self._found[CLUSTER] = holding.at_cluster
        self._count = self._count_rows()
        self._requests = {verb: question.target.request(verb) for verb in question.verbs}
        #: Verbs that ask for a further request, whatever the name.
        self._create_too = {verb for verb, request in self._requests.items() if needs_create(world, request)}
        self._inert: dict[tuple[str, int, bool], str] = {}
        self._evidence: dict[tuple[int, int], Evidence] = {}

    def __len__(self) -> int:
        return self._count

    def _count_rows(self) -> int:
        """One for system:masters, one for each other holder and scope, and one more where names limit further verbs."""
        rows = 1 + sum(len(subjects) - (self._masters in subjects) for subjects in self._found.values())
        if self._any_limited:
            for subjects in self._found.values():
                for subject, grants in subjects.items():
                    everywhere, somewhere = self._bits(grants)
                    rows += bool(everywhere and somewhere) and subject != self._masters
        return rows

    def _bits(self, grants: list[tuple[int, int]]) -> tuple[int, int]:
        """Verbs held for all names, and those held for some names only."""
        everywhere = somewhere = 0
        for _, content in grants:
            held = self._held[content]
            everywhere |= held[0]
            somewhere |= held[1]
        return everywhere, somewhere & ~everywhere

    def items(self) -> tuple[Access, ...]:
        """In canonical order: system:masters, then cluster scope, then namespaces; subjects in order, unlimited first."""
        ranks = self.access.ranks
        masters: list[Evidence] = [MASTERS_EVIDENCE]
        items: list[Access] = []
        for scope in sorted(self._found):
            found = self._found[scope]
            for subject in sorted(found, key=ranks.__getitem__):
                grants = sorted(found[subject])
                everywhere, somewhere = self._bits(grants)
                if subject == self._masters:
                    # Bindings that name system:masters add nothing to S-47, and are shown beside it.
                    masters += self._proofs(grants, everywhere | somewhere, limited=None)
                    continue
                if everywhere:
                    items.append(self._item(subject, scope, grants, everywhere, limited=False))
                if somewhere:
                    items.append(self._item(subject, scope, grants, somewhere, limited=True))
        first = Access(
            subject=MASTERS_GROUP,
            scope="cluster",
            verbs=self.question.verbs,
            names=(),
            because=tuple(masters),
            target=self._target,
            members=self.world.memberships.members.get(MASTERS, ()),
        )
        return (first, *items)

    def _item(self, subject: int, scope: str, grants: list[tuple[int, int]], bits: int, *, limited: bool) -> Access:
        ref = self.access.subjects[subject]
        proofs = self._proofs(grants, bits, limited=limited)
        names = {name for proof in proofs if proof.rule for name in proof.rule.names} if limited else ()
        return Access(
            subject=ref,
            scope=scope or "cluster",
            verbs=self._verbs(bits),
            names=tuple(sorted(names)),
            because=proofs,
            target=self._target,
            inert=self._inert_because(scope, bits, limited),
            inert_verbs=self._inert_verbs(scope, bits, limited),
            unmet=self._unmet(ref, scope, proofs, bits, limited),
            members=self.world.memberships.members.get(ref.name, ()) if ref.kind == "Group" else (),
        )

    def _verbs(self, bits: int) -> tuple[str, ...]:
        return tuple(verb for position, verb in enumerate(self.question.verbs) if bits >> position & 1)

    def _proofs(self, grants: list[tuple[int, int]], bits: int, *, limited: bool | None) -> tuple[Evidence, ...]:
        """Evidence of each binding and rule that grants one of the verbs; for all names, for some, or (None) either."""
        access = self.access
        found: dict[tuple[int, int], None] = {}
        for binding, content in grants:
            for bit, rule in self._held[content][2]:
                named = bool(access.rules[rule].names) and not self.question.target.url
                if bit & bits and limited in (None, named):
                    found[binding, rule] = None
        return tuple([self._proof(binding, rule) for binding, rule in found])

    def _proof(self, binding: int, rule: int) -> Evidence:
        known = self._evidence.get((binding, rule))
        if known is None:
            known = self._evidence[binding, rule] = evidence(self.access, binding, self.access.rules[rule])
        return known

    def _inert_because(self, scope: str, bits: int, limited: bool) -> str:
        """A reason that holds for every verb granted."""
        key = (scope, bits, limited)
        if key not in self._inert:
            reasons = [self._inert_verb(verb, scope, limited) for verb in sorted(self._verbs(bits))]
            self._inert[key] = reasons[0] if all(reasons) else ""
        return self._inert[key]

    def _inert_verbs(self, scope: str, bits: int, limited: bool) -> tuple[str, ...]:
        """Verbs without real requests, where others have them."""
        if bits & (bits - 1) == 0 or self._inert_because(scope, bits, limited):
            return ()
        return tuple(verb for verb in self._verbs(bits) if self._inert_verb(verb, scope, limited))

    def _inert_verb(self, verb: str, scope: str, limited: bool) -> str:
        if verb == "deletecollection" and limited:
            return "deletecollection never has a name (S-33)"
        return inert_because(self.world, self._requests[verb], scope)

    def _unmet(self, subject: Ref, scope: str, proofs: tuple[Evidence, ...], bits: int, limited: bool) -> str:
        """A reason that holds for every verb that has real requests at all."""
        verbs = self._verbs(bits)
        name = self.question.target.name or (proofs[0].rule.names[0] if limited and proofs[0].rule else "")
        conditional = [verb for verb in verbs if verb in self._create_too or (verb == "create" and name)]
        if not conditional:
            return ""
        real = [verb for verb in verbs if not self._inert_verb(verb, scope, limited)]
        if not real or not {*real} <= {*conditional}:
            return ""
        placed = msgspec.structs.replace(self.question.target, namespace=scope, name=name)
        principals = self.world.principals_of(subject)
        reasons = [unmet_condition(self.world, principals, placed.request(verb)) for verb in real]
        return reasons[0] if all(reasons) else ""


def _with_people(items: Sequence[Access]) -> tuple[Access, ...]:
    """Behind each group, the members that the membership file names."""
    people: list[Access] = []
    for item in items:
        people.append(item)
        people += [
            msgspec.structs.replace(item, subject=subject_ref(member), members=(), through=str(item.subject))
            for member in item.members
        ]
    return tuple(people)
