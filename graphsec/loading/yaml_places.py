"""Where the keys and values of a YAML document stand, to the column; for files whose mistakes are told to their author.

Manifests are read without it: the composed document costs several times the memory of the plain values.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import yaml

#: A place counts from 1: (line, column).
Position = tuple[int, int]
Path = Sequence[str | int]

_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)


class YamlPlaces:
    """Of one document that reads without an error."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
        # Nothing is constructed from the nodes.
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        assert root is not None, "a document"
        self._root: yaml.Node = root

    def key(self, path: Path) -> Position:
        """Of the last key or item of the path that is there."""
        return self._at(self._find(path)[0])

    def value(self, path: Path, offset: int = 0) -> Position:
        """Of the character at ``offset`` of a scalar's value, as the file writes it: quoted, folded or literal."""
        node = self._find(path)[1]
        if not isinstance(node, yaml.ScalarNode):
            return self._at(node.start_mark.index)
        # White space may have been folded; everything else stands in the file in the same order.
        before = sum(not character.isspace() for character in node.value[:offset])
        places = list(self._written(node))
        if before < len(places):
            return self._at(places[before])
        return self._at(places[-1] + 1 if places else node.start_mark.index)

    def _find(self, path: Path) -> tuple[int, yaml.Node]:
        """(where the last key or item begins, its value) as far as the path leads."""
        node = self._root
        begin = node.start_mark.index
        for step in path:
            following = _below(node, step)
            if following is None:
                break
            begin, node = following
        return begin, node

    def _at(self, index: int) -> Position:
        line = bisect_right(self._lines, index)
        return line, index - self._lines[line - 1] + 1

    def _written(self, node: yaml.ScalarNode) -> Iterator[int]:
        """Where each character of the value that is no white space stands."""
        begin, end = node.start_mark.index, node.end_mark.index
        if node.style in ("|", ">"):
            # The line of the indicator may hold a comment, too.
            begin = self._lines[bisect_right(self._lines, begin)]
        elif node.style in ("'", '"'):
            begin, end = begin + 1, end - 1
        at = begin
        while at < end:
            escape = _ESCAPE.match(self._text, at) if node.style == '"' else None
            if escape is None:
                if not self._text[at].isspace():
                    yield at
                # Within single quotes a quote is written twice.
                at += 2 if node.style == "'" and self._text[at] == "'" else 1
            else:
                if not _is_space(escape.group()):
                    yield at
                at = escape.end()


def _below(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == step:
                return key.start_mark.index, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
        return node.value[step].start_mark.index, node.value[step]
    return None


def _is_space(escape: str) -> bool:
    """Whether an escape of double quotes is white space, or a line break that leaves nothing."""
    body = escape[1:]
    if body[0] in "xuU" and len(body) > 1:
        return chr(int(body[1:], 16)).isspace()
    return body in "ntrvfNLP_ \t\n\r"


__all__ = ["Position", "YamlPlaces"]
