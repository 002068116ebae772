"""A training step's layer of an uneven cloud before a turned camera, on any device: pictures, gradients, and their comparison."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from bench.subject import Camera
from methods.deformable import render
from methods.deformable.fields import Encoded
from methods.deformable.sample import View
from methods.gaussians.cloud import GaussianCloud
from methods.gaussians.deform import Motion

sys.path.append(str(Path(__file__).parents[1] / "kernels"))
from splat_oracle import relative  # noqa: E402

N = 80


def gaussians(device="cpu"):
    """A cloud of uneven, turned Gaussians in front of a turned camera, its motion, and two codes."""
    g = torch.Generator().manual_seed(3)
    cloud = GaussianCloud.random((torch.rand(N, 3, generator=g) - 0.5) * 0.2, 0, 1.0)
    with torch.no_grad():
        for name, spread in {"scaling": 0.8, "rotation": 1.0, "opacity": 2.0, "f_dc": 1.0, "f_rest": 0.2}.items():
            cloud.raw[name] += spread * torch.randn(cloud.raw[name].shape, generator=g)
    cloud = GaussianCloud({n: t.to(device) for n, t in cloud.raw.items()}, 1.0)
    cloud.active_degree = 2
    motion = Motion(0.3 * torch.randn(N, 11, generator=g).to(device), (1e-2, 2e-2, 1e-2))
    codes = [torch.rand(N, width, generator=g).to(device).requires_grad_() for width in (32, 16)]
    return cloud, motion, Encoded((), *codes)


def view(device="cpu"):
    angle = 0.4
    viewmat = np.eye(4, dtype=np.float32)
    viewmat[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    viewmat[:3, 3] = (0.02, -0.01, 0.8)
    return View.of(Camera(48, 36, 150.0, 140.0, 25.0, 17.0, viewmat), device)


def drawn(device="cpu"):
    """A training step's layer, densification's gradients, and those of the raw parameters and codes."""
    cloud, motion, encoded = gaussians(device)
    layer = render.draw(cloud, view(device), motion, render.GREEN, encoded)
    g = torch.Generator().manual_seed(5)
    weights = [torch.randn(t.shape, generator=g).to(device) for t in (layer.colour, layer.alpha, layer.attention)]
    loss = sum((t * w).sum() for t, w in zip((layer.colour, layer.alpha, layer.attention), weights, strict=True))
    (loss + layer.motion_size).backward()
    leaves = {**cloud.raw, "audio code": encoded.audio_attention, "expression code": encoded.expression_attention}
    return layer, layer.ndc_gradient(), {n: t.grad for n, t in leaves.items() if t.numel()}


def compare(got, want, pixel=1e-4, gradient_error=1e-3):
    """Raises AssertionError where two layers differ."""
    for name in ("colour", "alpha", "attention"):
        assert (getattr(got[0], name).cpu() - getattr(want[0], name)).abs().max() < pixel, name
    assert torch.equal(got[0].visible.cpu(), want[0].visible)
    assert relative(got[1].cpu(), want[1]) < gradient_error, "densification's gradients"
    for name, gradient in want[2].items():
        assert relative(got[2][name].cpu(), gradient) < gradient_error, name
