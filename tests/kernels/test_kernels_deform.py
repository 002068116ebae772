"""Canonical Gaussians and their motion: finite differences, and the compiled kernel against the twin in float64."""

import pytest
import torch
import torch.nn.functional as F
from splat_oracle import cameras, relative

from methods import kernels
from methods.gaussians import deform as module
from methods.gaussians import rasterize
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.deform import Motion, deform, deform_twin

needs_native = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
native_paths = kernels.native.paths() if kernels.native else []
on_each_path = pytest.mark.parametrize("path", native_paths)
EXACT = 1e-6
COUNTS = (1, 7, 8, 9, 513)  # a vector of the kernels holds 4 or 8, a task 512
AXIS = (0.02, 0.1, -0.03)
CENTRE = (0.3, -0.2, 2.0)
WIDTHS = (37, 6)  # of codes
OUTPUTS = ("means", "quats", "scales", "opacities", "colours", "motion_size")
RAW = ("xyz", "f_dc", "f_rest", "scaling", "rotation", "opacity")


def make_cloud(n, degree=2, dtype=torch.float32):
    """Raw parameters of all sizes; about a third of the colours are below zero, where they are cut off."""
    g = torch.Generator().manual_seed(0)
    shapes = {"xyz": (3,), "f_dc": (1, 3), "f_rest": (8, 3), "scaling": (3,), "rotation": (4,), "opacity": (1,)}
    factors = {"xyz": 0.5, "f_dc": 3, "f_rest": 1, "scaling": 3, "rotation": 2, "opacity": 3}
    raw = {k: factors[k] * torch.randn(n, *shape, generator=g) for k, shape in shapes.items()}
    raw["embedding"] = torch.randn(n, 4, generator=g)
    cloud = GaussianCloud({k: v.to(dtype) for k, v in raw.items()}, 1.0)
    cloud.active_degree = degree
    return cloud


def make_motion(n, columns):
    g = torch.Generator().manual_seed(1)
    offsets = torch.randn(n, columns, generator=g)
    offsets[1::5] = 0
    return offsets


def make_codes(n, count):
    g = torch.Generator().manual_seed(2)
    return [torch.randn(n, width, generator=g) for width in WIDTHS[:count]]


def run(function, cloud, offsets, codes, dtype=torch.float32):
    """Outputs by name, with unit quaternions, and gradients by name of a fixed random loss."""
    offsets = None if offsets is None else offsets.to(dtype, copy=True).requires_grad_()
    codes = [code.to(dtype, copy=True).requires_grad_() for code in codes]
    motion = None if offsets is None else Motion(offsets, AXIS)
    moved = function(cloud, motion, torch.tensor(CENTRE, dtype=dtype), codes)
    out = {name: getattr(moved, name) for name in OUTPUTS}
    assert all(t.dtype == dtype for t in out.values())
    out = {name: t.double() for name, t in out.items()}
    out["quats"] = F.normalize(out["quats"], dim=1)
    g = torch.Generator().manual_seed(3)
    loss = sum((t * torch.randn(t.shape, generator=g)).sum() for t in out.values())
    loss.backward()
    leaves = {**cloud.raw, "offsets": offsets, **{f"code {k}": code for k, code in enumerate(codes)}}
    grads = {name: t.grad for name, t in leaves.items() if t is not None and name != "embedding"}
    return {name: t.detach() for name, t in out.items()}, grads


