"""frozen-mouth: the ground truth with one training frame's mouth on it. Everything moves but the lips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from bench.contract import Conditioning, MethodInfo, TrainTask
from bench.paths import atomic_file
from methods.baselines.reference.mouth import paste

_FILE = "mouth.safetensors"


class FrozenMouth:
    """Sees the test frame and its landmarks."""

    info = MethodInfo(
        name="frozen-mouth",
        title="Ground truth with a frozen mouth",
        summary="Moves like the truth, but never speaks: lip metrics must notice.",
        kind="reference",
        sees=frozenset({"ground_truth"}),
        canvas="ground-truth",
    )

    def train(self, task: TrainTask) -> None:
        """Keep the training frame whose mouth is open as wide as the median."""
        ids, openings = task.subject.train_ids, []
        task.progress.stage("choose", len(ids))
        for done, frame_id in enumerate(ids, start=1):
            points = task.subject.frame(frame_id).landmarks
            openings.append(np.linalg.norm(points[62] - points[66]) / np.linalg.norm(points[27] - points[8]))
            task.progress.step(done)
        chosen = task.subject.frame(ids[int(np.argsort(openings, kind="stable")[len(ids) // 2])])
        with atomic_file(task.out / _FILE) as path:
            save_file({"picture": chosen.image, "landmarks": chosen.landmarks}, path)

    def load(self, checkpoint: Path, device: str) -> _Paster:
        """Read the chosen frame."""
        return _Paster(**load_file(checkpoint / _FILE))


class _Paster:
    def __init__(self, picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> None:
        self._picture, self._landmarks = picture, landmarks

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.uint8]]:
        """The frames, each with the kept mouth moved to where the head is."""
        return (paste(item.ground_truth, item.landmarks, self._picture, self._landmarks) for item in conditioning)
