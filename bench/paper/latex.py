"""A grid as a LaTeX table (booktabs, siunitx)."""

from __future__ import annotations

from bench.paper.tables import Entry, Grid
from bench.paper.tex import Tex, numbers, render

_MANY = 9
"""Columns from which on they stand closer."""


def to_latex(grid: Grid) -> str:
    """``table*`` with the grid's notes and signatures below it; needs the kit's preamble."""
    close = grid.columns >= _MANY
    tabcolsep = "3pt" if close else "5pt"
    return render("table.tex.j2", grid=grid, cell=_cell, rules=_rules(grid), tabcolsep=tabcolsep)


def _cell(entry: Entry) -> Tex:
    text = numbers(entry.text)
    return Tex(rf"\{entry.mark}{{{text}}}") if entry.mark else text


def _rules(grid: Grid) -> Tex:
    """Under each group of columns."""
    found, column = [], 2
    for head in grid.heads:
        end = column + len(head.columns) - 1
        found += [rf"\cmidrule(lr){{{column}-{end}}}"] if end > column else []
        column = end + 1
    return Tex(" ".join(found))
