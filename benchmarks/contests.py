"""Each kernel and its peers as candidates that do the same: forward and backward, all gradients that training asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import peers
import timing
import torch
import workload
from torch import Tensor

from methods import kernels
from methods.baselines.talkinggaussian.plugin import DESIGN
from methods.deformable.fields import FaceField
from methods.fields.audio import AudioAttention, AudioNet
from methods.fields.mlp import mlp, mlp_twin
from methods.fields.triplane import TriplaneEncoder, encode
from methods.gaussians import rasterize
from methods.gaussians.deform import Motion, deform, deform_twin
from methods.ssim import l1_dssim

Run = Callable[[], Sequence[Tensor]]
"""One forward and backward pass; returns values, then gradients."""
OURS = "ours"
YARDSTICK = "conv2d SSIM"


@dataclass(frozen=True)
class Contest:
    """A kernel against others."""

    name: str
    ours: Run
    peers: dict[str, Run]
    """The same operation."""
    yardsticks: dict[str, Run] = field(default_factory=dict)
    """Another operation, to say how long a time is."""

    @property
    def candidates(self) -> dict[str, Run]:
        """All, ours first."""
        return {OURS: self.ours, **self.peers, **self.yardsticks}


def measure(contests: Sequence[Contest], rounds: int) -> dict[str, Any]:
    """All candidates of all contests in turns → milliseconds and ratios by contest."""
    runs = {(c.name, name): run for c in contests for name, run in c.candidates.items()}
    samples = timing.interleave({f"{a}\0{b}": run for (a, b), run in runs.items()}, rounds)
    found: dict[str, Any] = {}
    for contest in contests:
        times = {name: samples[f"{contest.name}\0{name}"] for name in contest.candidates}
        others = [name for name in times if name != OURS]
        found[contest.name] = {
            "milliseconds": {name: timing.quartiles(t) for name, t in times.items()},
            "ratios": {name: timing.ratio(times[name], times[OURS]) for name in others},
        }
    return found


def both_ways(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    *inputs: Tensor,
    wrt: Sequence[Tensor] = (),
    first: Tensor | None = None,
) -> Run:
    """``function(*inputs)`` and the gradients to those inputs, and tensors ``wrt``, that ask for them.

    The outputs' own gradients are random, but for ``first``, if given.
    """
    wanted = [t for t in (*inputs, *wrt) if t.requires_grad]
    incoming: list[Tensor] = []

    def run() -> list[Tensor]:
        outputs = function(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if not incoming:  # the first call, for warming up
            generator = torch.Generator().manual_seed(3)
            incoming.extend(torch.randn(t.shape, generator=generator) for t in outputs)
            incoming[0] = incoming[0] if first is None else first
        return [*outputs, *torch.autograd.grad(outputs, wanted, incoming)]

    return run


def on_path(path: str, run: Run) -> Run:
    """``run`` with the kernels of another instruction set."""

    def other() -> Sequence[Tensor]:
        with kernels.using(path=path):
            return run()

    return other


def rasterising(n: int, size: int, channels: int = 3) -> Contest:
    """N Gaussians to an image and its alpha. The yardstick is what naive training code spends on an image of this size."""
    ours, images = _drawing(n, size, channels, "cpu"), _images(size)
    others = {"portable path": on_path("portable", ours)}
    return Contest("rasterise", ours, others, {YARDSTICK: both_ways(peers.ssim_conv2d, *images)})


def rasterising_in_torch(n: int, size: int) -> Contest:
    """The same against the torch rasteriser, which is so slow that it is measured apart."""
    return Contest("rasterise in torch", _drawing(n, size, 3, "cpu"), {"torch": _drawing(n, size, 3, "torch")})


def _drawing(n: int, size: int, channels: int, backend: str) -> Run:
    """Image and alpha, gradients to everything about the Gaussians."""
    scene = workload.head(n, size, channels)
    inputs = [t.requires_grad_() for t in (scene.means, scene.quats, scene.scales, scene.opacities, scene.colours)]
    view = scene.view

    def draw(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colours: Tensor) -> tuple[Tensor, ...]:
        cloud = (means, quats, scales, opacities, colours)
        image, alpha, _ = rasterize(*cloud, view.viewmat, view.K, size, size, backend=backend)
        return image.permute(0, 3, 1, 2), alpha  # planar, as the losses read it

    return both_ways(draw, *inputs)


def similarity(size: int) -> Contest:
    """L1 + 0.2 (1 − SSIM) of two images, gradient to one."""
    x, y = _images(size)
    others = {YARDSTICK: peers.l1_dssim_conv2d, "separable, stacked": peers.l1_dssim_separable}
    return Contest("ssim", both_ways(l1_dssim, x, y), {name: both_ways(f, x, y) for name, f in others.items()})


def _images(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x, y = torch.rand(2, 3, size, size, generator=generator)
    return x.requires_grad_(), y


def encoding(n: int) -> Contest:
    """Tri-plane features of N points: TalkingGaussian's face grid, gradients to its table and the points."""
    encoder = TriplaneEncoder(generator=torch.Generator().manual_seed(5))
    points = workload.head(n, 64).means.requires_grad_()

    def torch_only(how: peers.Encode) -> Run:
        return both_ways(lambda x: how(x, encoder.table, encoder.levels, encoder.bound), points, wrt=[encoder.table])

    others = {
        "torch indexing": torch_only(encode),
        "grid_sample": torch_only(peers.encode_grid_sample),
        "grid_sample, planes batched": torch_only(peers.encode_grid_sample_batched),
    }
    return Contest("encode", both_ways(encoder, points, wrt=[encoder.table]), others)


