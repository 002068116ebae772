"""Pearson's r between two quantities of a frame, as a statistic whose interval comes from whole blocks of frames."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.stats import Batched

CONSTANT = 1e-9
"""A quantity whose standard deviation is a smaller share of its largest value differs by rounding only."""


def correlation(noise: float = 0.0) -> Batched:
    """Pearson's r over the rows (x, y) of a series [N, 2]; rows with a NaN are left out.

    ``cov(x, y) / sqrt((var x + noise²) · var y)``: ``noise`` is the standard deviation with which x is measured, in x's
    unit. Movement as small as that can't earn a correlation, which r alone would give it: r doesn't ask how far x moves.
    NaN if y is constant, or x is and ``noise`` is 0.

    >>> series = np.array([[0.0, 1.0], [1.0, 3.0], [np.nan, 9.0], [2.0, 5.0]])
    >>> round(correlation()(series), 9), round(correlation(noise=1.0)(series), 3)
    (1.0, 0.632)
    """
    return Batched(partial(_correlations, noise=noise), bounds=(-1.0, 1.0))


def _correlations(stacks: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """[B, N, 2] → [B]."""
    used = ~np.isnan(stacks).any(axis=2, keepdims=True)
    count = used.sum(axis=1)
    mean = np.where(used, stacks, 0.0).sum(axis=1) / count
    centred = np.where(used, stacks - mean[:, None], 0.0)
    variance = (centred**2).sum(axis=1) / count
    covariance = centred.prod(axis=2).sum(axis=1) / count[:, 0]
    still = np.sqrt(variance) <= CONSTANT * np.where(used, np.abs(stacks), 0.0).max(axis=1)
    still[:, 0] &= noise == 0.0
    r = covariance / np.sqrt((variance[:, 0] + noise**2) * variance[:, 1])
    return np.where(still.any(axis=1), np.nan, np.clip(r, -1.0, 1.0))
