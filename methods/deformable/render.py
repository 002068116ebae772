"""Draws a branch: deform the canonical Gaussians, rasterise them, composite the layers.

Source: spec_talkinggaussian §3.6–3.7.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.parts import part
from methods.deformable.fields import Encoded
from methods.deformable.sample import View
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.deform import Motion, deform
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
    motion_size: Tensor
    """See :class:`methods.gaussians.deform.Deformed`."""
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
    motion: Motion | None = None,
    background: tuple[float, float, float] = BLACK,
    attention: Encoded | None = None,
) -> Layer:
    """Rasterise a branch; with ``attention``, also its attention maps, in the same pass and without geometry gradients."""
    codes: list[Tensor] = []
    if attention is not None:
        assert attention.audio_attention is not None
        assert attention.expression_attention is not None
        codes = [attention.audio_attention, attention.expression_attention]
    with part("deform"):
        moved = deform(cloud, motion, view.centre, codes)
    with part("rasterise"):
        image, alpha, info = rasterize(
            moved.means, moved.quats, moved.scales, moved.opacities, moved.colours, view.viewmat, view.K, view.width,
            view.height, backgrounds=moved.means.new_tensor([[*background, *[0.0] * len(codes)]]),
            detached_channels=len(codes),
        )  # fmt: skip
    planes = image[0].permute(2, 0, 1)
    return Layer(
        planes[:3],
        alpha[0, :, :, 0],
        info["means2d"],
        info["radii"][0] > 0,
        moved.motion_size,
        planes[3:] if codes else None,
    )


def composite(face: Layer, mouth: Layer, canvas: Tensor) -> Tensor:
    """[3,h,w] face over mouth over ``canvas`` [3,h,w]; both layers drawn over black: I = F + (1−α_f)(M + (1−α_m)B)."""
    return face.colour + (1 - face.alpha) * (mouth.colour + (1 - mouth.alpha) * canvas)
