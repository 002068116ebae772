"""One training frame as tensors. It is kept as bytes, its masks as bits, and unpacked when it is used."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import classes
from bench.subject import Camera, Frame
from methods.deformable.design import Design


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
    """[E] coefficients of expression and, where they are used, shape; or AU01, 04, 05, 06, 07"""
    direct: Tensor
    """[2] eyelids, or [1] AU45"""

    @staticmethod
    def of(design: Design, source: object, device: str) -> Drivers:
        """From a :class:`bench.subject.Frame` or a :class:`bench.contract.Conditioning`."""
        if design.coefficients:
            shape = [source.shape] if design.shape else []  # type: ignore[attr-defined]
            arrays = [source.audio, np.concatenate([source.expression, *shape]), source.eyelid]  # type: ignore[attr-defined]
        else:
            units = source.action_units  # type: ignore[attr-defined]
            arrays = [source.audio, units[:5], units[5:]]  # type: ignore[attr-defined]
        return Drivers(*(torch.from_numpy(np.ascontiguousarray(a)).float().to(device) for a in arrays))

    def to(self, device: str) -> Drivers:
        """The same on another device."""
        return Drivers(self.windows.to(device), self.expression.to(device), self.direct.to(device))


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


@dataclass(frozen=True)
class Packed:
    """A :class:`Sample` as it is kept: about 3.4 bytes a pixel."""

    id: int
    camera: Camera
    drivers: Drivers
    image: NDArray[np.uint8]
    """[3,h,w]"""
    masks: NDArray[np.uint8]
    """[3, ceil(h·w/8)] bits of head, hair and mouth"""
    lips: tuple[int, int, int, int]
    jaw: NDArray[np.float32] | None

    @property
    def bytes(self) -> int:
        """Size in memory, nearly; HuBERT's windows alone are 64 kB a frame."""
        heard = (self.drivers.windows, self.drivers.expression, self.drivers.direct)
        return self.image.nbytes + self.masks.nbytes + sum(t.nbytes for t in heard)

    @staticmethod
    def read(frame: Frame, design: Design, scale: float) -> Packed:
        """The frame at ``scale`` times its size, as a design needs it. Any thread may do it: nothing here computes with torch."""
        labels = frame.labels
        head = classes.face(labels, ears=not design.hair_canvas) & ~frame.teeth
        hair = classes.hair(labels, ears=design.hair_canvas)
        if not design.hair_canvas:
            head |= hair
        picture = frame.image if design.hair_canvas else frame.background_pasted
        camera = frame.camera.scaled(scale)
        size = (camera.width, camera.height)
        masks = [_mask(m, size) for m in (head, hair, classes.mouth(labels, frame.teeth))]
        return Packed(
            frame.id,
            camera,
            Drivers.of(design, frame, "cpu"),
            np.ascontiguousarray(_resized(picture, size).transpose(2, 0, 1)),
            np.packbits(np.stack(masks).reshape(3, -1), axis=1),
            lips=_lips_square(frame.landmarks * scale, size[::-1]),
            jaw=frame.jaw.copy() if design.jaw_loss else None,
        )

    def sample(self, device: str) -> Sample:
        """Unpacked, on ``device``."""
        height, width = self.camera.height, self.camera.width
        bits = np.unpackbits(self.masks, axis=1, count=height * width).reshape(3, height, width)
        head, hair, mouth = torch.from_numpy(bits.view(bool)).to(device).unbind(0)
        return Sample(
            self.id,
            View.of(self.camera, device),
            self.drivers.to(device),
            torch.from_numpy(self.image).to(device),
            head,
            hair,
            mouth,
            self.lips,
            None if self.jaw is None else torch.from_numpy(self.jaw).to(device),
        )


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """[h,w,3] averaged over areas; ``size``: width, height."""
    return picture if picture.shape[1::-1] == size else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool [h,w]: where more than half of a pixel's area is in the mask."""
    if mask.shape == size[::-1]:
        return mask
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5


def _lips_square(landmarks: NDArray[np.float32], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The square around landmarks 48–59 (spec_degstalk §2.9), clamped to the picture and never empty."""
    xs, ys = landmarks[48:60, 0], landmarks[48:60, 1]
    c0, c1, r0, r1 = int(xs.min()), int(xs.max()), int(ys.min()), int(ys.max())
    half = max(r1 - r0, c1 - c0) // 2
    row, column = (r0 + r1) // 2, (c0 + c1) // 2
    height, width = size
    top, left = min(max(row - half, 0), height - 2), min(max(column - half, 0), width - 2)
    return top, max(min(row + half, height), top + 2), left, max(min(column + half, width), left + 2)
