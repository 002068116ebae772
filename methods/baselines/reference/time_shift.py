"""time-shift: the ground truth, five frames late. Pictures are perfect; only what moves is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract import Conditioning, MethodInfo, TrainTask

SHIFT = 5
"""Frames; 0.2 s at 25 fps, far beyond what viewers accept as in step."""


class TimeShift:
    """Each test frame replaced by the one :data:`SHIFT` before it, the first ones by the first; its own renderer."""

    info = MethodInfo(
        name="time-shift",
        title=f"Ground truth, {SHIFT} frames late",
        summary="Perfect pictures at the wrong time: lip metrics must notice.",
        kind="reference",
        sees=frozenset({"ground_truth"}),
        canvas="ground-truth",
        trains=False,
    )

    def train(self, task: TrainTask) -> None:
        """Nothing to learn."""

    def load(self, checkpoint: Path, device: str) -> TimeShift:
        """Nothing to load."""
        return self

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.uint8]]:
        """Earlier test frames."""
        return (conditioning[max(0, index - SHIFT)].ground_truth for index in range(len(conditioning)))
