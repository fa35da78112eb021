"""`graphsec query`: saved questions, listed, shown, run, linted and tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphsec.cli import _session as session
from graphsec.cli._arguments import is_folder
from graphsec.cli._options import Common, with_common
from graphsec.cli.app import app
from graphsec.errors import UsageError
from graphsec.model.text import counted, safe

if TYPE_CHECKING:
    from graphsec.query._packs import Library
    from graphsec.query._saved import SavedQuery

queries = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Saved questions: list, show, copy, run, lint, test."
)
app.add_typer(queries, name="query")

OwnQueries = Annotated[
    list[str], typer.Option("--queries", help="Folder of your own queries or packs (repeatable).", show_default=False)
]
NoPlugins = Annotated[bool, typer.Option("--no-plugins", help="Leave installed packs out.")]
_Ids = Annotated[
    list[str], typer.Argument(metavar="[ID|PACK]...", help="Query ids or packs (default: all).", show_default=False)
]
_TestIds = Annotated[
    list[str],
    typer.Argument(metavar="[ID|PACK|DIR]...", help="Query ids, packs or folders (default: all).", show_default=False),
]
_Given = Annotated[
    list[str],
    typer.Option(
        "--param", metavar="NAME=VALUE", help="Value of a query's parameter, lists with commas.", show_default=False
    ),
]
_Id = Annotated[str, typer.Argument(help="Query id.", show_default=False)]


def _chosen(own: Sequence[str], words: Sequence[str], *, plugins: bool) -> tuple[SavedQuery, ...]:
    """The queries named by id or by pack, all if none is. Raises UsageError with a suggestion."""
    from graphsec.query._packs import load_library

    library = load_library(own, plugins=plugins)
    if not words:
        return library.queries
    return tuple(dict.fromkeys(query for word in words for query in _named(library, word)))


def _named(library: Library, word: str) -> tuple[SavedQuery, ...]:
    """Ids are written in capitals, names of packs are not."""
    if word in {pack.name for pack in library.packs} or word.islower():
        return library.chosen([word])
    return (library.query(word),)


@queries.command("list")
@with_common
def list_queries(
    common: Common,
    names: Annotated[
        list[str], typer.Argument(metavar="[PACK]...", help="Packs (default: every query).", show_default=False)
    ] = [],  # noqa: B006 - typer's way to say: none
    own: OwnQueries = [],  # noqa: B006
    no_plugins: NoPlugins = False,
) -> int:
    """List the saved queries and the packs that they are in."""
    from graphsec.query._catalogue import Catalogue
    from graphsec.query._packs import load_library

    library = load_library(own, plugins=not no_plugins)
    chosen = library.chosen(names) if names else library.queries
    for pack in library.packs:
        session.say(f"{pack.name} {pack.version}: {pack.title} ({counted(len(pack.queries), 'query')})", common)
    return session.deliver_plain(Catalogue(queries=chosen).listing(), common)


@queries.command("show")
def show(query: _Id, own: OwnQueries = [], no_plugins: NoPlugins = False) -> int:  # noqa: B006
    """Print a query's file."""
    from graphsec.query._packs import load_library

    print(load_library(own, plugins=not no_plugins).query(query).text, end="")
    return 0


@queries.command("copy")
def copy(
    query: _Id,
    target: Annotated[str, typer.Argument(help="File to write (default: NAME.yaml here).", show_default=False)] = "",
    own: OwnQueries = [],  # noqa: B006
    no_plugins: NoPlugins = False,
) -> int:
    """Start a query of your own from a built-in one."""
    from graphsec.query._packs import load_library

    found = load_library(own, plugins=not no_plugins).query(query)
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
def run_queries(
    common: Common,
    ids: _Ids = [],  # noqa: B006
    own: OwnQueries = [],  # noqa: B006
    no_plugins: NoPlugins = False,
    given: _Given = [],  # noqa: B006
) -> int:
    """Run one query for its findings, or several for a table of how many each finds."""
    from graphsec.query._catalogue import Catalogue
    from graphsec.query._saved import run

    chosen = _chosen(own, ids, plugins=not no_plugins)
    if given and len(ids) != 1:
        raise UsageError("`--param` goes with one query", help="graphsec query run ID --param name=value")
    chosen = tuple(query.with_params(given) for query in chosen)
    world = session.open_world(common)
    if len(ids) == 1 and chosen[0].id == ids[0]:
        query = chosen[0]
        answer = run(query, world)
        return session.deliver(answer, common, [f"{query.id} {query.title}: {len(answer):,} found ({query.severity})"])
    answer = Catalogue(queries=chosen, counted=True).answer(world)
    return session.deliver(
        answer, common, [f"{sum(bool(item.found) for item in answer)} of {len(answer)} queries found something"]
    )


@queries.command("lint")
def lint_queries(ids: _Ids = [], own: OwnQueries = [], no_plugins: NoPlugins = False) -> int:  # noqa: B006
    """Check queries without running them, and tell what their conditions cost; exits 1 on remarks."""
    from graphsec.query._saved import lint

    chosen = _chosen(own, ids, plugins=not no_plugins)
    remarks = [f"{query.source}: {query.id}: {remark}" for query in chosen for remark in lint(query)]
    for query in chosen:
        if (condition := query.condition) is not None:
            print(f"{query.id}: `where` costs {counted(condition.cost, 'operation')} for each row")
    for remark in remarks:
        print(safe(remark))
    return int(bool(remarks))


@queries.command("test")
def check_queries(ids: _TestIds = [], own: OwnQueries = [], no_plugins: NoPlugins = False) -> int:  # noqa: B006
    """Run the `expect:` of queries on their fixture worlds; exits 1 on a failure."""
    from graphsec.query._saved import test

    folders = [word for word in ids if is_folder(word)]
    own, ids = [*own, *folders], [word for word in ids if not is_folder(word)]
    named = _chosen(own, ids, plugins=not no_plugins) if ids or not folders else _below(folders, own)
    chosen = [query for query in named if _base(query, own) is not None]
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


def _below(folders: Sequence[str], own: Sequence[str]) -> tuple[SavedQuery, ...]:
    from graphsec.query._packs import load_library

    return load_library(own, plugins=False).chosen((), folders)


def _base(query: SavedQuery, own: Sequence[str]) -> Path | None:
    """The folder that holds the query's own file; None for a built-in one without the worlds of a checkout."""
    from graphsec.query._saved import builtin_directory

    for folder in map(Path, own):
        if Path(query.source.file).is_relative_to(folder):
            return folder
    builtin = Path(str(builtin_directory()))
    return builtin if (builtin.parent / "fixtures").is_dir() else None
