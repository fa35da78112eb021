"""Packs: folders with a `pack.yaml` and saved queries, as they come with graphsec, in folders or in installed wheels.

A pack is data. Of a wheel nothing is run or imported: its entry point in the group `graphsec.packs` names a package, whose
files are read.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from graphsec.errors import UsageError
from graphsec.model.ref import Source
from graphsec.query._own_file import OwnFile, Strict
from graphsec.query._saved import PACK_FILE, Folder, SavedQuery, builtin_directory, folder_of, load_each, yaml_files
from graphsec.version import __version__

GROUP = "graphsec.packs"
DEFAULT_PACKS = ("reviewer",)
_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)\s*$")


class _PackFile(Strict, frozen=True, kw_only=True):
    """What a `pack.yaml` holds."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
    version: str
    #: Versions of graphsec that understand the pack: `>=0.1,<1`.
    graphsec: str
    title: str
    description: str
    #: Queries of other packs that are in this one too: ids, or tags, which stand for every query that carries them.
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """``queries`` are ids, its own first, then those that it includes in the order of its file."""

    name: str
    version: str
    title: str
    description: str
    queries: tuple[str, ...]
    source: Source
    #: Where it comes from: graphsec, a folder, or a distribution with its version.
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Every query and pack that there is. Project folders come first, then installed packs, then those of graphsec."""

    queries: tuple[SavedQuery, ...]
    packs: tuple[Pack, ...]
    #: Ids of the queries below each folder given, by its name.
    below: tuple[tuple[str, tuple[str, ...]], ...]

    def query(self, wanted: str) -> SavedQuery:
        """Raises UsageError with a suggestion."""
        found = next((query for query in self.queries if query.id == wanted), None)
        if found is None:
            ids = [query.id for query in self.queries]
            raise UsageError(f"unknown query `{wanted}`{_near(wanted.upper(), ids)}", help="graphsec query list")
        return found

    def pack(self, wanted: str) -> Pack:
        """Raises UsageError with a suggestion."""
        found = next((pack for pack in self.packs if pack.name == wanted), None)
        if found is None:
            names = [pack.name for pack in self.packs]
            raise UsageError(
                f"unknown pack `{wanted}`{_near(wanted, names)}",
                help=f"packs: {', '.join(names)}; a folder is written with a slash: `./{wanted}`",
            )
        return found

    def chosen(self, packs: Iterable[str], folders: Iterable[str] = ()) -> tuple[SavedQuery, ...]:
        """The queries of these packs and below these folders, in order of loading."""
        below = dict(self.below)
        ids = {one for folder in folders for one in below[folder]}
        ids |= {one for name in packs for one in self.pack(name).queries}
        return tuple(query for query in self.queries if query.id in ids)


def _near(wanted: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, known, n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def load_library(folders: Iterable[str] = (), *, plugins: bool = True) -> Library:
    """The queries of the folders, of installed packs and of graphsec itself, whole or not at all.

    Raises UsageError that names file, line and column of what is wrong, InputError never.
    """
    given = tuple(dict.fromkeys(folders))
    own = [_Root(Folder(str(Path(name)), Path(name)), f"folder {name}") for name in _outermost(given)]
    roots = [*own, *(_installed() if plugins else ()), _Root(folder_of(builtin_directory()), "graphsec")]
    each = load_each([root.folder for root in roots])
    queries = [query for found in each for query in found]
    mine = [query for found in each[: len(own)] for query in found]
    packs = [pack for root, found in zip(roots, each, strict=True) for pack in _packs(root, found, queries)]
    _refuse_twins(packs)
    return Library(
        queries=tuple(queries), packs=tuple(packs), below=tuple((name, tuple(_below(name, mine))) for name in given)
    )


class _Root(NamedTuple):
    folder: Folder
    origin: str


def _outermost(folders: Sequence[str]) -> list[str]:
    """Without those that are another one, or in another one, by whatever name. Raises UsageError for one that is not there."""
    for name in folders:
        if not Path(name).is_dir():
            raise UsageError(f"no such folder of queries: `{name}`")
    places = [Path(name).resolve() for name in folders]
    return [
        name
        for number, name in enumerate(folders)
        if not any(places[number] != other and places[number].is_relative_to(other) for other in places)
        and places[number] not in places[:number]
    ]


def _installed() -> Iterator[_Root]:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        yield _Root(Folder(entry.value, _resources(entry, origin)), origin)


def _resources(entry: EntryPoint, origin: str) -> Path:
    """The folder of the package that an entry point names; it is looked up and not imported."""
    top, *inner = entry.value.split(".")
    spec = None if ":" in entry.value or not entry.value.isprintable() else find_spec(top)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place, *inner)
        if (folder / PACK_FILE).is_file():
            return folder
    raise UsageError(
        f"the entry point `{entry.name}` of {origin} names no package with a {PACK_FILE}: `{entry.value}`",
        help="--no-plugins leaves installed packs out",
    )


def _below(folder: str, queries: Iterable[SavedQuery]) -> Iterator[str]:
    place = Path(folder).resolve()
    return (query.id for query in queries if Path(query.source.file).resolve().is_relative_to(place))


def _home(query: SavedQuery, homes: Iterable[str]) -> str:
    """The innermost of the folders that holds the query's file, "" if none does."""
    return max((home for home in homes if query.source.file.startswith(f"{home}/")), key=len, default="")


