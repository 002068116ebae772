"""What is measured on: a head-like cloud of Gaussians and its camera.

80 % of the Gaussians lie on the shell of a head, 20 % on that of a torso, flat along the surface's normal and as large as
keeps the coverage the same for any number; the head is about 350 pixels tall at 512. The targets were found on this cloud.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from bench.subject import Camera
from methods.deformable.design import Design
from methods.deformable.sample import Drivers, Packed, View
from methods.gaussians import sh
from methods.gaussians.cloud import GaussianCloud, inverse_softplus

Array = NDArray[np.float64]

UNIT = 0.06
"""Metres for a unit of the shells below: so that head and torso fit into the fields' cube of ±0.15 m."""
_SHELLS = ((0.8, (0.70, 0.95, 0.80), (0, 0, 0)), (0.2, (1.35, 0.75, 0.55), (0, 1.55, 0.15)))
"""Share, half axes and centre of head and torso."""
_AREA = 10.3
_DISTANCE, _FOCAL, _YAW = 6.5, 2.34, 0.12
AUDIO = (8, 32, 16)
"""Windows, channels and length: the embedded subjects' log-mel features."""
EXPRESSION = 50


@dataclass(frozen=True)
class Scene:
    """N Gaussians as the rasteriser takes them, and the camera that looks at them."""

    means: Tensor
    """[N,3] metres"""
    quats: Tensor
    """[N,4] wxyz, unit"""
    scales: Tensor
    """[N,3] metres"""
    opacities: Tensor
    """[N]"""
    colours: Tensor
    """[N,channels]"""
    camera: Camera

    @property
    def view(self) -> View:
        """The camera as tensors."""
        return View.of(self.camera, "cpu")


def head(n: int, size: int, channels: int = 3) -> Scene:
    """``n`` Gaussians, seen at ``size`` × ``size`` pixels."""
    rng = np.random.default_rng(0)
    points, normals = _shells(rng, n)
    scales = 0.5 * math.sqrt(_AREA / n) * np.exp(rng.normal(0, 0.5, (n, 3))) * (1, 1, 0.3)
    opacities = 1 / (1 + np.exp(-rng.normal(0.5, 1.5, n)))
    waves = 0.35 * np.sin(points @ rng.normal(size=(3, channels)) * 3)
    colours = 0.5 + waves + 0.05 * rng.normal(size=(n, channels))
    quats = _lying(rng, normals)
    return Scene(
        _tensor(UNIT * points),
        _tensor(quats),
        _tensor(UNIT * scales),
        _tensor(opacities),
        _tensor(colours),
        _camera(size),
    )


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))


def _shells(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Points and normals [n,3] in random order."""
    points, normals = [], []
    counts = [round(_SHELLS[0][0] * n)]
    for (_, axes, centre), count in zip(_SHELLS, [*counts, n - counts[0]], strict=True):
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        points.append(directions * axes * (1 + 0.02 * rng.normal(size=(count, 1))) + centre)
        normals.append(directions / axes)
    order = rng.permutation(n)
    return np.concatenate(points)[order], np.concatenate(normals)[order]


def _lying(rng: np.random.Generator, normals: Array) -> Array:
    """Rotations [n,4] wxyz that turn z to the normals, each with a turn of its own about it."""
    z = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    across = np.cross(z, np.where(abs(z[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    frames = Rotation.from_matrix(np.stack([across, np.cross(z, across), z], -1))
    spin = Rotation.from_rotvec(rng.uniform(0, 2 * math.pi, (len(z), 1)) * (0, 0, 1.0))
    return np.roll((frames * spin).as_quat(), 1, axis=1)


def _camera(size: int) -> Camera:
    """Looks at the head from 6.5 units, 24° wide, a little from the side."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec((0, _YAW, 0)).as_matrix()
    matrix[:3, 3] = (0, -0.15 * UNIT, _DISTANCE * UNIT)
    focal = _FOCAL * size
    return Camera(size, size, focal, focal, size / 2, size / 2, matrix.astype(np.float32))


def cloud(scene: Scene, embedding: int, device: str = "cpu") -> GaussianCloud:
    """The scene as a canonical cloud to be trained, with colours that depend on the direction a little."""
    n, generator = len(scene.means), torch.Generator().manual_seed(0)
    raw = {
        "xyz": scene.means,
        "f_dc": ((scene.colours - 0.5) / sh.C0)[:, None],
        "f_rest": 0.05 * torch.randn(n, (sh.MAX_DEGREE + 1) ** 2 - 1, 3, generator=generator),
        "scaling": inverse_softplus(scene.scales),
        "rotation": scene.quats,
        "opacity": torch.logit(scene.opacities, 1e-4)[:, None],
        "embedding": 0.1 * torch.randn(n, embedding, generator=generator),
    }
    made = GaussianCloud({name: value.to(device) for name, value in raw.items()}, extent=0.1)
    made.active_degree = sh.MAX_DEGREE
    return made


def drivers(design: Design) -> Drivers:
    """Random audio and expression of a frame."""
    generator = torch.Generator().manual_seed(1)
    shapes = (AUDIO, (EXPRESSION if design.coefficients else 5,), (design.direct_inputs,))
    return Drivers(*(torch.randn(shape, generator=generator) for shape in shapes))


def training_frame(scene: Scene, design: Design) -> Packed:
    """A frame as the face stage keeps it: a random picture, an ellipse as the head with hair on top and a mouth."""
    size = scene.camera.width
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    inside = (x / 0.27) ** 2 + (y / 0.36) ** 2 < 1
    masks = (inside, inside & (y < -0.2), (abs(x) < 0.06) & (abs(y - 0.15) < 0.02))
    picture = np.random.default_rng(2).integers(0, 256, (3, size, size), np.uint8)
    bits = np.packbits(np.stack(masks).reshape(3, -1), axis=1)
    return Packed(0, scene.camera, drivers(design), picture, bits, lips=(0, 2, 0, 2), jaw=None)
