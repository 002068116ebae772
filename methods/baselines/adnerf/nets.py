"""AD-NeRF's networks (spec_adnerf §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.fields.audio import AudioAttention, AudioNet
from methods.fields.encodings import frequency

AUDIO, POSE = 64, 42
_WIDTH, _DEPTH, _SKIP = 256, 8, 5
_POSITION_OCTAVES, _DIRECTION_OCTAVES, _POSE_OCTAVES = 10, 4, 3


class FaceNerf(nn.Module):
    """Position, direction and a condition → colour (before the sigmoid) and density (before the ReLU).

    The condition is the same for all points, so its product with the first layer's weights (and the sixth's, where the input
    comes in again) is a vector that is added, not an [N, 64] tensor that is multiplied.

    :param condition: its width: 64 (audio) or 106 (audio and head pose)
    """

    def __init__(self, condition: int) -> None:
        super().__init__()
        position, direction = 3 * (1 + 2 * _POSITION_OCTAVES), 3 * (1 + 2 * _DIRECTION_OCTAVES)
        inputs = position + condition
        widths = [inputs] + [_WIDTH + inputs if k == _SKIP else _WIDTH for k in range(1, _DEPTH)]
        self.position = position
        self.layers = nn.ModuleList(nn.Linear(width, _WIDTH) for width in widths)
        self.density = nn.Linear(_WIDTH, 1)
        self.shade = nn.ModuleList(nn.Linear(width, 128) for width in (_WIDTH + direction, 128, 128))
        self.colour = nn.Linear(128, 3)

    def forward(self, points: Tensor, directions: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Colours [R,S,3] and densities [R,S] of ``points`` [R,S,3] seen along unit ``directions`` [R,3]."""
        count = points.shape[1]
        encoded = frequency(points.reshape(-1, 3), _POSITION_OCTAVES)
        hidden = encoded
        for k, layer in enumerate(self.layers):
            if k in (0, _SKIP):
                hidden = self._entering(layer, encoded, condition, hidden if k else None)
            else:
                hidden = layer(hidden)
            hidden = torch.relu(hidden)
        density = self.density(hidden)[:, 0]
        seen = frequency(directions, _DIRECTION_OCTAVES)
        first = self.shade[0].weight
        shade = hidden @ first[:, :_WIDTH].T + (seen @ first[:, _WIDTH:].T + self.shade[0].bias).repeat_interleave(
            count, 0
        )
        for layer in self.shade[1:]:
            shade = layer(torch.relu(shade))
        colour = self.colour(torch.relu(shade))
        return colour.view(*points.shape), density.view(points.shape[:2])

    def _entering(self, layer: nn.Linear, encoded: Tensor, condition: Tensor, hidden: Tensor | None) -> Tensor:
        """A layer that takes position ⊕ condition (⊕ the hidden state)."""
        end = self.position + len(condition)
        out = encoded @ layer.weight[:, : self.position].T
        out = out + (layer.weight[:, self.position : end] @ condition + layer.bias)
        return out if hidden is None else out + hidden @ layer.weight[:, end:].T


class Listener(nn.Module):
    """Audio windows → the condition's audio part."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = AudioNet(channels, AUDIO)
        self.attention = AudioAttention()

    def forward(self, windows: Tensor, attended: bool) -> Tensor:
        """[64] of windows [8,C,L]: the frame's own (the fifth) alone, or all eight ``attended``."""
        if not attended:
            return self.net(windows[4:5])[0]
        return self.attention(self.net(windows))


def pose_code(to_world: Tensor) -> Tensor:
    """[42] of a camera-to-world matrix [4,4], OpenGL axes (spec_adnerf §3.4: these are not the tracker's Euler angles)."""
    m = to_world
    angles = torch.stack(
        [torch.atan2(m[2, 2], m[1, 2]), torch.asin((-m[0, 2]).clamp(-1, 1)), torch.atan2(m[0, 0], -m[0, 1])]
    )
    return torch.cat([frequency(angles, _POSE_OCTAVES), frequency(m[:3, 3], _POSE_OCTAVES)])
