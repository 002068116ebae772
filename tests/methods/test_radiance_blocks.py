"""Blocks of radiance fields: encodings against closed forms, the occupancy grid, the moving average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from methods.fields.encodings import frequency, harmonics
from methods.fields.occupancy import OccupancyGrid
from methods.training.ema import Ema


def test_frequencies_are_octaves():
    x = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    want = [0.3, -0.7]
    for k in range(3):
        want += [math.sin(2**k * v) for v in (0.3, -0.7)] + [math.cos(2**k * v) for v in (0.3, -0.7)]
    assert torch.allclose(frequency(x, 3), torch.tensor([want], dtype=torch.float64))
    assert frequency(torch.zeros(5, 3), 10).shape == (5, 63)


def test_harmonics_are_orthonormal_on_the_sphere():
    """Exact under a product rule: Gauss in z, equal steps round it."""
    nodes, weights = torch.linalg.eigh(
        torch.diag(
            c := torch.arange(1, 8, dtype=torch.float64)
            / (4 * torch.arange(1, 8, dtype=torch.float64) ** 2 - 1).sqrt(),
            1,
        )
        + torch.diag(c, -1)
    )
    weights = 2 * weights[0] ** 2
    angle = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
    ring = (1 - nodes**2).sqrt()[:, None]
    points = torch.stack([ring * angle.cos(), ring * angle.sin(), nodes[:, None].expand(-1, 16)], -1).view(-1, 3)
    area = (weights[:, None].expand(-1, 16) * (2 * math.pi / 16)).reshape(-1)
    values = harmonics(points)
    assert torch.allclose(values.T @ (values * area[:, None]), torch.eye(16, dtype=torch.float64), atol=1e-7)
    assert torch.allclose(
        harmonics(torch.tensor([[0.0, 0.0, 1.0]]))[0, [2, 6, 12]], torch.tensor([0.4886025, 0.6307831, 0.7463527])
    )


def ball(points):
    """A ball of density 50 and radius 0.4."""
    return 50.0 * (points.norm(dim=1) < 0.4)


def test_a_grid_finds_a_ball():
    grid = OccupancyGrid(32)
    assert not grid.occupied.any()
    g = torch.Generator().manual_seed(0)
    for _ in range(3):
        grid.update(ball, g)
    distance = grid.centres(torch.arange(32**3)).norm(dim=1).view(32, 32, 32)
    assert grid.occupied[distance < 0.36].all()
    assert not grid.occupied[distance > 0.4 + 2.5 * (2 / 32)].any()


def test_what_became_empty_fades_and_what_is_closed_stays_so():
    opened = torch.ones(16, 16, 16, dtype=torch.bool)
    opened[:8] = False
    grid, g = OccupancyGrid(16, opened), torch.Generator().manual_seed(0)
    grid.update(ball, g)
    assert grid.occupied.any()
    assert not grid.occupied[:8].any()
    assert (grid.density.view(16, 16, 16)[:8] == -1).all()
    before = grid.density.clamp_min(0).sum()
    grid.update(lambda points: torch.zeros(len(points)), g)
    assert grid.density.clamp_min(0).sum() == pytest.approx(0.95 * before.item(), rel=1e-5)


def test_only_the_cells_asked_for_change():
    grid, g = OccupancyGrid(16), torch.Generator().manual_seed(0)
    cells = torch.arange(0, 16**3, 7)
    grid.update(lambda points: torch.full((len(points),), 3.0), g, cells)
    untouched = torch.ones(16**3, dtype=torch.bool)
    untouched[cells] = False
    assert (grid.density[cells] == 3).all()
    assert (grid.density[untouched] == 0).all()


def test_neighbours_of_a_dense_cell_count():
    grid, g = OccupancyGrid(8), torch.Generator().manual_seed(0)
    middle = torch.tensor([4, 4, 4])
    grid.update(lambda p: 20.0 * (((p + 1) * 4).long() == middle).all(1), g)
    found = grid.occupied.nonzero().tolist()
    steps = [[0, 0, 0], *([d if a == k else 0 for a in range(3)] for k in range(3) for d in (-1, 1))]
    assert sorted(found) == sorted([[4 + s for s in step] for step in steps])


def test_the_average_follows_with_a_warm_up():
    p = nn.Parameter(torch.zeros(2))
    ema = Ema([p])
    want = 0.0
    for n in range(1, 300):
        with torch.no_grad():
            p.fill_(float(n))
        ema.update()
        keep = min(0.95, (1 + n) / (10 + n))
        want = keep * want + (1 - keep) * n
    assert ema.shadow[0].tolist() == pytest.approx([want, want], rel=1e-4)
    other = Ema([nn.Parameter(torch.zeros(2))])
    other.load(ema.state())
    assert torch.equal(other.shadow[0], ema.shadow[0])
    assert other.updates == ema.updates
