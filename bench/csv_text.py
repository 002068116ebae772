"""CSV that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What spreadsheets take for the beginning of a formula, full-width forms included (OWASP, "CSV Injection")."""


def to_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines of cells; a text that a spreadsheet would run as a formula gets an apostrophe in front. Numbers stay numbers.

    >>> to_csv(["a", "b"], [["=HYPERLINK(1)", -1.5]])
    "a,b\\n'=HYPERLINK(1),-1.5\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_safe(cell) for cell in row] for row in (head, *rows))
    return out.getvalue()


def _safe(cell: object) -> object:
    if not isinstance(cell, str):
        return "" if cell is None else cell
    return f"'{cell}" if cell.lstrip(" \n").startswith(_STARTS_FORMULA) or cell.startswith(_STARTS_FORMULA) else cell