def network(n: int) -> Contest:
    """The three nets of TalkingGaussian's face field on N points' features."""
    generator = torch.Generator().manual_seed(6)
    field = FaceField(DESIGN, audio_channels=workload.AUDIO[1], expression_width=5)
    nets = (field.audio_region, field.expression_region, field.decoder)
    weights = [torch.randn(w.shape, generator=generator).mul_(w.shape[1] ** -0.5) for net in nets for w in net.weights]
    features = torch.randn(n, field.features, generator=generator)

    def forward(mlp: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(x: Tensor, *w: Tensor) -> Tensor:
            to_audio, to_expression = mlp([x], w[:2], None, False), mlp([x], w[2:4], None, True)
            return mlp([x, to_audio, to_expression], w[4:], None, False)

        return run

    inputs = [t.requires_grad_() for t in (features, *weights)]
    return Contest("mlp", both_ways(forward(mlp), *inputs), {"torch": both_ways(forward(mlp_twin), *inputs)})


def deforming(n: int) -> Contest:
    """Offsets, activations and second-degree SH colours of N Gaussians."""
    scene = workload.head(n, 64)
    cloud, centre = workload.cloud(scene, embedding=0), scene.view.centre
    offsets = 0.1 * torch.randn(n, 11, generator=torch.Generator().manual_seed(7))
    # Ours leaves quaternions as long as they are (the rasteriser divides), torch makes them unit: the two are the same for unit
    # ones, and for gradients at right angles to them.
    offsets[:, 3:7] = 0
    across = torch.randn(n, 4, generator=torch.Generator().manual_seed(10))
    across -= (across * scene.quats).sum(1, keepdim=True) * scene.quats
    motion = Motion(offsets.requires_grad_(), (1e-2,) * 3)

    def forward(how: Callable[..., Any]) -> Run:
        def run() -> tuple[Tensor, ...]:
            d = how(cloud, motion, centre)
            return d.quats, d.means, d.scales, d.opacities, d.colours, d.motion_size

        return both_ways(run, wrt=[offsets, *(t for t in cloud.raw.values() if t.numel())], first=across)

    return Contest("deform", forward(deform), {"torch": forward(deform_twin)})


def hearing() -> Contest:
    """A frame's audio windows through both stacks of convolutions, and what is around them."""
    windows = torch.randn(workload.AUDIO, generator=torch.Generator().manual_seed(8))
    net, attention = AudioNet(workload.AUDIO[1]), AudioAttention()
    parameters = [*net.parameters(), *attention.parameters()]
    ours = both_ways(lambda x: attention(net(x)), windows, wrt=parameters)
    twin = both_ways(lambda x: peers.attend(attention, peers.audio(net, x)), windows, wrt=parameters)
    return Contest("audio", ours, {"torch": twin})
