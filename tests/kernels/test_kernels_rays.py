"""Marching through an occupancy grid and compositing along rays: plain loops, and the compiled kernels against the twins."""

from __future__ import annotations

import math

import pytest
import torch

from methods import kernels
from methods.fields import volume
from methods.fields.march import march, march_twin

pytestmark = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
PATHS = kernels.native.paths() if kernels.native else []
BOX = torch.tensor([[-1.0, -0.5, -1.0], [1.0, 0.5, 1.0]])
STEP = 2 * math.sqrt(3) / 128


def rays_and_cells(count=700, side=16, share=0.15):
    """Cameras around the cube that look at it, some of them past it."""
    g = torch.Generator().manual_seed(0)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1) * 2.5
    origins[:20] *= 0.1  # inside the box
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=g) * 0.5 - origins, dim=1)
    directions[20:24] = torch.tensor([0.0, -1.0, 0.0])  # along an axis
    origins[20:24] = torch.tensor([[0.3, 2.0, 0.2], [0.3, 2.0, -1.2], [1.2, 2.0, 0.0], [-0.9, 0.3, 0.9]])
    occupied = torch.rand(side, side, side, generator=g) < share
    return origins, directions, occupied, torch.rand(count, generator=g)


def by_hand(origin, direction, occupied, jitter, most):
    """One ray in Python floats, every step looked up."""
    enter, leave = 0.05, math.inf
    for axis in range(3):
        if direction[axis] == 0:
            if not BOX[0, axis] <= origin[axis] <= BOX[1, axis]:
                return []
            continue
        walls = sorted((BOX[k, axis].item() - origin[axis]) / direction[axis] for k in (0, 1))
        enter, leave = max(enter, walls[0]), min(leave, walls[1])
    out, k, side = [], 0, len(occupied)
    while (t := enter + (jitter + k) * STEP) < leave and len(out) < most:
        p = [o + t * d for o, d in zip(origin, direction, strict=True)]
        cell = [min(max(int((x + 1) * side / 2), 0), side - 1) for x in p]
        if occupied[tuple(cell)]:
            out.append(t)
        k += 1
    return out


def test_the_twin_equals_the_plain_loop():
    origins, directions, occupied, jitter = (x.double() if x.is_floating_point() else x for x in rays_and_cells(200))
    found = march_twin(origins, directions, occupied, BOX.double(), STEP, 16, 1.0, 0.05, jitter)
    for r in range(200):
        want = by_hand(origins[r].tolist(), directions[r].tolist(), occupied, jitter[r].item(), 16)
        got = found.t[found.offsets[r] : found.offsets[r + 1]]
        assert len(got) == len(want), r
        assert torch.allclose(got, torch.tensor(want, dtype=torch.float64), atol=1e-12)
    assert (found.rays == torch.repeat_interleave(torch.arange(200), found.offsets.diff())).all()
    assert found.offsets.diff().max() == 16
    assert (found.offsets.diff() == 0).any()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("most", [5, 200])
def test_skipping_finds_the_samples_of_a_march_without_skipping(path, most):
    """A sample within rounding of a cell's wall may fall on either side of it."""
    origins, directions, occupied, jitter = rays_and_cells()
    twin = march_twin(
        origins.double(), directions.double(), occupied, BOX.double(), STEP, most, 1.0, 0.05, jitter.double()
    )
    with kernels.using(path=path):
        found = march(origins, directions, occupied, BOX, step=STEP, most=most, jitter=jitter)
    same = found.offsets.diff() == twin.offsets.diff()
    assert same.float().mean() > 0.98
    rows = [same[s.rays] for s in (found, twin)]
    assert torch.allclose(found.t[rows[0]].double(), twin.t[rows[1]], atol=STEP * 0.01)
    assert (found.offsets.diff() <= most).all()
    points = found.positions(origins, directions)
    cells = ((points + 1) * 8).long().clamp(0, 15)
    inside = ((points + 1) * 8 - cells - 0.5).abs().amax(1) < 0.5 - 1e-4
    assert occupied[cells.unbind(1)][inside].all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_empty_and_a_full_grid(share):
    origins, directions, _, _ = rays_and_cells(300)
    occupied = torch.full((16, 16, 16), bool(share))
    found = march(origins, directions, occupied, BOX, step=STEP, most=300)
    twin = march_twin(origins, directions, occupied, BOX, STEP, 300, 1.0, 0.05, None)
    assert (len(found) == 0) == (share == 0)
    assert ((found.offsets.diff() - twin.offsets.diff()).abs() <= 1).all()


