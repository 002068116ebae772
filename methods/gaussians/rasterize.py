"""Differentiable rendering of 3-d Gaussians (Kerbl et al. 2023) behind one signature: gsplat 1.5's conventions."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from methods import kernels
from methods.gaussians.raster_gsplat import rasterize_gsplat
from methods.gaussians.raster_native import rasterize_native
from methods.gaussians.raster_twin import rasterize_twin

MAX_CHANNELS = 16
MAX_SIDE = 16384  # pixels
_BACKENDS = {
    "cpu": rasterize_native,
    "gsplat": rasterize_gsplat,
    "gsplat-packed": partial(rasterize_gsplat, packed=True),
    "torch": rasterize_twin,
}


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    near_plane: float = 0.2,
    eps2d: float = 0.3,
    backgrounds: Tensor | None = None,
    backend: str = "auto",
    detached_channels: int = 0,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Render N Gaussians in C cameras.

    Args:
        means: [N,3], scene units.
        quats: [N,4] rotations, wxyz, of any length.
        scales: [N,3] standard deviations, scene units.
        opacities: [N] in [0,1].
        colors: [N,D], 1 ≤ D ≤ 16 channels of anything.
        viewmats: [C,4,4] world to camera, OpenCV axes. Not differentiable with backend ``cpu``, nor are ``Ks``.
        Ks: [C,3,3], pixels; pixel centres lie at +0.5.
        width, height: of the image, up to 16384.
        near_plane: Gaussians nearer than this (> 0) are not drawn.
        eps2d: pixels², added to the diagonal of the projected covariance.
        backgrounds: [C,D], seen where the Gaussians leave room.
        backend: ``gsplat`` or ``gsplat-packed`` (CUDA, float32; the latter saves memory where most Gaussians are out of
            view), ``cpu`` (compiled kernels, float32), ``torch`` (any, slow), or ``auto``: for float32 ``gsplat`` on CUDA
            and ``cpu`` on the CPU; ``torch`` for float64, and on the CPU where the kernels were not built.
        detached_channels: the last so many channels give gradient to ``colors`` and ``backgrounds`` only.

    Returns:
        Colours [C,H,W,D] (on the CPU a view of planar memory), alphas [C,H,W,1], and a dict: ``means2d`` [C,N,2] in
        pixels, which retains its gradient (pixel units), ``radii`` [C,N] int32 pixels, 0 where culled, and ``depths``
        [C,N]. Where a Gaussian is culled the other two mean nothing, and on CUDA may hold anything.

    A Gaussian is drawn where 1/255 ≤ alpha (capped at 0.999), up to the one that would take a pixel's transmittance to
    1e-4 or below. Results on the CPU never depend on the number of threads.

    Raises:
        ValueError: an argument of the wrong shape, type or range, or with NaN or infinite values (CPU).
        AbsentError: a ``gsplat`` backend without gsplat, its compiled kernels or CUDA tensors.
    """
    cloud = (means, quats, scales, opacities)
    _check(cloud, colors, viewmats, Ks, width, height, backgrounds)
    if not 0 <= detached_channels <= colors.shape[1]:
        raise ValueError(f"detached_channels must lie in 0..{colors.shape[1]}, not {detached_channels}")
    if not near_plane > 0 or not eps2d >= 0:
        raise ValueError(f"near_plane must be > 0 and eps2d >= 0, not {near_plane} and {eps2d}")
    draw = _BACKENDS[_choose(backend, means)]
    if draw is rasterize_twin and not means.is_cuda:
        _check_finite(means=means, quats=quats, scales=scales, opacities=opacities, colors=colors)
    image, alpha, info = draw(
        cloud,
        colors,
        viewmats,
        Ks,
        (int(width), int(height)),
        float(near_plane),
        float(eps2d),
        backgrounds,
        detached_channels,
    )
    if info["means2d"].requires_grad:
        info["means2d"].retain_grad()
    return image, alpha, info


def _choose(backend: str, means: Tensor) -> str:
    if backend == "auto":
        if means.dtype != torch.float32:
            return "torch"
        if means.is_cuda:
            return "gsplat"
        return "cpu" if kernels.available() else "torch"
    if backend not in _BACKENDS:
        raise ValueError(f"unknown backend {backend!r} (known: auto, {', '.join(_BACKENDS)})")
    if backend == "cpu" and (means.is_cuda or means.dtype != torch.float32):
        raise ValueError(f"backend 'cpu' takes float32 tensors on the CPU, not {means.dtype} on {means.device}")
    if backend.startswith("gsplat") and means.dtype != torch.float32:
        raise ValueError(f"backend {backend!r} takes float32 tensors, not {means.dtype}")
    return backend


def _check(
    cloud: tuple[Tensor, Tensor, Tensor, Tensor],
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    backgrounds: Tensor | None,
) -> None:
    """Shapes, types and sizes; one plain line for what does not fit."""
    n, c = len(cloud[0]), len(viewmats)
    channels = colors.shape[-1] if colors.ndim == 2 else 0
    wanted = {
        "means": (cloud[0], (n, 3)), "quats": (cloud[1], (n, 4)), "scales": (cloud[2], (n, 3)), "opacities": (cloud[3], (n,)),
        "colors": (colors, (n, channels)), "viewmats": (viewmats, (c, 4, 4)), "Ks": (Ks, (c, 3, 3)),
    }  # fmt: skip
    if backgrounds is not None:
        wanted["backgrounds"] = (backgrounds, (c, channels))
    for name, (tensor, shape) in wanted.items():
        if tensor.shape != shape:
            raise ValueError(f"{name} must have shape {list(shape)}, not {list(tensor.shape)}")
        if tensor.dtype != cloud[0].dtype or tensor.device != cloud[0].device:
            raise ValueError(
                f"{name} must be {cloud[0].dtype} on {cloud[0].device} as means, not {tensor.dtype} on {tensor.device}"
            )
    if cloud[0].dtype not in (torch.float32, torch.float64):
        raise ValueError(f"means must be float32 or float64, not {cloud[0].dtype}")
    if c < 1 or not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"needs at least one camera and 1 to {MAX_CHANNELS} channels, not {c} and {channels}")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"width and height must lie in 1..{MAX_SIDE}, not {width} x {height}")


def _check_finite(**tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinite values")
