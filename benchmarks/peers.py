"""The same operations in torch alone, as training code without kernels of its own writes them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.deformable.fields import Encoded, FaceField, MouthField
from methods.deformable.render import Layer
from methods.deformable.sample import Drivers, View
from methods.fields.audio import AudioAttention, AudioNet
from methods.fields.mlp import mlp_twin
from methods.fields.triplane import PLANES, Level
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.deform import Motion, deform_twin
from methods.gaussians.rasterize import rasterize
from methods.ssim import C1, C2, SIGMA, TAPS

Encode = Callable[[Tensor, Tensor, list[Level], float], Tensor]
"""(points, table, levels, bound) → features, as :func:`methods.fields.triplane.encode`."""
Similarity = Callable[[Tensor, Tensor], Tensor]


def ssim_conv2d(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of [3,H,W] images as a grouped 11 × 11 convolution: what training code usually does."""
    taps = _window()
    window = torch.outer(taps, taps).expand(3, 1, TAPS, TAPS)

    def blur(t: Tensor) -> Tensor:
        return F.conv2d(t[None], window, padding=TAPS // 2, groups=3)

    return _similarity(blur(x), blur(y), blur(x * x), blur(y * y), blur(x * y))


def ssim_separable(x: Tensor, y: Tensor) -> Tensor:
    """The same, the five maps stacked as channels and blurred along columns, then rows.

    As 15 groups of one picture: torch takes several times as long for 15 pictures of one channel (``methods.ssim``'s twin).
    """
    column = _window().view(1, 1, TAPS, 1).expand(15, 1, TAPS, 1)
    maps = torch.cat([x, y, x * x, y * y, x * y])[None]
    down = F.conv2d(maps, column, padding=(TAPS // 2, 0), groups=15)
    return _similarity(*F.conv2d(down, column.transpose(2, 3), padding=(0, TAPS // 2), groups=15)[0].split(3))


def _window() -> Tensor:
    taps = torch.exp(-((torch.arange(float(TAPS)) - TAPS // 2) ** 2) / (2 * SIGMA**2))
    return taps / taps.sum()


def _similarity(mx: Tensor, my: Tensor, xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    """Mean SSIM of blurred maps."""
    mxx, myy, mxy = mx * mx, my * my, mx * my
    return ((2 * mxy + C1) * (2 * (xy - mxy) + C2) / ((mxx + myy + C1) * (xx - mxx + yy - myy + C2))).mean()


def l1_dssim(x: Tensor, y: Tensor, ssim: Similarity) -> Tensor:
    """mean |x − y| + 0.2 (1 − SSIM)."""
    return (x - y).abs().mean() + 0.2 * (1 - ssim(x, y))


def l1_dssim_separable(x: Tensor, y: Tensor) -> Tensor:
    """With :func:`ssim_separable`."""
    return l1_dssim(x, y, ssim_separable)


def l1_dssim_conv2d(x: Tensor, y: Tensor) -> Tensor:
    """With :func:`ssim_conv2d`."""
    return l1_dssim(x, y, ssim_conv2d)


def encode_grid_sample(x: Tensor, table: Tensor, levels: list[Level], bound: float) -> Tensor:
    """Tri-plane features by ``grid_sample``, one call a level and plane. Dense levels only."""
    u, inside = _unit(x, bound)
    features = []
    for plane, (a, b) in enumerate(PLANES):
        uv, both = torch.stack([u[:, a], u[:, b]], 1), inside[:, a] & inside[:, b]
        for level in levels:
            values = F.grid_sample(_nodes(table[plane], level), _positions(uv[None, None], level), align_corners=True)
            features.append(torch.where(both, values[0, 0, 0], 0.0))
    return torch.stack(features, 1)


def encode_grid_sample_batched(x: Tensor, table: Tensor, levels: list[Level], bound: float) -> Tensor:
    """The same with the three planes as one batch, over which torch can use its threads: one call a level."""
    u, inside = _unit(x, bound)
    uv = torch.stack([torch.stack([u[:, a], u[:, b]], 1) for a, b in PLANES])[:, None]
    both = torch.stack([inside[:, a] & inside[:, b] for a, b in PLANES])
    calls = [
        F.grid_sample(_nodes(table, level), _positions(uv, level), align_corners=True)[:, 0, 0] for level in levels
    ]
    return torch.where(both, torch.stack(calls), 0.0).permute(2, 1, 0).reshape(len(x), -1)


def _unit(x: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Coordinates in [0,1], 0 where outside, and where they are inside."""
    u = x * (0.5 / bound) + 0.5
    inside = (u >= 0) & (u <= 1)
    return torch.where(inside, u, 0.0), inside


def _nodes(table: Tensor, level: Level) -> Tensor:
    """[P,1,row,row] of a table [E] or [P,E]."""
    assert level.row, "grid_sample can't hash"
    return table[..., level.offset : level.offset + level.row**2].reshape(-1, 1, level.row, level.row)


def _positions(uv: Tensor, level: Level) -> Tensor:
    """Nodes' positions as grid_sample counts them with ``align_corners``: −1 to 1 from the first node to the last."""
    return (uv * level.scale + 0.5) * (2 / (level.row - 1)) - 1


def hear(field: FaceField | MouthField, windows: Tensor) -> Tensor:
    """[32] audio code."""
    codes = audio(field.audio_net, windows)
    return attend(field.audio_attention_net, codes)


def audio(net: AudioNet, windows: Tensor) -> Tensor:
    """:class:`AudioNet`, layer by layer."""
    return net.head(nn.Sequential.forward(net.convolutions, windows)[:, :, 0])


def attend(net: AudioAttention, codes: Tensor) -> Tensor:
    """:class:`AudioAttention`, layer by layer."""
    score = net.weights(nn.Sequential.forward(net.convolutions, codes.T[None])[:, 0])
    return (torch.softmax(score, 1) @ codes)[0]


def encode_face(field: FaceField, cloud: GaussianCloud, encode: Encode) -> Encoded:
    """The audio-free half of a face field."""
    features = _features(field, cloud, encode)
    to_audio = mlp_twin([features], list(field.audio_region.weights), None, False)
    return Encoded((features,), to_audio, mlp_twin([features], list(field.expression_region.weights), None, True))


def move_face(field: FaceField, encoded: Encoded, drivers: Drivers) -> Motion:
    """The other half: attended codes as tensors of their own, everything concatenated."""
    expression = mlp_twin([drivers.expression[None]], list(field.expression_net.weights), None, False)[0]
    code = torch.cat([expression, drivers.direct])
    assert encoded.audio_attention is not None
    assert encoded.expression_attention is not None
    attended = (encoded.audio_attention * hear(field, drivers.windows), encoded.expression_attention * code)
    offsets = mlp_twin([*encoded.features, *attended], list(field.decoder.weights), None, False)
    return Motion(offsets, (1e-2,) * 3)


def move_mouth(field: MouthField, encoded: Encoded, drivers: Drivers) -> Motion:
    """A mouth field's motion."""
    heard = hear(field, drivers.windows).expand(len(encoded.features[0]), -1)
    offsets = mlp_twin([*encoded.features, heard], list(field.decoder.weights), None, False)
    return Motion(offsets, (2e-3, 1e-2, 2e-3))


def _features(field: FaceField, cloud: GaussianCloud, encode: Encode) -> Tensor:
    encoder = field.encoder
    encoded = encode(cloud.xyz, encoder.table, encoder.levels, encoder.bound)
    return torch.cat([encoded, cloud.embedding], 1) if cloud.embedding.shape[1] else encoded


def draw(cloud: GaussianCloud, view: View, motion: Motion | None, background: tuple[float, float, float]) -> Layer:
    """:func:`methods.deformable.render.draw` with torch around the compiled rasteriser."""
    moved = deform_twin(cloud, motion, view.centre)
    image, alpha, info = rasterize(
        moved.means, moved.quats, moved.scales, moved.opacities, moved.colours, view.viewmat, view.K, view.width, view.height,
        backgrounds=moved.means.new_tensor([background]),
    )  # fmt: skip
    return Layer(image[0].permute(2, 0, 1), alpha[0, :, :, 0], info["means2d"], info["radii"][0] > 0, moved.motion_size)
