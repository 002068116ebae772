"""Compiled surface painting: colour, gloss and CelebAMask-HQ class of every visible surface pixel."""

from __future__ import annotations

import numpy as np

from .assets import Floats, Ints
from .facemap import BLUSH, BROW, LASH, LOWER, NOSE, SOCKET, UPPER
from .kernels import jit, noise
from .mesh import CLOTH, EYE, TEETH, TONGUE

# Rows of the palette (linear RGB) and columns of the per-vertex attributes.
SKIN_C, LIPS_C, HAIR_C, IRIS_C, CLOTH_C = range(5)
OPEN, INSIDE, SCALP, EAR, FOLLOW, COLLAR, BEARD = range(7)

# CelebAMask-HQ classes.
BACK, SKIN_K, BROW_L, BROW_R, EYE_L, EYE_R, EAR_L, EAR_R = 0, 1, 2, 3, 4, 5, 7, 8
NOSE_K, MOUTH_K, UPPER_K, LOWER_K, NECK_K, CLOTH_K, HAIR_K = 10, 11, 12, 13, 14, 16, 17
# Inside the renderer teeth keep a class of their own; the parsing map shows them as inner mouth.
TEETH_K = 20


@jit
def _step(low: float, high: float, x: float) -> float:
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@jit
def _mix(colour: Floats, r: float, g: float, b: float, amount: float) -> None:
    colour[0] += (r - colour[0]) * amount
    colour[1] += (g - colour[1]) * amount
    colour[2] += (b - colour[2]) * amount


@jit
def _scale(colour: Floats, r: float, g: float, b: float, amount: float) -> None:
    colour[0] *= 1 - r * amount
    colour[1] *= 1 - g * amount
    colour[2] *= 1 - b * amount


@jit
def _sample(face_map: Floats, x: float, y: float, out: Floats) -> None:
    size = face_map.shape[0]
    column, row = int(np.floor(x)), int(np.floor(y))
    out[:] = 0.0
    if 0 <= column < size - 1 and 0 <= row < size - 1:
        u, v = x - column, y - row
        for k in range(out.shape[0]):
            upper = face_map[row, column, k] * (1 - u) + face_map[row, column + 1, k] * u
            lower = face_map[row + 1, column, k] * (1 - u) + face_map[row + 1, column + 1, k] * u
            out[k] = upper * (1 - v) + lower * v


@jit
def _skin(
    p: Floats, attribute: Floats, mask: Floats, palette: Floats, stubble: float, colour: Floats, gloss: Floats
) -> int:
    """Paint skin, lips and mouth lining at rest place ``p`` [3]; returns the class."""
    fine = noise(p[0] * 57, p[1] * 57, p[2] * 57)
    spots = noise(p[0] * 9, p[1] * 9, p[2] * 9)
    cloud = noise(p[0] * 3.7, p[1] * 3.7, p[2] * 3.7)
    tone = 1 + 0.05 * (fine - 0.5) + 0.05 * (spots - 0.5)
    colour[:] = palette[SKIN_C] * tone
    _scale(colour, 0.06, 0.11, 0.12, cloud - 0.5)
    _scale(colour, 0.02, 0.17, 0.15, mask[BLUSH])
    _scale(colour, 0.10, 0.16, 0.14, mask[SOCKET])
    beard = stubble * _step(0.0, 0.35, attribute[BEARD]) * (0.7 + 0.6 * fine)
    lip = min(mask[UPPER] + mask[LOWER], 1.0)
    _scale(colour, 0.26, 0.22, 0.18, beard * (1 - lip))
    _scale(colour, 0.60, 0.66, 0.70, mask[BROW] * 0.6)
    _scale(colour, 0.55, 0.6, 0.6, mask[LASH] * 0.9)
    _mix(colour, palette[LIPS_C, 0], palette[LIPS_C, 1], palette[LIPS_C, 2], lip * 0.9)
    scalp = attribute[SCALP]
    _mix(colour, palette[HAIR_C, 0] * 0.6, palette[HAIR_C, 1] * 0.6, palette[HAIR_C, 2] * 0.6, 0.92 * scalp)
    gloss[0], gloss[1] = (0.10 + 0.16 * lip) * (1 - 0.9 * scalp), 16 + 34 * lip
    if attribute[INSIDE] > 0:
        wet = attribute[INSIDE]
        _mix(colour, 0.30, 0.09, 0.08, wet)
        gloss[0], gloss[1] = 0.2, 40.0
        if wet > 0.5:
            return MOUTH_K
    if attribute[EAR] > 0.5:
        return EAR_L if p[0] > 0 else EAR_R
    if attribute[FOLLOW] < 0.55:
        return NECK_K
    if scalp > 0.75:
        return HAIR_K
    if lip > 0.5:
        return UPPER_K if mask[UPPER] > mask[LOWER] else LOWER_K
    if mask[BROW] > 0.42:
        return BROW_L if p[0] > 0 else BROW_R
    return NOSE_K if mask[NOSE] > 0.5 else SKIN_K


