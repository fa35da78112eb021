"""`graphsec query`: saved questions, listed, shown, run, linted and tested."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.text import counted, safe
from graphsec.query._catalogue import Catalogue
from graphsec.query._saved import SavedQuery, builtin_directory, lint, load_queries, run, test

queries = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Saved questions: list, show, copy, run, lint, test."
)
app.add_typer(queries, name="query")

_Directory = Annotated[
    list[str], typer.Option("--queries", help="Folder of your own queries (repeatable).", show_default=False)
]
_Ids = Annotated[list[str], typer.Argument(metavar="[ID]...", help="Query ids (default: all).", show_default=False)]
_Given = Annotated[
    list[str],
    typer.Option(
        "--param", metavar="NAME=VALUE", help="Value of a query's parameter, lists with commas.", show_default=False
    ),
]
_Id = Annotated[str, typer.Argument(help="Query id.", show_default=False)]


def _directories(own: Sequence[str]) -> list[Traversable]:
    """The user's folders before the built-in one."""
    missing = [name for name in own if not Path(name).is_dir()]
    if missing:
        raise UsageError(f"no such folder of queries: `{missing[0]}`")
    return [*map(Path, own), builtin_directory()]


def _chosen(own: Sequence[str], ids: Sequence[str]) -> tuple[SavedQuery, ...]:
    """The queries named by id, all if none is. Raises UsageError with a suggestion."""
    known = {query.id: query for query in load_queries(_directories(own))}
    for wanted in ids:
        if wanted not in known:
            near = difflib.get_close_matches(wanted.upper(), known, n=1)
            raise UsageError(
                f"unknown query `{wanted}`{f' (did you mean `{near[0]}`?)' if near else ''}", help="graphsec query list"
            )
    return tuple(known[wanted] for wanted in ids) if ids else tuple(known.values())


@queries.command("list")
@with_common
def list_queries(common: Common, own: _Directory = []) -> int:  # noqa: B006 - typer's way to say: none
    """List the saved queries."""
    answer = Catalogue(queries=_chosen(own, ())).listing()
    return session.deliver_plain(answer, common)


@queries.command("show")
def show(query: _Id, own: _Directory = []) -> int:  # noqa: B006
    """Print a query's file."""
    print(_chosen(own, [query])[0].text, end="")
    return 0


@queries.command("copy")
def copy(
    query: _Id,
    target: Annotated[str, typer.Argument(help="File to write (default: NAME.yaml here).", show_default=False)] = "",
    own: _Directory = [],  # noqa: B006
) -> int:
    """Start a query of your own from a built-in one."""
    found = _chosen(own, [query])[0]
    path = Path(target or Path(found.source.file).name)
    if path.exists():
        raise UsageError(f"`{path}` exists already")
    if not path.parent.is_dir():
        raise UsageError(f"no such folder: `{path.parent}`")
    # The id must be its own, and the worlds of the built-in expectations are not the user's.
    text = found.text.replace(f"id: {found.id}", f"id: MY-{found.id}", 1).partition("\nexpect:")[0].rstrip("\n") + "\n"
    path.write_text(text, encoding="utf-8")
    print(f"Wrote {path} as MY-{found.id}; run it with `graphsec query run MY-{found.id} --queries {path.parent}`")
    print("Add `expect:` with worlds of your own, then `graphsec query test` holds it to them")
    return 0


@queries.command("run")
@with_common
def run_queries(common: Common, ids: _Ids = [], own: _Directory = [], given: _Given = []) -> int:  # noqa: B006
    """Run one query for its findings, or several for a table of how many each finds."""
    chosen = _chosen(own, ids)
    if given and len(ids) != 1:
        raise UsageError("`--param` goes with one query", help="graphsec query run ID --param name=value")
    chosen = tuple(query.with_params(given) for query in chosen)
    world = session.open_world(common)
    if len(ids) == 1:
        query = chosen[0]
        answer = run(query, world)
        return session.deliver(answer, common, [f"{query.id} {query.title}: {len(answer):,} found ({query.severity})"])
    answer = Catalogue(queries=chosen, counted=True).answer(world)
    return session.deliver(
        answer, common, [f"{sum(bool(item.found) for item in answer)} of {len(answer)} queries found something"]
    )


@queries.command("lint")
def lint_queries(ids: _Ids = [], own: _Directory = []) -> int:  # noqa: B006
    """Check queries without running them, and tell what their conditions cost; exits 1 on remarks."""
    chosen = _chosen(own, ids)
    remarks = [f"{query.source}: {query.id}: {remark}" for query in chosen for remark in lint(query)]
    for query in chosen:
        if (condition := query.condition) is not None:
            print(f"{query.id}: `where` costs {counted(condition.cost, 'operation')} for each row")
    for remark in remarks:
        print(safe(remark))
    return int(bool(remarks))


@queries.command("test")
def check_queries(ids: _Ids = [], own: _Directory = []) -> int:  # noqa: B006
    """Run the `expect:` of queries on their fixture worlds; exits 1 on a failure."""
    chosen = [query for query in _chosen(own, ids) if _base(query, own) is not None]
    if not chosen:
        raise UsageError(
            "the worlds that built-in queries are tested on are not in an installed package",
            help="test in a checkout, or your own queries with `--queries DIR`",
        )
    failures = [(query, failure) for query in chosen for failure in test(query, _base(query, own) or Path())]
    for query, failure in failures:
        print(safe(f"{query.id}: {failure}"))
    print(counted(len(failures), "failure"))
    return int(bool(failures))


def _base(query: SavedQuery, own: Sequence[str]) -> Path | None:
    """The folder that holds the query's own file; None for a built-in one without the worlds of a checkout."""
    for folder in map(Path, own):
        if Path(query.source.file).is_relative_to(folder):
            return folder
    builtin = Path(str(builtin_directory()))
    return builtin if (builtin.parent / "fixtures").is_dir() else None
