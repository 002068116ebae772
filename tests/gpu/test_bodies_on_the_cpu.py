"""The GPU tests' own code, run with the CPU on both sides and tiny sizes: it works, and it can fail."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.subject import Subject
from methods import kernels
from methods.deformable import render
from methods.degstalk.plugin import Degstalk

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "methods")]
import test_gpu_checkpoints as checkpoints  # noqa: E402
import test_gpu_fields as fields  # noqa: E402
import test_gpu_rasterize as rasterizing  # noqa: E402
from branch_oracle import compare, drawn  # noqa: E402
from steps import assert_alike, train  # noqa: E402

compiled = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")


@compiled
@pytest.mark.parametrize("detached", [0, 2, 5])
def test_rasterising(detached):
    rasterizing.pictures_agree("cpu", "cpu", detached)


@compiled
def test_rasterising_info_and_nothing():
    rasterizing.info_agrees("cpu", "cpu")
    rasterizing.sees_nothing("cpu", "cpu")


@pytest.mark.parametrize("name", fields.CONFIGS)
def test_fields(name):
    fields.encoder_agrees(name, "cpu")


def test_rays():
    fields.rays_agree(torch.float32, "cpu")
    fields.rays_agree(torch.float64, "cpu")


@compiled
def test_a_branch(monkeypatch):
    want = drawn("cpu")
    monkeypatch.setattr(kernels, "native", None)  # torch deforms and rasterises, as something other than the kernels
    monkeypatch.setattr(kernels, "_warned", True)
    compare(drawn("cpu"), want)
    monkeypatch.setattr(render, "GREEN", (0.0, 0.9, 0.0))
    with pytest.raises(AssertionError, match="colour"):
        compare(drawn("cpu"), want)


@compiled
def test_steps(toy_subject: Subject, tmp_path: Path):
    steps = (12, 24, 12)
    runs = []
    for path in ("portable", kernels.require().path()):
        with kernels.using(path=path):
            runs.append(train(Degstalk(), toy_subject, "cpu", tmp_path / str(len(runs)), steps))
    assert list(runs[0].losses) == ["mouth", "face", "fuse"]
    limits = {"start": 1e-2, "loss": 1 / 3, "number": 0.2, "decibels": 1.0}
    assert_alike(*runs, **limits)
    want = runs[1]
    others = (
        replace(want, psnr=want.psnr - 1.1),
        replace(want, gaussians=want.gaussians | {"face": 0.7 * want.gaussians["face"]}),
        replace(want, losses=want.losses | {"mouth": [1.4 * loss for loss in want.losses["mouth"]]}),
        replace(want, losses=want.losses | {"face": [1.02 * want.losses["face"][0], *want.losses["face"][1:]]}),
    )
    for other in others:
        with pytest.raises(AssertionError):
            assert_alike(other, want, **limits)


@compiled
@pytest.mark.parametrize("kind", [checkpoints.Degstalk, checkpoints.ErNerf])
def test_checkpoints(kind, toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("methods.training.stage.SAVE_EVERY", 5)
    monkeypatch.setattr("methods.training.stage._REPORT_EVERY", 8)
    checkpoints.both_render_alike(kind, toy_subject, tmp_path / "model", "cpu")
    checkpoints.goes_on(kind, toy_subject, tmp_path, "cpu")
