"""The rasteriser, compiled and in torch, against a dense float64 compositor, finite differences and gsplat's projection."""

import warnings

import pytest
import torch
from splat_oracle import NAMES, cameras, cloud, relative, render

from bench.errors import AbsentError
from methods import kernels
from methods.gaussians import raster_twin, rasterize

needs_native = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
native_paths = kernels.native.paths() if kernels.native else []
IMPLEMENTATIONS = ["torch", *(pytest.param(path, marks=needs_native) for path in native_paths)]
TOLERANCE = {"torch": 1e-10, "cpu": 2e-5}


def run(tensors, view, size, backgrounds, implementation, weights=None, **options):
    """Image, alpha, info and gradients (five tensors, backgrounds, means2d) of a fixed random loss."""
    dtype = torch.float64 if implementation == "torch" else torch.float32
    leaves = [t.to(dtype).clone().requires_grad_() for t in tensors]
    behind = backgrounds.to(dtype).clone().requires_grad_()
    cams = [t.to(dtype) for t in view]
    if implementation == "torch":
        image, alpha, info = rasterize(*leaves, *cams, *size, backgrounds=behind, backend="torch", **options)
    else:
        with kernels.using(path=implementation):
            image, alpha, info = rasterize(*leaves, *cams, *size, backgrounds=behind, backend="cpu", **options)
    g = torch.Generator().manual_seed(1)
    w_image, w_alpha = torch.randn(image.shape, generator=g), torch.randn(alpha.shape, generator=g)
    if weights is not None:
        w_image, w_alpha = w_image * weights, w_alpha * 0
    with kernels.using(path=implementation) if implementation != "torch" else warnings.catch_warnings():
        ((image * w_image).sum() + (alpha * w_alpha).sum()).backward()
    grads = [t.grad if t.grad is not None else torch.zeros_like(t) for t in (*leaves, behind, info["means2d"])]
    return image.detach(), alpha.detach(), info, grads


def oracle(tensors, view, size, backgrounds):
    leaves = [t.double().clone().requires_grad_() for t in tensors]
    behind = backgrounds.double().clone().requires_grad_()
    images = [render(*leaves, v.double(), k.double(), *size, b) for v, k, b in zip(*view, behind, strict=True)]
    image, alpha = torch.stack([i for i, _ in images]), torch.stack([a for _, a in images])[..., None]
    g = torch.Generator().manual_seed(1)
    w_image, w_alpha = torch.randn(image.shape, generator=g), torch.randn(alpha.shape, generator=g)
    ((image * w_image).sum() + (alpha * w_alpha).sum()).backward()
    return image.detach(), alpha.detach(), [t.grad for t in (*leaves, behind)]


CASES = {
    "many small": {"n": 90, "size": (75, 37), "channels": 3, "count": 1, "spread": 0.12},
    "large, saturating, 8 channels": {"n": 60, "size": (40, 50), "channels": 8, "count": 1, "spread": 0.5},
    "two cameras, 1 channel": {"n": 40, "size": (33, 20), "channels": 1, "count": 2, "spread": 0.2},
    "16 channels": {"n": 30, "size": (20, 17), "channels": 16, "count": 1, "spread": 0.2},
}


@pytest.fixture(scope="module")
def exact():
    """Each case's input with the oracle's answer, made when first wanted."""
    made = {}

    def get(name):
        if name not in made:
            case = CASES[name]
            tensors = cloud(case["n"], case["channels"], size=case["spread"])
            view = cameras(*case["size"], count=case["count"])
            behind = torch.rand(case["count"], case["channels"], generator=torch.Generator().manual_seed(2))
            made[name] = (tensors, view, case["size"], behind), oracle(tensors, view, case["size"], behind)
        return made[name]

    return get


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", CASES)
def test_equals_the_dense_compositor(exact, name, implementation):
    given, (image, alpha, grads) = exact(name)
    got_image, got_alpha, _, got_grads = run(*given, implementation)
    tolerance = TOLERANCE["torch" if implementation == "torch" else "cpu"]
    assert (got_image - image).abs().max() < tolerance
    assert (got_alpha - alpha).abs().max() < tolerance
    for label, got, want in zip((*NAMES, "backgrounds"), got_grads, grads, strict=False):
        assert relative(got, want) < tolerance, label


def test_twin_against_finite_differences():
    tensors = [t.requires_grad_() for t in cloud(4, 2, dtype=torch.float64, size=0.3)]
    view = cameras(6, 5, dtype=torch.float64)
    behind = torch.rand(1, 2, dtype=torch.float64, requires_grad=True)

    def draw(*leaves):
        image, alpha, _ = rasterize(*leaves[:5], *view, 6, 5, backgrounds=leaves[5], backend="torch")
        return image, alpha

    assert torch.autograd.gradcheck(draw, (*tensors, behind), eps=1e-7, atol=1e-5)


