"""Bias-free multilayer perceptrons, the field's building block."""

from __future__ import annotations

from torch import nn


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths without bias, ReLU between them (none after the last)."""
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(a, b, bias=False), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
