"""The face mesh without head pose and size: what the coefficients and the geometric action units are measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.prepare.fit import RIGID
from bench.prepare.mesh import Mesh

Array = NDArray[np.float64]
_ROUNDS = 3
_CHUNK = 500
"""Frames that are aligned at a time: memory doesn't grow with all points of all frames."""
EYES = {"left": ((362, 263), (385, 386, 387), (380, 374, 373)), "right": ((33, 133), (160, 159, 158), (144, 145, 153))}
"""Subject's eye → (corners, upper lid, lower lid below it)."""


def similarity(source: Array, target: Array) -> tuple[Array, Array, Array]:
    """Best scale [T], rotation [T,3,3] and shift [T,3] that take points [T,P,3] to [P,3] (Umeyama 1991)."""
    mean, aim = source.mean(1, keepdims=True), target.mean(0)
    centred, wanted = source - mean, target - aim
    u, spread, vt = np.linalg.svd(np.einsum("pi,tpj->tij", wanted, centred))
    sign = np.ones_like(spread)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (spread * sign).sum(1) / (centred**2).sum((1, 2))
    shift = aim - scale[:, None] * (rotation @ mean.transpose(0, 2, 1))[..., 0]
    return scale, rotation, shift


@dataclass(frozen=True, eq=False)
class PoseFree:
    """A mesh turned, scaled and shifted onto one place, frame by frame, as it is asked for.

    Axes: x right in the picture, y down, z away from the camera; the eyes' distance is 1.
    """

    mesh: Mesh
    """[T,478,3] pixels; may be on disk."""
    scale: Array
    """[T]"""
    rotation: Array
    """[T,3,3]"""
    shift: Array
    """[T,3]"""

    def __len__(self) -> int:
        return len(self.scale)

    def at(self, *points: int) -> Array:
        """[T,P,3] some of the points in every frame."""
        return self._placed(slice(None), self.mesh[:, list(points)])

    def chunks(self, frames: int) -> Iterator[tuple[slice, Array]]:
        """(which frames, their points [≤500,478,3]) of the first ``frames`` frames."""
        for first in range(0, frames, _CHUNK):
            part = slice(first, min(first + _CHUNK, frames))
            yield part, self._placed(part, self.mesh[part])

    def _placed(self, part: slice, points: Mesh) -> Array:
        turned = points.astype(np.float64) @ self.rotation[part].transpose(0, 2, 1)
        return self.scale[part, None, None] * turned + self.shift[part, None]


def pose_free(mesh: Mesh, train: int) -> PoseFree:
    """Mesh [T,478,3] brought onto the mean of the training frames.

    Aligned by the points that don't move with expression (:data:`bench.prepare.fit.RIGID`), so that a wide open jaw
    stays a jaw movement.
    """
    rigid = mesh[:, list(RIGID)].astype(np.float64)
    aim = rigid[0]
    for _ in range(_ROUNDS):
        scale, rotation, shift = similarity(rigid, aim)
        aligned = scale[:, None, None] * (rigid @ rotation.transpose(0, 2, 1)) + shift[:, None]
        aim = aligned[:train].mean(0)
    there = PoseFree(mesh, scale, rotation, shift)
    mean = sum(points.sum(0) for _, points in there.chunks(train)) / train
    left, right = (mean[list(EYES[side][0])].mean(0) for side in ("left", "right"))
    size = np.linalg.norm(left - right)
    return PoseFree(mesh, scale / size, rotation, (shift - mean.mean(0)) / size)


def eye_opening(face: PoseFree) -> Array:
    """[T,2] height over width of the subject's left and right eye."""
    sides = []
    for corners, upper, lower in (EYES["left"], EYES["right"]):
        height = np.linalg.norm(face.at(*upper) - face.at(*lower), axis=-1).mean(1)
        inner, outer = np.moveaxis(face.at(*corners), 1, 0)
        sides.append(height / np.linalg.norm(inner - outer, axis=-1))
    return np.stack(sides, 1)
