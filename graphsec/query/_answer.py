"""What every question returns: items with evidence, and how far the input supports them. Renderers know nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from graphsec.model.coverage import Coverage
from graphsec.model.diagnostic import Diagnostic
from graphsec.model.rbac import PolicyRule
from graphsec.model.ref import Ref, Source

if TYPE_CHECKING:
    from graphsec.diagram import Arrow, Diagram, Fold, Vertex

SCHEMA = "graphsec.answer/v1"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why an item is true: a binding, its role, the rule in it and where they stand.

    For members of system:masters there is no object: ``semantics`` is S-47 and the rest is None.
    """

    binding: Ref | None = None
    role: Ref | None = None
    #: Position in the role's effective rules, -1 without a role.
    rule_index: int = -1
    rule: PolicyRule | None = None
    #: Place of the binding.
    source: Source | None = None
    rule_source: Source | None = None
    #: For an aggregated ClusterRole the role in which the rule is written.
    aggregated_from: str = ""
    #: The subject of the binding, where that is a group of the one asked for.
    subject: Ref | None = None
    semantics: str = ""

    def __str__(self) -> str:
        if self.binding is None:
            return self.semantics or "no object"
        return f"{self.binding} → {self.role}"

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "binding": _text(self.binding),
            "role": _text(self.role),
            "ruleIndex": self.rule_index if self.rule_index >= 0 else None,
            "rule": self.rule.to_mapping() if self.rule else None,
            "source": _place(self.source),
            "ruleSource": _place(self.rule_source),
            "aggregatedFrom": self.aggregated_from or None,
            "subject": _text(self.subject),
            "semantics": self.semantics or None,
        }
        return {key: value for key, value in fields.items() if value is not None}


def _text(ref: Ref | None) -> str | None:
    return None if ref is None else str(ref)


def _place(source: Source | None) -> dict[str, Any] | None:
    return None if source is None else {"file": source.file, "line": source.line}


class Item(Protocol):
    """One element of an answer."""

    def row(self, *, wide: bool) -> tuple[str, ...]:
        """Cells in the order of the question's columns."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; canonical refs."""

    def drawing(self) -> tuple[list[Vertex], list[Arrow]]:
        """What the item adds to a picture."""

    def refs(self) -> tuple[str, ...]:
        """For ``-o name``: `serviceaccount/ci/deployer`."""


