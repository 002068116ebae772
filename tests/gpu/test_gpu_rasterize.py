"""gsplat on a GPU against our torch rasteriser on the CPU: pictures, what densification reads, gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from methods.gaussians import rasterize

sys.path.append(str(Path(__file__).parents[1] / "kernels"))
from splat_oracle import NAMES, cameras, cloud, relative  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a CUDA device: run `nox -s gpu` where there is one"
    ),
]
SIZE = (96, 64)


def run(backend, device, detached=0, count=2, channels=5):
    """Image, alpha, info and gradients (five tensors, backgrounds, means2d) of a fixed random loss, on the CPU in float64."""
    dtype = torch.float64 if backend == "torch" else torch.float32
    leaves = [t.to(device, dtype) for t in cloud(500, channels, size=0.08)]
    leaves[0][:20, 2] -= 20  # behind the cameras
    leaves.append(torch.rand(count, channels, generator=torch.Generator().manual_seed(2)).to(device, dtype))
    leaves = [t.detach().requires_grad_() for t in leaves]
    view = [t.to(device, dtype) for t in cameras(*SIZE, count=count)]
    image, alpha, info = rasterize(
        *leaves[:5], *view, *SIZE, backgrounds=leaves[5], backend=backend, detached_channels=detached
    )
    g = torch.Generator().manual_seed(1)
    w_image, w_alpha = (torch.randn(t.shape, generator=g).to(device) for t in (image, alpha))
    ((image * w_image).sum() + (alpha * w_alpha).sum()).backward()
    grads = [t.grad.cpu().double() for t in (*leaves, info["means2d"])]
    info = {name: t.detach().cpu() for name, t in info.items()}
    return image.detach().cpu().double(), alpha.detach().cpu().double(), info, grads


def pictures_agree(backend, device, detached):
    got, want = run(backend, device, detached), run("torch", "cpu", detached)
    for a, b in zip(got[:2], want[:2], strict=True):
        error = (a - b).abs()
        # Fast maths may put an alpha on the other side of the 1/255 below which nothing is drawn: few pixels, by that much.
        assert (error > 1e-4).float().mean() < 1e-3
        assert error.max() < 2 / 255
    for label, a, b in zip((*NAMES, "backgrounds", "means2d"), got[3], want[3], strict=True):
        assert relative(a, b) < 1e-2, label


def info_agrees(backend, device):
    got, want = run(backend, device)[2], run("torch", "cpu")[2]
    seen = (want["radii"] > 0) & (got["radii"] > 0)
    assert got["radii"].dtype == torch.int32
    assert ((got["radii"] - want["radii"]).abs() <= 1).float().mean() > 0.999  # ceilings may fall otherwise
    assert relative(got["means2d"][seen], want["means2d"][seen]) < 1e-5
    assert relative(got["depths"][seen], want["depths"][seen]) < 1e-5


def sees_nothing(backend, device):
    for n in (0, 7):
        leaves = [t.to(device) for t in cloud(n, 3)]
        leaves[0][:, 2] -= 20
        leaves = [t.requires_grad_() for t in leaves]
        behind = torch.tensor([[0.2, 0.4, 0.6]], device=device, requires_grad=True)
        view = [t.to(device) for t in cameras(33, 20)]
        image, alpha, info = rasterize(*leaves, *view, 33, 20, backgrounds=behind, backend=backend)
        image.sum().backward()
        assert torch.allclose(image, behind.expand(1, 20, 33, 3))
        assert (alpha == 0).all()
        assert (info["radii"] == 0).all()
        assert info["means2d"].shape == (1, n, 2)


@pytest.mark.parametrize("backend", ["gsplat", "gsplat-packed", "auto"])
@pytest.mark.parametrize("detached", [0, 2, 5])
def test_equals_the_cpu(backend, detached):
    pictures_agree(backend, "cuda", detached)


@pytest.mark.parametrize("backend", ["gsplat", "gsplat-packed"])
def test_info_equals_the_cpus(backend):
    info_agrees(backend, "cuda")


@pytest.mark.parametrize("backend", ["gsplat", "gsplat-packed"])
def test_nothing_to_see(backend):
    sees_nothing(backend, "cuda")


def test_float64_goes_to_the_twin():
    tensors, view = cloud(10, 3, dtype=torch.float64), cameras(8, 8, dtype=torch.float64)
    image = rasterize(*[t.cuda() for t in (*tensors, *view)], 8, 8)[0]
    assert image.dtype == torch.float64
    assert relative(image.cpu(), rasterize(*tensors, *view, 8, 8)[0]) < 1e-10
