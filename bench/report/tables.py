"""The summary table of a run: one row a method, averaged over its subjects, with a row a cell under it.

The HTML report, the terminal, Markdown and CSV all show these rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench.records import CellKey
from bench.report.data import Cell, CellStatus, Run, load
from bench.report.values import Column, Value, cell_values, columns, missing, pick

if TYPE_CHECKING:
    from rich.table import Table

REFERENCE = "reference"
"""``Record.kind`` of a method with a known answer: shown apart and never best."""


@dataclass(frozen=True)
class Row:
    """A method's mean over subjects (``key`` is None), or one cell of it."""

    method: str
    kind: str
    canvas: str
    values: Mapping[str, Value]
    """By :attr:`Column.key`."""
    key: CellKey | None = None
    status: CellStatus = "ok"
    error: str | None = None
    children: tuple[Row, ...] = field(default=(), repr=False)

    @property
    def is_reference(self) -> bool:
        """Whether the method is a floor or a ceiling."""
        return self.kind == REFERENCE

    @property
    def counts(self) -> tuple[int, int]:
        """(cells that may be used, cells planned)"""
        rows = self.children or (self,)
        return sum(row.status == "ok" for row in rows), len(rows)

    @property
    def has_numbers(self) -> bool:
        """Whether there is anything to show: a single invalid cell still has its other measures, a mean over such has not."""
        return self.status == "ok" or (self.status == "invalid" and len(self.children) < 2)

    def coverage(self, shown: Sequence[Column]) -> str:
        """``300/300``, with the measures that scored fewer frames named: ``300/300, LMD 278``."""
        found = {c.title: n for c in shown if c.group and (n := self.values[c.key].n)[1]}
        if not found:
            return "—"
        most, expected = max(found.values())
        fewer = [f"{title} {n}" for title, (n, _) in found.items() if n < most]
        return ", ".join([f"{most}/{expected}", *fewer])


@dataclass(frozen=True)
class Summary:
    """Rows and the columns that they fill."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def section(self, name: str) -> list[Column]:
        """The columns of ``main``, ``regions`` or ``timing``."""
        return [column for column in self.columns if column.section == name]

    @property
    def canvases(self) -> list[str]:
        """The canvases of methods that were trained: more than one means that not all of them are like for like."""
        return list(dict.fromkeys(row.canvas for row in self.rows if row.canvas and not row.is_reference))

    def signatures(self, column: Column) -> list[str]:
        """The full signatures, canvas included, of a column's values."""
        rows = [each for row in self.rows for each in (row, *row.children)]
        return list(dict.fromkeys(v.signature for row in rows if (v := row.values[column.key]).signature))


def summarize(run: Run) -> Summary:
    """The summary table; trained methods first, then floors and ceilings, each in the order of the plan."""
    shown = columns(run.cells)
    rows = [_method(run, label, shown) for label in run.methods]
    rows.sort(key=lambda row: row.is_reference)
    return Summary(tuple(shown), tuple(_mark_best(rows, shown)))


def summary_rows(run: Path) -> list[Row]:
    """Rows of the summary table of a run folder.

    Raises:
        RecordError: ``run`` is not a run folder.
    """
    return list(summarize(load(run)).rows)


def _method(run: Run, label: str, shown: Sequence[Column]) -> Row:
    children = tuple(_cell(cell, label, shown) for cell in run.cells if run.label(cell.key) == label)
    kind = next((row.kind for row in children if row.kind), "")
    canvas = " / ".join(dict.fromkeys(row.canvas for row in children if row.canvas))
    values = {column.key: _mean(children, column) for column in shown}
    usable = any(row.status == "ok" for row in children)
    # A failure among other cells is told in its own row.
    error = None if usable else children[0].error
    return Row(label, kind, canvas, values, None, "ok" if usable else children[0].status, error, children)


def _cell(cell: Cell, label: str, shown: Sequence[Column]) -> Row:
    found = cell_values(cell)
    values = {column.key: pick(found, column) or missing(cell) for column in shown}
    record = cell.record
    kind, canvas = (record.kind, record.canvas) if record else ("", "")
    return Row(label, kind, canvas, values, cell.key, cell.status, cell.error)


def _mean(rows: Sequence[Row], column: Column) -> Value:
    """Mean over subjects of the mean over seeds; a value only where all the cells that may be used have one alike."""
    values = [row.values[column.key] for row in rows]
    if len(values) == 1:
        return values[0]
    usable = [value for row, value in zip(rows, values, strict=True) if row.status == "ok"]
    n = (sum(v.n[0] for v in usable), sum(v.n[1] for v in usable))
    if not usable:
        return Value(state=rows[0].status, reason=rows[0].error)
    if all(value.state == "identical" for value in usable):
        return replace(usable[0], n=n)
    if any(value.state == "identical" for value in usable):
        same = sum(value.state == "identical" for value in usable)
        return Value(
            reason=f"identical in {same} of {len(usable)} cells, so the mean is infinite; see them one by one", n=n
        )
    if bad := next((value for value in usable if value.value is None), None):
        return Value(state=bad.state, reason=bad.reason, n=n)
    if len({value.signature for value in usable}) > 1:
        return Value(reason="its cells were measured in different ways or on different machines", n=n)
    pairs = ((row.key.subject, row.values[column.key].value) for row in rows if row.key and row.status == "ok")
    return Value(_balanced_mean(pairs), "ok", signature=usable[0].signature, n=n)


