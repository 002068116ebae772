"""tinycudann on CUDA, where it is installed: the tri-plane's grids, and small MLPs in one kernel.

This has never run: tinycudann isn't on PyPI, and where the rest ran on a GPU it could not be had. Checked without it, against a
fake module that has tinycudann 1.7's layouts and code of its own (tests/methods/test_tcnn_contract.py); ``nox -s gpu`` compares
the devices where both are.

Our tensors stay the parameters, so that checkpoints and optimisers are the same on all devices: each forward pass hands
tinycudann a rearranged copy, through which gradients come back. Two differences to the torch twin of the grids remain:

* tinycudann takes the levels' scales from a float32 growth factor: positions differ by a few 1e-6 of the resolution.
* Its dense levels have ``ceil(scale) + 1`` nodes a row, one less than ours. A point within the last half cell below the
  upper faces of the cube (where a level's scale is whole, or its fraction at least 1/2) interpolates towards a node that
  is not there: tinycudann reads the first node of the next row instead. Values there differ, and the gradient goes there.
"""

from __future__ import annotations

import math
import warnings
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from bench.errors import AbsentError, BenchWarning

if TYPE_CHECKING:
    from methods.fields.triplane import Level

WIDTHS = (16, 32, 64, 128)  # hidden widths of tinycudann's fully fused MLP
_ALIGNMENT = 16  # its inputs and outputs are padded to a multiple of this
_ERROR = 1e-6  # of a scale on the GPU, relative: float32 powers with fast maths
_ULPS = 40


@cache
def available() -> bool:
    """True if tinycudann can be loaded; a broken installation is warned of, once."""
    try:
        import tinycudann  # noqa: F401
    except ModuleNotFoundError:
        return False
    except (ImportError, OSError) as error:  # OSError: not built for this GPU
        _warn(f"tinycudann can't be loaded ({error}): slower torch code runs instead; rebuild or remove it")
        return False
    return True


def takes(x: Tensor, table: Tensor, levels: list[Level]) -> bool:
    """True if :func:`encode` can do the tri-plane's work for points ``x``."""
    usable = x.is_cuda and len(x) > 0 and x.dtype == table.dtype == torch.float32 and available()
    return usable and _grid(tuple(levels), x.device) is not None


def encode(x: Tensor, table: Tensor, levels: list[Level], bound: float) -> Tensor:
    """:func:`methods.fields.triplane.encode` on tinycudann: x [N,3], table [3,E] → [N, 3·levels], float32; zeros outside."""
    from methods.fields.triplane import PLANES

    grid = _grid(tuple(levels), x.device)
    assert grid is not None, "takes() first"
    encoding, source = grid
    u = x * (0.5 / bound) + 0.5
    inside = (u >= 0) & (u <= 1)
    u = torch.where(inside, u, 0.0)
    features = []
    for plane, (a, b) in enumerate(PLANES):
        values = functional_call(encoding, {"params": table[plane][source]}, (torch.stack([u[:, a], u[:, b]], 1),))
        features.append(torch.where((inside[:, a] & inside[:, b])[:, None], values, 0.0))
    return torch.cat(features, 1)


def fits(weights: list[Tensor]) -> bool:
    """True if :func:`fused_mlp` can take these matrices [out,in]: at least two, one hidden width, of those it knows."""
    width = weights[0].shape[0]
    hidden = all(w.shape == (width, width) for w in weights[1:-1])
    return len(weights) > 1 and width in WIDTHS and hidden and weights[-1].shape[1] == width


