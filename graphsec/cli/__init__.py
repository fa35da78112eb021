"""The command line's entry points. ``--version`` and completion answer before typer is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from graphsec import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (interface.md §1). Console scripts pass it to ``sys.exit``."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    if args[:1] in (["--version"], ["version"]):
        print(f"graphsec {__version__}")
        return 0
    if args[:1] == ["__complete"]:
        return complete(args[1:])
    from graphsec.cli._run import run

    return run(args)


def complete(arguments: Sequence[str] | None = None) -> int:
    """kubectl's plugin completion: the words so far and the one to complete; one candidate a line, then a directive."""
    from graphsec.cli._completion import candidates

    args = list(sys.argv[1:] if arguments is None else arguments)
    for word in candidates(args):
        print(word)
    print(":4")  # cobra's ShellCompDirectiveNoFileComp
    return 0