def test_marching_does_not_depend_on_the_threads():
    given, results = rays_and_cells(3000), []
    for threads in (1, 2, 3):
        with kernels.using(threads=threads):
            results.append(march(*given[:3], BOX, step=STEP, most=16, jitter=given[3]))
    for other in results[1:]:
        assert torch.equal(results[0].t, other.t)
        assert torch.equal(results[0].offsets, other.offsets)


def test_no_rays():
    none = torch.zeros(0, 3)
    assert len(march(none, none, torch.ones(4, 4, 4, dtype=torch.bool), BOX, step=STEP, most=4)) == 0


def composited(optical, values, indices, rays, stop):
    """Value and gradients: of float32 by the kernel, of float64 by the twin."""
    leaves = optical.clone().requires_grad_(), values.clone().requires_grad_()
    sums, opacities = volume.composite(*leaves, indices, rays, stop)
    (sums.square().sum() + opacities.sin().sum()).backward()
    return sums.detach(), opacities.detach(), leaves[0].grad, leaves[1].grad


def samples(counts, channels=5):
    g = torch.Generator().manual_seed(2)
    rays = torch.repeat_interleave(torch.arange(len(counts)), counts)
    optical = torch.rand(len(rays), generator=g, dtype=torch.float64) ** 4 * 5
    optical[::17] = 0
    return optical, torch.rand(len(rays), channels, generator=g, dtype=torch.float64), rays, len(counts)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stop", [0.0, 1e-2])
def test_the_compiled_composite_equals_the_twin(path, stop):
    counts = torch.randint(0, 17, (900,), generator=torch.Generator().manual_seed(1))
    optical, values, indices, rays = samples(counts)
    want = composited(optical, values, indices, rays, stop)
    with kernels.using(path=path):
        got = composited(optical.float(), values.float(), indices, rays, stop)
    for a, b in zip(got, want, strict=True):
        assert torch.allclose(a.double(), b, atol=5e-6, rtol=1e-5)


def test_behind_the_stop_there_is_nothing():
    optical = torch.tensor([3.0, 3.0, 3.0, 3.0])
    values = torch.eye(4)
    indices = torch.zeros(4, dtype=torch.int64)
    sums, opacities, g_optical, g_values = composited(optical, values, indices, 1, 0.01)
    assert (sums[0] > 0).tolist() == [True, True, False, False]  # e^-3 = 0.05 reaches the second, e^-6 not the third
    assert opacities.item() == pytest.approx(1 - math.exp(-6), abs=1e-6)
    assert (g_optical[2:] == 0).all()
    assert (g_values[2:] == 0).all()
    whole = composited(optical, values, indices, 1, 0.0)
    assert (whole[0][0] > 0).all()


def test_compositing_does_not_depend_on_the_threads():
    counts = torch.randint(0, 17, (2000,), generator=torch.Generator().manual_seed(1))
    optical, values, indices, rays = samples(counts)
    results = []
    for threads in (1, 2, 3):
        with kernels.using(threads=threads):
            results.append(composited(optical.float(), values.float(), indices, rays, 1e-4))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("offsets", [[0, 3, 2, 4], [0, 1, 3], [1, 4], [0, 5]])
def test_samples_that_belong_to_no_ray_are_refused(offsets):
    module, four = kernels.require(), torch.zeros(4).numpy()
    rays = len(offsets) - 1
    with pytest.raises(ValueError, match="ascend|without a ray"):
        module.shine(
            torch.tensor(offsets).numpy(), four, torch.zeros(4, 1).numpy(), 0.0, torch.zeros(4).numpy(),
            torch.zeros(rays, 1).numpy(), torch.zeros(rays).numpy(),
        )  # fmt: skip
