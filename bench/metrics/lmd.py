"""LMD: how far the mouth's landmarks are from the ground truth's, wherever the face is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.metrics.base import Frames, Mask, Metric, Scorer, Settings, Values

MOUTH = slice(48, 68)
"""The lips' 20 points, outer and inner, among iBUG's 68."""


def lmd(pred: NDArray[Any], gt: NDArray[Any]) -> Values:
    """Mean distance, in pixels, of each frame's 20 mouth points after each set is centred on its own mean.

    :param pred: landmarks [N, 68, 2] in pixels, NaN for a frame without a face
    :param gt: the same shape
    :returns: float64 [N]; NaN where either face is missing
    :raises bench.errors.DataError: if shapes don't fit

    Source: the LMD of RAD-NeRF's lineage (ER-NeRF, SyncTalk, TalkingGaussian, DEGSTalk). Not scaled by the face's size.

    >>> face = np.random.default_rng(0).normal(size=(1, 68, 2))
    >>> float(lmd(face + 7.0, face)[0]) < 1e-12  # moving the whole face doesn't count
    True
    """
    if pred.shape != gt.shape or pred.shape[1:] != (68, 2):
        raise DataError(f"landmarks are {pred.shape} and {gt.shape}, expected (N, 68, 2) twice")
    mouths = [points[:, MOUTH].astype(np.float64) for points in (pred, gt)]
    moved, still = (mouth - mouth.mean(axis=1, keepdims=True) for mouth in mouths)
    return np.asarray(np.linalg.norm(moved - still, axis=2).mean(axis=1))


def _open(settings: Settings) -> Scorer:
    from bench import landmarks

    detector = landmarks.get(settings.detector, settings.device)

    def per_frame(pred: Frames, gt: Frames, mask: Mask | None) -> Values:
        return lmd(landmarks.detect_all(detector, pred), landmarks.detect_all(detector, gt))

    name = f"{detector.name}-{detector.version}"
    return Scorer(per_frame, (("det", name), ("pts", "48-67"), ("center", "mean"), ("norm", "px")))


METRIC = Metric(
    name="lmd",
    label="LMD",
    unit="px",
    higher_is_better=False,
    definition="Landmarks 48-67 of 68 in both frames, each set centred on its own mean: the mean Euclidean distance of the 20 "
    "pairs in pixels, per frame; then over frames where both faces were found. Values of different detectors don't compare.",
    source="LMDMeter of RAD-NeRF's lineage (ER-NeRF, SyncTalk, TalkingGaussian, DEGSTalk)",
    version=1,
    open=_open,
    may_skip=True,
)
