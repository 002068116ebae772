"""What a comparison with a baseline comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench import metrics

Verdict = Literal["regressed", "unclear", "ok", "improved"]
"""``regressed``: worse by more than the tolerance and by more than chance; ``unclear``: by more than the tolerance, but chance
alone may do that; ``improved``: as ``regressed``, the other way."""
MEAN = "mean"
"""Stands for the subject where a row is the mean over all of them."""
_EXIT = {"ok": 0, "regressed": 3, "invalid": 4}


@dataclass(frozen=True)
class Judged:
    """One measure of one method on one subject, or of their mean."""

    method: str
    subject: str
    measure: str
    """``psnr``, ``psnr@face``"""
    unit: str
    higher_is_better: bool
    tolerance: float
    verdict: Verdict
    before: float | None
    """None: some cell was identical to the ground truth, or it is undefined; ``reason`` says which."""
    after: float | None
    delta: float | None
    """After less before, on the frames that both have scored; None where ``before`` is."""
    interval: tuple[float, float] | None
    """Paired, of ``delta``; None where there is none: then the tolerance alone decides."""
    reason: str = ""

    @property
    def title(self) -> str:
        """``PSNR face``"""
        return metrics.title(self.measure)


@dataclass(frozen=True)
class Lost:
    """The frame that lost most of one method and subject."""

    method: str
    subject: str
    cell: str
    """Name of the cell it is in."""
    measure: str
    place: int
    """Among the test frames, from 0."""
    frame_id: int
    before: float
    after: float
    loss: float
    """In tolerances of the measure."""


@dataclass(frozen=True)
class Outcome:
    """All of it."""

    run: str
    tolerances: Mapping[str, float]
    level: float
    """Confidence of the intervals, 0–1."""
    seed: int
    """Of the resampling."""
    problems: tuple[str, ...]
    """Why the two can't be compared: a missing cell, another signature, another subject."""
    rows: tuple[Judged, ...]
    lost: tuple[Lost, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["ok", "regressed", "invalid"]:
        """The worst of all rows; ``invalid`` if there is any problem."""
        if self.problems:
            return "invalid"
        return "regressed" if self.count("regressed") else "ok"

    @property
    def exit_code(self) -> int:
        """0, 3 regressed, 4 invalid (design.md §8)."""
        return _EXIT[self.verdict]

    def count(self, verdict: Verdict) -> int:
        """How many rows have this verdict."""
        return sum(row.verdict == verdict for row in self.rows)
