"""LPIPS as a training loss, on patches and crops (spec_degstalk §4)."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import AbsentError, BenchWarning
from bench.metrics import lpips
from bench.parts import part

_LEAST = 32
"""AlexNet's stack needs at least 31 pixels a side."""


class PatchLoss:
    """LPIPS-Alex with frozen weights."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.requires_grad_(False)

    @staticmethod
    def load(device: str) -> tuple[PatchLoss | None, str]:
        """The loss, or None where its weights can't be had; and which of the two, in words, for the checkpoint's card.

        Training then goes on without its LPIPS terms: the log says so, and so does ``model.json``.
        """
        try:
            network = lpips.load(device)
        except AbsentError as error:
            warnings.warn(f"training without the LPIPS terms: {error}", BenchWarning, stacklevel=2)
            return None, f"absent: {error}"
        return PatchLoss(network), "alex"

    def __call__(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean LPIPS of batches [B,3,h,w] in [0,1]."""
        with part("lpips"):
            return self.network(predicted, target, normalize=True).mean()

    def patches(self, predicted: Tensor, target: Tensor, sizes: tuple[int, int], generator: torch.Generator) -> Tensor:
        """LPIPS over non-overlapping square tiles of a random even side within ``sizes``; the remainder is dropped."""
        low, high = sizes
        side = 2 * int(torch.randint(low // 2, high // 2 + 1, (1,), generator=generator))
        side = min(side, *predicted.shape[1:])
        return self(_tiles(predicted, side), _tiles(target, side))

    def crop(self, predicted: Tensor, target: Tensor, box: tuple[int, int, int, int]) -> Tensor:
        """LPIPS of the rectangle r0:r1, c0:c1, enlarged where it is too small for the network."""
        r0, r1, c0, c1 = box
        pair = [image[None, :, r0:r1, c0:c1] for image in (predicted, target)]
        least = min(r1 - r0, c1 - c0)
        if least < _LEAST:
            pair = [F.interpolate(p, scale_factor=_LEAST / least, mode="bilinear") for p in pair]
        return self(*pair)


def _tiles(image: Tensor, side: int) -> Tensor:
    """[n,3,side,side] tiles of [3,h,w]."""
    rows, columns = image.shape[1] // side, image.shape[2] // side
    tiles = image[:, : rows * side, : columns * side].unfold(1, side, side).unfold(2, side, side)
    return tiles.permute(1, 2, 0, 3, 4).reshape(-1, 3, side, side)
