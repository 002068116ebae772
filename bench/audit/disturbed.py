"""The subject with its test frames' pixels moved, and nothing else."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.subject import Frame, Subject

DELTA = 64
"""Levels of 255. Large beside rounding, and small enough that every value can be moved by it: nothing saturates."""


def disturb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each value moved by :data:`DELTA`, the darker half up, the brighter half down: every value changes by as much.

    >>> disturb(np.array([0, 127, 128, 255], np.uint8)).tolist()
    [64, 191, 64, 191]
    """
    return np.where(picture < 128, picture + np.uint8(DELTA), picture - np.uint8(DELTA)).astype(np.uint8)


class _DisturbedFrame(Frame):
    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """[H,W,3] RGB, disturbed; the plates are built from it."""
        return disturb(super().image)


class Disturbed(Subject):
    """The same subject, but the picture of every test frame is :func:`disturb`\\ ed. Nothing is read or written yet."""

    def __init__(self, subject: Subject) -> None:
        self.__dict__.update(subject.__dict__)

    def frame(self, frame_id: int) -> Frame:
        """A frame; training frames are as they were."""
        frame = super().frame(frame_id)
        return _DisturbedFrame(self, frame_id) if frame_id in self.test_ids else frame
