"""Rasteriser on CUDA: gsplat 1.5 behind the same signature.

Ran on an H200 (docs/performance.md, "On a GPU"); ``nox -s gpu`` compares the devices. Checked without a GPU: each argument,
against a fake ``gsplat.rasterization`` that projects with gsplat's own torch code (tests/methods/test_gsplat_contract.py).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef

from bench.errors import AbsentError
from methods.gaussians.raster_twin import FAR_PLANE, rasterize_twin

# All that gsplat could do besides, named, so that new defaults of its change nothing here.
_PLAIN: dict[str, Any] = {
    "far_plane": FAR_PLANE, "radius_clip": 0.0, "tile_size": 16, "channel_chunk": 32,
    "sh_degree": None, "covars": None, "render_mode": "RGB", "rasterize_mode": "classic", "camera_model": "pinhole",
    "sparse_grad": False, "absgrad": False, "distributed": False, "segmented": False, "with_ut": False, "with_eval3d": False,
}  # fmt: skip


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
    packed: bool = False,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """:func:`methods.gaussians.rasterize` on gsplat; arguments checked there.

    All channels are drawn in one pass, unless gradients go to the geometry: gsplat has no detached channels, so that those
    then come from a second pass over detached geometry. ``packed`` keeps only the Gaussians in view between gsplat's
    kernels: less memory where most are out of view.
    """
    kernel = _kernel(cloud[0])
    if not len(cloud[0]):  # gsplat can't reshape an empty cloud's colours; the answer is the background
        return rasterize_twin(cloud, colors, viewmats, Ks, size, near_plane, eps2d, backgrounds, detached)

    def draw(gaussians: tuple[Tensor, ...], first: int, last: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        means, quats, scales, opacities = gaussians
        image, alpha, meta = kernel(
            means=means, quats=quats, scales=scales, opacities=opacities, colors=colors[:, first:last],
            viewmats=viewmats, Ks=Ks, width=size[0], height=size[1], near_plane=near_plane, eps2d=eps2d,
            backgrounds=None, packed=packed, **_PLAIN,
        )  # fmt: skip
        if backgrounds is not None:  # not by gsplat: 1.5.3 refuses backgrounds when packed (its issue 764)
            image = image + (1 - alpha) * backgrounds[:, None, None, first:last]
        return image, alpha, meta

    if not (torch.is_grad_enabled() and any(t.requires_grad for t in cloud)):
        detached = 0
    split = colors.shape[1] - detached
    image, alpha, meta = draw(cloud, 0, max(split, 1))
    image = image[..., :split]
    if detached:
        image = torch.cat([image, draw(tuple(t.detach() for t in cloud), split, colors.shape[1])[0]], -1)
    if packed:
        return image, alpha, _spread(meta, len(viewmats), len(colors))
    return image, alpha, {"means2d": meta["means2d"], "radii": meta["radii"].amax(-1), "depths": meta["depths"]}


def _spread(meta: dict[str, Any], cameras: int, n: int) -> dict[str, Tensor]:
    """gsplat's packed results [nnz,…] as dense ones [C,N,…], zeros where a Gaussian is out of view.

    The image depends on the packed positions only: their whole gradient is copied to the dense ones' ``.grad`` (that of
    the last backward pass, should there be several).
    """
    at = (meta["camera_ids"].long(), meta["gaussian_ids"].long())

    def dense(packed: Tensor) -> Tensor:
        return packed.new_zeros(cameras, n, *packed.shape[1:]).index_put(at, packed)

    means2d = dense(meta["means2d"])
    if means2d.requires_grad:
        target = TensorWeakRef(means2d)  # weak: the hook lives in the graph that means2d itself holds

        def fill(gradient: Tensor) -> None:
            if (wanted := target()) is not None:
                wanted.grad = dense(gradient)

        meta["means2d"].register_hook(fill)
    return {"means2d": means2d, "radii": dense(meta["radii"].amax(-1)), "depths": dense(meta["depths"])}


def _kernel(means: Tensor) -> Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]:
    """``gsplat.rasterization``, or an ``AbsentError`` that says what is missing to draw ``means`` with it."""
    if not means.is_cuda:
        raise AbsentError("backend 'gsplat' needs CUDA tensors: move them to a GPU or use backend='auto'")
    if importlib.util.find_spec("gsplat") is None:
        raise AbsentError("gsplat is not installed: pip install 'talkbench[cuda]'")
    from gsplat.cuda import _backend  # compiles gsplat's kernels, the first time

    if _backend._C is None:
        raise AbsentError(
            "gsplat has no compiled kernels, nor nvcc to compile them: install torch's version of the CUDA toolkit"
        )
    from gsplat import rasterization

    return rasterization
