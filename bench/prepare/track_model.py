"""How a rigid head is seen: what tracking needs of projection, with derivatives, and a first guess of the poses.

Axes of the picture and camera: OpenCV (x right, y down, z forward). Observations are [T,P,3]: pixels x and y, and the
mesh's own depth relative to its mean, times :data:`DEPTH_WEIGHT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bench.prepare.shape import similarity

Array = NDArray[np.float64]
DEPTH_WEIGHT = 0.3
"""How much FaceMesh's depth counts beside its x and y. It tells turning from a deeper face, which x and y hardly do: with it,
rotation errors on ada and ben (exact focal length, medians) fall from 1.44° and 1.27° to 1.11° and 1.10°; at 1, ada's is 1.22°."""
_CHUNK = 500


@dataclass(frozen=True)
class Motion:
    """Head to camera, frame by frame."""

    rotation: Array
    """[T,3,3]"""
    shift: Array
    """[T,3] about metres; z > 0 is in front of the camera."""

    def moved(self, step: Array) -> Motion:
        """After small steps [T,6]: a rotation vector in camera axes, then a shift."""
        turned = Rotation.from_rotvec(step[:, :3]).as_matrix() @ self.rotation
        return Motion(turned, self.shift + step[:, 3:])

    def at(self, frames: NDArray[np.intp] | slice) -> Motion:
        """Those frames."""
        return Motion(self.rotation[frames], self.shift[frames])

    def camera_to_world(self) -> Array:
        """[T,4,4] with OpenGL axes, as the transforms files have it (spec_talkinggaussian §2.4)."""
        back = self.rotation.transpose(0, 2, 1)
        matrices = np.tile(np.eye(4), (len(back), 1, 1))
        matrices[:, :3, :3] = back * (1, -1, -1)
        matrices[:, :3, 3] = -(back @ self.shift[..., None])[..., 0]
        return matrices


@dataclass(frozen=True)
class Lens:
    """Pinhole."""

    focal: float
    """Pixels."""
    centre: tuple[float, float]
    """Principal point, pixels."""


def pieces(frames: int) -> Iterator[slice]:
    """All frames, some at a time: what is computed of every point then needs little memory in clips of any length."""
    return (slice(first, min(first + _CHUNK, frames)) for first in range(0, frames, _CHUNK))


def observe(mesh: NDArray[np.floating[Any]], points: tuple[int, ...]) -> Array:
    """Observations [T,P,3] of those points of a mesh [T,478,3] in pixels."""
    seen = mesh[:, list(points)].astype(np.float64)
    seen[..., 2] = DEPTH_WEIGHT * (seen[..., 2] - seen[..., 2].mean(1, keepdims=True))
    return seen


def start(seen: Array, shape: Array, lens: Lens) -> Motion:
    """A first guess from observations [T,P,3] of points ``shape`` [P,3]: the best similarity, seen from afar."""
    parts = [_start(seen[part], shape, lens) for part in pieces(len(seen))]
    return Motion(np.concatenate([p.rotation for p in parts]), np.concatenate([p.shift for p in parts]))


def _start(seen: Array, shape: Array, lens: Lens) -> Motion:
    picture = seen / (1, 1, DEPTH_WEIGHT)
    scale, rotation, shift = similarity(picture, shape)
    back = rotation.transpose(0, 2, 1)
    centre = -(back @ shift[..., None])[..., 0] / scale[:, None]  # where the head's origin is seen
    depth = lens.focal * scale
    aside = (centre[:, :2] - lens.centre) / lens.focal * depth[:, None]
    return Motion(back, np.concatenate([aside, depth[:, None]], 1))


def predict(motion: Motion, shape: Array, lens: Lens) -> Array:
    """Observations [T,P,3] of points ``shape`` [P,3] in these poses."""
    turned = shape @ motion.rotation.transpose(0, 2, 1)
    placed = turned + motion.shift[:, None]
    depth = turned[..., 2] - turned[..., 2].mean(1, keepdims=True)
    near = DEPTH_WEIGHT * lens.focal / motion.shift[:, 2]
    flat = lens.focal * placed[..., :2] / placed[..., 2:] + lens.centre
    return np.concatenate([flat, (near[:, None] * depth)[..., None]], -1)


def misses(seen: Array, motion: Motion, shape: Array, lens: Lens, axes: int = 3) -> Array:
    """[T,P] distances between observations and what the poses predict: pixels; ``axes``: 3 counts the depth in, 2 doesn't."""
    out = np.empty(seen.shape[:2])
    for part in pieces(len(seen)):
        rest = seen[part] - predict(motion.at(part), shape, lens)
        out[part] = np.linalg.norm(rest[..., :axes], axis=-1)
    return out


def derivatives(motion: Motion, shape: Array, lens: Lens) -> tuple[Array, Array]:
    """Of :func:`predict`: [T,P,3,6] by a step of :meth:`Motion.moved`, [T,P,3,3] by the points of the shape."""
    turned = shape @ motion.rotation.transpose(0, 2, 1)
    placed = turned + motion.shift[:, None]
    by_placed = np.zeros((*placed.shape, 3))
    by_placed[..., 0, 0] = by_placed[..., 1, 1] = lens.focal / placed[..., 2]
    by_placed[..., :2, 2] = -lens.focal * placed[..., :2] / placed[..., 2:] ** 2
    by_turned = by_placed.copy()
    near = (DEPTH_WEIGHT * lens.focal / motion.shift[:, 2])[:, None]
    by_turned[..., 2, 2] = near
    by_pose = np.concatenate([by_turned @ _cross(turned), by_placed], -1)
    by_pose[..., 2, 5] = -near * turned[..., 2] / motion.shift[:, 2:]
    by_pose[..., 2, :] -= by_pose[..., 2, :].mean(1, keepdims=True)
    return by_pose, by_turned @ motion.rotation[:, None]


def _cross(vectors: Array) -> Array:
    """[...,3,3] M with M·w = w × v."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    nil = np.zeros_like(x)
    rows = [[nil, z, -y], [-z, nil, x], [y, -x, nil]]
    return np.stack([np.stack(row, -1) for row in rows], -2)
