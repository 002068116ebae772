"""Draws a branch: deform the canonical Gaussians, rasterise them, composite the layers.

Source: spec_talkinggaussian §3.6–3.7.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods.deformable.data import View
from methods.deformable.fields import Deformation, Encoded
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.rasterize import rasterize

GREEN = (0.0, 1.0, 0.0)
"""The key colour branches are trained over."""
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Layer:
    """A rendered branch."""

    colour: Tensor
    """[3,h,w] over its background colour"""
    alpha: Tensor
    """[h,w]"""
    means2d: Tensor
    """[1,N,2] screen positions in pixels; keeps its gradient"""
    visible: Tensor
    """bool [N]"""
    attention: Tensor | None = None
    """[2,h,w] mean norms of audio and expression attention, premultiplied"""

    def ndc_gradient(self) -> Tensor:
        """[N,2] screen gradient in NDC units, as the densification thresholds expect it."""
        assert self.means2d.grad is not None
        height, width = self.alpha.shape
        return self.means2d.grad[0] * self.means2d.new_tensor([width / 2, height / 2])


def draw(
    cloud: GaussianCloud,
    view: View,
    deformation: Deformation | None = None,
    background: tuple[float, float, float] = BLACK,
    attention: Encoded | None = None,
) -> Layer:
    """Rasterise a branch; with ``attention``, also its attention maps, in the same pass and without geometry gradients."""
    means = cloud.xyz if deformation is None else cloud.xyz + deformation.xyz
    scales = cloud.scales(deformation.scaling if deformation else None)
    quats = cloud.quats(deformation.rotation if deformation else None)
    colours = cloud.colours(means, view.centre)
    extra = 0
    if attention is not None:
        assert attention.audio_attention is not None
        assert attention.expression_attention is not None
        norms = [attention.audio_attention.norm(dim=1), attention.expression_attention.norm(dim=1)]
        colours = torch.cat([colours, torch.stack(norms, 1)], 1)
        extra = 2
    image, alpha, info = rasterize(
        means,
        quats,
        scales,
        cloud.opacities(),
        colours,
        view.viewmat,
        view.K,
        view.width,
        view.height,
        backgrounds=means.new_tensor([[*background, *[0.0] * extra]]),
        detached_channels=extra,
    )
    planes = image[0].permute(2, 0, 1)
    return Layer(planes[:3], alpha[0, :, :, 0], info["means2d"], info["radii"][0] > 0, planes[3:] if extra else None)


def composite(face: Layer, mouth: Layer, canvas: Tensor) -> Tensor:
    """[3,h,w] face over mouth over ``canvas`` [3,h,w]; both layers drawn over black: I = F + (1−α_f)(M + (1−α_m)B)."""
    return face.colour + (1 - face.alpha) * (mouth.colour + (1 - mouth.alpha) * canvas)
