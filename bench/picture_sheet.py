"""Drawings of a prepared subject for the eye: classes, landmarks and head axes over a frame, and curves over time.

Shared by ``prepare.html`` (:mod:`bench.prepare.sheet`) and the page of ``bench data view`` (:mod:`bench.view`).
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench import classes
from bench.subject import Camera, Frame

Picture = NDArray[np.uint8]
"""RGB [H,W,3]."""

COLOURS = np.frombuffer(
    bytes.fromhex(
        "000000 e6b48c 7a3cff b48cff 00ff78 78ffc8 ffffff ff7800 ffb400 ffe600 "
        "f0d2b4 ff0050 c83232 ff6464 3cb43c 8cff8c 3264ff ffdc00 ff00ff"
    ),
    np.uint8,
).reshape(-1, 3)
"""[19,3] one RGB colour a CelebAMask-HQ class."""

NAMES = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear",
    "earring", "nose", "inner mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair", "hat",
)  # fmt: skip
"""The CelebAMask-HQ classes, by id."""

_TINT = 0.55
_OPEN = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36))
"""iBUG's open lines: jaw, brows, bridge and underside of the nose."""
_CLOSED = ((36, 42), (42, 48), (48, 60), (60, 68))
_AXES = (("x", (255, 64, 64)), ("y", (64, 220, 64)), ("z", (80, 140, 255)))
_AXIS_SHARE = 0.2
"""Length of an axis seen from the side, as a share of the frame's width."""


def tinted(image: Picture, labels: NDArray[np.uint8], teeth: NDArray[np.bool_] | None = None) -> Picture:
    """``image`` [H,W,3] with each class of ``labels`` [H,W] but the background in its colour; teeth white."""
    mixed = ((1 - _TINT) * image + _TINT * COLOURS[labels]).astype(np.uint8)
    mixed[labels == classes.BACKGROUND] = image[labels == classes.BACKGROUND]
    if teeth is not None:
        mixed[teeth] = 255
    return mixed


def with_classes(frame: Frame) -> Picture:
    """The frame [H,W,3] tinted by its parsing classes, teeth white."""
    return tinted(frame.image, frame.labels, frame.teeth)


def dotted(image: Picture, points: NDArray[np.float32], width: int | None = None) -> Picture:
    """``image`` with 68 iBUG landmarks [68,2] and the lines they make, ``width`` pixels wide (None: as it is)."""
    picture, scale = _canvas(image, width)
    draw, at = ImageDraw.Draw(picture), points * scale
    for ranges, closed in ((_OPEN, False), (_CLOSED, True)):
        for first, end in ranges:
            line = [tuple(map(float, p)) for p in at[first:end]]
            draw.line(line + line[:1] * closed, fill=(0, 200, 255))
    radius = max(1.0, picture.width / 240)
    for x, y in at.tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(0, 255, 0))
    return np.asarray(picture)


def with_landmarks(frame: Frame, width: int | None = None) -> Picture:
    """The frame with its 68 landmarks, ``width`` pixels wide (None: its own width)."""
    return dotted(frame.image, frame.landmarks, width)


def axes_ends(camera: Camera) -> NDArray[np.float64]:
    """[4,2] pixels: the head's origin, then the ends of its x (red), y (green, up) and z (blue, out of the face) axes.

    An axis parallel to the picture is a fifth of the frame's width long. NaN where a point lies behind the camera.
    """
    depth = float(camera.viewmat[2, 3])
    length = _AXIS_SHARE * camera.width * depth / camera.fx
    world = np.vstack([np.zeros(3), np.eye(3) * length])
    seen = world @ camera.viewmat[:3, :3].T.astype(np.float64) + camera.viewmat[:3, 3]
    pixels = seen @ camera.K.T.astype(np.float64)
    return np.where(seen[:, 2:] > 0, pixels[:, :2] / np.where(seen[:, 2:] > 0, pixels[:, 2:], 1), np.nan)


def with_axes(frame: Frame, width: int | None = None) -> Picture:
    """The frame with the axes of the head's coordinates, as its camera projects them."""
    return axes_over(frame.image, frame.camera, width)


