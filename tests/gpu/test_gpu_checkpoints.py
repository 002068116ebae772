"""What a training on a GPU leaves: checkpoints that both devices render alike, states from which it goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.contract import Method, TrainTask
from bench.subject import Subject
from methods.baselines.adnerf import design as adnerf
from methods.baselines.adnerf.plugin import AdNerf
from methods.baselines.ernerf.plugin import ErNerf
from methods.baselines.synctalk.plugin import SyncTalk
from methods.baselines.talkinggaussian.plugin import TalkingGaussian
from methods.degstalk.plugin import Degstalk
from methods.radiance import design as radiance

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "methods")]
from steps import rendered, schedule  # noqa: E402
from training_kit import Quiet  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a CUDA device: run `nox -s gpu` where there is one"
    ),
]
_FIELD = radiance.Schedule(
    head=24, lips=8, torso=8, rays=256, grid_side=32, grid_every=8, ema_every=5, hull=True, gain=3.0
)
_NERF = adnerf.Schedule(
    head=16, torso=8, head_rays=64, torso_rays=64, coarse=6, fine=6, before=0.16, behind=0.16, side=32, rate=1e-3, noise=10.0
)  # fmt: skip
SHORT = {
    Degstalk: schedule(16, 30, 10),
    TalkingGaussian: schedule(16, 30, 10),
    ErNerf: _FIELD,
    SyncTalk: _FIELD,
    AdNerf: _NERF,
}
KINDS = pytest.mark.parametrize("kind", SHORT)


def trained(kind: type[Method], subject: Subject, out: Path, device: str, progress: Quiet | None = None) -> Method:
    """A short training on ``device``, or what is left of one."""
    method = kind()
    method.schedules = {"quick": SHORT[kind]}
    out.mkdir(exist_ok=True)
    method.train(TrainTask(subject.for_training(), out, "quick", 0, device, progress or Quiet()))
    return method


def both_render_alike(kind: type[Method], subject: Subject, out: Path, there: str) -> None:
    """A checkpoint that was trained ``there`` gives the same pictures there and on the CPU."""
    method = trained(kind, subject, out, there)
    got, want = (np.stack(rendered(method, out, subject, device)) for device in (there, "cpu"))
    assert want.std() > 0.05
    error = abs(got - want)
    assert error.mean() < 1e-3
    assert (
        error > 2 / 255
    ).mean() < 1e-2  # a sample at the edge of an occupied cell, an alpha at the edge of being drawn


def goes_on(kind: type[Method], subject: Subject, folder: Path, device: str) -> None:
    """A training that is broken off in each of its stages ends where an undisturbed one does, nearly: on CUDA sums have no order."""
    whole = Quiet()
    method = trained(kind, subject, folder / "whole", device, whole)
    for stage in whole.stages:
        with pytest.raises(KeyboardInterrupt):
            trained(kind, subject, folder / "cut", device, Quiet(stop_in=stage))
        assert (folder / f"cut/{stage}.safetensors").exists()
    trained(kind, subject, folder / "cut", device)
    got, want = (np.stack(rendered(method, folder / name, subject, device)) for name in ("cut", "whole"))
    assert abs(got - want).mean() < 0.02


@KINDS
def test_a_checkpoint_is_rendered_alike_on_both_devices(kind, toy_subject: Subject, tmp_path: Path):
    both_render_alike(kind, toy_subject, tmp_path / "model", "cuda")


@KINDS
def test_a_broken_off_training_goes_on(kind, toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("methods.training.stage.SAVE_EVERY", 5)
    monkeypatch.setattr("methods.training.stage._REPORT_EVERY", 8)
    goes_on(kind, toy_subject, tmp_path, "cuda")
