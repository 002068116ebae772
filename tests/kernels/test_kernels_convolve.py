"""The audio branch's stacks of small convolutions: the compiled kernel against torch's layers in float64."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from splat_oracle import relative
from torch import nn

from methods import kernels
from methods.fields import audio as module
from methods.fields.audio import AUDIO_DIM, WINDOWS, AudioAttention, AudioNet, ConvStack

needs_native = pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
native_paths = kernels.native.paths() if kernels.native else []
on_each_path = pytest.mark.parametrize("path", native_paths)
STACKS = {
    "1 layer, 1 channel": (1, 1),
    "2 layers": (1, 17, 5),
    "3 layers": (33, 1, 16, 3),
    "DeepSpeech": (29, 32, 32, 64, 64),
    "log-mel": (32, 32, 32, 64, 64),
    "HuBERT": (1024, 32, 32, 64, 64),
    "attention": (32, 16, 8, 4, 2, 1),
    "6 layers": (7, 15, 31, 2, 48, 1, 11),
}
EXACT = 2e-6


def stack(channels, stride, seed=0):
    """Drawn as torch draws it, but with larger weights: the signal would fade from layer to layer."""
    torch.manual_seed(seed)
    made = ConvStack(*channels, stride=stride)
    for layer in list(made)[::2]:
        layer.weight.data.mul_(2)
    return made


def signal(batch, channels, length, seed=1):
    return torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(seed))


def upstream(out):
    """A fixed random gradient of an output."""
    return torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(out.dtype)


def run(net, x, grad=True):
    """Output, gradient of the input (if ``grad``) and gradients of the parameters by name."""
    x = x.clone().requires_grad_(grad)
    net.zero_grad()
    out = net(x)
    out.backward(upstream(out))
    assert (x.grad is not None) == grad
    grads = {name: parameter.grad for name, parameter in net.named_parameters()}
    return {"out": out.detach(), **({"x": x.grad} if grad else {}), **grads}


def plain(net):
    """The same layers in float64, called one after the other by torch."""
    return nn.Sequential(*copy.deepcopy(net).double())


def same_bits(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def conditioned(channels, stride, batch, length):
    """The first stack and signal that torch's own float32 computes well, with torch's results in float64.

    Else a sum that vanishes but for its rounding, or a unit at its kink, would be what is compared.
    """
    for seed in range(20):
        net, x = stack(channels, stride, seed), signal(batch, channels[0], length, seed)
        hidden, nearest = x.double(), 1.0
        for layer in plain(net):
            hidden = layer(hidden)
            if isinstance(layer, nn.Conv1d):
                nearest = min(nearest, hidden.abs().min().item())
        want, own = run(plain(net), x.double()), run(nn.Sequential(*net), x)
        if nearest > 1e-6 and all(relative(own[name], want[name]) < 0.7 * EXACT for name in want):
            return net, x, want
    raise AssertionError("no such stack")


@needs_native
@on_each_path
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", STACKS)
def test_compiled_equals_the_layers(name, stride, path):
    for batch in (1, 8):
        for length in (1, 2, 8, 16, 17):
            net, x, want = conditioned(STACKS[name], stride, batch, length)
            with kernels.using(path=path):
                got = run(net, x)
            assert got.keys() == want.keys()
            for key, tensor in want.items():
                assert got[key].dtype == torch.float32
                assert got[key].shape == tensor.shape
                assert relative(got[key], tensor) <= EXACT, (batch, length, key)


@needs_native
@on_each_path
@pytest.mark.parametrize("stride", [1, 2])
def test_whole_numbers_give_every_bit(stride, path):
    """Nothing is rounded as long as no unit leaks, so nothing may differ."""
    g = torch.Generator().manual_seed(0)
    net = ConvStack(5, 18, 3, stride=stride)
    for parameter in net.parameters():
        parameter.data.copy_(torch.randint(0, 3, parameter.shape, generator=g))
    x = torch.randint(1, 4, (3, 5, 9), generator=g).float()
    results = []
    for layers, given in ((net, x), (plain(net), x.double())):
        given = given.clone().requires_grad_()
        layers.zero_grad()
        with kernels.using(path=path):
            out = layers(given)
            out.backward(torch.arange(out.numel(), dtype=out.dtype).view_as(out) % 7 - 3)
        results.append([out.detach().double(), given.grad.double(), *(p.grad.double() for p in layers.parameters())])
    assert (results[1][0] > 0).all()
    assert max(t.abs().max() for t in results[1]) < 2**20
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@needs_native
@on_each_path
@pytest.mark.parametrize(("channels", "length"), [(29, 16), (32, 16), (1024, 2)])
def test_audio_net_equals_float64(channels, length, path):
    torch.manual_seed(0)
    net, windows = AudioNet(channels), signal(WINDOWS, channels, length)
    wide = copy.deepcopy(net).double()
    wide.convolutions = plain(net.convolutions)
    with kernels.using(path=path):
        got = run(net, windows)
    want = run(wide, windows.double())
    assert got["out"].shape == (WINDOWS, AUDIO_DIM)
    assert got.keys() == want.keys()
    assert all(relative(got[name], want[name]) <= EXACT for name in want)


@needs_native
@on_each_path
def test_audio_attention_equals_float64(path):
    torch.manual_seed(0)
    net, codes = AudioAttention(), signal(1, WINDOWS, AUDIO_DIM)[0]
    for layer in list(net.convolutions)[::2]:
        layer.weight.data.mul_(2.5)
    wide = copy.deepcopy(net).double()
    wide.convolutions = plain(net.convolutions)
    with kernels.using(path=path):
        got = run(net, codes)
    want = run(wide, codes.double())
    assert got["out"].shape == (AUDIO_DIM,)
    assert got.keys() == want.keys()
    for name in want:
        assert relative(got[name], want[name]) <= EXACT, name
    shares = torch.softmax(wide.weights(wide.convolutions(codes.double().T[None])[:, 0]), 1)[0]
    assert shares.std() > 0.05
    assert torch.allclose(got["out"].double(), (shares[:, None] * codes).sum(0), atol=1e-6)


@needs_native
@on_each_path
def test_an_input_without_gradient(path):
    net, x = stack(STACKS["log-mel"], 2), signal(8, 32, 16)
    with kernels.using(path=path):
        with_input, without = run(net, x), run(net, x, grad=False)
    del with_input["x"]
    assert same_bits(with_input, without)


@needs_native
@on_each_path
def test_frozen_layers(path):
    net, x = stack(STACKS["DeepSpeech"], 2), signal(8, 29, 16)
    with kernels.using(path=path):
        want = run(net, x)
        for learning in ("0.weight", "6.bias", None):
            for name, parameter in net.named_parameters():
                parameter.requires_grad_(name == learning)
            got = run(net, x)
            assert {name for name, t in got.items() if t is not None} == {"out", "x", learning} - {None}
            assert all(torch.equal(t, want[name]) for name, t in got.items() if t is not None)
        assert not net(x).requires_grad
        assert torch.equal(net(x), want["out"])


@needs_native
@on_each_path
def test_same_bits_again_and_for_any_number_of_threads(path):
    net, x = stack(STACKS["HuBERT"], 2), signal(8, 1024, 2)
    results = []
    for threads in (1, 2, 3, 1):
        with kernels.using(path=path, threads=threads):
            results.append(run(net, x))
    assert all(same_bits(results[0], other) for other in results[1:])


@needs_native
@on_each_path
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1.0])
def test_nothing_is_left_of_a_larger_call(poison, path):
    small, x = stack(STACKS["6 layers"], 2), signal(1, 7, 5)
    large, y = stack(STACKS["HuBERT"], 1), signal(8, 1024, 17)
    with kernels.using(path=path):
        with ThreadPoolExecutor(1) as fresh:  # a thread has scratch memory of its own
            want = fresh.submit(run, small, x).result()
        run(large, y * poison)
        assert same_bits(run(small, x), want)
        out = small(x.requires_grad_())
        run(large, y * poison)
        (g_x,) = torch.autograd.grad(out, x, upstream(out), retain_graph=True)
        assert torch.equal(g_x, want["x"])
        assert torch.equal(torch.autograd.grad(out, x, upstream(out))[0], want["x"])


@needs_native
@on_each_path
def test_views_and_strided_gradients(path):
    net, x = stack(STACKS["attention"], 1), signal(3, 32, 8)
    view = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not view.is_contiguous()
    grads = []
    for given in (x, view):
        given = given.detach().requires_grad_()
        with kernels.using(path=path):
            out = net(given)
            out.transpose(0, 2).sum().backward()  # one number, expanded
        grads.append((out.detach(), given.grad))
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@needs_native
@on_each_path
def test_not_a_number_comes_through(path):
    net, x = stack(STACKS["2 layers"], 1), signal(2, 1, 16)
    x[1, 0, 7] = float("nan")
    with kernels.using(path=path):
        out = net(x)
    assert torch.equal(out.isnan(), nn.Sequential(*net)(x).isnan())
    assert out.isnan().any()


@needs_native
def test_float64_goes_to_torch_and_float32_to_the_kernel(monkeypatch):
    class NoKernel:
        @staticmethod
        def apply(*_):
            raise NotImplementedError

    net, x = stack(STACKS["2 layers"], 2), signal(2, 1, 9)
    monkeypatch.setattr(module, "_Compiled", NoKernel)
    wide = copy.deepcopy(net).double()
    assert torch.equal(wide(x.double()), plain(net)(x.double()))
    with pytest.raises(NotImplementedError):
        net(x)
    monkeypatch.setattr(kernels, "native", None)
    monkeypatch.setattr(kernels, "_warned", True)
    assert torch.equal(net(x), nn.Sequential(*net)(x))


@needs_native
def test_wrong_shapes_are_refused():
    net = stack(STACKS["2 layers"], 2)
    with pytest.raises(ValueError, match="weights do not fit its input"):
        net(torch.zeros(1, 2, 8))
    with pytest.raises(ValueError, match="nothing there"):
        net(torch.zeros(0, 1, 8))


def test_layers_are_torchs():
    """Their names in a checkpoint, and their first values."""
    torch.manual_seed(4)
    made = ConvStack(3, 5, 2, stride=2)
    torch.manual_seed(4)
    layers = [nn.Conv1d(3, 5, 3, 2, 1), nn.Conv1d(5, 2, 3, 2, 1)]
    assert list(made.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    for layer, convolution in zip(layers, list(made)[::2], strict=True):
        assert torch.equal(convolution.weight, layer.weight)
        assert torch.equal(convolution.bias, layer.bias)
    assert [layer.negative_slope for layer in list(made)[1::2]] == [0.02, 0.02]
