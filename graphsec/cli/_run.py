"""Runs the typer app and turns every way to end into an exit code and a message (interface.md §1)."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

from graphsec.collector import collector_seldom
from graphsec.errors import GraphsecError, ReaderGoneError
from graphsec.model.text import safe

#: Commands of ``app`` itself: they do not wait for the modules of the others.
_OF_APP = frozenset({"bindings", "can-i", "inspect", "matrix", "what-can", "who-can"})


def run(args: list[str]) -> int:
    """0 answered, 1 no or found, 2 usage, 3 input, 4 limit, 5 internal error, 130 interrupted."""
    try:
        with collector_seldom():
            code = _invoke(args)
        sys.stdout.flush()
    except GraphsecError as error:
        _complain(error.message, error.help)
        code = error.exit_code
    except (BrokenPipeError, ReaderGoneError):
        # The reader has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 - the last resort: never exit 0, never a bare traceback
        code = _crash(error)
    return 0 if code == 1 and "--exit-zero" in args else code


def _invoke(args: list[str]) -> int:
    import typer

    from graphsec.cli import _config
    from graphsec.cli._arguments import canonical
    from graphsec.cli.app import app

    command = canonical(args)
    config = _config.load_config(args)
    _config.use(config)
    if command[0] not in _OF_APP:
        from graphsec.cli import _all  # noqa: F401 - adds the commands of the other modules

    try:
        tree = typer.main.get_command(app)
        defaults = _config.default_map(config, tree) if config.settings else None
        result = tree(args=command, prog_name=program(), standalone_mode=False, default_map=defaults)
    except GraphsecError:
        raise
    except Exception as error:
        # Typer's usage errors, told by shape: newer versions bring their own copy of click.
        if not hasattr(error, "format_message"):
            if type(error).__name__ in ("Abort", "Exit"):
                return int(getattr(error, "exit_code", 130))
            raise
        _complain(str(error.format_message()).rstrip("."), f"{program()} {command[0]} --help")
        return 2
    return result if isinstance(result, int) else 0


def program() -> str:
    """How the user called us: as kubectl's plugin the usage reads `kubectl graphsec`."""
    return "kubectl graphsec" if Path(sys.argv[0]).name.startswith("kubectl-") else "graphsec"


def _complain(message: str, help: str) -> None:  # noqa: A002 - the word users see
    for line in f"error: {message}".splitlines():
        print(safe(line), file=sys.stderr)
    for line in f"help: {help}".splitlines() if help else ():
        print(safe(line), file=sys.stderr)


def _crash(error: Exception) -> int:
    """Write a report without the values of variables, and say where it is."""
    handle, path = tempfile.mkstemp(prefix="graphsec-crash-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("".join(traceback.format_tb(error.__traceback__)))
        file.write(f"{type(error).__name__}\n")
    _complain(f"internal error ({type(error).__name__}); a report without any of your data is in {path}", "")
    return 5
