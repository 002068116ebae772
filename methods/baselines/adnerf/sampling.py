"""Depths along rays: evenly spread, then drawn where the coarse field is dense (spec_adnerf §4; Mildenhall et al. 2020, §5.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def coarse_depths(near: float, far: float, count: int, rays: int, generator: torch.Generator | None) -> Tensor:
    """[R,S] from near to far; with a ``generator``, each at random in its own bin, the last one at far."""
    even = torch.linspace(near, far, count).expand(rays, count)
    if generator is None:
        return even
    middles = (even[:, 1:] + even[:, :-1]) / 2
    low, high = torch.cat([even[:, :1], middles], 1), torch.cat([middles, even[:, -1:]], 1)
    share = torch.rand(rays, count, generator=generator)
    share[:, -1] = 1.0
    return low + (high - low) * share


def fine_depths(depths: Tensor, weights: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """[R, S + count] the coarse ``depths`` [R,S] and ``count`` more by their ``weights`` [R,S], sorted; no gradient.

    Inverse transform sampling of the inner weights over the middles between depths; without a ``generator`` at even steps.
    """
    bins, inner = (depths[:, 1:] + depths[:, :-1]) / 2, weights.detach()[:, 1:-1] + 1e-5
    cdf = torch.cat([torch.zeros_like(inner[:, :1]), (inner / inner.sum(1, keepdim=True)).cumsum(1)], 1)
    if generator is None:
        u = torch.linspace(0, 1, count, device=depths.device).expand(len(depths), count).contiguous()
    else:
        u = torch.rand(len(depths), count, generator=generator).to(depths.device)
    above = torch.searchsorted(cdf, u, right=True).clamp(1, bins.shape[1] - 1)
    c0, c1 = cdf.gather(1, above - 1), cdf.gather(1, above)
    b0, b1 = bins.gather(1, above - 1), bins.gather(1, above)
    width = c1 - c0
    share = (u - c0) / torch.where(width < 1e-5, 1.0, width)
    return torch.cat([depths, b0 + share * (b1 - b0)], 1).sort(1).values
