"""A branch drawn as on CUDA, from raw parameters to densification's gradients: torch deforms, gsplat (the fake) draws.

What tests/methods/test_gsplat_contract.py checks of the rasteriser, seen from the training loop: the order of quaternions,
activations, cameras and gradient units that the compiled kernels have.
"""

from __future__ import annotations

from functools import cache, partial

import pytest
import torch

from methods import kernels
from methods.deformable import render
from methods.gaussians import raster_gsplat, rasterize
from methods.gaussians.deform import deform_twin

pytest.importorskip("gsplat", reason="gsplat is not installed: pip install 'talkbench[test]'")
import fake_gsplat  # noqa: E402
from branch_oracle import compare, drawn, gaussians, view  # noqa: E402

pytestmark = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")


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
