"""The tables of a paper as grids: what stands where, before it is LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from bench.metrics import METRICS
from bench.report.ablation import Ablation
from bench.report.overview import Overview
from bench.report.paper_table import NONE, Measure, PaperTable
from bench.report.paper_text import delta_notes, delta_parts, delta_title
from bench.report.rows import Row, Summary
from bench.report.uncertainty import like_for_like
from bench.report.values import Column, Value

Mark = Literal["", "best", "second", "tie"]
INTERVALS = (
    "± is half the width of the 95 % interval (block bootstrap over time). Bold: better than every rival drawn over the same "
    "canvas by more than chance; underlined: second to it; ≈: not told apart from the best."
)
PAPER_MARKS = "The paper's numbers: bold best, underlined second, as printed values are ordered; the two sides are not ranked together."


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str
    below: str = ""
    """A second, smaller line: ``±0.41``."""
    mark: Mark = ""


@dataclass(frozen=True)
class Head:
    """A group of columns: a measure."""

    title: str
    """``PSNR↑ (dB)``"""
    columns: tuple[str, ...]
    """Sub-headings, one a column; a single empty one for none."""


@dataclass(frozen=True)
class GridRow:
    """One line."""

    title: str
    label: str
    """In small letters beside the title, where it says more."""
    entries: tuple[Entry, ...]
    new_group: bool = False
    """Whether a rule separates it from the line above."""


@dataclass(frozen=True)
class Grid:
    """A table."""

    name: str
    """Of its files and label: ``table-1``."""
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[GridRow, ...]
    notes: tuple[str, ...]
    signatures: tuple[str, ...] = field(default=())

    @property
    def columns(self) -> int:
        """Columns of numbers."""
        return sum(len(head.columns) for head in self.heads)

    @property
    def has_sub_heads(self) -> bool:
        """Whether the head has a second line."""
        return any(text for head in self.heads for text in head.columns)


def grids(overview: Overview) -> list[Grid]:
    """All tables that the run has numbers for: the whole run, then the paper's with ours beside them."""
    found = [results(overview.summary)]
    if overview.table_1:
        found.append(_paper_grid("table-1", overview.table_1, overview.summary))
    for index, view in enumerate(overview.ablations):
        suffix = f"-{index + 1}" if index else ""
        found += [_paper_grid(f"table-2{suffix}", view.table, overview.summary), _deltas(f"deltas{suffix}", view)]
    return found


def results(summary: Summary) -> Grid:
    """Every method, floors and ceilings below a rule, with what each was drawn over."""
    shown = [c for c in summary.section("main") if any(row.values[c.key].value is not None for row in summary.rows)]
    rows = [row for row in summary.rows if row.has_numbers]
    letters = {canvas: chr(ord("a") + i) for i, canvas in enumerate(dict.fromkeys(row.canvas for row in rows))}
    marks = {column.key: second_best(rows, column) for column in shown}
    lines: list[GridRow] = []
    for row in rows:
        entries = tuple(_entry(column, row.values[column.key], marks[column.key].get(row.method)) for column in shown)
        first_reference = row.is_reference and 0 < len(lines) == sum(not each.is_reference for each in rows)
        lines.append(GridRow(row.method, f"({letters[row.canvas]})", entries, first_reference))
    canvases = "; ".join(f"({letter}) {canvas or 'not stated'}" for canvas, letter in letters.items())
    gone = [
        f"{row.method}: {row.status}, {row.error or 'no reason stated'}" for row in summary.rows if not row.has_numbers
    ]
    return Grid(
        "results",
        "All methods of the run, mean over subjects, with floors and ceilings below the rule.",
        tuple(Head(_title(column), ("",)) for column in shown),
        tuple(lines),
        (INTERVALS, f"Drawn over: {canvases}.", *gone, *summary.splits),
        tuple(f"{column.title}: {text}" for column in shown if column.group for text in summary.signatures(column)),
    )


def second_best(rows: Sequence[Row], column: Column) -> dict[str, Mark]:
    """Who is second where somebody is significantly best, among the methods that may be ranked with it."""
    found: dict[str, Mark] = {}
    for first in (row for row in rows if row.values[column.key].mark == "best"):
        rivals = [
            (value, row.method) for row in rows
            if row is not first and not row.is_reference and (value := row.values[column.key].value) is not None
            and like_for_like(row, column) == like_for_like(first, column)
        ]  # fmt: skip
        if len(rivals) > 1:
            found[(max if column.higher else min)(rivals)[1]] = "second"
    return found


