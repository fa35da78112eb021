"""Questions that several saved queries ask of one world, asked once."""

from __future__ import annotations

from typing import Any

from graphsec.compile import World
from graphsec.query._answer import Answer


def shared(question: Any, world: World) -> Answer[Any]:
    """``question.answer(world)``, kept with the world. A question that is refused is asked again."""
    answer: Answer[Any] | None = world.remembered.get(question)
    if answer is None:
        answer = world.remembered[question] = question.answer(world)
    return answer