def _packs(root: _Root, mine: Sequence[SavedQuery], queries: Sequence[SavedQuery]) -> Iterator[Pack]:
    files = [(name, file.read_bytes()) for name, file in yaml_files(root.folder) if file.name == PACK_FILE]
    homes = [name.removesuffix(f"/{PACK_FILE}") for name, _ in files]
    for home, (name, data) in zip(homes, files, strict=True):
        file = OwnFile.read(name, data)
        declared = file.convert(_PackFile)
        _check_version(file, declared.graphsec)
        own = [query.id for query in mine if _home(query, homes) == home]
        included = [
            one for number, word in enumerate(declared.include) for one in _included(file, number, word, queries)
        ]
        if not own and not included:
            raise file.complaint(f"pack `{declared.name}` has no query")
        yield Pack(
            name=declared.name,
            version=declared.version,
            title=declared.title,
            description=declared.description,
            queries=tuple(dict.fromkeys([*own, *included])),
            source=file.source(),
            origin=root.origin,
        )


def _included(file: OwnFile, number: int, word: str, queries: Sequence[SavedQuery]) -> list[str]:
    found = [query.id for query in queries if word == query.id or word in query.tags]
    if not found:
        known = [word for query in queries for word in (query.id, *query.tags)]
        raise file.complaint(
            f"`include`: `{word}` is no id and no tag of a query{_near(word, known)}", "include", number
        )
    return found


def _check_version(file: OwnFile, wanted: str) -> None:
    """Raises UsageError unless every clause of `>=0.1,<1` holds for this graphsec; missing parts of a version are 0."""
    for clause in wanted.split(","):
        match = _CLAUSE.match(clause)
        if match is None:
            raise file.complaint(f"`graphsec`: `{clause.strip()}` is no bound like `>=0.1`", "graphsec")
        ours, bound = _numbers(__version__), _numbers(match[2])
        if not _COMPARE[match[1]](ours, bound):
            raise file.complaint(f"the pack needs graphsec {wanted}, this is {__version__}", "graphsec")


def _numbers(version: str) -> tuple[int, ...]:
    """`0.1` and `0.1.0` are equal."""
    parts = [int(part) for part in version.split(".") if part.isdigit()]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _refuse_twins(packs: Sequence[Pack]) -> None:
    first: dict[str, Pack] = {}
    for pack in packs:
        other = first.setdefault(pack.name, pack)
        if other is not pack:
            raise UsageError(f"{pack.source}: pack `{pack.name}` is the name of {other.source} already")
