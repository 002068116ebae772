"""The audio branch shared by the field's methods: a window encoder and an attention over neighbouring windows.

Source: spec_talkinggaussian §3.3 (AD-NeRF's design).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SLOPE = 0.02
AUDIO_DIM = 32
WINDOWS = 8


def _stack(channels: list[int], stride: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip(channels, channels[1:], strict=False):
        layers += [nn.Conv1d(a, b, 3, stride, 1), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers)


class AudioNet(nn.Module):
    """[8, C, L] feature windows → [8, 32]; L is 16 (DeepSpeech, log-mel) or 2 (HuBERT)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = _stack([channels, 32, 32, 64, 64], 2)
        self.head = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(_SLOPE), nn.Linear(64, AUDIO_DIM))

    def forward(self, windows: Tensor) -> Tensor:
        return self.head(self.convolutions(windows)[:, :, 0])


class AudioAttention(nn.Module):
    """[8, 32] window codes → their attention-weighted sum [32]."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = _stack([AUDIO_DIM, 16, 8, 4, 2, 1], 1)
        self.weights = nn.Linear(WINDOWS, WINDOWS)

    def forward(self, codes: Tensor) -> Tensor:
        score = self.weights(self.convolutions(codes.T[None])[:, 0])
        return (torch.softmax(score, 1)[0, :, None] * codes).sum(0)
