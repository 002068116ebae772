"""Step *sheet*: ``overview.jpg``, eight frames of everything that was made, for the eye."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.prepare import frames
from bench.prepare.steps import Job, Made, Step
from bench.subject import Frame, Subject

Picture = NDArray[np.uint8]
_ROWS, _WIDTH = 8, 320
_COLOURS = np.frombuffer(
    bytes.fromhex(
        "000000 e6b48c 7a3cff b48cff 00ff78 78ffc8 ffffff ff7800 ffb400 ffe600 "
        "f0d2b4 ff0050 c83232 ff6464 3cb43c 8cff8c 3264ff ffdc00 ff00ff"
    ),
    np.uint8,
).reshape(-1, 3)
"""One RGB colour a CelebAMask-HQ class."""


def _tinted(frame: Frame) -> Picture:
    mixed = 0.45 * frame.image + 0.55 * _COLOURS[frame.labels]
    mixed[frame.labels == 0] = frame.image[frame.labels == 0]
    mixed[frame.teeth] = 255
    return mixed.astype(np.uint8)


def _dotted(frame: Frame) -> Picture:
    picture = Image.fromarray(frame.image).resize((_WIDTH, _WIDTH * frame.image.shape[0] // frame.image.shape[1]))
    scale, draw = _WIDTH / frame.image.shape[1], ImageDraw.Draw(picture)
    for x, y in frame.landmarks * scale:
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(0, 255, 0))
    draw.text((4, 4), f"{frame.id}  lids {frame.eyelid[0]:.2f} {frame.eyelid[1]:.2f}  jaw {frame.jaw[0]:.2f}", "white")
    return np.asarray(picture)


def row(frame: Frame) -> Picture:
    """Picture, classes with teeth, landmarks, torso canvas, hair canvas, side by side."""
    parts = (frame.image, _tinted(frame), _dotted(frame), frame.torso_canvas, frame.hair_canvas)
    height = _WIDTH * frame.image.shape[0] // frame.image.shape[1]
    return np.hstack([np.asarray(Image.fromarray(part).resize((_WIDTH, height))) for part in parts])


def run(job: Job) -> Made:
    """Open the subject as a method would, and draw eight frames of it."""
    subject = Subject(job.root)
    ids = np.linspace(0, job.frames - 1, _ROWS).astype(int)
    rows = [row(subject.frame(int(i))) for i in job.track(ids, "overview", len(ids))]
    frames.save(job.root / "overview.jpg", np.vstack(rows))
    return Made(f"overview.jpg: {_ROWS} frames with classes, landmarks and canvases; look at it")


STEP = Step(
    "sheet",
    run,
    ("overview.jpg",),
    needs=("frames", "sound", "poses", "mesh", "masks", "plate", "coefficients", "units"),
)
