"""Saved queries: YAML files that hold one question each, why it matters, and expectations that prove it.

All three tiers of interface.md §7: ``ask:`` with its keys (`_asks.py`), conditions on what it finds (`lang`, `_columns.py`), and
path patterns (`_match.py`). What a file may hold is what the Structs declare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

import msgspec

from graphsec.compile import World, compile_world
from graphsec.errors import InputError, UsageError
from graphsec.loading import Limits, LoadOptions, all_default_objects, default_objects, load_cluster
from graphsec.loading.documents import Event, Item, Problem
from graphsec.loading.text import decode_text
from graphsec.loading.yaml_places import YamlPlaces
from graphsec.loading.yaml_reader import read_yaml
from graphsec.model.discovery import DEFAULT_MINOR, Discovery
from graphsec.model.ref import Source
from graphsec.query._answer import Answer
from graphsec.query._asks import (
    ASKS,
    MatchParameters,
    Parameters,
    PathsParameters,
    Strict,
    WhatCanParameters,
    WhoCanParameters,
    resolve_resource,
    union,
)
from graphsec.query._columns import columns_of
from graphsec.query._grants import is_builtin
from graphsec.query._params import Parameter, parse_given
from graphsec.query._severities import SEVERITIES, Severity
from graphsec.query._words import flag
from graphsec.query.lang import Condition, MisreadError, Schema, compile_condition, compile_template

Confidence = Literal["low", "medium", "high"]
_CHOICES = {
    "severity": SEVERITIES,
    "confidence": get_args(Confidence),
    "ask": ASKS,
    "scope": ("any", "cluster"),
    "fold": ("workload", "namespace"),
    "find": ("source", "destination"),
    "verdicts": ("proved", "conditional"),
    "falls": ("namespace",),
    "type": ("list", "string", "int", "bool"),
    "apiVersion": ("graphsec/v1",),
}
_ID = r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)+$"
#: CIS benchmark, MITRE ATT&CK, and the ids of kubescape, trivy and kubesplaining.
_TAG = re.compile(r"(CIS-\d+(\.\d+)+|T\d{4}(\.\d{3})?|C-\d{4}|KSV-\d{4,5}|KP-\d{3}|[a-z][a-z0-9]*(-[a-z0-9]+)*)$")
_TITLE_LENGTH = 100


class Expectation(Strict, frozen=True, kw_only=True):
    """On this world the query finds exactly these, written as canonical refs: subjects, workloads, namespaces, policies; of
    paths their sources."""

    world: str
    find: tuple[str, ...]


class SavedQuery(Strict, frozen=True, kw_only=True):
    """One query file."""

    api_version: Literal["graphsec/v1"] = msgspec.field(name="apiVersion")
    #: Stable and unique; exceptions and reports refer to it.
    id: Annotated[str, msgspec.Meta(pattern=_ID)]
    title: str
    severity: Severity
    description: str
    remediation: str
    confidence: Confidence = "high"
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    #: A condition on what is found: the rest is no finding.
    where: str = ""
    #: What a finding says, with columns in braces.
    message: str = ""
    #: Findings that are as they should be: globs of what ``expect`` calls them.
    only: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()
    params: tuple[Parameter, ...] = ()
    #: Values that stand in for the defaults of parameters.
    given: tuple[tuple[str, Any], ...] = ()
    #: The keys that belong to ``ask``.
    parameters: Parameters
    source: Source
    #: The file as it is written, for `query show` and `query copy`.
    text: str

    @property
    def ask(self) -> str:
        return str(self.parameters.__struct_config__.tag)

    @property
    def schema(self) -> Schema:
        """What ``where`` may be about."""
        return self.parameters.schema() if isinstance(self.parameters, MatchParameters) else columns_of(self.ask).schema

    @property
    def condition(self) -> Condition | None:
        """Raises MisreadError."""
        types = {parameter.name: parameter.as_type for parameter in self.params}
        return compile_condition(self.where, self.schema, types) if self.where else None

    @property
    def values(self) -> Mapping[str, Any]:
        """Of the parameters."""
        return {parameter.name: parameter.default for parameter in self.params} | dict(self.given)

    def with_params(self, words: Sequence[str]) -> SavedQuery:
        """With `name=value` for defaults, lists with commas. Raises UsageError for what is no parameter or of another type."""
        return msgspec.structs.replace(self, given=parse_given(self.id, self.params, words)) if words else self

    def finding(self, item: Any) -> str:
        """What an item is called where findings are told apart: a canonical ref."""
        return self.parameters.finding(item)

    def told(self, world: World, item: Any) -> str:
        """What a finding says."""
        if not self.message:
            return f"{self.title}: {self.finding(item)}"
        template = compile_template(self.message, self._told_of)
        if isinstance(self.parameters, MatchParameters):
            return template.filled(item.value)
        columns = columns_of(self.ask)
        return template.filled(lambda column: columns.value(world, item, column))

    @property
    def _told_of(self) -> Schema:
        return self.parameters.told() if isinstance(self.parameters, MatchParameters) else self.schema

    def check(self) -> None:
        """Raises _MisplacedError for what the Structs cannot tell: conditions, messages, patterns, parameters."""
        if isinstance(self.parameters, MatchParameters):
            for path, check in self.parameters.checks():
                with _at(*path):
                    check()
        for parameter in self.params:
            with _at("params", parameter.name):
                parameter.check()
        with _at("where"):
            _ = self.condition
        if self.message:
            with _at("message"):
                compile_template(self.message, self._told_of)


class _MisplacedError(Exception):
    """A MisreadError of the value at a path of the file."""

    def __init__(self, path: tuple[str | int, ...], error: MisreadError) -> None:
        super().__init__(error.message)
        self.path, self.error = path, error


@contextmanager
def _at(*path: str | int) -> Iterator[None]:
    try:
        yield
    except MisreadError as error:
        raise _MisplacedError(path, error) from None


#: Of the whole file, whatever it asks.
_OWN_KEYS = {field.encode_name for field in msgspec.structs.fields(SavedQuery)} - {
    "parameters", "params", "given", "source", "text",
}  # fmt: skip


# -- asking ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedQuestion:
    """A saved query as the question of its answer: only `query run` leaves out what the query leaves out."""

    ask: ClassVar[str] = "query"
    query: SavedQuery

    def command(self) -> str:
        given = (
            f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
            for name, value in self.query.given
        )
        return f"query run {self.query.id}{''.join(flag('--param', word) for word in given)}"

    def to_dict(self) -> dict[str, Any]:
        query = self.query
        return {
            "id": query.id,
            "title": query.title,
            "severity": query.severity,
            "confidence": query.confidence,
            "parameters": msgspec.to_builtins(query.parameters),
            **({"where": query.where} if query.where else {}),
            **({"params": msgspec.to_builtins(query.values)} if query.params else {}),
            **({"only": list(query.only)} if query.only else {}),
        }

    def columns(self, *, wide: bool) -> tuple[str, ...]:
        return self.query.parameters.columns(wide=wide)


def run(query: SavedQuery, world: World, *, counted: bool = False) -> Answer[Any]:
    """The answer, with those items of the question that the query keeps. Raises what the question raises.

    With ``counted`` attack paths may be ``FoundPath``, for who counts many and looks at some.
    """
    parameters = query.parameters
    left_out = 0
    if isinstance(parameters, MatchParameters):
        answers: list[Answer[Any]] = [parameters.question(query.condition, query.values).answer(world)]
        items: Sequence[Any] = answers[0].items
    else:
        if isinstance(parameters, PathsParameters):
            answers = parameters.answers(world, counted=counted and not query.where and not query.message)
        else:
            answers = parameters.answers(world)
        found = [item for answer in answers for item in answer]
        items = parameters.kept(world, found)
        left_out = _builtin_among(parameters, world, found)
        condition = query.condition
        if condition is not None:
            mask = condition.mask(columns_of(query.ask).table(world, items), query.values)
            items = [item for item, holds in zip(items, mask.tolist(), strict=True) if holds]
    items, notes = _unlisted(query, items)
    return Answer(
        question=SavedQuestion(query=query),
        items=tuple(items),
        complete=all(answer.complete for answer in answers),
        coverage=world.coverage,
        diagnostics=world.diagnostics,
        notes=(*union(answer.notes for answer in answers), *notes),
        warnings=union(answer.warnings for answer in answers),
        left_out=left_out,
    )


def _builtin_among(parameters: Parameters, world: World, found: Iterable[Any]) -> int:
    """How many items are left out because every cluster has them."""
    if not isinstance(parameters, WhoCanParameters | WhatCanParameters) or parameters.builtin:
        return 0
    return sum(is_builtin(world, item.because) for item in found)


def _unlisted(query: SavedQuery, items: Sequence[Any]) -> tuple[Sequence[Any], list[str]]:
    """(what ``only`` does not list, a note for each entry of it that lists nothing here)."""
    unused = dict.fromkeys(query.only)
    kept = []
    for item in items if query.only else ():
        name = query.finding(item)
        fitting = [glob for glob in query.only if _fits(name, glob)]
        if not fitting:
            kept.append(item)
        for glob in fitting:
            unused.pop(glob, None)
    return kept if query.only else items, [f"`only` lists `{glob}`, which is not found" for glob in unused]


def _fits(name: str, glob: str) -> bool:
    """`*` is any text; all else is literal."""
    return fnmatchcase(name, glob.replace("[", "[[]").replace("?", "[?]"))


# -- reading -----------------------------------------------------------------------------------------------------


#: The file that makes a folder of queries a pack (`_packs.py`).
PACK_FILE = "pack.yaml"


class Folder(NamedTuple):
    """Files, and what reports call the place where they are: where a package is installed is nobody's business."""

    name: str
    files: Traversable


