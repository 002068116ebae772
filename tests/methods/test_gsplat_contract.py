"""What our rasteriser hands to gsplat and takes from it, against a fake that follows gsplat's conventions to the letter."""

from __future__ import annotations

import importlib.machinery
import inspect
import sys
import types
import weakref
from functools import cache
from pathlib import Path

import pytest
import torch

from bench.errors import AbsentError
from methods import kernels
from methods.gaussians import raster_gsplat, rasterize

sys.path.append(str(Path(__file__).parents[1] / "kernels"))
gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed: pip install 'talkbench[test]'")
import fake_gsplat  # noqa: E402
from splat_oracle import NAMES, cameras, cloud, relative  # noqa: E402

SIZE = (40, 30)
LIMITS = {"near_plane": 3.8, "eps2d": 0.25}  # neither gsplat's defaults nor ours; the plane cuts through the cloud
BACKENDS = ["gsplat", "gsplat-packed"]


def scene(channels=4, count=2):
    """60 Gaussians, some out of view: five tensors, viewmats and Ks, backgrounds."""
    tensors = cloud(60, channels, size=0.15)
    tensors[0][:6, 2] -= 20  # behind the camera
    tensors[0][6:9, 0] += 30  # beside the image
    tensors[3][9:12] = 1e-3  # fainter than 1/255
    behind = torch.rand(count, channels, generator=torch.Generator().manual_seed(2))
    return tensors, cameras(*SIZE, count=count), behind


def run(backend, detached=0, background=True, channels=4, count=2, size=SIZE):
    """Image, alpha, info and gradients (five tensors, backgrounds, means2d) of a fixed random loss."""
    tensors, view, behind = scene(channels, count)
    dtype = torch.float64 if backend == "torch" else torch.float32
    leaves = [t.to(dtype).requires_grad_() for t in tensors]
    behind = behind.to(dtype).requires_grad_()
    image, alpha, info = rasterize(
        *leaves, *[t.to(dtype) for t in view], *size, backgrounds=behind if background else None, backend=backend,
        detached_channels=detached, **LIMITS,
    )  # fmt: skip
    g = torch.Generator().manual_seed(1)
    w_image, w_alpha = torch.randn(image.shape, generator=g), torch.randn(alpha.shape, generator=g)
    ((image * w_image).sum() + (alpha * w_alpha).sum()).backward()
    grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in (*leaves, behind, info["means2d"])]
    return image.detach(), alpha.detach(), info, grads


@pytest.fixture
def fake(monkeypatch):
    """``install(change)``: gsplat is the fake from here on, its arguments altered by ``change`` on the way."""

    def install(change=lambda arguments: arguments):
        monkeypatch.setattr(
            raster_gsplat, "_kernel", lambda means: lambda **given: fake_gsplat.rasterization(**change(dict(given)))
        )
        fake_gsplat.rasterization.seen.clear()
        fake_gsplat.rasterization.passes.clear()

    install()
    return install


@cache
def twin(*given):
    return run("torch", *given)


def agree(backend, detached=0, background=True, channels=4, count=2):
    """The contract: pictures and gradients are the twin's."""
    got = run(backend, detached, background, channels, count)
    want = twin(detached, background, channels, count)
    assert (got[0] - want[0]).abs().max() < 2e-5
    assert (got[1] - want[1]).abs().max() < 2e-5
    for label, a, b in zip((*NAMES, "backgrounds", "means2d"), got[3], want[3], strict=True):
        assert relative(a, b) < 1e-4, label


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("detached", "background", "channels", "count"),
    [(0, True, 4, 2), (2, True, 5, 1), (3, True, 3, 1), (0, False, 1, 2)],
)
def test_equals_the_twin(fake, backend, detached, background, channels, count):
    agree(backend, detached, background, channels, count)


@pytest.mark.parametrize("backend", BACKENDS)
def test_info_is_dense(fake, backend):
    tensors, view, _ = scene()
    _, _, got, grads = run(backend)
    _, _, want, _ = run("torch")
    seen = want["radii"] > 0
    assert seen.any()
    assert not seen.all()
    assert torch.equal(got["radii"], want["radii"])
    assert got["radii"].dtype == torch.int32
    assert got["means2d"].shape == (2, 60, 2)
    assert got["depths"].shape == (2, 60)
    for name in ("means2d", "depths"):
        assert relative(got[name][seen], want[name][seen]) < 1e-6
    assert (grads[6][~seen] == 0).all()  # what densification reads, with NaN in the memory of what is culled
    frozen = rasterize(*tensors, *view, *SIZE, backend=backend)[2]
    assert not frozen["means2d"].requires_grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_on_info_reach_the_cloud(fake, backend):
    gradients = {}
    for name in (backend, "torch"):
        dtype = torch.float64 if name == "torch" else torch.float32
        tensors, view, _ = scene()
        leaves = [t.to(dtype).requires_grad_() for t in tensors]
        image, _, info = rasterize(*leaves, *[t.to(dtype) for t in view], *SIZE, backend=name)
        seen = info["radii"] > 0
        (image.sum() + info["means2d"][seen].square().sum() + info["depths"][seen].sum()).backward()
        gradients[name] = leaves[0].grad, info["means2d"].grad
    for got, want in zip(gradients[backend], gradients["torch"], strict=True):
        assert relative(got, want) < 1e-4


