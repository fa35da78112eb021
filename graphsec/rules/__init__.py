"""The rules of the attack graph by id. A new rule is one module here, with a ``RULE``; its docstring is its page."""

from __future__ import annotations

import inspect
import sys
from functools import cache
from importlib import import_module

from graphsec.discover import constants
from graphsec.model.attack import Rule

__all__ = ["page", "rules"]


@cache
def rules() -> dict[str, Rule]:
    """Every rule by id, in order of ids."""
    found = constants(sys.modules[__name__], "RULE", Rule)
    return {rule.id: rule for rule in sorted(found, key=lambda rule: rule.id)}


def page(rule: Rule) -> str:
    """The docstring of a rule's module."""
    return inspect.cleandoc(import_module(f"{__name__}.{rule.id.replace('-', '_')}").__doc__ or "")