@jit
def _eye(p: Floats, centre: Floats, palette: Floats, colour: Floats, gloss: Floats) -> None:
    """Sclera, iris with a dark rim, pupil; ``p`` in rest place so that gaze turns with the eyeball's own vertices."""
    x, y, z = p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]
    angle = np.degrees(np.arctan2(np.sqrt(x * x + y * y), z))
    around = np.arctan2(y, x)
    colour[0], colour[1], colour[2] = 0.80, 0.765, 0.74
    _scale(colour, 0.10, 0.30, 0.30, _step(38.0, 70.0, angle))
    fibre = noise(np.cos(around) * 9, np.sin(around) * 9, angle * 0.10)
    inside = 1 - _step(24.0, 26.5, angle)
    rim = 1 - 0.65 * _step(19.5, 25.0, angle) + 0.35 * (1 - _step(10.0, 17.0, angle))
    tone = (0.65 + 0.75 * fibre) * rim
    _mix(colour, palette[IRIS_C, 0] * tone, palette[IRIS_C, 1] * tone, palette[IRIS_C, 2] * tone, inside)
    _mix(colour, 0.006, 0.006, 0.007, 1 - _step(9.0, 11.0, angle))
    # The upper lid shades the ball.
    _scale(colour, 0.75, 0.75, 0.72, _step(0.1, 0.75, y / (np.sqrt(x * x + y * y + z * z) + 1e-9) * 1.6))
    gloss[0], gloss[1] = 1.0, -1.0


@jit
def _teeth(p: Floats, arch: Floats, colour: Floats, gloss: Floats) -> int:
    """Teeth with faint gaps and gums; ``arch`` = (z of the arch's centre, radius, y of the upper and the lower biting edge)."""
    along = np.arctan2(p[0], p[2] - arch[0]) * arch[1]
    upper = p[1] > 0.5 * (arch[2] + arch[3])
    width = 0.082 if upper else 0.062
    phase = along / width - np.floor(along / width) - 0.5
    height = p[1] - arch[2] if upper else arch[3] - p[1]
    colour[0], colour[1], colour[2] = 0.88, 0.82, 0.72
    _scale(colour, 0.35, 0.42, 0.45, np.exp(-(((abs(phase) - 0.5) / 0.07) ** 2)))
    gum = _step(0.100, 0.115, height + 0.06 * phase * phase)
    _mix(colour, 0.50, 0.19, 0.18, gum)
    # Cheeks shade the back teeth.
    _scale(colour, 0.80, 0.90, 0.90, _step(0.17, 0.33, abs(along)))
    gloss[0], gloss[1] = 0.30, 70.0
    return MOUTH_K if gum > 0.5 else TEETH_K


@jit
def _cloth(p: Floats, attribute: Floats, palette: Floats, colour: Floats, gloss: Floats) -> None:
    """Fine knit with a ribbed band along the collar."""
    weave = np.sin(p[0] * 95) * np.sin(p[1] * 95)
    colour[:] = palette[CLOTH_C] * (1 + 0.03 * weave + 0.06 * (noise(p[0] * 12, p[1] * 12, p[2] * 12) - 0.5))
    band = attribute[COLLAR]
    if band < 0.115:
        rib = np.sin(np.arctan2(p[0], p[2]) * 150)
        _scale(colour, 1.0, 1.0, 1.0, 0.10 - 0.06 * rib)
    _scale(colour, 1.0, 1.0, 1.0, 0.45 * np.exp(-(((band - 0.12) / 0.012) ** 2)))
    gloss[0], gloss[1] = 0.0, 4.0


@jit
def paint(
    index: Ints, bary: Floats, faces: Ints, part: Ints, rest: Floats, attributes: Floats, face_map: Floats, frame: Floats,
    palette: Floats, eyes: Floats, arch: Floats, stubble: float, colour: Floats, gloss: Floats, kind: Ints,
) -> None:  # fmt: skip
    """Fill ``colour`` [H,W,3] (linear), ``gloss`` [H,W,2] (strength, exponent) and ``kind`` [H,W] (class) where a triangle shows.

    ``frame`` = (x offset, y offset, scale, z behind which the face map does not apply).
    """
    mask, p = np.zeros(face_map.shape[2]), np.zeros(3)
    attribute = np.zeros(attributes.shape[1])
    for row in range(index.shape[0]):
        for column in range(index.shape[1]):
            t = index[row, column]
            if t < 0:
                continue
            p[:], attribute[:] = 0.0, 0.0
            for corner in range(3):
                v, weight = faces[t, corner], bary[row, column, corner]
                p += weight * rest[v]
                attribute += weight * attributes[v]
            here, shine = colour[row, column], gloss[row, column]
            if part[t] == EYE:
                _eye(p, eyes[0 if p[0] > 0 else 1], palette, here, shine)
                kind[row, column] = EYE_L if p[0] > 0 else EYE_R
            elif part[t] == TEETH:
                kind[row, column] = _teeth(p, arch, here, shine)
            elif part[t] == TONGUE:
                here[0], here[1], here[2] = 0.50, 0.20, 0.185
                _scale(here, 0.7, 0.75, 0.75, _step(0.05, 0.6, arch[0] + arch[1] - p[2]))
                shine[0], shine[1] = 0.22, 30.0
                kind[row, column] = MOUTH_K
            elif part[t] == CLOTH:
                _cloth(p, attribute, palette, here, shine)
                kind[row, column] = CLOTH_K
            else:
                mask[:] = 0.0
                if p[2] > frame[3]:
                    _sample(face_map, (p[0] + frame[0]) * frame[2], (frame[1] - p[1]) * frame[2], mask)
                kind[row, column] = _skin(p, attribute, mask, palette, stubble, here, shine)
