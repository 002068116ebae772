"""Stage B: the face, and for TalkingGaussian the hair (spec_talkinggaussian §4.2, spec_degstalk §4.2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.parts import part
from methods.deformable import sampling
from methods.deformable.branch import BranchStage, coverage_error, mean_over, paint
from methods.deformable.fields import FaceField
from methods.deformable.render import GREEN, Layer, draw
from methods.deformable.sample import Sample
from methods.ssim import l1_dssim

_GREEN_MARGIN = 30 / 255
_MOTION, _ALPHA, _ATTENTION = 1e-5, 1e-3, 1e-4
_LPIPS_LIPS, _LPIPS_PATCHES = 0.01, 0.2


class FaceStage(BranchStage):
    """Trains the face branch inside the head mask, over green, empty in the mouth."""

    name = "face"
    field: FaceField

    def region(self, sample: Sample) -> Tensor:
        return sample.head

    def draw(self, it: int) -> int:
        return sampling.face_position(it, self.schedule, self.design, self.data, self.sampler)

    def fetch(self, it: int, position: int) -> None:
        self.data.fetch(self.data.ids[position], half=it < self.schedule.half_until)

    def step(self, it: int) -> dict[str, float]:
        schedule, data = self.schedule, self.data
        self.begin(it)
        sample = data.sample(data.ids[self.position(it)], half=it < schedule.half_until)
        motion = attention = None
        if it >= schedule.warm:
            attention = self.field.encode(self.cloud.xyz, self.cloud.embedding)
            drivers = sample.drivers
            motion = self.field(attention, drivers.windows, drivers.expression, drivers.direct)
        maps = attention if it > schedule.attention_from else None
        layer = draw(self.cloud, sample.view, motion, GREEN, maps)

        hair_hidden = schedule.warm < it < schedule.hair_until and it % 7 != 0
        predicted, target = self._pair(it, sample, layer, hair_hidden)
        with part("loss"):
            loss = l1_dssim(predicted, target, self.design.dssim)
            if it > schedule.warm:
                loss = loss + self._regularisers(it, sample, layer, hair_hidden)
        if it > schedule.lpips_from and self.perceptual is not None:
            lips = sample.lips_mask
            loss = loss + _LPIPS_LIPS * self.perceptual.crop(predicted, target, sample.lips)
            blank = paint(predicted, lips, GREEN), paint(target, lips, GREEN)
            loss = loss + _LPIPS_PATCHES * self.perceptual.patches(*blank, (64, 96), self.generator)
        self.last = layer.colour
        return self.finish(it, loss, layer, sample.view.centre, _GREEN_MARGIN)

    def _pair(self, it: int, sample: Sample, layer: Layer, hair_hidden: bool) -> tuple[Tensor, Tensor]:
        """Prediction and target: the head on green, nothing in the mouth, hair painted out of both when hidden."""
        mouth = sample.mouth
        if self.design.close_mouth and it > self.schedule.lpips_from:
            mouth = _closed(mouth)
        empty = ~sample.head | mouth
        if not hair_hidden:
            return layer.colour, paint(sample.target(), empty, GREEN)
        return paint(layer.colour, sample.hair, GREEN), paint(sample.target(), empty | sample.hair, GREEN)

    def _regularisers(self, it: int, sample: Sample, layer: Layer, hair_hidden: bool) -> Tensor:
        total = _MOTION * layer.motion_size + _ALPHA * coverage_error(layer.alpha, sample.head)
        if layer.attention is None:
            return total
        to_audio, to_expression = layer.attention
        total = total + _ATTENTION * mean_over(to_expression, sample.lips_mask)
        if not hair_hidden:
            total = total + _ATTENTION * mean_over(to_expression + to_audio, sample.hair)
        return total


def _closed(mask: Tensor) -> Tensor:
    """Morphological closing of a bool mask [h,w] with a 3×3 square."""
    grown = F.max_pool2d(mask[None].float(), 3, 1, 1)
    return (1 - F.max_pool2d(1 - grown, 3, 1, 1))[0] > 0.5
