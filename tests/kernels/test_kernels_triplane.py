"""The tri-plane encoder: known layouts, a plain loop, finite differences, and the compiled kernels against the twin."""

import copy
import math
import pickle

import pytest
import torch

from methods import kernels
from methods.fields.triplane import TriplaneEncoder, encode, encode_at_once, levels_of

needs_native = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
native_paths = kernels.native.paths() if kernels.native else []
CONFIGS = {
    "face": {},
    "mouth, falling": {"base": 64, "desired": 57.6},
    "fine": {"desired": 512, "log2_table": 14},
    "mostly hashed": {"levels": 4, "base": 8, "desired": 200, "log2_table": 8},
    "one level": {"levels": 1},
}


def encoder(**config):
    made = TriplaneEncoder(**config, generator=torch.Generator().manual_seed(0))
    made.table.data.mul_(1e4)  # of order one, so that errors show
    return made


def points(n, reach=0.17):
    return (torch.rand(n, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1) * reach


def test_levels_are_talking_gaussians():
    face, mouth = levels_of(12, 16, 38.4, 17), levels_of(12, 64, 57.6, 17)
    assert [level.row - 1 for level in face] == [16, 18, 19, 21, 22, 24, 26, 28, 31, 33, 36, 39]
    assert [level.row - 1 for level in mouth] == [64, 64, 63, 63, 62, 62, 61, 60, 60, 59, 59, 58]
    assert [sum(level.length for level in levels) for levels in (face, mouth)] == [9464, 46600]
    fine = levels_of(12, 16, 512, 17)
    assert [level.row > 0 for level in fine] == [True] * 10 + [False] * 2  # 374² and 513² nodes are hashed
    assert fine[-1].length == 2**17


def test_initial_table_and_shape():
    made = TriplaneEncoder(generator=torch.Generator().manual_seed(3))
    again = TriplaneEncoder(generator=torch.Generator().manual_seed(3))
    assert torch.equal(made.table, again.table)
    assert made.table.shape == (3, 9464)
    assert 0.9e-4 < made.table.abs().max() <= 1e-4
    assert made(torch.zeros(5, 3)).shape == (5, made.width) == (5, 36)
    assert made(torch.zeros(0, 3)).shape == (0, 36)


def by_hand(x, made):
    """One point in plain Python, floats and integers."""
    out = []
    for plane, (a, b) in enumerate(((0, 1), (1, 2), (0, 2))):
        u, v = (x[a] / made.bound + 1) / 2, (x[b] / made.bound + 1) / 2
        for level in made.levels:
            if not (0 <= u <= 1 and 0 <= v <= 1):
                out.append(0.0)
                continue
            px, py = u * level.scale + 0.5, v * level.scale + 0.5
            i, j = math.floor(px), math.floor(py)
            value = 0.0
            for di, wx in ((0, 1 - px + i), (1, px - i)):
                for dj, wy in ((0, 1 - py + j), (1, py - j)):
                    if level.row:
                        entry = i + di + (j + dj) * level.row
                    else:
                        entry = ((i + di) ^ ((j + dj) * 2654435761 % 2**32)) % level.length
                    value += wx * wy * made.table[plane, level.offset + entry].item()
            out.append(value)
    return out


@pytest.mark.parametrize("name", ["face", "mostly hashed"])
def test_twin_equals_the_plain_loop(name):
    made, x = encoder(**CONFIGS[name]), points(12).double()
    got = encode(x, made.table.double(), made.levels, made.bound)
    assert torch.allclose(got, torch.tensor([by_hand(p.tolist(), made) for p in x], dtype=torch.float64), atol=1e-9)


def test_twin_against_finite_differences():
    made, x = encoder(levels=3, base=4, desired=12, log2_table=6), points(6).double().requires_grad_()
    assert any(level.row == 0 for level in made.levels)
    table = made.table.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, t: encode(x, t, made.levels, made.bound), (x, table), eps=1e-8, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_all_levels_at_once_equal_one_after_the_other(name):
    made, results = encoder(**CONFIGS[name]), []
    for function in (encode, encode_at_once):
        x = points(500).double().requires_grad_()
        table = made.table.detach().double().requires_grad_()
        out = function(x, table, made.levels, made.bound)
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
        results.append((out.detach(), table.grad, x.grad))
    for got, want in zip(*results, strict=True):
        assert torch.allclose(got, want, atol=1e-12)
    assert (results[0][0] == 0).any()
    nothing = encode_at_once(points(0), made.table, made.levels, made.bound)
    assert nothing.shape == (0, made.width)


def gradients(made, x, path, threads=None):
    x = x.clone().requires_grad_()
    made.table.grad = None
    with kernels.using(path=path, threads=threads):
        out = made(x)
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    return out.detach(), made.table.grad, x.grad


@needs_native
@pytest.mark.parametrize("path", native_paths)
@pytest.mark.parametrize("n", [1, 3, 129, 2000])
@pytest.mark.parametrize("name", CONFIGS)
def test_compiled_equals_the_twin(name, n, path):
    made, x = encoder(**CONFIGS[name]), points(n)
    got = gradients(made, x, path)
    x64, table = x.double().requires_grad_(), made.table.detach().double().requires_grad_()
    out = encode(x64, table, made.levels, made.bound)
    (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    for label, a, b in zip(("features", "table"), got[:2], (out.detach(), table.grad), strict=True):
        assert (a.double() - b).norm() <= 1e-4 * b.norm() + 1e-9, label
    # The gradient of a point jumps from cell to cell: float32 may put one at the edge into the neighbour.
    near = (got[2].double() - x64.grad).norm(dim=1) <= 1e-3 * x64.grad.norm(dim=1) + 1e-9
    assert (~near).sum() <= n // 500


@needs_native
@pytest.mark.parametrize("path", native_paths)
def test_same_bits_for_any_number_of_threads(path):
    made, x = encoder(), points(3000)
    one, two = gradients(made, x, path, 1), gradients(made, x, path, 2)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outside_gives_zeros_and_no_gradient(dtype):
    made = encoder().to(dtype)
    x = torch.tensor([[0.2, 0.0, 0.0], [0.0, 0.0, -9.0], [float("nan"), 0.0, 0.0]], dtype=dtype, requires_grad=True)
    out = made(x).reshape(3, 3, 12)
    assert (out[0, [0, 2]] == 0).all()
    assert (out[0, 1] != 0).any()
    assert (out[1, [1, 2]] == 0).all()
    assert (out[1, 0] != 0).any()
    assert (out[2, [0, 2]] == 0).all()
    assert (out[2, 1] != 0).any()
    out.sum().backward()
    assert x.grad[0, 0] == 0
    assert (x.grad[0, 1:] != 0).all()
    assert x.grad[1, 2] == 0
    assert torch.isfinite(made.table.grad).all()


def test_copies_and_pickles():
    made, x = encoder(), points(5)
    want = made(x)
    assert torch.equal(copy.deepcopy(made)(x), want)
    assert torch.equal(pickle.loads(pickle.dumps(made))(x), want)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="1..16 levels"):
        TriplaneEncoder(levels=17)
    with pytest.raises(ValueError, match="shape"):
        encoder()(torch.zeros(4, 2))
