"""PSNR: mean squared error of a frame, on a logarithmic scale."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import FULL, Batch, Frames, Mask, Values, check_mask, check_pair, weighted_mean


def psnr(pred: Frames, gt: Frames, mask: Mask | None = None) -> Values:
    """``-10 log10(mse)`` of each frame, in dB, on 8-bit values divided by 255.

    :param pred: uint8 RGB [N, H, W, 3]
    :param gt: the same shape
    :param mask: weights ≥ 0 [N, H, W]; the mean is then ``Σ w·d² / (3 Σ w)``
    :returns: float64 [N]; +inf for an identical frame, NaN for a frame whose mask is empty
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: the definition of ER-NeRF, SyncTalk, TalkingGaussian and DEGSTalk's scripts (per frame, full image).

    >>> black, grey = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 51, np.uint8)
    >>> round(float(psnr(grey, black)[0]), 6)  # an error of 0.2 everywhere
    13.9794
    """
    check_pair(pred, gt)
    if mask is not None:
        check_mask(mask, gt)
    return _decibel(_mse(pred, gt) if mask is None else weighted_mean(_squared(pred, gt), mask))


def _mse(pred: Frames, gt: Frames) -> Values:
    """Of whole frames, on 0–255: OpenCV sums the squares of bytes without rounding and without a copy."""
    sums = [cv2.norm(p, g, cv2.NORM_L2SQR) for p, g in zip(pred, gt, strict=True)]
    return np.array(sums, np.float64) / gt[0].size if len(gt) else np.zeros(0)


def _squared(pred: Frames, gt: Frames) -> NDArray[np.float64]:
    """[N, H, W, 1], the mean over channels, which all regions share."""
    squared = (pred.astype(np.int32) - gt) ** 2
    return (squared[..., :1] + squared[..., 1:2] + squared[..., 2:]) / 3


def _decibel(mse: Values) -> Values:
    with np.errstate(divide="ignore"):
        return np.asarray(-10.0 * np.log10(mse / 255.0**2))


def _open(settings: Settings) -> Scorer:
    def per_frame(batch: Batch) -> Series:
        errors = {FULL: _mse(batch.pred, batch.gt)}
        if batch.regions:
            squared = _squared(batch.pred, batch.gt)
            errors |= {region: weighted_mean(squared, mask) for region, mask in batch.regions.items()}
        return {region: _decibel(mse) for region, mse in errors.items()}

    return Scorer(per_frame)


METRIC = Metric(
    name="psnr",
    label="PSNR",
    unit="dB",
    higher_is_better=True,
    definition="-10 log10 of the mean squared error over pixels and channels of 8-bit RGB / 255, per frame; "
    "then the mean over frames that aren't identical to their ground truth. In a region, the mean is under its weights.",
    source="metrics.py of TalkingGaussian and DEGSTalk; nerf_triplane/utils.py of ER-NeRF and SyncTalk",
    version=1,
    open=_open,
    regions=None,
)
