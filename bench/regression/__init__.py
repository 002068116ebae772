"""Has a method got worse? A run against a baseline, frame by frame: for pull requests and nightly jobs.

``baseline`` keeps what later runs are compared with, ``judge`` compares, ``summary`` and ``junit`` tell, ``thumbnails`` show.
"""

from __future__ import annotations

from bench.regression.baseline import Baseline
from bench.regression.judge import TOLERANCES, judge
from bench.regression.verdict import Outcome

__all__ = ["TOLERANCES", "Baseline", "Outcome", "judge"]
