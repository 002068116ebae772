"""The training frames of a subject as a radiance field needs them: bytes in memory, read ahead of their use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import classes
from bench.parts import part
from bench.subject import Camera, Frame, Subject
from methods.ahead import Ahead
from methods.radiance.design import Design

Box = tuple[int, int, int, int]
"""Rows r0:r1, columns c0:c1."""
_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Packed:
    """One training frame."""

    id: int
    camera: Camera
    windows: Tensor
    """[8,C,L] audio"""
    upper_face: Tensor
    """[E]"""
    image: NDArray[np.uint8]
    """[H·W,3] supervision: the frame over the static plate"""
    canvas: NDArray[np.uint8]
    """[H·W,3] torso over plate"""
    face: Box
    """Around all landmarks."""
    lower_face: Box
    """The part of it below the tip of the nose."""
    lips: Box
    """The square around the outer lips, inside the picture."""

    @property
    def bytes(self) -> int:
        """Size in memory, nearly."""
        return self.image.nbytes + self.canvas.nbytes

    @staticmethod
    def read(frame: Frame, design: Design) -> Packed:
        """Any thread may do it: nothing here computes with torch."""
        points, size = frame.landmarks, frame.subject.size[::-1]
        x, y = points[:, 0], points[:, 1]
        columns = int(x.min()), int(x.max())
        return Packed(
            frame.id,
            frame.camera,
            torch.from_numpy(frame.audio),
            drivers(frame, design),
            np.ascontiguousarray(frame.background_pasted.reshape(-1, 3)),
            np.ascontiguousarray(frame.torso_canvas.reshape(-1, 3)),
            _within((int(y.min()), int(y.max()), *columns), size),
            _within((int(y[30]), int(y.max()), *columns), size),
            _square(points[48:60], size),
        )


def drivers(source: object, design: Design) -> Tensor:
    """[E] what moves the upper face, of a :class:`bench.subject.Frame` or a :class:`bench.contract.Conditioning`."""
    if design.upper_face > 1:
        return torch.from_numpy(np.array(source.upper_face, np.float32))  # type: ignore[attr-defined]
    return torch.from_numpy(np.array(source.action_units[5:], np.float32) / 2)  # type: ignore[attr-defined]


def colours(picture: NDArray[np.uint8], pixels: Tensor, device: str) -> Tensor:
    """[R,3] in [0, 1] of a picture [H·W,3] at ``pixels`` [R]."""
    return torch.from_numpy(picture)[pixels].to(device).float() / 255


class TrainingData:
    """The training frames of a subject."""

    def __init__(self, subject: Subject, design: Design, device: str) -> None:
        self.subject, self.design, self.device = subject, design, device
        self.ids = list(subject.train_ids)
        self.width, self.height = subject.size
        self._frames = Ahead(self._read, lambda packed: packed.bytes, _BYTES)

    @cached_property
    def audio_form(self) -> tuple[int, int]:
        """(channels, length) of an audio window."""
        return int(self.subject.audio_features.shape[2]), int(self.subject.audio_features.shape[1])

    @cached_property
    def plate(self) -> NDArray[np.uint8]:
        """[H·W,3] the static background."""
        return self.subject.background.reshape(-1, 3).copy()

    def frame(self, position: int) -> Packed:
        """The frame at a position in the list of training frames."""
        with part("data"):
            return self._frames.get(self.ids[position])

    def fetch(self, position: int) -> None:
        """Begin to read a frame that will be wanted next, in another thread."""
        self._frames.begin(self.ids[position])

    def head_mask(self, position: int) -> NDArray[np.bool_]:
        """[H,W] what the head field draws: face, ears and hair."""
        return classes.head(self.subject.frame(self.ids[position]).labels)

    def _read(self, frame_id: int) -> Packed:
        return Packed.read(self.subject.frame(frame_id), self.design)


def _within(box: Box, size: tuple[int, int]) -> Box:
    """The box inside a picture of (height, width), at least one pixel each way."""
    r0, r1, c0, c1 = box
    r0, c0 = min(max(r0, 0), size[0] - 1), min(max(c0, 0), size[1] - 1)
    return r0, max(min(r1, size[0]), r0 + 1), c0, max(min(c1, size[1]), c0 + 1)


def _square(points: NDArray[np.float32], size: tuple[int, int]) -> Box:
    """Around points [n,2]: its middle that of their extent, half its side their larger half extent (spec_ernerf §2.6)."""
    x, y = points[:, 0], points[:, 1]
    c0, c1, r0, r1 = int(x.min()), int(x.max()), int(y.min()), int(y.max())
    half = max(r1 - r0, c1 - c0) // 2
    row, column = (r0 + r1) // 2, (c0 + c1) // 2
    return _within((row - half, row + half, column - half, column + half), size)
