"""Answers as CSV (RFC 4180) with the wide columns, in which no cell starts a formula or hides a character."""

from __future__ import annotations

import csv
import io
from typing import Any

from graphsec.model.text import safe
from graphsec.query._answer import Answer
from graphsec.render._renderer import Options, Renderer

#: Spreadsheets take a cell that starts with one of these for a formula, full-width forms included.
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")


def _csv(answer: Answer[Any], options: Options) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    cell = safe if options.raw_csv else _guarded
    table = answer.table(wide=True)
    writer.writerow(map(cell, table.columns))
    writer.writerows(map(cell, row) for row in table.rows())
    return text.getvalue()


def _guarded(text: str) -> str:
    # The dash that stands for nothing is no formula.
    return f"'{safe(text)}" if text.startswith(_FORMULA_STARTS) and text != "-" else safe(text)


RENDERER = Renderer(
    name="csv", suffix=".csv", help="wide columns for spreadsheets, guarded against formulas", render=_csv
)
