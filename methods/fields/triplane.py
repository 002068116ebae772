"""Tri-plane multi-resolution grid encoder (TalkingGaussian's, after Instant-NGP and ER-NeRF).

Three 2-d grids over the planes (x,y), (y,z), (x,z), each with L levels of one feature, bilinear. On CPU float32 the
compiled kernels run, fused forward and backward; on CUDA float32 tinycudann, where it is installed, else torch with all levels
at once; elsewhere the torch twin, level by level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bench.parts import booked
from methods import kernels
from methods.fields import tcnn

PLANES = ((0, 1), (1, 2), (0, 2))  # xy, yz, xz
PRIME = 2654435761  # of the second coordinate; the first one's is 1


@dataclass(frozen=True)
class Level:
    """One level of a plane's grid; node (i, j) stands at position (i, j) of ``u * scale + 0.5``, u in [0,1]."""

    scale: float
    row: int  # nodes a row; 0: hashed
    offset: int  # first entry in the plane's table
    length: int  # entries


def levels_of(levels: int, base: float, desired: float, log2_table: int) -> list[Level]:
    """Levels growing geometrically from resolution ``base`` to ``desired``; those too large for the table are hashed."""
    growth = (desired / base) ** (1 / (levels - 1)) if levels > 1 else 1.0
    out: list[Level] = []
    for k in range(levels):
        # Rounded, so that a whole resolution does not become the next one by a last-digit error.
        scale = round(base * growth**k, 9) - 1
        row = math.ceil(scale) + 2
        dense = row * row <= 2**log2_table
        length = math.ceil(row * row / 8) * 8 if dense else 2**log2_table
        offset = out[-1].offset + out[-1].length if out else 0
        out.append(Level(scale, row if dense else 0, offset, length))
    return out


