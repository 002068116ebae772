"""Fixed encodings of positions and directions."""

from __future__ import annotations

import torch
from torch import Tensor

SH_WIDTH = 16


def frequency(x: Tensor, octaves: int) -> Tensor:
    """[…, D·(1 + 2·octaves)]: x [… ,D], then sin and cos of x, 2x, 4x … (spec_adnerf §3.1; no π).

    >>> frequency(torch.zeros(1), 2).tolist()
    [0.0, 0.0, 1.0, 0.0, 1.0]
    """
    waves = [wave(x * 2.0**k) for k in range(octaves) for wave in (torch.sin, torch.cos)]
    return torch.cat([x, *waves], -1)


def harmonics(directions: Tensor) -> Tensor:
    """[N,16] real spherical harmonics of degree 0 to 3 of unit vectors [N,3], in Instant-NGP's order (spec_ernerf §3.4)."""
    x, y, z = directions.unbind(-1)
    xy, yz, xz, x2, y2, z2 = x * y, y * z, x * z, x * x, y * y, z * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),
            -0.48860251190291987 * y,
            0.48860251190291987 * z,
            -0.48860251190291987 * x,
            1.0925484305920792 * xy,
            -1.0925484305920792 * yz,
            0.94617469575755997 * z2 - 0.31539156525251999,
            -1.0925484305920792 * xz,
            0.54627421529603959 * (x2 - y2),
            0.59004358992664352 * y * (y2 - 3 * x2),
            2.8906114426405538 * xy * z,
            0.45704579946446572 * y * (1 - 5 * z2),
            0.3731763325901154 * z * (5 * z2 - 3),
            0.45704579946446572 * x * (1 - 5 * z2),
            1.4453057213202769 * z * (x2 - y2),
            0.59004358992664352 * x * (3 * y2 - x2),
        ],
        -1,
    )
