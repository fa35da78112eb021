"""Builds the objects of a YAML text as kubectl reads it, from libyaml's events, within limits.

Nothing is constructed from a tag, and nothing recurses: the input decides neither the types nor the depth of our stack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from graphsec.loading.documents import Envelope, Event, Item, Limits, Lines, Problem
from graphsec.loading.yaml_scalars import (
    TELLING_STARTS,
    is_collection_tag,
    is_core_tag,
    is_merge_tag,
    json_key,
    json_value,
    resolve_plain,
    resolve_tagged,
    shorten,
)

#: Keys whose values no answer needs: bulk, or (the annotation) a second copy of what may hold secrets.
SKIPPED: Final = frozenset({"managedFields", "openAPIV3Schema", "kubectl.kubernetes.io/last-applied-configuration"})

#: Stands for an unquoted `<<` among the keys of a mapping.
_MERGE: Final = object()

#: Stands for a container that was opened and has no value yet.
_OPENED: Final = object()

#: Nodes between two looks at the size of an object.
_STRIDE: Final = 1024

#: kubectl's bound on the share of aliases falls from 0.99 to 0.10 between these numbers of decoded nodes.
_SHARE_FALLS: Final = (400_000, 4_000_000)

#: Not worth a parser of its own; joined files hold many.
_EMPTY: Final = ("", "---", "---\n", "---\r\n")

#: libyaml compares every `%TAG` directive with every other.
_TAG_DIRECTIVE: Final = re.compile("[\r\n\x85\u2028\u2029]%TAG")
_MOST_TAG_DIRECTIVES: Final = 100

#: What libyaml refuses to read past.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: A text whose UTF-8 has no other byte holds none of those.
_HARMLESS: Final = bytes({*range(0x20, 0x7F), *b"\t\n\r", *range(0x80, 0x100)} - {0xC2, 0xED, 0xEF})

#: The kind of what was lost; most manifests name it before anything that is nested.
_KIND: Final = re.compile(r"""^[- \t]*kind:[ \t]*["']?(\w+)""", re.MULTILINE)
_ENOUGH: Final = 1 << 12

#: So many items may be broken before the rest of a list is given up; ten whole ones make up for one.
_MOST_BROKEN: Final = 1000

_SOURCE_COMMENT: Final = re.compile(r"(?:---[^\n]*\n)?(?:[ \t\r]*(?:#[^\n]*)?\n)*?# Source: (\S[^\r\n]*)")


def read_yaml(text: str, limits: Limits) -> Iterator[Event]:
    """The objects and problems of one file. A problem costs its list item or document; the others are read.

    A syntax error costs an item alone where each item begins on a line of its own, as in block style; in flow style
    (kyaml) it costs the rest of the document.

    A root mapping with a sequence `items` whose kind, as far as it is known by then, is missing or ends in `List` is a
    list: its items leave as they close, and an `Envelope` ends it, also where it breaks off.
    """
    scalars = _Scalars(values=_Memo(_plain_value), keys=_Memo(_plain_key))
    scalars.keys["<<"] = _MERGE
    for chunk in _chunks(text):
        yield from _Reader(chunk, limits, scalars).events()


class _Chunk(NamedTuple):
    """The text from one separator to the next."""

    text: str
    lines_before: int
    origin: str


def _chunks(text: str) -> Iterator[_Chunk]:
    """The text in pieces that get a parser each, so that an error ends where the next document begins."""
    start = lines = 0
    above = ""
    for end in (*_separators(text), len(text)):
        piece = text[start:end]
        comment = _SOURCE_COMMENT.match(piece)
        origin = comment[1].rstrip() if comment else above
        if piece not in _EMPTY:
            yield _Chunk(piece, lines, origin)
        # A comment above the first separator belongs to the document below it.
        above = "" if piece.startswith("---") else origin
        lines += piece.count("\n")
        start = end


def _separators(text: str) -> Iterator[int]:
    found = text.find("\n---")
    while found != -1:
        previous_line = text.rfind("\n", 0, found) + 1
        # A directive (`%YAML 1.1`) belongs to the document that the separator below it opens.
        if text[found + 4 : found + 5] in ("", " ", "\t", "\r", "\n") and text[previous_line] != "%":
            yield found + 1
        found = text.find("\n---", found + 4)


