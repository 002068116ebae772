"""A run folder, read back: records, and one table of all numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import RecordError
from bench.records import CellKey, Plan, Record, load_plan, load_record
from bench.run.layout import RunFolder

if TYPE_CHECKING:
    import pandas as pd

_LAST = ("fps", "train_seconds", "peak_memory_bytes", "canvas")
"""Columns that stand behind the measures."""


@dataclass(frozen=True)
class Run:
    """A run folder. Cells that aren't over yet have no record."""

    path: Path
    plan: Plan

    @cached_property
    def records(self) -> list[Record]:
        """Records of the plan's cells, in its order; those that aren't over are left out.

        Raises:
            RecordError: one can't be read; the message names the file.
        """
        files = [self.record_path(key) for key in self.plan.cells]
        return [load_record(file) for file in files if file.exists()]

    def record_path(self, cell: CellKey) -> Path:
        """Where a cell's record is or will be."""
        return RunFolder(self.path).cell(cell).record

    def table(self) -> pd.DataFrame:
        """One row a cell: what it is, its metrics (NaN where there is no value, see ``<metric>_state``), speed and time.

        It comes from the run's index (:mod:`bench.run.index`), so that only records written since are read.

        Raises:
            RecordError: a record can't be read; the message names the file.
        """
        from bench.run import index

        found = index.refresh(self.path)
        names = [key.name for key in self.plan.cells]
        if broken := next((found.problems[name] for name in names if name in found.problems), None):
            raise RecordError(broken)
        places = {name: place for place, name in enumerate(found.table["file.folder"].to_pylist())}
        measured = [name for name in found.table.column_names if "." not in name and name not in _LAST]
        rows = found.table.take([places[name] for name in names if name in places]).select([*measured, *_LAST])
        return rows.to_pandas()

    def _repr_html_(self) -> str:
        """What a notebook shows: the table, with every text in it escaped."""
        return self.table().to_html(escape=True, index=False, notebook=True, na_rep="–", float_format="{:.4g}".format)


def load(run: Path | str) -> Run:
    """Open a run folder.

    Raises:
        RecordError: it isn't one.
    """
    path = Path(run)
    return Run(path, load_plan(path))
