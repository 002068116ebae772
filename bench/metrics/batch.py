"""A batch of frame pairs as every metric sees it: pixels, the weights of each region, and landmarks found once for all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import landmarks
from bench.errors import DataError

Frames = NDArray[np.uint8]
"""RGB [N, H, W, 3], 0–255."""
Mask = NDArray[Any]
"""Weights ≥ 0 (or bool) [N, H, W]: how much each pixel counts."""
Values = NDArray[np.float64]
"""One value a frame [N], or several [N, F]: NaN where the frame can't be scored, +inf where PSNR's two frames are identical."""

FULL = "full"
"""The region that is the whole frame."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive frame pairs.

    :raises bench.errors.DataError: if shapes or types don't fit
    """

    pred: Frames
    gt: Frames
    regions: Mapping[str, Mask] = field(default_factory=dict)
    """Weights of each region but :data:`FULL`, by name; all 0 where a frame has nothing of it."""
    ids: tuple[int, ...] = ()
    """Frame ids; empty: they count from 0."""
    before: tuple[Frames, Frames] | None = None
    """The pair right before the first one, [1, H, W, 3] each, for metrics over time; None if there is none."""
    _points: dict[int, tuple[landmarks.Points, landmarks.Points]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        check_pair(self.pred, self.gt)
        for mask in self.regions.values():
            check_mask(mask, self.gt)

    def __len__(self) -> int:
        return len(self.gt)

    @property
    def weights(self) -> dict[str, Mask | None]:
        """Every region's weights, the whole frame first (None: every pixel counts alike)."""
        return {FULL: None, **self.regions}

    def points(self, detector: landmarks.Detector) -> tuple[landmarks.Points, landmarks.Points]:
        """Landmarks (pred, gt), [N, 68, 2] each, NaN where no face was found; found once, however many metrics ask."""
        with self._lock:
            if id(detector) not in self._points:
                made = landmarks.detect_all(detector, self.pred)
                self._points[id(detector)] = (made, landmarks.detect_all(detector, self.gt, remember=True))
            return self._points[id(detector)]


def check_pair(pred: Frames, gt: Frames) -> None:
    """DataError unless both are uint8 RGB [N, H, W, 3] of one shape."""
    for name, frames in (("pred", pred), ("gt", gt)):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise DataError(f"{name} frames are {frames.dtype} {frames.shape}, expected uint8 (N, H, W, 3)")
    if pred.shape != gt.shape:
        raise DataError(f"pred frames are {pred.shape}, ground truth is {gt.shape}")


def check_mask(mask: Mask, gt: Frames) -> None:
    """DataError unless the weights are finite, ≥ 0 and [N, H, W]."""
    if mask.shape != gt.shape[:3] or not np.all(np.isfinite(mask)) or np.any(mask < 0):
        raise DataError(f"mask is {mask.shape}, expected finite weights of at least 0 and shape {gt.shape[:3]}")


def weighted_mean(values: NDArray[Any], weights: Mask) -> Values:
    """Mean over pixels and channels of ``values`` [N, H, W, C] under ``weights`` [N, H, W]; NaN where all weights are 0.

    The divisor is the weights' sum, not the frame's area: pixels outside a region must not dilute the error in it.
    """
    total = values.shape[3] * weights.sum(axis=(1, 2), dtype=np.float64)
    summed = np.einsum("nhwc,nhw->n", values, weights.astype(np.float64))
    return np.divide(summed, total, out=np.full(len(values), np.nan), where=total > 0)
