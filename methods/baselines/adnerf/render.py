"""A field along rays: foreground and what shines through (spec_adnerf §4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.parts import part
from bench.subject import Camera
from methods.baselines.adnerf.nets import FaceNerf
from methods.baselines.adnerf.sampling import coarse_depths, fine_depths

_ENDLESS, _LEAST = 1e10, 1e-6


@dataclass(frozen=True)
class Layer:
    """A field seen along R rays."""

    colour: Tensor
    """[R,3] of all samples but the last, premultiplied"""
    through: Tensor
    """[R] weight of the last sample, which shows what lies behind"""

    def over(self, background: Tensor) -> Tensor:
        """[R,3]"""
        return self.colour + self.through[:, None] * background


class Pair(nn.Module):
    """The coarse and the fine network of a field."""

    def __init__(self, condition: int) -> None:
        super().__init__()
        self.coarse, self.fine = FaceNerf(condition), FaceNerf(condition)


@dataclass(frozen=True)
class Span:
    """Where rays are sampled and how often."""

    near: float
    far: float
    coarse: int
    fine: int


def camera_rays(camera: Camera, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Origin [3] and directions [R,3] through the middles of ``pixels`` [R] (row · width + column), in head coordinates.

    A direction's length is such that depths along it are depths along the optical axis.
    """
    columns, rows = pixels % camera.width, pixels // camera.width
    local = torch.stack(
        [(columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy, torch.ones(len(pixels), device=pixels.device)], 1
    ).float()  # fmt: skip
    rotation = torch.from_numpy(camera.viewmat[:3, :3].copy()).to(pixels.device)
    return torch.from_numpy(camera.centre.copy()).to(pixels.device), local @ rotation


def look(
    pair: Pair,
    origin: Tensor,
    directions: Tensor,
    condition: Tensor,
    span: Span,
    generator: torch.Generator | None = None,
    noise: float = 0.0,
) -> tuple[Layer, Layer]:
    """The coarse and the fine layer of a field along rays [R,3].

    :param generator: draws the depths at random, and ``noise`` × a normal variable that is added to each density
    """
    with part("rays"):
        depths = coarse_depths(span.near, span.far, span.coarse, len(directions), generator).to(directions.device)
    drawn = (generator, noise)
    coarse, weights = _layer(pair.coarse, origin, directions, condition, depths, drawn)
    with part("rays"):
        depths = fine_depths(depths, weights, span.fine, generator)
    return coarse, _layer(pair.fine, origin, directions, condition, depths, drawn)[0]


def _layer(
    net: FaceNerf,
    origin: Tensor,
    directions: Tensor,
    condition: Tensor,
    depths: Tensor,
    drawn: tuple[torch.Generator | None, float],
) -> tuple[Layer, Tensor]:
    """The layer, and the weights [R,S] of all samples; the last one's is what shines through."""
    lengths = directions.norm(dim=1, keepdim=True)
    with part("net"):
        points = origin + depths[..., None] * directions[:, None]
        shade, density = net(points, directions / lengths, condition)
        generator, noise = drawn
        if noise:
            density = density + noise * torch.randn(density.shape, generator=generator).to(density.device)
    with part("composite"):
        steps = torch.cat([depths.diff(dim=1), torch.full_like(depths[:, :1], _ENDLESS)], 1) * lengths
        optical = (torch.relu(density) + _LEAST) * steps
        before = torch.cat([torch.zeros_like(optical[:, :1]), optical[:, :-1].cumsum(1)], 1)
        weights = torch.exp(-before) * -torch.expm1(-optical)
        colour = (weights[:, :-1, None] * torch.sigmoid(shade[:, :-1])).sum(1)
    return Layer(colour, weights[:, -1]), weights
