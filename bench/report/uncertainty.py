"""Intervals of means, and which method of a column is best by more than chance (:mod:`bench.stats`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.errors import RecordError
from bench.metrics import METRICS
from bench.regions import SYNTHESISED
from bench.report.data import Cell
from bench.report.rows import Row
from bench.report.values import Column, Mark

if TYPE_CHECKING:
    import pandas as pd

Groups = dict[str, dict[int, NDArray[np.float64]]]
"""Per-frame series by subject and seed."""


def with_uncertainty(rows: Sequence[Row], columns: Sequence[Column], cells: Mapping[str, Cell]) -> list[Row]:
    """The rows with intervals of their means, and best values and ties marked.

    :param cells: the run's cells by name
    """
    tables = frame_tables(cells)
    marked = [dict(row.values) for row in rows]
    for column in columns:
        if column.higher is None or not column.group:
            continue
        series = {i: groups for i, row in enumerate(rows) if (groups := series_of(row, column, tables))}
        statistic = METRICS[column.measure].statistic
        for index, groups in series.items():
            value = marked[index][column.key]
            if value.state == "ok" and rows[index].children[1:]:
                found = stats.mean_interval(groups, statistic)
                marked[index][column.key] = replace(value, ci95=_bounds(found))
        for index, mark in _ranked(rows, series, column, statistic).items():
            marked[index][column.key] = replace(marked[index][column.key], mark=mark)
    return [replace(row, values=values) for row, values in zip(rows, marked, strict=True)]


def _bounds(interval: stats.Interval) -> tuple[float, float] | None:
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)


def _ranked(
    rows: Sequence[Row], series: Mapping[int, Groups], column: Column, statistic: stats.Statistic
) -> dict[int, Mark]:
    """``best`` or ``tie`` by row, among complete rows of trained methods that were measured alike."""
    if column.region == SYNTHESISED:  # each method's own pixels: nothing that could be ranked
        return {}
    rivals: dict[str, dict[str, Groups]] = {}
    for index, groups in series.items():
        row = rows[index]
        whole = row.counts[0] == row.counts[1]
        if not row.is_reference and whole and row.values[column.key].state == "ok":
            rivals.setdefault(like_for_like(row, column), {})[str(index)] = groups
    marks: dict[int, Mark] = {}
    for group in (g for g in rivals.values() if len(g) > 1 and len({frozenset(s) for s in g.values()}) == 1):
        ranking = stats.best_and_ties(group, statistic, bool(column.higher))
        if ranking.best is not None:
            marks[int(ranking.best)] = "best" if ranking.is_significant else "tie"
        marks |= {int(index): "tie" for index in ranking.ties}
    return marks


def like_for_like(row: Row, column: Column) -> str:
    """What rows have in common that may be ranked against each other: their canvas, where it is part of the measure."""
    return "" if column.region in _DRAWN_BY_ALL or column.measure in _OF_THE_FACE else row.canvas


_DRAWN_BY_ALL = frozenset({"face", "mouth"})
"""Regions that every method draws itself, whatever lies around them: ranked across canvases."""
_OF_THE_FACE = frozenset({"lmd", "lmd-eyes", "blink", "jaw", "mouth-audio", "lse-c", "lse-d"})
"""Measures that look at lips and eyes alone: likewise."""


def frame_tables(cells: Mapping[str, Cell]) -> dict[str, pd.DataFrame | None]:
    """Per-frame values by cell; None where there are none or their file can't be trusted."""
    return {name: _table(cell) for name, cell in cells.items()}


def series_of(row: Row, column: Column, tables: Mapping[str, pd.DataFrame | None]) -> Groups | None:
    """The row's series in this column; None if a cell that counts has none.

    :param tables: :func:`frame_tables`
    """
    groups: Groups = {}
    for child in row.children:
        if child.status != "ok" or child.key is None:
            continue
        series = frame_series(tables[child.key.name], column.measure, column.region)
        if series is None:
            return None
        groups.setdefault(child.key.subject, {})[child.key.seed] = series
    return groups or None


def frame_series(table: pd.DataFrame | None, measure: str, region: str = "full") -> NDArray[np.float64] | None:
    """A measure's per-frame values, [N] or [N, F], of one cell; None if it has none.

    :param table: of :meth:`bench.report.data.Cell.frames`
    """
    if table is None:
        return None
    metric = METRICS.get(measure)
    name = f"{measure}_{region}" if region != "full" else measure
    wanted = [f"{name}.{part}" for part in metric.columns] if metric and metric.columns else [name]
    if metric is None or not set(wanted) <= set(table):
        return None
    values = table[wanted].to_numpy(np.float64)
    return values if metric.columns else values[:, 0]


def _table(cell: Cell) -> pd.DataFrame | None:
    try:
        return cell.frames()
    except RecordError:
        return None  # the players' section says what is wrong with it
