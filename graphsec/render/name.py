"""What an answer found as `kind/namespace/name` lines, for shell loops."""

from __future__ import annotations

from typing import Any

from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer


def _names(answer: Answer[Any], _: Options) -> str:
    return "".join(f"{name}\n" for name in dict.fromkeys(safe(name) for item in answer for name in item.refs()))


RENDERER = Renderer(name="name", suffix=".txt", help="one kind/namespace/name a line", render=_names)
