"""What a metric is, what a result is, and how per-frame values become one number.

A metric's file holds a pure function ``(pred, gt, …) → float64 [N]`` and a :class:`Metric` that declares what it means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench import stats
from bench.errors import AbsentError
from bench.metrics.batch import FULL, Batch, Values
from bench.metrics.signature import NEUTRAL, Signature

State = Literal["ok", "identical", "undefined", "absent", "invalid"]
Series = Mapping[str, Values]
"""Values of each region a metric has a form for; at least of ``full``."""


class Undefined(Exception):
    """Raised by :attr:`Metric.open` where these frames have nothing to measure (no sound): nobody's fault, and no error."""


@dataclass(frozen=True)
class Settings:
    """What a metric runs with."""

    detector: str = "mediapipe"
    """A name of :data:`bench.landmarks.DETECTORS`."""
    device: str = "cpu"
    """A torch device."""
    fps: float = 25.0
    sound: Path | None = None
    """A file with the sound of the scored frames, from the first one on; None: there is none."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The protocol's choices for this metric, such as ``{"window": "uniform7"}``; empty: the neutral ones."""


@dataclass(frozen=True)
class Scorer:
    """A metric that is ready to run: its models are loaded."""

    per_frame: Callable[[Batch], Series]
    """Batches come in the order of the frames, one at a time."""
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
    """Loads what is needed; AbsentError names what is missing and how to get it, UsageError an unknown option, or :class:`Undefined`."""
    regions: frozenset[str] | None = frozenset()
    """Regions beside the whole frame that it has a form for; None: any."""
    columns: tuple[str, ...] = ()
    """Names of the per-frame quantities where they aren't the value itself (a correlation has two)."""
    statistic: stats.Statistic = field(default=stats.frame_mean, repr=False)
    """Per-frame values → the number."""
    aggregation: str = "frame-mean"
    """The statistic's word in the signature."""
    undefined: str = "one of the compared quantities never changes"
    """Why there can be no number though all went well, as with a correlation of a mouth that never moves."""
    may_skip: bool = False
    """True if a frame can be left unscored by the metric itself (no face found)."""
    warm_up: int = 0
    """Frames at the ends that nobody could score, as a metric over time needs the ones around: they don't count as expected."""

    def takes(self, region: str) -> bool:
        """Whether it can be taken in ``region``."""
        return region == FULL or self.regions is None or region in self.regions

    def signature(self, scorer: Scorer, n: tuple[int, int], **shared: str) -> Signature:
        """The signature under ``shared`` (``canvas``, ``region``, ``src``, …; the rest is neutral)."""
        parts = {**NEUTRAL, "agg": self.aggregation, **shared, **dict(scorer.parts), "v": str(self.version)}
        return Signature(self.label, (*parts.items(), *([("n", f"{n[0]}/{n[1]}")] if self.may_skip else [])))


@dataclass(frozen=True, eq=False)
class MetricResult:
    """One metric on one pair of frame sequences.

    ``state``: ``ok``; ``identical`` (PSNR where every scored frame equals its ground truth: infinite, which JSON can't say);
    ``undefined`` (it has no meaning here: a region that is empty, a correlation with what never moves); ``absent`` (a model is
    missing, ``reason`` has the remedy); ``invalid`` (too few frames scored: the cell can't be used).
    ``value`` is None in every state but ``ok``. For a frame mean it is the mean over finite per-frame values; ``n_identical``
    infinite ones are left out of it.
    """

    name: str
    value: float | None
    state: State
    reason: str | None
    unit: str
    higher_is_better: bool
    signature: Signature | None
    """None where the metric couldn't be opened: without its model, it has no complete definition."""
    n: tuple[int, int]
    """(frames scored, frames expected)."""
    n_identical: int
    per_frame: Values
    """[N], or [N, F] with the columns :attr:`Metric.columns`."""
    ci95: tuple[float, float] | None = None
    """Block-bootstrap interval over time (:func:`bench.stats.interval`); None where there is no value."""
    regions: Mapping[str, MetricResult] = field(default_factory=dict)
    """The same metric within parts of the frame."""

    def as_json(self) -> dict[str, Any]:
        """The result as strict JSON values (per-frame values are kept elsewhere, as Parquet)."""
        whole = {FULL: self.value} if self.signature else {}
        return {
            "value": self.value,
            "ci95": list(self.ci95) if self.ci95 else None,
            "state": self.state,
            "reason": self.reason,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "signature": str(self.signature) if self.signature else None,
            "n": list(self.n),
            "n_identical": self.n_identical,
            "regions": whole | {name: result.value for name, result in self.regions.items()},
        }


