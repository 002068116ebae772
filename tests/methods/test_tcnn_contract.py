"""Grids and MLPs on tinycudann: our rearranged parameters in a fake that has its layouts, against our torch twins."""

from __future__ import annotations

import copy
import math
import pickle
import sys
import types

import fake_tinycudann
import pytest
import torch

from bench.errors import AbsentError, BenchWarning
from methods.fields import tcnn, triplane
from methods.fields.triplane import TriplaneEncoder

CONFIGS = {
    "face": {},
    "mouth, falling": {"base": 64, "desired": 57.6},
    "fine, last level whole": {"desired": 512, "log2_table": 14},
    "mostly hashed": {"levels": 4, "base": 8, "desired": 200, "log2_table": 8},
    "dense there, hashed here": {"levels": 3, "base": 16, "desired": 20, "log2_table": 8},
    "one level": {"levels": 1},
    "all levels alike": {"levels": 4, "base": 16, "desired": 16},
    "three nodes": {"levels": 1, "base": 3},
}


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """tinycudann is the fake; what was built of it before or is built now is forgotten."""
    caches = (tcnn.available, tcnn._grid, tcnn._network)
    monkeypatch.setitem(sys.modules, "tinycudann", fake_tinycudann)
    for cached in caches:
        cached.cache_clear()
    fake_tinycudann.made.clear()
    yield fake_tinycudann
    for cached in caches:
        cached.cache_clear()


def encoder(**config):
    made = TriplaneEncoder(**config, generator=torch.Generator().manual_seed(0))
    made.table.data.mul_(1e4)  # of order one, so that errors show
    return made


def points(made, n=500):
    """Points in the cube, but for the last half cell below its upper faces."""
    smallest = min(level.scale for level in made.levels)
    u = torch.rand(n, 3, generator=torch.Generator().manual_seed(1)) * (1 - 0.55 / smallest)
    return (u * 2 - 1) * made.bound


def both(made, x):
    """Features and gradients of table and points, on the fake and in float64 on the twin."""
    out = []
    for function, dtype in ((tcnn.encode, torch.float32), (triplane.encode, torch.float64)):
        leaf, table = (t.detach().to(dtype).clone().requires_grad_() for t in (x, made.table))
        features = function(leaf, table, made.levels, made.bound)
        weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(2))
        (features * weights).sum().backward()
        out.append((features.detach().double(), table.grad.double(), leaf.grad.double()))
    return out


@pytest.mark.parametrize("name", CONFIGS)
def test_encoder_equals_the_twin(name):
    made = encoder(**CONFIGS[name])
    got, want = both(made, points(made))
    assert got[0].shape == (500, made.width)
    assert (got[0] - want[0]).abs().max() < 8e-6 * max(level.scale for level in made.levels) + 1e-5
    assert (got[1] - want[1]).norm() < 5e-4 * want[1].norm()
    # The gradient of a point jumps from cell to cell: float32 may put one at the edge into the neighbour.
    near = (got[2] - want[2]).norm(dim=1) <= 1e-2 * want[2].norm(dim=1)
    assert (~near).sum() <= 2


@pytest.mark.parametrize("name", CONFIGS)
def test_levels_lie_where_tinycudann_has_them(fake, name):
    made = encoder(**CONFIGS[name])
    both(made, points(made))
    (encoding,) = fake.made  # one for the three planes
    for k, level in enumerate(made.levels):
        assert encoding.resolution(k) == math.ceil(level.scale) + 1
        assert abs(float(encoding.scale(k)) - level.scale) <= 1e-5 * level.scale
    if name == "dense there, hashed here":
        assert made.levels[0].row == 0
        assert encoding.resolution(0) ** 2 == encoding.most


def test_whole_scales_stay_whole():
    """However tinycudann's float32 powers are rounded, no level gets a node more or less than here."""
    refused = 0
    for desired in range(20, 520, 20):
        levels = triplane.levels_of(12, 16, desired, 17)
        growth = tcnn._growth(tuple(levels))
        if growth is None:  # another level lies too close above a whole number
            refused += 1
            continue
        for k, level in enumerate(levels[1:], 1):
            for error in (-9e-7, 9e-7):
                assert math.ceil(16 * growth**k * (1 + error) - 1) == math.ceil(level.scale)
    assert refused <= 2


