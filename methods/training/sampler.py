"""A shuffled epoch of training frames, with draws among those that fit a window.

The official code redraws at random until a frame fits, and hangs where none does. Here the fitting frames are listed
and one of them is drawn; where none fits, the nearest is taken.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


class Sampler:
    """Draws positions into the list of training frames."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator
        self.order = torch.empty(0, dtype=torch.int64)

    def next(self) -> int:
        """The next position of the epoch; a new shuffle begins when it is used up."""
        if not len(self.order):
            self.order = torch.randperm(self.count, generator=self.generator)
        position, self.order = int(self.order[-1]), self.order[:-1]
        return position

    def among(self, values: NDArray[np.float32], low: float, high: float) -> int:
        """A random position whose value lies in [low, high]; the nearest one where none does."""
        fitting = np.flatnonzero((values >= low) & (values <= high))
        if not len(fitting):
            return int(np.argmin(np.abs(values - (low + high) / 2)))
        return int(fitting[int(torch.randint(len(fitting), (1,), generator=self.generator))])
