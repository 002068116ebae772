"""codec: the ground truth through the video file that the field's scripts write. What is scored from such a file can't beat it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import video
from bench.contract import Conditioning, MethodInfo, TrainTask
from bench.protocol import codec


class Codec:
    """Writes the test frames as H.264 (:func:`bench.protocol.codec.write_h264`) and reads them again; its own renderer."""

    info = MethodInfo(
        name="codec",
        title="Ground truth through H.264",
        summary="What storing frames as the field's videos costs: the ceiling of every number taken from such a file.",
        kind="reference",
        sees=frozenset({"ground_truth"}),
        canvas="ground-truth",
        trains=False,
    )

    def train(self, task: TrainTask) -> None:
        """Nothing to learn."""

    def load(self, checkpoint: Path, device: str) -> Codec:
        """Nothing to load."""
        return self

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.uint8]]:
        """The frames as they come out of the file. They depend on one another, as a video's frames do."""
        width, height = conditioning[0].size
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frames.mp4"
            codec.write_h264(path, (_even(item.ground_truth) for item in conditioning))
            yield from (frame[:height, :width] for frame in video.read_video(path))


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An odd side is padded by repeating its last row or column: the file can't hold it otherwise."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