def test_outside_gives_zeros_and_no_gradient():
    made = encoder()
    x = torch.tensor([[0.2, 0.0, 0.0], [0.0, 0.0, -9.0], [float("nan"), 0.0, 0.0], [-0.149, -0.149, -0.149]])
    got, want = both(made, x)
    assert torch.equal(got[0] == 0, want[0] == 0)
    assert (got[0] - want[0]).abs().max() < 1e-3
    assert torch.equal(got[2] == 0, want[2] == 0)
    assert torch.isfinite(got[1]).all()


def test_in_the_last_half_cell_the_next_row_is_read():
    """What the module's docstring says of the upper faces: the price of a row that is one node shorter."""
    made = encoder(levels=2, base=16, desired=16.25, bound=1.0)
    first, second = made.levels
    assert first.scale == 15.0  # whole: its last node is missing there
    assert second.scale == 15.25  # a fraction below 1/2: nothing reaches past its last node
    u = torch.tensor([[0.99, 0.3, 0.2]])
    got, want = both(made, u * 2 - 1)
    assert (got[0] - want[0]).abs()[0, [1, 3, 5]].max() < 1e-4
    assert (got[0] - want[0]).abs()[0, 0] > 1e-2
    table = made.table.detach()[0, : first.length].double()
    fx, fy, row = 0.99 * 15 + 0.5 - 15, 0.3 * 15 + 0.5 - 5, first.row
    nodes = [[table[15 + 5 * row], table[0 + 6 * row]], [table[15 + 6 * row], table[0 + 7 * row]]]
    lines = [a * (1 - fx) + b * fx for a, b in nodes]
    assert abs(got[0][0, 0] - (lines[0] * (1 - fy) + lines[1] * fy)) < 1e-4


def test_parameters_stay_ours(monkeypatch):
    made = encoder(levels=3)
    x = points(made, 20)
    monkeypatch.setattr(tcnn, "takes", lambda *_: True)
    want = made(x)
    want.sum().backward()
    assert list(made.state_dict()) == ["table"]
    assert [name for name, _ in made.named_parameters()] == ["table"]
    assert made.table.grad.abs().sum() > 0
    assert torch.equal(copy.deepcopy(made)(x), want)
    assert torch.equal(pickle.loads(pickle.dumps(made))(x), want)


def test_dispatch(monkeypatch):
    made = encoder(levels=3)
    monkeypatch.setattr(
        tcnn, "encode", lambda x, table, levels, bound: ("tinycudann", table is made.table, levels, bound)
    )
    cuda = {"is_cuda": True, "dtype": torch.float32, "device": torch.device("cpu"), "ndim": 2, "shape": (4, 3)}

    class OnCuda(types.SimpleNamespace):
        def __len__(self):
            return self.shape[0]

    assert made.forward(OnCuda(**cuda)) == ("tinycudann", True, made.levels, made.bound)
    assert not tcnn.takes(OnCuda(**cuda | {"dtype": torch.float64}), made.table, made.levels)
    assert not tcnn.takes(OnCuda(**cuda | {"shape": (0, 3)}), made.table, made.levels)
    assert made(torch.zeros(4, 3)).shape == (4, 9)  # the CPU's own
    with pytest.warns(BenchWarning, match="can't lay out"):
        assert not tcnn.takes(OnCuda(**cuda), made.table, triplane.levels_of(3, 16.5, 20, 17))
    monkeypatch.setitem(sys.modules, "tinycudann", None)  # as if not installed
    tcnn.available.cache_clear()
    assert not tcnn.takes(OnCuda(**cuda), made.table, made.levels)


