"""The parts of a frame that are scored on their own, from the subject's own labels and landmarks.

One more region, ``synthesised``, comes from the ground-truth audit: what the method itself drew (:mod:`bench.audit`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench import classes
from bench.classes import Mask
from bench.subject import Frame

MOUTH_MARGIN = 0.25
"""Grows the mouth's box on each side, in widths of the mouth: lips move beyond where they are now."""
SYNTHESISED = "synthesised"


def face(frame: Frame) -> Mask:
    """[H,W] skin, brows, eyes, nose, lips and the inside of the mouth. Without ears: some methods copy those."""
    return classes.face(frame.labels, ears=False) | classes.mouth(frame.labels, frame.teeth)


def mouth(frame: Frame) -> Mask:
    """[H,W] the box of the lips' landmarks (48–67), grown by :data:`MOUTH_MARGIN`."""
    lips = frame.landmarks[48:68]
    low, high = lips.min(0), lips.max(0)
    margin = MOUTH_MARGIN * (high[0] - low[0])
    (left, top), (right, bottom) = np.floor(low - margin).clip(0).astype(int), np.ceil(high + margin).astype(int)
    box = np.zeros(frame.labels.shape, bool)
    box[top : bottom + 1, left : right + 1] = True
    return box


def hair(frame: Frame) -> Mask:
    """[H,W] hair, without ears."""
    return classes.hair(frame.labels, ears=False)


def torso(frame: Frame) -> Mask:
    """[H,W] neck, necklace and clothes."""
    return classes.neck(frame.labels) | (frame.labels == classes.CLOTH)


REGIONS: dict[str, Callable[[Frame], Mask]] = {"face": face, "mouth": mouth, "hair": hair, "torso": torso}
"""Regions by the name that a signature gives them."""