def test_projection_equals_gsplats():
    reference = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    means, quats, scales, opacities, _ = cloud(200, dtype=torch.float64)
    view, K = cameras(64, 48, dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in (means, quats, scales)]
    covariances, _ = reference._quat_scale_to_covar_preci(leaves[1], leaves[2], compute_preci=False)
    _, means2d, depths, conics, _ = reference._fully_fused_projection(leaves[0], covariances, view, K, 64, 48, 0.3, 0.2)
    ours = [t.clone().requires_grad_() for t in (means, quats, scales)]
    got2d, got_cov, got_depths, _ = raster_twin.project(*ours, opacities, view[0], K[0], 64, 48, 0.3, 0.2)
    a, b, c = got_cov.unbind(-1)
    got_conics = torch.stack([c, -b, a], -1) / (a * c - b * b)[:, None]
    for got, want in ((got2d, means2d[0]), (got_conics, conics[0]), (got_depths, depths[0])):
        assert relative(got, want) < 1e-12
    (got2d.sin().sum() + got_conics.sum() + got_depths.sum()).backward()
    (means2d.sin().sum() + conics.sum() + depths.sum()).backward()
    for got, want in zip(ours, leaves, strict=True):
        assert relative(got.grad, want.grad) < 1e-10


@needs_native
def test_info_agrees_with_the_twin_and_carries_gradients():
    tensors, view = cloud(300, 3), cameras(96, 64)
    behind = torch.zeros(1, 3)
    _, _, want, want_grads = run(tensors, view, (96, 64), behind, "torch")
    _, _, got, got_grads = run(tensors, view, (96, 64), behind, native_paths[0])
    assert torch.equal(got["radii"], want["radii"])
    assert got["radii"].dtype == torch.int32
    seen = want["radii"] > 0
    assert relative(got["means2d"][seen], want["means2d"][seen]) < 1e-6
    assert relative(got["depths"], want["depths"]) < 1e-6
    assert relative(got_grads[6], want_grads[6]) < 2e-5  # means2d, pixel units
    depths = rasterize(*[t.clone().requires_grad_() for t in tensors], *view, 96, 64)[2]["depths"]
    assert depths.requires_grad


@needs_native
def test_gradients_through_depths_and_means2d():
    for backend, dtype in (("cpu", torch.float32), ("torch", torch.float64)):
        tensors = [t.to(dtype).requires_grad_() for t in cloud(50)]
        _, _, info = rasterize(*tensors, *cameras(32, 32, dtype=dtype), 32, 32, backend=backend)
        seen = (info["radii"] > 0).detach()
        (info["depths"][seen].sum() + info["means2d"][seen].square().sum()).backward()
        if backend == "cpu":
            first = tensors[0].grad
    assert relative(first, tensors[0].grad) < 1e-5


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_detached_channels_move_colours_only(implementation):
    tensors, view, size = cloud(80, 5), cameras(40, 30), (40, 30)
    behind = torch.rand(1, 5)
    both = run(tensors, view, size, behind, implementation, detached_channels=2)
    plain = run(tensors, view, size, behind, implementation)
    assert torch.equal(both[0], plain[0])
    assert relative(both[3][4], plain[3][4]) < 1e-6  # colours
    assert relative(both[3][5], plain[3][5]) < 1e-6  # backgrounds
    mask = torch.tensor([1.0, 1, 1, 0, 0])
    attached = run(tensors, view, size, behind, implementation, weights=mask)
    masked = run(tensors, view, size, behind, implementation, weights=torch.ones(5), detached_channels=2)
    for k in (0, 1, 2, 3, 6):
        assert relative(masked[3][k], attached[3][k]) < 1e-6, k


@needs_native
@pytest.mark.parametrize("path", native_paths)
@pytest.mark.parametrize("channels", [3, 6, 13])
def test_same_bits_for_one_and_two_threads(path, channels):
    tensors, view, size = cloud(2000, channels, size=0.05), cameras(200, 150), (200, 150)
    results = []
    for threads in (1, 2, 3):
        with kernels.using(threads=threads):
            image, alpha, _, grads = run(tensors, view, size, torch.rand(1, channels) * 0 + 0.3, path)
        results.append([image, alpha, *grads])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@needs_native
def test_strided_and_expanded_gradients():
    tensors, view = cloud(100, 4), cameras(30, 20)

    def colour_grad(loss):
        leaves = [t.clone().requires_grad_() for t in tensors]
        loss(rasterize(*leaves, *view, 30, 20, backend="cpu")[0]).backward()
        return leaves[0].grad

    weight = torch.zeros(1, 20, 30, 4)
    weight[..., :3] = 1
    want = colour_grad(lambda image: (image.permute(0, 3, 1, 2).contiguous() * weight.permute(0, 3, 1, 2)).sum())
    assert relative(colour_grad(lambda image: image[..., :3].sum()), want) < 1e-6
    assert relative(colour_grad(lambda image: (image * weight).sum()), want) < 1e-6


