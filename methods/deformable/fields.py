"""Deformation fields: where audio and expression move the canonical Gaussians.

Source: spec_talkinggaussian §3.4–3.5, spec_degstalk §3.4–3.5. Half of a field depends on the Gaussians only
(:class:`Encoded`) and is computed once while they stay put; the other half takes the frame's audio and expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.deformable.design import Design
from methods.fields.audio import AUDIO_DIM, AudioAttention, AudioNet
from methods.fields.mlp import mlp
from methods.fields.triplane import TriplaneEncoder

BOUND = 0.15
_LEVELS = 12
_MOTION_SCALE = 1e-2


@dataclass(frozen=True)
class Encoded:
    """What a field knows of each Gaussian before it hears anything."""

    features: Tensor
    """[N,F] tri-plane features, then the embedding."""
    audio_attention: Tensor | None = None
    """[N,32]"""
    expression_attention: Tensor | None = None
    """[N,e]"""


@dataclass(frozen=True)
class Deformation:
    """Per-Gaussian offsets to the canonical raw parameters."""

    xyz: Tensor
    """[N,3] metres"""
    rotation: Tensor | None = None
    """[N,4]"""
    scaling: Tensor | None = None
    """[N,3]"""
    opacity: Tensor | None = None
    """[N,1]: predicted and regularised as in the official code, never applied."""
    jaw: Tensor | None = None
    """[N,3] the mouth's guess of the jaw coefficients, for its loss only."""


class _Field(nn.Module):
    def __init__(self, design: Design, audio_channels: int, base: int, desired: float) -> None:
        super().__init__()
        self.encoder = TriplaneEncoder(levels=_LEVELS, base=base, desired=desired, bound=BOUND)
        self.audio_net = AudioNet(audio_channels)
        self.audio_attention_net = AudioAttention()
        self.features = 3 * _LEVELS + design.embedding

    def hear(self, windows: Tensor) -> Tensor:
        """[32] audio code of a frame's windows [8,C,L]."""
        return self.audio_attention_net(self.audio_net(windows))

    def _features(self, xyz: Tensor, embedding: Tensor) -> Tensor:
        encoded = self.encoder(xyz)
        return torch.cat([encoded, embedding], 1) if embedding.shape[1] else encoded

    def parameter_groups(self, gain: float) -> list[dict[str, object]]:
        """AdamW groups: grids with AdamW's default decay, nets without, audio attention with 1e-4 (§3 of the specs)."""
        grids = list(self.encoder.parameters())
        attention = list(self.audio_attention_net.parameters())
        taken = {id(p) for p in grids + attention}
        nets = [p for p in self.parameters() if id(p) not in taken]
        return [
            {"params": grids, "lr": 5e-3, "weight_decay": 0.01},
            {"params": nets, "lr": 5e-4 * gain, "weight_decay": 0.0},
            {"params": attention, "lr": 2.5e-3, "weight_decay": 1e-4},
        ]


class FaceField(_Field):
    """(μ, z, audio, expression) → Δμ, Δq, Δs, with region attention to audio and expression."""

    def __init__(self, design: Design, audio_channels: int, expression_width: int) -> None:
        super().__init__(design, audio_channels, base=16, desired=256 * BOUND)
        f = self.features
        self.direct = design.direct_inputs
        self.expression_net = mlp(expression_width, 16, design.expression_code - self.direct)
        self.audio_region = mlp(f, 32, AUDIO_DIM)
        self.expression_region = mlp(f, 16, design.expression_code)
        self.decoder = mlp(f + AUDIO_DIM + design.expression_code, 64, 64, 11)

    def encode(self, xyz: Tensor, embedding: Tensor) -> Encoded:
        """The audio-free half for Gaussians at ``xyz`` [N,3]."""
        features = self._features(xyz, embedding)
        return Encoded(features, self.audio_region(features), torch.relu(self.expression_region(features)))

    def forward(self, encoded: Encoded, windows: Tensor, expression: Tensor, direct: Tensor) -> Deformation:
        """``expression`` [E] goes through a small net, ``direct`` [1 or 2] (blink, eyelids) does not."""
        assert encoded.audio_attention is not None
        assert encoded.expression_attention is not None
        code = torch.cat([self.expression_net(expression), direct])
        joined = [encoded.features, self.hear(windows) * encoded.audio_attention, code * encoded.expression_attention]
        h = self.decoder(torch.cat(joined, 1))
        return Deformation(h[:, :3] * _MOTION_SCALE, h[:, 3:7], h[:, 8:11], h[:, 7:8])


class MouthField(_Field):
    """(μ, z, audio) → Δμ, mostly vertical; with ``jaw_loss`` also a guess of the jaw."""

    def __init__(self, design: Design, audio_channels: int) -> None:
        super().__init__(design, audio_channels, base=64, desired=384 * BOUND)
        self.decoder = mlp(self.features + AUDIO_DIM, 32, 32, 3)
        self.jaw = mlp(self.features + AUDIO_DIM, 32, 32, 3) if design.jaw_loss else None
        self.register_buffer("axis_scale", torch.tensor([0.2, 1.0, 0.2]) * _MOTION_SCALE, persistent=False)

    def encode(self, xyz: Tensor, embedding: Tensor) -> Encoded:
        """The audio-free half for Gaussians at ``xyz`` [N,3]."""
        return Encoded(self._features(xyz, embedding))

    def forward(self, encoded: Encoded, windows: Tensor) -> Deformation:
        heard = self.hear(windows)
        motion = _with_constant(self.decoder, encoded.features, heard)
        jaw = _with_constant(self.jaw, encoded.features, heard) if self.jaw is not None and self.training else None
        return Deformation(motion * self.axis_scale, jaw=jaw)


def _with_constant(net: nn.Sequential, features: Tensor, constant: Tensor) -> Tensor:
    """``net`` of [features | constant repeated], without repeating: the constant's product is added instead."""
    first = net[0]
    assert isinstance(first, nn.Linear)
    split = features.shape[1]
    hidden = features @ first.weight[:, :split].T + first.weight[:, split:] @ constant
    for layer in list(net)[1:]:
        hidden = layer(hidden)
    return hidden
