"""Multi-resolution grids in torch: a 3-d hash grid, and a tiled 2-d grid that gives gradients to its positions.

Source: Instant-NGP, as torch-ngp addresses it (spec_ernerf §3.1). They serve variants and the torso, so they have no kernel.
"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor, nn

PRIMES = (1, 2654435761, 805459861)


class _Grid(nn.Module):
    """Points [N,D] in [-1, 1]^D → [N, levels · channels]; zeros for points outside."""

    dimensions: int
    hashed: bool

    def __init__(self, levels: int, base: float, desired: float, log2_table: int, channels: int = 1) -> None:
        super().__init__()
        growth = (desired / base) ** (1 / (levels - 1))
        self.channels = channels
        self.scales = [round(base * growth**k, 9) - 1 for k in range(levels)]
        self.rows = [math.ceil(scale) + 2 for scale in self.scales]
        most = 2**log2_table
        self.lengths = [min(most, math.ceil(row**self.dimensions / 8) * 8) for row in self.rows]
        self.table = nn.Parameter((torch.rand(sum(self.lengths), channels) * 2 - 1) * 1e-4)

    @property
    def width(self) -> int:
        """Features per point."""
        return len(self.scales) * self.channels

    def forward(self, x: Tensor) -> Tensor:
        """Features of points; gradients reach the table and the points."""
        u = (x + 1) / 2
        inside = ((u >= 0) & (u <= 1)).all(1, keepdim=True)
        u, offset, features = torch.where(inside, u, 0.0), 0, []
        for scale, row, length in zip(self.scales, self.rows, self.lengths, strict=True):
            place = u * scale + 0.5
            cell = place.detach().floor().long()
            share = place - cell
            total: Tensor | float = 0.0
            for corner in product((0, 1), repeat=self.dimensions):
                shift = cell.new_tensor(corner)
                weight = torch.where(shift.bool(), share, 1 - share).prod(1, keepdim=True)
                total = total + weight * self.table[offset + self._entry(cell + shift, row, length)]
            features.append(torch.where(inside, total, 0.0))
            offset += length
        return torch.cat(features, 1)

    def _entry(self, node: Tensor, row: int, length: int) -> Tensor:
        """[N] place of nodes [N,D] in a level's table."""
        if self.hashed and row**self.dimensions > length:
            mixed = node[:, 0]
            for axis in range(1, self.dimensions):
                mixed = mixed ^ (node[:, axis] * PRIMES[axis])
            return mixed % length
        strides = node.new_tensor([row**axis for axis in range(self.dimensions)])
        return (node * strides).sum(1) % length


class HashGrid3(_Grid):
    """Three dimensions; levels too large for the table are hashed."""

    dimensions, hashed = 3, True


class TiledGrid2(_Grid):
    """Two dimensions; levels too large for the table wrap round."""

    dimensions, hashed = 2, False
