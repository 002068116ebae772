"""DEGSTalk as a design of the deformable-Gaussian implementation."""

from __future__ import annotations

from bench.contract import MethodInfo
from methods.deformable.design import Design
from methods.deformable.plugin import DeformableGaussians

DESIGN = Design(
    name="degstalk",
    embedding=32,
    coefficients=True,
    hair_canvas=True,
    jaw_loss=1e-3,
    mouth_sampling="motion",
    blink_phase=7,
    close_mouth=False,
)


class Degstalk(DeformableGaussians):
    """DEGSTalk, native."""

    design = DESIGN
    info = MethodInfo(
        name="degstalk",
        title="DEGSTalk",
        summary="deformable pre-embedding Gaussian fields, hair kept from the real frame",
        kind="3DGS",
        sees=DESIGN.sees,
        canvas="own:gt-hair+torso",
        paper="DEGSTalk: Decomposed Per-Embedding Gaussian Fields for Hair-Preserving Talking Face Synthesis, ICASSP 2025",
        year=2025,
        original_licence="none (no LICENSE file)",
        published={"psnr": 37.30, "lpips": 0.0140, "lmd": 2.349, "ssim": 0.9664, "train_hours": 0.5, "fps": 114},
    )
