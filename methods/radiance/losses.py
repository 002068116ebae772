"""What the head stage and the lips stage minimise (spec_ernerf §5, spec_synctalk §5)."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.radiance.design import Losses, Region
from methods.radiance.field import RadianceField
from methods.radiance.render import Rendered

_MOVED = 1e-3
"""How far a point is moved, each way, for the smoothness of what the field attends to."""


def pixel_errors(losses: Losses, predicted: Tensor, target: Tensor) -> Tensor:
    """[R] error of colours [R,3]."""
    difference = predicted - target
    return (difference.square() if losses.pixel == "mse" else difference.abs()).mean(1)


def doubtful(
    losses: Losses, errors: Tensor, rendered: Rendered, target: Tensor, face: Tensor, progress: float
) -> Tensor:
    """[R] ``errors`` [R] weighted by the uncertainty, more so as training goes on, and the uncertainty's own terms.

    :param face: bool [R]
    :param progress: share of the training that is done
    """
    doubt = rendered.doubt
    weight = (torch.softmax(doubt.detach(), 0) * len(doubt) * progress + (1 - progress)).clamp(0, 10)
    spread = doubt + 1
    distance = (rendered.colour - target).norm(dim=1).detach()
    likelihood = distance / (2 * spread.square()) + spread.log().square() / 2
    own = torch.where(face, losses.doubt_inside * likelihood, losses.doubt_outside * doubt)
    return errors * (0.2 + 0.8 * weight) + progress * own


def entropy(opacity: Tensor) -> Tensor:
    """Mean binary entropy in bits: rays are to be full or empty."""
    p = opacity.clamp(1e-5, 1 - 1e-5)
    return -(p * p.log2() + (1 - p) * (1 - p).log2()).mean()


def attention(losses: Losses, rendered: Rendered, regions: dict[Region, Tensor], progress: float) -> Tensor:
    """Audio is to count in its region only, the upper face out of its region. Sums along rays are not weighted.

    :param regions: bool [R] of each ray
    """

    def along(values: Tensor) -> Tensor:
        return values.new_zeros(len(rendered.colour)).index_add(0, rendered.rays, values)

    audio, eyes = along(rendered.lit.to_audio), along(rendered.lit.to_eyes)
    outside, within = ~regions[losses.audio_region], regions[losses.eye_region]
    eye_term = eyes / 16 * audio.detach() if losses.eye_by_audio else eyes
    return progress * losses.attention * ((audio * outside).mean() + (eye_term * within).mean())


def smoothness(losses: Losses, field: RadianceField, rendered: Rendered, generator: torch.Generator) -> Tensor:
    """How much uncertainty and attention change when the points move a little; the unmoved side gets no gradient."""
    points, lit = rendered.points, rendered.lit
    moved = points + (torch.rand(points.shape, generator=generator).to(points.device) * 2 - 1) * _MOVED
    features = field.encode(moved)
    to_audio, to_eyes = field.attend(features)
    pairs = (
        (field.doubt(features), lit.doubt),
        (to_audio.norm(dim=1), lit.to_audio),
        (field.eye_strength(to_eyes), lit.to_eyes),
    )
    total = points.new_zeros(())
    for near, here in pairs:
        difference = near - here.detach()
        total = total + (difference.square() if losses.pixel == "mse" else difference.abs()).mean()
    return losses.smooth * total
