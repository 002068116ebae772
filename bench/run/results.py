"""A run folder, read back: records, and one table of all numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records import CellKey, Plan, Record, load_plan, load_record
from bench.run.layout import RunFolder

if TYPE_CHECKING:
    import pandas as pd


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
        """One row a cell: what it is, its metrics (NaN where there is no value, see ``<metric>_state``), speed and time."""
        import pandas as pd

        return pd.DataFrame([_row(record) for record in self.records])

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


def _row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = record.cell.model_dump() | {"status": record.status, "error": record.error}
    for name, metric in record.metrics.items():
        row |= {name: metric.value, f"{name}_state": metric.state}
        row |= {f"{name}_{region}": value for region, value in metric.regions.items()}
    return row | {
        "fps": record.fps.render,
        "train_seconds": record.train_seconds.get("total", 0.0),
        "peak_memory_bytes": record.peak_memory_bytes,
        "canvas": record.canvas,
    }
