"""Volume rendering along rays: our torch code against nerfacc's batched functions, and what we hand to its packed ones."""

from __future__ import annotations

import importlib.machinery
import inspect
import math
import sys
import types

import pytest
import torch

from bench.errors import AbsentError
from methods.fields import volume
from methods.fields.volume import render_rays

COUNTS = (3, 0, 7, 1, 0, 5)  # samples of each ray


def samples(dtype=torch.float32, channels=4, counts=COUNTS):
    """density, colour, t_starts, t_ends, ray_indices, rays."""
    g = torch.Generator().manual_seed(0)
    rays = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    steps = torch.rand(len(rays), generator=g, dtype=torch.float64) * 0.2 + 0.05
    ends = torch.cat([steps[rays == r].cumsum(0) for r in range(len(counts))]) + 0.5
    density = torch.rand(len(rays), generator=g, dtype=torch.float64) * 6
    colour = torch.rand(len(rays), channels, generator=g, dtype=torch.float64)
    return *(t.to(dtype) for t in (density, colour, ends - steps, ends)), rays, len(counts)


def by_hand(density, colour, t_starts, t_ends, ray_indices, rays, background):
    """Sample after sample in Python floats."""
    out = []
    for ray in range(rays):
        light, seen, depth, value = 1.0, 0.0, 0.0, [0.0] * colour.shape[1]
        for s in (ray_indices == ray).nonzero()[:, 0].tolist():
            alpha = 1 - math.exp(-density[s] * (t_ends[s] - t_starts[s]))
            seen += light * alpha
            depth += light * alpha * (t_starts[s] + t_ends[s]).item() / 2
            value = [v + light * alpha * c for v, c in zip(value, colour[s].tolist(), strict=True)]
            light *= 1 - alpha
        value = [v + light * b for v, b in zip(value, background.tolist(), strict=True)]
        out.append((value, seen, depth / seen if seen else 0.0))
    return [torch.tensor(part, dtype=torch.float64) for part in zip(*out, strict=True)]


