"""The square that is kept of the picture: the whole head with its hair and the upper torso, the same for every frame.

It doesn't move, so that the background behind a moving head stays one plate. Proportions as in the field's clips
(Obama, May, a news anchor: a face as the detector boxes it is 0.46–0.48 of the side, its middle at 0.54–0.59).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

Boxes = NDArray[np.float64]
"""[N,4] x, y (left, top), width, height in pixels."""
_SHARE, _MIDDLE = 0.42, 0.5
"""Face over the side, and where its middle stands: a little wider and higher than the field's, since hair may be long."""
_WHOLE = 0.25
"""A square picture with at least so large a face is a head shot already."""
_HAIR, _SIDES, _NECK = 0.65, 0.4, 0.25
"""How far a head reaches beyond the detector's box (brows to chin), in the box's size."""
LEAST_SIDE = 64
LARGEST = 512
"""Width of frames where nothing else is said; smaller squares are not enlarged to it."""
_LEAST = 96
"""Narrowest square in pixels that is worth preparing."""


@dataclass(frozen=True)
class Crop:
    """A rectangle of the upright picture."""

    x: int
    y: int
    width: int
    height: int
    how: str
    """For the user."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom)."""
        return self.x, self.y, self.x + self.width, self.y + self.height


def whole(size: tuple[int, int], how: str) -> Crop:
    """All of a picture (width, height) but an odd last row or column: H.264 previews need even sides."""
    return Crop(0, 0, size[0] - size[0] % 2, size[1] - size[1] % 2, how)


def reach(faces: Boxes, size: tuple[int, int], hair: bool) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of all faces, with their hair and necks if wanted, as far as the picture shows them."""
    x, y, w, h = faces.T
    left, top = (x - hair * _SIDES * w).min(), (y - hair * _HAIR * h).min()
    right, bottom = (x + (1 + hair * _SIDES) * w).max(), (y + (1 + hair * _NECK) * h).max()
    return max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom, float(size[1]))


def choose(faces: Boxes, size: tuple[int, int], video: Path) -> Crop:
    """The square for faces [N,4] in a picture of ``size`` (width, height); a square head shot stays whole.

    Where the picture is too narrow for all of the hair, its largest square.

    Raises:
        DataError: the face moves farther than a square of the picture reaches, or is tiny.
    """
    face, most = float(np.median(faces[:, 2])), min(size)
    if size[0] == size[1] and face >= _WHOLE * most:
        return whole(size, "a square head shot already, kept whole")
    held = full = reach(faces, size, hair=True)
    if max(held[2] - held[0], held[3] - held[1]) > most:
        held = reach(faces, size, hair=False)
    need = max(held[2] - held[0], held[3] - held[1])
    if need > most:
        raise DataError(
            f"{video}: the face moves over {need:.0f} px, a square of the picture has {most}: "
            "cut a calmer stretch out of it, or keep the whole picture with --crop none"
        )
    side = int(min(most, max(face / _SHARE, need)))
    side -= side % 2
    if side < _LEAST:
        raise DataError(
            f"{video}: the face is {face:.0f} px wide, too small to learn from; give a closer or larger picture"
        )
    middle = np.median(faces[:, :2] + faces[:, 2:] / 2, axis=0)
    x = _place(middle[0] - side / 2, held[0], held[2], side, size[0])
    y = _place(min(middle[1] - _MIDDLE * side, full[1]), held[1], held[3], side, size[1])  # hair before torso
    return Crop(x, y, side, side, f"square {side}×{side} at ({x}, {y}) of {size[0]}×{size[1]}")


def _place(wanted: float, low: float, high: float, side: int, most: int) -> int:
    """Start of an interval of length ``side`` near ``wanted`` that holds low … high and lies in 0 … most."""
    held = min(max(wanted, high - side), low)
    return int(min(max(round(held), 0), most - side))


def target_size(width: int, height: int, wanted: int | None, largest: int | None) -> tuple[int, int]:
    """(width, height) of the frames made of a part of that size: ``wanted`` wide; 0: as the part; None: at most ``largest``.

    Raises:
        DataError: a side is odd or tiny.
    """
    across = wanted or (width if wanted == 0 or largest is None else min(width, largest))
    down = 2 * round(height * across / width / 2)
    check_width(across)
    if down < LEAST_SIDE:
        raise DataError(f"frames of {across}×{down}: both sides must be at least {LEAST_SIDE}; give a larger --size")
    return across, down


def check_width(width: int) -> None:
    """Frames can be so wide.

    Raises:
        DataError: odd (H.264 previews need even sides) or tiny.
    """
    if width % 2 or width < LEAST_SIDE:
        raise DataError(
            f"frames {width} px wide: must be even and at least {LEAST_SIDE}; give --size {max(LEAST_SIDE, width + width % 2)}"
        )


def outside(faces: Boxes, size: tuple[int, int]) -> NDArray[np.floating[Any]]:
    """[N] share of each face's box that lies outside a picture (width, height)."""
    x, y, w, h = faces.T
    across = np.minimum(x + w, size[0]) - np.maximum(x, 0)
    down = np.minimum(y + h, size[1]) - np.maximum(y, 0)
    return 1 - across.clip(0) * down.clip(0) / (w * h)
