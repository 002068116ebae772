"""SSIM in Wang et al.'s setting: structural similarity under a Gaussian window."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.errors import DataError
from bench.metrics.base import Frames, Mask, Metric, Scorer, Settings, Values, check_pair, weighted_mean

RADIUS = 5
"""Half of the 11×11 window: so many border pixels have no full window and don't count."""


def ssim(pred: Frames, gt: Frames, mask: Mask | None = None) -> Values:
    """Mean structural similarity of each frame: -1…1, 1 for identical frames.

    The setting is the one of Wang et al. (2004), as scikit-image's documentation spells it: Gaussian window with σ = 1.5, cut
    to 11×11, population covariance, K1 = 0.01, K2 = 0.03, data range 255, the mean over the three channels and all pixels with
    a full window. It is chosen over DEGSTalk's (scikit-image's defaults: 7×7 uniform, sample covariance) because it is the
    published definition, and the one of torchmetrics and NerfBaselines; the signature says ``win:gauss11``.

    :param pred: uint8 RGB [N, H, W, 3], H and W at least 11
    :param gt: the same shape
    :param mask: weights ≥ 0 [N, H, W]: the mean of the SSIM map under them. Windows reach over the mask's edge.
    :returns: float64 [N]; NaN for a frame whose mask is empty
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", IEEE TIP 13(4), 2004; scikit-image computes it.
    """
    check_pair(pred, gt, mask)
    if min(gt.shape[1:3]) <= 2 * RADIUS:
        raise DataError(f"frames are {gt.shape[1:3]}, SSIM needs at least 11×11")
    maps = [_ssim_map(p, g) for p, g in zip(pred, gt, strict=True)]
    if mask is None:
        return np.array([mean for mean, _ in maps], dtype=np.float64)
    inner = slice(RADIUS, -RADIUS)
    return weighted_mean(np.stack([full[inner, inner] for _, full in maps]), mask[:, inner, inner])


def _ssim_map(pred: Frames, gt: Frames) -> tuple[float, Values]:
    """One frame's mean SSIM and its map [H, W, 3]."""
    from skimage import metrics as skimage_metrics

    similarity: Any = skimage_metrics.structural_similarity  # partly annotated, which mypy counts as untyped
    mean, full = similarity(
        gt,
        pred,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
        full=True,
    )
    return float(mean), full


def _open(settings: Settings) -> Scorer:
    return Scorer(ssim, (("win", "gauss11"),))


METRIC = Metric(
    name="ssim",
    label="SSIM",
    unit="1",
    higher_is_better=True,
    definition="Structural similarity of 8-bit RGB with an 11x11 Gaussian window (sigma 1.5), population covariance, K1 0.01, "
    "K2 0.03, data range 255: the mean over channels and pixels with a full window, per frame; then over frames.",
    source="Wang et al., IEEE TIP 13(4), 2004; computed by scikit-image",
    version=1,
    open=_open,
    takes_mask=True,
)
