"""Collect the typed constant that each module of a package declares; no registry, no side effects."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")


def constants(package: ModuleType, name: str, kind: type[T]) -> list[T]:
    """The constants ``name`` of all modules of ``package`` without leading underscore, in module order.

    A constant may be one ``kind`` or a tuple of them. Raises TypeError for any other type: a programming mistake.
    """
    found: list[T] = []
    for info in iter_modules(package.__path__, package.__name__ + "."):
        if info.name.rpartition(".")[2].startswith("_"):
            continue
        value = getattr(import_module(info.name), name, ())
        for item in value if isinstance(value, tuple) else (value,):
            if not isinstance(item, kind):
                raise TypeError(f"{info.name}.{name} must be {kind.__name__}, not {type(item).__name__}")
            found.append(item)
    return found
