"""Rasteriser in plain torch: any float type, any device, differentiable by autograd; slow.

The same conventions as the compiled kernels and gsplat 1.5, and what runs where neither is present. Tile by tile: all
Gaussians that can reach a tile against all of its pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_ALPHA = 0.999
MIN_ALPHA = 1.0 / 255.0
MIN_TRANSMITTANCE = 1e-4
FAR_PLANE = 1e10
TILE = 32  # pixels a side


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotation matrices [N,3,3] of quaternions [N,4], wxyz, of any length."""
    w, x, y, z = F.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def project(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    view: Tensor,
    K: Tensor,
    width: int,
    height: int,
    eps2d: float,
    near_plane: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Footprints of N Gaussians in one camera: means2d [N,2], covariances [N,3] (xx, xy, yy), depths [N], radii [N]."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x, y, z = (means @ view[:3, :3].T + view[:3, 3]).unbind(-1)
    z_safe = torch.where(z >= near_plane, z, torch.ones_like(z))  # culled below; keeps infinities out of the gradients
    # The Jacobian's tangents stay within 1.3 x the field of view.
    margin_x, margin_y = 0.15 * width / fx, 0.15 * height / fy
    tan_x = (x / z_safe).clamp(-cx / fx - margin_x, (width - cx) / fx + margin_x)
    tan_y = (y / z_safe).clamp(-cy / fy - margin_y, (height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([fx / z_safe, zero, -fx * tan_x / z_safe, zero, fy / z_safe, -fy * tan_y / z_safe], -1)
    factor = jacobian.reshape(-1, 2, 3) @ view[:3, :3] @ (rotation_matrices(quats) * scales[:, None, :])
    first, second = factor.unbind(1)
    covariances = torch.stack(
        [(first * first).sum(-1) + eps2d, (first * second).sum(-1), (second * second).sum(-1) + eps2d], -1
    )
    means2d = torch.stack([fx * x / z_safe + cx, fy * y / z_safe + cy], -1)
    radii = _radii(means2d.detach(), covariances.detach(), z.detach(), opacities.detach(), width, height, near_plane)
    return means2d, covariances, z, radii


def _radii(
    means2d: Tensor, covariances: Tensor, depths: Tensor, opacities: Tensor, width: int, height: int, near_plane: float
) -> Tensor:
    """Radii [N] in whole pixels, 0 where nothing can be seen (gsplat's opacity-aware bound)."""
    extent = (2 * (opacities / MIN_ALPHA).clamp_min(1).log()).sqrt().clamp_max(3.33)
    radius = (extent[:, None] * covariances[:, [0, 2]].sqrt()).clamp_max(1e9).ceil()
    size = means2d.new_tensor([width, height])
    inside = ((means2d + radius > 0) & (means2d - radius < size)).all(-1)
    determinant = covariances[:, 0] * covariances[:, 2] - covariances[:, 1] ** 2
    seen = inside & (depths >= near_plane) & (depths < FAR_PLANE) & (opacities >= MIN_ALPHA)
    seen &= (determinant > 0) & torch.isfinite(determinant)
    return torch.where(seen, radius.amax(-1), torch.zeros_like(depths)).int()


def composite_tile(
    pixels: Tensor,
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    colors: Tensor,
    background: Tensor,
    detached: int,
) -> tuple[Tensor, Tensor]:
    """Colours [P,D] and alphas [P] at pixel centres [P,2] of K Gaussians, nearest first."""
    dx, dy = (pixels[:, None, :] - means2d[None]).unbind(-1)  # [P,K]
    sigma = 0.5 * (conics[:, 0] * dx * dx + conics[:, 2] * dy * dy) + conics[:, 1] * dx * dy
    alpha = (opacities * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, 0.0)
    # Transmittance only falls, so "stop at the first that would pass the limit" is a plain mask.
    drawn = torch.cumprod(1 - alpha.detach(), 1) > MIN_TRANSMITTANCE
    alpha = torch.where(drawn, alpha, 0.0)
    after = torch.cumprod(1 - alpha, 1)
    weights = alpha * torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)
    left = after[:, -1]
    split = colors.shape[1] - detached
    bound = weights @ colors[:, :split] + left[:, None] * background[:split]
    if not detached:
        return bound, 1 - left
    free = weights.detach() @ colors[:, split:] + left.detach()[:, None] * background[split:]
    return torch.cat([bound, free], 1), 1 - left


def composite(
    means2d: Tensor,
    covariances: Tensor,
    depths: Tensor,
    radii: Tensor,
    opacities: Tensor,
    colors: Tensor,
    background: Tensor,
    width: int,
    height: int,
    detached: int,
) -> tuple[Tensor, Tensor]:
    """One image [D,H,W] and its alpha [H,W]."""
    order = torch.argsort(depths.detach(), stable=True)
    order = order[radii[order] > 0]
    means2d, covariances, opacities, colors = (t[order] for t in (means2d, covariances, opacities, colors))
    determinant = covariances[:, 0] * covariances[:, 2] - covariances[:, 1] ** 2
    conics = covariances[:, [2, 1, 0]] * covariances.new_tensor([1, -1, 1]) / determinant[:, None]
    centre, reach = means2d.detach(), radii[order][:, None]
    rows = []
    for y in range(0, height, TILE):
        row = []
        for x in range(0, width, TILE):
            w, h = min(TILE, width - x), min(TILE, height - y)
            corner = means2d.new_tensor([x, y])
            near = (
                ((centre + reach > corner) & (centre - reach < corner + corner.new_tensor([w, h])))
                .all(-1)
                .nonzero()[:, 0]
            )
            if len(near) == 0:
                row.append((background[:, None, None].expand(-1, h, w), means2d.new_zeros(h, w)))
                continue
            ys, xs = torch.meshgrid(torch.arange(h).to(corner), torch.arange(w).to(corner), indexing="ij")
            pixels = torch.stack([xs.reshape(-1), ys.reshape(-1)], -1) + corner + 0.5
            tile = [t[near] for t in (means2d, conics, opacities, colors)]
            image, alpha = composite_tile(pixels, *tile, background, detached)
            row.append((image.T.reshape(-1, h, w), alpha.reshape(h, w)))
        rows.append([torch.cat(parts, -1) for parts in zip(*row, strict=True)])
    image, alpha = (torch.cat(parts, -2) for parts in zip(*rows, strict=True))
    return image, alpha


def rasterize_twin(
    cloud: tuple[Tensor, Tensor, Tensor, Tensor],
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    size: tuple[int, int],
    near_plane: float,
    eps2d: float,
    backgrounds: Tensor | None,
    detached: int,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """:func:`methods.gaussians.rasterize` in torch; arguments checked there."""
    if backgrounds is None:
        backgrounds = colors.new_zeros(len(viewmats), colors.shape[1])
    cameras = zip(viewmats, Ks, strict=True)
    footprints = [project(*cloud, view, K, *size, eps2d, near_plane) for view, K in cameras]
    means2d, covariances, depths, radii = (torch.stack(t) for t in zip(*footprints, strict=True))
    views = zip(means2d, covariances, depths, radii, backgrounds, strict=True)
    images = [composite(*view[:4], cloud[3], colors, view[4], *size, detached) for view in views]
    image, alpha = (torch.stack(t) for t in zip(*images, strict=True))
    return image.permute(0, 2, 3, 1), alpha[..., None], {"means2d": means2d, "radii": radii, "depths": depths}
