"""ER-NeRF and SyncTalk: shapes of the specs, rays, losses, training, resume, variants."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_kit import Quiet, fingerprint

from bench import registry
from bench.contract import Conditioning, TrainTask, checked_frames
from bench.errors import DataError, RecordError
from bench.subject import Camera, Subject
from methods import kernels
from methods.baselines.ernerf.plugin import ErNerf
from methods.baselines.synctalk.plugin import SyncTalk
from methods.fields.hashgrid import HashGrid3, TiledGrid2
from methods.radiance import losses, rays
from methods.radiance.cells import open_cells
from methods.radiance.data import TrainingData
from methods.radiance.design import Schedule
from methods.radiance.field import EncodedAudioNet, Lit, RadianceField
from methods.radiance.render import Rendered, render
from methods.radiance.torso import TorsoField

TINY = Schedule(head=9, lips=5, torso=4, rays=96, grid_side=16, grid_every=4, ema_every=3, hull=True)
BOTH = pytest.mark.parametrize("kind", [ErNerf, SyncTalk])


def shortened(method):
    method.schedules = {"quick": TINY}
    return method


def train(method, subject: Subject, out: Path, progress=None, seed: int = 0) -> None:
    out.mkdir(exist_ok=True)
    method.train(TrainTask(subject.for_training(), out, "quick", seed, "cpu", progress or Quiet()))


def frames(method, checkpoint: Path, subject: Subject):
    given = [Conditioning(subject.frame(i), subject, method.info.sees) for i in subject.test_ids]
    return list(checked_frames(method.info, given, method.load(checkpoint, "cpu").render(given)))


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_as_many_as_the_specs():
    ernerf = RadianceField(ErNerf.design, (29, 16), 10_000)
    assert count(ernerf.encoder) == 3 * 163_584
    assert count(ernerf) == 587_989
    assert [w.shape for w in ernerf.density_net.weights] == [(64, 69), (64, 64), (65, 64)]
    assert [w.shape for w in ernerf.colour_net.weights] == [(64, 84), (3, 64)]
    assert [w.shape for w in ernerf.audio_region.weights] == [(64, 36), (32, 64)]
    assert [w.shape for w in ernerf.eye_region.weights] == [(16, 36), (1, 16)]
    assert [w.shape for w in ernerf.doubt_net.weights] == [(32, 36), (1, 32)]
    synctalk = RadianceField(SyncTalk.design, (512, 1), 20_000)
    assert isinstance(synctalk.audio_net, EncodedAudioNet)
    assert count(synctalk) - 80_000 == 688_165
    assert [w.shape for w in synctalk.density_net.weights] == [(64, 75), (64, 64), (65, 64)]
    assert [w.shape for w in synctalk.eye_region.weights] == [(64, 36), (7, 64)]
    torso = TorsoField(10_000)
    assert count(torso.grid) == 1_111_040
    assert torso.deform.weights[0].shape == (32, 84)
    assert torso.net.weights[0].shape == (32, 116)


def test_rays_of_the_official_test_vector():
    """Frame 0 of AD-NeRF's transforms_val.json, as spec_ernerf §2.5 gives it (origin and a direction, computed there)."""
    camera = Camera.from_transform(
        np.eye(4) + np.array([[0, 0, 0, 0.1], [0, 0, 0, 0.2], [0, 0, 0, 0.8], [0] * 4]), 1100.0, (450, 450)
    )
    assert torch.allclose(rays.origin(camera), torch.tensor([0.8, 3.2, 0.4]), atol=1e-5)
    pixel = torch.tensor([60 * 450 + 100])
    direction = rays.directions(camera, pixel)[0]
    local = torch.tensor([(100.5 - 225) / 1100, (60.5 - 225) / 1100, 1.0])
    local /= local.norm()
    assert torch.allclose(
        direction, torch.tensor([-local[1], -local[2], local[0]]), atol=1e-6
    )  # up, towards the camera, sideways
    seen, depth = rays.project(camera, (rays.origin(camera) + direction * 2.5)[None])
    assert torch.allclose(seen, torch.tensor([[100.5, 60.5]]), atol=1e-3)
    assert depth.item() == pytest.approx(2.5 / 4 * local[2].item(), rel=1e-5)


def test_pixels_of_boxes_and_patches():
    g = torch.Generator().manual_seed(0)
    patches = rays.patch_pixels(20, 12, 5, 7, g)
    assert patches.shape == (7, 25)
    rows, columns = patches // 20, patches % 20
    assert ((rows.amax(1) - rows.amin(1)) == 4).all()
    assert ((columns.amax(1) - columns.amin(1)) == 4).all()
    box = (2, 5, 3, 9)
    every = torch.arange(20 * 12)
    assert torch.equal(every[rays.inside(every, 20, box)], rays.box_pixels(20, box))
    corners = rays.plane_coordinates(torch.tensor([0, 19, 239]), 20, 12)
    assert corners.tolist() == [[-1, -1], [-1, 1], [1, 1]]


