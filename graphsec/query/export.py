"""The whole typed graph, attack edges included, for other tools to search: one streaming writer for each format.

Edges say what follows from what; verdicts (what is proved, what rests on assumptions) are those of `paths`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar, NamedTuple

from graphsec.compile import World
from graphsec.errors import InputError, LimitError, UsageError
from graphsec.query._answer import Answer
from graphsec.query._export_sheet import doubts
from graphsec.query._export_writers import (
    attack_relation,
    write_cypher,
    write_cytoscape,
    write_graphml,
    write_node_link,
    write_opengraph,
)
from graphsec.query._needs import COLLECT

#: Asks for the starter set instead of a graph; it needs no input.
QUERIES = "cypher-queries"
#: Stands in the files of the starter set for the relationship types of all rules.
_ANY_ATTACK = "K8sAttack_ANY"


class Format(NamedTuple):
    """``write`` streams the export of a world as ASCII text."""

    suffix: str
    help: str
    write: Callable[[World], Iterator[str]]


EXPORTS: dict[str, Format] = {
    "cypher": Format(".cypher", "statements for Neo4j", write_cypher),
    "cytoscape": Format(".cyjs", "JSON of Cytoscape and Cytoscape.js", write_cytoscape),
    "graphml": Format(".graphml", "Gephi, yEd, igraph, networkx.read_graphml", write_graphml),
    "networkx-json": Format(".json", "node-link JSON, networkx.node_link_graph", write_node_link),
    "opengraph": Format(".json", "BloodHound CE", write_opengraph),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The question behind an export; its answer has no items, and says how far the input supports the graph."""

    ask: ClassVar[str] = "export"
    format: str

    def command(self) -> str:
        return f"export {self.format}"

    def to_dict(self) -> dict[str, Any]:
        return {"format": self.format}

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return ()

    def answer(self, world: World) -> Answer[Any]:
        """Raises InputError where no object was loaded, UsageError for an unknown format."""
        export_format(self.format)
        _require_objects(world)
        warnings = tuple(doubts(world))
        return Answer(
            question=self,
            complete=not warnings,
            coverage=world.coverage,
            diagnostics=world.diagnostics,
            warnings=warnings,
        )


def export(world: World, format: str) -> Iterator[str]:  # noqa: A002 - the word users see
    """The graph of a world in a format of ``EXPORTS``, piece by piece; the same pieces for the same objects.

    Raises InputError where no object was loaded, UsageError for an unknown format, both before the first piece.
    """
    found = export_format(format)
    _require_objects(world)
    return found.write(world)


def export_format(name: str) -> Format:
    """Raises UsageError with a suggestion for a name that is none."""
    if name not in EXPORTS:
        near = difflib.get_close_matches(name.lower(), (*EXPORTS, QUERIES), n=1)
        hint = f" (did you mean `{near[0]}`?)" if near else ""
        raise UsageError(f"unknown export format `{name}`{hint}", help=f"formats: {', '.join((*EXPORTS, QUERIES))}")
    return EXPORTS[name]


def _require_objects(world: World) -> None:
    if world.cluster.inventory:
        return
    limits = [str(diagnostic) for diagnostic in world.cluster.diagnostics if diagnostic.is_limit]
    error = LimitError if limits else InputError
    message = "\n  ".join(["export needs an object; this input has none", *limits])
    raise error(message, help=f"collect an input with\n    {COLLECT}")


def starter_queries() -> dict[str, str]:
    """The starter set by name: Cypher that reads an export, each with what it asks and what it cannot tell on top.

    They use the labels that ``opengraph`` and ``cypher`` share.
    """
    from graphsec.rules import rules

    every = "|".join(map(attack_relation, rules()))
    folder = resources.files("graphsec") / "data/cypher"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".cypher")), key=lambda file: file.name)
    return {
        file.name.removesuffix(".cypher"): file.read_text(encoding="utf-8").replace(_ANY_ATTACK, every)
        for file in files
    }
