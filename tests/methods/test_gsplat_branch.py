"""A branch drawn as on CUDA, from raw parameters to densification's gradients: torch deforms, gsplat (the fake) draws.

What tests/methods/test_gsplat_contract.py checks of the rasteriser, seen from the training loop: the order of quaternions,
activations, cameras and gradient units that the compiled kernels have.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.subject import Camera
from methods import kernels
from methods.deformable import render
from methods.deformable.fields import Encoded
from methods.deformable.sample import View
from methods.gaussians import raster_gsplat, rasterize
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.deform import Motion, deform_twin

pytest.importorskip("gsplat", reason="gsplat is not installed: pip install 'talkbench[test]'")
sys.path.append(str(Path(__file__).parents[1] / "kernels"))
import fake_gsplat  # noqa: E402
from splat_oracle import relative  # noqa: E402

N = 80
pytestmark = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")


def gaussians():
    """A cloud of uneven, turned Gaussians in front of a turned camera, its motion, and two codes."""
    g = torch.Generator().manual_seed(3)
    cloud = GaussianCloud.random((torch.rand(N, 3, generator=g) - 0.5) * 0.2, 0, 1.0)
    with torch.no_grad():
        for name, spread in {"scaling": 0.8, "rotation": 1.0, "opacity": 2.0, "f_dc": 1.0, "f_rest": 0.2}.items():
            cloud.raw[name] += spread * torch.randn(cloud.raw[name].shape, generator=g)
    cloud.active_degree = 2
    motion = Motion(0.3 * torch.randn(N, 11, generator=g), (1e-2, 2e-2, 1e-2))
    codes = [torch.rand(N, width, generator=g).requires_grad_() for width in (32, 16)]
    return cloud, motion, Encoded((), *codes)


def view():
    angle = 0.4
    viewmat = np.eye(4, dtype=np.float32)
    viewmat[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    viewmat[:3, 3] = (0.02, -0.01, 0.8)
    return View.of(Camera(48, 36, 150.0, 140.0, 25.0, 17.0, viewmat), "cpu")


def drawn():
    """A training step's layer, densification's gradients, and those of the raw parameters and codes."""
    cloud, motion, encoded = gaussians()
    layer = render.draw(cloud, view(), motion, render.GREEN, encoded)
    g = torch.Generator().manual_seed(5)
    weights = [torch.randn(t.shape, generator=g) for t in (layer.colour, layer.alpha, layer.attention)]
    loss = sum((t * w).sum() for t, w in zip((layer.colour, layer.alpha, layer.attention), weights, strict=True))
    (loss + layer.motion_size).backward()
    leaves = {**cloud.raw, "audio code": encoded.audio_attention, "expression code": encoded.expression_attention}
    return layer, layer.ndc_gradient(), {n: t.grad for n, t in leaves.items() if t.numel()}


@cache
def by_the_kernels():
    """:func:`drawn` before anything is changed."""
    return drawn()


@pytest.fixture(params=["gsplat", "gsplat-packed"])
def on_gsplat(request, monkeypatch):
    """``install(change)``: draw as on CUDA from here on, gsplat's arguments altered by ``change``."""

    def install(change=lambda arguments: {}):
        kernel = lambda **given: fake_gsplat.rasterization(**given | change(given))  # noqa: E731
        monkeypatch.setattr(raster_gsplat, "_kernel", lambda means: kernel)
        monkeypatch.setattr(render, "deform", deform_twin)
        monkeypatch.setattr(render, "rasterize", partial(rasterize, backend=request.param))
        fake_gsplat.rasterization.passes.clear()

    return install


def compare(got, want):
    for name in ("colour", "alpha", "attention"):
        assert (getattr(got[0], name) - getattr(want[0], name)).abs().max() < 1e-4, name
    assert torch.equal(got[0].visible, want[0].visible)
    assert relative(got[1], want[1]) < 1e-3, "densification's gradients"
    for name, gradient in want[2].items():
        assert relative(got[2][name], gradient) < 1e-3, name


def test_a_branch_on_gsplat_equals_the_compiled_kernels(on_gsplat):
    want = by_the_kernels()
    assert want[0].visible.sum() > 40
    on_gsplat()
    compare(drawn(), want)
    first, second = fake_gsplat.rasterization.passes
    assert (first["channels"], first["near_plane"], first["eps2d"]) == (3, 0.2, 0.3)
    assert (second["channels"], second["geometry"]) == (2, False)  # attention maps move no Gaussian


CHANGES = {
    "order of quats": lambda a: {"quats": a["quats"].roll(-1, 1)},
    "activation of scales": lambda a: {"scales": torch.expm1(a["scales"]).log()},  # raw ones: softplus undone
    "exponential scales": lambda a: {"scales": torch.expm1(a["scales"])},  # as official 3DGS activates them
    "viewmats transposed": lambda a: {"viewmats": a["viewmats"].mT},
    "rotations transposed": lambda a: {"viewmats": turned(a["viewmats"])},
    "K transposed": lambda a: {"Ks": a["Ks"].mT},
    "K of half the size": lambda a: {"Ks": a["Ks"] * torch.tensor([[0.5], [0.5], [1.0]])},
    "K's axes swapped": lambda a: {"Ks": a["Ks"][:, [1, 0, 2]][:, :, [1, 0, 2]]},
}


def turned(viewmats):
    out = viewmats.clone()
    out[:, :3, :3] = viewmats[:, :3, :3].mT
    return out


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_convention_is_refused(on_gsplat, name):
    want = by_the_kernels()
    on_gsplat(CHANGES[name])
    with pytest.raises(AssertionError):
        compare(drawn(), want)


def test_a_rendered_frame_takes_one_pass(on_gsplat):
    on_gsplat()
    cloud, motion, encoded = gaussians()
    with torch.no_grad():
        layer = render.draw(cloud, view(), motion, attention=encoded)
    assert layer.attention.shape == (2, 36, 48)
    assert [p["channels"] for p in fake_gsplat.rasterization.passes] == [5]
