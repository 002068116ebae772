"""The numbers of each table for programs: unrounded, with states and signatures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench import csv_text
from bench.report.ablation import Ablation
from bench.report.overview import Overview
from bench.report.paper_table import PaperTable
from bench.report.paper_text import ablation_values, to_values
from bench.report.tables import to_csv, to_summary

_TABLE_HEAD = (
    "row", "method", "measure", "paper", "ours", "ours_low", "ours_high", "state", "reason", "signature", "scored", "expected",
)  # fmt: skip
_DELTA_HEAD = ("row", "method", "measure", "delta", "low", "high", "p", "p_holm", "cells", "reason")


def exports(overview: Overview) -> Iterator[tuple[str, str, Any]]:
    """(name, CSV, JSON values) of each table, named as :func:`bench.paper.tables.grids` names it."""
    yield "results", to_csv(overview), to_summary(overview)
    if table := overview.table_1:
        yield "table-1", _table_csv(table), to_values(table)
    for index, view in enumerate(overview.ablations):
        suffix = f"-{index + 1}" if index else ""
        values = ablation_values(view)
        yield f"table-2{suffix}", _table_csv(view.table), values["table"]
        yield f"deltas{suffix}", _delta_csv(view), {key: values[key] for key in ("method", "deltas", "notes")}


def _table_csv(view: PaperTable) -> str:
    return csv_text.to_csv(_TABLE_HEAD, _table_rows(view))


def _table_rows(view: PaperTable) -> Iterator[list[object]]:
    for line in view.lines:
        for measure in view.measures:
            paper = getattr(line.paper, measure.field, None)
            about = [line.title, line.label]
            if not measure.columns:
                yield [*about, measure.field, _plain(paper), *[""] * 8]
            for column in measure.columns:
                value = line.value(column)
                low, high = value.ci95 or ("", "")
                ours = "" if value.value is None else value.value
                facts = (value.state, value.reason or "", value.signature, *value.n)
                yield [*about, column.key, _plain(paper), ours, low, high, *facts]


def _plain(paper: object) -> object:
    return "" if paper is None else float(str(paper))


def _delta_csv(view: Ablation) -> str:
    rows = (
        [row.title, row.label, key, d.value, *(d.ci95 or ("", "")), d.p, d.p_holm, d.cells, d.reason]
        for row in view.rows
        for key, d in row.deltas.items()
    )
    return csv_text.to_csv(_DELTA_HEAD, rows)
