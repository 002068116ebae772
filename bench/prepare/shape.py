"""The face mesh without head pose and size: what the coefficients and the geometric action units are measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.prepare.fit import RIGID
from bench.prepare.mesh import Mesh

Array = NDArray[np.float64]
_ROUNDS = 3
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


def pose_free(mesh: Mesh, train: int) -> Array:
    """[T,478,3] mesh turned, scaled and shifted onto the mean of the training frames; eyes' distance is 1.

    Aligned by the points that don't move with expression (:data:`bench.prepare.fit.RIGID`), so that a wide open jaw
    stays a jaw movement. Axes: x right in the picture, y down, z away from the camera.
    """
    points = mesh.astype(np.float64)
    rigid = list(RIGID)
    aim = points[0, rigid]
    for _ in range(_ROUNDS):
        scale, rotation, shift = similarity(points[:, rigid], aim)
        aligned = scale[:, None, None] * (points @ rotation.transpose(0, 2, 1)) + shift[:, None]
        aim = aligned[:train, rigid].mean(0)
    mean = aligned[:train].mean(0)
    left, right = (mean[list(EYES[side][0])].mean(0) for side in ("left", "right"))
    return (aligned - mean.mean(0)) / np.linalg.norm(left - right)


def eye_opening(points: Array) -> Array:
    """[T,2] height over width of the subject's left and right eye, from [T,478,3]."""
    sides = []
    for corners, upper, lower in (EYES["left"], EYES["right"]):
        height = np.linalg.norm(points[:, upper] - points[:, lower], axis=-1).mean(1)
        sides.append(height / np.linalg.norm(points[:, corners[0]] - points[:, corners[1]], axis=-1))
    return np.stack(sides, 1)