def axes_over(image: Picture, camera: Camera, width: int | None = None) -> Picture:
    """``image`` with the head's axes as ``camera`` sees them; nothing is drawn where the head is behind the camera."""
    picture, scale = _canvas(image, width)
    ends = axes_ends(camera) * scale
    draw = ImageDraw.Draw(picture)
    for (_, colour), end in zip(_AXES, ends[1:], strict=True):
        if np.isfinite([ends[0], end]).all():
            draw.line([tuple(ends[0]), tuple(end)], fill=colour, width=max(2, picture.width // 100))
    return np.asarray(picture)


def data_uri(picture: Picture, width: int | None = None, quality: int = 85) -> str:
    """``data:image/jpeg;base64,…`` of a picture, made ``width`` pixels wide if it is wider."""
    smaller = width if width is not None and width < picture.shape[1] else None
    buffer = io.BytesIO()
    _canvas(picture, smaller)[0].save(buffer, "JPEG", quality=quality, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _canvas(image: Picture, width: int | None) -> tuple[Image.Image, float]:
    picture = Image.fromarray(image)
    if width is None or width == picture.width:
        return picture, 1.0
    scale = width / picture.width
    return picture.resize((width, max(1, round(picture.height * scale))), Image.Resampling.LANCZOS), scale


@dataclass(frozen=True)
class Strip:
    """One diagram over time; several stand under each other with one time axis."""

    title: str
    unit: str
    lines: tuple[tuple[str, NDArray[np.floating[Any]]], ...]
    """(name, [T] values); NaN is a gap. At most four are told apart by colour."""


CURVES_CSS = """
.curves { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
.curves text { fill: currentColor; }
.curves .frame { fill: none; stroke: currentColor; stroke-opacity: .25; }
.curves .split { stroke: currentColor; stroke-opacity: .6; stroke-dasharray: 4 3; }
.curves polyline { fill: none; stroke-width: 1.3; vector-effect: non-scaling-stroke; }
.curves .line0 { stroke: #d1495b; fill: #d1495b; } .curves .line1 { stroke: #2a8f5d; fill: #2a8f5d; }
.curves .line2 { stroke: #3f7fd9; fill: #3f7fd9; } .curves .line3 { stroke: #b07d12; fill: #b07d12; }
.curves text[class^=line] { stroke: none; } .curves polyline { fill: none !important; }
"""
"""Style of :func:`curves`; legible on light and on dark."""

_WIDTH, _LEFT, _STRIP, _GAP = 960, 56, 90, 34
_POINTS = 800
"""Most values drawn of a line: of longer ones the least and the greatest of each bucket."""


def curves(strips: Sequence[Strip], split: int | None = None) -> str:
    """An inline SVG of the strips, escaped; ``split`` is the row from which on frames are test frames (a dashed line).

    Colours come from :data:`CURVES_CSS`. The horizontal axis is the row, from 0 to the longest line's end.
    """
    rows = max((len(values) for strip in strips for _, values in strip.lines), default=0)
    height = len(strips) * (_STRIP + _GAP) + 20
    parts = [f'<svg class="curves" role="img" viewBox="0 0 {_WIDTH} {height}" xmlns="http://www.w3.org/2000/svg">']
    parts += [_strip(strip, index * (_STRIP + _GAP), rows, split) for index, strip in enumerate(strips)]
    label = f"frame 0 … {max(rows - 1, 0)}" + (f", test from {split}" if split is not None else "")
    parts.append(f'<text x="{_WIDTH}" y="{height - 6}" text-anchor="end">{escape(label)}</text></svg>')
    return "".join(parts)


def _strip(strip: Strip, top: int, rows: int, split: int | None) -> str:
    finite = [values[np.isfinite(values)] for _, values in strip.lines]
    known = np.concatenate(finite) if finite else np.zeros(0)
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    y0, width = top + _GAP - 10, _WIDTH - _LEFT
    parts = [
        f'<text x="{_LEFT}" y="{y0 - 6}">{escape(strip.title)} ({escape(strip.unit)})</text>',
        f'<rect class="frame" x="{_LEFT}" y="{y0}" width="{width}" height="{_STRIP}"/>',
        f'<text x="{_LEFT - 4}" y="{y0 + 10}" text-anchor="end">{_number(high, high - low)}</text>',
        f'<text x="{_LEFT - 4}" y="{y0 + _STRIP}" text-anchor="end">{_number(low, high - low)}</text>',
    ]
    for index, (name, values) in enumerate(strip.lines):
        x = _WIDTH - 110 * (len(strip.lines) - index) + 106
        parts.append(f'<text class="line{index % 4}" x="{x}" y="{y0 - 6}" text-anchor="end">{escape(name)}</text>')
        for run in _runs(np.asarray(values, np.float64)):
            across = _LEFT + run[:, 0] / max(rows - 1, 1) * width
            down = y0 + _STRIP * (high - run[:, 1]) / (high - low)
            points = " ".join(f"{a:.1f},{d:.1f}" for a, d in zip(across, down, strict=True))
            parts.append(
                f'<polyline class="line{index % 4}" points="{points}"><title>{escape(name)}</title></polyline>'
            )
    if split is not None:
        at = _LEFT + split / max(rows - 1, 1) * width
        parts.append(f'<line class="split" x1="{at:.1f}" x2="{at:.1f}" y1="{y0}" y2="{y0 + _STRIP}"/>')
    return "".join(parts)


def _number(value: float, spread: float) -> str:
    """To the axis' third digit: there is room for no more."""
    return f"{round(value, 2 - math.floor(math.log10(spread))) + 0.0:g}"


def _runs(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The stretches without gaps as [n,2] (row, value); long lines thinned to their buckets' extremes."""
    rows = np.arange(len(values))
    if len(values) > _POINTS:
        chosen = set()
        for bucket in np.array_split(rows, _POINTS // 2):
            if np.isfinite(values[bucket]).any():
                chosen |= {int(bucket[np.nanargmin(values[bucket])]), int(bucket[np.nanargmax(values[bucket])])}
            else:
                chosen.add(int(bucket[0]))
        rows = np.array(sorted(chosen))
    pairs = np.stack([rows.astype(np.float64), values[rows]], -1)
    known = np.isfinite(pairs[:, 1])
    edges = np.flatnonzero(np.diff(known)) + 1
    return [part for part in np.split(pairs, edges) if len(part) and np.isfinite(part[0, 1])]
