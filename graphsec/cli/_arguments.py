"""From what people type to one canonical command: sentences, and flags before the command as kubectl allows them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from graphsec.errors import UsageError

COMMANDS = (
    "who-can", "can-i", "what-can", "matrix", "bindings", "paths", "why-not", "blast", "choke", "fix", "entry-points", "rules", "reach",
    "exposed", "diff", "policy", "graph", "inspect", "query", "explain", "schema", "collect",
    "completion", "doctor", "version", "export", "snapshot",
)  # fmt: skip
GRAMMAR = "who can VERB TYPE [in NS] · can X VERB TYPE [in NS] · what can X do · how can X become Y · who can reach X [on PORT]"
#: Commands that are groups of commands.
_GROUPS = ("policy", "query", "rules")
#: Every flag without a value: what follows it is a word. Tests hold it against the commands themselves.
SWITCHES = (
    "-A", "-h", "-q", "-v", "--all-namespaces", "--as-people", "--diagnostics", "--exit-zero", "--expect-none",
    "--explain", "--fail-on-incomplete", "--help", "--include-builtin", "--list", "--no-headers", "--quiet",
    "--raw-csv", "--strict", "--unlock-builtin", "--verbose", "--with-defaults",
)  # fmt: skip

#: Every flag with a value.
VALUED = (
    "-f", "-k", "-n", "-o", "--as", "--as-group", "--assume", "--cni", "--entries", "--default-namespace", "--exclude", "--fail-on", "--filename", "--flows", "--focus", "--fold", "--hops", "--k8s-version",
    "--limit", "--max-depth", "--max-file-bytes", "--max-inflated-bytes", "--max-nodes", "--max-nodes-per-object",
    "--max-object-bytes", "--memberships", "--name", "--namespace", "--out", "--output", "--port", "--protocol", "--queries", "--role", "--scope",
    "--sink", "--subject", "--subresource", "--top", "--via", "--without",
)  # fmt: skip


def canonical(args: Sequence[str]) -> list[str]:
    """The arguments with the command first and sentences turned into commands. Raises UsageError with a suggestion."""
    words, flags = split(args)
    if not words:
        unknown = [flag for flag in flags if flag not in ("-h", "--help")]
        if unknown:
            raise UsageError(f"no command given with `{unknown[0]}`", help=f"commands: {', '.join(COMMANDS)}")
        return ["--help"]
    if words[0] in COMMANDS:
        # The order of what a command takes is its own; only flags in front of it move behind.
        at = _position(args, words[0])
        return (
            [words[0], *args[:at], *args[at + 1 :]]
            if len(args) > 1 or words[0] not in _GROUPS
            else [words[0], "--help"]
        )
    sentence = _sentence(words)
    if sentence is None:
        raise UsageError(f"unknown command `{words[0]}`{_suggestion(words)}", help=f"commands: {', '.join(COMMANDS)}")
    return [*sentence, *flags]


def split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """(words, flags with their values) of a command line."""
    words: list[str] = []
    flags: list[str] = []
    waiting = iter(args)
    for arg in waiting:
        if not arg.startswith("-") or arg == "-":
            words.append(arg)
            continue
        flags.append(arg)
        glued = "=" in arg or (len(arg) > 2 and arg[1] != "-")
        if arg not in SWITCHES and not glued and (value := next(waiting, None)) is not None:
            flags.append(value)
    return words, flags


def _position(args: Sequence[str], command: str) -> int:
    """Where the command stands: the first word, which no flag before it takes as its value."""
    return next(at for at, arg in enumerate(args) if arg == command and split(args[: at + 1])[0] == [command])


def _suggestion(words: Sequence[str]) -> str:
    # kubectl says `auth can-i` and `auth whoami`.
    near = [word for word in words[1:2] if word in COMMANDS] or difflib.get_close_matches(words[0], COMMANDS, n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def _sentence(words: list[str]) -> list[str] | None:
    """The command that a sentence asks, None if the words are no sentence."""
    match words:
        case ["who", "can", "reach", *_]:
            return ["reach", "*", *_reached(words[3:])]
        case ["who", "can", verb, target, *place]:
            return ["who-can", verb, target, *_in_namespace(place)]
        case ["what", "can", subject, "do", *place]:
            return ["what-can", subject, *_in_namespace(place)]
        case ["can", subject, verb, target, *place]:
            return ["can-i", verb, target, "--as", subject, *_in_namespace(place)]
        case ["how", "can", start, "become", target]:
            return ["paths", start, target]
        case ["who" | "what" | "can" | "how", *_]:
            raise UsageError("no sentence of the grammar", help=f"sentences: {GRAMMAR}")
        case _:
            return None


def _reached(words: list[str]) -> list[str]:
    match words:
        case [end]:
            return [end]
        case [end, "on", ("port" | "PORT"), port] | [end, "on", port]:
            return [end, "--port", port]
        case _:
            raise UsageError("who can reach what?", help=f"sentences: {GRAMMAR}")


def _in_namespace(place: list[str]) -> list[str]:
    match place:
        case []:
            return []
        case ["in", ("any" | "all"), ("namespace" | "namespaces")]:
            return ["-A"]
        case ["in", "namespace", namespace] | ["in", namespace]:
            return ["-n", namespace]
        case _:
            raise UsageError(f"unexpected `{' '.join(place)}`", help=f"sentences: {GRAMMAR}")
