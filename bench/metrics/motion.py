"""Do the eyes close and does the mouth open when the real ones do: correlation over time with the ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import FULL, Batch, Values
from bench.metrics.correlation import correlation
from bench.metrics.landmark_distance import detector_of
from bench.stats import Batched

Points = NDArray[Any]
"""Landmarks [N, 68, 2] in pixels, NaN for a frame without a face."""

BLINK = 0.25
"""The least fall of the eyes' openness that is a blink, as a share of its median."""


def eye_openness(points: Points) -> Values:
    """The eye aspect ratio of each frame [N], mean of both eyes: about 0.3 open, below 0.1 closed.

    Of one eye with points p1 … p6 (iBUG's 36–41 or 42–47): ``(|p2 − p6| + |p3 − p5|) / (2 |p1 − p4|)``.

    Source: Soukupová & Čech, CVWW 2016, equation 1.

    >>> eye = np.array([[0, 0], [1, -1], [2, -1], [3, 0], [2, 1], [1, 1]])  # twice 2 high, 3 wide
    >>> face = np.zeros((1, 68, 2))
    >>> face[0, 36:42] = face[0, 42:48] = eye
    >>> round(float(eye_openness(face)[0]), 6)
    0.666667
    """
    ratios = []
    for first in (36, 42):
        p = [points[:, first + k].astype(np.float64) for k in range(6)]
        ratios.append((_length(p[1] - p[5]) + _length(p[2] - p[4])) / (2 * _length(p[0] - p[3])))
    return np.asarray(np.mean(ratios, axis=0))


def mouth_opening(points: Points) -> Values:
    """The gap between the lips (62 to 66) of each frame [N], in heights of the face (27 to 8, bridge of the nose to chin).

    The lips' gap rather than the chin's distance from the nose: that one follows the head's nodding as much as the jaw,
    so that a head with a frozen mouth and the right pose has it nearly right.
    """
    p = points.astype(np.float64)
    return np.asarray(_length(p[:, 66] - p[:, 62]) / _length(p[:, 8] - p[:, 27]))


def _length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors, axis=-1))


@dataclass(frozen=True)
class _Blinks(Batched):
    """A correlation that has no value where the ground truth doesn't blink: only measuring noise is left to correlate."""

    def __call__(self, values: NDArray[np.float64]) -> float:
        truth = values[~np.isnan(values).any(axis=1), 1]
        blinks = len(truth) and truth.min() <= (1 - BLINK) * np.median(truth)
        return super().__call__(values) if blinks else float("nan")


def _opener(quantity: Callable[[Points], Values], points: str) -> Callable[[Settings], Scorer]:
    def opened(settings: Settings) -> Scorer:
        detector, named = detector_of(settings)

        def per_frame(batch: Batch) -> Series:
            return {FULL: np.stack([quantity(side) for side in batch.points(detector)], axis=1)}

        return Scorer(per_frame, (named, ("pts", points)))

    return opened


_r = correlation()

BLINKING = Metric(
    name="blink",
    label="Blink-r",
    unit="1",
    higher_is_better=True,
    definition="The eye aspect ratio (|p2-p6|+|p3-p5|)/(2|p1-p4|) of landmarks 36-41 and 42-47, mean of both eyes, in each frame; "
    "then Pearson's r between prediction and ground truth over the frames where both faces were found. Undefined unless the "
    "ground truth's ratio falls once by at least 25 % of its median.",
    source="eye aspect ratio: Soukupova & Cech, CVWW 2016, equation 1; the correlation is talkbench's",
    version=1,
    open=_opener(eye_openness, "36-41,42-47"),
    columns=("blink_pred", "blink_gt"),
    statistic=_Blinks(_r.batch, bounds=_r.bounds),
    aggregation="pearson",
    undefined="nobody blinks: the ground truth's eyes stay open in these frames, or the prediction's never move",
    may_skip=True,
)

JAW = Metric(
    name="jaw",
    label="Jaw-r",
    unit="1",
    higher_is_better=True,
    definition="The distance of landmarks 62 and 66 (between the lips) divided by that of 27 and 8 (bridge of the nose to chin) in "
    "each frame; then Pearson's r between prediction and ground truth over the frames where both faces were found.",
    source="talkbench",
    version=1,
    open=_opener(mouth_opening, "62,66/27,8"),
    columns=("jaw_pred", "jaw_gt"),
    statistic=_r,
    aggregation="pearson",
    undefined="the mouth of the prediction or of the ground truth never moves in these frames",
    may_skip=True,
)

METRICS = (BLINKING, JAW)
