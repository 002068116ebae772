"""mean-frame: the mean of the training frames, for every test frame. The floor of picture quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from bench.contract import Conditioning, MethodInfo, TrainTask
from bench.errors import RecordError
from bench.paths import atomic_file

_FILE = "mean.safetensors"


class MeanFrame:
    """Sees nothing of a test frame."""

    info = MethodInfo(
        name="mean-frame",
        title="Mean training frame",
        summary="The floor: one still picture, the mean of all training frames.",
        kind="reference",
        sees=frozenset(),
        canvas="mean-frame",
    )

    def train(self, task: TrainTask) -> None:
        """Average the training frames in whole numbers, so that the order doesn't matter."""
        ids, total = task.subject.train_ids, np.zeros((*task.subject.size[::-1], 3), np.int64)
        task.progress.stage("mean", len(ids))
        for done, frame_id in enumerate(ids, start=1):
            total += task.subject.frame(frame_id).image
            task.progress.step(done)
        mean = np.round(total / len(ids)).astype(np.uint8)
        with atomic_file(task.out / _FILE) as path:
            save_file({"mean": mean}, path)

    def load(self, checkpoint: Path, device: str) -> _Still:
        """Read the mean frame.

        Raises:
            RecordError: it isn't there, or damaged.
        """
        path = checkpoint / _FILE
        try:
            return _Still(load_file(path)["mean"])
        except (OSError, KeyError, SafetensorError) as error:
            raise RecordError(f"{path} is not a finished checkpoint ({error}); train again") from error


class _Still:
    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._picture = picture

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.uint8]]:
        """The same picture, over and over."""
        return (self._picture for _ in conditioning)
