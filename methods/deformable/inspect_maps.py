"""What an inspection computes of a trained model: maps of test frames, motion over time, main directions of the embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contract import Conditioning
from methods.deformable.sample import Drivers, View
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.deform import Motion, deform
from methods.gaussians.rasterize import rasterize

if TYPE_CHECKING:
    from methods.deformable.plugin import GaussianRenderer

DRAWN = 0.1
"""Least alpha of a pixel that has a value in a map."""
MILLI = 1000


@dataclass(frozen=True)
class Maps:
    """A test frame, [H,W] each; NaN where too little is drawn."""

    id: int
    rendered: NDArray[np.float32]
    """[H,W,3] as the method renders it"""
    depth: NDArray[np.float32]
    """Along the camera's axis, scene units: mean over the Gaussians seen at a pixel, as all of these maps."""
    motion: NDArray[np.float32]
    """|Δμ|, 10⁻³ scene units"""
    audio: NDArray[np.float32]
    """Norm of the face's audio attention"""
    expression: NDArray[np.float32]
    """Norm of the face's expression attention"""


@dataclass(frozen=True)
class Moved:
    """Both branches' motion in one frame."""

    face: Motion
    mouth: Motion


def branches(renderer: GaussianRenderer) -> dict[str, GaussianCloud]:
    """The clouds by the branch's name."""
    return {"face": renderer.face, "mouth": renderer.mouth}


@torch.no_grad()
def frame_maps(renderer: GaussianRenderer, given: Conditioning) -> Maps:
    """The maps of one test frame."""
    view, moved = View.of(given.camera, renderer.device), _moved(renderer, given)
    encoded = renderer.face_encoded
    assert encoded.audio_attention is not None
    assert encoded.expression_attention is not None
    attention = torch.stack([encoded.audio_attention.norm(dim=1), encoded.expression_attention.norm(dim=1)], 1)
    face, face_alpha = draw_planes(renderer.face, view, moved.face, attention)
    mouth, mouth_alpha = draw_planes(renderer.mouth, view, moved.mouth)
    both = face[:2] + (1 - face_alpha) * mouth
    depth, motion = mean_over_alpha(both, face_alpha + (1 - face_alpha) * mouth_alpha)
    audio, expression = mean_over_alpha(face[2:], face_alpha)
    return Maps(given.id, renderer.frame(given), depth, motion, audio, expression)


def _moved(renderer: GaussianRenderer, given: Conditioning) -> Moved:
    drivers = Drivers.of(renderer.design, given, renderer.device)
    face = renderer.face_field(renderer.face_encoded, drivers.windows, drivers.expression, drivers.direct)
    mouth, _ = renderer.mouth_field(renderer.mouth_encoded, drivers.windows)
    return Moved(face, mouth)


def draw_planes(
    cloud: GaussianCloud, view: View, motion: Motion | None, more: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Depth, |Δμ| and ``more`` [N,C] as planes [2+C,h,w], premultiplied, and alpha [h,w]."""
    moved = deform(cloud, motion, view.centre)
    depth = moved.means @ view.viewmat[0, 2, :3] + view.viewmat[0, 2, 3]
    length = torch.zeros_like(depth) if motion is None else motion.xyz.norm(dim=1) * MILLI
    values = [depth[:, None], length[:, None], *([] if more is None else [more])]
    image, alpha, _ = rasterize(
        moved.means, moved.quats, moved.scales, moved.opacities, torch.cat(values, 1).contiguous(), view.viewmat, view.K,
        view.width, view.height,
    )  # fmt: skip
    return image[0].permute(2, 0, 1), alpha[0, :, :, 0]


def mean_over_alpha(planes: Tensor, alpha: Tensor) -> NDArray[np.float32]:
    """Premultiplied planes [C,h,w] divided by alpha [h,w]; NaN where that is too small."""
    return torch.where(alpha >= DRAWN, planes / alpha.clamp_min(DRAWN), torch.nan).cpu().numpy()


@torch.no_grad()
def mean_motion(renderer: GaussianRenderer, frames: Sequence[Conditioning]) -> dict[str, Tensor]:
    """By branch: [N] mean over ``frames`` of |Δμ|, 10⁻³ scene units."""
    sums = {name: torch.zeros(len(cloud), device=renderer.device) for name, cloud in branches(renderer).items()}
    for given in frames:
        moved = _moved(renderer, given)
        for name in sums:
            sums[name] += getattr(moved, name).xyz.norm(dim=1) * MILLI
    return {name: total / len(frames) for name, total in sums.items()}


@torch.no_grad()
def principal(embedding: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
    """[N,3] places along the first three principal components of [N,d], and their shares [3] of the variance.

    A component's sign is such that its largest weight is positive. Shares and places are 0 where there is no variance.
    """
    values = embedding.detach().cpu().double()
    if not len(values):
        return embedding.new_zeros(0, 3), np.zeros(3)
    centred = values - values.mean(0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    missing = max(0, 3 - len(directions))
    directions = torch.cat([directions[:3], directions.new_zeros(missing, values.shape[1])])
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * torch.where(largest < 0, -1.0, 1.0)
    variance = torch.cat([singular**2, singular.new_zeros(missing)])
    shares = variance[:3] / variance.sum().clamp_min(1e-300)
    return (centred @ directions.T).float().to(embedding.device), shares.numpy()
