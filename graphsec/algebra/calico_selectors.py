"""Calico's selector language (CA-09) as expressions: a tokenizer and three levels of recursive descent.

Strings have no escapes; a keyword is one only behind a label. As in Calico, spaces and tabs are the only white space.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from graphsec.algebra.expressions import EVERYTHING, AnyOf, Expression, LabelTest, Not, Operator, all_of

#: What a test of a label means; the parser itself only knows a key.
Label = Callable[[LabelTest], Expression]

_SPACE = re.compile(r"[ \t]*")
_LABEL = re.compile(r"[A-Za-z0-9_./-]+")
_CALL = re.compile(r"(has|all|global)\([ \t]*")
_TEXT = re.compile(r"'([^']*)'|\"([^\"]*)\"")
#: Behind a label. `not in` before `in`: the longest word first.
_WORDS = re.compile(r"(?:contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)")
_MARKS = re.compile(r"==|!=|&&|\|\||[!(){},]")
_GLOBAL = re.compile(r"[ \t]*global\([ \t]*\)[ \t]*")
#: Deeper than anyone writes, shallower than Python's stack.
_DEEPEST = 100
_ONE_TEXT = {
    "contains": Operator.CONTAINS,
    "starts with": Operator.STARTS,
    "ends with": Operator.ENDS,
}


class _Token(NamedTuple):
    """``kind`` is the mark or keyword itself, or one of: label, text, has, all, end."""

    kind: str
    value: str
    column: int


def is_global(text: str) -> bool:
    """Whether the selector is `global()`, which stands alone."""
    return _GLOBAL.fullmatch(text) is not None


def parse_selector(text: str, label: Label = lambda test: test, everything: Expression = EVERYTHING) -> Expression:
    """The selector as an expression; the empty one is ``everything``, as is `all()`.

    ``label`` says what a test of a key means. Raises ValueError with the column.
    """
    tokens = _tokens(text)
    if tokens[0].kind == "end":
        return everything
    parser = _Parser(tokens, label, everything)
    expression = parser.either(0)
    parser.take("end", "`&&`, `||` or the end")
    return expression


def _fail(column: int, expected: str) -> NoReturn:
    raise ValueError(f"column {column + 1}: expected {expected}")


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = _skip(text, 0)
    while position < len(text):
        token, end = _token(text, position, behind_label=bool(found) and found[-1].kind == "label")
        found.append(token)
        position = _skip(text, end)
    return [*found, _Token("end", "", position)]


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _token(text: str, position: int, *, behind_label: bool) -> tuple[_Token, int]:
    if match := _MARKS.match(text, position):
        return _Token(match[0], "", position), match.end()
    if match := _TEXT.match(text, position):
        return _Token("text", match[1] if match[2] is None else match[2], position), match.end()
    if text[position] in "'\"":
        _fail(position, "the end of the string")
    if behind_label:
        return _word(text, position)
    if match := _CALL.match(text, position):
        return _call(text, match)
    if match := _LABEL.match(text, position):
        return _Token("label", match[0], position), match.end()
    _fail(position, "a label, a function or an operator")


def _word(text: str, position: int) -> tuple[_Token, int]:
    match = _WORDS.match(text, position)
    if match is None:
        _fail(position, "an operator behind the label")
    word = match[0]
    kind = {"s": "starts with", "e": "ends with", "n": "not in"}.get(word[0], word)
    return _Token(kind, "", position), match.end()


def _call(text: str, match: re.Match[str]) -> tuple[_Token, int]:
    position, value = match.end(), ""
    if match[1] == "global":
        _fail(match.start(), "a label; `global()` stands alone, in a namespaceSelector of a rule")
    if match[1] == "has":
        key = _LABEL.match(text, position)
        if key is None:
            _fail(position, "a label in `has()`")
        position, value = _skip(text, key.end()), key[0]
    if text[position : position + 1] != ")":
        _fail(position, f"`)` of `{match[1]}()`")
    return _Token(match[1], value, match.start()), position + 1


class _Parser:
    def __init__(self, tokens: list[_Token], label: Label, everything: Expression) -> None:
        self._tokens = iter(tokens)
        self._next = next(self._tokens)
        self._label = label
        self._everything = everything

    def either(self, depth: int) -> Expression:
        terms = [self._both(depth)]
        while self._took("||"):
            terms.append(self._both(depth))
        return terms[0] if len(terms) == 1 else AnyOf(tuple(terms))

    def _both(self, depth: int) -> Expression:
        terms = [self._operand(depth)]
        while self._took("&&"):
            terms.append(self._operand(depth))
        return all_of(*terms)

    def _operand(self, depth: int) -> Expression:
        negated = False
        while self._took("!"):
            negated = not negated
        term = self._primary(depth)
        return Not(term) if negated else term

    def _primary(self, depth: int) -> Expression:
        token = self._next
        if self._took("("):
            if depth == _DEEPEST:
                _fail(token.column, f"at most {_DEEPEST} nested parentheses")
            inner = self.either(depth + 1)
            self.take(")", "`)`")
            return inner
        if self._took("all"):
            return self._everything
        if self._took("has"):
            return self._label(LabelTest(token.value))
        return self._comparison(self.take("label", "a label, `has()`, `all()` or `(`").value)

    def _comparison(self, key: str) -> Expression:
        operator = self._advance()
        match operator.kind:
            case "==":
                return self._label(LabelTest(key, Operator.IN, (self._text(),)))
            case "!=":
                return Not(self._label(LabelTest(key, Operator.IN, (self._text(),))))
            case "in":
                return self._label(LabelTest(key, Operator.IN, self._texts()))
            case "not in":
                return Not(self._label(LabelTest(key, Operator.IN, self._texts())))
            case "contains" | "starts with" | "ends with":
                return self._label(LabelTest(key, _ONE_TEXT[operator.kind], (self._text(),)))
            case _:
                _fail(operator.column, "an operator behind the label")

    def _texts(self) -> tuple[str, ...]:
        """Of a set, which may be empty and may end in a comma; without order or repetition."""
        self.take("{", "`{`")
        found: set[str] = set()
        while self._next.kind == "text":
            found.add(self._text())
            if not self._took(","):
                break
        self.take("}", "a string or `}`")
        return tuple(sorted(found))

    def _text(self) -> str:
        return self.take("text", "a string in quotes").value

    def _took(self, kind: str) -> bool:
        """Whether the next token was of this kind, which is then behind us."""
        if self._next.kind != kind:
            return False
        self._advance()
        return True

    def take(self, kind: str, expected: str) -> _Token:
        if self._next.kind != kind:
            _fail(self._next.column, expected)
        return self._advance()

    def _advance(self) -> _Token:
        token = self._next
        self._next = next(self._tokens, token)
        return token
