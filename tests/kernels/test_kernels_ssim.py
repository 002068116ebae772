"""SSIM as a loss: against the plain 11 x 11 convolution, its gradients, and the compiled kernel against the twin."""

import pytest
import torch
from torch.nn import functional as F

from methods import kernels
from methods.ssim import _twin, l1_dssim, ssim

needs_native = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
native_paths = kernels.native.paths() if kernels.native else []
SHAPES = [(3, 40, 37), (2, 3, 33, 300), (1, 3, 1, 1), (3, 5, 9), (3, 20, 8)]


def direct(x, y):
    """Mean SSIM with a two-dimensional window, as 3-d Gaussian splatting's training code writes it."""
    taps = torch.exp(-((torch.arange(11, dtype=x.dtype) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(taps, taps) / taps.sum() ** 2
    x, y = x.reshape(-1, 1, *x.shape[-2:]), y.reshape(-1, 1, *y.shape[-2:])

    def blur(t):
        return F.conv2d(t, window[None, None], padding=5)

    mx, my = blur(x), blur(y)
    sx, sy, sxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return (((2 * mx * my + 1e-4) * (2 * sxy + 9e-4)) / ((mx**2 + my**2 + 1e-4) * (sx + sy + 9e-4))).mean()


def images(shape, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    x, y = (torch.rand(shape, generator=g, dtype=torch.float64) for _ in range(2))
    return x.to(torch.float32).to(dtype), (0.7 * x + 0.3 * y).to(torch.float32).to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_twin_equals_the_plain_convolution(shape):
    x, y = images(shape)
    x.requires_grad_()
    value, grad = ssim(x, y), torch.autograd.grad(ssim(x, y), x)[0]
    assert abs(value - direct(x, y)) < 1e-12
    assert torch.allclose(grad, torch.autograd.grad(direct(x, y), x)[0], atol=1e-12)


def test_twin_against_finite_differences_in_both_images():
    x, y = (t.requires_grad_() for t in images((1, 5, 4)))
    assert torch.autograd.gradcheck(ssim, (x, y))
    assert torch.autograd.gradcheck(l1_dssim, (x, y))


@needs_native
@pytest.mark.parametrize("path", native_paths)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", [ssim, l1_dssim])
def test_compiled_equals_the_twin(loss, shape, path):
    x, y = images(shape)
    want = loss(x.requires_grad_(), y)
    want.backward()
    x32 = x.detach().float().requires_grad_()
    with kernels.using(path=path):
        got = loss(x32, y.float())
        (3 * got).backward()
    assert abs(got.item() - want.item()) < 2e-6
    assert (x32.grad - 3 * x.grad).norm() < 1e-5 * (3 * x.grad).norm() + 1e-9


@needs_native
@pytest.mark.parametrize("path", native_paths)
def test_same_bits_for_any_number_of_threads(path):
    x, y = images((3, 70, 300), torch.float32)
    grads = []
    for threads in (1, 2):
        leaf = x.clone().requires_grad_()
        with kernels.using(path=path, threads=threads):
            loss = l1_dssim(leaf, y)
            loss.backward()
        grads.append((loss.detach(), leaf.grad))
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_equal_images_and_views():
    x, _ = images((3, 30, 20), torch.float32)
    assert ssim(x, x).item() == pytest.approx(1, abs=1e-6)
    assert l1_dssim(x, x).item() == pytest.approx(0, abs=1e-6)
    _, y = images((3, 30, 20), torch.float32)
    interleaved = x.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # as an H x W x 3 image comes
    assert ssim(interleaved, y).item() == pytest.approx(ssim(x, y).item(), abs=1e-6)


def test_gradient_accumulates_and_leaves_the_saved_one_alone():
    x, y = images((3, 12, 12), torch.float32)
    x.requires_grad_()
    loss = ssim(x, y)
    loss.backward(retain_graph=True)
    once = x.grad.clone()
    loss.backward()
    assert torch.allclose(x.grad, 2 * once)


def test_y_gets_its_gradient_too():
    x, y = images((3, 12, 12), torch.float32)
    y.requires_grad_()
    ssim(x, y).backward()
    want = y.detach().double().requires_grad_()
    _twin(x.double(), want).backward()
    assert torch.allclose(y.grad.double(), want.grad, atol=1e-6)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        ssim(torch.zeros(3, 4, 4), torch.zeros(3, 4, 5))
    with pytest.raises(ValueError, match="one shape"):
        ssim(torch.zeros(4, 4), torch.zeros(4, 4))