@pytest.fixture(scope="module")
def data(toy_subject: Subject) -> TrainingData:
    return TrainingData(toy_subject.for_training(), ErNerf.design, "cpu")


def test_the_hull_holds_the_head_and_little_else(data: TrainingData):
    hull = open_cells(data, TINY)
    assert 0.02 < hull.float().mean() < 0.5
    seen = open_cells(data, dataclasses.replace(TINY, hull=False))
    assert seen.float().mean() > hull.float().mean()
    assert not (hull & ~seen).any()


def test_what_shines_through_shows_the_background(data: TrainingData):
    torch.manual_seed(0)
    field = RadianceField(ErNerf.design, data.audio_form, len(data.ids))
    packed = data.frame(3)
    heard = field.hear(packed.windows, packed.upper_face, 3)
    pixels = torch.arange(0, data.width * data.height, 7)
    directions = rays.directions(packed.camera, pixels)
    background = torch.rand(len(pixels), 3)
    nothing = torch.zeros(16, 16, 16, dtype=torch.bool)
    given = field, heard, nothing, rays.origin(packed.camera), directions, background
    assert torch.equal(render(*given).colour, background)
    full = render(field, heard, ~nothing, *given[3:])
    assert (full.opacity > 0.05).any()
    hit = full.opacity > 0
    assert torch.equal(full.colour[~hit], background[~hit])


def lit(**changes) -> Lit:
    four = torch.ones(4)
    return Lit(
        **({"density": four, "colour": torch.ones(4, 3), "doubt": four, "to_audio": four, "to_eyes": four} | changes)
    )


def rendered(**changes) -> Rendered:
    """Two rays: three samples in the first, one in the second."""
    base = {
        "colour": torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]]), "opacity": torch.tensor([0.5, 1.0]),
        "doubt": torch.tensor([1.0, 3.0]), "points": torch.zeros(4, 3), "rays": torch.tensor([0, 0, 0, 1]), "lit": lit(),
    }  # fmt: skip
    return Rendered(**(base | changes))


def test_losses_by_hand():
    er, sync = ErNerf.design.losses, SyncTalk.design.losses
    target = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert losses.pixel_errors(er, rendered().colour, target).tolist() == pytest.approx([0.25 / 3, 1 / 3])
    assert losses.pixel_errors(sync, rendered().colour, target).tolist() == pytest.approx([0.5 / 3, 1 / 3])
    errors, face = torch.tensor([0.3, 0.6]), torch.tensor([True, False])
    got = losses.doubtful(er, errors, rendered(), target, face, 0.5)
    soft = [math.exp(d) / (math.exp(1) + math.exp(3)) * 2 for d in (1, 3)]
    weights = [0.2 + 0.8 * (0.5 + 0.5 * s) for s in soft]
    inside = 0.5 / (2 * 4) + math.log(2) ** 2 / 2  # distance 0.5, spread 2
    want = [0.3 * weights[0] + 0.5 * inside, 0.6 * weights[1] + 0.5 * 1e-3 * 3]
    assert got.tolist() == pytest.approx(want, rel=1e-5)
    assert losses.entropy(torch.tensor([0.5])).item() == pytest.approx(1.0)
    assert losses.entropy(torch.tensor([1.0])).item() < 1e-3
    regions = {"face": torch.tensor([True, False]), "lower_face": torch.tensor([False, True])}
    # ER-NeRF: audio outside the face (ray 1: 1 sample), eyes/16 x audio inside (ray 0: 3/16 x 3)
    assert losses.attention(er, rendered(), regions, 0.5).item() == pytest.approx(0.5 * 1e-4 * (1 + 9 / 16) / 2)
    # SyncTalk: audio outside the lower face (ray 0: 3), eyes inside it (ray 1: 1)
    assert losses.attention(sync, rendered(), regions, 0.5).item() == pytest.approx(0.5 * 1e-4 * (3 + 1) / 2)


def test_smoothness_moves_what_is_near_not_what_is_here(data: TrainingData):
    torch.manual_seed(0)
    field = RadianceField(ErNerf.design, data.audio_form, 4)
    field.encoder.table.data.mul_(1e4)
    points = torch.rand(50, 3) - 0.5
    features = field.encode(points)
    here = field.attend(features)[0].norm(dim=1)
    view = rendered(points=points, lit=lit(to_audio=here, doubt=torch.zeros(50), to_eyes=torch.zeros(50)))
    value = losses.smoothness(ErNerf.design.losses, field, view, torch.Generator().manual_seed(0))
    assert value > 0
    assert torch.autograd.grad(value, here, allow_unused=True) == (None,)


@pytest.mark.parametrize("kind", [HashGrid3, TiledGrid2])
def test_grids_against_finite_differences_and_the_plain_sum(kind):
    torch.manual_seed(0)
    grid = kind(3, 4, 20, 7, channels=2).double()
    grid.table.data.uniform_(-1, 1)
    x = (torch.rand(5, kind.dimensions, dtype=torch.float64) * 1.8 - 0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: grid(p), x)
    x.grad = None
    grid(x).square().sum().backward()
    entry = int(grid.table.grad.abs().sum(1).argmax())
    step, values = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            grid.table[entry, 0] += sign * step
            values.append(grid(x).square().sum().item())
            grid.table[entry, 0] -= sign * step
    assert grid.table.grad[entry, 0].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)
    outside = torch.full((1, kind.dimensions), 1.01, dtype=torch.float64)
    assert (grid(outside) == 0).all()
    assert any(row**kind.dimensions > length for row, length in zip(grid.rows, grid.lengths, strict=True))


