"""The meaning of conditions, said a second time: one row at a time, over the tree, without arrays.

Absent values are None. Regular expressions are Python's own, which agree with ours on what both take.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any

from graphsec.query.lang.parser import parse_condition
from graphsec.query.lang.tree import Call, Comparison, ListOf, Literal, Logic, Name, Node, Not

Row = Mapping[str, Any]
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def holds(text: str, row: Row, given: Row) -> bool:
    return bool(_value(parse_condition(text), row, given, {}))


def _value(node: Node, row: Row, given: Row, variables: Row) -> Any:
    match node:
        case Literal():
            return node.value
        case ListOf():
            return [item.value for item in node.items]
        case Name():
            return _named(node, row, given, variables)
        case Not():
            return not _value(node.operand, row, given, variables)
        case Logic():
            found = [_value(part, row, given, variables) for part in node.parts]
            return all(found) if node.op == "&&" else any(found)
        case Comparison():
            return _compared(
                node.op, _value(node.left, row, given, variables), _value(node.right, row, given, variables)
            )
        case Call():
            return _called(node, row, given, variables)


def _named(node: Name, row: Row, given: Row, variables: Row) -> Any:
    if node.parts[0] in variables:
        return variables[node.parts[0]]
    if node.parts[0] == "params":
        return given[node.parts[1]]
    if node.text in row:
        return row[node.text] if node.key is None else row[node.text].get(node.key)
    return row[".".join(node.parts[:-1])].get(node.parts[-1])


def _compared(op: str, left: Any, right: Any) -> bool:
    if op == "in":
        return left is not None and left in list(right)
    equal = left is not None and right is not None and left == right
    if op in ("==", "!="):
        return equal is (op == "==")
    return left is not None and right is not None and bool(_ORDER[op](left, right))


def _called(node: Call, row: Row, given: Row, variables: Row) -> Any:
    if node.function == "has":
        value = _value(node.arguments[0], row, given, variables)
        return value is not None and value not in ((), [])
    receiver = node.arguments[0] if node.receiver is None else node.receiver
    arguments = node.arguments[1:] if node.receiver is None else node.arguments
    value = _value(receiver, row, given, variables)
    if node.function == "size":
        return None if value is None else len(value)
    if node.function in ("exists", "all"):
        name = arguments[0]
        assert isinstance(name, Name)
        found = [_value(arguments[1], row, given, {**variables, name.text: item}) for item in value]
        return any(found) if node.function == "exists" else all(found)
    argument = _value(arguments[0], row, given, variables)
    if value is None or argument is None:
        return False
    if node.function == "matches":
        return re.fullmatch(argument[1:-1], value, re.ASCII) is not None
    if node.function == "contains":
        return argument in value
    return value.startswith(argument) if node.function == "startsWith" else value.endswith(argument)
