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
    switches = {
        "E": {"embedding": 0},
        "F": {"coefficients": False},
        "R": {"fusion": False},
        "R2": {"rim": False},
        "H": {"hair_canvas": False},
        "paper": {
            "dssim": 0.5,
            "lpips": 0.2,
            "shape": True,
            "encoded_embedding": True,
            "colours_only": True,
        },
    }
    info = MethodInfo(
        name="degstalk",
        title="DEGSTalk",
        summary="deformable pre-embedding Gaussian fields, hair kept from the real frame",
        kind="3DGS",
        sees=DESIGN.sees,
        canvas=DESIGN.canvas_words,
        paper="DEGSTalk: Decomposed Per-Embedding Gaussian Fields for Hair-Preserving Talking Face Synthesis, ICASSP 2025",
        year=2025,
        original_licence="none (no LICENSE file)",
        published={"psnr": 37.30, "lpips": 0.0140, "lmd": 2.349, "ssim": 0.9664, "train_hours": 0.5, "fps": 114},
        factors={
            "E": "learnable embedding z of each Gaussian; without: the tri-plane features alone",
            "F": "implicit expression and eyelid coefficients; without: six upper-face action units",
            "R": "fusion stage on whole frames; without: the two branches are composited as they are",
            "R2": "second reading of R: the canvas keeps a rim of 6 px inside the face's contour; without: no overlap",
            "H": "canvas with the frame's own hair and scene; without: hair is rendered, over plate and torso",
        },
        readings={
            "paper": "the paper's text where the official code differs: loss weights 0.5 and 0.2, shape coefficients, H(μ⊕z), "
            "colours alone in the fusion stage",
        },
    )
