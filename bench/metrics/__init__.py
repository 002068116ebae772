"""The metrics, by name. Each has a file; :mod:`bench.metrics.base` says what they have in common."""

from __future__ import annotations

from bench.errors import unknown
from bench.metrics import (
    flicker,
    flip,
    landmark_distance,
    lpips,
    lse,
    motion,
    mouth_audio,
    ms_ssim,
    psnr,
    sharpness,
    ssim,
)
from bench.metrics.base import Metric, MetricResult, Scorer, Settings, Undefined, aggregate, unopened
from bench.metrics.batch import FULL, Batch
from bench.metrics.signature import Signature

_ALL = (
    psnr.METRIC, ssim.METRIC, lpips.METRIC, *landmark_distance.METRICS, ms_ssim.METRIC, flip.METRIC, sharpness.METRIC,
    flicker.METRIC, *motion.METRICS, mouth_audio.METRIC, *lse.METRICS,
)  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""All metrics in the order tables show them."""


def get(name: str) -> Metric:
    """The metric called ``name``; UsageError with the nearest names if there is none."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


def title(measure: str) -> str:
    """A measure's key as tables say it.

    >>> title("psnr@face")
    'PSNR face'
    """
    name, _, region = measure.partition("@")
    return f"{METRICS[name].label if name in METRICS else name} {region}".strip()


__all__ = [
    "FULL", "METRICS", "Batch", "Metric", "MetricResult", "Scorer", "Settings", "Signature", "Undefined", "aggregate",
    "get", "title", "unopened",
]  # fmt: skip
