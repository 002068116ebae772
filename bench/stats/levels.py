"""Intervals of means over frames, seeds and subjects.

Each level's scatter is resampled, brought to an unbiased variance and given the tails of its degrees of freedom:

* **frames**: blocks of time (:mod:`bench.stats.bootstrap`), the same for all seeds of a subject, because a frame that is hard
  for one seed is hard for all.
* **seeds**, of each subject with two or more.
* **subjects**, from five on. Fewer are taken as fixed, and the interval is about them alone: resampling two to four says
  nothing about others.

A level adds only what the levels below it don't already explain, since noise of frames is part of the scatter between seeds
and between subjects. Every level's draws are divided by √(χ²/degrees of freedom), drawn with them: a normal scatter thus
gets Student's t, and the sum of levels gets Behrens and Fisher's distribution without a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import DataError
from bench.stats.bootstrap import Frames, Term, resample
from bench.stats.statistic import Array, Batched, Series, Statistic, batched, frame_mean

MIN_SUBJECTS = 5
"""From so many subjects on, they stand for others."""

Groups = Mapping[str, Mapping[int, Series]]
"""Series by subject and seed; all series of a subject are of the same frames."""
Terms = Mapping[str, Sequence[Term]]
"""Of each subject its seeds' series, or pairs of series."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie. ``low`` and ``high`` are None where an interval has no meaning."""

    value: float
    low: float | None
    high: float | None
    levels: tuple[str, ...]
    """What was resampled: of ``frames``, ``seeds``, ``subjects``; empty without an interval."""


