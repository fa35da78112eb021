"""The JSON Schemas of the output, as they ship with the package."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

from graphsec.errors import UsageError


def schema_names() -> list[str]:
    return sorted(file.name.removesuffix(".json") for file in _folder().iterdir() if file.name.endswith(".json"))


def schema(name: str) -> str:
    """The schema ``name`` as JSON text, `answer` for the envelope of every question. Raises UsageError if there is none."""
    known = schema_names()
    if name not in known:
        raise UsageError(f"unknown schema `{name}`", help=f"schemas: {', '.join(known)}")
    return (_folder() / f"{name}.json").read_text(encoding="utf-8")


def _folder() -> Traversable:
    return resources.files("graphsec") / "data/schemas"
