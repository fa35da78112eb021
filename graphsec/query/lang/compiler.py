"""Conditions, type-checked and compiled to operations on whole columns (interface.md §7).

Of CEL this is a subset with one difference: nothing fails while it runs. A value that is absent equals nothing, is in no list, matches
nothing, and is neither less nor greater; `!=` is the negation of `==`. So `&&`, `||` and `!` are those of two values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphsec.query.lang.lexer import MisreadError
from graphsec.query.lang.parser import PARAMS, parse_condition
from graphsec.query.lang.regex import compile_regex
from graphsec.query.lang.schema import Column, Schema, Type, suggestion
from graphsec.query.lang.tree import Call, Comparison, ListOf, Literal, Logic, Name, Node, Not
from graphsec.query.lang.values import Ints, Lists, Mask, Numbers, Strings, Table, Truths, Value

#: Units that a condition may cost for each row.
MAX_COST = 10_000
#: Items that a list is taken to have, where a cost is told before there is any.
_USUAL_ITEMS = 16
#: A test of a string costs as much as this many operations on numbers.
_STRING_COST, _PATTERN_COST = 4, 16
_MAX_MACROS = 2
Given = Mapping[str, Any]
_STRING_TESTS: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": operator.contains,
}
_METHODS = (*_STRING_TESTS, "matches", "exists", "all", "size")
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Result = Value | Sequence[Any]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where code runs: ``count`` rows, row r being row ``rows[r]`` of the table (None: row r)."""

    table: Table
    given: Given
    count: int
    rows: Ints | None = None
    #: The items that `exists` and `all` look at.
    variables: Mapping[str, Value] = field(default_factory=dict)

    def column(self, column: Column, key: str | None) -> Value:
        value = self.table.column(column, key)
        return value if self.rows is None else value.taken(self.rows)

    def at(self, rows: Ints) -> _Frame:
        """With these rows instead."""
        return replace(
            self,
            count=len(rows),
            rows=rows if self.rows is None else self.rows[rows],
            variables={name: value.taken(rows) for name, value in self.variables.items()},
        )

    def with_variable(self, name: str, value: Value) -> _Frame:
        return replace(self, variables={**self.variables, name: value})


