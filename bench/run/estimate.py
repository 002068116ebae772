"""What a cell will take, from records of this run and of those beside it. What no record tells is None, never a guess."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench import records, system
from bench.errors import RecordError
from bench.records import CellKey, Record
from bench.run.layout import CellFolder, Job, RunFolder
from bench.run.reuse import neighbours
from bench.subject import Subject

_ENOUGH = 24
"""Records that are read of one method at one preset, newest runs first."""


@dataclass(frozen=True)
class Estimate:
    """What one cell will take. None: no record tells."""

    training: float | None = None
    """Seconds."""
    rest: float | None = None
    """Seconds of rendering, audit and scoring."""
    memory: int | None = None
    """Bytes: the process's largest resident set. Not scaled: most of it doesn't depend on the subject."""
    vram: int | None = None
    """Bytes of the GPU's memory; not scaled either."""
    disk: int | None = None
    """Bytes that the finished cell's folder has."""
    checkpoint: int | None = None
    """Those of them that are its checkpoint."""
    record: Path | None = None
    """Where all this is from."""
    ratio: float = 1.0
    """Test frames × pixels of the cell's subject over those of the record's: not 1 where times and disk are scaled."""
    machine: str = ""
    """The record's processor or GPU, where it isn't this machine's."""

    @property
    def seconds(self) -> float | None:
        """Of the whole cell."""
        return None if self.training is None or self.rest is None else self.training + self.rest


NOTHING = Estimate(training=0.0, rest=0.0, memory=0, vram=0, disk=0, checkpoint=0)
"""What a cell takes that is kept."""


@dataclass(frozen=True)
class _Past:
    """A cell that was done."""

    folder: CellFolder
    record: Record

    @property
    def size(self) -> int:
        """Test frames × pixels."""
        return self.record.frames * math.prod(self.record.size)

    @property
    def training(self) -> float:
        """Seconds."""
        return self.record.train_seconds.get("total", 0.0)

    @property
    def at_one_go(self) -> bool:
        """Whether the record's time is that of the whole cell, not of a last session that resumed or only scored again."""
        return self.record.seconds >= self.training


def estimates(jobs: Sequence[Job]) -> dict[CellKey, Estimate]:
    """An estimate for each job: from the record of the same method, variant, backend, preset and device that is nearest in size.

    Training is scaled by the number of pixels (presets fix the number of steps), the rest and the frames on disk by test frames ×
    pixels. A record of this machine goes before one of another.
    """
    past = _past(jobs)
    size_of, weight_of = cache(_size), cache(_weight)
    found = {}
    for job in jobs:
        frames, pixels = size_of(job.subject_root)
        fitting = [one for one in past.get(_kind(job.cell), ()) if _alike(one.record, job)]
        nearest = min(fitting, key=lambda one: _distance(one, job, max(frames * pixels, 1)), default=None)  # noqa: B023
        found[job.cell] = _scaled(nearest, job, frames, pixels, weight_of(nearest.folder)) if nearest else Estimate()
    return found


def _kind(cell: CellKey) -> tuple[str, str]:
    return cell.label, cell.preset


def _size(root: Path) -> tuple[int, int]:
    """(test frames, pixels of a frame)"""
    subject = Subject(root)
    return len(subject.test_ids), math.prod(subject.size)


def _alike(record: Record, job: Job) -> bool:
    """Whether the record is of a whole cell, on the same kind of device, trained (or not) as the job's will be."""
    loaded = bool(record.provenance.get("loaded"))
    return (
        record.status != "failed"
        and record.frames * math.prod(record.size) > 0
        and record.provenance.get("device") == job.device
        and loaded == bool(job.load_hash)
    )


def _distance(past: _Past, job: Job, size: int) -> tuple[bool, bool, float, bool]:
    """Smaller is nearer; of equals, the first and so the newest is taken."""
    other_subject = past.record.cell.subject != job.cell.subject
    return bool(_elsewhere(past.record, job)), not past.at_one_go, abs(math.log(size / past.size)), other_subject


def _elsewhere(record: Record, job: Job) -> str:
    part = "gpu" if job.device.startswith("cuda") else "cpu"
    there = record.hardware.get(part, "another machine")
    return "" if there == system.hardware().get(part) else there


def _scaled(past: _Past, job: Job, frames: int, pixels: int, weight: tuple[int, int, int]) -> Estimate:
    record, (movies, checkpoint, other) = past.record, weight
    ratio = frames * pixels / past.size
    on_gpu = job.device.startswith("cuda")
    return Estimate(
        training=past.training * pixels / math.prod(record.size),
        rest=(record.seconds - past.training if past.at_one_go else record.seconds) * ratio,
        memory=None if on_gpu else record.peak_memory_bytes,
        vram=record.peak_memory_bytes if on_gpu else 0,
        disk=round(movies * ratio) + checkpoint + other,
        checkpoint=checkpoint,
        record=past.folder.record,
        ratio=ratio,
        machine=_elsewhere(record, job),
    )


def _weight(folder: CellFolder) -> tuple[int, int, int]:
    """Bytes of (frames, checkpoint, all else) of a cell's folder."""
    movies = _bytes([folder.frames, folder.preview])
    checkpoint = _bytes(folder.checkpoint.rglob("*"))
    return movies, checkpoint, _bytes(folder.root.rglob("*")) - movies - checkpoint


def _bytes(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _past(jobs: Sequence[Job]) -> dict[tuple[str, str], list[_Past]]:
    """Records of cells like the jobs', by label and preset, newest first."""
    found: dict[tuple[str, str], list[_Past]] = {_kind(job.cell): [] for job in jobs}
    for run in _runs(jobs[0].run) if jobs else ():
        for kind, cells in _cells(run, found).items():
            found[kind] += cells
    return {kind: sorted(cells, key=lambda one: one.record.started, reverse=True) for kind, cells in found.items()}


def _runs(run: Path) -> list[Path]:
    """The run folder itself, and those beside it, newest first."""
    known = [*neighbours(run), *([run] if RunFolder(run).plan.is_file() else [])]
    return sorted(known, key=lambda one: RunFolder(one).plan.stat().st_mtime, reverse=True)


def _cells(run: Path, known: dict[tuple[str, str], list[_Past]]) -> dict[tuple[str, str], list[_Past]]:
    """The run's records of the kinds of which there aren't enough yet."""
    folder = run / "cells"
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # none yet, or not ours to read: it tells nothing
        return {}
    found = {}
    for (label, preset), cells in known.items():
        like = (name for name in names if name.startswith(f"{label}--") and f"--{preset}--s" in name)
        found[label, preset] = list(_read(folder, like, _ENOUGH - len(cells)))
    return found


def _read(folder: Path, names: Iterator[str], most: int) -> Iterator[_Past]:
    for name in names:
        if most <= 0:
            return
        cell = CellFolder(folder / name)
        try:
            yield _Past(cell, records.load_record(cell.record))
        except RecordError:  # not over yet, or damaged: it tells nothing
            continue
        most -= 1
