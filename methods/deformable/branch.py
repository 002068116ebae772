"""What the mouth and the face stage share: a cloud, its field, their optimisers, densification."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.parts import part
from methods.deformable.data import TrainingData
from methods.deformable.design import Branch, Design
from methods.deformable.fields import FaceField, MouthField
from methods.deformable.optim import field_factor, field_optimizer
from methods.deformable.render import Layer
from methods.deformable.sample import Drivers, Sample
from methods.fields import initial
from methods.gaussians import densify
from methods.gaussians.cloud import GaussianCloud
from methods.training.perceptual import PatchLoss
from methods.training.stage import Stage, load_module, module_state, under, with_prefix

_OPACITY_FLOOR = (0.05, 0.25)
_CUBE = 0.1
_HULL_HALF = (0.3, 0.3, 0.1)
_HULL_VIEWS = 9


class BranchStage(Stage):
    """A stage that trains one cloud and its field over the key colour."""

    def __init__(
        self,
        data: TrainingData,
        schedule: Branch,
        field: FaceField | MouthField,
        perceptual: PatchLoss | None,
        seed: int,
    ) -> None:
        super().__init__(seed, len(data.ids))
        self.data, self.schedule, self.field, self.perceptual = data, schedule, field.to(data.device), perceptual
        self.total = schedule.iterations
        if schedule.head_start:
            self._standardise()
        self.optimizer = field_optimizer(field, schedule.net_gain)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.cloud = GaussianCloud.random(self._first_points().to(data.device), data.design.embedding, data.extent)
        self.last: Tensor | None = None

    @property
    def design(self) -> Design:
        """The method's switches."""
        return self.data.design

    def region(self, sample: Sample) -> Tensor:
        """bool [h,w]: where this branch may draw, for the visual hull."""
        raise NotImplementedError

    def picture(self) -> Tensor | None:
        return self.last

    def tensors(self) -> dict[str, Tensor]:
        return {**with_prefix("cloud", self.cloud.state()), **module_state("field", self.field, self.optimizer)}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        on_device = {k: v.to(self.data.device) for k, v in tensors.items()}
        self.cloud = GaussianCloud.from_state(under("cloud", on_device))
        load_module("field", self.field, self.optimizer, on_device)

    def begin(self, it: int) -> None:
        """Learning rates and SH degree of iteration ``it``."""
        self.cloud.schedule(it, self.schedule.xyz_decay, self.schedule.xyz_gain)
        if it % self.schedule.sh_every == 0 and self.cloud.active_degree < 2:
            self.cloud.active_degree += 1
        factor = field_factor(it, self.schedule.curriculum_until, self.schedule.decay_span)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor

    def finish(self, it: int, loss: Tensor, layer: Layer, view_centre: Tensor, green_margin: float) -> dict[str, float]:
        """Backward, densification, optimiser steps of iteration ``it``."""
        with part("backward"):
            loss.backward()
        if layer.means2d.grad is not None:  # None once the geometry is frozen
            self.cloud.accumulate(layer.ndc_gradient(), layer.visible)
        with part("densify"):
            self._densify(it, view_centre, green_margin)
        with part("optimise"):
            for optimizer in (self.cloud.optimizer, self.optimizer):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return {"loss": float(loss.detach()), "gaussians": float(len(self.cloud))}

    def _densify(self, it: int, view_centre: Tensor, green_margin: float) -> None:
        schedule = self.schedule
        due = it > schedule.densify_from and it % schedule.densify_every == 0
        if due and it < schedule.densify_until:
            densify.densify(self.cloud, schedule.threshold, schedule.limit, self.generator)
            floor = _OPACITY_FLOOR[0] + _OPACITY_FLOOR[1] * it / schedule.densify_until
            densify.prune(self.cloud, floor, by_size=it > schedule.warm)
        if due:
            densify.prune_key_coloured(self.cloud, view_centre, green_margin)

    def _standardise(self) -> None:
        """Start the field's nets from the training frames' own statistics."""
        drivers = [
            Drivers.of(self.design, self.data.subject.frame(i), self.data.device) for i in initial.spread(self.data.ids)
        ]
        initial.standardise_audio(self.field.audio_net, torch.stack([d.windows for d in drivers]))
        if isinstance(self.field, FaceField) and self.design.coefficients:
            initial.standardise_mlp(self.field.expression_net, torch.stack([d.expression for d in drivers]))

    def _first_points(self) -> Tensor:
        """[init,3] in the cube ±0.1, or inside the visual hull of the branch's masks."""
        if not self.schedule.head_start:
            return (torch.rand(self.schedule.init, 3, generator=self.generator) * 2 - 1) * _CUBE
        picks = np.linspace(0, len(self.data.ids) - 1, _HULL_VIEWS).round().astype(int)
        samples = [self.data.sample(self.data.ids[i], half=False) for i in picks]
        half = torch.tensor(_HULL_HALF)
        found: list[Tensor] = []
        for _ in range(200):
            points = (torch.rand(20_000, 3, generator=self.generator) * 2 - 1) * half
            seen = (
                torch.stack([_inside(points.to(self.data.device), s, self.region(s)) for s in samples])
                .float()
                .mean(0)
                .cpu()
            )
            found.append(points[seen >= 0.75])
            if sum(map(len, found)) >= self.schedule.init:
                break
        hull = torch.cat(found)[: self.schedule.init]
        return hull if len(hull) else (torch.rand(self.schedule.init, 3, generator=self.generator) * 2 - 1) * _CUBE


def _inside(points: Tensor, sample: Sample, region: Tensor) -> Tensor:
    """bool [N]: which points [N,3] project into ``region`` [h,w] of a sample's view."""
    view = sample.view
    seen = points @ view.viewmat[0, :3, :3].T + view.viewmat[0, :3, 3]
    pixels = seen @ view.K[0].T
    column = (pixels[:, 0] / pixels[:, 2]).floor().long()
    row = (pixels[:, 1] / pixels[:, 2]).floor().long()
    inside = (seen[:, 2] > 0.05) & (column >= 0) & (column < view.width) & (row >= 0) & (row < view.height)
    return inside & region[row.clamp(0, view.height - 1), column.clamp(0, view.width - 1)]


def paint(picture: Tensor, mask: Tensor, colour: tuple[float, float, float]) -> Tensor:
    """``picture`` [3,h,w] with ``colour`` where ``mask`` [h,w]; no gradient there."""
    return torch.where(mask, picture.new_tensor(colour)[:, None, None], picture)


def coverage_error(alpha: Tensor, mask: Tensor) -> Tensor:
    """Mean over the picture of 1 − α inside ``mask`` [h,w] and α outside, α [h,w] in [0,1]."""
    return F.l1_loss(alpha, mask.to(alpha.dtype))


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` [h,w] over ``mask``; 0 where the mask is empty (the official code gets NaN)."""
    return (values * mask).sum() / mask.sum().clamp_min(1)


def no_gradients(module: nn.Module) -> None:
    """Freeze a module."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
