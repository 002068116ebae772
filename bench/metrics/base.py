"""What a metric is, what a result is, and how per-frame values become one number.

A metric's file holds a pure function ``(pred, gt, …) → float64 [N]`` and a :class:`Metric` that declares what it means.
:class:`Accumulator` feeds it batch by batch, so that a long video never lies in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.metrics.signature import NEUTRAL, Signature

Frames = NDArray[np.uint8]
"""RGB [N, H, W, 3], 0–255."""
Mask = NDArray[Any]
"""Weights ≥ 0 (or bool) [N, H, W]: how much each pixel counts."""
Values = NDArray[np.float64]
"""One value a frame [N]: NaN where the frame can't be scored, +inf where PSNR's two frames are identical."""
PerFrame = Callable[[Frames, Frames, Mask | None], Values]
State = Literal["ok", "identical", "absent", "invalid"]


@dataclass(frozen=True)
class Settings:
    """What the metrics that need a model run with."""

    detector: str = "mediapipe"
    """A name of :data:`bench.landmarks.DETECTORS`."""
    device: str = "cpu"
    """A torch device."""


@dataclass(frozen=True)
class Scorer:
    """A metric that is ready to run: its models are loaded."""

    per_frame: PerFrame
    parts: tuple[tuple[str, str], ...] = ()
    """The metric's own choices, for the signature."""


@dataclass(frozen=True)
class Metric:
    """A metric's name and meaning, and how to get it ready."""

    name: str
    """Key in records and on the command line, such as ``psnr``."""
    label: str
    """Name in tables and signatures, such as ``PSNR``."""
    unit: str
    higher_is_better: bool
    definition: str
    """One sentence that another implementation could be written from."""
    source: str
    """Where the definition comes from."""
    version: int
    """Raised whenever the same frames would give another number."""
    open: Callable[[Settings], Scorer] = field(repr=False)
    """Loads what is needed; AbsentError names what is missing and how to get it."""
    takes_mask: bool = False
    may_skip: bool = False
    """True if a frame can be left unscored by the metric itself (no face found)."""

    def signature(self, scorer: Scorer, n: tuple[int, int], **shared: str) -> Signature:
        """The signature under ``shared`` (``canvas``, ``region``, ``src``, …; the rest is neutral)."""
        parts = [*{**NEUTRAL, **shared}.items(), *scorer.parts, ("v", str(self.version))]
        return Signature(self.label, tuple(parts + ([("n", f"{n[0]}/{n[1]}")] if self.may_skip else [])))


@dataclass(frozen=True, eq=False)
class MetricResult:
    """One metric on one pair of frame sequences.

    ``state``: ``ok``; ``identical`` (PSNR where every scored frame equals its ground truth: infinite, which JSON can't say);
    ``absent`` (a model is missing, ``reason`` has the remedy); ``invalid`` (too few frames scored).
    ``value`` is None in every state but ``ok``. It is the mean over finite per-frame values; ``n_identical`` infinite ones are
    left out of it.
    """

    name: str
    value: float | None
    state: State
    reason: str | None
    unit: str
    higher_is_better: bool
    signature: Signature | None
    """None only where ``state`` is ``absent``: without its model, a metric has no complete definition."""
    n: tuple[int, int]
    """(frames scored, frames expected)."""
    n_identical: int
    per_frame: Values

    def as_json(self) -> dict[str, Any]:
        """The result as strict JSON values (per-frame values are kept elsewhere, as Parquet)."""
        region = self.signature.get("region") if self.signature else None
        return {
            "value": self.value,
            "ci95": None,
            "state": self.state,
            "reason": self.reason,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "signature": str(self.signature) if self.signature else None,
            "n": list(self.n),
            "n_identical": self.n_identical,
            "regions": {region: self.value} if region else {},
        }