@needs_native
@on_each_path
@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("columns", [0, 3, 11])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_compiled_equals_the_twin(degree, columns, count, path):
    for n in COUNTS:
        offsets, codes = make_motion(n, columns) if columns else None, make_codes(n, count)
        with kernels.using(path=path):
            got, got_grads = run(deform, make_cloud(n, degree), offsets, codes)
        want, want_grads = run(deform_twin, make_cloud(n, degree, dtype=torch.float64), offsets, codes, torch.float64)
        for name in OUTPUTS:
            assert got[name].shape == want[name].shape
            assert relative(got[name], want[name]) <= EXACT, (n, name)
        assert (
            got_grads.keys() == want_grads.keys() == {*RAW, *["offsets"][: columns // 3], *["code 0", "code 1"][:count]}
        )
        for name, b in want_grads.items():
            if b is None:  # bands that are not active have none
                assert (name, degree) == ("f_rest", 0)
                assert got_grads[name] is None
                continue
            assert got_grads[name].shape == b.shape
            assert relative(got_grads[name], b) <= EXACT, (n, name)


def test_twin_against_finite_differences():
    cloud, centre = make_cloud(4, dtype=torch.float64), torch.tensor(CENTRE, dtype=torch.float64)
    for name in ("f_dc", "f_rest"):
        cloud.raw[name].data.mul_(0.2)
    offsets, codes = make_motion(4, 11).double(), [code.double() for code in make_codes(4, 2)]
    offsets[offsets == 0] = 0.1  # |offset| has a kink at zero
    names = ("f_dc", "f_rest", "scaling", "rotation", "opacity")
    leaves = [cloud.raw[name].detach().clone() for name in names]
    leaves = [t.requires_grad_() for t in (*leaves, offsets[:, 3:], *codes)]

    def outputs(*given):
        cloud.raw.update(zip(names, given, strict=False))
        moved = deform_twin(cloud, Motion(torch.cat([offsets[:, :3], given[5]], 1), AXIS), centre, given[6:])
        assert moved.colours.min() > 1e-3
        return tuple(getattr(moved, name) for name in OUTPUTS)

    def places(xyz, position):  # colours change with the means, but by intent get no gradient there
        cloud.raw["xyz"] = xyz
        moved = deform_twin(cloud, Motion(torch.cat([position, offsets[:, 3:]], 1), AXIS), centre)
        return moved.means, moved.motion_size

    assert torch.autograd.gradcheck(outputs, leaves)
    assert torch.autograd.gradcheck(places, (cloud.xyz.detach().requires_grad_(), offsets[:, :3].requires_grad_()))


def test_motion_of_known_size():
    offsets = torch.tensor([[1.0, -2, 3, 1, -1, 1, 1, -5, 2, 2, 2], [0.0] * 11])
    motion = Motion(offsets, (0.5, 0.1, 0.2))
    want = (0.5 + 0.2 + 0.6) / 6 + 4 / 8 + 5 / 2 + 6 / 6
    moved = deform_twin(make_cloud(2), motion, torch.zeros(3))
    assert moved.motion_size.item() == pytest.approx(want)
    assert torch.allclose(motion.xyz[0], torch.tensor([0.5, -0.2, 0.6]))
    position = Motion(offsets[:, :3], (0.5, 0.1, 0.2))
    assert deform_twin(make_cloud(2), position, torch.zeros(3)).motion_size.item() == pytest.approx(1.3 / 6)
    assert deform_twin(make_cloud(2), None, torch.zeros(3)).motion_size.item() == 0


@needs_native
@on_each_path
@pytest.mark.parametrize("columns", [0, 3, 11])
def test_no_gaussians(columns, path):
    """What is left when all were pruned."""
    cloud = make_cloud(1)
    cloud.replace(torch.zeros(1, dtype=torch.bool))
    with kernels.using(path=path):
        out, grads = run(deform, cloud, make_motion(0, columns) if columns else None, make_codes(0, 2))
    want = {"means": (0, 3), "quats": (0, 4), "scales": (0, 3), "opacities": (0,), "colours": (0, 5), "motion_size": ()}
    assert {name: tuple(t.shape) for name, t in out.items()} == want
    assert out["motion_size"] == 0
    shapes = {"offsets": (0, columns), "code 0": (0, WIDTHS[0]), "code 1": (0, WIDTHS[1])}
    for name, grad in grads.items():
        assert grad.shape == shapes.get(name, getattr(cloud.raw.get(name), "shape", None))


@needs_native
@on_each_path
def test_same_bits_for_any_number_of_threads_and_again(path):
    offsets, codes = make_motion(3000, 11), make_codes(3000, 2)
    results = []
    for threads in (1, 2, 3, 2, 1):
        with kernels.using(path=path, threads=threads):
            out, grads = run(deform, make_cloud(3000), offsets, codes)
        results.append([*out.values(), *grads.values()])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@needs_native
@on_each_path
def test_extreme_values(path):
    n = 20_001
    values = torch.linspace(-20, 30, n)
    cloud = make_cloud(n, degree=0)
    cloud.raw["scaling"].data.copy_(values[:, None].expand(n, 3))
    cloud.raw["opacity"].data.copy_(torch.linspace(-30, 30, n)[:, None])
    scaling, opacity = (cloud.raw[name].detach().double() for name in ("scaling", "opacity"))
    with kernels.using(path=path):
        moved = deform(cloud, None, torch.tensor(CENTRE))
        (moved.scales.sum() + moved.opacities.sum()).backward()
    softplus = torch.where(scaling > 0, scaling, 0) + torch.log1p(torch.exp(-scaling.abs()))
    assert ((moved.scales.double() - softplus) / softplus).abs().max() <= 1e-6
    sigmoid = torch.sigmoid(opacity)[:, 0]
    assert ((moved.opacities.double() - sigmoid) / sigmoid).abs().max() <= 1e-6
    assert (moved.opacities > 0).all()
    assert (moved.opacities <= 1).all()
    slope = torch.sigmoid(scaling)
    assert ((cloud.raw["scaling"].grad - slope) / slope).abs().max() <= 1e-6
    assert (cloud.raw["opacity"].grad[:, 0] - sigmoid * (1 - sigmoid)).abs().max() <= 2e-7


@needs_native
@on_each_path
@pytest.mark.parametrize("value", [-300.0, -100.0, 100.0, 3e38])
def test_beyond_the_range_of_exp(value, path):
    offsets = make_motion(9, 11)
    cloud = make_cloud(9)
    for name in ("scaling", "opacity"):
        cloud.raw[name].data.fill_(value)
    with kernels.using(path=path):
        out, grads = run(deform, cloud, offsets, [])
    assert all(torch.isfinite(t).all() for t in (*out.values(), *grads.values()))
    assert (out["opacities"] == (value > 0)).all() or value < 0
    assert (out["opacities"] < 1e-36).all() or value > 0
    want = cloud.raw["scaling"].detach().double() + offsets[:, 8:]
    assert torch.allclose(out["scales"], want.clamp_min(0), rtol=1e-6, atol=1e-36)


@needs_native
@on_each_path
def test_codes_of_zero_have_no_gradient(path):
    codes = make_codes(9, 2)
    codes[0][[0, 3, 8]] = 0
    codes[1][3] = 0
    with kernels.using(path=path):
        got, got_grads = run(deform, make_cloud(9), None, codes)
    want, want_grads = run(deform_twin, make_cloud(9, dtype=torch.float64), None, codes, torch.float64)
    assert (got["colours"][[0, 3, 8], 3] == 0).all()
    assert relative(got["colours"], want["colours"]) <= EXACT
    for k, rows in ((0, [0, 3, 8]), (1, [3])):
        assert (got_grads[f"code {k}"][rows] == 0).all()
        assert relative(got_grads[f"code {k}"], want_grads[f"code {k}"]) <= EXACT


@needs_native
@on_each_path
def test_a_gaussian_in_the_camera_has_a_colour(path):
    results = []
    for function, dtype in ((deform, torch.float32), (deform_twin, torch.float64)):
        cloud = make_cloud(5, dtype=dtype)
        cloud.raw["xyz"].data[2] = torch.tensor(CENTRE)
        with kernels.using(path=path):
            moved = function(cloud, None, torch.tensor(CENTRE, dtype=torch.float32).to(dtype))
            moved.colours.square().sum().backward()
        results.append([moved.colours.detach(), cloud.raw["f_dc"].grad, cloud.raw["f_rest"].grad])
    assert all(relative(a, b) <= EXACT for a, b in zip(*results, strict=True))


@needs_native
@on_each_path
@pytest.mark.parametrize("learns", ["f_dc f_rest embedding", "f_dc f_rest opacity", *RAW, "embedding"])
def test_frozen_parameters_get_no_gradient(learns, path):
    """As the methods' late stages freeze them; the motion and the codes come from the embedding."""
    results, learns = [], set(learns.split())
    mixing = torch.randn(4, 11 + 5, generator=torch.Generator().manual_seed(5))
    for function, dtype in ((deform, torch.float32), (deform_twin, torch.float64)):
        cloud = make_cloud(9, dtype=dtype)
        cloud.trainable(learns)
        codes = cloud.embedding @ mixing.to(dtype)
        with kernels.using(path=path):
            moved = function(cloud, Motion(codes[:, :11], AXIS), torch.tensor(CENTRE, dtype=dtype), [codes[:, 11:]])
            quats = F.normalize(moved.quats.double(), dim=1)
            loss = moved.means.sum() + moved.scales.sum() + moved.opacities.sum() + moved.motion_size
            (loss + (quats * torch.arange(4)).sum() + moved.colours.sum()).backward()
        results.append({name: t.grad for name, t in cloud.raw.items()})
    got, want = results
    assert {name for name, grad in got.items() if grad is not None} == learns
    assert {name for name, grad in want.items() if grad is not None} == learns
    for name in learns:
        assert relative(got[name], want[name]) <= EXACT


@needs_native
@on_each_path
def test_with_everything_frozen_nothing_asks_for_a_gradient(path):
    cloud = make_cloud(9)
    cloud.trainable(set())
    with kernels.using(path=path):
        moved = deform(cloud, Motion(make_motion(9, 11), AXIS), torch.tensor(CENTRE), make_codes(9, 1))
    assert not any(getattr(moved, name).requires_grad for name in OUTPUTS)


@needs_native
@on_each_path
def test_views_give_the_same_bits(path):
    results = []
    for form in (torch.clone, lambda t: t.repeat(1, 2).T.contiguous().T[:, : t.shape[1]]):
        offsets, codes = form(make_motion(9, 11)), [form(c) for c in make_codes(9, 2)]
        cloud = make_cloud(9)
        for name, value in cloud.raw.items():
            if value.ndim == 2:
                cloud.raw[name] = form(value.detach()).requires_grad_()
        with kernels.using(path=path):
            out, grads = run(deform, cloud, offsets, codes)
        results.append([*out.values(), *grads.values()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@needs_native
@on_each_path
def test_gradients_that_nobody_asks_of_some_outputs(path):
    """Only part of the outputs is used; that of colours comes expanded."""
    for used in OUTPUTS[1:]:
        grads = []
        for function, dtype in ((deform, torch.float32), (deform_twin, torch.float64)):
            cloud, offsets = make_cloud(9, dtype=dtype), make_motion(9, 11).to(dtype).requires_grad_()
            with kernels.using(path=path):
                moved = function(cloud, Motion(offsets, AXIS), torch.tensor(CENTRE, dtype=dtype))
                value = getattr(moved, used)
                (F.normalize(value.double(), dim=1)[:, 0] if used == "quats" else value).sum().backward()
            grads.append({"offsets": offsets.grad, **{name: cloud.raw[name].grad for name in RAW}})
        for name in grads[0]:
            got, want = (torch.zeros(1) if g[name] is None else g[name] for g in grads)
            assert relative(got, want.expand_as(got)) <= EXACT, (used, name)


@needs_native
@on_each_path
def test_not_a_number_comes_through(path):
    """So that the rasteriser can refuse it by name, and the loss shows it."""
    for name in RAW:
        got, want = make_cloud(9), make_cloud(9)
        for cloud in (got, want):
            cloud.raw[name].data.view(9, -1)[4, 0] = float("nan")
        with kernels.using(path=path):
            moved = deform(got, None, torch.tensor(CENTRE))
        wanted = deform_twin(want, None, torch.tensor(CENTRE))
        for output in ("means", "scales", "opacities", "colours"):
            seen, expected = (getattr(m, output).isnan() for m in (moved, wanted))
            assert torch.equal(seen, expected), (name, output)
        assert torch.equal(moved.quats.isnan().any(1), wanted.quats.isnan().any(1))


class Refused(Exception):
    """The compiled kernel was asked."""


class NoKernel:
    @staticmethod
    def apply(*_):
        raise Refused


@needs_native
def test_float64_goes_to_the_twin(monkeypatch):
    monkeypatch.setattr(module, "_Compiled", NoKernel)
    centre = torch.tensor(CENTRE, dtype=torch.float64)
    cloud = make_cloud(5, dtype=torch.float64)
    moved, wanted = deform(cloud, None, centre), deform_twin(cloud, None, centre)
    assert all(torch.equal(getattr(moved, name), getattr(wanted, name)) for name in OUTPUTS)
    with pytest.raises(Refused):
        deform(make_cloud(5), None, centre)


@needs_native
def test_wrong_shapes_are_refused():
    cloud, centre = make_cloud(5), torch.tensor(CENTRE)
    with pytest.raises(ValueError, match=r"offsets \[n, 3\] or \[n, 11\]"):
        deform(cloud, Motion(torch.zeros(5, 8), AXIS), centre)
    with pytest.raises(ValueError, match=r"offsets \[n, 3\] or \[n, 11\]"):
        deform(cloud, Motion(torch.zeros(4, 3), AXIS), centre)
    with pytest.raises(ValueError, match="at most two codes"):
        deform(cloud, None, centre, [torch.zeros(5, 2)] * 3)
    with pytest.raises(ValueError, match="code of another number"):
        deform(cloud, None, centre, [torch.zeros(4, 2)])
    with pytest.raises(ValueError, match="camera centre"):
        deform(cloud, None, centre[:2])


def drawn(function, dtype, backend):
    """Image, alpha and gradients of the raw parameters and offsets through the rasteriser."""
    n, size = 60, (40, 32)
    cloud = make_cloud(n, dtype=dtype)
    with torch.no_grad():
        cloud.raw["scaling"].mul_(0.2).sub_(2)
        cloud.raw["opacity"].mul_(0.3)
    offsets = (make_motion(n, 11) * 0.3).to(dtype).requires_grad_()
    codes = [code.to(dtype).requires_grad_() for code in make_codes(n, 2)]
    view, K = cameras(*size, dtype=dtype)
    centre = -view[0, :3, :3].T @ view[0, :3, 3]
    moved = function(cloud, Motion(offsets, AXIS), centre, codes)
    image, alpha, _ = rasterize(
        moved.means, moved.quats, moved.scales, moved.opacities, moved.colours, view, K, *size,
        backgrounds=torch.full((1, 5), 0.25, dtype=dtype), detached_channels=2, backend=backend,
    )  # fmt: skip
    g = torch.Generator().manual_seed(8)
    weights = [torch.randn(t.shape, generator=g).to(dtype) for t in (image, alpha)]
    ((image * weights[0]).sum() + (alpha * weights[1]).sum() + moved.motion_size).backward()
    grads = {name: cloud.raw[name].grad for name in RAW}
    codes_grads = {f"code {k}": code.grad for k, code in enumerate(codes)}
    return {"image": image.detach(), "alpha": alpha.detach(), **grads, "offsets": offsets.grad, **codes_grads}


@needs_native
@on_each_path
def test_through_the_rasteriser(path):
    with kernels.using(path=path):
        got = drawn(deform, torch.float32, "cpu")
    want = drawn(deform_twin, torch.float64, "torch")
    assert (got["image"] - want["image"]).abs().max() <= 1e-5 * want["image"].abs().max()
    for name, tensor in want.items():
        assert relative(got[name], tensor) <= 1e-5, name