def test_equals_the_plain_loop():
    given, background = samples(torch.float64), torch.tensor([0.1, 0.5, 0.9, 2.0], dtype=torch.float64)
    got = render_rays(*given, background)
    for a, b in zip(got, by_hand(*given, background), strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    empty = torch.tensor(COUNTS) == 0
    assert torch.equal(got[0][empty], background.expand(2, 4))
    assert (got[1][empty] == 0).all()
    assert (got[2][empty] == 0).all()
    assert torch.equal(render_rays(*given)[0][empty], torch.zeros(2, 4, dtype=torch.float64))


def test_equals_nerfaccs_batched_rendering():
    nerfacc = pytest.importorskip("nerfacc", reason="nerfacc is not installed: pip install 'talkbench[test]'")
    rays, per_ray = 20, 32
    density, colour, t_starts, t_ends, indices, _ = samples(channels=3, counts=(per_ray,) * rays)
    # A field's usual last interval has no end; a large sum over all rays would drown the thin ones after it.
    t_ends[per_ray - 1 :: per_ray] = 1e10
    background = torch.tensor([0.2, 0.3, 0.4])
    results = []
    for packed in (True, False):
        sigma, rgb = density.clone().requires_grad_(), colour.clone().requires_grad_()
        if packed:
            out = render_rays(sigma, rgb, t_starts, t_ends, indices, rays, background)
        else:
            field = sigma.view(rays, per_ray), rgb.view(rays, per_ray, 3)
            intervals = t_starts.view(rays, per_ray), t_ends.view(rays, per_ray)
            out = nerfacc.rendering(
                *intervals, rgb_sigma_fn=lambda *_, field=(field[1], field[0]): field, render_bkgd=background
            )[:3]
            out = out[0], out[1][:, 0], out[2][:, 0]
        (out[0].square().sum() + out[1].sin().sum()).backward()
        results.append([*(t.detach() for t in out), sigma.grad, rgb.grad])
    for got, want in zip(*results, strict=True):
        assert torch.allclose(got, want, rtol=2e-5, atol=2e-6)


def test_against_finite_differences():
    density, colour, *rest = samples(torch.float64, channels=2)
    background = torch.tensor([0.3, 0.6], dtype=torch.float64, requires_grad=True)
    leaves = density.requires_grad_(), colour.requires_grad_(), background
    assert torch.autograd.gradcheck(lambda d, c, b: render_rays(d, c, *rest, b), leaves)


def test_no_samples_and_no_rays():
    nothing = torch.zeros(0)
    indices = torch.zeros(0, dtype=torch.int64)
    density = nothing.clone().requires_grad_()
    colours, opacities, depths = render_rays(density, torch.zeros(0, 3), nothing, nothing, indices, 2, torch.ones(3))
    colours.sum().backward()
    assert torch.equal(colours, torch.ones(2, 3))
    assert torch.equal(opacities, torch.zeros(2))
    assert torch.equal(depths, torch.zeros(2))
    assert density.grad.shape == (0,)
    assert render_rays(nothing, torch.zeros(0, 3), nothing, nothing, indices, 0)[0].shape == (0, 3)


def test_wrong_arguments_are_refused():
    density, colour, t_starts, t_ends, indices, rays = samples()
    with pytest.raises(ValueError, match="colour must have shape"):
        render_rays(density, colour[1:], t_starts, t_ends, indices, rays)
    with pytest.raises(ValueError, match="colour must have shape"):
        render_rays(density, density, t_starts, t_ends, indices, rays)
    with pytest.raises(ValueError, match="background must have shape"):
        render_rays(density, colour, t_starts, t_ends, indices, rays, torch.zeros(3))
    with pytest.raises(ValueError, match="ray_indices must be torch.int64"):
        render_rays(density, colour, t_starts, t_ends, indices.int(), rays)
    with pytest.raises(ValueError, match="t_ends must be torch.float32"):
        render_rays(density, colour, t_starts, t_ends.double(), indices, rays)
    with pytest.raises(ValueError, match="sort the samples"):
        render_rays(density, colour, t_starts, t_ends, indices.flip(0), rays)
    with pytest.raises(ValueError, match=r"lie in 0\.\.2, not 0\.\.5"):
        render_rays(density, colour, t_starts, t_ends, indices, 3)


def fake_weights(*, t_starts, t_ends, sigmas, packed_info, ray_indices, n_rays, prefix_trans):
    """``nerfacc.render_weight_from_density`` 0.5.3 as its packed form on CUDA expects and returns it, ray by ray."""
    assert packed_info is None
    assert prefix_trans is None
    assert t_starts.shape == t_ends.shape == sigmas.shape == ray_indices.shape == (len(sigmas),)
    assert t_starts.dtype == t_ends.dtype == sigmas.dtype == torch.float32
    assert ray_indices.dtype == torch.int64
    assert (ray_indices.diff() >= 0).all()
    assert isinstance(n_rays, int)
    assert n_rays > ray_indices[-1]
    assert (t_ends > t_starts).all()
    assert (sigmas >= 0).all()
    thickness = sigmas * (t_ends - t_starts)
    before = torch.cat([(r := thickness[ray_indices == k]).cumsum(0) - r for k in range(n_rays)])
    transmittance, alphas = torch.exp(-before), 1 - torch.exp(-thickness)
    return transmittance * alphas, transmittance, alphas


@pytest.fixture
def on_nerfacc(monkeypatch):
    """Samples go to nerfacc; install(change): a fake of it whose arguments are altered on the way."""

    def install(change=lambda given: given):
        module = types.ModuleType("nerfacc")
        module.render_weight_from_density = lambda **given: fake_weights(**change(given))
        monkeypatch.setitem(sys.modules, "nerfacc", module)
        monkeypatch.setattr(volume, "_on_nerfacc", lambda density: True)

    install()
    return install


def test_nerfaccs_weights_give_the_same(on_nerfacc, monkeypatch):
    results = []
    for use in (False, True):
        monkeypatch.setattr(volume, "_on_nerfacc", lambda density, use=use: use)
        density, colour, *rest = samples()
        leaves = density.requires_grad_(), colour.requires_grad_(), torch.full((4,), 0.3).requires_grad_()
        out = render_rays(*leaves[:2], *rest, leaves[2])
        (out[0].square().sum() + out[2].sum()).backward()
        results.append([*(t.detach() for t in out), *(t.grad for t in leaves)])
    for got, want in zip(*results, strict=True):
        assert torch.allclose(got, want, rtol=1e-5, atol=1e-6)


MISTAKES = {
    "starts and ends swapped": lambda a: a | {"t_starts": a["t_ends"], "t_ends": a["t_starts"]},
    "intervals not of length one": lambda a: a | {"t_ends": a["t_ends"] * 0.1},
    "last ray forgotten": lambda a: a | {"n_rays": a["n_rays"] - 1},
    "samples of all rays in one": lambda a: a | {"ray_indices": torch.zeros_like(a["ray_indices"])},
    "int32 indices": lambda a: a | {"ray_indices": a["ray_indices"].int()},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(on_nerfacc, mistake):
    density, _, t_starts, t_ends, *rays = samples()
    optical = density * (t_ends - t_starts)
    want = volume._shares(optical, *rays)
    for ours, theirs in zip(want, volume._scanned(optical, *rays), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    on_nerfacc(MISTAKES[mistake])
    try:
        wrong = volume._scanned(optical, *rays)[0]
    except AssertionError:  # refused by the fake
        return
    assert (wrong - want[0]).abs().max() > 1e-2


def test_real_nerfacc_takes_what_we_pass():
    nerfacc = pytest.importorskip("nerfacc", reason="nerfacc is not installed: pip install 'talkbench[test]'")
    real = inspect.signature(nerfacc.render_weight_from_density).parameters
    assert set(real) == set(inspect.signature(fake_weights).parameters)


def test_when_nerfacc_is_used(monkeypatch):
    cuda = {"is_cuda": True, "dtype": torch.float32, "n": 5}

    class OnCuda(types.SimpleNamespace):
        def __len__(self):
            return self.n

    def module(name, **contents):
        made = types.ModuleType(name)
        made.__spec__ = importlib.machinery.ModuleSpec(name, None)
        made.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    backend = module("nerfacc.cuda._backend", _C=object())
    module("nerfacc.cuda", _backend=backend)
    module("nerfacc")
    assert volume._on_nerfacc(OnCuda(**cuda))
    assert not volume._on_nerfacc(torch.zeros(5))
    assert not volume._on_nerfacc(OnCuda(**cuda | {"dtype": torch.float64}))
    assert not volume._on_nerfacc(OnCuda(**cuda | {"n": 0}))
    backend._C = None
    with pytest.raises(AbsentError, match="CUDA toolkit"):
        volume._on_nerfacc(OnCuda(**cuda))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not volume._on_nerfacc(OnCuda(**cuda))
