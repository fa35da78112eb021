"""The language of saved queries: conditions in a subset of CEL (tier 2) and path patterns (tier 3), interface.md §7.

It knows columns, not Kubernetes: what a column means says whoever declares the schema.
"""

from graphsec.query.lang.compiler import Condition, Given, compile_condition
from graphsec.query.lang.lexer import MisreadError, Place
from graphsec.query.lang.pattern import ArrowPattern, EdgePattern, NodePattern, compile_pattern
from graphsec.query.lang.schema import Column, Schema, Type
from graphsec.query.lang.template import Template, compile_template
from graphsec.query.lang.values import Table

__all__ = [
    "ArrowPattern",
    "Column",
    "Condition",
    "EdgePattern",
    "Given",
    "MisreadError",
    "NodePattern",
    "Place",
    "Schema",
    "Table",
    "Template",
    "Type",
    "compile_condition",
    "compile_pattern",
    "compile_template",
]
