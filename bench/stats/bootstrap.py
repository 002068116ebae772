"""Resampling the frames of one subject in blocks, the same for all its series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench.errors import DataError
from bench.stats.blocks import block_length, widening
from bench.stats.statistic import AT_ONCE, Array, Batched, Series

MIN_FRAMES = 8
"""Fewer scored frames say nothing about their own scatter."""
MAX_UNDEFINED = 0.01
"""Share of resamples for which a statistic may be undefined."""

Term = tuple[Series, ...]
"""One seed's series (a,), or two methods' (a, b), of which the difference of the statistic is meant."""


@dataclass(frozen=True)
class Frames:
    """What the frames of one subject say about its seeds' values."""

    values: Array
    """[S], one a seed."""
    moves: Array
    """[B, S] deviations of the values under resampling, widened to the right variance; NaN where that has no meaning."""
    freedom: float
    """Degrees of freedom of that variance: the number of blocks less one."""


def resample(seeds: Sequence[Term], statistic: Batched, samples: int, rng: np.random.Generator) -> Frames:
    """Resample the frames of one subject ``samples`` times.

    :param seeds: series of the same frames, one term a seed; in a pair a frame counts if it counts in both
    :raises bench.errors.DataError: if a series isn't [N] or [N, F], or they differ in their number of frames
    """
    terms = _blanked(seeds, statistic)
    values = np.array([_difference([statistic.of(s[None]) for s in term])[0] for term in terms])
    scored = min(int(statistic.used(series).sum()) for term in terms for series in term)
    if scored < MIN_FRAMES or not np.isfinite(values).all():
        return Frames(values, np.full((samples, len(values)), np.nan), 0.0)
    influence = np.mean([_difference([statistic.influence(s) for s in term]) for term in terms], axis=0)
    length = block_length(influence)
    blocks = Blocks.draw(len(influence), length, samples, rng)
    draws = np.stack([_difference([blocks.of(s, statistic) for s in term]) for term in terms], axis=1)
    moves = _deviations(draws, values, rng) * widening(influence, length)
    return Frames(values, moves, max(2.0, len(influence) / length - 1))


def _blanked(seeds: Sequence[Term], statistic: Batched) -> list[Term]:
    """The terms with NaN in the rows that don't count."""
    terms = [tuple(np.asarray(series, np.float64) for series in term) for term in seeds]
    shapes = [series.shape for term in terms for series in term]
    if any(len(shape) not in (1, 2) for shape in shapes):
        raise DataError(f"series of shape {shapes[0]}: a series is [frames] or [frames, quantities]")
    if len(counts := {shape[0] for shape in shapes}) != 1:
        raise DataError(f"series of {sorted(counts)} frames: all of a subject must be of the same frames")
    used = [np.logical_and.reduce([statistic.used(series) for series in term]) for term in terms]
    return [tuple(statistic.blank(s, u) for s in term) for term, u in zip(terms, used, strict=True)]


@dataclass(frozen=True)
class Blocks:
    """Which blocks of frames make up each resample.

    A block starts anywhere and goes on with frame 0 after the last (circular; Politis & Romano 1992). Moving blocks, which stop
    at the last frame, draw the first and last frames less often than the others, and so scatter about another
    value than the series' own.
    """

    starts: NDArray[np.intp]
    """[B, blocks] first frames."""
    length: int

    @classmethod
    def draw(cls, count: int, length: int, samples: int, rng: np.random.Generator) -> Blocks:
        """As many blocks as fill ``count`` frames; the last one is cut off there."""
        return cls(rng.integers(count, size=(samples, -(-count // length))), length)

    def of(self, series: Series, statistic: Batched) -> Array:
        """The statistic [B] of each resample of a series [N] or [N, F], in pieces that fit into memory."""
        count = len(series)
        windows = sliding_window_view(np.concatenate([series, series[: self.length - 1]]), self.length, axis=0)
        windows = np.moveaxis(windows, -1, 1)  # [N, length] or [N, length, F]
        step = max(1, AT_ONCE // series.size)
        draws = []
        for first in range(0, len(self.starts), step):
            taken = windows[self.starts[first : first + step]]
            draws.append(statistic.of(taken.reshape(len(taken), -1, *series.shape[1:])[:, :count]))
        return np.concatenate(draws)


def _difference(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else parts[0] - parts[1]


def _deviations(draws: Array, values: Array, rng: np.random.Generator) -> Array:
    """Deviations of the draws [B, S] from their mean; an undefined one is drawn again from the others. NaN if too many are."""
    good = np.isfinite(draws).all(axis=1)
    if good.mean() < 1 - MAX_UNDEFINED:
        return np.full_like(draws, np.nan)
    if not good.all():
        draws = np.where(good[:, None], draws, draws[rng.choice(np.flatnonzero(good), size=len(draws))])
    # What differs by rounding only doesn't differ.
    same = np.ptp(draws, axis=0) <= 1e-12 * np.maximum(np.abs(values), np.abs(draws).max(axis=0))
    return np.where(same, 0.0, draws - draws.mean(axis=0))
