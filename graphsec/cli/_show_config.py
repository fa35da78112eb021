"""`graphsec config`: which defaults are in force, and where they come from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from graphsec.cli._config import KEYS, Setting, current
from graphsec.cli.app import app
from graphsec.model.text import safe

configuration = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Defaults of flags: show.")
app.add_typer(configuration, name="config")


@configuration.callback()
def _group() -> None:
    """With one command alone typer would leave out its name."""


@configuration.command("show")
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    config: Annotated[
        str, typer.Option("--config", help="File of defaults (default: graphsec.toml here or above).")
    ] = "",
) -> int:
    """Print every default as TOML."""
    settings = current().settings
    for name, key in KEYS.items():
        setting = settings.get(name, Setting(key.default, "default"))
        comment = f"  # {setting.origin}" if origin else ""
        print(safe(f"{name} = {_toml(setting.value)}{comment}"))
    return 0


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case _:
            return str(value)