class TriplaneEncoder(nn.Module):
    """Points [N,3] in [-bound, bound]³ → features [N, 3·levels], plane by plane; zeros for a plane a point lies outside of.

    Args:
        levels: at most 16.
        base, desired: resolutions of the first and the last level, nodes across a side.
        log2_table: log2 of the most entries a level may have before it is hashed.
        bound: half the side of the cube, scene units.
        generator: for the initial table, U(-1e-4, 1e-4); default: torch's global one.
    """

    def __init__(
        self,
        levels: int = 12,
        base: float = 16,
        desired: float = 38.4,
        log2_table: int = 17,
        bound: float = 0.15,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= levels <= 16 or base <= 1 or desired <= 1 or bound <= 0 or not 3 <= log2_table <= 24:
            raise ValueError("needs 1..16 levels, resolutions > 1, bound > 0 and log2_table in 3..24")
        self.bound = float(bound)
        self.levels = levels_of(levels, base, desired, log2_table)
        entries = self.levels[-1].offset + self.levels[-1].length
        self.table = nn.Parameter((torch.rand(3, entries, generator=generator) * 2 - 1) * 1e-4)
        self._lattice: Any = None  # the compiled kernels' description of the levels, made when first wanted

    @property
    def width(self) -> int:
        """Features per point."""
        return 3 * len(self.levels)

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, 3·levels] of points [N,3]; gradients reach the table and the points."""
        if x.ndim != 2 or x.shape[1] != 3:
            raise ValueError(f"points must have shape [N, 3], not {list(x.shape)}")
        if tcnn.takes(x, self.table, self.levels):
            return tcnn.encode(x, self.table, self.levels, self.bound)
        if x.is_cuda:
            return encode_at_once(x, self.table, self.levels, self.bound)
        compiled = x.device.type == "cpu" and x.dtype == self.table.dtype == torch.float32 and kernels.available()
        if not compiled:
            return encode(x, self.table, self.levels, self.bound)
        if self._lattice is None:
            rows = [(level.scale, level.row, level.length) for level in self.levels]
            self._lattice = kernels.require().Lattice(rows, self.bound)
        return _Encode.apply(x, self.table, self._lattice)

    def __getstate__(self) -> dict[str, Any]:
        """Without the compiled part, so that the module can be copied and pickled."""
        return {**self.__dict__, "_lattice": None}

    def extra_repr(self) -> str:
        return f"levels={len(self.levels)}, entries={self.table.shape[1]}, bound={self.bound}"


class _Encode(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, lattice: Any) -> Tensor:
        out = torch.empty(x.shape[0], 3 * lattice.levels)
        kernels.require().grid_forward(lattice, kernels.array(table), kernels.array(x), out.numpy())
        ctx.save_for_backward(x, table)
        ctx.lattice = lattice
        return out

    @staticmethod
    @once_differentiable
    @booked("encode")
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, table = (kernels.array(t) for t in ctx.saved_tensors)
        g_table = torch.empty(table.shape)
        g_x = torch.empty(x.shape) if ctx.needs_input_grad[0] else None
        to_points = None if g_x is None else g_x.numpy()
        kernels.require().grid_backward(ctx.lattice, table, x, kernels.array(g_out), g_table.numpy(), to_points)
        return g_x, g_table, None


def encode(x: Tensor, table: Tensor, levels: list[Level], bound: float) -> Tensor:
    """The torch twin: any float type, any device. x [N,3], table [3,E] → [N, 3·levels]."""
    u = x * (0.5 / bound) + 0.5
    inside = (u >= 0) & (u <= 1)
    u = torch.where(inside, u, 0.0)
    features = []
    for plane, (a, b) in enumerate(PLANES):
        both = inside[:, a] & inside[:, b]
        features += [torch.where(both, _interpolate(u[:, a], u[:, b], table[plane], level), 0.0) for level in levels]
    return torch.stack(features, 1)


def _interpolate(u: Tensor, v: Tensor, table: Tensor, level: Level) -> Tensor:
    """Bilinear value [N] at u, v in [0,1]."""
    px, py = u * level.scale + 0.5, v * level.scale + 0.5
    ix, iy = px.detach().floor().long(), py.detach().floor().long()
    fx, fy = px - ix, py - iy

    def node(i: Tensor, j: Tensor) -> Tensor:
        entry = i + j * level.row if level.row else (i ^ (j * PRIME)) & (level.length - 1)
        return table[entry + level.offset]

    low = torch.lerp(node(ix, iy), node(ix + 1, iy), fx)
    high = torch.lerp(node(ix, iy + 1), node(ix + 1, iy + 1), fx)
    return torch.lerp(low, high, fy)


def encode_at_once(x: Tensor, table: Tensor, levels: list[Level], bound: float) -> Tensor:
    """:func:`encode` with one operation for all planes and levels: on a GPU, starting an operation is what costs."""
    scales = x.new_tensor([level.scale for level in levels])
    layout = [
        [level.row for level in levels],
        [level.offset for level in levels],
        [level.length - 1 for level in levels],
    ]
    rows, offsets, wraps = torch.tensor(layout, device=x.device)
    starts = offsets + torch.arange(len(PLANES), device=x.device)[:, None] * table.shape[1]
    axes = torch.tensor(PLANES, device=x.device).flatten()
    entries = table.flatten()

    u = (x * (0.5 / bound) + 0.5).index_select(1, axes).view(len(x), len(PLANES), 2)
    inside = ((u >= 0) & (u <= 1)).all(2, keepdim=True)
    places = torch.where(inside, u, 0.0)[..., None] * scales + 0.5  # [N, planes, 2, levels]
    cells = places.detach().floor()
    fx, fy = (places - cells).unbind(2)
    ix, iy = cells.long().unbind(2)

    def node(i: Tensor, j: Tensor) -> Tensor:
        entry = starts + torch.where(rows > 0, i + j * rows, (i ^ (j * PRIME)) & wraps)
        return entries.index_select(0, entry.flatten()).view(entry.shape)

    low = torch.lerp(node(ix, iy), node(ix + 1, iy), fx)
    high = torch.lerp(node(ix, iy + 1), node(ix + 1, iy + 1), fx)
    return torch.where(inside, torch.lerp(low, high, fy), 0.0).flatten(1)
