"""Reads a run folder for the report. What is missing or broken is said, never dropped and never raised.

Only a folder without a readable ``run.json`` is an error: then there is nothing to report on. How cells stand comes from the
run's index (:mod:`bench.run.index`); a record is read when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from bench import collecting
from bench.errors import RecordError
from bench.paths import file_name
from bench.records import CellKey, Plan, Record, load_plan, load_record
from bench.run import index
from bench.run.index import Entry, Index

CellStatus = Literal["ok", "failed", "invalid", "corrupt", "pending"]
"""A record's own status; ``corrupt``: its file can't be read; ``pending``: the cell has not been run yet."""

LOG_LINES = 40


@dataclass(frozen=True)
class Cell:
    """One planned cell and what the disk has of it."""

    key: CellKey
    cells: Path
    """The folder of cells that it is in; :attr:`folder` is its own."""
    name: str
    """Of its folder."""
    entry: Entry | None
    """What the index says of its record."""
    problem: str | None = None
    """Why ``entry`` is None though a record is there."""

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.cells / self.name

    @cached_property
    def record(self) -> Record | None:
        """All that is known of the cell, or None if there is nothing that can be used.

        Raises:
            RecordError: it was changed since the run was opened, and can't be read now.
        """
        return load_record(self.folder / "record.json") if self.entry else None

    @property
    def status(self) -> CellStatus:
        """Where the cell stands."""
        if self.entry:
            return self.entry.status
        return "corrupt" if self.problem else "pending"

    @property
    def error(self) -> str | None:
        """One line on what went wrong, if anything did."""
        return self.problem or (self.entry.error if self.entry else None)

    @property
    def preview(self) -> Path:
        """H.264 video of the rendered test frames; may be missing."""
        return self.folder / "preview.mp4"

    @property
    def pictures(self) -> list[Path]:
        """Training pictures, by name."""
        return sorted((self.folder / "training").glob("*.jpg"))

    @property
    def subject_root(self) -> Path | None:
        """Folder of the subject that the cell was made from, if ``job.json`` says it."""
        try:
            root = json.loads((self.folder / "job.json").read_text(encoding="utf-8")).get("subject_root")
        except (OSError, ValueError, AttributeError):
            return None
        return Path(root) if isinstance(root, str) else None

    def log_tail(self) -> str:
        """The last lines of ``log.txt``, empty if there is none."""
        try:
            text = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-LOG_LINES:])

    def frames(self) -> pd.DataFrame | None:
        """Per-frame values indexed by frame id, or None if there are none.

        Raises:
            RecordError: the file is there but can't be trusted.
        """
        path = self.folder / "frames.parquet"
        if not path.exists():
            return None
        try:
            table = pd.read_parquet(path).set_index("id")
        except (OSError, ValueError, KeyError) as error:
            raise RecordError(f"{path} can't be read ({_first(error)}); run the cell again") from error
        if not table.index.is_unique:
            raise RecordError(f"{path} lists a frame twice; run the cell again")
        if self.record and self.record.frames not in (0, len(table)):
            raise RecordError(
                f"{path} has {len(table)} frames where {self.record.frames} were rendered; run the cell again"
            )
        return table.select_dtypes("number").sort_index()

    def training(self) -> pd.DataFrame | None:
        """``training.csv`` (stage, step, seconds, scalars…), or None if nothing was logged.

        Raises:
            RecordError: the file is there but can't be read.
        """
        path = self.folder / "training.csv"
        if not path.exists():
            return None
        try:
            table = pd.read_csv(path, dtype={"stage": str})
        except (OSError, ValueError) as error:
            raise RecordError(f"{path} can't be read ({_first(error)})") from error
        if missing := {"stage", "step"} - set(table.columns):
            raise RecordError(f"{path} lacks column {min(missing)}")
        return table.dropna(subset=["stage", "step"])


@dataclass(frozen=True)
class Run:
    """A run folder."""

    path: Path
    plan: Plan
    cells: tuple[Cell, ...]
    strays: tuple[str, ...] = ()
    """Folders under ``cells/`` that the plan doesn't know and whose record can't be read."""
    truths: Mapping[str, Path] = field(default_factory=dict)
    """Videos of subjects' test frames that lie elsewhere than in ``ground_truth/``."""
    index: Index | None = field(default=None, repr=False)
    """The run folder's; None: the cells come from several."""

    @property
    def subjects(self) -> list[str]:
        """Subjects in the order of the plan."""
        return list(dict.fromkeys(cell.key.subject for cell in self.cells))

    @property
    def methods(self) -> list[str]:
        """Method labels in the order of the plan."""
        return list(dict.fromkeys(self.label(cell.key) for cell in self.cells))

    def label(self, key: CellKey) -> str:
        """What the report calls a method: ``degstalk[-E]@official``, with the preset where the run has several."""
        return f"{key.label} {key.preset}" if self._has_presets else key.label

    @cached_property
    def _has_presets(self) -> bool:
        return len({key.preset for key in (*self.plan.cells, *(cell.key for cell in self.cells))}) > 1

    def ground_truth(self, subject: str) -> Path:
        """Video of a subject's test frames; may be missing."""
        return self.truths.get(subject, self.path / "ground_truth" / f"{subject}.mp4")

    def media(self) -> dict[Path, str]:
        """The videos and pictures that are there, each with a name that no other has."""
        names = {self.ground_truth(subject): f"{subject}--ground-truth.mp4" for subject in self.subjects}
        for cell in self.cells:
            names[cell.preview] = f"{cell.key.name}.mp4"
            names |= {file: f"{cell.key.name}--{file.name}" for file in cell.pictures}
        return {file: file_name(name) for file, name in names.items() if file.exists()}


def load(path: Path) -> Run:
    """Read a run folder: the planned cells in order, then finished cells that an earlier plan left there.

    Raises:
        RecordError: ``path`` has no readable ``run.json``.
    """
    with collecting.paused():
        return _load(path)


def _load(path: Path) -> Run:
    plan, found, folder = load_plan(path), index.refresh(path), path / "cells"
    planned = {key.name: key for key in plan.cells}
    cells = []
    for name, key in planned.items():
        entry, problem = found.look(name)
        cells.append(Cell(key, folder, name, entry, problem or None))
    cells += [
        Cell(found.key(name), folder, name, entry) for name, entry in found.entries.items() if name not in planned
    ]
    strays = [problem for name, problem in found.problems.items() if name not in planned]
    return Run(path, plan, tuple(cells), tuple(strays), index=found)


def _first(error: Exception) -> str:
    return str(error).splitlines()[0]
