"""Defaults of flags: `graphsec.toml`, `[tool.graphsec]` of pyproject.toml, `GRAPHSEC_*`; a flag on the command line wins.

Keys are the names of flags. The file is the first one found from the working directory upward, or that of `--config`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from graphsec.cli._arguments import is_folder
from graphsec.errors import UsageError

FILE, PROJECT = "graphsec.toml", "pyproject.toml"
_PREFIX = "GRAPHSEC_"


class Key(NamedTuple):
    """``parameter`` is the name by which commands know the flag; ``default`` gives the type of the value."""

    parameter: str
    default: bool | int | str | tuple[str, ...]
    #: Whether the value names files: relative ones are relative to the file that says so.
    path: bool = False


#: Flags that say what to ask and of what. Those that only one run can mean (`--out`, `--exit-zero`) are not among them.
KEYS: Mapping[str, Key] = {
    "input": Key("", (), path=True),
    "packs": Key("packs", ()),
    "queries": Key("own", (), path=True),
    "no-plugins": Key("no_plugins", default=False),
    "exceptions": Key("exceptions", "", path=True),
    "baseline": Key("baseline", "", path=True),
    "fail-on": Key("fail_on", ""),
    "max": Key("most", ()),
    "persona": Key("persona", "reviewer"),
    "as-of": Key("as_of", ""),
    "namespace": Key("namespace", ""),
    "default-namespace": Key("default_namespace", ""),
    "k8s-version": Key("k8s_version", ""),
    "with-defaults": Key("with_defaults", default=False),
    "cni": Key("cni", "upstream"),
    "memberships": Key("memberships", "", path=True),
    "entries": Key("entries", "", path=True),
    "exclude": Key("exclude", ()),
    "strict": Key("strict", default=False),
    "fail-on-incomplete": Key("fail_on_incomplete", default=False),
    "include-builtin": Key("include_builtin", default=False),
    "output": Key("output", "table"),
    "limit": Key("limit", -1),
    "fold": Key("fold", ""),
    "max-nodes": Key("max_nodes", 150),
    "quiet": Key("quiet", default=False),
    "verbose": Key("verbose", default=False),
}


class Setting(NamedTuple):
    value: Any
    #: `graphsec.toml:3`, `$GRAPHSEC_FAIL_ON`, or "default".
    origin: str


@dataclass(frozen=True, slots=True)
class Config:
    """What is set, by key."""

    settings: Mapping[str, Setting]

    def value(self, key: str) -> Any:
        found = self.settings.get(key)
        return KEYS[key].default if found is None else found.value

    def parameters(self) -> dict[str, Any]:
        """By the names of parameters, as defaults of commands."""
        return {
            KEYS[key].parameter: list(setting.value) if isinstance(setting.value, tuple) else setting.value
            for key, setting in self.settings.items()
            if KEYS[key].parameter
        }


def load_config(arguments: Sequence[str]) -> Config:
    """Of the file that `--config` among the arguments names, or of the nearest one; then of the environment.

    Raises UsageError at file and line: unknown keys, values of another type, a file that is no TOML.
    """
    named = _named(arguments) or os.environ.get(f"{_PREFIX}CONFIG", "")
    if named and not Path(named).is_file():
        raise UsageError(f"no such file: `{named}`", help="--config FILE")
    path = Path(named) if named else _nearest(Path.cwd())
    return Config({**(dict(_of_file(path, required=bool(named))) if path else {}), **dict(_of_environment())})


def _named(arguments: Sequence[str]) -> str:
    found = ""
    for position, word in enumerate(arguments):
        if word == "--":
            break
        if word == "--config" and position + 1 < len(arguments):
            found = arguments[position + 1]
        elif word.startswith("--config="):
            found = word.partition("=")[2]
    return found


def _nearest(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
        project = folder / PROJECT
        if project.is_file() and _table(project, _read(project)) is not None:
            return project
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {_shown(path)}: {error}") from error


def _table(path: Path, text: str) -> dict[str, Any] | None:
    """The settings; of pyproject.toml the table `tool.graphsec`, None where it has none."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Another tool's file that is broken is no concern of ours, unless it speaks of us.
        if path.name == PROJECT and "tool.graphsec" not in text:
            return None
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        place = f":{at[1]}:{at[2]}" if at else ""
        raise UsageError(f"{_shown(path)}{place}: {str(error).partition(' (at')[0]}") from error
    if path.name != PROJECT:
        return table
    tool = table.get("tool")
    own = tool.get("graphsec") if isinstance(tool, dict) else None
    return own if isinstance(own, dict) else None


