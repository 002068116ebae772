"""Looking into deformable Gaussians: maps, motion, embedding, and all of it as a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from plyfile import PlyData
from test_deformable import shortened, train

from bench.checkpoints import Opened
from bench.contract import Conditioning
from bench.inspection import InspectTask, inspect
from methods.baselines.talkinggaussian.plugin import TalkingGaussian
from methods.deformable.inspect import inspect_checkpoint
from methods.deformable.inspect_maps import draw_planes, frame_maps, mean_motion, principal
from methods.deformable.sample import Drivers, View
from methods.degstalk.plugin import Degstalk
from methods.gaussians.cloud import GaussianCloud, inverse_softplus


class Looking:
    """A method with ``inspect``, as a plugin has it."""

    def inspect(self, task: InspectTask):
        return inspect_checkpoint(self.load(task.checkpoint, task.device), task)


class LookingDegstalk(Looking, Degstalk):
    pass


class LookingTalkingGaussian(Looking, TalkingGaussian):
    pass


@pytest.fixture(scope="module")
def opened(toy_subject, tmp_path_factory):
    """A short training of each method."""
    found = {}
    for method in (LookingDegstalk(), LookingTalkingGaussian()):
        out = tmp_path_factory.mktemp("trained") / method.info.name
        train(shortened(method), toy_subject, out)
        found[method.info.name] = Opened(method, None, out, toy_subject, "mel")
    return found


@pytest.fixture(scope="module")
def given(toy_subject):
    return [Conditioning(toy_subject.frame(i), toy_subject, Degstalk.info.sees) for i in toy_subject.test_ids]


@pytest.fixture(scope="module")
def renderer(opened):
    found = opened["degstalk"]
    return found.method.load(found.checkpoint, "cpu")


def test_one_gaussian_has_its_depth_and_motion(given):
    """Two opaque, large ones, one behind the other: each pixel's depth is that of the front one."""
    view = View.of(given[0].camera, "cpu")
    forward = view.viewmat[0, 2, :3]
    points = torch.stack([view.centre + 0.8 * forward, view.centre + 0.9 * forward])
    cloud = GaussianCloud.random(points, 0, 1.0)
    with torch.no_grad():
        cloud.raw["scaling"][:] = inverse_softplus(torch.tensor(0.05))
        cloud.raw["opacity"][:] = 20.0
        planes, alpha = draw_planes(cloud, view, None, torch.tensor([[0.25], [1.0]]))
    middle = view.height // 2, view.width // 2
    assert alpha[middle] > 0.99
    assert float(planes[0][middle] / alpha[middle]) == pytest.approx(0.8, abs=2e-3)
    assert float(planes[2][middle] / alpha[middle]) == pytest.approx(0.25, abs=0.01)
    assert not planes[1].any()


def test_maps_are_of_the_rendered_frame(renderer, given):
    maps = frame_maps(renderer, given[1])
    assert maps.id == given[1].id
    assert np.array_equal(maps.rendered, renderer.frame(given[1]))
    known = np.isfinite(maps.depth)
    assert 0 < known.mean() < 1
    assert ((maps.depth[known] > 0.5) & (maps.depth[known] < 1.2)).all()  # the toy's head is 0.84 from its camera
    assert (np.isfinite(maps.audio) <= known).all()
    bounds = renderer.face_encoded.audio_attention.detach().norm(dim=1)
    seen = maps.audio[np.isfinite(maps.audio)]
    assert bounds.min() - 1e-5 <= seen.min() <= seen.max() <= bounds.max() + 1e-5
    assert not np.array_equal(maps.audio[known], maps.expression[known], equal_nan=True)