def _balanced_mean(pairs: Iterable[tuple[str, float | None]]) -> float:
    """Mean over subjects of the mean over a subject's values, so that a subject with more seeds weighs no more."""
    ordered = sorted(((subject, value) for subject, value in pairs if value is not None), key=lambda pair: pair[0])
    return fmean(fmean(v for _, v in group) for _, group in groupby(ordered, key=lambda pair: pair[0]))


def _mark_best(rows: Sequence[Row], shown: Sequence[Column]) -> list[Row]:
    """Mark the best of each column among complete rows of trained methods that were measured alike, canvas included."""
    marked = [dict(row.values) for row in rows]
    for column in (c for c in shown if c.higher is not None):
        rivals: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            value = row.values[column.key]
            whole = row.counts[0] == row.counts[1]
            if not row.is_reference and whole and value.state == "ok" and value.value is not None:
                rivals.setdefault(value.signature, []).append(index)
        for group in (g for g in rivals.values() if len(g) > 1):
            numbers = {index: rows[index].values[column.key].value or 0.0 for index in group}
            top = (max if column.higher else min)(numbers.values())
            for index in (i for i, number in numbers.items() if column.number(number) == column.number(top)):
                marked[index][column.key] = replace(marked[index][column.key], best=True)
    return [replace(row, values=values) for row, values in zip(rows, marked, strict=True)]


def to_summary(run: Path) -> list[dict[str, Any]]:
    """The means of a run folder as strict JSON values; an infinite PSNR is a state, not a number."""
    summary = summarize(load(run))
    return [
        {
            "method": row.method,
            "kind": row.kind,
            "canvas": row.canvas,
            "status": row.status,
            "error": row.error,
            "cells": row.counts,
            "values": {
                column.key: {
                    k: getattr(row.values[column.key], k)
                    for k in ("value", "state", "reason", "signature", "n", "best")
                }
                for column in summary.columns
            },
        }
        for row in summary.rows
    ]


def _with_subjects(rows: Iterable[Row]) -> Iterator[tuple[Row, str]]:
    """Each method's rows subject by subject, then its mean, with what to put under ``subject``."""
    for row in rows:
        if len(row.children) > 1:
            yield from ((child, _subject(child)) for child in row.children)
            yield row, "mean"
        else:
            yield row, _subject(row.children[0]) if row.children else "—"


def _subject(row: Row) -> str:
    assert row.key is not None
    return f"{row.key.subject} (seed {row.key.seed})" if row.key.seed else row.key.subject


def to_markdown(run: Path) -> str:
    """The summary of a run folder as a Markdown table."""
    summary = summarize(load(run))
    shown = summary.section("main")
    head = ["method", "subject", *(_title(column) for column in shown), "frames", "canvas"]
    lines = [head, ["---", "---", *("---:" for _ in shown), "---:", "---"]]
    for row, subject in _with_subjects(summary.rows):
        pairs = [(column, row.values[column.key]) for column in shown]
        texts = [f"**{column.text(value)}**" if value.best else column.text(value) for column, value in pairs]
        if row.status != "ok":
            texts = [row.status] * len(shown)
        lines.append([row.method, subject, *texts, row.coverage(shown), row.canvas or "—"])
    return "".join(f"| {' | '.join(_markdown(text) for text in line)} |\n" for line in lines)


def to_csv(run: Path) -> str:
    """Means and cells of a run folder as CSV with unrounded values, their states and signatures."""
    summary = summarize(load(run))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["level", "method", "kind", "canvas", "subject", "preset", "seed", "status", "error"]
        + [f"{column.key}{part}" for column in summary.columns for part in ("", "_state", "_signature", "_n", "_of")]
    )
    for row in (each for parent in summary.rows for each in (parent, *parent.children)):
        key = row.key
        name = [key.subject, key.preset, key.seed] if key else ["", "", ""]
        cells = [_csv(row.values[column.key]) for column in summary.columns]
        facts = ["cell" if key else "mean", row.method, row.kind, row.canvas, *name, row.status, row.error or ""]
        writer.writerow(facts + [part for cell in cells for part in cell])
    return out.getvalue()


def to_rich(run: Path) -> Table:
    """The summary of a run folder as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    summary = summarize(load(run))
    shown = [c for c in summary.section("main") if any(row.values[c.key].value is not None for row in summary.rows)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", overflow="fold", min_width=15)
    table.add_column("subject", overflow="fold")
    for column in shown:
        table.add_column(_title(column).replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("frames", justify="right", min_width=7)
    table.add_column("canvas", overflow="fold", min_width=10)
    for row, subject in _with_subjects(summary.rows):
        last = subject == "mean"
        if row.status != "ok":
            table.add_row(Text(row.method), Text(subject), Text(row.status, "red" if row.error else "dim"))
            continue
        pairs = [(column, row.values[column.key]) for column in shown]
        texts = [Text(column.text(value).split(" ")[0], "bold" if value.best else "") for column, value in pairs]
        style = "dim" if row.is_reference and not last else ""
        names = Text(row.method), Text(subject)
        table.add_row(*names, *texts, row.coverage(shown), Text(row.canvas or "—"), style=style, end_section=last)
    return table


def _title(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.title}{column.arrow}{unit}"


def _markdown(text: str) -> str:
    for special in "\\|<>[]`":
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())


def _csv(value: Value) -> list[object]:
    number = "inf" if value.state == "identical" else value.value
    return ["" if number is None else number, value.state, value.signature, *value.n]
