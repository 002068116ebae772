"""The audio branch shared by the field's methods: a window encoder and an attention over neighbouring windows.

Source: spec_talkinggaussian §3.3 (AD-NeRF's design). On CPU float32 a stack of convolutions is one compiled call each way:
they are so small that torch spends its time between the layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bench.parts import booked
from methods import kernels

_SLOPE = 0.02
AUDIO_DIM = 32
WINDOWS = 8


class ConvStack(nn.Sequential):
    """1-d convolutions (3 taps, padding 1) with leaky ReLU after each: [B, channels[0], L] → [B, channels[-1], L']."""

    def __init__(self, *channels: int, stride: int) -> None:
        layers: list[nn.Module] = []
        for a, b in zip(channels, channels[1:], strict=False):
            layers += [nn.Conv1d(a, b, 3, stride, 1), nn.LeakyReLU(_SLOPE)]
        super().__init__(*layers)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        convolutions = [layer for layer in self if isinstance(layer, nn.Conv1d)]
        compiled = x.device.type == "cpu" and x.dtype == convolutions[0].weight.dtype == torch.float32
        if not (compiled and kernels.available()) or len(convolutions) > kernels.require().CONV_LAYERS:
            return super().forward(x)
        parameters = [c.weight for c in convolutions] + [c.bias for c in convolutions]
        return _Compiled.apply(x, self.stride, *parameters)


class AudioNet(nn.Module):
    """[8, C, L] feature windows → [8, width]; L is 16 (DeepSpeech, log-mel) or 2 (HuBERT)."""

    def __init__(self, channels: int, width: int = AUDIO_DIM) -> None:
        super().__init__()
        self.convolutions = ConvStack(channels, 32, 32, 64, 64, stride=2)
        self.head = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(_SLOPE), nn.Linear(64, width))

    def forward(self, windows: Tensor) -> Tensor:
        return self.head(self.convolutions(windows)[:, :, 0])


class AudioAttention(nn.Module):
    """[8, width] window codes → their attention-weighted sum [width]; how much each counts is read off its first 32 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = ConvStack(AUDIO_DIM, 16, 8, 4, 2, 1, stride=1)
        self.weights = nn.Linear(WINDOWS, WINDOWS)

    def forward(self, codes: Tensor) -> Tensor:
        score = self.weights(self.convolutions(codes[:, :AUDIO_DIM].T[None])[:, 0])
        return (torch.softmax(score, 1) @ codes)[0]


class _Compiled(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, *parameters: Tensor) -> Tensor:
        module, weights, biases = kernels.require(), *_halves(parameters)
        kept = torch.empty(module.conv_kept_size(list(x.shape), weights, biases, stride))
        length = x.shape[2]
        for _ in weights:
            length = (length - 1) // stride + 1
        out = torch.empty(x.shape[0], len(weights[-1]), length)
        module.conv_forward(kernels.array(x), weights, biases, stride, _SLOPE, kept.numpy(), out.numpy())
        ctx.save_for_backward(kept, *parameters)
        ctx.form = (list(x.shape), stride)
        return out

    @staticmethod
    @once_differentiable
    @booked("audio")
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        kept, *parameters = ctx.saved_tensors
        shape, stride = ctx.form
        g_x = torch.empty(shape) if ctx.needs_input_grad[0] else None
        grads = [torch.empty(p.shape) for p in parameters]
        g_weights, g_biases = _halves(grads)
        kernels.require().conv_backward(
            shape, *_halves(parameters), stride, _SLOPE, kept.numpy(), kernels.array(g_out),
            None if g_x is None else g_x.numpy(), g_weights, g_biases,
        )  # fmt: skip
        return g_x, None, *grads


def _halves(tensors: Any) -> tuple[list[Any], list[Any]]:
    """Weights and biases as arrays."""
    arrays, middle = [kernels.array(t) for t in tensors], len(tensors) // 2
    return arrays[:middle], arrays[middle:]
