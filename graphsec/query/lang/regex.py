"""Anchored patterns that match in linear time: an automaton, made as it is needed, so that no pattern is catastrophic.

The dialect is what RE2 (CEL's) and Python agree on: literals, `.`, classes, groups, `|`, and one quantifier at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from graphsec.query.lang.lexer import MisreadError

MAX_PATTERN = 200
_MAX_REPEAT = 100
_MAX_STATES = 2_000
#: Sets of states that are kept; more are made again.
_MAX_SETS = 2_000
_MAX_GROUPS = 20
_DIGIT, _WORD, _SPACE = ((48, 57),), ((48, 57), (65, 90), (95, 95), (97, 122)), ((9, 10), (12, 13), (32, 32))
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_ACCEPT = -1

Ranges = tuple[tuple[int, int], ...]


class Characters(NamedTuple):
    ranges: Ranges
    negated: bool = False

    def holds(self, code: int) -> bool:
        return any(low <= code <= high for low, high in self.ranges) is not self.negated


#: Builds the states of a part of a pattern before those that follow it.
_Part = Callable[["_States", int], int]
_ANY_BUT_NEWLINE = Characters(((10, 10),), negated=True)


class _States:
    """State n reads ``reads[n]`` and goes to ``then[n]``; without characters it goes to each of ``then[n]`` unread."""

    def __init__(self) -> None:
        self.reads: list[Characters | None] = []
        self.then: list[tuple[int, ...]] = []

    def add(self, reads: Characters | None, *then: int) -> int:
        if len(self.reads) >= _MAX_STATES:
            raise MisreadError(f"a pattern of more than {_MAX_STATES:,} states: repeat less", 0)
        self.reads.append(reads)
        self.then.append(then)
        return len(self.reads) - 1


class Regex:
    """Matches whole strings."""

    def __init__(self, states: _States, first: int) -> None:
        self._states = states
        self._start = self._closed((first,))
        self._moves: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, text: str) -> bool:
        at = self._start
        for character in text:
            move = (at, character)
            following = self._moves.get(move)
            if following is None:
                if len(self._moves) > _MAX_SETS:
                    self._moves.clear()
                following = self._moves[move] = self._step(at, ord(character))
            if not following:
                return False
            at = following
        return _ACCEPT in at

    def _step(self, at: frozenset[int], code: int) -> frozenset[int]:
        reads, then = self._states.reads, self._states.then
        hit = [state for state in at if state >= 0 and (known := reads[state]) is not None and known.holds(code)]
        return self._closed(tuple(following for state in hit for following in then[state]))

    def _closed(self, states: tuple[int, ...]) -> frozenset[int]:
        found: set[int] = set()
        stack = list(states)
        while stack:
            state = stack.pop()
            if state not in found:
                found.add(state)
                if state >= 0 and self._states.reads[state] is None:
                    stack.extend(self._states.then[state])
        return frozenset(state for state in found if state < 0 or self._states.reads[state] is not None)


def compile_regex(pattern: str) -> Regex:
    """Raises MisreadError with an offset into the pattern."""
    if len(pattern) > MAX_PATTERN:
        raise MisreadError(f"a pattern of more than {MAX_PATTERN} characters", MAX_PATTERN)
    if not pattern.startswith("^") or not pattern.endswith("$") or _is_escaped(pattern, len(pattern) - 1):
        raise MisreadError("a pattern spells out both of its ends: `^...$` (`^.*x.*$` to search)", 0)
    parser = _PatternParser(pattern)
    states = _States()
    return Regex(states, parser.whole()(states, _ACCEPT))


def _is_escaped(pattern: str, at: int) -> bool:
    before = pattern[:at]
    return bool((len(before) - len(before.rstrip("\\"))) % 2)


class _PatternParser:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 1
        self._end = len(pattern) - 1
        self._groups = 0

    def whole(self) -> _Part:
        part, _, alternatives = self._alternatives()
        if self._at < self._end:
            raise MisreadError("`)` without `(`", self._at)
        if alternatives > 1:
            raise MisreadError("alternatives between the ends need parentheses: `^(a|b)$`", 0)
        return part

    def _alternatives(self) -> tuple[_Part, bool, int]:
        """(part, whether something in it is repeated, how many alternatives)."""
        parts: list[_Part] = []
        repeats = False
        while True:
            part, repeated = self._sequence()
            parts.append(part)
            repeats = repeats or repeated
            if self._peek() != "|":
                return _either(parts), repeats, len(parts)
            self._at += 1

    def _sequence(self) -> tuple[_Part, bool]:
        parts: list[_Part] = []
        repeats = False
        while self._peek() not in ("", "|", ")"):
            begin = self._at
            part, repeated = self._atom()
            quantified = self._quantifier()
            if quantified is not None:
                if repeated:
                    raise MisreadError("a repetition within a repetition", begin)
                part, repeated = _repeated(part, *quantified), True
                if self._peek() in ("*", "+", "?", "{"):
                    raise MisreadError("two quantifiers in a row", self._at)
            parts.append(part)
            repeats = repeats or repeated
        return _in_order(parts), repeats

    def _peek(self) -> str:
        return self._text[self._at] if self._at < self._end else ""

    def _take(self) -> str:
        found = self._peek()
        if not found:
            raise MisreadError("the pattern ends too early", self._end)
        self._at += 1
        return found

    def _atom(self) -> tuple[_Part, bool]:
        begin = self._at
        character = self._take()
        if character == "(":
            return self._group(begin)
        if character == "[":
            return _reading(self._class(begin)), False
        if character == ".":
            return _reading(_ANY_BUT_NEWLINE), False
        if character == "\\":
            return _reading(self._escape(begin)), False
        if character in "*+?{":
            raise MisreadError(f"`{character}` repeats nothing", begin)
        if character in "^$":
            raise MisreadError(f"`{character}` within the pattern (`\\{character}` is the character)", begin)
        return _reading(_one(character)), False

    def _group(self, begin: int) -> tuple[_Part, bool]:
        self._groups += 1
        if self._groups > _MAX_GROUPS:
            raise MisreadError(f"more than {_MAX_GROUPS} groups", begin)
        if self._peek() == "?":
            if self._text[self._at + 1 : self._at + 2] != ":" or self._at + 1 >= self._end:
                raise MisreadError("no look-around, flags and names in a group", begin)
            self._at += 2
        part, repeats, _ = self._alternatives()
        if self._peek() != ")":
            raise MisreadError("`(` without `)`", begin)
        self._at += 1
        return part, repeats

    def _escape(self, begin: int) -> Characters:
        character = self._take()
        if character.lower() in _CLASSES:
            return Characters(_CLASSES[character.lower()], negated=character.isupper())
        return _one(self._escaped(character, begin))

    @staticmethod
    def _escaped(character: str, begin: int) -> str:
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character.isdigit():
            raise MisreadError("no back-references", begin)
        if character.isalpha():
            raise MisreadError(f"unknown escape `\\{character}`", begin)
        return character

    def _class(self, begin: int) -> Characters:
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            if not self._peek():
                raise MisreadError("`[` without `]`", begin)
            first = False
            low = self._member()
            if isinstance(low, Characters):
                if low.negated:
                    raise MisreadError("no negated class within a class", begin)
                ranges += low.ranges
                continue
            high = low
            if self._peek() == "-" and self._text[self._at + 1] != "]":
                self._at += 1
                above = self._member()
                if isinstance(above, Characters) or above < low:
                    raise MisreadError("a range from the higher to the lower", begin)
                high = above
            ranges.append((ord(low), ord(high)))
        self._at += 1
        return Characters(tuple(ranges), negated)

    def _member(self) -> str | Characters:
        begin = self._at
        character = self._take()
        if character == "[":
            raise MisreadError("`[` within a class is written `\\[`", begin)
        if character != "\\":
            return character
        escaped = self._take()
        if escaped.lower() in _CLASSES:
            return Characters(_CLASSES[escaped.lower()], negated=escaped.isupper())
        return self._escaped(escaped, begin)

    def _quantifier(self) -> tuple[int, int | None] | None:
        """(at least, at most), None for no limit."""
        character = self._peek()
        if character in ("*", "+", "?") and character:
            self._at += 1
            return (1 if character == "+" else 0), (1 if character == "?" else None)
        if character != "{":
            return None
        begin = self._at
        close = self._text.find("}", begin, self._end)
        low, comma, high = self._text[begin + 1 : max(close, begin + 1)].partition(",")
        if close < 0 or not _is_count(low) or (high and not _is_count(high)):
            raise MisreadError("a repetition is `{2}`, `{2,}` or `{2,4}`", begin)
        least = int(low)
        most = None if comma and not high else int(high or low)
        if least > _MAX_REPEAT or (most is not None and not least <= most <= _MAX_REPEAT):
            raise MisreadError(f"a repetition of at most {_MAX_REPEAT} times, from the lower to the higher", begin)
        self._at = close + 1
        return least, most


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_REPEAT))


def _one(character: str) -> Characters:
    return Characters(((ord(character), ord(character)),))


def _reading(characters: Characters) -> _Part:
    return lambda states, then: states.add(characters, then)


def _in_order(parts: list[_Part]) -> _Part:
    def build(states: _States, then: int) -> int:
        for part in reversed(parts):
            then = part(states, then)
        return then

    return build


def _either(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return lambda states, then: states.add(None, *[part(states, then) for part in parts])


def _repeated(part: _Part, least: int, most: int | None) -> _Part:
    def build(states: _States, then: int) -> int:
        if most is None:
            loop = states.add(None)
            states.then[loop] = (part(states, loop), then)
            then = loop
        else:
            for _ in range(most - least):
                then = states.add(None, part(states, then), then)
        for _ in range(least):
            then = part(states, then)
        return then

    return build
