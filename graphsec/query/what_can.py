"""Everything a subject may do: its own grants and those of its groups, rule by rule and scope by scope."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.model.rbac import PolicyRule, covers
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer, Evidence, lower_name, subject_text
from graphsec.query._grants import NODES, draw_grant, held_rules, rule_text
from graphsec.query._missing import missing_roles
from graphsec.query._needs import require
from graphsec.query._reality import inert_rule, unmet_rule
from graphsec.query._words import flag

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One rule that applies to the subject in one scope."""

    subject: Ref
    rule: PolicyRule
    #: "cluster" or a namespace.
    scope: str
    because: tuple[Evidence, ...]
    #: Why nothing in the rule serves a real request in this scope.
    inert: str = ""
    #: A further request that something in the rule needs and that is not granted.
    unmet: str = ""

    def row(self, *, wide: bool) -> tuple[str, ...]:
        rule = self.rule
        what = (
            " ".join(rule.urls)
            if rule.urls
            else ",".join(
                f"{resource}.{group}" if group else resource for group in rule.groups for resource in rule.resources
            )
        )
        more = f" (+{len(self.because) - 1} more)" if len(self.because) > 1 else ""
        more += f" (inert: {self.inert})" if self.inert else f" ({self.unmet})" if self.unmet else ""
        cells = (what, ",".join(rule.names) or "*", ",".join(rule.verbs), self.scope, f"{self.because[0]}{more}")
        return (*cells, str(self.because[0].source or ""), str(self.because[0].rule_source or "")) if wide else cells

    def to_dict(self) -> dict[str, Any]:
        return {
            "subject": str(self.subject),
            "rule": self.rule.to_mapping(),
            "scope": self.scope,
            "because": [proof.to_dict() for proof in self.because],
            **({"inert": self.inert} if self.inert else {}),
            **({"unmet": self.unmet} if self.unmet else {}),
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        for proof in self.because:
            nodes, edges = draw_grant(self.subject, proof, rule_text(self.rule), dashed=False)
            vertices += nodes
            arrows += edges
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        proof = self.because[0]
        return (lower_name(proof.role) if proof.role else "group/system:masters",)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatCan:
    """What ``subject`` may do; a group is asked for itself, a user or account with its groups."""

    ask: ClassVar[str] = "what-can"
    subject: Ref
    #: "" is every scope; a namespace leaves out what holds in others only.
    namespace: str = ""

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("RESOURCES", "NAMES", "VERBS", "SCOPE", "VIA")
        return (*base, "BINDING AT", "RULE AT") if wide else base

    def command(self) -> str:
        return f"what-can {shlex.quote(str(self.subject))}{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        return {"subject": str(self.subject), "namespace": self.namespace}

    def answer(self, world: World) -> Answer[Grant]:
        """Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        principals = world.principals_of(self.subject)
        found = held_rules(world, principals, self.namespace)
        items = [
            Grant(
                subject=self.subject,
                rule=rule,
                scope=scope or "cluster",
                because=tuple(because),
                inert=inert_rule(world, rule, scope),
                unmet=unmet_rule(world, principals, rule, scope),
            )
            for (scope, rule), because in sorted(found.items(), key=lambda item: (item[0][0], _rule_order(item[0][1])))
        ]
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(self._notes(world, principals)),
            warnings=(*warnings, *missing_roles(world, self.namespace or None, principals)),
        )

    def _notes(self, world: World, principals: tuple[Ref, ...]) -> list[str]:
        groups = [subject_text(principal) for principal in principals[1:]]
        notes = [f"with the grants of {', '.join(groups)}"] if groups else []
        if self.subject.kind == "User" and not world.memberships:
            notes.append("groups that the identity provider adds are not in the input (--memberships)")
        if NODES in principals:
            notes.append("what nodes may do with the objects of their pods decides the Node authorizer (S-80)")
        return notes


def _rule_order(rule: PolicyRule) -> tuple[Any, ...]:
    return (bool(rule.urls), rule.groups, rule.resources, rule.names, rule.verbs, rule.urls)


def minimal_rules(rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Fewer rules that allow exactly the same (Covers both ways): covered ones dropped, equal dimensions merged."""
    remaining = sorted(set(map(_normal, rules)), key=_rule_order)
    kept = [
        rule
        for index, rule in enumerate(remaining)
        if not covers(
            [
                other
                for position, other in enumerate(remaining)
                if position != index and _wider(other, rule, position < index)
            ],
            [rule],
        )
    ]
    for fields in (
        ("groups", "resources", "names", "urls"),
        ("groups", "verbs", "names", "urls"),
        ("verbs", "groups", "resources", "names"),
    ):
        kept = _merged(kept, fields)
    return tuple(sorted(kept, key=_rule_order))


def _wider(other: PolicyRule, rule: PolicyRule, earlier: bool) -> bool:
    """Of two rules that cover each other only the earlier one may stand in for the other."""
    return earlier or not covers([rule], [other])


def _normal(rule: PolicyRule) -> PolicyRule:
    return PolicyRule(
        verbs=tuple(sorted(set(rule.verbs))),
        groups=tuple(sorted(set(rule.groups))),
        resources=tuple(sorted(set(rule.resources))),
        names=tuple(sorted(set(rule.names))),
        urls=tuple(sorted(set(rule.urls))),
    )


def _merged(rules: list[PolicyRule], same: tuple[str, ...]) -> list[PolicyRule]:
    """Rules that are equal in the fields ``same`` become one, the one other field united: the cross product is the same."""
    other = next(name for name in ("verbs", "resources", "urls") if name not in same)
    united: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for rule in rules:
        united[tuple(getattr(rule, name) for name in same)].update(getattr(rule, other))
    return [
        PolicyRule(**dict(zip(same, key, strict=True)), **{other: tuple(sorted(values))})
        for key, values in united.items()
    ]


def equivalent_roles(answer: Answer[Grant]) -> list[dict[str, Any]]:
    """A ClusterRole and Roles, one per namespace, that together allow exactly what the answer lists."""
    by_scope: dict[str, list[PolicyRule]] = defaultdict(list)
    for grant in answer:
        by_scope[grant.scope].append(grant.rule)
    name = _role_name(answer)
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole" if scope == "cluster" else "Role",
            "metadata": {"name": name} | ({} if scope == "cluster" else {"namespace": scope}),
            "rules": [rule.to_mapping() for rule in minimal_rules(rules)],
        }
        for scope, rules in sorted(by_scope.items(), key=lambda item: (item[0] != "cluster", item[0]))
    ]


def _role_name(answer: Answer[Grant]) -> str:
    subject: Ref = answer.question.subject  # type: ignore[attr-defined]
    return subject.name.replace("/", "-").replace("%", "-") or "role"
