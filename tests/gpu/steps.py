"""A short training on the toy subject, to be compared between devices: losses, numbers of Gaussians, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.contract import Conditioning, Method, TrainTask, checked_frames
from bench.metrics.psnr import psnr
from bench.pixels import quantised
from bench.subject import Subject
from methods.deformable.design import PAPER, Fuse, Schedule, _short
from methods.deformable.plugin import DeformableGaussians


@dataclass(frozen=True)
class Run:
    """What a training on one device came to."""

    losses: dict[str, list[float]]
    """Of each stage, every tenth step."""
    gaussians: dict[str, float]
    """At each stage's end."""
    psnr: float
    """dB, mean over the test frames."""


class Kept:
    """A progress that keeps the scalars."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[dict[str, float]]] = {}

    def stage(self, name: str, total: int) -> None:
        self.now = self.scalars.setdefault(name, [])

    def step(self, done: int, scalars: dict[str, float] | None = None) -> None:
        if scalars:
            self.now.append(scalars)

    def image(self, name: str, picture: np.ndarray) -> None:
        assert picture.dtype == np.uint8


def schedule(mouth: int, face: int, fuse: int) -> Schedule:
    """So many steps of each stage, all phases passed through; without LPIPS, whose weights may not be here."""
    branches = {
        name: replace(
            _short(getattr(PAPER, name), steps, steps // 4, densify_every=10, init=init, limit=3 * init, xyz_gain=4, net_gain=4),
            lpips_from=10**6,
        )
        for name, steps, init in (("mouth", mouth, 150), ("face", face, 600))
    }  # fmt: skip
    return Schedule(**branches, fuse=Fuse(iterations=fuse, lpips_from=10**6))


def train(method: DeformableGaussians, subject: Subject, device: str, out: Path, steps: tuple[int, int, int]) -> Run:
    """Train ``method`` on ``device`` for ``steps`` (mouth, face, fusion), then render the test frames there."""
    method.schedules = {"quick": schedule(*steps)}
    progress = Kept()
    out.mkdir()
    method.train(TrainTask(subject.for_training(), out, "quick", 0, device, progress))
    frames = np.stack([quantised(frame, "u8") for frame in rendered(method, out, subject, device)])
    truth = np.stack([subject.frame(i).image for i in subject.test_ids])
    return Run(
        {name: [s["loss"] for s in kept] for name, kept in progress.scalars.items()},
        {name: kept[-1]["gaussians"] for name, kept in progress.scalars.items()},
        float(psnr(frames, truth).mean()),
    )


def rendered(method: Method, checkpoint: Path, subject: Subject, device: str) -> list[np.ndarray]:
    """The test frames, float RGB."""
    given = [Conditioning(subject.frame(i), subject, method.info.sees) for i in subject.test_ids]
    return list(checked_frames(method.info, given, iter(method.load(checkpoint, device).render(given))))


def assert_alike(got: Run, want: Run, *, start: float, loss: float, number: float, decibels: float) -> None:
    """Relative bounds on the first losses of the mouth and face stage, on each stage's mean loss and number of Gaussians
    at its end, an absolute one on the PSNR.

    Not step by step: a Gaussian that one device densifies and another doesn't sets two trainings on different ways.
    """
    for name in ("mouth", "face"):
        ours, theirs = got.losses[name][0], want.losses[name][0]
        assert abs(ours - theirs) <= start * theirs, f"{name} begins with a loss of {ours:.4f} and {theirs:.4f}"
    for name in want.losses:
        ours, theirs = (np.mean(_last_third(run.losses[name])) for run in (got, want))
        assert abs(ours - theirs) <= loss * theirs, f"{name}: loss {ours:.4f} and {theirs:.4f}"
        ours, theirs = got.gaussians[name], want.gaussians[name]
        assert abs(ours - theirs) <= number * theirs, f"{name}: {ours:.0f} and {theirs:.0f} Gaussians"
    assert abs(got.psnr - want.psnr) <= decibels, f"PSNR {got.psnr:.2f} and {want.psnr:.2f} dB"


def _last_third(values: Sequence[float]) -> Sequence[float]:
    return values[-max(1, len(values) // 3) :]