def test_a_dense_level_is_bilinear_in_its_nodes():
    grid = TiledGrid2(2, 3, 5, 10)
    grid.table.data.copy_(torch.arange(len(grid.table), dtype=torch.float32)[:, None])
    value = grid(torch.tensor([[0.0, 0.0]]))[0, 0]  # place 0.5 · 2 + 0.5 = 1.5 each way, rows of 4 nodes
    assert value.item() == pytest.approx(1.5 + 1.5 * 4)


@BOTH
def test_training_is_deterministic_and_survives_interruption(kind, toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("methods.training.stage.SAVE_EVERY", 3)
    monkeypatch.setattr("methods.training.stage._REPORT_EVERY", 4)
    method = shortened(kind())
    train(method, toy_subject, tmp_path / "whole")
    for stage in ("head", "lips"):
        with pytest.raises(KeyboardInterrupt):
            train(method, toy_subject, tmp_path / "cut", Quiet(stop_in=stage))
    assert not (tmp_path / "cut/model.json").exists()
    train(method, toy_subject, tmp_path / "cut")
    assert fingerprint(tmp_path / "whole") == fingerprint(tmp_path / "cut")
    train(method, toy_subject, tmp_path / "other", seed=1)
    assert fingerprint(tmp_path / "whole") != fingerprint(tmp_path / "other")
    assert len(frames(method, tmp_path / "whole", toy_subject)) == len(toy_subject.test_ids)


@pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
def test_training_does_not_depend_on_the_threads(toy_subject: Subject, tmp_path: Path):
    for threads in (1, 2):
        with kernels.using(threads=threads):
            train(shortened(ErNerf()), toy_subject, tmp_path / str(threads))
    assert fingerprint(tmp_path / "1") == fingerprint(tmp_path / "2")


@pytest.mark.parametrize(
    "name",
    [
        "er-nerf[-T]",
        "er-nerf[-A]",
        "er-nerf[torso]",
        "er-nerf[ema]",
        "synctalk[-S]",
        "synctalk[portrait]",
        "synctalk[torso-S]",
    ],
)
def test_a_variant_trains_and_renders(name, toy_subject: Subject, tmp_path: Path):
    plain, _, variant = name.rstrip("]").partition("[")
    method = shortened(registry.get(plain, variant))
    progress = Quiet()
    train(method, toy_subject, tmp_path / "c", progress)
    assert progress.stages == ["head", "lips"] + (["torso"] if "torso" in name else [])
    made = frames(method, tmp_path / "c", toy_subject)
    with pytest.raises(RecordError, match="another design"):
        registry.get(plain).load(tmp_path / "c", "cpu")
    if "portrait" in name:
        frame = toy_subject.frame(toy_subject.test_ids[0])
        outside = frame.portrait_weights == 0
        assert (np.rint(made[0] * 255)[outside] == frame.image[outside]).all()
    if name == "synctalk[torso-S]":
        assert method.info.sees == {"pose", "audio", "upper_face"}


def test_sound_reaches_the_picture_unless_it_is_left_out(toy_subject: Subject):
    torch.manual_seed(0)
    for design, reaches in ((ErNerf.design, True), (dataclasses.replace(SyncTalk.design, audio=False), False)):
        field = RadianceField(design, (32, 16), 4)
        windows = torch.randn(8, 32, 16, requires_grad=True)
        heard = field.hear(windows, torch.rand(design.upper_face))
        field(torch.rand(6, 3) - 0.5, torch.rand(6, 16), heard).colour.sum().backward()
        assert (windows.grad is not None and windows.grad.abs().sum() > 0) == reaches


def test_other_audio_than_was_trained_on_is_refused(toy_subject: Subject, tmp_path: Path):
    method = shortened(ErNerf())
    train(method, toy_subject, tmp_path / "c")
    renderer = method.load(tmp_path / "c", "cpu")
    given = Conditioning(toy_subject.frame(20), toy_subject, method.info.sees)
    renderer.shape = dataclasses.replace(renderer.shape, audio_form=(29, 16))
    with pytest.raises(DataError, match="trained on audio windows"):
        renderer.frame(given)


def test_the_average_is_what_is_stored_with_ema(toy_subject: Subject, tmp_path: Path):
    stored = {}
    for text in ("", "ema"):
        train(shortened(registry.get("er-nerf", text)), toy_subject, tmp_path / f"c{text}")
        stored[text] = load_file(tmp_path / f"c{text}/model.safetensors")
    name = "field.param.density_net.weights.0"
    assert stored[""].keys() == stored["ema"].keys()
    assert not torch.equal(stored[""][name], stored["ema"][name])
