"""Pictures of the frames that lost most, small enough for a comment on a pull request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.names import file_names
from bench.paths import atomic_file
from bench.regression.verdict import Lost, Outcome
from bench.report.data import Run
from bench.stills import rendered, truth
from bench.video import Frame

HEIGHT = 128
"""Pixels of each picture."""
_GAIN = 4


def write_thumbnails(run: Run, outcome: Outcome, folder: Path) -> dict[str, Path]:
    """One PNG for each of :attr:`Outcome.lost`: ground truth, this run, difference; by name of the cell.

    Raises:
        RecordError, DataError: a cell's frames can't be read.
    """
    names = file_names([one.cell for one in outcome.lost])
    found: dict[str, Path] = {}
    for one in outcome.lost:
        path = folder / f"{names[one.cell]}.png"
        with atomic_file(path) as temporary:
            Image.fromarray(_strip(run, one)).save(temporary, "PNG", optimize=True)
        found[one.cell] = path
    return found


def _strip(run: Run, one: Lost) -> Frame:
    cell = next(cell for cell in run.cells if cell.key.name == one.cell)
    now = rendered(cell, [one.place]).frames[one.place]
    gt = truth(run, one.subject, [one.place]).frames[one.place][: now.shape[0], : now.shape[1]]
    difference = np.abs(now.astype(np.int16) - gt) * _GAIN
    return np.concatenate([_small(each) for each in (gt, now, difference.clip(0, 255).astype(np.uint8))], axis=1)


def _small(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    size = (max(1, round(width * HEIGHT / height)), HEIGHT)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
