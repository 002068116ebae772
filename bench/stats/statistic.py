"""What a statistic is: a function of a series, with a form that computes many resamples in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Series = NDArray[np.float64]
"""Quantities of frames in time order, [N] or [N, F]: NaN where a frame couldn't be scored, +inf as PSNR gives it."""
Statistic = Callable[[NDArray[np.float64]], float]
"""A series' score. A plain function gets the scored rows only and is called once a resample; see :class:`Batched`."""

AT_ONCE = 1 << 21
"""Quantities of resamples in memory at once."""


@dataclass(frozen=True)
class Batched:
    """A statistic that takes all resamples in one call. It is itself a :data:`Statistic` of one series.

    :param batch: [B, N] or [B, N, F] → float64 [B]; rows of NaN are frames to leave out
    :param finite: an infinite quantity makes a frame count as not scored; otherwise ``batch`` gets it
    :param bounds: the values the statistic can take; an interval ends there

    >>> peak = Batched(lambda stacks: np.nanmax(stacks, axis=1))
    >>> peak(np.array([1.0, 4.0, np.nan]))
    4.0
    """

    batch: Callable[[Array], Array]
    finite: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def __call__(self, values: Series) -> float:
        """The statistic of one series."""
        return float(self.of(self.blank(values, self.used(values))[None])[0])

    def used(self, series: Series) -> NDArray[np.bool_]:
        """The frames [N] that count as scored."""
        good = np.isfinite(series) if self.finite else ~np.isnan(series)
        return np.asarray(good.all(axis=tuple(range(1, good.ndim))))

    @staticmethod
    def blank(series: Series, used: NDArray[np.bool_]) -> Series:
        """The series with NaN in all rows but the used ones: they keep their place in time."""
        series = np.asarray(series, np.float64)
        return series if used.all() else np.where(used.reshape(-1, *[1] * (series.ndim - 1)), series, np.nan)

    def of(self, stacks: Array) -> Array:
        """The statistic of each resample of a blanked series; NaN where it is undefined, without a warning."""
        with np.errstate(all="ignore"):
            return np.asarray(self.batch(stacks), np.float64)

    def influence(self, series: Series) -> Array:
        """How much each frame [N] moves the statistic: its value less that without the frame; 0 if undefined.

        For a mean this is the series itself but for centre and scale. For any other smooth statistic it is the series
        whose mean the statistic is to first order (the jackknife's), so its autocorrelation is the one that matters.
        """
        count = len(series)
        step = max(1, AT_ONCE // max(series.size, 1))
        without = []
        for start in range(0, count, step):
            rows = np.arange(start, min(start + step, count))
            stack = np.repeat(series[None], len(rows), axis=0)
            stack[np.arange(len(rows)), rows] = np.nan
            without.append(self.of(stack))
        moved = self.of(series[None]) - np.concatenate(without)
        return np.where(np.isfinite(moved), moved, 0.0)


def batched(statistic: Statistic) -> Batched:
    """The statistic in its batched form: its own, or a loop over a plain function."""
    if isinstance(statistic, Batched):
        return statistic
    return Batched(lambda stacks: np.array([_of_scored(statistic, stack) for stack in stacks]))


def _of_scored(statistic: Statistic, series: Series) -> float:
    rows = series[~np.isnan(series).any(axis=tuple(range(1, series.ndim)))]
    return float(statistic(rows)) if len(rows) else np.nan


def _means(stacks: Array) -> Array:
    axes = tuple(range(1, stacks.ndim))
    finite = np.isfinite(stacks)
    if stacks.size and finite.all():
        return np.asarray(stacks.mean(axis=axes))
    return np.asarray(np.where(finite, stacks, 0.0).sum(axis=axes) / finite.sum(axis=axes))


frame_mean = Batched(_means, finite=True)
"""Mean over the frames whose quantities are finite; NaN if there is none. The default of every score here.

>>> frame_mean(np.array([1.0, 2.0, np.nan, np.inf]))
1.5
"""
