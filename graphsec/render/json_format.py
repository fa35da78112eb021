"""Answers as JSON for other tools: the whole envelope, or one item a line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import msgspec

from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer


def _json(answer: Answer[Any], _: Options) -> str:
    try:
        text = answer.to_json()
    except UnicodeEncodeError:
        # A lone surrogate, as Python makes of file names that are not UTF-8; msgspec has no way to write it.
        text = json.dumps(answer.envelope(), sort_keys=True, indent=2, ensure_ascii=False)
    return _seen(text) + "\n"


def _ndjson(answer: Answer[Any], _: Options) -> str:
    return "".join(_seen(_line(item)) + "\n" for item in answer.to_dicts())


def _line(item: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(item, order="sorted").decode()
    except UnicodeEncodeError:
        return json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _seen(text: str) -> str:
    """The same JSON with unseen characters as escapes: they stand in strings only, which therefore keep their value."""
    unseen = {char for char in set(text) - {"\n"} if safe(char) != char}
    return text.translate({ord(char): _escape(char) for char in unseen}) if unseen else text


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return re.sub("....", r"\\u\g<0>", units)


_JSON = Renderer(
    name="json",
    suffix=".json",
    help="the whole answer with evidence and coverage (schema graphsec.answer/v1)",
    render=_json,
)

RENDERER = (
    _JSON,
    replace(_JSON, name="json-v1", help="json, pinned to version 1 of its schema"),
    Renderer(name="ndjson", suffix=".ndjson", help="one item a line as JSON", render=_ndjson),
)
