"""The flags that every command shares, declared once, and the adapter that adds them to a command's signature."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

import typer

from graphsec.loading import Limits

_LIMITS = Limits()
_IN, _OUT, _BOUNDS = "Input", "Output", "Limits"


def _option(*names: str, help: str, panel: str = _OUT, **extra: Any) -> Any:  # noqa: A002 - typer's word
    return typer.Option(
        *names, help=help, rich_help_panel=panel, show_default=extra.pop("show_default", False), **extra
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Parsed shared flags."""

    filename: Annotated[
        list[str], _option("-f", "--filename", help="File, folder, archive or - (repeatable).", panel=_IN)
    ]
    namespace: Annotated[str, _option("-n", "--namespace", help="Ask in this namespace.", panel=_IN)] = ""
    all_namespaces: Annotated[bool, _option("-A", "--all-namespaces", help="Ask in any namespace.", panel=_IN)] = False
    default_namespace: Annotated[
        str, _option("--default-namespace", help="Namespace of loaded objects that name none.", panel=_IN)
    ] = ""
    k8s_version: Annotated[str, _option("--k8s-version", help="Minor version to assume, e.g. 1.36.", panel=_IN)] = ""
    with_defaults: Annotated[
        bool, _option("--with-defaults", help="Add the default RBAC objects of that version.", panel=_IN)
    ] = False
    cni: Annotated[str, _option("--cni", help="CNI profile: upstream, calico, antrea, ovn or cilium.", panel=_IN)] = (
        "upstream"
    )
    memberships: Annotated[str, _option("--memberships", help="File of groups and people (CSV, YAML).", panel=_IN)] = ""
    entries: Annotated[
        str, _option("--entries", help="File of workloads that can be taken over, or a Trivy report (JSON).", panel=_IN)
    ] = ""
    exclude: Annotated[list[str], _option("--exclude", help="Files of folders to leave out.", panel=_IN)]
    config: Annotated[
        str, _option("--config", help="File of defaults (default: graphsec.toml here or above).", panel=_IN)
    ] = ""
    strict: Annotated[bool, _option("--strict", help="Exit 3 on bad input.", panel=_IN)] = False
    fail_on_incomplete: Annotated[
        bool, _option("--fail-on-incomplete", help="Exit 3 if a needed kind is not fully loaded.", panel=_IN)
    ] = False
    output: Annotated[str, _option("-o", "--output", help="Format of the answer, never a file.")] = "table"
    out: Annotated[list[str], _option("--out", help="FORMAT=FILE, write a report (repeatable).")]
    include_builtin: Annotated[bool, _option("--include-builtin", help="Keep what every cluster has.")] = False
    no_headers: Annotated[bool, _option("--no-headers", help="No column heads.")] = False
    limit: Annotated[int, _option("--limit", help="Rows on the terminal (default 50 there, 0: all).")] = -1
    fold: Annotated[
        str,
        _option(
            "--fold",
            help="Diagrams (default namespace) and reach (default workload): namespace, class, workload or none.",
        ),
    ] = ""
    max_nodes: Annotated[int, _option("--max-nodes", help="Diagrams: most nodes to draw.")] = 150
    raw_csv: Annotated[bool, _option("--raw-csv", help="CSV without the guard against formulas.")] = False
    exit_zero: Annotated[bool, _option("--exit-zero", help="Exit 0 instead of 1.")] = False
    quiet: Annotated[bool, _option("-q", "--quiet", help="No notes on stderr.")] = False
    verbose: Annotated[bool, _option("-v", "--verbose", help="Print each diagnostic.")] = False
    max_depth: Annotated[int, _option("--max-depth", help="Deepest nesting of an object.", panel=_BOUNDS)] = (
        _LIMITS.depth
    )
    max_object_bytes: Annotated[int, _option("--max-object-bytes", help="Largest object.", panel=_BOUNDS)] = (
        _LIMITS.object_bytes
    )
    max_nodes_per_object: Annotated[
        int, _option("--max-nodes-per-object", help="Most YAML nodes of an object.", panel=_BOUNDS)
    ] = _LIMITS.nodes
    max_file_bytes: Annotated[int, _option("--max-file-bytes", help="Largest file.", panel=_BOUNDS)] = (
        _LIMITS.file_bytes
    )
    max_inflated_bytes: Annotated[
        int, _option("--max-inflated-bytes", help="Most bytes out of archives.", panel=_BOUNDS)
    ] = _LIMITS.inflated_bytes

    @property
    def scope(self) -> str:
        """The namespace to ask in; `-A` overrides `-n`, as in kubectl."""
        return "" if self.all_namespaces else self.namespace

    @property
    def limits(self) -> Limits:
        return Limits(
            depth=self.max_depth,
            nodes=self.max_nodes_per_object,
            object_bytes=self.max_object_bytes,
            file_bytes=self.max_file_bytes,
            inflated_bytes=self.max_inflated_bytes,
        )


def with_common(command: Callable[..., int]) -> Callable[..., int]:
    """A command ``f(common, ...)`` as typer wants it: its own parameters, then every field of ``Common`` as an option."""
    hints = get_type_hints(Common, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=[] if hints[field.name].__origin__ == list[str] else field.default,
            annotation=hints[field.name],
        )
        for field in fields(Common)
    ]
    own_hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=own_hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in list(inspect.signature(command).parameters.items())[1:]
    ]
    names = [field.name for field in fields(Common)]

    @functools.wraps(command)
    def adapted(**given: Any) -> int:
        common = Common(**{name: given.pop(name) for name in names})
        return command(common, **given)

    adapted.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    adapted.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    return adapted
