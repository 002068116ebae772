"""LPIPS (AlexNet, v0.1): distance in the features of a network, calibrated on human judgements."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import weights
from bench.errors import DataError
from bench.metrics.base import Frames, Mask, Metric, Scorer, Settings, Values, check_pair

BATCH = 4
"""Frames in the network at once: more costs memory and gains nothing on a CPU."""
SMALLEST = 63
"""AlexNet's smallest input side."""


def lpips(pred: Frames, gt: Frames, network: Callable[..., Any], device: str = "cpu") -> Values:
    """LPIPS-Alex of each frame: ≥ 0, 0 for identical frames.

    :param pred: uint8 RGB [N, H, W, 3], H and W at least 63
    :param gt: the same shape
    :param network: from :func:`load`
    :returns: float64 [N]
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018; the ``lpips``
    package 0.1.4 with ``net='alex'``, ``normalize=True`` (0…1 → −1…1), as all official scripts of the field call it.
    """
    import torch

    check_pair(pred, gt)
    if min(gt.shape[1:3]) < SMALLEST:
        raise DataError(f"frames are {gt.shape[1:3]}, LPIPS needs at least {SMALLEST}×{SMALLEST}")
    values = []
    # TF32 would make a GPU's numbers differ from a CPU's in the third digit.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for start in range(0, len(gt), BATCH):
            pair = (_as_tensor(frames[start : start + BATCH], device) for frames in (gt, pred))
            values.append(network(*pair, normalize=True).flatten().cpu().numpy())
    return np.concatenate([*values, np.zeros(0)]).astype(np.float64)


def _as_tensor(frames: Frames, device: str) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).to(device).float() / 255.0


@functools.lru_cache(maxsize=2)
def load(device: str = "cpu") -> Any:
    """The ``lpips`` package's network with real weights, in evaluation mode on ``device``.

    :raises bench.errors.AbsentError: if AlexNet's weights can't be had; there is no stand-in
    """
    import lpips as package
    import torch
    from safetensors.torch import load_file

    trunk = load_file(weights.require("lpips-alex"))
    heads = torch.load(Path(package.__file__).parent / "weights/v0.1/alex.pth", map_location="cpu", weights_only=True)
    # The package first draws random weights: that must not disturb a caller's seeded generator.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it uses torchvision's old argument names
        network = package.LPIPS(net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False)
    owner = {name.rsplit(".", 2)[-2]: name.rsplit(".", 1)[0] for name in network.net.state_dict()}
    trunk = {f"net.{owner[key.split('.')[1]]}.{key.split('.')[2]}": tensor for key, tensor in trunk.items()}
    scaling = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("scaling_layer.")}
    # The package lists its linear heads twice (lin0… and lins.0…): one set of tensors under two names.
    heads |= {f"lins.{name[3]}{name[4:]}": tensor for name, tensor in heads.items()}
    network.load_state_dict(trunk | heads | scaling, strict=True)
    return network.to(device).eval()


def _open(settings: Settings) -> Scorer:
    network = load(settings.device)

    def per_frame(pred: Frames, gt: Frames, mask: Mask | None) -> Values:
        return lpips(pred, gt, network, settings.device)

    return Scorer(per_frame, (("net", "alex"), ("lin", "v0.1"), ("norm", "pm1")))


METRIC = Metric(
    name="lpips",
    label="LPIPS",
    unit="1",
    higher_is_better=False,
    definition="LPIPS v0.1 with AlexNet (ImageNet weights of torchvision) on RGB scaled to -1..1, full frame at full size, per "
    "frame; then the mean over frames.",
    source="Zhang et al., CVPR 2018; the lpips package 0.1.4",
    version=1,
    open=_open,
)
