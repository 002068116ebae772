"""Adaptive density control: clone, split, prune (3DGS; spec_talkinggaussian §4.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.gaussians.cloud import GaussianCloud, inverse_softplus

SMALL, LARGE = 0.005, 0.1
"""Of the cameras' extent: up to the first a Gaussian is cloned, above it is split; above the second it is pruned."""
_SPLIT_SHRINK = 1.6


def rotation_matrices(quats: Tensor) -> Tensor:
    """[N,3,3] from unit quaternions wxyz [N,4]."""
    w, x, y, z = quats.unbind(1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, 1).view(-1, 3, 3)


@torch.no_grad()
def densify(cloud: GaussianCloud, threshold: float, limit: int, generator: torch.Generator) -> None:
    """Clone small and split large Gaussians whose mean screen gradient reaches ``threshold`` (NDC units).

    At most so many are added that ``limit`` is kept, those with the largest gradient first.
    """
    gradient = (cloud.gradient_sum / cloud.gradient_count).nan_to_num(0.0)
    chosen = gradient >= threshold
    room = max(0, limit - len(cloud))
    if int(chosen.sum()) > room:
        ranked = torch.argsort(gradient, descending=True, stable=True)[:room]
        chosen = torch.zeros_like(chosen).index_fill_(0, ranked, True) & chosen
    large = cloud.scales().amax(1) > SMALL * cloud.extent
    clone, split = chosen & ~large, chosen & large
    new = {n: torch.cat([v[clone], v[split].repeat(2, *(1,) * (v.ndim - 1))]) for n, v in cloud.raw.items()}
    _place_children(cloud, split, new, int(clone.sum()), generator)
    cloud.replace(~split, new)


def _place_children(
    cloud: GaussianCloud, split: Tensor, new: dict[str, Tensor], first: int, generator: torch.Generator
) -> None:
    scales = cloud.scales()[split].repeat(2, 1)
    noise = torch.randn(scales.shape, generator=generator).to(scales.device) * scales
    turned = (rotation_matrices(cloud.quats()[split].repeat(2, 1)) @ noise[:, :, None])[:, :, 0]
    new["xyz"][first:] = cloud.xyz[split].repeat(2, 1) + turned
    new["scaling"][first:] = inverse_softplus((scales / _SPLIT_SHRINK).clamp_min(1e-7))


@torch.no_grad()
def prune(cloud: GaussianCloud, min_opacity: float, by_size: bool) -> None:
    """Remove faint Gaussians and, with ``by_size``, those larger than :data:`LARGE` of the extent."""
    gone = cloud.opacities() < min_opacity
    if by_size:
        gone |= cloud.scales().amax(1) > LARGE * cloud.extent
    if not bool(gone.all()):
        cloud.replace(~gone)


@torch.no_grad()
def prune_key_coloured(cloud: GaussianCloud, camera_centre: Tensor, margin: float) -> None:
    """Remove Gaussians that took on the green key colour (0,1,0), within ``margin`` a channel, as seen from the camera.

    The official mouth stage instead divides their raw (negative) scale by ten, which makes them explode
    (spec_degstalk §9.14); removing them is what happens to those there 100 iterations later.
    """
    colour = cloud.colours(cloud.xyz, camera_centre)
    green = (colour[:, 0] < margin) & (colour[:, 1] > 1 - margin) & (colour[:, 2] < margin)
    if bool(green.any()) and not bool(green.all()):
        cloud.replace(~green)
