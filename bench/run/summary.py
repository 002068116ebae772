"""What a run says of its cells: a document for programs (design.md §8), a few words for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from bench.records import CellKey, MetricRecord, Record
from bench.run.layout import RunFolder


def document(run: Path, records: Iterable[Record], references: Collection[CellKey] = ()) -> dict[str, Any]:
    """The run as strict JSON values: the cells asked for, and apart from them the floors and ceilings."""
    added = frozenset(references)
    cells = [(record.cell in added, _cell(RunFolder(run), record)) for record in records]
    return {
        "run": str(run),
        "cells": [cell for added, cell in cells if not added],
        "references": [cell for added, cell in cells if added],
    }


def metric_text(metric: MetricRecord, digits: int = 3) -> str:
    """A measure, or the state that says why there is none."""
    if metric.state == "identical":
        return "∞"
    return metric.state if metric.value is None else f"{metric.value:.{digits}f}"


def _cell(run: RunFolder, record: Record) -> dict[str, Any]:
    return {
        **record.cell.model_dump(),
        "status": record.status,
        "error": record.error,
        "metrics": {name: metric.model_dump() for name, metric in record.metrics.items()},
        "copied_share": record.copied_share,
        "fps": record.fps.model_dump(),
        "train_seconds": record.train_seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
        "record": str(run.cell(record.cell).record),
    }
