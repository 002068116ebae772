"""Data-dependent starts for short presets: layers rescaled to the training frames (as in Salimans & Kingma, 2016, §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.fields.audio import AudioNet
from methods.fields.mlp import Mlp

_LEAST = 0.05
"""Smallest deviation that is scaled up to 1: a net whose input hardly ever changes must not be amplified without bound."""


MOST = 1000
"""Frames that statistics are taken of, at most."""


def spread(ids: list[int]) -> list[int]:
    """At most :data:`MOST` of the ids, evenly spaced: all of a long video would not fit in memory."""
    return ids[:: -(-len(ids) // MOST)]


@torch.no_grad()
def standardise_audio(net: AudioNet, windows: Tensor) -> None:
    """Make each channel of each layer zero in mean and one in deviation over ``windows`` [n,8,C,L].

    At PyTorch's initial values the codes of a video differ by about 0.0015 around a mean of length 0.5: the decoder hears
    next to nothing for its first thousands of iterations, which a short preset doesn't have.
    """
    signal = _through(list(net.convolutions), windows.flatten(0, 1))[:, :, 0]
    _through(list(net.head), signal)


@torch.no_grad()
def standardise_mlp(net: Mlp, inputs: Tensor) -> None:
    """Make each layer's output vary with a deviation of about 1 over ``inputs`` [n,E]."""
    signal = inputs
    for weight in net.weights:
        weight.div_((signal @ weight.T).std(0).mean().clamp_min(_LEAST))
        signal = torch.relu(signal @ weight.T)


def _through(layers: list[nn.Module], signal: Tensor) -> Tensor:
    for layer in layers:
        if isinstance(layer, nn.Conv1d | nn.Linear):
            output = layer(signal)
            axes = (0, 2) if output.ndim == 3 else (0,)
            mean, deviation = output.mean(axes), output.std(axes).clamp_min(1e-6)
            layer.weight.div_(deviation.view(-1, *[1] * (layer.weight.ndim - 1)))
            layer.bias.copy_((layer.bias - mean) / deviation)
        signal = layer(signal)
    return signal
