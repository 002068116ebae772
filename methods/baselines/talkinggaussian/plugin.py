"""TalkingGaussian as a design of the deformable-Gaussian implementation."""

from __future__ import annotations

from bench.contract import MethodInfo
from methods.deformable.design import Design
from methods.deformable.plugin import DeformableGaussians

DESIGN = Design(
    name="talkinggaussian",
    embedding=0,
    coefficients=False,
    hair_canvas=False,
    jaw_loss=0.0,
    mouth_sampling="warm-up",
    blink_phase=0,
    close_mouth=True,
)


class TalkingGaussian(DeformableGaussians):
    """TalkingGaussian, native."""

    design = DESIGN
    info = MethodInfo(
        name="talkinggaussian",
        title="TalkingGaussian",
        summary="structure-persistent Gaussians: face (with hair) and mouth branches moved by audio",
        kind="3DGS",
        sees=DESIGN.sees,
        canvas=DESIGN.canvas_words,
        paper="TalkingGaussian: Structure-Persistent 3D Talking Head Synthesis via Gaussian Splatting, ECCV 2024",
        year=2024,
        original_licence="none (no LICENSE file)",
        published={"psnr": 32.39, "lpips": 0.0369, "lmd": 2.659, "ssim": 0.9261, "train_hours": 0.5, "fps": 120},
    )
