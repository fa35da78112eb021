"""Completion of commands, verbs, types, formats and flags; loads neither typer nor any input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphsec.algebra.ports import PROTOCOLS
from graphsec.cli._arguments import COMMANDS, SWITCHES, VALUED, split
from graphsec.compile.profile import PROFILES
from graphsec.errors import UsageError
from graphsec.model.diagnostic import CODES
from graphsec.query._severities import SEVERITIES

_VERBS = (
    "read", "write", "admin", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
    "bind", "escalate", "impersonate", "approve", "sign", "use",
)  # fmt: skip
_QUERY_VERBS = ("list", "show", "copy", "run", "lint", "test")


def candidates(args: Sequence[str]) -> list[str]:
    """Completions of the last word, given the words before it."""
    *before, current = args or [""]
    return sorted(word for word in _possible(list(before), current) if word.startswith(current))


def _possible(before: list[str], current: str) -> Iterable[str]:
    previous = before[-1] if before else ""
    if previous in ("-o", "--output", "--format"):
        return _formats()
    if previous in ("--severity", "--fail-on"):
        return SEVERITIES
    if previous == "--protocol":
        return PROTOCOLS
    if previous == "--cni":
        return PROFILES
    if previous == "--fold":
        return ("class", "namespace", "none", "workload")
    if current.startswith("-"):
        return [flag for flag in (*SWITCHES, *VALUED) if flag.startswith("--")]
    if previous in VALUED:
        return ()
    words, _ = split(before)
    match words:
        case []:
            return (*COMMANDS, "who", "what", "can")
        case ["who"] | ["what"]:
            return ("can",)
        case ["who", "can"] | ["who-can"] | ["can-i"] | ["can", _]:
            return _VERBS
        case ["who", "can", _] | ["who-can", _] | ["can-i", _] | ["can", _, _] | ["matrix", *_]:
            return _types()
        case ["query"]:
            return _QUERY_VERBS
        case ["config"]:
            return ("show",)
        case ["policy"]:
            return ("lint", "synthesize")
        case ["explain"]:
            return CODES
        case ["export"]:
            return _exports()
        case ["completion"]:
            return ("bash", "fish", "zsh")
        case _:
            return ()


def _formats() -> Iterable[str]:
    from graphsec.render import renderers

    return renderers()


def _exports() -> Iterable[str]:
    from graphsec.query.export import EXPORTS, QUERIES

    return (*EXPORTS, QUERIES)


def _types() -> Iterable[str]:
    from graphsec.model.discovery import DEFAULT_MINOR, Discovery

    return (resource.full_name for resource in Discovery(DEFAULT_MINOR) if resource.kind)


_SCRIPTS = {
    "bash": """_graphsec() {
  local IFS=$'\\n'
  COMPREPLY=($(graphsec __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | grep -v '^:'))
}
complete -o default -F _graphsec graphsec
""",
    "zsh": """#compdef graphsec
_graphsec() {
  local -a found
  found=("${(@f)$(graphsec __complete "${(@)words[2,CURRENT]}" 2>/dev/null | grep -v '^:')}")
  compadd -a found
}
compdef _graphsec graphsec
""",
    "fish": """function __graphsec
  set -l words (commandline -opc) (commandline -ct)
  graphsec __complete $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c graphsec -f -a '(__graphsec)'
""",
}


def script(shell: str) -> str:
    """The completion script of a shell. Raises UsageError for others than bash, zsh and fish."""
    if shell not in _SCRIPTS:
        raise UsageError(f"no completion for `{shell}`", help=f"shells: {', '.join(sorted(_SCRIPTS))}")
    return _SCRIPTS[shell]
