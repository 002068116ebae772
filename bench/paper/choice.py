"""Which frame and which part of it a figure shows: by a rule that the caption states, never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import catalogue, classes
from bench.errors import DataError
from bench.regions import mouth
from bench.report.data import Cell
from bench.report.uncertainty import frame_series
from bench.subject import Frame, Subject
from bench.video import Frame as Picture

CROP = 0.25
"""Side of a crop, as a share of the frame's shorter side."""
_SEAM_WIDTH = 0.02
"""How far from the other part a pixel may lie to belong to their seam, as a share of the frame's shorter side."""


@dataclass(frozen=True)
class Choice:
    """The frame on which methods differ most."""

    place: int
    """Among the test frames, from 0."""
    frame_id: int
    measure: str
    """By which they differ: ``psnr@face``, or ``psnr`` where one has no such values."""
    spread: float
    """Standard deviation over the methods, in the measure's unit."""


@dataclass(frozen=True)
class Box:
    """A square part of a frame, in pixels."""

    name: str
    """What it shows, in words."""
    left: int
    top: int
    side: int

    def of(self, picture: Picture) -> Picture:
        """The part [side, side, 3]."""
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def most_disputed(cells: Sequence[Cell]) -> Choice | None:
    """The test frame with the largest standard deviation of PSNR over the methods; None if they share no two values.

    :param cells: of one subject, one a method
    """
    tables = [cell.frames() for cell in cells]
    for measure, region in (("psnr@face", "face"), ("psnr", "full")):
        series = [frame_series(table, "psnr", region) for table in tables]
        values = [one for one in series if one is not None]
        if len(values) < 2 or len(values) < len(series) or len({one.shape for one in values}) > 1:
            continue
        stack = np.stack(values)
        spread = np.where(np.isfinite(stack).all(0), stack.std(0, where=np.isfinite(stack)), -1.0)
        place = int(spread.argmax())
        table = tables[0]
        if table is not None and spread[place] >= 0:
            return Choice(place, int(table.index[place]), measure, float(spread[place]))
    return None


def disagreement(pictures: Sequence[Picture]) -> Box:
    """The square in which the methods' pictures of one frame differ most: mean variance over them.

    :param pictures: uint8 [H, W, 3] each, two or more
    """
    variance = np.stack(pictures).astype(np.float32).var(0).sum(-1)
    return _fullest("largest disagreement", variance)


def opened(cell: Cell, frame_id: int) -> Frame:
    """A frame of the subject that a cell was made from, for its labels and landmarks.

    :raises bench.errors.BenchError: the subject isn't here any more, or isn't what it was
    """
    root = cell.subject_root
    subject = Subject(root) if root and root.is_dir() else catalogue.resolve(cell.key.subject)
    if cell.record is None or catalogue.subject_hash(subject) != cell.record.provenance.get("subject"):
        raise DataError(f"{subject.root} is not the subject that {cell.key.name} was scored on")
    return subject.frame(frame_id)


def mouth_box(frame: Frame) -> Box:
    """The square around the lips' landmarks."""
    return _fullest("mouth", mouth(frame).astype(np.float32))


def seams(frame: Frame) -> list[Box]:
    """Where hair meets face and where the neck meets the head: the squares that hold most of each seam."""
    labels = frame.labels
    pairs = {
        "hair and face": (classes.hair(labels, ears=False), classes.face(labels, ears=True)),
        "neck and head": (classes.neck(labels), classes.head(labels)),
    }
    found = {name: _seam(*pair) for name, pair in pairs.items()}
    return [_fullest(f"seam of {name}", seam) for name, seam in found.items() if seam.any()]


def _seam(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Pixels [H, W] of either part that are near the other: 1, else 0."""
    reach = max(1, round(_SEAM_WIDTH * min(one.shape)))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near = [cv2.dilate(mask.astype(np.uint8), kernel) for mask in (one, other)]
    return np.minimum(*near).astype(np.float32)


def _fullest(name: str, weight: NDArray[np.float32]) -> Box:
    """The square with the largest sum of ``weight`` [H, W]; of equal ones the middle one."""
    side = max(8, round(CROP * min(weight.shape)))
    sums = cv2.boxFilter(weight, -1, (side, side), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT)
    inside = sums[: weight.shape[0] - side + 1, : weight.shape[1] - side + 1]
    best = np.argwhere(inside >= inside.max() * (1 - 1e-6))
    top, left = best[np.abs(best - best.mean(0)).sum(1).argmin()]
    return Box(name, int(left), int(top), side)