class _Memo(dict[str, Any]):
    """Remembers what short unquoted scalars mean: a dump repeats few of them often."""

    def __init__(self, resolve: Callable[[str], object]) -> None:
        super().__init__()
        self._resolve = resolve

    def __missing__(self, text: str) -> object:
        value = self._resolve(text) if text[:1] in TELLING_STARTS else text
        if len(text) <= 64 and len(self) < 50_000:
            self[text] = value
        return value


class _Scalars(NamedTuple):
    values: _Memo
    keys: _Memo


def _plain_value(text: str) -> object:
    return json_value(resolve_plain(text))


def _plain_key(text: str) -> str:
    return json_key(resolve_plain(text))


class _Rest:
    """The text of a list from one of its items on, under a head of its own: a file for the parser to go on with."""

    def __init__(self, head: str, text: str, at: int) -> None:
        self._head, self._text, self._at = head, text, at

    def read(self, size: int = -1, /) -> str:
        piece, self._head = self._head, ""
        if not piece:
            piece = self._text[self._at : self._at + size]
            self._at += len(piece)
        return piece


class _RefusedError(Exception):
    """Ends the list item or document at hand."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem

    @property
    def ends_document(self) -> bool:
        return self.problem.code.startswith("GS-LIM-")


class _Aliases:
    """The anchors of one document, and kubectl's bound on what their aliases may multiply."""

    def __init__(self) -> None:
        #: Value and number of nodes; None where the value was passed over.
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        #: Nodes decoded through aliases, besides those that stand in the text.
        self.expanded = 0
        self._checked = 0

    def expand(self, name: str, nodes: int) -> Any:
        """The value behind an alias, ``nodes`` nodes into the text. LookupError without it, OverflowError beyond the bound."""
        known = self.anchors.get(name)
        if known is None:
            raise LookupError
        self.check(nodes)
        value, weight = known
        self.expanded += weight
        self._checked = nodes + self.expanded
        self._check_share(self._checked)
        return value

    def check(self, nodes: int) -> None:
        # kubectl asks at every node. Since the last alias the share only fell, while the bound fell as far as its least
        # value: asking there and now is the same.
        decoded, least = nodes + self.expanded, _SHARE_FALLS[1]
        if self._checked < least < decoded:
            self._check_share(least)
        self._check_share(decoded)
        self._checked = decoded

    def _check_share(self, decoded: int) -> None:
        if self.expanded <= 100 or decoded <= 1000:
            return
        low, high = _SHARE_FALLS
        fallen = min(max(decoded - low, 0) / (high - low), 1)
        if self.expanded / decoded > 0.99 - 0.89 * fallen:
            raise OverflowError


