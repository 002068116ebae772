"""A toy subject: an ellipse with eyes, hair and a mouth that opens, in every file of docs/subject-folder.md. Takes 0.2 s to make."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from bench import classes

SIZE, FRAMES, TRAIN = 64, 22, 16
FOCAL = 170.0
_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)


def make(folder: Path, name: str = "toy") -> Path:
    """Write the subject folder."""
    for part in ("ori_imgs", "parsing", "teeth_mask", "hair_alpha"):
        (folder / part).mkdir(parents=True)
    k = np.arange(FRAMES)
    openness = 0.5 - 0.5 * np.cos(2 * np.pi * k / 7)
    shift = 2.0 * np.sin(2 * np.pi * k / FRAMES)
    for i in range(FRAMES):
        _write_frame(folder, i, shift[i], openness[i])
    Image.fromarray(_plate()).save(folder / "bc.jpg", quality=95)
    _write_tables(folder, openness)
    _write_sound(folder, openness)
    _write_poses(folder, shift)
    meta = {
        "schema": 1,
        "name": name,
        "title": "A toy",
        "fps": 25,
        "size": [SIZE, SIZE],
        "frames": FRAMES,
        "licence": "CC0-1.0",
    }
    (folder / "subject.json").write_text(json.dumps(meta))
    return folder


def _plate() -> np.ndarray:
    return np.stack([90 + _X, 120 + 0 * _X, 160 - _Y], -1).astype(np.uint8)


def _disc(x: float, y: float, width: float, height: float) -> np.ndarray:
    return ((_X - x) / width) ** 2 + ((_Y - y) / height) ** 2 <= 1


def _write_frame(folder: Path, i: int, shift: float, openness: float) -> None:
    x, mouth = 32 + shift, 1.0 + 3.0 * openness
    inner = _disc(x, 40, 4, mouth)
    teeth = inner & (_Y < 40) & (mouth > 2)
    parts = (
        (classes.CLOTH, 56 - 2 * np.cos((_X - x) / 12) < _Y, (150, 40, 50)),
        (classes.NECK, (abs(_X - x) < 6) & (_Y > 46) & (_Y < 58), (190, 140, 120)),
        (classes.HAIR, _disc(x, 26, 18, 22) & (_Y < 48), (60, 40, 30)),
        (7, _disc(x - 14, 31, 3, 4), (200, 150, 130)),
        (8, _disc(x + 14, 31, 3, 4), (200, 150, 130)),
        (classes.SKIN, _disc(x, 32, 13, 17), (220, 170, 150)),
        (2, _disc(x - 6, 24, 4, 1), (70, 50, 40)),
        (3, _disc(x + 6, 24, 4, 1), (70, 50, 40)),
        (4, _disc(x - 6, 28, 3, 1.6), (240, 240, 240)),
        (5, _disc(x + 6, 28, 3, 1.6), (240, 240, 240)),
        (10, _disc(x, 33, 2, 4), (210, 155, 135)),
        (12, _disc(x, 40 - mouth, 6, 2), (180, 80, 80)),
        (13, _disc(x, 40 + mouth, 6, 2), (180, 80, 80)),
        (classes.INNER_MOUTH, inner, (70, 20, 20)),
    )
    image, labels = _plate(), np.zeros((SIZE, SIZE), np.uint8)
    for label, where, colour in parts:
        image[where], labels[where] = colour, label
    image[teeth] = (245, 240, 230)
    Image.fromarray(image).save(folder / f"ori_imgs/{i}.jpg", quality=95, subsampling=0)
    classes.save(folder / f"parsing/{i}.png", labels)
    np.save(folder / f"teeth_mask/{i}.npy", teeth)
    Image.fromarray((labels == classes.HAIR).astype(np.uint8) * 255).save(folder / f"hair_alpha/{i}.png")
    np.savetxt(folder / f"ori_imgs/{i}.lms", _landmarks(x, mouth), fmt="%.3f")


def _arc(
    x: float, y: float, width: float, height: float, begin: float, end: float, count: int, last: bool = True
) -> np.ndarray:
    angle = np.radians(np.linspace(begin, end, count, endpoint=last))
    return np.stack([x + width * np.cos(angle), y - height * np.sin(angle)], -1)


def _landmarks(x: float, mouth: float) -> np.ndarray:
    """[68,2] in iBUG's order."""
    bridge = np.stack([np.full(4, x), np.linspace(27, 34, 4)], -1)
    return np.concatenate(
        [
            _arc(x, 32, 13, 17, 180, 360, 17),
            _arc(x - 6, 24, 4, 1, 180, 0, 5),
            _arc(x + 6, 24, 4, 1, 180, 0, 5),
            bridge,
            _arc(x, 35, 2, 1, 180, 360, 5),
            _arc(x - 6, 28, 3, 1.6, 180, -180, 6, last=False),
            _arc(x + 6, 28, 3, 1.6, 180, -180, 6, last=False),
            _arc(x, 40, 6, mouth + 2, 180, -180, 12, last=False),
            _arc(x, 40, 4, mouth, 180, -180, 8, last=False),
        ]
    )


def _write_tables(folder: Path, openness: np.ndarray) -> None:
    units = pd.DataFrame({f" AU{n:02d}_r": np.zeros(FRAMES) for n in (1, 4, 5, 6, 7)})
    units[" AU25_r"], units[" AU45_r"] = 4 * openness, np.where(np.arange(FRAMES) % 9 == 4, 2.5, 0.0)
    units.to_csv(folder / "au.csv", index=False)
    expression = np.stack([openness, 1 - openness, np.sin(np.arange(FRAMES)), np.zeros(FRAMES)], -1).astype(np.float32)
    jaw = np.stack([0.3 * openness, 0 * openness, 0 * openness], -1).astype(np.float32)
    np.savez(
        folder / "coefficients.npz",
        expression=expression,
        eyelid=np.zeros((FRAMES, 2), np.float32),
        jaw=jaw,
        kind="arkit",
    )


def _write_sound(folder: Path, openness: np.ndarray) -> None:
    time = np.arange(FRAMES * 640) / 16000
    loud = np.interp(time * 25, np.arange(FRAMES), openness)
    with wave.open(str(folder / "aud.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((12000 * loud * np.sin(2 * np.pi * 180 * time)).astype("<i2").tobytes())


def _write_poses(folder: Path, shift: np.ndarray) -> None:
    def frame(i: int) -> dict[str, object]:
        matrix = np.eye(4)
        matrix[:3, 3] = (-shift[i] * 0.84 / FOCAL, 0.0, 0.84)
        return {"img_id": i, "aud_id": i, "transform_matrix": matrix.tolist()}

    for name, ids in (("train", range(TRAIN)), ("val", range(TRAIN, FRAMES))):
        content = {"focal_len": FOCAL, "cx": SIZE / 2, "cy": SIZE / 2, "frames": [frame(i) for i in ids]}
        (folder / f"transforms_{name}.json").write_text(json.dumps(content))
