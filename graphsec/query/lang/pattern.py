"""Path patterns: one line of nodes and arrows, `(w:Pod)-[:RUNS_AS]->(s:ServiceAccount)-[:ATTACK*1..6]->(t:Sink)`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from graphsec.query.lang.lexer import MisreadError, Token
from graphsec.query.lang.parser import PARAMS, Reader
from graphsec.query.lang.schema import suggestion

#: Steps of one arrow, and arrows of a pattern.
MAX_REPEAT = 8
MAX_ARROWS = 8
#: What `return` calls the way that was found.
PATH = "path"


@dataclass(frozen=True, slots=True)
class NodePattern:
    """``labels`` () is a node of any kind; ``variable`` "" one that nothing refers to."""

    variable: str
    labels: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class EdgePattern:
    """``kinds`` are alternatives for each step; from right to left where ``backward``."""

    kinds: tuple[str, ...]
    backward: bool
    least: int
    most: int
    offset: int


@dataclass(frozen=True, slots=True)
class ArrowPattern:
    """``edges[n]`` leads from ``nodes[n]`` to ``nodes[n + 1]``."""

    text: str
    nodes: tuple[NodePattern, ...]
    edges: tuple[EdgePattern, ...]

    @property
    def variables(self) -> dict[str, int]:
        """Their nodes."""
        return {node.variable: place for place, node in enumerate(self.nodes) if node.variable}


def compile_pattern(text: str, labels: Collection[str], kinds: Collection[str]) -> ArrowPattern:
    """Raises MisreadError with the offset of what is no pattern of these labels and kinds of edges."""
    return _Parser(text, labels, kinds).pattern(text)


class _Parser(Reader):
    def __init__(self, text: str, labels: Collection[str], kinds: Collection[str]) -> None:
        super().__init__(text)
        self._labels = labels
        self._kinds = kinds

    def pattern(self, text: str) -> ArrowPattern:
        nodes = [self._node()]
        edges: list[EdgePattern] = []
        while self.next.kind != "end":
            edges.append(self._edge())
            nodes.append(self._node())
            if len(edges) > MAX_ARROWS:
                raise MisreadError(f"more than {MAX_ARROWS} arrows", edges[-1].offset)
        if not edges:
            raise MisreadError("a pattern has an arrow: `(w:Pod)-[:RUNS_AS]->(s)`", self.next.offset)
        named: set[str] = set()
        for node in nodes:
            if node.variable in named:
                raise MisreadError(f"`{node.variable}` stands twice: a pattern is a line", node.offset)
            named |= {node.variable} - {""}
        return ArrowPattern(text, tuple(nodes), tuple(edges))

    def _node(self) -> NodePattern:
        begin = self.expect("(")
        variable = ""
        if self.next.kind == "name":
            token = self.take()
            variable = token.text
            if variable in (PATH, PARAMS, "in", "true", "false"):
                raise MisreadError(f"`{variable}` is taken: call the variable otherwise", token.offset)
        labels = self._words(self._labels, "label") if self.accept(":") else ()
        if self.next.text == "{":
            raise MisreadError("conditions on nodes stand in `where`", self.next.offset)
        self.expect(")")
        return NodePattern(variable, labels, begin.offset)

    def _edge(self) -> EdgePattern:
        begin = self.next
        backward = self.accept("<-") is not None
        if not backward:
            self._arrow("-", "`-[:KIND]->` or `<-[:KIND]-`")
        bracket = self.expect("[")
        if self.next.kind == "name":
            raise MisreadError("arrows have no variables: `return: [path]` shows the way", self.next.offset)
        self.expect(":")
        kinds = self._words(self._kinds, "kind of edge")
        least, most = self._bounds(bracket) if self.accept("*") else (1, 1)
        self.expect("]")
        self._arrow("-" if backward else "->", "`<-[:KIND]-`" if backward else "`-[:KIND]->`")
        return EdgePattern(kinds, backward, least, most, begin.offset)

    def _arrow(self, text: str, shape: str) -> None:
        if not self.accept(text):
            raise MisreadError(f"{shape} expected, not {self.next}", self.next.offset)

    def _words(self, known: Collection[str], what: str) -> tuple[str, ...]:
        found: list[str] = []
        while not found or self.accept("|"):
            token = self.name(f"a {what}")
            if token.text not in known:
                raise MisreadError(f"`{token.text}` is no {what}{suggestion(token.text, known)}", token.offset)
            found.append(token.text)
        return tuple(dict.fromkeys(found))

    def _bounds(self, bracket: Token) -> tuple[int, int]:
        least = int(self.take().value) if self.next.kind == "int" else None
        most = least
        if self.accept(".."):
            most = int(self.take().value) if self.next.kind == "int" else None
        if most is None:
            raise MisreadError(f"a repetition has an upper bound: `*1..{MAX_REPEAT}` at most", bracket.offset)
        least = 1 if least is None else least
        if not 1 <= least <= most <= MAX_REPEAT:
            raise MisreadError(f"a repetition is from 1 up to at most {MAX_REPEAT} steps", bracket.offset)
        return least, most
