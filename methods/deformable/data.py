"""The training frames of a subject: read ahead of their use, kept as far as memory goes."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import classes
from bench.parts import part
from bench.subject import Subject
from methods.ahead import Ahead
from methods.deformable.design import Design
from methods.deformable.sample import Packed, Sample

_FRAME_BYTES, _CANVAS_BYTES = 1_200_000_000, 500_000_000
_PIXELS_512 = 512 * 512


class TrainingData:
    """The training frames of a subject, as a design needs them."""

    def __init__(self, subject: Subject, design: Design, device: str) -> None:
        self.subject, self.design, self.device = subject, design, device
        self.ids = list(subject.train_ids)
        self._frames = Ahead(self._read_frame, lambda packed: packed.bytes, _FRAME_BYTES)
        self._canvases = Ahead(self._read_canvas, lambda picture: picture.nbytes, _CANVAS_BYTES)

    @cached_property
    def extent(self) -> float:
        """1.1 × the largest distance of a camera centre from their mean, but at least 1 cm."""
        centres = np.stack([self.subject.camera(i).centre for i in self.ids])
        return max(0.01, 1.1 * float(np.linalg.norm(centres - centres.mean(0), axis=1).max()))

    @cached_property
    def audio_channels(self) -> int:
        """C of the audio windows."""
        return int(self.subject.audio_features.shape[2])

    @cached_property
    def expression_width(self) -> int:
        """E: number of expression inputs."""
        if not self.design.coefficients:
            return 5
        found = self.subject.coefficients
        return int(found.expression.shape[1]) + (int(found.shape.shape[1]) if self.design.shape else 0)

    @cached_property
    def blink(self) -> NDArray[np.float32]:
        """[n] blink in [0,1] of each training frame."""
        return np.array([self.subject.frame(i).blink for i in self.ids], np.float32)

    @cached_property
    def lips_part(self) -> NDArray[np.float32]:
        """[n] AU25 of each training frame, clipped to its 95th percentile over them."""
        values = np.array([self.subject.frame(i).lips_part for i in self.ids], np.float32)
        return np.minimum(values, np.percentile(values, 95))

    @cached_property
    def mouth_height(self) -> NDArray[np.float32]:
        """[n] height in whole pixels of the inner lips (landmarks 60–67)."""
        ys = [self.subject.frame(i).landmarks[60:68, 1] for i in self.ids]
        return np.array([int(y.max()) - int(y.min()) for y in ys], np.float32)

    @cached_property
    def has_mouth(self) -> NDArray[np.bool_]:
        """[n] frames whose mouth mask holds at least 20 pixels (of a 512×512 frame; less in a smaller one)."""
        width, height = self.subject.size
        least = 20 * min(1.0, width * height / _PIXELS_512)
        frames = (self.subject.frame(i) for i in self.ids)
        return np.array([int(classes.mouth(f.labels, f.teeth).sum()) >= least for f in frames])

    def sample(self, frame_id: int, half: bool) -> Sample:
        """A frame at full or half size."""
        with part("data"):
            return self._frames.get((frame_id, half)).sample(self.device)

    def canvas(self, frame_id: int) -> Tensor:
        """float [3,H,W] picture the frame is drawn over."""
        with part("data"):
            return torch.from_numpy(self._canvases.get(frame_id)).to(self.device).float() / 255

    def fetch(self, frame_id: int, half: bool, canvas: bool = False) -> None:
        """Begin to read what will be wanted next, in another thread."""
        self._frames.begin((frame_id, half))
        if canvas:
            self._canvases.begin(frame_id)

    def _read_frame(self, key: tuple[int, bool]) -> Packed:
        frame_id, half = key
        return Packed.read(self.subject.frame(frame_id), self.design, 0.5 if half else 1.0)

    def _read_canvas(self, frame_id: int) -> NDArray[np.uint8]:
        picture = getattr(self.subject.frame(frame_id), self.design.canvas)
        return np.ascontiguousarray(picture.transpose(2, 0, 1))
