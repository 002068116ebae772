"""The head's radiance field: position, sound and upper face → density and colour (spec_ernerf §3, spec_synctalk §3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.parts import part
from methods.fields.audio import AUDIO_DIM, AudioAttention, AudioNet
from methods.fields.encodings import SH_WIDTH
from methods.fields.hashgrid import HashGrid3
from methods.fields.mlp import Mlp
from methods.fields.triplane import TriplaneEncoder
from methods.radiance.design import Design
from methods.training.groups import field_groups

LEVELS, BASE, DESIRED, LOG2_TABLE = 12, 64, 512, 14
GEOMETRY, CODE = 64, 4
_DENSEST = 15.0
"""Largest logarithm of a density."""
_SLOPE = 0.02


@dataclass(frozen=True)
class Heard:
    """What a frame says to every point."""

    audio: Tensor
    """[32] code of its sound"""
    upper_face: Tensor
    """[E]"""
    code: Tensor
    """[4] learnt for a training frame; the first one's at test time"""


@dataclass(frozen=True)
class Lit:
    """The field at S points."""

    density: Tensor
    """[S] per unit of length"""
    colour: Tensor
    """[S,3]"""
    doubt: Tensor
    """[S] uncertainty ≥ 0"""
    to_audio: Tensor
    """[S] norm of the attention to audio"""
    to_eyes: Tensor
    """[S] the same, to the upper face"""


class EncodedAudioNet(nn.Module):
    """[8, 512, 1] outputs of a lip-sync expert's audio encoder → [8, 32] (spec_synctalk §3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Linear(channels, 256), nn.LeakyReLU(_SLOPE), nn.Linear(256, 128), nn.LeakyReLU(_SLOPE), nn.Linear(128, AUDIO_DIM)
        )  # fmt: skip

    def forward(self, windows: Tensor) -> Tensor:
        return self.head(windows[:, :, 0])


class RadianceField(nn.Module):
    """(x, direction, sound, upper face) → density, colour, uncertainty.

    :param audio_form: (channels, length) of an audio window; length 1: a lip-sync expert's code
    :param frames: training frames, each with a code of its own
    """

    def __init__(self, design: Design, audio_form: tuple[int, int], frames: int) -> None:
        super().__init__()
        channels, length = audio_form
        self.design = design
        self.encoder = (
            TriplaneEncoder(LEVELS, BASE, DESIRED, LOG2_TABLE, bound=1.0)
            if design.triplane
            else HashGrid3(LEVELS, BASE, DESIRED, LOG2_TABLE)
        )
        width = self.encoder.width
        self.audio_net = EncodedAudioNet(channels) if length == 1 else AudioNet(channels)
        self.audio_attention_net = AudioAttention()
        self.audio_region = Mlp(width, 64, AUDIO_DIM)
        self.eye_region = Mlp(width, design.eye_hidden, design.upper_face)
        self.density_net = Mlp(width + AUDIO_DIM + design.upper_face, 64, 64, 1 + GEOMETRY)
        self.colour_net = Mlp(SH_WIDTH + GEOMETRY + CODE, 64, 3)
        self.doubt_net = Mlp(width, 32, 1)
        self.codes = nn.Parameter(torch.randn(frames, CODE) * 0.1)

    def hear(self, windows: Tensor, upper_face: Tensor, frame: int = 0) -> Heard:
        """What frame number ``frame`` of the training frames, with audio ``windows`` [8,C,L], says."""
        with part("audio"):
            audio = self.audio_attention_net(self.audio_net(windows))
        return Heard(audio if self.design.audio else torch.zeros_like(audio), upper_face, self.codes[frame])

    def encode(self, x: Tensor) -> Tensor:
        """[S,36] features of points [S,3] in [-1, 1]³."""
        with part("encode"):
            return self.encoder(x)

    def attend(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[S,32] and [S,E]: how much audio and upper face count at each point."""
        if not self.design.region_attention:
            return features.new_ones(len(features), AUDIO_DIM), features.new_ones(len(features), self.design.upper_face)
        eyes = self.eye_region(features)
        return self.audio_region(features), torch.sigmoid(eyes) if self.design.eye_sigmoid else eyes

    def geometry(self, features: Tensor, attention: tuple[Tensor, Tensor], heard: Heard) -> Tensor:
        """[S,65] logarithm of the density, then what the colour net gets.

        The attended codes, attention ⊙ code, enter by the first layer's columns scaled with the code: the same product,
        without an [S,32] tensor for it.
        """
        gain = torch.cat([features.new_ones(features.shape[1]), heard.audio, heard.upper_face])
        return self.density_net(features, *attention, gain=gain)

    def density(self, x: Tensor, heard: Heard) -> Tensor:
        """[S] density at points [S,3]."""
        features = self.encode(x)
        return torch.exp(self.geometry(features, self.attend(features), heard)[:, 0].clamp_max(_DENSEST))

    def doubt(self, features: Tensor) -> Tensor:
        """[S] uncertainty; no gradient reaches the encoder."""
        return nn.functional.softplus(self.doubt_net(features.detach())[:, 0])

    def forward(self, x: Tensor, harmonics: Tensor, heard: Heard, with_doubt: bool = False) -> Lit:
        """The field at points [S,3] seen along directions whose ``harmonics`` [S,16] are given."""
        features = self.encode(x)
        with part("net"):
            attention = self.attend(features)
            hidden = self.geometry(features, attention, heard)
            shade = self.colour_net(harmonics, hidden[:, 1:], constant=heard.code)
        none = hidden.new_zeros(0)
        return Lit(
            torch.exp(hidden[:, 0].clamp_max(_DENSEST)),
            torch.sigmoid(shade) * 1.002 - 0.001,
            self.doubt(features) if with_doubt else none,
            attention[0].norm(dim=1) if with_doubt else none,
            self.eye_strength(attention[1]) if with_doubt else none,
        )

    def eye_strength(self, attention: Tensor) -> Tensor:
        """[S]: the scalar itself (ER-NeRF), or the norm of the seven (SyncTalk)."""
        return attention[:, 0] if attention.shape[1] == 1 else attention.norm(dim=1)

    def parameter_groups(self, gain: float) -> list[dict[str, object]]:
        """AdamW groups; ``gain`` multiplies the nets' rate."""
        return field_groups(self, 1e-2, gain)