def builtin_directory() -> Traversable:
    """The queries that come with the package: inside an installed one, beside the package in a checkout."""
    installed = files("graphsec").joinpath("data", "queries")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "queries"


def folder_of(directory: Traversable) -> Folder:
    return Folder("queries" if directory == builtin_directory() else str(directory), directory)


def load_queries(directories: Sequence[Traversable]) -> list[SavedQuery]:
    """The queries of all files, directory by directory in order of their ids. Raises UsageError as ``load_each``."""
    return [query for found in load_each([folder_of(directory) for directory in directories]) for query in found]


def load_each(folders: Sequence[Folder]) -> list[list[SavedQuery]]:
    """The queries of each folder in order of their ids.

    Raises one UsageError that names file and line of everything wrong: a set of queries loads whole or not at all.
    """
    complaints: list[str] = []
    each: list[list[SavedQuery]] = []
    places: dict[str, Source] = {}
    for folder in folders:
        loaded = []
        for name, file in _query_files(folder):
            try:
                loaded.append(_read(name, file.read_bytes()))
            except UsageError as error:
                complaints.append(error.message)
        each.append(sorted(loaded, key=lambda query: query.id))
        for query in each[-1]:
            first = places.setdefault(query.id, query.source)
            if first is not query.source:
                complaints.append(f"{query.source}: `id`: `{query.id}` is the id of {first} already")
    if complaints:
        raise UsageError("\n  ".join(complaints), help="`graphsec query show GS-Q-001` prints a query that works")
    return each


