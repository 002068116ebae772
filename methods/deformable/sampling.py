"""Which frame a branch is trained on next: curricula that favour some frames."""

from __future__ import annotations

import numpy as np

from methods.deformable.data import TrainingData
from methods.deformable.design import Branch, Design
from methods.training.sampler import Sampler


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
