"""What a YAML scalar means to kubectl (go-yaml v2.4.3)."""

from __future__ import annotations

import base64
import math
import re
import struct
from decimal import Decimal
from typing import Final

from graphsec.algebra.yaml_quoting import quote_if_needed as quote_if_needed  # noqa: PLC0414 - exported

_NAMED: Final[dict[str, bool | float | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}

_NUMBER_STARTS: Final = frozenset("+-.0123456789")

#: An unquoted scalar that starts with none of these means its own text.
TELLING_STARTS: Final = _NUMBER_STARTS | {name[:1] for name in _NAMED}

#: Go's integer literals, tried after every underscore is gone. `089` is none of them, and so the float 89.
_INTEGER: Final = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))",
    re.ASCII,
)
_BASES: Final = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
#: go-yaml strips `0b` by hand as a last resort, and thereby lets a sign stand behind it.
_SIGNED_BINARY: Final = re.compile(r"0b(?P<value>[+-][01]{1,63})")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
#: Only a number that starts with its point goes to Go's own parser as it stands, underscores included.
_POINT_FLOAT: Final = re.compile(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")
_TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}\S*)?")

_CORE: Final = "tag:yaml.org,2002:"
_TYPED_TAGS: Final[dict[str, type]] = {
    _CORE + "null": type(None),
    _CORE + "bool": bool,
    _CORE + "int": int,
    _CORE + "float": float,
}


def resolve_plain(text: str) -> object:
    """The value of an unquoted scalar: None, a bool, an int, a float (perhaps not finite) or the text itself."""
    if text in _NAMED:
        return _NAMED[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if text[0] == ".":
        return _finite(text) if _POINT_FLOAT.fullmatch(text) else text
    stripped = text.replace("_", "")
    integer = _integer(stripped)
    if integer is not None:
        return integer
    number = _finite(stripped) if _FLOAT.fullmatch(stripped) else stripped
    return number if isinstance(number, float) else text


def _integer(text: str) -> int | None:
    if signed := _SIGNED_BINARY.fullmatch(text):
        return int(signed["value"], 2)
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    base = match.lastgroup or "dec"
    # Past 64 bits it is no integer anyway, and Python is slow at long decimals or refuses them.
    if base == "dec" and len(match[base]) > 20:
        return None
    value = int(match["sign"] + match[base], _BASES[base])
    # Beyond int64 go-yaml tries uint64, which takes no sign.
    largest = 2**63 if match["sign"] else 2**64
    return value if -(2**63) <= value < largest else None


def _finite(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def is_core_tag(tag: str) -> bool:
    """Whether ``tag`` is one that kubectl takes as a hint on a scalar; ``!`` alone means a string."""
    return tag in {"!", _CORE + "str", _CORE + "binary", _CORE + "timestamp"} or tag in _TYPED_TAGS


def is_collection_tag(tag: str) -> bool:
    return tag in {"!", _CORE + "map", _CORE + "seq"}


def is_merge_tag(tag: str | None) -> bool:
    return tag == _CORE + "merge"


def resolve_tagged(tag: str, text: str) -> object:
    """The value of a scalar with a core tag. ValueError where kubectl refuses it."""
    if tag == _CORE + "binary":
        return _from_base64(text)
    if tag == _CORE + "timestamp":
        if not _TIMESTAMP.fullmatch(text):
            raise ValueError("the text under `!!timestamp` is none")
        return text
    if tag not in _TYPED_TAGS:
        return text
    wanted, value = _TYPED_TAGS[tag], resolve_plain(text)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        # The text stays out of the message: it may be the value of a Secret.
        raise ValueError(f"the text is not what its tag `!!{tag.removeprefix(_CORE)}` says")
    return value


def _from_base64(text: str) -> str:
    try:
        # Go's JSON encoder replaces what is not UTF-8, and so do we.
        return base64.b64decode(text.replace("\n", ""), validate=True).decode("utf-8", "replace")
    except ValueError:
        raise ValueError("`!!binary` with text that is not base64") from None


def json_value(value: object) -> object:
    """``value``, if JSON can hold it; kubectl converts to JSON and fails on the rest."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("infinity and not-a-number have no place in JSON")
    return value


def json_key(value: object) -> str:
    """The JSON object key that kubectl makes of a scalar key."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() if value < 2**63:
            return str(value)
        case float():
            return _go_float32(value)
    raise ValueError("a mapping key must be a string, a bool or a number of 64 bits")


def _go_float32(value: float) -> str:
    """Go's ``FormatFloat(value, 'g', -1, 32)``: the shortest digits that name the same 32-bit float."""
    if math.isnan(value):
        return ".nan"
    try:
        (single,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    digits = next(text for text in (f"{single:.{places}e}" for places in range(9)) if _same_float32(text, single))
    mantissa, _, exponent = digits.partition("e")
    if -4 <= int(exponent) < 6:
        return f"{Decimal(digits):f}"
    return f"{mantissa}e{int(exponent):+03d}"


def _same_float32(text: str, single: float) -> bool:
    return bool(struct.unpack("f", struct.pack("f", float(text)))[0] == single)


def shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
