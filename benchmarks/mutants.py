"""Small changes to functions, one at a time: what a mutation test runs the tests against."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_CALLS = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list", "reversed": "list"}
_METHODS = {
    "startswith": "endswith",
    "endswith": "startswith",
    "partition": "rpartition",
    "rpartition": "partition",
    "rstrip": "lstrip",
}
#: Of a text that is compared with another one; and how much of it is shown around the difference.
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_AROUND = 40
_TRUTHS = (ast.Compare, ast.BoolOp)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One function with one change. ``name`` stays the same as long as that part of the function does."""

    name: str
    line: int
    function: str
    code: CodeType


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Every mutant of the bodies of the functions and methods in a module, from top to bottom.

    Not changed are defaults, decorators, annotations, docstrings, f-strings, the words of a ``raise``, and what is outside of
    functions.
    """
    seen: Counter[str] = Counter()
    for classes, function in _functions(ast.parse(source), ()):
        qualified = ".".join((*classes, function.name))
        for place in _places(function):
            for changed in _changes(place):
                name = f"{path} {qualified}: {_difference(_text(place.node), _text(changed))}"
                seen[name] += 1
                with_number = f"{name} #{seen[name]}" if seen[name] > 1 else name
                place.put(changed)
                code = _compiled(function, classes, path)
                place.put(place.node)
                yield Mutant(with_number, place.line, qualified, code)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node hangs: in a field of its parent, at an index if that is a list."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None
    line: int

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def _functions(
    scope: ast.Module | ast.ClassDef, classes: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], ast.FunctionDef]]:
    """Functions and methods with the classes around them; a function inside another one belongs to that."""
    for node in scope.body:
        if isinstance(node, ast.FunctionDef):
            yield classes, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, (*classes, node.name))


def _places(function: ast.FunctionDef) -> Iterator[_Place]:
    for index, statement in enumerate(function.body):
        if not (index == 0 and ast.get_docstring(function) is not None):
            yield from _below(_Place(statement, function, "body", index, statement.lineno))


def _below(place: _Place) -> Iterator[_Place]:
    yield place
    node = place.node
    if isinstance(node, ast.JoinedStr | ast.arguments):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns") or (isinstance(node, ast.Raise) and field == "exc"):
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST):
                at = index if isinstance(value, list) else None
                yield from _below(_Place(child, node, field, at, getattr(child, "lineno", place.line)))


def _compiled(function: ast.FunctionDef, classes: tuple[str, ...], path: str) -> CodeType:
    """The code of a function, compiled in classes of these names and nothing else."""
    scope: ast.stmt = function
    for name in reversed(classes):
        scope = ast.ClassDef(name=name, bases=[], keywords=[], body=[scope], decorator_list=[])
    code = compile(ast.fix_missing_locations(ast.Module([scope], [])), path, "exec")
    for name in (*classes, function.name):
        code = next(found for found in code.co_consts if isinstance(found, CodeType) and found.co_name == name)
    return code


def _text(node: ast.AST) -> str:
    """Of a statement the first line."""
    if isinstance(node, ast.comprehension):
        return ast.unparse(node).strip()
    if isinstance(node, ast.Match):
        return (
            f"match {ast.unparse(node.subject)}: {len(node.cases)} cases {[ast.unparse(c.pattern) for c in node.cases]}"
        )
    text = ast.unparse(node)
    return text.partition("\n")[0] if isinstance(node, ast.stmt) else text.replace("\n", " ")


def _difference(old: str, new: str) -> str:
    """Both texts as one, with a few words around what differs, e.g. `not names [-or-]{+and+} name in names`."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    head, tail = "".join(before[:start]), "".join(before[len(before) - end :])
    gone, come = ("".join(tokens[start : len(tokens) - end]) for tokens in (before, after))
    return (
        ("…" + head[-_AROUND:] if len(head) > _AROUND else head)
        + (f"[-{gone}-]" if gone else "")
        + (f"{{+{come}+}}" if come else "")
        + (tail[:_AROUND] + "…" if len(tail) > _AROUND else tail)
    )