def _query_files(folder: Folder) -> Iterator[tuple[str, Traversable]]:
    for name, file in yaml_files(folder):
        if file.name != PACK_FILE:
            yield name, file


def yaml_files(folder: Folder) -> Iterator[tuple[str, Traversable]]:
    """(name to show, file), in path order. Raises UsageError where there is no such folder."""
    if not folder.files.is_dir():
        raise UsageError(f"no folder of queries: `{folder.name}`")
    for entry in sorted(folder.files.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from yaml_files(Folder(f"{folder.name}/{entry.name}", entry))
        elif entry.name.endswith((".yaml", ".yml")):
            yield f"{folder.name}/{entry.name}", entry


class _Document(NamedTuple):
    """The one mapping of a file."""

    file: str
    text: str
    body: dict[str, Any]
    line: int

    def complaint(self, message: str, *path: str | int) -> UsageError:
        """About the last key or item of the path that is there."""
        return self._complaint(YamlPlaces(self.text).key(path), message, path)

    def misread(self, error: _MisplacedError) -> UsageError:
        """About a character of a value."""
        place = YamlPlaces(self.text).value(error.path, error.error.offset)
        return self._complaint(place, error.error.message, error.path)

    def _complaint(self, place: tuple[int, int], message: str, path: Sequence[str | int]) -> UsageError:
        named = f"`{path[0]}`" if path else ""
        said = message if not path or named in message else f"{named}: {message}"
        return UsageError(f"{self.file}:{place[0]}:{place[1]}: {said}")


def _read(name: str, data: bytes) -> SavedQuery:
    document = _parse(name, data)
    body = document.body
    own = {key: value for key, value in body.items() if key in _OWN_KEYS}
    asked = {key: value for key, value in body.items() if key not in _OWN_KEYS and key != "params"}
    own["params"] = _parameters(document)
    own["source"] = {"file": name, "line": document.line}
    try:
        query = msgspec.convert({**own, "parameters": asked, "text": document.text}, SavedQuery)
        query.check()
    except msgspec.ValidationError as error:
        raise _explained(document, str(error)) from None
    except _MisplacedError as error:
        raise document.misread(error) from None
    return query


def _parameters(document: _Document) -> list[Parameter]:
    declared = document.body.get("params", {})
    if not isinstance(declared, dict):
        raise document.complaint("a mapping of names to `{type: ..., default: ..., help: ...}`", "params")
    found = []
    for name, fields in declared.items():
        try:
            found.append(msgspec.convert({**fields, "name": name} if isinstance(fields, dict) else fields, Parameter))
        except msgspec.ValidationError as error:
            raise _explained(document, str(error), "params", name) from None
    return found


def _parse(name: str, data: bytes) -> _Document:
    text, problems = decode_text(data)
    events: Iterable[Event] = (*problems, *read_yaml(text or "", Limits()))
    documents: list[Item] = []
    for event in events:
        if isinstance(event, Problem):
            raise UsageError(f"{Source(name, event.line)}: {event.message}")
        if isinstance(event, Item):
            documents.append(event)
    if len(documents) != 1:
        line = documents[1].line if documents else 1
        raise UsageError(f"{Source(name, line)}: a file holds one query, not {len(documents)}")
    return _Document(name, text or "", documents[0].body, documents[0].line)


_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING = re.compile(r"Object missing required field `(.*?)`")
_AT = re.compile(r" - at `\$\.?(?:parameters\b\.?)?(.*)`$")
_KEY = re.compile(r"`(\w+)")
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


def _explained(document: _Document, error: str, *inside: str) -> UsageError:
    """msgspec's complaint about what stands at a path, in the words of the file."""
    at = _AT.search(error)
    path = (*inside, *(int(index) if index else word for word, index in _STEP.findall(at[1] if at else "")))
    message = _AT.sub("", error)
    key = path[-1] if path else ""
    if unknown := _UNKNOWN.search(error):
        message, path = f"unknown key `{unknown[1]}`", (*path, unknown[1])
    elif missing := _MISSING.search(error):
        message = f"required key `{missing[1]}` is missing"
    elif key == "id":
        message = "ids look like `ORG-SEC-001`"
    elif message.startswith("Invalid") and _choices(path):
        message = f"{message.split()[-1]} is none of {', '.join(_choices(path))}"
    else:
        message = message[:1].lower() + message[1:]
        # What a Struct says of itself names the key that it is about.
        path = (*path, *_KEY.findall(message)[:1])
    return document.complaint(message, *path)


def _choices(path: Sequence[str | int]) -> tuple[str, ...]:
    """The words that a key takes; those of items are of the list."""
    keys = [step for step in path if isinstance(step, str)]
    return _CHOICES.get(keys[-1], ()) if keys else ()


# -- checking ----------------------------------------------------------------------------------------------------


def lint(query: SavedQuery) -> list[str]:
    """What a reviewer of the file would ask to change, each with its place; [] if nothing."""
    discovery = Discovery(DEFAULT_MINOR)
    return [f"{query.source}: {remark}" for remark in (*_text_remarks(query), *_target_remarks(query, discovery))]


def _text_remarks(query: SavedQuery) -> Iterator[str]:
    title = query.title
    if not title[:1].isupper() or title.endswith(".") or len(title) > _TITLE_LENGTH:
        yield f"title: begins with a capital, ends without a period, at most {_TITLE_LENGTH} characters"
    for key in ("description", "remediation"):
        if not getattr(query, key).strip().endswith("."):
            yield f"{key}: whole sentences"
    if not query.references:
        yield "references: name a page that explains the risk"
    yield from (f"references: no https address: `{page}`" for page in query.references if page[:8] != "https://")
    for tag in query.tags:
        if not _TAG.match(tag):
            yield f"tags: `{tag}` is neither like CIS-5.1.2, nor like T1552.007, nor a lower-case word"
    used = set(query.condition.params) if query.condition else set()
    yield from (
        f"params: `{parameter.name}` is used nowhere" for parameter in query.params if parameter.name not in used
    )
    finds = [bool(expectation.find) for expectation in query.expect]
    if True not in finds or False not in finds:
        yield "expect: a world where something is found and one where nothing is"


def _target_remarks(query: SavedQuery, discovery: Discovery) -> Iterator[str]:
    for target in query.parameters.targets():
        yield from (
            f"verbs: `{verb}` matches no request, verbs are lower case"
            for verb in target.all_verbs()
            if verb != verb.lower()
        )
        if not target.resource or "*" in target.resource:
            continue
        name, group = resolve_resource(target.resource, discovery)
        known = discovery.get(group, name)
        if known is None and "." in group and group not in {resource.group for resource in discovery}:
            # Of a CustomResourceDefinition, which alone has a group of its own with a dot.
            continue
        if known is None:
            yield f"resource: `{target.resource}` is not one of Kubernetes 1.{discovery.minor}, it is taken literally"
        elif target.subresource and target.subresource not in known.subresources:
            yield f"subresource: {known.full_name} has no `{target.subresource}`"


def test(query: SavedQuery, base: Path) -> list[str]:
    """Where the query finds something else than it expects, [] if nowhere.

    A world is a folder or a YAML file, below ``base``, the folder of the query, or in `fixtures` beside that.
    """
    return [failure for expectation in query.expect if (failure := _failure(query, expectation, base))]


def _failure(query: SavedQuery, expectation: Expectation, base: Path) -> str:
    path = _world_path(expectation.world, base)
    if path is None:
        return f"{query.source}: {expectation.world}: no such folder or YAML file"
    cluster = load_cluster([str(path)], LoadOptions())
    world = compile_world(cluster, baseline=all_default_objects, defaults=partial(default_objects, DEFAULT_MINOR))
    try:
        found = {query.finding(item) for item in run(query, world)}
    except InputError as error:
        return f"{query.source}: {expectation.world}: {error.message}"
    expected = set(expectation.find)
    parts = [
        f"{word} {', '.join(sorted(refs))}"
        for word, refs in (("does not find", expected - found), ("also finds", found - expected))
        if refs
    ]
    return f"{query.source}: {expectation.world}: {'; '.join(parts)}" if parts else ""


def _world_path(world: str, base: Path) -> Path | None:
    for folder in (base, base.parent / "fixtures"):
        for path in (folder / world, folder / f"{world}.yaml"):
            if path.exists():
                return path
    return None
