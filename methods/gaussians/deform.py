"""Canonical Gaussians plus their motion, as the rasteriser takes them: activations, offsets and colours.

On CPU float32 one compiled kernel does it, forward and backward; elsewhere the torch twin below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bench.parts import booked
from methods import kernels
from methods.gaussians.cloud import GaussianCloud

_RAW = ("xyz", "scaling", "rotation", "opacity", "f_dc", "f_rest")


@dataclass(frozen=True)
class Motion:
    """Per-Gaussian offsets to the canonical raw parameters, as a deformation field puts them out."""

    offsets: Tensor
    """[N,3] of the position, or [N,11]: position, rotation (4), opacity (regularised, never applied, as in the official
    code), scaling (3)."""
    axis: tuple[float, float, float]
    """Factors of the position's offsets: metres along x, y, z for an offset of one."""

    @property
    def xyz(self) -> Tensor:
        """[N,3] metres."""
        return self.offsets[:, :3] * self.offsets.new_tensor(self.axis)

    @property
    def weights(self) -> list[float]:
        """Weights that make Σ w·|offset| the sum of the mean absolute offsets of position, rotation, opacity and scaling."""
        n = max(1, len(self.offsets))
        position = [a / (3 * n) for a in self.axis]
        return position if self.offsets.shape[1] == 3 else [*position, *[1 / (4 * n)] * 4, 1 / n, *[1 / (3 * n)] * 3]


@dataclass(frozen=True)
class Deformed:
    """Gaussians as :func:`methods.gaussians.rasterize` takes them."""

    means: Tensor
    """[N,3]"""
    quats: Tensor
    """[N,4] of any length"""
    scales: Tensor
    """[N,3]"""
    opacities: Tensor
    """[N]"""
    colours: Tensor
    """[N,3+C] seen from the camera, then the norms of the C codes"""
    motion_size: Tensor
    """Sum of the mean absolute offsets of position, rotation, opacity and scaling; 0 without motion."""


def deform(cloud: GaussianCloud, motion: Motion | None, centre: Tensor, codes: Sequence[Tensor] = ()) -> Deformed:
    """Apply ``motion`` to ``cloud`` and look at it from a camera at ``centre`` [3].

    ``codes`` [N,…]: up to two per-Gaussian vectors whose norms become further colour channels.
    """
    given = [*cloud.raw.values(), *codes, *([] if motion is None else [motion.offsets])]
    on_cpu = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in given)
    if not (on_cpu and kernels.available()):
        return deform_twin(cloud, motion, centre, codes)
    view = _View(centre.tolist(), (cloud.active_degree + 1) ** 2, motion)
    raw = [cloud.raw[name] for name in _RAW]
    scales, opacities, colours, size, means, quats = _Compiled.apply(
        view, None if motion is None else motion.offsets, *raw, *codes
    )
    return Deformed(means, quats, scales, opacities, colours, size)


def deform_twin(cloud: GaussianCloud, motion: Motion | None, centre: Tensor, codes: Sequence[Tensor] = ()) -> Deformed:
    """:func:`deform` in torch: any float type, any device."""
    means, rotation, scaling, size = cloud.xyz, None, None, cloud.xyz.new_zeros(())
    if motion is not None:
        means = means + motion.xyz
        size = (motion.offsets.abs() * motion.offsets.new_tensor(motion.weights)).sum()
        if motion.offsets.shape[1] > 3:
            rotation, scaling = motion.offsets[:, 3:7], motion.offsets[:, 8:11]
    colours = cloud.colours(means, centre)
    if codes:
        colours = torch.cat([colours, torch.stack([code.norm(dim=1) for code in codes], 1)], 1)
    return Deformed(means, cloud.quats(rotation), cloud.scales(scaling), cloud.opacities(), colours, size)


class _View:
    """The kernel's arguments that carry no gradient."""

    def __init__(self, centre: list[float], bands: int, motion: Motion | None) -> None:
        axis, weights = ([], []) if motion is None else (list(motion.axis), motion.weights)
        self.place = (centre, bands)
        self.factors = (axis, weights)


class _Compiled(Function):
    """(view, offsets, the raw parameters, codes) → scales, opacities, colours, motion size, means, quats."""

    @staticmethod
    def forward(ctx: Any, view: _View, offsets: Tensor | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        raw, codes = _rows(tensors[:6]), _rows(tensors[6:])
        n = len(tensors[0])
        out = [torch.empty(n, k) for k in (3, 3, 4, 1, 3 + len(codes))]
        moved = None if offsets is None else kernels.array(offsets)
        size = kernels.require().deform(raw, *view.place, moved, *view.factors, codes, [t.numpy() for t in out])
        means, scales, quats, opacities, colours = out
        ctx.view = view
        ctx.save_for_backward(offsets, *tensors, *out)
        opacity = opacities[:, 0]
        moving, moves = ctx.needs_input_grad[1], dict(zip(_RAW, ctx.needs_input_grad[2:8], strict=True))
        full = moving and offsets is not None and offsets.shape[1] > 3
        fixed = [means] * (not (moving or moves["xyz"])) + [quats] * (not (full or moves["rotation"]))
        fixed += [scales] * (not (full or moves["scaling"])) + [opacity] * (not moves["opacity"])
        ctx.mark_non_differentiable(*fixed)  # nothing behind them asks for a gradient
        return scales, opacity, colours, torch.tensor(size, dtype=torch.float32), means, quats

    @staticmethod
    @once_differentiable
    @booked("deform")
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        g_scales, g_opacities, g_colours, g_size, g_means, g_quats = gradients
        offsets, *saved = ctx.saved_tensors
        tensors, out = saved[:-5], saved[-5:]
        wants_offsets, *wants = ctx.needs_input_grad[1:]
        higher = wants[5] and ctx.view.place[1] > 1  # at degree 0 the higher bands have no part in the colours
        wanted = [wants[1], wants[3], wants[4], higher, wants_offsets, *wants[6:]]
        shapes = [tensors[k].shape for k in (1, 3, 4, 5)] + [
            None if offsets is None else offsets.shape,
            *(t.shape for t in tensors[6:]),
        ]
        grads = [torch.empty(shape) if want else None for want, shape in zip(wanted, shapes, strict=True)]
        incoming = [g_means, g_scales, g_quats, g_opacities[:, None], g_colours]
        kernels.require().deform_backward(
            _rows(tensors[:6]), *ctx.view.place, None if offsets is None else kernels.array(offsets), *ctx.view.factors,
            _rows(tensors[6:]), _rows(out), _rows(incoming), float(g_size),
            [None if g is None else _flat(g.numpy()) for g in grads],
        )  # fmt: skip
        g_scaling, g_opacity, g_dc, g_rest, g_offsets, *g_codes = grads
        return None, g_offsets, g_means, g_scaling, g_quats, g_opacity, g_dc, g_rest, *g_codes


def _rows(tensors: Sequence[Tensor]) -> list[Any]:
    return [_flat(kernels.array(t)) for t in tensors]


def _flat(array: Any) -> Any:
    """[N,…] as [N, all the rest], N = 0 included."""
    return array.reshape(len(array), math.prod(array.shape[1:]))
