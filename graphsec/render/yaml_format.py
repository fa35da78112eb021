"""Answers as YAML that every YAML version reads alike; for `what-can` and `policy synthesize`, objects to apply."""

from __future__ import annotations

from typing import Any

from graphsec.model.yaml_text import document
from graphsec.query._answer import Answer
from graphsec.query.what_can import WhatCan, equivalent_roles
from graphsec.render._renderer import Options, Renderer


def _yaml(answer: Answer[Any], _: Options) -> str:
    if isinstance(answer.question, WhatCan):
        return "".join(f"---\n{document(role)}" for role in equivalent_roles(answer))
    if hasattr(answer.question, "manifests"):
        return "".join(f"---\n{document(item.manifest)}" for item in answer)
    return document(answer.envelope())


RENDERER = Renderer(
    name="yaml",
    suffix=".yaml",
    help="the whole answer as YAML; for what-can the least roles that allow as much, for policy synthesize the policies",
    render=_yaml,
)
