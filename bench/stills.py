"""Single frames of a run: what a cell rendered, and the ground truth beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench.errors import RecordError
from bench.report.data import Cell, Run
from bench.video import Frame, read_video

LOSSLESS, PREVIEW = "lossless", "H.264 preview"


@dataclass(frozen=True)
class Stills:
    """Some frames, by their place among the test frames."""

    frames: dict[int, Frame]
    """uint8 RGB [H, W, 3]."""
    source: str
    """``lossless``, or that they come from the preview to watch."""


def rendered(cell: Cell, places: Collection[int]) -> Stills:
    """Frames of a cell, bit-exact.

    Raises:
        RecordError: the cell's video isn't there, or ends before one of them.
        DataError: it is damaged.
    """
    return Stills(_read(cell.folder / "frames.mkv", places), LOSSLESS)


def truth(run: Run, subject: str, places: Collection[int]) -> Stills:
    """The ground truth: lossless where the run has ``copy-gt``, else from the preview, which ``source`` says.

    Raises:
        RecordError: the run has neither.
        DataError: a video is damaged.
    """
    copies = (c for c in run.cells if c.key.subject == subject and c.key.method == "copy-gt" and c.status == "ok")
    if copy := next(copies, None):
        return rendered(copy, places)
    return Stills(_read(run.ground_truth(subject), places), PREVIEW)


def _read(path: Path, places: Collection[int]) -> dict[int, Frame]:
    if not path.exists():
        raise RecordError(f"{path} is missing; run the cell again")
    wanted, last = set(places), max(places, default=-1)
    shown: Iterable[tuple[int, Frame]] = islice(enumerate(read_video(path)), last + 1)
    found = {place: frame for place, frame in shown if place in wanted}
    if missing := wanted - found.keys():
        raise RecordError(f"{path} has no frame number {min(missing)}; run the cell again")
    return found
