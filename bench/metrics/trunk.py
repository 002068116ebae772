"""AlexNet's five convolutions as LPIPS compares them, computed frame by frame and, on a CPU, with fewer multiplications.

The package's network spends nine tenths of its time in four convolutions of stride 1. The three of 3×3 are done in Winograd's
form here (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: F(4×4, 3×3) has a quarter of the
products), that of 5×5 by NNPACK's Fourier transforms where torch was built with it. Both are the same sums in another order:
what is left over between float32 and exact arithmetic is as large as with direct sums. A frame's features depend on nothing but
the frame: not on what else is in the batch, not on the number of threads.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

VERSION = "1"
"""Part of the key of cached features: raised whenever the same frame would give other bits."""
_TILE = 4
"""Winograd's outputs a side; its inputs are two more."""
_INPUT = [
    [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
]  # fmt: skip
_KERNEL = [
    [1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1],
]  # fmt: skip
_OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]

Layer = Callable[[Tensor], Tensor]
"""[H, W, C] → [h, w, O], after the ReLU."""


def nnpack() -> bool:
    """Whether torch was built with NNPACK and it knows this CPU."""
    return bool(getattr(torch, "_nnpack_available", bool)())


class Trunk:
    """The network that the ``lpips`` package built, taken apart.

    Channels whose calibrated weight is 0 (a third of all) are needed by the next layer and for the norm, but not in the distance:
    each layer's channels are sorted so that those that count come first.
    """

    def __init__(self, network: Any, device: str = "cpu") -> None:
        """:param network: from :func:`bench.metrics.lpips.load`"""
        self.device = device
        parts = [getattr(network.net, f"slice{i}") for i in range(1, 6)]
        convolutions: list[Any] = [part for some in parts for part in some if isinstance(part, torch.nn.Conv2d)]
        self._scales: list[Tensor] = []
        self.layers: list[Layer] = []
        before: Any = slice(None)
        with torch.inference_mode():
            for convolution, linear in zip(convolutions, network.lins, strict=True):
                counts = linear.model[-1].weight.flatten()
                order = torch.argsort((counts == 0).to(torch.uint8), stable=True)
                self._scales.append(counts[counts > 0].sqrt())
                weight, bias = convolution.weight[order][:, before], convolution.bias[order]
                self.layers.append(_layer(weight, bias, convolution.stride[0], convolution.padding[0], device))
                before = order
            self._levels = _levels(network.scaling_layer)

    def __call__(self, frame: NDArray[np.uint8]) -> list[Tensor]:
        """Features of an RGB frame [H, W, 3] by layer: unit vectors over channels, times the roots of LPIPS's weights, [h, w, C].

        The squared difference of two of them, summed over channels, is the layer's distance map.
        """
        values = torch.from_numpy(cv2.LUT(frame, self._levels)).to(self.device)
        features = []
        for index, (layer, scale) in enumerate(zip(self.layers, self._scales, strict=True)):
            values = layer(_pooled(values) if index in (1, 2) else values)
            norm = torch.linalg.vector_norm(values, dim=2, keepdim=True) + 1e-10  # the package's ε
            features.append(values[:, :, : len(scale)] * (scale / norm))
        return features

    def shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Shapes of the features of a frame of this size."""
        shapes, size = [], (height, width)
        for index, scale in enumerate(self._scales):
            if index < 3:
                kernel, stride, border = (11, 4, 2) if index == 0 else (3, 2, 0)
                size = ((size[0] + 2 * border - kernel) // stride + 1, (size[1] + 2 * border - kernel) // stride + 1)
            shapes.append((*size, len(scale)))
        return shapes


def _levels(scaling: Any) -> NDArray[np.float32]:
    """The 256 values that each of a frame's channels can have in front of the network, [1, 256, 3], computed as the package does."""
    levels = (torch.arange(256.0) / 255.0)[None, None, :, None].expand(1, 3, 256, 1) * 2 - 1
    found: NDArray[np.float32] = scaling.cpu()(levels)[0, :, :, 0].T[None].contiguous().numpy()
    return found


def _layer(weight: Tensor, bias: Tensor, stride: int, border: int, device: str) -> Layer:
    if device == "cpu" and weight.shape[2] == 3:
        return _Winograd(weight, bias)
    if device == "cpu" and weight.shape[2] == 5 and nnpack():
        return functools.partial(_by_fourier, weight.contiguous(), bias, border)
    weight = weight.contiguous(memory_format=torch.channels_last)
    return functools.partial(_direct, weight, bias, stride, border)


def _pooled(values: Tensor) -> Tensor:
    return F.max_pool2d(values[None].permute(0, 3, 1, 2), 3, 2)[0].permute(1, 2, 0)


def _direct(weight: Tensor, bias: Tensor, stride: int, border: int, values: Tensor) -> Tensor:
    found = F.conv2d(values[None].permute(0, 3, 1, 2), weight, bias, stride, border)
    return found[0].permute(1, 2, 0).contiguous().relu_()


def _by_fourier(weight: Tensor, bias: Tensor, border: int, values: Tensor) -> Tensor:
    planes = values.permute(2, 0, 1)[None].contiguous()
    found = torch._nnpack_spatial_convolution(planes, weight, bias, border, 1)
    return found[0].permute(1, 2, 0).contiguous().relu_()


class _Winograd:
    """A 3×3 convolution with a border of 1 and its ReLU, in tiles: one matrix product for each of a tile's 36 transformed inputs."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        kernel = torch.tensor(_KERNEL, dtype=torch.float64)
        self._weight = (
            torch.einsum("xi,ocij,yj->xyco", kernel, weight.double(), kernel).flatten(0, 1).float().contiguous()
        )
        self._bias = bias
        self._input, self._output = (
            torch.kron(*[torch.tensor(matrix, dtype=torch.float64)] * 2).float() for matrix in (_INPUT, _OUTPUT)
        )
        self._here = threading.local()

    def __call__(self, values: Tensor) -> Tensor:
        height, width, _ = values.shape
        framed, tiles, inputs, products, outputs = self._buffers(*values.shape)
        framed[1 : height + 1, 1 : width + 1] = values
        side = _TILE + 2
        tiles.copy_(framed.unfold(0, side, _TILE).unfold(1, side, _TILE).permute(3, 4, 0, 1, 2))
        torch.mm(self._input, tiles.flatten(0, 1).flatten(1), out=inputs.flatten(1))
        torch.bmm(inputs, self._weight, out=products)
        torch.mm(self._output, products.flatten(1), out=outputs)
        rows, columns = tiles.shape[2:4]
        found = outputs.view(_TILE, _TILE, rows, columns, -1).permute(2, 0, 3, 1, 4)
        found = found.reshape(rows * _TILE, columns * _TILE, -1)[:height, :width]
        return (found + self._bias).relu_()

    def _buffers(self, height: int, width: int, channels: int) -> list[Tensor]:
        """This thread's: fresh memory would cost more than the arithmetic on it. The frame around the input stays 0."""
        if getattr(self._here, "size", None) != (height, width):
            rows, columns, side = -(-height // _TILE), -(-width // _TILE), _TILE + 2
            tiles, found = rows * columns, self._weight.shape[2]
            self._here.buffers = [
                torch.zeros(rows * _TILE + 2, columns * _TILE + 2, channels),
                torch.empty(side, side, rows, columns, channels),
                torch.empty(side**2, tiles, channels),
                torch.empty(side**2, tiles, found),
                torch.empty(_TILE**2, tiles * found),
            ]
            self._here.size = (height, width)
        buffers: list[Tensor] = self._here.buffers
        return buffers