class _Reader:
    """Reads the documents of one chunk."""

    def __init__(self, chunk: _Chunk, limits: Limits, scalars: _Scalars) -> None:
        self._text, self._forbidden = _replace_forbidden(chunk.text)
        #: Line of the text, and of the first line that the parser at hand sees.
        self._text_line = self._first_line = chunk.lines_before + 1
        self._origin = chunk.origin
        self._limits = limits
        self._values, self._keys = scalars
        #: Whether any scalar can carry a tag or an anchor; few texts hold these characters.
        self._has_properties = "!" in chunk.text or "&" in chunk.text
        #: Duplicate keys of the object at hand.
        self._problems: list[Problem] = []
        #: The containers that enclose the one at hand; after a refusal, those still to be left.
        self._stack: list[Any] = []
        #: The root and line of a list whose items are leaving.
        self._list: tuple[dict[Any, Any], int] | None = None
        #: How a line begins that opens an item of that list; None in flow style.
        self._item_line: re.Pattern[str] | None = None
        #: Where in the text the item at hand begins.
        self._item_at = 0
        self._broken = 0.0
        #: From an index of the parser at hand to one of the text.
        self._shift = 0
        #: How far lines were counted, for the parsers that go on behind a broken item.
        self._counted = 0
        #: Indentation of the root mapping.
        self._margin = ""

    def events(self) -> Iterator[Event]:
        if "%TAG" in self._text and len(_TAG_DIRECTIVE.findall(self._text)) > _MOST_TAG_DIRECTIVES:
            yield Problem("GS-IN-001", f"more than {_MOST_TAG_DIRECTIVES} `%TAG` directives", self._first_line)
            return
        source: str | _Rest | None = self._text
        told: Problem | None = None
        while source is not None:
            problem = yield from self._parsed(source)
            if problem is None:
                yield from self._forbidden_before(len(self._text))
                return
            yield from self._take_problems()
            source = self._rest(problem)
            if self._list and source is None:
                # Of the rest of the list, what is lost may be of any kind in it.
                problem = problem._replace(kind=_text(self._list[0], "kind"))
            # Where an item fails before its first event, going on meets it once more.
            if problem != told:
                yield problem
            told = problem
        if self._list:
            yield _envelope(*self._list)

    def _parsed(self, source: str | _Rest) -> Generator[Event, None, Problem | None]:
        """The events of ``source`` up to its end or to the problem that is returned."""
        try:
            self._pull: Callable[[], Any] = CParser(source).get_event
            yield from self._documents()
        except _RefusedError as refusal:
            return self._unless_template(refusal.problem)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = self._first_line + (mark.line if mark else 0)
            return self._unless_template(Problem("GS-IN-001", f"syntax error: {error.problem or error.context}", line))
        return None

    def _rest(self, problem: Problem) -> _Rest | None:
        """What to go on with after a problem in a list: the text from the next line on that opens an item."""
        self._broken += 1
        if self._list is None or self._item_line is None or self._broken > _MOST_BROKEN:
            return None
        if problem.code.startswith("GS-LIM-"):
            return None
        line = self._item_line.search(self._text, self._item_at)
        if line is None:
            return None
        at, (root, _) = line.start() + 1, self._list
        fields = [f"{key}: {json.dumps(_text(root, key))}" for key in ("kind", "apiVersion") if key in root]
        head = "".join(f"{self._margin}{field}\n" for field in (*fields, "items:"))
        self._first_line = self._line_at(at) - head.count("\n")
        self._shift, self._item_at = at - len(head), at
        self._stack.clear()
        return _Rest(head, self._text, at)

    def _unless_template(self, problem: Problem) -> Problem:
        lost = problem._replace(kind=self._lost_kind())
        if problem.code in {"GS-IN-001", "GS-IN-020"} and "{{" in self._lost_text():
            return lost._replace(code="GS-IN-002", message=f"unrendered template: {problem.message}")
        return lost

    def _documents(self) -> Iterator[Event]:
        while (event := self._pull()) is not None:
            if type(event) is DocumentStartEvent:
                self._aliases = _Aliases()
                self._nodes = 1
                yield from self._document(self._pull())

    def _document(self, event: Any) -> Iterator[Event]:
        self._begin_object(event)
        if type(event) is MappingStartEvent:
            yield from self._object(event)
            return
        value = self._value(event)
        yield from self._take_problems()
        if value is not None:
            yield Problem("GS-IN-003", "the document is not a mapping", self._line(event))

    def _object(self, event: Any) -> Iterator[Event]:
        """A document whose root is a mapping: an object, or a list whose items leave one by one."""
        line = self._line(event)
        self._check_collection_tag(event)
        self._margin = " " * event.start_mark.column
        root: dict[Any, Any] = {}
        marks: dict[Any, Any] = {}
        checkpoint = self._nodes + _STRIDE
        while type(event := self._pull()) is not MappingEndEvent:
            self._nodes += 1
            if self._nodes >= checkpoint:
                self._check_object(event)
                checkpoint = self._nodes + _STRIDE
            key = self._key(event, depth=1)
            if key in marks:
                self._note_duplicate(key, marks[key], event)
            marks[key] = event.start_mark
            event = self._pull()
            if key in SKIPPED:
                self._skip(event, depth=1)
            elif key == "items" and type(event) is SequenceStartEvent and _is_list(root):
                self._list = root, line
                yield from self._items(event, _text(root, "kind"))
            else:
                self._put(root, key, event)
        self._check_object(event)
        yield from self._take_problems()
        yield from self._finish(root, line, event)

    def _put(self, root: dict[Any, Any], key: Any, event: Any) -> None:
        try:
            if type(event) is ScalarEvent:
                self._nodes += 1
                value = self._scalar(event)
            else:
                value = self._value(event, depth=1)
            if key is _MERGE:
                _merge(root, value)
            else:
                root[key] = value
        except ValueError as error:
            raise self._refusal("GS-IN-020", str(error), event) from None

    def _finish(self, root: dict[Any, Any], line: int, event: Any) -> Iterator[Event]:
        items = root.get("items", ())
        listed, self._list = self._list, None
        forbidden = self._forbidden_before(event.end_mark.index + self._shift)
        yield from forbidden
        if listed:
            if "apiVersion" in root and root.get("kind") is None:
                yield Problem(
                    "GS-IN-040", "the list ends before its kind; what came before was kept", self._line(event)
                )
        elif _is_list(root) and isinstance(items, Lines):  # through an alias or a merge
            for body, place in zip_longest(items, items.lines, fillvalue=line):
                yield self._listed(body, place, _text(root, "kind"))
        elif items is not None or not _is_list(root):
            if not forbidden:
                yield Item(root, line, origin=self._origin)
            return
        yield _envelope(root, line)

    def _items(self, event: Any, list_kind: str) -> Iterator[Event]:
        self._check_collection_tag(event)
        self._nodes += 1
        mark = event.start_mark
        self._item_line = None if event.flow_style else re.compile(f"\n {{{mark.column}}}-(?=[ \t\r\n]|$)")
        self._item_at = max(mark.index + self._shift - mark.column - 1, 0)
        while type(event := self._pull()) is not SequenceEndEvent:
            self._begin_object(event)
            self._item_at = event.start_mark.index + self._shift
            yield from self._forbidden_before(self._item_at)
            line = self._line(event)
            try:
                body = self._value(event)
            except _RefusedError as refusal:
                if refusal.ends_document:
                    raise
                problem = self._unless_template(refusal.problem)
                self._leave_stack()
                yield from self._take_problems()
                yield problem
            else:
                self._broken = max(self._broken - 0.1, 0)
                yield from self._take_problems()
                forbidden = self._forbidden_before(self._read_to)
                yield from forbidden or (self._listed(body, line, list_kind),)
        self._begin_object(event)

    def _forbidden_before(self, index: int) -> tuple[Problem, ...]:
        """The first forbidden character that was not told yet, if it stands before ``index``; the others there go with it."""
        if not self._forbidden or self._forbidden[-1][0] >= index:
            return ()
        self._broken += 1
        at, code = self._forbidden.pop()
        while self._forbidden and self._forbidden[-1][0] < index:
            self._forbidden.pop()
        message = f"character U+{code:04X} is not allowed in YAML"
        return (Problem("GS-IN-031", message, self._line_at(at), kind=self._lost_kind()),)

    def _line_at(self, index: int) -> int:
        """The line of an index of the text that is no earlier than the one asked for before."""
        self._text_line += self._text.count("\n", self._counted, index)
        self._counted = max(self._counted, index)
        return self._text_line

    def _lost_kind(self) -> str:
        found = _KIND.search(self._lost_text())
        return found[1] if found else ""

    def _lost_text(self) -> str:
        """Enough of a broken item, or the broken document; nothing of one too many."""
        if self._broken > _MOST_BROKEN:
            return ""
        return self._text[self._item_at : self._item_at + _ENOUGH] if self._list else self._text

    def _listed(self, body: Any, line: int, list_kind: str) -> Item | Problem:
        if isinstance(body, dict):
            return Item(body, line, listed=True, origin=self._origin, list_kind=list_kind)
        return Problem("GS-IN-020", "an item of the list is not a mapping", line)

    def _value(self, event: Any, depth: int = 0) -> Any:
        """The value that begins with ``event``, below ``depth`` containers. All time goes into this loop."""
        pull, values, keys = self._pull, self._values, self._keys
        has_properties, aliases, room = self._has_properties, self._aliases, self._limits.depth - depth
        nodes, checkpoint = self._nodes, self._nodes + _STRIDE
        stack = self._stack
        # The container at hand. Of a mapping, `marks` are its keys' places and `key` waits for its value; of a sequence
        # `marks` is None.
        container: Any = None
        marks: dict[Any, Any] | None = None
        key: Any = None
        try:
            while True:
                kind = type(event)
                nodes += 1
                if kind is ScalarEvent:
                    if has_properties and (event.tag is not None or event.anchor is not None):
                        value = self._scalar(event)
                    else:
                        value = event.value if event.style else values[event.value]
                elif kind is MappingStartEvent or kind is SequenceStartEvent:
                    if marks is None and stack:
                        _place_item(container, self._line(event))
                    stack.append((container, marks, key, event.anchor, nodes + aliases.expanded))
                    if len(stack) > room:
                        raise self._too_deep(event)
                    self._check_collection_tag(event)
                    container, marks = ({}, {}) if kind is MappingStartEvent else (Lines(), None)
                    value = _OPENED
                elif kind is AliasEvent:
                    if marks is None and stack:
                        _place_item(container, self._line(event))
                    self._nodes = nodes
                    value = self._alias(event)
                else:
                    nodes -= 1
                    value = container
                    container, marks, key, anchor, opened = stack.pop()
                    if anchor is not None:
                        aliases.anchors[anchor] = value, nodes + aliases.expanded - opened + 1
                if value is _OPENED:
                    pass
                elif not stack:
                    self._nodes = nodes
                    self._check_object(event)
                    return value
                elif marks is None:
                    container.append(value)
                elif key is _MERGE:
                    _merge(container, value)
                else:
                    container[key] = value
                if nodes >= checkpoint:
                    self._nodes, checkpoint = nodes, nodes + _STRIDE
                    self._check_object(event)
                event = pull()
                while marks is not None and type(event) is not MappingEndEvent:
                    nodes += 1
                    if has_properties or type(event) is not ScalarEvent:
                        self._nodes = nodes
                        key = self._key(event, depth)
                    else:
                        key = event.value if event.style else keys[event.value]
                    if key in marks:
                        self._note_duplicate(key, marks[key], event)
                    marks[key] = event.start_mark
                    event = pull()
                    if key not in SKIPPED:
                        break
                    self._nodes = nodes
                    self._skip(event, depth)
                    nodes = self._nodes
                    event = pull()
        except ValueError as error:
            raise self._refusal("GS-IN-020", str(error), event) from None
        finally:
            self._nodes = nodes

    def _key(self, event: Any, depth: int) -> Any:
        try:
            if type(event) is ScalarEvent:
                if event.tag is None and event.anchor is None:
                    return event.value if event.style else self._keys[event.value]
                return _MERGE if is_merge_tag(event.tag) and event.value == "<<" else json_key(self._scalar(event))
            if type(event) is AliasEvent:
                return json_key(self._alias(event))
        except ValueError as error:
            raise self._refusal("GS-IN-020", str(error), event) from None
        self._skip(event, depth)
        raise self._refusal("GS-IN-020", "a mapping key must be a scalar", event)

    def _scalar(self, event: Any) -> object:
        if event.tag is None:
            value = event.value if event.style else self._values[event.value]
        elif is_core_tag(event.tag):
            value = json_value(resolve_tagged(event.tag, event.value))
        else:
            raise self._custom_tag(event)
        if event.anchor is not None:
            self._aliases.anchors[event.anchor] = value, 1
        return value

    def _alias(self, event: Any) -> Any:
        try:
            return self._aliases.expand(event.anchor, self._nodes)
        except LookupError:
            # Its name stays out of the message, like a tag's: `password: *xyz` may be meant as text.
            raise self._refusal("GS-IN-001", "an alias that stands for nothing read before it", event) from None
        except OverflowError:
            raise self._too_many_aliases(event) from None

    def _skip(self, event: Any, depth: int) -> None:
        """Passes over the value that begins with ``event``. Its anchors are gone: a later use is refused, not misread."""
        entered = 0
        while True:
            kind = type(event)
            if kind is MappingEndEvent or kind is SequenceEndEvent:
                entered -= 1
            else:
                self._nodes += 1
                if kind is AliasEvent:
                    self._alias(event)
                elif event.anchor is not None:
                    self._aliases.anchors[event.anchor] = None
                if kind is MappingStartEvent or kind is SequenceStartEvent:
                    entered += 1
                    if depth + len(self._stack) + entered > self._limits.depth:
                        raise self._too_deep(event)
            if not entered:
                return
            event = self._pull()

    def _leave_stack(self) -> None:
        while self._stack:
            event = self._pull()
            if type(event) is MappingEndEvent or type(event) is SequenceEndEvent:
                self._stack.pop()
            else:
                self._skip(event, depth=0)

    def _note_duplicate(self, key: Any, mark: Any, event: Any) -> None:
        if key is not _MERGE:
            first = self._first_line + mark.line
            reason = f"key `{shorten(key)}` stands twice in one mapping, first at line {first}: the last one counts"
            self._problems.append(Problem("GS-IN-021", reason, self._line(event)))

    def _take_problems(self) -> list[Problem]:
        taken, self._problems = self._problems, []
        return taken

    def _begin_object(self, event: Any) -> None:
        self._object_start = self._nodes, event.start_mark.index

    def _check_object(self, event: Any) -> None:
        """Looks at the limits of an object, ``event`` being its last one so far."""
        nodes, index = self._object_start
        self._read_to = event.end_mark.index + self._shift
        if self._nodes - nodes > self._limits.nodes:
            reason = f"the object has more than {self._limits.nodes} nodes, the limit of --max-nodes-per-object"
            raise self._refusal("GS-LIM-004", reason, event)
        if event.end_mark.index - index > self._limits.object_bytes:
            reason = f"the object has more than {self._limits.object_bytes} bytes, the limit of --max-object-bytes"
            raise self._refusal("GS-LIM-003", reason, event)
        try:
            self._aliases.check(self._nodes)
        except OverflowError:
            raise self._too_many_aliases(event) from None

    def _check_collection_tag(self, event: Any) -> None:
        if event.tag is not None and not is_collection_tag(event.tag):
            raise self._custom_tag(event)

    def _custom_tag(self, event: Any) -> _RefusedError:
        return self._refusal("GS-IN-032", "a tag that is not one of YAML's core types", event)

    def _too_deep(self, event: Any) -> _RefusedError:
        reason = f"nested deeper than {self._limits.depth} levels, the limit of --max-depth"
        return self._refusal("GS-LIM-001", reason, event)

    def _too_many_aliases(self, event: Any) -> _RefusedError:
        reason = "aliases repeat more of the document than kubectl's limit on their share allows"
        return self._refusal("GS-LIM-002", reason, event)

    def _refusal(self, code: str, message: str, event: Any) -> _RefusedError:
        return _RefusedError(Problem(code, message, self._line(event)))

    def _line(self, event: Any) -> int:
        return self._first_line + int(event.start_mark.line)


