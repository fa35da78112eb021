"""The evidence of an answer as a diagram: DOT and Mermaid text, and what Graphviz makes of the DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer

if TYPE_CHECKING:
    from graphsec.diagram import Fold


def _picture(name: str, suffix: str, help: str) -> Renderer:  # noqa: A002 - as the field
    """The method of Diagram called ``name`` as a renderer."""

    def render(answer: Answer[Any], options: Options) -> str | bytes:
        diagram = answer.diagram(fold=cast("Fold", options.fold), max_nodes=options.max_nodes)
        return cast("str | bytes", getattr(diagram, name)())

    return Renderer(name=name, suffix=suffix, help=help, render=render)


RENDERER = (
    _picture("dot", ".dot", "a diagram as Graphviz text"),
    # svg and png raise RenderError with ``missing`` where there is no Graphviz: the DOT text is then to be had instead.
    _picture("svg", ".svg", "a diagram as scalable picture (needs Graphviz)"),
    _picture("png", ".png", "a diagram as picture (needs Graphviz)"),
    _picture("mermaid", ".mmd", "a diagram for Markdown pages"),
)
