"""Training frames as tensors: masks, targets and drivers, read when first needed and kept as bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench import classes
from bench.subject import Camera, Frame, Subject
from methods.deformable.design import Design

_CACHE_BYTES = 1_500_000_000
_PIXELS_512 = 512 * 512


@dataclass(frozen=True)
class View:
    """A camera as the renderer takes it."""

    viewmat: Tensor
    """[1,4,4] world to camera"""
    K: Tensor
    """[1,3,3]"""
    centre: Tensor
    """[3]"""
    width: int
    height: int

    @staticmethod
    def of(camera: Camera, device: str) -> View:
        """From a subject's camera."""
        tensors = [
            torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (camera.viewmat, camera.K, camera.centre)
        ]
        return View(tensors[0][None], tensors[1][None], tensors[2], camera.width, camera.height)


@dataclass(frozen=True)
class Drivers:
    """What moves the Gaussians in one frame."""

    windows: Tensor
    """[8,C,L] audio"""
    expression: Tensor
    """[E] coefficients, or AU01, 04, 05, 06, 07"""
    direct: Tensor
    """[2] eyelids, or [1] AU45"""

    @staticmethod
    def of(design: Design, source: object, device: str) -> Drivers:
        """From a :class:`bench.subject.Frame` or a :class:`bench.contract.Conditioning`."""
        if design.coefficients:
            arrays = [source.audio, source.expression, source.eyelid]  # type: ignore[attr-defined]
        else:
            units = source.action_units  # type: ignore[attr-defined]
            arrays = [source.audio, units[:5], units[5:]]  # type: ignore[attr-defined]
        return Drivers(*(torch.from_numpy(np.ascontiguousarray(a)).float().to(device) for a in arrays))


@dataclass(frozen=True)
class Sample:
    """One training frame at one scale. Masks are bool [h,w]."""

    id: int
    view: View
    drivers: Drivers
    image: Tensor
    """uint8 [3,h,w] supervision"""
    head: Tensor
    """What the face branch draws."""
    hair: Tensor
    mouth: Tensor
    lips: tuple[int, int, int, int]
    """Rows r0:r1, columns c0:c1 of the square around the outer lips, inside the picture."""
    jaw: Tensor | None
    """[3]"""

    @property
    def lips_mask(self) -> Tensor:
        """The lips square as a mask [h,w]."""
        mask = torch.zeros_like(self.mouth)
        r0, r1, c0, c1 = self.lips
        mask[r0:r1, c0:c1] = True
        return mask

    def target(self) -> Tensor:
        """float [3,h,w] in [0,1]."""
        return self.image.float() / 255


class TrainingData:
    """The training frames of a subject, as a design needs them."""

    def __init__(self, subject: Subject, design: Design, device: str) -> None:
        self.subject, self.design, self.device = subject, design, device
        self.ids = list(subject.train_ids)
        self._samples: OrderedDict[tuple[int, bool], Sample] = OrderedDict()
        self._canvases: dict[int, Tensor] = {}

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
        return int(self.subject.coefficients.expression.shape[1]) if self.design.coefficients else 5

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
        return np.array([int(self.sample(i, half=False).mouth.sum()) >= least for i in self.ids])

    def sample(self, frame_id: int, half: bool) -> Sample:
        """A frame at full or half size."""
        key = (frame_id, half)
        if key in self._samples:
            self._samples.move_to_end(key)
        else:
            self._samples[key] = self._read(self.subject.frame(frame_id), 0.5 if half else 1.0)
            width, height = self.subject.size
            while len(self._samples) * width * height * 6 > _CACHE_BYTES:
                self._samples.popitem(last=False)
        return self._samples[key]

    def canvas(self, frame_id: int) -> Tensor:
        """float [3,H,W] picture the frame is drawn over."""
        if frame_id not in self._canvases:
            frame = self.subject.frame(frame_id)
            picture = frame.hair_canvas if self.design.hair_canvas else frame.torso_canvas
            self._canvases[frame_id] = _chw(picture).to(self.device)
        return self._canvases[frame_id].float() / 255

    def _read(self, frame: Frame, scale: float) -> Sample:
        design, labels = self.design, frame.labels
        head = classes.face(labels, ears=not design.hair_canvas) & ~frame.teeth
        hair = classes.hair(labels, ears=design.hair_canvas)
        if not design.hair_canvas:
            head |= hair
        picture = frame.image if design.hair_canvas else frame.background_pasted
        camera = frame.camera.scaled(scale)
        size = (camera.height, camera.width)
        masks = [_mask(m, size).to(self.device) for m in (head, hair, classes.mouth(labels, frame.teeth))]
        return Sample(
            frame.id,
            View.of(camera, self.device),
            Drivers.of(design, frame, self.device),
            _resized(_chw(picture), size).to(self.device),
            *masks,
            lips=_lips_square(frame.landmarks * scale, size),
            jaw=torch.from_numpy(frame.jaw.copy()).to(self.device) if design.jaw_loss else None,
        )


def _chw(picture: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(picture.shape[1:]) == size:
        return picture
    return F.interpolate(picture[None].float(), size, mode="area")[0].round().to(torch.uint8)


def _mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> Tensor:
    tensor = torch.from_numpy(mask)
    if mask.shape == size:
        return tensor
    return F.interpolate(tensor[None, None].float(), size, mode="area")[0, 0] > 0.5


def _lips_square(landmarks: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around landmarks 48–59 (spec_degstalk §2.9), clamped to the picture and never empty."""
    xs, ys = landmarks[48:60, 0], landmarks[48:60, 1]
    c0, c1, r0, r1 = int(xs.min()), int(xs.max()), int(ys.min()), int(ys.max())
    half = max(r1 - r0, c1 - c0) // 2
    row, column = (r0 + r1) // 2, (c0 + c1) // 2
    height, width = size
    top, left = min(max(row - half, 0), height - 2), min(max(column - half, 0), width - 2)
    return top, max(min(row + half, height), top + 2), left, max(min(column + half, width), left + 2)
