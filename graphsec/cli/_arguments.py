"""From what people type to one canonical command: sentences, and flags before the command as kubectl allows them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from graphsec.errors import UsageError

COMMANDS = (
    "who-can", "can-i", "what-can", "matrix", "bindings", "inspect", "query", "explain", "schema", "collect",
    "completion", "doctor", "version",
)  # fmt: skip
GRAMMAR = "who can VERB TYPE [in NS] · can X VERB TYPE [in NS] · what can X do"
#: Flags of the command line as a whole that stand before a command without a value.
_SWITCHES = (
    "-A", "-q", "-v", "--all-namespaces", "--quiet", "--verbose", "--strict", "--with-defaults", "--no-headers",
)  # fmt: skip


def canonical(args: Sequence[str], switches: Sequence[str] = _SWITCHES) -> list[str]:
    """The arguments with the command first and sentences turned into commands. Raises UsageError with a suggestion."""
    flags, rest = _leading_flags(list(args), switches)
    if not rest or rest[0] in ("-h", "--help"):
        return ["--help"]
    command = _sentence(rest) or rest
    if command[0] not in COMMANDS:
        raise UsageError(
            f"unknown command `{command[0]}`{_suggestion(command[0])}", help=f"commands: {', '.join(COMMANDS)}"
        )
    return [command[0], *flags, *command[1:]]


def _suggestion(word: str) -> str:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def _leading_flags(args: list[str], switches: Sequence[str]) -> tuple[list[str], list[str]]:
    flags: list[str] = []
    while args and args[0].startswith("-") and args[0] not in ("--help", "-h", "-"):
        flag = args.pop(0)
        flags.append(flag)
        takes_value = "=" not in flag and flag not in switches and not (len(flag) > 2 and flag[1] != "-")
        if takes_value and args:
            flags.append(args.pop(0))
    return flags, args


def _sentence(words: list[str]) -> list[str] | None:
    """The command that a sentence asks, None if the words are no sentence. Flags may follow anywhere."""
    match words:
        case ["who", "can", "reach", *_]:
            raise UsageError("network reachability cannot be asked in this version", help=f"sentences: {GRAMMAR}")
        case ["who", "can", verb, target, *rest]:
            return ["who-can", verb, target, *_in_namespace(rest)]
        case ["what", "can", subject, "do", *rest]:
            return ["what-can", subject, *rest]
        case ["can", subject, verb, target, *rest]:
            return ["can-i", verb, target, "--as", subject, *_in_namespace(rest)]
        case ["how", "can", *_]:
            raise UsageError("escalation paths cannot be asked in this version", help=f"sentences: {GRAMMAR}")
        case ["who" | "what" | "can", *_]:
            raise UsageError("no sentence of the grammar", help=f"sentences: {GRAMMAR}")
        case _:
            return None


def _in_namespace(rest: list[str]) -> list[str]:
    match rest:
        case ["in", ("any" | "all"), ("namespace" | "namespaces"), *flags]:
            return ["-A", *flags]
        case ["in", "namespace", namespace, *flags] | ["in", namespace, *flags]:
            return ["-n", namespace, *flags]
        case [word, *_] if not word.startswith("-"):
            raise UsageError(f"unexpected `{word}`", help=f"sentences: {GRAMMAR}")
        case _:
            return rest
