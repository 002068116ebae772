"""How a cell was trained: a plot for each stage and scalar, and the pictures taken on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import RecordError
from bench.report.charts import Plot, Style, line_plot
from bench.report.data import Cell, Run
from bench.report.media import Shelf

FIRST = ("loss", "gaussians")
"""Scalars that are shown at once; the others are folded away."""
_INDEX = {"stage", "step", "seconds"}


@dataclass(frozen=True)
class Picture:
    """A training picture."""

    name: str
    source: str


@dataclass(frozen=True)
class Training:
    """One cell's training."""

    method: str
    subject: str
    style: Style
    plots: tuple[Plot, ...]
    more: tuple[Plot, ...]
    pictures: tuple[Picture, ...]
    seconds: Mapping[str, float]
    problem: str | None


def trainings(run: Run, styles: Mapping[str, Style], shelf: Shelf) -> list[Training]:
    """All cells of which something was logged."""
    found = (_training(cell, run.label(cell.key), styles, shelf) for cell in run.cells)
    return [training for training in found if training.plots or training.more or training.pictures or training.problem]


def _training(cell: Cell, method: str, styles: Mapping[str, Style], shelf: Shelf) -> Training:
    problem = None
    plots: list[tuple[str, Plot]] = []
    try:
        if (table := cell.training()) is not None:
            plots = list(_plots(table, styles[method]))
    except RecordError as error:
        problem = str(error)
    first = tuple(plot for name, plot in plots if name in FIRST)
    more = tuple(plot for name, plot in plots if name not in FIRST)
    seconds = cell.record.train_seconds if cell.record else {}
    subject = f"{cell.key.subject}, seed {cell.key.seed}"
    return Training(method, subject, styles[method], first, more, _pictures(cell.pictures, shelf), seconds, problem)


def _plots(table: pd.DataFrame, style: Style) -> Iterator[tuple[str, Plot]]:
    others = sorted(set(table.columns) - _INDEX - set(FIRST))
    scalars = [name for name in (*FIRST, *others) if name in table]
    for stage, rows in table.groupby("stage", sort=False):
        for name in scalars:
            numbers = pd.to_numeric(rows[name], errors="coerce")
            logged = numbers.notna()
            if logged.any():
                steps = pd.to_numeric(rows["step"], errors="coerce")[logged].fillna(0)
                title = f"{stage}: {name}"
                yield name, line_plot(title, [(title, style, list(steps), list(numbers[logged]))], "step")


def _pictures(files: Sequence[Path], shelf: Shelf) -> tuple[Picture, ...]:
    return tuple(Picture(file.stem, shelf.picture(file)) for file in files)
