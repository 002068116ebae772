"""The multilayer perceptron: finite differences, and the compiled kernels against the twin in float64."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from splat_oracle import relative
from torch import nn

from methods import kernels
from methods.fields import mlp as module
from methods.fields.mlp import Mlp, mlp, mlp_twin

needs_native = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
native_paths = kernels.native.paths() if kernels.native else []
on_each_path = pytest.mark.parametrize("path", native_paths)
POINTS = (1, 47, 48, 49, 500)  # a block of the kernels holds 48
PARTS = {1: (1,), 2: (3, 11), 3: (1, 116, 3), 4: (116, 1, 11, 128)}  # together 1, 14, 120 and 256 wide
LAYERS = {1: (256,), 2: (11, 1), 3: (116, 256, 3), 4: (11, 256, 3, 116)}
EXACT = 2e-6


def net(n, parts, layers, offset=True, seed=0):
    """Parts, weights and offset (None without), such that values stay of order one.

    No point has a ReLU whose input is so near to zero that float32 could mistake its side.
    """
    g = torch.Generator().manual_seed(seed)
    widths = (sum(parts), *layers)
    weights = [torch.randn(b, a, generator=g) * math.sqrt(2 / a) for a, b in zip(widths, layers, strict=False)]
    added = torch.randn(layers[0], generator=g) if offset else None
    rows = torch.randn(2 * n + 50, widths[0], generator=g)
    hidden, sure = rows.double(), torch.ones(2 * n + 50, dtype=torch.bool)
    for layer, weight in enumerate(weights):
        hidden = hidden @ weight.double().T + (added.double() if offset and not layer else 0)
        sure &= hidden.abs().amin(1) > 1e-5
        hidden = hidden.relu()
    rows = rows[sure][:n]
    assert len(rows) == n
    return list(rows.split(parts, 1)), weights, added


def upstream(out):
    """A fixed random gradient of an output."""
    return torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)


def run(function, parts, weights, offset, relu_last, upstream=upstream):
    """Output of ``function`` and the gradients from ``upstream``: parts, weights and the offset where there is one."""
    parts, weights = [[t.clone().requires_grad_() for t in group] for group in (parts, weights)]
    offset = None if offset is None else offset.clone().requires_grad_()
    out = function(parts, weights, offset, relu_last)
    out.backward(upstream(out))
    leaves = [*parts, *weights, *([] if offset is None else [offset])]
    return [out.detach(), *(t.grad for t in leaves)]


def double(tensors):
    return [t.double() for t in tensors]


def same_bits(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def joined(results, parts):
    """The same with the gradients of the parts side by side: that of one number alone may vanish but for its rounding."""
    return [results[0], torch.cat(results[1 : 1 + parts], 1), *results[1 + parts :]]


def well_posed(n, parts, layers, offset, relu_last):
    """The first net in which nothing vanishes and that torch's own float32 computes well, with the twin's float64 results."""
    for seed in range(20):
        given, weights, added = net(n, parts, layers, offset, seed)
        want = run(mlp_twin, double(given), double(weights), None if added is None else added.double(), relu_last)
        own = run(mlp_twin, given, weights, added, relu_last)
        pairs = zip(joined(own, len(parts)), joined(want, len(parts)), strict=True)
        if all(b.any() and relative(a, b) < EXACT / 4 for a, b in pairs):
            return (given, weights, added), want
    raise AssertionError("no such net")


@needs_native
@on_each_path
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("parts", PARTS)
def test_compiled_equals_the_twin(parts, layers, path):
    for index, n in enumerate(POINTS, parts):
        with_offset, relu_last = bool(index % 2), bool(index // 2 % 2)
        given, want = well_posed(n, PARTS[parts], LAYERS[layers], with_offset, relu_last)
        with kernels.using(path=path):
            got = run(mlp, *given, relu_last)
        assert len(got) == 1 + parts + layers + with_offset
        assert all(a.dtype == torch.float32 for a in got)
        assert [a.shape for a in got] == [b.shape for b in want]
        for k, (a, b) in enumerate(zip(joined(got, parts), joined(want, parts), strict=True)):
            assert relative(a, b) <= EXACT, (n, with_offset, relu_last, k)


def whole(out):
    """A fixed gradient of whole numbers."""
    return torch.randint(-2, 3, out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)


@needs_native
@on_each_path
@pytest.mark.parametrize("relu_last", [False, True])
def test_whole_numbers_give_every_bit(relu_last, path):
    """Nothing is rounded, so nothing may differ; many a ReLU stands at exactly zero."""
    g = torch.Generator().manual_seed(0)
    given = [torch.randint(-2, 3, (100, width), generator=g).float() for width in (5, 1, 27)]
    weights = [torch.randint(-1, 2, shape, generator=g).float() for shape in ((31, 33), (17, 31), (9, 17))]
    offset = torch.randint(-3, 4, (31,), generator=g).float()
    sizes = [[t.abs().double() for t in group] for group in (given, weights)]
    most = run(mlp_twin, *sizes, offset.abs().double(), relu_last, lambda out: whole(out).abs())
    assert max(t.max() for t in most) < 2**24
    assert (torch.cat(given, 1) @ weights[0].T + offset == 0).sum() > 20
    want = run(mlp_twin, double(given), double(weights), offset.double(), relu_last, whole)
    with kernels.using(path=path):
        got = run(mlp, given, weights, offset, relu_last, whole)
    assert same_bits(double(got), want)


def test_twin_against_finite_differences():
    given, weights, offset = net(5, (2, 3), (4, 3, 2), seed=6)
    leaves = [t.double().requires_grad_() for t in (*given, *weights, offset)]
    hidden = torch.cat(leaves[:2], 1) @ leaves[2].T + leaves[5]
    for weight in leaves[3:5]:
        assert hidden.abs().min() > 1e-3  # a step of 1e-6 crosses no kink
        hidden = hidden.relu() @ weight.T
    assert hidden.abs().min() > 1e-3
    assert (hidden > 0).any()
    for relu_last in (False, True):
        assert torch.autograd.gradcheck(lambda *t, r=relu_last: mlp_twin(t[:2], t[2:5], t[5], r), leaves)
        assert torch.autograd.gradcheck(lambda *t, r=relu_last: mlp_twin(t[:2], t[2:5], None, r), leaves[:5])


@needs_native
@on_each_path
@pytest.mark.parametrize("layers", LAYERS)
def test_same_bits_for_any_number_of_threads_and_again(layers, path):
    given, weights, offset = net(1000, PARTS[3], LAYERS[layers])
    results = []
    for threads in (1, 2, 3, 2, 1):
        with kernels.using(path=path, threads=threads):
            results.append(run(mlp, given, weights, offset, False))
    assert all(same_bits(results[0], other) for other in results[1:])


@needs_native
@on_each_path
@pytest.mark.parametrize("layers", LAYERS)
def test_without_gradients_the_same_bits(layers, path):
    given, weights, offset = net(100, PARTS[4], LAYERS[layers])
    with kernels.using(path=path):
        kept = mlp([t.clone().requires_grad_() for t in given], weights, offset, True)
        plain = mlp(given, weights, offset, True)
    assert kept.requires_grad
    assert not plain.requires_grad
    assert torch.equal(plain, kept)


@needs_native
@on_each_path
@pytest.mark.parametrize("layers", LAYERS)
def test_no_points(layers, path):
    given, weights, offset = net(0, PARTS[2], LAYERS[layers])
    with kernels.using(path=path):
        out, *grads = run(mlp, given, weights, offset, True)
    assert out.shape == (0, LAYERS[layers][-1])
    assert [g.shape for g in grads] == [t.shape for t in (*given, *weights, offset)]
    assert all((g == 0).all() for g in grads)


@needs_native
@on_each_path
@pytest.mark.parametrize("learning", [(0,), (1,), (0, 2), (3,), (4,), (5,), (6,), (2, 4), (3, 4, 5), (0, 1, 2)])
def test_gradients_only_where_they_are_asked_for(learning, path):
    """Positions of parts 0–2, weights 3–5 and the offset 6."""
    given, weights, offset = net(60, PARTS[3], LAYERS[3])
    results = []
    for function, dtype in ((mlp, torch.float32), (mlp_twin, torch.float64)):
        leaves = [
            t.to(dtype, copy=True).requires_grad_(k in learning) for k, t in enumerate((*given, *weights, offset))
        ]
        with kernels.using(path=path):
            out = function(leaves[:3], leaves[3:6], leaves[6], False)
            out.backward(upstream(out))
        results.append([t.grad for t in leaves])
    for k, (got, want) in enumerate(zip(*results, strict=True)):
        assert (got is not None) == (want is not None) == (k in learning)
        assert got is None or relative(got, want) <= EXACT


def strided(t):
    """The same values, none of them next to each other in memory."""
    room = torch.full([2 * s + 1 for s in reversed(t.shape)], float("nan"))
    view = room[tuple(slice(1, None, 2) for _ in t.shape)].permute(*reversed(range(t.ndim)))
    return view.copy_(t)


@needs_native
@on_each_path
def test_views_and_expanded_gradients(path):
    given, weights, offset = net(70, PARTS[3], LAYERS[3])
    results = []
    for form in (torch.clone, strided):
        leaves = [form(t).requires_grad_() for t in (*given, *weights, offset)]
        assert all(t.is_contiguous() == (form is torch.clone) for t in leaves if t.numel() > 1)
        with kernels.using(path=path):
            out = mlp(leaves[:3], leaves[3:6], leaves[6])
            out.sum().backward()  # its gradient is one number, expanded
        results.append([out.detach(), *(t.grad for t in leaves)])
    assert same_bits(*results)
    results = []
    for form in (torch.clone, strided):
        with kernels.using(path=path):
            results.append(run(mlp, given, weights, offset, False, lambda out, f=form: f(upstream(out))))
    assert same_bits(*results)


@needs_native
@on_each_path
def test_backward_passes_may_come_later_and_twice(path):
    large, small = net(500, PARTS[4], LAYERS[4]), net(49, PARTS[2], LAYERS[2])
    with kernels.using(path=path):
        want = run(mlp, *small, False)
        leaves = [t.clone().requires_grad_() for t in (*small[0], *small[1], small[2])]
        out = mlp(leaves[:2], leaves[2:4], leaves[4])
        for _ in range(2):
            run(mlp, *large, False)  # another net's pass in between
            first = torch.autograd.grad(out, leaves, upstream(out), retain_graph=True)
            assert same_bits([out.detach(), *first], want)


@needs_native
@on_each_path
def test_nothing_is_left_of_a_call_before(path):
    small = net(49, PARTS[2], LAYERS[2])
    with kernels.using(path=path, threads=1):
        with ThreadPoolExecutor(1) as fresh:  # a thread has scratch memory of its own
            want = fresh.submit(run, mlp, *small, False).result()
        given, weights, offset = net(500, PARTS[4], LAYERS[4])
        for poison in (float("nan"), float("inf")):
            run(mlp, [t.fill_(poison) for t in given], [t.fill_(poison) for t in weights], offset, False)
            assert same_bits(run(mlp, *small, False), want)


@needs_native
@on_each_path
def test_not_a_number_comes_through(path):
    for layers in (1, 2, 4):
        for relu_last in (False, True):
            for with_offset in (False, True):
                given, weights, offset = net(5, (3, 8), LAYERS[layers], with_offset)
                given[1][2, 4] = float("nan")
                with kernels.using(path=path):
                    out = mlp(given, weights, offset, relu_last)
                assert torch.equal(out.isnan(), mlp_twin(given, weights, offset, relu_last).isnan())
                assert out.isnan()[2].all()


class Refused(Exception):
    """The compiled kernels were asked."""


class NoKernel:
    @staticmethod
    def apply(*_):
        raise Refused


def limits(parts=(64,) * 4, layers=(256,) * 4):
    return net(3, parts, layers)


BEYOND = {
    "5 layers": limits(layers=(8,) * 5),
    "5 parts": limits(parts=(8,) * 5),
    "wide input": limits(parts=(128, 129)),
    "wide hidden": limits(layers=(8, 257, 8)),
    "wide output": limits(layers=(8, 257)),
}


@needs_native
@pytest.mark.parametrize("name", BEYOND)
def test_what_does_not_fit_goes_to_the_twin(name, monkeypatch):
    monkeypatch.setattr(module, "_Compiled", NoKernel)
    assert torch.equal(mlp(*BEYOND[name]), mlp_twin(*BEYOND[name], False))
    with pytest.raises(Refused):  # the largest that fits
        mlp(*limits())


@needs_native
def test_float64_and_further_dimensions_go_to_the_twin(monkeypatch):
    given, weights, offset = limits()
    wide = double(given), double(weights), offset.double()
    monkeypatch.setattr(module, "_Compiled", NoKernel)
    got = mlp(*wide)
    assert got.dtype == torch.float64
    assert torch.equal(got, mlp_twin(*wide, False))
    stacked = [t.expand(2, *t.shape) for t in given]
    assert torch.equal(mlp(stacked, weights, offset), mlp_twin(stacked, weights, offset, False))
    alone = [t[0] for t in given]
    assert mlp(alone, weights, offset).shape == (256,)


@needs_native
def test_wrong_shapes_are_refused():
    given, weights, offset = net(7, (3, 4), (5, 6, 2))
    with pytest.raises(ValueError, match="the parts hold different numbers of points"):
        mlp([given[0], given[1][:6]], weights)
    with pytest.raises(ValueError, match="the parts hold different numbers of points"):
        mlp([given[0][:6], given[1]], weights)
    with pytest.raises(ValueError, match="weights do not fit its input"):
        mlp(given[:1], weights)
    with pytest.raises(ValueError, match="weights do not fit its input"):
        mlp(given, [weights[0], weights[2]])
    for wrong in (offset[:4], torch.zeros(6), torch.zeros(1)):
        with pytest.raises(ValueError, match="the offset does not fit"):
            mlp(given, weights, wrong)
    with pytest.raises(ValueError, match="widths of 1 to 256"):
        mlp(given, [weights[0], weights[1][:0]])
    with pytest.raises(ValueError, match="weights do not fit its input"):
        Mlp(7, 5, 2)(given[0])
    with pytest.raises(ValueError, match="weights do not fit its input"):
        Mlp(7, 5, 2)(*given, constant=torch.zeros(1))


def module_run(net, parts, gain, constant, joined):
    """Output and gradients (parts, weights, gain and constant where given); ``joined``: what the two replace, written out."""
    parts = [t.clone().requires_grad_() for t in parts]
    gain, constant = (None if t is None else t.clone().requires_grad_() for t in (gain, constant))
    net.zero_grad()
    if joined:
        inputs = torch.cat(parts, 1)
        inputs = inputs if gain is None else inputs * gain
        inputs = inputs if constant is None else torch.cat([inputs, constant.repeat(len(inputs), 1)], 1)
        out = net(inputs)
    else:
        out = net(*parts, gain=gain, constant=constant)
    out.backward(upstream(out))
    extra = [t.grad for t in (gain, constant) if t is not None]
    return [out.detach(), *(t.grad for t in (*parts, *net.parameters())), *extra]


@needs_native
@on_each_path
@pytest.mark.parametrize("relu_last", [False, True])
@pytest.mark.parametrize("widths", [(20, 11), (20, 33, 3), (20, 16, 16, 5)])
@pytest.mark.parametrize(("with_gain", "with_constant"), [(True, False), (False, True), (True, True)])
def test_gain_and_constant_equal_scaled_and_repeated_inputs(with_gain, with_constant, widths, relu_last, path):
    torch.manual_seed(3)
    net = Mlp(*widths, relu_last=relu_last)
    rows = (13, 7) if not with_constant else (10, 3)
    parts = [torch.randn(101, k) for k in rows]
    gain = torch.randn(sum(rows)) if with_gain else None
    constant = torch.randn(7) if with_constant else None
    with kernels.using(path=path):
        got = module_run(net, parts, gain, constant, joined=False)
    wide = [None if t is None else t.double() for t in (gain, constant)]
    want = module_run(copy.deepcopy(net).double(), double(parts), *wide, joined=True)
    assert len(got) == 1 + 2 + len(widths) - 1 + with_gain + with_constant
    for a, b in zip(got, want, strict=True):
        assert relative(a, b) <= EXACT


def test_module_is_drawn_and_named_as_torchs_layers():
    torch.manual_seed(5)
    net = Mlp(116, 64, 64, 11)
    torch.manual_seed(5)
    linear = [nn.Linear(a, b, bias=False) for a, b in ((116, 64), (64, 64), (64, 11))]
    assert list(net.state_dict()) == ["weights.0", "weights.1", "weights.2"]
    for weight, layer in zip(net.weights, linear, strict=True):
        assert isinstance(weight, nn.Parameter)
        assert torch.equal(weight, layer.weight)
        bound = 1 / math.sqrt(layer.in_features)
        assert 0.95 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert "116 → 64 → 64 → 11" in repr(net)
    again = Mlp(116, 64, 64, 11)
    again.load_state_dict(net.state_dict())
    x = torch.randn(4, 116)
    assert torch.equal(again(x), net(x))
    assert net(x).shape == (4, 11)
    assert (Mlp(116, 9, relu_last=True)(x) >= 0).all()
    assert (net(x) < 0).any()
