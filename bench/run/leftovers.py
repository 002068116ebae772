"""What of a run folder may go (``bench gc``): nothing that a finished record, its proofs or a resumed training needs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import locks, paths, records
from bench.errors import UsageError
from bench.metrics.cache import LIMITS
from bench.run.layout import CellFolder, RunFolder
from bench.run.training import CHANGED

Why = Literal[
    "half written",
    "not in the plan",
    "only for resuming a training that is over",
    "put aside because it was changed; another was trained",
    "cache, made again when needed",
]
_HALF_WRITTEN = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")
"""Names that :mod:`bench.paths` gives to what isn't whole yet."""


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may go."""

    path: Path
    bytes: int
    why: Why


@contextmanager
def at_rest(runs: list[Path]) -> Iterator[None]:
    """No run is at work, and none can start, in these run folders while the block lasts.

    Raises:
        RecordError: one isn't a run folder.
        UsageError: a run, or one of its cells on another machine, is at work.
    """
    with ExitStack() as held:
        for run in map(RunFolder, runs):
            records.load_plan(run.root)
            for lock in (run.lock, *run.lock.with_name(".locks").glob("*")):
                try:
                    held.enter_context(locks.hold(lock, 0))
                except locks.Busy:
                    raise UsageError(
                        f"{run.root} is at work: wait until it is over, or `bench cancel {run.root}`"
                    ) from None
        yield


def of_run(run: Path) -> Iterator[Leftover]:
    """What may go in a run folder, which must be :func:`at_rest`."""
    cells = {key.name for key in records.load_plan(run).cells}
    for entry in _entries(run):
        if _HALF_WRITTEN.fullmatch(entry.name):
            yield _leftover(entry, "half written")
        elif not entry.name.startswith(".") and entry.name != "cells":
            yield from _half_written(entry)
    for entry in _entries(run / "cells"):
        if entry.name.startswith("."):
            yield _leftover(entry, "half written")
        elif entry.name not in cells:
            yield _leftover(entry, "not in the plan")
        else:
            yield from _of_cell(CellFolder(entry))


def caches() -> Iterator[Leftover]:
    """The caches of single frames in the user's cache folder (:mod:`bench.metrics.cache`)."""
    for name in sorted(LIMITS):
        folder = paths.home() / "cache" / name
        if folder.is_dir():
            yield _leftover(folder, "cache, made again when needed")


def remove(leftover: Leftover) -> None:
    """Delete it; that it is gone already is no error."""
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)


def _of_cell(cell: CellFolder) -> Iterator[Leftover]:
    yield from _half_written(cell.root)
    if cell.trained.exists():
        for path in (cell.steps, cell.halvings):
            if path.exists():
                yield _leftover(path, "only for resuming a training that is over")
        if (aside := cell.root / CHANGED).exists():
            yield _leftover(aside, "put aside because it was changed; another was trained")


def _half_written(folder: Path) -> Iterator[Leftover]:
    """Everything below that is hidden; hashes and archives leave it out, too."""
    for entry in _entries(folder):
        if entry.name.startswith("."):
            yield _leftover(entry, "half written")
        else:
            yield from _half_written(entry)


def _entries(folder: Path) -> list[Path]:
    """Of a folder, in order; links are not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(folder.iterdir())


def _leftover(path: Path, why: Why) -> Leftover:
    if path.is_symlink() or not path.is_dir():
        return Leftover(path, path.lstat().st_size, why)
    sizes = (os.lstat(os.path.join(folder, name)).st_size for folder, _, files in os.walk(path) for name in files)
    return Leftover(path, sum(sizes), why)
