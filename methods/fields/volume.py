"""Volume rendering of packed samples (Max 1995; Mildenhall et al. 2020), for fields that are sampled along rays.

On CPU float32 one compiled kernel composites a ray forward and backward; on CUDA float32 nerfacc's scan gives the weights,
where it is installed; elsewhere torch. nerfacc's part ran on an H200 (docs/performance.md, "On a GPU"); ``nox -s gpu`` compares
the devices. Checked without a GPU: its arguments, by a fake (tests/methods/test_volume.py).
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bench.errors import AbsentError
from bench.parts import booked
from methods import kernels


def render_rays(
    density: Tensor,
    colour: Tensor,
    t_starts: Tensor,
    t_ends: Tensor,
    ray_indices: Tensor,
    rays: int,
    background: Tensor | None = None,
    stop: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Composite S samples of R rays, front to back.

    Args:
        density: [S] ≥ 0, per unit of t.
        colour: [S,D] of anything.
        t_starts, t_ends: [S] interval of each sample, scene units along the ray.
        ray_indices: [S] int64, the ray of each sample, ascending; samples of a ray from near to far.
        rays: R; some may have no sample.
        background: [D] or [R,D], seen where the samples leave room.
        stop: a ray ends once its transmittance is less than this; what lies behind gets no weight and no gradient.

    Returns:
        Colours [R,D], opacities [R] in [0,1], and depths [R]: the mean t of what is seen (the samples' middles by their
        weights), 0 where nothing is. Differentiable in ``density``, ``colour`` and ``background``.

    Raises:
        ValueError: tensors that don't belong together; on the CPU also ``ray_indices`` out of order or range.
        AbsentError: nerfacc is installed, but could not be compiled.
    """
    _check(density, colour, t_starts, t_ends, ray_indices, rays, background)
    values = torch.cat([colour, ((t_starts + t_ends) / 2)[:, None]], 1)
    sums, opacities = composite(density * (t_ends - t_starts), values, ray_indices, rays, stop)
    colours, depths = sums[:, :-1], sums[:, -1] / opacities.clamp_min(torch.finfo(sums.dtype).eps)
    if background is not None:
        colours = colours + (1 - opacities)[:, None] * background
    return colours, opacities, depths


