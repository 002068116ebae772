"""Bias-free multilayer perceptrons, the field's building block.

On CPU float32 one compiled kernel takes a block of points through all layers, forward and backward; on CUDA tinycudann's
fused network where it is installed and takes the widths; elsewhere torch does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bench.parts import booked
from methods import kernels
from methods.fields import tcnn


class Mlp(nn.Module):
    """Linear layers of the given widths without bias, ReLU between them; [N, widths[0]] → [N, widths[-1]].

    Args:
        widths: of the input, the hidden layers, the output.
        relu_last: also after the last layer.
    """

    def __init__(self, *widths: int, relu_last: bool = False) -> None:
        super().__init__()
        self.relu_last = relu_last
        self.weights = nn.ParameterList(_initial(a, b) for a, b in zip(widths, widths[1:], strict=False))
        """[out, in] of each layer, drawn as torch's ``nn.Linear`` draws them."""

    def forward(self, *parts: Tensor, gain: Tensor | None = None, constant: Tensor | None = None) -> Tensor:
        """The net's output [N, out] for ``parts`` [N, …], which together are as wide as the input.

        :param gain: [in] factors of the input's columns. They are multiplied into the first layer's weights, not into N rows.
        :param constant: [c], the same for all points: the last c inputs. Its product is added to the first layer's.
        """
        first, *others = self.weights
        offset = None
        if constant is not None:
            split = first.shape[1] - len(constant)
            first, offset = first[:, :split], first[:, split:] @ constant
        if gain is not None:
            first = first * gain
        return mlp(parts, [first, *others], offset, self.relu_last)

    def extra_repr(self) -> str:
        return " → ".join(map(str, [self.weights[0].shape[1], *(len(w) for w in self.weights)]))


def _initial(inputs: int, outputs: int) -> nn.Parameter:
    weight = torch.empty(outputs, inputs)
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return nn.Parameter(weight)


def mlp(
    parts: Sequence[Tensor], weights: Sequence[Tensor], offset: Tensor | None = None, relu_last: bool = False
) -> Tensor:
    """[N, out] of the layers ``weights`` ([out, in] each, up to 4 on the compiled path) on the parts [N, …] side by side.

    ``offset`` [first layer's out] is added before the first ReLU.
    """
    given = [*parts, *weights, *([] if offset is None else [offset])]
    on_cpu = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in given)
    if on_cpu and parts[0].ndim == 2 and _fits(parts, weights) and kernels.available():
        return _Compiled.apply(len(parts), relu_last, torch.is_grad_enabled(), offset, *parts, *weights)
    if offset is None and parts[0].is_cuda and tcnn.available() and tcnn.fits(list(weights)):
        out = tcnn.fused_mlp(torch.cat(list(parts), 1), list(weights))
        return torch.relu(out) if relu_last else out
    return mlp_twin(parts, weights, offset, relu_last)


def _fits(parts: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    limits = kernels.native
    if limits is None:
        return True  # so that the caller asks for the kernels, which says that they are missing
    widest = max(weights[0].shape[1], *(len(w) for w in weights))
    return len(parts) <= limits.MLP_PARTS and len(weights) <= limits.MLP_LAYERS and widest <= limits.MLP_WIDEST


def mlp_twin(parts: Sequence[Tensor], weights: Sequence[Tensor], offset: Tensor | None, relu_last: bool) -> Tensor:
    """:func:`mlp` in torch: any float type, any device."""
    hidden = parts[0] if len(parts) == 1 else torch.cat(list(parts), -1)
    for layer, weight in enumerate(weights):
        hidden = hidden @ weight.T
        if layer == 0 and offset is not None:
            hidden = hidden + offset
        if layer + 1 < len(weights) or relu_last:
            hidden = torch.relu(hidden)
    return hidden


class _Compiled(Function):
    @staticmethod
    def forward(ctx: Any, parts: int, relu_last: bool, keep: bool, offset: Tensor | None, *tensors: Tensor) -> Tensor:
        arrays = [kernels.array(t) for t in tensors]
        out = torch.empty(len(tensors[0]), len(tensors[-1]))
        added = None if offset is None else kernels.array(offset)
        ctx.hidden = kernels.require().mlp_forward(
            arrays[:parts], arrays[parts:], added, relu_last, keep and any(ctx.needs_input_grad), out.numpy()
        )
        ctx.save_for_backward(out, offset, *tensors)
        ctx.split = (parts, relu_last)
        return out

    @staticmethod
    @once_differentiable
    @booked("net")
    def backward(ctx: Any, g_out: Tensor) -> tuple[Tensor | None, ...]:
        out, offset, *tensors = ctx.saved_tensors
        parts, relu_last = ctx.split
        arrays = [kernels.array(t) for t in tensors]
        wanted = ctx.needs_input_grad[4:]
        # the weights' gradients cost next to nothing once the hidden layers' are there
        grads = [
            torch.empty(t.shape) if want or k >= parts else None
            for k, (t, want) in enumerate(zip(tensors, wanted, strict=True))
        ]
        to = [None if g is None else g.numpy() for g in grads]
        g_offset = None if offset is None else torch.empty(offset.shape)
        kernels.require().mlp_backward(
            arrays[:parts], arrays[parts:], None if offset is None else kernels.array(offset), relu_last, ctx.hidden,
            out.numpy(), kernels.array(g_out), to[:parts], to[parts:], None if g_offset is None else g_offset.numpy(),
        )  # fmt: skip
        return None, None, None, g_offset, *grads
