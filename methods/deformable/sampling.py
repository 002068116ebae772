"""Which frame is trained on next: a shuffled epoch, with curricula that favour some frames.

The official code redraws at random until a frame fits, and hangs where none does. Here the fitting frames are listed
and one of them is drawn; where none fits, the nearest is taken.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from methods.deformable.data import TrainingData
from methods.deformable.design import Branch, Design


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


def mouth_position(it: int, schedule: Branch, data: TrainingData, sampler: Sampler) -> int:
    """Mouth stage: wide-open mouths first, then a window that opens downwards (spec_degstalk §4.1)."""
    wide, narrow = float(data.lips_part.max()), float(np.percentile(data.lips_part, 25))
    if it < schedule.warm:
        return sampler.among(data.lips_part, wide, wide)
    if it >= schedule.curriculum_until:
        return sampler.next()
    progress = it / schedule.curriculum_until
    values = np.where(data.has_mouth, data.lips_part, np.inf)
    if it % 7 == 0:
        return sampler.among(values, wide - progress * (wide - narrow), wide)
    position = sampler.next()
    return position if data.has_mouth[position] else sampler.among(values, -np.inf, np.finfo(np.float32).max)


def face_position(it: int, schedule: Branch, design: Design, data: TrainingData, sampler: Sampler) -> int:
    """Face stage: now and then a mouth of a given size or a blink (spec_talkinggaussian §4.2, spec_degstalk §4.2)."""
    progress = it / schedule.curriculum_until
    moving = schedule.warm < it < schedule.curriculum_until
    by_mouth = (
        (it < schedule.warm and it % 15 == 0) if design.mouth_sampling == "warm-up" else (moving and it % 30 == 0)
    )
    if by_mouth:
        low, high = float(data.mouth_height.min()), float(data.mouth_height.max())
        low += 0.2 * (high - low)
        width, middle = 0.2 * (high - low), low + progress * (high - low)
        return sampler.among(data.mouth_height, middle - width, middle + width)
    if moving and it % 15 == design.blink_phase:
        return sampler.among(data.blink, progress - 0.15, progress + 0.3)
    return sampler.next()
