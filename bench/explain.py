"""Where a cell's numbers come from (``bench explain``): the chain from the source video to each score, read from its files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench import audit, catalogue, records
from bench.errors import BenchError, RecordError, UsageError
from bench.metrics.signature import Signature
from bench.records import MetricRecord, Record
from bench.run.layout import CellFolder, Origin
from bench.subject import Subject
from bench.tables import read_json

_MEAN = "frame-mean"


@dataclass(frozen=True)
class Link:
    """One link of the chain."""

    step: str
    lines: tuple[str, ...]
    """What was done, the first line the short answer."""


def explain(cell: Path) -> list[Link]:
    """The chain of a cell's folder, ``RUN/cells/CELL``, from the source to the scores.

    Nothing is proved here but that the scores follow from their frames' values; ``bench verify`` proves the hashes.

    Raises:
        UsageError: no cell's folder.
        RecordError: its record can't be read, or the cell isn't finished.
    """
    folder = CellFolder(cell)
    if not folder.record.is_file():
        raise UsageError(f"{cell} is no finished cell's folder: name one, such as RUN/cells/CELL")
    record = records.load_record(folder.record)
    return [*_subject(folder, record), *_made(record), *_audited(folder), *_scores(folder, record)]


def _subject(folder: CellFolder, record: Record) -> Iterator[Link]:
    hashed = f"sha256 {record.provenance.get('subject', 'unknown')} when the cell was made"
    root = Origin.read(folder.job).subject_root if folder.job.is_file() else None
    if root is None or not root.is_dir():
        yield Link("subject", (f"{record.cell.subject}: not on this machine", hashed))
        return
    card = read_json(root / "subject.json")
    yield Link("source", (str(card.get("source", "not stated")), f"licence: {card.get('licence', 'not stated')}"))
    steps = card.get("provenance", {})
    told = tuple(f"{file}: {text}" for file, text in steps.items()) if isinstance(steps, dict) else ()
    subject = Subject(root)
    width, height = subject.size
    frames = f"{len(subject.ids)} frames of {width}×{height} at {subject.fps:g} fps"
    yield Link("prepared", (f"{frames}, sound as {subject.audio_kind}", *told))
    same = catalogue.subject_hash(subject) == record.provenance.get("subject")
    split = f"trained on {len(subject.train_ids)} frames, tested on {_span(subject.test_ids)}"
    state = "the files are the same now" if same else "THE FILES ARE OTHERS NOW"
    yield Link("subject", (f"{root}", split, f"{hashed}; {state}"))


def _span(ids: Any) -> str:
    """``37 (363 … 399)``"""
    listed = list(ids)
    return f"{len(listed)} ({listed[0]} … {listed[-1]})" if listed else "none"


def _made(record: Record) -> Iterator[Link]:
    key, known = record.cell, record.provenance
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in record.train_seconds.items() if stage != "total")
    machine = ", ".join(f"{name} {value}" for name, value in record.hardware.items())
    versions = ", ".join(f"{name} {value}" for name, value in record.versions.items())
    libraries = ", ".join(f"{name}: {value}" for name, value in record.libraries.items())
    yield Link(
        "trained",
        tuple(filter(None, (
            f"{key.label}, preset {key.preset}, seed {key.seed}, on {known.get('device', 'an unknown device')}",
            seconds, libraries, machine, versions, f"checkpoint sha256 {known.get('checkpoint', 'unknown')}",
        ))),
    )  # fmt: skip
    width, height = record.size
    yield Link(
        "rendered",
        (
            f"{record.frames} frames of {width}×{height}, canvas {record.canvas or 'not stated'}",
            f"of a test frame it was handed: {', '.join(record.sees) or 'nothing'}",
            f"frames.mkv, sha256 over all frames {known.get('frames', 'unknown')}",
        ),
    )


def _audited(folder: CellFolder) -> Iterator[Link]:
    if not audit.exists(folder.audit):
        return
    found = audit.read(folder.audit)
    parts = ", ".join(f"{name} {share:.1%}" for name, share in found.regions.items() if share is not None)
    plates = ", ".join(found.plates) or "no plate declared"
    yield Link("audited", (f"{found.share:.1%} of the picture is the test frame's ({plates})", parts))


def _scores(folder: CellFolder, record: Record) -> Iterator[Link]:
    rules = record.provenance.get("protocol", "unknown")
    yield Link("scored", (f"protocol {rules}, landmarks by {record.provenance.get('detector', 'unknown')}",))
    table = _table(folder.per_frame) if folder.per_frame.is_file() else pd.DataFrame()
    for name, metric in record.metrics.items():
        yield Link(name, tuple(_score(name, metric, table)))


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow raises many kinds
        raise RecordError(f"{path} can't be read ({str(error).splitlines()[0]}): run the cell again") from error


def _score(name: str, metric: MetricRecord, table: pd.DataFrame) -> Iterator[str]:
    if metric.value is None:
        yield f"{metric.state}: {metric.reason or 'no reason kept'}"
    else:
        interval = f", 95 % in {metric.ci95[0]:.4g} … {metric.ci95[1]:.4g}" if metric.ci95 else ""
        unit = "" if metric.unit == "1" else f" {metric.unit}"
        yield f"{metric.value:.6g}{unit}{interval}, {metric.n[0]} of {metric.n[1]} frames"
        yield from _follows(name, metric, table)
    if metric.signature:
        yield metric.signature


def _follows(name: str, metric: MetricRecord, table: pd.DataFrame) -> Iterator[str]:
    """Whether the value follows from the frames' values, where it is their mean."""
    assert metric.value is not None
    if name not in table or _aggregation(metric.signature) != _MEAN:
        return
    mean = float(table[name].mean())
    holds = math.isclose(mean, metric.value, rel_tol=1e-9, abs_tol=1e-12)
    verdict = "which is the value" if holds else "WHICH IS NOT THE VALUE"
    yield f"mean of column {name} of frames.parquet: {mean:.6g}, {verdict}"


def _aggregation(signature: str) -> str | None:
    try:
        return Signature.parse(signature).get("agg")
    except BenchError:
        return None
