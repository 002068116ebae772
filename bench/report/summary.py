"""Summarizes a run: the rows that the HTML report, the terminal, Markdown and CSV all show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from bench.report.data import Cell, Run, load
from bench.report.rows import Row, Summary
from bench.report.uncertainty import with_uncertainty
from bench.report.values import Column, Value, cell_values, columns, missing, pick


def summarize(run: Run) -> Summary:
    """The summary; trained methods first, then floors and ceilings, each in the order of the plan."""
    shown = columns(run.cells)
    rows = [_method(run, label, shown) for label in run.methods]
    rows.sort(key=lambda row: row.is_reference)
    cells = {cell.key.name: cell for cell in run.cells}
    return Summary(tuple(shown), tuple(with_uncertainty(rows, shown, cells)))


def summary_rows(run: Path) -> list[Row]:
    """Rows of the summary table of a run folder.

    Raises:
        RecordError: ``run`` is not a run folder.
    """
    return list(summarize(load(run)).rows)


def _method(run: Run, label: str, shown: Sequence[Column]) -> Row:
    return mean_row(
        label, tuple(_cell(cell, label, shown) for cell in run.cells if run.label(cell.key) == label), shown
    )


def mean_row(label: str, children: tuple[Row, ...], shown: Sequence[Column]) -> Row:
    """The mean of rows of one method."""
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
        of = [(row.stands_for, row.values[column.key].state == "identical") for row in rows if row.status == "ok"]
        same = f"{sum(cells for cells, identical in of if identical)} of {sum(cells for cells, _ in of)} cells"
        return Value(reason=f"identical in {same}, so the mean is infinite; see them one by one", n=n)
    if bad := next((value for value in usable if value.value is None), None):
        return Value(state=bad.state, reason=bad.reason, n=n)
    if len({value.signature for value in usable}) > 1:
        return Value(reason="its cells were measured in different ways or on different machines", n=n)
    parts = (
        (row.key.subject, row.values[column.key].value, row.stands_for)
        for row in rows
        if row.key and row.status == "ok"
    )
    return Value(_balanced_mean(parts), "ok", signature=usable[0].signature, n=n)


def _balanced_mean(parts: Iterable[tuple[str, float | None, int]]) -> float:
    """Mean over subjects of the mean over a subject's values, so that a subject with more seeds weighs no more.

    :param parts: subject, value, and how many cells it is the mean of
    """
    by_subject: dict[str, list[tuple[float, int]]] = {}
    for subject, value, cells in parts:
        if value is not None:
            by_subject.setdefault(subject, []).append((value, cells))
    return fmean(fmean(*zip(*by_subject[subject], strict=True)) for subject in sorted(by_subject))
