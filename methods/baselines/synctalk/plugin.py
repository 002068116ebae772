"""SyncTalk as a design of the tri-plane radiance field."""

from __future__ import annotations

from bench.contract import MethodInfo
from methods.radiance.design import QUICK, STANDARD, Design, Losses, Schedule
from methods.radiance.plugin import RadianceMethod

DESIGN = Design(
    name="synctalk",
    upper_face=7,
    eye_hidden=64,
    eye_sigmoid=False,
    blink_jitter=0.0,
    losses=Losses(
        pixel="l1",
        doubt_inside=0.01,
        doubt_outside=0.01,
        audio_region="lower_face",
        eye_region="lower_face",
        eye_by_audio=False,
    ),
    patch=64,
)
PAPER = Schedule(
    head=60_000, lips=40_000, torso=150_000, rays=65_536, grid_side=128, grid_every=16, ema_every=1_000
)  # fmt: skip


class SyncTalk(RadianceMethod):
    """SyncTalk, native."""

    design = DESIGN
    schedules = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
    switches = {
        "S": {"audio": False},
        "portrait": {"portrait": True},
        "torso": {"torso": True},
        "ema": {"ema": True},
    }
    info = MethodInfo(
        name="synctalk",
        title="SyncTalk",
        summary="tri-plane radiance field; lips from sound, brows and lids from seven blendshapes",
        kind="NeRF",
        shrinks=frozenset({"quick", "standard"}),
        sees=DESIGN.sees,
        canvas=DESIGN.canvas_words,
        paper="SyncTalk: The Devil is in the Synchronization for Talking Head Synthesis, CVPR 2024",
        year=2024,
        original_licence="CC BY-NC 4.0",
        published={"psnr": 33.73, "lpips": 0.0292, "lmd": 2.627, "ssim": 0.9361, "train_hours": 2, "fps": 60},
        factors={"S": "the sound of face-sync; without: the face is driven by the seven blendshapes alone"},
        readings={
            "portrait": "portrait-sync: the inside of the face is blended onto the test frame",
            "torso": "a torso field of its own over the static plate, instead of the test frame's torso",
            "ema": "renders with the moving average of the weights, as the official evaluation during training does",
        },
    )
