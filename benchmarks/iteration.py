"""A whole training iteration of the face's motion stage: ours, and the same step with torch around the compiled rasteriser.

``python benchmarks/iteration.py [--rounds 7] [--quick] [--json FILE]``

A step unpacks its frame, moves the cloud by what the field hears, renders it, compares (L1 + D-SSIM, size of the motion,
coverage), differentiates, books the screen gradients for densification and lets two fused optimisers step, as
``methods/deformable/face.py`` does outside its LPIPS and attention phases. Every stack has parameters and optimisers of its
own, equal at the start. Learning rates are next to nothing, so that all rounds draw the same cloud.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves it out

import contests
import kernels
import peers
import results
import timing
import workload

from bench.parts import Parts, part, recording
from methods.baselines.talkinggaussian.plugin import DESIGN as TALKINGGAUSSIAN
from methods.deformable.branch import coverage_error, paint
from methods.deformable.design import Design
from methods.deformable.fields import FaceField
from methods.deformable.optim import field_optimizer
from methods.deformable.render import GREEN, Layer, draw
from methods.deformable.sample import Drivers
from methods.degstalk.plugin import DESIGN as DEGSTALK
from methods.fields.triplane import encode
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.deform import Motion
from methods.ssim import l1_dssim

DESIGNS = (TALKINGGAUSSIAN, DEGSTALK)
SIZES = ((5_000, 128), (10_000, 256), (20_000, 512))
_RATE = 1e-7
_MOTION, _ALPHA = 1e-5, 1e-3


@dataclass(frozen=True)
class Stack:
    """What a step is made of."""

    move: Callable[[FaceField, GaussianCloud, Drivers], Motion]
    draw: Callable[..., Layer]
    loss: Callable[[Tensor, Tensor], Tensor]


def _ours(field: FaceField, cloud: GaussianCloud, drivers: Drivers) -> Motion:
    return field(field.encode(cloud.xyz, cloud.embedding), drivers.windows, drivers.expression, drivers.direct)


def _torch(encode: peers.Encode) -> Callable[[FaceField, GaussianCloud, Drivers], Motion]:
    def move(field: FaceField, cloud: GaussianCloud, drivers: Drivers) -> Motion:
        return peers.move_face(field, peers.encode_face(field, cloud, encode), drivers)

    return move


STACKS = {
    contests.OURS: Stack(_ours, draw, l1_dssim),
    "good torch": Stack(_torch(peers.encode_grid_sample), peers.draw, peers.l1_dssim_separable),
    "good torch, planes batched": Stack(_torch(peers.encode_grid_sample_batched), peers.draw, peers.l1_dssim_separable),
    "naive torch": Stack(_torch(encode), peers.draw, peers.l1_dssim_conv2d),
}
"""Good and naive are those of the targets; the batched one is as good as we could make torch."""


class Training:
    """A stack with parameters, optimisers and a frame."""

    def __init__(self, stack: Stack, design: Design, n: int, size: int, device: str = "cpu") -> None:
        scene = workload.head(n, size)
        self.stack, self.packed, self.device = stack, workload.training_frame(scene, design), device
        with torch.random.fork_rng():
            torch.manual_seed(0)
            expression = workload.EXPRESSION if design.coefficients else 5
            self.field = FaceField(design, workload.AUDIO[1], expression)
            torch.nn.init.uniform_(self.field.encoder.table, -0.1, 0.1)  # as large as trained features
        self.field.to(device)
        self.cloud = workload.cloud(scene, design.embedding, device)
        self.optimizers = (self.cloud.optimizer, field_optimizer(self.field, 1.0))
        for group in (g for optimizer in self.optimizers for g in optimizer.param_groups):
            group["lr"] = _RATE

    def loss(self) -> Tensor:
        """Forward and backward; gradients are left in the parameters."""
        with part("data"):
            sample = self.packed.sample(self.device)
        motion = self.stack.move(self.field, self.cloud, sample.drivers)
        layer = self.stack.draw(self.cloud, sample.view, motion, GREEN)
        with part("loss"):
            loss = self.stack.loss(layer.colour, paint(sample.target(), ~sample.head | sample.mouth, GREEN))
            loss = loss + _MOTION * layer.motion_size + _ALPHA * coverage_error(layer.alpha, sample.head)
        with part("backward"):
            loss.backward()
        self.cloud.accumulate(layer.ndc_gradient(), layer.visible)
        return loss.detach()

    def step(self) -> tuple[Tensor]:
        """One iteration."""
        loss = self.loss()
        with part("optimise"):
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return (torch.tensor(float(loss)),)


def contest(design: Design, n: int, size: int) -> contests.Contest:
    """All stacks at a size."""
    steps: dict[str, contests.Run] = {name: Training(stack, design, n, size).step for name, stack in STACKS.items()}
    return contests.Contest("iteration", steps.pop(contests.OURS), steps)


def breakdown(design: Design, n: int, size: int, steps: int) -> dict[str, float]:
    """Milliseconds a step of ours by part (:mod:`bench.parts`), mean over ``steps``."""
    training, parts = Training(STACKS[contests.OURS], design, n, size), Parts()
    training.step()
    with recording(parts):
        parts.stage("face")
        for _ in range(steps):
            training.step()
            parts.steps(1)
    return {name: round(ms, 3) for name, ms in parts.profile()["face"].milliseconds.items()}


def main() -> None:
    given = results.options(__doc__, "iteration", rounds=7).parse_args()
    timing.settle()
    cases: dict[str, Any] = {}
    with timing.setting(rounds=given.rounds, quick=given.quick) as setting:
        for design in DESIGNS:
            for n, size in SIZES[:1] if given.quick else SIZES:
                case = f"{design.name} {kernels.case(n, size)}"
                cases[case] = contests.measure([contest(design, n, size)], given.rounds)
                cases[case]["iteration"]["parts"] = breakdown(design, n, size, 2 * given.rounds)
                results.show(case, cases[case])
    results.write(given.json, {"script": "iteration", "setting": setting, "cases": cases})


if __name__ == "__main__":
    main()
