"""What is open to take over: workloads that the outside opens, and how far an attacker gets from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from graphsec.compile import World
from graphsec.errors import UsageError
from graphsec.query._answer import Answer, lower_name
from graphsec.query._attack_ends import SINKS, End, start
from graphsec.query._attack_network import marked
from graphsec.query._needs import require
from graphsec.query._shared import shared
from graphsec.query.exposed import Exposed, Exposure
from graphsec.query.paths import AttackPath, Search

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Vertex


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A workload, the routes to it, whether it is marked exploitable, and the sinks that fall with it."""

    exposures: tuple[Exposure, ...]
    mark: str
    paths: tuple[AttackPath, ...]

    @property
    def workload(self) -> Any:
        return self.exposures[0].workload

    @property
    def routes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(found.route or found.source for found in self.exposures))

    @property
    def because(self) -> tuple[Any, ...]:
        return tuple(ground for path in self.paths for ground in path.because)

    def row(self, *, wide: bool) -> tuple[str, ...]:
        ports = " ".join(dict.fromkeys(str(found.ports) for found in self.exposures))
        falls = ", ".join(f"{path.target} ({path.verdict})" for path in self.paths) or "-"
        workload = self.workload
        return (
            f"{workload.namespace}/{workload.name}[{workload.kind}]",
            ", ".join(self.routes),
            ports,
            self.mark or "-",
            falls,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "workload": str(self.workload),
            "routes": list(self.routes),
            "marked": self.mark or None,
            "reaches": [path.to_dict() for path in self.paths],
        }

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        vertices: list[Vertex] = []
        arrows: list[Arrow] = []
        for path in self.paths:
            nodes, edges = path.drawing()
            vertices += nodes
            arrows += edges
        return vertices, arrows

    def refs(self) -> tuple[str, ...]:
        return (lower_name(self.workload),)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoints:
    ask: ClassVar[str] = "exposed"

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return ("WORKLOAD", "VIA", "PORTS", "MARKED", "FALLS WITH IT")

    def command(self) -> str:
        return "entry-points"

    def to_dict(self) -> dict[str, Any]:
        return {}

    def answer(self, world: World) -> Answer[EntryPoint]:
        """Worst first. Raises InputError without pods or workloads, or where NetworkPolicies were never collected."""
        complete, warnings = require(world, self.ask)
        search = Search(world)
        by_workload: dict[Any, list[Exposure]] = {}
        for found in shared(Exposed(), world):
            if found.origin == "internet" and found.verdict != "no":
                by_workload.setdefault(found.workload, []).append(found)
        marks = {ref: entry.reason for ref, entry in marked(world)}
        items = [
            _entry(world, search, tuple(exposures), marks.get(workload, ""))
            for workload, exposures in by_workload.items()
        ]
        items.sort(key=lambda item: (not item.mark, -len(item.paths), str(item.workload)))
        return Answer(
            question=self,
            items=tuple(items),
            complete=complete,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            notes=(
                "being open is no weakness by itself: MARKED says what an entries file or a scanner knows (--entries)",
            ),
            warnings=warnings,
        )


def _entry(world: World, search: Search, exposures: tuple[Exposure, ...], mark: str) -> EntryPoint:
    workload = exposures[0].workload
    paths: list[AttackPath] = []
    try:
        given = start(f"{workload.kind}/{workload.namespace}/{workload.name}", world, search.graph)
    except UsageError:
        # A pod of a custom resource: nothing is known of what it runs as.
        return EntryPoint(exposures=exposures, mark=mark, paths=())
    for text, fact in SINKS.items():
        paths += search.paths(given, End(text, (fact,)))
    return EntryPoint(exposures=exposures, mark=mark, paths=tuple(paths))
