"""Flows as the lines known from netpol-analyzer: `src[Kind] => dst[Kind] : TCP 80,443`, sorted."""

from __future__ import annotations

from typing import Any

from graphsec.errors import UsageError
from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer

_ONLY = ("reach",)


def _connlist(answer: Answer[Any], _: Options) -> str:
    """Ports that the input leaves open have no form there and are left out; every other format has them."""
    if answer.question.ask not in _ONLY:
        raise UsageError(f"connlist is a format of reach, not of {answer.question.ask}", help="`-o table`, `-o json`")
    return "".join(f"{line}\n" for line in sorted(safe(flow.line()) for flow in answer if flow.ports))


RENDERER = Renderer(name="connlist", suffix=".txt", help="reach: netpol-analyzer's lines", render=_connlist, only=_ONLY)
