"""MS-SSIM: structural similarity at five scales, of which the coarsest alone compares brightness."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import stats, threads
from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import FULL, Batch, Frames, Values, check_pair

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""How much each scale counts, the finest first; 1 in all."""
SMALLEST = 161
"""Frames with a shorter side have no whole window at the coarsest scale."""

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ms_ssim(pred: Frames, gt: Frames) -> Values:
    """Multi-scale structural similarity of each frame: 0…1, 1 for identical frames.

    Each scale is the one before, averaged over squares of 2×2 pixels; a last odd row or column is paired with itself. At each,
    contrast and structure are compared as in :func:`bench.metrics.ssim.ssim` (Gaussian 11×11, σ = 1.5, pixels with a full
    window), at the coarsest also luminance; the means are multiplied under :data:`EXPONENTS`, of each channel, then averaged
    over channels. A negative mean counts as 0.

    :param pred: uint8 RGB [N, H, W, 3]
    :param gt: the same shape
    :returns: float64 [N]; NaN if a side is shorter than :data:`SMALLEST`
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar 2003. The numbers
    are pytorch-msssim 1.0.0's for sides that are multiples of 16; at odd sides that package pairs with black. torchmetrics
    averages the channels before it multiplies, and drops odd rows.
    """
    check_pair(pred, gt)
    if min(gt.shape[1:3]) < SMALLEST:
        return np.full(len(gt), np.nan)
    return np.array(threads.each(_similarity, pred, gt), np.float64)


def _similarity(pred: NDArray[np.uint8], gt: NDArray[np.uint8]) -> float:
    x: Any = pred.astype(np.float64)
    y: Any = gt.astype(np.float64)
    product = np.ones(3)
    for scale, exponent in enumerate(EXPONENTS, start=1):
        luminance, structure = _maps(x, y)
        compared = luminance * structure if scale == len(EXPONENTS) else structure
        product *= np.maximum(compared.mean(axis=(0, 1)), 0.0) ** exponent
        x, y = _halved(x), _halved(y)
    return float(product.mean())


def _maps(x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Luminance, and contrast times structure, [h, w, 3] where the window is whole."""
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    power, product = _local_mean(x * x + y * y), _local_mean(x * y)
    means, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    return (2 * means + _C1) / (squares + _C1), (2 * (product - means) + _C2) / (power - squares + _C2)


def _local_mean(x: Any) -> Any:
    return cv2.GaussianBlur(x, (11, 11), 1.5)[5:-5, 5:-5]


def _halved(x: Any) -> Any:
    height, width = x.shape[:2]
    even = cv2.copyMakeBorder(x, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _open(settings: Settings) -> Scorer:
    def per_frame(batch: Batch) -> Series:
        return {FULL: ms_ssim(batch.pred, batch.gt)}

    return Scorer(per_frame, (("win", "gauss11"), ("scales", str(len(EXPONENTS)))))


METRIC = Metric(
    name="ms-ssim",
    label="MS-SSIM",
    unit="1",
    higher_is_better=True,
    definition="Structural similarity on 8-bit RGB at five scales, each the 2x2 averages of the one before (a last odd row or "
    "column pairs with itself): 11x11 Gaussian, sigma 1.5, K1 0.01, K2 0.03, data range 255, pixels with a full window. Per "
    "channel, the product of the mean contrast-structure terms (at the coarsest scale: of luminance times it; negative means "
    "are 0) to the powers 0.0448, 0.2856, 0.3001, 0.2363, 0.1333; the mean over channels; then over frames. Whole frame only: "
    "at the coarsest scale a window covers 176 pixels.",
    source="Wang, Simoncelli, Bovik, Asilomar 2003; values as pytorch-msssim 1.0.0's",
    version=1,
    open=_open,
    statistic=replace(stats.frame_mean, bounds=(0.0, 1.0)),
    undefined=f"its five scales need frames of at least {SMALLEST}×{SMALLEST} pixels",
)