def fused_mlp(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Bias-free MLP with ReLU between the layers (none after the last): x [N,in], matrices [out,in] → [N,out].

    Computed in half precision (about 1e-3 of the largest value), returned in ``x``'s type. Gradients reach ``x`` and
    the matrices.

    Raises:
        ValueError: the net does not :func:`fit <fits>`.
        AbsentError: this build of tinycudann, or this GPU, has no fully fused MLP.
    """
    if not fits(weights):
        raise ValueError(f"a fused MLP has one hidden width of {WIDTHS}, not {[list(w.shape) for w in weights]}")
    if not len(x):  # tinycudann can't start a kernel without rows
        return x.new_zeros(0, len(weights[-1]))
    sizes = (weights[0].shape[1], len(weights[-1]), len(weights[0]), len(weights) - 1)
    # Padded inputs are ones to tinycudann, not zeros: zero columns here keep them out.
    padded = [F.pad(w, (0, -w.shape[1] % _ALIGNMENT, 0, -w.shape[0] % _ALIGNMENT)) for w in weights]
    params = torch.cat([w.flatten() for w in padded])
    network = _network(*sizes, params.numel(), x.device)
    return functional_call(network, {"params": params}, (x,)).to(x.dtype)


@lru_cache(maxsize=16)
def _grid(levels: tuple[Level, ...], device: torch.device) -> tuple[nn.Module, Tensor] | None:
    """tinycudann's encoding of one plane, and for each of its entries the one of our table; None if it can't have it."""
    growth = _growth(levels)
    if growth is None:
        _warn("tinycudann can't lay out a grid of these resolutions as talkbench does: slower torch code runs instead")
        return None
    import tinycudann

    config: dict[str, Any] = {
        "otype": "HashGrid", "n_levels": len(levels), "n_features_per_level": 1,
        "log2_hashmap_size": (max(level.length for level in levels) - 1).bit_length(),
        "base_resolution": round(levels[0].scale) + 1, "per_level_scale": growth, "interpolation": "Linear",
    }  # fmt: skip
    encoding = tinycudann.Encoding(2, config, dtype=torch.float32)
    source = torch.cat([_entries(level, 2 ** config["log2_hashmap_size"]) for level in levels])
    _check_size(encoding, len(source), "grids of its version 1.7")
    return encoding, source.to(device)


def _growth(levels: tuple[Level, ...]) -> float | None:
    """A float32 factor from level to level that gives each level as many nodes in tinycudann as it has here.

    A scale that is whole here must not become a little more there: of the factors near the exact one, the largest that
    keeps each level below its next whole number, rounding errors included.
    """
    scales = np.array([level.scale for level in levels])
    base = scales[0] + 1
    if base != round(base):
        return None
    steps = np.arange(1, len(levels))
    factor = np.float32(((scales[-1] + 1) / base) ** (1 / max(len(steps), 1)))
    for _ in range(_ULPS):
        there = base * float(factor) ** steps
        room = np.ceil(scales[1:]) + 1 - there
        if ((room >= _ERROR * there) & (room < 1 - _ERROR * there)).all():
            return float(factor)
        factor = np.nextafter(factor, np.float32(0))
    return None


def _entries(level: Level, most: int) -> Tensor:
    """For each entry of tinycudann's level (at most ``most``) the entry of a plane's table with the same node."""
    from methods.fields.triplane import PRIME

    side = math.ceil(level.scale) + 1
    entry = torch.arange(min(math.ceil(side * side / 8) * 8, most))
    if side * side > most:  # hashed there, and so here, alike
        return entry + level.offset
    i, j = entry % side, (entry // side).clamp_max(side)
    return level.offset + (i + j * level.row if level.row else (i ^ (j * PRIME)) & (level.length - 1))


@lru_cache(maxsize=32)
def _network(inputs: int, outputs: int, width: int, hidden: int, params: int, device: torch.device) -> nn.Module:
    import tinycudann

    config = {
        "otype": "FullyFusedMLP", "activation": "ReLU", "output_activation": "None",
        "n_neurons": width, "n_hidden_layers": hidden,
    }  # fmt: skip
    network = tinycudann.Network(inputs, outputs, config)
    _check_size(network, params, "fully fused MLPs, which need compute capability 7.5")
    return network


def _check_size(module: nn.Module, wanted: int, of: str) -> None:
    """Another layout than the one that we know shows in the number of parameters."""
    found = module.params.numel()
    if found != wanted:
        raise AbsentError(
            f"tinycudann has {found} parameters where {of} have {wanted}: rebuild it, or remove it and torch takes over"
        )


def _warn(message: str) -> None:
    warnings.warn(message, BenchWarning, stacklevel=4)
