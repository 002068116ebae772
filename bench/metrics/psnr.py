"""PSNR: mean squared error of a frame, on a logarithmic scale."""

from __future__ import annotations

import numpy as np

from bench.metrics.base import Frames, Mask, Metric, Scorer, Settings, Values, check_pair, weighted_mean


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
    check_pair(pred, gt, mask)
    squared = (pred.astype(np.int32) - gt) ** 2
    if mask is None:
        mse = squared.mean(axis=(1, 2, 3), dtype=np.float64)
    else:
        mse = weighted_mean(squared.astype(np.float64), mask)
    with np.errstate(divide="ignore"):
        return np.asarray(-10.0 * np.log10(mse / 255.0**2))


def _open(settings: Settings) -> Scorer:
    return Scorer(psnr)


METRIC = Metric(
    name="psnr",
    label="PSNR",
    unit="dB",
    higher_is_better=True,
    definition="-10 log10 of the mean squared error over pixels and channels of 8-bit RGB / 255, per frame; "
    "then the mean over frames that aren't identical to their ground truth.",
    source="metrics.py of TalkingGaussian and DEGSTalk; nerf_triplane/utils.py of ER-NeRF and SyncTalk",
    version=1,
    open=_open,
    takes_mask=True,
)
