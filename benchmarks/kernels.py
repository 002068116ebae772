"""Speed of the CPU kernels as ratios inside one interleaved run, which load on the machine moves little.

``python benchmarks/kernels.py [--size 128] [--gaussians 5000] [--rounds 15] [--json]``

Every candidate runs forward and backward once a round; a ratio is the median over the rounds of baseline / kernel. The
yardstick for the rasteriser is what naive training code spends on the same image: SSIM as a grouped 11 x 11 convolution.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from methods import kernels
from methods.fields.triplane import TriplaneEncoder, encode
from methods.gaussians import rasterize
from methods.ssim import l1_dssim


def head(n: int, size: int) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    """n Gaussians on an ellipsoid shell that fills two thirds of a square image, and its camera."""
    g = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(n, 3, generator=g), dim=1)
    means = directions * torch.tensor([0.70, 0.95, 0.80])
    scales = 1.6 / n**0.5 * torch.exp(0.5 * torch.randn(n, 3, generator=g))
    opacities = torch.sigmoid(0.5 + 1.5 * torch.randn(n, generator=g))
    cloud = [means, torch.randn(n, 4, generator=g), scales, opacities, torch.rand(n, 4, generator=g)]
    view = torch.eye(4)[None].clone()
    view[0, 2, 3] = 6.5
    K = torch.tensor([[[2.34 * size, 0, size / 2], [0, 2.34 * size, size / 2], [0, 0, 1]]])
    return [t.requires_grad_() for t in cloud], (view, K)


def conv_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of [3,H,W] images as a grouped 11 x 11 convolution: what training code usually does."""
    taps = torch.exp(-((torch.arange(11.0) - 5) ** 2) / 4.5)
    window = (torch.outer(taps, taps) / taps.sum() ** 2).expand(3, 1, 11, 11)

    def blur(t: Tensor) -> Tensor:
        return F.conv2d(t[None], window, padding=5, groups=3)

    mx, my = blur(x), blur(y)
    sx, sy, sxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return (((2 * mx * my + 1e-4) * (2 * sxy + 9e-4)) / ((mx**2 + my**2 + 1e-4) * (sx + sy + 9e-4))).mean()


def candidates(size: int, gaussians: int) -> dict[str, Callable[[], None]]:
    """Forward plus backward of each kernel and of its baseline."""
    cloud, view = head(gaussians, size)
    weight = torch.randn(1, 4, size, size).permute(0, 2, 3, 1)
    x, y = torch.rand(3, size, size, requires_grad=True), torch.rand(3, size, size)
    encoder = TriplaneEncoder()
    points = (0.3 * torch.rand(gaussians, 3) - 0.15).requires_grad_()
    grad = torch.randn(gaussians, encoder.width)

    def raster() -> None:
        torch.autograd.backward(rasterize(*cloud, *view, size, size, backend="cpu")[0], weight)

    def raster_portable() -> None:
        with kernels.using(path="portable"):
            raster()

    return {
        "rasterize": raster,
        "rasterize_portable": raster_portable,
        "ssim": lambda: l1_dssim(x, y).backward(),
        "ssim_conv2d": lambda: ((x - y).abs().mean() + 0.2 * (1 - conv_ssim(x, y))).backward(),
        "encoder": lambda: encoder(points).backward(grad),
        "encoder_indexing": lambda: encode(points, encoder.table, encoder.levels, encoder.bound).backward(grad),
    }


def measure(size: int, gaussians: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds per candidate, and the paired ratios."""
    runs = candidates(size, gaussians)
    for run in runs.values():
        run()  # warm up
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))

    def ratio(baseline: str, kernel: str) -> float:
        return round(statistics.median(b / k for b, k in zip(times[baseline], times[kernel], strict=True)), 2)

    return {
        "milliseconds": {name: round(statistics.median(t), 3) for name, t in times.items()},
        "ratios": {
            "ssim_conv2d/rasterize": ratio("ssim_conv2d", "rasterize"),
            "rasterize_portable/rasterize": ratio("rasterize_portable", "rasterize"),
            "ssim_conv2d/ssim": ratio("ssim_conv2d", "ssim"),
            "encoder_indexing/encoder": ratio("encoder_indexing", "encoder"),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--gaussians", type=int, default=5000, help="Gaussians, and points of the encoder")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    given = parser.parse_args()
    if kernels.native is None:
        sys.exit("error: the compiled kernels are not built: pip install .")
    setting = {"size": given.size, "gaussians": given.gaussians, "rounds": given.rounds}
    result = {**setting, "path": kernels.native.path(), "threads": kernels.native.threads()}
    result |= measure(**setting)
    if given.json:
        print(json.dumps(result))
        return
    print(f"{given.gaussians} Gaussians, {given.size} x {given.size}, {result['path']}, {result['threads']} threads")
    for group in ("milliseconds", "ratios"):
        for name, value in result[group].items():
            print(f"  {group[:-1]:12s} {name:30s} {value:9.2f}")


if __name__ == "__main__":
    main()
