"""Differences between paired measurements: how large, how sure, and why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench import stats
from bench.errors import DataError
from bench.metrics import METRICS
from bench.report.rows import Row
from bench.report.uncertainty import Groups
from bench.report.values import Column

ALPHA = 0.05
"""A delta is told apart from chance if its adjusted p is at most this."""


@dataclass(frozen=True)
class Delta:
    """One mean less another, on the subjects, seeds and frames that both have."""

    value: float | None = None
    ci95: tuple[float, float] | None = None
    """None: resampling has no meaning here (:func:`bench.stats.compare`)."""
    p: float | None = None
    p_holm: float | None = None
    """Adjusted for all that is compared in this measure."""
    cells: int = 0
    """Pairs of cells compared."""
    reason: str = ""
    """Why there is no value, or no interval."""

    @property
    def is_significant(self) -> bool:
        """Whether it is more than chance."""
        return self.p_holm is not None and self.p_holm <= ALPHA


def no_value(row: Row, column: Column) -> str | None:
    """Why ``row`` has nothing in ``column`` that could be compared; None if it has."""
    value = row.values[column.key]
    if row.status == "ok" and value.state == "ok":
        return None
    return f"{row.method} has no such value: {value.reason or row.error or value.state}"


def difference(a: Groups | None, b: Groups | None, measure: str) -> Delta:
    """``a - b`` of a measure's per-frame values by subject and seed; None: there are none."""
    if a is None or b is None:
        return Delta(reason="no per-frame values")
    cells = sum(len(a[subject].keys() & b[subject].keys()) for subject in a.keys() & b.keys())
    try:
        found = stats.compare(a, b, METRICS[measure].statistic)
    except DataError as error:
        return Delta(reason=str(error))
    if not math.isfinite(found.delta):
        return Delta(reason="undefined on the frames that both have scored", cells=cells)
    if found.low is None or found.high is None:
        return Delta(found.delta, cells=cells, reason="no interval: too few frames that both have scored")
    return Delta(found.delta, (found.low, found.high), found.p, cells=cells)


def adjusted(deltas: Sequence[Delta]) -> list[Delta]:
    """The same with their p adjusted for each other (Holm)."""
    ps = iter(stats.holm([delta.p for delta in deltas if delta.p is not None]))
    return [delta if delta.p is None else replace(delta, p_holm=next(ps)) for delta in deltas]
