"""Where a radiance field holds anything: a grid of densities over the cube [-1, 1]³ (Instant-NGP; spec_ernerf §4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DECAY = 0.95
THRESHOLD = 10.0
_BLOCK = 2**17
"""Cells whose density is asked for at once."""


class OccupancyGrid(nn.Module):
    """Densities of ``side``³ cells, and which of them count as occupied.

    Args:
        side: cells along an axis.
        open_cells: bool [side³] by x, y, z: cells that may ever be occupied; default all. The official code closes those that
            no training camera sees.
    """

    density: Tensor
    """[side³]; below 0 where closed."""

    def __init__(self, side: int = 128, open_cells: Tensor | None = None) -> None:
        super().__init__()
        self.side = side
        start = torch.zeros(side**3) if open_cells is None else torch.where(open_cells.reshape(-1), 0.0, -1.0)
        self.register_buffer("density", start)

    @property
    def occupied(self) -> Tensor:
        """bool [side, side, side]: cells denser than the mean, but never more is asked than :data:`THRESHOLD`."""
        limit = self.density.clamp_min(0).mean().clamp_max(THRESHOLD)
        return (self.density > limit).view(self.side, self.side, self.side)

    def centres(self, cells: Tensor) -> Tensor:
        """[n,3] middles of cells [n] (flat index)."""
        places = torch.stack([cells // self.side**2, cells // self.side % self.side, cells % self.side], 1)
        return (places + 0.5) * (2 / self.side) - 1

    @torch.no_grad()
    def update(
        self, density: Callable[[Tensor], Tensor], generator: torch.Generator, cells: Tensor | None = None
    ) -> None:
        """Look at the field again: each open cell keeps the larger of its decayed density and the new one.

        :param density: of points [n,3] → [n]; asked at a random place in each cell
        :param cells: flat indices of the cells to look at; default all open ones
        """
        if cells is None:
            cells = (self.density >= 0).nonzero()[:, 0]
        found = torch.zeros_like(self.density)
        for block in cells.split(_BLOCK):
            shift = torch.rand(len(block), 3, generator=generator).to(block.device) * 2 - 1
            found[block] = density(self.centres(block) + shift / self.side)
        found = _dilated(found.view(self.side, self.side, self.side)).view(-1)
        seen = torch.zeros_like(self.density, dtype=torch.bool)
        seen[cells] = True
        fresh = torch.maximum(self.density * DECAY, found)
        self.density.copy_(torch.where(seen & (self.density >= 0), fresh, self.density))


def _dilated(values: Tensor) -> Tensor:
    """Each cell's largest value among itself and its six neighbours."""
    padded = F.pad(values[None, None], (1,) * 6, value=0.0)[0, 0]
    n = len(values)
    grown = values
    for axis in range(3):
        for start in (0, 2):
            grown = torch.maximum(grown, padded.narrow(axis, start, n)[_middle(axis)])
    return grown


def _middle(axis: int) -> tuple[slice, ...]:
    return tuple(slice(None) if a == axis else slice(1, -1) for a in range(3))
