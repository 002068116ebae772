"""Structural similarity as a loss: 11×11 Gaussian window (σ 1.5), zero padding, images in [0,1], as 3-d Gaussian
splatting trains with. (The harness's own SSIM metric is another matter: ``bench.metrics``.)

On CPU float32 one compiled kernel gives value and gradient; elsewhere, and for a gradient to ``y``, the torch twin.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from bench.parts import booked
from methods import kernels

C1, C2 = 0.01**2, 0.03**2
TAPS, SIGMA = 11, 1.5


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of images [B,3,H,W] or [3,H,W] (any number of channels) in [0,1]; gradient to ``x``."""
    return _weighted(x, y, 0.0, 1.0)


def l1_dssim(x: Tensor, y: Tensor, weight: float = 0.2) -> Tensor:
    """mean |x - y| + ``weight`` · (1 - SSIM), value and gradient in one pass."""
    return _weighted(x, y, 1.0, -weight) + weight


def _weighted(x: Tensor, y: Tensor, l1_weight: float, ssim_weight: float) -> Tensor:
    """``l1_weight`` · mean |x - y| + ``ssim_weight`` · SSIM."""
    if x.shape != y.shape or x.ndim not in (3, 4) or x.numel() == 0:
        raise ValueError(f"needs two images of one shape [B,C,H,W] or [C,H,W], not {list(x.shape)} and {list(y.shape)}")
    compiled = x.device.type == y.device.type == "cpu" and x.dtype == y.dtype == torch.float32 and not y.requires_grad
    if compiled and kernels.available():
        return _Compiled.apply(x, y, l1_weight, ssim_weight)
    similarity = ssim_weight * _twin(x, y)
    return similarity + l1_weight * (x - y).abs().mean() if l1_weight else similarity


class _Compiled(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, l1_weight: float, ssim_weight: float) -> Tensor:
        planes = [kernels.array(t).reshape(-1, *t.shape[-2:]) for t in (x, y)]
        grad = torch.empty(x.shape) if ctx.needs_input_grad[0] else None
        to_x = None if grad is None else grad.numpy().reshape(planes[0].shape)
        similarity, distance = kernels.require().ssim(*planes, l1_weight, ssim_weight, to_x)
        if grad is not None:
            ctx.save_for_backward(grad)
        return x.new_tensor(l1_weight * distance + ssim_weight * similarity)

    @staticmethod
    @once_differentiable
    @booked("loss")
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = ctx.saved_tensors
        # As a rule the loss itself is differentiated: then one pass over the image is saved.
        return grad if g.item() == 1.0 else grad * g, None, None, None


def _twin(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM in torch: five maps, blurred along the columns, then along the rows."""
    x, y = (t.reshape(-1, 1, *t.shape[-2:]) for t in (x, y))
    taps = torch.arange(TAPS, dtype=x.dtype, device=x.device) - TAPS // 2
    window = torch.exp(-(taps**2) / (2 * SIGMA**2))
    window = window / window.sum()
    maps = torch.cat([x, y, x * x, y * y, x * y])
    down = F.conv2d(maps, window.view(1, 1, TAPS, 1), padding=(TAPS // 2, 0))
    mx, my, xx, yy, xy = F.conv2d(down, window.view(1, 1, 1, TAPS), padding=(0, TAPS // 2)).chunk(5)
    mxx, myy, mxy = mx * mx, my * my, mx * my
    similar = (2 * mxy + C1) * (2 * (xy - mxy) + C2)
    return (similar / ((mxx + myy + C1) * (xx - mxx + yy - myy + C2))).mean()
