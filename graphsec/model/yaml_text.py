"""Objects and answers as YAML that every YAML version reads alike."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from graphsec.algebra.yaml_quoting import quote_if_needed
from graphsec.model.text import safe


def document(value: dict[str, Any]) -> str:
    """One mapping of JSON values in block style with sorted keys."""
    lines: list[str] = []
    _write(value, "", lines)
    return "\n".join(lines) + "\n"


def _write(value: Any, indent: str, lines: list[str]) -> None:
    if not value or not isinstance(value, dict | list):
        lines.append(f"{indent}{_flat(value)}")
    elif isinstance(value, dict):
        for key in sorted(value):
            _entry(f"{indent}{_quoted(key)}:", value[key], indent, lines)
    else:
        for element in value:
            start = len(lines)
            _write(element, f"{indent}  ", lines)
            lines[start] = f"{indent}- {lines[start][len(indent) + 2 :]}"


def _entry(start: str, value: Any, indent: str, lines: list[str]) -> None:
    if value and isinstance(value, dict | list):
        lines.append(start)
        _write(value, f"{indent}  ", lines)
    else:
        lines.append(f"{start} {_flat(value)}")


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    # JSON writes null, bools, integers and empty collections as YAML does.
    return json.dumps(value)


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    # Unseen characters are never bare, and within double quotes YAML reads the escapes of safe() as it writes them.
    return safe(quote_if_needed(text))