def check_pair(pred: Frames, gt: Frames, mask: Mask | None = None) -> None:
    """DataError unless both are uint8 RGB [N, H, W, 3] of one shape, and the mask is ≥ 0 of shape [N, H, W]."""
    for name, frames in (("pred", pred), ("gt", gt)):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise DataError(f"{name} frames are {frames.dtype} {frames.shape}, expected uint8 (N, H, W, 3)")
    if pred.shape != gt.shape:
        raise DataError(f"pred frames are {pred.shape}, ground truth is {gt.shape}")
    if mask is not None and (mask.shape != gt.shape[:3] or not np.all(np.isfinite(mask)) or np.any(mask < 0)):
        raise DataError(f"mask is {mask.shape}, expected finite weights of at least 0 and shape {gt.shape[:3]}")


def weighted_mean(values: Values, weights: Mask) -> Values:
    """Mean over pixels and channels of ``values`` [N, H, W, 3] under ``weights`` [N, H, W]; NaN where all weights are 0.

    The divisor is the weights' sum, not the frame's area: pixels outside a region must not dilute the error in it.
    """
    total = 3.0 * weights.sum(axis=(1, 2), dtype=np.float64)
    summed = np.einsum("nhwc,nhw->n", values, weights.astype(np.float64))
    return np.divide(summed, total, out=np.full(len(values), math.nan), where=total > 0)


class Accumulator:
    """Feeds a metric batch by batch and sums it up."""

    def __init__(self, metric: Metric, settings: Settings) -> None:
        """Load the metric's models; AbsentError if one is missing."""
        self.metric = metric
        self.scorer = metric.open(settings)
        self._values: list[Values] = []

    def add(self, pred: Frames, gt: Frames, mask: Mask | None = None) -> None:
        """Score one batch of frame pairs; DataError if shapes don't fit."""
        if mask is not None and not self.metric.takes_mask:
            raise DataError(f"{self.metric.name} has no masked form")
        check_pair(pred, gt, mask)
        self._values.append(self.scorer.per_frame(pred, gt, mask))

    def result(self, expected: int, min_coverage: float = 0.0, **shared: str) -> MetricResult:
        """Sum up; ``expected`` is the number of frames there should be, ``shared`` goes into the signature."""
        values = np.concatenate([*self._values, np.zeros(0)])
        return aggregate(self.metric, self.scorer, values, expected, min_coverage, **shared)


def aggregate(
    metric: Metric, scorer: Scorer, values: Values, expected: int, min_coverage: float, **shared: str
) -> MetricResult:
    """The mean of the finite per-frame values, or the state that says why there is none.

    ``invalid`` if no frame, or a smaller share than ``min_coverage`` of the expected ones, could be scored.
    """
    scored = int(np.sum(~np.isnan(values)))
    identical = int(np.sum(np.isposinf(values)))
    value: float | None = None
    state: State = "ok"
    reason: str | None = None
    if scored == 0 or scored < min_coverage * expected:
        state, reason = (
            "invalid",
            f"{scored} of {expected} frames could be scored, below the bound of {min_coverage:.0%}",
        )
    elif identical == scored:
        state, reason = "identical", f"all {scored} scored frames equal their ground truth"
    else:
        value = float(np.mean(values[np.isfinite(values)]))
    n = (scored, expected)
    return MetricResult(
        name=metric.name, value=value, state=state, reason=reason, unit=metric.unit, n=n, n_identical=identical,
        higher_is_better=metric.higher_is_better, signature=metric.signature(scorer, n, **shared), per_frame=values,
    )  # fmt: skip


def absent(metric: Metric, reason: str, expected: int) -> MetricResult:
    """The result of a metric whose model is missing: no value, and the remedy as the reason."""
    return MetricResult(
        name=metric.name, value=None, state="absent", reason=reason, unit=metric.unit, n=(0, expected), n_identical=0,
        higher_is_better=metric.higher_is_better, signature=None, per_frame=np.full(expected, math.nan),
    )  # fmt: skip