# -- operators -------------------------------------------------------------------------------------------------------


def _changes(place: _Place) -> Iterator[ast.AST]:
    node = place.node
    match node:
        case ast.stmt():
            yield from _of_statement(node)
        case ast.Tuple() if isinstance(place.parent, ast.Subscript):
            pass
        case ast.expr():
            yield from _of_expression(node)
        case ast.comprehension():
            for ifs in _without_one(node.ifs):
                yield _copy(node, ifs=ifs)
        case ast.MatchOr():
            for patterns in _without_one(node.patterns):
                yield patterns[0] if len(patterns) == 1 else _copy(node, patterns=patterns)


def _of_statement(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.If():
            yield _copy(node, test=ast.Constant(value=True))
            yield _copy(node, test=ast.Constant(value=False))
        case ast.While():
            yield _copy(node, test=ast.Constant(value=False))
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            if isinstance(value, _TRUTHS) or (isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)):
                yield ast.Return(ast.Constant(value=True))
                yield ast.Return(ast.Constant(value=False))
            else:
                yield ast.Return(ast.Constant(value=None))
        case ast.Expr() | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Subscript()]):
            yield ast.Pass()
        case ast.Match():
            for cases in _without_one(node.cases):
                if cases:
                    yield _copy(node, cases=cases)


def _of_expression(node: ast.expr) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                for other in _COMPARISONS[type(operator)]:
                    yield _copy(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])
        case ast.BoolOp():
            yield _copy(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for values in _without_one(node.values):
                yield values[0] if len(values) == 1 else _copy(node, values=values)
        case ast.UnaryOp():
            yield node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield _copy(node, op=_ARITHMETIC[type(node.op)]())
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.Call():
            yield from _of_call(node)
        case ast.Constant():
            yield from (ast.Constant(other) for other in _other_values(node.value))
        case ast.Subscript(slice=ast.Slice() as bounds):
            if bounds.lower is not None:
                yield _copy(node, slice=_copy(bounds, lower=None))
            if bounds.upper is not None:
                yield _copy(node, slice=_copy(bounds, upper=None))
        case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()) | ast.Set() if len(node.elts) > 1:
            for elts in _without_one(node.elts):
                yield _copy(node, elts=elts)
        case ast.Dict() if len(node.keys) > 1:
            for entries in _without_one(list(zip(node.keys, node.values, strict=True))):
                yield ast.Dict([key for key, _ in entries], [value for _, value in entries])


def _of_call(node: ast.Call) -> Iterator[ast.AST]:
    match node.func:
        case ast.Name(id=name) if name in _CALLS:
            # `list` takes no key.
            keywords = [] if _CALLS[name] == "list" else node.keywords
            yield _copy(node, func=ast.Name(_CALLS[name], ast.Load()), keywords=keywords)
        case ast.Attribute(attr=name) if name in _METHODS:
            yield _copy(node, func=_copy(node.func, attr=_METHODS[name]))
        case ast.Attribute(attr="get") if len(node.args) == 2:
            yield _copy(node, args=node.args[:1])
    for keywords in _without_one(node.keywords):
        yield _copy(node, keywords=keywords)
    if len(node.args) > 1:
        for index, argument in enumerate(node.args):
            if isinstance(argument, ast.Starred):
                yield _copy(node, args=[*node.args[:index], *node.args[index + 1 :]])


def _other_values(value: object) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            yield value - 1
        case str():
            yield f"{value}~"


def _without_one(items: list[Any]) -> Iterator[list[Any]]:
    return (items[:index] + items[index + 1 :] for index in range(len(items)))


def _copy(node: ast.AST, **changed: Any) -> Any:
    return type(node)(**{field: getattr(node, field, None) for field in node._fields} | changed)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
