"""The kinds that are decoded, by (group, kind). A new kind is one ``Kind`` in a module here."""

from __future__ import annotations

import sys
from functools import cache

from graphsec.discover import constants
from graphsec.kinds._kind import InvalidError, Kind

__all__ = ["InvalidError", "Kind", "kinds"]


@cache
def kinds() -> dict[tuple[str, str], Kind]:
    """Every decoded kind by (group, kind), old groups included."""
    found = constants(sys.modules[__name__], "KINDS", Kind)
    return {(group, kind.kind): kind for kind in found for group in kind.groups}
