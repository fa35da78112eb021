"""Immutable values as bytes and back: equal ones are stored once, and those of one class as one column for each field.

What may stand in the bytes follows from a declared type alone: they name no class, nothing is looked up by name and
nothing is run. A column holds plain values or positions of rows that stand before it, so values cannot be cyclic.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import chain, islice, repeat
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from graphsec.errors import LimitError

#: What a column holds itself; of enumerations the value, of undecoded JSON its bytes as characters.
_Plain = str | int | float | bool | None
_PLAIN = frozenset({str, int, float, bool, NoneType})
#: MessagePack has integers of 64 bits; the ends of blocks of IPv6 are wider and stand as text, this long at most.
_WORD = 1 << 63
_DIGITS = 50
#: Any bytes as characters and back.
_BYTES = "latin-1"
_ANY_TEXT = ("utf-8", "surrogatepass")
#: Rows that a byte may stand for where no column spends a byte on each: rows of references, nested a few deep.
_ROWS_PER_BYTE = 8
#: What wrong content raises while it is turned into values.
_MISFITS = (msgspec.DecodeError, ValueError, TypeError, LookupError, OverflowError)


class MisfitError(Exception):
    """The bytes are no values of the declared types."""


# -- the form of the bytes --------------------------------------------------------------------------------------------


class _Constant(msgspec.Struct, tag=0, array_like=True, frozen=True):
    value: _Plain


class _Values(msgspec.Struct, tag=1, array_like=True, frozen=True):
    values: list[_Plain]


class _Words(msgspec.Struct, tag=2, array_like=True, frozen=True):
    """Few distinct values, and which of them each row has."""

    words: list[_Plain]
    at: list[int]


class _Range(msgspec.Struct, tag=3, array_like=True, frozen=True):
    """Consecutive rows."""

    start: int


class _Escaped(msgspec.Struct, tag=4, array_like=True, frozen=True):
    """Text that UTF-8 has no bytes for, as in names of files that are not UTF-8: its bytes as characters."""

    values: list[_Plain]


_Column = _Constant | _Values | _Words | _Range | _Escaped


class _Batch(msgspec.Struct, array_like=True, frozen=True):
    """``count`` further rows of a pool, all of its type number ``member``."""

    pool: int
    member: int
    count: int
    columns: list[_Column]


class _Table(msgspec.Struct, array_like=True, frozen=True):
    count: int
    batches: list[_Batch]
    roots: list[_Column]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Table)


# -- types ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """Where ``pool`` is -1 one of ``plain`` is held, else a row of the pool, or None if that is in ``plain``."""

    plain: frozenset[type]
    pool: int = -1
    enumeration: type[enum.Enum] | None = None
    raw: bool = False

    @property
    def is_turned(self) -> bool:
        """Whether what is written differs from the value."""
        return self.pool >= 0 or self.raw or self.enumeration is not None or float in self.plain

    def described(self) -> str:
        words = [*sorted(kind.__name__ for kind in self.plain), str(self.pool), str(self.raw)]
        return " ".join((*words, *(str(member.value) for member in self.enumeration or ())))


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    """One type of a pool. ``fields`` are those of a class, the items of a tuple of fixed length, the item of a list, key
    and value of a dict, or a single plain value; ``positional`` counts the leading fields of a class given without name."""

    of: type
    kind: Literal["class", "pair", "list", "dict", "plain"]
    fields: tuple[_Field, ...]
    names: tuple[str, ...] = ()
    positional: int = 0

    #: The cells of a class.
    get: Callable[[Any], Any] = tuple
    #: Positions of the fields that are not written as they are.
    turned: tuple[int, ...] = ()

    def cells(self, value: Any) -> list[Any]:
        """What the fields hold, of a list and a dict one after the other."""
        match self.kind:
            case "class":
                return list(self.get(value))
            case "dict":
                return [*value.keys(), *value.values()]
            case "plain":
                return [value]
            case _:
                return list(value)

    def turned_in(self, cells: list[Any]) -> Iterable[tuple[int, _Field]]:
        """Positions of the cells that are not written as they are, and the fields of those."""
        match self.kind:
            case "list":
                return ((at, self.fields[0]) for at in range(len(cells))) if self.turned else ()
            case "dict":
                half = len(cells) // 2
                return ((at + half * side, self.fields[side]) for side in self.turned for at in range(half))
            case _:
                return ((at, self.fields[at]) for at in self.turned)


class _Schema:
    """A pool for each type that declared types lead to, unions being one; the same numbers for the same types."""

    def __init__(self, hints: tuple[Any, ...]) -> None:
        self.pools: list[tuple[_Shape, ...]] = []
        self._numbers: dict[tuple[Any, ...], int] = {}
        self.roots = tuple(map(self._field, hints))

    def _field(self, hint: Any) -> _Field:
        members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        rest = tuple(member for member in members if member is not NoneType)
        none = frozenset({NoneType}) if len(rest) < len(members) else frozenset[type]()
        if all(member in _PLAIN for member in rest):
            # What a float field holds may have been given as an int.
            return _Field(none | {*rest} | ({int} if float in rest else set[type]()))
        if rest == (msgspec.Raw,):
            return _Field(none | {str}, raw=True)
        if len(rest) == 1 and isinstance(rest[0], type) and issubclass(rest[0], enum.Enum):
            return _Field(none | {str}, enumeration=rest[0])
        return _Field(none, self._pool(rest))

    def _pool(self, members: tuple[Any, ...]) -> int:
        known = self._numbers.get(members)
        if known is None:
            known = self._numbers[members] = len(self.pools)
            self.pools.append(())
            self.pools[known] = tuple(map(self._shape, members))
        return known

    def _shape(self, member: Any) -> _Shape:
        origin, args = get_origin(member), get_args(member)
        if origin is tuple:
            many = args[-1] is Ellipsis
            fields = tuple(map(self._field, args[:1] if many else args))
            return _Shape(tuple, "list" if many else "pair", fields, turned=_turned(fields))
        if origin is dict:
            fields = tuple(map(self._field, args))
            return _Shape(dict, "dict", fields, turned=_turned(fields))
        if member in _PLAIN:
            fields = (self._field(member),)
            return _Shape(member, "plain", fields, turned=_turned(fields))
        hints = get_type_hints(member)
        struct = issubclass(member, msgspec.Struct)
        given = member.__struct_fields__ if struct else [field.name for field in dataclasses.fields(member)]
        first: tuple[str, ...] = member.__match_args__
        names = (*first, *(name for name in given if name not in first))
        fields = tuple(self._field(hints[name]) for name in names)
        # Of a single name the getter gives no tuple.
        get = attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, name) for name in names]
        return _Shape(member, "class", fields, names, len(first), get, _turned(fields))


def _turned(fields: tuple[_Field, ...]) -> tuple[int, ...]:
    return tuple(at for at, field in enumerate(fields) if field.is_turned)


_schema = cache(_Schema)


def fingerprint(hints: tuple[Any, ...]) -> str:
    """The same for types of the same classes with the same fields: bytes of one build mean nothing to another's classes."""
    schema = _schema(hints)
    lines = [f"{shape.of.__qualname__} {shape.kind} {shape.names}" for shapes in schema.pools for shape in shapes]
    fields = [field for shapes in schema.pools for shape in shapes for field in shape.fields]
    lines += [field.described() for field in (*fields, *schema.roots)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# -- values to bytes --------------------------------------------------------------------------------------------------


def encode(hints: tuple[Any, ...], columns: Sequence[Sequence[Any]]) -> bytes:
    """Columns of equal length, each with values of its type: classes, tuples, dicts, text, numbers, enumerations."""
    return _Writer(_schema(hints)).table(columns)


class _Writer:
    def __init__(self, schema: _Schema) -> None:
        self._schema = schema
        #: Rows of each pool by content: (number, height); a row stands above those that it refers to.
        self._rows: list[dict[tuple[int, tuple[Any, ...]], tuple[int, int]]] = [{} for _ in schema.pools]
        #: The rows of values met before; they belong to the columns, which outlive the writer.
        self._met: list[dict[int, tuple[int, int]]] = [{} for _ in schema.pools]

    def table(self, columns: Sequence[Sequence[Any]]) -> bytes:
        fields = self._schema.roots
        cells = [
            [self._cell(field, value)[0] for value in column] for field, column in zip(fields, columns, strict=True)
        ]
        batches, places = self._batches()
        roots = [_column(field, column, places) for field, column in zip(fields, cells, strict=True)]
        return _encoder.encode(_Table(len(columns[0]), batches, roots))

    def _cell(self, field: _Field, value: Any) -> tuple[Any, int]:
        """(what the column holds, height of the row that it refers to)."""
        if value is None:
            return None, 0
        if field.pool >= 0:
            return self._row(field.pool, value)
        if field.raw:
            return bytes(value).decode(_BYTES), 0
        if field.enumeration is not None:
            return value.value, 0
        # 1 and 1.0 are equal, and are written differently.
        return (value, float) if type(value) is float else value, 0

    def _row(self, pool: int, value: Any) -> tuple[int, int]:
        met = self._met[pool]
        known = met.get(id(value))
        if known is None:
            shapes = self._schema.pools[pool]
            member = next(number for number, shape in enumerate(shapes) if type(value) is shape.of)
            cells, top = shapes[member].cells(value), 0
            for at, field in shapes[member].turned_in(cells):
                cells[at], height = self._cell(field, cells[at])
                top = max(top, height)
            rows = self._rows[pool]
            known = met[id(value)] = rows.setdefault((member, tuple(cells)), (len(rows), 1 + top))
        return known

    def _batches(self) -> tuple[list[_Batch], list[dict[int, int]]]:
        """The rows from the ground up, and the place of each in its pool."""
        groups: dict[tuple[int, int, int], list[tuple[Any, ...]]] = defaultdict(list)
        numbers: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for pool, rows in enumerate(self._rows):
            for (member, content), (number, height) in rows.items():
                groups[height, pool, member].append(content)
                numbers[height, pool, member].append(number)
        places: list[dict[int, int]] = [{} for _ in self._schema.pools]
        batches: list[_Batch] = []
        for key in sorted(groups):
            _, pool, member = key
            shape = self._schema.pools[pool][member]
            batches.append(_Batch(pool, member, len(groups[key]), _columns(shape, groups[key], places)))
            start = len(places[pool])
            places[pool].update(zip(numbers[key], range(start, start + len(groups[key])), strict=True))
        return batches, places


def _columns(shape: _Shape, rows: list[tuple[Any, ...]], places: list[dict[int, int]]) -> list[_Column]:
    match shape.kind:
        case "list":
            return [_lengths(map(len, rows)), _column(shape.fields[0], list(chain.from_iterable(rows)), places)]
        case "dict":
            halves = [len(row) // 2 for row in rows]
            keys = [cell for row, half in zip(rows, halves, strict=True) for cell in row[:half]]
            values = [cell for row, half in zip(rows, halves, strict=True) for cell in row[half:]]
            return [
                _lengths(halves),
                _column(shape.fields[0], keys, places),
                _column(shape.fields[1], values, places),
            ]
        case _:
            columns = zip(*rows, strict=True)
            return [_column(field, column, places) for field, column in zip(shape.fields, columns, strict=True)]


_LENGTH = _Field(frozenset({int}))


def _lengths(lengths: Iterable[int]) -> _Column:
    return _column(_LENGTH, list(lengths), [])


def _column(field: _Field, cells: Sequence[Any], places: list[dict[int, int]]) -> _Column:
    if field.pool >= 0:
        place = places[field.pool]
        at = [None if cell is None else place[cell] for cell in cells]
        if len(at) > 1 and at[0] is not None and at == list(range(at[0], at[0] + len(at))):
            return _Range(at[0])
        return _Constant(at[0]) if at and at.count(at[0]) == len(at) else _Values([*at])
    words = dict.fromkeys(cells)
    if not _is_text(words):
        return _Escaped([cell.encode(*_ANY_TEXT).decode(_BYTES) if isinstance(cell, str) else cell for cell in cells])
    if len(words) == 1:
        return _Constant(_bare(cells[0]))
    if 2 * len(words) > len(cells):
        return _Values([_bare(cell) for cell in cells])
    numbers = {word: number for number, word in enumerate(words)}
    return _Words([_bare(word) for word in words], [numbers[cell] for cell in cells])


def _is_text(words: Iterable[Any]) -> bool:
    try:
        "".join(word for word in words if isinstance(word, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _bare(cell: Any) -> Any:
    if type(cell) is tuple:
        return cell[0]
    return str(cell) if type(cell) is int and not -_WORD <= cell < _WORD else cell


# -- bytes to values --------------------------------------------------------------------------------------------------


def decode(hints: tuple[Any, ...], data: bytes | memoryview) -> list[list[Any]]:
    """The columns that were encoded. Raises MisfitError for anything else, LimitError where few bytes claim many rows."""
    try:
        return _Reader(_schema(hints), len(data)).read(_decoder.decode(data))
    except _MISFITS as error:
        raise MisfitError from error


class _Reader:
    def __init__(self, schema: _Schema, size: int) -> None:
        self._schema = schema
        self._pools: list[list[Any]] = [[] for _ in schema.pools]
        self._budget = _ROWS_PER_BYTE * size

    def read(self, table: _Table) -> list[list[Any]]:
        for batch in table.batches:
            if batch.pool < 0 or batch.member < 0:
                raise ValueError("a negative number")
            shape = self._schema.pools[batch.pool][batch.member]
            self._spend(batch.columns, batch.count)
            self._pools[batch.pool] += self._rows(shape, batch.columns, batch.count)
        self._spend(table.roots, table.count)
        roots = zip(self._schema.roots, table.roots, strict=True)
        return [list(self._cells(field, column, table.count)) for field, column in roots]

    def _rows(self, shape: _Shape, columns: list[_Column], count: int) -> list[Any]:
        match shape.kind:
            case "class":
                return self._objects(shape, columns, count)
            case "plain":
                [column] = columns
                return list(self._cells(shape.fields[0], column, count))
            case "pair":
                cells = zip(shape.fields, columns, strict=True)
                return list(zip(*[self._cells(field, column, count) for field, column in cells], strict=True))
            case "list":
                lengths, items = columns
                sizes = self._sizes(lengths, count)
                self._spend([items], sum(sizes))
                cut = iter(self._cells(shape.fields[0], items, sum(sizes)))
                return [tuple(islice(cut, size)) for size in sizes]
            case "dict":
                lengths, keys, values = columns
                sizes = self._sizes(lengths, count)
                self._spend([keys], sum(sizes))
                pairs = zip(
                    self._cells(shape.fields[0], keys, sum(sizes)),
                    self._cells(shape.fields[1], values, sum(sizes)),
                    strict=True,
                )
                return [dict(islice(pairs, size)) for size in sizes]

    def _sizes(self, column: _Column, count: int) -> list[int]:
        sizes = list(self._cells(_LENGTH, column, count))
        if min(sizes, default=0) < 0:
            raise ValueError("a negative length")
        return sizes

    def _objects(self, shape: _Shape, columns: list[_Column], count: int) -> list[Any]:
        """Constants by name are bound once, the rest goes to the constructor row by row."""
        fixed: dict[str, Any] = {}
        named: dict[str, Iterable[Any]] = {}
        positional: list[Iterable[Any]] = []
        for position, (name, field, column) in enumerate(zip(shape.names, shape.fields, columns, strict=True)):
            cells = self._cells(field, column, count)
            if position < shape.positional:
                positional.append(cells)
            elif isinstance(column, _Constant):
                fixed[name] = next(iter(cells))
            else:
                named[name] = cells
        make: Callable[..., Any] = partial(shape.of, **fixed) if fixed else shape.of
        if not named:
            return list(map(make, *positional)) if positional else [make() for _ in range(count)]
        names, at = tuple(named), len(positional)
        rows = zip(*positional, *named.values(), strict=True)
        return [make(*row[:at], **dict(zip(names, row[at:], strict=True))) for row in rows]

    # -- columns ------------------------------------------------------------------------------------------------

    def _cells(self, field: _Field, column: _Column, count: int) -> Iterable[Any]:
        """``count`` values of a field."""
        if field.pool >= 0:
            return self._referred(field, column, count)
        match column:
            case _Constant(value):
                return repeat(_checked(field, [value])[0], count)
            case _Values(values):
                return _of_length(_checked(field, values), count)
            case _Words(words, at):
                _check_places(at, len(words))
                return list(map(_checked(field, words).__getitem__, _of_length(at, count)))
            case _Escaped(values) if field.enumeration is None and not field.raw:
                _of_length(_typed(field.plain, values), count)
                return [
                    value.encode(_BYTES).decode(*_ANY_TEXT) if isinstance(value, str) else value for value in values
                ]
        raise ValueError("no plain values")

    def _referred(self, field: _Field, column: _Column, count: int) -> Iterable[Any]:
        rows = self._pools[field.pool]
        match column:
            case _Range(start):
                if start < 0:
                    raise ValueError("a negative place")
                return _of_length(rows[start : start + count], count)
            case _Constant(None) if NoneType in field.plain:
                return repeat(None, count)
            case _Constant(int(at)):
                _check_places([at], len(rows))
                return repeat(rows[at], count)
            case _Values(values):
                places: list[Any] = _of_length(values, count)
                types = {*map(type, values)}
                if types <= {int}:
                    _check_places(places, len(rows))
                    return list(map(rows.__getitem__, places))
                if types <= field.plain | {int}:
                    _check_places([at for at in places if at is not None], len(rows))
                    return [None if at is None else rows[at] for at in places]
        raise ValueError("no reference")

    def _spend(self, columns: Iterable[_Column], count: int) -> None:
        """Before rows are made: those without a byte of their own must be few."""
        if count < 0:
            raise ValueError("a negative count")
        if not any(isinstance(column, _Values | _Words | _Escaped) for column in columns):
            self._budget -= count
        if self._budget < 0:
            raise LimitError("more rows than its bytes can hold")


def _of_length(values: list[Any], count: int) -> list[Any]:
    if len(values) != count:
        raise ValueError("columns of unequal length")
    return values


def _check_places(places: Sequence[Any], end: int) -> None:
    if places and not 0 <= min(places) <= max(places) < end:
        raise ValueError("a place outside")


def _checked(field: _Field, values: list[_Plain]) -> list[Any]:
    """The values of a field that is no reference, in its own types."""
    types = {*map(type, values)}
    if str in types and str not in field.plain and int in field.plain:
        return [_wide(value) if isinstance(value, str) else value for value in _typed(field.plain | {str}, values)]
    _typed(field.plain, values)
    if field.enumeration is not None:
        make = field.enumeration
        return [None if value is None else make(value) for value in values]
    if field.raw:
        return [None if value is None else _json(value) for value in values]
    return values


def _typed(allowed: Iterable[type], values: list[_Plain]) -> list[_Plain]:
    if not {*map(type, values)} <= {*allowed}:
        raise TypeError("a value of another type")
    return values


def _wide(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError("an integer too wide")
    return int(text)


def _json(text: Any) -> msgspec.Raw:
    """Undecoded JSON, which whoever decodes it takes for JSON."""
    data = text.encode(_BYTES)
    if data:
        msgspec.json.decode(data, type=msgspec.Raw)
    return msgspec.Raw(data)