def aggregate(
    metric: Metric, scorer: Scorer, values: Values, expected: int, min_coverage: float, **shared: str
) -> MetricResult:
    """The metric's statistic of its per-frame values, or the state that says why there is none.

    ``invalid`` if a smaller share than ``min_coverage`` of ``values``, or none of them, could be scored;
    ``undefined`` if that is nobody's fault: the region is empty, or the statistic has no value.

    :param expected: how many frames there should be: more than ``values`` only where a protocol stops at the shorter video's end
    """
    flat = values.reshape(len(values), -1)
    compared, expected = (max(count - metric.warm_up, 0) for count in (len(values), expected))
    scored = int(np.sum(~np.isnan(flat).any(axis=1)))
    identical = int(np.sum(np.isposinf(flat).any(axis=1)))
    whole = shared.get("region", FULL) == FULL
    value, state, reason, ci95 = None, "ok", None, None
    if scored == 0 and not (metric.may_skip and whole):
        state = "undefined"
        reason = metric.undefined if whole else "no frame has anything of this region"
    elif scored == 0 or scored < min_coverage * compared:
        state, reason = "invalid", _too_few(scored, compared, min_coverage)
    elif identical == scored:
        state, reason = "identical", f"all {scored} scored frames equal their ground truth"
    elif not math.isfinite(number := metric.statistic(values)):
        state, reason = "undefined", metric.undefined
    else:
        value, ci95 = float(number), stats.interval(values, metric.statistic)
        reason = _left_out(scored, compared, expected) if whole else None
    n = (scored, expected)
    return MetricResult(
        name=metric.name, value=value, state=state, reason=reason, unit=metric.unit, n=n, n_identical=identical,  # type: ignore[arg-type]  # mypy widens the state's literal
        higher_is_better=metric.higher_is_better, signature=metric.signature(scorer, n, **shared), per_frame=values,
        ci95=ci95,
    )  # fmt: skip


def _too_few(scored: int, compared: int, bound: float) -> str:
    if bound < 1:
        return f"{scored} of {compared} frames could be scored, below the bound of {bound:.0%}"
    return f"{scored} of {compared} frames could be scored: the official script stops at the first that can't"


def _left_out(scored: int, compared: int, expected: int) -> str | None:
    """What a number that is there doesn't cover; None if nothing."""
    parts = []
    if compared < expected:
        parts.append(f"compared up to the shorter video's end: {compared} of {expected} frames")
    if scored < compared:
        parts.append(f"{compared - scored} of {compared} frames couldn't be scored and are left out")
    return "; ".join(parts) or None


def unopened(metric: Metric, error: AbsentError | Undefined, expected: int) -> MetricResult:
    """The result of a metric that can't be taken here: no value, and the reason, with the remedy if a model is missing."""
    state: State = "absent" if isinstance(error, AbsentError) else "undefined"
    return MetricResult(
        name=metric.name, value=None, state=state, reason=str(error), unit=metric.unit, n=(0, expected), n_identical=0,
        higher_is_better=metric.higher_is_better, signature=None, per_frame=np.full(expected, math.nan),
    )  # fmt: skip
