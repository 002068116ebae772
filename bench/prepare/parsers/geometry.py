"""Where hair, skin and cloth are to be expected around a face: what the offline parser knows before it looks at colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.prepare.contours import CHIN, HAIRLINE, LEFT_SIDE, RIGHT_SIDE, Points

Array = NDArray[np.float32]
KINDS = 3
HAIR, SKIN, CLOTH = range(KINDS)
_LEAST = 0.004
"""Nothing is impossible anywhere."""


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """Coordinates of the pixels [H,W] on the face's own axes, so that size, place and tilt don't matter."""

    aside: Array
    """Way to the picture's right from the face's middle, in face widths: the cheeks are at ±0.5."""
    height: Array
    """Way up from the chin (0) to the hairline (1)."""

    @staticmethod
    def of(points: Points, size: tuple[int, int]) -> FaceFrame:
        """From a mesh [478,2] in pixels and a (width, height)."""
        chin, up = points[CHIN, :2], points[HAIRLINE, :2] - points[CHIN, :2]
        cheeks = points[[RIGHT_SIDE, LEFT_SIDE], :2]
        length, width = np.linalg.norm(up), np.linalg.norm(cheeks[0] - cheeks[1])
        up = up / length
        right = np.array([-up[1], up[0]])
        rows, columns = np.indices(size[::-1], np.float32) + 0.5
        x, y = columns - chin[0], rows - chin[1]
        height = (x * up[0] + y * up[1]) / length
        lean = (cheeks.mean(0) - chin) @ right  # a turned head's chin is not below the middle of its cheeks
        lean = lean * np.maximum(height, -4 * height).clip(0, 1)  # nor is it above the middle of its neck
        aside = (x * right[0] + y * right[1] - lean) / width
        return FaceFrame(aside.astype(np.float32), height.astype(np.float32))


def _ramp(values: Array, start: float, end: float) -> Array:
    """0 at ``start``, 1 at ``end``, linear between."""
    return ((values - start) / (end - start)).clip(0, 1)


def expected(face: FaceFrame) -> Array:
    """[3,H,W] how likely hair, skin and cloth are outside the face's outline, given a pixel of the person; sums to 1."""
    off, height = np.abs(face.aside), face.height
    below = np.maximum(_ramp(height, 0.12, -0.05), _ramp(off, 0.6, 0.85) * _ramp(height, 0.5, 0.25))
    low = np.minimum(height, 0)
    hanging = 0.02 + 0.38 * _ramp(off, 0.28, 0.5) * _ramp(off, 1.7, 1.0)
    hair = (1 - below) + below * hanging * np.exp(low / 0.45)
    ears = 0.5 * _ramp(height, 0.2, 0.3) * _ramp(height, 0.85, 0.75) * _ramp(off, 0.72, 0.62)
    forehead = 0.7 * _ramp(height, 1.3, 1.0) * _ramp(height, 0.9, 1.0) * _ramp(off, 0.5, 0.35)
    throat = _ramp(off, 0.6, 0.4) * (0.3 + 0.7 * _ramp(height, -0.5, -0.12)) + 0.04
    skin = (1 - below) * np.maximum(ears, forehead) + below * throat
    shoulders = 0.8 * _ramp(off, 0.5, 0.75)
    cloth = below * np.maximum(_ramp(height, 0.08, -0.4), shoulders)
    weights = np.stack([hair, skin, cloth]) + _LEAST
    return (weights / weights.sum(0)).astype(np.float32)
