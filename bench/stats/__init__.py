"""How sure a benchmark's scores are: intervals over frames, seeds and subjects, paired comparisons, the best method.

Frames of a video aren't independent: neighbours are alike, and n of them say less than n independent ones would. All resampling
over time is therefore of blocks (:mod:`bench.stats.blocks`).

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> frames = 30 + rng.normal(size=300)  # what both methods find hard
>>> a, b = frames + 0.5 + rng.normal(size=300) / 5, frames + rng.normal(size=300) / 5
>>> found = compare({"may": {0: a}}, {"may": {0: b}})
>>> found.low < 0.5 < found.high and found.p < 0.001 and found.levels == ("frames",)
True
"""

from bench.stats.blocks import block_length
from bench.stats.compare import Comparison, Ranking, best_and_ties, compare, holm
from bench.stats.levels import Groups, Interval, interval, mean_interval
from bench.stats.statistic import Batched, Series, Statistic, frame_mean

__all__ = [
    "Batched",
    "Comparison",
    "Groups",
    "Interval",
    "Ranking",
    "Series",
    "Statistic",
    "best_and_ties",
    "block_length",
    "compare",
    "frame_mean",
    "holm",
    "interval",
    "mean_interval",
]
