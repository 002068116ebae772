"""What a run prints when it is over: a table for people, a document for programs (design.md §8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.table import Table

from bench.records import CellKey, MetricRecord, Record
from bench.run.layout import RunFolder

_DIGITS = {"psnr": 2, "ssim": 4, "lpips": 4, "lmd": 3}


def document(run: Path, records: Iterable[Record]) -> dict[str, Any]:
    """The run as strict JSON values."""
    return {"run": str(run), "cells": [_cell(RunFolder(run), record) for record in records]}


def table(records: Sequence[Record]) -> Table:
    """One row for each method and subject (seeds averaged), then each method's mean over its subjects."""
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    view = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("method", "subject"):
        view.add_column(title)
    arrows = {name: "↑" if m.higher_is_better else "↓" for r in records for name, m in r.metrics.items()}
    for title in (*(f"{name.upper()}{arrows[name]}" for name in metrics), "FPS↑", "train s↓", "n"):
        view.add_column(title, justify="right")
    view.add_column("canvas", overflow="fold")
    groups: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        groups.setdefault(method_label(record.cell), {}).setdefault(record.cell.subject, []).append(record)
    for label, subjects in groups.items():
        for subject, found in subjects.items():
            view.add_row(label, subject, *_numbers([found], metrics))
        if len(subjects) > 1:
            view.add_row(label, "mean", *_numbers(list(subjects.values()), metrics), style="bold", end_section=True)
    return view


def method_label(cell: CellKey) -> str:
    """A cell's method as it is asked for: ``degstalk[-E]@official``."""
    return cell.name.partition("--")[0]


def metric_text(metric: MetricRecord, digits: int = 3) -> str:
    """A measure, or the state that says why there is none."""
    if metric.state == "identical":
        return "∞"
    return metric.state if metric.value is None else f"{metric.value:.{digits}f}"


def _numbers(groups: list[list[Record]], metrics: list[str]) -> list[str]:
    """A row's cells: the mean over groups (subjects) of the mean within each (seeds)."""
    good = [[r for r in group if r.status != "failed"] for group in groups]
    if not all(good):
        return ["failed", *[""] * (len(metrics) + 3)]
    records = [record for group in good for record in group]
    texts = [_metric(good, name) for name in metrics]
    speed = _mean(good, lambda r: r.fps.render)
    seconds = _mean(good, lambda r: r.train_seconds.get("total"))
    texts += ["" if speed is None else f"{speed:.1f}", "" if seconds is None else f"{seconds:.0f}"]
    return [*texts, str(sum(r.frames for r in records)), ", ".join(dict.fromkeys(r.canvas for r in records))]


def _metric(groups: list[list[Record]], name: str) -> str:
    """The mean, if all cells have a value; else the states that stand in its way. One bad cell is never left out."""
    found = [record.metrics.get(name) for group in groups for record in group]
    states = dict.fromkeys(m.state if m else "absent" for m in found)
    if list(states) == ["ok"]:
        mean = _mean(groups, lambda r: r.metrics[name].value)
        return "" if mean is None else f"{mean:.{_DIGITS.get(name, 3)}f}"
    return "∞" if list(states) == ["identical"] else "/".join(states)


def _mean(groups: list[list[Record]], value: Callable[[Record], float | None]) -> float | None:
    means = []
    for group in groups:
        values = [v for record in group if (v := value(record)) is not None]
        if not values:
            return None
        means.append(fmean(values))
    return fmean(means)


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
