"""Deformation fields: where audio and expression move the canonical Gaussians.

Source: spec_talkinggaussian §3.4–3.5, spec_degstalk §3.4–3.5. Half of a field depends on the Gaussians only
(:class:`Encoded`) and is computed once while they stay put; the other half takes the frame's audio and expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.parts import part
from methods.deformable.design import Design
from methods.fields.audio import AUDIO_DIM, AudioAttention, AudioNet
from methods.fields.mlp import Mlp
from methods.fields.triplane import TriplaneEncoder
from methods.gaussians.deform import Motion
from methods.training.groups import field_groups

BOUND = 0.15
_LEVELS = 12
_MOTION_SCALE = 1e-2
_SHIFT = 0.01
"""First weights of z's way into the encoder: z of length 1 moves a point by millimetres."""


@dataclass(frozen=True)
class Encoded:
    """What a field knows of each Gaussian before it hears anything."""

    features: tuple[Tensor, ...]
    """[N,36] tri-plane features and, where there is one, the embedding [N,d]."""
    audio_attention: Tensor | None = None
    """[N,32]"""
    expression_attention: Tensor | None = None
    """[N,e]"""


class _Field(nn.Module):
    """What both fields have: encoder, audio nets, and z's way in.

    Eq. 5's H(μ⊕z) can't be taken to the letter: a plane for each pair of 35 coordinates would make 595 of them. With
    ``encoded_embedding`` the three planes are read at μ + Wz, which is the encoder of a linear map of μ⊕z, W [3,d] learnt.
    """

    def __init__(self, design: Design, audio_channels: int, base: int, desired: float) -> None:
        super().__init__()
        self.encoder = TriplaneEncoder(levels=_LEVELS, base=base, desired=desired, bound=BOUND)
        self.audio_net = AudioNet(audio_channels)
        self.audio_attention_net = AudioAttention()
        self.shift: nn.Linear | None = None
        self.features = 3 * _LEVELS + design.embedding
        if design.encoded_embedding and design.embedding:
            self.shift = nn.Linear(design.embedding, 3, bias=False)
            nn.init.uniform_(self.shift.weight, -_SHIFT, _SHIFT)
            self.features = 3 * _LEVELS

    def hear(self, windows: Tensor) -> Tensor:
        """[32] audio code of a frame's windows [8,C,L]."""
        with part("audio"):
            return self.audio_attention_net(self.audio_net(windows))

    def _features(self, xyz: Tensor, embedding: Tensor) -> tuple[Tensor, ...]:
        with part("encode"):
            encoded = self.encoder(xyz if self.shift is None else xyz + self.shift(embedding))
        return (encoded, embedding) if embedding.shape[1] and self.shift is None else (encoded,)

    def parameter_groups(self, gain: float) -> list[dict[str, object]]:
        """AdamW groups; ``gain`` multiplies the nets' rate."""
        return field_groups(self, 5e-3, gain)


class FaceField(_Field):
    """(μ, z, audio, expression) → Δμ, Δq, Δs, with region attention to audio and expression."""

    def __init__(self, design: Design, audio_channels: int, expression_width: int) -> None:
        super().__init__(design, audio_channels, base=16, desired=256 * BOUND)
        f = self.features
        self.direct = design.direct_inputs
        self.expression_net = Mlp(expression_width, 16, design.expression_code - self.direct)
        self.audio_region = Mlp(f, 32, AUDIO_DIM)
        self.expression_region = Mlp(f, 16, design.expression_code, relu_last=True)
        self.decoder = Mlp(f + AUDIO_DIM + design.expression_code, 64, 64, 11)

    def encode(self, xyz: Tensor, embedding: Tensor) -> Encoded:
        """The audio-free half for Gaussians at ``xyz`` [N,3]."""
        features = self._features(xyz, embedding)
        with part("net"):
            return Encoded(features, self.audio_region(*features), self.expression_region(*features))

    def forward(self, encoded: Encoded, windows: Tensor, expression: Tensor, direct: Tensor) -> Motion:
        """``expression`` [E] goes through a small net, ``direct`` [1 or 2] (blink, eyelids) does not.

        The attended codes, attention ⊙ code, enter the decoder by its first layer's columns scaled with the code: the same
        product, without an [N,32] tensor for it.
        """
        assert encoded.audio_attention is not None
        assert encoded.expression_attention is not None
        code = torch.cat([self.expression_net(expression[None])[0], direct])
        gain = torch.cat([code.new_ones(self.features), self.hear(windows), code])
        parts = (*encoded.features, encoded.audio_attention, encoded.expression_attention)
        with part("net"):
            return Motion(self.decoder(*parts, gain=gain), (_MOTION_SCALE,) * 3)


class MouthField(_Field):
    """(μ, z, audio) → Δμ, mostly vertical; with ``jaw_loss`` also a guess of the jaw."""

    def __init__(self, design: Design, audio_channels: int) -> None:
        super().__init__(design, audio_channels, base=64, desired=384 * BOUND)
        self.decoder = Mlp(self.features + AUDIO_DIM, 32, 32, 3)
        self.jaw = Mlp(self.features + AUDIO_DIM, 32, 32, 3) if design.jaw_loss else None

    def encode(self, xyz: Tensor, embedding: Tensor) -> Encoded:
        """The audio-free half for Gaussians at ``xyz`` [N,3]."""
        return Encoded(self._features(xyz, embedding))

    def forward(self, encoded: Encoded, windows: Tensor) -> tuple[Motion, Tensor | None]:
        """The motion, and [N,3] the mouth's guess of the jaw coefficients while training (for its loss only)."""
        heard = self.hear(windows)
        motion = Motion(
            self.decoder(*encoded.features, constant=heard), (0.2 * _MOTION_SCALE, _MOTION_SCALE, 0.2 * _MOTION_SCALE)
        )
        jaw = self.jaw(*encoded.features, constant=heard) if self.jaw is not None and self.training else None
        return motion, jaw
