"""A comparison of two runs as a page, as JSON values, and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.paths import file_name, write_text
from bench.report.charts import Scale, Tick
from bench.report.comparison import ComparedRow, Comparison
from bench.report.deltas import Delta
from bench.report.html import TABLES, render_page
from bench.report.page import facts
from bench.report.paper_text import delta_parts
from bench.report.values import Column

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

NOTE = (
    "Each method: B less A over the same subjects, seeds and frames, with a 95 % interval (paired block bootstrap); below it A → B. "
    "Bold: p ≤ 0.05, adjusted over all methods of a column (Holm). Times are measured once and have no interval."
)


def verdict(column: Column, delta: Delta) -> Literal["better", "worse", ""]:
    """What a difference that is more than chance means for B."""
    if not delta.is_significant or not delta.value or column.higher is None:
        return ""
    return "better" if (delta.value > 0) == column.higher else "worse"


def to_values(found: Comparison) -> dict[str, Any]:
    """Strict JSON values."""
    return {
        "a": str(found.a.path),
        "b": str(found.b.path),
        "rows": [_row_values(row, found.columns) for row in found.rows],
        "notes": list(found.notes),
    }


def notes(found: Comparison) -> list[str]:
    """What has to be said below the table: how it is taken, what is missing in it and why, and what was not compared."""
    reasons: dict[str, list[str]] = {}
    for row in found.rows:
        for column in found.columns:
            delta = row.deltas[column.key]
            if delta.reason and not column.is_cost:
                reasons.setdefault(f"{row.title}: {delta.reason}", []).append(column.title)
    return [NOTE, *(f"{reason} ({', '.join(titles)})" for reason, titles in reasons.items()), *found.notes]


def _row_values(row: ComparedRow, columns: Sequence[Column]) -> dict[str, Any]:
    values = {
        column.key: {"a": row.values[column.key][0].value, "b": row.values[column.key][1].value}
        | {"signature": column.group, "verdict": verdict(column, row.deltas[column.key])}
        | {"delta": asdict(row.deltas[column.key])}
        for column in columns
    }
    cells = [_row_values(child, columns) for child in row.children]
    return {"title": row.title, "values": values, "cells": cells}


def to_rich(found: Comparison) -> list[RenderableType]:
    """The table for a terminal, and what has to be said below it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("method", overflow="fold")
    for column in found.columns:
        unit = f" ({column.unit})" if column.unit else ""
        table.add_column(Text(f"{column.title}{column.arrow}{unit}"), justify="right")
    for row in found.rows:
        table.add_row(Text(row.title), *(_rich_cell(column, row) for column in found.columns), end_section=True)
    head = Text(f"A: {found.a.path}\nB: {found.b.path}", "dim")
    return [head, table, *(Text(note, "dim") for note in notes(found))]


def _rich_cell(column: Column, row: ComparedRow) -> Text:
    from rich.text import Text

    delta = row.deltas[column.key]
    number, rest = delta_parts(column, delta)
    style = {"better": "bold green", "worse": "bold red", "": ""}[verdict(column, delta)]
    text = Text(number, style)
    if delta.ci95:
        text.append("\n" + rest.replace("], ", "]\n"), "dim")
    return text.append("\n" + pair_text(column, row), "dim")


def pair_text(column: Column, row: ComparedRow) -> str:
    """``26.92 → 27.30``"""
    return " → ".join(column.text(value) for value in row.values[column.key])


@dataclass(frozen=True)
class Interval:
    """A difference in a plot; positions in percent of its width."""

    title: str
    is_reference: bool
    verdict: str
    at: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Forest:
    """The differences of one measure, a line a method."""

    title: str
    lines: tuple[Interval, ...]
    zero: float
    ticks: tuple[Tick, ...]


def forests(found: Comparison) -> Iterator[Forest]:
    """One for each measure that has an interval, unless all of them are 0."""
    for column in found.columns:
        bounds = [bound * column.scale for row in found.rows for bound in row.deltas[column.key].ci95 or ()]
        if not any(bounds):
            continue
        scale = Scale.around([0.0, *bounds])
        lines = (_interval(row, column, scale) for row in found.rows)
        unit = f", {column.unit}" if column.unit else ""
        title = f"{column.title}{column.arrow}{unit}"
        yield Forest(title, tuple(line for line in lines if line), scale.at(0.0), tuple(scale.ticks()))


def _interval(row: ComparedRow, column: Column, scale: Scale) -> Interval | None:
    delta = row.deltas[column.key]
    if delta.value is None or delta.ci95 is None:
        return None
    at, low, high = (scale.at(number * column.scale) for number in (delta.value, *delta.ci95))
    text = " ".join(delta_parts(column, delta))
    return Interval(row.title, row.is_reference, verdict(column, delta), at, low, high, text)


def build(found: Comparison, out: Path | None = None) -> Path:
    """Write the page, to ``report/compare/<A>.html`` of B unless told otherwise, and return its path."""
    path = out or found.b.path / "report" / "compare" / file_name(f"{found.a.path.resolve().name}.html")
    runs = [
        (name, run.path.resolve().name, facts(run), run.plan.command) for name, run in (("A", found.a), ("B", found.b))
    ]
    page = render_page(
        "compare.html.j2",
        TABLES,
        found=found,
        runs=runs,
        notes=notes(found),
        forests=list(forests(found)),
        verdict=verdict,
        delta_parts=delta_parts,
        pair_text=pair_text,
    )
    write_text(path, page)
    return path
