"""Where the face is painted: soft masks drawn over the frontal view, sampled by rest position."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .assets import Floats
from .head import Head

UPPER, LOWER, BLUSH, SOCKET, BROW, NOSE, LASH = range(7)
_SIZE = 900

# Indices into mediapipe's 478 face-mesh points.
_UPPER_LIP = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78]
_LOWER_LIP = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78]
_NOSE = [
    168,
    193,
    245,
    188,
    174,
    217,
    126,
    129,
    102,
    64,
    98,
    97,
    2,
    326,
    327,
    294,
    331,
    358,
    355,
    437,
    399,
    412,
    465,
    417,
]
UPPER_LIDS = ([33, 246, 161, 160, 159, 158, 157, 173, 133], [263, 466, 388, 387, 386, 385, 384, 398, 362])
LOWER_LIDS = ([33, 7, 163, 144, 145, 153, 154, 155, 133], [263, 249, 390, 373, 374, 380, 381, 382, 362])
_CHEEKS, _NOSE_TIP = (205, 425), 4
# A relaxed brow in units of the eye's width, from the eye's centre: (outwards, up) from the inner end to the tail.
_BROW_ARC = np.array([[-0.66, 0.60], [-0.30, 0.71], [0.10, 0.785], [0.46, 0.765], [0.86, 0.54]])


def brow_arcs(head: Head) -> Floats:
    """Centre lines [2,5,2] of the brows in frontal coordinates, subject's right first, inner end first."""
    arcs = []
    for corners in ((33, 133), (263, 362)):
        outer, inner = head.mark_points[list(corners), :2]
        width = float(np.linalg.norm(outer - inner))
        side = np.sign(outer[0])
        arcs.append((outer + inner) / 2 + _BROW_ARC * width * np.array([side, 1.0]))
    return np.array(arcs)


def draw(head: Head) -> Floats:
    """Masks [900,900,7] in 0…1 over the frontal view; the last axis is UPPER … LASH."""
    points = head.front_pixels(head.mark_points[:, :2])
    arcs = [head.front_pixels(arc) for arc in brow_arcs(head)]
    layers = [
        _blurred(2.5, polygons=[points[_UPPER_LIP]]),
        _blurred(2.5, polygons=[points[_LOWER_LIP]]),
        _blurred(26, discs=[(points[k], 52, 42) for k in _CHEEKS] + [(points[_NOSE_TIP], 22, 18)]),
        _blurred(9, polygons=[points[up + low[::-1]] for up, low in zip(UPPER_LIDS, LOWER_LIDS, strict=True)]),
        _blurred(4, polygons=[_brow_shape(arc) for arc in arcs]),
        _blurred(3, polygons=[points[_NOSE]]),
        _blurred(2.0, lines=[(points[lid], 5) for lid in UPPER_LIDS]),
    ]
    return np.stack(layers, axis=-1)


def _brow_shape(arc: Floats) -> Floats:
    """Outline [10,2] of a brow along its centre line [5,2] in pixels: rounded start, thin tail."""
    half = np.array([3.0, 6.5, 6.5, 5.0, 1.0])[:, None] * np.array([0.0, 1.0])
    return np.concatenate([arc - half, (arc + half)[::-1]])


def _blurred(
    radius: float,
    polygons: list[Floats] | None = None,
    discs: list[tuple[Floats, float, float]] | None = None,
    lines: list[tuple[Floats, int]] | None = None,
) -> Floats:
    image = Image.new("L", (_SIZE, _SIZE))
    pen = ImageDraw.Draw(image)
    for corners in polygons or []:
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    for (x, y), wide, high in discs or []:
        pen.ellipse([x - wide, y - high, x + wide, y + high], fill=255)
    for line, width in lines or []:
        pen.line([(float(x), float(y)) for x, y in line], fill=255, width=width, joint="curve")
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64) / 255