def _entry(column: Column, value: Value, mark: Mark | None = None) -> Entry:
    if value.value is None:
        return Entry("∞" if value.state == "identical" else NONE)
    spread = column.number((value.ci95[1] - value.ci95[0]) / 2) if value.ci95 else ""
    return Entry(column.number(value.value), f"±{spread}" if spread else "", value.mark or mark or "")


def _title(column: Column) -> str:
    return f"{column.title}{column.arrow}" + (f" ({column.unit})" if column.unit else "")


def _paper_grid(name: str, view: PaperTable, summary: Summary) -> Grid:
    published, rows = view.published, [line.ours for line in view.lines if line.ours]
    heads = tuple(_paper_head(view, measure) for measure in view.measures)
    seconds = {c.key: second_best(rows, c) for m in view.measures for c in m.columns}
    theirs = {measure.field: _paper_marks(view, measure) for measure in view.measures}
    lines = []
    for line in view.lines:
        entries: list[Entry] = []
        for measure in view.measures:
            if published:
                text = line.paper_text(measure)
                entries.append(Entry(text, mark=theirs[measure.field].get(text, "")))
            entries += (_entry(c, line.value(c), seconds[c.key].get(line.label)) for c in measure.columns)
        lines.append(
            GridRow(line.title, line.label if line.label.lower() != line.title.lower() else "", tuple(entries))
        )
    missing = [f"Missing: {gap.label}, {gap.reason}." for gap in view.gaps]
    marks = (PAPER_MARKS,) if published else ()
    notes = (INTERVALS, *marks, *(_sentence(note) for note in view.notes), *missing)
    caption = f"{view.title} of the paper ({published.setting}) with this run beside it" if published else view.title
    return Grid(name, f"{caption}.", heads, tuple(lines), notes, tuple(view.signatures))


def _paper_head(view: PaperTable, measure: Measure) -> Head:
    marks = [" ".join(filter(None, ("ours", c.key.partition(" ")[2]))) for c in measure.columns]
    units = list(dict.fromkeys([measure.paper_unit] * bool(view.published) + [c.unit for c in measure.columns]))
    if len(units) == 1:  # one unit for both sides stands in the title
        unit = f" ({units[0]})" if units[0] else ""
        return Head(measure.title + unit, (*(["paper"] if view.published else []), *marks))
    whose = [f"{mark} ({c.unit})" if c.unit else mark for mark, c in zip(marks, measure.columns, strict=True)]
    paper = f"paper ({measure.paper_unit})" if measure.paper_unit else "paper"
    return Head(measure.title, (*([paper] if view.published else []), *whose))


def _paper_marks(view: PaperTable, measure: Measure) -> Mapping[str, Mark]:
    """The paper's best and second value of a column, as they are printed."""
    papers = [value for line in view.lines if isinstance(value := getattr(line.paper, measure.field, None), Decimal)]
    ordered = sorted(set(papers), reverse=_higher(measure))
    return {str(value): mark for value, mark in zip(ordered, ("best", "second"), strict=False)}  # type: ignore[misc]


def _higher(measure: Measure) -> bool:
    metric = METRICS.get(measure.field)
    return metric.higher_is_better if metric else measure.field == "fps"


def _deltas(name: str, view: Ablation) -> Grid:
    rows = []
    for row in view.rows:
        entries = []
        for column in view.columns:
            delta = row.deltas[column.key]
            value, how = delta_parts(column, delta)
            entries.append(
                Entry(
                    value, how.partition("], ")[0] + "]" if delta.ci95 else "", "best" if delta.is_significant else ""
                )
            )
        rows.append(GridRow(row.title, row.label, tuple(entries)))
    heads = tuple(Head(_title(column), ("",)) for column in view.columns)
    notes = tuple(_sentence(note) for note in delta_notes(view))
    return Grid(name, f"{delta_title(view)}.", heads, tuple(rows), notes)


def _sentence(text: str) -> str:
    return text.rstrip(".") + "."


def usable(summary: Summary) -> Iterator[Row]:
    """Trained methods with numbers."""
    return (row for row in summary.rows if row.status == "ok" and not row.is_reference)
