"""Conditions: tokens to a tree, by precedence as in CEL: `||`, `&&`, comparisons, `!`, members."""

from __future__ import annotations

from graphsec.query.lang.lexer import MisreadError, Token, tokens
from graphsec.query.lang.tree import Call, Comparison, ListOf, Literal, Logic, Name, Node, Not

#: Parentheses, negations and arguments within each other.
MAX_DEPTH = 32
#: Members one after the other, as in `a.b.c`.
_MAX_MEMBERS = 8
MAX_ITEMS = 1_000
#: The name under which a condition finds its parameters.
PARAMS = "params"
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in")
#: Binding power of what stands between two operands; comparisons do not chain.
_POWERS = {"||": 1, "&&": 2, **dict.fromkeys(_COMPARISONS, 3)}
_TRUTH = {"true": True, "false": False}
_BEYOND = {
    "?": "a condition has no `? :`",
    "+": "a condition has no arithmetic",
    "-": "a condition has no arithmetic",
    "*": "a condition has no arithmetic",
    "/": "a condition has no arithmetic",
    "%": "a condition has no arithmetic",
    "{": "a condition builds no maps",
}


class Reader:
    """Walks over tokens."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    def take(self) -> Token:
        token = self.next
        self._at += token.kind != "end"
        return token

    def accept(self, *texts: str) -> Token | None:
        return self.take() if self.next.kind in ("op", "name") and self.next.text in texts else None

    def expect(self, text: str) -> Token:
        found = self.accept(text)
        if found is None:
            raise MisreadError(f"`{text}` expected, not {self.next}", self.next.offset)
        return found

    def name(self, what: str) -> Token:
        if self.next.kind != "name":
            raise MisreadError(f"{what} expected, not {self.next}", self.next.offset)
        return self.take()


def parse_condition(text: str) -> Node:
    """Raises MisreadError."""
    parser = _Parser(text)
    node = parser.expression(0)
    if parser.next.kind != "end":
        message = _BEYOND.get(parser.next.text, f"unexpected {parser.next}")
        raise MisreadError(message, parser.next.offset)
    return node


class _Parser(Reader):
    """Pratt's algorithm."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def expression(self, least: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise MisreadError(f"nested deeper than {MAX_DEPTH}", self.next.offset)
        left = self._operand()
        while (power := _POWERS.get(self.next.text, 0) if self.next.kind in ("op", "name") else 0) > least:
            operator = self.take()
            if operator.text in _COMPARISONS:
                left = self._comparison(operator, left)
            else:
                left = self._logic(operator, left, power)
        self._depth -= 1
        return left

    def _comparison(self, operator: Token, left: Node) -> Node:
        right = self.expression(_POWERS[operator.text])
        if self.next.kind != "string" and self.next.text in _COMPARISONS:
            raise MisreadError("comparisons do not chain: put parentheses around one", self.next.offset)
        return Comparison(operator.text, left, right, operator.offset)

    def _logic(self, operator: Token, left: Node, power: int) -> Node:
        parts = [left, self.expression(power)]
        while self.accept(operator.text):
            parts.append(self.expression(power))
        return Logic(operator.text, tuple(parts), operator.offset)

    def _operand(self) -> Node:
        token = self.take()
        if token.text == "!" and token.kind == "op":
            # Binds tighter than every operator between operands.
            return Not(self.expression(max(_POWERS.values())), token.offset)
        if token.text == "(" and token.kind == "op":
            inner = self.expression(0)
            self.expect(")")
            return self._members(inner)
        if token.text == "[" and token.kind == "op":
            return self._members(self._list(token))
        if (literal := self._literal(token)) is not None:
            return self._members(literal)
        if token.kind != "name" or token.text == "in":
            message = _BEYOND.get(token.text, f"a value expected, not {token}")
            raise MisreadError(message, token.offset)
        if self.accept("("):
            return self._members(Call(token.text, None, self._arguments(), token.offset))
        return self._members(Name((token.text,), token.offset))

    def _literal(self, token: Token) -> Literal | None:
        if token.kind in ("int", "string"):
            return Literal(token.value, token.offset)
        if token.text == "-" and self.next.kind == "int":
            return Literal(-int(self.take().value), token.offset)
        if token.kind == "name" and token.text in _TRUTH:
            return Literal(_TRUTH[token.text], token.offset)
        return None

    def _list(self, bracket: Token) -> ListOf:
        items: list[Literal] = []
        while not self.accept("]"):
            if items:
                self.expect(",")
                if self.accept("]"):
                    break
            token = self.take()
            literal = self._literal(token)
            if literal is None:
                raise MisreadError(f"a list holds literals, not {token}", token.offset)
            items.append(literal)
            if len(items) > MAX_ITEMS:
                raise MisreadError(f"a list of more than {MAX_ITEMS:,}", bracket.offset)
        return ListOf(tuple(items), bracket.offset)

    def _arguments(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.accept(")"):
            if found:
                self.expect(",")
            found.append(self.expression(0))
        return tuple(found)

    def _members(self, node: Node) -> Node:
        count = 0
        while True:
            count += 1
            if count > _MAX_MEMBERS:
                raise MisreadError(f"more than {_MAX_MEMBERS} members in a row", self.next.offset)
            if self.accept("."):
                token = self.name("a name")
                if self.accept("("):
                    node = Call(token.text, node, self._arguments(), token.offset)
                elif isinstance(node, Name) and node.key is None:
                    node = Name((*node.parts, token.text), node.offset)
                else:
                    raise MisreadError(f"nothing here has a member `{token.text}`", token.offset)
            elif self.next.text == "[" and self.next.kind == "op":
                node = self._indexed(node)
            else:
                return node

    def _indexed(self, node: Node) -> Node:
        bracket = self.take()
        key = self.take()
        if not isinstance(node, Name) or node.key is not None or key.kind != "string":
            raise MisreadError('an index is a string literal behind a map: `w.labels["app"]`', bracket.offset)
        self.expect("]")
        return Name(node.parts, node.offset, str(key.value))
