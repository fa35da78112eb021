"""Output formats by name; any answer in any format."""

from __future__ import annotations

import sys
from functools import cache

from graphsec.discover import constants
from graphsec.render._renderer import Options, Renderer
from graphsec.render._schemas import schema

__all__ = ["Options", "Renderer", "renderers", "schema"]


@cache
def renderers() -> dict[str, Renderer]:
    """Every format that ``-o`` and ``--out`` take."""
    return {renderer.name: renderer for renderer in constants(sys.modules[__name__], "RENDERER", Renderer)}
