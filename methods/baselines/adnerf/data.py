"""The training frames as AD-NeRF needs them, at a preset's resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import classes
from bench.parts import part
from bench.subject import Camera, Frame, Subject
from methods.ahead import Ahead
from methods.baselines.adnerf.design import Schedule
from methods.baselines.adnerf.render import Span

_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Packed:
    """One training frame."""

    camera: Camera
    windows: Tensor
    """[8,C,L]"""
    head: NDArray[np.uint8]
    """[h·w,3] the head over the plate"""
    whole: NDArray[np.uint8]
    """[h·w,3] head and torso over the plate"""
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    """Pixels inside and outside the rectangle around the face."""

    @property
    def bytes(self) -> int:
        """Size in memory, nearly."""
        return self.head.nbytes + self.whole.nbytes + self.inside.nbytes + self.outside.nbytes


class TrainingData:
    """The training frames of a subject."""

    def __init__(self, subject: Subject, schedule: Schedule, device: str) -> None:
        self.subject, self.device = subject, device
        self.ids = list(subject.train_ids)
        self.scale = schedule.side / subject.size[0] if schedule.side else 1.0
        self.span = _span(subject, schedule)
        first = self.camera(self.ids[0])
        self.width, self.height = first.width, first.height
        self._frames = Ahead(self._read, lambda packed: packed.bytes, _BYTES)

    def camera(self, frame_id: int) -> Camera:
        """A frame's camera at the preset's resolution."""
        return self.subject.camera(frame_id).scaled(self.scale)

    @cached_property
    def plate(self) -> NDArray[np.uint8]:
        """[h·w,3] the static background."""
        return self._small(self.subject.background)

    def frame(self, position: int) -> Packed:
        """The frame at a position in the list of training frames."""
        with part("data"):
            return self._frames.get(self.ids[position])

    def fetch(self, position: int) -> None:
        """Begin to read a frame that will be wanted next, in another thread."""
        self._frames.begin(self.ids[position])

    def colours(self, picture: NDArray[np.uint8], pixels: Tensor) -> Tensor:
        """[R,3] in [0, 1] of a picture [h·w,3]."""
        return torch.from_numpy(picture)[pixels].to(self.device).float() / 255

    def _small(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if (self.width, self.height) != self.subject.size:
            picture = cv2.resize(picture, (self.width, self.height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        return np.ascontiguousarray(picture.reshape(-1, 3))

    def _read(self, frame_id: int) -> Packed:
        frame = self.subject.frame(frame_id)
        labels = frame.labels
        head = classes.head(labels)
        whole = frame.background_pasted
        alone = np.where(head[..., None], whole, self.subject.background)
        mask = _face_rectangle(frame, self.scale, (self.height, self.width)).reshape(-1)
        return Packed(
            self.camera(frame_id),
            torch.from_numpy(frame.audio),
            self._small(alone),
            self._small(whole),
            np.flatnonzero(mask),
            np.flatnonzero(~mask),
        )


def _face_rectangle(frame: Frame, scale: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool [h,w]: around the nose's bridge, 1.5 times the face's width, 1.15 times down to the chin (spec_adnerf §2.4)."""
    x, y = (frame.landmarks * scale).T
    column, row = (x.min() + x.max()) / 2, y[27]
    wide, high = max(1, int((x.max() - column) * 1.5)), max(1, int((y[8] - row) * 1.15))
    mask = np.zeros(size, bool)
    mask[max(0, int(row - high)) : int(row + high), max(0, int(column - wide)) : int(column + wide)] = True
    return mask


def _span(subject: Subject, schedule: Schedule) -> Span:
    """From before to behind the mean distance of the head."""
    depth = float(np.mean([subject.camera(i).viewmat[2, 3] for i in subject.train_ids]))
    return Span(max(depth - schedule.before, 1e-3), depth + schedule.behind, schedule.coarse, schedule.fine)
