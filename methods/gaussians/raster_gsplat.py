"""Rasteriser on CUDA: gsplat 1.5 behind the same signature."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import AbsentError


def rasterize_gsplat(
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
    """:func:`methods.gaussians.rasterize` on gsplat; arguments checked there.

    gsplat has no detached channels: those come from a second pass over detached geometry.
    """
    if not torch.cuda.is_available() or not cloud[0].is_cuda:
        raise AbsentError("backend 'gsplat' needs CUDA tensors: move them to a GPU or use backend='auto'")
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise AbsentError("gsplat is not installed: pip install 'talkbench[cuda]'") from error

    def draw(gaussians: tuple[Tensor, ...], first: int, last: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        behind = None if backgrounds is None else backgrounds[:, first:last]
        return rasterization(
            *gaussians, colors[:, first:last], viewmats, Ks, *size, near_plane=near_plane, eps2d=eps2d, packed=False,
            backgrounds=behind, render_mode="RGB", absgrad=False,
        )  # fmt: skip

    split = colors.shape[1] - detached
    image, alpha, meta = draw(cloud, 0, split) if split else draw(cloud, 0, 1)
    image = image[..., :split]
    if detached:
        image = torch.cat([image, draw(tuple(t.detach() for t in cloud), split, colors.shape[1])[0]], -1)
    return image, alpha, {"means2d": meta["means2d"], "radii": meta["radii"].amax(-1), "depths": meta["depths"]}
