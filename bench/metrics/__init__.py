"""The metrics, by name. Each has a file; :mod:`bench.metrics.base` says what they have in common."""

from __future__ import annotations

from bench.errors import unknown
from bench.metrics import lmd, lpips, psnr, ssim
from bench.metrics.base import Accumulator, Metric, MetricResult, Scorer, Settings, absent, aggregate
from bench.metrics.signature import Signature

METRICS: dict[str, Metric] = {module.METRIC.name: module.METRIC for module in (psnr, ssim, lpips, lmd)}
"""All metrics in the order tables show them."""


def get(name: str) -> Metric:
    """The metric called ``name``; UsageError with the nearest names if there is none."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


__all__ = [
    "METRICS", "Accumulator", "Metric", "MetricResult", "Scorer", "Settings", "Signature", "absent", "aggregate", "get",
]  # fmt: skip