def _replace_forbidden(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text with U+FFFD in place of what libyaml refuses to read past, and (index, character) of each, last first."""
    if not text.encode("utf-8", "surrogatepass").translate(None, _HARMLESS):
        return text, []
    found = [(match.start(), ord(match.group())) for match in _FORBIDDEN.finditer(text)]
    return (_FORBIDDEN.sub("\ufffd", text) if found else text), found[::-1]


def _is_list(root: dict[Any, Any]) -> bool:
    kind = root.get("kind")
    return kind is None or (isinstance(kind, str) and kind.endswith("List"))


def _envelope(root: dict[Any, Any], line: int) -> Envelope:
    metadata = root.get("metadata")
    paged = isinstance(metadata, dict) and bool(metadata.get("continue"))
    return Envelope(_text(root, "kind"), _text(root, "apiVersion"), line, paged)


def _text(root: dict[Any, Any], key: str) -> str:
    value = root.get(key)
    return value if isinstance(value, str) else ""


def _merge(into: dict[Any, Any], value: Any) -> None:
    """What `<<` does in go-yaml v2: keys above it are overwritten, keys below it win; of a list the first wins."""
    for source in reversed(value) if isinstance(value, list) else (value,):
        if not isinstance(source, dict):
            raise ValueError("`<<` takes a mapping or a list of mappings")  # noqa: TRY004 - the input is wrong, not our types
        into.update(source)


def _place_item(sequence: Lines, line: int) -> None:
    """Notes the line of the item that comes next; scalars before it share the line."""
    sequence.lines.extend([line] * (len(sequence) + 1 - len(sequence.lines)))