def test_packed_results_hold_no_cycle(fake):
    tensors, view, _ = scene()
    leaves = [t.requires_grad_() for t in tensors]
    image, _, info = rasterize(*leaves, *view, *SIZE, backend="gsplat-packed")
    image.sum().backward()
    dense = weakref.ref(info["means2d"])
    del image, info
    assert dense() is None  # at once, without the garbage collector: else each training step would keep its graph


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_and_unseen_clouds(fake, backend):
    behind = torch.tensor([[0.2, 0.4, 0.6]], requires_grad=True)
    for tensors in (cloud(0, 3), cloud(5, 3)):
        tensors[0][:, 2] -= 20
        leaves = [t.requires_grad_() for t in tensors]
        image, alpha, info = rasterize(*leaves, *cameras(8, 6), 8, 6, backgrounds=behind, backend=backend)
        image.sum().backward()
        assert torch.equal(image, behind.expand(1, 6, 8, 3))
        assert (alpha == 0).all()
        assert (info["radii"] == 0).all()
        assert info["means2d"].shape == (1, len(tensors[0]), 2)


def turned_back(viewmats):
    turned = viewmats.clone()
    turned[:, :3, :3] = viewmats[:, :3, :3].mT
    return turned


REFUSED = {  # by the fake's assertions
    "log scales": lambda a: {"scales": a["scales"].log()},
    "opacity logits": lambda a: {"opacities": a["opacities"].logit()},
    "viewmats transposed": lambda a: {"viewmats": a["viewmats"].mT},
    "Ks transposed": lambda a: {"Ks": a["Ks"].mT},
    "antialiased": lambda a: {"rasterize_mode": "antialiased"},
    "depth besides": lambda a: {"render_mode": "RGB+D"},
    "small ones skipped": lambda a: {"radius_clip": 3.0},
    "an unknown argument": lambda a: {"packing": True},
}
DRAWN_OTHERWISE = {
    "quats xyzw": lambda a: {"quats": a["quats"][:, [1, 2, 3, 0]]},
    "quats inverted": lambda a: {"quats": a["quats"] * torch.tensor([1.0, -1, -1, -1])},
    "scales activated twice": lambda a: {"scales": a["scales"].exp()},
    "squared scales": lambda a: {"scales": a["scales"].square()},
    "rotations transposed": lambda a: {"viewmats": turned_back(a["viewmats"])},
    "camera to world": lambda a: {"viewmats": torch.linalg.inv(a["viewmats"])},
    "OpenGL axes": lambda a: {"viewmats": torch.diag(torch.tensor([1.0, -1, -1, 1])) @ a["viewmats"]},
    "focal lengths swapped": lambda a: {"Ks": torch.stack([K[[1, 0, 2]][:, [1, 0, 2]] for K in a["Ks"]])},
    "Ks in half pixels": lambda a: {"Ks": a["Ks"] / torch.tensor([[2.0], [2], [1]])},
    "pixel centres at 0": lambda a: {"Ks": a["Ks"] - torch.tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])},
    "width and height swapped": lambda a: {"width": a["height"], "height": a["width"]},
    "cameras in another order": lambda a: {"viewmats": a["viewmats"].flip(0), "Ks": a["Ks"].flip(0)},
    "default near plane": lambda a: {"near_plane": 0.01},
    "default eps2d": lambda a: {"eps2d": 0.3},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused(fake, mistake, backend):
    fake(lambda arguments: arguments | REFUSED[mistake](arguments))
    with pytest.raises(AssertionError):
        run(backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mistake", DRAWN_OTHERWISE)
def test_a_mistake_is_seen(fake, mistake, backend):
    """By far, in the picture alone."""
    fake(lambda arguments: arguments | DRAWN_OTHERWISE[mistake](arguments))
    tensors, view, behind = scene()
    got = rasterize(*tensors, *view, *SIZE, backgrounds=behind, backend=backend, **LIMITS)[0]
    want = rasterize(*tensors, *view, *SIZE, backgrounds=behind, backend="torch", **LIMITS)[0]
    assert got.shape != want.shape or (got - want).abs().max() > 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mistake", [*REFUSED, *DRAWN_OTHERWISE])
def test_the_contract_fails_on_a_mistake(fake, mistake, backend):
    """``test_equals_the_twin``, with the mistake in what reaches gsplat: order of quats, activation of scales, …"""
    fake(lambda arguments: arguments | (REFUSED | DRAWN_OTHERWISE)[mistake](arguments))
    with pytest.raises((AssertionError, RuntimeError)):  # torch's own: pictures of other sizes can't be compared
        agree(backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_channels_in_one_pass_where_no_gradient_goes_to_the_geometry(fake, backend):
    tensors, view, behind = scene(channels=5, count=1)
    given = {"backgrounds": behind, "backend": backend, "detached_channels": 2}
    with torch.no_grad():
        got = rasterize(*[t.requires_grad_() for t in tensors], *view, *SIZE, **given)[0]
    frozen = [*[t.detach() for t in tensors[:4]], tensors[4]]
    image = rasterize(*frozen, *view, *SIZE, **given)[0]
    image.sum().backward()
    assert (tensors[4].grad[:, 3:].abs().sum(0) > 0).all()
    assert torch.equal(got, image.detach())
    passes = fake_gsplat.rasterization.passes
    assert [(p["channels"], p["geometry"], p["near_plane"]) for p in passes] == [(5, False, 0.2)] * 2
    rasterize(*tensors, *view, *SIZE, **given)[0].sum().backward()
    assert [(p["channels"], p["geometry"]) for p in passes[2:]] == [(3, True), (2, False)]


def test_real_gsplat_takes_what_we_pass(fake):
    run("gsplat")
    asked_for = inspect.signature(fake_gsplat.rasterization).parameters.keys() - {"rest"}
    passed = asked_for | fake_gsplat.rasterization.seen[0].keys()
    real = inspect.signature(gsplat.rasterization).parameters
    assert passed <= real.keys()
    # Left to their defaults: lenses other than a pinhole, which the flags that we do pass (with_ut) keep off.
    for name in real.keys() - passed:
        assert name in ("rolling_shutter", "viewmats_rs") or name.endswith("_coeffs"), name
        assert real[name].default is None or real[name].default.name == "GLOBAL"
    positional = ["means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "width", "height"]
    assert list(real)[: len(positional)] == positional


def test_backgrounds_are_not_left_to_gsplat(fake):
    """1.5.3 refuses them when packed (its issue 764), which the fake does too."""
    fake(lambda a: a | {"backgrounds": torch.zeros(2, 4)})
    run("gsplat")
    with pytest.raises(AssertionError):
        run("gsplat-packed")


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_our_projection_equals_gsplats(backend):
    """Through ``rasterize``: what tests/kernels compares for the torch twin alone, and the radii."""
    if backend == "cpu" and kernels.native is None:
        pytest.skip("the compiled kernels are not built")
    from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci

    tensors, (view, K) = cloud(400, size=0.05), cameras(64, 48, count=2)
    # gsplat's torch code bounds a Gaussian as if it were opaque, at 3.33 deviations instead of 3.329.
    tensors[3].fill_(1)
    info = rasterize(*tensors, view, K, 64, 48, backend=backend)[2]
    covariances, _ = _quat_scale_to_covar_preci(*[t.double() for t in tensors[1:3]], compute_preci=False)
    projected = _fully_fused_projection(tensors[0].double(), covariances, view.double(), K.double(), 64, 48, 0.3, 0.2)
    radii, means2d, depths = projected[0].amax(-1), *projected[1:3]
    seen = info["radii"] > 0
    assert 50 < seen.sum() < 800
    assert relative(info["means2d"][seen], means2d[seen]) < 1e-6
    assert relative(info["depths"][seen], depths[seen]) < 1e-6
    assert ((radii - info["radii"])[seen] <= 1).all()
    assert (radii == info["radii"]).float().mean() > 0.99


def test_backends_are_chosen_by_device_and_type():
    def on(device, dtype):
        return types.SimpleNamespace(is_cuda=device == "cuda", dtype=dtype, device=device)

    choose = sys.modules["methods.gaussians.rasterize"]._choose  # the package's function hides its module
    assert choose("auto", on("cuda", torch.float32)) == "gsplat"
    assert choose("auto", on("cuda", torch.float64)) == "torch"
    assert choose("gsplat-packed", on("cuda", torch.float32)) == "gsplat-packed"
    with pytest.raises(ValueError, match="'gsplat' takes float32"):
        choose("gsplat", on("cuda", torch.float64))


def test_what_is_missing_is_said(monkeypatch):
    def module(name, **contents):
        made = types.ModuleType(name)
        made.__spec__ = importlib.machinery.ModuleSpec(name, None)
        made.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    cuda = types.SimpleNamespace(is_cuda=True)
    with pytest.raises(AbsentError, match="needs CUDA tensors"):
        raster_gsplat._kernel(torch.zeros(1, 3))
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(AbsentError, match="pip install"):
            raster_gsplat._kernel(cuda)
    backend = module("gsplat.cuda._backend", _C=None)
    module("gsplat.cuda", _backend=backend)
    module("gsplat", rasterization=fake_gsplat.rasterization)
    with pytest.raises(AbsentError, match="CUDA toolkit"):
        raster_gsplat._kernel(cuda)
    backend._C = object()
    assert raster_gsplat._kernel(cuda) is fake_gsplat.rasterization
