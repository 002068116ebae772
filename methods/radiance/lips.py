"""Stage 2: the lips' square and random patches in turn, with LPIPS (spec_ernerf §5, spec_synctalk §5)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.parts import part
from methods.radiance import losses, rays
from methods.radiance.data import Packed
from methods.radiance.head import FieldStage, HeadStage
from methods.radiance.render import Rendered
from methods.training.perceptual import PatchLoss

LEAST = 32
"""Crops are padded with black to so many pixels each way before LPIPS."""


class LipsStage(FieldStage):
    """Goes on with the head stage's field, optimiser and average."""

    name = "lips"

    def __init__(self, head: HeadStage, perceptual: PatchLoss | None, seed: int) -> None:
        super().__init__(head.data, head.schedule, head.field, head.grid, head.optimizer, head.rates, head.ema, seed)
        self.total, self.perceptual = head.schedule.lips, perceptual

    def step(self, it: int) -> dict[str, float]:
        schedule = self.schedule
        done = (schedule.head + it - 1) / (schedule.head + schedule.lips)
        self.set_rates(0.05**done)
        position = self.position(it)
        packed = self.data.frame(position)
        heard = self.hear(packed, position)
        if (it - 1) % schedule.grid_every == 0:
            self.update_grid(heard)
        kinds, width, height = self.design.losses, self.data.width, self.data.height
        if it % 2:
            r0, r1, c0, c1 = packed.lips
            shape, weight = (1, r1 - r0, c1 - c0), kinds.lips_lpips
            pixels = rays.box_pixels(width, packed.lips)
        else:
            side = min(self.design.patch, width, height)
            count = max(1, schedule.rays // side**2)
            shape, weight = (count, side, side), kinds.patch_lpips
            pixels = rays.patch_pixels(width, height, side, count, self.generator).reshape(-1)
        rendered, target = self.look(packed, heard, pixels)
        with part("loss"):
            loss = self._loss(done, packed, rendered, target, pixels)
        if self.perceptual is not None:
            loss = loss + weight * self.perceptual(_pictures(rendered.colour, shape), _pictures(target, shape))
        self.learn(it, loss)
        error = (rendered.colour.detach() - target).square().mean()
        return {"loss": float(loss.detach()), "psnr": float(-10 * error.clamp_min(1e-10).log10())}

    def _loss(self, done: float, packed: Packed, rendered: Rendered, target: Tensor, pixels: Tensor) -> Tensor:
        kinds, regions = self.design.losses, self.regions(packed, pixels)
        loss = losses.pixel_errors(kinds, rendered.colour, target).mean()
        loss = loss + kinds.entropy * losses.entropy(rendered.opacity)
        return loss + losses.attention(kinds, rendered, regions, done)


def _pictures(colours: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """[B,3,h,w] of pixels [B·h·w,3], at least :data:`LEAST` a side."""
    pictures = colours.reshape(*shape, 3).permute(0, 3, 1, 2)
    down, along = max(0, LEAST - shape[1]), max(0, LEAST - shape[2])
    return F.pad(pictures, (along // 2, along - along // 2, down // 2, down - down // 2))
