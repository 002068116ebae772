"""The summary of a run of very many cells, from its index alone: a row a method, below it a row a subject over all its seeds.

Cells that differ in nothing but their numbers are averaged at once; those of one subject that were measured in different ways,
or stand differently, are put together as cells are in the usual summary. What needs the frames of each cell is not there:
intervals, and what is best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from bench import collecting
from bench.report.ablation import Ablation, ablations
from bench.report.data import Cell, Run
from bench.report.overview import Overview
from bench.report.paper_table import PaperTable
from bench.report.rows import Row, Summary
from bench.report.summary import mean_row, summarize
from bench.report.values import Column, Value, cell_values, columns, missing, pick

_COSTS = {
    "train": "train_seconds",
    "memory": "peak_memory_bytes",
    "copied": "cell.copied",
    "p95": "cell.p95",
    "fps:end_to_end": "cell.end_to_end",
}
"""Columns of the index by :attr:`Column.key`, where they are called otherwise."""
_ALIKE = ["label", "subject", "status", "cell.ways"]


@dataclass(frozen=True)
class Condensed(Overview):
    """An overview of a run whose cells are too many to be shown one by one."""

    @property
    def is_condensed(self) -> bool:
        """Yes."""
        return True

    @cached_property
    def summary(self) -> Summary:
        """Means of methods and of their subjects."""
        with collecting.paused():
            return condense(self.run)

    @property
    def table_1(self) -> PaperTable | None:
        """Not there: it states the seeds and cells behind each number."""
        return None

    @cached_property
    def ablations(self) -> list[Ablation]:
        """Differences between variants, for which the frames of all cells are read."""
        return ablations(self.run, summarize(self.run))


def condense(run: Run) -> Summary:
    """The summary of ``run``, which has an index; trained methods first, each in the order of the plan."""
    frame = _usable(run)
    samples = {
        ways: run.cells[place] for ways, place in frame.groupby("cell.ways", sort=False)["place"].first().items()
    }
    shown = columns(list(samples.values()))
    parts: dict[str, dict[str, list[Row]]] = {label: {} for label in run.methods}
    for row in (*_means(run, frame, samples, shown), *_without_numbers(run, shown)):
        assert row.key
        parts[row.method].setdefault(row.key.subject, []).append(row)
    rows = [_method(label, subjects, shown) for label, subjects in parts.items()]
    rows.sort(key=lambda row: row.is_reference)
    return Summary(tuple(shown), tuple(rows))


def _method(label: str, subjects: Mapping[str, Sequence[Row]], shown: Sequence[Column]) -> Row:
    row = mean_row(label, tuple(part for parts in subjects.values() for part in parts), shown)
    below = (replace(mean_row(label, tuple(parts), shown), key=parts[0].key) for parts in subjects.values())
    return replace(row, children=tuple(below))


def _usable(run: Run) -> pd.DataFrame:
    """The index's rows of cells that have numbers, in the order of the run, with each cell's label and its place in the run."""
    assert run.index
    placed = [(place, cell) for place, cell in enumerate(run.cells) if cell.status in ("ok", "invalid")]
    rows = {folder: row for row, folder in enumerate(run.index.table["file.folder"].to_pylist())}
    frame = run.index.table.take([rows[cell.name] for _, cell in placed]).to_pandas()
    labels = pd.Series([run.label(cell.key) for _, cell in placed], dtype=object)
    return frame.assign(label=labels, place=[place for place, _ in placed])


def _means(run: Run, frame: pd.DataFrame, samples: Mapping[str, Cell], shown: Sequence[Column]) -> Iterator[Row]:
    """A row for each method, subject, state and way of measuring."""
    known = {ways: cell_values(cell) for ways, cell in samples.items()}
    told = {
        ways: {column.key: pick(known[ways], column) or missing(cell) for column in shown}
        for ways, cell in samples.items()
    }
    groups = frame.groupby(_ALIKE, sort=False)
    counted = [name for name in frame if name.endswith((".n", ".of"))]
    numbers = sorted({name for column in shown if (name := _number(column)) in frame})
    found = pd.concat([groups[numbers].mean(), groups[counted].sum(), groups["place"].agg(["first", "size"])], axis=1)
    for (label, _, status, ways), of in zip(found.index, found.to_dict("records"), strict=True):
        cell, size = run.cells[int(of["first"])], int(of["size"])
        sample = samples[ways].record
        assert sample
        values = {column.key: _value(column, told[ways][column.key], of) for column in shown}
        if status == "invalid" and size > 1:
            values = dict.fromkeys(values, Value(state="invalid", reason=cell.error))
        yield Row(label, sample.kind, sample.canvas, values, cell.key, status, cell.error, stands_for=size)


def _value(column: Column, sample: Value, of: Mapping[str, Any]) -> Value:
    """The mean in the place of the sample's own value."""
    scored, expected = (int(of.get(f"{column.measure}.{name}", 0)) if sample.n[1] else 0 for name in ("n", "of"))
    value = None if sample.value is None else float(of[_number(column)])
    return replace(sample, value=value, n=(scored, expected), ci95=None)


def _number(column: Column) -> str:
    """Where the index has a column's numbers."""
    key = column.key.partition(" (")[0]
    return f"cell.{key}" if key.startswith("train:") else _COSTS.get(key) or key.replace("@", "_")


def _without_numbers(run: Run, shown: Sequence[Column]) -> Iterator[Row]:
    """A row for each method, subject and state of cells that have none."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in run.cells:
        if cell.status not in ("ok", "invalid"):
            groups.setdefault((run.label(cell.key), cell.key.subject, cell.status), []).append(cell)
    for (label, *_), cells in groups.items():
        first = cells[0]
        values = dict.fromkeys((column.key for column in shown), missing(first))
        yield Row(label, "", "", values, first.key, first.status, first.error, stands_for=len(cells))