def _of_file(path: Path, *, required: bool) -> Iterator[tuple[str, Setting]]:
    text = _read(path)
    table = _table(path, text)
    if table is None:
        if required:
            raise UsageError(f"{_shown(path)} has no table `tool.graphsec`")
        return
    for name, value in table.items():
        origin = f"{_shown(path)}:{_line(path, text, name)}"
        if name not in KEYS:
            raise UsageError(f"{origin}: unknown key `{name}`{_near(name)}", help=f"keys: {', '.join(KEYS)}")
        yield name, Setting(_typed(name, value, origin, path.parent), origin)


def _shown(path: Path) -> str:
    """Relative to where we are: no report says where on this machine that is."""
    return os.path.relpath(path)


def _line(path: Path, text: str, key: str) -> int:
    """tomllib keeps no places; a key of the table is found by its spelling."""
    inside = path.name != PROJECT
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := re.match(r"\s*\[+\s*([^\]]*?)\s*\]", line):
            inside = heading[1].replace('"', "").replace(" ", "") in (f"tool.graphsec.{key}", "tool.graphsec", key)
            if heading[1].split(".")[-1].strip('" ') == key and inside:
                return number
        if inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return 1


def _near(name: str) -> str:
    near = difflib.get_close_matches(name.replace("_", "-"), KEYS, n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


_WORDS: Mapping[type, str] = {bool: "true or false", int: "a number", str: "a text"}


def _typed(name: str, value: Any, origin: str, folder: Path) -> Any:
    key = KEYS[name]
    if isinstance(key.default, tuple):
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise UsageError(f"{origin}: `{name}` takes a list of texts")
        return tuple(_below(folder, part) if key.path or _is_folder(name, part) else part for part in parts)
    if type(value) is not type(key.default):
        raise UsageError(f"{origin}: `{name}` takes {_WORDS[type(key.default)]}")
    return _below(folder, str(value)) if key.path else value


def _is_folder(name: str, word: str) -> bool:
    """Packs are named, or folders, which are written with a slash."""
    return name == "packs" and is_folder(word)


def _below(folder: Path, path: str) -> str:
    if path in ("", "-") or Path(path).is_absolute():
        return path
    found = os.path.relpath(folder / path)
    # What was written as a path stays one: `./packs` is no name.
    return found if "/" in found or "/" not in path else f"./{found}"


def _of_environment() -> Iterator[tuple[str, Setting]]:
    for variable, text in sorted(os.environ.items()):
        if not variable.startswith(_PREFIX) or variable == f"{_PREFIX}CONFIG":
            continue
        name = variable.removeprefix(_PREFIX).lower().replace("_", "-")
        if name not in KEYS:
            # A name that is like none of ours belongs to somebody else.
            if _near(name):
                raise UsageError(f"unknown variable `{variable}`{_near(name)}")
            continue
        yield name, Setting(_parsed(name, text, f"${variable}"), f"${variable}")


def _parsed(name: str, text: str, origin: str) -> Any:
    """Lists of paths are written as in PATH, others with commas."""
    key = KEYS[name]
    match key.default:
        case bool():
            if text.lower() not in ("", "0", "1", "true", "false"):
                raise UsageError(f"{origin}: `{text}` is neither true nor false")
            return text.lower() in ("1", "true")
        case int():
            try:
                return int(text)
            except ValueError:
                raise UsageError(f"{origin}: `{text}` is no number") from None
        case tuple():
            return tuple(filter(None, text.split(os.pathsep if key.path else ",")))
        case _:
            return text


# -- the one in use ------------------------------------------------------------------------------------------------


class _Current:
    """The configuration of the command that runs; commands are started by typer, which hands them flags alone."""

    config = Config({})


def use(config: Config) -> None:
    _Current.config = config


def current() -> Config:
    return _Current.config


def default_map(config: Config, command: Any) -> dict[str, Any]:
    """The settings as typer takes them: for each command, and each command of a group, those that it has a parameter for."""
    inner = getattr(command, "commands", None)
    if inner is not None:
        return {name: default_map(config, found) for name, found in inner.items()}
    own = {parameter.name for parameter in command.params if not parameter.required}
    return {name: value for name, value in config.parameters().items() if name in own}


__all__ = ["KEYS", "Config", "Setting", "current", "default_map", "load_config", "use"]
