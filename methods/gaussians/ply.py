"""Writes a cloud as the PLY file that viewers of 3-d Gaussians read: the attributes of Kerbl et al.'s code, by its names.

A vertex has 62 floats: ``x y z`` · ``nx ny nz`` (0) · ``f_dc_0…2`` · ``f_rest_0…44`` · ``opacity`` (logit) · ``scale_0…2``
(natural logarithm of the standard deviations) · ``rot_0…3`` (unit quaternion, wxyz). Our harmonics end at degree 2; the
third degree is written as zeros, since a number of readers take just degree 0 or 3 (splatviz issue 40; UnityGaussianSplatting
wants 248 bytes a vertex, GaussianDreamer issue 7), and it changes no colour. ``f_rest`` is ordered by channel: fifteen
coefficients of red, then of green, then of blue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.paths import atomic_file
from methods.gaussians.cloud import GaussianCloud

_REST = (3 + 1) ** 2 - 1
"""Coefficients a channel above degree 0, at degree 3."""
PROPERTIES = (
    "x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(3 * _REST)),
    "opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4)),
)  # fmt: skip
"""Names of a vertex's floats, in order."""


def write_ply(path: Path, cloud: GaussianCloud) -> None:
    """Write the canonical Gaussians, binary and little-endian, atomically. Axes are the head's: y up, z out of the face."""
    vertices = _vertices(cloud)
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property float {name}" for name in PROPERTIES]
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join([*lines, "end_header", ""]).encode("ascii"))
        file.write(vertices.tobytes())


def _vertices(cloud: GaussianCloud) -> NDArray[np.float32]:
    """[N,62] little-endian."""
    n, bands = len(cloud), (cloud.active_degree + 1) ** 2 - 1
    rest = np.zeros((n, 3, _REST))
    rest[:, :, :bands] = _array(cloud.raw["f_rest"])[:, :bands].transpose(0, 2, 1)  # what rendering uses
    columns = [
        _array(cloud.xyz), np.zeros((n, 3)), _array(cloud.raw["f_dc"]).reshape(n, 3), rest.reshape(n, 3 * _REST),
        _array(cloud.raw["opacity"]), log_scales(cloud), _array(cloud.quats()),
    ]  # fmt: skip
    return np.concatenate(columns, 1).astype("<f4")


def log_scales(cloud: GaussianCloud) -> NDArray[np.float64]:
    """[N,3] log(softplus(raw)): exact where softplus itself would be 0 in floats, for there it is the raw value."""
    raw = _array(cloud.raw["scaling"])
    return np.where(raw < -30, raw, np.log(np.logaddexp(0, np.maximum(raw, -30))))


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()
