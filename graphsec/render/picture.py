"""The evidence of an answer as a diagram: DOT and Mermaid text, and what Graphviz makes of the DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer

if TYPE_CHECKING:
    from graphsec.diagram import Diagram, Fold


def _diagram(answer: Answer[Any], options: Options) -> Diagram:
    return answer.diagram(fold=cast("Fold", options.fold), max_nodes=options.max_nodes)


RENDERER = (
    Renderer(
        name="dot",
        suffix=".dot",
        help="a diagram as Graphviz text",
        render=lambda answer, options: _diagram(answer, options).dot(),
    ),
    # svg and png raise RenderError with ``missing`` where there is no Graphviz: the DOT text is then to be had instead.
    Renderer(
        name="svg",
        suffix=".svg",
        help="a diagram as scalable picture (needs Graphviz)",
        render=lambda answer, options: _diagram(answer, options).svg(),
    ),
    Renderer(
        name="png",
        suffix=".png",
        help="a diagram as picture (needs Graphviz)",
        render=lambda answer, options: _diagram(answer, options).png(),
    ),
    Renderer(
        name="mermaid",
        suffix=".mmd",
        help="a diagram for Markdown pages",
        render=lambda answer, options: _diagram(answer, options).mermaid(),
    ),
)