@dataclass(frozen=True)
class Scatter:
    """A mean over subjects of means over seeds, and how it moves under resampling."""

    value: float
    moves: Array | None
    """[B], around 0; None where resampling has no meaning."""
    levels: tuple[str, ...]

    def interval(self, level: float) -> tuple[float, float] | None:
        """The middle ``level`` (0–1) of the resamples."""
        if self.moves is None:
            return None
        low, high = self.value + np.quantile(self.moves, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def interval(
    series: Series, statistic: Statistic = frame_mean, *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Interval of one series' statistic, from a circular block bootstrap over time.

    The deviations of the resamples from their mean, widened (:func:`bench.stats.blocks.widening`) and with the tails of
    Student's t with (number of blocks - 1) degrees of freedom, around the series' own value.

    :param series: [N] or [N, F] in time order
    :param statistic: a smooth function of frames that doesn't look at their order: blocks are joined at random
    :param level: of confidence, 0–1
    :param samples: number of resamples
    :param seed: of the random numbers; the same seed gives the same interval
    :returns: (low, high); None under 8 scored frames or where the statistic is undefined
    :raises bench.errors.DataError: if the series is of no such shape

    How often the nominal 95 % held the true mean of ``x(t) = φ x(t-1) + normal noise``, in 1000 runs each
    (``pytest -m slow -s tests/test_stats.py -k coverage_table``)::

        frames     37    100    300
        φ = 0    0.963  0.949  0.943
        φ = 0.5  0.952  0.935  0.942
        φ = 0.8  0.916  0.931  0.943
        φ = 0.9  0.861  0.918  0.942

    Less often where drift is slow and hidden by noise in a short series, which looks like noise alone; more often
    (wide intervals) for oscillations, whose dependence cancels.

    >>> drift = np.repeat([1.0, 3.0, 2.0, 4.0, 2.0, 3.0], 10)
    >>> low, high = interval(drift)
    >>> low < drift.mean() - 2 * drift.std() / 60**0.5  # as if the 60 frames were independent
    True
    """
    found = mean_interval({"": {0: series}}, statistic, level=level, samples=samples, seed=seed)
    return None if found.low is None or found.high is None else (found.low, found.high)


def mean_interval(
    groups: Groups, statistic: Statistic = frame_mean, *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> Interval:
    """The mean over subjects of the mean over seeds of a statistic, and its interval.

    :param groups: series by subject and seed; subjects count alike, however many seeds they have
    :returns: without an interval where :func:`interval` has none for one of the series
    :raises bench.errors.DataError: if there is no series, or a subject's series differ in shape

    Scatter between seeds has (seeds - 1) degrees of freedom summed over subjects. With two seeds of a single subject that is
    one, and an interval up to 6.5 times as wide as many seeds of the same scatter would give.
    """
    form = batched(statistic)
    scatter = spread(
        {name: [(series,) for series in seeds.values()] for name, seeds in groups.items()}, form, samples, seed
    )
    found = scatter.interval(level)
    if found is None:
        return Interval(scatter.value, None, None, ())
    low, high = np.clip(found, *form.bounds)
    return Interval(scatter.value, float(low), float(high), scatter.levels)


def mean(groups: Groups, statistic: Statistic = frame_mean) -> float:
    """The mean over subjects of the mean over seeds of a statistic; NaN where it is undefined for one series."""
    form = batched(statistic)
    return float(np.mean([np.mean([form(series) for series in seeds.values()]) for seeds in groups.values()]))


def spread(terms: Terms, statistic: Batched, samples: int, seed: int) -> Scatter:
    """Resample all levels of a mean over subjects of means over seeds. Errors: :func:`mean_interval`."""
    if not terms or not all(terms.values()):
        raise DataError("no series to average: every subject needs at least one seed's")
    rng = np.random.default_rng(seed)
    subjects = [resample(terms[name], statistic, samples, rng) for name in sorted(terms)]
    value = float(np.mean([s.values.mean() for s in subjects]))
    if any(np.isnan(subject.moves).any() for subject in subjects):
        return Scatter(value, None, ())
    parts = {"frames": _frames(subjects), "seeds": _seeds(subjects, samples, rng)}
    explained = sum(part.moves.var() for part in parts.values() if part)
    parts["subjects"] = _subjects(subjects, explained, samples, rng)
    there = {name: part for name, part in parts.items() if part}
    moves = np.sum([p.moves * np.sqrt(p.freedom / rng.chisquare(p.freedom, samples)) for p in there.values()], axis=0)
    return Scatter(value, moves, tuple(there))


@dataclass(frozen=True)
class _Part:
    """What one level adds: deviations [B] of an unbiased variance, and that variance's degrees of freedom."""

    moves: Array
    freedom: float


def _frames(subjects: Sequence[Frames]) -> _Part:
    """Subjects' frames are independent; degrees of freedom of the sum: Satterthwaite 1946."""
    moves = np.stack([subject.moves.mean(axis=1) for subject in subjects])
    variance = moves.var(axis=1)
    if not variance.any():
        return _Part(moves.mean(axis=0), 1.0)
    squares = [v**2 / subject.freedom for v, subject in zip(variance, subjects, strict=True)]
    return _Part(moves.mean(axis=0), float(variance.sum() ** 2 / np.sum(squares)))


def _seeds(subjects: Sequence[Frames], samples: int, rng: np.random.Generator) -> _Part | None:
    """Scatter between the seeds of each subject that has several, beyond what its frames do to them one by one."""
    several = [subject for subject in subjects if len(subject.values) > 1]
    if not several:
        return None
    moves = np.zeros(samples)
    for subject in several:
        from_frames = subject.moves.var(axis=1, ddof=1).mean()
        variance = subject.values.var(ddof=1) - from_frames
        moves += _redrawn(subject.values, variance, samples, rng) / len(subjects)
    return _Part(moves, float(sum(len(subject.values) - 1 for subject in several)))


def _subjects(subjects: Sequence[Frames], explained: float, samples: int, rng: np.random.Generator) -> _Part | None:
    count = len(subjects)
    if count < MIN_SUBJECTS:
        return None
    means = np.array([subject.values.mean() for subject in subjects])
    return _Part(_redrawn(means, means.var(ddof=1) - count * explained, samples, rng), count - 1.0)


def _redrawn(items: Array, variance: float, samples: int, rng: np.random.Generator) -> Array:
    """Deviations [samples] of the mean of items drawn with replacement, scaled to items of this variance."""
    count = len(items)
    moves = items[rng.integers(count, size=(samples, count))].mean(axis=1) - items.mean()
    scatter = items.var()
    return np.asarray(moves * np.sqrt(max(variance, 0.0) / scatter)) if scatter > 0 else np.zeros(samples)