def test_mean_motion_is_the_mean_over_frames(renderer, given):
    lengths = []
    for item in given[:2]:
        drivers = Drivers.of(renderer.design, item, "cpu")
        with torch.no_grad():
            motion, _ = renderer.mouth_field(renderer.mouth_encoded, drivers.windows)
        lengths.append(1000 * (motion.xyz**2).sum(1).sqrt())
    found = mean_motion(renderer, given[:2])["mouth"]
    assert torch.allclose(found, (lengths[0] + lengths[1]) / 2, rtol=1e-4)
    assert not torch.allclose(lengths[0], lengths[1], rtol=1e-3)


def test_principal_components_are_those_of_the_covariance():
    torch.manual_seed(0)
    vectors = torch.randn(50, 4) * torch.tensor([1.0, 5.0, 0.1, 2.0]) + 7
    places, shares = principal(vectors)
    values, directions = np.linalg.eigh(np.cov(vectors.double().numpy().T))
    order = np.argsort(values)[::-1][:3]
    assert np.allclose(shares, values[order] / values.sum())
    expected = (vectors.double() - vectors.double().mean(0)).numpy() @ directions[:, order]
    assert np.allclose(np.abs(places.numpy()), np.abs(expected), atol=1e-5)
    assert torch.equal(places, principal(vectors)[0])


@pytest.mark.parametrize("vectors", [torch.zeros(6, 32), torch.zeros(0, 32), torch.ones(1, 2)])
def test_an_embedding_without_variance_has_places_zero(vectors):
    places, shares = principal(vectors)
    assert places.shape == (len(vectors), 3)
    assert not places.any()
    assert not shares.any()


@pytest.mark.parametrize("name", ["degstalk", "talkinggaussian"])
def test_an_inspection_from_end_to_end(opened, name, tmp_path, toy_subject):
    ids = [toy_subject.test_ids[2], toy_subject.test_ids[0]][: 2 if name == "degstalk" else 1]
    document = inspect(opened[name], ids, "cpu", tmp_path / "out")
    assert document == json.loads((tmp_path / "out/inspect.json").read_text())
    sections = document["sections"]
    assert list(sections) == ["gaussians", "maps", "motion", "embedding"]
    renderer = opened[name].method.load(opened[name].checkpoint, "cpu")
    for branch, cloud in (("face", renderer.face), ("mouth", renderer.mouth)):
        assert sections["gaussians"]["tables"]["counts"][branch]["gaussians"] == len(cloud)
        assert len(PlyData.read(tmp_path / f"out/{branch}.ply")["vertex"].data) == len(cloud)
        median = sections["gaussians"]["tables"]["opacity"][branch]["median"]
        assert median == pytest.approx(np.median(cloud.opacities().detach().numpy()), rel=1e-5)
        longest = cloud.scales().detach().numpy().max(1) * 1000
        assert sections["gaussians"]["tables"]["longest_axis"][branch]["max"] == pytest.approx(longest.max(), rel=1e-5)
    maps = {f"{kind}-{i}.png" for kind in ("frame", "depth", "motion", "audio", "expression") for i in ids}
    assert {picture["file"] for picture in sections["maps"]["pictures"]} == maps
    shown = [picture["file"] for section in sections.values() for picture in section["pictures"]]
    for file in shown:
        pixels = np.asarray(Image.open(tmp_path / "out" / file).convert("RGB"))
        assert pixels.std() > 1, file
        assert f'src="{file}"' in (tmp_path / "out/index.html").read_text()
    _check_embedding(sections["embedding"], renderer, tmp_path / "out")


def _check_embedding(section: dict, renderer, out: Path) -> None:
    if not renderer.design.embedding:
        assert section["text"] == "talkinggaussian as trained here has no embedding of its Gaussians."
        assert not section["pictures"]
        assert not (out / "embedding.npz").exists()
        return
    with np.load(out / "embedding.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["face"], renderer.face.embedding.detach().numpy())
    assert 0 < section["tables"]["components"]["face"]["share of 1st"] <= 1
    assert [p["file"] for p in section["pictures"]] == ["embedding-face.png", "embedding-mouth.png"]
