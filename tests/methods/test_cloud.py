"""Canonical Gaussians: bookkeeping through topology changes, densification, state."""

from __future__ import annotations

import pytest
import torch

from methods.gaussians import densify, sh
from methods.gaussians.cloud import GaussianCloud, inverse_softplus


def make_cloud(n: int = 12, embedding: int = 4, extent: float = 0.5) -> GaussianCloud:
    points = torch.rand(n, 3, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.1
    return GaussianCloud.random(points, embedding, extent)


def step(cloud: GaussianCloud) -> None:
    sum((p * torch.arange(1, len(p) + 1).view(-1, *[1] * (p.ndim - 1))).sum() for p in cloud.raw.values()).backward()
    cloud.optimizer.step()
    cloud.optimizer.zero_grad(set_to_none=True)


def test_initial_values():
    cloud = make_cloud()
    assert torch.allclose(cloud.opacities(), torch.full((12,), 0.1))
    view = cloud.colours(cloud.xyz, torch.tensor([0.0, 0.0, -1.0]))
    assert torch.allclose(view, torch.full((12, 3), 127 / 255), atol=1e-6)
    distance = torch.cdist(cloud.xyz, cloud.xyz).sort(1).values[:, 1:4]
    assert torch.allclose(cloud.scales()[:, 0], (distance**2).mean(1).sqrt(), atol=1e-5)


def test_inverse_softplus():
    x = torch.tensor([1e-4, 0.01, 1.0, 5.0])
    assert torch.allclose(torch.nn.functional.softplus(inverse_softplus(x)), x, rtol=1e-3)


def test_replace_carries_moments():
    cloud = make_cloud()
    step(cloud)
    before = cloud.optimizer.state[cloud.raw["xyz"]]["exp_avg"].clone()
    keep = torch.arange(12) % 2 == 0
    new = {n: v[:3].detach() for n, v in cloud.raw.items()}
    cloud.replace(keep, new)
    state = cloud.optimizer.state[cloud.raw["xyz"]]
    assert len(cloud) == 9
    assert torch.equal(state["exp_avg"][:6], before[keep])
    assert not state["exp_avg"][6:].any()
    assert float(state["step"]) == 1
    assert cloud.raw["xyz"].grad is None
    step(cloud)


def test_state_round_trip_continues_identically():
    a = make_cloud()
    step(a)
    a.accumulate(torch.ones(12, 2), torch.arange(12) % 3 == 0)
    b = GaussianCloud.from_state({k: v.clone() for k, v in a.state().items()})
    step(a)
    step(b)
    for name in a.raw:
        assert torch.equal(a.raw[name], b.raw[name]), name
    assert torch.equal(a.gradient_sum, b.gradient_sum)


@pytest.mark.parametrize("embedding", [0, 4])
def test_densify_clones_small_and_splits_large(embedding: int):
    cloud = make_cloud(embedding=embedding, extent=1.0)
    with torch.no_grad():
        cloud.raw["scaling"][:] = inverse_softplus(torch.tensor(0.001))
        cloud.raw["scaling"][0] = inverse_softplus(torch.tensor(0.05))
    gradient = torch.zeros(12, 2)
    gradient[[0, 1]] = 1.0
    cloud.accumulate(gradient, torch.ones(12, dtype=torch.bool))
    densify.densify(cloud, 0.5, 100, torch.Generator().manual_seed(0))
    assert len(cloud) == 12 - 1 + 1 + 2
    assert torch.allclose(cloud.scales()[-1], torch.full((3,), 0.05 / 1.6), atol=1e-4)
    assert cloud.embedding.shape == (14, embedding)


def test_densify_respects_the_limit():
    cloud = make_cloud()
    cloud.accumulate(torch.rand(12, 2) + 1, torch.ones(12, dtype=torch.bool))
    densify.densify(cloud, 0.5, 15, torch.Generator().manual_seed(0))
    assert len(cloud) <= 15


def test_prune_by_opacity_and_colour():
    cloud = make_cloud()
    with torch.no_grad():
        cloud.raw["opacity"][:4] = -6.0
        green = torch.tensor([0.0, 1.0, 0.0])
        cloud.raw["f_dc"][11, 0] = (green - 0.5) / sh.C0
    densify.prune(cloud, 0.05, by_size=False)
    assert len(cloud) == 8
    densify.prune_key_coloured(cloud, torch.tensor([0.0, 0.0, 1.0]), 0.1)
    assert len(cloud) == 7


def test_sh_matches_gsplat():
    reference = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    generator = torch.Generator().manual_seed(1)
    directions = torch.nn.functional.normalize(torch.randn(7, 3, generator=generator), dim=1)
    coefficients = torch.randn(7, 9, 3, generator=generator)
    ours = sh.colours(coefficients[:, :1], coefficients[:, 1:], directions, 2)
    theirs = (reference._spherical_harmonics(2, directions, coefficients) + 0.5).clamp_min(0)
    assert torch.allclose(ours, theirs, atol=1e-6)
