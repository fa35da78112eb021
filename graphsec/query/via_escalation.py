"""Who could come to do this: everybody from whom an attack path leads to somebody who may (``who-can --via escalation``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from graphsec.compile import CLUSTER, World
from graphsec.model.attack import CLUSTER as ADMIN
from graphsec.model.attack import Fact, FactKind
from graphsec.model.rbac import MASTERS, allows
from graphsec.model.ref import Ref
from graphsec.query._answer import Answer
from graphsec.query._attack_ends import End
from graphsec.query._attack_reach import reaching
from graphsec.query._attack_starts import all_starts
from graphsec.query._needs import require
from graphsec.query.paths import PROVED, AttackPath, Search
from graphsec.query.who_can import WhoCan

K = FactKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ViaEscalation:
    """``direct`` is the plain question; whoever answers it is not listed again."""

    ask: ClassVar[str] = "paths"
    direct: WhoCan
    include_builtin: bool = False

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        base = ("FROM", "TO", "VERDICT", "HOPS", "BY")
        return (*base, "ASSUMES", "WHERE") if wide else base

    def command(self) -> str:
        return f"{self.direct.command()} --via escalation"

    def to_dict(self) -> dict[str, Any]:
        return {"via": "escalation", **self.direct.to_dict()}

    def answer(self, world: World) -> Answer[AttackPath]:
        """Raises InputError without any RBAC object."""
        complete, warnings = require(world, self.ask)
        search = Search(world)
        holders = {access.subject for access in self.direct.answer(world)}
        end = End(
            f"who may {' or '.join(self.direct.verbs)} {self.direct.target.resource or self.direct.target.url}",
            tuple(self._goals(search, holders)),
        )
        starts, left_out = all_starts(world, search.graph, include_builtin=self.include_builtin)
        direct = {str(holder) for holder in holders}
        known = [start for start in starts if start.text not in direct and not _inherits(world, start, holders)]
        items = [search.path(one.start, end, one.proof) for one in reaching(search.graph, known, end)]
        items.sort(key=lambda path: (path.verdict != PROVED, path.hops, path.source))
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=tuple(search.notes(items, end)),
            warnings=warnings,
            left_out=left_out,
        )

    def _goals(self, search: Search, holders: set[Ref]) -> list[Fact]:
        """The holders, cluster-admin, and roles that the attacker may bind and that allow it."""
        found = [ADMIN, *(Fact(K(ref.kind), ref.name, ref.namespace or "") for ref in holders if ref.name != MASTERS)]
        target = self.direct.target
        requests = [target.request(verb) for verb in self.direct.verbs]
        access, drawing = search.graph.drawing.access, search.graph.drawing
        for fact in search.graph.horn.facts:
            if fact.kind is K.GRANT and fact.namespace in (CLUSTER, target.namespace):
                roles = [access.roles[ref] for ref in drawing.roles_behind(fact) if ref in access.roles]
                whole = fact.name == "ClusterRole/*"
                if whole or any(allows(rule, request) for role in roles for rule in role.rules for request in requests):
                    found.append(fact)
        return found


def _inherits(world: World, start: End, holders: set[Ref]) -> bool:
    """Whether a group of the start may do it already."""
    kind, _, rest = start.text.partition("/")
    namespace, _, name = rest.rpartition("/")
    subject = Ref(kind, name, namespace or None) if kind == "ServiceAccount" else Ref(kind, rest)
    return bool(holders.intersection(world.principals_of(subject)))