def test_a_broken_installation_is_warned_of(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "tinycudann":
                raise OSError("Could not find compatible tinycudann extension for compute capability 120.")

    monkeypatch.delitem(sys.modules, "tinycudann")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.warns(BenchWarning, match="compute capability 120"):
        assert not tcnn.available()


def test_another_layout_is_refused(fake, monkeypatch):
    made = encoder(levels=3)
    monkeypatch.setattr(fake, "round_up", lambda value, multiple: -(-value // 32) * 32)
    with pytest.raises(AbsentError, match="parameters where grids"):
        tcnn.encode(points(made, 5), made.table, made.levels, made.bound)
    with pytest.raises(AbsentError, match="compute capability 7.5"):
        tcnn.fused_mlp(torch.rand(3, 5), [torch.rand(16, 5), torch.rand(3, 16)])


@pytest.mark.parametrize("index", ["transposed", "shifted"])
def test_a_wrong_index_is_noticed(monkeypatch, index):
    made = encoder(levels=3)
    right = tcnn._entries

    def wrong(level, most):
        entries = right(level, most)
        if index == "shifted":
            return entries.roll(1)
        side = math.ceil(level.scale) + 1
        square = entries[: side * side].view(side, side)
        return torch.cat([square.T.flatten(), entries[side * side :]])

    monkeypatch.setattr(tcnn, "_entries", wrong)
    got, want = both(made, points(made))
    assert (got[0] - want[0]).abs().max() > 0.1


NETS = {
    "face's decoder": (73, 64, 64, 11),
    "audio's region": (36, 32, 32),
    "expression's region": (36, 16, 6),
    "three hidden layers": (16, 128, 128, 128, 16),
    "one input, many outputs": (1, 32, 32, 40),
}


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", NETS)
def test_mlp_equals_matmuls(fake, monkeypatch, name, precision):
    monkeypatch.setattr(fake, "PRECISION", precision)
    g, widths = torch.Generator().manual_seed(0), NETS[name]
    weights = [
        (torch.randn(b, a, generator=g) * (2 / a) ** 0.5).requires_grad_()
        for a, b in zip(widths, widths[1:], strict=False)
    ]
    assert tcnn.fits(weights)
    x = torch.randn(70, widths[0], generator=g, requires_grad=True)
    results = []
    for function in (lambda: tcnn.fused_mlp(x, weights), lambda: reference(x, weights)):
        out = function()
        leaves = [x, *weights]
        grads = torch.autograd.grad(
            (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum(), leaves
        )
        results.append([out, *grads])
        assert out.dtype == torch.float32
    # ReLUs at 0 flip in half precision: single rows of the gradients then differ by more than rounding
    tolerance = 1e-5 if precision == torch.float32 else 5e-2
    for got, want in zip(*results, strict=True):
        assert got.shape == want.shape
        assert (got - want).norm() <= tolerance * want.norm()


def reference(x, weights):
    for k, w in enumerate(weights):
        x = x @ w.T
        if k + 1 < len(weights):
            x = x.relu()
    return x


def test_which_mlps_fit():
    def net(*widths):
        return [torch.zeros(b, a) for a, b in zip(widths, widths[1:], strict=False)]

    assert tcnn.fits(net(5, 64, 64, 3))
    assert tcnn.fits(net(5, 16, 3))
    assert not tcnn.fits(net(5, 3))  # no hidden layer
    assert not tcnn.fits(net(5, 16))
    assert not tcnn.fits(net(5, 64, 32, 3))
    assert not tcnn.fits(net(5, 48, 3))
    with pytest.raises(ValueError, match="one hidden width"):
        tcnn.fused_mlp(torch.zeros(2, 5), net(5, 48, 3))
    assert tcnn.fused_mlp(torch.zeros(0, 5), net(5, 16, 3)).shape == (0, 3)


def test_one_network_serves_all_nets_of_its_shape(fake):
    """Its own parameters are never used, and two passes may be under way before their gradients are asked for."""
    x = torch.rand(9, 8)
    nets = [[torch.rand(16, 8, requires_grad=True), torch.rand(2, 16, requires_grad=True)] for _ in range(2)]
    outs = [tcnn.fused_mlp(x, net) for net in nets]
    sum(out.sum() for out in outs).backward()
    assert len(fake.made) == 1
    assert not torch.equal(outs[0], outs[1])
    assert not torch.equal(nets[0][1].grad, nets[1][1].grad)
    assert fake.made[0].params.grad is None
