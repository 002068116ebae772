"""Landmark distances: how far the mouth's, the face's or the eyes' points are from the ground truth's, in pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import landmarks, stats
from bench.errors import DataError
from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import FULL, Batch, Values

MOUTH = slice(48, 68)
"""The lips' 20 points, outer and inner, among iBUG's 68."""
EYES = (slice(36, 42), slice(42, 48))
"""The eyelids' points: of the eye at the image's left, and at its right."""

Points = NDArray[Any]
"""Landmarks [N, 68, 2] in pixels, NaN for a frame without a face."""


def lmd(pred: Points, gt: Points) -> Values:
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
    return _distance(*_checked(pred, gt), (MOUTH,))


def lmd_face(pred: Points, gt: Points) -> Values:
    """Mean distance, in pixels, of each frame's 68 points where they are: a shifted face counts. Shapes as :func:`lmd`.

    >>> face = np.zeros((1, 68, 2))
    >>> float(lmd_face(face + [3.0, 4.0], face)[0])
    5.0
    """
    moved, still = _checked(pred, gt)
    return np.asarray(np.linalg.norm(moved - still, axis=2).mean(axis=1))


def lmd_eyes(pred: Points, gt: Points) -> Values:
    """Mean distance, in pixels, of each frame's 12 eyelid points, each eye centred on its own mean. Shapes as :func:`lmd`."""
    return _distance(*_checked(pred, gt), EYES)


def detector_of(settings: Settings) -> tuple[landmarks.Detector, tuple[str, str]]:
    """The detector that ``settings`` name, ready to run, and the signature's part that says which one it is."""
    detector = landmarks.get(settings.detector, settings.device)
    return detector, ("det", f"{detector.name}-{detector.version}")


def _checked(pred: Points, gt: Points) -> tuple[Points, Points]:
    if pred.shape != gt.shape or pred.shape[1:] != (68, 2):
        raise DataError(f"landmarks are {pred.shape} and {gt.shape}, expected (N, 68, 2) twice")
    return pred.astype(np.float64), gt.astype(np.float64)


def _distance(pred: Points, gt: Points, groups: Sequence[slice]) -> Values:
    """Mean over the points of all groups, each group of each side centred on its own mean."""
    distances = []
    for group in groups:
        moved, still = (points[:, group] - points[:, group].mean(axis=1, keepdims=True) for points in (pred, gt))
        distances.append(np.linalg.norm(moved - still, axis=2))
    return np.asarray(np.concatenate(distances, axis=1).mean(axis=1))


def _opener(distance: Callable[[Points, Points], Values], points: str, centre: str) -> Callable[[Settings], Scorer]:
    """What gets ``distance`` ready: a detector, and the signature's parts."""

    def opened(settings: Settings) -> Scorer:
        detector, named = detector_of(settings)

        def per_frame(batch: Batch) -> Series:
            return {FULL: distance(*batch.points(detector))}

        return Scorer(per_frame, (named, ("pts", points), ("center", centre), ("norm", "px")))

    return opened


_mean = replace(stats.frame_mean, bounds=(0.0, np.inf))
_REST = (
    "Not scaled by the face's size. Then the mean over frames where both faces were found. Values of different "
    "detectors don't compare."
)

LMD = Metric(
    name="lmd",
    label="LMD",
    unit="px",
    higher_is_better=False,
    definition="Landmarks 48-67 of 68 in both frames, each set centred on its own mean: the mean Euclidean distance of the 20 "
    f"pairs in pixels, per frame. {_REST}",
    source="LMDMeter of RAD-NeRF's lineage (ER-NeRF, SyncTalk, TalkingGaussian, DEGSTalk)",
    version=1,
    open=_opener(lmd, "48-67", "mean"),
    statistic=_mean,
    may_skip=True,
)

FACE = Metric(
    name="lmd-face",
    label="LMD-face",
    unit="px",
    higher_is_better=False,
    definition="All 68 landmarks in both frames, in frame coordinates (not centred, so that a face in the wrong place counts): the "
    f"mean Euclidean distance of the 68 pairs in pixels, per frame. {_REST}",
    source="LMD of Chen et al., ECCV 2018, on the whole face and without its alignment",
    version=1,
    open=_opener(lmd_face, "0-67", "none"),
    statistic=_mean,
    may_skip=True,
)

EYELIDS = Metric(
    name="lmd-eyes",
    label="LMD-eyes",
    unit="px",
    higher_is_better=False,
    definition="Landmarks 36-41 and 42-47 of 68 in both frames, each eye centred on its own mean: the mean Euclidean distance of "
    f"the 12 pairs in pixels, per frame. {_REST}",
    source="LMD of Chen et al., ECCV 2018, on the eyes, each aligned by its mean",
    version=1,
    open=_opener(lmd_eyes, "36-41,42-47", "mean"),
    statistic=_mean,
    may_skip=True,
)

METRICS = (LMD, FACE, EYELIDS)
