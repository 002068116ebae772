"""The deformable-Gaussian methods: fields, sampling, training, resume."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.contract import Conditioning, TrainTask, checked_frames
from bench.errors import MethodError, RecordError
from bench.subject import Subject
from methods.baselines.talkinggaussian.plugin import TalkingGaussian
from methods.deformable import design as designs
from methods.deformable.data import TrainingData
from methods.deformable.face import FaceStage
from methods.deformable.fields import FaceField, MouthField, _with_constant
from methods.deformable.plugin import DeformableGaussians
from methods.deformable.sampling import Sampler, face_position, mouth_position
from methods.degstalk.plugin import Degstalk
from methods.fields import initial

TINY = designs.Schedule(
    mouth=designs._short(designs.PAPER.mouth, 12, 4, densify_every=3, init=60, limit=120),
    face=designs._short(designs.PAPER.face, 16, 6, densify_every=3, init=150, limit=220, half_until=8),
    fuse=designs.Fuse(iterations=6, lpips_from=100),
)


class Quiet:
    """A progress that remembers; it can break the training off."""

    def __init__(self, stop_in: str = "") -> None:
        self.stages: list[str] = []
        self.stop_in = stop_in

    def stage(self, name, total):
        self.stages.append(name)

    def step(self, done, scalars=None):
        if self.stages[-1] == self.stop_in:
            raise KeyboardInterrupt

    def image(self, name, picture):
        assert picture.dtype == np.uint8


def shortened(method: DeformableGaussians) -> DeformableGaussians:
    method.schedules = dict.fromkeys(("quick", "standard", "paper"), TINY)
    return method


def train(method, subject: Subject, out: Path, seed: int = 0, progress=None) -> None:
    out.mkdir(exist_ok=True)
    method.train(TrainTask(subject.for_training(), out, "quick", seed, "cpu", progress or Quiet()))


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def data(toy_subject: Subject) -> TrainingData:
    return TrainingData(toy_subject.for_training(), Degstalk.design, "cpu")


def test_field_widths_follow_the_specs():
    face = FaceField(Degstalk.design, 29, 50)
    assert face.decoder[0].weight.shape == (64, 116)
    assert face.expression_net[-1].weight.shape == (14, 16)
    assert FaceField(TalkingGaussian.design, 29, 5).decoder[0].weight.shape == (64, 74)
    assert MouthField(Degstalk.design, 29).decoder[0].weight.shape == (32, 100)
    assert MouthField(TalkingGaussian.design, 29).decoder[0].weight.shape == (32, 68)
    assert MouthField(TalkingGaussian.design, 29).jaw is None


def test_constant_input_equals_concatenation():
    field = MouthField(Degstalk.design, 29)
    features, heard = torch.randn(9, 68), torch.randn(32)
    expected = field.decoder(torch.cat([features, heard.repeat(9, 1)], 1))
    assert torch.allclose(_with_constant(field.decoder, features, heard), expected, atol=1e-6)


def test_embedding_and_audio_reach_the_motion():
    field = FaceField(Degstalk.design, 32, 50)
    xyz, z = torch.rand(6, 3) * 0.1, torch.zeros(6, 32, requires_grad=True)
    windows = torch.randn(8, 32, 16, requires_grad=True)
    field(field.encode(xyz, z), windows, torch.randn(50), torch.rand(2)).xyz.sum().backward()
    assert z.grad.abs().sum() > 0
    assert windows.grad.abs().sum() > 0


def test_sampler_never_hangs_and_favours_the_window(data: TrainingData):
    sampler = Sampler(len(data.ids), torch.Generator().manual_seed(0))
    impossible = sampler.among(np.array([1.0, 2.0, 9.0], np.float32), 4.0, 5.0)
    assert impossible == 1
    wide = {mouth_position(1, TINY.mouth, data, sampler) for _ in range(20)}
    assert all(data.lips_part[p] == data.lips_part.max() for p in wide)
    blinks = [
        face_position(7, dataclasses.replace(TINY.face, warm=3), Degstalk.design, data, sampler) for _ in range(5)
    ]
    assert all(0 <= p < len(data.ids) for p in blinks)


def test_an_epoch_shows_every_frame_once():
    sampler = Sampler(7, torch.Generator().manual_seed(3))
    assert sorted(sampler.next() for _ in range(7)) == list(range(7))


def test_masks_of_the_two_designs_differ_in_hair(toy_subject: Subject):
    subject = toy_subject.for_training()
    degstalk = TrainingData(subject, Degstalk.design, "cpu").sample(subject.train_ids[0], half=False)
    talking = TrainingData(subject, TalkingGaussian.design, "cpu").sample(subject.train_ids[0], half=False)
    assert not (degstalk.head & degstalk.hair).any()
    assert (talking.hair & ~talking.head).sum() == 0
    assert talking.head.sum() > degstalk.head.sum()


@pytest.mark.parametrize("kind", [Degstalk, TalkingGaussian])
def test_training_is_deterministic_and_survives_interruption(kind, toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("methods.deformable.stage.SAVE_EVERY", 5)
    monkeypatch.setattr("methods.deformable.stage._REPORT_EVERY", 8)
    method = shortened(kind())
    train(method, toy_subject, tmp_path / "whole")
    for stage in ("mouth", "face"):
        with pytest.raises(KeyboardInterrupt):
            train(method, toy_subject, tmp_path / "cut", progress=Quiet(stop_in=stage))
    assert not (tmp_path / "cut/model.json").exists()
    train(method, toy_subject, tmp_path / "cut")
    assert fingerprint(tmp_path / "whole") == fingerprint(tmp_path / "cut")
    train(method, toy_subject, tmp_path / "other", seed=1)
    assert fingerprint(tmp_path / "whole") != fingerprint(tmp_path / "other")

    conditioning = [Conditioning(toy_subject.frame(i), toy_subject, method.info.sees) for i in toy_subject.test_ids]
    frames = list(
        checked_frames(method.info, conditioning, method.load(tmp_path / "whole", "cpu").render(conditioning))
    )
    assert len(frames) == len(toy_subject.test_ids)


def test_a_checkpoint_of_another_method_is_refused(toy_subject: Subject, tmp_path: Path):
    method = shortened(Degstalk())
    train(method, toy_subject, tmp_path / "c")
    with pytest.raises(RecordError, match="degstalk"):
        TalkingGaussian().load(tmp_path / "c", "cpu")
    (tmp_path / "c/model.safetensors").write_bytes(b"broken")
    with pytest.raises(RecordError, match="can't be read"):
        method.load(tmp_path / "c", "cpu")


def test_a_loss_that_is_not_a_number_ends_the_training(toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(FaceStage, "step", lambda self, it: {"loss": float("nan")})
    with pytest.raises(MethodError, match="stage face, iteration 1"):
        train(shortened(Degstalk()), toy_subject, tmp_path / "c")


def test_short_presets_start_with_audio_that_is_heard():
    torch.manual_seed(0)
    windows = torch.randn(20, 8, 32, 16) + 3
    field = FaceField(Degstalk.design, 32, 50)
    before = torch.stack([field.hear(w) for w in windows]).std(0).mean()
    initial.standardise_audio(field.audio_net, windows)
    codes = field.audio_net(windows.flatten(0, 1))
    assert before < 0.02
    assert torch.allclose(codes.std(0), torch.ones(32), rtol=1e-3)
    assert codes.mean(0).abs().max() < 1e-3
    initial.standardise_mlp(field.expression_net, 0.1 * torch.rand(40, 50))
    assert field.expression_net(torch.rand(50)).isfinite().all()


def test_short_presets_keep_the_paper_proportions():
    face, paper = designs.QUICK.face, designs.PAPER.face
    ratio = (face.hair_until - face.warm) / (face.iterations - face.warm)
    assert ratio == pytest.approx((paper.hair_until - paper.warm) / (paper.iterations - paper.warm), abs=0.01)