def composite(
    optical: Tensor, values: Tensor, ray_indices: Tensor, rays: int, stop: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Sums over each ray's samples of weight x ``values`` [S,D], and of the weights: [R,D] and [R].

    ``optical`` [S] ≥ 0 is density x length; the rest as in :func:`render_rays`.
    """
    floats = optical.dtype == values.dtype == torch.float32
    if floats and optical.device.type == "cpu" and kernels.available():
        counts = torch.bincount(ray_indices, minlength=rays)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return _Compiled.apply(optical, values, offsets, stop)
    weights, light = (_scanned if _on_nerfacc(optical) else _shares)(optical, ray_indices, rays)
    if stop:
        weights = torch.where(light >= stop, weights, 0)
    sums = values.new_zeros(rays, values.shape[1]).index_add(0, ray_indices, weights[:, None] * values)
    return sums, weights.new_zeros(rays).index_add(0, ray_indices, weights)


class _Compiled(Function):
    @staticmethod
    def forward(ctx: Any, optical: Tensor, values: Tensor, offsets: Tensor, stop: float) -> tuple[Tensor, Tensor]:
        rays = len(offsets) - 1
        weights, sums, opacities = (torch.empty(s) for s in (optical.shape, (rays, values.shape[1]), (rays,)))
        kernels.require().shine(
            offsets.numpy(), kernels.array(optical), kernels.array(values), stop, weights.numpy(), sums.numpy(), opacities.numpy()
        )  # fmt: skip
        ctx.save_for_backward(optical, values, offsets, weights)
        ctx.stop = stop
        return sums, opacities

    @staticmethod
    @once_differentiable
    @booked("march")
    def backward(ctx: Any, g_sums: Tensor, g_opacities: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        optical, values, offsets, weights = ctx.saved_tensors
        g_optical = torch.empty(optical.shape)
        g_values = torch.empty(values.shape) if ctx.needs_input_grad[1] else None
        kernels.require().shine_backward(
            offsets.numpy(), kernels.array(optical), kernels.array(values), ctx.stop, weights.numpy(), kernels.array(g_sums),
            kernels.array(g_opacities), g_optical.numpy(), None if g_values is None else g_values.numpy(),
        )  # fmt: skip
        return g_optical, g_values, None, None


def _shares(optical: Tensor, ray_indices: Tensor, rays: int) -> tuple[Tensor, Tensor]:
    """Share [S] of each sample in its ray, and the light [S] that reaches it, of optical thicknesses [S]."""
    if not len(optical):
        return optical, optical
    light = torch.exp(-_before(optical, ray_indices, rays))
    return light * -torch.expm1(-optical), light


def _before(amounts: Tensor, ray_indices: Tensor, rays: int) -> Tensor:
    """[S] sum of the ``amounts`` [S] of the samples before each in its ray.

    A row for each ray: one sum over all samples would lose the thin ones behind a ray's endless last interval.
    """
    counts = torch.bincount(ray_indices)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(amounts), device=amounts.device) - first[ray_indices] + 1
    shape = (rays, int(counts.max()) + 1)
    rows = amounts.new_zeros(shape).index_put((ray_indices, place), amounts)[:, :-1].cumsum(1)
    return rows[ray_indices, place - 1]


def _scanned(optical: Tensor, ray_indices: Tensor, rays: int) -> tuple[Tensor, Tensor]:
    """:func:`_shares` by nerfacc, to which all intervals are of length one."""
    import nerfacc

    weights, light, _ = nerfacc.render_weight_from_density(
        t_starts=torch.zeros_like(optical), t_ends=torch.ones_like(optical), sigmas=optical, packed_info=None,
        ray_indices=ray_indices, n_rays=rays, prefix_trans=None,
    )  # fmt: skip
    return weights, light


def _on_nerfacc(optical: Tensor) -> bool:
    """True if nerfacc's CUDA code takes these samples: it knows float32 and at least one sample."""
    if not (optical.is_cuda and optical.dtype == torch.float32 and len(optical)) or not available():
        return False
    from nerfacc.cuda import _backend  # compiles nerfacc's kernels, the first time

    if _backend._C is None:
        raise AbsentError(
            "nerfacc has no compiled kernels, nor nvcc to compile them: install the CUDA toolkit or remove nerfacc"
        )
    return True


def available() -> bool:
    """True if nerfacc is installed."""
    return importlib.util.find_spec("nerfacc") is not None


def _check(
    density: Tensor,
    colour: Tensor,
    t_starts: Tensor,
    t_ends: Tensor,
    ray_indices: Tensor,
    rays: int,
    background: Tensor | None,
) -> None:
    s, d = len(density), colour.shape[-1] if colour.ndim == 2 else 1
    wanted = {
        "density": (density, (s,)), "colour": (colour, (s, d)), "t_starts": (t_starts, (s,)), "t_ends": (t_ends, (s,)),
        "ray_indices": (ray_indices, (s,)),
    }  # fmt: skip
    if background is not None:
        wanted["background"] = (background, (rays, d) if background.ndim == 2 else (d,))
    for name, (tensor, shape) in wanted.items():
        if tensor.shape != shape:
            raise ValueError(f"{name} must have shape {list(shape)}, not {list(tensor.shape)}")
        kind = torch.int64 if name == "ray_indices" else density.dtype
        if tensor.dtype != kind or tensor.device != density.device:
            raise ValueError(f"{name} must be {kind} on {density.device}, not {tensor.dtype} on {tensor.device}")
    if s and density.device.type == "cpu":  # elsewhere a look at the values would wait for the device
        if (ray_indices.diff() < 0).any():
            raise ValueError("ray_indices must ascend: sort the samples by ray")
        if ray_indices[0] < 0 or ray_indices[-1] >= rays:
            raise ValueError(
                f"ray_indices must lie in 0..{rays - 1}, not {int(ray_indices[0])}..{int(ray_indices[-1])}"
            )
