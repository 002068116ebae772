"""Rays of a camera in the field's own coordinates, and which pixels an iteration takes.

The world (head, y up, z towards the camera) is turned to (up, towards the camera, sideways) and enlarged four times
(spec_ernerf §2.5), so that the head fills the cube [-1, 1]³.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.subject import Camera

SCALE = 4.0
_TURNED = [1, 2, 0]


def origin(camera: Camera) -> Tensor:
    """[3] of all rays."""
    return torch.from_numpy(np.ascontiguousarray(camera.centre[_TURNED])).float() * SCALE


def directions(camera: Camera, pixels: Tensor) -> Tensor:
    """[R,3] unit vectors through the middles of ``pixels`` [R] (row · width + column)."""
    columns, rows = pixels % camera.width, pixels // camera.width
    local = torch.stack(
        [
            (columns + 0.5 - camera.cx) / camera.fx,
            (rows + 0.5 - camera.cy) / camera.fy,
            torch.ones(len(pixels), device=pixels.device),
        ],
        1,
    ).float()
    to_world = torch.from_numpy(np.ascontiguousarray(camera.viewmat[:3, :3].T[_TURNED])).float().to(pixels.device)
    return torch.nn.functional.normalize(local, dim=1) @ to_world.T


def project(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """[N,2] pixels (x, y) and [N] depth (world units) of points [N,3] in the field's coordinates."""
    world = torch.empty_like(points)
    world[:, _TURNED] = points / SCALE
    view = torch.from_numpy(camera.viewmat).float().to(points.device)
    seen = world @ view[:3, :3].T + view[:3, 3]
    focal = points.new_tensor([camera.fx, camera.fy])
    return seen[:, :2] / seen[:, 2:] * focal + points.new_tensor([camera.cx, camera.cy]), seen[:, 2]


def plane_coordinates(pixels: Tensor, width: int, height: int) -> Tensor:
    """[R,2] in [-1, 1]: row, then column, of pixels [R] (spec_ernerf §2.5)."""
    rows, columns = pixels // width, pixels % width
    return torch.stack([2 * rows / (height - 1) - 1, 2 * columns / (width - 1) - 1], 1).float()


def patch_pixels(width: int, height: int, side: int, count: int, generator: torch.Generator) -> Tensor:
    """[count, side²] pixels of square patches at random places; ``side`` at most the picture's."""
    tops = torch.randint(height - side + 1, (count,), generator=generator)
    lefts = torch.randint(width - side + 1, (count,), generator=generator)
    corners = zip(tops.tolist(), lefts.tolist(), strict=True)
    return torch.stack([box_pixels(width, (top, top + side, left, left + side)) for top, left in corners])


def box_pixels(width: int, box: tuple[int, int, int, int]) -> Tensor:
    """[n] pixels of the rows r0:r1 and columns c0:c1 of a ``box``."""
    r0, r1, c0, c1 = box
    return (torch.arange(r0, r1)[:, None] * width + torch.arange(c0, c1)).reshape(-1)


def inside(pixels: Tensor, width: int, box: tuple[int, int, int, int]) -> Tensor:
    """bool [R]: which pixels lie in a box."""
    rows, columns = pixels // width, pixels % width
    r0, r1, c0, c1 = box
    return (rows >= r0) & (rows < r1) & (columns >= c0) & (columns < c1)
