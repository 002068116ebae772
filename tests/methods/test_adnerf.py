"""AD-NeRF: its networks and sampler against dense references, training, resume."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from training_kit import Quiet, fingerprint

from bench.contract import Conditioning, TrainTask, checked_frames
from bench.errors import RecordError
from bench.subject import Camera, Subject
from methods.baselines.adnerf.data import TrainingData
from methods.baselines.adnerf.design import PAPER, Schedule
from methods.baselines.adnerf.nets import AUDIO, POSE, FaceNerf, Listener, pose_code
from methods.baselines.adnerf.plugin import AdNerf
from methods.baselines.adnerf.render import Pair, Span, camera_rays, look
from methods.baselines.adnerf.sampling import coarse_depths, fine_depths
from methods.fields.encodings import frequency

TINY = Schedule(
    head=6, torso=4, head_rays=24, torso_rays=16, coarse=4, fine=4, before=0.16, behind=0.16, side=32
)  # fmt: skip


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_as_many_as_the_spec():
    """Less the feature layer that the official code has and never uses: 65,792."""
    assert count(FaceNerf(AUDIO)) == 661_636 - 65_792
    assert count(FaceNerf(AUDIO + POSE)) == 683_140 - 65_792
    listener = Listener(29)
    assert count(listener.net) == 32_800
    assert count(listener.attention) == 2_149
    assert [layer.in_features for layer in FaceNerf(AUDIO).layers] == [127, 256, 256, 256, 256, 383, 256, 256]


def test_the_condition_enters_as_if_it_were_joined_to_every_point():
    torch.manual_seed(0)
    net, points, condition = FaceNerf(AUDIO), torch.randn(3, 5, 3), torch.randn(AUDIO)
    directions = torch.nn.functional.normalize(torch.randn(3, 3), dim=1)
    colour, density = net(points, directions, condition)
    given = torch.cat([frequency(points.view(-1, 3), 10), condition.expand(15, -1)], 1)
    hidden = given
    for k, layer in enumerate(net.layers):
        hidden = torch.relu(layer(torch.cat([given, hidden], 1) if k == 5 else hidden))
    seen = frequency(directions, 4).repeat_interleave(5, 0)
    shade = torch.cat([hidden, seen], 1)
    for layer in net.shade:
        shade = torch.relu(layer(shade))
    assert torch.allclose(density.view(-1, 1), net.density(hidden), atol=1e-5)
    assert torch.allclose(colour.view(-1, 3), net.colour(shade), atol=1e-5)


def test_a_frame_alone_hears_its_own_window():
    torch.manual_seed(0)
    listener, windows = Listener(32), torch.randn(8, 32, 16)
    other = windows.clone()
    other[[0, 1, 2, 3, 5, 6, 7]] = 0
    assert torch.allclose(listener(windows, attended=False), listener(other, attended=False))
    assert not torch.allclose(listener(windows, attended=True), listener(other, attended=True))
    assert listener(windows, attended=True).shape == (AUDIO,)


def test_pose_code_by_hand():
    yaw = 0.3
    m = torch.eye(4)
    m[0, 0] = m[2, 2] = math.cos(yaw)
    m[0, 2], m[2, 0] = math.sin(yaw), -math.sin(yaw)
    m[:3, 3] = torch.tensor([0.1, -0.2, 0.8])
    angles = torch.tensor([math.atan2(math.cos(yaw), 0.0), -yaw, math.atan2(math.cos(yaw), 0.0)])
    want = torch.cat([frequency(angles, 3), frequency(m[:3, 3], 3)])
    assert torch.allclose(pose_code(m), want, atol=1e-6)
    assert len(pose_code(m)) == POSE


def test_coarse_depths():
    even = coarse_depths(0.5, 1.5, 5, 3, None)
    assert torch.equal(even, torch.tensor([0.5, 0.75, 1.0, 1.25, 1.5]).expand(3, 5))
    g = torch.Generator().manual_seed(0)
    drawn = coarse_depths(0.5, 1.5, 5, 400, g)
    assert (drawn.diff(dim=1) >= 0).all()
    assert (drawn[:, -1] == 1.5).all()
    low, high = torch.tensor([0.5, 0.625, 0.875, 1.125]), torch.tensor([0.625, 0.875, 1.125, 1.375])
    assert ((drawn[:, :4] >= low) & (drawn[:, :4] <= high)).all()
    assert torch.allclose(drawn[:, :4].mean(0), (low + high) / 2, atol=0.01)


def test_fine_depths_follow_the_weights():
    depths = torch.linspace(0, 1, 11).expand(2, 11)
    weights = torch.zeros(2, 11)
    weights[0, 4] = 1.0  # between the middles 0.35 and 0.45
    weights[1, 3:8] = 0.2
    for generator in (None, torch.Generator().manual_seed(0)):
        got = fine_depths(depths, weights, 200, generator)
        assert got.shape == (2, 211)
        assert (got.diff(dim=1) >= 0).all()
        extra = [sorted(set(row.tolist()) - set(depths[0].tolist())) for row in got]
        inside = [0.349 <= d <= 0.451 for d in extra[0]]
        assert np.mean(inside) > 0.97
        assert np.mean([0.249 <= d <= 0.751 for d in extra[1]]) > 0.97
        assert np.mean(extra[1]) == pytest.approx(0.5, abs=0.03)
    weights.requires_grad_()
    assert not fine_depths(depths, weights, 5, None).requires_grad


def test_a_layer_equals_the_plain_sum_and_ends_at_the_plate():
    torch.manual_seed(0)
    pair, span = Pair(AUDIO), Span(0.6, 1.0, 6, 5)
    directions = torch.nn.functional.normalize(torch.randn(4, 3), dim=1) * 1.1
    origin, condition = torch.tensor([0.0, 0.0, -0.8]), torch.randn(AUDIO)
    coarse, fine = look(pair, origin, directions, condition, span)
    depths = coarse_depths(0.6, 1.0, 6, 4, None)
    points = origin + depths[..., None] * directions[:, None]
    shade, density = pair.coarse(points, directions / 1.1, condition)
    for r in range(4):
        light, colour = 1.0, torch.zeros(3)
        for k in range(5):
            step = (depths[r, k + 1] - depths[r, k]) * 1.1
            alpha = 1 - math.exp(-(max(density[r, k].item(), 0) + 1e-6) * step)
            colour += light * alpha * torch.sigmoid(shade[r, k])
            light *= 1 - alpha
        assert torch.allclose(coarse.colour[r], colour, atol=1e-5)
        assert coarse.through[r].item() == pytest.approx(light, abs=1e-5)
    plate = torch.ones(4, 3)
    assert torch.allclose(fine.over(plate), fine.colour + fine.through[:, None])


def test_noise_wakes_a_field_below_the_zero_of_its_densities():
    torch.manual_seed(0)
    pair, condition = Pair(AUDIO), torch.randn(AUDIO)
    for net in (pair.coarse, pair.fine):
        net.density.bias.data -= 2.0
    rays = torch.zeros(3), torch.tensor([[0.0, 0.0, 1.0], [0.1, 0.0, 1.0]])

    def learns(noise: float) -> bool:
        pair.zero_grad()
        fine = look(pair, *rays, condition, Span(0.5, 1.0, 8, 8), torch.Generator().manual_seed(1), noise)[1]
        fine.over(torch.ones(2, 3)).sum().backward()
        return float(pair.fine.density.bias.grad) != 0

    assert not learns(0.0)
    assert learns(10.0)


def test_rays_go_through_the_middles_of_pixels():
    camera = Camera.from_transform(
        np.eye(4) + np.array([[0, 0, 0, 0.0], [0] * 4, [0, 0, 0, 0.8], [0] * 4]), 100.0, (64, 64)
    )
    origin, directions = camera_rays(camera, torch.tensor([0, 64 * 10 + 20]))
    assert torch.allclose(origin, torch.tensor([0.0, 0.0, 0.8]))
    want = torch.tensor([[(0.5 - 32) / 100, -(0.5 - 32) / 100, -1.0], [(20.5 - 32) / 100, -(10.5 - 32) / 100, -1.0]])
    assert torch.allclose(directions, want, atol=1e-6)


def train(subject: Subject, out: Path, progress=None, seed: int = 0) -> AdNerf:
    method = AdNerf()
    method.schedules = {"quick": TINY}
    out.mkdir(exist_ok=True)
    method.train(TrainTask(subject.for_training(), out, "quick", seed, "cpu", progress or Quiet()))
    return method


def test_training_is_deterministic_and_survives_interruption(toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("methods.training.stage.SAVE_EVERY", 2)
    monkeypatch.setattr("methods.training.stage._REPORT_EVERY", 3)
    method = train(toy_subject, tmp_path / "whole")
    for stage in ("head", "torso"):
        with pytest.raises(KeyboardInterrupt):
            train(toy_subject, tmp_path / "cut", Quiet(stop_in=stage))
    train(toy_subject, tmp_path / "cut")
    assert fingerprint(tmp_path / "whole") == fingerprint(tmp_path / "cut")
    given = [Conditioning(toy_subject.frame(i), toy_subject, method.info.sees) for i in toy_subject.test_ids[:2]]
    made = list(checked_frames(method.info, given, method.load(tmp_path / "whole", "cpu").render(given)))
    assert len(made) == 2
    (tmp_path / "whole/model.json").write_text('{"format": 1}')
    with pytest.raises(RecordError, match="not a finished checkpoint of ad-nerf"):
        method.load(tmp_path / "whole", "cpu")


def test_the_head_is_learnt_on_the_plate_and_the_torso_with_it(toy_subject: Subject):
    data = TrainingData(toy_subject.for_training(), TINY, "cpu")
    packed = data.frame(2)
    assert (data.width, data.height) == (32, 32)
    whole, head, plate = (p.reshape(32, 32, 3).astype(int) for p in (packed.whole, packed.head, data.plate))
    assert np.abs(head[29:] - plate[29:]).max() <= 1  # the torso isn't there
    assert np.abs(whole[29:, 8:24] - plate[29:, 8:24]).max() > 30
    assert np.abs(head[14:18, 14:18] - whole[14:18, 14:18]).max() == 0
    assert len(packed.inside) + len(packed.outside) == 32 * 32
    assert np.isin(16 * 32 + 16, packed.inside)
    assert data.span.near < 0.84 < data.span.far


def test_attention_begins_half_way_and_the_rate_falls():
    assert PAPER.attention_from == 200_000
    assert PAPER.decay(250_000, 400_000) == pytest.approx(0.1)
    assert dataclasses.replace(PAPER, head=10).attention_from == 5
