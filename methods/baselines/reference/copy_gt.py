"""copy-gt: hands back the ground truth. PSNR must come out as infinite, SSIM 1, LPIPS 0, LMD 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contract import Conditioning, MethodInfo, TrainTask


class CopyGt:
    """The ceiling of every metric; it is its own renderer."""

    info = MethodInfo(
        name="copy-gt",
        title="Copy of the ground truth",
        summary="The ceiling: hands back the test frame itself.",
        kind="reference",
        sees=frozenset({"ground_truth"}),
        canvas="ground-truth",
        trains=False,
    )

    def train(self, task: TrainTask) -> None:
        """Nothing to learn."""

    def load(self, checkpoint: Path, device: str) -> CopyGt:
        """Nothing to load."""
        return self

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[NDArray[np.uint8]]:
        """The frames themselves."""
        return (item.ground_truth for item in conditioning)
