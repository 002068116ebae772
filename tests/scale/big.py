"""A long subject at the paper's size, cheap to make: the toy subject's first frames enlarged, and linked over and over."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from bench import classes

sys.path.append(str(Path(__file__).parents[1]))
import toy  # noqa: E402

SIDE, DISTINCT, EXPRESSION = 512, 4, 50
_SCALE = SIDE // toy.SIZE


def make(folder: Path, frames: int) -> Path:
    """Write a subject of ``frames`` frames of 512×512: teeth, coefficients and HuBERT windows, the widest audio there is.

    The first 10/11 are for training, as in the field. Files of four distinct frames are hard-linked under all names.
    """
    small = toy.make(folder.with_name(f"{folder.name}-small"))
    for part in ("ori_imgs", "parsing", "teeth_mask"):
        (folder / part).mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(DISTINCT):
        _enlarge(small, folder, i, random)
    for i in range(DISTINCT, frames):
        for name in ("ori_imgs/{}.jpg", "ori_imgs/{}.lms", "parsing/{}.png", "teeth_mask/{}.npy"):
            os.link(folder / name.format(i % DISTINCT), folder / name.format(i))
    Image.fromarray(_grown(np.asarray(Image.open(small / "bc.jpg")), random)).save(folder / "bc.jpg", quality=95)
    _write_tables(folder, frames, random)
    _write_poses(folder, frames)
    meta = {"schema": 1, "name": "big", "title": "A long one", "fps": 25, "size": [SIDE, SIDE], "frames": frames}
    (folder / "subject.json").write_text(json.dumps(meta))
    return folder


def _grown(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """[512,512,3] with noise as of a camera, so that its JPEG is as large as a real one."""
    big = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return (big + random.normal(0, 4, big.shape)).clip(0, 255).astype(np.uint8)


def _enlarge(small: Path, folder: Path, i: int, random: np.random.Generator) -> None:
    picture = np.asarray(Image.open(small / f"ori_imgs/{i}.jpg"))
    Image.fromarray(_grown(picture, random)).save(folder / f"ori_imgs/{i}.jpg", quality=95)
    block = np.ones((_SCALE, _SCALE), np.uint8)
    classes.save(folder / f"parsing/{i}.png", np.kron(classes.load(small / f"parsing/{i}.png"), block))
    np.save(folder / f"teeth_mask/{i}.npy", np.kron(np.load(small / f"teeth_mask/{i}.npy"), block).astype(bool))
    np.savetxt(folder / f"ori_imgs/{i}.lms", np.loadtxt(small / f"ori_imgs/{i}.lms") * _SCALE, fmt="%.3f")


def _write_tables(folder: Path, frames: int, random: np.random.Generator) -> None:
    units = {f"AU{n:02d}_r": random.uniform(0, 3, frames).round(2) for n in (1, 4, 5, 6, 7, 25, 45)}
    pd.DataFrame(units).to_csv(folder / "au.csv", index=False)
    np.savez(
        folder / "coefficients.npz", expression=random.random((frames, EXPRESSION), np.float32),
        eyelid=random.random((frames, 2), np.float32), jaw=random.random((frames, 3), np.float32), kind="smirk",
    )  # fmt: skip
    np.save(folder / "aud_hu.npy", random.standard_normal((frames, 2, 1024), np.float32))


def _write_poses(folder: Path, frames: int) -> None:
    def frame(i: int) -> dict[str, object]:
        matrix = np.eye(4)
        matrix[:3, 3] = (0.01 * np.sin(i / 9), 0.0, 0.84)
        return {"img_id": i, "aud_id": i, "transform_matrix": matrix.tolist()}

    train = frames * 10 // 11
    for name, ids in (("train", range(train)), ("val", range(train, frames))):
        content = {"focal_len": toy.FOCAL * _SCALE, "cx": SIDE / 2, "cy": SIDE / 2, "frames": [frame(i) for i in ids]}
        (folder / f"transforms_{name}.json").write_text(json.dumps(content))
