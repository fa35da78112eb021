"""Subjects by resources, one row for all subjects of a scope that hold the same roles; never subjects times resources."""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import CLUSTER, World
from graphsec.model.rbac import Request
from graphsec.model.ref import Ref, ref_order
from graphsec.query._answer import Answer, lower_name, subject_text
from graphsec.query._missing import missing_roles
from graphsec.query._needs import require
from graphsec.query._reality import inert_because, needs_create
from graphsec.query._words import flag, resource_words

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Column:
    """One resource; virtual verbs (bind, impersonate) are asked where ``verbs`` names them."""

    resource: str
    group: str = ""
    subresource: str = ""
    verbs: tuple[str, ...] = VERBS

    def request(self, verb: str) -> Request:
        return Request(verb=verb, group=self.group, resource=self.resource, subresource=self.subresource)

    def head(self) -> str:
        """Without the group, where no other column needs it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def title(self) -> str:
        """As the head of the column and the command line spell it: `pods/exec`, `deployments.apps/scale`."""
        resource = resource_words(self.resource, self.group)
        return f"{resource}/{self.subresource}" if self.subresource else resource


#: What a reviewer looks at first.
SENSITIVE = (
    Column(resource="secrets"),
    Column(resource="configmaps"),
    Column(resource="pods"),
    Column(resource="pods", subresource="exec", verbs=("create", "get")),
    Column(resource="deployments", group="apps"),
    Column(resource="serviceaccounts", subresource="token", verbs=("create",)),
    Column(resource="rolebindings", group="rbac.authorization.k8s.io"),
    Column(resource="clusterrolebindings", group="rbac.authorization.k8s.io"),
    Column(resource="nodes", subresource="proxy", verbs=("get", "create")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """Subjects of one scope that hold the same roles there. ``cells`` are the verbs per column, in its order;
    a verb that is granted for some names only ends in ``!``."""

    subjects: tuple[Ref, ...]
    #: "cluster" or a namespace; grants at cluster scope are not repeated in namespaces.
    scope: str
    roles: tuple[Ref, ...]
    columns: tuple[Column, ...]
    cells: tuple[tuple[str, ...], ...]

    def row(self, *, wide: bool) -> tuple[str, ...]:
        shown = self.subjects if wide else self.subjects[:3]
        more = f" (+{len(self.subjects) - len(shown)})" if len(shown) < len(self.subjects) else ""
        who = ", ".join(map(subject_text, shown)) + more
        return (who, self.scope, *(_cell(cell, column) for cell, column in zip(self.cells, self.columns, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        return {
            "subjects": [str(subject) for subject in self.subjects],
            "scope": self.scope,
            "roles": [str(role) for role in self.roles],
            "verbs": {column.title(): list(cell) for column, cell in zip(self.columns, self.cells, strict=True)},
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.diagram import Arrow, DrawnKind, Vertex
        from graphsec.query._grants import vertex

        permissions = [
            (f"{_cell(cell, column)} {column.title()}")
            for column, cell in zip(self.columns, self.cells, strict=True)
            if cell
        ]
        # Folding makes one node of the permissions of a row, and one of the subjects that have just these.
        row = f"Permission/{'; '.join(permissions)}"
        vertices = [Vertex(key=f"{row}/{text}", label=text, kind=DrawnKind.PERMISSION) for text in permissions]
        arrows = []
        for subject in self.subjects:
            holder = Vertex(
                key=f"{subject} in {self.scope}",
                label=f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name,
                kind=vertex(subject).kind,
                group="" if self.scope == "cluster" else self.scope,
                framed=True,
            )
            vertices.append(holder)
            arrows += [Arrow(tail=holder.key, head=f"{row}/{text}") for text in permissions]
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        return tuple(map(lower_name, self.subjects))


def _cell(verbs: tuple[str, ...], column: Column) -> str:
    return "all" if verbs == column.verbs and len(verbs) > 2 else ",".join(verbs) or "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Who holds which verbs on ``columns``, in ``namespace`` (cluster-wide grants beside it) or everywhere."""

    ask: ClassVar[str] = "matrix"
    resources: tuple[Column, ...] = SENSITIVE
    namespace: str = ""
    #: Keep the bindings that every cluster has.
    builtin: bool = True

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        heads = [column.head() for column in self.resources]
        if len(set(heads)) < len(heads):
            heads = [column.title() for column in self.resources]
        return ("SUBJECTS", "SCOPE", *map(str.upper, heads))

    def command(self) -> str:
        words = " ".join(shlex.quote(column.title()) for column in self.resources)
        return f"matrix {words}{flag('-n', self.namespace) or ' -A'}"

    def to_dict(self) -> dict[str, Any]:
        resources = [column.title() for column in self.resources]
        return {"resources": resources, "namespace": self.namespace, "builtin": self.builtin}

    def answer(self, world: World) -> Answer[MatrixRow]:
        """Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        verbs_of = self._verbs_by_role(world)
        rows = [
            MatrixRow(
                subjects=subjects,
                scope=scope or "cluster",
                roles=roles,
                columns=self.resources,
                cells=tuple(
                    self._united(world, column, [verbs_of[role] for role in roles], scope) for column in self.resources
                ),
            )
            for (scope, roles), subjects in self._classes(world).items()
        ]
        return Answer(
            question=self,
            items=tuple(row for row in rows if any(row.cells)),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=(
                "verb!: for some names only; verb?: needs a further verb that is not granted (S-34, S-37)",
                "rows of a namespace do not repeat what holds cluster-wide, nor what is inert there (S-36)",
                *(() if self.builtin else ("bindings that every cluster has are left out (--include-builtin)",)),
            ),
            warnings=(*warnings, *missing_roles(world, self.namespace or None)),
        )

    def _classes(self, world: World) -> dict[tuple[str, tuple[Ref, ...]], tuple[Ref, ...]]:
        """(scope, roles) -> subjects that hold exactly those roles there."""
        held: dict[tuple[str, Ref], set[Ref]] = defaultdict(set)
        for binding in world.access.bindings:
            if binding.role in world.access.roles and binding.scope in (CLUSTER, self.namespace or binding.scope):
                if not self.builtin and world.provenance.is_builtin(binding.ref):
                    continue
                for subject in binding.subjects:
                    held[binding.scope, subject].add(binding.role)
        classes: dict[tuple[str, tuple[Ref, ...]], list[Ref]] = defaultdict(list)
        for (scope, subject), roles in held.items():
            classes[scope, tuple(sorted(roles, key=ref_order))].append(subject)
        ordered = sorted(classes.items(), key=lambda item: (item[0][0], [ref_order(role) for role in item[0][1]]))
        return {key: tuple(sorted(subjects, key=ref_order)) for key, subjects in ordered}

    def _verbs_by_role(self, world: World) -> dict[Ref, dict[Column, dict[str, bool]]]:
        """role -> column -> verb -> True if for all names."""
        access = world.access
        by_rule: dict[int, list[tuple[Column, str, bool]]] = defaultdict(list)
        for column in self.resources:
            for verb in column.verbs:
                for rule in access.matching_rules(column.request(verb), any_name=True):
                    by_rule[rule].append((column, verb, not access.rules[rule].names))
        verbs: dict[Ref, dict[Column, dict[str, bool]]] = {}
        for role, rules in access.rules_by_role().items():
            cells: dict[Column, dict[str, bool]] = defaultdict(dict)
            for rule in rules:
                for column, verb, unlimited in by_rule.get(rule, ()):
                    cells[column][verb] = cells[column].get(verb, False) or unlimited
            verbs[role] = cells
        return verbs

    def _united(
        self, world: World, column: Column, roles: list[dict[Column, dict[str, bool]]], scope: str
    ) -> tuple[str, ...]:
        """Verbs of all roles together, without those that serve no real request in the scope (S-36)."""
        found: dict[str, bool] = {}
        for role in roles:
            for verb, unlimited in role.get(column, {}).items():
                found[verb] = found.get(verb, False) or unlimited
        return tuple(
            f"{verb}{'' if found[verb] else '!'}{'?' if _lacks(world, column, verb, found) else ''}"
            for verb in column.verbs
            if verb in found and not _is_inert(world, column, verb, scope, limited=not found[verb])
        )


def _is_inert(world: World, column: Column, verb: str, scope: str, *, limited: bool) -> bool:
    return (limited and verb == "deletecollection") or bool(inert_because(world, column.request(verb), scope))


def _lacks(world: World, column: Column, verb: str, found: dict[str, bool]) -> bool:
    """Whether another verb is needed that these roles do not hold (S-34, S-37)."""
    if verb == "create" and not found[verb] and not column.subresource:
        return "patch" not in found
    return needs_create(world, column.request(verb)) and "create" not in found
