"""Samples along rays, only where an occupancy grid says that there is something (Instant-NGP; spec_ernerf §4).

On CPU float32 a compiled kernel follows each ray from cell to cell; elsewhere the torch twin looks up every step. Both give
the samples of a march without skipping that lie in occupied cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods import kernels


@dataclass(frozen=True)
class Samples:
    """S samples of R rays, ray after ray, from near to far."""

    t: Tensor
    """[S] where each begins, in lengths of its ray's direction"""
    offsets: Tensor
    """int64 [R+1]; samples of ray r are ``offsets[r]`` … ``offsets[r+1] - 1``"""
    rays: Tensor
    """int64 [S] the ray of each, ascending"""

    def __len__(self) -> int:
        return len(self.t)

    def positions(self, origins: Tensor, directions: Tensor) -> Tensor:
        """[S,3] where the samples begin."""
        return origins[self.rays] + self.t[:, None] * directions[self.rays]


def march(
    origins: Tensor,
    directions: Tensor,
    occupied: Tensor,
    box: Tensor,
    *,
    step: float,
    most: int,
    bound: float = 1.0,
    near: float = 0.05,
    jitter: Tensor | None = None,
) -> Samples:
    """Follow R rays through a box, in equal steps; a sample is kept where its cell is occupied.

    Args:
        origins, directions: [R,3]; lengths along a ray are in lengths of its direction.
        occupied: bool [n,n,n] cells of the cube [-bound, bound]³, by x, y, z; points outside count as in the nearest cell.
        box: [2,3] lower and upper corner of what is rendered.
        step: length of a sample.
        most: samples a ray has at most: the first ones.
        near: no sample is nearer than this.
        jitter: [R] in [0, 1): steps by which each ray's first sample is moved; default 0.
    """
    on_cpu = origins.device.type == "cpu" and origins.dtype == torch.float32
    if not (on_cpu and kernels.available()):
        return march_twin(origins, directions, occupied, box, step, most, bound, near, jitter)
    count = len(origins)
    t, offsets = torch.empty(count * most), torch.empty(count + 1, dtype=torch.int64)
    total = kernels.require().march(
        kernels.array(origins), kernels.array(directions), None if jitter is None else kernels.array(jitter),
        kernels.array(occupied.view(torch.uint8)), bound, kernels.array(box), near, step, most, t.numpy(), offsets.numpy(),
    )  # fmt: skip
    return _samples(t[:total].clone(), offsets)


def march_twin(
    origins: Tensor,
    directions: Tensor,
    occupied: Tensor,
    box: Tensor,
    step: float,
    most: int,
    bound: float,
    near: float,
    jitter: Tensor | None,
) -> Samples:
    """:func:`march` in torch, without skipping; any float type, any device."""
    slabs = (
        box[:, None] - origins
    ) / directions  # ±inf along an axis that a ray doesn't move on: inside, or NaN on a wall
    enter = slabs.amin(0).amax(1).clamp_min(near)
    leave = slabs.amax(0).amin(1)
    start = enter if jitter is None else enter + jitter * step
    steps = int(((leave - start).nan_to_num(0).clamp_min(0).max() / step).ceil()) if len(origins) else 0
    t = start[:, None] + torch.arange(steps, device=origins.device, dtype=origins.dtype) * step
    points = origins[:, None] + t[..., None] * directions[:, None]
    side = len(occupied)
    cells = ((points + bound) * (side / (2 * bound))).nan_to_num(0).long().clamp(0, side - 1)
    kept = occupied[cells.unbind(-1)] & (t < leave[:, None])
    kept &= kept.cumsum(1) <= most
    offsets = torch.cat([kept.new_zeros(1, dtype=torch.int64), kept.sum(1).cumsum(0)])
    return _samples(t[kept], offsets)


def _samples(t: Tensor, offsets: Tensor) -> Samples:
    rays = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=t.device), offsets.diff())
    return Samples(t, offsets, rays)
