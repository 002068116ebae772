"""Grids, MLPs and volume rendering on a GPU against our torch code on the CPU."""

from __future__ import annotations

import pytest
import torch

from methods.fields import TriplaneEncoder, tcnn, triplane
from methods.fields.volume import render_rays

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a CUDA device: run `nox -s gpu` where there is one"
    ),
]
CONFIGS = {
    "face": {},
    "mouth, falling": {"base": 64, "desired": 57.6},
    "mostly hashed": {"levels": 4, "base": 8, "desired": 200, "log2_table": 8},
}


def scaled(t, by):
    return (t.double().cpu() - by.double()).norm() / by.double().norm()


def encoder_agrees(name, there):
    """The encoder on device ``there`` in float32, and the torch twin on the CPU in float64."""
    made = TriplaneEncoder(**CONFIGS[name], generator=torch.Generator().manual_seed(0))
    made.table.data.mul_(1e4)  # of order one, so that errors show
    # Tinycudann's last half cell below the upper faces is another: tcnn's docstring.
    smallest = min(level.scale for level in made.levels)
    u = torch.rand(4000, 3, generator=torch.Generator().manual_seed(1)) * (1 - 0.55 / smallest) * 1.1 - 0.1
    x = (u * 2 - 1) * made.bound
    results = []
    for device, dtype in ((there, torch.float32), ("cpu", torch.float64)):
        made.to(device)
        made.table.grad = None
        leaf = x.detach().to(device, dtype).requires_grad_()
        if dtype == torch.float32:
            features = made(leaf)
        else:
            features = triplane.encode(leaf, made.table.double(), made.levels, made.bound)
        weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(2)).to(device)
        (features * weights).sum().backward()
        results.append((features.detach(), made.table.grad.clone(), leaf.grad))
    got, want = results
    assert got[0].dtype == torch.float32
    assert torch.equal(got[0].cpu() == 0, want[0] == 0)
    assert scaled(got[0], want[0]) < 1e-3
    assert scaled(got[1], want[1]) < 1e-3
    off = (got[2].double().cpu() - want[2]).norm(dim=1) > 1e-2 * want[2].norm(dim=1) + 1e-9
    assert off.float().mean() < 0.01  # a point at the edge of a cell may lie in the neighbour


@pytest.mark.parametrize("through", ["torch", "tinycudann"])
@pytest.mark.parametrize("name", CONFIGS)
def test_encoder_equals_the_cpu(monkeypatch, name, through):
    if through == "tinycudann":
        pytest.importorskip("tinycudann", reason="tinycudann is not installed: see its README")
    else:
        monkeypatch.setattr(tcnn, "takes", lambda *_: False)
    encoder_agrees(name, "cuda")


@pytest.mark.parametrize("widths", [(73, 64, 64, 11), (36, 32, 32), (36, 16, 6), (1, 128, 128, 40)])
def test_fused_mlp_equals_matmuls(widths):
    pytest.importorskip("tinycudann", reason="tinycudann is not installed: see its README")
    g = torch.Generator().manual_seed(0)
    weights = [torch.randn(b, a, generator=g) * (2 / a) ** 0.5 for a, b in zip(widths, widths[1:], strict=False)]
    x = torch.randn(1000, widths[0], generator=g)
    results = []
    for device in ("cuda", "cpu"):
        leaves = [t.to(device).requires_grad_() for t in (x, *weights)]
        if device == "cuda":
            out = tcnn.fused_mlp(leaves[0], leaves[1:])
        else:
            out = leaves[0]
            for w in leaves[1:-1]:
                out = (out @ w.T).relu()
            out = out @ leaves[-1].T
        loss = (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(device)).sum()
        results.append([out, *torch.autograd.grad(loss, leaves)])
    for got, want in zip(*results, strict=True):
        assert scaled(got, want) < 5e-2  # half precision, in which a ReLU near 0 may open or close


def rays_agree(dtype, there):
    """Rays of ``dtype`` on device ``there``, and on the CPU in float64."""
    g = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 40, (300,), generator=g)
    rays = torch.repeat_interleave(torch.arange(300), counts)
    starts = torch.rand(len(rays), generator=g, dtype=torch.float64)
    given = torch.rand(len(rays), generator=g), torch.rand(len(rays), 3, generator=g), starts, starts + 0.1
    results = []
    for device, kind in ((there, dtype), ("cpu", torch.float64)):
        density, colour, t_starts, t_ends = (t.detach().to(device, kind) for t in given)
        leaves = (
            density.requires_grad_(),
            colour.requires_grad_(),
            torch.ones(3, device=device, dtype=kind).requires_grad_(),
        )
        out = render_rays(*leaves[:2], t_starts, t_ends, rays.to(device), 300, leaves[2])
        (out[0].square().sum() + out[1].sum() + out[2].sum()).backward()
        results.append([*(t.detach() for t in out), *(t.grad for t in leaves)])
    for got, want in zip(*results, strict=True):
        assert scaled(got, want) < (1e-4 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_render_rays_equals_the_cpu(dtype):
    """float32 through nerfacc where it is installed, float64 through torch."""
    rays_agree(dtype, "cuda")