def behind_camera(tensors):
    tensors[0][:, 2] -= 20


def off_screen(tensors):
    tensors[0][:, 0] += 1e3


def huge(tensors):
    tensors[2] *= 1e6


def flat(tensors):
    tensors[2][:, 1:] = 0


def zero_quaternions(tensors):
    tensors[1].zero_()


def transparent(tensors):
    tensors[3].zero_()


def vast(tensors):
    tensors[2] *= 1e30


DEGENERATE = [behind_camera, off_screen, huge, flat, zero_quaternions, transparent, vast]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("spoil", DEGENERATE)
def test_degenerate_clouds_give_finite_results(spoil, implementation):
    tensors = cloud(9, 3)
    spoil(tensors)
    behind = torch.tensor([[0.2, 0.4, 0.6]])
    image, alpha, info, grads = run(tensors, cameras(20, 12), (20, 12), behind, implementation)
    assert torch.isfinite(image).all()
    assert torch.isfinite(alpha).all()
    assert all(torch.isfinite(g).all() for g in grads[:6])
    if spoil in (behind_camera, off_screen, transparent):
        assert (info["radii"] == 0).all()
        assert torch.allclose(image, behind.to(image.dtype).expand_as(image))
        assert (alpha == 0).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("n", "size"), [(0, (7, 5)), (1, (1, 1)), (5, (1, 1)), (1, (130, 3))])
def test_tiny_inputs(n, size, implementation):
    image, alpha, info, _ = run(cloud(n, 3), cameras(*size), size, torch.ones(1, 3), implementation)
    assert image.shape == (1, size[1], size[0], 3)
    assert alpha.shape == (1, size[1], size[0], 1)
    assert info["means2d"].shape == (1, n, 2)
    assert info["radii"].shape == info["depths"].shape == (1, n)
    if n == 0:
        assert (image == 1).all()
        assert (alpha == 0).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_is_refused_by_name(position, value, implementation):
    tensors = cloud(20, 3)
    tensors[position].view(-1)[7] = value
    with pytest.raises(ValueError, match=f"{NAMES[position]} holds NaN"):
        run(tensors, cameras(8, 8), (8, 8), torch.zeros(1, 3), implementation)


def test_wrong_arguments_are_refused():
    tensors, view = cloud(4, 3), cameras(8, 8)
    with pytest.raises(ValueError, match="unknown backend 'metal'"):
        rasterize(*tensors, *view, 8, 8, backend="metal")
    with pytest.raises(ValueError, match="quats must have shape"):
        rasterize(tensors[0], tensors[2], *tensors[2:], *view, 8, 8)
    with pytest.raises(ValueError, match="float32 or float64"):
        rasterize(*[t.half() for t in (*tensors, *view)], 8, 8)
    with pytest.raises(ValueError, match="1 to 16 channels"):
        rasterize(*tensors[:4], torch.rand(4, 17), *view, 8, 8)
    with pytest.raises(ValueError, match="detached_channels"):
        rasterize(*tensors, *view, 8, 8, detached_channels=4)
    with pytest.raises(ValueError, match="near_plane"):
        rasterize(*tensors, *view, 8, 8, near_plane=0.0)
    with pytest.raises(ValueError, match="width and height"):
        rasterize(*tensors, *view, 0, 8)
    with pytest.raises(ValueError, match="takes float32"):
        rasterize(*[t.double() for t in (*tensors, *view)], 8, 8, backend="cpu")
    with pytest.raises(AbsentError, match="CUDA"):
        rasterize(*tensors, *view, 8, 8, backend="gsplat")


def test_float64_goes_to_the_twin():
    tensors, view = cloud(10, 3, dtype=torch.float64), cameras(8, 8, dtype=torch.float64)
    image, _, _ = rasterize(*tensors, *view, 8, 8)
    assert image.dtype == torch.float64


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gsplat_agrees_with_the_twin():
    pytest.importorskip("gsplat")
    tensors, view = cloud(300, 5), cameras(64, 48)
    on_gpu = [t.cuda().requires_grad_() for t in tensors]
    image, _, info = rasterize(*on_gpu, *[t.cuda() for t in view], 64, 48, detached_channels=2)
    image.sum().backward()
    want, _, want_info, _ = run(tensors, view, (64, 48), torch.zeros(1, 5), "torch")
    assert (image.cpu() - want).abs().max() < 1e-3
    assert info["radii"].shape == want_info["radii"].shape
    assert info["means2d"].grad is not None
