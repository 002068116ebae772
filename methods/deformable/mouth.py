"""Stage A: the inner mouth and teeth (spec_talkinggaussian §4.1, spec_degstalk §4.1)."""

from __future__ import annotations

from torch import Tensor

from bench.parts import part
from methods.deformable import sampling
from methods.deformable.branch import BranchStage, coverage_error, no_gradients, paint
from methods.deformable.fields import MouthField
from methods.deformable.render import BLACK, GREEN, draw
from methods.deformable.sample import Sample
from methods.ssim import l1_dssim

_GREEN_MARGIN = 20 / 255
_ALPHA = 1e-3
_COLOUR_ONLY = {"f_dc", "f_rest", "embedding"}


class MouthStage(BranchStage):
    """Trains the mouth branch inside the mouth mask, over green; the last iterations over black, colours only."""

    name = "mouth"
    field: MouthField

    def region(self, sample: Sample) -> Tensor:
        return sample.lips_mask

    def draw(self, it: int) -> int:
        return sampling.mouth_position(it, self.schedule, self.data, self.sampler)

    def fetch(self, it: int, position: int) -> None:
        self.data.fetch(self.data.ids[position], half=False)

    def step(self, it: int) -> dict[str, float]:
        schedule, data = self.schedule, self.data
        self.begin(it)
        late = it > schedule.freeze_from
        if late:
            self.cloud.trainable(_COLOUR_ONLY)
            no_gradients(self.field)
        sample = data.sample(data.ids[self.position(it)], half=False)
        background = BLACK if late else GREEN
        motion = jaw = None
        if it >= schedule.warm:
            motion, jaw = self.field(self.field.encode(self.cloud.xyz, self.cloud.embedding), sample.drivers.windows)
        layer = draw(self.cloud, sample.view, motion, background)

        lips = sample.lips_mask
        target = paint(sample.target(), ~sample.mouth, background)
        predicted = paint(layer.colour, lips ^ sample.mouth, background)
        with part("loss"):
            loss = l1_dssim(predicted, target, self.design.dssim)
            if it > schedule.warm:
                loss = loss + _ALPHA * coverage_error(layer.alpha, lips)
                if jaw is not None:
                    loss = loss + self.design.jaw_loss * (jaw - sample.jaw).abs().mean()
        if it > schedule.lpips_from and self.perceptual is not None:
            loss = loss + self.design.lpips * self.perceptual.patches(predicted, target, (32, 42), self.generator)
        self.last = layer.colour
        return self.finish(it, loss, layer, sample.view.centre, _GREEN_MARGIN)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        super().load_tensors(tensors)
        if self.done > self.schedule.freeze_from:
            self.cloud.trainable(_COLOUR_ONLY)
            no_gradients(self.field)
