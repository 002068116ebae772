"""Rays → colours: march through the occupancy grid, ask the field, composite (spec_ernerf §4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.parts import part
from methods.fields.encodings import harmonics
from methods.fields.march import march
from methods.fields.volume import composite
from methods.radiance.field import Heard, Lit, RadianceField

STEP = 2 * math.sqrt(3) / 128
MOST, NEAR, STOP = 16, 0.05, 1e-4
BOX = ((-1.0, -0.5, -1.0), (1.0, 0.5, 1.0))
"""Up, towards the camera, sideways."""


@dataclass(frozen=True)
class Rendered:
    """R rays."""

    colour: Tensor
    """[R,3] over the background, in [0, 1]"""
    opacity: Tensor
    """[R]"""
    doubt: Tensor
    """[R] uncertainty of what is seen"""
    points: Tensor
    """[S,3] where the field was asked"""
    rays: Tensor
    """int64 [S] the ray of each"""
    lit: Lit


def render(
    field: RadianceField,
    heard: Heard,
    occupied: Tensor,
    origin: Tensor,
    directions: Tensor,
    background: Tensor,
    *,
    jitter: Tensor | None = None,
    with_doubt: bool = False,
) -> Rendered:
    """R rays from ``origin`` [3] along unit ``directions`` [R,3] over ``background`` [R,3].

    :param occupied: bool [n,n,n], see :func:`methods.fields.march.march`
    :param jitter: [R] in [0, 1) while training
    :param with_doubt: also uncertainty and attention, for the losses
    """
    with part("march"):
        origins = origin.expand(len(directions), 3).contiguous()
        box = directions.new_tensor(BOX)
        samples = march(origins, directions, occupied, box, step=STEP, most=MOST, near=NEAR, jitter=jitter)
        points = samples.positions(origins, directions)
        shading = harmonics(directions)[samples.rays]
    lit = field(points, shading, heard, with_doubt)
    values = torch.cat([lit.colour, lit.doubt[:, None]], 1) if with_doubt else lit.colour
    with part("composite"):
        sums, opacity = composite(lit.density * STEP, values, samples.rays, len(directions), STOP)
    colour = (sums[:, :3] + (1 - opacity)[:, None] * background).clamp(0, 1)
    return Rendered(colour, opacity, sums[:, 3] if with_doubt else opacity, points, samples.rays, lit)
