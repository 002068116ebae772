"""Flicker: how much more the picture changes from frame to frame than the ground truth, where the ground truth stands still."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import stats, threads
from bench.errors import DataError
from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import Batch, Frames, Mask, Values, check_mask, check_pair, weighted_mean

BLUR = 1.0
"""Sigma in pixels of the blur that changes are taken under: it takes most of a camera's and a codec's noise away."""
STILL = 2.0
"""Largest change, in 8-bit levels, of a pixel that stands still."""

Before = tuple[Frames, Frames]
"""The pair (pred, gt) right before the first one, [1, H, W, 3] each."""


def flicker(pred: Frames, gt: Frames, mask: Mask | None = None, before: Before | None = None) -> Values:
    """Excess change of each frame since the one before, in 8-bit levels: ≥ 0; 0 where pred changes no more than gt.

    A change is the difference to the frame before under a Gaussian blur (σ = 1 pixel, 7×7). A pixel stands still if gt's
    change is at most 2 levels in every channel. The value is pred's mean absolute change over these pixels and the channels,
    less gt's own. It is never below 0: a picture steadier than the footage is no better than one as steady, and can't make
    up for frames that flicker. Flicker within the footage's own noise doesn't count.

    :param pred: uint8 RGB [N, H, W, 3], consecutive frames
    :param gt: the same shape
    :param mask: weights ≥ 0 [N, H, W]: the means are under them, as the frame itself has them (not the one before)
    :param before: the pair right before the first one
    :returns: float64 [N]; NaN for the first frame if there is none before it, and where no pixel of weight stands still
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: own definition.

    >>> gt = np.full((2, 8, 8, 3), 100, np.uint8)
    >>> pred = gt + np.array([0, 5], np.uint8).reshape(2, 1, 1, 1)
    >>> flicker(pred, gt).round(3).tolist(), float(flicker(gt, gt)[1])
    ([nan, 5.0], 0.0)
    """
    check_pair(pred, gt)
    if mask is not None:
        check_mask(mask, gt)
    return _mean(*_excess(pred, gt, before), mask)


def _excess(pred: Frames, gt: Frames, before: Before | None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How much more each pixel of pred changes than gt's, and whether gt's stands still (nowhere without a frame before)."""
    if before is not None:
        check_pair(*before)
        if before[1].shape != (1, *gt.shape[1:]):
            raise DataError(f"the pair before is {before[1].shape}, expected (1, H, W, 3) like {gt.shape}")
    excess, still = np.zeros(gt.shape[:3], np.float32), np.zeros(gt.shape[:3], bool)

    def fill(i: int) -> None:
        last = (pred[i - 1], gt[i - 1]) if i else (before[0][0], before[1][0]) if before else None
        if last is not None:
            made, true = _change(last[0], pred[i]), _change(last[1], gt[i])
            excess[i] = made.mean(axis=2) - true.mean(axis=2)
            still[i] = true.max(axis=2) <= STILL

    threads.each(fill, range(len(gt)))
    return excess, still


def _change(last: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float32]:
    difference = now.astype(np.float32) - last
    return np.asarray(np.abs(cv2.GaussianBlur(difference, (7, 7), BLUR)))


def _mean(excess: NDArray[np.float32], still: NDArray[np.bool_], mask: Mask | None) -> Values:
    weights = still if mask is None else still * mask
    return np.maximum(weighted_mean(excess[..., None], weights), 0.0)


def _open(settings: Settings) -> Scorer:
    def per_frame(batch: Batch) -> Series:
        excess, still = _excess(batch.pred, batch.gt, batch.before)
        # Where frames are left out, the one before isn't the one before.
        still[1:][np.diff(batch.ids or range(len(batch))) != 1] = False
        return {region: _mean(excess, still, mask) for region, mask in batch.weights.items()}

    return Scorer(per_frame, (("blur", f"{BLUR:g}"), ("still", f"{STILL:g}")))


METRIC = Metric(
    name="flicker",
    label="Flicker",
    unit="levels",
    higher_is_better=False,
    definition="A change is a frame less the one before it in 8-bit RGB, blurred by a Gaussian of 1 px (7x7, borders mirrored). "
    "Pixels stand still where the ground truth's absolute change is at most 2 levels in every channel. Per frame: pred's mean "
    "absolute change over these pixels and channels, less the ground truth's, at least 0; then the mean over frames that have "
    "one before them. In a region, the means under its weights.",
    source="own definition",
    version=1,
    open=_open,
    regions=None,
    statistic=replace(stats.frame_mean, bounds=(0.0, np.inf)),
    undefined="no frame has one before it with a part where the ground truth stands still",
    warm_up=1,
)
