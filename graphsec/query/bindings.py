"""Which bindings there are: by subject, by role, by namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import CLUSTER, World
from graphsec.model.rbac import Binding
from graphsec.model.ref import Ref, Source, ref_order
from graphsec.query._answer import Answer, Evidence, lower_name, subject_text
from graphsec.query._needs import require
from graphsec.query._words import flag

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingItem:
    """One binding; ``dangling`` if its role is not in the input."""

    binding: Ref
    role: Ref
    subjects: tuple[Ref, ...]
    source: Source
    dangling: bool

    @property
    def because(self) -> tuple[Evidence, ...]:
        return (Evidence(binding=self.binding, role=self.role, source=self.source),)

    def row(self, *, wide: bool) -> tuple[str, ...]:
        role = f"{self.role} (missing)" if self.dangling else str(self.role)
        shown = self.subjects if wide else self.subjects[:3]
        more = f" (+{len(self.subjects) - len(shown)})" if len(shown) < len(self.subjects) else ""
        who = ", ".join(map(subject_text, shown)) + more
        return (str(self.binding), role, who or "-", str(self.source))

    def to_dict(self) -> dict[str, Any]:
        return {
            "binding": str(self.binding),
            "role": str(self.role),
            "subjects": [str(subject) for subject in self.subjects],
            "dangling": self.dangling,
            "because": [proof.to_dict() for proof in self.because],
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        from graphsec.diagram import Arrow, Line
        from graphsec.query._grants import vertex

        binding, role = vertex(self.binding), vertex(self.role)
        subjects = [vertex(subject) for subject in self.subjects]
        arrows = [Arrow(tail=subject.key, head=binding.key) for subject in subjects]
        arrows.append(Arrow(tail=binding.key, head=role.key, style=Line.DASHED if self.dangling else Line.SOLID))
        return [*subjects, binding, role], arrows

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.binding),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """Bindings that name ``subject`` (or one of its groups) and ``role``, each if given; ``namespace`` "" is everywhere."""

    ask: ClassVar[str] = "bindings"
    subject: Ref | None = None
    #: `ClusterRole/edit`, `Role/ns/reader` or a bare name of either kind.
    role: str = ""
    namespace: str = ""

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return ("BINDING", "ROLE", "SUBJECTS", "AT")

    def command(self) -> str:
        subject = str(self.subject) if self.subject else ""
        return f"bindings{flag('--subject', subject)}{flag('--role', self.role)}{flag('-n', self.namespace)}"

    def to_dict(self) -> dict[str, Any]:
        return {"subject": str(self.subject or ""), "role": self.role, "namespace": self.namespace}

    def answer(self, world: World) -> Answer[BindingItem]:
        """Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        principals = set(world.principals_of(self.subject)) if self.subject else set()
        items = [
            BindingItem(
                binding=binding.ref,
                role=binding.role,
                subjects=tuple(sorted(binding.subjects, key=ref_order)),
                source=binding.source,
                dangling=binding.role not in world.access.roles,
            )
            for binding in world.access.bindings
            if self._wants(binding, principals)
        ]
        return Answer(
            question=self,
            items=tuple(sorted(items, key=lambda item: ref_order(item.binding))),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            warnings=warnings,
        )

    def _wants(self, binding: Binding, principals: set[Ref]) -> bool:
        return (
            (not principals or not principals.isdisjoint(binding.subjects))
            and self.role in ("", binding.role.name, str(binding.role))
            and (not self.namespace or binding.scope in (self.namespace, CLUSTER))
        )
