"""ER-NeRF as a design of the tri-plane radiance field."""

from __future__ import annotations

from bench.contract import MethodInfo
from methods.radiance.design import QUICK, STANDARD, Design, Losses, Schedule
from methods.radiance.plugin import RadianceMethod

DESIGN = Design(
    name="er-nerf",
    upper_face=1,
    eye_hidden=16,
    eye_sigmoid=True,
    blink_jitter=0.05,
    losses=Losses(
        pixel="mse",
        doubt_inside=1.0,
        doubt_outside=1e-3,
        audio_region="face",
        eye_region="face",
        eye_by_audio=True,
    ),
    patch=32,
)
PAPER = Schedule(
    head=100_000, lips=25_000, torso=200_000, rays=65_536, grid_side=128, grid_every=16, ema_every=1_000
)  # fmt: skip


class ErNerf(RadianceMethod):
    """ER-NeRF, native."""

    design = DESIGN
    schedules = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    switches = {
        "T": {"triplane": False},
        "A": {"region_attention": False},
        "torso": {"torso": True},
        "ema": {"ema": True},
    }
    info = MethodInfo(
        name="er-nerf",
        title="ER-NeRF",
        summary="tri-plane radiance field; each region attends to sound and blink as it needs",
        kind="NeRF",
        shrinks=frozenset({"quick", "standard"}),
        sees=DESIGN.sees,
        canvas=DESIGN.canvas_words,
        paper="Efficient Region-Aware Neural Radiance Fields for High-Fidelity Talking Portrait Synthesis, ICCV 2023",
        year=2023,
        original_licence="MIT",
        published={"psnr": 32.06, "lpips": 0.0354, "lmd": 2.771, "ssim": 0.9158, "train_hours": 2, "fps": 45},
        factors={
            "T": "tri-plane of 2-d hash grids; without: one 3-d hash grid",
            "A": "region attention; without: sound and blink count everywhere alike",
        },
        readings={
            "torso": "a torso field of its own over the static plate, instead of the test frame's torso",
            "ema": "renders with the moving average of the weights, as the official evaluation during training does",
        },
    )
