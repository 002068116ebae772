"""wrong-audio: the ground truth, but the mouth speaks other words: those half the test split away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract import Conditioning, MethodInfo, TrainTask
from bench.errors import MethodError
from methods.baselines.reference.mouth import paste


class WrongAudio:
    """Each test frame with the mouth of the one half the split later, past the end from the start; its own renderer."""

    info = MethodInfo(
        name="wrong-audio",
        title="Ground truth with another moment's mouth",
        summary="Looks like the truth, but speaks other words: lip metrics must notice, and nothing else.",
        kind="reference",
        sees=frozenset({"ground_truth"}),
        canvas="ground-truth",
        trains=False,
    )

    def train(self, task: TrainTask) -> None:
        """Nothing to learn."""

    def load(self, checkpoint: Path, device: str) -> WrongAudio:
        """Nothing to load."""
        return self

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.uint8]]:
        """The frames, each with the mouth of another moment moved to where the head is."""
        if (count := len(conditioning)) < 2:
            raise MethodError(
                "wrong-audio takes mouths of other test frames, and there is but one: use a longer subject"
            )
        for index, item in enumerate(conditioning):
            other = conditioning[(index + count // 2) % count]
            yield paste(item.ground_truth, item.landmarks, other.ground_truth, other.landmarks)
