"""What each step of ``bench data prepare`` made, drawn for the eye: the pictures and curves of ``prepare.html``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from bench import audio, picture_sheet
from bench.formats.records import euler_angles
from bench.picture_sheet import Picture, Strip
from bench.prepare import fit, follow, mesh, parsing
from bench.prepare.rate import FPS
from bench.prepare.steps import Job
from bench.subject import Frame, Subject

Array: TypeAlias = NDArray[np.floating[Any]]
Drawn: TypeAlias = "tuple[tuple[Figure, ...], Markup]"
"""(pictures, curves as SVG)."""
_WIDTH = 280
_AROUND = 0.15
"""Margin around the dense mesh in its picture, in face widths."""
_UNITS = ("AU01", "AU04", "AU05", "AU06", "AU07", "AU45")


@dataclass(frozen=True)
class Figure:
    """A picture with its caption."""

    caption: str
    uri: str


@dataclass(frozen=True)
class Shown:
    """What the drawings draw from; frames read each file once."""

    job: Job
    subject: Subject
    frames: tuple[Frame, ...]

    def row(self, draw: Callable[[Frame], Picture], what: str = "") -> tuple[Figure, ...]:
        """One picture a frame."""
        return tuple(_figure(f"frame {frame.id}{what}", draw(frame)) for frame in self.frames)

    def curves(self, *strips: Strip) -> Markup:
        """Curves with the border between training and test."""
        return Markup(picture_sheet.curves(strips, self.job.train))


def _figure(caption: str, picture: Picture, width: int = _WIDTH) -> Figure:
    return Figure(caption, picture_sheet.data_uri(picture, width))


def _follow(shown: Shown) -> Drawn:
    with Image.open(shown.job.work / follow.PICTURE) as strip:
        return (
            _figure("the video: face in green, what is kept in white", np.asarray(strip.convert("RGB")), 1600),
        ), Markup()


def _frames(shown: Shown) -> Drawn:
    return shown.row(lambda frame: frame.image), Markup()


def loudness(samples: NDArray[np.float32], frames: int) -> tuple[Array, Array, Array]:
    """([T] least, [T] greatest sample, [T] decibels of full scale) of each frame's sound."""
    block = samples[: frames * audio.RATE // FPS].reshape(frames, -1)
    power = (block.astype(np.float64) ** 2).mean(1)
    return block.min(1), block.max(1), 10 * np.log10(power.clip(1e-9))


def _sound(shown: Shown) -> Drawn:
    low, high, decibels = loudness(audio.read_wav(shown.job.root / "aud.wav"), shown.job.frames)
    wave = Strip("sound wave", "1 is full scale", (("lowest", low), ("highest", high)))
    return (), shown.curves(wave, Strip("loudness", "dB of full scale", (("sound", decibels),)))


def _features(shown: Shown) -> Drawn:
    rows = shown.subject.audio_features[:, shown.subject.audio_features.shape[1] // 2]  # each window's middle
    low, high = np.percentile(rows, (1, 99))
    grey = ((rows.T[::-1] - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.uint8)
    wide = Image.fromarray(grey).convert("RGB").resize((1200, 160), Image.Resampling.BOX)
    return (_figure(f"{shown.subject.audio_kind}: time to the right, band upwards", np.asarray(wide), 1200),), Markup()


def _mesh(shown: Shown) -> Drawn:
    dense = mesh.load(shown.job)

    def draw(frame: Frame) -> Picture:
        points = dense[frame.id, :, :2]
        picture = frame.image.copy()
        x, y = points.round().astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < picture.shape[1]) & (y < picture.shape[0])
        picture[y[inside], x[inside]] = (255, 220, 0)
        (left, top), (right, bottom) = points.min(0), points.max(0)
        margin = _AROUND * (right - left)
        box = np.array((left - margin, top - margin, right + margin, bottom + margin)).round().astype(int)
        near = (
            Image.fromarray(picture)
            .crop(tuple(box.tolist()))
            .resize((_WIDTH, _WIDTH * (box[3] - box[1]) // (box[2] - box[0])))
        )
        scale = _WIDTH / float(box[2] - box[0])
        return picture_sheet.dotted(np.asarray(near), ((frame.landmarks - box[:2]) * scale).astype(np.float32))

    return shown.row(draw, ": 68 landmarks, dense mesh in yellow"), Markup()


def _angles(shown: Shown) -> tuple[Array, Array]:
    """([T,3] pitch, yaw, roll in degrees, [T,3] camera, its mean taken off)."""
    matrices = np.linalg.inv(
        np.stack([shown.subject.camera(i).viewmat for i in range(shown.job.frames)]).astype(np.float64)
    )
    places = matrices[:, :3, 3] - matrices[:, :3, 3].mean(0)
    matrices[:, :3, 1:3] *= -1
    return np.degrees(np.unwrap(euler_angles(matrices)[0], axis=0)), places


def _poses(shown: Shown) -> Drawn:
    angles, places = _angles(shown)
    turn = Strip("head turn", "degrees", tuple(zip(("pitch", "yaw", "roll"), angles.T, strict=True)))
    return shown.row(picture_sheet.with_axes, ": x red, y green, z blue"), shown.curves(
        turn, Strip("camera", "units, mean taken off", tuple(zip("xyz", places.T, strict=True)))
    )


def _fit(shown: Shown) -> Drawn:
    seen = mesh.load(shown.job)[:, fit.RIGID, :2].astype(np.float64)
    distance = np.sort(fit.errors(fit.projections(shown.job), seen)[0], axis=1)
    lines = (("median point", np.median(distance, axis=1)), ("worst point", distance[:, -1]))
    return (), shown.curves(Strip("rigid points, from where they are seen", "pixels", lines))


def _coefficients(shown: Shown) -> Drawn:
    found = shown.subject.coefficients
    lids = Strip("eyelids", "0 open, 1 closed", (("left", found.eyelid[:, 0]), ("right", found.eyelid[:, 1])))
    jaw = Strip("jaw", "opening, aside, forward", tuple(zip(("open", "aside", "forward"), found.jaw.T, strict=True)))
    first = tuple((f"{k + 1}", found.expression[:, k]) for k in range(min(3, found.expression.shape[1])))
    return (), shown.curves(
        lids, jaw, Strip(f"expression ({found.kind}), first of {found.expression.shape[1]}", "coefficient", first)
    )


def _units(shown: Shown) -> Drawn:
    found = shown.subject.action_units
    lines = [*zip(_UNITS, found.upper.T, strict=True), ("AU25", found.lips_part)]
    brows, lids = (
        Strip("brows", "intensity", tuple(lines[:3])),
        Strip("cheeks, lids, lips", "intensity", tuple(lines[3:])),
    )
    return (), shown.curves(brows, lids)


def _parsing(shown: Shown) -> Drawn:
    job = shown.job
    return shown.row(
        lambda frame: picture_sheet.tinted(frame.image, parsing.load(job, frame.id)), ": the parser's answer"
    ), Markup()


def _masks(shown: Shown) -> Drawn:
    return shown.row(picture_sheet.with_classes, ": classes, teeth white"), Markup()


def _plate(shown: Shown) -> Drawn:
    return (_figure("background plate", shown.subject.background),), Markup()


def _canvases(shown: Shown) -> Drawn:
    torso = shown.row(lambda frame: frame.torso_canvas, ": torso canvas")
    return torso + shown.row(lambda frame: frame.hair_canvas, ": hair canvas"), Markup()


DRAWINGS: dict[str, Callable[[Shown], Drawn]] = {
    "follow": _follow,
    "frames": _frames,
    "sound": _sound,
    "features": _features,
    "mesh": _mesh,
    "fit": _fit,
    "poses": _poses,
    "coefficients": _coefficients,
    "units": _units,
    "parsing": _parsing,
    "masks": _masks,
    "plate": _plate,
    "canvases": _canvases,
}
"""What is drawn of each step that has something to show."""
