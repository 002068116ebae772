"""The CUDA path on tensors without contents (torch's fake tensors): nothing is left on the CPU, nothing waits for values.

Fake tensors refuse to mix devices, and to become a number: each ``.item()``, boolean index or ``nonzero`` between a frame's
inputs and its picture would make the host wait for the GPU. Only the forward pass: autograd asks for a real device.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from bench.subject import Camera
from methods.baselines.talkinggaussian.plugin import TalkingGaussian
from methods.deformable.fields import FaceField, MouthField
from methods.deformable.render import composite, draw
from methods.deformable.sample import View
from methods.degstalk.plugin import Degstalk
from methods.fields import tcnn
from methods.gaussians import raster_gsplat, sh
from methods.gaussians.cloud import GaussianCloud

N, SIZE = 300, (48, 36)


def kernel(*, means, colors, viewmats, width, height, **rest):
    """gsplat's shapes: an image per camera, and what densification reads."""
    cameras = len(viewmats)
    for tensor in (means, colors, viewmats, *(rest[name] for name in ("quats", "scales", "opacities", "Ks"))):
        assert tensor.device.type == "cuda"
    meta = {
        "means2d": means.new_empty(cameras, len(means), 2),
        "radii": means.new_empty(cameras, len(means), 2, dtype=torch.int32),
        "depths": means.new_empty(cameras, len(means)),
    }
    return means.new_empty(cameras, height, width, colors.shape[1]), means.new_empty(cameras, height, width, 1), meta


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(raster_gsplat, "_kernel", lambda means: kernel)
    monkeypatch.setattr(tcnn, "available", lambda: False)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def cloud(embedding):
    shapes = {
        "xyz": (N, 3), "f_dc": (N, 1, 3), "f_rest": (N, (sh.MAX_DEGREE + 1) ** 2 - 1, 3), "scaling": (N, 3),
        "rotation": (N, 4), "opacity": (N, 1), "embedding": (N, embedding),
    }  # fmt: skip
    made = GaussianCloud({n: torch.empty(shape, device="cuda") for n, shape in shapes.items()}, 1.0)
    made.active_degree = 2
    return made


def there(module):
    """``module.to("cuda")``, which torch can't do with fake parameters."""
    for part in module.modules():
        for name, value in part._parameters.items():
            part._parameters[name] = torch.nn.Parameter(torch.empty(value.shape, device="cuda"))
        for name, value in part._buffers.items():
            part._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")
    return module


@pytest.mark.parametrize("kind", [Degstalk, TalkingGaussian])
def test_a_frame_stays_on_the_gpu(gpu, kind):
    design = kind.design
    view = View.of(Camera(*SIZE, 150.0, 140.0, 25.0, 17.0, np.eye(4, dtype=np.float32)), "cuda")
    windows = torch.empty(8, 32, 16, device="cuda")
    expression = torch.empty(50 if design.coefficients else 5, device="cuda")
    face, mouth = there(FaceField(design, 32, len(expression))), there(MouthField(design, 32))
    clouds = cloud(design.embedding), cloud(design.embedding)
    encoded = [field.encode(c.xyz, c.embedding) for field, c in zip((face, mouth), clouds, strict=True)]
    motion = face(encoded[0], windows, expression, torch.empty(design.direct_inputs, device="cuda"))
    layers = draw(clouds[0], view, motion, attention=encoded[0]), draw(clouds[1], view, mouth(encoded[1], windows)[0])
    image = composite(*layers, torch.empty(3, *SIZE[::-1], device="cuda"))
    assert image.shape == (3, 36, 48)
    assert image.device.type == "cuda"
    assert layers[0].attention.shape == (2, 36, 48)


def test_fake_tensors_refuse_both(gpu):
    on_gpu = torch.empty(3, device="cuda")
    with pytest.raises(RuntimeError, match="same device"):
        _ = on_gpu + torch.empty(3)
    with pytest.raises(DataDependentOutputException):
        float(on_gpu.sum())
