"""Contours of the face's parts on MediaPipe's 478-point mesh, and how to fill them.

``left`` and ``right`` are the subject's. Vertex numbers are those of MediaPipe's canonical face model (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.classes import Mask

Points = NDArray[np.floating[Any]]
"""Mesh of one frame, [478,2] or [478,3], pixels."""

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The face's outline, from the hairline over the subject's left to the chin and back."""
# Upper edge outside in, then lower edge back.
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_EYE = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
NOSE = (
    168, 193, 122, 188, 114, 217, 126, 142, 129, 64, 98, 97, 2, 326, 327, 294, 358, 371, 355, 437, 343, 412, 351, 417,
)  # fmt: skip
"""From between the eyes over the right wing and back."""
INNER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
"""From the right corner over the upper lip and back over the lower."""
_OUTER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
UPPER_LIP = (*_OUTER_LIP[:11], *INNER_LIP[10::-1])
LOWER_LIP = (*_OUTER_LIP[10:], 61, 78, *INNER_LIP[:9:-1])
HAIRLINE, CHIN = 10, 152
RIGHT_SIDE, LEFT_SIDE = 234, 454
"""Where the face's outline passes the ears."""
_BROW = 1.3
"""Brows are taken so much thicker than the mesh draws them: real ones are (benchmarks/prepare_masks.py)."""
_SHIFT = 4


def polygon(points: Points, size: tuple[int, int], fine: int = 4) -> Mask:
    """[H,W] pixels of a frame of ``size`` (width, height) at least half inside a contour [P,2]."""
    inside = np.zeros(size[::-1], bool)
    low = np.floor(points[:, :2].min(0)).astype(int).clip(0, size)
    high = np.ceil(points[:, :2].max(0)).astype(int).clip(0, size)
    width, height = high - low
    if width and height:
        canvas = np.zeros((height * fine, width * fine), np.uint8)
        corners = np.round(((points[:, :2] - low) * fine - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(canvas, [corners], (255,), shift=_SHIFT)
        cover = cv2.resize(canvas, (int(width), int(height)), interpolation=cv2.INTER_AREA)
        inside[low[1] : high[1], low[0] : high[0]] = cover > 128  # half is 127.5, rounded
    return inside


def part(points: Points, contour: tuple[int, ...], size: tuple[int, int]) -> Mask:
    """Pixels inside a contour given by its vertices."""
    corners = points[list(contour), :2]
    if contour in (LEFT_BROW, RIGHT_BROW):
        middle = (corners + corners[::-1]) / 2
        corners = middle + _BROW * (corners - middle)
    return polygon(corners, size)
