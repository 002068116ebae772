"""Volume rendering of packed samples (Max 1995; Mildenhall et al. 2020), for fields that are sampled along rays.

On CUDA nerfacc's scan gives the weights, where it is installed; elsewhere torch. That part has never run on a GPU: it is
checked against a fake that asserts nerfacc's arguments (tests/methods/test_volume.py), and by ``nox -s gpu``.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from bench.errors import AbsentError


def render_rays(
    density: Tensor,
    colour: Tensor,
    t_starts: Tensor,
    t_ends: Tensor,
    ray_indices: Tensor,
    rays: int,
    background: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Composite S samples of R rays, front to back.

    Args:
        density: [S] ≥ 0, per unit of t.
        colour: [S,D] of anything.
        t_starts, t_ends: [S] interval of each sample, scene units along the ray.
        ray_indices: [S] int64, the ray of each sample, ascending; samples of a ray from near to far.
        rays: R; some may have no sample.
        background: [D], seen where the samples leave room.

    Returns:
        Colours [R,D], opacities [R] in [0,1], and depths [R]: the mean t of what is seen (the samples' middles by their
        weights), 0 where nothing is. Differentiable in ``density``, ``colour`` and ``background``.

    Raises:
        ValueError: tensors that don't belong together; on the CPU also ``ray_indices`` out of order or range.
        AbsentError: nerfacc is installed, but could not be compiled.
    """
    _check(density, colour, t_starts, t_ends, ray_indices, rays, background)
    if _on_nerfacc(density):
        weights = _nerfacc_weights(density, t_starts, t_ends, ray_indices, rays)
    else:
        weights = _weights(density * (t_ends - t_starts), ray_indices, rays)

    def along(values: Tensor) -> Tensor:
        return values.new_zeros(rays, values.shape[1]).index_add(0, ray_indices, weights[:, None] * values)

    middles = (t_starts + t_ends) / 2
    opacities, depths = along(torch.stack([torch.ones_like(middles), middles], 1)).unbind(1)
    depths = depths / opacities.clamp_min(torch.finfo(depths.dtype).eps)
    colours = along(colour)
    if background is not None:
        colours = colours + (1 - opacities)[:, None] * background
    return colours, opacities, depths


def _weights(optical: Tensor, ray_indices: Tensor, rays: int) -> Tensor:
    """Share [S] of each sample in its ray, of optical thicknesses [S]."""
    if not len(optical):
        return optical
    # A row for each ray: one sum over all samples would lose the thin ones behind a ray's endless last interval.
    counts = torch.bincount(ray_indices)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(optical), device=optical.device) - first[ray_indices] + 1
    shape = (rays, int(counts.max()) + 1)
    before = optical.new_zeros(shape).index_put((ray_indices, place), optical)[:, :-1].cumsum(1)
    return torch.exp(-before[ray_indices, place - 1]) * -torch.expm1(-optical)


def _nerfacc_weights(density: Tensor, t_starts: Tensor, t_ends: Tensor, ray_indices: Tensor, rays: int) -> Tensor:
    import nerfacc

    weights, _, _ = nerfacc.render_weight_from_density(
        t_starts=t_starts, t_ends=t_ends, sigmas=density, packed_info=None, ray_indices=ray_indices, n_rays=rays,
        prefix_trans=None,
    )  # fmt: skip
    return weights


def _on_nerfacc(density: Tensor) -> bool:
    """True if nerfacc's CUDA code takes these samples: it knows float32 and at least one sample."""
    if not (density.is_cuda and density.dtype == torch.float32 and len(density)) or not available():
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
        wanted["background"] = (background, (d,))
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