class Question(Protocol):
    """A frozen value with all parameters; ``answer(world)`` is its only verb."""

    ask: ClassVar[str]

    def command(self) -> str:
        """The canonical command line that asks this."""

    def to_dict(self) -> dict[str, Any]:
        """Normalised parameters, JSON-ready."""

    def columns(self, *, wide: bool) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one head: ``cells`` gives those of an item in the order of ``columns``."""

    columns: tuple[str, ...]
    items: Sequence[Any]
    cells: Callable[[Any], tuple[str, ...]]

    def rows(self, limit: int = 0) -> list[tuple[str, ...]]:
        """The first ``limit`` rows, 0 for all."""
        return [self.cells(item) for item in self.items[: limit or None]]


class Deferred(Sequence[Any]):
    """Items that are made when first looked at; equal to the tuple of them. ``count`` is their number, -1 if it is not
    known before."""

    def __init__(self, count: int, make: Callable[[], tuple[Any, ...]]) -> None:
        self._count = count
        self._make: Callable[[], tuple[Any, ...]] | None = make
        self._items: tuple[Any, ...] = ()

    def _made(self) -> tuple[Any, ...]:
        make = self._make
        if make is not None:
            self._items = make()
            self._make = None
        return self._items

    def __len__(self) -> int:
        return self._count if self._count >= 0 else len(self._made())

    def __getitem__(self, index: Any) -> Any:
        return self._made()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._made())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._made() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._made())


I = TypeVar("I", bound=Item, covariant=True)  # noqa: E741, PLC0105 - the name of interface.md


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[I]):
    """Items in canonical order. ``complete`` is False where kinds that the question needs are absent or partial."""

    question: Question
    items: Sequence[I] = ()
    complete: bool = True
    coverage: Coverage = field(default_factory=lambda: Coverage(()))
    diagnostics: tuple[Diagnostic, ...] = ()
    #: What was asked, in words, and what the answer leaves out or assumes.
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: Items that every cluster has, left out by whoever asked to.
    left_out: int = 0
    #: Draws the answer where its items alone do not make the picture: (answer, fold, max_nodes).
    picture: Callable[[Answer[Any], Fold, int], Diagram] | None = field(default=None, repr=False, compare=False)

    def __iter__(self) -> Iterator[I]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return bool(self.items)

    def table(self, *, wide: bool) -> Section:
        """All items under one head."""
        return Section(self.question.columns(wide=wide), self.items, lambda item: item.row(wide=wide))

    def sections(self, *, wide: bool) -> Sequence[Section]:
        """As a terminal shows them: items of one kind under one head."""
        return (self.table(wide=wide),)

    def to_dicts(self) -> list[dict[str, Any]]:
        return [item.to_dict() for item in self.items]

    def envelope(self) -> dict[str, Any]:
        """The JSON answer (``graphsec schema answer``)."""
        return {
            "schema": SCHEMA,
            "question": {"ask": self.question.ask, "command": self.question.command(), **self.question.to_dict()},
            "complete": self.complete,
            "coverage": self.coverage.to_dicts(),
            "items": self.to_dicts(),
            "diagnostics": [diagnostic_dict(diagnostic) for diagnostic in self.diagnostics],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "leftOut": self.left_out,
        }

    def to_json(self) -> str:
        """The envelope with sorted keys, indented; the same bytes for the same input."""
        return msgspec.json.format(msgspec.json.encode(self.envelope(), order="sorted"), indent=2).decode()

    def to_pandas(self) -> Any:
        """A pandas DataFrame with one row per item. Raises ImportError without the extra ``graphsec[pandas]``."""
        pd = _extra("pandas")
        return pd.DataFrame(self.to_dicts())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """One row per item for pandas, polars, duckdb. Raises ImportError without the extra ``graphsec[arrow]``."""
        pa = _extra("pyarrow")
        return pa.Table.from_pylist(self.to_dicts()).__arrow_c_stream__(requested_schema)

    def diagram(self, fold: Fold = "namespace", max_nodes: int = 150) -> Diagram:
        """The items' evidence as a picture; ``fold`` is namespace, class, workload or none."""
        from graphsec.diagram import draw

        if self.picture is not None:
            return self.picture(self, fold, max_nodes)
        vertices: dict[str, Vertex] = {}
        arrows: dict[Arrow, None] = {}
        for item in self.items:
            nodes, edges = item.drawing()
            vertices.update((vertex.key, vertex) for vertex in nodes)
            arrows.update(dict.fromkeys(edges))
        return draw(
            list(vertices.values()),
            list(arrows),
            title=self.question.command(),
            fold=fold,
            max_nodes=max_nodes,
            notes=self.picture_notes,
        )

    @property
    def picture_notes(self) -> tuple[str, ...]:
        return (*self.notes, *([f"{self.left_out:,} built-in left out"] if self.left_out else []))

    def _repr_svg_(self) -> str | None:
        """None without Graphviz, as notebooks expect."""
        return self.diagram()._repr_svg_()

    def _repr_html_(self) -> str:
        """The first 50 rows as an escaped table, without script."""
        table = self.table(wide=False)
        return html_table(table.columns, table.rows(50), len(table.items))

    def __repr__(self) -> str:
        state = "" if self.complete else ", incomplete"
        return f"Answer({self.question.command()}: {len(self):,} items{state})"


def _extra(module: str) -> Any:
    """An optional library, or an error that names the extra to install."""
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        extra = {"pyarrow": "arrow"}.get(module, module)
        raise ImportError(f"{module} is not installed: `pip install graphsec[{extra}]`") from error


def named(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    """Of two worlds compared: what holds for both worlds once, the rest with the name of its world."""
    both = [text for text in before if text in after]
    old = [f"old: {text}" for text in before if text not in after]
    return (*both, *old, *(f"new: {text}" for text in after if text not in before))


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    from html import escape

    from graphsec.model.text import safe

    def cells(tag: str, row: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(safe(cell))}</{tag}>" for cell in row) + "</tr>"

    more = f"<p>{total - len(rows):,} more rows</p>" if total > len(rows) else ""
    return f"<table><thead>{cells('th', columns)}</thead><tbody>{''.join(cells('td', row) for row in rows)}</tbody></table>{more}"


def diagnostic_dict(diagnostic: Diagnostic) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "source": _place(diagnostic.source),
        "object": diagnostic.object or None,
    }
    return {key: value for key, value in fields.items() if value is not None}


def subject_text(subject: Ref) -> str:
    """As the SUBJECT column shows it: `ci/deployer`, `group:devs`, `user:alice`."""
    if subject.kind == "ServiceAccount":
        return f"{subject.namespace}/{subject.name}"
    return f"{subject.kind.lower()}:{subject.name}"


def lower_name(ref: Ref) -> str:
    """As ``-o name`` prints it."""
    kind, _, rest = str(ref).partition("/")
    return f"{kind.lower()}/{rest}"