@dataclass(frozen=True, slots=True)
class _Code:
    """What an expression compiles to. A list that is the same in every row runs to a plain sequence."""

    type: Type
    cost: int
    run: Callable[[_Frame], Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """``cost`` is what a row costs at most, in operations on one number, with lists of 16 items."""

    text: str
    cost: int
    #: The columns that it looks at, and the parameters that it uses.
    columns: tuple[str, ...]
    params: tuple[str, ...]
    #: Conditions that all must hold for it to hold: what stands between the outermost `&&`.
    parts: tuple[Condition, ...]
    _code: _Code = field(repr=False)

    def mask(self, table: Table, given: Given) -> Mask:
        """For each row whether the condition holds; ``given`` are the parameters, checked before. Raises nothing."""
        found: Mask = self._code.run(_Frame(table, given, table.count)).values
        return found


def compile_condition(text: str, schema: Schema, params: Mapping[str, Type] | None = None) -> Condition:
    """Raises MisreadError with the offset of what is no condition about these columns and parameters."""
    node = parse_condition(text)
    conjuncts = list(_conjuncts(node))
    parts = tuple(_compiled(part, text, schema, params or {}) for part in conjuncts) if len(conjuncts) > 1 else ()
    whole = _compiled(node, text, schema, params or {}, parts)
    if whole.cost > MAX_COST:
        raise MisreadError(f"costs {whole.cost:,} operations for each row, more than {MAX_COST:,}", node.offset)
    return whole


def _conjuncts(node: Node) -> Iterator[Node]:
    if isinstance(node, Logic) and node.op == "&&":
        for part in node.parts:
            yield from _conjuncts(part)
    else:
        yield node


def _compiled(
    node: Node, text: str, schema: Schema, params: Mapping[str, Type], parts: tuple[Condition, ...] = ()
) -> Condition:
    compiler = _Compiler(schema, params)
    code = compiler.boolean(node)
    alone = Condition(text, code.cost, tuple(sorted(compiler.columns)), tuple(sorted(compiler.used)), (), code)
    return replace(alone, parts=parts or (alone,))


class _Compiler:
    def __init__(self, schema: Schema, params: Mapping[str, Type]) -> None:
        self._schema = schema
        self._params = params
        self._variables: dict[str, Type] = {}
        self.columns: set[str] = set()
        self.used: set[str] = set()

    def boolean(self, node: Node) -> _Code:
        code = self.any(node)
        if code.type is not Type.BOOL:
            raise MisreadError(f"a condition expected, not {code.type.a}", node.offset)
        return code

    def any(self, node: Node) -> _Code:
        match node:
            case Literal():
                return _constant(node.value)
            case ListOf():
                return self._list(node)
            case Name():
                return self._name(node)
            case Not():
                inner = self.boolean(node.operand)
                return _Code(Type.BOOL, inner.cost + 1, lambda frame: Truths(~inner.run(frame).values))
            case Logic():
                return self._logic(node)
            case Comparison():
                return self._membership(node) if node.op == "in" else self._comparison(node)
            case Call():
                return self._call(node)

    # -- values -------------------------------------------------------------------------------------------------

    @staticmethod
    def _list(node: ListOf) -> _Code:
        kinds = {_type_of(item.value) for item in node.items} or {Type.STRING}
        if len(kinds) > 1 or Type.BOOL in kinds:
            raise MisreadError("a list holds strings, or ints", node.offset)
        values = tuple(item.value for item in node.items)
        return _Code(Type.INTS if kinds == {Type.INT} else Type.STRINGS, 1, lambda frame: values)

    def _name(self, node: Name) -> _Code:
        first = node.parts[0]
        if first in self._variables:
            if len(node.parts) > 1 or node.key is not None:
                raise MisreadError(f"`{first}` is {self._variables[first].a}: it has no members", node.offset)
            return _Code(self._variables[first], 1, lambda frame: frame.variables[first])
        if first == PARAMS:
            return self._param(node)
        column, key = self._column(node)
        self.columns.add(column.name)
        kind = Type.STRING if key is not None else column.type
        return _Code(kind, 1, lambda frame: frame.column(column, key))

    def _column(self, node: Name) -> tuple[Column, str | None]:
        """The column, and the key of a map that it is."""
        columns = self._schema.columns
        if node.text in columns:
            column = columns[node.text]
            if column.type is Type.MAP and node.key is None:
                raise MisreadError(f'`{node.text}` is a map: name a key, `{node.text}["app"]`', node.offset)
            if column.type is not Type.MAP and node.key is not None:
                raise MisreadError(f"`{node.text}` is {column.type.a}: it has no keys", node.offset)
            return column, node.key
        whole = columns.get(".".join(node.parts[:-1]))
        if whole is not None and whole.type is Type.MAP and node.key is None:
            return whole, node.parts[-1]
        raise MisreadError(self._schema.unknown(node.text), node.offset)

    def _param(self, node: Name) -> _Code:
        name = ".".join(node.parts[1:])
        if name not in self._params or node.key is not None:
            raise MisreadError(f"`{node.text}` is no parameter{suggestion(name, self._params)}", node.offset)
        self.used.add(name)
        kind = self._params[name]
        if kind.is_list:
            return _Code(kind, 1, lambda frame: tuple(frame.given[name]))
        return _Code(kind, 1, lambda frame: _repeated(frame.given[name], frame.count))

    # -- operators ----------------------------------------------------------------------------------------------

    def _logic(self, node: Logic) -> _Code:
        parts = [self.boolean(part) for part in node.parts]
        combine = np.logical_and if node.op == "&&" else np.logical_or

        def run(frame: _Frame) -> Truths:
            return Truths(combine.reduce([part.run(frame).values for part in parts]))

        return _Code(Type.BOOL, sum(part.cost for part in parts) + len(parts) - 1, run)

    def _comparison(self, node: Comparison) -> _Code:
        left, right = self.any(node.left), self.any(node.right)
        if left.type is not right.type:
            raise MisreadError(f"`{node.op}` compares {left.type.a} with {right.type.a}", node.offset)
        if left.type.is_list or (left.type is Type.BOOL and node.op in _ORDER):
            raise MisreadError(f"`{node.op}` does not compare {left.type.a}", node.offset)
        test = _ORDER.get(node.op, operator.eq)
        negated = node.op == "!="
        scalar = _compared if left.type is Type.STRING else _counted

        def run(frame: _Frame) -> Truths:
            mask = scalar(left.run(frame), right.run(frame), test)
            return Truths(~mask if negated else mask)

        return _Code(Type.BOOL, left.cost + right.cost + (_STRING_COST if left.type is Type.STRING else 1), run)

    def _membership(self, node: Comparison) -> _Code:
        left, right = self.any(node.left), self.any(node.right)
        if not right.type.is_list:
            raise MisreadError(f"`in` looks into a list, not into {right.type.a}", node.right.offset)
        if left.type is not right.type.item:
            raise MisreadError(f"`in` looks for {left.type.a} in {right.type.a}", node.offset)
        compare: Callable[[Any, Any, Any], Mask] = _compared if left.type is Type.STRING else _counted

        def run(frame: _Frame) -> Truths:
            value, items = left.run(frame), right.run(frame)
            if isinstance(items, Lists):
                rows, flat = items.flat()
                return Truths(_any_of(rows, compare(value.taken(rows), flat, operator.eq), frame.count))
            return Truths(_among(value, items))

        return _Code(Type.BOOL, left.cost + right.cost + _USUAL_ITEMS, run)

    # -- functions ----------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> _Code:
        name = node.function
        if name == "has":
            return self._has(node)
        if node.receiver is None:
            if name in ("size", "matches") and node.arguments:
                # CEL has both as functions, too.
                return self._call(Call(name, node.arguments[0], node.arguments[1:], node.offset))
            usual = f" (it is a method: `x.{name}(...)`)" if name in _METHODS else ""
            known = usual or suggestion(name, ("has", "size", *_METHODS))
            raise MisreadError(f"no function `{name}`{known}", node.offset)
        if name in ("exists", "all"):
            return self._macro(node, node.receiver)
        if name == "size":
            return self._size(node, node.receiver)
        if name == "matches":
            return self._matches(node, node.receiver)
        if name in _STRING_TESTS:
            return self._string_test(node, node.receiver)
        raise MisreadError(f"no method `{name}`{suggestion(name, _METHODS)}", node.offset)

    def _has(self, node: Call) -> _Code:
        names = node.arguments
        if (
            node.receiver is not None
            or len(names) != 1
            or not isinstance(names[0], Name)
            or names[0].parts[0] == PARAMS
        ):
            raise MisreadError("`has` takes one column: `has(subject.namespace)`", node.offset)
        name = names[0]
        if len(name.parts) == 1 or name.key is not None:
            raise MisreadError("`has` takes a member: `has(subject.namespace)`, `has(w.labels.app)`", name.offset)
        inner = self.any(name)
        return _Code(Type.BOOL, inner.cost + 1, lambda frame: Truths(_present(inner.run(frame))))

    def _strings(self, node: Call, receiver: Node) -> tuple[_Code, _Code]:
        """The receiver and the one argument of a method of strings."""
        code = self.any(receiver)
        if code.type is not Type.STRING:
            raise MisreadError(f"`{node.function}` is a method of strings, not of {code.type.a}", node.offset)
        if len(node.arguments) != 1:
            raise MisreadError(f"`{node.function}` takes one string", node.offset)
        argument = self.any(node.arguments[0])
        if argument.type is not Type.STRING:
            raise MisreadError(f"`{node.function}` takes a string, not {argument.type.a}", node.arguments[0].offset)
        return code, argument

    def _string_test(self, node: Call, receiver: Node) -> _Code:
        code, argument = self._strings(node, receiver)
        test = _STRING_TESTS[node.function]
        return _Code(
            Type.BOOL,
            code.cost + argument.cost + _STRING_COST,
            lambda frame: Truths(_compared(code.run(frame), argument.run(frame), test)),
        )

    def _matches(self, node: Call, receiver: Node) -> _Code:
        code, _ = self._strings(node, receiver)
        pattern = node.arguments[0]
        if not isinstance(pattern, Literal):
            raise MisreadError("`matches` takes a string literal", pattern.offset)
        try:
            regex = compile_regex(str(pattern.value))
        except MisreadError as error:
            at = f" (character {error.offset + 1} of the pattern)" if error.offset else ""
            raise MisreadError(f"{error.message}{at}", pattern.offset) from None
        return _Code(
            Type.BOOL,
            code.cost + _PATTERN_COST,
            lambda frame: Truths(_tested(code.run(frame), regex.matches)),
        )

    def _size(self, node: Call, receiver: Node) -> _Code:
        code = self.any(receiver)
        if node.arguments or not (code.type.is_list or code.type is Type.STRING):
            raise MisreadError(f"`size` is that of a list or string, not of {code.type.a}", node.offset)
        return _Code(Type.INT, code.cost + 1, lambda frame: _size(code.run(frame), frame.count))

    def _macro(self, node: Call, receiver: Node) -> _Code:
        items = self.any(receiver)
        if not items.type.is_list:
            raise MisreadError(f"`{node.function}` is a method of lists, not of {items.type.a}", node.offset)
        variable = node.arguments[0] if node.arguments else None
        if len(node.arguments) != 2 or not isinstance(variable, Name) or len(variable.parts) > 1:
            raise MisreadError(
                f"`{node.function}` takes a variable and a condition: `verbs.{node.function}(v, ...)`", node.offset
            )
        name = variable.text
        if len(self._variables) >= _MAX_MACROS:
            raise MisreadError(f"more than {_MAX_MACROS} of `exists` and `all` within each other", node.offset)
        taken = {PARAMS, *self._variables, *(column.partition(".")[0] for column in self._schema.columns)}
        if name in taken:
            raise MisreadError(f"`{name}` is taken: call the variable otherwise", variable.offset)
        self._variables[name] = items.type.item
        body = self.boolean(node.arguments[1])
        del self._variables[name]
        is_all = node.function == "all"

        def run(frame: _Frame) -> Truths:
            values = items.run(frame)
            if not isinstance(values, Lists):
                return Truths(_over_constants(values, frame, name, body, is_all=is_all))
            rows, flat = values.flat()
            found = body.run(frame.at(rows).with_variable(name, flat)).values
            return Truths(~_any_of(rows, ~found, frame.count) if is_all else _any_of(rows, found, frame.count))

        return _Code(Type.BOOL, items.cost + _USUAL_ITEMS * body.cost, run)


# -- operations on arrays ----------------------------------------------------------------------------------------


def _type_of(value: object) -> Type:
    return Type.BOOL if isinstance(value, bool) else Type.INT if isinstance(value, int) else Type.STRING


def _constant(value: str | int | bool) -> _Code:
    return _Code(_type_of(value), 1, lambda frame: _repeated(value, frame.count))


def _repeated(value: Any, count: int) -> Value:
    if isinstance(value, bool):
        return Truths(np.full(count, value))
    if isinstance(value, int):
        return Numbers(np.full(count, value, dtype=np.int64), np.ones(count, dtype=bool))
    return Strings(np.zeros(count, dtype=np.int64), [value])


def _compared(left: Strings, right: Strings, test: Callable[[str, str], Any]) -> Mask:
    """The test of each pair of strings that differs, once; False where one is absent."""
    present = (left.codes >= 0) & (right.codes >= 0)
    mask = np.zeros(len(left.codes), dtype=bool)
    if not present.any():
        return mask
    width = len(right.words)
    pairs, which = np.unique(left.codes[present] * width + right.codes[present], return_inverse=True)
    results = [bool(test(left.words[pair // width], right.words[pair % width])) for pair in pairs.tolist()]
    mask[present] = np.array(results, dtype=bool)[which.reshape(-1)]
    return mask


def _tested(strings: Strings, test: Callable[[str], bool]) -> Mask:
    return _compared(strings, Strings(np.zeros(len(strings.codes), dtype=np.int64), [""]), lambda text, _: test(text))


def _counted(left: Numbers | Truths, right: Numbers | Truths, test: Callable[[Any, Any], Any]) -> Mask:
    mask: Mask = test(left.values, right.values)
    if isinstance(left, Numbers) and isinstance(right, Numbers):
        return mask & left.present & right.present
    return mask


def _among(value: Strings | Numbers, items: Sequence[Any]) -> Mask:
    if isinstance(value, Strings):
        wanted = frozenset(items)
        return _tested(value, wanted.__contains__)
    return np.isin(value.values, np.array(items, dtype=np.int64)) & value.present


def _present(value: Value) -> Mask:
    """Lists have something where they are not empty, as for CEL's `has` of a repeated field."""
    if isinstance(value, Strings):
        return value.codes >= 0
    if isinstance(value, Numbers):
        return value.present
    if isinstance(value, Lists):
        return value.lengths > 0
    return np.ones(len(value.values), dtype=bool)


def _size(value: Value | Sequence[Any], count: int) -> Numbers:
    if isinstance(value, Lists):
        return Numbers(value.lengths, np.ones(count, dtype=bool))
    if isinstance(value, Strings):
        # One length more, for code -1.
        lengths = np.array([*map(len, value.words), 0], dtype=np.int64)
        return Numbers(lengths[value.codes], value.codes >= 0)
    assert isinstance(value, tuple)
    return Numbers(np.full(count, len(value), dtype=np.int64), np.ones(count, dtype=bool))


def _any_of(rows: Ints, found: Mask, count: int) -> Mask:
    """For each row whether something of it was found."""
    return np.bincount(rows[found], minlength=count)[:count] > 0


def _over_constants(values: Sequence[Any], frame: _Frame, name: str, body: _Code, *, is_all: bool) -> Mask:
    mask = np.full(frame.count, is_all)
    for value in values:
        found = body.run(frame.with_variable(name, _repeated(value, frame.count))).values
        mask = mask & found if is_all else mask | found
    return mask


__all__ = ["MAX_COST", "Condition", "Given", "compile_condition"]
