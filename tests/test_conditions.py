"""docs/conditions.md has a row for every condition, and names nothing that is not there."""

from __future__ import annotations

import re

from conftest import ROOT

from graphsec.query import _saved
from graphsec.query._asks import RbacLintParameters
from graphsec.query.overprivileged import Overprivileged
from graphsec.query.rbac_lint import CHECKS

ROWS = dict(re.findall(r"^\| ([EXH]\d+) \| (.+) \|$", (ROOT / "docs" / "conditions.md").read_text(), re.MULTILINE))
QUERIES = _saved.load_queries([_saved.builtin_directory()])


def test_every_condition_has_its_row() -> None:
    wanted = [f"{table}{number}" for table, last in (("E", 30), ("X", 10), ("H", 13)) for number in range(1, last + 1)]
    assert list(ROWS) == wanted


def test_what_a_row_names_is_there() -> None:
    known = {query.id for query in QUERIES} | {rule.id for rule in Overprivileged().rules()}
    named = {name for row in ROWS.values() for name in re.findall(r"GS-[QO]-\d+", row)}
    assert named <= known
    assert all(row.startswith(("GS-", "Outside: ")) for row in ROWS.values())


def test_every_check_of_lint_is_asked_by_a_query_of_its_condition() -> None:
    asked = {
        name: query.id
        for query in QUERIES
        if isinstance(query.parameters, RbacLintParameters)
        for name in query.parameters.checks
    }
    assert {check.id for check in CHECKS if asked.get(check.id, "none") not in ROWS[check.condition]} == set()
