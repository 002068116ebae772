"""The parts of a test frame that are scored on their own, from the subject's own labels and landmarks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench import classes
from bench.classes import Mask
from bench.subject import Frame, Subject

MOUTH_MARGIN = 0.25
"""Grows the mouth's box on each side, in widths of the mouth: lips move beyond where they are now."""


def face(frame: Frame) -> Mask:
    """[H,W] skin, brows, eyes, nose, lips, ears, and the inside of the mouth."""
    return classes.face(frame.labels, ears=True) | classes.mouth(frame.labels, frame.teeth)


def mouth(frame: Frame) -> Mask:
    """[H,W] the box of the lips' landmarks (48–67), grown by :data:`MOUTH_MARGIN`."""
    lips = frame.landmarks[48:68]
    low, high = lips.min(0), lips.max(0)
    margin = MOUTH_MARGIN * (high[0] - low[0])
    (left, top), (right, bottom) = np.floor(low - margin).clip(0).astype(int), np.ceil(high + margin).astype(int)
    box = np.zeros(frame.labels.shape, bool)
    box[top : bottom + 1, left : right + 1] = True
    return box


REGIONS: dict[str, Callable[[Frame], Mask]] = {"face": face, "mouth": mouth}
"""Regions by the name that a signature gives them."""


def mask_of(subject: Subject, region: str) -> Callable[[int], Mask]:
    """Frame id → mask of ``region``."""
    return lambda frame_id: REGIONS[region](subject.frame(frame_id))
