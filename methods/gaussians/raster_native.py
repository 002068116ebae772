"""Rasteriser on the compiled CPU kernels: two autograd functions, so that image-space positions carry gradients.

``Project`` takes Gaussians to footprints (2-d mean, inverse covariance, depth), ``Composite`` footprints to images.
float32 on the CPU only; not differentiable in the cameras, and not twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bench.parts import booked
from methods import kernels


class Project(Function):
    """means [N,3], quats [N,4], scales [N,3] → means2d [C,N,2] and conics [C,N,3] (pixels), depths, variances, radii."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        *view: Any,
    ) -> tuple[Tensor, ...]:
        """``view``: width, height, eps2d, near_plane. Opacities only bound the radii and get no gradient here."""
        cloud = [kernels.array(t) for t in (means, quats, scales, opacities)]
        cameras = list(zip(kernels.array(viewmats).copy(), kernels.array(Ks).copy(), strict=True))  # kept for backward
        shape = (len(cameras), means.shape[0])
        means2d, conics, variances = (torch.empty(*shape, k) for k in (2, 3, 2))
        depths, radii = torch.empty(shape), torch.empty(shape, dtype=torch.int32)
        out = [t.numpy() for t in (means2d, conics, variances, depths, radii)]
        for c, camera in enumerate(cameras):
            if kernels.require().project(*cloud, *camera, *view, *(t[c] for t in out)):
                raise ValueError(_first_not_finite(means=means, quats=quats, scales=scales, opacities=opacities))
        ctx.mark_non_differentiable(variances, radii)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(means, quats, scales, radii)
        ctx.view = (cameras, view[:3])
        return means2d, conics, depths, variances, radii

    @staticmethod
    @once_differentiable
    @booked("rasterise")
    def backward(
        ctx: Any, g_means2d: Tensor | None, g_conics: Tensor | None, g_depths: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        """Sum over the cameras of the gradients of means, quats and scales."""
        radii = ctx.saved_tensors[3].numpy()
        cloud = [kernels.array(t) for t in ctx.saved_tensors[:3]]
        cameras, view = ctx.view
        pixels = np.zeros((*radii.shape, 2), np.float32) if g_means2d is None else kernels.array(g_means2d)
        shapes = np.zeros((*radii.shape, 3), np.float32) if g_conics is None else kernels.array(g_conics)
        depths = [None] * len(cameras) if g_depths is None else kernels.array(g_depths)
        grads = [torch.empty(len(cameras), *t.shape) for t in cloud]
        out = [t.numpy() for t in grads]
        for c, camera in enumerate(cameras):
            kernels.require().project_backward(
                *cloud, *camera, *view, radii[c], pixels[c], shapes[c], depths[c], *(t[c] for t in out)
            )
        return *(_sum_cameras(t) for t in grads), *[None] * 7


class Composite(Function):
    """Footprints [C,N,…], opacities [N], colors [N,D] → image [C,D,H,W] (planar) and alpha [C,H,W]."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        colors: Tensor,
        backgrounds: Tensor | None,
        footprints: tuple[Tensor, Tensor, Tensor],
        size: tuple[int, int],
        detached: int,
    ) -> tuple[Tensor, Tensor]:
        """``footprints``: depths, variances, radii. ``size``: width, height. The last ``detached`` channels move colours only."""
        width, height = size
        cameras, channels = means2d.shape[0], colors.shape[1]
        image, alpha = torch.empty(cameras, channels, height, width), torch.empty(cameras, height, width)
        depths, variances, radii = footprints
        per_camera = [kernels.array(t) for t in (means2d, conics, variances, depths, radii)]
        shared = [kernels.array(t) for t in (opacities, colors)]
        behind = [None] * cameras if backgrounds is None else kernels.array(backgrounds)
        out = [image.numpy(), alpha.numpy()]
        ctx.frames = []
        for c in range(cameras):
            frame = kernels.require().composite(*(t[c] for t in per_camera), *shared, behind[c], *(t[c] for t in out))
            if frame is None:
                raise ValueError(_first_not_finite(colors=colors))
            ctx.frames.append(frame)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(conics, opacities, alpha)
        ctx.shape = (channels, detached)
        return image, alpha

    @staticmethod
    @once_differentiable
    @booked("rasterise")
    def backward(ctx: Any, g_image: Tensor | None, g_alpha: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of means2d, conics, opacities, colors and backgrounds."""
        conics, opacities, alpha = (t.detach() for t in ctx.saved_tensors)
        channels, detached = ctx.shape
        cameras, n = conics.shape[:2]
        inverses, opacity = conics.numpy(), kernels.array(opacities)
        colored = [None] * cameras if g_image is None else g_image.numpy()  # any strides: read in place
        covered = [None] * cameras if g_alpha is None else kernels.array(g_alpha)
        grads = [torch.empty(cameras, *shape) for shape in ((n, 2), (n, 3), (n,), (n, channels))]
        out = [t.numpy() for t in grads]
        for c, frame in enumerate(ctx.frames):
            kernels.require().composite_backward(
                frame, inverses[c], opacity, colored[c], covered[c], channels - detached, *(t[c] for t in out)
            )
        g_backgrounds = None
        if ctx.needs_input_grad[4] and g_image is not None:
            g_backgrounds = torch.einsum("cdhw,chw->cd", g_image, 1.0 - alpha)
        g_means2d, g_conics, g_opacities, g_colors = grads
        return g_means2d, g_conics, _sum_cameras(g_opacities), _sum_cameras(g_colors), g_backgrounds, None, None, None


def rasterize_native(
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
    """:func:`methods.gaussians.rasterize` on the compiled kernels; arguments checked there."""
    means2d, conics, depths, variances, radii = Project.apply(*cloud, viewmats, Ks, *size, eps2d, near_plane)
    image, alpha = Composite.apply(
        means2d, conics, cloud[3], colors, backgrounds, (depths, variances, radii), size, detached
    )
    return image.permute(0, 2, 3, 1), alpha[..., None], {"means2d": means2d, "radii": radii, "depths": depths}


def _sum_cameras(t: Tensor) -> Tensor:
    return t[0] if t.shape[0] == 1 else t.sum(0)


def _first_not_finite(**tensors: Tensor) -> str:
    bad = next((name for name, t in tensors.items() if not torch.isfinite(t).all()), "inputs")
    return f"{bad} holds NaN or infinite values"
