"""Spherical harmonics up to degree 2, with the sign order of 3DGS (spec_talkinggaussian §3.1)."""

from __future__ import annotations

import torch
from torch import Tensor

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
MAX_DEGREE = 2


def basis(directions: Tensor, degree: int) -> Tensor:
    """[N, (degree+1)²] basis values for unit directions [N,3]."""
    columns = [torch.full_like(directions[:, 0], C0)]
    if degree > 0:
        x, y, z = directions.unbind(1)
        columns += [-C1 * y, C1 * z, -C1 * x]
        if degree > 1:
            columns += [
                C2[0] * x * y,
                C2[1] * y * z,
                C2[2] * (2 * z * z - x * x - y * y),
                C2[3] * x * z,
                C2[4] * (x * x - y * y),
            ]
    return torch.stack(columns, 1)


def colours(f_dc: Tensor, f_rest: Tensor, directions: Tensor, degree: int) -> Tensor:
    """[N,3] colours ≥ 0 of coefficients f_dc [N,1,3], f_rest [N,8,3] seen along unit directions [N,3]."""
    if degree == 0:
        return (C0 * f_dc[:, 0] + 0.5).clamp_min(0)
    coefficients = torch.cat([f_dc, f_rest[:, : (degree + 1) ** 2 - 1]], 1)
    # a broadcast sum: einsum's batched matmul is several times slower on the CPU for such thin matrices
    return ((basis(directions, degree)[:, :, None] * coefficients).sum(1) + 0.5).clamp_min(0)


def from_colour(value: float) -> float:
    """The degree-0 coefficient that shows as ``value`` in [0, 1]."""
    return (value - 0.5) / C0
