"""LPIPS (AlexNet, v0.1): distance in the features of a network, calibrated on human judgements."""

from __future__ import annotations

import functools
import math
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench import threads, weights
from bench.errors import DataError
from bench.metrics import cache
from bench.metrics.base import Metric, Scorer, Series, Settings
from bench.metrics.batch import Batch, Frames, Mask, Values, check_mask, check_pair
from bench.metrics.cache import Store

SMALLEST = 63
"""AlexNet's smallest input side."""
BOXED = frozenset({"face", "mouth"})
"""Regions that count as their bounding box: a feature sees a patch, not a pixel, and would look over the mask's edge."""


def lpips(pred: Frames, gt: Frames, network: Any, mask: Mask | None = None, device: str = "cpu") -> Values:
    """LPIPS-Alex of each frame: ≥ 0, 0 for identical frames.

    :param pred: uint8 RGB [N, H, W, 3], H and W at least 63
    :param gt: the same shape
    :param network: from :func:`load`
    :param mask: weights ≥ 0 [N, H, W]: each layer's distance map is averaged under them, brought to its grid by area
    :returns: float64 [N]; NaN for a frame whose mask is empty
    :raises bench.errors.DataError: if shapes or types don't fit

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018; the ``lpips``
    package 0.1.4 with ``net='alex'``, ``normalize=True`` (0…1 → −1…1), as all official scripts of the field call it.
    """
    check_pair(pred, gt)
    if mask is not None:
        check_mask(mask, gt)
    return _distances(pred, gt, {"": mask}, network, device)[""]


def _distances(
    pred: Frames,
    gt: Frames,
    masks: dict[str, Mask | None],
    network: Any,
    device: str,
    known: Store | None = None,
) -> dict[str, Values]:
    """LPIPS under each of the masks; the network sees a frame once, or not at all where ``known`` has its features."""
    import torch

    if min(gt.shape[1:3]) < SMALLEST:
        raise DataError(f"frames are {gt.shape[1:3]}, LPIPS needs at least {SMALLEST}×{SMALLEST}")
    trunk = _trunk(network, device)

    def distance(index: int) -> list[float]:
        with torch.inference_mode():
            pair = trunk(pred[index]), _truth(gt[index], trunk, known)
            maps = [(made - truth).square_().sum(dim=2) for made, truth in zip(*pair, strict=True)]
            return [_pooled(maps, None if mask is None else mask[index]) for mask in masks.values()]

    if device == "cpu":
        rows = threads.each(distance, range(len(gt)))
    else:
        # TF32 would make a GPU's numbers differ from a CPU's in the third digit.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            rows = [distance(index) for index in range(len(gt))]
    columns = np.array(rows, np.float64).reshape(len(gt), len(masks))
    return {name: columns[:, index] for index, name in enumerate(masks)}


def _truth(frame: Frames, trunk: Any, known: Store | None) -> list[Any]:
    """The features of a frame of the ground truth, from the store where it has them."""
    if known is None:
        return list(trunk(frame))
    key = cache.key(frame, *_context())
    if stored := known.get(key):
        return _unpacked(stored, trunk.shapes(*frame.shape[:2]))
    found = trunk(frame)
    known.put(key, _packed(found))
    return list(found)


@functools.cache
def _context() -> tuple[str, ...]:
    """All that features depend on but the frame and the CPU."""
    import torch

    from bench.metrics import trunk

    built = f"nnpack {trunk.nnpack()}, {torch.backends.cpu.get_cpu_capability()}"
    return "lpips", version("lpips"), weights.get("lpips-alex").sha256 or "", trunk.VERSION, torch.__version__, built


def _packed(features: list[Any]) -> bytes:
    """Without loss: three quarters of what comes out of a ReLU is 0."""
    import pyarrow

    values = np.concatenate([layer.numpy().ravel() for layer in features])
    return bytes(pyarrow.compress(values, codec="lz4_raw", asbytes=True))


def _unpacked(stored: bytes, shapes: list[tuple[int, int, int]]) -> list[Any]:
    import pyarrow
    import torch

    sizes = [math.prod(shape) for shape in shapes]
    values = torch.frombuffer(pyarrow.decompress(stored, 4 * sum(sizes), codec="lz4_raw"), dtype=torch.float32)
    return [part.view(shape) for part, shape in zip(torch.split(values, sizes), shapes, strict=True)]


def _pooled(maps: list[Any], mask: Mask | None) -> float:
    """The mean of each layer's map [h, w], under the mask [H, W] where there is one, summed over layers."""
    import torch

    if mask is None:
        return float(sum(layer.mean(dtype=torch.float64) for layer in maps))
    total: Any = 0.0
    plane = torch.from_numpy(np.ascontiguousarray(mask, np.float32))[None, None].to(maps[0].device)
    for layer in maps:
        weight = torch.nn.functional.adaptive_avg_pool2d(plane, layer.shape)[0, 0].double()
        total = total + (layer * weight).sum() / weight.sum()
    return float(total)  # 0 / 0 is NaN: an empty mask


def _boxes(masks: Mask) -> Mask:
    """Each frame's bounding box of what isn't 0, as weights [N, H, W]."""
    inside = masks > 0
    rows, columns = inside.any(2), inside.any(1)

    def span(line: Mask) -> Mask:
        return np.maximum.accumulate(line, 1) & np.maximum.accumulate(line[:, ::-1], 1)[:, ::-1]

    return span(rows)[:, :, None] & span(columns)[:, None, :]


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


@functools.lru_cache(maxsize=2)
def _trunk(network: Any, device: str) -> Any:
    from bench.metrics.trunk import Trunk

    return Trunk(network, device)


def _open(settings: Settings) -> Scorer:
    network = load(settings.device)
    known = cache.store("lpips") if settings.device == "cpu" else None  # a GPU is faster than the disk

    def per_frame(batch: Batch) -> Series:
        masks = {r: _boxes(m) if m is not None and r in BOXED else m for r, m in batch.weights.items()}
        return _distances(batch.pred, batch.gt, masks, network, settings.device, known)

    return Scorer(per_frame, (("net", "alex"), ("lin", "v0.1"), ("norm", "pm1")))


METRIC = Metric(
    name="lpips",
    label="LPIPS",
    unit="1",
    higher_is_better=False,
    definition="LPIPS v0.1 with AlexNet (ImageNet weights of torchvision) on RGB scaled to -1..1, full frame at full size, per "
    "frame; then the mean over frames. In a region, each layer's distance map is averaged under the region's weights at the "
    "layer's size (face and mouth: their bounding boxes) instead of over the frame.",
    source="Zhang et al., CVPR 2018; the lpips package 0.1.4",
    version=1,
    open=_open,
    regions=None,
)
