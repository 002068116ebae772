"""What a run is compared with later: values, intervals, signatures, and the per-frame values that pairing needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from bench.errors import DataError, InvalidResultError, RecordError
from bench.metrics import METRICS
from bench.records import CellKey, Record
from bench.report.data import Cell, Run
from bench.report.uncertainty import frame_series
from bench.report.values import cell_values

State = Literal["ok", "identical", "undefined", "absent", "invalid"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Measured(_Strict):
    """One measure of one cell."""

    value: float | None
    state: State
    """As in :class:`bench.records.MetricRecord`."""
    ci95: tuple[float, float] | None = None
    signature: str = ""
    """Without the coverage, which may change."""
    unit: str = ""
    higher_is_better: bool = True
    frames: list[float] | list[list[float]] = []
    """Per-frame values, [N] or [N, F]; ``"NaN"`` where a frame could not be scored, ``"Infinity"`` as PSNR gives it."""

    @field_validator("frames")
    @classmethod
    def _rectangular(cls, frames: list[float] | list[list[float]]) -> list[float] | list[list[float]]:
        if len({len(row) for row in frames if isinstance(row, list)}) > 1:
            raise ValueError("frames have different numbers of quantities")
        return frames

    @property
    def series(self) -> NDArray[np.float64]:
        """The per-frame values as an array."""
        return np.asarray(self.frames, np.float64)


class BaselineCell(_Strict):
    """One cell that later runs must have, too."""

    cell: CellKey
    subject_hash: str
    canvas: str
    ids: list[int]
    """The test frames, in order."""
    measures: dict[str, Measured]
    """By ``psnr``, ``psnr@face``, …"""


class Baseline(_Strict):
    """A run that was good."""

    schema_version: Literal[1] = 1
    created: str
    """When the run was made."""
    protocol: str
    hardware: dict[str, str]
    versions: dict[str, str]
    cells: list[BaselineCell]

    def text(self) -> str:
        """Strict JSON, the same for the same run; not-a-number and infinity are strings."""
        return self.model_dump_json() + "\n"

    @classmethod
    def of(cls, run: Run) -> Baseline:
        """The baseline that a run makes.

        Raises:
            InvalidResultError: a cell failed, is invalid, or is not over: nothing can be held against it.
            RecordError: a cell has no per-frame values.
        """
        if not run.cells:
            raise InvalidResultError(f"{run.path} has no cells, so it can't be a baseline")
        cells = [_cell(cell) for cell in run.cells]
        plan = run.plan
        return cls(
            created=plan.created, protocol=plan.protocol, hardware=plan.hardware, versions=plan.versions, cells=cells
        )

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read what :meth:`text` wrote.

        Raises:
            DataError: the file is missing or something else.
        """
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            reason = " ".join(str(error).splitlines()[:2])
            raise DataError(f"{path} is no baseline ({reason}); make one with `bench baseline RUN > FILE`") from error


def _cell(cell: Cell) -> BaselineCell:
    if cell.record is None or cell.status != "ok":
        why = f" ({cell.error})" if cell.error else ""
        raise InvalidResultError(f"{cell.key.name} is {cell.status}{why}: finish the run before it is a baseline")
    table = cell.frames()
    if table is None:
        raise RecordError(f"{cell.folder} has no frames.parquet; run the cell again")
    record = cell.record
    return BaselineCell(
        cell=cell.key,
        subject_hash=subject_hash(record),
        canvas=record.canvas,
        ids=[int(i) for i in table.index],
        measures=measures(cell, record, table),
    )


def subject_hash(record: Record) -> str:
    """Which data a cell was made from; empty if its record doesn't say."""
    return record.provenance.get("subject", "")


def measures(cell: Cell, record: Record, table: pd.DataFrame) -> dict[str, Measured]:
    """Everything that was measured on a cell, in the whole frame and in regions, with its per-frame values."""
    found: dict[str, Measured] = {}
    for key, value in cell_values(cell).items():
        name, _, region = key.partition("@")
        if name not in record.metrics or name not in METRICS:
            continue
        series = frame_series(table, name, region or "full")
        metric = record.metrics[name]
        found[key] = Measured.model_validate(
            {
                "value": value.value,
                "state": value.state,
                "ci95": value.ci95,
                "signature": value.signature,
                "unit": metric.unit,
                "higher_is_better": metric.higher_is_better,
                "frames": [] if series is None else series.tolist(),
            }
        )
    return found
