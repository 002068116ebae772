"""How long the blocks must be, and how much too narrow a block bootstrap of so few frames is."""

from __future__ import annotations

import math

import numpy as np

from bench.stats.statistic import Array, Series


def block_length(series: Series) -> int:
    """Length in frames of the blocks to resample: 1 ≤ length ≤ max(1, N // 3); of several columns the longest.

    Source: Politis & White, "Automatic block-length selection for the dependent bootstrap", Econometric Reviews 2004,
    section 3, for the circular bootstrap, with the correction of Patton, Politis & White 2009 (D = 4/3 g(0)²).
    Lags count until five (K_N) in a row lie within ±2 √(log10 N / N); autocovariances are weighted by the flat-top
    window. A frame that is NaN or infinite stands at the mean.

    :param series: [N] or [N, F]

    >>> block_length(np.random.default_rng(0).normal(size=300)), block_length(np.cumsum(np.ones(300)))
    (1, 34)
    """
    columns = np.atleast_2d(np.asarray(series, np.float64).T)
    return max(_length(autocovariance(column)) for column in columns)


def autocovariance(series: Array) -> Array:
    """Autocovariances [N] of a series [N] at lags 0 … N - 1, each divided by N; unscored frames stand at the mean.

    Frames that stand at the mean are right for a mean over the others: ``Σ scored·(x - mean)`` is what varies.
    """
    finite = np.isfinite(series)
    if not finite.any():
        return np.zeros(len(series))
    centred = np.where(finite, series - series[finite].mean(), 0.0)
    if np.abs(centred).max() <= 1e-12 * np.abs(series[finite]).max():
        return np.zeros(len(series))  # constant but for rounding
    spectrum = np.fft.rfft(centred, 2 * len(series))
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2)[: len(series)] / len(series))


def _length(covariance: Array) -> int:
    count = len(covariance)
    longest = max(1, count // 3)
    if count < 3 or covariance[0] == 0:
        return 1
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(count))))
    furthest = min(math.ceil(math.sqrt(count)) + in_a_row, count - 1)
    small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(count) / count)
    quiet = [lag for lag in range(furthest) if small[lag : lag + in_a_row].all()]
    loud = np.flatnonzero(~small[:furthest])
    last = quiet[0] if quiet else int(loud[-1]) + 1
    if last == 0:
        return 1
    lags = np.arange(1, min(2 * last, furthest) + 1)
    weights = np.minimum(1.0, 2 * (1 - lags / (len(lags) + 1)))
    terms = weights * covariance[lags]
    bias, spectrum = 2 * (lags * terms).sum(), covariance[0] + 2 * terms.sum()
    if spectrum <= 0:
        return longest
    return int(np.clip(math.ceil((1.5 * (bias / spectrum) ** 2 * count) ** (1 / 3)), 1, longest))


def widening(influence: Array, length: int) -> float:
    """Factor ≥ 1 on the bootstrap's standard error of a mean: it makes up for blocks that are too short to hold all
    dependence and for the sample's own mean taken for the true one.

    Both shrink the bootstrap's variance by an amount that follows from the autocorrelation, so the factor is
    √(variance of the mean / expected bootstrap variance) of a process whose autocorrelation decays geometrically,
    ``r(k) = r(1) d^(k-1)`` (slow drift and frame noise, ARMA(1,1)), with r(1) and d = r(2)/r(1) from the series and
    Kendall's correction (1 + 4 r)/N for the bias of short series (Kendall 1954; Marriott & Pope 1954).

    :param influence: [N], see :meth:`bench.stats.Batched.influence`
    :param length: of the blocks, in frames
    """
    count = len(influence)
    covariance = autocovariance(influence)
    if count < 3 or covariance[0] == 0:
        return 1.0
    first, second = covariance[1:3] / covariance[0]
    bias = (1 + 4 * first) / count
    # A longer memory can't be told from a trend in so few frames; to assume it gives intervals wider than all the values.
    most = max(0.85, 1 - 5 / count)
    first = float(np.clip(first + bias, 0, most))
    # Under 0.1 the quotient is noise.
    decay = float(np.clip(second / first + bias, first, most)) if first > 0.1 else first
    lags = np.arange(count)
    model = first * decay ** np.maximum(lags - 1, 0)
    model[0] = 1.0
    of_mean = _bartlett(model * 1.0, count) / count
    back = np.concatenate([[0.0], model[:0:-1]])
    circular = ((count - lags) * model + lags * back) / count - of_mean
    return float(np.sqrt(max(1.0, of_mean * count / _bartlett(circular, length))))


def _bartlett(covariance: Array, length: int) -> float:
    """N times the variance of the mean of N / length independent blocks."""
    lags = np.arange(1, length)
    return float(covariance[0] + 2 * ((1 - lags / length) * covariance[1:length]).sum())
